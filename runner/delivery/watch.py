"""The other end of the dead man's switch: on another machine, it hears heartbeats and tells when they stop.

It takes `POST /beat`, keeps the time of the last one in a file, and tells once when beats stop and once when they are
back. A watch that never heard any tells as well: silence is what it is there for.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from runner.errors import UsageError

_log = logging.getLogger(__name__)
#: Bytes of a request's body: a heartbeat has a few hundred.
LARGEST = 65_536
#: Connections at once, and seconds that each may last, however slowly it drips.
MOST = 64
PATIENCE = 5.0
#: Seconds between two looks at the clock, at most.
_LOOK = 1.0

Now = Callable[[], datetime]


@dataclass(frozen=True)
class Watch:
    """A beat is expected `every` so many seconds, and missed `grace` seconds after that."""

    every: float
    grace: float

    @property
    def patience(self) -> timedelta:
        """How long silence may last."""
        return timedelta(seconds=self.every + self.grace)


@dataclass(frozen=True)
class Heard:
    """What a watch knows: since when it listens, the last beat, and whether it told that beats have stopped."""

    since: datetime
    beat: datetime | None = None
    told: bool = False


def overdue(last_beat: datetime | None, since: datetime, watch: Watch, now: datetime) -> bool:
    """Whether beats have stopped: none for `every` and `grace`, counted from the last, or else from the start.

    A last beat that lies as far ahead counts as well: the clock was set back, and would hide a silence for long.
    """
    return abs(now.astimezone(UTC) - (last_beat or since).astimezone(UTC)) > watch.patience


# --- what is kept ---


class Memory:
    """What was heard, in one file, for several threads. A file that cannot be read counts as none."""

    def __init__(self, file: Path, now: datetime) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._heard = _read(file) or Heard(now)
        self._keep(self._heard)

    @property
    def heard(self) -> Heard:
        """What is known now."""
        return self._heard

    def beat(self, now: datetime) -> None:
        """A beat came. Raises OSError when it cannot be written; it counts all the same."""
        self._change(beat=now)

    def told(self, *, told: bool) -> None:
        """Beats have stopped, or are back, and that was told. Raises OSError as `beat` does."""
        self._change(told=told)

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._heard = replace(self._heard, **changes)
            self._keep(self._heard)

    def _keep(self, heard: Heard) -> None:
        """Writes the whole file or none of it."""
        said = {"since": heard.since.isoformat(), "beat": heard.beat and heard.beat.isoformat(), "told": heard.told}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        with draft.open("w", encoding="utf-8") as out:
            json.dump(said, out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._file)


def _read(file: Path) -> Heard | None:
    try:
        said = json.loads(file.read_text("utf-8"))
        beat = _instant(said["beat"]) if said["beat"] else None
        return Heard(_instant(said["since"]), beat, bool(said["told"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read and is begun anew: %s", file.name, type(error).__name__)
        return None


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("has no time zone")
    return instant


# --- telling ---


def check(memory: Memory, watch: Watch, tell: Callable[[str], None], now: datetime) -> None:
    """Tells once when beats have stopped and once when they are back; what could not be told is told at the next look.

    Never raises: a watch that ends with its first trouble watches nothing.
    """
    heard = memory.heard
    late = overdue(heard.beat, heard.since, watch, now)
    if late == heard.told:
        return
    try:
        tell(_stopped(heard, watch) if late else _back(heard))
        memory.told(told=late)
    except Exception as error:  # noqa: BLE001 - whatever `tell` raises
        _log.warning("the watch could not tell or keep that it told: %s", type(error).__name__)


def _stopped(heard: Heard, watch: Watch) -> str:
    last = f"since {_words(heard.beat)}" if heard.beat else f"ever; this watch began at {_words(heard.since)}"
    wait = f"one is expected every {watch.every:g} s"
    return f"No heartbeat of the reporting pipeline {last} ({wait}). Look at its machine: nobody else will tell of it."


def _back(heard: Heard) -> str:
    return f"The reporting pipeline's heartbeat is back since {_words(heard.beat or heard.since)}."


def _words(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


# --- listening ---


class _Server(ThreadingHTTPServer):
    """A thread a connection, so many at once, each for so long."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, place: tuple[str, int], memory: Memory, now: Now, token: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self.memory, self.now, self.token = memory, now, token
        self._seats = threading.BoundedSemaphore(MOST)
        super().__init__(place, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Turns away what comes when every seat is taken."""
        if not self._seats.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had: the seat is free again
            self._seats.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one connection, and ends it when its time is over."""
        end = threading.Timer(PATIENCE, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._seats.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class calls it so
        """A client that went away, or spoke nonsense, is no news."""
        _log.debug("a connection ended early")


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """`POST /beat` and `GET /healthz`, and nothing else."""

    server: _Server
    server_version = "watch"
    sys_version = ""
    timeout = PATIENCE

    def do_POST(self) -> None:
        """A beat: 204, or 404 without the right token, 413 or 400 with the wrong size, 500 if it cannot be kept."""
        if not self._allowed():
            self._answer(404)
            return
        refusal = self._swallow()
        self._answer(refusal or self._beat())

    def do_GET(self) -> None:
        """Whether the watch itself is up, and when it heard the last beat."""
        if self.path != "/healthz":
            self._answer(404)
            return
        beat = self.server.memory.heard.beat
        self._answer(200, json.dumps({"beat": beat and beat.isoformat()}).encode())

    def _allowed(self) -> bool:
        """The path is /beat; where there is a token, any path that ends in it, or any with it as bearer."""
        path = unquote(self.path.partition("?")[0]).rstrip("/")
        if not self.server.token:
            return path == "/beat"
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        # Both are compared, and each in constant time, so that an answer's speed says nothing.
        return _same(path.rpartition("/")[2], self.server.token) | _same(bearer, self.server.token)

    def _swallow(self) -> int:
        """Reads the body, which says nothing that is needed; gives the code of a refusal, or 0."""
        length = self.headers.get("Content-Length", "0").strip()
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            return 400
        if len(length) > 9 or int(length) > LARGEST:
            return 413
        return 0 if len(self.rfile.read(int(length))) == int(length) else 400

    def _beat(self) -> int:
        try:
            self.server.memory.beat(self.server.now())
        except OSError as error:
            _log.error("the beat counts, but cannot be written: %s", error.strerror)
            return 500
        return 204

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        if code != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: a request's path holds the token."""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8", "replace"))


def serve(  # noqa: PLR0913, PLR0917 - the parts of one service
    address: str,
    port: int,
    state_file: Path,
    watch: Watch,
    tell: Callable[[str], None],
    now: Now,
    stop: threading.Event,
    *,
    token: str = "",
    ready: Callable[[str, int], None] = lambda _address, _port: None,
) -> None:
    """Listens and looks until `stop` is set. `now` gives aware instants; `ready` hears the address that is open.

    Port 0 is any free one. Raises UsageError when the address cannot be opened or the file cannot be written.
    """
    server = _open(address, port, state_file, now, token)
    listener = threading.Thread(target=server.serve_forever, args=(0.1,), name="watch", daemon=True)
    listener.start()
    try:
        ready(*server.server_address[:2])  # type: ignore[arg-type]
        while not stop.is_set():
            check(server.memory, watch, tell, now())
            stop.wait(min(_LOOK, watch.every / 10))
    finally:
        server.shutdown()
        server.server_close()
        listener.join()


def _open(address: str, port: int, state_file: Path, now: Now, token: str) -> _Server:
    try:
        memory = Memory(state_file, now())
    except OSError as error:
        raise UsageError(f"{state_file} cannot be written: {error.strerror}.", "Name another file.") from error
    try:
        return _Server((address, port), memory, now, token)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"{address} port {port} cannot be opened: {error}.", "Name another address or port."
        ) from error
