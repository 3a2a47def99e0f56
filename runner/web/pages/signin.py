"""In by a mailed link or a company account, and out.

Nothing here tells whether an address is known: what is typed is put on a pile, and looked up after the answer is given.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runner.acts import access as acts
from runner.config import Project
from runner.document.texts import line
from runner.ledger import access as book
from runner.ledger import journal
from runner.ledger.journal import Act
from runner.web import session
from runner.web.access import ANYONE, SIGNED_IN, Visitor, visitor_of
from runner.web.desk import Desk
from runner.web.limits import client_of
from runner.web.page import NotFound, Page
from runner.web.session import Cookie
from runner.web.visit import NOBODY, Visit

if TYPE_CHECKING:
    from runner.web.open_id import Asked, Unproven

#: What an address looks like; whether it is one is for the mail to find out.
_ADDRESS = re.compile(r"[^\s@<>\"',;:\\()\[\]\x00-\x1f\x7f]{1,64}@[^\s@<>\"',;:\\()\[\]\x00-\x1f\x7f]{1,190}")
#: A way within this desk: from its root, in plain letters, so that no browser can take it for another site.
_WAY = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,800}")
#: Links that one address is sent within an hour, also by a desk that was begun anew, or by a second one.
_LINKS, _HOUR = 40, timedelta(hours=1)
#: Seconds that the mail server has for one answer, and for all of it.
_MAIL_WAIT, _MAIL_LIMIT = 10.0, 30.0
#: Seconds for which a sign-in with a company account may be under way.
_UNDER_WAY = 600
#: Characters of the secret of such a sign-in; behind it in its cookie stands where to go on to.
_SECRET = 43


def own_way(text: str) -> str:
    """Where to go on to after the sign-in: a page of ours, or the first one."""
    way = text if _WAY.fullmatch(text) else "/"
    return "/" if way.partition("?")[0].startswith(("/sign-in", "/sign-out", "/static/")) else way


# The form.


def form(visit: Visit) -> Response:
    """Where an address is typed."""
    way = own_way(visit.query.get("next", ""))
    if visit.visitor is not NOBODY:
        return visit.to(way)
    return _form(visit, way)


def _form(visit: Visit, way: str, typed: str = "", error: str = "") -> Response:
    settings = visit.project.settings
    title = settings.desk.open_id.title if settings.desk.open_id else ""
    data = {"way": way, "typed": typed, "error": error, "company_account": title, "out": "out" in visit.query}
    return visit.page("sign_in.html.j2", 422 if error else 200, **data)


def ask(visit: Visit) -> Response:
    """The same answer to everybody, known or not; what there is to do is done after it.

    A stranger who asks in somebody's name uses up what is kept for the stranger's own network. Who comes from many
    networks fills a mailbox with links, each of which is good: one comes more often than one grows old.
    """
    way, typed = own_way(visit.form.get("next", "")), visit.form.get("address", "").strip()
    if not _ADDRESS.fullmatch(typed):
        error = "Write one address, such as name@example.com." if typed else "Write your address."
        return _form(visit, way, line(typed)[:300], error)
    address, limits = typed.lower(), visit.desk.limits
    client = client_of(visit.request)
    digest = book.digest_of(address)
    late = limits.asked.wait(client, visit.now) or limits.links.wait(f"{client} {digest}", visit.now)
    if late := late or limits.mails.wait(digest, visit.now):
        return wait(visit, late)
    desk, asked = visit.desk, _Wanted(address, way, _base(visit), visit.now)
    if not desk.backlog.add(lambda: asked.answer(desk)):
        desk.log("sign-in link dropped", error="too many wait to be sent")
    mail = visit.project.settings.mail
    # Only a desk that nobody else can reach says where its mails lie.
    folder = "" if mail.server or visit.project.settings.desk.public else _near(visit.project)
    return visit.page("sign_in_sent.html.j2", typed=address, folder=folder)


def _near(project: Project) -> str:
    try:
        return project.maildir.relative_to(project.folder).as_posix()
    except ValueError:
        return project.maildir.name


def _base(visit: Visit) -> str:
    """Where links of mails lead."""
    url, settings = visit.request.url, visit.project.settings.desk
    return settings.own if settings.public else f"{url.scheme}://{url.netloc}"


def wait(visit: Visit, seconds: float) -> Response:
    """Too many tries: when the next one may be. It says the same whether an address is known or not."""
    late = max(ceil(seconds), 1)
    answer = visit.page("sign_in_wait.html.j2", 429, until=visit.now + timedelta(seconds=late), late=late)
    answer.headers["Retry-After"] = str(late)
    return answer


@dataclass(frozen=True)
class _Wanted:
    """A link that somebody asked for with an address, where it is to lead, and when they asked."""

    address: str
    way: str
    base: str
    at: datetime

    def answer(self, desk: Desk) -> None:
        """Send the link to whom there is; note the address of whom there is not."""
        try:
            self._answer(desk, desk.project)
        except Exception as error:  # noqa: BLE001 - nobody waits for it: whoever keeps this house must hear of it
            desk.log("sign-in link failed", error=desk.project.censor.redact(f"{type(error).__name__}: {error}"))

    def _answer(self, desk: Desk, project: Project) -> None:
        person = acts.person_of(project, self.address)
        if person is None:
            if not desk.limits.strangers.wait("", self.at):
                with desk.ledger.write() as tx:
                    told = {"address": self.address}
                    journal.act(tx, Act(self.at, "nobody", "sign-in asked with an unknown address", told))
            return
        with desk.ledger.write() as tx:
            if book.links_since(tx, self.address, self.at - _HOUR) >= _LINKS:
                desk.log("sign-in link withheld", person=person.name, error="too many were sent within the hour")
                return
            way = acts.link(tx, project, person, self.at, "on the desk")
        wanted = f"?next={quote(self.way)}" if self.way != "/" else ""
        if trouble := send(desk, project, way, f"{acts.address_of(self.base, way)}{wanted}"):
            desk.log("sign-in link not sent", person=person.name, error=trouble)


def send(desk: Desk, project: Project, way: acts.Way, address: str) -> str:
    """Mail a link through the one door; why it was not taken, or nothing."""
    from runner.delivery import alerts, channels  # noqa: PLC0415 - brings all that mails are made of
    from runner.delivery.door import Door  # noqa: PLC0415
    from runner.delivery.mail import message_id  # noqa: PLC0415
    from runner.delivery.outcome import Kind  # noqa: PLC0415
    from runner.delivery.smtp import Limits  # noqa: PLC0415
    from runner.document.shipped import TEMPLATES  # noqa: PLC0415

    settings, now = project.settings, way.ends_at - timedelta(seconds=project.settings.desk.link)
    message = alerts.sign_in(settings.company, address, way.ends_at, ZoneInfo(settings.time_zone))
    identity = message_id(settings.sender.email.rpartition("@")[2], "sign-in", book.digest_of(way.secret))
    parcel = channels.Parcel(identity, way.person.name, way.person.email, channels.MAIL, message)
    letter = channels.compose(settings.sender, parcel, now, project.templates or (TEMPLATES,))
    with Door(project, desk.environment, Limits(_MAIL_WAIT, _MAIL_LIMIT)) as door:
        outcome = door.post(letter)
    return "" if outcome.kind is Kind.TAKEN else outcome.what


# The link.


def look(visit: Visit) -> Response:
    """A page with one button: programmes that look into mails follow links, and must not use them up."""
    with visit.ledger.read() as tx:
        found = book.find_link(tx, visit.params["secret"], visit.now)
    visitor = visitor_of(visit.project, found.who) if found else None
    if visitor is None:
        return _stale(visit)
    way = own_way(visit.query.get("next", ""))
    return visit.page("sign_in_link.html.j2", person=visitor, way=way, other=visit.visitor not in {NOBODY, visitor})


def _stale(visit: Visit) -> Response:
    return visit.page("sign_in_stale.html.j2", 410, way=own_way(visit.query.get("next", "")))


def use(visit: Visit) -> Response:
    """Use the link up and let its person in. Only what is no good link counts as a try, and is asked to wait."""
    with visit.ledger.read() as tx:
        found = book.find_link(tx, visit.params["secret"], visit.now)
    if found:
        with visit.ledger.write() as tx:
            found = book.use_link(tx, visit.params["secret"], visit.now)
    if visitor := visitor_of(visit.project, found.who) if found else None:
        return _let_in(visit, visitor, "link", visit.form.get("next", ""))
    late = visit.desk.limits.entered.wait(client_of(visit.request), visit.now)
    return wait(visit, late) if late else _stale(visit)


def _let_in(visit: Visit, visitor: Visitor, how: str, way: str) -> Response:
    """Begin a session with a secret that nobody has seen before; the one this browser had, if any, ends."""
    settings = visit.project.settings.desk
    with visit.ledger.write() as tx:
        if visit.secret:
            book.end(tx, visit.secret)
        secret = session.begin(tx, visitor.email, how, visit.now, settings)
        journal.act(tx, Act(visit.now, visitor.who, "signed in", {"how": how, "from": client_of(visit.request)}))
    answer = visit.to(_seen_by(visitor, own_way(way)))
    session.cookie_of(visit.request).set(answer, secret, settings.session)
    return answer


def _seen_by(visitor: Visitor, way: str) -> str:
    """Where somebody wanted to go, or the first page: a reader is not led to what is not there for them."""
    theirs = way.startswith(("/archive", "/reports/"))
    return way if visitor.engineer or visitor.follows or theirs else "/"


def out(visit: Visit) -> Response:
    """End the session, here and in the ledger; on their wish, every other one of theirs as well."""
    everywhere = bool(visit.form.get("everywhere"))
    with visit.ledger.write() as tx:
        if everywhere:
            ended = book.end_all(tx, visit.visitor.email)
            journal.act(tx, Act(visit.now, visit.visitor.who, "signed out everywhere", {"sessions": ended}))
        else:
            book.end(tx, visit.secret)
            journal.act(tx, Act(visit.now, visit.visitor.who, "signed out", {}))
    answer = RedirectResponse(f"{visit.request.scope.get('root_path', '')}/sign-in?out", 303)
    session.cookie_of(visit.request).clear(answer)
    return answer


# The company account.


def _under_way(request: Request) -> Cookie:
    """The cookie of a sign-in that is under way. It comes back with the browser from the provider: same site, lax."""
    return Cookie(session.cookie_of(request).secure, "sign-in")


def _asked(visit: Visit) -> Asked:
    from runner.web.open_id import Asked  # noqa: PLC0415 - brings all that tokens are read with

    settings = visit.project.settings.desk.open_id
    if settings is None:
        raise NotFound
    return Asked(settings, f"{_base(visit)}/sign-in/company/back", visit.desk.environment, visit.now)


def company(visit: Visit) -> Response:
    """On to the provider of the company account."""
    from runner.web.open_id import Begun, Unproven  # noqa: PLC0415

    asked, way = _asked(visit), own_way(visit.query.get("next", ""))
    if late := visit.desk.limits.entered.wait(client_of(visit.request), visit.now):
        return wait(visit, late)
    begun = Begun(secrets.token_urlsafe(32))
    try:
        answer = RedirectResponse(visit.desk.provider.begin(asked, begun), 303)
    except Unproven as why:
        return _unproven(visit, why)
    _under_way(visit.request).set(answer, f"{begun.secret}{quote(way, safe='')}", _UNDER_WAY)
    return answer


def back(visit: Visit) -> Response:
    """Back from the provider, with an answer that is proven before anybody is let in."""
    from runner.web.open_id import Unproven  # noqa: PLC0415

    asked, under_way = _asked(visit), _under_way(visit.request)
    if late := visit.desk.limits.entered.wait(client_of(visit.request), visit.now):
        return wait(visit, late)
    kept = under_way.read(visit.request)
    try:
        answer = _let_in(visit, _proven(visit, asked, kept[:_SECRET]), "open id", unquote(kept[_SECRET:]))
    except Unproven as why:
        answer = _unproven(visit, why)
    under_way.clear(answer)
    return answer


def _proven(visit: Visit, asked: Asked, secret: str) -> Visitor:
    """Who came back from the provider. Raises Unproven."""
    from runner.web.open_id import Begun, Unproven  # noqa: PLC0415

    if len(secret) < _SECRET:
        raise Unproven("This sign-in was begun in another window, or too long ago.", "Begin it once more.", 400)
    address = visit.desk.provider.finish(asked, Begun(secret), visit.query)
    visitor = visitor_of(visit.project, address)
    if visitor is None:
        what = f"Your {asked.settings.title} has the address {line(address)[:200]}, which is not known to this desk."
        raise Unproven(what, "Ask whoever keeps this desk to add it to config/people.yml.", 403)
    return visitor


def _unproven(visit: Visit, why: Unproven) -> Response:
    visit.desk.log("company account refused", what=why.what, reason=why.reason)
    return visit.page("sign_in_unproven.html.j2", why.status, why=why)


PAGES = (
    Page("/sign-in", ANYONE, form, ask),
    Page("/sign-in/company", ANYONE, company),
    Page("/sign-in/company/back", ANYONE, back),
    Page("/sign-in/{secret}", ANYONE, look, use),
    Page("/sign-out", SIGNED_IN, None, out),
)
