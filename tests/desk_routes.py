"""Every route of the desk: where it leads in the sample shop, and what each role is answered.

The roles: nobody (not signed in), mallory (signed in once, no more in config/), olga (investor), tina (stakeholder),
eve (an engineer who owns nothing), ann (owner of sales and growth, and on call).

An answer is a status. `in` is the way to the sign-in (303), as for every path that there is not; 404 what everybody is
answered for what there is not. Acts are asked with the form given here, in a copy of the shop each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests import desk
from tests.desk import Server

ROLES = {"nobody": "", "mallory": desk.STRANGER, "olga": desk.OLGA, "tina": desk.TINA, "eve": desk.EVE, "ann": desk.ANN}


@dataclass(frozen=True)
class Row:
    """One method of one route: the path in the sample, the answers in the order of ROLES, the form that is sent.

    `{sales}`, `{growth}` and `{stock}` in a path or a form stand for the newest run of each.
    """

    method: str
    route: str
    path: str
    answers: tuple[int | str, ...]
    form: Mapping[str, str] = field(default_factory=dict)
    look: str = ""  # the name under which its pictures are taken; not at all without one
    who: str = desk.ANN  # whose window they are taken in


def get(route: str, path: str, *answers: int | str, look: str = "", who: str = desk.ANN) -> Row:
    """A page."""
    return Row("GET", route, path, answers, look=look, who=who)


def post(route: str, path: str, *answers: int | str, **form: str) -> Row:
    """An act."""
    return Row("POST", route, path, answers, form)


# fmt: off
#                                                             nobody mallory olga tina eve ann
ROWS = (
    # Today
    get("/", "/",                                              "in", "in", 303, 200, 200, 200, look="today"),
    # Pipelines
    # Runs
    # Reports
    # Archive
    # Incidents
    # Duties
    # Rota
    # Run it
    # Sign-in
    # Machines
)
# fmt: on


def filled(text: str, server: Server) -> str:
    """A path or a value with the newest runs of the sample in it."""
    for name in ("sales", "growth", "stock"):
        if f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", server.run_of(name).run)
    return text


def looked_at(server: Server) -> Iterator[tuple[str, str, str]]:
    """(name, path, who) of every page that pictures are taken of and that axe looks at."""
    for row in ROWS:
        if row.look:
            yield row.look, filled(row.path, server), row.who
