"""Runs that lose a process half-way make what a run makes that nothing disturbed: the driver, or a cluster's worker."""

import shutil
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.runtime.accounting import check
from jobs.runtime.lake import Lake
from tests.e2e.cluster_tools import finish, pack, spark_cluster, start, submit, submit_environment, wait_for
from tests.soak.compare import differences
from tests.soak.processes import Run, descendants
from tests.soak.soak import Commit, Moment, run_arguments, run_until

# Several whole runs, one after another, each a process of its own.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_two_kills_change_nothing(spark, small, tmp_path):
    path, log = tmp_path / "lake", tmp_path / "runs.log"
    # The table has the batch, and neither the index nor `runs` nor the checkpoint do.
    for stage in ("dedup", "translate"):
        moment = Moment(0, 0.0, stage, 0.0, Commit(stage, 1, 0.0))
        run = Run(run_arguments(small.corpus, path), log)
        reached = run_until(run, moment, path, 0.0, 0.0)
        killed = run.kill()
        assert reached, log.read_text(encoding="utf-8")
        assert killed >= 2, "Python and Java"
        assert run.stage == stage
    Run(run_arguments(small.corpus, path), log).finish()
    lake = Lake(spark, str(path))
    assert differences(small.lake, lake) == []
    assert [finding for finding in check(lake) if finding.problem] == []


def test_the_comparison_finds_a_lost_a_doubled_and_a_changed_row(spark, small, tmp_path):
    path = tmp_path / "lake"
    shutil.copytree(small.lake.location, path)
    lake = Lake(spark, str(path))
    lost, doubled, changed = (row["doc_id"] for row in lake.read("clean").orderBy("doc_id").limit(3).collect())
    again = lake.read("clean").where(F.col("doc_id") == doubled)
    lake.append(again, "clean", "again", 0)
    lake.delta("clean").delete(F.col("doc_id") == lost)
    lake.delta("clean").update(F.col("doc_id") == changed, {"title": F.lit("another")})
    found = differences(small.lake, lake)
    assert len(found) == 3
    assert f"{lost}'}}: 1 rows and 0" in found[0]
    assert f"{doubled}'}}: 1 rows and 2" in found[1]
    assert f"{changed}'}}, column title" in found[2]


# A cluster: a master and two workers, all processes of their own --------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    pack(folder)
    return folder


@pytest.fixture(scope="module")
def cluster(folder):
    with spark_cluster(folder) as cluster:
        yield cluster


def commands_of(worker):
    """Return the command lines of a worker and of all that it has started."""
    return [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in descendants(worker.process.pid)]


def executors(worker):
    """Return the folders of the executors that a worker has started."""
    return list((worker.log.parent / worker.log.stem).glob("app-*/*"))


def test_a_run_makes_the_same_tables_as_on_one_machine_and_survives_the_loss_of_a_worker(spark, cluster, folder, small):
    lake = folder / "lake"

    def send(name, *arguments):
        command = submit(cluster.url, (*arguments, "--lake", f"file://{lake}"), folder, {})
        return start(command, folder / f"{name}.log", submit_environment())

    run = send("run", "run", "--recipe", small.recipe)
    wait_for("the first batch of translate", lambda: bool(list(lake.glob("translate/language=*"))), 240, run)
    assert all(executors(worker) for worker in cluster.workers), "both workers take part"
    daemons = [command for command in commands_of(cluster.workers[0]) if "daemon" in command]
    assert daemons
    assert not any("jobs.runtime.python_daemon" in command for command in daemons), "a cluster keeps its own settings"
    cluster.workers[0].stop()
    assert run.process.poll() is None
    assert "Five of the pairs" in finish(run)
    assert "All checks passed." in finish(send("check", "check"))
    assert differences(small.lake, Lake(spark, str(lake))) == []
