"""One module a stage: a settings model and pure ``DataFrame -> DataFrame`` functions."""

from __future__ import annotations

from typing import Final

from jobs.stages import back_translate, clean, dedup, instruct, pairs, screen, translate
from jobs.stages.base import Stage

STAGES: Final[dict[str, Stage]] = {
    module.STAGE.name: module.STAGE for module in (clean, dedup, translate, instruct, back_translate, screen, pairs)
}
"""Every stage by name."""
