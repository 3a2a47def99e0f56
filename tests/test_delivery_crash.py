"""A delivery killed at every step, and two at once: nobody is missed, and nobody gets a copy but in the one window."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.ledger import Ledger
from runner.ledger.deliveries import State
from tests.killed_delivery import DAY, OF_MAILDIR, STEPS, found, hand_over, ready
from tests.mail_server import serving

ROOT = Path(__file__).resolve().parents[1]
OLGA, OSCAR = "olga@example.com", "oscar@example.com"
#: Where the server may have the message, and nobody has heard or noted its answer.
WINDOW = {"handed", "answered"}


def told(folder, port):
    """What came of a kill at each step."""
    command = [sys.executable, "-m", "tests.killed_delivery", str(folder), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def mails():
    """What came of a kill at each step before a real server, and what that took for the project of each."""
    import tempfile  # noqa: PLC0415 - a module's fixture has no folder of its own

    with serving() as server, tempfile.TemporaryDirectory() as folder:
        stories = told(Path(folder), server.port)
        taken = {step: [got for got in server.book.got if f"%PDF-1.7{step} " in _pdf(got)] for step in STEPS}
        yield stories, taken


def _pdf(got):
    (part,) = got.message.iter_attachments()
    return part.get_content().decode("latin-1")


def test_each_step_was_really_killed(mails):
    """All eight, by SIGKILL."""
    stories, _ = mails
    assert [(story["step"], story["killed"]) for story in stories] == [(step, True) for step in STEPS]


def test_nobody_is_missed_and_only_the_window_copies(mails):
    """Both readers have it in the end; a second copy comes in the window alone, under the same Message-ID."""
    stories, taken = mails
    for story in stories:
        step = story["step"]
        assert set(story["after"].values()) == {"sent"}, step
        copies = {reader: [got.name for got in taken[step] if got.recipient == reader] for reader in (OLGA, OSCAR)}
        assert len(copies[OSCAR]) == 1, step
        assert 1 <= len(copies[OLGA]) <= (2 if step in WINDOW else 1), step
        assert len(set(copies[OLGA])) == 1, step


def test_the_window_is_real(mails):
    """Killed between the answer and its note, the message comes twice: the book calls this window handing."""
    stories, taken = mails
    story = next(story for story in stories if story["step"] == "answered")
    assert story["between"][OLGA] == "handing"
    assert len([got for got in taken["answered"] if got.recipient == OLGA]) == 2
    assert {story["step"]: story["between"][OLGA] for story in stories} == {
        "claiming": "owed",
        "claimed": "trying",
        "connected": "trying",
        "addressed": "trying",
        "handing": "handing",
        "handed": "handing",
        "answered": "handing",
        "marked": "sent",
    }


def test_a_maildir_has_no_such_window(tmp_path):
    """Each reader has one file, wherever it was killed."""
    for story in told(tmp_path, 0):
        assert (story["killed"], set(story["after"].values())) == (True, {"sent"}), story
    for step in OF_MAILDIR:
        assert len(list((tmp_path / step / "reports/mail/new").iterdir())) == 2


def test_two_who_deliver_at_once_write_to_each_reader_once(tmp_path):
    """Each in a process of its own, held where the first message is claimed until the other has begun, many times."""
    with serving() as server:
        shop = found(tmp_path, server.port)
        for number in range(3):
            run = ready(shop, f"r{number}", version=number + 1)
            server.begin()
            both = threading.Barrier(2, timeout=20)

            def step(_recipient, name, both=both):
                if name == "claiming":
                    both.wait()

            workers = [threading.Thread(target=hand_over, args=(shop, run, step)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert server.book.taken() == {OLGA: 1, OSCAR: 1}
        ledger = Ledger.open(shop.ledger)
        assert {item.state for item in ledger.deliveries("good", DAY, 3)} == {State.SENT}
        ledger.close()


SENDER = """
import sys
from pathlib import Path
from runner.ledger import Ledger
from tests.killed_delivery import found, hand_over
shop = found(Path(sys.argv[1]), int(sys.argv[2]))
ledger = Ledger.open(shop.ledger)
run = ledger.run("r1")
print("ready", flush=True)
sys.stdin.readline()
hand_over(shop, run, lambda *_: None)
"""


def test_two_processes_that_deliver_at_once_write_to_each_reader_once(tmp_path):
    """Both begin at the same word."""
    with serving() as server:
        ready(found(tmp_path, server.port), "r1")
        both = [
            subprocess.Popen(
                [sys.executable, "-c", SENDER, str(tmp_path), str(server.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for _ in range(2)
        ]
        for process in both:
            assert process.stdout.readline() == "ready\n"
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in both:
            process.communicate(timeout=60)
        assert server.book.taken() == {OLGA: 1, OSCAR: 1}
