"""Formats of corpora that hold pairs: from lines and task files to records."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from udfs.languages import LanguageTable
from udfs.pairs.lines import parse_line
from udfs.pairs.oasst import OasstFormat, tree_records
from udfs.pairs.task_files import TaskFormat, parse_task
from udfs.pairs.tasks import FlanFormat, InstructionFormat, Xp3Format
from udfs.pairs.wikihow import Step, WikiHowFormat, render
from udfs.records import MIXED_LANGUAGE, CorpusFile, Piece, to_metadata
from udfs.sampling import document_id, position

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "pairs"
TABLE = LanguageTable.from_csv((ROOT / "conf" / "languages.csv").read_text(encoding="utf-8"))
CODES = TABLE.by_codes("name") | TABLE.by_codes("bcp47") | TABLE.by_codes("wikihow")
WIKIHOW = WikiHowFormat("wikihow", 0, CODES, {"eng_Latn": "How to"})


def oasst(answers="best", max_level=None, states=("ready_for_export",), synthetic=True, review=False):
    return OasstFormat(TABLE, answers, max_level, states, synthetic, review)


def task_format(seed=None, translation=200, other=500, outputs=None, max_file=2**20, max_record=2**16):
    return TaskFormat("ni", seed, translation, other, TABLE.by_codes("name"), outputs or {}, max_file, max_record)


def file_of(name, language=None):
    return CorpusFile(f"file:/{name}", name, name, language)


def parse(form, record, name="a.jsonl", language=None):
    line = record if isinstance(record, bytes) else json.dumps(record).encode()
    file = file_of(name, language)
    return parse_line(Piece(line, len(line), file.uri, 0, 1), file, form)


def lines_of(path):
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()


def problems(records):
    return [(each.reason, each.detail) for each in records if each.reason]


# WikiHow ---------------------------------------------------------------------------------------------------------

ARTICLE = {
    "title": "How to Boil Water",
    "abstract": "Heat it.",
    "steps": [{"title": "Fill the pot.", "text": "With cold water."}, {"title": "Heat it.", "text": "To the boil."}],
    "url": "https://www.wikihow.com/Boil-Water",
}


def test_the_forms_of_an_article():
    steps = [Step("Fill the pot.", "With cold water."), Step(None, "Heat it."), Step("Serve.", None)]
    assert render(None, steps, has_texts=False) == "Fill the pot.\nHeat it.\nServe."
    assert render("So.", steps, has_texts=False) == "So.\n\nFill the pot.\nHeat it.\nServe."
    assert render(None, steps, has_texts=True) == "Fill the pot.\nWith cold water.\n\nHeat it.\n\nServe."
    sections = [Step("A. B.", "Text.", "First"), Step("C.", "More.", "Second")]
    assert render(None, sections, has_texts=False) == "First\nA. B.\n\nSecond\nC."
    assert render(None, sections, has_texts=True) == "First\nA. B.\nText.\n\nSecond\nC.\nMore."


def test_both_draws_are_halves_and_independent_and_hang_on_the_id_alone():
    drawn = Counter()
    for number in range(4_000):
        (row,) = WIKIHOW.parse(json.dumps(ARTICLE | {"id": number}), file_of("a.jsonl"), "")
        drawn[row.text.startswith("Heat it.\n\n"), "To the boil." in row.text] += 1
        assert row.instruction == row.title == "How to Boil Water"
    assert all(900 < drawn[each] < 1_100 for each in ((False, False), (False, True), (True, False), (True, True))), (
        drawn
    )
    moved = parse(WIKIHOW, ARTICLE | {"id": 7}, name="other.jsonl")[0]
    assert moved.text == parse(WIKIHOW, ARTICLE | {"id": 7})[0].text
    key = document_id("wikihow", "7")
    assert moved.text.startswith("Heat it.\n\n") == (position(f"{key}\x1fabstract", 0) < 0.5)


def test_wikilingua_articles_in_eleven_languages():
    rows = [
        row for path in sorted((DATA / "wikihow").iterdir()) for line in lines_of(path) for row in parse(WIKIHOW, line)
    ]
    assert len(rows) == 33  # eleven files of three
    assert not problems(rows)
    assert set(Counter(row.language for row in rows).values()) == {3}
    titles = {row.url: row.instruction for row in rows}
    assert titles["https://www.wikihow.com/Recover-from-a-Disaster"] == "How to Recover from a Disaster"
    assert (
        titles["https://pt.wikihow.com/Amarrar-um-La%C3%A7o-ao-Redor-de-uma-Caixa"]
        == "Amarrar um Laço ao Redor de uma Caixa"
    )


@pytest.mark.parametrize(
    ("change", "reason", "problem"),
    [
        ({"title": None}, "source.unreadable", "title is empty"),
        ({"title": 3}, "source.unreadable", "title is a number, not a string"),
        ({"steps": "one"}, "source.unreadable", "steps is a string, not a list"),
        ({"steps": [{"title": ["x"]}]}, "source.unreadable", "title is a list, not a string"),
        ({"language": "elvish"}, "source.unknown_language", "language is 'elvish'"),
        ({"url": "http://[x"}, "source.unreadable", "url http://[x is no address"),
        ({"url": "https://example.org/a"}, "source.unknown_language", "there is no language, and url is"),
        ({"sections": {"A": {"summary": "a"}}}, "source.unreadable", "there is no field document"),
    ],
)
def test_a_broken_article_says_what_is_wrong(change, reason, problem):
    ((found, detail),) = problems(parse(WIKIHOW, ARTICLE | change))
    assert found == reason
    assert detail.startswith(f"a.jsonl, line 1: {problem}")


def test_the_site_says_the_language():
    for site, language in (
        ("www.wikihow.com.tr", "tur_Latn"),
        ("ko.wikihow.com", "kor_Hang"),
        ("www.wikihow.jp", "jpn_Jpan"),
        ("fa.wikihow.com", "pes_Arab"),  # not among WikiLingua's
    ):
        assert parse(WIKIHOW, ARTICLE | {"url": f"https://{site}/a"})[0].language == language


# Lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"inputs": "a", "targets": "b', "not JSON: Unterminated string"),
        (b'{"inputs": "caf\xe9", "targets": "b"}', "byte 16 is not UTF-8"),
        (b'["a", "b"]', "the line is a list, not an object"),
        (b'{"inputs": "a"}', "there is no field targets"),
        (b'{"inputs": " ", "targets": "b"}', "inputs is empty"),
        (b'{"inputs": "a", "targets": ["b"]}', "targets is a list, not a string"),
        (b'{"inputs": "a", "targets": "\\ud800"}', "targets has half a surrogate pair at character 1"),
    ],
)
def test_a_broken_line_is_rejected_with_its_place_and_text(line, problem):
    (row,) = parse(Xp3Format({}, None), line, language="fra_Latn")
    assert (row.reason, row.language) == ("source.unreadable", "fra_Latn")
    assert row.detail.startswith(f"a.jsonl, line 1: {problem}")
    assert row.text == line.decode("utf-8", "replace")


def test_xp3_with_a_language_field():
    form = Xp3Format({"fra_Latn": "fra_Latn"}, MIXED_LANGUAGE)
    record = {"inputs": "Q", "targets": "R", "language": "fra_Latn", "dataset": "xnli", "config": "fr", "template": "t"}
    (row,) = parse(form, record)
    assert row.metadata == to_metadata({"config": "fr", "template": "t"})
    assert (row.language, row.instruction, row.text, row.subsource) == ("fra_Latn", "Q", "R", "xnli")
    assert row.instruction_language == MIXED_LANGUAGE
    assert problems(parse(form, record | {"language": "xx"})) == [
        ("source.unknown_language", "a.jsonl, line 1: language is 'xx'")
    ]


@pytest.mark.parametrize(
    ("record", "name", "part"),
    [
        ({"task": "anli_r1"}, "flan.jsonl", "main/anli_r1"),
        ({"_task_name": "cot_gsm8k", "_task_source": "CoT"}, "flan.jsonl", "cot/cot_gsm8k"),
        ({"task_source": "Flan2021", "task_name": "x"}, "cot/flan.jsonl", "main/x"),
        ({}, "cot_zsopt/train.jsonl", "cot"),
        ({}, "scott/train.jsonl", "main"),
        ({"dataset": "cot"}, "tulu.jsonl", "cot"),
        ({"dataset": "flan_v2"}, "tulu.jsonl", "main"),
    ],
)
def test_the_part_of_flan(record, name, part):
    (row,) = parse(FlanFormat("{rationale} {target}"), {"inputs": "a", "targets": "b"} | record, name)
    assert row.subsource == part
    said = {key.lstrip("_"): value for key, value in record.items() if key.endswith(("source", "dataset"))}
    assert row.metadata == to_metadata(said)


def test_tulus_messages_end_with_the_last_answer():
    messages = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]
    said = [{"role": role, "content": content} for role, content in messages]
    form = FlanFormat("{rationale} {target}")
    (row,) = parse(form, {"dataset": "flan_v2", "id": "flan_v2_1", "messages": said})
    assert (row.corpus_key, row.instruction, row.text) == ("flan_v2_1", "c", "d")
    assert json.loads(row.messages) == said[:5]
    wrong = {"id": "x", "messages": [{"role": "user", "content": "a"}]}
    assert problems(parse(form, wrong))[0][1].endswith("messages hold no answer to a user")
    wrong["messages"].append({"role": "bot", "content": "b"})
    assert "message 2 has the role 'bot'" in problems(parse(form, wrong))[0][1]


def test_flans_chains_of_thought():
    form = FlanFormat("{rationale}\nThe answer is {target}.")
    (row,) = parse(form, lines_of(DATA / "flan_v2_cot" / "gsm8k_train.tsv")[1], "gsm8k_train.tsv")
    assert row.instruction.startswith("Weng earns $12 an hour for babysitting.")
    assert row.text.endswith("she earned 0.2 x 50 = $10.\nThe answer is 10.")
    (row,) = parse(form, lines_of(DATA / "flan_v2_cot" / "creak_train.tsv")[0], "creak_train.tsv.gz")
    assert row.instruction.endswith("\nOptions:\n- yes\n- no"), "\\n stands for a line break"
    assert "2 fields between tabs" in problems(parse(form, b"question\tanswer", "a.tsv"))[0][1]


def test_dolly_and_others_by_their_fields():
    dolly = {role: role for role in ("instruction", "context", "response")} | {"subsource": "category"}
    record = {"instruction": "When?", "context": "In 1999.", "response": "1999", "category": "closed_qa"}
    (row,) = parse(InstructionFormat(dolly, {}), record, language="eng_Latn")
    assert (row.instruction, row.text, row.subsource) == ("When?\n\nIn 1999.", "1999", "closed_qa")
    (row,) = parse(InstructionFormat(dolly, {}), record | {"context": ""}, language="eng_Latn")
    assert row.instruction == "When?"
    p3 = InstructionFormat({"instruction": "prompt", "response": "completion"}, {})
    assert len([parse(p3, line) for line in lines_of(DATA / "p3" / "p3_t0_prompted.jsonl.gz")]) == 96


# OpenAssistant --------------------------------------------------------------------------------------------------


def message(name, role, text, *replies, **more):
    given = {"message_id": name, "role": role, "text": text, "lang": "es", "deleted": False, "review_result": True}
    return given | more | {"replies": list(replies)}


def tree(*replies, **more):
    return {
        "message_tree_id": "a",
        "tree_state": "ready_for_export",
        "prompt": message("a", "prompter", "A", *replies),
    } | more


TREE = tree(
    message("b", "assistant", "B", message("d", "prompter", "D", message("e", "assistant", "E", lang="pt-BR")), rank=1),
    message("c", "assistant", "C", rank=0),
    message("f", "assistant", "F", message("g", "prompter", "G", message("h", "assistant", "H")), deleted=True),
    message("i", "assistant", "I", review_result=False),
)  # fmt: skip


def names(form, record=TREE):
    return [row.corpus_key for row in parse(form, record) if not row.reason]


def test_pairs_of_a_tree():
    assert names(oasst()) == ["e", "c"]
    assert names(oasst("all")) == ["b", "e", "c"]
    assert names(oasst("all", max_level=1)) == ["b", "c"]
    assert names(oasst(states=("other",))) == []
    assert names(oasst(), TREE | {"tree_state": "aborted_low_grade"}) == []
    assert names(oasst(), TREE["prompt"]) == ["e", "c"], "the first message may be the line itself"
    first, best = parse(oasst(), TREE)
    assert (first.instruction, first.text, first.language, first.instruction_language) == (
        "D",
        "E",
        "por_Latn",
        "spa_Latn",
    )
    assert [(each["role"], each["content"]) for each in json.loads(first.messages)] == [
        ("user", "A"), ("assistant", "B"), ("user", "D"), ("assistant", "E"),
    ]  # fmt: skip
    assert (best.instruction, best.text, best.instruction_language) == ("A", "C", None)


def test_messages_that_people_did_not_keep():
    judged = tree(message("b", "assistant", "B", review_result=None), message("c", "assistant", "C", synthetic=True))
    assert names(oasst("all"), judged) == ["b", "c"]
    assert names(oasst("all", review=True), judged) == ["c"]
    assert names(oasst("all", synthetic=False), judged) == ["b"]
    assert names(oasst(), TREE | {"prompt": TREE["prompt"] | {"deleted": True}}) == []


def test_a_broken_message_costs_itself_and_what_follows_it():
    record = tree(
        message("b", "prompter", "B"),
        message("c", "assistant", "C"),
        message("d", "assistant", ["D"]),
        message("e", "assistant", "E", lang="xx"),
        "no message",
        message(["f"], "assistant", "F"),
    )
    rows = parse(oasst("all"), record)
    assert [row.corpus_key for row in rows if not row.reason] == ["c"]
    assert problems(rows) == [
        (
            "source.unreadable",
            "a.jsonl, line 1, message b: role is 'prompter' where it should be 'assistant', at level 2",
        ),
        ("source.unreadable", "a.jsonl, line 1, message d: text is a list, not a string"),
        ("source.unknown_language", "a.jsonl, line 1, message e: lang is 'xx'"),
        ("source.unreadable", "a.jsonl, line 1: a message of level 2 is a string, not an object"),
        ("source.unreadable", "a.jsonl, line 1, message ['f']: message_id is a list, not a string"),
    ]


def test_counts_of_the_real_trees():
    lines = lines_of(DATA / "oasst" / "oasst_en.trees.jsonl.gz")
    # Counted by hand, without walking trees: the answers, and the messages that they answer.
    answered = [
        re.search(r'"parent_id": "([^"]+)"', part)[1]
        for line in lines
        for part in line.decode().split('{"message_id": ')
        if '"role": "assistant"' in part
    ]
    assert (len(answered), len(set(answered))) == (402, 152)
    assert sum(len(parse(oasst("all"), line)) for line in lines) == 402
    assert sum(len(parse(oasst(), line)) for line in lines) == 152
    assert sum(len(parse(oasst(max_level=1), line)) for line in lines) == len(lines) == 60


def test_flat_messages_give_the_pairs_of_their_tree():
    def flat(each, parent=None):
        yield {key: value for key, value in each.items() if key != "replies"} | {
            "parent_id": parent, "message_tree_id": "a", "tree_state": "ready_for_export",
        }  # fmt: skip
        for reply in each["replies"]:
            yield from flat(reply, each["message_id"])

    file = file_of("a.jsonl")
    common = {"is_message": True, "file_path": file.uri, "file_block_start": 0}
    lines = [
        common | {"value": value, "piece_bytes": len(value), "number": number}
        for number, each in enumerate(flat(TREE["prompt"]))
        for value in [json.dumps(each).encode()]
    ]
    expected = [(row.corpus_key, row.instruction, row.text, row.messages) for row in parse(oasst("all"), TREE)]
    for order in (lines, lines[::-1]):
        found = tree_records(order, {file.uri: file}, oasst("all"))
        assert sorted((row.corpus_key, row.instruction, row.text, row.messages) for row in found) == sorted(expected)
    orphans = list(tree_records(lines[1:], {file.uri: file}, oasst("all")))
    assert [row.reason for row in orphans] == ["source.unreadable"] * 4, "those whose parent is the missing first one"
    assert orphans[0].detail == "a.jsonl, line 1, message b: parent_id 'a' is no message of its tree"


# Super-NaturalInstructions ------------------------------------------------------------------------------------


def task(*instances, **fields):
    given = {
        "Definition": ["Name the currency."],
        "Categories": ["Misc."],
        "Input_language": ["English"],
        "Output_language": ["Spanish"],
        "Instruction_language": ["English"],
        "Instances": list(instances),
    }
    return json.dumps({key: value for key, value in (given | fields).items() if value is not None}, indent=1).encode()


def instances(count):
    return [
        {"id": f"t-{number}", "input": f"in {number}", "output": [f"out {number}", "other"]} for number in range(count)
    ]


def tasks(content, name="task1_x.json", **more):
    return list(parse_task(content, file_of(name), task_format(**more)))


def test_an_instance_is_a_pair():
    (row,) = tasks(task(*instances(1), **{"Instance License": ["CC BY 4.0"]}))
    assert (row.instruction, row.text) == ("Name the currency.\n\nin 0", "out 0")
    assert (row.language, row.instruction_language) == ("spa_Latn", "eng_Latn")
    assert (row.corpus_key, row.subsource, row.license) == ("task1_x:t-0", "task1_x", "CC BY 4.0")
    assert row.metadata == to_metadata({"categories": ["Misc."]})
    (mixed,) = tasks(task(*instances(1), Input_language=["Spanish"]))
    assert mixed.instruction_language == MIXED_LANGUAGE
    (several,) = tasks(task(*instances(1), Output_language=["Spanish", "French"]))
    assert several.reason == "source.unknown_language"
    assert several.detail.startswith("task1_x.json, instance 1: Output_language is Spanish, French")
    (told,) = tasks(task(*instances(1), Output_language=None), outputs={"task1_x": "fra_Latn"})
    assert told.language == "fra_Latn"


def test_counts_of_the_real_tasks():
    counts = {
        path.name: Counter(row.reason for row in tasks(path.read_bytes(), path.name))
        for path in sorted((DATA / "natural_instructions").iterdir())
    }
    # The lists hold 60 instances each, and six of an old task that does not tell its languages.
    assert counts == {
        "fin-translated-task1147_country_currency.json": {None: 60},
        "task1147_country_currency.json": {None: 60},
        "task446_opus_paracrawl_en_so_translation.json": {"source.unknown_language": 6},
        "task857_inquisitive_question_generation.json": {None: 60},
    }
    name = "task446_opus_paracrawl_en_so_translation"
    content = (DATA / "natural_instructions" / f"{name}.json").read_bytes()
    rows = tasks(content, f"{name}.json", outputs={name: "som_Latn"})
    assert len({row.corpus_key for row in rows}) == 6, "old instances have no id"
    assert rows[0].instruction.startswith("Given a sentence in English language, translate")


def test_a_sample_is_drawn_by_the_hash_of_the_id():
    every = tasks(task(*instances(700)))
    assert len(every) == 700, "without a seed the whole task is read"
    first = sorted(every, key=lambda row: position(document_id("ni", row.corpus_key), 3))
    for categories, number in ((["Misc."], 500), (["Question Answering", "Translation"], 200)):
        for listed in (instances(700), instances(700)[::-1]):
            rows = tasks(task(*listed, Categories=categories), seed=3)
            assert [row.corpus_key for row in rows] == [row.corpus_key for row in first[:number]]


@pytest.mark.parametrize("order", ["Instances first", "Instances last"])
def test_a_broken_instance_costs_itself(order):
    good = json.dumps(instances(1)[0])
    bad = [
        '{"id": "x", "input": "a", "output": ["b"',
        '{"id": "y", "input": 3, "output": ["b"]}',
        '{"id": "z", "input": "a"}',
    ]
    listed = f"[{good}, {', '.join(bad)}, {good.replace('t-0', 't-1')}]"
    listed = listed.replace(', {"id": "y"', '}, {"id": "y"')  # the first is closed and still broken
    parts = ['"Definition": "D"', '"Output_language": ["English"]', f'"Instances": {listed}']
    content = "{" + ", ".join(parts if order == "Instances last" else parts[::-1]) + "}"
    rows = tasks(content.encode())
    assert [row.corpus_key for row in rows if not row.reason] == ["task1_x:t-0", "task1_x:t-1"]
    first, *others = [detail for _, detail in problems(rows)]
    assert first.startswith("task1_x.json, instance 2: not JSON: ")
    assert others == [
        "task1_x.json, instance 3: input is a number, not a string",
        "task1_x.json, instance 4: output is empty",
    ]


def test_a_task_that_is_cut_off_keeps_what_can_be_read():
    content = task(*instances(50))
    rows = tasks(content[: len(content) // 2])
    assert 20 < sum(row.reason is None for row in rows) < 30
    assert [detail.split(":")[0] for _, detail in problems(rows)] == [
        f"task1_x.json, instance {len(rows) - 1}", "task1_x.json, end",
    ]  # fmt: skip
    packed = gzip.compress(content, mtime=0)
    assert len(tasks(packed, "task1_x.json.gz")) == 50
    rows = tasks(packed[:-20], "task1_x.json.gz")
    assert any(row.reason is None for row in rows)
    assert problems(rows)[-1][1].startswith("task1_x.json.gz, end: the gzip file is cut off")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"[1, 2]", "the file is no JSON object"),
        (b'{"Definition": "D"}', "no list Instances"),
        (b'{"Instances": []}', "there is no Definition"),
        (b'{"Definition": [7], "Instances": []}', "Definition holds a number, not a string"),
        (b'\xff\xfe{"Definition": "D"}', "byte 1 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_task(content, problem):
    assert problems(tasks(content)) == [("source.unreadable", f"task1_x.json: {problem}")]


def test_a_long_instance_is_rejected_with_its_beginning():
    long = {"id": "long", "input": "x" * 100_000, "output": ["y"]}
    rows = tasks(task(instances(1)[0], long, instances(2)[1]))
    assert [row.corpus_key for row in rows if not row.reason] == ["task1_x:t-0", "task1_x:t-1"]
    (row,) = [row for row in rows if row.reason]
    assert len(row.text) == 1_000
    assert row.reason == "source.too_large"
    assert "instance 2: 100,066 characters, more than max_record_bytes" in row.detail
    packed = gzip.compress(task(long) + b" " * 2**21)
    assert problems(tasks(packed, "a.json.gz"))[-1][1].endswith("the file is larger than max_file_bytes")
