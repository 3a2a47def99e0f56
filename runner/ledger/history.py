"""The past of one pipeline, for those who look: its newest runs, how its promises were kept, its figures over time.

Functions over one transaction. Each reads a bounded number of rows through an index, however long the past is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.ledger.deadlines import State
from runner.ledger.tables import deadlines as _deadlines
from runner.ledger.tables import figures as _figures
from runner.ledger.tables import findings as _findings
from runner.ledger.tables import runs as _runs
from runner.model import Figure, Finding, Level, Status

_AT_ONCE = 400  # keys of one question: a database takes only so many values
_NEWEST = _runs.c.started_at.desc(), _runs.c.run.desc()
_MADE = (Status.READY, Status.DELIVERED, Status.HELD)
_TRIED = 10  # runs that are looked at for one that made a report


@dataclass(frozen=True)
class Attempt:
    """One run as a list shows it; `figures` says how many it made."""

    run: str
    period: str
    status: Status
    started_at: datetime
    finished_at: datetime | None
    version: int | None
    message: str
    figures: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is under way."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


_OF_ATTEMPT = ("run", "period", "status", "started_at", "finished_at", "version", "message")
_LISTED = sa.select(*(_runs.c[name] for name in _OF_ATTEMPT))


def _attempt(row: Any, figures: int = 0) -> Attempt:
    return Attempt(**{**row._mapping, "status": Status(row.status), "figures": figures})  # noqa: SLF001 - its public name


def attempts(tx: sa.Connection, pipeline: str, most: int, before: tuple[datetime, str] | None = None) -> list[Attempt]:
    """The newest runs of a pipeline, newest first; with `before` (began, run) those that are older than that one."""
    query = _LISTED.where(_runs.c.pipeline == pipeline)
    if before is not None:
        at, name = before
        older = sa.or_(_runs.c.started_at < at, _runs.c.run < name)
        query = query.where(_runs.c.started_at <= at, older)
    rows = tx.execute(query.order_by(*_NEWEST).limit(most)).all()
    counted = sa.select(_figures.c.run, sa.func.count()).where(_figures.c.run.in_([row.run for row in rows]))
    counts: dict[str, int] = dict(map(tuple, tx.execute(counted.group_by(_figures.c.run))))
    return [_attempt(row, counts.get(row.run, 0)) for row in rows]


@dataclass(frozen=True)
class Tries:
    """The runs that were made of one report: when the first began, and the newest."""

    since: datetime
    newest: str


def tries_of(tx: sa.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Tries]:
    """What was tried of each (pipeline, period) of which a run has begun."""
    wanted, found = sorted(set(keys)), dict[tuple[str, str], Tries]()
    columns = sa.column("pipeline", sa.String), sa.column("period", sa.String)
    for first in range(0, len(wanted), _AT_ONCE):
        listed = sa.values(*columns, name="listed").data(wanted[first : first + _AT_ONCE]).cte()
        same = sa.and_(_runs.c.pipeline == listed.c.pipeline, _runs.c.period == listed.c.period)
        asked = _runs.c.pipeline, _runs.c.period, _runs.c.run, _runs.c.started_at
        query = sa.select(*asked).join_from(listed, _runs, same)
        for row in tx.execute(query.order_by(_runs.c.started_at, _runs.c.run)):
            before = found.get((row.pipeline, row.period))
            found[row.pipeline, row.period] = Tries(before.since if before else row.started_at, row.run)
    return found


# How promises were kept.


@dataclass(frozen=True)
class Outcome:
    """How one promise ended: `met`, `met late`, `missed`, or `late` while it is still owed after its time."""

    period: str
    text: str
    due_at: datetime
    ended_at: datetime | None
    word: str
    run: str | None


@dataclass(frozen=True)
class Record:
    """How many promises there were since an instant, and how many of them were kept in time."""

    met: int = 0
    late: int = 0
    missed: int = 0

    @property
    def all(self) -> int:
        """Every promise that has ended, or should have."""
        return self.met + self.late + self.missed

    @property
    def share(self) -> float | None:
        """The share that was kept in time; None where there was no promise."""
        return self.met / self.all if self.all else None


def record_of(outcomes: Iterable[Outcome]) -> Record:
    """The outcomes, counted."""
    words = [one.word for one in outcomes]
    return Record(words.count("met"), words.count("met late") + words.count("late"), words.count("missed"))


_OF_OUTCOME = ("period", "text", "due_at", "ended_at", "state", "run")


def outcomes(tx: sa.Connection, pipeline: str, since: datetime, now: datetime, most: int = 200) -> list[Outcome]:
    """What was due since an instant, has ended or should have by now, and how; by due time, the newest `most`."""
    # By due time and nothing else, the state compared as it stands in no index: a database that is asked for what is
    # open, in this order, walks through all that was ever owed in search of the few that are.
    due, state = _deadlines.c.due_at, _deadlines.c.state.concat("")
    query = sa.select(*(_deadlines.c[name] for name in _OF_OUTCOME)).where(
        _deadlines.c.pipeline == pipeline,
        due >= since,
        state != State.WITHDRAWN,
        sa.or_(due < now, state == State.MET),  # what was met before its time counts, too
    )
    rows = tx.execute(query.order_by(due.desc(), _deadlines.c.period.desc()).limit(most))
    return [_outcome(row) for row in rows][::-1]


def _outcome(row: Any) -> Outcome:
    word = "missed" if row.state == State.MISSED else "late"
    if row.state == State.MET:
        word = "met" if row.ended_at is not None and row.ended_at <= row.due_at else "met late"
    return Outcome(row.period, row.text, row.due_at, row.ended_at, word, row.run)


# Figures over time.


@dataclass(frozen=True)
class Told:
    """What one delivered report told: its figures, and the findings that are no plain pass or that hold a range."""

    run: str
    period: str
    figures: tuple[Figure, ...]
    findings: tuple[Finding, ...]


_COLUMN = {"int": "whole", "float": "number", "str": "words"}


def told(tx: sa.Connection, pipeline: str, most: int = 60) -> list[Told]:
    """What the newest delivered reports of a pipeline told, oldest period first; of a period what was told last."""
    query = sa.select(_runs.c.run, _runs.c.period).where(_runs.c.pipeline == pipeline)
    query = query.where(_runs.c.status == Status.DELIVERED).order_by(*_NEWEST).limit(most)
    last: dict[str, str] = {}
    for row in tx.execute(query):
        last.setdefault(row.period, row.run)
    shown, found = _figures_of(tx, last.values()), _findings_of(tx, last.values())
    return [
        Told(run, period, tuple(shown.get(run, ())), tuple(found.get(run, ())))
        for period, run in sorted(last.items(), key=lambda pair: _order(pair[0]))
    ]


def _order(period: str) -> tuple[str, str]:
    """Days and weeks by their key; experiments by the day as of which they are told."""
    return period.rpartition("@")[2], period


def _figures_of(tx: sa.Connection, runs: Iterable[str]) -> Mapping[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    query = sa.select(_figures).where(_figures.c.run.in_(list(runs))).order_by(_figures.c.run, _figures.c.position)
    for row in tx.execute(query):
        value = getattr(row, _COLUMN[row.kind])
        one = Figure(row.name, value, row.text, str(row.rest.get("label") or row.name), row.unit)
        found.setdefault(row.run, []).append(one)
    return found


def _findings_of(tx: sa.Connection, runs: Iterable[str]) -> Mapping[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    query = sa.select(_findings).where(_findings.c.run.in_(list(runs))).order_by(_findings.c.run, _findings.c.position)
    for row in tx.execute(query).mappings():
        one = Finding.of(dict(row))
        if one.level is not Level.PASS or {"lower", "upper", "observed"} <= set(one.numbers):
            found.setdefault(row["run"], []).append(one)
    return found


# Run times.


@dataclass(frozen=True)
class Made:
    """One run that made a report, beside the time at which it was due."""

    run: str
    period: str
    started_at: datetime
    finished_at: datetime
    due_at: datetime


def made(tx: sa.Connection, pipeline: str, most: int = 20) -> list[Made]:
    """The newest runs of a pipeline that made a report that was promised, newest first."""
    # Of so many runs at most: where all of them fail, one that did would be looked for through the whole past.
    began = sa.select(_runs.c.started_at).where(_runs.c.pipeline == pipeline).order_by(_runs.c.started_at.desc())
    since = sa.select(sa.func.min(began.limit(_TRIED * most).subquery().c.started_at)).scalar_subquery()
    same = sa.and_(_deadlines.c.pipeline == _runs.c.pipeline, _deadlines.c.period == _runs.c.period)
    query = (
        sa.select(_runs.c.run, _runs.c.period, _runs.c.started_at, _runs.c.finished_at, _deadlines.c.due_at)
        .join_from(_runs, _deadlines, same)
        .where(_runs.c.pipeline == pipeline, _runs.c.started_at >= since, _runs.c.finished_at.is_not(None))
        # Compared as it stands in no index: wanted are the newest, and an index over it would have them all sorted.
        .where(_runs.c.status.concat("").in_(_MADE))
    )
    rows = tx.execute(query.order_by(*_NEWEST).limit(most))
    return [Made(**row._mapping) for row in rows]  # noqa: SLF001 - its public name
