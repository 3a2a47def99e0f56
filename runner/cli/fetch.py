"""The command that fetches by hand."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from runner.cli.base import AsJson, AsOf, Now, app, instant_of, load
from runner.errors import UsageError

FETCH = """Fetch tables from their sources into the warehouse, up to a day.

A run does so by itself before its notebook begins. By hand it is for whoever explores in JupyterLab, and for engineers
who want to see what a source gives: the day and those before it that may have been corrected (`again` in
config/sources.yml) are asked for again, and a report that is run after it sees what has changed.

\b
Exit codes:
  0    everything is there; an earlier day that is not whole is said, and no more
  1    a source did not answer and no other served, or the day is not whole
  2    the command or the configuration is off; nothing was fetched

\b
Examples:
  runner fetch --as-of 2017-11-15
  runner fetch transactions redemptions --as-of 2017-11-15
"""


@app.command("fetch", help=FETCH, short_help="Fetch tables from their sources into the warehouse.")
def fetch_command(
    context: typer.Context,
    tables: Annotated[list[str] | None, typer.Argument(metavar="[TABLE]...", help="Only these tables.")] = None,
    as_of: AsOf = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Fetch what the words ask for."""
    from runner.commands import fetch  # noqa: PLC0415

    if not as_of:
        raise UsageError("Up to which day?", "Say it with --as-of, for example --as-of 2017-11-15.")
    try:
        day = date.fromisoformat(as_of)
    except ValueError:
        raise UsageError(f"--as-of {as_of!r} is not a day.", "Write it like 2017-11-15.") from None
    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(fetch.fetch(project, tuple(tables or ()), day, at, as_json=as_json))
