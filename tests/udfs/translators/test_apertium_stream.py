"""The stream format, and pipelines of stages that misbehave."""

from __future__ import annotations

import re
import sys
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from udfs.translators.apertium_stream import StageError, deformat, normalise, reformat, run_stage_apart, run_stages

# Letters hide the few characters that matter; half of the drawn text is made of those.
HARD = st.sampled_from(
    "\\[]^$/@<>{}~*#.\n\r\t\v\0\x1f\x7f\x85\x9d\xad\u200b\u2028\ufeff\ufffe\uffff\ud800 \u00e9\U0001f600"
)
TEXTS = st.text(st.one_of(HARD, st.characters()), max_size=60)


class TestFormat:
    @given(TEXTS)
    @example("a.\n\n b..\n")
    @example("\\")
    @example(".[][\n]")
    def test_round_trip_is_exact_but_for_what_normalise_drops(self, text):
        assert reformat(deformat(text)) == normalise(text)

    @given(TEXTS)
    def test_normalising_twice_changes_nothing(self, text):
        assert normalise(normalise(text)) == normalise(text)

    @given(TEXTS)
    def test_nothing_in_the_stream_can_be_taken_for_markup(self, text):
        stream = deformat(text)
        assert "\0" not in stream
        assert stream.encode("utf-8")
        left = re.sub(r"\\.|\[~\]|\.\[\]\[\n+\]", "", stream)
        assert not set(left) & set("\\[]^$/@<>{}~\n")

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("a\r\nb\rc\vd\fe\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
            ("so\u00adft ze\u200bro \ufeffbom \x07bell \x9fc1 \uffff", "soft zero bom bell c1 "),
            ("\ud83d alone", "? alone"),
            ("tab\tnbsp\u00a0zwj\u200d rtl\u202e cafe\u0301", "tab\tnbsp\u00a0zwj\u200d rtl\u202e cafe\u0301"),
        ],
        ids=["line breaks", "dropped", "surrogate", "kept"],
    )
    def test_normalise(self, text, kept):
        assert normalise(text) == kept

    def test_a_line_ends_with_a_stop_of_its_own(self):
        assert deformat("Uno\nDos.") == "Uno.[][\n]Dos..[][\n]"
        assert reformat("One.[][\n]Two..[][\n]") == "One\nTwo."

    def test_protected_characters_pass_as_superblanks(self):
        assert deformat("5%", protected="%") == "5[%].[][\n]"
        assert reformat("5[%].[][\n]") == "5%"

    def test_marks_of_a_mode_are_removed_and_the_texts_own_are_not(self):
        assert reformat("the @casa \\@home <prn>it \\<b\\>.[][\n]") == "the casa @home it <b>"


def stage(code: str, *arguments: str) -> list[str]:
    """A stage in Python: ``code`` sees ``records``, ``write``, and the modules it needs."""
    prelude = """
import os, sys, time
def records():
    buffer = b""
    while chunk := os.read(0, 65536):
        *whole, buffer = (buffer + chunk).split(b"\\0")
        yield from whole
def write(data):
    while data:
        data = data[os.write(1, data):]
"""
    return [sys.executable, "-c", prelude + code, *arguments]


COPY = ["/bin/cat"]
FLUSH_AT_END = stage("for r in records(): write(r + b'\\0')\nwrite(b'\\0')")


def run(*stages: list[str], documents: list[bytes], silence_s: float = 20.0) -> list[bytes]:
    return run_stages(stages, documents, {}, silence_s)


class TestRunStages:
    def test_answers_come_in_order(self):
        documents = [b"%d" % number for number in range(100)]
        assert run(COPY, FLUSH_AT_END, COPY, documents=documents) == documents

    def test_input_and_output_larger_than_any_pipe(self):
        documents = [b"x" * 3_000_000, b"", b"y" * 2_000_000]
        assert run(COPY, COPY, COPY, documents=documents) == documents

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("sys.exit(3)", "exit status 3"),
            ("os.kill(os.getpid(), 9)", "signal SIGKILL"),
            ("for r in records(): write(r)", "0 answers for 2"),
            ("for r in records(): write(r + b'\\0' + r + b'\\0')", "4 answers for 2"),
            ("for r in records(): write(r + b'\\0')\nwrite(b'more')", "2 answers for 2"),
            ("for r in records(): time.sleep(60)", "no answer within 0.5 s"),
            ("os.close(1); time.sleep(60)", "did not end within 0.5 s"),
            ("while True: write(b'x' * 65536)", "endless answer"),
        ],
        ids=["exits", "killed", "too few", "too many", "text after the end", "hangs", "stays", "loops"],
    )
    def test_a_bad_stage_is_named_and_its_answers_are_not_trusted(self, code, reason):
        silence_s = 0.5 if "0.5" in reason else 20.0
        with pytest.raises(StageError, match=reason):
            run(COPY, stage(code), COPY, documents=[b"one", b"two"], silence_s=silence_s)

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("os.read(0, 10); sys.exit(3)", "exit status 3"),
            ("os.close(1)\nfor r in records(): pass", "0 answers for 1"),
        ],
        ids=["dies", "answers no more"],
    )
    def test_much_input_for_a_stage_that_stops_reading_or_writing(self, code, reason):
        with pytest.raises(StageError, match=reason):
            run(COPY, stage(code), COPY, documents=[b"x" * 3_000_000])
        with pytest.raises(StageError, match=reason):
            run(stage(code), documents=[b"x" * 3_000_000])

    def test_a_program_that_is_not_there(self):
        with pytest.raises(StageError, match="no-such-program could not be started: No such file"):
            run(COPY, ["/no-such-program"], COPY, documents=[b"one"])

    def test_a_slow_but_steady_pipeline_is_not_given_up(self):
        slow = stage("for r in records():\n time.sleep(0.3)\n write(r + b'\\0')")
        documents = [b"1", b"2", b"3", b"4", b"5"]
        start = time.monotonic()
        assert run(slow, documents=documents, silence_s=1.0) == documents
        assert time.monotonic() - start > 1.0

    def test_stages_see_the_given_environment_alone(self):
        show = stage("for r in records(): write(repr(sorted(os.environ)).encode() + b'\\0')")
        assert run_stages([show], [b"x"], {"LC_ALL": "C.UTF-8"}, 20.0) == [b"['LC_ALL']"]


# Answers each document with the process's id and the number of documents it has had; complains about "odd" ones.
COUNTER = stage(
    """
for number, r in enumerate(records(), 1):
    if b"die" in r: sys.exit(1)
    if b"hang" in r: time.sleep(60)
    if b"odd" in r: os.write(2, b"odd! " * 50_000)
    write(b"%d %d\\0" % (os.getpid(), number))
    if b"twice" in r: write(b"again\\0")
"""
)


class TestRunStageApart:
    def test_one_process_serves_until_it_complains(self):
        answers = run_stage_apart(COUNTER, [b"a", b"b", b"odd", b"c", b"odd", b"odd", b"d"], {}, 20.0)
        processes, numbers = zip(*(answer.split() for answer in answers), strict=True)
        assert numbers == (b"1", b"2", b"3", b"1", b"2", b"1", b"1")
        assert len(set(processes)) == 4

    def test_no_document_starts_no_process(self):
        assert run_stage_apart(["/no-such-program"], [], {}, 20.0) == []

    @pytest.mark.parametrize(
        ("document", "reason"),
        [(b"die", "ended early"), (b"hang", "no answer within 0.5 s")],
        ids=["dies", "hangs"],
    )
    def test_failures(self, document, reason):
        with pytest.raises(StageError, match=reason):
            run_stage_apart(COUNTER, [b"a", document, b"b"], {}, 0.5)

    def test_large_documents(self):
        echo = stage("for r in records():\n os.write(2, r[:5])\n write(r + b'\\0')")
        documents = [b"x" * 2_000_000, b"y" * 1_000_000]
        assert run_stage_apart(echo, documents, {}, 20.0) == documents
