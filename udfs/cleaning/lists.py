"""What ``conf/cleaning/`` says: phrases of furniture, what telephone numbers look like, limits by language."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from udfs.cleaning.phrases import Entry, read_entries


@dataclass(frozen=True, slots=True)
class Factors:
    """What limits that were set for English are multiplied by in a language; 1 leaves them."""

    word_chars: float = 1.0
    symbols: float = 1.0
    ngrams: float = 1.0


ENGLISH: Final = Factors()


@dataclass(frozen=True, slots=True)
class CleaningLists:
    """The lists, as plain values that travel to the executors."""

    phrases: tuple[Entry, ...] = ()
    phone_words: tuple[str, ...] = ()
    regions: tuple[tuple[str, str], ...] = ()
    """Language and ISO 3166 code, sorted."""
    factors: tuple[tuple[str, Factors], ...] = ()
    """By language, sorted."""

    @classmethod
    def read(cls, phrases: Mapping[str, Any], personal_data: Mapping[str, Any], limits: str) -> CleaningLists:
        """Read the content of the three files.

        Args:
            phrases: of ``phrases.yaml``.
            personal_data: of ``personal_data.yaml``.
            limits: the text of ``limits.csv``.

        Raises:
            ValueError: if a phrase's rule or kind is not known, or a limit is no positive number.
        """
        factors = []
        for line, row in enumerate(csv.DictReader(io.StringIO(limits)), start=2):
            try:
                values = Factors(float(row["word_chars"]), float(row["symbols"]), float(row["ngrams"]))
            except (TypeError, ValueError, KeyError) as error:
                raise ValueError(f"limits.csv, line {line}: needs language, word_chars, symbols and ngrams") from error
            if min(values.word_chars, values.symbols, values.ngrams) <= 0:
                raise ValueError(f"limits.csv, line {line}: factors must be above 0")
            factors.append((row["language"], values))
        return cls(
            phrases=read_entries(phrases),
            phone_words=tuple(sorted(set(personal_data["phone_words"]))),
            regions=tuple(sorted(personal_data["regions"].items())),
            factors=tuple(sorted(factors, key=lambda each: each[0])),
        )
