"""What a report is made of, as hashes: code, parameters, data, environment. Equal hashes make an equal report."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import runner
from runner.config import WAREHOUSE, Pipeline, Project
from runner.errors import ReportStopped, Trouble
from runner.ledger import Ledger
from runner.report import notebooks

T = TypeVar("T")

#: Files of config/ that a report does not depend on, or of which only a part counts.
_ELSEWHERE = {"people.yml", "pipelines.yml", "settings.yml", "oncall.yml", "duties.yml"}
#: What of a pipeline's entry and of the settings does not show in a report: who reads it, when it is made, who is told.
_OPERATING = {"readers", "approvers", "limit", "cell_limit", "ready_by", "room", "usual", "no_use_after"}
#: Nanoseconds after which a change of a file must show in its times: file systems tick, some only every two seconds.
SETTLED = 2_500_000_000
#: Templates of messages that are no reports.
_MESSAGES = {"runbook.md", "alert.html.j2"}
#: Of this package and of the templates, what no report is made with: the pages of the desk.
_DESK = "web"
_SHOWN = {"company", "time_zone", "confidential", "sender"}


@dataclass(frozen=True)
class Inputs:
    """Everything a run depends on: SHA-256 by file or source, values of parameters, versions of the environment."""

    code: Mapping[str, str]
    parameters: Mapping[str, Any]
    data: Mapping[str, str]
    environment: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """One hash over all of it."""
        return digest_of(vars(self))


def digest_of(data: Any) -> str:
    """SHA-256 of plain JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=dict).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered(read: Callable[[Path], T], path: Path, settled: int = SETTLED) -> T:
    """What `read` makes of a file; read once as long as the file is the very same. Raises what `read` raises.

    The same means device, inode, size, and the times of its content and of its entry, which no program can set back. A
    file that was touched less than `settled` nanoseconds ago is read anyway: written once more within the same tick of
    the clock it would look the same.
    """
    with path.open("rb") as file:  # opened, and not only looked up: a file server is asked how the file is by now
        found = os.fstat(file.fileno())
    if time.time_ns() - found.st_ctime_ns < settled:  # also one from a clock that is ahead
        return read(path)
    return _known(read, path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def _known(read: Callable[[Path], T], path: Path, _state: tuple[int, ...]) -> T:
    return read(path)


def code(project: Project, pipeline: Pipeline, templates: tuple[Path, ...]) -> dict[str, str]:
    """Hashes of the notebook's cells, the pipeline's entry, config, templates and this package's modules."""
    package = Path(runner.__file__).parent
    found = {
        f"notebooks/{pipeline.notebook}": remembered(_notebook_digest, project.notebook(pipeline)),
        f"config/pipelines.yml:{pipeline.name}": digest_of(pipeline.model_dump(exclude=_OPERATING)),
        "config/settings.yml": digest_of(project.settings.model_dump(include=_SHOWN)),
    }
    found |= _named("notebooks", folder := project.notebook(pipeline).parent, sorted(folder.rglob("*.py")))
    config = (
        path for path in _files(project.folder / "config") if path.name not in _ELSEWHERE and path.suffix == ".yml"
    )
    found |= {f"config/{path.relative_to(project.folder / 'config').as_posix()}": _digest(path) for path in config}
    for number, folder in enumerate(templates):
        shown = (path for path in _made_with(folder) if path.name not in _MESSAGES)
        found |= _named(f"templates[{number}]", folder, shown)
    return found | _package(package)


def _package(package: Path) -> dict[str, str]:
    # Kernels run what is there now, also when a scheduler that runs for weeks has loaded something older.
    return _named("runner", package, (path for path in _made_with(package) if path.suffix == ".py"))


def _made_with(folder: Path) -> Iterator[Path]:
    return (path for path in _files(folder) if path.relative_to(folder).parts[0] != _DESK)


def _named(name: str, folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {f"{name}/{path.relative_to(folder).as_posix()}": _digest(path) for path in paths}


def _digest(path: Path) -> str:
    return remembered(file_digest, path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _notebook_digest(path: Path) -> str:
    """A hash over what the notebook says and does; stored outputs and counts do not matter."""
    nb = notebooks.read(path)
    return digest_of([[c.cell_type, c.source, c.metadata.get("tags"), c.get("attachments")] for c in nb.cells])


def data(project: Project, pipeline: Pipeline, ledger: Ledger, as_of: str, place: Path | None = None) -> dict[str, str]:
    """Fingerprints of every source, and of what the inputs recorded up to a day.

    `place` is the warehouse file, unless it is the project's. Raises ReportStopped when a source is not there.
    """
    warehouse = place or Path(project.settings.warehouse)
    sources = {source: _source(project, source, warehouse, as_of) for source in pipeline.sources}
    return sources | {f"records of {name}": ledger.records_digest(name, as_of) for name in pipeline.inputs}


def _source(project: Project, source: str, place: Path, as_of: str) -> str:
    if source != WAREHOUSE:
        try:
            return _digest(project.folder / source)
        except OSError as error:
            said = f"The source {source} cannot be read: {error.strerror}."
            raise ReportStopped(said, "Bring the file back, then run it again.", Trouble.SOURCE_UNAVAILABLE) from error
    from runner.notebook import warehouse  # noqa: PLC0415 - only for those who have one

    return warehouse.fingerprint(project.folder, place, date.fromisoformat(as_of))


@cache
def environment() -> dict[str, Any]:
    """Python, platform and every installed distribution with its version."""
    found = ((item.metadata["Name"], item.version) for item in metadata.distributions())
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "distributions": dict(sorted((name.lower(), version) for name, version in found if name)),
    }


def commit(folder: Path) -> str | None:
    """The commit that a project's folder stands at, where it is a checkout of git; files changed since have hashes."""
    place = next((each / ".git" for each in (folder, *folder.resolve().parents) if (each / ".git").exists()), None)
    try:
        found = _head(place) if place is not None else None
    except (OSError, UnicodeError):
        return None
    return found if found and re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", found) else None


def _head(place: Path) -> str | None:
    """What HEAD names, through one reference, loose or packed. A second work tree has a HEAD of its own."""
    if place.is_file():
        place = place.parent / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    said = (place / "HEAD").read_text(encoding="utf-8").strip()
    if not said.startswith("ref:"):
        return said
    name = said.removeprefix("ref:").strip()
    common = place / "commondir"
    home = place / common.read_text(encoding="utf-8").strip() if common.is_file() else place
    if (home / name).is_file():
        return (home / name).read_text(encoding="utf-8").strip()
    packed = (home / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
