"""Ctrl-C and SIGTERM ask everyone to end, instead of ending this process in the middle of its work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, TypeVar

INTERRUPTED = 130


class Asked(Protocol):
    """Something that can be asked to end, more than once and in a signal handler."""

    @property
    def asked(self) -> bool:
        """Whether it was."""

    def ask(self) -> None:
        """Ask it."""


class Bell:
    """A stop for what waits on a `threading.Event`."""

    def __init__(self) -> None:
        self.event = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether it was rung."""
        return self.event.is_set()

    def ask(self) -> None:
        """Ring it."""
        self.event.set()


_Stop = TypeVar("_Stop", bound=Asked)


@contextmanager
def heard(stop: _Stop) -> Iterator[_Stop]:
    """While this lasts, a signal to end asks the stop. A second one ends this process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    asked = [0.0]

    def ask(_number: int, _frame: FrameType | None) -> None:
        # A second wish, unless it is the echo of the first: leave at once. Children end when this process is gone.
        if stop.asked and time.monotonic() > asked[0] + 1:
            os._exit(INTERRUPTED)
        asked[0] = asked[0] or time.monotonic()
        stop.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
