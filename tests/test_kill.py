"""A scheduler killed at any step and started again: nothing is lost, and what is sent twice is known as such.

See tests/killed_scheduler.py for the scheduler: three reports, of which one fails once and then goes well, one is
broken and one is held; both are late in the end, and nobody acknowledges.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner import config
from runner.delivery.channels import Recorder
from runner.ledger import Ledger, deadlines
from runner.model import Status
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests.small_projects import change, mails, project

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """What came of it without a kill, and of a kill at each step."""
    folder = tmp_path_factory.mktemp("kill") / "office"
    command = [sys.executable, "-m", "tests.killed_scheduler", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(story):
    """How many different messages of each kind about each report reached each person."""
    messages = {message["id"]: message for message in story["sent"]}
    return Counter((message["to"], message["subject"].partition(",")[0]) for message in messages.values())


def repeats(story):
    """How many messages were sent again."""
    return len(story["sent"]) - len({message["id"] for message in story["sent"]})


def at(story):
    """Where it was killed, for people."""
    return f"killed at step {story['at']}, {story['step']}"


def test_it_was_killed_at_every_kind_of_step(stories):
    """Before and after a transaction, before and after a message, while something was sent but not noted."""
    assert len(stories) > 80
    assert {story["step"] for story in stories[1:]} == {"begin", "commit", "before sending", "after sending"}
    assert any(story["unnoted"] for story in stories)


def test_the_uninterrupted_one_is_as_it_should_be(stories):
    """What all others are compared with."""
    whole = stories[0]
    assert whole["states"] == {"fine": ["met", "delivered"], "broken": ["open", "failed"], "held": ["open", "held"]}
    assert repeats(whole) == 0
    assert Counter(message["to"].partition("@")[0] for message in whole["sent"]) == {"ann": 4, "olga": 2, "bob": 2}


def test_no_deadline_is_lost(stories):
    """Each ends as it does without a kill."""
    for story in stories:
        assert story["states"] == stories[0]["states"], at(story)


def test_no_run_is_doubled(stories):
    """One good run, one held run, and no more than the attempts there are; what was cut off says so."""
    for story in stories:
        ended = Counter(map(tuple, story["runs"]))
        assert (ended["fine", "delivered"], ended["held", "held"]) == (1, 1), at(story)
        assert ended["broken", "failed"] >= 1, at(story)
        assert all(count <= 3 for count in Counter(name for name, _ in story["runs"]).values()), at(story)
        assert {status for _, status in story["runs"]} <= {"delivered", "held", "failed", "interrupted"}, at(story)


def test_no_message_is_lost_and_none_is_told_under_two_names(stories):
    """The same messages to the same people, each under one Message-ID."""
    for story in stories:
        assert told(story) == told(stories[0]), at(story)


def test_a_message_is_sent_twice_only_where_that_cannot_be_avoided(stories):
    """Killed between sending and noting: that one goes out again, under the same Message-ID. Nowhere else."""
    for story in stories:
        assert repeats(story) == (1 if story["unnoted"] else 0), at(story)


# Killed while a person's word is carried out.

NOW, DAY = datetime(2017, 11, 16, 13, 30, tzinfo=UTC), "2017-11-15"


def context(found, ledger):
    """What making and approving share."""
    return Ctx(found, ledger, Clock(NOW), Stop(), lambda _: None)


def ticks(office, end):
    """Look until an attempt has ended."""
    for _ in iter(lambda: tick(office, NOW).ended, 1):
        assert datetime.now(UTC) < end


def in_a_minute():
    """When patience ends."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + 60, UTC)


APPROVER = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from runner import config
from runner.ledger import Ledger
from runner.report.approval import Approval, approve
from tests.test_kill import NOW, context
found = config.load(Path(sys.argv[1]))
ledger, committed = Ledger.open(found.ledger), []
(held,) = ledger.runs()
sa.event.listen(sa.Engine, "commit", committed.append)
sa.event.listen(sa.Engine, "begin", lambda _: committed and os.kill(os.getpid(), signal.SIGKILL))
approve(held, Approval("ann", "I counted.", held.finished_at), context(found, ledger))
"""


def test_an_approval_killed_after_its_commit_is_carried_out_by_the_scheduler(tmp_path):
    """Released and owed, and nobody wrote to: the next look hands the very run over, and the deadline is met."""
    folder = project(tmp_path, "good")
    change(folder / "notebooks/good.ipynb", 'level=\\"pass\\"', 'level=\\"warn\\"')
    found = config.load(folder)
    ledger = Ledger.open(found.ledger)
    office = open_office(context(found, ledger), Recorder())
    tick(office, NOW)
    ticks(office, in_a_minute())
    killed = subprocess.run([sys.executable, "-c", APPROVER, str(folder)], cwd=ROOT, check=False, timeout=60)
    (run,) = ledger.runs()
    assert (killed.returncode, run.status, mails(folder)) == (-signal.SIGKILL, Status.READY, [])
    ticks(office, in_a_minute())
    assert [(one.run, one.status) for one in ledger.runs()] == [(run.run, Status.DELIVERED)]
    assert len(mails(folder)) == 2
    with ledger.read() as tx:
        assert deadlines.find(tx, ("good", DAY)).state is deadlines.State.MET
    ledger.close()
