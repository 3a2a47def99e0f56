"""The HTML report: self-contained, safe, accessible; and how tables are laid out and exported."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.document import formulas, readback, render, tables
from runner.document.blocks import Column, Table, Text, document_of
from runner.errors import RenderingFailed
from runner.model import BLOCK_MIME
from tests import report_samples as samples

CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs")), max_size=40)


class Outline(HTMLParser):
    """The open tags of a page, in order, with their attributes; complains when tags do not close in order."""

    VOID = frozenset({"meta", "br", "img", "hr", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.errors = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append(tag)

    def named(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def page_of(*cells, meta=None):
    return render.html(document_of(samples.notebook(*cells, meta=meta)))


def grid(rows, **more):
    """A table of printed texts."""
    wide = max(len(row) for row in rows)
    columns = tuple(Column(f"c{at}", "left" if at == 0 else "right") for at in range(wide))
    return Table(columns, tuple(tuple((Text(cell),) for cell in row) for row in rows), **more)


# --- HTML ---


def test_the_page_is_well_formed():
    """Every tag of the rich report closes in order."""
    outline = Outline(samples.rich_html())
    assert outline.errors == []
    assert outline.stack == []


def test_the_page_reaches_nothing_outside():
    """No address but `data:` and `#` is fetched; the policy in the head forbids the rest."""
    text = samples.rich_html()
    assert readback.read_html(text).outside == ()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:" in text
    outside = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert outside == {"https://example.org/fuel"}, "only the link that a reader may click"


def test_the_page_has_landmarks_and_a_skip_link():
    """One header, one main, one nav with a name, one footer, and a first link that leads to main."""
    outline = Outline(samples.rich_html())
    assert [len(outline.named(tag)) for tag in ("header", "main", "nav", "footer", "h1")] == [1, 1, 1, 1, 1]
    assert outline.named("a")[0]["href"] == f"#{outline.named('main')[0]['id']}"
    assert outline.named("nav")[0]["aria-labelledby"] == "contents-title"
    assert outline.named("html")[0]["lang"] == "en"


def test_the_contents_lead_to_headings_that_exist():
    """Every entry of the contents has its target, and ids are unique."""
    outline = Outline(samples.rich_html())
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    targets = [attrs["href"][1:] for attrs in outline.named("a") if attrs["href"].startswith("#")]
    assert len(ids) == len(set(ids))
    assert set(targets) <= set(ids)
    assert len(targets) >= 6


def test_tables_have_captions_and_scopes():
    """Column heads have scope col, row heads scope row, and the total stands out by its class."""
    text = samples.rich_html()
    outline = Outline(text)
    assert {attrs.get("scope") for attrs in outline.named("th")} == {"col", "row"}
    assert ">Revenue, discounts and margin by department, dollars</figcaption>" in text
    names = {attrs["id"] for attrs in outline.named("figcaption") if "id" in attrs}
    assert names
    assert {attrs["aria-labelledby"] for attrs in outline.named("table") if "aria-labelledby" in attrs} == names
    assert text.count('<tr class="total">') == 1


def test_every_picture_has_its_alt_text_and_is_inlined():
    """Charts and formulas are data addresses with alternative texts."""
    images = Outline(samples.rich_html()).named("img")
    assert len(images) == 6
    assert all(image["alt"] and image["src"].startswith("data:image/svg+xml;base64,") for image in images)


def test_colour_is_never_the_only_sign():
    """Tones come with a shape and with words for screen readers, findings with a shape and a word."""
    text = samples.rich_html()
    assert '<span class="shape" aria-hidden="true">▼</span> −0.4 pp' in text
    assert "(unfavourable)" in text
    assert '<span aria-hidden="true">▲</span> Warning' in text


def test_a_sign_stays_with_its_amount_on_the_page():
    """A browser may break between − and $: the two are held together wherever readers meet them, and read the same."""
    tile = {"label": "Profit", "text": "−$1.29", "note": "from −$4.16 to +$1.58"}
    text = page_of(
        "It lies at −$10.18 & **+$3**.",
        samples.cell(
            samples.block({"type": "kpis", "tiles": [tile]}), samples.table("t", "c", ["a", "b"], [["−$7", 1]])
        ),
    )
    for amount in ("−$1.29", "−$4.16", "+$1.58", "−$10.18", "+$3", "−$7"):
        assert f'<span style="white-space:nowrap">{amount}</span>' in text
    assert "It lies at −$10.18 & +$3." in readback.read_html(text).words


def test_the_page_suits_a_phone():
    """Charts scale, tables scroll within a region that can be reached, and captions stand outside of it and wrap."""
    text = samples.rich_html()
    assert ".chart img{display:block;width:100%;max-width:100%;height:auto}" in text
    assert "min-width:30rem" not in text
    regions = re.findall(r'<div class="scroll" role="region" tabindex="0".*?</div>', text, re.DOTALL)
    assert len(regions) == len(Outline(text).named("table"))
    assert not any("<figcaption" in region or "<caption" in region for region in regions)
    assert '<th scope="row" class="left short">2017-01-01</th>' in text


def test_the_same_document_gives_the_same_page():
    """Rendering twice gives equal text: no clock, no random names."""
    assert render.html(samples.rich_document()) == samples.rich_html()


def test_half_charts_stand_in_pairs():
    """Two neighbouring half charts share a row; a third stands alone."""
    charts = [samples.chart(name, name, half=True) for name in "abc"]
    text = page_of(samples.cell(*charts))
    assert text.count('<div class="pair">') == 1
    assert text.count('class="chart half"') == 3


def test_text_is_escaped_wherever_it_stands():
    """Markup in titles, tiles, cells, captions, alt texts, findings and prints arrives as characters."""
    evil = "<img src=x onerror=alert(1)>\"'&"
    text = page_of(
        samples.cell(
            samples.block({"type": "kpis", "tiles": [{"label": evil, "text": evil, "change": evil, "note": evil}]}),
            samples.table(evil, evil, [evil, "b"], [[evil, 1]]),
            samples.chart(evil, evil, evil, caption=evil),
            samples.block({"type": "note", "title": evil, "text": "x"}),
            samples.block({"type": "findings", "items": [{"check": evil, "level": "warn", "message": evil}]}),
            samples.output(text__plain=evil),
        ),
        meta={"title": evil, "company": evil, "subtitle": evil, "confidential": evil, "run": evil, "owners": [evil]},
    )
    outline = Outline(text)
    assert not any("onerror" in attrs for _, attrs in outline.tags)
    assert outline.errors == []
    assert readback.read_html(text).outside == ()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.text(max_size=60))
def test_no_text_breaks_the_page(words, title):
    """Whatever a notebook says, the page stays well-formed, fetches nothing and runs nothing."""
    text = page_of(
        samples.cell(samples.output(text__markdown=words), samples.output(text__html=words)),
        samples.cell(samples.block({"type": "kpis", "tiles": [{"label": title, "text": words}]})),
        meta={"title": title, "subtitle": words},
    )
    assert Outline(text).errors == []
    assert readback.read_html(text).outside == ()


def test_a_bad_svg_falls_back_to_its_png():
    """A chart whose SVG is broken or looks outside is shown by its PNG."""
    text = page_of(samples.cell(samples.chart("a", "A", svg="<svg><image href='http://evil.org/x'/></svg>")))
    (image,) = Outline(text).named("img")
    assert image["src"].startswith("data:image/png;base64,")


def test_an_unfinished_run_is_labelled():
    """A report rendered from a stopped or failed run says that it must not be passed on."""
    for status, labelled in (("failed", True), ("stopped", True), ("ready", False), ("held", False)):
        assert ("This report is incomplete" in page_of("# T", meta={"status": status})) is labelled


def test_a_projects_template_wins_and_the_rest_comes_from_ours(tmp_path):
    """A template in the first folder replaces ours; colours it does not name stay ours."""
    (tmp_path / "report.html.j2").write_text("<p>{{ meta.title }} {{ theme.brand }} {{ theme.good }}</p>")
    (tmp_path / "theme.json").write_text(json.dumps({"brand": "#ff0000"}))
    text = render.html(document_of(samples.notebook("# T & U")), (tmp_path,))
    assert text == f"<p>T &amp; U #ff0000 {render.theme()['good']}</p>"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("report.html.j2", "{{ nothing.here }}"),
        ("report.html.j2", "{% if %}"),
        ("theme.json", "{"),
        ("theme.json", '{"brand": "red;}</style>"}'),
    ],
)
def test_a_broken_template_is_named(tmp_path, file, content):
    """An unknown name, bad syntax, bad JSON and a colour that is none are errors that name the file."""
    (tmp_path / file).write_text(content)
    with pytest.raises(RenderingFailed, match=re.escape(file)):
        render.html(samples.rich_document(), (tmp_path,))


# --- formulas ---


def test_formulas_are_drawn_with_their_source_as_alt_text():
    """A formula is a picture on the base line of its text; its source is what screen readers say."""
    drawn = formulas.draw(r"\frac{a}{b}")
    assert drawn is not None
    assert drawn.tex == r"\frac{a}{b}"
    assert 0 < drawn.depth < drawn.height


@pytest.mark.parametrize(
    "tex", [r"\frac{1", r"\begin{matrix}", "", "&", r"\href{javascript:x}{y}", "x" * 2000, r"\text{<script>}"]
)
def test_invalid_tex_is_shown_as_its_source(tex):
    """What cannot be drawn is never an error: it appears as code, or as harmless glyphs."""
    drawn = formulas.draw(tex)
    assert drawn is None or "<script" not in drawn.svg
    text = page_of(f"Here ${tex}$ it is." if tex else "none")
    assert Outline(text).errors == []


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from(list("\\{}^_&$ab12 ()<>%#~frac")), max_size=25))
def test_no_tex_crashes(tex):
    """Any soup of TeX is drawn or refused, never raised."""
    formulas.draw(tex)
    formulas.draw(tex, display=True)


# --- tables ---


def test_a_usual_table_is_set_in_the_usual_size_across_the_page():
    """Five columns fit at 7.6 points and fill the text width exactly."""
    plan = tables.layout(grid([["Grocery", "61,234", "−1,200", "17,321", "28.3"]]))
    assert plan.size == 7.6
    assert sum(plan.panels[0].widths) == pytest.approx(6.9 * 72, abs=0.1)


def test_a_wide_table_shrinks_then_splits():
    """Some more columns are set smaller; very many are split into panels that each begin with the first column."""
    shrunk = tables.layout(grid([["A", *["1,234,567"] * 10]]))
    assert (shrunk.size < 7.6, len(shrunk.panels)) == (True, 1)
    split = tables.layout(grid([["A", *["1,234,567"] * 24]]))
    assert len(split.panels) > 1
    assert all(panel.columns[0] == 0 for panel in split.panels)
    assert sorted(at for panel in split.panels for at in panel.columns if at) == list(range(1, 25))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=6, max_size=6), min_size=1, max_size=4))
def test_no_table_is_wider_than_the_page(rows):
    """Whatever the cells hold, no panel is wider than the text and no column is without width."""
    for panel in tables.layout(grid(rows)).panels:
        assert sum(panel.widths) <= 6.9 * 72 + 0.5
        assert min(panel.widths) > 5


@pytest.mark.parametrize("cell", ["=1+1", "+A1", "-A1", "@SUM(A1)", " =1", "\t=1", "-1+cmd|' /C calc'!A0"])
def test_csv_cells_never_start_a_formula(cell):
    """A text that a spreadsheet would run gets an apostrophe in front."""
    (row,) = list(csv.reader(io.StringIO(tables.csv_of(grid([[cell, "1"]])))))[1:]
    assert row[0].startswith("'")


def test_csv_numbers_stay_numbers():
    """Raw values stand in the CSV instead of printed texts; negative numbers keep their sign."""
    table = grid([["a", "−1,234"]], values=(("a", -1234), ("b", 0.1), ("c", None), ("d", True), ("-5", "-2.5e3")))
    rows = list(csv.reader(io.StringIO(tables.csv_of(table))))[1:]
    assert rows == [["a", "-1234"], ["b", "0.1"], ["c", ""], ["d", "true"], ["-5", "-2.5e3"]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_csv_reads_back(rows):
    """Every text survives the CSV, but for an apostrophe before formulas."""
    back = list(csv.reader(io.StringIO(tables.csv_of(grid(rows)), newline="")))[1:]
    assert [[cell.removeprefix("'") for cell in row] for row in back] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]


def test_long_words_can_break():
    """A word longer than a line gets invisible places to break, and reads the same."""
    word = "a" * 100
    assert "\u200b" in tables.breakable(word)
    assert readback.flow(tables.breakable(word)) == word
    assert tables.breakable("short words stay") == "short words stay"


def test_the_block_media_type_is_what_notebooks_use():
    """The samples speak the same media type as the model."""
    assert BLOCK_MIME in repr(samples.rich())
