"""Small projects of the notebooks in tests/notebooks, and the runner as a command of its own process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from tests import forked

NOTEBOOKS = Path(__file__).parent / "notebooks"

SETTINGS = """\
company: Corner Shop
time_zone: America/New_York
sender: {name: Reports, email: reports@example.com}
"""
PEOPLE = """\
engineers:
  ann: {name: Ann, email: ann@example.com}
  bob: {name: Bob, email: bob@example.com}
readers:
  owners:
    - {name: Olga, email: olga@example.com}
    - {name: Oscar, email: oscar@example.com}
"""
PIPELINE = """\
  {name}:
    title: {name}
    notebook: {notebook}.ipynb
    period: day
    deadline: daily by 09:00
    owners: {{primary: ann, secondary: bob, because: They asked.}}
    readers: [owners]
    sources: []
"""


def project(folder: Path, *names: str, more: str = "", settings: str = SETTINGS) -> Path:
    """A project with one pipeline for each notebook; `more` is added to the last entry."""
    entries = "".join(PIPELINE.format(name=name, notebook=name) for name in names)
    for path, text in {
        "settings.yml": settings,
        "people.yml": PEOPLE,
        "pipelines.yml": f"pipelines:\n{entries}{more}",
    }.items():
        write(folder / "config" / path, text)
    (folder / "notebooks").mkdir(exist_ok=True)
    for name in names:
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder / "notebooks")
    return folder


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def change(path: Path, old: str, new: str) -> None:
    """Change a text in a file; it must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def environment() -> dict[str, str]:
    """The environment of a command."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm"}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The command `runner --project folder …`, started as a shell would."""
    return subprocess.Popen(
        [sys.executable, "-m", "runner.cli", "--project", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(),
    )


def started(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, started as a shell would."""
    process = start(folder, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def runner(folder: Path, *words: str) -> tuple[int, str, str]:
    """The same, of a process that is forked from one that has imported everything."""
    return forked.runner(["--project", str(folder), *words], folder, environment())


def reports(out: str) -> dict[str, dict]:
    """The reports in the last line of `--json`, by pipeline."""
    return {made["pipeline"]: made for made in json.loads(out.splitlines()[-1])["reports"]}


def living(text: str) -> list[psutil.Process]:
    """Living processes with this text in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(text in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def of_project(folder: Path) -> list[psutil.Process]:
    """Living processes that the runner started for this project, by their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("RUNNER_PROJECT") == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def mails(folder: Path) -> list[Path]:
    """The messages in the project's maildir."""
    return sorted((folder / "reports/mail/new").glob("*"))


def finished(folder: Path) -> list[Path]:
    """The folders of finished runs, oldest first."""
    written = sorted(folder.glob("reports/*/*/*/manifest.json"), key=lambda path: path.stat().st_mtime_ns)
    return sorted((path.parent for path in written), key=lambda run: run.parent)  # two names may be of one second
