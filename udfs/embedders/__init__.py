"""Sentence embedding engines behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Embedder(Protocol):
    """Turns texts into vectors whose dot product says how alike they are."""

    @property
    def label(self) -> str:
        """Kind and model, as stored beside the vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors, float32 of length 1, shape (len(texts), dimensions), in order; zeros for no text."""
        ...
