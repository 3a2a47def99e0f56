"""Whether a secret stands in a text, and the text without it.

Two things are looked for. Secrets that are known, in every form in which one travels through a report: as it is, in
JSON, in HTML, percent-encoded, in base64, a part of an address, half of a long one. And what has the shape of a secret,
whoever's it is: a short list of shapes that no figure, hash, UUID or picture has. A hit is told by the name of the
variable or of the shape, never by what was found.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from runner.errors import ConfigError
from runner.secrets import read

#: Characters below which a value is not looked for: it would be found where it is not. Digits alone look like figures.
SHORTEST, SHORTEST_NUMBER = 6, 12
#: Characters from which one half of a value is looked for as well: tables and messages cut long texts off.
LONG = 32
#: The variable that the watch on another machine and the scheduler share; no file of config names it.
WATCH = "env:RUNNER_WATCH_TOKEN"


@dataclass(frozen=True)
class Leak:
    """A secret stands in a place: where, and the name of its variable (`TILLS_TOKEN`) or shape (`a GitHub token`)."""

    where: str
    what: str

    def __str__(self) -> str:
        what = "what looks like" if any(shape.name == self.what for shape in SHAPES) else "the content of"
        return f"{self.where[:1].upper()}{self.where[1:]} shows {what} {self.what}."


# What has the shape of a secret.


@dataclass(frozen=True)
class Shape:
    """A form that secrets have and next to nothing else.

    `signs` are texts of which one is there for certain, which is quickly seen. For the same reason a form begins with
    letters of its own, and looks back from there. Only its group `secret` is taken out of a text, unless `harmless`.
    """

    name: str
    signs: tuple[str, ...]
    form: str
    harmless: str = ""

    @cached_property
    def _form(self) -> re.Pattern[str]:
        return re.compile(self.form)  # when first wanted: most commands never look

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a text."""
        for found in self._form.finditer(text):
            if not (self.harmless and re.fullmatch(self.harmless, found["secret"])):
                yield found.span("secret")


#: What stands for a password in an explanation, and what we ourselves write in its place.
_NO_PASSWORD = r"\*+|x+|X+|\.+|…|[$%{\[(«:].*|(?i:password|passwd|pass|pwd|secret|token)"  # noqa: S105 - no password
#: Where no token ends: it is a part of a longer word, of base64 say.
_END = r"(?![\w+/=-])"
#: Each has a sign that issuers chose so that scanners find it (or the words of a standard) and so much of chance behind
#: it that no figure, hash, UUID, Message-ID or picture in base64 is like it.
SHAPES = (
    Shape(
        "an AWS access key",
        ("AKIA", "ASIA"),
        rf"(?P<secret>A(?<![\w+/=-]A)(?:KIA|SIA)[A-Z2-7]{{16}}){_END}",
    ),
    Shape(
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        rf"(?P<secret>g(?<![\w+/=-]g)(?:h[opsur]_[A-Za-z0-9]{{36,255}}|ithub_pat_\w{{22,255}})){_END}",
    ),
    Shape("a GitLab token", ("glpat-",), r"(?P<secret>glpat-(?<![\w+/=-]glpat-)[\w-]{20,255})"),
    Shape(
        "a Slack token",
        ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"),
        rf"(?P<secret>xox(?<![\w+/=-]xox)[abeoprs]-(?=[A-Za-z-]*\d)[A-Za-z0-9-]{{20,255}}){_END}",
    ),
    Shape(
        "a Slack webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/services/(?P<secret>[\w-]{8,}/[\w-]{8,}/[\w-]{16,})",
    ),
    Shape(
        "a Stripe key",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_"),
        rf"(?P<secret>[rs]k_(?<![\w+/=-][rs]k_)(?:live|test)_[A-Za-z0-9]{{16,255}}){_END}",
    ),
    Shape(
        "a private key",
        ("PRIVATE KEY-----",),
        r"(?P<secret>-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY-----(?:[^-]{0,20000}-----END[^-]{0,80}-----)?)",
    ),
    Shape(
        "a JSON web token",
        ("eyJ",),
        rf"(?P<secret>eyJ(?<![\w+/=-]eyJ)[\w-]{{10,}}\.eyJ[\w-]{{10,}}\.[\w-]{{16,}}){_END}",
    ),
    Shape(
        "a bearer token",
        ("earer",),
        r"earer(?<=[Bb]earer)[ \t]+(?P<secret>(?=[A-Za-z._~+/-]*\d)[\w.~+/-]{20,}=*)",
    ),
    Shape(
        "an authorization header",
        ("uthorization",),
        r"uthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
        r"(?:[Bb]asic|[Bb]earer|[Tt]oken)\s{1,3}(?P<secret>[\w.~+/-]{8,}=*)",
        _NO_PASSWORD,
    ),
    Shape(
        "a password in an address",
        ("://",),
        r"://(?<=[A-Za-z0-9]://)[^\s/:@?#\"'<>\\]{0,256}:(?P<secret>[^\s/@?#\"'<>\\]{1,256})@(?=[\w.\[/-])",
        _NO_PASSWORD,
    ),
)
_SIGNS = tuple((sign, shape) for shape in SHAPES for sign in shape.signs)
#: Pictures and fonts inside a text, and the lines of drawings: no words, and long.
_EMBEDDED = re.compile(r"data:(?:image/(?:png|jpeg|gif|webp)|font/[\w-]+);base64,[A-Za-z0-9+/=]*")
_DRAWN = re.compile(r' d="M[MLHVCSQTAZz0-9 .,\n-]*"')


# What a known value looks like.


def parts(value: str) -> Iterator[str]:
    """A value and those parts of it that must not be shown either: passwords and tokens in an address or a file."""
    yield value
    address = re.fullmatch(r"[A-Za-z][\w+.-]*://(?P<rest>\S*)", value)
    if address:
        yield from _of_address(address["rest"])
    if address or not value.isascii() or re.search(r"[\s{}/]", value):
        yield from (word for word in re.findall(r"[\w-]{16,}", value) if _is_random(word))
    elif len(value) >= LONG:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]


def _of_address(rest: str) -> Iterator[str]:
    """The passwords and tokens in an address (what follows `scheme://`), as they stand there and decoded."""
    place = re.match(r"[^/?#]*", rest)
    login = place[0].rpartition("@")[0] if place else ""
    if not login and (odd := re.match(r"[^:/@]*:(?!\d+/)[^@]*(?=@)", rest)):  # a slash that was not encoded
        login = odd[0]
    found = [login.partition(":")[2]]
    found += [value for name, value in parse_qsl(rest.partition("?")[2]) if _NAMES.search(name)]
    yield from dict.fromkeys(word for raw in found if raw for word in (raw, unquote(raw)))


_NAMES = re.compile(r"(?i)token|key|secret|passw|pwd|sig|auth|credential")


def _is_random(word: str) -> bool:
    return all(re.search(some, word) for some in ("[a-z]", "[A-Z]", "[0-9]"))


def is_plain(value: str) -> bool:
    """Whether a value is too short, or too much of a number, to be looked for without false alarms."""
    return len(value) < SHORTEST or (len(value) < SHORTEST_NUMBER and not re.search(r"[^\d.,]", value))


def _lowered(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), text)


_WAYS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: html.escape(text, quote=False),
    html.escape,
    lambda text: html.escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;"),
    lambda text: html.escape(text, quote=False).replace('"', "&quot;").replace("'", "&apos;"),
    lambda text: quote(text, safe="", errors="surrogateescape"),
    lambda text: quote(text, safe="/:@", errors="surrogateescape"),
    lambda text: quote_plus(text, errors="surrogateescape"),
    lambda text: _lowered(quote(text, safe="", errors="surrogateescape")),
)


def forms(part: str) -> frozenset[str]:
    """Every way in which a text may carry a part of a value, also one within another (HTML in JSON), and base64."""
    once = {part, *(way(part) for way in _WAYS)}
    twice = once | {way(text) for text in once for way in _WAYS}
    return frozenset(twice | set(_in_base64(part.encode("utf-8", "surrogateescape"))))


def _in_base64(data: bytes) -> Iterator[str]:
    """The letters that are there for certain when data stand anywhere in what is encoded, such as `user:password`."""
    for before, first in enumerate((0, 2, 3)):
        letters = b64encode(bytes(before) + data).decode("ascii")[first : (before + len(data)) * 8 // 6]
        yield from {letters, letters.replace("+", "-").replace("/", "_")}


# The scanner.


@dataclass(frozen=True)
class Scanner:
    """Looks for known values, each given as (name, value), and for shapes."""

    values: tuple[tuple[str, str], ...] = ()

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """The names of those of which something is too short or too simple to be looked for."""
        return tuple(dict.fromkeys(name for name, value in self.values if any(map(is_plain, parts(value)))))

    @cached_property
    def _needles(self) -> tuple[tuple[str, str], ...]:
        """(what a text may carry, the name of its secret), longest first."""
        found = {
            form: name
            for name, value in reversed(self.values)
            for part in parts(value)
            if not is_plain(part)
            for form in forms(part)
            if len(form) >= SHORTEST
        }
        return tuple(sorted(found.items(), key=lambda item: (-len(item[0]), item[0])))

    @cached_property
    def _least(self) -> tuple[tuple[str, str], ...]:
        """Those of the needles that hold no other: where one of the rest is, one of these is."""
        least: list[tuple[str, str]] = []
        for form, name in reversed(self._needles):
            if not any(shorter in form for shorter, _ in least):
                least.append((form, name))
        return tuple(least)

    @cached_property
    def _bytes(self) -> tuple[tuple[bytes, str], ...]:
        whole = ((part, name) for name, value in self.values for part in parts(value) if not is_plain(part))
        return tuple((part.encode("utf-8", "surrogateescape"), name) for part, name in whole)

    @property
    def knows(self) -> bool:
        """Whether there is any value to look for."""
        return bool(self._least)

    def found(self, text: str) -> str | None:
        """The name of the first secret that a text shows, or of a shape; None: it shows none."""
        if len(text) < SHORTEST:
            return None
        if ";base64," in text:
            text = _EMBEDDED.sub("", text)
        if ' d="M' in text:
            text = _DRAWN.sub("", text)
        near = [shape for sign, shape in _SIGNS if sign in text]
        return self.known(text) or next((shape.name for shape in near if any(shape.spans(text))), None)

    def known(self, text: str) -> str | None:
        """As `found`, of known values alone."""
        return next((name for form, name in self._least if form in text), None)

    def found_in(self, data: bytes) -> str | None:
        """As `found`, of a file: a text by all, anything else by the known values alone, as they stand in its bytes."""
        with suppress(UnicodeDecodeError):
            return self.found(data.decode())
        if data.startswith(_PNG):
            data = b"".join(_beside_the_picture(data))
        return next((name for part, name in self._bytes if part in data), None)

    def redact(self, text: str) -> str:
        """The text with the name of each secret in its place: «TILLS_TOKEN»."""
        if self.found(text) is None:
            return text
        for form, name in self._needles:
            text = text.replace(form, f"«{name}»")
        for shape in SHAPES:
            text = _without(text, shape)
        return text


def _without(text: str, shape: Shape) -> str:
    spans = tuple(shape.spans(text))
    if not spans:
        return text
    ends = (0, *(place for span in spans for place in span), len(text))
    kept = (text[start:end] for start, end in tuple(pairwise(ends))[::2])
    return f"«{shape.name}»".join(kept)


_PNG = b"\x89PNG\r\n\x1a\n"


def _beside_the_picture(data: bytes) -> Iterator[bytes]:
    """What a PNG file holds but for the picture itself: what it says of itself."""
    at = len(_PNG)
    while at < len(data):
        size = 12 + int.from_bytes(data[at : at + 4], "big")  # with its length, its kind and its check
        if data[at + 4 : at + 8] != b"IDAT":
            yield data[at : at + size]
        at += size


class Censor:
    """The one who knows the secrets of a project: made at the top, asked wherever something is kept or leaves.

    It never forgets a value: what a file held yesterday is still a secret today.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = {} if environment is None else environment
        self._names: tuple[str, ...] = ()
        self._scanner = Scanner()

    def __repr__(self) -> str:
        return "Censor()"

    def know(self, names: Iterable[str], values: Mapping[str, str] | None = None) -> None:
        """Learn the secrets of these names (`env:NAME`), as far as they are set, and values that are written down."""
        self._names = tuple(dict.fromkeys((*self._names, *names)))
        self._learn(dict(values or {}))

    def renew(self) -> None:
        """Read all files of secrets again: their content may have been exchanged meanwhile."""
        self._learn({})

    def _learn(self, values: dict[str, str]) -> None:
        for name in self._names:
            with suppress(ConfigError):  # who needs it says that it is not there
                values[name.removeprefix("env:")] = read(name, self._environment)
        known = tuple(dict.fromkeys((*self._scanner.values, *values.items())))
        if known != self._scanner.values:
            self._scanner = Scanner(known)

    @property
    def scanner(self) -> Scanner:
        """The scanner for all that is known now."""
        return self._scanner

    def redact(self, text: str) -> str:
        """The text with the name of each secret in its place."""
        return self._scanner.redact(text)

    def clean(self, thing: Any) -> Any:
        """As `redact`, of every text in lists and mappings."""
        if isinstance(thing, str):
            return self.redact(thing)
        if isinstance(thing, Mapping):
            return {self.clean(key): self.clean(value) for key, value in thing.items()}
        return [self.clean(item) for item in thing] if isinstance(thing, list | tuple) else thing
