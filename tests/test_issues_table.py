"""The table of the README is the table of tests/issues.py, whose every row names a test that there is."""

from __future__ import annotations

import importlib
import re

import pytest

from tests import issues
from tests.company import FIVE, ROOT, Proof


@pytest.mark.parametrize("pipeline", FIVE)
def test_the_issues_of_the_plan_are_all_here(pipeline):
    """What a pipeline's runbook lists as potential issues, in the plan's words and order, is in the table."""
    text = (ROOT / "config/runbooks" / f"{pipeline}.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \*\*(.+?)\.\*\*", text.split("## Potential issues")[1].split("\n## ")[0], re.MULTILINE)
    assert [issue.name for issue in issues.ISSUES if issue.of == pipeline] == listed
    assert len(listed) == 3


def test_every_issue_is_played_in_all_five():
    """Each row has five cases, and its test is a proof of this very issue."""
    assert len(issues.ISSUES) == 19
    for issue in issues.ISSUES:
        file, _, name = issue.test.partition("::")
        proof = getattr(importlib.import_module(f"tests.{file.removesuffix('.py')}"), name)
        assert issubclass(proof, Proof)
        assert proof.issue is issue
        assert set(issue.cases) == set(FIVE)


def test_the_readme_shows_the_table():
    """The README's section on reliability has the table as it is."""
    assert issues.table() in (ROOT / "README.md").read_text(encoding="utf-8")
