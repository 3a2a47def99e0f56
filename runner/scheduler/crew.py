"""Those who make reports: one thread for each attempt, each with its own stop, and an ear for cancellations."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from runner.errors import RunnerError
from runner.ledger import Ledger, Taken, journal
from runner.model import Status
from runner.report.draft import Ctx, Made
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import produce, resume
from runner.scheduler.office import Done, Order


def heed(ledger: Ledger, pipeline: str, period: str, stop: Stop) -> bool:
    """Ask a run to end if somebody cancelled it; whether somebody did."""
    run = ledger.making(pipeline, period)
    if run is None:
        return False
    with ledger.read() as tx:
        wish = journal.cancelled(tx, run.run)
    if wish is not None:
        stop.ask()
    return wish is not None


@dataclass
class _Shift:
    """One attempt under way."""

    order: Order
    stop: Stop
    thread: threading.Thread
    cancelled: bool = False


class Threads:
    """A crew of threads in this process. `ctx.stop` ends them all.

    `select` may wait on it: it can be read once an attempt has ended, until `finished` is asked.
    """

    def __init__(self, ctx: Ctx) -> None:
        self._ctx = ctx
        self._at_work: dict[str, _Shift] = {}
        self._ended: queue.SimpleQueue[tuple[str, Made | Exception, datetime]] = queue.SimpleQueue()
        self._read, self._write = os.pipe()  # a byte for each that ended
        os.set_blocking(self._read, False)
        weakref.finalize(self, _close, self._read, self._write)

    def fileno(self) -> int:
        """A descriptor that can be read once an attempt has ended."""
        return self._read

    @property
    def busy(self) -> tuple[Order, ...]:
        """The attempts that are under way."""
        return tuple(shift.order for shift in self._at_work.values())

    def start(self, order: Order, now: datetime) -> None:  # noqa: ARG002 - a simulated crew needs it
        """Begin one attempt in a thread of its own."""
        stop = self._ctx.stop.child()
        thread = threading.Thread(target=self._make, args=(order, stop), name=order.token, daemon=True)
        self._at_work[order.token] = _Shift(order, stop, thread)
        thread.start()

    def _make(self, order: Order, stop: Stop) -> None:
        deadline = order.deadline
        pipeline = self._ctx.project.pipelines[deadline.pipeline]
        job = Job(pipeline, deadline.as_of.isoformat(), deadline.experiment, again=order.again)
        try:
            ctx = replace(self._ctx, stop=stop)
            made: Made | Exception = resume(order.run, job, ctx) if order.run else produce(job, ctx)
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempt has ended and must be told
            made = error
        # The instant of the end, not that of the look which finds it: a second may be the difference to late.
        self._ended.put((order.token, made, self._ctx.clock.now()))
        os.write(self._write, b".")

    def finished(self, now: datetime) -> tuple[Done, ...]:  # noqa: ARG002 - a simulated crew needs it
        """The attempts that ended since this was asked last. Asks those to end that somebody cancelled."""
        for shift in self._at_work.values():
            shift.cancelled = shift.cancelled or heed(self._ctx.ledger, *shift.order.deadline.key, shift.stop)
        with suppress(BlockingIOError):  # nobody ended
            os.read(self._read, 65536)
        ended = []
        while not self._ended.empty():
            token, made, at = self._ended.get()
            shift = self._at_work.pop(token)
            shift.thread.join()
            shift.stop.close()
            ended.append(_done(shift, made, at))
        return tuple(ended)

    def next_end(self) -> datetime | None:
        """Nobody knows."""
        return None

    def durations(self, pipeline: str) -> tuple[float, ...]:
        """Seconds that past runs of a pipeline took, newest first."""
        return self._ctx.ledger.durations(pipeline)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _done(shift: _Shift, made: Made | Exception, now: datetime) -> Done:
    if isinstance(made, Made):
        done = Done(shift.order, made.status, now, made.message, made.trouble, made.run, passing=made.passing)
        return replace(done, cancelled=shift.cancelled and made.status is Status.INTERRUPTED)
    if isinstance(made, RunnerError):
        return Done(shift.order, Status.FAILED, now, made.what, made.trouble, later=isinstance(made, Taken))
    return Done(shift.order, Status.FAILED, now, f"The runner itself failed: {type(made).__name__}: {made}.")
