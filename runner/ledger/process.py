"""A process that can be told from every other, and whether it has ended."""

from __future__ import annotations

import hashlib
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
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has a number on this machine now."""
        return cls(socket.gethostname(), _boot(), pid, _start(pid))

    @property
    def gone(self) -> bool:
        """Whether it has surely ended. Of another machine's process nothing is known: not gone."""
        if self.host != socket.gethostname():
            return False
        return self.boot != _boot() or self.started != _start(self.pid)

    @property
    def mark(self) -> str:
        """A short text of at most 50 letters that stands for it where others look whether it is `is_gone`."""
        return f"{_short(self.host)}-{_short(self.boot)}-{self.pid}-{self.started}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dict(vars(self))


def is_gone(mark: str) -> bool:
    """Whether the process behind a mark, which may have more at its end, has surely ended."""
    host, boot, pid, started, *_ = (*mark.split("-"), "", "", "", "")
    if host != _short(socket.gethostname()) or not pid.isdecimal():
        return False
    return boot != _short(_boot()) or started != _start(int(pid))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


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
