"""Duties: what is due and what comes next; one of them with its evidence; the facts for the review, and past drills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from runner.acts import duties as acts
from runner.acts.duties import Report
from runner.config import Duty, Project
from runner.document.markdown import blocks_of
from runner.document.shapes import Block
from runner.document.texts import safe_link
from runner.errors import UsageError
from runner.ledger import duties, incidents, journal
from runner.ledger.duties import Task
from runner.plan.calendar import instant
from runner.plan.duties import in_words
from runner.plan.incidents import DUTY, SOURCE
from runner.scheduler import agenda, chronicle, review, rounds
from runner.web.access import ENGINEER
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: How far back the list shows what was done, and how many of it; past periods of one duty; past drills.
LATELY, DONE, PAST, DRILLS = timedelta(days=31), 12, 12, 12
#: Quarters that the review offers before the present one, and the days that it shows without one.
QUARTERS, DAYS = 4, 92
_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Row:
    """One duty of one period as a page shows it."""

    task: Task
    title: str
    state: str
    owner: str = ""
    how: str = ""  # in a few words: by whom or what it is done

    @property
    def period(self) -> str:
        """Its period in words."""
        return in_words(self.task.due.period)

    @property
    def path(self) -> str:
        """Where it is shown."""
        return f"/duties/{self.task.due.duty}/{self.task.due.period}"


# The list.


def every(visit: Visit) -> Response:
    """What is open, what comes next, and what was done lately."""
    with visit.ledger.read() as tx:
        open_, coming = agenda.agenda(tx, visit.project, visit.now)
        lately = [task for task in duties.between(tx, visit.now - LATELY, visit.now + agenda.AHEAD) if task.done_at]
        owners = {name: _owner(tx, visit, duty) for name, duty in visit.project.duties.items()}
    newest = sorted(lately, key=lambda task: task.done_at or task.due.due_at, reverse=True)[:DONE]
    rows = [[_row(visit, task, owners) for task in tasks] for tasks in (open_, coming, newest)]
    return visit.page("duties.html.j2", open=rows[0], coming=rows[1], done=rows[2])


def _owner(tx: sa.Connection, visit: Visit, duty: Duty) -> str:
    name = visit.project.name_of(rounds.owner(tx, visit.project, duty, visit.now))
    return f"{name} (on call)" if duty.owner == rounds.ON_CALL else name


def _row(visit: Visit, task: Task, owners: Mapping[str, str]) -> Row:
    name = task.due.duty
    duty = visit.project.duties.get(name)
    title, how = (duty.title, _how(visit.project, duty)) if duty else (name, "")
    return Row(task, title, agenda.state(task, visit.now), owners.get(name, ""), how)


def _how(project: Project, duty: Duty) -> str:
    if duty.shown_by is not None:
        return f"shown by the checks of {project.pipelines[duty.shown_by.pipeline].title}"
    return "looked at by the runner; what it finds is answered by the owner" if duty.does else ""


# One duty.


@dataclass(frozen=True)
class Evidence:
    """What shows that a duty was done, or what was found: words with their links, a run, checks, findings, files."""

    task: Task

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """Pairs of words and the address that they lead to, or none."""
        return tuple(linked(str(self.task.evidence.get("said", ""))))

    @property
    def run(self) -> str:
        """The run whose checks show it."""
        return str(self.task.evidence.get("run", ""))

    @property
    def checks(self) -> tuple[tuple[str, str], ...]:
        """Checks that passed, with what they said."""
        given = self.task.evidence.get("checks")
        return tuple((str(name), str(text)) for name, text in given.items()) if isinstance(given, Mapping) else ()

    @property
    def found(self) -> tuple[Mapping[str, Any], ...]:
        """Findings, the gravest first."""
        given = self.task.evidence.get("found")
        found = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
        return tuple(sorted(found, key=lambda one: one.get("level") != "stop"))

    @property
    def files(self) -> str:
        """Where all that was seen lies, from the project's folder."""
        return str(self.task.evidence.get("files", ""))

    @property
    def drill(self) -> Drill | None:
        """The drill that it is."""
        return Drill(self.task.done_at, self.task.evidence) if "drill" in self.task.evidence else None


def linked(text: str) -> Iterator[tuple[str, str]]:
    """Words and addresses in turn: what is safe to follow is a link."""
    end = 0
    for match in _LINK.finditer(text):
        address = match[0].rstrip(".,;:!?)")
        if safe_link(address):
            yield text[end : match.start()], ""
            yield address, address
            end = match.start() + len(address)
    if text[end:]:
        yield text[end:], ""


def one(visit: Visit) -> Response:
    """One duty of one period: how it is done, what shows it, and how it was before."""
    return _shown(visit)


def _shown(visit: Visit, error: str = "", typed: str = "") -> Response:
    name, period = visit.params["duty"], visit.params["period"]
    duty = visit.project.duties.get(name)
    with visit.ledger.read() as tx:
        task = agenda.find(tx, visit.project, name, period, visit.now)
        if task is None:
            raise NotFound
        owners = {name: _owner(tx, visit, duty)} if duty else {}
        incident = incidents.last(tx, f"{DUTY}{name}", period)
        past = duties.past(tx, name, task.due.due_at, PAST)
    row = _row(visit, task, owners)
    how: tuple[Block, ...] = blocks_of(duty.how) if duty else ()
    shown = {"row": row, "duty": duty, "how": how, "evidence": Evidence(task), "incident": incident}
    rows = [(_row(visit, one, {}), Evidence(one)) for one in past]
    return visit.page("duty.html.j2", 422 if error else 200, past=rows, error=error, typed=typed, **shown)


def done(visit: Visit) -> Response:
    """Record it as done."""
    name, period, said = visit.params["duty"], visit.params["period"], visit.form.get("evidence", "")
    with visit.ledger.read() as tx:
        if name not in visit.project.duties or agenda.find(tx, visit.project, name, period, visit.now) is None:
            raise NotFound
    try:
        acts.done(visit.project, visit.ledger, Report(name, period, visit.visitor.who, said), visit.now)
    except UsageError as error:
        return _shown(visit, f"{error.what} {error.remedy}".strip(), said)
    title = visit.project.duties[name].title
    return visit.to(f"/duties/{name}/{period}", f"{title} is recorded as done, with what shows it.")


# The review, and drills.


@dataclass(frozen=True)
class Span:
    """A span of the review: its key in the address, its words, its instants."""

    key: str
    words: str
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Drill:
    """A drill as it was recorded."""

    at: datetime | None
    record: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A word of the record."""
        return str(self.record.get(name) or "")

    @property
    def steps(self) -> Mapping[str, float | None]:
        """Seconds after the fault by step; None for what did not happen or was not a person's."""
        given = self.record.get("steps")
        steps = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
        return {str(one.get("step")): one.get("seconds") for one in steps}

    @property
    def failed(self) -> tuple[str, ...]:
        """What went wrong, in sentences."""
        given = self.record.get("failed")
        return tuple(map(str, given)) if isinstance(given, list) else ()


def facts(visit: Visit) -> Response:
    """The facts for the quarterly review, and how long people took in past drills."""
    spans = _spans(visit)
    wanted = visit.query.get("quarter", "")
    span = next((span for span in spans if span.key == wanted), None)
    if span is None:
        raise NotFound
    with visit.ledger.read() as tx:
        found = review.gathered(tx, visit.project, span.first, span.last)
        drills = [Drill(act.at, act.details) for act in journal.drills(tx, DRILLS)]
    tables = tuple(_tables(visit.project, found))
    return visit.page("review.html.j2", spans=spans, span=span, tables=tables, drills=drills)


def _tables(project: Project, found: review.Facts) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """(title, heads, rows)."""

    def titled(rows: Iterable[tuple[Any, ...]], kind: str = "") -> list[tuple[Any, ...]]:
        return [(chronicle.title(project, f"{kind}{row[0]}"), *row[1:]) for row in rows]

    yield "Deadlines", ("Report", "Owed", "In time", "Late", "Not there"), titled(review.kept(project, found))
    answered = ("About", "Incidents", "Answered after (median)", "Longest")
    yield "Incidents", answered, [(_named(project, row[0]), *row[1:]) for row in review.troubles(found)]
    hours = ("Who", "Hours", "Nights", "Weekends", "Holidays", "As secondary")
    yield "On call", hours, list(review.shares(project, found))
    yield "Owners", ("Report", "Primary", "Secondary", "Because"), titled(review.owners(project))
    yield "Duties", ("Duty", "Due", "In time", "Late", "Not done"), titled(review.done(project, found), DUTY)


def _named(project: Project, about: str) -> str:
    """What an incident was about, and of which kind that is where it is no report."""
    kind = next((kind for kind in (DUTY, SOURCE) if about.startswith(kind)), "")
    return f"{chronicle.title(project, about)} ({kind.rstrip(':')})" if kind else chronicle.title(project, about)


def _spans(visit: Visit) -> tuple[Span, ...]:
    """The last 92 days; the present quarter, and those before."""
    today = visit.now.astimezone(visit.plan_zone).date()
    year, number = today.year, (today.month - 1) // 3
    days = Span("", f"Last {DAYS} days", visit.now - timedelta(days=DAYS), visit.now)
    quarters = [divmod(year * 4 + number - back, 4) for back in range(QUARTERS + 1)]
    return (days, *(_quarter(visit, *quarter) for quarter in quarters))


def _quarter(visit: Visit, year: int, number: int) -> Span:
    first, last = date(year, 3 * number + 1, 1), date(year + number // 3, 3 * ((number + 1) % 4) + 1, 1)
    bounds = (instant(day, time.min, visit.plan_zone) for day in (first, last))
    return Span(f"{year}-Q{number + 1}", f"Q{number + 1} {year}", *bounds)


PAGES = (
    Page("/duties", ENGINEER, every),
    Page("/duties/review", ENGINEER, facts),
    Page("/duties/{duty}/{period}", ENGINEER, one, done),
)
