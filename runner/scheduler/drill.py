"""A drill: a real fault in a copy of the project, told to the real engineers, and how long people take.

The copy has a book of its own with one deadline in it, which begins at once and is due long after the drill: so it is
the fault that is told, not lateness. One attempt is made, for a retry would only put off what is told. Everything else
is the scheduler as it is in earnest: its ticks, its crew with real kernels, its incidents and its messages.

Messages go out over the real channels, through a `Guard` that lets nothing pass but what is marked as a drill and goes
to an engineer.
"""

from __future__ import annotations

import secrets
import select
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from runner import config
from runner.config import Engineer, Project
from runner.delivery import alerts
from runner.delivery.channels import MAIL, Carrier, Parcel
from runner.delivery.mail import message_id
from runner.delivery.messages import Message
from runner.errors import DeliveryFailed, RunFailed, UsageError
from runner.ledger import Ledger, deadlines, duties, incidents, journal, outbox
from runner.ledger import rota as rota_book
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.ledger.journal import Act, Cancellation
from runner.ledger.outbox import Letter
from runner.model import Status
from runner.plan import incidents as rules
from runner.plan.deadlines import Deadline
from runner.plan.incidents import Incident
from runner.plan.oncall import Shift
from runner.report import job as jobs
from runner.report import parameters, produce
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job
from runner.scheduler import copies, faults, letters, roster
from runner.scheduler.faults import Fault, Site
from runner.scheduler.office import Office
from runner.scheduler.opening import open_office
from runner.scheduler.sightings import GRACE
from runner.scheduler.tick import tick

DUTY = "drill"  # the duty of config/duties.yml that a drill is the evidence of
MARK = "[DRILL] "
EVERY = 0.25  # seconds between two looks
#: How long after the drill its deadline is due.
_FAR = timedelta(hours=1)
#: Seconds beyond a run's own limits in which it must have been told that it failed.
_SLACK = 60.0

#: What happens, as it happens: its kind, a sentence, and fields.
Say = Callable[[str, str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Wish:
    """What is to be drilled, on which day (empty: the one the notebook names), and how long people have (seconds)."""

    pipeline: str
    fault: str
    as_of: str = ""
    wait: float = 1800.0
    unattended: bool = False


@dataclass(frozen=True)
class Desk:
    """What a drill works with: the real project, its ledger and its channels."""

    project: Project
    ledger: Ledger
    carrier: Carrier
    clock: Clock
    stop: Stop
    say: Say = lambda _kind, _text, _fields: None


@dataclass(frozen=True)
class Reach:
    """Whether an engineer was reached on a channel: when, or why not."""

    who: str
    channel: str
    at: datetime | None
    why: str = ""


@dataclass(frozen=True)
class Times:
    """When the fault was there, somebody was told, acknowledged it, and the report was made after all."""

    fault: datetime
    told: datetime | None = None
    acknowledged: datetime | None = None
    mitigated: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a drill. `trouble` is how the fault showed itself, `failed` what went wrong, in sentences."""

    name: str
    pipeline: str
    period: str
    fault: Fault
    unattended: bool
    times: Times
    incident: int = 0
    trouble: str = ""
    acknowledged_by: str = ""
    reached: tuple[Reach, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[tuple[str, datetime | None, float | None], ...]:
        """(step, when, seconds since the fault), in order. What the drill did itself has no seconds."""
        times = vars(self.times)
        own = {"acknowledged", "mitigated"} if self.unattended else set()
        since = {name: (at - self.times.fault).total_seconds() for name, at in times.items() if at and name not in own}
        return tuple((name, at, since.get(name)) for name, at in times.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {
            "drill": self.name,
            "pipeline": self.pipeline,
            "period": self.period,
            "fault": self.fault.name,
            "what": self.fault.does,
            "trouble": self.trouble,
            "incident": self.incident,
            "acknowledged_by": self.acknowledged_by,
            "unattended": self.unattended,
            "times_of_people": "not measured" if self.unattended else "measured",
            "steps": [{"step": name, "at": _iso(at), "seconds": seconds} for name, at, seconds in self.steps],
            "reached": [{"who": r.who, "channel": r.channel, "at": _iso(r.at), "why": r.why} for r in self.reached],
            "failed": list(self.failed),
            "ok": not self.failed,
        }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


# The way out.

_BY_HAND = "Deliver by hand"  # how `alerts` begins the links to what can be sent in an emergency
_MEND = "Drill: take the fault away, once you know what it is"
_ONLY = "The fault is in a copy alone: change nothing in the project itself, and deliver nothing by hand."


@dataclass
class Guard:
    """The real channels, for one drill: what passes is marked, for engineers, and to be typed as it stands."""

    carrier: Carrier
    project: Project
    name: str

    @property
    def place(self) -> str:
        """The copy, from the project's folder."""
        return f"reports/drills/{self.name}"

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Hand a parcel on, under an identity that only this drill has. Raises DeliveryFailed for any other parcel."""
        if not parcel.message.subject.startswith(MARK) or parcel.message.audience != "engineers":
            raise DeliveryFailed("A drill sends nothing that is not marked as one, and nothing to readers.")
        if not any(_is_theirs(engineer, parcel) for engineer in self.project.people.engineers.values()):
            raise DeliveryFailed("A drill writes to engineers alone.")
        domain = self.project.settings.sender.email.rpartition("@")[2]
        mine = message_id(domain, DUTY, self.name, parcel.message_id)
        self.carrier.send(replace(parcel, message_id=mine, message=self._here(parcel.message)), now)

    def problem(self, channel: str) -> str:
        """Why a channel cannot be reached, or nothing."""
        return self.carrier.problem(channel)

    def _here(self, message: Message) -> Message:
        """Commands and paths as they hold in the project's folder: in the runbook, too, they mean the copy."""
        if not message.commands:
            return message
        # Whoever is drilled is never asked to write to a reader.
        kept = [(words, target) for words, target in message.links if not words.startswith(_BY_HAND)]
        return replace(
            message,
            runbook=message.runbook.replace("`runner ", f"`runner --project {self.place} "),
            commands=(*message.commands, (_MEND, f"runner drill --mend {self.name}")),
            links=tuple((words, f"{self.place}/{target}") for words, target in kept),
            closing=f"{_ONLY} {message.closing}",
        )


def _is_theirs(engineer: Engineer, parcel: Parcel) -> bool:
    return engineer.email == parcel.address and parcel.channel in {MAIL, *engineer.channels}


# The drill.


def hold(wish: Wish, desk: Desk) -> Outcome:
    """Hold one drill; comes back when the report is made after all, or time is up.

    Raises UsageError when the pipeline, its day or the fault is none; then nothing is left behind.
    """
    pipeline = desk.project.pipeline(wish.pipeline)
    job = Job(pipeline, wish.as_of or _usual_day(desk.project, wish.pipeline))
    plan = jobs.check(job, desk.project)
    site = Site.of(desk.project, pipeline, date.fromisoformat(plan.job.as_of))
    fault = faults.chosen(site, wish.fault)
    name = f"{desk.clock.now():%Y-%m-%d}-{secrets.token_hex(3)}"
    folder = desk.project.reports / "drills" / name
    copy = copies.copy_of(desk.project, folder)
    desk.say("copied", f"The project is copied to reports/drills/{name}.", {"drill": name})
    drill = Drill(desk, wish, fault, plan, copy)
    try:
        with copies.or_nothing(folder):
            drill.prepare()
        drill.play()
        return drill.outcome()
    finally:
        drill.end()


def _usual_day(project: Project, name: str) -> str:
    """The day for which the notebook is sure to have data: the one that its own cell of parameters names."""
    declared = parameters.read(project.notebook(project.pipeline(name)))
    if "as_of" not in declared:
        raise UsageError("Which day is reported?", "Say it with --as-of, for example --as-of 2017-11-15.")
    return str(declared["as_of"].default)


def _silent(_: object) -> None:
    """The steps of a run are no news in a drill."""


@dataclass
class Drill:
    """One drill under way."""

    desk: Desk
    wish: Wish
    fault: Fault
    plan: jobs.Plan
    copy: Project
    told: datetime | None = None
    acknowledged: datetime | None = None
    mitigated: datetime | None = None
    incident: Incident | None = None
    owed: Owed | None = None
    showed: str = ""
    office: Office | None = None
    troubles: list[str] = field(default_factory=list)
    mended: bool = False
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.name = self.copy.folder.name
        self.guard = Guard(self.desk.carrier, self.desk.project, self.name)
        self.ledger = Ledger.of(self.copy)
        self.stop = self.desk.stop.child()
        self.broken = self.desk.clock.now()
        self.until = self.broken

    @property
    def pipeline(self) -> config.Pipeline:
        """The pipeline that is drilled, as the copy has it."""
        return self.copy.pipelines[self.wish.pipeline]

    @property
    def key(self) -> tuple[str, str]:
        """(pipeline, period)."""
        return self.wish.pipeline, self.plan.period.key

    # Before.

    def prepare(self) -> None:
        """Everything that must be there before the fault; then the fault; then the deadline."""
        with self.desk.ledger.read() as tx:
            swaps = rota_book.swaps(tx)
        with self.ledger.write() as tx:
            for swap in swaps:
                rota_book.offer(tx, swap)
        if self.fault.reader:
            self.copy = copies.with_reader(self.copy, self.pipeline, self._reader())
        self._make_before()
        faults.inject(self.fault, self._site)
        self.broken = self.desk.clock.now()
        self.office = self._open(config.load(self.copy.folder, self.copy.censor))
        self._owe()
        self._say("fault", f"The fault is there: {self.fault.does}.", fault=self.fault.name)

    @property
    def _site(self) -> Site:
        return Site.of(self.copy, self.pipeline, date.fromisoformat(self.plan.job.as_of))

    def _reader(self) -> config.Person:
        """Whoever is told first is the one to whom the copy would hand its report, in the copy's own maildir."""
        shift = self._shift(self.desk.clock.now())
        engineer = self.copy.people.engineers[shift.primary if shift else self.pipeline.owners.primary]
        return config.Person(name=f"Drill ({engineer.name})", email=engineer.email)

    def _shift(self, now: datetime) -> Shift | None:
        with self.ledger.read() as tx:
            rota = roster.rota_of(tx, self.copy)
        return rota.at(now) if rota else None

    def _make_before(self) -> None:
        """What the report rests on, and where the fault needs it that of the day before, made while all is well.

        Raises RunFailed when one of them is not fit to go out.
        """
        needed = {self.wish.pipeline}
        for pipeline in reversed(self.copy.in_order()):
            needed |= set(pipeline.inputs) if pipeline.name in needed else set()
        for pipeline in self.copy.in_order():
            if pipeline.name in needed - {self.wish.pipeline}:
                alike = pipeline.period == self.pipeline.period
                self._well(pipeline, self._site.as_of if alike else self._site.day)
        if self.fault.before:
            self._well(self.pipeline, self._site.as_of - timedelta(days=1))

    def _well(self, pipeline: config.Pipeline, day: date) -> None:
        self._say("before", f"{pipeline.title} as of {day} is made while all is well.", pipeline=pipeline.name)
        made = produce.produce(Job(pipeline, day.isoformat()), self._ctx(self.copy))
        if made.status is not Status.READY:
            raise RunFailed(f"{pipeline.title} is {made.status} without any fault: {made.message}", made.remedy)

    def _ctx(self, project: Project) -> Ctx:
        secrets_ = produce.withheld(self.desk.project)  # the copy has no channels, but the environment has
        return Ctx(project, self.ledger, self.desk.clock, self.stop, _silent, withheld=secrets_)

    def _open(self, copy: Project) -> Office:
        """The office over the copy: engineers with their channels, no duties, no sign of life, one attempt."""
        people = copy.people.model_copy(update={"engineers": self.desk.project.people.engineers})
        seats = copy.settings.runs_at_once if self.fault.starts else 0
        quiet = {"attempts": 1, "heartbeat": None, "runs_at_once": seats}
        settings = copy.settings.model_copy(update=quiet)
        project = replace(copy, people=people, settings=settings, duties={})
        office = open_office(self._ctx(project), self.guard, f"runner --project {self.guard.place}")
        # The copy owes the one report of the drill, whatever the calendar says.
        return replace(office, drill=True, begins=lambda: ())

    def _owe(self) -> None:
        limits = (self.pipeline.limit or self.copy.settings.run_limit) + self.copy.settings.render_limit + _SLACK
        self.until = self.broken + timedelta(seconds=limits)
        due = self.until + timedelta(seconds=self.wish.wait) + _FAR
        starts = self.broken if self.fault.starts else self.broken - GRACE
        about = str(self.pipeline.experiment) if self.pipeline.period == "experiment" else None
        owed = Deadline(*self.key, self.plan.period.text, self._site.as_of, about, starts, due, due)
        with self.ledger.write() as tx:
            deadlines.note(tx, [owed])

    # Under way.

    def play(self) -> None:
        """Tick until it is over: the report is made after all, nothing came of the fault, or time is up."""
        while self.office is not None and not self.stop.asked:
            now = self._look(self.office)
            self._observe(now, self.office)
            if self.mitigated or self._came_to_nothing() or now >= self.until:
                return
            if self.fault.cancelled and not self.cancelled:
                self._cancel(now)
            if self.told and self.wish.unattended:
                self._stand_in(now)
            select.select([self.stop], [], [], EVERY)

    def _look(self, office: Office) -> datetime:
        now = self.desk.clock.now()
        office.notes["planned"] = now  # nothing is planned but what the drill owes
        try:
            tick(office, now)
        except Exception as error:  # noqa: BLE001 - as in earnest: one bad look must not end the line
            self._say("tick failed", f"A look at what is owed failed: {type(error).__name__}: {error}")
        return now

    def _observe(self, now: datetime, office: Office) -> None:
        """See what has happened since the last look; instants are those of the drill's own clock."""
        with self.ledger.read() as tx:
            self.owed = deadlines.find(tx, self.key)
            number = self.incident.number if self.incident else 0
            self.incident = incidents.find(tx, number) if number else incidents.opened(tx).get(self.key)
            letters_ = outbox.of_incident(tx, self.incident.number) if self.incident else ()
        if self.incident is None:
            return
        sent = [letter.sent_at for letter in letters_ if letter.sent_at]
        if sent and not self.told:
            self._note_told(self.incident, min(sent), office, now)
        if self.incident.acknowledged_by and not self.acknowledged:
            self.acknowledged = now
            self._say("acknowledged", f"{self._names((self.incident.acknowledged_by,))} is at it.")
        if self.incident.outcome == "met" and not self.mitigated:
            self.mitigated = now
            self._say("mitigated", f"The report is made. {self.incident.sentence}")

    def _note_told(self, incident: Incident, at: datetime, office: Office, now: datetime) -> None:
        """The first word is out: from now on people have their time, and everyone else is asked whether they hear."""
        self.told, self.showed = at, (self.owed.trouble if self.owed else None) or incident.state
        self.until = now + timedelta(seconds=self.wish.wait)
        told = f"{self._names(incident.told)} {'was' if len(incident.told) == 1 else 'were'} told"
        self._say("told", f"{told}: {incident.sentence}", incident=incident.number)
        self._reach_others(incident, office, now)

    def _came_to_nothing(self) -> bool:
        """The report was made in spite of the fault."""
        return self.incident is None and self.owed is not None and self.owed.state is not Owing.OPEN

    def _reach_others(self, incident: Incident, office: Office, now: datetime) -> None:
        """Everyone who is not told of the trouble is asked whether they hear."""
        message = alerts.can_you_hear(self.name, self._names(incident.told))
        about = letters.About(f"drill/{self.name}", DUTY, now)
        with self.ledger.write() as tx:
            for who in office.project.people.engineers:
                if who not in incident.told:
                    outbox.owe(tx, letters.to_engineer(office.project, about, who, message))

    def _cancel(self, now: datetime) -> None:
        """Cancel the run, as somebody might by mistake, once it is under way."""
        run = self.ledger.making(*self.key)
        if run is not None:
            with self.ledger.write() as tx:
                journal.cancel(tx, Cancellation(run.run, now, DUTY, "Drill: cancelled on purpose."))
            self.cancelled = True

    def _stand_in(self, now: datetime) -> None:
        """Do what a person would: acknowledge, and at the next look take the fault away and make the report."""
        if self.incident and not self.acknowledged:
            change = rules.acknowledge(self.incident, self.incident.told[0], now)
            with self.ledger.write() as tx:
                incidents.keep(tx, change.incident, change.events, now)
        elif not self.mended:
            self.mended = True
            faults.mend(self.copy.folder)
            again = replace(self.plan.job, pipeline=self.pipeline, again=True)
            made = produce.produce(again, self._ctx(config.load(self.copy.folder, self.copy.censor)))
            if made.exit_code:
                self.troubles.append(f"The fault was taken away, and the report is {made.status}: {made.message}")
                self.until = now

    # After.

    def end(self) -> None:
        """End what is still under way, and let go of everything."""
        self.stop.ask()
        while self.office and self.office.crew.busy:
            self.office.crew.finished(self.desk.clock.now())
            select.select([], [], [], 0.05)
        self.stop.close()
        self.ledger.close()

    def outcome(self) -> Outcome:
        """What came of it."""
        incident = self.incident
        outcome = Outcome(
            self.name,
            *self.key,
            self.fault,
            self.wish.unattended,
            Times(self.broken, self.told, self.acknowledged, self.mitigated),
            incident.number if incident else 0,
            self.showed,
            (incident.acknowledged_by or "") if incident else "",
            tuple(self._reached()),
        )
        return replace(outcome, failed=tuple(self._failed(outcome)))

    def _reached(self) -> Iterator[Reach]:
        with self.ledger.read() as tx:
            sent = outbox.between(tx, self.broken - _FAR, self.desk.clock.now() + _FAR)
        for who, engineer in self.desk.project.people.engineers.items():
            for channel in (MAIL, *engineer.channels):
                yield _reach(who, channel, [one for one in sent if (one.person, one.channel) == (who, channel)])

    def _failed(self, outcome: Outcome) -> Iterator[str]:
        if outcome.times.told is None:
            made = " The report was made in spite of the fault." if self._came_to_nothing() else ""
            yield f"Nobody was told.{made}"
            return
        if outcome.trouble != self.fault.name:
            yield f"The fault showed itself as {outcome.trouble!r}, not as {self.fault.name!r}."
        names = self.desk.project.people.engineers
        for reach in outcome.reached:
            if reach.at is None:
                yield f"{names[reach.who].name} was not reached by {reach.channel}: {reach.why}"
        yield from self.troubles
        if outcome.times.mitigated is None and not self.troubles:
            yield "Nobody took the fault away and made the report in time."

    def _names(self, people: tuple[str, ...]) -> str:
        engineers = self.desk.project.people.engineers
        return " and ".join(engineers[who].name if who in engineers else who for who in people)

    def _say(self, kind: str, text: str, **fields: Any) -> None:
        self.desk.say(kind, text, {"drill": self.name, "at": self.desk.clock.now().isoformat(), **fields})


def _reach(who: str, channel: str, found: list[Letter]) -> Reach:
    at = min((letter.sent_at for letter in found if letter.sent_at), default=None)
    why = next((letter.error for letter in found if letter.error), None) or "nothing was sent to them."
    return Reach(who, channel, at, "" if at else why)


# The record.


def record(outcome: Outcome, ledger: Ledger, project: Project, now: datetime) -> bool:
    """Note a drill in the real ledger; whether it is the evidence of the duty to hold one.

    A drill in which people did nothing, or which failed, is none.
    """
    evidence, who = outcome.as_dict(), outcome.acknowledged_by or "runner"
    counts = not outcome.unattended and not outcome.failed and DUTY in project.duties
    with ledger.write() as tx:
        journal.act(tx, Act(now, who, DUTY, evidence))
        open_ = [task for task in duties.waiting(tx, now) if task.due.duty == DUTY] if counts else []
        return bool(open_) and duties.done(tx, *open_[0].due.key, duties.Done(who, now, evidence))


def copy_of_drill(project: Project, name: str) -> Path:
    """The folder of a drill. Raises UsageError on a name that is none."""
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(f"{name!r} is the name of no drill.", "It is the last part of reports/drills/NAME.")
    return project.reports / "drills" / name
