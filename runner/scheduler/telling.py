"""What is seen of each deadline -> its incident -> letters owed, in one transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache

import sqlalchemy as sa

from runner.config import Person, Pipeline
from runner.delivery import alerts
from runner.delivery.alerts import Situation
from runner.delivery.messages import Message
from runner.errors import Trouble
from runner.ledger import deadlines, deliveries, incidents, last_delivered, outbox
from runner.ledger.deadlines import Owed
from runner.ledger.incidents import Overtaken
from runner.ledger.outbox import Letter
from runner.plan.calendar import clock
from runner.plan.incidents import Change, Incident, Kind, Notice, Sighting, Watch, advance, is_settled, opened
from runner.plan.oncall import Rota
from runner.plan.periods import period_of
from runner.plan.runbooks import KINDS
from runner.scheduler import letters, roster, work
from runner.scheduler.circumstances import circumstances
from runner.scheduler.office import Office
from runner.scheduler.sightings import attempt_of, sight
from runner.scheduler.work import Inputs


def tell(office: Office, now: datetime) -> tuple[Incident, ...]:
    """Look at everything that is owed; the incidents that something was told of."""
    told: list[Incident] = []
    errors: list[Exception] = []
    with office.ledger.write() as tx:
        open_ = incidents.opened(tx)
        # Worked out once, and only if somebody must be told.
        rota = cache(lambda: roster.rota_of(tx, office.project, now - roster.RECENT))
        begun = _seen(tx, open_, now)
        inputs = work.inputs_of(tx, office, begun)
        for owed in begun:
            try:
                told += _look(tx, office, owed, _Open(open_.get(owed.key), rota, now, inputs))
            except Overtaken:
                continue  # another scheduler was faster; what is left is seen at the next look
            except Exception as error:  # noqa: BLE001 - one bad deadline must not silence the others
                errors.append(error)
    _note(office, told)
    if errors:
        raise errors[0]
    return tuple(told)


@dataclass(frozen=True)
class _Open:
    """The incident of a deadline, if there is one, who is on call, the instant of the look, and all inputs."""

    incident: Incident | None
    rota: Callable[[], Rota | None]
    now: datetime
    inputs: Inputs


def _look(tx: sa.Connection, office: Office, owed: Owed, seen: _Open) -> list[Incident]:
    """One deadline; its incident, if something was told of it or has changed in it."""
    incident, now = seen.incident, seen.now
    if owed.deadline.pipeline not in office.project.pipelines:
        # Gone from config/pipelines.yml: nothing can be said to anybody.
        return [incidents.drop(tx, incident, now)] if incident else []
    sighting = sight(owed, circumstances(office, owed, seen.inputs), now)
    if incident is None and (sighting.state is None or sighting.over or _is_settled(tx, owed, sighting)):
        return []
    change = _advance(office, incident or opened(*owed.key, now), sighting, seen.rota(), now)
    if not change.notices and change.incident == incident:
        return []
    with tx.begin_nested():  # what is half written when something fails is taken back, and no more than that
        return [_keep(tx, office, change, owed, seen)]


def _is_settled(tx: sa.Connection, owed: Owed, sighting: Sighting) -> bool:
    """Whether a person resolved the very trouble that is seen."""
    return is_settled(incidents.last(tx, *owed.key), sighting, attempt_of(owed))


def _note(office: Office, told: Iterable[Incident]) -> None:
    for incident in told:
        office.log(
            "incident",
            number=incident.number,
            pipeline=incident.pipeline,
            period=incident.period,
            state=incident.state,
            open=incident.open,
        )


def _seen(tx: sa.Connection, open_: dict[tuple[str, str], Incident], now: datetime) -> tuple[Owed, ...]:
    """Every deadline that should be at work, and every one with an open incident that is over by now."""
    begun = deadlines.begun(tx, now)
    known = {owed.key for owed in begun}
    rest = [key for key in open_ if key not in known]
    over = deadlines.find_all(tx, rest)
    return (*begun, *(over[key] for key in rest if key in over))


def watch_of(rota: Rota | None, pipeline: Pipeline, now: datetime) -> Watch:
    """Who answers for a pipeline at an instant."""
    shift = rota.at(now) if rota else None
    owners = (pipeline.owners.primary, pipeline.owners.secondary)
    return Watch(shift.primary if shift else None, shift.secondary if shift else None, owners)


def _advance(office: Office, incident: Incident, sighting: Sighting, rota: Rota | None, now: datetime) -> Change:
    pipeline = office.project.pipelines[incident.pipeline]
    if incident.acknowledged_by and incident.acknowledged_by not in office.project.people.engineers:
        # Whoever was at it has left: nobody is.
        incident = replace(incident, acknowledged_by=None, acknowledged_at=None, handed_by=None, next_step_at=now)
    policy = office.policy(tells_readers=bool(office.project.readers(pipeline)))
    return advance(incident, sighting, watch_of(rota, pipeline, now), policy, now)


def _keep(tx: sa.Connection, office: Office, change: Change, owed: Owed, seen: _Open) -> Incident:
    before = change.incident
    incident = incidents.keep(tx, before, change.events, seen.now)
    situation = _situation(tx, office, incident, owed, seen)
    owing = [letter for notice in change.notices for letter in _letters(tx, office, incident, notice, situation)]
    outbox.owe(tx, owing)
    return incident


# What a message may say.


def _situation(tx: sa.Connection, office: Office, incident: Incident, owed: Owed, seen: _Open) -> Situation:
    pipeline, deadline, now = office.project.pipelines[incident.pipeline], owed.deadline, seen.now
    waits = bool(work.waits_for(office, owed, seen.inputs))
    section = office.library.answer(pipeline.name, *_kinds(incident, owed, waits=waits))
    folder = f"reports/{pipeline.name}/{deadline.period}/{owed.run}" if owed.run else ""
    return Situation(
        incident=incident.number,
        pipeline=pipeline.name,
        title=pipeline.title,
        period=deadline.period,
        period_text=deadline.text,
        state=incident.state,
        sentence=incident.sentence,
        due_at=deadline.due_at,
        now=now,
        zone=office.zone,
        promise=pipeline.deadline,
        readers=", ".join(name.replace("_", " ") for name in pipeline.readers),
        holds=_holds(tx, office, pipeline),
        run=owed.run or "",
        folder=folder,
        charts=bool(folder) and (office.project.folder / folder / "charts").is_dir(),
        dependents=_dependents(office, pipeline),
        attempts=_attempts(office, owed, now),
        runbook_title=section.title,
        runbook=filled(section.text, _words(incident, owed)),
        as_of=deadline.as_of.isoformat(),
        experiment=deadline.experiment,
        owners=letters.owners(office.project, pipeline),
        command=office.command,
        drill=office.drill,
        desk=office.desk,
        held=owed.outcome == "held" and owed.holder is None,
        undelivered=owed.trouble == str(Trouble.DELIVERY_FAILED) and owed.holder is None,
        acknowledged_by=office.project.name_of(incident.acknowledged_by if incident.is_taken else None),
    )


def _words(incident: Incident, owed: Owed) -> dict[str, str]:
    return {
        "PIPELINE": owed.deadline.pipeline,
        "DATE": owed.deadline.as_of.isoformat(),
        "RUN": owed.run or "",
        "INCIDENT": str(incident.number),
        "NUMBER": owed.deadline.experiment or "",
    }


def _dependents(office: Office, pipeline: Pipeline) -> str:
    """The reports that rest on this one, with what was promised of them: trouble here may be theirs sooner."""
    found = office.project.resting_on(pipeline.name)
    return "; ".join(f"{other.title}, promised {other.deadline}" for other in found)


def _kinds(incident: Incident, owed: Owed, *, waits: bool) -> tuple[str, ...]:
    """What the runbook is asked, most telling first: the very trouble, then the state and its cause."""
    idle = owed.holder is None and not owed.attempts  # late because it never started is answered as `not started`
    missing = str(Trouble.DATA_INCOMPLETE) if waits and idle else None  # what it waits for is answered, not its waiting
    held = "held" if owed.outcome == "held" else None
    said = (owed.trouble, held, missing, "not started" if idle else None, incident.state)
    # A run can fail for a reason that is no kind of its own; the notebook is then the place to look.
    return (*(kind for kind in said if kind in KINDS), str(Trouble.CELL_FAILED))


def filled(text: str, words: Mapping[str, str]) -> str:
    """A runbook's section with what is known in place of PIPELINE, DATE, RUN ... in its commands."""

    def fill(span: re.Match[str]) -> str:
        return re.sub(r"\b[A-Z]+\b", lambda found: words.get(found[0]) or found[0], span[0])

    return re.sub(r"`[^`\n]+`", fill, text)


def _holds(tx: sa.Connection, office: Office, pipeline: Pipeline) -> str:
    """What readers still have."""
    last = deadlines.last_met(tx, pipeline.name)
    text, ended = (last.deadline.text, last.ended_at) if last else _by_hand(tx, pipeline)
    if ended is None:
        return ""
    at = ended.astimezone(office.zone)
    return f"The report for {text}, delivered on {at:%A} {at.day} {at:%B} at {at:%H:%M}, still holds."


def _by_hand(tx: sa.Connection, pipeline: Pipeline) -> tuple[str, datetime | None]:
    """The newest report that was delivered without any deadline: its period in words, and when."""
    run = last_delivered(tx, pipeline.name)
    if run is None:
        return "", None
    experiment = run.parameters.get("experiment")
    as_of = date.fromisoformat(str(run.parameters["as_of"]))
    return period_of(pipeline.period, as_of, None if experiment is None else str(experiment)).text, run.finished_at


def _attempts(office: Office, owed: Owed, now: datetime) -> str:
    if not owed.attempts:
        return ""
    # A runner that was killed is made up for: there may have been more attempts than are meant.
    said = f"{owed.attempts} of {max(owed.attempts, office.project.settings.attempts)}"
    return f"{said}; the next at {clock(owed.next_try_at, office.zone, now)}" if owed.next_try_at else said


# Who gets which words.


def message(tx: sa.Connection, office: Office, incident: Incident, notice: Notice, now: datetime) -> Message | None:
    """What a notice of a report's incident says, written now; None where config or the book has the report no more."""
    owed = deadlines.find(tx, (incident.pipeline, incident.period))
    if owed is None or incident.pipeline not in office.project.pipelines:
        return None
    seen = _Open(incident, lambda: None, now, work.inputs_of(tx, office, (owed,)))
    return _message(office, incident, notice, _situation(tx, office, incident, owed, seen))


def _letters(
    tx: sa.Connection, office: Office, incident: Incident, notice: Notice, situation: Situation
) -> Iterable[Letter]:
    about = letters.about(letters.Key(incident, notice, situation.now))
    if notice.person is not None:
        yield from letters.to_engineer(
            office.project, about, notice.person, _message(office, incident, notice, situation)
        )
    elif not office.drill:  # a drill can never reach a reader
        message = _for_readers(office, notice, situation)
        for reader in _without_it(tx, office, incident):
            yield letters.plain(office.project, about, letters.Addressee(reader.email, reader, "mail"), message)


def _without_it(tx: sa.Connection, office: Office, incident: Incident) -> Iterable[Person]:
    """The readers who have no version of a report: nobody who holds it in hand hears that it is late."""
    owed = deliveries.every(tx, incident.pipeline, incident.period)
    had = deliveries.had(owed, sandbox=office.project.settings.mail.sandbox is not None)
    readers = office.project.readers(office.project.pipelines[incident.pipeline])
    return (reader for reader in readers if reader.email.lower() not in had)


def _for_readers(office: Office, notice: Notice, situation: Situation) -> Message:
    company = office.project.settings.company
    if notice.kind is Kind.MISSED:
        return alerts.will_not_come(situation, company)
    compose = alerts.delay if notice.kind is Kind.DELAY else alerts.still_late
    return compose(situation, notice.next_word_at, company)


def _message(  # noqa: PLR0911 - one for each kind
    office: Office, incident: Incident, notice: Notice, situation: Situation
) -> Message:
    policy, who = office.policy(tells_readers=True), notice.person or ""
    names = office.project.people.engineers
    role = notice.role or "one of those told before"
    situation = replace(situation, runbook=filled(situation.runbook, {"WHO": who}))
    if notice.kind is Kind.TROUBLE:
        return alerts.trouble(situation, role, policy.acknowledge_within, who)
    if notice.kind is Kind.ESCALATION:
        silent = [names[name].name for name in notice.after if name in names]
        return alerts.escalation(situation, role, silent, who)
    if notice.kind is Kind.REMINDER:
        return alerts.reminder(situation, role, incident.step - 2, policy.repeats, who)
    if notice.kind is Kind.HAND_OFF:
        before = notice.after[0] if notice.after else ""
        said = names[before].name if before in names else "the engineer before"
        return alerts.hand_off(situation, said, who)
    if notice.kind is Kind.RESOLVED:
        return alerts.closed(situation, office.project.name_of(notice.by), notice.note)
    if notice.by:
        plain = alerts.trouble(situation, role, policy.acknowledge_within, who)
        return letters.handed(office, incident, notice, plain)
    if notice.kind is Kind.MISSED:
        return alerts.closed(situation, "The scheduler", incident.sentence)
    return alerts.recovered(situation, incident.sentence)
