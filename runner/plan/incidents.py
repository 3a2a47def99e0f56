"""What is seen of a deadline -> its incident -> who must be told what. Pure.

Outcome and lateness are two axes: a report may be failed and late, held and late, or late and still under way. There is
one incident for each (pipeline, period). It tells each state once; what has been told is part of it, so that looking
again, in whatever rhythm, tells nothing again.

Who is told, in this order: the on-call primary; when nobody acknowledges in time the on-call secondary; then the
pipeline's owners; then everyone once more, a limited number of times. Whoever becomes primary while it is open is told
of it. That it is over is told to those who were told of the trouble.

A person can do three things. *Acknowledge*: they are at it, and nobody else is woken. *Hand over*: another is to be at
it. Nothing rests on somebody who may be asleep: until the other acknowledges, time runs as for a first message, and
when it is up whoever handed it over is told, nobody is at it, and the next ones are told as if it had just begun.
*Resolve*: they settled what no machine can see. It is not opened again for the same state of the same attempt, but for
anything new. What closes by itself as soon as it is over cannot be resolved by hand: a late report would be forgotten.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

#: Before the name of a duty or a source, where a pipeline's name stands otherwise.
DUTY, SOURCE = "duty:", "source:"
#: How an incident ended that a person settled.
RESOLVED = "resolved"


class State(StrEnum):
    """What is wrong, from harmless to grave."""

    NOT_STARTED = "not started"
    AT_RISK = "at risk"
    HELD = "held"
    FAILED = "failed"
    LATE = "late"


#: Ways of being late that pass into one another without anybody's doing.
_MOVING = frozenset({"under way", "waiting", "trying again", "not started"})


class Kind(StrEnum):
    """The messages that an incident can owe."""

    TROUBLE = "trouble"
    ESCALATION = "escalation"
    REMINDER = "reminder"
    HAND_OFF = "hand-off"
    RECOVERED = "recovered"
    MISSED = "missed"
    HANDED_OVER = "handed over"  # by a person, to another
    TAKEN = "taken over"  # to whoever was at it, or waited for an answer
    RESOLVED = "resolved"  # by a person
    DELAY = "delay"  # to readers
    STILL_LATE = "still late"  # to readers


@dataclass(frozen=True)
class Sighting:
    """What is seen of one deadline at one instant.

    `state` is None when nothing is wrong. `cause` tells two ways of being in one state apart (late because it failed,
    late because it was held); `late` says whether the due time has passed without a report. `over` is None while the
    deadline is owed, else how it ended: "met" or "missed".
    """

    state: State | None = None
    cause: str = ""
    sentence: str = ""
    late: bool = False
    over: str | None = None

    @property
    def topic(self) -> str:
        """What is told once: late is late however far the work is, unless it failed or a person must decide."""
        moving = self.state is State.LATE and self.cause in _MOVING
        return f"{self.state}, {self.cause}" if self.cause and not moving else str(self.state)


@dataclass(frozen=True)
class Watch:
    """Who answers for a pipeline now: the on-call pair, then its owners, by their keys."""

    primary: str | None
    secondary: str | None
    owners: tuple[str, ...]

    @property
    def first(self) -> tuple[str, ...]:
        """Who is told first. Nobody on call must never mean that nobody is told."""
        return (self.primary,) if self.primary else self.owners


@dataclass(frozen=True)
class Policy:
    """How trouble is told."""

    acknowledge_within: timedelta
    repeat_every: timedelta
    repeats: int
    readers_every: timedelta
    tells_readers: bool = True


@dataclass(frozen=True)
class Incident:
    """One open or closed trouble, with all that was told of it."""

    pipeline: str
    period: str
    opened_at: datetime
    number: int = 0
    state: str = ""
    sentence: str = ""
    topics: tuple[str, ...] = ()  # told already
    told: tuple[str, ...] = ()  # people, in the order in which they were first told
    step: int = 0  # 0: the first were told; 1: the secondary; 2: the owners; above: repeats
    next_step_at: datetime | None = None
    primary: str | None = None  # the last on-call primary who was told
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    notices: int = 0  # to readers
    next_word_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: str = ""
    handed_by: str | None = None  # who handed it to whoever is to be at it, until that one answers
    resolved_by: str | None = None
    attempt: str = ""  # the attempt whose trouble was resolved
    version: int = 0  # how often it was written; two who write at once are told apart by it

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.closed_at is None

    @property
    def is_taken(self) -> bool:
        """Whether somebody said that they are at it."""
        return self.acknowledged_by is not None and self.handed_by is None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(self).items()}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Incident:
        """The incident that `as_dict` described."""
        return cls(**{key: _typed(key, value) for key, value in data.items()})


def _typed(key: str, value: Any) -> Any:
    if key.endswith("_at") and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Notice:
    """One message owed: of what kind, to whom (None: to the pipeline's readers), in which role.

    `after` are those before this person: who did not answer, or from whom it is taken over. `by` did what is told,
    and said `note`.
    """

    kind: Kind
    person: str | None = None
    role: str = ""
    next_word_at: datetime | None = None
    after: tuple[str, ...] = ()
    by: str = ""
    note: str = ""


@dataclass(frozen=True)
class Word:
    """What a person says of an incident: who, why, and when."""

    who: str
    because: str
    at: datetime


@dataclass(frozen=True)
class Change:
    """What one look leads to: the incident as it is now, the messages owed, and a line for its history."""

    incident: Incident
    notices: tuple[Notice, ...] = ()
    events: tuple[str, ...] = ()


def advance(incident: Incident, sighting: Sighting, watch: Watch, policy: Policy, now: datetime) -> Change:
    """An incident, or a fresh one without a number, after one look. Looking again changes nothing more."""
    if not incident.open:
        return Change(incident)
    if sighting.over:
        return _close(incident, sighting, now)
    change = Change(incident)
    for step in (_tell_state, _hand_off, _not_taken, _escalate, _tell_readers):
        change = _then(change, step(change.incident, sighting, watch, policy, now))
    return change


def _then(first: Change, second: Change) -> Change:
    return Change(second.incident, (*first.notices, *second.notices), (*first.events, *second.events))


def opened(pipeline: str, period: str, now: datetime) -> Incident:
    """A fresh incident, of which nobody was told yet."""
    return Incident(pipeline, period, now)


def acknowledge(incident: Incident, who: str, now: datetime) -> Change:
    """Somebody is at it: no further escalation. The first acknowledgement counts.

    Of what was handed over, whoever answers first is at it; those between whom it lay hear who that is.
    """
    if not incident.open or incident.is_taken:
        return Change(incident)
    between = _others((incident.handed_by, incident.acknowledged_by), who)
    done = replace(_at(incident, who, now), next_step_at=None, told=_distinct((*incident.told, *between)))
    said = "took it over" if incident.handed_by else "acknowledged it"
    return Change(done, tuple(Notice(Kind.TAKEN, one, by=who) for one in between), (f"{who} {said}",))


def hand_over(incident: Incident, to: str, word: Word, within: timedelta) -> Change:
    """Another is to be at it, and is told; whoever hands it to themselves has it. Others who were at it hear of it."""
    if not incident.open or to == incident.acknowledged_by:
        return Change(incident)
    own = to == word.who
    past = _others((incident.acknowledged_by, incident.handed_by), to, word.who)
    done = replace(
        _at(incident, to, word.at),
        handed_by=None if own else word.who,
        next_step_at=None if own else word.at + within,
        told=_distinct((*incident.told, *past, *(() if own else (to,)))),
    )
    notices = [Notice(Kind.TAKEN, one, after=(to,), by=word.who, note=word.because) for one in past]
    if not own:
        notices.append(Notice(Kind.HANDED_OVER, to, "the one it was handed to", by=word.who, note=word.because))
    said = "took it over" if own else f"handed it over to {to}"
    return Change(done, tuple(notices), (f"{word.who} {said}: {word.because}",))


def _at(incident: Incident, who: str, now: datetime) -> Incident:
    """Somebody is at it; how long it took until anybody was stays as it is."""
    since = incident.acknowledged_at if incident.acknowledged_by else now
    return replace(incident, acknowledged_by=who, acknowledged_at=since, handed_by=None)


def _others(people: tuple[str | None, ...], *but: str) -> tuple[str, ...]:
    return _distinct(tuple(one for one in people if one and one not in but))


def why_not_resolved(incident: Incident, *, late: bool) -> str:
    """Why a person cannot resolve it, and what ends it; nothing where they can. `late`: its due time has passed."""
    if incident.pipeline.startswith(DUTY):
        return "It closes by itself when the duty is recorded as done."
    if incident.pipeline.startswith(SOURCE):
        return "It closes by itself when the source answers again."
    if late or incident.state == State.LATE:
        return "It closes by itself when the report is delivered: its readers still wait for what they were promised."
    if incident.state == State.HELD:
        return "It closes by itself when the report is approved and delivered. Approve or reject the report first."
    return ""


def resolve(incident: Incident, word: Word, attempt: str) -> Change:
    """A person settled it: it is over, and all who were told of it hear so."""
    if not incident.open:
        return Change(incident)
    notices = tuple(Notice(Kind.RESOLVED, who, by=word.who, note=word.because) for who in incident.told)
    done = replace(
        incident,
        closed_at=word.at,
        outcome=RESOLVED,
        sentence=word.because,
        resolved_by=word.who,
        attempt=attempt,
        handed_by=None,
        next_step_at=None,
        next_word_at=None,
    )
    return Change(done, notices, (f"{word.who} resolved it: {word.because}",))


def is_settled(last: Incident | None, sighting: Sighting, attempt: str) -> bool:
    """Whether what is seen is what a person resolved: the same attempt, in a state that was told before that."""
    if last is None or last.outcome != RESOLVED or sighting.late:
        return False
    return last.attempt == attempt and sighting.topic in last.topics


def next_told(incident: Incident, watch: Watch, policy: Policy) -> tuple[datetime, tuple[str, ...]] | None:
    """When the next engineers are told, and who, if nobody acknowledges and all stays as it is."""
    seen = Sighting(State.FAILED, sentence=incident.sentence)  # whatever it is: something is wrong
    while incident.open and incident.next_step_at is not None:
        at = incident.next_step_at
        change = _not_taken(incident, seen, watch, policy, at)
        change = _then(change, _escalate(change.incident, seen, watch, policy, at))
        if change.notices:
            return at, tuple(notice.person for notice in change.notices if notice.person)
        incident = change.incident
    return None


def next_look(incident: Incident, now: datetime) -> datetime | None:
    """The next instant after now at which an open incident owes something if nothing else happens."""
    times = [at for at in (incident.next_step_at, incident.next_word_at) if at is not None and at > now]
    return min(times) if incident.open and times else None


# The steps of one look.


def _tell_state(incident: Incident, sighting: Sighting, watch: Watch, policy: Policy, now: datetime) -> Change:
    """A state that was not told yet is told to those who are told first, and to everyone who is in it already."""
    if sighting.state is None:
        return Change(incident)
    incident = replace(incident, state=str(sighting.state), sentence=sighting.sentence)  # later messages say how it is
    if sighting.topic in incident.topics:
        return Change(incident)
    # Once somebody is at it, the news is theirs (until they answer, also that of who handed it over).
    at_it = _others((incident.acknowledged_by, incident.handed_by)) if incident.acknowledged_by else ()
    people = at_it or _distinct((*watch.first, *incident.told))
    turned = incident.primary is not None and watch.primary not in {None, incident.primary}  # has time of their own
    until = None if turned else incident.next_step_at
    known = replace(
        incident,
        step=0 if turned else incident.step,
        topics=(*incident.topics, sighting.topic),
        told=_distinct((*incident.told, *people)),
        next_step_at=incident.next_step_at if at_it else until or now + policy.acknowledge_within,
        primary=watch.primary or incident.primary,
    )
    role = "on-call primary" if watch.primary else "owner"
    role = "the one who is at it" if at_it else role
    notices = tuple(Notice(Kind.TROUBLE, who, role if who in {*watch.first, *people[:1]} else "") for who in people)
    return Change(known, notices, (f"{sighting.topic}: {sighting.sentence}",))


def _hand_off(incident: Incident, _: Sighting, watch: Watch, policy: Policy, now: datetime) -> Change:
    """Whoever became primary since the last look is told of what is open."""
    if watch.primary is None or watch.primary == incident.primary or not incident.told:
        return Change(incident)
    waits = incident.next_step_at if incident.acknowledged_by else now + policy.acknowledge_within
    known = replace(
        incident, primary=watch.primary, told=_distinct((*incident.told, watch.primary)), next_step_at=waits, step=0
    )
    before = (incident.primary or incident.told[0],)
    notice = Notice(Kind.HAND_OFF, watch.primary, "on-call primary", after=before)
    return Change(known, (notice,), (f"handed over to {watch.primary}",))


def _not_taken(incident: Incident, sighting: Sighting, _: Watch, policy: Policy, now: datetime) -> Change:
    """Whoever it was handed to stayed silent: nobody is at it, and whoever handed it over is the first to hear so."""
    if incident.handed_by is None or incident.next_step_at is None or now < incident.next_step_at:
        return Change(incident)
    if sighting.state is None:
        return Change(incident)
    giver, silent = incident.handed_by, incident.acknowledged_by or ""
    known = replace(
        incident,
        acknowledged_by=None,
        acknowledged_at=None,
        handed_by=None,
        step=0,
        told=_distinct((*incident.told, giver)),
        next_step_at=now + policy.acknowledge_within,
    )
    notice = Notice(Kind.ESCALATION, giver, "the one who handed it over", after=(silent,))
    return Change(known, (notice,), (f"{silent} did not take it over; told {giver}",))


def _escalate(incident: Incident, sighting: Sighting, watch: Watch, policy: Policy, now: datetime) -> Change:
    """Nobody acknowledged in time: the next ones are told, unless nothing is wrong at the moment."""
    if incident.acknowledged_by or incident.next_step_at is None or now < incident.next_step_at:
        return Change(incident)
    if sighting.state is None:
        return Change(incident)
    step = incident.step + 1
    if step == 1 and watch.secondary is None:
        step = 2
    if step >= 3:
        return _repeat(incident, step, policy, now)
    people = (watch.secondary,) if step == 1 and watch.secondary else watch.owners
    fresh = tuple(who for who in people if who not in incident.told)
    waits = policy.acknowledge_within if step == 1 else policy.repeat_every
    last = step == 2 and not policy.repeats
    known = replace(
        incident,
        step=step,
        told=_distinct((*incident.told, *fresh)),
        next_step_at=None if last else now + waits,
    )
    role = "on-call secondary" if step == 1 else "owner"
    notices = tuple(Notice(Kind.ESCALATION, who, role, after=incident.told) for who in fresh)
    return Change(known, notices, (f"nobody acknowledged; told {', '.join(fresh)}",) if fresh else ())


def _repeat(incident: Incident, step: int, policy: Policy, now: datetime) -> Change:
    done = step - 2  # repeats, this one included
    if done > policy.repeats:  # a new state began to wait again, and everyone was told of that
        return Change(replace(incident, next_step_at=None))
    known = replace(incident, step=step, next_step_at=now + policy.repeat_every if done < policy.repeats else None)
    notices = tuple(Notice(Kind.REMINDER, who) for who in incident.told)
    return Change(known, notices, (f"nobody acknowledged; told everyone once more ({done} of {policy.repeats})",))


def _tell_readers(incident: Incident, sighting: Sighting, _: Watch, policy: Policy, now: datetime) -> Change:
    """Readers of a late report hear at once, and again when the next word was promised; never without limit."""
    if not sighting.late or not policy.tells_readers:
        return Change(incident)
    if incident.notices and (incident.next_word_at is None or now < incident.next_word_at):
        return Change(incident)
    count = incident.notices + 1
    # The last word promises no other: the report itself is the next.
    following = now + policy.readers_every if count <= policy.repeats else None
    kind = Kind.DELAY if count == 1 else Kind.STILL_LATE
    known = replace(incident, notices=count, next_word_at=following)
    return Change(known, (Notice(kind, next_word_at=following),), ("readers were told of the delay",))


def _close(incident: Incident, sighting: Sighting, now: datetime) -> Change:
    kind = Kind.RECOVERED if sighting.over == "met" else Kind.MISSED
    notices = [Notice(kind, who) for who in incident.told]
    if kind is Kind.MISSED and incident.notices:
        notices.append(Notice(kind))  # readers who were told of a delay must not wait for ever
    done = replace(
        incident,
        closed_at=now,
        outcome=str(sighting.over),
        sentence=sighting.sentence or incident.sentence,
        handed_by=None,
        next_step_at=None,
        next_word_at=None,
    )
    return Change(done, tuple(notices), (sighting.sentence or str(sighting.over),))


def _distinct(people: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(people))
