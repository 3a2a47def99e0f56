"""What all requests share: the project as its config/ is now, its ledger, the clock, the environment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from runner import config
from runner.config import Project
from runner.errors import ConfigError
from runner.ledger import Ledger
from runner.report.draft import Clock as RunClock
from runner.report.draft import Ctx
from runner.report.execute import Stop

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

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._project = self.first
        self._stamps = _stamps(self.first.folder)
        self._looked = time.monotonic()

    @property
    def project(self) -> Project:
        """The project as config/ is now; where that does not load, as it was last."""
        with self._lock:
            if time.monotonic() - self._looked >= _LOOKS:
                self._looked = time.monotonic()
                self._renew()
            return self._project

    def _renew(self) -> None:
        stamps = _stamps(self.first.folder)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._project = config.load(self.first.folder, self.first.censor)
            self.log("config taken up")
        except ConfigError as error:
            self.log("config refused", error=str(error))

    def ctx(self, now: datetime) -> Ctx:
        """What acts upon reports need: approvals, deliveries."""
        return Ctx(self.project, self.ledger, RunClock(now), Stop(), lambda _: None, environment=self.environment)


def _stamps(folder: Path) -> dict[str, int]:
    files = sorted((folder / "config").rglob("*"))
    return {str(path): path.stat().st_mtime_ns for path in files if path.is_file()}
