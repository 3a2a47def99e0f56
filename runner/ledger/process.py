"""A process that can be told from every other, and whether it has ended."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Process:
    """A process that can be told from every other: by machine, boot, number and start."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), pid, _start(pid))

    @property
    def gone(self) -> bool:
        """Whether it has surely ended. Of another machine's process nothing is known: not gone."""
        if self.host != socket.gethostname():
            return False
        return self.boot != _boot() or self.started != _start(self.pid)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dict(vars(self))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """When a process was started, as the system counts; empty when it has ended."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _start_elsewhere(pid)
    return "" if after[0] in "ZX" else after[19]


def _start_elsewhere(pid: int) -> str:
    import psutil  # noqa: PLC0415 - only where there is no /proc

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""
