"""Attempts at what is owed: claimed, started, ended, taken up again.

A claim is one conditional update with a lease. Two schedulers on one ledger never make the same report at once, and a
scheduler that died is followed by another once its lease has run out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import Pipeline
from runner.ledger import deadlines
from runner.ledger.deadlines import Ending, Owed
from runner.ledger.deadlines import State as Owing
from runner.model import Status
from runner.plan.periods import period_of
from runner.scheduler.office import Done, Office, Order

#: How long after meeting another runner at the same report it is looked at again.
ELSEWHERE = timedelta(minutes=1)


def collect(office: Office, now: datetime) -> tuple[Done, ...]:
    """Note how attempts ended that ended since the last look."""
    ended = office.crew.finished(now)
    for done in ended:
        with office.ledger.write() as tx:
            kept = deadlines.end(tx, done.order.deadline.key, done.order.token, _ending(office, done))
        office.notes.pop(f"durations of {done.order.deadline.pipeline}", None)
        fields = {"run": done.run, "pipeline": done.order.deadline.pipeline, "period": done.order.deadline.period}
        office.log("run ended", status=str(done.status), message=done.message, counted=kept, **fields)
    return ended


def renew(office: Office, now: datetime) -> None:
    """Prolong the leases of what is under way here."""
    busy = office.crew.busy
    if not busy:
        return
    with office.ledger.write() as tx:
        deadlines.renew(tx, (order.token for order in busy), now + office.lease)
    for order in busy:
        office.ledger.renew(*order.deadline.key, now + office.lease)


def recover(office: Office, now: datetime) -> None:
    """Free what somebody held whose lease ran out, give up what is of no use, and see what was done by hand."""
    with office.ledger.write() as tx:
        for key in deadlines.lapse(tx, now, office.project.settings.attempts):
            office.log("lease ran out", pipeline=key[0], period=key[1])
        for owed in deadlines.begun(tx, now):
            useless = useless_at(office, owed)
            if owed.holder is None and useless is not None and now >= useless:
                deadlines.miss(tx, owed.key, now)
    _by_hand(office, now)


def useless_at(office: Office, owed: Owed) -> datetime | None:
    """From when on a report is of no use any more, where config says so."""
    pipeline = office.project.pipelines.get(owed.deadline.pipeline)
    after = pipeline.no_use_after if pipeline else None
    return owed.deadline.due_at + timedelta(seconds=after) if after is not None else None


def _by_hand(office: Office, now: datetime) -> None:
    """A report that somebody made with `runner run` meets its deadline as well, or is held as well."""
    with office.ledger.read() as tx:
        waiting = [owed for owed in deadlines.begun(tx, now) if owed.holder is None]
    for owed in waiting:
        newest = next(iter(office.ledger.runs(*owed.key)), None)
        if newest is None or newest.finished_at is None or newest.run == owed.run:
            continue
        met = newest.status is Status.DELIVERED or (newest.status is Status.READY and not _has_readers(office, owed))
        if met or newest.status is Status.HELD:
            ending = Ending(str(newest.status), newest.finished_at, met=met, run=newest.run, message=newest.message)
            with office.ledger.write() as tx:
                deadlines.settle(tx, owed.key, ending)
            office.log("made by hand", pipeline=owed.key[0], period=owed.key[1], run=newest.run)


def _has_readers(office: Office, owed: Owed) -> bool:
    pipeline = office.project.pipelines.get(owed.deadline.pipeline)
    return bool(pipeline and office.project.readers(pipeline))


def start(office: Office, now: datetime) -> tuple[Order, ...]:
    """Claim what should be running and can be, most urgent first, and start it; at most so many at once."""
    orders: list[Order] = []
    with office.ledger.write() as tx:
        free = office.project.settings.runs_at_once - deadlines.at_work(tx)
        for owed in deadlines.begun(tx, now) if free > 0 else ():
            if len(orders) == free:
                break
            if _is_ready(tx, office, owed, now):
                token = f"{office.holder}/{len(office.notes)}/{owed.attempts + 1}/{now:%Y%m%d%H%M%S%f}/{len(orders)}"
                if deadlines.claim(tx, owed.key, token, now, now + office.lease):
                    orders.append(Order(token, owed.deadline, owed.attempts + 1))
    for order in orders:
        fields = {"pipeline": order.deadline.pipeline, "period": order.deadline.period}
        office.log("run starts", attempt=order.attempt, **fields)
        office.crew.start(order, now)
    return tuple(orders)


def _is_ready(tx: sa.Connection, office: Office, owed: Owed, now: datetime) -> bool:
    due = owed.holder is None and owed.next_try_at is not None and owed.next_try_at <= now
    return due and owed.deadline.pipeline in office.project.pipelines and not waits_for(tx, office, owed)


def waits_for(tx: sa.Connection, office: Office, owed: Owed) -> tuple[tuple[str, str], ...]:
    """The inputs, by title and what is the matter, that were promised for the same date and are not there yet."""
    pipeline = office.project.pipelines.get(owed.deadline.pipeline)
    found = []
    if pipeline is None:
        return ()
    for name in pipeline.inputs:
        source = office.project.pipelines[name]
        given = deadlines.find(tx, (name, _input_period(owed, pipeline, source)))
        if given is not None and given.state is Owing.OPEN:
            found.append((source.title, _matter(given)))
    return tuple(found)


def _input_period(owed: Owed, pipeline: Pipeline, source: Pipeline) -> str:
    """The same date; of a week its last day."""
    as_of = owed.deadline.as_of
    if pipeline.period == "week" and source.period != "week":
        as_of -= timedelta(days=as_of.isoweekday())
    experiment = str(source.experiment) if source.period == "experiment" else None
    return period_of(source.period, as_of, experiment).key


def _matter(owed: Owed) -> str:
    if owed.holder is not None:
        return "under way"
    return owed.outcome or "not started"


# How an attempt ended.


def _ending(office: Office, done: Done) -> Ending:
    met = done.status is Status.DELIVERED or (done.status is Status.READY and not _reads(office, done))
    outcome = "cancelled" if done.cancelled else "delivered" if met else str(done.status)
    if done.status is Status.READY and not met:
        outcome = "not handed over"
    return Ending(
        outcome,
        done.at,
        met=met,
        next_try_at=None if met else _next_try(office, done),
        counts=not (done.later or _from_outside(done)),
        trouble=str(done.trouble) if done.trouble else None,
        message=done.message,
        run=done.run or None,
    )


def _reads(office: Office, done: Done) -> bool:
    return bool(office.project.readers(office.project.pipelines[done.order.deadline.pipeline]))


def _from_outside(done: Done) -> bool:
    """Ended because the scheduler was told to stop: no fault of the report."""
    return done.status is Status.INTERRUPTED and not done.cancelled


def _next_try(office: Office, done: Done) -> datetime | None:
    """When the next attempt is: at once, after a wait, or never."""
    settings = office.project.settings
    if done.later:
        return done.at + ELSEWHERE
    if _from_outside(done):
        return done.at
    passing = done.trouble is not None and done.trouble.retry and not done.cancelled
    if not passing or done.order.attempt >= settings.attempts or done.status is Status.HELD:
        return None
    waits = settings.retry_after
    return done.at + timedelta(seconds=waits[min(done.order.attempt, len(waits)) - 1])
