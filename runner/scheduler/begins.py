"""Experiments and when they begin: from the warehouse's table, or from config/experiments.yml."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from runner.config import WAREHOUSE, Project
from runner.config.promise import When, parse
from runner.config.values import local_time, wall_time
from runner.plan.calendar import instant
from runner.plan.deadlines import Begin


def begins_of(project: Project) -> tuple[Begin, ...]:
    """Every experiment with the instant of its begin, in order; nothing where no pipeline is about their starts.

    The table knows the day; the time of day is `begin_at` of config/experiments.yml, or the experiment's own `begins`.
    Raises ReportStopped when the warehouse cannot be had.
    """
    wanted = [p for p in project.pipelines.values() if parse(p.deadline).when is When.ELAPSED]
    if not wanted:
        return ()
    at = wall_time(project.experiments.begin_at)
    zone = ZoneInfo(project.settings.time_zone)
    days = _table(project) if any(WAREHOUSE in pipeline.sources for pipeline in wanted) else {}
    found = {name: instant(day, at, zone) for name, day in days.items()}
    for name, design in project.experiments.experiments.items():
        if design.begins is not None:
            local = local_time(design.begins)
            found[name] = instant(local.date(), local.time(), zone)
    return tuple(Begin(name, begin) for name, begin in sorted(found.items(), key=lambda item: (item[1], item[0])))


def _table(project: Project) -> dict[str, date]:
    from runner.notebook import warehouse  # noqa: PLC0415 - brings the database with it

    path = warehouse.prepare(project.folder, Path(project.settings.warehouse))
    with warehouse.connect(path, date.max) as connection:
        rows = connection.execute("SELECT experiment, starts_on FROM experiments").fetchall()
    return {str(experiment): day for experiment, day in rows}
