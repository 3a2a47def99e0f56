"""How things stand: every deadline of today and tomorrow, who answers for it, and what is wrong with the scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from runner.config import Pipeline, Project
from runner.errors import RunnerError
from runner.ledger import Ledger, deadlines, incidents, journal, outbox
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.plan.calendar import Span, instant, local_day
from runner.plan.deadlines import Begin, Deadline, Timetable, all_deadlines
from runner.plan.forecast import words
from runner.plan.incidents import Incident
from runner.plan.oncall import Shift
from runner.scheduler import planning, roster, work
from runner.scheduler.begins import begins_of
from runner.scheduler.circumstances import circumstances, forecast_of
from runner.scheduler.office import Office
from runner.scheduler.opening import onlooker
from runner.scheduler.sightings import sight
from runner.scheduler.work import Inputs

#: A scheduler that has not looked for so long is not there.
SILENT = timedelta(minutes=10)
#: States of what its readers have.
OUT = frozenset({"met", "met late"})
#: States whose sentence holds times and nothing else.
_HARMLESS = OUT | {"planned"}
#: What stakeholders are told of a state; why it is so may name what is not theirs to see.
_PLAINLY = {
    "late": "It is not there yet.",
    "failed": "It could not be made yet.",
    "held": "It is made, and a person looks at it before it goes out.",
    "not started": "Work on it has not begun yet.",
    "at risk": "It may be late.",
    "under way": "It is being made.",
    "begins": "It is about to be made.",
    "missed": "It was given up.",
}


@dataclass(frozen=True)
class Standing:
    """One deadline as it stands: what is seen of it in a word and a sentence, who answers for it, its incident.

    `expected` is when it is there if a run takes as long as usual; None where it is there, or does not come by itself.
    """

    owed: Owed
    state: str
    sentence: str
    responsible: str
    incident: Incident | None = None
    expected: datetime | None = None

    @property
    def plainly(self) -> str:
        """The sentence for those who are no engineers."""
        return self.sentence if self.state in _HARMLESS else _PLAINLY.get(self.state, "")


def promised(project: Project, timetable: Timetable, span: Span) -> tuple[Deadline, ...]:
    """What the calendar says is due in a span."""
    return all_deadlines(project.pipelines.values(), project.settings, timetable, span.first, span.last)


def begins(deadline: Deadline, zone: ZoneInfo) -> str:
    """When work begins, with the day where it is not that of the deadline."""
    start, end = deadline.starts_at.astimezone(zone), deadline.due_at.astimezone(zone)
    return f"{start:%H:%M}" if start.date() == end.date() else f"{start:%a %H:%M}"


def standing(tx: sa.Connection, office: Office, now: datetime) -> list[Standing]:
    """The book over the calendar: what the scheduler wrote down, and what it has not seen yet; older trouble, too."""
    project, zone = office.project, office.zone
    today = local_day(now, zone)
    span = Span(instant(today, _MIDNIGHT, zone), instant(today + timedelta(days=2), _MIDNIGHT, zone))
    known = {owed.key: owed for owed in deadlines.between(tx, span.first, span.last)}
    # What fell due before the first look was never promised by this scheduler.
    since = journal.mark(tx, planning.SINCE)
    first = Span(since.at, span.last) if since and since.at and since.at > span.first else span
    owed = {deadline.key: Owed(deadline) for deadline in promised(project, office.timetable(), first)} | known
    older = [item for item in deadlines.begun(tx, now) if item.deadline.due_at < span.first]
    everything = [*older, *sorted(owed.values(), key=lambda item: (item.deadline.due_at, item.key))]
    look = _Look(now, roster.shift_at(tx, project, now), incidents.opened(tx), work.inputs_of(tx, office, everything))
    return [_stand(office, item, look) for item in everything]


_MIDNIGHT = datetime.min.time()


@dataclass(frozen=True)
class _Look:
    """The instant, who is on call at it, every open incident, and the inputs of all that is looked at."""

    now: datetime
    shift: Shift | None
    incidents: Mapping[tuple[str, str], Incident]
    inputs: Inputs


@dataclass(frozen=True)
class Watching:
    """Who is on call now, and until when; who takes over then. Only who is primary counts for the two."""

    primary: str
    secondary: str | None
    until: datetime
    following: str | None


#: So many shifts ahead somebody else is looked for: where there is nobody, there is no change of hands.
_AHEAD = 8


def watching(tx: sa.Connection, project: Project, now: datetime) -> Watching | None:
    """Who is on call at an instant and who after that; None where the project has no rota."""
    rota = roster.rota_of(tx, project, now - roster.RECENT)
    if rota is None:
        return None
    shift = rota.at(now)
    until, following = shift.end, None
    for _ in range(_AHEAD):
        after = rota.at(until)
        if after.primary != shift.primary:
            following = after.primary
            break
        until = after.end
    return Watching(shift.primary, shift.secondary, until, following)


def _stand(office: Office, owed: Owed, look: _Look) -> Standing:
    pipeline, incident = office.project.pipelines.get(owed.deadline.pipeline), look.incidents.get(owed.key)
    who = _responsible(office.project, pipeline, incident, look.shift)
    if owed.state is not Owing.OPEN or look.now >= owed.deadline.starts_at:
        seen = sight(owed, circumstances(office, owed, look.inputs), look.now)
        state = seen.over or (str(seen.state) if seen.state else "under way" if owed.holder else "begins")
        if seen.over == "met" and not owed.on_time:
            state = "met late"
        return Standing(owed, state, seen.sentence, who, incident, _expected(office, owed, look))
    sentence = f"Begins at {begins(owed.deadline, office.zone)}."
    return Standing(owed, "planned", sentence, who, incident, _expected(office, owed, look))


def _expected(office: Office, owed: Owed, look: _Look) -> datetime | None:
    """When it is there if a run takes as long as usual."""
    if owed.state is not Owing.OPEN:
        return None
    usual = forecast_of(office, owed.deadline.pipeline).usual
    if owed.holder is not None:
        return max(look.now, (owed.held_since or look.now) + usual)
    is_fresh = not owed.attempts and not owed.outcome
    begins_at = owed.next_try_at or (owed.deadline.starts_at if is_fresh else None)
    if begins_at is None or work.waits_for(office, owed, look.inputs):
        return None
    return max(look.now, begins_at) + usual


def _responsible(project: Project, pipeline: Pipeline | None, incident: Incident | None, shift: Shift | None) -> str:
    """Whoever acknowledged the trouble; else whoever is on call; else the owner."""
    if incident and incident.acknowledged_by:
        return f"{project.name_of(incident.acknowledged_by)} (acknowledged)"
    if shift:
        return f"{project.name_of(shift.primary)} (on call)"
    return f"{project.name_of(pipeline.owners.primary)} (owner)" if pipeline else ""


def is_heard(tx: sa.Connection, now: datetime) -> bool:
    """Whether a scheduler has looked lately."""
    last = roster.looked(tx)
    return last is not None and now - last <= SILENT


def glance(project: Project, ledger: Ledger) -> Office:
    """An office to look from that never fails for want of the warehouse: what the book has of experiments is shown."""

    def begins() -> tuple[Begin, ...]:
        try:
            return begins_of(project)
        except (RunnerError, OSError):
            return ()

    return replace(onlooker(project, ledger), begins=begins)


def warnings(tx: sa.Connection, office: Office, now: datetime) -> list[str]:
    """What is wrong with the scheduler itself."""
    last, said = roster.looked(tx), []
    if last is None:
        said.append("No scheduler has looked at this project yet: start one with `runner serve`.")
    elif last > now + SILENT:
        at = f"{last.astimezone(office.zone):%a %d %b %Y %H:%M}"
        said.append(f"This is a look back: the scheduler has looked at {at} already.")
    elif not is_heard(tx, now):
        at = f"{last.astimezone(office.zone):%a %d %b %H:%M}"
        said.append(f"The scheduler last looked at {at}, {words(now - last)} ago: is `runner serve` running?")
    lost = outbox.given_up(tx, now - timedelta(days=1))
    said += [f"A message to {letter.name} by {letter.channel} was given up: {letter.error}" for letter in lost]
    return said
