"""Makes a corpus of real multilingual text with planted near-duplicates whose similarity is known exactly.

    python -m benchmarks.near_duplicates.corpus OUT --documents 20000 --seed 1

OUT/docs.parquet/    doc_id, language, text: shuffled; ids carry no order
OUT/plan.parquet     doc_id, cluster (-1: none was planted, 0: the hot text), kind
OUT/pairs.parquet    a, b, char9, word5: similarity of every two documents of a planted cluster
OUT/old.parquet/, OUT/new.parquet/   with --new: the same documents cut in two

The same numbers and seed give the same corpus with the same version of Python.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.near_duplicates.yardstick import character_shingles, jaccard, pairwise_jaccard, word_shingles

BASE = Path(__file__).with_name("base.jsonl.gz")
UNSPACED = {"zho", "jpn", "tha"}
DENSE = {"zho", "jpn", "kor"}  # more meaning a character: shorter documents
HOT = "<hot>"
TINY = "tiny"
SINGLE = "single"
PLANTED_SHARE = 0.35
_FILES = 8
_ROWS_PER_GROUP = 2000


class Document(NamedTuple):
    """One document and how it was made."""

    doc_id: str
    language: str
    text: str
    cluster: int
    kind: str


def load_base(path: Path = BASE) -> dict[str, str]:
    """Return the text of each language, in the order of their codes."""
    texts = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf8") as lines:
        for line in lines:
            row = json.loads(line)
            texts[row["language"]].append(row["text"])
    return {language: "\n".join(parts) for language, parts in sorted(texts.items())}


class Maker:
    """Makes documents and copies of them from one random sequence.

    Every call draws from the sequence, so their order and number decide the corpus: a draw added anywhere changes
    every corpus made since.
    """

    def __init__(self, base: dict[str, str], rng: random.Random):
        self.base, self.rng = base, rng

    def window(self, language: str, size: int) -> str:
        """Return ``size`` characters of a language's text from a random place, from the start of a word."""
        text = self.base[language]
        at = self.rng.randrange(len(text) - size - 40)
        if language not in UNSPACED:
            at = text.find(" ", at, at + 40) + 1 or at
        return text[at : at + size]

    def document(self, language: str) -> str:
        """Join windows from all over a language's text: two documents share chance overlaps only."""
        median, most = (700, 2500) if language in DENSE else (1800, 8000)
        size = int(min(most, max(300, self.rng.lognormvariate(np.log(median), 0.7))))
        pieces = max(4, size // 250)
        return "\n".join(self.window(language, size // pieces) for _ in range(pieces))

    def edit(self, language: str, text: str, rate: float) -> str:
        """Replace, drop or insert words, characters in unspaced scripts, taken from the same language."""
        is_spaced = language not in UNSPACED
        units = text.split(" ") if is_spaced else list(text)
        rate = rate if is_spaced else rate / 3
        edited = []
        for unit in units:
            roll = self.rng.random()
            if roll >= rate:
                edited.append(unit)
                continue
            donor = self.window(language, 30)
            words = donor.split()
            new = (words or ["x"])[len(words) // 2] if is_spaced else donor[7]
            if roll < rate * 0.6:
                edited.append(new)
            elif roll < rate * 0.8:
                edited += [unit, new]
        return (" " if is_spaced else "").join(edited)

    def vary(self, language: str, text: str, rate: float, frame: tuple[str, str]) -> tuple[str, str]:
        """Return how a copy was changed and its text: not at all, in form, in words, in its frame, or cut short."""
        kind = self.rng.choices(["same", "form", "edit", "frame", "cut"], [15, 15, 40, 15, 15])[0]
        if kind == "form":  # case, punctuation and white space only
            text = text.upper() if self.rng.random() < 0.3 else text.title() if self.rng.random() < 0.3 else text
            text = text.replace(" ", self.rng.choice(["  ", " \n", " "]))
            text = text.replace(",", self.rng.choice([",", " -", ""]))
        elif kind == "edit":
            text = self.edit(language, text, rate)
        elif kind == "frame":  # a site's header and footer round the same article
            text = frame[0] + "\n\n" + self.edit(language, text, rate / 3) + "\n\n" + frame[1]
        elif kind == "cut":
            text = text[: int(len(text) * self.rng.uniform(0.5, 0.98))]
        return kind, text


def make(base: dict[str, str], documents: int, seed: int, hot: int | None = None) -> list[Document]:
    """Make the documents of a corpus.

    Args:
        base: text of each language.
        documents: how many to make.
        seed: of the random sequence.
        hot: how many of them are one short text; None: a sixtieth.
    """
    rng = random.Random(seed)
    maker, languages = Maker(base, rng), list(base)
    frames = {each: [(maker.window(each, 120), maker.window(each, 180)) for _ in range(5)] for each in languages}
    made: list[Document] = []

    def add(language: str, text: str, cluster: int, kind: str) -> None:
        made.append(Document(f"{rng.getrandbits(64):016x}", language, text, cluster, kind))

    hot_language = rng.choice(languages)
    hot_text = maker.window(hot_language, 110)
    usual_hot = documents // 60
    for _ in range(usual_hot if hot is None else hot):
        add(hot_language, hot_text, 0, HOT)
    # More hot documents take the place of single ones, not of planted ones.
    planted = documents * PLANTED_SHARE + len(made) - usual_hot
    for i in range(documents // 400):
        language = languages[i % len(languages)]
        add(language, "" if i < 5 else maker.window(language, rng.randint(1, 8)), -1, TINY)
    cluster = 0
    while len(made) < planted:
        cluster += 1
        language, rate = rng.choice(languages), rng.uniform(0, 0.16)
        text = maker.document(language)
        add(language, text, cluster, "base")
        for _ in range(min(29, int(rng.paretovariate(0.9)))):
            kind, copy = maker.vary(language, text, rate, rng.choice(frames[language]))
            add(language, copy, cluster, kind)
    while len(made) < documents:
        language = rng.choice(languages)
        add(language, maker.document(language), -1, SINGLE)
    rng.shuffle(made)
    return made[:documents]


def similar_pairs(made: list[Document]) -> pa.Table:
    """Return the similarity of every two documents of a planted cluster: a, b, char9, word5."""
    clusters = defaultdict(list)
    for document in made:
        if document.cluster > 0:
            clusters[document.cluster].append(document)
    found: dict[str, list[str | float]] = {"a": [], "b": [], "char9": [], "word5": []}
    for group in clusters.values():
        if len(group) < 2:
            continue
        by_chars = pairwise_jaccard([character_shingles(document.text) for document in group])
        by_words = pairwise_jaccard([word_shingles(document.text) for document in group])
        for a, b in combinations(range(len(group)), 2):
            found["a"].append(group[a].doc_id)
            found["b"].append(group[b].doc_id)
            found["char9"].append(float(by_chars[a, b]))
            found["word5"].append(float(by_words[a, b]))
    return pa.table(found, pa.schema([("a", "string"), ("b", "string"), ("char9", "double"), ("word5", "double")]))


def chance_overlaps(made: list[Document], seed: int, sample: int = 60) -> list[float]:
    """Return the similarities of documents of a language that have nothing to do with each other."""
    rng, by_language = random.Random(seed), defaultdict(list)
    for document in made:
        if document.kind not in (HOT, TINY):
            by_language[document.language].append(document)
    found = []
    for group in by_language.values():
        chosen = [(each.cluster, character_shingles(each.text)) for each in rng.sample(group, min(sample, len(group)))]
        found += [jaccard(x, y) for (a, x), (b, y) in combinations(chosen, 2) if a != b or a < 0]
    return found


def write(made: list[Document], folder: Path, new_share: float | None = None) -> None:
    """Write documents and plan, the documents cut in two if ``new_share`` is given."""
    count = len(made)
    cut = count if new_share is None else count - round(count * new_share)
    if new_share is None:
        _write_parts(made, folder / "docs.parquet")
    else:
        _write_parts(made[:cut], folder / "old.parquet")
        _write_parts(made[cut:], folder / "new.parquet")
        (folder / "docs.parquet").mkdir()
        for name in ("old", "new"):
            for file in sorted((folder / f"{name}.parquet").iterdir()):
                os.link(file, folder / "docs.parquet" / f"{name}-{file.name}")
    plan = {name: [getattr(document, name) for document in made] for name in ("doc_id", "cluster", "kind")}
    pq.write_table(pa.table(plan), folder / "plan.parquet")


def _write_parts(made: list[Document], folder: Path) -> None:
    folder.mkdir()
    for number, part in enumerate(_parts(made)):
        columns = {name: [getattr(document, name) for document in part] for name in ("doc_id", "language", "text")}
        pq.write_table(pa.table(columns), folder / f"part-{number:03d}.parquet", row_group_size=_ROWS_PER_GROUP)


def _parts(made: list[Document]) -> Iterator[list[Document]]:
    step = max(1, -(-len(made) // _FILES))
    for start in range(0, len(made), step):
        yield made[start : start + step]


def build(
    folder: Path,
    documents: int,
    seed: int,
    *,
    hot: int | None = None,
    new_share: float | None = None,
    with_truth: bool = True,
) -> str:
    """Make a corpus in a folder that is not there yet; it appears when it is complete.

    Returns:
        A line that describes it.

    Raises:
        FileExistsError: if the folder is there.
        ValueError: if the numbers do not fit together.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; remove it, or give another folder.")
    if documents < 400:
        raise ValueError(f"A corpus of {documents} documents has none of some kinds; make 400 or more.")
    if hot is not None and not 0 <= hot <= documents // 2:
        raise ValueError(f"{hot} hot documents do not leave room for others; at most half of {documents}, please.")
    if new_share is not None and not 0 < new_share < 1:
        raise ValueError(f"The new documents' share is {new_share}; it must be between 0 and 1.")
    made = make(load_base(), documents, seed, hot)
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(made, unfinished, new_share)
    megabytes = sum(len(document.text.encode()) for document in made) / 1e6
    described = f"{documents} documents, {megabytes:.1f} MB, seed {seed}"
    if with_truth:
        pairs = similar_pairs(made)
        pq.write_table(pairs, unfinished / "pairs.parquet")
        char9, word5 = (pairs.column(name).to_numpy() for name in ("char9", "word5"))
        chance = chance_overlaps(made, seed)
        described += (
            f"; {len(pairs)} planted pairs, char9 at least 0.8: {(char9 >= 0.8).mean():.0%}, 0.5 to 0.8: "
            f"{((char9 >= 0.5) & (char9 < 0.8)).mean():.0%}; word5 at least 0.8: {(word5 >= 0.8).mean():.0%}; "
            f"chance overlap of {len(chance)} pairs: mean {np.mean(chance):.3f}, greatest {max(chance):.3f}"
        )
    unfinished.rename(folder)
    return described


def main() -> None:
    """Make one corpus."""
    cli = argparse.ArgumentParser(description="Make a corpus with planted near-duplicates.")
    cli.add_argument("out", type=Path)
    cli.add_argument("--documents", type=int, default=20_000)
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--hot", type=int, help="copies of one short text; without it a sixtieth of the documents")
    cli.add_argument("--new", type=float, metavar="SHARE", help="also cut the documents in two, old and new")
    cli.add_argument("--no-truth", action="store_true", help="no pairs.parquet: the corpus can be timed, not scored")
    args = cli.parse_args()
    try:
        described = build(
            args.out,
            args.documents,
            args.seed,
            hot=args.hot,
            new_share=args.new,
            with_truth=not args.no_truth,
        )
    except (FileExistsError, ValueError) as error:
        cli.error(str(error))
    print(described)


if __name__ == "__main__":
    main()
