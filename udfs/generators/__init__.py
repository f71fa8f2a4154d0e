"""Engines that write the instruction a text answers, behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class InstructionRequest:
    """One document in need of an instruction."""

    doc_id: str
    language: str
    """GlotLID code of the source text."""
    text_src: str
    text_en: str
    title_src: str | None = None
    title_en: str | None = None
    genre: str | None = None
    """What the source says the text is: ``encyclopedic``, ``news``, ``how-to``, ... or None."""


@dataclass(frozen=True, slots=True)
class Generated:
    """The instruction for one document.

    ``instruction_src`` is set, and ``instruction_en`` may be too, where the source already holds the instruction in
    its own language; it then needs no back-translation. Both None without ``error``: the engine has no honest
    instruction for this text. Both None with ``error``: the engine failed.
    """

    label: str
    instruction_en: str | None = None
    instruction_src: str | None = None
    error: str | None = None
    prompt_hash: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    is_shortened: bool = False
    """Whether the engine saw a part of the text alone, as its prompt's budget is smaller."""


class Generator(Protocol):
    """Writes instructions for batches of documents."""

    def generate(self, requests: Sequence[InstructionRequest]) -> list[Generated]:
        """Return one result a request, same order; no exception for a bad document."""
        ...
