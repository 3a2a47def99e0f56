"""The words in which a deadline is promised, and what they mean.

One grammar for every report, in words that a person reads aloud::

    within 6 hours of experiment start      elapsed time, from the table of experiments
    by 09:00 next business day              the first business day after the day reported
    daily by 10:00                          the day after the day reported, whatever day it is
    business days by 10:00                  every business day, about the day before it
    Mondays by 08:00                        every week, about the week that ended

`by 10:00 daily`, `by 10:00 every business day` and `by 08:00 every Monday` say the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TIME = r"(?P<at>(?:[01]\d|2[0-3]):[0-5]\d)"
_DAY = "|".join(WEEKDAYS)


class When(StrEnum):
    """The five kinds of promise."""

    ELAPSED = "elapsed"
    NEXT_BUSINESS_DAY = "next business day"
    DAILY = "daily"
    BUSINESS_DAYS = "business days"
    WEEKLY = "weekly"


@dataclass(frozen=True)
class Promise:
    """What was promised: the kind, and what the kind needs: a time of day, a weekday (Monday is 0), a span."""

    when: When
    at: time | None = None
    weekday: int | None = None
    within: timedelta | None = None


_FORMS: tuple[tuple[When, str], ...] = (
    (When.ELAPSED, r"within (?P<n>\d+) (?P<unit>hours?|minutes?) of experiment start"),
    (When.NEXT_BUSINESS_DAY, rf"by {_TIME} next business day"),
    (When.DAILY, rf"daily by {_TIME}"),
    (When.DAILY, rf"by {_TIME} daily"),
    (When.BUSINESS_DAYS, rf"business days by {_TIME}"),
    (When.BUSINESS_DAYS, rf"by {_TIME} every business day"),
    (When.WEEKLY, rf"(?P<day>{_DAY})s by {_TIME}"),
    (When.WEEKLY, rf"by {_TIME} every (?P<day>{_DAY})"),
)


def parse(text: str) -> Promise:
    """What the words promise. Raises ValueError with the forms there are."""
    for when, form in _FORMS:
        found = re.fullmatch(form, text.strip())
        if found:
            return _promise(when, found.groupdict())
    raise ValueError(
        "write one of: within 6 hours of experiment start; by 09:00 next business day; daily by 10:00; "
        "business days by 10:00; Mondays by 08:00"
    )


def _promise(when: When, parts: dict[str, str]) -> Promise:
    at = time.fromisoformat(parts["at"]) if parts.get("at") else None
    weekday = WEEKDAYS.index(parts["day"]) if parts.get("day") else None
    if when is not When.ELAPSED:
        return Promise(when, at, weekday)
    span = timedelta(minutes=int(parts["n"]) * (60 if parts["unit"].startswith("hour") else 1))
    if not timedelta(minutes=1) <= span <= timedelta(days=31):
        raise ValueError("write a span from 1 minute to 744 hours: within 6 hours of experiment start")
    return Promise(when, within=span)
