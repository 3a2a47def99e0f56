"""The book of deadlines: what is owed, who is at it under which lease, and how it ended.

Functions over one transaction. A claim is one conditional update that names its holder: of two schedulers one wins, and
what a holder says after its lease ran out and another took over is refused, because it no longer holds the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import Instant
from runner.ledger.tables import deadlines as _deadlines
from runner.plan.deadlines import Deadline


class State(StrEnum):
    """Whether a deadline is still owed."""

    OPEN = "open"
    MET = "met"
    MISSED = "missed"  # it came too late to be of any use
    WITHDRAWN = "withdrawn"  # the plan was changed before it was begun


#: The outcome of a deadline whose report a person wants made anew.
AGAIN = "asked again"


@dataclass(frozen=True)
class Owed:
    """One deadline with all that has happened to it."""

    deadline: Deadline
    state: State = State.OPEN
    ended_at: datetime | None = None
    attempts: int = 0
    next_try_at: datetime | None = None  # None: no further attempt by itself
    holder: str | None = None
    held_since: datetime | None = None
    lease_until: datetime | None = None
    outcome: str = ""  # how the last attempt ended: a status of runs, "cancelled", `AGAIN`, or nothing yet
    trouble: str | None = None
    message: str = ""
    run: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(pipeline, period)."""
        return self.deadline.pipeline, self.deadline.period

    @property
    def on_time(self) -> bool:
        """Whether it was met by its due time."""
        return self.state is State.MET and self.ended_at is not None and self.ended_at <= self.deadline.due_at


_OF_DEADLINE = tuple(field.name for field in fields(Deadline))
_OF_OWED = tuple(field.name for field in fields(Owed) if field.name not in {"deadline", "state"})


def _owed(row: Any) -> Owed:
    made = {name: getattr(row, name) for name in _OF_DEADLINE}
    made["as_of"] = date.fromisoformat(made["as_of"])
    return Owed(Deadline(**made), state=State(row.state), **{name: getattr(row, name) for name in _OF_OWED})


# What every tick asks is put together once: building a statement takes longer than asking it.
_NOW = sa.bindparam("now", type_=Instant)
_FIND = sa.select(_deadlines).where(
    _deadlines.c.pipeline == sa.bindparam("pipeline"), _deadlines.c.period == sa.bindparam("period")
)
_BEGUN = (
    sa.select(_deadlines)
    .where(_deadlines.c.state == State.OPEN, _deadlines.c.starts_at <= _NOW)
    .order_by(_deadlines.c.due_at, _deadlines.c.pipeline)
)
_NEXT_START = sa.select(sa.func.min(_deadlines.c.starts_at)).where(
    _deadlines.c.state == State.OPEN, _deadlines.c.starts_at > _NOW
)
# Only what is open is held: asked for by its holder, what nobody is at need not be read.
_NEXT_LAPSE = sa.select(sa.func.min(_deadlines.c.lease_until)).where(_deadlines.c.holder.is_not(None))
_LAST_MET = (
    sa.select(_deadlines)
    .where(_deadlines.c.pipeline == sa.bindparam("pipeline"), _deadlines.c.state == State.MET)
    .order_by(_deadlines.c.ended_at.desc())
    .limit(1)
)
_CLAIM = (
    _deadlines.update()
    .where(_deadlines.c.pipeline == sa.bindparam("of"), _deadlines.c.period == sa.bindparam("about"))
    .where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None), _deadlines.c.next_try_at <= _NOW)
    .values(
        holder=sa.bindparam("by"),
        held_since=_NOW,
        lease_until=sa.bindparam("until", type_=Instant),
        attempts=_deadlines.c.attempts + 1,
        next_try_at=None,
    )
)

_ENDED = ("outcome", "next_try_at", "run", "trouble", "message", "state", "ended_at")
_END = (
    _deadlines.update()
    .where(_deadlines.c.pipeline == sa.bindparam("of"), _deadlines.c.period == sa.bindparam("about"))
    .where(_deadlines.c.holder == sa.bindparam("by"))
    .values({name: sa.bindparam(f"its_{name}", type_=_deadlines.c[name].type) for name in _ENDED})
    .values(holder=None, held_since=None, lease_until=None, attempts=_deadlines.c.attempts - sa.bindparam("back"))
)


_AT_ONCE = 400  # keys of one question: a database takes only so many values


def _at(query: Any, key: tuple[str, str]) -> Any:
    return query.where(_deadlines.c.pipeline == key[0], _deadlines.c.period == key[1])


def _named(key: tuple[str, str]) -> dict[str, str]:
    return {"pipeline": key[0], "period": key[1]}


def note(tx: sa.Connection, deadlines: Iterable[Deadline]) -> int:
    """Write down what is owed; one that is known stays as it is, but an open one not begun takes new times.

    One that was withdrawn is open again, as if nothing had been tried: whoever restores a promise hears if it is late.
    Gives how many are new.
    """
    wanted = {deadline.key: deadline for deadline in deadlines}
    known = find_all(tx, wanted)
    for key, owed in known.items():
        if _untouched(owed) and _differs(owed, wanted[key]):
            tx.execute(_at(_deadlines.update(), key).values(**_row(wanted[key]), **_FRESH))
    new = [{**_row(deadline), "state": State.OPEN} for key, deadline in wanted.items() if key not in known]
    if new:
        tx.execute(_deadlines.insert(), new)
    return len(new)


def _differs(owed: Owed, wanted: Deadline) -> bool:
    """Whether what is written down is not what is wanted, as if nothing had been tried."""
    return (owed.state, owed.deadline, owed.next_try_at) != (State.OPEN, wanted, wanted.starts_at)


def _row(deadline: Deadline) -> dict[str, Any]:
    """A deadline that is not begun."""
    row = {name: getattr(deadline, name) for name in _OF_DEADLINE}
    return row | {"as_of": deadline.as_of.isoformat(), "next_try_at": deadline.starts_at}


_FRESH = {
    "state": State.OPEN,
    "ended_at": None,
    "attempts": 0,
    "outcome": "",
    "trouble": None,
    "message": "",
    "run": None,
}


def _untouched(owed: Owed) -> bool:
    """Whether nothing was begun, and nothing done by hand; or whether it was withdrawn, whatever was done before."""
    if owed.state is State.WITHDRAWN:
        return True
    return owed.state is State.OPEN and not (owed.attempts or owed.holder or owed.outcome)


def withdraw(tx: sa.Connection, keep: Iterable[tuple[str, str]], since: datetime, now: datetime) -> int:
    """Open deadlines due after `since`, not begun, that the plan no longer has; how many there were."""
    kept = set(keep)
    rows = tx.execute(
        sa.select(_deadlines.c.pipeline, _deadlines.c.period).where(
            _deadlines.c.state == State.OPEN,
            _deadlines.c.due_at >= since,
            _deadlines.c.attempts == 0,
            _deadlines.c.holder.is_(None),
            _deadlines.c.outcome == "",
        )
    )
    gone = [(row.pipeline, row.period) for row in rows if (row.pipeline, row.period) not in kept]
    for key in gone:
        tx.execute(_at(_deadlines.update(), key).values(state=State.WITHDRAWN, ended_at=now, next_try_at=None))
    return len(gone)


def drop(tx: sa.Connection, pipelines: Iterable[str], now: datetime) -> None:
    """Withdraw what is open, begun or not, of pipelines that there are not any more; not what somebody is at."""
    gone = _deadlines.update().where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    gone = gone.where(_deadlines.c.pipeline.not_in(list(pipelines)))
    tx.execute(gone.values(state=State.WITHDRAWN, ended_at=now, next_try_at=None))


def retire(tx: sa.Connection, keys: Iterable[tuple[str, str]], now: datetime) -> None:
    """Withdraw open deadlines that nobody is at, begun or not."""
    for key in keys:
        free = _at(_deadlines.update(), key).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
        tx.execute(free.values(state=State.WITHDRAWN, ended_at=now, next_try_at=None))


def unclaimed(tx: sa.Connection) -> tuple[Owed, ...]:
    """Every open deadline that nobody is at, by due time."""
    query = sa.select(_deadlines).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    return tuple(map(_owed, tx.execute(query.order_by(_deadlines.c.due_at, _deadlines.c.pipeline))))


def withdrawn(tx: sa.Connection, first: datetime, last: datetime) -> frozenset[tuple[str, str]]:
    """Keys of the withdrawn deadlines with first <= due_at < last."""
    query = sa.select(_deadlines.c.pipeline, _deadlines.c.period).where(_deadlines.c.state == State.WITHDRAWN)
    rows = tx.execute(query.where(_deadlines.c.due_at >= first, _deadlines.c.due_at < last))
    return frozenset((row.pipeline, row.period) for row in rows)


def find(tx: sa.Connection, key: tuple[str, str]) -> Owed | None:
    """One deadline."""
    row = tx.execute(_FIND, _named(key)).first()
    return _owed(row) if row else None


def find_all(tx: sa.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Owed]:
    """Those of these deadlines that are known, by (pipeline, period)."""
    wanted, found = sorted(set(keys)), dict[tuple[str, str], Owed]()
    if len(wanted) == 1:  # as most looks ask; a list is a new statement each time
        one = find(tx, wanted[0])
        return {one.key: one} if one else {}
    for first in range(0, len(wanted), _AT_ONCE):
        rows = tx.execute(_listed(wanted[first : first + _AT_ONCE]))
        found |= {(row.pipeline, row.period): _owed(row) for row in rows}
    return found


def _listed(keys: list[tuple[str, str]]) -> sa.Select[Any]:
    """The rows of these keys, each found by the key. As `(pipeline, period) IN (...)` SQLite reads the whole table."""
    columns = sa.column("pipeline", sa.String), sa.column("period", sa.String)
    listed = sa.values(*columns, name="listed").data(keys).cte()
    same = sa.and_(_deadlines.c.pipeline == listed.c.pipeline, _deadlines.c.period == listed.c.period)
    return sa.select(_deadlines).join_from(listed, _deadlines, same)


def begun(tx: sa.Connection, now: datetime) -> tuple[Owed, ...]:
    """Open deadlines whose work should have begun, by due time."""
    return tuple(map(_owed, tx.execute(_BEGUN, {"now": now})))


def between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Owed, ...]:
    """Deadlines with first <= due_at < last, in order; withdrawn ones are left out."""
    query = sa.select(_deadlines).where(_deadlines.c.due_at >= first, _deadlines.c.due_at < last)
    query = query.where(_deadlines.c.state != State.WITHDRAWN)
    return tuple(map(_owed, tx.execute(query.order_by(_deadlines.c.due_at, _deadlines.c.pipeline))))


_AHEAD = (
    sa.select(_deadlines)
    .where(_deadlines.c.state == State.OPEN, _deadlines.c.starts_at > _NOW)
    .where(_deadlines.c.attempts == 0, _deadlines.c.holder.is_(None), _deadlines.c.outcome == "")
    .where(
        # A week is reported as of a day of the week after: the data of more weeks than of days can be there.
        sa.or_(
            _deadlines.c.as_of <= sa.bindparam("day"),
            sa.and_(_deadlines.c.as_of <= sa.bindparam("week"), _deadlines.c.period.like("%-W__")),
        )
    )
    .order_by(_deadlines.c.due_at, _deadlines.c.pipeline)
)


def ahead(tx: sa.Connection, now: datetime, day: date) -> tuple[Owed, ...]:
    """Open deadlines that nobody has begun and whose hour is to come, about data up to a day; by due time."""
    given = {"now": now, "day": day.isoformat(), "week": (day + timedelta(days=7)).isoformat()}
    return tuple(map(_owed, tx.execute(_AHEAD, given)))


def next_start(tx: sa.Connection, now: datetime) -> datetime | None:
    """When the next deadline begins that has not begun by now."""
    found: datetime | None = tx.scalar(_NEXT_START, {"now": now})
    return found


def last_met(tx: sa.Connection, pipeline: str) -> Owed | None:
    """The newest deadline of a pipeline that was met: what its readers still have."""
    row = tx.execute(_LAST_MET, {"pipeline": pipeline}).first()
    return _owed(row) if row else None


# Claims.


def claim(tx: sa.Connection, key: tuple[str, str], holder: str, now: datetime, until: datetime) -> bool:
    """Take an open deadline that nobody holds; whether it was taken."""
    given = {"of": key[0], "about": key[1], "by": holder, "now": now, "until": until}
    return tx.execute(_CLAIM, given).rowcount == 1


def begin_early(tx: sa.Connection, key: tuple[str, str], now: datetime) -> None:
    """Let the work on an open deadline begin now whose hour is still to come and that nobody has begun."""
    mine = _at(_deadlines.update(), key).where(
        _deadlines.c.state == State.OPEN,
        _deadlines.c.starts_at > now,
        _deadlines.c.attempts == 0,
        _deadlines.c.holder.is_(None),
        _deadlines.c.outcome == "",
    )
    tx.execute(mine.values(starts_at=now, next_try_at=now))


def wait_for(tx: sa.Connection, key: tuple[str, str], starts_at: datetime) -> None:
    """Let an open deadline that nobody holds wait for its hour, where no try is left: none of them counts then."""
    mine = _at(_deadlines.update(), key).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    mine = mine.where(_deadlines.c.next_try_at.is_(None))
    tx.execute(mine.values(starts_at=starts_at, next_try_at=starts_at, attempts=0))


def renew(tx: sa.Connection, holders: Iterable[str], until: datetime) -> frozenset[str]:
    """Prolong the leases of those who are at work; those who hold theirs still."""
    names = list(holders)
    held = frozenset(tx.scalars(sa.select(_deadlines.c.holder).where(_deadlines.c.holder.in_(names))))
    if held:
        tx.execute(_deadlines.update().where(_deadlines.c.holder.in_(held)).values(lease_until=until))
    return held


def next_lapse(tx: sa.Connection) -> datetime | None:
    """When the next lease runs out if nobody prolongs it."""
    found: datetime | None = tx.scalar(_NEXT_LAPSE)
    return found


def lapse(tx: sa.Connection, now: datetime, most: int, lease: timedelta | None = None) -> tuple[tuple[str, str], ...]:
    """Free every deadline whose holder's lease ran out; their keys.

    Each is tried again at once, unless `most` attempts were made: a report that kills its runner must not do so for
    ever. With the usual `lease`, one that ends after its `latest` has run out as well.
    """
    over = _deadlines.c.lease_until <= now
    if lease is not None:
        over = sa.or_(over, _deadlines.c.lease_until > latest(now, lease))
    query = sa.select(_deadlines.c.pipeline, _deadlines.c.period).where(_deadlines.c.holder.is_not(None), over)
    keys = tuple((row.pipeline, row.period) for row in tx.execute(query))
    again = sa.case((_deadlines.c.attempts < most, sa.literal(now, Instant)), else_=None)
    free = {"holder": None, "held_since": None, "lease_until": None, "next_try_at": again}
    said = {"outcome": "interrupted", "trouble": "interrupted"}
    said |= {"message": "The runner's process ended or stood still in the middle of the run."}
    for key in keys:
        tx.execute(_at(_deadlines.update(), key).values(**free, **said))
    return keys


def latest(now: datetime, lease: timedelta) -> datetime:
    """Until when a lease of this length can have been given by a clock that is right.

    A whole lease more is allowed for: two machines' clocks differ a little. What ends later was given by a clock that
    was ahead and has been put back; its holder would keep its report for as long as the clock was ahead.
    """
    return now + 2 * lease


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: a status of runs or "cancelled", when the next is, whether the deadline is met."""

    outcome: str
    at: datetime
    met: bool = False
    next_try_at: datetime | None = None
    counts: bool = True  # False: interrupted from outside, the attempt is given back
    trouble: str | None = None
    message: str = ""
    run: str | None = None


def end(tx: sa.Connection, key: tuple[str, str], holder: str, ending: Ending) -> bool:
    """Note how the holder's attempt ended and free the deadline; False when another holds it by now."""
    given = {f"its_{name}": value for name, value in _values(ending).items()}
    given |= {"of": key[0], "about": key[1], "by": holder, "back": 0 if ending.counts else 1}
    return tx.execute(_END, given).rowcount == 1


def settle(tx: sa.Connection, key: tuple[str, str], ending: Ending) -> bool:
    """Note what somebody did by hand to an open deadline that nobody holds; whether there was one."""
    open_ = _at(_deadlines.update(), key).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    return tx.execute(open_.values(**_values(ending))).rowcount == 1


def again(tx: sa.Connection, key: tuple[str, str], now: datetime, message: str) -> bool:
    """Let an open deadline that nobody holds be tried once more, however often it was; whether there was one."""
    open_ = _at(_deadlines.update(), key).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    return tx.execute(open_.values(next_try_at=now, outcome=AGAIN, message=message)).rowcount == 1


def _values(ending: Ending) -> dict[str, Any]:
    """What an ending makes of an open deadline."""
    values: dict[str, Any] = {"outcome": ending.outcome, "next_try_at": ending.next_try_at, "run": ending.run}
    values |= {"trouble": ending.trouble, "message": ending.message}
    return values | {"state": State.MET if ending.met else State.OPEN, "ended_at": ending.at if ending.met else None}


def miss(tx: sa.Connection, key: tuple[str, str], now: datetime) -> bool:
    """Give up an open deadline that nobody holds: its report would be of no use any more."""
    open_ = _at(_deadlines.update(), key).where(_deadlines.c.state == State.OPEN, _deadlines.c.holder.is_(None))
    return tx.execute(open_.values(state=State.MISSED, ended_at=now, next_try_at=None)).rowcount == 1
