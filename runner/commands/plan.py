"""What is owed: deadlines of a span, and those of today and tomorrow as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from runner.config import Pipeline, Project
from runner.ledger import Ledger, deadlines, incidents, journal, outbox
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.plan.calendar import instant, local_day
from runner.plan.deadlines import Deadline, Timetable, all_deadlines
from runner.plan.forecast import words
from runner.plan.incidents import Incident
from runner.plan.oncall import Shift
from runner.scheduler import planning, roster, work
from runner.scheduler.begins import begins_of
from runner.scheduler.circumstances import circumstances
from runner.scheduler.letters import name_of
from runner.scheduler.office import Office, timetable_of
from runner.scheduler.opening import onlooker
from runner.scheduler.roster import WATERMARK
from runner.scheduler.sightings import sight
from runner.scheduler.work import Inputs
from runner.screen import screen_for

#: A scheduler that has not looked for so long is not there.
SILENT = timedelta(minutes=10)


@dataclass(frozen=True)
class Span:
    """From one instant up to another."""

    first: datetime
    last: datetime


def due(project: Project, span: Span, *, as_json: bool) -> int:
    """List the deadlines of a span, as the calendar has them."""
    found = _promised(project, timetable_of(project, begins_of(project)), span)
    zone = ZoneInfo(project.settings.time_zone)
    screen = screen_for(as_json=as_json, total=0)
    if not found and not as_json:
        screen.say("Nothing is due in that span.")
    rows = [_plain(deadline) if as_json else _row(deadline, project, zone) for deadline in found]
    screen.table(rows, ("due", "report", "period", "begins", "promise"))
    return 0


def _promised(project: Project, timetable: Timetable, span: Span) -> tuple[Deadline, ...]:
    return all_deadlines(project.pipelines.values(), project.settings, timetable, span.first, span.last)


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
        "begins": _begins(deadline, zone),
        "promise": f"{pipeline.deadline}{ready}",
    }


def _begins(deadline: Deadline, zone: ZoneInfo) -> str:
    start, end = deadline.starts_at.astimezone(zone), deadline.due_at.astimezone(zone)
    return f"{start:%H:%M}" if start.date() == end.date() else f"{start:%a %H:%M}"


# How things stand.


@dataclass(frozen=True)
class Standing:
    """One deadline as it stands: what is seen of it in a word and a sentence, who answers for it, its incident."""

    owed: Owed
    state: str
    sentence: str
    responsible: str
    incident: Incident | None = None


def status(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show every deadline of today and the next day, its state, and who is responsible; what is wrong first."""
    ledger = Ledger.of(project)
    office = onlooker(project, ledger)
    with ledger.read() as tx:
        standing = _standing(tx, office, now)
        warnings = _warnings(tx, office, now)
        duties = [one for key, one in incidents.opened(tx).items() if key[0].startswith(("duty:", "source:"))]
        shift = _shift(tx, project, now)
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([_standing_plain(item, now) for item in standing], ())
        return 0
    for text in (*_on_call(office, shift), *(f"! {text}" for text in warnings)):
        screen.say(text)
    for incident in duties:
        screen.say(f"! Incident {incident.number}: {incident.sentence}")
    screen.say("")
    if not standing:
        screen.say("Nothing is due today or tomorrow.")
    rows = [_standing_row(item, office.zone) for item in standing]
    screen.table(rows, ("due", "report", "period", "state", "responsible"))
    for item in standing:
        if item.incident and item.incident.open:
            report = f"{item.owed.deadline.pipeline} {item.owed.deadline.period}"
            screen.say(f"\nIncident {item.incident.number}, {report}: {item.sentence}")
    return 0


def _on_call(office: Office, shift: Shift | None) -> tuple[str, ...]:
    if shift is None:
        return ()
    then = f", then {name_of(office.project, shift.secondary)}" if shift.secondary else ""
    until = f"{shift.end.astimezone(office.zone):%a %d %b %H:%M}"
    return (f"On call until {until}: {name_of(office.project, shift.primary)}{then}.",)


def _standing(tx: sa.Connection, office: Office, now: datetime) -> list[Standing]:
    """The book over the calendar: what the scheduler wrote down, and what it has not seen yet; older trouble, too."""
    project, zone = office.project, office.zone
    today = local_day(now, zone)
    span = Span(instant(today, _MIDNIGHT, zone), instant(today + timedelta(days=2), _MIDNIGHT, zone))
    known = {owed.key: owed for owed in deadlines.between(tx, span.first, span.last)}
    # What fell due before the first look was never promised by this scheduler.
    since = journal.mark(tx, planning.SINCE)
    first = Span(since.at, span.last) if since and since.at and since.at > span.first else span
    owed = {deadline.key: Owed(deadline) for deadline in _promised(project, office.timetable(), first)} | known
    older = [item for item in deadlines.begun(tx, now) if item.deadline.due_at < span.first]
    everything = [*older, *sorted(owed.values(), key=lambda item: (item.deadline.due_at, item.key))]
    look = _Look(now, _shift(tx, project, now), incidents.opened(tx), work.inputs_of(tx, office, everything))
    return [_stand(office, item, look) for item in everything]


_MIDNIGHT = datetime.min.time()


@dataclass(frozen=True)
class _Look:
    """The instant, who is on call at it, every open incident, and the inputs of all that is looked at."""

    now: datetime
    shift: Shift | None
    incidents: Mapping[tuple[str, str], Incident]
    inputs: Inputs


def _shift(tx: sa.Connection, project: Project, now: datetime) -> Shift | None:
    rota = roster.rota_of(tx, project, now - roster.RECENT)
    return rota.at(now) if rota else None


def _stand(office: Office, owed: Owed, look: _Look) -> Standing:
    pipeline, incident = office.project.pipelines.get(owed.deadline.pipeline), look.incidents.get(owed.key)
    who = _responsible(office.project, pipeline, incident, look.shift)
    if owed.state is not Owing.OPEN or look.now >= owed.deadline.starts_at:
        seen = sight(owed, circumstances(office, owed, look.inputs), look.now)
        state = seen.over or (str(seen.state) if seen.state else "under way" if owed.holder else "begins")
        if seen.over == "met" and not owed.on_time:
            state = "met late"
        return Standing(owed, state, seen.sentence, who, incident)
    return Standing(owed, "planned", f"Begins at {_begins(owed.deadline, office.zone)}.", who, incident)


def _responsible(project: Project, pipeline: Pipeline | None, incident: Incident | None, shift: Shift | None) -> str:
    """Whoever acknowledged the trouble; else whoever is on call; else the owner."""
    if incident and incident.acknowledged_by:
        return f"{name_of(project, incident.acknowledged_by)} (acknowledged)"
    if shift:
        return f"{name_of(project, shift.primary)} (on call)"
    return f"{name_of(project, pipeline.owners.primary)} (owner)" if pipeline else ""


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


def _warnings(tx: sa.Connection, office: Office, now: datetime) -> list[str]:
    """What is wrong with the scheduler itself."""
    mark = journal.mark(tx, WATERMARK)
    said = []
    if mark is not None and mark.at is not None and mark.at > now + SILENT:
        at = f"{mark.at.astimezone(office.zone):%a %d %b %Y %H:%M}"
        said.append(f"This is a look back: the scheduler has looked at {at} already.")
    elif mark is None or mark.at is None:
        said.append("No scheduler has looked at this project yet: start one with `runner serve`.")
    elif now - mark.at > SILENT:
        at = f"{mark.at.astimezone(office.zone):%a %d %b %H:%M}"
        said.append(f"The scheduler last looked at {at}, {words(now - mark.at)} ago: is `runner serve` running?")
    lost = outbox.given_up(tx, now - timedelta(days=1))
    said += [f"A message to {letter.name} by {letter.channel} was given up: {letter.error}" for letter in lost]
    return said
