"""Engineers as pages tell them apart, and the rota as pages ask for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from starlette.responses import Response

from runner.plan.calendar import instant
from runner.scheduler import oncall
from runner.scheduler.oncall import Look, Span
from runner.web.page import Answer
from runner.web.visit import Visit

#: Colours and patterns that tell engineers apart: as many as desk.css has.
_TONES, _PATTERNS = 8, 4
#: Years that can be asked about.
EARLIEST, LATEST = 1980, 2200
#: Characters of one field that are read.
READ = 100


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
        short = first if self._firsts.count(first) <= 1 else name
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


def with_rota(answer: Answer) -> Answer:
    """A page about the rota: where there is none it says so, and how to have one."""

    def page(visit: Visit) -> Response:
        return answer(visit) if visit.project.oncall else visit.page("rota_none.html.j2")

    return page


def look(visit: Visit, first: datetime, last: datetime) -> Look:
    """The rota for questions about a span."""
    return oncall.look(visit.ledger, visit.project, visit.now, Span(first, last))


def zone_of(visit: Visit) -> ZoneInfo:
    """The zone of the rota's clocks."""
    return ZoneInfo(oncall.rules_of(visit.project).time_zone)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """An instant; without a zone it is on the clocks of this one. Raises ValueError where it is none, or far away."""
    try:
        given = datetime.fromisoformat(text.strip())
        found = given.astimezone(UTC) if given.tzinfo else instant(given.date(), given.time(), zone)
    except OverflowError:
        raise ValueError(text) from None
    if not EARLIEST <= found.year < LATEST:
        raise ValueError(text)
    return found
