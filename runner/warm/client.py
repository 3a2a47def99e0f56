"""Asks for a warm process: finds the parent, starts one where there is none, and says why there can be none.

    with contextlib.closing(client.ask(breed, Order("package.module:function", cwd=..., env=...))) as member:
        member.wait(60)

Raises Unavailable with a reason in one sentence; whoever asks then does it the ordinary way.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.warm import wire
from runner.warm.breed import ILLNESS, STARTING, Breed
from runner.warm.member import GUARD, ROOM

#: Seconds that a parent may take for its answer.
ANSWERING = 10.0
#: Seconds for which nobody tries again after a parent was found unfit from its beginning.
ILL = 120.0


class Unavailable(Exception):  # noqa: N818 - it is no error: the ordinary way serves
    """There is no warm process to be had; the text says why."""


@dataclass(frozen=True)
class Order:
    """What a process is to do.

    call       `module:function`; it is called with the numbers of the files beyond the first three, and `arguments`
    files      open files for standard input, output and error, and further ones
    """

    call: str
    cwd: Path
    env: Mapping[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[int] = ()

    def message(self) -> dict[str, Any]:
        """The order as it travels."""
        return {"call": self.call, "cwd": str(self.cwd), "env": dict(self.env), "arguments": dict(self.arguments)}


class Member:
    """A process that was asked for. It ends, with everything below it, when this is closed."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.is_lost = False  # its guard died without a word, so somebody must look for what is left
        self._connection = connection

    def fileno(self) -> int:
        """A descriptor that can be read when the process has ended; -1 once that is known."""
        return self._connection.fileno()

    def poll(self) -> int | None:
        """The exit code (negative: the signal), or None while it runs."""
        return self._await(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it and all below it are gone. Raises subprocess.TimeoutExpired."""
        code = self._await(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Signal the process and its group; nothing happens when it has ended."""
        if self.returncode is None:
            with suppress(OSError):
                wire.send(self._connection, {"signal": number})

    def close(self) -> None:
        """Let go: a process that still runs is told to end, and killed if it does not."""
        self._connection.close()

    def _await(self, timeout: float | None) -> int | None:
        running = self.returncode is None and self._connection.fileno() >= 0
        if running and wire.ready([self._connection.fileno()], timeout):
            code = _exit_code(self._connection)
            self.is_lost, self.returncode = code is None, -9 if code is None else code
            self._connection.close()
        return self.returncode


def _exit_code(connection: socket.socket) -> int | None:
    """What the guard says at the end; None: it died without a word, and its members with it."""
    try:
        return int(wire.receive(connection)[0]["exit"])
    except (EOFError, OSError, ValueError, KeyError):
        return None


# Asking.


def ask(breed: Breed, order: Order) -> Member:
    """A new process of this breed. Raises Unavailable."""
    reason = "no parent stays fit"
    for _ in range(3):  # one that retires just now, one that is started by another, one of our own
        with _connected(breed) as connection:
            answer = _answered(connection, order.message(), order.files)
            if "pid" in answer:
                return Member(connection.dup(), int(answer["pid"]))
            reason = str(answer.get("retired", reason))
    raise Unavailable(reason)


def ask_guard(order: Order) -> Member:
    """A further process beside this one, from this one's guard. Raises Unavailable where there is none."""
    try:
        guard = socket.socket(fileno=os.dup(GUARD[0]))
    except (IndexError, OSError):
        raise Unavailable("this process has no guard") from None
    ours, theirs = wire.pair()
    with guard, theirs:
        try:
            wire.send(guard, order.message(), [theirs.fileno(), *order.files])
        except OSError as error:
            ours.close()
            raise Unavailable(f"the order cannot be sent: {error.strerror}") from error
    answer = _heard(ours)
    if "pid" not in answer:
        ours.close()
        raise Unavailable("the guard did not answer")
    return Member(ours, int(answer["pid"]))


def retire(breed: Breed) -> bool:
    """Ask the parent of this breed, if there is one, to take no more orders; whether there was one."""
    try:
        with _connect(breed.folder) as connection:
            _answered(connection, {"retire": True})
    except OSError:
        return False
    return True


def is_there(breed: Breed) -> bool:
    """Whether a parent of this breed waits for orders."""
    try:
        _connect(breed.folder).close()
    except OSError:
        return False
    return True


def _answered(connection: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
    try:
        wire.send(connection, message, files)
    except OSError as error:
        raise Unavailable(f"the order cannot be sent: {error.strerror}") from error
    return _heard(connection)


def _heard(connection: socket.socket) -> dict[str, Any]:
    """The answer; empty when the other end went away or stays silent."""
    connection.settimeout(ANSWERING)
    try:
        return wire.receive(connection)[0]
    except (EOFError, OSError, ValueError):
        return {}
    finally:
        connection.settimeout(None)


@contextmanager
def _connected(breed: Breed) -> Iterator[socket.socket]:
    """A connection to the parent, which is started if there is none. Raises Unavailable."""
    if sys.platform != "linux":
        raise Unavailable("warm processes need Linux")
    try:
        connection = _found(breed, breed.folder)
    except OSError as error:
        raise Unavailable(f"its folder cannot be used: {error}") from error
    with connection:
        yield connection


def _found(breed: Breed, folder: Path) -> socket.socket:
    try:
        return _connect(folder)
    except (FileNotFoundError, ConnectionError):
        return _connect_to_new(breed, folder)


def _connect(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, wire.KIND)
    try:
        wire.widen(connection)
        connection.settimeout(ANSWERING)
        connection.connect(str(folder / "socket"))
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    if not wire.is_own(connection):
        connection.close()
        raise PermissionError("the socket belongs to others")
    return connection


def _connect_to_new(breed: Breed, folder: Path) -> socket.socket:
    """Start a parent, unless another asker was quicker, and wait for it. Raises Unavailable."""
    for begun in (False, True):
        with (folder / "lock").open("w") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX
            )  # a parent that begins holds it until it is ready or dead, STARTING s at most
            with suppress(OSError):
                return _connect(folder)
            _refuse_ill(folder)
            if not begun:
                _launch(breed, folder, lock.fileno())
    raise Unavailable(f"the parent died within {STARTING} s of its start; its log is in {folder.name}")


def _refuse_ill(folder: Path) -> None:
    """Raise Unavailable when a parent said a short while ago what is wrong with it."""
    with suppress(OSError):
        if time.time() - (folder / ILLNESS).stat().st_mtime < ILL:
            raise Unavailable((folder / ILLNESS).read_text("utf-8"))


def prestart(breed: Breed) -> None:
    """Have a parent begin, if there is none, and do not wait for it: it is there when it is asked. Never raises."""
    if sys.platform != "linux":
        return
    with suppress(OSError, Unavailable):
        folder = breed.folder
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                _connect(folder).close()
            except (FileNotFoundError, ConnectionError):
                _refuse_ill(folder)
                _launch(breed, folder, lock.fileno())


def _launch(breed: Breed, folder: Path, lock: int) -> None:
    """Start a parent. It inherits the lock, and so holds it until it lets go."""
    told = {"folder": str(folder), "modules": breed.modules, "prepare": breed.prepare, "limits": vars(breed.limits)}
    with (folder / "log").open("wb") as log:
        subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "runner.warm.nursery", json.dumps({**told, "lock": lock})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**breed.early, ROOM: "." * 4096},
            pass_fds=(lock,),
            start_new_session=True,
            check=False,
            timeout=ANSWERING,  # it forks at once, and the fork does the work
        )


class Kept:
    """Keeps a parent of one breed ready for a long-lived process: look at it now and then."""

    def __init__(self, breed: Breed) -> None:
        self._breed = breed
        self._connection: socket.socket | None = None

    def look(self) -> None:
        """Have a parent begin where there is none, and hold one that is ready. Waits for no imports, never raises."""
        if self._connection and not wire.ready([self._connection.fileno()], 0):
            return
        self.close()
        with suppress(OSError, Unavailable):
            self._connection = _held(_connect(self._breed.folder))
        if self._connection is None:
            prestart(self._breed)

    def close(self) -> None:
        """Let go."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _held(connection: socket.socket) -> socket.socket | None:
    """The connection, if the parent stays for its sake."""
    if "held" in _answered(connection, {"hold": True}):
        return connection
    connection.close()
    return None
