"""A delivery that is killed at each of its steps and taken up again: one line of JSON for each.

`python -m tests.killed_delivery FOLDER PORT` makes a ready run in FOLDER, whose mail server listens at PORT; a port of
0 is the maildir. For each step a fork hands the run over and kills itself where the first reader's message has got so
far; a second fork does the rest, as the next start of the runner would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from runner import config
from runner.config import Project
from runner.config.ends import Mail
from runner.errors import RunnerError
from runner.ledger import Ledger, Result, Run
from runner.model import Status
from runner.report import handover, notebooks, shelf
from tests.small_projects import project

NOW = datetime(2017, 11, 16, 13, tzinfo=UTC)
DAY = "2017-11-15"
STEPS = ("claiming", "claimed", "connected", "addressed", "handing", "handed", "answered", "marked")
OF_MAILDIR = ("claiming", "claimed", "marked")


def found(folder: Path, port: int, **more: object) -> Project:
    """A small project with two readers, and its mail server."""
    read = config.load(folder if (folder / "config").is_dir() else project(folder, "good"))
    server = {"server": "127.0.0.1", "port": port, "security": "none", "timeout": "5 s"} if port else {}
    mail = Mail.model_validate({**server, **more})
    return replace(read, settings=read.settings.model_copy(update={"mail": mail}))


def ready(shop: Project, name: str, version: int = 1) -> Run:
    """A finished run of `good` that owes its messages, with its files in `folder/NAME`."""
    folder = shop.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    nb = notebooks.notebook(notebooks.words("# Good\n\nAll is well."))
    nb.metadata["runner"] = {"title": "Good", "period_text": "Wednesday 15 November 2017"}
    notebooks.write(nb, folder / "good.ipynb")
    (folder / "good.pdf").write_bytes(b"%PDF-1.7" + name.encode() + b" " * 500)
    ledger = Ledger.open(shop.ledger)
    begun = Run(name, "good", DAY, "", NOW)
    ledger.begin(begun)
    ended = replace(begun, status=Status.READY, version=version)
    ledger.finish(Result(ended, artifacts=shelf.artifacts(folder), owed=handover.owed(shop, ended)))
    ledger.close()
    return ended


def hand_over(shop: Project, run: Run, step: Callable[[str, str], None]) -> None:
    """Hand over what is owed, and say what is missed."""
    ledger = Ledger.open(shop.ledger)
    with suppress(RunnerError):
        handover.send(handover.Desk(shop, ledger, lambda: NOW, {}, step), run, shop.folder / run.run)
    ledger.close()


def killed_at(wanted: str) -> Callable[[str, str], None]:
    """Ends the process where the first message has come so far."""

    def step(_recipient: str, name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def forked(work: Callable[[], None]) -> int:
    """The wait status of a fork that does this work."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def main(folder: Path, port: int) -> None:
    """Every step, each with a project of its own."""
    hand_over(shop := found(folder / "warm", port), ready(shop, "warm"), lambda *_: None)  # imports before the forks
    for step in STEPS if port else OF_MAILDIR:
        shop = found(folder / step, port)
        run = ready(shop, step)
        killed = forked(lambda shop=shop, run=run, step=step: hand_over(shop, run, killed_at(step)))  # type: ignore[misc]
        ledger = Ledger.open(shop.ledger)
        between = {item.recipient: str(item.state) for item in ledger.deliveries("good", DAY, 1)}
        ledger.close()
        forked(lambda shop=shop, run=run: hand_over(shop, run, lambda *_: None))  # type: ignore[misc]
        ledger = Ledger.open(shop.ledger)
        after = {item.recipient: str(item.state) for item in ledger.deliveries("good", DAY, 1)}
        ledger.close()
        killed_truly = os.WIFSIGNALED(killed) and os.WTERMSIG(killed) == signal.SIGKILL
        said = {"step": step, "killed": killed_truly, "between": between, "after": after}
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
