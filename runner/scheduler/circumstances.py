"""What else must be known to see how a deadline stands: its inputs, those who wait for it, how long a run takes."""

from __future__ import annotations

from runner.ledger.deadlines import Owed
from runner.plan.forecast import Forecast, assumed_of, forecast
from runner.scheduler import work
from runner.scheduler.office import Office
from runner.scheduler.sightings import Circumstances
from runner.scheduler.work import Inputs


def circumstances(office: Office, owed: Owed, inputs: Inputs) -> Circumstances:
    """What else must be known to see how a deadline stands."""
    name = owed.deadline.pipeline
    rests = tuple(pipeline.title for pipeline in office.project.resting_on(name))
    return Circumstances(work.waits_for(office, owed, inputs), forecast_of(office, name), office.zone, rests)


def forecast_of(office: Office, name: str) -> Forecast:
    """How long a run takes, from this pipeline's own history."""
    key = f"durations of {name}"
    if key not in office.notes:
        pipeline = office.project.pipelines.get(name)
        assumed = assumed_of(pipeline, office.project.settings) if pipeline else office.project.settings.run_limit
        office.notes[key] = forecast(office.crew.durations(name), assumed)
    known: Forecast = office.notes[key]
    return known
