"""Licences of texts and models: the file that comes with Backprompt, and what users add."""

from __future__ import annotations

import pytest

from jobs.export.licenses import known_licenses, parse_licenses, with_models, with_notes
from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import load_recipe

BOOK = known_licenses()
# As docs/hub/repositories-licenses.md of huggingface/hub-docs lists them, those of our file.
HUB = {
    "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-2.0", "gemma",
    "gfdl", "gpl-3.0", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "mit", "odbl", "odc-by", "pddl",
}  # fmt: skip


def test_ids_of_the_hub_are_the_hubs():
    assert {each.hub for each in BOOK.licenses.values() if each.hub} == HUB


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("CC-BY-SA-4.0", ("CC-BY-SA-4.0",)),
        ("cc by-sa 4.0", ("CC-BY-SA-4.0",)),
        ("CC0", ("CC0-1.0",)),
        ("Apache 2.0", ("Apache-2.0",)),
        ("Public Domain", ("LicenseRef-Public-Domain",)),
        ("CC BY 4.0, MIT", ("CC-BY-4.0", "MIT")),
        ("ODC-BY AND CC0-1.0", ("ODC-BY", "CC0-1.0")),
        ("MIT, Unknown", None),
        ("unknown", None),
        ("see-origin", None),
        ("MIT OR Apache-2.0", None),
        ("", None),
    ],
)
def test_what_rows_write(written, ids):
    assert BOOK.of(written) == ids


def test_flags_follow_the_name():
    for key, each in BOOK.licenses.items():
        if key.startswith("CC-BY"):
            parts = key.split("-")
            assert (each.is_non_commercial, each.is_share_alike, each.is_no_derivatives) == (
                "NC" in parts, "SA" in parts, "ND" in parts,
            ), key  # fmt: skip
            assert each.hub == key.lower()
            assert each.url == f"https://creativecommons.org/licenses/{'-'.join(parts[1:-1]).lower()}/{parts[-1]}/"
            assert ("No commercial use" in each.obligations) == each.is_non_commercial


@pytest.mark.parametrize(
    ("label", "license_"),
    [
        ("ctranslate2-4.8.5:facebook/nllb-200-3.3B:int8", "CC-BY-NC-4.0"),
        ("ctranslate2-4.8.5:google/madlad400-3b-mt:bfloat16", "Apache-2.0"),
        ("openai:mistralai/Mixtral-8x7B-Instruct-v0.1", "Apache-2.0"),
        ("openai:meta-llama/Meta-Llama-3-70B-Instruct", "Llama-3"),
        ("openai:meta-llama/Llama-3.1-8B-Instruct:1a2b3c4d5e6f", "Llama-3.1"),
        ("openai:gpt-4o", "LicenseRef-OpenAI-Terms"),
        ("apertium-3.8.3:pt-es@1.1.6", "GPL-3.0"),
        ("template-v1:news", None),
        ("source", None),
    ],
)
def test_models_by_label(label, license_):
    assert BOOK.of_model(label).license == license_


def test_a_model_that_nobody_knows_is_none():
    assert BOOK.of_model("openai:lab/new-7b") is None


def test_licences_and_engines_of_the_recipes_are_known():
    for name in ("demo", "muri"):
        recipe = load_recipe(name).recipe
        for source in recipe.sources:
            written = {source.license, *source.licenses.values()} - {"see-origin"}
            assert [each for each in written if BOOK.of(each) is None] == [], source.name
    stages = load_recipe("muri").recipe.stages
    for engine in (stages.translate.engine, stages.instruct.engine, stages.back_translate.engine):
        assert BOOK.of_model(engine.model) is not None


def test_a_file_of_the_user_comes_first():
    text = """
licenses:
  Lab-1.0: {name: Our licence, obligations: Ask us.}
models:
  - {match: ["*madlad400*", "lab/*"], license: Lab-1.0}
  - {match: ["lab-free/*"], license: MIT}
"""
    book = parse_licenses(text, "own.yaml", BOOK)
    assert book.of_model("ctranslate2:google/madlad400-3b-mt").license == "Lab-1.0"
    assert book.of_model("lab-free/x").license == "MIT"
    assert book.of_model("source").license is None
    assert book.of("lab 1.0") == ("Lab-1.0",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("licenses:\n  X: {name: X}\n", r"own\.yaml: licenses\.X\.obligations: is missing"),
        ("licenses:\n  X: {name: X, obligations: a, free: yes}\n", r"licenses\.X\.free: Extra inputs"),
        ("models:\n  - {match: [a], license: Y}\n", r"own\.yaml: models: a: license 'Y' is not under licenses"),
        ("licenses:\n  X: {name: X, obligations: a, aliases: [MIT]}\n", r"'MIT' stands for MIT and X"),
        ("licences: {}\n", r"own\.yaml: licences: Extra inputs"),
        ("- a\n", r"own\.yaml: a file of licences is a mapping"),
        ("licenses: {a\n", r"own\.yaml, line \d+: not valid YAML"),
        ("licenses: [a]\n", r"own\.yaml: licenses: Input should be"),
    ],
)
def test_bad_files_are_named_with_their_entry(text, problem):
    with pytest.raises(BackpromptError, match=problem):
        parse_licenses(text, "own.yaml", BOOK)


def test_notes_and_models_of_the_command():
    book = with_models(with_notes(BOOK, {"unknown": "We rely on fair use."}), {"openai:lab/*": "unknown"})
    assert book.of("Unknown") == ("unknown",)
    assert book.licenses["unknown"].obligations == "We rely on fair use."
    assert book.of_model("openai:lab/x").license == "unknown"
    with pytest.raises(BackpromptError, match=r"--license-note mit: .* known already"):
        with_notes(BOOK, {"mit": "Ours."})
    with pytest.raises(BackpromptError, match=r"--license-note 'Odd=TEXT'"):
        with_models(BOOK, {"openai:lab/*": "Odd"})
    with pytest.raises(BackpromptError, match=r"--license-note unknown=: say"):
        with_notes(BOOK, {"unknown": ""})
