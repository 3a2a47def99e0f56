"""Swaps of on-call time: offered, accepted by both, declined, undone. Each in one transaction, with its letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.commands.rota import Look, look
from runner.config import Project
from runner.delivery import alerts
from runner.delivery.alerts import Trade
from runner.delivery.messages import Message
from runner.errors import UsageError
from runner.ledger import Ledger, journal, outbox
from runner.ledger import rota as book
from runner.ledger.journal import Act
from runner.ledger.tables import swaps as _swaps
from runner.plan import swaps as rules
from runner.plan.oncall import Clock, Leg, Rota, Swap
from runner.scheduler import letters, roster
from runner.screen import screen_for

#: How much earlier than the ledger a deed may be: of two who act at once the later may be written first.
_AT_ONCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Deed:
    """What somebody does to a swap, and when."""

    kind: str
    who: str
    at: datetime


@dataclass(frozen=True)
class _Desk:
    """Where a swap is dealt with: one transaction, the rota in it, and the deed."""

    tx: sa.Connection
    project: Project
    rota: Rota
    deed: Deed

    def trade(self, swap: Swap) -> Trade:
        names = {key: person.name for key, person in self.project.people.engineers.items()}
        return Trade(swap, self.rota.zone, names)

    def record(self, swap: Swap) -> None:
        act = Act(self.deed.at, self.deed.who, f"swap {self.deed.kind}", {"swap": swap.swap})
        journal.act(self.tx, act)

    def owe(self, swap: Swap, kind: str, who: str, message: Message) -> None:
        about = letters.About(f"swap/{swap.swap}/{kind}", f"swap {kind}", self.deed.at)
        outbox.owe(self.tx, letters.to_engineer(self.project, about, who, message))


def offer(project: Project, give: Leg, take: Leg, deed: Deed, *, as_json: bool) -> int:
    """Offer that two people exchange two spans. Raises UsageError that says what stands against it."""

    def change(desk: _Desk) -> Swap:
        wish = Swap("", give, take, desk.deed.who, desk.deed.at, {})
        swap = book.offer(desk.tx, rules.propose(desk.rota, wish, desk.deed.at))
        desk.record(swap)
        for who in _asked(swap):
            desk.owe(swap, "offered", who, alerts.swap_offered(desk.trade(swap), *_answers(swap, who)))
        return swap

    return _done(project, deed, change, as_json=as_json)


def accept(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Accept a swap; with the second acceptance it holds, and both are told."""

    def change(desk: _Desk) -> Swap:
        old = _find(desk, number)
        new = rules.accept(desk.rota, old, desk.deed.who, desk.deed.at)
        if new != old:
            book.update(desk.tx, new)
            desk.record(new)
            for who in _concerned(new) if new.agreed else ():
                desk.owe(new, "agreed", who, alerts.swap_accepted(desk.trade(new)))
        return new

    return _done(project, deed, change, as_json=as_json)


def decline(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Decline a swap that is not agreed, or withdraw it; the others are told."""

    def change(desk: _Desk) -> Swap:
        new = rules.decline(_find(desk, number), desk.deed.who, desk.deed.at)
        trade = desk.trade(new)
        others = [who for who in _concerned(new) if who != deed.who]
        return _ended(desk, new, alerts.swap_declined(trade, trade.name(deed.who)), others)

    return _done(project, deed, change, as_json=as_json)


def undo(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Undo an agreed swap that has not begun; both are told."""

    def change(desk: _Desk) -> Swap:
        new = rules.undo(_find(desk, number), desk.deed.who, desk.deed.at)
        trade = desk.trade(new)
        return _ended(desk, new, alerts.swap_undone(trade, trade.name(deed.who)), _concerned(new))

    return _done(project, deed, change, as_json=as_json)


def _ended(desk: _Desk, swap: Swap, message: Message, people: list[str]) -> Swap:
    book.update(desk.tx, swap)
    desk.record(swap)
    for who in people:
        desk.owe(swap, desk.deed.kind, who, message)
    return swap


def _done(project: Project, deed: Deed, change: Callable[[_Desk], Swap], *, as_json: bool) -> int:
    """Read, check and write in one transaction: whatever is refused leaves nothing behind.

    Swaps are read again in it, and nobody else writes one before it ends: of two who accept at once both count.
    """
    engineer(project, deed.who)
    seen = look(project, deed.at)  # a change of the rules is kept first, and stays kept if the swap is refused
    ledger = Ledger.of(project)
    with ledger.write() as tx:
        tx.execute(sa.select(_swaps.c.id).with_for_update())  # for ledgers that have more than one writer at a time
        deed = replace(deed, at=_forward(tx, deed.at, seen))
        rota = roster.rota_of(tx, project) or seen.rota
        swap = change(_Desk(tx, project, rota, deed))
    ledger.close()
    screen_for(as_json=as_json, total=0).line(_plain(swap, deed.at), "\n".join(_said(swap, seen, deed)))
    return 0


def _forward(tx: sa.Connection, at: datetime, seen: Look) -> datetime:
    """The instant of a deed, not before what the ledger knows. Raises UsageError where it is well before.

    Who was on call is history by then: a deed in the past would change it.
    """
    latest = roster.seen_after(tx, at)
    if latest is not None and latest - at > _AT_ONCE:
        raise UsageError(
            f"Time does not go back: the ledger has seen {seen.time(latest)}.", "Take that for --now, or a later time."
        )
    return latest or at


def _find(desk: _Desk, number: int) -> Swap:
    found = next((swap for swap in desk.rota.swaps if swap.swap == str(number)), None)
    if found is None:
        raise UsageError(f"There is no swap {number}.", "See those there are: runner swap list")
    return found


def _asked(swap: Swap) -> list[str]:
    """Whose acceptance is still wanted."""
    return [who for who in swap.people if who not in swap.accepted]


def _concerned(swap: Swap) -> list[str]:
    """The two, and whoever made the offer."""
    return list(dict.fromkeys((*swap.people, swap.offered_by)))


def _answers(swap: Swap, who: str) -> tuple[str, str]:
    """The commands with which one who is asked accepts and declines."""
    return f"runner swap accept {swap.swap} --by {who}", f"runner swap decline {swap.swap} --by {who}"


# What is seen of them.


def listing(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show every swap, oldest first."""
    seen = look(project, now)
    screen = screen_for(as_json=as_json, total=0)
    if not seen.rota.swaps and not as_json:
        screen.say("Nobody has offered a swap.")
    rows = [_plain(swap, now) if as_json else _row(swap, seen) for swap in seen.rota.swaps]
    screen.table(rows, ("swap", "state", "first", "in return", "offered by", "waits for"))
    return 0


def _state(swap: Swap, now: datetime) -> str:
    """Offered, agreed, declined or undone; lapsed when nobody answered in time; over when both halves have been."""
    both = set(swap.people) <= swap.accepted.keys()
    if swap.undone_at is not None:
        return "undone" if both else "declined"
    if not both:
        return "offered" if now < min(swap.give.start, swap.take.start) else "lapsed"
    return "agreed" if now < max(swap.give.end, swap.take.end) else "over"


def _plain(swap: Swap, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"swap": int(swap.swap), "state": _state(swap, now)}
    row |= {name: _leg(getattr(swap, name)) for name in ("give", "take")}
    row |= {"offered_by": swap.offered_by, "offered_at": swap.offered_at.isoformat()}
    row |= {"accepted": {who: at.isoformat() for who, at in swap.accepted.items()}}
    return row | {"undone_at": swap.undone_at and swap.undone_at.isoformat()}


def _leg(leg: Leg) -> dict[str, str]:
    return {"who": leg.who, "start": leg.start.isoformat(), "end": leg.end.isoformat()}


def _row(swap: Swap, seen: Look) -> dict[str, Any]:
    state = _state(swap, seen.now)
    row = {"swap": swap.swap, "state": state, "first": _half(swap.give, swap.take.who, seen)}
    row |= {"in return": _half(swap.take, swap.give.who, seen), "offered by": seen.name(swap.offered_by)}
    return row | {"waits for": ", ".join(map(seen.name, _asked(swap))) if state == "offered" else ""}


def _half(leg: Leg, takes: str, seen: Look) -> str:
    clock = Clock.of(seen.rota.rules)
    return f"{seen.name(takes)} for {seen.name(leg.who)}, {clock.short(leg.start)} to {clock.words(leg.end)}"


def _said(swap: Swap, seen: Look, deed: Deed) -> list[str]:
    """A swap after a deed: how it stands, both halves, and what is to be done by whom."""
    state = _state(swap, deed.at)
    halves = _half(swap.give, swap.take.who, seen), _half(swap.take, swap.give.who, seen)
    lines = [f"Swap {swap.swap} is {state}.", *(f"  {half}" for half in halves)]
    asked = _asked(swap) if state == "offered" else []
    return lines + [f"{seen.name(who)} is asked, and accepts with: {_answers(swap, who)[0]}" for who in asked]
