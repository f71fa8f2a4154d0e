"""Items of real evaluation sets in real texts: all that are planted are found, and none where there is none."""

from __future__ import annotations

import gzip
import json
import random
import unicodedata
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.conftest import DATA, ROOT, SAMPLES
from udfs.contamination import EvaluationSet, Item, Plan, ShortItems, TooManyNgramsError, build, tokenize

FLORES = ("eng_Latn", "spa_Latn", "arb_Arab", "cmn_Hani", "jpn_Jpan")
MANY = 10**7


@cache
def sentences():
    """The first 80 sentences of FLORES-200's devtest by language: translations of each other, line by line."""
    found = {}
    packed = (DATA / "lid" / "sentences.jsonl.gz").read_bytes()
    for line in gzip.decompress(packed).decode("utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["label"], []).append(row["text"])
    return {language: found[language] for language in FLORES}


@cache
def task_items():
    """Definitions, inputs and outputs of task files: short ones, and many with the same words around what differs."""
    texts = []
    for file in sorted((SAMPLES / "pairs" / "natural_instructions").glob("task*.json")):
        task = json.loads(file.read_text(encoding="utf-8"))
        texts += [text for instance in task["Instances"] for text in (instance["input"], *instance["output"])]
    return [Item(f"tasks, item {number}", text) for number, text in enumerate(texts)]


@cache
def index():
    sets = [
        EvaluationSet(f"flores-{language}", language, [Item(f"line {at}", text) for at, text in enumerate(texts, 1)])
        for language, texts in sentences().items()
    ]
    return build([*sets, EvaluationSet("tasks", None, task_items())], Plan(), MANY, "eng_Latn")


@cache
def demo_texts():
    texts = []
    for file in sorted((ROOT / "data" / "demo").glob("*/*/*.parquet")):
        texts += parquet.read_table(file, columns=["text"])["text"].to_pylist()
    return texts


@cache
def translated_items():
    """The Spanish sentences of ``sentences``, and what Apertium makes of them in English."""
    return [(row["text"], row["text_en"]) for row in _translations("flores_spa_eng")]


@cache
def translated_texts():
    """The first 500 characters of what Apertium makes of a thousand of the demo's texts in English."""
    return [row["text_en"] for row in _translations("demo_eng")]


def _translations(name):
    packed = (DATA / "translations" / f"{name}.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).decode("utf-8").splitlines()]


OTHER_PUNCTUATION = str.maketrans({",": " ;", ".": "!", '"': "“", "-": "–", "'": "’", "。": "．", "，": "；", "،": ","})


def is_mark(character):
    return unicodedata.category(character)[0] == "M"


def letters(text):
    return "".join(each for each in unicodedata.normalize("NFKD", text).casefold() if each.isalnum())


@pytest.mark.parametrize("language", FLORES)
def test_every_planted_item_is_found(language):
    long = [text for text in demo_texts() if len(text) > 2_000]
    for at, text in enumerate(sentences()[language]):
        forms = {
            "exact": text,
            "case": text.upper(),
            "punctuation deleted": "".join(each for each in text if each.isalnum() or each.isspace() or is_mark(each)),
            "punctuation to spaces": "".join(each if each.isalnum() or is_mark(each) else " " for each in text),
            "punctuation changed": f"* {text.translate(OTHER_PUNCTUATION)} !!",
            "spaces": text.replace(" ", " \n\t"),
            "embedded": f"{long[at][:1_500]}\n{text} {long[at][1_500:]}",
        }
        for form, planted in forms.items():
            match = index().find(planted, language)
            assert match is not None, (form, text)
            assert (match.set_name, match.item) == (f"flores-{language}", f"line {at + 1}"), (form, text)
            assert match.share >= 0.9
            # In texts of several scripts the words at the edges may lie in no n-gram.
            assert letters(planted[match.start : match.end]) in letters(text), (form, text)


@pytest.mark.parametrize(
    ("texts", "language", "is_translation"), [(demo_texts, None, False), (translated_texts, "eng_Latn", True)]
)
def test_nothing_is_found_in_a_thousand_unrelated_documents(texts, language, is_translation):
    """Neither in the demo's own languages, of which the sets have some, nor in its English translations."""
    assert len(texts()) >= 1_000
    found = [
        (text[match.start : match.end], match)
        for text in texts()
        if (match := index().find(text, language, is_translation))
    ]
    assert [each for each in found if each[1].share >= 0.5] == []
    # Something was compared.
    assert index().find(f"{texts()[0]} {sentences()['eng_Latn'][0]}", language, is_translation).share == pytest.approx(
        1
    )


def test_a_translation_has_an_item_s_words_in_another_order():
    text = max(sentences()["eng_Latn"], key=len)
    words = random.Random(1).sample(text.split(), len(text.split()))
    assert index().find(" ".join(words), "eng_Latn") is None
    match = index().find(f"Before that. {' '.join(words)} After it.", "eng_Latn", is_translation=True)
    assert match.share == pytest.approx(1)
    assert match.item == f"line {sentences()['eng_Latn'].index(text) + 1}"
    other = [word[:5] + "ing" if len(word) > 4 else word for word in words]
    assert index().find(" ".join(other), "eng_Latn", is_translation=True).share == pytest.approx(1)
    scattered = (" " + " ".join(translated_texts()[0].split()[:30]) + " ").join(words)
    found = index().find(scattered, "eng_Latn", is_translation=True)
    assert found is None or found.share < 0.5
    assert index().find(" ".join(words), "spa_Latn", is_translation=True) is None


@pytest.mark.parametrize(("changed", "is_found"), [(1, True), (2, True), (12, False)])
def test_some_words_may_differ(changed, is_found):
    text = max(sentences()["eng_Latn"], key=len)
    words = text.split()
    for at in range(changed):
        words[(at * 2 + 1) * len(words) // (2 * changed)] = f"other{at}"
    match = index().find(" ".join(words), "eng_Latn")
    assert (match is not None and match.share >= 0.5) is is_found


def test_the_words_of_an_item_all_over_a_long_text_are_not_the_item():
    text = max(sentences()["eng_Latn"], key=len)
    words = text.split()
    pieces = [" ".join(words[at : at + 8]) for at in range(0, len(words) - 7, 4)]
    scattered = (" " + " ".join(demo_texts()[0].split()[:200]) + " ").join(pieces)
    match = index().find(scattered, "eng_Latn")
    assert match is None or match.share < 0.5


def test_short_items_need_all_their_words():
    made = build([EvaluationSet("q", None, [Item("1", "What is the capital of Chad?"), Item("2", "Who was Zola?"),
                                            Item("3", "Yes."), Item("4", "No way")])], Plan(), MANY)  # fmt: skip
    assert made.short == (ShortItems("q", texts=4, left_out=2, only_whole=1),)
    assert made.find("I wonder: what is the CAPITAL of Chad", None).item == "1"
    assert made.find("What is the capital of Niger?", None) is None
    assert made.find("who was zola", None).item == "2"
    assert made.find("Do you know who was Zola?", None) is None
    assert made.find("Yes.", None) is None


@pytest.mark.parametrize(("size", "said", "is_found"), [(15, 8, False), (15, 13, True), (9, 8, False), (40, 15, False)])
def test_a_phrase_of_an_item_is_not_the_item(size, said, is_found):
    """Eight words of fifteen are more than half of it, and may be a phrase; thirteen are no accident."""
    made = build([EvaluationSet("q", None, [Item("1", " ".join(WORDS[:size]))])], Plan(), MANY)
    match = made.find(f"It is {' '.join(WORDS[:said])} and so on", None)
    assert (match is not None and match.share >= 0.5) is is_found


def test_what_many_items_say_counts_for_nothing():
    wording = "Answer the following question about the passage with one of the options that are given below it"
    texts = [f"{wording}: {' '.join(random.Random(n).sample(WORDS, 12))}" for n in range(30)]
    made = build([EvaluationSet("q", None, [Item(str(n), text) for n, text in enumerate(texts)])], Plan(), MANY)
    assert made.find(f"{wording}: {' '.join(WORDS[:12])}", None) is None
    assert [made.find(f"So. {text} Right.", None).item for text in texts] == [str(n) for n in range(30)]


WORDS = [f"{a}{b}{c}" for a in "bdgklm" for b in "aeiou" for c in "nrst"]


def test_a_set_is_looked_for_in_its_language_alone():
    text = sentences()["spa_Latn"][0]
    assert index().find(text, "spa_Latn").set_name == "flores-spa_Latn"
    assert index().find(text, "cat_Latn") is None
    assert index().find(text, None).set_name == "flores-spa_Latn"


def test_too_many_ngrams_are_refused_by_name():
    items = [Item(f"line {at}", text) for at, text in enumerate(sentences()["eng_Latn"], 1)]
    with pytest.raises(TooManyNgramsError, match="more than 100 n-grams by flores, line 4"):
        build([EvaluationSet("flores", None, items)], Plan(), 100)


def test_nothing_to_look_for_and_nothing_to_look_in():
    empty = build([], Plan(), MANY)
    assert empty.find("What is the capital of Chad?", None) is None
    for text in (None, "", "?!", "\u0301"):
        assert index().find(text, None) is None


@given(st.text(max_size=60))
def test_tokens_are_places_in_the_text(text):
    found = tokenize(text)
    assert np.all(found.starts < found.ends)
    assert np.all(found.ends <= len(text))
    again = tokenize(text.upper()) if text.upper().lower() == text.lower() else found
    assert len(again.hashes) == len(found.hashes)


@given(st.lists(st.sampled_from(WORDS), min_size=5, max_size=60), st.lists(st.sampled_from(WORDS), max_size=80),
       st.lists(st.sampled_from(WORDS), max_size=80))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_an_item_in_any_text_is_found_whole(item, before, after):
    made = build([EvaluationSet("q", None, [Item("1", " ".join(item))])], Plan(), MANY)
    match = made.find(" ".join([*before, *item, *after]), None)
    assert match is not None
    assert match.share == 1.0
