"""What the scheduler makes of messages that did not arrive: tried on, told, met when the last reader has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runner import config
from runner.config.ends import Mail
from runner.config.files import People
from runner.delivery.channels import Recorder
from runner.errors import Trouble
from runner.ledger import Delivery, Ledger, Result, Run, deadlines
from runner.ledger.deadlines import State
from runner.ledger.deliveries import State as Standing
from runner.model import Status
from runner.report import shelf
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.scheduler import work
from runner.scheduler.office import Done
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests.mail_server import serving
from tests.small_office import (
    DAY,
    DUE,
    HOUR,
    MIDNIGHT,
    MINUTE,
    OLGA,
    SALES,
    Hands,
    Outcome,
    drive,
    letters,
    office,
    project,
)
from tests.small_projects import project as folder_of

START = MIDNIGHT + 8 * HOUR
PIA = "pia@reader.example"
UNSENT = Outcome(Status.READY, Trouble.DELIVERY_FAILED, "Not every message could be written: olga: later.")


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    with_file = Ledger.open(tmp_path / "ledger.sqlite")
    yield with_file
    with_file.close()


class Clerks(Hands):
    """A crew that makes the report once and then only hands it over; `answers` are those of the server, by try.

    Each answer is what the ledger holds of Olga's message after that try; the last one holds for all later tries.
    """

    answers = ()

    def start(self, order, now):
        """Begin a run, or to hand over the one that is made."""
        if not order.run:
            super().start(order, now)
            return
        self.begun.append((now, order))
        self.under_way[order.token] = (order, replace(self.ledger.run(order.run), started_at=now), UNSENT)

    def _finish(self, token, at):
        order, run, outcome = self.under_way[token]
        if not order.run:
            return super()._finish(token, at)
        del self.under_way[token]
        return Done(order, outcome.status, at, outcome.message, outcome.trouble, run.run)

    def finished(self, now):
        """Note what the server said of the message at each end."""
        ended = super().finished(now)
        return tuple(self._noted(done) for done in ended)

    def _noted(self, done):
        number = sum(order.deadline.key == done.order.deadline.key for _, order in self.begun)
        answer = self.answers[min(number, len(self.answers)) - 1]
        run = self.ledger.run(done.run)
        self.ledger.owe(run, [Delivery(OLGA, "<m@x>")])
        again = {"next_try_at": (done.at + MINUTE).isoformat(), **answer(done.at), "attempts": number}
        with self.ledger.write() as tx:
            for column, value in again.items():
                tx.exec_driver_sql(f"UPDATE deliveries SET {column} = ?", (value,))
        if "holder" in again:
            return replace(done, status=Status.FAILED, trouble=None, run="", later=True)
        sent = again.get("sent_at") is not None
        self.ledger.mark(replace(run, version=1, status=Status.DELIVERED if sent else Status.READY))
        return replace(done, status=Status.DELIVERED) if sent else done


def deferred(_at):
    """Not now."""
    return {"state": str(Standing.OWED), "error": "later"}


def refused(_at):
    """Never."""
    return {"state": str(Standing.REFUSED), "error": "no such user"}


def lasting(_at):
    """Not before a person does something."""
    return {"state": str(Standing.OWED), "error": "password", "next_try_at": None}


def elsewhere(_at):
    """Another runner has it in hand."""
    return {"state": str(Standing.TRYING), "holder": "another-1", "next_try_at": None}


def taken(at):
    """Taken two seconds before the run ended."""
    since = (at - MINUTE).astimezone(UTC).isoformat(timespec="microseconds")
    return {"state": str(Standing.SENT), "sent_at": since, "next_try_at": None}


def shop(ledger, *answers):
    """An office whose server answers so."""
    crew = Clerks(ledger, {SALES: (UNSENT,)})
    crew.answers = answers
    return office(ledger, project(), crew)


def owed(ledger):
    with ledger.read() as tx:
        return deadlines.find(tx, SALES)


def told(desk):
    return [(who, what) for _, who, what in letters(desk.carrier)]


def test_a_message_that_was_deferred_once_is_tried_again_and_nobody_is_told(ledger):
    """The try is for the very run, costs no attempt at making it, and the deadline is met when the server took it."""
    desk = shop(ledger, deferred, taken)
    drive(desk, MIDNIGHT, DUE)
    first, second = desk.crew.begun
    assert (first[1].run, second[1].run) == ("", owed(ledger).run)
    assert (owed(ledger).state, owed(ledger).attempts, desk.carrier.sent) == (State.MET, 1, [])
    assert owed(ledger).ended_at == second[0] + 5 * MINUTE - MINUTE


def test_on_time_is_when_the_server_took_it_and_not_when_the_run_ended(ledger):
    """Taken before nine, noted after: in time. And the other way round it would be late."""
    crew = Clerks(ledger, {SALES: (replace(UNSENT, takes=60 * MINUTE + MINUTE / 2),)})
    crew.answers = (taken,)
    desk = office(ledger, project(), crew)
    drive(desk, MIDNIGHT, DUE + HOUR)
    assert (owed(ledger).state, owed(ledger).on_time) == (State.MET, True)
    assert owed(ledger).ended_at == DUE - MINUTE / 2


def test_tries_go_on_past_the_attempts_to_a_day_after_the_deadline_and_are_told_once(ledger):
    """On call hears after as many tries as a report has attempts; the tries go on, less often once it is late."""
    desk = shop(ledger, deferred)
    drive(desk, MIDNIGHT, DUE + DAY + 2 * HOUR)
    tries = [at for at, order in desk.crew.begun if order.deadline.key == SALES]
    before, after = [at for at in tries if at < DUE], [at for at in tries if at >= DUE]
    assert len(before) > desk.project.settings.attempts + work.MORE
    assert 20 < len(after) < 40
    assert tries[-1] <= DUE + DAY + HOUR
    assert (owed(ledger).state, owed(ledger).next_try_at, owed(ledger).outcome) == (State.OPEN, None, work.STUCK)
    assert told(desk).count(("ann", "Failed")) == 1


def test_a_refused_reader_is_told_at_once_with_the_right_page_and_not_tried_again(ledger):
    """The run stays ready; its incident says who was refused and why."""
    desk = shop(ledger, refused)
    drive(desk, MIDNIGHT, DUE - 10 * MINUTE)
    assert (len(desk.crew.begun), owed(ledger).outcome, owed(ledger).next_try_at) == (1, work.STUCK, None)
    (message,) = [sent.parcel.message for sent in desk.carrier.sent if sent.parcel.address.startswith("ann")]
    section = desk.library.answer("sales", str(Trouble.DELIVERY_FAILED))
    assert (message.headline, message.runbook_title) == (UNSENT.message, section.title)
    assert message.commands[-1][1] == f"runner deliver {owed(ledger).run}"


def test_a_reader_who_has_the_report_does_not_hear_that_it_is_late(ledger):
    """One is refused and the other has it when the deadline passes: only the one is told of the delay."""
    desk = shop(ledger, refused)
    both = {"owners": ({"name": "Olga", "email": OLGA}, {"name": "Pia", "email": PIA.upper()})}
    people = People.model_validate({"engineers": desk.project.people.engineers, "readers": both})
    desk = replace(desk, project=replace(desk.project, people=people))
    drive(desk, MIDNIGHT, DUE - 10 * MINUTE)
    ledger.owe(ledger.run(owed(ledger).run), [Delivery(PIA, "<p@x>", DUE - HOUR / 2)])
    drive(desk, DUE - 9 * MINUTE, DUE + 3 * HOUR)
    assert {who for who, _ in told(desk)} == {"ann", "bob", "cat", "dan", "olga"}


def test_what_waiting_does_not_mend_is_told_at_once_and_looked_at_again_now_and_then(ledger):
    """A password that is wrong: somebody hears within the first try, and once it is right the report goes out."""
    desk = shop(ledger, lasting, lasting, taken)
    drive(desk, MIDNIGHT, START + 10 * MINUTE)
    assert told(desk) == [("ann", "Failed")]
    drive(desk, START + 11 * MINUTE, DUE)
    waits = [int((b - a) / MINUTE) for (a, _), (b, _) in zip(desk.crew.begun, desk.crew.begun[1:], strict=False)]
    assert waits == [20, 20]  # five of the try, fifteen of waiting
    assert owed(ledger).state is State.MET
    assert ("ann", "Recovered") in told(desk)


def test_a_report_that_another_hands_over_at_this_moment_is_not_made_anew(ledger):
    """Somebody typed `runner deliver`: the next try is for the very run, a minute later, and nobody is told."""
    desk = shop(ledger, deferred, elsewhere, taken)
    drive(desk, MIDNIGHT, DUE)
    assert [order.run for _, order in desk.crew.begun] == ["", owed(ledger).run, owed(ledger).run]
    assert (owed(ledger).state, owed(ledger).attempts, desk.carrier.sent) == (State.MET, 1, [])


@pytest.mark.parametrize(
    ("left", "after"),
    [
        ({"attempts": 1, "next_try_at": DUE + HOUR + 5 * MINUTE}, 5),
        ({"attempts": 1, "holder": "killed-1", "lease_until": DUE + HOUR + 3 * MINUTE}, 3),
        ({}, 1),
        ({"attempts": 1}, None),
        ({"attempts": work.TRIES, "next_try_at": DUE}, None),
        ({"state": Standing.REFUSED, "next_try_at": DUE}, None),
        ("files are lost", None),
    ],
)
def test_a_restatement_that_was_left_over_is_handed_over_and_the_deadline_stays_as_it_was_met(
    ledger, tmp_path, left, after
):
    """Deferred, or its approval was killed: the scheduler tries, once it is due; what waits for a person it leaves."""
    desk = shop(ledger, taken)
    drive(desk, MIDNIGHT, DUE)
    before, now = owed(ledger), DUE + HOUR
    begun = Run("r2", *SALES, "inputs", now)
    ledger.begin(begun)
    ready = replace(begun, status=Status.READY, version=2, finished_at=now)
    desk = replace(desk, project=replace(desk.project, folder=tmp_path))
    folder = shelf.place(desk.project, ready)
    shelf.put(folder, "sales.pdf", b"%PDF")
    owing = Delivery(OLGA, "<2@x>", **({} if isinstance(left, str) else left))
    ledger.finish(Result(ready, artifacts=shelf.artifacts(folder), owed=(owing,)))
    if isinstance(left, str):
        (folder / "sales.pdf").unlink()
    for minute in range(12):
        tick(desk, now + minute * MINUTE)
    begun = [(at, order.run) for at, order in desk.crew.begun if order.deadline.key == SALES and order.run]
    assert begun == ([] if after is None else [(now + after * MINUTE, "r2")])
    assert (owed(ledger), ledger.run("r2").status is Status.DELIVERED) == (before, after is not None)


def test_a_scheduler_killed_while_it_handed_over_leaves_the_very_run_to_the_next(ledger):
    """Sources may be away or have other data by then: what was proven and is owed goes out first."""
    desk = shop(ledger, deferred, taken)
    drive(desk, MIDNIGHT, START + 5 * MINUTE)
    now, made = owed(ledger).next_try_at, owed(ledger).run
    with ledger.write() as tx:
        assert deadlines.claim(tx, SALES, "killed", now, now + MINUTE)
    drive(desk, now + 2 * MINUTE, DUE)
    assert [order.run for _, order in desk.crew.begun] == ["", made]
    assert owed(ledger).state is State.MET


def test_messages_of_one_incident_are_one_thread(ledger):
    """Whatever a person hears of it by mail after the first message names the first."""
    desk = shop(ledger, lasting, taken)
    drive(desk, MIDNIGHT, DUE)
    for who in {sent.parcel.address for sent in desk.carrier.sent}:
        first, *others = (sent.parcel for sent in desk.carrier.sent if sent.parcel.address == who)
        assert first.references == ()
        assert {parcel.references for parcel in others} <= {(first.message_id,)}
    assert any(sent.parcel.references for sent in desk.carrier.sent)


# The whole way, with a real kernel and a real server.

NOW = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)


def test_a_report_whose_reader_is_deferred_arrives_by_the_same_run(tmp_path):
    """Made once, tried twice: the other reader got it at the first try, and nobody twice."""
    with serving() as server:
        book = server.begin(to={"olga@example.com": ["450 4.2.1 Greylisted"]})
        found = config.load(folder_of(tmp_path, "good"))
        mail = Mail.model_validate({"server": "127.0.0.1", "port": server.port, "security": "none"})
        found = replace(found, settings=found.settings.model_copy(update={"mail": mail}))
        ledger = Ledger.open(found.ledger)
        desk = open_office(Ctx(found, ledger, Clock(NOW), Stop(), lambda _: None), Recorder())
        end = datetime.now(UTC).timestamp() + 90
        tick(desk, NOW)
        for now in (NOW, NOW + 3 * MINUTE):
            tick(desk, now)
            while desk.crew.busy:
                tick(desk, now)
                assert datetime.now(UTC).timestamp() < end
        (run,) = ledger.runs()
        assert (run.status, book.taken()) == (Status.DELIVERED, {"olga@example.com": 1, "oscar@example.com": 1})
        with ledger.read() as tx:
            met = deadlines.find(tx, ("good", "2017-11-15"))
        sent = [item.sent_at for item in ledger.deliveries("good", "2017-11-15", 1)]
        assert (met.state, met.ended_at, met.attempts) == (State.MET, max(sent), 1)
        ledger.close()
