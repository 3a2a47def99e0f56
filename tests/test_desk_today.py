"""The first page: how the day stands in a sentence, on a time line, and by itself anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from runner.ledger import deadlines, history, incidents
from runner.ledger.deadlines import Owed
from runner.plan.incidents import acknowledge
from runner.scheduler import standing
from runner.scheduler.standing import Standing
from runner.web.charts import TimeAxis
from runner.web.looks import Times
from runner.web.pages.today import Row, _placed, headline
from tests import browser, desk
from tests.desk import HOUR, MIDNIGHT, MINUTE, NOW, Server
from tests.small_projects import change

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


def words(page: str) -> str:
    """The words of a page, without its marks."""
    return re.sub(r" ([,.;])", r"\1", " ".join(re.sub(r"<[^>]+>", " ", page).split()))


def said(server: Server, who: str = desk.ANN) -> str:
    """The headline, as somebody sees it."""
    page = server.ask("/", who).text
    return words(page[page.index('id="headline"') - 20 :].partition("</p>")[0].partition(">")[2])


def test_a_reader_elsewhere_is_told_whose_time_a_sentence_has(server):
    """On every page, once; where both clocks agree there is nothing to tell."""
    secret = server.sign_in(desk.ANN)
    for path in ("/", "/incidents", "/duties"):
        here = server.ask(path, desk.ANN).text
        away = server.ask(path, headers={"Cookie": f"desk={secret}; zone=Europe%2FBerlin"}).text
        assert [text.count("Times within sentences are New York’s.") for text in (here, away)] == [0, 1]


# How the day stands, in a sentence.


def test_the_first_sentence_says_how_the_day_stands(server):
    """Engineers hear of all reports and of what else is wrong, stakeholders of their own reports alone."""
    assert said(server) == (
        "■ 1 of 3 reports of today is out. 1 is late, 1 failed. 1 thing besides the reports needs a look."
    )
    assert said(server, desk.TINA) == "■ 1 of 2 reports of today is out. 1 failed."


@pytest.mark.parametrize(
    ("states", "besides", "wanted", "tone"),
    [
        ((), 0, "Nothing is due today.", "good"),
        ((), 2, "Nothing is due today. 2 things besides the reports need a look.", "warn"),
        (("met",), 0, "All is well. The report of today is out.", "good"),
        (("planned",), 0, "All is well. The report of today is not out yet.", "good"),
        (("met", "met late"), 0, "All is well. Both reports of today are out.", "good"),
        (("planned", "under way"), 0, "All is well. None of the 2 reports of today is out yet.", "good"),
        (("met", "met", "at risk"), 0, "2 of 3 reports of today are out. 1 may be late.", "warn"),
        (("met", "held"), 0, "1 of 2 reports of today is out. 1 waits for a person's decision.", "held"),
        (("late", "late", "failed"), 0, "None of the 3 reports of today is out yet. 2 are late, 1 failed.", "stop"),
    ],
)
def test_the_sentence_counts_and_takes_the_gravest_tone(server, states, besides, wanted, tone):
    """One and several, none and all, and what is wrong besides; all is well only where it is."""
    known = deadline_of(server, "sales")
    stands = [Standing(Owed(known), state, "", "") for state in states]
    found = headline(stands, MIDNIGHT, besides=besides)
    assert (found.text, found.tone) == (wanted, tone)


def deadline_of(server: Server, pipeline: str):
    """Today's deadline of a pipeline."""
    with server.ledger.read() as tx:
        return next(
            owed.deadline
            for owed in deadlines.between(tx, MIDNIGHT, MIDNIGHT + DAY)
            if owed.deadline.pipeline == pipeline
        )


# What stands below it.


def test_open_incidents_come_first_with_who_is_at_them(tmp_path):
    """Each with its state, its report by title, who was told or is at it, and the way to it; then the time line."""
    with desk.serving(desk.copy(tmp_path)) as server:
        with server.ledger.write() as tx:
            found = next(one for (name, _), one in incidents.opened(tx).items() if name == "stock")
            incidents.keep(tx, acknowledge(found, "cat", NOW - 5 * MINUTE).incident, [], NOW)
        page = server.ask("/", desk.ANN).text
    text = words(page)
    assert page.index("What is wrong now") < page.index("Due today")
    assert "Growth Mon 13 Nov 2017 since 09:00, incident 1" in text
    assert "Nobody is at it yet. Told: Ann Archer, Bob Baker." in text
    assert "Cat Carter is at it since 10:35." in text
    assert re.search(r'href="/incidents/1">What to do', page)
    assert not re.search(rf'href="/incidents/{found.number}">What to do', page)
    assert "Count the till week of 13 November 2017 since" in text


def test_each_deadline_lies_on_the_time_line(server):
    """From its begin to its deadline against now, said in words beside, with whoever answers for it and its run."""
    page = server.ask("/", desk.ANN).text
    assert 'aria-label="Sales: begins Tue 08:00, due Tue 09:00, ended Tue 08:00; met"' in page
    assert 'aria-label="Stock: begins Tue 10:00, due Tue 12:00; failed"' in page
    assert f'href="/runs/{server.run_of("stock").run}">newest run' in page
    assert "Ann Archer (on call)" in page
    nows = set(re.findall(r'<line class="now" x1="([\d.]+)%"', page))
    assert len(nows) == 1


def test_who_is_on_call_now_and_next_is_named(server):
    """By name, with the time of the change and the way to the rota."""
    text = words(server.ask("/", desk.EVE).text)
    assert "On call now Ann Archer, behind them Bob Baker" in text
    assert "Takes over next Bob Baker, Mon 20 Nov 09:00 Rota" in text


def test_stakeholders_hear_of_no_incident_nobody_on_call_and_no_scheduler(server):
    """What they see is how their own reports stand, and who owns them."""
    text = words(server.ask("/", desk.TINA).text)
    for inside in ("wrong now", "On call", "on call", "Scheduler", "ZeroDivisionError", "Growth", "incident"):
        assert inside not in text
    assert "It could not be made yet." in text
    assert "Cat Carter (owner)" in text


def test_tomorrow_is_listed_below(server):
    """The deadlines of the next day in a plain table, and no more."""
    page = server.ask("/", desk.EVE).text
    assert re.findall(r"Wed 15 Nov \d\d:\d\d", words(page[page.index('id="later"') :])) == [
        "Wed 15 Nov 09:00", "Wed 15 Nov 10:00", "Wed 15 Nov 12:00",
    ]  # fmt: skip


def test_a_report_of_an_older_day_is_still_owed(server):
    """The day after, what is not there yet stands on top, marked as owed still."""
    server.dial.at = NOW + DAY
    try:
        page = words(server.ask("/", desk.EVE).text)
    finally:
        server.dial.at = NOW
    assert "Still owed: Monday 13 November 2017" in page
    assert "The scheduler last looked at Tue 14 Nov 10:40, 24 h ago" in page


def test_a_project_that_no_scheduler_has_looked_at_says_so(tmp_path):
    """With an empty ledger the calendar is shown all the same, and what is to be done is said."""
    folder = desk.copy(tmp_path)
    for file in (folder / "reports").glob("ledger.sqlite*"):
        file.unlink()
    with desk.serving(folder) as server:
        text = words(server.ask("/", desk.EVE).text)
    assert "No scheduler has looked at this project yet: start one with runner serve." in text
    assert "Scheduler has not looked yet" in text
    assert "Sales Monday 13 November 2017" in text


def test_a_day_without_a_deadline_names_the_next(tmp_path):
    """Nothing today and tomorrow: the page says so and leads to what comes next."""
    folder = desk.copy(tmp_path)
    for name in ("09:00", "10:00", "12:00"):
        change(folder / "config" / "pipelines.yml", f"deadline: daily by {name}", f"deadline: Fridays by {name}")
    for file in (folder / "reports").glob("ledger.sqlite*"):
        file.unlink()
    with desk.serving(folder) as server:
        text = words(server.ask("/", desk.EVE).text)
        assert "Nothing is due today. Next: Sales, due Fri 17 Nov 09:00." in text
        assert "Nothing is due tomorrow." in text


def test_a_warehouse_that_cannot_be_had_does_not_take_the_page_away(tmp_path):
    """Experiments begin as the warehouse says; without it everything else is shown."""
    folder = desk.copy(tmp_path)
    change(folder / "config" / "pipelines.yml", "    period: week\n    deadline: Mondays by 08:00",
           "    period: experiment\n    experiment: 18\n    deadline: within 6 hours of experiment start")  # fmt: skip
    text = (folder / "config" / "pipelines.yml").read_text()
    (folder / "config" / "pipelines.yml").write_text(text.removesuffix("sources: []\n") + "sources: [warehouse]\n")
    change(folder / "config" / "settings.yml", "attempts: 1", "attempts: 1\nwarehouse: nowhere/at/all.duckdb")
    (folder / "nowhere").write_text("a file where a folder should be")
    with desk.serving(folder) as server:
        assert server.ask("/", desk.EVE).status == 200
        assert server.ask("/pipelines", desk.EVE).status == 200


def test_a_forecast_is_given_while_it_is_not_made_yet(server):
    """A report that is to begin tomorrow is there a usual run later; one that does not come by itself has none."""
    office = standing.glance(server.desk.project, server.ledger)
    with server.ledger.read() as tx:
        stands = {item.owed.key: item for item in standing.standing(tx, office, NOW)}
    assert stands["stock", "2017-11-14"].expected == MIDNIGHT + DAY + 10 * HOUR + 5 * MINUTE
    assert stands["stock", "2017-11-13"].expected is None
    assert stands["sales", "2017-11-13"].expected is None


def test_a_bar_begins_with_the_first_run_and_not_with_the_plan(tmp_path):
    """What a report took is shown from the run that was begun, however long before or after the time planned for it."""
    with desk.serving(desk.copy(tmp_path)) as server:
        project, axis = server.desk.project, TimeAxis(MIDNIGHT + 7 * HOUR, MIDNIGHT + 13 * HOUR)
        with server.ledger.read() as tx:
            stands = standing.standing(tx, standing.glance(project, server.ledger), NOW)
            tries = history.tries_of(tx, [item.owed.key for item in stands])
    met = next(item for item in stands if item.state == "met")
    began = met.owed.ended_at - 20 * MINUTE
    assert tries[met.owed.key].since == MIDNIGHT + 8 * HOUR
    assert _placed(Row(met, "", "", "", "", None, is_old=False), axis, NOW, began).spent == axis.bar(
        began, met.owed.ended_at
    )


# In a real browser.


def test_it_renews_itself(tmp_path, chromium):
    """Whoever keeps it open sees what happens without a reload: an acknowledgement, a delivery, the time."""
    with desk.serving(desk.copy(tmp_path)) as server, browser.window(chromium, server, desk.ANN) as page:
        page.clock.install()
        page.goto("/")
        page.evaluate("window.same = true")
        expect(page.locator(".troubles")).not_to_contain_text("Bob Baker is at it")
        with server.ledger.write() as tx:
            for (name, _), one in incidents.opened(tx).items():
                if name == "growth":
                    incidents.keep(tx, acknowledge(one, "bob", NOW).incident, [], NOW)
            owed = next(one for one in deadlines.begun(tx, NOW) if one.deadline.pipeline == "growth")
            ending = deadlines.Ending("delivered", NOW, met=True, run=owed.run)
            deadlines.settle(tx, owed.key, ending)
        server.dial.at = NOW + 3 * MINUTE
        page.clock.fast_forward(6_000)  # its own timer, and no waiting for it
        expect(page.locator(".troubles")).to_contain_text("Bob Baker is at it")
        expect(page.locator("#headline")).to_contain_text("2 of 3 reports of today are out. 1 failed.")
        expect(page.locator(".lane-head")).to_contain_text("now 10:43")
        assert page.evaluate("window.same") is True


def test_a_desk_that_does_not_answer_is_told(tmp_path, chromium):
    """Whoever keeps it open is told how old the page is, after two tries in vain; it goes when the desk is back."""
    with desk.serving(desk.copy(tmp_path)) as server, browser.window(chromium, server, desk.ANN) as page:
        page.clock.install()
        page.goto("/")
        page.route("**/*", lambda route: route.abort())
        page.clock.run_for(6_000)
        page.clock.run_for(20_000)
        expect(page.get_by_text("This page stands as it was at 10:40")).to_be_visible()
        page.unroute("**/*")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when somebody turns to it again
        expect(page.locator("#offline")).to_be_hidden()


def test_it_lies_well_on_a_phone_with_many_reports(tmp_path, chromium):
    """Forty reports with long names: nothing sticks out, every bar is as wide as its place, tomorrow is folded."""
    folder = desk.copy(tmp_path)
    many(folder, 40)
    with desk.serving(folder) as server:
        for narrow in (False, True):
            with browser.window(chromium, server, desk.ANN, narrow=narrow) as page:
                page.goto("/")
                assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
                expect(page.locator("li.lane-row")).to_have_count(43)
                expect(page.locator("#tomorrow")).not_to_have_attribute("open", "")
                assert page.locator("svg.lane").first.bounding_box()["width"] > 250


def many(folder: Path, count: int) -> None:
    """So many more reports."""
    path = folder / "config" / "pipelines.yml"
    with path.open("a") as file:
        for n in range(count):
            file.write(MORE.format(n=n, name=f"Report {n} " + "of a very long name " * (n % 4), hour=9 + n % 12))


MORE = """\
  more_{n}:
    title: "{name}"
    notebook: sales.ipynb
    period: day
    deadline: daily by {hour:02}:15
    owners: {{primary: ann, secondary: bob, because: So it is.}}
    readers: [team]
    sources: []
"""


def test_two_clocks_say_a_day_once():
    """Beside the reader's time stands the plan's, with its day only where that is another; a day alone stands alone."""
    times = Times(NOW, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"))
    seen = [re.sub(r"<[^>]*>", "", times.when(at, form)) for at, form in (
        (NOW, "short"), (NOW, "date"), (NOW, "second"), (MIDNIGHT + 20 * HOUR, "short"),
    )]  # fmt: skip
    assert seen == [
        "Tue 14 Nov 16:40 10:40 EST",
        "Tue 14 Nov 2017",
        "16:40:00 10:40:00 EST",
        "Wed 15 Nov 02:00 Tue 14 Nov 20:00 EST",
    ]
