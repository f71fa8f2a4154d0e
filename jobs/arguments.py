"""The arguments of the command ``backprompt``. Nothing heavy is imported: ``--help`` answers at once."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it returns has the name of the command in ``command``."""
    whole = argparse.ArgumentParser(
        prog="backprompt", description="Instruction-tuning pairs whose answers people wrote, in any language."
    )
    whole.add_argument("--version", action="version", version=_version())
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)

    spark = argparse.ArgumentParser(add_help=False)
    spark.add_argument(
        "--conf", action="append", default=[], metavar="KEY=VALUE", help="Spark setting for a session made here"
    )
    spark.add_argument("--log", metavar="FILE", help="where Spark's own messages go (default: LAKE/_logs)")
    lake = argparse.ArgumentParser(add_help=False, parents=[spark])
    lake.add_argument("--lake", required=True, help="folder, URL such as s3a://bucket/lake, or catalog.schema")
    lake.add_argument("--checkpoints", help="folder of the streams' checkpoints (default: below the lake)")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks")

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[*parents, common])

    command = add("run", "Bring a lake up to date with a recipe and its corpora.", lake)
    command.add_argument("--recipe", required=True, help="a file, or a name of 'backprompt recipes'")
    command.add_argument("--stages", help="a..b or a,b: run only these")
    command.add_argument("--max-documents", type=_positive, metavar="N", help="take at most N new documents")
    command.add_argument("--max-batches", type=_positive, metavar="N", help="stop after N batches of the stages")
    command.add_argument("--max-hours", type=float, metavar="H", help="begin no batch after H hours")
    command.add_argument("--budget", metavar="AMOUNT", help="begin no batch that would bring the cost above it: 20USD")
    command.add_argument("--rebuild", metavar="STAGE", help="make this stage's table and those after it again")
    command.add_argument("--dry-run", action="store_true", help="say what is new and what waits; write nothing")

    command = add("retry", "Have the next run send rejected rows through their stage again.", lake)
    command.add_argument("--reason", required=True, help="engine.translate_failed, or engine.* for all that start so")

    command = add("forget", "Take documents out of every table, for good.", lake)
    names = command.add_mutually_exclusive_group(required=True)
    names.add_argument("--ids", metavar="FILE", help="their doc_ids, one a line")
    names.add_argument("--urls", metavar="FILE", help="their URLs, one a line")
    command.add_argument("--purge", action="store_true", help="also delete the files that still hold their text")

    command = add("vacuum", "Delete files that no version of the last week needs.", lake)
    command.add_argument("--hours", type=_positive, default=168, metavar="H", help="keep so many (default 168)")
    command.add_argument("--force", action="store_true", help="allow fewer than 168 hours")

    command = add("cache", "Show how many translations are kept for re-use, or empty the cache.", lake)
    command.add_argument("--empty", action="store_true", help="take all of them out")

    command = add("status", "Show how many rows each stage took, kept and rejected, and why.", lake)
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("show", "Show rows of a table as a person reads them.", lake)
    command.add_argument("--table", required=True, help="documents, clean, ..., pairs, runs")
    command.add_argument("--language", help="GlotLID code, such as cat_Latn")
    command.add_argument("--reason", help="only rows rejected for this; 'clean.*' for all that start so")
    command.add_argument("-n", type=_positive, default=5, metavar="N", help="how many rows (default 5)")
    command.add_argument("--full", action="store_true", help="every column, whole texts")

    add("check", "Check the tables: nothing lost, nothing doubled, every column in place.", lake)
    command = add("clusters", "Show what near-duplicate removal did to a lake.", lake)
    command.add_argument(
        "--table", choices=["dedup", "dedup_instructions", "dedup_outputs"], default="dedup", help="(default: dedup)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--markdown", metavar="FILE", help="write Markdown to a file instead")

    command = add("dedup", "Mark near-duplicates in a Parquet or Delta table, without a recipe.", spark)
    command.add_argument("--input", help="folder, file or URL of the table")
    command.add_argument("--output", help="where the marked table goes: the same rows and format, with the decisions")
    command.add_argument("--column", default="text", help="texts to compare (default: text)")
    command.add_argument("--id", default="doc_id", help="column that names each row once (default: doc_id)")
    command.add_argument("--index", help="folder or URL: compare with what earlier runs kept, and remember this run's")
    command.add_argument("--threshold", type=float, help="least similarity of duplicates, 0 to 1 (default 0.8)")
    command.add_argument("--scope", choices=["all", "language", "source"], default="all", help="(default: all)")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="any other setting of the stage dedup, as 'backprompt explain demo' shows them: keep=earliest",
    )  # fmt: skip
    command.add_argument("--report", metavar="FILE", help="write what was done as Markdown (default: print it)")
    command.add_argument("--no-report", action="store_true", help="no report, which reads the output once more")
    command.add_argument("--overwrite", action="store_true", help="replace what is at --output")
    command.add_argument("--forget", metavar="FILE", help="instead: take the ids in FILE, one a line, out of --index")

    command = add("check-engines", "Check that every engine of a recipe can be used.", spark)
    command.add_argument("recipe", help="a file, or a name of 'backprompt recipes'")
    command.add_argument("--lake", help="the lake that the run is for: what it holds counts; nothing is written")
    command.add_argument(
        "--trial", type=_positive, metavar="N", help="send N documents through; show them, the speed, and an estimate"
    )
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("export", "Write the pairs as a data set for the Hugging Face Hub's tools.", lake)
    command.add_argument("--to", required=True, metavar="FOLDER", help="folder or URL of the data set")
    command.add_argument(
        "--format", choices=["muri", "extended", "chat"], default="muri",
        help="MURI-IT's columns; these with lineage and scores; or conversations as JSON lines (default: muri)",
    )  # fmt: skip
    command.add_argument(
        "--layout", choices=["languages", "flat"], default="languages",
        help="a folder and config a language and one of all, or one of all alone (default: languages)",
    )  # fmt: skip
    command.add_argument(
        "--language-codes", choices=["muri", "glotlid"], default="muri",
        help="column language: MURI-IT's ara, or the lake's arb_Arab (default: muri)",
    )  # fmt: skip
    for option, text in (
        ("--language", "only these languages: arb_Arab, or ara for all its members"),
        ("--exclude-language", "all but these languages"),
        ("--source", "only these sources"),
        ("--split", "only these splits"),
    ):
        command.add_argument(option, action="append", default=[], metavar="NAME,...", help=text)
    for option, text in (
        ("--license", "only texts under this licence; may be repeated"),
        ("--exclude-license", "no texts under this licence; may be repeated"),
    ):
        command.add_argument(option, action="append", default=[], metavar="LICENCE", help=text)
    command.add_argument(
        "--commercial", action="store_true",
        help="leave out what a licence of a text or model keeps from commercial use or changes",
    )  # fmt: skip
    command.add_argument(
        "--min", action="append", default=[], metavar="SCORE=VALUE", help="least value: translation_quality=0.7"
    )
    command.add_argument("--max", action="append", default=[], metavar="SCORE=VALUE", help="greatest value")
    command.add_argument("--keep-unscored", action="store_true", help="keep pairs that lack a score of --min or --max")
    command.add_argument(
        "--allow-stand-in", action="store_true", help="keep instructions that the embedded rules wrote"
    )
    command.add_argument("--licenses", metavar="FILE", help="more licences and models, as in conf/export/licenses.yaml")
    command.add_argument(
        "--license-note", action="append", default=[], metavar="LICENCE=TEXT", help="what a licence obliges to"
    )
    command.add_argument(
        "--model-license",
        action="append",
        default=[],
        metavar="MODEL=LICENCE",
        help="licence of a model; * for anything",
    )
    command.add_argument(
        "--language-name", action="append", default=[], metavar="CODE=NAME", help="English name of a language"
    )
    command.add_argument("--title", help="name of the data set in its card")
    command.add_argument("--recipe", help="put this recipe, by which the lake was made, into the data set")
    command.add_argument(
        "--max-shard-rows", type=_positive, default=500_000, metavar="N", help="most rows of a file (default 500000)"
    )
    command.add_argument(
        "--max-shard-mb",
        type=_positive,
        default=500,
        metavar="N",
        help="about most MB of texts in a file (default 500)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace the data set at --to")
    command.add_argument(
        "--push", metavar="ORGANISATION/NAME", help="upload it to the Hugging Face Hub, as HF_TOKEN says"
    )
    command.add_argument("--public", action="store_true", help="make a repository that --push creates public")

    command = add("review", "Serve a page on which native speakers mark pairs.", lake)
    command.add_argument(
        "--kind", choices=["muri", "quality", "compare"], default="muri",
        help="MURI's five criteria, X-Instruction's two questions, or two pairs side by side (default: muri)",
    )  # fmt: skip
    command.add_argument(
        "--language", action="append", default=[], metavar="A,B", help="GlotLID codes (default: all that pairs have)"
    )
    command.add_argument("--rows", type=_positive, default=30, metavar="N", help="pairs of a language (default 30)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice of pairs (default 0)")
    command.add_argument(
        "--source", action="append", default=[], metavar="A,B",
        help="only these sources of the recipe (default: those whose instructions were written for their texts)",
    )  # fmt: skip
    command.add_argument("--other", metavar="LAKE", help="compare: with the pairs of this lake")
    command.add_argument(
        "--other-source", action="append", default=[], metavar="A,B", help="compare: with the pairs of these sources"
    )
    command.add_argument("--texts", metavar="FOLDER", help="translations of the files of conf/review")
    command.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(default: this machine alone)")
    command.add_argument("--port", type=int, default=8080, metavar="N", help="(default 8080; 0: a free one)")

    command = add("review-results", "Show what reviewers said, and how far they agree.", lake)
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("report", "Write what a lake holds and how it came about as one HTML file.", lake)
    command.add_argument("--output", required=True, metavar="FILE", help="the file to write, such as report.html")
    command.add_argument(
        "--samples", type=_positive, default=3, metavar="N", help="rows a language and reason (default 3)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    command.add_argument(
        "--instructions", type=_positive, default=100_000, metavar="N",
        help="English instructions whose verbs and nouns are looked for (default 100,000)",
    )  # fmt: skip
    command.add_argument(
        "--parser", metavar="PIPELINE", help="also parse them with this spaCy pipeline: en_core_web_sm"
    )
    command.add_argument("--recipe", help="the lake's recipe: the rates of its engines give the cost")
    command.add_argument(
        "--set", action="append", default=[], metavar="STAGE.SETTING=VALUE",
        help="show what another threshold would change, as explore does; several are looked at together",
    )  # fmt: skip
    command.add_argument(
        "--sweep", action="append", default=[], metavar="STAGE.SETTING=VALUE,VALUE", help="the same, for each value"
    )

    command = add("explore", "Try other thresholds on the scores that a lake holds, without a model.", lake)
    command.add_argument("--recipe", help="the lake's recipe, or a changed one: what it changes is looked at")
    command.add_argument(
        "--set", action="append", default=[], metavar="STAGE.SETTING=VALUE",
        help="another threshold, such as screen.max_hate_score=0.3; several are looked at together",
    )  # fmt: skip
    command.add_argument(
        "--sweep", action="append", default=[], metavar="STAGE.SETTING=VALUE,VALUE", help="one look for each value"
    )
    command.add_argument("-n", type=_positive, default=3, metavar="N", help="rows shown of each side (default 3)")
    command.add_argument("--seed", type=int, help="of the drawing of these rows (default: the recipe's)")
    command.add_argument("--write", metavar="FILE", help="write a recipe that extends --recipe with these thresholds")
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("plan", "Say beforehand what a run would take: documents, tokens, hours, money.", spark)
    command.add_argument("recipe", nargs="?", help="a file, or a name of 'backprompt recipes'")
    command.add_argument("--lake", help="the lake that the run is for: what it holds is not counted again")
    command.add_argument("--checkpoints", help=argparse.SUPPRESS)
    size = command.add_mutually_exclusive_group()
    size.add_argument(
        "--share", type=_share, metavar="S", help="of the documents, to sample (default 0.01, at least 200)"
    )
    size.add_argument("--documents", type=_positive, metavar="N", help="sample so many documents")
    command.add_argument(
        "--trial", type=_natural, metavar="N", help="send so many of them to the engines (default 200)"
    )
    command.add_argument("--read-all", action="store_true", help="read large corpora whole, not a file a language")
    command.add_argument("--rebuild", metavar="STAGE", help="plan a run that makes the tables from this stage on again")
    command.add_argument("--save", action="store_true", help="enter the plan in the lake's table plans")
    command.add_argument("--compare", action="store_true", help="instead: the lake's newest plan against its runs")
    command.add_argument("--json", action="store_true", help="print JSON")

    add("recipes", "List the recipes that come with Backprompt.")
    command = add("explain", "Show a recipe's stages in order, with every setting and what it means.")
    command.add_argument("recipe", help="a file, or a name of 'backprompt recipes'")
    return whole


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return value


def _version() -> str:
    try:
        return f"backprompt {version('backprompt')}"
    except PackageNotFoundError:
        return "backprompt (not installed)"
