"""The sections of a report: which figures, tables and samples show which part of the data, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from jobs.report import charts
from jobs.report.charts import Figure, number, share
from jobs.report.data import ReportData, Sample, Score, Table, VerbNouns
from jobs.runtime.reasons import meaning
from jobs.stages.dedup_report import DedupReport, described, headline, tables
from udfs.generators.template import is_stand_in
from udfs.verb_noun import AGREEMENT

# Joshi et al. 2020, section 2.
JOSHI: Final = {
    0: "0 Left-Behinds", 1: "1 Scraping-Bys", 2: "2 Hopefuls", 3: "3 Rising Stars", 4: "4 Underdogs", 5: "5 Winners",
}  # fmt: skip
# Dryer 2013, WALS 81A, in the order of its table.
WORD_ORDERS: Final = ("SOV", "SVO", "VSO", "VOS", "OVS", "OSV", "none")
# Iggesen 2013, WALS 49A.
CASES: Final = ("none", "2", "3", "4", "5", "6-7", "8-9", "10+", "borderline")
_UNKNOWN: Final = "not known"
_LANGUAGES_SHOWN: Final = 20
_SCRIPTS: Final = {
    "Latn": "Latin", "Cyrl": "Cyrillic", "Arab": "Arabic", "Deva": "Devanagari", "Beng": "Bengali", "Hani": "Han",
    "Hans": "Han (simplified)", "Hant": "Han (traditional)", "Jpan": "Japanese", "Hang": "Hangul", "Kore": "Korean",
    "Grek": "Greek", "Hebr": "Hebrew", "Thai": "Thai", "Laoo": "Lao", "Khmr": "Khmer", "Mymr": "Myanmar",
    "Ethi": "Ethiopic", "Geor": "Georgian", "Armn": "Armenian", "Taml": "Tamil", "Telu": "Telugu", "Knda": "Kannada",
    "Mlym": "Malayalam", "Sinh": "Sinhala", "Gujr": "Gujarati", "Guru": "Gurmukhi", "Orya": "Odia", "Tibt": "Tibetan",
    "Mong": "Mongolian", "Syrc": "Syriac", "Thaa": "Thaana", "Nkoo": "N'Ko", "Tfng": "Tifinagh",
    "Cans": "Canadian syllabics",
    "Cher": "Cherokee", "Olck": "Ol Chiki", "Mtei": "Meitei Mayek", "Adlm": "Adlam", "Java": "Javanese", "Zyyy": "none",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers worth a glance: label and value."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence or two; ``is_empty`` where it stands for what is not there."""

    text: str
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows to be read under one heading, folded away."""

    heading: str
    samples: Sequence[Sample]
    note: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Folded:
    """A long table behind a line."""

    table: Table


Block = Facts | Text | Samples | Folded | Figure | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what it means, where it is from, and what it shows."""

    name: str
    """The anchor."""
    title: str
    intro: str
    blocks: Sequence[Block]


def sections(data: ReportData) -> Iterator[Section]:
    """Yield the sections of a report, in order; every one is there, also where it has nothing to show."""
    makers: tuple[tuple[str, str, str, Callable[[ReportData], Iterable[Block]], str], ...] = (
        ("summary", "Summary", "", _summary, ""),
        (
            "funnel", "Funnel",
            "After every stage and for every language, rows in are alive plus rejected. A row that several rules "
            "reject counts under each reason.",
            _funnel, "The lake has no table of runs, or nothing was run into it.",
        ),
        (
            "pairs", "Pairs",
            "Resource classes are those of Joshi et al. 2020, from 0 (no data) to 5 (most); MURI shows its pairs by "
            "them and by script (section 4.1, figures 2.a and 2.b).",
            _pairs, "The lake has no pairs yet.",
        ),
        (
            "lengths", "Lengths",
            "In Unicode code points, on a logarithmic axis. X-Instruction reports averages and standard deviations "
            "(table 2), Indurthi et al. averages (table 2).",
            _lengths, "The lake has no pairs yet.",
        ),
        (
            "typology", "Word order and case marking",
            "Order of subject, object and verb is feature 81A of WALS (Dryer 2013), case marking its feature 49A "
            "(Iggesen 2013), as in MURI's analysis (section 4.1, figures 2.c and 2.d). A language that WALS does not "
            "describe is not known.",
            _typology, "The lake has no pairs yet.",
        ),
        (
            "verbs", "Verbs and nouns of English instructions",
            "The verb at the root of an instruction's first sentence and its direct noun object, as in Indurthi et al. "
            "(figure 4) and X-Instruction (figure 3). Instructions without such an object are not counted among the "
            "pairs.",
            _verbs, "There are no English instructions to look at.",
        ),
        (
            "duplicates", "Near-duplicates",
            "What each deduplicating stage put together. A cluster of size 1 is a document like no other.",
            _duplicates, "No deduplicating stage was run.",
        ),
        (
            "scores", "Scores and thresholds",
            "Every stored score over the rows of its stage's table, alive and rejected, that the stage asks for it. "
            "The dashed line is the recipe's limit; a row beyond it was rejected for the reason that is named. Limits "
            "that depend on the language are drawn as the recipe states them, and the shares count each row against "
            "its own.",
            _scores, "No table holds a score.",
        ),
        (
            "thresholds", "Other thresholds",
            "What would change if a limit were another one, by the stored scores: no model is asked. Gained rows have "
            "not been through the later stages; lost ones take their pairs with them.",
            _other_thresholds,
            "None was asked for: backprompt report --sweep screen.max_hate_score=0.3,0.7",
        ),
        (
            "effort", "Time, tokens and cost",
            "Of all batches of a stage's present table. Tokens are those of language models; cost follows from the "
            "rates of the recipe's engines. Planned against actual is of all work since the plan, rebuilds included.",
            _effort, "The lake has no table of runs.",
        ),
        (
            "review", "Review by native speakers",
            "Averages and agreement of the people who rated pairs.",
            lambda each: each.reviews, "No pair was reviewed. 'backprompt review' serves the page for that.",
        ),
        (
            "samples", "Sample pairs",
            "Of every language the pairs with the smallest seeded hash of their id: fair, and the same each time. Long "
            "texts are cut.",
            _pair_samples, "The lake has no pairs yet.",
        ),
        (
            "rejections", "Sample rejections",
            "Of every reason some rows that it rejected, chosen as the pairs are.",
            _rejections, "No row was rejected.",
        ),
        (
            "parameters", "Parameters",
            "What the tables were made with: a fingerprint is a hash of a stage's settings, its code's version and the "
            "fingerprint of the table before it.",
            lambda each: each.parameters, "The tables carry no settings.",
        ),
    )  # fmt: skip
    for name, title, intro, make, empty in makers:
        blocks = tuple(make(data))
        yield Section(name, title, intro, blocks or (Text(empty, is_empty=True),))


def language_name(data: ReportData, code: str) -> str:
    """Return a language's English name; a code that conf/languages.csv does not have is shown as it is."""
    return data.languages.get(code).name if code in data.languages else code


# The sections -------------------------------------------------------------------------------------------------------


def _summary(data: ReportData) -> Iterator[Block]:
    pairs = data.pairs
    languages = [data.languages.get(code) for code in pairs.by("language") if code in data.languages]
    documents = next((stage["rows_in"] for stage in data.funnel), None)
    seconds = sum(each.seconds for each in data.efforts)
    items = [("pairs", number(pairs.count)), ("languages", number(len(pairs.by("language"))))]
    if languages:
        items.append(("scripts", number(len({each.script for each in languages}))))
    items.append(("sources", number(len(pairs.by("source")))))
    if documents:
        items += [("documents", number(documents)), ("became pairs", share(pairs.count, documents))]
    if seconds:
        items.append(("time", duration(seconds)))
    yield Facts(items)
    if pairs.generators:
        stand_in = sum(count for name, count in pairs.generators.items() if is_stand_in(name))
        if stand_in:
            yield Text(
                f"{share(stand_in, pairs.count)} of the pairs have an instruction that a rule wrote (generators "
                "template-* and title): they show the job and are not training-grade."
            )
    splits = pairs.by("split")
    if splits:
        yield Table(
            "Pairs by split", ("split", "pairs", "share"),
            [(name, number(count), share(count, pairs.count)) for name, count in splits.items()],
        )  # fmt: skip


def _funnel(data: ReportData) -> Iterator[Block]:
    stages = data.funnel
    if not stages:
        return
    rows = [(each["stage"], each["alive"], each["rejected"]) for each in stages]
    yield charts.stacked("Rows by stage", rows, "alive", "rejected")
    reasons = [(code, count) for each in stages for code, count in each["reasons"].items()]
    ordered = sorted(reasons, key=lambda item: (-item[1], item[0]))
    yield charts.bars("Rejected rows by reason", ordered, "rows", kind="reason")
    first, last = stages[0]["languages"], stages[-1]["languages"]
    came = {code: cell["rows_in"] for code, cell in {**last, **first}.items()}
    largest = sorted(came, key=lambda code: (-came[code], code))[:_LANGUAGES_SHOWN]
    kept = {code: last[code]["alive"] if code in last else 0 for code in largest}
    yield charts.stacked(
        "From the first table to the last, by language",
        [(name, kept[code], max(0, came[code] - kept[code]))
         for name, code in zip(_names(data, largest), largest, strict=True)],
        "kept", "lost", f"The {_LANGUAGES_SHOWN} languages with most documents." if came.keys() - kept.keys() else "",
    )  # fmt: skip
    yield Table(
        "Reasons", ("reason", "rows", "meaning", "languages"),
        [(code, number(count), meaning(code), _most(data, stages, code)) for code, count in ordered],
        is_text=frozenset({0, 2, 3}),
    )  # fmt: skip
    languages = sorted({code for each in stages for code in each["languages"]})
    languages.sort(key=lambda code: -stages[0]["languages"].get(code, {}).get("rows_in", 0))
    cells = [
        (f"{language_name(data, code)} ({code})",
         *(number(cell["alive"]) if (cell := each["languages"].get(code)) else "–" for each in stages))
        for code in languages
    ]  # fmt: skip
    yield Folded(Table("Alive after each stage, by language", ("language", *(each["stage"] for each in stages)), cells))


def _most(data: ReportData, stages: Sequence[Mapping[str, Any]], code: str) -> str:
    counts: dict[str, int] = {}
    for each in stages:
        for language, cell in each["languages"].items():
            if cell["reasons"].get(code):
                counts[language] = counts.get(language, 0) + cell["reasons"][code]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{language_name(data, language)} {number(count)}" for language, count in ordered[:4])
    return listed + (f" and {len(ordered) - 4} more" if ordered[4:] else "")


def _pairs(data: ReportData) -> Iterator[Block]:
    if not data.pairs.count:
        return
    yield charts.bars("Pairs by source", list(data.pairs.by("source").items()), "pairs", kind="source")
    by_language = data.pairs.by("language")
    named = zip(_names(data, list(by_language)), by_language.values(), strict=True)
    yield charts.bars("Pairs by language", list(named), "pairs", kind="language")
    yield charts.bars("Pairs by script", _grouped(data, lambda each: _SCRIPTS.get(each.script, each.script)), "pairs",
                      kind="script")  # fmt: skip
    classes = _grouped(data, lambda each: "" if each.joshi_class is None else JOSHI[each.joshi_class], JOSHI.values())
    yield charts.bars("Pairs by resource class", classes, "pairs", kind="class")
    if data.pairs.licenses:
        yield charts.bars("Pairs by licence", list(data.pairs.licenses.items()), "pairs", kind="licence")
    if data.pairs.generators:
        yield charts.bars(
            "Pairs by writer of the instruction", list(data.pairs.generators.items()), "pairs", kind="generator"
        )


def _names(data: ReportData, codes: Sequence[str]) -> list[str]:
    """Return names that differ: two varieties may share one, and a chart would put their bars together."""
    names = [language_name(data, code) for code in codes]
    return [f"{name} {code}" if names.count(name) > 1 else name for name, code in zip(names, codes, strict=True)]


def _grouped(data: ReportData, key: Callable[[Any], str], order: Iterable[str] = ()) -> list[tuple[str, int]]:
    """Return pairs by a property of their language, in an order or most first; unknown ones last."""
    counts: dict[str, int] = dict.fromkeys(order, 0)
    is_ordered, unknown = bool(counts), 0
    for code, count in data.pairs.by("language").items():
        name = key(data.languages.get(code)) if code in data.languages else ""
        if name:
            counts[name] = counts.get(name, 0) + count
        else:
            unknown += count
    rows = list(counts.items()) if is_ordered else sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return rows + ([(_UNKNOWN, unknown)] if unknown else [])


def _lengths(data: ReportData) -> Iterator[Block]:
    if not data.pairs.count:
        return
    for name, counted in data.pairs.lengths.items():
        middle = [counted.quantile(at) for at in (0.25, 0.5, 0.75)]
        spans = [f"{charts.brief(each[0])} to {charts.brief(each[1])}" if each else "–" for each in middle]
        note = f"Median {spans[1]}, quartiles {spans[0]} and {spans[2]} characters." if counted.rows else ""
        yield charts.histogram(f"Length of the {name}", counted, "characters", note=note)
    rows = []
    cells = sorted(data.pairs.cells, key=lambda cell: cell.language)
    for code, group in groupby(cells, key=lambda cell: cell.language):
        own = list(group)
        count = sum(cell.pairs for cell in own)
        means = (sum(getattr(cell, name) for cell in own) / count for name in ("instruction_chars", "output_chars"))
        rows.append(
            (count, (f"{language_name(data, code)} ({code})", number(count), *(f"{mean:,.0f}" for mean in means)))
        )
    rows.sort(key=lambda row: (-row[0], row[1][0]))
    header = ("language", "pairs", "instruction, mean", "output, mean")
    yield Folded(Table("Mean lengths by language", header, [row for _, row in rows]))


def _typology(data: ReportData) -> Iterator[Block]:
    if not data.pairs.count:
        return
    orders = [name if name != "none" else "no dominant" for name in WORD_ORDERS]
    named = dict(zip(WORD_ORDERS, orders, strict=True))
    yield charts.bars(
        "Pairs by word order",
        _grouped(data, lambda each: named.get(each.word_order, ""), orders),
        "pairs",
        kind="order",
    )
    cases = {"none": "no case marking", "borderline": "borderline"}
    labels = [cases.get(name, f"{name} cases") for name in CASES]
    by_case = dict(zip(CASES, labels, strict=True))
    yield charts.bars(
        "Pairs by case marking", _grouped(data, lambda each: by_case.get(each.case_marking, ""), labels), "pairs",
        kind="cases",
    )  # fmt: skip
    rows = [
        (f"{each.name} ({code})", number(count), each.word_order or "–", each.case_marking or "–")
        for code, count in data.pairs.by("language").items()
        if code in data.languages
        for each in [data.languages.get(code)]
    ]
    header = ("language", "pairs", "word order", "cases")
    yield Folded(Table("Word order and case marking of the languages", header, rows))


def _verbs(data: ReportData) -> Iterator[Block]:
    for each in data.verb_nouns:
        if not each.of_instructions:
            continue
        yield Text(_how(each))
        bars = [(f"{verb}: {nouns[0][0]}" if nouns else verb, count) for verb, count, nouns in each.verbs]
        title = "Root verbs, with their most frequent noun"
        yield charts.bars(title, bars, "instructions", kind="verb")
        rows = [
            (verb, number(count), ", ".join(f"{noun} {number(times)}" for noun, times in nouns))
            for verb, count, nouns in each.verbs
        ]
        header = ("verb", "instructions", "most frequent direct objects")
        yield Table("The most frequent verbs and nouns", header, rows, is_text=frozenset({0, 2}))


def _how(each: VerbNouns) -> str:
    sampled = "all" if each.instructions >= each.of_instructions else "a seeded sample of"
    counted = (
        f"Of {sampled} {number(each.instructions)} English instructions, "
        f"{share(each.found, each.instructions) or 'none'} have a verb and a noun: {number(each.distinct)} different "
        "pairs."
    )
    if each.measure != "rules":
        return f"Parsed by spaCy's {each.measure}, as the papers parse. {counted}"
    return (
        "By rules, without a model: word forms of a dictionary and the patterns of requests and questions. On "
        f"{AGREEMENT.instructions} instructions marked by hand it gives the marked answer for {AGREEMENT.same:.0%}; of "
        f"the pairs it finds {AGREEMENT.precision:.0%} are right ({AGREEMENT.held_out:.1%} before the last rule, which "
        f"was added after these were looked at), of those there are it finds {AGREEMENT.recall:.0%}. The papers use "
        f"parsers: compare their figures with care. {counted}"
    )


def _duplicates(data: ReportData) -> Iterator[Block]:
    for name, report in data.clusters.items():
        if isinstance(report, str):
            yield Text(f"{name}: {report}", is_empty=True)
            continue
        yield Text(f"{name}: " + " ".join(headline(report)))
        sizes = [(f"{each.least}" if each.least == each.most else f"{each.least} to {each.most}", each.clusters)
                 for each in report.sizes]  # fmt: skip
        yield charts.bars(f"Clusters by size, {name}", sizes, "clusters", kind="documents")
        for table in tables(report):
            yield Folded(Table(f"{table.title}, {name}", table.header, table.rows, table.note))
        if report.largest and any(each.size > 1 for each in report.largest):
            yield _clusters(name, report)


def _clusters(name: str, report: DedupReport) -> Samples:
    samples = []
    for cluster in report.largest[:5]:
        heading, members = described(cluster)
        shown = (cluster.kept, *cluster.duplicates)
        texts = [
            (label, text, member.language or "und", False)
            for (label, _, text), member in zip(members, shown, strict=True)
        ]
        facts = [("cluster", heading), *((label, ids) for label, ids, _ in members)]
        samples.append(Sample(heading, shown[0].language or "und", texts, facts))
    return Samples(f"The largest clusters of {name}", samples)


def _scores(data: ReportData) -> Iterator[Block]:
    rows, silent = [], []
    for each in data.scores:
        label = _score_title(each)
        if each.is_missing_column:
            silent.append((label, "the table has no such column: it is of another version"))
            continue
        if not each.histogram.rows:
            silent.append((label, "no row has this score"))
            continue
        scored = each.histogram.rows
        if each.limit is None:
            note = f"{number(scored)} rows, {number(each.missing)} without. "
            note += "The recipe sets no limit." if each.threshold else "Its limit depends on the language and the text."
        elif not each.has_sides:
            note = f"{number(scored)} rows, {number(each.missing)} without. The line is the recipe's limit."
        else:
            assert each.threshold is not None
            beyond = scored - each.kept
            note = (
                f"{share(each.kept, scored)} of {number(scored)} rows within the limit, {share(beyond, scored)} "
                f"beyond ({each.threshold.reason.value}); {number(each.missing)} without a score."
            )
        is_least = each.threshold is not None and each.threshold.direction == "at_least"
        yield charts.histogram(
            label, each.histogram, "score", each.limit, is_least, f"{_sentence(each.meaning)}. {note}"
        )
        if each.threshold is not None and each.limit is not None and each.has_sides:
            sign = "≥" if is_least else "<" if each.threshold.is_strict else "≤"
            rows.append(
                (label, f"{sign} {charts.brief(each.limit)}", number(each.kept), number(scored - each.kept),
                 share(scored - each.kept, scored), number(each.missing), each.threshold.reason.value)
            )  # fmt: skip
    if rows:
        header = ("score", "limit", "within", "beyond", "share beyond", "without", "reason")
        yield Table("Rows on each side of the limits", header, rows, is_text=frozenset({0, 6}))
    if silent:
        yield Folded(Table("Scores with nothing to show", ("score", "why"), silent, is_text=frozenset({0, 1})))


def _score_title(each: Score) -> str:
    if each.threshold is None:
        return f"{each.stage}: {each.name}"
    fault = f" ({each.threshold.asked_by[1]})" if each.threshold.asked_by else ""
    return f"{each.stage}: {each.threshold.setting}{fault}"


def _other_thresholds(data: ReportData) -> Iterator[Block]:
    yield from data.other_thresholds
    for heading, group in groupby(data.changed_samples, key=lambda each: each.group):
        yield Samples(heading, list(group))


def _effort(data: ReportData) -> Iterator[Block]:
    if not data.efforts:
        return
    yield charts.bars("Seconds by stage", [(each.stage, round(each.seconds, 1)) for each in data.efforts], "seconds",
                      kind="stage")  # fmt: skip
    tokens = [(each.stage, (each.prompt_tokens or 0) + (each.completion_tokens or 0)) for each in data.efforts]
    if any(count for _, count in tokens):
        yield charts.bars("Tokens by stage", [item for item in tokens if item[1]], "tokens", kind="stage")
    else:
        yield Text("No stage counted tokens: its engines are no language models, or tell none.", is_empty=True)
    if all(each.cost is None for each in data.efforts):
        yield Text("No cost: engines have no rates, or the report was made without --recipe.", is_empty=True)
    rows = [
        (each.stage, number(each.rows), number(each.characters), f"{each.seconds:,.1f}",
         f"{each.rows / each.seconds:,.1f}" if each.seconds else "–", _or_dash(each.prompt_tokens),
         _or_dash(each.completion_tokens), _or_dash(each.cost))
        for each in data.efforts
    ]  # fmt: skip
    cost = f"cost, {data.currency}" if data.currency else "cost"
    header = ("stage", "rows in", "characters", "seconds", "rows/s", "prompt tokens", "completion tokens", cost)
    yield Table("What each stage took", header, rows)
    if data.planned:
        yield from data.planned
    else:
        yield Text("Nothing was planned: 'backprompt plan --save' was not run for this lake.", is_empty=True)


def _pair_samples(data: ReportData) -> Iterator[Block]:
    counts = data.pairs.by("language")
    by_language = {code: list(group) for code, group in groupby(data.pair_samples, key=lambda each: each.group)}
    for code in sorted(by_language, key=lambda code: (-counts.get(code, 0), code)):
        heading = f"{language_name(data, code)} ({code}), {number(counts.get(code, 0))} pairs"
        yield Samples(heading, by_language[code], language=code)


def _rejections(data: ReportData) -> Iterator[Block]:
    counts: dict[str, int] = {}
    for stage in data.funnel:
        for code, count in stage["reasons"].items():
            counts[code] = counts.get(code, 0) + count
    for code, group in groupby(data.rejection_samples, key=lambda each: each.group):
        count = f", {number(counts[code])} rows" if code in counts else ""
        yield Samples(code + count, list(group), _sentence(meaning(code)))


def duration(seconds: float) -> str:
    """Write a time for a person.

    >>> duration(42), duration(125), duration(7300)
    ('42 s', '2 min 5 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)
