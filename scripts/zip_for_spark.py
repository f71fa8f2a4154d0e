"""Zip jobs/, udfs/ and conf/ for `spark-submit --py-files`: executors cannot import from a wheel."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """Write ``backprompt.zip`` into ``folder``, byte for byte the same for the same sources."""
    target = folder / "backprompt.zip"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in ("jobs", "udfs", "conf"):
            for file in sorted((ROOT / package).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    # In a wheel and in the zip, conf/ stands inside jobs/.
                    name = Path("jobs" if package == "conf" else "", file.relative_to(ROOT))
                    archive.writestr(zipfile.ZipInfo(str(name), (1980, 1, 1, 0, 0, 0)), file.read_bytes())
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
