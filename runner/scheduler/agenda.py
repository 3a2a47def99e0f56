"""Duties as people look at them: what is open, what comes next of each, in which state, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import Project
from runner.ledger import duties
from runner.ledger.duties import Task
from runner.plan.duties import Due
from runner.scheduler import roster, rounds
from runner.scheduler.begins import begins_of
from runner.scheduler.office import timetable_of
from runner.scheduler.planning import duties_between

AHEAD = timedelta(days=400)  # twice the longest rhythm, half a year: so far may the next be of what was done ahead
_BACK = timedelta(days=1)


def planned(project: Project, now: datetime) -> tuple[Due, ...]:
    """What the calendar has around now, be it written down or not."""
    return tuple(duties_between(project, timetable_of(project, begins_of(project)), now - _BACK, now + AHEAD))


def agenda(tx: sa.Connection, project: Project, now: datetime) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Duties that are open, by due time, and of each the next that is not; before any scheduler has looked, too.

    What was due before the first look, and so was never written down, is owed by nobody.
    """
    seen = roster.looked(tx)
    tasks = {due.key: Task(due) for due in planned(project, now) if seen is None or due.due_at > seen}
    tasks |= {task.due.key: task for task in duties.between(tx, now - _BACK, now + AHEAD)}
    tasks |= {task.due.key: task for task in duties.waiting(tx, now)}
    left = [task for task in tasks.values() if task.done_at is None and task.due.duty in project.duties]
    coming = [task for task in _sorted(left) if task.due.opens_at > now]
    open_ = tuple(task for task in _sorted(left) if task.due.opens_at <= now)
    return open_, tuple(_sorted({task.due.duty: task for task in reversed(coming)}.values()))


def _sorted(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: (task.due.due_at, task.due.duty))


def find(tx: sa.Connection, project: Project, duty: str, period: str, now: datetime) -> Task | None:
    """One duty of one period, written down or planned."""
    known = duties.find(tx, duty, period)
    if known is not None or duty not in project.duties:
        return known
    return next((Task(due) for due in planned(project, now) if due.key == (duty, period)), None)


def state(task: Task, now: datetime) -> str:
    """How a duty stands, in a word or two."""
    if task.done_at is not None:
        return "done"
    if rounds.is_found(task):
        return "found" if task.due.due_at > now else "found, overdue"
    return "overdue" if task.due.due_at <= now else "open" if task.due.opens_at <= now else "planned"
