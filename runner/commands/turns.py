"""Whose turn it is: each after those it rests on, at most so many at once; worked out once, then kept up to date."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from runner.report.job import Job


class Turns:
    """Jobs 0, 1, ... that begin and end, the first of those that can begin before the others.

    `rests_on` gives for each what must have ended before it; numbers from `jobs` on are milestones, which take neither
    time nor a seat. Everything together costs one look at each job and at each pair, however often it is asked.
    """

    def __init__(self, rests_on: Sequence[Iterable[int]], jobs: int, seats: int) -> None:
        before = [set(others) for others in rests_on]
        self._waits = [len(others) for others in before]
        self._then: list[list[int]] = [[] for _ in before]
        for number, others in enumerate(before):
            for other in others:
                self._then[other].append(number)
        self._jobs, self._free = jobs, seats
        self._ready: list[int] = []  # a heap
        self._let([number for number, waits in enumerate(self._waits) if not waits])

    def begin(self) -> list[int]:
        """Those whose turn it is now; a seat each is theirs until they have ended."""
        begun = [heappop(self._ready) for _ in range(min(self._free, len(self._ready)))]
        self._free -= len(begun)
        return begun

    def ended(self, number: int) -> None:
        """One that had begun has ended, however; its seat is free."""
        self._free += 1
        self._let(self._after(number))

    def _let(self, free: list[int]) -> None:
        while free:
            number = free.pop()
            if number < self._jobs:
                heappush(self._ready, number)
            else:
                free += self._after(number)

    def _after(self, number: int) -> list[int]:
        """Those that waited for this one as the last."""
        for later in self._then[number]:
            self._waits[later] -= 1
        return [later for later in self._then[number] if not self._waits[later]]


def rests_on(jobs: Sequence[Job]) -> list[list[int]]:
    """For each job what must have ended before it: its inputs for its own day, and for the days before as they record.

    That would be a pair for every two days of a long span. So after the jobs follow milestones: one for each day of
    each input, which stands for all of that input up to the day.
    """
    found: list[list[int]] = [[] for _ in jobs]
    given = _by_day(jobs)
    first: dict[str, int] = {}
    for name in sorted({name for job in jobs for name in job.pipeline.inputs} & given.keys()):
        first[name] = len(found)
        for place, numbers in enumerate(given[name].values()):
            found.append([*numbers, len(found) - 1] if place else numbers)
    days = {name: list(given[name]) for name in first}
    for number, job in enumerate(jobs):
        for name in first.keys() & set(job.pipeline.inputs):
            reached = bisect_right(days[name], job.as_of)
            found[number] += [first[name] + reached - 1] if reached else []
    return found


def _by_day(jobs: Sequence[Job]) -> dict[str, dict[str, list[int]]]:
    """The jobs of each pipeline by their days, oldest first."""
    found: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
    for number in sorted(range(len(jobs)), key=lambda number: jobs[number].as_of):
        found[jobs[number].pipeline.name].setdefault(jobs[number].as_of, []).append(number)
    return found
