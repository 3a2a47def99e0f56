"""Attempts at a report: one more asked for, one under way cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from runner.acts.people import engineer, on_call_at
from runner.acts.wishes import Wish, reason_of, reasoned
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, Run, deadlines, incidents, journal
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.ledger.journal import Act, Cancellation
from runner.model import Status
from runner.report import approval, handover, shelf
from runner.scheduler import standing, work


@dataclass(frozen=True)
class Asked:
    """Another attempt that was asked for: at which deadline, and whether a scheduler is there to make it."""

    owed: Owed
    heard: bool


# Once more.


def again(project: Project, ledger: Ledger, wish: Wish) -> Asked:
    """Let the scheduler make a report anew at its next look, however often it was tried.

    Raises UsageError, and has changed nothing, where nothing is owed or somebody is at it.
    """
    asked, run = reasoned(project, wish, "Why is it to be made again?"), wish.run
    _refuse_person(project, ledger, asked)
    said = f"{project.name_of(asked.who)} asked for another try: {asked.because.rstrip('.')}."
    with ledger.write() as tx:
        owed = _owed(tx, project, run)
        if not deadlines.again(tx, owed.key, asked.at, said):
            raise UsageError(f"{run.pipeline} for {run.period} is being made at this moment.", "Wait for it.")
        details = {**_about(run), "because": asked.because, "attempts": owed.attempts}
        journal.act(tx, Act(asked.at, asked.who, "asked for another try of", details))
        incident = incidents.opened(tx).get(owed.key)
        if incident is not None:
            incidents.keep(tx, incident, (f"{asked.who} asked for another try: {asked.because}",), asked.at)
        return Asked(owed, standing.is_heard(tx, asked.at))


def can_be_asked(tx: sa.Connection, project: Project, run: Run) -> bool:
    """Whether a report may be asked for once more."""
    try:
        return bool(_owed(tx, project, run))
    except UsageError:
        return False


def _owed(tx: sa.Connection, project: Project, run: Run) -> Owed:
    """The open deadline of a run. Raises UsageError where there is none, or the scheduler would not make it."""
    owed, pipeline = deadlines.find(tx, (run.pipeline, run.period)), project.pipelines.get(run.pipeline)
    remedy = f"Whoever has a shell where reports are made can make it all the same: {handover.command_of(run)} --again"
    if owed is None or pipeline is None:
        raise UsageError(f"Nothing is owed of {run.pipeline} for {run.period}.", remedy)
    if owed.state is not Owing.OPEN:
        raise UsageError(f"The deadline of {run.pipeline} for {run.period} is {owed.state}.", remedy)
    if not work.can_be_made(pipeline, owed):
        raise UsageError(f"{run.pipeline} is not made for such a period any more.", remedy)
    return owed


def _refuse_person(project: Project, ledger: Ledger, wish: Wish) -> None:
    may = approval.entitled(project, project.pipeline(wish.run.pipeline), on_call_at(project, ledger, wish.at))
    if wish.who not in may:
        what = f"{project.name_of(wish.who)} may not decide on {wish.run.pipeline}."
        names = ", ".join(map(project.name_of, may))
        raise UsageError(what, f"Its owners, its approvers and whoever is on call may: {names}.")


# Ended before its time.


def cancel(project: Project, ledger: Ledger, wish: Wish) -> None:
    """Ask a run under way to end. It ends by itself a little later. Raises UsageError where it is not under way."""
    engineer(project, wish.who)
    run, because = wish.run, reason_of(wish.because)
    if run.status is not Status.RUNNING:
        raise UsageError(f"Run {run.run} is not under way: it is {run.status}.", "There is nothing to cancel.")
    with ledger.write() as tx:
        journal.cancel(tx, Cancellation(run.run, wish.at, wish.who, because))
        journal.act(tx, Act(wish.at, wish.who, "cancelled", {"run": run.run, "because": because}))
    if run.process.gone:  # nobody is there to hear it
        shelf.tidy(project, ledger, wish.at)


def _about(run: Run) -> dict[str, Any]:
    return {"run": run.run, "pipeline": run.pipeline, "period": run.period}
