"""A scheduler that is killed at every step: `python -m tests.killed_scheduler FOLDER` prints what came of it, as JSON.

One process imports everything once and forks: for each step a child that kills itself there, by SIGKILL, and then a
second one that finishes what the first began, on the same ledger and with a later clock. A step is the begin or the
commit of a transaction, or the moment before or after a message is sent.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.delivery.channels import Parcel
from runner.ledger import Ledger, deadlines
from runner.report import shelf  # noqa: F401 - a look imports it, and each child would again
from runner.scheduler.tick import next_tick, tick
from tests.small_office import (
    DUE,
    FAILS,
    FINE,
    HOLDS,
    MINUTE,
    PASSES,
    SALES,
    SECOND,
    Hands,
    Outcome,
    office,
    pipeline,
    project,
    settings,
)

#: From before the work begins until the secondary was told; the owners' turn would come a minute later.
FIRST, LAST = DUE - 11 * MINUTE, DUE + 20 * MINUTE
DAY = SALES[1]


def brief(outcome: Outcome) -> Outcome:
    """The same, in one minute."""
    return Outcome(outcome.status, outcome.trouble, outcome.message, MINUTE)


SCRIPT = {
    ("fine", DAY): (brief(PASSES), brief(FINE)),
    ("broken", DAY): (brief(FAILS),),
    ("held", DAY): (brief(HOLDS),),
}
ENTRIES = [pipeline(name, "daily by 09:00", room="10 min", usual="1 min") for name, _ in SCRIPT]
SHOP = project(*ENTRIES, settings=settings(runs_at_once=3, retry_after=("1 min",), alerts={"group_from": 3}))


@dataclass
class Fate:
    """Counts steps and ends the process at one of them; `unnoted` while a message is sent and that is not written."""

    folder: Path
    at: int
    count: int = 0
    last: str = ""
    unnoted: bool = False

    def step(self, name: str) -> None:
        """One step; at the chosen one the process is killed, and nothing after it is done."""
        if name == self.last == "begin":  # only reading in between: nothing has changed
            return
        self.unnoted = self.unnoted and self.last != "commit"
        self.last = name
        self.count += 1
        if self.count == self.at:
            (self.folder / "fate.json").write_text(json.dumps({"step": name, "unnoted": self.unnoted}))
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(self) -> None:
        """Hear of every transaction of this process."""
        sa.event.listen(sa.Engine, "begin", lambda _: self.step("begin"))
        sa.event.listen(sa.Engine, "commit", lambda _: self.step("commit"))


@dataclass
class Lines:
    """A carrier that appends a line to a file for each message that it takes."""

    folder: Path
    fate: Fate

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Take a message; once this has come back it has been sent."""
        self.fate.step("before sending")
        said = {"id": parcel.message_id, "to": parcel.address, "subject": parcel.message.subject, "at": now.isoformat()}
        with (self.folder / "sent.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.fate.unnoted = True
        self.fate.step("after sending")

    def problem(self, channel: str) -> str:  # noqa: ARG002
        """None."""
        return ""


def serve(folder: Path, now: datetime, at: int) -> int:
    """Look from an instant on until the last, unless killed before; how many steps there were."""
    fate = Fate(folder, at)
    ledger = Ledger.open(folder / "ledger.sqlite")
    desk = office(ledger, SHOP, Hands(ledger, SCRIPT), Lines(folder, fate), lease=timedelta(minutes=3))
    fate.listen()
    while now <= LAST:
        (folder / "clock").write_text(now.isoformat())
        tick(desk, now)
        now = next_tick(desk, now)
    return fate.count


def forked(folder: Path, now: datetime, at: int) -> int | None:
    """Serve in a child process; its steps, or None if it was killed. Raises RuntimeError if it failed."""
    child = os.fork()
    if not child:
        code = 1
        try:
            (folder / "steps").write_text(str(serve(folder, now, at)))
            code = 0
        except Exception:  # noqa: BLE001 - the parent says which step it was
            traceback.print_exc()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"The scheduler failed, killed at step {at}.")
    return int((folder / "steps").read_text())


def outcome(folder: Path) -> dict[str, Any]:
    """What can be seen from outside: deadlines, runs, messages."""
    ledger = Ledger.open(folder / "ledger.sqlite")
    with ledger.read() as tx:
        owed = [owed for owed in deadlines.between(tx, FIRST, LAST) if owed.deadline.period == DAY]
        states = {one.key[0]: [str(one.state), one.outcome] for one in owed}
    runs = sorted([run.pipeline, str(run.status)] for run in ledger.runs())
    ledger.close()
    sent = [json.loads(line) for line in (folder / "sent.jsonl").read_text().splitlines()]
    return {"states": states, "runs": runs, "sent": sent}


def stories(folder: Path) -> Iterator[dict[str, Any]]:
    """What came of it without a kill, and then of a kill at the first step, the second, ... until there are no more."""
    at = 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        steps = forked(folder, FIRST, at)
        if steps is not None and at:
            return
        fate = {"at": at, "step": "", "unnoted": False}
        if steps is None:
            fate |= json.loads((folder / "fate.json").read_text())
            began = folder / "clock"
            now = datetime.fromisoformat(began.read_text()) + SECOND if began.exists() else FIRST
            forked(folder, now, 0)
        yield fate | outcome(folder)
        at += 1


if __name__ == "__main__":
    gc.freeze()  # no child looks for what can go among all that was imported, and so copies none of it
    for story in stories(Path(sys.argv[1])):
        sys.stdout.write(json.dumps(story) + "\n")
