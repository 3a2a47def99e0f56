"""Drills: real faults in a copy, with real kernels; everybody is reached, and no reader ever."""

from __future__ import annotations

import email
import hashlib
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email import policy
from pathlib import Path

import pytest

from runner import config, starter
from runner.cli import app
from runner.commands import drill as command
from runner.delivery.channels import Channels, Parcel, Recorder
from runner.delivery.messages import Message
from runner.errors import DeliveryFailed, UsageError
from runner.ledger import Ledger, duties, incidents, journal
from runner.ledger import rota as rota_book
from runner.plan.duties import Due
from runner.plan.oncall import Leg, Swap
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import produce
from runner.scheduler import copies, drill, faults
from runner.scheduler.drill import Desk, Guard, Outcome, Times, Wish
from runner.scheduler.faults import FAULTS, Site
from runner.scheduler.opening import library_of
from tests.small_projects import project, runner, start, write
from tests.test_notebooks import copy_project

NOW = datetime(2017, 11, 16, 14, tzinfo=UTC)  # a Thursday in Ann's week
DAY = "2017-11-15"
PEOPLE = """\
engineers:
  ann: {name: Ann, email: ann@example.com}
  bob: {name: Bob, email: bob@example.com}
  eve: {name: Eve, email: eve@example.com}
readers:
  owners:
    - {name: Olga, email: olga@investors.example}
"""
PAGED = PEOPLE.replace("bob@example.com}", "bob@example.com, channels: [env:BOBS_PAGER]}")
ONCALL = """\
time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - {begins: "2017-11-13", order: [ann, bob, eve]}
"""
DUTIES = """\
duties:
  drill: {title: Drill, every: twice a year by day 20 at 12:00, begins: "2017-01-02", owner: eve, how: Hold one.}
"""


def small(folder: Path, notebook: str = "good", people: str = PEOPLE) -> config.Project:
    """A small project with three engineers, a rota, a duty to hold drills, and one reader."""
    project(folder, notebook)
    write(folder / "config/people.yml", people)
    write(folder / "config/oncall.yml", ONCALL)
    write(folder / "config/duties.yml", DUTIES)
    return config.load(folder)


def hold(made: config.Project, wish: Wish, now: datetime = NOW, environment: dict[str, str] | None = None) -> Outcome:
    """One drill over the real channels, recorded."""
    ledger, stop = Ledger.open(made.ledger), Stop()
    try:
        desk = Desk(made, ledger, Channels(made, environment or {}), Clock(now), stop)
        outcome = drill.hold(wish, desk)
        drill.record(outcome, ledger, made, now)
    finally:
        stop.close()
        ledger.close()
    return outcome


def posted(folder: Path) -> list[email.message.EmailMessage]:
    """Every message in every maildir below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name in {"new", "cur"}]
    return [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in files]


def stamps(folder: Path, *besides: str) -> dict[str, str]:
    """The hash of every file below a folder, but for some folders."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    kept = {name: path for name, path in named.items() if not name.startswith(besides)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in kept.items()}


OURS = ("reports/drills/", "reports/ledger.sqlite", "reports/mail/")


# A whole drill.


@pytest.mark.parametrize(
    ("place", "name", "fault", "first"),
    [("small", "good", "cell failed", "ann"), ("shipped", "daily_growth", "outlier", "engineer_b")],
)
def test_a_drill_from_fault_to_mended(tmp_path, place, name, fault, first):
    """The fault is real, whoever is on call is told, all others are asked, the report is made, no reader hears."""
    made = small(tmp_path) if place == "small" else config.load(copy_project(tmp_path / "p"))
    before = stamps(made.folder, *OURS)
    outcome = hold(made, Wish(name, fault, DAY, unattended=True))
    assert (outcome.failed, outcome.trouble, outcome.acknowledged_by) == ((), fault, first)
    times = outcome.times
    assert times.fault < times.told < times.acknowledged < times.mitigated
    assert {reach.who for reach in outcome.reached if reach.at} == set(made.people.engineers)
    assert stamps(made.folder, *OURS) == before
    assert_ledgers(made, outcome)
    mails = posted(tmp_path)
    assert_addressees(made, mails)
    mine = [mail for mail in mails if made.people.engineers[first].email in mail["To"]]
    assert sorted("Recovered" in mail["Subject"] for mail in mine) == [False, True]
    assert_first_word(made, outcome, next(mail for mail in mine if "Recovered" not in mail["Subject"]))


def assert_ledgers(made: config.Project, outcome: Outcome) -> None:
    """The real ledger holds the act and nothing else; the copy's has the failed and the good run, and the incident."""
    ledger = Ledger.open(made.ledger)
    with ledger.read() as tx:
        (act,) = journal.acts(tx, NOW - timedelta(days=1), NOW + timedelta(days=1))
        assert incidents.opened(tx) == {}
    assert (act.what, act.details["times_of_people"], ledger.runs()) == ("drill", "not measured", ())
    ledger.close()
    copied = Ledger.open(config.load(made.reports / "drills" / outcome.name).ledger)
    with copied.read() as tx:
        incident = incidents.find(tx, outcome.incident)
    good, bad = copied.runs()
    assert (incident.outcome, good.status, bad.trouble) == ("met", "ready", outcome.fault.name)
    copied.close()


def assert_addressees(made: config.Project, mails: list[email.message.EmailMessage]) -> None:
    """Every engineer has a mail, no reader is so much as named in one, and every one is marked."""
    readers = {person.email for people in made.people.readers.values() for person in people}
    theirs = {engineer.email for engineer in made.people.engineers.values()}
    assert {re.search(r"<(.+)>", mail["To"])[1] for mail in mails} == theirs
    assert [reader for mail in mails for reader in readers if reader in mail.as_string()] == []
    assert [mail["Subject"] for mail in mails if not mail["Subject"].strip().startswith("[DRILL] ")] == []


def assert_first_word(made: config.Project, outcome: Outcome, mail: email.message.EmailMessage) -> None:
    """It carries the section for this very trouble, and every command in it means the copy."""
    text = mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
    section = library_of(made).answer(outcome.pipeline, outcome.fault.name)
    assert f"FIRST STEPS: {section.title}" in text
    assert f"runner --project reports/drills/{outcome.name} ack 1 --by {outcome.acknowledged_by}\n" in text
    names = "|".join(str(one.name) for one in app.registered_commands)
    assert re.findall(rf"runner (?!drill --mend )(?:{names})\b.*", text) == []
    assert "Deliver by hand" not in text
    assert "deliver nothing by hand" in " ".join(text.split())


def test_people_in_another_terminal(tmp_path):
    """Whoever was told types the commands of the message, the drill sees it, and the duty has its evidence."""
    made, now = small(tmp_path), datetime.now(UTC)
    ledger = Ledger.open(made.ledger)
    with ledger.write() as tx:
        duties.note(tx, [Due("drill", "2017-H2", now - timedelta(days=1), now + timedelta(days=1))])
    with start(tmp_path, "drill", "good", "--fault", "kernel died", "--wait", "60 s", "--json") as process:
        events = iter(process.stdout.readline, "")
        told = next(json.loads(line) for line in events if '"event": "told"' in line)
        for words in commands(tmp_path):
            code, out, err = runner(tmp_path, *words)
            assert code == 0, out + err
        last = [json.loads(line) for line in events][-1]
        assert (process.wait(60), last["ok"], last["failed"]) == (0, True, [])
    steps = {step["step"]: step["seconds"] for step in last["steps"]}
    assert 0 == steps["fault"] < steps["told"] < steps["acknowledged"] < steps["mitigated"]
    assert (last["incident"], last["evidence_of_duty"]) == (told["incident"], True)
    with ledger.read() as tx:
        task = duties.find(tx, "drill", "2017-H2")
    assert (task.done_by, task.evidence["drill"]) == (last["acknowledged_by"], last["drill"])
    ledger.close()


def commands(folder: Path) -> list[list[str]]:
    """What the message tells to type: acknowledge, take the fault away, make the report; without `runner`."""
    (mail,) = [mail for mail in posted(folder) if "Failed" in mail["Subject"]]
    lines = [line.strip() for line in mail.get_body(("plain",)).get_content().splitlines()]
    typed = [shlex.split(line) for line in lines if line.startswith("runner ")]
    chosen = [next(words for words in typed if word in words) for word in ("ack", "--mend", "--again")]
    # `start` names the project before these words, and works in its folder.
    return [words[1:] for words in chosen]


def test_whoever_took_a_shift_over_is_told_and_who_was_not_reached_is_named(tmp_path):
    """A swap of the real rota holds in a drill; a pager without an address is told with the reason, and fails it."""
    made = small(tmp_path, people=PAGED)
    ledger, hours = Ledger.open(made.ledger), timedelta(hours=12)
    give, take = Leg("ann", NOW - hours, NOW + hours), Leg("eve", NOW + timedelta(days=20), NOW + timedelta(days=21))
    with ledger.write() as tx:
        rota_book.offer(tx, Swap("", give, take, "ann", NOW - hours, {"ann": NOW - hours, "eve": NOW - hours}))
    ledger.close()
    outcome = hold(made, Wish("good", "not started", DAY, unattended=True))
    reached = {(reach.who, reach.channel): reach for reach in outcome.reached}
    assert (outcome.trouble, outcome.acknowledged_by) == ("not started", "eve")
    assert [key for key, reach in reached.items() if reach.at is None] == [("bob", "env:BOBS_PAGER")]
    (failed,) = outcome.failed
    assert "Bob was not reached by env:BOBS_PAGER: The channel env:BOBS_PAGER has no address." in failed
    assert outcome.times.mitigated


def test_a_cancelled_run_is_told_as_interrupted(tmp_path):
    """A run that is cancelled in a drill ends with its partial notebook, and somebody is told."""
    outcome = hold(small(tmp_path), Wish("good", "interrupted", DAY, unattended=True))
    assert (outcome.failed, outcome.trouble) == ((), "interrupted")


# Faults.

#: Notebook of a small project, or `starter` or `shipped`, for each fault that is tried without a whole drill.
WHERE = {
    "source unavailable": "good",
    "permission revoked": "good",
    "schema changed": "starter",
    "data incomplete": "starter",
    "sources disagree": "shipped",
    "restatement": "shipped",
    "kernel died": "good",
    "deadline passed": "good",
    "rendering failed": "good",
    "proof failed": "good",
    "delivery failed": "good",
}


def _site(name: str, folder: Path) -> Site:
    """A copy of a project that a fault can be made in."""
    where = folder / name.replace(" ", "_")
    if WHERE[name] == "shipped":
        made, pipeline, day = config.load(copy_project(where / "p")), "daily_growth", DAY
    elif WHERE[name] == "starter":
        starter.init(where / "p")
        made, pipeline, day = config.load(where / "p"), starter.NAME, starter.AS_OF
    else:
        made, pipeline, day = small(where / "p", WHERE[name]), "good", DAY
    copy = copies.copy_of(made, where / "copy")
    if FAULTS[name].reader:
        copy = copies.with_reader(copy, copy.pipelines[pipeline], config.Person(name="Drill", email="ann@example.com"))
    return Site.of(copy, copy.pipelines[pipeline], date.fromisoformat(day))


def _make(site: Site, day: date) -> str:
    """One report of a copy through a real kernel: its trouble, or its status."""
    copy = config.load(site.folder)
    ledger, stop = Ledger.open(copy.ledger), Stop()
    ctx = Ctx(copy, ledger, Clock(datetime.now(UTC)), stop, lambda _: None)
    made = produce(Job(copy.pipelines[site.pipeline.name], day.isoformat()), ctx)
    ledger.close()
    stop.close()
    return str(made.trouble or made.status)


def _try(name: str, folder: Path) -> tuple[str, bool]:
    """The trouble that comes of a fault, and whether mending puts every file back."""
    site = _site(name, folder)
    if FAULTS[name].before:
        assert _make(site, site.as_of - timedelta(days=1)) == "ready"
    ours = ("reports/", ".cache/ip", ".cache/mat", ".cache/ju", ".cache/daybook", faults.KEPT)
    before = stamps(site.folder, *ours)
    faults.inject(FAULTS[name], site)
    trouble = _make(site, site.as_of)
    assert stamps(site.folder, *ours) != before or FAULTS[name].reader
    assert faults.mend(site.folder) == name
    return trouble, stamps(site.folder, *ours) == before


def test_every_fault_is_what_it_says(tmp_path):
    """Each fault leads a real run to the very trouble that it is named after, and is taken away without a trace."""
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(WHERE, pool.map(lambda name: _try(name, tmp_path), WHERE), strict=True))
    assert found == {name: (name, True) for name in WHERE}


def test_no_fault_is_left_untried():
    """Every fault there is, is tried here; every kind of trouble has its fault."""
    assert set(FAULTS) - set(WHERE) == {"outlier", "cell failed", "interrupted", "not started"}


def test_a_fault_that_a_pipeline_cannot_have_is_refused_and_leaves_nothing(tmp_path):
    """The sentence says what is missing and which faults there are; no copy is made."""
    made = small(tmp_path)
    for fault, said in {
        "outlier": "good cannot have 'outlier': it does not rest on the warehouse. good can have: source unavailable",
        "earthquake": "'earthquake' is no fault.",
        "": "Which fault?",
    }.items():
        with pytest.raises(UsageError, match=re.escape(said)):
            hold(made, Wish("good", fault))
    with pytest.raises(UsageError, match="is not a day"):
        hold(made, Wish("good", "cell failed", "yesterday"))
    assert not (made.reports / "drills").exists()


def test_mending_is_for_drills_and_once(tmp_path):
    """A name that leads elsewhere, an unknown one and a second time are refused."""
    made = small(tmp_path)
    for name in ("../good", "", ".", "..", "/etc"):
        with pytest.raises(UsageError, match="name of no drill"):
            command.mend(made, name, as_json=True)
    with pytest.raises(UsageError, match=r"No drill is 'mine'\. There is none with a fault\."):
        command.mend(made, "mine", as_json=True)
    copy = copies.copy_of(made, made.reports / "drills" / "mine")
    faults.inject(FAULTS["cell failed"], Site.of(copy, copy.pipelines["good"], date(2017, 11, 15)))
    assert runner(tmp_path, "drill", "--mend", "mine")[0] == 0
    code, _, said = runner(tmp_path, "drill", "--mend", "mine")
    assert (code, "taken away already" in said) == (2, True)


# Copies and the way out.


def test_a_copy_has_nobody_to_reach(tmp_path):
    """A copy has no reader, no channel, no heartbeat and a ledger of its own; the project stays as it was."""
    made = small(tmp_path / "p", people=PAGED)
    settings = made.folder / "config/settings.yml"
    more = "ledger: sqlite:////tmp/theirs.sqlite\nheartbeat: {every: 5 min, channel: env:BEAT}\n"
    write(settings, settings.read_text() + more)
    made = config.load(made.folder)
    before = stamps(made.folder)
    copy = copies.copy_of(made, tmp_path / "copy")
    assert [copy.readers(pipeline) for pipeline in copy.pipelines.values()] == [()]
    assert [engineer.channels for engineer in copy.people.engineers.values()] == [(), (), ()]
    assert copy.settings.heartbeat is None
    assert copy.ledger == f"sqlite:///{tmp_path / 'copy/reports/ledger.sqlite'}"
    assert copy.oncall == made.oncall
    assert stamps(made.folder) == before
    with pytest.raises(UsageError, match="copy is there already"):
        copies.copy_of(made, tmp_path / "copy")
    assert (tmp_path / "copy/config").is_dir()


def test_a_copy_follows_no_link_out(tmp_path):
    """What lies outside is neither copied nor linked to; a source that lies there is refused, with nothing left."""
    made = small(tmp_path / "p", "reads_a_file")
    outside = tmp_path / "secret.csv"
    outside.write_text("day,amount\n2017-11-15,5\n")
    (made.folder / "notebooks/inner.csv").write_text("inside")
    (made.folder / "notebooks/leak.csv").symlink_to(outside)
    (made.folder / "notebooks/alias.csv").symlink_to("inner.csv")
    (made.folder / "notebooks/round").symlink_to("..")
    copies.copy_of(made, tmp_path / "copy")
    copied = tmp_path / "copy/notebooks"
    assert sorted(path.name for path in copied.iterdir()) == ["alias.csv", "inner.csv", "reads_a_file.ipynb"]
    assert not any(path.is_symlink() for path in copied.iterdir())
    (made.folder / "sales.csv").symlink_to(outside)
    pipelines = made.folder / "config/pipelines.yml"
    write(pipelines, pipelines.read_text().replace("sources: []", "sources: [sales.csv]"))
    with pytest.raises(UsageError, match=r"sales\.csv is not a file inside the project"):
        copies.copy_of(config.load(made.folder), tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_nothing_passes_the_guard_but_a_drill_for_an_engineer(tmp_path):
    """Neither an unmarked message, nor words for readers, nor an address or channel that is no engineer's gets out."""
    recorder = Recorder()
    guard = Guard(recorder, small(tmp_path, people=PAGED), "mine")
    drilled = Message("[DRILL] Failed", "This is a drill.")
    good = Parcel("<1@example.com>", "Ann", "ann@example.com", "mail", drilled)
    refused = [
        Parcel("<1@example.com>", "Ann", "ann@example.com", "mail", Message("Failed", "It failed.")),
        Parcel("<1@example.com>", "Ann", "ann@example.com", "mail", Message("[DRILL] Late", "Late.", "readers")),
        Parcel("<1@example.com>", "Olga", "olga@investors.example", "mail", drilled),
        Parcel("<1@example.com>", "Ann", "ann@example.com", "env:BOBS_PAGER", drilled),
    ]
    for parcel in refused:
        with pytest.raises(DeliveryFailed):
            guard.send(parcel, NOW)
    guard.send(good, NOW)
    (sent,) = recorder.sent
    # Two drills at one instant, or a drill and the real thing, must not be taken for one message.
    assert sent.parcel.message_id != good.message_id


def test_only_a_drill_with_people_that_went_well_is_evidence(tmp_path):
    """An unattended drill and one that failed are recorded, and the duty stays open."""
    made = small(tmp_path)
    ledger = Ledger.open(made.ledger)
    with ledger.write() as tx:
        duties.note(tx, [Due("drill", "2017-H2", NOW - timedelta(days=1), NOW + timedelta(days=1))])
    times = Times(NOW, NOW, NOW, NOW)

    def said(*, unattended: bool, failed: tuple[str, ...]) -> bool:
        outcome = Outcome("mine", "good", DAY, FAULTS["outlier"], unattended, times, failed=failed)
        return drill.record(outcome, ledger, made, NOW)

    assert not said(unattended=True, failed=())
    assert not said(unattended=False, failed=("Bob was not reached.",))
    assert said(unattended=False, failed=())
    with ledger.read() as tx:
        assert len(journal.acts(tx, NOW, NOW + timedelta(seconds=1))) == 3
    ledger.close()


def test_nobody_mends_in_time(tmp_path):
    """When time is up the drill ends with exit code 1 and says what did not happen."""
    made = small(tmp_path)
    code, out, err = runner(made.folder, "drill", "good", "--fault", "not started", "--wait", "1 s")
    assert code == 1, err
    assert "Nobody took the fault away and made the report in time." in out
    assert "Nobody acknowledged it." in out
    assert "It does not count as evidence of the duty to hold drills: it failed." in out


@pytest.mark.parametrize(
    ("unattended", "failed", "opens", "said"),
    [
        (False, (), -1, "It is the evidence of the duty 'drill' for 2017-H2."),
        (False, (), 1, "It does not count as evidence of the duty to hold drills: no period of that duty is open now."),
        (True, (), -1, "It does not count as evidence of the duty to hold drills: it was unattended"),
        (True, ("Bob was not reached.",), -1, "It does not count as evidence of the duty to hold drills: it failed."),
    ],
)
def test_a_drill_says_whether_it_counts(tmp_path, unattended, failed, opens, said):
    """The duty and the period of which it is the evidence, or why it is that of none."""
    made = small(tmp_path)
    ledger = Ledger.open(made.ledger)
    with ledger.write() as tx:
        duties.note(tx, [Due("drill", "2017-H2", NOW + timedelta(days=opens), NOW + timedelta(days=2))])
    outcome = Outcome("mine", "good", DAY, FAULTS["outlier"], unattended, Times(NOW, NOW, NOW, NOW), failed=failed)
    counts = command.record(outcome, ledger, made, NOW)
    assert said in "\n".join(command.verdict(outcome, counts))
    assert counts.as_dict()["evidence_of_duty"] == (said[:10] == "It is the ")
    ledger.close()
