"""``backprompt export``: a data set for the Hugging Face Hub's tools, of the pairs of a lake."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml
from pyspark.sql import DataFrame
from rich.console import Console

from jobs.commands.funnel import funnel
from jobs.export import forms, hub, licenses, names, selection, writer
from jobs.export.card import CardFacts, card, left_out, license_page
from jobs.export.forms import Form, Layout, Naming, ShardBounds, Size
from jobs.export.licenses import LicenseBook
from jobs.export.selection import Group, Selection
from jobs.export.storage import CARD, LICENSE, open_target
from jobs.runtime import ledger
from jobs.runtime.accounting import tables_in_order
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LAST, load_recipe
from udfs.generators.template import is_stand_in

_OWN_PACKAGES: Final = ("backprompt", "pyspark")
_SETTINGS: Final = "recipe/settings.yaml"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and how."""

    to: str
    form: Form = "muri"
    layout: Layout = "languages"
    has_glotlid_codes: bool = False
    """Whether the column ``language`` keeps the lake's codes, ``arb_Arab``; else it has MURI-IT's, ``ara``."""
    selection: Selection = field(default_factory=Selection)
    licenses: str | None = None
    """A file with more licences and models."""
    license_notes: Mapping[str, str] = field(default_factory=dict)
    model_licenses: Mapping[str, str] = field(default_factory=dict)
    language_names: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    recipe: str | None = None
    """Its file or name, to go with the export."""
    bounds: ShardBounds = field(default_factory=lambda: ShardBounds(500_000, 500 << 20))
    is_replaced: bool = False
    push: str | None = None
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it."""

    to: str
    files: int
    bytes: int
    rows: Mapping[str, int]
    """By split."""
    languages: int
    left_out: Mapping[str, int]
    """By reason."""
    address: str | None
    """On the Hub."""


def export(lake: Lake, request: ExportRequest) -> Exported:
    """Write the pairs of a lake as a data set with its card.

    Raises:
        BackpromptError: before anything is written, if nothing is left, or a licence, a model, a language or a filter
            is not known.
    """
    book = _book(request)
    api = hub.open_hub(request.push, request.to) if request.push else None
    # One version of the table, so that what is counted is what is written, whoever writes the lake meanwhile.
    table_version = lake.version(LAST)
    recipe = recipe_files(lake, request.recipe)
    target = open_target(lake.spark, request.to, request.is_replaced)
    target.check()
    pairs, groups = _selected(lake, request, book, table_version)
    kept = [each for each in groups if each.left_out is None]
    languages = names.export_languages(
        {each.language for each in kept}, request.has_glotlid_codes, request.language_names
    )
    kinds = names.source_kinds(lake.settings(FIRST) if lake.exists(FIRST) else {})
    rows = forms.to_form(pairs, request.form, Naming(_kinds_of(kept, kinds), languages))
    configs = forms.config_names(languages, request.layout)
    sizes: dict[tuple[str, str], Size] = {}
    for (language, split), size in forms.sizes(rows).items():
        key = configs[language], split
        sizes[key] = sizes.get(key, Size()) + size
    order = tables_in_order(lake)
    # Before anything is deleted or written, as it is the last that can fail for what the lake holds.
    stages = funnel(lake)["stages"] if lake.exists(ledger.TABLE) else ()
    target.begin()
    written = writer.write(rows, target, request.form, request.layout, configs, sizes, request.bounds)
    facts = CardFacts(
        title=request.title or f"Instruction pairs of {lake.properties(LAST)['recipe']}",
        form=request.form,
        layout=request.layout,
        features=forms.features(rows.drop("of_pair", "of_language", "of_split").schema),
        groups=groups,
        kinds=kinds,
        languages=languages,
        sizes=sizes,
        written=written,
        book=book,
        stages=stages,
        recipe=lake.properties(LAST)["recipe"],
        fingerprints={name: lake.properties(name)["fingerprint"] for name in order},
        recipe_hashes={name: hashlib.sha256(text.encode()).hexdigest() for name, text in recipe.items()},
        are_pairs_mended="clean" in order and lake.settings("clean").get("pairs") == "mend",
        table_version=table_version,
        versions=_versions(),
    )
    target.write(_SETTINGS, _settings(lake, order, facts.stages))
    for name, text in recipe.items():
        target.write(name, text)
    if (terms := license_page(facts)) is not None:
        target.write(LICENSE, terms)
    target.write(CARD, card(facts))
    target.finish()
    address = hub.push(api, request.push, request.to, request.is_public) if api and request.push else None
    by_split: dict[str, int] = {}
    for (_, split), size in sizes.items():
        by_split[split] = by_split.get(split, 0) + size.rows
    return Exported(
        request.to,
        sum(each.files for each in written.values()),
        sum(each.bytes for each in written.values()),
        by_split,
        len({each.code for each in languages.values()}),
        left_out(groups),
        address,
    )


def _selected(lake: Lake, request: ExportRequest, book: LicenseBook, version: int) -> tuple[DataFrame, list[Group]]:
    """Return the pairs that the export has, and the groups of all."""
    pairs, where = lake.read(LAST, version=version), f"table {LAST} of {lake}"
    selection.check_columns(pairs, where)
    asked = replace(request.selection, has_whole_conversations=request.form == "chat")
    reason = selection.reason_left_out(asked, pairs, selection.groups(pairs), book, where)
    groups = selection.groups(pairs, reason)
    kept = [each for each in groups if each.left_out is None]
    if not kept:
        raise BackpromptError(_nothing_left(lake, groups))
    selection.check_terms(kept, book)
    return pairs.where(reason.isNull()), groups


def print_exported(out: Console, done: Exported) -> None:
    """Say what was written and what was left out."""
    splits = ", ".join(
        f"{split} {done.rows[split]:,}" for split in ("train", "validation", "test") if split in done.rows
    )
    out.print(
        f"{sum(done.rows.values()):,} pairs in {done.languages:,} languages ({splits}), {done.files:,} files, "
        f"{done.bytes / 1e6:,.1f} MB: {done.to}",
        markup=False,
        soft_wrap=True,
    )
    for reason, count in done.left_out.items():
        out.print(f"left out: {count:,} pairs, {reason}", markup=False, soft_wrap=True)
    if done.address:
        out.print(f"On the Hub: {done.address}", markup=False, soft_wrap=True)


def _book(request: ExportRequest) -> LicenseBook:
    book = licenses.known_licenses()
    if request.licenses:
        try:
            text = Path(request.licenses).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BackpromptError(f"--licenses {request.licenses}: cannot be read as UTF-8 text: {error}") from error
        book = licenses.parse_licenses(text, request.licenses, book)
    book = licenses.with_notes(book, request.license_notes)
    return licenses.with_models(book, request.model_licenses)


def recipe_files(lake: Lake, reference: str | None) -> dict[str, str]:
    """Return what the recipe is written in, by name in the export: its file, those that it extends, and its prompts.

    Raises:
        BackpromptError: if the tables were not made with it.
    """
    if reference is None:
        return {}
    recipe = load_recipe(reference)
    own = lake.properties(LAST)
    if (recipe.name, recipe.fingerprint(LAST)) != (own["recipe"], own["fingerprint"]):
        raise BackpromptError(
            f"--recipe {reference} is not what the tables of {lake} were made with (recipe {own['recipe']}, "
            f"fingerprint {own['fingerprint']}; the file has {recipe.name}, {recipe.fingerprint(LAST)}). "
            "'backprompt run --dry-run' names the settings that differ."
        )
    first, *bases = recipe.files
    found = {"recipe/recipe.yaml": recipe.files[first]}
    texts = [(Path(path).name, recipe.files[path]) for path in bases]
    texts += [(f"{Path(name).stem}.txt", text) for name, text in recipe.prompts().items()]
    for name, text in texts:
        place = f"recipe/{name}"
        while place in found or place == _SETTINGS:
            place = f"recipe/other-{Path(place).name}"
        found[place] = text
    return found


def _nothing_left(lake: Lake, groups: list[Group]) -> str:
    counts = left_out(groups)
    if not counts:
        return (
            f"Lake {lake} has no pairs: there is nothing to export. 'backprompt status' shows where rows were rejected"
        )
    listed = "; ".join(f"{count:,} {reason}" for reason, count in counts.items())
    hint = ""
    if any(is_stand_in(each.generator) for each in groups):
        hint = ". The embedded rules' instructions show the job and are not for training: --allow-stand-in exports them"
    return f"No pair of {lake} is left to export: {listed}{hint}"


def _kinds_of(kept: list[Group], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of the sources that the export has; a source that no recipe names any more has its own name."""
    return {source: kinds.get(source, "") for source in sorted({each.source for each in kept})}


def _settings(lake: Lake, order: Sequence[str], funnel_stages: Sequence[Mapping[str, Any]]) -> str:
    engines = {stage["stage"]: stage["engines"] for stage in funnel_stages if stage["stage"] != LAST}
    stages: dict[str, Any] = {}
    for name in order:
        properties = lake.properties(name)
        stages[name] = {"fingerprint": properties["fingerprint"], "settings": lake.settings(name)}
        if engines.get(name):
            stages[name]["engines"] = list(engines[name])
    values = {"recipe": lake.properties(LAST)["recipe"], "stages": stages}
    head = "# What decided the rows of every stage's table, and the engines that worked; no paths.\n"
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000)


def _versions() -> dict[str, str]:
    found = {}
    for name in _OWN_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "(not installed)"
    return found
