"""Engineers as pages tell them apart: a short name, initials, a colour and a pattern of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from runner.web.visit import Visit

#: Colours and patterns that tell engineers apart: as many as desk.css has.
_TONES, _PATTERNS = 8, 4


@dataclass(frozen=True)
class Person:
    """An engineer as the calendar shows them: a short name, initials, a colour and a pattern."""

    key: str
    name: str
    short: str
    initials: str
    look: str
    mine: bool = False


class People:
    """The engineers of a project, each with a look of their own; whoever has left looks like nobody else."""

    def __init__(self, visit: Visit) -> None:
        self._names = {key: one.name for key, one in visit.project.people.engineers.items()}
        self._me = visit.visitor.who
        self._firsts = [name.split()[0] for name in self._names.values() if name.split()]

    def __getitem__(self, key: str) -> Person:
        name = self._names.get(key, key)
        first = name.split()[0] if name.split() else name
        short = first if self._firsts.count(first) <= 1 else name.split()[-1] if len(name.split()) > 1 else name
        return Person(key, name, short, _initials(name), self._look(key), key == self._me)

    def _look(self, key: str) -> str:
        if key not in self._names:
            return "gone"
        place = list(self._names).index(key)
        return f"hue-{place % _TONES} weave-{(place + place // _TONES) % _PATTERNS}"

    def of(self, keys: Iterable[str]) -> list[Person]:
        """These, in the order of people.yml; those who have left last."""
        wanted = set(keys)
        return [self[key] for key in (*self._names, *sorted(wanted - self._names.keys())) if key in wanted]


def _initials(name: str) -> str:
    """The first letters of the first and the last word."""
    letters = [word for word in re.findall(r"\w+", name) if not word.isdecimal()]
    return "".join(word[0] for word in dict.fromkeys((*letters[:1], *letters[-1:]))).upper() or "?"
