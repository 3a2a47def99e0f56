"""Processes of the benchmark: started with a time limit, watched, and ended with everything below them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
#: Seconds that one command, and one order to a worker, may take.
LIMIT = 180.0
#: Seconds between two looks at the memory of processes.
LOOK = 0.03


class Failed(Exception):  # noqa: N818 - it is an answer, as those of runner.errors
    """Something that was to be measured did not work; its sentence says what, and ends with what it printed."""


def tell(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def tool(name: str) -> list[str]:
    """A command of this environment."""
    return [str(Path(sys.executable).with_name(name))]


def timed(command: Sequence[str], cwd: Path, env: Mapping[str, str], *, fine: tuple[int, ...] = (0,)) -> float:
    """Seconds that a command takes from its start to its end. Raises Failed for any exit code but the `fine` ones."""
    # What it prints goes to a file: a pipe would stay open as long as a process that the command leaves behind.
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(LIMIT)
            taken = time.perf_counter() - began
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{Path(command[0]).name} took longer than {LIMIT:.0f} s.") from error
        finally:
            _end(process)
        said.seek(0)
        if process.returncode not in fine:
            raise Failed(f"{Path(command[0]).name} ended with code {process.returncode}: {_tail(said.read())}")
    return taken


def _tail(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-4:])[-600:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, with its session; what left the session is ended with the benchmark."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Worker:
    """A process of `tests.bench.worker` that lives on between orders: one JSON object a line in, one out."""

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self._log = (cwd / f"worker-{time.monotonic_ns()}.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.worker"],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, order: str, limit: float = LIMIT, **words: Any) -> Any:
        """The answer to an order. Raises Failed when it failed, or took longer than `limit` seconds."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"order": order, **words}).encode() + b"\n")
            self._process.stdin.flush()
        answer = json.loads(self._line(order, limit))
        if "failed" in answer:
            raise Failed(f"{order}: {answer['failed']}")
        return answer["answer"]

    def _line(self, order: str, limit: float) -> bytes:
        assert self._process.stdout
        end, said = time.monotonic() + limit, b""
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Failed(f"{order} took longer than {limit:.0f} s.")
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise Failed(f"{order}: the worker ended: {self._last_words()}")
            said += more
        return said

    def _last_words(self) -> str:
        self._log.seek(0)
        return _tail(self._log.read())

    def close(self) -> None:
        """End it: closed standard input asks, and whatever is left then is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        _end(self._process)
        self._log.close()


@contextmanager
def worker(cwd: Path, env: Mapping[str, str]) -> Iterator[Worker]:
    """A worker for as long as it is needed."""
    made = Worker(cwd, env)
    try:
        yield made
    finally:
        made.close()


# Memory.


def pss(pid: int) -> float:
    """MB that a process holds, shared pages divided among those who share them; 0 when it is gone (Linux)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


@dataclass(frozen=True)
class Held:
    """What a process and everything below it hold at one moment, in MB, each with the words it was started by."""

    each: tuple[tuple[float, str], ...] = ()

    @property
    def total(self) -> float:
        """MB of all."""
        return sum(size for size, _ in self.each)


def held(pid: int, beside: str = "") -> Held:
    """What a process and everything below it hold now, the largest first.

    A warm parent and its forks are below no asker, and it may have been there before: `beside` is a word of the command
    line by which such processes of this environment are counted as well.
    """
    try:
        family = {psutil.Process(pid), *psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        return Held()
    if beside:
        family |= {process for process in psutil.process_iter() if _is(process, beside)}
    return Held(tuple(sorted(((pss(process.pid), _words(process)) for process in family), reverse=True)))


def _is(process: psutil.Process, word: str) -> bool:
    try:
        words = process.cmdline()[:4]
    except psutil.Error:
        return False
    return word in words and words[0] == sys.executable


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(Path(word).name for word in process.cmdline()[:4])[:80]
    except psutil.Error:
        return ""


@contextmanager
def watched(look: Callable[[], T]) -> Iterator[list[T]]:
    """Look again and again until the block ends; the list grows meanwhile."""
    seen: list[T] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(look())
            over.wait(LOOK)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
