"""Today: every deadline against now, who is on call, what is wrong; the page that engineers keep open."""

from __future__ import annotations

from starlette.responses import Response

from runner.ledger import incidents
from runner.scheduler import standing
from runner.scheduler.opening import onlooker
from runner.web.access import SIGNED_IN
from runner.web.page import Page
from runner.web.visit import Visit


def today(visit: Visit) -> Response:
    """The first page. Readers who follow no pipeline have their archive for it."""
    if not visit.visitor.engineer and not visit.visitor.follows:
        return visit.to("/archive")
    office = onlooker(visit.project, visit.ledger)
    with visit.ledger.read() as tx:
        stands = [
            item for item in standing.standing(tx, office, visit.now) if visit.visitor.sees(item.owed.deadline.pipeline)
        ]
        warnings = standing.warnings(tx, office, visit.now) if visit.visitor.engineer else []
        open_ = list(incidents.opened(tx).values()) if visit.visitor.engineer else []
        shift = standing.shift_at(tx, visit.project, visit.now)
    return visit.page("today.html.j2", stands=stands, warnings=warnings, incidents=open_, shift=shift)


PAGES = (Page("/", SIGNED_IN, today),)
