"""Somebody says that data have landed."""

from __future__ import annotations

from runner.acts.arrivals import arrived
from runner.acts.people import engineer
from runner.config import Project
from runner.ledger import Ledger
from runner.ledger.arrivals import Arrival
from runner.screen import screen_for


def note(project: Project, word: Arrival, *, as_json: bool) -> int:
    """Note that a source is whole up to and with a day. Raises UsageError as the act does."""
    engineer(project, word.who)
    ledger = Ledger.of(project)
    try:
        new = arrived(project, ledger, word)
    finally:
        ledger.close()
    about = f"{word.source} is whole up to and with {word.day}"
    said = f"{about}: the scheduler hears of it at its next look." if new else f"It was known that {about}."
    row = {"source": word.source, "day": word.day.isoformat(), "by": word.who, "at": word.at.isoformat(), "new": new}
    screen_for(as_json=as_json, total=0).line(row, said)
    return 0
