"""Words in, one call, text and exit code out.

Exit codes: 0 ready or delivered, 1 stopped or failed, 2 usage or configuration, 3 held, 130 interrupted. With several
reports the worst counts: 1 before 3 before 0. Heavy modules are imported by the commands that need them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from runner import __version__
from runner.errors import RunnerError, UsageError

if TYPE_CHECKING:
    from runner.config import Project

INTERRUPTED = 130

# A paragraph that begins with \b keeps its lines.
EXITS = """\b
Exit codes:
  0    ready or delivered
  1    stopped or failed
  2    the command or the configuration is off; nothing was started
  3    held: a person decides whether it goes out
  130  interrupted
"""
RUN = """Make one report, or with --all every one, for a day.

A report made before from the very same code, parameters, data and environment is not made again.

\b
Examples:
  runner run aggregate_profit --as-of 2017-11-15
  runner run unit_profit --experiment 13 --as-of 2017-09-24
  runner run --all --as-of 2017-11-15
"""

app = typer.Typer(
    name="runner",
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


def _version(wanted: bool) -> None:  # noqa: FBT001 - a callback of typer
    if wanted:
        typer.echo(f"runner {__version__}")
        raise typer.Exit


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
    context.obj = project


@app.command("run", help=RUN, short_help="Make one report, or with --all every one, for a day.", epilog=EXITS)
def run_command(  # noqa: PLR0913, PLR0917 - the options of one command
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="[PIPELINE]", help="A name from config/pipelines.yml.")] = "",
    as_of: AsOf = "",
    everything: Annotated[bool, typer.Option("--all", help="Every pipeline, inputs first.")] = False,  # noqa: FBT002
    experiment: Annotated[str, typer.Option(metavar="ID", help="The experiment reported.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the notebook. Repeatable."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it again, also when nothing changed.")] = False,  # noqa: FBT002
    no_deliver: Annotated[bool, typer.Option("--no-deliver", help="Write no messages.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make what the words ask for."""
    from runner import running  # noqa: PLC0415 - heavy, and not needed for --help

    if bool(pipeline) == everything:
        raise UsageError("Name one pipeline, or say --all.", "For example: runner run --all --as-of 2017-11-15")
    if not as_of:
        raise UsageError("Which day is reported?", "Say it with --as-of, for example --as-of 2017-11-15.")
    wish = running.Wish(pipeline, as_of, experiment or None, _texts(parameter or []), again, not no_deliver)
    raise typer.Exit(running.run(_load(context), wish, as_json=as_json))


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


@app.command("check")
def check_command(context: typer.Context, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Check config/ and every notebook's parameters."""
    from runner import running  # noqa: PLC0415

    raise typer.Exit(running.check(_load(context), as_json=as_json))


@app.command("list")
def list_command(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="[PIPELINE]", help="Only this pipeline.")] = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the runs in the ledger, newest first."""
    from runner import running  # noqa: PLC0415

    raise typer.Exit(running.listing(_load(context), pipeline, as_json=as_json))


@app.command("init")
def init_command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or new.")]) -> None:
    """Write a small commented project that runs at once."""
    from runner import starter  # noqa: PLC0415

    starter.init(folder)
    words = f"--project {shlex.quote(str(folder))} run {starter.NAME} --as-of {starter.AS_OF}"
    typer.echo(f"{folder} is ready. Try:\n  {_called()} {words}")


def _called() -> str:
    """The command as it can be typed here: as it was called, by its bare name where the shell finds that."""
    name = Path(sys.argv[0])
    if name.suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m runner.cli"
    found = shutil.which(name.name)
    if found and Path(found).absolute() == name.absolute():
        return shlex.quote(name.name)
    return shlex.quote(str(name))


def _load(context: typer.Context) -> Project:
    from runner import config  # noqa: PLC0415

    return config.load(context.obj)


def main() -> NoReturn:
    """Run the command line; every error is one or two sentences on standard error."""
    try:
        code = app(standalone_mode=False)
    except RunnerError as error:
        typer.echo(str(error), err=True)
        code = error.exit_code
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - raised again unless it is a word of the command line
        code = _strange(error)
    _leave(code if isinstance(code, int) else 0)


def _strange(error: Exception) -> int:
    """A word that the command line does not know (2); anything else is a fault of ours and shows its traceback."""
    said = getattr(error, "format_message", None)
    if said is None:
        raise error
    text = said()
    typer.echo(text if text.startswith("Usage:") else f"{text} See: runner --help", err=True)
    return 2


def _leave(code: int) -> NoReturn:
    """Leave with a code; a reader that closed the pipe early is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
