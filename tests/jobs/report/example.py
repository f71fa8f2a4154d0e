"""A report's data without Spark: several scripts, texts that would break a careless page, and gaps."""

from __future__ import annotations

from typing import Any

from jobs.report.data import (
    Bins,
    Effort,
    Histogram,
    PairCell,
    Pairs,
    ReportData,
    Sample,
    Score,
    Table,
    VerbNouns,
)
from jobs.runtime.conf import language_table
from jobs.runtime.thresholds import THRESHOLDS

HOSTILE = "</title><script>alert('title')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"
TEXTS = {
    "arb_Arab": "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها. Cairo (2020).",
    "heb_Hebr": "Tel Aviv היא עיר בישראל, השוכנת לחוף הים התיכון.",
    "hin_Deva": "दिल्ली भारत की राजधानी है और एक महानगर है।",
    "tha_Thai": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "jpn_Jpan": "東京は日本の首都であり、世界最大の都市圏の一つである。",
    "amh_Ethi": "አዲስ አበባ የኢትዮጵያ ዋና ከተማ ናት።",
    "kat_Geor": "თბილისი საქართველოს დედაქალაქია.",
    "cat_Latn": "Barcelona és una ciutat i metròpoli a la costa mediterrània.",
    "xxx_Test": HOSTILE,
}


def cell(came: int, alive: int, reasons: dict[str, int]) -> dict[str, Any]:
    return {"rows_in": came, "alive": alive, "rejected": came - alive, "characters": came * 900, "reasons": reasons}


def stage(name: str, languages: dict[str, dict[str, Any]], seconds: float) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for each in languages.values():
        for code, count in each["reasons"].items():
            reasons[code] = reasons.get(code, 0) + count
    totals = {key: sum(each[key] for each in languages.values()) for key in ("rows_in", "alive", "rejected")}
    return {"stage": name, **totals, "seconds": seconds, "reasons": reasons, "engines": [], "languages": languages}


def example() -> ReportData:
    """A lake of nine languages, one of which the language table does not know."""
    documents = {code: cell(400 - 20 * place, 400 - 20 * place, {}) for place, code in enumerate(TEXTS)}
    clean = {
        code: cell(each["alive"], each["alive"] - 9, {"clean.too_short": 6, "clean.wrong_language": 3})
        for code, each in documents.items()
    }
    pairs = Pairs(
        cells=[
            PairCell(source, code, split, count, count * 80, count * 900)
            for code in TEXTS
            for source in ("wikipedia", HOSTILE)
            for split, count in (("train", 90), ("validation", 5), ("test", 5))
        ],
        lengths={
            "instruction": Histogram(Bins(1, 100_000, 30, "log"), [0] * 8 + [30, 200, 700, 600, 270] + [0] * 17),
            "output": Histogram(Bins(1, 1_000_000, 36, "log"), [0] * 14 + [100, 600, 800, 250, 50] + [0] * 17),
        },
        licenses={"CC-BY-SA-4.0": 1_500, HOSTILE: 300},
        generators={"template-v1": 1_000, "openai": 800},
    )
    limits = {"max_hate_score": 0.5, "min_chars": 200.0}
    scores = [
        Score("clean", "text_chars", each.meaning, each, limits.get(each.setting),
              Histogram(Bins(1, 1_000_000, 36, "log"), [0] * 12 + [50, 80, 400, 700, 150] + [0] * 19), 1_250, 0)
        for each in THRESHOLDS if each.setting == "min_chars"
    ]  # fmt: skip
    scores += [
        Score("screen", each.score, each.meaning, each, limits.get(each.setting),
              Histogram(Bins(0, 1, 20), [900, 300, 60, 9, 3, 1, 0, 0, 0, 0, 4, 2] + [0] * 8), 1_273, 12)
        for each in THRESHOLDS if each.setting in ("max_hate_score", "max_copied_word_share")
    ]  # fmt: skip
    return ReportData(
        lake="/data/a lake/" + "long-name-" * 12,
        recipe=HOSTILE,
        made_at="2026-01-02 03:04 UTC",
        seed=0,
        languages=language_table(),
        funnel=[stage("documents", documents, 3.0), stage("clean", clean, 12.5)],
        pairs=pairs,
        verb_nouns=[
            VerbNouns("rules", 1_800, 1_800, 1_200, 310,
                      [("write", 700, [("story", 300), ("list", 90)]), ("explain", 500, [("process", 40)])])
        ],
        clusters={"dedup": "Table dedup was made by another version of Backprompt"},
        scores=scores,
        efforts=[
            Effort("clean", 2_880, 3_000_000, 12.5, None, None),
            Effort("instruct", 2_700, 2_900_000, 250.0, 900_000, 60_000, cost=1.25),
        ],
        planned=[
            Table("Planned against actual", ("stage", "measure", "planned"), [("clean", "documents", "3,000")],
                  is_text=frozenset({0, 1}))
        ],
        pair_samples=[
            Sample(
                code, code,
                [("instruction", text[:40], code, False), ("in English", "Write about it.", "eng_Latn", False),
                 ("output", text * 4, code, True)],
                [("source", HOSTILE), ("url", "https://example.org/" + "very-long-" * 30), ("hate_score", "0.012")],
            )
            for code, text in TEXTS.items()
        ],
        rejection_samples=[
            Sample("clean.too_short", code, [("title", HOSTILE, code, False), ("text", text, code, False)],
                   [("detail", "fewer characters: 30")])
            for code, text in TEXTS.items()
        ],
        parameters=[
            Table("Settings of clean", ("setting", "value"), [("min_chars", "200"), ("source", HOSTILE)],
                  is_text=frozenset({0, 1}))
        ],
    )  # fmt: skip
