"""Corpora on the Hugging Face Hub, of which a stand-in is served: CulturaX, Wikipedia and JSON lines by their name."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from jobs.runtime.errors import BackpromptError
from jobs.sources import explain_read_error, files_of, inventory, read
from jobs.sources.c4 import C4Settings
from jobs.sources.culturax import CulturaxSettings
from jobs.sources.wikipedia import WikipediaParquetSettings
from tests.conftest import SAMPLES

_SPEC = importlib.util.spec_from_file_location("hub_server", Path(__file__).with_name("hub_server.py"))
hub_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hub_server)

CULTURAX = CulturaxSettings(path="hf://datasets/uonlp/CulturaX", license="unknown")
WIKIPEDIA = WikipediaParquetSettings(path="hf://datasets/wikimedia/wikipedia/20231101.es")
MC4 = C4Settings(path="hf://datasets/allenai/c4/multilingual")


@pytest.fixture
def hub(data, monkeypatch):
    files = {
        "uonlp/CulturaX/README.md": b"# CulturaX",
        "uonlp/CulturaX/ca/ca_part_00000.parquet": (data / "culturax/ca/ca_part_00000.parquet").read_bytes(),
        "uonlp/CulturaX/gl/gl_part_00000.parquet": (data / "culturax/gl/gl_part_00000.parquet").read_bytes(),
        "wikimedia/wikipedia/20231101.es/train-00000-of-00001.parquet": (
            data / "wikipedia/parquet/20231101.es/train-00000-of-00001.parquet"
        ).read_bytes(),
        "allenai/c4/multilingual/c4-af.tfrecord-00000-of-00064.json.gz": next(
            (SAMPLES / "web/mc4").iterdir()
        ).read_bytes(),
    }
    with hub_server.HubServer(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


@pytest.mark.parametrize("settings", [CULTURAX, WIKIPEDIA], ids=["culturax", "wikipedia"])
def test_parquet_by_name_is_what_it_is_on_a_disk(spark, languages, data, hub, settings):
    there = {"culturax": data / "culturax", "wikipedia": data / "wikipedia/parquet/20231101.es"}[settings.name]
    on_disk = settings.model_copy(update={"path": str(there)})
    only = ["cat_Latn", "glg_Latn", "spa_Latn"]

    by_name = read(spark, settings, languages, only=only).drop("origin")
    expected = read(spark, on_disk, languages, only=only).drop("origin").collect()

    assert sorted(map(str, by_name.collect())) == sorted(map(str, expected))
    assert len(expected) == {"culturax": 11, "wikipedia": 5}[settings.name]


def test_lines_by_name(spark, languages, hub):
    rows = read(spark, MC4, languages).collect()

    assert {(row["language"], row["origin"]) for row in rows} == {("afr_Latn", "c4-af.tfrecord-00000-of-00064.json.gz")}
    assert len(rows) == 3


def test_a_file_that_changes_changes_the_inventory(spark, languages, hub):
    (file,) = files_of(spark, WIKIPEDIA, languages)
    assert file.path == "hf://datasets/wikimedia/wikipedia/20231101.es/train-00000-of-00001.parquet"
    before = inventory(spark, WIKIPEDIA)
    assert inventory(spark, WIKIPEDIA) == before

    hub.files["wikimedia/wikipedia/20231101.es/train-00001-of-00002.parquet"] = b"PAR1"

    assert inventory(spark, WIKIPEDIA) != before


def test_unknown_name_says_what_may_be_missing(spark, languages, hub):
    with pytest.raises(BackpromptError, match=r"Source culturax: hf://datasets/uonlp/None.*set HF_TOKEN"):
        read(spark, CULTURAX.model_copy(update={"path": "hf://datasets/uonlp/None"}), languages)


def test_cut_file_is_named(spark, languages, hub):
    path = "allenai/c4/multilingual/c4-af.tfrecord-00000-of-00064.json.gz"
    hub.files[path] = gzip.compress(gzip.decompress(hub.files[path]) * 50)[:3000]

    with pytest.raises(Exception, match=r".") as raised:
        read(spark, MC4, languages).collect()

    explained = raised.value if isinstance(raised.value, BackpromptError) else explain_read_error(raised.value, MC4)
    assert f"hf://datasets/{path} is damaged or cut off" in str(explained)
