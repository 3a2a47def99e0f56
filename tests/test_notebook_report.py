"""`Report` from the outside: what a cell hands over to the runner, what it shows, and what it refuses.

An interactive shell without a kernel stands in for JupyterLab: everything that a cell displays is caught as it would
have been published.
"""

from __future__ import annotations

import json
import math
import shutil
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import matplotlib as mpl
import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from runner.document.blocks import document_of
from runner.errors import ConfigError, ReportStopped, Trouble
from runner.ledger import Ledger, Result, Run
from runner.model import BLOCK_MIME, SCRAP_MIME, Figure, Finding, Level
from runner.notebook import Prior, Report, charts, project, warehouse
from runner.notebook.bands import Metric
from runner.notebook.experiments import Design, design_of
from tests import small_warehouse
from tests.small_warehouse import line

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore:No kernel detected:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def shell(tmp_path_factory):
    """An interactive shell that keeps no history, ended after this module."""
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.instance(config=config, ipython_dir=str(tmp_path_factory.mktemp("ipython")))
    with mpl.rc_context():
        yield
    InteractiveShell.clear_instance()


@pytest.fixture
def folder(tmp_path):
    """A project with the shipped config and a warehouse of three till lines."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    path = tmp_path / ".cache" / "warehouse.duckdb"
    path.parent.mkdir()
    lines = [
        line(1, "2017-11-14 10:00", 1, "10.00"),
        line(1, "2017-11-15 10:00", 2, "20.00"),
        line(2, "2017-11-15 23:59", 3, "1.50", product=2),
        line(2, "2017-11-16 00:00", 4, "99.00"),
    ]
    small_warehouse.build(
        path, {"transactions": lines, "experiments": [(1, "Type A", "2017-11-01", "2017-11-30")]}
    )  # fmt: skip
    path.with_suffix(".sha256").write_text(warehouse.stamp_of(path, warehouse.fingerprint(tmp_path)))
    return tmp_path


@pytest.fixture
def report(folder):
    """A report of 15 November."""
    return Report("daily_growth", "2017-11-15", folder)


class Shown:
    """What a cell displayed: each output's data, the blocks among them, the scraps by name, and what was printed."""

    def __init__(self, captured):
        self.outputs = [output.data for output in captured.outputs if SCRAP_MIME not in output.data]
        self.metadata = [output.metadata for output in captured.outputs if SCRAP_MIME not in output.data]
        self.blocks = [data[BLOCK_MIME] for data in self.outputs if BLOCK_MIME in data]
        scraps = [output.data[SCRAP_MIME] for output in captured.outputs if SCRAP_MIME in output.data]
        self.scraps = {scrap["name"]: scrap["data"] for scrap in scraps}
        echoes = [data["text/plain"] for data in self.outputs if data.get(BLOCK_MIME, {}).get("type") == "check"]
        self.printed = "".join(f"{echo}\n" for echo in echoes)


@contextmanager
def cell():
    """Catch what is displayed inside; the list's only element is there once it is over."""
    shown = []
    with capture_output() as captured:
        try:
            yield shown
        finally:
            shown.append(Shown(captured))
    json.dumps([shown[0].scraps, shown[0].blocks], allow_nan=False)  # everything handed over is JSON


class TestOpening:
    def test_finds_the_project_from_below(self, folder, monkeypatch):
        """Opened by hand in notebooks/ a report finds the folder above it that has config/pipelines.yml."""
        (folder / "notebooks").mkdir()
        monkeypatch.chdir(folder / "notebooks")
        monkeypatch.delenv("RUNNER_PROJECT", raising=False)
        assert Report("daily_growth", "2017-11-15").project == folder

    def test_the_runner_says_where(self, folder, monkeypatch, tmp_path):
        """Run by the runner it takes the project that RUNNER_PROJECT names."""
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        monkeypatch.setenv("RUNNER_PROJECT", str(folder))
        assert Report("daily_growth", date(2017, 11, 15)).project == folder

    def test_no_project(self, tmp_path):
        """Outside of any project the error names the folder and the way to make one."""
        (tmp_path / "alone").mkdir()
        with pytest.raises(ConfigError, match=r"neither alone nor a folder above it.*runner init"):
            Report("daily_growth", "2017-11-15", tmp_path / "alone")

    @pytest.mark.parametrize("as_of", ["yesterday", "15.11.2017", "2017-02-30", ""])
    def test_a_day_that_is_none(self, folder, as_of):
        """An as-of text that is no day stops the report with the way to write one."""
        with pytest.raises(ReportStopped, match=r"is not a day\. Write it like 2017-11-15"):
            Report("daily_growth", as_of, folder)

    def test_day_in_words(self, report):
        """The as-of day is said with its weekday."""
        assert report.day == "Wednesday 15 November 2017"


class TestReading:
    def test_the_warehouse_stands_at_the_end_of_the_day(self, report):
        """The report sees the day's last minute and not the next midnight."""
        assert report.warehouse.execute("SELECT max(basket_id) FROM transactions").fetchone() == (3,)

    def test_costs_come_from_the_project(self, report):
        """Goods are the assumed shares of config/costs.yml."""
        goods = report.warehouse.execute("SELECT basket_id, CAST(goods AS DOUBLE) FROM lines ORDER BY 1").fetchall()
        assert dict(goods) == pytest.approx({1: 10 * 0.66, 2: 20 * 0.66, 3: 1.5 * 0.93})

    def test_csv(self, report, folder):
        """A CSV file is read and listed as a source with its rows and hash."""
        (folder / "sales.csv").write_text("day,sold\n2017-11-15,3\n")
        with cell() as shown:
            frame = report.csv("sales.csv")
        assert frame["sold"].tolist() == [3]
        source = shown[0].scraps["source:sales.csv"]
        assert (source["rows"], source["sha256"]) == (1, project.sha256(folder / "sales.csv"))

    def test_a_missing_csv(self, report):
        """A file that is not there stops the report, as a source that is unavailable."""
        with pytest.raises(ReportStopped, match=r"sales\.csv is not there") as error:
            report.csv("sales.csv")
        assert error.value.trouble is Trouble.SOURCE_UNAVAILABLE

    def test_records_of_a_project_without_a_ledger(self, report):
        """Before anything was recorded the frame is empty, and the source says so."""
        with cell() as shown:
            frame = report.records("daily_growth", "day", date(2017, 1, 1), date(2017, 11, 15))
        assert frame.empty
        assert shown[0].scraps["source:daily_growth (day record)"]["note"] == "nothing recorded"

    def test_records_of_a_ledger_by_address(self, report, folder):
        """A ledger that settings name by a database address is read where it is."""
        address = f"sqlite+pysqlite:///{folder / 'elsewhere.sqlite'}"
        (folder / "config" / "settings.yml").write_text(f"ledger: {address}\n")
        row = {"columns": ["day", "revenue"], "rows": [["2017-11-15", 5.0]]}
        ledger = Ledger.open(address)
        run = Run("r1", "daily_growth", "2017-11-15", "", datetime(2017, 11, 16, tzinfo=UTC))
        ledger.begin(run)
        ledger.finish(Result(run, records={"daily": row}))
        ledger.close()
        with cell():
            frame = report.records("daily_growth", "daily", date(2017, 11, 1), date(2017, 11, 15))
        assert frame.to_dict("records") == [{"day": "2017-11-15", "revenue": 5.0}]

    def test_a_missing_config_file(self, report, folder):
        """A config file that a report needs and that is not there is an error that names it."""
        (folder / "config" / "costs.yml").unlink()
        with pytest.raises(ConfigError, match=r"config/costs\.yml is not there"):
            _ = report.costs

    @pytest.mark.parametrize(("text", "said"), [("a: [", "is not YAML"), ("- a", "is not a mapping"), ("", "mapping")])
    def test_a_broken_config_file(self, report, folder, text, said):
        """A config file that is no YAML or no mapping is an error that names it."""
        (folder / "config" / "holidays.yml").write_text(text)
        with pytest.raises(ConfigError, match=r"config/holidays\.yml") as error:
            _ = report.holidays
        assert said in str(error.value)


class TestChecking:
    def test_pass_and_fail(self, report):
        """A check that holds is a pass without a trouble; one that does not is a stop with it and with its numbers."""
        with cell() as shown:
            report.check("adds up", ok=True, message="It adds up.", difference=0.0)
            report.check(
                "agrees", ok=False, message="Two differ.", trouble=Trouble.SOURCES_DISAGREE, pairs=2, p=math.nan
            )
        assert shown[0].scraps["finding:adds up"] == {
            "check": "adds up", "level": "pass", "message": "It adds up.", "trouble": None,
            "numbers": {"difference": 0.0},
        }  # fmt: skip
        assert shown[0].scraps["finding:agrees"]["level"] == "stop"
        assert shown[0].scraps["finding:agrees"]["numbers"] == {"pairs": 2, "p": None}
        assert Finding.of(shown[0].scraps["finding:agrees"]).trouble is Trouble.SOURCES_DISAGREE
        assert shown[0].printed == "pass  adds up: It adds up.\nstop  agrees: Two differ.\n"

    def test_a_warning(self, report):
        """A check may warn instead of stopping."""
        with cell():
            report.check("odd", ok=False, message="Odd.", otherwise="warn", trouble=Trouble.OUTLIER)
        assert report.findings[0].level is Level.WARN

    def test_an_unknown_level(self, report):
        """A level that is none is refused."""
        with pytest.raises(ValueError, match="maybe"):
            report.check("odd", ok=False, message="Odd.", otherwise="maybe")

    def test_a_cell_run_again(self, report):
        """By hand a check that is made again replaces what it found before."""
        with cell():
            report.check("odd", ok=True, message="Fine.")
            report.check("even", ok=True, message="Fine.")
            report.check("odd", ok=False, message="Not fine.")
        assert [(one.check, str(one.level)) for one in report.findings] == [("odd", "stop"), ("even", "pass")]

    def test_the_same_name_twice(self, folder):
        """In a run two checks of one name are refused, since one would hide the other."""
        report = Report("daily_growth", "2017-11-15", folder, run="a-run")
        with cell():
            report.check("odd", ok=True, message="Fine.")
            with pytest.raises(ValueError, match="Two checks are called 'odd'"):
                report.check("odd", ok=False, message="Not fine.")
        assert len(report.findings) == 1

    def test_require_goes_on(self, report):
        """What is required and there is a pass, and the notebook goes on."""
        with cell() as shown:
            report.require("data", ok=True, message="There are data.")
        assert shown[0].scraps["finding:data"]["level"] == "pass"

    def test_require_stops_with_the_finding_recorded(self, report):
        """What is required and missing stops the report at once, and the finding has been handed over before."""
        with cell() as shown, pytest.raises(ReportStopped) as error:
            report.require(
                "data", ok=False, message="No data.", remedy="Load them.", trouble=Trouble.SOURCE_UNAVAILABLE
            )
        assert str(error.value) == "No data. Load them."
        assert error.value.trouble is Trouble.SOURCE_UNAVAILABLE
        assert shown[0].scraps["finding:data"]["trouble"] == "source unavailable"

    def test_require_day(self, report):
        """The as-of day has sales, and the finding counts them."""
        with cell() as shown:
            report.require_day()
        assert shown[0].scraps["finding:sales of the day"]["message"] == "2 till lines for 15 Nov 2017."

    def test_a_day_without_sales(self, folder):
        """A day after the data stops with one sentence that names the last day there is."""
        report = Report("daily_growth", "2018-06-01", folder)
        with cell(), pytest.raises(ReportStopped) as error:
            report.require_day()
        assert error.value.what == "There are no sales for 1 Jun 2018 in the warehouse; its last day is 16 Nov 2017."
        assert "up to 2017-11-16" in error.value.remedy

    def test_a_day_before_all_sales(self, folder):
        """A day before the data stops as clearly, although there is no last day to name."""
        report = Report("daily_growth", "2016-01-01", folder)
        with cell(), pytest.raises(ReportStopped, match=r"no sales for 1 Jan 2016 .* Choose a later as-of date"):
            report.require_day()

    def test_contract(self, report):
        """A table that keeps its contract is a pass."""
        with cell() as shown:
            report.contract("transactions")
        assert shown[0].scraps["finding:schema of transactions"]["level"] == "pass"

    def test_a_broken_contract_stops(self, report):
        """A table that breaks its contract stops the report, with the finding handed over."""
        report.warehouse.execute("CREATE OR REPLACE VIEW transactions AS SELECT 1 AS one")
        with cell() as shown, pytest.raises(ReportStopped, match="column household_id is missing") as error:
            report.contract("transactions")
        assert error.value.trouble is Trouble.SCHEMA_CHANGED
        assert shown[0].scraps["finding:schema of transactions"]["level"] == "stop"

    def test_contract_of_a_frame(self, report, folder):
        """A frame in memory is held against a contract of the project."""
        (folder / "config" / "contracts" / "sales.yml").write_text("columns: {sold: {type: int64, min: 0}}\n")
        with cell():
            report.contract("sales", pd.DataFrame({"sold": [1]}))
        assert report.findings[0].level is Level.PASS

    def test_watch(self, report):
        """Watching a frame records one finding for its days and one for each metric, and gives the bands back."""
        days = pd.date_range("2017-09-01", "2017-11-15")
        frame = pd.DataFrame({"day": days, "sold": [100.0 + day.day_of_week for day in days]})
        with cell() as shown:
            found = report.watch(frame, {"sold": Metric("Sold")}, main="sold")
        assert list(shown[0].scraps) == ["finding:every day present once", "finding:usual range of sold"]
        assert list(found) == ["sold"]

    def test_show_findings(self, report):
        """The findings are shown as one block, in the order in which they were made."""
        with cell():
            report.check("a", ok=True, message="A.")
            report.check("b", ok=False, otherwise="warn", message="B.", trouble=Trouble.OUTLIER)
        with cell() as shown:
            report.show_findings()
        (block,) = shown[0].blocks
        assert [(item["check"], item["level"]) for item in block["items"]] == [("a", "pass"), ("b", "warn")]

    def test_show_findings_stops(self, report):
        """With a stop among them the findings are shown, and then the report stops with its trouble."""
        with cell():
            report.check("a", ok=False, message="Sources differ.", trouble=Trouble.SOURCES_DISAGREE)
        with cell() as shown, pytest.raises(ReportStopped, match="Sources differ") as error:
            report.show_findings()
        assert shown[0].blocks[0]["type"] == "findings"
        assert error.value.trouble is Trouble.SOURCES_DISAGREE


class TestFigures:
    def test_is_glued(self, report):
        """A figure is handed over with the text that readers see."""
        with cell() as shown:
            figure = report.figure("revenue", 21.5, label="Revenue", unit="usd2", prior=Prior(10.0, "Tue 14 Nov"))
        assert Figure.of(shown[0].scraps["figure:revenue"]) == figure
        assert (figure.text, figure.change, figure.tone) == ("$21.50", "+115.0% vs Tue 14 Nov", "good")

    def test_a_cell_run_again(self, report):
        """By hand a figure that is glued again replaces the one before."""
        with cell():
            report.figure("x", 1, label="X")
            report.figure("x", 2, label="X")
        assert report.figures["x"].value == 2

    def test_the_same_name_twice(self, folder):
        """In a run two figures of one name are refused."""
        report = Report("daily_growth", "2017-11-15", folder, run="a-run")
        with cell():
            report.figure("x", 1, label="X")
            with pytest.raises(ValueError, match="Two figures are called 'x'"):
                report.figure("x", 2, label="X")
        assert report.figures["x"].value == 1

    def test_nan_is_refused(self, report):
        """A figure that is not finite is neither handed over nor remembered."""
        with cell() as shown, pytest.raises(ValueError, match="'x' has no finite value"):
            report.figure("x", math.nan, label="X")
        assert shown[0].scraps == {}
        assert report.figures == {}

    def test_tiles(self, report):
        """Tiles show label, text, change and note of the figures given, in that order."""
        with cell():
            one = report.figure("a", 1, label="A & B", note="so & so")
            two = report.figure("b", -2, label="B", prior=Prior(1.0, "before"))
        with cell() as shown:
            report.tiles(two, one)
        (block,) = shown[0].blocks
        assert [tile["name"] for tile in block["tiles"]] == ["b", "a"]
        assert block["tiles"][0]["tone"] == "bad"
        assert "A &amp; B" in shown[0].outputs[0]["text/html"]
        assert shown[0].outputs[0]["text/plain"].splitlines()[1] == "A & B: 1"

    def test_show_figures(self, report):
        """Every figure stands in one table with its text, what it was before and the change."""
        with cell():
            report.figure("a", 110.0, label="Revenue", unit="usd", prior=Prior(100.0, "before"))
            report.figure("b", 3, label="Shops", note="all of them")
        with cell() as shown:
            report.show_figures()
        assert [row[:2] for row in shown[0].blocks[0]["rows"]] == [["Revenue", "$110"], ["Shops", "3"]]
        assert "+10.0% vs before" in shown[0].blocks[0]["rows"][0]


def paragraph(shown):
    """Read the report of a single markdown output the way the renderer does, as text."""
    (data,) = shown.outputs
    output = nbformat.v4.new_output("display_data", data=data)
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title"),
            nbformat.v4.new_code_cell("say", execution_count=1, outputs=[output]),
        ]
    )
    return repr(document_of(notebook).blocks[-1])


class TestSay:
    def test_figures_by_name(self, report):
        """A name in braces is the text of that figure, or a word given."""
        with cell():
            report.figure("revenue", 1234.0, label="Revenue", unit="usd")
        with cell() as shown:
            report.say("On {day} **{revenue}** came in.", day="Monday")
        assert shown[0].outputs[0]["text/plain"] == "On Monday **$1,234** came in."

    def test_dollars_are_no_formula(self, report):
        """Two amounts in one sentence are two amounts, in JupyterLab and in the report, and nothing becomes maths."""
        with cell():
            report.figure("low", 5.0, label="Low", unit="usd")
        with cell() as shown:
            report.say("From {low} to **{high}** (or $x$).", high="$7")
        assert shown[0].outputs[0]["text/markdown"] == r"From \$5 to **\$7** (or $x$)."
        found = paragraph(shown[0])
        assert "From $5 to" in found
        assert "$7" in found
        assert found.count("Maths(") == 1

    def test_an_unknown_name(self, report):
        """A name that is no figure and no word is an error that names it."""
        with pytest.raises(KeyError, match="revenu"):
            report.say("It was {revenu}.")


class TestTablesAndCharts:
    def test_table(self, report):
        """A table is shown as a block, as aligned text and as HTML."""
        with cell() as shown:
            report.table(pd.DataFrame({"day": pd.to_datetime(["2017-11-15"]), "sold": [3]}), "t", "Sold", total=True)
        (data,) = shown[0].outputs
        assert set(data) == {BLOCK_MIME, "text/plain", "text/html"}
        assert (data[BLOCK_MIME]["rows"], data[BLOCK_MIME]["total"]) == ([["15 Nov 2017", "3"]], True)

    def chart(self):
        """Draw something small."""
        chart, (axis,) = charts.canvas(1.5)
        axis.plot([1, 2], [1, 2])
        return chart

    def test_chart(self, report):
        """A chart is shown as SVG and PNG with its block, and its alt text travels in the output's metadata."""
        with cell() as shown:
            report.chart(self.chart(), "sold", "Sold", "A line that rises.", caption="Note.", half=True)
        (data,), (metadata,) = shown[0].outputs, shown[0].metadata
        assert set(data) == {BLOCK_MIME, "image/svg+xml", "image/png", "text/plain"}
        assert data[BLOCK_MIME] == {
            "type": "chart", "name": "sold", "title": "Sold", "alt": "A line that rises.", "caption": "Note.",
            "half": True,
        }  # fmt: skip
        assert {kind: data_["alt"] for kind, data_ in metadata.items()} == dict.fromkeys(
            ("image/svg+xml", "image/png"), "A line that rises."
        )

    def test_a_blank_chart_is_refused(self, report):
        """A chart on which nothing was drawn is refused by name and not shown."""
        chart, (axis,) = charts.canvas(1.5)
        axis.plot([], [])
        with cell() as shown, pytest.raises(ValueError, match="'sold' is empty"):
            report.chart(chart, "sold", "Sold", "Nothing.")
        assert shown[0].outputs == []

    @pytest.mark.parametrize("alt", ["", "  \n"])
    def test_alt_text_is_required(self, report, alt):
        """A chart without a text for those who cannot see it is refused by name."""
        with cell() as shown, pytest.raises(ValueError, match="'sold' has no alt text"):
            report.chart(self.chart(), "sold", "Sold", alt)
        assert shown[0].outputs == []

    def test_an_empty_table_is_refused(self, report):
        """A table without rows is refused by name and not shown."""
        with cell() as shown, pytest.raises(ValueError, match="'t' is empty"):
            report.table(pd.DataFrame({"a": []}), "t", "Nothing")
        assert shown[0].outputs == []

    def test_show_bands(self, report):
        """Bands are shown as one chart of the main metric and one table of all."""
        days = pd.date_range("2017-08-01", "2017-11-15")
        frame = pd.DataFrame({"day": days, "sold": [100.0 + day.day_of_week for day in days]}).assign(seen=7.0)
        metrics = {"sold": Metric("Sold"), "seen": Metric("Seen")}
        with cell():
            found = report.watch(frame, metrics, main="sold")
        with cell() as shown:
            report.show_bands(found, metrics, "sold")
        assert [(block["type"], block["name"]) for block in shown[0].blocks] == [
            ("chart", "usual_sold"), ("table", "usual_ranges"),
        ]  # fmt: skip
        assert [row[0] for row in shown[0].blocks[1]["rows"]] == ["Sold", "Seen"]

    def test_note(self, report):
        """A note has a tone, a title and a text, and its markup is text in HTML."""
        with cell() as shown:
            report.note("A <b>", "1 < 2", "warn")
        assert shown[0].blocks == [{"type": "note", "tone": "warn", "title": "A <b>", "text": "1 < 2"}]
        assert "A &lt;b&gt;" in shown[0].outputs[0]["text/html"]


class TestHandingOver:
    def test_record(self, report):
        """A record is its columns and rows, days as ISO text and money as plain numbers."""
        frame = pd.DataFrame({"day": pd.to_datetime(["2017-11-14", "2017-11-15"]), "sold": [3, 4], "rate": [0.5, None]})
        with cell() as shown:
            report.record("day", frame)
        assert shown[0].scraps["record:day"] == {
            "columns": ["day", "sold", "rate"], "rows": [["2017-11-14", 3, 0.5], ["2017-11-15", 4, None]],
        }  # fmt: skip

    @pytest.mark.parametrize(
        "frame", [pd.DataFrame({"sold": [1]}), pd.DataFrame({"day": ["2017-11-15"] * 2, "sold": [1, 2]})]
    )
    def test_record_needs_each_day_once(self, report, frame):
        """A record without days, or with a day twice, is refused by name."""
        with pytest.raises(ValueError, match="'day' needs a column `day` with each day once"):
            report.record("day", frame)

    def test_show_sources(self, report):
        """The data section lists rows and days as of the as-of day, with the fingerprint of the data."""
        with cell() as shown:
            report.show_sources("transactions", "products", "experiments")
        assert shown[0].scraps["source:transactions"] == {
            "rows": 3, "as_of": "2017-11-15", "sha256": warehouse.fingerprint(report.project),
            "note": "14 Nov 2017 to 15 Nov 2017",
        }  # fmt: skip
        assert shown[0].scraps["source:products"]["note"] == "no dates"
        rows = shown[0].blocks[0]["rows"]
        assert [row[0] for row in rows] == ["transactions", "products", "experiments"]
        assert rows[0][-1] == warehouse.fingerprint(report.project)[:12]


RANDOMISED = "{assignment: randomised, planned_share: 0.2}"
OBSERVATIONAL = "{assignment: observational, planned_share: null}"


class TestDesign:
    def design(self, folder, text):
        """Write config/experiments.yml and read the design of experiment 18."""
        (folder / "config" / "experiments.yml").write_text(text)
        return design_of(folder, 18)

    def test_shipped(self):
        """The shipped campaigns are observational without a planned share."""
        assert design_of(ROOT, 18) == Design("observational", None)
        assert design_of(ROOT, 18).observational

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("experiments: {18: {assignment: randomised, planned_share: 0.5}}", Design("randomised", 0.5)),
            ("experiments: {17: {assignment: randomised, planned_share: 0.5}}", Design()),
            ("defaults: {assignment: randomised, planned_share: 0.2}", Design("randomised", 0.2)),
            (f"defaults: {RANDOMISED}\nexperiments: {{18: {OBSERVATIONAL}}}", Design()),
            ("defaults: null\nexperiments: {18: null}", Design()),
        ],
    )  # fmt: skip
    def test_own_entry_over_the_defaults(self, folder, text, expected):
        """An experiment's own entry wins over the defaults, and without either it is observational."""
        found = self.design(folder, text)
        assert found == expected
        assert found.observational == (found.assignment == "observational")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("experiments: {18: {assigned: randomised}}", "unknown key 'assigned'"),
            ("experiments: {18: {assignment: random}}", "assignment is 'random'"),
            ("experiments: {18: {assignment: randomised}}", "randomised and its planned_share is None"),
            ("experiments: {18: {planned_share: 0.5}}", "observational and its planned_share is 0.5"),
            ("experiments: {18: {assignment: randomised, planned_share: 1}}", "planned_share is 1"),
            ("experiments: {18: {assignment: randomised, planned_share: 0}}", "planned_share is 0"),
            ("experiments: {18: {assignment: randomised, planned_share: half}}", "planned_share is half"),
            ("experiments: {18: randomised}", "'randomised' is no entry"),
        ],
    )
    def test_nonsense(self, folder, text, said):
        """Each mistake is an error that names the file, the key and the remedy."""
        with pytest.raises(ConfigError, match=r"config/experiments\.yml") as error:
            self.design(folder, text)
        assert said in error.value.what
        assert error.value.remedy
