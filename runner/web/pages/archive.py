"""The archive: for readers what they were given and nothing else, for engineers whatever was sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.responses import Response

from runner.ledger import Run, editions
from runner.ledger.editions import Wanted
from runner.report import story
from runner.web.access import READER, SIGNED_IN
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: Reports of one page.
MOST = 60


@dataclass(frozen=True)
class Entry:
    """One version of one report: when it came, and since when another takes its place, which may be theirs."""

    run: Run
    title: str
    period: str
    version: int
    at: datetime | None
    restated_at: datetime | None = None
    newest: str = ""  # the run of the version that takes its place, where the visitor has it
    given: int = 0
    owed: int = 0
    pruned: bool = False

    @property
    def day(self) -> date:
        """The day that it is about; where nobody knows, that on which it was begun."""
        try:
            return date.fromisoformat(str(self.run.parameters.get("as_of")))
        except ValueError:
            return self.run.started_at.date()


@dataclass(frozen=True)
class Month:
    """The reports about one month, report by report."""

    name: str
    reports: tuple[tuple[str, tuple[Entry, ...]], ...]


def archive(visit: Visit) -> Response:
    """What there is, by month and report, the newest first."""
    chosen = visit.query.get("report", "")
    wanted = Wanted(chosen, _instant(visit.query.get("before", "")), MOST + 1)
    with visit.ledger.read() as tx:
        found = _every(tx, visit, wanted) if visit.visitor.engineer else _mine(tx, visit, wanted)
    entries, more = found[:MOST], len(found) > MOST
    further = {"report": chosen} if chosen else {}
    last = (entries[-1].run.started_at if visit.visitor.engineer else entries[-1].at) if more else None
    data: dict[str, Any] = {"months": _months(entries), "chosen": chosen, "choices": _choices(visit, entries)}
    data |= {"older": f"/archive?{urlencode(further | {'before': last.isoformat()})}" if last else ""}
    return visit.page("archive.html.j2", newest_first=wanted.before is None, count=len(entries), **data)


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _choices(visit: Visit, entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """The reports that one may choose among, by their titles."""
    pipelines = visit.project.pipelines
    names = set(pipelines) if visit.visitor.engineer else set(visit.visitor.reads)
    names |= {entry.run.pipeline for entry in entries}
    titled = [(name, pipelines[name].title if name in pipelines else name) for name in names]
    return sorted(titled, key=lambda pair: (pair[1].lower(), pair[0]))


def _mine(tx: sa.Connection, visit: Visit, wanted: Wanted) -> list[Entry]:
    """What a reader was given."""
    email, found = visit.visitor.email, []
    copies = editions.copies(tx, email, wanted)
    every = editions.editions_of(tx, ((copy.pipeline, copy.period) for copy in copies))
    for copy in copies:
        title, period = story.about(visit.project, copy.run)
        later = editions.after(every[copy.pipeline, copy.period], copy.version)
        owned = editions.given_to(tx, copy.pipeline, copy.period, email)[0] if later else None
        newest = owned.run.run if owned and owned.version > copy.version else ""
        restated = editions.first_given(later)
        found.append(Entry(copy.run, title, period, copy.version, copy.given_at, restated, newest))
    return found


def _every(tx: sa.Connection, visit: Visit, wanted: Wanted) -> list[Entry]:
    """What was sent to anybody."""
    names = [wanted.pipeline] if wanted.pipeline else list(visit.project.pipelines)
    found, sent = [], editions.sent(tx, names, wanted)
    every = editions.editions_of(tx, ((run.pipeline, run.period) for run in sent))
    for run in sent:
        title, period = story.about(visit.project, run)
        versions, number = every[run.pipeline, run.period], run.version or 1
        own = next((one for one in versions if one.version == number), None)
        later = editions.after(versions, number)
        restated = editions.first_given(later)
        counts = (own.given, own.owed) if own else (0, 0)
        at = own.first_at if own else run.finished_at
        found.append(Entry(run, title, period, number, at, restated, later[0].run if later else "", *counts))
    return found


def _months(entries: Iterable[Entry]) -> list[Month]:
    """By month and, within it, by report; the newest day and version first."""
    found: dict[str, dict[str, list[Entry]]] = {}
    for entry in sorted(entries, key=lambda one: (one.day, one.version), reverse=True):
        found.setdefault(f"{entry.day:%B %Y}", {}).setdefault(entry.title, []).append(entry)
    return [Month(name, tuple((title, tuple(of)) for title, of in reports.items())) for name, reports in found.items()]


def by_mail(visit: Visit) -> Response:
    """Where mails link to whose report is too large to be attached: `mail.archive` is the address of this archive."""
    run = visit.run
    if run is None or (run.pipeline, run.period) != (visit.params["pipeline"], visit.params["period"]):
        raise NotFound
    return visit.to(f"/reports/{run.run}")


PAGES = (
    Page("/archive", SIGNED_IN, archive),
    Page("/archive/{pipeline}/{period}/{run}/{file}", READER, by_mail),
)
