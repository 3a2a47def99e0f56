"""One deadline as it stands in the book -> what is seen of it. Pure but for its arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.plan.calendar import clock
from runner.plan.forecast import Forecast, Progress, next_risk_at, risk, words
from runner.plan.incidents import Sighting, State
from runner.scheduler.work import STUCK

#: Nobody is told that a report has not started before it should have started so long ago.
GRACE = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
#: How an input may stand that comes by itself.
_GOING = frozenset({"under way", "not started", "trying again", "interrupted"})


@dataclass(frozen=True)
class Circumstances:
    """What else is known: inputs that are not there yet (title, why), the forecast, those who wait for this one."""

    waits_for: tuple[tuple[str, str], ...]
    forecast: Forecast
    zone: ZoneInfo
    rests_on_it: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """The inputs by their titles."""
        return tuple(title for title, _ in self.waits_for)


def sight(owed: Owed, around: Circumstances, now: datetime) -> Sighting:
    """What is seen of a deadline at an instant."""
    if owed.state is not Owing.OPEN:
        return _over(owed, around)
    late = now >= owed.deadline.due_at
    failed = _ended_badly(owed)
    if failed is not None:
        return _late(owed, failed, around) if late else failed
    if late:
        return _late(owed, Sighting(cause=_cause(owed, around), sentence=_standing(owed, around)), around)
    return _early(owed, around, now)


def attempt_of(owed: Owed) -> str:
    """The attempt whose trouble is seen: another one is new trouble, though it looks the same."""
    return f"{owed.attempts} {owed.run or ''}".strip()


def next_change(owed: Owed, around: Circumstances, now: datetime) -> datetime | None:
    """The next instant after now at which something else would be seen if nothing happens."""
    deadline = owed.deadline
    times = [deadline.due_at, deadline.ready_at, owed.next_try_at]
    if owed.holder is None and not owed.attempts:
        times.append(deadline.starts_at + GRACE)
    progress = _progress(owed, around)
    times += [next_risk_at(target, progress, around.forecast, now) for target in (deadline.ready_at, deadline.due_at)]
    later = [at for at in times if at is not None and at > now]
    return min(later, default=None)


def _over(owed: Owed, around: Circumstances) -> Sighting:
    if owed.state is Owing.WITHDRAWN:
        return Sighting(over="missed", sentence="The plan was changed: it is not owed any more.")
    if owed.state is not Owing.MET or owed.ended_at is None:
        return Sighting(over="missed", sentence="It was given up: it would be of no use any more.")
    at, due = clock(owed.ended_at, around.zone, owed.deadline.due_at), owed.deadline.due_at
    if owed.ended_at <= due:
        return Sighting(over="met", sentence=f"Delivered at {at}, in time.")
    late = owed.ended_at - due
    if late >= _MINUTE:
        late -= late % _MINUTE  # cut down, as in every message
    return Sighting(over="met", sentence=f"Delivered at {at}, {words(late)} late.")


def _ended_badly(owed: Owed) -> Sighting | None:
    """The last attempt ended in a way that no retry mends, or no attempt is left; or readers lack what is ready."""
    if owed.outcome == STUCK:  # also while it is tried again: that somebody must look is told once, and stays so
        return Sighting(State.FAILED, owed.outcome, owed.message or "The report is ready and its readers lack it.")
    if owed.holder is not None or not owed.outcome or owed.next_try_at is not None:
        return None
    if owed.outcome == "held":
        return Sighting(State.HELD, "", owed.message or "A check has doubts; a person decides.")
    tries = f" after {owed.attempts} attempts" if owed.attempts > 1 else ""
    said = owed.message or f"The report was {owed.outcome}."
    return Sighting(
        State.FAILED, "" if owed.outcome == "failed" else owed.outcome, f"{said}{tries and f' ({tries.strip()})'}"
    )


def _late(owed: Owed, seen: Sighting, around: Circumstances) -> Sighting:
    cause = seen.cause or (str(seen.state) if seen.state else "")
    due = clock(owed.deadline.due_at, around.zone, owed.deadline.due_at)
    return replace(
        seen,
        state=State.LATE,
        cause=cause,
        late=True,
        sentence=f"It was due at {due} and is not there. {seen.sentence}",
    )


def _cause(owed: Owed, around: Circumstances) -> str:
    if owed.holder is not None:
        return "under way"
    if around.waits_for:
        return "waiting"
    return "not started" if not owed.attempts else "trying again"


def _standing(owed: Owed, around: Circumstances) -> str:
    """How far the work is, in one sentence."""
    zone, due = around.zone, owed.deadline.due_at
    if owed.holder is not None and owed.held_since is not None:
        return f"A run is under way since {clock(owed.held_since, zone, due)}."
    if around.waits_for:
        return "It waits for " + " and ".join(f"{title} ({why})" for title, why in around.waits_for) + "."
    if not owed.attempts:
        return f"It should have started at {clock(owed.deadline.starts_at, zone, due)} and has not started."
    again = f" The next try is at {clock(owed.next_try_at, zone, due)}." if owed.next_try_at else ""
    return f"{owed.message or 'The last attempt failed.'}{again}"


def _early(owed: Owed, around: Circumstances, now: datetime) -> Sighting:
    """Before the due time: at risk, not started, or well."""
    deadline, progress = owed.deadline, _progress(owed, around)
    ready = deadline.ready_at < deadline.due_at
    said = risk(deadline.due_at, progress, around.forecast, now, around.zone)
    if not said and ready:
        said = _wanted(owed, around, now) or risk(deadline.ready_at, progress, around.forecast, now, around.zone)
    if said:
        return Sighting(State.AT_RISK, _cause(owed, around), f"{said}{_because(owed)}")
    stuck = [f"{title} ({why})" for title, why in around.waits_for if why not in _GOING]
    if stuck:  # it will not come by itself: whoever reads this has until the deadline
        return Sighting(State.AT_RISK, _cause(owed, around), f"It waits for {' and '.join(stuck)}.")
    idle = owed.holder is None and not owed.attempts and not owed.outcome and not around.waits_for
    if idle and now >= deadline.starts_at + GRACE:
        return Sighting(State.NOT_STARTED, "", _standing(owed, around))
    return Sighting()


def _because(owed: Owed) -> str:
    return f" {owed.message}" if owed.holder is None and owed.attempts and owed.message else ""


def _wanted(owed: Owed, around: Circumstances, now: datetime) -> str:
    """The hour that we hold ourselves to has passed, though not the promise."""
    deadline = owed.deadline
    if now < deadline.ready_at:
        return ""
    at = clock(deadline.ready_at, around.zone, deadline.due_at)
    rests = f", because {' and '.join(around.rests_on_it)} rests on it" if around.rests_on_it else ""
    return f"It was to be ready by {at}{rests}, and is not. {_standing(owed, around)}"


def _progress(owed: Owed, around: Circumstances) -> Progress:
    started = owed.held_since if owed.holder is not None else None
    again = owed.next_try_at if started is None and owed.attempts else None
    return Progress(started, again, around.titles, owed.attempts)
