"""A run after its end: a person releases it, or its files are pruned. Functions over one transaction."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from runner.errors import UsageError
from runner.ledger.reports import Result, Run, _changed_row, _insert, _new_records, _owe
from runner.ledger.tables import claims, deliveries, records, runs
from runner.model import Status

_PRUNED = "Its files were pruned on"


def owed_runs(tx: sa.Connection) -> frozenset[str]:
    """The runs of whose files a version is made that was sent to a reader, or is owed to one."""
    return frozenset(tx.scalars(sa.select(deliveries.c.run).distinct()))


def release(tx: sa.Connection, result: Result) -> None:
    """Take up a held run as it is in `result`, with its records and the messages it owes.

    Raises UsageError when the run is not held any more or its report is being made at this moment, and RunFailed when
    a record differs from the one that is kept.
    """
    run = result.run
    making = sa.select(claims.c.run).where(claims.c.pipeline == run.pipeline, claims.c.period == run.period)
    if (other := tx.scalar(making)) is not None:
        raise UsageError(f"{run.pipeline} for {run.period} is being made again by run {other}.", "Wait or cancel it.")
    held = runs.update().where(runs.c.run == run.run, runs.c.status == Status.HELD)
    if tx.execute(held.values(**_changed_row(run))).rowcount != 1:
        raise UsageError(f"Run {run.run} is not held any more.", "See how it stands: runner list")
    _insert(tx, records, _new_records(tx, result))
    for delivery in result.owed:
        _owe(tx, run, delivery)


def prune(tx: sa.Connection, run: Run, day: date) -> bool:
    """Note that a run's files are gone; False, and nothing is noted, when the run has changed in the meantime."""
    same = runs.update().where(runs.c.run == run.run, runs.c.status == run.status, runs.c.folder == run.folder)
    said = f"{run.message} {_PRUNED} {day}.".strip()
    return tx.execute(same.values(folder="", message=said)).rowcount == 1


def is_pruned(run: Run) -> bool:
    """Whether a run's files were pruned."""
    return not run.folder and _PRUNED in run.message
