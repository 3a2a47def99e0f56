"""Who is on call: the rules, the swaps and the frozen past as one rota, and the past kept as it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from runner.config import OnCall, Project
from runner.ledger import rota as book
from runner.plan.oncall import Rota, Shift

#: How far ahead a change of the rota is announced.
HORIZON = timedelta(days=366)
#: How much of the past is read where only the present counts: more than the longest shift.
RECENT = timedelta(days=60)


@dataclass(frozen=True)
class Turned:
    """The rules of the rota changed: the shifts ahead as they were to be, and as they are to be now."""

    before: tuple[Shift, ...]
    after: tuple[Shift, ...]


def rota_of(tx: sa.Connection, project: Project, since: datetime | None = None) -> Rota | None:
    """The rota as the ledger and config/oncall.yml have it; None where the project has no rota.

    With `since` the past before that instant is left out: of no use for who is on call now, and long after years.
    """
    if project.oncall is None:
        return None
    return Rota(project.oncall, book.swaps(tx), book.frozen(tx, since))


def keep(tx: sa.Connection, project: Project, now: datetime) -> Turned | None:
    """Freeze the shifts that are over; where the rules changed, freeze all up to now under the old ones first.

    Gives the change to announce, if there is one. What was before the first look is not frozen: nobody saw it. A look
    from before the last one (a rehearsal with --now) changes nothing: the record only goes forward.
    """
    if project.oncall is None:
        return None
    new, old = project.oncall.model_dump_json(), book.rules(tx)
    if old is None:
        book.set_rules(tx, new, now)
        return None
    since = book.frozen_until(tx) or book.rules_since(tx) or now
    if now < since:
        return None
    before = Rota(OnCall.model_validate_json(old), book.swaps(tx), book.frozen(tx, since - RECENT))
    if old == new:
        if since < now and before.at(since).end <= now:
            book.freeze(tx, before.shifts(since, before.at(now).start))
        return None
    if since < now:
        book.freeze(tx, before.shifts(since, now))
    book.set_rules(tx, new, now)
    after = Rota(project.oncall, before.swaps, book.frozen(tx, since - RECENT))
    return Turned(before.shifts(now, now + HORIZON), after.shifts(now, now + HORIZON))
