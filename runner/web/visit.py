"""One request: who asks, when, what they sent; and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runner.acts.people import on_call_at
from runner.config import Project
from runner.ledger import Ledger, Run, access, deliveries, journal
from runner.ledger.journal import Act
from runner.web import looks, session
from runner.web.access import Visitor
from runner.web.desk import Desk

NOBODY = Visitor("", "", "")


@dataclass(frozen=True)
class Visit:
    """One request, its visitor (NOBODY before sign-in) and the instant; all that it asks is asked at that instant."""

    desk: Desk
    request: Request
    now: datetime
    project: Project
    visitor: Visitor = NOBODY
    secret: str = field(default="", repr=False)  # of the session
    form: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self.desk.ledger

    @property
    def params(self) -> Mapping[str, str]:
        """The parts of the path that the route names."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark."""
        return self.request.query_params

    @property
    def plan_zone(self) -> ZoneInfo:
        """The zone of the promises."""
        return ZoneInfo(self.project.settings.time_zone)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The reader's zone, as their browser said it; without a word of it, that of the promises."""
        return looks.zone_of(unquote(self.request.cookies.get("zone", ""))) or self.plan_zone

    @cached_property
    def run(self) -> Run | None:
        """The run that the path names."""
        return self.ledger.run(self.params["run"]) if "run" in self.params else None

    @cached_property
    def on_call(self) -> tuple[str, ...]:
        """The keys of those on call now, primary first; nobody where the project has no rota."""
        return on_call_at(self.project, self.ledger, self.now)

    def had_it(self, run: str) -> bool:
        """Whether this run's report was given to the visitor: what is owed only is not seen yet."""
        with self.ledger.read() as tx:
            return bool(self.visitor.email) and deliveries.was_given(tx, run, self.visitor.email)

    # Answers.

    def page(self, template: str, status: int = 200, **data: Any) -> Response:
        """A page of templates/web."""
        said = None
        if self.secret and self.request.method == "GET" and "x-live" not in self.request.headers:
            with self.ledger.read() as tx:
                said = access.notice(tx, self.secret)
            if said:
                with self.ledger.write() as tx:
                    access.say(tx, self.secret, None)
        text = looks.render(self, template, {"notice": said, **data})
        return HTMLResponse(text, status)

    def to(self, path: str, said: str = "", tone: str = "good") -> Response:
        """Go on to another page of ours, which says what was done."""
        if said:
            self.say(said, tone)
        return RedirectResponse(f"{self.request.scope.get('root_path', '')}{path}", 303)

    def say(self, said: str, tone: str = "good") -> None:
        """Have the next page of theirs say what was done."""
        if self.secret:
            with self.ledger.write() as tx:
                access.say(tx, self.secret, (tone, said))

    def act(self, what: str, **details: Any) -> None:
        """Write down what the visitor did, where no part of the house below does so by itself."""
        with self.ledger.write() as tx:
            journal.act(tx, Act(self.now, self.visitor.who, what, details))

    @property
    def csrf(self) -> str:
        """What every form carries."""
        return session.csrf_of(self.secret) if self.secret else ""
