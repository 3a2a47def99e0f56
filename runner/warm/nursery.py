"""The warm parent: `python -P -m runner.warm.nursery`, started by `client` and shared by every asker of its breed.

It imports what it is told, makes sure that it has one thread, and then forks a guard for each order. Before each fork
it asks itself whether it is still what a fresh process would be: it retires when an imported file has changed, when
it has grown, after a number of forks, and when nobody needs it any more. Processes forked before that go on.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from runner.warm import wire
from runner.warm.breed import ILLNESS, STARTING
from runner.warm.guard import Guard, sweep
from runner.warm.processes import adopt_orphans

STALE = 7 * 24 * 3600.0  # seconds after which the folder of a parent that has ended is of no use to anyone
_HEARING = 2.0  # seconds for an asker to say what it wants


class Nursery:
    """The parent's life after its imports."""

    def __init__(self, listener: socket.socket, limits: Mapping[str, float]) -> None:
        self._listener = listener
        self._limits = limits
        self._guards: set[int] = set()
        self._holders: set[socket.socket] = set()
        self._forks = 0
        self._files = stamps()
        self._size = private_megabytes()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = wire.pair()
        for end in (self._woken, self._waker):
            end.settimeout(0)

    def serve(self) -> None:
        """Answer until there is a reason to retire, or nobody has asked for a while."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        self._selector.register(self._listener, selectors.EVENT_READ, self._answer)
        while True:
            ready = self._selector.select(self._limits["idle"])
            if not ready and not self._guards and not self._holders:
                return
            for key, _ in ready:
                key.data()
            if self._listener.fileno() < 0 and not self._guards:
                return

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        wire.widen(connection)
        connection.settimeout(_HEARING)
        try:
            if wire.is_own(connection):
                self._serve(connection, *wire.receive(connection))
        except (EOFError, OSError, ValueError):
            pass
        finally:
            if connection not in self._holders:
                connection.close()

    def _serve(self, connection: socket.socket, order: Mapping[str, Any], files: Sequence[int]) -> None:
        try:
            why = "it was asked to" if "retire" in order else self._unfit()
            if why:
                self._retire()
                wire.send(connection, {"retired": why})
            elif "hold" in order:
                self._hold(connection)
            else:
                self._fork(connection, order, files)
        finally:
            for file in files:
                os.close(file)

    def _unfit(self) -> str:
        """Why this parent is no longer what a fresh process would be; empty: it is."""
        changed = changed_since(self._files)
        if changed:
            return f"{changed} has changed"
        if self._forks >= self._limits["forks"]:
            return f"it has forked {self._forks} times"
        grown = private_megabytes() - self._size
        if grown > self._limits["grown"]:
            return f"it has grown by {grown:.0f} MB"
        return threads_trouble()

    def _retire(self) -> None:
        """Take no more orders; the processes forked so far go on."""
        with suppress(OSError):
            os.unlink(self._listener.getsockname())  # noqa: PTH108 - it may be a name relative to nothing
        self._selector.unregister(self._listener)
        self._listener.close()

    def _hold(self, connection: socket.socket) -> None:
        """Somebody wants this parent to stay as long as the connection does."""
        wire.send(connection, {"held": True})
        self._holders.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._let_go(connection))

    def _let_go(self, connection: socket.socket) -> None:
        self._holders.discard(connection)
        self._selector.unregister(connection)
        connection.close()

    def _fork(self, connection: socket.socket, order: Mapping[str, Any], files: Sequence[int]) -> None:
        self._forks += 1
        pid = os.fork()
        if pid == 0:
            try:
                self._leave_to_parent()
                connection.settimeout(None)
                Guard(connection).keep(order, files)
            finally:  # whatever goes wrong: a fork must not go on as a second parent
                os._exit(1)
        self._guards.add(pid)

    def _leave_to_parent(self) -> None:
        """In the fork: what is the parent's alone is closed here."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._selector.close()
        for own in (self._listener, self._woken, self._waker, *self._holders):
            own.close()

    def _reap(self) -> None:
        """Take note of guards that ended; what a guard that was killed left behind came to us, and is ended."""
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._guards.discard(pid)
        sweep(time.monotonic() + 1.0, lambda *_: None, frozenset(self._guards))


# Is it fit?


def stamps() -> dict[str, tuple[int, int, int]]:
    """Time, size and inode of every imported file."""
    return {file: stamp for file in _imported() if (stamp := _stamp(file))}


def _imported() -> set[str]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {file for file in files if isinstance(file, str)}


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        state = os.stat(file)  # noqa: PTH116 - thousands of them before each fork
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def changed_since(before: Mapping[str, tuple[int, int, int]]) -> str:
    """The name of an imported file that is no longer what it was; empty when all are."""
    return next((Path(file).name for file, stamp in before.items() if _stamp(file) != stamp), "")


def private_megabytes() -> float:
    """Memory of this process that it has to itself or shares only with its forks, in MB."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read before each fork
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


def threads_trouble() -> str:
    """What is wrong with the number of threads; empty when there is one."""
    count = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - before each fork
    return "" if count == 1 else f"it has {count} threads"


# Its beginning.


def main() -> NoReturn:
    """Import, check, and serve, or leave a word about what is wrong. The lock that was inherited tells who waits."""
    told = json.loads(sys.argv[1])
    if os.fork():  # whoever started this need not wait for its end
        os._exit(0)
    signal.alarm(STARTING)
    folder = Path(told["folder"])
    died = f"the parent died within {STARTING} s of its start; its log is in {folder.name}"
    (folder / ILLNESS).write_text(died, "utf-8")  # as long as nothing better is known
    trouble = _grow_up(told["modules"], told["prepare"])
    if trouble:
        (folder / ILLNESS).write_text(trouble, "utf-8")
        sys.exit(1)
    (folder / ILLNESS).unlink(missing_ok=True)
    adopt_orphans()
    listener = _listen(folder / "socket")
    nursery = Nursery(listener, told["limits"])
    signal.alarm(0)
    os.close(told["lock"])
    _tidy(folder)
    nursery.serve()
    if listener.fileno() >= 0:
        with suppress(OSError):
            os.unlink(listener.getsockname())  # noqa: PTH108
    sys.exit(0)


def _tidy(own: Path) -> None:
    """Remove the folders of parents that ended long ago: other environments, other versions."""
    for folder in own.parent.iterdir():
        lock = folder / "lock"
        with suppress(OSError):
            if not (folder / "socket").exists() and time.time() - lock.stat().st_mtime > STALE:
                shutil.rmtree(folder)


def _grow_up(modules: Sequence[str], prepare: Sequence[str]) -> str:
    """Import and prepare; what is wrong then, or nothing."""
    try:
        for module in modules:
            importlib.import_module(module)
        for name in prepare:
            _call(name)
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker must hear of it
        return f"it cannot import what it should: {type(error).__name__}: {error}"
    for handler in tuple(
        logging.root.handlers
    ):  # of a library that logs while it is prepared; a fresh process has none
        logging.root.removeHandler(handler)
    gc.collect()
    gc.disable()
    gc.freeze()  # what is frozen is not touched by collections in the forks, so its memory stays shared
    return threads_trouble()


def _call(name: str) -> None:
    module, _, function = name.partition(":")
    call: Callable[[], object] = getattr(importlib.import_module(module), function)
    call()


def _listen(place: Path) -> socket.socket:
    """A socket under this name; it takes the place of what a dead parent left there."""
    place.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, wire.KIND)
    listener.bind(str(place))
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main()
