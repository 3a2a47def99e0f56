"""A held report, released or turned down by somebody entitled, with a reason.

Either is one transaction: the run's new status, the records that are kept or replaced, the messages owed, the act with
all that was decided upon. A released report is then handed over like any other, and its deadline is met at that moment,
not when the run was made; that of one turned down stays open until another run is delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.config import Pipeline, Project
from runner.errors import UsageError
from runner.ledger import Result, Run, deadlines, finished, incidents, journal
from runner.ledger.finished import Replaced
from runner.model import Finding, Level, Status
from runner.report import handover, notebooks, restatement, scraps, seal, shelf
from runner.report.draft import Ctx, Made
from runner.report.release import hand_over
from runner.report.restatement import Restates

_GOOD = {Status.READY, Status.DELIVERED}


@dataclass(frozen=True)
class Approval:
    """Who decides on a report, why, and when; `on_call` are the keys of those on call at that instant."""

    who: str
    because: str
    at: datetime
    on_call: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """What is decided upon: the doubts, and what a release would change of what is out already.

    `resting` are delivered reports made with records that would be replaced. Of those who hear nothing of a
    restatement `gone` had a version before and are on no list any more, and `joined` are on one and were owed none.
    """

    run: Run
    findings: tuple[Finding, ...]
    figures: str  # SHA-256 over them
    records: Mapping[str, Any]
    restates: Restates | None = None
    replaced: tuple[Replaced, ...] = ()
    resting: tuple[Run, ...] = ()
    gone: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """The findings that are no pass."""
        return tuple(finding for finding in self.findings if finding.level is not Level.PASS)


def entitled(project: Project, pipeline: Pipeline, on_call: tuple[str, ...]) -> tuple[str, ...]:
    """Who may decide on a pipeline's held report: its owners, its approvers, whoever is on call; each key once."""
    owners = pipeline.owners
    keys = dict.fromkeys((owners.primary, owners.secondary, *pipeline.approvers, *on_call))
    return tuple(key for key in keys if key in project.people.engineers)


def outlook(run: Run, ctx: Ctx) -> Outlook:
    """What there is to decide of a held run. Raises UsageError when it is not held, or not as it was held."""
    if run.status is not Status.HELD:
        what = f"Run {run.run} is {run.status}, not held."
        raise UsageError(what, "Only a held run is decided on.", typed="Only a held run is decided on: runner list")
    folder = shelf.place(ctx.project, run)
    if not shelf.intact(folder, ctx.ledger.artifacts(run.run)):
        raise UsageError(f"The files of run {run.run} are not those that were held.", "Make the report again.")
    # Of a held run the ledger keeps no records: they are in its notebook, which is as it was.
    records = dict(scraps.read(notebooks.read(folder / f"{run.pipeline}.ipynb")).records)
    figures = ctx.ledger.figures(run.run)
    with ctx.ledger.read() as tx:
        replaced = finished.replaced(tx, run.pipeline, records)
    names = [pipeline.name for pipeline in ctx.project.resting_on(run.pipeline)] if replaced else []
    restates = restatement.restates(ctx.ledger, ctx.ledger.delivered(run.pipeline, run.period), figures)
    gone, joined = handover.unreached(ctx.project, ctx.ledger, run) if restates else ((), ())
    return Outlook(
        run,
        ctx.ledger.findings(run.run),
        seal.figures_digest(figures),
        records,
        restates,
        replaced,
        restatement.resting(ctx.ledger, replaced, names),
        gone,
        joined,
    )


# Letting out.


def approve(run: Run, approval: Approval, ctx: Ctx) -> Made:
    """Release a held run and hand it over. Raises UsageError, and has changed nothing, when it must not go out."""
    seen = _look(run, approval, ctx)
    _refuse_overtaken(run, ctx)
    _refuse_delivered(seen, ctx)
    said = f"Approved by {ctx.project.name_of(approval.who)}: {approval.because.rstrip('.')}."
    released = replace(run, status=Status.READY, trouble=None, message=said)
    reads = bool(ctx.project.readers(ctx.project.pipeline(run.pipeline)))
    owed = handover.owed(ctx.project, released) if reads else ()
    with ctx.ledger.write() as tx:
        finished.release(tx, Result(released, records=seen.records, owed=owed), seen.replaced)
        _note(tx, "approved", seen, approval)
    if reads:
        made = hand_over(released, ctx, said)
    else:
        made = Made(run.pipeline, run.period, Status.READY, said, run=run.run, folder=shelf.place(ctx.project, run))
    if made.status is Status.DELIVERED or not reads:
        _meet(released, made, approval, ctx)
    return made


def _meet(run: Run, made: Made, approval: Approval, ctx: Ctx) -> None:
    """The deadline, if there is one, is met when the last reader had it: the run's own end was long before."""
    at = ctx.ledger.had_since(run) or approval.at
    ending = deadlines.Ending("delivered", at, met=True, message=made.message, run=run.run)
    with ctx.ledger.write() as tx:
        deadlines.settle(tx, (run.pipeline, run.period), ending)


# Turning down.


def reject(run: Run, approval: Approval, ctx: Ctx) -> Made:
    """Turn a held run down: it is stopped, and goes to nobody. Raises UsageError, and has changed nothing, as above.

    Its deadline and its incident stay open. The trouble stays, too, for it leads to the page of the runbook.
    """
    seen = _look(run, approval, ctx)
    said = f"Rejected by {ctx.project.name_of(approval.who)}: {approval.because.rstrip('.')}."
    with ctx.ledger.write() as tx:
        stopped = finished.reject(tx, run, said)
        _note(tx, "rejected", seen, approval)
        trouble = str(run.trouble) if run.trouble else None
        ending = deadlines.Ending(str(stopped.status), approval.at, message=said, run=run.run, trouble=trouble)
        deadlines.settle(tx, (run.pipeline, run.period), ending)
    remedy = "Nothing was sent. Correct the data or the notebook, then make the report again."
    folder = shelf.place(ctx.project, run)
    return Made(run.pipeline, run.period, stopped.status, said, remedy, run.trouble, run=run.run, folder=folder)


# Both.


def _note(tx: sa.Connection, what: str, seen: Outlook, approval: Approval) -> None:
    """Write down the act, with all that was decided upon, and say it in the incident, where one is open."""
    run = seen.run
    details: dict[str, Any] = {"run": run.run, "pipeline": run.pipeline, "period": run.period, "version": run.version}
    details |= {"held": run.message, "because": approval.because, "figures": seen.figures}
    details |= {"findings": [finding.as_dict() for finding in seen.doubts]}
    details |= {"changes": [vars(change) for change in seen.restates.changes] if seen.restates else []}
    details |= {"records": [record.as_dict() for record in seen.replaced]}
    details |= {"resting": [other.run for other in seen.resting]}
    details |= {"gone": list(seen.gone), "joined": list(seen.joined)}
    journal.act(tx, journal.Act(approval.at, approval.who, what, details))
    incident = incidents.opened(tx).get((run.pipeline, run.period))
    if incident is not None:
        incidents.keep(tx, incident, (f"{approval.who} {what} run {run.run}: {approval.because}",), approval.at)


# Reasons to say no.


def _look(run: Run, approval: Approval, ctx: Ctx) -> Outlook:
    """What there is to decide, when this person may do so at this time."""
    _refuse_person(run, approval, ctx)
    seen = outlook(run, ctx)
    if run.finished_at is not None and approval.at < run.finished_at:
        what = f"Time does not go back: run {run.run} ended at {run.finished_at:%Y-%m-%d %H:%M:%S} UTC."
        raise UsageError(what, "Decide once that has been.", typed="Leave --now out, or give a later time.")
    return seen


def _refuse_person(run: Run, approval: Approval, ctx: Ctx) -> None:
    project = ctx.project
    may = entitled(project, project.pipeline(run.pipeline), approval.on_call)
    if approval.who in may:
        return
    names = ", ".join(f"{project.name_of(key)} ({key})" for key in may)
    what = f"{project.name_of(approval.who)} may not decide on {run.pipeline}."
    raise UsageError(what, f"Its owners, its approvers and whoever is on call may: {names}.")


def _refuse_overtaken(run: Run, ctx: Ctx) -> None:
    fit = (
        other
        for other in ctx.ledger.runs(run.pipeline, run.period)
        if other.status is Status.HELD or other.status in _GOOD
    )
    newest = next(fit, run)  # none is left where somebody turned it down this moment: the release says so
    if newest.run == run.run:
        return
    remedy = "Look at that one." if newest.status is Status.HELD else "Nothing is left to approve."
    raise UsageError(f"A newer run of the same report, {newest.run}, is {newest.status}.", remedy)


def _refuse_delivered(seen: Outlook, ctx: Ctx) -> None:
    """Nothing is sent twice; where only records differ, they are what is left to approve."""
    run = seen.run
    delivered = ctx.ledger.delivered(run.pipeline, run.period)
    if delivered is None or (delivered.version or 1) < (run.version or 1):
        return
    if seen.replaced and not seen.restates:
        return
    raise UsageError(
        f"Readers have, or are owed, version {delivered.version or 1} of it already, made by run {delivered.run}.",
        "Nothing is left to approve.",
    )
