"""A small office for tests of the scheduler: two daily reports, four engineers, and a crew that makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.config.files import Duty, OnCall, People, Pipeline, Settings
from runner.config.project import Project
from runner.delivery.channels import Carrier, Recorder
from runner.errors import Trouble
from runner.ledger import Fenced, Ledger, Result, Run, Taken
from runner.model import Status
from runner.plan.deadlines import Begin
from runner.scheduler.office import Done, Office, Order
from runner.scheduler.opening import library_of
from runner.scheduler.tick import Look, next_tick, tick

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Tuesday, midnight in New York: the first report is due at 09:00 there, 14:00 UTC.
MIDNIGHT = datetime(2017, 11, 14, 5, tzinfo=UTC)
DUE = MIDNIGHT + 9 * HOUR
SALES, GROWTH = ("sales", "2017-11-13"), ("growth", "2017-11-13")
ENGINEERS = ("ann", "bob", "cat", "dan")  # in the week of MIDNIGHT: ann, then bob, who are no owners
OLGA = "olga@reader.example"


def settings(**more: Any) -> Settings:
    """The limits of a small shop."""
    said = {"company": "Corner Shop", "time_zone": "America/New_York"}
    sender = {"name": "Reports", "email": "reports@example.com"}
    return Settings.model_validate({**said, "sender": sender, **more})


def pipeline(name: str, deadline: str, **more: Any) -> Pipeline:
    """A report of a day, begun an hour before it is due, that usually takes five minutes."""
    owners = {"primary": "cat", "secondary": "dan", "because": "They asked."}
    said = {"name": name, "title": name.title(), "notebook": f"{name}.ipynb", "period": "day", "deadline": deadline}
    times = {"room": "1 h", "usual": "5 min"}
    return Pipeline.model_validate({**said, **times, "owners": owners, "readers": ("owners",), "sources": (), **more})


SALES_ENTRY = pipeline("sales", "daily by 09:00")
GROWTH_ENTRY = pipeline("growth", "daily by 10:00", inputs=("sales",))


def people(**channels: tuple[str, ...]) -> People:
    """Four engineers and one reader."""
    engineers = {
        name: {"name": name.title(), "email": f"{name}@engineer.example", "channels": channels.get(name, ())}
        for name in ENGINEERS
    }
    return People.model_validate({"engineers": engineers, "readers": {"owners": ({"name": "Olga", "email": OLGA},)}})


def oncall(**more: Any) -> OnCall:
    """A weekly turn from Monday 09:00; Ann has the week of MIDNIGHT."""
    rotation = ({"begins": "2017-11-13", "order": ENGINEERS},)
    said = {"time_zone": "America/New_York", "hand_off": "Monday 09:00", "rotation": rotation}
    return OnCall.model_validate({**said, **more})


def project(*entries: Pipeline, **more: Any) -> Project:
    """A project of these reports (sales alone without any)."""
    entries = entries or (SALES_ENTRY,)
    said: dict[str, Any] = {"settings": settings(), "people": people(), "oncall": oncall(), **more}
    return Project(Path("nowhere"), pipelines={entry.name: entry for entry in entries}, **said)


def duty(every: str, owner: str, **more: Any) -> Duty:
    """A duty that holds since long ago."""
    said = {"title": "Audit", "every": every, "begins": "2017-01-02", "owner": owner, "how": "Look."}
    return Duty.model_validate({**said, **more})


@dataclass(frozen=True)
class Outcome:
    """How one attempt ends, and after how long; `takes` None is never."""

    status: Status = Status.DELIVERED
    trouble: Trouble | None = None
    message: str = ""
    takes: timedelta | None = 5 * MINUTE
    cancelled: bool = False


FINE = Outcome()
FAILS = Outcome(Status.FAILED, Trouble.CELL_FAILED, "KeyError: 'revenue' in cell 7.")
PASSES = Outcome(Status.FAILED, Trouble.SOURCE_UNAVAILABLE, "The warehouse did not answer.")
HOLDS = Outcome(Status.HELD, Trouble.OUTLIER, "Revenue is outside its usual range.")
HANGS = Outcome(takes=None)


@dataclass
class Hands:
    """A crew that makes nothing, but writes its runs into the ledger as real ones do.

    `script` says how the attempts at a deadline end, one after the other; whatever is not said ends well. With `lease`
    a run is fenced as a real one is.
    """

    ledger: Ledger
    script: Mapping[tuple[str, str], tuple[Outcome, ...]] = field(default_factory=dict)
    lease: timedelta | None = None
    name: str = "run"
    under_way: dict[str, tuple[Order, Run, Outcome]] = field(default_factory=dict)
    refused: list[Done] = field(default_factory=list)
    begun: list[tuple[datetime, Order]] = field(default_factory=list)
    most: int = 0  # attempts under way at once

    @property
    def busy(self) -> tuple[Order, ...]:
        """The attempts that are under way."""
        return (*(done.order for done in self.refused), *(order for order, _, _ in self.under_way.values()))

    def start(self, order: Order, now: datetime) -> None:
        """Begin one attempt; refused where another is at the same report."""
        deadline = order.deadline
        self.begun.append((now, order))
        run = Run(f"{self.name}-{deadline.pipeline}-{deadline.period}-{now:%d%H%M%S}", *deadline.key, "inputs", now)
        outcomes = self.script.get(deadline.key, ())
        outcome = outcomes[min(order.attempt, len(outcomes)) - 1] if outcomes else FINE
        try:
            self.ledger.begin(run, self.lease)
        except Taken as error:
            self.refused.append(Done(order, Status.FAILED, now + SECOND, error.what, later=True))
            return
        self.under_way[order.token] = (order, run, outcome)
        self.most = max(self.most, len(self.under_way))

    def finished(self, now: datetime) -> tuple[Done, ...]:
        """The attempts that ended by now, in order."""
        over = sorted((self._end(token), token) for token in self.under_way if self._end(token) <= now)
        refused = [done for done in self.refused if done.at <= now]
        self.refused = [done for done in self.refused if done.at > now]
        return (*refused, *(self._finish(token, at) for at, token in over))

    def _end(self, token: str) -> datetime:
        _, run, outcome = self.under_way[token]
        return datetime.max.replace(tzinfo=UTC) if outcome.takes is None else run.started_at + outcome.takes

    def _finish(self, token: str, at: datetime) -> Done:
        order, run, outcome = self.under_way.pop(token)
        ended = replace(run, status=outcome.status, trouble=outcome.trouble, message=outcome.message, finished_at=at)
        done = Done(order, outcome.status, at, outcome.message, outcome.trouble, run.run, outcome.cancelled)
        try:
            self.ledger.finish(Result(ended))
        except Fenced as error:
            return replace(done, status=Status.INTERRUPTED, message=error.what)
        return done

    def next_end(self) -> datetime | None:
        """When the next attempt ends."""
        ends = [self._end(token) for token, (_, _, outcome) in self.under_way.items() if outcome.takes is not None]
        return min([*ends, *(done.at for done in self.refused)], default=None)

    def durations(self, pipeline: str) -> tuple[float, ...]:  # noqa: ARG002
        """No history: a run is taken to last as long as config says."""
        return ()


def office(
    ledger: Ledger,
    shop: Project,
    crew: Hands | None = None,
    carrier: Carrier | None = None,
    begins: Callable[[], tuple[Begin, ...]] = tuple,
    **more: Any,
) -> Office:
    """An office with these people; a recorder carries its letters."""
    hands, post = crew or Hands(ledger), carrier or Recorder()
    return Office(shop, ledger, library_of(shop), hands, post, begins, **more)


def drive(desk: Office, first: datetime, last: datetime) -> list[Look]:
    """Look whenever something happens, from the first instant up to the last, which is looked at, too."""
    looks, now = [], first
    while now < last:
        looks.append(tick(desk, now))
        now = next_tick(desk, now)
    return [*looks, tick(desk, last)]


def letters(carrier: Recorder) -> Iterator[tuple[datetime, str, str]]:
    """(when, to which address, subject up to the first colon) of each message that went out, in order."""
    for sent in carrier.sent:
        yield sent.now, sent.parcel.address.partition("@")[0], sent.parcel.message.subject.partition(":")[0]
