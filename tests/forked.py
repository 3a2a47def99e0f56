"""The command `runner` as a process of its own that need not start from nothing: a fork of one that has imported it.

Each has its own arguments, folder, environment and streams, and ends as any process does; only the interpreter's start
and the imports, half a second of every command, are done once for all. `python -m tests.forked` is the one that forks:
it never opens a thread or a file of its own, and ends with whoever started it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from runner.warm import wire

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0
#: What commands import, and what they import only where they need it.
_PACKAGES = ("cli", "commands", "config", "delivery", "ledger", "plan", "scheduler")
_LATER = ("runner.report.produce", "runner.report.approval", "jinja2", "mistune", "nh3", "rich.progress", "tenacity")


@dataclass(frozen=True)
class Parent:
    """The process that forks, and the line to it."""

    process: subprocess.Popen[bytes]
    line: socket.socket

    def end(self) -> None:
        """Close the line, at whose end it ends."""
        self.line.close()
        self.process.wait()


@cache
def parent() -> Parent:
    """The parent of all commands of this process; started at the first."""
    ours, theirs = wire.pair()
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
    made = Parent(process, ours)
    atexit.register(made.end)
    return made


def runner(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `runner` with these words, begun in a folder."""
    line = parent().line
    with open(os.devnull, "rb") as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:  # noqa: PTH123
        order = {"words": list(words), "folder": str(folder), "environment": dict(environment)}
        wire.send(line, order, [nothing.fileno(), out.fileno(), err.fileno()])
        if not wire.ready([line.fileno()], PATIENCE):
            parent().process.kill()
            raise TimeoutError(f"runner {' '.join(words)} takes longer than {PATIENCE:.0f} s.")
        code = wire.receive(line)[0]["code"]
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return code, texts[0], texts[1]


# In the process that forks.


def _serve(number: int) -> None:
    """Fork a command for each order, one after another, until the other end is closed."""
    line = socket.socket(fileno=number)
    while True:
        try:
            order, files = wire.receive(line)
        except EOFError:
            return
        child = os.fork()
        if not child:
            line.close()
            _become(order["words"], order["folder"], order["environment"], files)
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        wire.send(line, {"code": os.waitstatus_to_exitcode(status)})


def _become(words: list[str], folder: str, environment: dict[str, str], files: list[int]) -> NoReturn:
    """Be the command."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    atexit._clear()  # what the parent would do at its end is not the command's
    import runner.cli  # noqa: PLC0415 - it is there

    sys.modules["__main__"].__package__ = "runner.cli"
    sys.argv = [runner.cli.__file__.replace("__init__", "__main__"), *words]
    code: object = 1
    try:
        runner.cli.main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as an interpreter says it at its end
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 0)  # an ordinary end would touch, and so copy, all that was imported


def _import_all() -> None:
    for package in _PACKAGES:
        found = importlib.import_module(f"runner.{package}")
        for module in pkgutil.iter_modules(found.__path__):
            if module.name != "__main__":
                importlib.import_module(f"runner.{package}.{module.name}")
    for name in _LATER:
        importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a process of several threads cannot be forked"  # noqa: PTH208
    gc.collect()
    gc.freeze()  # nor does a search for what can go


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _import_all()
    _serve(int(sys.argv[1]))
