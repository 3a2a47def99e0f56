"""Plans that cannot be kept, found before they are broken: what `runner check` says of promises, inputs and room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from runner.config.files import Pipeline, Settings
from runner.config.promise import When, parse
from runner.plan.calendar import clock, instant, local_day
from runner.plan.deadlines import Deadline, Timetable, attempt_of, deadlines_of, input_of, room_of
from runner.plan.forecast import Forecast, assumed_of, forecast, latest_safe_start, words

#: How far ahead a plan is tried out: two months hold every weekday, most kinds of holiday, often a change of clocks.
AHEAD = timedelta(days=60)
_FILE = "config/pipelines.yml"


@dataclass(frozen=True)
class Problem:
    """One thing that cannot be kept: where it stands, what it is and its remedy; severe if promises will be broken."""

    file: str
    key: str
    what: str
    severe: bool


def problems(
    pipelines: Mapping[str, Pipeline],
    settings: Settings,
    timetable: Timetable,
    forecasts: Mapping[str, Forecast],
    now: datetime,
) -> tuple[Problem, ...]:
    """What cannot be kept in the 60 days from `now`, pipeline by pipeline; a pipeline without forecast has none yet."""
    known = {
        name: forecasts.get(name) or forecast((), assumed_of(pipeline, settings))
        for name, pipeline in pipelines.items()
    }
    plan = _Plan(pipelines, settings, timetable, known, now)
    return tuple(problem for pipeline in pipelines.values() for problem in plan.problems(pipeline))


@dataclass(frozen=True)
class _Plan:
    pipelines: Mapping[str, Pipeline]
    settings: Settings
    timetable: Timetable
    forecasts: Mapping[str, Forecast]
    now: datetime

    def problems(self, pipeline: Pipeline) -> Iterator[Problem]:
        deadlines = deadlines_of(pipeline, self.settings, self.timetable, self.now, self.now + AHEAD)
        for name in pipeline.inputs:
            yield from self._input(pipeline, self.pipelines[name], deadlines)
        yield from self._room(pipeline)
        yield from self._data(pipeline, deadlines)

    def _input(self, pipeline: Pipeline, source: Pipeline, deadlines: tuple[Deadline, ...]) -> Iterator[Problem]:
        """The first time that an input is not ready when it is needed, and the first that it is not promised at all."""
        usable = [(d, input_of(d, pipeline, source, self.settings, self.timetable)) for d in deadlines]
        late = next(((d, i) for d, i in usable if i is not None and i.ready_at > self._latest(d)), None)
        never = next((d for d, i in usable if i is None), None)
        if late:
            yield _problem(pipeline, "inputs", self._too_late(*late))
        if never:
            yield _problem(pipeline, "inputs", _not_promised(source, never), severe=False)

    def _too_late(self, deadline: Deadline, source: Deadline) -> str:
        zone, beside = self.timetable.zone, deadline.ready_at
        latest = clock(self._latest(deadline), zone, beside)
        # ready_by is an hour of the day on which the input is due: it can mend nothing on another day
        mend = local_day(source.due_at, zone) == local_day(self._latest(deadline), zone)
        remedy = (
            f"Give {source.pipeline} a ready_by of {latest} or earlier"
            if mend
            else f"Promise {source.pipeline} earlier"
        )
        return (
            f"is to be ready at {clock(deadline.ready_at, zone, beside)} and rests on {source.pipeline}, which is "
            f"ready at {clock(source.ready_at, zone, beside)} (first: {deadline.text}). "
            f"{remedy}, or promise {deadline.pipeline} later."
        )

    def _latest(self, deadline: Deadline) -> datetime:
        return latest_safe_start(deadline.ready_at, self.forecasts[deadline.pipeline])

    def _room(self, pipeline: Pipeline) -> Iterator[Problem]:
        """Too little time between start and ready: for a slow run, for one attempt, or for all of them."""
        fetching = self.timetable.fetching
        room, within = room_of(pipeline, self.settings, fetching), parse(pipeline.deadline).within
        given = room if within is None else min(room, within)  # work cannot begin before the experiment
        needs = (
            (self.forecasts[pipeline.name].slow, "a slow run takes", True),
            (attempt_of(pipeline, self.settings, fetching), "one attempt may take", False),
            (room, "its room is", False),
        )
        for need, name, severe in needs:
            if given < need:
                key, remedy = ("room", "Give it a room") if given == room else ("deadline", "Promise a span")
                what = f"leaves {words(given)} for the work, and {name} {words(need)}."
                yield _problem(pipeline, key, f"{what} {remedy} of {_written(need)} or more.", severe=severe)
                return

    def _data(self, pipeline: Pipeline, deadlines: tuple[Deadline, ...]) -> Iterator[Problem]:
        """Work that begins before the time it reports is over. An experiment is reported from its first hour on."""
        if parse(pipeline.deadline).when is When.ELAPSED:
            return
        for deadline in deadlines:
            over = self._over(pipeline, deadline)
            if deadline.starts_at < over:
                yield _problem(pipeline, "room", self._too_early(pipeline, deadline, over))
                return

    def _over(self, pipeline: Pipeline, deadline: Deadline) -> datetime:
        """The midnight that ends the time reported."""
        back = deadline.as_of.weekday() if pipeline.period == "week" else -1
        return instant(deadline.as_of - timedelta(days=back), time(), self.timetable.zone)

    def _too_early(self, pipeline: Pipeline, deadline: Deadline, over: datetime) -> str:
        start = clock(deadline.starts_at, self.timetable.zone, deadline.ready_at)
        what = "week" if pipeline.period == "week" else "day"
        most = deadline.ready_at - over
        remedy = f"Give it a room of {_written(most)} or less, or promise it later." if most else "Promise it later."
        return f"begins at {start}, before the {what} that it reports is over (first: {deadline.text}). {remedy}"


def _not_promised(source: Pipeline, deadline: Deadline) -> str:
    return (
        f"rests on {source.name}, which is not promised for each of its dates (first: {deadline.text}). "
        f"Promise {source.name} for those too, or remove the input."
    )


def _written(span: timedelta) -> str:
    """A length of time as config/ takes it, one number and one unit; minutes are rounded up."""
    minutes = math.ceil(span / timedelta(minutes=1))
    return f"{minutes} min" if minutes % 60 else f"{minutes // 60} h"


def _problem(pipeline: Pipeline, key: str, what: str, *, severe: bool = True) -> Problem:
    return Problem(_FILE, f"pipelines.{pipeline.name}.{key}", what, severe)
