"""A finished report as one mail message per recipient.

Composing is pure, and apart from posting, which `runner.delivery.door` does. The message is multipart/mixed with a
related part (text and HTML alternatives, the pictures by content id) and the PDF; one that would be too large has a
link in place of the PDF.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from textwrap import fill, wrap
from typing import TYPE_CHECKING
from urllib.parse import unquote

import jinja2

from runner.delivery.headers import POLICY, address
from runner.document import pictures
from runner.document.render import environment, theme
from runner.document.restated import NAME
from runner.document.shapes import Block, Chart, Document, Kpis, Listing, Note, Paragraph, Table, Tile, plain
from runner.document.shipped import TEMPLATES
from runner.document.texts import line, safe_link
from runner.errors import DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

#: Gmail cuts HTML above about 102 KB.
LARGEST_HTML = 100_000
_MOST_CHARTS = 2
_MOST_TILES = 9
_MOST_NOTES = 6
_MOST_CHANGES = 9
_LONGEST = 900  # characters of one paragraph
#: The notes that a reader must not miss, and the word that stands for their colour.
_WORDS = {"warn": "Please note", "stop": "Stop"}
_LARGEST_PICTURE = 600_000
_WIDTH = 72
_PERSON = re.compile(r"[^\s@<>,;:\"\\()\[\]]+@[^\s@<>,;:\"\\()\[\]]+\.[^\s@<>,;:\"\\()\[\]]+|[^\s@<>]+@localhost")
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")


@dataclass(frozen=True)
class Person:
    """A name and an address."""

    name: str
    address: str


@dataclass(frozen=True)
class Envelope:
    """Who gets the message from whom, when, and under which identity.

    `date` is aware. `message_id` is `<left@right>`, the same for every try, so that a repeat is known as one.
    `report_name` is the attachment's file name. `links` are (words, address) pairs shown below the summary.
    `reply_to` are the report's owners: an answer goes to them, and they are named as those to ask. `opening` is said
    before all else. `unsubscribe` is where a reader says no more, and `report_at` where the report lies that is too
    large to be attached; both are addresses.
    """

    sender: Person
    recipient: Person
    subject: str
    date: datetime
    message_id: str
    report_name: str = "report.pdf"
    links: tuple[tuple[str, str], ...] = ()
    reply_to: tuple[Person, ...] = ()
    opening: str = ""
    unsubscribe: str = ""
    report_at: str = ""


def message_id(domain: str, *parts: str) -> str:
    """A Message-ID that is the same whenever the parts (pipeline, period, run, recipient…) are."""
    mark = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
    safe = re.sub(r"[^a-zA-Z0-9.-]", "", domain) or "localhost"
    return f"<{mark}@{safe}>"


# --- composing ---


def compose(
    envelope: Envelope, document: Document, pdf: bytes, templates: Sequence[Path] = (TEMPLATES,)
) -> EmailMessage:
    """The message, ready to be sent. Raises DeliveryFailed on an unusable address, date, id or PDF."""
    _check(envelope, pdf)
    images = dict(_images(document))
    message = EmailMessage(policy=POLICY)
    try:
        _head(message, envelope)
    except (ValueError, IndexError, MessageError) as error:
        raise DeliveryFailed(f"The message to {line(envelope.recipient.address)} has a bad header: {error}.") from error
    body = html_of(envelope, document, tuple(images), templates)
    message.make_mixed()
    message.attach(_related(_alternatives(text_of(envelope, document), body), images))
    if not envelope.report_at:
        name = file_name(envelope.report_name)
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename=name)
    # Boundaries from the identity, so that the same message is the same bytes.
    for at, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=={hashlib.sha256(envelope.message_id.encode()).hexdigest()[:24]}-{at}")
    return message


@dataclass(frozen=True)
class Room:
    """How large a message may be, in bytes, and where the report can be read that does not fit; empty: nowhere."""

    largest: int
    report_at: str = ""


def fitted(
    envelope: Envelope, document: Document, pdf: bytes, room: Room, templates: Sequence[Path] = (TEMPLATES,)
) -> EmailMessage:
    """The message that fits: with the report, or with a link to it. Raises DeliveryFailed as `compose` does.

    Also where there is no place to link to, and where it does not fit without the report either.
    """
    message = compose(envelope, document, pdf, templates)
    size = len(message.as_bytes())
    if size <= room.largest:
        return message
    if not room.report_at:
        raise DeliveryFailed(
            f"The message would be {_megabytes(size)} large, and {_megabytes(room.largest)} is the most.",
            "Name the place where reports can be read, `mail.archive` in settings.yml, or raise `mail.largest`.",
        )
    message = compose(replace(envelope, report_at=room.report_at), document, pdf, templates)
    if len(message.as_bytes()) > room.largest:
        what = f"The message is larger than {_megabytes(room.largest)} without its report, too."
        raise DeliveryFailed(what, "Raise `mail.largest` in settings.yml.")
    return message


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _check(envelope: Envelope, pdf: bytes) -> None:
    """What must hold before anything is written; each failure names what to correct."""
    if not pdf.startswith(b"%PDF") or len(pdf) < 200:
        raise DeliveryFailed("The report to attach is empty or no PDF.", "Render the report again.")
    people = [(envelope.sender, "sender"), (envelope.recipient, "recipient")]
    for person, role in [*people, *((owner, "owner") for owner in envelope.reply_to)]:
        if not _PERSON.fullmatch(person.address):
            raise DeliveryFailed(f"The {role}'s address {person.address!r} cannot be used.", "Correct it in config/.")
    if envelope.date.tzinfo is None:
        raise DeliveryFailed("The message's date has no time zone.", "Pass an aware date.")
    if envelope.report_at and not safe_link(envelope.report_at):
        raise DeliveryFailed("The report cannot be linked to: its place is no address.", "Correct `mail.archive`.")
    if not _MESSAGE_ID.fullmatch(envelope.message_id):
        raise DeliveryFailed(f"The Message-ID {envelope.message_id!r} is malformed.", "Use mail.message_id.")


def _head(message: EmailMessage, envelope: Envelope) -> None:
    message["From"] = address(envelope.sender.name, envelope.sender.address)
    message["To"] = address(envelope.recipient.name, envelope.recipient.address)
    if envelope.reply_to:
        message["Reply-To"] = tuple(address(person.name, person.address) for person in envelope.reply_to)
    message["Subject"] = line(envelope.subject)[:200] or "Report"
    message["Date"] = format_datetime(envelope.date)
    message["Message-ID"] = envelope.message_id
    message["MIME-Version"] = "1.0"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if safe_link(envelope.unsubscribe):
        message["List-Unsubscribe"] = f"<{safe_link(envelope.unsubscribe)}>"


def file_name(name: str) -> str:
    """A name for a report's file that every mail programme and browser takes."""
    stem = name.replace("\\", "/").rpartition("/")[2].removesuffix(".pdf")
    return (re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:80] or "report") + ".pdf"


def _alternatives(text: str, html: str) -> EmailMessage:
    part = _part()
    part.set_content(text, cte="quoted-printable")
    part.add_alternative(html, subtype="html", cte="quoted-printable")
    return part


def _part() -> EmailMessage:
    """A part of a message: without the header that only the whole message has."""
    part = EmailMessage(policy=POLICY)
    part["MIME-Version"] = "1.0"
    return part


def _related(alternatives: EmailMessage, images: Mapping[str, Chart]) -> EmailMessage:
    """The bodies with the pictures beside them, so that text and HTML stay alternatives of one another."""
    if not images:
        return alternatives
    part = _part()
    part["Content-Type"] = 'multipart/related; type="multipart/alternative"'
    part.attach(alternatives)
    for cid, chart in images.items():
        part.add_related(chart.png, "image", "png", cid=f"<{cid}>", disposition="inline", filename=f"{chart.name}.png")
    return part


def _images(document: Document) -> Iterator[tuple[str, Chart]]:
    """The first full charts that mail programmes can show (PNG, not too large), by content id."""
    charts = [block for block in document.walk() if isinstance(block, Chart) and pictures.sound_png(block.png)]
    small = [chart for chart in charts if len(chart.png) <= _LARGEST_PICTURE]
    wide = [chart for chart in small if not chart.half]
    for chart in (wide or small)[:_MOST_CHARTS]:
        yield f"{chart.name}@report", chart


def html_of(
    envelope: Envelope, document: Document, cids: Sequence[str], templates: Sequence[Path] = (TEMPLATES,)
) -> str:
    """The HTML body, below the size at which mail programmes cut. Raises DeliveryFailed if its template is off."""
    charts = dict(_images(document))
    try:
        body = (
            environment(templates)
            .get_template("mail.html.j2")
            .render(
                envelope=envelope,
                meta=document.meta,
                greeting=_greeting(envelope),
                summary=_summary(document),
                tiles=_rows(_tiles(document)),
                notes=_notes(document),
                changed=_changed(envelope, document),
                charts=[(cid, charts[cid]) for cid in cids],
                asks=_asks(envelope, document),
                attached=file_name(envelope.report_name),
                opening=line(envelope.opening),
                report_at=safe_link(envelope.report_at),
                unsubscribe=safe_link(envelope.unsubscribe),
                mailbox=_mailbox(safe_link(envelope.unsubscribe)),
                colours=theme(templates),
            )
        )
    except jinja2.TemplateError as error:
        raise DeliveryFailed(f"The template mail.html.j2 failed: {error}.", "Correct it in templates/.") from error
    if len(body.encode()) > LARGEST_HTML:
        raise DeliveryFailed("The mail's HTML is larger than 100 KB.", "Shorten the report's summary.")
    return body


def text_of(envelope: Envelope, document: Document) -> str:
    """The plain text body: what the HTML says, in lines of at most 72 characters where words allow."""
    meta = document.meta
    title = [meta.title, "=" * min(len(meta.title), _WIDTH), _joined(meta.company, meta.period_text or meta.period)]
    parts = [_greeting(envelope), fill(line(envelope.opening), _WIDTH)]
    parts += ["\n".join(_change_lines(_changed(envelope, document))), "\n".join(part for part in title if part)]
    parts += [fill(text, _WIDTH) for text in _summary(document)]
    parts += ["\n".join(_tile_lines(_tiles(document)))]
    parts += [fill(f"{_WORDS[note.tone]}: {_sentence(note.title, text)}", _WIDTH) for note, text in _notes(document)]
    parts += [_whereabouts(envelope)]
    parts += ["\n".join(f"{line(words)}: {address}" for words, address in envelope.links)]
    owners = ", then ".join(f"{name} <{address}>" if address else name for name, address in _asks(envelope, document))
    asks = f"Questions? Ask {owners}." if owners else ""
    parts += [fill(asks, _WIDTH, break_on_hyphens=False), _farewell(envelope), fill(meta.confidential, _WIDTH)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _whereabouts(envelope: Envelope) -> str:
    """Where the full report is; an address is never broken."""
    name = file_name(envelope.report_name)
    if not envelope.report_at:
        return fill(f"Attached: {name}, the full report.", _WIDTH)
    said = f"The full report, {name}, is too large for a mail and is not attached. It lies here:"
    return f"{fill(said, _WIDTH)}\n{safe_link(envelope.report_at)}"


def _farewell(envelope: Envelope) -> str:
    where = safe_link(envelope.unsubscribe)
    if not where:
        return ""
    mailbox = _mailbox(where)
    return f"To get this report no more, write to:\n{mailbox}" if mailbox else f"To get this report no more:\n{where}"


def _mailbox(where: str) -> str:
    """The mail address of a link, as people write it; empty if it is none."""
    return unquote(where[len("mailto:") :].partition("?")[0]) if where.lower().startswith("mailto:") else ""


def _greeting(envelope: Envelope) -> str:
    name = line(envelope.recipient.name)
    return f"Dear {name}," if name else "Good day,"


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _summary(document: Document) -> list[str]:
    """The report's first paragraphs, cut at a length that fits a mail."""
    return [_cut(plain(block.spans)) for block in _opening(document) if isinstance(block, Paragraph)][:3]


def _opening(document: Document) -> tuple[Block, ...]:
    return document.blocks[: document.opening] or document.blocks


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} …"


def _notes(document: Document) -> list[tuple[Note, str]]:
    """The warnings beside the key figures, each with its words: no figure travels without what limits it."""
    notes = [block for block in _opening(document) if isinstance(block, Note) and block.tone in _WORDS]
    return [(note, _cut(" ".join(_inner(note.blocks)))) for note in notes[:_MOST_NOTES]]


def _changed(envelope: Envelope, document: Document) -> list[tuple[str, ...]]:
    """To one who had another version: the first figures that differ, old beside new, and how many more there are."""
    if not envelope.opening:
        return []
    table = next((block for block in _opening(document) if isinstance(block, Table) and block.name == NAME), None)
    rows = [tuple(map(_cut, row)) for row in table.texts] if table else []
    more = len(rows) - _MOST_CHANGES
    return [*rows[:_MOST_CHANGES], *([(f"and {more} more, in the report", "", "")] if more > 0 else [])]


def _change_lines(changed: list[tuple[str, ...]]) -> Iterator[str]:
    for label, before, now in changed:
        said = f"{label}: was {before}, is {now}" if now else label
        yield fill(said, _WIDTH, initial_indent="  ", subsequent_indent=" " * 6)


def _inner(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Paragraph(spans):
                yield plain(spans)
            case Listing(items=items):
                yield from (text for item in items for text in _inner(item))
            case Note(title=title, blocks=inner):
                yield from (title, *_inner(inner))


def _sentence(title: str, text: str) -> str:
    """A title and what follows it as running words."""
    stop = "." if title and text and title[-1].isalnum() else ""
    return f"{title}{stop} {text}".strip()


def _tiles(document: Document) -> list[Tile]:
    return [tile for block in document.walk() if isinstance(block, Kpis) for tile in block.tiles][:_MOST_TILES]


def _rows(tiles: list[Tile]) -> list[list[Tile]]:
    """Two tiles a row: that fits a phone without rules that mail programmes ignore."""
    return [tiles[at : at + 2] for at in range(0, len(tiles), 2)]


def _tile_lines(tiles: list[Tile]) -> Iterator[str]:
    label = min(max((len(tile.label) for tile in tiles), default=0), 34)
    text = max((len(tile.text) for tile in tiles), default=0)
    for tile in tiles:
        *above, last = wrap(tile.label, 34) or [""]
        yield from (f"  {part}" for part in above)
        beside = f"  {last:<{label}}  {tile.text:>{min(text, 16)}}"
        more = _joined(tile.change, tile.note)
        if not more or len(beside) + 3 + len(more) <= _WIDTH:
            yield f"{beside}   {more}".rstrip()
            continue
        yield beside
        yield fill(more, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _asks(envelope: Envelope, document: Document) -> list[tuple[str, str]]:
    """Whom to ask, first things first: each owner as the report names them, with an address where it is known."""
    known = {line(person.name): person.address for person in envelope.reply_to}
    owners = document.meta.owners or tuple(known)
    return [(owner, known.get(owner) or known.get(owner.rpartition(" (")[0], "")) for owner in owners]
