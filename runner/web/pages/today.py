"""Today: every deadline against now, who is on call, what is wrong; the page that engineers keep open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from runner.config import Project
from runner.ledger import history, incidents
from runner.ledger.deadlines import State as Owing
from runner.plan.calendar import Span, instant, local_day
from runner.plan.deadlines import Deadline
from runner.plan.duties import in_words
from runner.plan.incidents import DUTY, SOURCE, Incident
from runner.scheduler import chronicle, roster, standing
from runner.scheduler.office import Office
from runner.scheduler.standing import OUT, Standing
from runner.web.access import SIGNED_IN
from runner.web.charts import Bar, TimeAxis, day_axis
from runner.web.page import Page
from runner.web.series import period_words
from runner.web.states import state
from runner.web.visit import Visit

#: So far ahead the next deadline is looked for where none is near.
_AHEAD = timedelta(days=40)
#: More incidents than this are listed on their own page.
_MOST_INCIDENTS = 20
_NO_REPORT = (DUTY, SOURCE)
_BAD = ("late", "failed", "missed", "held", "not started", "at risk")
#: How the headline counts a state: (one, several).
_COUNTED = {
    "late": ("is late", "are late"),
    "failed": ("failed", "failed"),
    "missed": ("was given up", "were given up"),
    "held": ("waits for a person's decision", "wait for a person's decision"),
    "not started": ("has not started", "have not started"),
    "at risk": ("may be late", "may be late"),
}
_NEEDS = ("needs", "need")


def today(visit: Visit) -> Response:
    """The first page. Readers who follow no pipeline have their archive for it."""
    if not visit.visitor.engineer and not visit.visitor.follows:
        return visit.to("/archive")
    office = standing.glance(visit.project, visit.ledger)
    with visit.ledger.read() as tx:
        stands = [
            item for item in standing.standing(tx, office, visit.now) if visit.visitor.sees(item.owed.deadline.pipeline)
        ]
        runs = history.tries_of(tx, (item.owed.key for item in stands))
        for_engineers = _for_engineers(tx, visit, office) if visit.visitor.engineer else {}
    day = _day(visit)
    board = Board(visit, runs, day)
    now = [item for item in stands if item.owed.deadline.due_at < day.last]
    shown = {
        "headline": headline(now, day.first, besides=_besides(for_engineers)),
        "board": board.drawn(now),
        "later": [board.row(item, None) for item in stands if item.owed.deadline.due_at >= day.last],
        "following": None if now else _following(visit, office),
    }
    return visit.page("today.html.j2", **{**_NOTHING, **for_engineers, **shown})


_NOTHING: Mapping[str, Any] = {"warnings": (), "incidents": (), "more": 0, "watch": None, "looked": None}


def _for_engineers(tx: sa.Connection, visit: Visit, office: Office) -> dict[str, Any]:
    """What is wrong, who is on call, and whether the scheduler is there."""
    open_ = list(incidents.opened(tx).values())
    return {
        "incidents": [Trouble.of(visit.project, one) for one in open_[:_MOST_INCIDENTS]],
        "more": max(0, len(open_) - _MOST_INCIDENTS),
        "warnings": standing.warnings(tx, office, visit.now),
        "watch": standing.watching(tx, visit.project, visit.now),
        "looked": roster.looked(tx),
    }


def _besides(known: Mapping[str, Any]) -> int:
    """How much is wrong that is no report."""
    others = [it for it in known.get("incidents", ()) if it.incident.pipeline.startswith(_NO_REPORT)]
    return len(others) + len(known.get("warnings", ()))


def _day(visit: Visit) -> Span:
    """The day of the promises, from midnight to midnight."""
    today = local_day(visit.now, visit.plan_zone)
    midnights = (instant(day, time.min, visit.plan_zone) for day in (today, today + timedelta(days=1)))
    return Span(*midnights)


def _following(visit: Visit, office: Office) -> Deadline | None:
    """The next deadline of what the visitor sees."""
    span = Span(visit.now, visit.now + _AHEAD)
    found = standing.promised(visit.project, office.timetable(), span)
    return next((deadline for deadline in found if visit.visitor.sees(deadline.pipeline)), None)


# What is wrong.


@dataclass(frozen=True)
class Trouble:
    """An open incident: what it is about, in people's words, and who knows of it."""

    incident: Incident
    about: str
    period: str
    state: str
    told: tuple[str, ...]

    @classmethod
    def of(cls, project: Project, incident: Incident) -> Trouble:
        """As the project calls things."""
        title = chronicle.title(project, incident.pipeline)
        period = in_words(incident.period) if incident.pipeline.startswith(DUTY) else period_words(incident.period)
        period = "" if incident.pipeline.startswith(SOURCE) else period
        return cls(incident, title, period, chronicle.state(incident), tuple(map(project.name_of, incident.told)))


# How the day stands, in a sentence.


@dataclass(frozen=True)
class Headline:
    """One sentence or two, and their tone."""

    text: str
    tone: str


def headline(stands: Sequence[Standing], midnight: datetime, *, besides: int = 0) -> Headline:
    """How the day stands; `besides` counts what is wrong and no report."""
    own = [item for item in stands if item.owed.deadline.due_at >= midnight]
    words = [item.state for item in stands]
    bad = [f"{words.count(word)} {_COUNTED[word][words.count(word) > 1]}" for word in _BAD if word in words]
    tones = {state(word).tone for word in words if word in _BAD}
    said = [_out(own)]
    if bad:
        said.append(f"{', '.join(bad)}.")
    if besides:
        tones.add("warn")
        said.append(
            f"{besides} {'thing' if besides == 1 else 'things'} besides the reports {_NEEDS[besides > 1]} a look."
        )
    tone = next((tone for tone in ("stop", "held", "warn") if tone in tones), "good")
    if tone == "good" and stands:
        said.insert(0, "All is well.")
    return Headline(" ".join(said), tone)


def _out(own: Sequence[Standing]) -> str:
    done, count = sum(item.state in OUT for item in own), len(own)
    if not own:
        return "Nothing is due today."
    if count == 1:
        return "The report of today is out." if done else "The report of today is not out yet."
    if done in {0, count}:
        every = "Both" if count == 2 else f"All {count}"
        return f"{every} reports of today are out." if done else f"None of the {count} reports of today is out yet."
    return f"{done} of {count} reports of today {'is' if done == 1 else 'are'} out."


# The time line.


@dataclass(frozen=True)
class Row:
    """One deadline on the time line.

    `plan` is the time that was planned for it, `spent` what it took or takes, `ahead` how long it likely goes on.
    """

    item: Standing
    title: str
    text: str
    sentence: str
    who: str
    run: str | None
    is_old: bool
    plan: Bar | None = None
    spent: Bar | None = None
    ahead: Bar | None = None
    due: float | None = None


@dataclass(frozen=True)
class Drawn:
    """The time line: its axis, where now is on it, and its rows."""

    axis: TimeAxis
    now: float
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Board:
    """What rows are made of: the visit, what was tried of each deadline, and the day."""

    visit: Visit
    runs: Mapping[tuple[str, str], history.Tries]
    day: Span

    def drawn(self, stands: Sequence[Standing]) -> Drawn | None:
        """The time line of a day's deadlines; None where there is none."""
        if not stands:
            return None
        axis = day_axis(_instants(stands), self.visit.now, (self.day.first, self.day.last), self.visit.zone)
        return Drawn(axis, axis.at(self.visit.now), tuple(self.row(item, axis) for item in stands))

    def row(self, item: Standing, axis: TimeAxis | None) -> Row:
        """One deadline, on an axis where there is one."""
        deadline, project = item.owed.deadline, self.visit.project
        pipeline, engineer = project.pipelines.get(deadline.pipeline), self.visit.visitor.engineer
        owner = f"{project.name_of(pipeline.owners.primary)} (owner)" if pipeline else ""
        tries = self.runs.get(item.owed.key)
        row = Row(
            item,
            pipeline.title if pipeline else deadline.pipeline,
            deadline.text,
            item.sentence if engineer else item.plainly,
            item.responsible if engineer else owner,
            tries.newest if tries else None,
            deadline.due_at < self.day.first,
        )
        return row if axis is None else _placed(row, axis, self.visit.now, tries.since if tries else None)


def _placed(row: Row, axis: TimeAxis, now: datetime, began: datetime | None) -> Row:
    """The row with its bars. What it took is counted from its first run, which may begin after the time planned."""
    item, deadline = row.item, row.item.owed.deadline
    spent, ahead = None, None
    if item.owed.ended_at is not None:
        spent = axis.bar(min(began or deadline.starts_at, item.owed.ended_at), item.owed.ended_at)
    elif item.owed.state is Owing.OPEN and now > deadline.starts_at:
        spent = axis.bar(min(began or deadline.starts_at, now), now)
    if item.expected is not None:
        ahead = axis.bar(max(now, deadline.starts_at), item.expected)
    bars = {"plan": axis.bar(deadline.starts_at, deadline.due_at), "spent": spent, "ahead": ahead}
    due = axis.at(deadline.due_at) if axis.holds(deadline.due_at) else None
    return Row(**{**vars(row), **bars, "due": due})


def _instants(stands: Iterable[Standing]) -> Iterable[datetime]:
    for item in stands:
        deadline = item.owed.deadline
        yield from (deadline.starts_at, deadline.due_at)
        yield from (at for at in (item.owed.ended_at, item.expected) if at is not None)


PAGES = (Page("/", SIGNED_IN, today),)
