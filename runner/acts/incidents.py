"""What a person does about trouble: acknowledge it, hand it over, resolve it. Whoever must hear of it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.acts.wishes import reason_of
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, deadlines, incidents, journal
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.ledger.journal import Act
from runner.plan import incidents as rules
from runner.plan.incidents import Change, Incident, Word
from runner.scheduler.opening import onlooker
from runner.scheduler.sightings import attempt_of


def acknowledge(project: Project, ledger: Ledger, number: int, who: str, now: datetime) -> Incident:
    """Note that somebody is at an incident: nobody else is woken. The incident says who: the first one counts.

    Raises UsageError where there is no such incident, where it is over, or was opened only after `now`.
    """
    engineer(project, who)
    with ledger.write() as tx:
        incident = _open(tx, project, number, now)
        change = rules.acknowledge(incident, who, now)
        if change.incident == incident:
            return incident
        return _done(tx, project, ledger, change, Act(now, who, "acknowledged", {"incident": number}))


def hand_over(project: Project, ledger: Ledger, number: int, to: str, word: Word) -> Incident:
    """Let another engineer be at an incident, and tell them; to oneself: take it over from whoever is at it.

    Raises UsageError as `acknowledge` does, where nothing is said of why, and where `to` is at it already.
    """
    engineer(project, to)
    word = _checked(project, word, "What should they know?")
    with ledger.write() as tx:
        incident = _open(tx, project, number, word.at)
        if to == incident.acknowledged_by:
            raise UsageError(f"{project.name_of(to)} is at incident {number} already.", "Name somebody else.")
        within = timedelta(seconds=project.settings.alerts.acknowledge_within)
        details = {"incident": number, "to": to, "because": word.because}
        change = rules.hand_over(incident, to, word, within)
        return _done(tx, project, ledger, change, Act(word.at, word.who, "incident handed over", details))


def resolve(project: Project, ledger: Ledger, number: int, word: Word) -> Incident:
    """End an incident that a person settled, and tell all who were told of it.

    Raises UsageError as `acknowledge` does, where nothing is said of why, and where it closes by itself.
    """
    word = _checked(project, word, "How was it settled?")
    with ledger.write() as tx:
        incident = _open(tx, project, number, word.at)
        owed = _owed(tx, incident)
        why_not = why_not_resolved(incident, owed, word.at)
        if why_not:
            raise UsageError(f"Incident {number} cannot be resolved by hand.", why_not)
        details = {"incident": number, "because": word.because}
        change = rules.resolve(incident, word, attempt_of(owed) if owed else "")
        return _done(tx, project, ledger, change, Act(word.at, word.who, "incident resolved", details))


def why_not_resolved(incident: Incident, owed: Owed | None, now: datetime) -> str:
    """Why it cannot be resolved by hand, and what ends it; nothing where it can."""
    late = owed is not None and owed.state is Owing.OPEN and now >= owed.deadline.due_at
    return rules.why_not_resolved(incident, late=late)


def looked_at(ledger: Ledger, number: int, who: str, now: datetime) -> None:
    """Note in an open incident's history that somebody has opened it on the desk, once for each."""
    text = f"{who} opened it on the desk"
    with ledger.read() as tx:  # whoever only looks keeps no writer waiting
        incident = incidents.find(tx, number)
        if incident is None or not incident.open or incidents.is_noted(tx, number, text):
            return
    with ledger.write() as tx:
        incident = incidents.find(tx, number)
        if incident is not None and incident.open and not incidents.is_noted(tx, number, text):
            incidents.note(tx, number, text, now)


def _checked(project: Project, word: Word, question: str) -> Word:
    """What somebody says, on one line. Raises UsageError where it is nothing, or too long for a mail."""
    engineer(project, word.who)
    because = reason_of(word.because)
    if not because:
        raise UsageError(question, "Say it in a sentence: it is kept, and told to those whom it concerns.")
    return replace(word, because=because)


def _open(tx: sa.Connection, project: Project, number: int, now: datetime) -> Incident:
    incident = incidents.find(tx, number)
    if incident is None:
        raise UsageError(
            f"There is no incident {number}.", "Look at the open ones.", typed="See the open ones: runner incidents"
        )
    if not incident.open:
        raise UsageError(f"Incident {number} is over ({incident.outcome}).", "There is nothing left to do about it.")
    if now < incident.opened_at:
        at = f"{incident.opened_at.astimezone(ZoneInfo(project.settings.time_zone)):%a %d %b %Y %H:%M}"
        raise UsageError(
            f"Incident {number} was opened only at {at}.",
            "Do it then, or later.",
            typed="Take that for --now, or a later time.",
        )
    return incident


def _owed(tx: sa.Connection, incident: Incident) -> Owed | None:
    return deadlines.find(tx, (incident.pipeline, incident.period))


def _done(tx: sa.Connection, project: Project, ledger: Ledger, change: Change, act: Act) -> Incident:
    """Keep what changed, who did it, and the letters that it owes."""
    kept = incidents.keep(tx, change.incident, change.events, act.at)
    journal.act(tx, act)
    if change.notices:
        from runner.scheduler import dossier  # noqa: PLC0415 - brings all that messages are made of

        dossier.owe(tx, onlooker(project, ledger), replace(change, incident=kept), act.at)
    return kept
