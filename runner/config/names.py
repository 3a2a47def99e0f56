"""A name that is not known, and the one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def nearest(name: str, among: Collection[str]) -> str:
    """The known key that was meant; all of them when none is near."""
    close = difflib.get_close_matches(name, among, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(among) or 'none'}."


def known(name: str, among: Collection[str]) -> str:
    """All known names, and before them the one that was meant where it is very near."""
    close = difflib.get_close_matches(name, among, n=1, cutoff=0.8)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"Known: {', '.join(among) or 'none'}."
