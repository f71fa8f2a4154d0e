"""Tasks get GPUs of their own from Spark: a worker that says it has two, and tasks that say which they were given."""

import json
from collections import defaultdict
from itertools import pairwise

import pytest

from tests.e2e.cluster_tools import finish, pack, spark_cluster, start, submit, submit_environment

pytestmark = pytest.mark.slow

DISCOVERY = """#!/bin/sh
echo '{"name": "gpu", "addresses": ["0", "1"]}'
"""
PROGRAM = """
import json, sys, time
import pyarrow as pa
from jobs.runtime.session import get_session

def note(batches):
    from jobs.stages.engines import task_devices
    for _ in batches:
        pass
    began = time.time()
    time.sleep(0.5)
    devices = json.dumps(task_devices())
    yield pa.RecordBatch.from_pylist([{"devices": devices, "began": began, "ended": time.time()}])

spark = get_session()
noted = spark.range(8).repartition(8).mapInArrow(note, "devices string, began double, ended double")
noted.toPandas().to_json(sys.argv[1], orient="records")
"""


def test_tasks_at_once_never_share_a_gpu(tmp_path):
    pack(tmp_path)
    script, program, out = tmp_path / "gpus.sh", tmp_path / "program.py", tmp_path / "out.json"
    script.write_text(DISCOVERY)
    script.chmod(0o755)
    program.write_text(PROGRAM)
    gpus = {"spark.worker.resource.gpu.amount": 2, "spark.worker.resource.gpu.discoveryScript": script}
    with spark_cluster(tmp_path, workers=1, cores=4, worker_settings=gpus) as cluster:
        settings = {
            "spark.executor.cores": 4,
            "spark.executor.resource.gpu.amount": 2,
            "spark.task.resource.gpu.amount": 1,
            "spark.sql.adaptive.enabled": "false",
        }
        command = submit(cluster.url, [out], tmp_path, settings)
        command[command.index(tmp_path / "jobs" / "__main__.py")] = program
        finish(start(command, tmp_path / "run.log", submit_environment()))
    tasks = json.loads(out.read_text())
    assert len(tasks) == 8
    spans = defaultdict(list)
    for task in tasks:
        ((name, (address,)),) = json.loads(task["devices"])
        assert name == "gpu"
        spans[address].append((task["began"], task["ended"]))
    assert spans.keys() == {"0", "1"}
    for of_one in spans.values():
        of_one.sort()
        assert all(ended <= began for (_, ended), (began, _) in pairwise(of_one))
