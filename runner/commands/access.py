"""Ways into the desk: tokens of machines, and links that sign a person in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.acts import access as acts
from runner.acts.access import Order
from runner.config import Project
from runner.ledger import Ledger, access
from runner.ledger.access import Token
from runner.scheduler.doorplate import plate_of
from runner.screen import screen_for


@dataclass(frozen=True)
class Revocation:
    """Which token is to be good no more, and who wants it."""

    number: int
    who: str


def add(project: Project, order: Order, now: datetime, *, as_json: bool) -> int:
    """Make a token and show it, this once. Raises UsageError."""
    ledger = Ledger.of(project)
    made = acts.make_token(project, ledger, order, now)
    ledger.close()
    token, screen = made.token, screen_for(as_json=as_json, total=0)
    screen.line({**_plain(token, now), "secret": made.secret}, made.secret)
    if as_json:
        return 0
    screen.say(f"Token {token.id} ({token.name}) is for {', '.join(token.scopes)}{_until(project, token)}.")
    screen.say("It is shown this once: keep it as a secret, and send it as `Authorization: Bearer`.")
    return 0


def _until(project: Project, token: Token) -> str:
    return f", until {_local(project, token.ends_at)}" if token.ends_at else ", until it is revoked"


def listing(project: Project, now: datetime, *, as_json: bool) -> int:
    """Show every token there ever was, without its secret."""
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        found = access.tokens(tx)
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    if not found and not as_json:
        screen.say("There is no token. Make one with: runner token add NAME --scope read --by WHO")
    rows = [_plain(token, now) if as_json else _row(project, token, now) for token in found]
    screen.table(rows, ("token", "name", "state", "scopes", "made by", "ends", "last used"))
    return 0


def state_of(token: Token, now: datetime) -> str:
    """How a token stands: ready, revoked or over."""
    return "revoked" if token.revoked_at else "ready" if acts.is_good(token, now) else "over"


def _plain(token: Token, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"token": token.id, "name": token.name, "state": state_of(token, now)}
    row |= {"scopes": list(token.scopes), "made_by": token.who}
    times = ("made_at", "ends_at", "used_at", "revoked_at")
    return row | {name: (at := getattr(token, name)) and at.isoformat() for name in times}


def _row(project: Project, token: Token, now: datetime) -> dict[str, Any]:
    row = {"token": token.id, "name": token.name, "state": state_of(token, now), "scopes": ", ".join(token.scopes)}
    row |= {"made by": project.name_of(token.who), "ends": _local(project, token.ends_at)}
    return row | {"last used": _local(project, token.used_at)}


def _local(project: Project, at: datetime | None) -> str:
    return f"{at.astimezone(ZoneInfo(project.settings.time_zone)):%a %d %b %Y %H:%M}" if at else ""


def revoke(project: Project, wish: Revocation, now: datetime, *, as_json: bool) -> int:
    """Let a token be good no more. Raises UsageError."""
    ledger = Ledger.of(project)
    token = acts.revoke_token(project, ledger, wish.number, wish.who, now)
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    row = {"token": token.id, "name": token.name, "state": "revoked", "revoked_by": wish.who}
    screen.line(row, f"Token {token.id} ({token.name}) opens nothing any more.")
    return 0


def sign_in(project: Project, who: str, now: datetime, *, rehearsed: bool, as_json: bool) -> int:
    """Make a link that signs somebody in, and show it, this once. Raises UsageError.

    It leads to the desk that is at work, and is made at the time that its clock shows unless the time is `rehearsed`.
    """
    plate = plate_of(project)
    ledger = Ledger.of(project)
    way = acts.link_for(project, ledger, who, plate.at(now) if plate and not rehearsed else now)
    ledger.close()
    address = acts.address_of(plate.address if plate else project.settings.desk.own, way)
    screen = screen_for(as_json=as_json, total=0)
    screen.line({"name": way.person.name, "ends_at": way.ends_at.isoformat(), "link": address}, address)
    if not as_json:
        screen.say(f"It signs in {way.person.name}, once, until {_local(project, way.ends_at)}.")
        if plate is None:
            screen.say("The desk is not at work here. Begin it with: runner serve")
    return 0
