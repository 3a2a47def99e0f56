"""One look: compare the calendar with the ledger, and close the difference.

Killed anywhere and started again it ends in the same state: each step is one transaction, and reads what is from the
ledger alone. Two may run at once on one ledger.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.ledger import deadlines, incidents, journal, outbox
from runner.ledger.incidents import Overtaken
from runner.ledger.journal import Mark
from runner.plan.incidents import Incident, next_look
from runner.scheduler import chores, notices, planning, post, telling, work
from runner.scheduler.office import Office, Order
from runner.scheduler.sightings import next_change

WATERMARK = "looked at"


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
    """One look at an instant (aware). Comes back at once; what it started goes on in the crew."""
    planned = planning.plan(office, now)
    ended = len(work.collect(office, now))
    work.renew(office, now)
    work.recover(office, now)
    started = work.start(office, now)
    told: tuple[Incident, ...] = ()
    with suppress(Overtaken):  # another scheduler was faster; what is left is seen at the next look
        told = telling.tell(office, now)
    chores.look(office, now)
    notices.announce(office, now)
    notices.beat(office, now)
    sent = post.send(office, now)
    with office.ledger.write() as tx:
        journal.set_mark(tx, WATERMARK, Mark(now))
    return Look(now, planned, started, ended, told, sent)


def next_tick(office: Office, now: datetime) -> datetime:
    """The next instant after now at which a tick has something to do if nothing happens in between."""
    with office.ledger.read() as tx:
        times = [deadlines.next_start(tx, now), outbox.next_try(tx), office.crew.next_end()]
        times += chores.next_looks(tx, office, now)
        for owed in deadlines.begun(tx, now):
            times.append(next_change(owed, telling.circumstances(tx, office, owed), now))
            times.append(work.useless_at(office, owed))
        open_ = incidents.opened(tx).values()
    times += [next_look(incident) for incident in open_]
    if open_:
        times.append(notices.hand_off(office, now))
    times.append(now + planning.REFRESH)
    return min((at for at in times if at is not None and at > now), default=now + timedelta(hours=1))
