"""Run it: the form, its checks, a trial watched live, and that no trial touches anything of the company."""

from __future__ import annotations

import ast
import dataclasses
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import nbformat
import psutil
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from runner import config
from runner.ledger import Process, Run, journal
from runner.ledger.tables import meta
from runner.web import trials
from runner.web.pages.trial import fields_of
from tests import browser, desk, trial_sample
from tests.desk import NOW, Server
from tests.desk_routes import TYPED
from tests.small_projects import NOTEBOOKS, change, write
from tests.trial_sample import MADE, RUNNING

HOSTILE = '"; import os; os.abort() #</script><script>alert(1)</script>\\ \u202e\U0001f4a5'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=browser.PATIENCE)
    with browser.browsing() as found:
        yield found


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> Iterator[Server]:
    """The shop, where nobody has tried anything, and nobody does."""
    folder = desk.copy(tmp_path_factory.mktemp("shop"))
    shutil.rmtree(folder / "reports/.desk")
    with desk.serving(folder) as made:
        yield made


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    """The shop, whose notebook of visits waits at a gate; nobody has tried anything yet."""
    folder = desk.copy(tmp_path / "shop")
    shutil.copy(NOTEBOOKS / "waits_at_a_gate.ipynb", folder / "notebooks/visits.ipynb")
    change(folder / "config/pipelines.yml", "    title: Visits\n    notebook: visits.ipynb\n    period: week",
           "    title: Visits\n    notebook: visits.ipynb\n    period: day")  # fmt: skip
    change(folder / "config/pipelines.yml", "deadline: Mondays by 08:00", "deadline: daily by 08:00")
    shutil.rmtree(folder / "reports/.desk")
    with desk.serving(folder) as made:
        yield made
    for trial in trials.newest(made.desk.project):
        end(trial)


def end(trial: trials.Trial) -> None:
    """No process of a test is left."""
    if trial.process and not trial.process.gone and trial.process.pid != os.getpid():
        psutil.Process(trial.process.pid).terminate()


def post(server: Server, path: str, who: str = desk.EVE, **changed: str) -> desk.Answer:
    return server.ask(path, who, "POST", {**TYPED, **changed})


def past(server: Server) -> dict[str, list[tuple]]:
    """Every row of the ledger but for sessions."""
    with server.ledger.read() as tx:
        names = [name for name in meta.tables if name not in {"sessions", "acts"}]
        return {name: sorted(map(repr, tx.execute(sa.select(meta.tables[name])))) for name in names}


def acts(server: Server) -> list[tuple[str, str]]:
    with server.ledger.read() as tx:
        return [(act.who, act.what) for act in journal.acts(tx, NOW, NOW + timedelta(seconds=1))]


# The form.


def test_the_form_is_made_from_the_typed_parameters(still):
    """Each parameter has the input that fits its type, with its default and its help."""
    text = still.ask("/try/sales", desk.EVE).text
    found = dict(re.findall(r'<(?:input|textarea) id="f-p-(\w+)" name="p-\w+" (?:type="(\w+)"|rows)', text))
    assert found == {
        "as_of": "date",
        "amount": "number",
        "recorded": "number",
        "shop": "text",
        "flags": "",
        "options": "",
    }
    assert re.search(r'type="checkbox" id="f-p-loud" name="p-loud" value="true">', text)
    assert 'value="2017-11-15"' in text
    assert 'value="00123"' in text
    assert "The day reported" in text


def test_an_experiment_is_chosen_among_those_that_are_known(tmp_path):
    """Where experiments can be asked for, they are a list with their begins, and the usual one is chosen."""
    folder = desk.copy(tmp_path)
    write(
        folder / "config/experiments.yml",
        """\
begin_at: "09:00"
experiments:
  "18": {begins: 2017-10-30 09:00}
  "19": {begins: 2017-11-15 09:00}
""",
    )
    pipelines = folder / "config/pipelines.yml"
    change(
        pipelines,
        "period: week\n    deadline: Mondays by 08:00",
        "period: experiment\n    experiment: 18\n    deadline: daily by 08:00",
    )
    change(folder / "notebooks/visits.ipynb", "recorded: int = 7", "experiment: int = 7")
    project = config.load(folder)
    (field,) = (one for one in fields_of(project, project.pipelines["visits"]) if one.name == "experiment")
    assert (field.kind, field.value) == ("choice", "18")
    assert field.options == (("18", "18, since Mon 30 Oct 2017"), ("19", "19, since Wed 15 Nov 2017"))


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("as_of", "2017-02-30", "Write a day such as 2017-11-15."),
        ("as_of", "0001-01-01", "Take a day of the years 1980 to 2200."),
        ("amount", "1e999", "Write a finite number such as 0.05."),
        ("amount", "NaN", "Write a finite number such as 0.05."),
        ("recorded", "9" * 5000, "Write a whole number such as 18."),
        ("recorded", "7; import os", "Write a whole number such as 18."),
        ("flags", "[" * 9000, "That is nested too deeply."),
        ("options", '{"a": Infinity}', "Write a JSON object such as"),
        ("shop", "x" * 20_000, "That is too long: write at most 10,000 characters."),
        ("loud", "perhaps", "Write true or false."),
    ],
)
def test_a_value_that_does_not_fit_is_told_beside_its_field_and_nothing_is_lost(still, name, typed, said):
    """The form comes back with all that was typed and one error, and nothing is begun or noted."""
    got = post(still, "/try/sales", **{"p-shop": HOSTILE, f"p-{name}": typed})
    assert got.status == 422
    at = got.text.index(f'id="f-p-{name}"')
    assert said in got.text[at : got.text.index("</div>", at)]
    assert got.text.count('<p class="error"') == 1
    assert ("alert(1)" in got.text) == (name != "shop")
    assert "<script>alert" not in got.text
    assert not trials.newest(still.desk.project)
    assert not acts(still)


def test_a_secret_is_no_parameter(tmp_path):
    """What shows a secret is refused, and not even shown again."""
    token = "ghp_" + "a1B2" * 9
    with desk.serving(desk.copy(tmp_path)) as server:
        got = post(server, "/try/sales", **{"p-shop": token})
    assert got.status == 422
    assert "A secret is no parameter" in got.text
    assert token not in got.text


def test_a_notebook_that_cannot_be_read_says_so(server):
    """Its page says what is wrong and what to do, and offers no form."""
    write(server.folder / "notebooks/sales.ipynb", "no notebook")
    got = server.ask("/try/sales", desk.EVE)
    assert got.status == 422
    assert "is not a notebook that can be read" in got.text
    assert "<textarea" not in got.text


# The notebook to take away.


def test_the_notebook_to_take_away_holds_the_values_and_nothing_else(server):
    """It is the notebook without outputs, with one cell of values; whatever was typed is a value in it, and no code."""
    got = post(server, "/try/sales/notebook", **{"p-shop": HOSTILE, "p-loud": "true", "p-flags": '["a"]'})
    assert got.status == 200
    assert got.headers["content-disposition"] == 'attachment; filename="sales-2017-11-13.ipynb"'
    nb = nbformat.reads(got.text, 4)
    (cell,) = (cell for cell in nb.cells if "injected-parameters" in cell.metadata.get("tags", ()))
    found = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}
    assert found == {"as_of": "2017-11-13", "amount": 12.5, "recorded": 7, "shop": HOSTILE, "flags": ["a"],
                     "options": {}, "loud": True}  # fmt: skip
    assert all(not cell.get("outputs") for cell in nb.cells)
    assert str(server.folder) not in got.text
    assert acts(server) == [("eve", "took a notebook")]
    assert not trials.newest(server.desk.project)


def test_jupyterlab_is_linked_where_it_is_named(tmp_path):
    """With an address there is a link to the notebook in it; without one the command to copy."""
    folder = desk.copy(tmp_path)
    with desk.serving(folder) as server:
        assert "jupyter lab notebooks/sales.ipynb" in server.ask("/try/sales", desk.EVE).text
    change(folder / "config/settings.yml", "desk: {port: 0,", "desk: {jupyter: 'http://127.0.0.1:8888/x/', port: 0,")
    with desk.serving(folder) as server:
        text = server.ask("/try/sales", desk.EVE).text
    assert 'href="http://127.0.0.1:8888/x/lab/tree/notebooks/sales.ipynb"' in text


# A trial.


def test_a_trial_is_watched_to_its_end_and_touches_nothing(server, chromium, tmp_path):
    """Typed, begun, seen cell by cell, also after a reload; made, marked as a trial; and the ledger is as it was.

    All the while somebody else makes the report of that very day, which no trial may get in the way of.
    """
    run = Run("of-the-scheduler", "visits", "2017-11-13", "", NOW)
    server.ledger.begin(run)
    before, mails = past(server), sorted((server.folder / "reports/mail").rglob("*"))
    with browser.window(chromium, server, desk.EVE) as page:
        page.goto("/try/visits")
        page.get_by_label("As of").fill("2017-11-13")
        page.get_by_label("Gate").fill(str(tmp_path / "gate"))
        page.get_by_label("Amount").fill("13.25")
        page.get_by_role("button", name="Run it").click()
        expect(page.get_by_role("heading", name="Cell 5 of 7: At the gate")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Cell 5 of 7: At the gate")).to_be_visible()
        assert page.get_by_role("progressbar").get_attribute("value") == "50"
        (tmp_path / "gate").touch()
        expect(page.get_by_text("It is made: every check passed.")).to_be_visible()
        expect(page.get_by_text("13.25", exact=True).last).to_be_visible()
        expect(page.frame_locator("iframe").get_by_text("Trial run by Eve Ellis").first).to_be_attached()
        expect(page.get_by_role("link", name="PDF")).to_be_visible()
    assert past(server) == before
    assert acts(server) == [("eve", "tried")]
    assert sorted((server.folder / "reports/mail").rglob("*")) == mails
    assert not list((server.folder / "reports").glob("visits/*"))


def test_a_trial_can_be_cancelled(server, chromium, tmp_path):
    """Whoever cancels it is named, it ends with its processes, and what was typed can be tried again."""
    with browser.window(chromium, server, desk.EVE) as page:
        page.goto("/try/visits")
        page.get_by_label("Gate").fill(str(tmp_path / "never"))
        page.get_by_role("button", name="Run it").click()
        expect(page.get_by_role("heading", name="Cell 5 of 7: At the gate")).to_be_visible()
        (trial,) = trials.newest(server.desk.project)
        below = psutil.Process(trial.process.pid).children(recursive=True)
        page.get_by_role("button", name="Cancel it").click()
        expect(page.get_by_text("Cancelled by Eve Ellis.")).to_be_visible()
        page.get_by_role("link", name="Run it again with other values").click()
        assert page.get_by_label("Gate").input_value() == str(tmp_path / "never")
    assert psutil.wait_procs(below, timeout=desk.PATIENCE)[1] == []
    assert acts(server) == [("eve", "tried"), ("eve", "cancelled a trial")]


def test_a_trial_that_fails_says_why_and_what_to_do(server, chromium):
    """The sentence and the remedy of the failure are shown, and the partial notebook can be had."""
    with browser.window(chromium, server, desk.EVE) as page:
        page.goto("/try/stock")
        page.get_by_role("button", name="Run it").click()
        expect(page.get_by_text("It could not be made.")).to_be_visible()
        expect(page.get_by_role("link", name="Partial notebook")).to_be_visible()
    (trial,) = trials.newest(server.desk.project)
    text = server.ask(f"/try/runs/{trial.id}", desk.BOB).text
    assert trial.outcome["status"] == "failed"
    assert trial.outcome["message"] in html.unescape(text)
    assert trial.outcome["remedy"] in html.unescape(text)


def test_a_trial_ends_with_its_desk(server, tmp_path):
    """Killed outright, a desk leaves no trial and no kernel behind."""
    begins = f"""
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from runner import config
from runner.web import trials
project = config.load(Path({str(server.folder)!r}))
texts = {{"gate": {str(tmp_path / "never")!r}}}
wish = trials.Wish("eve", "visits", "2017-11-13", None, texts)
trial = trials.start(project, wish, datetime.now(UTC), dict(os.environ))
print(trial.id, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", begins], stdout=subprocess.PIPE, text=True) as holder:
        name = holder.stdout.readline().strip()
        trial = trials.find(server.desk.project, name)
        child = psutil.Process(trial.process.pid)
        assert not trial.is_over
        holder.send_signal(signal.SIGKILL)
        assert psutil.wait_procs([child], timeout=desk.PATIENCE)[1] == []
    assert trials.find(server.desk.project, name).outcome["message"].startswith("It ended")


# Limits.


def test_each_person_has_one_trial_at_a_time(server):
    """Whoever has one is led to it, and what was typed is kept."""
    trial_sample.under_way(server.folder, RUNNING, "eve")
    got = post(server, "/try/sales", **{"p-shop": "kept"})
    assert got.status == 422
    assert "You have a trial run of sales under way already." in got.text
    assert f'href="/try/runs/{RUNNING}"' in got.text
    assert 'value="kept"' in got.text


def test_there_are_only_so_many_at_once(server):
    """When all places are taken it is said whose trials those are; a trial whose process is gone takes none."""
    trial_sample.under_way(server.folder, RUNNING, "dan")
    trial_sample.under_way(server.folder, f"{RUNNING[:-1]}e", "cat")
    got = post(server, "/try/sales")
    assert got.status == 422
    assert "2 trial runs are under way, of Cat Carter and Dan Dyer; no more run at once." in got.text
    gone = dataclasses.replace(Process.this(), started="0").as_dict()
    (trials.folder_of(server.desk.project) / RUNNING / "process.json").write_text(json.dumps(gone))
    found = trials.find(server.desk.project, RUNNING)
    assert (found.status, found.is_over) == ("interrupted", True)
    assert "It ended before its time" in server.ask(f"/try/runs/{RUNNING}", desk.EVE).text


def test_a_trial_is_found_by_its_name_alone(still):
    """No path leads out of the folder of trials."""
    for name in ("..", "%2e%2e", "..%2f..", f"{MADE}%2f..", ".lock"):
        assert still.ask(f"/try/runs/{name}", desk.EVE).status in {400, 404}, name
