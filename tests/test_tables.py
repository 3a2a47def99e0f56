"""Tables: the texts that readers see, the values that travel along, the plain text that nbval compares."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from runner.notebook import tables
from runner.notebook.figures import DASH, MINUS
from runner.notebook.tables import Layout

FRAME = pd.DataFrame(
    {
        "department": ["Bread & rolls", "Fuel"],
        "day": pd.to_datetime(["2017-11-15", None]),
        "baskets": [1200, 3],
        "revenue": [1234.5, -0.4],
        "share": [0.5, math.nan],
    }
)
LAYOUT = Layout({"revenue": "usd", "share": "percent"}, {"share": "Share of all"}, total=True)


def block(frame=FRAME, layout=LAYOUT):
    """Give the block of a frame."""
    return tables.block(frame, "departments", "Departments", layout)


class TestBlock:
    def test_whole(self):
        """Texts, raw values, labels, sides and units of a table of every kind of column."""
        assert block() == {
            "type": "table",
            "name": "departments",
            "caption": "Departments",
            "columns": [
                {"label": "Department", "align": "left", "unit": "text"},
                {"label": "Day", "align": "left", "unit": "day"},
                {"label": "Baskets", "align": "right", "unit": "count"},
                {"label": "Revenue", "align": "right", "unit": "usd"},
                {"label": "Share of all", "align": "right", "unit": "percent"},
            ],
            "rows": [
                ["Bread & rolls", "15 Nov 2017", "1,200", "$1,234", "50.0%"],
                ["Fuel", DASH, "3", "$0", DASH],
            ],
            "values": [
                ["Bread & rolls", "2017-11-15", 1200, 1234.5, 0.5],
                ["Fuel", None, 3, -0.4, None],
            ],
            "total": True,
            "header_column": True,
        }

    def test_is_json(self):
        """A block of numpy, pandas and decimal values is plain JSON, without nan."""
        frame = pd.DataFrame({"a": [np.int64(1)], "b": [np.float32(0.5)], "c": [Decimal("1.10")], "d": [np.True_]})
        frame = frame.astype(object).assign(e=[None])
        found = block(frame, Layout({"c": "usd2"}))
        assert json.loads(json.dumps(found, allow_nan=False))["values"] == [[1, 0.5, 1.1, True, None]]

    def test_negative_numbers_begin_with_a_minus(self):
        """A loss begins with U+2212 in its text and with a hyphen in no text at all."""
        found = block(pd.DataFrame({"profit": [-12.0]}), Layout({"profit": "usd"}))
        assert found["rows"] == [[f"{MINUS}$12"]]
        assert found["values"] == [[-12.0]]

    def test_integers_stay_integers(self):
        """A column of counts beside one of floats is not turned into floats."""
        assert block()["values"][0][2] == 1200
        assert isinstance(block()["values"][0][2], int)

    def test_refuses_an_empty_frame(self):
        """A table without rows is refused by name: absence is said in words."""
        with pytest.raises(ValueError, match="'departments' is empty"):
            block(FRAME.head(0))

    @pytest.mark.parametrize("layout", [Layout({"revenu": "usd"}), Layout({}, {"revenu": "Revenue"})])
    def test_refuses_an_unknown_column(self, layout):
        """A unit or a label for a column that is not there is refused with the columns there are."""
        with pytest.raises(ValueError, match="no column 'revenu'; it has department, day"):
            block(FRAME, layout)

    def test_refuses_infinity(self):
        """An infinite cell is refused."""
        with pytest.raises(ValueError, match="division by zero"):
            block(pd.DataFrame({"rate": [math.inf]}), Layout())

    def test_the_frame_is_left_alone(self):
        """Making a table changes nothing in the frame."""
        before = FRAME.copy(deep=True)
        block()
        pd.testing.assert_frame_equal(FRAME, before)

    def test_an_index_does_not_show(self):
        """Rows come in the frame's order, whatever its index is called."""
        assert block(FRAME.set_axis([9, 4]))["rows"] == block()["rows"]


class TestPlain:
    @pytest.mark.parametrize(
        ("cell", "plain"),
        [
            (None, None), (math.nan, None), (pd.NaT, None), (np.float64("nan"), None), (3, 3), ("x", "x"), (True, True),
            (np.int64(3), 3), (np.float64(0.1), 0.1), (Decimal("0.10"), 0.1), (date(2017, 3, 1), "2017-03-01"),
            (pd.Timestamp("2017-03-01 10:00"), "2017-03-01"), (0.1 + 0.2, 0.3),
            (np.datetime64("2017-03-01"), "2017-03-01"),
        ],
    )  # fmt: skip
    def test_cells(self, cell, plain):
        """Each kind of cell has its one plain value."""
        assert tables.plain(cell) == plain
        assert isinstance(tables.plain(cell), type(plain))

    def test_refuses_infinity(self):
        """An infinite cell has no place in JSON."""
        with pytest.raises(ValueError, match="infinite"):
            tables.plain(-math.inf)


class TestText:
    def test_aligned(self):
        """Numbers stand at the right, words at the left, and no line ends in blanks."""
        frame = pd.DataFrame({"name": ["A", "Bread"], "sold": [5, 1200]})
        found = tables.as_text(tables.block(frame, "t", "What was sold", Layout()))
        assert found == "What was sold\nName    Sold\nA          5\nBread  1,200"

    def test_shows_every_cell(self):
        """Each printed cell is in the plain text, so that a changed number is a changed output."""
        text = tables.as_text(block())
        assert all(cell in text for row in block()["rows"] for cell in row)


class TestHtml:
    def test_escaped(self):
        """Markup in a cell, a label or the caption is text."""
        frame = pd.DataFrame({"<b>": ["<script>"]})
        html = tables.as_html(tables.block(frame, "t", "1 < 2", Layout()))
        assert "<script>" not in html
        assert "<b>" not in html
        assert html.count("&lt;") == 3

    def test_numbers_stand_at_the_right(self):
        """Each cell is set like its column's head."""
        html = tables.as_html(block())
        assert html.count("text-align:right") == 3 * (1 + 2)
        assert html.count("text-align:left") == 2 * (1 + 2)
