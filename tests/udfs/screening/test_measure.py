from dataclasses import replace

from jobs.runtime.conf import screening_lists
from udfs.screening.lists import ScreeningLists
from udfs.screening.measure import Pair, measure

LISTS = screening_lists()
PAIR = Pair(
    instruction="Descriu la biblioteca del barri.",
    text="La biblioteca obre cada matí a les nou i tanca al vespre. Els veïns hi van a llegir el diari.",
    title="La biblioteca",
    instruction_en="Describe the library of the district.",
    text_en="The library opens each morning at nine and closes at dusk. The neighbours go there to read the paper.",
    title_en="The library",
)


def test_a_good_pair():
    found = measure(PAIR, LISTS)
    assert (found.instruction_form, found.instruction_score, found.instruction_chars) == ("imperative", 1.0, 32)
    assert (found.format_problems, found.asked_task) == ([], None)
    assert (found.refusal_share, found.preamble_share, found.missing_text_share) == (0, 0, 0)
    assert (found.copied_share, found.copied_run_words) == (0, 0)
    assert 0 < found.answer_share < 0.3


def test_either_side_counts():
    copied_src = replace(PAIR, instruction="Els veïns hi van a llegir el diari.")
    copied_en = replace(PAIR, instruction_en="The neighbours go there to read the paper.")
    assert measure(copied_src, LISTS).copied_share == measure(copied_en, LISTS).copied_share == 1
    assert measure(replace(PAIR, instruction="Em sap greu, però no puc."), LISTS).refusal_share == 1
    assert measure(replace(PAIR, instruction_en="I'm sorry, but I can't."), LISTS).refusal_phrase == "i'm sorry, but"
    assert measure(replace(PAIR, instruction="Instrucció: descriu-la."), LISTS).preamble_share > 0


def test_a_question_mark_in_the_pair_s_language_is_enough():
    mangled = replace(PAIR, instruction="On és la biblioteca?", instruction_en="In it is the library")
    assert measure(mangled, LISTS).instruction_form == "question"


def test_a_title_s_rough_english_is_not_judged():
    title = replace(PAIR, instruction="Com fer pa", instruction_en="Like doing bread", is_written_in_english=False)
    assert (measure(title, LISTS).instruction_form, measure(title, LISTS).instruction_score) == (None, None)


def test_without_english_its_rules_say_nothing():
    found = measure(replace(PAIR, instruction_en=None), LISTS)
    assert (found.instruction_form, found.asked_task, found.missing_text_share) == (None, None, None)
    assert found.copied_share == 0


def test_without_lists_there_is_no_score():
    assert measure(PAIR, ScreeningLists()).instruction_score is None
