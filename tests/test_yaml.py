"""The swift parser of config/ and the one whose words are shown: the same data, lines and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runner.config.yaml import _Loader, _parsed, _Swift, line_of, parse, trouble_of

FILES = sorted((Path(__file__).resolve().parents[1] / "config").rglob("*.yml"))
BROKEN = (
    "a: [1, 2",
    "a: b: c",
    "\ta: 1",
    "a: 'x",
    "- a\nb: 1",
    "a: &x 1\nb: *y",
    "a: !!set {x",
    "a: \x07",
    "? [a]: b: c",
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_read_alike_by_both(path):
    """Every value and the line of every key."""
    text = path.read_text(encoding="utf-8")
    assert parse(text) == _parsed(_Loader(text))
    assert _parsed(_Swift(text)) == _parsed(_Loader(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a: 010\nb: no\nc: 12:30\nd: 2017-11-15\ne: 1.5e3\nf: ~\ng: true",
        "a: 1\na: 2",
        "a: >\n  é 🛒\n  b\n",
    ],
)
def test_what_yaml_usually_surprises_with_is_read_alike_by_both(text):
    """Words stay words, and a key given twice is found."""
    assert _parsed(_Swift(text)) == _parsed(_Loader(text))


@pytest.mark.parametrize("text", BROKEN)
def test_an_error_is_said_in_the_words_of_the_second(text):
    """Whatever parser is installed, with the line."""
    with pytest.raises(yaml.YAMLError) as first:
        parse(text)
    with pytest.raises(yaml.YAMLError) as second:
        _parsed(_Loader(text))
    assert (trouble_of(first.value), line_of(first.value)) == (trouble_of(second.value), line_of(second.value))
