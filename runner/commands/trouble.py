"""Incidents: what is wrong, what was told; and somebody who says: I am at it, it is yours, it is settled."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.acts import incidents as acts
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, incidents
from runner.ledger.outbox import Letter
from runner.plan.incidents import DUTY, SOURCE, Incident, Word
from runner.scheduler import chronicle
from runner.screen import screen_for

#: How many closed incidents are listed below the open ones.
_RECENT = 20


def acknowledge(project: Project, number: int, who: str, now: datetime, *, as_json: bool) -> int:
    """Note that somebody is at an incident. Raises UsageError as the act does."""
    ledger = Ledger.of(project)
    incident = acts.acknowledge(project, ledger, number, who, now)
    ledger.close()
    first = incident.acknowledged_by or who
    name = project.name_of(first)
    said = f"Incident {number} is acknowledged by {name}." if first == who else f"{name} was there before you."
    row = {"incident": number, "acknowledged_by": first, "at": now.isoformat()}
    screen_for(as_json=as_json, total=0).line(row, said)
    return 0


def hand_over(project: Project, number: int, to: str, word: Word, *, as_json: bool) -> int:
    """Hand an incident to another engineer, who is told. Raises UsageError as the act does."""
    ledger = Ledger.of(project)
    incident = acts.hand_over(project, ledger, number, to, word)
    ledger.close()
    name = project.name_of(to)
    said = f"Incident {number} is with {name}, who is told of it; nobody else is woken while they answer in time."
    if incident.handed_by is None:
        said = f"{name} is at incident {number}."
    row = {"incident": number, "acknowledged_by": to, "handed_by": incident.handed_by, "at": word.at.isoformat()}
    screen_for(as_json=as_json, total=0).line(row, said)
    return 0


def resolve(project: Project, number: int, word: Word, *, as_json: bool) -> int:
    """End an incident that was settled by hand. Raises UsageError as the act does."""
    ledger = Ledger.of(project)
    incident = acts.resolve(project, ledger, number, word)
    ledger.close()
    row = {"incident": number, "resolved_by": word.who, "because": incident.sentence, "at": word.at.isoformat()}
    screen_for(as_json=as_json, total=0).line(row, f"Incident {number} is over: {incident.sentence}")
    return 0


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
        events, told = incidents.history(tx, number), chronicle.chronicle(tx, project, incident)
    ledger.close()
    screen, zone = screen_for(as_json=as_json, total=0), ZoneInfo(project.settings.time_zone)
    if as_json:
        lines = [{"at": event.at.isoformat(), "text": event.text} for event in events]
        letters = [
            {
                "name": letter.name,
                "channel": letter.channel,
                "kind": letter.kind,
                "sent_at": letter.sent_at and letter.sent_at.isoformat(),
                "error": letter.error,
            }
            for line in told
            for letter in line.letters
        ]
        screen.table([_plain(incident) | {"events": lines, "told": letters}], ())
        return 0
    screen.say(f"Incident {number}: {_report(project, incident)} {incident.period}, {_state(incident)}")
    for line in told:
        if line.text:
            said = f"{line.text}: {line.said}" if line.said else line.text
            screen.say(f"  {line.at.astimezone(zone):%a %d %b %H:%M}  {said}")
        for letter in line.letters:
            screen.say(f"  {_told(letter, zone)}")
    return 0


def _told(letter: Letter, zone: ZoneInfo) -> str:
    sent = f"{letter.sent_at.astimezone(zone):%a %d %b %H:%M}" if letter.sent_at else "not sent yet    "
    return f"{sent}  told {letter.name} by {letter.channel} ({letter.kind})"


def _report(project: Project, incident: Incident) -> str:
    """The name of a pipeline, or a title: `duty: Weekly schema check`, `source: Till API`."""
    kind = next((kind for kind in (DUTY, SOURCE) if incident.pipeline.startswith(kind)), "")
    return f"{kind} {chronicle.title(project, incident.pipeline)}" if kind else incident.pipeline


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
        "acknowledged": project.name_of(who) if who else "",
    }


def _state(incident: Incident) -> str:
    if not incident.open:
        return f"over: {incident.outcome}"
    return chronicle.state(incident)
