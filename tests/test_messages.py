"""One message in three forms: text that is read at night, the lines of a pager, and HTML in which content is data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.delivery import messages
from runner.delivery.messages import Message
from runner.document import readback
from runner.errors import DeliveryFailed

RUNBOOK = """\
1. Look at `runner logs 20171116T120000-48853c --follow --all-of-it --with-every-line`, the last lines name it.
2. **Wait**, then [ask](https://example.com/ask):
   - the first
   - the second

```
export A=1
runner run x
```

| Sign | Meaning |
|---|---|
| refused | it is down |

> Mind the deadline.
"""
MESSAGE = Message(
    subject="Failed: Aggregate profit",
    headline="The warehouse could not be reached.",
    facts=(("Deadline", "Thursday, 09:00 EST, 23 min left " * 3), ("Run", "r1"), ("", "A change.")),
    runbook_title="Database connection failures",
    runbook=RUNBOOK,
    commands=(("Acknowledge", "runner ack 12 --by engineer_a"), ("Again", f"runner run x --reason {'y' * 90}")),
    links=(("Log", "reports/x/" + "z" * 90), ("Desk", "https://example.com/desk")),
    closing="You get this as primary.",
    tone="stop",
)
HOSTILE = "<script>alert(1)</script>\r\nBcc: x@example.org\x00\x1b[31m\u202e{{ 7*7 }} & \" ' `"
words = st.text(max_size=60) | st.just(HOSTILE)
pairs = st.lists(st.tuples(words, words), max_size=4).map(tuple)
any_message = st.builds(
    Message,
    subject=words,
    headline=words,
    audience=st.sampled_from(["engineers", "readers"]),
    facts=pairs,
    runbook_title=words,
    runbook=words,
    commands=pairs,
    links=pairs,
    closing=words,
    tone=st.sampled_from(list(messages.TONES)),
)


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@given(any_message)
def test_a_message_survives_storage(message):
    """As JSON and back it is the same message."""
    assert Message.of(json.loads(json.dumps(message.as_dict()))) == message


def test_a_message_of_another_version_is_read():
    """A key that we do not know is left out, one that is missing has its default."""
    assert Message.of({"subject": "S", "headline": "H", "colour": "red"}) == Message("S", "H")


def test_text_has_the_headline_first_and_everything_after_it_in_order():
    """Headline, facts, first steps, commands, links, closing."""
    text = messages.text(MESSAGE)
    order = [
        "The warehouse could not",
        "Deadline",
        "FIRST STEPS: Database connection failures",
        "1. Look at",
        "runner ack 12",
        "Log:",
        "You get this",
    ]
    assert text.startswith(order[0])
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)


def test_text_lines_fit_and_what_is_copied_stands_whole():
    """No line is longer than 76 but those that hold a command, a path or code, and these are whole."""
    rows = messages.text(MESSAGE).split("\n")
    commands = [command for _, command in MESSAGE.commands] + [target for _, target in MESSAGE.links]
    assert [command for command in commands if f"    {command}" not in rows] == []
    assert any("runner logs 20171116T120000-48853c --follow --all-of-it --with-every-line" in row for row in rows)
    long = [row for row in rows if len(row) > 76]
    assert [row for row in long if row.strip() not in commands and "runner logs" not in row] == []


def test_text_aligns_facts_and_hangs_their_lines():
    """The second line of a fact begins below its text, and a fact without a label is an item."""
    rows = messages.text(MESSAGE).split("\n")
    at = next(n for n, row in enumerate(rows) if row.startswith("Deadline"))
    hanging = len("Deadline  ")
    assert rows[at + 1][:hanging].isspace()
    assert not rows[at + 1][hanging].isspace()
    assert "Run       r1" in rows
    assert "- A change." in rows


def test_text_keeps_the_shape_of_the_runbook():
    """Lists nest, code keeps its lines, links name their address, tables keep their rows."""
    text = messages.text(MESSAGE)
    for part in (
        "2. Wait, then ask (https://example.com/ask):\n   - the first\n   - the second",
        "\n    export A=1\n    runner run x\n",
        "Sign | Meaning\nrefused | it is down",
        "  Mind the deadline.",
    ):
        assert part in text


def test_short_puts_the_acknowledgement_before_the_steps_and_says_that_there_is_more():
    """The title is the subject; the body has the headline, the first facts and the first command, and a mark if cut."""
    title, body = messages.short(replace(MESSAGE, runbook=RUNBOOK * 9))
    rows = body.split("\n")
    assert title == MESSAGE.subject
    assert rows[0] == MESSAGE.headline
    assert body.index("Acknowledge: runner ack 12 --by engineer_a") < body.index("FIRST STEPS")
    assert rows[-1] == "…"
    assert not messages.short(Message("S", "H"))[1].endswith("…")


def test_short_never_shows_half_a_command():
    """A command too long for a pager is left to the mail."""
    long = Message("S", "H", commands=(("Do", "runner " + "x" * 2000),))
    assert messages.short(long)[1] == "H\n…"


@given(any_message)
def test_no_form_can_be_broken_by_its_content(message):
    """Limits hold, and no control character and no direction override gets through."""
    title, body = messages.short(message)
    assert len(title) <= 120
    assert len(body) <= 960
    assert "\n" not in title
    for form in (messages.text(message), title, body):
        assert not set(form) & set("\x00\x1b\r\u202e")


@given(any_message)
def test_content_adds_no_tag_to_the_html(message):
    """Whatever the words, no element runs, loads or styles anything, and no handler is set."""
    for tag, attrs in Tags(messages.html(message)).found:
        assert tag not in {"script", "img", "iframe", "svg", "form", "object", "link", "base"}
        assert not any(name.startswith("on") or name == "src" for name in attrs)
        assert attrs.get("href", "https://").startswith(("https://", "http://", "mailto:"))


def test_hostile_words_are_shown_as_words():
    """Markup and template syntax in a headline are printed, not obeyed; a line break in a subject is a space."""
    page = messages.html(
        replace(MESSAGE, headline=HOSTILE, subject=HOSTILE, runbook=f"{HOSTILE}\n\n<b onclick=x>y</b>")
    )
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page
    assert "<script" not in page
    assert "onclick" not in page


def test_html_says_what_the_text_says():
    """Every fact, step, command and link of the text is on the page."""
    page = readback.read_html(messages.html(MESSAGE)).words
    for part in (
        "could not be reached",
        "23 min left",
        "Database connection failures",
        "the second",
        "export A=1",
        "runner ack 12 --by engineer_a",
        "z" * 90,
        "it is down",
        "Mind the deadline",
        "as primary",
    ):
        assert part in page
    assert ("a", "https://example.com/desk") in [
        (tag, attrs.get("href")) for tag, attrs in Tags(messages.html(MESSAGE)).found
    ]


def test_html_needs_no_style_sheet_and_knows_the_dark():
    """Each text carries its colour itself; a dark scheme is declared, with colours of its own."""
    page = messages.html(MESSAGE)
    bare = [
        tag for tag, attrs in Tags(page).found if tag in {"p", "h1", "h2", "pre"} and "color:" not in attrs["style"]
    ]
    assert bare == []
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "@media (prefers-color-scheme:dark)" in page


def test_the_tone_is_a_word_and_not_a_colour_alone_and_readers_see_none():
    """Engineers read how urgent it is; readers are told calmly."""
    assert "ACT NOW" in messages.html(MESSAGE)
    assert "ACT NOW" not in messages.html(replace(MESSAGE, audience="readers"))


def test_a_broken_template_is_an_error_with_a_remedy(tmp_path):
    """A project's own template that fails says its name."""
    (tmp_path / "alert.html.j2").write_text("{{ nobody }}")
    with pytest.raises(DeliveryFailed, match=r"alert\.html\.j2") as caught:
        messages.html(MESSAGE, (tmp_path,))
    assert caught.value.remedy


def test_on_a_phone_a_label_stands_above_its_words():
    """Beside it they would have half of the screen, and the first steps would be far below."""
    page = messages.html(Message("S", "H", facts=(("Deadline", "At nine."),)))
    narrow = page[page.index("@media (max-width:480px)") :]
    assert ".label{display:block!important" in narrow
    assert ".fact{display:block!important" in narrow
    assert re.search(r'<td class="[^"]*\blabel" [^>]*>Deadline</td>\s*<td class="[^"]*\bfact" [^>]*>At nine', page)
