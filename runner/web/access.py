"""People and roles: who may see and do what. Each page names one rule, and no page is served without one.

- an *investor* is on a list of readers, and sees what was sent to them;
- a *stakeholder* is on a list that `desk.stakeholders` names, and sees how the pipelines stand whose reports they read;
- an *engineer* is in people.yml, sees everything, and acts on incidents, shifts, duties and trial runs;
- an *owner* owns or approves a pipeline, or is on call, and decides on its reports.

Whoever may not is answered as if it did not exist.

A *machine* has a token with scopes (`bearer`), and is told plainly what its token lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from starlette.requests import Request

from runner.config import Project
from runner.ledger import access as book
from runner.ledger.access import CALENDAR, Token
from runner.report import approval
from runner.web.limits import client_of

if TYPE_CHECKING:
    from runner.web.desk import Desk
    from runner.web.visit import Visit

#: How often it is written down that a token is in use.
_NOTED = timedelta(minutes=1)
#: No token of ours is longer.
_LONGEST = 200


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in. `who` is an engineer's key, or a reader's address; `email` in small letters.

    `reads` are pipelines whose reports are sent to them, `follows` those whose standing they may see.
    """

    who: str
    name: str
    email: str
    engineer: bool = False
    reads: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()

    def sees(self, pipeline: str) -> bool:
        """Whether they may see how a pipeline stands."""
        return self.engineer or pipeline in self.follows


def visitor_of(project: Project, email: str) -> Visitor | None:
    """The person behind an address; None where config/ knows nobody of it (any more)."""
    email = email.lower()
    lists = {
        name: person
        for name, people in project.people.readers.items()
        for person in people
        if person.email.lower() == email
    }
    key = next((key for key, one in project.people.engineers.items() if one.email.lower() == email), None)
    if key is None and not lists:
        return None
    reads = _pipelines(project, set(lists))
    follows = _pipelines(project, set(lists) & set(project.settings.desk.stakeholders))
    if key is not None:
        return Visitor(key, project.people.engineers[key].name, email, engineer=True, reads=reads, follows=follows)
    return Visitor(email, next(iter(lists.values())).name, email, reads=reads, follows=follows)


def _pipelines(project: Project, lists: set[str]) -> frozenset[str]:
    return frozenset(name for name, pipeline in project.pipelines.items() if lists & set(pipeline.readers))


# Rules.


@dataclass(frozen=True)
class Rule:
    """Who may: its name, for people and for the table in the tests, and the answer for one visit.

    `anyone` is for what people need before they are signed in; there is no visitor then.
    """

    name: str
    allows: Callable[[Visit], bool]
    anyone: bool = False


def _engineer(visit: Visit) -> bool:
    return visit.visitor.engineer


def _follower(visit: Visit) -> bool:
    return visit.visitor.engineer or bool(visit.visitor.follows)


def _of_pipeline(visit: Visit) -> bool:
    name = visit.params.get("pipeline", "")
    return name in visit.project.pipelines and visit.visitor.sees(name)


def _reader(visit: Visit) -> bool:
    """Engineers see every report; others what was sent to them, as the ledger has it."""
    return visit.visitor.engineer or visit.had_it(visit.params.get("run", ""))


def _decides(visit: Visit) -> bool:
    """Whether they may decide on the run that the path names."""
    run = visit.run
    if run is None or not visit.visitor.engineer or run.pipeline not in visit.project.pipelines:
        return False
    pipeline = visit.project.pipelines[run.pipeline]
    return visit.visitor.who in approval.entitled(visit.project, pipeline, visit.on_call)


def _run_seen(visit: Visit) -> bool:
    """Whether they may see how a run went."""
    run = visit.run
    return run is not None and visit.visitor.sees(run.pipeline)


ANYONE = Rule("anyone", lambda _: True, anyone=True)
SIGNED_IN = Rule("signed in", lambda _: True)
ENGINEER = Rule("engineer", _engineer)
FOLLOWER = Rule("engineer or stakeholder", _follower)
OF_PIPELINE = Rule("engineer, or stakeholder of the pipeline", _of_pipeline)
OF_RUN = Rule("engineer, or stakeholder of the run's pipeline", _run_seen)
READER = Rule("engineer, or whoever was sent the report", _reader)
DECIDES = Rule("owner, approver or on call", _decides)


# Machines.


class Refused(Exception):  # noqa: N818 - it is no error of anybody's
    """A machine may not: the status, a sentence, and the headers that go with them."""

    def __init__(self, status: int, said: str, headers: Mapping[str, str]) -> None:
        super().__init__(said)
        self.status, self.said, self.headers = status, said, headers


@dataclass(frozen=True)
class Claim:
    """A secret that a client sends, and the scope that it is sent for."""

    client: str
    secret: str = field(repr=False)
    scope: str = ""


def bearer(request: Request, scope: str, desk: Desk, now: datetime) -> Token:
    """The token that a request carries in its header, good for a scope. Raises Refused: 401, 403 or 429."""
    sent = request.headers.getlist("authorization")
    kind, _, secret = (sent[0] if len(sent) == 1 else "").partition(" ")
    return let_in(Claim(client_of(request), secret.strip() if kind.lower() == "bearer" else "", scope), desk, now)


def let_in(claim: Claim, desk: Desk, now: datetime) -> Token:
    """The token behind a secret, wherever it stood. Raises Refused.

    Unknown, expired and revoked ones are answered alike; whoever guesses is soon asked to wait. Only failures count and
    only failures wait: behind one address there may be many machines, and a wrong one must not shut out the others.
    """
    limits = desk.limits
    found = _known(claim.secret, desk, now)
    if found is None:
        if late := limits.guesses.wait(claim.client, now):
            raise too_many(late)
        raise Refused(401, "A token is needed that is good.", {"WWW-Authenticate": 'Bearer realm="desk"'})
    if late := limits.tokens.wait(str(found.id), now):
        raise too_many(late)
    if claim.scope not in found.scopes:
        said = 'Bearer realm="desk", error="insufficient_scope"'
        raise Refused(403, f"This token is not for {claim.scope}.", {"WWW-Authenticate": said})
    if found.used_at is None or now - found.used_at >= _NOTED:
        with desk.ledger.write() as tx:
            book.used(tx, found.id, now)
    return found


def _known(secret: str, desk: Desk, now: datetime) -> Token | None:
    """The token of a secret, if it is good. What no token of ours can be is not looked for."""
    if not secret or len(secret) > _LONGEST:
        return None
    with desk.ledger.read() as tx:
        found = book.token(tx, secret, now)
    return None if found is None or _is_gone(found, desk.project) else found


def _is_gone(token: Token, project: Project) -> bool:
    """Whether whoever made a calendar's address, be it of their own shifts or of everybody's, has left people.yml."""
    personal = any(scope.startswith(CALENDAR) for scope in token.scopes)
    return personal and token.who not in project.people.engineers


def too_many(seconds: float) -> Refused:
    """The answer to whoever asks too often."""
    wait = max(ceil(seconds), 1)
    return Refused(429, f"Too many requests. Try again in {wait} seconds.", {"Retry-After": str(wait)})
