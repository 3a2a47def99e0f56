"""Promises become deadlines: for each pipeline and period when the work starts, when it is to be ready, when it is due.

Deadlines follow from the calendar alone, not from runs: what never started has one too. A span of time gives the same
deadlines however it is cut into windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from runner.config.files import WAREHOUSE, Pipeline, Settings
from runner.config.promise import Promise, When, parse
from runner.config.values import wall_time
from runner.plan.calendar import BusinessCalendar, instant, local_day
from runner.plan.periods import period_of

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Begin:
    """The aware instant at which an experiment begins."""

    experiment: str
    at: datetime


@dataclass(frozen=True)
class Timetable:
    """What promises rest on: the zone of their clock, the business days, the begins of experiments, closed days.

    `closed` holds "MM-DD" (every year) or "YYYY-MM-DD": on such a day nothing happens that a report could be about.
    `fetching` is the longest that each attempt may take for fetching its data; nothing where nothing is fetched.
    """

    zone: ZoneInfo
    calendar: BusinessCalendar
    begins: tuple[Begin, ...] = ()
    closed: tuple[str, ...] = ()
    fetching: timedelta = timedelta(0)

    def is_closed(self, day: date) -> bool:
        """Whether the doors stay shut on a day."""
        text = day.isoformat()
        return text in self.closed or text[5:] in self.closed


@dataclass(frozen=True)
class Deadline:
    """One period of one pipeline; starts_at <= ready_at <= due_at, all in UTC.

    `period` is its key and `text` the same for people; `as_of` and `experiment` are the parameters of its run.
    Readers were promised `due_at`; we hold ourselves to `ready_at`, and begin at `starts_at`.
    """

    pipeline: str
    period: str
    text: str
    as_of: date
    experiment: str | None
    starts_at: datetime
    ready_at: datetime
    due_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Pipeline and period: no two deadlines have the same."""
        return self.pipeline, self.period


@dataclass(frozen=True)
class _Slot:
    """One time at which a promise falls due. `opens` is the first instant at which work can begin, where it counts."""

    as_of: date
    experiment: str | None
    due_at: datetime
    opens: datetime | None = None


def all_deadlines(
    pipelines: Iterable[Pipeline], settings: Settings, timetable: Timetable, first: datetime, last: datetime
) -> tuple[Deadline, ...]:
    """Deadlines of several pipelines with first <= due_at < last, in order of due_at and pipeline."""
    found = [d for pipeline in pipelines for d in deadlines_of(pipeline, settings, timetable, first, last)]
    return tuple(sorted(found, key=lambda deadline: (deadline.due_at, deadline.pipeline)))


def deadlines_of(
    pipeline: Pipeline, settings: Settings, timetable: Timetable, first: datetime, last: datetime
) -> tuple[Deadline, ...]:
    """Deadlines of one pipeline with first <= due_at < last (aware instants), in order of due_at."""
    slots = _between(pipeline, timetable, first, last)
    room = room_of(pipeline, settings, timetable.fetching)
    return tuple(_deadline(pipeline, room, timetable.zone, slot) for slot in slots if first <= slot.due_at < last)


def deadline_of(
    pipeline: Pipeline, settings: Settings, timetable: Timetable, as_of: date, experiment: str | None = None
) -> Deadline | None:
    """The deadline of the period that a run with these parameters is about; None where none was promised.

    No experiment means the pipeline's own. Any day of the week after a week asks for that week.
    """
    wanted = _period_key(pipeline, as_of, _experiment(pipeline, experiment))
    slots = (slot for slot in _around(pipeline, timetable, as_of) if _slot_key(pipeline, slot) == wanted)
    room = room_of(pipeline, settings, timetable.fetching)
    return next((_deadline(pipeline, room, timetable.zone, slot) for slot in slots), None)


def input_of(
    deadline: Deadline, pipeline: Pipeline, source: Pipeline, settings: Settings, timetable: Timetable
) -> Deadline | None:
    """The deadline of an input that one of `pipeline` rests on: the same date, and of a week its last day.

    None where the input was not promised for that date.
    """
    as_of = deadline.as_of
    if pipeline.period == "week" and source.period != "week":
        as_of -= timedelta(days=as_of.isoweekday())
    return deadline_of(source, settings, timetable, as_of)


def limit_of(pipeline: Pipeline, settings: Settings) -> timedelta:
    """The longest that its notebook may take in one attempt."""
    return timedelta(seconds=pipeline.limit or settings.run_limit)


def attempt_of(pipeline: Pipeline, settings: Settings, fetching: timedelta) -> timedelta:
    """The longest that one attempt may take, with the fetching of what it rests on."""
    return limit_of(pipeline, settings) + (fetching if WAREHOUSE in pipeline.sources else timedelta(0))


def room_of(pipeline: Pipeline, settings: Settings, fetching: timedelta = timedelta(0)) -> timedelta:
    """How long before it is to be ready the work begins: as long as every attempt and wait may take, if not given."""
    if pipeline.room is not None:
        return timedelta(seconds=pipeline.room)
    waits = settings.retry_after
    between = sum(waits[min(number, len(waits) - 1)] for number in range(settings.attempts - 1))
    return settings.attempts * attempt_of(pipeline, settings, fetching) + timedelta(seconds=between)


def _between(pipeline: Pipeline, timetable: Timetable, first: datetime, last: datetime) -> list[_Slot]:
    """The slots of every local day that a window touches, and of the days beside them; in order."""
    if parse(pipeline.deadline).when is When.ELAPSED:
        return _elapsed(pipeline, timetable)
    if last <= first:
        return []
    return list(_daily(pipeline, timetable, local_day(first, timetable.zone) - _DAY, local_day(last, timetable.zone)))


def _around(pipeline: Pipeline, timetable: Timetable, as_of: date) -> Iterable[_Slot]:
    """The slots among which the one of a run as of a day must be."""
    promise = parse(pipeline.deadline)
    if promise.when is When.ELAPSED:
        return _elapsed(pipeline, timetable)
    if pipeline.period == "week":
        monday = as_of - timedelta(days=as_of.weekday())
        return _daily(pipeline, timetable, monday, monday + timedelta(days=6))
    due = timetable.calendar.next(as_of) if promise.when is When.NEXT_BUSINESS_DAY else as_of + _DAY
    return _daily(pipeline, timetable, due, due)


def _elapsed(pipeline: Pipeline, timetable: Timetable) -> list[_Slot]:
    """One slot for each begin, or for the first of those that are about the same period. The span is real time."""
    within = parse(pipeline.deadline).within or timedelta(0)
    slots: dict[str, _Slot] = {}
    for begin in sorted(timetable.begins, key=lambda begin: (begin.at, begin.experiment)):
        at = begin.at.astimezone(UTC)
        slot = _Slot(local_day(at, timetable.zone), _experiment(pipeline, begin.experiment), at + within, at)
        slots.setdefault(_slot_key(pipeline, slot), slot)
    return list(slots.values())


def _daily(pipeline: Pipeline, timetable: Timetable, first: date, last: date) -> Iterator[_Slot]:
    """The slots of every due day from `first` to `last`, both included."""
    promise = parse(pipeline.deadline)
    at = promise.at or time()
    experiment = _experiment(pipeline, None)
    for day in _due_days(promise, timetable.calendar, first, last):
        if pipeline.period == "week":
            if _first_of_week(promise, timetable.calendar, day):
                yield _Slot(day, None, instant(day, at, timetable.zone))
        else:
            as_of = timetable.calendar.previous(day) if promise.when is When.NEXT_BUSINESS_DAY else day - _DAY
            if pipeline.period != "day" or not timetable.is_closed(as_of):  # of a closed day there is nothing to report
                yield _Slot(as_of, experiment, instant(day, at, timetable.zone))


def _due_days(promise: Promise, calendar: BusinessCalendar, first: date, last: date) -> Iterator[date]:
    day, step = first, _DAY
    if promise.when is When.WEEKLY:
        day += timedelta(days=((promise.weekday or 0) - first.weekday()) % 7)
        step = _WEEK
    business = promise.when in {When.BUSINESS_DAYS, When.NEXT_BUSINESS_DAY}
    while day <= last:
        if not business or calendar.is_business_day(day):
            yield day
        day += step


def _first_of_week(promise: Promise, calendar: BusinessCalendar, day: date) -> bool:
    """Whether a week is reported on this day first: once reported, the days after it owe nothing more."""
    monday = day - timedelta(days=day.weekday())
    return next(_due_days(promise, calendar, monday, day)) == day


def _deadline(pipeline: Pipeline, room: timedelta, zone: ZoneInfo, slot: _Slot) -> Deadline:
    period = period_of(pipeline.period, slot.as_of, slot.experiment)
    ready = _ready_at(pipeline, zone, slot)
    starts = ready - room if slot.opens is None else max(ready - room, slot.opens)
    return Deadline(pipeline.name, period.key, period.text, slot.as_of, slot.experiment, starts, ready, slot.due_at)


def _ready_at(pipeline: Pipeline, zone: ZoneInfo, slot: _Slot) -> datetime:
    """The hour that we hold ourselves to, on the day it is due; never after that, and never before work can begin."""
    if pipeline.ready_by is None:
        return slot.due_at
    ready = instant(local_day(slot.due_at, zone), wall_time(pipeline.ready_by), zone)
    possible = slot.opens is None or ready > slot.opens
    return min(ready, slot.due_at) if possible else slot.due_at


def _experiment(pipeline: Pipeline, experiment: str | None) -> str | None:
    """The experiment that a report is about, where it is about one: the one that is named, or the pipeline's own."""
    if pipeline.period != "experiment":
        return None
    return experiment or str(pipeline.experiment)


def _slot_key(pipeline: Pipeline, slot: _Slot) -> str:
    return _period_key(pipeline, slot.as_of, slot.experiment)


def _period_key(pipeline: Pipeline, as_of: date, experiment: str | None) -> str:
    return period_of(pipeline.period, as_of, experiment).key
