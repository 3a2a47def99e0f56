"""The results in one picture: one report in its parts at the top, the other items small below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from runner.notebook import charts
from tests.bench.one import COLD, PARTS, PEER, SHELL, WARM
from tests.bench.place import name_of
from tests.bench.shapes import Item, Row
from tests.bench.table import number

_COLOURS = dict(zip(PARTS, (charts.SKY, charts.NAVY, charts.TEAL, charts.GOLD, charts.PLUM), strict=True))
#: The report that the picture shows, where it was measured.
SHOWN = "aggregate_profit"


def draw(items: Sequence[Item]) -> Canvas:
    """The chart of what was measured; an item that failed or was left out has no panel."""
    found = {item.name: item for item in items}
    small = [(draw_one, found[name]) for name, draw_one in _PANELS.items() if name in found]
    below = -(-len(small) // 2)
    with style():
        chart = Canvas(figsize=(charts.FULL, 2.1 + 1.5 * below), layout="constrained")
        grid = chart.add_gridspec(1 + below, 2, height_ratios=[2.1, *([1.4] * below)])
        if "report" in found:
            _report(chart.add_subplot(grid[0, :]), found["report"], found.get("limit"))
        for place, (draw_one, item) in enumerate(small):
            draw_one(chart.add_subplot(grid[1 + place // 2, place % 2]), item)
    return chart


def style() -> AbstractContextManager[None]:
    """The chart style of the reports."""
    return mpl.rc_context({**charts.STYLE, "font.family": [charts.family()]})


def save(chart: Canvas, stem: Path) -> None:
    """The chart as PNG and SVG beside each other."""
    with style():
        chart.savefig(stem.with_suffix(".png"), dpi=160)
        chart.savefig(stem.with_suffix(".svg"), metadata={"Date": None})


def _report(axis: Axes, item: Item, limit: Item | None) -> None:
    """One report's seconds, each way it can be made, in its parts."""
    medians: Mapping[str, Any] = item.details["medians"]
    report = SHOWN if SHOWN in medians else next(iter(medians))
    bars = {name: medians[report][name] for name in (PEER, COLD, SHELL, WARM)}
    if limit:
        plain = item.details["samples"][report]["plain"]
        bars["the limit"] = {part: sorted(one.get(part, 0.0) for one in plain)[len(plain) // 2] for part in PARTS}
        bars["the limit"]["wall"] = sum(bars["the limit"].values())
    for place, bar in enumerate(bars.values()):
        left = 0.0
        for part in filter(bar.get, PARTS):  # a bar of no width would hold the axis where it stands
            axis.barh(place, bar[part], left=left, height=0.62, color=_COLOURS[part])
            left += bar[part]
        axis.annotate(f"{number(bar['wall'])} s", (left, place), (4, 0), textcoords="offset points", va="center")
    _rows(axis, list(bars))
    keys = [Patch(color=_COLOURS[part], label=part) for part in PARTS]
    axis.legend(handles=keys, ncols=len(PARTS), loc="lower right", handlelength=0.9, columnspacing=1.1)
    axis.set_title(f"One report ({name_of(report)}), from its trigger to HTML and PDF on disk, seconds")


def _rows(axis: Axes, labels: Sequence[str]) -> None:
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.14)


def _bars(axis: Axes, bars: Sequence[tuple[str, float, str]], title: str) -> None:
    """A bar for each label, with its value as text."""
    for place, (_, value, colour) in enumerate(bars):
        axis.barh(place, value, height=0.6, color=colour)
    _rows(axis, [label for label, _, _ in bars])
    axis.tick_params(axis="y", labelsize=6.5)
    axis.set_title(title)


def _texts(axis: Axes, ends: Sequence[tuple[float, str]]) -> None:
    for place, (end, text) in enumerate(ends):
        axis.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=6.5)


def _targets(axis: Axes, rows: Sequence[Row], title: str) -> None:
    """Rows that have a target: rust where it is missed, with the target as a mark."""
    goals = [float(row.target.split()[2].replace(",", "")) for row in rows]
    colours = [charts.NAVY if row.met else charts.RUST for row in rows]
    labels = [row.label.partition(":")[0] for row in rows]
    values = [row.value for row in rows]
    _bars(axis, list(zip(labels, values, colours, strict=True)), title)
    for place, goal in enumerate(goals):
        axis.plot([goal, goal], [place - 0.42, place + 0.42], color=charts.INK, linewidth=1.2)
    _texts(axis, [(max(value, goal), number(value)) for value, goal in zip(values, goals, strict=True)])


def _values(axis: Axes, rows: Sequence[Row], ours: str, title: str) -> None:
    """Rows without a target: ours dark, the others light."""
    labels = [row.label.partition(":")[0].replace("papermill pool, ", "pool, ") for row in rows]
    colours = [charts.NAVY if row.label.startswith(ours) else charts.SKY for row in rows]
    _bars(axis, [(label, row.value, colour) for label, row, colour in zip(labels, rows, colours, strict=True)], title)
    _texts(axis, [(row.value, number(row.value)) for row in rows])


def _fanout(axis: Axes, item: Item) -> None:
    rows = [row for row in item.rows if row.label.endswith(": reports a minute")]
    _values(axis, rows, "ours", f"{item.title}: reports a minute")


def _data(axis: Axes, item: Item) -> None:
    rows = [row for row in item.rows if row.target and "ours ÷ by hand" in row.label]
    _targets(axis, rows, "Data: time ÷ that of SQL by hand")


def _ledger(axis: Axes, item: Item) -> None:
    rows = [row for row in item.rows if row.target]
    _targets(axis, rows[len(rows) // 2 :], "Ledger: time with a long past ÷ that with none")


def _startup(axis: Axes, item: Item) -> None:
    _values(axis, [row for row in item.rows if row.unit == "s"], "runner", "Start of commands, seconds")


_PANELS: dict[str, Callable[[Axes, Item], None]] = {
    "fanout": _fanout,
    "data": _data,
    "ledger": _ledger,
    "startup": _startup,
}
