"""An instruction's sentences: short texts, in any language."""

from __future__ import annotations

import re
from typing import Final

# A stop with no blank behind it ends a sentence in scripts that have none; "3.5" and "e.g." go on.
_END: Final = re.compile(r"(?<=[.!?؟।۔…])[\"'”’»)\]]*\s+(?![a-z])|(?<=[。！？])|\s*[\n\r]+\s*")


def sentences(text: str) -> list[str]:
    """Cut a text into sentences; none is empty."""
    return [each.strip() for each in _END.split(text) if each and each.strip()]
