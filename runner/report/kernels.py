"""Warm kernels: IPython kernels forked from a parent that has imported what our notebooks import.

They are reached over two public seams. A kernelspec named `runner` (`runner kernel` installs it) names the provisioner
`runner-warm`, so JupyterLab, nbclient, nbval and papermill start such kernels; and the papermill engine `runner`, which
the runner itself uses, asks for them by name. Where no warm kernel is to be had the ordinary one of the same
environment serves, and `WarmProvisioner.how` says why.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import runner.light  # noqa: F401 - before jupyter_client brings nbformat's like

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager  # isort: skip
from jupyter_client.provisioning.local_provisioner import LocalProvisioner  # isort: skip
from traitlets import Unicode  # isort: skip

from runner.report.warming import breed
from runner.warm.client import Member, Order, Unavailable, ask, ask_guard
from runner.warm.member import GUARD

#: The kernelspec's name, and that of the provisioner it names.
SPEC, PROVISIONER = "runner", "runner-warm"
WARM = "warm"
LISTENING = 30.0  # seconds in which a forked kernel must listen


def spec(executable: str = sys.executable) -> dict[str, Any]:
    """The kernelspec as JSON: the ordinary kernel of this environment, started by our provisioner."""
    return {
        "argv": [executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (runner, warm)",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {"debugger": True, "kernel_provisioner": {"provisioner_name": PROVISIONER}},
    }


def place(prefix: str = sys.prefix) -> Path:
    """Where the kernelspec of an environment lies."""
    return Path(prefix) / "share" / "jupyter" / "kernels" / SPEC / "kernel.json"


def install(prefix: str = sys.prefix) -> Path:
    """Write the kernelspec; the same text is not written again. Raises OSError when the environment is read-only."""
    file, text = place(prefix), json.dumps(spec(), indent=1) + "\n"
    if not file.exists() or file.read_text("utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(text, "utf-8")
        part.replace(file)
    return file


class Specs(KernelSpecManager):
    """The kernelspecs of this machine, among which that of this very environment is ours, installed or not."""

    cold = Unicode("", help="Why kernels are not to be warm; empty: they are.").tag(config=True)

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """A kernelspec by its name. Raises NoSuchKernel."""
        if kernel_name != SPEC:
            return super().get_kernel_spec(kernel_name)
        ours = spec()
        ours["metadata"]["kernel_provisioner"]["config"] = {"cold": self.cold}
        return KernelSpec(**ours)


# The kernel's process.


def kernel(ready: int, argv: Sequence[str]) -> None:
    """Be an IPython kernel; called in a process that was just forked. `ready` is closed once it listens."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - it is imported in the parent already

    # Of a parent with this number it does not wait for the end, nor does it greet a person at a terminal.
    app = IPKernelApp.instance(parent_handle=1)
    app.initialize(list(argv))  # type: ignore[no-untyped-call]
    _show_inline()
    os.close(ready)
    app.start()  # type: ignore[no-untyped-call]


def _show_inline() -> None:
    """Let charts that a cell leaves open be shown at its end: imported before the kernel, their backend missed it."""
    backend: Any = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None:
        backend._enable_matplotlib_integration()  # noqa: SLF001 - what it does when a cell imports it


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel in a warm process; where there is none to be had, as everybody does."""

    cold = Unicode("", help="Why kernels are not to be warm; empty: they are.").tag(config=True)

    #: How the kernel began: `warm`, or `cold: ` and why. Empty before it began.
    how = ""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel of this command line; it listens when this returns, if it is a warm one."""
        try:
            process: Any = await _launch(cmd, kwargs, self.cold)
        except Unavailable as why:
            self.how = f"cold: {why}"
            self.log.info("No warm kernel, so an ordinary one: %s", why)
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.how, self.pid, self.pgid = process, WARM, process.pid, None
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def wait(self) -> int | None:
        """Wait for the end of the process, without looking again and again."""
        process: Any = self.process
        is_known = isinstance(process, _Process) or hasattr(os, "pidfd_open")
        if process is not None and is_known and process.poll() is None:
            with _end_of(process) as file:
                await _readable(file)
        return await super().wait()


async def _launch(cmd: Sequence[str], kwargs: Mapping[str, Any], cold: str) -> _Process:
    """A warm process that listens as the kernel of this command line, or has ended. Raises Unavailable."""
    if cold:
        raise Unavailable(cold)
    listens, ready = os.pipe()
    try:
        asking = asyncio.get_running_loop().run_in_executor(None, _ask, cmd, kwargs, ready)
        member = await asking
        os.close(ready)
        ready = -1
        await asyncio.wait_for(_readable(listens), LISTENING)
    except TimeoutError:
        member.close()
        raise Unavailable(f"its kernel did not listen within {LISTENING:.0f} s") from None
    finally:
        os.close(listens)
        if ready >= 0:
            os.close(ready)
    return _Process(member)


def _ask(cmd: Sequence[str], kwargs: Mapping[str, Any], ready: int) -> Member:
    """A warm process for an IPython kernel. Raises Unavailable, also when the command is for something else."""
    if list(cmd[1:3]) != ["-m", "ipykernel_launcher"]:
        raise Unavailable("its command line is not that of an IPython kernel")
    env = dict(kwargs.get("env") or os.environ)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is all that is wanted
        files = [nothing.fileno(), _file(kwargs.get("stdout"), 1), _file(kwargs.get("stderr"), 2), ready]
        cwd = Path(kwargs.get("cwd") or Path.cwd())
        order = Order("runner.report.kernels:kernel", cwd, env, {"argv": list(cmd[3:])}, files)
        return ask_guard(order) if GUARD else ask(breed(env), order)


def _file(given: Any, standard: int) -> int:
    """The descriptor for an output. Raises Unavailable for one that only `subprocess` can make."""
    if given in {subprocess.DEVNULL, subprocess.PIPE}:
        raise Unavailable("its output goes where a warm process cannot reach")
    return standard if given is None else given if isinstance(given, int) else int(given.fileno())


async def _readable(file: int) -> None:
    """Return once a descriptor can be read."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(file)


@contextmanager
def _end_of(process: Any) -> Iterator[int]:
    """A descriptor that can be read once the process, which still runs, has ended."""
    file = os.dup(process.fileno()) if isinstance(process, _Process) else os.pidfd_open(process.pid)
    try:
        yield file
    finally:
        os.close(file)


class _Process:
    """A warm process with as much of `subprocess.Popen` as a provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, member: Member) -> None:
        self.pid = member.pid
        self.fileno, self.poll, self.wait = member.fileno, member.poll, member.wait
        self.send_signal = member.send_signal

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)
