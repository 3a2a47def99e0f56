"""Swaps of on-call time, typed: offered, accepted, declined, undone, listed. What they do is in `acts.swaps`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from runner.acts import swaps as acts
from runner.acts.swaps import Deed, Done
from runner.commands.rota import look
from runner.config import Project
from runner.ledger import Ledger
from runner.plan.oncall import Leg, Swap
from runner.plan.swaps import asked, state_of
from runner.scheduler.oncall import Look, rules_of
from runner.screen import screen_for


def offer(project: Project, give: Leg, take: Leg, deed: Deed, *, as_json: bool) -> int:
    """Offer that two people exchange two spans. Raises UsageError that says what stands against it."""
    return _done(project, lambda ledger: acts.offer(project, ledger, (give, take), deed), as_json=as_json)


def accept(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Accept a swap; with the second acceptance it holds, and both are told."""
    return _done(project, lambda ledger: acts.accept(project, ledger, number, deed), as_json=as_json)


def decline(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Decline a swap that is not agreed, or withdraw it; the others are told."""
    return _done(project, lambda ledger: acts.decline(project, ledger, number, deed), as_json=as_json)


def undo(project: Project, number: int, deed: Deed, *, as_json: bool) -> int:
    """Undo an agreed swap that has not begun; both are told."""
    return _done(project, lambda ledger: acts.undo(project, ledger, number, deed), as_json=as_json)


def _done(project: Project, act: Callable[[Ledger], Done], *, as_json: bool) -> int:
    """Do it, and show the swap as it then is."""
    rules_of(project)
    ledger = Ledger.of(project)
    done = act(ledger)
    ledger.close()
    screen_for(as_json=as_json, total=0).line(_plain(done.swap, done.deed.at), "\n".join(_said(done)))
    return 0


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


def _plain(swap: Swap, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"swap": int(swap.swap), "state": state_of(swap, now)}
    row |= {name: _leg(getattr(swap, name)) for name in ("give", "take")}
    row |= {"offered_by": swap.offered_by, "offered_at": swap.offered_at.isoformat()}
    row |= {"accepted": {who: at.isoformat() for who, at in swap.accepted.items()}}
    return row | {"undone_at": swap.undone_at and swap.undone_at.isoformat()}


def _leg(leg: Leg) -> dict[str, str]:
    return {"who": leg.who, "start": leg.start.isoformat(), "end": leg.end.isoformat()}


def _row(swap: Swap, seen: Look) -> dict[str, Any]:
    state = state_of(swap, seen.now)
    first, second = _halves(swap, seen)
    row = {"swap": swap.swap, "state": state, "first": first, "in return": second}
    row |= {"offered by": seen.name(swap.offered_by)}
    return row | {"waits for": ", ".join(map(seen.name, asked(swap))) if state == "offered" else ""}


def _said(done: Done) -> list[str]:
    """A swap after a deed: how it stands, both halves, and what is to be done by whom."""
    swap, seen = done.swap, done.seen
    state = state_of(swap, done.deed.at)
    lines = [f"Swap {swap.swap} is {state}.", *(f"  {half}" for half in _halves(swap, seen))]
    waited = asked(swap) if state == "offered" else []
    return lines + [f"{seen.name(who)} is asked, and accepts with: {acts.answers(swap, who)[0]}" for who in waited]


def _halves(swap: Swap, seen: Look) -> tuple[str, str]:
    return seen.half(swap.give, swap.take.who), seen.half(swap.take, swap.give.who)
