"""A held report decided on: by whom, with what, and what becomes of it; and a report handed over by hand."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest

from runner import config
from runner.commands import deliver, gate
from runner.commands.gate import Wish
from runner.delivery.channels import Recorder
from runner.errors import DeliveryFailed, UsageError
from runner.ledger import Ledger, Process, deadlines, incidents
from runner.ledger import deliveries as book
from runner.model import Status
from runner.plan.deadlines import Deadline
from runner.report import handover, shelf
from runner.report.approval import Approval, approve
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import resume
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from tests.held_reports import DAY, IN_CLEOS_WEEK, IN_EVES_WEEK, WARN, acts, make, runs, shop
from tests.small_projects import change, mails, runner

LATER = IN_CLEOS_WEEK
NOW, MINUTE = datetime(2017, 11, 16, 13, 30, tzinfo=UTC), timedelta(minutes=1)


@pytest.fixture
def said(capsys):
    """Calls a command in this process; its exit code and the objects that it wrote, one a line."""

    def call(function, *words, **more):
        capsys.readouterr()
        code = function(*words, as_json=True, **more)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture(scope="module")
def held_once(tmp_path_factory):
    """A project whose report is held, made once."""
    folder = shop(tmp_path_factory.mktemp("held"), warns=True)
    assert make(folder) == 3
    return folder


@pytest.fixture
def held(held_once, tmp_path):
    """A copy of that project, and the name of its run."""
    folder = shutil.copytree(held_once, tmp_path / "shop")
    return folder, runs(folder)[0].run


@pytest.fixture(scope="module")
def ready_once(tmp_path_factory):
    """A project whose report is ready and owed to nobody yet, made once."""
    folder = shop(tmp_path_factory.mktemp("ready"))
    assert make(folder, deliver=False) == 0
    return folder


@pytest.fixture
def ready(ready_once, tmp_path):
    """A copy of that project, and the name of its run."""
    folder = shutil.copytree(ready_once, tmp_path / "shop")
    return folder, runs(folder)[0].run


def until(seen):
    """What `seen` gives once it gives something; fails after half a minute."""
    end = time.monotonic() + 30
    while not (found := seen()):
        assert time.monotonic() < end, "it never came"
        os.sched_yield()
    return found


def open_incident(ledger):
    """The incident of the report, if one is open."""
    with ledger.read() as tx:
        return incidents.opened(tx).get(("good", DAY))


# Who may.


@pytest.mark.parametrize(
    ("who", "at", "may"),
    [
        ("ann", LATER, True),
        ("dora", LATER, True),
        ("cleo", IN_CLEOS_WEEK, True),
        ("eve", IN_CLEOS_WEEK, True),
        ("fay", IN_CLEOS_WEEK, False),
        ("cleo", IN_EVES_WEEK, False),
        ("fay", IN_EVES_WEEK, True),
    ],
)
@pytest.mark.parametrize("decide", [gate.approve, gate.reject])
def test_only_owners_approvers_and_those_on_call_decide(held, decide, who, at, may):
    """Whoever is on call at that instant may, primary or secondary; anyone else hears who may, and did nothing."""
    folder, run = held
    wish = Wish(run, who, "I looked.", at)
    if may:
        assert decide(config.load(folder), wish, as_json=True) == 0
        assert [(act.who, act.details["run"]) for act in acts(folder)] == [(who, run)]
        return
    with pytest.raises(UsageError) as refused:
        decide(config.load(folder), wish, as_json=True)
    assert f"{who.title()} may not decide on good." in str(refused.value)
    assert "whoever is on call may: Ann (ann), Bob (bob), Dora (dora)," in str(refused.value)
    assert (runs(folder)[0].status, acts(folder), mails(folder)) == (Status.HELD, [], [])


def test_a_look_shows_what_there_is_to_decide_and_does_nothing(held, said):
    """Without a name and a reason the doubts are shown, and who may; the report stays held."""
    folder, run = held
    code, (row,) = said(gate.approve, config.load(folder), Wish(run, "", "", IN_CLEOS_WEEK))
    assert (code, row["event"], row["may"]) == (3, "decision", ["ann", "bob", "dora", "cleo", "eve"])
    assert [finding["check"] for finding in row["findings"]] == ["rows"]
    assert (runs(folder)[0].status, acts(folder)) == (Status.HELD, [])
    with pytest.raises(UsageError, match="Who approves it"):
        gate.approve(config.load(folder), Wish(run, "", "Right", LATER), as_json=True)
    code, out, _ = runner(folder, "approve", run, "--now", "2030-11-13T07:00")
    assert (code, "warn  rows: All rows are there." in out, "May decide: Ann (ann)" in out) == (3, True, True)


# Turning down.


def test_a_rejected_report_goes_to_nobody_and_says_why(held, said):
    """It is stopped, cannot be approved or rejected again, and the act holds all that was decided upon."""
    folder, run = held
    code, lines = said(gate.reject, config.load(folder), Wish(run, "bob", "Two tills were counted twice.", LATER))
    (made,) = lines[-1]["reports"]
    assert (code, made["status"], made["message"]) == (0, "stopped", "Rejected by Bob: Two tills were counted twice.")
    (act,) = acts(folder)
    assert (act.what, act.who, act.details["because"]) == ("rejected", "bob", "Two tills were counted twice.")
    assert [finding["check"] for finding in act.details["findings"]] == ["rows"]
    manifest = next(folder.glob(f"reports/good/{DAY}/{run}/manifest.json"))
    assert act.details["figures"] == json.loads(manifest.read_text())["figures"]
    for again in (gate.approve, gate.reject):
        with pytest.raises(UsageError, match=f"Run {run} is stopped, not held"):
            again(config.load(folder), Wish(run, "ann", "Right", LATER), as_json=True)
    assert mails(folder) == []


def test_the_very_same_does_not_come_back_in_silence(held, capsys):
    """Made again, it is not made and says who turned it down; with --again it is held and says so, however good."""
    folder, run = held
    gate.reject(config.load(folder), Wish(run, "bob", "Wrong.", LATER), as_json=True)
    capsys.readouterr()
    assert make(folder) == 1
    (made,) = json.loads(capsys.readouterr().out.splitlines()[-1])["reports"]
    assert made["message"] == "Nothing changed since it was turned down. Rejected by Bob: Wrong."
    assert (made["run"], made["fresh"], len(runs(folder))) == (run, False, 1)
    assert make(folder, again=True) == 3
    newest = runs(folder)[0]
    ledger = Ledger.open(config.load(folder).ledger)
    found = {finding.check: finding.message for finding in ledger.findings(newest.run)}
    ledger.close()
    assert found["rejected before"] == f"The very same was turned down before, as run {run}. Rejected by Bob: Wrong."
    gate.approve(config.load(folder), Wish(newest.run, "ann", "Right after all.", LATER), as_json=True)
    assert len(mails(folder)) == 2


def test_what_was_rejected_is_held_again_even_where_every_check_passes(ready):
    """The doubt came from elsewhere, and the very same inputs pass every check now: a person decides all the same."""
    folder, run = ready
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.write() as tx:
        tx.exec_driver_sql("UPDATE runs SET status = 'held', decision = 'hold'")
    gate.reject(config.load(folder), Wish(run, "ann", "It looks odd.", LATER), as_json=True)
    assert make(folder, again=True) == 3
    assert "turned down before" in runs(folder)[0].message
    ledger.close()


def test_the_incident_of_a_rejected_report_stays_open_until_another_is_delivered(tmp_path):
    """Held by the scheduler and turned down: incident and deadline stay open and say so; a good run closes both."""
    folder = shop(tmp_path, warns=True)
    found, ledger = config.load(folder), Ledger.open(config.load(folder).ledger)
    office = open_office(Ctx(found, ledger, Clock(NOW), Stop(), lambda _: None), Recorder())
    tick(office, NOW)
    until(lambda: tick(office, NOW).ended)
    assert open_incident(ledger).state == "held"
    gate.reject(found, Wish(ledger.runs()[0].run, "ann", "Wrong till.", NOW + MINUTE), as_json=True)
    tick(office, NOW + 2 * MINUTE)
    incident = open_incident(ledger)
    assert (incident.open, incident.state, incident.sentence) == (True, "failed", "Rejected by Ann: Wrong till.")
    assert tick(office, NOW + 3 * MINUTE).started == ()  # it is not tried again by itself
    with ledger.read() as tx:
        assert deadlines.find(tx, ("good", DAY)).state is deadlines.State.OPEN
        history = [event.text for event in incidents.history(tx, incident.number)]
    assert f"ann rejected run {ledger.runs()[0].run}: Wrong till." in history
    change(folder / "notebooks/good.ipynb", *reversed(WARN))
    assert make(folder) == 0
    tick(office, NOW + 4 * MINUTE)
    assert open_incident(ledger) is None
    ledger.close()


def test_of_two_who_decide_at_once_one_wins(held):
    """An approval and a rejection at the same instant: one is done, the other hears that it is not held any more."""
    folder, run = held
    together, ended = threading.Barrier(2), []

    def decide(act, who):
        together.wait(30)
        try:
            act(config.load(folder), Wish(run, who, "I decide.", LATER), as_json=True)
            ended.append((act.__name__, ""))
        except UsageError as error:
            ended.append((act.__name__, str(error)))

    people = [threading.Thread(target=decide, args=pair) for pair in ((gate.approve, "ann"), (gate.reject, "bob"))]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    (won,) = [name for name, error in ended if not error]
    (lost,) = [error for _, error in ended if error]
    assert "not held" in lost
    assert runs(folder)[0].status is (Status.DELIVERED if won == "approve" else Status.STOPPED)
    assert ([act.what for act in acts(folder)], len(mails(folder))) == (
        (["approved"], 2) if won == "approve" else (["rejected"], 0)
    )


def test_a_rejection_in_the_middle_of_an_approval_wins(held):
    """Turned down after the approval looked at it: that is refused with a sentence, and nobody is written to."""
    folder, run = held
    found = config.load(folder)

    class Between(Ledger):
        """A ledger in which somebody rejects the run just before its report's runs are listed."""

        def runs(self, pipeline=None, period=None):
            gate.reject(found, Wish(run, "bob", "I decide.", LATER), as_json=True)
            return super().runs(pipeline, period)

    ledger = Between.of(found)
    approval = Approval("ann", "I decide.", LATER, ())
    with pytest.raises(UsageError, match="not held any more"):
        approve(ledger.run(run), approval, Ctx(found, ledger, Clock(LATER), Stop(), lambda _: None))
    assert ([act.what for act in acts(folder)], mails(folder)) == (["rejected"], [])
    ledger.close()


# Handed over by hand.


MARK = "from runner.ledger import Process; print(Process.this().mark)"


def by_hand(run, **more):
    """A wish to take the archive of a run."""
    return deliver.Wish(run, LATER, **{"who": "ann", "because": "The mail server is down.", **more})


def deliveries(folder):
    """How each message of the first version stands."""
    ledger = Ledger.open(config.load(folder).ledger)
    found = {item.recipient: (str(item.state), item.sent_at) for item in ledger.deliveries("good", DAY, 1)}
    ledger.close()
    return found


def test_an_archive_holds_the_report_and_meets_what_was_owed(ready, said):
    """PDF, HTML, tables as CSV and a page of hashes; both readers count as delivered to, and nothing is sent them."""
    folder, run = ready
    ledger = Ledger.open(config.load(folder).ledger)
    due = Deadline("good", DAY, "Wednesday", date(2017, 11, 15), None, NOW, LATER, LATER + MINUTE)
    with ledger.write() as tx:
        deadlines.note(tx, [due])
    code, (row,) = said(deliver.by_hand, config.load(folder), by_hand(run))
    with ledger.read() as tx:
        owed = deadlines.find(tx, due.key)
    ledger.close()
    assert (owed.state, owed.ended_at, owed.run) == (deadlines.State.MET, LATER, run)
    assert (code, sorted(row["met"])) == (0, ["olga@example.com", "oscar@example.com"])
    place = folder / "reports/by-hand/good-2017-11-15-v1.zip"
    assert (row["archive"], row["sha256"]) == (str(place), hashlib.sha256(place.read_bytes()).hexdigest())
    assert (row["run"], row["pipeline"], row["period"]) == (run, "good", "2017-11-15")
    with zipfile.ZipFile(place) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert {"README.txt", "good.pdf", "good.html", "figures.csv"} <= set(files)
    kept = shelf.place(config.load(folder), runs(folder)[0])
    assert files["good.pdf"] == (kept / "good.pdf").read_bytes()
    assert re.search(r"^good\.pdf +the report$", files["README.txt"].decode(), re.MULTILINE)
    for name in set(files) - {"README.txt"}:
        assert f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" in files["README.txt"].decode()
    assert deliveries(folder) == dict.fromkeys(("olga@example.com", "oscar@example.com"), ("by hand", LATER))
    (act,) = acts(folder)
    assert (act.what, act.who, act.details["because"]) == ("delivered by hand", "ann", "The mail server is down.")
    assert (act.details["archive"], act.details["sha256"]) == (place.name, row["sha256"])
    assert runs(folder)[0].status is Status.DELIVERED
    assert said(deliver.deliver, config.load(folder), run, LATER)[0] == 0
    assert mails(folder) == []


def test_the_same_run_packs_to_the_same_bytes(ready):
    """Two archives of one run, taken by two people, are equal byte for byte; another file in the place is not lost."""
    folder, run = ready
    first, second = (folder / name for name in ("one.zip", "two.zip"))
    deliver.by_hand(config.load(folder), by_hand(run, to=first), as_json=True)
    deliver.by_hand(config.load(folder), by_hand(run, to=second, who="bob", because="Once more."), as_json=True)
    assert first.read_bytes() == second.read_bytes()
    second.write_bytes(b"mine")
    with pytest.raises(UsageError, match="There is another file in"):
        deliver.by_hand(config.load(folder), by_hand(run, to=second), as_json=True)
    assert (second.read_bytes(), len(acts(folder))) == (b"mine", 2)


def test_one_reader_by_hand_the_other_by_mail(ready, said):
    """An archive for one reader leaves the other's message owed, and only that one is then sent."""
    folder, run = ready
    wish = by_hand(run, recipients=("OLGA@example.com",))
    assert said(deliver.by_hand, config.load(folder), wish)[1][0]["met"] == ["olga@example.com"]
    assert runs(folder)[0].status is Status.READY
    code, lines = said(deliver.deliver, config.load(folder), run, LATER)
    assert (code, lines[-1]["reports"][0]["status"], lines[-1]["reports"][0]["sent"]) == (0, "delivered", 1)
    (mail,) = mails(folder)
    assert "To: Oscar" in mail.read_text()
    assert [state for state, _ in deliveries(folder).values()] == ["by hand", "sent"]


def test_a_report_that_everybody_has_is_said_to_wait_for_nobody(ready, capsys):
    """A person who sends it once more reads that nothing was sent, and why."""
    folder, run = ready
    deliver.deliver(config.load(folder), run, LATER, as_json=False)
    assert "Nobody waits" not in capsys.readouterr().out
    assert deliver.deliver(config.load(folder), run, LATER, as_json=False) == 0
    assert "Nobody waits for it: nothing was sent." in capsys.readouterr().out


def test_whom_the_server_refused_is_tried_again_when_a_person_says_so(ready, said):
    """An address was mended: the message that was refused is owed anew and goes out, and nobody else gets a second."""
    folder, run = ready
    said(deliver.deliver, config.load(folder), run, LATER)
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET state = 'refused', sent_at = NULL WHERE recipient LIKE 'oscar%'")
    ledger.close()
    next(path for path in mails(folder) if "To: Oscar" in path.read_text()).unlink()
    code, lines = said(deliver.deliver, config.load(folder), run, LATER)
    assert (code, lines[-1]["reports"][0]["sent"], len(mails(folder))) == (0, 1, 2)
    assert [state for state, _ in deliveries(folder).values()] == ["sent", "sent"]


def test_what_somebody_handed_over_meanwhile_is_not_made_anew(ready, said):
    """The scheduler comes to a run that `runner deliver` has delivered: whatever changed since, it is there."""
    folder, run = ready
    assert said(deliver.deliver, config.load(folder), run, LATER)[0] == 0
    change(folder / "notebooks/good.ipynb", *WARN)
    project, ledger = config.load(folder), Ledger.open(config.load(folder).ledger)
    made = resume(run, Job(project.pipelines["good"], DAY), Ctx(project, ledger, Clock(LATER), Stop(), lambda _: None))
    ledger.close()
    assert (made.status, made.fresh, len(runs(folder))) == (Status.DELIVERED, False, 1)


def test_nobody_but_a_reader_is_given_a_report(ready):
    """A stranger's address is refused with the readers' names; nothing is written, noted or met."""
    folder, run = ready
    with pytest.raises(UsageError, match=r"eve@example.org is no reader of this report.*olga@example.com"):
        deliver.by_hand(config.load(folder), by_hand(run, recipients=("eve@example.org",)), as_json=True)
    assert (acts(folder), deliveries(folder), list(folder.glob("reports/by-hand/*"))) == ([], {}, [])


def test_an_archive_that_cannot_be_written_is_noted_nowhere(ready):
    """No folder, no name or a pipe that nobody reads: said at once, and the readers are still owed their messages."""
    folder, run = ready
    (folder / "file").write_text("a file")
    os.mkfifo(folder / "pipe")
    for place, what in (("file/report.zip", "cannot be written"), ("a" * 300, "cannot be"), ("pipe", "another file")):
        with pytest.raises(UsageError, match=what):
            deliver.by_hand(config.load(folder), by_hand(run, to=folder / place), as_json=True)
    assert (acts(folder), deliveries(folder), runs(folder)[0].status) == ([], {}, Status.READY)


def test_whom_a_killed_runner_was_writing_to_can_be_given_it_by_hand(ready, said):
    """Its lease has minutes to go: a living one is waited for, and one that is gone is not."""
    folder, run = ready
    project, ledger = config.load(folder), Ledger.open(config.load(folder).ledger)
    ledger.owe(runs(folder)[0], handover.owed(project, runs(folder)[0]))
    child = subprocess.run([sys.executable, "-c", MARK], capture_output=True, text=True, check=True)
    for holder in (Process.this().mark, child.stdout.strip()):
        with ledger.write() as tx:
            for item in book.of(tx, book.Version("good", DAY, 1)):
                assert book.claim(tx, book.Version("good", DAY, 1), item, book.Claim(holder, LATER + MINUTE))
        if holder == Process.this().mark:
            with pytest.raises(UsageError, match="is being sent at this moment"):
                deliver.by_hand(project, by_hand(run), as_json=True)
    ledger.close()
    assert said(deliver.by_hand, project, by_hand(run))[1][0]["met"] == ["olga@example.com", "oscar@example.com"]


def test_changed_files_are_not_handed_out(ready):
    """A PDF that is not the one that was proven is neither sent nor packed."""
    folder, run = ready
    (shelf.place(config.load(folder), runs(folder)[0]) / "good.pdf").write_bytes(b"%PDF-1.7 other")
    with pytest.raises(DeliveryFailed, match="are not those that were proven"):
        deliver.by_hand(config.load(folder), by_hand(run), as_json=True)
    assert acts(folder) == []


@pytest.mark.parametrize(
    ("status", "what"),
    [
        ("held", "is held. Look at it, and approve it first: runner approve"),
        ("stopped", "is stopped and goes to nobody. Rejected by Ann: Wrong. Make the report again."),
        ("failed", "is failed and goes to nobody."),
    ],
)
def test_what_may_not_go_out_is_not_handed_out_either(held, status, what):
    """A held report is approved first; one that was rejected or failed goes to nobody, by mail or by hand."""
    folder, run = held
    if status == "stopped":
        gate.reject(config.load(folder), Wish(run, "ann", "Wrong.", LATER), as_json=True)
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.write() as tx:
        tx.exec_driver_sql("UPDATE runs SET status = ?", (status,))
    ledger.close()
    for call in (
        lambda: deliver.deliver(config.load(folder), run, LATER, as_json=True),
        lambda: deliver.by_hand(config.load(folder), by_hand(run), as_json=True),
    ):
        with pytest.raises(UsageError) as refused:
            call()
        assert what in str(refused.value)
    assert ([act.what for act in acts(folder) if act.what != "rejected"], mails(folder)) == ([], [])


def test_charts_of_a_report_that_could_not_be_printed_go_to_an_engineer_alone(tmp_path, said):
    """The renderer is broken: --unproven packs what the notebook has, marked so, and no reader is given it."""
    folder = shop(tmp_path)
    (folder / "templates").mkdir()
    (folder / "templates/report.typ").write_text("#panic()")
    assert make(folder) == 1
    failed = runs(folder)[0]
    with pytest.raises(UsageError, match="goes to nobody"):
        deliver.by_hand(config.load(folder), by_hand(failed.run), as_json=True)
    wish = by_hand(failed.run, unproven=True)
    with pytest.raises(UsageError, match="goes to no reader"):
        deliver.by_hand(
            config.load(folder),
            by_hand(failed.run, unproven=True, recipients=("olga@example.com",)),
            as_json=True,
        )
    code, (row,) = said(deliver.by_hand, config.load(folder), wish)
    assert (code, row["archive"].endswith("good-2017-11-15-v1-UNPROVEN.zip"), row["met"]) == (0, True, [])
    with zipfile.ZipFile(row["archive"]) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert files["README.txt"].startswith(b"UNPROVEN. NOT TO BE PASSED ON.")
    assert b"runner verify" not in files["README.txt"]
    assert not any(name.endswith((".pdf", ".html")) for name in files)
    rows = list(csv.reader(io.StringIO(files["figures.csv"].decode("utf-8-sig"))))
    assert rows[1] == ["Revenue", "12.50", "12.5", "usd2"]
    assert (deliveries(folder), [act.what for act in acts(folder)]) == ({}, ["took an archive of"])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"who": ""}, "Who takes it?"),
        ({"because": " "}, "Why is it handed over by hand?"),
        ({"who": "olga"}, "No engineer is called 'olga'"),
        ({"because": "x" * 501}, "The reason has 501 characters"),
    ],
)
def test_handing_over_by_hand_needs_a_name_and_a_reason(ready, given, what):
    """Each word that is missing is asked for, and nothing is done."""
    folder, run = ready
    with pytest.raises(UsageError) as refused:
        deliver.by_hand(config.load(folder), by_hand(run, **given), as_json=True)
    assert (what in str(refused.value), acts(folder)) == (True, [])


def test_the_words_of_the_commands_lead_to_them(ready):
    """As typed: an archive's options without --manual are refused; with it the archive is made, its readers named."""
    folder, run = ready
    code, out, err = runner(folder, "deliver", run, "--by", "ann")
    assert (code, out, "belong to --manual" in err) == (2, "", True)
    code, out, _ = runner(folder, "deliver", run, "--manual", "--by", "ann", "--because", "The mail server is down.")
    assert (code, "reports/by-hand/good-2017-11-15-v1.zip" in out) == (0, True)
    assert "Noted as delivered by hand to olga@example.com, oscar@example.com" in out
    code, out, err = runner(folder, "reject", run, "--by", "ann", "--because", "Wrong.")
    assert (code, out, f"Run {run} is delivered, not held." in err) == (2, "", True)
