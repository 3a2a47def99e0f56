"""The rota as pages ask for it: for a span, on its own clocks, at moments that somebody typed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from starlette.responses import Response

from runner.plan.calendar import Span, instant
from runner.scheduler import oncall
from runner.scheduler.oncall import Look
from runner.web.page import Answer
from runner.web.visit import Visit

#: Years that can be asked about.
EARLIEST, LATEST = 1980, 2200
#: Characters of one field that are read.
READ = 100


def with_rota(answer: Answer) -> Answer:
    """A page about the rota: where there is none it says so, and how to have one."""

    def page(visit: Visit) -> Response:
        return answer(visit) if visit.project.oncall else visit.page("rota_none.html.j2")

    return page


def look(visit: Visit, first: datetime, last: datetime) -> Look:
    """The rota for questions about a span."""
    return oncall.look(visit.ledger, visit.project, visit.now, Span(first, last))


def zone_of(visit: Visit) -> ZoneInfo:
    """The zone of the rota's clocks."""
    return ZoneInfo(oncall.rules_of(visit.project).time_zone)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """An instant; without a zone it is on the clocks of this one. Raises ValueError where it is none, or far away."""
    try:
        given = datetime.fromisoformat(text.strip())
        found = given.astimezone(UTC) if given.tzinfo else instant(given.date(), given.time(), zone)
    except OverflowError:
        raise ValueError(text) from None
    if not EARLIEST <= found.year < LATEST:
        raise ValueError(text)
    return found
