"""One incident, be it of a report, a duty or a source: what its mail says now, who is told next, letters it owes."""

from __future__ import annotations

from datetime import datetime
from types import ModuleType

import sqlalchemy as sa

from runner.delivery.messages import Message
from runner.ledger import outbox
from runner.plan.incidents import DUTY, SOURCE, Change, Incident, Notice, Watch, next_told
from runner.scheduler import chores, letters, outages, roster, telling
from runner.scheduler.office import Office


def message(tx: sa.Connection, office: Office, incident: Incident, notice: Notice, now: datetime) -> Message | None:
    """What a notice of it says, written now; None where config or the book does not have what it is about any more."""
    said: Message | None = _teller(incident).message(tx, office, incident, notice, now)
    return said


def coming(
    tx: sa.Connection, office: Office, incident: Incident, now: datetime
) -> tuple[datetime, tuple[str, ...]] | None:
    """When engineers are told next if nobody acknowledges and all stays as it is, and who."""
    if not incident.open or incident.next_step_at is None:
        return None
    watch = _watch(tx, office, incident, now)
    return next_told(incident, watch, office.policy(tells_readers=False)) if watch else None


def owe(tx: sa.Connection, office: Office, change: Change, now: datetime) -> None:
    """Write the letters of a change that a person made; its incident is kept already."""
    incident = change.incident
    for notice in change.notices:
        said = message(tx, office, incident, notice, now) if notice.person else None
        if said is not None and notice.person:
            about = letters.about(letters.Key(incident, notice, now))
            outbox.owe(tx, letters.to_engineer(office.project, about, notice.person, said))


def _teller(incident: Incident) -> ModuleType:
    """The module that tells of its kind."""
    if incident.pipeline.startswith(DUTY):
        return chores
    return outages if incident.pipeline.startswith(SOURCE) else telling


def _watch(tx: sa.Connection, office: Office, incident: Incident, now: datetime) -> Watch | None:
    if incident.pipeline.startswith(DUTY):
        return chores.watch(tx, office, incident, now)
    if incident.pipeline.startswith(SOURCE):
        return outages.watch(tx, office, incident, now)
    pipeline = office.project.pipelines.get(incident.pipeline)
    rota = roster.rota_of(tx, office.project, now - roster.RECENT)
    return telling.watch_of(rota, pipeline, now) if pipeline else None
