"""One question to several sources in order: the same one again where that can help, then the next one.

Whatever a source fails of, the next one is asked: when it is down; when our credential was revoked there, or its schema
has changed, too, for a replica may still let us in, or still have the schema of the contract. None of it is silent:
each try is in the answer, with its trouble, and whoever asked records and tells it. Only the same source is not asked
the same question again where a person must act first (`SourceFailed.passing` is false).

A source asked first cannot use up the time of those behind it: each of them keeps one answer's time, or its equal share
of what is left, if that is less.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from runner.config import ends
from runner.errors import SourceFailed, Trouble
from runner.sources.source import Source

T = TypeVar("T")

#: The first wait between two tries of one source, and the longest, in seconds; drawn between half and all of it.
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0
#: With less time than this left, in seconds, nothing is asked any more.
LEAST = 0.05
#: Troubles in the order of how much they tell a person who must act; what is not listed tells least.
TELLING = (
    Trouble.PERMISSION_REVOKED,
    Trouble.SCHEMA_CHANGED,
    Trouble.SOURCES_DISAGREE,
    Trouble.OUTLIER,
    Trouble.DATA_INCOMPLETE,
    Trouble.SOURCE_UNAVAILABLE,
)


@dataclass(frozen=True)
class Place:
    """A source to ask: its name in config, what is said of it there, and the opened source."""

    name: str
    config: ends.Source
    source: Source


@dataclass(frozen=True)
class Patience:
    """How long all of it may take: `until` is an instant of `clock`, in seconds. `chance` gives a number in [0, 1)."""

    until: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    @property
    def left(self) -> float:
        """The seconds there are still."""
        return self.until - self.clock()


@dataclass(frozen=True)
class Try:
    """One time that a source was asked: how long it took, and what went wrong (no trouble: it answered)."""

    source: str
    title: str
    seconds: float
    trouble: Trouble | None = None
    message: str = ""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the first source that answered gave, and every try up to it, oldest first."""

    value: T
    source: str
    tries: tuple[Try, ...]


class Unanswered(SourceFailed):
    """No source answered; `tries` are all there were."""

    tries: tuple[Try, ...] = ()


def ask(places: Sequence[Place], question: Callable[[Source, float], T], patience: Patience) -> Answer[T]:
    """Ask the places in order until one answers; `question` gets the source and the seconds there are for the answer.

    Raises Unanswered when none does: its trouble is the one that tells a person most, its sentence names each source.
    """
    tries: list[Try] = []
    last: list[tuple[Place, SourceFailed]] = []
    for number, place in enumerate(places):
        turn = _Turn(place, question, patience, patience.until - _kept(places[number + 1 :], patience), tries)
        try:
            return Answer(turn.answer(), place.name, tuple(tries))
        except SourceFailed as error:
            last.append((place, error))
    raise _unanswered(last, tuple(tries))


def _kept(later: Sequence[Place], patience: Patience) -> float:
    """The seconds that are kept for the sources behind this one."""
    share = max(patience.left, 0.0) / (len(later) + 1)
    return sum(min(place.config.timeout, share) for place in later)


@dataclass(frozen=True)
class _Turn(Generic[T]):
    """One source's turn: it is over at the instant `until`, and leaves its tries in `tries`."""

    place: Place
    question: Callable[[Source, float], T]
    patience: Patience
    until: float
    tries: list[Try]

    @property
    def left(self) -> float:
        return self.until - self.patience.clock()

    def answer(self) -> T:
        again = Retrying(
            sleep=self.patience.sleep,
            retry=retry_if_exception(lambda error: isinstance(error, SourceFailed) and error.passing),
            wait=self._wait,
            stop=self._is_over,
            reraise=True,
        )
        return again(self._once)

    def _once(self) -> T:
        if self.left < LEAST:
            what = f"{self.place.config.title} was not asked: no time was left."
            raise SourceFailed(what, "Give the run more time, or start it earlier.")
        began = self.patience.clock()
        try:
            value = self.question(self.place.source, min(self.left, self.place.config.timeout))
        except SourceFailed as error:
            self._note(began, error.trouble, error.what)
            raise
        self._note(began)
        return value

    def _note(self, began: float, trouble: Trouble | None = None, message: str = "") -> None:
        seconds = self.patience.clock() - began
        self.tries.append(Try(self.place.name, self.place.config.title, seconds, trouble, message))

    def _wait(self, state: RetryCallState) -> float:
        """Longer from try to try, never twice the same, and never less than the source asks for."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
        drawn = longest * (1 + self.patience.chance()) / 2
        error = state.outcome.exception() if state.outcome else None
        return max(drawn, error.wait or 0.0) if isinstance(error, SourceFailed) else drawn

    def _is_over(self, state: RetryCallState) -> bool:
        return state.attempt_number >= self.place.config.tries or state.upcoming_sleep + LEAST > self.left


def _unanswered(last: Sequence[tuple[Place, SourceFailed]], tries: tuple[Try, ...]) -> Unanswered:
    if not last:
        return Unanswered("There is no source to ask.", "Name one for the table in config/sources.yml.")
    _, telling = min(last, key=lambda pair: _rank(pair[1].trouble))
    asked = {place.name: sum(each.source == place.name for each in tries) for place, _ in last}
    told = " ".join(f"{error.what}{_times(asked[place.name])}" for place, error in last)
    what = told if len(last) == 1 else f"None of {len(last)} sources answered. {told}"
    passing = any(error.passing for _, error in last)
    error = Unanswered(what, telling.remedy, telling.trouble, passing=passing, wait=telling.wait)
    error.tries = tries
    return error


def _rank(trouble: Trouble) -> int:
    return TELLING.index(trouble) if trouble in TELLING else len(TELLING)


def _times(tries: int) -> str:
    return f" ({tries} tries)" if tries > 1 else ""
