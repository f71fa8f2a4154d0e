"""What is copied, on real documents in many scripts and on real pairs that people wrote."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stages.screen import ScreenSettings
from udfs.screening.copying import RUN_WORDS, answer_share, copied, copied_word_share

DATA = Path(__file__).parents[2] / "data"
SETTINGS = ScreenSettings()
REPORT = (
    "The town council voted on Tuesday to close the riverside road to cars from May to September. Shop owners had "
    "warned that customers would stay away, while the cycling association welcomed the decision."
)


def is_refused(found):
    return found.share > SETTINGS.max_copied_share or found.run_words > SETTINGS.max_copied_run_words


@pytest.mark.parametrize(
    ("instruction", "share", "run"),
    [
        ("The town council voted on Tuesday to close the riverside road to cars.", 1.0, 12),
        ("Explain: Shop owners had warned that customers would stay away.", 9 / 10, 9),
        ("What did the town council decide about the riverside road?", 0.0, 0),
        ("Close the road to cars", 0.0, 0),
        ('Write about "The town council voted on Tuesday to close the riverside road".', 0.0, 0),
        ("", 0.0, 0),
    ],
)
def test_copied(instruction, share, run):
    assert copied(instruction, REPORT) == (pytest.approx(share), run)


def test_titles_and_names_are_no_copies():
    document = "The United Nations Framework Convention on Climate Change was signed in Rio de Janeiro in 1992."
    instruction = "Describe the United Nations Framework Convention on Climate Change."
    assert not is_refused(copied(instruction, document))
    title = "a brief history of the small town by the sea"
    text = f"{title.capitalize()} is a book."
    assert copied(f"Describe {title} now in a few words.", text).run_words == 10
    assert copied(f"Describe {title} now in a few words.", text, title).run_words == 0


@pytest.mark.parametrize("language", sorted(file.stem for file in (DATA / "golden" / "wikipedia").glob("*.txt")))
def test_a_sentence_of_the_document_is_copied_in_any_script(language):
    document = (DATA / "golden" / "wikipedia" / f"{language}.txt").read_text(encoding="utf-8")
    line = max(document.split("\n"), key=len)
    sentence = " ".join(line.split()[3:40])
    assert is_refused(copied(sentence, document))
    backwards = " ".join(reversed(sentence.split()))
    assert not is_refused(copied(backwards, document))


def test_scripts_without_blanks():
    document = "图书馆每天早上九点开门，邻居们来看报纸，学生们来做作业，冬天的时候小房间里坐满了人。"
    assert copied("邻居们来看报纸，学生们来做作业，冬天的时候小房间里坐满了人", document).share == 1
    assert copied("请介绍一下这座城市的图书馆开放时间以及来访的读者情况", document).share == 0
    assert copied("邻居们来看报纸，学生们来做作业", document) == (0, 0), "14 characters are no five words"
    assert copied("邻居们来看报纸，学生们来做作业，冬", document) == (1, 5)
    assert answer_share("他说不，对吗？", "不对") is None
    answer = "邻居们来看报纸，学生们来做作业"
    assert answer_share("邻居们来看报纸，学生们来做作业？", answer) == 1
    assert answer_share("为什么邻居们来看报纸？", answer) == pytest.approx(6 / 14, abs=0.1)
    assert answer_share("业作做来们生学，纸报看来们居邻", answer) == 0


def test_real_pairs_of_people_are_not_refused():
    """First messages and answers of Open Assistant: only messages that hold their own text are near their answer."""
    with gzip.open(DATA / "pairs" / "oasst" / "oasst_en.trees.jsonl.gz", "rt", encoding="utf-8") as file:
        trees = [json.loads(line) for line in file]
    prompts = [tree.get("prompt", tree) for tree in trees]
    pairs = [(prompt["text"], reply["text"]) for prompt in prompts for reply in prompt["replies"]]
    assert len(pairs) > 100
    refused = {asked for asked, answer in pairs if is_refused(copied(asked, answer))}
    given_away = {asked for asked, answer in pairs if (answer_share(asked, answer) or 0) > SETTINGS.max_answer_share}
    assert len(refused) <= 1
    assert all("assage" in asked or "aragraph" in asked or "\n" in asked for asked in given_away), given_away
    # The question said again at the beginning of its answer is common, and below the limit.
    assert max(copied(asked, answer).share for asked, answer in pairs) > 0.5


@pytest.mark.parametrize(
    ("instruction", "output", "share"),
    [
        ("The shamisen is a Japanese instrument with three strings.", "The shamisen is a Japanese instrument.", 1.0),
        ("What is a shamisen?", "The shamisen is a Japanese instrument with three strings.", 1 / 6),
        ("Is it Paris or Rome?", "Paris", None),
        ("", "The shamisen is a Japanese instrument with three strings.", 0.0),
        ("Say yes.", "", None),
        ("Why 1, 2, 3, 5, 7?", "1 2 3 5 7", 1.0),
    ],
)
def test_answer_share(instruction, output, share):
    assert answer_share(instruction, output) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("english", "other", "share"),
    [
        ("Describe the burrow where wombats sleep", "Describe the burrow where wombats sleep", 1.0),
        ("Describe the burrow where wombats sleep", "Descriu el cau on dormen els wombats", 1 / 4),
        ("Describe the text", "Descriu el text", 0.0),
        ("Write a biography", "Escriviu una biografia", 0.0),
        ('Write a text with the title "the long night"', 'Escriu un text amb el títol "the long night"', 1 / 3),
        ("Who is X?", "Qui és X?", 0.0),
    ],
)
def test_copied_word_share(english, other, share):
    assert copied_word_share(english, other) == pytest.approx(share)


@given(st.text(max_size=80), st.text(max_size=200), st.one_of(st.none(), st.text(max_size=20)))
def test_shares_are_shares(instruction, document, title):
    found = copied(instruction, document, title)
    assert 0 <= found.share <= 1
    assert (found.share > 0) == (found.run_words >= RUN_WORDS)
    assert 0 <= (answer_share(instruction, document) or 0) <= 1


WORDS = st.lists(st.text(alphabet="abcdefgh", min_size=4, max_size=6), min_size=RUN_WORDS, max_size=30)


@given(WORDS, WORDS, WORDS)
def test_a_copy_is_found_wherever_it_stands(before, words, after):
    document = " ".join([*before, *words, *after])
    assert copied(" ".join(words), document) == (1.0, len(words))
    share = answer_share(document, " ".join(words))
    assert share in (None, 1.0)
