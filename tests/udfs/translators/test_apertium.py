"""Apertium as an engine: the real one, and pipelines in its place that fail in every way."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.translators.conftest import children
from udfs.engines import Answer, EngineUnavailable
from udfs.translators import apertium as engine
from udfs.translators.apertium import LANGUAGES, ApertiumSettings, ApertiumTranslator, Installation, Mode
from udfs.translators.apertium_stream import normalise

ENGLISH = "eng_Latn"
BOTH_WAYS = [pair for language in LANGUAGES for pair in ((language, ENGLISH), (ENGLISH, language))]


def translate(translator: ApertiumTranslator, texts: list[str], source: str, target: str) -> list[str]:
    """Translations of texts that all must succeed."""
    answers = translator.translate_direction(texts, source, target)
    assert [answer.error for answer in answers] == [None] * len(texts)
    return [answer.text or "" for answer in answers]


class TestSettings:
    def test_only_the_listed_languages_to_english_and_back(self):
        assert ApertiumSettings.languages() == LANGUAGES
        assert set(LANGUAGES) == {*("spa_Latn", "cat_Latn", "glg_Latn", "epo_Latn", "por_Latn", "ita_Latn", "fra_Latn")}
        assert all(ApertiumSettings.supports(*pair) for pair in BOTH_WAYS)
        for pair in [("spa_Latn", "cat_Latn"), (ENGLISH, ENGLISH), ("hrv_Latn", ENGLISH), (ENGLISH, "yor_Latn")]:
            assert not ApertiumSettings.supports(*pair)

    def test_where_and_how_long_do_not_decide_the_result(self):
        assert ApertiumSettings(prefix="x", timeout_s=1, retry_s=1).decisive() == {"kind": "apertium"}

    def test_environment_variable_names_the_folder(self, prefix, monkeypatch):
        monkeypatch.setenv("BACKPROMPT_APERTIUM", prefix)
        assert ApertiumSettings().open().installation.root == Path(prefix).resolve()


class TestAbsence:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(EngineUnavailable, match="There is no Apertium in") as caught:
            ApertiumSettings(prefix=str(tmp_path)).check([("spa_Latn", ENGLISH)])
        message = str(caught.value)
        assert f"sh scripts/install-apertium.sh {tmp_path}" in message
        assert "apt-get install -y --no-install-recommends apertium-" in message
        assert "docker build" in message
        with pytest.raises(EngineUnavailable, match="There is no Apertium in"):
            ApertiumSettings(prefix=str(tmp_path)).open()

    def test_a_missing_mode(self, apertium, tmp_path):
        half = without(apertium.installation, tmp_path, "usr/share/apertium/modes/eng-spa.mode")
        settings = ApertiumSettings(prefix=str(half))
        settings.check([("spa_Latn", ENGLISH)])
        for attempt in (
            lambda: settings.check([("spa_Latn", ENGLISH), (ENGLISH, "por_Latn")]),
            lambda: settings.open().translate_direction(["A house."], ENGLISH, "spa_Latn"),
        ):
            with pytest.raises(EngineUnavailable, match=r"lacks eng-spa\.(.|\n)*apt-get install .*apertium-eng-spa"):
                attempt()

    def test_missing_data_of_a_mode(self, apertium, tmp_path):
        half = without(apertium.installation, tmp_path, "usr/share/apertium/apertium-eng-spa/spa-eng.autogen.bin")
        with pytest.raises(EngineUnavailable, match=r"spa-eng does not work \(spa-eng: lt-proc ended with exit status"):
            ApertiumSettings(prefix=str(half)).check([("spa_Latn", ENGLISH)])

    def test_a_version_is_never_guessed(self, apertium, tmp_path):
        unlabelled = without(apertium.installation, tmp_path, "packages.tsv")
        with pytest.raises(EngineUnavailable, match=r"version of apertium-eng-spa is unknown to .*packages\.tsv"):
            ApertiumSettings(prefix=str(unlabelled)).check([("spa_Latn", ENGLISH)])

    def test_a_direction_that_is_not_offered(self, apertium):
        with pytest.raises(EngineUnavailable, match=r"does not translate yor_Latn to eng_Latn.*spa_Latn"):
            apertium.translate_direction(["Báwo ni?"], "yor_Latn", ENGLISH)
        with pytest.raises(EngineUnavailable, match="does not translate"):
            apertium.label("spa_Latn", "cat_Latn")


def without(installation: Installation, folder: Path, missing: str) -> Path:
    """A copy, made of links, of an Apertium that lacks one file."""
    source, copy = installation.root, folder / "an apertium's copy"
    data = source / "usr/share/apertium"
    for path in [source / "usr/bin", source / "usr/lib", *(path for path in data.rglob("*") if path.is_file())]:
        link = copy / path.relative_to(source)
        if path != source / missing:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    if missing != "packages.tsv":
        names = {"apertium", *(mode.package for mode in engine._MODES.values())}
        versions = "".join(f"{name}\t1:{installation.version(name)}-2\n" for name in names)
        (copy / "packages.tsv").write_text(versions)
    return copy


SENTENCES = {
    "spa_Latn": ("El gato está en la casa.", "gato"),
    "cat_Latn": ("El gat és a la casa.", "gat"),
    "glg_Latn": ("O gato está na casa.", "gato"),
    "epo_Latn": ("La kato estas en la domo.", "kato"),
    "por_Latn": ("O gato está na casa.", "gato"),
    "ita_Latn": ("Il gatto è nella casa.", "gatto"),
    "fra_Latn": ("Le chat est dans la maison.", "chat"),
}


class TestTranslation:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_both_ways(self, apertium, language):
        sentence, cat = SENTENCES[language]
        (english,) = translate(apertium, [sentence], language, ENGLISH)
        assert re.search(r"\b[Cc]at is (in|at) the (house|home)\.$", english)
        (back,) = translate(apertium, ["The cat is in the house."], ENGLISH, language)
        assert re.search(rf"\b{cat}\b", back)
        version = r"[0-9][0-9.]*"
        modes = rf"[a-z-]+@{version}(\+[a-z-]+@{version})?"
        assert re.fullmatch(rf"apertium-{version}:{modes}", apertium.label(language, ENGLISH))
        assert apertium.label(language, ENGLISH) != apertium.label(ENGLISH, language)

    def test_label_names_both_modes_of_a_pivot(self, apertium):
        assert re.fullmatch(r"apertium-[\d.]+:pt-es@[\d.]+\+spa-eng@[\d.]+", apertium.label("por_Latn", ENGLISH))

    def test_self_test_passes_for_all(self, prefix):
        ApertiumSettings(prefix=prefix).check(BOTH_WAYS)

    def test_nothing_in_nothing_out(self, apertium):
        assert apertium.translate_direction([], "spa_Latn", ENGLISH) == []

    def test_blank_and_uncarried_texts_start_no_engine(self, tmp_path):
        translator = ApertiumTranslator(ApertiumSettings(), Installation(tmp_path))
        answers = translator.translate_direction(["", " \n\t\u00a0", "\u200b\ufeff", "\0 \u00ad"], "por_Latn", ENGLISH)
        nothing = Answer(None, "nothing to translate")
        assert answers == [Answer(""), Answer(""), nothing, nothing]

    def test_lines_headings_and_lists_keep_their_place(self, apertium):
        text = (
            "\n\n# El título\n\n  - La casa.\n  - El gato\n\t* el perro  \n\n1. Uno\r\n2. Dos\n\nEs la casa\n"
            "del perro.\n\n\n== Final ==\n"
        )
        (english,) = translate(apertium, [text], "spa_Latn", ENGLISH)
        assert english == (
            "\n\n# The title\n\n  - The house.\n  - The cat\n\t* The dog  \n\n1. One\n2. Two\n\nIt is the house\n"
            "Of the dog.\n\n\n== Final ==\n"
        )

    def test_a_dropped_word_takes_no_indentation_along(self, apertium):
        (english,) = translate(apertium, ["  si percepisce costernazione"], "ita_Latn", ENGLISH)
        assert re.match(r"  \S", english)

    def test_percent_signs_and_tildes_survive(self, apertium):
        for pair in [("ita_Latn", ENGLISH), (ENGLISH, "ita_Latn"), ("cat_Latn", ENGLISH)]:
            (output,) = translate(apertium, ["xqzw 5% xqzw ~ xqzw.org/~xqzw"], *pair)
            assert output.count("%") == 1
            assert output.count("~") == 2


NASTY = [
    "\\ [ ] ^ $ / @ < > { } \\[ \\\\ ~ * # + = _ | &",
    "^la/el<det><def><f><sg>$ ^casa/casa<n><f><sg>$",
    "[<STREAMCMD:FLUSH>] [[t:b:x]]la casa[[/]] [] .[] [\n] .[][\n]",
    "La casa\0el gato\0\0",
    "a\x01b\x02c\x1fd\x7fe\x9df",
    "uno\r\ndos\rtres\vcuatro\fcinco",
    "uno\tdos\t\ttres\u00a0cuatro",
    "cafe\u0301 man\u0303ana ﬁn",
    "👩\u200d👩\u200d👧 🏳️\u200d🌈 \U0001f600",
    "שלום עולם \u202eabc\u202c العربية",
    "solo \ud83d mitad \udc00",
    "\ufffe\uffff\U0010ffff \ue000 \ufdd0",
    "¡!¿?...—«»“”…;:,",
    ".",
    "fin con barra \\",
    "\\",
    "Sr.",
    "  sangría  ",
    "x" * 5_000,
    "[" * 2_000,
    "\n" * 1_000 + "fin",
    "uno " * 1_000,
]


class TestNastyTexts:
    @pytest.mark.parametrize("pair", [("spa_Latn", ENGLISH), ("fra_Latn", ENGLISH), (ENGLISH, "ita_Latn")], ids=str)
    def test_each_comes_back_in_its_place(self, apertium, pair):
        outputs = translate(apertium, NASTY, *pair)
        for text, output in zip(NASTY, outputs, strict=True):
            assert output.strip()
            assert output.count("\n") == normalise(text).count("\n")
            for reserved in "\\[]^$@<>{}~*#|":
                assert output.count(reserved) == text.count(reserved)

    def test_random_texts(self, apertium):
        drawn = random.Random(7)
        pieces = [
            "la casa",
            " el ",
            "the ",
            "a+b",
            "\n",
            "\n\n",
            ".",
            " ",
            "\t",
            "%",
            "́",
            "😀",
            *"\\[]^$/@<>{}~*#&=_|'\0",
        ]
        texts = ["".join(drawn.choices(pieces, k=drawn.randint(1, 30))) for _ in range(60)]
        for pair in [("cat_Latn", ENGLISH), (ENGLISH, "spa_Latn")]:
            for text, answer in zip(texts, apertium.translate_direction(texts, *pair), strict=True):
                if not text.strip():
                    assert answer == Answer("")
                elif not normalise(text).strip():
                    assert answer.error == "nothing to translate"
                else:
                    assert answer.text is not None
                    assert answer.text.count("\n") == normalise(text).count("\n")


class TestNeighbours:
    # What the first does to a stage changes the translation of the second, if both go through the same process.
    @pytest.mark.parametrize(
        ("language", "first", "second"),
        [
            ("glg_Latn", "Si, señor.", "Tamén se fala diso."),
            ("ita_Latn", "Un esperto parla.", "È nel secondo file."),
        ],
        ids=["tagger", "constraint grammar"],
    )
    def test_a_translation_does_not_depend_on_what_came_before(self, apertium, language, first, second, monkeypatch):
        alone = translate(apertium, [second], language, ENGLISH)[0]
        assert translate(apertium, [first, second], language, ENGLISH)[1] == alone
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_memory", lambda _: "none")
            assert translate(apertium, [first, second], language, ENGLISH)[1] != alone

    @pytest.mark.parametrize(("source", "target"), [("cat_Latn", ENGLISH), (ENGLISH, "glg_Latn")])
    def test_order_does_not_matter(self, apertium, source, target):
        texts = [f"{first} {second}" for first in WORDS for second in WORDS]
        forward = apertium.translate_direction(texts, source, target)
        assert apertium.translate_direction(texts[::-1], source, target)[::-1] == forward
        assert all(answer.text or answer.error == "cat-eng: empty answer" for answer in forward)


WORDS = ["si", "se", "la casa", "the house", "that", "com a"]


def fake(code: str, *arguments: object) -> list[str]:
    """A stage in Python: ``code`` sees each ``record`` and writes its answer."""
    loop = """
import os, sys, time
buffer = b""
while chunk := os.read(0, 65536):
    *records, buffer = (buffer + chunk).split(b"\\0")
    for record in records:
        answer = record
"""
    write = "\n        os.write(1, answer + b'\\0')"
    return [
        sys.executable,
        "-c",
        loop + "".join(f"        {line}\n" for line in code.splitlines()) + write,
        *map(str, arguments),
    ]


@dataclass(frozen=True)
class Fake(Installation):
    """An installation in which every mode is the given pipeline."""

    pipeline: tuple[list[str], ...] = ()

    def stages(self, _mode: Mode) -> list[list[str]]:
        return list(self.pipeline)


def faked(*pipeline: list[str], timeout_s: float = 20.0, retry_s: float = 60.0) -> ApertiumTranslator:
    settings = ApertiumSettings(timeout_s=timeout_s, retry_s=retry_s)
    return ApertiumTranslator(settings, Fake(Path("/"), pipeline))


COPY = ["/bin/cat"]


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("if b'POISON' in record: sys.exit(4)", "python.* ended with exit status 4"),
            ("if b'POISON' in record: time.sleep(60)", "no answer within 0.7 s"),
            ("if b'POISON' in record: answer = b''", "empty answer"),
            ("if b'POISON' in record: answer = b'\\xff'", "the answer is not UTF-8"),
            ("if b'POISON' in record: answer = b'1\\0002'", "answers for 1 documents"),
            ("if b'POISON' in record: answer = b'one[\\n]more.[][\\n]'", "2 lines for 1"),
        ],
        ids=["dies", "hangs", "empty", "not UTF-8", "two answers", "another line"],
    )
    def test_a_poisoned_text_fails_alone(self, code, reason):
        translator = faked(COPY, fake(code), COPY, timeout_s=0.7 if "0.7" in reason else 20.0)
        texts = ["uno", "dos", "POISON", "", "cuatro\ncinco", "seis"]
        answers = translator.translate_direction(texts, "spa_Latn", ENGLISH)
        assert re.fullmatch(rf"spa-eng: .*{reason}", answers.pop(2).error or "")
        del texts[2]
        assert answers == [Answer(text) for text in texts]

    def test_a_poisoned_text_fails_alone_among_real_stages(self, apertium):
        stages = apertium.installation.stages(engine._MODES["spa-eng"])
        stages.insert(-2, fake("if b'POISON' in record: os.kill(os.getpid(), 9)"))
        translator = ApertiumTranslator(ApertiumSettings(), Fake(apertium.installation.root, tuple(stages)))
        answers = translator.translate_direction(
            ["La casa.", "El POISON.", "El gato.", "El perro."], "spa_Latn", ENGLISH
        )
        assert [answer.text for answer in answers] == ["The house.", None, "The cat.", "The dog."]
        assert "signal SIGKILL" in (answers[1].error or "")

    def test_a_text_that_fails_on_the_first_leg_is_not_sent_on_the_second(self):
        mark = fake("if b'POISON' in record: sys.exit(4)\nanswer = b'+' + record")
        answers = faked(mark).translate_direction(["um", "POISON", "dois"], "por_Latn", ENGLISH)
        assert [answer.text for answer in answers] == ["++um", None, "++dois"]
        assert (answers[1].error or "").startswith("pt-es: ")

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_one_death_is_survived_by_all(self, count, tmp_path):
        once = fake(
            "if not os.path.exists(sys.argv[1]):\n    open(sys.argv[1], 'w').close()\n    os.kill(os.getpid(), 9)",
            tmp_path / "has died",
        )
        texts = [f"texto {number}" for number in range(count)]
        assert translate(faked(COPY, once, COPY), texts, "spa_Latn", ENGLISH) == texts
        assert (tmp_path / "has died").exists()

    def test_after_the_time_for_retries_nothing_is_halved_further(self, tmp_path):
        log = tmp_path / "starts"
        dying = fake("open(sys.argv[1], 'a').write('x')\nsys.exit(4)", log)
        answers = faked(dying, retry_s=0).translate_direction(["a"] * 8, "spa_Latn", ENGLISH)
        assert {answer.error for answer in answers} == {
            f"spa-eng: {Path(sys.executable).name} ended with exit status 4"
        }
        assert log.read_text() == "x"

    def test_a_program_that_vanished_is_an_error_of_the_text(self):
        answers = faked(["/no-such-program"]).translate_direction(["a"], "spa_Latn", ENGLISH)
        assert "no-such-program could not be started" in (answers[0].error or "")

    def test_many_texts_go_in_batches(self, monkeypatch, tmp_path):
        monkeypatch.setattr(engine, "_BATCH_CHARS", 100)
        log = tmp_path / "processes"
        logging = fake("open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')", log)
        texts = [f"{number:030}" for number in range(20)] + ["", "x" * 500]
        assert translate(faked(logging), texts, "spa_Latn", ENGLISH) == texts
        assert len(set(log.read_text().split())) == 6


class TestInterference:
    TEXTS = ["La casa del perro es muy grande y el gato duerme en ella. " * 60] * 20

    def test_a_killed_stage(self, apertium):
        with signalled("apertium-transfer", signal.SIGKILL) as sent:
            outputs = translate(apertium, self.TEXTS, "spa_Latn", ENGLISH)
        assert sent
        assert len(set(outputs)) == 1
        assert outputs[0].count("The house of the dog is very big") == 60

    def test_a_stopped_stage(self, prefix):
        impatient = ApertiumSettings(prefix=prefix, timeout_s=1.5, timeout_s_per_1000_chars=0).open()
        start = time.monotonic()
        with signalled("apertium-interchunk", signal.SIGSTOP) as sent:
            outputs = translate(impatient, self.TEXTS, "spa_Latn", ENGLISH)
        assert sent
        assert len(set(outputs)) == 1
        assert 1.5 < time.monotonic() - start < 25


@contextmanager
def signalled(program: str, signum: int) -> Iterator[list[int]]:
    """Send a signal to the first child that runs ``program``, once it does; yields the ids it was sent to."""
    sent: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not sent and not done.is_set():
            for pid in children():
                # A child may end between any two lines: reading its name then fails, as signalling it does.
                with suppress(FileNotFoundError, ProcessLookupError):
                    # The kernel keeps 15 characters.
                    if not sent and Path("/proc", str(pid), "comm").read_text().strip() == program[:15]:
                        os.kill(pid, signum)
                        sent.append(pid)
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def test_a_line_keeps_its_capital_where_a_pronoun_is_dropped(apertium):
    answers = apertium.translate_direction(["I want to read a text.", "i want to read a text."], "eng_Latn", "epo_Latn")
    assert answers[0].text[0].isupper()
    assert answers[1].text[0].islower()


@given(st.lists(st.text(max_size=60), max_size=8))
@settings(max_examples=40, deadline=None)
def test_an_engine_that_changes_nothing_gives_every_text_back_in_its_place(texts):
    """Cut into records and lines, sent through, put together: the identity, for any texts in any batch."""
    answers = faked(COPY).translate_direction(texts, "spa_Latn", ENGLISH)
    for text, answer in zip(texts, answers, strict=True):
        if normalise(text).strip():
            assert answer.text == normalise(text)
        else:
            assert answer == (Answer("") if not text.strip() else Answer(None, "nothing to translate"))
