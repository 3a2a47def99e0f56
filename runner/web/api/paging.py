"""Where a list goes on, as a word of ours that machines hand back as it is."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from runner.errors import UsageError
from runner.ledger.lists import Key


def word_of(key: Key | None) -> str | None:
    """The word for a place in a list; None for its end."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode().rstrip("=")


def key_of(word: str | None, form: tuple[type, ...]) -> Key | None:
    """The place that a word stands for, which has parts of these types. Raises UsageError where it is no word of ours.

    An instant is text that says one.
    """
    if word is None:
        return None
    try:
        found = json.loads(base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True))
        return tuple(_part(value, kind) for value, kind in zip(found, form, strict=True))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UsageError("This cursor is none that a page of this list named.", "Leave it out to begin.") from None


def _part(value: object, kind: type) -> str | int:
    if kind is datetime and isinstance(value, str):
        return _instant(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    if kind is str and isinstance(value, str) and value.isprintable():
        return value
    raise TypeError


def _instant(text: str) -> str:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError
    at.astimezone(UTC)  # what lies beyond all instants of UTC is none of ours
    return text
