"""What a notebook imports: one `Report`, through which it reads, checks, shows and hands over."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import runner.light  # noqa: F401  must come before nbformat, which scrapbook brings

if TYPE_CHECKING:
    from runner.notebook.figures import Prior
    from runner.notebook.report import Report

__all__ = ["Prior", "Report"]

_ROOMS = {"Prior": "runner.notebook.figures", "Report": "runner.notebook.report"}


def __getattr__(name: str) -> Any:
    """Bring pandas, matplotlib and the rest when a notebook asks, not when a command asks for one module in here."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)
