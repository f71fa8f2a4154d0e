from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from udfs.chat import ChatError, Completion
from udfs.engines import EngineUnavailable
from udfs.prompts import prompt_hash
from udfs.translators.openai_compatible import (
    OpenAITranslator,
    OpenAITranslatorSettings,
    format_prompt,
    parse_answer,
)

pytest.importorskip("sentencex", reason="texts are cut into sentences by sentencex")

ROOT = Path(__file__).parents[3]
PROMPT = (ROOT / "conf/prompts/translate.txt").read_text(encoding="utf-8")
PLAIN = "{{source_language}}>{{target_language}}|{{text}}"
NAMES = {"spa_Latn": "Spanish", "eng_Latn": "English", "rus_Cyrl": "Russian"}
MODEL = "tiny-instruct"


class UpperChat:
    """Translates by capitals; ``answers`` says what comes for a segment instead."""

    def __init__(self, **answers: Completion) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        self.asked += zip(prompts, seeds, strict=True)
        texts = [prompt.partition("|")[2] for prompt in prompts]
        return [self.answers.get(text, Completion(text.upper())) for text in texts]


def settings_of(**values: Any) -> OpenAITranslatorSettings:
    return OpenAITranslatorSettings.model_validate({"base_url": "http://127.0.0.1:9/v1", "model": MODEL, **values})


def translator_of(chat: UpperChat, template: str = PLAIN, **values: Any) -> OpenAITranslator:
    return OpenAITranslator(settings_of(**values), chat, None, template, NAMES)


def to_english(translator: OpenAITranslator, *texts: str) -> list[Any]:
    return translator.translate(texts, ["spa_Latn"] * len(texts), ["eng_Latn"] * len(texts))


# The prompt


def test_packaged_prompt_names_the_languages() -> None:
    prompt = format_prompt(("Hola {{text}}", "spa_Latn", "tok_Latn"), PROMPT, NAMES)
    assert "from Spanish into tok_Latn" in prompt
    assert prompt.endswith("Text: Hola {{text}}")


@pytest.mark.parametrize(
    "prompt", ["{{text}}", "{{text}} {{source_language}}", PLAIN + "{{title}}", PLAIN + "{{text}}"]
)
def test_bad_prompts_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="and no other"):
        settings_of().open(prompt)


# The answer


@pytest.mark.parametrize(
    ("text", "source", "translation"),
    [
        ("The house is big.", "La casa es grande.", "The house is big."),
        ("<think>casa = house</think>\nThe house is big.\n", "La casa es grande.", "The house is big."),
        ('"The house is big."', "La casa es grande.", "The house is big."),
        ("“The house is big.”", "La casa es grande.", "The house is big."),
        ('"The house is big."', "«La casa es grande.»", '"The house is big."'),
        ('"Big" or "large"?', "¿Grande o grande?", '"Big" or "large"?'),
        ("Translation: The house is big.", "La casa es grande.", "The house is big."),
        ("Text: The house is big.", "Texto: La casa es grande.", "Text: The house is big."),
        ("**Translation:** The house is big.", "La casa es grande.", "The house is big."),
        ("Here is the English translation:\n\nThe house is big.", "La casa es grande.", "The house is big."),
        ("Sure! Here's the translation of the text:\nThe house is big.", "La casa es grande.", "The house is big."),
        ("Here is the translation: a book.", "He aquí la traducción: un libro.", "Here is the translation: a book."),
        ("```\nThe house is big.\n```", "La casa es grande.", "The house is big."),
        ("The house\nis big.", "La casa es grande.", "The house is big."),
        ("The house is big.\n\nNote: 'casa' may mean home.", "La casa es grande.", "The house is big."),
        ("The house is big.\n\nIt is old.", "La casa es grande. Es vieja.", "The house is big. It is old."),
        ("I cannot translate poems. Nobody can.", "No sé traducir poemas.", "I cannot translate poems. Nobody can."),
        ("", "La casa es grande.", ""),
    ],
)
def test_parse_answer(text: str, source: str, translation: str) -> None:
    assert parse_answer(text, source).text == translation


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("I'm sorry, but I can't assist with that request.", "refusal"),
        ("I cannot translate this text as it contains hateful language.", "refusal"),
        ("<think>La casa", "reasoning"),
    ],
)
def test_parse_answer_says_why_there_is_none(text: str, error: str) -> None:
    answer = parse_answer(text, "La casa es grande.")
    assert answer.text is None
    assert error in str(answer.error)


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_parse_answer_gives_one_line_or_an_error(text: str, source: str) -> None:
    answer = parse_answer(text, source)
    assert (answer.text is None) != (answer.error is None)
    if answer.text is not None:
        assert answer.text == " ".join(answer.text.split())


# Texts


def test_layout_and_order_are_kept_and_directions_mixed() -> None:
    chat = UpperChat()
    texts = ["  Uno dos.\n\n\tTres.\n", "", "***", "Cuatro cinco.", "шесть семь"]
    sources = ["spa_Latn", "spa_Latn", "spa_Latn", "eng_Latn", "rus_Cyrl"]
    targets = ["eng_Latn", "eng_Latn", "eng_Latn", "rus_Cyrl", "spa_Latn"]
    answers = translator_of(chat).translate(texts, sources, targets)
    assert [each.text for each in answers] == ["  UNO DOS.\n\n\tTRES.\n", "", "***", "CUATRO CINCO.", "ШЕСТЬ СЕМЬ"]
    assert [each.health.segments for each in answers] == [2, 0, 0, 1, 1]
    assert [prompt for prompt, _ in chat.asked] == [
        "Spanish>English|Uno dos.",
        "Spanish>English|Tres.",
        "English>Russian|Cuatro cinco.",
        "Russian>Spanish|шесть семь",
    ]


def test_long_texts_are_cut_and_no_segment_is_asked_for_twice() -> None:
    chat = UpperChat()
    text = " ".join(f"Esta es la frase número {at}, y no es muy larga." for at in range(40))
    first, second, third = to_english(translator_of(chat, max_segment_chars=200), text, text, "Otra frase.")
    assert first.text == second.text == text.upper()
    assert third.text == "OTRA FRASE."
    prompts = [prompt for prompt, _ in chat.asked]
    assert len(prompts) == len(set(prompts)) > 8
    assert all(len(prompt.partition("|")[2]) <= 200 for prompt in prompts)


def test_seeds_belong_to_the_segment() -> None:
    chat, other = UpperChat(), UpperChat()
    to_english(translator_of(chat, seed=3), "Uno.", "Dos.")
    to_english(translator_of(other, seed=3), "Dos.")
    assert chat.asked[1] == other.asked[0]
    assert chat.asked[0][1] != chat.asked[1][1]


def test_an_error_is_its_texts_alone() -> None:
    chat = UpperChat(Dos=Completion(None, "out of order"), Tres=Completion("<think>"))
    answers = to_english(translator_of(chat), "Uno", "Dos\nUno", "Tres", "Cuatro")
    assert [each.text for each in answers] == ["UNO", None, None, "CUATRO"]
    assert [each.error for each in answers[1:3]] == [
        "out of order",
        "the answer ends within its reasoning: raise max_tokens",
    ]


def test_health_is_that_of_the_segments() -> None:
    source = "La casa de la montaña es grande y bonita"
    chat = UpperChat(
        Uno=Completion("One and so on and", was_cut=True), Dos=Completion(" "), **{source: Completion(source)}
    )
    cut, empty, copied = to_english(translator_of(chat), "Uno\nX", "Dos", source)
    assert (cut.health.segments, cut.health.truncated) == (2, 1)
    assert (empty.text, empty.health.empty) == ("", 1)
    assert copied.health.copied == 1


def test_a_text_whose_tokens_cannot_be_counted_is_an_error_alone() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        if any("Dos" in text for text in texts):
            raise ChatError("no counter")
        return [len(text.split()) for text in texts]

    settings = settings_of(tokenizer="server", max_segment_tokens=16)
    translator = OpenAITranslator(settings, UpperChat(), count, PLAIN, NAMES)
    answers = to_english(translator, "Uno", "Dos", "Tres")
    assert [each.text for each in answers] == ["UNO", None, "TRES"]
    assert answers[1].error == "tokens cannot be counted: no counter"


# The server


def test_a_server_translates_and_its_faults_are_the_texts_alone(start_chat_server) -> None:
    server = start_chat_server()
    settings = settings_of(base_url=server.url, max_retries=0, timeout_seconds=2)
    prompt = "{{source_language}} {{target_language}} Answer: {{text}} SAY({{text}})"
    translator = settings.open(prompt.replace("{{text}} SAY", "SAY"), NAMES)
    faulty = settings.open("{{source_language}} {{target_language}} Answer: {{text}}", NAMES)
    text = "  Uno.\nDos (2).\n"
    assert to_english(translator, text)[0].text == text
    good, bad, cut = to_english(faulty, "Uno", "FAULT-half", "FAULT-cut")
    assert good.text == 'Instruction: "What does a text say that begins with Uno?"'
    assert (bad.text, bad.error) == (None, "Connection error.")
    assert cut.health.truncated == 1


def test_the_server_counts_segments_tokens(start_chat_server) -> None:
    server = start_chat_server()
    settings = settings_of(base_url=server.url, tokenizer="server", max_segment_tokens=16)
    settings.check([("spa_Latn", "eng_Latn")], NAMES)
    translator = settings.open("{{source_language}} {{target_language}} SAY({{text}})", NAMES)
    text = " ".join(f"Esta es la frase {at}." for at in range(20))
    (answer,) = to_english(translator, text)
    assert answer.text == text
    assert answer.health.segments >= 5


# The settings


def test_label_names_model_and_prompt() -> None:
    label = translator_of(UpperChat()).label("spa_Latn", "eng_Latn")
    assert label == f"openai:{MODEL}:{prompt_hash(PLAIN)[:12]}"
    assert re.fullmatch(r"openai:[\w-]+:[0-9a-f]{12}", label)


def test_languages_without_a_name_are_refused() -> None:
    settings = settings_of()
    assert settings.supports("spa_Latn", "eng_Latn")
    assert not settings.supports("eng_Latn", "eng_Latn")
    assert not settings.supports("tok_Latn", "eng_Latn", NAMES)
    with pytest.raises(EngineUnavailable, match="tok_Latn: without a name"):
        settings.check([("spa_Latn", "eng_Latn"), ("tok_Latn", "eng_Latn")], NAMES)


def test_settings() -> None:
    assert hash(settings_of(base_url=["http://a/v1", "http://b/v1"]))
    assert not {"base_url", "concurrency", "tokenizer"} & set(settings_of().decisive())
    with pytest.raises(ValidationError, match="go together"):
        settings_of(max_segment_tokens=100)
