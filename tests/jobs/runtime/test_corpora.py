"""Which files of a large corpus are looked at; no Spark."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.runtime.corpora import Corpus
from jobs.sources.jsonl import JsonlSettings
from udfs.records import CorpusFile


def corpus(language: str | None, *sizes: int) -> Corpus:
    source: Any = JsonlSettings(name="own", path="/own", license="x")
    files = [(CorpusFile(f"file:/own/{at}", f"/own/{at}", str(at), language), size) for at, size in enumerate(sizes)]
    return Corpus(source, tuple(sorted(files, key=lambda each: -each[1])))


def test_the_file_of_median_size_stands_for_a_language() -> None:
    ((part, times),) = corpus("cat_Latn", 900, 10, 1_000, 1_100, 990).parts()
    assert (part.path, part.language) == ("/own/4", "cat_Latn")
    assert times == pytest.approx(4_000 / 990)


def test_where_records_tell_their_language_several_files_do() -> None:
    parts = list(corpus(None, *([100] * 10), 1_000).parts())
    assert [part.path for part, _ in parts] == ["/own/0", "/own/10", "/own/3", "/own/5", "/own/7"]
    assert {times for _, times in parts} == {2_000 / 1_400}
    assert [times for _, times in corpus(None, 5, 7).parts()] == [1, 1]
