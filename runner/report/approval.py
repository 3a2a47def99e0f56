"""A held report, released by a person with a reason.

The release is one transaction: the run becomes ready, its records are kept, its messages are owed, the act is written
down. Then it is handed over like any other, and its deadline is met at that moment, not when the run was made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runner.errors import UsageError
from runner.ledger import Result, Run, deadlines, finished, journal
from runner.model import Status
from runner.report import handover, notebooks, scraps, shelf
from runner.report.produce import Ctx, Made, hand_over, name_of

_GOOD = {Status.READY, Status.DELIVERED}


@dataclass(frozen=True)
class Approval:
    """Who lets a report go out, why, and when."""

    who: str
    because: str
    at: datetime


def approve(run: Run, approval: Approval, ctx: Ctx) -> Made:
    """Release a held run and hand it over. Raises UsageError, and has changed nothing, when it must not go out."""
    records = _refuse(run, approval, ctx)
    said = f"Approved by {name_of(ctx.project, approval.who)}: {approval.because.rstrip('.')}."
    released = replace(run, status=Status.READY, trouble=None, message=said)
    reads = bool(ctx.project.readers(ctx.project.pipeline(run.pipeline)))
    owed = handover.owed(ctx.project, released) if reads else ()
    details = {"run": run.run, "pipeline": run.pipeline, "period": run.period, "version": run.version}
    details |= {"held": run.message, "because": approval.because}
    with ctx.ledger.write() as tx:
        finished.release(tx, Result(released, records=records, owed=owed))
        journal.act(tx, journal.Act(approval.at, approval.who, "approved", details))
    if reads:
        made = hand_over(released, ctx, said)
    else:
        made = Made(run.pipeline, run.period, Status.READY, said, run=run.run, folder=shelf.place(ctx.project, run))
    if made.status is Status.DELIVERED or not reads:
        _meet(released, made, approval, ctx)
    return made


def _meet(run: Run, made: Made, approval: Approval, ctx: Ctx) -> None:
    """The deadline, if there is one, is met now: the run's own end was long before its readers had it."""
    ending = deadlines.Ending("delivered", approval.at, met=True, message=made.message, run=run.run)
    with ctx.ledger.write() as tx:
        deadlines.settle(tx, (run.pipeline, run.period), ending)


# Reasons to say no.


def _refuse(run: Run, approval: Approval, ctx: Ctx) -> dict[str, Any]:
    """What a run recorded, when it may go out; else UsageError with the reason."""
    if run.status is not Status.HELD:
        raise UsageError(f"Run {run.run} is {run.status}, not held.", "Only a held run is approved: runner list")
    if run.finished_at is not None and approval.at < run.finished_at:
        what = f"Time does not go back: run {run.run} ended at {run.finished_at:%Y-%m-%d %H:%M:%S} UTC, after --now."
        raise UsageError(what, "Leave --now out, or give a later time.")
    _refuse_overtaken(run, ctx)
    folder = shelf.place(ctx.project, run)
    if not shelf.intact(folder, ctx.ledger.artifacts(run.run)):
        raise UsageError(f"The files of run {run.run} are not those that were held.", "Make the report again.")
    # Of a held run the ledger keeps no records: they are in its notebook, which is as it was.
    records = dict(scraps.read(notebooks.read(folder / f"{run.pipeline}.ipynb")).records)
    _refuse_restated(run, records, ctx)
    _refuse_delivered(run, ctx)
    return records


def _refuse_overtaken(run: Run, ctx: Ctx) -> None:
    newest = next(
        other
        for other in ctx.ledger.runs(run.pipeline, run.period)
        if other.status is Status.HELD or other.status in _GOOD
    )
    if newest.run == run.run:
        return
    remedy = "Look at that one." if newest.status is Status.HELD else "Nothing is left to approve."
    raise UsageError(f"A newer run of the same report, {newest.run}, is {newest.status}.", remedy)


def _refuse_restated(run: Run, records: dict[str, Any], ctx: Ctx) -> None:
    """Later reports rest on what is recorded: a record is never replaced behind their backs."""
    restated = ctx.ledger.restated(run.pipeline, records)
    if restated:
        more = f" and {len(restated) - 1} more" if len(restated) > 1 else ""
        raise UsageError(
            f"It would replace what later reports rest on: the record {restated[0]}{more} differs from the one kept.",
            "Approving cannot do that yet; correct the data or the notebook and make the report again.",
        )


def _refuse_delivered(run: Run, ctx: Ctx) -> None:
    delivered = ctx.ledger.delivered(run.pipeline, run.period)
    if delivered and (delivered.version or 1) >= (run.version or 1):
        raise UsageError(
            f"Readers have, or are owed, version {delivered.version or 1} of it already, made by run {delivered.run}.",
            "Nothing is left to approve.",
        )
