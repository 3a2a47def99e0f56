"""`runner oncall` and `runner swap`: who is on call and why, what was stays, and a swap holds whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from icalendar import Calendar

from runner import cli, config
from runner.commands import rota as commands
from runner.commands import swaps
from runner.errors import ConfigError, UsageError
from runner.ledger import Ledger, journal, outbox
from runner.ledger import rota as book
from runner.ledger.journal import Mark
from runner.plan.fairness import Change, Turn, turns
from runner.plan.oncall import Leg
from runner.scheduler import notices, roster
from tests.small_projects import change, project, runner, start, write

ROOT = Path(__file__).resolve().parents[1]
EARLY = "2017-11-01T09:00"
NOW = datetime(2017, 11, 1, 13, tzinfo=UTC)
ONCALL = """\
time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - begins: 2017-01-02
    order: [ann, bob, cleo]
holidays:
  - {name: "New Year's Eve, ann", begins: 12-31 09:00, ends: 01-01 09:00, primary: [bob]}
overrides:
  - {begins: 2017-11-22 09:00, ends: 2017-11-23 09:00, primary: ann, because: so that bob can rest}
away:
  - {who: bob, begins: 2018-02-01 09:00, ends: 2018-03-01 09:00, because: leave}
"""
#: ann has the week of 13 November, bob the next, cleo the one after.
ANNS, BOBS = ("2017-12-04", "2017-12-11"), ("2017-12-11", "2017-12-18")
OFFER = ("swap", "offer", "ann", *ANNS, "bob", *BOBS, "--now", EARLY, "--by")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A small project with a rota of three, and this process in its folder."""
    folder = project(tmp_path / "shop", "good")
    write(folder / "config/oncall.yml", ONCALL)
    third = "  bob: {name: Bob, email: bob@example.com}\n"
    change(folder / "config/people.yml", third, third + "  cleo: {name: Cleo, email: cleo@example.com}\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def shipped(tmp_path):
    """The shipped project, without its data."""
    for name in ("config", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / "own" / name)
    return tmp_path / "own"


def rows(text: str) -> list[dict]:
    """The objects of JSON lines; nothing else may be there."""
    return [json.loads(line) for line in text.splitlines()]


def inside(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, in this process: a command is quick, Python not."""
    before, sys.argv = sys.argv, ["runner", "--project", str(folder), *words]
    try:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err, pytest.raises(SystemExit) as left:
            cli.main()
    finally:
        sys.argv = before
    return left.value.code, out.getvalue(), err.getvalue()


def asked(folder: Path, *words: str, by=inside) -> str:
    """What a command that must succeed writes, with nothing on standard error."""
    code, out, err = by(folder, *words)
    assert (code, err) == (0, "")
    return out


def owed(folder: Path) -> list[tuple[str, str]]:
    """(kind, person) of every message owed, oldest first."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = outbox.between(tx, NOW - timedelta(days=999), NOW + timedelta(days=999))
    ledger.close()
    return [(letter.kind, letter.person) for letter in found]


def acts(folder: Path) -> list[tuple[str, str]]:
    """(who, what) of everything in the journal."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = journal.acts(tx, NOW - timedelta(days=999), NOW + timedelta(days=999))
    ledger.close()
    return [(act.who, act.what) for act in found]


def look_of_the_scheduler(folder: Path, text: str) -> None:
    """What a tick at the hand-off of a day does about the rota: keep what is over, tell what is new, note its look."""
    shown = config.load(folder)
    ledger = Ledger.open(shown.ledger)
    with ledger.write() as tx:
        turned = roster.keep(tx, shown, moment(text), finished=True)
        if turned:
            notices.turn(tx, shown, turned, moment(text))
        journal.set_mark(tx, roster.WATERMARK, Mark(moment(text)))
    ledger.close()


def frozen_until(folder: Path) -> datetime | None:
    """Up to when the past is frozen."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = book.frozen_until(tx)
    ledger.close()
    return found


def letters(folder: Path, kind: str) -> dict[str, list[str]]:
    """The lines of each person's messages of a kind."""
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.read() as tx:
        found = outbox.between(tx, NOW - timedelta(days=999), NOW + timedelta(days=999))
    ledger.close()
    return {one.person: [words for _, words in one.message["facts"]] for one in found if one.kind == kind}


def moment(text: str) -> datetime:
    """An instant of the rota's zone in winter, at its hand-off."""
    return datetime.fromisoformat(f"{text}T14:00+00:00")


class TestLookup:
    def test_thanksgiving_is_explained_by_name(self, shipped):
        """The plan's example: on Friday morning it is Engineer B, for the rule of Thanksgiving, until Monday."""
        out = asked(shipped, "oncall", "--at", "2017-11-24T08:00", "--explain", "--now", EARLY, by=runner)
        assert "Fri 24 Nov 2017 08:00 EST, until Mon 27 Nov 2017 09:00 EST" in out
        assert "Primary    Engineer B\n  Secondary  Engineer C\n" in out
        assert "2. Holiday rule 'Thanksgiving week': Engineer B until Mon 27 Nov 09:00." in out
        assert "engineer_" not in out
        assert out.endswith("Worked out from the rules and swaps in force.\n")

    def test_json_is_one_object_of_four_keys(self, shipped):
        """A program gets keys of people.yml, and the instant in UTC."""
        (row,) = rows(asked(shipped, "oncall", "--at", "2017-11-24T08:00", "--json", "--now", EARLY, by=runner))
        assert list(row) == ["at", "primary", "secondary", "because"]
        assert (row["at"], row["primary"], row["secondary"]) == (
            "2017-11-24T13:00:00+00:00",
            "engineer_b",
            "engineer_c",
        )
        assert any("Thanksgiving" in said and "engineer_b" in said for said in row["because"])

    def test_without_an_instant_it_is_now(self, shop):
        """`runner oncall` answers for the present, however old the rota."""
        before = datetime.now(UTC)
        (row,) = rows(asked(shop, "oncall", "--json"))
        assert before <= datetime.fromisoformat(row["at"]) <= datetime.now(UTC)
        assert row["primary"] in {"ann", "bob", "cleo"}

    def test_words_of_people_are_left_as_they_are(self, shop):
        """Names stand for keys in a rule's own words, but not in a title or a reason that happens to hold a key."""
        seen = commands.look(config.load(shop), NOW)
        said = [seen.sentence(text) for text in seen.rota.at(moment("2017-12-31")).because]
        assert said[1] == "Holiday rule 'New Year's Eve, ann': Bob until Mon 1 Jan 09:00."
        assert "Ann until Thu 23 Nov 2017 09:00 (so that bob can rest)." in "".join(
            map(seen.sentence, seen.rota.at(moment("2017-11-22")).because)
        )
        shown = [seen.why(seen.rota.at(moment(day))) for day in ("2017-12-31", "2017-11-22", "2017-11-20")]
        assert shown == ["Holiday rule 'New Year's Eve, ann'", "Override (so that bob can rest)", "Rotation"]
        assert seen.why(seen.rota.at(moment("2018-02-12"))) == "Bob is away"

    def test_a_plain_lookup_imports_nothing_that_it_does_not_need(self, shop):
        """No data frames, kernels, renderers, calendars or channels are loaded to say who is on call."""
        heavy = ("pandas", "papermill", "jinja2", "mistune", "typst", "icalendar", "apprise", "runner.document")
        code = (
            f"import sys, runner.cli; sys.argv = ['runner', '--project', {str(shop)!r}, 'oncall']\n"
            f"try: runner.cli.main()\nfinally: print([name for name in {heavy} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "Primary" in done.stdout
        assert done.stdout.endswith("[]\n")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--at", "soon"), "--at 'soon' is no time. Write it like"),
            (("--at", "0001-01-01"), "--at '0001-01-01' is out of reach."),
            (("--now", "2199-01-01"), "is yet to come. Take a time that has been; ask about others with --at."),
            (("--at", EARLY, "--fairness"), "--at or --explain cannot stand beside --fairness."),
            (("--from", EARLY, "--diff", "x.yml"), "--from or --to cannot stand beside --diff."),
            (("--from", "2017-12-01", "--to", "2017-11-01"), "The span ends before it begins."),
            (("--from", "2017-12-01", "--to", "2017-12-01"), "The span is empty: --to is not included."),
            (("--to", "2017-10-01", "--now", EARLY), "The span is empty: without --from it begins after --to."),
            (("--ics", "cal", "--from", "2100-01-01"), "The span is empty: without --to it ends before --from."),
            (("--diff", "none.yml"), "none.yml: the file is missing."),
        ],
    )
    def test_what_cannot_be_answered_is_said(self, shop, words, said):
        """Exit code 2, one sentence of what is wrong and one of the remedy, and nothing on standard output."""
        code, out, err = inside(shop, "oncall", *words)
        assert (code, out) == (2, "")
        assert said in err

    def test_without_a_rota_the_remedy_is_named(self, tmp_path):
        """A project without oncall.yml says which file is missing; swaps say the same."""
        folder = project(tmp_path / "shop", "good")
        for words in (("oncall",), ("oncall", "--fairness"), (*OFFER, "ann"), ("swap", "list")):
            code, out, err = inside(folder, *words)
            assert (code, out) == (2, "")
            assert "This project has no rota. Write config/oncall.yml" in err


class TestPast:
    def test_an_edit_changes_nobody_who_was(self, shop):
        """What was on call before an edit was seen stays so; from the look that sees it the new rules hold."""
        at = ("oncall", "--at", "2017-11-10T08:00", "--json")
        before = asked(shop, *at, "--now", EARLY, by=runner)
        change(shop / "config/oncall.yml", "[ann, bob, cleo]", "[cleo, bob, ann]")
        assert asked(shop, *at, "--now", "2017-11-20T12:00", by=runner) == before
        later = "2017-11-29T08:00"
        (row,) = rows(asked(shop, "oncall", "--at", later, "--json", "--now", "2017-11-20T12:00"))
        assert "Rotation" in row["because"][0]
        assert row["primary"] == "ann"  # cleo by the old order, whose week it would be
        out = asked(shop, "oncall", "--at", "2017-11-10T08:00", "--explain", "--now", "2017-11-20T12:00")
        assert out.endswith("Kept as it was: this is on record, and no later edit changes it.\n")

    def test_a_change_that_a_lookup_finds_is_told(self, shop):
        """The look that sees an edit first owes the news, once, to those whose duty it moves."""
        asked(shop, "oncall", "--now", EARLY)
        change(shop / "config/oncall.yml", "begins: 2017-11-22 09:00", "begins: 2017-11-21 09:00")
        assert owed(shop) == []
        for _ in range(2):
            asked(shop, "oncall", "--now", "2017-11-02T09:00")
        assert {kind for kind, _ in owed(shop)} == {"rota changed"}
        assert len(owed(shop)) == len(set(owed(shop))) > 1
        assert acts(shop) == [("config", "rota changed")]

    def test_a_rehearsal_of_the_past_leaves_the_record_alone(self, shop):
        """A look from before the last one keeps nothing, tells nobody, and does not make new rules hold."""
        asked(shop, "oncall", "--now", "2017-11-20T12:00")
        change(shop / "config/oncall.yml", "[ann, bob, cleo]", "[cleo, bob, ann]")
        asked(shop, "oncall", "--now", EARLY)
        assert owed(shop) == []
        ledger = Ledger.open(config.load(shop).ledger)
        with ledger.read() as tx:
            assert "cleo" in book.rules(tx).partition("ann")[2]
            assert book.rules_since(tx) == datetime(2017, 11, 20, 17, tzinfo=UTC)
        ledger.close()

    @pytest.mark.parametrize(
        "words",
        [(), ("--from", EARLY), ("--fairness",), ("--ics", "cal"), ("--diff", "config/oncall.yml"), ("--at", EARLY)],
    )
    def test_a_question_freezes_nothing(self, shop, words):
        """Asked with a --now of months later, whatever is asked, the days up to it are still the rules' and swaps'."""
        asked(shop, "oncall", "--now", EARLY)
        asked(shop, "oncall", *words, "--now", "2018-06-01")
        asked(shop, "swap", "list", "--now", "2018-06-01")
        assert frozen_until(shop) is None
        asked(shop, *OFFER, "ann")
        look_of_the_scheduler(shop, "2017-11-20")
        assert frozen_until(shop) == moment("2017-11-20")

    def test_a_first_question_from_later_does_not_keep_the_scheduler_from_beginning(self, shop):
        """`oncall` in 2018, then a scheduler in 2017: its record begins at its own look, and edits are told."""
        asked(shop, "oncall", "--now", "2018-06-01")
        look_of_the_scheduler(shop, "2017-11-13")
        change(shop / "config/oncall.yml", "[ann, bob, cleo]", "[cleo, bob, ann]")
        look_of_the_scheduler(shop, "2017-11-15")
        assert frozen_until(shop) == moment("2017-11-15")
        assert {kind for kind, _ in owed(shop)} == {"rota changed"}

    def test_new_rules_do_not_reach_back_behind_the_scheduler(self, shop):
        """A question from before the scheduler's last look finds an edit and leaves it to the next look."""
        look_of_the_scheduler(shop, "2017-11-13")
        look_of_the_scheduler(shop, "2017-11-16")
        change(shop / "config/oncall.yml", "[ann, bob, cleo]", "[cleo, bob, ann]")
        asked(shop, "oncall", "--now", "2017-11-15")
        assert (frozen_until(shop), owed(shop)) == (None, [])
        asked(shop, "oncall", "--now", "2017-11-17")
        assert frozen_until(shop) == datetime(2017, 11, 17, 5, tzinfo=UTC)

    def test_each_is_told_of_their_own_role_alone(self, shop):
        """A day goes from ann to cleo: nobody reads of a span in which they are what they were."""
        asked(shop, "oncall", "--now", EARLY)
        change(
            shop / "config/oncall.yml", "primary: ann, because: so that bob can rest", "primary: cleo, because: talk"
        )
        asked(shop, "oncall", "--now", EARLY)
        day = "Wed 22 Nov 2017 09:00 to Thu 23 Nov 2017 09:00"
        assert letters(shop, "rota changed") == {
            "ann": [f"{day}: you were primary, you are secondary"],
            "bob": [f"{day}: you were secondary, you are off duty"],
            "cleo": [f"{day}: you were off duty, you are primary"],
        }

    def test_nobody_reads_that_they_are_what_they_were(self, shop):
        """Bob and cleo change places: ann's own weeks stay hers, and she is not told of their secondaries."""
        asked(shop, "oncall", "--now", EARLY)
        change(shop / "config/oncall.yml", "[ann, bob, cleo]", "[ann, cleo, bob]")
        asked(shop, "oncall", "--now", EARLY)
        told = letters(shop, "rota changed")
        assert set(told) == {"ann", "bob", "cleo"}
        roles = [line.partition(": you were ")[2].split(", you are ") for lines in told.values() for line in lines]
        assert all(before != after for before, after in (pair for pair in roles if len(pair) == 2))
        assert len(told["ann"]) == 3  # on the holiday, and twice in bob's leave

    def test_spans_with_the_same_roles_are_one_line(self):
        """Two spans that differ only in another's role are one for her whose role does not."""
        day = [moment(f"2017-11-{number}") for number in (20, 21, 22, 23)]
        changes = (
            Change(day[0], day[1], "ann", "bob", "bob", "cleo"),
            Change(day[1], day[2], "ann", "cleo", "bob", "bob"),
            Change(day[2], day[3], "bob", "bob", "ann", "cleo"),
        )
        assert turns(changes, "ann") == (
            Turn(day[0], day[2], "primary", "off duty"),
            Turn(day[2], day[3], "secondary", "off duty"),
        )
        assert turns(changes, "bob") == (Turn(day[0], day[1], "secondary", "primary"),)

    def test_who_leaves_is_not_on_call_by_a_swap_and_the_other_is_told(self, shop):
        """Bob leaves after a swap with ann is agreed: ann has her week as before, and reads of it."""
        asked(shop, *OFFER, "ann")
        asked(shop, "swap", "accept", "1", "--by", "bob", "--now", EARLY)
        at = ("oncall", "--at", "2017-12-05", "--json", "--now", EARLY)
        assert rows(asked(shop, *at))[0]["primary"] == "bob"
        write(shop / "config/oncall.yml", ONCALL[: ONCALL.index("holidays:")].replace("bob, ", ""))
        asked(shop, "oncall", "--now", EARLY)  # he is still in people.yml
        change(shop / "config/people.yml", "  bob: {name: Bob, email: bob@example.com}\n", "")
        change(shop / "config/pipelines.yml", "secondary: bob", "secondary: cleo")
        later = (*at[:-1], "2017-11-02T09:00")
        (row,) = rows(asked(shop, *later))
        assert "bob" not in {row["primary"], row["secondary"]}
        assert acts(shop)[-1] == ("config", "rota changed")
        told = [line for lines in letters(shop, "rota changed").values() for line in lines]
        assert any(line.startswith("Mon 4 Dec 2017 09:00 to") for line in told)
        code, _, err = inside(shop, "swap", "accept", "1", "--by", "bob", "--now", "2017-11-02T09:00")
        assert (code, "No engineer is called 'bob'." in err) == (2, True)

    def test_who_joins_the_people_freezes_and_tells_nothing(self, shop):
        """A new engineer in people.yml who is in no rotation changes nobody's duty."""
        asked(shop, "oncall", "--now", EARLY)
        third = "  cleo: {name: Cleo, email: cleo@example.com}\n"
        change(shop / "config/people.yml", third, third + "  dora: {name: Dora, email: dora@example.com}\n")
        asked(shop, "oncall", "--now", "2017-12-01")
        assert (frozen_until(shop), owed(shop), acts(shop)) == (None, [], [])

    def test_before_the_record_it_says_so(self, shop):
        """What was before the first look was seen by nobody; the answer does not claim more."""
        out = asked(shop, "oncall", "--at", "2017-06-01", "--explain", "--now", EARLY)
        assert "Nothing was on record before Wed 1 Nov 2017 09:00 EDT: worked out from the rules as they are" in out


class TestSpan:
    def test_shifts_are_contiguous_and_cut(self, shop):
        """The rows begin where the span begins, end where it ends, and leave no gap; JSON says the same."""
        words = ("oncall", "--from", "2017-11-13", "--to", "2017-11-27", "--now", EARLY)
        found = rows(asked(shop, *words, "--json"))
        assert found[0]["start"] == "2017-11-13T05:00:00+00:00"
        assert found[-1]["end"] == "2017-11-27T05:00:00+00:00"
        assert [row["end"] for row in found[:-1]] == [row["start"] for row in found[1:]]
        lines = asked(shop, *words).splitlines()
        assert lines[0].split() == ["START", "END", "PRIMARY", "SECONDARY", "WHY"]
        assert len(lines) == len(found) + 1
        assert any("Override (so that bob can rest)" in line for line in lines)


class TestFeeds:
    def test_each_person_has_a_calendar_and_all_have_one(self, shop):
        """Every file parses, a person's holds only their duties, and the one of all holds everybody's."""
        out = asked(shop, "oncall", "--ics", "cal", "--now", EARLY)
        assert out.splitlines() == [f"cal/{name}.ics" for name in ("on-call", "ann", "bob", "cleo")]
        found = {path.stem: Calendar.from_ical(path.read_bytes()).events for path in (shop / "cal").iterdir()}
        assert sorted(found) == ["ann", "bob", "cleo", "on-call"]
        assert all("Ann" in str(event["summary"]) for event in found["ann"])
        own = [str(event["uid"]) for name in ("ann", "bob", "cleo") for event in found[name]]
        assert sorted(own) == sorted(str(event["uid"]) for event in found["on-call"])
        assert len(own) > 100

    def test_a_later_export_keeps_the_uids(self, shop, tmp_path, capsys):
        """Shifts that two exports share have the same identity, also the one at the edge of the window."""
        uids = []
        for first in (NOW, NOW + timedelta(days=2)):
            span = commands.Span(first, NOW + timedelta(days=60))
            commands.feeds(config.load(shop), tmp_path / "cal", span, NOW, as_json=True)
            text = (tmp_path / "cal/on-call.ics").read_bytes()
            uids.append({str(event["uid"]) for event in Calendar.from_ical(text).events})
        assert uids[0] == uids[1]
        assert {row["who"] for row in rows(capsys.readouterr().out)} == {None, "ann", "bob", "cleo"}

    def test_old_duties_do_not_stay_with_one_who_left_the_rota(self, shop, tmp_path):
        """A file that is there already is renewed, also when its person has no duty any more."""
        span = commands.Span(NOW, NOW + timedelta(days=60))
        commands.feeds(config.load(shop), tmp_path / "cal", span, NOW, as_json=True)
        write(shop / "config/oncall.yml", ONCALL.replace(", cleo]", "]"))
        later = NOW + timedelta(days=30)
        span = commands.Span(later + timedelta(days=1), later + timedelta(days=60))
        commands.feeds(config.load(shop), tmp_path / "cal", span, later, as_json=True)
        assert Calendar.from_ical((tmp_path / "cal/cleo.ics").read_bytes()).events == []

    def test_a_folder_that_cannot_be_is_refused(self, shop, tmp_path):
        """A file in the way of the folder is said in a sentence."""
        write(tmp_path / "taken", "")
        with pytest.raises(UsageError, match="cannot be written"):
            commands.feeds(
                config.load(shop), tmp_path / "taken", commands.Span(NOW, moment("2017-12-01")), NOW, as_json=True
            )


class TestFairness:
    def test_years_and_total_add_up(self, shop, capsys):
        """Whole years by default; each person's years sum to their total, and all of it to the hours of the span."""
        shown = config.load(shop)
        span = commands.years(shown, NOW)
        assert (span.first, span.last) == (
            datetime(2017, 1, 1, 5, tzinfo=UTC),
            datetime(2019, 1, 1, 5, tzinfo=UTC),
        )
        commands.fairness(shown, span, NOW, as_json=True)
        found = rows(capsys.readouterr().out)
        shares = [row for row in found if "year" in row]
        assert sorted({row["year"] for row in shares}) == ["2017", "2018", "total"]
        for who in ("ann", "bob", "cleo"):
            hours = {row["year"]: row["hours"] for row in shares if row["who"] == who}
            assert hours["2017"] + hours["2018"] == pytest.approx(hours["total"])
        total = sum(row["hours"] for row in shares if row["year"] == "total")
        assert total == pytest.approx((span.last - span.first) / timedelta(hours=1))
        thanks = [row for row in found if row.get("holiday") == "Thanksgiving Day"]
        assert {row["day"] for row in thanks} == {"2017-11-23", "2018-11-22"}

    def test_a_person_reads_names_and_years(self, shop):
        """The table has a line a holiday and a column a year; the span is said."""
        out = asked(shop, "oncall", "--fairness", "--from", "2017-01-02", "--to", "2019-01-01", "--now", EARLY)
        assert out.startswith("From Mon 2 Jan 2017 00:00 EST to Tue 1 Jan 2019 00:00 EST, in hours.")
        heads = [line.split() for line in out.splitlines() if line.startswith(("YEAR", "HOLIDAY"))]
        assert heads[0] == ["YEAR", "WHO", "PRIMARY", "NIGHTS", "WEEKENDS", "HOLIDAYS", "SECONDARY"]
        assert heads[1] == ["HOLIDAY", "2017", "2018"]
        assert "ann" not in out.replace("Ann", "")


class TestDiff:
    def other(self, shop: Path, old: str, new: str) -> str:
        write(shop / "new.yml", ONCALL)
        change(shop / "new.yml", old, new)
        return str(shop / "new.yml")

    def test_it_says_who_gains_what(self, shop):
        """A day that moves from ann to cleo is one span; its 24 hours are lost by one and gained by the other."""
        file = self.other(shop, "primary: ann, because: so that bob can rest", "primary: cleo, because: a talk")
        found = rows(asked(shop, "oncall", "--diff", file, "--json", "--now", EARLY))
        (span,) = [row for row in found if "start" in row]
        assert (span["start"], span["end"]) == (moment("2017-11-22").isoformat(), moment("2017-11-23").isoformat())
        assert (span["primary_before"], span["primary_after"]) == ("ann", "cleo")
        hours = {row["who"]: row["hours"] for row in found if "who" in row}
        assert (hours["ann"], hours["cleo"]) == (-24, 24)
        out = asked(shop, "oncall", "--diff", file, "--now", EARLY)
        assert "Ann -> Cleo" in out
        assert "-24 h" in out
        assert "+24 h" in out

    def test_hours_are_said_to_a_tenth(self, shop):
        """A person reads `-23.9 h` and `+24 h`, never ten digits."""
        file = self.other(shop, "primary: ann, because: so that bob can rest", "primary: cleo, because: a talk")
        out = asked(shop, "oncall", "--diff", file, "--now", "2017-11-22T09:04:13")
        assert "-23.9 h" in out
        assert [commands._gain(hours) for hours in (-69.9277102, 69.96, 0.04, -0.04, 0.0)] == [
            "-69.9 h",
            "+70 h",
            "",
            "",
            "",
        ]

    def test_nothing_lands_by_looking(self, shop):
        """The diff leaves the rules in force, the outbox and the journal as they were."""
        file = self.other(shop, "[ann, bob, cleo]", "[cleo, ann, bob]")
        asked(shop, "oncall", "--diff", file, "--now", EARLY)
        assert (owed(shop), acts(shop)) == ([], [])
        assert asked(shop, "oncall", "--diff", "config/oncall.yml", "--now", EARLY) == "No change.\n"
        assert asked(shop, "oncall", "--diff", "config/oncall.yml", "--now", EARLY, "--json") == ""

    def test_a_swap_stands_over_both(self, shop):
        """Agreed swaps hold before and after, so that only what the file changes is shown."""
        asked(shop, *OFFER, "ann")
        asked(shop, "swap", "accept", "1", "--by", "bob", "--now", EARLY)
        file = self.other(shop, "so that bob can rest", "so that he can rest")
        assert asked(shop, "oncall", "--diff", file, "--now", EARLY) == "No change.\n"

    def test_mistakes_of_the_file_are_told_like_those_of_config(self, shop):
        """Every problem with its line: an unknown name, and a span that ends before it begins."""
        file = self.other(shop, "[ann, bob, cleo]", "[ann, bod, cleo]")
        change(Path(file), "ends: 2017-11-23 09:00", "ends: 2017-11-21 09:00")
        with pytest.raises(ConfigError) as caught:
            commands.diff(config.load(shop), Path(file), NOW, as_json=False)
        assert f"{file}:5: rotation.order: no engineer 'bod' in config/people.yml. Known: ann, bob, cleo." in str(
            caught.value
        )
        assert "overrides.ends: does not come after begins" in str(caught.value)
        change(Path(file), "hand_off", "hands_off")
        assert "hands_off: unknown key. Did you mean 'hand_off'?" in inside(shop, "oncall", "--diff", file)[2]


class TestSwaps:
    def test_offered_accepted_undone(self, shop):
        """Both weeks change hands when both have agreed, and go back when it is undone; all of it is told."""
        at = ("oncall", "--at", "2017-12-05", "--json", "--now", EARLY)
        first = rows(asked(shop, *at))[0]["primary"]
        assert first == "ann"
        assert "Bob is asked, and accepts with: runner swap accept 1 --by bob" in asked(shop, *OFFER, "ann")
        assert rows(asked(shop, *at))[0]["primary"] == "ann"
        assert "Swap 1 is agreed." in asked(shop, "swap", "accept", "1", "--by", "bob", "--now", EARLY)
        assert rows(asked(shop, *at))[0]["primary"] == "bob"
        assert "Swap 1: Bob takes over from Ann" in asked(shop, *at[:3], "--explain", "--now", EARLY)
        assert "Swap 1 is undone." in asked(shop, "swap", "undo", "1", "--by", "ann", "--now", EARLY)
        assert rows(asked(shop, *at))[0]["primary"] == "ann"
        both = [(kind, who) for kind in ("swap agreed", "swap undone") for who in ("ann", "bob")]
        assert owed(shop) == [("swap offered", "bob"), *both]
        assert acts(shop) == [("ann", "swap offered"), ("bob", "swap accepted"), ("ann", "swap undone")]

    def test_an_offer_by_a_third_asks_both_and_can_be_declined(self, shop):
        """Neither is bound by it; who made it and the other are told when one declines."""
        asked(shop, *OFFER, "cleo")
        assert owed(shop) == [("swap offered", "ann"), ("swap offered", "bob")]
        (row,) = rows(asked(shop, "swap", "decline", "1", "--by", "bob", "--now", EARLY, "--json"))
        assert (row["swap"], row["state"], row["accepted"]) == (1, "declined", {})
        assert owed(shop)[2:] == [("swap declined", "ann"), ("swap declined", "cleo")]

    def test_the_letter_carries_the_answers(self, shop):
        """The one who is asked can accept and decline with commands from the letter."""
        asked(shop, *OFFER, "ann")
        ledger = Ledger.open(config.load(shop).ledger)
        with ledger.read() as tx:
            (letter,) = outbox.due(tx, NOW)
        ledger.close()
        given = [command for _, command in letter.message["commands"]]
        assert given == ["runner swap accept 1 --by bob", "runner swap decline 1 --by bob"]
        assert inside(shop, *given[0].split()[1:], "--now", EARLY)[0] == 0

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((*OFFER, "dora"), "No engineer is called 'dora'."),
            ((*OFFER[:4], "2017-12-10", *OFFER[5:], "ann"), "ann would give 144 hours and take 168. Give equal spans."),
            (("swap", "offer", "ann", *BOBS, "bob", *ANNS, "--now", EARLY, "--by", "ann"), "cannot give what is not"),
            ((*OFFER[:3], "soon", *OFFER[4:], "ann"), "The time 'soon' is no time."),
            ((*OFFER[:-2], "2017-12-06", "--by", "ann"), "has begun. Swap hours that are to come."),
            (("swap", "accept", "7", "--by", "ann"), "There is no swap 7. See those there are: runner swap list"),
            (("swap", "undo", "7", "--by", "ann"), "There is no swap 7."),
        ],
    )
    def test_what_is_refused_leaves_nothing_behind(self, shop, words, said):
        """Exit code 2 and the reason; no swap, no message, no act."""
        code, out, err = inside(shop, *words)
        assert (code, out) == (2, "")
        assert said in err
        assert (owed(shop), acts(shop)) == ([], [])
        assert asked(shop, "swap", "list", "--json") == ""

    def test_a_refused_acceptance_leaves_the_offer_as_it_was(self, shop):
        """Somebody else's acceptance, or one after the fact, changes nothing."""
        asked(shop, *OFFER, "ann")
        before = asked(shop, "swap", "list", "--json", "--now", EARLY)
        for words in (("accept", "1", "--by", "cleo"), ("undo", "1", "--by", "ann")):
            assert inside(shop, "swap", *words, "--now", EARLY)[0] == 2
        assert asked(shop, "swap", "list", "--json", "--now", EARLY) == before
        assert len(owed(shop)) == len(acts(shop)) == 1

    def test_two_who_accept_at_once_make_one_agreed_swap(self, shop):
        """Neither acceptance is lost, and each of the three is told once that it stands."""
        asked(shop, *OFFER, "cleo")
        words = [("swap", "accept", "1", "--by", who, "--now", EARLY, "--json") for who in ("ann", "bob", "ann", "bob")]
        running = [start(shop, *one) for one in words]
        ended = [(process.communicate(timeout=120), process.returncode) for process in running]
        assert [code for _, code in ended] == [0, 0, 0, 0]
        (row,) = rows(asked(shop, "swap", "list", "--json", "--now", EARLY))
        assert (row["state"], sorted(row["accepted"])) == ("agreed", ["ann", "bob"])
        assert sorted(owed(shop)[2:]) == [("swap agreed", who) for who in ("ann", "bob", "cleo")]
        assert sorted(acts(shop)) == [("ann", "swap accepted"), ("bob", "swap accepted"), ("cleo", "swap offered")]

    def test_time_does_not_go_back(self, shop):
        """An offer, an acceptance or an undoing from before what the ledger has seen is refused."""
        asked(shop, *OFFER, "ann")
        code, _, err = inside(shop, "swap", "accept", "1", "--by", "bob", "--now", "2017-11-01T08:00")
        said = "Time does not go back: the ledger has seen Wed 1 Nov 2017 09:00 EDT. Take that for --now, or a later"
        assert (code, said in err) == (2, True)
        asked(shop, "swap", "accept", "1", "--by", "bob", "--now", EARLY)
        look_of_the_scheduler(shop, "2017-12-06")
        for words in (("undo", "1", "--by", "ann"), ("offer", "ann", *BOBS, "bob", *ANNS, "--by", "ann")):
            code, _, err = inside(shop, "swap", *words, "--now", EARLY)
            assert code == 2
            assert "the ledger has seen Wed 6 Dec 2017 09:00 EST." in err
        at = ("oncall", "--at", "2017-12-05", "--json", "--now", "2017-12-06T10:00")
        assert rows(asked(shop, *at))[0]["primary"] == "bob"
        look_of_the_scheduler(shop, "2017-12-11")  # her week is frozen now
        assert rows(asked(shop, *at))[0]["primary"] == "bob"

    def test_of_two_who_act_at_once_the_later_may_be_first(self, shop):
        """Ann's clock is read before bob's but written after: both count, and hers bears the ledger's time."""
        asked(shop, *OFFER, "cleo")
        asked(shop, "swap", "accept", "1", "--by", "bob", "--now", "2017-11-01T09:00:30", "--json")
        (row,) = rows(asked(shop, "swap", "accept", "1", "--by", "ann", "--now", "2017-11-01T09:00:10", "--json"))
        assert row["state"] == "agreed"
        assert row["accepted"]["ann"] == row["accepted"]["bob"] == "2017-11-01T13:00:30+00:00"

    def test_the_list_says_how_each_stands(self, shop, capsys):
        """Agreed, then over; offered, then lapsed when nobody answered in time."""
        shown = config.load(shop)
        give, take = Leg("ann", *map(moment, ANNS)), Leg("bob", *map(moment, BOBS))
        swaps.offer(shown, give, take, swaps.Deed("offered", "ann", NOW), as_json=True)
        swaps.accept(shown, 1, swaps.Deed("accepted", "bob", NOW), as_json=True)
        give, take = (
            Leg("bob", *map(moment, ("2018-01-01", "2018-01-08"))),
            Leg("cleo", *map(moment, ("2018-01-08", "2018-01-15"))),
        )
        swaps.offer(shown, give, take, swaps.Deed("offered", "bob", NOW), as_json=True)
        capsys.readouterr()
        states = []
        for day in ("2017-12-01", "2017-12-20", "2018-01-02"):
            swaps.listing(shown, moment(day), as_json=True)
            states.append([row["state"] for row in rows(capsys.readouterr().out)])
        assert states == [["agreed", "offered"], ["over", "offered"], ["over", "lapsed"]]
        swaps.listing(shown, moment("2017-12-01"), as_json=False)
        head, one, two = capsys.readouterr().out.splitlines()
        assert head.split("  ")[0] == "SWAP"
        assert "Bob for Ann, Mon 4 Dec 09:00 to Mon 11 Dec 2017 09:00" in one
        assert two.endswith("Cleo")
