"""A small project whose report is held: Ann and Bob own it, Dora may approve it, and others are on call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from runner import config
from runner.commands import reports
from runner.ledger import Ledger, Run, journal
from tests.small_projects import change, project, write

DAY = "2017-11-15"
WARN = ('level=\\"pass\\"', 'level=\\"warn\\"')
ZONE = ZoneInfo("America/New_York")
#: Cleo's week, with Eve as the next.
IN_CLEOS_WEEK = datetime(2030, 11, 13, 12, tzinfo=UTC)
IN_EVES_WEEK = datetime(2030, 11, 20, 12, tzinfo=UTC)
ONCALL = """\
time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - {begins: 2030-11-11, order: [cleo, eve, fay]}
"""
MORE = "".join(
    f"  {name}: {{name: {name.title()}, email: {name}@example.com}}\n" for name in ("cleo", "dora", "eve", "fay")
)


def shop(folder: Path, *names: str, warns: bool = False) -> Path:
    """A project of these notebooks; with `warns` the report called good is held."""
    project(folder, *(names or ("good",)), more="    approvers: [dora]\n")
    write(folder / "config/oncall.yml", ONCALL)
    change(folder / "config/people.yml", "readers:\n", f"{MORE}readers:\n")
    if warns:
        change(folder / "notebooks/good.ipynb", *WARN)
    return folder


def make(folder: Path, name: str = "good", **more: object) -> int:
    """Make a report in this process; its exit code."""
    return reports.run(config.load(folder), reports.Wish(name, str(more.pop("as_of", DAY)), **more), as_json=True)


def runs(folder: Path) -> tuple[Run, ...]:
    """The runs of a project, newest first."""
    ledger = Ledger.open(config.load(folder).ledger)
    found = ledger.runs()
    ledger.close()
    return found


def acts(folder: Path) -> list[journal.Act]:
    """All that was done, oldest first."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = journal.acts(tx, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    ledger.close()
    return list(found)
