"""Commands about who is let in at the desk."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from runner.cli.base import AsJson, By, Now, app, instant_of, load, seconds_of

token = typer.Typer(
    name="token",
    help="Tokens with which machines ask the desk: make one, see them, revoke one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(token)

ADD = """Make a token for a machine, and show it once.

What it may do is said by its scopes: `read` asks /api for deadlines, runs, figures and incidents, `metrics` reads
/metrics, `arrivals` says that data are ready. The ledger keeps nothing that the token could be made from again.

\b
Examples:
  runner token add grafana --scope read --scope metrics --by engineer_a
  runner token add loader --scope arrivals --for 90d --by engineer_a
"""


@token.command("add", help=ADD, short_help="Make a token, and show it once.")
def add_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the machine is called.")],
    by: By,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help="read, metrics or arrivals; more than once.")
    ] = None,
    lasts: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long it is good, such as 90d; without it, until revoked.")
    ] = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make a token."""
    from runner.acts.access import Order  # noqa: PLC0415
    from runner.commands import access  # noqa: PLC0415

    project = load(context)
    order = Order(name, tuple(scope or ()), by, timedelta(seconds=seconds_of(lasts, "--for")) if lasts else None)
    raise typer.Exit(access.add(project, order, instant_of(now, project.settings.time_zone), as_json=as_json))


@token.command("list")
def list_command(context: typer.Context, now: Now = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """List every token, what it is for, and when it was used last."""
    from runner.commands import access  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(access.listing(project, instant_of(now, project.settings.time_zone), as_json=as_json))


@token.command("revoke")
def revoke_command(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="TOKEN", help="Its number, as `runner token list` shows it.")],
    by: By,
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Revoke a token: it opens nothing from now on."""
    from runner.commands import access  # noqa: PLC0415
    from runner.commands.access import Revocation  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(access.revoke(project, Revocation(number, by), at, as_json=as_json))


SIGN_IN = """Print a link that signs somebody in at the desk, once.

For the first sign-in, and for one without a mail server: whoever has this shell has the ledger anyway. The link is good
for as long as `desk.link` of settings.yml says; nothing is mailed.

\b
Examples:
  runner signin engineer_a
  runner signin investor@example.com
"""


@app.command("signin", help=SIGN_IN, short_help="Print a link that signs somebody in at the desk, once.")
def sign_in_command(
    context: typer.Context,
    who: Annotated[str, typer.Argument(metavar="WHO", help="An engineer's key, or an address of people.yml.")],
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print a link."""
    from runner.commands import access  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(access.sign_in(project, who, at, rehearsed=bool(now), as_json=as_json))
