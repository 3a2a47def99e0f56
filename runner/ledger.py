"""The ledger: runs, findings, figures, artifacts, deliveries and records, in SQLite or any database by address.

One transaction for each change of state. A run begins with a claim on its (pipeline, period), so that two runners never
make the same report at once; a claim whose process is gone may be taken over. Instants are kept as aware UTC.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.errors import ConfigError, RunFailed, Trouble
from runner.model import Decision, Figure, Finding, Status

SCHEMA = 1
BUSY = 30_000  # milliseconds that one writer waits for another


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware instant in UTC, kept as text so that every database gives back the very same."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Refuse an instant without a zone; it would be a guess."""
        if value is not None and value.tzinfo is None:
            raise ValueError("An instant needs its time zone.")
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the aware instant."""
        return None if value is None else datetime.fromisoformat(value)


_meta = sa.MetaData()
_version = sa.Table("schema_version", _meta, sa.Column("version", sa.Integer, primary_key=True))
_runs = sa.Table(
    "runs",
    _meta,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("pipeline", sa.String(64), nullable=False),
    sa.Column("period", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("decision", sa.String(16)),
    sa.Column("version", sa.Integer),
    sa.Column("inputs", sa.String(64), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("trouble", sa.String(32)),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("folder", sa.Text),
    sa.Column("process", sa.JSON, nullable=False),
    sa.Index("runs_by_period", "pipeline", "period"),
)
_claims = sa.Table(
    "claims",
    _meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
)
_findings = sa.Table(
    "findings",
    _meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("check", sa.Text, nullable=False),
    sa.Column("level", sa.String(8), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("trouble", sa.String(32)),
    sa.Column("numbers", sa.JSON, nullable=False),
)
_figures = sa.Table(
    "figures",
    _meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # int, float or str: which of the next three holds the value
    sa.Column("whole", sa.BigInteger),
    sa.Column("number", sa.Double),
    sa.Column("words", sa.Text),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("rest", sa.JSON, nullable=False),  # label, prior, change, tone and note, as they were shown
)
_artifacts = sa.Table(
    "artifacts",
    _meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("path", sa.String(255), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
)
_deliveries = sa.Table(
    "deliveries",
    _meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("recipient", sa.String(255), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
    sa.Column("message_id", sa.String(255), nullable=False),
    sa.Column("sent_at", Instant),
)
_records = sa.Table(
    "records",
    _meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
)


@dataclass(frozen=True)
class Process:
    """A process that can be told from every other: by machine, boot, number and start."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), pid, _start(pid))

    @property
    def gone(self) -> bool:
        """Whether it has surely ended. Of another machine's process nothing is known: not gone."""
        if self.host != socket.gethostname():
            return False
        return self.boot != _boot() or self.started != _start(self.pid)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dict(vars(self))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """When a process was started, as the system counts; empty when it has ended."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _start_elsewhere(pid)
    return "" if after[0] in "ZX" else after[19]


def _start_elsewhere(pid: int) -> str:
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""


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


@dataclass(frozen=True)
class Delivery:
    """One message owed to one recipient for one version of a report; `sent_at` once it is written."""

    recipient: str
    message_id: str
    sent_at: datetime | None = None


class Taken(RunFailed):
    """Another runner is making the same report at this moment."""

    retry = True


class Ledger:
    """The database behind an address. Safe to share between threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, where: str | Path) -> Ledger:
        """Open a database address or a file, and make the tables when there are none.

        Raises ConfigError when the database cannot be opened or was made by a newer version.
        """
        url = where if isinstance(where, str) and "://" in where else f"sqlite:///{where}"
        try:
            ledger = cls(_engine(url))
            ledger._prepare()
        except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ConfigError(f"The ledger cannot be opened: {reason}.", "Correct `ledger` in settings.yml.") from error
        return ledger

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        if sa.inspect(self._engine).has_table("schema_version"):
            with self._engine.connect() as connection:
                found = connection.scalar(sa.select(_version.c.version))
            if found is not None:
                return _refuse_newer(found)
        with self._write() as connection:
            _meta.create_all(connection)
            if connection.scalar(sa.select(_version.c.version)) is None:
                connection.execute(_version.insert().values(version=SCHEMA))
        return None

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """One transaction that changes something; on SQLite it is a writer from its start."""
        with self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    # Claims: who makes what.

    def begin(self, run: Run) -> None:
        """Claim the run's (pipeline, period) and record the run, or raise Taken."""
        with self._write() as connection:
            held = self._holder(connection, run)
            if held and not held.process.gone:
                raise Taken(
                    f"{run.pipeline} for {run.period} is being made by process {held.process.pid} "
                    f"on {held.process.host} since {held.started_at:%H:%M:%S} UTC.",
                    "Wait for it, or end that process.",
                )
            if held:
                _interrupt(connection, held, run.started_at)
            connection.execute(_runs.insert().values(**_row(run)))
            connection.execute(_claims.insert().values(pipeline=run.pipeline, period=run.period, run=run.run))

    def _holder(self, connection: sa.Connection, run: Run) -> Run | None:
        found = connection.execute(
            sa.select(_runs).join(_claims).where(_claims.c.pipeline == run.pipeline, _claims.c.period == run.period)
        ).first()
        return _run(found) if found else None

    def finish(self, result: Result) -> None:
        """Record how a run ended with all it leaves, and give the claim back; all or nothing."""
        run = result.run
        with self._write() as connection:
            connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_row(run)))
            connection.execute(_claims.delete().where(_claims.c.run == run.run))
            _insert(connection, _findings, _finding_rows(result))
            _insert(connection, _figures, _figure_rows(result))
            _insert(connection, _artifacts, [{"run": run.run, **vars(item)} for item in result.artifacts])
            _insert(connection, _records, _new_records(connection, result))
            for delivery in result.owed:
                _owe(connection, run, delivery)

    def clear_up(self, now: datetime) -> tuple[Run, ...]:
        """Mark as interrupted every running run whose process is gone, and free its claim; they are returned."""
        with self._write() as connection:
            rows = connection.execute(sa.select(_runs).where(_runs.c.status == Status.RUNNING)).all()
            gone = tuple(run for run in map(_run, rows) if run.process.gone)
            for run in gone:
                _interrupt(connection, run, now)
        return gone

    # What was.

    def run(self, run: str) -> Run | None:
        """One run by its name."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_runs).where(_runs.c.run == run)).first()
        return _run(row) if row else None

    def runs(self, pipeline: str | None = None, period: str | None = None) -> tuple[Run, ...]:
        """Runs, newest first, of one pipeline or period or of all."""
        query = sa.select(_runs).order_by(_runs.c.started_at.desc(), _runs.c.run.desc())
        if pipeline is not None:
            query = query.where(_runs.c.pipeline == pipeline)
        if period is not None:
            query = query.where(_runs.c.period == period)
        with self._engine.connect() as connection:
            return tuple(map(_run, connection.execute(query).all()))

    def findings(self, run: str) -> tuple[Finding, ...]:
        """A run's findings in their order."""
        query = sa.select(_findings).where(_findings.c.run == run).order_by(_findings.c.position)
        with self._engine.connect() as connection:
            return tuple(Finding.of(dict(row)) for row in connection.execute(query).mappings())

    def figures(self, run: str) -> tuple[Figure, ...]:
        """A run's figures in their order, each value of the type it was given in."""
        query = sa.select(_figures).where(_figures.c.run == run).order_by(_figures.c.position)
        with self._engine.connect() as connection:
            return tuple(_figure(row) for row in connection.execute(query))

    def artifacts(self, run: str) -> tuple[Artifact, ...]:
        """A run's files."""
        query = sa.select(_artifacts).where(_artifacts.c.run == run).order_by(_artifacts.c.path)
        with self._engine.connect() as connection:
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
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return _run(row) if row else None

    # Deliveries: owed first, then sent.

    def deliveries(self, pipeline: str, period: str, version: int) -> tuple[Delivery, ...]:
        """Everyone to whom a version is owed or was sent."""
        query = _of(sa.select(_deliveries), pipeline, period, version).order_by(_deliveries.c.recipient)
        with self._engine.connect() as connection:
            rows = connection.execute(query)
            return tuple(Delivery(row.recipient, row.message_id, row.sent_at) for row in rows)

    def owe(self, run: Run, owed: Iterable[Delivery]) -> None:
        """Note messages that a run owes; one that is noted already stays as it is."""
        with self._write() as connection:
            for delivery in owed:
                _owe(connection, run, delivery)

    def sent(self, run: Run, recipient: str, now: datetime) -> None:
        """Note that a message lies in the maildir; the first time counts."""
        query = _of(_deliveries.update(), run.pipeline, run.period, run.version or 1)
        query = query.where(_deliveries.c.recipient == recipient, _deliveries.c.sent_at.is_(None))
        with self._write() as connection:
            connection.execute(query.values(sent_at=now))

    def mark(self, run: Run) -> None:
        """Record a run's new status (ready becomes delivered)."""
        with self._write() as connection:
            connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_row(run)))

    # Records: what later reports rest on.

    def records(self, pipeline: str, name: str, first_day: date | str, last_day: date | str) -> list[dict[str, Any]]:
        """What a pipeline recorded under a name for the days first..last, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(_records.c["values"])
                .where(_records.c.pipeline == pipeline, _records.c.name == name)
                .where(_records.c.day.between(str(first_day), str(last_day)))
                .order_by(_records.c.day)
            )
            return [dict(row[0]) for row in rows]

    def records_digest(self, pipeline: str, last_day: str) -> str:
        """SHA-256 over all that a pipeline recorded up to a day: the fingerprint of an input."""
        query = sa.select(_records.c.name, _records.c.day, _records.c["values"]).where(
            _records.c.pipeline == pipeline, _records.c.day <= last_day
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_records.c.name, _records.c.day)).all()
        return hashlib.sha256(json.dumps([list(row) for row in rows], sort_keys=True).encode()).hexdigest()

    def restated(self, pipeline: str, records: Mapping[str, Any]) -> tuple[str, ...]:
        """The `name day` of each row that differs from what is recorded already."""
        with self._engine.connect() as connection:
            known = _known(connection, pipeline, records)
        rows = record_rows(records)
        return tuple(f"{name} {day}" for name, day, values in rows if _changed(known, name, day, values))


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


def _run(row: Any) -> Run:
    data = {name: getattr(row, name) for name in Run.__dataclass_fields__}
    return Run(
        **{
            **data,
            "status": Status(row.status),
            "decision": row.decision and Decision(row.decision),
            "trouble": row.trouble and Trouble(row.trouble),
            "process": Process(**row.process),
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


def _interrupt(connection: sa.Connection, run: Run, now: datetime) -> None:
    ended = replace(
        run,
        status=Status.INTERRUPTED,
        finished_at=now,
        trouble=Trouble.INTERRUPTED,
        message="The runner's process ended in the middle of the run.",
    )
    connection.execute(_runs.update().where(_runs.c.run == run.run).values(**_row(ended)))
    connection.execute(_claims.delete().where(_claims.c.run == run.run))


def _owe(connection: sa.Connection, run: Run, delivery: Delivery) -> None:
    """Note one message. A version is made of one run's files: whoever is added later gets those of the first."""
    key = {"pipeline": run.pipeline, "period": run.period, "version": run.version or 1}
    where = _of(sa.select(_deliveries), *key.values()).where(_deliveries.c.recipient == delivery.recipient)
    if connection.execute(where).first() is None:
        first = connection.execute(_of(sa.select(_deliveries.c.run), *key.values())).scalar()
        connection.execute(_deliveries.insert().values(**key, run=first or run.run, **vars(delivery)))


def _of(query: Any, pipeline: Any, period: Any, version: Any) -> Any:
    return query.where(
        _deliveries.c.pipeline == pipeline, _deliveries.c.period == period, _deliveries.c.version == version
    )


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


# The engine.


def _refuse_newer(found: int) -> None:
    if found > SCHEMA:
        raise ConfigError(
            f"The ledger was written by a newer version of the runner (schema {found}, this one knows {SCHEMA}).",
            "Update the runner, or name another ledger in settings.yml.",
        )


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY / 1000})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see _begin_sqlite
    for pragma in (f"busy_timeout = {BUSY}", "journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
