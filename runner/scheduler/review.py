"""The facts for the quarterly review of owners and rota: nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from runner.config import Project
from runner.ledger import deadlines, duties, incidents
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.ledger.duties import Task
from runner.plan import fairness
from runner.plan.fairness import Share
from runner.plan.forecast import words
from runner.plan.incidents import Incident
from runner.scheduler import roster


@dataclass(frozen=True)
class Facts:
    """What was in [first, last): deadlines, incidents, duties, and shares of the rota."""

    first: datetime
    last: datetime
    owed: tuple[Owed, ...]
    incidents: tuple[Incident, ...]
    duties: tuple[Task, ...]
    shares: tuple[Share, ...]


def gathered(tx: sa.Connection, project: Project, first: datetime, last: datetime) -> Facts:
    """What was in a span."""
    rota = roster.rota_of(tx, project, first - roster.RECENT)
    shifts = rota.shifts(first, last) if rota else ()
    zone = ZoneInfo(project.oncall.time_zone if project.oncall else project.settings.time_zone)
    return Facts(
        first,
        last,
        deadlines.between(tx, first, last),
        incidents.between(tx, first, last),
        duties.between(tx, first, last),
        fairness.tally(shifts, zone, roster.holiday_of(project)),
    )


def kept(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    """Of each report: how many were owed, came in time, came late, never came."""
    for name in project.pipelines:
        mine = [owed for owed in facts.owed if owed.deadline.pipeline == name]
        met = [owed for owed in mine if owed.state is Owing.MET]
        in_time = sum(owed.on_time for owed in met)
        if mine:
            yield name, len(mine), in_time, len(met) - in_time, len(mine) - len(met)


def troubles(facts: Facts) -> Iterator[tuple[Any, ...]]:
    """Of each report, source or duty: how many incidents, the median time to an answer, the longest."""
    for name in sorted({incident.pipeline for incident in facts.incidents}):
        mine = [incident for incident in facts.incidents if incident.pipeline == name]
        answers = [one.acknowledged_at - one.opened_at for one in mine if one.acknowledged_at]
        spans = [one.closed_at - one.opened_at for one in mine if one.closed_at]
        answered = words(timedelta(seconds=median(span.total_seconds() for span in answers))) if answers else "never"
        yield name, len(mine), answered, words(max(spans)) if spans else "open"


def shares(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    """Of each engineer: hours, nights, weekends, holidays, and hours as secondary."""
    for share in facts.shares:
        hours = (share.hours, share.nights, share.weekends, share.holidays, share.secondary_hours)
        yield project.name_of(share.who), *(f"{value:.0f} h" for value in hours)


def owners(project: Project) -> Iterator[tuple[Any, ...]]:
    """Of each report: both owners, and why these two."""
    names = project.people.engineers
    for pipeline in project.pipelines.values():
        owners = pipeline.owners
        yield pipeline.name, names[owners.primary].name, names[owners.secondary].name, owners.because


def done(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    """Of each duty: how many were due, done in time, done late, not done."""
    for name in project.duties:
        mine = [task for task in facts.duties if task.due.duty == name]
        done = [task for task in mine if task.done_at]
        in_time = sum(task.done_at <= task.due.due_at for task in done if task.done_at)
        if mine:
            yield name, len(mine), in_time, len(done) - in_time, len(mine) - len(done)
