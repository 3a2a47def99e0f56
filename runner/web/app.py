"""The application: every route, and what stands around each request.

Whatever somebody asks for who is not signed in leads to the sign-in; whatever somebody asks for who may not see it is
answered like what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

from python_multipart.exceptions import FormParserError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from runner.errors import RunnerError
from runner.ledger import access as book
from runner.web import api, health, metrics, session, static
from runner.web.access import SIGNED_IN, Rule, visitor_of
from runner.web.desk import Desk
from runner.web.front import Front
from runner.web.headers import Headers
from runner.web.page import NotFound, Page
from runner.web.pages import PAGES
from runner.web.visit import NOBODY, Visit

#: Bytes of one form, all in all: the longest reason that anybody writes, and then some.
LARGEST = 256 * 1024
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def application(desk: Desk) -> Starlette:
    """The desk as an ASGI application."""
    routes: list[BaseRoute] = [Route("/static/{name}", static.serve), *(_route(desk, page) for page in PAGES)]
    routes += [*health.routes(desk), *metrics.routes(desk), Mount("/api", api.application(desk))]
    routes.append(_route(desk, Page("/{rest:path}", SIGNED_IN)))
    limits = (Middleware(Front, desk), Middleware(RequestBodyLimitMiddleware, LARGEST))
    before = (Middleware(Headers), Middleware(api.InForm), *limits)
    return Starlette(routes=routes, middleware=before, exception_handlers={HTTPException: _broken(desk)})


def _route(desk: Desk, page: Page) -> Route:
    async def endpoint(request: Request) -> Response:
        form = await _form(request) if request.method == "POST" else {}
        return await run_in_threadpool(_answer, desk, page, request, form)

    return Route(page.path, endpoint, methods=_METHODS)


async def _form(request: Request) -> Mapping[str, str]:
    """What a form says. Raises HTTPException where it is none: our pages send one kind alone, and no files."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" and (kind or request.headers.get("content-length", "0") != "0"):
        raise HTTPException(415)
    try:
        async with request.form() as sent:
            fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    except (FormParserError, ClientDisconnect):
        raise HTTPException(400) from None
    return {name.replace("\0", ""): value.replace("\0", "") for name, value in fields.items()}


def _answer(desk: Desk, page: Page, request: Request, form: Mapping[str, str]) -> Response:
    visit = Visit(desk, request, desk.clock.now(), desk.project, form=form)
    try:
        visit = enter(visit)
        return _let(visit, page)
    except NotFound:
        return visit.page("missing.html.j2", 404) if visit.visitor is not NOBODY else _sign_in(request)
    except RunnerError as error:
        return visit.page("refused.html.j2", 422, error=error)
    except Exception as error:  # noqa: BLE001 - whoever asked gets a page, and whoever keeps this house the traceback
        return visit.page("failed.html.j2", 500, number=desk.failed("page failed", page.path, error))


def _let(visit: Visit, page: Page) -> Response:
    """The answer of a page to a visit that may have it."""
    method = visit.request.method
    rule, answer = page.rule(method), page.answer(method)
    if visit.visitor is NOBODY and not rule.anyone:
        return _sign_in(visit.request)
    if answer is None or not rule.allows(visit):
        raise NotFound
    if method == "POST" and not _is_own(visit, rule):
        return visit.page("foreign.html.j2", 403)
    return answer(visit)


def _is_own(visit: Visit, rule: Rule) -> bool:
    """Whether a form is from a page of ours. Where nobody is signed in yet, no page could be given a secret."""
    settings = visit.project.settings.desk
    if rule.anyone:
        return session.is_from_here(visit.request, settings)
    return session.is_own(visit.request, settings, visit.secret, visit.form.get(session.CSRF, ""))


def enter(visit: Visit) -> Visit:
    """The visit with whoever is signed in. A page that renews itself does not keep a session alive."""
    secret = session.cookie_of(visit.request).read(visit.request)
    if not secret:
        return visit
    with visit.ledger.read() as tx:
        found = book.session(tx, secret)
    visitor = visitor_of(visit.project, found.who) if found else None
    if found is None or visitor is None or not session.is_good(found, visit.now, visit.project.settings.desk):
        return visit
    if session.is_to_note(found, visit.now) and "x-live" not in visit.request.headers:
        with visit.ledger.write() as tx:
            book.seen(tx, secret, visit.now)
    return replace(visit, visitor=visitor, secret=secret)


def _sign_in(request: Request) -> Response:
    """The way to the sign-in, and from there back; an act is not repeated behind anybody's back."""
    root, path = request.scope.get("root_path", ""), request.url.path
    asked = path.removeprefix(root) + (f"?{request.url.query}" if request.url.query else "")
    wanted = f"?next={quote(asked)}" if request.method == "GET" and asked != "/" else ""
    return RedirectResponse(f"{root}/sign-in{wanted}", 303)


def _broken(desk: Desk) -> Callable[[Request, Exception], Response]:
    """What is wrong with a request before it is anybody's: a form that is none, a method that nothing has."""

    def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        visit = Visit(desk, request, desk.clock.now(), desk.known)
        return visit.page("missing.html.j2" if status == 404 else "broken.html.j2", status)

    return answer
