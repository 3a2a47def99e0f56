"""The facts for the quarterly review of owners and rota, on one page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.ledger import Ledger
from runner.scheduler import review as facts
from runner.scheduler.review import Facts
from runner.screen import screen_for


def review(project: Project, first: datetime, last: datetime, *, as_json: bool) -> int:
    """Print the page, and keep it in reports/reviews/."""
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        found = facts.gathered(tx, project, first, last)
    ledger.close()
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([_plain(project, found)], ())
        return 0
    text = "\n".join(page(project, found)) + "\n"
    zone = ZoneInfo(project.settings.time_zone)
    path = project.reports / "reviews" / f"{first.astimezone(zone):%Y-%m-%d}--{last.astimezone(zone):%Y-%m-%d}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    screen.say(text)
    screen.say(f"Kept as {path.relative_to(project.folder)}.")
    return 0


def page(project: Project, found: Facts) -> Iterator[str]:
    """The page as lines of markdown."""
    zone = ZoneInfo(project.settings.time_zone)
    first, last = (f"{at.astimezone(zone):%d %b %Y}" for at in (found.first, found.last))
    yield f"# Facts for the review, {first} to {last}"
    yield from _table("Deadlines", ("report", "owed", "in time", "late", "never"), facts.kept(project, found))
    yield from _table(
        "Incidents", ("report", "incidents", "acknowledged after (median)", "longest"), facts.troubles(found)
    )
    yield from _table(
        "On call", ("who", "hours", "nights", "weekends", "holidays", "secondary"), facts.shares(project, found)
    )
    yield from _table("Owners", ("report", "primary", "secondary", "because"), facts.owners(project))
    yield from _table("Duties", ("duty", "due", "done in time", "done late", "not done"), facts.done(project, found))


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    lines = [" | ".join(str(cell) for cell in row) for row in rows]
    yield f"\n## {title}\n"
    if not lines:
        yield "Nothing in this span."
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {line} |" for line in lines)


def _plain(project: Project, found: Facts) -> dict[str, Any]:
    def rows(heads: tuple[str, ...], found: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        return [dict(zip(heads, row, strict=True)) for row in found]

    return {
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "deadlines": rows(("report", "owed", "in_time", "late", "never"), facts.kept(project, found)),
        "incidents": rows(("report", "incidents", "acknowledged_after", "longest"), facts.troubles(found)),
        "on_call": [vars(share) for share in found.shares],
        "owners": rows(("report", "primary", "secondary", "because"), facts.owners(project)),
        "duties": rows(("duty", "due", "in_time", "late", "not_done"), facts.done(project, found)),
    }
