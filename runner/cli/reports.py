"""Commands about reports: make them, look at them, begin a project."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.base import EXITS, AsJson, AsOf, Now, app, called, instant_of, load
from runner.errors import UsageError

Every = Annotated[bool, typer.Option("--every-experiment", help="Each experiment that has begun by the day.")]

RUN = """Make one report, or with --all every one, for a day.

With --every-experiment the report of each experiment that has begun by the day, as many at once as `runs_at_once` in
config/settings.yml says; one that fails or hangs holds none of the others.

A report made before from the very same code, parameters, data and environment is not made again.

\b
Examples:
  runner run aggregate_profit --as-of 2017-11-15
  runner run unit_profit --experiment 13 --as-of 2017-09-24
  runner run --all --as-of 2017-11-15
  runner run unit_profit --every-experiment --as-of 2017-11-15
"""


@app.command("run", help=RUN, short_help="Make one report, or with --all every one, for a day.", epilog=EXITS)
def run_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="[PIPELINE]", help="A name from config/pipelines.yml.")] = "",
    as_of: AsOf = "",
    everything: Annotated[bool, typer.Option("--all", help="Every pipeline, inputs first.")] = False,  # noqa: FBT002
    experiment: Annotated[str, typer.Option(metavar="ID", help="The experiment reported.")] = "",
    every_experiment: Every = False,  # noqa: FBT002
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the notebook. Repeatable."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it again, also when nothing changed.")] = False,  # noqa: FBT002
    no_deliver: Annotated[bool, typer.Option("--no-deliver", help="Write no messages.")] = False,  # noqa: FBT002
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make what the words ask for."""
    from runner.commands import reports  # noqa: PLC0415 - heavy, and not needed for --help

    if bool(pipeline) == everything:
        raise UsageError("Name one pipeline, or say --all.", "For example: runner run --all --as-of 2017-11-15")
    if not as_of:
        raise UsageError("Which day is reported?", "Say it with --as-of, for example --as-of 2017-11-15.")
    texts = _texts(parameter or [])
    project = load(context)
    at = instant_of(now, project.settings.time_zone) if now else None
    wish = reports.Wish(pipeline, as_of, experiment or None, texts, again, not no_deliver, every_experiment, at)
    raise typer.Exit(reports.run(project, wish, as_json=as_json))


def _texts(given: list[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign or not name.isidentifier():
            raise UsageError(f"-p {item!r} is no parameter.", "Write -p name=value.")
        if name in texts:
            raise UsageError(f"Parameter {name!r} is given twice.", "Give it once.")
        texts[name] = text
    return texts


@app.command("check", short_help="Find what is off before it does harm.")
def check_command(context: typer.Context, now: Now = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """Find what is off in config/, notebooks and plans, before it does harm."""
    from runner.commands import check  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(check.check(project, at, os.environ, as_json=as_json))


@app.command("list")
def list_command(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="[PIPELINE]", help="Only this pipeline.")] = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the runs in the ledger, newest first."""
    from runner.commands import reports  # noqa: PLC0415

    raise typer.Exit(reports.listing(load(context), pipeline, as_json=as_json))


@app.command("init")
def init_command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or new.")]) -> None:
    """Write a small commented project that runs at once."""
    from runner import starter  # noqa: PLC0415

    starter.init(folder)
    words = f"--project {shlex.quote(str(folder))} run {starter.NAME} --as-of {starter.AS_OF}"
    typer.echo(f"{folder} is ready. Try:\n  {called()} {words}")
