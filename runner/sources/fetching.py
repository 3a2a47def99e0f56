"""What a report needs is fetched: ask the sources of each table, judge, land, and look again while something lacks.

A *look* asks for the days of one table that are missing, partial or young, and lands what comes. Who looks holds a
lock, so that five reports that need the same do not ask five times: the second finds what the first has just landed.
Nobody holds it while waiting for data that are late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from runner.config import Project, Table
from runner.errors import ConfigError, SourceFailed, Trouble
from runner.metrics import opening
from runner.model import Finding
from runner.notebook import contracts, warehouse
from runner.notebook import project as files
from runner.notebook.contracts import Contract
from runner.sources import completeness, conforming, fingerprint, freshness, landing
from runner.sources.completeness import Counts, Rules, Verdict, end_of
from runner.sources.inquiry import Answer, Patience, Place, Try, Unanswered, ask
from runner.sources.landing import Parcel, Stock
from runner.sources.source import Source, Want, Wanted
from runner.sources.supplied import About, Asked, findings_of

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds for which what was just fetched counts as fresh: reports that begin together ask once.
FRESH = 60.0
#: Days that one question asks for at most: what came is landed before the next.
SPAN = 31
#: What a table begins with when config does not say: the year, which reports add up; at the latest so many days before
#: the first one needed, with which they compare.
BEFORE = 63
#: How far back a partial day is asked for again.
MENDED = 56


@dataclass(frozen=True)
class Order:
    """What is to be fetched: tables, the days that a report is about (both included), and its present instant.

    `under_way`: the report may be about a day that is not over. `until` is an instant of the patience's clock, and so
    is `since`, at which it was `now`. `anew`: a person asks, and days that may have been corrected are read again also
    where later ones are there, or somebody has asked a moment ago.
    """

    tables: tuple[str, ...]
    first: date
    last: date
    now: datetime
    since: float
    until: float
    under_way: bool = False
    anew: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        days = {"first": self.first.isoformat(), "last": self.last.isoformat(), "now": self.now.isoformat()}
        return {**vars(self), **days, "tables": list(self.tables)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Order:
        """The order that `as_dict` described. Raises KeyError or ValueError on anything else."""
        first, last = (date.fromisoformat(data[name]) for name in ("first", "last"))
        now, since, until = datetime.fromisoformat(data["now"]), float(data["since"]), float(data["until"])
        how = (bool(data[name]) for name in ("under_way", "anew"))
        return cls(tuple(data["tables"]), first, last, now, since, until, *how)


@dataclass(frozen=True)
class Desk:
    """What fetching works with: the project, the sources of a table in their order, patience, and who is told.

    An event is a dictionary of plain JSON types: `ask`, `try`, `load`, `wait`; each names its table.
    """

    project: Project
    places: Callable[[Table], Sequence[Place]]
    patience: Patience
    tell: Callable[[Mapping[str, Any]], None]

    @property
    def place(self) -> Path:
        """Where the warehouse lies, relative to the project."""
        return Path(self.project.settings.warehouse)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days begin and end."""
        return ZoneInfo(self.project.settings.time_zone)


def fetch(order: Order, desk: Desk) -> tuple[Finding, ...]:
    """Fetch every table of an order; what is there now, as findings: a day that is not whole is a stop.

    Raises SourceFailed when no source of a table answers, and ConfigError where config does not fit the table.
    """
    works = [_Work(name, order, desk, desk.patience.clock()) for name in order.tables]
    lacking, pauses = works, freshness.pauses()
    while lacking:
        with _turn(desk):
            lacking = [work for work in lacking if not work.look()]
        waits = {work: work.pause(wished) for wished in [next(pauses)] for work in lacking} if lacking else {}
        lacking = [work for work, seconds in waits.items() if seconds is not None]
        if lacking:
            seconds = min(seconds for seconds in waits.values() if seconds is not None)
            for work in lacking:
                desk.tell({"event": "wait", "table": work.name, "seconds": seconds, "message": work.said})
            desk.patience.sleep(seconds)
    return tuple(finding for work in works for finding in work.findings())


def _turn(desk: Desk) -> AbstractContextManager[None]:
    """The lock of who asks; entering it raises ReportStopped when it cannot be had in all the time there is."""
    path = desk.project.folder / desk.place
    path.parent.mkdir(parents=True, exist_ok=True)
    doing = "fetching the same tables"
    return warehouse.alone(path.with_suffix(".fetch.lock"), max(desk.patience.left, 0.0), doing)


@dataclass(frozen=True)
class _Taken:
    """One answer: rows in the contract's types, what they looked like, up to when the source has everything."""

    rows: pa.Table
    facts: Mapping[str, Any]
    upto: datetime | None


@dataclass
class _State:
    """What changes while one table is fetched."""

    looks: int = 0
    said: str = ""
    last: bool = False
    upto: datetime | None = None
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True, eq=False)
class _Work:
    """The fetching of one table."""

    name: str
    order: Order
    desk: Desk
    began: float
    state: _State = field(default_factory=_State)

    @property
    def said(self) -> str:
        """What still lacks, in one sentence."""
        return self.state.said

    @property
    def now(self) -> datetime:
        passed = self.desk.patience.clock() - self.order.since
        return self.order.now + timedelta(seconds=passed)

    @cached_property
    def table(self) -> Table:
        return self.desk.project.sources.tables[self.name]

    @cached_property
    def contract(self) -> Contract:
        found = contracts.load(self.desk.project.folder / "config" / "contracts" / f"{self.name}.yml")
        for key, kind in (("day", "day"), ("time", "time")):
            column = getattr(self.table, key)
            if column is not None and (column not in found.columns or found.columns[column].type != kind):
                what = f"config/sources.yml: tables.{self.name}.{key} is {column!r}, which is no column of type {kind}."
                raise ConfigError(what, f"Name one of config/contracts/{self.name}.yml.")
        return replace(found, table=self.name)

    @cached_property
    def places(self) -> Sequence[Place]:
        return self.desk.places(self.table)

    @property
    def columns(self) -> tuple[str | None, str | None]:
        return self.table.day, self.table.time

    @cached_property
    def rules(self) -> Rules:
        try:
            config = files.read(self.desk.project.folder, "holidays.yml")
        except ConfigError:  # a project without one has no closed days
            config = {}
        begins = date.fromisoformat(self.table.begins) if self.table.begins else self.order.first
        since = min(begins, self.order.first) - timedelta(days=7 * completeness.WEEKS + MENDED)
        closed = frozenset(opening.closed_days(since, self.order.last, config))
        closing = _Closing(config)
        return Rules(
            self.desk.zone, timedelta(seconds=self.table.delay or 0), self.table.least,
            timed=self.table.time is not None, closed=closed, closing=closing,
        )  # fmt: skip

    def stock(self) -> Stock:
        since = min(self.order.first, self.order.last) - timedelta(days=MENDED + 7 * completeness.WEEKS)
        return landing.stock(self.desk.project.folder, self.desk.place, self.name, self.columns, since)

    # One look.

    def look(self) -> bool:
        """Ask for what is wanted, and land it; whether nothing lacks any more. Raises SourceFailed."""
        self.state.looks += 1
        if self.state.looks == 1 and self._is_fresh():
            return True
        try:
            if self.table.day is None:
                self._ask((), None)
            else:
                for days in _spans(self._wanted(self.stock()), self.rules.closed):
                    self._ask_days(days)
        except Unanswered as error:
            if not any(one.trouble is Trouble.DATA_INCOMPLETE for one in error.tries):
                raise
            self.state.said = error.what
            self.state.asked = replace(self.state.asked, missing=error.what)
            if self.pause(freshness.FIRST_PAUSE) is not None or self.state.last:
                return False
            self.state.last = True  # what there is lands all the same, known as partial
            return self.look()
        return self._is_whole()

    def _ask_days(self, days: Sequence[date]) -> None:
        """Ask for some days. Of a day on which the shops stay shut there need not be anything."""
        try:
            self._ask(days, self._need(days[-1]))
        except Unanswered as error:
            if error.trouble is not Trouble.DATA_INCOMPLETE or not self.rules.closed.issuperset(days):
                raise

    def pause(self, wished: float) -> float | None:
        """How long to wait before another look; None: no longer."""
        if self.state.last:
            return None
        patience = self.desk.patience
        passed, kept = patience.clock() - self.began, freshness.KEPT * (patience.until - self.began)
        return freshness.pause(wished, (self.table.wait or 0.0) - passed, patience.left - kept)

    def _is_whole(self) -> bool:
        if self.table.day is None:
            self._note_asked()
            return True
        lacks = [load for load in self.stock().loads if load.day in set(_days(self.order.first, self.order.last))
                 and not load.whole and (load.note or not self.order.under_way)]  # fmt: skip
        self.state.said = "; ".join(f"{self.name} of {completeness.named(load.day)}: {load.note or 'it is not over'}"
                                    for load in lacks if load.day)  # fmt: skip
        if not lacks:
            self._note_asked()
        return not lacks

    def _need(self, last: date) -> datetime | None:
        """Up to when a source must have everything to be asked for days up to `last`; None: the report needs none."""
        if last < self.order.first:
            return None
        under_way = completeness.due(last, self.rules, self.now)
        return under_way if self.order.under_way else end_of(last, self.desk.zone)

    def _wanted(self, stock: Stock) -> list[date]:
        """The days to ask for, in order: those missing, those partial, and the young ones."""
        today = self.now.astimezone(self.desk.zone).date()
        last = min(self.order.last, today)
        known = {load.day for load in stock.loads if load.day}
        begins = self._begins(stock, known)
        back = last - timedelta(days=MENDED)
        wished = {*_days(begins, last), *_days(self.order.first, last)}
        missing = {day for day in wished - known if day >= back or day not in self.rules.closed}
        partial = [day for day in stock.partial if back <= day <= last]
        young = list(_days(max(begins, last - timedelta(days=self.table.again)), last))
        is_wanted = self.order.anew or not known or last >= max(known)
        return sorted({*missing, *partial, *(young if is_wanted and self.state.looks == 1 else [])})

    def _begins(self, stock: Stock, known: set[date]) -> date:
        """The first day that is asked for: as config says, or the one after those from the package, or 1 January."""
        if self.table.begins:
            return date.fromisoformat(self.table.begins)
        if known:
            return min(known)
        there = [one.day for one in stock.counts if one.day < self.order.first]
        if there:
            return max(there) + timedelta(days=1)
        return min(self.order.first.replace(month=1, day=1), self.order.first - timedelta(days=BEFORE))

    # One question.

    def _ask(self, days: Sequence[date], need: datetime | None) -> None:
        first, last = (days[0], days[-1]) if days else (None, None)
        spoken = {"table": self.name, "first": first.isoformat() if first else None,
                  "last": last.isoformat() if last else None}  # fmt: skip
        self.desk.tell({"event": "ask", **spoken, "source": self.places[0].config.title})
        stock = self.stock()
        want = Want(self.name, self.name, self._columns(), self.table.day, first, last)
        try:
            question = self._question(want, stock, None if self.state.last else need)
            answer = ask(self.places, question, self.desk.patience)
        except Unanswered as error:
            self._tell_tries(error.tries)
            raise
        self._tell_tries(answer.tries)
        self._land(answer, days, stock, spoken)

    def _question(self, want: Want, stock: Stock, need: datetime | None) -> Callable[[Source, float], _Taken]:
        zone, clock = self.desk.zone, self.desk.patience.clock

        def question(source: Source, left: float) -> _Taken:
            until = clock() + left
            place = next(one for one in self.places if one.source is source)
            here = replace(want, place=place.config.at.get(self.name, self.name))
            upto = source.watermark(here, left) if self.table.day else None
            if need is not None and upto is not None and min(upto, self.now) < need:
                raise freshness.too_old(place.config.title, self.name, upto, need, zone)
            given = source.read(here, max(until - clock(), 0.0))
            facts = fingerprint.taken(given)
            rows = conforming.conform(given, self.contract, stock.shape, conforming.Given(place.config.title, facts))
            self._refuse_other_days(rows, here, place.config.title)
            return _Taken(rows, facts, upto)

        return question

    def _columns(self) -> tuple[Wanted, ...]:
        return tuple(Wanted(name, rules.type, rules.nullable) for name, rules in self.contract.columns.items())

    def _refuse_other_days(self, rows: pa.Table, want: Want, title: str) -> None:
        import pyarrow.compute as pc  # noqa: PLC0415 - only who has rows

        if want.first is None or want.last is None or self.table.day is None or not rows.num_rows:
            return
        span = pc.min_max(rows[self.table.day]).as_py()
        if span["min"] < want.first or span["max"] > want.last:
            asked = f"{title} was asked for {self.name} from {want.first} to {want.last}"
            what = f"{asked} and gave rows from {span['min']} to {span['max']}."
            raise SourceFailed(what, "Correct how the source selects days.", Trouble.SCHEMA_CHANGED)

    def _land(
        self, answer: Answer[_Taken], days: Sequence[date], stock: Stock, spoken: Mapping[str, str | None]
    ) -> None:
        taken, title = answer.value, next(one.config.title for one in self.places if one.name == answer.source)
        instead = _instead(answer.tries, title)
        verdicts = self._judged(taken, days, stock)
        who = (answer.source, title, self.table.day)
        parcel = Parcel(self.name, taken.rows, *who, tuple(days), verdicts, instead)
        changed = landing.land(self.desk.project.folder, self.desk.place, [parcel], self.now)
        if instead:
            self.state.asked = replace(self.state.asked, title=title, instead=instead)
        self.desk.tell(
            {"event": "load", **spoken, "source": answer.source, "title": title, "rows": taken.rows.num_rows,
             "changed": len(changed), "instead": instead,
             "partial": [day.isoformat() for day, verdict in verdicts.items() if not verdict.whole],
             "sha256": fingerprint.digest(taken.facts), "columns": taken.facts}
        )  # fmt: skip

    def _judged(self, taken: _Taken, days: Sequence[date], stock: Stock) -> dict[date, Verdict]:
        """A verdict on each day; a day found whole is a measure for those after it."""
        found = {one.day: one for one in landing.counted(taken.rows, self.columns)}
        past = [one for one in stock.counts if one.day not in stock.partial and one.day not in set(days)]
        verdicts = {}
        for day in days:
            counts = found.get(day, Counts(day, 0))
            verdicts[day] = completeness.judge(counts, past, self.rules, taken.upto, self.now)
            if verdicts[day].whole:
                past.append(counts)
        return verdicts

    def _tell_tries(self, tries: Sequence[Try]) -> None:
        for one in tries:
            trouble = None if one.trouble is None else str(one.trouble)
            self.desk.tell({"event": "try", "table": self.name, **vars(one), "trouble": trouble})

    # What was fetched a moment ago.

    @property
    def _memory(self) -> Path:
        return (self.desk.project.folder / self.desk.place).with_suffix(".asked.json")

    def _is_fresh(self) -> bool:
        """Whether somebody has fetched the very same within the last minute, and nothing lacked."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(self._memory.read_text(encoding="utf-8"))[self.name]
            ago = (self.now - datetime.fromisoformat(said["at"])).total_seconds()
            known = said["first"] <= self.order.first.isoformat() and self.order.last.isoformat() <= said["last"]
            enough = self.order.under_way or not said["under_way"]
            return not self.order.anew and abs(ago) <= FRESH and known and enough and bool(said["data"] == self._data())
        return False

    def _note_asked(self) -> None:
        known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            known = dict(json.loads(self._memory.read_text(encoding="utf-8")))
        days = {"first": self.order.first.isoformat(), "last": self.order.last.isoformat()}
        asked = {"at": self.now.isoformat(), "under_way": self.order.under_way}
        known[self.name] = {**days, **asked, "data": self._data()}
        half = self._memory.with_suffix(".new")
        half.write_text(json.dumps(known), encoding="utf-8")
        half.replace(self._memory)

    def _data(self) -> list[Any]:
        """What shows that the warehouse is still the one in which it was landed."""
        return [[load.sha256, load.rows] for load in self.stock().loads][-FRESH_LOADS:]

    # What it came to.

    def findings(self) -> Iterator[Finding]:
        """What is there now of the table, for the days of the order and those that they are compared with."""
        stock = self.stock()
        closed = self.rules.closed if self.table.day else frozenset[date]()
        yield from findings_of(self.name, stock.loads, About(self.order, closed), self.state.asked)


#: So many of a table's newest loads tell whether a warehouse is still the same.
FRESH_LOADS = 14


class _Closing(Mapping[date, int]):
    """The hour from which nothing is expected, for the days that close early."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def __getitem__(self, day: date) -> int:
        hour = opening.closing_hour(day, self._config)
        if hour == 24:
            raise KeyError(day)
        return hour

    def __iter__(self) -> Iterator[date]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _spans(days: Sequence[date], closed: Container[date]) -> Iterator[Sequence[date]]:
    """Days that follow one another, at most so many at once; a closed day is asked for by itself."""
    span: list[date] = []
    for day in days:
        follows = span and day == span[-1] + timedelta(days=1) and len(span) < SPAN
        if span and (not follows or day in closed or span[-1] in closed):
            yield span
            span = []
        span.append(day)
    if span:
        yield span


def _instead(tries: Sequence[Try], title: str) -> str:
    """Who was asked before the source that served, and the last thing that went wrong with each."""
    said = {one.title: one.message for one in tries if one.trouble is not None and one.title != title}
    return " ".join(said.values())
