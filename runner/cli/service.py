"""Commands that run the scheduler."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.base import AsJson, Now, app, instant_of, load, seconds_of
from runner.errors import UsageError

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


SERVE = """Run the scheduler and the desk, a web page, until they are told to stop (Ctrl-C, SIGTERM).

The desk is a process of its own: a page that hangs never delays an alarm. Where it listens is `desk` in
config/settings.yml; without a word, on this machine alone: http://127.0.0.1:8420/

\b
Examples:
  runner serve
  runner serve --only desk --port 8421
  runner serve --only desk --background --sign-in engineer_a   and later: runner serve --stop
"""


@app.command("serve", help=SERVE, short_help="Run the scheduler and the desk, a web page.")
def serve_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Between two looks.")] = "5 s",
    only: Annotated[str, typer.Option("--only", metavar="desk|scheduler", help="One of the two alone.")] = "",
    address: Annotated[str, typer.Option("--address", help="Where the desk listens.")] = "",
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Its port; 0 takes a free one.")] = None,
    background: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--background", help="In the background, until two hours after its last visitor."),
    ] = False,
    sign_in: Annotated[
        str, typer.Option("--sign-in", metavar="WHO", help="With --background: a link that signs somebody in, once.")
    ] = "",
    stop: Annotated[bool, typer.Option("--stop", help="End the desk in the background.")] = False,  # noqa: FBT002
    now: Now = "",
) -> None:
    """Serve."""
    from runner.commands import service  # noqa: PLC0415
    from runner.commands.desk import Options  # noqa: PLC0415

    _refuse(only, background=background, sign_in=sign_in, stop=stop)
    project, door = load(context), Options(address, port)
    waits = seconds_of(every, "--every")
    at = moment(project, now)
    if stop:
        raise typer.Exit(service.leave(project))
    if background:
        raise typer.Exit(service.behind(project, at, door, sign_in))
    if only == "desk":
        from runner.web import server  # noqa: PLC0415 - brings all that pages are made of

        raise typer.Exit(server.serve(project, server.Options(at, address, port)))
    raise typer.Exit(service.serve(project, at, waits, None if only else door))


def _refuse(only: str, *, background: bool, sign_in: str, stop: bool) -> None:
    """Words that do not go together."""
    if only not in {"", "desk", "scheduler"}:
        raise UsageError(f"--only {only!r} is none of the two.", "Write --only desk or --only scheduler.")
    if background and only != "desk":
        raise UsageError("Only the desk goes into the background.", "Write --only desk --background.")
    if sign_in and not background:
        raise UsageError("--sign-in belongs to --background.", "For a desk that runs: runner signin WHO")
    if stop and (background or only == "scheduler"):
        raise UsageError("--stop ends the desk in the background.", "Say it alone: runner serve --stop")


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
