"""Whether sources answer: `runner probe`, and incidents of sources that are needed soon."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from runner.commands import probe as command
from runner.commands import trouble
from runner.config.ends import Sources
from runner.delivery.channels import Recorder
from runner.errors import SourceFailed, Trouble, UsageError
from runner.ledger import Ledger, incidents
from runner.ledger import sources as past
from runner.ledger.sources import Probe
from runner.plan.incidents import SOURCE
from runner.plan.runbooks import parse
from runner.scheduler.errands import Errands, Outside
from runner.scheduler.tick import tick
from runner.sources import probing
from runner.sources.inquiry import Place
from tests.small_office import DUE, HOUR, MINUTE, letters, office, pipeline, project
from tests.spoken_sources import DOWN, REVOKED, Prompt, Spoken, opener

SOURCES = {
    "tills": {"kind": "http", "title": "Till API", "url": "https://tills.example.com", "timeout": "0.1 s"},
    "replica": {"kind": "sql", "title": "Till replica", "url": "sqlite://"},
    "demo": {"kind": "package", "title": "Demonstration"},
}
TABLES = {"sales": {"from": ("tills", "replica"), "day": "day"}}
#: The report of sales begins an hour before it is due; its sources are asked from an hour before that on.
BEGINS, SOON = DUE - HOUR, DUE - 2 * HOUR


def sources(**more):
    """Two sources of one table, and one of nothing that is fetched."""
    return Sources.model_validate({"sources": SOURCES, "tables": TABLES} | more)


def shop(**more):
    """A project whose only report rests on what is fetched."""
    return project(pipeline("sales", "daily by 09:00", sources=("warehouse",)), sources=sources(), **more)


@pytest.fixture
def spoken():
    """What stands behind the sources."""
    return {name: Spoken() for name in SOURCES}


@pytest.fixture
def desk(spoken):
    """An office that reaches these sources, and asks them at once."""
    ledger = Ledger.open("sqlite://")
    shop_ = shop()
    outside = Outside({}, Prompt(), opener(spoken, shop_.sources.sources))
    yield office(ledger, shop_, carrier=Recorder(), outside=outside)
    ledger.close()


def look(desk, *times):
    """Tick at these instants."""
    for now in times:
        tick(desk, now)


def told(desk, word=""):
    """Who was told of a source, with the subject up to the first colon, in order."""
    return [(who, subject) for _, who, subject in letters(desk.carrier) if word in subject]


def open_now(desk):
    """The open incidents of sources."""
    with desk.ledger.read() as tx:
        return [one for key, one in incidents.opened(tx).items() if key[0].startswith(SOURCE)]


def note(desk, *probes):
    """Answers as somebody noted them."""
    with desk.ledger.write() as tx:
        for one in probes:
            past.probed(tx, one)


# Asked by hand.


def test_each_source_is_shown_with_its_past_and_noted(spoken, tmp_path, capsys):
    """One line each: the median of what was answered, failures of the last hundred, when it failed last."""
    shop_ = replace(shop(), folder=tmp_path)
    outside = Outside({}, Prompt(), opener(spoken, shop_.sources.sources))
    assert command.probe(shop_, (), outside, DUE, as_json=False) == 0
    spoken["tills"].fails = DOWN
    assert command.probe(shop_, (), outside, DUE + MINUTE, as_json=False) == 1
    shown = capsys.readouterr().out
    assert re.search(r"^tills +source unavailable .* Till API$", shown, re.MULTILINE)
    assert "1 of 2" in shown
    assert "14 Nov 2017 09:01" in shown
    assert "Till API: Connection refused." in shown


def test_json_is_one_object_a_source(spoken, tmp_path, capsys):
    """With everything in it, for a program; only those that were named."""
    shop_ = replace(shop(), folder=tmp_path)
    spoken["tills"].fails = REVOKED
    outside = Outside({}, Prompt(), opener(spoken, shop_.sources.sources))
    assert command.probe(shop_, ("tills", "replica"), outside, DUE, as_json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["source"], row["up"], row["trouble"]) for row in rows] == [
        ("tills", False, "permission revoked"),
        ("replica", True, None),
    ]
    assert rows[0]["last_down"] == DUE.isoformat()
    assert spoken["demo"].asked == []


def test_a_name_that_there_is_not_is_said(tmp_path):
    """With the one that was meant."""
    with pytest.raises(UsageError, match="Did you mean 'tills'"):
        command.probe(replace(shop(), folder=tmp_path), ("till",), Outside({}), DUE, as_json=False)


def test_sources_of_config_are_really_asked(tmp_path, capsys):
    """A folder that is there answers; one that is not is down."""
    (tmp_path / "here").mkdir()
    said = {name: {"kind": "files", "title": name, "url": str(tmp_path / name)} for name in ("here", "gone")}
    shop_ = replace(shop(), folder=tmp_path, sources=Sources.model_validate({"sources": said}))
    assert command.probe(shop_, (), Outside({}), DUE, as_json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["up"] for row in rows] == [True, False]


def places(**sources_):
    """Opened sources."""
    configs = sources().sources
    return [Place(name, configs[name], source) for name, source in sources_.items()]


def test_sources_are_asked_all_at_once():
    """Two that wait for each other both answer."""
    both = threading.Barrier(2)

    class Meets(Spoken):
        def probe(self, left):  # noqa: ARG002
            both.wait(10)

    found = probing.probe(places(tills=Meets(), replica=Meets()), DUE)
    assert [one.trouble for one in found] == [None, None]


def test_a_source_that_hangs_is_left_alone():
    """It is down after its time and the fence around it, and the others have answered."""
    hangs = threading.Event()
    found = probing.probe(places(tills=Spoken(waits=hangs), replica=Spoken()), DUE)
    hangs.set()
    assert [one.trouble for one in found] == [Trouble.SOURCE_UNAVAILABLE, None]
    assert found[0].message == "Till API did not answer within 0.1 s."


def test_whatever_a_library_raises_is_an_answer_without_its_words():
    """They may hold an address with a password."""
    (one,) = probing.probe(places(tills=Spoken(fails=ValueError("sql://me:geheim@host"))), DUE)
    assert one.trouble is Trouble.SOURCE_UNAVAILABLE
    assert "geheim" not in one.message


# Needed soon.


def test_a_source_is_asked_from_an_hour_before_it_is_needed(desk, spoken):
    """Not before; then at intervals; never one of which nothing is fetched."""
    look(desk, SOON - 2 * HOUR, SOON - MINUTE)
    assert spoken["tills"].asked == []
    look(desk, SOON, SOON + MINUTE, SOON + 2 * MINUTE)
    assert (len(spoken["tills"].asked), len(spoken["replica"].asked), spoken["demo"].asked) == (1, 1, [])
    look(desk, SOON + 11 * MINUTE)
    assert len(spoken["tills"].asked) == 2


def test_a_source_that_is_down_is_told_before_the_report_begins(desk, spoken):
    """To whoever is on call, with the common runbook's section and what needs it; twice down, and once told."""
    own = {"sales": parse("# Sales\n\n## A run failed\nAnswers: source unavailable\n\n1. Look.\n", "sales.md")}
    desk = replace(desk, library=replace(desk.library, own=own))
    spoken["tills"].fails = DOWN
    look(desk, SOON, SOON + MINUTE / 2)
    assert told(desk) == []
    look(desk, *(SOON + n * MINUTE for n in range(1, 10)))
    assert told(desk) == [("ann", "Source unavailable")]
    (letter,) = desk.carrier.sent
    message = letter.parcel.message
    assert message.runbook_title == desk.library.common.find("source unavailable").title
    assert "Sales needs it next, from 08:00." in message.headline
    assert ("Serves instead", "Till replica") in message.facts
    assert any(line == "runner probe tills" for _, line in message.commands)
    assert "WHO" not in message.runbook


def test_a_source_that_is_down_itself_serves_nobody(desk, spoken):
    """Where the first source and its replica are both away no message names one of them as serving instead."""
    spoken["tills"].fails = spoken["replica"].fails = DOWN
    look(desk, *(SOON + n * MINUTE for n in range(3)))
    facts = [dict(letter.parcel.message.facts)["Serves instead"] for letter in desk.carrier.sent]
    assert facts == ["Nothing: down as well: Till replica.", "Nothing: down as well: Till API."]


def test_a_table_that_nobody_else_has_is_named(desk, spoken):
    """A source with a replica for one table alone: the message says of which tables nobody gives anything."""
    tables = TABLES | {"coupons": {"from": ("tills",)}}
    desk = replace(desk, project=replace(desk.project, sources=sources(tables=tables)))
    spoken["tills"].fails = DOWN
    look(desk, *(SOON + n * MINUTE for n in range(3)))
    assert dict(desk.carrier.sent[0].parcel.message.facts)["Serves instead"] == "Till replica; nothing of coupons"


def test_a_revoked_right_is_told_at_once(desk, spoken):
    """Nothing passes by itself there; the section is the one about rights."""
    spoken["tills"].fails = REVOKED
    look(desk, SOON, SOON + MINUTE / 2)
    assert told(desk) == [("ann", "Permission revoked")]


def test_nobody_answers_and_the_next_is_told(desk, spoken):
    """As of any incident: the secondary, then the owners of the report that needs it."""
    spoken["tills"].fails = REVOKED
    look(desk, *(SOON + n * MINUTE for n in (0, 1, 17, 33)))
    assert told(desk) == [("ann", "Permission revoked"), *((who, "Escalated") for who in ("bob", "cat", "dan"))]


def test_when_it_answers_again_those_who_were_told_hear_it(desk, spoken):
    """It is closed, and asked no more than the others."""
    spoken["tills"].fails = DOWN
    look(desk, SOON, SOON + MINUTE, SOON + 2 * MINUTE)
    assert [one.pipeline for one in open_now(desk)] == ["source:tills"]
    spoken["tills"].fails = None
    look(desk, SOON + 3 * MINUTE, SOON + 4 * MINUTE)
    assert open_now(desk) == []
    assert told(desk) == [("ann", "Source unavailable"), ("ann", "Recovered")]


def test_what_runs_met_is_told_though_the_report_went_out(desk, spoken):
    """The replica served, and nothing is due; a failing try of a run is told, and over when the source answers."""
    now = DUE + HOUR
    look(desk, now)
    spoken["tills"].fails = DOWN
    note(desk, *(Probe("tills", now + n * MINUTE / 10, 1.0, Trouble.SOURCE_UNAVAILABLE, "No.", "r1") for n in range(3)))
    look(desk, now + MINUTE)
    assert ("ann", "Source unavailable") in told(desk)
    spoken["tills"].fails = None
    look(desk, now + 3 * MINUTE, now + 4 * MINUTE)
    assert open_now(desk) == []


def test_a_run_that_may_try_again_in_a_moment_is_waited_for(desk):
    """One failing try is no news until a minute has passed."""
    now = DUE + HOUR
    note(desk, Probe("tills", now, 1.0, Trouble.SOURCE_UNAVAILABLE, "No.", "r1"))
    look(desk, now + MINUTE / 2)
    assert open_now(desk) == []
    look(desk, now + MINUTE)
    assert [one.pipeline for one in open_now(desk)] == ["source:tills"]


def test_a_schema_that_a_run_met_is_over_when_a_run_finds_it_mended(desk):
    """A probe reads nothing, so that its answer means nothing here."""
    now = DUE + HOUR
    note(desk, Probe("tills", now, 1.0, Trouble.SCHEMA_CHANGED, "Column till is gone.", "r1"))
    look(desk, now, *(now + n * MINUTE for n in range(1, 5)))
    assert told(desk)[-1] == ("ann", "Schema changed")
    assert len(open_now(desk)) == 1
    note(desk, Probe("tills", now + 6 * MINUTE, 1.0, None, "", "r2"))
    look(desk, now + 7 * MINUTE)
    assert open_now(desk) == []


def test_a_clock_that_ran_ahead_hides_nothing(desk, spoken):
    """What was noted under a wrong clock does not stand for what is heard now, nor keep a source from being asked."""
    ahead = SOON + 9 * HOUR
    note(desk, Probe("tills", ahead, 1.0, None, "", "r1"))
    desk.notes.update({"ticked": ahead, "look at sources": ahead + MINUTE})
    spoken["tills"].fails = REVOKED
    look(desk, SOON, SOON + MINUTE)
    assert told(desk) == [("ann", "Permission revoked")]


def test_a_source_with_old_data_answers(desk):
    """Late data are a matter of the run, which waits for them."""
    now = DUE + HOUR
    note(desk, *(Probe("tills", now + n * MINUTE, 1.0, Trouble.DATA_INCOMPLETE, "Old.", "r1") for n in range(3)))
    look(desk, now + 5 * MINUTE)
    assert open_now(desk) == []


def test_a_source_that_is_gone_from_config_is_dropped(desk, spoken):
    """Nothing can be said of it to anybody."""
    spoken["tills"].fails = REVOKED
    look(desk, SOON, SOON + MINUTE)
    without = replace(desk, project=replace(desk.project, sources=Sources()), notes={})
    look(without, SOON + 2 * MINUTE)
    assert open_now(desk) == []


def test_people_see_it_under_its_title(desk, spoken, capsys, tmp_path):
    """Among the incidents, and in one of its own with who was told."""
    spoken["tills"].fails = REVOKED
    ledger = Ledger.open(tmp_path / "reports" / "ledger.sqlite")
    here = replace(desk, ledger=ledger, project=replace(desk.project, folder=tmp_path))
    look(here, SOON, SOON + MINUTE)
    ledger.close()
    trouble.listing(here.project, as_json=False)
    trouble.show(here.project, 1, as_json=False)
    shown = capsys.readouterr().out
    assert "source: Till API" in shown
    assert "told Ann by mail (trouble)" in shown


def test_two_schedulers_tell_once(desk, spoken):
    """On one ledger, with the same sources."""
    other = replace(desk, holder="other", notes={})
    spoken["tills"].fails = REVOKED
    for now in (SOON, SOON + MINUTE, SOON + 2 * MINUTE):
        look(desk, now)
        look(other, now)
    assert told(desk) == [("ann", "Permission revoked")]


def test_a_tick_waits_for_no_source(spoken):
    """While a source hangs, the tick is back, and the next one, too; what it says in the end is noted."""
    ledger, shop_ = Ledger.open("sqlite://"), shop()
    outside = Outside({}, Errands(), opener(spoken, shop_.sources.sources))
    desk = office(ledger, shop_, carrier=Recorder(), outside=outside)
    spoken["replica"].waits = threading.Event()
    look(desk, SOON, SOON + MINUTE)
    assert desk.busy
    spoken["replica"].waits.set()
    (thread,) = [one for one in threading.enumerate() if one.name == "probe"]
    thread.join(30)
    look(desk, SOON + 2 * MINUTE)
    with ledger.read() as tx:
        assert [one.trouble for one in past.probes(tx, "replica")] == [None]
    ledger.close()


def test_where_nothing_is_fetched_nothing_is_asked(spoken):
    """A project with the demonstration data alone: no source is asked, and nothing is looked at again for days."""
    ledger = Ledger.open("sqlite://")
    said = {"sources": SOURCES, "tables": {"sales": {"from": ("demo",), "day": "day"}}}
    entry = pipeline("sales", "daily by 09:00", sources=("warehouse",))
    shop_ = project(entry, sources=Sources.model_validate(said))
    desk = office(ledger, shop_, outside=Outside({}, Prompt(), opener(spoken, shop_.sources.sources)))
    look(desk, SOON, BEGINS, DUE)
    assert [one.asked for one in spoken.values()] == [[], [], []]
    assert desk.notes["look at sources"] > DUE + timedelta(days=1)
    ledger.close()


def test_a_simulation_asks_nobody():
    """An office without an outside reaches none of its sources, whatever it owes."""
    ledger = Ledger.open("sqlite://")
    desk = office(ledger, shop())
    look(desk, SOON, BEGINS)
    with ledger.read() as tx:
        assert past.probes(tx, "tills") == ()
    ledger.close()


@pytest.mark.parametrize(
    ("answers", "is_down"),
    [
        ([], False),
        ([None], False),
        ([DOWN], False),
        ([DOWN, DOWN], True),
        ([None, DOWN, DOWN], False),
        ([REVOKED], True),
    ],
    ids=["never asked", "answered", "once", "twice", "answered since", "revoked"],
)
def test_down_is_what_somebody_must_know(answers, is_down):
    """Newest first: a failure that may pass by itself must have come twice."""

    def probe(number, error: SourceFailed | None):
        return Probe("tills", DUE - number * MINUTE / 4, 0.1, error.trouble if error else None)

    assert bool(probing.down([probe(n, error) for n, error in enumerate(answers)], DUE)) is is_down
