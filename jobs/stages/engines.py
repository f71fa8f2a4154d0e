"""The engines a recipe may name, by role, and how a stage opens them; the key ``kind`` says which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import Field

from jobs.stages.base import Resources
from udfs.classifiers.wordlist import WordListSettings
from udfs.generators import Generator
from udfs.generators.openai_compatible import OpenAICompatibleSettings
from udfs.generators.template import TemplateSettings
from udfs.generators.transformers import TransformersGeneratorSettings
from udfs.generators.vllm import VllmGeneratorSettings
from udfs.identifiers import Found, Identifier, Outcome
from udfs.identifiers.glotlid import GlotLidSettings, label_sets
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.languages import LanguageTable
from udfs.translators import Translator
from udfs.translators.apertium import ApertiumSettings
from udfs.translators.ctranslate2 import CTranslate2Settings
from udfs.translators.openai_compatible import OpenAITranslatorSettings
from udfs.translators.seq2seq import Seq2SeqSettings
from udfs.translators.transformers import TransformersTranslatorSettings

AnyTranslator: TypeAlias = Annotated[
    ApertiumSettings | CTranslate2Settings | TransformersTranslatorSettings | OpenAITranslatorSettings,
    Field(discriminator="kind"),
]
AnyGenerator: TypeAlias = Annotated[
    TemplateSettings | OpenAICompatibleSettings | TransformersGeneratorSettings | VllmGeneratorSettings,
    Field(discriminator="kind"),
]
AnyIdentifier: TypeAlias = Annotated[Py3langidSettings | GlotLidSettings, Field(discriminator="kind")]
AnyClassifier: TypeAlias = WordListSettings

Devices = tuple[tuple[str, tuple[str, ...]], ...]
"""Addresses by resource name, as Spark gave them to a task; hashable."""
Names = tuple[tuple[str, str], ...]


def task_devices() -> Devices:
    """Return the task's own devices, such as ``(("gpu", ("0",)),)``; none outside a task or without a GPU."""
    from pyspark import TaskContext

    context = TaskContext.get()
    resources = context.resources() if context is not None else {}
    return tuple(sorted((name, tuple(found.addresses)) for name, found in resources.items()))


# Translators -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecipeTranslator:
    """A translator with what it needs of the recipe: plain data, which the driver asks and the executors open."""

    settings: AnyTranslator
    names: Names
    """What the engine calls a language, by GlotLID code; empty for one that needs no names."""
    prompt: str = ""

    @classmethod
    def of(cls, settings: AnyTranslator, resources: Resources) -> RecipeTranslator:
        """Look up the engine's names for languages, and its prompt.

        Raises:
            udfs.engines.EngineUnavailable: if the names depend on a model whose files are not there.
        """
        return cls.bound(settings, resources.languages, resources.prompts)

    @classmethod
    def bound(
        cls, settings: AnyTranslator, languages: LanguageTable, prompts: Mapping[str, str] | None = None
    ) -> RecipeTranslator:
        """Do the same before a recipe's resources are there."""
        if isinstance(settings, Seq2SeqSettings):
            return cls(settings, tuple(sorted(languages.codes(settings.scheme()).items())))
        if isinstance(settings, OpenAITranslatorSettings):
            names = _english_names(languages)
            return cls(settings, names, (prompts or {}).get(settings.prompt, ""))
        return cls(settings, ())

    def covered(self, languages: LanguageTable, pivot: str, into_pivot: bool) -> frozenset[str]:
        """Return the languages that can be brought to the pivot, or from it; the pivot itself is one."""
        names = dict(self.names)
        settings = self.settings

        def is_offered(code: str) -> bool:
            ends = (code, pivot) if into_pivot else (pivot, code)
            if isinstance(settings, ApertiumSettings):
                return settings.supports(*ends)
            return settings.supports(*ends, names)

        return frozenset(code for code in languages if code == pivot or is_offered(code))

    def check(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Test that the engine can be used for directions.

        Raises:
            udfs.engines.EngineUnavailable: with what to install or to write.
        """
        if isinstance(self.settings, ApertiumSettings):
            self.settings.check(pairs)
        else:
            self.settings.check(pairs, dict(self.names))

    def open(self, devices: Devices = ()) -> Translator:
        """Load the engine."""
        settings = self.settings
        if isinstance(settings, ApertiumSettings):
            return settings.open()
        if isinstance(settings, OpenAITranslatorSettings):
            return settings.open(self.prompt, dict(self.names))
        return settings.open(dict(self.names), dict(devices))


# Generators --------------------------------------------------------------------------------------------------------


def prompt_name(engine: AnyGenerator) -> str | None:
    """Return the name of the prompt an engine is asked with; None for one that takes none."""
    return None if isinstance(engine, TemplateSettings) else engine.prompt


def open_generator(engine: AnyGenerator, prompt: str, names: Names, devices: Devices = ()) -> Generator:
    """Load a generator.

    Args:
        engine: its settings.
        prompt: text of its prompt.
        names: English names of languages by GlotLID code.
        devices: the task's own.
    """
    if isinstance(engine, TemplateSettings):
        return engine.open()
    if isinstance(engine, OpenAICompatibleSettings):
        return engine.open(prompt, dict(names))
    return engine.open(prompt, dict(names), dict(devices))


def english_names(resources: Resources) -> Names:
    """Return the English names of all languages by GlotLID code."""
    return _english_names(resources.languages)


def _english_names(languages: LanguageTable) -> Names:
    return tuple((code, languages.get(code).name) for code in languages)


# Identifiers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecipeIdentifier:
    """A language identifier with the labels it needs of the language table."""

    settings: AnyIdentifier
    labels: tuple[tuple[str, object], ...]

    @classmethod
    def of(cls, settings: AnyIdentifier, resources: Resources) -> RecipeIdentifier:
        """Look up the engine's labels."""
        if isinstance(settings, GlotLidSettings):
            return cls(settings, tuple(sorted(label_sets(resources.languages).items())))
        return cls(settings, tuple(sorted(resources.languages.codes("py3langid").items())))

    def outcomes(self, found: Sequence[Found], candidates: Sequence[str] | None = None) -> list[Outcome]:
        """Return what the settings make of what the engine found before, without loading it.

        ``candidates`` are those that it was given then; the settings may differ in all but model and ``max_chars``.
        """
        return self.settings.outcomes(found, dict(self.labels), candidates)  # type: ignore[arg-type]

    def open(self) -> Identifier:
        """Load the engine."""
        return self.settings.open(dict(self.labels))  # type: ignore[arg-type]
