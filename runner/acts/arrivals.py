"""Somebody says that data have landed: by the desk's address for machines, or by `runner arrived`."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from runner.config import Project
from runner.config.names import known
from runner.errors import UsageError
from runner.ledger import Ledger, arrivals, journal
from runner.ledger.arrivals import Arrival
from runner.ledger.journal import Act
from runner.plan.arrivals import named
from runner.plan.calendar import local_day

WHAT = "data arrived"


def arrived(project: Project, ledger: Ledger, arrival: Arrival) -> bool:
    """Write down that a source is whole up to and with a day; False where that was known.

    Raises UsageError for a source that there is not, and for a day that has not begun.
    """
    check(project, arrival)
    with ledger.write() as tx:
        new = arrivals.note(tx, arrival)
        if new:
            details = {"source": arrival.source, "day": arrival.day.isoformat()}
            journal.act(tx, Act(arrival.at, arrival.who, WHAT, details))
    return new


def check(project: Project, arrival: Arrival) -> None:
    """Raise UsageError where it cannot be."""
    names = named(project.pipelines.values(), project.sources)
    if arrival.source not in names:
        remedy = known(arrival.source, names) if names else "No pipeline of config/pipelines.yml has one."
        raise UsageError(f"No source is called {arrival.source!r}.", remedy)
    today = local_day(arrival.at, ZoneInfo(project.settings.time_zone))
    if arrival.day > today:
        raise UsageError(
            f"{arrival.day} has not begun in {project.settings.time_zone}, so no source can be whole up to it.",
            f"Name the last whole day; {today} is the latest.",
        )
