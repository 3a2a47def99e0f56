"""Fetch tables by hand, as a report of the day would: into the warehouse, and not further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from runner.commands.signals import INTERRUPTED, heard
from runner.config import Project
from runner.config.names import known
from runner.errors import Interrupted, ReportStopped, UsageError
from runner.ledger import Ledger
from runner.model import Finding, Level
from runner.report.draft import Clock
from runner.report.execute import Stop
from runner.report.supply import Supplier, Wish, fetched
from runner.screen import Screen, screen_for


def fetch(project: Project, names: Sequence[str], as_of: date, now: datetime, *, as_json: bool) -> int:
    """Fetch these tables, or all, up to a day; 1 when one of them is not whole. Raises UsageError, ConfigError."""
    tables = _tables(project, names)
    ledger, clock = Ledger.of(project), Clock(now)
    with screen_for(as_json=as_json, total=0) as screen, heard(Stop()) as stop:
        supplier = Supplier(project, ledger, clock.now, stop, f"fetch-{now:%Y%m%dT%H%M%S}")
        try:
            wish = Wish(tables, as_of, as_of, anew=True)
            found = fetched(wish, supplier, lambda event, fields: _told(screen, event, fields))
        except Interrupted as error:
            screen.line({"event": "end", "ok": False, "message": error.what}, error.what)
            return INTERRUPTED
        except ReportStopped as error:
            row = {"event": "end", "ok": False, "message": error.what, "remedy": error.remedy}
            screen.line({**row, "trouble": str(error.trouble)}, str(error))
            return 1
        finally:
            ledger.close()
        for finding in found:
            screen.line({"event": "finding", **finding.as_dict()}, f"{finding.level:<4}  {finding.message}")
    return _code(found)


def _tables(project: Project, names: Sequence[str]) -> tuple[str, ...]:
    there = project.sources.fetched
    if not there:
        remedy = "Name a table, and another source than the package for it, in config/sources.yml."
        raise UsageError("Nothing is fetched in this project: none of its tables comes from elsewhere.", remedy)
    for name in names:
        if name not in there:
            raise UsageError(f"No table is fetched under the name {name!r}.", known(name, there))
    return tuple(dict.fromkeys(names)) or tuple(there)


def _told(screen: Screen, event: str, fields: Mapping[str, Any]) -> None:
    screen.line({"event": event, **fields}, _text(event, fields))


def _text(event: str, fields: Mapping[str, Any]) -> str:
    about = fields["table"]
    days = f" {fields['first']} to {fields['last']}" if fields.get("first") else ""
    if event == "source asked":
        return f"{about}: {fields['title']} answered in {fields['seconds']:.1f} s. {fields['message']}".rstrip() if (
            fields["trouble"] is None
        ) else f"{about}: {fields['title']}: {fields['message']}"  # fmt: skip
    if event == "table loaded":
        new = "" if fields["changed"] else ", nothing new"
        return f"{about}:{days} {fields['rows']:,} rows from {fields['title']}{new}."
    if event == "waiting for data":
        return f"{about}: waiting {fields['seconds']:.0f} s. {fields['message']}"
    return f"{about}:{days} asked for."


def _code(found: Sequence[Finding]) -> int:
    return 1 if any(finding.level is Level.STOP for finding in found) else 0
