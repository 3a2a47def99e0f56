"""Is a day whole? Judged by what its source has by now, by the hours that should not be still, by the usual volume.

Pure: counts go in, a verdict comes out. Only days that were whole and on which the shops were open are a measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from runner.metrics.opening import silent_hours

#: Weeks whose same weekday is the measure of a day, and how many of them must be known for it to be judged.
WEEKS, ENOUGH = 8, 3


@dataclass(frozen=True)
class Counts:
    """The rows of one day: all of them, and those of each hour where the table has a time."""

    day: date
    rows: int
    hours: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What holds for a table: its zone and lateness, the least share of usual rows, whether its hours are known.

    `closed` says of a day whether the shops stay shut, `closing` from which hour on nothing is expected.
    """

    zone: ZoneInfo
    delay: timedelta = timedelta(0)
    least: float = 0.5
    timed: bool = False
    closed: frozenset[date] = frozenset()
    closing: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Whether a day is whole, and if it is not, why: one clause each, without a full stop."""

    whole: bool
    lacks: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """All clauses as one."""
        return "; ".join(self.lacks)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which a day ends on the clocks of a zone; such a day has 23 to 25 hours."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def due(day: date, rules: Rules, now: datetime) -> datetime:
    """Up to which instant the data of a day should be there by now: its end, or what may still be under way before."""
    return min(end_of(day, rules.zone), now - rules.delay)


def judge(counts: Counts, past: Sequence[Counts], rules: Rules, upto: datetime | None, now: datetime) -> Verdict:
    """Whether a day is whole. `upto` is the source's own watermark; without one, time and lateness stand for it.

    `past` may hold any whole days; those of the same weekday in the eight weeks before are the measure.
    A day that is still under way lacks nothing as long as what should be there by now is there, yet it is not whole.
    """
    end, wanted = end_of(counts.day, rules.zone), due(counts.day, rules, now)
    known = now - rules.delay if upto is None else min(upto, now)  # nobody has what has not happened yet
    lacks = [] if known >= wanted else [f"there is everything up to {clock(known, rules.zone)} only"]
    measure = usual(counts.day, past, rules)
    is_over = known >= end
    if counts.day not in rules.closed:
        lacks += _still(counts, measure, rules, min(known, wanted))
        lacks += _few(counts, measure, rules) if is_over else []
    return Verdict(is_over and not lacks, tuple(lacks))


def usual(day: date, past: Sequence[Counts], rules: Rules) -> tuple[Counts, ...]:
    """The days that a day is measured by: the same weekday of the eight weeks before, without closed days."""
    wanted = {day - timedelta(weeks=week) for week in range(1, WEEKS + 1)} - rules.closed
    return tuple(one for one in past if one.day in wanted)


def _still(counts: Counts, measure: Sequence[Counts], rules: Rules, until: datetime) -> list[str]:
    """The busy hours without a row, of those that were over at an instant."""
    if not rules.timed or len(measure) < ENOUGH:  # what one week had is no habit
        return []
    least = {hour: min(one.hours.get(hour, 0) for one in measure) for hour in range(24)}
    closing = min(rules.closing.get(counts.day, 24), _hours_over(counts.day, until, rules.zone))
    silent = silent_hours(counts.hours, least, closing)
    if not silent:
        return []
    named = ", ".join(f"{hour}:00" for hour in silent)
    return [f"there is nothing of {named}, when it is always busy"]


def _hours_over(day: date, until: datetime, zone: ZoneInfo) -> int:
    """How many whole hours of a day are over at an instant."""
    local = until.astimezone(zone)
    if local.date() == day:
        return local.hour
    return 24 if local.date() > day else 0


def _few(counts: Counts, measure: Sequence[Counts], rules: Rules) -> list[str]:
    if counts.day in rules.closing or len(measure) < ENOUGH:  # a short day has fewer rows, and nobody knows how many
        return []
    middle = median(one.rows for one in measure)
    if counts.rows >= rules.least * middle:
        return []
    return [f"it has {counts.rows:,} rows, less than {rules.least:.0%} of the usual {middle:,.0f}"]


def clock(at: datetime, zone: ZoneInfo) -> str:
    """An instant for people, like `21:10 on 15 November 2017`."""
    local = at.astimezone(zone)
    return f"{local:%H:%M} on {local.day} {local:%B %Y}"


def named(day: date) -> str:
    """A day for people, like `15 November 2017`."""
    return f"{day.day} {day:%B %Y}"
