"""What a stage makes of the health that an engine reports of its translations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final, Literal, get_args

import pyarrow as pa
from pydantic import Field
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.stages.base import Rule
from udfs.engines import Answer
from udfs.settings import Settings
from udfs.translation_health import Health

Fault = Literal["truncated", "repeated", "copied", "empty", "wrong_script", "length_ratio"]

ARROW_TYPE: Final = pa.struct(
    [
        *(pa.field(name, pa.int32(), nullable=False) for name in ("segments", *get_args(Fault)[:-1])),
        pa.field("min_length_ratio", pa.float64()),
        pa.field("max_length_ratio", pa.float64()),
    ]
)


class HealthSettings(Settings):
    """Which faults of a translation reject its row; engines that report none, such as Apertium, pass."""

    reject: tuple[Fault, ...] = ("truncated", "repeated", "empty", "wrong_script")
    """Faults that reject. ``copied`` is right between close relatives and for names; ``length_ratio`` asks for bounds
    that fit the recipe's languages."""
    max_faulty_share: float = Field(0.0, ge=0, lt=1)
    """Share of a text's segments that may show a fault."""
    min_length_ratio: float = Field(0.2, ge=0)
    """Least ratio of a segment's translation to its source, in columns, for ``length_ratio``."""
    max_length_ratio: float = Field(5.0, gt=0)
    """Greatest ratio, for ``length_ratio``."""


def to_arrow(answers: Iterable[Answer | None]) -> pa.Array:
    """Return the health of answers as a struct column; null where there is none."""
    return pa.array((asdict(each.health) if each and each.health else None for each in answers), ARROW_TYPE)


def from_row(row: Mapping[str, object] | None) -> Health | None:
    """Return the health that a row of such a column holds."""
    return None if row is None else Health(**row)  # type: ignore[arg-type]


def fault_rules(column: str, settings: HealthSettings, reasons: Mapping[Fault, Reason]) -> list[Rule]:
    """Return the rules that reject for faults of a translation, by its health in ``column``."""
    return [_rule(column, fault, settings, reasons[fault]) for fault in settings.reject]


def _rule(column: str, fault: Fault, settings: HealthSettings, reason: Reason) -> Rule:
    if fault == "length_ratio":
        least, greatest = F.col(f"{column}.min_length_ratio"), F.col(f"{column}.max_length_ratio")
        is_off = (least < settings.min_length_ratio) | (greatest > settings.max_length_ratio)
        return Rule(is_off, reason, F.format_string("%.2f to %.2f times as long", least, greatest))
    found, segments = F.col(f"{column}.{fault}"), F.col(f"{column}.segments")
    note = F.concat(found.cast("string"), F.lit(" of "), segments.cast("string"), F.lit(" segments"))
    return Rule(found > segments * settings.max_faulty_share, reason, note)
