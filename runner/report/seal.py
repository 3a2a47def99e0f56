"""The mark in a finished HTML or PDF file by which it is known again: its run, and the hash of its manifest's core.

The mark says where a file claims to come from, and proves nothing: whoever has a report can copy it. What a file is,
its own hash says, held against those in the ledger.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, Run, finished
from runner.model import Figure, Status
from runner.report.inputs import digest_of

#: Files above this many bytes are no reports and are not read: a whole message with one is far smaller.
LARGEST = 200_000_000
_MARK = re.compile(rb"runner-seal:([0-9A-Za-z-]{1,64}):([0-9a-f]{64})(?![0-9a-f])")
#: Of a file that another program has saved anew: so many compressed parts are looked into, each so far, in bytes.
_PARTS, _DEEP = 500, 200_000
_STREAM = re.compile(rb"(?<!end)stream\r?\n")


@dataclass(frozen=True)
class Seal:
    """What a file says of itself: the name of its run, and the hash of the core of that run's manifest."""

    run: str
    core: str


@dataclass(frozen=True)
class Found:
    """A file as it is: its SHA-256, its size in bytes, and what it says of itself."""

    sha256: str
    size: int
    seals: tuple[Seal, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where a file comes from.

    `run` and `path` are those of the file of exactly this content; without a path the file only says that it is of
    `run`. Both may be missing: nothing here knows it.
    """

    run: Run | None = None
    path: str = ""
    seal: Seal | None = None

    @property
    def is_report(self) -> bool:
        """Whether it is the report itself, as it was proven, and not a chart or the notebook of one."""
        return self.run is not None and self.path in {f"{self.run.pipeline}.pdf", f"{self.run.pipeline}.html"}


def text_of(run: str, core: str) -> str:
    """The mark as it stands in a file."""
    return f"runner-seal:{run}:{core}"


def figures_digest(figures: Iterable[Figure]) -> str:
    """SHA-256 over all figures of a report, in their order."""
    return digest_of([figure.as_dict() for figure in figures])


def found_in(path: Path) -> Found:
    """A file, looked at within bounds. Raises UsageError when it is none or cannot be read."""
    try:
        if not path.is_file():  # no folder, and no pipe or device that never ends
            raise UsageError(f"There is no file {line(path)}.", "Name a PDF or HTML file.")
        if path.stat().st_size > LARGEST:
            return Found("", path.stat().st_size)
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{line(path)} cannot be read: {error.strerror}.", "Name a file that you may read.") from error
    return Found(hashlib.sha256(data).hexdigest(), len(data), seals_in(data))


def seals_in(data: bytes) -> tuple[Seal, ...]:
    """Every mark in a file, each once. What is compressed is looked into only so far: it may be a bomb."""
    marks = dict.fromkeys(_MARK.findall(data))
    for part in () if marks else _parts(data):
        marks |= dict.fromkeys(_MARK.findall(part))
    return tuple(Seal(run.decode("ascii"), core.decode("ascii")) for run, core in marks)


def _parts(data: bytes) -> Iterator[bytes]:
    """The beginnings of a PDF's compressed parts."""
    if not data.startswith(b"%PDF"):
        return
    for number, start in enumerate(_STREAM.finditer(data)):
        if number == _PARTS:
            return
        try:
            yield zlib.decompressobj().decompress(data[start.end() : start.end() + _DEEP], _DEEP)
        except zlib.error:
            continue


def origin_of(file: Found, ledger: Ledger) -> Origin:
    """Where a file comes from, as the ledger knows it; of several runs with the same file the one that readers have."""
    if file.sha256:
        with ledger.read() as tx:
            same = finished.by_hash(tx, file.sha256, file.size)
        if same:
            run, path = next((one for one in same if one[0].status is Status.DELIVERED), same[0])
            return Origin(run, path)
    if len(file.seals) != 1:
        return Origin()
    (seal,) = file.seals
    return Origin(ledger.run(seal.run), seal=seal)
