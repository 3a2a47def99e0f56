"""The error tree: every error says what happened, what to do, and whether a retry can help.

RunnerError
├── UsageError            the words of a command are off              exit code 2
├── ConfigError           a file in config/ or a notebook is off      exit code 2
├── ReportStopped         the data or the figures must not go out     exit code 1
│   └── SourceFailed      a source does not give what is needed
└── RunFailed             the report could not be made                exit code 1
    ├── CellFailed
    ├── KernelDied
    ├── DeadlinePassed
    ├── Interrupted
    ├── RenderingFailed
    ├── ProofFailed
    ├── SecretShown
    ├── DiskFull
    └── DeliveryFailed
"""

from __future__ import annotations

import errno
import os
from enum import StrEnum


class Trouble(StrEnum):
    """What went wrong, sorted by what a person can do about it."""

    SOURCE_UNAVAILABLE = "source unavailable"
    PERMISSION_REVOKED = "permission revoked"
    SCHEMA_CHANGED = "schema changed"
    DATA_INCOMPLETE = "data incomplete"
    OUTLIER = "outlier"
    SOURCES_DISAGREE = "sources disagree"
    RESTATEMENT = "restatement"
    CELL_FAILED = "cell failed"
    KERNEL_DIED = "kernel died"
    DEADLINE_PASSED = "deadline passed"
    INTERRUPTED = "interrupted"
    RENDERING_FAILED = "rendering failed"
    PROOF_FAILED = "proof failed"
    SECRET_SHOWN = "secret shown"  # noqa: S105 - the name of a trouble
    DISK_FULL = "disk full"
    DELIVERY_FAILED = "delivery failed"

    @property
    def retry(self) -> bool:
        """Whether trying again, with nothing changed by a person, can help."""
        return self in _PASSING


#: Troubles that may pass by themselves.
_PASSING = frozenset(
    {
        Trouble.SOURCE_UNAVAILABLE,
        Trouble.KERNEL_DIED,
        Trouble.DEADLINE_PASSED,
        Trouble.INTERRUPTED,
        Trouble.DELIVERY_FAILED,
    }
)


class RunnerError(Exception):
    """Anything this software says no to: one sentence of what happened and one of the remedy.

    `typed` is the remedy for whoever types commands, and what `str` says, where that is another one than at a form.
    """

    exit_code = 1
    retry = False
    trouble: Trouble | None = None

    def __init__(self, what: str, remedy: str = "", *, typed: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy
        self.typed = typed

    def __str__(self) -> str:
        return f"{self.what} {self.typed or self.remedy}".strip()


class UsageError(RunnerError):
    """The words of a command cannot be understood or do not fit together."""

    exit_code = 2


class ConfigError(RunnerError):
    """A file in config/, or a notebook's parameters cell, cannot be used as it stands."""

    exit_code = 2


class ReportStopped(RunnerError):  # noqa: N818  it is no fault of the software
    """A check says that the data or the figures must not reach a reader.

    Raised in the notebook by `Report.require`; the runner knows it by its name in the cell's error output.
    """

    trouble = Trouble.DATA_INCOMPLETE

    def __init__(self, what: str, remedy: str = "", trouble: Trouble = Trouble.DATA_INCOMPLETE) -> None:
        super().__init__(what, remedy)
        self.trouble = trouble


class SourceFailed(ReportStopped):
    """A source does not give what a report needs.

    `passing`: the very same question may be answered in a moment; `wait`: how many seconds the source asks us to wait.
    """

    trouble = Trouble.SOURCE_UNAVAILABLE

    def __init__(
        self,
        what: str,
        remedy: str = "",
        trouble: Trouble = Trouble.SOURCE_UNAVAILABLE,
        *,
        passing: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(what, remedy, trouble)
        self.passing = passing
        self.wait = wait


class RunFailed(RunnerError):  # noqa: N818  the words of the ledger
    """The report could not be made; the partial notebook is kept."""


class CellFailed(RunFailed):
    """A cell raised, or ended the kernel's work early so that later cells never ran."""

    trouble = Trouble.CELL_FAILED


class KernelDied(RunFailed):
    """The kernel's process ended while a cell was running."""

    trouble = Trouble.KERNEL_DIED
    retry = True


class DeadlinePassed(RunFailed):
    """The run reached its time limit and was ended with everything under it."""

    trouble = Trouble.DEADLINE_PASSED
    retry = True


class Interrupted(RunFailed):
    """A person or the system ended the run (Ctrl-C, SIGTERM)."""

    trouble = Trouble.INTERRUPTED
    retry = True


class RenderingFailed(RunFailed):
    """The executed notebook could not be turned into HTML or PDF."""

    trouble = Trouble.RENDERING_FAILED


class ProofFailed(RunFailed):
    """A finished file does not show what was checked."""

    trouble = Trouble.PROOF_FAILED


class SecretShown(RunFailed):
    """Something that was about to be kept or sent holds a secret; it says where, and never which."""

    trouble = Trouble.SECRET_SHOWN


class DiskFull(RunFailed):
    """There is no room for a file of the run."""

    trouble = Trouble.DISK_FULL


def no_room(error: BaseException) -> bool:
    """Whether the system refused to write because a disk, or our share of it, is full."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))  # in a library's own words


class DeliveryFailed(RunFailed):
    """A message could not be composed or written."""

    trouble = Trouble.DELIVERY_FAILED
    retry = True
