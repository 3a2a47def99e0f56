"""Commands about what is owed: deadlines, how they stand, incidents, practice."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from runner.cli.base import AsJson, By, Now, app, day_of, instant_of, load
from runner.errors import Trouble

From = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day or time.")]
To = Annotated[str, typer.Option("--to", metavar="DATE", help="The day or time at which it ends (not included).")]


@app.command("due")
def due_command(
    context: typer.Context,
    first: From = "",
    last: To = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the deadlines of a span (without one: of the coming week)."""
    from runner.commands import plan  # noqa: PLC0415

    project = load(context)
    span = plan.Span(*day_of(project, first, last, now, days=7))
    raise typer.Exit(plan.due(project, span, as_json=as_json))


@app.command("status")
def status_command(context: typer.Context, now: Now = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show how every deadline of today and tomorrow stands."""
    from runner.commands import plan  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(plan.status(project, instant_of(now, project.settings.time_zone), as_json=as_json))


@app.command("incidents")
def incidents_command(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="[INCIDENT]", help="Only this one, with its history.")] = 0,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List what is wrong and what was, or show one incident."""
    from runner.commands import trouble  # noqa: PLC0415

    project = load(context)
    code = trouble.show(project, number, as_json=as_json) if number else trouble.listing(project, as_json=as_json)
    raise typer.Exit(code)


@app.command("ack")
def ack_command(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="INCIDENT", help="Its number, as the message says it.")],
    by: By,
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Acknowledge an incident: you are at it, nobody else is woken."""
    from runner.commands import trouble  # noqa: PLC0415

    project = load(context)
    at = instant_of(now, project.settings.time_zone)
    raise typer.Exit(trouble.acknowledge(project, number, by, at, as_json=as_json))


Because = Annotated[str, typer.Option("--because", metavar="TEXT", help="Why: it is kept, and told.")]


@app.command("handover")
def handover_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="INCIDENT", help="Its number, as the message says it.")],
    to: Annotated[str, typer.Option("--to", metavar="WHO", help="The engineer who is to be at it.")],
    by: By,
    because: Because,
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Hand an incident to another engineer, who is told; to yourself: take it over."""
    from runner.commands import trouble  # noqa: PLC0415
    from runner.plan.incidents import Word  # noqa: PLC0415

    project = load(context)
    word = Word(by, because, instant_of(now, project.settings.time_zone))
    raise typer.Exit(trouble.hand_over(project, number, to, word, as_json=as_json))


@app.command("resolve")
def resolve_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="INCIDENT", help="Its number, as the message says it.")],
    by: By,
    because: Because,
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Close an incident that you settled, where it does not close by itself; those who know of it are told."""
    from runner.commands import trouble  # noqa: PLC0415
    from runner.plan.incidents import Word  # noqa: PLC0415

    project = load(context)
    word = Word(by, because, instant_of(now, project.settings.time_zone))
    raise typer.Exit(trouble.resolve(project, number, word, as_json=as_json))


SIMULATE = """Replay the calendar through the real scheduler with a simulated clock.

Nothing is sent, and unless --execute is said nothing is executed: runs take their usual time. Without --fault one late
report is injected for practice, so that the timeline shows who would be told what.

Faults: {faults}, slow, held.

\b
Examples:
  runner simulate --from 2017-11-13 --to 2017-12-04
  runner simulate --from 2017-11-13 --to 2017-12-04 --fault none
  runner simulate --from 2017-12-20 --to 2018-01-03 --fault "daily_growth@2017-12-24=kernel died" --silent engineer_d
"""


@app.command(
    "simulate",
    help=SIMULATE.format(faults=", ".join(Trouble)),
    short_help="Replay the calendar through the real scheduler.",
)
def simulate_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    first: From,
    last: To,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault", metavar="PIPELINE@PERIOD=FAULT", help="What goes wrong; `none` for nothing. Repeatable."
        ),
    ] = None,
    silent: Annotated[
        list[str] | None, typer.Option("--silent", metavar="WHO", help="An engineer who never answers. Repeatable.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Every deadline, also of a long span.")] = False,  # noqa: FBT002
    execute: Annotated[  # noqa: FBT002
        bool, typer.Option("--execute", help="Make every report for real, in a copy that reaches nobody.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Replay a span."""
    from runner.acts.people import engineer  # noqa: PLC0415
    from runner.commands import practice  # noqa: PLC0415
    from runner.scheduler import simulation  # noqa: PLC0415

    project = load(context)
    people = simulation.People(silent=frozenset(engineer(project, who) for who in silent or ()))
    span = day_of(project, first, last, "", days=7)
    wish = practice.Wish(*span, tuple(fault or ()), people, whole, execute)
    raise typer.Exit(practice.simulate(project, wish, as_json=as_json))


@app.command("duties")
def duties_command(context: typer.Context, now: Now = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """List the duties that are open, and the next of each."""
    from runner.commands import duties  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(duties.listing(project, instant_of(now, project.settings.time_zone), as_json=as_json))


@app.command("done")
def done_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    duty: Annotated[str, typer.Argument(metavar="DUTY", help="A name from config/duties.yml.")],
    period: Annotated[str, typer.Argument(metavar="[PERIOD]", help="Which one; without it the oldest open one.")] = "",
    by: By = "",
    evidence: Annotated[str, typer.Option("--evidence", metavar="TEXT", help="What shows that it was done.")] = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Record that a duty was done, with what shows it."""
    from runner.acts.duties import Report  # noqa: PLC0415
    from runner.commands import duties  # noqa: PLC0415

    project = load(context)
    report = Report(duty, period, by, evidence)
    raise typer.Exit(duties.done(project, report, instant_of(now, project.settings.time_zone), as_json=as_json))


@app.command("review", short_help="Write the facts for the quarterly review.")
def review_command(
    context: typer.Context,
    first: From = "",
    last: To = "",
    now: Now = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the facts for the quarterly review on one page (without a span: of the last 92 days)."""
    from runner.commands import review  # noqa: PLC0415

    project = load(context)
    zone = project.settings.time_zone
    end = last or now
    start = first or (instant_of(end, zone) - timedelta(days=92)).isoformat()
    span = day_of(project, start, end or instant_of("", zone).isoformat(), "", days=92)
    raise typer.Exit(review.review(project, *span, as_json=as_json))
