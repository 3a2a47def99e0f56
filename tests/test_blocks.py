"""An executed notebook becomes a document: ours, other people's, and hostile ones."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4

from runner.document import foreign, markdown, pictures, texts
from runner.document.blocks import (
    Break,
    Chart,
    Code,
    Document,
    Emphasis,
    Findings,
    Heading,
    InlineMaths,
    Kpis,
    Link,
    Listing,
    Maths,
    Note,
    Paragraph,
    Preformatted,
    Rule,
    Strong,
    Table,
    Text,
    document_of,
    plain,
)
from runner.document.blocks import pictures as pictures_of
from runner.model import BLOCK_MIME, Level
from tests import report_samples as samples

HOSTILE = st.text(max_size=200) | st.lists(
    st.sampled_from(
        [
            "# ",
            "## ",
            "\n\n",
            "|",
            "|--|",
            "$",
            "$$",
            "**",
            "_",
            "`",
            "```",
            "> ",
            "- ",
            "1. ",
            "[x](javascript:alert(1))",
            "<script>",
            "</table>",
            "<!--",
            "![a](b)",
            "&amp;",
            "\\",
            "\x00",
            "\x1b[31m",
            "\u202e",
            "text",
            "<br>",
            "\ud800",
        ]
    ),
    max_size=40,
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "tiles",
                    "columns",
                    "rows",
                    "values",
                    "items",
                    "label",
                    "text",
                    "title",
                    "level",
                    "check",
                    "message",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def one(*outputs):
    """The blocks of a notebook with one code cell."""
    return document_of(samples.notebook(samples.cell(*outputs))).blocks


def told(block):
    """The words of a note's paragraphs."""
    assert isinstance(block, Note)
    return " ".join(plain(inner.spans) for inner in block.blocks)


# --- the document ---


def test_the_rich_notebook_gives_every_kind_of_block_in_order():
    """The sample report holds its blocks in the order of its cells, and nothing of its code."""
    kinds = [block.kind for block in samples.rich_document().blocks]
    assert kinds[:6] == ["paragraph", "kpis", "note", "heading", "paragraph", "chart"]
    assert {"table", "list", "display_maths", "findings", "preformatted"} <= set(kinds)
    assert "never shown" not in repr(samples.rich_document())


def test_the_first_h1_is_the_title_and_not_a_section():
    """Without meta data the title comes from the first H1, which then is no heading of the body."""
    document = document_of(samples.notebook("Before.\n\n# The *title*", "## Part"))
    assert document.meta.title == "The title"
    assert [heading.text for heading in document.headings] == ["Part"]


def test_the_runner_s_title_wins_over_the_h1():
    """The configured title is printed, and the notebook's H1 is not repeated."""
    document = document_of(samples.notebook("# Other", meta={"title": "Configured"}))
    assert (document.meta.title, document.blocks) == ("Configured", ())


def test_a_notebook_without_any_title_takes_its_file_name():
    """The file's name is the title of last resort."""
    assert document_of(samples.notebook("words"), "sales_2017").meta.title == "sales_2017"


def test_meta_data_of_wrong_types_is_left_out():
    """Owners that are no list, a time stamp that is no number and a non-object are passed over."""
    meta = document_of(samples.notebook(meta={"owners": "all", "timestamp": "soon", "title": None, "run": 7})).meta
    assert (meta.owners, meta.timestamp, meta.title, meta.run) == ((), None, "Report", "7")
    assert document_of(samples.notebook(meta=["x"])).meta.title == "Report"


def test_heading_levels_never_skip():
    """H2, H4, H3, H6 and a later H1 become levels of which none is skipped, starting at 1."""
    document = document_of(samples.notebook("# T\n\n## a\n\n#### b\n\n### c\n\n###### d\n\n# e\n\n### f"))
    levels = [heading.level for heading in document.headings]
    assert levels == [1, 2, 2, 3, 1, 2]


@given(st.lists(st.integers(1, 6), max_size=12))
def test_no_order_of_headings_makes_a_gap(raw):
    """Whatever levels a notebook uses, each heading is at most one below the heading before it."""
    document = document_of(samples.notebook("# T", *[f"{'#' * level} h" for level in raw]))
    levels = [0, *[heading.level for heading in document.headings]]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_headings_in_boxes_are_no_part_of_the_outline():
    """A heading within a quote or a list is a strong line, so the outline keeps its order."""
    document = document_of(samples.notebook("> # Inside\n\n- ## Also"))
    assert document.headings == ()
    assert document.blocks[0].blocks == (Paragraph((Strong((Text("Inside"),)),)),)


def test_names_are_unique():
    """Equal headings, tables and charts get names of their own."""
    document = document_of(
        samples.notebook(
            "## A\n\n## A", samples.cell(samples.chart("x", "X"), samples.chart("x", "X"), samples.chart("x_2", "Y"))
        )
    )
    assert [heading.anchor for heading in document.headings] == ["a", "a-2"]
    assert [picture.slug for picture in pictures_of(document)] == ["x", "x-2", "x-2-2"]


def test_pictures_are_the_charts_as_files():
    """Each chart comes out with its SVG text and PNG bytes, ready to be written."""
    found = pictures_of(samples.rich_document())
    assert [picture.slug for picture in found] == ["revenue-daily", "by-department", "margin-department"]
    assert all(picture.svg.lstrip().startswith("<?xml") and picture.png.startswith(b"\x89PNG") for picture in found)


def test_the_opening_ends_before_the_first_section():
    """Summary and tiles stand before the contents; a summary section with the tiles counts as opening."""
    assert samples.rich_document().opening == 3
    sectioned = document_of(
        samples.notebook("## Summary\n\nWords.", samples.cell(samples.tiles(*samples.FIGURES)), "## Next")
    )
    assert sectioned.opening == 3
    assert document_of(samples.notebook("words")).opening == 1


def test_contents_are_listed_only_where_they_help():
    """A report of two sections has no list of contents, one of three with four headings has."""
    assert not document_of(samples.notebook("## a\n\n## b")).has_contents
    assert document_of(samples.notebook("## a\n\n### a1\n\n## b\n\n## c")).has_contents


# --- markdown ---


def test_inline_forms_become_spans():
    """Strong, emphasis, code, link, maths and a line break each become their own span."""
    (paragraph,) = markdown.blocks_of("**a** *b* `c` [d](https://e.org) $x^2$  \nf")
    kinds = [type(span) for span in paragraph.spans if not (isinstance(span, Text) and not span.text.strip())]
    assert kinds == [Strong, Emphasis, Code, Link, InlineMaths, Break, Text]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil.org",
        "vbscript:x",
        "java\nscript:x",
    ],
)
def test_links_that_are_not_web_or_mail_lose_their_address(url):
    """The words of an unsafe link stay, its address goes."""
    (paragraph,) = markdown.blocks_of(f"[words](<{url}>)") if "\n" not in url else (Paragraph((Text("words"),)),)
    assert not any(isinstance(span, Link) for span in paragraph.spans)
    assert texts.safe_link(url) == ""


@pytest.mark.parametrize("url", ["https://example.org/a?b=c#d", "http://x.y", "mailto:a@b.org"])
def test_web_and_mail_links_stay(url):
    """http, https and mailto addresses are kept as they are."""
    (paragraph,) = markdown.blocks_of(f"[words]({url})")
    assert paragraph.spans == (Link((Text("words"),), url),)


def test_dollars_are_not_maths():
    """Two amounts in a sentence are text, not a formula between their signs."""
    (paragraph,) = markdown.blocks_of("It rose from $5.20 to $6.10, or $7m at $8m.")
    assert plain(paragraph.spans) == "It rose from $5.20 to $6.10, or $7m at $8m."
    assert not any(isinstance(span, InlineMaths) for span in paragraph.spans)


def test_maths_on_its_own_line_is_a_display():
    """`$$…$$` gives a display formula, in one line or several."""
    assert markdown.blocks_of("$$\nx = 1\n$$") == (Maths("x = 1"),)
    assert markdown.blocks_of("$$x = 1$$") == (Maths("x = 1"),)


def test_lists_nest_and_keep_their_numbers():
    """A numbered list starts where it says and holds its bullets."""
    (block,) = markdown.blocks_of("3. a\n   - b\n   - c\n4. d")
    assert (block.ordered, block.start, len(block.items)) == (True, 3, 2)
    inner = block.items[0][1]
    assert isinstance(inner, Listing)
    assert not inner.ordered


def test_pipe_tables_align_as_said_or_by_their_numbers():
    """A column of numbers is right-aligned without being told, a said alignment wins."""
    (block,) = markdown.blocks_of("|a|b|c|\n|--|--|:--|\n|x|1,204|5|\n|y|−3 %|6|")
    assert [column.align for column in block.columns] == ["left", "right", "left"]
    assert block.texts == (("x", "1,204", "5"), ("y", "−3 %", "6"))


def test_ragged_pipe_tables_are_shown_as_text():
    """Rows of unequal length are no table; their words are not lost."""
    (block,) = markdown.blocks_of("|a|b|\n|--|--|\n|x|\n|y|z|w|\n")
    assert isinstance(block, Paragraph)
    assert "w" in plain(block.spans)


def test_html_in_markdown_is_not_passed_on():
    """A script's tags and body vanish; a table in HTML becomes a table."""
    blocks = markdown.blocks_of("<script>alert(1)</script>\n\n<table><tr><th>a</th></tr><tr><td>1</td></tr></table>")
    assert [block.kind for block in blocks] == ["table"]
    assert plain(markdown.spans_of("a<br>b")) == "a b"


def test_code_blocks_quotes_and_rules():
    """Fenced code keeps its lines, a quote is a box, three dashes are a rule."""
    blocks = markdown.blocks_of("```\na  b\nc\n```\n\n> said\n\n---")
    assert blocks[0] == Preformatted("a  b\nc")
    assert (blocks[1].kind, blocks[1].tone) == ("note", "quote")
    assert blocks[2] == Rule()


def test_attached_pictures_are_found_and_lost_ones_are_said():
    """An attachment becomes a chart with its alt text; a picture that is not there becomes a visible note."""
    cell = v4.new_markdown_cell("![a map](attachment:m.png)\n\n![gone](missing.png)")
    cell["attachments"] = {"m.png": {"image/png": base64.b64encode(samples.drawing(5, 3)[1]).decode()}}
    chart, note = document_of(samples.notebook(cell)).blocks
    assert (chart.kind, chart.alt) == ("chart", "a map")
    assert "gone" in told(note)


def test_pictures_beside_the_notebook_are_asked_for_by_name():
    """A relative picture is read through the given reader, a web address never is."""
    asked = []

    def read(name):
        asked.append(name)
        return samples.drawing(5, 3)[1]

    document = document_of(samples.notebook("![here](img/a.png) ![there](https://x.org/a.png)"), file_of=read)
    assert asked == ["img/a.png"]
    assert [block.kind for block in document.blocks] == ["chart", "note"]


def test_very_deep_nesting_does_not_crash():
    """Two thousand levels of quotes or lists come out as something."""
    assert markdown.blocks_of(">" * 2000 + " x")
    assert markdown.blocks_of("[" * 3000 + "x" + "](y)" * 3000)


@settings(max_examples=150, deadline=None)
@given(HOSTILE)
def test_no_markdown_crashes_or_yields_control_characters(source):
    """Any text gives blocks, without control characters, halves of surrogates or direction overrides."""
    document = document_of(samples.notebook("# T", samples.cell(samples.output(text__markdown=source))))
    shown = repr(list(document.walk()))
    assert not any(char in shown for char in "\x00\x1b\u202e\ud800")


# --- our own blocks ---


def test_tiles_keep_text_change_and_tone():
    """A KPI block carries each tile's words exactly, and marks the direction by a shape."""
    (block,) = one(samples.tiles(*samples.FIGURES))
    assert isinstance(block, Kpis)
    assert [tile.text for tile in block.tiles] == [figure.text for figure in samples.FIGURES]
    assert [tile.shape for tile in block.tiles] == ["▲", "▼", "", "▲", "", "▼"]
    assert (block.tiles[0].meaning, block.tiles[1].meaning, block.tiles[2].meaning) == (
        "favourable",
        "unfavourable",
        "",
    )


@pytest.mark.parametrize(("count", "across"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3)])
def test_no_row_of_tiles_is_left_with_one(count, across):
    """Tiles are laid side by side so that the last row never holds a single one of many."""
    (block,) = one(samples.tiles(*[samples.FIGURES[0]] * count))
    assert block.across == across
    assert count <= across or count % across != 1


def test_a_table_block_keeps_printed_texts_and_raw_values():
    """What is printed and what goes into the CSV are both kept, with the total and the header column."""
    (block,) = one(samples.table("t", "C", ["a", "b"], [["x", 1234], ["sum", -5]], total=True, header_column=True))
    assert block.texts == (("x", "1,234"), ("sum", "−5"))
    assert block.values == (("x", 1234), ("sum", -5))
    assert (block.total, block.header_column, block.columns[1].align, block.name) == (True, True, "right", "t")


def test_a_chart_block_keeps_both_pictures_and_its_width():
    """A chart is as wide as it was drawn: 6.9 inches, or 3.35 when half."""
    full, half = one(samples.chart("a", "A"), samples.chart("b", "B", half=True))
    assert (full.width, half.width) == (6.9, 3.35)
    assert (full.title, full.alt) == ("A", "Revenue rises from 9 to 13.")


def test_findings_are_sorted_by_weight():
    """A stop comes before a warning before a pass, and each keeps its words."""
    items = [finding.as_dict() for finding in samples.FINDINGS]
    (block,) = one(samples.block({"type": "findings", "items": items}))
    assert isinstance(block, Findings)
    assert [item.level for item in block.items] == [Level.WARN, Level.PASS, Level.PASS]


@pytest.mark.parametrize(
    "given_block",
    [
        {"type": "kpis"},
        {"type": "kpis", "tiles": []},
        {"type": "kpis", "tiles": [{"label": "a"}]},
        {"type": "kpis", "tiles": "many"},
        {"type": "table", "columns": [{"label": "a"}], "rows": [["1", "2"]]},
        {"type": "table", "columns": [], "rows": []},
        {"type": "table", "columns": [{"label": "a"}], "rows": [["1"]], "values": [[1], [2]]},
        {"type": "chart", "title": "no picture"},
        {"type": "findings", "items": [{"level": "bad"}]},
        {"type": "note", "text": 5},
        {"type": "secret"},
        {},
        [],
        "{not json",
        None,
        7,
    ],
)
def test_a_bad_block_becomes_a_visible_note(given_block):
    """Whatever is wrong with a block's JSON, the reader sees that a part is missing, and nothing crashes."""
    (block,) = one(samples.block(given_block))
    assert isinstance(block, Note)
    assert block.tone == "warn"
    assert "cannot be shown" in block.title


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_no_json_crashes_the_reader(value):
    """Any JSON under the block's media type gives exactly one block."""
    assert len(one(samples.output(**{BLOCK_MIME: value}))) == 1


def test_scraps_are_not_shown():
    """A glued figure is for the runner, not for the page."""
    assert one(samples.scrap("figure:a", {"value": 1})) == ()


def test_hidden_and_parameter_cells_leave_nothing():
    """Outputs of cells tagged hide, parameters or injected-parameters do not appear."""
    said = v4.new_output("stream", name="stdout", text="secret")
    for tag in ("hide", "parameters", "injected-parameters"):
        assert document_of(samples.notebook(samples.cell(said, tags=(tag,)))).blocks == ()
    assert document_of(samples.notebook(samples.cell(said))).blocks == (Preformatted("secret"),)


# --- other people's notebooks ---


def test_a_plain_notebook_gives_tables_pictures_and_text():
    """HTML of pandas, a PNG and printed text become a table, a chart and fixed-width text; object names vanish."""
    document = document_of(samples.plain_notebook())
    assert [block.kind for block in document.blocks] == [
        "paragraph",
        "heading",
        "table",
        "heading",
        "chart",
        "preformatted",
    ]
    table = document.blocks[2]
    assert isinstance(table, Table)
    assert table.texts == (("0", "North", "1204.5"), ("1", "South & West", "-87.0"))
    assert [column.align for column in table.columns] == ["left", "left", "right"]
    assert document.meta.title == "Sales study"


@pytest.mark.parametrize(
    "text",
    [
        "<Axes: xlabel='day'>",
        "[<matplotlib.lines.Line2D at 0x7f3a>]",
        "Text(0.5, 1.0, 'x')",
        "<Figure size 640x480 with 1 Axes>",
        "<matplotlib.legend.Legend at 0x7f>",
        "<BarContainer object of 5 artists>",
    ],
)
def test_names_of_drawing_objects_are_not_shown(text):
    """What the last line of a plotting cell leaves behind says nothing to a reader."""
    assert one(samples.output(text__plain=text)) == ()


def test_plain_values_are_shown():
    """A number or a text that a cell ends with is shown."""
    assert one(samples.output(text__plain="42")) == (Preformatted("42"),)
    assert one(samples.output(text__plain="a < b and c > d")) == (Preformatted("a < b and c > d"),)


def test_standard_error_is_dropped_and_progress_bars_are_folded():
    """Standard error is never shown; of a line that was written over only its last state remains; colours go."""
    blocks = one(
        v4.new_output("stream", name="stderr", text="DeprecationWarning\n"),
        v4.new_output("stream", name="stdout", text="10%\r50%\r100%\n\x1b[31mdone\x1b[0m\n"),
    )
    assert blocks == (Preformatted("100%\ndone"),)


def test_long_prints_are_cut_and_say_so():
    """After 120 lines the rest is counted, not shown."""
    (block,) = one(v4.new_output("stream", name="stdout", text="\n".join(str(at) for at in range(500))))
    assert block.text.endswith("… 380 further lines are not shown")


def test_an_error_is_shown_as_a_stop():
    """A cell's error becomes a box that says the report is incomplete, without the traceback."""
    error = v4.new_output("error", ename="ValueError", evalue="\x1b[31mno rows\x1b[0m", traceback=["Traceback …"])
    (block,) = one(error)
    assert (block.tone, told(block)) == ("stop", "no rows")
    assert "Traceback" not in repr(block)


def test_pictures_keep_their_natural_size():
    """A 5 × 3 inch PNG stays 5 inches wide, and a tall one is made to fit a page."""
    (chart,) = one(samples.output(image__png=base64.b64encode(samples.drawing(5, 3)[1]).decode()))
    assert chart.width == pytest.approx(5, abs=0.05)
    (tall,) = one(samples.output(image__png=base64.b64encode(samples.drawing(2, 20)[1]).decode()))
    assert tall.width * 10 <= 7.7


def test_a_picture_without_alt_text_says_so():
    """The reader sees that no description was given; with one, there is no such line."""
    png = base64.b64encode(samples.drawing(5, 3)[1]).decode()
    (bare,) = one(samples.output(image__png=png))
    assert bare.alt == bare.caption == "No description was given for this picture."
    described = samples.output(image__png=png)
    described["metadata"] = {"image/png": {"alt": "A line"}}
    (chart,) = one(described)
    assert (chart.alt, chart.caption) == ("A line", "")


def test_a_damaged_picture_becomes_a_note():
    """Broken base64, a cut PNG and a broken SVG are each said to be damaged."""
    cut = base64.b64encode(samples.drawing(5, 3)[1][:500]).decode()
    for data in ({"image__png": "%%%"}, {"image__png": cut}, {"image__svg_xml": "<svg"}):
        (block,) = one(samples.output(**data))
        assert "damaged" in told(block)


def test_an_interactive_chart_without_a_picture_is_said():
    """A plotly output with nothing printable leaves a visible note."""
    (block,) = one(samples.output(**{"application/vnd.plotly.v1+json": {}, "text/html": "<script>draw()</script>"}))
    assert "interactive" in told(block)


def test_latex_outputs_are_formulas():
    """What sympy shows becomes a display formula without its dollars."""
    assert one(samples.output(text__latex=r"$\displaystyle x^{2}$")) == (Maths("x^{2}"),)


# --- foreign HTML ---


def test_merged_cells_are_repeated_so_that_rows_read_alone():
    """Row and column spans are spread, and column heads of two levels are joined."""
    (table,) = foreign.blocks_of_html(
        "<table><thead><tr><th rowspan=2></th><th colspan=2>2017</th></tr><tr><th>Q1</th><th>Q2</th></tr></thead>"
        "<tbody><tr><th rowspan=2>N</th><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></tbody></table>"
    )
    assert [column.label for column in table.columns] == ["", "2017 · Q1", "2017 · Q2"]
    assert table.texts == (("N", "1", "2"), ("N", "3", "4"))


def test_scripts_styles_and_handlers_vanish():
    """Of hostile HTML only words remain."""
    (block,) = foreign.blocks_of_html("<p onclick=x>a<script>b</script><style>c</style><img src=x onerror=y></p>")
    assert block == Paragraph((Text("a"),))


def test_a_huge_table_is_cut_and_says_so():
    """Of ten thousand rows five hundred are shown, and the caption counts the others."""
    rows = "".join(f"<tr><td>{at}</td></tr>" for at in range(10_000))
    (table,) = foreign.blocks_of_html(f"<table><tr><th>n</th></tr>{rows}</table>")
    assert len(table.rows) <= 500
    assert "further rows are not shown" in table.caption


def test_headings_lists_and_text_of_rich_html():
    """Rich text outputs keep their structure."""
    blocks = foreign.blocks_of_html("<h2>T</h2><ul><li>a</li><li>b</li></ul><pre>x\n y</pre>end")
    assert [block.kind for block in blocks] == ["heading", "list", "preformatted", "paragraph"]
    assert len(blocks[1].items) == 2


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<table>",
                "</table>",
                "<tr>",
                "<td>",
                "<th colspan=99>",
                "<td rowspan=9999>",
                "</td>",
                "<li>",
                "x",
                "<caption>",
                "<thead>",
                "</thead>",
                "<p>",
                "&#0;",
                "<",
            ]
        ),
        max_size=40,
    ).map("".join)
)
def test_no_html_crashes_the_reader(source):
    """Any soup of tags gives blocks whose tables are rectangular."""
    for block in foreign.blocks_of_html(source):
        if isinstance(block, Table):
            assert all(len(row) == len(block.columns) for row in block.rows)


# --- texts and pictures ---


@pytest.mark.parametrize(
    ("text", "numeric"),
    [
        ("1,204", True),
        ("−3.2 %", True),
        ("$4.1m", True),
        ("-$5", True),
        ("1e-5", True),
        ("2017-11-15", False),
        ("n/a", False),
        ("A 1", False),
    ],
)
def test_numbers_are_told_from_words(text, numeric):
    """Amounts, shares and signed numbers are numbers; dates and words are not."""
    assert texts.looks_numeric(text) is numeric


def test_slugs_are_plain_and_short():
    """A slug holds lower-case ASCII letters, digits and hyphens."""
    assert texts.slug("Übersicht: P&L (2017)") == "ubersicht-p-l-2017"
    assert texts.slug("日本") == "part"
    assert len(texts.slug("x" * 500)) == 60


@pytest.mark.parametrize(
    "svg",
    [
        "",
        "<svg",
        "<html/>",
        '<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://evil.org/x.png"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
        '<svg xmlns="http://www.w3.org/2000/svg"><rect style="fill:url(http://evil.org/x)"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><style>@import "http://evil.org/x.css";</style></svg>',
    ],
)
def test_unsound_svgs_are_refused(svg):
    """Broken, active and outward-looking SVGs are no pictures."""
    assert pictures.sound_svg(svg) == ""


def test_a_matplotlib_svg_is_sound():
    """What matplotlib writes passes, without its document type."""
    good = pictures.sound_svg(samples.drawing()[0])
    assert "<svg" in good
    assert "DOCTYPE" not in good
    assert pictures.svg_size(good) == pytest.approx((6.9, 2.6), abs=0.01)


def test_blank_pictures_are_known():
    """An empty figure, empty axes and a PNG of one colour are blank; lines, bars and scatters are not."""
    svg, png = samples.drawing(3, 2, "blank")
    assert pictures.blank(svg, b"")
    assert pictures.blank("", png)
    assert pictures.blank(samples.empty_axes(), b"")
    for kind in ("line", "bar"):
        assert not pictures.blank(*samples.drawing(3, 2, kind))
    assert not pictures.blank("", samples.drawing(3, 2)[1])


def test_documents_are_plain_values():
    """Reading the same notebook twice gives equal documents, which may be kept and compared."""
    assert document_of(samples.plain_notebook()) == document_of(samples.plain_notebook())
    assert isinstance(json.dumps(repr(samples.rich_document())), str)
    assert isinstance(samples.rich_document(), Document)
    assert all(isinstance(block, Chart | Table | Heading) or block for block in samples.rich_document().walk())


@pytest.mark.parametrize("given", [{"type": "check", "check": "a", "level": "pass"}, '{"type": "check"}'])
def test_the_echo_of_a_check_is_for_the_analyst_alone(given):
    """Its words beside a cell do not reach the report, and what stands around it does."""
    echo = samples.block(given)
    echo.data["text/plain"] = "PASS a: 14 of 14 columns"
    found = document_of(samples.notebook("# T", samples.cell(echo, samples.output(text__plain="kept"), echo)))
    assert found.blocks == (Preformatted("kept"),)
