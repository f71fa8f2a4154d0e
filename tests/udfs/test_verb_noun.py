"""Root verbs and direct noun objects: by rules against marked instructions, by a small parser that is trained here."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from udfs.engines import EngineUnavailable
from udfs.verb_noun import AGREEMENT, VerbNoun, by_parser, by_rules, of_sentence, open_parser

MARKED = Path(__file__).parents[1] / "data" / "verb_noun" / "instructions.tsv"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write a short, funny story about a dog.", ("write", "story")),
        ("Please give me a detailed list of the causes.", ("give", "list")),
        ("In three sentences, describe the process.", ("describe", "process")),
        ("Can you explain the basics of quantum computing?", ("explain", "basics")),
        ("How can governments reduce unconscious bias?", ("reduce", "bias")),
        ("I need a recipe for soup.", ("need", "recipe")),
        ("Who wrote the first book?", ("write", "book")),
        ("Explain Einstein's theory of relativity.", ("explain", "theory")),
        ("Write down the main steps.", ("write", "step")),
        ("Find articles explaining the law.", ("find", "article")),
        ("Develop a C++ program that reads a file.", ("develop", "program")),
        # No direct noun object.
        ("Explain how rain forms.", None),
        ("Tell me about volcanoes.", None),
        ("Describe Berlin.", None),
        ("What is the capital of Chad?", None),
        ("I would like to read a biography.", None),
        ("Water boils at 100 degrees.", None),
        ("Short summary of the plot", None),
        ("", None),
        ("?!", None),
        ("¿Qué es esto?", None),
    ],
)
def test_rules(text: str, expected: tuple[str, str] | None) -> None:
    assert by_rules(text) == expected


def test_the_agreement_that_reports_state_is_what_is_measured() -> None:
    with MARKED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    marked = [(row["verb"], row["noun"]) if row["verb"] else None for row in rows]
    found = [by_rules(row["instruction"]) for row in rows]
    right = sum(one is not None and one == other for one, other in zip(found, marked, strict=True))
    assert len(rows) == AGREEMENT.instructions
    same = sum(one == other for one, other in zip(found, marked, strict=True)) / len(rows)
    assert round(same, 3) == AGREEMENT.same
    assert round(right / sum(each is not None for each in found), 3) == AGREEMENT.precision
    assert round(right / sum(each is not None for each in marked), 3) == AGREEMENT.recall


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as spaCy's trained ones are, tagger, parser and lemmas, that has learned three sentences by heart."""
    spacy = pytest.importorskip("spacy")
    from spacy.training import Example

    sentences: list[tuple[str, list[int], list[str], list[str]]] = [
        ("Write a story .", [0, 2, 0, 0], ["ROOT", "det", "dobj", "punct"], ["VERB", "DET", "NOUN", "PUNCT"]),
        ("Explain how rain forms .", [0, 3, 3, 0, 0], ["ROOT", "advmod", "nsubj", "ccomp", "punct"],
         ["VERB", "ADV", "NOUN", "VERB", "PUNCT"]),
        ("Describe the city .", [0, 2, 0, 0], ["ROOT", "det", "dobj", "punct"], ["VERB", "DET", "NOUN", "PUNCT"]),
    ]  # fmt: skip
    pipeline = spacy.blank("en")
    pipeline.add_pipe("morphologizer")
    pipeline.add_pipe("parser", config={"min_action_freq": 1})
    examples = [
        Example.from_dict(pipeline.make_doc(text), {"heads": heads, "deps": deps, "pos": tags})
        for text, heads, deps, tags in sentences
    ]
    spacy.util.fix_random_seed(0)
    optimizer = pipeline.initialize(lambda: examples)
    for _ in range(60):
        pipeline.update(examples, sgd=optimizer)
    folder = tmp_path_factory.mktemp("spacy") / "tiny"
    pipeline.to_disk(folder)
    return folder


def test_a_parser_reads_what_it_was_taught(parser: Path) -> None:
    texts = ["Write a story .", "Explain how rain forms .", "Describe the city .", ""]
    found = list(by_parser(open_parser(str(parser)), texts))
    assert found == [VerbNoun("write", "story"), None, VerbNoun("describe", "city"), None]


def test_a_proper_noun_is_no_direct_noun_object() -> None:
    tokens = pytest.importorskip("spacy.tokens")
    vocab = pytest.importorskip("spacy.vocab").Vocab()

    def parsed(object_tag: str) -> Any:
        return tokens.Doc(
            vocab, ["Describe", "Paris"], heads=[0, 0], deps=["ROOT", "dobj"], pos=["VERB", object_tag],
            lemmas=["describe", "paris"], sent_starts=[True, False],
        )[:]  # fmt: skip

    assert of_sentence(parsed("NOUN")) == ("describe", "paris")
    assert of_sentence(parsed("PROPN")) is None


def test_a_missing_pipeline_is_named_with_what_to_do(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    with pytest.raises(EngineUnavailable, match="python -m spacy download no_such_model"):
        open_parser("no_such_model")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(EngineUnavailable, match="has no parser"):
        open_parser(str(tmp_path / "blank"))
