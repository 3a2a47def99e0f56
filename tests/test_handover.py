"""Handing over: one message each, owed before it is written, and one reader's trouble never another's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runner import config
from runner.config import Person
from runner.errors import DeliveryFailed
from runner.ledger import Ledger, Result, Run
from runner.model import Status
from runner.report import handover, notebooks, shelf
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
        tx.exec_driver_sql("UPDATE deliveries SET sent_at = NULL WHERE recipient LIKE 'oscar%'")
    path = tmp_path / "run" / name
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DeliveryFailed, match="not those that were proven, so nothing was sent") as refused:
        handover.send(desk, run, tmp_path / "run")
    assert "runner run good --as-of 2017-11-15 --again" in str(refused.value)
    assert [path.read_text().count("To: Olga") for path in mails(tmp_path)] == [1]
