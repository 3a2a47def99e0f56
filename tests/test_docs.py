"""The words are kept true by code: README, --help and the comments of config/ speak of what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import nbformat
import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from runner import cli, errors
from runner.config import ends, files
from tests.test_notebooks import FIVE, copy_project, runner

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMAND = typer.main.get_command(cli.app)


def commands() -> list[list[str]]:
    """Each `runner …` command of the README's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(\.venv/bin/runner[^`…]*)", README)
    return [line.split()[1:] for line in [*lines, *inline] if line.startswith(".venv/bin/runner")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_of_the_readme_are_understood(words):
    """Every command that the README shows names a command and options that there are."""
    with click.Context(COMMAND) as context:
        options = [word for word in words if word.startswith("--project")]
        rest = [word for word in words if word not in options and word != "DIR"]
        name = next(word for word in words if not word.startswith("-") and word != "DIR")
        command = COMMAND.get_command(context, name)
        assert command, f"there is no command {name!r}"
        if isinstance(command, TyperGroup):  # such as `swap list`
            command = command.get_command(context, words[words.index(name) + 1])
            assert command, f"{name!r} has no such command"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert [word for word in rest if word.startswith("-") and word not in known] == []


def test_readme_shows_the_two_commands_that_make_knows():
    """`make run` and `make test`, and every other verb the README names, are targets of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE))
    assert {"run", "test", "golden"} <= named <= targets


def test_pictures_and_folders_of_the_readme_are_there():
    """Every picture is a file, and every folder on the map is one."""
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert [path for path in pictures if not (ROOT / path).is_file()] == []
    drawn = re.findall(r"^([a-z]+)/ ", README.split("## Map")[1].split("```")[1], re.MULTILINE)
    assert sorted(drawn) == ["config", "notebooks", "reports", "runner", "templates", "tests"]
    assert [name for name in drawn if not (ROOT / name).is_dir()] == []


def test_exit_codes_are_those_of_the_software():
    """The README's table of endings gives the exit codes that the errors carry."""
    table = dict(re.findall(r"^\| ([a-z, ]+) \| ([0-9, ]+) \|", README, re.MULTILINE))
    assert table["stopped"] == str(errors.ReportStopped.exit_code)
    assert table["refused"] == str(errors.UsageError.exit_code) == str(errors.ConfigError.exit_code)
    assert table["held"] == "3"
    assert set(table) == {"delivered, ready", "stopped", "failed, interrupted", "refused", "held"}


def test_every_report_stands_in_the_readme():
    """The README's first table names each pipeline of config/pipelines.yml."""
    pipelines = yaml.safe_load((ROOT / "config" / "pipelines.yml").read_text())["pipelines"]
    assert sorted(pipelines) == sorted(FIVE)
    assert [name for name in FIVE if f"| {name.replace('_', ' ')} |" not in README] == []


def test_keys_of_pipelines_are_explained():
    """Each key that an entry of pipelines.yml uses is explained in the comment at its head."""
    text = (ROOT / "config" / "pipelines.yml").read_text()
    head = text.split("pipelines:")[0]
    used = {key for entry in yaml.safe_load(text)["pipelines"].values() for key in entry}
    assert [key for key in sorted(used) if not re.search(rf"\b{key}\b", head)] == []


@pytest.mark.parametrize(
    ("model", "file"),
    [
        (files.Settings, "settings.yml"),
        (files.Alerts, "settings.yml"),
        (files.Heartbeat, "settings.yml"),
        (files.Keep, "settings.yml"),
        (ends.Mail, "settings.yml"),
        (ends.Desk, "settings.yml"),
        (ends.OpenId, "settings.yml"),
        (ends.Source, "sources.yml"),
        (ends.Table, "sources.yml"),
        (ends.Reconciliation, "sources.yml"),
        (files.Pipeline, "pipelines.yml"),
        (files.OnCall, "oncall.yml"),
        (files.Rotation, "oncall.yml"),
        (files.HolidayRule, "oncall.yml"),
        (files.Override, "oncall.yml"),
        (files.Away, "oncall.yml"),
        (files.Duty, "duties.yml"),
        (files.Holidays, "holidays.yml"),
        (files.Engineer, "people.yml"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_key_of_config_is_shown(model, file):
    """Each key that a file of config/ may have stands in the shipped one, in use or in a comment."""
    text = (ROOT / "config" / file).read_text()
    keys = [field.alias or key for key, field in model.model_fields.items()]
    assert [key for key in keys if key != "name" and not re.search(rf"\b{key}\b", text)] == []


def test_the_readme_knows_every_command():
    """Each command is named in the README."""
    names = COMMAND.list_commands(click.Context(COMMAND))
    assert [name for name in names if not re.search(rf"runner {name}\b", README)] == []


def test_the_timeline_of_the_readme_is_what_is_printed(tmp_path):
    """Every line that the README shows of the simulated Thanksgiving is printed, in that order, from a fresh ledger."""
    folder = copy_project(tmp_path)
    done = runner(folder, "simulate", "--from", "2017-11-13", "--to", "2017-12-04")
    assert done.returncode == 0, done.stderr
    shown = re.search(r"```\n(Thursday 23 November 2017\n.*?)```", README, re.DOTALL)[1].splitlines()
    printed = iter(done.stdout.splitlines())
    assert [line for line in shown if line not in printed] == []


def test_help_names_every_command():
    """`runner --help` lists each command with a sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for name in COMMAND.list_commands(click.Context(COMMAND)):
        assert re.search(rf"^  {name}  +[A-Z].+", done.stdout, re.MULTILINE), name


def test_the_report_added_by_the_readme_works(tmp_path):
    """The notebook and the entry that "Add a report" shows make a delivered report, with no change in runner/."""
    section = README.split("## Add a report")[1]
    parameters, body = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    entry = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1]
    folder = copy_project(tmp_path)
    cells = [nbformat.v4.new_markdown_cell("# Returns"), nbformat.v4.new_code_cell(dedent(parameters))]
    cells[1].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(dedent(body))])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebooks" / "returns.ipynb")
    with (folder / "config" / "pipelines.yml").open("a") as config:
        config.write("\n" + "".join(f"  {line}\n" for line in dedent(entry).splitlines()))
    done = runner(folder, "run", "returns", "--as-of", "2017-11-15")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "delivered" in done.stdout


def dedent(text: str) -> str:
    """A block of the README without the indent of its list item."""
    return "\n".join(line.removeprefix("   ") for line in text.splitlines())


def test_the_environment_is_installed_by_hash():
    """The Makefile installs what requirements.lock names, checked by hash, and nothing else from an index."""
    installs = re.findall(r"pip install.*", (ROOT / "Makefile").read_text())
    assert any("--require-hashes -r requirements.lock" in line for line in installs)
    others = [line for line in installs if "--require-hashes" not in line and not line.endswith("uv")]
    assert all("--no-deps --no-build-isolation -e ." in line for line in others)
