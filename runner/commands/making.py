"""Reports side by side: as many at once as settings allow, each after its inputs, each cancelled by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from runner.commands.signals import INTERRUPTED
from runner.errors import RunnerError
from runner.ledger import Ledger
from runner.model import Status
from runner.report.execute import Stop
from runner.report.produce import Ctx, Job, Made, Step, period_for, produce

#: Seconds between two looks whether somebody cancelled a run.
EAR = 0.5
_WORST = (INTERRUPTED, 1, 3, 0)


@dataclass(frozen=True)
class Tell:
    """Who hears that something has begun in a job, and how a job ended."""

    step: Callable[[Job, Step], None]
    made: Callable[[Job, Made], None]


def worst(all_made: Iterable[Made], stop: Stop) -> int:
    """The exit code of several reports."""
    codes = {INTERRUPTED} if stop.asked else {made.exit_code for made in all_made}
    return next(code for code in _WORST if code in codes)


def make_all(jobs: Sequence[Job], ctx: Ctx, tell: Tell) -> list[Made]:
    """Every job, at most `runs_at_once` at a time, in order but each after its inputs; the results in that order.

    A run that somebody cancels meanwhile ends within about a second.
    """
    done: dict[int, Made] = {}
    waiting = list(range(len(jobs)))
    running: dict[Future[Made], tuple[int, Stop]] = {}
    with ThreadPoolExecutor(ctx.project.settings.runs_at_once) as pool:
        while waiting or running:
            for number in [number for number in waiting if _is_ready(jobs[number], jobs, done)]:
                waiting.remove(number)
                stop = ctx.stop.child()
                running[pool.submit(_make, jobs[number], _own(jobs[number], ctx, stop, tell))] = number, stop
            finished, _ = wait(running, EAR, return_when=FIRST_COMPLETED)
            for future in finished:
                number, stop = running.pop(future)
                stop.close()
                done[number] = future.result()
                tell.made(jobs[number], done[number])
            for number, stop in running.values():
                _heed(jobs[number], stop, ctx.ledger)
    return [done[number] for number in range(len(jobs))]


def _is_ready(job: Job, jobs: Sequence[Job], done: dict[int, Made]) -> bool:
    """Whether all that a job rests on has ended: its inputs for its own day, and for the days before as they record."""
    return all(
        number in done or other.pipeline.name not in job.pipeline.inputs or other.as_of > job.as_of
        for number, other in enumerate(jobs)
    )


def _own(job: Job, ctx: Ctx, stop: Stop, tell: Tell) -> Ctx:
    return replace(ctx, stop=stop, tell=lambda step: tell.step(job, step))


def _heed(job: Job, stop: Stop, ledger: Ledger) -> None:
    from runner.scheduler.crew import heed  # noqa: PLC0415 - by now a notebook runs, and there is time

    heed(ledger, job.pipeline.name, period_for(job).key, stop)


def _make(job: Job, ctx: Ctx) -> Made:
    """One report; an error of its own never reaches the others."""
    if ctx.stop.asked:
        return Made(job.pipeline.name, job.as_of, Status.INTERRUPTED, "It was not begun.", "Run it again.", exit_code=1)
    try:
        return produce(job, ctx)
    except RunnerError as error:
        return Made(job.pipeline.name, job.as_of, Status.FAILED, error.what, error.remedy, error.trouble, exit_code=1)
    except Exception as error:  # noqa: BLE001 - a fault of ours (a full disk, say) ends this report alone
        what = f"The runner itself failed: {type(error).__name__}: {error}"
        return Made(job.pipeline.name, job.as_of, Status.FAILED, what, "Please report it.", exit_code=1)
