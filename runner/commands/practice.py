"""Practice without harm: the calendar replayed through the real scheduler with a simulated clock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.ledger import Ledger
from runner.plan.calendar import clock, local_day
from runner.plan.deadlines import Begin
from runner.plan.oncall import Rota
from runner.scheduler import simulation
from runner.scheduler.begins import begins_of
from runner.scheduler.copies import copy_of
from runner.scheduler.simulation import Event, Fault, People, Scene, Story
from runner.screen import Screen, screen_for

#: Spans longer than this are told by their troubles alone.
_DAYS = 45


@dataclass(frozen=True)
class Wish:
    """What is to be simulated."""

    first: datetime
    last: datetime
    faults: tuple[str, ...] = ()
    people: People = field(default_factory=People)
    whole: bool = False  # every deadline, however long the span
    execute: bool = False  # make the reports for real, in a copy


def simulate(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Replay a span and print its timeline. Nothing is sent, and the ledger is only read."""
    begins = begins_of(project)
    owed = simulation.owed_between(project, begins, wish.first, wish.last)
    shifts = Rota(project.oncall).shifts(wish.first, wish.last) if project.oncall else ()
    faults = simulation.faults_of(list(wish.faults), owed, lambda: simulation.practice_fault(owed, shifts, project))
    story = _story(project, Scene(wish.first, wish.last, faults, wish.people), begins, execute=wish.execute)
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([*map(_plain, story.events), _summary(story, faults)], ())
    else:
        _Timeline(project, screen, wish).tell(story, faults)
    return 0


def _story(project: Project, scene: Scene, begins: tuple[Begin, ...], *, execute: bool) -> Story:
    if not execute:
        ledger = Ledger.of(project)
        story = simulation.simulate(project, scene, begins, ledger.durations)
        ledger.close()
        return story
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=project.reports) as folder:
        copy = copy_of(project, Path(folder) / "copy")
        ledger = Ledger.of(copy)
        story = simulation.play(project, scene, begins, simulation.Players(project, copy, ledger, scene.faults))
        ledger.close()
    return story


def _plain(event: Event) -> dict[str, Any]:
    fields = {key: _json(value) for key, value in event.fields.items()}
    return {"at": event.at.isoformat(), "kind": event.kind, "text": event.text, **fields}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else list(value) if isinstance(value, tuple) else value


def _summary(story: Story, faults: dict[tuple[str, str], Fault]) -> dict[str, Any]:
    sent = story.recorder.sent
    return {
        "kind": "summary",
        "deadlines": len(story.owed),
        "met": story.count(on_time=True),
        "late": story.count(on_time=False),
        "missed": story.missed,
        "incidents": len(story.incidents),
        "to_engineers": sum(one.parcel.message.audience == "engineers" for one in sent),
        "to_readers": sum(one.parcel.message.audience == "readers" for one in sent),
        "faults": [vars(fault) for fault in faults.values()],
    }


class _Timeline:
    """A story as a person reads it: day by day."""

    def __init__(self, project: Project, screen: Screen, wish: Wish) -> None:
        self.project, self.screen, self.wish = project, screen, wish
        self.zone = ZoneInfo(project.settings.time_zone)
        self.short = (wish.last - wish.first).days > _DAYS and not wish.whole

    def tell(self, story: Story, faults: dict[tuple[str, str], Fault]) -> None:
        first, last = (f"{_day(at, self.zone)}" for at in (self.wish.first, self.wish.last))
        made = "Reports were made in a copy" if self.wish.execute else "Nothing was executed"
        self.screen.say(f"Simulated: {first} to {last} ({self.zone.key}). {made}, nothing was sent.")
        for fault in faults.values():
            why = " (one for practice; --fault none for a clean replay)" if fault.practice else ""
            self.screen.say(f"Injected: {fault.pipeline} {fault.period}, {fault.kind}{why}.")
        shown = [event for event in story.events if not (self.short and _went_well(event))]
        for day, events in groupby(shown, key=lambda event: local_day(event.at, self.zone)):
            self.screen.say("")
            self.screen.say(f"{day:%A} {day.day} {day:%B %Y}")
            for event in events:
                for line in self.lines(event):
                    self.screen.say(line)
        self.screen.say("")
        self.screen.say(_sentence(_summary(story, faults)))

    def lines(self, event: Event) -> Iterator[str]:
        at = f"  {event.at.astimezone(self.zone):%H:%M}"
        fields = event.fields
        if event.kind == "shift":
            yield f"{at}  on call    {self._pair(fields)}, until {_day(fields['until'], self.zone, hours=True)}"
            rules = [rule for rule in fields["because"] if not rule.startswith(("Rotation", "Secondary"))]
            for rule in rules:
                yield f"{'':18} {self._named(rule)}"
        elif event.kind == "met":
            due = clock(fields["due_at"], self.zone, event.at)
            yield f"{at}  {event.text:<9}  {fields['pipeline']} {fields['period']} (due {due})"
        elif event.kind == "incident":
            about = f"#{fields['incident']} {fields['pipeline']} {fields['period']}"
            yield f"{at}  incident   {about}: {self._named(event.text)}"
        else:
            role = "" if fields["audience"] == "engineers" else ", reader"
            yield f"{at}  told       {fields['name']}{role}, by {fields['channel']}: {fields['subject']}"

    def _pair(self, fields: Any) -> str:
        names = self.project.people.engineers
        then = f", then {names[fields['secondary']].name}" if fields["secondary"] else ""
        return f"{names[fields['primary']].name}{then}"

    def _named(self, text: str) -> str:
        for key, engineer in self.project.people.engineers.items():
            text = text.replace(key, engineer.name)
        return text


def _went_well(event: Event) -> bool:
    return event.kind == "met" and bool(event.fields["on_time"])


def _day(at: datetime, zone: ZoneInfo, *, hours: bool = False) -> str:
    there = at.astimezone(zone)
    return f"{there:%a} {there.day} {there:%b %H:%M}" if hours else f"{there:%a} {there.day} {there:%b %Y}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sentence(total: dict[str, Any]) -> str:
    late = f", {total['late']} late" if total["late"] else ""
    missed = f", {total['missed']} never" if total["missed"] else ""
    told = f"{_count(total['to_engineers'], 'message')} to engineers, {total['to_readers']} to readers"
    met = f"{total['deadlines']} deadlines: {total['met']} met in time{late}{missed}"
    return f"{met}. {_count(total['incidents'], 'incident')}; {told}."
