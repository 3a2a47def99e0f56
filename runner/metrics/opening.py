"""When shops are open, and which of their hours are too still: by `config/holidays.yml` and the weeks before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from runner.metrics import calendar

#: Till lines that an hour must have had in each of the weeks before to be expected again; one basket holds about nine,
#: and below this an empty hour is chance (it would have been reported on one day in eight of 2017).
BUSY = 20


def special_days(first: date, last: date, config: Mapping[str, Any]) -> dict[date, str]:
    """Holidays, their neighbours and the company's own days (config/holidays.yml), by day."""
    own = {day if isinstance(day, date) else date.fromisoformat(str(day)): str(name)
           for day, name in (config.get("named") or {}).items()}  # fmt: skip
    return calendar.special_days(first, last, {**closed_days(first, last, config), **own})


def closed_days(first: date, last: date, config: Mapping[str, Any]) -> dict[date, str]:
    """Days on which the shops stay shut (config/holidays.yml), by day."""
    return calendar.closed(first, last, [str(day) for day in config.get("closed_on") or []])


def closing_hour(day: date, config: Mapping[str, Any]) -> int:
    """The hour from which nothing is expected on a day: 24, or earlier on the days of `closes_early`."""
    early = config.get("closes_early") or {}
    if not early:
        return 24
    names = special_days(day, day, config).get(day, "")
    return min((int(hour) for name, hour in early.items() if str(name) in names), default=24)


def silent_hours(lines: Mapping[int, int], least: Mapping[int, float], closing: int = 24) -> tuple[int, ...]:
    """The hours without a line that always had at least BUSY in the weeks before; none from `closing` on."""
    always = (hour for hour in range(min(closing, 24)) if least.get(hour, 0) >= BUSY)
    return tuple(hour for hour in always if not lines.get(hour, 0))
