"""One run: what happened, in a sentence, by stage and by cell; what people decided, and what is left to decide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from runner.acts import attempts
from runner.document.texts import line
from runner.errors import ConfigError, RunnerError, Trouble, UsageError
from runner.ledger import Delivery, Run, deadlines, finished, journal, version_of
from runner.ledger import deliveries as book
from runner.ledger.deadlines import Owed
from runner.ledger.journal import Act
from runner.model import Level, Status
from runner.plan.runbooks import Section
from runner.report import approval, cells, inputs, shelf, story
from runner.report.approval import Outlook
from runner.report.restatement import columns_of
from runner.report.story import Story
from runner.scheduler.opening import library_of
from runner.web import files
from runner.web.access import ENGINEER, OF_RUN
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: Seconds between two looks at a run that is under way, and at one that somebody may decide on just now.
_LIVE, _DECIDED = 2, 15
#: Tells what each act on record was.
DID = {
    "approved": "approved it",
    "rejected": "rejected it",
    "asked for another try of": "asked for another try",
    "cancelled": "cancelled it",
    "delivered by hand": "handed it over by hand",
    "took an archive of": "took an archive of it",
    "sent once more": "had it sent once more to those who wait",
}
_UNPROVEN = {Trouble.RENDERING_FAILED, Trouble.PROOF_FAILED}
_GOOD = {Status.READY, Status.DELIVERED}
_ORDER = {Level.STOP: 0, Level.WARN: 1, Level.PASS: 2}


@dataclass(frozen=True)
class Refused:
    """A form that was sent and refused: which act, what was typed, and why not."""

    act: str
    form: Mapping[str, str]
    error: RunnerError


@dataclass(frozen=True)
class News:
    """What happened, in a sentence, and what there is to do about it."""

    tone: str
    title: str
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Doings:
    """What the visitor may do with a run."""

    decide: bool = False
    again: bool = False
    hand_over: bool = False
    unproven: bool = False
    send: bool = False
    cancel: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return any(vars(self).values())


@dataclass(frozen=True)
class Received:
    """How one reader stands: their name, their message."""

    name: str
    item: Delivery


def run_page(visit: Visit) -> Response:
    """The page of a run."""
    return show(visit)


def show(visit: Visit, refused: Refused | None = None) -> Response:
    """The page of a run, with what somebody typed in vain where that is so."""
    run = visit.run
    if run is None:
        raise NotFound
    seen, told = run, story.story_of(visit.project, run)
    owed, acts, items = _booked(visit, run)
    if not visit.visitor.engineer:
        seen, told, acts = _from_outside(run, told, acts)
    deciders = _deciders(visit, run)
    may = _may(visit, run, items) if visit.visitor.who in deciders and visit.visitor.engineer else Doings()
    title, period = story.about(visit.project, run)
    data: dict[str, Any] = {"run": run, "title": title, "period": period, "story": told, "owed": owed, "acts": acts}
    data |= {"received": _received(visit, items), "deciders": deciders, "may": may, "refused": refused, "did": DID}
    data |= {"news": _news(seen, told, owed), "section": _section(visit, run), "live": _live(run, refused)}
    data |= {"pruned": finished.is_pruned(run), "has_report": _has_report(visit, run)}
    data |= _decision(visit, run) | _inside(visit, run)
    return visit.page("run.html.j2", 422 if refused else 200, **data)


def _from_outside(run: Run, told: Story, acts: tuple[Act, ...]) -> tuple[Run, Story, tuple[Act, ...]]:
    """The same for stakeholders: what checks, errors, sources and people say may name figures that are not out yet."""
    stages = tuple(replace(stage, details=()) for stage in told.stages)
    said = replace(told, stages=stages, heading="", error="", remedy="")
    return replace(run, message=""), said, tuple(replace(act, details={}) for act in acts)


def _booked(visit: Visit, run: Run) -> tuple[Owed | None, tuple[Act, ...], tuple[Delivery, ...]]:
    """Its deadline, what was done with it, and what is owed of its version where that is made of it."""
    with visit.ledger.read() as tx:
        owed = deadlines.find(tx, (run.pipeline, run.period))
        acts = journal.about(tx, run.run, run.started_at)
        items = book.of(tx, version_of(run)) if run.status in _GOOD else ()
    return owed, acts, items


def _deciders(visit: Visit, run: Run) -> tuple[str, ...]:
    pipeline = visit.project.pipelines.get(run.pipeline)
    return approval.entitled(visit.project, pipeline, visit.on_call) if pipeline else ()


def _live(run: Run, refused: Refused | None) -> int:
    """How often the page renews itself. One that answers a form has no address to be fetched from again."""
    if refused is not None:
        return 0
    return _LIVE if run.status is Status.RUNNING else _DECIDED if run.status in {Status.HELD, Status.READY} else 0


def _received(visit: Visit, items: tuple[Delivery, ...]) -> list[Received]:
    names = {person.email.lower(): person.name for people in visit.project.people.readers.values() for person in people}
    return [Received(names.get(item.recipient.lower(), "A former reader"), item) for item in items]


def _has_report(visit: Visit, run: Run) -> bool:
    """Whether the visitor has a report of it to read."""
    made = files.found(visit, run, f"{run.pipeline}.html") is not None
    return made and (visit.visitor.engineer or visit.had_it(run.run))


# What happened.


def _news(run: Run, told: Story, owed: Owed | None) -> News:
    if run.status is Status.RUNNING:
        return News("plain", "It is being made.", _progress(told))
    if run.status in _GOOD:
        return _good_news(run, owed)
    if run.status is Status.HELD:
        return News("held", "It is held: nothing went out yet.", run.message, "A person decides whether it goes out.")
    if finished.is_rejected(run):
        return News("stop", "It was rejected: nothing was sent.", run.message, _REMEDY)
    tone, title = _TITLES[run.status]
    return News(tone, f"{title}: nothing was sent.", run.message, told.remedy)


def _good_news(run: Run, owed: Owed | None) -> News:
    if run.status is Status.DELIVERED:
        return News("good", _delivered(owed, run), run.message)
    text = run.message or "It is on its way to its readers, or has none."
    return News("warn" if run.trouble else "good", "The report is ready.", text)


_TITLES = {
    Status.FAILED: ("stop", "It failed"),
    Status.STOPPED: ("stop", "A check stopped it"),
    Status.INTERRUPTED: ("warn", "It was broken off"),
}
_REMEDY = "Correct the data or the notebook, then make the report again."


def _progress(told: Story) -> str:
    if told.cells and told.stages and told.stages[-1].name == "execute":
        heading = f": {line(told.heading)}" if told.heading else ""
        return f"Cell {told.cell} of {told.cells}{heading}"
    return told.stages[-1].words if told.stages else "It has just begun."


def _delivered(owed: Owed | None, run: Run) -> str:
    if owed is None or owed.run != run.run or owed.ended_at is None:
        return "It was delivered."
    return "It was delivered in time." if owed.on_time else "It was delivered, late."


def _section(visit: Visit, run: Run) -> Section | None:
    """The section of the runbook that answers its trouble."""
    kinds = [str(run.trouble)] if run.trouble else []
    kinds += ["held"] if run.status is Status.HELD else []
    if not visit.visitor.engineer or not kinds or run.status in _GOOD or run.pipeline not in visit.project.pipelines:
        return None
    try:
        return library_of(visit.project).answer(run.pipeline, *kinds)
    except ConfigError:  # somebody is writing it just now
        return None


# What there is to decide and to do.


def _may(visit: Visit, run: Run, items: tuple[Delivery, ...]) -> Doings:
    with visit.ledger.read() as tx:
        again = run.status is not Status.RUNNING and attempts.can_be_asked(tx, visit.project, run)
    out = run.status in _GOOD and bool(run.folder)
    return Doings(
        decide=run.status is Status.HELD,
        again=again,
        hand_over=out,
        unproven=run.status is Status.FAILED and run.trouble in _UNPROVEN and bool(run.folder),
        send=out and any(item.open or item.refused for item in items),
        cancel=run.status is Status.RUNNING,
    )


def _decision(visit: Visit, run: Run) -> dict[str, Any]:
    """What an approval would let out and change, for engineers."""
    nothing: dict[str, Any] = {"outlook": None, "unfit": None, "replaced": ()}
    if run.status is not Status.HELD or not visit.visitor.engineer:
        return nothing
    try:
        seen = approval.outlook(run, visit.desk.ctx(visit.now))
    except (UsageError, OSError, ValueError) as error:
        told = error if isinstance(error, UsageError) else UsageError("Its notebook cannot be read.", _REMEDY)
        return nothing | {"unfit": told}
    return nothing | {"outlook": seen, "replaced": _replaced(seen)}


def _replaced(seen: Outlook) -> list[tuple[Any, ...]]:
    return [(one.name, one.day, *column) for one in seen.replaced for column in columns_of(one)][:60]


# What is inside: for engineers, who may see figures before their readers do.


def _inside(visit: Visit, run: Run) -> dict[str, Any]:
    nothing: dict[str, Any] = {"cells": None, "findings": (), "figures": (), "files": (), "made_of": None}
    if not visit.visitor.engineer:
        return nothing
    ledger = visit.ledger
    findings = sorted(ledger.findings(run.run), key=lambda finding: _ORDER[finding.level])
    found = {"cells": _cells(visit, run), "findings": findings, "files": ledger.artifacts(run.run)}
    return found | {"figures": ledger.figures(run.run), "made_of": _made_of(visit, run)}


def _cells(visit: Visit, run: Run) -> tuple[cells.Cell, ...] | None:
    """The notebook as it is by now; once the run has ended, only the one that it left."""
    name = f"{run.pipeline}.ipynb"
    if run.status is Status.RUNNING:
        return cells.under_way(shelf.work(visit.project, run.run) / name)
    data = files.proven(visit, run, name)
    return cells.of(data) if data is not None else None


def _made_of(visit: Visit, run: Run) -> dict[str, Any] | None:
    """What the manifest says that the run was made of; None where it is gone or was changed."""
    data = files.proven(visit, run, "manifest.json")
    if data is None:
        return None
    try:
        told = json.loads(data)
        code, data_of, around = told["code"], told["data"], told["environment"]
        named = {"code": inputs.digest_of(code), "environment": inputs.digest_of(around)}
        sources = {name: dict(one) for name, one in data_of.get("sources", {}).items()}
        return {**told, "digests": named, "fingerprints": data_of.get("fingerprints", {}), "sources": sources}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


# Files.


def artifact(visit: Visit) -> Response:
    """One file of a run, to be kept; only the very one that the run left."""
    run, path = visit.run, visit.params["path"]
    if run is None:
        raise NotFound
    data = files.given(visit, run, path)
    return data if isinstance(data, Response) else files.download(data, path.rpartition("/")[2])


PAGES = (Page("/runs/{run}", OF_RUN, run_page), Page("/runs/{run}/files/{path:path}", ENGINEER, artifact))
