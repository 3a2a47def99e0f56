"""A wish for one report, and how it is found to be in order before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from runner.config import Pipeline, Project
from runner.errors import ConfigError, UsageError
from runner.plan.periods import Period, period_of
from runner.report import inputs, parameters
from runner.report.parameters import Parameter
from runner.report.supply import Supply

#: Years that a report can be about; outside them calendars and time stamps of files give out.
EARLIEST, LATEST = 1980, 2200


@dataclass(frozen=True)
class Job:
    """A wish for one report: of what, for when, and with which words from the command line."""

    pipeline: Pipeline
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    deliver: bool = True


@dataclass(frozen=True)
class Plan:
    """A job found to be in order, before anything is started."""

    job: Job
    period: Period
    values: Mapping[str, Any]
    supply: Supply = field(default_factory=Supply)  # what was fetched for it

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the job."""
        return self.job.pipeline


def check(job: Job, project: Project) -> Plan:
    """The job with its period and the notebook's parameters, all found to fit. Raises UsageError, ConfigError."""
    notebook = project.notebook(job.pipeline)
    declared = inputs.remembered(parameters.read, notebook)
    period, carried = _about(job)
    for name in carried:
        if name not in declared:
            raise ConfigError(
                f"{notebook.name} has no parameter {name!r}, which carries the period of {job.pipeline.name}.",
                f'Add to its parameters cell: {name}: {"date" if name == "as_of" else "str"!r} = "…"',
            )
        if name in job.texts:
            raise UsageError(f"{name!r} is not given with -p.", f"Use --{name.replace('_', '-')}.")
    given = parameters.convert(notebook, declared, {**carried, **job.texts})
    return Plan(job, period, {**_configured(job.pipeline, notebook, declared), **given})


def _configured(pipeline: Pipeline, notebook: Path, declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters that pipelines.yml fixes."""
    try:
        return dict(parameters.check(notebook, declared, dict(pipeline.parameters)))
    except UsageError as error:
        raise ConfigError(f"config/pipelines.yml: pipelines.{pipeline.name}.parameters: {error}") from error


def period_for(job: Job) -> Period:
    """What a job is about. Raises UsageError when its words do not say."""
    return _about(job)[0]


def _about(job: Job) -> tuple[Period, dict[str, str]]:
    """The period, and the texts of the parameters that carry it."""
    day = day_of(job.as_of)
    if job.pipeline.period != "experiment":
        if job.experiment is not None:
            raise UsageError(
                f"{job.pipeline.name} is not about an experiment.",
                "Name no experiment.",
                typed="Leave --experiment out.",
            )
        return period_of(job.pipeline.period, day), {"as_of": job.as_of}
    experiment = str(job.experiment if job.experiment is not None else job.pipeline.experiment)
    if (
        len(experiment) > 64
        or not all(letter.isalnum() or letter in "._-" for letter in experiment)
        or not experiment.strip(".")
    ):
        raise UsageError(f"No experiment is called {experiment!r}.", "Use up to 64 letters, digits, . _ and -.")
    return period_of("experiment", day, experiment), {"as_of": job.as_of, "experiment": experiment}


def day_of(text: str) -> date:
    """The day that a report is about. Raises UsageError when the text is none, or none that can be reported."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not EARLIEST <= day.year <= LATEST:
        raise UsageError(f"--as-of {text!r} is not a day.", "Write it like 2017-11-15.")
    return day


def epoch(plan: Plan) -> int:
    """The as-of day's midnight as Unix seconds: the time stamp in files, so that equal reports are equal bytes."""
    return int(datetime.combine(day_of(plan.job.as_of), datetime.min.time(), UTC).timestamp())
