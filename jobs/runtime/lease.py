"""One run at a time: who writes a lake, since when, and whether they still live.

The hold is the one row of the table ``lease``. It changes hands by an update whose condition is the token that was
read before, in Delta's own optimistic transaction: of two that try, one wins, on any storage that Delta works on.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from pyspark.sql import Row
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegerType, LongType, StringType, StructField, StructType

from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake

TABLE: Final = "lease"
SCHEMA: Final = StructType(
    [
        StructField("token", StringType(), False),  # another with every change of hands
        StructField("is_held", BooleanType(), False),
        StructField("is_whole", BooleanType(), False),  # nothing that a holder began was left half done
        StructField("command", StringType(), False),  # "run", "forget", ...
        StructField("run_id", StringType(), False),
        StructField("owner", StringType(), False),  # user of the process
        StructField("machine", StringType(), False),  # host, boot and process space
        StructField("process", IntegerType(), False),
        StructField("process_started", LongType(), True),  # in the machine's clock ticks since it booted
        StructField("held_since", StringType(), False),  # ISO 8601, UTC
        StructField("seen_at", StringType(), False),  # when the holder last said that it lives
    ]
)
SIGN_OF_LIFE: Final = timedelta(minutes=2)
# Of the leases that this process has: one that could not be given back, as on a full disk, is not among them.
_OURS: Final[set[str]] = set()
SILENCE: Final = timedelta(minutes=10)
"""After so long without a sign of life a holder on another machine counts as gone."""


class LeaseLost(BackpromptError):
    """Another run has taken the lake over while this one was silent."""


@dataclass
class Lease:
    """The right to write a lake, held inside a ``with`` block.

    Args:
        lake: the lake; it is there already.
        command: what the holder does, for the message that others get.
        run_id: name of the run; by default, one of its own.

    Raises:
        BackpromptError: on entering, if another process holds the lake and lives, or may live.
    """

    lake: Lake
    command: str
    run_id: str = field(default_factory=lambda: uuid4().hex[:12])
    is_whole: bool = False
    """Whether nothing that holders began, this one included, is half done; the holder says when it has seen to that."""
    _token: str = field(default_factory=lambda: uuid4().hex)
    _done: threading.Event = field(default_factory=threading.Event)
    _beat: threading.Thread | None = None
    _is_lost: bool = False
    _heard: float = field(default_factory=time.time)
    """When the lease was last seen to be ours, in seconds of ``time.time``, which goes on while a machine sleeps."""

    def __enter__(self) -> Lease:
        """Take the lake, or say who has it."""
        _OURS.add(self._token)
        try:
            self._take()
        except BaseException:
            _OURS.discard(self._token)
            raise
        self._beat = threading.Thread(target=self._give_signs, name="lease", daemon=True)
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lake back, unless it was taken over."""
        self._done.set()
        if self._beat is not None:
            self._beat.join()
        try:
            self._change(self._token, {"is_held": False, "is_whole": self.is_whole and error is None})
        except Exception:
            # What ended the work says more, and the hold is void without it.
            if error is None:
                raise
        finally:
            _OURS.discard(self._token)

    def check(self) -> None:
        """Make sure that the lake is still ours; called before each batch.

        Raises:
            LeaseLost: if it is not.
        """
        # A process that was stopped for a while must not believe what it knew before.
        if time.time() - self._heard > 2 * SIGN_OF_LIFE.total_seconds():
            self._is_lost = not self._is_ours()
        if self._is_lost:
            raise LeaseLost(
                f"Another run has taken over lake {self.lake}, as nothing was heard of this one for "
                f"{_minutes(SILENCE)}. The tables are whole; once the other has ended, the same command goes on."
            )

    # ------------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        while True:
            found = self._read() or self._make()
            if found["token"] == self._token:
                return
            self.is_whole = found["is_whole"] and not found["is_held"]
            if found["is_held"] and (reason := _may_live(found)):
                raise BackpromptError(_refusal(self.lake, found, reason))
            self._change(found["token"], {**self._mine(), "token": self._token, "is_held": True, "is_whole": False})

    def _make(self) -> Row:
        free = {**self._mine(), "token": uuid4().hex, "is_held": False, "is_whole": False}
        rows = self.lake.spark.createDataFrame([tuple(free[name] for name in SCHEMA.fieldNames())], SCHEMA)
        # Two may come here together, or one where another was killed half-way: Delta refuses or skips what is there.
        with _unless_beaten():
            self.lake.ensure(TABLE, SCHEMA, {}, partition_by=())
        with _unless_beaten():
            self.lake.append(rows.coalesce(1), TABLE, TABLE, 0)
        row = self._read()
        if row is None:
            raise BackpromptError(
                f"Table {self.lake.where(TABLE)} is empty, so it cannot be told who writes the lake. If nobody does, "
                "delete that table's folder (or drop the table) and start again."
            )
        return row

    def _mine(self) -> dict[str, Any]:
        now = _now()
        return {
            "command": self.command,
            "run_id": self.run_id,
            "owner": _owner(),
            "machine": _machine(),
            "process": os.getpid(),
            "process_started": _started(os.getpid()),
            "held_since": now,
            "seen_at": now,
        }

    def _read(self) -> Row | None:
        return self.lake.read(TABLE, SCHEMA).first() if self.lake.exists(TABLE) else None

    def _is_ours(self) -> bool:
        row = self._read()
        return row is not None and row["token"] == self._token

    def _change(self, token: str, values: dict[str, Any]) -> None:
        """Change the row if the token is still the one given; a change by another at the same time wins."""
        literals = {name: F.lit(value).cast(SCHEMA[name].dataType) for name, value in values.items()}
        with _unless_beaten():
            self.lake.delta(TABLE).update(F.col("token") == token, literals)

    def _give_signs(self) -> None:
        while not self._done.wait(SIGN_OF_LIFE.total_seconds()):
            try:
                self._change(self._token, {"seen_at": _now()})
                self._is_lost = not self._is_ours()
                self._heard = time.time()
            except Exception:  # storage that is away for a while; others must not take us for dead before we do
                self._is_lost = time.time() - self._heard > (SILENCE - SIGN_OF_LIFE).total_seconds()
            if self._is_lost:
                return


@contextmanager
def _unless_beaten() -> Iterator[None]:
    """Pass over that another process made the change first."""
    try:
        yield
    except Exception as error:
        words = type(error).__name__ + str(error)
        if not any(each in words for each in ("Concurrent", "ALREADY_EXISTS", "already exists")):
            raise


def _may_live(holder: Row) -> str:
    """Say why a holder cannot be taken for dead; "" if it can."""
    if holder["machine"] == _machine():
        if holder["process"] == os.getpid():
            return "it runs" if holder["token"] in _OURS else ""
        started = _started(holder["process"])
        if started is None and not Path("/proc/self/stat").exists():
            return "" if not _is_running(holder["process"]) else "it runs"
        return "it runs" if started is not None and started == holder["process_started"] else ""
    silent = datetime.now(UTC) - datetime.fromisoformat(holder["seen_at"])
    return "" if silent > SILENCE else f"if it was killed, it is taken over {_minutes(SILENCE)} after that"


def _refusal(lake: Lake, holder: Row, reason: str) -> str:
    return (
        f"Lake {lake} is being written by another process: 'backprompt {holder['command']}' of {holder['owner']}, run "
        f"{holder['run_id']}, process {holder['process']} on {holder['machine'].split('/')[0]}, since "
        f"{holder['held_since']}, last heard of at {holder['seen_at']} ({reason}). Wait until it ends, or stop it."
    )


def _machine() -> str:
    """Name what a process id means something in: the host, its boot, and the container's space of processes."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux
        pass
    return "/".join(parts)


def _started(process: int) -> int | None:
    """Return when a process started, so that another with the same number is not taken for it; None if it is gone."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} minutes"
