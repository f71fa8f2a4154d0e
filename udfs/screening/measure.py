"""All rules of form and wording over one pair: what is stored before any limit is applied."""

from __future__ import annotations

from dataclasses import dataclass

from udfs.screening import copying, instructions, phrases
from udfs.screening.forms import FormatProblem, asked_task, format_problems
from udfs.screening.lists import ScreeningLists


@dataclass(frozen=True, slots=True)
class Pair:
    """What the rules see: an instruction and the text it is to ask for, in the text's language and in the pivot."""

    instruction: str
    text: str
    title: str | None
    instruction_en: str | None
    """None where there is none, or the pivot is not English: its rules are left out."""
    text_en: str | None
    title_en: str | None
    is_written_in_english: bool = True
    """Not so for a title that became the instruction: its English one is a machine's rough rendering."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Shares are 0 to 1; see the columns of the same names in ``SCREEN``."""

    instruction_chars: int
    format_problems: list[FormatProblem]
    asked_task: str | None
    instruction_form: str | None
    instruction_score: float | None
    refusal_share: float
    preamble_share: float
    missing_text_share: float | None
    copied_share: float
    copied_run_words: int
    answer_share: float | None
    refusal_phrase: str | None
    preamble_phrase: str | None
    missing_text_phrase: str | None


def measure(pair: Pair, lists: ScreeningLists) -> Measures:
    """Measure one pair. What is looked for on both sides is the larger of the two."""
    english = pair.instruction_en
    sides = [(pair.instruction, pair.text, pair.title)]
    if english is not None and english != pair.instruction:
        sides.append((english, pair.text_en or "", pair.title_en))
    form, score = _form(pair, lists)
    refused = max((phrases.refusal(side, lists.refusals) for side, _, _ in sides), key=_share)
    announced = max((phrases.preamble(side, lists.preambles) for side, _, _ in sides), key=_share)
    missing = phrases.missing_text(english, lists) if english is not None else None
    copied = [copying.copied(*side) for side in sides]
    answered = [share for side, text, _ in sides if (share := copying.answer_share(side, text)) is not None]
    return Measures(
        instruction_chars=len(pair.instruction),
        format_problems=format_problems(pair.instruction),
        asked_task=asked_task(english) if english is not None else None,
        instruction_form=form,
        instruction_score=score,
        refusal_share=refused.share,
        preamble_share=announced.share,
        missing_text_share=missing.share if missing else None,
        copied_share=max(each.share for each in copied),
        copied_run_words=max(each.run_words for each in copied),
        answer_share=max(answered, default=None),
        refusal_phrase=refused.phrase,
        preamble_phrase=announced.phrase,
        missing_text_phrase=missing.phrase if missing else None,
    )


def _form(pair: Pair, lists: ScreeningLists) -> tuple[str | None, float | None]:
    # A question mark survives translation better than word order does.
    if instructions.ends_as_question(pair.instruction):
        return "question", instructions.SCORES["question"]
    if not pair.instruction_en or not pair.is_written_in_english or not lists.words.verbs:
        return None, None
    return instructions.compiled(lists.words).form(pair.instruction_en)


def _share(found: phrases.Found) -> float:
    return found.share
