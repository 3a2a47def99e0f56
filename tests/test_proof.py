"""The proof finds what is wrong in finished files, and passes what is right."""

from __future__ import annotations

import dataclasses
import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from runner.document import readback, render
from runner.document.blocks import Chart, Document, Kpis, Paragraph, Table, Text, document_of
from runner.errors import Trouble
from runner.model import Figure, Finding, Level
from runner.report import proof
from tests import report_samples as samples


def prove(document, figures=(), html=None, pdf=None):
    """The findings by check, rendering whatever file is not given."""
    html = render.html(document) if html is None else html
    pdf = render.pdf(document) if pdf is None else pdf
    return {finding.check.removeprefix("proof: "): finding for finding in proof.prove(document, figures, html, pdf)}


def stops(document, figures=(), html=None, pdf=None):
    """The names of the checks that stop."""
    found = prove(document, figures, html, pdf)
    assert all(finding.trouble is Trouble.PROOF_FAILED for finding in found.values() if finding.level is Level.STOP)
    return {name for name, finding in found.items() if finding.level is Level.STOP}


def changed(document, kind, change):
    """The document with each block of a kind put through `change`."""
    return dataclasses.replace(document, blocks=tuple(change(b) if isinstance(b, kind) else b for b in document.blocks))


def with_tile(document, at, **words):
    """The document with one tile's words replaced."""

    def change(block):
        tiles = list(block.tiles)
        tiles[at] = dataclasses.replace(tiles[at], **words)
        return Kpis(tuple(tiles))

    return changed(document, Kpis, change)


def said(words, **meta):
    """A document of one paragraph."""
    return document_of(samples.notebook("# T", words, meta=meta or None))


@functools.cache
def plain_files():
    """A small report with one chart, rendered once."""
    document = document_of(samples.notebook("# T", "Words.", samples.cell(samples.chart("a", "A"))))
    return document, render.html(document), render.pdf(document)


# --- what is right passes ---


def test_the_rich_report_is_proven():
    """All checks pass on the full report, with its figures."""
    findings = proof.prove(samples.rich_document(), samples.FIGURES, samples.rich_html(), samples.rich_pdf())
    assert [(finding.check, finding.message) for finding in findings if finding.level is not Level.PASS] == []
    assert len(findings) == 9


def test_a_plain_notebook_is_proven():
    """Other people's notebooks pass too."""
    assert stops(document_of(samples.plain_notebook())) == set()


def test_the_proof_is_fast():
    """Five pages with more than a hundred rows are proven in less than a second of processor time."""
    start = time.process_time()
    proof.prove(samples.rich_document(), samples.FIGURES, samples.rich_html(), samples.rich_pdf())
    assert time.process_time() - start < 1.0


def test_what_breaks_over_lines_is_still_found():
    """Long labels, wrapped cells, hyphens at line ends and cut words are read as one."""
    word = "antidisestablishment-" * 6
    document = document_of(
        samples.notebook(
            "# T",
            "Between 2017-11-15 and 2017-11-16 the long-drawn-out well-known seven-day end-of-month " * 6
            + "it was $1,234.",
            samples.cell(
                samples.table(
                    "t", "C", ["What", "b"], [[f"a long text that wraps {word} " * 6, 1], ["end-of-month " * 30, 2]]
                ),
                samples.block(
                    {
                        "type": "kpis",
                        "tiles": [{"label": "A rather long-winded label of a key figure " * 2, "text": "$12,345,678"}]
                        * 3,
                    }
                ),
            ),
        )
    )
    assert stops(document) == set()


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(
        st.tuples(st.text("abc déΩ-–,.%$/'()&", min_size=1, max_size=60), st.integers(-(10**9), 10**9)),
        min_size=1,
        max_size=6,
    )
)
def test_every_honest_table_is_proven(rows):
    """Whatever words and numbers a table holds, its own files prove it."""
    document = document_of(
        samples.notebook("# T", samples.cell(samples.table("t", "C", ["a", "b"], [list(row) for row in rows])))
    )
    assert prove(document)["tables"].level is Level.PASS


# --- numbers ---


@pytest.mark.parametrize(
    ("text", "words", "stands"),
    [
        ("12", "we sold 12 crates", True),
        ("12", "(12)", True),
        ("12", "it was 12.", True),
        ("12", "112", False),
        ("12", "121", False),
        ("12", "12.5", False),
        ("12", "1.12", False),
        ("12", "12,000", False),
        ("12", "1,12", False),
        ("12", "−12", False),
        ("12", "$12", False),
        ("12", "12 %", False),
        ("12", "12%", False),
        ("12", "12m", False),
        ("$12", "−$12", False),
        ("$12", "it cost $12, more", True),
        ("−$12", "from −$12 to", True),
        ("28.1 %", "margin 28.1 %", True),
        ("28.1 %", "margin 128.1 %", False),
        ("$3.91m", "US $3.91m", True),
        ("+4.2 %", "▲ +4.2 % on", True),
        ("4.2 %", "+4.2 %", False),
        ("grew", "outgrew", False),
        ("", "anything", True),
    ],
)
def test_a_number_is_proven_only_as_a_whole(text, words, stands):
    """A figure is not proven by a longer number, another sign, currency, unit or word."""
    assert proof.stands_in(text, words) is stands


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_no_number_proves_another(one, other):
    """Two printed numbers prove each other only when they are the same."""
    assert proof.stands_in(f"{one:,}", f"in all {other:,} rows") is (one == other)


def test_a_figure_changed_in_the_pdf_only_is_found():
    """A tile that says another number in the PDF stops the report, though the old number stands elsewhere in it."""
    document = samples.rich_document()
    other = render.pdf(with_tile(document, 0, text="$12,874"))
    found = prove(document, samples.FIGURES, samples.rich_html(), other)
    assert {name for name, finding in found.items() if finding.level is Level.STOP} == {"tiles"}
    assert found["tiles"].message == "the tile “Revenue, day” does not say $12,873 in the PDF."


def test_a_figure_changed_in_the_html_only_is_found():
    """The same for the HTML."""
    html = samples.rich_html().replace('<dd class="value">431</dd>', '<dd class="value">4310</dd>')
    assert "tiles" in stops(samples.rich_document(), samples.FIGURES, html, samples.rich_pdf())


def test_a_figure_that_is_glued_but_not_shown_is_found():
    """A figure that the notebook glued and the report does not print stops it."""
    ghost = Figure("ghost", 5, "5,555", "Ghost shoppers")
    assert "figures" in stops(
        samples.rich_document(), (*samples.FIGURES, ghost), samples.rich_html(), samples.rich_pdf()
    )


def test_a_figure_under_another_label_is_found():
    """The right number beside the wrong label is not the figure."""
    swapped = dataclasses.replace(samples.FIGURES[2], label="Households")
    assert "figures" in stops(samples.rich_document(), (swapped,), samples.rich_html(), samples.rich_pdf())


def test_a_figure_in_prose_counts_with_its_label_in_the_section():
    """A figure may stand in a sentence or a table instead of a tile, if its section names it."""
    document = said("The effect was +$1.20 a household.")
    effect = Figure("effect", 1.2, "+$1.20", "Effect")
    assert stops(document, (effect,)) == set()
    assert "figures" in stops(document, (dataclasses.replace(effect, text="$1.20"),))


def test_a_number_changed_in_prose_is_found():
    """A number in a sentence that differs in the PDF stops the report."""
    document = said("It rose to 1,204 baskets.")
    assert stops(document, pdf=render.pdf(said("It rose to 1,205 baskets."))) == {"numbers"}


def test_a_row_changed_in_one_file_is_found():
    """One digit of one cell of ninety rows is enough."""
    document = samples.rich_document()

    def change(table):
        rows = list(table.rows)
        if table.name != "days":
            return table
        rows[70] = (rows[70][0], (Text("499"),), *rows[70][2:])
        return dataclasses.replace(table, rows=tuple(rows))

    other = render.pdf(changed(document, Table, change))
    found = prove(document, samples.FIGURES, samples.rich_html(), other)
    assert found["tables"].level is Level.STOP
    assert "row 71 of “Baskets, revenue and returns by day” is not whole in the PDF" in found["tables"].message


def test_rows_in_the_wrong_columns_are_found():
    """Two cells that changed places are no longer the row."""
    document = samples.rich_document()
    html = samples.rich_html().replace(
        '<td class="right">61,234</td><td class="right">−1,200</td>',
        '<td class="right">−1,200</td><td class="right">61,234</td>',
    )
    assert "tables" in stops(document, samples.FIGURES, html, samples.rich_pdf())


def test_a_missing_table_is_found():
    """A table that the PDF lost stops the report."""
    document = samples.rich_document()
    without = dataclasses.replace(
        document, blocks=tuple(b for b in document.blocks if getattr(b, "name", "") != "departments")
    )
    assert "tables" in stops(document, samples.FIGURES, samples.rich_html(), render.pdf(without))


# --- words ---


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "NaN",
        "nan %",
        "$nan",
        "rose by inf",
        "-inf",
        "NaT",
        "<NA>",
        "Traceback (most recent call last)",
        "<Foo object at 0x7f3a>",
        "None",
        "—None—",
        "Revenue was None.",
        "from None to 5",
        "undefined",
        "null",
    ],
)
def test_missing_values_are_refused(text):
    """What a missing value or a failed programme leaves behind is found, alone or in a sentence."""
    assert proof.bad_words(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "None of the checks failed.",
        "All passed. None failed.",
        "“None” is their word",
        "finance",
        "banana",
        "information",
        "Infinity pool",
        "the ratio is undefined for empty baskets",
        "nonetheless",
        "Nan Goldin",
        "a null result",
        "inf-lation",
    ],
)
def test_ordinary_words_are_not_refused(text):
    """English words that look alike pass."""
    assert proof.bad_words(text) == []


def test_nan_in_a_table_is_found():
    """A cell that says nan stops the report, though both files agree on it."""
    document = document_of(samples.notebook("# T", samples.cell(samples.table("t", "C", ["a", "b"], [["x", "nan"]]))))
    assert stops(document) == {"words"}


def test_nan_in_a_tile_a_caption_and_a_finding_is_found():
    """No printed place is exempt."""
    for block in (
        {"type": "kpis", "tiles": [{"label": "a", "text": "5", "change": "nan %"}]},
        {"type": "findings", "items": [{"check": "c", "level": "pass", "message": "mean is nan"}]},
        {"type": "note", "title": "Mean", "text": "It is **NaN** today."},
    ):
        assert stops(document_of(samples.notebook("# T", samples.cell(samples.block(block))))) == {"words"}


@pytest.mark.parametrize("cell", ["None", "undefined", "null"])
def test_a_cell_that_says_none_is_found(cell):
    """A word that is English in a sentence is a missing value when it is all that a cell says."""
    row = [["x", cell]]
    assert stops(document_of(samples.notebook("# T", samples.cell(samples.table("t", "C", ["a", "b"], row))))) == {
        "words"
    }


def test_nan_that_only_a_file_shows_is_found():
    """A template that prints what the document does not hold is caught by reading the file."""
    document = said("All is well.")
    html = render.html(document).replace("<footer>", "<footer>nan")
    assert stops(document, html=html) == {"words"}


def test_fixed_width_text_may_say_nan():
    """What a notebook printed, and code, are quoted as they are."""
    document = document_of(
        samples.notebook("# T", "Use `nan` for gaps.", samples.cell(samples.output(text__plain="a  nan")))
    )
    assert stops(document) == set()


# --- pictures and pages ---


@pytest.mark.parametrize("kind", ["blank", "axes"])
def test_an_empty_chart_is_found(kind):
    """A chart of nothing but paper, or of axes without data, stops the report."""
    svg, png = samples.drawing(6.9, 2.6, kind)
    document = document_of(samples.notebook("# T", samples.cell(samples.chart("a", "Sales", svg=svg, png=png))))
    found = prove(document)
    assert found["pictures"].message == "the chart “Sales” is empty."
    assert found["pictures"].level is Level.STOP


def test_a_png_of_one_colour_is_found():
    """A picture without an SVG is judged by its pixels."""
    _, png = samples.drawing(3, 2, "blank")
    document = Document(said("x").meta, (Chart("a", "Sales", "alt", png=png),))
    assert stops(document) == {"pictures"}


def test_a_missing_alt_text_in_the_html_is_found():
    """An image whose alternative text is empty or gone stops the report."""
    document, html, pdf = plain_files()
    alt = 'alt="Revenue rises from 9 to 13."'
    assert alt in html
    for without in ('alt=""', ""):
        assert stops(document, (), html.replace(alt, without), pdf) == {"pictures"}


def test_a_picture_of_the_template_needs_its_alt_text_too():
    """A picture that is no chart of the document, such as a logo, is not exempt."""
    document, html, pdf = plain_files()
    for logo, wrong in (('<img src="data:image/png;base64,">', {"pictures"}), ('<img alt="Logo" src="data:,">', set())):
        assert stops(document, (), html.replace("</main>", f"{logo}</main>"), pdf) == wrong


def test_a_missing_alt_text_in_the_pdf_is_found():
    """A figure that the PDF's structure does not describe stops the report."""
    document, html, _ = plain_files()
    other = changed(document, Chart, lambda chart: dataclasses.replace(chart, alt="Something else"))
    assert stops(document, (), html, render.pdf(other)) == {"pictures"}


def test_a_missing_picture_is_found():
    """A chart that the PDF lost stops the report."""
    document, html, _ = plain_files()
    without = dataclasses.replace(document, blocks=document.blocks[:1])
    assert "pictures" in stops(document, (), html, render.pdf(without))


def test_a_clipped_table_is_found(tmp_path):
    """Text that runs over the page's edge stops the report."""
    document, html, _ = plain_files()
    wide = (
        '#set document(title: "T")\n#set text(font: "Inter")\n#set page(width: 200pt)\nWords. A\n'
        "#table(columns: (150pt, 300pt), [a], [far beyond the edge of the page it runs on])"
    )
    (tmp_path / "report.typ").write_text(wide)
    found = prove(document, (), html, render.pdf(document, (tmp_path,)))
    assert found["pages"].level is Level.STOP
    assert "text runs off the page (page 1:" in found["pages"].message


def test_a_wrong_title_is_found():
    """The PDF's meta data must name this report."""
    document = said("x")
    assert stops(
        document, pdf=render.pdf(dataclasses.replace(document, meta=dataclasses.replace(document.meta, title="Other")))
    ) == {"pages"}


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7 broken", b"<html>"])
def test_a_file_that_is_no_pdf_is_found(data):
    """What cannot be opened is a stop, not a crash."""
    assert stops(said("x"), pdf=data) == {"pages"}


# --- outside, accessibility ---


@pytest.mark.parametrize(
    "markup",
    [
        '<img alt="x" src="https://evil.org/a.png">',
        '<img alt="x" src="//evil.org/a.png">',
        '<link rel="stylesheet" href="https://x.org/a.css">',
        "<script>x()</script>",
        '<iframe src="data:text/html,x"></iframe>',
        '<p style="background:url(https://x.org/a)">',
        '<p onclick="x()">',
        "<style>@import 'https://x.org/a.css';</style>",
        "<style>p{background:url(http://x.org/a)}</style>",
        '<a href="javascript:x()">a</a>',
        '<meta http-equiv="refresh" content="0;url=https://x.org">',
        '<img alt="x" srcset="https://x.org/a 2x">',
        '<img alt="x" src="chart.png">',
        '<object data="https://x.org"></object>',
        '<form action="https://x.org"></form>',
        '<video poster="https://x.org/a"></video>',
    ],
)
def test_an_outside_reference_is_found(markup):
    """Whatever a browser would fetch or run stops the report."""
    document, html, pdf = plain_files()
    assert "outside" in stops(document, (), html.replace("</main>", f"{markup}</main>"), pdf)


def test_a_link_that_a_person_clicks_is_allowed():
    """An ordinary link is no outside reference."""
    assert readback.read_html('<a href="https://example.org">x</a><a href="#y">y</a>').outside == ()


def test_a_pdf_without_its_standards_is_a_warning():
    """A character without a font costs the standards: a person must look, the report is not stopped for it."""
    found = prove(said("Made for 株式会社."))
    assert found["accessibility"].level is Level.WARN
    assert found["figures"].level is Level.PASS


def test_findings_are_plain_and_short():
    """However much is wrong, a finding names the first places and counts the rest."""
    document = samples.rich_document()
    found = prove(document, samples.FIGURES, "<html></html>", samples.rich_pdf())
    assert found["tables"].level is Level.STOP
    assert found["tables"].message.endswith("more.")
    assert len(found["tables"].message) < 800
    assert Finding.of(found["tables"].as_dict()) == found["tables"]


def test_paragraphs_are_walked_wherever_they_stand():
    """A wrong word deep in a list in a box is found."""
    document = document_of(samples.notebook("# T", "> - a\n>   - it is NaN\n"))
    assert not any(isinstance(block, Paragraph) for block in document.blocks)
    assert stops(document) == {"words"}


def test_a_minus_torn_from_its_amount_is_not_that_amount():
    """A line that ends between − and $ hides a loss; between a hyphen and what follows it may end."""
    assert proof.stands_in("−$10.18", "from −$10.18 on")
    assert not proof.stands_in("−$10.18", "from − $10.18 on")
    assert proof.stands_in("4–18", "from 4– 18 on")


def test_a_tile_that_says_otherwise_than_its_figure_stops():
    """A tile that is true to the page but not to the figure of its label is found, also in its change."""
    first = samples.FIGURES[0]
    for other in ({"text": "99,999"}, {"change": "+900% vs last week"}):
        swapped = dataclasses.replace(first, **other)
        figures = (swapped, *samples.FIGURES[1:])
        found = proof.prove(samples.rich_document(), figures, samples.rich_html(), samples.rich_pdf())
        (tiles,) = (finding for finding in found if finding.check == "proof: tiles")
        assert tiles.level is Level.STOP
        assert f"the tile “{first.label}” says" in tiles.message


def test_threads_read_pdfs_side_by_side():
    """Pdfium is not made for threads: two that read at once get the same words as one alone, every time."""
    pdfs = [plain_files()[2], render.pdf(said("Other words altogether. " * 40))]
    alone = [readback.read_pdf(pdf) for pdf in pdfs]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(readback.read_pdf, pdfs * 60))
    assert found == alone * 60
