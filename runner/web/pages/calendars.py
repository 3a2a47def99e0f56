"""Calendars to subscribe to: secret addresses that calendar programs fetch, for these cannot sign in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import time, timedelta
from math import ceil

import sqlalchemy as sa
from starlette.responses import Response

from runner.acts import calendars
from runner.acts.calendars import Wanted
from runner.errors import UsageError
from runner.ledger import access as tokens
from runner.ledger.access import Token
from runner.plan.calendar import instant, local_day
from runner.plan.feed import feed, whole
from runner.scheduler.oncall import AHEAD, BEHIND
from runner.web.access import ANYONE, ENGINEER
from runner.web.oncall import READ, look
from runner.web.page import Page
from runner.web.visit import Visit

#: How often it is written down that an address is in use.
_FETCHED = timedelta(hours=1)


def links(visit: Visit) -> Response:
    """The secret addresses of the visitor's calendars: whether there are any; and what makes or stops them."""
    return _links(visit)


def make_link(visit: Visit) -> Response:
    """Make an address anew, or stop one. It is shown once, on the page that answers."""
    own = visit.form.get("of", "") == "own"
    wanted = Wanted(visit.visitor.who, visit.visitor.who if own else visit.form.get("of", "")[:READ], visit.now)
    try:
        if visit.form.get("do") == "stop":
            calendars.stop(visit.project, visit.ledger, wanted)
            return visit.to("/rota/calendars", "The address is good no more.")
        secret = calendars.make(visit.project, visit.ledger, wanted)
    except UsageError as error:
        return _links(visit, error=error)
    # Not by way of `visit.to`: that would keep the secret in the ledger for the page that follows.
    return _links(visit, made=(wanted.of, f"{_site(visit)}/calendars/{secret}.ics"))


@dataclass(frozen=True)
class Address:
    """One calendar that the visitor may fetch; its address on the page on which it is made, and on no other."""

    of: str
    title: str
    token: Token | None
    address: str = field(default="", repr=False)


def _links(visit: Visit, *, made: tuple[str, str] = ("", ""), error: UsageError | None = None) -> Response:
    me = visit.visitor.who
    kinds = {"own": (me, "Your own shifts"), "everybody": (calendars.EVERYBODY, "Everybody’s shifts")}
    with visit.ledger.read() as tx:
        rows = [
            Address(name, title, _newest(tx, Wanted(me, of, visit.now)), made[1] if made[0] == of else "")
            for name, (of, title) in kinds.items()
        ]
    return visit.page("calendars.html.j2", 422 if error else 200, rows=rows, error=error)


def _newest(tx: sa.Connection, wanted: Wanted) -> Token | None:
    return next(reversed(tokens.tokens_of(tx, wanted.who, wanted.scope)), None)


def _site(visit: Visit) -> str:
    """Where the desk is, for other programs."""
    url, root = visit.request.url, visit.request.scope.get("root_path", "")
    return (visit.project.settings.desk.public or f"{url.scheme}://{url.netloc}{root}").rstrip("/")


def calendar(visit: Visit) -> Response:
    """A calendar for whoever has its address; for whoever has not, there is none."""
    token = _token(visit)
    if token is None or visit.project.oncall is None:
        return Response("Not found\n", 404, media_type="text/plain")
    if late := visit.desk.limits.tokens.wait(str(token.id), visit.now):
        return Response("Too often\n", 429, {"Retry-After": str(ceil(late))}, "text/plain")
    of = token.scopes[0].removeprefix(calendars.PREFIX)
    who = None if of == calendars.EVERYBODY else of
    midnight = instant(local_day(visit.now, visit.plan_zone), time(), visit.plan_zone)
    seen = look(visit, midnight - BEHIND, midnight + AHEAD)
    shifts = whole(seen.rota, midnight - BEHIND, midnight + AHEAD)
    domain = visit.project.settings.sender.email.rpartition("@")[2]
    # The stamp in it is another each time: of what it says, equal tags mean the same.
    tag = f'W/"{hashlib.sha256(repr((shifts, who, seen.names, domain)).encode()).hexdigest()[:32]}"'
    said = {"ETag": tag, "Cache-Control": "private, max-age=900", "X-Robots-Tag": "noindex"}
    if tag in re.findall(r'(?:W/)?"[^"]*"', visit.request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=said)
    content = feed(shifts, who, seen.names, domain, visit.now.replace(microsecond=0))
    named = {"Content-Disposition": 'inline; filename="on-call.ics"'}
    return Response(content, 200, said | named, "text/calendar; charset=utf-8")


def _token(visit: Visit) -> Token | None:
    """The token behind the address; None where it opens no calendar, or its owner has left."""
    with visit.ledger.read() as tx:
        found = tokens.token(tx, visit.params["secret"][:READ], visit.now)
    if found is None or found.who not in visit.project.people.engineers:
        return None
    if not any(scope.startswith(calendars.PREFIX) for scope in found.scopes):
        return None
    if found.used_at is None or visit.now - found.used_at >= _FETCHED:
        with visit.ledger.write() as tx:
            tokens.used(tx, found.id, visit.now)
    return found


PAGES = (
    Page("/rota/calendars", ENGINEER, links, make_link),
    Page("/calendars/{secret}.ics", ANYONE, calendar),
)
