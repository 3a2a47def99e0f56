"""The words of a duty's rhythm, and what they mean.

Five forms, in words that a person reads aloud::

    daily by 06:00                              every day
    Mondays by 10:00                            every week
    every 2 weeks on Monday by 10:00            counted from the first such day on or after the duty's begin
    every quarter by day 10 at 10:00            10 January, April, July and October
    twice a year by day 15 at 10:00             15 January and July
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from enum import StrEnum

from runner.config.promise import WEEKDAYS

_TIME = r"(?P<at>(?:[01]\d|2[0-3]):[0-5]\d)"
_DAY = rf"(?P<weekday>{'|'.join(WEEKDAYS)})"
_MONTHDAY = r"day (?P<day>[1-9]|1\d|2[0-8])"  # every month has it


class Every(StrEnum):
    """What a rhythm counts."""

    DAY = "day"
    WEEK = "week"
    QUARTER = "quarter"
    HALF_YEAR = "half year"


@dataclass(frozen=True)
class Rhythm:
    """How often, at which wall-clock time: a `weekday` (0 is Monday) of every so many `weeks`, or a month's `day`."""

    every: Every
    at: time
    weekday: int | None = None
    weeks: int = 1
    day: int | None = None


_FORMS: tuple[tuple[Every, str], ...] = (
    (Every.DAY, rf"daily by {_TIME}"),
    (Every.WEEK, rf"{_DAY}s by {_TIME}"),
    (Every.WEEK, rf"every (?P<weeks>[2-9]|[1-4]\d|5[0-2]) weeks on {_DAY} by {_TIME}"),
    (Every.QUARTER, rf"every quarter by {_MONTHDAY} at {_TIME}"),
    (Every.HALF_YEAR, rf"twice a year by {_MONTHDAY} at {_TIME}"),
)


def parse(text: str) -> Rhythm:
    """The rhythm that the words mean. Raises ValueError with the forms there are."""
    for every, form in _FORMS:
        found = re.fullmatch(form, text.strip())
        if found:
            return _rhythm(every, found.groupdict())
    raise ValueError(
        "write one of: daily by 06:00; Mondays by 10:00; every 2 weeks on Monday by 10:00 (2 to 52 weeks); "
        "every quarter by day 10 at 10:00; twice a year by day 15 at 10:00 (day 1 to 28)"
    )


def _rhythm(every: Every, parts: dict[str, str]) -> Rhythm:
    return Rhythm(
        every,
        time.fromisoformat(parts["at"]),
        WEEKDAYS.index(parts["weekday"]) if "weekday" in parts else None,
        int(parts.get("weeks", 1)),
        int(parts["day"]) if "day" in parts else None,
    )
