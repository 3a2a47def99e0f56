"""One chart style for every report: drawn at text width, with the report's font, identical bytes each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.rcsetup import cycler
from matplotlib.textpath import TextPath
from matplotlib.ticker import Formatter
from matplotlib.transforms import Affine2D
from numpy.typing import ArrayLike, NDArray

from runner.notebook import drawing
from runner.notebook.figures import MINUS, shown, signed

DPI = 160  # of the PNG
FULL, HALF = 6.9, 3.35  # inches: the text width of a page, and half of it less the gutter
INK, MUTED, GRID = "#1c2733", "#5d6b7a", "#e3e8ee"
NAVY, TEAL, RUST, GOLD, SKY, PLUM = "#16324f", "#0f766e", "#c2410c", "#b7892b", "#7aa6c9", "#7c4d79"
CYCLE = (NAVY, RUST, TEAL, GOLD, SKY, PLUM)
#: Band of what is usual, behind a series.
BAND = "#dbe6f0"

FONTS = FilePath(__file__).resolve().parents[2] / "templates" / "fonts"

STYLE: dict[Any, Any] = {  # matplotlib's stubs list the keys one by one
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "medium",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else each look at a panel works out anew how high its title lies
    "axes.labelsize": 7.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa7b4",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "runner",
    "axes.unicode_minus": True,
}


@cache
def family() -> str:
    """The report's own font where the templates hold it, else matplotlib's default."""
    found = sorted(FONTS.glob("Inter-*.ttf"))
    for font in found:
        fontManager.addfont(str(font))
    return "Inter" if found else "DejaVu Sans"


def use() -> None:
    """Make the shared style matplotlib's for the rest of the notebook."""
    mpl.rcParams.update({**STYLE, "font.family": [family()]})


def canvas(height: float = 2.5, *, half: bool = False, panels: int = 1) -> tuple[Canvas, list[Axes]]:
    """An empty chart at exactly the text width (or half), `height` inches high, with `panels` axes side by side."""
    chart = Canvas(figsize=(HALF if half else FULL, height), layout="constrained")
    axes = [chart.add_subplot(1, panels, place + 1) for place in range(panels)]
    for axis in axes:
        axis.grid(visible=False, axis="x")
    return chart, axes


def units(axis: Axes, unit: str, which: str = "y") -> None:
    """Label an axis in a unit of `figures.shown`."""
    getattr(axis, f"{which}axis").set_major_formatter(_Unit(unit))


class _Unit(Formatter):
    """Tick labels with as many decimals as the ticks need, so that even steps are never rounded to uneven ones."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def __call__(self, value: float, pos: int | None = None) -> str:  # noqa: ARG002  matplotlib's signature
        return self.format_ticks([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The labels of all ticks together."""
        scale, before, after = self._dress(values)
        digits = _decimals([float(value) * scale for value in values])
        texts = [
            f"{before}{abs(value) * scale:,.{digits}f}{after if value or after != 'k' else ''}" for value in values
        ]
        return [text if value >= 0 else MINUS + text for value, text in zip(values, texts, strict=True)]

    def _dress(self, values: Sequence[float]) -> tuple[float, str, str]:
        """What a value is multiplied by, and what stands before and after it."""
        if self.unit in ("usd", "usd2"):
            is_large = max((abs(float(value)) for value in values), default=0.0) >= 10_000
            return (0.001, "$", "k") if is_large else (1, "$", "")
        return (100, "", "%") if self.unit in ("percent", "growth") else (1, "", "")


def _decimals(ticks: Sequence[float]) -> int:
    """The fewest decimals, up to four, that tell every tick as it is."""
    return next((n for n in range(4) if all(abs(round(tick, n) - tick) < 1e-6 for tick in ticks)), 4)


def pictures(chart: Canvas, dpi: int = DPI) -> tuple[str, bytes]:
    """The chart as SVG text and, for mail and for programs that draw no SVG, as PNG bytes; the same bytes each time."""
    return drawing.draw(chart, dpi)


def svg(chart: Canvas) -> str:
    """The chart as SVG text alone."""
    return pictures(chart)[0]


def png(chart: Canvas, dpi: int = DPI) -> bytes:
    """The chart as PNG bytes alone."""
    return pictures(chart, dpi)[1]


def is_blank(chart: Canvas) -> bool:
    """Whether the chart holds no drawn data at all: no line, bar, area, point or picture, or only nan and nothing."""
    return not any(axis.has_data() and np.isfinite(axis.dataLim.get_points()).any() for axis in chart.axes)


def days(axis: Axes) -> None:
    """A date axis with few, short labels: `6 Nov`, and the year where it changes."""
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    formats = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%S"]
    formatter = ConciseDateFormatter(locator, formats=formats)  # type: ignore[no-untyped-call]
    formatter.zero_formats = ["", "%Y", "%-d %b", "%-d %b", "%H:%M", "%H:%M"]
    formatter.show_offset = False
    axis.xaxis.set_major_formatter(formatter)


def bars(  # noqa: PLR0913  each is one thing that the reader sees
    axis: Axes,
    places: ArrayLike,
    lengths: ArrayLike,
    color: str,
    *,
    width: float = 0.8,
    label: str = "",
    sideways: bool = False,
) -> None:
    """Bars of one colour from zero, `width` wide and centred at their places (numbers, days or names).

    They look like those of `axis.bar`, or `axis.barh` when they lie `sideways`, but are one shape: a chart of fifty
    days is drawn ten times as fast.
    """
    along: Any = axis.yaxis if sideways else axis.xaxis
    along.update_units(places)
    middles, ends = np.asarray(along.convert_units(places), np.float64), np.asarray(lengths, np.float64)
    drawn = np.isfinite(middles) & np.isfinite(ends)
    x, y = middles[drawn] + np.array([[-1], [-1], [1], [1], [-1]]) * width / 2, ends[drawn]
    corners = np.stack([x, np.stack([0 * y, y, y, 0 * y, 0 * y])], axis=-1).swapaxes(0, 1).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(y))
    path = Path(corners[:, ::-1] if sideways else corners, codes)
    shape = PathPatch(path, color=color, linewidth=0, label=label or "_nolegend_")
    (shape.sticky_edges.x if sideways else shape.sticky_edges.y).append(0)
    axis.add_patch(shape)
    axis.autoscale_view()


def numbers(axis: Axes, grid: NDArray[Any], colors: Sequence[str], size: float = 6.5) -> None:
    """A number in each cell of a heat map that `axis.imshow` draws; a colour for each, row by row; `size` in points.

    They look like those of `axis.text`, but each number is drawn once, wherever it stands.
    """
    cells: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for ((row, column), value), color in zip(np.ndenumerate(grid), colors, strict=True):
        cells.setdefault((f"{value}", color), []).append((column, row))
    axis.add_artist(_Numbers(cells, size))


class _Numbers(Artist):
    """Texts, each in one colour at many places."""

    def __init__(self, cells: Mapping[tuple[str, str], Sequence[tuple[int, int]]], size: float) -> None:
        super().__init__()
        self._cells, self._size = cells, size
        self.set_zorder(3)
        self.set_in_layout(False)  # they lie inside the map

    def draw(self, renderer: Any) -> None:
        """Set each text as a mark at its places."""
        scale, data = Affine2D().scale(renderer.points_to_pixels(1)), self.get_transform()
        for (text, color), places in self._cells.items():
            gc = renderer.new_gc()
            gc.set_linewidth(0)
            renderer.draw_markers(gc, _outline(text, self._size), scale, Path(places), data, to_rgba(color))
            gc.restore()


@cache
def _outline(text: str, size: float) -> Path:
    """A text's outline in points about its middle."""
    drawn = TextPath((0, 0), text, size=size, prop=FontProperties(family=family()))
    middle = drawn.get_extents().get_points().mean(axis=0)
    return Path(drawn.vertices - middle, drawn.codes)


def waterfall(axis: Axes, start: tuple[str, float], steps: dict[str, float], end: tuple[str, float], unit: str) -> None:
    """A bridge from one total to another: whole bars at both ends, hanging bars of gains and losses between."""
    labels, level = [start[0], *steps, end[0]], start[1]
    axis.bar(0, start[1], color=NAVY, width=0.62)
    for place, value in enumerate(steps.values(), start=1):
        axis.bar(place, value, bottom=level, color=TEAL if value >= 0 else RUST, width=0.62)
        axis.plot([place - 0.69, place + 0.31], [level, level], color=MUTED, linewidth=0.6)
        level += value
        axis.annotate(signed(value, unit), (place, max(level, level - value)), (0, 3), textcoords="offset points",
                      ha="center", fontsize=7.5)  # fmt: skip
    axis.bar(len(labels) - 1, end[1], color=NAVY, width=0.62)
    for place, (_, total) in ((0, start), (len(labels) - 1, end)):
        axis.annotate(shown(total, unit), (place, max(total, 0)), (0, 3), textcoords="offset points",
                      ha="center", fontsize=7.5, fontweight="semibold")  # fmt: skip
    axis.set_xticks(range(len(labels)), labels)
    _near_the_steps(axis, start[1], list(steps.values()), end[1])
    units(axis, unit)


def _near_the_steps(axis: Axes, start: float, steps: list[float], end: float) -> None:
    """Leave out the part of the axis below everything that happens, and say so, when the steps are small beside it."""
    levels = [start, end]
    for step in steps:
        levels.append(levels[-1] + step if len(levels) > 2 else start + step)
    low, high = min(levels), max(levels)
    spread = max(high - low, abs(high) * 0.01)
    if low > 3 * spread:
        axis.set_ylim(low - 1.2 * spread, high + 0.6 * spread)
        axis.set_ylabel("axis does not start at zero")
    else:
        axis.margins(y=0.12)
