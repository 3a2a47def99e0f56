"""Who acts."""

from __future__ import annotations

from datetime import datetime

from runner.config import Project
from runner.config.names import known
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.scheduler import roster


def engineer(project: Project, who: str) -> str:
    """The key of an engineer. Raises UsageError with the nearest name."""
    if who not in project.people.engineers:
        raise UsageError(f"No engineer is called {who!r}.", known(who, project.people.engineers))
    return who


def on_call_at(project: Project, ledger: Ledger, at: datetime) -> tuple[str, ...]:
    """The keys of those on call at an instant, primary first; nobody where the project has no rota."""
    with ledger.read() as tx:
        shift = roster.shift_at(tx, project, at)
    return tuple(who for who in (shift.primary, shift.secondary) if who) if shift else ()
