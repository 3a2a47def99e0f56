"""Which section of which runbook answers a trouble; the texts are handed in.

A runbook is markdown with one title, sections, and right below a section's title what it answers::

    # Daily growth

    ## Sales of the day are missing
    Answers: data incomplete, late

    1. Read the message ...

What a section may answer are the kinds below: every `Trouble`, and the states of a deadline that are troubles too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.config.names import known
from runner.errors import ConfigError, Trouble

#: States of a deadline that somebody is told of, though no run says what went wrong.
STATES = ("not started", "at risk", "late", "held")
#: Everything that a runbook is asked about.
KINDS: tuple[str, ...] = (*(str(trouble) for trouble in Trouble), *STATES)
#: The runbook that answers what a pipeline's own does not.
COMMON = "common"

_ANSWERS = "Answers:"
_HEADING = re.compile(r"(#{1,2})(?!#)(?:[ \t]+(.*?))?[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Section:
    """One section: its title, its anchor in the page, its markdown, the kinds it answers, and the file it stands in."""

    title: str
    anchor: str
    text: str
    answers: tuple[str, ...] = ()
    file: str = ""

    @property
    def place(self) -> str:
        """Where a person finds it: `common.md#late`."""
        return f"{self.file}#{self.anchor}"


@dataclass(frozen=True)
class Runbook:
    """One file: its title, what its section Purpose says (empty without one), and all its sections in order."""

    title: str
    purpose: str
    sections: tuple[Section, ...]

    def find(self, kind: str) -> Section | None:
        """The section that answers a kind, or None."""
        return next((section for section in self.sections if kind in section.answers), None)


@dataclass(frozen=True)
class Library:
    """The runbooks of a project: each pipeline's own, and the common one."""

    own: Mapping[str, Runbook]
    common: Runbook

    def answer(self, pipeline: str, *kinds: str) -> Section:
        """The section for a pipeline's trouble: of the kinds, most telling first, the first that is answered.

        For each kind the pipeline's own runbook is asked before the common one. Raises ConfigError when none answers.
        """
        found = next((section for kind in kinds if (section := self._find(pipeline, kind))), None)
        if found is None:
            asked = " or ".join(map(repr, kinds)) or "nothing"
            raise ConfigError(f"No runbook answers {asked} for {pipeline}.", _remedy(pipeline))
        return found

    def missing(self, pipelines: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Each (pipeline, kind) that no section answers."""
        return tuple((name, kind) for name in pipelines for kind in KINDS if not self._find(name, kind))

    def strangers(self, pipelines: Iterable[str]) -> tuple[str, ...]:
        """Runbooks that belong to none of the pipelines: most often a name that is misspelt."""
        return tuple(sorted(set(self.own) - set(pipelines)))

    def _find(self, pipeline: str, kind: str) -> Section | None:
        own = self.own[pipeline].find(kind) if pipeline in self.own else None
        return own or self.common.find(kind)


def _remedy(pipeline: str) -> str:
    return f"Write a section with the line `{_ANSWERS} …` in {COMMON}.md or {pipeline}.md."


def library(texts: Mapping[str, str]) -> Library:
    """The runbooks by file name: `daily_growth.md` belongs to the pipeline daily_growth, `common.md` to all.

    Raises ConfigError as `parse` does, and when there is no `common.md`.
    """
    books = {_stem(file): parse(text, file) for file, text in texts.items()}
    if COMMON not in books:
        raise ConfigError(
            f"There is no {COMMON}.md among the runbooks.",
            f"Write {COMMON}.md, which answers what a pipeline's own runbook does not.",
        )
    return Library({name: book for name, book in books.items() if name != COMMON}, books[COMMON])


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".md")


# One file.


@dataclass(frozen=True)
class _Heading:
    """A `#` or `##` line: which line it is (from 0), how deep, and what it says."""

    line: int
    level: int
    text: str


def parse(text: str, file: str) -> Runbook:
    """A runbook from its markdown; `file` is named in errors, each of which gives the line and the remedy.

    Raises ConfigError where the title is missing or there are two, words stand before the first section, a code block
    is never closed, two sections have one title, a kind is unknown or answered twice, `Answers:` stands elsewhere than
    right below a section's title or names nothing, and where a section that answers something says nothing.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    title, *heads = _headings(lines, file)
    ends = (*(head.line for head in heads[1:]), len(lines))
    sections = tuple(_section(head, lines[head.line + 1 : end], file) for head, end in zip(heads, ends, strict=False))
    _once(heads, sections, file)
    purpose = next((section.text for section in sections if section.title == "Purpose"), "")
    return Runbook(title.text, purpose, sections)


def _headings(lines: Sequence[str], file: str) -> list[_Heading]:
    """The title and the sections' headings, in order and found to be so."""
    fenced = _fenced(lines, file)
    found = [
        _Heading(n, len(match[1]), (match[2] or "").strip())
        for n, line in enumerate(lines)
        if n not in fenced and (match := _HEADING.fullmatch(line))
    ]
    start = next((n for n, line in enumerate(lines) if line.strip()), 0)
    if not found or found[0].level != 1 or found[0].line != start or not found[0].text:
        raise _error(file, start, "has no title.", "Begin the file with a line like: # Daily growth")
    for head in found[1:]:
        if head.level == 1:
            raise _error(file, head.line, f"a second title, {head.text!r}.", "Begin a section with ## instead.")
        if not head.text:
            raise _error(file, head.line, "a section without a title.", "Give it one: ## Sales are missing")
    _nothing_between(lines, found, file)
    return found


def _nothing_between(lines: Sequence[str], heads: Sequence[_Heading], file: str) -> None:
    """Refuse words that belong to no section: nobody would be shown them."""
    end = heads[1].line if len(heads) > 1 else len(lines)
    stray = next((n for n in range(heads[0].line + 1, end) if lines[n].strip()), None)
    if stray is not None:
        raise _error(file, stray, "words before the first section.", "Put them into a section, such as ## Purpose.")


def _fenced(lines: Sequence[str], file: str) -> set[int]:
    """The lines of code blocks, in which # begins no heading."""
    inside: set[int] = set()
    fence, began = "", 0
    for n, line in enumerate(lines):
        match = _FENCE.match(line)
        if fence:
            inside.add(n)
            closes = match and match[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if closes else fence
        elif match:
            inside.add(n)
            fence, began = match[1], n
    if fence:
        raise _error(file, began, "a code block that is never closed.", f"Close it with {fence} on a line of its own.")
    return inside


def _section(head: _Heading, body: Sequence[str], file: str) -> Section:
    answers = _answers(body, head, file)
    text = "\n".join(body[1:] if answers else body).strip()
    if answers and not text:
        raise _error(
            file,
            head.line,
            f"the section {head.text!r} answers {answers[0]} and is empty.",
            "Write what is to be done.",
        )
    return Section(head.text, _anchor(head.text), text, answers, file)


def _answers(body: Sequence[str], head: _Heading, file: str) -> tuple[str, ...]:
    """The kinds that a section answers, found to be known."""
    for n, line in enumerate(body[1:], start=1):
        if line.strip().startswith(_ANSWERS):
            raise _error(
                file, head.line + 1 + n, f"`{_ANSWERS}` in the middle of a section.", "Put it right below the title."
            )
    if not body or not body[0].strip().startswith(_ANSWERS):
        return ()
    place = head.line + 1
    kinds = tuple(word.strip() for word in body[0].strip().removeprefix(_ANSWERS).split(","))
    for kind in kinds:
        if not kind:
            raise _error(file, place, f"`{_ANSWERS}` with a kind missing.", f"Name kinds: {', '.join(KINDS)}.")
        if kind not in KINDS:
            raise _error(file, place, f"answers {kind!r}, which is no kind of trouble.", known(kind, KINDS))
    return kinds


def _once(heads: Sequence[_Heading], sections: Sequence[Section], file: str) -> None:
    """Refuse a title and a kind that stand twice in one file: one would hide the other."""
    titles: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for head, section in zip(heads, sections, strict=True):
        if section.anchor in titles:
            raise _error(file, head.line, f"a second section {section.title!r}.", "Give each a title of its own.")
        titles[section.anchor] = section.title
        for kind in section.answers:
            if kind in kinds:
                what = f"answers {kind!r} twice: in {kinds[kind]!r} and in {section.title!r}."
                raise _error(file, head.line + 1, what, "Leave it to one of them.")
            kinds[kind] = section.title


def _anchor(title: str) -> str:
    """The name under which a page shows the heading, as GitHub and most others make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _error(file: str, line: int, what: str, remedy: str) -> ConfigError:
    """An error at a line, counted from 0."""
    return ConfigError(f"{file}:{line + 1}: {what}", remedy)
