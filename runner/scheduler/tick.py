"""One look: compare the calendar with the ledger, and close the difference.

Killed anywhere and started again it ends in the same state: each step is one transaction, and reads what is from the
ledger alone. Two may run at once on one ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from runner.ledger import deadlines, incidents, journal, outbox
from runner.ledger.incidents import Overtaken
from runner.ledger.journal import Mark
from runner.plan.incidents import Incident, next_look
from runner.scheduler import chores, notices, outages, planning, post, rounds, telling, work
from runner.scheduler.circumstances import circumstances
from runner.scheduler.office import Done, Office, Order
from runner.scheduler.roster import WATERMARK
from runner.scheduler.sightings import next_change

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """What one tick did."""

    at: datetime
    planned: int = 0
    started: tuple[Order, ...] = ()
    ended: int = 0
    incidents: tuple[Incident, ...] = ()
    sent: int = 0


def tick(office: Office, now: datetime) -> Look:
    """One look at an instant (aware). Comes back at once; what it started goes on in the crew.

    A step that fails does not keep the others from being done; the first error is raised at the end.
    """
    _put_back(office, now)
    steps = _Steps(office, now)
    planned = steps.take(planning.plan, 0)
    ended: tuple[Done, ...] = steps.take(work.collect, ())
    steps.take(work.renew, None)
    steps.take(work.recover, None)
    started: tuple[Order, ...] = steps.take(work.start, ())
    told: tuple[Incident, ...] = steps.take(telling.tell, ())
    for step in (outages.look, rounds.look, chores.look, notices.announce, notices.beat):
        steps.take(step, None)
    sent = steps.take(post.send, 0)
    if steps.errors:
        raise steps.errors[0]
    with office.ledger.write() as tx:
        journal.set_mark(tx, WATERMARK, Mark(now))
    return Look(now, planned, started, len(ended), told, sent)


def _put_back(office: Office, now: datetime) -> None:
    """Where the clock was put back, look at everything again: it was left until an instant that is far off now."""
    if now < office.notes.get("ticked", now):
        for key in [key for key in office.notes if key.startswith("look at ")]:
            del office.notes[key]
    office.notes["ticked"] = now


class _Steps:
    """The steps of one tick, each on its own."""

    def __init__(self, office: Office, now: datetime) -> None:
        self.office, self.now = office, now
        self.errors: list[Exception] = []

    def take(self, step: Callable[[Office, datetime], T], otherwise: T) -> T:
        """What a step gives, or something else where it fails."""
        try:
            return step(self.office, self.now)
        except Overtaken:  # another scheduler was faster; what is left is seen at the next look
            return otherwise
        except Exception as error:  # noqa: BLE001 - whatever it is, what is owed must still be sent
            self.office.log("step failed", step=step.__name__, error=f"{type(error).__name__}: {error}")
            self.errors.append(error)
            return otherwise


def next_tick(office: Office, now: datetime) -> datetime:
    """The next instant after now at which a tick has something to do if nothing happens in between."""
    with office.ledger.read() as tx:
        times = [deadlines.next_start(tx, now), outbox.next_try(tx, now), office.crew.next_end()]
        times += [deadlines.next_lapse(tx), notices.next_beat(tx, office, now)]
        times.append(chores.next_owing(office, now))
        begun = deadlines.begun(tx, now)
        inputs = work.inputs_of(tx, office, begun)
        for owed in begun:
            times.append(next_change(owed, circumstances(office, owed, inputs), now))
            times.append(work.give_up_at(office, owed, now))
        open_ = incidents.opened(tx).values()
    times += [next_look(incident, now) for incident in open_]
    if open_:
        times.append(notices.hand_off(office, now))
    times.append(now + planning.REFRESH)
    if office.crew.busy:
        times.append(now + office.lease / 3)  # leases are prolonged in good time
    return min((at for at in times if at is not None and at > now), default=now + timedelta(hours=1))
