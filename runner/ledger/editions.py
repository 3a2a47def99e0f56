"""Versions of reports, and what was given to whom. Functions over one transaction that only look, each by an index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.ledger.deliveries import State
from runner.ledger.reports import Run, _run
from runner.ledger.tables import deliveries as _deliveries
from runner.ledger.tables import runs as _runs
from runner.model import Status

#: What counts as given: what only a sandbox got went to nobody.
GIVEN = (State.SENT, State.BY_HAND)
#: Runs that are looked through for the report before another: of every experiment, some days of it.
_BACK = 200


@dataclass(frozen=True)
class Edition:
    """One version of a report: the run that its files are of, who got it (of how many), and when the first did."""

    pipeline: str
    period: str
    version: int
    run: str
    given: int = 0
    owed: int = 0
    first_at: datetime | None = None


@dataclass(frozen=True)
class Copy:
    """One version as one reader got it."""

    pipeline: str
    period: str
    version: int
    run: Run
    given_at: datetime


def editions(tx: sa.Connection, pipeline: str, period: str) -> tuple[Edition, ...]:
    """Every version of a report that was owed to anybody, newest first."""
    return editions_of(tx, [(pipeline, period)])[pipeline, period]


def editions_of(tx: sa.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[Edition, ...]]:
    """As `editions`, of several reports at once, by (pipeline, period)."""
    found: dict[tuple[str, str], tuple[Edition, ...]] = dict.fromkeys(keys, ())
    for row in tx.execute(_EDITIONS.where(_listed(found))) if found else ():
        key, at = (row.pipeline, row.period), _instant(row.first_at)
        found[key] = (*found[key], Edition(*key, row.version, row.run, int(row.given), int(row.owed), at))
    return found


def after(every: Iterable[Edition], version: int) -> tuple[Edition, ...]:
    """The versions after one that anybody was given, in the same order."""
    return tuple(one for one in every if one.version > version and one.given)


def first_given(some: Iterable[Edition]) -> datetime | None:
    """When the first of these was given to anybody."""
    return min((one.first_at for one in some if one.first_at), default=None)


def _listed(keys: Iterable[tuple[str, str]]) -> sa.ColumnElement[bool]:
    """The deliveries of these reports: told apart like this, each is found by its key."""
    same = (sa.and_(_deliveries.c.pipeline == name, _deliveries.c.period == period) for name, period in keys)
    return sa.or_(*same)


_WAS_GIVEN = _deliveries.c.state.in_(GIVEN)
_EDITIONS = (
    sa.select(
        _deliveries.c.pipeline,
        _deliveries.c.period,
        _deliveries.c.version,
        sa.func.min(_deliveries.c.run).label("run"),
        sa.func.sum(sa.case((_WAS_GIVEN, 1), else_=0)).label("given"),
        sa.func.sum(sa.case((_deliveries.c.state == State.WITHDRAWN, 0), else_=1)).label("owed"),
        sa.func.min(sa.case((_WAS_GIVEN, _deliveries.c.sent_at))).label("first_at"),
    )
    .group_by(_deliveries.c.pipeline, _deliveries.c.period, _deliveries.c.version)
    .order_by(_deliveries.c.pipeline, _deliveries.c.period, _deliveries.c.version.desc())
)


def _instant(value: datetime | str | None) -> datetime | None:
    """An instant that came out of arithmetic, where its type may be lost on the way."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def given_to(tx: sa.Connection, pipeline: str, period: str, reader: str) -> tuple[Copy, ...]:
    """The versions of a report that a reader (in small letters) got, newest first."""
    # Of the reader much may be there, of the report little: it is found by the report, so no index fits the reader.
    mine = _copies().where(sa.func.lower(_deliveries.c.recipient).concat("") == reader)
    mine = mine.where(_deliveries.c.pipeline == pipeline, _deliveries.c.period == period)
    return tuple(map(_copy, tx.execute(mine.order_by(_deliveries.c.version.desc()))))


@dataclass(frozen=True)
class Wanted:
    """What of an archive is wanted: of one report (or any), given before an instant (or at any), so many at most."""

    pipeline: str = ""
    before: datetime | None = None
    most: int = 60


def copies(tx: sa.Connection, reader: str, wanted: Wanted) -> tuple[Copy, ...]:
    """What a reader (in small letters) was given, newest first."""
    query = _copies().where(sa.func.lower(_deliveries.c.recipient) == reader)
    if wanted.pipeline:
        query = query.where(_deliveries.c.pipeline == wanted.pipeline)
    if wanted.before is not None:
        query = query.where(_deliveries.c.sent_at < wanted.before)
    return tuple(map(_copy, tx.execute(query.order_by(_deliveries.c.sent_at.desc()).limit(wanted.most))))


def _copies() -> sa.Select[tuple[object, ...]]:
    columns = (_deliveries.c.sent_at.label("given_at"), _deliveries.c.version.label("number"))
    query = sa.select(_runs, *columns).join(_deliveries, _deliveries.c.run == _runs.c.run)
    return query.where(_WAS_GIVEN, _deliveries.c.sent_at.is_not(None))


def _copy(row: sa.Row[tuple[object, ...]]) -> Copy:
    return Copy(row.pipeline, row.period, row.number, _run(row), row.given_at)


def sent(tx: sa.Connection, names: Iterable[str], wanted: Wanted) -> tuple[Run, ...]:
    """The newest runs of these pipelines whose reports went out, newest first; before an instant by their begin."""
    found: list[Run] = []
    for name in names:
        query = sa.select(_runs).where(_runs.c.pipeline == name, _runs.c.status == Status.DELIVERED)
        if wanted.before is not None:
            query = query.where(_runs.c.started_at < wanted.before)
        found += map(_run, tx.execute(query.order_by(_runs.c.started_at.desc()).limit(wanted.most)))
    return tuple(sorted(found, key=lambda run: (run.started_at, run.run), reverse=True)[: wanted.most])


def before(tx: sa.Connection, run: Run) -> tuple[Run, ...]:
    """The delivered reports of a pipeline (and experiment) about earlier dates, the newest date and version first."""
    query = sa.select(_runs).where(_runs.c.pipeline == run.pipeline, _runs.c.status == Status.DELIVERED)
    query = query.where(_runs.c.started_at <= run.started_at)
    rows = map(_run, tx.execute(query.order_by(_runs.c.started_at.desc()).limit(_BACK)))
    fit = [other for other in rows if _experiment(other) == _experiment(run) and _about(other) < _about(run)]
    return tuple(sorted(fit, key=lambda other: (_about(other), other.version or 1), reverse=True))


def _about(run: Run) -> str:
    return str(run.parameters.get("as_of", ""))


def _experiment(run: Run) -> str:
    return str(run.parameters.get("experiment") or "")
