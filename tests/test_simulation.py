"""Ten years of the shipped plan: every deadline is met once, and every fault is told once, to whoever is on call."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from runner import config
from runner.errors import Trouble
from runner.ledger.deadlines import State
from runner.plan.calendar import instant, local_day
from runner.plan.deadlines import Begin
from runner.plan.incidents import DUTY, Incident
from runner.plan.oncall import Rota
from runner.scheduler.simulation import FAULTS, Extras, Fault, People, Scene, Story, owed_between, play

ROOT = Path(__file__).resolve().parents[1]
ZONE = ZoneInfo("America/New_York")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
FIRST, LAST = instant(date(2017, 1, 2), time(0), ZONE), instant(date(2027, 1, 2), time(0), ZONE)
#: Days on which the holiday rules change hands; daily growth breaks down on each.
HOLIDAYS = ("2017-11-22", "2017-11-23", "2017-12-23", "2017-12-30", "2020-11-25", "2020-11-26", "2023-12-24")


def begins() -> tuple[Begin, ...]:
    """An experiment every nineteen weeks, by a weekday that moves, at nine in the morning."""
    days = [date(2017, 1, 10) + n * timedelta(days=134) for n in range(27)]
    return tuple(Begin(str(n + 1), instant(day, time(9), ZONE)) for n, day in enumerate(days))


def faults(owed) -> dict[tuple[str, str], Fault]:
    """One in each quarter, each kind in its turn, and one on each holiday."""
    chance = random.Random(2017)
    quarters = defaultdict(list)
    for deadline in owed:
        quarters[deadline.due_at.year, (deadline.due_at.month - 1) // 3].append(deadline)
    chosen = [chance.choice(some) for some in quarters.values()]
    keys = [deadline.key for deadline in chosen] + [("daily_growth", day) for day in HOLIDAYS]
    return {key: Fault(*key, FAULTS[n % len(FAULTS)]) for n, key in enumerate(keys)}


@dataclass(frozen=True)
class Decade:
    """The plan, what was to go wrong, and what came of it."""

    project: config.Project
    faults: dict[tuple[str, str], Fault]
    story: Story
    attempts: int

    @property
    def incidents(self) -> list[Incident]:
        """Those of reports, not of duties."""
        return [one for one in self.story.incidents if not one.pipeline.startswith(DUTY)]

    @property
    def rota(self) -> Rota:
        """Who is on call by the rules alone."""
        return Rota(self.project.oncall)

    def letters(self, incident: int) -> list[Any]:
        """The messages to engineers about an incident, in order."""
        sent = [one for one in self.story.recorder.sent if one.parcel.message.audience == "engineers"]
        return [one for one in sent if one.parcel.message.subject.endswith(f"[#{incident}]")]


@pytest.fixture(scope="module")
def decade():
    """Ten simulated years of the shipped config, with a fault in each quarter."""
    project = config.load(ROOT)
    owed = owed_between(project, begins(), FIRST, LAST)
    wrong = faults(owed)
    crew = Extras(project, lambda _: (), wrong)
    story = play(project, Scene(FIRST, LAST, wrong), begins(), crew)
    return Decade(project, wrong, story, crew.count)


def rests_on(decade, key):
    """What cannot be made while a deadline is not met: the report of the same date that has it as an input."""
    return {(name, key[1]) for name, pipeline in decade.project.pipelines.items() if key[0] in pipeline.inputs}


def touched(decade):
    """Every deadline that a fault is, or may be, to be seen in."""
    return set(decade.faults) | {other for key in decade.faults for other in rests_on(decade, key)}


def test_every_deadline_of_the_calendar_is_owed_and_met(decade):
    """None is left out, none is invented; all are met, and those without a fault in time."""
    days = (LAST - FIRST).days
    found = Counter(owed.deadline.pipeline for owed in decade.story.owed)
    wanted = {deadline.key for deadline in owed_between(decade.project, begins(), FIRST, LAST)}
    assert {owed.key for owed in decade.story.owed} == wanted
    christmas = sum((FIRST + n * DAY).astimezone(ZONE).strftime("%m-%d") == "12-26" for n in range(days))
    open_ = days - christmas  # of the one closed day of the year there is nothing to report
    assert (found["daily_growth"], found["aggregate_growth"]) == (open_, open_)
    assert found["aggregate_engagement"] == sum((FIRST + n * DAY).astimezone(ZONE).weekday() == 0 for n in range(days))
    assert (found["unit_profit"], found["aggregate_profit"] > 2500) == (27, True)
    assert {owed.state for owed in decade.story.owed} == {State.MET}
    assert {owed.key for owed in decade.story.owed if not owed.on_time} <= touched(decade)


def test_every_report_is_made_exactly_once(decade):
    """One attempt each; two more for each fault that a retry might have mended."""
    again = sum(2 for fault in decade.faults.values() if fault.kind in set(Trouble) and Trouble(fault.kind).retry)
    assert decade.attempts == len(decade.story.owed) + again
    assert all(owed.attempts == 1 for owed in decade.story.owed if owed.key not in decade.faults)


def test_there_is_an_incident_for_each_fault_and_for_nothing_else(decade):
    """At most in what rests on it, besides: a report, or the duty that the report is to show; all end well."""
    found = Counter((incident.pipeline, incident.period) for incident in decade.incidents)
    assert set(decade.faults) <= set(found) <= touched(decade)
    assert set(found.values()) == {1}
    duties = {(one.pipeline, one.period) for one in decade.story.incidents if one.pipeline.startswith(DUTY)}
    slow = {key[1] for key in decade.faults if key[0] == "daily_growth"}
    assert duties <= {(f"{DUTY}reconciliation", f"{date.fromisoformat(day) + DAY}") for day in slow}
    assert all(not incident.open and incident.outcome == "met" for incident in decade.story.incidents)


def test_every_incident_is_told_to_whoever_is_on_call_and_to_nobody_else(decade):
    """First to the primary of that instant; to another only if the shift changes while it is open."""
    for incident in decade.incidents:
        letters = decade.letters(incident.number)
        emails = {who: engineer.email for who, engineer in decade.project.people.engineers.items()}
        primary = decade.rota.at(incident.opened_at).primary
        assert letters[0].now == incident.opened_at
        assert letters[0].parcel.address == emails[primary], incident
        shifts = decade.rota.shifts(incident.opened_at, incident.closed_at + MINUTE)
        assert {letter.parcel.address for letter in letters} == {emails[shift.primary] for shift in shifts}, incident


def test_every_state_is_told_once_to_each_and_that_it_is_over_too(decade):
    """As many messages as states, one when it is handed over, and one at the end; never the same one twice."""
    for incident in decade.incidents:
        words = Counter(
            (letter.parcel.address, letter.parcel.message.subject.partition(":")[0])
            for letter in decade.letters(incident.number)
        )
        first = decade.letters(incident.number)[0].parcel.address
        told = sum(count for (address, word), count in words.items() if address == first and word != "Recovered")
        assert told == len(incident.topics), (incident, words)
        assert all(words[address, "Recovered"] == 1 for address, _ in words), incident
        assert not any(word.startswith(("Escalated", "Reminder")) for _, word in words), incident
    assert not any(sent.repeat for sent in decade.story.recorder.sent)


def test_a_fault_is_told_with_its_own_trouble_and_the_runbook_that_answers_it(decade):
    """The message names the fault itself; slow and held ones say so."""
    for incident in decade.incidents:
        fault = decade.faults.get((incident.pipeline, incident.period))
        if fault is None:
            continue
        said = " ".join(letter.parcel.message.headline for letter in decade.letters(incident.number))
        wanted = {"slow": "takes longer than", "held": "outside its usual range"}.get(fault.kind, f"{fault.kind}.")
        assert wanted in said, (fault, said)


def test_readers_hear_of_what_is_late_and_of_nothing_else(decade):
    """At once, each reader of each late report once; a second word where it lasts; nobody hears of anything else."""
    late = Counter()
    for owed in decade.story.owed:
        if not owed.on_time:
            pipeline = decade.project.pipelines[owed.deadline.pipeline]
            late.update((reader.email, owed.deadline.due_at) for reader in decade.project.readers(pipeline))
    readers = [sent for sent in decade.story.recorder.sent if sent.parcel.message.audience == "readers"]
    first = [sent for sent in readers if sent.parcel.message.subject.startswith("Delayed: ")]
    assert Counter((sent.parcel.address, sent.now) for sent in first) == late
    assert late
    again = [sent for sent in readers if sent not in first]
    assert all(sent.parcel.message.subject.startswith("Still delayed: ") for sent in again)
    assert {(sent.parcel.address, sent.now - 2 * HOUR) for sent in again} <= set(late)


def test_nobody_is_told_anything_else_but_of_their_duties(decade):
    """Each duty that nothing shows or does by itself is reminded of once, to its owner; none of these falls overdue."""
    others = [sent for sent in decade.story.recorder.sent if not re.search(r"\[#\d+\]$", sent.parcel.message.subject)]
    others = [sent for sent in others if "Nightly reconciliation" not in sent.parcel.message.subject]
    duties = [sent for sent in others if sent.parcel.message.audience == "engineers"]
    titles = Counter(re.fullmatch(r"Duty: (.*), .*", sent.parcel.message.subject)[1] for sent in duties)
    assert set(titles) == {duty.title for duty in decade.project.duties.values() if not (duty.shown_by or duty.does)}
    assert (titles["Emergency drill"], titles["Quarterly review of owners and rota"]) == (20, 40)
    owners = {duty.title: duty.owner for duty in decade.project.duties.values()}
    for sent in duties:
        title = re.fullmatch(r"Duty: (.*), .*", sent.parcel.message.subject)[1]
        assert sent.parcel.address == decade.project.people.engineers[owners[title]].email


def test_the_holidays_fall_to_whom_the_plan_names(decade):
    """Thanksgiving: Engineer A, then Engineer B; Christmas Eve and Day D; New Year's Eve and Day C."""
    told = {
        incident.period: decade.letters(incident.number)[0].parcel.name
        for incident in decade.incidents
        if incident.pipeline == "daily_growth"
    }
    # A report of a day is made on the next: that of Thanksgiving Eve on Thanksgiving at eight, before the cut at nine.
    assert {day: told[day] for day in HOLIDAYS} == {
        "2017-11-22": "Engineer A",
        "2017-11-23": "Engineer B",
        "2017-12-23": "Engineer C",  # 24 December at eight; Christmas begins at nine
        "2017-12-30": "Engineer D",
        "2020-11-25": "Engineer A",
        "2020-11-26": "Engineer B",
        "2023-12-24": "Engineer D",
    }


# Silence.


def test_who_does_not_answer_is_followed_by_the_next_and_then_by_the_owners():
    """A day on which the pair on call is silent: primary, secondary, then the owners, of whom one mends it."""
    project = config.load(ROOT)
    first = instant(date(2017, 11, 14), time(0), ZONE)
    fault = Fault("daily_growth", "2017-11-13", "cell failed")
    pair = Rota(project.oncall).at(first + 9 * HOUR)
    silent = People(silent=frozenset({pair.primary, pair.secondary}))
    scene = Scene(first, first + DAY, {("daily_growth", "2017-11-13"): fault}, silent)
    story = play(project, scene, (), Extras(project, lambda _: (), scene.faults))
    incident = next(one for one in story.incidents if one.pipeline == "daily_growth")
    owners = project.pipelines["daily_growth"].owners
    assert incident.told[:2] == (pair.primary, pair.secondary)
    assert incident.acknowledged_by in {owners.primary, owners.secondary}
    assert (incident.outcome, local_day(incident.closed_at, ZONE)) == ("met", date(2017, 11, 14))


def test_the_same_scene_is_the_same_story_every_time():
    """Nothing in it is left to chance."""
    project = config.load(ROOT)
    first = datetime(2017, 11, 13, 5, tzinfo=UTC)
    owed = owed_between(project, (), first, first + 8 * DAY)
    wrong = {owed[n].key: Fault(*owed[n].key, kind) for n, kind in enumerate(FAULTS)}
    stories = [
        play(project, Scene(first, first + 8 * DAY, wrong), (), Extras(project, lambda _: (), wrong)) for _ in range(2)
    ]
    assert stories[0].events == stories[1].events
    assert stories[0].recorder.sent == stories[1].recorder.sent
