"""Questions to sources for tests: a contract's columns, rows that keep it as JSON and CSV, and what a failure is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from runner.config import ends
from runner.errors import SourceFailed
from runner.sources.access import Access
from runner.sources.source import Want, Wanted

COLUMNS = (
    Wanted("id", "int64"),
    Wanted("code", "str", nullable=True),
    Wanted("amount", "float64"),
    Wanted("sold_at", "time"),
    Wanted("day", "day"),
)
#: The same three lines as JSON and as CSV; two on the 15th, one on the 16th.
ROWS: tuple[Mapping[str, Any], ...] = (
    {"id": 1, "code": "00123", "amount": 1.10, "sold_at": "2017-11-15 09:00:00", "day": "2017-11-15"},
    {"id": 2, "code": None, "amount": "19.99", "sold_at": "2017-11-15T10:30:00", "day": "2017-11-15"},
    {"id": 3, "code": "a,b\nc", "amount": 5, "sold_at": "2017-11-16 00:00:00", "day": "2017-11-16"},
)
CSV = (
    b"id,code,amount,sold_at,day\n"
    b"1,00123,1.10,2017-11-15 09:00:00,2017-11-15\n"
    b"2,,19.99,2017-11-15T10:30:00,2017-11-15\n"
    b'3,"a,b\nc",5,2017-11-16 00:00:00,2017-11-16\n'
)
FIRST, LAST = date(2017, 11, 15), date(2017, 11, 16)


def want(place: str = "lines", first: date | None = FIRST, last: date | None = LAST, **other: Any) -> Want:
    """The days of `lines`."""
    return Want(**{"table": "lines", "columns": COLUMNS, "day": "day", **other}, place=place, first=first, last=last)


def access(folder: Path | None = None, environment: Mapping[str, str] | None = None, **config: Any) -> Access:
    """A source as config has it."""
    keys = {"title": "Till API", **config}
    return Access("tills", ends.Source(**keys), folder or Path(), environment or {})


def outcome(question: Any) -> SourceFailed:
    """The failure that a question ends in."""
    with pytest.raises(SourceFailed) as caught:
        question()
    assert caught.value.what.endswith(".")
    assert caught.value.remedy.endswith(".")
    return caught.value
