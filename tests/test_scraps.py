"""Scraps: what is read from an executed notebook, and what is refused."""

from __future__ import annotations

import json
import math

import pytest

from runner.errors import ReportStopped
from runner.model import SCRAP_MIME, Figure, Finding, Level
from runner.report import notebooks, scraps

FIGURE = {"name": "revenue", "value": 12.5, "text": "12.50", "label": "Revenue"}
FINDING = {"check": "rows", "level": "pass", "message": "All there."}


def glued(*pairs):
    """An executed notebook with these scraps, given as (name, data)."""
    outputs = [
        notebooks.output(
            "display_data", data={SCRAP_MIME: {"name": name, "data": data, "encoder": "json", "version": 1}}
        )
        for name, data in pairs
    ]
    cell = notebooks.code("…")
    cell.outputs = [notebooks.output("stream", text="noise"), *outputs]
    return notebooks.notebook(notebooks.words("# Title"), cell)


def test_each_kind_of_scrap_finds_its_place():
    """Figures and findings as objects, records and sources as they were glued; others are left alone."""
    record, source = {"columns": ["day"], "rows": [["2017-11-15"]]}, {"rows": 3, "as_of": "", "sha256": "0", "note": ""}
    found = scraps.read(
        glued(
            ("figure:revenue", FIGURE),
            ("finding:rows", FINDING),
            ("record:daily", record),
            ("source:till", source),
            ("mine", 1),
        )
    )
    assert found.figures == (Figure("revenue", 12.5, "12.50", "Revenue"),)
    assert found.findings == (Finding("rows", Level.PASS, "All there."),)
    assert (found.records, found.sources) == ({"daily": record}, {"till": source})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "NaN", "inf", "None", "<NA>"])
def test_a_value_that_is_no_number_is_refused(value):
    """Scrapbook hands NaN on as the text 'nan'; both are caught."""
    with pytest.raises(ReportStopped, match="revenue"):
        scraps.read(glued(("figure:revenue", {**FIGURE, "value": value})))


@pytest.mark.parametrize(
    "change", [{"text": ""}, {"text": "nan"}, {"prior": math.nan}, {"value": None}, {"value": [1]}]
)
def test_a_figure_with_nothing_to_print_is_refused(change):
    """What a reader would see as a blank, a nan or a list stops the report."""
    with pytest.raises(ReportStopped):
        scraps.read(glued(("figure:revenue", {**FIGURE, **change})))


@pytest.mark.parametrize(
    ("value", "text", "is_said"),
    [
        (12.5, "12.50", True),
        (12.5, "$99,999", False),
        (-1234.4, "\u2212$1,234", True),
        (-1234.4, "$1,234", False),
        (0.1234, "12.3%", True),
        (0.1234, "12.4%", False),
        (0.012, "+1.2 pp", True),
        (7, "seven", True),
        (True, "1", False),
    ],
)
def test_a_figure_is_printed_as_the_number_it_is(value, text, is_said):
    """A text with one number must be the figure's value, rounded as it is printed; words are let be."""
    figure = glued(("figure:revenue", {**FIGURE, "value": value, "text": text}))
    if is_said:
        assert scraps.read(figure).figures[0].text == text
    else:
        with pytest.raises(ReportStopped, match="revenue"):
            scraps.read(figure)


def test_a_finding_told_must_be_in_the_notebook():
    """What a check said is compared whole: a finding that is gone, or that says otherwise now, stops the report."""
    nb = glued(("finding:rows", FINDING))
    scraps.compare(nb, json.dumps(["finding:rows", FINDING]) + "\n")
    for told in ({**FINDING, "level": "stop"}, {**FINDING, "check": "other"}):
        with pytest.raises(ReportStopped, match="was made, but its result is not in the notebook's output"):
            scraps.compare(nb, json.dumps(["finding:rows", told]) + "\n")


def test_a_figure_glued_twice_is_refused():
    """Nobody could say which of the two was proven."""
    with pytest.raises(ReportStopped, match="'figure:revenue' twice"):
        scraps.read(glued(("figure:revenue", FIGURE), ("figure:revenue", FIGURE)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("figure:a", {"name": "a"}),
        ("figure:a", 3),
        ("figure:a", None),
        ("finding:a", {"check": "a", "level": "good", "message": ""}),
        ("finding:a", []),
        ("record:a", [1]),
        ("source:a", None),
        ("record:a", {"columns": ["x"], "rows": [[math.inf]]}),
    ],
)
def test_a_scrap_of_another_shape_stops_the_report(name, data):
    """The error names the scrap; nothing else escapes."""
    with pytest.raises(ReportStopped, match="a"):
        scraps.read(glued((name, data)))


def test_findings_are_saved_from_a_notebook_that_did_not_end():
    """What was checked before the trouble is kept, what cannot be read is skipped."""
    nb = glued(("finding:rows", FINDING), ("finding:bad", {}), ("figure:a", {}))
    assert scraps.findings(nb) == (Finding("rows", Level.PASS, "All there."),)
