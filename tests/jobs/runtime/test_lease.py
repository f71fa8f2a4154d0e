"""Who holds a lake: one at a time, whoever was killed is followed at once on the same machine."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.runtime import lease as leases
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.lease import SILENCE, TABLE, Lease, LeaseLost


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Any) -> Lake:
    lake = Lake(spark, str(tmp_path / "lake"))
    lake.create()
    return lake


def change(lake: Lake, **values: Any) -> None:
    schema = leases.SCHEMA
    lake.delta(TABLE).update(set={name: F.lit(value).cast(schema[name].dataType) for name, value in values.items()})


def test_the_second_is_told_who_holds_the_lake_and_since_when(lake: Lake) -> None:
    with Lease(lake, "run", "first") as held:
        held.check()
        since = lake.read(TABLE).first()["held_since"]
        with pytest.raises(BackpromptError, match=rf"run first, process \d+ on .*since {re.escape(since)}.*it runs"):
            Lease(lake, "forget", "second").__enter__()
    with Lease(lake, "run", "third"):
        assert lake.read(TABLE).first()["run_id"] == "third"
    assert lake.read(TABLE).count() == 1


def test_one_of_two_that_come_together_gets_it(lake: Lake) -> None:
    with Lease(lake, "run", "before"):
        pass
    barrier, won, refused = threading.Barrier(4), [], []

    def come(name: str) -> None:
        other = Lake(lake.spark, lake.location)
        barrier.wait()
        try:
            won.append(Lease(other, "run", name).__enter__())
        except BackpromptError:
            refused.append(name)

    threads = [threading.Thread(target=come, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 3)
    won[0].__exit__(None, None, None)


def test_a_killed_holder_of_this_machine_is_followed_at_once(lake: Lake) -> None:
    with Lease(lake, "run", "killed"):
        pass
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as holder:
        change(lake, is_held=True, process=holder.pid, process_started=leases._started(holder.pid))
        with pytest.raises(BackpromptError, match=f"process {holder.pid} "):
            Lease(lake, "run", "other").__enter__()
        # Another process that has the number now is not the holder.
        change(lake, process_started=1)
        with Lease(lake, "run", "other"):
            pass
        change(lake, is_held=True, process=holder.pid, process_started=leases._started(holder.pid))
        holder.kill()
    with Lease(lake, "run", "next"):
        assert lake.read(TABLE).first()["run_id"] == "next"


def test_a_holder_elsewhere_is_followed_after_some_silence(lake: Lake) -> None:
    with Lease(lake, "run", "elsewhere"):
        pass
    now = datetime.now(UTC)
    change(lake, is_held=True, machine="elsewhere/boot/pid", seen_at=(now - SILENCE / 2).isoformat())
    with pytest.raises(BackpromptError, match=r"on elsewhere, .*taken over 10 minutes after that"):
        Lease(lake, "run", "other").__enter__()
    change(lake, seen_at=(now - SILENCE - timedelta(minutes=1)).isoformat())
    with Lease(lake, "run", "other"):
        assert lake.read(TABLE).first()["run_id"] == "other"


def test_a_holder_learns_that_it_was_taken_over(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SIGN_OF_LIFE", timedelta(seconds=0.2))
    with Lease(lake, "run", "slow") as held:
        before = lake.read(TABLE).first()["seen_at"]
        assert before
        change(lake, token="another")
        assert held._beat is not None
        held._beat.join(timeout=30)
        with pytest.raises(LeaseLost, match="taken over"):
            held.check()
    # Nor does it give back what is no longer its own.
    assert lake.read(TABLE).first()["is_held"]


def test_signs_of_life_are_given(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SIGN_OF_LIFE", timedelta(seconds=0.2))
    with Lease(lake, "run", "alive") as held:
        change(lake, seen_at="2020-01-01T00:00:00+00:00")
        for _ in range(100):
            if lake.read(TABLE).first()["seen_at"] > "2021":
                break
        else:
            pytest.fail("no sign of life")
        held.check()


def test_a_hold_that_could_not_be_given_back_binds_nobody(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), Lease(lake, "run", "failed") as held:  # noqa: PT012
        monkeypatch.setattr(held, "_change", lambda *_: 1 / 0)
        raise ZeroDivisionError
    assert lake.read(TABLE).first()["is_held"]
    with Lease(lake, "run", "next"):
        assert lake.read(TABLE).first()["run_id"] == "next"


def test_a_table_that_a_killed_run_left_empty_is_filled(lake: Lake) -> None:
    lake.ensure(TABLE, leases.SCHEMA, {}, partition_by=())
    with Lease(lake, "run", "next"):
        assert lake.read(TABLE).first()["run_id"] == "next"


def test_a_lake_is_whole_once_a_holder_says_so_and_until_one_fails(lake: Lake) -> None:
    with Lease(lake, "run") as first:
        assert not first.is_whole
        first.is_whole = True
    with Lease(lake, "forget") as second:
        assert second.is_whole
    with pytest.raises(ZeroDivisionError), Lease(lake, "run") as failed:  # noqa: PT012
        assert failed.is_whole
        raise ZeroDivisionError
    with Lease(lake, "vacuum") as after:
        assert not after.is_whole  # and that it ends well itself mends nothing
    with Lease(lake, "run") as last:
        assert not last.is_whole
        last.is_whole = True
    change(lake, is_held=True, machine=leases._machine(), process_started=1)  # killed
    with Lease(lake, "run") as next_one:
        assert not next_one.is_whole
