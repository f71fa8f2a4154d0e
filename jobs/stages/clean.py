"""Clean documents, find their headline, and check that they are what their source claims."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import CLEAN, join_columns
from jobs.stages.base import Resources, Rule, Stage, StageSettings, flag, flag_all, no_columns
from jobs.stages.engines import AnyIdentifier, RecipeIdentifier, task_devices
from udfs.arrow import with_columns
from udfs.cleaning import clean as kernel
from udfs.cleaning.lines import LineRules
from udfs.cleaning.lists import ENGLISH, CleaningLists
from udfs.cleaning.personal_data import Action, Kind, PersonalDataPlan
from udfs.cleaning.phrases import compiled
from udfs.headline import headline
from udfs.identifiers import Identifier
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.loaded import open_for
from udfs.settings import Settings

_MIN_IDENTIFIED_LINE_CHARS: Final = 60


class PersonalDataSettings(Settings):
    """What happens to personal data.

    ``mask`` puts ``[email]`` and the like in its place, ``flag`` counts it, ``ignore`` does not look for it.
    """

    email: Action = "mask"
    """E-mail addresses."""
    ip: Action = "mask"
    """Public IP addresses, versions 4 and 6."""
    phone: Action = "flag"
    """Telephone numbers."""
    iban: Action = "mask"
    """Bank accounts whose check digits are right."""

    def actions(self) -> tuple[tuple[Kind, Action], ...]:
        """Return the action of each kind."""
        return (("email", self.email), ("ip", self.ip), ("phone", self.phone), ("iban", self.iban))


class CleanSettings(StageSettings):
    """Clean texts, take out site furniture, keep those of fair length, shape and language.

    Limits of words, symbols and n-grams are those of English; see ``limits``.
    """

    min_chars: int = Field(200, ge=0)
    """Shortest text that is kept, in Unicode code points after cleaning."""
    max_chars: int = Field(100_000, ge=1)
    """Longest text that is kept, in Unicode code points after cleaning."""
    around_body: bool = True
    """In what shows itself to be a web page, also take out the short lines before and behind its body: menus, teasers,
    footers in any language. false: only lines that are furniture by what they say or are made of."""
    min_repeated_line_chars: int = Field(30, ge=1)
    """A later copy of a line in one document is taken out if it is at least this long."""
    keep_removed: bool = False
    """Store the lines that were taken out, with their rules, in ``removed_text``."""
    pii: PersonalDataSettings = Field(default_factory=PersonalDataSettings)
    """What happens to e-mail addresses, IP addresses, telephone numbers and IBANs."""
    pairs: Literal["mend", "pass"] = "mend"
    """What is done with rows that hold their instruction: ``mend`` mends encoding and characters and treats personal
    data as ``pii`` says, in instruction, messages, title and text; their lines, blanks and HTML entities stay, and no
    limit counts for them. ``pass``: nothing."""
    limits: Literal["by_language", "same"] = "by_language"
    """Multiply the limits of words, symbols and n-grams by the language's factors in conf/cleaning/limits.csv, or take
    them for all languages as they are."""
    max_removed_share: float = Field(0.5, ge=0, le=1)
    """Largest share of a document's characters that may be taken out as site furniture."""
    max_repeated_line_share: float = Field(0.3, ge=0, le=1)
    """Largest share of characters in lines that the document had before."""
    max_repeated_ngram_share: float = Field(0.2, ge=0, le=1)
    """Largest share of words in copies of the document's most frequent word 4-gram (characters and 12-gram in scripts
    without blanks between words)."""
    max_symbol_share: float = Field(0.2, ge=0, le=1)
    """Largest share of punctuation and symbol characters."""
    min_mean_word_chars: float = Field(3.0, ge=0)
    """Shortest words on average, in letters, marks and digits; not in scripts without blanks between words."""
    max_mean_word_chars: float = Field(10.0, ge=0)
    """Longest words on average."""
    min_script_share: float = Field(0.5, ge=0, le=1)
    """Smallest share of the letters that must be of the language's script."""
    identify_lines: bool = False
    """Ask the identifier for the language of each line of 60 characters and more too; slower."""
    max_foreign_line_share: float = Field(0.5, ge=0, le=1)
    """Largest share of characters in lines of another language, with ``identify_lines``; lines of another script count
    always."""
    identifier: AnyIdentifier = Field(default_factory=Py3langidSettings)
    """Engine that checks the document's language against the one its source claims."""


def clean(docs: DataFrame, settings: CleanSettings, resources: Resources) -> DataFrame:
    """Clean every document and flag those that break a rule.

    Input columns: DOCUMENTS, rejected_for, detail.
    Output columns: the same with title, text, text_chars cleaned, and CLEAN.
    """
    return docs.transform(with_cleaned_text, settings, resources).transform(flag_all, rules(settings, resources))


def with_cleaned_text(docs: DataFrame, settings: CleanSettings, resources: Resources) -> DataFrame:
    """Replace title and text by the cleaned ones and add the measures of CLEAN."""
    schema = join_columns(docs.schema, CLEAN)
    run = partial(
        _clean_batches,
        settings=settings,
        lists=resources.cleaning,
        identifier=RecipeIdentifier.of(settings.identifier, resources),
        order=schema.fieldNames(),
    )
    return docs.mapInArrow(run, schema)


def rules(settings: CleanSettings, resources: Resources) -> list[Rule]:
    """Return what rejects a cleaned document, in the order in which ``detail`` prefers it.

    Its length, repetition, symbols and words; ``clean.wrong_language`` where the identifier is sure of another one,
    ``clean.wrong_script``, and ``clean.code_switched`` where whole lines are in another language or script.
    """
    factors = limit_factors(settings.limits, resources.cleaning)
    before = F.col("text_chars") + F.col("removed_chars")
    ngrams, symbols = (F.col(name) for name in ("repeated_ngram_share", "symbol_share"))
    words = F.col("mean_word_chars") / factors["word_chars"]
    foreign = F.greatest("foreign_language_line_share", "foreign_script_line_share")
    return [
        _rule(Reason.TOO_SHORT, F.col("text_chars") < settings.min_chars, F.col("text_chars")),
        _rule(Reason.TOO_LONG, F.col("text_chars") > settings.max_chars, F.col("text_chars")),
        _rule(Reason.BOILERPLATE, F.col("removed_chars") > before * settings.max_removed_share, F.col("removed_chars")),
        _rule(
            Reason.REPETITIVE,
            (F.col("repeated_line_share") > settings.max_repeated_line_share)
            | (ngrams > factors["ngrams"] * settings.max_repeated_ngram_share),
            F.round(F.greatest("repeated_line_share", "repeated_ngram_share"), 3),
        ),
        _rule(Reason.SYMBOLS, symbols > factors["symbols"] * settings.max_symbol_share, F.round(symbols, 3)),
        _rule(
            Reason.ODD_WORDS,
            (F.col("text_chars") >= settings.min_chars)
            & ((words < settings.min_mean_word_chars) | (words > settings.max_mean_word_chars)),
            F.round("mean_word_chars", 1),
        ),
        Rule(
            F.col("document_language_outcome") == "mismatch",
            Reason.WRONG_LANGUAGE,
            F.concat(F.lit("looks like "), F.col("document_language_label")),
        ),
        _rule(Reason.WRONG_SCRIPT, F.col("script_share") < settings.min_script_share, F.round("script_share", 3)),
        _rule(Reason.CODE_SWITCHED, foreign > settings.max_foreign_line_share, F.round(foreign, 3)),
    ]


def _rule(reason: Reason, condition: Column, measure: Column) -> Rule:
    return Rule(condition, reason, F.concat(F.lit(reason.meaning + ": "), measure.cast("string")))


def limit_factors(limits: Any, lists: CleaningLists) -> dict[str, Column]:
    """Return what a row's language multiplies English's limits by, for each kind of limit.

    Args:
        limits: the setting of that name.
        lists: with the factors by language.
    """
    known = dict(lists.factors) if limits == "by_language" else {}
    return {
        name: _by_language({code: getattr(each, name) for code, each in known.items()}, getattr(ENGLISH, name))
        for name in ("word_chars", "symbols", "ngrams")
    }


def _by_language(values: Mapping[str, float], default: float) -> Column:
    # One literal: hundreds of columns for the languages would cost more time than a small batch.
    known = F.from_json(F.lit(json.dumps(values)), "map<string,double>")
    return F.coalesce(F.try_element_at(known, F.col("language")), F.lit(default))


def _clean_batches(
    batches: Iterable[pa.RecordBatch],
    settings: CleanSettings,
    lists: CleaningLists,
    identifier: RecipeIdentifier,
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    engine = open_for((STAGE.name, task_devices()), RecipeIdentifier.open, identifier)
    rules = LineRules(compiled(lists.phrases), settings.min_repeated_line_chars, settings.around_body)
    personal = PersonalDataPlan(settings.pii.actions(), lists.phone_words, lists.regions)
    for batch in batches:
        languages = batch.column("language").to_pylist()
        cleaned = [
            kernel.clean(text, language, rules, personal)
            for text, language in zip(batch.column("text").to_pylist(), languages, strict=True)
        ]
        columns = _texts(batch, cleaned, personal) | _removed(cleaned, settings, dict(personal.actions))
        columns |= _measures(cleaned)
        texts = [each.text for each in cleaned]
        found = engine.identify(texts, languages)
        foreign = _foreign_line_shares(texts, languages, engine) if settings.identify_lines else [None] * len(batch)
        columns |= {
            "document_language_label": pa.array((each.label for each in found), pa.string()),
            "document_language_score": pa.array((each.score for each in found), pa.float64()),
            "document_language_expected_score": pa.array((each.expected_score for each in found), pa.float64()),
            "document_language_outcome": pa.array((each.outcome for each in found), pa.string()),
            "document_identifier": pa.array([engine.label] * len(batch), pa.string()),
            "foreign_language_line_share": pa.array(foreign, pa.float64()),
        }
        yield with_columns(batch, columns, order)


def _texts(batch: pa.RecordBatch, cleaned: Sequence[kernel.Cleaned], personal: PersonalDataPlan) -> dict[str, pa.Array]:
    own = [
        kernel.clean_title(title, language, personal)
        for title, language in zip(batch.column("title").to_pylist(), batch.column("language").to_pylist(), strict=True)
    ]
    titles = [title or headline(each.text) for title, each in zip(own, cleaned, strict=True)]
    origins = ["source" if mine else "headline" if title else None for mine, title in zip(own, titles, strict=True)]
    return {
        "title": pa.array(titles, pa.string()),
        "title_from": pa.array(origins, pa.string()),
        "text": pa.array((each.text for each in cleaned), pa.string()),
        "text_chars": pa.array((len(each.text) for each in cleaned), pa.int32()),
    }


def _removed(
    cleaned: Sequence[kernel.Cleaned], settings: CleanSettings, actions: dict[Kind, Action]
) -> dict[str, pa.Array]:
    rules = [[{"rule": it.rule, "lines": it.lines, "chars": it.chars} for it in each.removed] for each in cleaned]
    lines: list[Any] = [None] * len(cleaned)
    if settings.keep_removed:
        lines = [[{"rule": rule, "line": line} for rule, line in each.removed_text] for each in cleaned]
    personal = [_found(each.personal_data, actions) for each in cleaned]
    int32, string = pa.int32(), pa.string()
    by_rule = pa.struct({"rule": string, "lines": int32, "chars": int32})
    by_kind = pa.struct({"kind": string, "count": int32, "is_masked": pa.bool_()})
    return {
        "removed_lines": pa.array((each.removed_lines for each in cleaned), int32),
        "removed_chars": pa.array((each.removed_chars for each in cleaned), int32),
        "removed_by_rule": pa.array(rules, pa.list_(by_rule)),
        "removed_text": pa.array(lines, pa.list_(pa.struct({"rule": string, "line": string}))),
        "mended_lines": pa.array((each.mended_lines for each in cleaned), int32),
        "personal_data": pa.array(personal, pa.list_(by_kind)),
    }


def _found(counts: Mapping[Kind, int], actions: Mapping[Kind, Action]) -> list[dict[str, Any]]:
    """Return the rows of ``personal_data``."""
    return [
        {"kind": kind, "count": count, "is_masked": actions[kind] == "mask"} for kind, count in sorted(counts.items())
    ]


def _measures(cleaned: Sequence[kernel.Cleaned]) -> dict[str, pa.Array]:
    names = ("repeated_ngram_share", "symbol_share", "mean_word_chars", "script_share", "foreign_script_line_share")
    shares = {name: pa.array((getattr(each.measures, name) for each in cleaned), pa.float64()) for name in names}
    return shares | {
        "repeated_line_share": pa.array((each.repeated_line_share for each in cleaned), pa.float64()),
        "han_variant": pa.array((each.measures.han_variant for each in cleaned), pa.string()),
    }


def _foreign_line_shares(texts: Sequence[str], languages: Sequence[str], engine: Identifier) -> list[float | None]:
    """Return the share of each text's characters in lines of other languages, of those long enough to tell."""
    lines = [
        (row, line)
        for row, text in enumerate(texts)
        for line in text.split("\n")
        if len(line) >= _MIN_IDENTIFIED_LINE_CHARS
    ]
    found = engine.identify([line for _, line in lines], [languages[row] for row, _ in lines])
    foreign, judged = [0] * len(texts), [0] * len(texts)
    for (row, line), each in zip(lines, found, strict=True):
        judged[row] += len(line)
        foreign[row] += len(line) if each.outcome == "mismatch" else 0
    return [part / whole if whole else None for part, whole in zip(foreign, judged, strict=True)]


def mend_pairs(pairs: DataFrame, settings: CleanSettings, resources: Resources) -> DataFrame:
    """Mend the characters of instructions, conversations and answers, and treat personal data in them.

    Input columns: DOCUMENTS and CLEAN, rejected_for, detail; rows that hold their instruction.
    Output columns: the same; personal_data and mended_lines tell of all the row's texts, each counted once.
    """
    if settings.pairs == "pass":
        return pairs
    plan = PersonalDataPlan(settings.pii.actions(), resources.cleaning.phone_words, resources.cleaning.regions)
    mended = pairs.mapInArrow(partial(_mend_batches, plan=plan, order=pairs.columns), pairs.schema)
    is_empty = ~(F.col("text").rlike(r"(?U)\S") & F.col("instruction").rlike(r"(?U)\S"))
    note = F.lit("nothing is left of the instruction or the answer without characters that carry no text")
    return flag(mended, is_empty, Reason.TOO_SHORT, note)


def _mend_batches(
    batches: Iterable[pa.RecordBatch], plan: PersonalDataPlan, order: list[str]
) -> Iterator[pa.RecordBatch]:
    names = ("title", "text", "instruction", "language", "instruction_language", "messages")
    for batch in batches:
        rows = list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
        pairs = [_mended_pair(plan, *row) for row in rows]
        columns = {
            name: pa.array([pair[name] for pair in pairs], batch.schema.field(name).type)
            for name in ("title", "text", "instruction", "messages", "mended_lines", "personal_data")
        }
        columns["text_chars"] = pa.array([len(pair["text"]) for pair in pairs], pa.int32())
        yield with_columns(batch, columns, order)


def _mended_pair(
    plan: PersonalDataPlan,
    title: str | None,
    text: str,
    instruction: str,
    language: str,
    instruction_language: str | None,
    messages: list[dict[str, str]] | None,
) -> dict[str, Any]:
    asked_in = instruction_language or language
    # What stands in two columns is told of once; the conversation ends with instruction and answer.
    told: dict[tuple[str, str], kernel.Mended] = {}

    def mend(value: str, code: str) -> str:
        if (value, code) not in told:
            told[value, code] = kernel.mend(value, code, plan)
        return told[value, code].text

    pair: dict[str, Any] = {
        "title": None if title is None else mend(title, asked_in),
        "text": mend(text, language),
        "instruction": mend(instruction, asked_in),
        "messages": messages
        and [
            each | {"content": mend(each["content"], language if each["role"] == "assistant" else asked_in)}
            for each in messages
        ],
        "mended_lines": sum(each.mended_lines for each in told.values()),
    }
    counts = Counter[Kind]()
    for each in told.values():
        counts.update(each.personal_data)
    pair["personal_data"] = _found(counts, dict(plan.actions))
    return pair


STAGE = Stage(
    name="clean",
    settings=CleanSettings,
    adds=CLEAN,
    transform=clean,
    version=3,
    engines=("identifier",),
    labels=("document_identifier",),
    rules=rules,
    of_pairs=no_columns,
    treat_pairs=mend_pairs,
)
