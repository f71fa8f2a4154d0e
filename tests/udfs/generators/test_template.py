from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.generators import Generated, InstructionRequest
from udfs.generators.template import TemplateSettings

TEXT = "Texto de sobra, en su lengua, para que haya algo que contar. " * 10
LIFE = "Ana Aslan (1897 – 1988) was a scientist and Romanian doctor that is considered a big lady of the medicine."
KIND = "The shamisen is a Japanese instrument of three ropes, played with a plectrum, which came from China."
LANGUAGES = ("spa_Latn", "cat_Latn", "glg_Latn", "por_Latn", "ita_Latn", "fra_Latn", "epo_Latn", "yor_Latn")


def generate(doc_id: str = "d1", seed: int = 0, **values: str | None) -> Generated:
    given = {"language": "spa_Latn", "text_src": TEXT, "text_en": "Text.", "title_src": None, "title_en": None}
    request = InstructionRequest(doc_id, **(given | values))  # type: ignore[arg-type]
    (made,) = TemplateSettings(seed=seed).open().generate([request])
    return made


@pytest.mark.parametrize(
    ("title", "language", "genre"),
    [
        ("Cómo lavar un coche", "spa_Latn", "how-to"),
        ("Cómo lavar un coche", "spa_Latn", None),
        ("Lavar un coche", "spa_Latn", "how-to"),
        ("¿Qué coche se lava mejor?", "spa_Latn", "how-to"),
        ("Geschenkband: wie bindet man es?", "deu_Latn", "how-to"),
    ],
)
def test_a_title_that_asks_is_the_instruction(title: str, language: str, genre: str | None) -> None:
    made = generate(title_src=title, language=language, genre=genre)
    assert made == Generated("title", None, title)
    assert generate(title_src=title, title_en="Wash", language=language, genre=genre).instruction_en == "Wash"


@pytest.mark.parametrize(
    ("title", "genre"),
    [("¿Quién teme a Trump?", "news"), ("¿Quién teme a Trump?", None), ("Cómo ganar", "news"), ("Lavar", None)],
)
def test_a_headline_that_asks_is_a_title_like_others(title: str, genre: str | None) -> None:
    made = generate(title_src=title, title_en="Who fears?", genre=genre)
    assert made.instruction_src is None
    assert '"Who fears?"' in str(made.instruction_en)


def test_a_biography() -> None:
    values = {"title_src": "Ana Aslan", "title_en": "Anna Aslan", "text_en": LIFE, "genre": "encyclopedic"}
    wordings = {generate(doc_id=str(at), language="glg_Latn", **values).instruction_en for at in range(200)}
    assert wordings == {
        "Write a biography of Ana Aslan.",
        "You have to write a biography of Ana Aslan.",
        "I want to read a biography of Ana Aslan.",
        "I would like to read a biography of Ana Aslan.",
        "Who was Ana Aslan? Write a biography.",
        "Who was Ana Aslan? I want to read a biography.",
    }
    assert generate(**values).label == "template-v1:biography"


def test_a_name_in_another_script_is_transcribed() -> None:
    text = "Anna Akhmatova (1889 – 1966) was a Russian poet."
    made = generate(title_src="Анна Ахматова", title_en="Anna Akhmatova", text_en=text, genre="encyclopedic")
    assert "Anna Akhmatova" in str(made.instruction_en)


def test_a_bracket_after_a_name_is_translated() -> None:
    text = "Pirri (Ceuta, 11 March 1945) is a Spanish footballer."
    made = generate(title_src="Pirri (futbolista)", title_en="Pirry (footballer)", text_en=text, genre="encyclopedic")
    assert "Pirri (footballer)" in str(made.instruction_en)


def test_a_name_that_ends_in_a_stop_ends_the_sentence() -> None:
    text = "Gary Trent Jr. (Ohio, 18 January 1999) is a North American player of basketball."
    made = generate(title_src="Gary Trent Jr.", title_en="Gary Trent Jr.", text_en=text, genre="encyclopedic")
    assert str(made.instruction_en).endswith("of Gary Trent Jr.")


def test_a_description() -> None:
    values = {"title_src": "Shamisen", "title_en": "Shamisen", "text_en": KIND, "genre": "encyclopedic"}
    wordings = {generate(doc_id=str(at), **values).instruction_en for at in range(200)}
    assert wordings == {
        "Describe Shamisen.",
        "Write a description of Shamisen.",
        "You have to describe Shamisen.",
        "I want to read a description of Shamisen.",
        "I would like to read a description of Shamisen.",
    }
    assert generate(**values).label == "template-v1:description"


def test_only_reference_works_define_their_title() -> None:
    made = generate(title_src="Shamisen", title_en="Shamisen", text_en=KIND)
    assert made.label == "template-v1:titled"


@pytest.mark.parametrize(
    ("genre", "label", "words"),
    [
        ("news", "template-v1:news", "journalistic text with this title"),
        ("speech", "template-v1:speech", "discourse with this title"),
        ("how-to", "template-v1:how-to", "practical guide with this title"),
        ("encyclopedic", "template-v1:titled", "text with this title"),
        ("poem", "template-v1:titled", "text with this title"),
        (None, "template-v1:titled", "text with this title"),
    ],
)
def test_a_title_over_a_text_of_a_genre(genre: str | None, label: str, words: str) -> None:
    made = generate(title_src="El puente viejo", title_en='The "old" bridge', genre=genre)
    assert made.label == label
    assert f"{words}: \"The 'old' bridge\"." in str(made.instruction_en)
    assert made.instruction_src is None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"title_src": " \n "},
        {"title_src": "El puente"},
        {"title_en": "The bridge"},
        {"title_src": "1939", "title_en": "1939"},
        {"title_src": "El puente" * 20, "title_en": "The bridge"},
        {"title_src": "Cómo lavar un coche", "text_src": "Con agua."},
        {"text_en": LIFE, "genre": "encyclopedic"},
    ],
    ids=["no title", "blank", "not translated", "no source title", "year", "long", "no text", "person, no title"],
)
def test_no_honest_instruction(values: dict[str, str]) -> None:
    assert generate(**values) == Generated("template-v1:none")


def test_english_documents_need_no_translation() -> None:
    made = generate(language="eng_Latn", title_src="The old bridge")
    assert made.instruction_en == made.instruction_src
    assert '"The old bridge"' in str(made.instruction_en)
    assert generate(language="eng_Latn", title_src="How to Wash a Car").label == "title"


@pytest.mark.parametrize("language", ["fra_Latn", "epo_Latn"])
def test_languages_whose_translation_has_no_imperative_get_none(language: str) -> None:
    for text, genre in ((LIFE, "encyclopedic"), (KIND, "encyclopedic"), ("Text.", "news"), ("Text.", None)):
        for at in range(100):
            title = "Ana Aslan" if text == LIFE else "Shamisen"
            made = generate(
                doc_id=str(at), language=language, title_src=title, title_en=title, text_en=text, genre=genre
            )
            assert not re.search(r"(^|\? )(Write|Create|Describe) ", str(made.instruction_en))


def test_the_seed_and_the_document_pick_the_wording() -> None:
    values = {"title_src": "El puente viejo", "title_en": "The old bridge"}
    first = [generate(doc_id=str(at), **values).instruction_en for at in range(50)]
    assert first == [generate(doc_id=str(at), **values).instruction_en for at in range(50)]
    assert first != [generate(doc_id=str(at), seed=1, **values).instruction_en for at in range(50)]
    # The same on every machine: a hash of Python's own would differ from run to run.
    assert first[:3] == [
        'You have to write a text with this title: "The old bridge".',
        'I would like to read a text with this title: "The old bridge".',
        'Write a text with this title: "The old bridge".',
    ]


def test_wordings_avoid_what_translation_breaks() -> None:
    for language in LANGUAGES:
        for at in range(100):
            for text, genre in ((LIFE, "encyclopedic"), (KIND, "encyclopedic"), ("Text.", "news")):
                made = generate(
                    doc_id=str(at), language=language, title_src="Ana", title_en="Ana", text_en=text, genre=genre
                )
                assert not re.search(r"\b(?:article|about|short|please|tell|can you|summar|translat)", str(made), re.I)


def test_a_prompt_is_refused() -> None:
    assert TemplateSettings.prompt is None
    with pytest.raises(ValueError, match="uses no prompt"):
        TemplateSettings().open("Answer: {{text}}")


def test_settings_need_nothing() -> None:
    TemplateSettings().check()
    assert TemplateSettings().decisive() == {"kind": "template", "seed": 0, "max_title_chars": 150}


requests = st.builds(
    InstructionRequest,
    doc_id=st.text(),
    language=st.sampled_from([*LANGUAGES, "eng_Latn", ""]),
    text_src=st.text() | st.just(TEXT),
    text_en=st.text() | st.sampled_from([LIFE, KIND]),
    title_src=st.none() | st.text() | st.sampled_from(["Ana Aslan", "Shamisen", "Cómo lavar"]),
    title_en=st.none() | st.text() | st.sampled_from(["Ana Aslan", "Shamisen"]),
    genre=st.none() | st.text() | st.sampled_from(["news", "how-to", "speech", "encyclopedic"]),
)


@given(st.lists(requests, max_size=5))
def test_any_document_gives_a_result(documents: list[InstructionRequest]) -> None:
    made = TemplateSettings().open().generate(documents)
    assert len(made) == len(documents)
    for each in made:
        assert each.error is None
        has_none = each.instruction_en is None and each.instruction_src is None
        assert has_none == (each.label == "template-v1:none")
        assert "\n" not in f"{each.instruction_en}{each.instruction_src}"
