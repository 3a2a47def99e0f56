"""Long lists of the ledger, a page at a time: each page reads a bounded number of rows, however long the past is.

A page goes on behind a key, its place in the order of the list. Functions over one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from runner.ledger.deadlines import Owed, State, _owed
from runner.ledger.incidents import _incident
from runner.ledger.reports import Run, _figure, _run
from runner.ledger.tables import deadlines as _deadlines
from runner.ledger.tables import figures as _figures
from runner.ledger.tables import incidents as _incidents
from runner.ledger.tables import runs as _runs
from runner.model import Figure, Status
from runner.plan.incidents import Incident

T = TypeVar("T")

#: So many rows are looked at for one page of a list that is sifted, whatever is found in them.
_SIFTED = 2_000
_AT_ONCE = 400  # values of one question: a database takes only so many
Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list, in its order; `after` is where it goes on, None at its end.

    A list that is sifted may go on though a page of it has few items, or none.
    """

    items: tuple[T, ...]
    after: Key | None = None


@dataclass(frozen=True)
class Part:
    """Which part of a list: at most so many items, behind a key; of so many rows at most, where it is sifted."""

    most: int
    after: Key | None = None
    sifted: int = _SIFTED


def _behind(columns: Sequence[Any], key: Key, *, down: bool = False) -> Any:
    """Rows behind a key in the order of these columns. The first comparison stands alone, so that an index serves."""
    first, *rest = columns
    edge = first <= key[0] if down else first >= key[0]
    further = first < key[0] if down else first > key[0]
    if not rest:
        return further
    return sa.and_(edge, sa.or_(further, _behind(rest, key[1:], down=down)))


def _at(text: str | int) -> datetime:
    return datetime.fromisoformat(str(text))


# Deadlines, by due time.


@dataclass(frozen=True)
class Dues:
    """Deadlines due in [first, last), of one pipeline and in one state where these are given."""

    first: datetime
    last: datetime
    pipeline: str | None = None
    state: State | None = None


def deadlines(tx: sa.Connection, wanted: Dues, part: Part) -> Page[Owed]:
    """What is due in a span, by due time; what was withdrawn only where it is asked for."""
    columns = _deadlines.c.due_at, _deadlines.c.pipeline, _deadlines.c.period
    query = sa.select(_deadlines).where(_deadlines.c.due_at >= wanted.first, _deadlines.c.due_at < wanted.last)
    if wanted.pipeline is not None:
        query = query.where(_deadlines.c.pipeline == wanted.pipeline)
    # Compared as it stands in no index: through one over the state all deadlines there ever were would be read.
    state = _deadlines.c.state.concat("")
    query = query.where(state != State.WITHDRAWN if wanted.state is None else state == wanted.state)
    if part.after is not None:
        at, *rest = part.after
        query = query.where(_behind(columns, (_at(at), *rest)))  # type: ignore[arg-type]
    found = [_owed(row) for row in tx.execute(query.order_by(*columns).limit(part.most + 1))]
    return _page(found, part, lambda owed: (owed.deadline.due_at.isoformat(), *owed.key))


# Runs, newest first.


@dataclass(frozen=True)
class Runs:
    """Runs of a pipeline, a period, a status, where these are given."""

    pipeline: str | None = None
    period: str | None = None
    status: Status | None = None


def runs(tx: sa.Connection, wanted: Runs, part: Part) -> Page[Run]:
    """Runs, newest first. Without a pipeline, the newest are sifted for what is wanted."""
    return _runs_of(tx, wanted, part) if wanted.pipeline is not None else _all_runs(tx, wanted, part)


def _runs_of(tx: sa.Connection, wanted: Runs, part: Part) -> Page[Run]:
    columns = _runs.c.started_at, _runs.c.run
    query = sa.select(_runs).where(_runs.c.pipeline == wanted.pipeline)
    if wanted.period is not None:
        query = query.where(_runs.c.period == wanted.period)
    if wanted.status is not None:
        query = query.where(_runs.c.status == wanted.status)
    if part.after is not None:
        at, name = part.after
        query = query.where(_behind(columns, (_at(at), name), down=True))  # type: ignore[arg-type]
    rows = tx.execute(query.order_by(*(column.desc() for column in columns)).limit(part.most + 1))
    return _page([_run(row) for row in rows], part, lambda run: (run.started_at.isoformat(), run.run))


def _all_runs(tx: sa.Connection, wanted: Runs, part: Part) -> Page[Run]:
    """By their names, which begin with when they began: that index is there."""
    newest = sa.select(_runs)
    if part.after is not None:
        newest = newest.where(_runs.c.run < part.after[-1])
    rows = tx.execute(
        newest.order_by(_runs.c.run.desc()).limit(part.sifted if _is_sifted(wanted) else part.most + 1)
    ).all()
    found = [row for row in rows if _is_wanted(row, wanted)]
    page = _page([_run(row) for row in found[: part.most + 1]], part, _key_of_run)
    if page.after is None and _is_sifted(wanted) and len(rows) == part.sifted:
        return Page(page.items, (rows[-1].started_at.isoformat(), rows[-1].run))
    return page


def _key_of_run(run: Run) -> Key:
    return run.started_at.isoformat(), run.run


def _is_sifted(wanted: Runs) -> bool:
    return wanted.period is not None or wanted.status is not None


def _is_wanted(row: Any, wanted: Runs) -> bool:
    return wanted.period in {None, row.period} and wanted.status in {None, row.status}


# Figures of a pipeline, newest run first.


@dataclass(frozen=True)
class Told:
    """One figure of one report that was released."""

    pipeline: str
    period: str
    version: int
    run: str
    status: Status
    started_at: datetime
    position: int
    figure: Figure


@dataclass(frozen=True)
class Figures:
    """Figures of a pipeline, of one name and one period where these are given."""

    pipeline: str
    name: str | None = None
    period: str | None = None


_UNSHOWN = tuple(status for status in Status if status not in {Status.READY, Status.DELIVERED})
_OF_RUN = ("pipeline", "period", "version", "status", "started_at")
_LAST = 1_000_000_000  # behind every figure of a run


def figures(tx: sa.Connection, wanted: Figures, part: Part) -> Page[Told]:
    """Figures of reports that were released, the newest run first, each run's as its report shows them."""
    shown, found = tx.execute(_shown(wanted, part)).all(), list[Told]()
    for first in range(0, len(shown), _AT_ONCE):
        found += _figures_of(tx, shown[first : first + _AT_ONCE], wanted, part.after)
        if len(found) > part.most:
            break
    page = _page(found, part, lambda told: (told.started_at.isoformat(), told.run, told.position))
    if page.after is None and len(shown) == _runs_at_most(wanted, part):
        return Page(page.items, (shown[-1].started_at.isoformat(), shown[-1].run, _LAST))
    return page


def _shown(wanted: Figures, part: Part) -> sa.Select[Any]:
    """The newest runs whose reports were released, from the one on at which the page before ended."""
    # The status is compared as it stands in no index: what is wanted are the newest. And by what it is not: of what a
    # text is not, PostgreSQL expects many rows, and begins with the newest; of what it is few, and reads them all.
    query = sa.select(_runs.c.run, *(_runs.c[name] for name in _OF_RUN)).where(
        _runs.c.pipeline == wanted.pipeline, _runs.c.status.concat("").not_in(_UNSHOWN)
    )
    if wanted.period is not None:
        query = query.where(_runs.c.period == wanted.period)
    if part.after is not None:
        at, run, _ = part.after
        query = query.where(_runs.c.started_at <= _at(at), sa.or_(_runs.c.started_at < _at(at), _runs.c.run <= run))
    return query.order_by(_runs.c.started_at.desc(), _runs.c.run.desc()).limit(_runs_at_most(wanted, part))


def _figures_of(tx: sa.Connection, runs: Sequence[Any], wanted: Figures, after: Key | None) -> list[Told]:
    """The figures of these runs in their order, behind a key."""
    query = sa.select(_figures).where(_figures.c.run.in_([run.run for run in runs])).order_by(_figures.c.position)
    if wanted.name is not None:
        query = query.where(_figures.c.name == wanted.name)
    found: dict[str, list[Any]] = {}
    for row in tx.execute(query):
        if after is None or row.run != after[1] or row.position > after[2]:
            found.setdefault(row.run, []).append(row)
    return [_told(run, row) for run in runs for row in found.get(run.run, ())]


def _runs_at_most(wanted: Figures, part: Part) -> int:
    """How many runs one page looks at: each has a figure or more, but not every name."""
    return part.sifted if wanted.name is not None else part.most + 1


def _told(run: Any, row: Any) -> Told:
    about = run.pipeline, run.period, run.version or 1, run.run, Status(run.status), run.started_at
    return Told(*about, row.position, _figure(row))


# Incidents, newest first.


@dataclass(frozen=True)
class Troubles:
    """Incidents of a pipeline, open or closed, where these are given."""

    pipeline: str | None = None
    is_open: bool | None = None


def incidents(tx: sa.Connection, wanted: Troubles, part: Part) -> Page[Incident]:
    """Incidents, newest first. But for those that are open, the newest are sifted for what is wanted."""
    query = sa.select(_incidents)
    if wanted.is_open:
        query = query.where(_incidents.c.closed_at.is_(None))
    if part.after is not None:
        query = query.where(_incidents.c.number < part.after[0])
    sifted = not wanted.is_open and (wanted.pipeline is not None or wanted.is_open is False)
    # Of the open ones there are few. By a sum, a database takes the index over them and not all there ever were.
    order = sa.desc(_incidents.c.number + 0) if wanted.is_open else _incidents.c.number.desc()
    rows = tx.execute(query.order_by(order).limit(part.sifted if sifted or wanted.pipeline else part.most + 1)).all()
    found = [_incident(row) for row in rows if _is_of(row, wanted)][: part.most + 1]
    page = _page(found, part, lambda incident: (incident.number,))
    if page.after is None and sifted and len(rows) == part.sifted:
        return Page(page.items, (rows[-1].number,))
    return page


def _is_of(row: Any, wanted: Troubles) -> bool:
    is_open = row.closed_at is None
    return wanted.pipeline in {None, row.pipeline} and wanted.is_open in {None, is_open}


def _page(found: Sequence[T], part: Part, key_of: Callable[[T], Key]) -> Page[T]:
    """The page of what was found, which has one item more where the list goes on."""
    items = tuple(found[: part.most])
    return Page(items, key_of(items[-1]) if len(found) > part.most else None)
