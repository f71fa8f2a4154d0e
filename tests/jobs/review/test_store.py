"""What is acknowledged is in the table, once, whatever goes wrong meanwhile."""

import time

import pytest

from jobs.review import store
from jobs.review.sample import choose
from jobs.review.store import Review, Reviewing, Store, latest, reviewed
from jobs.runtime import removals
from jobs.runtime.errors import BackpromptError
from jobs.runtime.schema import DOCUMENTS, REVIEWS, TAIL, join_columns
from tests.jobs.review.conftest import pair

ABOUT = Reviewing("muri", 3, "g")


@pytest.fixture
def lake(lake_of, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_GATHER_SECONDS", 0.1)
    monkeypatch.setattr(store, "_RETRY_SECONDS", 0.1)
    return lake_of(tmp_path / "lake", [pair(n) for n in range(3)])


@pytest.fixture
def items(lake):
    return choose(lake.read("pairs"), 3, 5).items


def stored(lake):
    return {(row["reviewer"], row["pair_id"]): row["marks"] for row in latest(lake.read("reviews", REVIEWS)).collect()}


def test_a_save_that_fails_is_repeated_until_it_is_there_once(lake, items, monkeypatch):
    one, two, three = items["spa_Latn"]
    held, append, fails = Store(lake, ABOUT, items), lake.append, iter([True, False, True, False])

    def failing(*arguments, **options):
        # Once before anything is written, once after all of it was.
        if next(fails, None) is True:
            raise OSError("the disk is away\nfor a while")
        append(*arguments, **options)
        if next(fails, None) is True:
            raise OSError("no answer")

    monkeypatch.setattr(lake, "append", failing)
    saved = held.save(Review("Ana", one, {"alignment": 4}))
    assert held.get("Ana", one).marks == {"alignment": 4}
    assert held.saved("Ana", one).marks == {}
    saved.result(60)
    assert held.saved("Ana", one).marks == {"alignment": 4}
    assert held.trouble == ""
    futures = [held.save(Review("Ben", item, {"alignment": 1})) for item in (two, three)]
    futures += [held.save(Review("Ben", two, {"alignment": value})) for value in (2, 3)]
    for each in futures:
        each.result(60)
    assert lake.read("reviews").count() == 3  # of what came in together, the last state
    held.close()
    expected = {("Ana", one): {"alignment": 4}, ("Ben", two): {"alignment": 3}, ("Ben", three): {"alignment": 1}}
    assert stored(lake) == {(name, item.pair.pair_id): marks for (name, item), marks in expected.items()}

    again = Store(lake, ABOUT, items)
    assert again.get("Ben", two).marks == {"alignment": 3}
    again.save(Review("Ben", two, {"alignment": 5}, "so")).result(60)
    again.close()
    assert stored(lake)["Ben", two.pair.pair_id] == {"alignment": 5}
    assert reviewed(lake, ABOUT).count() == 3
    assert reviewed(lake, Reviewing("muri", 4, "g")).count() == 0
    with pytest.raises(RuntimeError, match="closed"):
        again.save(Review("Ben", two))


def test_what_cannot_be_saved_is_never_said_to_be(lake, items, monkeypatch):
    held = Store(lake, ABOUT, items)

    def failing(*arguments, **options):
        raise OSError("the disk is away\nfor good")

    monkeypatch.setattr(lake, "append", failing)
    saved = held.save(Review("Ana", items["spa_Latn"][0], {"alignment": 4}))
    deadline = time.monotonic() + 30
    while not held.trouble and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (held.trouble, saved.done()) == ("the disk is away", False)
    with pytest.raises(BackpromptError, match=r"Of 1 pairs, .* could not be saved: the disk is away"):
        held.close()
    with pytest.raises(OSError, match="for good"):
        saved.result(0)
    assert held.saved("Ana", items["spa_Latn"][0]).marks == {}


def test_reviews_of_a_forgotten_document_go(spark, lake, items):
    held = Store(lake, ABOUT, items)
    for item in items["spa_Latn"]:
        held.save(Review("Ana", item, {"alignment": 4}, "as it says: ..."))
    held.close()
    lake.ensure("documents", join_columns(DOCUMENTS, TAIL), {})
    gone = items["spa_Latn"][0].pair.pair_id
    removed = removals.remove(lake, spark.createDataFrame([(gone,)], "doc_id string"), "forgotten")
    assert removed.rows["reviews"] == 1
    assert ("Ana", gone) not in stored(lake)
    assert len(stored(lake)) == 2
