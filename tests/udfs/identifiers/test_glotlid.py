from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import devices
from udfs.engines import EngineUnavailable
from udfs.identifiers import Found
from udfs.identifiers.glotlid import GlotLidIdentifier, GlotLidSettings, LabelSet, label_sets
from udfs.languages import LanguageTable

fasttext = pytest.importorskip("fasttext")

ROOT = Path(__file__).resolve().parents[3]
SETS = label_sets(LanguageTable.from_csv((ROOT / "conf" / "languages.csv").read_text(encoding="utf-8")))
CANDIDATES = ("spa_Latn", "eng_Latn", "als_Latn")
SPANISH = "El consejo votó el martes a favor de cerrar la calle del río a los coches entre mayo y septiembre."
ENGLISH = "The council voted on Tuesday to close the riverside road to cars between May and September."
BOSNIAN = "Vijeće je u utorak glasalo da se cesta pored rijeke zatvori za automobile od maja do septembra."
SERBIAN = "Савет је у уторак изгласао да се пут поред реке затвори за аутомобиле од маја до септембра."
ARABIC = "صوت المجلس يوم الثلاثاء لصالح إغلاق الطريق المحاذي للنهر أمام السيارات بين شهري مايو وسبتمبر."
PERSIAN = "شورای شهر روز سه شنبه رأی داد که جاده کنار رودخانه از اردیبهشت تا شهریور به روی خودروها بسته شود."
CHINESE = "市议会周二投票决定在五月至九月期间禁止汽车进入河边的道路，商店店主们对此表示担忧。"
JAPANESE = "市議会は火曜日、五月から九月まで川沿いの道路を車両通行止めにすることを決めた。"
MOJIBAKE = "ïðàâèëà, ðàçâèòü õîðîøèé ëèòåðàòóðíûé âêóñ ó äåòåé è âçðîñëûõ ëþäåé íàøåé ñòðàíû"
# Labels that a language must be known by to be expected; the model learns them from a word that no text holds.
UNUSED = ("arz_Arab", "yue_Hani", "hrv_Latn", "srp_Latn")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fastText classifier as GlotLID is one: character n-grams, softmax, labels of language and script."""
    folder = tmp_path_factory.mktemp("glotlid")
    with gzip.open(ROOT / "tests/data/lid/sentences.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    lines = [f"__label__{row['label']} {row['text']}" for row in rows]
    noise = [row["text"] for row in rows if row["label"] == "srp_Cyrl"]
    lines += [f"__label__zxx_Latn {text.encode('cp1251', 'ignore').decode('latin-1')}" for text in noise]
    lines += [f"__label__{label} ꙮꙮꙮ{label}" for label in UNUSED]
    training = folder / "training.txt"
    training.write_text("\n".join(" ".join(line.split()) for line in lines) + "\n", encoding="utf-8")
    trained = fasttext.train_supervised(
        str(training), minn=2, maxn=4, dim=16, epoch=20, lr=0.8, bucket=20_000, thread=1, loss="softmax", verbose=0
    )
    trained.save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


@pytest.fixture(scope="module")
def identifier(model: str) -> GlotLidIdentifier:
    return GlotLidSettings(model=model).open(SETS)


@pytest.mark.parametrize(
    ("language", "same", "siblings", "neither"),
    [
        # Labels of the row, the language's own code, and its macrolanguage's.
        ("pes_Arab", {"fas_Arab", "pes_Arab"}, {"prs_Arab"}, {"ckb_Arab"}),
        ("nob_Latn", {"nob_Latn", "nor_Latn"}, {"nno_Latn"}, {"dan_Latn"}),
        ("arb_Arab", {"arb_Arab", "ara_Arab"}, {"arz_Arab", "arq_Arab"}, {"arb_Latn", "fas_Arab"}),
        ("als_Latn", {"als_Latn", "sqi_Latn"}, {"aln_Latn"}, {"gsw_Latn"}),
        ("ory_Orya", {"ory_Orya", "ori_Orya"}, set(), {"ory_Latn"}),
        ("zsm_Latn", {"zsm_Latn", "msa_Latn"}, {"ind_Latn", "min_Latn"}, {"min_Arab", "zsm_Arab"}),
        ("yue_Hant", {"yue_Hani", "zho_Hani"}, {"cmn_Hani", "wuu_Hani"}, {"jpn_Jpan", "nan_Latn"}),
        ("ckb_Arab", {"ckb_Arab", "kur_Arab"}, {"sdh_Arab"}, {"kmr_Latn"}),
        ("kmr_Latn", {"kmr_Latn", "kur_Latn"}, set(), {"ckb_Arab", "kmr_Cyrl"}),
        ("srp_Cyrl", {"srp_Cyrl", "hbs_Cyrl"}, set(), {"srp_Latn", "bos_Latn"}),
        ("vro_Latn", {"vro_Latn", "est_Latn"}, {"ekk_Latn"}, set()),
        # Rows coded with a macrolanguage are found by its members.
        ("hbs_Latn", {"hbs_Latn", "hrv_Latn", "bos_Latn", "cnr_Latn"}, set(), {"srp_Cyrl"}),
        ("zho_Hans", {"cmn_Hani", "zho_Hani", "yue_Hani", "wuu_Hani", "hak_Hani"}, set(), {"nan_Latn", "jpn_Jpan"}),
        ("zho_Hant", {"cmn_Hani", "zho_Hani", "yue_Hani"}, set(), {"nan_Latn"}),
        # Languages of no macrolanguage.
        ("spa_Latn", {"spa_Latn"}, set(), {"cat_Latn"}),
        ("acq_Arab", {"acq_Arab", "ara_Arab"}, {"arb_Arab"}, set()),
    ],
)
def test_label_sets(language: str, same: set[str], siblings: set[str], neither: set[str]) -> None:
    labels = SETS[language]
    assert same <= set(labels.same)
    assert siblings <= set(labels.siblings)
    assert not neither & {*labels.same, *labels.siblings}
    assert not set(labels.same) & set(labels.siblings)


def test_every_label_is_in_the_script_of_its_language() -> None:
    scripts = {"Hans": "Hani", "Hant": "Hani"}
    for language, labels in SETS.items():
        script = language.partition("_")[2]
        for label in (*labels.same, *labels.siblings):
            assert label.endswith(scripts.get(script, script)), (language, label)


@pytest.mark.parametrize(
    ("text", "expected", "label", "outcome"),
    [
        (SPANISH, "spa_Latn", "spa_Latn", "match"),
        (SPANISH, "eng_Latn", "spa_Latn", "mismatch"),
        (PERSIAN, "pes_Arab", "fas_Arab", "match"),
        (PERSIAN, "prs_Arab", "fas_Arab", "match"),
        (PERSIAN, "arb_Arab", "fas_Arab", "mismatch"),
        (CHINESE, "zho_Hans", "cmn_Hani", "match"),
        (CHINESE, "zho_Hant", "cmn_Hani", "match"),
        (CHINESE, "yue_Hant", "cmn_Hani", "uncertain"),
        (CHINESE, "jpn_Jpan", "cmn_Hani", "mismatch"),
        (BOSNIAN, "hbs_Latn", "bos_Latn", "match"),
        (BOSNIAN, "hrv_Latn", "bos_Latn", "uncertain"),
        (BOSNIAN, "srp_Cyrl", "bos_Latn", "mismatch"),
        (SERBIAN, "srp_Cyrl", "srp_Cyrl", "match"),
        (ARABIC, "arz_Arab", "arb_Arab", "uncertain"),
        (MOJIBAKE, "srp_Cyrl", "zxx_Latn", "mismatch"),
        # Neither the language nor its macrolanguage is a label of the model.
        (SPANISH, "acq_Arab", "spa_Latn", "uncertain"),
        (SPANISH, "xyz_Latn", "spa_Latn", "uncertain"),
    ],
)
def test_outcomes(identifier: GlotLidIdentifier, text: str, expected: str, label: str, outcome: str) -> None:
    (found,) = identifier.identify([text], [expected])
    assert (found.label, found.outcome) == (label, outcome)
    assert found.score > 0.5
    assert (found.expected_score is None) == (not identifier.knows(expected))


@pytest.mark.parametrize("outcome", ["match", "uncertain", "mismatch"])
def test_the_recipe_says_what_a_sibling_is(model: str, outcome: str) -> None:
    identifier = GlotLidSettings(model=model, siblings=outcome).open(SETS)
    found = identifier.identify([BOSNIAN, ENGLISH], ["hrv_Latn", "hrv_Latn"])
    assert [each.outcome for each in found] == [outcome, "mismatch"]


def test_scores_are_those_of_the_model(identifier: GlotLidIdentifier, model: str) -> None:
    labels, values = fasttext.load_model(model).predict([BOSNIAN], k=-1)
    exact = {label.removeprefix("__label__"): float(value) for label, value in zip(labels[0], values[0], strict=True)}
    (found,) = identifier.identify([BOSNIAN], ["hbs_Latn"])
    assert found.score == pytest.approx(exact["bos_Latn"], abs=2e-5)
    same = sum(exact.get(label, 0.0) for label in SETS["hbs_Latn"].same)
    assert found.expected_score == pytest.approx(same, abs=1e-4)
    (other,) = identifier.identify([BOSNIAN], ["als_Latn"])
    assert other.expected_score == pytest.approx(exact["als_Latn"], abs=2e-5)


def test_thresholds_are_per_language_of_expectation(model: str) -> None:
    text = SPANISH + " " + ENGLISH[:60]
    (base,) = GlotLidSettings(model=model, min_score=0.0).open(SETS).identify([text], ["eng_Latn"])
    assert (base.label, base.outcome) == ("spa_Latn", "mismatch")
    assert base.score < 0.9999
    above = min((base.score + 1) / 2, 1.0)
    strict = GlotLidSettings(model=model, min_score=above, min_score_by_language={"als_Latn": base.score - 0.01})
    found = strict.open(SETS).identify([text] * 3, ["eng_Latn", "spa_Latn", "als_Latn"])
    assert [each.outcome for each in found] == ["uncertain", "uncertain", "mismatch"]


@pytest.mark.parametrize(
    ("text", "letters"), [("What is this?", 10), ("Qué es ésto, ¿lo sabes?", 16), ("川沿いの道路", 18)]
)
def test_a_text_of_few_letters_is_not_judged(model: str, text: str, letters: int) -> None:
    judged = GlotLidSettings(model=model, min_chars=letters, min_score=0.0).open(SETS)
    left = GlotLidSettings(model=model, min_chars=letters + 1, min_score=0.0).open(SETS)
    assert judged.identify([text], ["srp_Cyrl"])[0].outcome == "mismatch"
    (found,) = left.identify([text], ["srp_Cyrl"])
    assert found.outcome == "uncertain"
    assert (found.label, found.score) == (judged.identify([text], ["srp_Cyrl"])[0].label, found.score)


@pytest.mark.parametrize("text", ["", " ", "\n\t \n", "</s>", "\n</s>\n"])
@pytest.mark.parametrize("candidates", [None, CANDIDATES])
def test_a_text_of_no_words(identifier: GlotLidIdentifier, text: str, candidates: tuple[str, ...] | None) -> None:
    (found,) = identifier.identify([text], ["spa_Latn"], candidates)
    assert (found.label, found.score, found.outcome, found.expected_score) == ("und", 0.0, "uncertain", None)


def test_line_breaks_and_marks_of_fasttext_are_blanks(identifier: GlotLidIdentifier) -> None:
    (plain,) = identifier.identify([SPANISH], ["spa_Latn"])
    for text in (SPANISH.replace(" ", "\n"), SPANISH.replace(" ", " </s> "), SPANISH + "\n", SPANISH + "\ud800"):
        (found,) = identifier.identify([text], ["spa_Latn"])
        assert (found.label, found.outcome) == ("spa_Latn", "match")
        assert found.score == pytest.approx(plain.score, abs=0.05)


def test_candidates_take_the_probability_of_the_others(identifier: GlotLidIdentifier) -> None:
    text = BOSNIAN + " " + SPANISH[:40]
    (free,) = identifier.identify([text], ["spa_Latn"])
    (found,) = identifier.identify([text], ["spa_Latn"], ("eng_Latn",))
    assert free.label == "bos_Latn"
    assert found.label == "spa_Latn"
    assert found.score > (free.expected_score or 0.0)
    # A sibling of a candidate may be found, as texts in it are expected.
    assert identifier.identify([text], ["spa_Latn"], ("hrv_Latn",))[0].label == "bos_Latn"


def test_a_text_in_no_candidate_is_uncertain(identifier: GlotLidIdentifier) -> None:
    (found,) = identifier.identify([JAPANESE], ["spa_Latn"], ("eng_Latn",))
    assert (found.label, found.outcome) == ("jpn_Jpan", "uncertain")
    # What is no text is no language's, whatever the candidates.
    (noise,) = identifier.identify([MOJIBAKE], ["spa_Latn"], ("eng_Latn",))
    assert (noise.label, noise.outcome) == ("zxx_Latn", "mismatch")


def test_only_the_head_of_a_long_text_is_read(model: str) -> None:
    text = SPANISH + " " + ENGLISH * 20
    assert GlotLidSettings(model=model).open(SETS).identify([text], ["spa_Latn"])[0].outcome == "mismatch"
    short = GlotLidSettings(model=model, max_chars=len(SPANISH)).open(SETS)
    assert short.identify([text], ["spa_Latn"])[0].outcome == "match"


def test_settings_are_hashable_with_thresholds_and_stored_whole(model: str) -> None:
    values = {"yor_Latn": 0.3, "als_Latn": 0.4}
    one, same = (GlotLidSettings(model=model, min_score_by_language=values) for _ in range(2))
    assert len({one, same, GlotLidSettings(model=model)}) == 2
    assert one.decisive()["min_score_by_language"] == [["als_Latn", 0.4], ["yor_Latn", 0.3]]
    assert hash(tuple(sorted(SETS.items())))


def test_the_label_tells_model_files_apart(model: str, tmp_path: Path) -> None:
    label = GlotLidSettings(model=model).open(SETS).label
    assert label.startswith("glotlid:model.bin@")
    assert len(label) == len("glotlid:model.bin@") + 8
    other = tmp_path / "model.bin"
    quantised = fasttext.load_model(model)
    quantised.quantize(retrain=False)
    quantised.save_model(str(other))
    found = GlotLidSettings(model=str(other)).open(SETS)
    assert found.label != label
    assert found.identify([SPANISH], ["spa_Latn"])[0].outcome == "match"


def test_the_model_is_loaded_once_an_opening_and_counted(model: str) -> None:
    identifier = GlotLidSettings(model=model).open(SETS)
    before = devices.loads()[identifier.label]
    identifier.identify([SPANISH] * 3, ["spa_Latn"] * 3)
    assert devices.loads()[identifier.label] == before
    GlotLidSettings(model=model).open(SETS)
    assert devices.loads()[identifier.label] == before + 1


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="hf download cis-lmu/glotlid"):
        GlotLidSettings(model=str(tmp_path / "none.bin")).check()


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"PK\x03\x04" + b"\x01" * 100])
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(EngineUnavailable, match="no fastText classifier"):
        GlotLidSettings(model=str(path)).check()


def test_word_vectors_are_no_classifier(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one two three\n" * 20)
    path = str(tmp_path / "vectors.bin")
    fasttext.train_unsupervised(str(text), dim=4, minCount=1, bucket=100, thread=1, verbose=0).save_model(path)
    with pytest.raises(EngineUnavailable, match="no fastText classifier"):
        GlotLidSettings(model=path).check()


@pytest.mark.parametrize("missing", [1, 10_000, 0.9999])
def test_a_cut_file_is_an_error(model: str, tmp_path: Path, missing: float) -> None:
    content = Path(model).read_bytes()
    path = tmp_path / "model.bin"
    path.write_bytes(content[: -missing if missing >= 1 else int(len(content) * (1 - missing))])
    for use in (GlotLidSettings.check, lambda each: each.open(SETS)):
        with pytest.raises(EngineUnavailable, match=r"no fastText classifier \(cut"):
            use(GlotLidSettings(model=str(path)))


def test_the_labels_are_read_from_the_file(model: str, tmp_path: Path) -> None:
    labels = {label.removeprefix("__label__") for label in fasttext.load_model(model).get_labels()}
    assert GlotLidSettings(model=model).labels() == labels
    assert {"zxx_Latn", "cmn_Hani", *UNUSED} <= labels
    some = {language: SETS[language] for language in ("spa_Latn", "cat_Latn", "zho_Hant", "acq_Arab", "hbs_Latn")}
    assert GlotLidSettings(model=model).unknown(some) == ["cat_Latn", "acq_Arab"]


def test_a_model_of_other_labels_is_an_error(model: str) -> None:
    with pytest.raises(EngineUnavailable, match="not GlotLID's"):
        GlotLidSettings(model=model).open({"spa_Latn": LabelSet(("es",), ())})


@pytest.mark.parametrize("problem", ["missing", "predict only"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, model: str, problem: str) -> None:
    if problem == "missing":
        monkeypatch.setitem(sys.modules, "fasttext", None)
    else:
        monkeypatch.delattr(fasttext.FastText._FastText, "get_labels")
    with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[glotlid\]'"):
        GlotLidSettings(model=model).check()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(), st.sampled_from(["spa_Latn", "zho_Hans", "hbs_Latn", "xyz_Latn"])), max_size=5),
    st.booleans(),
)
def test_a_batch_gives_what_its_texts_give_alone(
    identifier: GlotLidIdentifier, rows: list[tuple[str, str]], is_restricted: bool
) -> None:
    candidates = CANDIDATES if is_restricted else None
    texts, expected = [text for text, _ in rows], [code for _, code in rows]
    found = identifier.identify(texts, expected, candidates)
    assert found == [identifier.identify([text], [code], candidates)[0] for text, code in rows]
    assert all(0.0 <= each.score <= 1.0 and each.label for each in found)
    assert all(each.expected_score is None or 0.0 <= each.expected_score <= 1.0 for each in found)


@pytest.mark.parametrize("candidates", [None, CANDIDATES])
@pytest.mark.parametrize(
    "other",
    [
        {"min_score": 0.999},
        {"min_score": 0.0, "min_chars": 3},
        {"min_score_by_language": {"spa_Latn": 0.9999, "hrv_Latn": 0.9999}},
        {"siblings": "mismatch"},
        {"siblings": "match", "min_chars": 120},
    ],
)
def test_other_settings_draw_the_same_outcome_from_what_was_found(
    identifier: GlotLidIdentifier, model: str, other: dict[str, object], candidates: tuple[str, ...] | None
) -> None:
    texts = [SPANISH, ENGLISH, BOSNIAN, SERBIAN, ARABIC, PERSIAN, CHINESE, JAPANESE, MOJIBAKE, "¿Qué es?", "", " \n"]
    languages = ("spa_Latn", "eng_Latn", "hrv_Latn", "bos_Latn", "arz_Arab", "pes_Arab", "zho_Hans", "xyz_Latn")
    asked = [(text, language) for text in texts for language in languages]
    before = identifier.identify(*zip(*asked, strict=True), candidates)
    found = [
        Found(text, language, each.label, each.score, each.expected_score)
        for (text, language), each in zip(asked, before, strict=True)
    ]
    settings = GlotLidSettings(model=model, **other)
    anew = settings.open(SETS).identify(*zip(*asked, strict=True), candidates)
    assert settings.outcomes(found, SETS, candidates) == [each.outcome for each in anew]
    assert candidates or [each.outcome for each in before] != [each.outcome for each in anew]
