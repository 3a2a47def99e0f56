"""Findings -> deliver, hold or stop. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.model import Decision, Finding, Level


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and why in one sentence (empty when all is well)."""

    decision: Decision
    reason: str = ""


def judge(findings: Iterable[Finding]) -> Verdict:
    """Stop on any stop, hold on any warning, hold when nothing was checked, else deliver."""
    found = tuple(findings)
    for level, decision in ((Level.STOP, Decision.STOP), (Level.WARN, Decision.HOLD)):
        marked = [finding for finding in found if finding.level is level]
        if marked:
            return Verdict(decision, _reason(marked))
    if not found:
        return Verdict(Decision.HOLD, "Nothing was checked: the notebook recorded no finding.")
    return Verdict(Decision.DELIVER)


def _reason(findings: list[Finding]) -> str:
    first, more = findings[0], len(findings) - 1
    return first.message + (f" (and {more} more finding{'s' if more > 1 else ''})" if more else "")
