"""The book of the rota: shifts that have been (frozen), the rules in force, swaps. Functions over one transaction.

What was is never computed again. Before new rules are written down, every shift up to that moment is frozen under the
old ones; a shift that is over is frozen by the next look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import rules as _rules
from runner.ledger.tables import shifts as _shifts
from runner.ledger.tables import swaps as _swaps
from runner.plan.oncall import Leg, Shift, Swap

#: More than the longest shift.
_LONGEST = timedelta(days=60)
_DAY = timedelta(days=1)


def frozen(tx: sa.Connection, since: datetime | None = None) -> tuple[Shift, ...]:
    """Shifts that were, oldest first; those that end after an instant."""
    query = sa.select(_shifts)
    if since is not None:
        query = query.where(_shifts.c.end > since)
    # Sorted afterwards: asked for in this order, a database reads all shifts instead of those that end later.
    return _shifts_of(tx, query)


def frozen_between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Shift, ...]:
    """Shifts that were and touch [first, last), oldest first, whole; however long the record is, no others are read."""
    near = _shifts.c.start > first - _LONGEST, _shifts.c.start < last
    return tuple(shift for shift in _shifts_of(tx, sa.select(_shifts).where(*near)) if shift.end > first)


def _shifts_of(tx: sa.Connection, query: sa.Select[Any]) -> tuple[Shift, ...]:
    rows = sorted(tx.execute(query), key=_start)
    return tuple(Shift(row.start, row.end, row.primary, row.secondary, tuple(row.because)) for row in rows)


def _start(row: Any) -> datetime:
    start: datetime = row.start
    return start


def frozen_until(tx: sa.Connection) -> datetime | None:
    """Up to when the past is frozen."""
    found: datetime | None = tx.scalar(sa.select(sa.func.max(_shifts.c.end)))
    return found


def frozen_since(tx: sa.Connection) -> datetime | None:
    """From when on the past is frozen."""
    found: datetime | None = tx.scalar(sa.select(sa.func.min(_shifts.c.start)))
    return found


def freeze(tx: sa.Connection, shifts: Iterable[Shift]) -> None:
    """Write down shifts that are over; one that goes on where the last ended is joined to it."""
    for shift in shifts:
        last = tx.execute(sa.select(_shifts).where(_shifts.c.end == shift.start)).first()
        same = last and (last.primary, last.secondary, tuple(last.because)) == _who(shift)
        if last and same:
            tx.execute(_shifts.update().where(_shifts.c.start == last.start).values(end=shift.end))
        else:
            tx.execute(_shifts.insert().values(**asdict(shift) | {"because": list(shift.because)}))


def _who(shift: Shift) -> tuple[str, str | None, tuple[str, ...]]:
    return shift.primary, shift.secondary, shift.because


def rules(tx: sa.Connection) -> str | None:
    """The rules in force, as JSON; None before any were seen."""
    found: str | None = tx.scalar(sa.select(_rules.c.rules).order_by(_rules.c.id.desc()).limit(1))
    return found


def rules_since(tx: sa.Connection) -> datetime | None:
    """Since when the rules in force hold."""
    found: datetime | None = tx.scalar(sa.select(_rules.c.since).order_by(_rules.c.id.desc()).limit(1))
    return found


def set_rules(tx: sa.Connection, text: str, since: datetime) -> None:
    """Note the rules that hold from an instant on."""
    tx.execute(_rules.insert().values(rules=text, since=since))


# Swaps.


def swaps(tx: sa.Connection) -> tuple[Swap, ...]:
    """Every swap ever offered, oldest first."""
    return tuple(map(_swap, tx.execute(sa.select(_swaps).order_by(_swaps.c.id))))


def swap(tx: sa.Connection, number: int) -> Swap | None:
    """A swap by its number."""
    row = tx.execute(sa.select(_swaps).where(_swaps.c.id == number)).first() if 0 < number < 2**31 else None
    return _swap(row) if row else None


def swaps_between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Swap, ...]:
    """The swaps of which a half touches [first, last), oldest first, however they stand."""
    # Instants are kept as text, all in UTC; a day more on either side, for these may differ in their last digits.
    bounds = ((first - _DAY).isoformat(), (last + _DAY).isoformat())
    halves = [_touches(name, bounds) for name in ("give", "take")]
    found = map(_swap, tx.execute(sa.select(_swaps).where(sa.or_(*halves)).order_by(_swaps.c.id)))
    return tuple(swap for swap in found if any(leg.start < last and first < leg.end for leg in (swap.give, swap.take)))


def _touches(half: str, bounds: tuple[str, str]) -> sa.ColumnElement[bool]:
    start, end = (_swaps.c.rest[half, bound].as_string() for bound in ("start", "end"))
    return sa.and_(end > bounds[0], start < bounds[1])


def newest_swaps(tx: sa.Connection, most: int, before: int | None = None) -> tuple[Swap, ...]:
    """The newest swaps, newest first; with `before` those with smaller numbers."""
    query = sa.select(_swaps).order_by(_swaps.c.id.desc()).limit(most)
    return tuple(map(_swap, tx.execute(query.where(_swaps.c.id < before) if before is not None else query)))


def offer(tx: sa.Connection, swap: Swap) -> Swap:
    """Write a new swap down; with its number."""
    made = tx.execute(_swaps.insert().values(rest=_plain(swap)))
    key = made.inserted_primary_key
    return replace(swap, swap=str(key[0] if key else ""))


def update(tx: sa.Connection, swap: Swap) -> None:
    """Write a swap as it is now."""
    tx.execute(_swaps.update().where(_swaps.c.id == int(swap.swap)).values(rest=_plain(swap)))


def _plain(value: Any) -> Any:
    if isinstance(value, Swap | Leg):
        return {key: _plain(item) for key, item in vars(value).items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _swap(row: Any) -> Swap:
    rest = {key: _instant(key, value) for key, value in row.rest.items()}
    legs = {name: _leg(rest[name]) for name in ("give", "take")}
    accepted = {who: datetime.fromisoformat(at) for who, at in rest["accepted"].items()}
    return Swap(**{**rest, **legs, "accepted": accepted, "swap": str(row.id)})


def _leg(data: dict[str, str]) -> Leg:
    return Leg(data["who"], datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))


def _instant(key: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if key.endswith("_at") and value is not None else value
