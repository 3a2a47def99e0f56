"""The process that does the work: made like a fresh one after the fork, then one function is called."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

#: The descriptor over which this process may order further ones. Only the first member of an order has one, and what
#: it starts must not take another file of that number for it, so this is no variable of the environment.
GUARD: list[int] = []
#: The variable that keeps room in the parent's environment block, and how variables begin that are shown there.
ROOM, MARKS = "WARM_ROOM", "RUNNER_"
_PR_SET_PDEATHSIG = 1
_DEFAULT = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def become(order: Mapping[str, Any], files: Sequence[int], guard: int) -> NoReturn:
    """Turn this fork into the process that was ordered, and end with its exit code.

    files  descriptors for standard input, output and error, then those that the function is handed by number
    guard  the process that must live: when it dies, so does this one
    """
    try:
        os.setsid()
        _die_with(guard)
        kept = _streams(files)
        _signals()
        _surroundings(order)
        if order.get("inner"):
            GUARD[:] = [kept.pop()]
        _chance()
        code = _function(order["call"])(*kept, **order.get("arguments", {}))
    except SystemExit as error:
        code = _exit_code(error.code)
    except BaseException:  # noqa: BLE001 - the process ends here, and its log says why
        traceback.print_exc()
        code = 1
    _farewell()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    os._exit(code if isinstance(code, int) else 0)


def _die_with(guard: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guard:  # it died before we asked
        os._exit(1)


def _streams(files: Sequence[int]) -> list[int]:
    """Put the files to their places, close every other one, and open Python's streams anew."""
    moved = [os.dup(file) for file in files]  # none may lie where another goes
    high = [os.dup2(file, 64 + place) for place, file in enumerate(moved)]
    for place in range(3):
        os.dup2(high[place] if place < len(high) else os.open(os.devnull, os.O_RDWR), place)
    kept = [os.dup2(file, 3 + place, inheritable=False) for place, file in enumerate(high[3:])]
    os.closerange(3 + len(kept), 1 << 16)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    return kept


def _signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in _DEFAULT:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _surroundings(order: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["env"])
    _show({name: value for name, value in order["env"].items() if name.startswith(MARKS)})
    os.chdir(order["cwd"])
    time.tzset()
    sys.argv = [order["call"]]
    gc.enable()


def _show(marks: Mapping[str, str]) -> None:
    """Let others see these variables as if the process had been started with them.

    The system shows the environment block of the program's start, which a fork shares with its parent. The parent has
    kept room in it (ROOM), and that is written over here.
    """
    block = Path("/proc/self/environ").read_bytes()
    at = block.find(f"\0{ROOM}=".encode()) + 1
    size = block.find(b"\0", at) - at
    text = b"\0".join(f"{name}={value}".encode() for name, value in marks.items())
    rest = size - len(text) - len(ROOM) - 2
    if at > 0 and rest >= 0 and text:
        start = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[47])
        ctypes.memmove(start + at, text + f"\0{ROOM}=".encode() + b"." * rest, size)


def _chance() -> None:
    """No two members may draw the same numbers; Python reseeds its own generator at a fork, numpy does not."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(int.from_bytes(os.urandom(4)))


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _exit_code(said: Any) -> int:
    """The number for what `sys.exit` was told; a text goes to standard error."""
    if said is None or isinstance(said, int):
        return said or 0
    print(said, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1


def _farewell() -> None:
    """What an interpreter does before it ends: wait for threads, and run what was registered for the end."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - the interpreter calls it by this name
        atexit._run_exitfuncs()  # noqa: SLF001
    except BaseException:  # noqa: BLE001 - the end comes anyway
        traceback.print_exc()


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        return
