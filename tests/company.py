"""A company on Monday 30 October 2017, when all five reports are owed: the shipped project in a copy, with a fault.

The scheduler, its kernels, the warehouse and the maildir are real. Its clock stands where it is set, so a day passes
while a run takes no time; letters about trouble go to a `Recorder`. Each report is played alone, on the very deadline
that the calendar gives it:

    engagement   week to 29 October   begun 07:24, due 08:00     Engineer C is on call until the hand-off at 09:00
    daily        29 October           begun 08:00, due 12:00
    profit       27 October           begun 08:24, due 09:00
    growth       29 October           begun 09:24, due 10:00     Engineer D is on call from 09:00
    unit profit  experiment 18        begun 10:00, due 15:00
"""

from __future__ import annotations

import email
import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import policy
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlalchemy as sa

from runner import config
from runner.delivery.channels import Recorder, Sent
from runner.ledger import Ledger, Run, deadlines, incidents
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.model import Status
from runner.notebook import daybook, warehouse
from runner.plan import incidents as rules
from runner.plan.deadlines import Begin, Deadline, deadline_of
from runner.plan.incidents import Incident
from runner.plan.runbooks import Section
from runner.report import notebooks
from runner.report.draft import Ctx, Made, Step
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import produce
from runner.scheduler import work
from runner.scheduler.copies import rewrite
from runner.scheduler.office import Office, timetable_of
from runner.scheduler.opening import library_of, open_office
from runner.scheduler.tick import next_tick, tick
from runner.sources import landing
from tests import once

ROOT = Path(__file__).resolve().parents[1]
ZONE = ZoneInfo("America/New_York")
FIVE = ("unit_profit", "aggregate_profit", "aggregate_growth", "daily_growth", "aggregate_engagement")
UNIT, PROFIT, GROWTH, DAILY, ENGAGEMENT = FIVE
#: The last day of the data that each report is about, and the days on which a fault in the data strikes.
DAYS = {
    UNIT: date(2017, 10, 30),
    PROFIT: date(2017, 10, 27),
    GROWTH: date(2017, 10, 29),
    DAILY: date(2017, 10, 29),
    ENGAGEMENT: date(2017, 10, 29),
}
STRUCK = "DATE '2017-10-27', DATE '2017-10-29', DATE '2017-10-30'"
AS_OF = {**DAYS, ENGAGEMENT: date(2017, 10, 30)}
MINUTE = timedelta(minutes=1)
#: How a mount is asked for.
_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
#: A bound on every wait for a run, in seconds.
PATIENCE = 120.0
PLACE = Path(".cache") / "warehouse.duckdb"


def wall(hour: int, minute: int = 0) -> datetime:
    """An hour of that Monday on the company's wall."""
    return datetime(2017, 10, 30, hour, minute, tzinfo=ZONE).astimezone(UTC)


def on_call(at: datetime) -> str:
    """The plan's rota by hand: Engineer A from Monday 2 January 2017 at 09:00 on, then B, C and D, each for a week."""
    weeks = (at.astimezone(ZONE).replace(tzinfo=None) - datetime(2017, 1, 2, 9)).days // 7  # noqa: DTZ001 - wall time
    return f"engineer_{'abcd'[weeks % 4]}"


@dataclass
class Dial:
    """A clock that stands where it is set."""

    at: datetime

    def now(self) -> datetime:
        """The instant that is set."""
        return self.at


# The company before anything happens.


@cache
def base() -> Path:
    """The shipped project, once for all processes, whose ledger knows what daily growth recorded up to 29 October."""
    return once.built("company", _build)


def _build(folder: Path) -> None:
    for name in ("config", "notebooks", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    built = warehouse.prepare(ROOT)
    (folder / ".cache" / daybook.FOLDER).mkdir(parents=True)
    for path in (built, built.with_suffix(".sha256"), daybook.place(built)):
        shutil.copy2(path, folder / ".cache" / path.relative_to(built.parent))
    for path in (folder / "notebooks").glob("*.ipynb"):
        shutil.copy(path, path.with_suffix(".whole"))
        notebooks.write(_short(notebooks.read(path)), path)
    rewrite(folder / "config/duties.yml", lambda data: data.update(duties={}))
    (folder / "reports").mkdir()
    made = _well(folder, DAILY)
    assert made.status is Status.DELIVERED, made
    shutil.copy(folder / "reports/ledger.sqlite", folder / "ledger.sqlite")


def _short(nb: notebooks.NotebookNode) -> notebooks.NotebookNode:
    """A notebook up to its key figures, with its checks and sources: charts and tables take most of a run's time."""
    end = next(i for i, cell in enumerate(nb.cells) if "report.show_figures()" in cell.source) + 1
    kept = ("report.show_findings", "report.show_sources", "report.record(")
    nb.cells = nb.cells[:end] + [cell for cell in nb.cells[end:] if any(words in cell.source for words in kept)]
    return nb


def _well(folder: Path, pipeline: str) -> Made:
    """One report of a project in which nothing is wrong."""
    project, stop = config.load(folder), Stop()
    ledger = Ledger.open(project.ledger)
    ctx = Ctx(project, ledger, Dial(wall(6)), stop, lambda _: None)
    made = produce(Job(project.pipelines[pipeline], AS_OF[pipeline].isoformat()), ctx)
    ledger.close()
    stop.close()
    return made


@cache
def right(pipeline: str) -> tuple[tuple[str, str], ...]:
    """The figures of a report when all is well, by name, as its readers see them."""
    folder = once.built(f"right {pipeline}", lambda folder: _put_right(pipeline, folder))
    return tuple((name, text) for name, text in json.loads((folder / "figures.json").read_text()))


def _put_right(pipeline: str, folder: Path) -> None:
    made = None if pipeline == DAILY else _well(base(), pipeline)
    ledger = Ledger.open(config.load(base()).ledger)
    run = next((run for run in ledger.runs(pipeline) if run.status is Status.DELIVERED), None)
    assert run is not None, made
    found = [(figure.name, figure.text) for figure in ledger.figures(run.run)]
    ledger.close()
    (folder / "figures.json").write_text(json.dumps(found))


@cache
def spoilt(*statements: str) -> Path:
    """The warehouse after these statements, stamped as current, with its daybook; once for all processes."""
    name = hashlib.sha256(json.dumps(statements).encode()).hexdigest()[:16]
    return once.built(f"spoilt {name}", lambda folder: _spoil(folder, statements))


def _spoil(folder: Path, statements: tuple[str, ...]) -> None:
    _beside(folder)
    path = folder / PLACE
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    path.with_suffix(".sha256").write_text(warehouse.stamp_of(path, warehouse.fingerprint(folder)))
    warehouse.prepare(folder)


@cache
def fetched(table: str) -> Path:
    """The warehouse when a table was fetched the day before and comes with no package; once for all processes."""
    return once.built(f"fetched {table}", lambda folder: _fetch(folder, table))


def _fetch(folder: Path, table: str) -> None:
    _beside(folder)
    serve(folder, table, {"kind": "files", "title": "Files", "url": "files"})
    path = folder / PLACE
    with duckdb.connect(str(path)) as connection:
        rows = connection.table(table).to_arrow_table()
        connection.execute(f"DELETE FROM {table}")
    path.with_suffix(".sha256").write_text(warehouse.stamp_of(path, warehouse.fingerprint(folder)))
    landing.land(folder, PLACE, [landing.Parcel(table, rows, "source_1", "Files")], wall(7) - timedelta(days=1))
    warehouse.prepare(folder)


def _beside(folder: Path) -> None:
    """Config and warehouse of the base once more."""
    (folder / ".cache").mkdir()
    shutil.copytree(base() / "config", folder / "config")
    shutil.copy2(base() / PLACE, folder / PLACE)


def serve(folder: Path, table: str, *sources: Mapping[str, Any]) -> None:
    """Have a table of a project come from these sources, in this order, each asked once at a time."""

    def add(data: dict[str, Any]) -> None:
        named = {f"source_{number}": {"tries": 1, **source} for number, source in enumerate(sources, 1)}
        data["sources"].update(named)
        data["tables"][table] = {"from": list(named)}

    rewrite(folder / "config/sources.yml", add)


# One report on that Monday.


@dataclass
class Company:
    """A copy in which one report is owed, its scheduler, and whatever was told."""

    folder: Path
    pipeline: str
    whole: bool = False  # with the shipped notebook as it is
    recorded: bool = True  # the ledger knows what daily growth recorded
    recorder: Recorder = field(default_factory=Recorder)
    kept: dict[Path, Path] = field(default_factory=dict)
    mounted: list[Path] = field(default_factory=list)
    servers: ExitStack = field(default_factory=ExitStack)
    more: dict[str, Any] = field(default_factory=dict)  # servers, by name

    def __post_init__(self) -> None:
        for name in ("config", "notebooks", "templates"):
            shutil.copytree(base() / name, self.folder / name)
        if self.whole:
            shutil.copy(self.notebook.with_suffix(".whole"), self.notebook)
        self.take(base())
        (self.folder / "reports").mkdir()
        if self.recorded and self.pipeline != DAILY:
            shutil.copy(base() / "ledger.sqlite", self.folder / "reports")
        self.stop, self.begun = Stop(), threading.Event()
        self.dial = Dial(wall(7))
        self.open()
        self.deadline = self.owe(self.pipeline)

    def open(self) -> None:
        """Open the office, or once more after a change of config."""
        self.project = config.load(self.folder)
        self.ledger = Ledger.open(self.project.ledger)
        self.ctx = Ctx(self.project, self.ledger, self.dial, self.stop, self._step)
        self.office: Office = open_office(self.ctx, self.recorder)

    def close(self) -> None:
        """End what is under way."""
        self.stop.ask()
        while self.office.crew.busy:
            self._ended()
            self.office.crew.finished(self.dial.at)
        self.stop.close()
        self.ledger.close()
        self.servers.close()
        for place in self.mounted:
            subprocess.run([*_ROOT, "umount", str(place)], check=True)

    def _step(self, step: Step) -> None:
        if step.cell:
            self.begun.set()

    def under_way(self, pipeline: str) -> str:
        """The run of another report, once it is in its first cell."""
        assert self.begun.wait(PATIENCE)
        found = self.ledger.runs(pipeline)[0]
        return found.run

    def end(self, pipeline: str) -> None:
        """Wait until another report has ended."""
        while any(order.deadline.pipeline == pipeline for order in self.office.crew.busy):
            work.collect(self.office, self.dial.at)
            select.select([self.office.crew], [], [], 0.05)

    @property
    def base(self) -> Path:
        """The folder in which nothing is wrong."""
        return base()

    @property
    def notebook(self) -> Path:
        """The notebook of the report."""
        return self.folder / "notebooks" / f"{self.pipeline}.ipynb"

    def owe(self, pipeline: str) -> Deadline:
        """Owe a report by the deadline that the calendar gives it."""
        begins = (Begin("18", wall(9)),)
        timetable = timetable_of(self.project, begins)
        entry = self.project.pipelines[pipeline]
        found = deadline_of(entry, self.project.settings, timetable, AS_OF[pipeline])
        assert found is not None
        self.note(found)
        return found

    def note(self, deadline: Deadline) -> None:
        """Owe a report."""
        with self.ledger.write() as tx:
            deadlines.note(tx, [deadline])

    # Faults.

    def take(self, place: Path) -> None:
        """Have the warehouse of another folder, with its daybook; its file is shared, and nobody writes into it."""
        (self.folder / ".cache" / daybook.FOLDER).mkdir(parents=True, exist_ok=True)
        files = (PLACE, PLACE.with_suffix(".sha256"), daybook.place(place / PLACE).relative_to(place))
        for name in files:
            (self.folder / name).unlink(missing_ok=True)
            os.link(place / name, self.folder / name)

    def keep(self, name: str) -> Path:
        """A file of the copy as it was, before it is changed; `mend` puts it back."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path not in self.kept:
            aside = self.folder / "kept" / name
            aside.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                shutil.copy2(path, aside)
            self.kept[path] = aside
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text in a file of the copy; it must be there."""
        path = self.keep(name)
        text = path.read_text(encoding="utf-8")
        assert old in text, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def cell(self, old: str, new: str) -> None:
        """Change a text in the notebook's cells; it must be there."""
        self.keep(f"notebooks/{self.pipeline}.ipynb")
        nb = notebooks.read(self.notebook)
        assert any(old in cell.source for cell in nb.cells), old
        for cell in nb.cells:
            cell.source = cell.source.replace(old, new)
        notebooks.write(nb, self.notebook)

    def sql(self, statement: str, **values: object) -> None:
        """Change the ledger by hand."""
        with self.ledger.write() as tx:
            tx.execute(sa.text(statement), values)

    def secret(self, name: str, value: str) -> None:
        """A variable of the environment, as long as this company lasts."""
        os.environ[name] = value
        self.servers.callback(os.environ.pop, name, None)

    def mount(self, name: str, size: str) -> None:
        """Put a folder on a disk of its own, empty at first, or give that disk another size."""
        place = self.folder / name
        again = ["remount,"] if place in self.mounted else [""]
        words = ["mount", "-t", "tmpfs", "-o", f"{again[0]}size={size},mode=0777", "tmpfs", str(place)]
        done = subprocess.run([*_ROOT, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"A small disk needs the right to mount: {done.stderr}"
        if place not in self.mounted:
            self.mounted.append(place)

    def mend(self) -> None:
        """Take every change of a file away."""
        for path, aside in self.kept.items():
            path.unlink(missing_ok=True)
            if aside.exists():
                shutil.copy2(aside, path)
        self.kept.clear()

    # Time.

    def look(self) -> None:
        """Look at what is owed; what was started ends, and is looked at once more."""
        self._tick()
        while any(order.deadline.pipeline == self.pipeline for order in self.office.crew.busy):
            self._ended()
            self._tick()

    def _tick(self) -> None:
        self.office.notes["planned"] = self.dial.at  # nothing is owed but this report
        tick(self.office, self.dial.at)

    def _ended(self) -> None:
        ready, _, _ = select.select([self.office.crew], [], [], PATIENCE)
        assert ready, "no run ended in time"

    def live(self, over: Callable[[], Any], until: datetime) -> None:
        """Look whenever something is to be done, until it is over or the clock says so."""
        while True:
            self.look()
            if over() or self.dial.at >= until:
                return
            self.dial.at = min(next_tick(self.office, self.dial.at), until)

    # What is known.

    @property
    def owed(self) -> Owed:
        """The deadline as it stands."""
        with self.ledger.read() as tx:
            found = deadlines.find(tx, self.deadline.key)
        assert found is not None
        return found

    @property
    def over(self) -> bool:
        """Whether the report is there."""
        return self.owed.state is not Owing.OPEN

    @property
    def incident(self) -> Incident | None:
        """The trouble of this report, open or closed."""
        with self.ledger.read() as tx:
            found = incidents.opened(tx).get(self.deadline.key)
            over = [one for one in incidents.closed(tx, 10) if (one.pipeline, one.period) == self.deadline.key]
        return found or next(iter(over), None)

    @property
    def told(self) -> list[Sent]:
        """What engineers were told of this report, in order."""
        about = f"{self.project.pipelines[self.pipeline].title}, {self.deadline.text}"
        told = (sent for sent in self.recorder.sent if sent.parcel.message.audience == "engineers")
        return [sent for sent in told if about in sent.parcel.message.subject]

    @property
    def notices(self) -> list[tuple[str, str]]:
        """(reader, first word) of what readers were told of a delay."""
        found = [sent.parcel for sent in self.recorder.sent if sent.parcel.message.audience == "readers"]
        return [(parcel.address, parcel.message.subject.partition(":")[0]) for parcel in found]

    def reports(self) -> list[tuple[str, bytes]]:
        """(reader, PDF) of every message with a report that lies in the maildir, or that the mail server took."""
        mails = [path.read_bytes() for path in sorted((self.folder / "reports/mail/new").glob("*"))]
        server = self.more.get("mail")
        return _with_pdf([*mails, *(got.data for got in server.book.got)] if server else mails)

    def section(self, sent: Sent) -> Section:
        """The section of a runbook that a message carries, found by its words."""
        library = library_of(self.project)
        books = (library.own[self.pipeline], library.common)
        said = sent.parcel.message
        found = [s for book in books for s in book.sections if (s.title, _bare(s.text)) == _said(said)]
        assert found, f"{said.runbook_title!r} is no section of the runbooks"
        return found[0]

    @property
    def run(self) -> Run:
        """The newest run."""
        return self.ledger.runs(*self.deadline.key)[0]

    # What people do.

    def acknowledge(self, who: str) -> None:
        """Whoever was told is at it: nobody else is woken."""
        with self.ledger.write() as tx:
            incident = incidents.opened(tx).get(self.deadline.key)
            if incident is not None:
                change = rules.acknowledge(incident, who, self.dial.at)
                incidents.keep(tx, change.incident, change.events, self.dial.at)

    def make(self, pipeline: str = "", *, again: bool = True) -> Made:
        """`runner run`, as the runbook says."""
        name = pipeline or self.pipeline
        return produce(Job(self.project.pipelines[name], AS_OF[name].isoformat(), again=again), self.ctx)


def _with_pdf(mails: Any) -> list[tuple[str, bytes]]:
    found = []
    for raw in mails:
        mail = email.message_from_bytes(raw, policy=policy.default)
        pdfs = [part.get_content() for part in mail.iter_attachments() if part.get_content_type() == "application/pdf"]
        found += [(mail["To"].addresses[0].addr_spec, pdf) for pdf in pdfs]
    return found


def _bare(text: str) -> str:
    """A section without what is filled into its commands."""
    return re.sub(r"`[^`\n]+`", "``", text)


def _said(message: Any) -> tuple[str, str]:
    return message.runbook_title, _bare(message.runbook)


# The table.


@dataclass(frozen=True)
class Case:
    """What an issue leads to in one report: the trouble told, and where it is answered.

    No trouble: nobody is told, the report comes in time. `instead`: what stands in for an issue that it cannot have.
    """

    trouble: str = ""
    place: str = ""
    instead: str = ""


@dataclass(frozen=True)
class Issue:
    """One potential issue: where the plan lists it (empty: nowhere), how it is made, and what it leads to.

    `mend` takes it away, besides every change of a file. `recover` makes the report, unless the scheduler does once the
    fault is gone. `late`: it is mended after the due time only.
    """

    name: str
    of: str
    cases: Mapping[str, Case]
    inject: Callable[[Company], None]
    test: str
    mend: Callable[[Company], None] = lambda _: None
    recover: Callable[[Company], object] = Company.make
    late: bool = False
    comes: bool = False
    recorded: bool = True


@dataclass(frozen=True)
class Story:
    """What happened to one report."""

    company: Company
    told: tuple[Sent, ...]  # engineers, until one of them was at it
    trouble: str
    early: tuple[tuple[str, bytes], ...]  # reports that readers had while the fault was there
    late: tuple[tuple[str, bytes], ...]  # and in the end


def play(issue: Issue, company: Company) -> Story:
    """Inject an issue, live until somebody is told or the report is there, mend it, and live until it is there."""
    company.dial.at = company.deadline.starts_at
    issue.inject(company)
    company.live(lambda: company.told or company.over, company.deadline.due_at)
    told = tuple(sent for sent in company.told if sent.parcel.message.runbook)  # but for the word that it is over
    early, owed = tuple(company.reports()), company.owed
    trouble = owed.trouble or (company.incident.state if company.incident and told else "")
    if told:
        company.acknowledge(on_call(told[0].now))
        if issue.late:
            company.live(lambda: False, company.deadline.due_at + MINUTE)
            early = tuple(company.reports())
        company.dial.at += 5 * MINUTE
        company.mend()
        issue.mend(company)
        issue.recover(company)
        company.live(lambda: company.over, company.dial.at + timedelta(hours=2))
    return Story(company, told, trouble, early, tuple(company.reports()))


class Proof:
    """For each of the five reports: who was told of what, with which section, what readers got, and how it ended."""

    issue: ClassVar[Issue]

    @pytest.mark.parametrize("pipeline", FIVE)
    def test_issue(self, pipeline, tmp_path):
        """The engineer on call is told with the right section, readers get nothing wrong, and the report comes."""
        issue, case = self.issue, self.issue.cases[pipeline]
        company = Company(tmp_path / "p", pipeline, whole=issue.of == pipeline, recorded=issue.recorded)
        try:
            story = play(issue, company)
            assert_told(story, case)
            assert_readers(story, issue, case)
            assert_recovered(story, case)
        finally:
            company.close()


def assert_told(story: Story, case: Case) -> None:
    """Exactly the engineer on call at that instant, of this very trouble, with this very section."""
    company, told = story.company, story.told
    said = [(sent.parcel.address, company.section(sent).place.removeprefix("config/runbooks/")) for sent in told]
    if not case.trouble:
        assert said == []
        return
    who = company.project.people.engineers[on_call(told[0].now)] if told else None
    assert said == [(who and who.email, case.place)], [sent.parcel.message.headline for sent in told]
    assert story.trouble == case.trouble, told[0].parcel.message.headline
    letters = [one for one in company.recorder.sent if one.parcel.message.runbook]
    strangers = [one for one in letters if _engineer(company, one) not in {on_call(one.now), on_call(told[0].now)}]
    assert strangers == []  # but for whoever is at it, nobody is woken out of turn


def _engineer(company: Company, sent: Sent) -> str:
    engineers = company.project.people.engineers
    return next(name for name, engineer in engineers.items() if engineer.email == sent.parcel.address)


def assert_readers(story: Story, issue: Issue, case: Case) -> None:
    """No report while the fault was there; in the end each reader has one, proven, with the figures that are right."""
    company = story.company
    readers = sorted(person.email for person in company.project.readers(company.project.pipelines[company.pipeline]))
    assert issue.comes or not case.trouble or story.early == ()
    assert not issue.comes or story.early == story.late
    assert sorted(reader for reader, _ in story.late) == readers, company.run
    run = company.ledger.delivered(*company.deadline.key)
    assert run is not None
    pdf = (company.folder / run.folder / f"{company.pipeline}.pdf").read_bytes()
    assert {sent for _, sent in story.late} == {pdf}
    figures = tuple((figure.name, figure.text) for figure in company.ledger.figures(run.run))
    assert figures == right(company.pipeline)
    delayed = [(reader, "Delayed") for reader in readers] if (issue.late or issue.comes) and case.trouble else []
    assert sorted(company.notices) == delayed


def assert_recovered(story: Story, case: Case) -> None:
    """The deadline is met, the incident is closed, and whoever was told of the trouble is told that it is over."""
    company, incident = story.company, story.company.incident
    assert company.owed.state is Owing.MET, company.owed
    if not case.trouble:
        assert incident is None
        return
    assert incident is not None
    assert (incident.open, incident.outcome) == (False, "met")
    knew = {sent.parcel.address for sent in company.told if sent.parcel.message.runbook}
    over = {sent.parcel.address for sent in company.told if sent.parcel.message.subject.startswith("Recovered:")}
    assert over == knew
