"""How a run went, told from its diary: stages with their times, how far it is, what was to be done about its error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from runner.config import Project
from runner.ledger import Run
from runner.model import Status
from runner.plan.periods import period_of
from runner.report import diary, shelf

#: The stages in words that nobody needs explained.
WORDS = {
    "fetch": "Data fetched",
    "execute": "Notebook run",
    "read": "Figures read",
    "compare": "Compared with what was sent before",
    "gate": "Findings judged",
    "render": "Report made",
    "prove": "Report read back and proven",
}
_FETCHES = {"fetch begins", "source asked", "table loaded", "waiting for data"}
_END = "run ends"


@dataclass(frozen=True)
class Stage:
    """One stage: its words, when it began and ended (None: under way), and whether the run broke off in it."""

    name: str
    words: str
    began: datetime
    ended: datetime | None = None
    broke: bool = False
    details: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it took, where that is known."""
        return (self.ended - self.began).total_seconds() if self.ended else None


@dataclass(frozen=True)
class Story:
    """What a diary tells. `cell` of `cells` is what is, or was last, under way in the notebook."""

    stages: tuple[Stage, ...] = ()
    cell: int = 0
    cells: int = 0
    heading: str = ""
    error: str = ""
    remedy: str = ""


def story_of(project: Project, run: Run) -> Story:
    """The story of a run so far. It moves at its end: it is looked for in its place, in that of work, and again."""
    place, work = shelf.place(project, run), shelf.work(project, run.run)
    return next((_story(found, run) for folder in (place, work, place) if (found := list(diary.read(folder)))), Story())


def _story(events: list[dict[str, Any]], run: Run) -> Story:
    told = Story()
    for event in events:
        match event.get("event"):
            case "cell begins":
                cell, cells = _count(event.get("cell")), _count(event.get("of"))
                told = replace(told, cell=cell, cells=cells, heading=str(event.get("heading") or ""))
            case "error":
                error, remedy = str(event.get("message") or ""), str(event.get("remedy") or "")
                told = replace(told, error=error, remedy=remedy)
    return replace(told, stages=tuple(_stages(events, run)))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _stages(events: Iterable[Mapping[str, Any]], run: Run) -> Iterable[Stage]:
    """Each stage up to the next, or to the run's end."""
    marks = [(name, at, event) for event in events if (name := _mark(event)) and (at := _at(event)) is not None]
    begun = [
        mark
        for before, mark in pairwise([("", run.started_at, {}), *marks])
        if mark[0] != before[0] and mark[0] != _END
    ]
    over = next((at for name, at, _ in marks if name == _END), run.finished_at)
    for number, (name, at, _) in enumerate(begun):
        last = number == len(begun) - 1
        ended = over if last else begun[number + 1][1]
        details = tuple(_fetched(event) for mark, _, event in marks if mark == name == "fetch")
        broke = last and run.status in {Status.FAILED, Status.INTERRUPTED, Status.STOPPED}
        yield Stage(name, WORDS.get(name, name), at, ended, broke, tuple(filter(None, details))[:40])


def _mark(event: Mapping[str, Any]) -> str:
    """The stage that an event belongs to, where it says so."""
    kind = event.get("event")
    if kind == "stage begins":
        return str(event.get("stage"))
    return "fetch" if kind in _FETCHES else _END if kind == _END else ""


def _fetched(event: Mapping[str, Any]) -> str:
    """What an event of fetching says."""
    match event.get("event"):
        case "table loaded":
            return f"{event.get('table')}: {event.get('rows')} rows from {event.get('source')}"
        case "source asked" if event.get("message"):
            return f"{event.get('source')}: {event.get('message')}"
        case "waiting for data":
            return f"Waited for {event.get('table')}"
    return ""


def _at(event: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(event.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def about(project: Project, run: Run) -> tuple[str, str]:
    """What a run is about, for people: the title of its report and the words of its period."""
    pipeline = project.pipelines.get(run.pipeline)
    if pipeline is None:
        return run.pipeline, run.period
    try:
        day = date.fromisoformat(str(run.parameters.get("as_of")))
    except ValueError:
        return pipeline.title, run.period
    experiment = run.parameters.get("experiment")
    period = period_of(pipeline.period, day, str(experiment) if experiment is not None else None)
    return pipeline.title, period.text if period.key == run.period else run.period
