"""The report on near-duplicate removal on the terminal, and from a lake."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.cells import cell_len
from rich.console import Console

from jobs.commands.clusters import print_clusters, print_report, settings_of, summarise_lake
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import flatten
from jobs.runtime.schema import DEDUP
from jobs.stages.dedup import STAGE, DedupSettings, ShingleChars
from jobs.stages.dedup_report import Cluster, DedupReport, EstimateCheck, Member, Share, SizeBin
from tests.builders import documents

CHINESE = "北京是中国的首都，也是一座古城。"
SETTINGS = DedupSettings(
    threshold=0.65,
    scope="source",
    keep="preferred_source",
    preferred_sources=("wiki", "web"),
    shingle_chars=ShingleChars(han=3),
    verify="exact",
)


def printed(write: Any, *arguments: Any, width: int = 100) -> str:
    out = io.StringIO()
    write(Console(file=out, width=width, highlight=False), *arguments)
    return out.getvalue()


def properties(values: dict[str, Any]) -> dict[str, str]:
    """Table properties as a run writes them."""
    return {"settings": json.dumps(values, sort_keys=True)}


def lake_of(spark: SparkSession, folder: Path, values: dict[str, Any]) -> Lake:
    lake = Lake(spark, str(folder))
    rows = documents(
        spark,
        [
            {"doc_id": "a", "text": CHINESE * 3, "language": "cmn_Hani"},
            {"doc_id": "b", "text": CHINESE * 4, "language": "cmn_Hani", "duplicate_of": "a",
             "cluster_id": "a", "cluster_size": 2, "similarity": 0.7, "rejected_for": ["dedup.duplicate"]},
            {"doc_id": "c", "text": "Un text sol.", "source": "[bold]x"},
        ],
        DEDUP,
    )  # fmt: skip
    lake.ensure("dedup", rows.schema, properties(values))
    lake.append(rows, "dedup", "test", 0)
    return lake


def test_a_lake_gives_its_settings_and_its_report(spark: SparkSession, tmp_path: Path) -> None:
    lake = lake_of(spark, tmp_path / "lake", flatten(SETTINGS.decisive()) | {"version": STAGE.version})
    assert settings_of(lake) == SETTINGS
    report = summarise_lake(lake)
    assert (report.documents, report.duplicates, report.threshold, report.verify) == (3, 1, 0.65, "exact")
    assert [each.text for each in (report.largest[0].kept, *report.largest[0].duplicates)] == [CHINESE * 3, CHINESE * 4]
    assert "[bold]x" in printed(print_report, report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": STAGE.version + 1}, f"this is version {STAGE.version} of the stage"),
        ({"novel": 1}, "novel: Extra inputs are not permitted"),
        ({"threshold": 2}, "threshold: Input should be less than or equal to 1"),
    ],
    ids=["version", "unknown", "wrong"],
)
def test_settings_of_another_version_are_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    lake = Lake(spark, str(tmp_path))
    values = flatten(SETTINGS.decisive()) | {"version": STAGE.version} | change
    monkeypatch.setattr(lake, "read", lambda _: None)
    monkeypatch.setattr(lake, "properties", lambda _: properties(values))
    with pytest.raises(BackpromptError, match=f"Table dedup of .* not by it: {message}.*--rebuild dedup"):
        settings_of(lake)
    monkeypatch.setattr(lake, "properties", lambda _: {})
    with pytest.raises(BackpromptError, match="made by another version of Backprompt, or not by it"):
        settings_of(lake)


def test_a_lake_without_the_table_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(BackpromptError, match="has no table 'dedup'"):
        settings_of(Lake(spark, str(tmp_path)))


def test_wide_and_right_to_left_texts_and_markup_are_printed_as_they_are() -> None:
    chinese, hebrew = "北京是中国的首都" * 25, "שלום עולם " * 20
    report = DedupReport(
        threshold=0.8, verify="estimate", documents=4, duplicates=2, share=0.5, superseded=0, kept_elsewhere=0,
        sizes=(SizeBin(1, 1, 1, 1), SizeBin(3, 4, 1, 3)),
        shares={"source": (Share("[red]新聞[/red]", 3, 2, 2 / 3), Share("web", 1_000, 0, 0.0))},
        estimate=EstimateCheck(2, 0.0101, 0.02, 0.03, {"0.8": 0.5}),
        largest=(
            Cluster("k", 3, 1, Member("k", None, "cmn_Hani", "[b]n[/b]", chinese),
                    (Member("x\x1b[31m", 0.8, None, None, hebrew), Member("y", 1.0, None, None, "a <b> | [i]c[/i]"))),
        ),
    )  # fmt: skip
    text = printed(print_report, report, width=80)
    assert "\x1b" not in text
    assert "a <b> | [i]c[/i]" in text
    assert "[b]n[/b]" in text
    plain = text.replace("\u2068", "").replace("\u2069", "")
    assert all(cell_len(line) <= 80 for line in plain.splitlines()[1:]), "only the first sentence may be longer"
    joined = "".join(line.strip() for line in plain.splitlines())
    assert chinese in joined
    rows = [line for line in plain.splitlines() if line.startswith(("[red]新聞[/red]", "web"))]
    assert len(rows) == 2
    assert len({cell_len(line) for line in rows}) == 1, "numbers stand below each other"
    assert rows[0].split()[1:] == ["3", "2", "66.7%"]
    assert "1.000" in plain
    assert "exact similarity below 0.8  50.0% of pairs" in plain


def test_an_empty_table_is_printed(spark: SparkSession) -> None:
    columns = "url string, body string, duplicate_of string, cluster_id string, similarity double"
    text = printed(print_clusters, spark.createDataFrame([], columns), "body", SETTINGS, "url")
    assert "0 documents" in text
    assert "whole sets of shingles" in text
    assert "largest" not in text
