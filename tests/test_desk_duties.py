"""Duties on the desk and typed: what is due, recorded with evidence; the facts for the review; past drills."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import Browser

from runner import config
from runner.acts import duties as acts
from runner.acts.duties import Report
from runner.errors import UsageError
from runner.ledger import Ledger, duties, journal
from runner.ledger.duties import Done
from runner.ledger.journal import Act
from runner.plan.duties import Due
from runner.scheduler import agenda
from tests import browser, desk
from tests.desk import ANN, BOB, EVE, MINUTE, NOW, Server, change
from tests.test_desk_incidents import HOSTILE, said

TILL = "/duties/count_the_till/2017-W46"
DRILL = {
    "drill": "2017-11-01-abc",
    "pipeline": "sales",
    "fault": "cell failed",
    "acknowledged_by": "bob",
    "unattended": False,
    "steps": [
        {"step": "fault", "at": None, "seconds": 0.0},
        {"step": "told", "at": None, "seconds": 8.0},
        {"step": "acknowledged", "at": None, "seconds": 190.0},
        {"step": "mitigated", "at": None, "seconds": None},
    ],
    "failed": ["Nobody took the fault away and made the report in time."],
}


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path / "shop")) as made:
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Server]:
    """One that is only looked at."""
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


def test_overdue_duties_stand_first_with_their_owner_and_what_comes_next_below(shop):
    """Open ones in the order in which they are due, then the next of each."""
    page = shop.ask("/duties", ANN).text
    found = re.findall(r'href="/duties/(\w+/[\w-]+)"', page)
    assert found == [
        "count_the_till/2017-W46",
        "count_the_till/2017-W47",
        "review_access/2018-Q1",
        "count_the_till/2017-W48",
        "review_access/2018-Q2",
    ]
    assert "overdue Count the till week of 13 November 2017 Due 10:00 40 min ago Owner: Ann Archer (on call)" in said(
        page
    )


def test_a_duty_is_recorded_once_and_shown_with_its_evidence(server):
    """The first record counts; who comes second is told who was first, and their words are not lost; it is audited."""
    assert server.post(TILL, EVE, evidence="See https://till.example/list?a=1.").status == 303
    late = server.post(TILL, BOB, evidence="I did it, too.")
    assert late.status == 422
    assert "is done already, by Eve Ellis. The first record counts." in late.text
    assert "I did it, too." in late.text
    page = server.ask(TILL, ANN).text
    assert '<a href="https://till.example/list?a=1" rel="noreferrer noopener">https://till.example/list?a=1</a>' in page
    assert "Done by Eve Ellis at 10:40 , after it was due ." in said(page)
    with server.ledger.read() as tx:
        assert [(act.who, act.what) for act in journal.acts(tx, NOW, NOW + MINUTE)] == [("eve", "duty done")]
        assert duties.find(tx, "count_the_till", "2017-W46").evidence == {"said": "See https://till.example/list?a=1."}
    assert "Done lately" in server.ask("/duties", ANN).text


@pytest.mark.parametrize(
    ("text", "wrong"), [(" \n", "What shows that it was done?"), ("y" * 3000, "longer than 2000")], ids=["none", "long"]
)
def test_what_was_typed_stays_where_a_record_is_refused(shop, text, wrong):
    """Nothing is recorded, and the words stand in the form again."""
    answer = shop.post(TILL, ANN, evidence=text)
    assert answer.status == 422
    assert wrong in answer.text
    assert text.strip() in answer.text
    with shop.ledger.read() as tx:
        assert duties.find(tx, "count_the_till", "2017-W46").done_at is None


@pytest.mark.parametrize("path", ["/duties/nothing/2017-W46", "/duties/count_the_till/2017-W99", "/duties/x"])
def test_what_is_no_duty_is_not_found(shop, path):
    """Neither to look at nor to record."""
    assert shop.ask(path, ANN).status == 404
    assert shop.post(path, ANN, evidence="Done.").status == 404


def test_what_is_to_come_can_be_done_ahead(server):
    """A period that no scheduler has written down yet is there, and can be recorded."""
    path = "/duties/review_access/2018-Q2"
    assert "It opens only later; you may do it ahead." in server.ask(path, ANN).text
    assert server.post(path, BOB, evidence="All gone through.").status == 303
    found = re.findall(r'href="/duties/(review_access/[\w-]+)"', server.ask("/duties", ANN).text)
    assert found == ["review_access/2018-Q1", "review_access/2018-Q3", "review_access/2018-Q2"]


def test_evidence_of_every_kind_is_shown_and_stays_inert(server):
    """Findings with their level, checks, files and the run; hostile words are words."""
    found = [{"check": "c", "level": "warn", "message": "Small."}, {"level": "stop", "message": HOSTILE}]
    evidence = {
        "at": "x",
        "files": "reports/duties/x",
        "checks": {"grants": "All fit."},
        "found": found * 40,
        "run": "r1",
    }
    with server.ledger.write() as tx:
        assert duties.found(tx, "count_the_till", "2017-W46", evidence)
    page = server.ask(TILL, ANN)
    assert page.status == 200
    assert page.text.count("<script") == 1  # our own
    assert "<img" not in page.text
    text = said(page.text)
    for words in ("80 things were found.", "And 20 more", "All fit.", "reports/duties/x", "found, overdue"):
        assert words in text
    assert 'href="/runs/r1"' in page.text


@pytest.mark.parametrize("evidence", [{"found": "x", "checks": [1], "said": None}, {"drill": 1, "steps": {}}, {"a": 1}])
def test_evidence_that_nobody_knows_is_no_error(server, evidence):
    """What another version wrote down breaks no page."""
    with server.ledger.write() as tx:
        duties.done(tx, "count_the_till", "2017-W46", Done("gone", NOW, evidence))
    assert server.ask(TILL, ANN).status == 200
    assert server.ask("/duties", ANN).status == 200


def test_past_periods_of_a_duty_are_listed_and_no_later_ones(server):
    """The newest first, twelve at most."""
    with server.ledger.write() as tx:
        for week in range(20, 46):
            at = NOW - timedelta(weeks=46 - week)
            duties.note(tx, [Due("count_the_till", f"2017-W{week}", at - timedelta(weeks=1), at)])
    found = re.findall(r'href="/duties/count_the_till/(2017-W\d+)"', server.ask(TILL, ANN).text)
    assert found == [f"2017-W{week}" for week in range(45, 33, -1)]


def test_where_nothing_is_due_the_page_says_so(tmp_path):
    """All done, and no duties at all."""
    folder = desk.copy(tmp_path)
    with desk.serving(folder) as server:
        project = config.load(folder)
        for duty, period in (("count_the_till", "2017-W46"), ("count_the_till", "2017-W47"), ("review_access", "")):
            acts.done(project, server.ledger, Report(duty, period, "bob", "Done."), NOW)
        assert "Nothing is due." in server.ask("/duties", ANN).text
    (folder / "config/duties.yml").write_text("duties: {}\n")
    (folder / "reports/ledger.sqlite").unlink()
    with desk.serving(folder) as server:
        assert "There are no duties." in server.ask("/duties", ANN).text


def test_a_duty_that_config_has_no_more_can_still_be_read(tmp_path):
    """What was done stays on record; nothing can be recorded of it any more."""
    folder = desk.copy(tmp_path)
    change(folder / "config/duties.yml", "count_the_till:", "count_all_tills:")
    with desk.serving(folder) as server:
        assert "It stands in config/duties.yml no more." in server.ask(TILL, ANN).text
        assert server.post(TILL, ANN, evidence="Done.").status == 404


def test_the_act_says_what_is_wrong(server):
    """Typed or clicked: names that are misspelt are answered with those that are meant."""
    project, report = config.load(server.folder), Report("count_the_till", "", "ann", "Done.")
    for wrong, words in (
        (replace(report, duty="count_the_til"), "count_the_till"),
        (replace(report, who="anne"), "ann"),
        (replace(report, period="2017-W99"), "2017-W99"),
    ):
        with pytest.raises(UsageError, match=words):
            acts.done(project, server.ledger, wrong, NOW)
    assert acts.done(project, server.ledger, report, NOW) == "2017-W46"  # the oldest that is open


def test_looking_at_duties_writes_nothing(shop):
    """What the calendar has is worked out, and the ledger stays as it is."""
    with shop.ledger.read() as tx:
        before = duties.between(tx, NOW - timedelta(days=900), NOW + timedelta(days=900))
    shop.ask("/duties", ANN)
    shop.ask("/duties/review_access/2018-Q2", ANN)
    with shop.ledger.read() as tx:
        assert duties.between(tx, NOW - timedelta(days=900), NOW + timedelta(days=900)) == before
        open_, coming = agenda.agenda(tx, config.load(shop.folder), NOW)
    assert len(open_) == 3
    assert len(coming) == 2


def test_what_was_due_before_the_first_look_is_owed_by_nobody(server):
    """A ledger that begins on Tuesday says nothing of Monday evening; before any look, what the calendar has counts."""
    evening = "{title: Sweep, every: Mondays by 20:00, begins: 2017-11-06, owner: on-call, how: Sweep.}"
    change(server.folder / "config/duties.yml", "  review_access:", f"  sweep: {evening}\n  review_access:")
    project = config.load(server.folder)
    fresh = Ledger.open(server.folder / "fresh.sqlite")
    owed = []
    for ledger in (server.ledger, fresh):
        with ledger.read() as tx:
            owed.append([task.due.period for task in agenda.agenda(tx, project, NOW)[0] if task.due.duty == "sweep"])
    fresh.close()
    assert owed == [["2017-W47"], ["2017-W46", "2017-W47"]]


def test_the_review_shows_the_facts_of_a_quarter(shop):
    """Deadlines, incidents, hours on call, owners and duties; a quarter by its name, and nothing for what is none."""
    page = said(shop.ask("/duties/review", ANN).text)
    assert "Sales 1 1 0 0" in page
    assert "Growth 1 never open" in page
    assert "Ann keeps the tills and Bob the accounts." in page
    quarter = said(shop.ask("/duties/review?quarter=2017-Q4", ANN).text)
    assert "Sun 1 Oct 2017 to Mon 1 Jan 2018 , as far as it has come" in quarter
    assert "Nothing in this span." in said(shop.ask("/duties/review?quarter=2017-Q1", ANN).text)
    assert shop.ask("/duties/review?quarter=1017-Q1", ANN).status == 404


def test_past_drills_show_how_long_people_took(server):
    """Newest first: told, acknowledged, mended, and what went wrong; one without people is told apart."""
    assert "No drill was held yet." in server.ask("/duties/review", ANN).text
    with server.ledger.write() as tx:
        journal.act(tx, Act(NOW - timedelta(days=13), "bob", "drill", DRILL))
        journal.act(tx, Act(NOW, "runner", "drill", {**DRILL, "unattended": True, "failed": [], "fault": HOSTILE}))
    page = server.ask("/duties/review", ANN).text
    text = said(page)
    assert "cell failed, sales 8.0 s 4 min never ■ failed Nobody took the fault away" in text
    assert text.index("unattended") < text.index("cell failed")
    assert page.count("<script") == 1


def test_a_duty_is_recorded_in_the_browser(server, chromium):
    """From the list to the form to what stands there then."""
    with browser.window(chromium, server, ANN) as page:
        page.goto("/duties")
        page.get_by_role("link", name="Count the till").first.click()
        page.get_by_label("What you did, and what shows it").fill("231.40, as the list says.")
        page.get_by_role("button", name="Record it as done").click()
        page.get_by_text("Count the till is recorded as done, with what shows it.").wait_for()
        assert page.get_by_text("231.40, as the list says.").is_visible()
        assert page.get_by_role("button", name="Record it as done").count() == 0
