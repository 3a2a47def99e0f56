"""A run after its end: a person releases or rejects it, or its files are pruned. Functions over one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import UsageError
from runner.ledger.deliveries import CLOSED, Delivery, State, _delivery
from runner.ledger.reports import Result, Run, _changed_row, _insert, _known, _new_records, _owe, _run, record_rows
from runner.ledger.tables import Instant, artifacts, claims, deliveries, records, runs
from runner.model import Decision, Status

_PRUNED = "Its files were pruned on"


@dataclass(frozen=True)
class Replaced:
    """A record that a run has otherwise than it is kept: as it was, recorded by `run`, and as it is now."""

    name: str
    day: str
    before: Mapping[str, Any]
    now: Mapping[str, Any]
    run: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return asdict(self)


def owed_runs(tx: sa.Connection) -> frozenset[str]:
    """The runs of whose files a version is made that was sent to a reader, or is owed to one."""
    return frozenset(tx.scalars(sa.select(deliveries.c.run).distinct()))


def replaced(tx: sa.Connection, pipeline: str, given: Mapping[str, Any]) -> tuple[Replaced, ...]:
    """The records of a run that differ from those that are kept, in the order given."""
    kept, keepers = _known(tx, pipeline, given), _keepers(tx, pipeline, given)
    rows = ((name, day, values) for name, day, values in record_rows(given) if (name, day) in kept)
    return tuple(
        Replaced(name, day, kept[name, day], values, keepers[name, day])
        for name, day, values in rows
        if kept[name, day] != values
    )


def _keepers(tx: sa.Connection, pipeline: str, given: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The run that recorded each of the rows that are kept."""
    query = sa.select(records.c.name, records.c.day, records.c.run).where(records.c.pipeline == pipeline)
    return {(row.name, row.day): row.run for row in tx.execute(query.where(records.c.name.in_(list(given))))}


def release(tx: sa.Connection, result: Result, agreed: tuple[Replaced, ...] = ()) -> None:
    """Take up a held run as it is in `result`, with its records and the messages it owes.

    The records of `agreed` take the place of those that are kept. Raises UsageError when the run is not held any more,
    its report is being made at this moment, or the records that differ are not, or no longer, those agreed to.
    """
    run = result.run
    _take_up(tx, run)
    if replaced(tx, run.pipeline, result.records) != agreed:
        raise UsageError("Another run changed the records in the meantime.", f"Look again: runner approve {run.run}")
    for row in agreed:
        kept = (records.c.pipeline == run.pipeline, records.c.name == row.name, records.c.day == row.day)
        tx.execute(records.update().where(*kept).values({"run": run.run, "values": dict(row.now)}))
    _insert(tx, records, _new_records(tx, result))
    for delivery in result.owed:
        _owe(tx, run, delivery)


def reject(tx: sa.Connection, run: Run, message: str) -> Run:
    """Stop a held run by a person's decision; the run as it is then. Raises UsageError as `release` does.

    The gate's own decision stays on record: a run that is stopped although the gate held it was rejected.
    """
    stopped = replace(run, status=Status.STOPPED, decision=Decision.HOLD, message=message)
    _take_up(tx, stopped)
    return stopped


def _take_up(tx: sa.Connection, run: Run) -> None:
    """Write a held run as it is from now on. Of two who do so at once one wins, and the other hears it."""
    making = sa.select(claims.c.run).where(claims.c.pipeline == run.pipeline, claims.c.period == run.period)
    if (other := tx.scalar(making)) is not None:
        raise UsageError(f"{run.pipeline} for {run.period} is being made again by run {other}.", "Wait or cancel it.")
    held = runs.update().where(runs.c.run == run.run, runs.c.status == Status.HELD)
    if tx.execute(held.values(**_changed_row(run))).rowcount != 1:
        raise UsageError(f"Run {run.run} is not held any more.", "See how it stands: runner list")


def got(tx: sa.Connection, run: Run) -> tuple[Delivery, ...]:
    """Who got the files of this very run, and when; what only the sandbox got went to nobody."""
    query = sa.select(deliveries).where(deliveries.c.run == run.run, deliveries.c.sent_at.is_not(None))
    query = query.where(deliveries.c.state != State.SANDBOXED)
    return tuple(map(_delivery, tx.execute(query.order_by(deliveries.c.sent_at, deliveries.c.recipient))))


def mark(tx: sa.Connection, run: Run) -> None:
    """Write a run as it is now."""
    tx.execute(runs.update().where(runs.c.run == run.run).values(**_changed_row(run)))


def unsent(tx: sa.Connection, now: datetime, most: int) -> tuple[tuple[Run, bool], ...]:
    """Ready runs of which a message is due, and whether it was begun before.

    Its wait is over, its holder's lease has run out, or nobody began it. Not one that was tried `most` times, or that
    waits for a person.
    """
    rows = tx.execute(_UNSENT, {"now": now, "most": most})
    return tuple((_run(row), bool(row.begun)) for row in rows)


def _unsent() -> sa.Select[Any]:
    """The question of `unsent`, made once: every look asks it."""
    own = sa.and_(*(deliveries.c[name] == runs.c[name] for name in ("pipeline", "period", "version", "run")))
    open_ = sa.and_(
        deliveries.c.sent_at.is_(None),
        *(deliveries.c.state != state for state in sorted(CLOSED)),
        deliveries.c.attempts < sa.bindparam("most"),
    )
    now = sa.bindparam("now", type_=Instant)
    new = sa.and_(deliveries.c.attempts == 0, deliveries.c.holder.is_(None))
    begun = sa.or_(deliveries.c.next_try_at <= now, deliveries.c.lease_until <= now)
    waiting = sa.select(runs, sa.exists().where(own, open_, begun).label("begun"))
    return waiting.where(runs.c.status == Status.READY, sa.exists().where(own, open_, sa.or_(begun, new)))


_UNSENT = _unsent()


def is_rejected(run: Run) -> bool:
    """Whether a person turned a held run down: it is stopped, and that was not the gate's decision."""
    return run.status is Status.STOPPED and run.decision is Decision.HOLD


def by_hash(tx: sa.Connection, sha256: str, size: int) -> tuple[tuple[Run, str], ...]:
    """The runs that left a file of this content, newest first, each with the file's path in its folder."""
    same = sa.select(runs, artifacts.c.path).join(artifacts).where(artifacts.c.size == size)
    rows = tx.execute(same.where(artifacts.c.sha256 == sha256).order_by(runs.c.started_at.desc(), artifacts.c.path))
    return tuple((_run(row), row.path) for row in rows)


def prune(tx: sa.Connection, run: Run, day: date) -> bool:
    """Note that a run's files are gone; False, and nothing is noted, when the run has changed in the meantime."""
    same = runs.update().where(runs.c.run == run.run, runs.c.status == run.status, runs.c.folder == run.folder)
    said = f"{run.message} {_PRUNED} {day}.".strip()
    return tx.execute(same.values(folder="", message=said)).rowcount == 1


def is_pruned(run: Run) -> bool:
    """Whether a run's files were pruned."""
    return not run.folder and _PRUNED in run.message
