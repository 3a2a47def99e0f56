"""Incidents: each state is told once, to the right people in the right order, however often somebody looks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.plan.incidents import (
    Incident,
    Kind,
    Policy,
    Sighting,
    State,
    Watch,
    Word,
    acknowledge,
    advance,
    hand_over,
    is_settled,
    next_look,
    next_told,
    opened,
    resolve,
    why_not_resolved,
)

T0 = datetime(2017, 11, 20, 13, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy(
    acknowledge_within=15 * MINUTE,
    repeat_every=240 * MINUTE,
    repeats=3,
    readers_every=120 * MINUTE,
)
PEOPLE = ("ann", "bob", "cat", "dan")
WATCH = Watch("ann", "bob", ("cat", "dan"))
LATE = Sighting(State.LATE, "not started", "It is late.", late=True)
RISKY = Sighting(State.AT_RISK, "not started", "It may be late.")
WELL = Sighting()
MET = Sighting(over="met", sentence="Delivered.")
MISSED = Sighting(over="missed", sentence="Given up.")


@dataclass(frozen=True)
class Look:
    """What is seen from an instant on, who is on call then, and who acknowledges just after that look."""

    minute: int
    sighting: Sighting
    watch: Watch
    by: str | None = None

    @property
    def at(self):
        return T0 + self.minute * MINUTE


@dataclass
class Teller:
    """Looks at one incident and keeps what it owes."""

    incident: Incident
    policy: Policy = POLICY

    def __post_init__(self):
        self.told = []

    def look(self, sighting, watch, at):
        """One look; the notices of it."""
        change = advance(self.incident, sighting, watch, self.policy, at)
        self.incident = change.incident
        self.told += [(at, notice) for notice in change.notices]
        return change.notices

    def whom(self, kind):
        """The people who were told in this kind, in order."""
        return [notice.person for _, notice in self.told if notice.kind is kind]


def teller(policy=POLICY):
    """A fresh incident under watch."""
    return Teller(opened("sales", "2017-11-19", T0), policy)


# A log of looks, as hypothesis draws it.

sightings = st.one_of(
    st.just(WELL),
    st.builds(
        lambda state, cause: Sighting(state, cause, f"{state}, {cause}.", late=state is State.LATE),
        st.sampled_from(State),
        st.sampled_from(["", "failed", "under way"]),
    ),
)
watches = st.one_of(
    st.permutations(PEOPLE).map(lambda order: Watch(order[0], order[1], tuple(order[2:]))),
    st.permutations(PEOPLE).map(lambda order: Watch(order[0], None, tuple(order[1:3]))),
    st.permutations(PEOPLE).map(lambda order: Watch(None, None, tuple(order[:2]))),
)
looks = st.builds(
    Look, st.integers(0, 3000), sightings, watches, st.one_of(st.none(), st.none(), st.sampled_from(PEOPLE))
)
policies = st.builds(
    Policy,
    acknowledge_within=st.integers(5, 60).map(lambda n: n * MINUTE),
    repeat_every=st.integers(60, 400).map(lambda n: n * MINUTE),
    repeats=st.integers(0, 3),
    readers_every=st.integers(30, 400).map(lambda n: n * MINUTE),
    tells_readers=st.booleans(),
)


@st.composite
def logs(draw):
    """Looks in order of time, at most one a minute; the last may be the end."""
    drawn = draw(st.lists(looks, min_size=1, max_size=8, unique_by=lambda look: look.minute))
    log = sorted(drawn, key=lambda look: look.minute)
    end = draw(st.sampled_from([None, MET, MISSED]))
    if end:
        log.append(replace(log[-1], minute=log[-1].minute + draw(st.integers(1, 900)), sighting=end, by=None))
    return log


def stored(incident):
    """The incident as it comes back from a database."""
    return Incident.of(json.loads(json.dumps(incident.as_dict())))


def replay(log, policy, extra=(), keep=lambda incident: incident):
    """Look whenever something changes or is owed, and at extra instants; every (instant, notice) that comes of it."""
    found = teller(policy)
    until = log[-1].at + timedelta(days=4)
    extra = sorted(T0 + minute * MINUTE for minute in extra)
    now, index = log[0].at, 0
    while now is not None and now <= until:
        while index + 1 < len(log) and log[index + 1].at <= now:
            index += 1
        found.incident = keep(found.incident)
        found.look(log[index].sighting, log[index].watch, now)
        if log[index].by and log[index].at == now:
            found.incident = acknowledge(found.incident, log[index].by, now).incident
        coming = [look.at for look in log[index + 1 :][:1]] + [at for at in extra if at > now][:1]
        owed = next_look(found.incident, now)
        coming += [owed] if owed is not None else []
        now = min(coming, default=None)
    return found


@given(logs(), policies)
@settings(deadline=None)
def test_a_log_tells_the_same_when_it_is_stored_between_looks(log, policy):
    """What has been told is part of the incident: a scheduler that starts anew at every look tells the same."""
    assert replay(log, policy, keep=stored).told == replay(log, policy).told


@given(logs(), policies, st.lists(st.integers(0, 6000), max_size=30))
@settings(max_examples=200, deadline=None)
def test_looking_more_often_tells_nothing_more(log, policy, extra):
    """Looks between those at which something changes or is owed add no message and move none."""
    assert replay(log, policy, extra).told == replay(log, policy).told


@given(logs(), policies)
@settings(deadline=None)
def test_looking_again_at_the_same_instant_changes_nothing(log, policy):
    """A second look finds that everything was told, and leaves the incident as it is."""
    found = teller(policy)
    for look in log:
        found.look(look.sighting, look.watch, look.at)
        before = found.incident
        assert found.look(look.sighting, look.watch, look.at) == ()
        assert found.incident == before


@given(logs(), policies)
@settings(deadline=None)
def test_each_state_is_told_once_to_each_person(log, policy):
    """As many messages about trouble reach a person, at most, as there were different states."""
    found = replay(log, policy)
    topics = {look.sighting.topic for look in log if look.sighting.state}
    troubles = Counter(found.whom(Kind.TROUBLE))
    assert all(count <= len(topics) for count in troubles.values())
    assert len(found.incident.topics) == len(set(found.incident.topics))


@given(logs(), policies)
@settings(deadline=None)
def test_only_those_who_were_told_hear_of_the_end_and_each_once(log, policy):
    """Recovered and missed go to everyone who was told of the trouble and to nobody else."""
    found = replay(log, policy)
    ends = Counter(found.whom(Kind.RECOVERED)) + Counter(who for who in found.whom(Kind.MISSED) if who)
    told = {notice.person for _, notice in found.told if notice.person}
    assert ends == (Counter(told) if not found.incident.open else Counter())


@given(logs(), policies)
@settings(deadline=None)
def test_readers_hear_of_one_delay_a_limited_number_of_times(log, policy):
    """One first word when it is late, then at most so many as are allowed, never two within the promised time."""
    found = replay(log, policy)
    words = [(at, notice) for at, notice in found.told if notice.kind in {Kind.DELAY, Kind.STILL_LATE}]
    assert [notice.kind for _, notice in words] == [Kind.DELAY, *[Kind.STILL_LATE] * (len(words) - 1)][: len(words)]
    assert len(words) <= (policy.repeats + 1 if policy.tells_readers else 0)
    assert all(later - earlier >= policy.readers_every for (earlier, _), (later, _) in pairwise(words))
    if policy.tells_readers and any(look.sighting.late for look in log):
        assert words


@given(logs(), policies)
@settings(deadline=None)
def test_repeats_are_limited(log, policy):
    """Nobody is reminded more often than the policy says, between one hand-off and the next."""
    found, primary = replay(log, policy), None
    reminded = {at for at, notice in found.told if notice.kind is Kind.REMINDER}
    turns = set()
    for look in log:
        if look.watch.primary not in {None, primary}:
            turns.add(look.at)
            primary = look.watch.primary
    bounds = [datetime.min.replace(tzinfo=UTC), *sorted(turns), datetime.max.replace(tzinfo=UTC)]
    for start, end in pairwise(bounds):
        assert len([at for at in reminded if start <= at < end]) <= policy.repeats


@given(logs(), policies)
@settings(deadline=None)
def test_nobody_is_disturbed_after_an_acknowledgement(log, policy):
    """No escalation and no reminder comes after somebody said: I am at it."""
    found = replay(log, policy)
    at = found.incident.acknowledged_at
    late = [notice for when, notice in found.told if at and when > at]
    assert [notice for notice in late if notice.kind in {Kind.ESCALATION, Kind.REMINDER}] == []


@given(logs(), policies)
@settings(deadline=None)
def test_whoever_becomes_primary_of_open_trouble_is_told(log, policy):
    """At every look with a new primary that person is told, be it as a hand-off or of a new state."""
    found, last = teller(policy), None
    for look in log:
        told = {notice.person for notice in found.look(look.sighting, look.watch, look.at)}
        primary = look.watch.primary
        if found.incident.open and found.incident.topics and primary and primary != last:
            assert primary in told
        last = primary or last if found.incident.topics else None


# The order, step by step.


def test_the_secondary_and_then_the_owners_are_told_when_nobody_acknowledges():
    """Primary at once; secondary after the time to acknowledge; owners after once more; then everyone, three times."""
    found, at, steps = teller(), T0, []
    while at is not None:
        steps.append((at - T0, [(notice.kind, notice.person) for notice in found.look(RISKY, WATCH, at)]))
        at = next_look(found.incident, at)
    everyone = [(Kind.REMINDER, who) for who in ("ann", "bob", "cat", "dan")]
    assert steps == [
        (0 * MINUTE, [(Kind.TROUBLE, "ann")]),
        (15 * MINUTE, [(Kind.ESCALATION, "bob")]),
        (30 * MINUTE, [(Kind.ESCALATION, "cat"), (Kind.ESCALATION, "dan")]),
        (270 * MINUTE, everyone),
        (510 * MINUTE, everyone),
        (750 * MINUTE, everyone),
    ]


def test_the_secondary_is_not_told_before_the_time_is_up():
    """One minute short of it nothing happens."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    assert found.look(RISKY, WATCH, T0 + 14 * MINUTE) == ()


def test_those_who_did_not_answer_are_named_and_not_those_told_at_the_same_time():
    """The owners read that the pair on call was silent, and nothing of each other."""
    found = teller()
    for minute in (0, 15, 30):
        last = found.look(RISKY, WATCH, T0 + minute * MINUTE)
    assert [notice.after for notice in last] == [("ann", "bob")] * 2


def test_an_acknowledgement_stops_everything_and_the_first_one_counts():
    """Neither secondary nor owners nor reminders come after it, and a second name changes nothing."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    first = acknowledge(found.incident, "ann", T0 + MINUTE)
    assert acknowledge(first.incident, "bob", T0 + 2 * MINUTE).incident == first.incident
    found.incident = first.incident
    assert next_look(found.incident, T0) is None
    assert found.look(RISKY, WATCH, T0 + 999 * MINUTE) == ()


def test_a_new_state_is_told_to_the_one_who_is_at_it_and_to_nobody_else():
    """At risk becomes late: whoever acknowledged is told of it, and nobody else is woken."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.look(RISKY, WATCH, T0 + 15 * MINUTE)
    found.incident = acknowledge(found.incident, "bob", T0 + 16 * MINUTE).incident
    told = found.look(LATE, WATCH, T0 + 60 * MINUTE)
    assert [notice.person for notice in told if notice.kind is Kind.TROUBLE] == ["bob"]
    assert found.look(LATE, WATCH, T0 + 90 * MINUTE) == ()


def test_nothing_is_escalated_while_nothing_is_wrong_but_all_of_it_when_it_is_again():
    """A report that started after all wakes nobody; one that is late again does."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    assert found.look(WELL, WATCH, T0 + 20 * MINUTE) == ()
    assert [n.person for n in found.look(RISKY, WATCH, T0 + 25 * MINUTE)] == ["bob"]


def test_later_messages_say_how_it_is_now():
    """The state and the sentence follow what is seen, though it is not told again."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.look(replace(RISKY, sentence="The next try is at 09:30."), WATCH, T0 + MINUTE)
    assert found.incident.sentence == "The next try is at 09:30."
    assert len(found.told) == 1


def test_a_hand_off_tells_the_new_primary_from_whom_and_starts_waiting_anew():
    """Second hand-off: it is taken over from the second, not from the first; then the new secondary's turn comes."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.look(RISKY, Watch("bob", "cat", ("dan",)), T0 + 10 * MINUTE)
    (told,) = found.look(RISKY, Watch("cat", "dan", ("ann",)), T0 + 20 * MINUTE)
    assert (told.kind, told.person, told.after) == (Kind.HAND_OFF, "cat", ("bob",))
    assert found.look(RISKY, Watch("cat", "dan", ("ann",)), T0 + 34 * MINUTE) == ()
    assert [n.person for n in found.look(RISKY, Watch("cat", "dan", ("ann",)), T0 + 35 * MINUTE)] == ["dan"]


def test_a_new_primary_who_hears_of_a_new_state_has_as_long_to_answer():
    """The time that the one before let pass is not theirs, and after it their own secondary is the next."""
    found, watch = teller(), Watch("bob", "cat", ("dan",))
    found.look(RISKY, WATCH, T0)
    found.look(RISKY, WATCH, T0 + 15 * MINUTE)
    told = found.look(LATE, watch, T0 + 20 * MINUTE)
    assert [n.person for n in told if n.person] == ["bob", "ann"]
    assert next_look(found.incident, T0 + 20 * MINUTE) == T0 + 35 * MINUTE
    assert [n.person for n in found.look(LATE, watch, T0 + 35 * MINUTE)] == ["cat"]


def test_owners_are_told_at_once_when_nobody_is_on_call_and_whoever_comes_on_call_hears_of_it():
    """A rota with a hole never means that nobody is told."""
    found = teller()
    told = found.look(RISKY, Watch(None, None, ("cat", "dan")), T0)
    assert [(n.kind, n.person, n.role) for n in told] == [
        (Kind.TROUBLE, "cat", "owner"),
        (Kind.TROUBLE, "dan", "owner"),
    ]
    told = found.look(RISKY, WATCH, T0 + 5 * MINUTE)
    assert [(n.kind, n.person) for n in told] == [(Kind.HAND_OFF, "ann")]


def test_without_a_secondary_the_owners_come_next():
    """A step that has nobody is left out, not waited for."""
    found = teller()
    found.look(RISKY, Watch("ann", None, ("cat", "dan")), T0)
    assert [n.person for n in found.look(RISKY, Watch("ann", None, ("cat", "dan")), T0 + 15 * MINUTE)] == ["cat", "dan"]


def test_a_new_state_after_the_last_reminder_reminds_nobody_beyond_the_limit():
    """Three reminders are three, also when it gets worse after them."""
    found, at = teller(), T0
    while at is not None:
        found.look(RISKY, WATCH, at)
        at = next_look(found.incident, at)
    found.look(LATE, WATCH, T0 + 2000 * MINUTE)
    found.look(LATE, WATCH, T0 + 2100 * MINUTE)
    assert len(found.whom(Kind.REMINDER)) == 3 * 4


def test_readers_who_were_told_of_a_delay_hear_that_it_will_not_come():
    """Given up is told to them too; a report that comes is told by itself."""
    for end, kinds in ((MISSED, [Kind.DELAY, Kind.MISSED]), (MET, [Kind.DELAY])):
        found = teller()
        found.look(LATE, WATCH, T0)
        found.look(end, WATCH, T0 + MINUTE)
        assert [notice.kind for _, notice in found.told if notice.person is None] == kinds


def test_readers_are_not_told_of_what_is_only_at_risk():
    """Before the due time there is nothing to tell them."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.look(MISSED, WATCH, T0 + MINUTE)
    assert [notice for _, notice in found.told if notice.person is None] == []


@pytest.mark.parametrize("end", [MET, MISSED])
def test_a_closed_incident_owes_nothing(end):
    """Whatever is seen after its end, it stays as it is."""
    found = teller()
    found.look(LATE, WATCH, T0)
    found.look(end, WATCH, T0 + MINUTE)
    closed = found.incident
    assert next_look(closed, T0) is None
    assert found.look(LATE, WATCH, T0 + 999 * MINUTE) == ()
    assert found.incident == closed
    assert acknowledge(closed, "ann", T0 + 999 * MINUTE).incident == closed


# What a person does: hand over, resolve.

words = st.builds(Word, st.sampled_from(PEOPLE), st.just("Because."), st.just(T0))


def by(who, minute):
    """What somebody says at a minute."""
    return Word(who, "Because.", T0 + minute * MINUTE)


def handed(found, to, word):
    """Hand it over; the notices of that."""
    change = hand_over(found.incident, to, word, POLICY.acknowledge_within)
    found.incident = change.incident
    return [(notice.kind, notice.person) for notice in change.notices]


def test_whoever_it_is_handed_to_is_told_and_time_runs_until_they_answer():
    """Ann is at it and hands it to Bob: he is told, and nobody else while he has time; his answer ends the waiting."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.incident = acknowledge(found.incident, "ann", T0 + MINUTE).incident
    assert handed(found, "bob", by("ann", 2)) == [(Kind.HANDED_OVER, "bob")]
    assert (found.incident.acknowledged_by, found.incident.is_taken) == ("bob", False)
    assert found.look(RISKY, WATCH, T0 + 16 * MINUTE) == ()
    change = acknowledge(found.incident, "bob", T0 + 16 * MINUTE)
    assert [(notice.kind, notice.person) for notice in change.notices] == [(Kind.TAKEN, "ann")]
    found.incident = change.incident
    assert next_look(found.incident, T0) is None
    assert found.look(RISKY, WATCH, T0 + 999 * MINUTE) == ()
    assert found.incident.acknowledged_at == T0 + MINUTE


def test_nothing_rests_on_somebody_who_does_not_answer():
    """Bob stays silent: Ann, who handed it over, is told first; nobody is at it; then the next as at first."""
    found, at, steps = teller(), T0 + 2 * MINUTE, []
    found.look(RISKY, WATCH, T0)
    handed(found, "bob", by("ann", 2))
    while at is not None and len(steps) < 4:
        steps += [(at - T0, notice.kind, notice.person) for notice in found.look(RISKY, WATCH, at)]
        at = next_look(found.incident, at)
    assert steps[:3] == [
        (17 * MINUTE, Kind.ESCALATION, "ann"),
        (47 * MINUTE, Kind.ESCALATION, "cat"),
        (47 * MINUTE, Kind.ESCALATION, "dan"),
    ]
    assert found.incident.acknowledged_by is None


def test_of_what_is_handed_over_whoever_answers_first_is_at_it():
    """Cat answers before Bob does: she is at it, and both Ann and Bob hear so."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    handed(found, "bob", by("ann", 2))
    change = acknowledge(found.incident, "cat", T0 + 3 * MINUTE)
    assert (change.incident.acknowledged_by, change.incident.is_taken) == ("cat", True)
    assert [notice.person for notice in change.notices] == ["ann", "bob"]


def test_news_of_what_is_handed_over_goes_to_both_and_waits_no_longer_for_it():
    """It turns late while Bob has not answered: he and Ann are told, and his time is not prolonged by it."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    handed(found, "bob", by("ann", 2))
    until = found.incident.next_step_at
    told = found.look(replace(LATE, late=False), WATCH, T0 + 5 * MINUTE)
    assert [notice.person for notice in told] == ["bob", "ann"]
    assert found.incident.next_step_at == until


def test_whoever_takes_it_over_themselves_has_it_at_once():
    """Bob takes it from Ann: nobody is waited for, and Ann hears of it."""
    found = teller()
    found.look(RISKY, WATCH, T0)
    found.incident = acknowledge(found.incident, "ann", T0).incident
    assert handed(found, "bob", by("bob", 1)) == [(Kind.TAKEN, "ann")]
    assert (found.incident.is_taken, found.incident.next_step_at) == (True, None)


@given(logs(), policies, st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(PEOPLE), words), max_size=3))
@settings(deadline=None)
def test_however_it_is_handed_over_somebody_is_at_it_or_somebody_is_told(log, policy, turns):
    """While trouble is open and seen, it is taken, or the next step has its time, or all the reminders were told."""
    found = teller(policy)
    for look in log:
        found.look(look.sighting, look.watch, look.at)
        for minute, to, word in turns:
            if minute == look.minute or look is log[0]:
                said = replace(word, at=look.at)
                found.incident = hand_over(found.incident, to, said, policy.acknowledge_within).incident
                assert found.look(look.sighting, look.watch, look.at) is not None
        one = found.incident
        if one.open and one.topics and not one.is_taken:
            assert one.next_step_at is not None or one.step >= 2
        assert one.open or not one.handed_by


@given(logs(), policies, words)
@settings(deadline=None)
def test_all_who_were_told_hear_that_it_is_resolved_and_nobody_hears_more(log, policy, word):
    """Once resolved it owes nothing, and each person who was told gets one last message."""
    found = teller(policy)
    for look in log:
        found.look(look.sighting, look.watch, look.at)
    if not found.incident.open:
        return
    change = resolve(found.incident, replace(word, at=log[-1].at), "1 r1")
    assert Counter(notice.person for notice in change.notices) == Counter(found.incident.told)
    assert next_look(change.incident, T0) is None
    assert advance(change.incident, LATE, WATCH, policy, log[-1].at + MINUTE).notices == ()


@pytest.mark.parametrize(
    ("attempt", "sighting", "settled"),
    [
        ("1 r1", Sighting(State.FAILED, "", "It failed."), True),
        ("1 r1", Sighting(State.FAILED, "", "Said in other words."), True),
        ("2 r2", Sighting(State.FAILED, "", "It failed."), False),
        ("1 r1", Sighting(State.HELD, "", "A check has doubts."), False),
        ("1 r1", Sighting(State.LATE, "failed", "It is late.", late=True), False),
    ],
    ids=["the same", "in other words", "another attempt", "another state", "late"],
)
def test_what_was_resolved_is_not_opened_again_but_anything_new_is(attempt, sighting, settled):
    """The same state of the same attempt is settled; another attempt, another state, and lateness are new trouble."""
    found = teller()
    found.look(Sighting(State.FAILED, "", "It failed."), WATCH, T0)
    last = resolve(found.incident, by("ann", 1), "1 r1").incident
    assert is_settled(last, sighting, attempt) is settled
    assert not is_settled(None, sighting, attempt)


@pytest.mark.parametrize(
    ("incident", "late", "said"),
    [
        (Incident("sales", "d", T0, state="failed"), False, ""),
        (Incident("sales", "d", T0, state="at risk"), False, ""),
        (Incident("sales", "d", T0, state="not started"), False, ""),
        (Incident("sales", "d", T0, state="held"), False, "Approve or reject"),
        (Incident("sales", "d", T0, state="failed"), True, "is delivered"),
        (Incident("sales", "d", T0, state="late"), False, "is delivered"),
        (Incident("duty:audit", "d", T0, state="late"), False, "recorded as done"),
        (Incident("source:till", "d", T0, state="failed"), False, "answers again"),
    ],
)
def test_what_closes_by_itself_is_not_resolved_by_hand(incident, late, said):
    """Each kind of incident says plainly what ends it, or that a person may."""
    found = why_not_resolved(incident, late=late)
    assert said in found
    assert bool(said) == bool(found)


@given(logs(), policies, st.one_of(st.none(), st.tuples(st.sampled_from(PEOPLE), words)))
@settings(deadline=None)
def test_who_is_told_next_is_who_is_told_next(log, policy, turn):
    """What the page says of the next step is what the step then does, if all stays as it is."""
    found = teller(policy)
    for look in log:
        found.look(look.sighting, look.watch, look.at)
    if turn:
        word = replace(turn[1], at=log[-1].at)
        found.incident = hand_over(found.incident, turn[0], word, policy.acknowledge_within).incident
    watch, said = log[-1].watch, next_told(found.incident, log[-1].watch, policy)
    quiet = Sighting(State(found.incident.state), log[-1].sighting.cause, "") if found.incident.state else WELL
    if not found.incident.open or quiet.topic not in found.incident.topics or log[-1].sighting.state is None:
        return
    at, told = found.incident.next_step_at, ()
    while at is not None and not told:
        change = advance(found.incident, quiet, watch, policy, at)
        found.incident, told = change.incident, tuple(n.person for n in change.notices if n.person)
        last, at = at, found.incident.next_step_at
    assert said == ((last, told) if told else None)
