"""One question to several sources: what is asked again, how long is waited, who is asked next, and what is said."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config import ends
from runner.errors import SourceFailed, Trouble
from runner.sources.inquiry import FIRST_WAIT, LONGEST_WAIT, TELLING, Patience, Place, Unanswered, ask


@dataclass
class Hours:
    """A clock that goes on by what is slept and by what answers take, and remembers each sleep."""

    at: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def patience(self, seconds: float, chance: float = 0.0) -> Patience:
        return Patience(self.at + seconds, self.clock, self.sleep, lambda: chance)


@dataclass
class Scripted:
    """A source whose `probe` takes `takes` seconds, then does what comes next: fail, or let in."""

    hours: Hours
    script: deque[SourceFailed | None]
    takes: float = 0.0
    lefts: list[float] = field(default_factory=list)

    def probe(self, left: float) -> None:
        self.lefts.append(left)
        self.hours.at += min(self.takes, left)
        if error := (self.script.popleft() if self.script else None):
            raise error


def place(
    name: str, hours: Hours, *script: SourceFailed | None, tries: int = 4, timeout: float = 20.0, takes: float = 0.0
):
    config = ends.Source(kind="package", title=name.title(), tries=tries).model_copy(update={"timeout": timeout})
    return Place(name, config, Scripted(hours, deque(script), takes))


def probe(source, left):
    source.probe(left)
    return "in"


def down(wait: float | None = None) -> SourceFailed:
    return SourceFailed("It is down.", "Wait.", passing=True, wait=wait)


REVOKED = SourceFailed("It does not let us in.", "Renew the token.", Trouble.PERMISSION_REVOKED)
CHANGED = SourceFailed("It lacks a column.", "Mend it.", Trouble.SCHEMA_CHANGED)
MISSING = SourceFailed("The day is not there.", "Wait.", Trouble.DATA_INCOMPLETE)


def test_what_passes_is_asked_again():
    """A source that is down twice and then answers has answered, and all three tries are told."""
    hours = Hours()
    answer = ask([place("till", hours, down(), down())], probe, hours.patience(60))
    assert (answer.value, answer.source) == ("in", "till")
    assert [(each.source, each.title, each.trouble) for each in answer.tries] == [
        ("till", "Till", Trouble.SOURCE_UNAVAILABLE),
        ("till", "Till", Trouble.SOURCE_UNAVAILABLE),
        ("till", "Till", None),
    ]


@pytest.mark.parametrize("error", [REVOKED, CHANGED, MISSING])
def test_what_a_person_must_mend_is_not_asked_again(error):
    """A failure that cannot pass is not repeated: the next source is asked at once, and the failure stays in sight."""
    hours = Hours()
    answer = ask([place("till", hours, error), place("replica", hours)], probe, hours.patience(60))
    assert answer.source == "replica"
    assert hours.slept == []
    assert [(each.source, each.trouble, each.message) for each in answer.tries] == [
        ("till", error.trouble, error.what),
        ("replica", None, ""),
    ]


def test_tries_are_bounded():
    """A source that stays down is asked as often as config says, then the next one."""
    hours = Hours()
    answer = ask([place("till", hours, *[down()] * 9, tries=3), place("replica", hours)], probe, hours.patience(600))
    assert [each.source for each in answer.tries] == ["till", "till", "till", "replica"]


@given(chance=st.floats(0, 1, exclude_max=True), tries=st.integers(2, 12))
def test_waits_grow_and_are_jittered(chance, tries):
    """Wait number n is drawn between half and all of the n-th step, which doubles up to a longest one."""
    hours = Hours()
    with pytest.raises(Unanswered):
        ask([place("till", hours, *[down()] * tries, tries=tries)], probe, hours.patience(1e6, chance))
    steps = [min(LONGEST_WAIT, FIRST_WAIT * 2**number) for number in range(tries - 1)]
    assert hours.slept == pytest.approx([step * (1 + chance) / 2 for step in steps])


def test_the_source_says_how_long_to_wait():
    """What Retry-After asks for is waited where there is time for it."""
    hours = Hours()
    ask([place("till", hours, down(wait=7.0))], probe, hours.patience(60))
    assert hours.slept == [7.0]


def test_too_long_a_wait_goes_on_to_the_next():
    """A source that asks for more time than there is gets none: the next one is asked at once."""
    hours = Hours()
    answer = ask([place("till", hours, down(wait=300.0)), place("replica", hours)], probe, hours.patience(60))
    assert (answer.source, hours.slept) == ("replica", [])


def test_a_hanging_source_leaves_time_for_the_next():
    """The first source may hang as often as it likes: the replica keeps the time of one answer."""
    hours = Hours()
    first = place("till", hours, *[down()] * 20, tries=20, timeout=20, takes=20)
    replica = place("replica", hours, timeout=15, takes=10)
    answer = ask([first, replica], probe, hours.patience(70))
    assert answer.source == "replica"
    assert replica.source.lefts == [15]
    assert sum(first.source.lefts) <= 55


@given(
    seconds=st.floats(0, 200),
    shapes=st.lists(st.tuples(st.integers(1, 6), st.floats(0.1, 60), st.floats(0, 60)), min_size=1, max_size=4),
)
def test_all_of_it_ends_in_time(seconds, shapes):
    """Whatever the sources take, fail of and ask for, it is over when the patience is, and none gets more than that."""
    hours = Hours()
    places = [
        place(f"s{number}", hours, *[down(wait=takes / 2)] * 9, tries=tries, timeout=timeout, takes=takes)
        for number, (tries, timeout, takes) in enumerate(shapes)
    ]
    with pytest.raises(Unanswered):
        ask(places, probe, hours.patience(seconds))
    assert hours.at <= 1000.0 + seconds + 1e-6
    for each in places:
        assert all(0 < left <= each.config.timeout for left in each.source.lefts)


def test_nobody_answers():
    """The error names each source and why, how often it was asked, and has the trouble that a person must act on."""
    hours = Hours()
    places = [place("till", hours, *[down()] * 4), place("replica", hours, REVOKED), place("drop", hours, MISSING)]
    with pytest.raises(Unanswered) as caught:
        ask(places, probe, hours.patience(600))
    error = caught.value
    assert error.what == (
        "None of 3 sources answered. It is down. (4 tries) It does not let us in. The day is not there."
    )
    assert (error.trouble, error.remedy) == (Trouble.PERMISSION_REVOKED, "Renew the token.")
    assert [each.source for each in error.tries] == ["till"] * 4 + ["replica", "drop"]
    assert error.passing


@given(st.permutations([down(), REVOKED, CHANGED, MISSING]), st.integers(1, 4))
def test_the_most_telling_trouble(errors, many):
    """Whatever the order of the sources, the trouble of the whole is the first of TELLING among theirs."""
    hours = Hours()
    places = [place(f"s{number}", hours, error, tries=1) for number, error in enumerate(errors[:many])]
    with pytest.raises(Unanswered) as caught:
        ask(places, probe, hours.patience(600))
    assert caught.value.trouble == min((error.trouble for error in errors[:many]), key=TELLING.index)


def test_without_time_nobody_is_asked():
    """With no time left no source is asked, and the error says so."""
    hours = Hours()
    till = place("till", hours)
    with pytest.raises(Unanswered, match="Till was not asked: no time was left"):
        ask([till], probe, hours.patience(0))
    assert till.source.lefts == []


def test_without_a_source():
    """A table without a source is an error that says where to name one."""
    with pytest.raises(Unanswered, match=r"config/sources\.yml"):
        ask([], probe, Hours().patience(1))


def test_what_is_no_failure_of_a_source_is_not_hidden():
    """An error of our own is neither retried nor taken for a source that is down."""
    hours = Hours()

    def question(source, left):
        raise KeyError(source.takes, math.ceil(left))

    with pytest.raises(KeyError):
        ask([place("till", hours), place("replica", hours)], question, hours.patience(60))


def test_seconds_are_what_a_try_took():
    """Each try carries the seconds that its answer took, without the waits."""
    hours = Hours()
    answer = ask([place("till", hours, down(), takes=3)], probe, hours.patience(60))
    assert [each.seconds for each in answer.tries] == [3, 3]
