"""Commands about runs: cancelled, looked into, approved, backfilled, pruned."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from runner import config
from runner.commands import backfill, logs, prune, reports, runs
from runner.delivery.channels import Recorder
from runner.errors import UsageError
from runner.ledger import Delivery, Ledger, Process, Result, Run, deadlines, journal
from runner.model import SCRAP_MIME, Status
from runner.report import diary, notebooks, shelf
from runner.report.approval import Approval
from runner.report.execute import Stop
from runner.report.produce import Clock, Ctx
from runner.scheduler import work
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests.small_projects import PIPELINE, change, finished, mails, of_project, project, start
from tests.small_projects import runner as command

DAY = "2017-11-15"
NOW = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)  # half an hour before the report of DAY is due
WARN = ("level=\\\"pass\\\"", "level=\\\"warn\\\"")


@pytest.fixture
def opened():
    """Opens ledgers of projects, and closes them at the end."""
    made: list[Ledger] = []

    def open_(folder: Path) -> Ledger:
        made.append(Ledger.open(config.load(folder).ledger))
        return made[-1]

    yield open_
    for ledger in made:
        ledger.close()


@pytest.fixture
def said(capsys):
    """Calls a command in this process; its exit code and the objects that it wrote, one a line."""

    def call(function, *words, **more):
        code = function(*words, as_json=True, **more)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


def until(seen):
    """What `seen` gives once it gives something; fails after half a minute."""
    end = time.monotonic() + 30
    while not (found := seen()):
        assert time.monotonic() < end, "it never came"
        os.sched_yield()
    return found


def wish(name, **more):
    """A wish for the report of a pipeline."""
    return reports.Wish(name, more.pop("as_of", DAY), **more)


def acts(ledger, what):
    """The acts of a kind in the journal."""
    with ledger.read() as tx:
        return [act for act in journal.acts(tx, datetime.min.replace(tzinfo=UTC), datetime.now(UTC)) if act.what == what]


# Cancelling, and what a run said.


def test_a_cancelled_run_ends_alone_and_says_who_and_why(tmp_path, opened, said):
    """Another report of the same command goes on; who follows the log sees the end; nothing is left behind."""
    folder = project(tmp_path, "hangs", "good")
    ledger = opened(folder)
    making = start(folder, "run", "--all", "--as-of", DAY)
    run = until(lambda: ledger.making("hangs", DAY))
    following = start(folder, "logs", run.run, "--follow")
    assert any("Waiting" in line for line in following.stdout)
    code, (told,) = said(runs.cancel, config.load(folder), run.run, "ann", "It is in the way.")
    out, _ = making.communicate(timeout=60)
    last = json.loads(following.communicate(timeout=30)[0].splitlines()[-1])
    message = "Cancelled by Ann: It is in the way."
    assert (code, told["status"], told["message"]) == (0, "interrupted", message)
    assert (making.returncode, message in out) == (1, True)
    assert (following.returncode, last["status"], last["message"]) == (0, "interrupted", message)
    assert {run.pipeline: str(run.status) for run in ledger.runs()} == {"hangs": "interrupted", "good": "delivered"}
    assert Path(told["notebook"]).parent == shelf.place(config.load(folder), run)
    assert "never ran" in Path(told["notebook"]).read_text()
    assert of_project(folder) == []
    (act,) = acts(ledger, "cancelled")
    assert (act.who, act.details) == ("ann", {"run": run.run, "because": "It is in the way."})


def test_a_cancelled_run_of_the_scheduler_is_not_tried_again(tmp_path, opened):
    """Its deadline says that it was cancelled, and no tick takes it up, though attempts are left."""
    folder = project(tmp_path, "hangs")
    office = office_of(folder, opened(folder))
    assert len(tick(office, NOW).started) == 1
    run = until(lambda: office.ledger.making("hangs", DAY))
    until(lambda: any(event["event"] == "cell begins" for event in events(folder, run)))
    with office.ledger.write() as tx:
        journal.cancel(tx, journal.Cancellation(run.run, NOW, "ann", ""))
    until(lambda: tick(office, NOW).ended)
    owed = owed_of(office.ledger, "hangs")
    assert (owed.outcome, owed.next_try_at, owed.message) == ("cancelled", None, "Cancelled by Ann.")
    assert tick(office, NOW + timedelta(minutes=20)).started == ()


def office_of(folder, ledger):
    """A real scheduler's office whose clock stands at NOW."""
    found = config.load(folder)
    return open_office(Ctx(found, ledger, Clock(NOW), Stop(), lambda _: None), Recorder())


def owed_of(ledger, pipeline, period=DAY):
    """A deadline in the book."""
    with ledger.read() as tx:
        return deadlines.find(tx, (pipeline, period))


def events(folder, run):
    """What a run that is under way has said."""
    return list(diary.read(shelf.work(config.load(folder), run.run)))


def test_what_cannot_be_cancelled_is_told_with_names(tmp_path, opened):
    """An unknown run, one that is over, and a person nobody knows: each with what may have been meant."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    under_way, over = leave(found, ledger, "20171116T133000-aaaaaa", Status.RUNNING), "20171116T133000-bbbbbb"
    leave(found, ledger, over, Status.FAILED, period="2017-11-14")
    for words, what in [
        (("20171116T133000-aaaaab", "ann"), f"Did you mean '{under_way.run}'?"),
        ((over, "ann"), f"Run {over} is not under way: it is failed. Under way: {under_way.run}."),
        ((under_way.run, "anne"), "No engineer is called 'anne'. Did you mean 'ann'?"),
    ]:
        with pytest.raises(UsageError) as refused:
            runs.cancel(found, *words, "", as_json=True)
        assert what in str(refused.value)
    assert acts(ledger, "cancelled") == []


def test_cancelling_a_run_whose_process_is_gone_clears_it_up(tmp_path, opened, said):
    """Nobody is there to hear it: it is marked interrupted at once."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    leave(found, ledger, "r1", Status.RUNNING, process=replace(Process.this(), started="1"))
    code, (told,) = said(runs.cancel, found, "r1", "ann", "")
    assert (code, told["status"]) == (0, "interrupted")
    assert ledger.making("good", DAY) is None


def test_the_log_of_a_failed_run_ends_with_what_there_is_to_look_at(tmp_path, opened, said, capsys):
    """Readable lines on request, JSON lines in a pipe; the kernel's last words and the partial notebook."""
    folder = project(tmp_path, "kernel_dies")
    said(reports.run, config.load(folder), wish("kernel_dies"))
    (run,) = opened(folder).runs()
    logs.logs(config.load(folder), str(finished(folder)[0]), as_json=False, follow=False)
    lines = capsys.readouterr().out
    assert "\n" in lines
    first = lines.splitlines()[0]
    assert (first[:12], "run begins" in first) == ("     0.0 s  ", True)
    assert f"{run.started_at.astimezone(config.values_zone(folder)) if False else ''}" == ""
    assert "cell 2 of" in lines
    assert "KernelDied: The kernel's process ended" in lines
    assert "is failed. The kernel's process ended" in lines
    assert f"Partial notebook: {finished(folder)[0]}/kernel_dies.ipynb" in lines
    code, out, err = command(folder, "logs", run.run)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert {row["run"] for row in rows} == {run.run}
    assert (rows[-1]["event"], rows[-1]["status"]) == ("stands", "failed")
    assert rows[-1]["kernel_log"] == (finished(folder)[0] / "kernel.log").read_text().splitlines()[-20:]
