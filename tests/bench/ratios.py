"""From samples to rows: medians, ratios, slopes and whether a target is met. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.shapes import Row

#: An answer to a question of item 5: a row's name -> its numbers by name.
Answer = dict[str, dict[str, float]]
#: Samples of several contenders in seconds: contender -> one value a round.
Samples = Mapping[str, Sequence[float]]


def rounds(names: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """A B C A B C …: every contender once a round, so that a slow minute of the machine falls on all of them."""
    return ((number, name) for number in range(1, count + 1) for name in names)


def medians(samples: Samples) -> dict[str, float]:
    """The median of each contender. Raises ValueError when one has no sample."""
    empty = [name for name, values in samples.items() if not values]
    if empty:
        raise ValueError(f"No sample of {', '.join(empty)}.")
    return {name: median(values) for name, values in samples.items()}


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """How many times longer `of` takes than `to`: the median of the rounds' own ratios, not a ratio of medians.

    Two neighbours in time share the state of the machine, so their ratio is steadier than either.
    """
    pairs = list(zip(of, to, strict=True))
    if not pairs:
        raise ValueError("A ratio needs at least one round.")
    return median(first / second for first, second in pairs)


def at_least(label: str, value: float, unit: str, target: float) -> Row:
    """A row that is met from `target` up; a value that is no number meets nothing."""
    return Row(label, value, unit, f"at least {target:g} {unit}".rstrip(), met=math.isfinite(value) and value >= target)


def at_most(label: str, value: float, unit: str, target: float) -> Row:
    """A row that is met up to `target`; a value that is no number meets nothing."""
    return Row(label, value, unit, f"at most {target:g} {unit}".rstrip(), met=math.isfinite(value) and value <= target)


def slope(points: Iterable[tuple[float, float]]) -> float:
    """What one more of x adds to y: the least-squares slope. Raises ValueError for fewer than two different x."""
    pairs = list(points)
    middle_x, middle_y = (sum(values) / max(1, len(pairs)) for values in ([x for x, _ in pairs], [y for _, y in pairs]))
    spread = sum((x - middle_x) ** 2 for x, _ in pairs)
    if not spread:
        raise ValueError("A slope needs at least two different places.")
    return sum((x - middle_x) * (y - middle_y) for x, y in pairs) / spread


def middle(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each part over the rounds."""
    return {name: median(part[name] for part in parts) for name in parts[0]} if parts else {}


def interleaved(
    contenders: Mapping[str, Callable[[], Any]], count: int, tell: Callable[[str], None]
) -> dict[str, list[Any]]:
    """What each contender answered in each round, taken in turns; `tell` hears of every turn."""
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    for number, name in rounds(tuple(contenders), count):
        tell(f"round {number}/{count}  {name}")
        found[name].append(contenders[name]())
    return found


def differences(one: Answer, other: Answer) -> list[str]:
    """Where two answers differ by half a cent or more; sums of squares, which are no money, by a billionth of them."""
    found = [f"{key} is only in one of them" for key in one.keys() ^ other.keys()]
    for key in one.keys() & other.keys():
        for name in one[key].keys() | other[key].keys():
            a, b = one[key].get(name, math.nan), other[key].get(name, math.nan)
            slack = 1e-9 * max(abs(a), abs(b)) if name in {"yy", "xx", "xy"} else 0.005
            if not abs(a - b) < max(slack, 0.005):
                found.append(f"{key}, {name}: {a} and {b}")
    return found
