"""Audits: what is found of schemas, two sources and rights; and duties that the software does itself."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from runner.commands import audit as command
from runner.config.ends import Sources
from runner.config.files import Duty
from runner.config.project import Project
from runner.delivery.channels import Recorder
from runner.errors import Trouble
from runner.ledger import Ledger, duties, incidents
from runner.ledger import sources as past
from runner.ledger.duties import Done
from runner.ledger.sources import Fingerprint
from runner.model import Level
from runner.plan.duties import Due
from runner.plan.runbooks import parse
from runner.scheduler import rounds
from runner.scheduler.errands import Errands, Outside
from runner.scheduler.tick import tick
from runner.sources import audits, fingerprint, rights
from runner.sources.audits import Scope
from runner.sources.rights import Thing
from tests import small_projects
from tests.small_office import DAY, HOUR, MINUTE, duty, office, pipeline, project
from tests.spoken_sources import DOWN, REVOKED, Prompt, Spoken, opener

SOURCES = {
    "tills": {
        "kind": "http",
        "title": "Till API",
        "url": "https://tills.example.com",
        "may": ("lines:read",),
        "tries": 1,
    },
    "replica": {"kind": "sql", "title": "Till replica", "url": "sqlite://", "may": ("SELECT",), "tries": 1},
}
TABLES = {"sales": {"from": ("tills", "replica"), "day": "day"}}
CONTRACT = """
table: sales
key: [till]
columns:
  till: {type: int64, min: 1}
  amount: {type: float64}
  kind: {type: str, values: [cash, card]}
  day: {type: day}
"""
#: Tuesday 13:00 in New York: the duty is due, and was begun six hours before.
DUE = datetime(2017, 11, 14, 18, tzinfo=UTC)
BEGINS = DUE - 6 * HOUR
YESTERDAY = date(2017, 11, 13)
FINE = {"tills": frozenset({"lines:read"}), "replica": frozenset({"SELECT"})}


def sales(day=YESTERDAY, **more):
    """Forty sales of a day."""
    said = {
        "till": list(range(1, 41)),
        "amount": [float(n) for n in range(40)],
        "kind": ["cash", "card"] * 20,
        "day": [day] * 40,
    } | more
    return pa.table({name: values for name, values in said.items() if values is not None})


@pytest.fixture
def spoken():
    """Two sources that have the same sales, and rights as they should be."""
    return {name: Spoken({"sales": sales()}, FINE[name]) for name in SOURCES}


def shop(folder, does="schemas", every="daily by 13:00"):
    """A project with two sources of one table, and one duty that the software does."""
    (folder / "config" / "contracts").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "contracts" / "sales.yml").write_text(CONTRACT)
    entry = pipeline("sales", "daily by 09:00", sources=("warehouse",))
    sources = Sources.model_validate({"sources": SOURCES, "tables": TABLES})
    found: Project = project(entry, sources=sources, duties={"watch": duty(every, "dan", does=does)})
    return replace(found, folder=folder)


def scope(shop_, spoken, now=DUE, **more):
    """What an audit of it is about."""
    return Scope(shop_, {}, now, opened=opener(spoken, shop_.sources.sources), **more)


# What is found.


def test_every_source_of_a_table_is_looked_at(tmp_path, spoken):
    """The first is as the contract has it; that the second has drifted is told before it is ever needed."""
    spoken["replica"].tables = {"sales": sales(kind=["cheque"] * 40, shop=[1] * 40)}
    found = audits.audit("schemas", scope(shop(tmp_path), spoken))
    first, second = found.findings
    assert (first.level, second.level, second.trouble) == (Level.PASS, Level.STOP, Trouble.SCHEMA_CHANGED)
    assert "Till replica will break its reports" in second.message
    assert {change["kind"] for change in second.numbers["changes"]} == {"category", "added"}
    assert [(one.table, one.source) for one in found.fingerprints] == [("sales", "tills"), ("sales", "replica")]
    assert found.files["changes.csv"].count("\r\n") == 3
    assert "replica" in found.files["findings.txt"]
    assert json.loads(found.files["findings.json"])["day"] == "2017-11-13"


def test_only_the_last_whole_day_is_asked_for(tmp_path, spoken):
    """And where the shops were closed, the one before."""
    audits.audit("schemas", scope(shop(tmp_path), spoken))
    (want,) = spoken["tills"].asked
    assert (want.first, want.last, want.day) == (YESTERDAY, YESTERDAY, "day")
    closed = shop(tmp_path)
    closed = replace(closed, holidays=closed.holidays.model_copy(update={"closed_on": ("11-13",)}))
    audits.audit("schemas", scope(closed, spoken))
    assert spoken["tills"].asked[-1].first == date(2017, 11, 12)


def test_what_has_changed_since_the_last_time_is_found(tmp_path, spoken):
    """Within the contract, and yet not as it was: it is told, and breaks nothing."""
    before = fingerprint.taken(sales(amount=pa.array([1.0] * 40, pa.float32())))
    looks = scope(shop(tmp_path), spoken, before=lambda _table, source: before if source == "tills" else None)
    first, second = audits.audit("schemas", looks).findings
    assert (first.level, second.level) == (Level.WARN, Level.PASS)
    assert "is double, was float" in first.message


def test_a_source_that_does_not_answer_stops_no_audit(tmp_path, spoken):
    """It is a finding of its own, which may pass by itself; the others are looked at."""
    spoken["tills"].fails = DOWN
    found = audits.audit("schemas", scope(shop(tmp_path), spoken))
    assert [one.level for one in found.findings] == [Level.STOP, Level.PASS]
    assert found.is_passing


def test_two_sources_of_a_table_are_compared_by_its_key(tmp_path, spoken):
    """The same day of both; what one lacks and what differs is listed."""
    shop_ = shop(tmp_path)
    assert audits.audit("reconciliation", scope(shop_, spoken)).found == ()
    spoken["replica"].tables = {"sales": sales(amount=[99.0, *map(float, range(1, 40))]).slice(0, 39)}
    found = audits.audit("reconciliation", scope(shop_, spoken))
    (one,) = found.found
    assert (one.level, one.trouble) == (Level.WARN, Trouble.SOURCES_DISAGREE)
    assert (one.numbers["matched"], one.numbers["different"], one.numbers["missing_right"]) == (38, 1, 1)
    assert found.files["sales-tills-replica.csv"].count("\r\n") == 3


def test_a_share_may_differ_where_config_allows_it(tmp_path, spoken):
    """`differ` of the table."""
    shop_ = shop(tmp_path)
    tables = {"sales": shop_.sources.tables["sales"].model_copy(update={"differ": 0.05})}
    shop_ = replace(shop_, sources=shop_.sources.model_copy(update={"tables": tables}))
    spoken["replica"].tables = {"sales": sales().slice(0, 38)}
    assert audits.audit("reconciliation", scope(shop_, spoken)).found == ()
    spoken["replica"].tables = {"sales": sales().slice(0, 37)}
    assert len(audits.audit("reconciliation", scope(shop_, spoken)).found) == 1


def test_a_closed_day_has_nothing_to_compare(tmp_path, spoken):
    """On any other day nothing on both sides is a finding."""
    spoken["tills"].tables = spoken["replica"].tables = {"sales": sales().slice(0, 0)}
    shop_ = shop(tmp_path)
    assert [one.trouble for one in audits.audit("reconciliation", scope(shop_, spoken)).found] == [
        Trouble.DATA_INCOMPLETE
    ]
    closed = replace(shop_, holidays=shop_.holidays.model_copy(update={"closed_on": ("11-13",)}))
    assert audits.audit("reconciliation", scope(closed, spoken)).found == ()


@pytest.mark.parametrize("what", ["schemas", "reconciliation"])
def test_an_audit_of_nothing_is_no_evidence(tmp_path, what):
    """A project without tables: that nothing was looked at is what is found."""
    empty = replace(shop(tmp_path), sources=Sources())
    assert [one.level for one in audits.audit(what, scope(empty, {})).found] == [Level.WARN]


def test_a_right_that_is_gone_is_told_with_what_needs_it(tmp_path, spoken):
    """As one that was revoked; and one too many as such."""
    spoken["tills"].may = frozenset({"lines:write"})
    needed = {"tills": "Sales needs it next, from 08:00."}
    gone, excess = audits.audit("permissions", scope(shop(tmp_path), spoken, needed=needed)).found
    assert (gone.level, gone.trouble) == (Level.STOP, Trouble.PERMISSION_REVOKED)
    assert gone.message.endswith("lines:read. Sales needs it next, from 08:00.")
    assert (excess.level, excess.numbers["excess"]) == (Level.WARN, ["lines:write"])


def test_rights_that_cannot_be_known_are_not_taken_for_granted(tmp_path, spoken):
    """Declared and not to be asked, or refused altogether: both are found."""
    spoken["tills"].may = None
    spoken["replica"].fails = REVOKED
    found = audits.audit("permissions", scope(shop(tmp_path), spoken)).found
    assert [(one.level, one.trouble) for one in found] == [
        (Level.WARN, None),
        (Level.STOP, Trouble.PERMISSION_REVOKED),
    ]


def test_our_own_files_are_looked_at(tmp_path):
    """A secret that everybody can read, a contract that everybody can change; and one who cannot be found."""
    shop_ = shop(tmp_path)
    secret = tmp_path / "token"
    secret.write_text("geheim")
    secret.chmod(0o644)
    named = {"tills": SOURCES["tills"] | {"token": "env:TILLS_TOKEN"}}
    shop_ = replace(shop_, sources=Sources.model_validate({"sources": named}))
    (tmp_path / "config" / "contracts" / "sales.yml").chmod(0o666)
    environment = {"TILLS_TOKEN_FILE": str(secret)}
    (one,) = rights.of_things(rights.things(shop_, environment))
    assert one.numbers["excess"] == [
        "config/contracts/sales.yml can be changed by everybody",
        "the file that TILLS_TOKEN_FILE names holds a secret and can be read by everybody",
    ]
    secret.chmod(0o600)
    (tmp_path / "config" / "contracts" / "sales.yml").chmod(0o644)
    assert [one.level for one in rights.of_things(rights.things(shop_, environment))] == [Level.PASS]
    secret.unlink()
    (one,) = rights.of_things(rights.things(shop_, environment))
    assert one.trouble is Trouble.PERMISSION_REVOKED


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Thing("reports", 0o755, can_write=False, is_written=True), "cannot be written by us"),
        (Thing("config", 0o755, can_read=False), "cannot be read by us"),
    ],
    ids=["written", "read"],
)
def test_a_file_out_of_our_reach_is_a_missing_right(thing, said):
    """The ledger or reports that cannot be written, config that cannot be read."""
    (one,) = rights.of_things([thing], "Sales needs it next.")
    assert (one.level, one.trouble) == (Level.STOP, Trouble.PERMISSION_REVOKED)
    assert said in one.message


def test_a_shared_folder_with_the_sticky_bit_is_not_open():
    """Others may put files there, and change none of ours."""
    assert [one.level for one in rights.of_things([Thing("reports", 0o1777, is_written=True)])] == [Level.PASS]


# Duties that the software does itself.


def at_work(folder, spoken, errands=None, **more):
    """An office that does its duty, with its period written down."""
    shop_ = shop(folder, **more)
    ledger = Ledger.open(folder / "ledger.sqlite")
    outside = Outside({}, errands or Prompt(), opener(spoken, shop_.sources.sources))
    desk = office(ledger, shop_, carrier=Recorder(), outside=outside)
    with ledger.write() as tx:
        duties.note(tx, [Due("watch", "2017-11-14", DUE - DAY, DUE)])
    return desk


@pytest.fixture
def working(tmp_path, spoken):
    """A function as `at_work`, whose ledgers are closed in the end."""
    with ExitStack() as stack:

        def begin(errands=None, **more):
            desk = at_work(tmp_path, spoken, errands, **more)
            stack.callback(desk.ledger.close)
            return desk

        yield begin


def look(desk, *times):
    """The duties' part of a tick, at these instants."""
    for now in times:
        desk.notes.pop("look at rounds", None)
        rounds.look(desk, now)


def task(desk, period="2017-11-14"):
    """The duty as the ledger has it."""
    with desk.ledger.read() as tx:
        return duties.find(tx, "watch", period)


def subjects(desk):
    """Of the letters about the duty that are owed or sent, after a whole tick."""
    return [(sent.parcel.address, sent.parcel.message.subject) for sent in desk.carrier.sent]


def test_nothing_found_is_the_evidence(working, tmp_path):
    """Six hours before it is due, not before; with the findings, and the files beside."""
    desk = working()
    look(desk, BEGINS - MINUTE)
    assert task(desk).done_at is None
    look(desk, BEGINS, BEGINS + MINUTE)
    done = task(desk)
    assert (done.done_by, set(done.evidence["checks"])) == (
        "runner",
        {"schema of sales at Till API", "schema of sales at Till replica"},
    )
    folder = tmp_path / done.evidence["files"]
    assert sorted(path.name for path in folder.iterdir()) == ["changes.csv", "findings.json", "findings.txt"]
    with desk.ledger.read() as tx:
        (seen,) = past.fingerprints(tx, "sales", "tills")
    assert seen.run == "audit:watch"


def test_what_was_found_is_told_and_the_duty_stays_open(working, spoken):
    """To its owner, once, with the common runbook's section; overdue if nobody answers; done when a person says so."""
    spoken["replica"].tables = {"sales": sales(kind=None)}
    own = {"sales": parse("# Sales\n\n## A run failed\nAnswers: schema changed\n\n1. Look.\n", "sales.md")}
    desk = working()
    desk = replace(desk, library=replace(desk.library, own=own))
    tick(desk, BEGINS)
    for minutes in (1, 2, 20, 200):
        tick(desk, BEGINS + minutes * MINUTE)
    about = [sent for sent in desk.carrier.sent if "Audit" in sent.parcel.message.subject]
    (letter,) = about
    message = letter.parcel.message
    assert (letter.parcel.address, message.subject) == ("dan@engineer.example", "Found: Audit, 1 thing to look at")
    assert message.runbook_title == desk.library.common.find("schema changed").title
    assert "--by dan " in message.commands[0][1]
    assert "Nothing to acknowledge" in message.runbook
    assert "INCIDENT" not in message.runbook  # there is none
    assert any("column kind is gone" in text for _, text in message.facts)
    assert task(desk).done_at is None
    assert len(spoken["tills"].asked) > 0
    asked = [want for want in spoken["replica"].asked if want != "probe"]
    tick(desk, DUE)
    with desk.ledger.read() as tx:
        (late,) = [one for key, one in incidents.opened(tx).items() if key[0] == "duty:watch"]
    assert late.sentence == "What audit found was not answered in time."
    assert [want for want in spoken["replica"].asked if want != "probe"] == asked  # it is not done again
    with desk.ledger.write() as tx:
        duties.done(tx, "watch", "2017-11-14", Done("dan", DUE, {"said": "It was meant."}))
    desk.notes.clear()
    tick(desk, DUE + MINUTE)
    with desk.ledger.read() as tx:
        assert not [key for key in incidents.opened(tx) if key[0] == "duty:watch"]


def test_a_source_that_is_away_is_told_once_for_all_its_tables(working, spoken, tmp_path):
    """The same sentence found for each of several tables stands in the message once, and the subject counts it once."""
    desk = working()
    (tmp_path / "config" / "contracts" / "refunds.yml").write_text(CONTRACT.replace("table: sales", "table: refunds"))
    tables = TABLES | {"refunds": TABLES["sales"]}
    sources = Sources.model_validate({"sources": SOURCES, "tables": tables})
    desk = replace(desk, project=replace(desk.project, sources=sources))
    spoken["tills"].fails = DOWN
    spoken["replica"].tables["refunds"] = spoken["replica"].tables["sales"]
    for minutes in (0, 1, 20, 200, 300, 340):
        tick(desk, BEGINS + minutes * MINUTE)
    assert ("dan@engineer.example", "Found: Audit, 1 thing to look at") in subjects(desk)


def test_what_was_seen_last_is_what_the_next_is_held_against(working):
    """An audit's own, before that of a run which looked at other days."""
    desk = working()
    with desk.ledger.write() as tx:
        for run, kind in (("audit:watch", pa.int32()), ("r1", pa.int64())):
            seen = fingerprint.taken(sales(till=pa.array(range(1, 41), kind)))
            at = DUE - DAY if run != "r1" else DUE - HOUR
            past.fingerprinted(tx, Fingerprint(at, "sales", "tills", fingerprint.digest(seen), seen, run))
    look(desk, BEGINS, BEGINS + MINUTE)
    (found,) = task(desk).evidence["found"]
    assert "is int64, was int32" in found["message"]


def test_a_source_that_is_away_is_asked_again_before_anybody_is_told(working, spoken):
    """Three times, ten minutes apart; then its being away is what was found."""
    spoken["tills"].fails = DOWN
    desk = working()
    look(desk, BEGINS, BEGINS + MINUTE, BEGINS + 2 * MINUTE)
    assert task(desk).evidence == {}
    spoken["tills"].fails = None
    look(desk, BEGINS + 11 * MINUTE, BEGINS + 12 * MINUTE)
    assert task(desk).done_by == "runner"


def test_a_source_that_stays_away_is_told(working, spoken):
    """The third time counts."""
    spoken["tills"].fails = DOWN
    desk = working()
    look(desk, *(BEGINS + minutes * MINUTE for minutes in (0, 1, 12, 13, 24, 25)))
    assert [one["trouble"] for one in task(desk).evidence["found"]] == ["source unavailable"]


def test_two_schedulers_do_it_once(working, spoken):
    """Whoever claims it first; the other does not begin."""
    desk = working(Errands())
    spoken["tills"].waits = threading.Event()
    other = replace(desk, holder="other", notes={}, outside=replace(desk.outside, errands=Prompt()))
    look(desk, BEGINS)
    look(other, BEGINS, BEGINS + MINUTE)
    assert spoken["replica"].asked == []  # the first hangs at the other source, the second has not begun
    spoken["tills"].waits.set()
    _ended(desk)
    look(desk, BEGINS + 2 * MINUTE)
    assert task(desk).done_by == "runner"
    assert len(spoken["tills"].asked) == 1


def _ended(desk):
    """Wait for the thread of the duty."""
    for thread in threading.enumerate():
        if thread.name in desk.outside.errands.busy:
            thread.join(30)


class Killed(Errands):
    """Errands that a killed process began: nothing ever comes back."""

    def start(self, name, work):  # noqa: ARG002
        return True


def test_a_duty_whose_scheduler_was_killed_is_done_again(working):
    """Once its claim has run out, by whoever looks."""
    desk = working(Killed())
    look(desk, BEGINS)
    after = replace(desk, holder="after", notes={}, outside=replace(desk.outside, errands=Prompt()))
    look(after, BEGINS + MINUTE)
    assert task(desk).done_at is None
    look(after, BEGINS + 15 * MINUTE, BEGINS + 16 * MINUTE)
    assert task(desk).done_by == "runner"


def test_what_comes_back_after_another_took_over_is_dropped(working, spoken):
    """The first was frozen for longer than its claim: what it says in the end changes and tells nothing."""
    desk = working(Errands())
    spoken["tills"].waits = threading.Event()
    look(desk, BEGINS)
    fine = opener({name: Spoken({"sales": sales()}) for name in SOURCES}, desk.project.sources.sources)
    other = replace(desk, holder="other", notes={}, outside=Outside({}, Prompt(), fine))
    look(other, BEGINS + 15 * MINUTE, BEGINS + 16 * MINUTE)
    before = task(desk)
    assert before.done_by == "runner"
    spoken["replica"].tables = {"sales": sales(kind=None)}
    spoken["tills"].waits.set()
    _ended(desk)
    look(desk, BEGINS + 14 * MINUTE)
    with desk.ledger.read() as tx:
        seen = past.fingerprints(tx, "sales", "replica")
    assert (task(desk), len(seen)) == (before, 1)


def test_a_duty_that_is_being_made_up_for_is_not_called_overdue(working):
    """A scheduler that was down over the due time does it now, before anybody is told that nobody did."""
    desk = working()
    for minutes in range(3):
        tick(desk, DUE + HOUR + minutes * MINUTE)
    assert task(desk).done_by == "runner"
    assert [sent for sent in desk.carrier.sent if "Audit" in sent.parcel.message.subject] == []


def test_a_duty_that_kills_whoever_does_it_is_told(working):
    """After three times it is not begun a fourth time."""
    desk = working(Killed())
    for number in range(4):
        fresh = replace(desk, notes={}, holder=f"scheduler {number}")
        look(fresh, BEGINS + number * 16 * MINUTE)
    (found,) = task(desk).evidence["found"]
    assert "begun 3 times and never ended" in found["message"]


def test_a_duty_that_hangs_is_told_and_what_it_brings_later_is_dropped(working, spoken):
    """After a quarter of an hour nobody waits for it."""
    desk = working(Errands())
    spoken["tills"].waits = threading.Event()
    look(desk, BEGINS, BEGINS + 16 * MINUTE)
    (found,) = task(desk).evidence["found"]
    assert "did not end within 15 min" in found["message"]
    thread = next(one for one in threading.enumerate() if one.name.startswith("audit of"))
    spoken["tills"].waits.set()
    thread.join(30)
    look(desk, BEGINS + 17 * MINUTE)
    assert task(desk).done_at is None


def test_an_audit_that_fails_of_itself_is_told(working, spoken):
    """A fault of ours, or a full disk: never silence."""
    spoken["tills"].fails = ZeroDivisionError("by zero")
    desk = working()
    look(desk, BEGINS, BEGINS + MINUTE)
    (found,) = task(desk).evidence["found"]
    assert found["message"] == "The audit itself failed: ZeroDivisionError: by zero."


def test_nights_that_were_missed_are_made_up_for_each_with_its_own_day(working, spoken):
    """The newest first; none falls overdue while it is being done."""
    desk = working(does="reconciliation")
    days = [sales(date(2017, 11, 12 + n)) for n in range(3)]
    for one in spoken.values():
        one.tables = {"sales": pa.concat_tables(days)}
    with desk.ledger.write() as tx:
        duties.note(tx, [Due("watch", f"2017-11-{13 + n}", DUE + (n - 2) * DAY, DUE + (n - 1) * DAY) for n in range(3)])
    for minutes in range(6):
        tick(desk, DUE + DAY + minutes * MINUTE)
    asked = [want.first.day for want in spoken["tills"].asked if want != "probe"]
    assert asked == [14, 13, 12]
    assert [task(desk, f"2017-11-{13 + n}").done_by for n in range(3)] == ["runner"] * 3


def test_connections_are_asked_and_noted(working, spoken):
    """As a duty, too: what answered is noted as a probe."""
    desk = working(does="connections")
    spoken["replica"].fails = REVOKED
    look(desk, BEGINS, BEGINS + MINUTE)
    (found,) = task(desk).evidence["found"]
    assert found["trouble"] == "permission revoked"
    with desk.ledger.read() as tx:
        assert [len(past.probes(tx, name)) for name in SOURCES] == [1, 1]


def test_a_duty_has_one_evidence():
    """A report that shows it and a software that does it would be two truths."""
    said = {"title": "Audit", "every": "daily by 13:00", "begins": "2017-01-02", "owner": "dan", "how": "Look."}
    shown = {"pipeline": "sales", "checks": ("a",)}
    with pytest.raises(ValueError, match="Keep one"):
        Duty.model_validate(said | {"shown_by": shown, "does": "schemas"})


# By hand.


def test_an_audit_by_hand_shows_and_keeps_and_leaves_the_ledger(tmp_path, spoken, capsys):
    """1 where something was found; one JSON object a finding; no fingerprint that would hide it from the duty."""
    shop_ = shop(tmp_path)
    outside = Outside({}, Prompt(), opener(spoken, shop_.sources.sources))
    assert command.audit(shop_, "schemas", outside, DUE, as_json=False) == 0
    spoken["tills"].tables = {"sales": sales(kind=None)}
    assert command.audit(shop_, "schemas", outside, DUE, as_json=True) == 1
    row = json.loads(capsys.readouterr().out.splitlines()[-2])
    assert (row["audit"], row["level"], row["trouble"]) == ("schemas", "stop", "schema changed")
    assert (Path(row["folder"]) / "findings.txt").is_file()
    ledger = Ledger.of(shop_)
    with ledger.read() as tx:
        assert past.fingerprints(tx, "sales", "tills") == ()
    ledger.close()


def test_one_tick_for_cron_does_the_duty_and_waits_for_it(tmp_path):
    """`runner tick` in a process of its own: what the file modes of a real project say is there when it ends."""
    folder = small_projects.project(tmp_path / "shop", "good")
    said = "title: Audit, every: daily by 13:00, begins: 2017-01-02, owner: ann, how: Look., does: permissions"
    small_projects.write(folder / "config" / "duties.yml", f"duties:\n  watch: {{{said}}}\n")
    (folder / "config" / "people.yml").chmod(0o666)
    code, _, _ = small_projects.runner(folder, "tick", "--now", "2017-11-14T07:30")
    assert code == 0
    (text,) = [path.read_text() for path in (folder / "reports" / "duties" / "watch").glob("*/findings.txt")]
    assert "config/people.yml can be changed by everybody" in text
    mail = [path.read_text() for path in (folder / "reports" / "mail" / "new").iterdir()]
    assert [one for one in mail if "Found: Audit" in one and "To: Ann <ann@example.com>" in one]
    code, out, _ = small_projects.runner(folder, "duties", "--now", "2017-11-14T07:40", "--json")
    states = {row["period"]: row["state"] for row in map(json.loads, out.splitlines())}
    assert (code, states["2017-11-14"]) == (0, "found")


def test_an_audit_that_there_is_not_is_said(tmp_path):
    """With those that there are, and as a matter of words: exit code 2."""
    folder = small_projects.project(tmp_path / "shop", "good")
    code, _, err = small_projects.runner(folder, "audit", "connection")
    assert (code, "Known: schemas, reconciliation, permissions." in err) == (2, True)
