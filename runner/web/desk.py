"""What all requests share: the project as its config/ is now, its ledger, the clock, the environment."""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from runner import config
from runner.config import Project
from runner.errors import ConfigError
from runner.ledger import Ledger
from runner.report.draft import Clock as RunClock
from runner.report.draft import Ctx
from runner.report.execute import Stop
from runner.web.backlog import Backlog
from runner.web.limits import Limits

if TYPE_CHECKING:
    from runner.web.open_id import Provider

#: Seconds between two looks at whether config/ changed.
_LOOKS = 2.0


class Clock(Protocol):
    """Tells the present instant, aware, in UTC."""

    def now(self) -> datetime:
        """The present instant."""


@dataclass
class Desk:
    """One desk over one project. Safe to share between threads."""

    first: Project
    ledger: Ledger
    clock: Clock
    environment: Mapping[str, str] = field(repr=False)
    log: Callable[..., Any] = lambda *_, **__: None
    limits: Limits = field(default_factory=Limits)
    backlog: Backlog = field(default_factory=Backlog)

    def __post_init__(self) -> None:
        self.refused = False  # whether config/ as it is now does not load
        self._lock = threading.Lock()
        self._project = self.first
        self._stamps = config.stamps(self.first.folder)
        self._looked = time.monotonic()

    @property
    def project(self) -> Project:
        """The project as config/ is now; where that does not load, as it was last."""
        with self._lock:
            if time.monotonic() - self._looked >= _LOOKS:
                self._looked = time.monotonic()
                self._renew()
            return self._project

    @cached_property
    def provider(self) -> Provider:
        """Who vouches for company accounts; loaded when first needed."""
        from runner.web.open_id import Provider  # noqa: PLC0415 - brings all that tokens are read with

        return Provider()

    @property
    def known(self) -> Project:
        """The project as it was last looked at: costs nothing, and is for what stands before every request."""
        return self._project

    def look_again(self) -> None:
        """Look at config/ now, however short a while ago that was done."""
        with self._lock:
            self._renew()

    def _renew(self) -> None:
        stamps = config.stamps(self.first.folder)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._project = config.load(self.first.folder, self.first.censor)
            self.refused = False
            self.log("config taken up")
        except ConfigError as error:
            self.refused = True
            self.log("config refused", error=str(error))

    def ctx(self, now: datetime) -> Ctx:
        """What acts upon reports need: approvals, deliveries."""
        return Ctx(self.project, self.ledger, RunClock(now), Stop(), lambda _: None, environment=self.environment)

    def failed(self, event: str, path: str, error: Exception) -> str:
        """Log an error that nobody foresaw, whole but for secrets; its number, for whoever asked."""
        number = secrets.token_hex(4)
        text = self.known.censor.redact("".join(traceback.format_exception(error)))
        self.log(event, path=path, number=number, error=text)
        return number
