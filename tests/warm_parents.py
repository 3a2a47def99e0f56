"""Warm parents of a test's own: a short folder for their sockets, and nothing of them left afterwards."""

from __future__ import annotations

import os
import select
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.small_projects import living

#: Seconds in which a process that was told to end must have ended.
ENDING = 20.0


@contextmanager
def runtime() -> Iterator[Path]:
    """A folder for XDG_RUNTIME_DIR; at the end every parent in it retires, and all of their forks must be gone."""
    folder = Path(tempfile.mkdtemp(prefix="w"))
    try:
        yield folder
        left = retire_all(folder)
        assert left == [], f"{len(left)} forks of warm parents outlived their askers"
    finally:
        for process in living(f"{folder}/"):
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder)


def retire_all(folder: Path) -> list[int]:
    """End the parents whose sockets lie in this folder; the processes forked from them that do not end by themselves.

    A guard and a member show the command line of their parent, but each leads a session of its own.
    """
    found = living(f"{folder}/")
    for process in found:
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) != process.pid:
                process.terminate()
    return [process.pid for process in found if not has_ended(process.pid)]


def has_ended(pid: int, limit: float = ENDING) -> bool:
    """Whether a process ends within so many seconds; told by the system, not asked again and again."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([file], [], [], limit)[0])
    finally:
        os.close(file)


def is_up(pid: int) -> bool:
    """Whether a process lives, and not only as an entry that waits to be read."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def parent_of(pid: int) -> int:
    """The process that a process was forked by."""
    return psutil.Process(pid).ppid()


def descriptors(pid: int) -> dict[int, str]:
    """The open descriptors of a process and what they are, but for its looks at the process table."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(link.name)] = str(link.readlink())
    return {number: name for number, name in found.items() if not name.startswith("/proc/")}
