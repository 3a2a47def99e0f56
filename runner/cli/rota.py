"""Commands about who is on call, and swaps of on-call time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.base import AsJson, By, app, instant_of, load
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.acts.swaps import Deed
    from runner.config import Project
    from runner.plan.calendar import Span
    from runner.plan.oncall import Leg

#: Instants outside these years are a slip of the keyboard, and calendars give out there.
EARLIEST, LATEST = 1980, 2200
#: Days of a span that has no end.
LISTED = 28
LONGEST = timedelta(days=366 * 20)

Present = Annotated[
    str, typer.Option("--now", metavar="TIME", help="Take this for the present, in rehearsals and tests.")
]

ONCALL = """Show who is on call: primary, secondary, and until when.

Times without a zone are on the clocks of the rota's zone. What is past is kept as it was, whatever is edited since.

\b
Examples:
  runner oncall
  runner oncall --at 2017-11-24T08:00 --explain
  runner oncall --from 2017-11-20 --to 2017-12-04
  runner oncall --ics calendars
  runner oncall --fairness
  runner oncall --diff new-oncall.yml
"""


@app.command("oncall", help=ONCALL, short_help="Show who is on call, and why; as calendars; as shares; a change.")
def oncall_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant asked about; without it, now.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show the rules that chose each person.")] = False,  # noqa: FBT002
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="List shifts from this day or time on.")] = "",
    last: Annotated[
        str, typer.Option("--to", metavar="DATE", help="The day or time at which they end (not included).")
    ] = "",
    ics: Annotated[
        str, typer.Option("--ics", metavar="FOLDER", help="Write a calendar a person, and one of all, into a folder.")
    ] = "",
    fairness: Annotated[bool, typer.Option("--fairness", help="Show who carries how much, by year.")] = False,  # noqa: FBT002
    diff: Annotated[
        str,
        typer.Option("--diff", metavar="FILE", help="Show what another oncall.yml would change in the coming year."),
    ] = "",
    now: Present = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Answer one of the questions."""
    from runner.commands import rota  # noqa: PLC0415
    from runner.plan.calendar import Span  # noqa: PLC0415
    from runner.scheduler.oncall import AHEAD, BEHIND  # noqa: PLC0415

    _one({"--at or --explain": bool(at or explain), "--ics": bool(ics), "--fairness": fairness, "--diff": bool(diff)})
    _one({"--from or --to": bool(first or last), "--at or --explain": bool(at or explain), "--diff": bool(diff)})
    project = load(context)
    present = _present(project, now)
    if ics:
        default = Span(present - BEHIND, present + AHEAD)
        span = _span(project, first, last, default)
        raise typer.Exit(rota.feeds(project, Path(ics), span, present, as_json=as_json))
    if fairness:
        span = _span(project, first, last, rota.years(project, present))
        raise typer.Exit(rota.fairness(project, span, present, as_json=as_json))
    if diff:
        raise typer.Exit(rota.diff(project, Path(diff), present, as_json=as_json))
    if first or last:
        start = _time(project, first, "--from") if first else present
        span = _span(project, first, last, Span(present, start + timedelta(days=LISTED)))
        raise typer.Exit(rota.shifts(project, span, present, as_json=as_json))
    asked = _time(project, at, "--at") if at else None
    raise typer.Exit(rota.lookup(project, asked, present, explain=explain, as_json=as_json))


def _one(asked: dict[str, bool]) -> None:
    """One question at a time. Raises UsageError that names the two that do not go together."""
    given = [name for name, is_given in asked.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{given[0]} cannot stand beside {given[1]}.", "Ask for one of them at a time.")


def _time(project: Project, text: str, option: str) -> datetime:
    """An instant that is given, in UTC. Raises UsageError."""
    from runner.scheduler.oncall import rules_of  # noqa: PLC0415

    try:
        found = instant_of(text, rules_of(project).time_zone, option)
    except OverflowError:
        found = None
    if found is None or not EARLIEST <= found.year < LATEST:
        raise UsageError(f"{option} {text!r} is out of reach.", f"Take a year from {EARLIEST} to {LATEST - 1}.")
    return found


def _present(project: Project, text: str) -> datetime:
    """Now, or what is taken for it. Raises UsageError on a time to come: it would be written down as past."""
    now = datetime.now(UTC)
    given = _time(project, text, "--now") if text else now
    if given > now:
        raise UsageError(f"--now {text!r} is yet to come.", "Take a time that has been; ask about others with --at.")
    return given


def _span(project: Project, first: str, last: str, default: Span) -> Span:
    """From one day or time up to another. Raises UsageError when that is empty or very long."""
    start = _time(project, first, "--from") if first else default.first
    end = _time(project, last, "--to") if last else default.last
    if end == start and first and last:
        raise UsageError("The span is empty: --to is not included.", "Take a later --to.")
    if end <= start and not (first and last):
        why = "without --to it ends before --from" if first else "without --from it begins after --to"
        raise UsageError(f"The span is empty: {why}.", "Give both --from and --to.")
    if end < start:
        raise UsageError("The span ends before it begins.", "Exchange --from and --to.")
    if end - start > LONGEST:
        raise UsageError("The span is longer than twenty years.", "Take a shorter one.")
    return type(default)(start, end)


# Swaps.

swap = typer.Typer(
    name="swap",
    help="Swap on-call time: offer, accept, decline, undo, list.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(swap)

OFFER = """Offer a swap: A gives from FROM to TO, and B gives the second span for it.

An offer by one of the two counts as their acceptance; an offer by somebody else needs both. Nothing changes before both
have accepted. A day stands for its hand-off time; times are on the clocks of the rota's zone.

\b
Examples:
  runner swap offer engineer_a 2017-12-04 2017-12-11 engineer_b 2017-12-11 2017-12-18 --by engineer_a
  runner swap offer engineer_a 2017-12-05T09:00 2017-12-06T09:00 engineer_b 2017-12-12 2017-12-13 --by engineer_b
"""
Number = Annotated[int, typer.Argument(metavar="SWAP", help="Its number, as the message says it.")]
_From = Annotated[str, typer.Argument(metavar="FROM", help="The day or time from which they give.")]
_To = Annotated[str, typer.Argument(metavar="TO", help="The day or time up to which they give.")]


@swap.command("offer", help=OFFER, short_help="Offer that two people exchange two spans.")
def offer_command(  # noqa: PLR0913, PLR0917 - the words of one command
    context: typer.Context,
    one: Annotated[str, typer.Argument(metavar="A", help="Who gives the first span: a key of people.yml.")],
    one_from: _From,
    one_to: _To,
    other: Annotated[str, typer.Argument(metavar="B", help="Who gives the second span in return.")],
    other_from: _From,
    other_to: _To,
    by: By,
    now: Present = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Offer a swap."""
    from runner.commands import swaps  # noqa: PLC0415

    project = load(context)
    give, take = _leg(project, one, one_from, one_to), _leg(project, other, other_from, other_to)
    raise typer.Exit(swaps.offer(project, give, take, _deed(project, "offered", by, now), as_json=as_json))


@swap.command("accept")
def accept_command(
    context: typer.Context,
    number: Number,
    by: By,
    now: Present = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Accept a swap; it holds when both have accepted."""
    from runner.commands import swaps  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(swaps.accept(project, number, _deed(project, "accepted", by, now), as_json=as_json))


@swap.command("decline")
def decline_command(
    context: typer.Context,
    number: Number,
    by: By,
    now: Present = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Decline a swap that is offered, or withdraw it."""
    from runner.commands import swaps  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(swaps.decline(project, number, _deed(project, "declined", by, now), as_json=as_json))


@swap.command("undo")
def undo_command(
    context: typer.Context,
    number: Number,
    by: By,
    now: Present = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Undo an agreed swap, both halves, before the first begins."""
    from runner.commands import swaps  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(swaps.undo(project, number, _deed(project, "undone", by, now), as_json=as_json))


@swap.command("list")
def list_command(context: typer.Context, now: Present = "", as_json: AsJson = False) -> None:  # noqa: FBT002
    """List every swap and how it stands."""
    from runner.commands import swaps  # noqa: PLC0415

    project = load(context)
    raise typer.Exit(swaps.listing(project, _present(project, now), as_json=as_json))


def _deed(project: Project, kind: str, by: str, now: str) -> Deed:
    from runner.acts.swaps import Deed  # noqa: PLC0415

    return Deed(kind, by, _present(project, now))


def _leg(project: Project, who: str, first: str, last: str) -> Leg:
    from runner.plan.oncall import Leg  # noqa: PLC0415

    return Leg(who, _bound(project, first), _bound(project, last))


def _bound(project: Project, text: str) -> datetime:
    """An instant of a swap; a day alone stands for its hand-off time."""
    from runner.plan.oncall import Clock  # noqa: PLC0415
    from runner.scheduler.oncall import rules_of  # noqa: PLC0415

    found = _time(project, text, "The time")
    try:
        return Clock.of(rules_of(project)).hand_off(date.fromisoformat(text))
    except ValueError:
        return found
