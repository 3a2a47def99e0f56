"""Who is on call now and in any month, why, and who carries how much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from runner.plan import fairness
from runner.plan import swaps as rules
from runner.plan.calendar import Span, instant, local_day
from runner.plan.fairness import Share
from runner.plan.months import Day, Month, month_after, months, stints
from runner.plan.oncall import Clock, Shift
from runner.scheduler import oncall, roster
from runner.scheduler.oncall import Look
from runner.web.access import ENGINEER
from runner.web.engineers import People, Person
from runner.web.oncall import EARLIEST, LATEST, READ, look, moment, with_rota, zone_of
from runner.web.page import Page
from runner.web.visit import Visit

#: Months that one page shows, and how many ahead of this one there are.
SHOWN, FURTHEST = 3, 24
#: How far ahead one's own next shift is looked for.
_NEAR = timedelta(days=26 * 7)
_SECOND, _WEEK = timedelta(seconds=1), timedelta(days=7)


# The calendar.


@dataclass(frozen=True)
class Turn:
    """One person's part of a day or week: since when, up to when, why, and who steps in."""

    person: Person
    start: datetime
    end: datetime
    secondary: str
    why: str
    kind: str
    offered: tuple[str, ...] = ()

    def goes_on_as(self, other: Turn) -> bool:
        """Whether what follows is the same to whoever looks at it."""
        return (self.person, self.why, self.offered) == (other.person, other.why, other.offered)


@dataclass(frozen=True)
class Cell:
    """A day of the calendar, its turns, and whether it has been, and is on record."""

    day: Day
    turns: tuple[Turn, ...]
    past: bool
    kept: bool

    def begins(self, turn: Turn) -> bool:
        """Whether a turn takes over within the day."""
        return turn.start > self.day.start


@with_rota
def rota(visit: Visit) -> Response:
    """Who is on call now and next; three months; what is asked of the visitor."""
    seen = look(visit, visit.now, visit.now + _NEAR)
    asked = visit.query.get("month", "")[:READ]
    bounds = _first(seen), month_after(_this_month(seen), FURTHEST)
    first, error = _month(asked, _this_month(seen), bounds)
    return visit.page(
        "rota.html.j2",
        422 if error else 200,
        error=error,
        turns=_now_and_next(visit, seen),
        mine=_mine(visit, seen),
        waiting=[swap for swap in seen.rota.swaps if "accept" in rules.may(swap, visit.visitor.who, visit.now)],
        seen=seen,
        first=first,
        lowest=bounds[0],
        highest=bounds[1],
        before=max(bounds[0], month_after(first, -SHOWN)) if first > bounds[0] else None,
        after=min(bounds[1], month_after(first, SHOWN)) if first < bounds[1] else None,
        this=_this_month(seen),
        **_calendar(visit, first),
    )


def _calendar(visit: Visit, first: date) -> dict[str, Any]:
    """Months as a grid and as a list of weeks, and who and what is in them."""
    zone = zone_of(visit)
    span = Span(*(instant(day, time(), zone) for day in (first, month_after(first, SHOWN))))
    seen = look(visit, span.first, span.last)
    painter = _Painter(visit, seen)
    shown = months(seen.rota, first, SHOWN, roster.holiday_of(visit.project))
    weeks = painter.weeks(span.first, span.last)
    turns = [turn for _, found in weeks for turn in found]
    return {
        "months": [(month, painter.rows(month)) for month in shown],
        "weeks": weeks,
        "holidays": [day for month in shown for day in month.days if day.holiday],
        "people": People(visit).of({turn.person.key for turn in turns}),
        "kinds": {turn.kind for turn in turns} | {"offered" for turn in turns if turn.offered},
        "away": [(seen.name(span.who), seen.sentence(span.said)) for span in seen.rota.absences(span.first, span.last)],
        "unkept": seen.since if span.first < seen.since else None,
    }


class _Painter:
    """Shifts -> turns and cells, for one visitor."""

    def __init__(self, visit: Visit, seen: Look) -> None:
        self._seen, self._people, self._now = seen, People(visit), visit.now
        self._offers = [swap for swap in seen.rota.swaps if rules.state_of(swap, visit.now) == "offered"]

    def weeks(self, first: datetime, last: datetime) -> list[tuple[date, list[Turn]]]:
        """The turns of the rota's weeks that touch a span, whole, each below the day on which its week begins."""
        clock = Clock.of(self._seen.rota.rules)
        start, end = clock.hand_off(clock.week_of(first)), clock.hand_off(clock.week_of(last - _SECOND) + _WEEK)
        shifts = groupby(self._seen.rota.shifts(start, end), lambda shift: clock.week_of(shift.start))
        return [(week, self.turns(found)) for week, found in shifts]

    def turns(self, shifts: Iterable[Shift]) -> list[Turn]:
        """Turns; neighbours that look the same are one."""
        found: list[Turn] = []
        for turn in (part for shift in shifts for part in self._parts(shift)):
            last = found[-1] if found else None
            if last and last.goes_on_as(turn):
                found[-1] = replace(last, end=turn.end, secondary=_both(last.secondary, turn.secondary))
            else:
                found.append(turn)
        return found

    def _parts(self, shift: Shift) -> Iterable[Turn]:
        """A shift, cut where hours of it begin or cease to be offered in a swap."""
        legs = [(leg, swap.swap) for swap in self._offers for leg in (swap.give, swap.take)]
        cuts = {bound for leg, _ in legs for bound in (leg.start, leg.end) if shift.start < bound < shift.end}
        bounds = sorted({shift.start, shift.end} | cuts)
        seen = self._seen
        for start, end in pairwise(bounds):
            offered = tuple(number for leg, number in legs if leg.start <= start < leg.end)
            secondary = seen.name(shift.secondary)
            yield Turn(self._people[shift.primary], start, end, secondary, seen.why(shift), seen.kind(shift), offered)

    def rows(self, month: Month) -> list[list[Cell | None]]:
        """The rows of a month."""
        return [[self._cell(day) if day else None for day in week] for week in month.weeks]

    def _cell(self, day: Day) -> Cell:
        kept = self._seen.is_kept(day.start)
        return Cell(day, tuple(self.turns(day.shifts)), day.end <= self._now, kept)


def _both(one: str, other: str) -> str:
    return one if other in one.split(", then ") else f"{one}, then {other}"


def _this_month(seen: Look) -> date:
    return local_day(seen.now, seen.rota.zone).replace(day=1)


def _first(seen: Look) -> date:
    """The first month of the record."""
    return min(local_day(seen.since, seen.rota.zone).replace(day=1), _this_month(seen))


def _month(asked: str, this: date, bounds: tuple[date, date]) -> tuple[date, str]:
    """The month that is asked for; this one with a sentence about what is wrong where there is none."""
    if not asked:
        return this, ""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", asked) or asked < "0001":
        return this, f"“{asked}” is no month. Write it like {this:%Y-%m}."
    found = date(int(asked[:4]), int(asked[5:]), 1)
    if not bounds[0] <= found <= bounds[1]:
        words = f"The calendar goes from {bounds[0]:%B %Y}, where the record begins, to {bounds[1]:%B %Y}."
        return this, f"{found:%B %Y} is not there. {words}"
    return found, ""


def _now_and_next(visit: Visit, seen: Look) -> list[Turn]:
    """Who is primary now, and the next who is somebody else."""
    people, found = People(visit), list[Turn]()
    at = visit.now
    while len(found) < 2 and at < visit.now + _NEAR:
        shift = seen.rota.at(at)
        if not found or found[-1].person.key != shift.primary:
            words = seen.why(shift), seen.kind(shift)
            found.append(Turn(people[shift.primary], shift.start, shift.end, seen.name(shift.secondary), *words))
        elif len(found) == 1:
            found[0] = replace(found[0], end=shift.end)
        at = shift.end
    return found


def _mine(visit: Visit, seen: Look) -> Shift | None:
    """The visitor's next turn as primary."""
    shifts = stints(seen.rota, visit.now, visit.now + _NEAR)
    return next((shift for shift in shifts[1:] if shift.primary == visit.visitor.who), None)


# Why.


@with_rota
def why(visit: Visit) -> Response:
    """Who is on call at an instant, by which rules, from the weakest to the strongest."""
    zone = zone_of(visit)
    own = visit.query.get("clock", "") == "mine"
    clock = visit.zone if own else zone
    typed = {name: visit.query.get(name, "")[:READ] for name in ("at", "date", "time")}
    at, error = _instant(typed, clock, visit.now)
    shown = at.astimezone(clock) if at else None
    data: dict[str, Any] = {
        "error": error,
        "date": f"{shown:%Y-%m-%d}" if shown else typed["date"] or typed["at"],
        "time": f"{shown:%H:%M}" if shown else typed["time"],
        "mine": own,
        "rota_zone": zone,
        "differ": str(zone) != str(visit.zone),
    }
    if at is None:
        return visit.page("why.html.j2", 422, found=None, **data)
    seen = look(visit, at, at + timedelta(seconds=1))
    shift = seen.rota.at(at)
    return visit.page("why.html.j2", found=shift, at=at, seen=seen, person=People(visit)[shift.primary], **data)


def _instant(typed: Mapping[str, str], zone: ZoneInfo, now: datetime) -> tuple[datetime | None, str]:
    """The instant that is asked about, without a word the present one; else None and what is wrong."""
    text = typed["at"] or "T".join(part for part in (typed["date"], typed["time"]) if part)
    if not text:
        return now, ""
    try:
        return moment(text, zone), ""
    except ValueError:
        said = f"“{text}” is no date with a time, or not from {EARLIEST} to {LATEST - 1}."
        return None, f"{said} Write them like 2017-12-24 and 10:00."


# Shares.


@with_rota
def shares(visit: Visit) -> Response:
    """Who carries how much of a year."""
    zone = zone_of(visit)
    this = local_day(visit.now, zone).year
    first = min(date.fromisoformat(entry.begins).year for entry in oncall.rules_of(visit.project).rotation)
    bounds = min(first, this), this + FURTHEST // 12
    year, error = _year(visit.query.get("year", "")[:READ], this, bounds)
    span = Span(*(instant(date(bound, 1, 1), time(), zone) for bound in (year, year + 1)))
    seen = look(visit, span.first, span.last)
    case = seen.rota.shifts(span.first, span.last), zone, roster.holiday_of(visit.project)
    people = People(visit)
    found = [(people[share.who], _parts_of(share)) for share in fairness.tally(*case)]
    return visit.page(
        "shares.html.j2",
        422 if error else 200,
        error=error,
        year=year,
        this=this,
        before=year - 1 if year > bounds[0] else None,
        after=year + 1 if year < bounds[1] else None,
        shares=found,
        largest={name: max((parts[name] for _, parts in found), default=0.0) for name in _PARTS},
        parts=_PARTS,
        held=fairness.held(*case),
        person=people,
    )


#: What is shown of a share: its name in the table, and how many hours are one of it.
_PARTS = {"Weeks": 168, "Nights": 8, "Weekends": 48, "Holidays": 24, "Second, weeks": 168}


def _parts_of(share: Share) -> dict[str, float]:
    hours = share.hours, share.nights, share.weekends, share.holidays, share.secondary_hours
    return {name: part / one for (name, one), part in zip(_PARTS.items(), hours, strict=True)}


def _year(asked: str, this: int, bounds: tuple[int, int]) -> tuple[int, str]:
    if not asked:
        return this, ""
    if not re.fullmatch(r"[0-9]{4}", asked) or not bounds[0] <= int(asked) <= bounds[1]:
        return this, f"“{asked}” is no year of the rota. Take one from {bounds[0]} to {bounds[1]}."
    return int(asked), ""


PAGES = (
    Page("/rota", ENGINEER, rota),
    Page("/rota/why", ENGINEER, why),
    Page("/rota/shares", ENGINEER, shares),
)
