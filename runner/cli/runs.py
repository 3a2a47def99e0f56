"""Commands about runs that are under way, over, or missing."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated

import typer

from runner.cli.base import EXITS, AsJson, By, Now, app, instant_of, load
from runner.errors import UsageError

TheRun = Annotated[str, typer.Argument(metavar="RUN", help="Its name, or its folder, as `runner list` shows it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


@app.command("cancel")
def cancel_command(
    context: typer.Context,
    run: TheRun,
    by: By,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why it is to end.")] = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """End a run that is under way; its partial notebook is kept."""
    from runner.commands import runs  # noqa: PLC0415

    raise typer.Exit(runs.cancel(load(context), run, by, because, as_json=as_json))


LOGS = """Show what a run said, line by line, and what is left to look at.

Readable on a terminal; JSON lines elsewhere, unless --plain is said.

\b
Examples:
  runner logs 20171116T133000-0a1b2c
  runner logs 20171116T133000-0a1b2c --follow
"""


@app.command("logs", help=LOGS, short_help="Show what a run said, line by line.")
def logs_command(
    context: typer.Context,
    run: TheRun,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,  # noqa: FBT002
    plain: Annotated[bool, typer.Option("--plain", help="Readable lines, also elsewhere than on a terminal.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show a run's diary."""
    from runner.commands import logs  # noqa: PLC0415

    if plain and as_json:
        raise UsageError("--plain and --json do not go together.", "Leave one of them out.")
    machine = as_json or not (plain or sys.stdout.isatty())
    raise typer.Exit(logs.logs(load(context), run, as_json=machine, follow=follow))


@app.command("prune")
def prune_command(
    context: typer.Context,
    dry_run: DryRun = False,  # noqa: FBT002
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Remove the files of old runs that went to nobody, as `keep` in settings.yml says."""
    from runner.commands import prune  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(prune.prune(project, at, dry=dry_run, as_json=as_json))


BACKFILL = """Make the reports of a span that the calendar promised, oldest first, each after its inputs.

The days are those of `runner run --as-of`; both are included. What is there already from the same inputs is not made
again. As many are made at once as `runs_at_once` in config/settings.yml says; one that fails or hangs holds only its
own place. Readers get nothing unless --deliver is said.

\b
Examples:
  runner backfill daily_growth --from 2017-11-01 --to 2017-11-15 --dry-run
  runner backfill daily_growth --from 2017-11-01 --to 2017-11-15
"""


@app.command("backfill", help=BACKFILL, short_help="Make the reports of a span that are missing.", epilog=EXITS)
def backfill_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A name from config/pipelines.yml.")],
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day reported.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="The last day reported.")],
    dry_run: DryRun = False,  # noqa: FBT002
    deliver: Annotated[bool, typer.Option("--deliver", help="Send them to their readers as well.")] = False,  # noqa: FBT002
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make what is missing."""
    from runner.commands import backfill  # noqa: PLC0415

    project = load(context)
    wish = backfill.Wish(pipeline, _day(first, "--from"), _day(last, "--to"), deliver, dry_run)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(backfill.backfill(project, wish, at, as_json=as_json))


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a day.", "Write it like 2017-11-15.") from None
