"""A report as one HTML file: no request to anywhere, light and dark, every script with its own direction and fonts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Final

from jobs.markup import script_fonts, text_attributes
from jobs.report.charts import Figure
from jobs.report.data import ReportData, Table
from jobs.report.sections import Block, Facts, Folded, Samples, Text, language_name, sections
from udfs.engines import EngineUnavailable

_KINDS: Final = {Facts: "facts", Text: "text", Samples: "samples", Folded: "folded", Figure: "figure", Table: "table"}


def render(data: ReportData) -> str:
    """Return the report as HTML. Every text of the lake is escaped; no script but the page's own may run.

    Raises:
        EngineUnavailable: if a package of the extra ``report`` is missing.
    """
    try:
        import jinja2
    except ImportError as error:
        raise EngineUnavailable("The report needs the package jinja2: pip install 'backprompt[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": _kind, "runs": _runs, "attributes": partial(text_attributes, data.languages)}
    assert environment.loader is not None
    script, style = (environment.loader.get_source(environment, name)[0] for name in ("report.js", "report.css"))
    return environment.get_template("report.html").render(
        data=data,
        sections=list(sections(data)),
        script=script,
        style=style + script_fonts(),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        language_name=lambda code: language_name(data, code),
    )


def _kind(block: Block) -> str:
    return _KINDS[type(block)]


def _runs(blocks: Sequence[Block]) -> list[tuple[bool, list[Block]]]:
    """Part blocks into runs of figures, which stand side by side, and of others."""
    return [(is_figure, list(run)) for is_figure, run in groupby(blocks, key=lambda each: isinstance(each, Figure))]
