"""One notebook executed in a child process, and a truthful account of what happened.

`execute` never raises for what a notebook does: it hands back the notebook as far as it came and the error, if any.
The account is taken from the cells themselves and from how the processes ended, never from saved metadata: a report
is whole only when every code cell has run, has its number, and shows no error.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import CellFailed, DeadlinePassed, Interrupted, KernelDied, ReportStopped, RunnerError, Trouble
from runner.report import notebooks
from runner.report.notebooks import NotebookNode
from runner.report.warming import breed, search_path
from runner.warm import wire
from runner.warm.client import Member, Order, Unavailable, ask
from runner.warm.processes import MARK, end_marked, end_run

GRACE = 3.0  # seconds that a child told to end has for saving its notebook
GONE = 15.0  # seconds for a guard to end everything below it
BANNER = "runner-banner"
NOT_RUN = "not-run"


class Stop:
    """A wish to end, that one thread utters and every waiting thread hears at once.

    It never goes back. `select` may wait on it, so nobody has to poll.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._children: list[Stop] = []
        self._parent: Stop | None = None
        self.asked = False

    def child(self) -> Stop:
        """A stop that hears this one and can be asked by itself: for one run of several."""
        made = Stop()
        made._parent = self
        self._children.append(made)
        if self.asked:
            made.ask()
        return made

    def ask(self) -> None:
        """Ask everyone to end. Safe in a signal handler, and more than once."""
        if not self.asked:
            self.asked = True
            os.close(self._write)
            for child in tuple(self._children):
                child.ask()

    def close(self) -> None:
        """Let go of the descriptors, once nobody waits on them any more."""
        if not self.asked:
            self.asked = True
            os.close(self._write)
        os.close(self._read)
        if self._parent:
            self._parent.forget(self)

    def forget(self, child: Stop) -> None:
        """A child was closed: nobody waits on it any more."""
        with suppress(ValueError):
            self._children.remove(child)

    def fileno(self) -> int:
        """A descriptor that can be read once a stop is asked."""
        return self._read

    def check(self) -> None:
        """Raise Interrupted if a stop was asked."""
        if self.asked:
            raise Interrupted("The run was interrupted.", "Start it again when you are ready; nothing was sent.")


@dataclass(frozen=True)
class Request:
    """What to execute: where from, where to, with what, and for how long (seconds)."""

    run: str
    notebook: Path
    output: Path
    parameters: Mapping[str, Any]
    limit: float
    cell_limit: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()  # variables of this process that are no business of a notebook
    cold: str = ""  # why the kernel is not to be a warm one; empty: it is
    clean: Callable[[str], str] = str  # takes secrets out of what a cell said, before it is cut to a sentence


@dataclass(frozen=True)
class Progress:
    """One cell of the stored notebook has begun: its number from 1, how many there are, and the heading above it."""

    run: str
    cell: int
    cells: int
    heading: str


@dataclass(frozen=True)
class Outcome:
    """The notebook as far as it came, and why it is not whole (None: it is)."""

    notebook: NotebookNode
    error: RunnerError | None = None
    kernel: str = ""  # how the kernel began: `warm`, or `cold: ` and why; empty: it never did


@dataclass(frozen=True)
class _Ending:
    """How the child ended, the cell that had begun last, and how the kernel had begun."""

    how: str
    cell: int | None = None
    detail: str = ""
    kernel: str = ""


def execute(
    request: Request, progress: Callable[[Progress], None], stop: Stop, began: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Execute a notebook; `began` hears how its kernel began. Nothing that it started is left when this returns."""
    nb = notebooks.bare(request.notebook)
    with _child(request) as (process, events):
        ending = _watch(events, request, _Ears(_teller(request, nb, progress), began), stop)
        process.end(gently=ending.how in {"deadline", "interrupted"})
    executed = _result(request.output, nb, ending)
    error = _judge(executed, ending, request)
    return Outcome(executed if error is None else _label(executed, error, ending), error, ending.kernel)


# The child process.


@contextmanager
def _child(request: Request) -> Iterator[tuple[Warm | Cold, int]]:
    """The running child and the descriptor of its events; ended in any case."""
    order = request.output.with_name("request.json")
    events, told = os.pipe()
    try:
        with request.output.with_name("kernel.log").open("wb") as log:
            process = _started(request, order, (log.fileno(), told))
    finally:
        os.close(told)
    try:
        yield process, events
    finally:
        process.end()
        os.close(events)
        order.unlink(missing_ok=True)


def _started(request: Request, order: Path, files: tuple[int, int]) -> Warm | Cold:
    """A warm process where there is one to be had, else an ordinary one with an ordinary kernel."""
    log, told = files
    env = environment(request)
    _write_order(order, request, request.cold)
    if not request.cold:
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is all that is wanted
            wish = Order(
                "runner.report.child:forked",
                request.notebook.parent.resolve(),
                env,
                {"request": str(order.resolve())},
                (nothing.fileno(), log, log, told),
            )
            try:
                return Warm(ask(breed(env), wish), request.run)
            except Unavailable as why:
                _write_order(order, request, str(why))
    return Cold(_popen(request, order, env, files), request.run)


def _popen(request: Request, order: Path, env: Mapping[str, str], files: tuple[int, int]) -> subprocess.Popen[bytes]:
    log, told = files
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "runner.report.child", str(order.resolve()), str(told)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=request.notebook.parent,
        env=env,
        pass_fds=(told,),
        start_new_session=True,
    )


def _write_order(order: Path, request: Request, cold: str) -> None:
    told = {
        "notebook": str(request.notebook.resolve()),
        "output": str(request.output.resolve()),
        "parameters": dict(request.parameters),
        "cell_limit": request.cell_limit,
        "cold": cold,
    }
    order.write_text(json.dumps(told), encoding="utf-8")


def environment(request: Request) -> dict[str, str]:
    """The variables of a run: those here but for the withheld ones, which a notebook could print, and its own."""
    here = {name: value for name, value in os.environ.items() if name not in request.withheld}
    return {**here, "PYTHONPATH": search_path(), **request.env, MARK: request.run}


@dataclass(frozen=True)
class Cold:
    """A child that was started for one run, with its kernel below it."""

    process: subprocess.Popen[bytes]
    run: str

    def end(self, *, gently: bool = False) -> None:
        """End it and everything that belongs to its run; gently: it may save what it has."""
        process = self.process
        if process.stdin is None or process.stdin.closed:
            return
        if gently:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        if process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        end_run(process.pid, self.run)
        process.wait()
        process.stdin.close()


@dataclass(frozen=True)
class Warm:
    """A forked child; its guard ends everything below and says so, and if the guard died we look for the rest."""

    member: Member
    run: str

    def end(self, *, gently: bool = False) -> None:
        """End it and everything that belongs to its run; gently: it may save what it has."""
        if self.member.returncode is not None:
            return
        for number, patience in ((signal.SIGTERM if gently else 0, GRACE if gently else 0.5), (signal.SIGKILL, GONE)):
            if number:
                self.member.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.member.wait(patience)
                break
        if self.member.is_lost or self.member.returncode is None:
            end_marked(self.run)
        self.member.close()


@dataclass(frozen=True)
class _Ears:
    """Who hears that a cell has begun, and how the kernel began."""

    cell: Callable[[int], None]
    began: Callable[[str], None]


def _watch(events: int, request: Request, ears: _Ears, stop: Stop) -> _Ending:
    """Wait for the child's last event, its end, the deadline or a stop, whichever is first."""
    end = time.monotonic() + request.limit
    buffer, cell, kernel = b"", None, ""
    while True:
        ready = wire.ready([events, stop.fileno()], end - time.monotonic())
        if stop.fileno() in ready:
            return _Ending("interrupted", cell, kernel=kernel)
        if not ready:
            return _Ending("deadline", cell, kernel=kernel)
        data = os.read(events, 65536)
        if not data:
            return _Ending("lost", cell, kernel=kernel)
        *lines, buffer = (buffer + data).split(b"\n")
        for event in map(json.loads, lines):
            if event["event"] == "end":
                return _Ending(event["how"], cell, event.get("detail", ""), kernel)
            if event["event"] == "kernel":
                kernel = event["how"]
                ears.began(kernel)
            else:
                cell = event["index"]
                ears.cell(event["index"])


def _teller(request: Request, nb: NotebookNode, progress: Callable[[Progress], None]) -> Callable[[int], None]:
    """Turns the place of a cell as executed into progress; of the injected cell, which is nobody's, nothing is told."""
    injected = _injected(request, nb)
    headings = list(_headings(nb))

    def told(index: int) -> None:
        stored = index - 1 if injected is not None and index > injected else index
        if index != injected and stored < len(headings):
            progress(Progress(request.run, stored + 1, len(headings), headings[stored]))

    return told


def _injected(request: Request, nb: NotebookNode) -> int | None:
    """Where papermill puts a cell of its own: after the parameters, else on top. None: it adds no cell."""
    tags = [cell.metadata.get("tags", ()) for cell in nb.cells]
    if not request.parameters or any("injected-parameters" in tagged for tagged in tags):
        return None
    return next((index + 1 for index, tagged in enumerate(tags) if "parameters" in tagged), 0)


def _headings(nb: NotebookNode) -> Iterator[str]:
    """For each cell the nearest heading at or above it."""
    heading = ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            lines = (_clean(line.lstrip("# ")) for line in cell.source.splitlines() if line.startswith("#"))
            heading = next(lines, heading)
        yield heading


def _clean(text: str) -> str:
    """One line without control characters: it is shown on terminals."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "".join(letter for letter in " ".join(plain.split()) if letter.isprintable())


# What happened.


def _result(path: Path, source: NotebookNode, ending: _Ending) -> NotebookNode:
    """The notebook that the child left, or the source when it left none; free of this machine's paths."""
    try:
        nb = notebooks.own(path)
    except (OSError, ValueError):
        nb = source
    nb.metadata.setdefault("papermill", notebooks.node())
    for key in ("input_path", "output_path", "environment_variables"):
        nb.metadata.papermill.pop(key, None)
    nb.metadata.papermill["ending"] = ending.how
    return nb


def _judge(nb: NotebookNode, ending: _Ending, request: Request) -> RunnerError | None:
    """Why the notebook is not whole, or None."""
    ended = _ended(ending, nb, request)
    if ended:
        return ended
    for index, cell in _code(nb):
        error = next((output for output in cell.outputs if output.output_type == "error"), None)
        if error:
            return _cell_error(nb, index, error, request.clean)
        if cell.execution_count is None:
            return _never_ran(nb, index)
    return None


def _ended(ending: _Ending, nb: NotebookNode, request: Request) -> RunnerError | None:
    place = where(nb, ending.cell)
    if ending.how == "deadline":
        return DeadlinePassed(
            f"The notebook was ended after its limit of {_span(request.limit)}; it was at {place}.",
            "Make that cell faster, or raise `limit` in config/pipelines.yml.",
        )
    if ending.how == "cell limit":
        return DeadlinePassed(
            f"{place} was ended after its limit of {_span(request.cell_limit or 0)}.",
            "Make that cell faster, or raise `cell_limit` in config/pipelines.yml.",
        )
    if ending.how == "interrupted":
        return Interrupted(
            f"The run was interrupted at {place}.", "Start it again when you are ready; nothing was sent."
        )
    if ending.how in {"died", "lost"}:
        return KernelDied(
            f"The kernel's process ended at {place}.",
            "Most often memory ran out or a library crashed: see kernel.log beside the notebook, then run it again.",
        )
    if ending.how == "broken":
        return KernelDied(f"The notebook could not be executed: {ending.detail}", "See kernel.log beside the notebook.")
    return None


def _cell_error(nb: NotebookNode, index: int, error: Any, clean: Callable[[str], str]) -> RunnerError:
    if error.ename == "ReportStopped":
        return ReportStopped(_clean(error.evalue))
    if error.ename == "SystemExit":
        later = sum(1 for later, _ in _code(nb) if later > index)
        return CellFailed(
            f"{where(nb, index)} left the notebook with sys.exit, so {_cells(later)} after it never ran.",
            "Take sys.exit out; to stop a report, call report.require or raise an error.",
        )
    text = _clean(clean(f"{error.ename}: {error.evalue}".rstrip(": ")))[:300].rstrip(".")
    failed = CellFailed(f"{where(nb, index)} failed: {text}.", "The notebook of this run shows the traceback.")
    if error.ename == "PermissionError":
        failed.trouble = Trouble.PERMISSION_REVOKED
    return failed


def _never_ran(nb: NotebookNode, index: int) -> RunnerError:
    tags = nb.cells[index].metadata.get("tags", [])
    remedy = "Take the tag skip-execution off." if "skip-execution" in tags else "Run it again."
    return CellFailed(f"{where(nb, index)} never ran.", remedy)


def _code(nb: NotebookNode) -> Iterator[tuple[int, Any]]:
    """The code cells that have something to run, with their places."""
    return ((i, cell) for i, cell in enumerate(nb.cells) if cell.cell_type == "code" and cell.source.strip())


def where(nb: NotebookNode, index: int | None) -> str:
    """A cell as a person finds it: its number in the stored notebook, and the heading above it."""
    if index is None or index >= len(nb.cells):
        return "its start"
    heading = list(_headings(nb))[index]
    tags = [set(cell.metadata.get("tags", ())) for cell in nb.cells]
    if BANNER in tags[index]:
        return "the note on top"
    ours = [i for i, given in enumerate(tags) if not given & {BANNER, "injected-parameters"}]
    if index not in ours:
        return "the cell of given parameters"
    # Numbers are those of the stored notebook, which has neither the injected cell nor our note.
    return f"Cell {ours.index(index) + 1} of {len(ours)}" + (f" (section {heading!r})" if heading else "")


def _cells(count: int) -> str:
    return "one cell" if count == 1 else f"{count} cells"


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"


# The label on a notebook that is not whole.


def _label(nb: NotebookNode, error: RunnerError, ending: _Ending) -> NotebookNode:
    """Mark the culprit, the cells that never ran, and say so at the top."""
    culprit = _culprit(nb, ending)
    silent = 0
    for index, cell in _code(nb):
        state = _state(cell, index, culprit)
        cell.metadata.setdefault("papermill", notebooks.node())["status"] = state
        silent += state == "not run"
        if state == "not run":
            cell.outputs = [_said("*This cell was not run.*")]
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), NOT_RUN]
    if culprit is not None:
        _show_error(nb.cells[culprit], error)
    nb.metadata.papermill.update(exception=True, status="failed")
    nb.cells.insert(0, _banner(error, silent))
    return nb


def _culprit(nb: NotebookNode, ending: _Ending) -> int | None:
    """The cell that shows an error, else the one that had begun last."""
    for index, cell in _code(nb):
        if any(output.output_type == "error" for output in cell.outputs):
            return index
    if ending.how != "done":
        return ending.cell if ending.cell is not None and ending.cell < len(nb.cells) else None
    return next((index for index, cell in _code(nb) if cell.execution_count is None), None)


def _state(cell: Any, index: int, culprit: int | None) -> str:
    if index == culprit:
        return "failed"
    if culprit is None or index > culprit:
        return "not run" if cell.execution_count is None else "completed"
    # Before the culprit every cell ran; one without its number was not saved in time.
    return "completed" if cell.execution_count is not None else "completed, output lost"


def _show_error(cell: Any, error: RunnerError) -> None:
    if cell.cell_type != "code" or any(output.output_type == "error" for output in cell.outputs):
        return
    name = type(error).__name__
    cell.outputs = [
        *cell.outputs,
        notebooks.output("error", ename=name, evalue=str(error), traceback=[f"{name}: {error}"]),
    ]


def _said(text: str) -> Any:
    return notebooks.output("display_data", data={"text/markdown": text, "text/plain": text.strip("*")})


def _banner(error: RunnerError, silent: int) -> Any:
    missing = f" {_cells(silent).capitalize()} never ran." if silent else ""
    return banner(f"{error}{missing}")


def banner(why: str) -> Any:
    """The cell on top of a notebook that nobody may take for a report."""
    return notebooks.words(f"> **This report is not finished and must not be sent.** {why}", BANNER)
