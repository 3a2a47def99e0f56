"""The gate: findings in, deliver, hold or stop out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.model import Decision, Finding, Level
from runner.report import gate

LEVELS = st.lists(st.sampled_from(list(Level)))


def findings(*levels: Level) -> list[Finding]:
    """Findings of these levels, each with its own message."""
    return [Finding(f"check {n}", level, f"message {n}") for n, level in enumerate(levels)]


def test_all_passed_is_delivered():
    """Without a warning there is nothing to say."""
    assert gate.judge(findings(Level.PASS, Level.PASS)) == gate.Verdict(Decision.DELIVER)


def test_nothing_checked_is_held():
    """A report that checked nothing is not a report whose checks passed."""
    verdict = gate.judge([])
    assert verdict.decision is Decision.HOLD
    assert "Nothing was checked" in verdict.reason


def test_the_reason_is_the_first_of_the_worst_and_counts_the_others():
    """One sentence for a person, and how many more there are."""
    verdict = gate.judge(findings(Level.WARN, Level.STOP, Level.PASS, Level.STOP, Level.STOP))
    assert verdict == gate.Verdict(Decision.STOP, "message 1 (and 2 more findings)")
    assert gate.judge(findings(Level.PASS, Level.WARN)).reason == "message 1"


@given(LEVELS)
def test_the_worst_finding_decides_whatever_the_order(levels):
    """Stop beats warn beats pass."""
    expected = Decision.DELIVER if levels else Decision.HOLD
    expected = Decision.HOLD if Level.WARN in levels else expected
    expected = Decision.STOP if Level.STOP in levels else expected
    assert gate.judge(findings(*levels)).decision is expected


@given(LEVELS, st.sampled_from(list(Level)))
def test_one_more_finding_never_makes_a_report_safer(levels, more):
    """Except the first, which lifts `nothing was checked`."""
    order = [Decision.DELIVER, Decision.HOLD, Decision.STOP]
    if levels:
        before, after = gate.judge(findings(*levels)), gate.judge(findings(*levels, more))
        assert order.index(after.decision) >= order.index(before.decision)
