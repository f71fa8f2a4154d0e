"""A whole run on a cluster into an object store: an S3 server of its own, s3a:// for tables, indexes and checkpoints.

The server is S3Proxy, with its objects in memory. Its jars and Hadoop's S3 client, some 700 MB, are fetched on first
use.
"""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow.fs import FileSelector, FileType, S3FileSystem

from jobs.runtime.lake import Lake
from tests.e2e.cluster_tools import (
    ROOT,
    SPARK,
    environment,
    finish,
    free_port,
    pack,
    spark_cluster,
    start,
    submit,
    submit_environment,
    wait_for,
)
from tests.soak.compare import differences

S3PROXY = "org.gaul:s3proxy:2.6.0"
HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.4.2"
# Not with Spark's own jars, which hold other versions of the same libraries.
S3PROXY_JARS = ROOT / "build" / "s3proxy"
IDENTITY, CREDENTIAL = "local-identity", "local-credential"
LOGBACK = """<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%level %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    pack(folder)
    return folder


def fetch_s3proxy(folder):
    """Have Spark's Ivy put S3Proxy and what it needs into one folder; return it."""
    jars = S3PROXY_JARS / "jars"
    if not list(jars.glob("org.gaul_s3proxy-*.jar")):
        program = folder / "nothing.py"
        program.write_text("")
        command = [SPARK / "bin" / "spark-submit", "--master", "local[1]", "--packages", S3PROXY]
        command += ["--conf", f"spark.jars.ivy={S3PROXY_JARS}", program]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{S3PROXY} cannot be fetched, which this test serves S3 with:\n{done.stderr[-3000:]}")
    return jars


@pytest.fixture(scope="module")
def s3(folder):
    """Serve one bucket; yield its address and the settings by which Spark reaches it."""
    jars, port = fetch_s3proxy(folder), free_port()
    (folder / "logback.xml").write_text(LOGBACK)
    properties = {
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": IDENTITY,
        "s3proxy.credential": CREDENTIAL,
        # As in S3 itself, a folder is an object whose name ends with a slash; kept in folders it would be lost.
        "jclouds.provider": "transient",
        "jclouds.identity": IDENTITY,
        "jclouds.credential": CREDENTIAL,
    }
    written = folder / "s3proxy.conf"
    written.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    command = ["java", f"-Dlogback.configurationFile={folder}/logback.xml", "-cp", f"{jars}/*"]
    server = start([*command, "org.gaul.s3proxy.Main", "--properties", written], folder / "s3.log", environment())
    try:
        wait_for("S3Proxy", lambda: server.said("Started"), 60, server)
        address = f"http://127.0.0.1:{port}"
        # The client's own check of what it reads, which this server has no sums for.
        os.environ["AWS_RESPONSE_CHECKSUM_VALIDATION"] = "when_required"
        store = S3FileSystem(
            access_key=IDENTITY, secret_key=CREDENTIAL, endpoint_override=address, allow_bucket_creation=True
        )
        store.create_dir("bucket")
        settings = {
            "spark.hadoop.fs.s3a.endpoint": address,
            "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.access.key": IDENTITY,
            "spark.hadoop.fs.s3a.secret.key": CREDENTIAL,
        }
        yield SimpleNamespace(store=store, settings=settings)
    finally:
        server.stop()


def send(folder, master, s3, name, *arguments, seconds=900):
    command = submit(master, arguments, folder, s3.settings, packages=[HADOOP_AWS])
    return finish(start(command, folder / f"{name}.log", submit_environment()), seconds)


def download(store, address, folder):
    """Put the objects below an address into a folder; those that stand for folders hold nothing."""
    for found in store.get_file_info(FileSelector(address, recursive=True)):
        if found.type == FileType.File and found.size:
            path = folder / Path(found.path).relative_to(address)
            path.parent.mkdir(parents=True, exist_ok=True)
            with store.open_input_file(found.path) as stream:
                path.write_bytes(stream.read())


@pytest.mark.timeout(2400)
def test_a_lake_in_an_object_store(spark, folder, small, s3):
    lake = ("--lake", "s3a://bucket/lake")
    with spark_cluster(folder) as cluster:
        written = send(folder, cluster.url, s3, "run", "run", "--recipe", small.recipe, *lake)
        assert "Five of the pairs" in written
        assert "All checks passed." in send(folder, cluster.url, s3, "check", "check", *lake)
        assert "Nothing is new" in send(folder, cluster.url, s3, "again", "run", "--recipe", small.recipe, *lake)
    kept = folder / "lake"
    download(s3.store, "bucket/lake", kept)
    assert list(kept.glob("_checkpoints/demo/pairs/**/commits/0")), "the checkpoints are there, too"
    assert differences(small.lake, Lake(spark, str(kept))) == []
