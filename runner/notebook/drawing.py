"""A chart as SVG and PNG: laid out once, and drawn once for both.

matplotlib lays a chart out anew for each format and draws it again from its data. Here the ticks are settled, the
panels are placed, and then one pass over the chart's parts tells two renderers what to draw: the SVG's, in points, and
beside it the PNG's, at its own resolution. The same chart has the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator
from matplotlib.transforms import Affine2D, Bbox, BboxBase, TransformedBbox, TransformedPath

# matplotlib's renderers have no types.
_SVG: Any = RendererSVG
_PNG: Any = RendererAgg
_MIXED: Any = MixedModeRenderer
POINTS = 72  # an inch, in the unit in which everything is placed
PAD = 3.0  # points kept free around a panel with its labels
#: Between two panels, as a share of a panel's room.
BETWEEN = 0.02
#: Margins of a panel before its labels are measured, in points: near enough that its ticks are those it keeps.
GUESS = (27.0, 19.0, 4.0, 17.0)


def draw(chart: Canvas, dpi: int) -> tuple[str, bytes]:
    """The chart as SVG text and as PNG bytes of `dpi` dots an inch, both without a date and a program's name."""
    chart.set_dpi(POINTS)
    out = io.StringIO()
    width, height = (float(side) for side in chart.get_size_inches())
    untold = {"Date": None, "Creator": None}
    vector: Any = _SVG(width * POINTS, height * POINTS, out, image_dpi=dpi, metadata=untold)
    raster: Any = _PNG(round(width * dpi), round(height * dpi), dpi)
    both: Any = _Both(_MIXED(chart, width, height, dpi, vector), raster, chart)
    settle(chart, both)
    chart.draw(both)
    vector.finalize()
    return out.getvalue(), _png(raster)


def _png(raster: Any) -> bytes:
    """The picture's pixels as PNG, without transparency; unfiltered, which is fast and small for flat colours."""
    pixels = np.asarray(raster.buffer_rgba())[:, :, :3]
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # before each line stands the number of its filter
    lines[:, 1:] = pixels.reshape(height, -1)
    head, dots = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), round(raster.dpi / 0.0254)
    chunks = {
        b"IHDR": head,
        b"pHYs": struct.pack(">IIB", dots, dots, 1),
        b"IDAT": zlib.compress(lines.tobytes(), 3),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# Layout


def settle(chart: Canvas, renderer: Any) -> None:
    """Give each tick and each panel its place, where matplotlib's constrained layout was to; once for a chart."""
    engine = chart.get_layout_engine()
    if not isinstance(engine, ConstrainedLayoutEngine):
        return
    if _is_row(chart):
        _place(chart, [GUESS] * len(chart.axes))
        _fix_ticks(chart)
        _place(chart, [_margins(axes, renderer) for axes in chart.axes])
    else:
        engine.execute(chart)
        _fix_ticks(chart)
    chart.set_layout_engine("none")


def _is_row(chart: Canvas) -> bool:
    """Whether the chart is panels side by side, as `charts.canvas` makes them, and nothing besides."""
    count = len(chart.axes)
    specs = [axes.get_subplotspec() for axes in chart.axes]
    in_row = [spec is not None and spec.get_geometry() == (1, count, n, n) for n, spec in enumerate(specs)]
    more = [part for axes in chart.axes for part in (*axes.child_axes, *axes.artists, *axes.tables)]
    plain = [not part.get_in_layout() for part in more]
    return all(in_row) and all(plain) and not (chart.texts or chart.legends or chart.subfigs or chart.artists)


def _fix_ticks(chart: Canvas) -> None:
    """Work out ticks and their labels for good: else each look at an axis does it again."""
    for axis in _every_axis(chart):
        places, formatter = list(axis.get_majorticklocs()), axis.get_major_formatter()
        fixed = FixedFormatter(formatter.format_ticks(places))
        fixed.set_offset_string(formatter.get_offset())
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter(fixed)
        if not axis.get_label_text():  # an empty label needs no place, which is dear to find
            axis.set_label_coords(0, 0)


def _every_axis(chart: Canvas) -> Iterator[Axis]:
    return (axis for axes in chart.axes for axis in (axes.xaxis, axes.yaxis))


def _margins(axes: Axes, renderer: Any) -> tuple[float, float, float, float]:
    """What a panel's labels take left, below, right and above of it, in points."""
    inner = axes.get_window_extent()
    outer = Bbox.union([inner, *_around(axes, renderer)])
    return inner.x0 - outer.x0 + PAD, inner.y0 - outer.y0 + PAD, outer.x1 - inner.x1 + PAD, outer.y1 - inner.y1 + PAD


def _around(axes: Axes, renderer: Any) -> Iterator[BboxBase]:
    """The boxes of all that may stick out of a panel."""
    for axis in (axes.xaxis, axes.yaxis):
        box = axis.get_tightbbox(renderer, for_layout_only=True)
        if box is not None:
            yield box
    for title in axes.get_children():
        if isinstance(title, Text) and title not in axes.texts and title.get_text():
            box = title.get_window_extent(renderer)
            yield Bbox([(axes.bbox.x0, box.y0), (axes.bbox.x0, box.y1)])  # a long title makes no panel narrower
    legend = axes.get_legend()
    if legend is not None and legend.get_bbox_to_anchor() is not axes.bbox:
        yield legend.get_window_extent(renderer)
    yield from (text.get_window_extent(renderer) for text in axes.texts if _may_stick_out(text, axes))


def _may_stick_out(text: Text, axes: Axes) -> bool:
    """Whether a text is so near to the edge of its panel that it must be measured."""
    x, y = text.get_transform().transform(text.get_unitless_position())
    reach = len(text.get_text()) * float(text.get_fontsize())
    return not (axes.bbox.x0 + reach < x < axes.bbox.x1 - reach and axes.bbox.y0 + reach < y < axes.bbox.y1 - reach)


def _place(chart: Canvas, margins: list[tuple[float, float, float, float]]) -> None:
    """Panels of one size, in a row, with the room that their labels need."""
    count, (whole, tall) = len(margins), (chart.bbox.width, chart.bbox.height)
    lefts, bottoms, rights, tops = zip(*margins, strict=True)
    gap, bottom = BETWEEN * whole / count, max(bottoms)
    width = max((whole - sum(lefts) - sum(rights) - gap * (count - 1)) / count, 1.0)
    height = max(tall - bottom - max(tops), 1.0)
    x = 0.0
    for axes, left, right in zip(chart.axes, lefts, rights, strict=True):
        axes.set_position(((x + left) / whole, bottom / tall, width / whole, height / tall))
        x += left + width + right + gap


# Drawing


class _Both:
    """A renderer that draws with a `MixedModeRenderer` and, beside it, the same with a `RendererAgg`.

    Like the former it is a renderer by handing on what is asked of it. The chart is at the vector's resolution; while
    that renderer rasterises a part, at that of the raster.
    """

    def __init__(self, vector: Any, raster: Any, chart: Canvas) -> None:
        self._vector, self._raster, self._chart = vector, raster, chart

    def __getattr__(self, name: str) -> Any:
        """All that is no drawing is the vector renderer's."""
        return getattr(self._vector, name)

    @staticmethod
    def option_scale_image() -> bool:
        """Pictures come at the raster's resolution."""
        return False

    @property
    def _scale(self) -> float:
        return float(self._raster.dpi / self._chart.dpi)

    def _beside(self, gc: Any) -> tuple[Any, Affine2D]:
        """The graphics context for the raster, and the transform to it."""
        larger = Affine2D().scale(self._scale)
        twin: Any = GraphicsContextBase()
        twin.copy_properties(gc)
        box, (path, transform) = gc.get_clip_rectangle(), gc.get_clip_path()
        if box is not None:
            twin.set_clip_rectangle(TransformedBbox(box, larger))
        if path is not None:
            twin.set_clip_path(TransformedPath(path, transform + larger))
        return twin, larger

    def draw_path(self, gc: Any, path: Any, transform: Any, rgb_face: Any = None) -> None:
        """A line or an area."""
        self._vector.draw_path(gc, path, transform, rgb_face)
        twin, larger = self._beside(gc)
        self._raster.draw_path(twin, path, transform + larger, rgb_face)

    def draw_markers(  # noqa: PLR0913, PLR0917 - matplotlib's
        self, gc: Any, marker_path: Any, marker_trans: Any, path: Any, trans: Any, rgb_face: Any = None
    ) -> None:
        """One mark at each point of a path."""
        self._vector.draw_markers(gc, marker_path, marker_trans, path, trans, rgb_face)
        twin, larger = self._beside(gc)
        self._raster.draw_markers(twin, marker_path, marker_trans + larger, path, trans + larger, rgb_face)

    def draw_path_collection(  # noqa: PLR0913, PLR0917
        self,
        gc: Any,
        master: Any,
        paths: Any,
        transforms: Any,
        offsets: Any,
        offset_trans: Any,
        *rest: Any,
        **more: Any,
    ) -> None:
        """Many lines or areas."""
        self._vector.draw_path_collection(gc, master, paths, transforms, offsets, offset_trans, *rest, **more)
        twin, larger = self._beside(gc)
        to, at = master + larger, offset_trans + larger
        self._raster.draw_path_collection(twin, to, paths, transforms, offsets, at, *rest, **more)

    def draw_quad_mesh(  # noqa: PLR0913, PLR0917
        self, gc: Any, master: Any, wide: Any, high: Any, corners: Any, offsets: Any, offset_trans: Any, *rest: Any
    ) -> None:
        """A grid of areas."""
        self._vector.draw_quad_mesh(gc, master, wide, high, corners, offsets, offset_trans, *rest)
        twin, larger = self._beside(gc)
        to, at = master + larger, offset_trans + larger
        self._raster.draw_quad_mesh(twin, to, wide, high, corners, offsets, at, *rest)

    def draw_gouraud_triangles(self, gc: Any, triangles: Any, colors: Any, transform: Any) -> None:
        """Areas with a run of colours."""
        self._vector.draw_gouraud_triangles(gc, triangles, colors, transform)
        twin, larger = self._beside(gc)
        self._raster.draw_gouraud_triangles(twin, triangles, colors, transform + larger)

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        """A picture that has the raster's resolution already."""
        self._vector.draw_image(gc, x, y, im, transform)
        twin, _ = self._beside(gc)
        self._raster.draw_image(twin, round(x * self._scale), round(y * self._scale), im)

    def draw_text(self, gc: Any, x: float, y: float, s: str, *how: Any, **more: Any) -> None:
        """A line of text."""
        self._vector.draw_text(gc, x, y, s, *how, **more)
        twin, _ = self._beside(gc)
        self._raster.draw_text(twin, x * self._scale, y * self._scale, s, *how, **more)

    def draw_tex(self, gc: Any, x: float, y: float, s: str, *how: Any, **more: Any) -> None:
        """A line of text that TeX sets."""
        self._vector.draw_tex(gc, x, y, s, *how, **more)
        twin, _ = self._beside(gc)
        self._raster.draw_tex(twin, x * self._scale, y * self._scale, s, *how, **more)
