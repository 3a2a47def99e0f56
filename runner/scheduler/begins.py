"""Experiments and when they begin: from the warehouse's table, or from config/experiments.yml."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from runner.config import WAREHOUSE, Pipeline, Project
from runner.config.promise import When, parse
from runner.config.values import local_time, wall_time
from runner.notebook import warehouse
from runner.plan.calendar import instant
from runner.plan.deadlines import Begin


def begins_of(project: Project) -> tuple[Begin, ...]:
    """Every experiment with the instant of its begin, in order; nothing where no pipeline is about their starts.

    The table knows the day; the time of day is `begin_at` of config/experiments.yml, or the experiment's own `begins`.
    Raises ReportStopped when the warehouse cannot be had.
    """
    wanted = [p for p in project.pipelines.values() if parse(p.deadline).when is When.ELAPSED]
    return experiments_of(project, wanted) if wanted else ()


def experiments_of(project: Project, about: Sequence[Pipeline]) -> tuple[Begin, ...]:
    """Every experiment that pipelines may be about, whatever they promise. Raises ReportStopped as `begins_of` does."""
    at = wall_time(project.experiments.begin_at)
    zone = ZoneInfo(project.settings.time_zone)
    days = _table(project) if any(WAREHOUSE in pipeline.sources for pipeline in about) else {}
    found = {name: instant(day, at, zone) for name, day in days.items()}
    for name, design in project.experiments.experiments.items():
        if design.begins is not None:
            local = local_time(design.begins)
            found[name] = instant(local.date(), local.time(), zone)
    return tuple(Begin(name, begin) for name, begin in sorted(found.items(), key=lambda item: (item[1], item[0])))


def _table(project: Project) -> dict[str, date]:
    """The day of each experiment's begin, from beside the warehouse while it is the same file, else from within."""
    path = warehouse.prepare(project.folder, Path(project.settings.warehouse))
    aside = path.with_suffix(".begins.json")
    stamp = warehouse.stamp_of(path, warehouse.fingerprint(project.folder))
    known = _kept(aside, stamp)
    if known is None:
        known = _asked(path)
        _keep(aside, stamp, known)
    return {name: date.fromisoformat(day) for name, day in known.items()}


def _asked(path: Path) -> dict[str, str]:
    with warehouse.connect(path, date.max) as connection:
        rows = connection.execute("SELECT experiment, starts_on FROM experiments").fetchall()
    return {str(experiment): day.isoformat() for experiment, day in rows}


def _kept(aside: Path, stamp: str) -> dict[str, str] | None:
    """What was written down of the warehouse with this stamp; None where nothing was, or not to its end."""
    try:
        said = json.loads(aside.read_text(encoding="utf-8"))
        return dict(said["begins"]) if said["stamp"] == stamp else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(aside: Path, stamp: str, begins: dict[str, str]) -> None:
    half = aside.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):  # it saves time, and no more: a folder that takes no files has its table all the same
        try:
            half.write_text(json.dumps({"stamp": stamp, "begins": begins}), encoding="utf-8")
            half.replace(aside)
        finally:
            half.unlink(missing_ok=True)
