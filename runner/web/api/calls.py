"""One request of a machine: its token, the project, the ledger, the instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from starlette.requests import Request

from runner.config import Project
from runner.ledger import Ledger
from runner.ledger.access import Token
from runner.web.access import bearer
from runner.web.desk import Desk


@dataclass(frozen=True)
class Call:
    """A request that may be; all that it asks is asked at one instant."""

    project: Project
    ledger: Ledger
    now: datetime
    token: Token

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the promises."""
        return ZoneInfo(self.project.settings.time_zone)


def admitted(request: Request, desk: Desk, scope: str) -> Call:
    """The request of a machine whose token has a scope. Raises Refused."""
    now = desk.clock.now()
    return Call(desk.project, desk.ledger, now, bearer(request, scope, desk, now))


def call_of(request: Request) -> Call:
    """The request that an address is asked by; it was admitted before."""
    call: Call = request.state.call
    return call
