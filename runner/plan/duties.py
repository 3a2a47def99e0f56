"""When each recurring duty is due, from its rhythm (`runner.config.rhythm`) and the calendar.

A day of a month that is no business day moves to the next business day. Times are wall-clock times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count, pairwise

from runner.config.rhythm import Every, Rhythm
from runner.plan.calendar import instant, local_day
from runner.plan.deadlines import Timetable


@dataclass(frozen=True)
class Due:
    """One period of a duty: it may be done from `opens_at`, when the period before was due, to `due_at`; both UTC.

    `period` names the day, week, quarter or half year in which it falls due: 2017-11-20, 2017-W47, 2017-Q4, 2017-H2.
    """

    duty: str
    period: str
    opens_at: datetime
    due_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Duty and period: no two have the same."""
        return self.duty, self.period


_MONTHS = {Every.QUARTER: 3, Every.HALF_YEAR: 6}
_PARTS = {"Q": "quarter", "H": "half"}
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth"}


def dues(  # noqa: PLR0913, PLR0917 - a duty in three words, its timetable, a window
    duty: str, rhythm: Rhythm, begins: date, timetable: Timetable, first: datetime, last: datetime
) -> tuple[Due, ...]:
    """Each period of a duty (its key) with first <= due_at < last, in order, by aware instants.

    None is of a local day before `begins`. The first one opens as if the rhythm had held before.
    """
    found = []
    for (_, opens_at), (day, due_at) in pairwise(_from(rhythm, begins, timetable, local_day(first, timetable.zone))):
        if due_at >= last:
            break
        if due_at >= first and day >= begins:
            found.append(Due(duty, _period(rhythm.every, day), opens_at, due_at))
    return tuple(found)


def _from(rhythm: Rhythm, begins: date, timetable: Timetable, day: date) -> Iterator[tuple[date, datetime]]:
    """The days of a rhythm and their instants, without end, from two or more before what is due on a day."""
    months = _MONTHS.get(rhythm.every)
    days = _month_days(rhythm, months, day) if months else _week_days(rhythm, begins, day)
    for nominal in days:
        moved = timetable.calendar.next(nominal - timedelta(days=1)) if months else nominal
        yield nominal, instant(moved, rhythm.at, timetable.zone)


def _month_days(rhythm: Rhythm, months: int, day: date) -> Iterator[date]:
    for number in count((day.year * 12 + day.month - 1) // months - 2):
        year, month = divmod(number * months, 12)
        yield date(year, month + 1, rhythm.day or 1)


def _week_days(rhythm: Rhythm, begins: date, day: date) -> Iterator[date]:
    """Every so many days, counted from the first on or after the begin."""
    step, anchor = 1, begins
    if rhythm.weekday is not None:
        step = 7 * rhythm.weeks
        anchor += timedelta(days=(rhythm.weekday - anchor.weekday()) % 7)
    for number in count((day - anchor).days // step - 2):
        yield anchor + timedelta(days=number * step)


def in_words(period: str) -> str:
    """A period for people, within a sentence: week of 20 November 2017, first quarter of 2018."""
    year, _, rest = period.partition("-")
    try:
        if rest[:1] in _PARTS:
            letter, number = rest[:1], int(rest[1:])
            return f"{_ORDINALS[number]} {_PARTS[letter]} of {int(year)}"
        if rest.startswith("W"):
            day = date.fromisocalendar(int(year), int(rest[1:]), 1)
            return f"week of {day.day} {day:%B %Y}"
        day = date.fromisoformat(period)
    except (KeyError, ValueError):  # of a rhythm that was another once
        return period
    return f"{day:%A} {day.day} {day:%B %Y}"


def _period(every: Every, day: date) -> str:
    if every is Every.DAY:
        return day.isoformat()
    if every is Every.WEEK:
        return f"{day:%G-W%V}"
    letter = "Q" if every is Every.QUARTER else "H"
    return f"{day.year}-{letter}{(day.month - 1) // _MONTHS[every] + 1}"
