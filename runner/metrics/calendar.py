"""Days on which an ordinary day's figures are not to be expected, each with the reason a reader is shown.

The calendar is named, because calendars differ: US federal holidays and New York Stock Exchange closures from the
`holidays` package, and the few shopping days around them listed in `NEIGHBOURS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import holidays

#: Shopping days before and after a holiday: (holiday, days from it) -> what a reader is told.
NEIGHBOURS: Mapping[tuple[str, int], str] = {
    ("Good Friday", 1): "Day before Easter",  # the Easter shop is done on Saturday ...
    ("Good Friday", 2): "Easter Sunday",  # ... and many shops close early on Sunday
    ("Independence Day", -1): "Day before Independence Day",  # shopping for the 4th is done the day before
    ("Thanksgiving Day", -2): "Two days before Thanksgiving",  # the feast is bought on Tuesday ...
    ("Thanksgiving Day", -1): "Day before Thanksgiving",  # ... and Wednesday
    ("Thanksgiving Day", 1): "Day after Thanksgiving",  # Black Friday: shoppers are elsewhere ...
    ("Thanksgiving Day", 2): "Two days after Thanksgiving",  # ... and the cupboards are full
    ("Christmas Day", -2): "Two days before Christmas",  # the largest grocery day of the year
    ("Christmas Day", -1): "Christmas Eve",  # early closing
    ("Christmas Day", 1): "Day after Christmas",  # returns, and the first day open again
    ("New Year's Day", -1): "New Year's Eve",  # party shopping and early closing
}


def special_days(first: date, last: date, extra: Mapping[date, str] | None = None) -> dict[date, str]:
    """Name of each special day from `first` to `last`, both included, in date order.

    `extra` adds a company's own days (launches, closed days, outages explained); a day that has a name in the
    calendar already keeps it in front: "Christmas Day, closed". ValueError if `last` lies before `first`.
    """
    if last < first:
        raise ValueError(f"The last day {last} lies before the first day {first}.")
    named = _holidays(range(first.year, last.year + 2))  # New Year's Eve hangs on the next year's holiday
    special = {**_neighbours(named), **named}
    for day, name in (extra or {}).items():
        special[day] = f"{special[day]}, {name}" if day in special else name
    return {day: special[day] for day in sorted(special) if first <= day <= last}


def closed(first: date, last: date, closed_on: Iterable[str]) -> dict[date, str]:
    """Days from `first` to `last` on which the doors stay shut: `closed_on` holds "MM-DD" or "YYYY-MM-DD" texts.

    >>> closed(date(2017, 12, 1), date(2018, 1, 1), ["12-25"])
    {datetime.date(2017, 12, 25): 'closed'}

    Raises ValueError on a text that is neither; "02-29" is met in leap years only.
    """
    texts = set(closed_on)
    for text in texts:
        date.fromisoformat(text if len(text) == 10 else f"2000-{text}")
    return {day: "closed" for day in _days(first, last) if texts & {day.isoformat(), day.isoformat()[5:]}}


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _holidays(years: Iterable[int]) -> dict[date, str]:
    years = list(years)
    exchange = holidays.financial_holidays("NYSE", years=years)
    federal = holidays.country_holidays("US", years=years)
    return {**dict(exchange.items()), **dict(federal.items())}


def _neighbours(named: Mapping[date, str]) -> dict[date, str]:
    return {
        day + timedelta(days=distance): text
        for day, name in named.items()
        for (holiday, distance), text in NEIGHBOURS.items()
        if holiday in name.split("; ")
    }
