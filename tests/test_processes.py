"""Ending processes: whatever they did to hide, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from runner.warm import processes

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
TREE = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); import time; time.sleep(600)"
OWN_SESSION = f"import os; os.setsid(); {SLEEP}"


@pytest.fixture
def started():
    """Starts a Python process with a mark, waits until it is up, and ends it after the test."""
    found = []

    def start(code: str, mark: str) -> subprocess.Popen:
        environment = {**os.environ, processes.MARK: mark}
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        found.append(process)
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in found:
        process.kill()
        process.communicate()


def up(pid: int) -> bool:
    """Whether a process lives, and not only as an entry that waits to be read."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("code", [SLEEP, STUBBORN, OWN_SESSION])
def test_a_marked_process_is_ended_whatever_it_does(started, code):
    """A process that ignores SIGTERM, or leads a session of its own, goes too."""
    process = started(code, "run-a")
    assert [found.pid for found in processes.marked("run-a")] == [process.pid]
    processes.end_marked("run-a")
    assert not up(process.pid)
    assert processes.marked("run-a") == []


def test_the_processes_of_another_run_are_left_alone(started):
    """Only the very same mark counts, not one that begins alike."""
    mine, other, alike = started(SLEEP, "run-b"), started(SLEEP, "run-c"), started(SLEEP, "run-b2")
    processes.end_run(mine.pid, "run-b")
    assert [up(process.pid) for process in (mine, other, alike)] == [False, True, True]


def test_everything_below_a_process_is_ended_and_the_process_itself_is_not(started):
    """A child keeps its place until it has taken in all orphans."""
    process = started(TREE, "run-d")
    (below,) = psutil.Process(process.pid).children()
    processes.end_below(process.pid)
    assert (up(process.pid), up(below.pid)) == (True, False)


def test_a_process_that_is_gone_already_is_no_error():
    """Ending is asked for more than once, and too late."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    processes.end_run(child.pid, "run-e")
    processes.end_below(child.pid)


def test_this_very_process_is_never_among_those_to_end(monkeypatch):
    """The runner may itself have been started by a notebook of a run."""
    monkeypatch.setenv(processes.MARK, "run-f")
    assert os.getpid() not in [process.pid for process in processes.marked("run-f")]


def test_an_orphan_comes_back_to_the_process_that_adopts():
    """A double fork with a session of its own ends up below the adopting process, where it is found."""
    code = f"""
import os, subprocess, sys, psutil
from runner.warm import processes
processes.adopt_orphans()
hide = "import os; os.setsid(); os.fork() and os._exit(0); " + {SLEEP!r}
grandchild = subprocess.Popen([sys.executable, "-c", hide], env={{}}, stdout=subprocess.PIPE, text=True)
assert grandchild.stdout.readline() == "up\\n"
grandchild.wait()
print(len(psutil.Process().children()))
processes.end_below(os.getpid())
print(len([child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["1", "0"]
