"""The scheduler as a process: it serves, ends when told to, takes up what it left, and is missed when it is gone."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner import config
from runner.commands.service import clock_of
from runner.ledger import Ledger, deadlines
from tests.small_projects import SETTINGS, change, finished, mails, project, runner, start, write
from tests.test_plan_commands import ONCALL, lines

EARLY = ("--now", "2017-11-16T08:30")  # half an hour before the report of 15 November is due


@pytest.fixture
def small(tmp_path):
    """A project with one daily report by 09:00 and a rota of two."""
    folder = project(tmp_path, "good")
    write(folder / "config/oncall.yml", ONCALL)
    return folder


def event(process: subprocess.Popen[str], name: str) -> dict:
    """The next event of this name in a scheduler's log; fails when the log ends without it."""
    for line in process.stderr:
        told = json.loads(line)
        if told["event"] == name:
            return told
    raise AssertionError(f"the scheduler ended without {name!r}")


def end(process: subprocess.Popen[str]) -> int:
    """Tell a process to end, as an operating system does; its exit code."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return process.returncode


def owed(folder: Path):
    """The deadline of 15 November as the ledger has it."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = deadlines.find(tx, ("good", "2017-11-15"))
    ledger.close()
    return found


def test_a_scheduler_makes_what_is_due_and_ends_when_told(small):
    """A report whose time has come is made by a real kernel and delivered; SIGTERM ends the scheduler cleanly."""
    process = start(small, "serve", "--only", "scheduler", "--every", "0.2 s", *EARLY)
    ended = event(process, "run ended")
    assert (ended["status"], ended["pipeline"], ended["period"]) == ("delivered", "good", "2017-11-15")
    assert end(process) == 0
    assert owed(small).on_time
    assert len(mails(small)) == 2
    rows = lines(runner(small, "status", "--now", "2017-11-16T08:40", "--json")[1])
    assert [row["state"] for row in rows] == ["met", "planned"]


def test_a_run_that_is_ended_with_its_scheduler_is_taken_up_again(small):
    """SIGTERM in the middle keeps the partial notebook and gives the attempt back; the next scheduler makes it anew."""
    change(small / "config/pipelines.yml", "notebook: good.ipynb", "notebook: hangs.ipynb")
    write(small / "notebooks/hangs.ipynb", (Path(__file__).parent / "notebooks/hangs.ipynb").read_text())
    process = start(small, "serve", "--only", "scheduler", "--every", "0.2 s", *EARLY)
    event(process, "run starts")
    assert end(process) == 0
    left = owed(small)
    assert (left.outcome, left.attempts, left.holder) == ("interrupted", 0, None)
    (folder,) = finished(small)
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    change(small / "config/pipelines.yml", "notebook: hangs.ipynb", "notebook: good.ipynb")
    code, out, _ = runner(small, "tick", "--now", "2017-11-16T08:45", "--json")
    assert (code, lines(out)[0]["started"]) == (0, ["good 2017-11-15"])
    assert owed(small).on_time


def test_one_tick_does_all_there_is_and_the_next_does_nothing(small):
    """`runner tick` for cron: it starts, waits, delivers; a second one at once starts nothing and sends nothing."""
    code, out, _ = runner(small, "tick", *EARLY, "--json")
    first = lines(out)[0]
    assert (code, first["started"], first["ended"]) == (0, ["good 2017-11-15"], 1)
    again = lines(runner(small, "tick", "--now", "2017-11-16T08:50", "--json")[1])[0]
    assert (again["started"], again["ended"], again["sent"]) == ([], 0, 0)


def test_what_failed_is_told_by_mail_to_the_engineer_on_call(small):
    """A cell that raises cannot be mended by trying again: the primary is told at once, with the runbook's section."""
    change(small / "config/pipelines.yml", "notebook: good.ipynb", "notebook: raises.ipynb")
    write(small / "notebooks/raises.ipynb", (Path(__file__).parent / "notebooks/raises.ipynb").read_text())
    code, out, _ = runner(small, "tick", *EARLY, "--json")
    assert (code, lines(out)[0]["sent"]) == (0, 1)
    (mail,) = mails(small)
    text = mail.read_text()
    assert "To: Bob <bob@example.com>" in text
    assert "Failed: good, Wednesday 15 November 2017" in text
    assert "runner ack 1 --by bob" in text


def test_a_change_of_config_is_taken_up_and_a_mistake_in_it_is_not(small):
    """The scheduler reads config anew when it changes; one that does not load is told of, and the old one holds."""
    process = start(small, "serve", "--only", "scheduler", "--every", "0.2 s", "--now", "2017-11-16T10:00")
    event(process, "scheduler begins")
    change(small / "config/people.yml", "name: Bob", "name: Robert")
    event(process, "config taken up")
    change(small / "config/people.yml", "name: Robert", "nam: Robert")
    assert "unknown key" in event(process, "config refused")["error"]
    assert end(process) == 0


def test_the_sign_of_life_goes_the_whole_way_to_a_watch(small, tmp_path_factory, monkeypatch):
    """Tick -> outbox -> channel -> watch: a real scheduler's heartbeat arrives in a real watch."""
    other = tmp_path_factory.mktemp("other machine")
    monkeypatch.setenv("PAGER", "json://127.0.0.1:9/")
    monkeypatch.setenv("RUNNER_WATCH_TOKEN", "secret")
    watch = start(other, "watch", "--port", "0", "--tell", "env:PAGER", "--state", "watch.json")
    port = event(watch, "watch begins")["port"]
    monkeypatch.setenv("BEAT", f"json://127.0.0.1:{port}/secret")
    write(small / "config/settings.yml", f"{SETTINGS}heartbeat: {{every: 5 min, channel: env:BEAT}}\n")
    before = datetime.now(UTC)
    assert runner(small, "tick", "--now", "2017-11-16T10:00")[0] == 0
    beat = json.loads((other / "watch.json").read_text())["beat"]
    assert datetime.fromisoformat(beat) >= before
    assert end(watch) == 0


def test_two_schedulers_make_a_report_once(small):
    """Two processes tick on one ledger at the same time: one run, one message for each reader."""
    words = [sys.executable, "-m", "runner.cli", "--project", str(small), "tick", *EARLY, "--json"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(len(lines(out)[0]["started"]) for out in outs) == 1
    assert len(finished(small)) == 1
    assert len(mails(small)) == 2


def test_time_does_not_go_back(small):
    """A look earlier than the last one is refused with a remedy, and `status` says that it is a look back."""
    assert runner(small, "tick", "--now", "2017-11-16T10:00")[0] == 0
    code, _, err = runner(small, "tick", "--now", "2017-11-15T10:00")
    assert code == 2
    assert "time does not go back" in err
    assert "This is a look back" in runner(small, "status", "--now", "2017-11-15T10:00")[1]


def test_a_tick_that_fails_says_so_to_cron(small):
    """A step that cannot be taken is logged, and the exit code is not that of success."""
    assert runner(small, "tick", "--now", "2017-11-16T10:00")[0] == 0
    with sqlite3.connect(small / "reports/ledger.sqlite") as book:
        book.execute("DROP TABLE outbox")
    code, _, err = runner(small, "tick", "--now", "2017-11-16T10:01")
    assert code == 1
    assert "tick failed" in err


def test_the_clock_of_a_scheduler_is_read_anew_each_time():
    """Without --now the machine's clock counts, also after the machine slept; with it, time goes on from there."""
    real, told = clock_of(None), clock_of(datetime(2017, 11, 16, tzinfo=UTC))
    before = datetime.now(UTC)
    assert before <= real.now() <= datetime.now(UTC)
    assert told.now() - datetime(2017, 11, 16, tzinfo=UTC) < timedelta(minutes=1)
