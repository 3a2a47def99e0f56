"""Swaps of on-call time: offered, accepted, declined, undone by those whom they concern; seen by every engineer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from starlette.responses import Response

from runner.acts import swaps as acts
from runner.acts.swaps import Deed, Done
from runner.errors import UsageError
from runner.ledger import rota as book
from runner.plan import swaps as rules
from runner.plan.months import stints
from runner.plan.oncall import Clock, Leg, Shift, Swap
from runner.scheduler.oncall import Look
from runner.web.access import ENGINEER
from runner.web.engineers import People
from runner.web.oncall import READ, look, moment, with_rota, zone_of
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: How far ahead shifts are offered for swaps, and what may lie between now and the end of a swap.
_TRADED, _EVER = timedelta(days=26 * 7), timedelta(days=3660)
#: Swaps on one page.
_LISTED = 25


@dataclass(frozen=True)
class Offer:
    """The form of an offer, as it was sent: two shifts, or two spans and the other's key."""

    give: str = ""
    take: str = ""
    give_from: str = ""
    give_to: str = ""
    whom: str = ""
    take_from: str = ""
    take_to: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> Offer:
        """What was typed, no longer than it can be."""
        return cls(**{name: form.get(name, "")[:READ].strip() for name in cls.__dataclass_fields__})

    @property
    def times(self) -> tuple[str, ...]:
        """What is typed instead of chosen."""
        return tuple(text for text in (self.give_from, self.give_to, self.take_from, self.take_to) if text)

    def halves(self, who: str, zone: ZoneInfo) -> tuple[Leg, Leg]:
        """What is given and what is taken for it. Raises UsageError."""
        if self.times and (self.give or self.take):
            raise UsageError("Both shifts and exact times are filled in.", "Choose two shifts, or write four times.")
        if self.times:
            return (
                Leg(who, _typed(self.give_from, zone), _typed(self.give_to, zone)),
                Leg(self.whom, _typed(self.take_from, zone), _typed(self.take_to, zone)),
            )
        return self._chosen(who, self.give), self._chosen("", self.take)

    def _chosen(self, who: str, value: str) -> Leg:
        key, _, span = value.partition(" ")
        try:
            start, end = (moment(part, ZoneInfo("UTC")) for part in span.split(" "))
        except ValueError:
            what = "the shift that you give" if who else "the shift that you take for it"
            raise UsageError(f"Which shift? Nothing is chosen for {what}.", "Choose one of each.") from None
        return Leg(who or key, start, end)


def _typed(text: str, zone: ZoneInfo) -> datetime:
    try:
        return moment(text, zone)
    except ValueError:
        said = f"“{text}” is no time that can be swapped." if text else "One of the four times is missing."
        raise UsageError(said, "Write all four like 2017-12-24T10:00.") from None


@with_rota
def swaps(visit: Visit) -> Response:
    """Every swap, those that wait or are to come first; and the form to offer one."""
    return _swaps(visit, Offer(give=visit.query.get("give", "")[:READ]))


def offer(visit: Visit) -> Response:
    """Offer a swap."""
    typed = Offer.of(visit.form)
    zone = zone_of(visit)
    try:
        halves = typed.halves(visit.visitor.who, zone)
        done = acts.offer(visit.project, visit.ledger, halves, _deed(visit, "offered"))
    except UsageError as error:
        return _swaps(visit, typed, error)
    other = visit.project.name_of(halves[1].who)
    return visit.to(f"/rota/swaps/{done.swap.swap}", f"{other} is asked. Nothing changes before both have accepted.")


def _deed(visit: Visit, kind: str) -> Deed:
    return Deed(kind, visit.visitor.who, visit.now)


def _swaps(visit: Visit, typed: Offer, error: UsageError | None = None) -> Response:
    before = visit.query.get("before", "")
    number = int(before) if re.fullmatch(r"[0-9]{1,9}", before) else None
    with visit.ledger.read() as tx:
        coming = book.swaps_between(tx, visit.now, visit.now + _EVER)
        newest = book.newest_swaps(tx, _LISTED + 1, number)
    live = [swap for swap in coming if rules.state_of(swap, visit.now) in {"offered", "agreed"}]
    shown = {swap.swap for swap in live}
    seen = look(visit, visit.now, visit.now + _TRADED)
    ahead = [shift for shift in stints(seen.rota, visit.now, visit.now + _TRADED) if shift.start >= visit.now]
    me = visit.visitor.who
    return visit.page(
        "swaps.html.j2",
        422 if error else 200,
        error=_named(seen, error),
        typed=typed,
        live=[] if number else [_stand(visit, swap) for swap in sorted(live, key=_first_hour)],
        over=[_stand(visit, swap) for swap in newest[:_LISTED] if swap.swap not in shown],
        older=newest[_LISTED - 1].swap if len(newest) > _LISTED else None,
        page=number,
        mine=[(_value(shift), shift) for shift in ahead if shift.primary == me],
        theirs=[
            (person, [(_value(shift), shift) for shift in ahead if shift.primary == person.key])
            for person in People(visit).of({shift.primary for shift in ahead} - {me})
        ],
        others=[person for person in People(visit).of(seen.rota.people) if person.key != me],
        rota_clock=Clock.of(seen.rota.rules),
    )


def _named(seen: Look, error: UsageError | None) -> tuple[str, str] | None:
    """A refusal and its remedy, with names for keys."""
    return (seen.sentence(error.what), seen.sentence(error.remedy)) if error else None


def _value(shift: Shift) -> str:
    """A shift as the value of a choice."""
    return f"{shift.primary} {shift.start:%Y-%m-%dT%H:%M:%SZ} {shift.end:%Y-%m-%dT%H:%M:%SZ}"


def _first_hour(swap: Swap) -> datetime:
    return min(swap.give.start, swap.take.start)


@dataclass(frozen=True)
class Standing:
    """A swap as one person sees it: how it stands, who is asked, and what they may do."""

    swap: Swap
    state: str
    asked: list[str]
    may: list[str]
    own: bool


def _stand(visit: Visit, swap: Swap) -> Standing:
    who, state = visit.visitor.who, rules.state_of(swap, visit.now)
    waits = rules.asked(swap) if state == "offered" else []
    return Standing(swap, state, waits, rules.may(swap, who, visit.now), swap.offered_by == who)


@with_rota
def swap(visit: Visit) -> Response:
    """One swap: how it stands, and what the visitor can do about it."""
    return _swap(visit, _swap_of(visit))


def _swap(visit: Visit, found: Swap, error: UsageError | None = None) -> Response:
    seen = look(visit, visit.now, visit.now + timedelta(days=1)) if error else None
    told = _named(seen, error) if seen else None
    return visit.page("swap.html.j2", 422 if error else 200, it=_stand(visit, found), error=told)


def _swap_of(visit: Visit) -> Swap:
    """The swap that the path names."""
    number = visit.params["swap"]
    with visit.ledger.read() as tx:
        found = book.swap(tx, int(number)) if re.fullmatch(r"[1-9][0-9]{0,8}", number) else None
    if found is None:
        raise NotFound
    return found


def _answer(visit: Visit, people: Iterable[str], act: Callable[[int], Done], said: str) -> Response:
    """Do something to a swap, for those whom it concerns; to others it is not there."""
    found = _swap_of(visit)
    if visit.visitor.who not in people:
        raise NotFound
    try:
        done = act(int(found.swap))
    except UsageError as error:
        return _swap(visit, found, error)
    agreed = " Both have accepted: the rota has changed." if done.swap.agreed else ""
    return visit.to(f"/rota/swaps/{found.swap}", f"{said}{agreed}")


def accept(visit: Visit) -> Response:
    """Accept a swap."""
    deed = _deed(visit, "accepted")
    act = lambda number: acts.accept(visit.project, visit.ledger, number, deed)  # noqa: E731 - one of three alike
    return _answer(visit, _swap_of(visit).people, act, "You have accepted this swap.")


def decline(visit: Visit) -> Response:
    """Decline a swap, or withdraw one's own offer."""
    deed = _deed(visit, "declined")
    act = lambda number: acts.decline(visit.project, visit.ledger, number, deed)  # noqa: E731 - one of three alike
    said = "You have declined this swap. The rota stays as it is, and the others are told."
    return _answer(visit, rules.concerned(_swap_of(visit)), act, said)


def undo(visit: Visit) -> Response:
    """Undo a swap that is agreed and has not begun."""
    deed = _deed(visit, "undone")
    act = lambda number: acts.undo(visit.project, visit.ledger, number, deed)  # noqa: E731 - one of three alike
    said = "The swap is undone. The rota is as it was before, and both are told."
    return _answer(visit, _swap_of(visit).people, act, said)


PAGES = (
    Page("/rota/swaps", ENGINEER, swaps, offer),
    Page("/rota/swaps/{swap}", ENGINEER, swap),
    Page("/rota/swaps/{swap}/accept", ENGINEER, post=accept),
    Page("/rota/swaps/{swap}/decline", ENGINEER, post=decline),
    Page("/rota/swaps/{swap}/undo", ENGINEER, post=undo),
)
