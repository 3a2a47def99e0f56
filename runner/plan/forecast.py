"""Run times to come from run times past: the latest safe start, and why a deadline is at risk before it passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from runner.config.files import Pipeline, Settings
from runner.plan.calendar import clock
from runner.plan.deadlines import limit_of

#: The share of past runs that a slow run is not shorter than, once there are many; of fewer it is the longest.
_SLOW_SHARE = 0.95
_MANY, _FEW = 20, 5
#: Of a handful of runs the longest says little: a slow one is taken to last so many times the usual.
_CAUTION = 1.5
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Forecast:
    """How long a run usually takes, and how long a slow one; `rests_on` so many past runs, 0 where it is assumed."""

    usual: timedelta
    slow: timedelta
    rests_on: int


@dataclass(frozen=True)
class Progress:
    """How far the work on one deadline is.

    started_at   when the run that is under way began
    next_try_at  when a failed run is tried again
    waits_for    titles of inputs that are not there yet
    tries        runs that were begun, the present one included
    """

    started_at: datetime | None = None
    next_try_at: datetime | None = None
    waits_for: tuple[str, ...] = ()
    tries: int = 0


def assumed_of(pipeline: Pipeline, settings: Settings) -> float:
    """Seconds that a run is taken to last without a history: `usual` of the entry, or a fifth of its limit."""
    return pipeline.usual or limit_of(pipeline, settings).total_seconds() / 5


def forecast(durations: Sequence[float], assumed: float) -> Forecast:
    """The forecast from past run times, or from an assumed one where there are none (both in seconds).

    Usual is the median. Slow is the 95th percentile, rounded up to a run that was; of fewer than 20 runs the longest;
    of fewer than 5 at least one and a half times the usual.
    """
    past = sorted(durations) or [assumed]
    usual = median(past)
    slow = past[-1] if len(past) < _MANY else past[math.ceil(_SLOW_SHARE * (len(past) - 1))]
    if len(past) < _FEW:
        slow = max(slow, _CAUTION * usual)
    return Forecast(timedelta(seconds=usual), timedelta(seconds=slow), len(durations))


def latest_safe_start(due_at: datetime, forecast: Forecast) -> datetime:
    """The last instant at which a run may begin so that even a slow one ends in time."""
    return due_at - forecast.slow


def risk(due_at: datetime, progress: Progress, forecast: Forecast, now: datetime, zone: ZoneInfo) -> str:
    """Why a report may not be there at `due_at`, in one sentence with local times; "" while all is well.

    `due_at` is the deadline's `due_at` or its `ready_at`. Once it has passed the report is late, no more at risk: "".
    A run that is to begin at the latest safe start must have begun before this is asked.
    """
    since = _at_risk_from(due_at, progress, forecast)
    if now >= due_at or (since is not None and now < since):
        return ""
    return _Words(due_at, progress, forecast, now, zone).why()


def next_risk_at(due_at: datetime, progress: Progress, forecast: Forecast, now: datetime) -> datetime | None:
    """The instant after `now` from which on risk() speaks if nothing changes; None if it does now or never will."""
    since = _at_risk_from(due_at, progress, forecast)
    return since if since is not None and now < since < due_at else None


def _at_risk_from(due_at: datetime, progress: Progress, forecast: Forecast) -> datetime | None:
    """From when on the deadline is at risk; None where it is already, whatever the time."""
    latest = latest_safe_start(due_at, forecast)
    begins = progress.started_at or progress.next_try_at
    if begins is not None and begins > latest:
        return None
    # A run longer than a slow one may hang: it is at risk once no other could take its place.
    return latest if progress.started_at is None else max(latest, progress.started_at + forecast.slow)


@dataclass(frozen=True)
class _Words:
    """Sentences about one deadline at risk."""

    due_at: datetime
    progress: Progress
    forecast: Forecast
    now: datetime
    zone: ZoneInfo

    def why(self) -> str:
        if self.progress.started_at is not None:
            return self._under_way(self.progress.started_at)
        if self.progress.next_try_at is not None:
            return self._tried_again(self.progress.next_try_at)
        start = self.clock(latest_safe_start(self.due_at, self.forecast))
        if self.progress.waits_for:
            titles = " and ".join(self.progress.waits_for)
            return f"It still waits for {titles} and had to begin by {start} to be ready by {self.due}."
        return f"It has not begun and had to begin by {start} to be ready by {self.due}."

    def _under_way(self, started: datetime) -> str:
        begun = f"The run began at {self.clock(started)}"
        if started > latest_safe_start(self.due_at, self.forecast):
            return f"{begun}, and if it is a slow one it ends at {self.end(started)}, after {self.due}."
        return f"{begun} and takes longer than the {words(self.forecast.slow)} of a slow run; due is {self.due}."

    def _tried_again(self, again: datetime) -> str:
        failed = f"{self.progress.tries} tries failed" if self.progress.tries > 1 else "The last try failed"
        if again > latest_safe_start(self.due_at, self.forecast):
            return f"{failed}, and the next, at {self.clock(again)}, may end at {self.end(again)}, after {self.due}."
        return f"{failed}, and the next, meant for {self.clock(again)}, has not begun; due is {self.due}."

    @property
    def due(self) -> str:
        return self.clock(self.due_at)

    def clock(self, moment: datetime) -> str:
        return clock(moment, self.zone, self.due_at)

    def end(self, start: datetime) -> str:
        """When a slow run ends that begins then; rounded up, so that an end after the deadline never reads like it."""
        return self.clock(start + self.forecast.slow + _MINUTE - timedelta.resolution)


def words(span: timedelta) -> str:
    """A length of time for people: `40 s`, `12 min`, `1 h 30 min`; minutes are rounded up."""
    seconds = span.total_seconds()
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min")) if n)
