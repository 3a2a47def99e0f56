"""The book of deliveries: each version of a report goes to each of its readers at most once.

Functions over one transaction. A message is claimed before it is tried, under a holder's name and a lease, and marked
after. A claim is one conditional update: of two who want one message one gets it. What a sender that ended or stood
still has left is claimed by another: in `trying` nothing of it can have arrived, for a server keeps nothing before the
final dot; in `handing` it may have, and goes out again under the same Message-ID. That is the one window which SMTP
leaves open. A maildir has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from runner.ledger.deadlines import latest
from runner.ledger.tables import deliveries as _deliveries


class State(StrEnum):
    """How one message stands."""

    OWED = "owed"
    TRYING = "trying"  # somebody is at it, and nothing of it can have arrived
    HANDING = "handing"  # the final dot is sent, or about to be; nobody heard the answer yet
    SENT = "sent"  # the server took it, or it lies in the maildir
    REFUSED = "refused"  # the server does not take it for this reader; a person must do something
    BY_HAND = "by hand"  # a person gave it to the reader
    SANDBOXED = "sandboxed"  # it went to the sandbox: done for a rehearsal, and never taken for the reader's own
    WITHDRAWN = "withdrawn"  # the reader is no longer on the list, or a newer version takes its place


#: Nothing is sent of these any more, by itself.
CLOSED = frozenset({State.SENT, State.REFUSED, State.BY_HAND, State.SANDBOXED, State.WITHDRAWN})


@dataclass(frozen=True)
class Version:
    """One version of one report; numbers begin with 1."""

    pipeline: str
    period: str
    number: int


@dataclass(frozen=True)
class Delivery:
    """One message owed to one recipient for one version of a report; `sent_at` once it is out of our hands.

    `attempts` were begun so far. `next_try_at` is when it is worth another try, None where waiting mends nothing.
    """

    recipient: str
    message_id: str
    sent_at: datetime | None = None
    state: State = State.OWED
    attempts: int = 0
    next_try_at: datetime | None = None
    holder: str | None = None
    lease_until: datetime | None = None
    error: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is still to be sent."""
        return self.sent_at is None and (self.state not in CLOSED or self.state is State.SENT)

    @property
    def refused(self) -> bool:
        """Whether it waits for a person."""
        return self.sent_at is None and self.state is State.REFUSED


@dataclass(frozen=True)
class Claim:
    """Who is at it, and until when if nothing is heard of them."""

    holder: str
    until: datetime


@dataclass(frozen=True)
class Trouble:
    """Why a message did not go out, and when to try again (None: waiting mends nothing)."""

    error: str
    next_try_at: datetime | None = None


_FIELDS = tuple(Delivery.__dataclass_fields__)


def _delivery(row: Any) -> Delivery:
    said = {name: getattr(row, name) for name in _FIELDS}
    return Delivery(**{**said, "state": State(said["state"])})


def _at(query: Any, version: Version, recipient: str | None = None) -> Any:
    query = query.where(_deliveries.c.pipeline == version.pipeline, _deliveries.c.period == version.period)
    query = query.where(_deliveries.c.version == version.number)
    return query if recipient is None else query.where(_deliveries.c.recipient == recipient)


def was_given(tx: sa.Connection, run: str, recipient: str) -> bool:
    """Whether somebody (in small letters) was given what a run made: by mail or by hand, and not as a rehearsal."""
    query = sa.select(_deliveries.c.run).where(_deliveries.c.run == run)
    # Of a reader much may be there, of a run little: it is found by the run, so no index fits the reader.
    query = query.where(sa.func.lower(_deliveries.c.recipient).concat("") == recipient)
    return tx.execute(query.where(_deliveries.c.state.in_([State.SENT, State.BY_HAND]))).first() is not None


def of(tx: sa.Connection, version: Version) -> tuple[Delivery, ...]:
    """Everyone to whom a version is, or was, owed."""
    return tuple(map(_delivery, tx.execute(_at(sa.select(_deliveries), version).order_by(_deliveries.c.recipient))))


# Owing.


def owe(tx: sa.Connection, version: Version, run: str, delivery: Delivery) -> None:
    """Note one message; one that is noted stays as it is, but what was withdrawn is owed again.

    An address is one however its letters are written. A version is made of one run's files: whoever is added later gets
    those of the first. What is still owed of older versions is not sent any more.
    """
    known = next((item for item in of(tx, version) if item.recipient.lower() == delivery.recipient.lower()), None)
    if known is None:
        first = tx.execute(_at(sa.select(_deliveries.c.run), version)).scalar()
        key = {"pipeline": version.pipeline, "period": version.period, "version": version.number, "run": first or run}
        state = State.SENT if delivery.sent_at and delivery.state is State.OWED else delivery.state
        tx.execute(_deliveries.insert().values(**key, **{**vars(delivery), "state": state}))
    elif known.state == State.WITHDRAWN and not _newer(tx, version):
        tx.execute(_at(_deliveries.update(), version, known.recipient).values(**_FREE, state=State.OWED))
    older = _deliveries.update().where(_deliveries.c.pipeline == version.pipeline)
    older = older.where(_deliveries.c.period == version.period, _deliveries.c.version < version.number)
    older = older.where(_deliveries.c.sent_at.is_(None), _deliveries.c.state != State.HANDING)
    tx.execute(older.values(**_FREE, state=State.WITHDRAWN))


_FREE: dict[str, Any] = {"holder": None, "lease_until": None, "next_try_at": None}


def _newer(tx: sa.Connection, version: Version) -> bool:
    query = sa.select(_deliveries.c.version).where(_deliveries.c.pipeline == version.pipeline)
    query = query.where(_deliveries.c.period == version.period, _deliveries.c.version > version.number)
    return tx.execute(query.limit(1)).first() is not None


def is_new_to(tx: sa.Connection, version: Version, recipient: str) -> bool:
    """Whether a version restates what this reader was never owed: it is none of their business by itself."""
    if version.number == 1:
        return False
    return not any(item.recipient.lower() == recipient.lower() for _, item in earlier(tx, version))


def reopen(tx: sa.Connection, version: Version, *, sandbox: bool) -> None:
    """A person wants it tried again: what was refused is owed anew, and what only the sandbox got, once it is off."""
    again = [State.REFUSED] if sandbox else [State.REFUSED, State.SANDBOXED]
    rows = _at(_deliveries.update(), version).where(_deliveries.c.state.in_(again))
    tx.execute(rows.values(**_FREE, state=State.OWED, sent_at=None, attempts=0, error=None))


def earlier(tx: sa.Connection, version: Version) -> tuple[tuple[int, Delivery], ...]:
    """All that was owed of the versions before, each with its version's number, newest first."""
    return tuple(item for item in every(tx, version.pipeline, version.period) if item[0] < version.number)


def every(tx: sa.Connection, pipeline: str, period: str) -> tuple[tuple[int, Delivery], ...]:
    """All that was owed of any version, each with its version's number, newest first."""
    query = sa.select(_deliveries).where(_deliveries.c.pipeline == pipeline, _deliveries.c.period == period)
    rows = tx.execute(query.order_by(_deliveries.c.version.desc(), _deliveries.c.recipient))
    return tuple((row.version, _delivery(row)) for row in rows)


def had(several: Iterable[tuple[int, Delivery]], *, sandbox: bool) -> dict[str, datetime | None]:
    """Who got one of these, by address in small letters: when, the latest time, or None where only that is unsure.

    What went to the sandbox was got by nobody, unless this is a rehearsal still. Pure.
    """
    found: dict[str, datetime | None] = {}
    for _, item in several:
        real = item.state is not State.SANDBOXED or sandbox
        if item.state is State.HANDING or (item.sent_at and real):
            known = found.get(item.recipient.lower())
            found[item.recipient.lower()] = max(filter(None, (known, item.sent_at)), default=None)
    return found


# Sending.


def is_free(item: Delivery, now: datetime, lease: timedelta) -> bool:
    """Whether nobody is at a message: no holder, or one whose lease ran out or was given by a clock that was ahead."""
    until = item.lease_until
    return item.holder is None or until is None or not now < until <= latest(now, lease)


def claim(tx: sa.Connection, version: Version, seen: Delivery, mine: Claim) -> bool:
    """Take a message that is as it was seen, from a holder that is known to be gone as well; whether it was taken.

    One whose dot may have been sent stays in `handing`: that it may have arrived is not forgotten.
    """
    state = sa.case((_deliveries.c.state == State.HANDING, State.HANDING), else_=State.TRYING)
    free = _as_seen(version, seen).where(_deliveries.c.state.not_in(CLOSED - {State.SENT}))
    values = {"holder": mine.holder, "lease_until": mine.until, "next_try_at": None, "state": state}
    return bool(tx.execute(free.values(**values, attempts=_deliveries.c.attempts + 1)).rowcount == 1)


def _as_seen(version: Version, seen: Delivery) -> Any:
    same = _deliveries.c.holder == seen.holder if seen.holder else _deliveries.c.holder.is_(None)
    return _at(_deliveries.update(), version, seen.recipient).where(same, _deliveries.c.sent_at.is_(None))


def handing(tx: sa.Connection, version: Version, recipient: str, holder: str) -> bool:
    """Note that the final dot is about to be sent; False when the message is no longer the holder's to send."""
    mine = _at(_deliveries.update(), version, recipient).where(_deliveries.c.holder == holder)
    mine = mine.where(_deliveries.c.state.in_([State.TRYING, State.HANDING]))
    return bool(tx.execute(mine.values(state=State.HANDING)).rowcount == 1)


def sent(tx: sa.Connection, version: Version, recipient: str, at: datetime, state: State = State.SENT) -> None:
    """Note that a message is out of our hands since an instant, whoever holds it; the first time counts."""
    query = _at(_deliveries.update(), version, recipient).where(_deliveries.c.sent_at.is_(None))
    tx.execute(query.values(**_FREE, sent_at=at, state=state, error=None))


def by_hand(tx: sa.Connection, version: Version, recipient: str, at: datetime) -> None:
    """Note that a person gave the report to its reader: nothing is sent to them any more."""
    sent(tx, version, recipient, at, State.BY_HAND)


def put_back(tx: sa.Connection, version: Version, mine: Delivery, trouble: Trouble) -> None:
    """Note why a message of this holder did not go out; `mine.state` is how it stands from now on."""
    rows = _at(_deliveries.update(), version, mine.recipient).where(_deliveries.c.holder == mine.holder)
    values = {**_FREE, "state": mine.state, "error": trouble.error, "next_try_at": trouble.next_try_at}
    tx.execute(rows.where(_deliveries.c.sent_at.is_(None)).values(**values))


def withdraw(tx: sa.Connection, version: Version, seen: Delivery) -> None:
    """Note that a message as it was seen is not owed any more: its reader is off the list."""
    tx.execute(_as_seen(version, seen).values(**_FREE, state=State.WITHDRAWN))
