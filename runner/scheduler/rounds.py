"""Duties that the software does itself: begun in time, in a thread, by one scheduler; done, or told what was found.

What was found is written down beside the duty, which stays open: a person looks at it, and says so (`runner done`).
Killed anywhere, it is done again once its claim has run out.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.config import Duty, Project
from runner.delivery import alerts
from runner.errors import Trouble
from runner.ledger import Ledger, duties, journal, outbox
from runner.ledger import sources as past
from runner.ledger.duties import Done, Task
from runner.ledger.journal import Claim
from runner.model import Finding, Level
from runner.plan.runbooks import COMMON
from runner.scheduler import letters, outages, roster
from runner.scheduler.errands import Back, Outside
from runner.scheduler.office import Office
from runner.scheduler.telling import filled
from runner.sources import audits
from runner.sources.audits import Audited, Scope

ON_CALL = "on-call"  # the owner of a duty that falls to whoever is on call
#: So long before it is due, or as soon as it is open, the software does a duty: in the night, before the reports.
BEFORE = timedelta(hours=6)
#: How long one may take. Whoever needs longer has been killed, or hangs.
LIMIT = timedelta(minutes=15)
#: How soon it is tried again where all that was found may pass by itself, and how often it is tried at all.
AGAIN, TRIES = timedelta(minutes=10), 3
_LOOK = timedelta(minutes=1)
_NAME = "audit of "
_SHOWN = 12
FOLDER = "duties"  # below reports/


@dataclass(frozen=True)
class Round:
    """One duty of one period that is being done here, under a claim, since an instant."""

    task: Task
    claim: Claim
    began: datetime

    @property
    def name(self) -> str:
        """The name of its errand."""
        return _name(self.task)


def _name(task: Task) -> str:
    return _NAME + "/".join(task.due.key)


def begins_at(task: Task) -> datetime:
    """When the software begins with a duty that it does itself."""
    return max(task.due.opens_at, task.due.due_at - BEFORE)


def is_found(task: Task) -> bool:
    """Whether the software has done its part and found something that a person must look at."""
    return "found" in task.evidence


def is_at_it(office: Office, task: Task) -> bool:
    """Whether this scheduler is doing a duty just now."""
    return office.outside is not None and _name(task) in office.outside.errands.busy


def look(office: Office, now: datetime) -> None:
    """Settle what has ended, and begin with what is to be done by now."""
    outside = office.outside
    if outside is None or not any(duty.does for duty in office.project.duties.values()):
        return
    under_way: dict[str, Round] = office.notes.setdefault("rounds", {})
    for back in (*outside.errands.back(_NAME), *_overdue(outside, under_way, now)):
        if (one := under_way.pop(back.name, None)) is not None:
            _settle(office, one, _audited(back), now)
    if office.notes.get("look at rounds", now) > now:
        return
    office.notes["look at rounds"] = now + _LOOK
    for one in _begun(office, outside, now):
        under_way[one.name] = one


def _overdue(outside: Outside, under_way: dict[str, Round], now: datetime) -> list[Back]:
    """Rounds that hang: nobody waits for them any longer."""
    late = [one for one in under_way.values() if now - one.began > LIMIT]
    for one in late:
        outside.errands.leave(one.name)
    return [Back(one.name, error=TimeoutError(f"it did not end within {alerts.span(LIMIT)}")) for one in late]


def _audited(back: Back) -> Audited:
    if isinstance(back.brought, Audited):
        return back.brought
    text = f"The audit itself failed: {type(back.error).__name__}: {back.error}."
    return Audited((Finding("audit", Level.STOP, text),))


# Begin.


def _begun(office: Office, outside: Outside, now: datetime) -> list[Round]:
    """One of each duty at once, the newest period first; claimed, so that no other scheduler does it, too."""
    with office.ledger.read() as tx:
        waiting = [task for task in duties.waiting(tx, now) if _is_to_be_done(office, task, now)]
    newest = {task.due.duty: task for task in sorted(waiting, key=lambda task: task.due.due_at)}
    busy = {name.removeprefix(_NAME).partition("/")[0] for name in outside.errands.busy if name.startswith(_NAME)}
    begun = [_begin(office, outside, task, now) for name, task in newest.items() if name not in busy]
    return [one for one in begun if one is not None]


def _is_to_be_done(office: Office, task: Task, now: datetime) -> bool:
    duty = office.project.duties.get(task.due.duty)
    return duty is not None and duty.does is not None and not is_found(task) and begins_at(task) <= now


def _begin(office: Office, outside: Outside, task: Task, now: datetime) -> Round | None:
    mine = Claim(f"{office.holder}/{secrets.token_hex(4)}", now + LIMIT)
    with office.ledger.write() as tx:
        claim = journal.claim(tx, _name(task), mine, now)
        needed = outages.needed(tx, office, now) if claim else {}
    if claim is None:
        return None
    begun = Round(task, claim, now)
    if claim.tries > TRIES:
        text = f"The audit was begun {TRIES} times and never ended: whoever did it was killed."
        _settle(office, begun, Audited((Finding("audit", Level.STOP, text),)), now)
        return None
    does = office.project.duties[task.due.duty].does or ""
    # A night that was missed is made up for: its own day is looked at, not the newest.
    about = min(now, task.due.due_at)
    scope = scope_of(office.project, office.ledger, outside, about, needed)
    place = folder_of(office.project, task)
    outside.errands.start(begun.name, lambda: _done(does, scope, place))
    office.log("audit begins", duty=task.due.duty, period=task.due.period)
    return begun


def scope_of(project: Project, ledger: Ledger, outside: Outside, now: datetime, needed: dict[str, str]) -> Scope:
    """What an audit of a project is about: its past in the ledger, what needs which source next."""

    def before(table: str, source: str) -> Any:
        with ledger.read() as tx:
            known = past.before(tx, table, source)
        return known.columns if known else None

    return Scope(project, outside.environment, now, before, needed, outside.opened)


def folder_of(project: Project, task: Task) -> Path:
    """Where what an audit saw is kept: reports/duties/<duty>/<period>/."""
    return project.reports / FOLDER / task.due.duty / task.due.period


def _done(does: str, scope: Scope, folder: Path) -> Audited:
    audited = audits.audit(does, scope)
    audits.keep(folder, audited, scope.project.censor.redact)
    return audited


# Settle.


def _settle(office: Office, one: Round, audited: Audited, now: datetime) -> None:
    """Write down what came of it, in one transaction; nothing where another scheduler has taken over."""
    task, due = one.task, one.task.due
    duty = office.project.duties.get(due.duty)
    if duty is None:
        return
    with office.ledger.write() as tx:
        if not journal.release(tx, one.name, one.claim.token):
            return
        if audited.is_passing and one.claim.tries < TRIES:
            journal.hold_off(tx, one.name, now + AGAIN, one.claim.tries)
            return
        note(tx, audited, f"{past.AUDIT}{due.duty}")
        evidence = _evidence(office.project, task, audited, now)
        if not audited.found:
            duties.done(tx, *due.key, Done("runner", now, evidence))
        elif duties.found(tx, *due.key, evidence):
            _tell(tx, office, task, duty, audited, now)
    office.log("audit ended", duty=due.duty, period=due.period, found=len(audited.found))
    office.notes.pop("look at duties", None)


def note(tx: sa.Connection, audited: Audited, run: str) -> None:
    """Keep what an audit saw of sources for the next one."""
    for seen in audited.fingerprints:
        past.fingerprinted(tx, past.Fingerprint(**{**vars(seen), "run": run[:64]}))
    for probe in audited.probes:
        past.probed(tx, probe)


def _evidence(project: Project, task: Task, audited: Audited, now: datetime) -> dict[str, Any]:
    said = {finding.check: finding.message for finding in audited.findings if finding.level is Level.PASS}
    found = [finding.as_dict() for finding in audited.found]
    place = folder_of(project, task).relative_to(project.folder).as_posix()
    return {"at": now.isoformat(), "files": place, "checks": said} | ({"found": found} if found else {})


def _tell(  # noqa: PLR0913, PLR0917 - one letter
    tx: sa.Connection, office: Office, task: Task, duty: Duty, audited: Audited, now: datetime
) -> None:
    who = owner(tx, office.project, duty, now)
    key = f"duty/{task.due.duty}/{task.due.period}/found"
    message = alerts.duty_found(known(office, task, who, now), _found(office, task, duty, audited))
    outbox.owe(tx, letters.to_engineer(office.project, letters.About(key, "duty", now), who, message))


def _found(office: Office, task: Task, duty: Duty, audited: Audited) -> alerts.Found:
    """What was found, and the section of the runbook for the first of it that has one."""
    worst = sorted(audited.found, key=lambda one: one.level is not Level.STOP)
    trouble = next((one.trouble for one in worst if one.trouble), None)
    pipelines = [pipeline.name for pipeline in outages.resting(office.project)] or list(office.project.pipelines)
    # The common runbook, for a pipeline's own answers for its runs, and no run found this.
    section = office.library.answer(COMMON, str(trouble)) if trouble and pipelines else None
    said = list(dict.fromkeys(one.message for one in worst))  # a source that is away is found for each of its tables
    lines = said[:_SHOWN]
    if len(said) > _SHOWN:
        lines.append(f"{len(said) - _SHOWN} more, in findings.txt.")
    place = folder_of(office.project, task).relative_to(office.project.folder).as_posix()
    steps = filled(_without_incident(section.text), {"PIPELINE": pipelines[0]}) if section else duty.how
    return alerts.Found(
        tuple(lines),
        place,
        section.title if section else duty.title,
        steps,
        is_grave=any(one.level is Level.STOP for one in worst) or trouble is Trouble.SOURCES_DISAGREE,
    )


def _without_incident(text: str) -> str:
    """A section whose step that acknowledges an incident says that there is none; the numbers of the steps stay."""
    return re.sub(r"`runner ack INCIDENT[^`]*`[^\n]*", "Nothing to acknowledge: a duty found this.", text)


def owner(tx: sa.Connection, project: Project, duty: Duty, now: datetime) -> str:
    """Who owns a duty at an instant."""
    if duty.owner != ON_CALL:
        return duty.owner
    rota = roster.rota_of(tx, project, now - roster.RECENT)
    return rota.at(now).primary if rota else next(iter(project.people.engineers))


def known(office: Office, task: Task, who: str, now: datetime) -> alerts.Task:
    """What a message says of a duty."""
    duty, engineers = office.project.duties[task.due.duty], office.project.people.engineers
    by = who if who in engineers else "NAME"
    done = f'{office.command} done {task.due.duty} {task.due.period} --by {by} --evidence "TEXT"'
    name = engineers[who].name if who in engineers else "whoever is on call"
    commands = (("Record that it is done, with what shows it", done),)
    return alerts.Task(duty.title, task.due.due_at, now, office.zone, name, duty.how, commands)
