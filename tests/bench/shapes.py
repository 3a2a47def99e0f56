"""What an item of the benchmark is given, and what it answers: `measure(size: Size) -> Item` in a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Size:
    """How much to measure: `small` proves that it works, `rounds` is how often each side is timed.

    `folder` is this run's own scratch folder, removed at its end.
    """

    small: bool
    rounds: int
    folder: Path


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where there is no target."""

    label: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Item:
    """What one item found; `details` holds every sample, as JSON can."""

    name: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
