"""Two runs on fresh lakes give the same tables, whatever the cores and partitions."""

import os
import subprocess
import sys

from jobs.runtime.lake import Lake
from tests.e2e.test_demo import STAGES, rows_of


def test_another_process_with_other_cores_and_partitions_makes_the_same_tables(spark, small, tmp_path):
    path = tmp_path / "lake"
    command = [sys.executable, "-m", "jobs", "run", "--recipe", str(small.recipe), "--lake", str(path)]
    conf = [
        "--conf",
        "spark.master=local[3]",
        "--conf",
        "spark.sql.shuffle.partitions=7",
        "--conf",
        "spark.driver.memory=2g",
    ]
    done = subprocess.run([*command, *conf], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, "Spark's noise belongs into the log"
    for expected in ("Rejected, by reason", "Five of the pairs", "Log:", "Next:", "not training-grade"):
        assert expected in done.stdout
    other = Lake(spark, str(path))
    for table in [*STAGES, "pairs", "splits"]:
        assert rows_of(other, table) == rows_of(small.lake, table), table
