"""What somebody wants done with a run: checked before anything else is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runner.acts.people import engineer
from runner.config import Project
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Run

#: Characters of a reason.
LONGEST = 500


@dataclass(frozen=True)
class Wish:
    """Of which run, who wants it, why, and when."""

    run: Run
    who: str
    because: str
    at: datetime


def reason_of(text: str) -> str:
    """What a person gave as the reason, on one line. Raises UsageError when it is too long to be read in a list."""
    reason = line(text)
    if len(reason) > LONGEST:
        raise UsageError(f"The reason has {len(reason)} characters.", f"Say it in at most {LONGEST}.")
    return reason


def reasoned(project: Project, wish: Wish, asks: str) -> Wish:
    """The wish of an engineer who says why, on one line. `asks` is the question that is left. Raises UsageError."""
    engineer(project, wish.who)
    because = reason_of(wish.because)
    if not because:
        raise UsageError(asks, "Say it in a sentence: it is kept with what you do.")
    return Wish(wish.run, wish.who, because, wish.at)
