"""`config/*.yml` -> frozen objects. Every error names the file, the key, what is wrong and the remedy, all at once.

A map of this folder, from the bottom up::

    promise.py    the words of a deadline
    rhythm.py     the words of a duty
    values.py     what one value may be
    strict.py     the base of every model
    ends.py       where data come from and where mail goes, as models
    files.py      the files as models
    yaml.py       YAML without its surprises
    names.py      the known name that was meant
    reading.py    one file -> its model, or every problem in it
    project.py    the folder as a whole
    agreement.py  what the files say of each other
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from runner.config.agreement import disagreements
from runner.config.ends import Mail, Source, Sources, Table
from runner.config.files import (
    WAREHOUSE,
    Duties,
    Duty,
    Engineer,
    Experiments,
    Holidays,
    OnCall,
    Owners,
    People,
    Person,
    Pipeline,
    Pipelines,
    Settings,
)
from runner.config.project import Project
from runner.config.reading import Found, error_of, read, read_optional
from runner.errors import ConfigError
from runner.leaks import Censor

__all__ = [
    "WAREHOUSE",
    "Duty",
    "Engineer",
    "Experiments",
    "Holidays",
    "Mail",
    "OnCall",
    "Owners",
    "People",
    "Person",
    "Pipeline",
    "Project",
    "Settings",
    "Source",
    "Sources",
    "Table",
    "load",
    "stamps",
]


def load(folder: Path, censor: Censor | None = None) -> Project:
    """The project in `folder`; `censor` learns the names of its secrets, and reads them where it has an environment.

    Raises ConfigError that lists every problem found in the files of config/, also in those that notebooks alone read.
    """
    folder = folder.resolve()
    if not (folder / "config" / "pipelines.yml").is_file():
        raise ConfigError(
            f"{folder} is not a project: it has no config/pipelines.yml.",
            "Go to a project's folder, name one with --project DIR, or make one with: runner init DIR",
        )
    found = Found(folder)
    settings = read("config/settings.yml", Settings, found)
    people = read("config/people.yml", People, found)
    pipelines = read("config/pipelines.yml", Pipelines, found)
    others = read_optional(found)
    if settings and people and pipelines:
        more = {**_chosen(others), "runbooks": _runbooks(folder), "censor": censor or Censor()}
        project = Project(folder, settings, people, pipelines.pipelines, **more)
        for file, where, shown, what in disagreements(project):
            found.add(file, where, what, shown=shown)
        if not found.problems:
            project.censor.know(project.hidden, project.written)
            return project
    raise error_of(found.problems)


def stamps(folder: Path) -> dict[str, int]:
    """When each file of a project's config/ was written last: where that is another, it is to be loaded anew."""
    found = {}
    for path in sorted((folder / "config").rglob("*")):
        with suppress(FileNotFoundError):  # an editor's own file, gone again
            if not path.is_dir():
                found[str(path)] = path.stat().st_mtime_ns
    return found


def _chosen(others: dict[type[BaseModel], BaseModel]) -> dict[str, Any]:
    """What of the optional files the software itself reads."""
    wanted = {"sources": Sources, "holidays": Holidays, "experiments": Experiments, "oncall": OnCall}
    chosen: dict[str, Any] = {name: others[model] for name, model in wanted.items() if model in others}
    duties = others.get(Duties)
    return chosen | ({"duties": duties.duties} if isinstance(duties, Duties) else {})


def _runbooks(folder: Path) -> dict[str, str]:
    """The text of each runbook by its file's name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / "config/runbooks").glob("*.md"))}
