"""Documents are taken out of a lake made of real ones: everywhere, for good, down to the files."""

import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from jobs.__main__ import main
from jobs.commands.forget import forget
from jobs.runtime import removals
from jobs.runtime.dedup_index import DedupIndex
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.maintenance import tables
from tests.conftest import run_recipe
from tests.e2e.test_demo import STAGES, problems
from tests.soak.corpus import Corpus

NEVER_SEEN = "0" * 64


@pytest.fixture(scope="module")
def chosen(small):
    """Three pairs; one of them has a URL of its own."""
    lake = small.lake
    pairs = lake.read("pairs")
    urls = lake.read("documents").groupBy("url").count().where("url is not null and count = 1").select("url")
    by_url = pairs.join(urls, "url").orderBy("pair_id").first()
    others = pairs.where(F.col("pair_id") != by_url["pair_id"]).orderBy("pair_id").limit(2).collect()
    first, second = (row["pair_id"] for row in others)
    return SimpleNamespace(pair=first, other=second, url=by_url["url"], ids={first, second, by_url["pair_id"]})


@pytest.fixture(scope="module")
def forgotten(spark, small, chosen, tmp_path_factory):
    """The lake after both commands, and what they printed."""
    folder = tmp_path_factory.mktemp("forget")
    shutil.copytree(small.lake.location, folder / "lake")
    (folder / "ids.txt").write_text(f"\ufeff{chosen.pair}\r\n\n {chosen.other}\n{NEVER_SEEN}\n", encoding="utf-8")
    (folder / "urls.txt").write_text(f"{chosen.url}\nhttps://never.seen/\x1b[2J\n", encoding="utf-8")
    printed = []
    for option, file in (("--ids", "ids.txt"), ("--urls", "urls.txt")):
        with redirect_stdout(StringIO()) as out:
            assert main(["forget", "--lake", str(folder / "lake"), option, str(folder / file)]) == 0
        printed.append(out.getvalue())
    return SimpleNamespace(path=folder / "lake", lake=Lake(spark, str(folder / "lake")), printed=printed)


def documents_of(lake, table, ids):
    rows = lake.read(table)
    key = next(name for name in ("doc_id", "pair_id") if name in rows.columns)
    return rows.where(F.col(key).isin(list(ids)))


def test_they_are_in_no_table(small, forgotten, chosen):
    for table in [*STAGES, "pairs", "splits"]:
        left = documents_of(forgotten.lake, table, chosen.ids)
        assert left.isEmpty(), table
        was = documents_of(small.lake, table, chosen.ids).count()
        assert was > 0, table
        assert forgotten.lake.read(table).count() == small.lake.read(table).count() - was
    for stage in ("dedup", "dedup_instructions", "dedup_outputs"):
        held = DedupIndex(forgotten.lake, f"{stage}_index").ids()
        assert held.where(F.col("doc_id").isin(list(chosen.ids))).isEmpty(), stage
    hashes = [F.xxhash64(F.lit(each)) for each in chosen.ids]
    assert forgotten.lake.read("dedup_lines_index").where(F.col("document").isin(hashes)).isEmpty()


def test_every_check_passes_and_commands_show_them_no_more(forgotten, chosen, capsys):
    assert problems(forgotten.lake) == []
    for command in (["status"], ["clusters"], ["show", "--table", "pairs"]):
        assert main([*command, "--lake", str(forgotten.path)]) == 0
    assert chosen.pair not in capsys.readouterr().out


def test_what_was_done_is_printed(forgotten, chosen):
    by_id, by_url = forgotten.printed
    assert "2 documents forgotten" in by_id
    assert NEVER_SEEN in by_id
    assert chosen.pair not in by_id
    for table in ("documents", "pairs", "splits", "dedup_outputs_index"):
        assert f"\n{table} " in by_id
    assert "1 documents forgotten" in by_url
    assert "https://never.seen/" in by_url
    assert "\x1b" not in by_url, "a file's text steers no terminal"


def test_a_run_takes_them_in_no_more_and_goes_on(spark, small, forgotten, chosen, tmp_path):
    shutil.copytree(forgotten.path, tmp_path / "lake")
    lake = Lake(spark, str(tmp_path / "lake"))
    # The same corpora with more documents, so that they are read again.
    more = Corpus(tmp_path / "project", documents=8, languages=small.corpus.languages, dumps=False)
    more.lay(0)
    outcome, _ = run_recipe(spark, more.recipe, tmp_path / "lake")
    assert outcome.new_rows["documents"] > 0
    assert outcome.new_rows["pairs"] > 0
    for table in [*STAGES, "pairs", "splits"]:
        assert documents_of(lake, table, chosen.ids).isEmpty(), table
    assert problems(lake) == []


def words_of(path: Path) -> str:
    """All text that a file holds; Parquet is compressed."""
    if path.suffix != ".parquet":
        return path.read_bytes().decode("utf-8", "replace")
    table = pq.ParquetFile(path).read()
    texts = [column.cast(pa.string()) for column in table.columns if pa.types.is_string(column.type)]
    lists = [column for column in table.columns if pa.types.is_list(column.type)]
    return "\n".join(str(each) for column in (*texts, *lists) for each in column.to_pylist())


def files_with(folder: Path, text: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text in words_of(path)]


def test_a_purge_leaves_no_text_in_any_file(spark, small, forgotten, chosen, tmp_path, capsys):
    shutil.copytree(forgotten.path, tmp_path / "lake")
    texts = []
    for row in documents_of(small.lake, "screen", chosen.ids).collect():
        texts += [line for name in ("text", "text_en", "instruction_src") for line in row[name].split("\n")]
    # What other documents hold too, such as a headline of one word, says nothing.
    texts = [each for each in texts if len(each) > 60]
    standing = "\n".join(
        str(value)
        for table in tables(forgotten.lake)
        for row in forgotten.lake.read(table).collect()
        for value in row
        if isinstance(value, str)
    )
    texts = [each for each in texts if each not in standing]
    assert len(texts) >= 10
    assert files_with(tmp_path / "lake", texts[0])
    (tmp_path / "ids.txt").write_text(chosen.pair)
    assert main(["forget", "--lake", str(tmp_path / "lake"), "--ids", str(tmp_path / "ids.txt"), "--purge"]) == 0
    assert "files deleted in" in capsys.readouterr().out
    words = "\n".join(words_of(path) for path in (tmp_path / "lake").rglob("*") if path.is_file())
    assert [each for each in texts if each in words] == []
    assert problems(Lake(spark, str(tmp_path / "lake"))) == []
    outcome, _ = run_recipe(spark, small.recipe, tmp_path / "lake")
    assert not any(outcome.new_rows.values())


@pytest.mark.parametrize(
    ("option", "content", "problem"),
    [
        ("--ids", b"https://example.org/a\n", "line 1: 'https://example.org/a' is no id of a document.*--urls"),
        ("--ids", b"\n \n", "the file names nothing"),
        ("--urls", b"http://x/\n" + b"0" * 64, "line 2: .* is an id: name ids with --ids"),
        ("--urls", b"\xff\xfe", "cannot be read as UTF-8 text"),
    ],
)
def test_what_cannot_be_meant_is_refused(small, tmp_path, capsys, option, content, problem):
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    assert main(["forget", "--lake", small.lake.location, option, str(file)]) == 2
    error = capsys.readouterr().err
    assert str(file) in error
    assert re.search(problem, error), error
    assert not small.lake.exists(removals.TABLE)


def test_a_lake_without_documents_is_named(spark, tmp_path):
    (tmp_path / "ids.txt").write_text(NEVER_SEEN)
    lake = Lake(spark, str(tmp_path / "lake"))
    with pytest.raises(BackpromptError, match="no table 'documents'"):
        forget(lake, ids=tmp_path / "ids.txt")
    with pytest.raises(BackpromptError, match="either --ids FILE or --urls FILE"):
        forget(lake)
