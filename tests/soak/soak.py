"""Kill `backprompt run` again and again, start it again, and compare what it made with what an unkilled run made.

    python -m tests.soak.soak --kills 25 --seed 1 --work build/soak

A reference lake is filled by two runs that nothing disturbs: over a corpus, and over the same corpus with new, changed
and copied documents. Then other lakes are filled by the same two runs, killed at moments drawn from the reference's
time line, the start of Spark left out. Half of the moments are any, half are when a commit of a table has just
appeared, which is when a batch is half written. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.runtime.lake import Lake
from jobs.runtime.session import get_session
from tests.soak.compare import TABLES, differences, row_counts
from tests.soak.corpus import Corpus
from tests.soak.processes import STAGES, Run, StageTime

PHASES = (0, 1)
_POLL_SECONDS = 0.002
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a lake's table."""

    table: str
    version: int
    at: float


@dataclass(frozen=True, slots=True)
class Reference:
    """One unkilled run: what happened when, in seconds of ``time.time``."""

    startup_seconds: float
    stages: tuple[StageTime, ...]
    commits: tuple[Commit, ...]

    @property
    def seconds(self) -> float:
        """Return how long the stages took."""
        return self.stages[-1].ended - self.stages[0].began


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: so long into a stage, or when a table's next commit from ``version`` on appears."""

    phase: int
    at: float
    """Place in the reference's time line, for the order."""
    stage: str
    into_seconds: float
    commit: Commit | None = None

    def __str__(self) -> str:
        if self.commit:
            return f"as version {self.commit.version} of {self.commit.table} appears"
        return f"{self.into_seconds:.1f} s into {self.stage}"


def run_arguments(corpus: Corpus, lake: Path) -> list[object]:
    """Return the command that is killed and started again."""
    return ["run", "--recipe", corpus.recipe, "--lake", lake]


def make_reference(corpus: Corpus, lake: Path, log: Path, phases: Sequence[int] = PHASES) -> list[Reference]:
    """Fill the reference lake; return the time line of each phase."""
    references = []
    for phase in phases:
        corpus.lay(phase)
        before = {(commit.table, commit.version) for commit in commits(lake)}
        run = Run(run_arguments(corpus, lake), log)
        run.finish()
        if tuple(stage.stage for stage in run.stages) != STAGES:
            raise RuntimeError(f"the run's output does not name every stage, see {log}")
        began = run.stages[0].began
        made = tuple(each for each in commits(lake) if (each.table, each.version) not in before)
        references.append(Reference(began - run.started, tuple(run.stages), made))
    return references


def commits(lake: Path) -> list[Commit]:
    """Return all commits of a lake's tables, in the order they were made."""
    files = lake.glob("*/_delta_log/*.json")
    found = [Commit(file.parts[-3], int(file.stem), file.stat().st_mtime) for file in files if file.stem.isdigit()]
    return sorted(found, key=lambda commit: commit.at)


def draw_moments(references: Sequence[Reference], count: int, chance: random.Random) -> list[Moment]:
    """Draw moments from the references' time lines, in their order."""
    moments = []
    for _ in range(count):
        phase = chance.choices(range(len(references)), [each.seconds for each in references])[0]
        reference = references[phase]
        commit = chance.choice(reference.commits) if chance.random() < 0.5 else None
        at = commit.at if commit else chance.uniform(reference.stages[0].began, reference.stages[-1].ended)
        stage = next(each for each in reversed(reference.stages) if each.began <= at or each is reference.stages[0])
        moments.append(Moment(phase, at, stage.stage, max(0.0, at - stage.began), commit))
    return sorted(moments, key=lambda moment: (moment.phase, moment.at))


def run_until(run: Run, moment: Moment, lake: Path, already_seconds: float, startup_seconds: float) -> bool:
    """Wait until a run reaches a moment; False if it ends before.

    ``already_seconds`` of the stage had been worked through when an earlier run was killed in it.
    """
    if moment.commit:
        logs = lake / moment.commit.table / "_delta_log"
        newest = max((int(each.stem) for each in logs.glob("*.json") if each.stem.isdigit()), default=-1)
        awaited = logs / f"{max(newest + 1, moment.commit.version):020}.json"
        while not run.is_over:
            if awaited.exists():
                return True
            time.sleep(_POLL_SECONDS)
        return False
    place, into = STAGES.index(moment.stage), max(0.0, moment.into_seconds - already_seconds)
    while not run.is_over:
        began = run.stages[-1].ended if run.stages else run.started + startup_seconds
        if len(run.stages) > place or (len(run.stages) == place and time.time() - began >= into):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def fill_killed(
    corpus: Corpus, lake: Path, log: Path, references: Sequence[Reference], moments: Sequence[Moment]
) -> list[str]:
    """Fill a lake by runs that are killed at the moments; return, for each kill, the stage it fell into."""
    reached: list[str] = []
    for phase, reference in enumerate(references):
        corpus.lay(phase)
        last: Moment | None = None
        for moment in (each for each in moments if each.phase == phase):
            # What an earlier run did of the stage is not done again; a commit may come anywhere in its stage.
            already = last.into_seconds if last and last.stage == moment.stage else 0.0
            run = Run(run_arguments(corpus, lake), log)
            if not run_until(run, moment, lake, already, reference.startup_seconds):
                run.finish()
                print(f"  phase {phase}: the run ended before '{moment}'", flush=True)
                continue
            stage, seconds = run.stage, time.time() - run.started
            processes = run.kill()
            reached.append(stage)
            print(
                f"  phase {phase}, kill {len(reached)}: {moment}; in {stage}, {seconds:.1f} s after the start, "
                f"{processes} processes",
                flush=True,
            )
            last = moment
        Run(run_arguments(corpus, lake), log).finish()
    return reached


def check_lake(lake: Path, log: Path) -> bool:
    """Say whether `backprompt check` passes."""
    run = Run(["check", "--lake", lake], log)
    try:
        run.finish()
    except RuntimeError as error:
        print(error)
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="at least so many (default 25)")
    parser.add_argument("--kills-per-lake", type=int, default=13, help="then a fresh lake (default 13)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--documents", type=int, default=25, help="taken from each file of the demo (default 25)")
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="folders of the demo, and no dumps (default: all)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for corpus, lakes and logs; emptied first")
    args = parser.parse_args(argv)
    work: Path = args.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    corpus = Corpus(
        work / "project",
        args.documents,
        args.languages,
        dumps=args.languages is None,
        max_files=10 if args.languages is None else 2,
    )
    chance = random.Random(args.seed)

    references = make_reference(corpus, work / "reference", work / "reference.log")
    for phase, reference in enumerate(references):
        print(
            f"Reference, phase {phase}: {reference.startup_seconds:.1f} s to start, {reference.seconds:.1f} s in "
            f"stages, {len(reference.commits)} commits",
            flush=True,
        )
    done: list[str] = []
    lakes: list[Path] = []
    failed = False
    while len(done) < args.kills:
        lake = work / f"killed-{len(lakes) + 1}"
        print(f"Lake {lake.name}:", flush=True)
        moments = draw_moments(references, min(args.kills_per_lake, args.kills - len(done)), chance)
        done += fill_killed(corpus, lake, work / f"{lake.name}.log", references, moments)
        lakes.append(lake)
        if not check_lake(lake, work / f"{lake.name}.log"):
            failed = True
    falls = Counter(done)
    print(f"{len(done)} kills in {len(lakes)} lakes: " + ", ".join(f"{s} {falls[s]}" for s in (*STAGES, "end")))

    spark = get_session(work / "compare.log")
    expected = Lake(spark, str(work / "reference"))
    print("Rows compared: " + ", ".join(f"{table} {count:,}" for table, count in row_counts(expected).items()))
    for lake in lakes:
        found = differences(expected, Lake(spark, str(lake)))
        failed = failed or bool(found)
        print(f"{lake.name}: {len(found)} differences from the reference, in {len(TABLES)} tables")
        for line in found[:_SHOWN]:
            print("  " + line)
    spark.stop()
    print("FAILED" if failed else "Every lake equals the reference, and every check passes.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
