"""A duty recorded as done, with what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.config import Project
from runner.config.names import known
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, duties, journal
from runner.ledger.duties import Done
from runner.ledger.journal import Act
from runner.scheduler import agenda

#: Characters of what somebody says as evidence: what is longer lies in a file or behind a link.
LONGEST = 2000


@dataclass(frozen=True)
class Report:
    """What somebody says that they did; without a period of the oldest one that is open."""

    duty: str
    period: str
    who: str
    evidence: str


def done(project: Project, ledger: Ledger, report: Report, now: datetime) -> str:
    """Record that a duty was done, with what shows it, on one line; of which period. The first record counts.

    Raises UsageError where the duty, its period or the engineer is not known, nothing shows it, or it is done already.
    """
    if report.duty not in project.duties:
        raise UsageError(f"No duty is called {report.duty!r}.", known(report.duty, project.duties))
    engineer(project, report.who)
    evidence = _evidence(report)
    with ledger.write() as tx:
        duties.note(tx, agenda.planned(project, now))  # a duty can be done before any scheduler has looked
        period = report.period or _oldest(tx, report.duty, now)
        task = duties.find(tx, report.duty, period)
        if task is None:
            raise UsageError(
                f"{report.duty} has no period {period!r}.",
                "Look at the duties that there are.",
                typed="See what there is: runner duties",
            )
        if not duties.done(tx, report.duty, period, Done(report.who, now, evidence)):
            by = "the runner" if task.done_by == "runner" else project.name_of(task.done_by or "")
            raise UsageError(f"{report.duty} of {period} is done already, by {by}.", "The first record counts.")
        journal.act(tx, Act(now, report.who, "duty done", {"duty": report.duty, "period": period}))
    return period


def _evidence(report: Report) -> dict[str, str]:
    said = line(report.evidence)
    if not said:
        raise UsageError("What shows that it was done?", "Say it, for example with a link or in a sentence.")
    if len(said) > LONGEST:
        raise UsageError(f"That is longer than {LONGEST} characters.", "Say it shorter, and link to the rest.")
    return {"said": said}


def _oldest(tx: sa.Connection, duty: str, now: datetime) -> str:
    found = next((task.due.period for task in duties.waiting(tx, now) if task.due.duty == duty), None)
    if found is None:
        raise UsageError(
            f"{duty} is not open now.", "Look at the duties to see when it is.", typed="See when it is: runner duties"
        )
    return found
