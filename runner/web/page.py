"""A page: where it lies, who may see it, who may act on it, and the functions that answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from runner.web.access import Rule

if TYPE_CHECKING:
    from runner.web.visit import Visit

Answer = Callable[["Visit"], Response]


@dataclass(frozen=True)
class Page:
    """One path with its rule. `post` is an act: it has a rule of its own where it asks for more than looking does."""

    path: str
    may: Rule
    get: Answer | None = None
    post: Answer | None = None
    may_post: Rule | None = None

    def rule(self, method: str) -> Rule:
        """Who may, by the request's method."""
        return self.may_post or self.may if method == "POST" else self.may

    def answer(self, method: str) -> Answer | None:
        """What answers a method; None where nothing does."""
        return {"GET": self.get, "HEAD": self.get, "POST": self.post}.get(method)


class NotFound(Exception):  # noqa: N818 - it is no error of anybody's
    """There is no such thing, or the visitor must not know of it: the answer is the same."""
