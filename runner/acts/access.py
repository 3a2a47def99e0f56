"""Ways into the desk: links that sign a person in once, and tokens of machines. Of each secret only a hash is kept."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.config import Person, Project
from runner.config.names import known
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, access, journal
from runner.ledger.access import SCOPES, Link, Token
from runner.ledger.journal import Act

#: Links and sessions that ended so long ago are dropped when a new link is made.
KEPT = timedelta(days=1)
#: Characters of a token's name, and how far ahead one may end.
LONGEST, FURTHEST = 64, timedelta(days=3660)


@dataclass(frozen=True)
class Way:
    """A new link: for whom, its secret (which is shown once), and until when it is good."""

    person: Person
    secret: str = field(repr=False)
    ends_at: datetime


@dataclass(frozen=True)
class Pass:
    """A new token, and its secret (which is shown once)."""

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Order:
    """A token that somebody wants: its name, what it is for, for how long (None: until it is revoked)."""

    name: str
    scopes: tuple[str, ...]
    who: str
    lasts: timedelta | None = None


def person_of(project: Project, address: str) -> Person | None:
    """Whoever has an address in people.yml: an engineer before a reader."""
    wanted = address.strip().lower()
    return next((person for person in _people(project) if person.email.lower() == wanted), None)


def _people(project: Project) -> Iterator[Person]:
    yield from project.people.engineers.values()
    for people in project.people.readers.values():
        yield from people


def somebody(project: Project, who: str) -> Person:
    """An engineer by key, or anybody in people.yml by address. Raises UsageError with the nearest name."""
    if who in project.people.engineers:
        return project.people.engineers[who]
    found = person_of(project, who)
    if found is None:
        keys, addresses = tuple(project.people.engineers), [person.email for person in _people(project)]
        close = difflib.get_close_matches(who, (*keys, *addresses), n=1, cutoff=0.6)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Name {', '.join(keys)}, or a reader's whole address."
        raise UsageError(f"{who!r} is nobody in config/people.yml.", remedy)
    return found


def link(tx: sa.Connection, project: Project, person: Person, at: datetime, how: str) -> Way:
    """A link that signs somebody in, once; `how` says where it was asked for. Old ones are dropped by the way."""
    address = person.email.lower()
    made = Way(person, secrets.token_urlsafe(32), at + timedelta(seconds=project.settings.desk.link))
    access.forget(tx, at - KEPT)
    access.add_link(tx, made.secret, Link(address, at, made.ends_at))
    journal.act(tx, Act(at, address, "sign-in link made", {"asked": how, "ends_at": made.ends_at.isoformat()}))
    return made


def link_for(project: Project, ledger: Ledger, who: str, at: datetime) -> Way:
    """A link for whoever has the shell. Raises UsageError where there is nobody of this name."""
    person = somebody(project, who)
    with ledger.write() as tx:
        return link(tx, project, person, at, "on the command line")


def address_of(desk: str, way: Way) -> str:
    """Where a link leads: the whole of what somebody opens at a desk."""
    return f"{desk.rstrip('/')}/sign-in/{way.secret}"


def make_token(project: Project, ledger: Ledger, order: Order, at: datetime) -> Pass:
    """A token for a machine. Raises UsageError that says what is wrong."""
    engineer(project, order.who)
    name, scopes = line(order.name), tuple(dict.fromkeys(order.scopes))
    if not name or len(name) > LONGEST:
        raise UsageError("A token has a name of 1 to 64 characters.", "Name the machine that gets it.")
    if not scopes:
        raise UsageError(
            "What is the token for?",
            f"Name one or more of {', '.join(SCOPES)}.",
            typed=f"Say it with --scope: {', '.join(SCOPES)}.",
        )
    if strange := [scope for scope in scopes if scope not in SCOPES]:
        raise UsageError(f"There is no scope {strange[0]!r}.", known(strange[0], SCOPES))
    if order.lasts is not None and not timedelta(0) < order.lasts <= FURTHEST:
        raise UsageError("A token ends within ten years.", "Leave the time out for one that is good until revoked.")
    secret = f"desk_{secrets.token_urlsafe(32)}"
    with ledger.write() as tx:
        if any(token.name == name and is_good(token, at) for token in access.tokens(tx)):
            raise UsageError(f"There is a token {name!r} already.", "Revoke it first, or take another name.")
        ends = at + order.lasts if order.lasts is not None else None
        token = access.add_token(tx, secret, Token(name, scopes, order.who, at, ends))
        told = {"token": token.id, "name": name, "scopes": list(scopes), "ends_at": ends.isoformat() if ends else None}
        journal.act(tx, Act(at, order.who, "token made", told))
    return Pass(token, secret)


def revoke_token(project: Project, ledger: Ledger, number: int, who: str, at: datetime) -> Token:
    """Let a token be good no more, from this instant on. Raises UsageError where there is none to revoke."""
    engineer(project, who)
    with ledger.write() as tx:
        found = next((token for token in access.tokens(tx) if token.id == number), None)
        if found is None:
            raise UsageError(
                f"There is no token {number}.",
                "Look at those that there are.",
                typed="See what there is: runner token list",
            )
        if not access.revoke(tx, number, at):
            raise UsageError(f"Token {number} ({found.name}) is revoked already.", "There is nothing left to do.")
        journal.act(tx, Act(at, who, "token revoked", {"token": number, "name": found.name}))
    return found


def is_good(token: Token, at: datetime) -> bool:
    """Whether a token opens anything at an instant."""
    return token.revoked_at is None and (token.ends_at is None or token.ends_at > at)
