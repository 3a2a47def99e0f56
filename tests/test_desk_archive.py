"""The archive: readers find what they were given, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from runner.ledger.tables import deliveries, runs
from tests import browser, desk, desk_editions
from tests.desk import ANN, BOB, NOW, OLGA, TINA, Server
from tests.desk_editions import LATER, looked_through
from tests.small_projects import mails


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


@pytest.fixture(scope="module")
def restated(tmp_path_factory) -> Iterator[Server]:
    folder = desk_editions.copy(desk_editions.whole(), tmp_path_factory.mktemp("archive"))
    with desk.serving(folder, LATER) as made:
        yield made


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Iterator[Server]:
    """A shop of which Olga has had sales every day for half a year."""
    with desk.serving(desk.copy(tmp_path_factory.mktemp("long"))) as server:
        run = server.run_of("sales")
        with server.ledger.write() as tx:
            made = dict(tx.execute(sa.select(runs).where(runs.c.run == run.run)).mappings().one())
            given = dict(tx.execute(sa.select(deliveries).where(deliveries.c.recipient == OLGA)).mappings().one())
            days = [date(2017, 11, 12) - timedelta(days=back) for back in range(180)]
            tx.execute(runs.insert(), [_run(made, day) for day in days])
            tx.execute(deliveries.insert(), [_delivery(given, day) for day in days])
        yield server


def _run(made: dict, day: date) -> dict:
    at = NOW - (date(2017, 11, 13) - day)
    about = {"run": f"run-{day}", "period": str(day), "parameters": {"as_of": str(day)}}
    return {**made, **about, "started_at": at, "finished_at": at}


def _delivery(given: dict, day: date) -> dict:
    return {**given, "run": f"run-{day}", "period": str(day), "sent_at": NOW - (date(2017, 11, 13) - day)}


def listed(text: str) -> list[str]:
    """The runs whose reports a page leads to, in order, each of its list's own lines."""
    return re.findall(r'class="what"><a href="/reports/([^"]+)"', text)


def test_an_investor_opens_the_archive_and_reads_a_report(restated, chromium):
    """From the first page it leads there; a period leads to its report, whose frame shows it."""
    with browser.window(chromium, restated, OLGA, narrow=True) as page:
        page.goto("/")
        expect(page).to_have_url(f"{restated.address}/archive")
        expect(page.get_by_role("heading", name="November 2017")).to_be_visible()
        page.get_by_role("link", name="Tuesday 14 November 2017").click()
        expect(page.get_by_role("heading", name="Sales – Tuesday 14 November 2017")).to_be_visible()
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("That was all.")).to_be_visible()
        with page.expect_download() as waited:
            page.get_by_role("link", name="Download the PDF").click()
        assert waited.value.suggested_filename == "sales-2017-11-14.pdf"


def test_readers_see_what_they_were_given_alone(restated):
    """Olga and Tina have sales, nobody what is held or failed; engineers see what was sent to anybody."""
    all_sales = {run.run for run in restated.ledger.runs("sales")}
    for who in (OLGA, TINA, ANN):
        assert set(listed(restated.ask("/archive", who).text)) == all_sales
    assert listed(restated.ask("/archive?report=growth", OLGA).text) == []
    assert "Nothing of this report was sent to you." in restated.ask("/archive?report=growth", OLGA).text
    assert "3 of 3 have it" in restated.ask("/archive", ANN).text
    assert "have it" not in restated.ask("/archive", OLGA).text


def test_a_rehearsal_or_what_is_only_owed_was_given_to_nobody(tmp_path):
    """What went to the sandbox, was refused or still waits is not in a reader's archive."""
    with desk.serving(desk.copy(tmp_path)) as server:
        for state in ("sandboxed", "refused", "owed", "withdrawn", "handing"):
            with server.ledger.write() as tx:
                tx.execute(deliveries.update().where(deliveries.c.recipient == OLGA).values(state=state))
            assert "Nothing was sent to you yet." in server.ask("/archive", OLGA).text, state


def test_restatements_are_marked_the_newest_first(restated):
    """Of two versions the newer stands first; the older says since when another takes its place, and which."""
    tuesday, second, first = (run.run for run in restated.ledger.runs("sales"))
    text = restated.ask("/archive", OLGA).text
    assert listed(text) == [tuesday, second, first]
    mine = text[text.index(f'class="what"><a href="/reports/{first}"') :]
    assert "restated" in mine
    assert f'<a href="/reports/{second}">see the newest</a>' in mine
    assert "restated" not in text[: text.index(f'class="what"><a href="/reports/{first}"')]


@pytest.mark.parametrize("who", [OLGA, ANN])
@pytest.mark.parametrize("path", ["/archive", "/archive?report=sales"])
def test_all_of_it_is_found_page_by_page(long, who, path):
    """Older ones follow one another to the end, each report once, the newest first."""
    found: list[str] = []
    while path:
        text = long.ask(path, who).text
        found += listed(text)
        older = re.search(r'href="([^"]+)">Older ones', text)
        path = older[1].replace("&amp;", "&") if older else ""
        assert len(listed(text)) <= 60
    assert len(found) == len(set(found)) == 181
    assert found[1:] == [f"run-{date(2017, 11, 12) - timedelta(days=back)}" for back in range(180)]


@pytest.mark.parametrize("path", ["?before=yesterday", "?before=2017-11-13", "?report=%3Cscript%3E", "?report=xx"])
def test_nonsense_in_the_address_is_no_error(long, path):
    """It asks for nothing, or for the newest."""
    page = long.ask(f"/archive{path}", OLGA)
    assert page.status == 200
    assert "<script>" not in page.text


def test_a_mail_too_large_for_its_report_leads_to_the_reports_page(tmp_path):
    """The link in the mail asks whoever is not signed in to sign in, and then shows the report to its reader alone."""
    folder = desk.copy(tmp_path)
    settings = folder / "config" / "settings.yml"
    place = "http://127.0.0.1:8420/archive"
    settings.write_text(settings.read_text() + f"mail: {{largest: 40 KB, archive: '{place}'}}\n")
    before = set(mails(folder))
    with desk.serving(folder) as server:
        run = server.run_of("growth")
        assert server.post(f"/runs/{run.run}/approve", BOB, because="It is right.").status == 303
        (path, *_) = set(mails(folder)) - before
        text = message_from_bytes(path.read_bytes(), policy=default).get_body(("plain",)).get_content()
        (address,) = re.findall(rf"{re.escape(place)}\S+", text)
        path = urlsplit(address).path
        asked = server.ask(path)
        assert (asked.status, asked.headers["location"].startswith("/sign-in?next=/archive/growth/")) == (303, True)
        led = server.ask(path, OLGA)
        assert (led.status, led.headers["location"]) == (303, f"/reports/{run.run}")
        assert server.ask(path, TINA).status == 404
        assert server.ask(path.replace("/growth/", "/sales/", 1), OLGA).status == 404


def test_no_table_of_the_past_is_read_from_end_to_end(long):
    """However much was sent, each question is answered by an index."""
    for who in (OLGA, ANN):
        for path in ("/archive", "/archive?report=sales", "/archive?before=2017-10-01T00:00:00%2B00:00"):
            assert looked_through(long, path, who) == []
