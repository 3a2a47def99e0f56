"""The press: a process that renders reports and proves them, one after another, and can be killed.

It remembers what reports have in common (fonts, templates, compiled styles), which makes the second one several times
faster than the first. Memory that the compiler keeps is bounded: after a number of reports, or when it has grown, a
press makes room for a new one, and it ends by itself when nothing comes. Presses are forked from the warm parent; where
there is none, they are ordinary processes: `python -m runner.report.press`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runner import errors
from runner.errors import RenderingFailed, RunnerError
from runner.model import Figure, Finding
from runner.report import notebooks
from runner.report.execute import Stop
from runner.report.warming import breed
from runner.warm import wire
from runner.warm.client import Member, Order, Unavailable, ask
from runner.warm.member import MARKS

if TYPE_CHECKING:
    from runner.document.readback import PdfFile
    from runner.document.shapes import Document

#: A press is replaced after so many reports, or when it has grown by so many MB since its first.
REPORTS, GROWN = 50, 150.0
#: Seconds without work after which a press ends, and in which one must have begun.
IDLE, BEGINNING = 60.0, 30.0


@dataclass(frozen=True)
class Sheet:
    """What is to be printed.

    notebook   the executed notebook as a file that this program has written
    meta       what stands around the report (`metadata.runner`)
    folder     where the files go: the HTML and the PDF named `name`, and charts/
    beside     the folder in which the notebook names pictures; they must lie within `within`
    env        the environment of the run, whose warm parent is asked for a press
    cold       why it is not to be asked; empty: it is
    """

    name: str
    notebook: Path
    meta: Mapping[str, Any]
    folder: Path
    templates: Sequence[Path]
    beside: Path
    within: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cold: str = ""

    def message(self) -> dict[str, Any]:
        """The sheet as it travels."""
        texts = {key: str(getattr(self, key)) for key in ("name", "notebook", "folder", "beside", "within")}
        return {**texts, "meta": dict(self.meta), "templates": [str(folder) for folder in self.templates]}


# In the runner: presses to be had.


class Presses:
    """Presses that wait for work. A press belongs to one report at a time; there are as many as reports at once."""

    def __init__(self) -> None:
        self._idle: list[Press] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def one(self) -> Iterator[Press]:
        """A press for one report. Its process begins with the first order, unless one was waiting."""
        with self._lock:
            press = self._idle.pop() if self._idle else Press()
        try:
            yield press
        finally:
            with self._lock:
                self._idle.append(press)

    def close(self) -> None:
        """End all that wait."""
        with self._lock:
            _close_all(self._idle)


def _close_all(presses: list[Press]) -> None:
    while presses:
        presses.pop().close()


class Press:
    """One press as the runner sees it: its process, which may end at any time and is then begun anew."""

    def __init__(self) -> None:
        self._printer: _Printer | _Here | None = None

    def render(self, sheet: Sheet, limit: float, stop: Stop) -> tuple[str, ...]:
        """Render a sheet within `limit` seconds; the names of the files. Raises RenderingFailed, Interrupted."""
        slow = RenderingFailed(
            f"Rendering took longer than {limit:g} seconds and was ended.", "Shorten its tables or raise the limit."
        )
        self._make_ready(sheet)
        answer = self._ask({"render": sheet.message()}, limit, stop, slow)
        return tuple(answer["files"])

    def prove(self, figures: Sequence[Figure], limit: float, stop: Stop) -> tuple[Finding, ...]:
        """Prove what was rendered last. Raises ProofFailed, Interrupted."""
        slow = errors.ProofFailed(f"Reading the files back took longer than {limit:g} seconds.", "Shorten its tables.")
        answer = self._ask({"prove": [figure.as_dict() for figure in figures]}, limit, stop, slow)
        return tuple(Finding.of(finding) for finding in answer["findings"])

    def words(self, limit: float, stop: Stop) -> str:
        """What the PDF that was rendered last says. Raises RenderingFailed, Interrupted."""
        slow = RenderingFailed(f"Reading the PDF took longer than {limit:g} seconds.", "Shorten its tables.")
        return str(self._ask({"words": True}, limit, stop, slow)["words"])

    def close(self) -> None:
        """End the process, if there is one."""
        if self._printer:
            self._printer.close()
            self._printer = None

    def _ask(self, order: Mapping[str, Any], limit: float, stop: Stop, slow: RunnerError) -> dict[str, Any]:
        printer = self._printer
        if printer is None:
            raise RenderingFailed("Nothing was rendered.", "Run it again.")
        try:
            printer.send(order)
            answer = printer.answer(limit, stop)
        except TimeoutError:
            self.close()
            raise slow from None
        except (EOFError, OSError, ValueError) as error:
            code = printer.code()
            self.close()
            raise RenderingFailed(f"The press ended with code {code}.", "Run it again.") from error
        except RunnerError:  # interrupted
            self.close()
            raise
        return _good(answer)

    def _make_ready(self, sheet: Sheet) -> None:
        """A process that can print: a new one if there is none, or if it has ended or had its time."""
        if self._printer and self._printer.is_spent():
            self.close()
        if self._printer is None:
            self._printer = _Printer(*_begin(sheet)) if sys.platform == "linux" else _Here()


def _good(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it is none of an error. Raises the error that the press met."""
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["what"], answer["remedy"])
    if "fault" in answer:
        fault = RuntimeError(answer["fault"])
        fault.add_note(answer["traceback"])
        raise fault
    return answer


class _Printer:
    """The process of a press and the connection to it."""

    def __init__(self, process: Member | subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._reports = 0
        self._spent = False

    def is_spent(self) -> bool:
        """Whether it should not, or cannot, print another report: an end of file may wait to be read."""
        return bool(wire.ready([self._connection.fileno()], 0)) or self._spent or self._reports >= REPORTS

    def send(self, order: Mapping[str, Any]) -> None:
        self._reports += "render" in order
        wire.send(self._connection, order)

    def answer(self, limit: float, stop: Stop) -> dict[str, Any]:
        """The answer. Raises TimeoutError, EOFError, OSError, ValueError, Interrupted."""
        ready = wire.ready([self._connection.fileno(), stop.fileno()], limit)
        stop.check()
        if not ready:
            raise TimeoutError
        answer, _ = wire.receive(self._connection)
        self._spent = self._spent or bool(answer.get("grown", 0.0) > GROWN)
        return answer

    def code(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1.0)
        return None

    def close(self) -> None:
        """Kill it: it has nothing to save."""
        self._connection.close()
        self._process.send_signal(signal.SIGKILL)
        self.code()
        if isinstance(self._process, Member):
            self._process.close()


class _Here:
    """A press without a process of its own, for systems whose sockets do not keep messages apart.

    The PDF compiler still runs in one that can be killed; nothing else can.
    """

    def __init__(self) -> None:
        self._desk = _Desk(compiled=None)
        self._order: Mapping[str, Any] = {}

    @staticmethod
    def is_spent() -> bool:
        return False

    def send(self, order: Mapping[str, Any]) -> None:
        self._order = order

    def answer(self, _limit: float, stop: Stop) -> dict[str, Any]:
        stop.check()
        return _answered(self._order, self._desk)

    @staticmethod
    def code() -> int | None:
        return None

    def close(self) -> None:
        self._order = {}


def _begin(sheet: Sheet) -> tuple[Member | subprocess.Popen[bytes], socket.socket]:
    """A new press and the connection to it; an ordinary process where no warm one is to be had."""
    ours, theirs = wire.pair()
    with theirs:
        if not sheet.cold:
            with suppress(Unavailable):
                return _warm(sheet, theirs), ours
        return _cold(theirs), ours


def _warm(sheet: Sheet, connection: socket.socket) -> Member:
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 - a descriptor is all that is wanted
        files = (nothing.fileno(), nothing.fileno(), 2, connection.fileno())
        # A press outlives a run, so it carries none of the marks by which a run's processes are found and ended.
        env = {name: value for name, value in sheet.env.items() if not name.startswith(MARKS)}
        return ask(breed(sheet.env), Order("runner.report.press:serve", sheet.within, env, files=files))


def _cold(connection: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "runner.report.press", str(connection.fileno())]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(connection.fileno(),)
    )


# In the process of a press.


@dataclass
class _Desk:
    """What was rendered last, for its proof."""

    document: Document | None = None
    html: str = ""
    pdf: bytes = b""
    read: PdfFile | None = None  # what the PDF says, once somebody asked
    size: float = 0.0
    compiled: Callable[[Path, float], None] | None = None  # how a PDF is compiled; None: in a process of its own


def serve(connection: int) -> None:
    """Print what comes over a connection, until it ends or nothing comes any more."""
    desk = _Desk(compiled=_compile_here)
    with closing(socket.socket(fileno=connection)) as orders:
        while wire.ready([orders.fileno()], IDLE):
            try:
                order, _ = wire.receive(orders)
            except (EOFError, OSError, ValueError):
                return
            answer = _answered(order, desk)
            desk.size = desk.size or _megabytes()
            wire.send(orders, {**answer, "grown": _megabytes() - desk.size})


def _compile_here(root: Path, limit: float) -> None:
    from runner.document import render  # noqa: PLC0415 - only in a press

    render.compile_here(root, limit)


def _answered(order: Mapping[str, Any], desk: _Desk) -> dict[str, Any]:
    try:
        if "words" in order:
            return _words(desk)
        return _rendered(order["render"], desk) if "render" in order else _proven(order["prove"], desk)
    except RunnerError as error:
        return {"error": type(error).__name__, "what": error.what, "remedy": error.remedy}
    except Exception as error:  # noqa: BLE001 - a fault of ours ends this report alone
        return {"fault": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def _rendered(sheet: Mapping[str, Any], desk: _Desk) -> dict[str, Any]:
    from runner.document import blocks, render  # noqa: PLC0415 - only in a press

    nb = notebooks.own(Path(sheet["notebook"]))
    nb.metadata["runner"] = sheet["meta"]
    document = blocks.document_of(nb, file_of=_beside(Path(sheet["beside"]), Path(sheet["within"])))
    templates = [Path(folder) for folder in sheet["templates"]]
    desk.document = document
    desk.html = render.html(document, templates)
    desk.pdf, desk.read = render.typeset(document, templates, compiled=desk.compiled).data, None
    files: dict[str, str | bytes] = {f"{sheet['name']}.html": desk.html, f"{sheet['name']}.pdf": desk.pdf}
    for picture in blocks.pictures(document):
        files[f"charts/{picture.slug}.svg"] = picture.svg
        files[f"charts/{picture.slug}.png"] = picture.png
    return {"files": [_put(Path(sheet["folder"]), name, content) for name, content in files.items() if content]}


def _put(folder: Path, name: str, content: str | bytes) -> str:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def _beside(folder: Path, within: Path) -> Callable[[str], bytes | None]:
    """Reads a picture that the notebook names by a path, if it lies inside the project."""

    def read(name: str) -> bytes | None:
        path = (folder / name).resolve()
        return path.read_bytes() if path.is_relative_to(within) and path.is_file() else None

    return read


def _proven(figures: Sequence[Mapping[str, Any]], desk: _Desk) -> dict[str, Any]:
    from runner.report import proof  # noqa: PLC0415 - only in a press

    if desk.document is None:
        raise errors.ProofFailed("Nothing was rendered.", "Run it again.")
    found = proof.prove(desk.document, [Figure.of(figure) for figure in figures], desk.html, desk.read or desk.pdf)
    return {"findings": [finding.as_dict() for finding in found]}


def _words(desk: _Desk) -> dict[str, Any]:
    from runner.document import readback  # noqa: PLC0415 - only in a press

    desk.read = readback.read_pdf(desk.pdf)
    return {"words": "\n".join([*desk.read.pages, *desk.read.alts, readback.beside_pages(desk.pdf)])}


def _megabytes() -> float:
    """Memory of this process that is its own, in MB."""
    resident, shared = map(int, Path("/proc/self/statm").read_text(encoding="ascii").split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> NoReturn:
    """Be a press in a process that was started for it."""
    serve(int(sys.argv[1]))
    os._exit(0)


if __name__ == "__main__":
    main()
