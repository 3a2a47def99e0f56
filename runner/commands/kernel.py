"""The warm kernel of this environment: known to Jupyter or not, its parent there or not."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass

from runner.config import Project
from runner.errors import ConfigError
from runner.report import kernels
from runner.report.warming import breed_of
from runner.warm import client


@dataclass(frozen=True)
class State:
    """What there is: the kernelspec's name and file (empty: not installed), and whether its warm parent waits."""

    kernel: str
    file: str
    parent: bool


def kernel(project: Project, *, remove: bool, stop: bool, as_json: bool) -> int:
    """Install the kernelspec, or remove it; stop the warm parent of this project. Raises ConfigError."""
    try:
        _remove() if remove else kernels.install()
    except OSError as error:
        said = f"The kernelspec cannot be {'removed' if remove else 'written'}: {error.strerror or error}."
        raise ConfigError(said, "Use an environment of your own, such as the one of `make setup`.") from error
    if stop:
        client.retire(breed_of(project.folder))
    _show(_state(project), as_json=as_json)
    return 0


def _remove() -> None:
    folder = kernels.place().parent
    if folder.exists():
        shutil.rmtree(folder)


def _state(project: Project) -> State:
    file = kernels.place()
    return State(kernels.SPEC, str(file) if file.exists() else "", client.is_there(breed_of(project.folder)))


def _show(state: State, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(state)) + "\n")
        return
    known = f"Jupyter knows the kernel {state.kernel!r}: {state.file}" if state.file else "Jupyter does not know it."
    there = "Its warm parent waits for orders." if state.parent else "Its warm parent begins with the next kernel."
    sys.stdout.write(f"{known}\n{there}\n")
