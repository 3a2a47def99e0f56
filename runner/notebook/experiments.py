"""How an experiment was designed, as far as the data do not say (config/experiments.yml)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.notebook import project

ASSIGNMENTS = ("observational", "randomised")


@dataclass(frozen=True)
class Design:
    """Whether lots were drawn, and the share (0 to 1) of units that was meant to be treated; None where none was."""

    assignment: str = "observational"
    planned_share: float | None = None

    @property
    def observational(self) -> bool:
        """True where nobody drew lots, so that no gap between the arms is an effect."""
        return self.assignment == "observational"


def design_of(folder: Path, experiment: int) -> Design:
    """The design of one experiment: its own entry over the defaults. Raises ConfigError that names the key."""
    config = project.read(folder, "experiments.yml")
    given: dict[str, Any] = {}
    entries = config.get("experiments") or {}
    if not isinstance(entries, dict):
        raise ConfigError("config/experiments.yml: experiments holds no entries.", "Write 30: {assignment: …}.")
    own = {str(key): entry for key, entry in entries.items()}.get(str(experiment))  # 30 and "30" are one experiment
    for part in (config.get("defaults") or {}, own or {}):
        if not isinstance(part, dict):
            raise ConfigError(
                f"config/experiments.yml: {part!r} is no entry.", "Write {assignment: …, planned_share: …}."
            )
        given.update(part)
    given.pop("begins", None)  # when it begins matters to its deadline alone
    unknown = sorted(set(given) - {"assignment", "planned_share"})
    if unknown:
        raise ConfigError(f"config/experiments.yml: unknown key {unknown[0]!r}.", "Use assignment and planned_share.")
    assignment, share = given.get("assignment", "observational"), given.get("planned_share")
    if assignment not in ASSIGNMENTS:
        raise ConfigError(f"config/experiments.yml: assignment is {assignment!r}.", f"Use {' or '.join(ASSIGNMENTS)}.")
    if (assignment == "randomised") != (share is not None):
        raise ConfigError(
            f"config/experiments.yml: experiment {experiment} is {assignment} and its planned_share is {share}.",
            "A randomised experiment needs the planned share; an observational one has none.",
        )
    if share is not None and not (isinstance(share, int | float) and 0 < share < 1):
        raise ConfigError(f"config/experiments.yml: planned_share is {share}.", "It lies between 0 and 1.")
    return Design(assignment, None if share is None else float(share))
