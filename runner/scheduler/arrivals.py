"""Data that have landed -> deadlines whose work begins before its hour; and the hour again where that came to nothing.

A deadline is moved in the very transaction that claims it: as long as its inputs or a seat are waited for, it stands as
the calendar has it, and nobody is told that anything is late which is early.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from runner.ledger import arrivals, deadlines
from runner.ledger.deadlines import Owed
from runner.model import Status
from runner.plan.arrivals import may_begin, ways, whole_up_to
from runner.plan.deadlines import deadline_of
from runner.scheduler.office import Done, Office, timetable_of

_ENDED_BADLY = frozenset({Status.FAILED, Status.STOPPED})


def landed(tx: sa.Connection, office: Office, now: datetime) -> tuple[Owed, ...]:
    """Deadlines that nobody has begun and whose hour is still to come, all of whose data are there; by due time.

    Each is given as it stands once its work begins now.
    """
    if not arrivals.is_any(tx):
        return ()
    pipelines = office.project.pipelines
    needed = {name: ways(pipeline, office.project.sources) for name, pipeline in pipelines.items()}
    sources = {source for found in needed.values() for way in found for source in way}
    said = arrivals.newest(tx, sources, now)
    whole = {name: day for name, found in needed.items() if (day := whole_up_to(found, said)) is not None}
    if not whole:
        return ()
    return tuple(
        replace(owed, deadline=replace(owed.deadline, starts_at=now), next_try_at=now)
        for owed in deadlines.ahead(tx, now, max(whole.values()))
        if may_begin(pipelines.get(owed.key[0]), owed.deadline, whole.get(owed.key[0]), now)
    )


def clock_again(tx: sa.Connection, office: Office, done: Done) -> None:
    """Where work that was begun early came to nothing, let it begin anew at its hour, as if it had not been tried.

    Data that were not whole after all cost nobody a report. What a person must decide on waits for that person.
    """
    if done.status not in _ENDED_BADLY or done.cancelled:
        return
    deadline = done.order.deadline
    pipeline = office.project.pipelines.get(deadline.pipeline)
    if pipeline is None:
        return
    timetable = timetable_of(office.project, office.notes.get("begins", ()))
    planned = deadline_of(pipeline, office.project.settings, timetable, deadline.as_of, deadline.experiment)
    if planned is not None and planned.key == deadline.key and done.at < planned.starts_at:
        deadlines.wait_for(tx, deadline.key, planned.starts_at)
