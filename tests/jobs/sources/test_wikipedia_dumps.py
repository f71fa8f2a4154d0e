from __future__ import annotations

import bz2
import random
import re
import shutil
import string
from itertools import pairwise

import pytest
from pyspark.sql import functions as F

from jobs.commands.funnel import as_json
from jobs.runtime.accounting import check
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import tallies
from jobs.runtime.schema import DOCUMENTS
from jobs.sources import explain_read_error, read
from jobs.sources.sampling import sample
from jobs.sources.text import read_pieces
from jobs.sources.wikipedia import WikipediaDumpSettings
from tests.conftest import run_recipe
from udfs.records import CorpusFile

HEADER = '<mediawiki xml:lang="en">\n  <siteinfo>\n    <dbname>enwiki</dbname>\n  </siteinfo>\n'
FOOTER = "</mediawiki>\n"
DISAMBIGUATION = [
    "Cylvāka bārns",
    "Grybuli",
    "Lītne",
    "Ontons Zvīdris",
    "Process",
    "Roksts",
    "Rēzne (zeimeibu škiršona)",
]
# libbzip2 fills a block of level 1 to this many bytes; text without runs of four is not shortened before that.
BLOCK_BYTES = 99_981


def page(number: int, text: str = "Text.", title: str | None = None) -> str:
    return (
        f"<page><title>{title or f'Page {number}'}</title><ns>0</ns><id>{number}</id><revision><id>1</id>"
        f"<timestamp>2024-01-01T00:00:00Z</timestamp><text>{text}</text></revision></page>"
    )


def filler(length: int, randomness: random.Random) -> str:
    letters = string.ascii_letters + string.digits
    text = [randomness.choice(letters)]
    while len(text) < length:
        letter = randomness.choice(letters)
        if letter != text[-1]:
            text.append(letter)
    return "".join(text)


def rows_of(docs):
    return {row["title"]: row for row in docs.collect()}


def test_real_dumps(spark, languages, data):
    docs = read(spark, WikipediaDumpSettings(path=str(data / "wikipedia" / "dumps")), languages)
    rows = {row["corpus_key"]: row for row in docs.collect()}

    assert docs.columns == [*DOCUMENTS.fieldNames(), "rejected_for", "detail"]
    types = [field.dataType.simpleString() for field in docs.schema.fields[:-2]]
    assert types == [field.dataType.simpleString() for field in DOCUMENTS.fields]
    assert all(not field.nullable for field, wanted in zip(docs.schema, DOCUMENTS, strict=False) if not wanted.nullable)
    # The Faroese dump has a system message too, the header of the Spanish one says it is English.
    assert {key: row["language"] for key, row in rows.items()} == {
        "fo:2201": "fao_Latn",
        "es:14540": "spa_Latn",
        "th:6357": "tha_Thai",
        "ar:1343": "arb_Arab",
        "ar:57": "arb_Arab",
        "ar:8387": "arb_Arab",
    }
    berlin = rows["es:14540"]
    assert berlin["origin"] == "eswiki-minidump.xml.bz2"
    assert berlin["title"] == "Berlín"
    assert berlin["url"] == "https://es.wikipedia.org/wiki/Berl%C3%ADn"
    assert (berlin["source"], berlin["license"], berlin["genre"]) == ("wikipedia", "CC-BY-SA-4.0", "encyclopedic")
    assert berlin["text"].startswith("Berlín (en alemán: Berlin) es la capital de Alemania")
    assert berlin["text_chars"] == len(berlin["text"])
    assert berlin["rejected_for"] == []
    assert berlin["source_metadata"].keys() == {"revision_id"}
    assert berlin["source_metadata"]["revision_id"].isdecimal()


def test_pages_that_are_no_documents_are_counted_and_told(spark, data, tmp_path):
    dumps = [data / "wikipedia" / "dumps" / name for name in ("eswiki-minidump.xml.bz2", "fowiki-2page-dump.xml.bz2")]
    (tmp_path / "dumps").mkdir()
    for dump in dumps:
        shutil.copy(dump, tmp_path / "dumps")
    extra = page(1, title="Talk").replace("<ns>0", "<ns>1") * 3 + page(2, "#REDIRECT [[A]]") + page(3, title="Kept")
    (tmp_path / "dumps" / "cawiki-a.xml").write_text(HEADER + extra + FOOTER)
    (tmp_path / "own.yaml").write_text(
        "name: own\nsources: [{kind: wikipedia-dump, path: dumps, max_documents_per_language: 5}]\n"
        "stages: {clean: , translate: , instruct: , back_translate: , screen: , group: , pairs: }\n"
    )

    _, recorder = run_recipe(spark, tmp_path / "own.yaml", tmp_path / "lake", stages=("documents",))

    lake = Lake(spark, str(tmp_path / "lake"))
    found = {language: tally.left_out for language, tally in tallies(lake)["documents"].items()}
    assert found["cat_Latn"] == {"other_namespace": 3, "redirect": 1}
    # By hand: pages of the real dumps whose namespace is another.
    for dump, language in zip(dumps, ("spa_Latn", "fao_Latn"), strict=True):
        others = len(re.findall(rb"<ns>(?!0<)", bz2.decompress(dump.read_bytes())))
        assert found[language].get("other_namespace", 0) == others
    total = sum(each.get("other_namespace", 0) for each in found.values())
    (said,) = [note for note in recorder.notes if "left out" in note]
    assert said.startswith(f"wikipedia: left out, as no documents: {total} pages of other namespaces")
    assert as_json(lake).count('"redirect": 1') == 1
    assert [finding for finding in check(lake) if finding.problem] == []


def test_files_of_other_languages_are_not_read(spark, languages, data):
    settings = WikipediaDumpSettings(path=str(data / "wikipedia" / "dumps"), languages=("fao_Latn", "tha_Thai"))

    docs = read(spark, settings, languages, only=("fao_Latn", "arb_Arab"))

    assert {row["language"] for row in docs.select("language").collect()} == {"fao_Latn"}


@pytest.fixture(scope="module")
def pages_across_blocks():
    """Pages whose end stands at every distance from -9 to 9 bytes from the border of a bzip2 block."""
    randomness = random.Random(20)
    overhead = len(page(10_000_000, ""))
    pages, length = [], 0
    for block, distance in enumerate(range(-9, 10), start=1):
        border = BLOCK_BYTES * block + distance
        while border - length > 45_000:
            pages.append(page(10_000_000 + len(pages), filler(15_000, randomness)))
            length += len(pages[-1])
        pages.append(page(10_000_000 + len(pages), filler(border - length - overhead, randomness)))
        length += len(pages[-1])
        assert length == border
    return [*pages, page(20_000_000)]


@pytest.mark.parametrize("form", ["xml", "xml.bz2", "multistream.xml.bz2"])
def test_pages_at_the_borders_of_splits_are_read_once(spark, tmp_path, pages_across_blocks, form):
    pages = pages_across_blocks
    if form == "multistream.xml.bz2":
        cuts = [0, *range(7, len(pages), 7), len(pages)]
        streams = ["".join(pages[start:end]) for start, end in pairwise(cuts)]
        content = b"".join(bz2.compress(stream.encode()) for stream in [HEADER, *streams, FOOTER])
    elif form == "xml.bz2":
        content = bz2.compress("".join(pages).encode(), 1)
    else:
        content = (HEADER + "".join(pages) + FOOTER).encode()
    path = tmp_path / f"eswiki.{form}"
    path.write_bytes(content)
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(len(content) // 17))
    try:
        pieces = read_pieces(spark, [CorpusFile(path.as_uri(), str(path), path.name)], 2**20, "</page>")
        found = (
            pieces.where(F.col("value").cast("string").contains("<page>"))
            .select(
                F.regexp_extract(F.col("value").cast("string"), r"<id>(\d{8})</id>", 1).alias("id"), "file_block_start"
            )
            .collect()
        )
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)

    assert len({row["file_block_start"] for row in found}) > 10
    assert sorted(int(row["id"]) for row in found) == [*range(10_000_000, 10_000_000 + len(pages) - 1), 20_000_000]


def test_broken_pages_are_rejected_and_their_neighbours_go_on(spark, languages, tmp_path):
    pieces = [
        HEADER.encode(),
        page(1, "Uno. {{x}}").encode(),
        page(2, "a < b").encode(),
        page(3, "Tres.").encode(),
        page(4, "nul \x00").encode(),
        page(5, "latin caf\xe9").encode("latin-1"),
        page(6, "Seis.").encode(),
        page(7, "").encode(),
        page(8, "{{only a template}}").encode(),
        page(9).encode()[:-30],
    ]
    (tmp_path / "eswiki-cut.xml").write_bytes(b"\n".join(pieces))

    rows = rows_of(read(spark, WikipediaDumpSettings(path=str(tmp_path)), languages))

    assert {title: row["rejected_for"] for title, row in rows.items()} == {
        "Page 1": [],
        "Page 2": ["source.unreadable"],
        "Page 3": [],
        "Page 4": ["source.unreadable"],
        "Page 5": ["source.unreadable"],
        "Page 6": [],
        "Page 7": ["source.missing_text"],
        "Page 8": ["source.missing_text"],
        "Page 9": ["source.unreadable"],
    }
    assert rows["Page 1"]["text"] == "Uno."
    assert rows["Page 2"]["detail"].startswith("eswiki-cut.xml: page 'Page 2': not well-formed")
    assert "a < b" in rows["Page 2"]["text"]
    assert "caf\N{REPLACEMENT CHARACTER}" in rows["Page 5"]["text"]
    assert rows["Page 9"]["language"] == "spa_Latn"


def test_sampling_before_parsing_chooses_what_sampling_after_it_would(spark, languages, tmp_path):
    for wiki, count in (("es", 80), ("fr", 5)):
        pages = "".join(page(number, f"Text {number}.") for number in range(count))
        (tmp_path / f"{wiki}wiki.xml").write_text(HEADER + pages + FOOTER)
    settings = WikipediaDumpSettings(path=str(tmp_path), sample_rate=0.6, max_documents_per_language=12)

    whole = read(spark, settings, languages)
    early = read(spark, settings, languages, seed=3)
    late = sample(whole, 3, settings.sample_size)

    chosen = sorted(map(tuple, early.collect()))
    assert chosen == sorted(map(tuple, late.collect()))
    assert sum(row[2] == "spa_Latn" for row in chosen) == 12
    assert 0 < sum(row[2] == "fra_Latn" for row in chosen) <= 5


@pytest.mark.parametrize("share", [0.3, 0.5, 0.99])
def test_cut_archive_is_named(spark, languages, tmp_path, share):
    randomness = random.Random(1)
    dump = HEADER + "".join(page(number, filler(3_000, randomness)) for number in range(100)) + FOOTER
    archive = bz2.compress(dump.encode(), 1)
    (tmp_path / "eswiki.xml.bz2").write_bytes(archive[: int(len(archive) * share)])
    settings = WikipediaDumpSettings(path=str(tmp_path))

    with pytest.raises(Exception, match=r".") as raised:
        read(spark, settings, languages).collect()

    explained = str(explain_read_error(raised.value, settings))
    assert explained.startswith("Source wikipedia: ")
    assert str(tmp_path) in explained
    assert "is damaged or cut off" in explained


def test_archive_cut_between_two_streams_is_a_rejected_row(spark, languages, tmp_path):
    """Nothing in such an archive is damaged, so the reader of bzip2 takes it for a whole one."""
    streams = [HEADER, *("".join(page(number) for number in range(start, start + 3)) for start in (0, 3)), FOOTER]
    archives = [bz2.compress(stream.encode()) for stream in streams]
    (tmp_path / "eswiki-multistream.xml.bz2").write_bytes(b"".join(archives[:2]))
    (tmp_path / "frwiki-multistream.xml.bz2").write_bytes(b"".join(archives))

    docs = read(spark, WikipediaDumpSettings(path=str(tmp_path)), languages).collect()

    assert sorted(row["corpus_key"] for row in docs if not row["rejected_for"]) == sorted(
        [*(f"es:{number}" for number in range(3)), *(f"fr:{number}" for number in range(6))]
    )
    (cut,) = [row for row in docs if row["rejected_for"]]
    assert (cut["language"], cut["rejected_for"]) == ("spa_Latn", ["source.unreadable"])
    assert cut["detail"].startswith("eswiki-multistream.xml.bz2: the dump was cut off")


def test_page_of_a_hundred_megabytes_is_rejected_and_its_neighbours_go_on(spark, languages, tmp_path):
    with (tmp_path / "eswiki.xml").open("w") as dump:
        dump.write(HEADER + page(1))
        before, after = page(2, "|", title="Huge").split("|")
        dump.write(before)
        for _ in range(100):
            dump.write("x" * 1_000_000)
        dump.write(after + page(3) + FOOTER)

    rows = rows_of(read(spark, WikipediaDumpSettings(path=str(tmp_path)), languages))

    assert {title: row["rejected_for"] for title, row in rows.items()} == {
        "Page 1": [],
        "Huge": ["source.too_large"],
        "Page 3": [],
    }
    assert "page 'Huge': 100,000,1" in rows["Huge"]["detail"]
    assert "more than max_record_bytes" in rows["Huge"]["detail"]
    assert rows["Huge"]["detail"].startswith("eswiki.xml")
    assert rows["Huge"]["text"].startswith("<page><title>Huge</title>")
    assert len(rows["Huge"]["text"]) <= 1024


def test_whole_dump_of_a_wikipedia(spark, languages, data):
    docs = read(spark, WikipediaDumpSettings(path=str(data / "wikipedia" / "whole"), stubs="reject"), languages)
    rows = docs.select("corpus_key", "title", "rejected_for", F.length("text").alias("chars")).collect()

    # Counted with grep in the unpacked dump: 2,004 pages, 1,050 of them in namespace 0, 147 of these redirects.
    assert len(rows) == len({row["corpus_key"] for row in rows}) == 1_050 - 147
    reasons = {row["title"]: row["rejected_for"] for row in rows}
    # Counted with grep: pages of namespace 0 with the template {{Zeimeibu škiršona}} or its category.
    assert sorted(title for title, codes in reasons.items() if codes == ["source.disambiguation"]) == DISAMBIGUATION
    assert reasons["Pasauļa vaļsteibu saroksts"] == ["source.list"]
    assert reasons["SK Blāzma"] == []
    assert all(row["chars"] for row in rows if row["rejected_for"] != ["source.missing_text"])


@pytest.mark.parametrize(
    ("files", "settings", "words"),
    [
        ({}, {}, ["holds no files that have content", "Expected: dumps of dumps.wikimedia.org"]),
        ({"eswiki.xml": b""}, {}, ["holds no files that have content"]),
        ({"es/notes.txt": b"x"}, {}, ["holds 1 other files, such as es/notes.txt"]),
        ({"commonswiki.xml": b"x"}, {}, ["'commons', for commonswiki.xml,", "wikipedia code", "Set language"]),
        ({"dump.xml": b"x"}, {}, ["neither folder nor name of dump.xml says its language"]),
        ({"eswiki.xml": b"x"}, {"language": "spa_Lat"}, ["language: 'spa_Lat'", "close to it: spa_Latn"]),
        ({"eswiki.xml": b"x"}, {"languages": ["spa"]}, ["languages: 'spa'", "spa_Latn"]),
        ({"eswiki.xml": b"x"}, {"languages": ["cat_Latn"]}, ["holds nothing in cat_Latn; it holds spa_Latn"]),
        ({"eswiki.xml.bz2": b"<mediawiki>"}, {}, ["eswiki.xml.bz2 is named .bz2 but is not bzip2"]),
    ],
    ids=["no files", "empty file", "no dump", "wiki", "no wiki", "language", "languages", "not there", "misnamed"],
)
def test_what_is_wrong_with_the_files_is_said(spark, languages, tmp_path, files, settings, words):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    with pytest.raises(BackpromptError) as raised:
        read(spark, WikipediaDumpSettings(path=str(tmp_path), **settings), languages)

    assert str(raised.value).startswith("Source wikipedia: ")
    assert not [word for word in words if word not in str(raised.value)], raised.value


def test_missing_path_is_said(spark, languages, tmp_path):
    with pytest.raises(BackpromptError, match=r"nowhere: there is nothing. Expected: dumps"):
        read(spark, WikipediaDumpSettings(path=str(tmp_path / "nowhere")), languages)


def test_language_of_the_settings_names_the_edition_where_it_fits(spark, languages, tmp_path):
    (tmp_path / "dump.xml").write_text(HEADER + page(1) + FOOTER)
    (tmp_path / "eswiki.xml").write_text(HEADER + page(2) + FOOTER)

    rows = rows_of(read(spark, WikipediaDumpSettings(path=str(tmp_path), language="spa_Latn"), languages))

    assert [(rows[title]["corpus_key"], rows[title]["url"]) for title in ("Page 1", "Page 2")] == [
        ("spa_Latn:1", None),
        ("es:2", "https://es.wikipedia.org/wiki/Page_2"),
    ]
