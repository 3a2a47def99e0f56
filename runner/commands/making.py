"""Reports side by side: as many at once as settings allow, each after its inputs, each ending by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from runner.commands.signals import INTERRUPTED
from runner.commands.turns import Turns, rests_on
from runner.errors import ConfigError, RunnerError, UsageError
from runner.model import Status
from runner.report.draft import Ctx, Made, Step
from runner.report.execute import Stop
from runner.report.job import Job, check, period_for
from runner.report.produce import produce
from runner.report.warming import breed_of
from runner.screen import Screen
from runner.warm.client import prestart

#: Seconds between two looks whether somebody cancelled a run.
EAR = 0.5
_WORST = (INTERRUPTED, 1, 3, 0)
#: Jobs of one pipeline that are looked at before all of them are refused.
_SAMPLE = 3
#: Jobs that are looked at before it is clear whether a kernel will be wanted.
_LOOKED_AT = 10


def _nobody(_: Job) -> None:
    return None


@dataclass(frozen=True)
class Tell:
    """Who hears that something has begun in a job, how a job ended, and that it has got its place."""

    step: Callable[[Job, Step], None]
    made: Callable[[Job, Made], None]
    begun: Callable[[Job], None] = _nobody


def told_on(screen: Screen, jobs: Iterable[Job], *, as_json: bool) -> Tell:
    """Tell it on a screen: a person sees which of several of one pipeline it is, a program has that in fields."""
    if as_json:
        return Tell(
            lambda job, step: screen.line({"event": "step", **vars(step), **_fields(job)}, ""),
            lambda _, made: screen.made(made),
        )
    several = Counter(job.pipeline.name for job in jobs)

    def name(job: Job) -> str:
        about = "" if several[job.pipeline.name] == 1 else f" {job.experiment or job.as_of}"
        return f"{job.pipeline.name}{about}"

    return Tell(
        lambda job, step: screen.step(replace(step, pipeline=name(job))),
        lambda job, made: screen.made(replace(made, pipeline=name(job))),
        lambda job: screen.begun(name(job)),
    )


def _fields(job: Job) -> Mapping[str, str]:
    return {"as_of": job.as_of} | ({"experiment": job.experiment} if job.experiment is not None else {})


def worst(all_made: Iterable[Made], stop: Stop) -> int:
    """The exit code of several reports."""
    codes = {INTERRUPTED} if stop.asked else {made.exit_code for made in all_made}
    return next(code for code in _WORST if code in codes)


def refuse(jobs: Iterable[Job], ctx: Ctx, *, lenient: bool = False) -> None:
    """Refuse a wish that cannot be begun at all: raises UsageError or ConfigError before anything is started.

    Jobs of one pipeline share notebook and words, so a few of them tell for all; one that is off by itself is told at
    its turn, and the others are made. `lenient` leaves a pipeline that is misconfigured to its turn as well.
    """
    samples: dict[str, list[Job]] = {}
    for job in jobs:
        sample = samples.setdefault(job.pipeline.name, [])
        if len(sample) < _SAMPLE:
            sample.append(job)
    for sample in samples.values():
        try:
            _one_fits(sample, ctx)
        except UsageError:
            raise
        except ConfigError:
            if not lenient:
                raise


def _one_fits(sample: Sequence[Job], ctx: Ctx) -> None:
    errors: list[UsageError | ConfigError] = []
    for job in sample:
        try:
            check(job, ctx.project)
        except (UsageError, ConfigError) as error:
            errors.append(error)
        else:
            return
    raise errors[0]


# Making.


def warm_up(jobs: Sequence[Job], ctx: Ctx) -> None:
    """Have the warm parent begin while all else is looked at, if a kernel will be wanted: something was never made."""
    if not ctx.project.settings.warm_kernels:
        return
    if any(job.again or not ctx.ledger.runs(job.pipeline.name, period_for(job).key) for job in jobs[:_LOOKED_AT]):
        prestart(breed_of(ctx.project.folder))


def make_all(jobs: Sequence[Job], ctx: Ctx, tell: Tell) -> list[Made]:
    """Every job, at most as many at a time as there are seats, in order but each after its inputs.

    The results stand in that order. Nothing else of a job that has ended is kept. A run that somebody cancels meanwhile
    ends within about a second; when all are asked to end, those that have not begun never do.
    """
    done: dict[int, Made] = {}
    seats = ctx.project.settings.seats
    turns, ear = Turns(rests_on(jobs), len(jobs), seats), _Ear(ctx)
    with ThreadPoolExecutor(seats) as pool:
        floor = _Floor(jobs, ctx, tell, pool)
        while floor.begin(turns.begin()):
            ended = floor.ended()
            for number in ended:
                turns.ended(number)
            floor.begin(turns.begin())  # the free seats first, then words
            for number, made in ended.items():
                tell.made(jobs[number], made)
            done |= ended
            ear.listen(floor.running.values())
    return [done[number] for number in range(len(jobs))]


class _Floor:
    """Where jobs are at work, each with a stop of its own."""

    def __init__(self, jobs: Sequence[Job], ctx: Ctx, tell: Tell, pool: ThreadPoolExecutor) -> None:
        self._jobs, self._ctx, self._tell, self._pool = jobs, ctx, tell, pool
        self.running: dict[Future[Made], tuple[int, Job, Stop]] = {}

    def begin(self, numbers: Iterable[int]) -> int:
        """Set jobs to work; how many are at work now."""
        for number in numbers:
            job, stop = self._jobs[number], self._ctx.stop.child()
            if not stop.asked:
                self._tell.begun(job)
            self.running[self._pool.submit(_make, job, self._own(job, stop))] = number, job, stop
        return len(self.running)

    def _own(self, job: Job, stop: Stop) -> Ctx:
        return replace(self._ctx, stop=stop, tell=lambda step: self._tell.step(job, step))

    def ended(self) -> dict[int, Made]:
        """Those that have ended since, by number. Waits for the first, and for half a second at most."""
        finished, _ = wait(self.running, EAR, return_when=FIRST_COMPLETED)
        found = {}
        for future in finished:
            number, _, stop = self.running.pop(future)
            stop.close()
            found[number] = future.result()
        return dict(sorted(found.items()))


class _Ear:
    """Hears of cancellations: by one look each half second, however many reports end in between."""

    def __init__(self, ctx: Ctx) -> None:
        self._ctx, self._next = ctx, ctx.clock.now()

    def listen(self, running: Iterable[tuple[int, Job, Stop]]) -> None:
        """Ask those to end that somebody cancelled. A ledger that is away for a moment must not end them all."""
        now = self._ctx.clock.now()
        if now < self._next:
            return
        self._next = now + timedelta(seconds=EAR)
        for _, job, stop in running:
            with suppress(sa.exc.SQLAlchemyError, UsageError):
                _heed(job, stop, self._ctx)


def _heed(job: Job, stop: Stop, ctx: Ctx) -> None:
    from runner.scheduler.crew import heed  # noqa: PLC0415 - by now a notebook runs, and there is time

    heed(ctx.ledger, job.pipeline.name, period_for(job).key, stop)


def _make(job: Job, ctx: Ctx) -> Made:
    """One report; an error of its own never reaches the others."""
    if ctx.stop.asked:
        return _ended(job, Status.INTERRUPTED, "It was not begun.", "Run it again.")
    clean = ctx.project.censor.redact
    try:
        made = produce(job, ctx)
        return replace(made, message=clean(made.message), remedy=clean(made.remedy))
    except RunnerError as error:
        return replace(_ended(job, Status.FAILED, clean(error.what), clean(error.remedy)), trouble=error.trouble)
    except Exception as error:  # noqa: BLE001 - a fault of ours (a full disk, say) ends this report alone
        what = clean(f"The runner itself failed: {type(error).__name__}: {error}")
        return _ended(job, Status.FAILED, what, "Please report it.")


def _ended(job: Job, status: Status, what: str, remedy: str) -> Made:
    """The end of a job of which there is no run."""
    try:
        period = period_for(job).key
    except UsageError:
        period = job.as_of
    return Made(job.pipeline.name, period, status, what, remedy, exit_code=1)
