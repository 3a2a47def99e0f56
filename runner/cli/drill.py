"""The command that holds emergency drills."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.base import AsJson, Now, app, instant_of, load, seconds_of
from runner.errors import UsageError

DRILL = """Hold an emergency drill: a real fault in a copy of the project, told to the real engineers.

The copy lies in reports/drills/NAME and can reach no reader. Whoever is on call is told as in earnest, every other
engineer on every channel gets a test; every message begins with [DRILL]. Then the command waits for somebody to
acknowledge, to take the fault away (--mend NAME) and to make the report, and says how long each took.

\b
Examples:
  runner drill daily_growth --fault "data incomplete"
  runner drill daily_growth --fault "cell failed" --as-of 2017-11-15 --wait "45 min"
  runner drill --mend 2017-11-15-3f9a1c

\b
Exit codes:
  0  somebody was told, everybody was reached, the report was made after all
  1  not so; what failed is said
  2  the command or the configuration is off; nothing was started
"""


@app.command("drill", help=DRILL, short_help="Hold an emergency drill in a copy of the project.")
def drill_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="[PIPELINE]", help="A name from config/pipelines.yml.")] = "",
    fault: Annotated[str, typer.Option("--fault", metavar="NAME", help="What goes wrong.")] = "",
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="The day reported.")] = "",
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long people have, once told.")] = "30 min",
    unattended: Annotated[bool, typer.Option("--unattended", help="Acknowledge and mend by itself.")] = False,  # noqa: FBT002
    mend: Annotated[str, typer.Option("--mend", metavar="NAME", help="Take the fault of a drill away.")] = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Hold a drill, or take its fault away."""
    from runner.commands import drill  # noqa: PLC0415
    from runner.scheduler.drill import Wish  # noqa: PLC0415

    if bool(pipeline) == bool(mend):
        raise UsageError(
            "Name a pipeline, or say --mend NAME.", 'For example: runner drill PIPELINE --fault "cell failed"'
        )
    project = load(context)
    if mend:
        raise typer.Exit(drill.mend(project, mend, as_json=as_json))
    wish = Wish(pipeline, fault, as_of, seconds_of(wait, "--wait"), unattended)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(drill.hold(project, wish, at, as_json=as_json))
