"""Where the marks of a chart lie, in per cent of its width and height, so that it is as wide as its place. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeGuard, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")
_HOUR = timedelta(hours=1)
#: A mark narrower than this cannot be seen.
THINNEST = 0.4
#: An axis of hours has at most so many marks with a word.
_MARKS = 8
_STEPS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168)


@dataclass(frozen=True)
class Bar:
    """A stretch from the left edge `x`, so wide; cut where it would leave the chart."""

    x: float
    width: float


@dataclass(frozen=True)
class Mark:
    """A place on an axis and the instant that stands there."""

    x: float
    at: datetime


@dataclass(frozen=True)
class TimeAxis:
    """A stretch of time laid out from left to right."""

    first: datetime
    last: datetime

    def at(self, instant: datetime) -> float:
        """Where an instant lies; the edge where it lies beyond it."""
        return round(min(100.0, max(0.0, 100 * ((instant - self.first) / (self.last - self.first)))), 3)

    def holds(self, instant: datetime) -> bool:
        """Whether an instant lies within."""
        return self.first <= instant <= self.last

    def bar(self, first: datetime, last: datetime) -> Bar | None:
        """The stretch between two instants, never too thin to be seen; None where none of it lies within."""
        if last < self.first or first > self.last or last < first:
            return None
        left, right = self.at(first), self.at(last)
        width = max(THINNEST, right - left)
        return Bar(min(left, 100 - width), round(width, 3))

    def hours(self, zone: ZoneInfo) -> tuple[Mark, ...]:
        """Whole hours of a zone's clock, as many as can be told apart."""
        length = (self.last - self.first) / _HOUR
        step = next((step for step in _STEPS if length / step <= _MARKS), _STEPS[-1])
        found, at = [], _whole_hour(self.first, zone)
        while at <= self.last:
            local = at.astimezone(zone)
            if at >= self.first and local.hour % min(step, 24) == 0:
                found.append(Mark(self.at(at), at))
            at += _HOUR
        return tuple(found)


def _whole_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    """The last whole hour of a zone's clock up to an instant, in the instant's own zone."""
    local = instant.astimezone(zone)
    return instant - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def day_axis(instants: Iterable[datetime], now: datetime, day: tuple[datetime, datetime], zone: ZoneInfo) -> TimeAxis:
    """The hours of a day in which something happens, now among them: whole ones of a zone's clock, six at least."""
    inside = [at for at in (*instants, now) if day[0] <= at <= day[1]]
    first, last = min(inside, default=day[0]), max(inside, default=day[1])
    # A little air, so that no mark and no word stands at the very edge.
    first, last = _whole_hour(first - _HOUR / 4, zone), _whole_hour(last + _HOUR * 1.25, zone)
    if last - first < 6 * _HOUR:
        last = first + 6 * _HOUR
    return TimeAxis(first, last)


# A number over time.


@dataclass(frozen=True)
class Sample:
    """One value of a series, and the range that it was expected in, where one is known."""

    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Dot:
    """Where one value lies, counted from the upper left corner; `index` is its place in the series."""

    x: float
    y: float
    index: int


@dataclass(frozen=True)
class Curve:
    """A series drawn: its dots, its lines and the areas of the expected range as points of SVG, its lowest and highest.

    `lines` are interrupted where a value is not there, `areas` where no range is known.
    """

    dots: tuple[Dot, ...]
    lines: tuple[str, ...]
    areas: tuple[str, ...]
    low: float
    high: float


#: Room above the highest and below the lowest mark, in per cent.
_AIR = 8.0


def curve(samples: Sequence[Sample]) -> Curve | None:
    """A series of numbers, evenly spaced; None where there is no number in it."""
    values = [one.value for one in samples if _is_number(one.value)]
    known = [edge for one in samples for edge in (one.value, one.lower, one.upper) if _is_number(edge)]
    if not values:
        return None
    low, high = min(known), max(known)
    frame = _Frame(len(samples), low, high)
    places = [
        Dot(frame.x(at), frame.y(one.value), at) if _is_number(one.value) else None for at, one in enumerate(samples)
    ]
    lines = tuple(_points(run) for run in _runs(places) if len(run) > 1)
    return Curve(tuple(dot for dot in places if dot), lines, tuple(frame.areas(samples)), low, high)


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


@dataclass(frozen=True)
class _Frame:
    count: int
    low: float
    high: float

    def x(self, at: int) -> float:
        return 50.0 if self.count == 1 else round(1.5 + 97 * at / (self.count - 1), 3)

    def y(self, value: float) -> float:
        if self.high == self.low:
            return 50.0
        # Halved first: the distance of two very large numbers may be no number any more.
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(100 - _AIR - (100 - 2 * _AIR) * share, 3)

    def areas(self, samples: Sequence[Sample]) -> Iterable[str]:
        """The expected range, each stretch of it up along the upper edge and back along the lower."""
        half = 48.5 / max(1, self.count - 1)
        ranges = [
            (at, self.y(one.lower), self.y(one.upper)) if _is_number(one.lower) and _is_number(one.upper) else None
            for at, one in enumerate(samples)
        ]
        for run in _runs(ranges):
            # Half a step to both sides, so that a range known for one day alone is seen.
            edges = [(max(0.0, self.x(at) - half), low, up) for at, low, up in run[:1]]
            edges += [(self.x(at), low, up) for at, low, up in run]
            edges += [(min(100.0, self.x(at) + half), low, up) for at, low, up in run[-1:]]
            above = [f"{x:.2f},{up:.2f}" for x, _, up in edges]
            below = [f"{x:.2f},{low:.2f}" for x, low, _ in reversed(edges)]
            yield " ".join([*above, *below])


def _runs(items: Sequence[T | None]) -> list[list[T]]:
    """What stands together without a gap."""
    found = []
    for there, group in groupby(items, key=lambda item: item is not None):
        if there:
            found.append([item for item in group if item is not None])
    return found


def _points(dots: Iterable[Dot]) -> str:
    return " ".join(f"{dot.x:.2f},{dot.y:.2f}" for dot in dots)
