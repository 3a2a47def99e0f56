"""What may be swapped, and what a swap does. Pure: each function gives the swap as it then is, or says why not.

An offer by one of the two counts as his acceptance; an offer by a third needs both. A swap takes effect, both legs at
once, when both have accepted, and can be undone until the first of its legs starts. An offer that is declined and a
swap that is undone both carry `undone_at`. Nobody comes to be primary and secondary at once: the rota derives the
secondary after the swap, and no two swaps may have an hour in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runner.errors import UsageError
from runner.plan.oncall import Clock, Leg, Rota, Swap


def propose(rota: Rota, swap: Swap, now: datetime) -> Swap:
    """The offer, made now. Raises UsageError that says what stands against it and what to do."""
    _require_possible(rota, swap, now)
    accepted = {swap.offered_by: now} if swap.offered_by in swap.people else {}
    return replace(swap, offered_at=now, accepted=accepted, undone_at=None)


def accept(rota: Rota, swap: Swap, who: str, now: datetime) -> Swap:
    """The swap with one acceptance more. All is checked again: the rota may have changed since the offer.

    Raises UsageError where `who` is not one of the two, the offer is gone or is not possible any more.
    """
    _require_open(swap)
    _require_party(swap, who, "accept")
    if who in swap.accepted:
        return swap
    _require_possible(rota, swap, now)
    return replace(swap, accepted={**swap.accepted, who: now})


def decline(swap: Swap, who: str, now: datetime) -> Swap:
    """The offer, refused by one of the two or withdrawn by whoever made it. Raises UsageError if it is agreed."""
    _require_open(swap)
    if who != swap.offered_by:
        _require_party(swap, who, "decline")
    if swap.agreed:
        raise UsageError(f"Swap {swap.swap} is agreed by both.", "Undo it instead.")
    return replace(swap, undone_at=now)


def undo(swap: Swap, who: str, now: datetime) -> Swap:
    """The agreed swap, undone by one of the two before either leg starts. Raises UsageError otherwise."""
    _require_open(swap)
    _require_party(swap, who, "undo")
    if not swap.agreed:
        raise UsageError(f"Swap {swap.swap} is not agreed by both yet.", "Decline it instead.")
    if now >= min(swap.give.start, swap.take.start):
        raise UsageError(f"Swap {swap.swap} has begun and cannot be undone.", "Agree on a new swap for what is left.")
    return replace(swap, undone_at=now)


def state_of(swap: Swap, now: datetime) -> str:
    """Offered, agreed, declined or undone; lapsed when nobody answered in time; over when both halves have been."""
    both = set(swap.people) <= swap.accepted.keys()
    if swap.undone_at is not None:
        return "undone" if both else "declined"
    if not both:
        return "offered" if now < min(swap.give.start, swap.take.start) else "lapsed"
    return "agreed" if now < max(swap.give.end, swap.take.end) else "over"


def asked(swap: Swap) -> list[str]:
    """Whose acceptance is still wanted."""
    return [who for who in swap.people if who not in swap.accepted]


def concerned(swap: Swap) -> list[str]:
    """The two, and whoever made the offer."""
    return list(dict.fromkeys((*swap.people, swap.offered_by)))


def may(swap: Swap, who: str, now: datetime) -> list[str]:
    """What somebody can do to a swap as it stands: accept, decline, undo."""
    state = state_of(swap, now)
    can = ["accept"] if state == "offered" and who in asked(swap) else []
    can += ["decline"] if state == "offered" and who in concerned(swap) else []
    begun = now >= min(swap.give.start, swap.take.start)
    return can + (["undo"] if state == "agreed" and who in swap.people and not begun else [])


def _require_open(swap: Swap) -> None:
    if swap.undone_at is not None:
        raise UsageError(f"Swap {swap.swap} was declined or undone.", "Offer a new one.")


def _require_party(swap: Swap, who: str, verb: str) -> None:
    if who not in swap.people:
        raise UsageError(
            f"{who} cannot {verb} swap {swap.swap}: it is between {_and(swap.people)}.", "Let one of these two do it."
        )


def _require_possible(rota: Rota, swap: Swap, now: datetime) -> None:
    """Raises UsageError for the first thing that stands against a swap, be it offered or accepted now."""
    others = tuple(other for other in rota.swaps if other.swap != swap.swap)
    case = _Case(replace(rota, swaps=others), swap, now)
    for objections in (_people, _times, _lengths, _same_hours, _givers, _takers):
        for objection in objections(case):
            raise objection


@dataclass(frozen=True)
class _Case:
    """A swap, and the rota as it is without it."""

    rota: Rota
    swap: Swap
    now: datetime

    @property
    def legs(self) -> tuple[tuple[Leg, str], ...]:
        """Each leg with the one who takes it."""
        return (self.swap.give, self.swap.take.who), (self.swap.take, self.swap.give.who)

    def words(self, leg: Leg) -> str:
        """A leg's span for people."""
        words = Clock.of(self.rota.rules).words
        return f"from {words(leg.start)} to {words(leg.end)}"


def _people(case: _Case) -> Iterator[UsageError]:
    giver, taker = case.swap.people
    if giver == taker:
        yield UsageError(f"{giver} cannot swap with the same person.", "Name two people.")
    for who in (giver, taker):
        if who not in case.rota.people or not case.rota.knows(who):
            known = ", ".join(sorted(filter(case.rota.knows, case.rota.people)))
            yield UsageError(f"Nobody called {who!r} is in the rota.", f"Name two of: {known}.")


def _times(case: _Case) -> Iterator[UsageError]:
    earliest = max([case.now, *(shift.end for shift in case.rota.history[-1:])])
    for leg, _ in case.legs:
        if leg.start >= leg.end:
            yield UsageError(f"What {leg.who} gives, {case.words(leg)}, is empty.", "Let it end after it starts.")
        if leg.start < earliest:
            yield UsageError(f"What {leg.who} gives, {case.words(leg)}, has begun.", "Swap hours that are to come.")
    if _overlap(case.swap.give, case.swap.take):
        yield UsageError("The two spans of the swap overlap.", "Give spans that have no hour in common.")


def _lengths(case: _Case) -> Iterator[UsageError]:
    """Hours are counted on the wall clock: a week across a clock change is a week."""
    given, taken = (_wall_hours(leg, case.rota.zone) for leg, _ in case.legs)
    if given != taken:
        yield UsageError(f"{case.swap.give.who} would give {given:g} hours and take {taken:g}.", "Give equal spans.")


def _wall_hours(leg: Leg, zone: ZoneInfo) -> float:
    start, end = (bound.astimezone(zone).replace(tzinfo=None) for bound in (leg.start, leg.end))
    return (end - start) / timedelta(hours=1)


def _same_hours(case: _Case) -> Iterator[UsageError]:
    """Another swap, agreed or still open, has some of these hours.

    An offer whose time has come is open no more; a swap with somebody who has left has no effect.
    """
    for other in case.rota.swaps:
        theirs = (other.give, other.take)
        gone = other.undone_at is not None or (not other.agreed and min(leg.start for leg in theirs) < case.now)
        gone = gone or not case.rota.knows(*other.people)
        if not gone and any(_overlap(leg, their) for leg, _ in case.legs for their in theirs):
            yield UsageError(
                f"Swap {other.swap} of {_and(other.people)} has some of the same hours.",
                f"Undo or decline swap {other.swap} first, or choose other hours.",
            )


def _givers(case: _Case) -> Iterator[UsageError]:
    """One can give only what one has, all of it."""
    for leg, _ in case.legs:
        for shift in case.rota.shifts(leg.start, leg.end):
            if shift.primary != leg.who:
                span = case.words(Leg(shift.primary, shift.start, shift.end))
                yield UsageError(
                    f"{leg.who} cannot give what is not theirs: {shift.primary} is primary {span}.",
                    f"Look at the rota, and give a span in which {leg.who} is primary throughout.",
                )


def _takers(case: _Case) -> Iterator[UsageError]:
    for leg, taker in case.legs:
        for away in case.rota.absences(leg.start, leg.end):
            if away.who == taker:
                yield UsageError(f"{away.said}: no swap {case.words(leg)}.", f"Choose hours in which {taker} is there.")


def _overlap(one: Leg, other: Leg) -> bool:
    return one.start < other.end and other.start < one.end


def _and(people: tuple[str, str]) -> str:
    return " and ".join(people)
