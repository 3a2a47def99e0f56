"""The frozen objects that every part of the runner speaks in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from runner.errors import Trouble

#: Media type of one block of a report: a JSON object with a "type" (see `runner.document.blocks`).
BLOCK_MIME = "application/vnd.runner.block+json"
#: Media type that scrapbook glues JSON scraps under (scrapbook 0.5).
SCRAP_MIME = "application/scrapbook.scrap.json+json"


class Level(StrEnum):
    """How a check came out, from harmless to forbidding."""

    PASS = "pass"  # noqa: S105  a level, no secret
    WARN = "warn"
    STOP = "stop"


class Decision(StrEnum):
    """What the gate says of a report: deliver it, hold it for a person, or let nothing leave."""

    DELIVER = "deliver"
    HOLD = "hold"
    STOP = "stop"


class Status(StrEnum):
    """How a run ended, taken from what happened."""

    RUNNING = "running"
    READY = "ready"
    DELIVERED = "delivered"
    HELD = "held"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Finding:
    """One result of a check: its level, one sentence, and the numbers behind it."""

    check: str
    level: Level
    message: str
    trouble: Trouble | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {**asdict(self), "level": str(self.level), "trouble": self.trouble and str(self.trouble)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Finding:
        """The finding that `as_dict` described. Raises KeyError or ValueError on anything else."""
        trouble = data.get("trouble")
        return cls(
            str(data["check"]),
            Level(data["level"]),
            str(data["message"]),
            Trouble(trouble) if trouble else None,
            dict(data.get("numbers") or {}),
        )


@dataclass(frozen=True)
class Figure:
    """One number that a reader is shown, as a value and as the very text that is printed."""

    name: str
    value: int | float | str
    text: str
    label: str
    unit: str = "count"
    prior: int | float | None = None
    change: str = ""
    tone: str = "neutral"  # good, bad or neutral
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Figure:
        """The figure that `as_dict` described. Raises KeyError or TypeError on anything else."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


@dataclass(frozen=True)
class Scraps:
    """What an executed notebook hands over: figures, findings, records and sources, in the order glued."""

    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    records: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)
