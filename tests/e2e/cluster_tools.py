"""Servers of a small cluster on this machine: Spark's master and workers, an S3 server, and commands sent to them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

from tests.soak.processes import kill_tree

ROOT = Path(__file__).resolve().parents[2]
SPARK = Path(pyspark.__file__).parent
DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves, and the file it writes to."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self, text: str) -> bool:
        """Say whether its log holds a text."""
        return text in self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Kill it and all that it started."""
        kill_tree(self.process.pid)
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master and its workers."""

    url: str
    workers: tuple[Server, ...]


def wait_for(what: str, is_there: Callable[[], bool], seconds: float, server: Server | None = None) -> None:
    """Wait until something is there.

    Raises:
        RuntimeError: if it does not come in time, or the server it is awaited of ends; with the end of its log.
    """
    end = time.monotonic() + seconds
    while not is_there():
        over = server is not None and server.process.poll() is not None
        if over or time.monotonic() > end:
            tail = server.log.read_text(encoding="utf-8", errors="replace")[-3000:] if server else ""
            raise RuntimeError(f"{what}: {'its process ended' if over else f'not in {seconds:.0f} s'}\n{tail}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what Spark's programs need, and no setting of Backprompt's: those go the way a user sends them."""
    own = {key: value for key, value in os.environ.items() if key not in ("BACKPROMPT_APERTIUM", "PYTHONPATH")}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    spark = {"SPARK_HOME": str(SPARK), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    return own | python | spark | dict(extra or {})


def start(command: Sequence[object], log: Path, env: Mapping[str, str]) -> Server:
    """Start a process that writes to a log."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=log.parent,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process, log)


@contextmanager
def spark_cluster(
    folder: Path, workers: int = 2, cores: int = 1, worker_settings: Mapping[str, object] | None = None
) -> Iterator[Cluster]:
    """Run Spark's standalone master and workers of 1 GiB each."""
    options = " ".join(f"-D{key}={value}" for key, value in (worker_settings or {}).items())
    port, spark_class, env = free_port(), SPARK / "bin" / "spark-class", environment({"SPARK_WORKER_OPTS": options})
    with ExitStack() as stack:
        address = ["--host", "127.0.0.1", "--webui-port", free_port()]
        command = [spark_class, "org.apache.spark.deploy.master.Master", *address, "--port", port]
        master = start(command, folder / "master.log", env)
        stack.callback(master.stop)
        wait_for("Spark's master", lambda: master.said("I have been elected leader"), 60, master)
        url, made = f"spark://127.0.0.1:{port}", []
        for number in range(workers):
            command = [spark_class, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1"]
            command += ["--webui-port", free_port(), "--cores", cores, "--memory", "1g"]
            work = folder / f"worker-{number}"
            server = start([*command, "--work-dir", work, url], folder / f"worker-{number}.log", env)
            stack.callback(server.stop)
            made.append(server)
        for server in made:
            wait_for("Spark's worker", lambda each=server: each.said("Successfully registered with master"), 60, server)
        yield Cluster(url, tuple(made))


def submit(
    master: str, arguments: Sequence[object], folder: Path, conf: Mapping[str, object], packages: Sequence[str] = ()
) -> list[object]:
    """Return the command by which a user sends Backprompt to a cluster, as the README says it."""
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "700m",
        "spark.ui.enabled": "false",
        # Two cores and some dozens of documents.
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        **conf,
    }
    if (ROOT / ".apertium").is_dir():
        settings["spark.executorEnv.BACKPROMPT_APERTIUM"] = ROOT / ".apertium"
    return [
        SPARK / "bin" / "spark-submit",
        *("--master", master, "--packages", ",".join([DELTA, *packages]), "--py-files", folder / "backprompt.zip"),
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        *(folder / "jobs" / "__main__.py", *arguments),
    ]


def submit_environment() -> dict[str, str]:
    """Return the environment of the machine that `spark-submit` is called on; the driver asks Apertium, too."""
    prefix = {"BACKPROMPT_APERTIUM": str(ROOT / ".apertium")} if (ROOT / ".apertium").is_dir() else {}
    return environment(prefix)


def pack(folder: Path) -> None:
    """Put into a folder what is sent to a cluster: the zip, and the one file that `spark-submit` starts."""
    command = [sys.executable, ROOT / "scripts" / "zip_for_spark.py", folder]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "jobs").mkdir()
    shutil.copy(ROOT / "jobs" / "__main__.py", folder / "jobs" / "__main__.py")


def finish(server: Server, seconds: float = 300) -> str:
    """Wait for a command's end; return what it wrote.

    Raises:
        RuntimeError: if it fails or takes longer.
    """
    try:
        code = server.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        server.stop()
        code = -signal.SIGKILL
    written = server.log.read_text(encoding="utf-8", errors="replace")
    if code:
        raise RuntimeError(f"exit code {code}, see {server.log}:\n{written[-4000:]}")
    return written
