"""What several test modules begin with is built once for all processes of a run, by whoever comes first.

It lies in a folder of that run, so nothing of an earlier one is ever taken for it, and goes with the last process that
uses it. What others build while one waits for it costs them no time of the machine's.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def built(name: str, build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills. It may be read by all; whoever would change it takes a copy."""
    place = _of_this_run() / name
    done = place.with_suffix(".done")
    with place.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)  # whoever began it was ended
            place.mkdir()
            build(place)
            done.touch()
    return place


@cache
def _of_this_run() -> Path:
    """The folder of this run: of all its workers, or of this process where there are none."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"process-{os.getpid()}"
    place = Path(tempfile.gettempdir()) / f"runner-tests-{run}"
    place.mkdir(exist_ok=True)
    users = os.open(place, os.O_RDONLY)
    fcntl.flock(users, fcntl.LOCK_SH)
    if not place.exists() or not os.path.samestat(os.fstat(users), place.stat()):  # the last one left just then
        os.close(users)
        return _of_this_run()
    atexit.register(_leave, place, users, os.getpid())
    return place


def _leave(place: Path, users: int, process: int) -> None:
    """Take the folder away, unless another process still uses it."""
    if os.getpid() != process:
        return
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    shutil.rmtree(place, ignore_errors=True)
