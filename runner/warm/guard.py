"""The guard of one order: forks its members, adopts what they leave, tells how they end, and leaves nothing behind.

A guard is itself a fork of the warm parent and keeps to one thread, so it can fork further members for the first one
(a run's notebook process asks for its kernel that way). Everything of an order is below its guard.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from runner.warm import wire
from runner.warm.member import become
from runner.warm.processes import adopt_orphans

_GRACE = 3.0  # seconds to end by itself for a member whose asker has gone
_PATIENCE = 10.0  # seconds to wait for killed processes to be gone


@dataclass
class _Member:
    """One process of the order and the connection of whoever asked for it."""

    pid: int
    connection: socket.socket


class Guard:
    """Watches over the members of one order until the first of them has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._lives: dict[int, _Member] = {}
        self._selector = selectors.DefaultSelector()
        self._inner, self._given = wire.pair()
        self._woken, waker = wire.pair()
        for end in (self._woken, waker):
            end.settimeout(0)
        self._waker = waker
        self._main = connection

    def keep(self, order: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
        """Fork the first member, watch, and leave when it has ended."""
        os.setsid()
        adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        self._selector.register(self._inner, selectors.EVENT_READ, self._ordered)
        nothing = [os.open(os.devnull, os.O_RDWR) for _ in range(3 - len(files))]
        main = self._begin({**order, "inner": True}, [*files, *nothing, self._given.fileno()], self._main)
        self._given.close()
        _close([*files, *nothing])
        while main in self._lives:
            for key, _ in self._selector.select():
                key.data()
        os._exit(0)

    def _begin(self, order: Mapping[str, Any], files: Sequence[int], connection: socket.socket) -> int:
        guard = os.getpid()
        pid = os.fork()
        if pid == 0:
            become(order, files, guard)
        self._lives[pid] = _Member(pid, connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._heard(pid))
        _tell(connection, {"pid": pid})
        return pid

    def _ordered(self) -> None:
        """A member asks for another: the first file is the connection over which it will speak about it."""
        try:
            order, files = wire.receive(self._inner)
            connection = socket.socket(fileno=files[0])
        except (EOFError, OSError, ValueError, IndexError):
            self._selector.unregister(self._inner)
            return
        self._begin(order, files[1:], connection)
        _close(files[1:])

    def _heard(self, pid: int) -> None:
        member = self._lives.get(pid)
        if member is None:  # it ended while another one was seen to
            return
        try:
            number = int(wire.receive(member.connection)[0]["signal"])
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            self._selector.unregister(member.connection)
            self._end(member)
            return
        _signal(pid, number)

    def _end(self, member: _Member) -> None:
        """The asker has gone: the member may save what it has, then it ends; the first one takes all with it."""
        _signal(member.pid, signal.SIGTERM)
        end = time.monotonic() + _GRACE
        while member.pid in self._lives and (left := end - time.monotonic()) > 0:
            self._wait(left)
            self._reap()
        if member.pid in self._lives:
            _signal(member.pid, signal.SIGKILL)

    def _wait(self, limit: float) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._woken, selectors.EVENT_READ)
            waiting.select(limit)

    def _reap(self) -> None:
        """Take note of everything below that has ended, adopted or not."""
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._ended(*ended)

    def _ended(self, pid: int, status: int) -> None:
        member = self._lives.get(pid)
        if member is None:
            return
        if member.connection is self._main:
            self._sweep()
        del self._lives[pid]
        with suppress(KeyError):
            self._selector.unregister(member.connection)
        _tell(member.connection, {"exit": os.waitstatus_to_exitcode(status)})
        member.connection.close()

    def _sweep(self) -> None:
        """Kill everything below, round after round: orphans come to us, until nothing is left."""
        sweep(time.monotonic() + _PATIENCE, self._note)

    def _note(self, pid: int, status: int) -> None:
        member = self._lives.pop(pid, None)
        if pid and member is not None:
            _tell(member.connection, {"exit": os.waitstatus_to_exitcode(status)})


def sweep(end: float, ended: Any, spared: frozenset[int] = frozenset()) -> None:
    """Kill and reap every child of this process but the spared, and what comes to it when those die, until `end`."""
    while (found := children() - spared) and time.monotonic() < end:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:
            _await(pid, end)
            with suppress(ChildProcessError):
                ended(*os.waitpid(pid, os.WNOHANG))


def _await(pid: int, end: float) -> None:
    """Wait for the end of a child, as long as there is time; what the kernel holds may not die at once."""
    with suppress(ProcessLookupError):
        file = os.pidfd_open(pid)
        wire.ready([file], end - time.monotonic())
        os.close(file)


def children() -> frozenset[int]:
    """The direct children of this process (of one thread), the dead among them until they are waited for."""
    me = os.getpid()
    with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as listing:  # noqa: PTH123 - pathlib is slower here
        return frozenset(map(int, listing.read().split()))


def _signal(pid: int, number: int) -> None:
    """Signal a member with its group; it is unreaped, so the number is still its own."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # it has no group of its own yet
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _tell(connection: socket.socket, message: Mapping[str, Any]) -> None:
    with suppress(OSError):
        wire.send(connection, message)


def _close(files: Sequence[int]) -> None:
    for file in files:
        with suppress(OSError):
            os.close(file)
