"""The desk as a process: beside the scheduler, in the background, begun again, ended; real processes throughout."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from runner import config
from runner.ledger import Ledger
from runner.ledger.process import Process
from runner.scheduler import doorplate
from runner.scheduler.doorplate import Plate
from tests.small_projects import change, project, runner, start, write
from tests.test_plan_commands import ONCALL
from tests.test_service import end, event

NOW = "2017-11-16T10:00"
PATIENCE = 60.0


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A project with one daily report; whatever desk it has in the background is ended."""
    folder = project(tmp_path, "good")
    write(folder / "config/oncall.yml", ONCALL)
    write(folder / "config/settings.yml", f"{(folder / 'config/settings.yml').read_text()}desk: {{port: 0}}\n")
    yield folder
    plate = doorplate.plate_of(config.load(folder))
    if plate is not None and plate.process.pid != os.getpid():
        psutil.Process(plate.process.pid).kill()


def ask(address: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The status and the text of one page."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        got = connection.getresponse()
        return got.status, got.read().decode()
    finally:
        connection.close()


def desk_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process of the desk beside a scheduler."""
    below = psutil.Process(process.pid).children()
    (found,) = (child for child in below if "runner.web" in child.cmdline())
    return found


def gone(*processes: psutil.Process) -> bool:
    """Whether these end within a bounded time."""
    return psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


# Beside the scheduler.


def test_a_desk_that_ends_is_begun_again_and_one_whose_scheduler_is_killed_ends(small):
    """Killed, it is there again on its own; the scheduler killed outright, nothing of it is left."""
    process = start(small, "serve", "--every", "0.2 s", "--now", NOW)
    assert ask(event(process, "desk begins")["address"], "/healthz") == (200, "ok\n")
    desk_of(process).kill()
    assert event(process, "desk ended")["code"] == -signal.SIGKILL
    assert ask(event(process, "desk begins")["address"], "/healthz") == (200, "ok\n")
    desk = desk_of(process)
    process.kill()
    assert gone(desk)
    process.communicate(timeout=PATIENCE)


def test_a_desk_that_hangs_delays_no_report_and_both_end_when_told(small):
    """While the desk stands still the scheduler makes what is due; SIGTERM ends both, and all they log is one form."""
    process = start(small, "serve", "--every", "0.2 s", "--now", "2017-11-16T07:00")
    seen = event(process, "desk begins")
    desk = desk_of(process)
    desk.suspend()
    change(small / "config/pipelines.yml", "deadline: daily by 09:00", "deadline: daily by 09:00\n    room: 2 h")
    assert event(process, "run ended")["status"] == "delivered"
    desk.resume()
    assert ask(seen["address"], "/sign-in")[0] == 200
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert gone(desk)
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert {"desk ends", "scheduler ends"} <= set(events)


def test_a_desk_beside_a_scheduler_is_known_as_such(small):
    """A link for it is good by its clock; it is not ended from outside; and no second one is begun beside it."""
    process = start(small, "serve", "--every", "0.2 s", "--now", NOW)
    seen = event(process, "desk begins")
    link = json.loads(runner(small, "signin", "ann", "--json")[1])
    assert link["ends_at"].startswith("2017-11-16")
    assert ask(seen["address"], urlsplit(link["link"]).path)[0] == 200
    code, _, said = runner(small, "serve", "--stop")
    assert (code, "belongs to a `runner serve`" in said) == (2, True)
    port = str(urlsplit(seen["address"]).port)
    code, _, said = runner(small, "serve", "--only", "desk", "--port", port, "--now", NOW)
    assert (code, "is taken by another desk of this project" in said) == (2, True)
    end(process)


def test_a_scheduler_goes_on_where_its_desk_cannot_begin(small):
    """A port that is taken is said in the log with the remedy; alarms do not depend on it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(small, "serve", "--every", "0.2 s", "--port", str(port), "--now", NOW)
        told = event(process, "desk cannot begin")
        assert told["error"] == f"Port {port} of 127.0.0.1 is taken by another program."
        assert f"--port {port + 1}" in told["remedy"]
        assert event(process, "desk ended")["again_in"] > 0
        assert end(process) == 0


# Alone.


def test_one_in_the_background_is_there_once_and_lets_its_visitor_in(small):
    """It answers when the command ends, which leaves no pipe open; a second one names it; --stop ends it."""
    words = ("serve", "--only", "desk", "--background", "--now", NOW, "--sign-in", "ann")
    code, out, err = runner(small, *words)
    assert (code, err) == (0, "")
    first, said, link = out.splitlines()
    plate = doorplate.plate_of(config.load(small))
    assert first == f"The desk: {plate.address}"
    assert said == "Open this link to sign in as Ann (once, within 15 min):"
    status, page = ask(plate.address, urlsplit(link).path)
    assert (status, "Ann" in page) == (200, True)
    again, other = runner(small, *words[:4])[1], psutil.Process(plate.process.pid)
    assert again == f"The desk runs already: {plate.address}\n"
    assert runner(small, "serve", "--stop")[1] == f"The desk at {plate.address} has ended.\n"
    assert gone(other)
    assert runner(small, "serve", "--stop")[1] == "No desk runs in the background.\n"
    log = (small / "reports/.desk/desk.log").read_text()
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["desk begins", "desk ends"]
    assert urlsplit(link).path.rpartition("/")[2] not in log


def test_one_that_cannot_begin_in_the_background_says_why(small):
    """The sentence of its log, with the remedy, and exit code 2; nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = runner(small, "serve", "--only", "desk", "--background", "--port", str(port))
    assert (code, out) == (2, "")
    assert err.startswith(f"The desk did not begin. Port {port} of 127.0.0.1 is taken by another program. End that one")
    assert doorplate.plate_of(config.load(small)) is None


def test_one_without_a_visitor_ends_by_itself(small):
    """Neither a watchdog nor a page that renews itself is a visitor."""
    words = [sys.executable, "-m", "runner.web", "--project", str(small), "--port", "0", "--idle", "1.5"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        address = event(process, "desk begins")["address"]
        asked, until = 0, time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                ask(address, "/healthz")
                ask(address, "/sign-in", {"X-Live": "1"})
            except OSError:
                break
            asked += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.terminate()
        assert asked
        assert event(process, "desk is to end")["because"] == "nobody was there"
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "web"), "--only 'web' is none of the two."),
        (("--background",), "Only the desk goes into the background."),
        (("--only", "desk", "--sign-in", "ann"), "--sign-in belongs to --background."),
        (("--only", "desk", "--address", "0.0.0.0"), "The desk does not listen on 0.0.0.0 without encryption."),
    ],
)
def test_words_that_do_not_go_together_are_refused(small, words, said):
    """A sentence with the remedy, and nothing is begun."""
    code, _, err = runner(small, "serve", *words)
    assert (code, err.startswith(said)) == (2, True), err


# A rehearsed day.


def test_a_report_can_be_made_on_a_day_gone_by(small):
    """With --now the clock of `runner run` begins there: the ledger and the mails have its times."""
    assert runner(small, "run", "good", "--as-of", "2017-11-15", "--now", "2017-11-16T08:30")[0] == 0
    ledger = Ledger.of(config.load(small))
    (run,) = ledger.runs()
    had = ledger.had_since(run)
    ledger.close()
    assert f"{run.started_at:%Y-%m-%d %H:%M}" == "2017-11-16 13:30"
    assert had is not None
    assert had > run.started_at
    assert had.year == 2017


def test_a_desk_of_another_machine_is_none_here(small):
    """What a container that is gone, or another machine, left in the folder is neither named as at work nor ended."""
    loaded, other = config.load(small), replace(Process.this(), host="elsewhere")
    Plate(other, "http://desk.example/", "http://127.0.0.1:1/").hang(loaded)
    assert doorplate.plate_of(loaded) is None
    assert runner(small, "serve", "--stop")[1] == "No desk runs in the background.\n"
