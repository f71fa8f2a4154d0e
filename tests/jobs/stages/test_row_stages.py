"""The stages over rows, on a real Spark: what they add, what they reject, and that no row is lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.runtime.conf import cleaning_lists, language_table, screening_lists, word_lists
from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, INSTRUCT, TRANSLATE, record
from jobs.stages import STAGES
from jobs.stages.back_translate import BackTranslateSettings, back_translate
from jobs.stages.base import Resources, pass_pairs
from jobs.stages.clean import CleanSettings, clean
from jobs.stages.instruct import InstructSettings, instruct
from jobs.stages.screen import ScreenSettings, screen
from jobs.stages.translate import TranslateSettings, translate
from tests.builders import documents

CATALAN = (
    "La biblioteca obre cada matí a les nou i tanca al vespre. Els veïns hi van a llegir el diari, a estudiar o a "
    "fer els deures. A l'hivern la sala petita és plena de gent que busca un lloc calent i tranquil per treballar."
)
SPANISH = (
    "La biblioteca abre cada mañana a las nueve y cierra al anochecer. Los vecinos van a leer el periódico, a "
    "estudiar o a hacer los deberes. En invierno la sala pequeña está llena de gente que busca un lugar caliente."
)


@pytest.fixture(scope="module")
def resources():
    return Resources(
        languages=language_table(),
        pivot="eng_Latn",
        seed=1,
        candidates=("cat_Latn", "eng_Latn", "spa_Latn"),
        word_lists=word_lists(),
        cleaning=cleaning_lists(),
        screening=screening_lists(),
        prompts={"reverse_instruction": "Answer: {{text}}\nInstruction:"},
    )


def test_pairs_are_mended_and_masked_and_keep_their_layout(spark, resources):
    said = [
        ("user", "Who?\x00"),
        ("assistant", "Ask  ana@example.org"),
        ("user", "And\n\n\n81.2.69.142?"),
        ("assistant", "Caf\u00c3\u00a9"),
    ]
    rows = [
        {"url": "talk", "messages": [{"role": role, "content": content} for role, content in said],
         "instruction": said[2][1], "text": said[3][1], "instruction_language": "eng_Latn"},
        {"url": "plain", "instruction": "Write to ana@example.org", "text": "    ok & ana@example.org\n",
         "title": "A\u0301"},
        {"url": "nothing", "instruction": "Draw an icon", "text": "\ue000"},
    ]  # fmt: skip
    docs = pass_pairs(documents(spark, rows), STAGES["clean"], CleanSettings(), resources)
    found = by_url(docs)

    assert set(docs.columns) == set(record([CLEAN]).fieldNames())
    talk = found["talk"]
    contents = [message["content"] for message in talk["messages"]]
    assert contents == ["Who?", "Ask  [email]", "And\n\n\n[ip]?", "Café"]
    assert (talk["instruction"], talk["text"], talk["text_chars"], talk["mended_lines"]) == (*contents[2:], 4, 1)
    assert {each["kind"]: each["count"] for each in talk["personal_data"]} == {"email": 1, "ip": 1}
    plain = found["plain"]
    assert (plain["instruction"], plain["text"], plain["title"]) == ("Write to [email]", "    ok & [email]\n", "Á")
    assert [(each["count"], each["is_masked"]) for each in plain["personal_data"]] == [(2, True)]
    assert {url: row["rejected_for"] for url, row in found.items()} == {
        "talk": [],
        "plain": [],
        "nothing": ["clean.too_short"],
    }
    flagged = CleanSettings(pii={"email": "flag"}, pairs="mend")
    row = by_url(pass_pairs(documents(spark, rows[1:2]), STAGES["clean"], flagged, resources))["plain"]
    assert (row["text"], row["personal_data"][0]["count"]) == (rows[1]["text"], 2)
    untouched = by_url(pass_pairs(documents(spark, rows[1:2]), STAGES["clean"], CleanSettings(pairs="pass"), resources))
    assert (untouched["plain"]["text"], untouched["plain"]["personal_data"]) == (rows[1]["text"], None)


def by_url(frame):
    return {row["url"]: row for row in frame.collect()}


def test_clean_cleans_measures_and_rejects(spark, resources):
    rows = [
        {"url": "good", "text": "  Un títol prou clar\r\n" + CATALAN + "\nTots els drets reservats."},
        {"url": "titled", "text": CATALAN, "title": " La  biblioteca\u00ad "},
        {"url": "short", "text": "Massa curt."},
        {"url": "long", "text": CATALAN * 10},
        {"url": "repetitive", "text": "compra ara barat avui " * 40},
        {"url": "symbols", "text": CATALAN + "{}[]|<>#" * 20},
        {"url": "spanish", "text": SPANISH},
        {"url": "empty", "text": ""},
    ]
    cleaned = by_url(clean(documents(spark, rows), CleanSettings(min_chars=60, max_chars=1500), resources))
    assert {url: row["rejected_for"] for url, row in cleaned.items()} == {
        "good": [],
        "titled": [],
        "short": ["clean.too_short"],
        "long": ["clean.too_long"],
        "repetitive": ["clean.repetitive"],
        "symbols": ["clean.symbols"],
        "spanish": ["clean.wrong_language"],
        "empty": ["clean.too_short"],
    }
    good = cleaned["good"]
    assert good["text"] == "Un títol prou clar\n" + CATALAN
    assert good["text_chars"] == len(good["text"])
    assert (good["title"], good["title_from"], good["removed_lines"]) == ("Un títol prou clar", "headline", 1)
    assert (cleaned["titled"]["title"], cleaned["titled"]["title_from"]) == ("La biblioteca", "source")
    assert cleaned["spanish"]["document_language_label"] == "es"
    assert cleaned["spanish"]["detail"] == "looks like es"
    assert cleaned["short"]["detail"].endswith(": 11")


def test_what_cleaning_found_is_stored(spark, resources):
    body = CATALAN + "\nEscriviu a anna@example.org abans de venir.\nTruqueu al +34 932 123 456 si feu tard."
    page = f"Menú\n{body}\nComparteix a Facebook\nTots els drets reservats."
    rows = [
        {"url": "page", "text": page, "title": "MÃ©s llibres"},
        {"url": "russian", "text": "Библиотека открывается каждое утро в девять часов. " * 5 + "\n" + CATALAN[:60]},
        {"url": "chinese", "language": "zho_Hans", "text": "图书馆每天早上九点开门，邻居们来看报纸。" * 9},
        {"url": "null", "text": ""},
    ]
    docs = documents(spark, rows)
    settings = CleanSettings(min_chars=60, keep_removed=True, identify_lines=True)
    kept = by_url(clean(docs, settings, resources))
    row = kept["page"]
    assert row["text"] == body.replace("anna@example.org", "[email]")
    assert row["title"] == "Més llibres"
    assert [tuple(each) for each in row["removed_by_rule"]] == [
        ("footer", 1, len("Tots els drets reservats.")),
        ("navigation", 1, len("Menú")),
        ("share", 1, len("Comparteix a Facebook")),
    ]
    assert [tuple(each) for each in row["removed_text"]] == [
        ("navigation", "Menú"),
        ("share", "Comparteix a Facebook"),
        ("footer", "Tots els drets reservats."),
    ]
    assert [tuple(each) for each in row["personal_data"]] == [("email", 1, True), ("phone", 1, False)]
    assert row["script_share"] == 1
    assert row["foreign_language_line_share"] == 0
    assert {"clean.wrong_script", "clean.code_switched"} <= set(kept["russian"]["rejected_for"])
    assert kept["russian"]["foreign_script_line_share"] > 0.5
    assert (kept["chinese"]["han_variant"], kept["chinese"]["mean_word_chars"]) == ("Hans", None)
    assert "clean.repetitive" in kept["chinese"]["rejected_for"]
    assert kept["null"]["removed_by_rule"] == []
    plain = by_url(clean(docs, CleanSettings(min_chars=60, pii={"email": "ignore"}), resources))
    assert (plain["page"]["removed_text"], plain["page"]["foreign_language_line_share"]) == (None, None)
    assert [each["kind"] for each in plain["page"]["personal_data"]] == ["phone"]


def test_translate_keeps_order_and_rejects_what_it_does_not_cover(spark, resources):
    rows = [
        {"url": "cat", "language": "cat_Latn", "title": "La biblioteca", "text": "La casa és gran.\n\nEl gat dorm."},
        {"url": "spa", "language": "spa_Latn", "text": "La casa es grande."},
        {"url": "eng", "language": "eng_Latn", "title": "A house", "text": "The house is big."},
        {"url": "yor", "language": "yor_Latn", "text": "Ilé náà tóbi."},
        {"url": "blank", "language": "cat_Latn", "text": " "},
    ] * 3
    docs = documents(spark, [{**row, "url": f"{row['url']}{place}"} for place, row in enumerate(rows)], CLEAN)
    done = by_url(translate(docs.repartition(3), TranslateSettings(), resources))
    assert len(done) == len(rows)
    for place in range(3):
        at = {
            name: done[f"{name}{place * 5 + offset}"]
            for offset, name in enumerate(("cat", "spa", "eng", "yor", "blank"))
        }
        assert at["cat"]["text_en"] == "The home is big.\n\nThe cat sleeps."
        assert "library" in at["cat"]["title_en"].lower()
        assert at["cat"]["translator"].startswith("apertium-")
        assert at["spa"]["text_en"] == "The house is big."
        assert at["spa"]["title_en"] is None
        assert (at["eng"]["text_en"], at["eng"]["translator"]) == ("The house is big.", "none")
        assert at["yor"]["rejected_for"] == ["translate.unsupported_language"]
        assert at["yor"]["text_en"] is None
        assert at["blank"]["text_en"] == ""


def translated(spark, rows):
    return documents(spark, rows, CLEAN, TRANSLATE)


def test_instruct_with_templates(spark, resources):
    rows = [
        {
            "url": "titled",
            "title": "La biblioteca del barri",
            "title_en": "The library of the district",
            "text": CATALAN,
            "text_en": "The library opens at nine.",
        },
        {"url": "untitled", "text": CATALAN, "text_en": "The library opens at nine."},
    ]
    done = by_url(instruct(translated(spark, rows), InstructSettings(), resources))
    assert done["titled"]["rejected_for"] == []
    assert done["titled"]["generator"].startswith("template-v1:")
    assert done["untitled"]["rejected_for"] == ["instruct.no_instruction"]
    assert done["untitled"]["instruction_en"] is None


def test_instruct_with_an_openai_compatible_server(spark, resources):
    program = Path(__file__).parents[2] / "udfs" / "generators" / "openai_server.py"
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            engine = {
                "kind": "openai",
                "base_url": url,
                "model": "tiny-instruct",
                "prompt": "reverse_instruction",
                "max_retries": 0,
            }
            settings = InstructSettings(engine=engine)
            settings.engine.check()
            rows = [
                {"url": "good", "text": CATALAN, "text_en": "The library opens at nine."},
                {"url": "bad", "text": CATALAN, "text_en": "FAULT-500 The library opens at nine."},
            ]
            done = by_url(instruct(translated(spark, rows), settings, resources))
        finally:
            server.kill()
    good = done["good"]
    assert good["instruction_en"]
    assert good["generator"] == "openai:tiny-instruct"
    assert len(good["prompt_hash"]) == 64
    assert good["prompt_tokens"] > 0
    assert good["completion_tokens"] > 0
    assert done["bad"]["rejected_for"] == ["engine.instruct_failed"]
    assert "500" in done["bad"]["detail"]


def test_back_translate_keeps_titles_and_leaves_own_instructions_alone(spark, resources):
    base = {"text": CATALAN, "text_en": "x"}
    rows = [
        {
            **base,
            "url": "titled",
            "title": "Tirant lo Blanc",
            "title_en": "Pulling the White",
            "instruction_en": 'Write a text with this title: "Pulling the White".',
        },
        {**base, "url": "own", "title": "Com fer pa", "title_en": "How to do bread", "instruction_src": "Com fer pa"},
        {**base, "url": "yor", "language": "yor_Latn", "instruction_en": "Describe bread."},
    ]
    docs = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT)
    done = by_url(back_translate(docs, BackTranslateSettings(), resources))
    assert '"Tirant lo Blanc"' in done["titled"]["instruction_src"]
    assert done["titled"]["back_translator"].startswith("apertium-")
    assert (done["own"]["instruction_src"], done["own"]["back_translator"]) == ("Com fer pa", "none")
    assert done["yor"]["rejected_for"] == ["back_translate.unsupported_language"]
    plain = by_url(back_translate(docs, BackTranslateSettings(keep_titles=False), resources))
    assert "Tirant" not in plain["titled"]["instruction_src"]


def test_screen_rules(spark, resources):
    base = {"text": CATALAN, "text_en": "x"}
    good = "Escriu un text sobre la biblioteca del barri i la seva gent."
    english = "Write a text on the library of the district and its people."
    rows = [
        {**base, "url": "good", "instruction_en": english, "instruction_src": good},
        {**base, "url": "english", "instruction_en": english, "instruction_src": english},
        {
            **base,
            "url": "spanish",
            "instruction_en": english,
            "instruction_src": "Escribe un texto sobre la biblioteca del barrio y su gente, por favor.",
        },
        {**base, "url": "summary", "instruction_en": "Summarize the text on the library.", "instruction_src": good},
        {**base, "url": "translation", "instruction_en": "Translate the text.", "instruction_src": good},
        {**base, "url": "markup", "instruction_en": english, "instruction_src": good + " [[enllaç"},
        {**base, "url": "short", "instruction_en": "Describe it.", "instruction_src": "Descriu-ho."},
        {
            **base,
            "url": "flagged",
            "instruction_en": english,
            "instruction_src": good,
            "text": CATALAN + " " + word_lists()["cat"][0],
        },
    ]
    docs = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT)
    done = by_url(screen(docs, ScreenSettings(), resources))
    found = {url: row["rejected_for"] for url, row in done.items()}
    assert found["good"] == []
    assert done["good"]["instruction_language_outcome"] == "match"
    assert set(found["english"]) == {"screen.untranslated", "screen.instruction_language"}
    assert found["spanish"] == ["screen.instruction_language"]
    assert found["summary"] == ["screen.asks_summary"]
    assert found["translation"] == ["screen.asks_translation"]
    assert found["markup"] == ["screen.markup"]
    assert found["short"] == []
    assert done["short"]["instruction_language_outcome"] == "uncertain"
    assert found["flagged"] == []
    assert done["flagged"]["flagged_words"] == [word_lists()["cat"][0]]
    strict = by_url(screen(docs, ScreenSettings(reject_flagged_words=True, drop_task_requests=False), resources))
    assert strict["flagged"]["rejected_for"] == ["screen.flagged_words"]
    assert strict["summary"]["rejected_for"] == []


def test_screen_rules_of_form_and_wording(spark, resources):
    text_en = (
        "The library opens each morning at nine and closes at dusk. The neighbours go there to read the newspaper, to "
        "study or to do their homework. In winter the small room is full of people who look for a warm and quiet place."
    )
    good = "Escriu un text sobre la biblioteca del barri i la seva gent."
    english = "Write a text on the library of the district and its people."
    base = {"text": CATALAN, "text_en": text_en, "instruction_en": english, "instruction_src": good}
    first = CATALAN.partition(". ")[0]
    broken = {
        "screen.empty": {"instruction_src": "..."},
        "screen.markup": {"instruction_src": good + " {{cal citació}}"},
        "screen.address": {"instruction_src": good + " Vegeu https://example.org"},
        "screen.line_break": {"instruction_src": good.replace(" i ", "\n")},
        "screen.too_long": {"instruction_src": good * 20},
        "screen.not_an_instruction": {"instruction_en": "The library of the district has many readers."},
        "screen.refusal": {"instruction_en": "I'm sorry, but I cannot write it. Describe the library."},
        "screen.preamble": {"instruction_en": f"Instruction: {english}"},
        "screen.missing_text": {"instruction_en": "What did the passage above say of the library?"},
        "screen.copied": {"instruction_src": f"Escriu: {first}", "title": "Una altra cosa"},
        "screen.gives_answer": {"text": "Hi van a llegir.", "instruction_src": "On hi van a llegir?"},
    }  # fmt: skip
    rows = [{**base, **change, "url": code} for code, change in broken.items()]
    rows += [
        {**base, "url": "good"},
        {**base, "url": "title", "instruction_en": "Like doing bread", "back_translator": "none"},
    ]
    rows += [{**base, **broken["screen.preamble"], "instruction_src": first, "instruction": first, "url": "given"}]
    docs = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE)
    done = by_url(screen(docs, ScreenSettings(), resources))
    found = {url: set(row["rejected_for"]) for url, row in done.items()}
    assert {code: codes for code, codes in found.items() if code.startswith("screen.") and code not in codes} == {}
    assert found["good"] == found["title"] == found["given"] == set()
    alone = set(broken) - {"screen.empty", "screen.too_long", "screen.copied", "screen.gives_answer"}
    assert {code: found[code] for code in alone} == {code: {code} for code in alone}
    details = {code: done[code]["detail"] for code in alone}
    assert details["screen.not_an_instruction"] == "statement"
    assert details["screen.refusal"] == "i'm sorry, but"
    assert details["screen.missing_text"] == "the passage above"
    assert done["screen.copied"]["copied_run_words"] == len(first.split())
    assert done["good"]["instruction_score"] == 1
    measured = ("instruction_chars", "format_problems", "instruction_form", "instruction_score", "refusal_share")
    assert [done["given"][name] for name in (*measured, "copied_share", "answer_share", "copied_word_share")] == [
        None
    ] * 8
    assert done["title"]["instruction_score"] is None

    stored = ScreenSettings(
        max_instruction_chars=9_999, refused_formats=(), min_instruction_score=0, max_refusal_share=1,
        max_preamble_share=1, max_missing_text_share=1, max_copied_share=1, max_copied_run_words=999,
        max_answer_share=1,
    )  # fmt: skip
    kept = by_url(screen(docs, stored, resources))
    assert {code for row in kept.values() for code in row["rejected_for"]} <= {"screen.instruction_language"}
    assert {url: row["copied_share"] for url, row in kept.items()} == {
        url: row["copied_share"] for url, row in done.items()
    }


def test_no_stage_loses_or_doubles_a_row(spark, resources):
    docs = documents(spark, [{"text": CATALAN, "title": f"La biblioteca {n}"} for n in range(25)])
    for stage, settings in (
        (clean, CleanSettings()),
        (translate, TranslateSettings()),
        (instruct, InstructSettings()),
        (back_translate, BackTranslateSettings()),
        (screen, ScreenSettings()),
    ):
        docs = stage(docs, settings, resources)
    assert docs.count() == 25
    assert docs.select("doc_id").distinct().count() == 25
    assert docs.where(F.size("rejected_for") == 0).count() == 25
