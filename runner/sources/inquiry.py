"""One question to several sources in order: the same one again where that can help, then the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from runner.errors import SourceFailed, Trouble

T = TypeVar("T")


@dataclass(frozen=True)
class Try:
    """One time that a source was asked: how long it took, and what went wrong (no trouble: it answered)."""

    source: str
    title: str
    seconds: float
    trouble: Trouble | None = None
    message: str = ""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the first source that answered gave, and every try up to it, oldest first."""

    value: T
    source: str
    tries: tuple[Try, ...]


class Unanswered(SourceFailed):
    """No source answered; `tries` are all there were."""

    tries: tuple[Try, ...] = ()
