"""A source of the tests: it holds tables in memory, and fails, hangs or forbids as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from runner.config.ends import Source
from runner.errors import SourceFailed, Trouble
from runner.scheduler.errands import Errands
from runner.sources.inquiry import Place
from runner.sources.source import Want

DOWN = SourceFailed("Connection refused.", "Ask those who run it.", passing=True)
REVOKED = SourceFailed("It no longer lets us in.", "Renew it.", Trouble.PERMISSION_REVOKED)


@dataclass
class Spoken:
    """What it has and may do; `fails` is raised instead of every answer, `waits` is waited for before any."""

    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    may: frozenset[str] | None = None
    fails: Exception | None = None
    waits: threading.Event | None = None
    asked: list[Want | str] = field(default_factory=list)

    def _answer(self, what: Want | str) -> None:
        self.asked.append(what)
        if self.waits is not None:
            self.waits.wait(30)
        if self.fails is not None:
            raise self.fails

    def read(self, want: Want, left: float) -> pa.Table:  # noqa: ARG002
        """The rows of the days asked for."""
        self._answer(want)
        rows = self.tables[want.place]
        if want.day is None:
            return rows
        days = rows[want.day]
        first, last = (pa.scalar(day, pa.date32()) for day in (want.first, want.last))
        return rows.filter(pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last)))

    def watermark(self, want: Want, left: float) -> datetime | None:  # noqa: ARG002
        """It cannot say."""
        return None

    def probe(self, left: float) -> None:  # noqa: ARG002
        """Whether it answers."""
        self._answer("probe")

    def rights(self, left: float) -> frozenset[str] | None:  # noqa: ARG002
        """What may be done there."""
        self._answer("rights")
        return self.may


def opener(spoken: Mapping[str, Spoken], configs: Mapping[str, Source]) -> Callable[[Iterable[str]], tuple[Place, ...]]:
    """What opens these sources in place of those of config, under the same names."""
    return lambda names: tuple(Place(name, configs[name], spoken[name]) for name in names)


class Prompt(Errands):
    """Errands that are run at once, in the thread of whoever sends for them."""

    def start(self, name: str, work: Callable[[], Any]) -> bool:
        """Do it now; what it brings is back when it is asked for."""
        if name in self._under_way:
            return False
        self._under_way[name] = threading.current_thread()
        self._go(name, work)
        return True
