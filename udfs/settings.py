"""The base of every settings model: frozen, unknown keys refused, fields that do not change results marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

# Put in ``Field(json_schema_extra=OPERATIONAL)``: the field says how or where the work runs, not what comes out of
# it, so changing it neither changes a fingerprint nor asks for a rebuild.
OPERATIONAL: dict[str, Any] = {"operational": True}
# Type of a ``PydanticCustomError`` about a value that may be a secret: no message repeats what was given.
HIDDEN = "hidden_value"


class Settings(BaseModel):
    """Settings of a stage, a source or an engine; the only home of their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def decisive(self) -> dict[str, Any]:
        """Return the fields that decide the result, nested models included, as plain JSON values."""
        return {
            name: _plain(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("operational"))
        }


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Put settings named with dots, ``{"a.b": 1, "c": 2}``, under their groups: ``{"a": {"b": 1}, "c": 2}``."""
    values: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        inner = values
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = value
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.decisive()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
