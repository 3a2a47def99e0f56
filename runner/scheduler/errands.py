"""What a scheduler has done beside the reports, without waiting for it: each errand in a thread of its own, by name."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.sources.audits import Asks


@dataclass(frozen=True)
class Back:
    """An errand that has ended: its name, and what it brought, or the error that ended it."""

    name: str
    brought: Any = None
    error: Exception | None = None


class Errands:
    """Errands under way in this process. Their threads do not keep it from ending: what is lost is done again."""

    def __init__(self) -> None:
        self._under_way: dict[str, threading.Thread] = {}
        self._back: queue.SimpleQueue[tuple[threading.Thread, Back]] = queue.SimpleQueue()
        self._waiting: list[Back] = []

    @property
    def busy(self) -> frozenset[str]:
        """The names of those that are under way, or back and not asked for."""
        return frozenset(self._under_way)

    def start(self, name: str, work: Callable[[], Any]) -> bool:
        """Send for something; comes back at once. False where an errand of this name is under way."""
        if name in self._under_way:
            return False
        thread = threading.Thread(target=self._go, args=(name, work), name=name, daemon=True)
        self._under_way[name] = thread
        thread.start()
        return True

    def _go(self, name: str, work: Callable[[], Any]) -> None:
        try:
            back = Back(name, work())
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever sent for it must hear of it
            back = Back(name, error=error)
        self._back.put((threading.current_thread(), back))

    def back(self, prefix: str = "") -> tuple[Back, ...]:
        """Those whose name begins so and that have ended since this was asked last."""
        while not self._back.empty():
            thread, back = self._back.get()
            if self._under_way.get(back.name) is thread:  # else it was left behind
                self._waiting.append(back)
        found = tuple(back for back in self._waiting if back.name.startswith(prefix))
        self._waiting = [back for back in self._waiting if back not in found]
        for back in found:
            del self._under_way[back.name]
        return found

    def leave(self, name: str) -> None:
        """Wait no longer for an errand, whatever it brings."""
        self._under_way.pop(name, None)
        self._waiting = [back for back in self._waiting if back.name != name]


@dataclass(frozen=True)
class Outside:
    """What a scheduler in earnest reaches beside its own ledger: sources, and those who run errands.

    `opened` takes the place of opening the sources of config.
    """

    environment: Mapping[str, str] = field(repr=False)
    errands: Errands = field(default_factory=Errands)
    opened: Asks | None = None
