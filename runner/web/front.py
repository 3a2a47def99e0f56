"""What stands before every page: whether the request is for this desk at all, and what a proxy says of it.

The name that a browser was given is looked at first. A foreign page can have its own name lead to this machine (DNS
rebinding) and would then read what we answer as its own; so what is not asked under a name of ours is not answered. The
scheme and the client are those of the connection, unless a proxy that config names says otherwise; under the name of
`public` the scheme is that of `public`. (The server itself heeds no proxy: uvicorn is begun with proxy_headers=False.)
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from runner.config.ends import Desk as Settings
from runner.web.desk import Desk

#: Bytes of a path with what is behind its question mark, and of all headers.
LONGEST, MOST = 8 * 1024, 32 * 1024
#: Asked by programmes that know nothing but a number to call; no cookie opens them.
NAMELESS = frozenset({"/healthz", "/healthz/scheduler", "/metrics"})
#: Addresses that stand for all addresses of a machine, and are the name of none.
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - they are only compared with
_PORTS = {"http": 80, "https": 443}
_SAID = {
    HTTPStatus.MISDIRECTED_REQUEST: "Nothing here goes by the name that was asked for. Whoever keeps this desk names "
    "its address in config/settings.yml, under desk: public."
}


class Front:
    """Lets a request through that is for us and can be read. It says in the scope what the visitor's browser sees."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings = self._desk.known.settings.desk

        async def seen(scope: Any, receive: Any, send: Any) -> None:
            refused = _unreadable(scope) or _prepare(scope, settings)
            if refused:
                text = f"{refused.value} {refused.phrase}. {_SAID.get(refused, '')}".strip()
                await PlainTextResponse(f"{text}\n", refused)(scope, receive, send)
            else:
                await self._app(scope, receive, send)

        await ProxyHeadersMiddleware(seen, list(settings.proxies))(scope, receive, send)  # type: ignore[arg-type]


def _unreadable(scope: Scope) -> HTTPStatus | None:
    """What is too long, or what no name of ours holds and no database takes."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        return HTTPStatus.BAD_REQUEST
    return None


def _prepare(scope: Scope, settings: Settings) -> HTTPStatus | None:
    """Take the host for what it is, and the path of `public` off."""
    public = urlsplit(settings.public or "")
    root = public.path.rstrip("/")
    if root and not scope.get("root_path"):
        scope["root_path"] = root
        if not f"{scope['path']}/".startswith(f"{root}/"):  # the proxy has taken it off
            scope["path"] = root + scope["path"]
    names = [value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == b"host"]
    host = _host(names[0]) if len(names) == 1 else None
    if host and _whole(host, public.scheme) == _whole(_host(public.netloc.lower()), public.scheme):
        scope["scheme"] = public.scheme  # nobody but its proxy hears to this name
        return None
    if scope["path"].removeprefix(root) in NAMELESS:
        return None
    return None if host and _whole(host, "http") in _own(scope, settings) else HTTPStatus.MISDIRECTED_REQUEST


def _own(scope: Scope, settings: Settings) -> set[tuple[str, int]]:
    """The names under which this machine calls itself, with the port that the request came in by."""
    server = scope.get("server") or ("", None)
    port = server[1] or settings.port
    return {(name, port) for name in {"localhost", "127.0.0.1", "::1", settings.address.lower()} - _ANY}


_Host = tuple[str, int | None]


def _host(text: str) -> _Host | None:
    """A name and a port, if one is said; None for what is no name."""
    try:
        parts = urlsplit(f"//{text}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, port) if name and parts.netloc == text and "@" not in text else None


def _whole(host: _Host | None, scheme: str) -> tuple[str, int] | None:
    """With the port that is meant where none is said."""
    return (host[0], host[1] if host[1] is not None else _PORTS.get(scheme, 80)) if host else None
