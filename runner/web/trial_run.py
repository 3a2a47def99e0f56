"""The process of one trial run, started by `trials`: `python -m runner.web.trial_run FOLDER`.

It copies the project into its folder, makes the report there, hands it to nobody, and says how it ended. It ends with
everything below it when it is cancelled, and when the desk is gone (end of file on standard input), within seconds.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner import config
from runner.config import Project
from runner.errors import RunnerError
from runner.leaks import Censor
from runner.ledger import Ledger
from runner.model import Status
from runner.report import diary, produce
from runner.report.draft import Clock, Ctx, Made, Step
from runner.report.execute import Stop
from runner.scheduler import copies, doorplate
from runner.warm.processes import end_below
from runner.web import trials
from runner.web.trials import CANCELLED, ORDER, OUTCOME, PROJECT

#: Seconds that a run has for ending by itself, once it is told to.
GRACE = 20.0
#: Seconds between two looks at whether somebody cancelled it.
_LOOK = 0.2
#: What every page of a trial's report says, in place of the company's own words.
NOTE = "Trial run by {name}: not checked by anyone, not to be passed on"


@dataclass(frozen=True)
class Attempt:
    """One trial in its process: its folder, what is wanted, what tells it to end, and its clock."""

    folder: Path
    wish: trials.Wish
    real: Project
    clock: Clock
    stop: Stop

    def note(self, stage: str, **fields: Any) -> None:
        """One line of how far it is."""
        line = {"at": self.clock.now().isoformat(timespec="milliseconds"), "stage": stage, **fields}
        with (self.folder / diary.NAME).open("a", encoding="utf-8") as file:
            file.write(self.real.censor.redact(json.dumps(line, ensure_ascii=False)) + "\n")

    def tell(self, step: Step) -> None:
        """What the making of the report tells."""
        self.note(step.stage, cell=step.cell, cells=step.cells, heading=step.heading)

    def make(self) -> Made:
        """Make the report in a copy. Raises RunnerError as `produce` does."""
        self.note("copy")
        copy = self._copy()
        self.stop.check()
        wish, pipeline = self.wish, copy.pipeline(self.wish.pipeline)
        with closing(Ledger.of(copy)) as own:
            with closing(Ledger.of(self.real)) as ledger:
                copies.with_records(ledger, own, pipeline.inputs, wish.as_of, self.clock.now())
            withheld = produce.withheld(self.real)  # the copy has no channels, but the environment has
            ctx = Ctx(copy, own, self.clock, self.stop, self.tell, withheld=withheld)
            return produce.produce(wish.job(pipeline), ctx)

    def _copy(self) -> Project:
        """The project once more, whose reports say on each page what they are."""
        place = self.folder / PROJECT
        copies.copy_of(self.real, place)
        said = NOTE.format(name=self.real.name_of(self.wish.who))
        copies.rewrite(place / "config/settings.yml", lambda settings: settings.update(confidential=said))
        return config.load(place, self.real.censor)

    def outcome(self) -> dict[str, Any]:
        """How it ended, as it is kept."""
        clean = self.real.censor.redact
        try:
            made = self.make()
        except RunnerError as error:
            status = Status.INTERRUPTED if self.stop.asked else Status.FAILED
            return self._told(status, clean(error.what), clean(error.remedy))
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits for it hears
            traceback.print_exception(error)
            what = clean(f"The runner itself failed: {type(error).__name__}: {error}")
            return self._told(Status.FAILED, what, "Please report it.")
        told = self._told(made.status, clean(made.message), clean(made.remedy))
        return told | {"run": made.run, "period": made.period, "folder": self._place(made)}

    def _place(self, made: Made) -> str | None:
        """Where it lies, from the copy's folder."""
        if made.folder is None or not made.folder.is_dir():
            return None
        return made.folder.resolve().relative_to((self.folder / PROJECT).resolve()).as_posix()

    def _told(self, status: Status, message: str, remedy: str) -> dict[str, Any]:
        if status is Status.INTERRUPTED:
            message, remedy = self._why(), ""
        if status is Status.HELD:  # nobody is asked to let a trial go out
            remedy = ""
        ended = self.clock.now().isoformat(timespec="milliseconds")
        return {"status": str(status), "message": message, "remedy": remedy, "ended_at": ended}

    def _why(self) -> str:
        """Why it was interrupted."""
        try:
            who = json.loads((self.folder / CANCELLED).read_text(encoding="utf-8"))["who"]
        except (OSError, ValueError, KeyError):
            return "It ended together with the desk."
        return f"Cancelled by {self.real.name_of(who)}."

    def listen(self) -> None:
        """Wait until it is cancelled or the desk is gone, and see to it that it then ends. In a thread of its own."""
        while not self.stop.asked and not select.select([0], [], [], _LOOK)[0]:
            if (self.folder / CANCELLED).exists():
                break
        self.stop.ask()
        time.sleep(GRACE)
        doorplate.write(self.folder / OUTCOME, self._told(Status.INTERRUPTED, "", ""))
        end_below(os.getpid())
        os._exit(1)


def main(folder: Path) -> int:
    """Run one trial; 0 also where it failed, for that is told in its outcome."""
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    clock, stop = Clock(datetime.fromisoformat(order["now"])), Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.ask())
    real = config.load(Path(order["project"]), Censor(os.environ))
    attempt = Attempt(folder, trials.Wish(**order["wish"]), real, clock, stop)
    threading.Thread(target=attempt.listen, daemon=True).start()
    outcome = attempt.outcome()
    _tidy(folder / PROJECT)
    doorplate.write(folder / OUTCOME, outcome)
    return 0


def _tidy(copy: Path) -> None:
    """Of the copy only what was made is kept."""
    for path in copy.iterdir() if copy.is_dir() else ():
        if path.name != "reports":
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    for path in (copy / "reports").glob("ledger.sqlite*"):
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
