"""A shop that fetches its one table `receipts` from sources of its own; the demonstration's are there, empty."""

from __future__ import annotations

from pathlib import Path

from runner.notebook import warehouse
from tests import small_warehouse
from tests.small_projects import change, project, write

SOURCES = """\
sources:
  till: {kind: files, title: Till, url: till, format: csv, tries: 1}
  replica: {kind: files, title: Replica, url: replica, format: csv, tries: 1}
tables:
  receipts: {from: [till, replica], day: day, time: sold_at, begins: "2017-10-16"MORE}
"""
CONTRACT = """\
table: receipts
key: [receipt]
columns:
  receipt: {type: int64, min: 1}
  amount: {type: float64, min: 0}
  sold_at: {type: time}
  day: {type: day}
"""
COSTS = """\
goods: {"*": 0.5}
handling_per_basket: 1
contact_per_household: 1
clearing_per_redemption: 0.1
"""
NOTEBOOK = "fetched_receipts"


def shop(folder: Path, *, more: str = "", holidays: str = "closed_on: []\n") -> Path:
    """The project, with one report of a day; `more` is added to the entry of `receipts`, such as `, wait: 1 min`."""
    made = project(folder, NOTEBOOK)
    for name, text in {
        "sources.yml": SOURCES.replace("MORE", more), "contracts/receipts.yml": CONTRACT, "holidays.yml": holidays,
        "costs.yml": COSTS,
    }.items():  # fmt: skip
        write(made / "config" / name, text)
    change(made / "config/pipelines.yml", "sources: []", "sources: [warehouse]")
    empty(made)
    return made


def empty(folder: Path) -> Path:
    """A warehouse without rows where the project has its own, stamped as built: the demonstration takes seconds."""
    path = folder / warehouse.PLACE
    path.parent.mkdir(exist_ok=True)
    small_warehouse.build(path, {"products": ()})
    path.with_suffix(".sha256").write_text(warehouse.stamp_of(path, warehouse.fingerprint(folder)))
    return path
