"""Where a report comes from: the commit it was made at, and the code whose hashes stand for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner import config
from runner.report import inputs
from tests.small_projects import project, write


def git(folder: Path, *words: str) -> str:
    """What git says."""
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A project in a checkout with one commit."""
    folder = project(tmp_path / "shop", "good")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


def told(folder: Path) -> str:
    """The commit as git has it."""
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_the_one_that_git_names(checkout):
    """On a branch, with its references packed, and with no branch at all."""
    assert inputs.commit(checkout) == told(checkout)
    git(checkout, "pack-refs", "--all")
    assert inputs.commit(checkout) == told(checkout)
    git(checkout, "checkout", "-q", "--detach")
    assert inputs.commit(checkout) == told(checkout)


def test_a_second_work_tree_has_its_own_commit(checkout, tmp_path):
    """`git worktree` leaves a file in place of the folder .git."""
    git(checkout, "worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    write(tmp_path / "second/new.txt", "new")
    git(tmp_path / "second", "add", "-A")
    git(tmp_path / "second", "commit", "-qm", "More")
    assert inputs.commit(tmp_path / "second") == told(tmp_path / "second") != told(checkout)


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none\n", "ref: ../secret\n"])
def test_a_checkout_that_cannot_be_read_has_no_commit(tmp_path, head):
    """No commit is told, and no error: the hashes of the files are there all the same."""
    folder = project(tmp_path / "shop", "good")
    write(folder / "secret", "no hash of anything")
    if head:
        write(folder / ".git/HEAD", head)
    assert inputs.commit(folder) is None


def test_the_desk_is_no_part_of_a_report(tmp_path):
    """A page that changes makes no report anew: neither its code nor its template is hashed, and all else is."""
    folder = project(tmp_path, "good")
    write(folder / "templates/web/today.html.j2", "new")
    write(folder / "templates/report.html.j2", "new")
    found = config.load(folder)
    named = inputs.code(found, found.pipelines["good"], found.templates)
    assert [name for name in named if "/web/" in name] == []
    assert {"templates[0]/report.html.j2", "runner/report/inputs.py"} <= named.keys()
