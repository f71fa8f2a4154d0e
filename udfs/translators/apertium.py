"""Apertium, the embedded translation engine: rule-based, complete from a package manager, no model and no GPU.

Its data are GPL; it is called as a separate program and not shipped with Backprompt.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from udfs.engines import Answer, EngineUnavailable
from udfs.rates import EngineSettings
from udfs.settings import OPERATIONAL
from udfs.translators.apertium_stream import StageError, deformat, normalise, reformat, run_stage_apart, run_stages

PREFIX_VARIABLE: Final = "BACKPROMPT_APERTIUM"
_UNSET: Final = f"with {PREFIX_VARIABLE} and the engine's prefix unset"
ENGLISH: Final = "eng_Latn"
# What goes through the stages in one run: it bounds memory (analyses are some twenty times as long) and the work that
# a failure makes void, and it is long beside the 0.2 s that the stages need to start.
_BATCH_CHARS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Mode:
    """One direction of one language pair, as Apertium's packages name it."""

    name: str
    package: str
    example: str
    """A sentence for the self-test; its translation differs from it."""
    protected: str = "~"
    """Characters that the mode would lose, see ``deformat``."""


# Only what was measured and is good enough to be offered: NTREX-128 chrF of 43 or more both ways, Esperanto read by
# hand. Others that Debian carries are one-way, or leave half of the words in the source language.
_MODES: Final = {
    mode.name: mode
    for mode in (
        Mode("spa-eng", "apertium-eng-spa", "La casa es grande."),
        Mode("eng-spa", "apertium-eng-spa", "The house is big."),
        Mode("cat-eng", "apertium-eng-cat", "La casa és gran."),
        Mode("eng-cat", "apertium-eng-cat", "The house is big."),
        Mode("gl-en", "apertium-en-gl", "A casa é grande."),
        Mode("en-gl", "apertium-en-gl", "The house is big."),
        Mode("eo-en", "apertium-eo-en", "La domo estas granda."),
        Mode("en-eo", "apertium-eo-en", "The house is big."),
        Mode("pt-es", "apertium-es-pt", "A casa é grande."),
        Mode("es-pt", "apertium-es-pt", "La casa es grande."),
        # The generators of this pair lack the percent sign.
        Mode("ita-spa", "apertium-spa-ita", "La casa è grande.", protected="~%"),
        Mode("spa-ita", "apertium-spa-ita", "La casa es grande.", protected="~%"),
        Mode("fra-cat", "apertium-fra-cat", "La maison est grande."),
        Mode("cat-fra", "apertium-fra-cat", "La casa és gran."),
    )
}
# By way of the close relative for which a pair with English exists.
_TO_ENGLISH: Final = {
    "spa_Latn": ("spa-eng",),
    "cat_Latn": ("cat-eng",),
    "glg_Latn": ("gl-en",),
    "epo_Latn": ("eo-en",),
    "por_Latn": ("pt-es", "spa-eng"),
    "ita_Latn": ("ita-spa", "spa-eng"),
    "fra_Latn": ("fra-cat", "cat-eng"),
}
_FROM_ENGLISH: Final = {
    "spa_Latn": ("eng-spa",),
    "cat_Latn": ("eng-cat",),
    "glg_Latn": ("en-gl",),
    "epo_Latn": ("en-eo",),
    "por_Latn": ("eng-spa", "es-pt"),
    "ita_Latn": ("eng-spa", "spa-ita"),
    "fra_Latn": ("eng-cat", "cat-fra"),
}
LANGUAGES: Final = tuple(_TO_ENGLISH)


class ApertiumSettings(EngineSettings):
    """Apertium: translates spa, cat, glg, epo directly, por, ita, fra by way of a relative, to English and back."""

    kind: Literal["apertium"] = "apertium"
    prefix: str | None = Field(default=None, json_schema_extra=OPERATIONAL)
    """Folder under which Apertium was unpacked, such as ``.apertium``. Unset: the environment variable
    ``BACKPROMPT_APERTIUM``; without that, the system's own in ``/usr``."""
    timeout_s: float = Field(default=30.0, gt=0, json_schema_extra=OPERATIONAL)
    """Seconds without any progress after which Apertium is stopped and the batch is tried again in halves."""
    timeout_s_per_1000_chars: float = Field(default=0.1, ge=0, json_schema_extra=OPERATIONAL)
    """Seconds added to ``timeout_s`` for every 1,000 characters of the longest text in the batch."""
    retry_s: float = Field(default=300.0, ge=0, json_schema_extra=OPERATIONAL)
    """Seconds that a batch may spend on trying again; then its unfinished texts fail."""

    @staticmethod
    def languages() -> tuple[str, ...]:
        """Return the GlotLID codes that can be translated to English and back."""
        return LANGUAGES

    @staticmethod
    def supports(source: str, target: str) -> bool:
        """Tell whether this direction is offered, in place or not."""
        return bool(_route(source, target))

    def check(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Test that every direction works here, by a sentence through each mode.

        Args:
            pairs: source and target, GlotLID codes.

        Raises:
            EngineUnavailable: a direction is not offered, or Apertium is absent, incomplete or broken.
        """
        pairs = list(pairs)
        modes = list(dict.fromkeys(mode for source, target in pairs for mode in _offered_route(source, target)))
        translator = self.open()
        translator.installation.require(modes)
        for source, target in pairs:
            translator.label(source, target)
        # Starting programs is most of the work, so modes are tested side by side.
        with ThreadPoolExecutor(max_workers=4) as pool:
            answers = list(pool.map(lambda mode: translator.translate_by(mode, [mode.example])[0], modes))
        for mode, answer in zip(modes, answers, strict=True):
            if answer.text is None or answer.text == mode.example:
                outcome = answer.error or "it leaves a sentence as it was"
                raise EngineUnavailable(
                    f"Apertium's mode {mode.name} does not work ({outcome}).\n{translator.installation.remedy([mode])}"
                )

    def open(self) -> ApertiumTranslator:
        """Return the engine.

        Raises:
            EngineUnavailable: there is no Apertium where the settings say.
        """
        chosen = self.prefix or os.environ.get(PREFIX_VARIABLE) or "/"
        installation = Installation(Path(chosen).expanduser().resolve())
        installation.require(())
        return ApertiumTranslator(self, installation)


@dataclass(frozen=True)
class Installation:
    """An Apertium below ``root``: ``root/usr/bin``, ``root/usr/share/apertium``; the folder may have been moved."""

    root: Path

    def require(self, modes: Iterable[Mode]) -> None:
        """Raise ``EngineUnavailable`` unless the programs and all of ``modes`` are in place."""
        modes = list(modes)
        if not self._program("apertium-wblank-mode").is_file():
            raise EngineUnavailable(f"There is no Apertium in {self.root}.\n{self.remedy(modes)}")
        missing = [mode.name for mode in modes if not self._mode_file(mode).is_file()]
        if missing:
            raise EngineUnavailable(f"The Apertium in {self.root} lacks {', '.join(missing)}.\n{self.remedy(modes)}")

    def remedy(self, modes: Iterable[Mode]) -> str:
        """Return what a person should type to have ``modes``, or all that are offered."""
        packages = " ".join(sorted({mode.package for mode in modes} or {mode.package for mode in _MODES.values()}))
        install = f"apt-get install -y --no-install-recommends {packages}"
        if self._is_system:
            unpack = f"make apertium && export {PREFIX_VARIABLE}=.apertium"
        else:
            unpack, install = f"sh scripts/install-apertium.sh {shlex.quote(str(self.root))}", f"{install}, {_UNSET}"
        return (
            f"  Debian and Ubuntu, without root: {unpack}\n"
            f"  or, as root:                     {install}\n"
            "  elsewhere:                       docker build -t backprompt . && "
            'docker run --rm -v "$PWD/lake:/lake" backprompt'
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        """The whole environment of the stages.

        Under a locale that is not installed they answer empty records; a foreign library path can hide their own.
        """
        environment = {"LC_ALL": "C.UTF-8", "PATH": f"{self.root / 'usr/bin'}:/usr/bin:/bin"}
        if not self._is_system:
            folders = [*self.root.glob("usr/lib/*-linux-*"), *self.root.glob("lib/*-linux-*")]
            environment["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
        return environment

    def stages(self, mode: Mode) -> list[list[str]]:
        """Return the argument lists of a mode's pipeline, which drop unknown-word marks and flush at NUL."""
        self.require([mode])
        # Rewrites the mode for NUL flushing and for blanks bound to words; a missing file gives exit status 0.
        command = [str(self._program("apertium-wblank-mode")), "-z", str(self._mode_file(mode))]
        expanded = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if expanded.returncode or not expanded.stdout.strip():
            raise EngineUnavailable(
                f"apertium-wblank-mode cannot read {self._mode_file(mode)}: {expanded.stderr.strip()}\n"
                f"{self.remedy([mode])}"
            )
        return [[self._argument(word) for word in words] for words in _split_pipeline(expanded.stdout)]

    def version(self, package: str) -> str:
        """Return a package's upstream version, ``0.8.1`` of Debian's ``0.8.1-2``.

        Raises:
            EngineUnavailable: neither the folder's manifest nor dpkg knows the package.
        """
        if package not in self._versions:
            where = "dpkg" if self._is_system else self.root / "packages.tsv"
            raise EngineUnavailable(
                f"The version of {package} is unknown to {where}, and every row must say which version translated it.\n"
                f"{self.remedy([mode for mode in _MODES.values() if mode.package == package])}"
            )
        return re.sub(r"^\d+:|-[^-]*$", "", self._versions[package])

    @cached_property
    def _versions(self) -> dict[str, str]:
        packages = sorted({"apertium", *(mode.package for mode in _MODES.values())})
        if not self._is_system:
            manifest = self.root / "packages.tsv"
            listing = manifest.read_text("utf-8") if manifest.is_file() else ""
        else:
            command = ["dpkg-query", "-W", "-f", "${Package}\t${Version}\n", *packages]
            try:
                # Exit status 1 only says that some of the packages are not there.
                listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            except FileNotFoundError:
                listing = ""
        rows = (line.split("\t") for line in listing.splitlines())
        return {row[0]: row[1] for row in rows if len(row) == 2 and row[1]}

    @cached_property
    def _is_system(self) -> bool:
        return (self.root / "usr").resolve() == Path("/usr")

    def _mode_file(self, mode: Mode) -> Path:
        return self.root / "usr/share/apertium/modes" / f"{mode.name}.mode"

    def _program(self, name: str) -> Path:
        return self.root / "usr/bin" / name

    def _argument(self, word: str) -> str:
        """Point a word of a mode file, which names files of /usr, to this installation."""
        data = "/usr/share/apertium/"
        return str(self.root / word.lstrip("/")) if word.startswith(data) else word


def _split_pipeline(pipeline: str) -> Iterator[list[str]]:
    """Yield the words of each stage. ``$1`` is the option for unknown words, ``$2`` one that is left empty."""
    for stage in pipeline.split("|"):
        yield ["-n" if word == "$1" else word for word in shlex.split(stage) if word != "$2"]


class ApertiumTranslator:
    """Translates batches by Apertium; no process outlives a call."""

    def __init__(self, settings: ApertiumSettings, installation: Installation) -> None:
        """Take the settings and where Apertium is; nothing is started."""
        self.installation = installation
        self._settings = settings
        self._stages: dict[str, list[list[str]]] = {}

    def label(self, source: str, target: str) -> str:
        """Return engine, modes and package versions: ``apertium-3.8.3:pt-es@1.1.6+spa-eng@0.8.1``."""
        modes = [f"{mode.name}@{self.installation.version(mode.package)}" for mode in _offered_route(source, target)]
        return f"apertium-{self.installation.version('apertium')}:{'+'.join(modes)}"

    def translate(self, texts: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Answer]:
        """Translate texts of any directions; same length, same order. See ``translate_direction``."""
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, direction in enumerate(zip(sources, targets, strict=True)):
            rows[direction].append(row)
        answers: list[Answer] = [Answer("")] * len(texts)
        for (source, target), of_direction in rows.items():
            given = self.translate_direction([texts[row] for row in of_direction], source, target)
            for row, answer in zip(of_direction, given, strict=True):
                answers[row] = answer
        return answers

    def translate_direction(self, texts: Sequence[str], source: str, target: str) -> list[Answer]:
        """Translate each text by itself; one answer a text, same order.

        A blank text gives an empty answer; one of nothing but characters that Apertium cannot carry (see
        ``normalise``) gives an error. A line is translated apart from its neighbours and stays a line.

        Raises:
            EngineUnavailable: the direction is not offered, or its mode is not in place.
        """
        route = _offered_route(source, target)
        answers = [Answer(text if text.strip() else "") for text in texts]
        for mode in route:
            alive = [index for index, answer in enumerate(answers) if answer.text]
            translated = self.translate_by(mode, [answers[index].text or "" for index in alive])
            for index, answer in zip(alive, translated, strict=True):
                answers[index] = answer
        return answers

    def translate_by(self, mode: Mode, texts: Sequence[str]) -> list[Answer]:
        """Translate non-blank texts by one mode; one answer a text, same order.

        When Apertium fails on a batch it is cut in half, down to the one text that makes it fail.
        """
        answers = [Answer(None, "nothing to translate")] * len(texts)
        batches = [(batch, False) for batch in _batches(texts)]
        halve_until: float | None = None
        while batches:
            batch, is_retry = batches.pop()
            try:
                outputs = self._run(mode, [texts[index] for index in batch])
            except StageError as error:
                halve_until = halve_until or time.monotonic() + self._settings.retry_s
                if (is_retry and len(batch) == 1) or time.monotonic() >= halve_until:
                    outputs = [Answer(None, f"{mode.name}: {error}")] * len(batch)
                else:
                    middle = len(batch) // 2
                    batches += [(half, True) for half in (batch[middle:], batch[:middle]) if half]
                    continue
            for index, output in zip(batch, outputs, strict=True):
                answers[index] = output
        return answers

    def _run(self, mode: Mode, texts: Sequence[str]) -> list[Answer]:
        """Translate a batch at one go, or raise ``StageError``."""
        if mode.name not in self._stages:
            self._stages[mode.name] = self.installation.stages(mode)
        silence_s = self._settings.timeout_s + self._settings.timeout_s_per_1000_chars * max(map(len, texts)) / 1000
        environment = self.installation.environment
        records = [deformat(text, mode.protected).encode() for text in texts]
        for memory, stages in itertools.groupby(self._stages[mode.name], _memory):
            if memory == "none":
                records = run_stages(list(stages), records, environment, silence_s)
                continue
            for stage in stages:
                if memory == "reported":
                    records = run_stage_apart([stage[0], "-d", *stage[1:]], records, environment, silence_s)
                else:
                    records = [run_stages([stage], [record], environment, silence_s)[0] for record in records]
        return [_answer(mode, record, text) for record, text in zip(records, texts, strict=True)]


def _batches(texts: Sequence[str]) -> list[list[int]]:
    """Return the indices of the texts with something to translate, in batches, the last one first."""
    batches: list[list[int]] = []
    chars = _BATCH_CHARS
    for index, text in enumerate(texts):
        if normalise(text).strip():
            if chars >= _BATCH_CHARS:
                batches.insert(0, [])
                chars = 0
            batches[0].append(index)
            chars += len(text)
    return batches


def _memory(stage: Sequence[str]) -> Literal["none", "reported", "hidden"]:
    """Tell whether a document changes how a stage treats the ones after it, as seen in the versions of Debian 12.

    The statistical tagger (3.8.3), at a word whose set of possible tags its model lacks, overwrites the set that it
    holds for unknown words; with ``-d`` it reports that. The perceptron tagger (``-x``) does not. The constraint
    grammar (1.3.9) answers some conditions from a cache that earlier words filled, and says nothing.
    """
    program = os.path.basename(stage[0])
    if program == "cg-proc":
        return "hidden"
    is_perceptron = any("x" in word for word in stage[1:] if word.startswith("-"))
    return "reported" if program == "apertium-tagger" and not is_perceptron else "none"


def _answer(mode: Mode, record: bytes, source: str) -> Answer:
    """Return the answer in a record; its lines are those of ``source``, with their indentation."""
    try:
        output = reformat(record.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StageError("the answer is not UTF-8") from error
    if "#" not in source:
        # Some modes mark so a word that they cannot inflect.
        output = re.sub(r"#(?=\w)", "", output)
    lines, source_lines = output.split("\n"), normalise(source).split("\n")
    if len(lines) != len(source_lines):
        raise StageError(f"{len(lines)} lines for {len(source_lines)}")
    if not output.strip():
        # Every stage ended well, so this is no sign of a failure that trying again could mend.
        return Answer(None, f"{mode.name}: empty answer")
    return Answer("\n".join(map(_with_edges, lines, source_lines)))


def _with_edges(line: str, source: str) -> str:
    """Return ``line`` with the capital that ``source`` begins with and the white space that it stands in.

    A dropped pronoun leaves a blank and a small letter behind: "I want" becomes " quiero".
    """
    bare = source.strip()
    if not bare:
        return source
    line = line.strip()
    if bare[0].isupper() and line[:1].islower():
        line = line[0].upper() + line[1:]
    start = source.index(bare)
    return source[:start] + line + source[start + len(bare) :]


def _route(source: str, target: str) -> tuple[Mode, ...]:
    if target == ENGLISH:
        names = _TO_ENGLISH.get(source, ())
    elif source == ENGLISH:
        names = _FROM_ENGLISH.get(target, ())
    else:
        names = ()
    return tuple(_MODES[name] for name in names)


def _offered_route(source: str, target: str) -> tuple[Mode, ...]:
    route = _route(source, target)
    if not route:
        raise EngineUnavailable(
            f"Apertium does not translate {source} to {target} here. It translates these to {ENGLISH} and back: "
            f"{', '.join(LANGUAGES)}. Choose another translator in the recipe for the rest."
        )
    return route
