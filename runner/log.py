"""What a process tells of itself: events with fields, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import structlog

from runner.leaks import Censor


def logger(censor: Censor, *, terminal: bool) -> Callable[..., Any]:
    """A log that is readable on a terminal and JSON lines elsewhere; without secrets."""
    form = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(default=str)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def clean(_log: Any, _method: str, text: Any) -> str:
        return censor.redact(str(text))

    told = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[stamp, form, clean])
    say: Callable[..., Any] = told.msg
    return say
