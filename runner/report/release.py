"""A report that may go out is handed over to its readers, and the run says what came of that."""

from __future__ import annotations

from dataclasses import replace

from runner.errors import DeliveryFailed
from runner.ledger import Run
from runner.model import Status
from runner.report import handover, shelf
from runner.report.draft import Ctx, Made
from runner.report.job import Plan


def is_wanted(plan: Plan, ctx: Ctx) -> bool:
    """Whether anybody is to have what a plan makes."""
    return plan.job.deliver and bool(ctx.project.readers(plan.pipeline))


def hand_over(run: Run, ctx: Ctx, message: str = "") -> Made:
    """Hand over the messages owed; a run is delivered, with a message of its own, when none is owed any more.

    A version is made of one run's files. Where an earlier run with the same figures was owed first, it is that one
    which readers have or still get, and this one is ready and goes to nobody; unless the files of that one are lost or
    changed, then this one's go to those who still wait.
    """
    desk = handover.Desk(ctx.project, ctx.ledger, ctx.clock.now, ctx.environment)
    carrier = _carrier(run, ctx)
    try:
        sent = handover.send(desk, carrier, shelf.place(ctx.project, carrier))
    except DeliveryFailed as error:
        failed = replace(run, status=Status.READY, trouble=error.trouble, message=error.what)
        ctx.ledger.mark(failed)
        return replace(Made.of(failed, ctx), remedy=error.typed or error.remedy, exit_code=1)
    kept = carrier.message if carrier.status is Status.DELIVERED else message
    done = replace(carrier, status=Status.DELIVERED, trouble=None, message=kept)
    ctx.ledger.mark(done)
    by_mail = ctx.project.settings.mail.server is not None
    if carrier.run == run.run:
        return replace(Made.of(done, ctx), sent=sent, by_mail=by_mail)
    said, remedy = _not_sent(run, carrier)
    return replace(Made.of(run, ctx), sent=sent, by_mail=by_mail, message=said, remedy=remedy)


def _not_sent(run: Run, carrier: Run) -> tuple[str, str]:
    """Why a run's own files go to nobody, and what a person may do about it."""
    mine, theirs = run.version or 1, carrier.version or 1
    if theirs == mine:
        return f"Its figures equal those of run {carrier.run}, which readers have; it was not sent.", ""
    if theirs > mine:
        return f"It has been restated since, by run {carrier.run}; it was not sent.", "Hand out that one."
    said = f"It restates run {carrier.run}, and no reader on the lists had that one; it was not sent."
    return said, f"To send it to them all the same: runner deliver {run.run}"


def _carrier(run: Run, ctx: Ctx) -> Run:
    """The run whose files the messages carry."""
    first = ctx.ledger.delivered(run.pipeline, run.period) or run
    if first.run == run.run or first.version != run.version:
        return first
    owing = [item for item in ctx.ledger.deliveries(run.pipeline, run.period, run.version or 1) if item.open]
    if not owing or handover.is_intact(ctx.ledger, first, shelf.place(ctx.project, first)):
        return first
    handover.take_over(ctx.ledger, run)
    return run
