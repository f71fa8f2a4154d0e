"""An engine that fails when a file says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from udfs.generators import Generated, InstructionRequest
from udfs.generators.template import TemplateGenerator, TemplateSettings
from udfs.settings import OPERATIONAL


class FlakySettings(TemplateSettings):
    """The rules, behind a server that is away."""

    switch: str = Field(json_schema_extra=OPERATIONAL)
    """A file: "all" makes every request fail, "some" every third document's."""

    def open(self, prompt: str | None = None) -> Any:  # noqa: ARG002
        return FlakyGenerator(self)


class FlakyGenerator(TemplateGenerator):
    def __init__(self, settings: FlakySettings) -> None:
        super().__init__(settings)
        self._switch = Path(settings.switch)

    def generate(self, requests: Sequence[InstructionRequest]) -> list[Generated]:
        state = self._switch.read_text()
        made = super().generate(requests)
        return [
            replace(each, instruction_en=None, instruction_src=None, error="the server is away")
            if state == "all" or (state == "some" and int(request.doc_id, 16) % 3 == 0)
            else each
            for each, request in zip(made, requests, strict=True)
        ]
