"""Pipelines: every report with its promise and how it is kept; one of them with its past, its figures, its runbook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from runner.config import WAREHOUSE, Pipeline
from runner.document.markdown import blocks_of
from runner.document.shapes import Block
from runner.ledger import history, sources
from runner.ledger.deadlines import State as Owing
from runner.ledger.history import Attempt, Made, Outcome, Record
from runner.ledger.sources import Load
from runner.plan.deadlines import Deadline, deadlines_of
from runner.plan.forecast import Forecast, latest_safe_start
from runner.plan.runbooks import KINDS, Library, Section
from runner.scheduler import standing
from runner.scheduler.circumstances import forecast_of
from runner.scheduler.office import Office
from runner.scheduler.standing import Standing
from runner.sources import probing
from runner.sources.probing import Health
from runner.web.access import FOLLOWER, OF_PIPELINE
from runner.web.charts import Bar, TimeAxis
from runner.web.page import NotFound, Page
from runner.web.series import period_words, series_of
from runner.web.states import state
from runner.web.visit import Visit

#: Runs of one page, and outcomes beside a report in the list of all.
MOST, FEW = 20, 14
#: The days over which a record is kept, and how far ahead the next deadline is looked for.
_RECORD, _AHEAD = timedelta(days=90), timedelta(days=40)
#: Answers of a source by which it is judged.
_ANSWERS = 50
#: A run that began further from its deadline was made by hand, long before or after: it says nothing of lateness.
_FAR = timedelta(days=2)


# The list of all.


@dataclass(frozen=True)
class Listed:
    """One report in the list: how it stands, what is due next, and how its promises were kept lately."""

    pipeline: Pipeline
    current: Standing | None
    following: Deadline | None
    record: Record
    lately: tuple[Outcome, ...]


def pipelines(visit: Visit) -> Response:
    """Every report that the visitor may follow."""
    mine = [one for name, one in visit.project.pipelines.items() if visit.visitor.sees(name)]
    office = standing.glance(visit.project, visit.ledger)
    with visit.ledger.read() as tx:
        stands = standing.standing(tx, office, visit.now)
        rows = [_listed(tx, Look(visit, office, one), stands) for one in mine]
    return visit.page("pipelines.html.j2", rows=rows, words=period_words)


@dataclass(frozen=True)
class Look:
    """One pipeline, who looks at it, and the office they look from."""

    visit: Visit
    office: Office
    pipeline: Pipeline

    @property
    def name(self) -> str:
        """Its key."""
        return self.pipeline.name

    def next_deadline(self, stands: Iterable[Standing]) -> Deadline | None:
        """What the calendar has next of what has not ended already, as one does that is delivered before its time."""
        now, settings = self.visit.now, self.visit.project.settings
        ended = {item.owed.key for item in stands if item.owed.state is not Owing.OPEN}
        found = deadlines_of(self.pipeline, settings, self.office.timetable(), now, now + _AHEAD)
        return next((deadline for deadline in found if deadline.key not in ended), None)


def _listed(tx: sa.Connection, look: Look, stands: Sequence[Standing]) -> Listed:
    now = look.visit.now
    past = history.outcomes(tx, look.name, now - _RECORD, now)
    current = current_of([item for item in stands if item.owed.deadline.pipeline == look.name], now)
    return Listed(look.pipeline, current, look.next_deadline(stands), history.record_of(past), tuple(past[-FEW:]))


def current_of(stands: Sequence[Standing], now: datetime) -> Standing | None:
    """What counts of a pipeline now: its trouble, else what was begun last, else what comes next."""
    open_ = [item for item in stands if item.owed.state is Owing.OPEN]
    trouble = [item for item in open_ if state(item.state).tone in {"stop", "held", "warn"}]
    begun = [item for item in stands if item.owed.deadline.starts_at <= now]
    return next(iter([*trouble, *begun[-1:], *stands]), None)


# One of them.


def pipeline(visit: Visit) -> Response:
    """One report: its promise, its past, its figures over time, what to do when it fails, and who answers for it."""
    look = Look(visit, standing.glance(visit.project, visit.ledger), visit.project.pipelines[visit.params["pipeline"]])
    engineer = visit.visitor.engineer
    with visit.ledger.read() as tx:
        stands = [
            item for item in standing.standing(tx, look.office, visit.now) if item.owed.deadline.pipeline == look.name
        ]
        current = current_of(stands, visit.now)
        past = history.outcomes(tx, look.name, visit.now - _RECORD, visit.now)
        data: dict[str, Any] = {
            "runs": _runs(tx, look),
            "past": past,
            "record": history.record_of(past),
            "series": series_of(history.told(tx, look.name)),
            "made": history.made(tx, look.name),
            "sources": _sources(tx, look),
        }
    following = look.next_deadline(stands)
    forecast = forecast_of(look.office, look.name)
    data |= {
        "words": period_words,
        "pipeline": look.pipeline,
        "current": current,
        "sentence": _sentence(current, engineer=engineer),
        "following": following,
        "forecast": forecast,
        "safe": latest_safe_start(following.due_at, forecast) if following else None,
        "starts": starts_of(data.pop("made"), forecast, visit.now),
        "lists": [(name, visit.project.people.readers[name]) for name in look.pipeline.readers],
        "readers": len(visit.project.readers(look.pipeline)),
        "rests_on": _seen(visit, look.pipeline.inputs),
        "resting": _seen(visit, (one.name for one in visit.project.resting_on(look.name))),
        "book": Book.of(look.office.library, look.name, current) if engineer else None,
    }
    return visit.page("pipeline.html.j2", **data)


def _sentence(current: Standing | None, *, engineer: bool) -> str:
    if current is None:
        return ""
    return current.sentence if engineer else current.plainly


def _seen(visit: Visit, names: Iterable[str]) -> list[Pipeline]:
    return [visit.project.pipelines[name] for name in dict.fromkeys(names) if visit.visitor.sees(name)]


@dataclass(frozen=True)
class Runs:
    """A page of runs; `older` is the run before which the next page begins, `is_first` whether this is the first."""

    rows: tuple[Attempt, ...]
    older: str
    is_first: bool


def _runs(tx: sa.Connection, look: Look) -> Runs:
    named, before = look.visit.query.get("before", ""), None
    if named:
        run = look.visit.ledger.run(named[:64])
        if run is None or run.pipeline != look.name:
            raise NotFound
        before = run.started_at, run.run
    found = history.attempts(tx, look.name, MOST + 1, before)
    rows = tuple(found[:MOST])
    if not look.visit.visitor.engineer:  # what an error says may name what is not theirs to see
        rows = tuple(replace(row, message="") for row in rows)
    return Runs(rows, rows[-1].run if len(found) > MOST else "", not named)


# Run times against the latest safe start.


@dataclass(frozen=True)
class Start:
    """One run beside its deadline: where it lies, how long it took, and how long before the latest safe start it began.

    `spare` is negative where it began too late for a slow run.
    """

    made: Made
    bar: Bar
    took: timedelta
    spare: timedelta


@dataclass(frozen=True)
class Starts:
    """The newest runs, each against its own deadline; `due` and `safe` are where that and the latest safe start lie."""

    rows: tuple[Start, ...]
    due: float
    safe: float
    before: timedelta

    @property
    def late(self) -> int:
        """How many began after the latest safe start."""
        return sum(row.spare < timedelta(0) for row in self.rows)


def starts_of(runs: Sequence[Made], forecast: Forecast, now: datetime) -> Starts | None:
    """The runs laid over one another, so that their deadlines are one line; None where there is none."""
    near = [one for one in runs if abs(one.due_at - one.started_at) < _FAR]
    if not near:
        return None
    early = max(*(one.due_at - one.started_at for one in near), forecast.slow, timedelta(minutes=1)) * 1.06
    late = max(*(one.finished_at - one.due_at for one in near), early * 0.06) * 1.02
    axis = TimeAxis(now - early, now + late)
    rows = tuple(row for one in near if (row := _start(one, forecast, axis, now)))
    return Starts(rows, axis.at(now), axis.at(latest_safe_start(now, forecast)), early)


def _start(one: Made, forecast: Forecast, axis: TimeAxis, now: datetime) -> Start | None:
    bar = axis.bar(now + (one.started_at - one.due_at), now + (one.finished_at - one.due_at))
    if bar is None:
        return None
    safe = latest_safe_start(one.due_at, forecast)
    return Start(one, bar, one.finished_at - one.started_at, safe - one.started_at)


# Sources.


@dataclass(frozen=True)
class Places:
    """Where a report's data come from: sources and how they answer, tables and up to when they are there, files."""

    health: tuple[Health, ...]
    tables: tuple[tuple[str, Load], ...]
    files: tuple[str, ...]
    titles: Mapping[str, str]


def _sources(tx: sa.Connection, look: Look) -> Places:
    config = look.visit.project.sources
    files = tuple(place for place in look.pipeline.sources if place != WAREHOUSE)
    titles = {name: source.title for name, source in config.sources.items()}
    if WAREHOUSE not in look.pipeline.sources:
        return Places((), (), files, titles)
    used = {name for table in config.tables.values() for name in table.from_}
    health = [
        probing.health(name, title, sources.probes(tx, name, _ANSWERS, look.visit.now))
        for name, title in titles.items()
        if name in used
    ]
    loaded = [(table, load) for table in config.tables for load in sources.loads(tx, table, 1)]
    return Places(tuple(health), tuple(loaded), files, titles)


# What to do.


@dataclass(frozen=True)
class Chapter:
    """A section of a runbook, its text ready to be shown, and its anchor on the page."""

    section: Section
    anchor: str
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, section: Section, prefix: str) -> Chapter:
        """A section under an anchor that nothing else on the page has."""
        return cls(section, f"{prefix}-{section.anchor}", _blocks(section.text))


@lru_cache(maxsize=512)
def _blocks(text: str) -> tuple[Block, ...]:
    """Parsed once: a page is looked at much more often than a runbook is changed."""
    return blocks_of(text)


@dataclass(frozen=True)
class Book:
    """What is written down for a report: its own runbook, what holds for all, and which section answers now."""

    own: tuple[Chapter, ...]
    common: tuple[Chapter, ...]
    wanted: Chapter | None

    @classmethod
    def of(cls, library: Library, name: str, current: Standing | None) -> Book:
        """The runbook of a pipeline; of the common one what its own does not answer."""
        own = library.own[name].sections if name in library.own else ()
        answered = {kind for section in own for kind in section.answers}
        rest = [one for one in library.common.sections if set(one.answers) - answered]
        chapters = tuple(Chapter.of(one, "runbook") for one in own), tuple(Chapter.of(one, "common") for one in rest)
        found = _wanted(library, name, current)
        return cls(*chapters, next((one for part in chapters for one in part if one.section == found), None))


def _wanted(library: Library, name: str, current: Standing | None) -> Section | None:
    """The section that answers the trouble that there is."""
    if current is None or current.incident is None:
        return None
    kinds = [kind for kind in (current.owed.trouble, current.state) if kind in KINDS]
    return library.answer(name, *kinds) if kinds else None


PAGES = (
    Page("/pipelines", FOLLOWER, pipelines),
    Page("/pipelines/{pipeline}", OF_PIPELINE, pipeline),
)
