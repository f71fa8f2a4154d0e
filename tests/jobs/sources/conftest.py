from __future__ import annotations

from pathlib import Path

import pytest

from udfs.languages import LanguageTable

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def languages() -> LanguageTable:
    return LanguageTable.from_csv((ROOT / "conf" / "languages.csv").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def data() -> Path:
    return ROOT / "tests" / "data"
