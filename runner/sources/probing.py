"""Whether sources answer: all asked at once, each within its time, and what their past says of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from runner.errors import SourceFailed, Trouble
from runner.ledger.sources import Probe
from runner.sources.inquiry import Place
from runner.sources.limit import within

#: Seconds that a source has beyond its own time-out before it is left alone: it bounds itself, and this is the fence.
GRACE = 1.0
#: Who asked, where it was no run.
PROBE = "probe"
#: A failure after which nothing was heard for so long stands.
SETTLED = timedelta(minutes=1)


def probe(places: Sequence[Place], now: datetime, clock: Callable[[], float] = time.monotonic) -> tuple[Probe, ...]:
    """Ask every place at once whether it answers and lets us in; as long as the slowest, which is bounded."""
    if not places:
        return ()
    with ThreadPoolExecutor(len(places), "probe") as threads:
        return tuple(threads.map(lambda place: _asked(place, now, clock), places))


def _asked(place: Place, now: datetime, clock: Callable[[], float]) -> Probe:
    left, began = place.config.timeout, clock()
    trouble, message = None, ""
    try:
        within(left + GRACE, lambda: place.source.probe(left))
    except SourceFailed as error:
        trouble, message = error.trouble, error.what
    except TimeoutError:
        trouble, message = Trouble.SOURCE_UNAVAILABLE, f"{place.config.title} did not answer within {left:.3g} s."
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the source does not serve us
        # Its words may hold an address with a password; its name holds none.
        trouble = Trouble.SOURCE_UNAVAILABLE
        message = f"{place.config.title} could not be asked: {type(error).__name__}."
    return Probe(place.name, now, clock() - began, trouble, message)


@dataclass(frozen=True)
class Health:
    """How a source is and was: its last answer, the median seconds and the failures of the last `asked` ones."""

    source: str
    title: str
    last: Probe | None = None
    asked: int = 0
    failures: int = 0
    median: float | None = None
    down_at: datetime | None = None  # when it failed last

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was asked last."""
        return self.last is not None and self.last.trouble is None


def health(source: str, title: str, past: Sequence[Probe]) -> Health:
    """What the answers of a source, newest first, say of it."""
    failed = [one for one in past if one.trouble is not None]
    answered = [one.seconds for one in past if one.trouble is None]
    return Health(
        source,
        title,
        past[0] if past else None,
        len(past),
        len(failed),
        median(answered) if answered else None,
        failed[0].at if failed else None,
    )


def down(past: Sequence[Probe], now: datetime) -> Probe | None:
    """The answer by which somebody must know that a source does not serve us; None where all is well.

    `past` is newest first. What may pass by itself must have happened twice in a row, or be older than a minute, for
    whoever asked may be about to ask again. A source with old data answers. Where a run met another schema, only
    another run can find that it is mended: a probe reads nothing.
    """
    met = next((one for one in past if one.by != PROBE), None)
    if met is not None and met.trouble is Trouble.SCHEMA_CHANGED:
        return met
    last = past[0] if past else None
    if last is None or last.trouble is None or last.trouble is Trouble.DATA_INCOMPLETE:
        return None
    twice = any(one.trouble for one in past[1:2]) or now - last.at >= SETTLED
    return last if twice or not last.trouble.retry else None
