"""Potential issues of the two ends, with real servers: the table is tests/issues.py."""

from __future__ import annotations

from runner.ledger.deadlines import State
from tests import issues
from tests.company import UNIT, Company, Proof, right


class TestApiDowntime(Proof):
    """The one API that serves a table answers 503."""

    issue = issues.DOWNTIME


class TestDatabaseConnections(Proof):
    """The one database that serves a table cannot be reached."""

    issue = issues.DATABASE


class TestPermissions(Proof):
    """Our right to read the table is taken away."""

    issue = issues.PERMISSIONS


class TestSmtp(Proof):
    """Nobody listens where the mail server was."""

    issue = issues.SMTP


def test_a_redundant_source_serves(tmp_path):
    """The API is down and its replica answers: the report comes in time, says who served, and nobody is woken."""
    company = Company(tmp_path / "p", UNIT)
    try:
        issues.fall_back(company)
        company.dial.at = company.deadline.starts_at
        company.live(lambda: company.over, company.deadline.due_at)
        run = company.ledger.delivered(*company.deadline.key)
        figures = tuple((figure.name, figure.text) for figure in company.ledger.figures(run.run))
        assert (company.owed.state, company.owed.on_time, company.told) == (State.MET, True, [])
        assert figures == right(UNIT)
        said = next(one.message for one in company.ledger.findings(run.run) if one.check == "supply of experiments")
        assert "Replica was asked this time and has the same rows." in said
        assert "Campaign API answered with status 503" in said
    finally:
        company.close()
