"""Deduplicates one table, with an index or without, in this process: one step of ``increment``."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.near_duplicates import ours, watch
from benchmarks.near_duplicates.child import split_name


def main() -> None:
    """Run the step that the arguments name.

    They are: tool, documents, index (may be empty), documents to warm up with (may be empty), threshold, folder, start.
    """
    name, documents, index, warm_up, threshold, folder, began = sys.argv[1:]
    from jobs.commands.dedup import DedupRequest, deduplicate_files

    tool, options = split_name(name)
    chosen = ours.nine_characters() if tool == "ours" else {}
    settings = ours.settings(float(threshold), options, chosen)
    spark = ours.session(Path(folder), options)
    output = Path(folder) / "out"
    request = DedupRequest(
        input=documents, output=str(output), column="text", id_column="doc_id", settings=settings, index=index or None
    )
    if warm_up:  # as the step before it does in a session that is kept: against an index, which is not this one
        scratch = str(Path(folder) / "scratch")
        for part in ("index", "again"):
            deduplicate_files(
                spark, replace(request, input=warm_up, output=f"{scratch}-{part}-out", index=f"{scratch}-index")
            )
    ready, startup_cpu_s = time.time(), watch.tree_cpu_s(os.getpid())
    deduplicate_files(spark, request)
    work_s, work_cpu_s = time.time() - ready, watch.tree_cpu_s(os.getpid()) - startup_cpu_s
    report = {
        "startup_s": ready - float(began),
        "startup_cpu_s": startup_cpu_s,
        "work_s": work_s,
        "work_cpu_s": work_cpu_s,
        "kept": sorted(ours.kept_ids(output)),
    }
    (Path(folder) / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
