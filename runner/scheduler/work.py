"""Attempts at what is owed: claimed, started, ended, taken up again.

A claim is one conditional update with a lease. Two schedulers on one ledger never make the same report at once, and a
scheduler that died is followed by another once its lease has run out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import Pipeline
from runner.ledger import Delivery, Run, deadlines, ended_by_now, finished, incidents
from runner.ledger.deadlines import Ending, Owed
from runner.ledger.deadlines import State as Owing
from runner.model import Status
from runner.plan.periods import period_of
from runner.scheduler import arrivals
from runner.scheduler.office import Done, Office, Order

#: How an attempt ended that made its report and left readers without it: more tries follow by themselves ...
NOT_SENT = "not handed over"
#: ... or a person must do something, whether tries follow or not.
STUCK = "not delivered"
UNSENT = frozenset({NOT_SENT, STUCK})
_MADE = frozenset({Status.READY, Status.DELIVERED})

#: Messages are tried again for so long after the deadline, and then this often.
PATIENCE, SELDOM = timedelta(days=1), timedelta(hours=1)
#: So often at most a message is tried whose report's deadline is met already: for about a day.
TRIES = 100

#: How long after meeting another runner at the same report it is looked at again.
ELSEWHERE = timedelta(minutes=1)
#: How long after something that waiting does not mend it is looked whether a person has mended it.
SEVERAL = timedelta(minutes=15)
#: How often it is looked for what a killed runner left unfinished.
LEFT = timedelta(minutes=1)
#: So many more attempts than usual where it was the runner that ended, or a person who asked for it: bounded all the
#: same, for a report that kills its runner must not do so for ever.
MORE = 3


def collect(office: Office, now: datetime) -> tuple[Done, ...]:
    """Note how attempts ended that ended since the last look."""
    ended = office.crew.finished(now)
    for done in ended:
        ending = _ending(office, done)
        with office.ledger.write() as tx:
            kept = deadlines.end(tx, done.order.deadline.key, done.order.token, ending)
            if kept:
                arrivals.clock_again(tx, office, done)
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
        held = deadlines.renew(tx, (order.token for order in busy), now + office.lease)
    for order in busy:
        if order.token in held:  # else another took over, and the lease would be theirs
            office.ledger.renew(*order.deadline.key, now + office.lease)


def recover(office: Office, now: datetime) -> None:
    """Free what somebody held whose lease ran out, give up what is of no use, and see what was done by hand."""
    with office.ledger.read() as tx:
        begun = deadlines.begun(tx, now)
    lost = any(_is_lost(office, owed, now) for owed in begun)
    _catch_up(office, now, at_once=lost)  # before it is tried again: what the other had finished is found
    if lost:
        with office.ledger.write() as tx:
            for key in deadlines.lapse(tx, now, _most(office), office.lease):
                office.log("lease ran out", pipeline=key[0], period=key[1])
            begun = deadlines.begun(tx, now)
    waiting = [owed for owed in begun if owed.holder is None]
    if waiting:
        _by_hand(office, waiting, now)
    _give_up(office, [owed for owed in waiting if _is_useless(office, owed, now)], now)


def _is_lost(office: Office, owed: Owed, now: datetime) -> bool:
    """Whether whoever is at it stood still for too long, or took it by a clock that was ahead."""
    until = owed.lease_until
    return until is not None and not now < until <= deadlines.latest(now, office.lease)


def _most(office: Office) -> int:
    """How many attempts there are at most, whatever they ended of."""
    return office.project.settings.attempts + MORE


def _catch_up(office: Office, now: datetime, *, at_once: bool) -> None:
    """Finish what a killed runner left: its folder may not be in its place yet."""
    last = office.notes.get("caught up")
    if at_once or last is None or not timedelta(0) <= now - last < LEFT:
        from runner.report import shelf  # noqa: PLC0415 - what is owed is asked for without any report

        shelf.catch_up(office.project, office.ledger)
        office.notes["caught up"] = now


def _give_up(office: Office, useless: list[Owed], now: datetime) -> None:
    """Nothing is given up in silence: somebody hears first that it is late, and then that it will not come."""
    if not useless:
        return
    with office.ledger.write() as tx:
        told = incidents.opened(tx)
        for owed in useless:
            if owed.key in told:
                deadlines.miss(tx, owed.key, now)


def give_up_at(office: Office, owed: Owed, now: datetime) -> datetime | None:
    """When a deadline is to be given up: at once where that is overdue."""
    useless = useless_at(office, owed)
    return max(useless, now + timedelta(seconds=1)) if useless is not None and owed.holder is None else useless


def _is_useless(office: Office, owed: Owed, now: datetime) -> bool:
    useless = useless_at(office, owed)
    return owed.holder is None and useless is not None and now >= useless


def useless_at(office: Office, owed: Owed) -> datetime | None:
    """From when on a report is of no use any more, where config says so."""
    pipeline = office.project.pipelines.get(owed.deadline.pipeline)
    after = pipeline.no_use_after if pipeline else None
    return owed.deadline.due_at + timedelta(seconds=after) if after is not None else None


def _by_hand(office: Office, waiting: list[Owed], now: datetime) -> None:
    """A report that somebody made with `runner run`, or approved, meets its deadline as well, or is held as well."""
    with office.ledger.read() as tx:
        ended = ended_by_now(tx, now)
    for owed in waiting:
        ending = _ended_by_hand(office, owed, ended.get(owed.key, ()), now)
        if ending is not None:
            with office.ledger.write() as tx:
                deadlines.settle(tx, owed.key, ending)
            office.log("made by hand", pipeline=owed.key[0], period=owed.key[1], run=ending.run)


def _ended_by_hand(office: Office, owed: Owed, runs: tuple[Run, ...], now: datetime) -> Ending | None:
    """How the work of others ended, if it meets the deadline or holds its report and is not known yet.

    `runs` are those that ended, newest first.
    """
    met = next((run for run in runs if _is_there(office, run.status, owed.deadline.pipeline)), None)
    if met is not None and met.finished_at is not None:
        return Ending("delivered", office.ledger.had_since(met) or met.finished_at, met=True, run=met.run)
    newest = next(iter(runs), None)
    if newest is None or newest.finished_at is None:
        return None
    if _is_left_unsent(office, owed, newest):
        message = "It is ready, and whoever was to hand it over ended before that was done."
        return Ending(NOT_SENT, now, next_try_at=now, run=newest.run, message=message)
    if newest.status is not Status.HELD or newest.run == owed.run:
        return None
    trouble = str(newest.trouble) if newest.trouble else None
    return Ending("held", newest.finished_at, run=newest.run, message=newest.message, trouble=trouble)


def _is_left_unsent(office: Office, owed: Owed, run: Run) -> bool:
    """Whether a run owes messages that nobody sends: its approval, or a run by hand, was killed in the middle.

    The next attempt finds it made already and hands over what is owed; how that ended is known then, and not asked
    again. Attempts that do not come so far are bounded like all others.
    """
    waits = owed.next_try_at is not None and owed.outcome != Status.INTERRUPTED
    if run.status is not Status.READY or waits or owed.attempts >= _most(office):
        return False
    known = owed.outcome in UNSENT and owed.run == run.run
    return not known and any(item.open for item in _deliveries(office, run))


def _is_there(office: Office, status: Status, name: str) -> bool:
    """Whether a run of this status is all that was promised: delivered, or ready where it has no readers."""
    pipeline = office.project.pipelines.get(name)
    readers = pipeline is not None and office.project.readers(pipeline)
    return status is Status.DELIVERED or (status is Status.READY and not readers)


def _deliveries(office: Office, run: Run) -> tuple[Delivery, ...]:
    return office.ledger.deliveries(run.pipeline, run.period, run.version or 1)


def start(office: Office, now: datetime) -> tuple[Order, ...]:
    """Claim what should be running and can be, most urgent first, and start it; at most so many at once."""
    with office.ledger.write() as tx:
        orders, left = _claimed(tx, office, now), _left_over(tx, office, now)
    orders += [order for order in left if _is_intact(office, order.run)]
    for order in orders:
        fields = {"pipeline": order.deadline.pipeline, "period": order.deadline.period}
        office.log("run starts", attempt=order.attempt, **fields)
        office.crew.start(order, now)
    return tuple(orders)


def _is_intact(office: Office, name: str) -> bool:
    """Whether the files of a run are there: nothing is made anew for a deadline that is met."""
    from runner.report import handover, shelf  # noqa: PLC0415 - what is owed is asked for without any report

    run = office.ledger.run(name)
    return run is not None and handover.is_intact(office.ledger, run, shelf.place(office.project, run))


def _claimed(tx: sa.Connection, office: Office, now: datetime) -> list[Order]:
    orders: list[Order] = []
    count, begun = office.notes.get("orders", 0), deadlines.begun(tx, now)
    free = office.project.settings.seats - sum(owed.holder is not None for owed in begun)
    early = arrivals.landed(tx, office, now) if free > 0 else ()
    moved = {owed.key for owed in early}
    inputs = inputs_of(tx, office, (*begun, *early) if free > 0 else ())
    for owed in (*begun, *early):
        if len(orders) < free and _is_ready(office, owed, inputs, now):
            if owed.key in moved:
                deadlines.begin_early(tx, owed.key, now)
            token = f"{office.holder}/{now:%y%m%d%H%M%S}/{count + len(orders) + 1}"  # 64 letters at most
            if deadlines.claim(tx, owed.key, token, now, now + office.lease):
                made = owed.run if owed.outcome in UNSENT and owed.run else ""
                again = owed.outcome == deadlines.AGAIN
                orders.append(Order(token, owed.deadline, owed.attempts + 1, made, again))
    office.notes["orders"] = count + len(orders)
    return orders


def _left_over(tx: sa.Connection, office: Office, now: datetime) -> list[Order]:
    """What is owed of reports whose deadline is met already, such as a restatement that a server deferred.

    Nothing is claimed but each message by itself. One that nobody began was so a while ago, too: whoever released the
    report may be at it just now.
    """
    last, seen = office.notes.get("left over", (None, frozenset()))
    if office.drill or (last is not None and timedelta(0) <= now - last < LEFT):
        return []
    due = finished.unsent(tx, now, TRIES)
    found = {(run.pipeline, run.period): run.run for run, begun in due if begun or run.run in seen}
    office.notes["left over"] = now, frozenset(run.run for run, _ in due)
    busy = {order.deadline.key for order in office.crew.busy}
    met = [owed for key, owed in deadlines.find_all(tx, found).items() if owed.state is Owing.MET and key not in busy]
    ours = [owed.deadline for owed in met if owed.deadline.pipeline in office.project.pipelines]
    return [Order(f"{office.holder}/{found[deadline.key]}", deadline, 1, found[deadline.key]) for deadline in ours]


def _is_ready(office: Office, owed: Owed, inputs: Inputs, now: datetime) -> bool:
    due = owed.holder is None and owed.next_try_at is not None and owed.next_try_at <= now
    known = owed.deadline.pipeline in office.project.pipelines
    able = known and can_be_made(office.project.pipelines[owed.deadline.pipeline], owed)
    return due and able and not _is_useless(office, owed, now) and not waits_for(office, owed, inputs)


def can_be_made(pipeline: Pipeline, owed: Owed) -> bool:
    """Whether a run would be about this very period: a pipeline that is of weeks now makes no day's report."""
    deadline = owed.deadline
    return period_of(pipeline.period, deadline.as_of, deadline.experiment).key == deadline.period


#: Deadlines by (pipeline, period), those of inputs among them.
Inputs = Mapping[tuple[str, str], Owed]


def inputs_of(tx: sa.Connection, office: Office, several: Iterable[Owed]) -> Inputs:
    """The deadlines of whatever these rest on, asked for all at once."""
    return deadlines.find_all(tx, (key for owed in several for key in _inputs(office, owed)))


def waits_for(office: Office, owed: Owed, inputs: Inputs) -> tuple[tuple[str, str], ...]:
    """The inputs, by title and what is the matter, that were promised for the same date and are not there yet."""
    given = (inputs.get(key) for key in _inputs(office, owed))
    pipelines = office.project.pipelines
    return tuple(
        (pipelines[one.deadline.pipeline].title, _matter(one))
        for one in given
        if one is not None and one.state is Owing.OPEN
    )


def _inputs(office: Office, owed: Owed) -> list[tuple[str, str]]:
    """The keys of what a deadline rests on."""
    pipeline, pipelines = office.project.pipelines.get(owed.deadline.pipeline), office.project.pipelines
    names = pipeline.inputs if pipeline else ()
    return [(name, _input_period(owed, pipeline, pipelines[name])) for name in names if pipeline]


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
    if owed.attempts and owed.next_try_at is not None:
        return "trying again"  # it may come by itself yet: no reason to wake anybody for what rests on it
    return owed.outcome or "not started"


# How an attempt ended.


def _ending(office: Office, done: Done) -> Ending:
    other = _of_another(office, done)
    if other is not None:
        message = f"The run made {other.pipeline} for {other.period}, and owed was {done.order.deadline.period}."
        return Ending("failed", done.at, message=message, run=done.run)
    if done.later and done.order.run:  # another hands it over at this moment: whoever does it, it is made
        done = replace(done, status=Status.READY, run=done.order.run)
    met = _is_met(office, done)
    outcome = "cancelled" if done.cancelled else "delivered" if met else str(done.status)
    again = None if met else _next_try(office, done)
    if done.status is Status.READY and not met:
        outcome, again = _unsent(office, done)
    return Ending(
        outcome,
        _met_at(office, done) if met else done.at,
        met=met,
        next_try_at=again,
        # An attempt is one at making the report: to hand it over takes as many tries as there is time for.
        counts=not (done.later or _from_outside(done) or (done.order.run and done.status in _MADE)),
        trouble=str(done.trouble) if done.trouble else None,
        message=done.message,
        run=done.run or None,
    )


def _met_at(office: Office, done: Done) -> datetime:
    """The instant at which the last reader had it, not that at which the run ended."""
    run = office.ledger.run(done.run) if done.run else None
    if run is not None and run.status is not Status.DELIVERED:
        run = office.ledger.delivered(*done.order.deadline.key) or run
    return (office.ledger.had_since(run) if run is not None else None) or done.at


def _unsent(office: Office, done: Done) -> tuple[str, datetime | None]:
    """How a report stands that is ready and that readers lack, and when its messages are tried again.

    On call hears of it at once where a server refused a reader or waiting mends nothing, and else after as many tries
    as a report gets attempts. The tries go on until a day after the deadline.
    """
    run = office.ledger.run(done.run) if done.run else None
    items = _deliveries(office, run) if run is not None else ()
    owing = [item for item in items if item.open]
    tried = [item for item in owing if item.attempts and item.holder is None]
    lasting = any(item.next_try_at is None for item in tried)
    tries = max((item.attempts for item in owing), default=0)
    stuck = lasting or tries >= office.project.settings.attempts or any(item.refused for item in items)
    due, made = done.order.deadline.due_at, run.finished_at if run is not None else None
    times = [item.next_try_at for item in tried if item.next_try_at is not None]
    at = max(min(times, default=done.at + (SEVERAL if lasting else ELSEWHERE)), done.at + ELSEWHERE)
    if at > due:
        at = max(at, done.at + SELDOM) if done.at > due + SELDOM else at
    over = not owing or at > max(due, made or due) + PATIENCE
    return STUCK if stuck or over else NOT_SENT, None if over else at


def _of_another(office: Office, done: Done) -> Run | None:
    """The run, if it was about something else: config has changed since. A simulated run is in no ledger."""
    run = office.ledger.run(done.run) if done.run else None
    return run if run is not None and (run.pipeline, run.period) != done.order.deadline.key else None


def _is_met(office: Office, done: Done) -> bool:
    """Whether readers have the report, be it by an earlier run with the same figures."""
    key = done.order.deadline.key
    if done.status is Status.READY and not done.trouble:
        earlier = office.ledger.delivered(*key)
        return _is_there(office, earlier.status if earlier else done.status, key[0])
    return _is_there(office, done.status, key[0])


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
    passing = (done.passing or (done.trouble is not None and done.trouble.retry)) and not done.cancelled
    if not passing or done.order.attempt >= settings.attempts or done.status is Status.HELD:
        return None
    waits = settings.retry_after
    return done.at + timedelta(seconds=waits[min(done.order.attempt, len(waits)) - 1])
