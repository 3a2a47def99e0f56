"""Runs and all they leave: findings, figures, artifacts, deliveries and records, and who makes what at the moment.

A run begins with a claim on its (pipeline, period), so that two runners never make the same report at once. A claim is
lost when its process is gone or its lease has run out; what the loser still hands in then is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from runner.errors import RunFailed, Trouble
from runner.ledger import deliveries as _book
from runner.ledger.deadlines import State, latest
from runner.ledger.deliveries import Delivery, Version
from runner.ledger.process import Process
from runner.ledger.store import Store
from runner.ledger.tables import Instant
from runner.ledger.tables import artifacts as _artifacts
from runner.ledger.tables import claims as _claims
from runner.ledger.tables import deadlines as _deadlines
from runner.ledger.tables import deliveries as _deliveries
from runner.ledger.tables import figures as _figures
from runner.ledger.tables import findings as _findings
from runner.ledger.tables import leases as _leases
from runner.ledger.tables import records as _records
from runner.ledger.tables import runs as _runs
from runner.model import Decision, Figure, Finding, Status

if TYPE_CHECKING:
    from runner.config import Project

_NEWEST_FIRST = sa.select(_runs).order_by(_runs.c.started_at.desc(), _runs.c.run.desc())


@dataclass(frozen=True)
class Run:
    """One attempt at one (pipeline, period)."""

    run: str
    pipeline: str
    period: str
    inputs: str
    started_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    process: Process = field(default_factory=Process.this)
    status: Status = Status.RUNNING
    decision: Decision | None = None
    version: int | None = None
    finished_at: datetime | None = None
    trouble: Trouble | None = None
    message: str = ""
    folder: str | None = None
    kernel: str = ""
    """How its kernel began: warm, or cold and why."""


@dataclass(frozen=True)
class Artifact:
    """One file of a finished run: its path inside the run's folder, its SHA-256 and its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Result:
    """All that a finished run leaves in the ledger, kept in one transaction."""

    run: Run
    findings: tuple[Finding, ...] = ()
    figures: tuple[Figure, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    records: Mapping[str, Any] = field(default_factory=dict)
    owed: tuple[Delivery, ...] = ()


class Taken(RunFailed):
    """Another runner is making the same report at this moment."""

    retry = True


class Fenced(RunFailed):
    """The run's claim was lost: another runner has made, or is making, the same report."""


class Ledger(Store):
    """The database behind an address. Safe to share between threads."""

    @classmethod
    def of(cls, project: Project) -> Self:
        """The ledger of a project, which keeps none of its secrets. Raises ConfigError as `open` does."""
        return cls.open(project.ledger, project.censor)

    # Claims: who makes what.

    def begin(self, run: Run, lease: timedelta | None = None) -> None:
        """Claim the run's (pipeline, period) and record the run, or raise Taken.

        With a lease the claim is lost unless `renew` prolongs it; without, it holds as long as the process lives.
        """
        with self.write() as connection:
            held = self._holder(connection, run)
            if held and not _lost(connection, held, run.started_at, lease):
                raise Taken(
                    f"{run.pipeline} for {run.period} is being made by process {held.process.pid} "
                    f"on {held.process.host} since {held.started_at:%H:%M:%S} UTC.",
                    "Wait for it, or end that process.",
                )
            if held:
                _interrupt(connection, held, run.started_at)
            connection.execute(_runs.insert().values(**_row(run)))
            connection.execute(_claims.insert().values(pipeline=run.pipeline, period=run.period, run=run.run))
            if lease is not None:
                connection.execute(_leases.insert().values(run=run.run, until=run.started_at + lease))

    def _holder(self, connection: sa.Connection, run: Run) -> Run | None:
        found = connection.execute(
            sa.select(_runs).join(_claims).where(_claims.c.pipeline == run.pipeline, _claims.c.period == run.period)
        ).first()
        return _run(found) if found else None

    def finish(self, result: Result) -> None:
        """Record how a run ended with all it leaves, and give the claim back; all or nothing.

        Raises Fenced when the claim was lost meanwhile: whoever took over has the word.
        """
        run = result.run
        with self.write() as connection:
            if not connection.execute(_claims.delete().where(_claims.c.run == run.run)).rowcount:
                raise Fenced(
                    f"Another runner took over {run.pipeline} for {run.period} while this one stood still.",
                    "Nothing of this run is kept; look at the other one.",
                )
            connection.execute(_leases.delete().where(_leases.c.run == run.run))
            connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_changed_row(run)))
            _insert(connection, _findings, _finding_rows(result))
            _insert(connection, _figures, _figure_rows(result))
            _insert(connection, _artifacts, [{"run": run.run, **vars(item)} for item in result.artifacts])
            _insert(connection, _records, _new_records(connection, result))
            for delivery in result.owed:
                _owe(connection, run, delivery)

    def renew(self, pipeline: str, period: str, until: datetime) -> None:
        """Prolong the lease of the run that is making a report."""
        claimed = sa.select(_claims.c.run).where(_claims.c.pipeline == pipeline, _claims.c.period == period)
        with self.write() as connection:
            connection.execute(_leases.update().where(_leases.c.run.in_(claimed)).values(until=until))

    def claimed(self, run: str) -> bool:
        """Whether a run is still being made."""
        with self.read() as connection:
            return connection.execute(sa.select(_claims).where(_claims.c.run == run)).first() is not None

    def making(self, pipeline: str, period: str) -> Run | None:
        """The run that is making a report at this moment."""
        query = sa.select(_runs).join(_claims).where(_claims.c.pipeline == pipeline, _claims.c.period == period)
        with self.read() as connection:
            row = connection.execute(query).first()
        return _run(row) if row else None

    def clear_up(self, now: datetime, lease: timedelta | None = None) -> tuple[Run, ...]:
        """Mark as interrupted every running run whose claim is lost, and free it; they are returned.

        With the usual `lease`, a claim that was given by a clock that was ahead is lost as well.
        """
        with self.write() as connection:
            rows = connection.execute(sa.select(_runs).where(_runs.c.status == Status.RUNNING)).all()
            gone = tuple(run for run in map(_run, rows) if _lost(connection, run, now, lease))
            for run in gone:
                _interrupt(connection, run, now)
        return gone

    def durations(self, pipeline: str, most: int = 50) -> tuple[float, ...]:
        """Seconds that the newest runs of a pipeline took that made a report, newest first."""
        with self.read() as connection:
            rows = connection.execute(_DURATIONS, {"of": pipeline, "most": most})
            return tuple((finished - started).total_seconds() for started, finished in rows)

    # What was.

    def run(self, run: str) -> Run | None:
        """One run by its name."""
        with self.read() as connection:
            row = connection.execute(sa.select(_runs).where(_runs.c.run == run)).first()
        return _run(row) if row else None

    def runs(self, pipeline: str | None = None, period: str | None = None) -> tuple[Run, ...]:
        """Runs, newest first, of one pipeline or period or of all."""
        query = _NEWEST_FIRST
        if pipeline is not None:
            query = query.where(_runs.c.pipeline == pipeline)
        if period is not None:
            query = query.where(_runs.c.period == period)
        with self.read() as connection:
            return tuple(map(_run, connection.execute(query).all()))

    def runs_since(self, pipeline: str, since: datetime) -> tuple[Run, ...]:
        """Runs of a pipeline that began at an instant or later, newest first."""
        query = sa.select(_runs).where(_runs.c.pipeline == pipeline, _runs.c.started_at >= since)
        with self.read() as connection:
            return tuple(map(_run, connection.execute(query.order_by(_runs.c.started_at.desc()))))

    def findings(self, run: str) -> tuple[Finding, ...]:
        """A run's findings in their order."""
        query = sa.select(_findings).where(_findings.c.run == run).order_by(_findings.c.position)
        with self.read() as connection:
            return tuple(Finding.of(dict(row)) for row in connection.execute(query).mappings())

    def figures(self, run: str) -> tuple[Figure, ...]:
        """A run's figures in their order, each value of the type it was given in."""
        query = sa.select(_figures).where(_figures.c.run == run).order_by(_figures.c.position)
        with self.read() as connection:
            return tuple(_figure(row) for row in connection.execute(query))

    def artifacts(self, run: str) -> tuple[Artifact, ...]:
        """A run's files."""
        query = sa.select(_artifacts).where(_artifacts.c.run == run).order_by(_artifacts.c.path)
        with self.read() as connection:
            return tuple(Artifact(row.path, row.sha256, row.size) for row in connection.execute(query))

    def delivered(self, pipeline: str, period: str) -> Run | None:
        """The run whose files readers have, or may have: the one that the newest version owed to anyone is made of.

        Owed is enough: a runner that was killed may have written a message without noting it.
        """
        query = (
            sa.select(_runs)
            .join(_deliveries)
            .where(_deliveries.c.pipeline == pipeline, _deliveries.c.period == period)
            .order_by(_deliveries.c.version.desc(), _deliveries.c.sent_at.is_(None), _deliveries.c.sent_at)
        )
        with self.read() as connection:
            row = connection.execute(query).first()
        return _run(row) if row else None

    # Deliveries, whose book is `runner.ledger.deliveries`: owed first, then sent.

    def deliveries(self, pipeline: str, period: str, version: int) -> tuple[Delivery, ...]:
        """Everyone to whom a version is owed or was sent."""
        with self.read() as connection:
            return _book.of(connection, Version(pipeline, period, version))

    def had_since(self, run: Run) -> datetime | None:
        """When the last of those who have a run's version got it; None when nobody has."""
        sent = (item.sent_at for item in self.deliveries(run.pipeline, run.period, run.version or 1))
        return max(filter(None, sent), default=None)

    def owe(self, run: Run, owed: Iterable[Delivery]) -> None:
        """Note messages that a run owes; one that is noted already stays as it is."""
        with self.write() as connection:
            for delivery in owed:
                _book.owe(connection, version_of(run), run.run, delivery)

    def sent(self, run: Run, recipient: str, now: datetime) -> None:
        """Note that a server took a message, or that it lies in the maildir; the first time counts."""
        with self.write() as connection:
            _book.sent(connection, version_of(run), recipient, now)

    def mark(self, run: Run) -> None:
        """Record a run's new status (ready becomes delivered)."""
        with self.write() as connection:
            connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_changed_row(run)))

    # Records: what later reports rest on.

    def records(self, pipeline: str, name: str, first_day: date | str, last_day: date | str) -> list[dict[str, Any]]:
        """What a pipeline recorded under a name for the days first..last, oldest first."""
        with self.read() as connection:
            rows = connection.execute(
                sa.select(_records.c["values"])
                .where(_records.c.pipeline == pipeline, _records.c.name == name)
                .where(_records.c.day.between(str(first_day), str(last_day)))
                .order_by(_records.c.day)
            )
            return [dict(row[0]) for row in rows]

    def recorded(self, pipeline: str, last_day: str) -> tuple[tuple[str, dict[str, Any]], ...]:
        """(name, row) of all that a pipeline recorded up to a day."""
        query = sa.select(_records.c.name, _records.c["values"]).where(
            _records.c.pipeline == pipeline, _records.c.day <= last_day
        )
        with self.read() as connection:
            rows = connection.execute(query.order_by(_records.c.name, _records.c.day)).all()
        return tuple((name, dict(values)) for name, values in rows)

    def records_digest(self, pipeline: str, last_day: str) -> str:
        """SHA-256 over all that a pipeline recorded up to a day: the fingerprint of an input."""
        query = sa.select(_records.c.name, _records.c.day, _records.c["values"]).where(
            _records.c.pipeline == pipeline, _records.c.day <= last_day
        )
        with self.read() as connection:
            rows = connection.execute(query.order_by(_records.c.name, _records.c.day)).all()
        return hashlib.sha256(json.dumps([list(row) for row in rows], sort_keys=True).encode()).hexdigest()

    def restated(self, pipeline: str, records: Mapping[str, Any]) -> tuple[str, ...]:
        """The `name day` of each row that differs from what is recorded already."""
        with self.read() as connection:
            known = _known(connection, pipeline, records)
        rows = record_rows(records)
        return tuple(f"{name} {day}" for name, day, values in rows if _changed(known, name, day, values))


#: A page asks it of a thousand pipelines, so put together once. The status is compared as it stands in no index: what
#: is wanted are some of the newest, and through an index over it a database would read them all, to sort them.
_DURATIONS = (
    sa.select(_runs.c.started_at, _runs.c.finished_at)
    .where(_runs.c.pipeline == sa.bindparam("of"), _runs.c.finished_at.is_not(None))
    .where(_runs.c.status.concat("").in_([Status.READY, Status.DELIVERED, Status.HELD]))
    .order_by(_runs.c.started_at.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
#: Asked at every tick.
_BY_HAND = (
    sa.select(_runs)
    .join(_deadlines, sa.and_(_runs.c.pipeline == _deadlines.c.pipeline, _runs.c.period == _deadlines.c.period))
    .where(_deadlines.c.state == State.OPEN, _deadlines.c.starts_at <= sa.bindparam("now", type_=Instant))
    .where(_deadlines.c.holder.is_(None), _runs.c.finished_at.is_not(None))
    .order_by(_runs.c.started_at.desc(), _runs.c.run.desc())
)


def ended_by_now(tx: sa.Connection, now: datetime) -> dict[tuple[str, str], tuple[Run, ...]]:
    """Runs that ended, of every deadline that has begun by now and that nobody is at; by it, newest first."""
    found: dict[tuple[str, str], tuple[Run, ...]] = {}
    for run in map(_run, tx.execute(_BY_HAND, {"now": now})):
        key = run.pipeline, run.period
        found[key] = (*found.get(key, ()), run)
    return found


def last_delivered(tx: sa.Connection, pipeline: str) -> Run | None:
    """The newest run of a pipeline that was delivered, whatever it is about."""
    query = sa.select(_runs).where(_runs.c.pipeline == pipeline, _runs.c.status == Status.DELIVERED)
    row = tx.execute(query.order_by(_runs.c.started_at.desc()).limit(1)).first()
    return _run(row) if row else None


def record_rows(records: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, day, row) of every recorded row. Raises RunFailed when a record has no column `day`."""
    for name, table in records.items():
        columns = table.get("columns", ())
        if "day" not in columns:
            raise RunFailed(f"The record {name!r} has no column `day`.", "Add it: later reports ask by day.")
        for row in table.get("rows", ()):
            values = dict(zip(columns, row, strict=True))
            yield name, str(values["day"])[:10], values


def _changed(known: Mapping[tuple[str, str], Any], name: str, day: str, values: dict[str, Any]) -> bool:
    return (name, day) in known and known[name, day] != values


def _known(connection: sa.Connection, pipeline: str, records: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    rows = connection.execute(
        sa.select(_records).where(_records.c.pipeline == pipeline, _records.c.name.in_(list(records)))
    ).mappings()
    return {(row["name"], row["day"]): row["values"] for row in rows}


def _new_records(connection: sa.Connection, result: Result) -> list[dict[str, Any]]:
    """Rows not recorded yet. A row that differs is never overwritten: the run should have been held."""
    pipeline = result.run.pipeline
    known = _known(connection, pipeline, result.records)
    rows = []
    for name, day, values in record_rows(result.records):
        if _changed(known, name, day, values):
            raise RunFailed(f"The record {name!r} of {day} differs from the one kept.", "A person must approve it.")
        if (name, day) not in known:
            rows.append({"pipeline": pipeline, "name": name, "day": day, "run": result.run.run, "values": values})
    return rows


# Rows and objects.


def _row(run: Run) -> dict[str, Any]:
    return {**vars(run), "process": run.process.as_dict(), "parameters": dict(run.parameters)}


def _changed_row(run: Run) -> dict[str, Any]:
    """A row without its name: were that said anew, SQLite would look through all that may refer to it."""
    return {name: value for name, value in _row(run).items() if name != "run"}


def _run(row: Any) -> Run:
    data = {name: getattr(row, name) for name in Run.__dataclass_fields__}
    return Run(
        **{
            **data,
            "status": Status(row.status),
            "decision": row.decision and Decision(row.decision),
            "trouble": row.trouble and Trouble(row.trouble),
            "process": Process(**row.process),
            "kernel": row.kernel or "",
        }
    )


def _finding_rows(result: Result) -> list[dict[str, Any]]:
    run = result.run.run
    return [{"run": run, "position": i, **finding.as_dict()} for i, finding in enumerate(result.findings)]


_COLUMN = {"int": "whole", "float": "number", "str": "words"}
_REST = ("label", "prior", "change", "tone", "note")


def _figure_rows(result: Result) -> list[dict[str, Any]]:
    return [_figure_row(result.run.run, i, figure) for i, figure in enumerate(result.figures)]


def _figure_row(run: str, position: int, figure: Figure) -> dict[str, Any]:
    kind = type(figure.value).__name__
    row: dict[str, Any] = dict.fromkeys(_COLUMN.values())
    row |= {"run": run, "name": figure.name, "position": position, "kind": kind, "unit": figure.unit}
    row |= {"text": figure.text, "rest": {key: getattr(figure, key) for key in _REST}}
    return row | {_COLUMN[kind]: figure.value}


def _figure(row: Any) -> Figure:
    return Figure(name=row.name, value=getattr(row, _COLUMN[row.kind]), text=row.text, unit=row.unit, **row.rest)


def _lost(connection: sa.Connection, run: Run, now: datetime, lease: timedelta | None) -> bool:
    """Whether a run's claim may be taken over: its process is gone, or it stood still longer than its lease.

    Where the usual lease is known, one that ends much later was given by a clock that was ahead: it counts for nothing.
    """
    until = connection.scalar(sa.select(_leases.c.until).where(_leases.c.run == run.run))
    ahead = until is not None and lease is not None and until > latest(now, lease)
    return run.process.gone or ahead or (until is not None and until < now)


def _interrupt(connection: sa.Connection, run: Run, now: datetime) -> None:
    ended = replace(
        run,
        status=Status.INTERRUPTED,
        finished_at=now,
        trouble=Trouble.INTERRUPTED,
        message="The runner's process ended in the middle of the run.",
    )
    connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_changed_row(ended)))
    connection.execute(_claims.delete().where(_claims.c.run == run.run))
    connection.execute(_leases.delete().where(_leases.c.run == run.run))


def version_of(run: Run) -> Version:
    """The version that a run is, or may become, the files of."""
    return Version(run.pipeline, run.period, run.version or 1)


def _owe(connection: sa.Connection, run: Run, delivery: Delivery) -> None:
    """Note what a run owes by itself: a restatement goes to those to whom a version before was owed."""
    if not _book.is_new_to(connection, version_of(run), delivery.recipient):
        _book.owe(connection, version_of(run), run.run, delivery)


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)
