"""The soak's corpus: real documents of the demo in two states, the second with new and changed ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "demo"
ADDED = " Aquest paràgraf és nou en aquesta revisió del document."
# Model stages decide row by row, so how many files a batch reads changes nothing but the number of batches.
ROW_STAGES = ("clean", "translate", "instruct", "back_translate", "screen")


@dataclass(frozen=True, slots=True)
class Corpus:
    """A project folder with a recipe and the documents that it reads.

    Args:
        project: folder of its own; made by ``lay``.
        documents: taken from each file of the demo, at most.
        languages: folders of the demo that are taken; None: all.
        dumps: whether the dumps, which have few documents in many languages, are taken too.
        max_files: files that a batch of a stage that decides row by row reads.
    """

    project: Path
    documents: int
    languages: Sequence[str] | None = None
    dumps: bool = True
    max_files: int = 10

    @property
    def recipe(self) -> Path:
        """Return the path of the recipe."""
        return self.project / "conf" / "demo.yaml"

    def lay(self, phase: int) -> None:
        """Put the documents of a phase in place: 0 the first state, 1 the second."""
        data = self.project / "data" / "demo"
        shutil.rmtree(self.project, ignore_errors=True)
        for file in sorted(DEMO.rglob("*.parquet")):
            is_late = file.stem.endswith("_00001")
            if (self.languages is not None and file.parent.name not in self.languages) or (is_late and phase == 0):
                continue
            table = pq.read_table(file).slice(0, self.documents)
            if phase == 1 and not is_late:
                table = _changed(table)
            target = data / file.relative_to(DEMO)
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target)
        if self.dumps:
            shutil.copytree(DEMO / "dumps", data / "dumps")
        self._write_recipe()

    def _write_recipe(self) -> None:
        recipe = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text(encoding="utf-8"))
        recipe["rows_per_file"] = 10
        recipe["sources"] = [each for each in recipe["sources"] if self.dumps or each["kind"] != "wikipedia-dump"]
        for source in recipe["sources"]:
            source.pop("max_documents_per_language", None)
        for stage in ROW_STAGES:
            recipe["stages"][stage] = {**(recipe["stages"][stage] or {}), "max_files_per_batch": self.max_files}
        self.recipe.parent.mkdir(parents=True)
        self.recipe.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _changed(table: pa.Table) -> pa.Table:
    """Return the documents in their second state.

    Every fourth has a sentence more, so it is a newer revision; every tenth stands a second time in capitals under
    another key, so it is a duplicate of a document that an earlier batch kept.
    """
    rows = table.to_pylist()
    key = "url" if "url" in table.column_names else "id"
    copies = []
    for place, row in enumerate(rows):
        if place % 10 == 3:
            twin = {**row, key: f"{row[key]}?twin", "text": row["text"].upper()}
            copies.append({**twin, "id": f"{row['id']}-twin"} if "id" in row else twin)
        if place % 4 == 1:
            row["text"] += ADDED
    return pa.Table.from_pylist([*rows, *copies], schema=table.schema)
