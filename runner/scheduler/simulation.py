"""The same scheduler with a simulated clock: what would be started, missed and told, and to whom.

Only three things are other than in earnest: the clock jumps to the next instant at which something happens, runs take
their usual time without being made, and letters are kept instead of sent. People are simulated, too: they acknowledge
after a while, unless they are said to be silent, and mend a fault some time after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from runner.config import Project
from runner.delivery.channels import Recorder
from runner.errors import RunnerError, Trouble, UsageError
from runner.ledger import Ledger, deadlines, duties, incidents
from runner.ledger.deadlines import Ending, Owed
from runner.ledger.deadlines import State as Owing
from runner.model import Status
from runner.plan import incidents as rules
from runner.plan.deadlines import Begin, Deadline, all_deadlines
from runner.plan.forecast import assumed_of, forecast
from runner.plan.incidents import DUTY, Incident
from runner.plan.oncall import Shift
from runner.report.approval import Approval, approve
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import produce, withheld
from runner.scheduler import roster, rounds, work
from runner.scheduler.office import Done, Office, Order, silent, timetable_of
from runner.scheduler.opening import library_of
from runner.scheduler.tick import next_tick, tick

SLOW, HELD = "slow", "held"
#: What can be made to go wrong, by name: every trouble, and two ways of it that are none.
FAULTS: tuple[str, ...] = (*map(str, Trouble), SLOW, HELD)
#: Ticks at one instant, or without the clock moving on, are a fault of ours: better an error than no end.
_STUCK = 1000
_BEFORE = timedelta(days=1)  # how long before it is due a simulated person does a duty

Key = tuple[str, str]  # (pipeline, period)
#: Seconds that past runs of a pipeline took, newest first.
History = Callable[[str], tuple[float, ...]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one deadline; `practice` when nobody asked for it."""

    pipeline: str
    period: str
    kind: str
    practice: bool = False


@dataclass(frozen=True)
class People:
    """How the simulated engineers behave."""

    answer_after: timedelta = timedelta(minutes=8)
    mend_after: timedelta = timedelta(minutes=30)  # after the acknowledgement
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scene:
    """What is to be simulated: a span (aware instants), faults by (pipeline, period), and people."""

    first: datetime
    last: datetime
    faults: Mapping[Key, Fault] = field(default_factory=dict)
    people: People = field(default_factory=People)


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    at: datetime
    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """What came of it."""

    events: tuple[Event, ...]
    owed: tuple[Owed, ...]
    incidents: tuple[Incident, ...]
    recorder: Recorder
    ticks: int

    def count(self, *, on_time: bool) -> int:
        """Deadlines met in time, or met late."""
        return sum(owed.state is Owing.MET and owed.on_time is on_time for owed in self.owed)

    @property
    def missed(self) -> int:
        """Deadlines that were never met."""
        return sum(owed.state in {Owing.OPEN, Owing.MISSED} for owed in self.owed)


class Extras:
    """A crew that makes nothing: a run takes its usual time and ends as its fault, if it has one, says."""

    def __init__(self, project: Project, history: History, faults: Mapping[Key, Fault]) -> None:
        self.project = project
        self.faults = dict(faults)
        self.history = history
        self.runs: dict[str, tuple[datetime, Done]] = {}
        self.count = 0

    @property
    def busy(self) -> tuple[Order, ...]:
        """The attempts that are under way."""
        return tuple(done.order for _, done in self.runs.values())

    def durations(self, pipeline: str) -> tuple[float, ...]:
        """What real runs took, newest first."""
        return self.history(pipeline)

    def usual(self, pipeline: str) -> timedelta:
        """How long a run takes here."""
        entry = self.project.pipelines[pipeline]
        return forecast(self.durations(pipeline), assumed_of(entry, self.project.settings)).usual

    def start(self, order: Order, now: datetime) -> None:
        """Decide how an attempt ends, and when."""
        self.count += 1
        fault = self.faults.get(order.deadline.key)
        done = self.made(order, now)
        if fault is not None:
            done = _faulty(done, fault)
        self.runs[order.token] = (done.at, done)

    def made(self, order: Order, now: datetime) -> Done:
        """How an attempt ends that has no fault."""
        ends = now + self.usual(order.deadline.pipeline)
        return Done(order, Status.DELIVERED, ends, run=f"simulated-{self.count}")

    def mend(self, key: Key) -> None:
        """A person takes the fault of a deadline away."""
        self.faults.pop(key, None)

    def finished(self, now: datetime) -> tuple[Done, ...]:
        """The attempts that ended by now, in order."""
        over = sorted((ends, token) for token, (ends, _) in self.runs.items() if ends <= now)
        return tuple(self.runs.pop(token)[1] for _, token in over)

    def next_end(self) -> datetime | None:
        """When the next attempt ends."""
        return min((ends for ends, _ in self.runs.values()), default=None)


def _faulty(done: Done, fault: Fault) -> Done:
    deadline = done.order.deadline
    if fault.kind == SLOW:
        return replace(done, at=max(done.at, deadline.due_at + timedelta(minutes=40)))
    if fault.kind == HELD:
        return replace(done, status=Status.HELD, message="Simulated: a figure is outside its usual range.")
    trouble = Trouble(fault.kind)
    stops = trouble in {Trouble.SCHEMA_CHANGED, Trouble.DATA_INCOMPLETE, Trouble.OUTLIER, Trouble.SOURCES_DISAGREE}
    status = Status.STOPPED if stops else Status.FAILED
    return replace(done, status=status, trouble=trouble, message=f"Simulated: {fault.kind}.")


class Players(Extras):
    """A crew that makes every report for real, in a copy of the project where nobody can be reached."""

    def __init__(self, project: Project, copy: Project, ledger: Ledger, faults: Mapping[Key, Fault]) -> None:
        super().__init__(copy, ledger.durations, faults)
        self.ledger = ledger
        self.withheld = withheld(project)  # the copy has no channels, but the environment has

    def made(self, order: Order, now: datetime) -> Done:
        """Make it; the simulated clock moves on by the time that took."""
        deadline, began = order.deadline, time.monotonic()
        ctx = self._ctx(now)
        job = Job(self.project.pipelines[deadline.pipeline], deadline.as_of.isoformat(), deadline.experiment)
        try:
            made = produce(job, ctx)
        except RunnerError as error:
            return Done(order, Status.FAILED, ctx.clock.now(), error.what, error.trouble)
        ends = now + timedelta(seconds=time.monotonic() - began)
        # The copy has no readers: ready is what would have been delivered.
        status = Status.DELIVERED if made.status is Status.READY else made.status
        return Done(order, status, ends, made.message, made.trouble, made.run)

    def mend(self, key: Key) -> None:
        """A person looks at what was held and lets it out, so that what rests on it finds its records."""
        super().mend(key)
        held = next((run for run in self.ledger.runs(*key) if run.status is Status.HELD), None)
        if held is not None:
            who = self.project.pipelines[held.pipeline].owners.primary
            now = held.finished_at or held.started_at
            approve(held, Approval(who, "Simulated approval.", now), self._ctx(now))

    def _ctx(self, now: datetime) -> Ctx:
        return Ctx(self.project, self.ledger, Clock(now), Stop(), lambda _: None, withheld=self.withheld)


class Stage:
    """One simulation: the office, the clock, and people who act."""

    def __init__(self, scene: Scene, office: Office, crew: Extras, recorder: Recorder) -> None:
        self.project, self.scene, self.office = office.project, scene, office
        self.crew, self.recorder = crew, recorder
        self.due: list[tuple[datetime, int, str]] = []  # who acts on which incident, and when
        self.mending: dict[int, datetime] = {}
        self.ticks = 0

    def play(self) -> None:
        """From the first instant to the last."""
        now, stuck = self.scene.first, 0
        while now < self.scene.last:
            told = tick(self.office, now).incidents
            self.ticks += 1
            self._note(told, now)
            acted = self._act(now)
            self._duties(now)
            # Whatever a person did is seen at once.
            after = now if acted else min([next_tick(self.office, now), *self._acts(now)])
            stuck = stuck + 1 if after <= now else 0
            if stuck > _STUCK:
                raise RuntimeError(f"The simulated clock stands still at {now}.")
            now = after

    def _note(self, told: tuple[Incident, ...], now: datetime) -> None:
        """Whoever was told and is not silent acknowledges after a while."""
        for incident in told:
            awake = [who for who in incident.told if who not in self.scene.people.silent]
            known = {number for _, number, _ in self.due}
            if incident.open and awake and not incident.acknowledged_by and incident.number not in known:
                self.due.append((now + self.scene.people.answer_after, incident.number, awake[0]))

    def _acts(self, now: datetime) -> Iterator[datetime]:
        yield from (at for at, _, _ in self.due if at > now)
        yield from (at for at in self.mending.values() if at > now)

    def _act(self, now: datetime) -> bool:
        """Acknowledge and mend what is due; whether anything was."""
        ready = [item for item in self.due if item[0] <= now]
        self.due = [item for item in self.due if item[0] > now]
        for _, number, who in ready:
            with self.office.ledger.write() as tx:
                incident = incidents.find(tx, number)
                if incident is not None and incident.open:
                    change = rules.acknowledge(incident, who, now)
                    incidents.keep(tx, change.incident, change.events, now)
                    self.mending[number] = now + self.scene.people.mend_after
        mended = [number for number, at in self.mending.items() if at <= now]
        for number in mended:
            del self.mending[number]
            self._mend(number, now)
        return bool(ready or mended)

    def _duties(self, now: datetime) -> None:
        """Duties are done in time: by the report that shows them, by the software, by owners who are not silent."""
        with self.office.ledger.write() as tx:
            for task in duties.waiting(tx, now):
                duty = self.project.duties[task.due.duty]
                if duty.shown_by is not None:
                    last = deadlines.last_met(tx, duty.shown_by.pipeline)
                    shown = last is not None and last.ended_at is not None and last.ended_at >= task.due.opens_at
                elif duty.does is not None:
                    shown = now >= rounds.begins_at(task)
                else:
                    owner = rounds.owner(tx, self.project, duty, now)
                    shown = owner not in self.scene.people.silent and now >= task.due.due_at - _BEFORE
                if shown:
                    duties.done(tx, *task.due.key, duties.Done("simulated", now, {}))

    def _mend(self, number: int, now: datetime) -> None:
        """Take the fault away and make the report by hand, as the runbook says."""
        with self.office.ledger.write() as tx:
            incident = incidents.find(tx, number)
            if incident is None or not incident.open or incident.pipeline.startswith(DUTY):
                return
            key = (incident.pipeline, incident.period)
            owed = deadlines.find(tx, key)
            if owed is None or work.waits_for(self.office, owed, work.inputs_of(tx, self.office, [owed])):
                return  # the scheduler makes it once its input is there
            self.crew.mend(key)
            deadlines.settle(tx, key, Ending("delivered", now, met=True, run=f"by hand {number}"))


def simulate(project: Project, scene: Scene, begins: tuple[Begin, ...], history: History) -> Story:
    """Play a scene on a ledger of its own that nothing is kept of."""
    crew = Extras(project, history, scene.faults)
    return play(project, scene, begins, crew)


def play(project: Project, scene: Scene, begins: tuple[Begin, ...], crew: Extras) -> Story:
    """Play a scene with a given crew."""
    ledger = Ledger.open("sqlite://")
    recorder = Recorder()
    office = Office(
        project=replace(project, settings=project.settings.model_copy(update={"heartbeat": None})),
        ledger=ledger,
        library=library_of(project),
        crew=crew,
        carrier=recorder,
        begins=lambda: begins,
        holder="simulation",
        lease=timedelta(days=1),
        log=silent,
    )
    stage = Stage(scene, office, crew, recorder)
    stage.play()
    story = _story(stage)
    ledger.close()
    return story


# The timeline.


def _story(stage: Stage) -> Story:
    scene, office = stage.scene, stage.office
    with office.ledger.read() as tx:
        owed = deadlines.between(tx, scene.first, scene.last)
        found = incidents.between(tx, scene.first, scene.last)
        told = {incident.number: incidents.history(tx, incident.number) for incident in found}
        rota = roster.rota_of(tx, stage.project)
    events = [_met(item) for item in owed if item.state is Owing.MET and item.ended_at]
    events += [_shift(shift) for shift in (rota.shifts(scene.first, scene.last) if rota else ())]
    for incident in found:
        about = {"incident": incident.number, "pipeline": incident.pipeline, "period": incident.period}
        events += [Event(line.at, "incident", line.text, about) for line in told[incident.number]]
    events += list(_letters(stage.recorder))
    order = {"shift": 0, "met": 1, "incident": 2, "told": 3}
    events.sort(key=lambda event: (event.at, order[event.kind]))
    return Story(tuple(events), owed, found, stage.recorder, stage.ticks)


def _met(owed: Owed) -> Event:
    at = owed.ended_at or owed.deadline.due_at
    fields = {"pipeline": owed.deadline.pipeline, "period": owed.deadline.period, "due_at": owed.deadline.due_at}
    return Event(at, "met", "met" if owed.on_time else "met late", {**fields, "on_time": owed.on_time})


def _shift(shift: Shift) -> Event:
    fields = {"primary": shift.primary, "secondary": shift.secondary, "until": shift.end, "because": shift.because}
    return Event(shift.start, "shift", "on call", fields)


def _letters(recorder: Recorder) -> Iterator[Event]:
    for sent in recorder.sent:
        parcel = sent.parcel
        fields = {"name": parcel.name, "channel": parcel.channel, "subject": parcel.message.subject}
        yield Event(sent.now, "told", parcel.message.headline, {**fields, "audience": parcel.message.audience})


# Faults.


def faults_of(
    words: list[str], owed: tuple[Deadline, ...], practice: Callable[[], Fault | None]
) -> dict[tuple[str, str], Fault]:
    """The faults that were asked for: `aggregate_growth@2017-11-22=source unavailable`, `none`, or one for practice.

    Raises UsageError on a fault, a pipeline or a period that there is not.
    """
    if words == ["none"]:
        return {}
    if not words:
        one = practice()
        return {(one.pipeline, one.period): one} if one else {}
    found = [_fault(text, owed) for text in words]
    return {(fault.pipeline, fault.period): fault for fault in found}


def _fault(text: str, owed: tuple[Deadline, ...]) -> Fault:
    what, _, kind = text.partition("=")
    pipeline, _, period = what.partition("@")
    if pipeline not in {deadline.pipeline for deadline in owed}:
        names = sorted({deadline.pipeline for deadline in owed})
        raise UsageError(f"{pipeline!r} owes no report in this span.", f"Those that do: {', '.join(names) or 'none'}.")
    if kind not in FAULTS:
        raise UsageError(f"{text!r} names no fault.", f"Write PIPELINE@PERIOD=FAULT; faults: {', '.join(FAULTS)}.")
    periods = [deadline.period for deadline in owed if deadline.pipeline == pipeline]
    if period not in periods:
        near = ", ".join(periods[:3]) or "none"
        raise UsageError(f"{pipeline} owes no report for {period!r} in this span.", f"It owes those for: {near} …")
    return Fault(pipeline, period, kind)


def owed_between(project: Project, begins: tuple[Begin, ...], first: datetime, last: datetime) -> tuple[Deadline, ...]:
    """Every deadline of a span."""
    return all_deadlines(project.pipelines.values(), project.settings, timetable_of(project, begins), first, last)


def practice_fault(owed: tuple[Deadline, ...], shifts: tuple[Shift, ...], project: Project) -> Fault | None:
    """One late report to practise with: the first that investors wait for after a holiday rule has changed hands.

    Without one, the first that falls due in the middle of the span.
    """
    if not owed:
        return None
    turns = [shift.start for shift in shifts if any("oliday" in rule for rule in shift.because)]
    cut = turns[1] if len(turns) > 1 else turns[0] if turns else owed[len(owed) // 2].due_at
    later = [deadline for deadline in owed if deadline.starts_at >= cut] or list(owed[-1:])
    most = max(len(project.readers(project.pipelines[deadline.pipeline])) for deadline in later)
    inputs = {name for pipeline in project.pipelines.values() for name in pipeline.inputs}
    chosen = next(
        (d for d in later if d.pipeline not in inputs and len(project.readers(project.pipelines[d.pipeline])) == most),
        later[0],
    )
    return Fault(chosen.pipeline, chosen.period, str(Trouble.SOURCE_UNAVAILABLE), practice=True)
