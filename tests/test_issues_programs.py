"""Potential issues of programs: the table is tests/issues.py."""

from __future__ import annotations

from tests import issues
from tests.company import Proof


class TestAggregationLogicBugs(Proof):
    """Parts do not add up to their whole."""

    issue = issues.AGGREGATION


class TestToolUpdates(Proof):
    """A library has lost functions that the notebooks call."""

    issue = issues.TOOLS


class TestFormattingErrors(Proof):
    """The page shows no digit."""

    issue = issues.FORMATTING


class TestVisualizationOutages(Proof):
    """Nothing can be drawn onto a page."""

    issue = issues.VISUALS
