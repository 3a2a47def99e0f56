"""What was fetched, as findings: by whom a day was served, whether it is whole, and what lacks if it is not. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from runner.errors import Trouble
from runner.metrics.periods import Span
from runner.model import Finding, Level
from runner.notebook.loads import Load
from runner.sources.completeness import named

#: Days before a period that its figures are compared with.
COMPARED = 56
_SHOWN = 3


class Days(Protocol):
    """The days that a report is about, both included, and whether the last may still be under way."""

    @property
    def first(self) -> date:
        """The first day."""

    @property
    def last(self) -> date:
        """The last day."""

    @property
    def under_way(self) -> bool:
        """Whether a day that is not over may be reported."""


@dataclass(frozen=True)
class About:
    """The days that a report is about, and days on which the shops stay shut: they need no rows."""

    days: Days
    closed: Container[date] = ()

    @property
    def span(self) -> Span:
        """The days, both included."""
        return Span(self.days.first, self.days.last)


@dataclass(frozen=True)
class Asked:
    """Who answered this very time where it was not the first one asked, and why that one did not.

    `missing` says of days that nobody served what they said who were asked.
    """

    title: str = ""
    instead: str = ""
    missing: str = ""


def findings_of(table: str, loads: Sequence[Load], about: About, asked: Asked) -> Iterator[Finding]:
    """The findings of one table: what it has for a report, and whether the days before are whole."""
    if any(load.day is None for load in loads):
        yield from (_whole(table, load, asked) for load in loads if load.day is None)
        return
    days = about.span
    known = {load.day: load for load in loads if load.day in set(days.days())}
    lacks = [_lack(table, day, known.get(day), asked) for day in days.days() if not _is_fit(day, known.get(day), about)]
    yield _stop(table, lacks) if lacks else _served(table, days, list(known.values()), asked)
    before = [load for load in loads if load.day and not load.whole
              and days.first - timedelta(days=COMPARED) <= load.day < days.first]  # fmt: skip
    if before:
        yield _earlier(table, before)


def _is_fit(day: date, load: Load | None, about: About) -> bool:
    """Whether a day can be reported: whole, or under way with all that should be there by now, or no day at all."""
    if load is None:
        return day in about.closed
    return load.whole or (about.days.under_way and not load.note)


def _lack(table: str, day: date, load: Load | None, asked: Asked) -> str:
    if load is None:
        said = f" ({asked.missing.rstrip('.')})" if asked.missing else ""
        return f"{table} of {named(day)} were not served by anyone{said}"
    return f"{table} of {named(day)}, from {load.title}: {load.note or 'the day is not over'}"


def _stop(table: str, lacks: Sequence[str]) -> Finding:
    more = f"; and {len(lacks) - _SHOWN} more days" if len(lacks) > _SHOWN else ""
    text = f"The data are not complete. {'; '.join(lacks[:_SHOWN])}{more}."
    return Finding(f"supply of {table}", Level.STOP, text, Trouble.DATA_INCOMPLETE, {"days": len(lacks)})


def _served(table: str, days: Span, loads: Sequence[Load], asked: Asked) -> Finding:
    titles = " and ".join(dict.fromkeys(load.title for load in loads)) or "nobody"
    when = named(days.last) if len(days) == 1 else f"{named(days.first)} to {named(days.last)}"
    rows = sum(load.rows for load in loads)
    state = "whole" if all(load.whole for load in loads) else "under way, with all that should be there by now"
    text = f"{table} of {when} were served by {titles}: {rows:,} rows, {state}."
    instead = next((load.instead for load in loads if load.instead), "")
    return Finding(f"supply of {table}", Level.PASS, f"{text}{_why(instead, asked)}", None, {"rows": rows})


def _whole(table: str, load: Load, asked: Asked) -> Finding:
    text = f"{table} were served by {load.title}: {load.rows:,} rows.{_why(load.instead, asked)}"
    return Finding(f"supply of {table}", Level.PASS, text, None, {"rows": load.rows})


def _why(instead: str, asked: Asked) -> str:
    """Why another source than the first served; or served this time what the first had served before."""
    if instead:
        return f" Before it was asked: {instead}"
    same = f" {asked.title} was asked this time and has the same rows. Before it was asked: {asked.instead}"
    return same if asked.instead else ""


def _earlier(table: str, loads: Sequence[Load]) -> Finding:
    said = [f"{named(load.day)} ({load.note or 'it was not over'})" for load in loads if load.day]
    listed = ", ".join(said[:_SHOWN]) + (" and more" if len(said) > _SHOWN else "")
    text = f"Of the days that are compared with, {table} are not whole on {listed}."
    return Finding(f"earlier days of {table}", Level.WARN, text, Trouble.DATA_INCOMPLETE, {"days": len(said)})
