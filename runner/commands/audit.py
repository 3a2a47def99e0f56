"""An audit by hand: what the duty of the same kind looks at, shown at once; it closes no duty."""

from __future__ import annotations

from datetime import datetime

from runner.config import Project
from runner.ledger import Ledger
from runner.model import Finding, Level
from runner.scheduler import outages, rounds
from runner.scheduler.errands import Outside
from runner.scheduler.opening import onlooker
from runner.screen import near, screen_for
from runner.sources import audits

#: The audits that can be asked for; whether sources answer is what `runner probe` tells.
AUDITS = ("schemas", "reconciliation", "permissions")


def audit(project: Project, what: str, outside: Outside, now: datetime, *, as_json: bool) -> int:
    """Look, keep what was seen below reports/duties/, and show it; 1 where somebody must look at something.

    The ledger is left as it is: what the duty finds next is held against what it saw last, not against this.
    """
    ledger = Ledger.of(project)
    with ledger.read() as tx:
        needed = outages.needed(tx, onlooker(project, ledger), now)
    audited = audits.audit(what, rounds.scope_of(project, ledger, outside, now, needed))
    ledger.close()
    folder = project.reports / rounds.FOLDER / what / f"by-hand-{now:%Y%m%dT%H%M%SZ}"
    audits.keep(folder, audited, project.censor.redact)
    screen = screen_for(as_json=as_json, total=0)
    for finding in sorted(audited.findings, key=_gravity):
        screen.line(
            {"audit": what, **finding.as_dict(), "folder": str(folder)}, f"{finding.level:<4}  {finding.message}"
        )
    if not as_json:
        screen.say(f"\nEverything that was seen: {near(folder)}")
    return 1 if audited.found else 0


def _gravity(finding: Finding) -> int:
    return (Level.STOP, Level.WARN, Level.PASS).index(finding.level)
