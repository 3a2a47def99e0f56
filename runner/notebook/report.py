"""`Report`: the one object through which a notebook reads, checks, shows and hands over.

The same notebook works when the runner executes it and when a person opens it in JupyterLab: the runner says where the
project is (RUNNER_PROJECT), a person is standing in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure as Canvas

from runner.errors import ReportStopped, Trouble
from runner.metrics.outliers import Band
from runner.metrics.periods import Span
from runner.model import BLOCK_MIME, Figure, Finding, Level
from runner.notebook import bands, charts, contracts, figures, loads, project, tables, warehouse
from runner.notebook.figures import Prior, day_text


class Report:
    """One report of one pipeline for one as-of day (ISO text or a date).

    Raises ConfigError when no project is found, and ReportStopped when `as_of` is not a day.
    """

    def __init__(self, pipeline: str, as_of: str | date, folder: Path | None = None, run: str | None = None) -> None:
        self.pipeline = pipeline
        #: The runner's name for this run; empty where a person runs the notebook, who may run a cell again.
        self.run = os.environ.get("RUNNER_RUN", "") if run is None else run
        try:
            self.as_of = date.fromisoformat(str(as_of)[:10])
        except ValueError as error:
            raise ReportStopped(f"The as-of date {as_of!r} is not a day.", "Write it like 2017-11-15.") from error
        self.project = project.find(folder or Path(os.environ.get("RUNNER_PROJECT", ".")))
        self.figures: dict[str, Figure] = {}
        self.findings: list[Finding] = []
        self._is_drawing = False
        charts.use()

    # reading

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """config/settings.yml."""
        return project.read(self.project, "settings.yml")

    @cached_property
    def costs(self) -> Mapping[str, Any]:
        """config/costs.yml: the assumed cost structure."""
        return project.read(self.project, "costs.yml")

    @cached_property
    def holidays(self) -> Mapping[str, Any]:
        """config/holidays.yml: the company's closed and named days."""
        return project.read(self.project, "holidays.yml")

    @cached_property
    def warehouse(self) -> duckdb.DuckDBPyConnection:
        """The warehouse as it stood at the end of the as-of day; nothing in it can be changed."""
        limits = warehouse.Limits.of(self.settings)
        path = warehouse.prepare(self.project, self._place, limits)
        return warehouse.connect(path, self.as_of, dict(self.costs["goods"]), limits)

    @property
    def _place(self) -> Path:
        """The warehouse file: the state that the runner has fetched and keeps for this run, else the project's."""
        return Path(os.environ.get("RUNNER_WAREHOUSE") or self.settings.get("warehouse", warehouse.PLACE))

    def csv(self, place: str) -> pd.DataFrame:
        """A CSV file of the project as a frame; it is listed among the report's sources."""
        path = self.project / place
        if not path.is_file():
            self.require(
                "source is there",
                ok=False,
                message=f"The source {place} is not there.",
                remedy="Put the file into the project folder, or correct its name in the notebook.",
                trouble=Trouble.SOURCE_UNAVAILABLE,
            )
        frame = pd.read_csv(path)
        self._source(place, len(frame), "", project.sha256(path), "a file of this project")
        return frame

    def records(self, pipeline: str, name: str, first: date, last: date) -> pd.DataFrame:
        """What `pipeline` recorded under `name` for the days first..last, one row a day, as the ledger holds it."""
        from runner.ledger import Ledger  # noqa: PLC0415  most notebooks need no ledger

        where = str(self.settings.get("ledger", "reports/ledger.sqlite"))
        place = where if "://" in where else self.project / where
        there = isinstance(place, str) or place.exists()
        rows = Ledger.open(place).records(pipeline, name, first, last) if there else []
        digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
        note = f"{day_text(rows[0]['day'])} to {day_text(rows[-1]['day'])}" if rows else "nothing recorded"
        self._source(f"{pipeline} ({name} record)", len(rows), str(last), digest, note)
        return pd.DataFrame(rows)

    # checking

    def check(
        self,
        name: str,
        *,
        ok: bool,
        message: str,
        otherwise: Level | str = Level.STOP,
        trouble: Trouble = Trouble.DATA_INCOMPLETE,
        **numbers: Any,
    ) -> None:
        """Record a finding: pass when `ok`, else the level `otherwise`. The numbers behind it go along."""
        level = Level.PASS if ok else Level(otherwise)
        kept = {key: tables.plain(value) for key, value in numbers.items()}
        self.add(Finding(name, level, message, None if ok else trouble, kept))

    def add(self, finding: Finding) -> None:
        """Record a finding that a check made, and print it. Raises ValueError when its name is taken (see `_once`)."""
        known = {one.check: one for one in self.findings}
        self._once("checks", finding.check, known)
        self.findings = list({**known, finding.check: finding}.values())
        _tell(f"finding:{finding.check}", finding.as_dict())
        _glue(f"finding:{finding.check}", finding.as_dict())
        text = f"{finding.level:<4}  {finding.check}: {finding.message}"
        # An echo for the analyst; readers see all checks together where `show_findings` stands.
        _show({BLOCK_MIME: {"type": "check", **finding.as_dict()}, "text/plain": text})

    def require(
        self, name: str, *, ok: bool, message: str, remedy: str = "", trouble: Trouble = Trouble.DATA_INCOMPLETE
    ) -> None:
        """Record a finding without which nothing after it makes sense; raises ReportStopped when it is not `ok`."""
        if not ok:
            self.add(Finding(name, Level.STOP, message, trouble, {}))
            raise ReportStopped(message, remedy, trouble)
        self.add(Finding(name, Level.PASS, message, None, {}))

    def contract(self, table: str, frame: pd.DataFrame | None = None) -> None:
        """Hold a table of the warehouse, or a frame, against `config/contracts/<table>.yml`.

        Raises ReportStopped when it breaks it: arithmetic on a table of another shape means nothing.
        """
        contract = contracts.load(self.project / "config" / "contracts" / f"{table}.yml")
        if frame is not None:
            finding = contracts.check_frame(frame, contract)
        else:
            finding = contracts.check(self.warehouse, contract)
        self.add(finding)
        if finding.level is Level.STOP:
            raise ReportStopped(finding.message, "Mend the source, or change its contract.", Trouble.SCHEMA_CHANGED)

    def watch(self, daily: pd.DataFrame, metrics: Mapping[str, bands.Metric], main: str) -> dict[str, Band]:
        """Check a frame of daily figures: each day there once, and the last one of each metric within its band.

        `main` names the column that may never be zero. Returns the bands, for `bands.draw` and `show_bands`.
        """
        self.add(bands.gaps(daily, main, self.holidays))
        found = bands.bands(daily, metrics, self.holidays)
        for name, band in found.items():
            self.add(bands.finding(band, metrics[name]))
        return found

    def require_day(self, day: date | None = None) -> None:
        """Stop unless the warehouse holds sales for the day (the as-of day unless given)."""
        wanted = day or self.as_of
        self._require_open(wanted)
        lines, last = self.warehouse.execute(
            "SELECT coalesce(CAST(sum(lines) FILTER (WHERE day = ?) AS BIGINT), 0), max(day) FROM days", [wanted]
        ).fetchone() or (0, None)
        known = f"its last day is {day_text(last)}" if last else "it holds none up to then"
        up_to = f"Choose an as-of date up to {last}" if last else "Choose a later as-of date"
        self.require(
            "sales of the day",
            ok=lines > 0,
            message=f"{lines:,} till lines for {day_text(wanted)}."
            if lines
            else f"There are no sales for {day_text(wanted)} in the warehouse; {known}.",
            remedy=f"{up_to}, or load the missing day, then run again.",
        )

    def _require_open(self, day: date) -> None:
        """A day on which the shops stay shut is no day without data: say which of the two it is."""
        if bands.closed_days(day, day, self.holidays):
            self.require(
                "shops were open",
                ok=False,
                message=f"On {day_text(day)} the shops are closed, so there is nothing to report.",
                remedy="Closed days are listed in config/holidays.yml (closed_on).",
            )

    def require_history(self, days: int) -> None:
        """Stop unless the data begin at least `days` before the as-of day."""
        first = self.first_day
        self.require(
            "a past to compare with",
            ok=(self.as_of - first).days >= days,
            message=f"The data begin on {day_text(first)}; this report compares with the {days} days before it.",
            remedy=f"Choose an as-of date from {first + timedelta(days=days)} on.",
        )

    @cached_property
    def first_day(self) -> date:
        """The first day of the data."""
        row = self.warehouse.execute("SELECT min(day) FROM days").fetchone()
        return row[0] if row and row[0] else self.as_of

    # showing

    def figure(  # noqa: PLR0913  each is one thing that the reader sees
        self,
        name: str,
        value: Any,
        *,
        label: str,
        unit: str = "count",
        prior: Prior | None = None,
        note: str = "",
    ) -> Figure:
        """Glue a number that readers are shown. Raises ValueError when it is not finite or its name is taken."""
        self._once("figures", name, self.figures)
        figure = figures.figure(name, value, label=label, unit=unit, prior=prior, note=note)
        self.figures[name] = figure
        _glue(f"figure:{name}", figure.as_dict())
        return figure

    def say(self, template: str, **words: Any) -> None:
        """A paragraph in markdown; `{name}` stands for the text of the figure `name`, or for a given word.

        A dollar before a digit is money, not the beginning of a formula.
        """
        texts = {**{name: figure.text for name, figure in self.figures.items()}, **words}
        text = template.format_map(texts)
        _show({"text/markdown": _money(text), "text/plain": text})

    def tiles(self, *shown: Figure) -> None:
        """Figures as tiles, each with its change against the prior period."""
        keys = ("name", "label", "text", "change", "tone", "note")
        tiles = [{key: getattr(figure, key) for key in keys} for figure in shown]
        lines = [f"{tile['label']}: {tile['text']}  {tile['change']}".rstrip() for tile in tiles]
        _block({"type": "kpis", "tiles": tiles}, "\n".join(lines), _tiles_html(tiles))

    def table(  # noqa: PLR0913  each is one thing that the reader sees
        self,
        frame: pd.DataFrame,
        name: str,
        caption: str,
        *,
        units: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        total: bool = False,
    ) -> None:
        """A frame as a table; its values travel with the PDF as CSV. Raises ValueError when it is empty."""
        block = tables.block(frame, name, caption, tables.Layout(units or {}, labels or {}, total))
        _block(block, tables.as_text(block), tables.as_html(block))

    def chart(  # noqa: PLR0913  each is one thing that the reader sees
        self, chart: Canvas, name: str, title: str, alt: str, *, caption: str = "", half: bool = False
    ) -> None:
        """A chart with its title and a text that says what it shows. Raises ValueError when nothing is drawn."""
        if charts.is_blank(chart):
            raise ValueError(f"The chart {name!r} is empty; say so in words instead of showing it.")
        if not alt.strip():
            raise ValueError(f"The chart {name!r} has no alt text; say what it shows in a sentence.")
        self._end_reading()
        block = {"type": "chart", "name": name, "title": title, "alt": alt, "caption": caption, "half": half}
        svg, png = charts.pictures(chart)
        pictures = {"image/svg+xml": svg, "image/png": base64.b64encode(png).decode()}
        metadata = {kind: {"alt": alt} for kind in pictures}
        text = f"[chart] {title}. {alt}"
        _show({BLOCK_MIME: block, **pictures, "text/plain": text}, metadata)

    def _end_reading(self) -> None:
        """Before the first chart, which takes memory of its own: many kernels read and draw side by side."""
        if not self._is_drawing and "warehouse" in self.__dict__:
            warehouse.rest(self.warehouse)
        self._is_drawing = True

    def show_bands(self, found: Mapping[str, Band], metrics: Mapping[str, bands.Metric], main: str) -> None:
        """The chart of one metric in its usual range, and the table of all that are watched."""
        chart, (axis,) = charts.canvas(2.3)
        alt = bands.draw(axis, found[main], metrics[main])
        self.chart(chart, f"usual_{main}", f"{metrics[main].label}: each day against its usual range", alt)
        frame = bands.table(found, metrics)
        last = found[main].day().date
        caption = f"Usual ranges on {day_text(last)}, each learnt from the days before it alone"
        self.table(frame, "usual_ranges", caption, units=bands.UNITS, labels=bands.LABELS)

    def note_special_days(self, now: Span, before: Span) -> None:
        """A note for the reader when either of two spans that are compared holds a special or a closed day."""
        text = bands.special_note(now, before, self.holidays)
        if text:
            self.note("Special days.", text, "warn")

    def show_figures(self) -> None:
        """Every figure of this report in one table: what it is, what it was before, and how it changed."""
        rows = [
            {
                "figure": figure.label,
                "value": figure.text,
                "before": "" if figure.prior is None else figures.shown(figure.prior, figure.unit),
                "change": figure.change or figure.note,
            }
            for figure in self.figures.values()
        ]
        labels = {"before": "Before", "change": "Change, or what it rests on"}
        caption = f"The key figures, as of {day_text(self.as_of)}"
        units = {"value": "figure", "before": "figure"}
        self.table(pd.DataFrame(rows), "key_figures", caption, units=units, labels=labels)

    def note(self, title: str, text: str, tone: str = "info") -> None:
        """A boxed remark in one paragraph of markdown; `tone` is info, warn or stop."""
        html = f"<blockquote><strong>{escape(title)}</strong> {escape(text)}</blockquote>"
        _block({"type": "note", "tone": tone, "title": title, "text": _money(text)}, f"{title}: {text}", html)

    def show_findings(self) -> None:
        """Every finding so far, as the reader sees it. Raises ReportStopped when one of them is a stop."""
        items = [*_supplied(), *(finding.as_dict() for finding in self.findings)]
        text = "\n".join(f"{item['level']:<4}  {item['check']}: {item['message']}" for item in items)
        _block({"type": "findings", "items": items}, text, f"<pre>{escape(text)}</pre>")
        stops = [finding for finding in self.findings if finding.level is Level.STOP]
        if stops:
            raise ReportStopped(stops[0].message, "Mend the cause, then run it again.", _trouble(stops[0]))

    # handing over

    def record(self, name: str, frame: pd.DataFrame) -> None:
        """Rows, one a day, that later reports rest on. The runner keeps them when this report passes the gate."""
        if "day" not in frame or frame["day"].duplicated().any():
            raise ValueError(f"The record {name!r} needs a column `day` with each day once.")
        rows = [[tables.plain(cell) for cell in row] for row in frame.astype(object).itertuples(index=False)]
        _glue(f"record:{name}", {"columns": list(map(str, frame)), "rows": rows})

    def show_sources(self, *names: str) -> None:
        """The data section: each table with its rows and days as this report saw them."""
        digest = warehouse.fingerprint(self.project, self._place, self.as_of)
        landed = warehouse.landed(self.project / self._place)
        for name in names:
            count, first, last = self.warehouse.execute(
                f'SELECT count(*), {_day_span(name)} FROM "{name}"'
            ).fetchone() or (0, None, None)
            note = f"{day_text(first)} to {day_text(last)}" if first else "no dates"
            self._source(name, count, str(last or ""), digest, note)
        listed = [{"source": name, **source} for name, source in self._sources.items()]
        frame = pd.DataFrame(listed)[["source", "rows", "note", "sha256"]]
        if landed:
            frame.insert(1, "served_by", [loads.served_by(landed, name, self.as_of) or "–" for name in frame["source"]])
        frame["sha256"] = frame["sha256"].str[:12]
        labels = {"note": "Days covered", "sha256": "Fingerprint of the whole source"}
        labels |= {"served_by": "Served by"} if landed else {}
        self.table(frame, "sources", f"Sources as of {day_text(self.as_of)}", labels=labels)

    @cached_property
    def _sources(self) -> dict[str, dict[str, Any]]:
        return {}

    def _source(self, name: str, rows: int, as_of: str, digest: str, note: str) -> None:
        self._sources[name] = {"rows": rows, "as_of": as_of, "sha256": digest, "note": note}
        _glue(f"source:{name}", self._sources[name])

    def _once(self, kind: str, name: str, taken: Mapping[str, Any]) -> None:
        """Refuse a name that is taken, for one would hide the other; by hand a cell that is run again replaces."""
        if self.run and name in taken:
            raise ValueError(f"Two {kind} are called {name!r}; give each a name of its own.")

    # periods

    @property
    def day(self) -> str:
        """The as-of day in words, like `Wednesday 15 November 2017`."""
        return f"{self.as_of:%A} {self.as_of.day} {self.as_of:%B %Y}"


def _money(markdown: str) -> str:
    return re.sub(r"(?<!\\)\$(?=\d)", r"\\$", markdown)


def _trouble(finding: Finding) -> Trouble:
    return finding.trouble or Trouble.DATA_INCOMPLETE


def _tell(name: str, data: Mapping[str, Any]) -> None:
    """Note a finding where clearing an output does not reach; the runner compares (`runner.report.scraps.compare`)."""
    place = os.environ.get("RUNNER_TOLD")
    if place:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, data]) + "\n")


def _supplied() -> list[dict[str, Any]]:
    """What the runner found of the tables that it has fetched for this run."""
    place = os.environ.get("RUNNER_SUPPLY")
    return list(json.loads(Path(place).read_text(encoding="utf-8"))) if place else []


def _glue(name: str, data: Mapping[str, Any]) -> None:
    """Hand a scrap over in the executed notebook; scrapbook shows nothing of it."""
    import scrapbook  # noqa: PLC0415 - brings papermill with it; a warm kernel has both already

    scrapbook.glue(name, dict(data), encoder="json")


def _block(block: Mapping[str, Any], text: str, html: str) -> None:
    _show({BLOCK_MIME: dict(block), "text/plain": text, "text/html": html})


def _show(data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
    display(dict(data), metadata=dict(metadata or {}), raw=True)  # type: ignore[no-untyped-call]


def _tiles_html(tiles: Sequence[Mapping[str, str]]) -> str:
    cells = "".join(
        '<td style="text-align:left;vertical-align:top;padding:8px 16px;border-top:3px solid #16324f">'
        f"<small>{escape(tile['label'])}</small><br><b style='font-size:1.4em'>{escape(tile['text'])}</b><br>"
        f"<small>{escape(tile['change'] or tile['note'])}</small></td>"
        for tile in tiles
    )
    return f"<table><tr>{cells}</tr></table>"


def _day_span(table: str) -> str:
    spans = {"experiments": "min(starts_on), max(starts_on)"}
    return spans.get(table, "min(day), max(day)" if table in warehouse.DATED else "NULL, NULL")
