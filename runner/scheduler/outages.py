"""Sources that reports need soon: asked ahead of time, an incident while one is down, a word when it answers again.

They are asked in a thread, never by the tick itself. What runs met at the sources counts as well: where one failed and
the next in line served, the report goes out in time, and somebody is told all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import WAREHOUSE, Pipeline, Project, Sources
from runner.delivery import alerts
from runner.delivery.alerts import Outage
from runner.delivery.messages import Message
from runner.errors import Trouble
from runner.ledger import deadlines, incidents, outbox
from runner.ledger import sources as past
from runner.ledger.deadlines import Owed
from runner.ledger.sources import Probe
from runner.plan.calendar import clock, local_day
from runner.plan.incidents import SOURCE, Incident, Kind, Notice, Sighting, State, Watch, advance, opened
from runner.plan.oncall import Rota
from runner.plan.runbooks import COMMON
from runner.scheduler import letters, roster
from runner.scheduler.errands import Outside
from runner.scheduler.office import Office
from runner.scheduler.telling import filled
from runner.sources import catalog, probing
from runner.sources.inquiry import Place

#: So long before a report begins its sources are looked at.
SOON = timedelta(minutes=60)
#: How often a source that answers is asked, and one that does not.
EVERY, AGAIN = timedelta(minutes=10), timedelta(minutes=1)
_AHEAD = timedelta(days=8)  # as far as the book of deadlines is written
_LOOK = timedelta(seconds=20)
_ERRAND = "probe"


def look(office: Office, now: datetime) -> None:
    """Note what sources answered, ask those that are due, open, escalate and close their incidents."""
    outside = office.outside
    if outside is None or (office.notes.get("look at sources", now) > now and not outside.errands.busy):
        return
    for back in outside.errands.back(_ERRAND):
        _note(office, back.brought or ())
    names = names_of(office.project)
    if office.notes.get("look at sources", now) > now:
        return
    office.notes["look at sources"] = now + (_LOOK if names else _AHEAD)
    with office.ledger.read() as tx:
        seen = _seen(tx, office, now)
        due = [name for name in names if _is_due(name, seen, now)]
    if due and not outside.errands.busy & {_ERRAND}:
        places = _places(office.project, outside, due)
        outside.errands.start(_ERRAND, lambda: probing.probe(places, now))
    _tell(office, seen, now)


def _note(office: Office, probes: Sequence[Probe]) -> None:
    with office.ledger.write() as tx:
        for probe in probes:
            past.probed(tx, probe)
    office.notes.pop("look at sources", None)  # what was heard is acted on at once


def _places(project: Project, outside: Outside, names: Sequence[str]) -> tuple[Place, ...]:
    if outside.opened is not None:
        return outside.opened(names)
    return catalog.places(names, project.sources, project.folder, outside.environment)


def names_of(project: Project) -> tuple[str, ...]:
    """The sources from which tables are fetched, in the order of config."""
    used = {name for table in project.sources.fetched.values() for name in table.from_}
    return tuple(name for name, source in project.sources.sources.items() if name in used and source.kind != "package")


# What needs them.


@dataclass(frozen=True)
class Need:
    """The report that needs the sources next: its pipeline, from when, and what was promised."""

    pipeline: Pipeline
    owed: Owed

    def sentence(self, office: Office, now: datetime) -> str:
        """In words: Daily growth needs it next, from 08:00."""
        at = self.owed.deadline.starts_at
        when = f"from {clock(at, office.zone, now)}" if at > now else "now"
        return f"{self.pipeline.title} needs it next, {when}."


def resting(project: Project) -> tuple[Pipeline, ...]:
    """The pipelines that rest on what is fetched: it lies in the warehouse."""
    return tuple(pipeline for pipeline in project.pipelines.values() if WAREHOUSE in pipeline.sources)


def need(tx: sa.Connection, project: Project, now: datetime) -> Need | None:
    """What needs the sources next: of the open deadlines that rest on them the one that begins first."""
    on_it = {pipeline.name: pipeline for pipeline in resting(project)}
    owed = [one for one in deadlines.begun(tx, now + _AHEAD) if one.deadline.pipeline in on_it]
    first = min(owed, key=lambda one: (one.deadline.starts_at, one.deadline.due_at), default=None)
    return Need(on_it[first.deadline.pipeline], first) if first else None


def needed(tx: sa.Connection, office: Office, now: datetime) -> dict[str, str]:
    """What needs each source next, in a sentence; nothing where no deadline is near."""
    names = names_of(office.project)
    next_ = need(tx, office.project, now) if names else None
    return dict.fromkeys(names, next_.sentence(office, now)) if next_ else {}


# What is seen of them.


@dataclass(frozen=True)
class _Seen:
    """The sources' newest answers, newest first, their open incidents, and what needs them next."""

    answers: Mapping[str, tuple[Probe, ...]]
    open: Mapping[str, Incident]
    need: Need | None

    def is_soon(self, now: datetime) -> bool:
        return self.need is not None and self.need.owed.deadline.starts_at <= now + SOON

    def is_told(self, name: str, now: datetime) -> bool:
        """Whether somebody must know that a source is down: it is needed soon, or a run has met it."""
        why = probing.down(self.answers.get(name, ()), now)
        return why is not None and (self.is_soon(now) or why.by != probing.PROBE)


def _seen(tx: sa.Connection, office: Office, now: datetime) -> _Seen:
    names = names_of(office.project)
    open_ = {key[0].removeprefix(SOURCE): one for key, one in incidents.opened(tx).items() if key[0].startswith(SOURCE)}
    answers = {name: _answers(tx, name, now + EVERY) for name in names}
    return _Seen(answers, open_, need(tx, office.project, now) if names else None)


def _answers(tx: sa.Connection, name: str, upto: datetime) -> tuple[Probe, ...]:
    """The two newest answers of a source, and the newest that a run had, newest first.

    What was noted while the clock had run ahead, beyond `upto`, is not believed: it would hide all that is heard now.
    """
    newest, met = past.probes(tx, name, 2, upto), past.met(tx, name, upto)
    return newest if met is None or met in newest else (*newest, met)


def _is_due(name: str, seen: _Seen, now: datetime) -> bool:
    """Whether a source is to be asked: one that is needed soon or down, and was not asked just now."""
    if not seen.is_soon(now) and name not in seen.open:
        return False
    last = next(iter(seen.answers[name]), None)
    return last is None or now - last.at >= (AGAIN if last.trouble else EVERY)


# What is told of them.


def _tell(office: Office, seen: _Seen, now: datetime) -> None:
    down = [name for name in seen.answers if seen.is_told(name, now)]
    if not down and not seen.open:
        return
    with office.ledger.write() as tx:
        seen = _seen(tx, office, now)  # once more: another scheduler may have told it in the meantime
        rota = roster.rota_of(tx, office.project, now - roster.RECENT)
        for name in dict.fromkeys((*down, *seen.open)):
            if name in seen.answers:
                _advance(tx, office, _Look(name, seen, rota, now))
            else:  # gone from config/sources.yml; nothing can be said to anybody
                incidents.drop(tx, seen.open[name], now)


@dataclass(frozen=True)
class _Look:
    """One source at an instant, and who is on call."""

    name: str
    seen: _Seen
    rota: Rota | None
    now: datetime

    @property
    def why(self) -> Probe | None:
        """The answer by which it is down."""
        return probing.down(self.seen.answers[self.name], self.now)

    @property
    def trouble(self) -> Trouble:
        return (self.why and self.why.trouble) or Trouble.SOURCE_UNAVAILABLE


def _advance(tx: sa.Connection, office: Office, look_: _Look) -> None:
    before = look_.seen.open.get(look_.name)
    if before is None:
        if not look_.seen.is_told(look_.name, look_.now):
            return
        before = opened(SOURCE + look_.name, local_day(look_.now, office.zone).isoformat(), look_.now)
    change = advance(
        before, _sighting(office, look_), _watch(office, look_), office.policy(tells_readers=False), look_.now
    )
    if not change.notices and change.incident == look_.seen.open.get(look_.name):
        return
    incident = incidents.keep(tx, change.incident, change.events, look_.now)
    outage = _outage(office, look_, incident)
    for notice in change.notices:
        about = letters.about(letters.Key(incident, notice, look_.now))
        message = _message(office, notice, outage)
        outbox.owe(tx, letters.to_engineer(office.project, about, notice.person or "", message))
    office.log("incident", number=incident.number, source=look_.name, state=incident.state, open=incident.open)


def _sighting(office: Office, look_: _Look) -> Sighting:
    title, why = office.project.sources.sources[look_.name].title, look_.why
    if why is not None:
        return Sighting(State.FAILED, str(why.trouble), " ".join(_sentences(office, look_, why)))
    last = next(iter(look_.seen.answers[look_.name]), None)
    if last is not None and last.trouble is not None and last.trouble is not Trouble.DATA_INCOMPLETE:
        return Sighting()  # a failure that may be over in a moment: neither told nor the end
    return Sighting(over="met", sentence=f"{title} answers again.")


def _sentences(office: Office, look_: _Look, why: Probe) -> Iterator[str]:
    title = office.project.sources.sources[look_.name].title
    told = why.message if title in why.message else f"{title}: {why.message or why.trouble}"
    yield told if told.endswith(".") else f"{told}."
    if why.by != probing.PROBE:
        yield f"Run {why.by} met this."
    if look_.seen.need is not None:
        yield look_.seen.need.sentence(office, look_.now)


def _watch(office: Office, look_: _Look) -> Watch:
    """Whoever is on call, then the owners of the report that needs it next."""
    shift = look_.rota.at(look_.now) if look_.rota else None
    pipeline = _pipeline(office, look_)
    owners = (pipeline.owners.primary, pipeline.owners.secondary)
    return Watch(shift.primary if shift else None, shift.secondary if shift else None, owners)


def _pipeline(office: Office, look_: _Look) -> Pipeline:
    if look_.seen.need is not None:
        return look_.seen.need.pipeline
    return next(iter((*resting(office.project), *office.project.pipelines.values())))


def _outage(office: Office, look_: _Look, incident: Incident) -> Outage:
    pipeline, sources = _pipeline(office, look_), office.project.sources
    # A pipeline's own runbook answers for its runs; that a source is away is no run's, and often nothing is late yet.
    section = office.library.answer(COMMON, str(look_.trouble), str(Trouble.SOURCE_UNAVAILABLE))
    reports = "; ".join(f"{one.title}, promised {one.deadline}" for one in resting(office.project))
    return Outage(
        incident=incident.number,
        source=look_.name,
        title=sources.sources[look_.name].title,
        sentence=incident.sentence,
        trouble=str(look_.trouble),
        since=incident.opened_at,
        now=look_.now,
        zone=office.zone,
        reports=reports,
        instead=_instead(look_, sources),
        runbook_title=section.title,
        runbook=filled(section.text, _words(look_, pipeline, incident)),
        command=office.command,
        drill=office.drill,
        desk=office.desk,
        acknowledged_by=office.project.name_of(incident.acknowledged_by if incident.is_taken else None),
    )


def _instead(look_: _Look, sources: Sources) -> str:
    """Who serves in place of a source, and of which tables nobody does; empty where no other source has its tables."""
    tables = {name: table.from_ for name, table in sources.fetched.items() if look_.name in table.from_}
    behind = [name for name in dict.fromkeys(name for all_ in tables.values() for name in all_) if name != look_.name]
    up = {name for name in behind if probing.down(look_.seen.answers.get(name, ()), look_.now) is None}
    bare = [table for table, all_ in tables.items() if not up.intersection(all_)]
    titles = ", ".join(sources.sources[name].title for name in behind if not up or name in up)
    if not up:
        return f"Nothing: down as well: {titles}." if behind else ""
    return f"{titles}; nothing of {', '.join(bare)}" if bare else titles


def _words(look_: _Look, pipeline: Pipeline, incident: Incident) -> dict[str, str]:
    """What stands for the words in capitals, as far as it is known."""
    words = {"PIPELINE": pipeline.name, "INCIDENT": str(incident.number)}
    if look_.seen.need is not None:
        words["DATE"] = look_.seen.need.owed.deadline.as_of.isoformat()
    return words


def message(tx: sa.Connection, office: Office, incident: Incident, notice: Notice, now: datetime) -> Message | None:
    """What a notice of a source's incident says, written now; None where config has the source no more."""
    look_ = _look_at(tx, office, incident, now)
    plain = _message(office, notice, _outage(office, look_, incident)) if look_ else None
    return letters.handed(office, incident, notice, plain) if plain and notice.by else plain


def watch(tx: sa.Connection, office: Office, incident: Incident, now: datetime) -> Watch | None:
    """Who answers for the incident of a source; None where config has the source no more."""
    look_ = _look_at(tx, office, incident, now)
    return _watch(office, look_) if look_ else None


def _look_at(tx: sa.Connection, office: Office, incident: Incident, now: datetime) -> _Look | None:
    name = incident.pipeline.removeprefix(SOURCE)
    if name not in names_of(office.project) or not office.project.pipelines:
        return None
    return _Look(name, _seen(tx, office, now), roster.rota_of(tx, office.project, now - roster.RECENT), now)


def _message(office: Office, notice: Notice, outage: Outage) -> Message:
    who, names = notice.person or "", office.project.people.engineers
    outage = replace(outage, runbook=filled(outage.runbook, {"WHO": who}))
    before = [names[name].name for name in notice.after if name in names]
    role = notice.role or "one of those told before"
    if notice.kind in {Kind.RECOVERED, Kind.MISSED}:
        return alerts.source_back(outage)
    if notice.kind is Kind.ESCALATION:
        return alerts.source_down(replace(outage, silent=tuple(before)), role, who)
    word = {Kind.REMINDER: "Reminder: ", Kind.HAND_OFF: "Handed over: "}.get(notice.kind, "")
    return alerts.source_down(outage, role, who, word)
