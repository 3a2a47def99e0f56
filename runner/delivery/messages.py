"""What one message says, and three ways to say it: plain text, HTML, and the few lines that a pager shows.

Everything in a `Message` is data that came from outside: it is cleaned here, escaped by the template, and cut where
it is longer than a person reads. The runbook's section goes the way of all our markdown, by the block model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import jinja2

from runner.document.markdown import blocks_of
from runner.document.render import environment, theme
from runner.document.shapes import (
    Block,
    Break,
    Code,
    Heading,
    Link,
    Listing,
    Note,
    Paragraph,
    Preformatted,
    Spans,
    Table,
    plain,
)
from runner.document.shipped import TEMPLATES
from runner.document.texts import clean, line, safe_link
from runner.errors import DeliveryFailed

#: How serious a message is, most urgent first, and the word for it that a colour-blind reader sees too.
TONES: Mapping[str, str] = {"stop": "Act now", "warn": "Look soon", "plain": "", "good": "All right"}
_WIDTH = 76
_LONGEST = 1200  # characters of one fact: an error may be a page long, and its log is a command away
_LABEL = 16
_TITLE = 120
_SHORT = 960  # of the 1000 characters that every pager shows: the rest is for the reference below
_SHORT_FACT = 200
#: Stands for a space that must not become a line break; `clean` leaves none in any text.
_KEEP = "\0"


@dataclass(frozen=True)
class Message:
    """One message to one kind of reader, without its addressee.

    `facts` are (label, text) pairs, `commands` (what it does, the command), `links` (words, path or address).
    `runbook` is markdown: the mitigation itself. `tone` is one of TONES. `audience` is engineers or readers.
    """

    subject: str
    headline: str
    audience: str = "engineers"
    facts: tuple[tuple[str, str], ...] = ()
    runbook_title: str = ""
    runbook: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    closing: str = ""
    tone: str = "plain"

    def as_dict(self) -> dict[str, Any]:
        """The message as plain JSON values, as the outbox stores it."""
        pairs = {name: [list(pair) for pair in getattr(self, name)] for name in _PAIRS}
        return asdict(self) | pairs

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Message:
        """The message that `as_dict` gave; what another version stored beside it is left out."""
        known = {name: str(stored[name]) for name in _TEXTS if name in stored}
        pairs = {name: tuple((str(a), str(b)) for a, b in stored.get(name, ())) for name in _PAIRS}
        return cls(**known, **pairs)  # type: ignore[arg-type]


_PAIRS = ("facts", "commands", "links")
_TEXTS = ("subject", "headline", "audience", "runbook_title", "runbook", "closing", "tone")


# --- plain text ---


def text(message: Message) -> str:
    """Plain text in lines of 76 columns; commands, paths and addresses are never broken."""
    parts = [_fill(_cut(message.headline)), "\n".join(_facts(message)), *_steps(message)]
    parts += ["\n\n".join(f"{_fill(f'{line(what)}:')}\n    {line(command)}" for what, command in message.commands)]
    parts += ["\n".join(f"{line(words)}:\n    {line(target)}" for words, target in message.links)]
    parts += [_fill(_cut(message.closing))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fill(words: str, first: str = "", rest: str = "") -> str:
    """Words in lines, the first and the others indented; long ones stay whole."""
    wrapped = fill(words, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                   break_on_hyphens=False)  # fmt: skip
    return wrapped.replace(_KEEP, " ")


def _cut(words: str, longest: int = _LONGEST) -> str:
    words = line(words)
    return words if len(words) <= longest else f"{words[: longest - 2].rstrip()} …"


def _facts(message: Message) -> Iterator[str]:
    """Labels in one column, texts in another; a fact without a label is an item of a list."""
    width = min(max((len(line(label)) + 2 for label, _ in message.facts), default=0), _LABEL)
    for label, words in message.facts:
        if line(label):
            yield _fill(_cut(words), f"{line(label)[: _LABEL - 2]:<{width}}", " " * width)
        else:
            yield _fill(_cut(words), "- ", "  ")


def _steps(message: Message) -> Iterator[str]:
    if message.runbook.strip():
        title = line(message.runbook_title)
        yield _fill(f"FIRST STEPS: {title}" if title else "FIRST STEPS")
        yield from _lines(blocks_of(message.runbook))


def _lines(blocks: Sequence[Block], indent: str = "") -> Iterator[str]:
    """Each block as a paragraph of plain text, indented."""
    for block in blocks:
        match block:
            case Paragraph(spans) | Heading(spans=spans):
                yield _fill(_words(spans), indent, indent)
            case Preformatted(words):
                yield "\n".join(f"{indent}    {row}" for row in words.split("\n"))
            case Listing():
                yield "\n".join(_items(block, indent))
            case Table():
                yield "\n".join(_fill(" | ".join(row), indent, f"{indent}  ") for row in _rows(block))
            case Note(title=title, blocks=inner):
                yield from _lines((*_titled(title), *inner), f"{indent}  ")
            case _:
                continue


def _items(listing: Listing, indent: str) -> Iterator[str]:
    """The items of a list with their marks, text hanging to the right of them."""
    for number, item in enumerate(listing.items, listing.start):
        mark = f"{number}. " if listing.ordered else "- "
        hanging = indent + " " * len(mark)
        body = "\n".join(_lines(item, hanging)) or hanging
        yield f"{indent}{mark}{body[len(hanging) :]}"


def _rows(table: Table) -> Iterator[tuple[str, ...]]:
    yield tuple(column.label for column in table.columns)
    yield from table.texts


def _titled(title: str) -> tuple[Block, ...]:
    return blocks_of(title) if title else ()


def _words(spans: Spans) -> str:
    """The words of a line; code stays on one line, a link names its address."""
    parts = []
    for span in spans:
        match span:
            case Code(words):
                # Its marks stay: a full stop after a command must not be typed with it.
                parts.append(f"`{words.replace(' ', _KEEP)}`")
            case Link(children, url):
                parts.append(f"{_words(children)} ({url})" if plain(children) != url else url)
            case Break():
                parts.append(" ")
            case _:
                parts.append(_words(span.children) if hasattr(span, "children") else plain((span,)))
    return "".join(parts)


# --- the few lines of a pager ---


def short(message: Message) -> tuple[str, str]:
    """Title (at most 120 characters) and body (at most 960): whole lines, the most useful first.

    A line that does not fit is left out, and a mark at the end says that the mail holds more.
    """
    body, more = "", "\n…"
    wanted = [row for row in _brief(message) if row.strip()]
    for at, row in enumerate(wanted):
        longer = f"{body}\n{row}" if body else row
        if len(longer) > _SHORT - (len(more) if at + 1 < len(wanted) else 0):
            return _cut(message.subject, _TITLE), body + more
        body = longer
    return _cut(message.subject, _TITLE), body


def _brief(message: Message) -> Iterator[str]:
    """Headline, the first facts, the first command (acknowledge), the first steps, and then the rest."""
    yield _cut(message.headline, 2 * _SHORT_FACT)
    yield from (_cut(f"- {words}", _SHORT_FACT) for label, words in message.facts if not line(label))
    facts = [_cut(f"{label}: {words}", _SHORT_FACT) for label, words in message.facts if line(label)]
    commands = [f"{line(what)}: {line(command)}" for what, command in message.commands]
    yield from facts[:2]
    yield from commands[:1]
    for part in _steps(message):
        yield from (row.rstrip() for row in part.split("\n"))
    yield from commands[1:]
    yield from facts[2:]
    yield _cut(message.closing, _SHORT_FACT)


# --- HTML ---


def html(message: Message, templates: Sequence[Path] = (TEMPLATES,)) -> str:
    """One HTML page for mail programmes, nothing in it fetched. Raises DeliveryFailed if its template is off."""
    try:
        return (
            environment(templates)
            .get_template("alert.html.j2")
            .render(
                subject=_cut(message.subject, 200),
                headline=_cut(message.headline),
                audience=message.audience,
                tone=message.tone if message.tone in TONES else "plain",
                tones=TONES,
                facts=_pairs(message.facts, _cut),
                title=line(message.runbook_title),
                steps=blocks_of(clean(message.runbook)),
                commands=_pairs(message.commands, line),
                links=[(line(words), line(target), safe_link(target)) for words, target in message.links],
                closing=_cut(message.closing),
                colours=theme(templates),
            )
        )
    except (jinja2.TemplateError, RecursionError) as error:
        raise DeliveryFailed(f"The template alert.html.j2 failed: {error}.", "Correct it in templates/.") from error


def _pairs(pairs: Sequence[tuple[str, str]], tidy: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(line(label), tidy(words)) for label, words in pairs]
