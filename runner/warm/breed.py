"""What a warm parent is: its interpreter, what it imports, and the variables that libraries read when imported.

Two askers share a parent only when all of that is equal, so a process forked from it differs in nothing that a fresh
one would have had.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Beginnings of names of variables that are read while libraries are imported.
_EARLY = (
    *("PYTHON", "LD_", "DYLD_", "LANG", "LC_", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"),
    *("MPL", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "ARROW_", "JE_", "MALLOC_", "PYDEVD_"),
)
#: One thread at the fork: numeric libraries and Arrow's allocator would begin theirs when imported.
_QUIET = {
    "PATH": os.defpath,
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_PATH = 100  # bytes that the name of a socket may have, with room to spare
_PROTOCOL = 1
#: The file in which a parent says what was wrong with it from its beginning.
ILLNESS = "ill"
#: Seconds that a parent may take for its imports.
STARTING = 60


@dataclass(frozen=True)
class Limits:
    """When a parent makes room for a new one: seconds without work, forks, and megabytes grown since its start."""

    idle: float = 900.0
    forks: int = 2000
    grown: float = 64.0


@dataclass(frozen=True)
class Breed:
    """One kind of warm parent.

    modules   imported by it, in this order
    prepare   functions (`module:function`) called after that: caches that every process can share
    env       the whole environment of the asker; only the early variables of it reach the parent
    defaults  early variables for those who do not set them
    """

    modules: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    defaults: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()

    @property
    def early(self) -> dict[str, str]:
        """The variables with which the parent is started."""
        kept = {name: value for name, value in self.env.items() if name.startswith(_EARLY)}
        return {**_QUIET, **self.defaults, **kept}

    @property
    def key(self) -> str:
        """One name for all that must be equal."""
        package = str(Path(__file__).resolve().parents[1])
        made_of = [_PROTOCOL, sys.executable, sys.version, package, self.modules, self.prepare, self.early]
        text = json.dumps([*made_of, vars(self.limits), _handed_down()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the parent's socket, lock and log lie; of this user alone. Raises OSError when it cannot be had."""
        base = private(self.env)
        _make(base / self.key)
        if len(os.fsencode(base / self.key / "socket")) > _PATH:
            raise OSError("the name of the folder for temporary files is too long")
        return base / self.key


def _handed_down() -> list[Any]:
    """What a process hands down to those it starts besides its environment: file mode, priority, limits.

    Not the number of open files: servers raise theirs, and a parent for each would cost more than it gives.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace") if sys.platform == "linux" else ""
    mode = [line for line in status.splitlines() if line.startswith("Umask")]
    names = [name for name in sorted(dir(resource)) if name.startswith("RLIMIT_") and name != "RLIMIT_NOFILE"]
    return [mode, os.nice(0), [resource.getrlimit(getattr(resource, name)) for name in names]]


def private(env: Mapping[str, str]) -> Path:
    """A folder for what all processes of this user share, and nobody else. Raises OSError when it cannot be had."""
    base = Path(env.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"runner-{os.geteuid()}"
    _make(base)
    return base


def _make(place: Path) -> None:
    place.mkdir(mode=0o700, exist_ok=True)
    state = place.lstat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o077 or place.is_symlink():
        raise PermissionError(f"{place.name} belongs to others")
