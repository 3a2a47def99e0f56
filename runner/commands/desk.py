"""The desk as a process of its own beside the scheduler, or alone in the background.

A page that hangs thus never delays an alarm. What the desk itself is made of lies in `runner.web`; here it is begun,
begun again where it ended, and ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.acts import access
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.report.draft import Clock
from runner.report.warming import search_path
from runner.scheduler import doorplate
from runner.scheduler.doorplate import Plate

#: Seconds before it is begun again: more each time it ends soon; whoever stayed for so long begins anew.
WAITS, STAYED = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0), 60.0
#: Seconds in which it must have begun, and in which it must have ended once it is told to.
BEGINS, ENDS = 30.0, 15.0
#: Seconds without a visitor after which one in the background ends by itself.
IDLE = 2 * 3600.0
_LOOK = 0.05


@dataclass(frozen=True)
class Options:
    """Where the desk listens; what is not said is taken from `desk` of settings.yml."""

    address: str = ""
    port: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """As the command line of a desk says it."""
        address = ("--address", self.address) if self.address else ()
        return (*address, *(("--port", str(self.port)) if self.port is not None else ()))


def _command(project: Project, options: Options, now: datetime | None, *more: str) -> list[str]:
    clock = ("--now", now.isoformat()) if now else ()
    folder = str(project.folder.resolve())
    return [sys.executable, "-m", "runner.web", "--project", folder, *options.words, *clock, *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": search_path()}


# Beside the scheduler.


class Beside:
    """A desk that lives as long as the scheduler does. Wherever it ends before, it is begun again.

    `rehearsal` is the scheduler's clock, where that is not the machine's. The desk holds the other end of a pipe as its
    standard input, and ends with it: also when this process is killed.
    """

    def __init__(self, project: Project, options: Options, rehearsal: Clock | None, log: Callable[..., Any]) -> None:
        self._project, self._options, self._rehearsal, self._log = project, options, rehearsal, log
        self._over, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="desk", daemon=True)

    def begin(self) -> None:
        """Begin it, and wait for nothing."""
        self._thread.start()

    def _keep(self) -> None:
        tries = 0
        while not self._over.is_set():
            began = time.monotonic()
            ended = self._lived()
            if self._over.is_set():
                return
            tries = 0 if time.monotonic() - began >= STAYED else tries
            wait = WAITS[min(tries, len(WAITS) - 1)]
            tries += 1
            self._log("desk ended", again_in=wait, **ended)
            self._over.wait(wait)

    def _lived(self) -> dict[str, Any]:
        """Let one process live; how it ended, or why it did not begin."""
        try:
            process = self._started()
        except OSError as error:  # such as a machine that has no room for one more just now
            return {"error": str(error)}
        if process is None:
            return {}
        code = process.wait()
        if process.stdin:
            process.stdin.close()
        return {"code": code}

    def _started(self) -> subprocess.Popen[bytes] | None:
        """The process; none once it is over."""
        now = self._rehearsal.now() if self._rehearsal else None
        with self._lock:
            if self._over.is_set():
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                _command(self._project, self._options, now, "--tied"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
            return self._process

    def ask(self) -> None:
        """Ask it to end."""
        with self._lock:
            self._over.set()
            if self._process:
                self._process.terminate()

    def end(self) -> None:
        """End it, and wait until it has."""
        self.ask()
        if self._process:
            _gone(self._process)


def _gone(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDS)
    if process.poll() is None:
        process.kill()
        process.wait()


# In the background.


@dataclass(frozen=True)
class Found:
    """A desk in the background, and whether it was there already."""

    plate: Plate
    earlier: bool


def begin(project: Project, options: Options, now: datetime | None) -> Found:
    """Have a desk in the background; the one that is there, if there is one.

    Raises UsageError with what its log says, where it does not begin.
    """
    folder = doorplate.folder_of(project)
    with doorplate.alone(folder / "desk.lock"):
        plate = doorplate.plate_of(project)
        if plate is not None:
            return Found(plate, earlier=True)
        log = folder / "desk.log"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                _command(project, options, now, "--plate", "--idle", str(IDLE)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(),
                start_new_session=True,
            )
        return Found(_begun(project, process, log), earlier=False)


def _begun(project: Project, process: subprocess.Popen[bytes], log: Path) -> Plate:
    """Where it is, once it answers."""
    until = time.monotonic() + BEGINS
    while time.monotonic() < until and process.poll() is None:
        plate = doorplate.plate_of(project)
        if plate is not None and plate.process.pid == process.pid and _answers(plate):
            process.returncode = 0  # it is not ours to wait for any more
            return plate
        time.sleep(_LOOK)
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()
    what, remedy = _why(log)
    raise UsageError(f"The desk did not begin. {what}".strip(), remedy or f"See {log.relative_to(project.folder)}.")


def _answers(plate: Plate) -> bool:
    """Whether it answers, be it only to say that something is wrong."""
    try:
        with urllib.request.urlopen(f"{plate.local}healthz", timeout=5):  # noqa: S310 - http, on this machine
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def _why(log: Path) -> tuple[str, str]:
    """What the log says of why it did not begin."""
    for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        with suppress(ValueError, AttributeError):
            told = json.loads(line)
            if told.get("error"):
                return str(told["error"]), str(told.get("remedy", ""))
    return "", ""


def stop(project: Project) -> Plate | None:
    """End the desk in the background; which one that was. Raises UsageError for one that belongs to a scheduler."""
    plate = doorplate.plate_of(project)
    if plate is None:
        return None
    if plate.tied:
        raise UsageError(
            "The desk belongs to a `runner serve` that is at work.", "End that one: with Ctrl-C, as a rule."
        )
    until = time.monotonic() + ENDS
    for number, patience in ((signal.SIGTERM, until), (signal.SIGKILL, until + ENDS)):
        with suppress(ProcessLookupError):
            os.kill(plate.process.pid, number)
        while not plate.process.gone and time.monotonic() < patience:
            time.sleep(_LOOK)
        if plate.process.gone:
            break
    doorplate.path_of(project).unlink(missing_ok=True)
    return plate


def link(project: Project, plate: Plate, who: str) -> str:
    """A link that signs somebody in at a desk, once. Raises UsageError where there is nobody of this name."""
    with closing(Ledger.of(project)) as ledger:
        way = access.link_for(project, ledger, who, plate.at(datetime.now(UTC)))
    return access.address_of(plate.address, way)
