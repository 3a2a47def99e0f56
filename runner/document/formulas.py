"""TeX formulas to small SVG pictures by ziamath; pure. What cannot be drawn is shown as its source."""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from runner.document.pictures import sound_svg

_log = logging.getLogger(__name__)
_LONGEST = 1000
_COMMAND = re.compile(r"\\(?:def|let|newcommand|input|include|href|url|catcode|csname)\b")


@dataclass(frozen=True)
class Drawing:
    """A formula as SVG; sizes are in em of the text around it, `depth` is what hangs below the base line."""

    svg: str
    tex: str
    width: float
    height: float
    depth: float


@cache
def _latex() -> Any:
    """Give ziamath's drawer; imported late, for few reports hold formulas, and its start warns about its own habits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ziamath.zmath import Latex  # noqa: PLC0415
    return Latex


@lru_cache(maxsize=512)
def draw(tex: str, *, display: bool = False) -> Drawing | None:
    """The formula as a picture, or nothing if it is no TeX that we know."""
    tex = tex.strip()
    inline = not display and not tex.startswith(r"\displaystyle")
    source = tex.removeprefix(r"\displaystyle").strip()
    if not source or len(source) > _LONGEST or _COMMAND.search(source):
        return None
    source = source.replace("<", r"\lt ").replace(">", r"\gt ")
    try:
        svg = str(_latex()(source, size=_SIZE, inline=inline, margin=0.5).svg())
    except Exception as error:  # noqa: BLE001  its parsers fail in many ways, also by AssertionError
        _log.info("A formula is shown as its source, for it cannot be drawn (%s): %s", type(error).__name__, tex)
        return None
    return _measured(sound_svg(svg), source)


_SIZE = 16.0


def _measured(svg: str, tex: str) -> Drawing | None:
    box = re.search(r'viewBox="(\S+) (\S+) (\S+) (\S+)"', svg)
    if not box:
        return None
    _, top, width, height = (float(number) / _SIZE for number in box.groups())
    # An unknown command is drawn by its own name: the source in a code face says more.
    return Drawing(svg, tex, width, height, max(height + top, 0.0)) if 0 < width < 200 and 0 < height < 60 else None
