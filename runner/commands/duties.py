"""Duties: what is due, and who did what with which evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.acts import duties as acts
from runner.acts.duties import Report
from runner.config import Project
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.ledger.duties import Task
from runner.scheduler import agenda, rounds
from runner.screen import screen_for


def listing(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show what is open, and of each duty what comes next and is not done."""
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        open_, coming = agenda.agenda(tx, project, now)
        owners = {name: rounds.owner(tx, project, duty, now) for name, duty in project.duties.items()}
    ledger.close()
    tasks, screen = (*open_, *coming), screen_for(as_json=as_json, total=0)
    if not tasks and not as_json:
        screen.say("No duty is due. Duties stand in config/duties.yml.")
    at = _At(now, ZoneInfo(project.settings.time_zone))
    rows = [_plain(task, now) if as_json else _row(task, project, owners, at) for task in tasks]
    screen.table(rows, ("due", "duty", "period", "state", "owner"))
    return 0


@dataclass(frozen=True)
class _At:
    now: datetime
    zone: ZoneInfo


def _plain(task: Task, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"duty": task.due.duty, "period": task.due.period, "state": agenda.state(task, now)}
    row |= {"opens_at": task.due.opens_at.isoformat(), "due_at": task.due.due_at.isoformat()}
    row |= {"done_at": task.done_at and task.done_at.isoformat(), "done_by": task.done_by}
    return row | {"evidence": dict(task.evidence)}


def _row(task: Task, project: Project, owners: dict[str, str], at: _At) -> dict[str, Any]:
    duty, who = project.duties[task.due.duty], owners[task.due.duty]
    shown = f", shown by {duty.shown_by.pipeline}" if duty.shown_by else ", done by the runner" if duty.does else ""
    return {
        "due": f"{task.due.due_at.astimezone(at.zone):%a %d %b %Y %H:%M}",
        "duty": task.due.duty,
        "period": task.due.period,
        "state": agenda.state(task, at.now),
        "owner": f"{project.name_of(who)}{' (on call)' if duty.owner == rounds.ON_CALL else ''}{shown}",
    }


def done(project: Project, report: Report, now: datetime, *, as_json: bool) -> int:
    """Record that a duty was done, with what shows it. Raises UsageError as the act does."""
    if not line(report.evidence):
        raise UsageError("What shows that it was done?", "Say it with --evidence, for example a link or a sentence.")
    ledger = Ledger.of(project)
    period = acts.done(project, ledger, report, now)
    ledger.close()
    row = {"duty": report.duty, "period": period, "done_by": report.who, "at": now.isoformat()}
    said = f"Recorded: {report.duty} of {period}, done by {project.name_of(report.who)}."
    screen_for(as_json=as_json, total=0).line(row, said)
    return 0
