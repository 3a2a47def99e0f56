"""The desk's rota: a calendar that shows what the rota says, swaps by the two whom they concern, secret calendars."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from icalendar import Calendar
from playwright.sync_api import Browser, expect

from runner import config
from runner.acts import swaps as acts
from runner.acts.swaps import Deed
from runner.ledger import Ledger, access, journal
from runner.ledger import rota as book
from runner.ledger.tables import shifts as _shifts
from runner.plan.calendar import Span, instant
from runner.plan.feed import whole
from runner.plan.months import month_after, months, stints
from runner.plan.oncall import Clock, Leg, Rota, Shift
from runner.scheduler import oncall, roster
from runner.scheduler.oncall import AHEAD, BEHIND
from tests import browser, desk
from tests.desk import ANN, BOB, CAT, EVE, NOW, Answer, Server
from tests.desk_routes import offered
from tests.small_projects import change
from tests.test_oncall import at as moment
from tests.test_oncall import away, override, rules, swapped
from tests.test_rota_commands import inside

NEW_YORK = ZoneInfo("America/New_York")
NOON, MIDNIGHT = time(12), time()
DAY = timedelta(days=1)
#: Ann's week in December, Bob's in November.
ANNS = "ann 2017-12-11T14:00:00Z 2017-12-18T14:00:00Z"
BOBS = "bob 2017-11-20T14:00:00Z 2017-11-27T14:00:00Z"
#: Longer than a year of the rota: overrides of hours, somebody away, and a swap.
MORE = """
overrides:
  - {begins: 2018-03-10 22:00, ends: 2018-03-11 12:30, primary: cat, because: <b>A concert</b>}
  - {begins: 2018-11-04 00:30, ends: 2018-11-04 01:30, primary: bob, because: The clocks}
away:
  - {who: ann, begins: 2018-02-05 12:00, ends: 2018-02-20 09:00, because: leave}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The shop, as one's own."""
    return desk.copy(tmp_path / "shop")


@pytest.fixture
def server(shop: Path) -> Iterator[Server]:
    with desk.serving(shop) as made:
        yield made


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Server]:
    """A desk that is only looked at, or refuses."""
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shown"))) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


def none_of(day: date) -> str:
    """A calendar without holidays."""
    return f"{day:%A}" if day.weekday() > 4 else ""


# The grid.


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
def test_a_grid_shows_whoever_is_on_call_throughout_two_years(zone):
    """Its days tile each month without a gap, through both clock changes; at noon, too, it is the rota's."""
    ruled = rules(
        time_zone=zone,
        hand_off="Sunday 02:30",
        overrides=[
            override("2017-11-04 23:00", "2017-11-05 01:30", "dan"),
            override("2018-03-11 02:10", "2018-03-11 13:00", "ada"),
        ],
        away=[away("ben", "2018-05-01 12:00", "2018-06-01 12:00")],
    )
    clock = Clock.of(ruled)
    halves = [Leg(who, clock.hand_off(day), clock.hand_off(day + 7 * DAY)) for who, day in _own_weeks(ruled)]
    past = Rota(ruled).shifts(moment("2016-12-20 00:00"), moment("2017-02-01 10:00"))
    rota = Rota(ruled, (swapped(*halves),), past)
    days = [day for month in months(rota, date(2017, 1, 1), 24, none_of) for day in month.days]
    assert [day.day for day in days] == [date(2017, 1, 1) + n * DAY for n in range(730)]
    assert all(one.end == other.start for one, other in pairwise(days))
    for day in days:
        bounds = [day.start, *(shift.end for shift in day.shifts)]
        assert [shift.start for shift in day.shifts] == bounds[:-1]
        assert bounds[-1] == day.end
        for at in (instant(day.day, NOON, rota.zone), *(day.start + n * timedelta(hours=4) for n in range(6))):
            shown = next(shift for shift in day.shifts if shift.start <= at < shift.end)
            assert shown.same_as(rota.at(at))


def _own_weeks(ruled) -> list[tuple[str, date]]:
    """Two weeks in summer, and whose they are."""
    clock, rota = Clock.of(ruled), Rota(ruled)
    weeks = [clock.first_day(date(2018, 7, 1)), clock.first_day(date(2018, 7, 8))]
    return [(rota.at(clock.hand_off(week)).primary, week) for week in weeks]


def test_a_month_stands_in_weeks_from_monday_and_names_its_holidays(shop):
    """December 2017 begins on a Friday; weekdays are no holidays; a month after a month is the next one."""
    project = config.load(shop)
    (month,) = months(Rota(project.oncall), date(2017, 12, 1), 1, roster.holiday_of(project))
    assert [sum(cell is not None for cell in week) for week in month.weeks] == [3, 7, 7, 7, 7]
    assert month.weeks[0][4].day == date(2017, 12, 1)
    assert {day.day.day: day.holiday for day in month.days if day.holiday} == {25: "Christmas Day"}
    assert [month_after(date(2017, 12, 1), n) for n in (-12, 0, 1, 13)] == [
        date(2016, 12, 1), date(2017, 12, 1), date(2018, 1, 1), date(2019, 1, 1),
    ]  # fmt: skip


class Grid(HTMLParser):
    """The days of a page: for each its parts, (start as the link says it, name, text), and the text of the cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.days: list[tuple[str, list[tuple[datetime, str, str, str]], str]] = []
        self.months: list[str] = []
        self._in: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._in.append(tag)
        if tag == "td" and "day" in (given.get("class") or "").split():
            self.days.append((given["class"], [], ""))
        if tag == "a" and "td" in self._in:
            start = datetime.fromisoformat(parse_qs(urlsplit(given["href"]).query)["at"][0])
            self.days[-1][1].append((start, given["title"].partition(" – ")[0], given["title"], given["class"]))

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if "td" in self._in and self.days:
            self.days[-1] = (*self.days[-1][:2], f"{self.days[-1][2]} {data}")
        if "caption" in self._in:
            self.months.append(data)


def test_the_page_shows_whoever_is_on_call_at_noon_of_every_day_of_two_years(shop):
    """What is served for 24 months is, day by day, what the rota says at 12:00 on its own clocks."""
    with (shop / "config/oncall.yml").open("a") as file:
        file.write(MORE)
    with desk.serving(shop) as server:
        seen = oncall.look(server.ledger, server.desk.project, NOW)
        first, secret = date(2017, 11, 1), server.sign_in(ANN)
        for number in range(0, 24, 3):
            begins = month_after(first, number)
            grid = Grid(server.ask(f"/rota?month={begins:%Y-%m}", secret=secret).text)
            assert grid.months == [f"{month_after(begins, n):%B %Y}" for n in range(3)]
            for place, (_, parts, _) in enumerate(grid.days):
                noon = instant(begins + place * DAY, NOON, NEW_YORK)
                shown = next(name for start, name, *_ in reversed(parts) if start <= noon)
                assert shown == seen.name(seen.rota.at(noon).primary)
            assert len(grid.days) == (month_after(begins, 3) - begins).days


def test_a_day_of_the_page_says_what_is_special_about_it(shop):
    """Two names on a day of a hand-over with its time; a holiday's name; own turns; today; why; nothing unescaped."""
    with (shop / "config/oncall.yml").open("a") as file:
        file.write(MORE)
    with desk.serving(shop) as server:
        autumn = Grid(server.ask("/rota", ANN).text).days
        spring = server.ask("/rota?month=2018-03", ANN).text
    monday, today, thanks, christmas = autumn[19], autumn[13], autumn[22], autumn[30 + 24]
    assert [name for _, name, *_ in monday[1]] == ["Ann Archer", "Bob Baker"]
    assert "09:00" in monday[2]
    assert "today" in today[0]
    assert today[1][0][3].endswith(" mine")
    assert "Thanksgiving Day" in thanks[2]
    assert "Holiday rule 'Christmas'" in christmas[1][0][2]
    days = Grid(spring).days
    assert [name for _, name, *_ in days[10][1]] == ["Cat Carter", "Ann Archer"]  # until 12:30 on the day of 23 hours
    assert [start.astimezone(NEW_YORK).hour for start, *_ in days[10][1]] == [0, 12]
    assert "Override (<b>A concert</b>)" in days[10][1][0][2]
    assert "<b>A concert" not in spring


def test_months_go_back_to_the_record_and_two_years_ahead(shown):
    """Other months, and what is no month, are answered with a sentence, and this month below it."""
    for asked, status in (("2017-11", 200), ("2019-11", 200), ("2017-10", 422), ("2019-12", 422), ("2017-13", 422),
                          ("<script>", 422), ("\uff12\uff10\uff11\uff17-11", 422), ("0000-01", 422)):  # fmt: skip
        got = shown.ask(f"/rota?{urlencode({'month': asked})}", ANN)
        assert got.status == status, asked
        assert Grid(got.text).months[0] == (
            f"{date.fromisoformat(f'{asked}-01'):%B %Y}" if status == 200 else "November 2017"
        )
        assert ("The calendar goes from November 2017" in got.text or "is no month" in got.text) == (status == 422)
    assert "month=2017-10" not in shown.ask("/rota", ANN).text


def test_a_project_without_a_rota_says_so(shop):
    """Every page about it says how to have one; an act is refused."""
    (shop / "config/oncall.yml").unlink()
    change(shop / "config/duties.yml", "owner: on-call", "owner: ann")
    with desk.serving(shop) as server:
        for path in ("/rota", "/rota/why", "/rota/swaps", "/rota/shares", "/rota/swaps/1"):
            got = server.ask(path, ANN)
            assert (got.status, "Nobody takes turns yet." in got.text) == (200, True), path
        assert server.post("/rota/swaps", ANN, give=ANNS, take=BOBS).status == 422


# The record.


def record(ledger: Ledger, years: int) -> None:
    """Weeks that have been, up to the day of the sample, each of one who was never in any rules."""
    week = timedelta(days=7)
    begins = [moment("2017-11-13 09:00") - n * week for n in range(52 * years, 0, -1)]
    weeks = [Shift(at, at + week, "zoe", "dan", (f"Rotation of {at:%d %b %Y}: zoe.",)) for at in begins]
    with ledger.write() as tx:
        tx.execute(_shifts.insert(), [vars(shift) | {"because": list(shift.because)} for shift in weeks])


def test_what_was_stands_as_it_was(server):
    """The record is shown whatever the rules say now, with a person who has left, and reaches as far as it goes."""
    record(server.ledger, 3)
    got = server.ask("/rota?month=2014-12", ANN)
    days = Grid(got.text).days
    assert {name for day in days for _, name, *_ in day[1]} == {"zoe"}
    assert all("past" in day[0] for day in days)
    assert "are on record: no later edit changes them" in got.text
    why = server.ask("/rota/why?at=2016-05-05T12:00", ANN).text
    assert "Kept as it was: this is on record" in why
    assert "zoe" in server.ask("/rota/shares?year=2017", ANN).text


def test_questions_about_a_span_read_no_more_than_it_needs_and_answer_alike(server):
    """Month by month a look at a span has the shifts and reasons of a look at all that ever was."""
    record(server.ledger, 2)
    acts.accept(server.desk.project, server.ledger, int(offered(server)), Deed("accepted", "ann", NOW))
    whole_ = oncall.look(server.ledger, server.desk.project, NOW)
    for number in range(-22, 20):
        span = Span(*(instant(month_after(date(2017, 11, 1), n), MIDNIGHT, NEW_YORK) for n in (number, number + 1)))
        part = oncall.look(server.ledger, server.desk.project, NOW, span)
        assert part.rota.shifts(span.first, span.last) == whole_.rota.shifts(span.first, span.last)
        assert part.rota.at(span.first) == whole_.rota.at(span.first)
        assert part.rests_on(span.first) == whole_.rests_on(span.first)
        assert part.since == whole_.since
        assert len(part.rota.history) < 40
    assert len(whole_.rota.history) > 100


def steps(server: Server, path: str) -> int:
    """How many instructions the database runs for a page."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    def connect(connection, *_: object) -> None:
        connection.set_progress_handler(step, 10)

    secret = server.sign_in(ANN)
    server.ledger._engine.dispose()
    sa.event.listen(server.ledger._engine, "connect", connect)
    assert server.ask(path, secret=secret).status == 200
    sa.event.remove(server.ledger._engine, "connect", connect)
    server.ledger._engine.dispose()
    return count


def test_no_page_reads_the_whole_past(server):
    """With forty years of record behind it the database works no more for any page than with one."""
    paths = ("/rota", "/rota?month=2016-12", "/rota/why?at=2017-01-05T10:00", "/rota/swaps", "/rota/shares?year=2017")
    record(server.ledger, 1)
    short = {path: steps(server, path) for path in paths}
    with server.ledger.write() as tx:
        tx.execute(_shifts.delete())
    record(server.ledger, 40)
    for path, count in short.items():
        assert steps(server, path) <= 1.2 * count + 20, path


# Why.


def test_the_page_gives_the_reasons_that_the_command_gives(shown):
    """Sentence for sentence what `runner oncall --explain` says of the instant."""
    asked = "2017-12-24T10:00"
    code, out, _ = inside(shown.folder, "oncall", "--at", asked, "--explain", "--now", NOW.isoformat())
    assert code == 0
    reasons = [line.partition(". ")[2] for line in out.splitlines() if re.match(r"  \d\. ", line)]
    text = unescape(re.sub(r"<[^>]+>", "", shown.ask(f"/rota/why?at={asked}", ANN).text))
    places = [text.index(reason) for reason in reasons]
    assert len(places) == 3
    assert places == sorted(places)
    assert "Worked out from the rules and swaps in force." in text


def test_an_instant_is_asked_on_the_clock_that_is_chosen(shown):
    """The same words mean another instant on the reader's clock; in the hour that clocks skip, the first after it."""
    cookie = {"Cookie": f"desk={shown.sign_in(ANN)}; zone=Asia%2FTokyo"}
    asked = "date=2017-11-20&time=09:00"
    rotas, readers = (shown.ask(f"/rota/why?{asked}&clock={clock}", headers=cookie).text for clock in ("rota", "mine"))
    assert 'datetime="2017-11-20T14:00:00+00:00"' in rotas
    assert 'datetime="2017-11-20T00:00:00+00:00"' in readers
    assert "Bob Baker is on call until" in re.sub(r"<[^>]+>", "", rotas)
    assert "Ann Archer (you) is on call until" in re.sub(r"<[^>]+>", "", readers)
    assert 'datetime="2018-03-11T07:00:00+00:00"' in shown.ask("/rota/why?at=2018-03-11T02:30", ANN).text


@pytest.mark.parametrize(
    "asked",
    [
        *("never", "2017-02-30T10:00", "0001-01-01T00:00", "9999-12-31T23:59-12:00", "2017-12-24T10:00+99:00"),
        *("1" * 1000, "<script>alert(1)</script>", "\u202e2017"),
    ],
)
def test_nonsense_is_told_what_to_write(shown, asked):
    """What is no instant is answered with a sentence beside what was typed, which stays as it was."""
    got = shown.ask(f"/rota/why?{urlencode({'date': asked})}", ANN)
    assert (got.status, "Write them like 2017-12-24 and 10:00." in got.text) == (422, True)
    assert unescape(re.search(r'name="date"[^>]* value="([^"]*)"', got.text)[1]) == asked[:100]
    assert "<script>alert" not in got.text


# Swaps.


def everything(ledger: Ledger) -> tuple[object, ...]:
    """Swaps, acts about them, and letters about them."""
    with ledger.read() as tx:
        done = [act for act in journal.acts(tx, NOW - DAY, NOW + DAY) if act.what.startswith(("swap", "calendar"))]
        letters = tx.execute(sa.text("SELECT kind, person, message FROM outbox WHERE kind LIKE 'swap%'")).all()
        return book.swaps(tx), done, letters


def test_two_people_swap_in_their_own_windows_and_the_rota_changes(server, chromium):
    """Ann offers, Bob accepts in his window; both see it agreed, and so do the calendar and `runner oncall`."""
    asked = ("oncall", "--at", "2017-11-22T12:00", "--json", "--now", (NOW + timedelta(minutes=1)).isoformat())
    assert json.loads(inside(server.folder, *asked)[1])["primary"] == "bob"
    with browser.window(chromium, server, ANN) as anns, browser.window(chromium, server, BOB, narrow=True) as bobs:
        anns.goto("/rota/swaps")
        anns.get_by_label("You give", exact=True).select_option(ANNS)
        anns.get_by_label("You take for it", exact=True).select_option(BOBS)
        anns.get_by_role("button", name="Offer").click()
        expect(anns.get_by_role("status")).to_contain_text("Bob Baker is asked.")
        bobs.goto("/rota")
        bobs.get_by_role("link", name="See swap 1, and answer").click()
        bobs.get_by_role("button", name="Accept swap 1").click()
        expect(bobs.get_by_role("status")).to_contain_text("Both have accepted: the rota has changed.")
        for window in (anns, bobs):
            window.goto("/rota/swaps/1")
            expect(window.locator(".head .badge")).to_contain_text("agreed")
        anns.goto("/rota")
        expect(anns.locator("a.turn[title^='Ann Archer – Swap 1']")).to_have_count(8)
        expect(anns.locator("a.turn[title^='Bob Baker – Swap 1']").first).to_be_visible()
    assert json.loads(inside(server.folder, *asked)[1])["primary"] == "ann"
    _, done, letters = everything(server.ledger)
    assert [(act.who, act.what) for act in done] == [("ann", "swap offered"), ("bob", "swap accepted")]
    assert [(kind, person) for kind, person, _ in letters] == [
        ("swap offered", "bob"), ("swap agreed", "ann"), ("swap agreed", "bob"),
    ]  # fmt: skip


def test_a_third_is_answered_as_if_there_were_no_swap(server):
    """Cat sees that it is offered, and cannot accept, decline or undo it: the answer is that for what there is not."""
    number = offered(server)
    before = everything(server.ledger)
    page = server.ask(f"/rota/swaps/{number}", CAT).text
    assert "only they can answer" in page
    assert f"/rota/swaps/{number}/" not in page
    for act in ("accept", "decline", "undo"):
        mine, none = (server.post(f"/rota/swaps/{name}/{act}", CAT) for name in (number, "77"))
        assert (mine.status, bare(mine)) == (404, bare(none)), act
    assert everything(server.ledger) == before


def bare(answer: Answer) -> str:
    """A page without what is its session's own."""
    return re.sub(r'(name="csrf" value=")\w*', r"\1", answer.text)


@pytest.mark.parametrize("name", ["0", "01", "-1", "x", "1e3", "\u0661", "9" * 40, "1%00"])
def test_what_is_no_number_of_a_swap_is_not_there(server, name):
    """Neither a page nor an act."""
    offered(server)
    assert server.ask(f"/rota/swaps/{urlencode({'': name})[1:]}", ANN).status == 404
    assert server.post(f"/rota/swaps/{urlencode({'': name})[1:]}/accept", ANN).status == 404


def test_an_offer_is_declined_an_agreement_undone_each_with_its_letters_and_once(server):
    """What is over says so; a second click is refused with a sentence and changes nothing."""
    number = offered(server)
    assert server.post(f"/rota/swaps/{number}/undo", ANN).status == 422  # not agreed yet
    assert server.post(f"/rota/swaps/{number}/decline", ANN).status == 303
    again = server.post(f"/rota/swaps/{number}/accept", ANN)
    assert (again.status, "was declined or undone" in again.text) == (422, True)
    second = server.post("/rota/swaps", BOB, give=BOBS, take=ANNS).headers["location"]
    assert server.post(f"{second}/accept", ANN).status == 303
    assert server.post(f"{second}/undo", BOB).status == 303
    swaps, done, letters = everything(server.ledger)
    assert [swap.undone_at for swap in swaps] == [NOW, NOW]
    assert [act.what for act in done] == [
        "swap offered",
        "swap declined",
        "swap offered",
        "swap accepted",
        "swap undone",
    ]
    assert [(kind, person) for kind, person, _ in letters][1:2] == [("swap declined", "bob")]
    assert {person for kind, person, _ in letters if kind == "swap undone"} == {"ann", "bob"}
    text = server.ask("/rota/swaps", ANN).text
    assert "undone" in text
    assert "declined" in text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"give": ANNS, "take": ANNS}, "Ann Archer cannot swap with the same person."),
        ({"give": BOBS, "take": ANNS}, "Ann Archer cannot swap with the same person."),
        ({"give": ANNS, "take": BOBS.replace("27T", "26T")}, "Ann Archer would give 168 hours and take 144."),
        ({"give": ANNS, "take": ""}, "Nothing is chosen for the shift that you take for it."),
        ({"give": "ann x y", "take": "\u202e"}, "Nothing is chosen for the shift that you give."),
        ({"give": ANNS, "take": BOBS, "give_from": "2017-12-11T09:00"}, "Both shifts and exact times are filled in."),
        ({"give_from": "soon", "whom": "bob"}, "“soon” is no time that can be swapped."),
        ({"give_from": "2017-12-11T09:00", "whom": "bob"}, "One of the four times is missing."),
        ({"give_from": "2017-11-14T09:00", "give_to": "2017-11-14T12:00", "take_from": "2017-11-21T09:00",
          "take_to": "2017-11-21T12:00", "whom": "bob"}, "has begun."),
        ({"give_from": "2017-11-16T09:00", "give_to": "2017-11-16T12:00", "take_from": "2017-11-21T09:00",
          "take_to": "2017-11-21T12:00", "whom": "<b>"}, "Nobody called '<b>' is in the rota."),
    ],
)  # fmt: skip
def test_a_refused_offer_loses_nothing_and_leaves_nothing(shown, form, said):
    """The sentence stands beside the form, what was filled in stays in it, and nothing is on record."""
    got = shown.post("/rota/swaps", ANN, **form)
    text = unescape(got.text)
    assert (got.status, said in text) == (422, True), text[-3000:]
    for name in form.keys() & {"give_from", "give_to", "take_from", "take_to"}:
        assert f'name="{name}" type="datetime-local" value="{form[name]}"' in text
    for value in (form.get("give"), form.get("take")):
        wanted = value in {ANNS, BOBS} and not (value == BOBS and form["give"] == BOBS) and form.get("take") != ANNS
        assert not wanted or f'value="{value}" selected' in text
    assert everything(shown.ledger) == ((), [], [])


def test_hours_are_swapped_by_exact_times_on_the_clocks_of_the_rota(server):
    """Three hours of Ann's against three of Bob's; what is offered reads as it was typed."""
    form = {"give_from": "2017-11-16T09:00", "give_to": "2017-11-16T12:00", "whom": "bob"}
    got = server.post("/rota/swaps", ANN, **form, take_from="2017-11-21T09:00", take_to="2017-11-21T12:00")
    assert got.status == 303
    (swap,) = everything(server.ledger)[0]
    assert (swap.give, swap.take.who) == (Leg("ann", moment("2017-11-16 09:00"), moment("2017-11-16 12:00")), "bob")


def test_old_swaps_are_paged_newest_first(server):
    """However many there were, a page lists so many; those to come stand on the first."""
    first = offered(server)
    with server.ledger.write() as tx:
        swap = book.swap(tx, int(first))
        for number in range(60):
            book.offer(tx, replace(swap, undone_at=NOW - DAY, offered_at=NOW - number * DAY))
    newest, older = (server.ask(f"/rota/swaps{more}", ANN).text for more in ("", "?before=37"))
    listed = [[int(number) for number in re.findall(r">Swap (\d+)</a>", text)] for text in (newest, older)]
    assert listed == [[1, *range(61, 36, -1)], [*range(36, 11, -1)]]
    assert "before=37" in newest
    assert "before=12" in older


def test_whoever_has_no_turn_is_told_so(shown):
    """Eve is in no rota: she has no form; an offer that she sends all the same is refused by the rules."""
    assert "You have no turn in the coming half year" in shown.ask("/rota/swaps", EVE).text
    got = shown.post("/rota/swaps", EVE, give=ANNS, take=BOBS)
    assert (got.status, "Nobody called 'Eve Ellis' is in the rota." in unescape(got.text)) == (422, True)


def test_turns_that_can_be_given_are_whole_and_of_one_week(shop):
    """A turn that rules cut, one person throughout, is one; two weeks in a row of one person are two."""
    project = config.load(shop)
    rota = Rota(project.oncall)
    found = stints(rota, moment("2017-12-18 09:00"), moment("2018-01-08 09:00"))
    assert [(shift.primary, f"{shift.start.astimezone(NEW_YORK):%d %H}") for shift in found] == [
        ("bob", "18 09"), ("dan", "24 09"), ("dan", "25 09"), ("cat", "26 09"), ("dan", "01 09"),
    ]  # fmt: skip


def test_letters_about_a_swap_lead_to_it_where_the_desk_has_a_public_address(shop):
    """Without one they name commands alone, as ever."""
    ledger, address = Ledger.of(config.load(shop)), "https://desk.shop.example/in/rota/swaps"
    halves = Leg("ann", *ends(ANNS)), Leg("bob", *ends(BOBS))
    acts.offer(config.load(shop), ledger, halves, Deed("offered", "ann", NOW))
    change(shop / "config/settings.yml", "desk: {", "desk: {public: 'https://desk.shop.example/in/', ")
    project = config.load(shop)
    acts.decline(project, ledger, 1, Deed("declined", "bob", NOW))
    acts.offer(project, ledger, halves, Deed("offered", "ann", NOW))
    links = [json.loads(message)["links"] for *_, message in everything(ledger)[2]]
    assert links == [[], [["See it at the desk", f"{address}/1"]], [["Answer at the desk", f"{address}/2"]]]
    ledger.close()


def ends(value: str) -> tuple[datetime, datetime]:
    """The instants in the value of a choice."""
    _, start, end = value.split(" ")
    return datetime.fromisoformat(start), datetime.fromisoformat(end)


# Shares.


def test_shares_are_those_of_the_command(shown):
    """Weeks of the year as `runner oncall --fairness` has them in hours; years that are none are told so."""
    code, out, _ = inside(shown.folder, "oncall", "--fairness", "--json", "--now", NOW.isoformat())
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown.ask("/rota/shares?year=2018", ANN).text))
    for row in (row for row in rows if row.get("year") == "2018"):
        name = shown.desk.project.name_of(row["who"])
        found = re.search(
            rf"{name}(?: \(you\))? Weeks ([\d.]+) Nights ([\d.]+) Weekends ([\d.]+) Holidays ([\d.]+)", page
        )
        wanted = [row["hours"] / 168, row["nights"] / 8, row["weekends"] / 48, row["holidays"] / 24]
        assert [float(part) for part in found.groups()] == pytest.approx(wanted, abs=0.05)
    for year in ("1999", "2031", "x", "9" * 5000):
        assert shown.ask(f"/rota/shares?year={year}", ANN).status == 422


# Calendars.


def address_of(answer: Answer) -> str:
    """The path of the address that a page shows."""
    assert answer.status == 200, answer.text
    return urlsplit(re.search(r"<code>(http[^<]+\.ics)</code>", answer.text)[1]).path


def test_a_calendar_is_fetched_by_its_secret_address_alone(server):
    """It holds the shifts of its owner as the rota has them; a second fetch of the same is not sent again."""
    path = address_of(server.post("/rota/calendars", ANN, of="own", do="make"))
    got = server.ask(path)
    assert (got.status, got.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert got.headers["cache-control"] == "private, max-age=900"
    seen = oncall.look(server.ledger, server.desk.project, NOW)
    midnight = instant(NOW.date(), MIDNIGHT, NEW_YORK)
    shifts = whole(seen.rota, midnight - BEHIND, midnight + AHEAD)
    wanted = [("primary", shift.start) for shift in shifts if shift.primary == "ann"]
    wanted += [("secondary", shift.start) for shift in shifts if shift.secondary == "ann"]
    events = Calendar.from_ical(got.body).walk("VEVENT")
    assert sorted(
        (re.search("primary|secondary", event["summary"])[0], event.decoded("dtstart")) for event in events
    ) == sorted(wanted)
    tag = got.headers["etag"]
    assert (
        server.ask(path, headers={"If-None-Match": f'"x", {tag}'}).status,
        server.ask(path, method="HEAD").body,
    ) == (304, b"")
    server.dial.at += timedelta(hours=3)
    assert server.ask(path, headers={"If-None-Match": tag}).status == 304
    server.post("/rota/swaps", ANN, give=ANNS, take=BOBS)
    server.post("/rota/swaps/1/accept", BOB)
    fresh = server.ask(path, headers={"If-None-Match": tag})
    assert (fresh.status, fresh.headers["etag"] == tag) == (200, False)


def test_an_address_made_anew_ends_the_one_before_and_none_is_kept_readable(server):
    """It is shown once; the ledger holds no secret; a stopped one is good no more; each is on record."""
    first = address_of(server.post("/rota/calendars", ANN, of="everybody", do="make"))
    assert server.ask(first).status == 200
    assert ".ics" not in server.ask("/rota/calendars", ANN).text
    second = address_of(server.post("/rota/calendars", ANN, of="everybody", do="make"))
    assert (server.ask(first).status, server.ask(second).status) == (404, 200)
    secret = second.rpartition("/")[2].removesuffix(".ics").encode()
    assert all(secret not in file.read_bytes() for file in server.folder.rglob("*.sqlite*"))
    assert server.post("/rota/calendars", BOB, of="everybody", do="stop").status == 422  # Bob has none
    assert server.post("/rota/calendars", ANN, of="everybody", do="stop").status == 303
    assert server.ask(second).status == 404
    done = everything(server.ledger)[1]
    assert [(act.who, act.what, act.details["of"]) for act in done] == [
        ("ann", what, "everybody") for what in ("calendar made", "calendar made anew", "calendar stopped")
    ]


def test_whoever_has_no_address_is_told_plainly_that_there_is_none(server):
    """Unknown, expired, of another scope, of one who has left: one and the same 404, and no way to a sign-in."""
    with server.ledger.write() as tx:
        access.add_token(tx, "machine", access.Token("m", ("read",), "ann", NOW))
        access.add_token(tx, "old", access.Token("o", ("calendar:ann",), "ann", NOW - DAY, NOW))
        access.add_token(tx, "left", access.Token("l", ("calendar:everybody",), "zoe", NOW))
    for name in ("nothing", "machine", "old", "left", "x" * 5000):
        for who in ("", ANN):
            got = server.ask(f"/calendars/{name}.ics", who)
            assert (got.status, got.body, got.headers["content-type"]) == (
                404,
                b"Not found\n",
                "text/plain; charset=utf-8",
            )


def test_nobody_makes_an_address_of_anothers_calendar(shown):
    """One's own or everybody's; any other is refused, and nothing is on record."""
    got = shown.post("/rota/calendars", ANN, of="bob", do="make")
    assert (got.status, everything(shown.ledger)[1]) == (422, [])
