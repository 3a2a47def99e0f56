"""The scheduler as a process: one tick, ticks until told to stop, and the watch on another machine."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner import config
from runner.acts import access
from runner.commands import desk
from runner.commands.desk import Beside
from runner.commands.desk import Options as Door
from runner.commands.signals import INTERRUPTED, Bell, heard
from runner.config import Project
from runner.delivery.channels import Channels
from runner.errors import ConfigError, DeliveryFailed, UsageError
from runner.leaks import WATCH, Censor
from runner.ledger import Ledger, journal
from runner.log import logger
from runner.report import shelf
from runner.report.draft import Clock, Ctx, WallClock
from runner.report.execute import Stop
from runner.report.warming import breed_of
from runner.scheduler import work
from runner.scheduler.errands import Errands, Outside
from runner.scheduler.office import LEASE, Office
from runner.scheduler.opening import open_office
from runner.scheduler.roster import WATERMARK
from runner.scheduler.tick import Look, tick
from runner.screen import screen_for
from runner.warm.client import Kept

#: Seconds that runs have for ending and keeping what there is, once the scheduler is told to stop.
GRACE = 30.0
#: How far the clock may be behind the last look: two machines never agree to the second.
BACK = timedelta(minutes=1)
#: Seconds between two looks, at most, while a run is under way.
BUSY = 0.5


def clock_of(now: datetime | None) -> Clock:
    """The machine's clock, or one that begins at a given instant and goes on from there."""
    return WallClock() if now is None else Clock(now)


@dataclass
class Service:
    """A scheduler at work on a project, which it reads anew when its config changes."""

    project: Project
    clock: Clock
    stop: Stop
    log: Callable[..., Any]

    def __post_init__(self) -> None:
        self.ledger = Ledger.of(self.project)
        self.failures = 0
        self.errands = Errands()
        self._forward()
        self.seen = config.stamps(self.project.folder)
        self.office = self._open(self.project)

    def _open(self, project: Project) -> Office:
        shelf.tidy(project, self.ledger, self.clock.now(), LEASE)
        ctx = Ctx(project, self.ledger, self.clock, self.stop, lambda _: None, LEASE)
        office = open_office(ctx, Channels(project, os.environ), log=self.log)
        return replace(office, outside=Outside(os.environ, self.errands))

    def _forward(self) -> None:
        """Time does not go back: what was told, met and frozen since would be told again, or never.

        A rehearsal is refused; on the machine's clock it is only said, for a scheduler that does not start is worse.
        """
        with self.ledger.read() as tx:
            last = journal.mark(tx, WATERMARK)
        if last is None or last.at is None or self.clock.now() >= last.at - BACK:
            return
        if isinstance(self.clock, WallClock):
            self.log("the clock went back", looked_at=last.at)
            return
        raise UsageError(
            f"The scheduler has looked at {last.at:%Y-%m-%d %H:%M} UTC already; time does not go back.",
            "Take a later --now, or another ledger (the key `ledger` in config/settings.yml).",
        )

    def look(self) -> Look:
        """One tick; whatever goes wrong in it is logged, and the next one tries again."""
        now = self.clock.now()
        try:
            self._renew_config()
            return tick(self.office, now)
        except Exception as error:  # noqa: BLE001 - one bad look must not end the line
            self.failures += 1
            self.log("tick failed", error=f"{type(error).__name__}: {error}")
            return Look(now)

    def _renew_config(self) -> None:
        """Take up a change of config/ between runs. A config that does not load is told of, and the old one holds."""
        stamps = config.stamps(self.project.folder)
        if stamps == self.seen or self.office.crew.busy:
            return
        self.seen = stamps
        try:
            project = config.load(self.project.folder, self.project.censor)
            self.office, self.project = self._open(project), project
            self.log("config taken up")
        except ConfigError as error:
            self.log("config refused", error=str(error))

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until told to stop, or until a run ends."""
        from runner.scheduler.crew import Threads  # noqa: PLC0415 - where there is an office, it is there already

        crew = self.office.crew
        ends = [crew.fileno()] if isinstance(crew, Threads) else []
        told = [] if self.stop.asked else [self.stop.fileno()]
        select.select([*told, *ends], [], [], max(0.0, seconds))

    def end(self) -> None:
        """Let runs end, note how they ended, and go: nothing more is started."""
        self.stop.ask()
        limit = time.monotonic() + GRACE
        while self.office.crew.busy and time.monotonic() < limit:
            work.collect(self.office, self.clock.now())
            self.wait(0.1)
        self.ledger.close()


def one_tick(project: Project, now: datetime | None, *, as_json: bool) -> int:
    """One look; what it starts is waited for, each within its limit, while lateness is watched on."""
    with heard(Stop()) as stop:
        service = Service(project, clock_of(now), stop, logger(project.censor, terminal=sys.stderr.isatty()))
        looks = [service.look()]
        while service.office.busy and not stop.asked:
            service.wait(0.5)
            looks.append(service.look())
        told_to_end = stop.asked
        service.end()
    total = {
        "planned": sum(look.planned for look in looks),
        "started": [f"{order.deadline.pipeline} {order.deadline.period}" for look in looks for order in look.started],
        "ended": sum(look.ended for look in looks),
        "incidents": sorted({incident.number for look in looks for incident in look.incidents}),
        "sent": sum(look.sent for look in looks),
    }
    began = len(total["started"])  # type: ignore[arg-type]
    runs = f"{began} run{'' if began == 1 else 's'} started, {total['ended']} ended"
    said = f"{runs}, {total['sent']} message{'' if total['sent'] == 1 else 's'} about trouble and duties sent."
    screen_for(as_json=as_json, total=0).line(total, said)
    return INTERRUPTED if told_to_end else 1 if service.failures else 0


def serve(project: Project, now: datetime | None, every: float, door: Door | None = None) -> int:
    """Tick until told to stop; with a door, a desk stands beside, in a process of its own."""
    with heard(Stop()) as stop:
        clock = clock_of(now)
        service = Service(project, clock, stop, logger(project.censor, terminal=sys.stderr.isatty()))
        service.log("scheduler begins", project=project.settings.company, every=every)
        beside = Beside(project, door, clock if now else None, service.log) if door else None
        if beside:
            beside.begin()
        kept = Kept(breed_of(project.folder))
        while not stop.asked:
            began = time.monotonic()
            if service.project.settings.warm_kernels:
                kept.look()  # whatever is due next finds a parent that has all imported
            service.look()
            # While somebody is at work, a wish to cancel is heard soon.
            pause = min(every, BUSY) if service.office.busy else every
            service.wait(pause - (time.monotonic() - began))
        if beside:
            beside.ask()
        service.end()
        kept.close()
        if beside:
            beside.end()
        service.log("scheduler ends")
    return 0


def behind(project: Project, now: datetime | None, door: Door, who: str) -> int:
    """Have a desk in the background, and say where it is; with a link for somebody to sign in with."""
    found = desk.begin(project, door, now)
    print(f"The desk{' runs already' if found.earlier else ''}: {found.plate.address}", flush=True)  # noqa: T201
    if who:
        address, minutes = desk.link(project, found.plate, who), project.settings.desk.link / 60
        said = f"Open this link to sign in as {access.somebody(project, who).name} (once, within {minutes:.0f} min):"
        print(f"{said}\n{address}", flush=True)  # noqa: T201
    return 0


def leave(project: Project) -> int:
    """End the desk in the background."""
    ended = desk.stop(project)
    print(f"The desk at {ended.address} has ended." if ended else "No desk runs in the background.")  # noqa: T201
    return 0


@dataclass(frozen=True)
class Post:
    """Where a watch listens, what it keeps, how long it waits (seconds), and on which channel it tells."""

    address: str
    port: int
    state: Path
    every: float
    grace: float
    tell: str
    token: str = ""


def watch(post: Post) -> int:
    """Listen for signs of life, and tell when they stop."""
    from runner.delivery import channels, watch  # noqa: PLC0415 - only the other machine needs it

    censor = Censor(os.environ)
    censor.know((WATCH, post.tell))
    log = logger(censor, terminal=sys.stderr.isatty())
    try:
        teller = channels.teller(post.tell, os.environ)
    except DeliveryFailed as error:
        raise UsageError(error.what, "Say it as --tell env:NAME, where NAME holds an address.") from error

    def tell(text: str) -> None:
        log("telling", text=text)
        teller(text)

    def ready(address: str, port: int) -> None:
        log("watch begins", address=address, port=port, every=post.every, grace=post.grace)

    patience = watch.Watch(post.every, post.grace)
    with heard(Bell()) as bell:
        watch.serve(
            post.address, post.port, post.state, patience, tell, _now, bell.event, token=post.token, ready=ready
        )
    return 0


def _now() -> datetime:
    return datetime.now(UTC)
