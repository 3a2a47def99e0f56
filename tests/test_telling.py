"""What a message about trouble says: whose promise is in danger, what readers have, which page of the runbook helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.config.files import Person
from runner.ledger import Delivery, Ledger, Result, Run, incidents
from runner.model import Decision, Status
from runner.plan import incidents as rules
from runner.plan.runbooks import library
from runner.scheduler.notices import changes, snapshot
from runner.scheduler.telling import filled
from runner.scheduler.tick import tick
from tests.small_office import (
    DUE,
    ENGINEERS,
    FAILS,
    FINE,
    GROWTH_ENTRY,
    HANGS,
    HOUR,
    MIDNIGHT,
    MINUTE,
    OLGA,
    PASSES,
    SALES,
    SALES_ENTRY,
    Hands,
    drive,
    letters,
    office,
    people,
    project,
    settings,
)

COMMON = (Path(__file__).parents[1] / "templates/runbook.md").read_text()
START = DUE - HOUR


@pytest.fixture
def ledger():
    """An empty ledger in memory."""
    found = Ledger.open("sqlite://")
    yield found
    found.close()


def sent(desk, who):
    """The messages that somebody got, oldest first."""
    return [one.parcel.message for one in desk.carrier.sent if one.parcel.address.startswith(who)]


def two(ledger, **more):
    """Sales by 09:00, which fails, and growth by 10:00, which rests on it."""
    shop = project(SALES_ENTRY, GROWTH_ENTRY, **more)
    return office(ledger, shop, Hands(ledger, {SALES: (FAILS,)}))


@pytest.mark.parametrize(("drill", "there"), [(False, 1), (True, 0)])
def test_trouble_leads_to_the_desk_and_that_of_a_drill_does_not(ledger, drill, there):
    """A drill's incidents are in a ledger of their own: under their numbers the desk has others."""
    shop = project(settings=settings(desk={"public": "https://desk.example.com/reports/"}))
    desk = office(ledger, shop, Hands(ledger, {SALES: (FAILS,)}), drill=drill)
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    targets = [target for _, target in sent(desk, "ann")[0].links]
    assert targets.count("https://desk.example.com/reports/incidents/1") == there


def test_trouble_names_the_reports_that_rest_on_this_one(ledger):
    """Whoever is told that sales failed reads at once that growth, promised by 10:00, rests on it."""
    desk = two(ledger)
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert ("Rests on it", "Growth, promised daily by 10:00") in sent(desk, "ann")[0].facts


def test_a_report_whose_input_will_not_come_is_at_risk_from_its_start(ledger):
    """Growth waits for sales, which failed for good: that is told when growth should begin, not when it is too late."""
    desk = two(ledger)
    drive(desk, MIDNIGHT, DUE + 59 * MINUTE)
    told = [(at - DUE, subject) for at, who, subject in letters(desk.carrier) if who == "ann" and subject == "At risk"]
    assert told == [(0 * MINUTE, "At risk")]  # growth begins an hour before 10:00
    (message,) = [one for one in sent(desk, "ann") if one.subject.startswith("At risk")]
    assert message.headline == "It waits for Sales (failed)."


def test_a_report_whose_input_is_tried_again_is_not_at_risk_for_that(ledger):
    """Sales failed and is tried again in half an hour: nobody hears of growth, which may still be made in time."""
    slow = settings(retry_after=("30 min",))
    shop = project(SALES_ENTRY, replace_deadline(GROWTH_ENTRY, "daily by 11:00"), settings=slow)
    desk = office(ledger, shop, Hands(ledger, {SALES: (replace(PASSES, takes=115 * MINUTE), FINE)}))
    drive(desk, MIDNIGHT, DUE + HOUR + 10 * MINUTE)  # sales ends badly at 09:55; growth should begin at 10:00
    growth = [one.subject for one in sent(desk, "ann") if "Growth" in one.subject]
    assert growth == []


def replace_deadline(pipeline, promise):
    """The same report, promised otherwise."""
    return pipeline.model_copy(update={"deadline": promise})


def test_a_report_that_waits_is_answered_by_what_it_waits_for(ledger):
    """The page for missing data, not the one for a scheduler that does not run."""
    desk = two(ledger)
    own = library(
        {"common.md": COMMON, "growth.md": "# Growth\n\n## The input\nAnswers: data incomplete\n\n1. Look.\n"}
    )
    desk = replace(desk, library=own)
    drive(desk, MIDNIGHT, DUE + MINUTE)
    (message,) = [one for one in sent(desk, "ann") if one.subject.startswith("At risk")]
    assert message.runbook_title == "The input"


def test_a_report_delivered_by_hand_is_what_readers_still_have(ledger):
    """A report that no deadline asked for counts as well: nobody is told that readers have nothing."""
    run = Run("r1", "sales", "2017-11-10", "inputs", MIDNIGHT, parameters={"as_of": "2017-11-10"})
    ledger.begin(run)
    ended = replace(run, status=Status.DELIVERED, decision=Decision.DELIVER, version=1, finished_at=MIDNIGHT)
    ledger.finish(Result(ended, owed=(Delivery(OLGA, "<1@x>", MIDNIGHT),)))
    desk = two(ledger)
    drive(desk, MIDNIGHT, DUE)
    held = dict(sent(desk, "ann")[0].facts)["Still valid"]
    assert held.startswith("The report for Friday 10 November 2017, delivered on Tuesday 14 November at 00:00")
    assert dict(sent(desk, "olga")[0].facts)["Still valid"] == held


def test_nobody_else_is_woken_once_somebody_is_at_it(ledger):
    """The news that it is late goes to the one who acknowledged; the next shift is told who that is."""
    desk = office(ledger, project(), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 16 * MINUTE)  # the secondary was told, too
    with ledger.write() as tx:
        (incident,) = incidents.opened(tx).values()
        incidents.keep(tx, rules.acknowledge(incident, "bob", START + 17 * MINUTE).incident, [], START + 17 * MINUTE)
    drive(desk, START + 18 * MINUTE, DUE + MINUTE)
    late = [(who, subject) for at, who, subject in letters(desk.carrier) if at >= DUE]
    assert [who for who, subject in late if subject == "Late"] == ["bob"]
    message = sent(desk, "bob")[-1]
    assert message.closing == "You get this as the one who is at it. Bob has acknowledged it; nobody else is told."
    assert not [command for _, command in message.commands if " ack " in command]


def test_whoever_acknowledged_and_left_is_followed_by_the_next(ledger):
    """An acknowledgement of somebody who is no engineer any more holds nobody back."""
    shop = project()
    desk = office(ledger, shop, Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 6 * MINUTE)
    with ledger.write() as tx:
        (incident,) = incidents.opened(tx).values()
        incidents.keep(tx, rules.acknowledge(incident, "gone", START + 7 * MINUTE).incident, [], START + 7 * MINUTE)
    drive(desk, START + 8 * MINUTE, START + 10 * MINUTE)
    assert [who for at, who, _ in letters(desk.carrier) if at > START + 7 * MINUTE] == ["bob"]


def test_commands_of_a_page_are_filled_in_and_its_words_are_not():
    """Capitals stand for what the message knows, in commands alone; what is not known stays to be filled in."""
    text = "`runner ack INCIDENT --by WHO`, then `runner logs RUN`. RUN the meeting."
    assert filled(text, {"INCIDENT": "7", "WHO": "ann", "RUN": ""}) == (
        "`runner ack 7 --by ann`, then `runner logs RUN`. RUN the meeting."
    )


def test_a_late_report_is_told_once_however_it_goes_on(ledger):
    """Not started, under way and tried again are one lateness: its engineer hears of it once."""
    desk = office(ledger, project(people=people()), Hands(ledger, {SALES: (HANGS,)}))
    drive(desk, MIDNIGHT, DUE + 10 * MINUTE)
    assert [subject for _, who, subject in letters(desk.carrier) if who == "ann" and subject == "Late"] == ["Late"]


def test_a_look_sends_few_pages_and_the_next_one_the_rest(ledger):
    """A dead channel takes its whole time: so few are tried at one look that leases are prolonged in time."""
    pagers = people(ann=tuple(f"env:PAGER_{letter}" for letter in "ABCDE"))
    desk = office(ledger, project(people=pagers), Hands(ledger, {SALES: (FAILS,)}))
    drive(desk, MIDNIGHT, START + 4 * MINUTE)
    now = START + 6 * MINUTE
    pages = []
    for second in range(2):
        before = len(desk.carrier.sent)
        tick(desk, now + timedelta(seconds=second))
        pages.append(sum(one.parcel.channel != "mail" for one in desk.carrier.sent[before:]))
    assert pages == [3, 2]


def test_a_change_of_a_list_of_readers_is_told_to_the_owners_of_its_reports():
    """Whoever reads is the owners' business; what is everybody's, such as how trouble is told, is told to everybody."""
    before = project()
    readers = {"owners": (*before.people.readers["owners"], Person(name="Oscar", email="oscar@x.example"))}
    more = before.people.model_copy(update={"readers": readers})
    ((owners, words),) = changes(snapshot(before), snapshot(replace(before, people=more)))
    assert owners == {"cat", "dan"}
    assert "oscar@x.example" in words
    ((everybody, _),) = changes(snapshot(before), snapshot(replace(before, settings=settings(attempts=5))))
    assert everybody == set(ENGINEERS)
