"""Shifts laid out by months and days of the rota's zone, as a calendar on a wall."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby, pairwise

from runner.config.promise import WEEKDAYS
from runner.plan.calendar import instant
from runner.plan.oncall import Clock, Rota, Shift

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """A local day, from its midnight to the next; its shifts cut to it; the holiday's name, or ""."""

    day: date
    start: datetime
    end: datetime
    shifts: tuple[Shift, ...]
    holiday: str = ""


@dataclass(frozen=True)
class Month:
    """A month and its days."""

    first: date
    days: tuple[Day, ...]

    @property
    def weeks(self) -> tuple[tuple[Day | None, ...], ...]:
        """Rows from Monday to Sunday; None where a day is of another month."""
        blank: tuple[Day | None, ...] = (None,) * self.first.weekday()
        cells = (*blank, *self.days)
        cells += (None,) * (-len(cells) % 7)
        return tuple(cells[place : place + 7] for place in range(0, len(cells), 7))


def month_after(first: date, count: int) -> date:
    """The first of the month that is so many months later; earlier where below zero."""
    place = first.year * 12 + first.month - 1 + count
    return date(place // 12, place % 12 + 1, 1)


def months(rota: Rota, first: date, count: int, calendar: Callable[[date], str]) -> tuple[Month, ...]:
    """So many months from the one that begins on a day.

    `calendar` gives the name of a local day that is a holiday (the name of a weekday makes none).
    """
    begins = [month_after(first, number) for number in range(count + 1)]
    bounds = [instant(day, time(), rota.zone) for day in (begins[0], begins[-1])]
    shifts = list(rota.shifts(*bounds))
    days = [_day(rota, begins[0] + n * _DAY, shifts, calendar) for n in range((begins[-1] - begins[0]).days)]
    return tuple(Month(day, tuple(days[(day - begins[0]).days : (after - begins[0]).days]))
                 for day, after in pairwise(begins))  # fmt: skip


def _day(rota: Rota, day: date, ahead: list[Shift], calendar: Callable[[date], str]) -> Day:
    """One day. Shifts that are over by its end are taken off those ahead."""
    start, end = (instant(at, time(), rota.zone) for at in (day, day + _DAY))
    while ahead and ahead[0].end <= start:
        ahead.pop(0)
    parts = tuple(_cut(shift, start, end) for shift in _until(ahead, end))
    name = calendar(day)
    return Day(day, start, end, parts, "" if name in WEEKDAYS else name)


def _until(shifts: Iterable[Shift], end: datetime) -> Iterator[Shift]:
    for shift in shifts:
        if shift.start >= end:
            return
        yield shift


def _cut(shift: Shift, start: datetime, end: datetime) -> Shift:
    return replace(shift, start=max(shift.start, start), end=min(shift.end, end))


def stints(rota: Rota, first: datetime, last: datetime) -> tuple[Shift, ...]:
    """Who is primary in [first, last), cut to it and at each hand-off of the week.

    Shifts of one week and one primary that follow each other are one here, for the reasons of the first: who trades
    time asks for neither.
    """
    clock = Clock.of(rota.rules)
    found = groupby(rota.shifts(first, last), lambda shift: (clock.week_of(shift.start), shift.primary))
    runs = [tuple(shifts) for _, shifts in found]
    return tuple(replace(run[0], end=run[-1].end) for run in runs)
