"""Charts: text width, identical bytes, nothing blank, axes in the units of readers."""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure as Canvas
from PIL import Image

from runner.notebook import charts
from runner.notebook.figures import MINUS


@pytest.fixture(autouse=True)
def style():
    """Use the shared style, and leave matplotlib as it was."""
    with mpl.rc_context():
        charts.use()
        yield


def drawn(**kwargs):
    """Draw a small line chart."""
    chart, (axis,) = charts.canvas(2.0, **kwargs)
    axis.plot([1, 2, 3], [10, 30, 20], label="Sold")
    axis.set_title("Ünïted & <sold>")
    axis.legend()
    return chart


def labels(axis):
    """Give the texts on an axis as drawn."""
    axis.figure.canvas.draw()
    return [label.get_text() for label in axis.get_ticklabels()]


class TestCanvas:
    @pytest.mark.parametrize(("half", "width"), [(False, 6.9), (True, 3.35)])
    def test_text_width(self, half, width):
        """A chart is exactly as wide as the page's text, or as its half."""
        chart = drawn(half=half)
        assert tuple(chart.get_size_inches()) == (width, 2.0)
        root = ET.fromstring(charts.svg(chart))
        assert root.get("width") == f"{width * 72:g}pt"
        assert struct.unpack(">I", charts.png(chart)[16:20])[0] == round(width * 160)

    def test_panels(self):
        """Three panels are three axes."""
        assert len(charts.canvas(2.0, panels=3)[1]) == 3

    def test_charts_are_not_kept_by_pyplot(self):
        """A hundred charts are no leak: none is registered with pyplot."""
        from matplotlib import pyplot as plt  # noqa: PLC0415

        before = plt.get_fignums()
        charts.canvas()
        assert plt.get_fignums() == before


class TestBytes:
    def test_same_chart_same_bytes(self):
        """Two charts drawn alike are alike to the byte, as SVG and as PNG."""
        assert charts.svg(drawn()) == charts.svg(drawn())
        assert charts.png(drawn()) == charts.png(drawn())

    def test_drawing_twice_changes_nothing(self):
        """The same chart drawn again is the same picture."""
        for draw in (charts.svg, charts.png):
            chart = drawn()
            assert draw(chart) == draw(chart)

    def test_another_number_is_another_picture(self):
        """A changed value changes the bytes."""
        chart = drawn()
        chart.axes[0].lines[0].set_ydata([10, 30, 21])
        assert charts.svg(chart) != charts.svg(drawn())

    def test_no_date_and_no_program(self):
        """Neither picture says when or with what it was drawn."""
        svg, png = charts.svg(drawn()), charts.png(drawn())
        assert "dc:date" not in svg
        assert b"Software" not in png

    def test_text_is_drawn_as_paths(self):
        """No font is needed to show a chart."""
        assert "<text" not in charts.svg(drawn())


def pixels(chart):
    """The PNG of a chart as an array of rows of pixels, 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(charts.png(chart))).convert("RGB")).astype(int)


def asked_alone(chart, dpi=160):
    """The same chart as matplotlib draws it: laid out anew, and for the PNG alone."""
    chart.set_dpi(dpi)
    canvas = FigureCanvasAgg(chart)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)


def everything(**kwargs):
    """Draw a chart with one of each kind of thing."""
    chart, axes = charts.canvas(2.4, **kwargs)
    days = pd.date_range("2017-09-01", periods=60)
    for axis in axes:
        axis.fill_between(days, np.arange(60.0), np.arange(60.0) + 9, color=charts.BAND, label="Band")
        axis.plot(days, np.arange(60.0), color=charts.NAVY, marker="o", label="Line")
        axis.scatter(days, np.arange(60.0)[::-1], s=4, color=charts.RUST)
        axis.axvline(days[30], color=charts.TEAL)
        axis.annotate("here", (days[10], 40))
        axis.set_title("A title")
        axis.set_ylabel("a label")
        axis.legend(loc="upper left", ncols=2)
        charts.units(axis, "usd")
        charts.days(axis)
    return chart


class TestDrawing:
    @pytest.mark.parametrize("panels", [1, 2])
    def test_looks_as_matplotlib_draws_it(self, panels):
        """Laid out once and drawn for both formats at once, a chart is the one that matplotlib would have drawn."""
        ours, theirs = pixels(everything(panels=panels)), asked_alone(everything(panels=panels))
        assert ours.shape == theirs.shape
        # The panels may lie a pixel further: compare what small fields show on the whole.
        fields = [
            picture[: picture.shape[0] // 24 * 24, : picture.shape[1] // 24 * 24]
            .reshape(picture.shape[0] // 24, 24, picture.shape[1] // 24, 24, 3)
            .mean(axis=(1, 3))
            for picture in (ours, theirs)
        ]
        assert np.abs(fields[0] - fields[1]).mean() < 3
        assert np.abs(fields[0] - fields[1]).max() < 80

    def test_nothing_is_cut_off(self):
        """Long labels at every side have their room: the outermost pixels of the picture are empty."""
        chart, (axis,) = charts.canvas(2.0)
        axis.plot([0, 1], [0, 1], label="A curve")
        axis.set_title("Title")
        axis.set_xlabel("a label below")
        axis.set_ylabel("a label beside")
        axis.set_yticks([0, 1], ["nothing at all", "all that there is"])
        axis.set_xticks([0, 1], ["the beginning", "the end"])
        axis.text(1, 1, "beyond the end")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1.15))
        picture = pixels(chart)
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 255).all()

    def test_panels_have_one_size(self):
        """Panels side by side are equally large and stand on one line, whatever their labels."""
        chart, (left, right) = charts.canvas(2.0, panels=2)
        left.plot([0, 1], [0, 1_000_000])
        right.plot([0, 1], [0, 1])
        charts.units(left, "count")
        right.set_xlabel("a label")
        charts.svg(chart)
        boxes = [axis.get_position() for axis in (left, right)]
        assert boxes[0].width == pytest.approx(boxes[1].width)
        assert (boxes[0].y0, boxes[0].y1) == (boxes[1].y0, boxes[1].y1)
        assert boxes[0].x1 < boxes[1].x0

    def test_another_arrangement_is_laid_out_by_matplotlib(self):
        """A grid of panels, or one with a second axis, is drawn whole as well."""
        chart = Canvas(figsize=(charts.FULL, 3.0), layout="constrained")
        for place in range(4):
            chart.add_subplot(2, 2, place + 1).plot([1, 2], [1, 2])
        chart.axes[0].twinx().plot([1, 2], [200, 100])
        chart.suptitle("Four")
        picture = pixels(chart)
        assert all((edge == 255).all() for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]))
        assert ET.fromstring(charts.svg(chart)).tag.endswith("svg")

    def test_a_rasterised_part_is_in_both(self):
        """Many points that are drawn as a picture inside the SVG are in the SVG and in the PNG."""
        chart, (axis,) = charts.canvas(2.0)
        axis.scatter(np.arange(2000) % 50, np.arange(2000) // 50, s=9, color=charts.RUST, rasterized=True)
        svg, png = charts.pictures(chart)
        assert "data:image/png" in svg
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        assert (np.abs(picture - [0xC2, 0x41, 0x0C]).sum(axis=2) < 30).mean() > 0.05

    def test_the_png_is_sound(self):
        """Its size, its resolution and its check sums are right, and it has no transparency."""
        with Image.open(io.BytesIO(charts.png(drawn()))) as picture:
            picture.load()
            assert (picture.size, picture.mode) == ((1104, 320), "RGB")
            assert picture.info["dpi"] == pytest.approx((160, 160), abs=0.1)


class TestBars:
    def test_as_those_of_matplotlib(self):
        """Bars of one shape lie where separate ones would, days and numbers alike, and span the same axes."""
        days = pd.Series(pd.date_range("2017-11-01", periods=12))
        heights = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
        for places in (days, np.arange(12.0)):
            chart, (left, right) = charts.canvas(2.0, panels=2)
            charts.bars(left, places, heights, charts.SKY, width=0.6, label="Bars")
            right.bar(places, heights, 0.6, color=charts.SKY, label="Bars")
            picture = pixels(chart)
            assert left.get_xlim() == pytest.approx(right.get_xlim())
            assert left.get_ylim() == pytest.approx(right.get_ylim())
            assert left.get_legend_handles_labels()[1] == ["Bars"]
            blue = np.abs(picture - [0x7A, 0xA6, 0xC9]).sum(axis=2) < 30
            half = picture.shape[1] // 2
            assert blue[:, :half].sum() == pytest.approx(blue[:, half:].sum(), rel=0.03)

    def test_sideways(self):
        """Named bars that lie span the axes as separate ones would, and carry their names."""
        chart, (left, right) = charts.canvas(2.0, panels=2)
        names, lengths = pd.Series(["Deli", "Fuel", "Other"]), [3.0, 1.0, 2.0]
        charts.bars(left, names, lengths, charts.SKY, sideways=True)
        right.barh(names, lengths, color=charts.SKY)
        assert labels(left.yaxis) == labels(right.yaxis) == ["Deli", "Fuel", "Other"]
        assert left.get_xlim() == pytest.approx(right.get_xlim())
        assert left.get_ylim() == pytest.approx(right.get_ylim())
        picture = pixels(chart)
        blue = np.abs(picture - [0x7A, 0xA6, 0xC9]).sum(axis=2) < 30
        half = picture.shape[1] // 2
        assert blue[:, :half].sum() == pytest.approx(blue[:, half:].sum(), rel=0.03)

    def test_what_is_not_there_is_not_drawn(self):
        """A height that is nan leaves a gap; none at all leaves a blank chart."""
        chart, (axis,) = charts.canvas(2.0)
        charts.bars(axis, [1, 2, 3], [1.0, np.nan, 2.0], charts.SKY)
        assert axis.dataLim.intervalx.tolist() == [0.6, 3.4]
        assert not charts.is_blank(chart)
        nothing, (axis,) = charts.canvas(2.0)
        charts.bars(axis, [], [], charts.SKY)
        assert charts.is_blank(nothing)


class TestNumbers:
    def test_each_stands_in_the_middle_of_its_cell(self):
        """In a white map each cell's dark pixels are about its middle, and a number in white is not seen."""
        chart, (axis,) = charts.canvas(2.4)
        grid = np.array([[8, 88], [0, 8]])
        axis.imshow(np.ones((2, 2)), aspect="auto", cmap="gray", vmin=0, vmax=1)
        charts.numbers(axis, grid, [charts.INK, charts.INK, "white", charts.INK], size=9)
        axis.set_axis_off()
        picture = pixels(chart)
        dark = picture.sum(axis=2) < 300
        box = axis.get_position()
        high, wide = dark.shape
        for row in range(2):
            for column in range(2):
                x = (box.x0 + box.width * (0.25 + 0.5 * column)) * wide
                y = (1 - box.y1 + box.height * (0.25 + 0.5 * row)) * high
                near = dark[int(y) - 30 : int(y) + 30, int(x) - 40 : int(x) + 40]
                if grid[row, column] == 0:
                    assert not near.any()
                    continue
                ys, xs = np.nonzero(near)
                assert (ys.mean(), xs.mean()) == pytest.approx((30, 40), abs=2)


class TestBlank:
    @pytest.mark.parametrize(
        "draw",
        [
            lambda axis: None,  # noqa: ARG005
            lambda axis: axis.plot([], []),
            lambda axis: axis.plot([1, 2], [np.nan, np.nan]),
            lambda axis: axis.bar([1, 2], [np.nan, np.nan]),
            lambda axis: axis.set_title("Title alone"),
            lambda axis: axis.text(0.5, 0.5, "no data"),
        ],
        ids=["nothing", "no points", "nan line", "nan bars", "title", "words"],
    )
    def test_blank(self, draw):
        """Axes, words and figures that are not there are no data."""
        chart, (axis,) = charts.canvas()
        draw(axis)
        assert charts.is_blank(chart)

    @pytest.mark.parametrize(
        "draw",
        [
            lambda axis: axis.plot([1], [1], "o"),
            lambda axis: axis.plot([1, 2], [np.nan, 2], "o"),
            lambda axis: axis.bar([1], [0]),
            lambda axis: axis.barh(["a"], [3]),
            lambda axis: axis.imshow(np.zeros((2, 2))),
            lambda axis: axis.fill_between([1, 2], [1, 2], [2, 3]),
            lambda axis: axis.scatter([1], [1]),
            lambda axis: axis.axhline(3),
            lambda axis: axis.plot(pd.to_datetime(["2017-11-15"]), [1]),
        ],
        ids=["point", "one of two", "zero bar", "bar", "picture", "area", "scatter", "line across", "day"],
    )
    def test_not_blank(self, draw):
        """Every kind of drawn data counts, a bar of zero included."""
        chart, (axis,) = charts.canvas()
        draw(axis)
        assert not charts.is_blank(chart)

    def test_one_panel_is_enough(self):
        """A chart with one full panel of two is not blank."""
        chart, (_, right) = charts.canvas(panels=2)
        right.plot([1, 2], [1, 2])
        assert not charts.is_blank(chart)


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "top", "expected"),
        [
            ("usd", 100, ["$0", "$50", "$100"]),
            ("usd", 40_000, ["$0", "$20k", "$40k"]),
            ("percent", 1, ["0%", "50%", "100%"]),
            ("count", 4_000, ["0", "2,000", "4,000"]),
            ("usd", 5, ["$0.0", "$2.5", "$5.0"]),
            ("percent", 0.005, ["0.00%", "0.25%", "0.50%"]),
        ],
    )
    def test_ticks(self, unit, top, expected):
        """Ticks are the texts of readers, thousands of dollars shortened."""
        _, (axis,) = charts.canvas()
        axis.set_ylim(0, top)
        axis.set_yticks([0, top / 2, top])
        charts.units(axis, unit)
        assert labels(axis.yaxis) == expected

    def test_negative_ticks(self):
        """A tick below zero has the reader's minus."""
        _, (axis,) = charts.canvas()
        axis.set_xlim(-20_000, 0)
        axis.set_xticks([-20_000, -5_000, 0])
        charts.units(axis, "usd", "x")
        assert labels(axis.xaxis) == [f"{MINUS}$20k", f"{MINUS}$5k", "$0"]


class TestDays:
    def test_labels_are_days(self):
        """Ten weeks of days are labelled with three to eight short dates, month and day."""
        chart, (axis,) = charts.canvas()
        days = [date(2017, 9, 7) + timedelta(days=n) for n in range(70)]
        axis.plot(days, range(70))
        charts.days(axis)
        chart.draw_without_rendering()
        texts = [text for text in labels(axis.xaxis) if text]
        assert 2 <= len(texts) <= 9
        assert axis.get_xlim()[0] <= date2num(days[0])
        assert all(any(part in text for part in ("Sep", "Oct", "Nov")) for text in texts), texts


class TestWaterfall:
    STEPS: ClassVar = {"Volume": 25.0, "Mix": 15.0, "Discounts": -20.0}

    def bars(self, start, steps, end):
        """Draw a bridge, and give the axis with its bars as (bottom, height)."""
        _, (axis,) = charts.canvas()
        charts.waterfall(axis, ("Before", start), steps, ("After", end), "usd")
        return axis, [(bar.get_y(), bar.get_height()) for bar in axis.patches]

    def test_bars_hang_where_the_last_one_ended(self):
        """Each step begins where the one before it ended, and the last bar ends where they lead."""
        _, found = self.bars(50.0, self.STEPS, 70.0)
        assert found == [(0, 50), (50, 25), (75, 15), (90, -20), (0, 70)]

    def test_every_bar_is_labelled(self):
        """Totals and signed steps are written at their bars."""
        axis, _ = self.bars(50.0, self.STEPS, 70.0)
        assert sorted(text.get_text() for text in axis.texts) == sorted(
            ["$50", "+$25", "+$15", f"{MINUS}$20", "$70"]
        )  # fmt: skip
        assert [label.get_text() for label in axis.get_xticklabels()] == ["Before", *self.STEPS, "After"]

    def test_a_cut_axis_says_so(self):
        """Small steps between large totals are shown enlarged, and the axis says that it does not start at zero."""
        axis, _ = self.bars(10_000.0, {"Volume": 200.0, "Mix": -100.0}, 10_100.0)
        assert axis.get_ylabel() == "axis does not start at zero"
        low, high = axis.get_ylim()
        assert 0 < low < 10_000
        assert high > 10_200

    def test_a_whole_axis_says_nothing(self):
        """Where the steps are large the axis starts at zero without a word."""
        axis, _ = self.bars(50.0, self.STEPS, 70.0)
        assert axis.get_ylabel() == ""
        assert axis.get_ylim()[0] <= 0

    def test_from_a_loss_to_a_profit(self):
        """A bridge that crosses zero shows both."""
        axis, found = self.bars(-30.0, {"Volume": 80.0}, 50.0)
        assert found == [(0, -30), (-30, 80), (0, 50)]
        assert axis.get_ylim()[0] <= -30


class TestStyle:
    def test_report_font(self):
        """Charts are set in the report's own font, found in the templates and not on the machine."""
        assert charts.family() == "Inter"
        assert mpl.rcParams["font.family"] == ["Inter"]

    def test_colours_can_be_told_apart(self):
        """The series' colours are six, all different."""
        assert len(set(charts.CYCLE)) == 6
