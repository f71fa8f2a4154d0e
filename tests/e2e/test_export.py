"""Exports through the command, read back by `datasets` and huggingface_hub as a user of the data does."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import StructType

pytest.importorskip("datasets")

import datasets
import huggingface_hub as hub

from jobs.__main__ import main
from jobs.commands import export as command
from jobs.commands.funnel import stand_in_share
from jobs.commands.report import Options as ReportOptions
from jobs.commands.report import gather
from jobs.export.forms import MURI_COLUMNS
from jobs.export.storage import LocalTarget, UrlTarget
from jobs.runtime.recipe import load_recipe
from tests.conftest import ROOT
from tests.jobs.export.lakes import ROWS, RUN, TALK, make_lake

STRINGS = {name: datasets.Value("string") for name in MURI_COLUMNS}


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    return make_lake(spark, tmp_path_factory.mktemp("export") / "lake")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def run(lake, to, *arguments):
    return main(["export", "--lake", str(lake), "--to", str(to), *arguments, "--debug"])


def counts(loaded):
    return {split: rows.num_rows for split, rows in loaded.items()}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*.*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def muri(lake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("muri") / "out"
    assert run(lake, folder, "--max-shard-rows", "10") == 0
    return folder


def test_columns_and_names_are_those_of_muri_it(muri, cache):
    loaded = datasets.load_dataset(str(muri), cache_dir=cache)

    assert counts(loaded) == {"train": 20, "validation": 1, "test": 1}
    assert loaded["train"].features == STRINGS
    assert list(loaded["train"].features) == list(MURI_COLUMNS)
    rows = loaded["train"].to_list()
    named = {(row["dataset_name"], row["subdataset_name"], row["language"], row["language_name"]) for row in rows}
    assert named == {
        ("MRI", "wikipedia", "cat", "Catalan"),
        ("MRI", "wikipedia", "ara", "Arabic"),
        ("MRI", "culturax/OSCAR-2109", "ara", "Arabic"),
        ("OpenAssistant", None, "eng", "English"),
        ("own", "qa", "yor", "Yoruba"),
    }
    arabic = next(row for row in rows if row["subdataset_name"] == "wikipedia" and row["language"] == "ara")
    assert (arabic["input"], arabic["output"], arabic["split"]) == ("من كان يوحنا؟", "كان فلاحا.", "train")


def test_every_language_is_a_config(muri, cache):
    names = datasets.get_dataset_config_names(str(muri), cache_dir=cache)
    assert sorted(names) == ["ara", "cat", "default", "eng", "yor"]

    found = {name: counts(datasets.load_dataset(str(muri), name, cache_dir=cache)) for name in names}

    assert found["cat"] == {"train": 16, "validation": 1, "test": 1}
    assert found["ara"] == {"train": 2}
    assert found["default"] == {
        split: sum(each.get(split, 0) for name, each in found.items() if name != "default") for split in found["cat"]
    }
    assert set(datasets.load_dataset(str(muri), "ara", cache_dir=cache)["train"]["language"]) == {"ara"}


def test_files_have_their_names_and_no_more_rows_than_asked(muri):
    files = sorted(str(path.relative_to(muri)) for path in muri.rglob("*.parquet"))
    assert "data/ara/train-00000-of-00001.parquet" in files
    large = [name for name in files if name.startswith("data/cat/train-")]
    total = len(large)
    assert large == [f"data/cat/train-{number:05d}-of-{total:05d}.parquet" for number in range(total)]
    rows = [pq.read_metadata(muri / name).num_rows for name in large]
    assert (sum(rows), max(rows) <= 10, total >= 2) == (16, True, True)
    assert not list(muri.parent.glob(".*")), "nothing is left beside it"
    assert {path.name for path in muri.iterdir()} == {"README.md", "data", "recipe"}


def test_the_card_is_what_hub_and_datasets_read(muri):
    card = hub.DatasetCard.load(muri / "README.md")
    data = card.data.to_dict()

    assert data["license"] == ["apache-2.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "mit", "odc-by"]
    assert data["language"] == ["ar", "arz", "ca", "en", "yo"]
    infos = datasets.info.DatasetInfosDict.from_dataset_card_data(card.data)
    configs = datasets.utils.metadata.MetadataConfigs.from_dataset_card_data(card.data)
    assert set(infos) == set(configs) == {"default", "ara", "cat", "eng", "yor"}
    assert configs.get_default_config_name() == "default"
    on_disk = sum(path.stat().st_size for path in muri.rglob("*.parquet"))
    assert infos["default"].download_size == on_disk
    assert {split: info.num_examples for split, info in infos["default"].splits.items()} == {
        "train": 20, "validation": 1, "test": 1,
    }  # fmt: skip
    measured = datasets.load_dataset("parquet", data_files=str(muri / "data/cat/*.parquet"), split="train").data.nbytes
    assert infos["cat"].dataset_size == pytest.approx(measured, rel=0.15)
    assert "| instruction by the embedded rules | 2 |" in card.content
    assert "facebook/nllb-200-3.3B" in card.content
    settings = (muri / "recipe" / "settings.yaml").read_text(encoding="utf-8")
    assert "fingerprint: 0123456789abcdef" in settings


def test_the_same_pairs_give_the_same_files(lake, muri, spark, tmp_path):
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        assert run(lake, tmp_path / "again", "--max-shard-rows", "10") == 0
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert digests(tmp_path / "again") == digests(muri)


def test_extended_form_has_lineage_scores_and_the_stand_ins_if_allowed(lake, tmp_path, cache, capsys):
    assert run(lake, tmp_path / "out", "--format", "extended", "--allow-stand-in", "--language-codes", "glotlid") == 0

    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    assert sum(counts(loaded).values()) == len(ROWS)
    train = loaded["train"]
    assert list(train.features)[:7] == list(MURI_COLUMNS)
    assert train.features["translation_quality"] == datasets.Value("float64")
    assert {"url", "license", "generator", "pair_id", "source", "hate_score"} <= set(train.features)
    assert "arz_Arab" in train["language"]
    row = next(row for row in train if row["source"] == "oasst")
    assert [(turn["role"], turn["content"]) for turn in row["messages"]] == [(t["role"], t["content"]) for t in TALK]
    assert next(row for row in train if row["source"] == "own")["flagged_words"] == ["x"]
    assert f"{len(ROWS)} pairs in 5 languages" in capsys.readouterr().out
    assert "put together by rules" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_chat_form_keeps_conversations_whole(lake, tmp_path, cache):
    assert run(lake, tmp_path / "out", "--format", "chat", "--layout", "flat") == 0

    (train,) = (tmp_path / "out" / "data").glob("train-*.jsonl")
    lines = [json.loads(line) for line in train.read_bytes().decode("utf-8").rstrip("\n").split("\n")]
    assert len(lines) == 20
    talk = next(line for line in lines if line["dataset_name"] == "OpenAssistant")
    assert talk["messages"] == TALK
    single = next(line for line in lines if line["language"] == "yor")
    assert [turn["role"] for turn in single["messages"]] == ["user", "assistant"]
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    assert counts(loaded) == {"train": 20, "validation": 1, "test": 1}
    assert TALK in [
        [{"role": turn["role"], "content": turn["content"]} for turn in talk] for talk in loaded["train"]["messages"]
    ]


def test_what_is_left_out_is_printed_and_in_the_card(lake, tmp_path, capsys):
    assert run(lake, tmp_path / "out", "--language", "ara", "--min", "translation_quality=0.6", "--layout", "flat") == 0

    assert stand_in_share(lake) == 2 / len(ROWS)
    said = capsys.readouterr().out
    assert said.startswith("1 pairs in 1 languages (train 1), 1 files")
    assert "left out: 22 pairs, language not asked for" in said
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| translation_quality not scored | 1 |" in card
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["train-00000-of-00001.parquet"]


@pytest.fixture(scope="module")
def bad(spark, tmp_path_factory):
    """One pair a source, each bad in a way of its own, but the first."""
    changes = [
        {},
        {"license": "unknown"},
        {"generator": "openai:lab/new-7b"},
        {"language": "xxa_Latn"},
        {"generator": "template-v1:news"},
    ]
    rows = [{"source": name} | change for name, change in zip("abcde", changes, strict=True)]
    return make_lake(spark, tmp_path_factory.mktemp("bad") / "lake", rows)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--source b", r"licence 'unknown' of source b \(1 pairs\) is not known.*--exclude-license 'unknown'"),
        ("--source c", r"model 'openai:lab/new-7b', which wrote for 1 pairs.*--model-license 'openai:lab/new-7b=Apa"),
        ("--source d", r"no name.*xxa_Latn.*--language-name xxa_Latn=NAME"),
        ("--source e", r"No pair .* is left .*4 source not asked for; 1 instruction by the emb.*--allow-stand-in"),
        ("--min hate_score=0.5", r"4 hate_score not scored"),
        ("--min beauty=0.5", r"--min beauty: table pairs of .* has no such score; it has .*hate_score"),
        ("--min hate_score=much", r"'much' is no number"),
        ("--max hate_score=nan", r"'nan' is no number"),
        ("--language xyz", r"No pair has the language 'xyz'; there are: cat_Latn, xxa_Latn"),
        ("--source web", r"--source web: no pair has it; there are: a, b, c, d, e"),
        ("--license MIT", r"--license MIT: no pair has it; there are: CC-BY-SA-4.0, unknown"),
        ("--source a --recipe demo", r"--recipe demo is not what the tables of .* were made with"),
        ("--public", r"add --push"),
        ("--licenses /no/such/file", r"--licenses /no/such/file: cannot be read"),
        ("--license-note unknown", r"--license-note unknown: write KEY=VALUE"),
    ],
)
def test_bad_input_is_named_before_anything_is_written(bad, tmp_path, capsys, arguments, problem):
    assert main(["export", "--lake", str(bad), "--to", str(tmp_path / "out"), *arguments.split()]) == 2

    assert re.search(problem, capsys.readouterr().err, re.DOTALL)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_known_can_be_said(bad, tmp_path):
    arguments = ["--license-note", "unknown=We asked its authors.", "--model-license", "openai:lab/*=Apache-2.0"]
    assert run(bad, tmp_path / "out", *arguments, "--language-name", "xxa_Latn=Exampelan") == 0

    card = hub.DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == ["apache-2.0", "cc-by-sa-4.0", "other"]
    assert card.data.license_name == "unknown"
    assert "We asked its authors." in card.content
    assert "Exampelan" in card.content


def test_an_export_is_replaced_only_if_asked_and_only_if_it_is_one(lake, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    arguments = ["export", "--lake", str(lake), "--to", str(tmp_path / "out"), "--language", "yor"]

    assert main(arguments) == 2
    assert "is there already: choose another folder, or add --overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 2
    assert "holds something that is no export" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.txt").read_text() == "precious"

    (tmp_path / "out" / "thesis.txt").unlink()
    assert run(lake, tmp_path / "out", "--language", "yor") == 0
    assert run(lake, tmp_path / "out", "--language", "eng", "--overwrite") == 0
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.parquet")] == ["eng"]


def test_an_export_that_is_killed_leaves_nothing_that_looks_whole(lake, tmp_path, monkeypatch):
    def killed(self, name, text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "write", killed)
        assert main(["export", "--lake", str(lake), "--to", str(tmp_path / "out"), "--language", "yor"]) == 130
    assert not (tmp_path / "out").exists()

    assert run(lake, tmp_path / "out", "--language", "yor") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "what the killed one left is gone"


def test_an_address_is_written_by_spark_too(lake, tmp_path, cache):
    to = f"file://{tmp_path}/out"
    assert run(lake, to, "--language", "yor,eng") == 0
    assert run(lake, to, "--language", "eng", "--overwrite") == 0

    assert counts(datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)) == {"train": 1}
    seen = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".crc")}
    assert seen == {"out"}


def test_an_export_to_an_address_that_was_killed_is_begun_anew_and_nobody_elses_is(
    lake, tmp_path, cache, capsys, monkeypatch
):
    def killed(self, name, text):
        raise KeyboardInterrupt

    to = f"file://{tmp_path}/out"
    arguments = ["export", "--lake", str(lake), "--to", to, "--language", "eng"]
    with monkeypatch.context() as patch:
        patch.setattr(UrlTarget, "write", killed)
        assert main(arguments) == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data"]
    assert main(arguments) == 0
    assert counts(datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)) == {"train": 1}

    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "thesis.txt").write_text("precious")
    capsys.readouterr()
    arguments[4] = f"file://{tmp_path}/mine"
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 2
    assert "holds something that is no export" in capsys.readouterr().err
    assert (tmp_path / "mine" / "data" / "thesis.txt").read_text() == "precious"


def test_a_lake_without_pairs_is_said_whatever_else_is_asked(spark, tmp_path, capsys):
    make_lake(spark, tmp_path / "lake", [])
    shutil.rmtree(tmp_path / "lake" / "pairs")

    arguments = ["--lake", str(tmp_path / "lake"), "--to", str(tmp_path / "out"), "--recipe", "demo"]
    assert main(["export", *arguments]) == 2
    assert "has no table 'pairs'" in capsys.readouterr().err


def test_a_recipe_goes_with_what_it_extends_and_its_prompts(tmp_path):
    """By names of their own, also where a base is called as one of the export's own files."""
    (tmp_path / "own.yaml").write_text("extends: settings.yaml\nname: own\n")
    (tmp_path / "settings.yaml").write_text("extends: muri\nname: base\n")
    made = load_recipe(str(tmp_path / "own.yaml"))
    tables = SimpleNamespace(properties=lambda _: {"recipe": "own", "fingerprint": made.fingerprint("pairs")})

    found = command.recipe_files(tables, str(tmp_path / "own.yaml"))

    assert list(found) == [
        "recipe/recipe.yaml", "recipe/other-settings.yaml", "recipe/muri.yaml", "recipe/reverse_instruction.txt",
    ]  # fmt: skip
    assert found["recipe/recipe.yaml"] == "extends: settings.yaml\nname: own\n"
    assert found["recipe/muri.yaml"] == (ROOT / "conf" / "muri.yaml").read_text(encoding="utf-8")
    prompt = found["recipe/reverse_instruction.txt"]
    assert prompt == (ROOT / "conf" / "prompts" / "reverse_instruction.txt").read_text(encoding="utf-8")


def test_a_table_that_grows_meanwhile_changes_nothing(spark, tmp_path, monkeypatch):
    lake = make_lake(spark, tmp_path / "lake", ROWS[:3])
    counted = command.forms.sizes

    def counted_then_written(rows):
        found = counted(rows)
        lake.append(lake.read("pairs").limit(1), "pairs", "test", 1)
        return found

    monkeypatch.setattr(command.forms, "sizes", counted_then_written)
    assert run(lake, tmp_path / "out") == 0

    assert sum(pq.read_metadata(file).num_rows for file in (tmp_path / "out").rglob("*.parquet")) == 3
    assert lake.read("pairs").count() == 4


def test_tables_of_an_older_backprompt_are_exported_and_reported(spark, tmp_path):
    lake = make_lake(spark, tmp_path / "lake", [ROWS[0] | {"instruction_en": "Write a poem."}])
    newer = {"runs": ("characters_read", "characters_written", "left_out"), "pairs": ("instruction_language",)}
    rows = {"pairs": lake.read("pairs").collect(), "runs": [RUN]}
    for table, columns in newer.items():
        properties = lake.properties(table)
        schema = StructType([field for field in lake.read(table).schema.fields if field.name not in columns])
        values = [tuple(row[name] for name in schema.fieldNames()) for row in rows[table]]
        lake.replace(table, schema, properties, partition_by=())
        lake.append(spark.createDataFrame(values, schema), table, "old", 0)

    assert run(lake, tmp_path / "out") == 0
    assert "| documents | 9 |" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    data = gather(lake, ReportOptions(samples=1))
    assert [(each.stage, each.rows) for each in data.efforts] == [("documents", 9)]
    assert data.verb_nouns[0].verbs == [("write", 1, [("poem", 1)])]


def test_nothing_is_replaced_where_the_lake_cannot_be_read(spark, tmp_path, capsys):
    lake = make_lake(spark, tmp_path / "lake", ROWS[:1])
    to = f"file://{tmp_path}/out"
    assert run(lake, to) == 0
    before = digests(tmp_path / "out")
    lake.replace("runs", StructType(lake.read("runs").schema.fields[1:]), {}, partition_by=())

    assert main(["export", "--lake", str(lake), "--to", to, "--overwrite"]) == 2
    assert "column run_id is missing" in capsys.readouterr().err
    assert digests(tmp_path / "out") == before


def test_recipe_goes_with_the_export_of_a_real_run(finished, tmp_path, cache):
    assert run(finished.lake, tmp_path / "out", "--allow-stand-in", "--recipe", str(finished.recipe)) == 0

    pairs = finished.lake.read("pairs")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    assert sum(counts(loaded).values()) == pairs.count()
    assert (tmp_path / "out" / "recipe" / "recipe.yaml").read_bytes() == finished.recipe.read_bytes()
    card = hub.DatasetCard.load(tmp_path / "out" / "README.md")
    assert hashlib.sha256(finished.recipe.read_bytes()).hexdigest() in card.content
    known = json.loads(
        (Path(datasets.__file__).parent / "utils" / "resources" / "languages.json").read_text(encoding="utf-8")
    )
    assert set(card.data.language) <= known.keys()
    assert "apertium-" in card.content
