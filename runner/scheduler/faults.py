"""Faults that are real: each breaks a copy of a project so that its own kind of trouble comes of it.

Whatever is broken carries the word "Drill" where a person reads it, and every file is kept before it is touched, so
that `mend` puts it back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from runner.config import WAREHOUSE, Pipeline, Project
from runner.document.shipped import TEMPLATES
from runner.errors import Trouble, UsageError
from runner.plan.incidents import State
from runner.report import notebooks
from runner.scheduler.copies import rewrite

NOT_STARTED = str(State.NOT_STARTED)
#: Where a drill keeps what it touched, in the folder of the copy.
KEPT, NOTE, MENDED = ".drill", "fault.json", "mended.json"


@dataclass(frozen=True)
class Site:
    """Where a fault is made: a folder with a project, one pipeline of it, and the day that its report is about."""

    folder: Path
    pipeline: Pipeline
    as_of: date
    warehouse: str = ""
    maildir: str = ""

    @classmethod
    def of(cls, project: Project, pipeline: Pipeline, as_of: date) -> Site:
        """The site of a project."""
        return cls(project.folder, pipeline, as_of, project.settings.warehouse, project.settings.maildir)

    @property
    def notebook(self) -> Path:
        """The pipeline's notebook."""
        return self.folder / "notebooks" / self.pipeline.notebook

    @property
    def day(self) -> date:
        """The last day of the data that the report is about."""
        return self.as_of - timedelta(days=self.as_of.isoweekday()) if self.pipeline.period == "week" else self.as_of

    @property
    def tables(self) -> tuple[str, ...]:
        """The CSV files among the sources."""
        return tuple(source for source in self.pipeline.sources if source.endswith(".csv"))

    @property
    def code(self) -> str:
        """The notebook's code as one text."""
        return "\n".join(cell.source for cell in notebooks.read(self.notebook).cells if cell.cell_type == "code")

    def keep(self, name: str) -> Path:
        """A file of the folder, kept as it was before it is changed for the first time."""
        path, kept, note = self.folder / name, self.folder / KEPT / "was" / name, self.folder / KEPT / NOTE
        said = json.loads(note.read_text(encoding="utf-8"))
        if name not in said["files"]:
            if path.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, kept)
            note.write_text(json.dumps({**said, "files": [*said["files"], name]}), encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _always(_: Site) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """One fault: what it does, how it is made, and what a pipeline lacks for it (empty: nothing).

    `before`: the report of the day before is made while all is well. `reader`: there must be somebody whom it can be
    handed to. `starts`: the scheduler takes it up. `cancelled`: its run is cancelled as soon as it is under way.
    """

    name: str
    does: str
    make: Callable[[Site], None] = lambda _: None
    lacks: Callable[[Site], str] = field(default=_always)
    before: bool = False
    reader: bool = False
    starts: bool = True
    cancelled: bool = False


def chosen(site: Site, name: str) -> Fault:
    """The fault of this name. Raises UsageError with those that there are, or that this pipeline can have."""
    listed = f"{site.pipeline.name} can have: {', '.join(available(site))}."
    if name not in FAULTS:
        raise UsageError(f"{name!r} is no fault." if name else "Which fault?", f"--fault NAME; {listed}")
    lack = FAULTS[name].lacks(site)
    if lack:
        raise UsageError(f"{site.pipeline.name} cannot have {name!r}: {lack}.", listed)
    return FAULTS[name]


def available(site: Site) -> tuple[str, ...]:
    """The names of the faults that a pipeline can have."""
    return tuple(name for name, fault in FAULTS.items() if not fault.lacks(site))


def inject(fault: Fault, site: Site) -> None:
    """Make a fault, for real, and label it."""
    kept = site.folder / KEPT
    kept.mkdir()
    said = {"fault": fault.name, "pipeline": site.pipeline.name, "as_of": site.as_of.isoformat(), "files": []}
    (kept / NOTE).write_text(json.dumps(said), encoding="utf-8")
    if fault.starts and not fault.reader:
        _insert(site, notebooks.words(_label(fault, site)))
    fault.make(site)


def _label(fault: Fault, site: Site) -> str:
    mended = f"`runner drill --mend {site.folder.name}` takes it away"
    return f"## Drill\n\n**This is a drill.** This copy has a fault on purpose: {fault.does}; {mended}."


def mend(folder: Path) -> str:
    """Take a drill's fault away: every file it touched is as it was before. Gives the fault's name.

    Raises UsageError when there is no fault, or none any more.
    """
    note = folder / KEPT / NOTE
    if not note.is_file():
        gone = (folder / KEPT / MENDED).is_file()
        what = f"The fault of drill {folder.name} is taken away already." if gone else f"No drill is {folder.name!r}."
        raise UsageError(what, _drills(folder.parent) if not gone else "Make the report, as the message says.")
    said = json.loads(note.read_text(encoding="utf-8"))
    for name in said["files"]:
        kept = folder / KEPT / "was" / name
        (folder / name).unlink(missing_ok=True)
        if kept.exists():
            shutil.copy2(kept, folder / name)
    note.replace(note.with_name(MENDED))
    return str(said["fault"])


def _drills(folder: Path) -> str:
    found = [path.parent.parent.name for path in sorted(folder.glob(f"*/{KEPT}/{NOTE}"))]
    return f"Those with a fault: {', '.join(found[-5:])}." if found else "There is none with a fault."


# What is done to the notebook.


def _insert(site: Site, cell: notebooks.NotebookNode) -> None:
    """A cell right before the first that does something: after the parameters and what was inserted before."""
    path = site.keep(f"notebooks/{site.pipeline.notebook}")
    nb = notebooks.read(path)
    tagged = [i for i, cell in enumerate(nb.cells) if {"parameters", KEPT} & set(cell.metadata.get("tags", ()))]
    cell.metadata["tags"] = [*cell.metadata.get("tags", ()), KEPT]
    nb.cells.insert(tagged[-1] + 1 if tagged else 0, cell)
    notebooks.write(nb, path)


def _cell(source: str) -> Callable[[Site], None]:
    """A fault that is a cell of the notebook."""
    return lambda site: _insert(site, notebooks.code(source))


_ENDLESS = "import time\n\ntime.sleep(86_400)  # Drill: this cell takes a day, on purpose."
_AWAY = """\
from runner.notebook import Report

# Drill: the source is said to be away, on purpose.
Report({name!r}, as_of).require(
    "the source can be reached", ok=False, trouble="source unavailable",
    message="Drill: the source of this report cannot be reached.", remedy="Take the drill's fault away.",
)"""


def _away(site: Site) -> None:
    _insert(site, notebooks.code(_AWAY.format(name=site.pipeline.name)))


def _too_slow(site: Site) -> None:
    """A cell that outlasts the limit of its run, which is made short."""

    def shorten(data: dict[str, Any]) -> None:
        data["pipelines"][site.pipeline.name]["limit"] = "5 s"

    rewrite(site.keep("config/pipelines.yml"), shorten)
    _insert(site, notebooks.code(_ENDLESS))


# What is done to the data.


def _in_warehouse(site: Site, *statements: str) -> None:
    """Change the warehouse, and stamp it as current, so that it is not built again."""
    import duckdb  # noqa: PLC0415 - only faults in data need it

    from runner.notebook import warehouse  # noqa: PLC0415

    path, stamp = site.keep(site.warehouse), site.keep(str(Path(site.warehouse).with_suffix(".sha256")))
    wanted, _, _, *landed = stamp.read_text(encoding="ascii").split()
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement.format(day=f"DATE '{site.day}'"))
    stamp.write_text(" ".join([warehouse.stamp_of(path, wanted), *landed]), encoding="ascii")


def _warehouse(*statements: str) -> Callable[[Site], None]:
    """A fault that is a change of the warehouse."""
    return lambda site: _in_warehouse(site, *statements)


def _no_warehouse(site: Site) -> str:
    return "" if WAREHOUSE in site.pipeline.sources else "it does not rest on the warehouse"


def _one_line(day: str) -> str:
    """The statement that takes one till line of a day away; which one is always the same."""
    return f"""
        DELETE FROM transactions WHERE (basket_id, product_id) IN (
            SELECT basket_id, product_id FROM transactions WHERE day = {day} AND sales_value >= 1
            ORDER BY sales_value, basket_id, product_id LIMIT 1)"""


_FOURFOLD = """
    INSERT INTO transactions
    SELECT transactions.* REPLACE (basket_id + 1000000000000 * times.number AS basket_id)
    FROM transactions, range(1, 4) AS times(number) WHERE day = {day}"""


def _incomplete(site: Site) -> None:
    if WAREHOUSE in site.pipeline.sources:
        _in_warehouse(site, "DELETE FROM transactions WHERE day = {day}")
        return
    path = site.keep(next(name for name in site.tables if _names_day(site, name)))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if site.day.isoformat() not in line), encoding="utf-8")


def _names_day(site: Site, name: str) -> bool:
    return site.day.isoformat() in (site.folder / name).read_text(encoding="utf-8")


def _no_day(site: Site) -> str:
    if WAREHOUSE in site.pipeline.sources or any(_names_day(site, name) for name in site.tables):
        return ""
    return f"neither the warehouse nor a CSV file of its sources holds {site.day}"


def _renamed(site: Site) -> None:
    if WAREHOUSE in site.pipeline.sources:
        _in_warehouse(site, "ALTER TABLE transactions RENAME COLUMN quantity TO drill_quantity")
        return
    path = site.keep(site.tables[0])
    head, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    before, comma, last = head.rpartition(",")
    path.write_text("".join([f"{before}{comma}drill_{last}", *rest]), encoding="utf-8")


def _no_contract(site: Site) -> str:
    if ".contract(" not in site.code:
        return "its notebook holds no table against a contract"
    return "" if site.tables or WAREHOUSE in site.pipeline.sources else "it rests on no table"


def _one_system(site: Site) -> str:
    return _no_warehouse(site) or ("" if str(Trouble.SOURCES_DISAGREE) in site.code else "it compares no two sources")


def _no_range(site: Site) -> str:
    return _no_warehouse(site) or (
        # What an input recorded is held against the warehouse before any range is.
        "it rests on what another report recorded" if site.pipeline.inputs else ""
    )


def _no_record(site: Site) -> str:
    recorded = "" if ".record(" in site.code else "it records nothing that could be restated"
    return _no_warehouse(site) or recorded


# What is done to templates and mail.


def _template(first: str) -> Callable[[Site], None]:
    """A fault that is a first line in the template of the PDF."""

    def spoil(site: Site) -> None:
        path = site.keep("templates/report.typ")
        text = (path if path.exists() else TEMPLATES / "report.typ").read_text(encoding="utf-8")
        path.write_text(f"{first}\n{text}", encoding="utf-8")

    return spoil


def _no_mail(site: Site) -> None:
    site.keep(site.maildir).write_text("Drill: this file stands where the folder of mails should be.\n")


_LISTED = (
    Fault(
        str(Trouble.SOURCE_UNAVAILABLE),
        "a cell says that the source cannot be reached",
        _away,
    ),
    Fault(
        str(Trouble.PERMISSION_REVOKED),
        "a cell is refused by the system",
        _cell('raise PermissionError("Drill: the right to read the source was taken away, on purpose")'),
    ),
    Fault(str(Trouble.SCHEMA_CHANGED), "a column of the source has another name", _renamed, _no_contract),
    Fault(str(Trouble.DATA_INCOMPLETE), "the source does not hold the day", _incomplete, _no_day),
    Fault(str(Trouble.OUTLIER), "the day was loaded four times, under new numbers", _warehouse(_FOURFOLD), _no_range),
    Fault(
        str(Trouble.SOURCES_DISAGREE),
        "the day's coupons are gone from one of the two systems, and a till line with them",
        _warehouse("DELETE FROM redemptions WHERE day = {day}", _one_line("{day}")),
        _one_system,
    ),
    Fault(
        str(Trouble.RESTATEMENT),
        "a till line of the day before is gone since its report was made",
        _warehouse(_one_line("(SELECT max(day) FROM transactions WHERE day < {day})")),
        _no_record,
        before=True,
    ),
    Fault(
        str(Trouble.CELL_FAILED),
        "a cell fails",
        _cell('raise RuntimeError("Drill: this cell fails, on purpose")'),
    ),
    Fault(
        str(Trouble.KERNEL_DIED),
        "a cell ends its kernel",
        _cell("import os\n\nos._exit(1)  # Drill: this cell ends its kernel, on purpose."),
    ),
    Fault(str(Trouble.DEADLINE_PASSED), "a cell takes longer than the run may, which is 5 s", _too_slow),
    Fault(str(Trouble.INTERRUPTED), "a cell takes a day, and the run is cancelled", _cell(_ENDLESS), cancelled=True),
    Fault(
        str(Trouble.RENDERING_FAILED),
        "the template of the PDF is broken",
        _template('#panic("Drill: this template is broken, on purpose")'),
    ),
    Fault(
        str(Trouble.PROOF_FAILED),
        "the template of the PDF drops every digit",
        _template('#show regex("[0-9]"): it => [] // Drill: no digit is printed, on purpose.'),
    ),
    Fault(str(Trouble.DELIVERY_FAILED), "a file stands where the folder of mails should be", _no_mail, reader=True),
    Fault(NOT_STARTED, "no run is started, as if the scheduler had stood still", starts=False),
)
#: Every fault by its name: the kinds of trouble, and `not started`.
FAULTS = {fault.name: fault for fault in _LISTED}
