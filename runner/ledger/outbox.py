"""The outbox: messages owed, written in the very transaction that changes the state. Functions over one transaction.

A message is claimed with a lease before it is sent and marked with the same claim after. A sender that dies in between
leaves it to be sent again, under the same Message-ID: at least once is what can be had, and twice is known as twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import Instant
from runner.ledger.tables import outbox as _outbox


@dataclass(frozen=True)
class Letter:
    """One message for one person on one channel. `key` is unique: owed twice, it is written once."""

    key: str
    kind: str
    person: str
    name: str
    address: str
    channel: str
    message: Mapping[str, Any]
    message_id: str
    owed_at: datetime
    incident: int | None = None
    id: int = 0
    attempts: int = 0
    sent_at: datetime | None = None
    given_up_at: datetime | None = None
    error: str | None = None
    bundle: str | None = field(default=None)


_FIELDS = tuple(name for name in Letter.__dataclass_fields__ if name != "id")


def _letter(row: Any) -> Letter:
    return Letter(**{name: getattr(row, name) for name in (*_FIELDS, "id")})


# What every tick asks is put together once: building a statement takes longer than asking it.
_NOW = sa.bindparam("now", type_=Instant)
_EVER = datetime(1, 1, 1, tzinfo=UTC)  # before every instant there is
# Not by the number itself: a database would walk through all that was ever sent, which is in that order already.
_OLDEST_FIRST = _outbox.c.id + 0
_FREE = sa.or_(_outbox.c.lease_until.is_(None), _outbox.c.lease_until <= _NOW)
_DUE = (
    sa.select(_outbox)
    .where(_outbox.c.next_try_at <= _NOW, _FREE)
    .order_by(_OLDEST_FIRST)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_NEXT_TRY = sa.select(
    sa.func.min(sa.case((_outbox.c.next_try_at > _NOW, _outbox.c.next_try_at))),
    sa.func.min(sa.case((_outbox.c.lease_until > _NOW, _outbox.c.lease_until))),
).where(_outbox.c.next_try_at >= _EVER)  # as "is not null", but an index serves


def owe(tx: sa.Connection, letters: Iterable[Letter]) -> int:
    """Write messages down; those that are owed already stay as they are. How many were new."""
    new = 0
    for letter in letters:
        if tx.execute(sa.select(_outbox.c.id).where(_outbox.c.key == letter.key)).first() is None:
            row = {name: getattr(letter, name) for name in _FIELDS} | {"message": dict(letter.message)}
            tx.execute(_outbox.insert().values(**row, next_try_at=letter.owed_at))
            new += 1
    return new


def due(tx: sa.Connection, now: datetime, most: int = 500) -> tuple[Letter, ...]:
    """Messages to be sent now that nobody is sending, oldest first."""
    return tuple(map(_letter, tx.execute(_DUE, {"now": now, "most": most})))


def claim(tx: sa.Connection, letters: Sequence[Letter], holder: str, now: datetime, until: datetime) -> list[int]:
    """Take messages to send them; the numbers of those that were still free."""
    taken = []
    for letter in letters:
        free = sa.or_(_outbox.c.lease_until.is_(None), _outbox.c.lease_until <= now)
        mine = _outbox.update().where(_outbox.c.id == letter.id, _outbox.c.next_try_at.is_not(None), free)
        if tx.execute(mine.values(holder=holder, lease_until=until)).rowcount == 1:
            taken.append(letter.id)
    return taken


def bind(tx: sa.Connection, numbers: Sequence[int], bundle: str) -> None:
    """Let several messages go out as one, from now on and for every try, under one identity."""
    tx.execute(_outbox.update().where(_outbox.c.id.in_(numbers)).values(bundle=bundle))


def sent(tx: sa.Connection, numbers: Sequence[int], holder: str, now: datetime) -> None:
    """Note that messages were taken by their channel; only their holder may."""
    mine = _outbox.update().where(_outbox.c.id.in_(numbers), _outbox.c.holder == holder)
    tx.execute(mine.values(sent_at=now, next_try_at=None, holder=None, lease_until=None, error=None))


@dataclass(frozen=True)
class Refusal:
    """Why messages did not go out, and when to try again (None: never)."""

    error: str
    next_try_at: datetime | None
    at: datetime


def refused(tx: sa.Connection, numbers: Sequence[int], holder: str, refusal: Refusal) -> None:
    """Note that messages did not go out; only their holder may."""
    mine = _outbox.update().where(_outbox.c.id.in_(numbers), _outbox.c.holder == holder)
    values: dict[str, Any] = {"attempts": _outbox.c.attempts + 1, "error": refusal.error, "holder": None}
    values |= {"lease_until": None, "next_try_at": refusal.next_try_at}
    values |= {"given_up_at": refusal.at} if refusal.next_try_at is None else {}
    tx.execute(mine.values(**values))


def next_try(tx: sa.Connection, now: datetime) -> datetime | None:
    """The next instant after now at which a message is to be tried, or the claim of one runs out."""
    times = tx.execute(_NEXT_TRY, {"now": now}).one()
    return min((at for at in times if at is not None), default=None)


def of_incident(tx: sa.Connection, incident: int) -> tuple[Letter, ...]:
    """Every message of an incident, oldest first."""
    return tuple(
        map(_letter, tx.execute(sa.select(_outbox).where(_outbox.c.incident == incident).order_by(_outbox.c.id)))
    )


def first_told(tx: sa.Connection, incident: int, address: str, channel: str) -> str | None:
    """The identity of the first message that told an address of an incident on a channel."""
    query = sa.select(_outbox.c.bundle, _outbox.c.message_id).where(_outbox.c.incident == incident)
    query = query.where(_outbox.c.address == address, _outbox.c.channel == channel).order_by(_outbox.c.id)
    row = tx.execute(query.limit(1)).first()
    return (row.bundle or row.message_id) if row else None


def between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Letter, ...]:
    """Messages owed in [first, last), oldest first."""
    query = sa.select(_outbox).where(_outbox.c.owed_at >= first, _outbox.c.owed_at < last)
    return tuple(map(_letter, tx.execute(query.order_by(_outbox.c.id))))


def given_up(tx: sa.Connection, since: datetime) -> tuple[Letter, ...]:
    """Messages that were given up since an instant: trouble in itself."""
    query = sa.select(_outbox).where(_outbox.c.given_up_at >= since).order_by(_OLDEST_FIRST)
    return tuple(map(_letter, tx.execute(query)))


def forget(tx: sa.Connection, kind: str, before: datetime) -> None:
    """Drop messages of a kind that were owed before an instant and are sent or given up."""
    old = _outbox.delete().where(_outbox.c.kind == kind, _outbox.c.owed_at < before)
    tx.execute(old.where(_outbox.c.next_try_at.is_(None)))
