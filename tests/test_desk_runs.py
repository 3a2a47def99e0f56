"""The page of a run: what happened, what people decide about it, and what comes of that."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from runner.delivery.channels import Recorder
from runner.ledger import finished, journal
from runner.model import Status
from runner.report import cells, diary, notebooks, shelf
from runner.report.draft import Ctx
from runner.report.execute import Stop
from runner.scheduler import work
from runner.scheduler.office import Office
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests import browser, desk, desk_editions, mail_server
from tests.desk import ANN, BOB, CAT, DAN, EVE, HOUR, MINUTE, NOW, OLGA, OSCAR, TINA, Server
from tests.desk_editions import looked_through, plant
from tests.small_projects import NOTEBOOKS, change, mails

SCRIPT = "<script>document.title = 'ran'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def post() -> Iterator[mail_server.MailServer]:
    with mail_server.serving() as made:
        yield made


@pytest.fixture(scope="module")
def chromium(post) -> Iterator[Browser]:  # noqa: ARG001 - its loop is this thread's, and ends before the server
    with browser.browsing() as found:
        yield found


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Server]:
    """A shop that is only looked at."""
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shown"))) as server:
        yield server


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path / "shop")) as made:
        yield made


@contextmanager
def mailing(folder: Path, port: int) -> Iterator[Server]:
    """A desk whose reports go out by a real mail server."""
    settings = folder / "config" / "settings.yml"
    settings.write_text(settings.read_text() + f"mail: {{server: 127.0.0.1, port: {port}, security: none}}\n")
    with desk.serving(folder) as made:
        yield made


@contextmanager
def scheduler(server: Server) -> Iterator[Office]:
    """A scheduler over the shop of a desk, by the desk's clock."""
    stop = Stop()
    ctx = Ctx(server.desk.project, server.ledger, server.dial, stop, lambda _: None, environment={})
    try:
        yield open_office(ctx, Recorder())
    finally:
        stop.ask()
        stop.close()


def finish(office: Office, server: Server) -> None:
    """Wait until all that is under way has ended."""
    while office.crew.busy:
        work.collect(office, server.dial.at)
        desk.stop_soon(office)


def acts(server: Server) -> list[tuple[str, str, str]]:
    """(who, what, why) of all that was done, oldest first."""
    with server.ledger.read() as tx:
        found = journal.acts(tx, NOW - timedelta(days=9), NOW + timedelta(days=9))
    return [(act.who, act.what, act.details.get("because", "")) for act in found]


def of(server: Server, pipeline: str, more: str = "") -> str:
    """The address of the newest run of a pipeline."""
    return f"/runs/{server.run_of(pipeline).run}{more}"


# Decided on.


def test_a_held_report_is_approved_in_the_browser_and_its_mail_arrives(tmp_path, chromium, post):
    """Bob says why and presses the button; each investor gets it from the mail server, once; it is on record."""
    post.begin()
    with mailing(desk.copy(tmp_path), post.port) as server, browser.window(chromium, server, BOB) as page:
        page.goto(of(server, "growth"))
        expect(page.get_by_text("It is held: nothing went out yet.")).to_be_visible()
        page.get_by_label("Why?", exact=True).first.fill("A campaign began on Monday.")
        page.get_by_role("button", name="Approve and send").click()
        expect(page.get_by_text("Approved. 2 messages were taken by the mail server.")).to_be_visible()
        expect(page.get_by_text("“A campaign began on Monday.”")).to_be_visible()
        assert post.book.taken() == {OLGA: 1, OSCAR: 1}
        assert {got.message["Subject"] for got in post.book.got} == {"Growth – Monday 13 November 2017"}
        assert {part.get_filename() for part in post.book.got[0].message.iter_attachments()} == {
            "growth-2017-11-13.pdf"
        }
        assert server.run_of("growth").status is Status.DELIVERED
        assert acts(server)[-1] == ("bob", "approved", "A campaign began on Monday.")


def test_of_two_who_decide_the_slower_is_told(server):
    """Whoever comes second hears how it stands, and nothing is sent twice."""
    assert server.post(of(server, "growth", "/approve"), ANN, because="It is right.").status == 303
    sent = len(mails(server.folder))
    told = server.post(of(server, "growth", "/approve"), BOB, because="It is right.")
    assert (told.status, "is delivered, not held" in told.text, len(mails(server.folder))) == (422, True, sent)
    told = server.post(of(server, "growth", "/reject"), DAN, because="It is wrong.")
    assert (told.status, server.run_of("growth").status) == (422, Status.DELIVERED)


def test_what_there_is_to_decide_is_said_once(shown):
    """The doubts of a held run stand where they are decided on, and not a second time below."""
    page = shown.ask(of(shown, "growth"), ANN).text
    doubts = [one for one in shown.ledger.findings(shown.run_of("growth").run) if one.level != "pass"]
    assert doubts
    below = html.unescape(page.split('id="decide"')[1])
    assert [below.count(f"</strong> {one.message}") for one in doubts] == [1] * len(doubts)


def test_a_held_report_is_turned_down_with_a_reason(server):
    """It goes to nobody, its page says who turned it down and why, and its readers know nothing of it."""
    before = mails(server.folder)
    assert server.post(of(server, "growth", "/reject"), DAN, because="The till of Monday is missing.").status == 303
    page = server.ask(of(server, "growth"), ANN).text
    assert "It was rejected: nothing was sent." in page
    assert re.search(r"Dan Dyer</strong>\s+rejected it: “The till of Monday is missing.”", page)
    assert (server.run_of("growth").status, mails(server.folder)) == (Status.STOPPED, before)
    assert server.ask(f"/reports/{server.run_of('growth').run}", OLGA).status == 404


@pytest.mark.parametrize("act", ["approve", "reject", "again", "hand-over"])
@pytest.mark.parametrize("because", ["", "  ", "x" * 501])
def test_nothing_is_done_without_a_reason_that_can_be_read(shown, act, because):
    """What was typed stands there again, with what is wrong beside it, and nothing was done."""
    name = "sales" if act == "hand-over" else "growth"
    before = acts(shown)
    told = shown.post(of(shown, name, f"/{act}"), ANN, because=because)
    assert (told.status, because in told.text, "Nothing was done." in told.text) == (422, True, True)
    assert 'aria-invalid="true"' in told.text
    assert (acts(shown), shown.run_of("growth").status) == (before, Status.HELD)


def test_an_approver_sees_what_would_be_restated(tmp_path):
    """Old beside new of each figure that readers have, and the record that later reports rest on."""
    with desk.serving(desk_editions.copy(desk_editions.base(), tmp_path), NOW + 2 * HOUR) as server:
        page = server.ask(of(server, "sales"), ANN).text
        assert re.search(r"Revenue</th><td[^>]*>12\.50</td><td[^>]*><strong>13\.50", page)
        assert "It restates version 1" in page
        assert server.post(of(server, "sales", "/approve"), ANN, because="A till was counted twice.").status == 303
        assert server.run_of("sales").status is Status.DELIVERED


def test_a_held_report_whose_files_were_changed_is_not_let_out(server):
    """The page says so in place of the form, and the form is refused."""
    run = server.run_of("growth")
    (shelf.place(server.desk.project, run) / "growth.pdf").write_bytes(b"%PDF other")
    page = server.ask(of(server, "growth"), ANN).text
    assert "are not those that were held" in page
    assert "Approve and send" not in page
    assert server.post(of(server, "growth", "/approve"), ANN, because="It is right.").status == 422
    assert server.run_of("growth").status is Status.HELD


# Tried again.


def test_another_try_leads_the_scheduler_to_a_run(server):
    """All tries are used up and a look begins nothing; somebody asks, and the next look makes the report."""
    failed = server.run_of("stock").run
    (server.folder / "notebooks" / "stock.ipynb").write_bytes((NOTEBOOKS / "good.ipynb").read_bytes())
    with scheduler(server) as office:
        server.dial.at += MINUTE
        tick(office, server.dial.at)
        assert office.crew.busy == ()
        told = server.ask(of(server, "stock", "/again"), CAT, "POST", {"because": "The notebook is mended."})
        assert told.status == 303
        tick(office, server.dial.at)
        assert [order.deadline.pipeline for order in office.crew.busy] == ["stock"]
        finish(office, server)
        tick(office, server.dial.at)
    run = server.run_of("stock")
    assert (run.run != failed, run.status, run.pipeline) == (True, Status.DELIVERED, "stock")
    assert acts(server)[-1] == ("cat", "asked for another try of", "The notebook is mended.")
    assert "asked for another try: “The notebook is mended.”" in server.ask(f"/runs/{failed}", CAT).text


def test_a_held_report_can_be_made_anew_of_the_very_same(server):
    """Though nothing has changed there is a new run, which is held as well."""
    held = server.run_of("growth").run
    assert server.post(of(server, "growth", "/again"), BOB, because="The till had not closed.").status == 303
    with scheduler(server) as office:
        tick(office, server.dial.at)
        finish(office, server)
    run = server.run_of("growth")
    assert (run.run != held, run.status) == (True, Status.HELD)


def test_another_try_says_so_where_no_scheduler_is_at_work(server):
    """Whoever asks is not left waiting for what nobody does."""
    server.dial.at += HOUR
    secret = server.sign_in(CAT)
    server.ask(of(server, "stock", "/again"), method="POST", form={"because": "Mended."}, secret=secret)
    page = server.ask(of(server, "stock"), secret=secret).text
    assert "no scheduler is at work" in page
    assert "runner run stock --as-of 2017-11-13 --again" in page


def test_what_is_not_owed_is_not_asked_for_again(shown):
    """Its deadline is met: the form is not there, and one that is sent all the same is refused with the command."""
    assert "Make the report again" not in shown.ask(of(shown, "sales"), ANN).text
    told = shown.post(of(shown, "sales", "/again"), ANN, because="Once more.")
    assert (told.status, "is met" in told.text, "runner run sales" in told.text) == (422, True, True)


def test_a_run_is_watched_and_cancelled_in_the_browser(server, chromium):
    """Its page follows it cell by cell without a reload; cancelled, it says who ended it and why, by itself."""
    (server.folder / "notebooks" / "stock.ipynb").write_bytes((NOTEBOOKS / "hangs.ipynb").read_bytes())
    server.post(of(server, "stock", "/again"), CAT, because="Mended.")
    with scheduler(server) as office, browser.window(chromium, server, CAT) as page:
        tick(office, server.dial.at)
        run = until(lambda: server.ledger.making("stock", "2017-11-13"))
        page.goto(f"/runs/{run.run}")
        expect(page.get_by_text("It is being made.")).to_be_visible()
        expect(page.get_by_text("Cell 5 of 6: Waiting")).to_be_visible()
        page.get_by_label("Why is it to end?").fill("It hangs.")
        page.get_by_role("button", name="Cancel this run").click()
        expect(page.get_by_text("Asked to end.")).to_be_visible()
        finish(office, server)
        expect(page.get_by_text("Cancelled by Cat Carter: It hangs.")).to_be_visible()
        expect(page.get_by_text("It was broken off: nothing was sent.")).to_be_visible()
    assert acts(server)[-1] == ("cat", "cancelled", "It hangs.")


def until(seen):
    """What `seen` gives once it gives something; fails after a while."""
    import time  # noqa: PLC0415 - a bound, no measure

    end = time.monotonic() + desk.PATIENCE
    while not (found := seen()):
        assert time.monotonic() < end, "it never came"
    return found


# Handed over.


def test_who_was_refused_is_sent_it_once_more_and_nobody_twice(tmp_path, post):
    """The approval says whom the server refused; sent once more, they get it, and who had it does not."""
    post.begin(to={OLGA: ["550 5.1.1 No such mailbox"]})
    with mailing(desk.copy(tmp_path), post.port) as server:
        secret = server.sign_in(ANN)
        server.ask(of(server, "growth", "/approve"), method="POST", form={"because": "It is right."}, secret=secret)
        page = server.ask(of(server, "growth"), secret=secret).text
        assert "Not every message could be written" in page
        assert "No such mailbox" in page
        assert server.post(of(server, "growth", "/send"), BOB, because="Her mailbox is back.").status == 303
        assert post.book.taken() == {OLGA: 1, OSCAR: 1}
        assert server.run_of("growth").status is Status.DELIVERED
        assert acts(server)[-1] == ("bob", "sent once more", "Her mailbox is back.")


def test_a_report_is_downloaded_to_be_given_by_hand(tmp_path, chromium, post):
    """The archive is the one on record; it counts as the delivery for the reader who was chosen, and her deadline."""
    post.begin(to={OLGA: ["550 5.1.1 No such mailbox"]})
    with mailing(desk.copy(tmp_path), post.port) as server:
        server.post(of(server, "growth", "/approve"), ANN, because="It is right.")
        with browser.window(chromium, server, BOB) as page:
            page.goto(of(server, "growth"))
            page.get_by_label("Olga Orlov").check()
            page.get_by_label("Why by hand?").fill("Her mailbox is full.")
            with page.expect_download() as waited:
                page.get_by_role("button", name="Pack and download").click()
            data = Path(waited.value.path()).read_bytes()
            page.reload()
            expect(page.get_by_text(f"Packed for {OLGA}.")).to_be_visible()
            expect(page.locator(".badge", has_text="by hand")).to_be_visible()
        assert "Not every message" not in server.ask(of(server, "growth"), ANN).text
        with server.ledger.read() as tx:
            act = journal.acts(tx, NOW - HOUR, NOW + HOUR)[-1]
        assert (act.who, act.what, act.details["met"]) == ("bob", "delivered by hand", [OLGA])
        assert act.details["sha256"] == hashlib.sha256(data).hexdigest()
        assert any(name.endswith("growth.pdf") for name in zipfile.ZipFile(io.BytesIO(data)).namelist())
        assert server.run_of("growth").status is Status.DELIVERED
        assert server.ask(f"/reports/{server.run_of('growth').run}", OLGA).status == 200


def test_nobody_but_its_readers_is_given_a_report(shown):
    """An address that is on no list of it is refused, and named."""
    told = shown.post(
        of(shown, "sales", "/hand-over"), ANN, **{"because": "He asked.", "to-1": "eve@elsewhere.example"}
    )
    assert (told.status, "is no reader of this report" in told.text) == (422, True)


# Seen.


def test_a_failed_run_shows_first_what_failed(shown):
    """The sentence, the section of the runbook, then the failed cell with its error, before all other cells."""
    page = shown.ask(of(shown, "stock"), ANN).text
    places = [
        page.index(text) for text in ("It failed: nothing was sent.", "Where it failed", "The notebook, cell by cell")
    ]
    assert places == sorted(places)
    first = page[places[1] : places[2]]
    assert "ZeroDivisionError" in first
    assert "1 / 0" in first
    assert "Cell failed</a>" in page


def test_stakeholders_see_how_it_went_and_nothing_that_readers_do_not_have_yet(shown):
    """No address, no figure, no cell, no file and no act; readers who follow nothing see no run at all."""
    for name in ("sales", "stock"):
        page = shown.ask(of(shown, name), TINA)
        assert page.status == 200
        for hidden in ("@investor.example", "cell by cell", "SHA-256", "12.50", "<textarea", "Pack and download"):
            assert hidden not in page.text, hidden
    assert "Olga Orlov" in shown.ask(of(shown, "sales"), TINA).text
    assert shown.ask(of(shown, "sales"), OLGA).status == 404


def test_who_may_not_decide_sees_who_may(shown):
    """Eve owns nothing: no form is offered to her, and she sees whom to ask."""
    page = shown.ask(of(shown, "growth"), EVE).text
    assert "Approve and send" not in page
    assert re.search(r"Who may decide: Bob Baker, Ann Archer, Dan Dyer", page)


def test_a_file_that_differs_from_what_the_run_left_is_refused(server):
    """The very one is handed out; a changed or missing one is not, with a page that says why."""
    run = server.run_of("sales")
    place = shelf.place(server.desk.project, run) / "sales.pdf"
    path = of(server, "sales", "/files/sales.pdf")
    got = server.ask(path, EVE)
    assert (got.status, got.body) == (200, place.read_bytes())
    assert got.headers["content-disposition"] == 'attachment; filename="sales.pdf"'
    place.write_bytes(place.read_bytes() + b" ")
    told = server.ask(path, EVE)
    assert (told.status, "This is not the file that was kept" in told.text) == (409, True)
    place.unlink()
    assert server.ask(path, EVE).status == 409


@pytest.mark.parametrize("path", ["nothing.txt", "../sales.pdf", "..%2f..%2f..%2fledger.sqlite", "/etc/passwd"])
def test_only_files_that_the_run_left_are_found(shown, path):
    """Nothing else of the machine can be named."""
    assert shown.ask(of(shown, "sales", f"/files/{path}"), EVE).status == 404


def test_what_a_notebook_holds_stays_inert_and_bounded(server):
    """Scripts in sources, texts, tables, pictures and errors are letters; what is long is cut, with a word about it."""
    run = server.run_of("stock")
    plant(server, run, "stock.ipynb", json.dumps(hostile()).encode())
    page = server.ask(of(server, "stock"), ANN)
    assert page.status == 200
    assert "<script>document" not in page.text
    assert "onerror=alert" not in page.text.replace("onerror=alert(1)&gt;", "")
    assert "more characters are left out here" in page.text
    assert "more rows are left out here" in page.text
    assert len(page.body) < 400_000


def hostile():
    """A notebook that holds the worst."""
    table = "<table><tr><th>a</th></tr>" + f"<tr><td>{SCRIPT}x</td></tr>" * 300 + "</table>"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{SCRIPT}</svg>'
    outputs = [
        notebooks.output("stream", name="stdout", text=SCRIPT + "y" * 100_000),
        notebooks.output("stream", name="stderr", text=SCRIPT),
        notebooks.output("display_data", data={"text/html": table, "text/plain": "x"}),
        notebooks.output("display_data", data={"image/svg+xml": svg}),
        notebooks.output("display_data", data={"text/markdown": f"# {SCRIPT}"}),
        notebooks.output("error", ename=SCRIPT, evalue=SCRIPT, traceback=[SCRIPT * 2000]),
    ]
    cell = notebooks.code(SCRIPT + "z" * 50_000)
    cell["outputs"] = outputs
    many = notebooks.code("1")
    many["outputs"] = [notebooks.output("stream", name="stdout", text="w" * 5_000)] * 50
    return notebooks.notebook(notebooks.words(f"# {SCRIPT}"), cell, many)


def test_a_notebook_that_is_no_longer_the_runs_own_is_not_shown(server):
    """What somebody changed since is nobody's evidence."""
    run = server.run_of("stock")
    change(shelf.place(server.desk.project, run) / "stock.ipynb", "1 / 0", "2 / 1")
    page = server.ask(of(server, "stock"), ANN).text
    assert "This run left no notebook that can be shown." in page
    assert "2 / 1" not in page


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"cells": 3}', b'{"cells": [{"cell_type": "code"}]}', b"\xff\xfe"]
)
def test_what_is_no_notebook_has_no_cells(data):
    """Half of a file that is just being written, or another file, is no error of ours."""
    assert not cells.of(data) or all(not cell.parts for cell in cells.of(data))


def test_a_run_whose_files_were_cleared_away_says_so(server):
    """What the ledger knows stays on the page; files are named, and not offered."""
    run = server.run_of("sales")
    with server.ledger.write() as tx:
        assert finished.prune(tx, run, datetime(2017, 11, 14, tzinfo=UTC).date())
    page = server.ask(of(server, "sales"), ANN)
    assert (page.status, "cleared away" in page.text, "12.50" in page.text) == (200, True, True)
    assert "/files/sales.pdf" not in page.text
    assert "Pack and download" not in page.text


def test_stages_are_told_with_their_times(server):
    """Each begins where the one before ended; what was fetched stands below its own."""
    run = server.run_of("growth")
    folder = shelf.place(server.desk.project, run)
    lines = [{"at": f"2017-11-14T14:00:{second:02}+00:00", **event} for second, event in enumerate(EVENTS)]
    (folder / diary.NAME).write_text("\n".join(map(json.dumps, lines)) + '\n{"at": half')
    page = server.ask(of(server, "growth"), ANN).text
    told = re.sub(r"<[^>]+>", " ", page)
    assert re.search(r"09:00:01\s+Data fetched\s+2\.0 s", told)
    assert "receipts: 7 rows from tills" in told
    assert re.search(r"09:00:03\s+Notebook run\s+1\.0 s", told)


EVENTS = (
    {"event": "run begins"},
    {"event": "fetch begins"},
    {"event": "table loaded", "table": "receipts", "rows": 7, "source": "tills"},
    {"event": "stage begins", "stage": "execute"},
    {"event": "run ends"},
)


def test_no_table_of_the_past_is_read_from_end_to_end(shown):
    """However many runs there were, each question is answered by an index."""
    for name in ("sales", "growth", "stock"):
        assert looked_through(shown, of(shown, name), ANN) == []
