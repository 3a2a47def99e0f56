"""A report handed over by hand: what is still owed is sent once more, or an archive is given to somebody who takes it.

Only what is proven and may go out; whatever is packed for readers is written down with who took it, why, and for whom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.config import Project
from runner.errors import Trouble, UsageError
from runner.ledger import Delivery, Run, deadlines, finished, incidents, journal, version_of
from runner.ledger import deliveries as book
from runner.model import Status
from runner.report import archive, handover, shelf
from runner.report.archive import Archive, Kept
from runner.report.draft import Ctx, Made
from runner.report.release import hand_over

#: Ends of a run that made figures and could not make a report of them.
_UNFINISHED = {Trouble.RENDERING_FAILED, Trouble.PROOF_FAILED}


@dataclass(frozen=True)
class Giving:
    """Who takes an archive, why, when, and for whom; for nobody named it is for all who still wait."""

    who: str
    because: str
    at: datetime
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What was handed over: the archive, for whom, and for whom of these it counts as the delivery."""

    archive: Archive
    recipients: tuple[str, ...] = ()
    met: tuple[str, ...] = ()


def retry(run: Run, at: datetime, ctx: Ctx, asked: Giving | None = None) -> Made:
    """Send what is still owed of a run, also to those that were refused before. Raises UsageError.

    Who `asked` is written down first: whatever comes of it, somebody tried.
    """
    _refuse(run, ctx)
    if not ctx.project.readers(ctx.project.pipeline(run.pipeline)):
        raise UsageError(f"{run.pipeline} has no readers.", "Name lists under `readers` in config/pipelines.yml.")
    if asked is not None:
        details = {"run": run.run, "pipeline": run.pipeline, "period": run.period, "because": asked.because}
        with ctx.ledger.write() as tx:
            journal.act(tx, journal.Act(asked.at, asked.who, "sent once more", details))
    handover.owe_again(ctx.project, ctx.ledger, run)
    made = hand_over(run, ctx)
    if made.status is Status.DELIVERED:
        sent = ctx.ledger.run(made.run) or run
        with ctx.ledger.write() as tx:
            _settle(tx, sent, ctx.ledger.had_since(sent) or at)
    return made


def give(run: Run, giving: Giving, ctx: Ctx, keep: Callable[[Archive], None]) -> Given:
    """Pack a report that may go out, `keep` the archive, and write down who took it. Raises UsageError, DeliveryFailed.

    The archive is kept within the transaction that notes it: where either fails, nothing counts as delivered.
    """
    _refuse(run, ctx)
    packed = archive.proven(_kept(run, ctx))
    owed = handover.owed(ctx.project, run)
    with ctx.ledger.write() as tx:
        recipients = _recipients(tx, run, giving, owed)
        for delivery in owed:
            # A restatement goes by itself to those who had the report it restates; to others only if they are named.
            if delivery.recipient in recipients or not book.is_new_to(tx, version_of(run), delivery.recipient):
                book.owe(tx, version_of(run), run.run, delivery)
        given = Given(packed, recipients, _met(tx, run, recipients, giving.at, ctx.project))
        _note(tx, run, given, giving)
        if not any(_waits(item) for item in book.of(tx, version_of(run))):
            kept = "" if run.trouble else run.message  # what kept it from its readers is over
            done = replace(run, status=Status.DELIVERED, trouble=None, message=kept)
            finished.mark(tx, done)
            _settle(tx, done, giving.at)
        keep(packed)
    return given


def _met(tx: sa.Connection, run: Run, recipients: tuple[str, ...], at: datetime, project: Project) -> tuple[str, ...]:
    """Note that these have a version; those of them who were still waiting for it. Raises UsageError."""
    met = [item for item in book.of(tx, version_of(run)) if item.recipient in recipients and _waits(item)]
    for item in met:
        if not handover.is_free(project, item, at):
            raise UsageError(f"The message to {item.recipient} is being sent at this moment.", "Wait a minute.")
        book.by_hand(tx, version_of(run), item.recipient, at)
    return tuple(item.recipient for item in met)


def _waits(item: Delivery) -> bool:
    """Whether a reader still waits for it, be it because the server refused to take it."""
    return item.open or item.refused


def give_unproven(run: Run, giving: Giving, ctx: Ctx, keep: Callable[[Archive], None]) -> Given:
    """Pack the charts and tables of a run that could not be finished, for the engineer who takes them and nobody else.

    Raises UsageError, DeliveryFailed.
    """
    if run.status is not Status.FAILED or run.trouble not in _UNFINISHED:
        what = f"Run {run.run} is {run.status}, and no report that could not be rendered or proven."
        raise UsageError(what, "What is proven is handed over as a report.", typed="Leave --unproven out.")
    if giving.recipients:
        raise UsageError(
            "What is unproven goes to no reader.", "Choose nobody: it is for you alone.", typed="Leave --recipient out."
        )
    given = Given(archive.unproven(_kept(run, ctx)))
    with ctx.ledger.write() as tx:
        _note(tx, run, given, giving)
        keep(given.archive)
    return given


def _kept(run: Run, ctx: Ctx) -> Kept:
    ledger = ctx.ledger
    return Kept(run, shelf.place(ctx.project, run), ledger.artifacts(run.run), ledger.figures(run.run))


def _recipients(tx: sa.Connection, run: Run, giving: Giving, owed: tuple[Delivery, ...]) -> tuple[str, ...]:
    """For whom it is: readers of this report alone, by their addresses as the ledger or config has them."""
    noted = book.of(tx, version_of(run))
    known = {item.recipient.lower(): item for item in (*owed, *noted)}  # of one who is in both, what is noted counts
    if not giving.recipients:
        waiting = (item for item in known.values() if _waits(item))
        return tuple(item.recipient for item in waiting if not book.is_new_to(tx, version_of(run), item.recipient))
    strangers = [address for address in giving.recipients if address.lower() not in known]
    if strangers:
        names = ", ".join(item.recipient for item in known.values()) or "none"
        what = f"{strangers[0]} is no reader of this report, and nobody else is given it."
        raise UsageError(what, f"Its readers are {names}.")
    return tuple(dict.fromkeys(known[address.lower()].recipient for address in giving.recipients))


def _settle(tx: sa.Connection, run: Run, at: datetime) -> None:
    """The deadline, if one is open, is met now."""
    ending = deadlines.Ending("delivered", at, met=True, message=run.message, run=run.run)
    deadlines.settle(tx, (run.pipeline, run.period), ending)


def _note(tx: sa.Connection, run: Run, given: Given, giving: Giving) -> None:
    what = "delivered by hand" if given.recipients else "took an archive of"
    details: dict[str, Any] = {"run": run.run, "pipeline": run.pipeline, "period": run.period, "version": run.version}
    details |= {"because": giving.because, "recipients": list(given.recipients), "met": list(given.met)}
    details |= {"archive": given.archive.name, "sha256": given.archive.sha256, "status": str(run.status)}
    journal.act(tx, journal.Act(giving.at, giving.who, what, details))
    incident = incidents.opened(tx).get((run.pipeline, run.period))
    if incident is not None:
        said = f"{giving.who} {what} run {run.run}: {giving.because}"
        incidents.keep(tx, incident, (said,), giving.at)


def _refuse(run: Run, ctx: Ctx) -> None:
    """Only what is proven, may go out, and is the newest of its kind. Raises UsageError."""
    if run.status is Status.HELD:
        remedy = "Look at it, and approve it first"
        raise UsageError(f"Run {run.run} is held.", f"{remedy}.", typed=f"{remedy}: runner approve {run.run}")
    if run.status not in {Status.READY, Status.DELIVERED}:
        why = f" {run.message}" if finished.is_rejected(run) else ""
        raise UsageError(f"Run {run.run} is {run.status} and goes to nobody.{why}", "Make the report again.")
    current = ctx.ledger.delivered(run.pipeline, run.period)
    if current is None or current.run == run.run:
        return
    if (current.version or 1) > (run.version or 1):
        raise UsageError(f"Run {run.run} has been restated since, by run {current.run}.", "Hand out that one.")
    intact = shelf.intact(shelf.place(ctx.project, current), ctx.ledger.artifacts(current.run))
    if current.version == run.version and intact:
        raise UsageError(f"Its readers have, or are owed, the files of run {current.run}.", "Hand out that one.")
