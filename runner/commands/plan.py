"""What is owed: deadlines of a span, and those of today and tomorrow as they stand."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.ledger import Ledger, incidents
from runner.ledger.deadlines import State as Owing
from runner.plan.calendar import Span
from runner.plan.deadlines import Deadline
from runner.plan.incidents import DUTY, SOURCE
from runner.plan.oncall import Shift
from runner.scheduler import roster
from runner.scheduler.begins import begins_of
from runner.scheduler.office import Office, timetable_of
from runner.scheduler.opening import onlooker
from runner.scheduler.standing import Standing, begins, promised, standing, warnings
from runner.screen import screen_for

__all__ = ["Span", "due", "status"]


def due(project: Project, span: Span, *, as_json: bool) -> int:
    """List the deadlines of a span, as the calendar has them."""
    found = promised(project, timetable_of(project, begins_of(project)), span)
    zone = ZoneInfo(project.settings.time_zone)
    screen = screen_for(as_json=as_json, total=0)
    if not found and not as_json:
        screen.say("Nothing is due in that span.")
    rows = [_plain(deadline) if as_json else _row(deadline, project, zone) for deadline in found]
    screen.table(rows, ("due", "report", "period", "begins", "promise"))
    return 0


def _plain(deadline: Deadline) -> dict[str, Any]:
    times = {name: getattr(deadline, name).isoformat() for name in ("starts_at", "ready_at", "due_at")}
    row: dict[str, Any] = {"pipeline": deadline.pipeline, "period": deadline.period, "text": deadline.text}
    return row | {"as_of": deadline.as_of.isoformat(), "experiment": deadline.experiment, **times}


def _row(deadline: Deadline, project: Project, zone: ZoneInfo) -> dict[str, Any]:
    pipeline = project.pipelines[deadline.pipeline]
    ready = f", ready by {pipeline.ready_by}" if pipeline.ready_by else ""
    return {
        "due": f"{deadline.due_at.astimezone(zone):%a %d %b %Y %H:%M %Z}",
        "report": deadline.pipeline,
        "period": deadline.period,
        "begins": begins(deadline, zone),
        "promise": f"{pipeline.deadline}{ready}",
    }


# How things stand.


def status(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show every deadline of today and the next day, its state, and who is responsible; what is wrong first."""
    ledger = Ledger.of(project)
    office = onlooker(project, ledger)
    with ledger.read() as tx:
        stands = standing(tx, office, now)
        wrong = warnings(tx, office, now)
        duties = [one for key, one in incidents.opened(tx).items() if key[0].startswith((DUTY, SOURCE))]
        shift = roster.shift_at(tx, project, now)
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([_standing_plain(item, now) for item in stands], ())
        return 0
    for text in (*_on_call(office, shift), *(f"! {text}" for text in wrong)):
        screen.say(text)
    for incident in duties:
        screen.say(f"! Incident {incident.number}: {incident.sentence}")
    screen.say("")
    if not stands:
        screen.say("Nothing is due today or tomorrow.")
    rows = [_standing_row(item, office.zone) for item in stands]
    screen.table(rows, ("due", "report", "period", "state", "responsible"))
    for item in stands:
        if item.incident and item.incident.open:
            report = f"{item.owed.deadline.pipeline} {item.owed.deadline.period}"
            screen.say(f"\nIncident {item.incident.number}, {report}: {item.sentence}")
    return 0


def _on_call(office: Office, shift: Shift | None) -> tuple[str, ...]:
    if shift is None:
        return ()
    then = f", then {office.project.name_of(shift.secondary)}" if shift.secondary else ""
    until = f"{shift.end.astimezone(office.zone):%a %d %b %H:%M}"
    return (f"On call until {until}: {office.project.name_of(shift.primary)}{then}.",)


def _standing_plain(item: Standing, now: datetime) -> dict[str, Any]:
    owed = item.owed
    row = _plain(owed.deadline) | {"state": item.state, "sentence": item.sentence, "responsible": item.responsible}
    row |= {"at": now.isoformat(), "attempts": owed.attempts, "run": owed.run}
    row |= {"ended_at": owed.ended_at.isoformat() if owed.ended_at else None}
    return row | {"incident": item.incident.number if item.incident else None}


def _standing_row(item: Standing, zone: ZoneInfo) -> dict[str, Any]:
    deadline, ended = item.owed.deadline, item.owed.ended_at
    at = f" {ended.astimezone(zone):%H:%M}" if ended and item.owed.state is Owing.MET else ""
    return {
        "due": f"{deadline.due_at.astimezone(zone):%a %d %b %H:%M}",
        "report": deadline.pipeline,
        "period": deadline.period,
        "state": f"{item.state}{at}",
        "responsible": item.responsible,
    }
