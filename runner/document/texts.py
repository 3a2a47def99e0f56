"""Characters that came from outside, made fit to print; pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
# Control characters, halves of surrogate pairs, direction overrides and non-characters: none of them prints,
# some break XML, and the overrides can make a number read backwards.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_NUMBER = re.compile(r"[+\-−]?[$€£¥]?[+\-−]?\d[\d,. '\u00a0\u202f]*(?:e[+-]?\d+)?\s?[%a-zA-Z]{0,3}", re.IGNORECASE)
#: A sign and its amount, which no line may part: a minus left behind turns a loss into a gain.
SIGNED_AMOUNT = re.compile(r"[+\-−][$€£¥][\d.,]*\d")
_SAFE_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`\\]+", re.IGNORECASE)


def clean(value: Any) -> str:
    """Any value as text that every renderer can print; lines end in a line feed."""
    text = _ANSI.sub("", str(value)).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("", text)


def line(value: Any) -> str:
    """`clean`, on a single line with single spaces."""
    return " ".join(clean(value).split())


def slug(text: str, fallback: str = "part") -> str:
    """A name for files and anchors: lower-case ASCII letters, digits and hyphens, at most 60."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:60].strip("-") or fallback


def unique(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, `name-3`… when it is taken; the choice is added to `taken`."""
    choice, number = name, 1
    while choice in taken:
        number += 1
        choice = f"{name}-{number}"
    taken.add(choice)
    return choice


def looks_numeric(text: str) -> bool:
    """Whether a printed cell reads as a number: 1,204 or −3.2 % or $4.1m."""
    return bool(_NUMBER.fullmatch(text.strip()))


def safe_link(url: str) -> str:
    """The address if a reader may safely follow it (http, https, mailto), else nothing."""
    url = clean(url).strip()
    return url if _SAFE_LINK.fullmatch(url) else ""
