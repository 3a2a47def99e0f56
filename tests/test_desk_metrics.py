"""/metrics and /healthz: what is measured, as a parser of OpenMetrics reads it; whether all is well, in a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from runner.errors import Trouble
from runner.ledger import access, journal, outbox, sources
from runner.ledger.journal import Mark
from runner.ledger.outbox import Letter
from runner.ledger.sources import Probe
from runner.scheduler.roster import WATERMARK
from tests import desk
from tests.desk import HOUR, MINUTE, NOW, Server, write

SECRET = "metrics-of-the-shop"
TOKEN = {"Authorization": f"Bearer {SECRET}"}
PIPELINES = {"sales", "growth", "stock", "visits"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
        yield told(made)


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    """One that may be changed."""
    with desk.serving(desk.copy(tmp_path)) as made:
        yield told(made)


def told(server: Server) -> Server:
    """The desk, which knows a token for its numbers."""
    with server.ledger.write() as tx:
        access.add_token(tx, SECRET, access.Token("watcher", ("metrics",), "ann", NOW))
    return server


def families(server: Server) -> Mapping[str, Metric]:
    """Every family of one scrape, as a strict parser reads it."""
    got = server.ask("/metrics", headers=TOKEN)
    assert got.status == 200, got.text
    assert got.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(got.text)}


def values(server: Server, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The samples of a gauge by these labels; those that are 0 are left out."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in families(server)[name].samples
        if sample.value
    }


def test_a_scrape_is_openmetrics_with_help_type_and_unit(shared):
    """A strict parser takes it to its end; every family has a sentence, and seconds are called so."""
    text = shared.ask("/metrics", headers=TOKEN).text
    assert text.endswith("# EOF\n")
    found = families(shared)
    assert len(found) == 16
    assert [name for name, family in found.items() if not family.documentation.endswith(".")] == []
    assert {name for name, family in found.items() if family.unit} == {
        name for name in found if name.endswith("_seconds")
    }
    assert [name for name in found if not name.startswith("runner")] == []


def test_lateness_is_told_of_each_pipeline(shared):
    """Growth was due at 10:00 and it is 10:40; what is delivered or not due yet is not late."""
    assert values(shared, "runner_deadline_late_seconds", "pipeline") == {("growth",): 40 * 60}
    assert {s.labels["pipeline"] for s in families(shared)["runner_deadline_late_seconds"].samples} == PIPELINES
    assert values(shared, "runner_deadlines", "pipeline", "outcome", "window") == {
        (pipeline, outcome, window): 1
        for pipeline, outcome in (("sales", "met"), ("growth", "late"))
        for window in ("24h", "90d")
    }


def test_run_times_are_those_of_the_newest_runs(shared):
    """As a histogram whose last step has them all: the sales of this morning, and growth, which is held."""
    samples = families(shared)["runner_run_seconds"].samples
    counts = {s.labels["pipeline"]: s.value for s in samples if s.name.endswith("_gcount")}
    assert counts == {"sales": 1, "growth": 1, "stock": 0, "visits": 0}


def test_what_the_gate_said_is_counted(shared):
    """Delivered, held and stopped, of this day's runs."""
    assert values(shared, "runner_gate_decisions", "pipeline", "decision") == {
        ("sales", "deliver"): 1,
        ("growth", "hold"): 1,
        ("stock", "stop"): 1,
    }


def test_open_incidents_are_counted_by_what_is_wrong(shared):
    """Two are late, one has failed, and nobody is at any of them."""
    counted = values(shared, "runner_incidents_open", "state", "acknowledged")
    assert counted == {("late", "no"): 2, ("failed", "no"): 1}


def test_messages_owed_are_counted_with_the_age_of_the_oldest(server):
    """One that is owed for an hour, one that was given up; a report that a reader does not have."""
    letter = Letter("a", "trouble", "ann", "Ann", "ann@shop.example", "mail", {}, "<a@shop>", NOW - HOUR)
    lost = Letter("b", "trouble", "ann", "Ann", "ann@shop.example", "mail", {}, "<b@shop>", NOW - 2 * HOUR)
    with server.ledger.write() as tx:
        before = len(outbox.due(tx, NOW + HOUR))
        outbox.owe(tx, [letter, lost])
        number = next(one.id for one in outbox.due(tx, NOW) if one.key == "b")
        tx.exec_driver_sql(f"UPDATE outbox SET holder = 'me' WHERE id = {number}")
        outbox.refused(tx, [number], "me", outbox.Refusal("No.", None, NOW - MINUTE))
        tx.exec_driver_sql("UPDATE deliveries SET state = 'owed', sent_at = NULL WHERE recipient LIKE 'olga%'")
    assert values(server, "runner_outbox_owed")[()] == before + 1
    assert values(server, "runner_outbox_oldest_owed_seconds") == {(): 3600}
    assert values(server, "runner_outbox_given_up") == {(): 1}
    assert values(server, "runner_deliveries_waiting", "state") == {("owed",): 1}


def test_the_age_of_the_last_look_grows_until_the_next(server):
    """It is the sign of life of the scheduler; without any look there is none."""
    server.dial.at = NOW + 7 * MINUTE
    assert values(server, "runner_scheduler_look_age_seconds") == {(): 7 * 60}
    with server.ledger.write() as tx:
        tx.exec_driver_sql("DELETE FROM marks WHERE name = 'looked at'")
    assert families(server)["runner_scheduler_look_age_seconds"].samples == []


def test_sources_tell_how_they_answered_last(tmp_path):
    """Up or down, how long ago, how fast; one that was never asked has no number."""
    folder = desk.copy(tmp_path)
    entries = "".join(f"  {name}: {{kind: files, title: {name}, url: data}}\n" for name in ("tills", "online", "new"))
    write(folder / "config" / "sources.yml", f"sources:\n{entries}")
    with desk.serving(folder) as server:
        told(server)
        with server.ledger.write() as tx:
            sources.probed(tx, Probe("tills", NOW - 2 * HOUR, 0.1, Trouble.SOURCE_UNAVAILABLE, "It is away."))
            sources.probed(tx, Probe("tills", NOW - MINUTE, 0.25))
            sources.probed(tx, Probe("online", NOW - HOUR, 2.0, Trouble.SOURCE_UNAVAILABLE, "It is away."))
        up = {s.labels["source"]: s.value for s in families(server)["runner_source_up"].samples}
        assert up == {"tills": 1, "online": 0}
        assert values(server, "runner_source_probe_age_seconds", "source") == {("tills",): 60, ("online",): 3600}
        assert values(server, "runner_source_probe_seconds", "source") == {("tills",): 0.25, ("online",): 2.0}


def test_labels_are_names_of_config_alone(server):
    """A ledger full of pipelines that are gone makes no new series."""
    before = sum(len(family.samples) for family in families(server).values())
    with server.ledger.write() as tx:
        for number in range(50):
            tx.exec_driver_sql(
                "INSERT INTO runs (run, pipeline, period, status, decision, inputs, parameters, started_at, process, "
                f"message) VALUES ('x{number}', 'gone{number}', 'p', 'held', 'hold', '', '{{}}', "
                "'2017-11-14T15:00:00.000000+00:00', '{}', '')"
            )
            tx.exec_driver_sql(
                "INSERT INTO deadlines (pipeline, period, text, as_of, starts_at, ready_at, due_at, state, attempts, "
                f"outcome, message) VALUES ('gone{number}', 'p', 'p', '2017-11-13', '2017-11-14T15:00:00.000000+00:00',"
                "'2017-11-14T15:00:00.000000+00:00', '2017-11-14T15:00:00.000000+00:00', 'open', 0, '', '')"
            )
    assert sum(len(family.samples) for family in families(server).values()) == before


def test_people_who_are_signed_in_are_counted(server):
    """Those who were seen lately."""
    server.sign_in(desk.ANN)
    server.sign_in(desk.TINA)
    assert values(server, "runner_desk_sessions") == {(): 2}
    server.dial.at = NOW + timedelta(hours=2)
    assert values(server, "runner_desk_sessions") == {}


def test_a_config_that_does_not_load_is_told(server):
    """The one before holds, and the number says that somebody must look."""
    assert values(server, "runner_config_good") == {(): 1}
    (server.folder / "config" / "people.yml").write_text("engineers: [")
    server.desk.look_again()
    assert values(server, "runner_config_good") == {}
    (server.folder / "config" / "people.yml").write_text(desk.PEOPLE)
    server.desk.look_again()
    assert values(server, "runner_config_good") == {(): 1}


# Whether all is well.


@pytest.mark.parametrize(
    ("path", "after", "status", "word"),
    [
        ("/healthz", timedelta(0), 200, "ok\n"),
        ("/healthz", timedelta(days=30), 200, "ok\n"),
        ("/healthz/scheduler", 10 * MINUTE, 200, "ok\n"),
        ("/healthz/scheduler", 10 * MINUTE + timedelta(seconds=1), 503, "scheduler\n"),
    ],
)
def test_health_is_told_to_anyone_in_one_word(server, path, after, status, word):
    """A desk is well without a scheduler; whether that has looked lately is another question."""
    server.dial.at = NOW + after
    got = server.ask(path)
    assert (got.status, got.text) == (status, word)


def test_a_scheduler_that_never_looked_is_not_well(server):
    """Its desk is."""
    with server.ledger.write() as tx:
        tx.exec_driver_sql("DELETE FROM marks")
    assert (server.ask("/healthz").text, server.ask("/healthz/scheduler").text) == ("ok\n", "scheduler\n")
    with server.ledger.write() as tx:
        journal.set_mark(tx, WATERMARK, Mark(NOW))
    assert server.ask("/healthz/scheduler").text == "ok\n"


def test_a_ledger_that_cannot_be_read_is_not_well(server):
    """Both say so, and nothing of why; the log knows."""
    with server.ledger.write() as tx:
        tx.exec_driver_sql("DROP TABLE marks")
    for path in ("/healthz", "/healthz/scheduler"):
        got = server.ask(path)
        assert (got.status, got.text) == (503, "ledger\n")
    assert [event for event, _ in server.logged].count("ledger unreadable") == 2
