"""What one report is about: its key in folders and ledger, and its words for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from runner.metrics.periods import Span


@dataclass(frozen=True)
class Period:
    """A key such as `2017-11-15`, `2017-W46` or `experiment-18@2017-11-15`, and the same for people."""

    key: str
    text: str


def period_of(kind: str, as_of: date, experiment: str | None = None) -> Period:
    """The period of a `day`, a `week` or an `experiment` as it is reported on a day.

    Another look at the same experiment is another period: its figures may differ without being a restatement.
    """
    if kind == "experiment":
        return Period(f"experiment-{experiment}@{as_of}", f"Experiment {experiment}, as of {_words(as_of)}")
    return _week(as_of) if kind == "week" else Period(as_of.isoformat(), _words(as_of))


def _week(day: date) -> Period:
    """The last whole week, Monday to Sunday, before a day: asked for on any day of the week after, it is the same."""
    last = day - timedelta(days=day.isoweekday())
    return Period(f"{last:%G-W%V}", f"Week of {Span(last - timedelta(days=6), last).text}")


def _words(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B %Y}"
