"""The scheduler: what is owed is made once, what goes wrong is told once, to the right people, in the right words."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from runner.delivery.channels import Recorder
from runner.errors import Trouble
from runner.ledger import (
    Delivery,
    Ledger,
    Process,
    Result,
    Run,
    deadlines,
    duties,
    finished,
    incidents,
    journal,
    outbox,
    rota,
)
from runner.ledger.deadlines import State
from runner.model import Status
from runner.plan import incidents as rules
from runner.plan.deadlines import Begin
from runner.report import shelf
from runner.scheduler import post, roster, work
from runner.scheduler.tick import next_tick, tick
from tests.small_office import (
    DAY,
    DUE,
    ENGINEERS,
    FAILS,
    FINE,
    GROWTH,
    GROWTH_ENTRY,
    HANGS,
    HOLDS,
    HOUR,
    MIDNIGHT,
    MINUTE,
    OLGA,
    PASSES,
    SALES,
    SALES_ENTRY,
    SECOND,
    Hands,
    Outcome,
    drive,
    duty,
    letters,
    office,
    oncall,
    people,
    pipeline,
    project,
    settings,
)

START = DUE - HOUR  # when the work on sales begins
NOON = MIDNIGHT + 12 * HOUR


@pytest.fixture
def ledger():
    """An empty ledger in memory."""
    found = Ledger.open("sqlite://")
    yield found
    found.close()


def owed(ledger, key=SALES):
    """A deadline as it stands."""
    with ledger.read() as tx:
        return deadlines.find(tx, key)


def told(carrier, *people):
    """(minutes from the due time, who, first word of the subject) of the messages to some people, or to all."""
    found = [(int((at - DUE) / MINUTE), who, what) for at, who, what in letters(carrier)]
    return [line for line in found if not people or line[1] in people]


def bodies(carrier, address):
    """Everything that one address was sent, as plain values."""
    return [sent.parcel.message.as_dict() for sent in carrier.sent if sent.parcel.address.startswith(address)]


def acknowledge(ledger, who, now):
    """Somebody takes the only open incident."""
    with ledger.write() as tx:
        (incident,) = incidents.opened(tx).values()
        incidents.keep(tx, rules.acknowledge(incident, who, now).incident, [], now)


def by_hand(ledger, at, key=SALES, **more):
    """A run that somebody made with `runner run`, delivered unless said otherwise."""
    run = Run(f"hand-{at:%d%H%M}", *key, "inputs", at - MINUTE)
    ledger.begin(run)
    ledger.finish(Result(replace(run, **{"status": Status.DELIVERED, "finished_at": at, **more})))
    return run


# What goes well.


def test_a_report_that_is_in_time_is_made_once_and_nobody_hears_of_it(ledger):
    """It begins when it should, its deadline is met, no incident is opened and nothing is sent."""
    desk = office(ledger, project())
    drive(desk, MIDNIGHT, NOON)
    assert [(at, order.deadline.key) for at, order in desk.crew.begun] == [(START, SALES)]
    assert (owed(ledger).state, owed(ledger).ended_at, owed(ledger).on_time) == (State.MET, START + 5 * MINUTE, True)
    assert desk.carrier.sent == []


def test_a_report_waits_for_the_one_it_rests_on(ledger):
    """Growth is to begin at nine and sales are ready at 09:20: growth begins with that."""
    late = pipeline("sales", "daily by 09:30", room="30 min")
    desk = office(ledger, project(late, GROWTH_ENTRY), Hands(ledger, {SALES: (Outcome(takes=20 * MINUTE),)}))
    drive(desk, MIDNIGHT, NOON)
    assert [(at - DUE, order.deadline.pipeline) for at, order in desk.crew.begun] == [
        (0 * MINUTE, "sales"),
        (20 * MINUTE, "growth"),
    ]
    assert desk.carrier.sent == []


def test_what_was_promised_before_the_scheduler_was_first_started_is_not_owed(ledger):
    """A fresh ledger begins with what is due from then on."""
    drive(office(ledger, project()), DUE + MINUTE, DUE + 30 * HOUR)
    assert owed(ledger) is None
    assert owed(ledger, ("sales", "2017-11-14")).state is State.MET


def test_no_more_runs_are_under_way_than_allowed(ledger):
    """Five reports at once, two at a time, all of them made."""
    entries = [pipeline(f"r{n}", "daily by 09:00", usual="1 min") for n in range(5)]
    desk = office(ledger, project(*entries, settings=settings(runs_at_once=2)))
    drive(desk, MIDNIGHT, NOON)
    assert desk.crew.most == 2
    assert {owed(ledger, (entry.name, SALES[1])).state for entry in entries} == {State.MET}


# What goes wrong.


def test_what_never_starts_is_told_of_before_it_is_late_and_when_it_is(ledger):
    """Nobody can start it: not started, at risk at the latest safe start, late, each once; nothing about runs."""
    shop = project(settings=settings(runs_at_once=1))
    blocker = pipeline("blocker", "daily by 08:00", readers=(), room="2 h")
    shop = replace(shop, pipelines={"blocker": blocker, **shop.pipelines})
    crew = Hands(ledger, {("blocker", SALES[1]): (HANGS,)})
    desk = office(ledger, shop, crew, lease=DAY)
    drive(desk, MIDNIGHT, DUE + MINUTE)
    mine = [line for line in bodies(desk.carrier, "ann") if "Sales" in line["subject"]]
    assert [line["subject"].partition(":")[0] for line in mine] == ["Not started", "At risk", "Late"]
    assert mine[0]["headline"] == "It should have started at 08:00 and has not started."
    assert mine[1]["headline"] == "It has not begun and had to begin by 08:52 to be ready by 09:00."
    assert "and is not there. It should have started" in mine[2]["headline"]
    assert told(desk.carrier, "olga") == [(0, "olga", "Delayed")]


def test_what_was_due_while_no_scheduler_ran_is_late_at_the_first_look(ledger):
    """Seen once at midnight, then not before ten: it is told at once, and the report is still made."""
    desk = office(ledger, project())
    tick(desk, MIDNIGHT)
    drive(desk, DUE + HOUR, DUE + 2 * HOUR)
    assert told(desk.carrier) == [(60, "ann", "Late"), (60, "olga", "Delayed"), (65, "ann", "Recovered")]
    assert (owed(ledger).state, owed(ledger).on_time) == (State.MET, False)


def test_a_run_that_takes_too_long_is_at_risk_before_the_deadline_and_says_why(ledger):
    """It usually takes five minutes; the safe start has passed and it is not there."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (Outcome(takes=58 * MINUTE),)}))
    drive(desk, MIDNIGHT, NOON)
    assert told(desk.carrier) == [(-7, "ann", "At risk"), (-2, "ann", "Recovered")]
    assert bodies(desk.carrier, "ann")[0]["headline"] == (
        "The run began at 08:00 and takes longer than the 8 min of a slow run; due is 09:00."
    )


def test_a_failure_that_no_retry_mends_is_told_at_once_and_not_tried_again(ledger):
    """With what the run said, the run itself, and the runbook that answers this very trouble."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert told(desk.carrier) == [(-55, "ann", "Failed")]
    (body,) = bodies(desk.carrier, "ann")
    section = desk.library.answer("sales", str(Trouble.CELL_FAILED))
    assert (body["headline"], body["runbook_title"]) == (FAILS.message, section.title)
    assert ["Run", owed(ledger).run] in body["facts"]
    assert len(desk.crew.begun) == 1


def test_a_failure_that_may_pass_is_tried_again_with_waits_and_told_after_the_last(ledger):
    """Three attempts, one and five minutes apart; then one message that says how often."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (PASSES,)}))
    drive(desk, MIDNIGHT, DUE - 10 * MINUTE)
    assert [int((at - START) / MINUTE) for at, _ in desk.crew.begun] == [0, 6, 16]
    assert told(desk.carrier, "ann") == [(-39, "ann", "Failed")]
    assert bodies(desk.carrier, "ann")[0]["headline"] == "The warehouse did not answer. (after 3 attempts)"


def test_a_failure_that_passed_is_told_to_nobody(ledger):
    """The second attempt went well."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (PASSES, FINE)}))
    drive(desk, MIDNIGHT, NOON)
    assert (owed(ledger).state, desk.carrier.sent) == (State.MET, [])


def test_a_held_report_is_told_and_comes_when_somebody_approves_it(ledger):
    """The same run, delivered by hand: the deadline is met when its readers got it, not when it was made."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (HOLDS,)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert told(desk.carrier) == [(-55, "ann", "Held")]
    run = ledger.run(owed(ledger).run)
    ledger.owe(run, [Delivery(OLGA, "<m@x>")])
    ledger.sent(run, OLGA, DUE + 5 * MINUTE)
    ledger.mark(replace(run, status=Status.DELIVERED))
    acknowledge(ledger, "ann", START + 11 * MINUTE)
    drive(desk, START + 12 * MINUTE, NOON)
    assert (owed(ledger).state, owed(ledger).ended_at) == (State.MET, DUE + 5 * MINUTE)
    assert told(desk.carrier, "ann")[-1][2] == "Recovered"
    assert "5 min late" in bodies(desk.carrier, "ann")[-1]["headline"]


def test_a_cancelled_run_is_not_begun_again_by_itself(ledger):
    """Whoever cancelled it had a reason; that it was cancelled is told."""
    gone = Outcome(Status.INTERRUPTED, Trouble.INTERRUPTED, "Cancelled by Ann.", cancelled=True)
    desk = office(ledger, project(), Hands(ledger, {SALES: (gone,)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert (len(desk.crew.begun), owed(ledger).outcome) == (1, "cancelled")
    assert bodies(desk.carrier, "ann")[0]["headline"] == "Cancelled by Ann."


def test_a_run_that_was_stopped_with_the_scheduler_counts_as_no_attempt(ledger):
    """It is begun again, as if nothing had been."""
    stopped = Outcome(Status.INTERRUPTED, Trouble.INTERRUPTED, "Stopped.", takes=MINUTE)
    desk = office(ledger, project(), Hands(ledger, {SALES: (stopped,)}))
    drive(desk, MIDNIGHT, START + 90 * timedelta(seconds=1))
    assert [order.attempt for _, order in desk.crew.begun] == [1, 1]


def test_a_report_made_by_hand_meets_its_deadline_and_recovers_its_incident(ledger):
    """An engineer ran it again after it failed; those who were told of the trouble hear of it."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    by_hand(ledger, START + 20 * MINUTE)
    drive(desk, START + 21 * MINUTE, DUE + HOUR)
    assert (owed(ledger).state, owed(ledger).ended_at) == (State.MET, START + 20 * MINUTE)
    assert [(who, what) for _, who, what in told(desk.carrier)] == [("ann", "Failed"), ("ann", "Recovered")]


def test_a_report_that_was_made_by_hand_before_is_not_made_again(ledger):
    """It is met before its own attempt would begin."""
    desk = office(ledger, project())
    tick(desk, MIDNIGHT)
    by_hand(ledger, START - HOUR)
    drive(desk, MIDNIGHT + HOUR, NOON)
    assert (owed(ledger).state, desk.crew.begun, desk.carrier.sent) == (State.MET, [], [])


def test_a_later_failure_by_hand_does_not_undo_what_readers_have(ledger):
    """Delivered once is delivered."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    by_hand(ledger, START + 12 * MINUTE)
    by_hand(ledger, START + 14 * MINUTE, status=Status.FAILED)
    tick(desk, START + 15 * MINUTE)
    assert owed(ledger).state is State.MET


def test_a_report_that_somebody_is_making_by_hand_is_waited_for_and_costs_no_attempt(ledger):
    """It is looked at again every minute, and nobody is told that it has not started."""
    desk = office(ledger, project())
    tick(desk, MIDNIGHT)
    ledger.begin(Run("hand", *SALES, "inputs", START - MINUTE))
    drive(desk, START, START + 10 * MINUTE + 30 * SECOND)
    assert len(desk.crew.begun) > 5
    assert (owed(ledger).attempts, desk.carrier.sent) == (0, [])
    ledger.finish(Result(replace(ledger.run("hand"), status=Status.DELIVERED, finished_at=START + 11 * MINUTE)))
    drive(desk, START + 12 * MINUTE, NOON)
    assert (owed(ledger).state, owed(ledger).run, desk.carrier.sent) == (State.MET, "hand", [])


def test_equal_figures_that_readers_have_already_meet_the_deadline(ledger):
    """The run is ready and goes to nobody, because an earlier one with the same figures goes out in its place."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (Outcome(Status.READY),)}))
    tick(desk, MIDNIGHT)
    earlier = by_hand(ledger, START - HOUR, status=Status.READY, version=1)
    ledger.owe(earlier, [Delivery(OLGA, "<m@x>")])
    drive(desk, START, START + MINUTE)
    ledger.sent(earlier, OLGA, START + 2 * MINUTE)
    ledger.mark(replace(ledger.run(earlier.run), status=Status.DELIVERED))
    drive(desk, START + 3 * MINUTE, NOON)
    assert (owed(ledger).state, owed(ledger).outcome, desk.carrier.sent) == (State.MET, "delivered", [])


def approved(ledger, now, *, reader=OLGA):
    """The held run of sales is released and owed to a reader, and then its approver is killed."""
    held = ledger.run(owed(ledger).run)
    with ledger.write() as tx:
        released = replace(held, status=Status.READY, trouble=None, message="Approved by Ann.")
        finished.release(tx, Result(released, owed=(Delivery(reader, "<m@x>"),)))
        journal.act(tx, journal.Act(now, "ann", "approved", {"run": held.run}))
    return held.run


def test_a_report_whose_approval_was_cut_off_is_handed_over_by_the_next_attempt(ledger):
    """Released, owed and not sent: it is tried again at the next look."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (HOLDS, FINE)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    approved(ledger, START + 11 * MINUTE)
    drive(desk, START + 12 * MINUTE, DUE)
    assert [at for at, _ in desk.crew.begun] == [START, START + 12 * MINUTE]
    assert owed(ledger).state is State.MET


def test_a_report_that_cannot_be_handed_over_is_not_tried_for_ever(ledger):
    """Whether the attempt fails at sending the very run, or does not come so far at all."""
    lost = Outcome(Status.FAILED, Trouble.CELL_FAILED, "No.", takes=SECOND)

    class Refuses(Hands):
        """A crew whose second and later attempts end before a run is begun."""

        def finished(self, now):
            ended = [replace(done, run="") if len(self.begun) > 1 else done for done in super().finished(now)]
            for done in ended:
                if not done.run:
                    with self.ledger.write() as tx:
                        tx.exec_driver_sql("DELETE FROM runs WHERE status = 'failed'")
            return tuple(ended)

    desk = office(ledger, project(), Refuses(ledger, {SALES: (HOLDS, lost)}))
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    approved(ledger, START + 11 * MINUTE)
    now = START + 12 * MINUTE
    for _ in range(200):
        tick(desk, now)
        now += 5 * SECOND
    assert len(desk.crew.begun) == settings().attempts + work.MORE
    assert (owed(ledger).outcome, owed(ledger).next_try_at) == ("failed", None)


def test_a_run_about_another_period_does_not_meet_the_deadline(ledger):
    """The config was changed while it was under way; readers wait for the day still, and it is told."""
    desk = office(ledger, project())
    drive(desk, MIDNIGHT, START)
    (order, run, outcome) = next(iter(desk.crew.under_way.values()))
    other = Run("other", "sales", "2017-W45", "inputs", START, {"as_of": "2017-11-13"})
    ledger.begin(other)
    desk.crew.under_way[order.token] = (order, other, outcome)
    drive(desk, START + MINUTE, START + 10 * MINUTE)
    assert (owed(ledger).state, owed(ledger).outcome, owed(ledger).next_try_at) == (State.OPEN, "failed", None)
    assert owed(ledger).message == "The run made sales for 2017-W45, and owed was 2017-11-13."
    assert told(desk.carrier, "ann") == [(-55, "ann", "Failed")]
    assert ledger.run(run.run).status is Status.RUNNING


# A report that is of no use any more.


def test_a_report_of_no_use_is_given_up_and_those_who_heard_of_it_are_told(ledger):
    """Down for half a day: engineers and readers hear that it is late and then that it will not come; none is made."""
    desk = office(ledger, project(pipeline("sales", "daily by 09:00", no_use_after="2 h")))
    tick(desk, MIDNIGHT)
    drive(desk, DUE + 5 * HOUR, DUE + 6 * HOUR)
    assert (owed(ledger).state, desk.crew.begun) == (State.MISSED, [])
    assert [(who, what) for _, who, what in told(desk.carrier)] == [
        ("ann", "Late"),
        ("olga", "Delayed"),
        ("ann", "Closed"),
        ("olga", "Will not come"),
    ]


def test_a_report_is_not_given_up_while_somebody_is_at_it(ledger):
    """It comes late, but it comes."""
    shop = project(pipeline("sales", "daily by 09:00", no_use_after="1 h"))
    desk = office(ledger, shop, Hands(ledger, {SALES: (Outcome(takes=150 * MINUTE),)}), lease=DAY)
    drive(desk, MIDNIGHT, DUE + 2 * HOUR)
    assert (owed(ledger).state, owed(ledger).on_time) == (State.MET, False)


def test_after_a_week_without_a_scheduler_each_deadline_is_served_once(ledger):
    """Late reports are still made, each once and in order of their due times, and each is told once as late."""
    desk = office(ledger, project(settings=settings(runs_at_once=1)))
    tick(desk, MIDNIGHT)
    drive(desk, MIDNIGHT + 12 * DAY, MIDNIGHT + 13 * DAY)
    served = [order.deadline.period for _, order in desk.crew.begun]
    assert served == [f"{(MIDNIGHT + n * DAY):%Y-%m-%d}" for n in range(-1, 12)]
    with ledger.read() as tx:
        found = deadlines.between(tx, MIDNIGHT, MIDNIGHT + 13 * DAY)
        assert {one.state for one in found} == {State.MET}
        assert len(incidents.between(tx, MIDNIGHT, MIDNIGHT + 13 * DAY)) == 12


# Who is told.


def test_silence_goes_up_and_an_acknowledgement_ends_it(ledger):
    """Primary, secondary; then somebody is at it and the owners sleep."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 21 * MINUTE)
    acknowledge(ledger, "bob", START + 22 * MINUTE)
    drive(desk, START + 23 * MINUTE, DUE - MINUTE)
    assert told(desk.carrier) == [(-55, "ann", "Failed"), (-40, "bob", "Escalated")]
    assert bodies(desk.carrier, "bob")[0]["headline"].startswith("Ann did not acknowledge this.")


def test_a_hand_off_in_the_middle_tells_the_new_primary(ledger):
    """Monday at nine the shift changes while Sunday's sales are failed since 08:05."""
    monday = MIDNIGHT + 6 * DAY
    desk = office(ledger, project(), Hands(ledger, {("sales", "2017-11-19"): (FAILS,)}))
    drive(desk, monday, monday + 9 * HOUR + MINUTE)
    handed = [body for body in bodies(desk.carrier, "bob") if body["subject"].startswith("Handed to you")]
    late = [body for body in bodies(desk.carrier, "bob") if body["subject"].startswith("Late")]
    assert len(handed) + len(late) == 1  # at nine it is late, too: one message says both


def test_a_drill_reaches_no_reader(ledger):
    """Engineers see that it is one; Olga hears nothing."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}), drill=True)
    drive(desk, MIDNIGHT, DUE + HOUR)
    assert told(desk.carrier, "olga") == []
    assert {body["subject"].partition(" ")[0] for body in bodies(desk.carrier, "ann")} == {"[DRILL]"}


def test_readers_of_a_late_report_get_nothing_that_is_internal(ledger):
    """No run, engineer, error, command, path or incident, in any field, however long it takes, whatever comes of it."""
    shop = project(pipeline("sales", "daily by 09:00", no_use_after="10 h"))
    desk = office(ledger, shop, Hands(ledger, {SALES: (FAILS,), ("sales", "2017-11-14"): (HOLDS,)}))
    drive(desk, MIDNIGHT, MIDNIGHT + 3 * DAY)
    said = bodies(desk.carrier, "olga")
    assert {body["subject"].partition(":")[0] for body in said} == {"Delayed", "Still delayed", "Will not come"}
    text = repr(said)
    names = [name.title() for name in ENGINEERS]
    for word in (
        *names,
        *ENGINEERS,
        "run-",
        "hand-",
        FAILS.message,
        HOLDS.message,
        "runner",
        "reports/",
        "[#",
        "KeyError",
    ):
        assert not re.search(rf"(?<![a-z]){re.escape(word)}", text), word
    assert {body["audience"] for body in said} == {"readers"}


def test_a_flood_for_one_person_is_one_message(ledger):
    """Five reports fail in one look: one message with all five, one identity; Bob gets one, too."""
    entries = [pipeline(f"r{n}", "daily by 09:00") for n in range(5)]
    script = {(entry.name, SALES[1]): (FAILS,) for entry in entries}
    desk = office(ledger, project(*entries, settings=settings(runs_at_once=5)), Hands(ledger, script))
    drive(desk, MIDNIGHT, START + 21 * MINUTE)
    assert [(who, what) for _, who, what in told(desk.carrier)] == [
        ("ann", "5 messages, first"),
        ("bob", "5 messages, first"),
    ]
    text = repr(bodies(desk.carrier, "ann"))
    assert all(f"R{n}, " in text for n in range(5))


# Letters.


def test_a_letter_that_its_channel_refuses_is_tried_less_and_less_often_and_given_up(ledger):
    """After a minute, two, four ... an hour; a day later no more. Mail to the same person goes out at once."""
    carrier = Recorder(broken={"env:PAGER"})
    shop = project(people=people(ann=("env:PAGER",)))
    desk = office(ledger, shop, Hands(ledger, {SALES: (FAILS,)}), carrier)
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    acknowledge(ledger, "ann", START + 10 * MINUTE)
    by_hand(ledger, START + 11 * MINUTE)
    for at in range(0, 60 * 30, 10):
        tick(desk, START + 12 * MINUTE + at * MINUTE)
    assert [line[2] for line in told(carrier, "ann")] == ["Failed", "Recovered"]
    with ledger.read() as tx:
        lost = outbox.given_up(tx, MIDNIGHT)
    assert [one.kind for one in lost] == ["trouble", "recovered"]
    assert all(20 < one.attempts < 40 and one.sent_at is None for one in lost)


def test_a_channel_that_comes_back_gets_what_it_missed_under_the_same_identity(ledger):
    """The waits between tries grow from a minute."""
    carrier = Recorder(broken={"ann@engineer.example"})
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}), carrier)
    drive(desk, MIDNIGHT, START + 6 * MINUTE)
    with ledger.read() as tx:
        (letter,) = outbox.between(tx, MIDNIGHT, NOON)
    assert (letter.attempts, outbox_next(ledger, START + 6 * MINUTE)) == (2, START + 8 * MINUTE)
    carrier.broken.clear()
    drive(desk, START + 7 * MINUTE, START + 9 * MINUTE)
    assert [sent.parcel.message_id for sent in carrier.sent] == [letter.message_id]


def outbox_next(ledger, now):
    """When the next letter is tried."""
    with ledger.read() as tx:
        return outbox.next_try(tx, now)


class DiesAfterSending(Recorder):
    """Takes parcels, and dies before anybody can note the first."""

    def send(self, parcel, now):
        super().send(parcel, now)
        if len(self.sent) == 1:
            raise KeyboardInterrupt


def test_a_letter_that_was_sent_but_not_noted_keeps_its_identity_and_its_company(ledger):
    """Later letters for the same person never travel under it: taken for a repeat, they would be lost."""
    entries = [pipeline(f"r{n}", "daily by 09:00") for n in range(5)]
    later = Outcome(Status.FAILED, Trouble.CELL_FAILED, "Broken.", takes=12 * MINUTE)
    script = {(entry.name, SALES[1]): (later,) for entry in entries[1:]} | {("r0", SALES[1]): (FAILS,)}
    carrier = DiesAfterSending()
    shop = project(*entries, settings=settings(runs_at_once=5))
    desk = office(ledger, shop, Hands(ledger, script), carrier, lease=DAY)
    with pytest.raises(KeyboardInterrupt):
        drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert carrier.sent[0].now + post.LEASE < START + 12 * MINUTE
    tick(desk, START + 12 * MINUTE)  # the first is to be sent again, with four that are new
    identities = [sent.parcel.message_id for sent in carrier.sent]
    assert Counter(sent.parcel.message.subject.partition(":")[0] for sent in carrier.sent) == {
        "Failed": 2,
        "4 messages, first": 1,
    }
    assert sorted(Counter(identities).values()) == [1, 2]
    assert [sent.repeat for sent in carrier.sent].count(True) == 1


def test_the_sign_of_life_goes_through_the_outbox_at_its_own_pace(ledger):
    """Every five minutes, on its channel; a refused one is not repeated, for the next comes; old ones are forgotten."""
    heart = settings(heartbeat={"every": "5 min", "channel": "env:WATCH"})
    desk = office(ledger, project(settings=heart))
    drive(desk, MIDNIGHT, MIDNIGHT + HOUR)
    beats = [(sent.now, sent.parcel.channel) for sent in desk.carrier.sent]
    assert beats == [(MIDNIGHT + n * 5 * MINUTE, "env:WATCH") for n in range(13)]
    desk.carrier.broken.add("env:WATCH")
    tick(desk, MIDNIGHT + HOUR + 5 * MINUTE)
    tick(desk, MIDNIGHT + HOUR + 6 * MINUTE)
    with ledger.read() as tx:
        assert [one.attempts for one in outbox.given_up(tx, MIDNIGHT)] == [1]
    tick(desk, MIDNIGHT + 3 * DAY)
    with ledger.read() as tx:
        assert len(outbox.between(tx, MIDNIGHT, MIDNIGHT + 3 * DAY)) == 0


# Changes of config.


def test_a_change_of_config_is_recorded_and_told_to_those_whom_it_touches(ledger):
    """A new owner and the old one hear of it, nobody else; once, however often a scheduler starts."""
    shop = project()
    tick(office(ledger, shop), MIDNIGHT)
    moved = pipeline("sales", "daily by 09:30", owners={"primary": "bob", "secondary": "dan", "because": "Now he."})
    changed = replace(shop, pipelines={"sales": moved})
    desks = [office(ledger, changed) for _ in range(2)]
    for desk in desks:
        tick(desk, MIDNIGHT + HOUR)
    assert sorted(who for _, who, _ in told(desks[0].carrier)) == ["bob", "cat", "dan"]
    assert desks[1].carrier.sent == []
    assert "deadline was daily by 09:00, is daily by 09:30" in repr(bodies(desks[0].carrier, "bob"))
    with ledger.read() as tx:
        assert [act.what for act in journal.acts(tx, MIDNIGHT, NOON)] == ["config changed"]


def test_a_changed_promise_moves_what_has_not_begun(ledger):
    """The new time holds from the next look on."""
    shop = project()
    tick(office(ledger, shop), MIDNIGHT)
    tick(office(ledger, replace(shop, pipelines={"sales": pipeline("sales", "daily by 11:00")})), MIDNIGHT + HOUR)
    assert owed(ledger).deadline.due_at == DUE + 2 * HOUR


def test_a_pipeline_that_is_gone_is_owed_no_more_and_stops_nobody(ledger):
    """Its failed deadline is withdrawn, its incident ends quietly, and the other report is made."""
    shop = project(SALES_ENTRY, pipeline("other", "daily by 12:00"))
    drive(office(ledger, shop, Hands(ledger, {SALES: (FAILS,)})), MIDNIGHT, START + 10 * MINUTE)
    desk = office(ledger, replace(shop, pipelines={"other": shop.pipelines["other"]}))
    drive(desk, START + 11 * MINUTE, NOON)
    with ledger.read() as tx:
        assert incidents.opened(tx) == {}
    assert owed(ledger).state is State.WITHDRAWN
    assert owed(ledger, ("other", SALES[1])).state is State.MET
    assert [line for line in told(desk.carrier) if line[2] != "The pipelines' configuration has changed"] == []


@pytest.mark.parametrize("outcome", [FAILS, HOLDS, FINE])
@pytest.mark.parametrize("back", [START + 30 * MINUTE, DUE + 2 * HOUR, DUE + 2 * DAY])
def test_a_pipeline_that_is_restored_owes_again_what_it_owed(ledger, outcome, back):
    """Gone by mistake for an hour or for days: what is late then is told and made, also what had been begun before."""
    shop = project(SALES_ENTRY, pipeline("other", "daily by 12:00"))
    drive(office(ledger, shop, Hands(ledger, {SALES: (outcome,)})), MIDNIGHT, START + 10 * MINUTE)
    gone = office(ledger, replace(shop, pipelines={"other": shop.pipelines["other"]}))
    drive(gone, START + 11 * MINUTE, START + 20 * MINUTE)
    drive(gone, back - MINUTE, back - MINUTE)
    desk = office(ledger, shop)
    drive(desk, back, back + HOUR)
    with ledger.read() as tx:
        mine = [one for one in deadlines.between(tx, MIDNIGHT, back + 40 * MINUTE) if one.key[0] == "sales"]
    assert [one.deadline.due_at for one in mine] == [DUE + n * DAY for n in range(3) if DUE + n * DAY < back + HOUR]
    open_ = {(one.key, one.outcome) for one in mine if one.state is not State.MET}
    assert open_ == ({(SALES, "held")} if outcome is HOLDS else set())
    late = [line for line in bodies(desk.carrier, "olga") if line["subject"].startswith("Delayed: Sales")]
    was = {one.key for one in mine if one.deadline.due_at <= back} | ({SALES} if outcome is HOLDS else set())
    assert len(late) == len(was - ({SALES} if outcome is FINE else set()))


def test_a_deadline_of_days_is_withdrawn_where_reports_are_of_weeks_now(ledger):
    """Begun and overdue or not: no run could meet it; its incident ends, and weeks are owed from now on."""
    shop = project()
    drive(office(ledger, shop, Hands(ledger, {SALES: (FAILS,)})), MIDNIGHT, DUE + MINUTE)
    weekly = pipeline("sales", "Mondays by 09:00", period="week")
    desk = office(ledger, replace(shop, pipelines={"sales": weekly}))
    drive(desk, DUE + 2 * MINUTE, DUE + 7 * DAY)
    assert owed(ledger).state is State.WITHDRAWN
    assert {order.deadline.period for _, order in desk.crew.begun} == {"2017-W46"}
    with ledger.read() as tx:
        assert incidents.opened(tx) == {}


def test_a_deadline_whose_period_cannot_be_made_any_more_is_not_begun(ledger):
    """Even where the book was not written anew yet."""
    shop = project()
    tick(office(ledger, shop), MIDNIGHT)
    weekly = pipeline("sales", "Mondays by 09:00", period="week")
    desk = office(ledger, replace(shop, pipelines={"sales": weekly}))
    assert work.start(desk, START) == ()
    assert [order.deadline.key for order in work.start(office(ledger, shop), START)] == [SALES]


def test_an_edit_of_the_rota_leaves_the_past_and_is_told_to_those_whom_it_touches(ledger):
    """Bob takes Thursday of Ann's week over; what was until now is frozen under the old rules."""
    shop = project()
    tick(office(ledger, shop), MIDNIGHT)
    now = MIDNIGHT + DAY
    extra = {"begins": "2017-11-16 09:00", "ends": "2017-11-17 09:00", "primary": "bob", "because": "A wedding."}
    desk = office(ledger, replace(shop, oncall=oncall(overrides=(extra,))))
    tick(desk, now)
    heard = {who: body for who in ENGINEERS for body in bodies(desk.carrier, who)}
    assert set(heard) == {"ann", "bob", "cat"}  # who gives, who takes, and whose turn it is to step in
    assert "you were primary, you are off duty" in repr(heard["ann"]) or "you are secondary" in repr(heard["ann"])
    with ledger.read() as tx:
        (was,) = rota.frozen(tx)
        assert (was.start, was.end, was.primary) == (MIDNIGHT, now, "ann")
        assert roster.rota_of(tx, desk.project).at(MIDNIGHT + 2 * DAY + 10 * HOUR).primary == "bob"
    later = office(ledger, replace(shop, oncall=oncall(rotation=({"begins": "2017-11-13", "order": ("dan", "cat")},))))
    tick(later, now + HOUR)
    with ledger.read() as tx:
        assert {roster.rota_of(tx, later.project).at(MIDNIGHT + n * HOUR).primary for n in range(25)} == {"ann"}


# Sources that are away.


def test_a_source_that_is_away_does_not_stop_the_clock(ledger):
    """The table of experiments cannot be read: everything else is planned and made, and known experiments stay owed."""
    trial = pipeline("trial", "within 6 hours of experiment start", period="experiment", experiment="7", room="1 h")
    known, away = (Begin("7", MIDNIGHT + 4 * HOUR),), []

    def begins():
        if away:
            raise OSError("no such table")
        return known

    desk = office(ledger, project(SALES_ENTRY, trial), begins=begins)
    tick(desk, MIDNIGHT)
    away.append(True)
    drive(desk, MIDNIGHT + HOUR, NOON)
    fresh = office(ledger, desk.project, begins=begins)
    drive(fresh, NOON + HOUR, NOON + 2 * DAY)
    with ledger.read() as tx:
        found = {(one.key, one.state) for one in deadlines.between(tx, MIDNIGHT, NOON + 2 * DAY)}
    assert (("trial", "experiment-7@2017-11-14"), State.MET) in found
    assert (("sales", "2017-11-15"), State.MET) in found
    assert {state for _, state in found} == {State.MET}


class Broken(Hands):
    """A crew that cannot begin anything."""

    def start(self, order, now):
        raise RuntimeError(f"no thread for {order.token} at {now}")


def test_one_step_that_fails_does_not_keep_the_others_from_being_done(ledger):
    """That it is late is told though nothing can be started; the error comes to light all the same."""
    desk = office(ledger, project(), Broken(ledger))
    tick(desk, MIDNIGHT)
    for at in (START, DUE):
        with pytest.raises(RuntimeError, match="no thread"):
            tick(desk, at)
    assert told(desk.carrier) == [(0, "ann", "Late"), (0, "olga", "Delayed")]


# Leases.


def test_a_run_whose_scheduler_died_is_taken_up_again_and_the_first_one_is_refused(ledger):
    """Its lease runs out; another makes the report; what the first hands in late changes nothing."""
    lease = timedelta(seconds=90)
    slow = Hands(ledger, {SALES: (Outcome(takes=10 * MINUTE),)}, lease, "first")
    first = office(ledger, project(), slow, lease=lease)
    second = office(ledger, project(), Hands(ledger, lease=lease, name="second"), lease=lease)
    drive(first, MIDNIGHT, START)
    tick(second, START + MINUTE)
    assert second.crew.begun == []
    drive(second, START + 2 * MINUTE, START + 8 * MINUTE)
    assert (owed(ledger).state, owed(ledger).attempts) == (State.MET, 2)
    before = owed(ledger)
    tick(first, START + 11 * MINUTE)
    assert owed(ledger) == before
    assert before.run.startswith("second")
    assert [run.status for run in ledger.runs("sales")] == [Status.DELIVERED, Status.INTERRUPTED]
    assert first.carrier.sent == second.carrier.sent == []


def test_a_scheduler_that_looks_in_time_keeps_its_runs(ledger):
    """Leases are prolonged at every look, and the next look is in time for that."""
    lease = timedelta(seconds=90)
    crew = Hands(ledger, {SALES: (Outcome(takes=30 * MINUTE),)}, lease)
    first = office(ledger, project(), crew, lease=lease)
    second = office(ledger, project(), Hands(ledger, lease=lease), lease=lease)
    now = MIDNIGHT
    while now < DUE:
        tick(first, now)
        tick(second, now)
        now = min(next_tick(first, now), next_tick(second, now))
    assert ([len(desk.crew.begun) for desk in (first, second)], owed(ledger).attempts) == ([1, 0], 1)


def test_a_sound_report_outlives_three_kills_of_its_runner(ledger):
    """Lapses are bounded, but more are allowed than failures; a fourth scheduler still makes it."""
    lease = 90 * SECOND
    now = START
    tick(office(ledger, project(), lease=lease), MIDNIGHT)
    for n in range(settings().attempts):
        killed = office(ledger, project(), Hands(ledger, {SALES: (HANGS,)}, lease, f"killed{n}"), lease=lease)
        tick(killed, now)
        assert len(killed.crew.begun) == 1
        now += 2 * MINUTE
    desk = office(ledger, project(), Hands(ledger, lease=lease, name="last"), lease=lease)
    drive(desk, now, DUE)
    assert (owed(ledger).state, owed(ledger).attempts) == (State.MET, settings().attempts + 1)


def test_a_report_that_kills_its_runner_is_given_up_at_last(ledger):
    """After three more attempts than others have."""
    now, begun = START, 0
    tick(office(ledger, project()), MIDNIGHT)
    for n in range(12):
        desk = office(ledger, project(), Hands(ledger, {SALES: (HANGS,)}, 90 * SECOND, f"killed{n}"))
        tick(desk, now)
        begun += len(desk.crew.begun)
        now += 2 * MINUTE
    assert begun == settings().attempts + 3


def test_a_lease_of_a_clock_that_was_ahead_keeps_nobody_waiting(ledger):
    """A scheduler two days ahead took it and died; its clock was put right: another makes the report in time."""
    tick(office(ledger, project()), MIDNIGHT)
    dead = office(ledger, project(), Hands(ledger, {SALES: (HANGS,)}, 90 * SECOND, "ahead"))
    work.start(dead, MIDNIGHT + 2 * DAY)
    assert owed(ledger).lease_until > MIDNIGHT + 2 * DAY
    desk = office(ledger, project(), Hands(ledger, lease=90 * SECOND))
    drive(desk, START, DUE)
    assert (owed(ledger).state, owed(ledger).on_time) == (State.MET, True)


# Two schedulers.


def built(ledger, shop, run, **ended):
    """A run with a folder under reports/.work, ended or not."""
    ledger.begin(run)
    shelf.put(shelf.work(shop, run.run), "sales.ipynb", "{}")
    if ended:
        ledger.finish(Result(replace(run, finished_at=run.started_at, folder="x", **ended)))
    return shelf.work(shop, run.run)


def test_what_another_finished_before_it_was_killed_is_put_into_its_place(ledger, tmp_path):
    """By a scheduler that is at work already, within a minute; what a living process builds, or a stranger, stays."""
    shop = replace(project(), folder=tmp_path)
    desk = office(ledger, shop)
    tick(desk, MIDNIGHT)
    gone = replace(Process.this(), started="1")
    killed = Run("killed", "sales", "2017-11-01", "", MIDNIGHT, process=gone)
    whole = built(ledger, shop, killed, status=Status.READY)
    failing = built(ledger, shop, replace(killed, run="broken", period="2017-11-02"), status=Status.READY)
    shelf.place(shop, replace(killed, run="broken", period="2017-11-02")).parent.parent.mkdir(parents=True)
    shelf.place(shop, replace(killed, run="broken", period="2017-11-02")).parent.write_text("in the way")
    mine = [
        built(ledger, shop, Run("at work", "sales", "2017-11-03", "", MIDNIGHT)),
        built(ledger, shop, Run("moves now", "sales", "2017-11-04", "", MIDNIGHT), status=Status.READY),
        shelf.work(shop, "of another ledger"),
    ]
    shelf.put(mine[-1], "half", "")
    tick(desk, MIDNIGHT + 59 * SECOND)
    assert whole.is_dir()
    tick(desk, MIDNIGHT + 60 * SECOND)
    assert (shelf.place(shop, killed) / "sales.ipynb").is_file()
    assert (whole.exists(), failing.is_dir()) == (False, True)
    assert [folder.is_dir() for folder in mine] == [True, True, True]


def test_what_another_finished_is_found_before_its_report_is_tried_again(ledger, tmp_path):
    """In the very look that finds the other's lease run out."""
    shop = replace(project(), folder=tmp_path)
    tick(office(ledger, shop), MIDNIGHT)
    dead, desk = office(ledger, shop, Hands(ledger, {SALES: (HANGS,)})), office(ledger, shop)
    work.start(dead, START)
    tick(desk, START + MINUTE)
    (_, run, _) = next(iter(dead.crew.under_way.values()))
    ended = replace(run, status=Status.READY, finished_at=START, process=replace(Process.this(), started="1"))
    ledger.finish(Result(replace(ended, folder="x")))
    shelf.put(shelf.work(shop, run.run), "sales.ipynb", "{}")
    tick(desk, START + 90 * SECOND)
    assert (shelf.place(shop, run) / "sales.ipynb").is_file()
    assert len(desk.crew.begun) == 1


def test_two_schedulers_on_one_ledger_serve_and_tell_everything_once(tmp_path):
    """A month of three reports with faults, two threads in step on one file, each with its own connections."""
    entries = [pipeline(f"r{n}", f"daily by {9 + n}:00".replace(" 9:", " 09:")) for n in range(3)]
    shop = project(*entries, settings=settings(runs_at_once=2))
    script = {("r1", "2017-11-20"): (FAILS,), ("r2", "2017-11-27"): (PASSES,), ("r0", "2017-12-01"): (HOLDS,)}
    path, last, lease = tmp_path / "ledger.sqlite", MIDNIGHT + 28 * DAY, 5 * MINUTE
    carrier, lock, most, errors = Recorder(), threading.Lock(), [], []
    step, clock = threading.Barrier(2, timeout=60), [MIDNIGHT, MIDNIGHT]

    class Shared:
        """One recorder for both, a message at a time."""

        def send(self, parcel, now):
            with lock:
                carrier.send(parcel, now)

        def problem(self, channel):
            return carrier.problem(channel)

    ledgers = [Ledger.open(path) for _ in range(2)]
    crews = [Hands(one, script, lease, f"s{n}") for n, one in enumerate(ledgers)]

    def serve(n):
        desk, now = office(ledgers[n], shop, crews[n], Shared(), lease=lease), MIDNIGHT
        try:
            while now < last:
                step.wait()
                tick(desk, now)
                clock[n] = next_tick(desk, now)
                step.wait()
                most.append(sum(len(crew.under_way) for crew in crews))
                now = min(clock)
        except BaseException as error:
            errors.append(error)
            step.abort()
            raise

    threads = [threading.Thread(target=serve, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    served = Counter(order.deadline.key for crew in crews for _, order in crew.begun)
    with ledgers[0].read() as tx:
        found = {one.key: one.state for one in deadlines.between(tx, MIDNIGHT, last)}
        assert len(incidents.between(tx, MIDNIGHT, last)) == 3
    assert {key for key, state in found.items() if state is not State.MET} == set(script)
    assert {key: count for key, count in served.items() if count != 1} == {("r2", "2017-11-27"): 3}
    assert set(found) <= set(served)
    assert max(most) <= 2
    assert all(any(order for order in crew.begun) for crew in crews)  # both worked
    assert [sent for sent in carrier.sent if sent.repeat] == []
    alike = Counter((sent.now, sent.parcel.address, sent.parcel.message.subject) for sent in carrier.sent)
    assert max(alike.values()) == 1
    for one in ledgers:
        one.close()


# Duties.


def test_a_duty_is_reminded_of_before_it_is_due_and_done_in_silence(ledger):
    """A weekly one a day before, once; done, nobody hears more."""
    desk = office(ledger, project(duties={"audit": duty("Thursdays by 12:00", "dan")}))
    drive(desk, MIDNIGHT, MIDNIGHT + DAY + 13 * HOUR)
    assert told(desk.carrier) == [(27 * 60, "dan", "Duty")]
    with ledger.write() as tx:
        assert duties.done(tx, "audit", "2017-W46", duties.Done("dan", MIDNIGHT + 2 * DAY, {"text": "All right."}))
    drive(desk, MIDNIGHT + 2 * DAY, MIDNIGHT + 4 * DAY)
    assert len(desk.carrier.sent) == 1


def test_an_overdue_duty_is_an_incident_until_it_is_done(ledger):
    """Its owner hears first, then whoever is on call; at its end those who were told."""
    desk = office(ledger, project(duties={"audit": duty("Thursdays by 12:00", "dan")}))
    noon = MIDNIGHT + 2 * DAY + 12 * HOUR
    drive(desk, noon - HOUR, noon + 20 * MINUTE)
    heard = [(at - noon, who, what) for at, who, what in letters(desk.carrier)]
    assert heard == [
        (-HOUR, "dan", "Duty"),
        (0 * MINUTE, "dan", "Duty overdue"),
        (15 * MINUTE, "ann", "Duty overdue"),
    ]
    with ledger.write() as tx:
        duties.done(tx, "audit", "2017-W46", duties.Done("dan", noon + 25 * MINUTE, {"text": "Done."}))
    drive(desk, noon + 40 * MINUTE, noon + HOUR)
    assert [line[1:] for line in letters(desk.carrier)][3:] == [("dan", "Done"), ("ann", "Done")]
    with ledger.read() as tx:
        assert incidents.opened(tx) == {}


def test_a_duty_of_whoever_is_on_call_is_told_to_that_person(ledger):
    """Ann has the week."""
    desk = office(ledger, project(duties={"audit": duty("Thursdays by 12:00", "on-call")}))
    drive(desk, MIDNIGHT, MIDNIGHT + 2 * DAY + 12 * HOUR)
    assert [line[1:] for line in letters(desk.carrier)] == [("ann", "Duty"), ("ann", "Duty overdue")]


def test_a_changed_rhythm_leaves_no_duty_behind(ledger):
    """What was daily becomes weekly: no day of it falls overdue."""
    shop = project(duties={"audit": duty("daily by 12:00", "dan")})
    tick(office(ledger, shop), MIDNIGHT)
    desk = office(ledger, replace(shop, duties={"audit": duty("Fridays by 12:00", "dan")}))
    drive(desk, MIDNIGHT + HOUR, MIDNIGHT + 2 * DAY + 15 * HOUR)
    assert [line[1] for line in told(desk.carrier, "dan") if line[2] == "Duty overdue"] == []


# The next look.


def test_the_next_look_is_at_the_next_try_of_a_letter(ledger):
    """Also while another scheduler that died holds one that is long due, and when that one's claim runs out."""
    carrier = Recorder(broken={"ann@engineer.example"})
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}), carrier)
    drive(desk, MIDNIGHT, START + 5 * MINUTE)
    with ledger.write() as tx:
        (letter,) = outbox.between(tx, MIDNIGHT, NOON)
        outbox.owe(tx, [replace(letter, key="another", message_id="<another@x>")])
    now = START + 5 * MINUTE + 10 * SECOND
    with ledger.write() as tx:
        found = [one for one in outbox.due(tx, now) if one.key == "another"]
        outbox.claim(tx, found, "dead", now, now + 90 * SECOND)
    assert next_tick(desk, now) == START + 6 * MINUTE
    tick(desk, START + 6 * MINUTE)
    assert next_tick(desk, START + 6 * MINUTE) == now + 90 * SECOND


@pytest.mark.parametrize("outcome", [FINE, FAILS, PASSES, HOLDS, HANGS])
def test_looking_more_often_than_the_scheduler_asks_tells_nothing_more_and_nothing_sooner(outcome):
    """Every minute, or only when the last look said: the same messages at the same minutes."""
    found = []
    for every in (None, MINUTE):
        own = Ledger.open("sqlite://")
        desk = office(own, project(SALES_ENTRY, GROWTH_ENTRY), Hands(own, {SALES: (outcome,)}), lease=DAY)
        now: datetime = MIDNIGHT + 7 * HOUR
        while now < NOON:
            tick(desk, now)
            now = min(next_tick(desk, now), now + (every or DAY))
        found.append([(at, who, what) for at, who, what in letters(desk.carrier)])
        own.close()
    assert found[0] == found[1]
    assert bool(found[0]) is (outcome is not FINE)


def test_next_look_is_never_now_or_in_the_past(ledger):
    """The clock always moves on."""
    desk, now = office(ledger, project(), Hands(ledger, {SALES: (HANGS,)})), MIDNIGHT
    for _ in range(50):
        tick(desk, now)
        later = next_tick(desk, now)
        assert later > now
        now = later
    assert GROWTH not in {order.deadline.key for _, order in desk.crew.begun}
