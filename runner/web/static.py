"""Styles, script and fonts, under names that change with their content, so that browsers may keep them for good."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runner.document.shipped import TEMPLATES

_FILES = {
    "desk.css": ("web/desk.css", "text/css; charset=utf-8"),
    "desk.js": ("web/desk.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("web/icon.svg", "image/svg+xml"),
    **{f"{name}.woff2": (f"fonts/{name}.woff2", "font/woff2") for name in ("Inter-Regular", "Inter-Medium")},
    **{f"{name}.woff2": (f"fonts/{name}.woff2", "font/woff2") for name in ("Inter-SemiBold", "Inter-Italic")},
}


@cache
def _content(name: str) -> bytes:
    content = (TEMPLATES / _FILES[name][0]).read_bytes()
    return colours().encode() + content if name == "desk.css" else content


def colours() -> str:
    """The colours of the reports, as variables of the style sheet."""
    theme = json.loads((TEMPLATES / "theme.json").read_text(encoding="utf-8"))
    return f":root{{{''.join(f'--{name}:{value};' for name, value in theme.items())}}}\n"


@cache
def address(name: str) -> str:
    """The path of a file of ours, such as /static/desk.css?v=1a2b3c4d. Raises KeyError for what is not served."""
    return f"/static/{name}?v={hashlib.sha256(_content(name)).hexdigest()[:12]}"


def serve(request: Request) -> Response:
    """One file. It holds nothing that anyone must not see."""
    name = request.path_params["name"]
    if name not in _FILES:
        raise HTTPException(404)
    keep = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_content(name), media_type=_FILES[name][1], headers=keep)
