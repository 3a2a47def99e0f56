"""What is measured of the ledger: a few numbers, none of which needs the whole past. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.ledger.deadlines import State
from runner.ledger.tables import deadlines as _deadlines
from runner.ledger.tables import deliveries as _deliveries
from runner.ledger.tables import outbox as _outbox
from runner.ledger.tables import runs as _runs
from runner.ledger.tables import sessions as _sessions

_AT_ONCE = 400  # values of one question: a database takes only so many
_EVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")  # before every instant there is


def late_since(tx: sa.Connection, now: datetime) -> Mapping[str, datetime]:
    """When the oldest report fell due that a pipeline owes still, by pipeline; those that owe none are left out."""
    late = sa.select(_deadlines.c.pipeline, sa.func.min(_deadlines.c.due_at)).where(
        _deadlines.c.state == State.OPEN, _deadlines.c.starts_at <= now, _deadlines.c.due_at <= now
    )
    return {row[0]: row[1] for row in tx.execute(late.group_by(_deadlines.c.pipeline))}


def outcomes(tx: sa.Connection, first: datetime, now: datetime) -> Mapping[tuple[str, str], int]:
    """How many deadlines that fell due in [first, now) are met, met late, late or missed, by (pipeline, which)."""
    met, late = _deadlines.c.state == State.MET, _deadlines.c.ended_at > _deadlines.c.due_at
    which = sa.case(
        (sa.and_(met, late), "met_late"), (met, "met"), (_deadlines.c.state == State.OPEN, "late"), else_="missed"
    )
    query = sa.select(_deadlines.c.pipeline, which.label("which"), sa.func.count()).where(
        _deadlines.c.due_at >= first, _deadlines.c.due_at < now, _deadlines.c.state.concat("") != State.WITHDRAWN
    )
    rows = tx.execute(query.group_by(_deadlines.c.pipeline, sa.text("which")))
    return {(row[0], row[1]): row[2] for row in rows}


def decisions(tx: sa.Connection, pipelines: Iterable[str], since: datetime) -> Mapping[tuple[str, str], int]:
    """How the gate decided on runs that began since an instant, by (pipeline, decision)."""
    names, found = sorted(pipelines), dict[tuple[str, str], int]()
    for first in range(0, len(names), _AT_ONCE):
        query = sa.select(_runs.c.pipeline, _runs.c.decision, sa.func.count()).where(
            _runs.c.pipeline.in_(names[first : first + _AT_ONCE]),
            _runs.c.started_at >= since,
            _runs.c.decision.is_not(None),
        )
        rows = tx.execute(query.group_by(_runs.c.pipeline, _runs.c.decision))
        found |= {(row[0], row[1]): row[2] for row in rows}
    return found


@dataclass(frozen=True)
class Outbox:
    """How many messages are owed, since when the oldest of them, and how many were given up lately."""

    owed: int
    oldest: datetime | None
    given_up: int


def outbox(tx: sa.Connection, since: datetime) -> Outbox:
    """The outbox; `since` says what is lately."""
    # As "is not null", but an index serves.
    owed = sa.select(sa.func.count(), sa.func.min(_outbox.c.owed_at)).where(_outbox.c.next_try_at >= _EVER)
    count, oldest = tx.execute(owed).one()
    lost = sa.select(sa.func.count()).select_from(_outbox).where(_outbox.c.given_up_at >= since)
    return Outbox(count, oldest, tx.scalar(lost) or 0)


def deliveries(tx: sa.Connection) -> Mapping[str, int]:
    """How many deliveries of reports are not sent, by their state."""
    query = sa.select(_deliveries.c.state, sa.func.count()).where(_deliveries.c.sent_at.is_(None))
    return {row[0]: row[1] for row in tx.execute(query.group_by(_deliveries.c.state))}


def sessions(tx: sa.Connection, now: datetime, seen_since: datetime) -> int:
    """How many people are signed in at the desk, and were seen lately."""
    query = sa.select(sa.func.count()).select_from(_sessions)
    return tx.scalar(query.where(_sessions.c.ends_at > now, _sessions.c.seen_at >= seen_since)) or 0
