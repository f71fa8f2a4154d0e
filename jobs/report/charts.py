"""Charts as static SVG: Vega-Lite through Altair, drawn by vl-convert, in colours that the page's style sheet sets.

A chart is some 340 pixels wide, so that on a phone nothing is scaled down to where it cannot be read; a page puts them
side by side where there is room. Every chart has its numbers as a table beside it, so none says anything by colour
alone.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.report.data import Histogram, Table
from udfs.engines import EngineUnavailable

WIDTH: Final = 340
_ROW: Final = 22
_INK, _GRID = "var(--soft-ink)", "var(--grid)"
KEPT, LOST, LIMIT = "var(--kept)", "var(--lost)", "var(--limit)"
# Bars that a chart shows; its table has the others.
_BARS_SHOWN: Final = 20
# Names of bars: what vl-convert measures is its own font, a reader's system font may be a fifth wider.
_LABEL_PIXELS: Final = 112
_CHAR_PIXELS: Final = 7.3


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its numbers."""

    title: str
    svg: str
    """A whole ``<svg>`` element whose texts are escaped; "" where there is nothing to draw."""
    table: Table
    note: str = ""


def bars(title: str, counts: Sequence[tuple[str, float]], unit: str, note: str = "", kind: str = "") -> Figure:
    """Draw one bar a name, as they come.

    Args:
        title: what is shown.
        counts: names and values; of more than 20, the first are drawn and the table has all.
        unit: of the values, the second column's heading.
        note: a sentence below the chart.
        kind: what the names are, the first column's heading.
    """
    total = sum(value for _, value in counts)
    rows = [(name, number(value), share(value, total)) for name, value in counts]
    table = Table(title, (kind or "", unit, "share"), rows)
    shown = counts[:_BARS_SHOWN]
    if counts[_BARS_SHOWN:]:
        note = f"{note} The first {_BARS_SHOWN} of {len(counts)}; the table has all.".strip()
    if not any(value > 0 for _, value in shown):
        return Figure(title, "", table, note)
    alt = _altair()
    data = alt.Data(values=[{"name": name, "value": value, "label": number(value)} for name, value in shown])
    axis, row = _names([name for name, _ in shown]), _ROW
    if kind == "reason":
        # Stage and cause on lines of their own: cut, none could be told from another.
        axis |= {"labelLimit": 0, "labelOffset": -7, "labelExpr": "split(replace(datum.label, '.', '.\\n'), '\\n')"}
        axis["minExtent"] = round(max(len(part) for name, _ in shown for part in name.split(".")) * _CHAR_PIXELS) + 6
        row = _ROW + 12
    names = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(**axis))
    # Room for the number behind the longest bar.
    most = max(value for _, value in shown) * 1.28
    values = alt.X("value:Q", title=None, axis=None, scale=alt.Scale(domain=[0, most], nice=False))
    base = alt.Chart(data).encode(y=names, x=values)
    drawn = base.mark_bar(color=KEPT, cornerRadiusEnd=2)
    labels = base.mark_text(align="left", dx=4, color=_INK).encode(text="label:N")
    return Figure(title, _svg(drawn + labels, title, row * len(shown) + 8), table, note)


def stacked(title: str, rows: Sequence[tuple[str, float, float]], kept: str, lost: str, note: str = "") -> Figure:
    """Draw bars of two parts, such as alive and rejected rows by stage.

    Args:
        title: what is shown.
        rows: name and the two values.
        kept: name of the first value.
        lost: name of the second.
        note: a sentence below the chart.
    """
    table = Table(
        title,
        ("", kept, lost, f"share {lost}"),
        [(name, number(one), number(other), share(other, one + other)) for name, one, other in rows],
    )
    if not any(one + other > 0 for _, one, other in rows):
        return Figure(title, "", table, note)
    alt = _altair()
    values = [
        {"name": name, "part": part, "order": order, "value": value}
        for name, *both in rows
        for order, (part, value) in enumerate(zip((kept, lost), both, strict=True))
    ]
    drawn = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(**_names([name for name, *_ in rows]))),
            x=alt.X("value:Q", title="rows", axis=alt.Axis(tickCount=4, format="~s")),
            color=alt.Color(
                "part:N", sort=None, scale=alt.Scale(domain=[kept, lost], range=[KEPT, LOST]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order="order:Q",
        )
    )  # fmt: skip
    return Figure(title, _svg(drawn, title, _ROW * len(rows) + 80), table, note)


def histogram(
    title: str, counted: Histogram, unit: str, limit: float | None = None, is_least: bool = False, note: str = ""
) -> Figure:
    """Draw rows by the bins of a value.

    Args:
        title: what is shown.
        counted: the histogram.
        unit: of the value.
        limit: where a line is drawn.
        is_least: whether the rows from the limit up are kept, rather than those up to it.
        note: a sentence below the chart.
    """
    edges = counted.bins.edges()
    spans = [(edges[place], edges[place + 1], count) for place, count in enumerate(counted.counts)]
    filled = [place for place, (*_, count) in enumerate(spans) if count]
    rows = [(f"{brief(spans[at][0])} to {brief(spans[at][1])}", number(spans[at][2])) for at in filled]
    table = Table(title, (unit, "rows"), [(name, count, share(spans[at][2], counted.rows)) for at, (name, count) in
                                          zip(filled, rows, strict=True)])  # fmt: skip
    table = Table(title, (unit, "rows", "share"), table.rows)
    if not filled:
        return Figure(title, "", table, note)
    alt = _altair()
    if counted.bins.scale == "log":
        # Of lengths, the empty ends say nothing.
        ends = [edges[filled[0]], edges[filled[-1] + 1]]
        if limit is not None and limit > 0:
            ends = [min(ends[0], limit / 1.2), max(ends[1], limit * 1.2)]
        spans = [span for span in spans if span[0] >= ends[0] * 0.999 and span[1] <= ends[1] * 1.001]
        scale = alt.Scale(type="log", domain=ends, nice=False)
    else:
        ends = [edges[0], edges[-1]]
        scale = alt.Scale(domain=ends, nice=False)
    values = [{"from": one, "to": other, "rows": count, "zero": 0} for one, other, count in spans if count]
    drawn = (
        alt.Chart(alt.Data(values=values))
        .mark_rect(color=KEPT, stroke="var(--paper)", strokeWidth=1)
        .encode(
            x=alt.X("from:Q", title=unit, scale=scale, axis=alt.Axis(format="~s", tickCount=5, labelOverlap=True)),
            x2="to:Q",
            y=alt.Y("rows:Q", title="rows", axis=alt.Axis(tickCount=4, format="~s")),
            y2="zero:Q",
        )
    )
    if limit is not None and ends[0] <= limit <= ends[1]:
        line = alt.Chart(alt.Data(values=[{"at": limit, "label": f"{'≥' if is_least else '≤'} {brief(limit)}"}]))
        place = alt.X("at:Q", scale=scale)
        is_left = _place(limit, ends, counted.bins.scale) > 0.7
        drawn = (
            drawn
            + line.mark_rule(color=LIMIT, strokeWidth=2, strokeDash=[5, 3]).encode(x=place)
            + line.mark_text(
                color=LIMIT, align="right" if is_left else "left", dx=-5 if is_left else 5, y=8, fontWeight="bold"
            ).encode(x=place, text="label:N")
        )
    return Figure(title, _svg(drawn, title, 170), table, note)


def number(value: float) -> str:
    """Write a number for a person.

    >>> number(12345), number(0.25)
    ('12,345', '0.25')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}" if value < 100 else f"{value:,.1f}"


def brief(value: float) -> str:
    """Write a bound of a bin.

    >>> brief(0.30000000000000004), brief(1467.8), brief(-0.1)
    ('0.3', '1,468', '-0.1')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(value: float, total: float) -> str:
    """Write a share in percent; an empty total has none.

    >>> share(1, 3), share(1, 100_000), share(0, 0)
    ('33.3 %', '< 0.1 %', '')
    """
    if not total:
        return ""
    return "< 0.1 %" if 0 < value / total < 0.001 else f"{value / total:.1%}".replace("%", " %")


def _names(labels: Sequence[str]) -> dict[str, Any]:
    """Return how an axis of names looks, with room for the longest."""
    room = min(_LABEL_PIXELS * 1.2, max(map(len, labels)) * _CHAR_PIXELS) + 6
    return {"labelLimit": _LABEL_PIXELS, "minExtent": round(room), "ticks": False, "domain": False, "labelPadding": 6}


def _place(value: float, ends: Sequence[float], scale: str) -> float:
    if scale == "log":
        value, low, high = (math.log(each) for each in (value, *ends))
    else:
        low, high = ends
    return (value - low) / (high - low)


def _svg(chart: Any, title: str, height: int) -> str:
    """Draw a chart; the result is one element that takes the page's colours and names itself."""
    axis = {
        "labelColor": _INK, "titleColor": _INK, "tickColor": _GRID, "domainColor": _GRID, "gridColor": _GRID,
        "titleFontWeight": "normal", "labelFontSize": 12, "titleFontSize": 12,
    }  # fmt: skip
    chart = (
        chart.properties(width=WIDTH, height=height, background="transparent")
        .configure(autosize={"type": "fit", "contains": "padding"}, font="system-ui, sans-serif", aria=False, padding=2)
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_legend(labelColor=_INK, labelFontSize=12)
        .configure_text(fontSize=12)
    )
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    found = buffer.getvalue()
    # Names inside, such as those of clipping paths, would be the same in every chart of the page.
    own = hashlib.sha256(found.encode()).hexdigest()[:12]
    found = re.sub(r'(\bid="|url\(#)', rf"\g<1>c{own}-", found)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return re.sub(
        r"<svg\b[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 role="img" aria-label="{0}">', found, count=1
    ).replace('"{0}"', f'"{label}"', 1)


def _altair() -> Any:
    try:
        import altair
        import vl_convert  # noqa: F401  (what altair draws with)
    except ImportError as error:
        raise EngineUnavailable(
            f"The report needs the package {error.name}: pip install 'backprompt[report]'"
        ) from error
    return altair
