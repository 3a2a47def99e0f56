"""Secret addresses at which calendar programs fetch who is on call. Of each only a digest is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from runner.acts.people import engineer
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, access, journal
from runner.ledger.access import Token
from runner.ledger.journal import Act

#: How the scope of such a token begins; whose it is follows: `calendar:ann`, `calendar:everybody`.
PREFIX = access.CALENDAR
EVERYBODY = "everybody"


@dataclass(frozen=True)
class Wanted:
    """Whose calendar somebody wants to fetch: `of` is their own key, or everybody."""

    who: str
    of: str
    at: datetime

    @property
    def scope(self) -> str:
        """The scope of its token."""
        return f"{PREFIX}{self.of}"


def make(project: Project, ledger: Ledger, wanted: Wanted) -> str:
    """Make an address; the one before is good no more. Gives its secret, which nobody can show again."""
    _check(project, wanted)
    secret = secrets.token_urlsafe(32)
    with ledger.write() as tx:
        again = _revoke(tx, wanted)
        access.add_token(tx, secret, Token(wanted.scope[:64], (wanted.scope,), wanted.who, wanted.at))
        _note(tx, wanted, "calendar made anew" if again else "calendar made")
    return secret


def stop(project: Project, ledger: Ledger, wanted: Wanted) -> None:
    """Let an address be good no more. Raises UsageError where there is none."""
    _check(project, wanted)
    with ledger.write() as tx:
        if not _revoke(tx, wanted):
            raise UsageError("There is no such address any more.", "Make a new one where you want one.")
        _note(tx, wanted, "calendar stopped")


def _check(project: Project, wanted: Wanted) -> None:
    engineer(project, wanted.who)
    if wanted.of not in {wanted.who, EVERYBODY}:
        raise UsageError(f"There is no calendar of {wanted.of!r} for you.", "Take your own, or everybody's.")


def _revoke(tx: sa.Connection, wanted: Wanted) -> int:
    return sum(access.revoke(tx, token.id, wanted.at) for token in access.tokens_of(tx, wanted.who, wanted.scope))


def _note(tx: sa.Connection, wanted: Wanted, what: str) -> None:
    journal.act(tx, Act(wanted.at, wanted.who, what, {"of": wanted.of}))
