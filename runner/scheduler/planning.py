"""The calendar -> the book of deadlines, ahead of time, so that what never starts is late too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import Project
from runner.config.promise import When, parse
from runner.ledger import deadlines, duties, journal
from runner.ledger.journal import Mark
from runner.plan.deadlines import Begin, Deadline, Timetable, all_deadlines
from runner.plan.duties import Due, dues
from runner.scheduler.office import Office, timetable_of
from runner.scheduler.work import can_be_made

AHEAD = timedelta(days=8)  # how far the book is written
REFRESH = timedelta(days=1)  # how often it is written on
DUTIES = timedelta(days=31)  # how much further duties are written, which are few
BACK = timedelta(days=31)  # how far back what was withdrawn is owed again once the plan has it again
LOOK = timedelta(minutes=10)  # how often the table of experiments is read again
SINCE, UNTIL, PLAN = "plan since", "plan until", "plan digest"


def plan(office: Office, now: datetime) -> int:
    """Write down what will be owed; how many deadlines are new.

    On a fresh ledger the first promise is the first that is due from now on. After a time without a tick everything
    since the last one is written down. A change of the plan changes what is not begun yet.
    """
    if _is_current(office, now):
        return 0
    timetable, known = _timetable(office)
    digest = _digest(office, timetable)
    new, written = 0, office.notes.get("written")
    if written is None or now - written[0] >= REFRESH or written[1:] != (digest, known):
        new = _written(office, timetable, _Book(digest, known, now))
        office.notes["written"] = (now, digest, known)
    office.notes["planned"] = now
    return new


def _written(office: Office, timetable: Timetable, book: _Book) -> int:
    with office.ledger.read() as tx:
        if _is_written(tx, book.digest if book.known else None, book.now):
            return 0
    office.notes.pop("look at duties", None)
    with office.ledger.write() as tx:
        return _renew(tx, office, timetable, book)


@dataclass(frozen=True)
class _Book:
    """What the book is to say: the plan's digest, whether all of the plan is known, and from when on."""

    digest: str
    known: bool
    now: datetime


def _is_written(tx: sa.Connection, digest: str | None, now: datetime) -> bool:
    """Whether the book goes far enough and says what the plan says (None: as far as is known)."""
    until = journal.mark(tx, UNTIL)
    far = until is not None and until.at is not None and until.at >= now + AHEAD - REFRESH
    return far and digest in {None, _text(tx)}


def _renew(tx: sa.Connection, office: Office, timetable: Timetable, book: _Book) -> int:
    until, now = journal.mark(tx, UNTIL), book.now
    # What cannot be read has not changed.
    digest = book.digest if book.known or until is None else _text(tx) or book.digest
    if until is None:
        journal.set_mark(tx, SINCE, Mark(now))
    new = _write(tx, office, timetable, _Window(now, until.at if until else None, _text(tx) != digest))
    journal.set_mark(tx, UNTIL, Mark(now + AHEAD))
    journal.set_mark(tx, PLAN, Mark(now, digest))
    return new


def _timetable(office: Office) -> tuple[Timetable, bool]:
    """What promises rest on, and whether the experiments are known. A source that is away must not stop the clock."""
    try:
        timetable = office.timetable()
    except Exception as error:  # noqa: BLE001 - whatever keeps the table from being read, all else goes on
        office.log("experiments unknown", error=f"{type(error).__name__}: {error}")
        return timetable_of(office.project, office.notes.get("begins", ())), False
    office.notes["begins"] = timetable.begins
    return timetable, True


class _Window:
    """Which spans are written: what follows the last writing, and after a change what lies ahead once more."""

    def __init__(self, now: datetime, until: datetime | None, changed: bool) -> None:  # noqa: FBT001
        self.now = now
        self.first = now if until is None else min(until, now) if changed else until
        self.last = now + AHEAD
        self.again = changed and until is not None


def _is_current(office: Office, now: datetime) -> bool:
    """Whether the book was written by this very process a moment ago."""
    planned = office.notes.get("planned")
    return planned is not None and timedelta(0) <= now - planned < LOOK


def _text(tx: sa.Connection) -> str | None:
    found = journal.mark(tx, PLAN)
    return found.text if found else None


def _write(tx: sa.Connection, office: Office, timetable: Timetable, window: _Window) -> int:
    found = list(_deadlines(tx, office, timetable, window))
    new = deadlines.note(tx, found)
    if window.again:
        deadlines.withdraw(tx, (deadline.key for deadline in found), window.now, window.now)
        deadlines.drop(tx, office.project.pipelines, window.now)
        deadlines.retire(tx, _impossible(tx, office.project), window.now)
    due = list(duties_between(office.project, timetable, window.first, window.last + DUTIES))
    if window.again:
        duties.withdraw(tx, (one.key for one in due), window.now, window.last + DUTIES)
    duties.note(tx, due)
    return new


def _deadlines(tx: sa.Connection, office: Office, timetable: Timetable, window: _Window) -> Iterator[Deadline]:
    settings, pipelines = office.project.settings, office.project.pipelines.values()
    since = journal.mark(tx, SINCE)
    start = since.at if since and since.at else window.now
    if window.again:
        yield from _restored(tx, office, timetable, (max(start, window.now - BACK), window.first))
    for pipeline in pipelines:
        # An experiment may be entered in its table after it began, even after its deadline: it is owed all the same.
        elapsed = parse(pipeline.deadline).when is When.ELAPSED
        yield from all_deadlines((pipeline,), settings, timetable, start if elapsed else window.first, window.last)


def _restored(
    tx: sa.Connection, office: Office, timetable: Timetable, span: tuple[datetime, datetime]
) -> Iterator[Deadline]:
    """What fell due while it was withdrawn, and is promised again: it is late, and nobody must lose it in silence."""
    gone = deadlines.withdrawn(tx, *span)
    pipelines = [office.project.pipelines[name] for name in {key[0] for key in gone} & set(office.project.pipelines)]
    found = all_deadlines(pipelines, office.project.settings, timetable, *span)
    return (deadline for deadline in found if deadline.key in gone)


def _impossible(tx: sa.Connection, project: Project) -> list[tuple[str, str]]:
    """What is owed still of periods that its pipeline has no more: one of days that is of weeks now."""
    known = ((owed, project.pipelines.get(owed.deadline.pipeline)) for owed in deadlines.unclaimed(tx))
    return [owed.key for owed, pipeline in known if pipeline is not None and not can_be_made(pipeline, owed)]


def duties_between(project: Project, timetable: Timetable, first: datetime, last: datetime) -> Iterator[Due]:
    """Every duty with first <= due_at < last, but for those that nothing could show."""
    for name, duty in project.duties.items():
        found = dues(name, duty.rhythm, duty.first, timetable, first, last)
        yield from (due for due in found if duty.shown_by is None or _can_be_shown(project, timetable, due))


def _can_be_shown(project: Project, timetable: Timetable, due: Due) -> bool:
    """Whether the report that shows a duty is owed in its time: of a day on which all is closed there is none."""
    shown = project.duties[due.duty].shown_by
    pipeline = project.pipelines[shown.pipeline] if shown else None
    if pipeline is None or parse(pipeline.deadline).when is When.ELAPSED:
        return True
    after = timedelta(microseconds=1)  # what opens at an instant is about what comes after it
    return bool(all_deadlines((pipeline,), project.settings, timetable, due.opens_at + after, due.due_at + after))


def _digest(office: Office, timetable: Timetable) -> str:
    """A hash over everything that deadlines follow from."""
    known: tuple[Project, tuple[Begin, ...], str] | None = office.notes.get("digest")
    if known is None or known[0] is not office.project or known[1] != timetable.begins:
        known = (office.project, timetable.begins, _hashed(office.project, timetable))
        office.notes["digest"] = known
    return known[2]


def _hashed(project: Project, timetable: Timetable) -> str:
    said = {
        "pipelines": {name: p.model_dump(mode="json") for name, p in project.pipelines.items()},
        "duties": {name: duty.model_dump(mode="json") for name, duty in project.duties.items()},
        "zone": project.settings.time_zone,
        "retries": [project.settings.attempts, *project.settings.retry_after, project.settings.run_limit],
        "days": project.holidays.model_dump(mode="json"),
        "begins": [[begin.experiment, begin.at.isoformat()] for begin in timetable.begins],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
