"""Commands about reports: make them, check what they need, list their runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.commands.making import Tell, make_all, worst
from runner.commands.signals import heard
from runner.config import Pipeline, Project
from runner.errors import ConfigError, UsageError
from runner.ledger import Ledger, Run, finished
from runner.model import Status
from runner.report import shelf
from runner.report.execute import Stop
from runner.report.produce import Clock, Ctx, Job
from runner.report.produce import check as check_job
from runner.scheduler.opening import library_of
from runner.screen import near, screen_for


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; no pipeline means all of them."""

    pipeline: str
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    deliver: bool = True


def run(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Make what is wished for; the exit code. Raises UsageError and ConfigError before anything is started."""
    library_of(project)  # whatever goes wrong, some page answers it
    jobs = _jobs(project, wish)
    ledger = Ledger.open(project.ledger)
    clock = Clock(datetime.now(UTC))
    with screen_for(as_json=as_json, total=len(jobs)) as screen, heard(Stop()) as stop:
        ctx = Ctx(project, ledger, clock, stop, screen.step)
        for job in jobs:
            _check(job, ctx, alone=len(jobs) == 1)
        shelf.tidy(project, ledger, clock.now())
        made = make_all(jobs, ctx, Tell(lambda _, step: screen.step(step), lambda _, item: screen.made(item)))
        screen.summary(made)
    ledger.close()
    return worst(made, stop)


def _jobs(project: Project, wish: Wish) -> tuple[Job, ...]:
    chosen = (project.pipeline(wish.pipeline),) if wish.pipeline else project.in_order()
    if not wish.pipeline and wish.texts:
        raise UsageError("-p belongs to one pipeline.", "Name it instead of --all.")
    return tuple(_job(wish, pipeline) for pipeline in chosen)


def _job(wish: Wish, pipeline: Pipeline) -> Job:
    alone = bool(wish.pipeline)
    experiment = wish.experiment if alone or pipeline.period == "experiment" else None
    return Job(pipeline, wish.as_of, experiment, wish.texts, wish.again, wish.deliver)


def _check(job: Job, ctx: Ctx, *, alone: bool) -> None:
    """Refuse a wish that cannot be begun. Of several, one that is off is told at its turn and the others run."""
    try:
        check_job(job, ctx)
    except UsageError:
        raise
    except ConfigError:
        if alone:
            raise


# Looking.


def listing(project: Project, pipeline: str, *, as_json: bool) -> int:
    """Show the ledger's runs, newest first."""
    name = project.pipeline(pipeline).name if pipeline else None
    ledger = Ledger.open(project.ledger)
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
