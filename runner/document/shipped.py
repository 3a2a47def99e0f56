"""Where our own templates lie."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: Beside the package in the repository, within it where it was installed from a wheel.
TEMPLATES = next(
    (folder for folder in (_PACKAGE / "shipped" / "templates", _PACKAGE.parent / "templates") if folder.is_dir()),
    _PACKAGE.parent / "templates",
)
