"""Pictures as bytes: are they sound, how large are they, is anything drawn on them; pure."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*>", re.IGNORECASE)
_PNG = b"\x89PNG\r\n\x1a\n"
_OUTSIDE = re.compile(r"\s*(?!#|data:image/)\S")
_UNITS = {"pt": 1 / 72, "px": 1 / 96, "in": 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54, "": 1 / 96, "pc": 1 / 6}
_MARKS = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image", "text", "use"}
_ACTIVE = {"script", "foreignObject", "iframe", "animate", "set"}


def sound_svg(text: str) -> str:
    """The SVG, ready for a file of its own, or nothing if it is broken or refers to anything outside itself.

    A document type without declarations (matplotlib writes one) is taken off; entities are refused.
    """
    text = _DOCTYPE.sub("", text, count=1).strip()
    if not text or "<!ENTITY" in text or "<!DOCTYPE" in text.upper():
        return ""
    try:
        root = ET.fromstring(text)  # noqa: S314  entities are refused above, and expat fetches nothing
    except (ET.ParseError, RecursionError, ValueError):
        return ""
    return text if _local(root.tag) == "svg" and not any(_leads_out(element) for element in root.iter()) else ""


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _leads_out(element: ET.Element) -> bool:
    """Whether an element runs code or names something outside the picture."""
    if _local(element.tag) in _ACTIVE:
        return True
    for key, value in element.attrib.items():
        name = _local(key)
        if name.startswith("on") or (name == "href" and _OUTSIDE.match(value) and _local(element.tag) != "a"):
            return True
        if "url(" in value and not re.search(r"url\(\s*['\"]?#", value):
            return True
    return _local(element.tag) == "style" and bool(re.search(r"@import|url\(\s*['\"]?(?!#)", element.text or ""))


def svg_size(text: str) -> tuple[float, float]:
    """Width and height of an SVG in inches; (0, 0) if it does not say."""
    head = re.search(r"<svg\b[^>]*>", text)
    found = [_length(head[0], name) for name in ("width", "height")] if head else [0.0, 0.0]
    if head and not all(found):
        box = re.search(r"viewBox\s*=\s*[\"']\s*([^\"']+)", head[0])
        numbers = re.findall(r"[-+]?[\d.]+(?:e[-+]?\d+)?", box[1]) if box else []
        found = [float(number) / 96 for number in numbers[2:4]] if len(numbers) == 4 else [0.0, 0.0]
    return found[0], found[1]


def _length(head: str, name: str) -> float:
    found = re.search(rf"\s{name}\s*=\s*[\"']\s*(\d+(?:\.\d+)?)\s*(pt|px|in|mm|cm|pc)?\s*[\"']", head)
    return float(found[1]) * _UNITS[found[2] or ""] if found else 0.0


def sound_png(data: bytes) -> bytes:
    """The PNG, or nothing if its frame is broken (signature, chunks and their check sums)."""
    try:
        kinds = [kind for kind, _ in _chunks(data)]
    except (struct.error, ValueError):
        return b""
    return data if kinds[:1] == [b"IHDR"] and b"IDAT" in kinds and kinds[-1] == b"IEND" else b""


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_PNG):
        raise ValueError
    at = len(_PNG)
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", data, at + 8 + size)
        if zlib.crc32(kind + body) != check:
            raise ValueError
        yield kind, body
        at += 12 + size


def png_pixels(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels; (0, 0) if it is no PNG."""
    if not data.startswith(_PNG) or len(data) < 24:
        return 0, 0
    width, height = struct.unpack_from(">II", data, 16)
    return int(width), int(height)


def png_density(data: bytes) -> float:
    """Pixels an inch as the PNG says, or 100 if it does not say (or not sensibly)."""
    try:
        told = next((body for kind, body in _chunks(data) if kind == b"pHYs" and len(body) == 9), b"")
    except (struct.error, ValueError):
        told = b""
    density = struct.unpack(">I", told[:4])[0] * 0.0254 if told[8:] == b"\x01" else 0.0
    return density if 70 <= density <= 1200 else 100.0


def uri(svg: str, png: bytes) -> str:
    """A `data:` address of the picture: the SVG if it is sound, else the PNG, else nothing."""
    if good := sound_svg(svg):
        return "data:image/svg+xml;base64," + base64.b64encode(good.encode()).decode()
    if sound_png(png):
        return "data:image/png;base64," + base64.b64encode(png).decode()
    return ""


def blank(svg: str, png: bytes) -> bool:
    """Whether a picture shows nothing: an SVG without marks, axes without data, or a PNG of one colour.

    The SVG is judged if it is sound, for that is what readers see; else the PNG.
    """
    if good := sound_svg(svg):
        return _blank_svg(ET.fromstring(good))  # noqa: S314  sound_svg has refused entities
    return _blank_png(png)


def _blank_png(data: bytes) -> bool:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  slow to import

    try:
        image = Image.open(io.BytesIO(data)).convert("RGBA")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return True
    return all(low == high for low, high in image.getextrema())  # type: ignore[misc]


def _blank_svg(root: ET.Element) -> bool:
    axes = [element for element in root.iter() if element.get("id", "").startswith("axes_")]
    if axes:
        return not any(_holds_data(part) for part in axes)
    return sum(1 for element in _drawn(root) if _visible(element)) < _FEWEST_MARKS


#: A lone rectangle is the paper.
_FEWEST_MARKS = 2


def _holds_data(axes: ET.Element) -> bool:
    """Whether matplotlib's axes hold more than ground, spines, ticks and words: a line, bar, area or picture."""
    parts = [part for part in axes if not part.get("id", "").startswith(("matplotlib.axis_", "text_", "legend_"))]
    ground = next((part for part in parts if part.get("id", "").startswith("patch_")), None)
    return any(_is_data(part) for part in parts if part is not ground)


def _is_data(part: ET.Element) -> bool:
    marks = [mark for mark in [part, *_drawn(part)] if _local(mark.tag) in _MARKS and _visible(mark)]
    if part.get("id", "").startswith("patch_"):
        return any("fill: none" not in mark.get("style", "") for mark in marks)
    return bool(marks)


def _drawn(element: ET.Element) -> Iterator[ET.Element]:
    """Elements that put ink on the page, so none inside definitions."""
    for child in element:
        if _local(child.tag) in {"defs", "metadata", "clipPath", "style", "title", "desc", "symbol"}:
            continue
        if _local(child.tag) in _MARKS:
            yield child
        yield from _drawn(child)


def _visible(element: ET.Element) -> bool:
    style = {part.split(":")[0].strip(): part.split(":")[-1].strip() for part in element.get("style", "").split(";")}
    fill = style.get("fill", element.get("fill", "black"))
    stroke = style.get("stroke", element.get("stroke", "none"))
    hidden = style.get("display") == "none" or style.get("opacity", element.get("opacity")) == "0"
    return not hidden and (fill != "none" or stroke != "none")
