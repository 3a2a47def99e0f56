"""Rota, holidays, overrides and swaps -> who is on call, who steps in, and why.

From the weakest rule to the strongest: rotation < holidays < overrides < swaps < away. The secondary is derived last.
Every instant is an aware UTC datetime; every span holds its start and not its end. A shift that the rules make lies
within one week of the rota, hand-off to hand-off, so that the chain of rules behind it is one from start to end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cache, cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import EntityLoader

from runner.config.files import HolidayRule, OnCall
from runner.config.values import local_time, week_time, year_time
from runner.plan.calendar import instant, local_day

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Shift:
    """A span with one primary and one secondary; `because` is the chain of rules that chose them, weakest first."""

    start: datetime
    end: datetime
    primary: str
    secondary: str | None
    because: tuple[str, ...]

    def same_as(self, other: Shift) -> bool:
        """Whether another shift has the same people for the same reasons, whenever it is."""
        return (self.primary, self.secondary, self.because) == (other.primary, other.secondary, other.because)


@dataclass(frozen=True)
class Leg:
    """The span that one of the two gives in a swap."""

    who: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Swap:
    """`give.who` and `take.who` exchange these two spans; `accepted` says who agreed, and when."""

    swap: str
    give: Leg
    take: Leg
    offered_by: str
    offered_at: datetime
    accepted: Mapping[str, datetime]
    undone_at: datetime | None = None

    @property
    def people(self) -> tuple[str, str]:
        """The two who exchange: who gives `give`, and who gives `take`."""
        return self.give.who, self.take.who

    @property
    def agreed(self) -> bool:
        """Whether both have accepted and neither has undone it: only then the rota changes."""
        return self.undone_at is None and set(self.people) <= self.accepted.keys()


@dataclass(frozen=True)
class Span:
    """What one rule says of a span: who is primary in it (or away), and the sentence that explains it."""

    rule: str
    start: datetime
    end: datetime
    who: str
    said: str

    def holds(self, t: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.start <= t < self.end

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether it shares an instant with [start, end)."""
        return self.start < end and start < self.end


@dataclass(frozen=True)
class Rota:
    """The rules of `config/oncall.yml`, the swaps, and the frozen past, which no rule changes.

    `history` is contiguous and in order; the rules take effect at its end. A last frozen shift that the rules go on
    with, the same people for the same reasons, is one shift with what follows: `shifts(history[0].start, now)` is
    therefore the history up to `now`, however often it was extended on the way.

    `known` are the keys of those who can be on duty, None if everybody can. What a rule claims for another has no
    effect, and a swap with another none in either half: it holds whole or not at all.
    """

    rules: OnCall
    swaps: tuple[Swap, ...] = ()
    history: tuple[Shift, ...] = ()
    known: frozenset[str] | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which the rota's wall-clock times are meant."""
        return ZoneInfo(self.rules.time_zone)

    @property
    def people(self) -> frozenset[str]:
        """Everybody whom a rotation, a holiday rule or an override names."""
        lists = (*(entry.order for entry in self.rules.rotation), *(rule.primary for rule in self.rules.holidays))
        return frozenset(name for names in lists for name in names) | {rule.primary for rule in self.rules.overrides}

    def at(self, t: datetime) -> Shift:
        """The whole shift that holds an instant."""
        past = self._past
        if not past:
            return self._rules.at(t)
        if t < past[0].start:
            found = self._rules.at(t)
            return replace(found, end=min(found.end, past[0].start))
        return past[bisect_right(past, t, key=_start) - 1] if t < past[-1].start else self._next_to_past(t)

    def shifts(self, first: datetime, last: datetime) -> tuple[Shift, ...]:
        """The shifts of [first, last), as `at` gives them: contiguous, half-open, cut to it."""
        found = []
        while first < last:
            shift = self.at(first)
            found.append(replace(shift, start=first, end=min(shift.end, last)))
            first = shift.end
        return tuple(found)

    def claims(self, first: datetime, last: datetime) -> tuple[Span, ...]:
        """What holiday rules, overrides and agreed swaps say of [first, last), weakest first; not cut to it."""
        return self._rules.claims(first, last)

    def absences(self, first: datetime, last: datetime) -> tuple[Span, ...]:
        """Who is away in [first, last); not cut to it."""
        return self._rules.absences(first, last)

    def knows(self, *people: str) -> bool:
        """Whether all of these can be on duty."""
        return self.known is None or self.known.issuperset(people)

    def _next_to_past(self, t: datetime) -> Shift:
        """The shift that holds an instant from the last frozen shift on: cut where the past ends, or one with it."""
        last = self._past[-1]
        following = self._rules.at(last.end)
        goes_on = last.same_as(following)
        if t < last.end or (goes_on and t < following.end):
            return replace(last, end=following.end) if goes_on else last
        found = self._rules.at(t)
        return replace(found, start=max(found.start, last.end))

    @cached_property
    def _past(self) -> tuple[Shift, ...]:
        return _merged(self.history)

    @cached_property
    def _rules(self) -> _Rules:
        swaps = tuple(swap for swap in self.swaps if self.knows(*swap.people))
        return _Rules(self.rules, swaps, Clock.of(self.rules), self.known)


@dataclass(frozen=True)
class Clock:
    """The wall clock of a rota: its zone, and the time of the week at which shifts change (Monday is weekday 0)."""

    zone: ZoneInfo
    weekday: int
    at: time

    @classmethod
    def of(cls, rules: OnCall) -> Clock:
        """The clock that `config/oncall.yml` names."""
        return cls(ZoneInfo(rules.time_zone), *week_time(rules.hand_off))

    def hand_off(self, day: date) -> datetime:
        """The instant of the hand-off on a day of the right weekday."""
        return instant(day, self.at, self.zone)

    def first_day(self, day: date) -> date:
        """The first day on or after a day that has a hand-off."""
        return day + timedelta(days=(self.weekday - day.weekday()) % 7)

    def week_of(self, t: datetime) -> date:
        """The day of the last hand-off up to an instant."""
        day = self.first_day(local_day(t, self.zone))
        while self.hand_off(day) > t:
            day -= _WEEK
        return day

    def in_week(self, day: date, when: str) -> datetime:
        """The first `Thursday 09:00` after the hand-off of a day; at the latest the next hand-off."""
        weekday, at = week_time(when)
        days = (weekday - self.weekday) % 7 or (0 if at > self.at else 7)
        return min(instant(day + timedelta(days=days), at, self.zone), self.hand_off(day + _WEEK))

    def once(self, when: str) -> datetime:
        """The instant of `2017-08-01 09:00`."""
        local = local_time(when)
        return instant(local.date(), local.time(), self.zone)

    def words(self, t: datetime) -> str:
        """An instant for people: `Mon 20 Nov 2017 09:00`."""
        local = t.astimezone(self.zone)
        return f"{local:%a} {local.day} {local:%b %Y %H:%M}"

    def short(self, t: datetime) -> str:
        """The same where the year is plain: `Thu 23 Nov 09:00`."""
        local = t.astimezone(self.zone)
        return f"{local:%a} {local.day} {local:%b %H:%M}"


@dataclass(frozen=True)
class _Rules:
    """What the rules say, as if nothing had ever been otherwise."""

    rules: OnCall
    swaps: tuple[Swap, ...]
    clock: Clock
    known: frozenset[str] | None

    def at(self, t: datetime) -> Shift:
        week = self._week(self.clock.week_of(t))
        return week[bisect_right(week, t, key=_start) - 1]

    def claims(self, first: datetime, last: datetime) -> tuple[Span, ...]:
        years = range(first.year - 1, last.year + 2)  # a rule may begin in the year before; a zone may be a day ahead
        yearly = (span for n in range(len(self.rules.holidays)) for year in years for span in self._holiday(n, year))
        spans = (span for span in (*yearly, *self._overrides, *self._swapped) if span.touches(first, last))
        return tuple(span for span in spans if self.known is None or span.who in self.known)

    def absences(self, first: datetime, last: datetime) -> tuple[Span, ...]:
        return tuple(span for span in self._away if span.touches(first, last))

    @cached_property
    def _week(self) -> Callable[[date], tuple[Shift, ...]]:
        return cache(self._shifts_of)

    def _shifts_of(self, day: date) -> tuple[Shift, ...]:
        """The shifts of the week that begins with the hand-off of a day."""
        week = self._base(day)
        claims, away = self.claims(week.start, week.end), self.absences(week.start, week.end)
        bounds = {bound for span in (*claims, *away) for bound in (span.start, span.end)}
        inner = {bound for bound in bounds if week.start < bound < week.end}
        return _merged(
            week.shift(start, end, _holding(claims, start), _holding(away, start))
            for start, end in pairwise(sorted({week.start, week.end} | inner))
        )

    def _base(self, day: date) -> _Week:
        """What the rotation alone says: the newest entry whose first hand-off has come, before all of them the first.

        Before its first hand-off the cycle goes on backwards, so that there is no instant without a primary.
        """
        turn = self._turns[max(bisect_right(self._turns, day, key=lambda turn: turn.first) - 1, 0)]
        place = (day - turn.first).days // 7 % len(turn.order)
        order = turn.order[place:] + turn.order[:place]
        start, end = self.clock.hand_off(day), self.clock.hand_off(day + _WEEK)
        said = f"Rotation of {turn.name}: {order[0]} has the week from {self.clock.words(start)}."
        return _Week(start, end, order, said)

    @cached_property
    def _turns(self) -> tuple[_Turn, ...]:
        entries = sorted((date.fromisoformat(entry.begins), entry.order) for entry in self.rules.rotation)
        return tuple(_Turn(self.clock.first_day(day), f"{day.day} {day:%b %Y}", order) for day, order in entries)

    @cached_property
    def _holiday(self) -> Callable[[int, int], tuple[Span, ...]]:
        """What a holiday rule, by its number, says of the holidays of a year."""
        return cache(lambda number, year: tuple(self._parts(self.rules.holidays[number], year)))

    def _parts(self, rule: HolidayRule, year: int) -> Iterator[Span]:
        name = f"Holiday rule '{rule.name}'"
        for bounds in self._bounds(rule, year):
            for (start, end), who in zip(pairwise(bounds), rule.primary, strict=True):
                said = f"{name}: {who} until {self.clock.short(end)}."
                if start < end:
                    yield Span(name, start, end, who, said)

    def _bounds(self, rule: HolidayRule, year: int) -> Iterator[list[datetime]]:
        """The bounds of a rule's parts, each time that it comes in a year."""
        if rule.begins and rule.ends:
            later = year_time(rule.ends) < year_time(rule.begins)
            yield [self._yearly(year, rule.begins), self._yearly(year + later, rule.ends)]
        for holiday in holiday_days(self.rules.holiday_calendar, rule.week_of or "", year):
            week = self.clock.week_of(instant(holiday, time(12), self.clock.zone))
            cuts = sorted(self.clock.in_week(week, cut) for cut in rule.cuts)
            yield [self.clock.hand_off(week), *cuts, self.clock.hand_off(week + _WEEK)]

    def _yearly(self, year: int, when: str) -> datetime:
        month, day, at = year_time(when)
        return instant(date(year, month, day), at, self.clock.zone)

    @cached_property
    def _overrides(self) -> tuple[Span, ...]:
        spans = []
        for entry in self.rules.overrides:
            start, end = self.clock.once(entry.begins), self.clock.once(entry.ends)
            said = f"Override: {entry.primary} until {self.clock.words(end)} ({entry.because.rstrip('.')})."
            spans.append(Span("Override", start, end, entry.primary, said))
        return tuple(spans)

    @cached_property
    def _away(self) -> tuple[Span, ...]:
        spans = []
        for entry in self.rules.away:
            start, end = self.clock.once(entry.begins), self.clock.once(entry.ends)
            reason = "" if entry.because == "away" else f" ({entry.because.rstrip('.')})"
            said = f"{entry.who} is away until {self.clock.words(end)}{reason}"
            spans.append(Span("Away", start, end, entry.who, said))
        return tuple(spans)

    @cached_property
    def _swapped(self) -> tuple[Span, ...]:
        agreed = sorted((swap for swap in self.swaps if swap.agreed), key=lambda swap: (swap.offered_at, swap.swap))
        return tuple(span for swap in agreed for span in self._exchanged(swap))

    def _exchanged(self, swap: Swap) -> Iterator[Span]:
        name = f"Swap {swap.swap}"
        for leg, other in ((swap.give, swap.take.who), (swap.take, swap.give.who)):
            said = f"{name}: {other} takes over from {leg.who} until {self.clock.words(leg.end)}."
            yield Span(name, leg.start, leg.end, other, said)


@dataclass(frozen=True)
class _Turn:
    """An entry of the rotation: the day of its first hand-off, its name for people, and its order."""

    first: date
    name: str
    order: tuple[str, ...]


@dataclass(frozen=True)
class _Week:
    """A week of the rotation; `order` starts with the one whose turn it is."""

    start: datetime
    end: datetime
    order: tuple[str, ...]
    said: str

    def shift(self, start: datetime, end: datetime, claims: Sequence[Span], away: Sequence[Span]) -> Shift:
        """A part of the week in which these claims and absences hold throughout, weakest first."""
        absent = {span.who: span.said for span in reversed(away)}
        chosen = claims[-1].who if claims else self.order[0]
        primary, stands_in = self._present(chosen, absent)
        secondary, steps_in = self._next(primary, absent)
        because = (self.said, *(claim.said for claim in claims), *stands_in, steps_in)
        return Shift(start, end, primary, secondary, because)

    def _present(self, chosen: str, absent: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """The chosen one; while he is away the next who is not; while all are away he stays."""
        if chosen not in absent:
            return chosen, ()
        for who in self._after(chosen):
            if who not in absent:
                return who, (f"{absent[chosen]}: {who} is next in the order.",)
        return chosen, (f"{absent[chosen]}, and so is everybody else: {chosen} stays.",)

    def _next(self, primary: str, absent: Mapping[str, str]) -> tuple[str | None, str]:
        """The secondary, and why."""
        others = self._after(primary)
        free = [who for who in others if who not in absent]
        if not free:
            return None, "Secondary: nobody, for the order has no other who is free."
        passed = others[: others.index(free[0])]
        place = f"next in the order after {primary}" if primary in self.order else "first in the order"
        skipped = f"; {' and '.join(passed)} {'is' if len(passed) == 1 else 'are'} away" if passed else ""
        return free[0], f"Secondary: {free[0]} is {place}{skipped}."

    def _after(self, who: str) -> list[str]:
        """The others in the order after a person, each once; for one who is not in it, from this week's turn on."""
        place = self.order.index(who) + 1 if who in self.order else 0
        turned = dict.fromkeys(self.order[place:] + self.order[:place])
        return [name for name in turned if name != who]


def holiday_days(calendar: str, name: str, year: int) -> tuple[date, ...]:
    """The days on which a named holiday begins in a year: mostly one, none if the calendar does not know the name.

    The name is the English one of the package `holidays`. A day that is only "(observed)" or "(estimated)" counts in a
    year without the holiday itself; of days in a row that bear one name the first counts.
    """
    named = _named_days(calendar, year)
    exact = [day for day, names in named if name in names]
    days = exact or [day for day, names in named if name in {full.partition(" (")[0] for full in names}]
    return tuple(day for day in days if day - timedelta(days=1) not in days)


@cache
def _named_days(calendar: str, year: int) -> tuple[tuple[date, tuple[str, ...]], ...]:
    """Each holiday of a year with its names, in order."""
    market = calendar in EntityLoader.get_financial_codes()
    of = holidays.financial_holidays if market else holidays.country_holidays
    found = of(calendar, years=year, language="en_US")
    return tuple((day, tuple(found.get_list(day))) for day in sorted(found) if day.year == year)


def _start(shift: Shift) -> datetime:
    return shift.start


def _holding(spans: Iterable[Span], t: datetime) -> list[Span]:
    return [span for span in spans if span.holds(t)]


def _merged(shifts: Iterable[Shift]) -> tuple[Shift, ...]:
    """Contiguous shifts, with those made one that follow each other with the same people for the same reasons."""
    found: list[Shift] = []
    for shift in shifts:
        if found and found[-1].same_as(shift):
            found[-1] = replace(found[-1], end=shift.end)
        else:
            found.append(shift)
    return tuple(found)


def gaps(rota: Rota, first: datetime, last: datetime) -> tuple[str, ...]:
    """What is off with a rota in [first, last), one sentence each; warnings begin with `Warning:`.

    The frozen past is left out: nobody can mend it.
    """
    if rota.history:
        first = max(first, rota.history[-1].end)
    checks = (_unmanned, _left, _shadowed, _unknown, _overtaken) if first < last else ()
    return (*_too_few(rota), *(text for check in checks for text in check(rota, first, last)))


def _too_few(rota: Rota) -> Iterator[str]:
    for entry in rota.rules.rotation:
        if len(set(entry.order)) < 2:
            yield f"The rotation that begins {entry.begins} has fewer than two people: nobody can step in."


def _unmanned(rota: Rota, first: datetime, last: datetime) -> Iterator[str]:
    """Shifts without a secondary, or with somebody who cannot be on duty."""
    words = Clock.of(rota.rules).words
    for shift in rota.shifts(first, last):
        span = f"from {words(shift.start)} to {words(shift.end)}"
        if shift.secondary is None:
            yield f"Nobody is secondary {span}: only {shift.primary} is there."
        if shift.secondary == shift.primary:
            yield f"{shift.primary} is primary and secondary {span}."
        if shift.primary in {away.who for away in rota.absences(shift.start, shift.end)}:
            yield f"{shift.primary} is primary {span} although away, for nobody else is there."


def _left(rota: Rota, first: datetime, last: datetime) -> Iterator[str]:
    """Rules and swaps without effect, for one whom they name has left."""
    words = Clock.of(rota.rules).words
    for claim in replace(rota, swaps=(), known=None).claims(first, last):
        if not rota.knows(claim.who):
            span = f"from {words(claim.start)} to {words(claim.end)}"
            yield f"{claim.rule} {span} has no effect: {claim.who} is not in config/people.yml."
    for swap in rota.swaps:
        gone = [who for who in swap.people if not rota.knows(who)]
        ahead = [leg for leg in (swap.give, swap.take) if leg.start < last and first < leg.end]
        if swap.agreed and gone and ahead:
            spans = " and ".join(f"from {words(leg.start)} to {words(leg.end)}" for leg in ahead)
            who = f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'}"
            yield f"Swap {swap.swap} has no effect {spans}: {who} not in config/people.yml."


def _shadowed(rota: Rota, first: datetime, last: datetime) -> Iterator[str]:
    """Claims that stronger ones cover from start to end; a swap of a holiday is no mistake, two people wanted it."""
    words = Clock.of(rota.rules).words
    claims = rota.claims(first, last)
    for number, claim in enumerate(claims):
        weak = claim.rule.startswith("Holiday")
        near = [other for other in claims[number + 1 :] if other.touches(claim.start, claim.end)]
        stronger = [other for other in near if not (weak and other.rule.startswith("Swap"))]
        if _covered(claim, stronger):
            names = ", ".join(dict.fromkeys(f"{other.rule} ({other.who})" for other in stronger))
            span = f"{claim.who} from {words(claim.start)} to {words(claim.end)}"
            yield f"Warning: {claim.rule} ({span}) has no effect, for it is covered by {names}."


def _covered(claim: Span, others: Iterable[Span]) -> bool:
    """Whether other spans together hold every instant of a claim."""
    reached = claim.start
    for other in sorted(others, key=lambda span: span.start):
        if other.holds(reached):
            reached = other.end
    return reached >= claim.end


def _unknown(rota: Rota, first: datetime, last: datetime) -> Iterator[str]:
    """Holiday rules that name no holiday of the calendar in any year of the window."""
    years = range(first.year, last.year + 1)
    calendar = rota.rules.holiday_calendar
    for rule in rota.rules.holidays:
        if rule.week_of is not None and not any(holiday_days(calendar, rule.week_of, year) for year in years):
            yield f"Holiday rule '{rule.name}' never comes: the calendar {calendar} knows no holiday {rule.week_of!r}."


def _overtaken(rota: Rota, first: datetime, last: datetime) -> Iterator[str]:
    """Agreed swaps whose giver the rules, edited since, no longer make primary: hours are not conserved any more."""
    before = replace(rota, swaps=())
    for swap in rota.swaps:
        for leg in (swap.give, swap.take) if swap.agreed and rota.knows(*swap.people) else ():
            shifts = before.shifts(max(leg.start, first), min(leg.end, last))
            for who in dict.fromkeys(shift.primary for shift in shifts if shift.primary != leg.who):
                yield f"Warning: in swap {swap.swap} {leg.who} gave hours that the rules give to {who} by now."
