"""Potential issues of the data: the table is tests/issues.py."""

from __future__ import annotations

from tests import issues
from tests.company import Proof


class TestSchemaChanges(Proof):
    """A column or a mapping is another."""

    issue = issues.SCHEMAS


class TestProcessingLag(Proof):
    """The afternoon is not there yet."""

    issue = issues.LAG


class TestMissingInput(Proof):
    """A day that the report is made of is not there."""

    issue = issues.INPUT


class TestOutliers(Proof):
    """The day was loaded four times."""

    issue = issues.OUTLIERS


class TestLateIngestion(Proof):
    """The day is not there at all."""

    issue = issues.INGESTION


class TestDiscrepancies(Proof):
    """Two systems say different things."""

    issue = issues.DISCREPANCIES
