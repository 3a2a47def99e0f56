"""Duties: done by themselves where a report's checks are the evidence, told of when due, an incident when overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from runner.config import Duty, Project
from runner.delivery import alerts
from runner.delivery.messages import Message
from runner.ledger import Run, duties, incidents, outbox
from runner.ledger.duties import Done, Task
from runner.model import Level, Status
from runner.plan.calendar import local_day
from runner.plan.incidents import DUTY, Incident, Kind, Notice, Sighting, State, Watch, advance, next_look, opened
from runner.plan.oncall import Rota
from runner.scheduler import letters, roster, rounds
from runner.scheduler.office import Office

AGAIN = timedelta(minutes=10)  # how often evidence is looked for
_LOOK_BACK = timedelta(days=60)  # a period that fell due earlier has no evidence that counts now
_FAR = datetime(9000, 1, 1, tzinfo=UTC)
_FIT = {Status.READY, Status.DELIVERED, Status.HELD}
#: How long before it is due an owner is reminded of what comes seldom.
_AHEAD = ((timedelta(days=60), timedelta(days=7)), (timedelta(days=6), timedelta(days=1)))


def look(office: Office, now: datetime) -> None:
    """Take evidence, remind of what is due soon, open and close incidents of what is overdue."""
    if not office.project.duties or office.notes.get("look at duties", now) > now:
        return
    with office.ledger.read() as tx:
        waiting = [task for task in duties.waiting(tx, now) if task.due.duty in office.project.duties]
    waiting = _without_evidence(office, waiting, now)
    with office.ledger.write() as tx:
        for task in waiting:
            _remind(tx, office, task, now)
        open_ = incidents.opened(tx).values() if _trouble(tx, office, waiting, now) else ()
        times = [duties.next_due(tx, now), *(next_look(one, now) for one in open_ if one.pipeline.startswith(DUTY))]
    times += [_remind_at(task, office.project.duties[task.due.duty]) for task in waiting]
    owing = min((at for at in times if at is not None and at > now), default=None)
    office.notes["duties owe"] = owing
    office.notes["look at duties"] = min([now + AGAIN, *([owing] if owing else [])])


def next_owing(office: Office, now: datetime) -> datetime | None:
    """The next instant after now at which something about duties is owed if nothing happens, as last looked at."""
    at: datetime | None = office.notes.get("duties owe")
    return at if at is not None and at > now else None


def _without_evidence(office: Office, waiting: list[Task], now: datetime) -> list[Task]:
    """The tasks that no report shows to be done.

    Each run goes first to the period in which its data lie, the newest before the older: else a duty that was missed
    once would take the next period's run, and so on for ever.
    """
    shown = [task for task in waiting if office.project.duties[task.due.duty].shown_by is not None]
    newest = sorted(shown, key=lambda task: task.due.opens_at, reverse=True)
    taken: set[tuple[str, str]] = set()
    for tasks, before in ((newest, 0), (newest[::-1], 1)):
        for task in tasks:
            if task.due.key not in taken and _take_evidence(office, task, now, timedelta(days=before)):
                taken.add(task.due.key)
    return [task for task in waiting if task.due.key not in taken]


def _take_evidence(office: Office, task: Task, now: datetime, before: timedelta) -> bool:
    """A duty that a report's checks show is done by the first report that has them. Whether it is done."""
    evidence = _evidence(office, office.project.duties[task.due.duty], task, before)
    if evidence is None:
        return False
    with office.ledger.write() as tx:
        duties.done(tx, *task.due.key, Done("runner", now, evidence))
    office.log("duty done", duty=task.due.duty, period=task.due.period, **evidence)
    return True


def _evidence(office: Office, duty: Duty, task: Task, before: timedelta) -> dict[str, object] | None:
    """The checks of a run since the duty opened, if all of them are there and none stopped it.

    The run is about data of the local day on which the duty opened or later, or of `before` that day; and it is the
    evidence of no other period.
    """
    if duty.shown_by is None:
        return None
    earliest = local_day(task.due.opens_at, office.zone) - before
    runs = office.ledger.runs_since(duty.shown_by.pipeline, task.due.opens_at)
    fit = [run for run in runs if run.status in _FIT and _as_of(run) >= earliest]
    used = _used(office, task) if fit else set()
    for run in fit:
        found = {finding.check: finding for finding in office.ledger.findings(run.run)}
        checks = [found.get(check) for check in duty.shown_by.checks]
        if run.run not in used and all(check is not None and check.level is not Level.STOP for check in checks):
            said = {check.check: check.message for check in checks if check is not None}
            return {"run": run.run, "checks": said}
    return None


def _as_of(run: Run) -> date:
    """The day that a run is about; one that does not say is about no day that counts."""
    try:
        return date.fromisoformat(str(run.parameters.get("as_of", "")))
    except ValueError:
        return date.min


def _used(office: Office, task: Task) -> set[object]:
    """The runs that are the evidence of other periods of a duty."""
    with office.ledger.read() as tx:
        known = duties.between(tx, task.due.opens_at - _LOOK_BACK, _FAR)
    return {one.evidence.get("run") for one in known if one.due.duty == task.due.duty and one.done_at is not None}


def _remind(tx: sa.Connection, office: Office, task: Task, now: datetime) -> None:
    duty = office.project.duties[task.due.duty]
    at = _remind_at(task, duty)
    if at is None or not at <= now < task.due.due_at:
        return
    who = rounds.owner(tx, office.project, duty, now)
    key = f"duty/{task.due.duty}/{task.due.period}/due"
    message = alerts.duty_open(rounds.known(office, task, who, now))
    outbox.owe(tx, letters.to_engineer(office.project, letters.About(key, "duty", now), who, message))


def _remind_at(task: Task, duty: Duty) -> datetime | None:
    """When the owner is reminded: of what comes seldom earlier, of what shows or does itself never."""
    length = task.due.due_at - task.due.opens_at
    ahead = next((lead for least, lead in _AHEAD if length >= least), None)
    return task.due.due_at - ahead if ahead is not None and duty.shown_by is None and duty.does is None else None


# Overdue.


def _trouble(tx: sa.Connection, office: Office, waiting: list[Task], now: datetime) -> bool:
    """Open, escalate and close the incidents of duties; whether there are any."""
    late = [task for task in waiting if task.due.due_at <= now and not rounds.is_at_it(office, task)]
    overdue = {(DUTY + task.due.duty, task.due.period): task for task in late}
    open_ = {key: incident for key, incident in incidents.opened(tx).items() if key[0].startswith(DUTY)}
    if not overdue and not open_:
        return False
    seen = _Look(now, roster.rota_of(tx, office.project, now - roster.RECENT))
    for key in {**overdue, **open_}:
        task = overdue.get(key) or duties.find(tx, key[0].removeprefix(DUTY), key[1])
        if task is not None and task.due.duty in office.project.duties:
            _advance(tx, office, open_.get(key) or opened(*key, now), task, seen)
        elif key in open_:  # the duty is gone from config/duties.yml; nothing can be said to anybody
            incidents.drop(tx, open_[key], now)
    return True


def _advance(tx: sa.Connection, office: Office, before: Incident, task: Task, look: _Look) -> None:
    duty = office.project.duties[task.due.duty]
    watch = _watch(rounds.owner(tx, office.project, duty, look.now), look)
    change = advance(before, _sighting(office.project, task), watch, office.policy(tells_readers=False), look.now)
    if not change.notices and change.incident == before:
        return
    incident = incidents.keep(tx, change.incident, change.events, look.now)
    for notice in change.notices:
        about = letters.about(letters.Key(incident, notice, look.now))
        message = _message(office, task, notice.kind, look.now)
        outbox.owe(tx, letters.to_engineer(office.project, about, notice.person or "", message))


@dataclass(frozen=True)
class _Look:
    """An instant, and the rota at it."""

    now: datetime
    rota: Rota | None


def _sighting(project: Project, task: Task) -> Sighting:
    duty = project.duties[task.due.duty]
    if task.done_at is not None:
        return Sighting(over="met", sentence=f"{duty.title} was done by {project.name_of(task.done_by)}.")
    if rounds.is_found(task):
        text = f"What {duty.title.lower()} found was not answered in time."
        return Sighting(State.LATE, "duty", text, late=True)
    return Sighting(State.LATE, "duty", f"{duty.title} was not done in time.", late=True)


def _watch(who: str, look: _Look) -> Watch:
    """The owner first, then whoever is on call."""
    shift = look.rota.at(look.now) if look.rota else None
    others = [name for name in (shift.primary, shift.secondary) if name and name != who] if shift else []
    return Watch(who, others[0] if others else None, tuple(others[1:]))


def message(tx: sa.Connection, office: Office, incident: Incident, notice: Notice, now: datetime) -> Message | None:
    """What a notice of a duty's incident says, written now; None where config or the book has the duty no more."""
    task = _task_of(tx, office, incident)
    plain = _message(office, task, notice.kind, now) if task else None
    return letters.handed(office, incident, notice, plain) if plain and notice.by else plain


def watch(tx: sa.Connection, office: Office, incident: Incident, now: datetime) -> Watch | None:
    """Who answers for the incident of a duty; None where config or the book has the duty no more."""
    task, seen = _task_of(tx, office, incident), _Look(now, roster.rota_of(tx, office.project, now - roster.RECENT))
    return _watch(rounds.owner(tx, office.project, office.project.duties[task.due.duty], now), seen) if task else None


def _task_of(tx: sa.Connection, office: Office, incident: Incident) -> Task | None:
    name = incident.pipeline.removeprefix(DUTY)
    return duties.find(tx, name, incident.period) if name in office.project.duties else None


def _message(office: Office, task: Task, kind: Kind, now: datetime) -> Message:
    known = rounds.known(office, task, office.project.duties[task.due.duty].owner, now)
    if kind is Kind.RECOVERED:
        return alerts.duty_done(known, office.project.name_of(task.done_by))
    return alerts.duty_overdue(known)
