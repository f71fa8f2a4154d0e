"""The card: its page against a golden file, its metadata against huggingface_hub's and the Hub's own lists."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from pyspark.sql.types import MapType, StructType

from jobs.export.card import CardFacts, card, check_metadata, license_page, metadata, size_category
from jobs.export.forms import Size, features
from jobs.export.licenses import known_licenses, with_notes
from jobs.export.names import export_languages
from jobs.export.selection import Group
from jobs.export.writer import Written
from jobs.runtime.errors import BackpromptError
from jobs.runtime.schema import PAIRS
from tests.conftest import DATA

GOLDEN = DATA / "golden" / "dataset_card.md"
MADLAD = "ctranslate2-4.8.5:google/madlad400-3b-mt:int8"
NLLB = "ctranslate2-4.8.5:facebook/nllb-200-3.3B:int8"
MIXTRAL = "openai:mistralai/Mixtral-8x7B-Instruct-v0.1"
GROUPS = [
    Group("arb_Arab", "wikipedia", "CC-BY-SA-4.0", "train", MADLAD, MIXTRAL, MADLAD, None, 1_300),
    Group("arb_Arab", "wikipedia", "CC-BY-SA-4.0", "test", MADLAD, MIXTRAL, MADLAD, None, 70),
    Group("ary_Arab", "culturax", "ODC-BY", "train", NLLB, MIXTRAL, NLLB, None, 90),
    Group("nob_Latn", "tasks", "CC BY 4.0, odd", "train", None, "source", "none", None, 12),
    Group("nob_Latn", "wikipedia", "CC-BY-SA-4.0", "train", MADLAD, "template-v1:news", MADLAD, "instruction by the "
          "embedded rules", 5),
]  # fmt: skip
STAGES = [
    {"stage": "documents", "rows_in": 2_000, "alive": 2_000, "rejected": 0, "reasons": {}, "engines": []},
    {"stage": "screen", "rows_in": 2_000, "alive": 1_477, "rejected": 523, "engines": ["glotlid:v3|x", "source"],
     "reasons": {"screen.instruction_language": 500, "later.code": 23}},
]  # fmt: skip
FACTS = CardFacts(
    title="Pairs of a small lake",
    form="muri",
    layout="languages",
    features=[{"name": name, "dtype": "string"} for name in ("input", "output", "language")],
    groups=GROUPS,
    kinds={"wikipedia": "wikipedia-parquet", "culturax": "culturax", "tasks": "natural-instructions"},
    languages=export_languages(["arb_Arab", "ary_Arab", "nob_Latn"], is_glotlid=False, names={}),
    sizes={
        ("ara", "train"): Size(1_390, 2_000_000),
        ("ara", "test"): Size(70, 90_000),
        ("nor", "train"): Size(12, 900),
    },
    written={
        ("ara", "train"): Written(2, 1_390, 800_000),
        ("ara", "test"): Written(1, 70, 40_000),
        ("nor", "train"): Written(1, 12, 700),
    },
    book=with_notes(known_licenses(), {"odd": "Name the shared task."}),
    stages=STAGES,
    recipe="small",
    fingerprints={"documents": "0123456789abcdef", "pairs": "fedcba9876543210"},
    recipe_hashes={"recipe/recipe.yaml": "ab" * 32, "recipe/ask.txt": "cd" * 32},
    are_pairs_mended=False,
    table_version=3,
    versions={"backprompt": "1.0", "pyspark": "4.1.2"},
)


def test_card_is_the_golden_one():
    assert card(FACTS) == GOLDEN.read_text(encoding="utf-8")


def test_metadata_is_what_huggingface_hub_reads_back():
    hub = pytest.importorskip("huggingface_hub")
    read = hub.DatasetCard(card(FACTS))

    assert isinstance(read.data, hub.DatasetCardData)
    assert read.data.to_dict() == metadata(FACTS)
    assert read.data.language == ["ar", "ary", "nb"]
    assert read.data.size_categories == ["1K<n<10K"]
    # What huggingface_hub itself would write: its own validation of the types of model indexes and the like.
    assert yaml.safe_load(hub.DatasetCardData(**metadata(FACTS)).to_yaml()) == metadata(FACTS)


def test_values_are_of_the_lists_that_datasets_has_of_the_hub():
    resources = pytest.importorskip("datasets.utils").__path__[0] + "/resources/"

    def listed(name):
        with open(resources + name, encoding="utf-8") as file:
            return yaml.safe_load(file)

    values = metadata(FACTS)
    assert set(values["language"]) <= set(listed("languages.json"))
    assert set(values["size_categories"]) <= set(listed("size_categories.json"))
    assert set(values["annotations_creators"]) <= set(listed("creators.json")["annotations"])
    assert set(values["language_creators"]) <= set(listed("creators.json")["language"])
    assert set(values["multilinguality"]) <= set(listed("multilingualities.json"))


def test_features_are_those_that_datasets_writes():
    datasets = pytest.importorskip("datasets")
    written = features(StructType([field for field in PAIRS.fields if not isinstance(field.dataType, MapType)]))
    read = datasets.Features._from_yaml_list(written)
    assert read["hate_score"] == datasets.Value("float64")
    assert read["output_chars"] == datasets.Value("int32")
    assert read["messages"] == datasets.List({"role": datasets.Value("string"), "content": datasets.Value("string")})
    assert read["flagged_words"] == datasets.List(datasets.Value("string"))
    assert read._to_yaml_list() == written


def test_norwegian_stays_a_word():
    """YAML reads a bare ``no`` as false."""
    facts = replace(FACTS, languages={**FACTS.languages, "nob_Latn": replace(FACTS.languages["nob_Latn"], hub="no")})
    assert yaml.safe_load(card(facts).split("---\n")[1])["language"] == ["ar", "ary", "no"]


def test_a_card_of_given_pairs_alone_says_no_machine_wrote():
    facts = replace(FACTS, groups=[FACTS.groups[3]])
    assert metadata(facts)["annotations_creators"] == ["found"]
    text = card(facts)
    assert "None: every instruction is its source's own." in text
    assert "written by a machine, most" not in text


def test_instructions_by_rules_are_a_limit():
    warning = "**A part of the instructions was put together by rules**"
    assert warning not in card(FACTS)
    assert warning in card(replace(FACTS, groups=[replace(each, left_out=None) for each in GROUPS]))


def test_what_was_done_to_given_pairs_is_said():
    assert "their answers were not cleaned" in card(FACTS)
    text = card(replace(FACTS, are_pairs_mended=True))
    assert "their answers were not cleaned" not in text
    assert "their characters were mended and personal data treated" in text


def test_licences_that_the_hub_does_not_know_are_on_a_page_of_their_own():
    assert metadata(FACTS)["license_link"] == "LICENSE.md"
    text = license_page(FACTS)
    assert text.startswith("# Licences\n")
    assert "Name the shared task." in text
    known = replace(FACTS, groups=GROUPS[:2])
    assert license_page(known) is None
    assert "license_link" not in metadata(known)


def test_without_an_account_of_runs_the_funnel_is_labelled():
    assert "## Funnel\n\nNot known: the tables have no account of their runs." in card(replace(FACTS, stages=[]))


def test_names_cannot_break_the_tables():
    facts = replace(FACTS, title="A | B\n# C: 'd'")
    assert yaml.safe_load(card(facts).split("---\n")[1])["pretty_name"] == "A | B\n# C: 'd'"
    assert "`glotlid:v3\\|x`" in card(FACTS)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"language": []}, "language is missing"),
        ({"pretty_name": ""}, "pretty_name is missing"),
        ({"language": ["arb_Arab"]}, "language 'arb_Arab' is no code of ISO 639-1 or 639-3"),
        ({"license": "CC BY"}, "license 'CC BY' is no id of the Hub's"),
        ({"license": "other", "license_name": None}, "license is other, and license_name is missing"),
        ({"license_link": "README.md"}, "license_link 'README.md' is neither LICENSE, LICENSE.md nor an address"),
        ({"configs": [{"config_name": "a", "data_files": []}]}, "config 'a' has no data_files"),
    ],
)
def test_what_a_card_lacks_is_named(change, problem):
    with pytest.raises(BackpromptError, match=problem):
        check_metadata(metadata(FACTS) | change)
    check_metadata(metadata(FACTS))


def test_size_categories():
    assert [size_category(rows) for rows in (0, 999, 1_000, 2_228_499, 10**9)] == [
        "n<1K", "n<1K", "1K<n<10K", "1M<n<10M", "1B<n<10B",
    ]  # fmt: skip
