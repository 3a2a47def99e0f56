"""Cookies and what stands behind them; forms that only our own pages can send."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.config.ends import Desk as Settings
from runner.ledger import access as book
from runner.ledger.access import Session

#: How often it is written down that somebody is still there.
_NOTED = timedelta(minutes=1)
CSRF = "csrf"


@dataclass(frozen=True)
class Cookie:
    """A cookie of ours, that of the session: on an encrypted connection under a name that no other site can set."""

    secure: bool
    kind: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return f"{'__Host-' if self.secure else ''}desk{f'-{self.kind}' if self.kind else ''}"

    def read(self, request: Request) -> str:
        """The secret in it, or "" without one."""
        return request.cookies.get(self.name, "")

    def set(self, response: Response, secret: str, seconds: float) -> None:
        """Give it to the browser, for this site alone, out of reach of any script."""
        response.set_cookie(
            self.name, secret, max_age=int(seconds), path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def clear(self, response: Response) -> None:
        """Take it back."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")


def cookie_of(request: Request) -> Cookie:
    """The cookie as the connection wants it; behind a proxy, as the proxy says that the reader's connection is."""
    return Cookie(request.url.scheme == "https")


def begin(tx: sa.Connection, who: str, how: str, now: datetime, settings: Settings) -> str:
    """Let somebody in; the secret for their cookie, a new one each time."""
    secret = secrets.token_urlsafe(32)
    ends = now + timedelta(seconds=settings.session)
    book.begin(tx, secret, Session(who.lower(), how, now, now, ends))
    return secret


def is_good(session: Session, now: datetime, settings: Settings) -> bool:
    """Whether a session goes on: neither over nor idle for too long."""
    return now < session.ends_at and now - session.seen_at < timedelta(seconds=settings.idle)


def is_to_note(session: Session, now: datetime) -> bool:
    """Whether it is time to write down again that somebody is there."""
    return now - session.seen_at >= _NOTED


def csrf_of(secret: str) -> str:
    """What every form of a session carries: known to its own pages, and to no other site."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def is_from_here(request: Request, settings: Settings) -> bool:
    """Whether a browser sent this from a page of ours, as far as it says: every one of today says so.

    Our own pages have the origin that this request is seen under, and that of `public`, whatever a proxy makes of the
    name. `null` is nobody's: our pages say where they come from.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    public = urlsplit(settings.public or "")
    ours = {f"{request.url.scheme}://{request.url.netloc}", f"{public.scheme}://{public.netloc}"} - {"://"}
    sent = request.headers.getlist("origin")
    return all(_whole(origin) in {_whole(each) for each in ours} for origin in sent)


def _whole(origin: str) -> str:
    """An origin without the port that its scheme has anyway."""
    origin = origin.lower()
    usual = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(usual)


def is_own(request: Request, settings: Settings, secret: str, sent: str) -> bool:
    """Whether a form was sent by one of our own pages, by the browser that the page was made for."""
    mine = hmac.compare_digest(sent.encode("utf-8", "replace"), csrf_of(secret).encode())
    return mine and is_from_here(request, settings)
