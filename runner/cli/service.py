"""Commands that run the scheduler."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.base import AsJson, Now, app, instant_of, load, seconds_of

if TYPE_CHECKING:
    from runner.config import Project


def moment(project: Project, now: str) -> datetime | None:
    """The instant that --now names; None where it is not said."""
    return instant_of(now, project.settings.time_zone) if now else None


@app.command("tick", short_help="Look once: start, tell, send (for cron or systemd).")
def tick_command(context: typer.Context, now: Now = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """Look once: start what is due, tell what is late, send what is owed (for cron or systemd)."""
    from runner.commands import service  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(service.one_tick(project, moment(project, now), as_json=as_json))


@app.command("serve")
def serve_command(
    context: typer.Context,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Between two looks.")] = "5 s",
    now: Now = "",
) -> None:
    """Run the scheduler until it is told to stop (Ctrl-C, SIGTERM)."""
    from runner.commands import service  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(service.serve(project, moment(project, now), seconds_of(every, "--every")))


WATCH = """Listen for the scheduler's heartbeats, on another machine, and tell when they stop.

The scheduler posts to this address when `heartbeat` in settings.yml names it, for example json://watch.example.com/beat.
RUNNER_WATCH_TOKEN, if set, must be the last part of that address: json://watch.example.com/TOKEN.

\b
Example:
  RUNNER_WATCH_PAGER=ntfy://... runner watch --tell env:RUNNER_WATCH_PAGER
"""


@app.command("watch", help=WATCH, short_help="Tell, on another machine, when heartbeats stop.")
def watch_command(  # noqa: PLR0913, PLR0917 - the options of one command
    tell: Annotated[str, typer.Option("--tell", metavar="env:NAME", help="The variable with the address to tell.")],
    address: Annotated[str, typer.Option("--address", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port; 0 takes a free one.")] = 8123,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="How often a beat is expected.")] = "5 min",
    grace: Annotated[str, typer.Option("--grace", metavar="TIME", help="How late it may be.")] = "5 min",
    state: Annotated[Path, typer.Option("--state", metavar="FILE", help="What the watch keeps.")] = Path("watch.json"),
) -> None:
    """Watch."""
    from runner.commands import service  # noqa: PLC0415

    token = os.environ.get("RUNNER_WATCH_TOKEN", "")
    waits = seconds_of(every, "--every"), seconds_of(grace, "--grace")
    raise typer.Exit(service.watch(service.Post(address, port, state, *waits, tell, token)))
