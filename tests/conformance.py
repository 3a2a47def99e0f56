"""PDF/UA-1 and PDF/A-3a by an independent checker, with its one known false alarm looked into."""

from __future__ import annotations

import re

import page

UA, A3 = page.ValidationProfile.PDF_UA_1, page.ValidationProfile.PDF_A_3A
#: page-validation 0.11 takes a carriage return that ends a stream's data, before the line feed in front of `endstream`,
#: for part of the line end, and then finds the stream a byte short. One compressed stream in 256 ends so by chance.
STREAM_LENGTH = "PDFA3A-STREAM-LENGTH-001"


def failures(data: bytes, profile: page.ValidationProfile) -> list[str]:
    """What is wrong with a PDF. A stream length is only believed to be wrong when the bytes say so, too."""
    found = [str(failure) for failure in page.validate_pdf_bytes(data, profile=profile).failures]
    return [failure for failure in found if STREAM_LENGTH not in failure or not lengths_are_right(data)]


def lengths_are_right(data: bytes) -> bool:
    """Whether every stream holds exactly the bytes that its /Length says, then one line end and `endstream`."""
    starts = list(re.finditer(rb"(?<!end)stream\r?\n", data))
    return bool(starts) and all(_is_right(data, start) for start in starts)


def _is_right(data: bytes, start: re.Match[bytes]) -> bool:
    lengths = re.findall(rb"/Length (\d+)", data[data.rfind(b" obj", 0, start.start()) : start.start()])
    end = start.end() + int(lengths[-1]) if lengths else 0
    return re.match(rb"\r?\n?endstream", data[end : end + 11]) is not None
