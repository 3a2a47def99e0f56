"""Where and with what was measured: machine, versions, date."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tests.bench.peer import printer

PACKAGES = ("papermill", "nbconvert", "jupyter_client", "ipykernel", "duckdb", "typst", "weasyprint")


def machine() -> dict[str, str | int | float]:
    """Processor, cores and memory."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of what was measured; what is not installed is not there."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if printer().browser:
        said = subprocess.run([printer().browser, "--version"], capture_output=True, text=True, timeout=30, check=False)
        found["chromium"] = said.stdout.strip()
    return found


def when() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
