"""The desk as a process: where it listens, what it says of itself, and how it ends.

It logs no request: links to sign in with and calendars have their secrets in their paths.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.config import Project
from runner.config.ends import is_local
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.ledger.process import Process
from runner.log import logger
from runner.report.draft import Clock, WallClock
from runner.scheduler import doorplate
from runner.scheduler.doorplate import Plate
from runner.web.app import application
from runner.web.desk import Desk
from runner.web.lines import Prompt

#: Seconds that answers under way have once the desk is told to end, and that all of it then has.
GRACE, LAST = 5, 10.0
#: Seconds for which a browser may keep a line open without asking anything.
KEEP_ALIVE = 15
#: So many lines at once; whoever comes after that is told to come again.
MOST = 200
#: Seconds between two looks at whether anybody was there.
_LOOK = 1.0
_ASKED_BY_MACHINES = ("/healthz", "/healthz/scheduler", "/metrics")


@dataclass(frozen=True)
class Options:
    """How one desk is served. What is not said is taken from `desk` of settings.yml.

    `idle` ends it by itself after so many seconds without a visitor; `plate` has it say where it is (`doorplate`);
    `tied` ends it when its standard input does.
    """

    now: datetime | None = None
    address: str = ""
    port: int | None = None
    idle: float | None = None
    plate: bool = False
    tied: bool = False


def serve(project: Project, options: Options) -> int:
    """Serve until told to end. Raises UsageError where it cannot listen."""
    log = logger(project.censor, terminal=sys.stderr.isatty())
    clock = WallClock() if options.now is None else Clock(options.now)
    with _quiet(log), closing(_listen(project, options)) as listening, closing(Ledger.of(project)) as ledger:
        desk = Desk(project, ledger, clock, dict(os.environ), log)
        _Server(desk, options, listening).run([listening])
        desk.backlog.wait()  # such as a mail with a link to sign in with
        doorplate.take_down(project)
        log("desk ends")
    return 0


def _plate(desk: Desk, listening: socket.socket, *, tied: bool) -> Plate:
    """What people type: the public address, or that of this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - any address is also our own
    local = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    public = desk.project.settings.desk.public
    shift = (desk.clock.now() - datetime.now(UTC)) / timedelta(seconds=1)
    return Plate(Process.this(), f"{public.rstrip('/')}/" if public else local, local, shift, tied)


# Listening.


def _listen(project: Project, options: Options) -> socket.socket:
    """The socket that the desk listens on. Raises UsageError with a sentence and what to do."""
    settings = project.settings.desk
    address = options.address or settings.address
    port = settings.port if options.port is None else options.port
    if not is_local(address) and settings.public is None:
        raise UsageError(
            f"The desk does not listen on {address} without encryption.",
            "Let a proxy with a certificate stand in front, and name its address as `public` in config/settings.yml.",
        )
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        raise _refused(error, address, port, doorplate.plate_of(project)) from error


def _refused(error: Exception, address: str, port: int, plate: Plate | None) -> UsageError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE and plate is not None and plate.local.endswith(f":{port}/"):
        end = "the `runner serve` that it belongs to" if plate.tied else "it with: runner serve --stop"
        what = f"Port {port} of {address} is taken by another desk of this project, at {plate.address}."
        return UsageError(what, f"Use that one, or end {end}")
    if number == errno.EADDRINUSE:
        what = f"Port {port} of {address} is taken by another program."
        return UsageError(what, f"End that one, or take another port: --port {port + 1 if port < 65535 else 0}.")
    if number == errno.EACCES:
        return UsageError(f"Port {port} is not for everybody.", "Take one from 1024 on: --port 8420.")
    what = f"The desk cannot listen on {address}, port {port}: {getattr(error, 'strerror', None) or error}."
    return UsageError(what, "Take an address of this machine: --address 127.0.0.1.")


# Serving.


class _Server(uvicorn.Server):
    """Our server: it tells when it begins and ends, and nothing keeps it for ever once it is to end."""

    def __init__(self, desk: Desk, options: Options, listening: socket.socket) -> None:
        self._desk, self._options, self._listening = desk, options, listening
        self._visited = time.monotonic()
        config = uvicorn.Config(
            self._noting(application(desk)),
            http=Prompt,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # `front` knows whose word is believed
            limit_concurrency=MOST,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
        super().__init__(config)

    def _noting(self, app: ASGIApp) -> ASGIApp:
        """The application, which notes when somebody was there: neither a watchdog nor a page that renews itself."""

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and not _is_machine(scope):
                self._visited = time.monotonic()
            await app(scope, receive, send)

        return noting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say where."""
        await super().startup(sockets)
        if self.should_exit:
            return
        plate = _plate(self._desk, self._listening, tied=self._options.tied)
        self._desk.log("desk begins", address=plate.address, project=self._desk.project.settings.company)
        if self._options.plate or (self._options.tied and doorplate.plate_of(self._desk.project) is None):
            plate.hang(self._desk.project)
        for wait in self._waits():
            threading.Thread(target=wait, daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, within seconds, also where a page hangs."""
        self._bounded()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals ask it to end; they are not raised once more after that."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def _waits(self) -> Iterator[Callable[[], None]]:
        if self._options.tied:
            yield self._await_end
        if self._options.idle is not None:
            yield self._await_silence

    def _await_end(self) -> None:
        """End with whoever holds the other end of our standard input."""
        while os.read(0, 1024):
            pass
        self._end("the scheduler is gone")

    def _await_silence(self) -> None:
        """End when nobody was there for long enough."""
        idle = self._options.idle or 0.0
        while (left := self._visited + idle - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))
        self._end("nobody was there")

    def _end(self, because: str) -> None:
        self._desk.log("desk is to end", because=because)
        self.should_exit = True
        self._bounded()

    def _bounded(self) -> None:
        """From now on it ends within seconds, also where a page hangs."""

        def leave() -> None:
            time.sleep(LAST)
            self._desk.log("desk ends", because="something still hung")
            os._exit(1)

        threading.Thread(target=leave, daemon=True).start()


def _is_machine(scope: Scope) -> bool:
    return scope["path"].endswith(_ASKED_BY_MACHINES) or any(name == b"x-live" for name, _ in scope["headers"])


# Its log.


class _Bridge(logging.Handler):
    """What libraries log of trouble, in the form of ours."""

    def __init__(self, log: Callable[..., Any]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        self._log(record.getMessage(), by=record.name, level=record.levelname.lower())


@contextmanager
def _quiet(log: Callable[..., Any]) -> Iterator[None]:
    """While this lasts, libraries log nothing but trouble."""
    root, bridge = logging.getLogger(), _Bridge(log)
    root.addHandler(bridge)
    try:
        yield
    finally:
        root.removeHandler(bridge)
