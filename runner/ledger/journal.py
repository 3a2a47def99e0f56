"""Who did what, how far the scheduler has come, which runs are to be cancelled. Functions over one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import Instant
from runner.ledger.tables import acts as _acts
from runner.ledger.tables import cancellations as _cancellations
from runner.ledger.tables import marks as _marks


@dataclass(frozen=True)
class Act:
    """Something that a person, or the software in their name, did."""

    at: datetime
    who: str
    what: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """How far something has come: an instant, a text, or both."""

    at: datetime | None = None
    text: str | None = None


@dataclass(frozen=True)
class Cancellation:
    """Somebody's wish that a run end."""

    run: str
    at: datetime
    who: str
    because: str


def act(tx: sa.Connection, done: Act) -> None:
    """Write down what was done."""
    tx.execute(_acts.insert().values(at=done.at, who=done.who, what=done.what, details=dict(done.details)))


def acts(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Act, ...]:
    """What was done in [first, last), oldest first."""
    query = sa.select(_acts).where(_acts.c.at >= first, _acts.c.at < last).order_by(_acts.c.id)
    return tuple(Act(row.at, row.who, row.what, row.details) for row in tx.execute(query))


def about(tx: sa.Connection, run: str, since: datetime, most: int = 100) -> tuple[Act, ...]:
    """What was done with a run since it began, oldest first."""
    said = sa.cast(_acts.c.details, sa.Text).contains(f'"run": "{run}"', autoescape=True)
    query = sa.select(_acts).where(_acts.c.at >= since, said).order_by(_acts.c.at, _acts.c.id).limit(most)
    return tuple(Act(row.at, row.who, row.what, row.details) for row in tx.execute(query))


#: As it stands in the index over drills: a value that is bound would not be known to be the same.
_DRILLS = sa.select(_acts).where(_acts.c.what == sa.literal_column("'drill'")).order_by(_acts.c.at.desc())


def drills(tx: sa.Connection, most: int) -> tuple[Act, ...]:
    """The drills that were held last, newest first."""
    return tuple(Act(row.at, row.who, row.what, row.details) for row in tx.execute(_DRILLS.limit(most)))


#: Asked at every tick, so put together once.
_MARK = sa.select(_marks).where(_marks.c.name == sa.bindparam("name"))
_SET_MARK = (
    _marks.update()
    .where(_marks.c.name == sa.bindparam("of"))
    .values(at=sa.bindparam("new_at", type_=Instant), text=sa.bindparam("new_text"))
)


def mark(tx: sa.Connection, name: str) -> Mark | None:
    """How far something has come; None before it began."""
    row = tx.execute(_MARK, {"name": name}).first()
    return Mark(row.at, row.text) if row else None


def set_mark(tx: sa.Connection, name: str, new: Mark) -> None:
    """Note how far something has come."""
    if not tx.execute(_SET_MARK, {"of": name, "new_at": new.at, "new_text": new.text}).rowcount:
        tx.execute(_marks.insert().values(name=name, at=new.at, text=new.text))


@dataclass(frozen=True)
class Claim:
    """Somebody is at something: under which token, until when nobody else may be, and for which time."""

    token: str
    until: datetime
    tries: int = 0


def claim(tx: sa.Connection, what: str, mine: Claim, now: datetime) -> Claim | None:
    """Take hold of something; None where another is at it. Gives the claim with its tries, this one included."""
    held = _claim(tx, what)
    if held is not None and held.until > now:
        return None
    taken = replace(mine, tries=(held.tries if held else 0) + 1)
    set_mark(tx, _claimed(what), Mark(taken.until, f"{taken.tries} {taken.token}"))
    return taken


def hold_off(tx: sa.Connection, what: str, until: datetime, tries: int) -> None:
    """Let nobody be at something before an instant; it was tried so often."""
    set_mark(tx, _claimed(what), Mark(until, f"{tries} "))


def release(tx: sa.Connection, what: str, token: str) -> bool:
    """Let go of something; whether it was still held under this token."""
    held = _claim(tx, what)
    if held is None or held.token != token:
        return False
    tx.execute(_marks.delete().where(_marks.c.name == _claimed(what)))
    return True


def _claim(tx: sa.Connection, what: str) -> Claim | None:
    found = mark(tx, _claimed(what))
    if found is None or found.at is None:
        return None
    tries, _, token = (found.text or "0 ").partition(" ")
    return Claim(token, found.at, int(tries))


def _claimed(what: str) -> str:
    """The name of the mark: as short as the column, whatever is claimed."""
    return f"claim {hashlib.sha256(what.encode()).hexdigest()[:24]}"


def cancel(tx: sa.Connection, wish: Cancellation) -> None:
    """Note the wish that a run end; the first one counts."""
    if tx.execute(sa.select(_cancellations).where(_cancellations.c.run == wish.run)).first() is None:
        tx.execute(_cancellations.insert().values(**vars(wish)))


def cancelled(tx: sa.Connection, run: str) -> Cancellation | None:
    """The wish that a run end, if there is one."""
    row = tx.execute(sa.select(_cancellations).where(_cancellations.c.run == run)).first()
    return Cancellation(row.run, row.at, row.who, row.because) if row else None
