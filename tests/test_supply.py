"""What a report needs is fetched before its notebook begins: asked, waited for, fallen back on, landed, and told."""

from __future__ import annotations

import csv
import errno
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
import pypdfium2 as pdfium
import pytest

from runner import config
from runner.commands import reports as running
from runner.config import Project, Table
from runner.delivery.channels import Recorder
from runner.errors import ConfigError, Interrupted, SourceFailed, Trouble
from runner.ledger import Ledger, deadlines
from runner.ledger import sources as book
from runner.model import Level
from runner.notebook import loads, warehouse
from runner.plan.deadlines import room_of
from runner.report import diary, supply
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.supply import Supplier, Wish
from runner.scheduler.office import timetable_of
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from runner.sources import __main__ as child
from runner.sources import fetching
from runner.sources.fetching import Desk, Order, fetch
from runner.sources.inquiry import Patience, Place, Unanswered
from tests.listed_source import Listed, busy, place, sale
from tests.scripted_api import Api, Fault, serving
from tests.shop import shop
from tests.small_projects import change, finished, reports, runner, write

DAY = date(2017, 11, 15)
DAYS = [date(2017, 10, 16) + timedelta(days=n) for n in range(31)]
END = datetime(2017, 11, 16, 5, tzinfo=UTC)  # of the day, in New York
NOW = END + timedelta(hours=8)
DOWN = SourceFailed("Till answered 503.", "Ask again.", passing=True)


@dataclass
class Sleeper:
    """A clock that stands still but when somebody sleeps; `then` happens after each sleep."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)
    then: object = lambda: None

    def clock(self) -> float:
        """Seconds slept."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.slept.append(seconds)
        self.seconds += seconds
        self.then()  # type: ignore[operator]


@dataclass
class Shop:
    """A shop with its two sources, and what was told while it fetched."""

    project: Project
    till: Listed
    replica: Listed
    sleeper: Sleeper
    told: list[dict] = field(default_factory=list)

    def places(self, _table: Table) -> Sequence[Place]:
        """The two, in order."""
        return [place("till", self.till), place("replica", self.replica)]

    def fetch(self, first=DAY, last=DAY, now=NOW, *, limit=300.0, under_way=False, anew=False):
        """The findings by name."""
        patience = Patience(self.sleeper.seconds + limit, self.sleeper.clock, self.sleeper.sleep, lambda: 0.0)
        order = Order(("receipts",), first, last, now, self.sleeper.seconds, patience.until, under_way, anew)
        found = fetch(order, Desk(self.project, self.places, patience, lambda event: self.told.append(dict(event))))
        return {finding.check: finding for finding in found}

    def events(self, kind):
        """What was told of one kind."""
        return [event for event in self.told if event["event"] == kind]

    @property
    def loads(self):
        """What was landed, by day."""
        return {load.day: load for load in warehouse.landed(self.project.folder / warehouse.PLACE)}


@pytest.fixture
def opened(tmp_path):
    """A shop of ten weeks whose till has everything of each day; more words for its table may be given."""

    def made(more="", holidays="closed_on: []\n"):
        folder = shop(tmp_path, more=more, holidays=holidays)
        rows = [row for day in DAYS for row in busy(day)]
        return Shop(config.load(folder), Listed(list(rows), END), Listed(list(rows), END), Sleeper())

    return made


class TestFetch:
    def test_the_first_time_everything_comes(self, opened):
        """From the first day on all days come, a month at a time; each is known as whole, and who served it."""
        made = opened()
        change(made.project.folder / "config/sources.yml", "2017-10-16", "2017-10-11")
        made.project = config.load(made.project.folder)
        found = made.fetch()
        assert found["supply of receipts"].level is Level.PASS
        assert found["supply of receipts"].message == (
            "receipts of 15 November 2017 were served by Till: 225 rows, whole."
        )
        assert [(want.first, want.last) for want in made.till.asked] == [
            (date(2017, 10, 11), date(2017, 11, 10)), (date(2017, 11, 11), DAY),
        ]  # fmt: skip
        assert len(made.loads) == 36
        assert all(load.whole for load in made.loads.values())

    def test_where_config_says_no_beginning_it_is_the_year(self, opened):
        """What a report adds up to date is there: a table begins with the year of the first day that is asked for."""
        made = opened()
        change(made.project.folder / "config/sources.yml", ', begins: "2017-10-16"', "")
        made.project = config.load(made.project.folder)
        made.fetch(date(2017, 3, 20), date(2017, 3, 20))
        assert made.till.asked[0].first == date(2017, 1, 1)

    def test_the_next_day_a_few_days_are_read_again(self, opened):
        """Late and corrected rows of the three days before come with the next fetch; older days are not asked for."""
        made = opened()
        made.till.rows.extend(busy(DAY + timedelta(days=1)))
        made.fetch()
        made.till.asked.clear()
        made.till.rows.append(sale(5, "2017-11-14 10:30"))
        made.till.upto = END + timedelta(days=1)
        made.fetch(DAY + timedelta(days=1), DAY + timedelta(days=1), NOW + timedelta(days=1))
        assert [(want.first, want.last) for want in made.till.asked] == [(date(2017, 11, 13), date(2017, 11, 16))]
        assert made.loads[date(2017, 11, 14)].rows == 226

    def test_a_person_who_asks_for_a_day_gets_its_corrections(self, opened):
        """By hand a day and those before it are read again, even if later ones are there or it was just asked for."""
        made = opened()
        made.till.rows.extend(busy(DAY + timedelta(days=1)))
        made.till.upto = END + timedelta(days=1)
        made.fetch(DAY + timedelta(days=1), DAY + timedelta(days=1), NOW + timedelta(days=1))
        made.till.asked.clear()
        made.till.rows.append(sale(5, "2017-11-14 10:30"))
        made.fetch(now=NOW + timedelta(days=1))
        assert made.till.asked == []
        made.fetch(now=NOW + timedelta(days=1), anew=True)
        assert [(want.first, want.last) for want in made.till.asked] == [(date(2017, 11, 12), DAY)]
        assert made.loads[date(2017, 11, 14)].rows == 226

    def test_what_another_has_just_fetched_is_fresh(self, opened):
        """Within a minute the same is not asked for again; after it, and for another day, it is."""
        made = opened()
        made.fetch()
        made.till.asked.clear()
        assert made.fetch(now=NOW + timedelta(seconds=59))["supply of receipts"].level is Level.PASS
        assert made.till.asked == []
        made.fetch(now=NOW + timedelta(seconds=61))
        assert len(made.till.asked) == 1

    def test_an_old_day_that_is_there_is_not_asked_for(self, opened):
        """A report of a past day needs no source when its day is whole."""
        made = opened()
        made.fetch()
        made.till.failing = made.replica.failing = DOWN
        day = DAY - timedelta(days=20)
        assert made.fetch(day, day, NOW + timedelta(hours=1))["supply of receipts"].level is Level.PASS

    def test_the_replica_serves_and_that_is_said(self, opened):
        """When the first source is down the second serves; the finding, the loads and the events say so and why."""
        made = opened()
        made.till.failing = DOWN
        found = made.fetch()["supply of receipts"]
        assert found.message == (
            "receipts of 15 November 2017 were served by Replica: 225 rows, whole. "
            "Before it was asked: Till answered 503."
        )
        assert made.loads[DAY].title == "Replica"
        assert {(event["source"], event["trouble"]) for event in made.events("try")} == {
            ("till", "source unavailable"), ("replica", None),
        }  # fmt: skip

    def test_the_replica_with_the_same_rows_is_said_too(self, opened):
        """Rows that the first had served and the second confirms stay the first's, and the finding names both."""
        made = opened()
        made.fetch()
        made.till.failing = DOWN
        found = made.fetch(now=NOW + timedelta(hours=1))["supply of receipts"].message
        assert made.loads[DAY].title == "Till"
        assert "Replica was asked this time and has the same rows. Before it was asked: Till answered 503." in found

    def test_nobody_answers(self, opened):
        """Both down: the error names each of them, and what was there stays."""
        made = opened()
        made.till.failing = made.replica.failing = DOWN
        with pytest.raises(
            Unanswered, match=r"^None of 2 sources answered\. Till answered 503\. Till answered"
        ) as failed:
            made.fetch()
        assert failed.value.trouble is Trouble.SOURCE_UNAVAILABLE
        assert made.loads == {}

    def test_a_changed_schema_never_lands(self, opened):
        """A source whose columns changed is passed over for one that keeps the contract; without one, nothing lands."""
        made = opened()
        made.till.shaped = lambda given: given.rename_columns(["receipt", "price", "sold_at", "day"])
        assert "column amount" in made.fetch()["supply of receipts"].message
        assert made.loads[DAY].title == "Replica"
        other = opened_again(made)
        other.replica.shaped = other.till.shaped
        with pytest.raises(Unanswered) as failed:
            other.fetch(now=NOW + timedelta(hours=1))
        assert failed.value.trouble is Trouble.SCHEMA_CHANGED

    def test_rows_of_other_days_are_refused(self, opened):
        """A source that does not heed the days asked for is not believed."""
        made = opened()
        made.till.read = lambda want, left: Listed.read(made.till, replace(want, last=date(2018, 1, 1)), left)
        made.till.rows.extend(busy(date(2017, 12, 24)))
        assert "gave rows from" in made.fetch()["supply of receipts"].message
        assert max(made.loads) == DAY

    def test_a_column_that_is_none_is_said_of_config(self, opened):
        """A `time` that is no column of the contract is an error of config that names the key."""
        made = opened()
        change(made.project.folder / "config/sources.yml", "time: sold_at", "time: sold")
        made.project = config.load(made.project.folder)
        with pytest.raises(ConfigError, match=r"tables\.receipts\.time is 'sold'"):
            made.fetch()

    def test_closed_days_need_no_rows(self, opened):
        """A source that has no file for a closed day holds nobody up; the day counts as no day at all."""
        made = opened(holidays='closed_on: ["2017-11-12"]\n')
        made.till.rows = [row for row in made.till.rows if row["day"] != date(2017, 11, 12)]
        read, missing = made.till.read, SourceFailed("It has no file yet.", "", Trouble.DATA_INCOMPLETE)

        def picky(want, left):
            if want.first <= date(2017, 11, 12) <= want.last:
                raise missing
            return read(want, left)

        made.till.read = made.replica.read = picky
        assert made.fetch(date(2017, 11, 9), DAY)["supply of receipts"].level is Level.PASS
        assert len(made.loads) == 30


def opened_again(made: Shop) -> Shop:
    """The same shop an hour later."""
    return replace(made, told=[])


class TestLateness:
    def test_it_waits_for_what_should_be_there(self, opened):
        """A source that is behind is looked at again with growing pauses, and what comes meanwhile is the report's."""
        made = opened(", wait: 10 min")
        made.till.upto = made.replica.upto = END - timedelta(hours=2)

        def later() -> None:
            if made.sleeper.seconds > 30:
                made.till.upto = END

        made.sleeper.then = later
        assert made.fetch(limit=1200)["supply of receipts"].level is Level.PASS
        assert made.sleeper.slept == sorted(made.sleeper.slept)
        assert made.events("wait")[0]["message"].startswith("None of 2 sources answered. Till has everything of")

    def test_after_the_window_it_says_what_is_missing(self, opened):
        """What came is landed as partial, and the finding names table, source, up to when, and stops."""
        made = opened(", wait: 1 min")
        made.till.upto = made.replica.upto = END - timedelta(hours=2)
        found = made.fetch()["supply of receipts"]
        assert (found.level, found.trouble) == (Level.STOP, Trouble.DATA_INCOMPLETE)
        assert found.message == (
            "The data are not complete. receipts of 15 November 2017, from Till: "
            "there is everything up to 22:00 on 15 November 2017 only."
        )
        assert sum(made.sleeper.slept) == pytest.approx(60)
        assert not made.loads[DAY].whole
        assert made.loads[DAY - timedelta(days=1)].whole

    def test_the_window_ends_with_all_the_time_there_is(self, opened):
        """However long a table may wait, the fetch ends before its limit."""
        made = opened(", wait: 2 h")
        made.till.upto = made.replica.upto = END - timedelta(hours=2)
        assert made.fetch(limit=100)["supply of receipts"].level is Level.STOP
        assert made.sleeper.seconds < 100

    def test_a_replica_that_is_not_behind_serves_at_once(self, opened):
        """Nobody waits for the first source while the second has what is needed."""
        made = opened(", wait: 10 min")
        made.till.upto = END - timedelta(hours=2)
        assert "served by Replica" in made.fetch()["supply of receipts"].message
        assert made.sleeper.slept == []

    def test_a_silent_hour_and_a_partial_day_that_is_mended(self, opened):
        """A day with an hour missing stops its report; when the rows have come, the next fetch finds it whole."""
        made = opened()
        whole = made.till.rows
        made.till.rows = [row for row in whole if not (row["day"] == DAY and row["sold_at"].hour == 11)]
        assert "there is nothing of 11:00" in made.fetch()["supply of receipts"].message
        next_day = DAY + timedelta(days=1)
        made.till.rows = [*made.till.rows, *busy(next_day)]
        made.till.upto = END + timedelta(days=1)
        later = made.fetch(next_day, next_day, NOW + timedelta(days=1))
        assert later["supply of receipts"].level is Level.PASS
        assert (later["earlier days of receipts"].level, later["earlier days of receipts"].numbers) == (
            Level.WARN, {"days": 1},
        )  # fmt: skip
        assert "(there is nothing of 11:00, when it is always busy)" in later["earlier days of receipts"].message
        made.till.rows = [*whole, *busy(next_day)]
        assert "earlier days of receipts" not in made.fetch(next_day, next_day, NOW + timedelta(days=1, hours=1))

    def test_a_day_under_way(self, opened):
        """An experiment's report takes a day that is not over if what should be there is; a day's report does not."""
        made = opened()
        noon = datetime(2017, 11, 15, 17, 30, tzinfo=UTC)
        made.till.upto = made.replica.upto = noon
        made.till.rows = [row for row in made.till.rows if row["day"] < DAY or row["sold_at"].hour < 12]
        found = made.fetch(now=noon, under_way=True)["supply of receipts"]
        assert (found.level, "under way" in found.message) == (Level.PASS, True)
        stopped = made.fetch(now=noon)["supply of receipts"]
        assert (stopped.level, "only" in stopped.message or "not over" in stopped.message) == (Level.STOP, True)


# The process that fetches.


def lay(folder, name, rows):
    """The rows of a source as its CSV file."""
    write(folder / name / "receipts.csv", "")
    with (folder / name / "receipts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["receipt", "amount", "sold_at", "day"])
        writer.writeheader()
        writer.writerows({**row, "sold_at": row["sold_at"].isoformat(sep=" ")} for row in rows)


@pytest.fixture
def store(tmp_path):
    """A shop with the files of its two sources, each with ten weeks."""
    folder = shop(tmp_path)
    rows = [row for day in DAYS for row in busy(day, each=3)]
    for name in ("till", "replica"):
        lay(folder, name, rows)
    return folder


def supplier(folder, stop=None, **more):
    """Whoever fetches for a run called `r`."""
    project = config.load(folder)
    ledger = Ledger.open(project.ledger)
    return Supplier(project, ledger, lambda: datetime.now(UTC), stop or Stop(), "r", **more)


ROOT = Path(__file__).resolve().parents[1]
WISH = Wish(("receipts",), DAY, DAY)


def test_a_fetch_in_its_process(store):
    """Rows are landed, and each try and load stands in the ledger with the name of the run."""
    notes = []
    who = supplier(store)
    write(store / "json.py", "raise SystemExit\n")  # what lies in a project takes the place of no library
    (found,) = supply.fetched(WISH, who, lambda event, fields: notes.append((event, fields)))
    assert (found.level, found.numbers) == (Level.PASS, {"rows": 27})
    assert [event for event, _ in notes] == ["fetch begins", "source asked", "table loaded"]
    with who.ledger.read() as tx:
        assert {(probe.by, probe.trouble) for probe in book.probes(tx, "till")} == {("r", None)}
        loaded = book.loads(tx, "receipts")
        assert [(load.run, load.last_day, load.rest["changed"]) for load in loaded] == [("r", "2017-11-15", 31)]
        assert set(book.fingerprints(tx, "receipts", "till")[0].columns) == {"receipt", "amount", "sold_at", "day"}
    who.ledger.close()


def test_a_disk_without_room(store, monkeypatch):
    """No room for what is fetched is told as what it is, and not as a source that is down."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(child, "fetch", full)
    order = {"folder": str(store), "tables": [], "first": "2017-11-15", "last": "2017-11-15"}
    order |= {"now": NOW.isoformat(), "since": 0, "until": 9, "under_way": False, "anew": False}
    assert child._ended(order, lambda _: None)["error"]["trouble"] == "disk full"


def test_a_stop_ends_it(store):
    """A stop that is asked while a fetch waits ends it at once, and its process."""
    change(store / "config/sources.yml", 'begins: "2017-10-16"', 'begins: "2017-10-16", wait: 5 min')
    for name in ("till", "replica"):
        (store / name / "receipts.csv").unlink()
    stop, told = Stop(), threading.Event()

    def note(event, _fields):
        if event == "waiting for data":
            told.set()

    who = supplier(store, stop)
    with ThreadPoolExecutor(1) as pool:
        fetching_ = pool.submit(supply.fetched, WISH, who, note)
        assert told.wait(60)
        stop.ask()
        with pytest.raises(Interrupted):
            fetching_.result(30)
    assert fetchers(store) == []
    who.ledger.close()


def test_the_limit_ends_it(store):
    """What hangs is ended a moment after the limit, with an error that a retry may mend."""
    change(store / "config/settings.yml", "sender:", "fetch_limit: 3 s\nsender:")
    who = supplier(store)

    def freeze(_event, _fields):
        for process in fetchers(store):
            process.suspend()

    with pytest.raises(SourceFailed, match="What is fetched was not there after 3 seconds") as failed:
        supply.fetched(WISH, who, freeze)
    assert failed.value.trouble is Trouble.SOURCE_UNAVAILABLE
    assert fetchers(store) == []
    who.ledger.close()


def fetchers(folder):
    """The processes that fetch for a project."""
    found = []
    for process in psutil.process_iter():
        try:
            if "runner.sources" in process.cmdline() and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_it_ends_with_whoever_started_it(store):
    """When the process that asked dies without a word, the one that fetches ends too."""
    change(store / "config/sources.yml", 'begins: "2017-10-16"', 'begins: "2017-10-16", wait: 5 min')
    for name in ("till", "replica"):
        (store / name / "receipts.csv").unlink()
    began = time.monotonic()
    order = Order(("receipts",), DAY, DAY, NOW, began, began + 300).as_dict()
    request = {"folder": str(store), **order}
    with subprocess.Popen(
        [sys.executable, "-m", "runner.sources"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=store,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        while json.loads(process.stdout.readline())["event"] != "wait":
            pass
        process.stdin.close()
        assert process.wait(30) == 1


def test_only_the_fetching_process_has_the_secrets_of_the_sources(store):
    """A secret of a source is in the environment of the child, one of the mail server is not."""
    change(store / "config/sources.yml", "title: Till,", "title: Till, options: {key: 'env:TILL_KEY'},")
    change(store / "config/settings.yml", "sender:", "heartbeat: {channel: 'env:BEAT'}\nsender:")
    seen = {}

    def note(_event, _fields):
        for process in fetchers(store):
            seen.update(process.environ())

    who = supplier(store, env={**os.environ, "TILL_KEY": "k", "BEAT": "json://b"})
    supply.fetched(WISH, who, note)
    assert ("TILL_KEY" in seen, "BEAT" in seen) == (True, False)
    who.ledger.close()


def test_five_at_once(store):
    """Five that need the same at the same time all get it, and the source is asked once."""
    who = supplier(store)
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda _: supply.fetched(WISH, who, lambda *_: None), range(5)))
    assert [one.level for (one,) in found] == [Level.PASS] * 5
    with who.ledger.read() as tx:
        assert len(book.probes(tx, "till")) == 1
    who.ledger.close()


# Whole reports.


@pytest.fixture
def make(capsys):
    """Make the report of a day; the exit code and what became of it."""

    def made(folder, **more):
        code = running.run(config.load(folder), running.Wish("fetched_receipts", DAY.isoformat(), **more), as_json=True)
        return code, reports(capsys.readouterr().out)["fetched_receipts"]

    return made


def test_the_life_of_a_fetched_report(store, make):
    """Fetched, made, and shown who served it; nothing new, not made again; a corrected row is seen and held."""
    code, made = make(store)
    assert (code, made["status"]) == (0, "delivered")
    (run,) = finished(store)
    page = (run / "fetched_receipts.html").read_text()
    assert "Served by" in page
    assert "receipts of 15 November 2017 were served by Till: 27 rows, whole." in page
    figures = json.loads((run / "figures.json").read_text())
    assert figures["findings"][0]["check"] == "supply of receipts"
    assert json.loads((run / "manifest.json").read_text())["findings"]["pass"] == len(figures["findings"])
    events = [line["event"] for line in diary.read(run)]
    assert events[:3] == ["run begins", "fetch begins", "source asked"]
    assert not any((store / ".cache/warehouse.pins").iterdir())

    code, made = make(store)
    assert (code, made["fresh"]) == (0, False)

    rows = [row for day in DAYS for row in busy(day, each=3)]
    lay(store, "till", [*rows, sale(7, "2017-11-15 12:30")])
    (store / ".cache/warehouse.asked.json").unlink()  # a minute later
    code, made = make(store)
    assert (code, made["status"], made["trouble"]) == (3, "held", "restatement")


def test_a_partial_day_becomes_no_report(store, make):
    """An hour that is missing stops the report before a kernel begins; the reason stands in the ledger."""
    rows = [row for day in DAYS for row in busy(day)]
    kept = [row for row in rows if not (row["day"] == DAY and row["sold_at"].hour == 11)]
    for name in ("till", "replica"):
        lay(store, name, kept)
    code, made = make(store)
    assert (code, made["status"], made["trouble"]) == (1, "stopped", "data incomplete")
    assert "there is nothing of 11:00" in made["message"]
    (run,) = finished(store)
    assert not (run / "fetched_receipts.ipynb").exists()
    assert json.loads((run / "manifest.json").read_text())["findings"]["stop"] == 1
    assert not list(store.glob("reports/mail/new/*"))


def test_the_scheduler_asks_again_for_what_is_late(store):
    """The missing hour is there at the second attempt: delivered in time, by itself, and nobody is woken."""
    rows = [row for day in DAYS for row in busy(day)]
    for name in ("till", "replica"):
        lay(store, name, [row for row in rows if not (row["day"] == DAY and row["sold_at"].hour == 11)])
    project, carrier = config.load(store), Recorder()
    ledger = Ledger.open(project.ledger)
    now = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)  # half an hour before it is due
    office = open_office(Ctx(project, ledger, Clock(now), Stop(), lambda _: None), carrier)
    tick(office, now)
    ended(office, now)
    with ledger.read() as tx:
        owed = deadlines.find(tx, ("fetched_receipts", DAY.isoformat()))
    assert (owed.state, owed.trouble, owed.next_try_at is not None) == (deadlines.State.OPEN, "data incomplete", True)
    lay(store, "till", rows)
    later = owed.next_try_at + timedelta(seconds=1)
    tick(office, later)
    ended(office, later)
    with ledger.read() as tx:
        owed = deadlines.find(tx, ("fetched_receipts", DAY.isoformat()))
    assert (owed.state, owed.attempts, carrier.sent) == (deadlines.State.MET, 2, [])
    ledger.close()


def ended(office, now):
    """Look until the attempt under way has ended; fails after a minute."""
    assert select.select([office.crew], [], [], 60)[0], "it never ended"
    tick(office, now)


def test_sources_that_are_gone_fail_the_run(store, make):
    """Without any source the run is recorded as stopped, with a trouble that the scheduler tries again."""
    for name in ("till", "replica"):
        (store / name / "receipts.csv").unlink()
        (store / name).rmdir()
    code, made = make(store)
    assert (code, made["status"]) == (1, "stopped")
    assert "None of 2 sources answered" in made["message"]
    (run,) = finished(store)
    assert "source asked" in [line["event"] for line in diary.read(run)]


def test_an_api_that_fails_and_its_replica(store, make):
    """An API answers 503 to the end of its tries: the report is made from the replica, and says so in print."""
    write(
        store / "config/sources.yml",
        (store / "config/sources.yml")
        .read_text()
        .replace(
            "{kind: files, title: Till, url: till, format: csv, tries: 1}",
            "{kind: http, title: Till API, url: 'URL', tries: 2}",
        ),
    )
    with serving(Api({"receipts": []})) as api:
        change(store / "config/sources.yml", "URL", api.url)
        api.fail(*[Fault(503)] * 4)
        code, made = make(store)
    assert (code, made["status"]) == (0, "delivered")
    assert len(api.asked) == 2
    (run,) = finished(store)
    text = printed(run / "fetched_receipts.pdf")
    assert "Served by" in text
    assert "were served by Replica" in text
    assert "Before it was asked: Till API" in text
    with Ledger.open(config.load(store).ledger).read() as tx:
        assert [str(probe.trouble) for probe in book.probes(tx, "till")] == ["source unavailable"] * 2


def printed(path):
    """The text of a PDF on one line."""
    with pdfium.PdfDocument(path) as document:
        return " ".join(" ".join(page.get_textpage().get_text_range() for page in document).split())


def test_by_hand(store):
    """`runner fetch` lands what a report would, says so line by line, and refuses what is fetched from nowhere."""
    code, out, err = runner(store, "fetch", "--as-of", DAY.isoformat())
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "pass  receipts of 15 November 2017 were served by Till: 27 rows, whole."
    assert loads.served_by(warehouse.landed(store / warehouse.PLACE), "receipts", DAY) == "Till"
    code, out, _ = runner(store, "fetch", "receipts", "--as-of", DAY.isoformat(), "--json")
    assert (code, json.loads(out.splitlines()[-1])["check"]) == (0, "supply of receipts")
    code, _, err = runner(store, "fetch", "receipt", "--as-of", DAY.isoformat())
    assert (code, "receipts" in err) == (2, True)


def test_the_room_of_a_deadline_holds_the_fetching(store):
    """Where something is fetched each attempt may take its fetch besides its limit; in the others nothing changes."""
    project = config.load(store)
    pipeline, fetched = project.pipelines["fetched_receipts"], timetable_of(project, ()).fetching
    assert fetched == timedelta(seconds=project.settings.fetch_limit)
    more = room_of(pipeline, project.settings, fetched) - room_of(pipeline, project.settings)
    assert more == project.settings.attempts * fetched
    aside = pipeline.model_copy(update={"sources": ()})
    assert room_of(aside, project.settings, fetched) == room_of(aside, project.settings)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  receipts: {", "  visits: {", "see something else"),
        ("  receipts: {", "  baskets: {", "has no contract"),
        ("2017-10-16", "1 September", "is no day"),
        ("{from: ", "{fro: ", "Did you mean 'from'"),
        ("[till, replica]", "[]", "receipts.from: should have at least 1"),
    ],
)
def test_config_of_a_fetched_table(store, old, new, said):
    """A name that is taken, no contract, a first day that is none, a key or a source that lacks: said at once."""
    change(store / "config/sources.yml", old, new)
    with pytest.raises(ConfigError, match=said):
        config.load(store)


def test_the_names_that_are_taken(store):
    """What config refuses as a table's name is what notebooks see beside the tables, no more and no less."""
    from runner.config.agreement import TAKEN  # noqa: PLC0415

    with warehouse.connect(store / warehouse.PLACE, DAY) as connection:
        seen = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    assert seen - set(warehouse.TABLES) | {"breaches"} == TAKEN


def test_an_order_comes_back_as_it_went():
    """What the child is asked for is what was meant."""
    order = Order(("a", "b"), DAY, DAY, NOW, 1.0, 5.0, under_way=True)
    assert fetching.Order.of(json.loads(json.dumps(order.as_dict()))) == order
