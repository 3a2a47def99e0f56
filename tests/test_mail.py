"""A report as a mail message: complete, harmless, the same at every try, and posted whole or not at all."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import io
import mailbox
import re
import struct
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.delivery import mail, maildir
from runner.document import readback
from runner.document.blocks import Chart, document_of
from runner.errors import DeliveryFailed
from runner.model import Figure
from tests import report_samples as samples

PDF = b"%PDF-1.7\n" + b"x" * 500


def envelope(**changes):
    """An ordinary envelope with some parts changed."""
    usual = mail.Envelope(
        sender=mail.Person("Harbour Grocers reports", "reports@example.org"),
        recipient=mail.Person("Ada Lovelace", "ada@example.org"),
        subject="Aggregate profit, 15 November 2017",
        date=datetime(2017, 11, 16, 13, tzinfo=UTC),
        message_id=mail.message_id("example.org", "aggregate_profit", "2017-11-15", "ada@example.org"),
        report_name="aggregate_profit-2017-11-15.pdf",
        links=(("Read on the desk", "https://desk.example.org/r/1"),),
    )
    return dataclasses.replace(usual, **changes)


def sent(document=None, pdf=PDF, **changes):
    """The message as a recipient's programme parses it."""
    message = mail.compose(envelope(**changes), document or samples.rich_document(), pdf)
    return email.message_from_bytes(message.as_bytes(), policy=email.policy.default)


def shape(part):
    """The tree of content types."""
    inner = [shape(child) for child in part.iter_parts()] if part.is_multipart() else []
    return (part.get_content_type(), inner) if inner else part.get_content_type()


def html(message):
    return message.get_body(("html",)).get_content()


def test_the_message_has_the_agreed_shape():
    """mixed[ related[ alternative[text, html], pictures ], PDF ]."""
    assert shape(sent()) == (
        "multipart/mixed",
        [
            ("multipart/related", [("multipart/alternative", ["text/plain", "text/html"]), "image/png"]),
            "application/pdf",
        ],
    )


def test_a_report_without_pictures_needs_no_related_part():
    """Without charts the alternatives stand alone beside the PDF."""
    document = document_of(samples.notebook("# T", "Words."))
    assert shape(sent(document)) == (
        "multipart/mixed",
        [("multipart/alternative", ["text/plain", "text/html"]), "application/pdf"],
    )


def test_the_headers_say_who_when_and_that_it_is_automatic():
    """From, To, Date, Message-ID and Auto-Submitted are there, each once, and one recipient only."""
    message = sent()
    assert message["From"] == "Harbour Grocers reports <reports@example.org>"
    assert message["To"] == "Ada Lovelace <ada@example.org>"
    assert message["Date"].datetime == datetime(2017, 11, 16, 13, tzinfo=UTC)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].startswith("<")
    assert all(
        len(message.get_all(name)) == 1 for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")
    )
    assert message["Cc"] is message["Bcc"] is None


def test_both_bodies_carry_the_key_figures_and_who_to_ask():
    """Every tile, the summary, the attachment's name, the link and the owners stand in text and HTML."""
    message = sent()
    text = message.get_body(("plain",)).get_content()
    page = readback.read_html(html(message)).words
    for figure in samples.FIGURES:
        assert figure.text in text
        assert f"{figure.label} {figure.text}" in page
    for words in (
        "Revenue on Wednesday was $12,873",
        "aggregate_profit-2017-11-15.pdf",
        "Engineer B (primary)",
        "Dear Ada Lovelace,",
    ):
        assert words in readback.flow(text)
        assert words in page
    assert "https://desk.example.org/r/1" in text
    assert 'href="https://desk.example.org/r/1"' in html(message)


def cautioned():
    """A report whose opening holds each kind of note, and tiles with a note but no change."""
    note = {"type": "note", "title": "Costs are assumptions", "text": "Margins rest on **declared** ratios."}
    tile = {"label": "Contribution", "text": "$1,204", "note": "no earlier day to compare with"}
    both = tile | {"label": "Margin", "change": "+2 %", "note": "first week"}
    long = tile | {
        "label": "Long",
        "note": "reckoned from the first full week of the experiment to its end, by household",
    }
    return document_of(
        samples.notebook(
            "# T",
            "Words.",
            samples.cell(
                samples.block({"type": "kpis", "tiles": [tile, both, long]}),
                samples.block(note | {"tone": "warn"}),
                samples.block({"type": "note", "tone": "stop", "title": "Wrong till", "text": "- one\n- two"}),
                samples.block({"type": "note", "tone": "info", "title": "By the way", "text": "Aside."}),
            ),
            "## Later",
            samples.cell(samples.block(note | {"tone": "warn", "title": "Far below"})),
        )
    )


def test_both_bodies_carry_the_warnings_and_the_notes_of_tiles():
    """What limits a figure stands beside it in the mail, too; what the body of the report says stays there."""
    message = sent(cautioned())
    text = message.get_body(("plain",)).get_content()
    for body in (readback.flow(text), readback.read_html(html(message)).words):
        for words in (
            "Costs are assumptions",
            "Margins rest on declared ratios.",
            "Wrong till",
            "one two",
            "no earlier day to compare with",
            "+2 %",
            "first week",
            "experiment to its end, by household",
        ):
            assert words in body
        assert "By the way" not in body
        assert "Far below" not in body
    assert "Please note: Costs are assumptions. Margins rest" in readback.flow(text)
    assert max(len(line) for line in text.splitlines()) <= 72


def test_an_answer_goes_to_the_owners():
    """Reply-To holds every owner, and both bodies name them with their addresses."""
    owners = (mail.Person("Engineer B", "b@example.org"), mail.Person("Engineer C", "c@example.org"))
    message = sent(reply_to=owners)
    assert [address.addr_spec for address in message["Reply-To"].addresses] == ["b@example.org", "c@example.org"]
    text = readback.flow(message.get_body(("plain",)).get_content())
    assert "Ask Engineer B (primary) <b@example.org>, then Engineer C (secondary) <c@example.org>." in text
    page = readback.read_html(html(message)).words
    assert "Ask Engineer B (primary) (b@example.org), then Engineer C (secondary) (c@example.org)." in page
    assert 'href="mailto:b@example.org"' in html(message)
    assert sent()["Reply-To"] is None
    with pytest.raises(DeliveryFailed, match="owner's address"):
        sent(reply_to=(mail.Person("B", "b@example.org\r\nBcc: c@d.org"),))


def test_the_text_body_is_pleasant():
    """Lines of at most 78 characters, columns that line up, no markup."""
    lines = sent().get_body(("plain",)).get_content().splitlines()
    assert max(len(line) for line in lines) <= 78
    tiles = [line for line in lines if line.startswith("  ")]
    assert len(tiles) == 6
    assert (
        len({line.find(figure.text) + len(figure.text) for line, figure in zip(tiles, samples.FIGURES, strict=True)})
        == 1
    )


def test_pictures_are_shown_by_content_id():
    """Each picture of the HTML is a part of the message, PNG and inline; nothing is fetched from anywhere."""
    message = sent()
    images = {part["Content-ID"].strip("<>"): part for part in message.walk() if part.get_content_maintype() == "image"}
    reaches = readback.read_html(html(message)).outside
    assert reaches == tuple(f'<img src="cid:{cid}">' for cid in images)
    assert all(part.get_content().startswith(b"\x89PNG") for part in images.values())
    assert all(part.get_content_disposition() == "inline" for part in images.values())
    assert readback.read_html(html(message)).alts == ("Revenue rises from 9 to 13.",)


def test_at_most_two_pictures_and_none_too_large():
    """The first two full charts are shown; a huge PNG is left to the PDF."""
    charts = [samples.chart(f"c{at}", f"C{at}") for at in range(4)]
    document = document_of(samples.notebook("# T", samples.cell(*charts)))
    assert [part.get_filename() for part in sent(document).walk() if part.get_content_maintype() == "image"] == [
        "c0.png",
        "c1.png",
    ]
    huge = dataclasses.replace(
        document.blocks[0], png=document.blocks[0].png[:-12] + padding(700_000) + document.blocks[0].png[-12:]
    )
    assert isinstance(huge, Chart)
    only = dataclasses.replace(document, blocks=(huge,))
    assert not any(part.get_content_maintype() == "image" for part in sent(only).walk())


def padding(size):
    """A PNG chunk that says nothing."""
    body = b"tEXt" + b"x" * size
    return struct.pack(">I", size) + body + struct.pack(">I", zlib.crc32(body))


def test_the_pdf_is_attached_whole():
    """The attachment is the very bytes, under its name."""
    (part,) = sent(pdf=samples.rich_pdf()).iter_attachments()
    assert part.get_content() == samples.rich_pdf()
    assert (part.get_filename(), part.get_content_disposition()) == ("aggregate_profit-2017-11-15.pdf", "attachment")


@pytest.mark.parametrize("pdf", [b"", b"%PDF", b"<html>" * 100])
def test_a_message_without_its_report_is_never_made(pdf):
    """An empty or wrong attachment is an error, not a mail without the report."""
    with pytest.raises(DeliveryFailed, match="empty or no PDF"):
        sent(pdf=pdf)


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "a b@example.org", "a@b.org, c@d.org", "a@b.org\r\nBcc: c@d.org", "<a@b.org>"]
)
def test_an_unusable_address_is_refused(address):
    """An address that is none, or more than one, is named in the error."""
    with pytest.raises(DeliveryFailed, match="address"):
        sent(recipient=mail.Person("A", address))


def test_a_date_without_zone_and_a_bad_id_are_refused():
    """Both would give a malformed message."""
    with pytest.raises(DeliveryFailed, match="time zone"):
        sent(date=datetime(2017, 11, 16))  # noqa: DTZ001
    with pytest.raises(DeliveryFailed, match="Message-ID"):
        sent(message_id="<a b@c>")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_name_or_subject_adds_a_header(name, subject, report):
    """Line breaks and whatever else in names and subjects never make a header or a second recipient."""
    message = sent(
        document_of(samples.notebook("# T", "Words.")),
        recipient=mail.Person(name, "ada@example.org"),
        subject=f"{subject}\r\nBcc: evil@example.org\r\n\r\nbody",
        report_name=f"../{report}\r\n.pdf",
    )
    assert {key.lower() for key in message} == {
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "auto-submitted",
        "x-auto-response-suppress",
        "content-type",
        "mime-version",
    }
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.org"]
    (part,) = message.iter_attachments()
    assert part.get_filename().endswith(".pdf")
    assert not set(part.get_filename()) & set('/\\\r\n"')


class Layout(HTMLParser):
    """Collects tables and styles."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.bare = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "table":
            self.tables.append(given.get("role"))
        if tag in {"p", "h1"} and "style" not in given:
            self.bare.append(tag)


def test_the_html_suits_mail_programmes():
    """Layout tables say so, styles stand on the tags, nothing active, far below the size at which mail is cut."""
    text = html(sent())
    layout = Layout(text)
    assert set(layout.tables) == {"presentation"}
    assert layout.bare == []
    assert not layout.tags & {"script", "link", "form", "svg"}
    assert len(text.encode()) < 50_000
    assert 'name="color-scheme" content="light dark"' in text


def test_the_dark_is_colours_alone_and_the_light_needs_none_of_them():
    """The one style element is a media query of colours; without it nothing on the page changes in the light."""
    text = html(sent())
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    rules = dict(re.findall(r"([^{}]+)\{([^{}]+)\}", style.partition("dark){")[2]))
    assert {rule.partition(":")[0] for rule in rules.values()} == {"background-color", "color", "border-color"}
    named = {name.strip().lstrip(".") for names in rules for name in names.split(",")}
    used = {name for names in re.findall(r'class="([^"]+)"', text) for name in names.split()}
    assert used <= named
    for tag in re.findall(r"<(?:p|td|div|table|h1)[^>]*class=\"[^>]*>", text):
        assert "#" in tag  # each has its colour of the light on itself


def test_a_chart_is_opaque_so_that_no_dark_page_shines_through():
    """Its white is in the picture: where a programme turns the page's colours round, dark lines stay on white."""
    import matplotlib.image  # noqa: PLC0415 - for this alone

    (part,) = [part for part in sent().walk() if part.get_content_maintype() == "image"]
    pixels = matplotlib.image.imread(io.BytesIO(part.get_content()))
    assert pixels.shape[2] == 3 or pixels[..., 3].min() == 1


def test_what_is_said_before_all_else_comes_first_in_both_bodies():
    """After the greeting, and also as what a list of messages shows."""
    words = "This report replaces the one sent to you before: figures in it have changed."
    message = sent(opening=words)
    assert readback.flow(message.get_body(("plain",)).get_content()).startswith(f"Dear Ada Lovelace, {words}")
    page = readback.read_html(html(message)).words
    assert page.index(words) < page.index("Revenue on Wednesday")


def test_one_who_had_another_version_sees_old_beside_new():
    """The first nine figures that differ, and how many more; nothing of it for one who had none."""
    changes = [{"label": f"Figure {at}", "before": f"{at}.0", "now": ""} for at in range(12)]
    document = document_of(samples.notebook("# T", "Words.", meta={"restates": {"changes": changes}}))
    message = sent(document, opening="It replaces another.")
    rows = message.get_body(("plain",)).get_content().splitlines()
    at = rows.index("  Figure 8: was 8.0, is not shown")
    assert rows[at + 1 : at + 3] == ["  and 3 more, in the report", ""]
    assert re.search(r"Figures that differ.*Figure.8<.*8\.0.*and.3.more, in the report", html(message), re.DOTALL)
    assert "Figure 8" not in html(sent(document)) + sent(document).get_body(("plain",)).get_content()


def test_where_to_say_no_more_is_shown_as_an_address():
    """A mailbox without what belongs to the link alone; a page as it is."""
    for where, shown in (
        ("mailto:no@example.org?subject=stop", ["To get this report no more, write to:", "no@example.org", ""]),
        ("https://example.org/stop?a=1", ["To get this report no more:", "https://example.org/stop?a=1", ""]),
    ):
        message = sent(unsubscribe=where)
        rows = message.get_body(("plain",)).get_content().splitlines()
        assert rows[rows.index(shown[0]) :][:3] == shown
        assert f'href="{where}"' in html(message)


def test_a_long_label_keeps_the_values_in_their_column():
    """It goes on in a second line of the plain text."""
    figures = (Figure("a", 1, "$1", "Discounts, month to date, of list value"), Figure("b", 2, "$2", "Revenue"))
    text = sent(document_of(samples.notebook("# T", samples.cell(samples.tiles(*figures))))).get_body(("plain",))
    first, second = (row.index("$") for row in text.get_content().splitlines() if "$" in row)
    assert first == second


HOSTILE = "\u202eevil\u2066\x00\x1b[31m\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>/../../etc"


@pytest.mark.parametrize("field", ["subject", "opening", "report_name", "unsubscribe"])
def test_hostile_words_of_an_envelope_are_harmless(field):
    """No header, no markup, no path, no character that turns a line round or clears a screen."""
    message = sent(**{field: HOSTILE})
    assert message["Bcc"] is None
    assert len(message["To"].addresses) == 1
    assert message["List-Unsubscribe"] is None
    everything = message["Subject"] + html(message) + message.get_body(("plain",)).get_content()
    assert not set(everything) & set("\u202e\u2066\x00\x1b")
    assert "<script" not in html(message)
    for part in message.iter_attachments():
        assert re.fullmatch(r"[A-Za-z0-9._-]+\.pdf", part.get_filename())


def test_a_place_that_is_no_address_is_never_linked_to():
    """Else the message would have neither the report nor a way to it."""
    with pytest.raises(DeliveryFailed, match="cannot be linked to"):
        sent(report_at=HOSTILE)


@pytest.mark.parametrize("address", ["ada\u202e@example.org", "ada\x00@example.org", "a\u200bda@example.org"])
def test_an_address_with_characters_that_nobody_sees_is_refused(address):
    """It would be shown as another than it is."""
    with pytest.raises(DeliveryFailed):
        sent(recipient=mail.Person("A", address))


def test_markup_in_the_report_is_escaped():
    """Hostile words in tiles, titles and links are characters."""
    evil = "<script>alert(1)</script>"
    document = document_of(
        samples.notebook(
            evil,
            samples.cell(samples.block({"type": "kpis", "tiles": [{"label": evil, "text": evil}]})),
            meta={"title": evil, "company": evil},
        )
    )
    text = html(sent(document, links=((evil, "javascript:alert(1)"),)))
    assert "<script" not in text
    assert "javascript:" not in text


def test_a_body_too_large_is_refused_or_cut():
    """A summary of a megabyte is cut, so the mail stays whole."""
    document = document_of(samples.notebook("# T", "word " * 200_000))
    text = html(sent(document))
    assert len(text.encode()) < mail.LARGEST_HTML
    assert "word …" in text


def test_the_same_envelope_gives_the_same_bytes():
    """A retry composes an identical message."""
    first, second = (mail.compose(envelope(), samples.rich_document(), PDF).as_bytes() for _ in range(2))
    assert first == second


def test_lines_are_short_enough_for_every_server():
    """No line of the message is longer than 998 characters."""
    data = mail.compose(envelope(), samples.rich_document(), samples.rich_pdf()).as_bytes()
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert b"\n" not in data.replace(b"\r\n", b"")


def test_message_ids_are_stable_and_distinct():
    """The same parts give the same identity, other parts another, and parts do not run together."""
    assert mail.message_id("e.org", "a", "b") == mail.message_id("e.org", "a", "b")
    assert len({mail.message_id("e.org", *parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"))}) == 4
    assert mail.message_id("e.org>\r\n", "a").endswith("@e.org>")


# --- posting ---


def test_posting_writes_a_maildir_that_python_reads(tmp_path):
    """The message lies in `new`, whole, and nothing is left in `tmp`."""
    message = mail.compose(envelope(), samples.rich_document(), PDF)
    path = maildir.post(message.as_bytes(), tmp_path / "mail")
    assert path.parent.name == "new"
    assert path.read_bytes() == message.as_bytes()
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []
    (found,) = mailbox.Maildir(tmp_path / "mail", create=False)
    assert found["Message-ID"] == message["Message-ID"]


def test_posting_twice_writes_once(tmp_path):
    """The same Message-ID is posted once, also after a reader has moved it to `cur`."""
    message = mail.compose(envelope(), samples.rich_document(), PDF)
    first = maildir.post(message.as_bytes(), tmp_path)
    stamp = first.stat().st_mtime_ns
    assert maildir.post(message.as_bytes(), tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    read = tmp_path / "cur" / f"{first.name}:2,S"
    first.rename(read)
    assert maildir.post(message.as_bytes(), tmp_path) == read
    assert list((tmp_path / "new").iterdir()) == []


def test_each_recipient_gets_a_message_of_their_own(tmp_path):
    """Two identities are two files."""
    for address in ("ada@example.org", "bob@example.org"):
        one = envelope(recipient=mail.Person("", address), message_id=mail.message_id("e.org", address))
        maildir.post(mail.compose(one, samples.rich_document(), PDF).as_bytes(), tmp_path)
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    """A file where the folder should be is an error with a remedy, and a retry may help."""
    (tmp_path / "mail").write_text("not a folder")
    with pytest.raises(DeliveryFailed, match="cannot be written") as caught:
        maildir.post(mail.compose(envelope(), samples.rich_document(), PDF).as_bytes(), tmp_path / "mail")
    assert caught.value.retry


def test_another_report_under_the_same_name_is_refused(tmp_path):
    """Where a message of that name carries another PDF, nothing is said to be sent: a person looks."""
    document = samples.rich_document()
    maildir.post(mail.compose(envelope(), document, PDF).as_bytes(), tmp_path)
    with pytest.raises(DeliveryFailed, match="written to before, with another report"):
        maildir.post(mail.compose(envelope(), document, PDF + b" ").as_bytes(), tmp_path)
    assert len(list((tmp_path / "new").iterdir())) == 1
