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
from pathlib import Path
from typing import TYPE_CHECKING, Final

if __name__ == "__main__" and __package__ in (None, ""):
    # `spark-submit jobs/__main__.py` puts jobs/ itself first on the path, where neither package can be found.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from jobs.arguments import parser
from jobs.runtime.console import ConsoleReporter, console
from jobs.runtime.errors import BackpromptError
from udfs.engines import EngineUnavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.runtime.lake import Lake


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    log_file = _log_file(args)
    if not args.debug:
        # A logger's filter does not see what the loggers below it pass up, so each one that speaks has its own.
        for name in (None, "py4j.clientserver"):
            logging.getLogger(name).addFilter(_says_more_than_py4j)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _COMMANDS[args.command](args, log_file)
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


def _run(args: argparse.Namespace, log_file: Path | None) -> int:
    from jobs.commands import summary
    from jobs.commands.dry_run import print_dry_run
    from jobs.runtime.pipeline import Options, dry_run, parse_stages, run
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
            print_dry_run(out, dry_run(lake.spark, recipe, lake, options, reporter))
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

    request = review.ReviewRequest(
        kind=args.kind,
        languages=_listed(args.language),
        rows=args.rows,
        seed=args.seed,
        sources=_listed(args.source),
        other_sources=_listed(args.other_source),
        texts=Path(args.texts) if args.texts else None,
        host=args.host,
        port=args.port,
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
    from jobs.commands import plan as shown
    from jobs.runtime import comparison, costs, planning
    from jobs.runtime.recipe import load_recipe

    if (args.save or args.compare) and args.lake is None:
        raise BackpromptError(f"--{'save' if args.save else 'compare'} needs the lake: --lake LAKE")
    if args.recipe is None and not args.compare:
        raise BackpromptError("Name the recipe: backprompt plan RECIPE")
    recipe = load_recipe(args.recipe) if args.recipe is not None else None
    if args.compare:
        prices, name = (costs.prices(recipe), recipe.name) if recipe is not None else (None, None)
        found = comparison.compare_lake(_lake(args, log_file), prices, recipe=name)
        if args.json:
            print(shown.comparison_as_json(found))
        else:
            shown.print_comparison(console(), found)
        return 0
    assert recipe is not None
    options = planning.PlanOptions(
        args.share if args.share is not None else planning.SHARE,
        args.documents,
        args.trial,
        args.read_all,
        args.rebuild,
    )
    costs.currency(recipe)  # before Spark is started
    lake = _lake_or_none(args, log_file)
    planned = planning.make_plan(lake.spark, recipe, lake, options)
    is_saved = args.save and bool(planned.plan.rows)
    if is_saved:
        planning.save(lake, planned)
    if args.json:
        print(shown.as_json(planned))
        return 0
    shown.print_planned(console(), planned)
    saved = f"Saved as plan {planned.plan_id} in {lake}/plans." if is_saved else "Nothing was written."
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


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace, Path | None], int]]] = {
    "run": _run,
    "retry": _retry,
    "forget": _forget,
    "vacuum": _vacuum,
    "cache": _cache,
    "status": _status,
    "show": _show,
    "check": _check,
    "clusters": _clusters,
    "dedup": _dedup,
    "check-engines": _check_engines,
    "export": _export,
    "review": _review,
    "review-results": _review_results,
    "report": _report,
    "explore": _explore,
    "plan": _plan,
    "recipes": _recipes,
    "explain": _explain,
}


def _lake(args: argparse.Namespace, log_file: Path | None) -> Lake:
    from jobs.runtime.lake import Lake, is_local
    from jobs.runtime.session import get_session

    if args.command != "run" and is_local(args.lake) and not Path(args.lake).is_dir():
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
        return _temporary_logs() / f"{args.command}-{stamp}-{os.getpid()}.log"
    lake = Path(args.lake)
    # A lake that is not a folder we may write to, or not there yet for a command that only reads.
    is_folder = "://" not in args.lake and (args.command == "run" or lake.is_dir()) and _is_writable(lake)
    folder = lake / "_logs" if is_folder else _temporary_logs()
    return folder.absolute() / f"{args.command}-{stamp}-{os.getpid()}.log"


def _temporary_logs() -> Path:
    return Path(tempfile.gettempdir(), f"backprompt-{os.getuid()}")


def _is_writable(folder: Path) -> bool:
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


if __name__ == "__main__":
    sys.exit(main())
