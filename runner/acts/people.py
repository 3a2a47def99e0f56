"""Who acts."""

from __future__ import annotations

from runner.config import Project
from runner.config.names import known
from runner.errors import UsageError


def engineer(project: Project, who: str) -> str:
    """The key of an engineer. Raises UsageError with the nearest name."""
    if who not in project.people.engineers:
        raise UsageError(f"No engineer is called {who!r}.", known(who, project.people.engineers))
    return who
