"""One module a stage: a settings model and pure ``DataFrame -> DataFrame`` functions."""

from __future__ import annotations

from typing import Final

from jobs.stages import (
    back_translate,
    clean,
    decontaminate,
    dedup,
    dedup_lines,
    group,
    instruct,
    pairs,
    screen,
    translate,
)
from jobs.stages.base import Stage

_ALL: Final = (
    clean.STAGE,
    dedup_lines.STAGE,
    dedup.STAGE,
    translate.STAGE,
    instruct.STAGE,
    back_translate.STAGE,
    screen.STAGE,
    dedup.INSTRUCTIONS,
    dedup.OUTPUTS,
    decontaminate.STAGE,
    group.STAGE,
    pairs.STAGE,
)

STAGES: Final[dict[str, Stage]] = {stage.name: stage for stage in _ALL}
"""Every stage by name."""
