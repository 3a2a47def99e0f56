"""The commands about what is owed: deadlines, how they stand, incidents, duties, practice; for people and machines."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner import config
from runner.ledger import Ledger, deadlines, duties, incidents, outbox
from runner.ledger.deadlines import Ending
from runner.plan.deadlines import all_deadlines
from runner.plan.incidents import opened
from runner.scheduler.office import timetable_of
from tests.small_projects import change, project, runner, write

ROOT = Path(__file__).resolve().parents[1]
ONCALL = """\
time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - {begins: 2017-01-02, order: [ann, bob]}
"""
DUTIES = """\
duties:
  audit: {title: Audit, every: Mondays by 10:00, begins: 2017-01-02, owner: bob, how: Look.}
"""
ONE_DAY = ("simulate", "--from", "2017-11-13", "--to", "2017-11-14")
NOW = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)  # 08:30 in New York


@pytest.fixture
def small(tmp_path):
    """A project with one daily report by 09:00, a rota of two and a weekly duty."""
    folder = project(tmp_path, "good")
    write(folder / "config/oncall.yml", ONCALL)
    write(folder / "config/duties.yml", DUTIES)
    return folder


@pytest.fixture
def shipped(tmp_path):
    """The shipped config and notebooks, without the warehouse: experiments are left out."""
    for name in ("config", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    change(tmp_path / "config/pipelines.yml", "within 6 hours of experiment start", "daily by 18:00")
    return tmp_path


def lines(out: str) -> list[dict]:
    """Each line as the object it is."""
    return [json.loads(line) for line in out.splitlines()]


def test_due_lists_what_the_calendar_promises(small):
    """A week of a daily report is seven deadlines, each with the instants of its start and its due time."""
    code, out, err = runner(small, "due", "--from", "2017-11-13", "--to", "2017-11-20", "--json")
    assert (code, err) == (0, "")
    rows = lines(out)
    assert [row["period"] for row in rows] == [f"2017-11-{day}" for day in range(12, 19)]
    assert rows[0]["due_at"] == "2017-11-13T14:00:00+00:00"
    code, out, _ = runner(small, "due", "--from", "2017-11-13", "--to", "2017-11-14")
    assert code == 0
    assert "Mon 13 Nov 2017 09:00 EST  good    2017-11-12  08:24   daily by 09:00" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("due", "--from", "2017-11-20", "--to", "2017-11-13"), "The span ends before it begins."),
        (("due", "--from", "monday"), "--from 'monday' is no time."),
        (("status", "--now", "8 o'clock"), "is no time."),
        (("ack", "7", "--by", "ann"), "There is no incident 7."),
        (("ack", "7", "--by", "anne"), "No engineer is called 'anne'. Did you mean 'ann'?"),
        (("incidents", "7"), "There is no incident 7."),
        (("done", "audi", "--by", "bob", "--evidence", "x"), "No duty is called 'audi'. Did you mean 'audit'?"),
        (("done", "audit", "--by", "bob"), "What shows that it was done?"),
        ((*ONE_DAY, "--fault", "good@2017-11-12=fire"), "names no fault"),
        ((*ONE_DAY, "--fault", "good@2017=held"), "owes no report"),
        (("watch", "--tell", "env:NOWHERE_TO_GO"), "has no address"),
        (("serve", "--every", "soon"), "--every 'soon' is no length of time."),
    ],
)
def test_words_that_make_no_sense_are_refused_with_a_remedy(small, words, said):
    """Each says what is off, and exits with 2; nothing is written."""
    code, out, err = runner(small, *words)
    assert said in err + out
    assert code in {1, 2}
    assert "Traceback" not in err


def test_status_before_any_scheduler_says_so(small):
    """Without a scheduler the deadlines are those of the calendar, and the missing scheduler is told first."""
    code, out, _ = runner(small, "status", "--now", "2017-11-16T08:10")
    assert code == 0
    assert "On call until Mon 20 Nov 09:00: Bob, then Ann." in out
    assert "! No scheduler has looked at this project yet" in out
    assert "Thu 16 Nov 09:00  good    2017-11-15  planned  Bob (on call)" in out
    assert "Fri 17 Nov 09:00  good    2017-11-16  planned" in out


def book(folder: Path) -> Ledger:
    """The project's ledger."""
    return Ledger.open(config.load(folder).ledger)


def owed(folder: Path):
    """The deadline of 15 November, written down as a tick would."""
    loaded = config.load(folder)
    day = datetime(2017, 11, 16, tzinfo=UTC), datetime(2017, 11, 17, tzinfo=UTC)
    return all_deadlines(loaded.pipelines.values(), loaded.settings, timetable_of(loaded, ()), *day)[0]


def test_status_tells_late_reports_with_their_incident_and_who_is_at_it(small):
    """A failed report past its due time is late, and whoever acknowledged its incident is responsible."""
    deadline, ledger = owed(small), book(small)
    with ledger.write() as tx:
        deadlines.note(tx, [deadline])
        failed = Ending("failed", NOW, message="Cell 3 failed: no such table.", trouble="cell failed", run="r1")
        assert deadlines.claim(tx, deadline.key, "x", NOW, NOW)
        assert deadlines.end(tx, deadline.key, "x", failed)
        incidents.keep(tx, opened(*deadline.key, NOW), ["failed"], NOW)
    ledger.close()
    assert runner(small, "ack", "1", "--by", "ann", "--now", "2017-11-16T09:10")[0] == 0
    code, out, _ = runner(small, "status", "--now", "2017-11-16T09:30", "--json")
    assert code == 0
    row = lines(out)[0]
    assert (row["state"], row["responsible"], row["incident"]) == ("late", "Ann (acknowledged)", 1)
    assert row["sentence"] == "It was due at 09:00 and is not there. Cell 3 failed: no such table."
    assert "Incident 1, good 2017-11-15" in runner(small, "status", "--now", "2017-11-16T09:30")[1]


def test_the_first_acknowledgement_counts(small):
    """A second engineer is told who was there before, and the incident's history has one acknowledgement."""
    ledger = book(small)
    with ledger.write() as tx:
        incidents.keep(tx, opened("good", "2017-11-15", NOW), ["late"], NOW)
    ledger.close()
    assert "acknowledged by Ann" in runner(small, "ack", "1", "--by", "ann")[1]
    code, out, _ = runner(small, "ack", "1", "--by", "bob", "--json")
    assert (code, lines(out)[0]["acknowledged_by"]) == (0, "ann")
    shown = lines(runner(small, "incidents", "1", "--json")[1])[0]
    assert [event["text"] for event in shown["events"]] == ["late", "ann acknowledged it"]
    assert lines(runner(small, "incidents", "--json")[1])[0]["acknowledged_by"] == "ann"


def test_a_duty_is_done_once_with_its_evidence(small):
    """`runner done` records who and what; the same duty cannot be done twice; the list shows the next one."""
    when = ("--now", "2017-11-17T12:00")
    said = ("done", "audit", "--by", "bob", "--evidence", "List of grants compared.", *when)
    code, out, _ = runner(small, *said)
    assert (code, out.strip()) == (0, "Recorded: audit of 2017-W47, done by Bob.")
    code, _, err = runner(small, "done", "audit", "2017-W47", *said[2:])
    assert code == 2
    assert "is done already" in err
    rows = lines(runner(small, "duties", *when, "--json")[1])
    assert [(row["period"], row["state"]) for row in rows] == [("2017-W48", "planned")]


def test_what_comes_is_listed_in_the_order_in_which_it_is_due(shipped):
    """The next of each duty, whatever its rhythm."""
    rows = lines(runner(shipped, "duties", "--now", "2017-11-17T08:30", "--json")[1])
    planned = [row["due_at"] for row in rows if row["state"] == "planned"]
    assert (len(planned), planned) == (5, sorted(planned))


def test_evidence_is_one_line(small):
    """Line feeds and control characters of what somebody says are no part of the record; nothing else is evidence."""
    when = ("done", "audit", "--by", "bob", "--now", "2017-11-17T12:00", "--evidence")
    code, _, err = runner(small, *when, " \n\x1b[31m\x07")
    assert (code, "What shows that it was done?" in err) == (2, True)
    assert runner(small, *when, "Compared:\n\x1b[31mall\x07 grants.\r\n")[0] == 0
    ledger = book(small)
    with ledger.read() as tx:
        assert duties.find(tx, "audit", "2017-W47").evidence == {"said": "Compared: all grants."}
    ledger.close()


def test_an_incident_is_acknowledged_after_it_opened(small):
    """A --now from before the incident is refused with the time at which it opened; nothing is noted."""
    ledger = book(small)
    with ledger.write() as tx:
        incidents.keep(tx, opened("good", "2017-11-15", NOW), ["late"], NOW)
    ledger.close()
    code, _, err = runner(small, "ack", "1", "--by", "ann", "--now", "2017-11-16T08:29")
    assert (code, "Incident 1 was opened only at Thu 16 Nov 2017 08:30." in err) == (2, True)
    assert lines(runner(small, "incidents", "1", "--json")[1])[0]["acknowledged_by"] is None


def test_an_incident_reads_in_one_order_of_time_with_names(small):
    """What happened and what was told stand by their times; names for keys, but not in what is said of a report."""
    ledger = book(small)
    with ledger.write() as tx:
        one = incidents.keep(tx, opened("duty:audit", "2017-W46", NOW), ["late, duty: by ann's table"], NOW)
        said = ["handed over to bob", "nobody acknowledged; told ann, bob", "ann acknowledged it"]
        incidents.keep(tx, one, said, NOW + timedelta(hours=2))
        shared = {"person": "ann", "name": "Ann", "address": "a@example.com", "channel": "mail", "message": {}}
        for number, (kind, at) in enumerate([("trouble", NOW), ("escalation", NOW + timedelta(hours=3))]):
            sent_at = at + timedelta(minutes=1) if kind == "trouble" else None
            keys = {"key": str(number), "kind": kind, "message_id": str(number), "owed_at": at, "incident": 1}
            outbox.owe(tx, [outbox.Letter(**keys, **shared, sent_at=sent_at)])
    ledger.close()
    assert runner(small, "incidents", "1")[1].splitlines() == [
        "Incident 1: duty: Audit 2017-W46, overdue",
        "  Thu 16 Nov 08:30  late, duty: by ann's table",
        "  Thu 16 Nov 08:31  told Ann by mail (trouble)",
        "  Thu 16 Nov 10:30  handed over to Bob",
        "  Thu 16 Nov 10:30  nobody acknowledged; told Ann, Bob",
        "  Thu 16 Nov 10:30  Ann acknowledged it",
        "  not sent yet      told Ann by mail (escalation)",
    ]
    assert "  duty: Audit  2017-W46" in runner(small, "incidents")[1]
    row = lines(runner(small, "incidents", "1", "--json")[1])[0]
    assert (row["pipeline"], row["events"][1]["text"]) == ("duty:audit", "handed over to bob")


def test_review_and_fairness_count_the_same_holidays(small):
    """The rota's own calendar, with the company's days, says what a holiday is: the business calendar does not."""
    days = "business_calendar: NYSE\nno_business: {2017-11-14: Stocktaking}\n"
    write(small / "config/holidays.yml", days)
    span = ("--from", "2017-10-01", "--to", "2017-12-01", "--json")
    facts = lines(runner(small, "review", *span)[1])[0]["on_call"]
    shares = [row for row in lines(runner(small, "oncall", "--fairness", *span)[1]) if row.get("year") == "total"]
    assert facts == [{key: value for key, value in row.items() if key != "year"} for row in shares]
    # Columbus Day, Veterans Day (both are no holiday of NYSE), Thanksgiving, and the company's own
    assert sum(row["holidays"] for row in facts) % 24 == 0
    assert sum(row["holidays"] for row in facts) >= 4 * 24


def test_a_review_is_one_page_of_facts(small):
    """The page has every part, is kept in reports/reviews, and its JSON says the same."""
    code, out, _ = runner(small, "review", "--from", "2017-10-01", "--to", "2018-01-01")
    assert code == 0
    for title in ("Deadlines", "Incidents", "On call", "Owners", "Duties"):
        assert f"## {title}" in out
    assert "| good | Ann | Bob | They asked. |" in out
    assert (small / "reports/reviews/2017-10-01--2018-01-01.md").read_text().startswith("# Facts for the review")
    facts = lines(runner(small, "review", "--from", "2017-10-01", "--to", "2018-01-01", "--json")[1])[0]
    assert {share["who"] for share in facts["on_call"]} == {"ann", "bob"}
    assert sum(share["hours"] for share in facts["on_call"]) == pytest.approx(92 * 24 + 1)  # clocks went back once


def test_thanksgiving_is_told_as_the_plan_says(shipped):
    """A covers until Thursday 09:00, B from then on; the late report of Thursday is told to B, and readers know."""
    code, out, _ = runner(shipped, "simulate", "--from", "2017-11-13", "--to", "2017-12-04", "--json")
    assert code == 0
    *events, total = lines(out)
    shifts = [(e["at"], e["primary"], e["secondary"]) for e in events if e["kind"] == "shift"][1:]
    assert shifts == [
        ("2017-11-13T14:00:00+00:00", "engineer_b", "engineer_c"),
        ("2017-11-20T14:00:00+00:00", "engineer_a", "engineer_b"),
        ("2017-11-23T14:00:00+00:00", "engineer_b", "engineer_c"),
        ("2017-11-27T14:00:00+00:00", "engineer_d", "engineer_a"),
    ]
    (late,) = [e for e in events if e["kind"] == "met" and not e["on_time"]]
    assert (late["pipeline"], late["period"]) == ("aggregate_growth", "2017-11-22")
    told = [(e["name"], e["subject"].partition(":")[0]) for e in events if e["kind"] == "told" and "[#" in e["subject"]]
    assert told == [("Engineer B", "Failed"), ("Engineer B", "Late"), ("Engineer B", "Recovered")]
    readers = [e["name"] for e in events if e["kind"] == "told" and e["audience"] == "readers"]
    assert readers == ["Ingrid Vestergaard", "Owen Blackwood"]
    assert (total["late"], total["missed"], total["incidents"]) == (1, 0, 1)
    assert total["met"] + total["late"] == total["deadlines"]


def test_a_clean_replay_tells_nobody_of_trouble(shipped):
    """With `--fault none` every deadline is met in time and there is no incident; a person reads it day by day."""
    code, out, _ = runner(shipped, "simulate", "--from", "2017-11-20", "--to", "2017-11-25", "--fault", "none")
    assert code == 0
    assert "Thursday 23 November 2017" in out
    assert "Holiday rule 'Thanksgiving week': Engineer B until Mon 27 Nov 09:00." in out
    assert ". 0 incidents; 0 messages to engineers, 0 to readers." in out
    assert "late" not in out.split("\n\n", 1)[1]


def test_a_silent_engineer_is_followed_by_the_next(shipped):
    """Who does not answer is followed by the secondary after the time set, at the very minute."""
    fault = "aggregate_profit@2017-11-22=source unavailable"
    words = ("simulate", "--from", "2017-11-24", "--to", "2017-11-25", "--fault", fault, "--silent", "engineer_b")
    events = lines(runner(shipped, *words, "--json")[1])
    told = [(e["name"], e["at"][11:16]) for e in events if e["kind"] == "told" and "[#" in e["subject"]]
    assert told[:2] == [("Engineer B", "13:36"), ("Engineer C", "13:51")]
