"""Swaps of on-call time: offered, accepted by both, declined, undone. Each in one transaction, with its letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.config import Project
from runner.delivery import alerts
from runner.delivery.alerts import Trade
from runner.delivery.messages import Message
from runner.errors import UsageError
from runner.ledger import Ledger, journal, outbox
from runner.ledger import rota as book
from runner.ledger.journal import Act
from runner.plan import swaps as rules
from runner.plan.calendar import Span
from runner.plan.oncall import Leg, Rota, Swap
from runner.scheduler import letters, oncall, roster
from runner.scheduler.oncall import Look

#: How much earlier than the ledger a deed may be: of two who act at once the later may be written first.
_AT_ONCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Deed:
    """What somebody does to a swap, and when."""

    kind: str
    who: str
    at: datetime


@dataclass(frozen=True)
class Done:
    """A swap after a deed, the deed as it was written down, and the rota as it was seen before."""

    swap: Swap
    deed: Deed
    seen: Look


@dataclass(frozen=True)
class _Case:
    """A swap that is dealt with: one transaction, the rota in it, and the deed."""

    tx: sa.Connection
    project: Project
    rota: Rota
    deed: Deed

    def trade(self, swap: Swap) -> Trade:
        names = {key: person.name for key, person in self.project.people.engineers.items()}
        return Trade(swap, self.rota.zone, names, self.project.settings.desk.public or "")

    def record(self, swap: Swap) -> None:
        act = Act(self.deed.at, self.deed.who, f"swap {self.deed.kind}", {"swap": swap.swap})
        journal.act(self.tx, act)

    def owe(self, swap: Swap, kind: str, who: str, message: Message) -> None:
        about = letters.About(f"swap/{swap.swap}/{kind}", f"swap {kind}", self.deed.at)
        outbox.owe(self.tx, letters.to_engineer(self.project, about, who, message))


def offer(project: Project, ledger: Ledger, halves: tuple[Leg, Leg], deed: Deed) -> Done:
    """Offer that two people exchange two spans. Raises UsageError that says what stands against it."""

    def change(case: _Case) -> Swap:
        wish = Swap("", *halves, case.deed.who, case.deed.at, {})
        swap = book.offer(case.tx, rules.propose(case.rota, wish, case.deed.at))
        case.record(swap)
        for who in rules.asked(swap):
            case.owe(swap, "offered", who, alerts.swap_offered(case.trade(swap), *answers(swap, who)))
        return swap

    return _done(project, ledger, deed, change)


def accept(project: Project, ledger: Ledger, number: int, deed: Deed) -> Done:
    """Accept a swap; with the second acceptance it holds, and both are told."""

    def change(case: _Case) -> Swap:
        old = _find(case, number)
        new = rules.accept(case.rota, old, case.deed.who, case.deed.at)
        if new != old:
            book.update(case.tx, new)
            case.record(new)
            for who in rules.concerned(new) if new.agreed else ():
                case.owe(new, "agreed", who, alerts.swap_accepted(case.trade(new)))
        return new

    return _done(project, ledger, deed, change)


def decline(project: Project, ledger: Ledger, number: int, deed: Deed) -> Done:
    """Decline a swap that is not agreed, or withdraw it; the others are told."""

    def change(case: _Case) -> Swap:
        new = rules.decline(_find(case, number), case.deed.who, case.deed.at)
        trade = case.trade(new)
        others = [who for who in rules.concerned(new) if who != deed.who]
        return _ended(case, new, alerts.swap_declined(trade, trade.name(deed.who)), others)

    return _done(project, ledger, deed, change)


def undo(project: Project, ledger: Ledger, number: int, deed: Deed) -> Done:
    """Undo an agreed swap that has not begun; both are told."""

    def change(case: _Case) -> Swap:
        new = rules.undo(_find(case, number), case.deed.who, case.deed.at)
        trade = case.trade(new)
        return _ended(case, new, alerts.swap_undone(trade, trade.name(deed.who)), rules.concerned(new))

    return _done(project, ledger, deed, change)


def answers(swap: Swap, who: str) -> tuple[str, str]:
    """The commands with which one who is asked accepts and declines."""
    return f"runner swap accept {swap.swap} --by {who}", f"runner swap decline {swap.swap} --by {who}"


def _ended(case: _Case, swap: Swap, message: Message, people: list[str]) -> Swap:
    book.update(case.tx, swap)
    case.record(swap)
    for who in people:
        case.owe(swap, case.deed.kind, who, message)
    return swap


def _done(project: Project, ledger: Ledger, deed: Deed, change: Callable[[_Case], Swap]) -> Done:
    """Read, check and write in one transaction: whatever is refused leaves nothing behind.

    Swaps are read again in it, and nobody else writes one before it ends: of two who accept at once both count.
    """
    engineer(project, deed.who)
    # A change of the rules is kept first, and stays kept if the swap is refused.
    seen = oncall.look(ledger, project, deed.at, Span(deed.at, deed.at + roster.HORIZON))
    with ledger.write() as tx:
        deed = replace(deed, at=_forward(tx, deed.at, seen))
        rota = roster.rota_of(tx, project, deed.at - roster.RECENT) or seen.rota
        swap = change(_Case(tx, project, rota, deed))
    return Done(swap, deed, seen)


def _forward(tx: sa.Connection, at: datetime, seen: Look) -> datetime:
    """The instant of a deed, not before what the ledger knows. Raises UsageError where it is well before.

    Who was on call is history by then: a deed in the past would change it.
    """
    latest = roster.seen_after(tx, at)
    if latest is not None and latest - at > _AT_ONCE:
        raise UsageError(
            f"Time does not go back: the ledger has seen {seen.time(latest)}.",
            "Do it then, or later.",
            typed="Take that for --now, or a later time.",
        )
    return latest or at


def _find(case: _Case, number: int) -> Swap:
    found = next((swap for swap in case.rota.swaps if swap.swap == str(number)), None)
    if found is None:
        raise UsageError(
            f"There is no swap {number}.",
            "Look at those that there are.",
            typed="See those there are: runner swap list",
        )
    return found
