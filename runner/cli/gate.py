"""Commands at the gate: a held report decided on, a report handed over by hand, a file known again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.base import EXITS, AsJson, Now, app, instant_of, load
from runner.cli.runs import TheRun
from runner.errors import UsageError

Who = Annotated[str, typer.Option("--by", metavar="WHO", help="Who does it: a name from config/people.yml.")]

APPROVE = """Let a held report go out to its readers, in your name.

Its pipeline's owners may, its `approvers` in config/pipelines.yml, and whoever is on call. Without --by and --because
nothing is done, and you see what there is to decide: each doubt, each figure that readers have as it was and as it is
now, each record that would be replaced, and which delivered reports rest on it.

\b
Examples:
  runner approve 20171116T133000-0a1b2c
  runner approve 20171116T133000-0a1b2c --by engineer_b --because "Compared with the tills: they were closed at noon."
"""


@app.command("approve", help=APPROVE, short_help="Let a held report go out to its readers.", epilog=EXITS)
def approve_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    run: TheRun,
    by: Who = "",
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="What makes it right.")] = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Let a held report go out to its readers, in your name."""
    from runner.commands import gate  # noqa: PLC0415

    project = load(context)
    wish = gate.Wish(run, by, because, instant_of(now, project.settings.time_zone))
    raise typer.Exit(gate.approve(project, wish, as_json=as_json))


REJECT = """Turn a held report down, in your name: it is stopped and goes to nobody.

The same people may as for `runner approve`. Its deadline and its incident stay open until another run is delivered; the
very same inputs do not come back unless --again is said, and are held then.

\b
Exit codes:
  0    it is turned down
  2    you may not, or it is not held; nothing was done

\b
Example:
  runner reject 20171116T133000-0a1b2c --by engineer_b --because "Two tills were counted twice."
"""


@app.command("reject", help=REJECT, short_help="Turn a held report down: it goes to nobody.")
def reject_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    run: TheRun,
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who does it: a name from config/people.yml.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="What is wrong with it.")],
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Turn a held report down."""
    from runner.commands import gate  # noqa: PLC0415

    project = load(context)
    wish = gate.Wish(run, by, because, instant_of(now, project.settings.time_zone))
    raise typer.Exit(gate.reject(project, wish, as_json=as_json))


DELIVER = """Send what is still owed of a report; with --manual pack it into one archive, to be handed over by hand.

Without --manual the message is tried again for everyone who still waits, also for those that were refused before.

With --manual the report (PDF, HTML), its charts (PNG, SVG) and its tables (CSV) are packed into one archive. Who took
it, why, and for whom is written down, and it counts as delivered for these readers: no message goes to them any more.
Only a report that may go out is packed; a held one is approved first. With --unproven the charts and tables of a run
that could not be rendered or proven are packed for an engineer to look at; that goes to no reader.

\b
Exit codes:
  0    sent, or packed
  1    not every message could be sent, or the files are not those that were proven
  2    the command is off, or this run goes to nobody; nothing was done

\b
Examples:
  runner deliver 20171116T133000-0a1b2c
  runner deliver 20171116T133000-0a1b2c --manual --by engineer_b --because "The mail server is down."
  runner deliver RUN --manual --to report.zip --by engineer_b --because "She asked." --recipient ann@example.com
"""


@app.command("deliver", help=DELIVER, short_help="Send what is still owed of a report, or pack it to hand it over.")
def deliver_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    run: TheRun,
    manual: Annotated[bool, typer.Option("--manual", help="Pack it, to hand it over by hand.")] = False,  # noqa: FBT002
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="PATH", help="Where the archive goes (default: reports/by-hand)."),
    ] = None,
    by: Who = "",
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why it is handed over by hand.")] = "",
    recipient: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="For this reader; repeatable. Else for all who still wait."),
    ] = None,
    unproven: Annotated[bool, typer.Option("--unproven", help="Of a run that failed: for an engineer alone.")] = False,  # noqa: FBT002
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Hand a report over."""
    from runner.commands import deliver  # noqa: PLC0415

    if not manual and (to or by or because or recipient or unproven):
        raise UsageError("--to, --by, --because, --recipient and --unproven belong to --manual.", "Say it, too.")
    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    if not manual:
        raise typer.Exit(deliver.deliver(project, run, at, as_json=as_json))
    wish = deliver.Wish(run, at, to, by, because, tuple(recipient or ()), unproven)
    raise typer.Exit(deliver.by_hand(project, wish, as_json=as_json))


VERIFY = """Say whether a PDF or HTML file is the report that was delivered, to whom, and whether it still holds.

The file may have been renamed, or mailed back: it is known by its hash, and one that was changed by the seal in it.

\b
Exit codes:
  0    delivered, unchanged, and not restated since
  1    changed after it was made, or unknown here
  2    there is no such file
  3    made here and unchanged, but restated since, not delivered, or only a part of a report

\b
Example:
  runner verify ~/Downloads/aggregate_profit-2017-11-15.pdf
"""


@app.command("verify", help=VERIFY, short_help="Say whether a file is the report that was delivered.")
def verify_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A PDF or HTML file.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say what a file is."""
    from runner.commands import verify  # noqa: PLC0415

    raise typer.Exit(verify.verify(load(context), file, as_json=as_json))
