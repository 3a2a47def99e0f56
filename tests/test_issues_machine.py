"""Potential issues of machines: the table is tests/issues.py."""

from __future__ import annotations

from tests import issues
from tests.company import Proof


class TestKilledProcess(Proof):
    """Each kernel is killed in the middle."""

    issue = issues.KILLED


class TestDeliveryDelays(Proof):
    """No message can be written until after the promised time."""

    issue = issues.DELAYS


class TestSchedulingConflicts(Proof):
    """Another job has the one place, and would keep it all day."""

    issue = issues.CONFLICTS


class TestClockJump(Proof):
    """The machine's clock jumps beyond the promised time, and back to the morning."""

    issue = issues.CLOCK


class TestDiskFull(Proof):
    """The disk of the reports has no room for one."""

    issue = issues.DISK
