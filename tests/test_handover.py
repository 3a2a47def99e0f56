"""Handing over: one message each, owed before it is written, and one reader's trouble never another's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default

import pytest

from runner import config
from runner.config import Person
from runner.config.ends import Mail
from runner.errors import DeliveryFailed
from runner.ledger import Ledger, Result, Run, Taken, deliveries, version_of
from runner.ledger.deliveries import Claim, State
from runner.model import Status
from runner.report import handover, notebooks, shelf
from tests.mail_server import serving
from tests.small_projects import mails, project

NOW = datetime(2017, 11, 16, 13, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path):
    """A desk with an empty ledger, and a finished run's folder."""
    found = config.load(project(tmp_path, "good"))
    ledger = Ledger.open(found.ledger)
    (tmp_path / "run").mkdir()
    nb = notebooks.notebook(notebooks.words("# Good\n\nAll is well."))
    nb.metadata["runner"] = {"title": "Good", "period_text": "Wednesday 15 November 2017"}
    notebooks.write(nb, tmp_path / "run/good.ipynb")
    (tmp_path / "run/good.pdf").write_bytes(b"%PDF-1.7" + b" " * 500)
    yield handover.Desk(found, ledger, lambda: NOW)
    ledger.close()


def ready(desk, name="r1", version=1):
    """A finished run that owes its messages."""
    run = Run(name, "good", "2017-11-15", "", NOW)
    desk.ledger.begin(run)
    ended = replace(run, status=Status.READY, version=version)
    files = shelf.artifacts(desk.project.folder / "run")
    desk.ledger.finish(Result(ended, artifacts=files, owed=handover.owed(desk.project, ended)))
    return ended


def test_each_reader_is_written_to_once(desk, tmp_path):
    """A second try finds nothing owed."""
    run = ready(desk)
    assert handover.send(desk, run, tmp_path / "run") == 2
    assert handover.send(desk, run, tmp_path / "run") == 0
    assert len(mails(tmp_path)) == 2
    assert {item.sent_at for item in desk.ledger.deliveries("good", "2017-11-15", 1)} == {NOW}


def test_a_message_written_but_not_noted_is_not_written_twice(desk, tmp_path):
    """Killed between writing and noting: the same Message-ID is found in the maildir."""
    run = ready(desk)
    handover.send(desk, run, tmp_path / "run")
    with desk.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET sent_at = NULL")
    handover.send(desk, run, tmp_path / "run")
    assert len(mails(tmp_path)) == 2


def test_a_message_has_one_name_for_each_reader_and_version(desk):
    """The name follows from what it is, not from when it was made or from capitals."""
    run = ready(desk)
    names = {
        handover.message_id(desk.project, replace(run, version=version), reader)
        for version in (1, 2)
        for reader in ("olga@example.com", "OLGA@example.com", "oscar@example.com")
    }
    assert len(names) == 4
    assert handover.message_id(desk.project, replace(run, run="other"), "olga@example.com") in names
    assert all(name.endswith("@example.com>") for name in names)


def test_one_readers_trouble_never_keeps_the_report_from_another(desk, tmp_path):
    """Those who can be written to are; the error names the other."""
    run = ready(desk)
    olga, oscar = desk.project.people.readers["owners"]
    spoilt = Person.model_construct(name="Oscar", email=oscar.email + "\n")
    people = desk.project.people.model_copy(update={"readers": {"owners": (spoilt, olga)}})
    other = replace(desk, project=replace(desk.project, people=people))
    desk.ledger.owe(run, handover.owed(other.project, run))
    with pytest.raises(DeliveryFailed, match=r"Not every message could be written: oscar@example\.com"):
        handover.send(other, run, tmp_path / "run")
    assert [path.read_text().count("To: Olga <olga@example.com>") for path in mails(tmp_path)] == [1]


def test_a_reader_taken_off_the_list_gets_nothing(desk, tmp_path):
    """What is owed to someone who left is not sent."""
    run = ready(desk)
    people = desk.project.people.model_copy(update={"readers": {"owners": desk.project.people.readers["owners"][:1]}})
    handover.send(replace(desk, project=replace(desk.project, people=people)), run, tmp_path / "run")
    assert len(mails(tmp_path)) == 1


def test_an_answer_goes_to_both_owners(desk, tmp_path):
    """The owners' addresses stand in Reply-To, the first to ask first."""
    handover.send(desk, ready(desk), tmp_path / "run")
    for path in mails(tmp_path):
        assert "Reply-To: Ann <ann@example.com>, Bob <bob@example.com>" in path.read_text()


def test_the_projects_own_mail_template_wins(desk, tmp_path):
    """A project that ships mail.html.j2 is written to its readers in its own words."""
    own = tmp_path / "templates"
    own.mkdir()
    (own / "mail.html.j2").write_text("<p>Our own words.</p>")
    desk = replace(desk, project=config.load(tmp_path))
    handover.send(desk, ready(desk), tmp_path / "run")
    assert all(b"Our own words." in path.read_bytes() for path in mails(tmp_path))
    assert len(mails(tmp_path)) == 2


@pytest.mark.parametrize("name", ["good.pdf", "good.ipynb"])
@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_changed_file_is_never_sent(desk, tmp_path, name, change):
    """Neither at the first try nor for the rest of a half-failed delivery; the error says what to do."""
    run = replace(ready(desk), parameters={"as_of": "2017-11-15"})
    people = desk.project.people.model_copy(update={"readers": {"owners": desk.project.people.readers["owners"][:1]}})
    handover.send(replace(desk, project=replace(desk.project, people=people)), run, tmp_path / "run")
    with desk.ledger.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET sent_at = NULL, state = 'owed' WHERE recipient LIKE 'oscar%'")
    path = tmp_path / "run" / name
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DeliveryFailed, match="not those that were proven, so nothing was sent") as refused:
        handover.send(desk, run, tmp_path / "run")
    assert "runner run good --as-of 2017-11-15 --again" in str(refused.value)
    assert [path.read_text().count("To: Olga") for path in mails(tmp_path)] == [1]


# By a mail server.

OLGA, OSCAR = "olga@example.com", "oscar@example.com"


@pytest.fixture(scope="module")
def server():
    """A mail server without encryption."""
    with serving() as found:
        yield found


def by(desk, port=None, **more):
    """The desk with a mail server, or with other settings of mail."""
    where = {"server": "127.0.0.1", "port": port, "security": "none", "timeout": "5 s"} if port else {}
    settings = desk.project.settings.model_copy(update={"mail": Mail.model_validate({**where, **more})})
    return replace(desk, project=replace(desk.project, settings=settings))


def states(desk, version=1):
    """How each reader's message stands."""
    return {item.recipient: str(item.state) for item in desk.ledger.deliveries("good", "2017-11-15", version)}


def failure(desk, run, folder):
    """The error of a delivery."""
    with pytest.raises(DeliveryFailed) as failed:
        handover.send(desk, run, folder)
    return failed.value


def test_a_reader_is_written_to_when_the_server_took_it(desk, tmp_path, server):
    """One message each, from the address for bounces, noted with the instant of the answer; a second try finds all."""
    book, run = server.begin(), ready(desk)
    times = iter([NOW + timedelta(seconds=at) for at in range(99)])
    here = by(replace(desk, now=lambda: next(times)), server.port, bounces="bounces@example.com")
    heard = []
    here = replace(here, step=lambda who, step: heard.append((who, step, next(times))))
    assert (handover.send(here, run, tmp_path / "run"), handover.send(here, run, tmp_path / "run")) == (2, 0)
    assert book.taken() == {OLGA: 1, OSCAR: 1}
    assert {got.sender for got in book.got} == {"bounces@example.com"}
    assert mails(tmp_path) == []
    answered = {who: at for who, step, at in heard if step == "answered"}
    noted = {item.recipient: item.sent_at for item in here.ledger.deliveries("good", "2017-11-15", 1)}
    assert noted == {who: at + timedelta(seconds=1) for who, at in answered.items()}


def test_only_those_missed_are_written_to_again(desk, tmp_path, server):
    """Deferred: the others have it, the error says who has not and why, and the next try is for that one alone."""
    book, run, here = server.begin(to={OLGA: ["450 4.2.1 Greylisted"]}), ready(desk), by(desk, server.port)
    error = failure(here, run, tmp_path / "run")
    assert "olga@example.com: The mail server does not take the address now (4.2.1 Greylisted)" in error.what
    assert OSCAR not in error.what
    (item,) = (item for item in here.ledger.deliveries("good", "2017-11-15", 1) if item.open)
    assert (item.state, item.attempts, item.next_try_at, item.holder) == (
        State.OWED,
        1,
        NOW + timedelta(minutes=1),
        None,
    )
    assert handover.send(here, run, tmp_path / "run") == 1
    assert book.taken() == {OLGA: 1, OSCAR: 1}


def test_one_who_is_refused_is_named_and_tried_again_by_a_person_alone(desk, tmp_path, server):
    """For good is for good: the next try asks nothing of the server; whoever wants it again says so."""
    book, run, here = server.begin(to={OLGA: ["550 5.1.1 No such user"] * 1}), ready(desk), by(desk, server.port)
    for _ in range(2):
        error = failure(here, run, tmp_path / "run")
        assert "olga@example.com: The mail server refuses the address (5.1.1 No such user)" in error.what
        assert "config/people.yml" in error.remedy
    assert (states(here), book.asked[OLGA]) == ({OLGA: "refused", OSCAR: "sent"}, 1)
    handover.owe_again(here.project, here.ledger, run)
    assert handover.send(here, run, tmp_path / "run") == 1
    assert book.taken() == {OLGA: 1, OSCAR: 1}


def test_a_refused_reader_who_is_taken_off_the_list_is_owed_nothing(desk, tmp_path, server):
    """Then everyone has it, and the delivery is whole."""
    server.begin(to={OSCAR: ["550 5.1.1 No such user"]})
    run, here = ready(desk), by(desk, server.port)
    failure(here, run, tmp_path / "run")
    people = here.project.people.model_copy(update={"readers": {"owners": here.project.people.readers["owners"][:1]}})
    assert handover.send(replace(here, project=replace(here.project, people=people)), run, tmp_path / "run") == 0
    assert states(here) == {OLGA: "sent", OSCAR: "withdrawn"}


def test_one_that_may_have_arrived_is_never_forgotten_to_be_so(desk, tmp_path, server):
    """Cut off after the dot, then deferred: it goes out again under the same name, and is unsure until then."""
    book = server.begin(after={OLGA: ["drop", "451 4.3.0 Later"]})
    run, here = ready(desk), by(desk, server.port)
    for _ in range(2):
        failure(here, run, tmp_path / "run")
        assert states(here)[OLGA] == "handing"
    handover.send(here, run, tmp_path / "run")
    assert book.names()[OLGA, handover.message_id(here.project, run, OLGA)] == 2
    assert states(here)[OLGA] == "sent"


@pytest.mark.parametrize("held", [True, False])
def test_a_message_in_other_hands_is_left_there(desk, tmp_path, server, held):
    """A runner that lives has it: nobody else sends it. Once its lease is over, or its process gone, another does."""
    book, run, here = server.begin(), ready(desk), by(desk, server.port)
    (olga, _) = here.ledger.deliveries("good", "2017-11-15", 1)
    until = NOW + timedelta(minutes=5 if held else -1)
    with here.ledger.write() as tx:
        assert deliveries.claim(tx, version_of(run), olga, Claim("elsewhere-1", until))
    if held:
        with pytest.raises(Taken, match="handed over by another runner"):
            handover.send(here, run, tmp_path / "run")
    else:
        assert handover.send(here, run, tmp_path / "run") == 2
    assert book.taken() == ({OSCAR: 1} if held else {OLGA: 1, OSCAR: 1})


def test_one_that_was_taken_over_while_its_sender_stood_still_is_not_sent_by_it(desk, tmp_path, server):
    """It wakes before the dot, finds that the message is no longer its own, and ends the connection."""
    book, run, here = server.begin(), ready(desk), by(desk, server.port)

    def overtaken(who, step):
        if (who, step) == (OLGA, "addressed"):
            seen = here.ledger.deliveries("good", "2017-11-15", 1)[0]
            with here.ledger.write() as tx:
                assert deliveries.claim(tx, version_of(run), seen, Claim("another", NOW + timedelta(minutes=5)))

    with pytest.raises(Taken):
        handover.send(replace(here, step=overtaken), run, tmp_path / "run")
    assert book.taken() == {OSCAR: 1}


def test_a_server_that_is_down_refuses_nobody(desk, tmp_path):
    """Everyone is still owed it, and it is tried again."""
    with serving() as gone:
        port = gone.port
    run, here = ready(desk), by(desk, port)
    assert "cannot be used" in failure(here, run, tmp_path / "run").what
    assert states(here) == {OLGA: "owed", OSCAR: "owed"}


def test_a_secret_that_is_missing_is_said_and_waits_for_a_person(desk, tmp_path, server):
    """Waiting mends nothing: no time of a next try is noted."""
    run = ready(desk)
    here = by(desk, server.port, security="tls", user="env:MAIL_USER", password="env:MAIL_PASSWORD")
    assert "The secret MAIL_USER is not set. Set MAIL_USER, or" in failure(here, run, tmp_path / "run").what
    assert {item.next_try_at for item in here.ledger.deliveries("good", "2017-11-15", 1)} == {None}


# A rehearsal.


def test_everything_goes_to_the_sandbox_and_no_reader_counts_as_having_it(desk, tmp_path, server):
    """The subject says for whom, the rehearsal is whole, and once it is over a person sends the report for real."""
    book, run, here = server.begin(), ready(desk), by(desk, server.port, sandbox="ann@example.com")
    assert handover.send(here, run, tmp_path / "run") == 2
    assert handover.send(here, run, tmp_path / "run") == 0
    assert book.taken() == {"ann@example.com": 2}
    assert sorted(got.message["Subject"] for got in book.got) == [
        "[for olga@example.com] good – Wednesday 15 November 2017",
        "[for oscar@example.com] good – Wednesday 15 November 2017",
    ]
    assert states(here) == {OLGA: "sandboxed", OSCAR: "sandboxed"}
    assert deliveries.had(_earlier(here), sandbox=False) == {}
    rehearsed = {got.name for got in book.got}
    real = by(desk, server.port)
    assert handover.send(real, run, tmp_path / "run") == 0  # nothing by itself
    handover.owe_again(real.project, real.ledger, run)
    assert handover.send(real, run, tmp_path / "run") == 2
    assert Counter(got.recipient for got in book.got) == {"ann@example.com": 2, OLGA: 1, OSCAR: 1}
    assert rehearsed.isdisjoint(got.name for got in book.got[2:])


def _earlier(desk):
    with desk.ledger.read() as tx:
        return deliveries.earlier(tx, deliveries.Version("good", "2017-11-15", 2))


def test_a_maildir_is_sandboxed_as_well(desk, tmp_path):
    """And the real message is written beside the rehearsed one."""
    run = ready(desk)
    handover.send(by(desk, sandbox="ann@example.com"), run, tmp_path / "run")
    assert all(b"To: O" in path.read_bytes() and b"<ann@example.com>" in path.read_bytes() for path in mails(tmp_path))
    handover.owe_again(desk.project, desk.ledger, run)
    assert handover.send(desk, run, tmp_path / "run") == 2
    assert len(mails(tmp_path)) == 4


# A restatement.


def with_readers(desk, *names):
    """The desk with these readers alone."""
    people = {"owners": tuple(Person(name=name, email=f"{name.lower()}@example.com") for name in names)}
    changed = desk.project.people.model_copy(update={"readers": people})
    return replace(desk, project=replace(desk.project, people=changed))


def test_a_restatement_goes_to_those_of_the_first_and_says_so(desk, tmp_path):
    """Whoever had it is told which day's report is replaced; whoever joined since gets nothing by itself."""
    handover.send(desk, ready(desk), tmp_path / "run")
    later = with_readers(desk, "Olga", "Pia")
    assert handover.send(later, ready(later, "r2", version=2), tmp_path / "run") == 1
    (restated,) = (path for path in mails(tmp_path) if b"Subject: Restatement: good" in path.read_bytes())
    message = message_from_bytes(restated.read_bytes(), policy=default)
    words = "This report replaces the one sent to you on Thursday 16 November 2017: figures in it have changed."
    for kind in ("plain", "html"):
        assert words in " ".join(message.get_body((kind,)).get_content().split())
    assert message["To"].addresses[0].addr_spec == OLGA
    assert set(states(later, 2)) == {OLGA}


def test_whoever_never_got_the_first_gets_the_newest_as_an_ordinary_report(desk, tmp_path, server):
    """Refused then, and reachable now: nothing is replaced for them, and the old version is never sent."""
    book = server.begin(to={OSCAR: ["450 4.2.1 Later"]})
    here = by(desk, server.port)
    failure(here, ready(here), tmp_path / "run")
    assert handover.send(here, ready(here, "r2", version=2), tmp_path / "run") == 2
    subjects = {(got.recipient, got.message["Subject"].partition(":")[0]) for got in book.got}
    ordinary = "good – Wednesday 15 November 2017"
    assert subjects == {(OLGA, ordinary), (OLGA, "Restatement"), (OSCAR, ordinary)}
    assert states(here)[OSCAR] == "withdrawn"


# Size, and where to say no more.


def test_a_report_that_is_too_large_is_linked_to(desk, tmp_path):
    """Both bodies say so, the link leads to the very run, and nothing is attached."""
    run = ready(desk)
    here = by(desk, largest="10 KB", archive="https://reports.example.com/r/")
    (tmp_path / "run/good.pdf").write_bytes(b"%PDF-1.7" + b" " * 20_000)
    run = ready_again(desk, run)
    handover.send(here, run, tmp_path / "run")
    for path in mails(tmp_path):
        message = message_from_bytes(path.read_bytes(), policy=default)
        assert len(path.read_bytes()) <= 10_000
        assert list(message.iter_attachments()) == []
        for kind in ("plain", "html"):
            body = " ".join(message.get_body((kind,)).get_content().split())
            assert "too large for a mail and is not attached" in body
            assert "https://reports.example.com/r/good/2017-11-15/r9/good.pdf" in body
    assert len(mails(tmp_path)) == 2


def ready_again(desk, run):
    """The run's files were changed before it was proven: the ledger knows them as they are."""
    with desk.ledger.write() as tx:
        tx.exec_driver_sql("DELETE FROM deliveries")
    return ready(desk, "r9", run.version)


def test_without_an_archive_a_report_that_is_too_large_is_not_sent(desk, tmp_path):
    """The error says what to set."""
    run = ready(desk)
    error = failure(by(desk, largest="1 KB"), run, tmp_path / "run")
    assert error.what.startswith(f"Not every message could be written: {OLGA}, {OSCAR}: The message would be 0.0 MB")
    assert "`mail.archive` in settings.yml, or raise `mail.largest`." in error.what
    assert mails(tmp_path) == []


def test_a_reader_is_told_where_to_say_no_more(desk, tmp_path):
    """In the header, which is whole however long the address, and at the foot of both bodies."""
    where = "https://reports.example.com/" + "stop/" * 30
    handover.send(by(desk, unsubscribe=where), ready(desk), tmp_path / "run")
    for path in mails(tmp_path):
        assert f"List-Unsubscribe: <{where}>\r\n".encode() in path.read_bytes()
        message = message_from_bytes(path.read_bytes(), policy=default)
        assert all(where in message.get_body((kind,)).get_content() for kind in ("plain", "html"))


def test_an_address_is_one_however_its_letters_are_written(desk, tmp_path, server):
    """A list that comes to write it otherwise owes no second message."""
    book, here = server.begin(), by(desk, server.port)
    run = ready(here)
    handover.send(here, run, tmp_path / "run")
    loud = with_readers(here, "Olga", "Oscar")
    shout = {
        "owners": tuple(Person(name=one.name, email=one.email.upper()) for one in loud.project.people.readers["owners"])
    }
    people = loud.project.people.model_copy(update={"readers": shout})
    loud = replace(loud, project=replace(loud.project, people=people))
    handover.owe_again(loud.project, loud.ledger, run)
    assert handover.send(loud, run, tmp_path / "run") == 0
    assert book.taken() == {OLGA: 1, OSCAR: 1}
