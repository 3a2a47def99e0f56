"""Item 4: a tick, the status page and a lookup, with a short past in the ledger and with a long one."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median

from runner.commands import plan
from runner.config import Project
from runner.ledger import Ledger
from runner.scheduler.office import Office, Order
from runner.scheduler.opening import Onlooker, onlooker
from runner.scheduler.tick import tick
from tests.bench.ratios import Samples, at_most, interleaved, medians, ratio
from tests.bench.running import tell
from tests.bench.shapes import Item, Row, Size
from tests.long_history import Past, fill
from tests.small_office import duty, pipeline, project

#: 05:00 in New York: the reports that are due at 09:00 begin in three hours.
NIGHT = datetime(2017, 11, 17, 10, tzinfo=UTC)
#: 08:03 there: all of them are to begin, and most wait for a seat.
MORNING = datetime(2017, 11, 17, 13, 3, tzinfo=UTC)
PIPELINES, RUNS = (10, 1_000), (0, 1_000_000)
FEW_PIPELINES, FEW_RUNS = (10, 50), (0, 2_000)
#: With a long past nothing may take longer than so many times as long as with none.
MOST = 2.0
#: How often a question is asked in one round, of which the median counts: each takes some milliseconds.
TIMES = 9


class Hands(Onlooker):
    """A crew that begins whatever it is told to and never ends it."""

    def start(self, order: Order, now: datetime) -> None:  # noqa: ARG002 - it takes for ever
        """Take it."""
        self.busy = (*self.busy, order)


@dataclass(frozen=True)
class Desk:
    """A project with so many pipelines, and its ledger with so many runs."""

    file: Path
    shop: Project
    ledger: Ledger
    names: tuple[str, ...]

    @classmethod
    def at(cls, file: Path, many: int, runs: int) -> Desk:
        """One whose ledger lies in this file; filled here."""
        names = tuple(f"report_{number:04}" for number in range(many))
        fill(file, Past(names, runs, NIGHT))
        shown = {"pipeline": names[0], "checks": ("rows",)}
        duties = {"audit": duty("Fridays by 17:00", "ann"), "check": duty("daily by 10:00", "on-call", shown_by=shown)}
        shop = project(*(pipeline(name, "daily by 09:00") for name in names), duties=duties)
        shop = replace(shop, settings=shop.settings.model_copy(update={"ledger": f"sqlite:///{file}"}))
        return cls(file, shop, Ledger.open(shop.ledger), names)

    def office(self) -> Office:
        """Opened anew, as by each `runner tick`."""
        hands = Hands(self.ledger)
        return replace(onlooker(self.shop, self.ledger), crew=hands, carrier=hands)

    def looks(self, at: datetime) -> Callable[[], object]:
        """The next look of one scheduler, five seconds after the last."""
        office, clock = self.office(), count(step=5)
        tick(office, at)
        return lambda: tick(office, at + timedelta(seconds=next(clock)))

    def cron(self) -> Callable[[], object]:
        """The first look of a scheduler that has just begun, a minute after the last."""
        clock = count(step=60)
        return lambda: tick(self.office(), NIGHT + timedelta(seconds=next(clock)))

    def status(self, now: datetime) -> Callable[[], object]:
        """The page of today and tomorrow."""
        return lambda: plan.status(self.shop, now, as_json=False)

    def lookups(self) -> Callable[[], object]:
        """All about one report of some weeks ago: its runs, which of them readers have, one by its name."""
        numbers, ledger = count(), self.ledger

        def lookup() -> object:
            number = next(numbers)
            name, back = self.names[number % len(self.names)], 2 + number % 30
            day = (NIGHT - timedelta(days=back)).date().isoformat()
            return ledger.runs(name, day), ledger.delivered(name, day), ledger.run(f"{name}-{back}")

        return lookup

    def questions(self) -> dict[str, Callable[[], object]]:
        """Each question by its name."""
        return {
            "tick, nothing due": self.looks(NIGHT),
            "tick, all due": self.looks(MORNING),
            "tick of a new process": self.cron(),
            "status, nothing due": self.status(NIGHT),
            "status, all due": self.status(MORNING),
            "lookup": self.lookups(),
        }

    def close(self) -> None:
        """Let the file go: a long past takes a gigabyte."""
        self.ledger.close()
        self.file.unlink()


def measure(size: Size) -> Item:
    """Every question of every ledger, those of as many pipelines in turns."""
    pipelines, runs = (FEW_PIPELINES, FEW_RUNS) if size.small else (PIPELINES, RUNS)
    found = {many: _asked(size, many, runs) for many in pipelines}
    notes = (
        (
            f"The same questions of a ledger with {runs[1]:,} runs, and as many deadlines, messages to readers and "
            "files, and of one with none; both know what the coming week owes. SQLite on one disk, in turns."
        ),
        "Nothing due: at night. All due: every report is to begin, two are under way, the others wait for a seat.",
    )
    details = {"seconds": {str(many): samples for many, samples in found.items()}}
    return Item("ledger", "The ledger as its past grows", tuple(rows(found, runs)), notes, details)


def _asked(size: Size, many: int, runs: tuple[int, int]) -> dict[str, list[float]]:
    """Seconds of each question by its name and the number of runs."""
    tell(f"{many} pipelines: filling the ledgers")
    desks = {past: Desk.at(size.folder / f"ledger-{many}-{past}.sqlite", many, past) for past in runs}
    asked = {past: desk.questions() for past, desk in desks.items()}
    turns = {_named(name, past): _timed(asked[past][name]) for name in asked[runs[0]] for past in runs}
    found = interleaved(turns, size.rounds, tell)
    for desk in desks.values():
        desk.close()
    return found


def _named(question: str, past: int) -> str:
    return f"{question}, {past:,} runs"


def _timed(ask: Callable[[], object]) -> Callable[[], float]:
    """The median time of one question asked several times."""

    def once() -> float:
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()):
            ask()
        return time.perf_counter() - began

    return lambda: median(once() for _ in range(TIMES))


def rows(found: Mapping[int, Samples], runs: tuple[int, int]) -> Iterator[Row]:
    """With a long past against with none, question by question; then the milliseconds."""
    questions = [name.removesuffix(_named("", runs[0])) for name in next(iter(found.values())) if _is_of(name, runs[0])]
    for many, samples in found.items():
        for name in questions:
            none, long = (samples[_named(name, past)] for past in runs)
            yield at_most(f"{name}, {many:,} pipelines: {runs[1]:,} runs ÷ none", ratio(long, none), "", MOST)
    for many, samples in found.items():
        for name, value in medians(samples).items():
            yield Row(f"{name}, {many:,} pipelines", 1000 * value, "ms")


def _is_of(name: str, past: int) -> bool:
    return name.endswith(_named("", past))
