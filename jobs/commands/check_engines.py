"""``backprompt check-engines``: whether a recipe's engines can be used, for what, and how fast they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.runtime import ledger
from jobs.runtime.console import duration, print_block
from jobs.runtime.corpora import Counts, list_corpora, listed_languages, named_languages, sample_documents
from jobs.runtime.engine_checks import EngineCheck, check_engines, problems
from jobs.runtime.errors import BackpromptError
from jobs.runtime.forecast import CHARACTERS
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LoadedRecipe
from jobs.runtime.trial import Estimate, Passage, Trial, estimate, run_trial

_TEXT_CHARS: Final = 1_200
_LANGUAGES_LISTED: Final = 12
_ROWS_SHOWN: Final = 40


@dataclass(slots=True)
class Report:
    """What was found of a recipe's engines."""

    recipe: str
    checks: list[EngineCheck] = field(default_factory=list)
    without_work: tuple[str, ...] = ()
    """Stages whose engines are not needed, as every source holds pairs, which pass them."""
    languages: tuple[str, ...] = ()
    """Languages whose coverage was asked about."""
    languages_from: str = ""
    """Who says so: the recipe, the files of the corpora, the lake, their documents."""
    corpora_problem: str = ""
    """Why the corpora could not be listed; "" if they could, or were not needed."""
    trial: Trial | None = None
    counts: Counts | None = None
    estimates: list[Estimate] = field(default_factory=list)

    @property
    def is_usable(self) -> bool:
        """Say whether a run would get past its engines and find its corpora."""
        return not self.corpora_problem and not any(each.problem for each in self.checks)


def needs_spark(recipe: LoadedRecipe, lake: str | None, trial: int | None) -> bool:
    """Say whether corpora or a lake have to be looked at: for a trial, or to know the languages."""
    return bool(trial or lake) or named_languages(recipe) is None


def inspect(recipe: LoadedRecipe, lake: Lake | None, wanted: int | None = None) -> Report:
    """Check every engine of a recipe; with ``wanted``, send so many documents through those that can all be used.

    Args:
        recipe: a checked recipe.
        lake: the lake that the run is for, which may have no tables yet, with its session; None where ``needs_spark``
            says that none is needed.
        wanted: documents of the trial; None: no trial.

    Raises:
        BackpromptError: if the corpora cannot be read, or hold no document for a trial.
        udfs.engines.EngineUnavailable: if an engine of the trial cannot be loaded on this machine.
    """
    idle = [stage.name for stage, _ in recipe.stages() if stage.engines and not recipe.needs_engines(stage)]
    report = Report(recipe.name, without_work=tuple(idle))
    corpora = []
    named = named_languages(recipe)
    if named is not None:
        report.languages, report.languages_from = named, "the recipe"
    if lake is not None:
        try:
            corpora = list_corpora(lake.spark, recipe)
        except BackpromptError as error:
            report.corpora_problem = str(error)
        if named is None:
            report.languages, report.languages_from = listed_languages(corpora), "the files of the corpora"
            if held := _alive(lake):
                report.languages = tuple(sorted({*report.languages, *held}))
                report.languages_from += " and the lake"
    report.checks = check_engines(recipe, languages=report.languages)
    if lake is None or not wanted or not report.is_usable:
        return report
    candidates, report.counts = sample_documents(lake.spark, recipe, lake, corpora, wanted)
    if not len(candidates):
        raise BackpromptError(f"The corpora of {recipe.recipe.path} hold no document that could be tried.")
    if found := set(candidates["language"].to_pylist()) | report.counts.documents.keys():
        # Records may say what files do not.
        languages = tuple(sorted({*report.languages, *found})) if named is None else named
        if languages != report.languages:
            report.languages, report.languages_from = languages, f"{report.languages_from} and their documents"
            report.checks = check_engines(recipe, languages=languages)
    report.trial = run_trial(lake.spark, recipe, candidates, wanted)
    waiting = ledger.waiting_rows(recipe.order, ledger.tallies(lake)) if lake.exists(ledger.TABLE) else {}
    entry = next(stage.name for stage, _ in recipe.stages() if stage.of_pairs is None)
    for language, count in report.counts.pairs.items():
        there = waiting.setdefault(entry, {})
        there[language] = there.get(language, 0) + count
    uncovered = {each.stage: each.uncovered for each in report.checks if each.setting == "engine"}
    report.estimates = estimate(recipe, report.trial, report.counts.documents, waiting, uncovered)
    return report


def as_json(report: Report) -> str:
    """Return the report as JSON."""
    values: dict[str, Any] = {
        "recipe": report.recipe,
        "is_usable": report.is_usable,
        "languages": report.languages,
        "languages_from": report.languages_from,
        "corpora_problem": report.corpora_problem or None,
        "engines": [asdict(each) for each in report.checks],
        "stages_without_work": report.without_work,
    }
    if report.trial is not None and report.counts is not None:
        values |= {
            "trial": {
                "stages": [asdict(each) | {"per_second": each.per_second} for each in report.trial.stages],
                "skipped": report.trial.skipped,
                "documents": [asdict(each) for each in report.trial.documents],
            },
            "corpora": asdict(report.counts),
            "estimate": [asdict(each) for each in report.estimates],
        }
    return json.dumps(values, ensure_ascii=False, indent=2)


def print_report(out: Console, report: Report) -> None:
    """Print what was found, for a person."""
    _print_checks(out, report)
    if report.trial is not None and report.counts is not None:
        _print_documents(out, report.trial)
        _print_stages(out, report.trial)
        _print_estimates(out, report.estimates, report.counts, report.trial)


def _print_checks(out: Console, report: Report) -> None:
    out.print(f"Engines of recipe {report.recipe}\n", markup=False, style="bold")
    for each in report.checks:
        what = f"{each.kind}{f' {each.model}' if each.model else ''}"
        state = "CANNOT BE USED" if each.problem else "ok"
        out.print(f"{each.name:<25} {what}: {state}", markup=False, soft_wrap=True)
        for note in each.notes:
            out.print(f"  {note}", markup=False, soft_wrap=True)
        if each.uncovered:
            listed = _listed(each.uncovered, report.counts.documents if report.counts else {})
            out.print(f"  not covered: {listed}: {each.fate}", markup=False, soft_wrap=True)
    if report.without_work:
        stages = ", ".join(report.without_work)
        out.print(f"Not needed, as every source holds pairs: those of {stages}", markup=False, soft_wrap=True)
    if report.languages:
        text = f"{_listed(report.languages, {})} (from {report.languages_from})"
    else:
        text = "not known before the records are read: --trial N tells them"
    out.print(f"\nLanguages: {text}", markup=False, soft_wrap=True)
    if report.corpora_problem:
        out.print(f"\nThe corpora cannot be read: {report.corpora_problem}", markup=False, soft_wrap=True)
    broken = [each for each in report.checks if each.problem]
    if not broken:
        out.print(f"\nAll {len(report.checks)} engines can be used.", markup=False)
        return
    out.print(f"\n{len(broken)} of {len(report.checks)} engines cannot be used:", markup=False, style="bold")
    for problem in problems(broken):
        out.print(f"\n{problem}", markup=False, soft_wrap=True)


def _listed(languages: Sequence[str], documents: Mapping[str, int]) -> str:
    """Return languages, those with most documents first, and how many more there are."""
    order = sorted(languages, key=lambda code: (-documents.get(code, 0), code))
    shown = [f"{code} ({documents[code]:,})" if code in documents else code for code in order[:_LANGUAGES_LISTED]]
    more = len(order) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _print_documents(out: Console, trial: Trial) -> None:
    for number, document in enumerate(trial.documents, start=1):
        heading = f"\nDocument {number}: {document.language}, {document.source}, {document.doc_id[:12]}"
        fields: list[tuple[str, str]] = [("title", document.title or "")]
        for stage, passage in document.passages.items():
            fields += _fields(stage, passage)
        print_block(out, heading, [(label, _cut(text)) for label, text in fields], None)


def _cut(text: str) -> str:
    """Return a text's head and tail: a prompt begins with its examples and ends with the document."""
    if len(text) <= _TEXT_CHARS:
        return text
    half = _TEXT_CHARS // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half:,} characters between) ...\n{text[-half:]}"


def _fields(stage: str, passage: Passage) -> list[tuple[str, str]]:
    found = [(stage, f"{passage.units_in:,} in, {passage.units_out:,} out, {passage.seconds:.2f} s")]
    # The screen reads what stands above already.
    if stage != "screen":
        found += [("  prompt" if stage == "instruct" else "  text", passage.asked), ("  answer", passage.answer)]
    if passage.rejected_for:
        found.append(("  rejected", f"{', '.join(passage.rejected_for)}: {passage.detail or ''}".rstrip(": ")))
    return found


def _print_stages(out: Console, trial: Trial) -> None:
    table = Table("stage", "unit", box=box.SIMPLE_HEAD, title="The trial, by stage", title_justify="left")
    for heading in ("documents", "kept", "load", "work", "in", "out", "per second"):
        table.add_column(heading, justify="right")
    table.add_column("rejected for", overflow="fold")
    for each in trial.stages:
        numbers = (f"{each.rows:,}", f"{each.alive:,}", f"{each.load_seconds:.1f} s", f"{each.seconds:.2f} s")
        amounts = (f"{each.units_in:,}", f"{each.units_out:,}", f"{each.per_second:,.0f}")
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in each.reasons.items())
        table.add_row(each.stage, each.unit, *numbers, *amounts, reasons)
    out.print()
    out.print(table)
    if any(each.unit == CHARACTERS for each in trial.stages):
        out.print("Characters are counted where the engine tells no tokens.", markup=False)
    out.print("A document's seconds are its share of its batch, by what it has of these.", markup=False)


def _print_estimates(out: Console, estimates: Sequence[Estimate], counts: Counts, trial: Trial) -> None:
    table = Table("stage", "language", box=box.SIMPLE_HEAD, title="The whole run, about", title_justify="left")
    for heading in ("documents", "amount", "", "time"):
        table.add_column(heading, justify="right" if heading else "left")
    lines = [
        (each.stage, each.language + ("" if each.is_measured else " *"), f"{each.documents:,}", f"{each.units:,}",
         each.unit, duration(each.hours))
        for each in estimates
    ]  # fmt: skip
    for line in lines[:_ROWS_SHOWN]:
        table.add_row(*line)
    if len(lines) > _ROWS_SHOWN:
        table.add_row(f"and {len(lines) - _ROWS_SHOWN:,} more: --json has all")
    table.add_section()
    for stage in trial.stages:
        own = [each for each in estimates if each.stage == stage.stage]
        table.add_row(
            stage.stage,
            "all",
            f"{sum(each.documents for each in own):,}",
            f"{sum(each.units for each in own):,}",
            stage.unit,
            duration(sum(each.hours for each in own)),
        )
    out.print(table)
    for sentence in _basis(estimates, counts, trial):
        out.print(sentence, markup=False, soft_wrap=True)
    out.print("Nothing was written.", markup=False)


def _basis(estimates: Sequence[Estimate], counts: Counts, trial: Trial) -> list[str]:
    """Return what the estimate rests on, a sentence a line."""
    lines = [
        f"It rests on {len(trial.documents)} documents: their length by language, the share of them that each stage "
        "kept, and the speed of one engine in one process on this machine. Divide the time by the number of tasks that "
        "have an engine of their own. A small batch is slow for its size, and a server that is asked little at once "
        "too: the more documents are tried, the nearer the estimate."
    ]
    if counts.counted:
        lines.append(f"Documents that the lake does not hold were counted in {', '.join(counts.counted)}.")
    if counts.projected:
        lines.append(
            f"Of {', '.join(counts.projected)} one file a language was counted, and the rest concluded from the size "
            f"of the files; at most {len(trial.documents)} languages a corpus are in the estimate."
        )
    if trial.skipped:
        lines.append(f"Taken to reject nothing: {', '.join(trial.skipped)}.")
    if any(not each.is_measured for each in estimates):
        lines.append("* No document of the language was tried at this stage: taken to be like the others.")
    return lines


def _alive(lake: Lake) -> list[str]:
    """Return the languages of the living documents in a lake."""
    if not lake.exists(ledger.TABLE):
        return []
    return [language for language, tally in ledger.tallies(lake).get(FIRST, {}).items() if tally.alive]
