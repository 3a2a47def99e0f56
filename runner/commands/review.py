"""The facts for the quarterly review of owners and rota, on one page: nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.ledger import Ledger, deadlines, duties, incidents
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.ledger.duties import Task
from runner.plan import fairness
from runner.plan.fairness import Share
from runner.plan.forecast import words
from runner.plan.incidents import Incident
from runner.scheduler import roster
from runner.screen import screen_for


@dataclass(frozen=True)
class Facts:
    """What was in [first, last): deadlines, incidents, duties, and shares of the rota."""

    first: datetime
    last: datetime
    owed: tuple[Owed, ...]
    incidents: tuple[Incident, ...]
    duties: tuple[Task, ...]
    shares: tuple[Share, ...]


def review(project: Project, first: datetime, last: datetime, *, as_json: bool) -> int:
    """Print the page, and keep it in reports/reviews/."""
    facts = _facts(project, first, last)
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([_plain(project, facts)], ())
        return 0
    text = "\n".join(page(project, facts)) + "\n"
    zone = ZoneInfo(project.settings.time_zone)
    path = project.reports / "reviews" / f"{first.astimezone(zone):%Y-%m-%d}--{last.astimezone(zone):%Y-%m-%d}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    screen.say(text)
    screen.say(f"Kept as {path.relative_to(project.folder)}.")
    return 0


def _facts(project: Project, first: datetime, last: datetime) -> Facts:
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        owed = deadlines.between(tx, first, last)
        found = incidents.between(tx, first, last)
        tasks = duties.between(tx, first, last)
        rota = roster.rota_of(tx, project)
    ledger.close()
    shifts = rota.shifts(first, last) if rota else ()
    zone = ZoneInfo(project.oncall.time_zone if project.oncall else project.settings.time_zone)
    shares = fairness.tally(shifts, zone, roster.holiday_of(project))
    return Facts(first, last, owed, found, tasks, shares)


def page(project: Project, facts: Facts) -> Iterator[str]:
    """The page as lines of markdown."""
    zone = ZoneInfo(project.settings.time_zone)
    first, last = (f"{at.astimezone(zone):%d %b %Y}" for at in (facts.first, facts.last))
    yield f"# Facts for the review, {first} to {last}"
    yield from _table("Deadlines", ("report", "owed", "in time", "late", "never"), _kept(project, facts))
    yield from _table("Incidents", ("report", "incidents", "acknowledged after (median)", "longest"), _troubles(facts))
    yield from _table(
        "On call", ("who", "hours", "nights", "weekends", "holidays", "secondary"), _shares(project, facts)
    )
    yield from _table("Owners", ("report", "primary", "secondary", "because"), _owners(project))
    yield from _table("Duties", ("duty", "due", "done in time", "done late", "not done"), _done(project, facts))


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    lines = [" | ".join(str(cell) for cell in row) for row in rows]
    yield f"\n## {title}\n"
    if not lines:
        yield "Nothing in this span."
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {line} |" for line in lines)


def _kept(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    for name in project.pipelines:
        mine = [owed for owed in facts.owed if owed.deadline.pipeline == name]
        met = [owed for owed in mine if owed.state is Owing.MET]
        in_time = sum(owed.on_time for owed in met)
        if mine:
            yield name, len(mine), in_time, len(met) - in_time, len(mine) - len(met)


def _troubles(facts: Facts) -> Iterator[tuple[Any, ...]]:
    for name in sorted({incident.pipeline for incident in facts.incidents}):
        mine = [incident for incident in facts.incidents if incident.pipeline == name]
        answers = [one.acknowledged_at - one.opened_at for one in mine if one.acknowledged_at]
        spans = [one.closed_at - one.opened_at for one in mine if one.closed_at]
        answered = words(timedelta(seconds=median(span.total_seconds() for span in answers))) if answers else "never"
        yield name, len(mine), answered, words(max(spans)) if spans else "open"


def _shares(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    for share in facts.shares:
        engineer = project.people.engineers.get(share.who)
        hours = (share.hours, share.nights, share.weekends, share.holidays, share.secondary_hours)
        yield engineer.name if engineer else share.who, *(f"{value:.0f} h" for value in hours)


def _owners(project: Project) -> Iterator[tuple[Any, ...]]:
    names = project.people.engineers
    for pipeline in project.pipelines.values():
        owners = pipeline.owners
        yield pipeline.name, names[owners.primary].name, names[owners.secondary].name, owners.because


def _done(project: Project, facts: Facts) -> Iterator[tuple[Any, ...]]:
    for name in project.duties:
        mine = [task for task in facts.duties if task.due.duty == name]
        done = [task for task in mine if task.done_at]
        in_time = sum(task.done_at <= task.due.due_at for task in done if task.done_at)
        if mine:
            yield name, len(mine), in_time, len(done) - in_time, len(mine) - len(done)


def _plain(project: Project, facts: Facts) -> dict[str, Any]:
    def rows(heads: tuple[str, ...], found: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        return [dict(zip(heads, row, strict=True)) for row in found]

    return {
        "from": facts.first.isoformat(),
        "to": facts.last.isoformat(),
        "deadlines": rows(("report", "owed", "in_time", "late", "never"), _kept(project, facts)),
        "incidents": rows(("report", "incidents", "acknowledged_after", "longest"), _troubles(facts)),
        "on_call": [vars(share) for share in facts.shares],
        "owners": rows(("report", "primary", "secondary", "because"), _owners(project)),
        "duties": rows(("duty", "due", "in_time", "late", "not_done"), _done(project, facts)),
    }
