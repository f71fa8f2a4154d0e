"""The engines a recipe may name, by role; the key ``kind`` says which."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from udfs.classifiers.wordlist import WordListSettings
from udfs.generators.openai_compatible import OpenAICompatibleSettings
from udfs.generators.template import TemplateSettings
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.translators.apertium import ApertiumSettings

AnyTranslator: TypeAlias = ApertiumSettings
AnyGenerator: TypeAlias = Annotated[TemplateSettings | OpenAICompatibleSettings, Field(discriminator="kind")]
AnyIdentifier: TypeAlias = Py3langidSettings
AnyClassifier: TypeAlias = WordListSettings
