"""Derive conf/cleaning/limits.csv: how limits that were set for English carry over to other languages.

    python -m scripts.derive_cleaning_limits CORPUS [CORPUS ...] > conf/cleaning/limits.csv

A corpus is a folder of one text in many languages, a file each: ``deu_Latn.txt`` or ``.txt.gz``, UTF-8. A measure of a
language divided by that of English on the same text is the factor by which English's limit is multiplied. A corpus
without English is tied to those before it: a factor is the median of what the languages that both have lead to. The
factors of repetition and of symbols are kept near 1 (``CLAMPS``), as one text says less about them than about the
length of words. A language in several corpora gets its factors from the first.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter
from pathlib import Path
from statistics import median

from udfs.cleaning.measures import is_unspaced, mean_word_chars, repeated_share, symbol_share
from udfs.cleaning.normalise import normalise

ENGLISH = "eng_Latn"
MEASURES = ("word_chars", "symbols", "ngrams")
# Symbols come in more where lists, verses and quotes do, so that no limit is made stricter by one text.
CLAMPS = {"symbols": (1.0, 2.0), "ngrams": (0.75, 1.5)}


def measures(path: Path) -> dict[str, float]:
    """Return what one text measures; 0 where its script gives no answer."""
    content = path.read_bytes()
    text = normalise((gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8"))
    chars = Counter(text)
    unspaced = is_unspaced(path.name.partition(".")[0])
    return {
        "word_chars": 0.0 if unspaced else mean_word_chars(len(text.split()), chars) or 0.0,
        "symbols": symbol_share(chars),
        "ngrams": repeated_share(text, is_unspaced=unspaced),
    }


def main(folders: list[str]) -> int:
    """Print the table."""
    factors: dict[str, dict[str, float]] = {}
    for folder in map(Path, folders):
        found = {path.name.partition(".")[0]: measures(path) for path in sorted(folder.iterdir())}
        anchors = {ENGLISH: dict.fromkeys(MEASURES, 1.0)} | factors
        shared = sorted(found.keys() & anchors.keys())
        if not shared:
            print(f"{folder}: neither {ENGLISH} nor a language of the corpora before it", file=sys.stderr)
            return 1
        if ENGLISH in found:
            shared = [ENGLISH]
        for language, values in found.items():
            row = {}
            for name in MEASURES:
                ties = [values[name] / found[tie][name] * anchors[tie][name] for tie in shared if found[tie][name]]
                factor = median(ties) if ties and values[name] else 1.0
                least, most = CLAMPS.get(name, (factor, factor))
                row[name] = min(most, max(least, factor))
            factors.setdefault(language, row)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["language", *MEASURES])
    for language, row in sorted(factors.items()):
        writer.writerow([language, *(f"{row[name]:.2f}" for name in MEASURES)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
