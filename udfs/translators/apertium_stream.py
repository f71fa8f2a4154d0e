"""Apertium's stream format, and running the stages of one of its modes as a pipeline.

Apertium reads text in which some characters are reserved and in which *superblanks*, stretches in square brackets,
pass through untouched. Documents are separated by NUL; a stage that is given ``-z`` flushes at each one.

The ``apertium`` script itself is not used: its deformatters drop NULs, its ``gawk`` wrappers hold back the last
document, and a stage that dies in its shell pipeline goes unseen. Here each stage is a direct child process.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final

# A sentence end and a superblank: no rule of Apertium reaches across it. The empty superblank marks the full stop as
# ours; without it the stop could not be told from the text's own.
_BARRIER: Final = ".[]"
_LINE_BREAKS: Final = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
# U+FFFF is what the stages' input library returns at the end of its input.
_DROPPED: Final = dict.fromkeys(
    (
        *(*range(0x00, 0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0)),
        *(0xAD, 0x200B, 0xFEFF, 0xFFFE, 0xFFFF),
    )
)
_ESCAPED: Final = {ord(char): "\\" + char for char in "\\[]^$/@<>{}"}
# An unescaped ``@`` or tag is never the text's own: a mode left it at a word that it could not transfer.
_MARKUP: Final = re.compile(r"\\(.)|\.?\[\]|[\[\]@]|<[^<>\\]*>", re.DOTALL)

# Analyses are some twenty times as long as their text; more than this is a stage in a loop.
_MAX_GROWTH: Final = 200
_READ_BYTES: Final = 1 << 16


class StageError(Exception):
    """A pipeline gave no usable answer for a batch; the message says why in one line."""


def normalise(text: str) -> str:
    r"""Return ``text`` as far as Apertium can carry it.

    Dropped: the control characters U+0000-U+0008, U+000E-U+001F and U+007F-U+009F (but not U+0085), the soft hyphen
    U+00AD, the zero-width space U+200B, the byte order mark U+FEFF and the noncharacters U+FFFE and U+FFFF. Every
    kind of line break (CR LF, CR, VT, FF, U+0085, U+2028, U+2029) becomes ``\n``. A lone surrogate becomes ``?``.
    All else stays as it is.
    """
    text = _LINE_BREAKS.sub("\n", text).translate(_DROPPED)
    return text.encode("utf-8", "replace").decode("utf-8")


def deformat(text: str, protected: str = "~") -> str:
    """Return ``text`` in Apertium's stream format, as one document without its closing NUL.

    Reserved characters are escaped; every line ends with a full stop of its own and a superblank, so that a line is
    translated apart from its neighbours and keeps its place. ``protected`` characters, none of them reserved, pass
    as superblanks: the post-generator would eat ``~``, which is its own mark.

    ``reformat(deformat(text)) == normalise(text)`` for every text: exact for all characters but those that
    ``normalise`` names.
    """
    table = _ESCAPED | {ord(char): f"[{char}]" for char in protected}
    stream = normalise(text).translate(table)
    return re.sub("\n+", lambda breaks: f"{_BARRIER}[{breaks[0]}]", stream) + f"{_BARRIER}[\n]"


def reformat(stream: str) -> str:
    """Return the text of one document in stream format, without Apertium's marks: the inverse of ``deformat``."""
    text = _MARKUP.sub(lambda match: match[1] or "", stream)
    return text.removesuffix("\n")


def run_stages(
    stages: Sequence[Sequence[str]], documents: Sequence[bytes], environment: Mapping[str, str], silence_s: float
) -> list[bytes]:
    """Run ``documents`` through a pipeline and return its answers, one a document, in the same order.

    Args:
        stages: argument lists, first stage first; each reads standard input and flushes at NUL.
        documents: in stream format, UTF-8, without NUL.
        environment: the whole environment of the stages.
        silence_s: seconds without any answer and without any input taken, after which the pipeline is given up.

    Raises:
        StageError: a stage could not be started, died, hung, or gave anything but one answer a document. No answer
            of the batch can then be trusted: when a stage dies, the later ones see the end of their input and close
            the document they are in as if it were whole.
    """
    with _pipeline(stages, environment, subprocess.DEVNULL) as processes:
        output = _feed(processes, b"".join(document + b"\0" for document in documents), silence_s)
        _wait(processes, silence_s)
    # Every stage adds an empty record at the end of its input; nothing else may follow the answers.
    records = output.split(b"\0")
    if len(records) <= len(documents) or b"".join(records[len(documents) :]).strip():
        raise StageError(f"{len(records) - 1} answers for {len(documents)} documents")
    return records[: len(documents)]


def run_stage_apart(
    stage: Sequence[str], documents: Sequence[bytes], environment: Mapping[str, str], silence_s: float
) -> list[bytes]:
    """Run each document through one stage as if it were the first one, and return the answers in the same order.

    For a stage that says on standard error when a document has changed how it treats the following ones: it is then
    replaced by a fresh process. Arguments and errors are those of ``run_stages``.
    """
    answers = []
    with contextlib.ExitStack() as running:
        process = None
        for document in documents:
            if process is None:
                process = running.enter_context(_pipeline([stage], environment, subprocess.PIPE))[0]
            answer, has_complained = _ask(process, document, silence_s)
            answers.append(answer)
            if has_complained:
                running.close()
                process = None
    return answers


@contextlib.contextmanager
def _pipeline(
    stages: Sequence[Sequence[str]], environment: Mapping[str, str], stderr: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the stages, each reading from the one before; on leaving none of them is alive or unreaped."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for stage in stages:
            source = processes[-1].stdout if processes else subprocess.PIPE
            try:
                process = subprocess.Popen(
                    list(stage),
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=dict(environment),
                    # A Ctrl-C in the terminal is for Python, which then ends the stages in order.
                    start_new_session=True,
                )
            except OSError as error:
                raise StageError(f"{_name(stage)} could not be started: {error.strerror}") from error
            if processes and processes[-1].stdout:
                # Else this process would keep the pipe open, and a stage would never learn that its reader died.
                processes[-1].stdout.close()
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _feed(processes: Sequence[subprocess.Popen[bytes]], data: bytes, silence_s: float) -> bytes:
    """Give ``data`` to the first process and return all that the last one writes until it ends."""
    feed, answer = _pipe(processes[0].stdin), _pipe(processes[-1].stdout)
    pending, output = memoryview(data), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(feed, selectors.EVENT_WRITE)
        selector.register(answer, selectors.EVENT_READ)
        while True:
            for key in _ready(selector, silence_s):
                if key.fileobj is feed:
                    pending = _write(feed, pending)
                    if not pending:
                        selector.unregister(feed)
                        feed.close()
                else:
                    chunk = _read(answer)
                    if not chunk:
                        feed.close()
                        return bytes(output)
                    output += chunk
                    _check_growth(output, data)


def _ask(process: subprocess.Popen[bytes], document: bytes, silence_s: float) -> tuple[bytes, bool]:
    """Give one document to a process; return its answer, and whether it wrote to standard error meanwhile."""
    feed, answer, complaints = _pipe(process.stdin), _pipe(process.stdout), _pipe(process.stderr)
    pending, output, has_complained = memoryview(document + b"\0"), bytearray(), False
    with selectors.DefaultSelector() as selector:
        selector.register(feed, selectors.EVENT_WRITE)
        selector.register(answer, selectors.EVENT_READ)
        selector.register(complaints, selectors.EVENT_READ)
        while not output.endswith(b"\0"):
            for key in _ready(selector, silence_s):
                if key.fileobj is feed:
                    pending = _write(feed, pending)
                    if not pending:
                        selector.unregister(feed)
                else:
                    is_answer = key.fileobj is answer
                    chunk = _read(answer if is_answer else complaints)
                    if not chunk:
                        raise StageError(f"{_name(process.args)} ended early")
                    if is_answer:
                        output += chunk
                        _check_growth(output, document)
                    else:
                        has_complained = True
    if pending or output.count(0) > 1:
        raise StageError(f"{_name(process.args)} gave {output.count(0)} answers for one document")
    # What it wrote before it ended its answer is there by now.
    return bytes(output[:-1]), has_complained or bool(_read(complaints))


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise ValueError("the process was started without this pipe")
    os.set_blocking(end.fileno(), False)
    return end


def _ready(selector: selectors.BaseSelector, silence_s: float) -> list[selectors.SelectorKey]:
    ready = selector.select(silence_s)
    if not ready:
        raise StageError(f"no answer within {silence_s:.1f} s")
    return [key for key, _ in ready]


def _read(end: IO[bytes]) -> bytes:
    """Return what there is; nothing at the end of the stream, and where nothing is there yet."""
    try:
        return os.read(end.fileno(), _READ_BYTES)
    except BlockingIOError:
        return b""


def _write(end: IO[bytes], pending: memoryview) -> memoryview:
    """Write what the pipe takes and return the rest; nothing is left for a process that no longer reads."""
    try:
        return pending[os.write(end.fileno(), pending[:_READ_BYTES]) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        return pending[:0]


def _check_growth(output: bytearray, given: bytes) -> None:
    if len(output) > _MAX_GROWTH * (len(given) + _READ_BYTES):
        raise StageError("endless answer")


def _wait(processes: Sequence[subprocess.Popen[bytes]], silence_s: float) -> None:
    """Wait for the processes to end by themselves, and see that all of them ended well."""
    deadline = time.monotonic() + silence_s
    failures = []
    for process in processes:
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise StageError(f"{_name(process.args)} did not end within {silence_s:.1f} s") from None
        if code:
            status = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            failures.append((code == -signal.SIGPIPE, f"{_name(process.args)} ended with {status}"))
    if failures:
        # A broken pipe is only the echo of another stage's death.
        raise StageError(min(failures)[1])


def _name(arguments: object) -> str:
    first = arguments[0] if isinstance(arguments, (list, tuple)) else arguments
    return os.path.basename(str(first))
