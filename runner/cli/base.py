"""What every command shares: the application, its options, the project, and how it all ends."""

from __future__ import annotations

import gc
import os
import shlex
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperGroup

from runner import __version__
from runner.errors import RunnerError, UsageError
from runner.leaks import Censor

if TYPE_CHECKING:
    from runner.config import Project

INTERRUPTED = 130

EXITS = """\b
Exit codes:
  0    ready or delivered
  1    stopped or failed
  2    the command or the configuration is off; nothing was started
  3    held: a person decides whether it goes out
  130  interrupted
"""
#: The commands as `--help` lists them: reports, then the scheduler, then people and practice.
ORDER = (
    *("run", "list", "logs", "approve", "reject", "deliver", "verify", "cancel"),
    *("fetch", "backfill", "prune", "init", "kernel"),
    *("serve", "tick", "status", "due", "check", "simulate", "watch"),
    *("probe", "audit", "arrived"),
    *("incidents", "ack", "oncall", "swap", "duties", "done", "review", "drill"),
    *("signin", "token"),
)


class Ordered(TyperGroup):
    """Commands in the order in which a newcomer meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, those of ORDER first."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


@dataclass
class Desk:
    """What one call of the command line is about: the project's folder, and who knows its secrets."""

    folder: Path = field(default_factory=Path)
    censor: Censor = field(default_factory=lambda: Censor(os.environ))


#: So many new objects that refer to others make Python look for rings of them that nobody holds any more.
_KEPT = 100_000

app = typer.Typer(
    name="runner",
    cls=Ordered,
    help="Investor reports from notebooks: checked, rendered, proven and delivered.",
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsOf = Annotated[str, typer.Option("--as-of", metavar="DATE", help="The day reported, such as 2017-11-15.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON lines to standard output, and nothing else.")]
Now = Annotated[str, typer.Option("--now", metavar="TIME", help="Take this for the present, such as 2017-11-24T08:00.")]
By = Annotated[str, typer.Option("--by", metavar="WHO", help="Who does it: a name from config/people.yml.")]


def instant_of(text: str, zone: str, option: str = "--now") -> datetime:
    """The instant that a text means, in UTC; one without a zone is on the clocks of `zone`; empty is the present.

    Raises UsageError on anything else.
    """
    if not text:
        return datetime.now(UTC)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no time.", "Write it like 2017-11-24T08:00, or 2017-11-24.") from None
    if given.tzinfo is None:
        given = given.replace(tzinfo=ZoneInfo(zone))
    return given.astimezone(UTC)


def _version(wanted: bool) -> None:  # noqa: FBT001 - a callback of typer
    if wanted:
        typer.echo(f"runner {__version__}")
        raise typer.Exit


def day_of(project: Project, first: str, last: str, now: str, *, days: int) -> tuple[datetime, datetime]:
    """The span from one day or time to another, in the project's zone; without them, the coming days.

    Raises UsageError when it is empty.
    """
    zone = project.settings.time_zone
    start = instant_of(first or now, zone, "--from")
    end = instant_of(last, zone, "--to") if last else start + timedelta(days=days)
    if end == start:
        raise UsageError("The span is empty: --to is not included.", "Take a later --to.")
    if end < start:
        raise UsageError("The span ends before it begins.", "Exchange --from and --to.")
    if end - start > timedelta(days=366 * 20):
        raise UsageError("The span is longer than twenty years.", "Take a shorter one.")
    return start, end


def seconds_of(text: str, option: str) -> float:
    """A length of time such as `90 s`, `10 min`, `2 h`, in seconds. Raises UsageError on anything else."""
    from runner.config.values import length  # noqa: PLC0415

    try:
        return length(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no length of time.", f"{str(error).capitalize()}.") from None


@app.callback()
def _main(
    context: typer.Context,
    project: Annotated[
        Path, typer.Option("--project", metavar="DIR", help="A folder with config/ and notebooks/.")
    ] = Path(),
    version: Annotated[  # noqa: ARG001, FBT002 - the callback has done its work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    desk = context.ensure_object(Desk)
    desk.folder = project


def called() -> str:
    """The command as it can be typed here: as it was called, by its bare name where the shell finds that."""
    name = Path(sys.argv[0])
    if name.suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m runner.cli"
    found = shutil.which(name.name)
    if found and Path(found).absolute() == name.absolute():
        return shlex.quote(name.name)
    return shlex.quote(str(name))


def load(context: typer.Context) -> Project:
    """The project that the command is about. Raises ConfigError that lists every problem."""
    from runner import config  # noqa: PLC0415

    desk = context.ensure_object(Desk)
    return config.load(desk.folder, desk.censor)


def main() -> NoReturn:
    """Run the command line; every error is one or two sentences on standard error, and none shows a secret."""
    gc.set_threshold(_KEPT)  # imports make much and drop nothing: looking for what can go costs a tenth of a start
    desk = Desk()
    try:
        code = app(standalone_mode=False, obj=desk)
    except RunnerError as error:
        typer.echo(desk.censor.redact(str(error)), err=True)
        code = error.exit_code
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a word of the command line, or a fault of ours
        code = _strange(error, desk.censor)
    _leave(code if isinstance(code, int) else 0)


def _strange(error: Exception, censor: Censor) -> int:
    """A word that the command line does not know (2); anything else is a fault of ours and shows its traceback (1)."""
    said = getattr(error, "format_message", None)
    if said is None:
        typer.echo(censor.redact("".join(traceback.format_exception(error))), err=True, nl=False)
        return 1
    text = censor.redact(said())
    see = f" See: {_typed(getattr(error, 'ctx', None))} --help"
    typer.echo(text if text.startswith("Usage:") else f"{text}{see}", err=True)
    return 2


def _typed(context: typer.Context | None) -> str:
    """The command that was typed, as far as it is known: runner approve."""
    words: list[str] = []
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent  # type: ignore[assignment]  # of a command of ours it is one of typer's
    return " ".join(["runner", *words])


def _leave(code: int) -> NoReturn:
    """Leave with a code; a reader that closed the pipe early is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
