"""The command ``backprompt``, which is also what ``spark-submit`` starts.

Exit codes: 0 done; 1 a check failed, or something broke that should not; 2 something in the user's hands is wrong, and
the message says what to do; 130 stopped by the user; 143 stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__" and __package__ in (None, ""):
    # `spark-submit jobs/__main__.py` puts jobs/ itself first on the path, where neither package can be found.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from jobs.runtime.console import ConsoleReporter, console
from jobs.runtime.errors import BackpromptError
from udfs.engines import EngineUnavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.runtime.lake import Lake


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(argv)
    log_file = _log_file(args)
    if not args.debug:
        # A logger's filter does not see what the loggers below it pass up, so each one that speaks has its own.
        for name in (None, "py4j.clientserver"):
            logging.getLogger(name).addFilter(_says_more_than_py4j)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        command: Callable[[argparse.Namespace, Path | None], int] = args.run
        return command(args, log_file)
    except (BackpromptError, EngineUnavailable) as error:
        if args.debug:
            traceback.print_exc()
        print(f"backprompt: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `backprompt show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        print("backprompt: stopped. The tables are whole; the same command goes on from here.", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    except Exception as error:
        if args.debug:
            raise
        from jobs.runtime.lake import explain_storage_error

        places = (getattr(args, name, None) for name in ("to", "lake", "output"))
        place = next(filter(None, places), "what is written")
        explained = explain_storage_error(error, place)
        if explained:
            print(f"backprompt: {explained}", file=sys.stderr)
            return 2
        where = ""
        if log_file is not None:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            with log_file.open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            where = f" Its details are in {log_file}."
        first = (str(error).strip().splitlines() or [""])[0]
        print(f"backprompt: this should not have happened: {type(error).__name__}: {first}{where}", file=sys.stderr)
        print("The tables are whole; the same command goes on. --debug shows all.", file=sys.stderr)
        return 1


class _Terminated(KeyboardInterrupt):
    """SIGTERM: the batch in flight is given up as with Ctrl-C."""


def _says_more_than_py4j(record: logging.LogRecord) -> bool:
    """Leave out the traceback that Py4J logs where the user, or SIGTERM, stops it."""
    return not str(record.msg).endswith(("while sending command.", "while shutting down connection"))


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backprompt", description="Instruction-tuning pairs whose answers people wrote, in any language."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

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

    def add(
        name: str, run: Callable[..., int], text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[*parents, common])
        command.set_defaults(run=run)
        return command

    command = add("run", _run, "Bring a lake up to date with a recipe and its corpora.", lake)
    command.add_argument("--recipe", required=True, help="a file, or a name of 'backprompt recipes'")
    command.add_argument("--stages", help="a..b or a,b: run only these")
    command.add_argument("--max-documents", type=_positive, metavar="N", help="take at most N new documents")
    command.add_argument("--max-batches", type=_positive, metavar="N", help="stop after N batches of the stages")
    command.add_argument("--max-hours", type=float, metavar="H", help="begin no batch after H hours")
    command.add_argument("--budget", metavar="AMOUNT", help="begin no batch that would bring the cost above it: 20USD")
    command.add_argument("--rebuild", metavar="STAGE", help="make this stage's table and those after it again")
    command.add_argument("--dry-run", action="store_true", help="say what is new and what waits; write nothing")

    command = add("retry", _retry, "Have the next run send rejected rows through their stage again.", lake)
    command.add_argument("--reason", required=True, help="engine.translate_failed, or engine.* for all that start so")

    command = add("forget", _forget, "Take documents out of every table, for good.", lake)
    names = command.add_mutually_exclusive_group(required=True)
    names.add_argument("--ids", metavar="FILE", help="their doc_ids, one a line")
    names.add_argument("--urls", metavar="FILE", help="their URLs, one a line")
    command.add_argument("--purge", action="store_true", help="also delete the files that still hold their text")

    command = add("vacuum", _vacuum, "Delete files that no version of the last week needs.", lake)
    command.add_argument("--hours", type=_positive, default=168, metavar="H", help="keep so many (default 168)")
    command.add_argument("--force", action="store_true", help="allow fewer than 168 hours")

    command = add("cache", _cache, "Show how many translations are kept for re-use, or empty the cache.", lake)
    command.add_argument("--empty", action="store_true", help="take all of them out")

    command = add("status", _status, "Show how many rows each stage took, kept and rejected, and why.", lake)
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("show", _show, "Show rows of a table as a person reads them.", lake)
    command.add_argument("--table", required=True, help="documents, clean, ..., pairs, runs")
    command.add_argument("--language", help="GlotLID code, such as cat_Latn")
    command.add_argument("--reason", help="only rows rejected for this; 'clean.*' for all that start so")
    command.add_argument("-n", type=_positive, default=5, metavar="N", help="how many rows (default 5)")
    command.add_argument("--full", action="store_true", help="every column, whole texts")

    add("check", _check, "Check the tables: nothing lost, nothing doubled, every column in place.", lake)
    command = add("clusters", _clusters, "Show what near-duplicate removal did to a lake.", lake)
    command.add_argument(
        "--table", choices=["dedup", "dedup_instructions", "dedup_outputs"], default="dedup", help="(default: dedup)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--markdown", metavar="FILE", help="write Markdown to a file instead")

    command = add("dedup", _dedup, "Mark near-duplicates in a Parquet or Delta table, without a recipe.", spark)
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

    command = add("check-engines", _check_engines, "Check that every engine of a recipe can be used.", spark)
    command.add_argument("recipe", help="a file, or a name of 'backprompt recipes'")
    command.add_argument("--lake", help="the lake that the run is for: what it holds counts; nothing is written")
    command.add_argument(
        "--trial", type=_positive, metavar="N", help="send N documents through; show them, the speed, and an estimate"
    )
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("export", _export, "Write the pairs as a data set for the Hugging Face Hub's tools.", lake)
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

    command = add("review", _review, "Serve a page on which native speakers mark pairs.", lake)
    command.add_argument(
        "--kind", choices=["muri", "quality", "compare"], default="muri",
        help="MURI's five criteria, X-Instruction's two questions, or two pairs side by side (default: muri)",
    )  # fmt: skip
    command.add_argument("--languages", metavar="A,B", help="GlotLID codes (default: all that the pairs have)")
    command.add_argument("--rows", type=_positive, default=30, metavar="N", help="pairs of a language (default 30)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice of pairs (default 0)")
    command.add_argument("--source", metavar="NAME", help="only pairs of this source of the recipe")
    command.add_argument("--other", metavar="LAKE", help="compare: with the pairs of this lake")
    command.add_argument("--other-source", metavar="NAME", help="compare: with the pairs of this source")
    command.add_argument("--texts", metavar="FOLDER", help="translations of the files of conf/review")
    command.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(default: this machine alone)")
    command.add_argument("--port", type=int, default=8080, metavar="N", help="(default 8080; 0: a free one)")

    command = add("review-results", _review_results, "Show what reviewers said, and how far they agree.", lake)
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("report", _report, "Write what a lake holds and how it came about as one HTML file.", lake)
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

    command = add("explore", _explore, "Try other thresholds on the scores that a lake holds, without a model.", lake)
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

    command = add("plan", _plan, "Say beforehand what a run would take: documents, tokens, hours, money.", spark)
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
    command.add_argument("--save", action="store_true", help="enter the plan in the lake's table plans")
    command.add_argument("--compare", action="store_true", help="instead: the lake's newest plan against its runs")
    command.add_argument("--json", action="store_true", help="print JSON")

    add("recipes", _recipes, "List the recipes that come with Backprompt.")
    command = add("explain", _explain, "Show a recipe's stages in order, with every setting and what it means.")
    command.add_argument("recipe", help="a file, or a name of 'backprompt recipes'")
    return parser


def _run(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import summary
    from jobs.commands.plan import print_plan
    from jobs.runtime.pipeline import Options, parse_stages, plan, run
    from jobs.runtime.recipe import load_recipe
    from jobs.runtime.spending import parse_budget

    recipe = load_recipe(args.recipe)
    stages = parse_stages(args.stages, recipe) if args.stages else ()
    budget = parse_budget(args.budget, recipe) if args.budget is not None else None
    out = console()
    reporter = ConsoleReporter(out)
    reporter.note(f"Recipe {recipe.name} into lake {args.lake}. Starting Spark ...")
    lake = _lake(args, log_file)
    options = Options(stages, args.max_documents, args.max_batches, args.max_hours, args.rebuild, budget)
    try:
        if args.dry_run:
            print_plan(out, plan(lake.spark, recipe, lake, options, reporter))
            return 0
        outcome = run(lake.spark, recipe, lake, options, reporter)
    finally:
        reporter.close()
    summary.print_summary(out, lake, recipe, outcome, log_file)
    return 0


def _retry(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.runtime import retries
    from jobs.runtime.lease import Lease

    lake = _lake_that_is(args, log_file)
    with Lease(lake, "retry"):
        counts = retries.ask(lake, args.reason)
    for stage, count in counts.items():
        print(f"{stage}: {count:,} rows")
    print("The next 'backprompt run' sends them through again." if counts else "No row was rejected for that.")
    return 0


def _forget(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import forget
    from jobs.runtime import maintenance
    from jobs.runtime.lease import Lease

    lake, out = _lake_that_is(args, log_file), console()
    ids, urls = (Path(each) if each else None for each in (args.ids, args.urls))
    with Lease(lake, "forget"):
        forget.print_forgotten(out, forget.forget(lake, ids, urls))
        if args.purge:
            forget.print_purged(out, maintenance.purge(lake))
    return 0


def _vacuum(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import forget
    from jobs.runtime import maintenance
    from jobs.runtime.lease import Lease

    lake = _lake_that_is(args, log_file)
    with Lease(lake, "vacuum"):
        forget.print_purged(console(), maintenance.vacuum(lake, args.hours, args.force))
    return 0


def _cache(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands.cache import print_cache
    from jobs.runtime import translation_cache
    from jobs.runtime.lease import Lease

    lake = _lake_that_is(args, log_file)
    if args.empty:
        with Lease(lake, "cache"):
            translation_cache.empty(lake)
    print_cache(console(), lake)
    return 0


def _status(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import funnel

    lake = _lake(args, log_file)
    if args.json:
        print(funnel.as_json(lake))
    else:
        funnel.print_funnel(console(), lake)
    return 0


def _show(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import show

    show.print_rows(console(), _lake(args, log_file), args.table, args.language, args.reason, args.n, args.full)
    return 0


def _check(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.runtime.accounting import check

    out, failed = console(), 0
    for finding in check(_lake(args, log_file)):
        failed += bool(finding.problem)
        state = f"FAILED: {finding.problem}" if finding.problem else "ok"
        out.print(f"{finding.check}: {state}", markup=False, soft_wrap=True)
    out.print(f"{failed} checks failed." if failed else "All checks passed.", markup=False)
    return 1 if failed else 0


def _clusters(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import clusters
    from jobs.stages.dedup_report import as_json, as_markdown

    report = clusters.summarise_lake(_lake(args, log_file), args.table)
    if args.json:
        print(as_json(report))
    elif args.markdown:
        Path(args.markdown).write_text(as_markdown(report), encoding="utf-8")
    else:
        clusters.print_report(console(), report)
    return 0


def _dedup(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import clusters, dedup
    from jobs.runtime.session import get_session
    from jobs.stages.dedup_report import as_markdown, summarise

    if args.forget:
        if not args.index:
            raise BackpromptError("--forget takes ids out of an index: name it with --index")
        spark = get_session(log_file, dict(_setting(item) for item in args.conf))
        print(f"{dedup.forget_ids(spark, args.index, Path(args.forget)):,} entries taken out of {args.index}")
        return 0
    missing = [f"--{name}" for name in ("input", "output") if not getattr(args, name)]
    if missing:
        raise BackpromptError(f"{' and '.join(missing)} is missing: backprompt dedup --input TABLE --output FOLDER")
    settings = dedup.settings_from(args.scope, args.threshold, dict(_setting(item) for item in args.set))
    request = dedup.DedupRequest(
        args.input, args.output, args.column, args.id, settings, index=args.index, overwrite=args.overwrite
    )
    spark = get_session(log_file, dict(_setting(item) for item in args.conf))
    out = console()
    dedup.deduplicate_files(spark, request)
    out.print(f"Kept: {args.output}/{dedup.IS_DUPLICATE}=false", markup=False, soft_wrap=True)
    if not args.no_report:
        report = summarise(dedup.read_output(spark, request), args.column, settings, key=args.id)
        if args.report:
            Path(args.report).write_text(as_markdown(report), encoding="utf-8")
        else:
            clusters.print_report(out, report)
    return 0


def _check_engines(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import check_engines
    from jobs.runtime.recipe import load_recipe

    recipe = load_recipe(args.recipe)
    lake = None
    if check_engines.needs_spark(recipe, args.lake, args.trial):
        lake = _lake_or_none(args, log_file)
    report = check_engines.inspect(recipe, lake, args.trial)
    if args.json:
        print(check_engines.as_json(report))
    else:
        check_engines.print_report(console(), report)
    return 0 if report.is_usable else 1


def _export(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands.export import ExportRequest, export, print_exported
    from jobs.export.forms import ShardBounds
    from jobs.export.selection import Selection

    if args.public and not args.push:
        raise BackpromptError("--public says how --push creates a repository: add --push ORGANISATION/NAME")
    chosen = Selection(
        languages=_listed(args.language),
        excluded_languages=_listed(args.exclude_language),
        sources=_listed(args.source),
        splits=_listed(args.split),
        licenses=tuple(args.license),
        excluded_licenses=tuple(args.exclude_license),
        is_commercial=args.commercial,
        minima=_limits("--min", args.min),
        maxima=_limits("--max", args.max),
        is_unscored_kept=args.keep_unscored,
        has_stand_ins=args.allow_stand_in,
    )
    request = ExportRequest(
        to=args.to,
        form=args.format,
        layout=args.layout,
        has_glotlid_codes=args.language_codes == "glotlid",
        selection=chosen,
        licenses=args.licenses,
        license_notes=dict(_setting(item, "--license-note") for item in args.license_note),
        model_licenses=dict(_setting(item, "--model-license") for item in args.model_license),
        language_names=dict(_setting(item, "--language-name") for item in args.language_name),
        title=args.title,
        recipe=args.recipe,
        bounds=ShardBounds(args.max_shard_rows, args.max_shard_mb << 20),
        is_replaced=args.overwrite,
        push=args.push,
        is_public=args.public,
    )
    print_exported(console(), export(_lake_that_is(args, log_file), request))
    return 0


def _listed(items: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for item in items for name in item.split(",") if name.strip())


def _limits(option: str, items: Sequence[str]) -> dict[str, float]:
    limits = {}
    for item in items:
        name, value = _setting(item, option)
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise BackpromptError(f"{option} {item}: {value!r} is no number")
    return limits


def _review(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import review
    from jobs.review import server
    from jobs.runtime.lake import Lake

    languages = tuple(filter(None, (code.strip() for code in (args.languages or "").split(","))))
    texts = Path(args.texts) if args.texts else None
    request = review.ReviewRequest(
        args.kind, languages, args.rows, args.seed, args.source, args.other_source, texts, args.host, args.port
    )
    # Before Spark starts, so that an address that cannot be had is known at once.
    listener = server.listen(request.host, request.port)
    out = console()
    out.print("Starting Spark ...", markup=False)
    lake = _lake(args, log_file)
    review.serve(out, lake, Lake(lake.spark, args.other) if args.other else None, request, listener)
    return 0


def _review_results(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import review

    found = review.results(_lake(args, log_file))
    if args.json:
        print(review.as_json(found))
    else:
        review.print_results(console(), found)
    return 0


def _report(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import report
    from jobs.explore.cuts import cuts_of, parse_set, parse_sweep
    from jobs.runtime.recipe import load_recipe

    cuts = cuts_of([parse_set(text) for text in args.set], [parse_sweep(text) for text in args.sweep])
    recipe = load_recipe(args.recipe) if args.recipe else None
    options = report.Options(args.samples, args.seed, args.instructions, args.parser, recipe, cuts)
    report.write_report(_lake(args, log_file), Path(args.output), options, console())
    return 0


def _explore(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import explore
    from jobs.explore.cuts import cuts_of, parse_set, parse_sweep
    from jobs.explore.recipes import recipe_text, write_recipe
    from jobs.runtime.recipe import load_recipe

    cuts = cuts_of([parse_set(text) for text in args.set], [parse_sweep(text) for text in args.sweep])
    recipe = load_recipe(args.recipe) if args.recipe else None
    file = Path(args.write) if args.write else None
    if file is not None:
        if recipe is None or args.sweep or not args.set:
            raise BackpromptError("--write takes --recipe, which the new recipe extends, and thresholds by --set")
        recipe_text(file, args.recipe, cuts[0])  # before Spark is started
    lake = _lake_that_is(args, log_file)
    out = console()
    found = explore.explore(lake, cuts, recipe, args.n, args.seed) if cuts or recipe else explore.scores(lake)
    if args.json:
        print(explore.as_json(found))
    else:
        explore.print_found(out, found)
    if file is not None:
        write_recipe(file, args.recipe, cuts[0])
        console(stderr=True).print(f"Written: {file}", markup=False, soft_wrap=True)
    return 0


def _plan(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import planning as shown
    from jobs.runtime import comparison, costs, planning
    from jobs.runtime.recipe import load_recipe

    if (args.save or args.compare) and args.lake is None:
        raise BackpromptError(f"--{'save' if args.save else 'compare'} needs the lake: --lake LAKE")
    if args.recipe is None and not args.compare:
        raise BackpromptError("Name the recipe: backprompt plan RECIPE")
    recipe = load_recipe(args.recipe) if args.recipe is not None else None
    if args.compare:
        found = comparison.compare_lake(_lake(args, log_file), costs.prices(recipe) if recipe is not None else None)
        if args.json:
            print(shown.comparison_as_json(found))
        else:
            shown.print_comparison(console(), found)
        return 0
    assert recipe is not None
    options = planning.PlanOptions(
        args.share if args.share is not None else planning.SHARE, args.documents, args.trial, args.read_all
    )
    costs.currency(recipe)  # before Spark is started
    lake = _lake_or_none(args, log_file)
    planned = planning.make_plan(lake.spark, recipe, lake, options)
    if args.save:
        planning.save(lake, planned)
    if args.json:
        print(shown.as_json(planned))
        return 0
    shown.print_planned(console(), planned)
    saved = f"Saved as plan {planned.plan_id} in {lake}/plans." if args.save else "Nothing was written."
    console().print(saved, markup=False, soft_wrap=True)
    return 0


def _lake_or_none(args: argparse.Namespace, log_file: Path | None) -> Lake:
    """Return the lake that is named; without one, one that nothing is in."""
    from jobs.runtime.lake import Lake
    from jobs.runtime.session import get_session

    console(stderr=True).print("Starting Spark ...", markup=False)
    place = args.lake or str(_temporary_logs() / f"no-lake-{os.getpid()}")
    return Lake(get_session(log_file, dict(_setting(item) for item in args.conf)), place)


def _recipes(_args: argparse.Namespace, _log_file: Path | None) -> int:
    from jobs.commands.recipes import print_recipes

    print_recipes(console())
    return 0


def _explain(args: argparse.Namespace, _log_file: Path | None) -> int:
    from jobs.commands.recipes import print_explanation
    from jobs.runtime.recipe import load_recipe

    print_explanation(console(), load_recipe(args.recipe))
    return 0


def _lake(args: argparse.Namespace, log_file: Path | None) -> Lake:
    from jobs.runtime.lake import Lake, is_local
    from jobs.runtime.session import get_session

    if args.run is not _run and is_local(args.lake) and not Path(args.lake).is_dir():
        raise BackpromptError(f"There is no lake {args.lake}. 'backprompt run' makes one.")
    spark: SparkSession = get_session(log_file, dict(_setting(item) for item in args.conf))
    return Lake(spark, args.lake, args.checkpoints)


def _lake_that_is(args: argparse.Namespace, log_file: Path | None) -> Lake:
    """Return a lake that runs have written: what a command takes hold of must be one."""
    from jobs.runtime.recipe import FIRST

    lake = _lake(args, log_file)
    if not lake.exists(FIRST):
        raise BackpromptError(f"There is no lake {args.lake}: it has no table {FIRST}. 'backprompt run' makes one.")
    return lake


def _setting(text: str, option: str = "--conf") -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BackpromptError(f"{option} {text}: write KEY=VALUE")
    return key.strip(), value.strip()


def _log_file(args: argparse.Namespace) -> Path | None:
    if not hasattr(args, "log"):
        return None
    if args.log:
        return Path(args.log)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    if getattr(args, "lake", None) is None:
        return _temporary_logs() / f"{args.run.__name__.strip('_')}-{stamp}-{os.getpid()}.log"
    lake = Path(args.lake)
    # A lake that is not a folder we may write to, or not there yet for a command that only reads.
    is_folder = "://" not in args.lake and (args.run is _run or lake.is_dir()) and _is_writable(lake)
    folder = lake / "_logs" if is_folder else _temporary_logs()
    return folder.absolute() / f"{args.run.__name__.strip('_')}-{stamp}-{os.getpid()}.log"


def _temporary_logs() -> Path:
    return Path(tempfile.gettempdir(), f"backprompt-{os.getuid()}")


def _is_writable(folder: Path) -> bool:
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


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


if __name__ == "__main__":
    sys.exit(main())
