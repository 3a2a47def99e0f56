"""What warm processes are asked to do in tests, and what their parents are prepared with; parents import this."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path


def run(*files: int, code: str) -> None:
    """Run a Python text, as `python -c` would; `files` are the descriptors beyond the first three."""
    exec(compile(code, "<text>", "exec"), {"__name__": "__main__", "files": files})


def code(number: int) -> int:
    """End with this exit code."""
    return number


def note_start() -> None:
    """Leave a line in the file that the parent's environment names: this parent was begun once more."""
    with Path(os.environ["PYTHON_STARTS"]).open("a") as file:
        file.write("begun\n")


def begin_thread() -> None:
    """What a library does that is not fit for a parent."""
    note_start()
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def begin_thread_when_told() -> None:
    """Wait for a signal before beginning a thread."""
    signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=threading.Event().wait, daemon=True).start())


def die() -> None:
    """A parent that does not live to see its first order."""
    os._exit(9)
