"""Who carries how much of the rota, and what a change of it moves.

Hours are real elapsed hours, so a night across a clock change has its true length of 7 or 9. A night runs from 22:00
to 06:00, a weekend is Saturday and Sunday, a holiday is a day with a name: all on the wall clock of the rota's zone.
These three overlap: an hour of Christmas night on a Sunday counts in each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from runner.config.promise import WEEKDAYS
from runner.plan.calendar import instant, local_day
from runner.plan.oncall import Shift

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_NONE = timedelta()


@dataclass(frozen=True)
class Share:
    """One person's part, in hours: as primary, of these at night, on weekends and on holidays; and as secondary."""

    who: str
    hours: float
    nights: float
    weekends: float
    holidays: float
    secondary_hours: float


@dataclass(frozen=True)
class Held:
    """A named holiday (a local day) on which somebody was primary, and for how many of its hours."""

    day: date
    name: str
    who: str
    hours: float


@dataclass(frozen=True)
class Change:
    """A span, in UTC and without its end, in which another person is on call: primary and secondary, before and after.

    A role that does not change holds the same person before and after.
    """

    start: datetime
    end: datetime
    before: str
    after: str
    secondary_before: str | None
    secondary_after: str | None


@dataclass(frozen=True)
class Turn:
    """A span in which a change moves one person from one role to another: primary, secondary or off duty."""

    start: datetime
    end: datetime
    before: str
    after: str


@dataclass(frozen=True)
class _Piece:
    """A part of a shift that lies in one local day, and either in its night hours or in the others."""

    shift: Shift
    day: date
    night: bool
    length: timedelta


def tally(shifts: Iterable[Shift], zone: ZoneInfo, calendar: Callable[[date], str]) -> tuple[Share, ...]:
    """What each person carries, ordered by their keys; whoever has no shift is not named.

    `calendar` gives the name of a local day that is a holiday, else "" (`BusinessCalendar.holiday` will do: the name
    of a weekday makes no holiday).
    """
    return _shares(_pieces(shifts, zone), _once(calendar))


def by_year(
    shifts: Iterable[Shift], zone: ZoneInfo, calendar: Callable[[date], str]
) -> Mapping[int, tuple[Share, ...]]:
    """The tally of each local calendar year, in order. A shift across New Year counts in both, by its hours."""
    years: dict[int, list[_Piece]] = defaultdict(list)
    for piece in _pieces(shifts, zone):
        years[piece.day.year].append(piece)
    named = _once(calendar)
    return {year: _shares(pieces, named) for year, pieces in sorted(years.items())}


def held(shifts: Iterable[Shift], zone: ZoneInfo, calendar: Callable[[date], str]) -> tuple[Held, ...]:
    """Who was primary on each named holiday, in order of days and of duty within the day."""
    named = _once(calendar)
    lengths: dict[tuple[date, str], timedelta] = defaultdict(timedelta)
    for piece in _pieces(shifts, zone):
        if named(piece.day):
            lengths[piece.day, piece.shift.primary] += piece.length
    return tuple(Held(day, named(day), who, length / _HOUR) for (day, who), length in lengths.items())


def holders(holidays: Iterable[Held]) -> Mapping[str, Mapping[int, str]]:
    """Holiday -> year -> who had most of its hours (of equals, who was first): shows a holiday that stays with one."""
    hours: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    for holiday in holidays:
        hours[holiday.name][holiday.day.year][holiday.who] += holiday.hours
    return {
        name: {year: max(people, key=people.__getitem__) for year, people in years.items()}
        for name, years in hours.items()
    }


def difference(before: tuple[Shift, ...], after: tuple[Shift, ...]) -> tuple[Change, ...]:
    """The spans in which people differ, in order; neighbours with the same people are one.

    Both are the contiguous shifts of one window, which the caller begins now: the past does not change. Raises
    ValueError where the windows differ.
    """
    if _window(before) != _window(after):
        raise ValueError("the shifts before and after cover different windows. Cut both to one")
    changes: list[Change] = []
    for change in _changes(before, after):
        last = changes[-1] if changes else None
        if last and last.end == change.start and _people(last) == _people(change):
            changes[-1] = Change(last.start, change.end, *_people(last))
        else:
            changes.append(change)
    return tuple(changes)


def gains(changes: Iterable[Change], role: Literal["primary", "secondary"] = "primary") -> Mapping[str, float]:
    """Hours that each person gains (or loses, below zero) in a role, by key.

    Who loses as much as they gain stands here with 0. As primary the gains of all people add up to zero.
    """
    moved: dict[str, timedelta] = defaultdict(timedelta)
    for change in changes:
        old, new = _role(change, role)
        if old == new:
            continue
        if old is not None:
            moved[old] -= change.end - change.start
        if new is not None:
            moved[new] += change.end - change.start
    return {who: length / _HOUR for who, length in sorted(moved.items())}


def touched(changes: Iterable[Change]) -> frozenset[str]:
    """Everyone whose own duty changes, in either role: these are told."""
    changes = tuple(changes)
    return frozenset(gains(changes)) | frozenset(gains(changes, "secondary"))


def turns(changes: Iterable[Change], who: str) -> tuple[Turn, ...]:
    """Where changes, given in order, move one person's own role; neighbours with the same roles are one."""
    found: list[Turn] = []
    for change in changes:
        was = _part(who, change.before, change.secondary_before)
        is_ = _part(who, change.after, change.secondary_after)
        last = found[-1] if found else None
        if last and (last.end, last.before, last.after) == (change.start, was, is_):
            found[-1] = Turn(last.start, change.end, was, is_)
        elif was != is_:
            found.append(Turn(change.start, change.end, was, is_))
    return tuple(found)


def _part(who: str, primary: str | None, secondary: str | None) -> str:
    return "primary" if who == primary else "secondary" if who == secondary else "off duty"


def _once(calendar: Callable[[date], str]) -> Callable[[date], str]:
    """The holiday of a day without mere weekdays, asked for once a day."""

    @cache
    def named(day: date) -> str:
        name = calendar(day)
        return "" if name in WEEKDAYS else name

    return named


def _pieces(shifts: Iterable[Shift], zone: ZoneInfo) -> Iterator[_Piece]:
    for shift in shifts:
        day, reached = local_day(shift.start, zone), shift.start
        while reached < shift.end:
            for start, end, night in _parts(day, zone):
                length = min(end, shift.end) - max(start, shift.start)
                if length > _NONE:
                    yield _Piece(shift, day, night, length)
                reached = end
            day += _DAY


def _parts(day: date, zone: ZoneInfo) -> tuple[tuple[datetime, datetime, bool], ...]:
    """The night, the day and the night again of one local day, in UTC; days follow each other without a gap."""
    midnight, morning, evening = (instant(day, time(hour), zone) for hour in (0, 6, 22))
    return (
        (midnight, morning, True),
        (morning, evening, False),
        (evening, instant(day + _DAY, time(0), zone), True),
    )


def _shares(pieces: Iterable[_Piece], named: Callable[[date], str]) -> tuple[Share, ...]:
    lengths: dict[str, list[timedelta]] = defaultdict(lambda: [_NONE] * 5)
    for piece in pieces:
        counts = (True, piece.night, piece.day.weekday() >= 5, bool(named(piece.day)), False)
        _add(lengths[piece.shift.primary], counts, piece.length)
        if piece.shift.secondary is not None:
            lengths[piece.shift.secondary][-1] += piece.length
    return tuple(Share(who, *(length / _HOUR for length in lengths[who])) for who in sorted(lengths))


def _add(sums: list[timedelta], counts: tuple[bool, ...], length: timedelta) -> None:
    for column, counted in enumerate(counts):
        if counted:
            sums[column] += length


def _window(shifts: tuple[Shift, ...]) -> tuple[datetime, datetime] | None:
    return (shifts[0].start, shifts[-1].end) if shifts else None


def _changes(before: tuple[Shift, ...], after: tuple[Shift, ...]) -> Iterator[Change]:
    """Each span in which one shift of before meets one of after with other people."""
    left = right = 0
    while left < len(before) and right < len(after):
        old, new = before[left], after[right]
        end = min(old.end, new.end)
        if (old.primary, old.secondary) != (new.primary, new.secondary):
            yield Change(max(old.start, new.start), end, old.primary, new.primary, old.secondary, new.secondary)
        left += old.end == end
        right += new.end == end


def _people(change: Change) -> tuple[str, str, str | None, str | None]:
    return change.before, change.after, change.secondary_before, change.secondary_after


def _role(change: Change, role: Literal["primary", "secondary"]) -> tuple[str | None, str | None]:
    if role == "primary":
        return change.before, change.after
    return change.secondary_before, change.secondary_after
