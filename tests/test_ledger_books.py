"""The books of the ledger: what is owed is claimed once, what is told is told once, and the past stays as it was."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.errors import ConfigError, RunFailed, Trouble
from runner.ledger import (
    Fenced,
    Ledger,
    Process,
    Result,
    Run,
    Taken,
    deadlines,
    duties,
    incidents,
    journal,
    outbox,
    rota,
)
from runner.ledger.deadlines import Ending, State
from runner.ledger.incidents import Overtaken
from runner.ledger.journal import Act, Cancellation, Mark
from runner.ledger.outbox import Letter, Refusal
from runner.ledger.store import BUSY, SCHEMA, WRITER, Store, _prepare_sqlite
from runner.model import Status
from runner.plan.deadlines import Deadline
from runner.plan.duties import Due
from runner.plan.incidents import opened
from runner.plan.oncall import Leg, Shift, Swap

NOW = datetime(2017, 11, 16, 13, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
KEY = ("sales", "2017-11-15")


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger in a file."""
    found = Ledger.open(tmp_path / "ledger.sqlite")
    yield found
    found.close()


@pytest.fixture
def tx(ledger):
    """One transaction of it that writes."""
    with ledger.write() as connection:
        yield connection


# Deadlines.


def deadline(period="2017-11-15", start=NOW, **more):
    """A deadline one hour after its start."""
    day = date.fromisoformat(period)
    made = Deadline("sales", period, f"Sales of {period}", day, None, start, start + HOUR, start + HOUR)
    return replace(made, **more)


def claimed(tx, until=NOW + MINUTE, holder="one", now=NOW):
    """The deadline, noted and claimed."""
    deadlines.note(tx, [deadline()])
    assert deadlines.claim(tx, KEY, holder, now, until)


def test_a_deadline_comes_back_as_it_was_written(tx):
    """Days, instants and the experiment keep their types; nothing has happened to it yet."""
    wanted = deadline(experiment="18")
    assert deadlines.note(tx, [wanted]) == 1
    found = deadlines.find(tx, KEY)
    assert (found.deadline, found.state, found.attempts, found.holder) == (wanted, State.OPEN, 0, None)
    assert found.next_try_at == wanted.starts_at


def test_a_claim_excludes_every_other(tx):
    """Taken once it is taken; before its time it cannot be taken; the attempt is counted."""
    deadlines.note(tx, [deadline()])
    assert not deadlines.claim(tx, KEY, "early", NOW - MINUTE, NOW)
    assert deadlines.claim(tx, KEY, "one", NOW, NOW + MINUTE)
    assert not deadlines.claim(tx, KEY, "two", NOW, NOW + MINUTE)
    assert (deadlines.find(tx, KEY).attempts, deadlines.find(tx, KEY).holder is None) == (1, False)


def test_of_many_who_claim_at_once_one_wins(tmp_path):
    """Ten threads, each with its own connection, on one file."""
    path = tmp_path / "ledger.sqlite"
    first = Ledger.open(path)
    with first.write() as tx:
        deadlines.note(tx, [deadline()])
    won, start = [], threading.Barrier(10)

    def claim(name):
        own = Ledger.open(path)
        start.wait()
        with own.write() as tx:
            if deadlines.claim(tx, KEY, name, NOW, NOW + MINUTE):
                won.append(name)
        own.close()

    threads = [threading.Thread(target=claim, args=(f"t{n}",)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with first.read() as tx:
        assert [deadlines.find(tx, KEY).holder] == won
    first.close()


def test_a_lease_that_ran_out_frees_the_deadline_and_counts_the_attempt(tx):
    """It is tried again at once, says why, and what an earlier attempt died of is forgotten."""
    claimed(tx)
    assert deadlines.lapse(tx, NOW, 3) == ()
    assert deadlines.lapse(tx, NOW + MINUTE, 3) == (KEY,)
    found = deadlines.find(tx, KEY)
    assert (found.holder, found.attempts, found.next_try_at) == (None, 1, NOW + MINUTE)
    assert (found.outcome, found.trouble) == ("interrupted", Trouble.INTERRUPTED)


def test_a_report_that_kills_its_runner_does_not_do_so_for_ever(tx):
    """After the last attempt a lapsed lease leads to no other."""
    claimed(tx)
    deadlines.lapse(tx, NOW + MINUTE, 1)
    assert deadlines.find(tx, KEY).next_try_at is None
    assert not deadlines.claim(tx, KEY, "two", NOW + DAY, NOW + 2 * DAY)


def test_a_renewed_lease_holds_and_whoever_lost_theirs_is_told_so(tx):
    """Only those who hold a deadline still are given back."""
    claimed(tx)
    assert deadlines.renew(tx, ["one", "lost"], NOW + HOUR) == {"one"}
    assert deadlines.next_lapse(tx) == NOW + HOUR
    assert deadlines.lapse(tx, NOW + 2 * MINUTE, 3) == ()
    assert deadlines.renew(tx, [], NOW + HOUR) == frozenset()


def test_only_the_holder_may_say_how_it_ended(tx):
    """What one says whose lease ran out, after another took over, is refused and changes nothing."""
    claimed(tx)
    deadlines.lapse(tx, NOW + MINUTE, 3)
    assert deadlines.claim(tx, KEY, "two", NOW + MINUTE, NOW + HOUR)
    before = deadlines.find(tx, KEY)
    assert not deadlines.end(tx, KEY, "one", Ending("delivered", NOW + 2 * MINUTE, met=True))
    assert deadlines.find(tx, KEY) == before
    assert deadlines.end(tx, KEY, "two", Ending("delivered", NOW + 3 * MINUTE, met=True, run="r2"))
    found = deadlines.find(tx, KEY)
    assert (found.state, found.ended_at, found.run, found.holder) == (State.MET, NOW + 3 * MINUTE, "r2", None)
    assert found.on_time


def test_an_attempt_interrupted_from_outside_is_given_back(tx):
    """It does not count against the number of attempts, and never below none."""
    claimed(tx)
    deadlines.end(tx, KEY, "one", Ending("interrupted", NOW, counts=False, next_try_at=NOW))
    assert deadlines.find(tx, KEY).attempts == 0


def test_a_changed_plan_moves_only_what_has_not_begun(tx):
    """Attempted, held by hand, met and missed deadlines keep their times; an untouched one takes the new ones."""
    periods = ["2017-11-11", "2017-11-12", "2017-11-13", "2017-11-14", "2017-11-15"]
    deadlines.note(tx, map(deadline, periods))
    keys = [("sales", period) for period in periods]
    deadlines.claim(tx, keys[0], "one", NOW, NOW + MINUTE)
    deadlines.settle(tx, keys[1], Ending("held", NOW, run="r1"))
    deadlines.settle(tx, keys[2], Ending("delivered", NOW, met=True))
    deadlines.miss(tx, keys[3], NOW)
    assert deadlines.note(tx, [deadline(period, NOW + HOUR) for period in periods]) == 0
    starts = [deadlines.find(tx, key).deadline.starts_at for key in keys]
    assert starts == [NOW, NOW, NOW, NOW, NOW + HOUR]
    assert deadlines.find(tx, keys[4]).next_try_at == NOW + HOUR


def test_what_the_plan_no_longer_has_is_withdrawn_unless_it_was_begun(tx):
    """Only what is due from now on; it comes back when the plan has it again."""
    old, begun, gone = deadline("2017-11-13", NOW - DAY), deadline("2017-11-14"), deadline("2017-11-15")
    deadlines.note(tx, [old, begun, gone])
    deadlines.claim(tx, begun.key, "one", NOW, NOW + MINUTE)
    assert deadlines.withdraw(tx, [], NOW, NOW) == 1
    assert [deadlines.find(tx, one.key).state for one in (old, begun, gone)] == [
        State.OPEN,
        State.OPEN,
        State.WITHDRAWN,
    ]
    assert gone.key not in [owed.key for owed in deadlines.between(tx, NOW - 2 * DAY, NOW + DAY)]
    deadlines.note(tx, [gone])
    assert deadlines.find(tx, gone.key).state is State.OPEN


def test_deadlines_of_a_pipeline_that_is_gone_are_withdrawn_even_when_begun(tx):
    """Nothing could be done about them any more; what somebody is at, they may end."""
    deadlines.note(tx, [deadline("2017-11-13"), deadline("2017-11-14")])
    deadlines.claim(tx, ("sales", "2017-11-14"), "one", NOW, NOW + MINUTE)
    deadlines.settle(tx, ("sales", "2017-11-13"), Ending("failed", NOW))
    deadlines.drop(tx, ["others"], NOW)
    states = [deadlines.find(tx, ("sales", period)).state for period in ("2017-11-13", "2017-11-14")]
    assert states == [State.WITHDRAWN, State.OPEN]


@pytest.mark.parametrize("begun", [True, False])
def test_a_deadline_that_was_withdrawn_is_open_again_as_new(tx, begun):
    """Whatever was tried before; it can be claimed at once."""
    deadlines.note(tx, [deadline()])
    if begun:
        deadlines.claim(tx, KEY, "one", NOW, NOW + MINUTE)
        deadlines.end(tx, KEY, "one", Ending("failed", NOW, trouble="cell failed", message="No.", run="r1"))
    deadlines.drop(tx, ["others"], NOW)
    assert deadlines.withdrawn(tx, NOW, NOW + DAY) == {KEY}
    assert deadlines.note(tx, [deadline()]) == 0
    assert deadlines.find(tx, KEY) == deadlines.Owed(deadline(), next_try_at=NOW)
    assert deadlines.withdrawn(tx, NOW, NOW + DAY) == frozenset()
    assert deadlines.claim(tx, KEY, "two", NOW, NOW + MINUTE)


def test_only_what_nobody_is_at_is_retired(tx):
    """Begun or not."""
    periods = ["2017-11-13", "2017-11-14", "2017-11-15"]
    keys = [("sales", period) for period in periods]
    deadlines.note(tx, map(deadline, periods))
    deadlines.claim(tx, keys[0], "one", NOW, NOW + MINUTE)
    deadlines.settle(tx, keys[1], Ending("failed", NOW))
    assert [owed.key for owed in deadlines.unclaimed(tx)] == keys[1:]
    deadlines.retire(tx, keys, NOW)
    states = [deadlines.find(tx, key).state for key in keys]
    assert states == [State.OPEN, State.WITHDRAWN, State.WITHDRAWN]


def test_a_lease_of_a_clock_that_was_ahead_has_run_out(tx):
    """Up to a lease more than can be is allowed for, for two clocks differ a little."""
    claimed(tx, until=NOW + DAY)
    assert deadlines.lapse(tx, NOW, 3) == ()
    assert deadlines.lapse(tx, NOW, 3, lease=DAY / 2) == ()
    assert deadlines.lapse(tx, NOW, 3, lease=HOUR) == (KEY,)
    assert deadlines.find(tx, KEY).next_try_at == NOW


def test_what_is_begun_and_what_is_next(tx):
    """By due time; the next start is the next after now."""
    deadlines.note(
        tx, [deadline("2017-11-15", NOW), deadline("2017-11-14", NOW - DAY), deadline("2017-11-16", NOW + DAY)]
    )
    assert [owed.deadline.period for owed in deadlines.begun(tx, NOW)] == ["2017-11-14", "2017-11-15"]
    assert deadlines.next_start(tx, NOW) == NOW + DAY
    assert deadlines.next_start(tx, NOW + DAY) is None


def test_the_newest_met_deadline_is_what_readers_still_have(tx):
    """By when it was met, not by its period."""
    deadlines.note(tx, [deadline("2017-11-14"), deadline("2017-11-15")])
    deadlines.settle(tx, ("sales", "2017-11-15"), Ending("delivered", NOW, met=True))
    deadlines.settle(tx, ("sales", "2017-11-14"), Ending("delivered", NOW + HOUR, met=True))
    assert deadlines.last_met(tx, "sales").deadline.period == "2017-11-14"
    assert deadlines.last_met(tx, "others") is None


def test_nothing_that_somebody_holds_is_settled_or_given_up(tx):
    """Whoever is at it has the word."""
    claimed(tx)
    assert not deadlines.settle(tx, KEY, Ending("delivered", NOW, met=True))
    assert not deadlines.miss(tx, KEY, NOW)


# Outbox.


def letter(key="incident/1/trouble/ann", **more):
    """A letter to Ann."""
    made = Letter(key, "trouble", "ann", "Ann", "ann@example.com", "mail", {"subject": "S"}, f"<{key}@x>", NOW)
    return replace(made, **more)


def numbers(tx, now=NOW):
    """The numbers of the letters due."""
    return [one.id for one in outbox.due(tx, now)]


def test_a_letter_owed_twice_is_written_once(tx):
    """Its key is its own for ever, also after it went out."""
    assert outbox.owe(tx, [letter(), letter()]) == 1
    (number,) = outbox.claim(tx, outbox.due(tx, NOW), "one", NOW, NOW + MINUTE)
    outbox.sent(tx, [number], "one", NOW)
    assert outbox.owe(tx, [letter()]) == 0
    assert outbox.due(tx, NOW + DAY) == ()


def test_a_claimed_letter_is_nobody_elses_until_the_claim_runs_out(tx):
    """Two senders share nothing; one that died leaves its letters to the other, under the same Message-ID."""
    outbox.owe(tx, [letter(), letter("b")])
    seen = outbox.due(tx, NOW)
    assert outbox.claim(tx, seen[:1], "one", NOW, NOW + MINUTE) == [seen[0].id]
    assert outbox.claim(tx, seen, "two", NOW, NOW + MINUTE) == [seen[1].id]
    assert numbers(tx) == []
    assert outbox.next_try(tx, NOW) == NOW + MINUTE
    again = outbox.due(tx, NOW + MINUTE)
    assert [one.message_id for one in again] == [one.message_id for one in seen]


def test_only_the_holder_notes_what_became_of_a_letter(tx):
    """A sender that stood still for too long changes nothing."""
    outbox.owe(tx, [letter()])
    ids = outbox.claim(tx, outbox.due(tx, NOW), "one", NOW, NOW + MINUTE)
    outbox.claim(tx, outbox.due(tx, NOW + HOUR), "two", NOW + HOUR, NOW + 2 * HOUR)
    outbox.sent(tx, ids, "one", NOW + HOUR)
    outbox.refused(tx, ids, "one", Refusal("no", None, NOW + HOUR))
    (found,) = outbox.between(tx, NOW, NOW + MINUTE)
    assert (found.sent_at, found.given_up_at, found.attempts) == (None, None, 0)


def test_a_refused_letter_is_tried_again_and_at_last_given_up(tx):
    """Each try is counted; one that is given up is listed and never due again."""
    outbox.owe(tx, [letter()])
    ids = outbox.claim(tx, outbox.due(tx, NOW), "one", NOW, NOW + MINUTE)
    outbox.refused(tx, ids, "one", Refusal("busy", NOW + HOUR, NOW))
    assert (numbers(tx), outbox.next_try(tx, NOW)) == ([], NOW + HOUR)
    ids = outbox.claim(tx, outbox.due(tx, NOW + HOUR), "one", NOW + HOUR, NOW + 2 * HOUR)
    outbox.refused(tx, ids, "one", Refusal("busy", None, NOW + HOUR))
    (lost,) = outbox.given_up(tx, NOW)
    assert (lost.attempts, lost.error, lost.given_up_at) == (2, "busy", NOW + HOUR)
    assert outbox.due(tx, NOW + DAY) == ()
    assert outbox.next_try(tx, NOW) is None


def test_letters_bound_together_stay_together(tx):
    """In the order in which they were owed."""
    outbox.owe(tx, [letter("a"), letter("b"), letter("c")])
    ids = numbers(tx)
    outbox.bind(tx, ids[:2], "<bundle@x>")
    assert [one.key for one in outbox.due(tx, NOW + DAY) if one.bundle == "<bundle@x>"] == ["a", "b"]


def test_signs_of_life_are_forgotten_and_nothing_else(tx):
    """Old ones of that kind that went out; not those that are still owed."""
    outbox.owe(tx, [letter("a", kind="heartbeat"), letter("b", kind="heartbeat"), letter("c")])
    ids = outbox.claim(tx, outbox.due(tx, NOW), "one", NOW, NOW + MINUTE)
    outbox.sent(tx, [ids[0], ids[2]], "one", NOW)
    outbox.forget(tx, "heartbeat", NOW + DAY)
    assert [one.key for one in outbox.between(tx, NOW, NOW + MINUTE)] == ["b", "c"]


# Incidents.


def test_of_two_who_write_one_incident_the_slower_is_told(tx):
    """What it was about to tell may be told already; nothing of it is kept."""
    first = incidents.keep(tx, opened(*KEY, NOW), ["opened"], NOW)
    incidents.keep(tx, replace(first, acknowledged_by="ann"), ["ann acknowledged it"], NOW)
    with pytest.raises(Overtaken):
        incidents.keep(tx, replace(first, state="late"), ["late"], NOW)
    assert incidents.find(tx, first.number).acknowledged_by == "ann"
    assert [event.text for event in incidents.history(tx, first.number)] == ["opened", "ann acknowledged it"]


def test_there_is_one_open_incident_for_each_report_and_period(ledger):
    """A second one is refused by the database itself; after its end there may be another."""
    with ledger.write() as tx:
        first = incidents.keep(tx, opened(*KEY, NOW), [], NOW)
    with pytest.raises(Exception, match="UNIQUE"), ledger.write() as tx:
        incidents.keep(tx, opened(*KEY, NOW), [], NOW)
    with ledger.write() as tx:
        incidents.keep(tx, replace(first, closed_at=NOW), [], NOW)
        second = incidents.keep(tx, opened(*KEY, NOW + DAY), [], NOW)
        assert list(incidents.opened(tx).values()) == [second]
        assert [one.number for one in incidents.between(tx, NOW, NOW + HOUR)] == [first.number]


def test_an_incident_comes_back_as_it_was_kept(tx):
    """With its people, its instants and its number."""
    kept = incidents.keep(
        tx, replace(opened(*KEY, NOW), told=("ann", "bob"), topics=("late",), next_step_at=NOW + MINUTE), [], NOW
    )
    assert incidents.find(tx, kept.number) == kept
    assert incidents.find(tx, 99) is None


def test_an_incident_of_what_is_gone_ends_quietly(tx):
    """It is closed, says so in its history, and waits for nobody."""
    kept = incidents.keep(tx, replace(opened(*KEY, NOW), next_step_at=NOW + MINUTE), [], NOW)
    gone = incidents.drop(tx, kept, NOW + HOUR)
    assert (gone.open, gone.outcome, gone.next_step_at) == (False, "withdrawn", None)
    assert incidents.opened(tx) == {}


# Rota.


def shift(hours, until, primary="ann", secondary="bob"):
    """A shift by hours from now."""
    return Shift(NOW + hours * HOUR, NOW + until * HOUR, primary, secondary, ("Rotation.",))


def test_a_frozen_shift_that_goes_on_is_joined_and_another_is_added(tx):
    """The past is contiguous, however it was written down."""
    rota.freeze(tx, [shift(0, 5)])
    rota.freeze(tx, [shift(5, 8), shift(8, 9, "bob", None)])
    assert rota.frozen(tx) == (shift(0, 8), shift(8, 9, "bob", None))
    assert rota.frozen_until(tx) == NOW + 9 * HOUR
    assert rota.frozen(tx, NOW + 8 * HOUR) == (shift(8, 9, "bob", None),)


def test_the_newest_rules_hold_and_say_since_when(tx):
    """Older ones stay in the book."""
    assert (rota.rules(tx), rota.rules_since(tx), rota.frozen_until(tx)) == (None, None, None)
    rota.set_rules(tx, "{}", NOW)
    rota.set_rules(tx, '{"a": 1}', NOW + DAY)
    assert (rota.rules(tx), rota.rules_since(tx)) == ('{"a": 1}', NOW + DAY)


def test_a_swap_comes_back_as_it_was_offered_and_as_it_was_accepted(tx):
    """With its number, both legs and everyone who agreed."""
    give, take = Leg("ann", NOW, NOW + HOUR), Leg("bob", NOW + DAY, NOW + DAY + HOUR)
    offered = rota.offer(tx, Swap("", give, take, "ann", NOW, {"ann": NOW}))
    assert rota.swaps(tx) == (offered,)
    agreed = replace(offered, accepted={"ann": NOW, "bob": NOW + MINUTE}, undone_at=NOW + HOUR)
    rota.update(tx, agreed)
    assert rota.swaps(tx) == (agreed,)


# Journal and duties.


def test_a_mark_says_how_far_something_has_come(tx):
    """The last word counts; before the first there is none."""
    assert journal.mark(tx, "looked at") is None
    journal.set_mark(tx, "looked at", Mark(NOW))
    journal.set_mark(tx, "looked at", Mark(NOW + HOUR, "text"))
    assert journal.mark(tx, "looked at") == Mark(NOW + HOUR, "text")


def test_acts_are_listed_by_time_and_the_first_cancellation_counts(tx):
    """Who did what; a second wish to cancel changes nothing."""
    act = Act(NOW, "ann", "acknowledged", {"incident": 1})
    journal.act(tx, act)
    assert journal.acts(tx, NOW, NOW + MINUTE) == (act,)
    assert journal.acts(tx, NOW + MINUTE, NOW + HOUR) == ()
    first = Cancellation("r1", NOW, "ann", "wrong day")
    journal.cancel(tx, first)
    journal.cancel(tx, replace(first, who="bob"))
    assert (journal.cancelled(tx, "r1"), journal.cancelled(tx, "r2")) == (first, None)


def due(period, opens=NOW, at=NOW + DAY):
    """A period of a duty."""
    return Due("audit", period, opens, at)


def test_a_duty_takes_new_times_until_it_is_done_and_the_first_to_do_it_counts(tx):
    """Evidence and name are kept; what is done stays as it was."""
    duties.note(tx, [due("W1")])
    duties.note(tx, [due("W1", at=NOW + 2 * DAY)])
    assert duties.next_due(tx, NOW) == NOW + 2 * DAY
    assert duties.done(tx, "audit", "W1", duties.Done("ann", NOW, {"seen": "all"}))
    assert not duties.done(tx, "audit", "W1", duties.Done("bob", NOW, {}))
    duties.note(tx, [due("W1", at=NOW + 9 * DAY)])
    found = duties.find(tx, "audit", "W1")
    assert (found.due.due_at, found.done_by, found.evidence) == (NOW + 2 * DAY, "ann", {"seen": "all"})
    assert duties.waiting(tx, NOW) == ()


def test_duties_that_the_plan_no_longer_has_are_forgotten_unless_done_or_overdue(tx):
    """A changed rhythm leaves nothing behind that would fall overdue."""
    overdue, kept, done, gone = due("W1", at=NOW - HOUR), due("W2"), due("W3"), due("W4")
    duties.note(tx, [overdue, kept, done, gone])
    duties.done(tx, "audit", "W3", duties.Done("ann", NOW, {}))
    duties.withdraw(tx, [kept.key], NOW, NOW + 9 * DAY)
    found = [task.due.period for task in duties.between(tx, NOW - DAY, NOW + 9 * DAY)]
    assert found == ["W1", "W2", "W3"]


# Fencing: runs with leases.


def run(name="r1", now=NOW, **more):
    """A run that begins."""
    return Run(name, "sales", "2017-11-15", "inputs", now, **more)


def ended(made, now=NOW + HOUR):
    """Its end as delivered."""
    return Result(replace(made, status=Status.DELIVERED, finished_at=now))


def test_a_run_within_its_lease_is_not_taken_over(ledger):
    """Not before the time is up, and not after it was prolonged."""
    ledger.begin(run(), MINUTE)
    with pytest.raises(Taken):
        ledger.begin(run("r2", NOW + MINUTE), MINUTE)
    ledger.renew("sales", "2017-11-15", NOW + HOUR)
    with pytest.raises(Taken):
        ledger.begin(run("r2", NOW + HOUR - MINUTE), MINUTE)


def test_a_claim_given_by_a_clock_that_was_ahead_is_lost_once_that_is_put_right(ledger):
    """It would hold for a day; whoever does not know how long leases are lets it be."""
    ledger.begin(run(now=NOW + DAY), MINUTE)
    with pytest.raises(Taken):
        ledger.begin(run("r2"))
    assert ledger.clear_up(NOW) == ()
    ledger.begin(run("r3"), MINUTE)
    assert ledger.run("r1").status is Status.INTERRUPTED
    ledger.renew("sales", "2017-11-15", NOW + DAY)
    assert [one.run for one in ledger.clear_up(NOW, MINUTE)] == ["r3"]


def test_what_a_run_hands_in_after_it_was_taken_over_is_refused(ledger):
    """It stood still longer than its lease; the other one's word counts and nothing of the first is kept."""
    ledger.begin(run(), MINUTE)
    second = run("r2", NOW + 2 * MINUTE)
    ledger.begin(second, MINUTE)
    with pytest.raises(Fenced):
        ledger.finish(ended(run()))
    assert ledger.run("r1").status is Status.INTERRUPTED
    ledger.finish(ended(second))
    with pytest.raises(Fenced):
        ledger.finish(ended(run()))
    assert [one.status for one in ledger.runs("sales")] == [Status.DELIVERED, Status.INTERRUPTED]


def test_a_run_may_hand_in_late_while_nobody_took_it_over(ledger):
    """A lease that ran out is no loss by itself."""
    ledger.begin(run(), MINUTE)
    ledger.finish(ended(run()))
    assert ledger.run("r1").status is Status.DELIVERED
    assert not ledger.claimed("r1")


def test_a_run_without_lease_holds_as_long_as_its_process_lives(ledger):
    """However long it takes; and not a moment longer."""
    ledger.begin(run())
    with pytest.raises(Taken):
        ledger.begin(run("r2", NOW + DAY), MINUTE)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = replace(Process.this(), pid=child.pid, started="1")
    ledger.begin(replace(run("r3", process=gone), period="2017-11-14"))
    ledger.begin(replace(run("r4"), period="2017-11-14"))
    assert ledger.run("r3").trouble is Trouble.INTERRUPTED


def test_runs_whose_lease_ran_out_are_cleared_up(ledger):
    """Their claims are free, and they say what happened."""
    ledger.begin(run(), MINUTE)
    assert ledger.clear_up(NOW + MINUTE) == ()
    assert [one.run for one in ledger.clear_up(NOW + HOUR)] == ["r1"]
    assert ledger.making("sales", "2017-11-15") is None


# What every tick asks is asked of an index.


@pytest.fixture
def asked(ledger):
    """The plans of SQLite for whatever was asked, once there is much that is long past."""
    with ledger.write() as tx:
        for n in range(200):
            past = NOW - n * HOUR
            made = incidents.keep(tx, opened("sales", f"{n}", past), [], past)
            incidents.keep(tx, replace(made, closed_at=None if n < 2 else past), [], past)
            outbox.owe(tx, [letter(f"{n}", owed_at=past)])
        ids = numbers(tx)[:-2]
        outbox.claim(tx, outbox.due(tx, NOW)[:-2], "one", NOW, NOW + MINUTE)
        outbox.sent(tx, ids, "one", NOW)
    plans = []

    def explain(_connection, cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(row[-1] for row in rows)

    def ask(question):
        plans.clear()
        with ledger.read() as tx:
            sa.event.listen(tx, "before_cursor_execute", explain)
            question(tx)
        return plans

    return ask


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (incidents.opened, "incidents_open"),
        (lambda tx: outbox.due(tx, NOW), "outbox_owed"),
        (lambda tx: outbox.next_try(tx, NOW), "outbox_owed"),
        (lambda tx: outbox.given_up(tx, NOW), "outbox_given_up"),
    ],
)
def test_what_every_tick_asks_reads_no_more_than_what_is_open(asked, question, index):
    """However much was sent and closed before."""
    found = [plan for plan in asked(question) if "incidents" in plan or "outbox" in plan]
    assert found
    assert [plan for plan in found if index not in plan] == []


def test_open_incidents_are_listed_in_the_order_in_which_they_were_opened(tx):
    """Not in that of their names."""
    for name in ("zoo", "ants", "mice"):
        incidents.keep(tx, opened(name, "2017-11-15", NOW), [], NOW)
    assert [name for name, _ in incidents.opened(tx)] == ["zoo", "ants", "mice"]


# Databases with a server.


def test_writers_on_postgresql_follow_one_another():
    """Before anything else, each takes the one lock; who only reads takes none. SQLite stands in for the server."""
    engine, taken = sa.create_engine("sqlite://"), []

    def prepare(raw, _):
        raw.create_function("set_config", 3, lambda *_: None)
        raw.create_function("pg_advisory_xact_lock", 1, taken.append)

    sa.event.listen(engine, "connect", prepare)
    engine.dialect.name = "postgresql"
    store = Store(engine)
    with store.write() as tx:
        assert taken == [WRITER]
        tx.execute(sa.select(1))
    with store.read() as tx:
        tx.execute(sa.select(1))
    assert taken == [WRITER]
    store.close()


class Meets(sqlite3.Connection):
    """A connection to a file that somebody else reads until the first try at the write-ahead log has failed."""

    refused = 0

    def execute(self, statement, *rest):
        try:
            return super().execute(statement, *rest)
        except sqlite3.OperationalError:
            self.refused += 1
            self.other.rollback()
            raise


def test_a_file_that_another_is_at_gets_its_log_once_that_one_is_done(tmp_path):
    """SQLite refuses the switch, at times without any wait: it is tried again. After it the connection is patient."""
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE old (a)")
    other.execute("BEGIN")
    other.execute("SELECT * FROM old").fetchall()
    mine = sqlite3.connect(path, factory=Meets)
    mine.other = other
    _prepare_sqlite(mine, None)
    said = [mine.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "busy_timeout")]
    assert (mine.refused, said) == (1, ["wal", BUSY])
    mine.close()
    other.close()


def test_an_empty_database_prepared_by_several_at_once_is_prepared_once(tmp_path):
    """Each of them finds every table and one version."""
    path, errors, start = tmp_path / "ledger.sqlite", [], threading.Barrier(6)

    def prepare():
        start.wait()
        try:
            Ledger.open(path).close()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite3.connect(path) as connection:
        versions = connection.execute("SELECT version FROM schema_version").fetchall()
    connection.close()
    assert (errors, versions) == ([], [(SCHEMA,)])


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg://ann:s3cret@db:port/x", "postgresql+psycopg://ann@db:s3cret/x"]
)
def test_an_address_that_cannot_be_read_is_told_without_its_password(address):
    """A sentence and its remedy, and no trace of what was in the address."""
    with pytest.raises(ConfigError, match="The ledger cannot be opened") as caught:
        Ledger.open(address)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown
    assert "port" in caught.value.remedy


# An older ledger.

SCHEMA_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE runs (run VARCHAR(64) NOT NULL PRIMARY KEY, pipeline VARCHAR(64) NOT NULL, period VARCHAR(64) NOT NULL,
  status VARCHAR(16) NOT NULL, decision VARCHAR(16), version INTEGER, inputs VARCHAR(64) NOT NULL,
  parameters JSON NOT NULL, started_at VARCHAR(32) NOT NULL, finished_at VARCHAR(32), trouble VARCHAR(32),
  message TEXT NOT NULL, folder TEXT, process JSON NOT NULL);
CREATE INDEX runs_by_period ON runs (pipeline, period);
CREATE TABLE claims (pipeline VARCHAR(64) NOT NULL, period VARCHAR(64) NOT NULL, run VARCHAR(64) NOT NULL,
  PRIMARY KEY (pipeline, period), FOREIGN KEY (run) REFERENCES runs (run));
CREATE TABLE findings (run VARCHAR(64) NOT NULL, position INTEGER NOT NULL, "check" TEXT NOT NULL,
  level VARCHAR(8) NOT NULL, message TEXT NOT NULL, trouble VARCHAR(32), numbers JSON NOT NULL,
  PRIMARY KEY (run, position), FOREIGN KEY (run) REFERENCES runs (run));
CREATE TABLE figures (run VARCHAR(64) NOT NULL, name VARCHAR(128) NOT NULL, position INTEGER NOT NULL,
  kind VARCHAR(8) NOT NULL, whole BIGINT, number DOUBLE, words TEXT, unit VARCHAR(32) NOT NULL, text TEXT NOT NULL,
  rest JSON NOT NULL, PRIMARY KEY (run, name), FOREIGN KEY (run) REFERENCES runs (run));
CREATE TABLE artifacts (run VARCHAR(64) NOT NULL, path VARCHAR(255) NOT NULL, sha256 VARCHAR(64) NOT NULL,
  size BIGINT NOT NULL, PRIMARY KEY (run, path), FOREIGN KEY (run) REFERENCES runs (run));
CREATE TABLE deliveries (pipeline VARCHAR(64) NOT NULL, period VARCHAR(64) NOT NULL, version INTEGER NOT NULL,
  recipient VARCHAR(255) NOT NULL, run VARCHAR(64) NOT NULL, message_id VARCHAR(255) NOT NULL, sent_at VARCHAR(32),
  PRIMARY KEY (pipeline, period, version, recipient), FOREIGN KEY (run) REFERENCES runs (run));
CREATE TABLE records (pipeline VARCHAR(64) NOT NULL, name VARCHAR(128) NOT NULL, day VARCHAR(10) NOT NULL,
  run VARCHAR(64) NOT NULL, "values" JSON NOT NULL, PRIMARY KEY (pipeline, name, day),
  FOREIGN KEY (run) REFERENCES runs (run));
INSERT INTO schema_version VALUES (1);
INSERT INTO runs VALUES ('r1', 'sales', '2017-11-15', 'delivered', 'deliver', 1, 'digest', '{"as_of": "2017-11-15"}',
  '2017-11-16T13:00:00.000000+00:00', '2017-11-16T13:02:00.000000+00:00', NULL, '', 'reports/sales/2017-11-15/r1',
  '{"host": "h", "boot": "b", "pid": 1, "started": "1"}');
INSERT INTO deliveries VALUES ('sales', '2017-11-15', 1, 'olga@example.com', 'r1', '<m@x>',
  '2017-11-16T13:02:01.000000+00:00');
INSERT INTO records VALUES ('sales', 'daily', '2017-11-15', 'r1', '{"day": "2017-11-15", "revenue": 1.5}');
"""


def is_text(value):
    """Whether a value is text."""
    return isinstance(value, str)


def schema(path):
    """The columns of every table and index of a database file."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        rows = {name: connection.execute(f"PRAGMA {kind}_info({name})").fetchall() for kind, name in names}
    connection.close()
    return {name: [next(filter(is_text, column), "expression") for column in found] for name, found in rows.items()}


def older(path: Path) -> Path:
    """A ledger as the first version wrote it."""
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA_1)
    connection.close()
    return path


def test_a_ledger_of_the_first_schema_is_renewed_and_keeps_what_it_knew(tmp_path):
    """Runs, deliveries and records are there; the new books are, too."""
    path = older(tmp_path / "old.sqlite")
    ledger = Ledger.open(path)
    assert ledger.run("r1").status is Status.DELIVERED
    assert ledger.durations("sales") == (120.0,)
    assert [one.recipient for one in ledger.deliveries("sales", "2017-11-15", 1)] == ["olga@example.com"]
    assert ledger.records("sales", "daily", "2017-11-15", "2017-11-15") == [{"day": "2017-11-15", "revenue": 1.5}]
    with ledger.write() as tx:
        claimed(tx)
        outbox.owe(tx, [letter()])
    ledger.begin(run("r2"), MINUTE)
    ledger.close()


#: From the present schema back to the fourth.
BACK_TO_4 = """
DROP INDEX acts_drills; DROP INDEX deliveries_by_run; DROP INDEX deliveries_by_reader;
DROP INDEX deliveries_by_reader_of; DROP INDEX deadlines_of_pipeline;
DROP TABLE sign_in_links; DROP TABLE sessions; DROP TABLE tokens; DROP TABLE arrivals;
UPDATE schema_version SET version = 4;
"""
#: From there back to the second.
BACK_TO_2 = """
DROP INDEX runs_by_outcome; DROP INDEX runs_by_period; CREATE INDEX runs_by_period ON runs (pipeline, period);
ALTER TABLE runs DROP COLUMN kernel;
DROP INDEX incidents_by_time; DROP INDEX incidents_closed; DROP INDEX deadlines_held; DROP INDEX duties_open;
DROP INDEX outbox_by_kind; DROP INDEX outbox_given_up; DROP INDEX shifts_by_end; DROP INDEX deliveries_open;
ALTER TABLE deliveries DROP COLUMN state; ALTER TABLE deliveries DROP COLUMN attempts;
ALTER TABLE deliveries DROP COLUMN next_try_at; ALTER TABLE deliveries DROP COLUMN holder;
ALTER TABLE deliveries DROP COLUMN lease_until; ALTER TABLE deliveries DROP COLUMN error;
DROP TABLE probes; DROP TABLE loads; DROP TABLE fingerprints;
UPDATE schema_version SET version = 2;
"""


def fourth(path: Path, more: str = "") -> Path:
    """A ledger as the fourth version wrote it, with a run; with the statements of `more`, an older one."""
    ledger = Ledger.open(path)
    ledger.begin(run("r1"))
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.executescript(BACK_TO_4 + more)
    connection.close()
    return path


def second(path: Path) -> Path:
    """A ledger as the second version wrote it, with a run."""
    return fourth(path, BACK_TO_2)


def test_a_run_of_an_older_ledger_says_nothing_of_its_kernel(tmp_path):
    """And a newer one in the same ledger does."""
    ledger = Ledger.open(second(tmp_path / "old.sqlite"))
    assert ledger.run("r1").kernel == ""
    ledger.mark(replace(ledger.run("r1"), kernel="cold: switched off"))
    assert ledger.run("r1").kernel == "cold: switched off"
    ledger.close()


@pytest.mark.parametrize("written", [older, second, fourth], ids=["first", "second", "fourth"])
def test_a_renewed_ledger_has_the_same_tables_and_indexes_as_a_new_one(tmp_path, written):
    """Whatever its age; and renewing it again changes nothing."""
    path, fresh = written(tmp_path / "old.sqlite"), tmp_path / "new.sqlite"
    for _ in range(2):
        Ledger.open(path).close()
    Ledger.open(fresh).close()
    assert schema(path) == schema(fresh)


def fail_in_the_middle(ledger):
    """Write, and then raise."""
    with ledger.write() as tx:
        deadlines.note(tx, [deadline()])
        raise RunFailed("in the middle")


def test_a_transaction_that_fails_leaves_nothing(ledger):
    """What was written before the error is taken back with it."""
    with pytest.raises(RunFailed):
        fail_in_the_middle(ledger)
    with ledger.read() as tx:
        assert deadlines.find(tx, KEY) is None
