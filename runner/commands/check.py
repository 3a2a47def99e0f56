"""Everything that is off, found before it does harm: notebooks, runbooks, channels, and plans that cannot be kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.config import Pipeline, Project
from runner.errors import RunnerError
from runner.ledger import Ledger
from runner.plan import feasibility, oncall
from runner.plan.forecast import assumed_of, forecast
from runner.report import parameters
from runner.scheduler import roster
from runner.scheduler.begins import begins_of
from runner.scheduler.office import timetable_of
from runner.scheduler.opening import library_of, unreachable
from runner.screen import screen_for

#: How far ahead the rota is looked at.
AHEAD = timedelta(days=366)


@dataclass(frozen=True)
class Trouble:
    """One thing that is off with the plan: where, what, and whether promises will be broken."""

    subject: str
    what: str
    severe: bool = True


def check(project: Project, now: datetime, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Say of every notebook OK or what is off, then what is off with the plan; 2 where something must be mended."""
    notebooks = {pipeline.name: _notebook(project, pipeline) for pipeline in project.in_order()}
    plan = tuple(_plan(project, now, environment))
    screen = screen_for(as_json=as_json, total=0)
    for name, trouble in notebooks.items():
        screen.line({"pipeline": name, "ok": not trouble, "message": trouble}, f"{name}: {trouble or 'OK'}")
    for one in plan:
        row = {"subject": one.subject, "ok": False, "severe": one.severe, "message": one.what}
        screen.line(row, f"{one.subject}: {'' if one.severe else 'note: '}{one.what}")
    return 2 if any(notebooks.values()) or any(one.severe for one in plan) else 0


def _notebook(project: Project, pipeline: Pipeline) -> str:
    notebook = project.notebook(pipeline)
    try:
        declared = parameters.read(notebook)
        parameters.check(notebook, declared, dict(pipeline.parameters))
    except RunnerError as error:
        return str(error)
    needed = ("as_of", "experiment") if pipeline.period == "experiment" else ("as_of",)
    missing = [name for name in needed if name not in declared]
    return f"{notebook.name} has no parameter {missing[0]!r}, which carries the period." if missing else ""


def _plan(project: Project, now: datetime, environment: Mapping[str, str]) -> Iterator[Trouble]:
    library_of(project)
    ledger = Ledger.of(project)
    yield from _promises(project, ledger, now)
    yield from (Trouble(f"channel {channel}", why) for channel, why in unreachable(project, environment).items())
    yield from _rota(project, ledger, now)
    yield from _secrets(project)
    yield from _desk(project)
    ledger.close()


def _promises(project: Project, ledger: Ledger, now: datetime) -> Iterator[Trouble]:
    """Promises that the calendar, the inputs or the run times do not let us keep."""
    expected = {
        name: forecast(ledger.durations(name), assumed_of(pipeline, project.settings))
        for name, pipeline in project.pipelines.items()
    }
    timetable = timetable_of(project, begins_of(project))
    for problem in feasibility.problems(project.pipelines, project.settings, timetable, expected, now):
        yield Trouble(f"{problem.file}: {problem.key}", problem.what, problem.severe)


def _secrets(project: Project) -> Iterator[Trouble]:
    """Secrets that cannot be looked for in what is kept and sent: every figure could be one."""
    for name in project.censor.scanner.plain:
        what = f"{name}, or the password in it, is so short or plain that a report that shows it is not noticed."
        yield Trouble(f"secret {name}", f"{what} Choose a longer one.", severe=False)


def _desk(project: Project) -> Iterator[Trouble]:
    """A proxy in front whose word is not believed: all visitors come from one address, and share their limits."""
    if project.settings.desk.public and not project.settings.desk.proxies:
        what = "public is set without proxies: every visitor counts as one client, and all share its limits."
        yield Trouble("desk", f"{what} Name the proxy in desk.proxies of config/settings.yml.", severe=False)


def _rota(project: Project, ledger: Ledger, now: datetime) -> Iterator[Trouble]:
    """Gaps of the rota in the coming year; a warning is a note."""
    with ledger.read() as tx:
        rota = roster.rota_of(tx, project)
    for text in oncall.gaps(rota, now, now + AHEAD) if rota else ():
        yield Trouble("config/oncall.yml", text.removeprefix("Warning: "), severe=not text.startswith("Warning"))
