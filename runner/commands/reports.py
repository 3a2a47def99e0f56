"""Commands about reports: make them, check what they need, list their runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.commands.making import make_all, refuse, told_on, warm_up, worst
from runner.commands.signals import heard
from runner.config import Pipeline, Project
from runner.errors import UsageError
from runner.ledger import Ledger, Run, finished
from runner.model import Status
from runner.plan.deadlines import Begin
from runner.report import shelf
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job, period_for
from runner.scheduler.begins import experiments_of
from runner.scheduler.opening import library_of
from runner.screen import Screen, near, screen_for

#: Experiments that a person is told of by name.
_MOST = 8
_UNKNOWN = "None is known: name them in the table `experiments`, or in config/experiments.yml with `begins`."


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; no pipeline means all of them, no `now` the machine's clock."""

    pipeline: str
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    deliver: bool = True
    every_experiment: bool = False
    now: datetime | None = None


def run(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Make what is wished for; the exit code. Raises UsageError and ConfigError before anything is started."""
    library_of(project)  # whatever goes wrong, some page answers it
    begun, later = _experiments(project, wish) if wish.every_experiment else ((), ())
    jobs = _jobs(project, wish, begun)
    ledger = Ledger.of(project)
    clock = Clock(wish.now or datetime.now(UTC))
    with screen_for(as_json=as_json, total=len(jobs)) as screen, heard(Stop()) as stop:
        ctx = Ctx(project, ledger, clock, stop, screen.step)
        refuse(jobs, ctx, lenient=not wish.pipeline)
        _left_out(later, project, wish, screen, as_json=as_json)
        warm_up(jobs, ctx)
        shelf.tidy(project, ledger, clock.now())
        made = make_all(jobs, ctx, told_on(screen, jobs, as_json=as_json))
        screen.summary(made)
    ledger.close()
    return worst(made, stop)


def _jobs(project: Project, wish: Wish, begun: Sequence[Begin]) -> tuple[Job, ...]:
    chosen = (project.pipeline(wish.pipeline),) if wish.pipeline else project.in_order()
    if not wish.pipeline and wish.texts:
        raise UsageError("-p belongs to one pipeline.", "Name it instead of --all.")
    if wish.every_experiment:
        return tuple(_job(replace(wish, experiment=begin.experiment), chosen[0]) for begin in begun)
    return tuple(_job(wish, pipeline) for pipeline in chosen)


def _job(wish: Wish, pipeline: Pipeline) -> Job:
    alone = bool(wish.pipeline)
    experiment = wish.experiment if alone or pipeline.period == "experiment" else None
    return Job(pipeline, wish.as_of, experiment, wish.texts, wish.again, wish.deliver)


# Every experiment.


def _experiments(project: Project, wish: Wish) -> tuple[tuple[Begin, ...], tuple[Begin, ...]]:
    """The experiments that had begun by the day reported, oldest first, and those that begin later.

    Raises UsageError where there is none to report, and ReportStopped when the warehouse cannot be had.
    """
    if not wish.pipeline:
        raise UsageError("--every-experiment belongs to one pipeline.", "Name it instead of --all.")
    pipeline = project.pipeline(wish.pipeline)
    if pipeline.period != "experiment":
        raise UsageError(f"{pipeline.name} is not about an experiment.", "Leave --every-experiment out.")
    if wish.experiment is not None:
        raise UsageError("--experiment names one, --every-experiment takes all.", "Leave one of them out.")
    period_for(_job(wish, pipeline))  # refuses what is no day
    known = experiments_of(project, [pipeline])
    begun = tuple(one for one in known if _day(one, project) <= wish.as_of)
    if not begun:
        first = f"Take a day from {_day(known[0], project)} on: the first begins then." if known else _UNKNOWN
        raise UsageError(f"No experiment had begun by {wish.as_of}.", first)
    return begun, known[len(begun) :]


def _day(begin: Begin, project: Project) -> str:
    """The day of a begin where the project is."""
    return begin.at.astimezone(ZoneInfo(project.settings.time_zone)).date().isoformat()


def _left_out(later: Sequence[Begin], project: Project, wish: Wish, screen: Screen, *, as_json: bool) -> None:
    """Say which experiments are not reported, and why: a line each for a program, one for a person."""
    days = {begin.experiment: _day(begin, project) for begin in later}
    for name, day in days.items() if as_json else ():
        row = {"event": "left out", "pipeline": wish.pipeline, "experiment": name, "begins": day}
        screen.line({**row, "because": f"It begins after {wish.as_of}."}, "")
    if days and not as_json:
        shown = [f"{name} on {day}" for name, day in list(days.items())[:_MOST]]
        shown += [f"{len(days) - _MOST} more"] if len(days) > _MOST else []
        screen.say(f"Left out, because they begin later: {', '.join(shown)}.")


# Looking.


def listing(project: Project, pipeline: str, *, as_json: bool) -> int:
    """Show the ledger's runs, newest first."""
    name = project.pipeline(pipeline).name if pipeline else None
    ledger = Ledger.of(project)
    screen = screen_for(as_json=as_json, total=0)
    zone = ZoneInfo(project.settings.time_zone)
    rows = [_row(project, run_, zone, as_json=as_json) for run_ in ledger.runs(name)]
    screen.table(rows, ("started", "status", "pipeline", "period", "folder"))
    ledger.close()
    sys.stdout.flush()
    return 0


def _row(project: Project, run_: Run, zone: ZoneInfo, *, as_json: bool) -> dict[str, Any]:
    """One run: for a program whole, for a person with the time of the project's place and the shortest path."""
    row: dict[str, Any] = {"run": run_.run, "pipeline": run_.pipeline, "period": run_.period}
    row |= {"status": str(run_.status), "message": run_.message, "folder": run_.folder}
    if as_json:
        return row | {"started": run_.started_at.isoformat()}
    return row | {"started": f"{run_.started_at.astimezone(zone):%Y-%m-%d %H:%M %Z}", "folder": _where(project, run_)}


def _where(project: Project, run_: Run) -> str:
    """The folder of a run, that of its work while it is under way; its last part names the run."""
    if run_.status is Status.RUNNING:
        return near(shelf.work(project, run_.run))
    if finished.is_pruned(run_):
        return f"{run_.run} (pruned)"
    return near(project.folder / run_.folder) if run_.folder else ""
