"""Ending a run's processes: the child, its kernel, and whatever a cell started, also when it hid.

Three nets, from the finest to the widest: the process tree (the child adopts orphans, so a double fork stays in it),
the child's process group, and the mark RUNNER_RUN in the environment of every process of a run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

MARK = "RUNNER_RUN"
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends (Linux; elsewhere no effect)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_below(pid: int, patience: float = 2.0) -> None:
    """Kill everything below a process, round after round until nothing new is born."""
    _until_none(lambda: _below(pid), patience)


def end_run(pid: int, run: str, patience: float = 5.0) -> None:
    """Kill a run's child process and everything that belongs to the run, children first.

    The child goes last: while it lives, it adopts whatever its descendants leave behind.
    """
    end_below(pid, patience)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    end_marked(run, patience)


def end_marked(run: str, patience: float = 5.0) -> None:
    """Kill everything that carries a run's mark."""
    _until_none(lambda: marked(run), patience)


def marked(run: str) -> list[psutil.Process]:
    """Every living process of a run but this one, by the mark in its environment."""
    own = os.getpid()
    return [process for process in psutil.process_iter() if process.pid != own and _mark(process) == run]


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK) if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, OSError):
        return None


def _below(pid: int) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(pid).children(recursive=True) if _alive(child)]
    except psutil.Error:
        return []


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _until_none(find: Callable[[], list[psutil.Process]], patience: float) -> None:
    end = time.monotonic() + patience
    while (found := find()) and time.monotonic() < end:
        _kill(found)
        psutil.wait_procs(found, timeout=0.2)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
