"""Which data have landed, as those say who load them. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from runner.ledger.tables import Instant
from runner.ledger.tables import arrivals as _arrivals


@dataclass(frozen=True)
class Arrival:
    """A source has everything up to and with a day, says somebody at an instant."""

    source: str
    day: date
    at: datetime
    who: str


#: Asked at every tick, so put together once: of each source the newest day, straight from the index.
_NEWEST = (
    sa.select(_arrivals.c.day)
    .where(_arrivals.c.source == sa.bindparam("source"), _arrivals.c.at <= sa.bindparam("now", type_=Instant))
    .order_by(_arrivals.c.day.desc())
    .limit(1)
)

_FIRST = sa.select(sa.func.min(_arrivals.c.id))


def note(tx: sa.Connection, arrival: Arrival) -> bool:
    """Write down that data landed; False where it was known."""
    if find(tx, arrival.source, arrival.day) is not None:
        return False
    tx.execute(_arrivals.insert().values(**{**vars(arrival), "day": arrival.day.isoformat()}))
    return True


def find(tx: sa.Connection, source: str, day: date) -> Arrival | None:
    """The word that a source is whole up to a day, as it was given first."""
    query = sa.select(_arrivals).where(_arrivals.c.source == source, _arrivals.c.day == day.isoformat())
    row = tx.execute(query.order_by(_arrivals.c.id).limit(1)).first()
    return Arrival(row.source, date.fromisoformat(row.day), row.at, row.who) if row else None


def newest(tx: sa.Connection, sources: Iterable[str], now: datetime) -> Mapping[str, date]:
    """The last day up to which each of these sources is whole, as far as anybody had said by an instant."""
    days = ((source, tx.scalar(_NEWEST, {"source": source, "now": now})) for source in sources)
    return {source: date.fromisoformat(day) for source, day in days if day is not None}


def is_any(tx: sa.Connection) -> bool:
    """Whether anything was ever said to have landed: most projects go by the clock alone."""
    return tx.scalar(_FIRST) is not None
