"""environment.yml as it follows from requirements.lock and pyproject.toml: `python tests/environment.py` prints it."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# For conda users: the very versions of requirements.lock. Made by `make lock`; do not edit by hand.
#   conda env create -f environment.yml && conda activate runner
name: runner
channels: [conda-forge]
dependencies:
  - python>=3.11
  - pip
  - pip:
"""


def name_of(requirement: str) -> str:
    """The normalised name of a requirement."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()


def pins() -> list[str]:
    """Each `name==version ; marker` of the lock file, without hashes."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line.removesuffix("\\").strip() for line in lines if re.match(r"[A-Za-z0-9]", line)]


def asked_for() -> set[str]:
    """The names of everything that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    return {name_of(one) for one in [*project["dependencies"], *extras]}


def text() -> str:
    """The whole file: first what the project asks for, then what those bring along."""
    direct = [pin for pin in pins() if name_of(pin) in asked_for()]
    others = [pin for pin in pins() if pin not in direct]
    body = (
        [f'      - "{pin}"' for pin in direct]
        + ["      # and what those need"]
        + [f'      - "{pin}"' for pin in others]
    )
    return HEAD + "\n".join(body) + "\n      - -e .\n"


if __name__ == "__main__":
    sys.stdout.write(text())
