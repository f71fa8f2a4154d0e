"""Of which pairs reviewers are asked: those whose instruction was written for their text, or those of named sources."""

import io

import pytest
from rich.console import Console

from jobs.commands.review import ReviewRequest, prepare
from jobs.runtime.errors import BackpromptError
from tests.jobs.review.conftest import pair

OWN = [pair(n, source="xp3", generator="source") for n in range(5)]


@pytest.fixture(scope="module")
def lakes(lake_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    written = [*(pair(n) for n in range(5)), *(pair(n, source="culturax") for n in range(5))]
    return lake_of(folder / "both", [*written, *OWN]), lake_of(folder / "own", OWN)


def sources(lake, **wishes):
    site = prepare(Console(file=io.StringIO()), lake, None, ReviewRequest(**wishes))
    site.store.close()
    return {item.pair.source for item in site.items["spa_Latn"]}


def test_instructions_of_the_sources_own_are_shown_if_they_are_named(lakes):
    lake, own = lakes
    assert sources(lake) == {"wikipedia", "culturax"}
    assert sources(lake, sources=("culturax", "xp3")) == {"culturax", "xp3"}
    with pytest.raises(BackpromptError, match=r"all are their sources' own.*--source xp3$"):
        sources(own)
    with pytest.raises(BackpromptError, match="no pairs of source 'xp4'; it has culturax, wikipedia, xp3"):
        sources(lake, sources=("xp4",))


def test_two_comparisons_have_two_names(lakes):
    lake, _ = lakes
    names = set()
    for own in ("wikipedia", "xp3"):
        wishes = ReviewRequest("compare", sources=(own,), other_sources=("culturax",))
        site = prepare(Console(file=io.StringIO()), lake, None, wishes)
        site.store.close()
        names.add(site.store._reviewing.compared_with)
    assert names == {"culturax (own pairs: wikipedia)", "culturax (own pairs: xp3)"}
