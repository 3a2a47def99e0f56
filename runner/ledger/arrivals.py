"""Which data have landed, as those say who load them. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.ledger.tables import arrivals as _arrivals


@dataclass(frozen=True)
class Arrival:
    """A source has everything up to and with a day, says somebody at an instant."""

    source: str
    day: str
    at: datetime
    who: str


def note(tx: sa.Connection, arrival: Arrival) -> bool:
    """Write down that data landed; False where it was known."""
    known = sa.select(_arrivals.c.id).where(_arrivals.c.source == arrival.source, _arrivals.c.day == arrival.day)
    if tx.execute(known).first() is not None:
        return False
    tx.execute(_arrivals.insert().values(**vars(arrival)))
    return True


def newest(tx: sa.Connection) -> Mapping[str, str]:
    """The last day (YYYY-MM-DD) that each source is whole up to, as far as anybody said."""
    query = sa.select(_arrivals.c.source, sa.func.max(_arrivals.c.day)).group_by(_arrivals.c.source)
    return {row[0]: row[1] for row in tx.execute(query)}
