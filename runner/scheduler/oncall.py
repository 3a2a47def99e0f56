"""Who is on call, as people look at it: with names, in the words of the rules, and what an answer rests on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import OnCall, Project
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.ledger import rota as book
from runner.plan.calendar import Span
from runner.plan.oncall import Clock, Leg, Rota, Shift
from runner.scheduler import roster

#: How much of the rota a calendar to subscribe to holds, behind now and ahead of it.
BEHIND, AHEAD = timedelta(days=28), timedelta(days=365)
#: The kinds of rules, by how their sentences begin.
_KINDS = {"Holiday rule": "holiday", "Swap": "swap", "Override": "override", "Rotation": "rotation"}


def rules_of(project: Project) -> OnCall:
    """The rules of the project's rota. Raises UsageError where there is none."""
    if project.oncall is None:
        raise UsageError("This project has no rota.", "Write config/oncall.yml: who takes turns from when, and where.")
    return project.oncall


@dataclass(frozen=True)
class Look:
    """The rota as the record and config/oncall.yml have it, its record kept up to `now`; since when there is one."""

    rota: Rota
    since: datetime
    now: datetime
    names: dict[str, str]

    def name(self, who: str | None) -> str:
        """The name behind a key of people.yml; the key of one who has left."""
        return "nobody" if who is None else self.names.get(who, who)

    def time(self, instant: datetime) -> str:
        """An instant on the clocks of the rota: `Fri 24 Nov 2017 08:00 EST`."""
        local = instant.astimezone(self.rota.zone)
        return f"{local:%a} {local.day} {local:%b %Y %H:%M %Z}"

    def sentence(self, said: str) -> str:
        """A rule's sentence with names for keys. What people wrote, in quotes or brackets, stays as it is."""
        keys = "|".join(map(re.escape, sorted(self.names, key=len, reverse=True)))
        return re.sub(rf"'.*?':|\(.*\)|\b({keys})\b", lambda found: self.names.get(found[0], found[0]), said)

    def why(self, shift: Shift) -> str:
        """In a few words, the rule that made the primary primary."""
        said = _chosen(shift)
        return _rule(said) or f"{self.name(said.partition(' is away ')[0])} is away" if said else ""

    def kind(self, shift: Shift) -> str:
        """What kind of rule that is: rotation, holiday, override, swap or away; "" where nothing is known."""
        said = _chosen(shift)
        return next((kind for begins, kind in _KINDS.items() if said.startswith(begins)), "away") if said else ""

    def half(self, leg: Leg, takes: str) -> str:
        """One half of a swap: who stands in for whom, and when."""
        clock = Clock.of(self.rota.rules)
        return f"{self.name(takes)} for {self.name(leg.who)}, {clock.short(leg.start)} to {clock.words(leg.end)}"

    def is_kept(self, instant: datetime) -> bool:
        """Whether it is on record who was on call at an instant."""
        history = self.rota.history
        return bool(history) and history[0].start <= instant < history[-1].end

    def rests_on(self, instant: datetime) -> str:
        """What the answer for an instant rests on: the record, the rules, or neither."""
        if self.is_kept(instant):
            return "Kept as it was: this is on record, and no later edit changes it."
        if instant < self.since:
            return f"Nothing was on record before {self.time(self.since)}: worked out from the rules as they are now."
        return "Worked out from the rules and swaps in force."


def _chosen(shift: Shift) -> str:
    """The sentence of the rule that made the primary primary."""
    return next((said for said in reversed(shift.because) if not said.startswith("Secondary:")), "")


def _rule(said: str) -> str:
    """The rule that speaks, in a few words: `Holiday rule 'Christmas'`, `Override (A conference)`; of none "".

    The sentences are those of `plan.oncall`, of which the record keeps the text alone.
    """
    found = re.match(r"(Holiday rule '.*'): |(Swap \w+): |(Rotation) |(Override): ", said)
    because = re.search(r" \(.*\)", said) if said.startswith("Override: ") else None
    return f"{found[found.lastindex or 0]}{because[0] if because else ''}" if found else ""


def look(ledger: Ledger, project: Project, now: datetime, span: Span | None = None) -> Look:
    """The rota as it is at an instant, for whoever asks; where the rules changed, the news of it is owed.

    A question freezes nothing, so that one with a --now of some day to come decides nothing about the days up to it:
    shifts that are over are frozen by the scheduler alone. Only where config changed since the last look, what was up
    to `now` is kept under the old rules, as `roster.keep` says. With a span, of the past no more is read than the
    answers for it rest on. Raises UsageError where the project has no rota.
    """
    rules_of(project)
    with ledger.read() as tx:
        is_turned = roster.is_turned(tx, project)
    if is_turned:
        with ledger.write() as tx:
            _keep(tx, project, now)
    with ledger.read() as tx:
        rota = _rota(tx, project, span)
        since = book.frozen_since(tx) or book.rules_since(tx) or now
    names = {key: engineer.name for key, engineer in project.people.engineers.items()}
    return Look(rota, since, now, names)


def _keep(tx: sa.Connection, project: Project, now: datetime) -> None:
    turned = roster.keep(tx, project, now)
    if turned is not None:
        from runner.scheduler import notices  # noqa: PLC0415 - letters are heavy, and rules change rarely

        notices.turn(tx, project, turned, now)


def _rota(tx: sa.Connection, project: Project, span: Span | None) -> Rota:
    found = roster.rota_between(tx, project, span.first, span.last) if span else roster.rota_of(tx, project)
    return found or Rota(rules_of(project))
