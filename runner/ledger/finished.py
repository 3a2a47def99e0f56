"""What happens to a run after its end: a person releases it, or its files are pruned. Functions over one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import sqlalchemy as sa

from runner.errors import UsageError
from runner.ledger.reports import Result, Run, _new_records, _owe, _row, _run
from runner.ledger.tables import claims, deliveries, runs
from runner.model import Status

PRUNED = "Its files were pruned on"


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
        raise UsageError(
            f"{run.pipeline} for {run.period} is being made again at this moment (run {other}).",
            "Wait for it, or cancel it.",
        )
    held = runs.update().where(runs.c.run == run.run, runs.c.status == Status.HELD)
    if tx.execute(held.values(**_row(run))).rowcount != 1:
        raise UsageError(f"Run {run.run} is not held any more.", "See how it stands: runner list")
    rows = _new_records(tx, result)
    if rows:
        tx.execute(sa.insert(sa.table("records")) if False else _records_insert(), rows)
    for delivery in result.owed:
        _owe(tx, run, delivery)
