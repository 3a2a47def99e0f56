"""Wall clock to instant and back, and which days are business days.

Every rule of the plan is kept on the wall clock of a named zone; every comparison is made in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import EntityLoader

import runner.light  # noqa: F401 - a market without all the countries of the world

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """From one instant up to another."""

    first: datetime
    last: datetime


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the clocks of a zone show this day and time.

    A time that the clocks skip is the first instant after the gap; one that they show twice is the first of the two.
    """
    wall = datetime.combine(day, at.replace(fold=0), zone)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None):
        return moment
    return _first_after_gap(wall.replace(fold=1).astimezone(UTC), moment, zone)


def _first_after_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the clocks jump, between an instant before the jump and one after it."""
    before = before.replace(microsecond=0)  # clocks jump on whole seconds
    old = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        jumped = (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() != old
        low, high = (low, middle) if jumped else (middle, high)
    return before + timedelta(seconds=high)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day that the calendars of a zone show at an aware instant."""
    return instant.astimezone(zone).date()


def clock(moment: datetime, zone: ZoneInfo, beside: datetime) -> str:
    """The local time for people: `09:48`, or `23:50 on Monday` where it is not the day of what it stands beside."""
    local = moment.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == local_day(beside, zone) else f"{local:%H:%M on %A}"


@dataclass(frozen=True)
class BusinessCalendar:
    """The business days of a market (NYSE) or a country (US), with a company's own dated exceptions.

    `name` is a calendar of the package `holidays`; a name that is both is the market. `no_business` and `business`
    map days, written YYYY-MM-DD, to the reason; a day in both is no business day.
    """

    name: str
    no_business: Mapping[str, str] = field(default_factory=dict)
    business: Mapping[str, str] = field(default_factory=dict)

    def holiday(self, day: date) -> str:
        """Why a day is no business day: `Thanksgiving Day`, `Saturday`, the company's text; "" on a business day."""
        text = day.isoformat()
        if text in self.no_business:
            return self.no_business[text] or "no business"
        return "" if text in self.business else _closures(self.name, day.year).get(day, "")

    def is_business_day(self, day: date) -> bool:
        """Whether business is done on a day."""
        return not self.holiday(day)

    def next(self, day: date) -> date:
        """The first business day after a day."""
        return self._from(day, _DAY)

    def previous(self, day: date) -> date:
        """The last business day before a day."""
        return self._from(day, -_DAY)

    def _from(self, day: date, step: timedelta) -> date:
        day += step
        while self.holiday(day):
            day += step
        return day


@lru_cache(maxsize=1024)
def _closures(name: str, year: int) -> Mapping[date, str]:
    """Each day of a year without business, and why. One table a year: it is asked for every day, by every thread."""
    market = name in EntityLoader.get_financial_codes()
    known = (holidays.financial_holidays if market else holidays.country_holidays)(name, years=year)
    first = date(year, 1, 1)
    days = (first + timedelta(days=n) for n in range((date(year, 12, 31) - first).days + 1))
    return MappingProxyType(
        {day: known.get(day) or f"{day:%A}" for day in days if not known.is_working_day(day)},
    )
