"""The project itself, through its public interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.near_duplicates.peers import Late, Run, Work
from benchmarks.near_duplicates.yardstick import SHINGLE_CHARS

_SETTING = "dedup."
_MEMORY = "6g"


def ours(run: Run) -> Work:
    """Deduplicate with shingles of nine characters in every script, as the yardstick has them."""
    return _start(run, nine_characters())


def ours_default(run: Run) -> Work:
    """Deduplicate with the project's own shingle lengths, shorter for Chinese, Japanese and Korean."""
    return _start(run, {})


def nine_characters() -> dict[str, Any]:
    """Return the setting that makes shingles of nine characters in every script."""
    from udfs.folding import CLASSES

    return {"shingle_chars": dict.fromkeys(CLASSES, SHINGLE_CHARS)}


def check_options(options: Mapping[str, str]) -> None:
    """Refuse an option that is none of ``cores``, ``partitions`` (of a shuffle), ``spark.NAME`` and ``dedup.NAME``.

    Raises:
        ValueError: naming the option.
    """
    for key in options:
        if key not in ("cores", "partitions") and not key.startswith(("spark.", _SETTING)):
            raise ValueError(f"ours has no option {key}; it has cores, partitions, spark.NAME and dedup.NAME.")


def session(work: Path, options: Mapping[str, str]) -> Any:
    """Start Spark as the project does, with the options that are Spark's."""
    from jobs.runtime.session import get_session

    conf = {"spark.driver.memory": _MEMORY}
    for key, value in options.items():
        if key == "cores":
            conf["spark.master"] = f"local[{value}]"
        elif key == "partitions":
            conf["spark.sql.shuffle.partitions"] = value
        elif key.startswith("spark."):
            conf[key] = value
    spark = get_session(work / "spark.log", conf)
    spark.range(1).count()
    return spark


def settings(threshold: float, options: Mapping[str, str], chosen: Mapping[str, Any]) -> Any:
    """Return the stage's settings: those chosen here, then the options ``dedup.NAME``, read as YAML."""
    import yaml

    from jobs.stages.dedup import DedupSettings

    given = {
        key.removeprefix(_SETTING): yaml.safe_load(value) for key, value in options.items() if key.startswith(_SETTING)
    }
    return DedupSettings.model_validate({"scope": "all", "threshold": threshold, **chosen, **given})


def kept_ids(output: Path) -> Iterator[str]:
    """Return the ids of the documents that an output folder holds as kept."""
    import pyarrow.dataset as ds

    for batch in ds.dataset(output / "is_duplicate=false", format="parquet").to_batches(columns=["doc_id"]):
        yield from batch.column("doc_id").to_pylist()


def _start(run: Run, chosen: Mapping[str, Any]) -> Work:
    from jobs.commands.dedup import DedupRequest, deduplicate_files

    made = settings(run.threshold, run.options, chosen)
    spark = session(run.folder, run.options)
    output = run.folder / "out"
    request = DedupRequest(
        input=str(run.documents), output=str(output), column="text", id_column="doc_id", settings=made
    )

    def work() -> Iterable[str]:
        deduplicate_files(spark, request)
        return Late(lambda: kept_ids(output))

    return work
