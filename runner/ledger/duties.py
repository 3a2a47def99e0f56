"""The book of duties: what recurs, by when, who did it, and the evidence. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import Instant
from runner.ledger.tables import duties as _duties
from runner.plan.duties import Due

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)


# What every tick asks is put together once.
_NOW = sa.bindparam("now", type_=Instant)
_WAITING = (
    sa.select(_duties)
    .where(_duties.c.opens_at <= _NOW, _duties.c.done_at.is_(None))
    .order_by(_duties.c.due_at, _duties.c.duty)
)
_NEXT_DUE = sa.select(sa.func.min(_duties.c.due_at)).where(_duties.c.due_at > _NOW, _duties.c.done_at.is_(None))


@dataclass(frozen=True)
class Task:
    """One duty of one period: by when, and who did it with which evidence."""

    due: Due
    done_at: datetime | None = None
    done_by: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def note(tx: sa.Connection, dues: Iterable[Due]) -> None:
    """Write down what is due; one that is known and not done takes new times."""
    wanted = {due.key: due for due in dues}
    rows = tx.execute(_recent(wanted.values()))
    known = {(row.duty, row.period): row for row in rows}
    new = [due for key, due in wanted.items() if key not in known]
    if new:
        tx.execute(_duties.insert(), [{**vars(due), "evidence": {}} for due in new])
    for key, row in known.items():
        due = wanted.get(key)
        if due is not None and row.done_at is None and (row.opens_at, row.due_at) != (due.opens_at, due.due_at):
            tx.execute(_at(_duties.update(), *key).values(opens_at=due.opens_at, due_at=due.due_at))


def withdraw(tx: sa.Connection, keep: Iterable[tuple[str, str]], first: datetime, last: datetime) -> None:
    """Forget duties with first <= due_at < last that are not done and that the plan no longer has."""
    kept = set(keep)
    for task in between(tx, first, last):
        if task.done_at is None and task.due.key not in kept:
            tx.execute(_at(_duties.delete(), *task.due.key))


def _recent(dues: Iterable[Due]) -> sa.Select[Any]:
    """The rows that may be those of these duties: no scan of all that ever was."""
    first = min((due.due_at for due in dues), default=_NEVER) - timedelta(days=31)
    return sa.select(_duties).where(_duties.c.due_at >= first)


def _at(query: Any, duty: str, period: str) -> Any:
    return query.where(_duties.c.duty == duty, _duties.c.period == period)


def find(tx: sa.Connection, duty: str, period: str) -> Task | None:
    """One duty of one period."""
    row = tx.execute(_at(sa.select(_duties), duty, period)).first()
    return _task(row) if row else None


def waiting(tx: sa.Connection, now: datetime) -> tuple[Task, ...]:
    """Duties that are open now and not done, by due time."""
    return tuple(map(_task, tx.execute(_WAITING, {"now": now})))


def between(tx: sa.Connection, first: datetime, last: datetime) -> tuple[Task, ...]:
    """Duties with first <= due_at < last, in order."""
    query = sa.select(_duties).where(_duties.c.due_at >= first, _duties.c.due_at < last)
    return tuple(map(_task, tx.execute(query.order_by(_duties.c.due_at, _duties.c.duty))))


def past(tx: sa.Connection, duty: str, before: datetime, most: int) -> tuple[Task, ...]:
    """The periods of a duty that were due before an instant, newest first."""
    query = sa.select(_duties).where(_duties.c.duty == duty, _duties.c.due_at < before)
    return tuple(map(_task, tx.execute(query.order_by(_duties.c.due_at.desc()).limit(most))))


def next_due(tx: sa.Connection, now: datetime) -> datetime | None:
    """When the next duty that is not done falls due after now."""
    found: datetime | None = tx.scalar(_NEXT_DUE, {"now": now})
    return found


@dataclass(frozen=True)
class Done:
    """Who did a duty, when, and what shows it."""

    who: str
    at: datetime
    evidence: Mapping[str, Any]


def done(tx: sa.Connection, duty: str, period: str, how: Done) -> bool:
    """Note that a duty was done; the first time counts. Whether it was open."""
    open_ = _at(_duties.update(), duty, period).where(_duties.c.done_at.is_(None))
    values = {"done_at": how.at, "done_by": how.who, "evidence": dict(how.evidence)}
    return tx.execute(open_.values(**values)).rowcount == 1


def found(tx: sa.Connection, duty: str, period: str, evidence: Mapping[str, Any]) -> bool:
    """Note what was found of a duty that stays open until a person says that it is done. Whether it was open."""
    open_ = _at(_duties.update(), duty, period).where(_duties.c.done_at.is_(None))
    return tx.execute(open_.values(evidence=dict(evidence))).rowcount == 1


def _task(row: Any) -> Task:
    return Task(Due(row.duty, row.period, row.opens_at, row.due_at), row.done_at, row.done_by, row.evidence)
