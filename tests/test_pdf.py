"""The PDF report, set by the real compiler: conforming, identical, complete, and robust against bad content."""

from __future__ import annotations

import base64
import logging

import page
import pypdfium2 as pdfium
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runner.document import readback, render
from runner.document.blocks import document_of
from runner.errors import RenderingFailed
from tests import report_samples as samples

UA, A3 = page.ValidationProfile.PDF_UA_1, page.ValidationProfile.PDF_A_3A


def pdf_of(*cells, meta=None, **more):
    return render.typeset(document_of(samples.notebook(*cells, meta=meta)), **more)


def words_of(data):
    return readback.read_pdf(data).words


def failures(data, profile):
    """What an independent checker finds wrong."""
    return [str(failure) for failure in page.validate_pdf_bytes(data, profile=profile).failures]


# --- what a good report is ---


@pytest.mark.parametrize("profile", [UA, A3], ids=["ua-1", "a-3a"])
def test_the_rich_report_conforms(profile):
    """An independent checker finds nothing wrong with the full report."""
    assert failures(samples.rich_pdf(), profile) == []


def test_the_checker_finds_what_is_wrong():
    """The checker is not blind: a file set without standards does not pass it."""
    plain = pdf_of("# 株式会社", meta={"timestamp": 1})
    assert not plain.conforming
    assert failures(plain.data, UA) != []


def test_a_plain_notebook_conforms():
    """Other people's notebooks give accessible files too."""
    made = render.typeset(document_of(samples.plain_notebook()))
    assert made.conforming
    assert failures(made.data, UA) == failures(made.data, A3) == []


def test_the_same_document_gives_the_same_bytes():
    """Two compiles of one document are identical when its time is given."""
    assert render.pdf(samples.rich_document()) == samples.rich_pdf()


def test_each_table_is_attached_as_csv():
    """Every table travels in the PDF as a CSV file with the raw numbers."""
    document = pdfium.PdfDocument(samples.rich_pdf())
    files = {file.get_name(): bytes(file.get_data()).decode("utf-8-sig") for file in attachments(document)}
    assert set(files) == {"departments.csv", "days.csv", "weeks.csv", "table.csv"}
    assert files["departments.csv"].splitlines()[:2] == [
        "Department,Revenue,Discounts,Margin,Margin %",
        "Grocery,61234,-1200,17321,28.3",
    ]
    document.close()


def attachments(document):
    return [document.get_attachment(at) for at in range(document.count_attachments())]


def test_headers_footers_and_page_numbers():
    """Later pages name the report and the section; every page says its number, the sum and the confidentiality."""
    pages = [readback.flow(text) for text in readback.read_pdf(samples.rich_pdf()).pages]
    assert all(f"Page {at} of {len(pages)}" in text for at, text in enumerate(pages, 1))
    assert all("for investors of Harbour Grocers only" in text for text in pages)
    assert pages[1].startswith("Aggregate profit Revenue")
    assert pages[2].startswith("Aggregate profit Daily figures")


def test_bookmarks_follow_the_headings():
    """The outline of the PDF is that of the report."""
    document = pdfium.PdfDocument(samples.rich_pdf())
    marks = [(mark.level, mark.get_title()) for mark in document.get_toc()]
    document.close()
    assert marks == [(heading.level - 1, heading.text) for heading in samples.rich_document().headings]


def test_contents_give_the_right_pages():
    """Each section stands on the page that the contents say."""
    pages = [readback.flow(text) for text in readback.read_pdf(samples.rich_pdf()).pages]
    listed = pages[0].partition("Contents")[2]
    for heading in samples.rich_document().headings:
        entry = listed.partition(heading.text)[2]
        said = int("".join(char for char in entry.lstrip(" .")[:2] if char.isdigit()))
        assert heading.text in pages[said - 1]


def test_long_tables_repeat_their_heads():
    """The head of a table of ninety rows stands on each of its pages."""
    pages = readback.read_pdf(samples.rich_pdf()).pages
    assert sum("Baskets Revenue Returns" in readback.flow(text) for text in pages) == 3


def test_charts_are_vectors_at_the_text_width():
    """No chart is a bitmap."""
    document = pdfium.PdfDocument(samples.rich_pdf())
    kinds = [item.type for sheet in document for item in sheet.get_objects(max_depth=4)]
    document.close()
    assert pdfium.raw.FPDF_PAGEOBJ_IMAGE not in kinds


def test_titles_of_charts_are_text():
    """A chart's title can be read and searched, for it is no part of the picture."""
    assert "Revenue a day, seven-day mean and plan, thousand dollars" in words_of(samples.rich_pdf())


def test_headings_do_not_stand_alone_at_the_foot_of_a_page():
    """A heading that would be the last thing on a page moves with what follows it."""
    filler = "\n\n".join(f"Line {at}." for at in range(1, 60))
    for lines in range(22, 34):
        text = "\n\n".join(filler.split("\n\n")[:lines])
        made = pdf_of("# T", f"{text}\n\n## Heading here", samples.cell(samples.chart("a", "Chart title")))
        pages = [readback.flow(sheet) for sheet in readback.read_pdf(made.data).pages]
        (at,) = [number for number, sheet in enumerate(pages) if "Heading here Chart title" in sheet] or [None]
        assert at is not None, f"{lines} lines part the heading from its chart"


def test_a_short_paragraph_stays_with_the_chart_that_it_leads_to():
    """Words that introduce a chart stand on its page, wherever the page ends."""
    for lines in range(20, 34, 2):
        text = "\n\n".join(f"Line {at}." for at in range(lines))
        made = pdf_of("# T", f"{text}\n\nLead words.", samples.cell(samples.chart("a", "Chart title")))
        pages = [readback.flow(sheet) for sheet in readback.read_pdf(made.data).pages]
        assert any("Lead words. Chart title" in sheet for sheet in pages), lines


def test_a_short_last_section_is_not_torn():
    """A table and the list after it stand on one page, wherever the page ends; a long last section may break."""
    source = samples.table("s", "Sources", ["a", "b"], [["x", at] for at in range(2)])
    for lines in range(20, 36, 2):
        text = "\n\n".join(f"Line {at}." for at in range(lines))
        made = pdf_of(f"# T\n\n{text}\n\n## Data and limits", samples.cell(source), "- a limit\n" * 14 + "- last limit")
        pages = [readback.flow(sheet) for sheet in readback.read_pdf(made.data).pages]
        assert any("Data and limits Sources" in sheet and "last limit" in sheet for sheet in pages), lines
    long = pdf_of("# T\n\n## Long\n\n" + "\n\n".join(f"Line {at}." for at in range(120)))
    assert words_of(long.data).count("Line ") == 120
    assert readback.read_pdf(long.data).clipped == ()


def test_a_line_never_ends_between_a_sign_and_its_amount():
    """Wherever the line ends, − and $10.18 stand on the same line; the text copies without an invisible character."""
    for filler in range(12):
        made = pdf_of("# T\n\n" + "x" * filler + " " + " ".join(["wide −$10.18m (+$3.50),"] * 60))
        text = "\n".join(readback.read_pdf(made.data).pages)
        assert text.count("−$10.18m") == text.count("(+$3.50),") == 60, filler
        assert not set(text) & set("\u200b\u2060\ufeff")
        assert made.conforming


def test_paper_is_letter_unless_a4_is_asked():
    """The page is US letter; the meta data may ask for A4."""
    for paper, size in ((None, (612, 792)), ("a4", (595.3, 841.9))):
        document = pdfium.PdfDocument(pdf_of("# T", meta={"paper": paper}).data)
        assert document[0].get_size() == pytest.approx(size, abs=0.5)
        document.close()


def test_formulas_carry_their_source():
    """Screen readers get the TeX of each formula."""
    assert r"m = r - d - c" in readback.read_pdf(samples.rich_pdf()).alts


# --- what bad content does ---


def test_content_is_never_run_as_code():
    """Typst code in any text is printed as it stands: no file is read, nothing is evaluated."""
    evil = '#read("/etc/passwd") #eval("1+1") #import "@preview/x:1.0.0" $sum$ *b* _i_ @ref <label> [x]'
    made = pdf_of(
        samples.cell(samples.table("t", evil, ["a", evil], [[evil, 1]]), samples.output(text__plain=evil)),
        samples.cell(samples.block({"type": "kpis", "tiles": [{"label": evil, "text": "1", "note": evil}]})),
        meta={"title": evil, "subtitle": evil, "company": evil},
    )
    assert '#read("/etc/passwd") #eval("1+1")' in words_of(made.data)
    assert "root:" not in words_of(made.data)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(st.text(max_size=80), min_size=4, max_size=4))
def test_no_text_stops_the_compiler(texts):
    """Any text anywhere gives a PDF, if need be one that does not claim its standards."""
    made = pdf_of(
        samples.cell(samples.output(text__markdown=texts[0]), samples.output(text__plain=texts[1])),
        samples.cell(samples.table("t", texts[2], ["a", texts[3]], [[texts[2], 1]])),
        meta={"title": texts[3]},
    )
    assert made.data.startswith(b"%PDF")


def test_one_bad_svg_is_replaced_by_its_png(caplog):
    """An SVG that only the compiler refuses does not stop the report: its PNG stands in, and the log says so."""
    # Well-formed and looking nowhere, so the first check passes; the inner picture's data are no picture's.
    bad = '<svg xmlns="http://www.w3.org/2000/svg" width="-4" height="0"><rect width="3" height="3"/></svg>'
    with caplog.at_level(logging.WARNING):
        made = pdf_of(samples.cell(samples.chart("bad_one", "A", svg=bad), samples.chart("good", "B")))
    assert made.conforming
    assert made.warnings == ("bad-one.svg cannot be set and was replaced by its PNG",)
    assert "bad-one.svg" in caplog.text
    document = pdfium.PdfDocument(made.data)
    kinds = [item.type for sheet in document for item in sheet.get_objects(max_depth=4)]
    document.close()
    assert kinds.count(pdfium.raw.FPDF_PAGEOBJ_IMAGE) == 1


def test_a_picture_that_cannot_be_shown_at_all_is_said():
    """Without a PNG to fall back to, the place says what is missing."""
    bad = '<svg xmlns="http://www.w3.org/2000/svg" width="-4" height="0"><rect width="3" height="3"/></svg>'
    made = pdf_of(samples.cell(samples.chart("a", "A", "A fine line", svg=bad, png=b"")))
    assert "This picture cannot be shown: A fine line" in words_of(made.data)


def test_a_character_without_a_font_costs_the_standards_not_the_report(caplog):
    """Chinese characters give a PDF that claims no standard, with a warning that says why."""
    with caplog.at_level(logging.WARNING):
        made = pdf_of("# Report for 株式会社\n\nWords.")
    assert not made.conforming
    assert "without PDF/UA and PDF/A" in made.warnings[0]
    assert made.warnings[0] in caplog.text
    assert "Words." in words_of(made.data)


def test_wide_and_long_words_stay_on_the_page():
    """Endless words in tables, tiles, titles, prose and prints never leave the page."""
    word = "W" * 300
    made = pdf_of(
        f"{word} `{word}`",
        samples.cell(
            samples.table("t", word, ["a", word], [[word, word]]),
            samples.table("u", "many", ["a", *["1,234,567"] * 40], [["x", *["9,999,999"] * 40]]),
            samples.block({"type": "kpis", "tiles": [{"label": word, "text": word, "change": word, "note": word}] * 4}),
            samples.output(text__plain=word),
            samples.block({"type": "findings", "items": [{"check": word, "level": "pass", "message": word}]}),
        ),
        meta={
            "title": word,
            "subtitle": word,
            "company": "A" * 90,
            "confidential": word,
            "owners": [word],
            "period_text": "B" * 40,
        },
    )
    assert readback.read_pdf(made.data).clipped == ()


def test_a_cell_longer_than_a_page_is_not_cut():
    """A row with a very long text breaks over pages instead of running off."""
    made = pdf_of(samples.cell(samples.table("t", "c", ["a", "b"], [["word " * 3000 + "end", "1"]])))
    assert words_of(made.data).count("word") == 3000
    assert "end 1" in words_of(made.data) or words_of(made.data).count("end") == 1


def test_the_last_page_is_not_nearly_empty():
    """When a few lines would stand alone on a last page, the report is set tighter or looser; all lines are there."""
    for lines in range(41, 52):
        made = pdf_of("# T", "\n\n".join(f"Line {at}." for at in range(lines)))
        pages = [readback.flow(sheet).count("Line ") for sheet in readback.read_pdf(made.data).pages]
        assert sum(pages) == lines
        assert len(pages) == 1 or pages[-1] >= 6, (lines, pages)


def test_time_is_limited():
    """The compiler is ended at the limit, and the error names it."""
    with pytest.raises(RenderingFailed, match=r"longer than 0\.01 seconds"):
        render.pdf(samples.rich_document(), limit=0.01)


def test_a_template_that_never_ends_is_ended(tmp_path):
    """Endless work in a template is cut off too, not only slow starts."""
    (tmp_path / "report.typ").write_text("#for a in range(100000) { for b in range(100000) { [x] } }")
    with pytest.raises(RenderingFailed, match="longer than 2 seconds"):
        render.pdf(samples.rich_document(), (tmp_path,), limit=2)


def test_a_broken_template_is_an_error_that_says_where(tmp_path):
    """A template's mistake is reported in the compiler's own words."""
    (tmp_path / "report.typ").write_text("#unknown-name")
    with pytest.raises(RenderingFailed, match=r"unknown-name|unknown variable"):
        render.pdf(samples.rich_document(), (tmp_path,))


def test_an_unknown_font_is_an_error(tmp_path):
    """A template that asks for a font we do not ship fails instead of silently taking another."""
    (tmp_path / "report.typ").write_text('#set document(title: "x")\n#set text(font: "Helvetica Neue")\nHello')
    with pytest.raises(RenderingFailed, match="wrong type"):
        render.pdf(samples.rich_document(), (tmp_path,))


def test_the_template_cannot_read_outside_its_folder(tmp_path):
    """The compiler's root is private: even a template reads nothing else."""
    (tmp_path / "report.typ").write_text('#set document(title: "x")\n#read("/etc/hostname")')
    with pytest.raises(RenderingFailed, match="cannot be set"):
        render.pdf(samples.rich_document(), (tmp_path,))


def test_fonts_in_bytes_are_not_needed_from_the_system():
    """Only our fonts are embedded."""
    document = pdfium.PdfDocument(samples.rich_pdf())
    words = [item for sheet in document for item in sheet.get_objects([pdfium.raw.FPDF_PAGEOBJ_TEXT], max_depth=4)]
    fonts = {item.get_font().get_base_name().partition("+")[2] for item in words}
    document.close()
    assert {name.partition("-")[0] for name in fonts} == {"Inter", "DejaVuSansMono"}


def test_pngs_alone_are_enough():
    """A chart with only a PNG is set as that PNG."""
    png = base64.b64encode(samples.drawing(5, 3)[1]).decode()
    made = pdf_of("# T", samples.cell(samples.output(image__png=png)))
    assert readback.read_pdf(made.data).alts == ("No description was given for this picture.",)
