"""Waiting for data that should be there by now: growing pauses inside a window, and what is missing in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from runner.errors import SourceFailed, Trouble
from runner.sources.completeness import clock

#: The share of all the time there is that is kept for the last look: it still has to read what came.
KEPT = 0.2
#: The first pause between two looks, and the longest, in seconds; each is one and a half times the one before.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0


def pauses() -> Iterator[float]:
    """The seconds to wait before the second look, the third, and so on."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(LONGEST_PAUSE, pause * 1.5)


def pause(wished: float, window: float, left: float) -> float | None:
    """How long to wait before another look; None when the window, or all the time there is, is over.

    `window` and `left` are the seconds that remain of both. The last look falls on the end of the window.
    """
    remains = min(window, left)
    return min(wished, remains) if remains > 0 else None


def too_old(title: str, table: str, upto: datetime, need: datetime, zone: ZoneInfo) -> SourceFailed:
    """The error of a source whose data do not reach as far as they are needed."""
    return SourceFailed(
        f"{title} has everything of {table} up to {clock(upto, zone)} only, and up to {clock(need, zone)} is needed.",
        "Find out why it is behind, then run again.",
        Trouble.DATA_INCOMPLETE,
    )
