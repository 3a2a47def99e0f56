"""Duties: what is due, who did what with which evidence, and the facts for the quarterly review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from runner.acts.people import engineer
from runner.config import Project
from runner.config.names import known
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, duties, journal
from runner.ledger.duties import Done, Task
from runner.ledger.journal import Act
from runner.scheduler import rounds
from runner.scheduler.begins import begins_of
from runner.scheduler.letters import name_of
from runner.scheduler.office import timetable_of
from runner.scheduler.planning import duties_between
from runner.screen import screen_for

AHEAD = timedelta(days=400)  # twice the longest rhythm, half a year: so far may the next be of what was done ahead


@dataclass(frozen=True)
class Report:
    """What somebody says that they did."""

    duty: str
    period: str
    who: str
    evidence: str


def listing(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show what is open, and of each duty what comes next and is not done."""
    ledger = Ledger.of(project)
    with ledger.write() as tx:
        _write(tx, project, now)
        waiting = duties.waiting(tx, now)
        keys = {task.due.key for task in waiting}
        coming = [task for task in duties.between(tx, now, now + AHEAD) if _to_come(task, keys)]
        tasks = [task for task in (*waiting, *_first_of_each(coming)) if task.due.duty in project.duties]
        owners = {name: rounds.owner(tx, project, duty, now) for name, duty in project.duties.items()}
    ledger.close()
    screen, zone = screen_for(as_json=as_json, total=0), ZoneInfo(project.settings.time_zone)
    if not tasks and not as_json:
        screen.say("No duty is due. Duties stand in config/duties.yml.")
    rows = [_plain(task, now) if as_json else _row(task, project, owners, _At(now, zone)) for task in tasks]
    screen.table(rows, ("due", "duty", "period", "state", "owner"))
    return 0


@dataclass(frozen=True)
class _At:
    now: datetime
    zone: ZoneInfo


def _to_come(task: Task, waiting: set[tuple[str, str]]) -> bool:
    """Whether it is still to be done, and not open already."""
    return task.done_at is None and task.due.key not in waiting


def _first_of_each(tasks: list[Task]) -> list[Task]:
    """Of what comes, the next of each duty, the first that is due before the others."""
    return sorted({task.due.duty: task for task in reversed(tasks)}.values(), key=lambda task: task.due.due_at)


def _write(tx: Any, project: Project, now: datetime) -> None:
    """Write down what is due around now, so that a duty can be done before any scheduler has looked."""
    timetable = timetable_of(project, begins_of(project))
    duties.note(tx, duties_between(project, timetable, now - timedelta(days=1), now + AHEAD))


def _state(task: Task, now: datetime) -> str:
    if task.done_at is not None:
        return "done"
    if rounds.is_found(task):
        return "found" if task.due.due_at > now else "found, overdue"
    return "overdue" if task.due.due_at <= now else "open" if task.due.opens_at <= now else "planned"


def _plain(task: Task, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"duty": task.due.duty, "period": task.due.period, "state": _state(task, now)}
    row |= {"opens_at": task.due.opens_at.isoformat(), "due_at": task.due.due_at.isoformat()}
    row |= {"done_at": task.done_at and task.done_at.isoformat(), "done_by": task.done_by}
    return row | {"evidence": dict(task.evidence)}


def _row(task: Task, project: Project, owners: dict[str, str], at: _At) -> dict[str, Any]:
    duty, who = project.duties[task.due.duty], owners[task.due.duty]
    name = name_of(project, who)
    shown = f", shown by {duty.shown_by.pipeline}" if duty.shown_by else ", done by the runner" if duty.does else ""
    return {
        "due": f"{task.due.due_at.astimezone(at.zone):%a %d %b %Y %H:%M}",
        "duty": task.due.duty,
        "period": task.due.period,
        "state": _state(task, at.now),
        "owner": f"{name}{' (on call)' if duty.owner == rounds.ON_CALL else ''}{shown}",
    }


def done(project: Project, report: Report, now: datetime, *, as_json: bool) -> int:
    """Record that a duty was done, with what shows it, on one line. Raises UsageError that says what is wrong."""
    if report.duty not in project.duties:
        raise UsageError(f"No duty is called {report.duty!r}.", known(report.duty, project.duties))
    engineer(project, report.who)
    evidence = line(report.evidence)
    if not evidence:
        raise UsageError("What shows that it was done?", "Say it with --evidence, for example a link or a sentence.")
    ledger = Ledger.of(project)
    with ledger.write() as tx:
        _write(tx, project, now)
        period = report.period or _oldest(duties.waiting(tx, now), report.duty)
        if duties.find(tx, report.duty, period) is None:
            raise UsageError(f"{report.duty} has no period {period!r}.", "See what there is: runner duties")
        if not duties.done(tx, report.duty, period, Done(report.who, now, {"said": evidence})):
            raise UsageError(f"{report.duty} of {period} is done already.", "The first record counts.")
        journal.act(tx, Act(now, report.who, "duty done", {"duty": report.duty, "period": period}))
    ledger.close()
    row = {"duty": report.duty, "period": period, "done_by": report.who, "at": now.isoformat()}
    said = f"Recorded: {report.duty} of {period}, done by {name_of(project, report.who)}."
    screen_for(as_json=as_json, total=0).line(row, said)
    return 0


def _oldest(waiting: tuple[Task, ...], duty: str) -> str:
    found = next((task.due.period for task in waiting if task.due.duty == duty), None)
    if found is None:
        raise UsageError(f"{duty} is not open now.", "See when it is: runner duties")
    return found
