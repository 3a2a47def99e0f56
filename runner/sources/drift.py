"""How a table has drifted: what it looks like, against its contract and against the last time it was looked at.

Pure: fingerprints (`runner.sources.fingerprint`) go in, sentences come out.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from runner.notebook.contracts import Column, Contract
from runner.sources.fingerprint import category

Facts = Mapping[str, Any]

#: From this likeness on a column that is gone and one that came are taken for the same.
_ALIKE = 0.7
#: A share of empty cells has risen strongly when it doubled, and by at least this, and by more than chance explains.
_RISEN = 0.05
_CHANCE = 4.0  # standard errors
#: Categories are held against those seen before only where each was seen so often on average.
_SETTLED = 10
_SHOWN = 5


class Kind(StrEnum):
    """The ways in which a table drifts."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    RETYPED = "retyped"
    NULLABLE = "nullable"
    CATEGORY = "category"
    NULL_RATE = "null rate"


@dataclass(frozen=True)
class Change:
    """One difference: what kind, in which column (of the contract, where it has it), one sentence.

    `breaks` says whether a report that rests on the contract breaks on it.
    """

    kind: Kind
    column: str
    sentence: str
    breaks: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {**asdict(self), "kind": str(self.kind)}


def against(contract: Contract, columns: Facts, before: Facts | None = None) -> tuple[Change, ...]:
    """What differs between a contract and a table with these facts, in the contract's order, what is new last.

    With the facts of `before`, also what is within the contract and yet not as it was.
    """
    before = before or {}
    lost = [name for name in contract.columns if name not in columns]
    fresh = [name for name in columns if name not in contract.columns]
    moved = _renamed(contract, {name: columns[name] for name in fresh}, {name: before.get(name) for name in lost})
    found = [change for name in contract.columns for change in _of_column(contract, name, columns, before, moved)]
    came = [name for name in fresh if name not in {new for new, _ in moved.values()}]
    return (*found, *(_added(name, columns[name]) for name in came))


def _of_column(
    contract: Contract, name: str, columns: Facts, before: Facts, moved: Mapping[str, tuple[str, float]]
) -> Iterator[Change]:
    rules = contract.columns[name]
    if name in moved:
        new, sure = moved[name]
        text = f"column {name} is now called {new}, as its type and content say ({sure:.0%} sure)"
        yield Change(Kind.RENAMED, name, text, breaks=True)
        yield from _facts_of(name, rules, columns[new], before.get(name))
    elif name in columns:
        yield from _facts_of(name, rules, columns[name], before.get(name))
    else:
        yield Change(Kind.REMOVED, name, f"column {name} is gone", breaks=True)


def _added(name: str, facts: Facts) -> Change:
    # Reports are promised the contract's columns and no others: `contracts.check` stops on one more.
    return Change(Kind.ADDED, name, f"column {name} ({facts['type']}) is new", breaks=True)


def _facts_of(name: str, rules: Column, now: Facts, before: Facts | None) -> Iterator[Change]:
    yield from _retyped(name, rules, now, before)
    yield from _empty(name, rules, now, before)
    yield from _categories(name, rules, now, before)


def _retyped(name: str, rules: Column, now: Facts, before: Facts | None) -> Iterator[Change]:
    if not _is_of(now, rules):
        was = f" ({before['type']} before)" if before and before["type"] not in {rules.type, now["type"]} else ""
        text = f"column {name} is {now['type']} and should be {rules.type}{was}"
        yield Change(Kind.RETYPED, name, text, breaks=True)
    elif before and before["arrow"] != now["arrow"] and "null" not in {before["type"], now["type"]}:
        text = f"column {name} is {now['arrow']}, was {before['arrow']}; both are {rules.type} to the contract"
        yield Change(Kind.RETYPED, name, text, breaks=False)


def _is_of(facts: Facts, rules: Column) -> bool:
    """Whether a column has the type of the contract; one without any value has every type."""
    return facts["type"] in {rules.type, "null"} or not facts["rows"]


# Empty cells.


def _empty(name: str, rules: Column, now: Facts, before: Facts | None) -> Iterator[Change]:
    if now["nulls"] and not rules.nullable:
        text = f"column {name} is empty in {_share(now['nulls'])} of {now['rows']:,} rows and should never be"
        yield Change(Kind.NULLABLE, name, text, breaks=True)
    elif before and _has_risen(before, now):
        text = f"column {name} is empty in {_share(now['nulls'])} of the rows, {_share(before['nulls'])} before"
        yield Change(Kind.NULL_RATE, name, text, breaks=False)


def _has_risen(before: Facts, now: Facts) -> bool:
    old, new = before["nulls"], now["nulls"]
    if not before["rows"] or not now["rows"] or new < max(2 * old, old + _RISEN):
        return False
    together = (old * before["rows"] + new * now["rows"]) / (before["rows"] + now["rows"])
    error = math.sqrt(together * (1 - together) * (1 / before["rows"] + 1 / now["rows"]))
    return bool(new - old > _CHANCE * error)


def _share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else "less than 0.1%" if value else "none"


# Categories.


def _categories(name: str, rules: Column, now: Facts, before: Facts | None) -> Iterator[Change]:
    listed = {category(value) for value in rules.values}
    if listed:
        strange = [value for value in now.get("values", ()) if value not in listed]
        more = now.get("distinct", 0) > len(listed) and "values" not in now
        if strange or more:
            shown = _named(strange) if strange else f"{now['distinct']:,} values, more than are listed"
            yield Change(Kind.CATEGORY, name, f"column {name} has {shown}, not in its list", breaks=True)
    elif before and _is_settled(before) and now["type"] == before["type"] and "values" in now:
        unseen = [value for value in now["values"] if value not in before["values"]]
        if unseen:
            yield Change(Kind.CATEGORY, name, f"column {name} has {_named(unseen)}, never seen before", breaks=False)


def _is_settled(facts: Facts) -> bool:
    """Whether the categories of a column are known so well that another one is news."""
    return facts["type"] in {"str", "bool"} and facts["rows"] >= _SETTLED * len(facts.get("values") or range(10**9))


def _named(values: list[Any]) -> str:
    return ", ".join(map(repr, values[:_SHOWN])) + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")


# Other names.


def _renamed(contract: Contract, fresh: Facts, lost: Mapping[str, Facts | None]) -> dict[str, tuple[str, float]]:
    """For each column that is gone the one that it most likely became, and how sure that is."""
    scored = [
        (_likeness((name, contract.columns[name], was), (new, fresh[new])), name, new)
        for name, was in lost.items()
        for new in fresh
        if fresh[new]["rows"] and _is_of(fresh[new], contract.columns[name])
    ]
    found: dict[str, tuple[str, float]] = {}
    for score, name, new in sorted(scored, key=lambda one: (-one[0], one[1], one[2])):
        if score >= _ALIKE and name not in found and new not in {taken for taken, _ in found.values()}:
            found[name] = (new, score)
    return found


def _likeness(old: tuple[str, Column, Facts | None], new: tuple[str, Facts]) -> float:
    """How alike two columns are, 0 to 1: by content where it is known, else by the contract's rules and the name."""
    (name, rules, was), (other, now) = old, new
    called = difflib.SequenceMatcher(None, name, other).ratio()
    if was and was["rows"]:
        content = _content(was, now)
        return content + 0.3 * called * (1 - content)
    return 0.5 + 0.45 * called if _keeps(rules, now) else 0.0


def _keeps(rules: Column, now: Facts) -> bool:
    """Whether a column keeps the contract's rules, as far as its facts show."""
    if now["nulls"] and not rules.nullable:
        return False
    spread, bounds = now.get("spread"), (rules.low, rules.high)
    if spread and rules.type in {"int64", "float64"}:
        low, high = bounds
        if (low is not None and spread[0] < low) or (high is not None and spread[-1] > high):
            return False
    return not rules.values or set(now.get("values", ("",))) <= {category(v) for v in rules.values}


def _content(was: Facts, now: Facts) -> float:
    """How alike the contents are, 0 to 1: the part that fits worst weighs as much as all others."""
    parts = [1 - abs(was["nulls"] - now["nulls"])]
    if was.get("sketch") and now.get("sketch") and not was.get("spread"):
        parts.append(_overlap(was["sketch"], now["sketch"]))
    if was.get("spread") and now.get("spread"):
        parts.append(_nearness(was, now))
    return (fmean(parts) + min(parts)) / 2 if len(parts) > 1 else 0.0


def _overlap(was: list[str], now: list[str]) -> float:
    """How many of the values of two columns are in both, by their least hashes."""
    least = sorted({*was, *now})[: min(len(was), len(now))]
    return sum(value in was and value in now for value in least) / len(least)


def _nearness(was: Facts, now: Facts) -> float:
    """How near the quantiles of two columns lie to each other, in parts of the wider range; without the extremes.

    Days and times move on: of them the widths are compared.
    """
    old, new = was["spread"][1:-1], now["spread"][1:-1]
    if was["type"] in {"day", "time"}:
        old, new = [value - old[0] for value in old], [value - new[0] for value in new]
    wide = max(old[-1], new[-1]) - min(old[0], new[0])
    return 1 - max(abs(one - other) for one, other in zip(old, new, strict=True)) / wide if wide else 1.0
