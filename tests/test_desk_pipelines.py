"""Reports and their past: what each visitor is shown of a pipeline, and that no page reads all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from runner.errors import Trouble
from runner.ledger import Ledger, Process, history, tables
from runner.ledger.history import Made, Told
from runner.ledger.sources import Probe, probed
from runner.model import Figure, Finding, Level
from runner.plan.forecast import forecast
from runner.web.charts import Sample, TimeAxis, curve, day_axis
from runner.web.pages.pipelines import MOST, starts_of
from runner.web.series import period_words, series_of
from tests import browser, desk
from tests.desk import HOUR, MIDNIGHT, MINUTE, NOW, Server
from tests.small_projects import change, write
from tests.test_desk_looks import AXE, RULES

DAY = timedelta(days=1)
HERE = Process.this().as_dict()
HOSTILE = "<script>alert(1)</script>\u202e" + "x" * 300


def past(ledger: Ledger, pipeline: str, days: int, **more: Any) -> None:
    """So many days of a pipeline before today, each with one run: late each 15th, given up each 31st day."""
    with ledger.write() as tx:
        for back in range(days, 0, -1):
            one_day(tx, pipeline, back, **more)


def one_day(tx: sa.Connection, pipeline: str, back: int, label: str = "Revenue") -> None:
    """One day: a deadline, a run, its figures; the eleventh out of its range, each seventh with a doubt."""
    due = MIDNIGHT + 9 * HOUR - back * DAY
    period = (date(2017, 11, 13) - back * DAY).isoformat()
    run, begun = f"{pipeline}-{period}", due - HOUR
    missed, late = back % 31 == 0, back % 15 == 0
    ended = due + HOUR if late else begun + 5 * MINUTE
    tx.execute(tables.deadlines.insert().values(
        pipeline=pipeline, period=period, text=period_words(period), as_of=period, starts_at=begun, ready_at=due,
        due_at=due, state="missed" if missed else "met", ended_at=ended, attempts=1, outcome="delivered",
        run=None if missed else run))  # fmt: skip
    if missed:
        return
    tx.execute(tables.runs.insert().values(
        run=run, pipeline=pipeline, period=period, status="delivered", version=1, inputs="", parameters={},
        started_at=begun, finished_at=begun + (3 + back % 4) * MINUTE, message="", process=HERE))  # fmt: skip
    value = 11.0 + 0.5 * (back % 7) + (6 if back == 11 else 0)
    rows = [("revenue", label, value, "usd2"), ("baskets", "Baskets", 80.0 + back % 5, "count")]
    tx.execute(tables.figures.insert(), [
        {"run": run, "name": name, "position": at, "kind": "float", "number": number, "unit": unit,
         "text": f"{number:,.2f}", "rest": {"label": title}}
        for at, (name, title, number, unit) in enumerate(rows)])  # fmt: skip
    numbers = {"observed": value, "lower": 9.5 + back % 7 / 3, "upper": 14.5 + back % 7 / 3}
    findings = [(f"usual range of {label.lower()}", "warn" if back == 11 else "pass", "It is far above.", numbers)]
    if back % 7 == 0:
        findings.append(("sources agree", "warn", "Two systems differ.", {}))
    tx.execute(tables.findings.insert(), [
        {"run": run, "position": at, "check": check, "level": level, "message": message, "numbers": held}
        for at, (check, level, message, held) in enumerate(findings)])  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """The shop with seventy more days of sales, a source that is down, and a runbook of hostile markdown."""
    folder = desk.copy(tmp_path_factory.mktemp("shop"))
    sales = "    readers: [investors, team]\n    sources: []"
    change(folder / "config" / "pipelines.yml", sales, sales.replace("[]", "[warehouse]"))
    write(folder / "config" / "sources.yml", SOURCES)
    write(folder / "config" / "contracts" / "receipts.yml", "columns: {day: {type: day}}\n")
    write(folder / "config" / "runbooks" / "sales.md", RUNBOOK)
    with desk.serving(folder) as made:
        past(made.ledger, "sales", 70)
        with made.ledger.write() as tx:
            probed(tx, Probe("tills", NOW - MINUTE, 1.0, Trouble.SOURCE_UNAVAILABLE, "Its address is secret.example."))
        yield made


SOURCES = """\
sources:
  tills: {kind: files, title: Till files, url: data}
tables:
  receipts: {from: [tills], day: day}
"""
RUNBOOK = """\
# Sales

## Purpose

It is **sold**. <script>alert(1)</script> [bad](javascript:alert(1)) [good](https://example.com/a)

## The tills are shut
Answers: late

1. Open them.
"""


def text_of(html: str) -> str:
    """The words of a page, without its marks."""
    return re.sub(r" ([,.;])", r"\1", " ".join(re.sub(r"<[^>]+>", " ", html).split()))


# What is shown of a pipeline.


def test_a_report_says_what_is_promised_and_how_it_was_kept(server):
    """The promise, the next deadline and the record of 90 days stand on its page."""
    words = text_of(server.ask("/pipelines/sales", desk.EVE).text)
    assert "Promise Daily by 09:00 New York time" in words
    assert "Next due Wed 15 Nov 09:00" in words
    assert "In time, last 90 days 65 of 71 4 late, 2 given up" in words


def test_the_list_names_each_report_with_its_state_and_its_record(server):
    """Titles, promises, states and records; the newest fourteen outcomes as squares with their words."""
    page = server.ask("/pipelines", desk.EVE).text
    words = text_of(page)
    assert "Sales What was sold, and what it brought Daily by 09:00 ✓ met" in words
    assert "Growth How sales grow Daily by 10:00 ■ late" in words
    assert "65 of 71" in words
    assert page.count(": met</span>") == 0
    assert len(re.findall(r'title="[^"]*: met( late)?"', page)) == 14


def test_runs_are_shown_by_pages_of_twenty(server):
    """Each page leads to the one before it until there is no older run; none is shown twice or left out."""
    path, seen = "/pipelines/sales", []
    while path:
        page = server.ask(path, desk.EVE).text
        table = page[page.index("<caption") : page.index("</table>")]
        seen.append(re.findall(r'href="/runs/([^"]+)"', table))
        older = re.search(r'href="(/pipelines/sales\?before=[^"#]+)#runs"', page)
        path = older[1] if older else ""
    runs = [run for page in seen for run in page]
    assert [len(page) for page in seen] == [MOST, MOST, MOST, len(runs) - 3 * MOST]
    assert runs == [run.run for run in server.ledger.runs("sales")]


def test_runs_that_began_at_once_are_all_shown(server):
    """Of several that began at the same instant none is left out between two pages."""
    made = {"pipeline": "growth", "status": "failed", "inputs": "", "parameters": {}, "process": HERE}
    at = MIDNIGHT - 30 * DAY
    with server.ledger.write() as tx:
        for name in "dacb":
            tx.execute(tables.runs.insert().values(run=f"twin-{name}", period=name, started_at=at, **made))
    with server.ledger.read() as tx:
        first = history.attempts(tx, "growth", 2, (at + MINUTE, "x"))
        second = history.attempts(tx, "growth", 9, (first[-1].started_at, first[-1].run))
    assert [one.run for one in (*first, *second)] == ["twin-d", "twin-c", "twin-b", "twin-a"]


@pytest.mark.parametrize("before", ["nothing", "{stock}", "x" * 5000, "'; DROP TABLE runs"])
def test_a_page_of_runs_that_is_none_is_not_found(server, before):
    """Before a run that there is not, or of another report, there is no page."""
    named = before.replace("{stock}", server.run_of("stock").run).replace(" ", "%20")
    assert server.ask(f"/pipelines/sales?before={named}", desk.EVE).status == 404


def test_the_runbook_is_shown_and_stays_inert(server):
    """Its words are there under anchors; a script and a link to one are not."""
    page = server.ask("/pipelines/sales", desk.EVE).text
    assert 'id="runbook-the-tills-are-shut"' in page
    assert "<strong>sold</strong>" in page
    assert 'href="https://example.com/a"' in page
    assert "javascript:" not in page
    assert "<script>" not in page


def test_the_section_for_the_present_trouble_is_named(server):
    """A report that failed in a cell leads to the section on that."""
    page = server.ask("/pipelines/stock", desk.EVE).text
    assert re.search(r'What to do: <a href="#common-cell-failed">Cell failed</a>', page)


def test_a_source_that_is_down_is_shown_with_why(server):
    """Engineers see which source does not answer, and what it said."""
    words = text_of(server.ask("/pipelines/sales", desk.EVE).text)
    assert "■ down Till files asked 1 min ago" in words
    assert "Its address is secret.example." in words


@pytest.mark.parametrize("path", ["/pipelines/sales", "/pipelines/stock", "/pipelines", "/"])
def test_stakeholders_see_how_it_stands_and_nothing_of_its_inside(server, path):
    """No runbook, no error, no reader's address, no report that they do not read; for engineers all of it is there."""
    inside = ("secret.example", "ZeroDivisionError", "When something goes wrong", "olga@", "Growth", "/incidents")
    page = server.ask(path, desk.TINA).text
    assert [word for word in inside if word in page] == []
    whole = server.ask(path, desk.EVE).text
    assert "/incidents" in whole or "Growth" in whole


def test_hostile_names_stay_text(tmp_path):
    """A figure's label, a title, a reason and a message from outside are words, however long."""
    folder = desk.copy(tmp_path)
    change(folder / "config" / "pipelines.yml", "title: Stock", "title: <img src=x onerror=alert(1)>")
    change(folder / "config" / "pipelines.yml", "They count it.", "<b>bold</b>")
    with desk.serving(folder) as server:
        past(server.ledger, "stock", 3, label=HOSTILE)
        for path in ("/pipelines/stock", "/pipelines", "/"):
            page = server.ask(path, desk.EVE).text
            assert "<img" not in page
            assert "<b>bold" not in page
            assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in server.ask("/pipelines/stock", desk.EVE).text


# Figures over time.


def told(period: str, value: float, *findings: Finding, label: str = "Revenue, day") -> Told:
    """A delivered report with one figure."""
    return Told(f"run-{period}", period, (Figure("revenue", value, f"{value}", label),), findings)


def ranged(observed: float, level: Level = Level.PASS, name: str = "revenue", **more: Any) -> Finding:
    """A check that held a number against a range."""
    numbers = {"observed": observed, "lower": 5.0, "upper": 15.0, **more}
    return Finding(f"usual range of {name}", level, "Out of range.", None, numbers)


def test_a_figure_gets_the_range_of_the_check_that_observed_it():
    """The same number under the same name; another number, another name or a range of nothing is not its range."""
    own, other = told("2017-11-01", 10.0, ranged(10.00001)), told("2017-11-02", 10.0, ranged(12.0))
    stranger = told("2017-11-03", 10.0, ranged(10.0, name="baskets"))
    empty = told("2017-11-04", 10.0, ranged(10.0, lower=None, upper=None))
    points = series_of([own, other, stranger, empty])[0].points
    assert [(point.lower, point.upper) for point in points] == [(5.0, 15.0), (None, None), (None, None), (None, None)]


def test_a_figure_out_of_its_range_and_a_doubt_about_the_report_are_told_apart():
    """The one marks the figure, the other the report."""
    doubt = Finding("sources agree", Level.WARN, "They do not.", None, {})
    point = series_of([told("2017-11-01", 20.0, ranged(20.0, Level.WARN), doubt)])[0].points[0]
    assert point.doubt == "Out of range."
    assert point.doubts == ("sources agree: They do not.",)


def test_figures_stand_in_the_order_of_their_periods(server):
    """A period that was made later stands where it belongs, and of two versions the newest counts."""
    with server.ledger.write() as tx:
        made = {"pipeline": "visits", "status": "delivered", "version": 1, "inputs": "", "parameters": {}}
        for n, (run, period) in enumerate([("a", "2017-W40"), ("b", "2017-W39"), ("c", "2017-W40")]):
            at = MIDNIGHT - 9 * DAY + n * HOUR
            tx.execute(tables.runs.insert().values(run=run, period=period, started_at=at, process=HERE, **made))
    with server.ledger.read() as tx:
        assert [(one.period, one.run) for one in history.told(tx, "visits")] == [("2017-W39", "b"), ("2017-W40", "c")]


def test_the_page_marks_what_was_out_of_range(server):
    """The figure's chart has its band, its mark, and every value in a table."""
    page = server.ask("/pipelines/sales", desk.EVE).text
    assert page.count('class="band-area"') == 1
    assert page.count('class="cross"') == 1
    assert "▲</span>warn</span> It is far above." in page
    assert "Till files" in page


def test_a_curve_keeps_its_gaps_and_stays_within_its_frame():
    """A value that is missing or no number parts the line; the largest numbers there are do not break it."""
    samples = [Sample(1.0), Sample(2.0), Sample(None), Sample(float("nan")), Sample(3.0, 1.0, 4.0), Sample(2.0)]
    drawn = curve(samples)
    assert drawn is not None
    assert [dot.index for dot in drawn.dots] == [0, 1, 4, 5]
    assert len(drawn.lines) == 2
    assert len(drawn.areas) == 1
    assert (drawn.low, drawn.high) == (1.0, 4.0)
    huge = curve([Sample(-1.7e308), Sample(1.7e308)])
    assert huge is not None
    assert [dot.y for dot in huge.dots] == [92.0, 8.0]
    assert curve([Sample(None), Sample(float("inf"))]) is None
    flat = curve([Sample(7.0)])
    assert flat is not None
    assert [(dot.x, dot.y) for dot in flat.dots] == [(50.0, 50.0)]


def test_charts_can_be_read_by_everybody(server):
    """Charts with bands and marks, and the tables behind them, pass axe, and nothing sticks out sideways."""
    with browser.browsing() as chromium, browser.window(chromium, server, desk.ANN, narrow=True, dark=True) as page:
        page.goto("/pipelines/sales")
        page.evaluate("document.getElementById('f-2').open = true")
        page.evaluate(AXE)
        found = page.evaluate("rules => axe.run('.graphs', rules).then(all => all.violations)", RULES)
        assert [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]] == []
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


# Run times.


def test_a_run_that_began_after_the_latest_safe_start_is_counted():
    """Slow runs take twenty minutes: begun ten minutes before its deadline, one is too late even if it made it."""
    slow = forecast([1200.0] * 5, 60.0)
    due = MIDNIGHT + 9 * HOUR
    good = Made("a", "1", due - HOUR, due - 50 * MINUTE, due)
    tight = Made("b", "2", due - 10 * MINUTE, due - MINUTE, due)
    by_hand = Made("c", "3", due + 5 * DAY, due + 5 * DAY, due)
    starts = starts_of([good, tight, by_hand], slow, NOW)
    assert starts is not None
    assert [(row.made.run, row.spare) for row in starts.rows] == [("a", 40 * MINUTE), ("b", -10 * MINUTE)]
    assert starts.late == 1
    assert 0 < starts.rows[0].bar.x < starts.safe < starts.rows[1].bar.x < starts.due < 100
    assert starts_of([by_hand], slow, NOW) is None


def test_hours_are_those_of_the_readers_clock():
    """Whole hours of their own zone, on the day that clocks change, too; now is always among them."""
    zone = ZoneInfo("Asia/Kolkata")
    axis = day_axis([MIDNIGHT + 9 * HOUR, MIDNIGHT + 12 * HOUR], NOW, (MIDNIGHT, MIDNIGHT + DAY), zone)
    assert {mark.at.astimezone(zone).minute for mark in axis.hours(zone)} == {0}
    assert axis.holds(NOW)
    berlin, change = ZoneInfo("Europe/Berlin"), datetime.fromisoformat("2017-10-29T00:00+00:00")
    hours = [mark.at.astimezone(berlin).hour for mark in TimeAxis(change, change + 3 * HOUR).hours(berlin)]
    assert hours == [2, 2, 3, 4]


# The past is long.


def test_no_question_reads_the_whole_past(server):
    """Whatever these pages ask, each table that grows is reached through an index."""
    plans: dict[str, list[str]] = {}

    def explain(_connection, cursor, statement, parameters, _context, _many):
        if re.match(r"SELECT|WITH", statement) and statement not in plans:
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans[statement] = [row[-1] for row in rows]

    sa.event.listen(sa.Engine, "before_cursor_execute", explain)
    try:
        for path in ("/", "/pipelines", "/pipelines/sales"):
            assert server.ask(path, desk.EVE).status == 200
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", explain)
    assert any("runs_by_time" in step for plan in plans.values() for step in plan)
    growing = ("runs", "figures", "findings", "deadlines", "deliveries", "probes", "loads", "outbox", "incidents")
    steps = {step for plan in plans.values() for step in plan if re.match(rf"SCAN ({'|'.join(growing)})\b", step)}
    assert steps - {"SCAN incidents USING INDEX incidents_open"} == set()  # which holds the open ones alone
    sorts = [statement for statement, plan in plans.items() for step in plan if "TEMP B-TREE FOR ORDER BY" in step]
    assert [statement for statement in sorts if "FROM runs" in statement and "listed" not in statement] == []


def test_what_is_delivered_before_its_time_is_not_due_next(tmp_path):
    """At half past eight the report due at nine is out since eight: the next one is tomorrow's."""
    with desk.serving(desk.copy(tmp_path), MIDNIGHT + 8 * HOUR + 30 * MINUTE) as server:
        assert "Next due Wed 15 Nov 09:00" in text_of(server.ask("/pipelines/sales", desk.ANN).text)
