"""A copy of a project to practise in: whole, but without readers, without pagers, and with a ledger of its own.

Whoever works in the copy, with whatever command, can reach nobody: the lists of readers are empty, engineers have no
channel but mail, and mail goes into the copy's own maildir.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from runner import config
from runner.config import WAREHOUSE, Person, Pipeline, Project
from runner.config.yaml import parse
from runner.errors import UsageError
from runner.ledger import Ledger, Result, Run
from runner.model import Status

_FOLDERS = ("config", "notebooks", "templates")
_LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}
#: The list of readers in which a copy may have one of its engineers.
READER = "drill"


def copy_of(project: Project, folder: Path) -> Project:
    """The project once more, in a folder that does not exist yet.

    It has config, notebooks, templates, the files named as sources, and the warehouse as it stands, so that it is not
    built again. Links that lead out of the project are not followed. Raises UsageError when the folder is there already
    or a source lies outside, ConfigError when the copy does not load, ReportStopped when the warehouse cannot be had.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder.name} is there already.", "Name a new folder.") from error
    with or_nothing(folder):
        for name in _FOLDERS:
            if (project.folder / name).is_dir():
                _tree(project.folder.resolve(), project.folder / name, folder / name)
        for source in sorted({source for pipeline in project.pipelines.values() for source in pipeline.sources}):
            _source(project, source, folder)
        rewrite(folder / "config/people.yml", _nobody)
        rewrite(folder / "config/settings.yml", _quiet)
        return config.load(folder, project.censor)


@contextmanager
def or_nothing(folder: Path) -> Iterator[None]:
    """While this lasts, an error leaves no folder behind."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def with_reader(copy: Project, pipeline: Pipeline, reader: Person) -> Project:
    """The copy with one reader of one pipeline; mail to them goes into the copy's own maildir."""

    def add(people: dict[str, Any]) -> None:
        people["readers"][READER] = [{"name": reader.name, "email": reader.email}]

    def give(pipelines: dict[str, Any]) -> None:
        pipelines["pipelines"][pipeline.name]["readers"] = [READER]

    rewrite(copy.folder / "config/people.yml", add)
    rewrite(copy.folder / "config/pipelines.yml", give)
    return config.load(copy.folder, copy.censor)


def with_records(real: Ledger, own: Ledger, pipelines: Iterable[str], last_day: str, now: datetime) -> None:
    """Let a copy's own ledger know what pipelines recorded up to a day: other reports rest on it."""
    count = itertools.count(1)
    for pipeline in pipelines:
        tables: dict[tuple[str, ...], dict[str, list[list[Any]]]] = {}
        for name, row in real.recorded(pipeline, last_day):
            tables.setdefault(tuple(row), {}).setdefault(name, []).append(list(row.values()))
        for columns, found in tables.items():
            run = Run(f"carried-{next(count)}", pipeline, "carried over", "", now)
            own.begin(run)
            records = {name: {"columns": list(columns), "rows": rows} for name, rows in found.items()}
            own.finish(Result(replace(run, status=Status.INTERRUPTED), records=records))


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the data of a YAML file; its comments are lost."""
    data, _, _ = parse(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _nobody(people: dict[str, Any]) -> None:
    people["readers"] = {name: [] for name in people["readers"]}
    for engineer in people["engineers"].values():
        engineer.pop("channels", None)


def _quiet(settings: dict[str, Any]) -> None:
    settings.pop("heartbeat", None)
    settings.pop("mail", None)  # no server, and no secrets of one
    if "://" in settings.get("ledger", ""):  # an address is the same from everywhere
        settings.pop("ledger")


# Files.


def _tree(root: Path, source: Path, target: Path) -> None:
    """Every file below a folder; a link only where it is one to a file of the project."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.name in _LEFT_OUT:
            continue
        if path.is_dir() and not path.is_symlink():
            _tree(root, path, target / path.name)
        elif _is_ours(root, path):
            shutil.copy2(path, target / path.name)


def _is_ours(root: Path, path: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(root)


def _source(project: Project, source: str, folder: Path) -> None:
    if source == WAREHOUSE:
        _warehouse(project, folder)
        return
    path, target = project.folder / source, folder / source
    if not _is_ours(project.folder.resolve(), path):
        raise UsageError(
            f"The source {source} is not a file inside the project.", "A copy follows no link; put the file there."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


def _warehouse(project: Project, folder: Path) -> None:
    """The file with its stamp, which names its size and time: it counts as current in the copy, too."""
    from runner.notebook import warehouse  # noqa: PLC0415 - brings the database with it

    place = Path(project.settings.warehouse)
    built = warehouse.prepare(project.folder, place)
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    for path in (built, built.with_suffix(".sha256")):
        shutil.copy2(path, (folder / place).with_name(path.name))
