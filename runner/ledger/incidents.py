"""The book of incidents: each trouble, and what happened in it, line by line. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import RunFailed
from runner.ledger.tables import events as _events
from runner.ledger.tables import incidents as _incidents
from runner.plan.incidents import Incident


class Overtaken(RunFailed):
    """Another scheduler, or a person, changed the same incident in the meantime."""

    retry = True


@dataclass(frozen=True)
class Event:
    """One line of an incident's history."""

    at: datetime
    text: str


#: Asked at every tick, so put together once. Sorted afterwards: asked for in order of their numbers, a database reads
#: the whole table instead of the index over those that are open.
_OPENED = sa.select(_incidents).where(_incidents.c.closed_at.is_(None))


def _incident(row: Any) -> Incident:
    return replace(Incident.of(row.rest), number=row.number, version=row.version)


def find(tx: sa.Connection, number: int) -> Incident | None:
    """One incident by its number."""
    row = tx.execute(sa.select(_incidents).where(_incidents.c.number == number)).first()
    return _incident(row) if row else None


def opened(tx: sa.Connection) -> dict[tuple[str, str], Incident]:
    """Every open incident by (pipeline, period), oldest first."""
    rows = sorted(tx.execute(_OPENED), key=lambda row: int(row.number))
    return {(row.pipeline, row.period): _incident(row) for row in rows}


def last(tx: sa.Connection, pipeline: str, period: str) -> Incident | None:
    """The newest incident of a report's period."""
    query = sa.select(_incidents).where(_incidents.c.pipeline == pipeline, _incidents.c.period == period)
    row = tx.execute(query.order_by(_incidents.c.number.desc()).limit(1)).first()
    return _incident(row) if row else None


def page(tx: sa.Connection, before: int | None, most: int) -> tuple[Incident, ...]:
    """Closed incidents with the highest numbers below `before`, highest first."""
    query = sa.select(_incidents).where(_incidents.c.closed_at.is_not(None))
    query = query if before is None else query.where(_incidents.c.number < before)
    return tuple(map(_incident, tx.execute(query.order_by(_incidents.c.number.desc()).limit(most))))


def note(tx: sa.Connection, number: int, text: str, now: datetime) -> None:
    """Add a line to an incident's history that changes nothing in it."""
    tx.execute(_events.insert().values(number=number, at=now, text=text))


def is_noted(tx: sa.Connection, number: int, text: str) -> bool:
    """Whether a line stands in an incident's history."""
    query = sa.select(_events.c.id).where(_events.c.number == number, _events.c.text == text)
    return tx.execute(query.limit(1)).first() is not None


def between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Incident, ...]:
    """Incidents opened in [first, last), oldest first."""
    query = sa.select(_incidents).where(_incidents.c.opened_at >= first, _incidents.c.opened_at < last)
    return tuple(map(_incident, tx.execute(query.order_by(_incidents.c.number))))


def keep(tx: sa.Connection, incident: Incident, events: Iterable[str], now: datetime) -> Incident:
    """Write an incident as it is now, with what just happened; with its number.

    Raises Overtaken when another changed it since it was read: what this one was about to tell may be told already.
    """
    row = {"pipeline": incident.pipeline, "period": incident.period, "opened_at": incident.opened_at}
    row |= {"closed_at": incident.closed_at, "rest": incident.as_dict(), "version": incident.version + 1}
    if incident.number:
        known = _incidents.update().where(_incidents.c.number == incident.number)
        if not tx.execute(known.where(_incidents.c.version == incident.version).values(**row)).rowcount:
            raise Overtaken(f"Incident {incident.number} was changed by another runner.", "Look again.")
    else:
        made = tx.execute(_incidents.insert().values(**row))
        incident = replace(incident, number=_number(made))
    rows = [{"number": incident.number, "at": now, "text": text} for text in events]
    if rows:
        tx.execute(_events.insert(), rows)
    return replace(incident, version=incident.version + 1)


def drop(tx: sa.Connection, incident: Incident, now: datetime) -> Incident:
    """End an incident of what config does not have any more."""
    gone = replace(incident, closed_at=now, outcome="withdrawn", next_step_at=None, next_word_at=None)
    return keep(tx, gone, ("it is gone from config/",), now)


def _number(made: sa.CursorResult[Any]) -> int:
    key = made.inserted_primary_key
    return int(key[0]) if key else 0


def history(tx: sa.Connection, number: int) -> tuple[Event, ...]:
    """What happened in an incident, oldest first."""
    query = sa.select(_events).where(_events.c.number == number).order_by(_events.c.id)
    return tuple(Event(row.at, row.text) for row in tx.execute(query))


def closed(tx: sa.Connection, most: int) -> tuple[Incident, ...]:
    """The incidents that were closed last, newest first."""
    query = sa.select(_incidents).where(_incidents.c.closed_at.is_not(None))
    return tuple(map(_incident, tx.execute(query.order_by(_incidents.c.closed_at.desc()).limit(most))))
