"""Incidents: what is wrong, what was told, and somebody who says: I am at it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.acts.people import engineer
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, incidents, journal, outbox
from runner.ledger.incidents import Event
from runner.ledger.journal import Act
from runner.ledger.outbox import Letter
from runner.plan import incidents as rules
from runner.plan.incidents import Incident, State
from runner.screen import screen_for

#: How many closed incidents are listed below the open ones.
_RECENT = 20
#: Before the name of a duty, where a pipeline's name stands otherwise.
_DUTY = "duty:"
#: Before the name of a source.
_SOURCE = "source:"


def acknowledge(project: Project, number: int, who: str, now: datetime, *, as_json: bool) -> int:
    """Note that somebody is at an incident: nobody else is woken for it.

    Raises UsageError where there is no such incident, where it is over, or was opened only after `now`.
    """
    engineer(project, who)
    ledger = Ledger.of(project)
    with ledger.write() as tx:
        incident = _open_incident(incidents.find(tx, number), number)
        _require_opened(incident, now, ZoneInfo(project.settings.time_zone))
        change = rules.acknowledge(incident, who, now)
        if change.incident != incident:
            incidents.keep(tx, change.incident, change.events, now)
            journal.act(tx, Act(now, who, "acknowledged", {"incident": number}))
    ledger.close()
    first = change.incident.acknowledged_by or who
    name = _name(project, first)
    said = f"Incident {number} is acknowledged by {name}." if first == who else f"{name} was there before you."
    screen_for(as_json=as_json, total=0).line(
        {"incident": number, "acknowledged_by": first, "at": now.isoformat()}, said
    )
    return 0


def _open_incident(incident: Incident | None, number: int) -> Incident:
    if incident is None:
        raise UsageError(f"There is no incident {number}.", "See the open ones: runner incidents")
    if not incident.open:
        raise UsageError(f"Incident {number} is over ({incident.outcome}).", "There is nothing to acknowledge.")
    return incident


def _require_opened(incident: Incident, now: datetime, zone: ZoneInfo) -> None:
    if now < incident.opened_at:
        at = f"{incident.opened_at.astimezone(zone):%a %d %b %Y %H:%M}"
        raise UsageError(
            f"Incident {incident.number} was opened only at {at}.", "Take that for --now, or a later time."
        )


def _name(project: Project, who: str) -> str:
    """The name behind a key of people.yml; the key of one who has left."""
    return project.people.engineers[who].name if who in project.people.engineers else who


def listing(project: Project, *, as_json: bool) -> int:
    """Show open incidents, then the newest closed ones."""
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        found = [*incidents.opened(tx).values(), *incidents.closed(tx, _RECENT)]
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    zone = ZoneInfo(project.settings.time_zone)
    if not found and not as_json:
        screen.say("There has been no incident.")
    rows = [_plain(incident) if as_json else _row(incident, project, zone) for incident in found]
    screen.table(rows, ("incident", "opened", "report", "period", "state", "acknowledged"))
    return 0


def show(project: Project, number: int, *, as_json: bool) -> int:
    """Show one incident line by line, in the order of time: what happened, and who was told what."""
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        incident = incidents.find(tx, number)
        if incident is None:
            raise UsageError(f"There is no incident {number}.", "See those there are: runner incidents")
        events, letters = incidents.history(tx, number), outbox.of_incident(tx, number)
    ledger.close()
    screen, zone = screen_for(as_json=as_json, total=0), ZoneInfo(project.settings.time_zone)
    if as_json:
        lines = [{"at": event.at.isoformat(), "text": event.text} for event in events]
        told = [
            {
                "name": letter.name,
                "channel": letter.channel,
                "kind": letter.kind,
                "sent_at": letter.sent_at and letter.sent_at.isoformat(),
                "error": letter.error,
            }
            for letter in letters
        ]
        screen.table([_plain(incident) | {"events": lines, "told": told}], ())
        return 0
    screen.say(f"Incident {number}: {_report(project, incident)} {incident.period}, {_state(incident)}")
    story = [(event.at, _happened(project, event, zone)) for event in events]
    story += [(letter.sent_at or letter.owed_at, _told(letter, zone)) for letter in letters]
    for _, said in sorted(story, key=lambda line: line[0]):  # stable: what happened stands before what was told of it
        screen.say(f"  {said}")
    return 0


def _happened(project: Project, event: Event, zone: ZoneInfo) -> str:
    """A line of the history with names for keys; what is said of a report's state stays as it is."""
    text = event.text
    if not text.startswith(tuple(f"{state}{mark}" for state in State for mark in ",:")):
        text = re.sub(r"\w+", lambda found: _name(project, found[0]), text)
    return f"{event.at.astimezone(zone):%a %d %b %H:%M}  {text}"


def _told(letter: Letter, zone: ZoneInfo) -> str:
    sent = f"{letter.sent_at.astimezone(zone):%a %d %b %H:%M}" if letter.sent_at else "not sent yet    "
    return f"{sent}  told {letter.name} by {letter.channel} ({letter.kind})"


def _report(project: Project, incident: Incident) -> str:
    """The name of a pipeline, or a title: `duty: Weekly schema check`, `source: Till API`."""
    if incident.pipeline.startswith(_SOURCE):
        source = project.sources.sources.get(incident.pipeline.removeprefix(_SOURCE))
        return f"source: {source.title if source else incident.pipeline.removeprefix(_SOURCE)}"
    name = incident.pipeline.removeprefix(_DUTY)
    if name == incident.pipeline:
        return name
    return f"duty: {project.duties[name].title if name in project.duties else name}"


def _plain(incident: Incident) -> dict[str, Any]:
    row = {key: value for key, value in incident.as_dict().items() if key != "version"}
    row["incident"] = row.pop("number")
    return row


def _row(incident: Incident, project: Project, zone: ZoneInfo) -> dict[str, Any]:
    who = incident.acknowledged_by
    return {
        "incident": incident.number,
        "opened": f"{incident.opened_at.astimezone(zone):%a %d %b %Y %H:%M}",
        "report": _report(project, incident),
        "period": incident.period,
        "state": _state(incident),
        "acknowledged": _name(project, who) if who else "",
    }


def _state(incident: Incident) -> str:
    if not incident.open:
        return f"over: {incident.outcome}"
    return "down" if incident.pipeline.startswith(_SOURCE) else incident.state
