"""Charts: text width, identical bytes, nothing blank, axes in the units of readers."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num

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
