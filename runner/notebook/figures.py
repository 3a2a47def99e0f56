"""Numbers as readers see them: the one place where a value becomes text.

Units: usd (whole dollars), usd2 (dollars and cents), count, percent, growth and points (of a share: 0.123 -> 12.3%,
+12.3%, 12.3 pp), number (one decimal), ratio (two), minutes, day (ISO date -> 15 Nov 2017), text, figure (the text of a
number, set like one). A minus is U+2212, as fonts draw it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

from runner.model import Figure

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
NUMERIC = ("usd", "usd2", "count", "percent", "growth", "points", "number", "ratio", "minutes")
UNITS = (*NUMERIC, "day", "text", "figure")


def shown(value: Any, unit: str = "count") -> str:
    """The text of a value in a unit; an absent value (None, NaN, NaT) is an en dash, infinity is refused.

    Raises ValueError on an unknown unit, on infinity, and on a value that the unit cannot hold.
    """
    if unit not in UNITS:
        raise ValueError(f"There is no unit {unit!r}; use one of {', '.join(UNITS)}.")
    if value is None or value != value:  # noqa: PLR0124  NaN and NaT are the values that differ from themselves
        return DASH
    if unit == "day":
        return day_text(value)
    if unit in ("text", "figure"):
        return str(value)
    return _numeric(float(value), unit) if unit != "growth" else signed(float(value), "percent")


def _numeric(value: float, unit: str) -> str:
    if math.isinf(value):
        raise ValueError("An infinite value cannot be shown to a reader; look for a division by zero.")
    body = {
        "usd": f"${abs(value):,.0f}",
        "usd2": f"${abs(value):,.2f}",
        "count": f"{abs(value):,.0f}",
        "percent": f"{abs(value) * 100:,.1f}%",
        "points": f"{abs(value) * 100:,.1f} pp",
        "number": f"{abs(value):,.1f}",
        "ratio": f"{abs(value):,.2f}",
        "minutes": f"{abs(value):,.0f} min",
    }[unit]
    is_zero = not any(digit in body for digit in "123456789")
    return body if value >= 0 or is_zero else MINUS + body


def signed(value: float, unit: str) -> str:
    """As `shown`, with a plus before what is greater than zero."""
    text = shown(value, unit)
    return "+" + text if value > 0 and any(digit in text for digit in "123456789") else text


def day_text(value: Any) -> str:
    """A day as `15 Nov 2017`, from a date, a timestamp or ISO text."""
    day = date.fromisoformat(str(value)[:10])
    return f"{day.day} {day:%b %Y}"


@dataclass(frozen=True)
class Prior:
    """What a figure is compared with: its value, what the reader calls it, and which direction is good news."""

    value: float | None
    name: str
    good: Literal["up", "down", "neither"] = "up"


def change_text(value: float, unit: str, prior: Prior) -> tuple[str, str]:
    """The change against the prior period in words, and its tone (good, bad, neutral).

    Shares change by percentage points, everything else by per cent; from zero or nothing there is no rate to give.
    """
    if prior.value is None or not math.isfinite(prior.value):
        return f"no {prior.name} to compare with", "neutral"
    delta = value - prior.value
    if unit in ("percent", "growth"):
        text = signed(delta, "points")
    elif prior.value == 0:
        text = signed(delta, unit)
    else:
        text = signed(delta / abs(prior.value), "percent")
    return f"{text} vs {prior.name}", _tone(text, prior.good)


def _tone(text: str, good: str) -> str:
    if good == "neither" or text[0] not in "+" + MINUS:
        return "neutral"
    return "good" if (text[0] == "+") == (good == "up") else "bad"


def figure(  # noqa: PLR0913  each is one thing that the reader sees
    name: str, value: Any, *, label: str, unit: str = "count", prior: Prior | None = None, note: str = ""
) -> Figure:
    """A figure with its text and, where a prior is given, its change. Raises ValueError on NaN, infinity or None."""
    if value is None or (unit in NUMERIC and not (isinstance(value, Real | Decimal) and math.isfinite(value))):
        raise ValueError(f"The figure {name!r} has no finite value ({value!r}); check its inputs before showing it.")
    plain = _plain(value)
    change, tone = change_text(float(plain), unit, prior) if prior else ("", "neutral")
    before = float(prior.value) if prior and prior.value is not None else None
    return Figure(name, plain, shown(plain, unit), label, unit, before, change, tone, note)


def _plain(value: Any) -> int | float | str:
    """Give numpy and pandas scalars as plain Python, which is all that scrapbook and JSON take."""
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool):
        return int(number)
    # Ten digits: beyond them a sum can differ by the order in which it was added up, and a figure must not.
    return number if isinstance(number, int) else float(f"{float(number):.10g}")
