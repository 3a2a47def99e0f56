"""Who is let in at the desk: links to sign in with, sessions, tokens of machines. Functions over one transaction.

Of every secret only its SHA-256 is kept: who reads the ledger cannot sign in with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.ledger.tables import links as _links
from runner.ledger.tables import sessions as _sessions
from runner.ledger.tables import tokens as _tokens

#: What a token may be for; behind CALENDAR stands the key of the engineer whose calendar it opens.
SCOPES = ("read", "metrics", "arrivals")
CALENDAR = "calendar:"


@dataclass(frozen=True)
class Link:
    """A link that signs one person in, once."""

    who: str
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True)
class Session:
    """Somebody who is signed in, and how they came in."""

    who: str
    how: str
    began_at: datetime
    seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Token:
    """A machine that may ask, and what: its scopes."""

    name: str
    scopes: tuple[str, ...]
    who: str
    made_at: datetime
    ends_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    id: int = 0


def digest_of(secret: str) -> str:
    """What is kept of a secret. It is long and random, so that no salt is wanted."""
    return hashlib.sha256(secret.encode()).hexdigest()


# Links.


def add_link(tx: sa.Connection, secret: str, link: Link) -> None:
    """Write a link down."""
    tx.execute(_links.insert().values(digest=digest_of(secret), **vars(link)))


def links_since(tx: sa.Connection, who: str, since: datetime) -> int:
    """How many links were made for somebody since an instant."""
    query = sa.select(sa.func.count()).select_from(_links).where(_links.c.who == who, _links.c.made_at >= since)
    return tx.scalar(query) or 0


def find_link(tx: sa.Connection, secret: str, now: datetime) -> Link | None:
    """A link that is good still; it is not used up by this."""
    query = sa.select(_links).where(
        _links.c.digest == digest_of(secret), _links.c.used_at.is_(None), _links.c.ends_at > now
    )
    row = tx.execute(query).first()
    return Link(row.who, row.made_at, row.ends_at) if row else None


def use_link(tx: sa.Connection, secret: str, now: datetime) -> Link | None:
    """Use a link up; None where there is no such link, or it was used, or is too old."""
    link = find_link(tx, secret, now)
    mine = _links.update().where(_links.c.digest == digest_of(secret), _links.c.used_at.is_(None))
    return link if link and tx.execute(mine.values(used_at=now)).rowcount == 1 else None


# Sessions.


def begin(tx: sa.Connection, secret: str, session: Session) -> None:
    """Let somebody in."""
    tx.execute(_sessions.insert().values(digest=digest_of(secret), **vars(session)))


def session(tx: sa.Connection, secret: str) -> Session | None:
    """The session behind a cookie, whether it is over or not."""
    row = tx.execute(sa.select(_sessions).where(_sessions.c.digest == digest_of(secret))).first()
    return Session(row.who, row.how, row.began_at, row.seen_at, row.ends_at) if row else None


def seen(tx: sa.Connection, secret: str, now: datetime) -> None:
    """Note that somebody is still there."""
    tx.execute(_sessions.update().where(_sessions.c.digest == digest_of(secret)).values(seen_at=now))


def say(tx: sa.Connection, secret: str, notice: tuple[str, str] | None) -> None:
    """What the next page of a session says: a tone and a text."""
    mine = _sessions.update().where(_sessions.c.digest == digest_of(secret))
    tx.execute(mine.values(notice=list(notice) if notice else None))


def notice(tx: sa.Connection, secret: str) -> tuple[str, str] | None:
    """What is to be said on the next page of a session."""
    found = tx.scalar(sa.select(_sessions.c.notice).where(_sessions.c.digest == digest_of(secret)))
    return (str(found[0]), str(found[1])) if found else None


def end(tx: sa.Connection, secret: str) -> None:
    """Let somebody out."""
    tx.execute(_sessions.delete().where(_sessions.c.digest == digest_of(secret)))


def end_all(tx: sa.Connection, who: str) -> int:
    """Let somebody out everywhere; how many sessions that were."""
    return tx.execute(_sessions.delete().where(_sessions.c.who == who)).rowcount


def forget(tx: sa.Connection, before: datetime) -> None:
    """Drop links and sessions that ended before an instant."""
    tx.execute(_links.delete().where(_links.c.ends_at < before))
    tx.execute(_sessions.delete().where(_sessions.c.ends_at < before))


# Tokens.


def add_token(tx: sa.Connection, secret: str, token: Token) -> Token:
    """Write a token down; with its number."""
    row: dict[str, Any] = {name: value for name, value in vars(token).items() if name != "id"}
    made = tx.execute(_tokens.insert().values(digest=digest_of(secret), **{**row, "scopes": list(token.scopes)}))
    key = made.inserted_primary_key
    return Token(**{**vars(token), "id": int(key[0]) if key else 0})


def token(tx: sa.Connection, secret: str, now: datetime) -> Token | None:
    """The token behind a secret, if it is good still."""
    row = tx.execute(sa.select(_tokens).where(_tokens.c.digest == digest_of(secret))).first()
    if row is None or row.revoked_at is not None or (row.ends_at is not None and row.ends_at <= now):
        return None
    return _token(row)


def tokens(tx: sa.Connection) -> Sequence[Token]:
    """Every token there ever was, oldest first."""
    return [_token(row) for row in tx.execute(sa.select(_tokens).order_by(_tokens.c.id))]


def tokens_of(tx: sa.Connection, who: str, scope: str) -> Sequence[Token]:
    """The tokens of somebody with a scope that are not revoked, oldest first."""
    query = sa.select(_tokens).where(_tokens.c.who == who, _tokens.c.revoked_at.is_(None)).order_by(_tokens.c.id)
    return [token for token in map(_token, tx.execute(query)) if scope in token.scopes]


def used(tx: sa.Connection, number: int, now: datetime) -> None:
    """Note that a token was used."""
    tx.execute(_tokens.update().where(_tokens.c.id == number).values(used_at=now))


def revoke(tx: sa.Connection, number: int, now: datetime) -> bool:
    """Let a token be good no more; whether it was until now."""
    mine = _tokens.update().where(_tokens.c.id == number, _tokens.c.revoked_at.is_(None))
    return tx.execute(mine.values(revoked_at=now)).rowcount == 1


def _token(row: Any) -> Token:
    times = (row.made_at, row.ends_at, row.used_at, row.revoked_at)
    return Token(row.name, tuple(row.scopes), row.who, *times, id=row.id)
