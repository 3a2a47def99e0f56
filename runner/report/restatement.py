"""What differs from what was handed out: figures that readers have, records that later reports rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.errors import Trouble
from runner.ledger import Ledger, Run
from runner.ledger.finished import Replaced
from runner.model import Figure, Finding, Level


@dataclass(frozen=True)
class Change:
    """One figure that readers have: the texts that were and are printed; empty where it was not, or is not, there."""

    name: str
    label: str
    before: str
    now: str

    @property
    def sentence(self) -> str:
        """The change in a few words."""
        return f"{self.label} ({self.before or 'not there'} before, {self.now or 'gone'} now)"


@dataclass(frozen=True)
class Restates:
    """The delivered report that another takes the place of; `delivered_at` is None until a message is noted."""

    run: str
    version: int
    delivered_at: datetime | None
    changes: tuple[Change, ...]

    def as_dict(self, zone: ZoneInfo) -> dict[str, Any]:
        """Plain JSON types; `delivered_on` is the day in words where the project is."""
        day = self.delivered_at.astimezone(zone) if self.delivered_at else None
        return {
            "run": self.run,
            "version": self.version,
            "delivered_at": self.delivered_at and self.delivered_at.isoformat(timespec="seconds"),
            "delivered_on": f"{day.day} {day:%B %Y}" if day else "",
            "changes": [vars(change) for change in self.changes],
        }


def changes(before: Iterable[Figure], after: Iterable[Figure]) -> tuple[Change, ...]:
    """Each figure that was handed out and now differs in value or text, is missing, or is new; in their order."""
    old, new = ({figure.name: figure for figure in figures} for figures in (before, after))
    return tuple(
        _change(name, old.get(name), new.get(name))
        for name in {**old, **new}
        if _said(old.get(name)) != _said(new.get(name))
    )


def _said(figure: Figure | None) -> tuple[Any, str] | None:
    return (figure.value, figure.text) if figure else None


def _change(name: str, old: Figure | None, new: Figure | None) -> Change:
    known = new or old
    before, now = (figure.text if figure else "" for figure in (old, new))
    if old and new and before == now:  # rounded to the same text: the values tell them apart
        before, now = f"{before} ({old.value!r})", f"{now} ({new.value!r})"
    return Change(name, known.label if known else name, before, now)


def restates(ledger: Ledger, delivered: Run | None, figures: Iterable[Figure]) -> Restates | None:
    """What a report with these figures restates; None where nothing was delivered, or all figures are the same."""
    found = changes(ledger.figures(delivered.run), figures) if delivered else ()
    if delivered is None or not found:
        return None
    version = delivered.version or 1
    sent = [item.sent_at for item in ledger.deliveries(delivered.pipeline, delivered.period, version) if item.sent_at]
    return Restates(delivered.run, version, min(sent, default=None), found)


def finding(name: str, sentences: Iterable[str]) -> Finding:
    """The warning that something handed out has changed."""
    told = list(sentences)
    shown = "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
    said = f"What was handed out before has changed: {shown}."
    return Finding(name, Level.WARN, said, Trouble.RESTATEMENT, {"changes": told})


def rejected_before(run: Run) -> Finding:
    """The warning that a person turned down what was made from the very same."""
    said = f"The very same was turned down before, as run {run.run}. {run.message}"
    return Finding("rejected before", Level.WARN, said, run.trouble, {"run": run.run})


def columns_of(change: Replaced) -> tuple[tuple[str, Any, Any], ...]:
    """(column, before, now) of each value of a record that differs; None where it was not, or is not, there."""
    before, now = change.before, change.now
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return tuple((name, before.get(name), now.get(name)) for name in names)


def resting(ledger: Ledger, replaced: Iterable[Replaced], names: Iterable[str]) -> tuple[Run, ...]:
    """Of these pipelines, the delivered reports whose inputs held a record as it was, by pipeline and period.

    Such a report is about the record's day or a later one, and was begun once that record was kept.
    """
    kept = [(change.day, _kept_at(ledger, change)) for change in replaced]
    first = min((day for day, _ in kept), default="")
    found = (run for name in names for run in _delivered(ledger, name, first))
    touched = [
        run
        for run in found
        if any(day <= str(run.parameters.get("as_of", "")) and (not at or at <= run.started_at) for day, at in kept)
    ]
    return tuple(sorted(touched, key=lambda run: (run.pipeline, run.period)))


def _kept_at(ledger: Ledger, change: Replaced) -> datetime | None:
    run = ledger.run(change.run)
    return run.finished_at if run else None


def _delivered(ledger: Ledger, name: str, first: str) -> Iterable[Run]:
    """The run that readers have of each period, from a day on."""
    periods = dict.fromkeys(run.period for run in ledger.runs(name) if str(run.parameters.get("as_of", "")) >= first)
    return (run for period in periods if (run := ledger.delivered(name, period)) is not None)
