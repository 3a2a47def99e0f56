"""What one tick works with: the project, its ledger, those who work, those who carry messages."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.errors import Trouble
from runner.ledger import Ledger
from runner.model import Status
from runner.plan.calendar import BusinessCalendar
from runner.plan.deadlines import Begin, Deadline, Timetable
from runner.plan.incidents import Policy
from runner.plan.runbooks import Library

if TYPE_CHECKING:
    from runner.delivery.channels import Carrier
    from runner.scheduler.errands import Outside

LEASE = timedelta(seconds=90)


@dataclass(frozen=True)
class Order:
    """One attempt at one deadline, under the token that claimed it.

    With a `run`, it is made and ready: nothing is left to do but hand over what is still owed of it. With `again` a
    person wants it made anew, be it of the very same.
    """

    token: str
    deadline: Deadline
    attempt: int
    run: str = ""
    again: bool = False


@dataclass(frozen=True)
class Done:
    """How an attempt ended.

    `later`: another is making the same report just now, so that nothing was tried. `passing`: what its data lacked may
    come by itself.
    """

    order: Order
    status: Status
    at: datetime
    message: str = ""
    trouble: Trouble | None = None
    run: str = ""
    cancelled: bool = False
    later: bool = False
    passing: bool = False


class Crew(Protocol):
    """Those who make reports."""

    def start(self, order: Order, now: datetime) -> None:
        """Begin one attempt; comes back at once."""

    def finished(self, now: datetime) -> tuple[Done, ...]:
        """The attempts that ended since this was asked last."""

    @property
    def busy(self) -> tuple[Order, ...]:
        """The attempts that are under way."""

    def next_end(self) -> datetime | None:
        """When the next attempt ends, where that is known (in a simulation)."""

    def durations(self, pipeline: str) -> tuple[float, ...]:
        """Seconds that past runs of a pipeline took, newest first."""


Log = Callable[..., Any]


def silent(_event: str, **_fields: object) -> None:
    """A log that nobody reads."""


def new_holder() -> str:
    """A name for one scheduler that no other has."""
    return f"{socket.gethostname()[:24]}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Office:
    """Everything that one tick works with."""

    project: Project
    ledger: Ledger
    library: Library
    crew: Crew
    carrier: Carrier
    begins: Callable[[], tuple[Begin, ...]]
    holder: str = field(default_factory=new_holder)
    lease: timedelta = LEASE
    command: str = "runner"
    drill: bool = False
    log: Log = silent
    outside: Outside | None = None  # none in a simulation, which asks nobody
    notes: dict[str, Any] = field(default_factory=dict)  # what need not be worked out at every tick

    @property
    def busy(self) -> bool:
        """Whether anything that this scheduler began is under way: an attempt, an audit, a probe."""
        return bool(self.crew.busy or (self.outside is not None and self.outside.errands.busy))

    @property
    def desk(self) -> str:
        """Where people find the desk, if more than this machine does; a drill's incidents are not there."""
        return "" if self.drill else (self.project.settings.desk.public or "").rstrip("/")

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the promises."""
        return ZoneInfo(self.project.settings.time_zone)

    @property
    def calendar(self) -> BusinessCalendar:
        """The business calendar with the company's own days."""
        return business_calendar(self.project)

    def timetable(self) -> Timetable:
        """What promises rest on, with the experiments known now."""
        return timetable_of(self.project, self.begins())

    def policy(self, *, tells_readers: bool) -> Policy:
        """How trouble is told."""
        alerts = self.project.settings.alerts
        return Policy(
            timedelta(seconds=alerts.acknowledge_within),
            timedelta(seconds=alerts.repeat_every),
            alerts.repeats,
            timedelta(seconds=alerts.readers_every),
            tells_readers,
        )


def timetable_of(project: Project, begins: tuple[Begin, ...]) -> Timetable:
    """What the project's promises rest on."""
    zone = ZoneInfo(project.settings.time_zone)
    fetching = timedelta(seconds=project.settings.fetch_limit if project.sources.fetched else 0)
    return Timetable(zone, business_calendar(project), begins, project.holidays.closed_on, fetching)


def business_calendar(project: Project) -> BusinessCalendar:
    """The project's business calendar."""
    days = project.holidays
    return BusinessCalendar(days.business_calendar, _plain(days.no_business), _plain(days.business))


def _plain(days: Mapping[str, str]) -> dict[str, str]:
    return dict(days)
