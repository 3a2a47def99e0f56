"""Many warm reports one after another in one process: nothing may grow but the runs' own folders.

    python -m tests.soak --runs 500

makes trivial reports as the scheduler would, looks at everything after every fifty, prints what it saw, and ends with
exit code 1 when a bound is broken. Bounds, from the first reading to any later one: not one process, thread, descriptor
or file more; and from the first to the last at most 20 MB of memory more, all processes together. A leak of 50 kB a
report would make 22 MB in the 450 reports between, while caches and allocators move some MB to and fro from one reading
to the next. Readings are fifty runs apart because a press makes room for a new one after as many reports, so each finds
a press of the same age.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import psutil

from runner import config
from runner.ledger import Ledger
from runner.report import draft, produce
from runner.report import job as jobs
from runner.report.execute import Stop
from tests.small_projects import living, project
from tests.warm_parents import ENDING, descriptors, parent_of, runtime

PIPELINE = "good"
EVERY = 50
#: MB that all processes together may grow by.
GROWTH = 20.0


@dataclass(frozen=True)
class Reading:
    """What was seen after so many runs; memory in MB, shared pages counted by their share."""

    runs: int
    processes: int
    threads: int
    our_files: int
    parent_files: int
    press_files: int
    left_files: int
    ours: float
    parent: float
    press: float

    @property
    def memory(self) -> float:
        """Of all processes together."""
        return self.ours + self.parent + self.press


@dataclass(frozen=True)
class Yard:
    """Where it happens: a folder for sockets and temporary files, with the project in it."""

    folder: Path
    ctx: draft.Ctx

    def make(self) -> None:
        """One report. Raises AssertionError when it is not a whole, warm one."""
        job = jobs.Job(self.ctx.project.pipelines[PIPELINE], "2017-11-15", again=True, deliver=False)
        made = produce.produce(job, self.ctx)
        kernel = self.ctx.ledger.runs(PIPELINE)[0].kernel
        assert (made.exit_code, kernel) == (0, "warm"), (made, kernel)

    def read(self, runs: int) -> Reading:
        """Look at everything, once what has just ended is gone."""
        press = self.ctx.presses._idle[0]._printer._process.pid  # there is one, for one report at a time
        parent = parent_of(parent_of(press))
        self._settle(parent, parent_of(press))
        return Reading(
            runs,
            processes=len({*living(f"{self.folder}/"), *below(parent), *below(os.getpid())}),
            threads=len(list(Path("/proc/self/task").iterdir())),
            our_files=len(descriptors(os.getpid())),
            parent_files=len(descriptors(parent)),
            press_files=len(descriptors(press)),
            left_files=len(list(self.left())),
            ours=megabytes(os.getpid()),
            parent=megabytes(parent),
            press=megabytes(press),
        )

    def left(self) -> Iterator[Path]:
        """Every file beside the runs' own folders."""
        kept = self.ctx.project.folder / "reports" / PIPELINE
        return (path for path in self.folder.rglob("*") if not path.is_relative_to(kept))

    def _settle(self, parent: int, guard: int) -> None:
        """Wait until the parent has taken note of the end of every guard but that of the press."""
        psutil.wait_procs([child for child in psutil.Process(parent).children() if child.pid != guard], ENDING)


def below(pid: int) -> list[psutil.Process]:
    """Everything below a process, the dead among them."""
    return psutil.Process(pid).children(recursive=True)


def megabytes(pid: int) -> float:
    """Memory of a process; of a page that several share, its share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def yard(folder: Path) -> Iterator[Yard]:
    """A small project whose parent, presses and temporary files all lie in one folder."""
    place = folder / "tmp"
    place.mkdir()
    env = {"XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(place)}
    with mock.patch.dict(os.environ, env), mock.patch.object(tempfile, "tempdir", str(place)):
        (folder / "shop").mkdir()
        found = config.load(project(folder / "shop", PIPELINE))
        with closing(Ledger.open(found.ledger)) as book:
            ctx = draft.Ctx(found, book, draft.Clock(datetime.now(UTC)), Stop(), lambda _: None)
            try:
                yield Yard(folder, ctx)
            finally:
                ctx.presses.close()
                ctx.stop.close()


def soak(runs: int, every: int = EVERY, told: Callable[[Reading], None] = lambda _: None) -> list[Reading]:
    """Make so many reports; what was seen after every few. Raises AssertionError when processes are left at the end."""
    readings = []
    with runtime() as folder, yard(folder) as place:
        for number in range(1, runs + 1):
            place.make()
            if number % every == 0:
                readings.append(place.read(number))
                told(readings[-1])
    return readings


def broken(readings: list[Reading], growth: float = GROWTH) -> list[str]:
    """A sentence for each bound that is broken between the first reading and any later one."""
    first, found = readings[0], []
    for name in ("processes", "threads", "our_files", "parent_files", "press_files", "left_files"):
        before, most = getattr(first, name), max(getattr(reading, name) for reading in readings)
        if most > before:
            found.append(f"{name} were {before} and became {most}.")
    grown = readings[-1].memory - first.memory
    if grown > growth:
        found.append(f"Memory grew by {grown:.1f} MB, more than {growth:g} MB.")
    return found


def row(reading: Reading) -> str:
    """One line of the table."""
    values = [*asdict(reading).values(), reading.memory]
    return " ".join(f"{value:>12.1f}" if isinstance(value, float) else f"{value:>12}" for value in values)


def show(text: str) -> None:
    """Print at once, also into a file."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Soak, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    runs = max(2 * EVERY, parser.parse_args().runs)
    names = [*(column.name for column in fields(Reading)), "memory"]
    show(" ".join(f"{name:>12}" for name in names))
    troubles = broken(soak(runs, told=lambda reading: show(row(reading))))
    show("\n".join(troubles) or f"Nothing grew in {runs} reports.")
    return bool(troubles)


if __name__ == "__main__":
    sys.exit(main())
