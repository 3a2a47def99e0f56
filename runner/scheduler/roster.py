"""Who is on call: the rules, the swaps and the frozen past as one rota, and the past kept as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from runner.config import OnCall, Project
from runner.ledger import journal
from runner.ledger import rota as book
from runner.ledger.journal import Mark
from runner.plan.calendar import BusinessCalendar
from runner.plan.oncall import Rota, Shift

#: How far ahead a change of the rota is announced.
HORIZON = timedelta(days=366)
#: How much of the past is read where only the present counts: more than the longest shift.
RECENT = timedelta(days=60)
#: The mark at which the scheduler notes its last look.
WATERMARK = "looked at"
_KNOWN = "people of the rota"  # the mark of those who could be on duty at the last look
_ROTA_ACTS = ("swap ", "rota ")  # how acts begin that change who is on call
_NEVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Turned:
    """The terms of the rota changed: the shifts ahead as they were to be, and as they are to be now."""

    before: tuple[Shift, ...]
    after: tuple[Shift, ...]


def rota_of(tx: sa.Connection, project: Project, since: datetime | None = None) -> Rota | None:
    """The rota as the ledger and config/ have it; None where the project has no rota.

    With `since` the past before that instant is left out: of no use for who is on call now, and long after years.
    """
    if project.oncall is None:
        return None
    return Rota(project.oncall, book.swaps(tx), book.frozen(tx, since), frozenset(project.people.engineers))


def rota_between(tx: sa.Connection, project: Project, first: datetime, last: datetime) -> Rota | None:
    """The rota for questions about [first, last) alone: of record and swaps only what touches that span is read.

    The record is read somewhat further, so that its end is not taken for the end of all that is frozen.
    """
    if project.oncall is None:
        return None
    known, end = frozenset(project.people.engineers), last + RECENT
    shifts = book.frozen_between(tx, first - RECENT, end)
    return Rota(project.oncall, book.swaps_between(tx, first - RECENT, end), shifts, known)


def shift_at(tx: sa.Connection, project: Project, at: datetime) -> Shift | None:
    """Who is on call at an instant; None where the project has no rota."""
    rota = rota_of(tx, project, at - RECENT)
    return rota.at(at) if rota else None


def is_turned(tx: sa.Connection, project: Project) -> bool:
    """Whether the rules or the people are other than at the last look, or there was none: whether `keep` has work."""
    return project.oncall is not None and _terms(tx) != _Terms.of(project)


def holiday_of(project: Project) -> Callable[[date], str]:
    """The days that count as holidays in shares of the rota: those of its own calendar, with the company's days."""
    days = project.holidays
    name = project.oncall.holiday_calendar if project.oncall else days.business_calendar
    return BusinessCalendar(name, dict(days.no_business), dict(days.business)).holiday


def keep(tx: sa.Connection, project: Project, now: datetime, *, finished: bool = False) -> Turned | None:
    """Where the rules or the people changed, freeze all up to now under the old ones; give the change to announce.

    With `finished`, which is the scheduler's look alone, shifts that are over are frozen too. A question freezes
    nothing while all is as it was, whatever instant it takes for the present. What was before the first look is not
    frozen: nobody saw it. A look from before the scheduler's last one, or before the end of what is frozen, changes
    nothing: the record only goes forward. Only the scheduler's first look moves the beginning back, to itself, where a
    question from later was first.
    """
    last = looked(tx)
    if project.oncall is None or (last is not None and now < last):
        return None
    new, old, frozen = _Terms.of(project), _terms(tx), book.frozen_until(tx)
    since = frozen or book.rules_since(tx) or now
    if old is None or (finished and now < since and last is None and frozen is None):
        _agree(tx, new, now)
        return None
    if now < since:
        return None
    before = Rota(OnCall.model_validate_json(old.rules), book.swaps(tx), book.frozen(tx, since - RECENT), old.people)
    if old == new:
        if finished and since < now and before.at(since).end <= now:
            book.freeze(tx, before.shifts(since, before.at(now).start))
        return None
    return _turn(tx, new, _Span(before, since, now), replace(before, rules=project.oncall, known=new.people))


def seen_after(tx: sa.Connection, at: datetime) -> datetime | None:
    """The latest instant after `at` of which the ledger knows who was on call, or None.

    It is that of the scheduler's last look, of the end of what is frozen, or of the last act about the rota. Acts about
    other things are no measure: some bear the time of the wall clock while the scheduler rehearses another.
    """
    acts = (act.at for act in journal.acts(tx, at, _NEVER) if act.what.startswith(_ROTA_ACTS))
    times = (looked(tx), book.frozen_until(tx), *acts)
    return max((time for time in times if time is not None and time > at), default=None)


def looked(tx: sa.Connection) -> datetime | None:
    """When the scheduler looked last; None before any look."""
    mark = journal.mark(tx, WATERMARK)
    return mark.at if mark else None


# On what terms people are on call.


@dataclass(frozen=True)
class _Terms:
    """The rules as JSON, and the keys of people.yml; None in a ledger from before these were noted."""

    rules: str
    people: frozenset[str] | None

    @classmethod
    def of(cls, project: Project) -> _Terms:
        """Those of a project that has a rota."""
        rules = project.oncall.model_dump_json() if project.oncall else ""
        return cls(rules, frozenset(project.people.engineers))


def _terms(tx: sa.Connection) -> _Terms | None:
    """Those of the last look; None before any."""
    rules, people = book.rules(tx), journal.mark(tx, _KNOWN)
    known = frozenset(json.loads(people.text)) if people and people.text else None
    return _Terms(rules, known) if rules is not None else None


def _agree(tx: sa.Connection, terms: _Terms, now: datetime) -> None:
    """Note the terms that hold from now on."""
    book.set_rules(tx, terms.rules, now)
    journal.set_mark(tx, _KNOWN, _mark(terms, now))


def _mark(terms: _Terms, now: datetime) -> Mark:
    return Mark(now, json.dumps(sorted(terms.people or ())))


@dataclass(frozen=True)
class _Span:
    """A rota up to now, of which all before `since` is frozen."""

    rota: Rota
    since: datetime
    now: datetime


def _turn(tx: sa.Connection, terms: _Terms, past: _Span, after: Rota) -> Turned | None:
    """Freeze the past and let new terms hold; None where nothing but people without a part in it came or went."""
    now, before, last = past.now, past.rota, past.now + HORIZON
    if before.rules == after.rules and before.shifts(past.since, last) == after.shifts(past.since, last):
        journal.set_mark(tx, _KNOWN, _mark(terms, now))
        return None
    if past.since < now:
        book.freeze(tx, before.shifts(past.since, now))
    _agree(tx, terms, now)
    return Turned(before.shifts(now, last), after.shifts(now, last))
