"""The project a notebook belongs to: its folder and the files of its config/ that notebooks read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runner.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SIGN = Path("config") / "pipelines.yml"


def find(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that holds config/pipelines.yml. Raises ConfigError when none does."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / SIGN).is_file():
            return folder
    raise ConfigError(
        f"No project was found: neither {here.name} nor a folder above it has {SIGN.as_posix()}.",
        "Open the notebook inside a project, or make one with `runner init DIR`.",
    )


def read(project: Path, name: str) -> Mapping[str, Any]:
    """A file of config/ as a mapping. Raises ConfigError when it is missing, is not YAML or is no mapping."""
    try:
        data = parsed((project / "config" / name).read_text(encoding="utf-8"), name)
    except FileNotFoundError as error:
        raise ConfigError(f"config/{name} is not there.", "Copy it from the shipped project.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"config/{name} is not a mapping.", "Its top level is `key: value` lines.")
    return data


def parsed(text: str, name: str) -> Any:
    """The data of a file of config/. Raises ConfigError that names the file when it is not YAML."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - it is the safe one, by libyaml where that is there
    except yaml.YAMLError as error:
        raise ConfigError(f"config/{name} is not YAML: {error}.", "Correct the line named.") from error


def sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
