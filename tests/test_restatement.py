"""A report that readers have, made with other figures or on other records: shown side by side, decided on, replaced."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config
from runner.commands import gate
from runner.commands.gate import Wish
from runner.document import blocks, readback, render, restated
from runner.document.shapes import Heading, Kpis, Note, Paragraph, Table, Text, Tile
from runner.errors import UsageError
from runner.ledger import Ledger, finished
from runner.ledger.reports import Result
from runner.model import Figure, Status
from runner.report import notebooks, restatement, shelf
from tests.held_reports import DAY, IN_CLEOS_WEEK, acts, make, runs, shop
from tests.small_projects import PIPELINE, change, mails, runner, write

LATER = IN_CLEOS_WEEK


@pytest.fixture
def said(capsys):
    """Calls a command in this process; its exit code and the objects that it wrote, one a line."""

    def call(function, *words, **more):
        capsys.readouterr()
        code = function(*words, as_json=True, **more)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture(scope="module")
def sent_once(tmp_path_factory):
    """A project whose report is delivered with a revenue of 12.50 and a record of 7, made once."""
    folder = shop(tmp_path_factory.mktemp("sent"))
    assert make(folder) == 0
    return folder


@pytest.fixture(scope="module")
def other_once(sent_once, tmp_path_factory):
    """That project, with a run that has other figures and another record, made once."""
    folder = shutil.copytree(sent_once, tmp_path_factory.mktemp("other") / "shop")
    assert make(folder, texts={"amount": "13", "recorded": "8"}) == 3
    return folder


@pytest.fixture
def other(other_once, tmp_path):
    """A copy of that project: its folder, the held run and the delivered one."""
    folder = shutil.copytree(other_once, tmp_path / "shop")
    return folder, *runs(folder)


def records(folder):
    """What the report recorded of its day."""
    ledger = Ledger.open(config.load(folder).ledger)
    found = ledger.records("good", "daily", DAY, DAY)
    ledger.close()
    return found


# Shown.


def test_the_held_version_shows_old_and_new_side_by_side(other):
    """HTML and PDF begin with what they are, and each figure that differs; notebook and manifest tell the same."""
    folder, held, first = other
    place = shelf.place(config.load(folder), held)
    html = readback.read_html((place / "good.html").read_text()).words
    pdf = readback.read_pdf((place / "good.pdf").read_bytes()).words
    for words in (html, pdf):
        assert "Restatement of the report delivered on " in words
        assert "Figure Earlier report This report Revenue 12.50 13.00" in words
        assert words.index("Restatement of") < words.index("Revenue was 13.00")
    manifest = json.loads((place / "manifest.json").read_text())
    told = notebooks.read(place / "good.ipynb").metadata["runner"]["restates"]
    assert manifest["restates"] == told
    assert (told["run"], told["version"]) == (first.run, 1)
    assert told["changes"] == [{"name": "revenue", "label": "Revenue", "before": "12.50", "now": "13.00"}]
    assert told["delivered_on"] in html
    assert json.loads((shelf.place(config.load(folder), first) / "manifest.json").read_text())["restates"] is None


def test_the_decision_shows_figures_and_records_before_it_is_made(other, said):
    """`runner approve RUN` prints both tables; with a name and a reason they come first, then what was done."""
    folder, held, first = other
    code, out, _ = runner(folder, "approve", held.run)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 3
    assert f"It restates version 1, made by run {first.run}:" in lines
    assert lines.index("FIGURE BEFORE NOW") + 1 == lines.index("Revenue 12.50 13.00")
    assert f'To let it go: runner approve {held.run} --by WHO --because "..."' in lines
    assert f"{held.run}/good.pdf" in out
    assert lines.index("RECORD DAY COLUMN BEFORE NOW") + 1 == lines.index(f"daily {DAY} revenue 7 8")
    _, rows = said(gate.approve, config.load(folder), Wish(held.run, "ann", "Counted again.", LATER))
    assert rows[0]["changes"] == [{"name": "revenue", "label": "Revenue", "before": "12.50", "now": "13.00"}]
    assert (rows[0]["records"][0]["before"]["revenue"], rows[0]["records"][0]["now"]["revenue"]) == (7, 8)
    assert rows[-1]["event"] == "summary"


# Decided.


def test_an_approved_restatement_replaces_records_and_keeps_what_they_were(other, said):
    """Readers get version 2, the record is the new one, and the audit trail holds the old one for ever."""
    folder, held, first = other
    assert records(folder) == [{"day": DAY, "revenue": 7}]
    assert said(gate.approve, config.load(folder), Wish(held.run, "ann", "Counted again.", LATER))[0] == 0
    assert records(folder) == [{"day": DAY, "revenue": 8}]
    assert (len(mails(folder)), runs(folder)[0].status) == (4, Status.DELIVERED)
    (act,) = acts(folder)
    (kept,) = act.details["records"]
    assert (kept["before"], kept["now"], kept["run"]) == (
        {"day": DAY, "revenue": 7},
        {"day": DAY, "revenue": 8},
        first.run,
    )
    assert act.details["changes"][0]["before"] == "12.50"


@pytest.mark.parametrize(("moved", "sent"), [(("oscar",), 1), (("olga", "oscar"), 0)])
def test_whoever_hears_nothing_of_a_restatement_is_named(other, said, moved, sent):
    """An address that is new since: the decision names the old and the new one, and what is not sent is not equal."""
    folder, held, first = other
    for name in moved:
        change(folder / "config/people.yml", f"{name}@", f"{name}.new@")
    _, rows = said(gate.approve, config.load(folder), Wish(held.run, "ann", "Counted again.", LATER))
    assert rows[0]["gone"] == [f"{name}@example.com" for name in moved]
    assert rows[0]["joined"] == [f"{name}.new@example.com" for name in moved]
    (made,) = rows[-1]["reports"]
    assert made["sent"] == sent
    assert sent or made["message"].startswith(f"It restates run {first.run}, and no reader on the lists had that one")
    assert acts(folder)[0].details["gone"] == rows[0]["gone"]


def test_a_rejected_restatement_leaves_all_as_it_was(other, said):
    """The old record and the old version stay, and nobody is written to."""
    folder, held, first = other
    assert said(gate.reject, config.load(folder), Wish(held.run, "ann", "A till was doubled.", LATER))[0] == 0
    assert (records(folder), len(mails(folder))) == ([{"day": DAY, "revenue": 7}], 2)
    assert [run.status for run in runs(folder)] == [Status.STOPPED, Status.DELIVERED]
    assert runs(folder)[1].run == first.run


def test_where_only_records_differ_nothing_is_sent_and_the_record_is_replaced(sent_once, tmp_path, said):
    """Equal figures make no new version: readers keep what they have, later reports rest on the new record."""
    folder = shutil.copytree(sent_once, tmp_path / "shop")
    assert make(folder, texts={"recorded": "8"}) == 3
    held = runs(folder)[0]
    place = shelf.place(config.load(folder), held)
    assert (held.version, json.loads((place / "manifest.json").read_text())["restates"]) == (1, None)
    code, rows = said(gate.approve, config.load(folder), Wish(held.run, "ann", "The load was late.", LATER))
    (made,) = rows[-1]["reports"]
    assert (code, made["status"], made["sent"]) == (0, "ready", 0)
    assert "it was not sent" in made["message"]
    assert (records(folder), len(mails(folder))) == ([{"day": DAY, "revenue": 8}], 2)


def test_records_that_another_run_changed_meanwhile_are_not_replaced_unseen(other):
    """What was agreed to is what is replaced: a record that is otherwise by then ends it, and nothing is done."""
    folder, held, _ = other
    ledger = Ledger.open(config.load(folder).ledger)
    scraps = {"daily": {"columns": ["day", "revenue"], "rows": [[DAY, 8]]}}
    with ledger.read() as tx:
        agreed = finished.replaced(tx, "good", scraps)
    with ledger.write() as tx:
        tx.exec_driver_sql('UPDATE records SET "values" = ?', (json.dumps({"day": DAY, "revenue": 9}),))
    with pytest.raises(UsageError, match="Another run changed the records"), ledger.write() as tx:
        finished.release(tx, Result(held, records=scraps), agreed)
    assert (ledger.run(held.run).status, records(folder)) == (Status.HELD, [{"day": DAY, "revenue": 9}])
    ledger.close()


def test_reports_that_rest_on_a_replaced_record_are_named(tmp_path, said):
    """The delivered report made with it is named with its command; an older one, and one not sent, are not."""
    folder = shop(tmp_path)
    entry = PIPELINE.format(name="sums", notebook="good")
    write(
        folder / "config/pipelines.yml", (folder / "config/pipelines.yml").read_text() + f"{entry}    inputs: [good]\n"
    )
    assert make(folder, "sums", as_of="2017-11-14") == 0
    assert make(folder) == 0
    assert make(folder, "sums") == 0
    assert make(folder, "sums", as_of="2017-11-16", deliver=False) == 0
    assert make(folder, texts={"recorded": "8"}) == 3
    held = runs(folder)[0]
    _, (row,) = said(gate.approve, config.load(folder), Wish(held.run, "", "", LATER))
    assert [(one["pipeline"], one["period"]) for one in row["rests_on_it"]] == [("sums", DAY)]
    out = runner(folder, "approve", held.run)[1]
    assert f"runner run sums --as-of {DAY}" in out
    said(gate.approve, config.load(folder), Wish(held.run, "ann", "A late load.", LATER))
    (act,) = acts(folder)
    assert act.details["resting"] == [row["rests_on_it"][0]["run"]]


# Rules.


def figure(name, value, text=None):
    """A figure of this value."""
    return Figure(name, value, str(value) if text is None else text, name.title())


def test_equal_texts_of_other_values_are_told_apart():
    """Rounded to the same text, the values stand beside it: a change is never shown as none."""
    (change,) = restatement.changes([figure("a", 12.501, "12.50")], [figure("a", 12.502, "12.50")])
    assert (change.before, change.now) == ("12.50 (12.501)", "12.50 (12.502)")


SHEETS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


@given(SHEETS, SHEETS)
def test_a_change_is_each_figure_that_differs_and_no_other(before, after):
    """Figures that are new, gone or other are changes, equal ones are none; and the other way round as well."""
    sheets = [[figure(name, value) for name, value in sheet.items()] for sheet in (before, after)]
    found = {change.name: (change.before, change.now) for change in restatement.changes(*sheets)}
    names = {name for name in {**before, **after} if before.get(name) != after.get(name)}
    assert found == {name: (str(before.get(name, "")), str(after.get(name, ""))) for name in names}
    back = {change.name: (change.now, change.before) for change in restatement.changes(*reversed(sheets))}
    assert back == found


def told(*changes):
    """What a notebook's metadata say of a restatement."""
    rows = [{"name": "a", "label": label, "before": before, "now": now} for label, before, now in changes]
    return {"delivered_on": "16 November 2017", "changes": rows}


WORDS = Paragraph((Text("Words."),))
TILES = Kpis((Tile("Revenue", "13.00"),))


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ([WORDS, TILES, WORDS], 2),
        ([Heading(1, (Text("Summary"),)), WORDS, TILES, Heading(1, (Text("More"),))], 3),
        ([Heading(1, (Text("Summary"),)), WORDS], 1),
        ([WORDS, Heading(1, (Text("More"),)), TILES], 0),
        ([], 0),
    ],
)
def test_the_note_comes_after_the_key_figures_or_at_the_top(before, place):
    """Nothing is left out and the note and its table stand together, before the report goes into details."""
    made = restated.marked(before, told(("Revenue", "12.50", "")))
    assert [type(block) for block in made[place : place + 2]] == [Note, Table]
    assert [*made[:place], *made[place + 2 :]] == before
    assert made[place].title == "Restatement of the report delivered on 16 November 2017"
    assert made[place + 1].texts == (("Revenue", "12.50", "not shown"),)


@pytest.mark.parametrize("given", [None, {}, "x", {"changes": []}, {"changes": "x"}, {"changes": [1]}, {"changes": 3}])
def test_what_is_no_restatement_marks_nothing(given):
    """Metadata of any other shape leave the report as it is."""
    assert restated.marked([WORDS], given) == [WORDS]


def test_labels_from_a_notebook_are_text_alone():
    """A label with markup and line breaks stands in the page as it was written, and does nothing."""
    nb = notebooks.notebook(notebooks.words("# Good\n\nWords."))
    nb.metadata["runner"] = {"restates": told(("<script>alert(1)</script>\n#panic()", "=1+1", "2"))}
    document = blocks.document_of(nb)
    page = readback.read_html(render.html(document))
    assert (page.outside, "<script>alert(1)</script> #panic()" in page.words) == ((), True)
    assert "#panic() =1+1 2" in readback.read_pdf(render.pdf(document)).words
