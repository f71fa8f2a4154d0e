from __future__ import annotations

import importlib.metadata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.engines import EngineUnavailable
from udfs.identifiers import Found
from udfs.identifiers.py3langid import Py3langidIdentifier, Py3langidSettings

CODES = {
    "spa_Latn": "es",
    "cat_Latn": "ca",
    "glg_Latn": "gl",
    "por_Latn": "pt",
    "eng_Latn": "en",
    "hrv_Latn": "hr",
    "bos_Latn": "bs",
    "srp_Cyrl": "sr",
    "nob_Latn": "no",
    "nno_Latn": "nn",
    "pes_Arab": "fa",
    "prs_Arab": "fa",
    "jpn_Jpan": "ja",
}
CANDIDATES = ("spa_Latn", "cat_Latn", "glg_Latn", "eng_Latn")
SPANISH = "El consejo votó el martes a favor de cerrar la calle del río a los coches entre mayo y septiembre."
CATALAN = "El consell va votar dimarts a favor de tancar el carrer del riu als cotxes entre el maig i el setembre."
ENGLISH = "The council voted on Tuesday to close the riverside road to cars between May and September."
CROATIAN = "Vijeće je u utorak izglasalo da se cesta uz rijeku zatvori za automobile od svibnja do rujna."
SERBIAN = "Савет је у уторак изгласао да се пут поред реке затвори за аутомобиле од маја до септембра."
NYNORSK = "Kommunestyret røysta tysdag for å stengja vegen langs elva for bilar frå mai til september."
PERSIAN = "شورای شهر روز سه‌شنبه رأی داد که جادهٔ کنار رودخانه از اردیبهشت تا شهریور به روی خودروها بسته شود."
JAPANESE = "市議会は火曜日、五月から九月まで川沿いの道路を車両通行止めにすることを決めた。商店主らは警告していた。"


@pytest.fixture(scope="module")
def identifier() -> Py3langidIdentifier:
    return Py3langidSettings().open(CODES)


@pytest.mark.parametrize("candidates", [None, CANDIDATES])
@pytest.mark.parametrize(
    ("text", "expected", "outcome"),
    [
        (SPANISH, "spa_Latn", "match"),
        (CATALAN, "cat_Latn", "match"),
        (SPANISH, "cat_Latn", "mismatch"),
        (ENGLISH, "spa_Latn", "mismatch"),
        (ENGLISH, "jpn_Jpan", "mismatch"),
        (JAPANESE, "jpn_Jpan", "match"),
        (SPANISH.upper(), "spa_Latn", "match"),
    ],
)
def test_outcomes(
    identifier: Py3langidIdentifier, text: str, expected: str, outcome: str, candidates: tuple[str, ...] | None
) -> None:
    (found,) = identifier.identify([text], [expected], candidates)
    assert found.outcome == outcome
    assert found.score > 0.9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CROATIAN, "bos_Latn"),
        (CROATIAN, "srp_Cyrl"),
        (SERBIAN, "hrv_Latn"),
        (NYNORSK, "nob_Latn"),
        (PERSIAN, "prs_Arab"),
    ],
)
def test_close_relatives_match(identifier: Py3langidIdentifier, text: str, expected: str) -> None:
    assert identifier.identify([text], [expected])[0].outcome == "match"


@pytest.mark.parametrize(
    ("text", "label"),
    [("", "und"), (" \n\t", "und"), ("2019-2020 12,5 %", None), ("Barcelona", None), ("… — !?", None)],
)
@pytest.mark.parametrize("candidates", [None, CANDIDATES])
def test_texts_that_say_too_little(
    identifier: Py3langidIdentifier, text: str, label: str | None, candidates: tuple[str, ...] | None
) -> None:
    (found,) = identifier.identify([text], ["spa_Latn"], candidates)
    assert found.outcome == "uncertain"
    if label:
        assert (found.label, found.score) == (label, 0.0)


@pytest.mark.parametrize(
    "text", ["1 234 567 " * 50, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
)
def test_what_is_no_language_is_no_other_language(identifier: Py3langidIdentifier, text: str) -> None:
    (found,) = identifier.identify([text], ["spa_Latn"])
    assert (found.label, found.outcome) == ("zxx", "uncertain")


def test_a_language_without_a_label_is_uncertain(identifier: Py3langidIdentifier) -> None:
    for candidates in (None, CANDIDATES, ()):
        (found,) = identifier.identify([SPANISH], ["xyz_Latn"], candidates)
        assert (found.label, found.outcome) == ("es", "uncertain")


def test_thresholds_decide_between_uncertain_and_mismatch() -> None:
    text = "Me gusta el vino tinto de la casa"
    base = Py3langidSettings().open(CODES).identify([text] * 2, ["glg_Latn"] * 2, CANDIDATES)[0]
    assert base.label == "es"
    for score, outcome in ((base.score - 0.01, "mismatch"), (base.score + 0.001, "uncertain")):
        strict = Py3langidSettings(min_score_of_candidates=min(score, 1.0)).open(CODES)
        assert strict.identify([text], ["glg_Latn"], CANDIDATES)[0].outcome == outcome
    unrestricted = Py3langidSettings(min_score=1.0).open(CODES).identify([text], ["glg_Latn"])[0]
    assert unrestricted.outcome == "uncertain"


def test_a_short_text_is_not_judged_however_clear() -> None:
    text = "What is this?"
    (judged,) = Py3langidSettings(min_chars=10).open(CODES).identify([text], ["spa_Latn"], CANDIDATES)
    (left,) = Py3langidSettings(min_chars=11).open(CODES).identify([text], ["spa_Latn"], CANDIDATES)
    assert (judged.label, judged.outcome) == ("en", "mismatch")
    assert (left.label, left.score, left.outcome) == (judged.label, judged.score, "uncertain")


def test_candidates_restrict_one_call_alone(identifier: Py3langidIdentifier) -> None:
    before = identifier.identify([CROATIAN], ["hrv_Latn"])
    restricted = identifier.identify([CROATIAN], ["spa_Latn"], CANDIDATES)
    assert restricted[0].label in {CODES[code] for code in CANDIDATES}
    assert identifier.identify([CROATIAN], ["hrv_Latn"]) == before


def test_the_expected_language_is_always_a_candidate(identifier: Py3langidIdentifier) -> None:
    found = identifier.identify([JAPANESE, SPANISH], ["jpn_Jpan", "spa_Latn"], ["eng_Latn"])
    assert [each.outcome for each in found] == ["match", "match"]


def test_the_package_keeps_its_own_state() -> None:
    import py3langid

    py3langid.set_languages(["de", "fr"])
    try:
        (found,) = Py3langidSettings().open(CODES).identify([SPANISH], ["spa_Latn"])
        assert found.label == "es"
        assert py3langid.classify(SPANISH)[0] in {"de", "fr"}
    finally:
        py3langid.set_languages(None)


def test_only_the_head_of_a_long_text_is_read() -> None:
    text = SPANISH + " " + ENGLISH * 20
    assert Py3langidSettings().open(CODES).identify([text], ["spa_Latn"])[0].outcome == "mismatch"
    short = Py3langidSettings(max_chars=len(SPANISH)).open(CODES)
    assert short.identify([text], ["spa_Latn"])[0].outcome == "match"


def test_the_label_names_the_version(identifier: Py3langidIdentifier) -> None:
    assert identifier.label == f"py3langid-{importlib.metadata.version('py3langid')}"


def test_a_wrong_label_in_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no label zz"):
        Py3langidSettings().open({"spa_Latn": "es", "zzz_Latn": "zz"})


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("udfs.identifiers.py3langid.version", missing)
    with pytest.raises(EngineUnavailable, match="pip install py3langid"):
        Py3langidSettings().check()


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.sampled_from([*CODES, "xyz_Latn"])), max_size=5), st.booleans())
def test_any_text_gives_a_result(
    identifier: Py3langidIdentifier, rows: list[tuple[str, str]], restricted: bool
) -> None:
    texts, expected = [text for text, _ in rows], [code for _, code in rows]
    found = identifier.identify(texts, expected, CANDIDATES if restricted else None)
    assert len(found) == len(rows)
    assert all(0.0 <= each.score <= 1.0 and each.label for each in found)


@pytest.mark.parametrize("candidates", [None, CANDIDATES])
@pytest.mark.parametrize(
    "other",
    [
        {"min_score": 1.0, "min_score_of_candidates": 1.0},
        {"min_score": 0.0, "min_score_of_candidates": 0.0},
        {"min_chars": 60},
        {"min_chars": 1, "min_score": 0.3, "min_score_of_candidates": 0.3},
    ],
)
def test_other_settings_draw_the_same_outcome_from_what_was_found(
    identifier: Py3langidIdentifier, other: dict[str, float], candidates: tuple[str, ...] | None
) -> None:
    texts = [SPANISH, CATALAN, ENGLISH, CROATIAN, PERSIAN, JAPANESE, "Me gusta el vino de la casa", "What is this?"]
    texts += ["", " ", "1 234 567", SPANISH[:40]]
    asked = [(text, language) for text in texts for language in (*CODES, "xyz_Latn")]
    found = [
        Found(text, language, each.label, each.score, each.expected_score)
        for (text, language), each in zip(
            asked, identifier.identify(*zip(*asked, strict=True), candidates), strict=True
        )
    ]
    settings = Py3langidSettings(**other)
    anew = settings.open(CODES).identify(*zip(*asked, strict=True), candidates)
    assert settings.outcomes(found, CODES, candidates) == [each.outcome for each in anew]
    before = identifier.identify(*zip(*asked, strict=True), candidates)
    assert [each.outcome for each in before] != [each.outcome for each in anew], "these settings change something"
