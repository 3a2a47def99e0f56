"""Emergency drills: held, shown as they go, and recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from runner.commands.signals import INTERRUPTED, heard
from runner.config import Project
from runner.delivery.alerts import span
from runner.delivery.channels import Channels
from runner.ledger import Ledger, duties
from runner.report.draft import Clock
from runner.report.execute import Stop
from runner.scheduler import drill, faults
from runner.scheduler.drill import Desk, Outcome, Wish
from runner.screen import Screen, screen_for


def hold(project: Project, wish: Wish, now: datetime, *, as_json: bool) -> int:
    """Hold a drill and record it; 0 when somebody was told, everybody was reached and the report was made."""
    screen, clock, ledger = screen_for(as_json=as_json, total=0), Clock(now), Ledger.of(project)

    def say(kind: str, text: str, fields: Mapping[str, Any]) -> None:
        screen.line({"event": kind, "text": text, **fields}, text)
        if kind == "told" and not wish.unattended and not as_json:
            for line in _what_to_do(fields, wish):
                screen.say(line)

    try:
        with heard(Stop()) as stop:
            outcome = drill.hold(wish, Desk(project, ledger, Channels(project, os.environ), clock, stop, say))
            counts = record(outcome, ledger, project, clock.now())
    finally:
        ledger.close()
    if as_json:
        screen.line({"event": "drill", **outcome.as_dict(), **counts.as_dict()}, "")
    else:
        _show(screen, outcome, project, counts)
    return INTERRUPTED if stop.asked else int(bool(outcome.failed))


@dataclass(frozen=True)
class Counts:
    """Which period of the duty to hold drills a drill is the evidence of, or why it is that of none."""

    period: str = ""
    why_not: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        duty = {"duty": drill.DUTY, "period": self.period} if self.period else None
        return {"evidence_of_duty": bool(self.period), "duty": duty, "why_not": self.why_not}


def record(outcome: Outcome, ledger: Ledger, project: Project, now: datetime) -> Counts:
    """Note a drill in the real ledger, and say what it counts for."""
    with ledger.read() as tx:
        open_ = [task.due.period for task in duties.waiting(tx, now) if task.due.duty == drill.DUTY]
    if drill.record(outcome, ledger, project, now):
        return Counts(period=open_[0])
    return Counts(why_not=_why_not(outcome, project))


def _why_not(outcome: Outcome, project: Project) -> str:
    if outcome.failed:
        return "it failed"
    if outcome.unattended:
        return "it was unattended, so nobody was drilled"
    if drill.DUTY not in project.duties:
        return f"config/duties.yml has no duty named {drill.DUTY!r}"
    return "no period of that duty is open now"


def _what_to_do(fields: Mapping[str, Any], wish: Wish) -> Iterator[str]:
    name, number = fields["drill"], fields["incident"]
    yield f"Waiting up to {wish.wait / 60:g} min. In another terminal, in the project's folder, whoever was told types:"
    yield f"  runner --project reports/drills/{name} ack {number} --by WHO"
    yield f"  runner drill --mend {name}"
    yield f"  runner --project reports/drills/{name} run {wish.pipeline} ...   (as the message says it)"


def mend(project: Project, name: str, *, as_json: bool) -> int:
    """Take the fault of a drill away."""
    fault = faults.mend(drill.copy_of_drill(project, name))
    said = f"The fault ({fault}) is gone from drill {name}. Now make the report, as the message says."
    screen_for(as_json=as_json, total=0).line({"drill": name, "fault": fault, "mended": True}, said)
    return 0


def _show(screen: Screen, outcome: Outcome, project: Project, counts: Counts) -> None:
    zone = ZoneInfo(project.settings.time_zone)
    screen.say("")
    screen.say(f"Drill {outcome.name}: {outcome.fault.name}, {outcome.pipeline} {outcome.period}")
    screen.say("")
    screen.table(
        [
            {"step": name, "at": _clock(at, zone), "after the fault": _after(outcome, name, seconds)}
            for name, at, seconds in outcome.steps
        ],
        ("step", "at", "after the fault"),
    )
    screen.say("")
    names = project.people.engineers
    screen.table(
        [
            {
                "engineer": names[reach.who].name,
                "channel": reach.channel,
                "reached": _clock(reach.at, zone) or reach.why,
            }
            for reach in outcome.reached
        ],
        ("engineer", "channel", "reached"),
    )
    screen.say("")
    for line in verdict(outcome, counts):
        screen.say(line)


def _clock(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M:%S}" if at else ""


def _after(outcome: Outcome, step: str, seconds: float | None) -> str:
    if seconds is not None:
        return f"{seconds:.1f} s" if seconds < 60 else span(timedelta(seconds=seconds))
    return "by the drill itself" if getattr(outcome.times, step) else "never"


def verdict(outcome: Outcome, counts: Counts) -> Iterator[str]:
    """What came of a drill, in sentences."""
    yield from outcome.failed
    if not outcome.failed:
        yield "Somebody was told, everybody was reached, and the report was made."
    if outcome.times.told and not outcome.times.acknowledged:
        yield "Nobody acknowledged it."
    if outcome.unattended:
        yield "The drill acknowledged and mended by itself: the times of people were not measured."
    if counts.period:
        yield f"It is the evidence of the duty {drill.DUTY!r} for {counts.period}."
    else:
        yield f"It is recorded. It does not count as evidence of the duty to hold drills: {counts.why_not}."
