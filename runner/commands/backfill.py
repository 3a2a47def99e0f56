"""Reports of days gone by: what the calendar promised in a span and is not there, oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from runner.commands.making import make_all, refuse, told_on, warm_up, worst
from runner.commands.signals import heard
from runner.config import Pipeline, Project
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.model import Status
from runner.plan.calendar import instant
from runner.plan.deadlines import Deadline, Timetable, deadlines_of, input_of
from runner.report import shelf
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job
from runner.scheduler.begins import begins_of
from runner.scheduler.office import timetable_of
from runner.screen import screen_for

#: No promise is longer: what is reported as of a day is due by then.
_LONGEST = timedelta(days=40)
#: Lines of a list that a person is shown.
_MOST = 50
_MADE = {Status.READY, Status.DELIVERED}


@dataclass(frozen=True)
class Wish:
    """Which reports are wanted: of a pipeline, as of the days `first` to `last`, both included."""

    pipeline: str
    first: date
    last: date
    deliver: bool = False
    dry: bool = False


def backfill(project: Project, wish: Wish, now: datetime, *, as_json: bool) -> int:
    """Make the reports of a span; the exit code is the worst of them. Readers get them only if that is wished.

    Raises UsageError when nothing was promised in the span, and ConfigError before anything is started.
    """
    pipeline = project.pipeline(wish.pipeline)
    timetable = timetable_of(project, begins_of(project))
    ledger = Ledger.of(project)
    members = _with_inputs(_promised(project, pipeline, timetable, wish, now), project, timetable, ledger)
    if wish.dry:
        _show(members, project, ledger, as_json=as_json)
        code = 0
    else:
        code = _make(members, project, wish, ledger, now, as_json=as_json)
    ledger.close()
    return code


# Which.


def _promised(
    project: Project, pipeline: Pipeline, timetable: Timetable, wish: Wish, now: datetime
) -> tuple[Deadline, ...]:
    """What the calendar promised as of the days of the span, as far as it can have been begun by now."""
    if wish.last < wish.first:
        raise UsageError("The span ends before it begins.", "Exchange --from and --to.")
    start, end = (instant(day, time(), timetable.zone) for day in (wish.first, wish.last))
    found = deadlines_of(pipeline, project.settings, timetable, start, end + _LONGEST)
    inside = [deadline for deadline in found if wish.first <= deadline.as_of <= wish.last]
    begun = tuple(deadline for deadline in inside if deadline.starts_at <= now)
    if not begun:
        when = "is to be begun yet" if inside else f"was promised ({pipeline.deadline})"
        what = f"No report of {pipeline.name} as of {wish.first} to {wish.last} {when}."
        raise UsageError(what, f"See what is promised: runner due --from {wish.first}")
    return begun


def _with_inputs(
    wanted: Iterable[Deadline], project: Project, timetable: Timetable, ledger: Ledger
) -> tuple[Deadline, ...]:
    """The wanted reports, and before each the inputs of its date that are missing; oldest first."""
    found: dict[tuple[str, str], Deadline] = {}

    def place(deadline: Deadline) -> None:
        pipeline = project.pipelines[deadline.pipeline]
        for name in pipeline.inputs:
            given = input_of(deadline, pipeline, project.pipelines[name], project.settings, timetable)
            if given is not None and not _is_made(given, ledger):
                place(given)
        found.setdefault(deadline.key, deadline)

    for deadline in sorted(wanted, key=lambda deadline: (deadline.as_of, deadline.due_at)):
        place(deadline)
    return tuple(found.values())


def _is_made(deadline: Deadline, ledger: Ledger) -> bool:
    return any(run.status in _MADE for run in ledger.runs(*deadline.key))


# Showing, making.


def _show(members: Sequence[Deadline], project: Project, ledger: Ledger, *, as_json: bool) -> None:
    zone = ZoneInfo(project.settings.time_zone)
    rows = [_row(member, ledger, zone) for member in (members if as_json else members[:_MOST])]
    screen = screen_for(as_json=as_json, total=0)
    screen.table(rows, ("report", "period", "as_of", "was_due", "stands"))
    if not as_json:
        screen.say(_count(len(members)))


def _count(number: int) -> str:
    said = "1 report." if number == 1 else f"{number:,} reports."
    return f"{said} The first {_MOST} are shown; --json lists all." if number > _MOST else said


def _row(member: Deadline, ledger: Ledger, zone: ZoneInfo) -> dict[str, Any]:
    newest = next(iter(ledger.runs(*member.key)), None)
    row: dict[str, Any] = {"report": member.pipeline, "period": member.period, "as_of": member.as_of.isoformat()}
    row |= {"was_due": f"{member.due_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"}
    return row | {"stands": str(newest.status) if newest else "not made"}


def _make(  # noqa: PLR0913 - what one command works with
    members: Iterable[Deadline], project: Project, wish: Wish, ledger: Ledger, now: datetime, *, as_json: bool
) -> int:
    jobs = tuple(_jobs(members, project, wish))
    clock = Clock(now)
    with screen_for(as_json=as_json, total=len(jobs)) as screen, heard(Stop()) as stop:
        ctx = Ctx(project, ledger, clock, stop, screen.step)
        refuse(jobs, ctx)
        warm_up(jobs, ctx)
        shelf.tidy(project, ledger, clock.now())
        made = make_all(jobs, ctx, told_on(screen, jobs, as_json=as_json))
        screen.summary(made)
    return worst(made, stop)


def _jobs(members: Iterable[Deadline], project: Project, wish: Wish) -> Iterator[Job]:
    """Inputs are made because their records are needed, not for their readers."""
    for member in members:
        deliver = wish.deliver and member.pipeline == wish.pipeline
        pipeline = project.pipelines[member.pipeline]
        yield Job(pipeline, member.as_of.isoformat(), member.experiment, deliver=deliver)
