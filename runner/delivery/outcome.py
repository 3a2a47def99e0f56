"""A message as it leaves, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What became of one message."""

    TAKEN = "taken"
    REFUSED = "refused"  # for good: not for this reader, or not this message
    DEFERRED = "deferred"  # not now; nothing of it has arrived
    UNSURE = "unsure"  # the final dot was sent and no answer heard: it may have arrived
    DOWN = "down"  # the server itself takes nothing from us; nothing of it has arrived


@dataclass(frozen=True)
class Outcome:
    """What became of one message, with a sentence for people. `lasting`: waiting mends nothing."""

    kind: Kind
    what: str = ""
    lasting: bool = False


@dataclass(frozen=True)
class Sealed:
    """A finished message: the very bytes, from whom and to whom, and whether an address needs SMTPUTF8.

    Lines end with CR LF. `name` is its Message-ID.
    """

    name: str
    sender: str
    recipient: str
    data: bytes
    international: bool = False


def untold(_step: str) -> None:
    """Nobody listens to the steps."""


def unmarked() -> None:
    """Nobody notes that the final dot is about to be sent."""


@dataclass(frozen=True)
class Ears:
    """Who listens while a message is posted.

    `step` hears connected, addressed, handing, handed and answered, in this order. `handing` is asked before the final
    dot; what it raises ends the connection, and the server keeps nothing.
    """

    step: Callable[[str], None] = untold
    handing: Callable[[], None] = unmarked
