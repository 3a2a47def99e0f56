"""A report at the desk: what its readers see, whatever it holds, and only the very files that were proven."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from runner.ledger import deliveries, finished, version_of
from runner.ledger.tables import figures
from runner.report import shelf
from runner.web import headers
from tests import browser, desk, desk_editions
from tests.desk import ANN, NOW, OLGA, TINA, Server
from tests.desk_editions import LATER, looked_through, plant
from tests.small_projects import change, mails

#: Tries whatever a script in a report could try.
HOSTILE = b"""<!DOCTYPE html><html><head><title>Sales</title></head><body><p id="words">Revenue 12.50</p>
<script>document.body.dataset.ran = "yes"; parent.document.title = "taken"; fetch("/archive");
document.body.dataset.cookies = document.cookie;</script>
<img src="x" onerror="document.body.dataset.ran = 'yes'"><img src="/static/icon.svg" id="loaded">
<form action="/sign-out" method="post"><button id="press">Press</button></form></body></html>"""
SCRIPT = "<script>document.title='ran'</script>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path / "shop")) as made:
        yield made


@pytest.fixture(scope="module")
def restated(tmp_path_factory) -> Iterator[Server]:
    """Monday's sales in two versions, Tuesday's in one."""
    folder = desk_editions.copy(desk_editions.whole(), tmp_path_factory.mktemp("restated"))
    with desk.serving(folder, LATER) as made:
        yield made


def versions(server: Server) -> tuple[str, str, str]:
    """The runs of Monday's first and second version, and of Tuesday's report."""
    tuesday, second, first = server.ledger.runs("sales")
    return first.run, second.run, tuesday.run


# What a report holds stays inert.


@pytest.mark.parametrize("alone", [False, True], ids=["in its frame", "visited by itself"])
def test_a_script_in_a_report_does_not_run(server, chromium, alone):
    """It runs nothing, loads nothing, sends nothing, and cannot reach the page around it or the desk's cookies."""
    run = server.run_of("sales")
    plant(server, run, "sales.html", HOSTILE)
    # Its own window: those of tests/browser.py fail on the errors that this very report is to raise.
    page = chromium.new_context(base_url=server.address, timezone_id="UTC").new_page()
    cookies = {"desk": server.sign_in(OLGA), "zone": "UTC"}
    page.context.add_cookies([{"name": name, "value": it, "url": server.address} for name, it in cookies.items()])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(server.address)))
    page.goto(f"/reports/{run.run}{'/report.html' if alone else ''}")
    frame = page.main_frame if alone else next(one for one in page.frames if one.url.endswith("report.html"))
    expect(frame.locator("#words")).to_have_text("Revenue 12.50")
    assert frame.locator("body").get_attribute("data-ran") is None
    assert frame.locator("body").get_attribute("data-cookies") is None
    assert frame.evaluate("self.origin") == "null"
    assert frame.evaluate("() => { try { return document.cookie } catch (error) { return error.name } }") == (
        "SecurityError"
    )
    frame.locator("#press").click()
    assert "taken" not in page.title()
    assert not {"/archive", "/sign-out", "/reports/x"} & set(asked)
    page.context.close()


def test_a_report_is_served_as_a_page_of_no_site(server):
    """Framed by the desk alone, under the strictest policy; its frame allows nothing."""
    run = server.run_of("sales")
    got = server.ask(f"/reports/{run.run}/report.html", OLGA)
    said = {name: got.headers[name] for name in ("content-security-policy", "x-frame-options", "cache-control")}
    assert said == {
        "content-security-policy": headers.REPORT,
        "x-frame-options": "SAMEORIGIN",
        "cache-control": "no-store",
    }
    assert got.body == (shelf.place(server.desk.project, run) / "sales.html").read_bytes()
    (frame,) = re.findall(r"<iframe[^>]*>", server.ask(f"/reports/{run.run}", OLGA).text)
    assert " sandbox src=" in frame
    assert "allow" not in frame


def test_hostile_names_stay_letters_around_a_report(server):
    """A title, a label and a change that hold a script are shown as they are written."""
    change(server.folder / "config" / "pipelines.yml", "title: Sales", f'title: "{SCRIPT}"')
    run = server.run_of("sales").run
    rest = {"label": SCRIPT, "prior": None, "change": SCRIPT, "tone": "neutral", "note": ""}
    with server.ledger.write() as tx:
        tx.execute(sa.update(figures).where(figures.c.run == run).values(rest=rest, text=SCRIPT))
    with desk.serving(server.folder) as fresh:
        for path in (f"/reports/{run}", f"/runs/{run}", "/archive"):
            page = fresh.ask(path, ANN)
            assert page.status == 200
            assert SCRIPT not in page.text
            assert "&lt;script&gt;" in page.text


# Only the files that were proven.


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_a_changed_report_is_not_shown(server, ending):
    """One letter that differs, or a file that is gone: the page says so, and neither shows nor hands out anything."""
    run = server.run_of("sales")
    place = shelf.place(server.desk.project, run) / f"sales.{ending}"
    place.write_bytes(place.read_bytes().replace(b"12.50", b"99.99") + b" ")
    page = server.ask(f"/reports/{run.run}", OLGA)
    assert "are not those that were sent" in page.text
    assert "<iframe" not in page.text
    assert server.ask(f"/reports/{run.run}/report.{ending}", OLGA).status == 409
    place.unlink()
    assert server.ask(f"/reports/{run.run}/report.{ending}", OLGA).status == 409


def test_the_pdf_is_that_of_the_mail(server):
    """The same bytes under the same name."""
    sent = [message_from_bytes(path.read_bytes(), policy=default) for path in mails(server.folder)]
    (attached,) = next(
        one for one in sent if OLGA in one["To"] and one["Subject"].startswith("Sales")
    ).iter_attachments()
    got = server.ask(f"/reports/{server.run_of('sales').run}/report.pdf", OLGA)
    assert got.body == attached.get_content()
    assert got.headers["content-disposition"] == f'attachment; filename="{attached.get_filename()}"'
    assert got.headers["content-type"] == "application/pdf"


def test_a_held_report_says_in_its_files_name_that_it_was_not_sent(server):
    """An engineer who keeps it cannot mistake it for the one that readers have."""
    run = server.run_of("growth").run
    got = server.ask(f"/reports/{run}/report.pdf", ANN)
    assert got.headers["content-disposition"] == 'attachment; filename="growth-2017-11-13-not-sent.pdf"'
    assert "It is held: its readers do not have it." in server.ask(f"/reports/{run}", ANN).text


def test_a_report_that_was_cleared_away_has_a_page(server):
    """Its figures and its versions stay; there is no frame and nothing to download."""
    run = server.run_of("sales")
    with server.ledger.write() as tx:
        assert finished.prune(tx, run, datetime(2017, 11, 14, tzinfo=UTC).date())
    page = server.ask(f"/reports/{run.run}", OLGA)
    assert (page.status, "were cleared away" in page.text, "12.50" in page.text) == (200, True, True)
    assert "<iframe" not in page.text
    assert "Download the PDF" not in page.text


# Versions.


def test_a_restated_version_says_so_and_leads_to_the_newest(restated, chromium):
    """The reader of the first version is told on top of it when it was restated, and reads the second in one step."""
    first, second, _ = versions(restated)
    with browser.window(chromium, restated, OLGA) as page:
        page.goto(f"/reports/{first}")
        expect(page.get_by_text("This version was restated on Tuesday 14 November 2017")).to_be_visible()
        page.get_by_role("link", name="Read version 2").click()
        expect(page).to_have_url(f"{restated.address}/reports/{second}")
        expect(page.get_by_text("This version restates version 1.")).to_be_visible()
        row = page.get_by_role("row", name="Revenue")
        assert row.get_by_role("cell").all_text_contents()[:2] == ["13.50", "12.50"]
        expect(row.get_by_text("restated")).to_be_visible()
        assert page.get_by_role("row", name="Best shop").get_by_text("restated").count() == 0


def test_who_was_not_sent_the_newer_version_is_told_and_not_led_there(tmp_path):
    """Whoever was taken off the list knows that it was restated, and sees none of the new figures."""
    with desk.serving(desk_editions.copy(desk_editions.whole(), tmp_path), LATER) as server:
        first, second, _ = versions(server)
        with server.ledger.write() as tx:
            newer = version_of(server.ledger.run(second))
            gone = deliveries._deliveries.update().where(deliveries._deliveries.c.version == newer.number)
            tx.execute(gone.where(deliveries._deliveries.c.recipient == TINA).values(state="withdrawn", sent_at=None))
        page = server.ask(f"/reports/{first}", TINA).text
        assert "This version was restated" in page
        assert "was not sent to you" in page
        assert second not in page
        assert "13.50" not in page
        assert server.ask(f"/reports/{second}", TINA).status == 404


def test_figures_stand_beside_those_of_the_report_before(restated):
    """Tuesday's beside Monday's newest, as both were printed."""
    _, second, tuesday = versions(restated)
    page = restated.ask(f"/reports/{tuesday}", OLGA).text
    assert re.search(r">Tuesday 14 November 2017</th>\s*<th[^>]*>Monday 13 November 2017</th>", page)
    assert re.search(r"Revenue</th><td[^>]*><strong>13\.50</strong></td><td[^>]*>13\.50</td>", page)
    assert f'/reports/{second}"' in page


def test_the_first_report_of_all_stands_alone(server):
    """Without a report before there is no column for it."""
    page = server.ask(f"/reports/{server.run_of('sales').run}", OLGA).text
    assert "Beside it" not in page
    assert page.count('<th scope="col"') == 2


def test_no_table_of_the_past_is_read_from_end_to_end(restated):
    """However many reports there were, each question is answered by an index."""
    for who in (OLGA, ANN):
        for run in versions(restated):
            assert looked_through(restated, f"/reports/{run}", who) == []
    assert restated.dial.at > NOW
