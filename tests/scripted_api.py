"""An HTTP API on loopback that answers as `runner.sources.web` asks, and fails when and how it is told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Fault:
    """One answer that is not as it should be.

    `edit` changes the true object; `body` takes its place; `how` is `whole`, `torn` (half of it, then the end),
    `dropped` (not a byte), `drip` (a byte, again and again) or `silent` (nothing, for as long as the server stands).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[dict[str, Any]], object] | None = None
    body: bytes | None = None
    how: str = "whole"


@dataclass
class Api:
    """What it holds, what it is asked, and what it does wrong: each request takes the next of `faults` (None: none)."""

    tables: dict[str, Rows] = field(default_factory=dict)
    watermarks: dict[str, str | None] = field(default_factory=dict)
    token: str | None = None
    scopes: list[str] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def fail(self, *faults: Fault | None) -> None:
        """Put these in the way of the next requests."""
        self.faults.extend(faults)

    def answer(self, target: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """The true answer to a request."""
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}
        parts = urlsplit(target)
        path, params = parts.path.strip("/"), dict(parse_qsl(parts.query))
        if path in {"", "token"}:
            return 200, {"scopes": self.scopes}
        table, _, rest = path.partition("/")
        if rest == "watermark" and table in self.watermarks:
            return 200, {"watermark": self.watermarks[table]}
        if rest or table not in self.tables:
            return 404, {}
        return 200, self._page(table, params)

    def _page(self, table: str, params: Mapping[str, str]) -> dict[str, Any]:
        number, size = int(params["page"]), int(params["page_size"])
        low, high = params.get("first", ""), params.get("last", "9999-99-99")
        rows = [row for row in self.tables[table] if low <= str(row.get("day", low)) <= high]
        pages = max(-(-len(rows) // size), 1)
        part = [dict(row) for row in rows[(number - 1) * size : number * size]]
        return {"rows": part, "page": number, "pages": pages, "total": len(rows)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: Api


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        api = self.server.api
        api.asked.append((self.path, dict(self.headers)))
        fault = (api.faults.popleft() if api.faults else None) or Fault()
        status, found = api.answer(self.path, self.headers)
        if fault.edit:
            fault.edit(found)
        body = json.dumps(found).encode() if fault.body is None else fault.body
        with suppress(OSError):  # whoever asked does not wait for ever
            self._send(fault, fault.status if fault.status != 200 else status, body)

    def _send(self, fault: Fault, status: int, body: bytes) -> None:
        if fault.how == "silent":
            self.server.api.closing.wait()
        if fault.how in {"silent", "dropped"}:
            self.connection.close()
            return
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **fault.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault.how == "drip":
            self._drip()
            return
        self.wfile.write(body[: len(body) // 2] if fault.how == "torn" else body)
        self.close_connection = fault.how == "torn"

    def _drip(self) -> None:
        while not self.server.api.closing.wait(0.01):
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """The API on a free port of loopback, with its address in `url`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.api = api
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
