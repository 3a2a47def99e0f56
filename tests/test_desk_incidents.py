"""Incidents on the desk and typed: acknowledged, handed over, resolved; who is told, who has looked, what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from playwright.sync_api import Browser

from runner import config
from runner.acts import incidents as acts
from runner.delivery.channels import Recorder
from runner.errors import UsageError
from runner.ledger import Ledger, deadlines, incidents, journal, outbox
from runner.ledger.deadlines import Ending
from runner.ledger.outbox import Letter
from runner.plan.incidents import Incident, Word, opened
from runner.report.draft import Ctx
from runner.report.execute import Stop
from runner.scheduler import telling
from runner.scheduler.errands import Outside
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests import browser, desk
from tests.company import Dial
from tests.desk import ANN, BOB, CAT, EVE, MINUTE, NOW, Server
from tests.small_office import office
from tests.small_projects import runner
from tests.spoken_sources import REVOKED, Prompt, Spoken, opener
from tests.test_probe import SOON, SOURCES
from tests.test_probe import shop as source_shop

HELD, TILL, STOCK = 1, 2, 3  # the incidents of the morning
HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)> \u202e" onload="x'
AT = "2017-11-14T10:40"


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


def incident(server: Server, number: int) -> Incident:
    """The incident as the ledger has it."""
    with server.ledger.read() as tx:
        found = incidents.find(tx, number)
    assert found
    return found


def events(server: Server, number: int) -> list[str]:
    """Its history, line by line."""
    with server.ledger.read() as tx:
        return [event.text for event in incidents.history(tx, number)]


def letters(server: Server, number: int, kind: str) -> list[Letter]:
    """The letters of one kind that it owes or owed."""
    with server.ledger.read() as tx:
        return [letter for letter in outbox.of_incident(tx, number) if letter.kind == kind]


def audited(server: Server) -> list[tuple[str, str]]:
    """What was done in the last minutes, and by whom."""
    with server.ledger.read() as tx:
        return [(act.who, act.what) for act in journal.acts(tx, NOW, NOW + MINUTE)]


def look(server: Server, at: datetime) -> list[int]:
    """What the scheduler tells when it looks at an instant; the numbers of the incidents of which it tells."""
    project, stop = config.load(server.folder), Stop()
    office = open_office(Ctx(project, server.ledger, Dial(at), stop, lambda _: None), Recorder())
    told = [one.number for one in telling.tell(office, at)]
    stop.close()
    return told


def said(page: str) -> str:
    """What is read of a page: its words without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


# Looking.


def test_open_incidents_stand_first_and_those_that_are_over_follow_page_by_page(server):
    """Each number stands once; `before` leads on to older ones, and there are no open ones there."""
    with server.ledger.write() as tx:
        for number in range(60):
            one = incidents.keep(tx, opened("sales", f"2017-09-{number:02}", NOW), [], NOW)
            incidents.keep(tx, replace(one, closed_at=NOW, outcome="met"), [], NOW)
    path, found = "/incidents", []
    while path:
        page = server.ask(path, ANN).text
        found += [int(number) for number in re.findall(r'href="/incidents/(\d+)"', page)]
        older = re.search(r'href="(/incidents\?before=\d+)"', page)
        path = older[1] if older else ""
    assert found == [HELD, TILL, STOCK, *range(63, 3, -1)]


def test_an_incident_says_what_is_wrong_who_is_at_it_and_who_is_told_next(shop):
    """The first sentences, the runbook's page with commands as they are typed, and the story in order of time."""
    page = said(shop.ask(f"/incidents/{STOCK}", ANN).text)
    assert "failed: ZeroDivisionError: division by zero." in page
    assert "Nobody is at it yet. At 14:40 (in 4 h) it is told to Ann Archer, Bob Baker, Cat Carter, Dan Dyer." in page
    assert "runner ack 3 --by ann" in page
    assert "runner run stock --as-of 2017-11-13" in page
    story = page[page.index("What happened, and who was told") :]
    order = [
        "Failed : Cell 4",
        "Told Ann Archer by mail",
        "Nobody acknowledged; told Bob Baker",
        "Told Bob Baker by mail",
    ]
    assert sorted(order, key=story.index) == order


def test_the_runbook_is_the_one_that_the_mail_has(shop):
    """Title and first step of the page are those of the message that woke somebody."""
    page = shop.ask(f"/incidents/{STOCK}", ANN).text
    mailed = letters(shop, STOCK, "trouble")[0].message
    assert f">What to do: {mailed['runbook_title']}</h2>" in page
    assert "manifest.json" in mailed["runbook"]
    assert "<code>manifest.json</code>" in page


def test_messages_are_shown_with_their_text_and_what_became_of_them(server):
    """Sent, owed and given up are told apart by a word; the text is the mail's; readers stand together."""
    lost, waits = letters(server, STOCK, "trouble")[0], letters(server, STOCK, "escalation")[0]
    with server.ledger.write() as tx:
        outbox.owe(tx, [replace(lost, key="x", sent_at=None, given_up_at=NOW, error="No such mailbox.", attempts=3)])
        outbox.owe(tx, [replace(waits, key="y", sent_at=None)])
    page = server.ask(f"/incidents/{STOCK}", ANN).text
    assert "4 messages sent, 1 still owed, 1 given up" in said(page)
    assert "Ann Archer: No such mailbox. (3 tries)" in said(page)
    assert "FIRST STEPS" in page
    assert "Told 2 readers by mail" in said(server.ask(f"/incidents/{HELD}", ANN).text)


def test_without_any_incident_the_page_says_what_will_stand_there(tmp_path):
    """An empty ledger, and one in which all is over."""
    folder = desk.copy(tmp_path)
    for path in (folder / "reports").glob("ledger.sqlite*"):
        path.unlink()
    with desk.serving(folder) as server:
        assert "There has been no incident." in server.ask("/incidents", ANN).text
        with server.ledger.write() as tx:
            one = incidents.keep(tx, opened("sales", "d", NOW), [], NOW)
            incidents.keep(tx, replace(one, closed_at=NOW, outcome="met"), [], NOW)
        assert "Nothing is wrong." in server.ask("/incidents", ANN).text
        assert server.ask("/incidents/1", ANN).status == 200


@pytest.mark.parametrize("number", ["0", "99", "x", "-1", "9" * 30, "1/nothing"])
def test_what_is_no_incident_is_not_found(shop, number):
    """Whatever stands in the path."""
    assert shop.ask(f"/incidents/{number}", ANN).status == 404
    assert shop.post(f"/incidents/{number}/acknowledge", ANN).status == 404


def test_an_incident_of_what_config_has_no_more_can_still_be_read(server):
    """Its name stands for its title, and nothing is said of a runbook."""
    with server.ledger.write() as tx:
        kept = incidents.keep(tx, replace(opened("gone", HOSTILE, NOW), state="late", sentence=HOSTILE), [HOSTILE], NOW)
    page = server.ask(f"/incidents/{kept.number}", ANN)
    assert page.status == 200
    assert "<img" not in page.text
    assert page.text.count("<script") == 1  # our own
    assert server.ask("/incidents", ANN).text.count("<script") == 1


def test_those_who_opened_it_are_named_once_each(server):
    """A page that renews itself is no look, and neither is one at what is over."""
    for who in (ANN, ANN, EVE):
        server.ask(f"/incidents/{STOCK}", who)
    server.ask(f"/incidents/{STOCK}", BOB, headers={"X-Live": "1"})
    page = server.ask(f"/incidents/{STOCK}", ANN).text
    looked = [text for text in events(server, STOCK) if "desk" in text]
    assert looked == ["ann opened it on the desk", "eve opened it on the desk"]
    assert "Opened on the desk by Ann Archer at 10:40 , Eve Ellis at 10:40 ." in said(page)
    server.post(f"/incidents/{STOCK}/resolve", ANN, because="Counted.")
    server.ask(f"/incidents/{STOCK}", CAT)
    assert "cat opened it on the desk" not in events(server, STOCK)


# Acts.


def test_an_acknowledgement_is_seen_by_everybody_and_is_on_record(server):
    """The page names who is at it, nobody is told next, and the audit has it."""
    assert server.post(f"/incidents/{STOCK}/acknowledge", EVE).status == 303
    assert "Eve Ellis is at it since 10:40 . Nobody else is woken." in said(server.ask(f"/incidents/{STOCK}", ANN).text)
    assert ("eve", "acknowledged") in audited(server)
    assert incident(server, STOCK).next_step_at is None


def test_the_other_is_told_of_a_handover_in_the_same_transaction(server):
    """By mail, with who says so and what, the command that takes it, and until when."""
    server.post(f"/incidents/{STOCK}/acknowledge", ANN)
    answer = server.post(f"/incidents/{STOCK}/hand-over", ANN, to="eve", because="You wrote\nthe count")
    assert answer.status == 303
    told = letters(server, STOCK, "handed over")
    assert [(letter.person, letter.channel, letter.sent_at) for letter in told] == [("eve", "mail", None)]
    message = told[0].message
    assert message["subject"].startswith("Handed to you: Failed: Stock")
    assert message["headline"].startswith("Ann Archer hands this over to you: You wrote the count.")
    assert message["commands"][0] == ["Take it, so that nobody else is woken", "runner ack 3 --by eve"]
    assert "If you do not take it within" in message["closing"]
    page = said(server.ask(f"/incidents/{STOCK}", BOB).text)
    assert "Ann Archer handed it to Eve Ellis, who has not answered yet." in page
    assert "Ann Archer and then the next are told." in page
    assert ("ann", "incident handed over") in audited(server)
    assert events(server, STOCK)[-2] == "ann handed it over to eve: You wrote the count"


def test_a_handover_that_nobody_takes_comes_back(server):
    """The scheduler tells Ann once the time is up; an answer by Eve in time would have ended it."""
    server.post(f"/incidents/{STOCK}/hand-over", ANN, to="eve", because="Yours.")
    assert STOCK not in look(server, NOW + 14 * MINUTE)
    assert STOCK in look(server, NOW + 20 * MINUTE)
    assert incident(server, STOCK).acknowledged_by is None
    back = [letter for letter in letters(server, STOCK, "escalation") if letter.owed_at > NOW]
    assert [letter.person for letter in back] == ["ann"]
    assert "Eve Ellis did not acknowledge this." in back[0].message["headline"]


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"to": "eve", "because": " "}, "What should they know?"),
        ({"to": "eve", "because": "x" * 5000}, "5000 characters"),
        ({"to": "nobody", "because": HOSTILE}, "No engineer is called"),
        ({"because": "No name."}, "No engineer is called"),
    ],
    ids=["no reason", "too long", "nobody", "no name"],
)
def test_what_was_typed_stays_where_a_handover_is_refused(shop, form, wrong):
    """The page comes again with the error, the form open, and the words as they were; nothing is done."""
    answer = shop.post(f"/incidents/{STOCK}/hand-over", ANN, **form)
    assert answer.status == 422
    assert wrong in answer.text
    assert '<details id="hand-over" open>' in answer.text
    assert "<img" not in answer.text
    assert form["because"].strip()[:4] in answer.text
    assert incident(shop, STOCK).acknowledged_by is None
    assert letters(shop, STOCK, "handed over") == []


def test_what_a_person_settled_is_over_for_all_and_is_not_opened_again(server):
    """Those who were told hear who settled it; the next looks open nothing; when it is due and not there they do."""
    answer = server.post(f"/incidents/{STOCK}/resolve", CAT, because="Counted by hand, sent on paper.")
    assert answer.status == 303
    assert {letter.person for letter in letters(server, STOCK, "resolved")} == set(incident(server, STOCK).told)
    headline = letters(server, STOCK, "resolved")[0].message["headline"]
    assert headline == "Cat Carter closed this incident. Counted by hand, sent on paper."
    one = incident(server, STOCK)
    assert (one.outcome, one.resolved_by, one.sentence) == ("resolved", "cat", "Counted by hand, sent on paper.")
    for minutes in (0, 1, 30):
        assert [number for number in look(server, NOW + minutes * MINUTE) if number > TILL] == []
    new = look(server, NOW + 80 * MINUTE)  # 12:00, when it is due
    assert [incident(server, number).pipeline for number in new if number > STOCK] == ["stock"]
    assert "Cat Carter settled it: Counted by hand" in said(server.ask(f"/incidents/{STOCK}", ANN).text)


def test_new_trouble_of_a_resolved_report_is_opened(server):
    """Another attempt fails in the same way: that is another incident."""
    server.post(f"/incidents/{STOCK}/resolve", CAT, because="Mended.")
    key, run = ("stock", "2017-11-13"), server.run_of("stock").run
    with server.ledger.write() as tx:
        deadlines.settle(tx, key, Ending("failed", NOW, run=f"{run}x", message="Cell 4 of 6 failed."))
    assert max(look(server, NOW)) > STOCK


@pytest.mark.parametrize(("number", "why"), [(HELD, "its readers still wait"), (TILL, "when the duty is recorded")])
def test_what_closes_by_itself_says_so_and_is_not_resolved_by_hand(shop, number, why):
    """There is no such form on its page, and one that is sent all the same changes nothing."""
    page = shop.ask(f"/incidents/{number}", ANN).text
    assert why in page
    assert f"/incidents/{number}/resolve" not in page
    answer = shop.post(f"/incidents/{number}/resolve", ANN, because="Enough of it.")
    assert (answer.status, incident(shop, number).open) == (422, True)
    assert why in answer.text


def test_acts_are_refused_once_it_is_over(server):
    """Whoever comes too late is told so; nothing is changed."""
    server.post(f"/incidents/{STOCK}/resolve", CAT, because="Mended.")
    before = incident(server, STOCK)
    assert server.post(f"/incidents/{STOCK}/acknowledge", ANN).status == 303
    assert server.post(f"/incidents/{STOCK}/resolve", ANN, because="Again.").status == 422
    assert server.post(f"/incidents/{STOCK}/hand-over", ANN, to="bob", because="Yours.").status == 422
    assert incident(server, STOCK) == before


@pytest.mark.parametrize("number", [HELD, TILL, STOCK])
def test_every_kind_of_incident_can_be_handed_over(server, number):
    """A report, a duty: whoever gets it is told what it is about."""
    server.post(f"/incidents/{number}/hand-over", EVE, to="dan", because="Please.")
    (letter,) = letters(server, number, "handed over")
    assert letter.person == "dan"
    assert letter.message["headline"].startswith("Eve Ellis hands this over to you: Please.")
    assert letter.message["commands"][0][1] == f"runner ack {number} --by dan"


def test_a_page_without_its_own_form_field_does_nothing(shop):
    """Another site cannot acknowledge."""
    answer = shop.ask(f"/incidents/{STOCK}/acknowledge", ANN, "POST", {"csrf": "x"})
    assert (answer.status, incident(shop, STOCK).acknowledged_by) == (403, None)


# Typed.


def test_the_commands_do_what_the_desk_does(server):
    """`handover` and `resolve` go through the same acts, and refuse with the same words."""
    folder = server.folder
    code, out, _ = runner(folder, "handover", "3", "--to", "eve", "--by", "ann", "--because", "Yours.", "--now", AT)
    assert (code, "Incident 3 is with Eve Ellis" in out) == (0, True)
    assert [letter.person for letter in letters(server, STOCK, "handed over")] == ["eve"]
    shown = runner(folder, "incidents", "3")[1]
    assert "Ann Archer handed it over to Eve Ellis: Yours." in shown
    code, out, _ = runner(folder, "resolve", "3", "--by", "eve", "--because", "Counted.", "--now", AT, "--json")
    assert (code, json.loads(out)["resolved_by"]) == (0, "eve")
    code, _, err = runner(folder, "resolve", "1", "--by", "eve", "--because", "Counted.", "--now", AT)
    assert (code, "It closes by itself when the report is delivered" in err) == (2, True)


def test_whoever_hands_over_to_the_one_who_is_at_it_is_told_so(server):
    """There is nothing to hand over, and nobody is written to."""
    project = config.load(server.folder)
    acts.acknowledge(project, server.ledger, STOCK, "eve", NOW)
    with pytest.raises(UsageError, match="Eve Ellis is at incident 3 already"):
        acts.hand_over(project, server.ledger, STOCK, "eve", Word("ann", "Yours.", NOW))
    assert letters(server, STOCK, "handed over") == []


def test_an_incident_of_an_older_ledger_can_be_read(tmp_path):
    """What an older version wrote has no word of handing over or resolving."""
    ledger = Ledger.open(tmp_path / "x.db")
    with ledger.write() as tx:
        kept = incidents.keep(tx, opened("sales", "d", NOW), [], NOW)
        new = {"handed_by", "resolved_by", "attempt"}
        rest = {key: value for key, value in kept.as_dict().items() if key not in new}
    assert Incident.of(rest).handed_by is None
    ledger.close()


# In the browser.


def test_two_who_acknowledge_at_once_know_who_was_first(server, chromium):
    """Both have the button before them; the second is told who was there, and the first one's page shows it live."""
    with (
        browser.window(chromium, server, ANN) as first,
        browser.window(chromium, server, BOB) as second,
    ):
        first.goto(f"/incidents/{STOCK}")
        second.goto(f"/incidents/{STOCK}")
        first.click("#acknowledge")
        first.get_by_text("You are at it. Nobody else is woken.").wait_for()
        assert first.locator("#acknowledge").count() == 0
        second.click("#acknowledge")
        second.get_by_text("Ann Archer was there before you, and is at it.").wait_for()
    assert incident(server, STOCK).acknowledged_by == "ann"
    rows = [json.loads(row) for row in runner(server.folder, "incidents", "--json")[1].splitlines()]
    assert next(row for row in rows if row["incident"] == STOCK)["acknowledged_by"] == "ann"


def test_a_handover_in_the_browser_is_seen_on_the_others_page(server, chromium):
    """Ann hands over; Bob's open page renews itself, and he takes it."""
    with browser.window(chromium, server, ANN) as ann, browser.window(chromium, server, BOB) as bob:
        bob.goto(f"/incidents/{STOCK}")
        ann.goto(f"/incidents/{STOCK}")
        ann.get_by_text("Hand it over, or take it over").click()
        ann.get_by_label("Who is to be at it").select_option("bob")
        ann.get_by_label("What they should know").fill("The accounts are yours.")
        ann.get_by_role("button", name="Hand it over").click()
        ann.get_by_text("Bob Baker is told, and asked to take it.").wait_for()
        bob.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as if he came back to it
        bob.get_by_text("Ann Archer handed it to Bob Baker, who has not answered yet.").wait_for()
        bob.click("#acknowledge")
        bob.get_by_text("You are at it. Nobody else is woken.").wait_for()
    assert incident(server, STOCK).is_taken


# A source.


def test_a_source_that_is_down_can_be_handed_over_and_says_so_on_its_mail():
    """Whoever gets it reads what is down, and the command that takes it; it closes by itself when it answers."""
    spoken, shop_ = {name: Spoken() for name in SOURCES}, source_shop()
    spoken["tills"].fails = REVOKED
    ledger = Ledger.open("sqlite://")
    outside = Outside({}, Prompt(), opener(spoken, shop_.sources.sources))
    carrier = Recorder()
    here = office(ledger, shop_, carrier=carrier, outside=outside)
    for at in (SOON, SOON + MINUTE):
        tick(here, at)
    acts.hand_over(shop_, ledger, 1, "bob", Word("ann", "You know the tills.", SOON + 2 * MINUTE))
    with pytest.raises(UsageError, match="cannot be resolved by hand"):
        acts.resolve(shop_, ledger, 1, Word("bob", "Rang them up.", SOON + 2 * MINUTE))
    tick(here, SOON + 3 * MINUTE)
    sent = carrier.sent[-1].parcel
    assert sent.message.subject.startswith("Handed to you: Permission revoked: Till API")
    assert sent.message.headline.startswith("Ann hands this over to you: You know the tills.")
    assert sent.message.commands[0][1] == "runner ack 1 --by bob"
    ledger.close()
