"""Commands about where data come from: do the sources answer, and are they as they should be."""

from __future__ import annotations

import os
from datetime import date
from typing import Annotated

import typer

from runner.cli.base import AsJson, By, Now, app, instant_of, load
from runner.errors import UsageError

PROBE = """Ask each source whether it answers and lets us in, with latency and history.

\b
Exit codes:
  0    all of them answer
  1    one of them does not
  2    the command or the configuration is off; nothing was asked

\b
Examples:
  runner probe
  runner probe tills --json
"""


@app.command("probe", help=PROBE, short_help="Ask each source whether it answers, with latency and history.")
def probe_command(
    context: typer.Context,
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE...]", help="Names from config/sources.yml; without them all.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Ask."""
    from runner.commands import probe  # noqa: PLC0415
    from runner.scheduler.errands import Outside  # noqa: PLC0415

    project = load(context)
    now = instant_of("", project.settings.time_zone)
    raise typer.Exit(probe.probe(project, sources or (), Outside(os.environ), now, as_json=as_json))


AUDIT = """Look at schemas, reconciliation or permissions now, as the duty of that name does.

It closes no duty, and what the duty sees next is not held against what this saw. The last whole day before --now is
looked at.

\b
Exit codes:
  0    nothing was found
  1    somebody must look at what was found
  2    the command or the configuration is off; nothing was looked at

\b
Examples:
  runner audit schemas
  runner audit reconciliation --now 2017-11-16
  runner audit permissions --json
"""


@app.command("audit", help=AUDIT, short_help="Look at schemas, two systems or permissions now.")
def audit_command(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="AUDIT", help="schemas, reconciliation or permissions.")],
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Audit."""
    from runner.commands import audit  # noqa: PLC0415
    from runner.config.names import known  # noqa: PLC0415
    from runner.scheduler.errands import Outside  # noqa: PLC0415

    if what not in audit.AUDITS:
        raise UsageError(f"No audit is called {what!r}.", known(what, audit.AUDITS))
    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(audit.audit(project, what, Outside(os.environ), at, as_json=as_json))


ARRIVED = """Say that a source's data have landed: it has everything up to and with a day.

A report whose sources have all landed begins before its hour. Programmes say the same to the desk: POST /api/arrivals.

\b
Exit codes:
  0    it is noted, or was known
  2    there is no such source or day; nothing was noted

\b
Examples:
  runner arrived tills 2017-11-15 --by engineer_d
  runner arrived warehouse 2017-11-15 --by engineer_d
"""


@app.command("arrived", help=ARRIVED, short_help="Say that data have landed: reports on them begin early.")
def arrived_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A source of config/sources.yml, `warehouse`, or a pipeline's file.")
    ],
    day: Annotated[str, typer.Argument(metavar="DAY", help="The last day that it has whole, such as 2017-11-15.")],
    by: By,
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say that a source's data have landed."""
    from runner.commands import arrivals  # noqa: PLC0415
    from runner.ledger.arrivals import Arrival  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(arrivals.note(project, Arrival(source, _day(day), at, by), as_json=as_json))


def _day(text: str) -> date:
    """The day that is meant. Raises UsageError on anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day.", "Write it like 2017-11-15.") from None
