"""A scheduler killed at any step and started again: nothing is lost, and what is sent twice is known as such.

See tests/killed_scheduler.py for the scheduler: three reports, of which one fails once and then goes well, one is
broken and one is held; both are late in the end, and nobody acknowledges.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

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
