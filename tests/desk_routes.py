"""Every route of the desk: where it leads in the sample shop, and what each role is answered.

The roles: nobody (not signed in), mallory (signed in once, no more in config/), olga (investor), tina (stakeholder),
eve (an engineer who owns nothing), ann (owner of sales and growth, and on call).

An answer is a status. `in` is the way to the sign-in (303), as for every path that there is not; 404 what everybody is
answered for what there is not. Acts are asked with the form given here, in a copy of the shop each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from runner.acts import swaps
from runner.acts.swaps import Deed
from runner.ledger import access
from runner.ledger import rota as book
from runner.plan.oncall import Clock, Leg
from runner.scheduler.oncall import rules_of
from tests import desk
from tests.desk import Server
from tests.trial_sample import MADE, RUNNING

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


#: What the form of a trial run of sales sends.
TYPED = {"p-as_of": "2017-11-13", "p-amount": "12.5", "p-recorded": "7", "p-shop": "7"}
TYPED |= {"p-flags": "[]", "p-options": "{}"}

# fmt: off
#                                                             nobody mallory olga tina eve ann
ROWS = (
    # Today
    get("/", "/",                                              "in", "in", 303, 200, 200, 200, look="today"),
    get("/", "/?", "in", "in", 303, 200, 200, 200, look="today-followed", who=desk.TINA),
    # Pipelines
    get("/pipelines", "/pipelines",                            "in", "in", 404, 200, 200, 200, look="pipelines"),
    get("/pipelines/{pipeline}", "/pipelines/sales",           "in", "in", 404, 200, 200, 200, look="pipeline"),
    get("/pipelines/{pipeline}", "/pipelines/stock",           "in", "in", 404, 200, 200, 200, look="pipeline-failed"),
    get("/pipelines/{pipeline}", "/pipelines/growth",          "in", "in", 404, 404, 200, 200),
    get("/pipelines/{pipeline}", "/pipelines/nothing",         "in", "in", 404, 404, 404, 404),
    # Runs
    get("/runs/{run}", "/runs/{stock}",                        "in", "in", 404, 200, 200, 200, look="run-failed"),
    get("/runs/{run}", "/runs/{growth}",                       "in", "in", 404, 404, 200, 200, look="run-held"),
    get("/runs/{run}", "/runs/{sales}",                        "in", "in", 404, 200, 200, 200, look="run-delivered"),
    get("/runs/{run}", "/runs/nothing",                        "in", "in", 404, 404, 404, 404),
    get("/runs/{run}/files/{path:path}", "/runs/{sales}/files/sales.pdf", "in", "in", 404, 404, 200, 200),
    post("/runs/{run}/approve", "/runs/{growth}/approve", "in", "in", 404, 404, 404, 303, because="Sales doubled."),
    post("/runs/{run}/reject", "/runs/{growth}/reject",        "in", "in", 404, 404, 404, 303, because="It is wrong."),
    post("/runs/{run}/again", "/runs/{growth}/again",          "in", "in", 404, 404, 404, 303, because="Mended."),
    post("/runs/{run}/send", "/runs/{sales}/send",             "in", "in", 404, 404, 404, 303, because="Once more."),
    post("/runs/{run}/cancel", "/runs/{sales}/cancel",         "in", "in", 404, 404, 404, 422, because="It is over."),
    post("/runs/{run}/hand-over", "/runs/{sales}/hand-over",   "in", "in", 404, 404, 404, 200, because="No mail."),
    # Reports
    get("/reports/{run}", "/reports/{sales}",                  "in", "in", 200, 200, 200, 200, look="report"),
    get("/reports/{run}", "/reports/{growth}",                 "in", "in", 404, 404, 200, 200, look="report-held"),
    get("/reports/{run}", "/reports/{stock}",                  "in", "in", 404, 404, 200, 200),
    get("/reports/{run}", "/reports/nothing",                  "in", "in", 404, 404, 404, 404),
    get("/reports/{run}/report.html", "/reports/{sales}/report.html", "in", "in", 200, 200, 200, 200),
    get("/reports/{run}/report.html", "/reports/{growth}/report.html", "in", "in", 404, 404, 200, 200),
    get("/reports/{run}/report.pdf", "/reports/{sales}/report.pdf", "in", "in", 200, 200, 200, 200),
    get("/reports/{run}/report.pdf", "/reports/{growth}/report.pdf", "in", "in", 404, 404, 200, 200),
    # Archive
    get("/archive", "/archive",                                "in", "in", 200, 200, 200, 200, look="archive"),
    get("/archive", "/archive?report=sales",                   "in", "in", 200, 200, 200, 200,
        look="archive-reader", who=desk.OLGA),
    get("/archive/{pipeline}/{period}/{run}/{file}", "/archive/sales/2017-11-13/{sales}/sales.pdf",
        "in", "in", 303, 303, 303, 303),
    get("/archive/{pipeline}/{period}/{run}/{file}", "/archive/growth/2017-11-13/{growth}/growth.pdf",
        "in", "in", 404, 404, 303, 303),
    # Incidents
    get("/incidents", "/incidents",                            "in", "in", 404, 404, 200, 200, look="incidents"),
    get("/incidents/{number}", "/incidents/1",                 "in", "in", 404, 404, 200, 200, look="incident"),
    get("/incidents/{number}", "/incidents/3",                 "in", "in", 404, 404, 200, 200, look="incident-failed"),
    post("/incidents/{number}/acknowledge", "/incidents/1/acknowledge", "in", "in", 404, 404, 303, 303),
    post("/incidents/{number}/hand-over", "/incidents/1/hand-over", "in", "in", 404, 404, 303, 303,
         to="bob", because="The accounts are yours."),
    post("/incidents/{number}/resolve", "/incidents/3/resolve", "in", "in", 404, 404, 303, 303, because="Counted."),
    # Duties
    get("/duties", "/duties",                                  "in", "in", 404, 404, 200, 200, look="duties"),
    get("/duties/review", "/duties/review",                    "in", "in", 404, 404, 200, 200, look="review"),
    get("/duties/{duty}/{period}", "/duties/count_the_till/2017-W46", "in", "in", 404, 404, 200, 200, look="duty"),
    post("/duties/{duty}/{period}", "/duties/count_the_till/2017-W46", "in", "in", 404, 404, 303, 303,
         evidence="There are 231.40 in it."),
    # Rota
    get("/rota/swaps/{swap}", "/rota/swaps/{offered}",         "in", "in", 404, 404, 200, 200, look="swap-offered"),
    get("/rota/swaps/{swap}", "/rota/swaps/{agreed}",          "in", "in", 404, 404, 200, 200, look="swap-agreed"),
    get("/rota/swaps/{swap}", "/rota/swaps/77",                "in", "in", 404, 404, 404, 404),
    get("/rota/swaps", "/rota/swaps",                          "in", "in", 404, 404, 200, 200, look="swaps"),
    get("/rota", "/rota",                                      "in", "in", 404, 404, 200, 200, look="rota"),
    get("/rota", "/rota?month=2018-01",                        "in", "in", 404, 404, 200, 200, look="rota-january"),
    get("/rota", "/rota?month=x",                              "in", "in", 404, 404, 422, 422),
    get("/rota/why", "/rota/why?at=2017-12-24T10:00",          "in", "in", 404, 404, 200, 200, look="why"),
    get("/rota/why", "/rota/why?date=never",                   "in", "in", 404, 404, 422, 422, look="why-not"),
    get("/rota/shares", "/rota/shares",                        "in", "in", 404, 404, 200, 200, look="shares"),
    get("/rota/calendars", "/rota/calendars",                  "in", "in", 404, 404, 200, 200, look="calendars"),
    get("/calendars/{secret}.ics", "/calendars/{calendar}.ics", 200, 200, 200, 200, 200, 200),
    post("/rota/swaps", "/rota/swaps",                         "in", "in", 404, 404, 422, 303,
         give="ann 2017-12-11T14:00Z 2017-12-18T14:00Z", take="bob 2017-11-20T14:00Z 2017-11-27T14:00Z"),
    post("/rota/swaps/{swap}/accept", "/rota/swaps/{offered}/accept", "in", "in", 404, 404, 404, 303),
    post("/rota/swaps/{swap}/accept", "/rota/swaps/77/accept", "in", "in", 404, 404, 404, 404),
    post("/rota/swaps/{swap}/decline", "/rota/swaps/{offered}/decline", "in", "in", 404, 404, 404, 303),
    post("/rota/swaps/{swap}/undo", "/rota/swaps/{agreed}/undo", "in", "in", 404, 404, 404, 303),
    post("/rota/calendars", "/rota/calendars",                 "in", "in", 404, 404, 200, 200, of="own", do="make"),
    # Run it
    get("/try", "/try",                                        "in", "in", 404, 404, 200, 200, look="try"),
    get("/try/{pipeline}", "/try/sales",                       "in", "in", 404, 404, 200, 200, look="try-form"),
    get("/try/{pipeline}", "/try/nothing",                     "in", "in", 404, 404, 404, 404),
    post("/try/{pipeline}", "/try/sales",                      "in", "in", 404, 404, 422, 422, **{"p-as_of": "soon"}),
    post("/try/{pipeline}", "/try/nothing",                    "in", "in", 404, 404, 404, 404),
    post("/try/{pipeline}/notebook", "/try/sales/notebook",    "in", "in", 404, 404, 200, 200, **TYPED),
    get("/try/runs/{trial}", f"/try/runs/{MADE}",              "in", "in", 404, 404, 200, 200, look="try-made"),
    get("/try/runs/{trial}", f"/try/runs/{RUNNING}",           "in", "in", 404, 404, 200, 200, look="try-running"),
    get("/try/runs/{trial}", "/try/runs/nothing",              "in", "in", 404, 404, 404, 404),
    get("/try/runs/{trial}/{kind}", f"/try/runs/{MADE}/report", "in", "in", 404, 404, 200, 200),
    get("/try/runs/{trial}/{kind}", f"/try/runs/{MADE}/pdf",   "in", "in", 404, 404, 200, 200),
    get("/try/runs/{trial}/{kind}", f"/try/runs/{RUNNING}/pdf", "in", "in", 404, 404, 404, 404),
    post("/try/runs/{trial}/cancel", f"/try/runs/{RUNNING}/cancel", "in", "in", 404, 404, 303, 303),
    # Sign-in
    get("/sign-in", "/sign-in",                                200, 200, 303, 303, 303, 303, look="sign-in", who=""),
    post("/sign-in", "/sign-in",                               200, 200, 200, 200, 200, 200, address=desk.OLGA),
    get("/sign-in/company", "/sign-in/company",                "in", "in", 404, 404, 404, 404),
    get("/sign-in/company/back", "/sign-in/company/back",      "in", "in", 404, 404, 404, 404),
    get("/sign-in/{secret}", "/sign-in/used",                  410, 410, 410, 410, 410, 410, look="stale-link", who=""),
    post("/sign-in/{secret}", "/sign-in/used",                 410, 410, 410, 410, 410, 410),
    post("/sign-out", "/sign-out",                             "in", "in", 303, 303, 303, 303),
    # Machines
    get("/healthz", "/healthz",                                200, 200, 200, 200, 200, 200),
    get("/healthz/scheduler", "/healthz/scheduler",            200, 200, 200, 200, 200, 200),
    get("/metrics", "/metrics",                                401, 401, 401, 401, 401, 401),
    get("/api/deadlines", "/api/deadlines",                    401, 401, 401, 401, 401, 401),
    get("/api/runs", "/api/runs",                              401, 401, 401, 401, 401, 401),
    get("/api/runs/{run}", "/api/runs/{sales}",                401, 401, 401, 401, 401, 401),
    get("/api/figures", "/api/figures?pipeline=sales",         401, 401, 401, 401, 401, 401),
    get("/api/oncall", "/api/oncall",                          401, 401, 401, 401, 401, 401),
    get("/api/incidents", "/api/incidents",                    401, 401, 401, 401, 401, 401),
    get("/api/incidents/{number}", "/api/incidents/1",         401, 401, 401, 401, 401, 401),
    get("/api/openapi.json", "/api/openapi.json",              401, 401, 401, 401, 401, 401),
    post("/api/arrivals", "/api/arrivals",                     401, 401, 401, 401, 401, 401),
)

#: What tokens of one scope each are answered where a person's cookie is answered 401.
SCOPES = ("read", "metrics", "arrivals", "calendar:ann")
#                                                      read metrics arrivals calendar
BY_TOKEN: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("GET", "/metrics"):                               (403, 200, 403, 403),
    ("GET", "/api/deadlines"):                         (200, 403, 403, 403),
    ("GET", "/api/runs"):                              (200, 403, 403, 403),
    ("GET", "/api/runs/{run}"):                        (200, 403, 403, 403),
    ("GET", "/api/figures"):                           (200, 403, 403, 403),
    ("GET", "/api/oncall"):                            (200, 403, 403, 403),
    ("GET", "/api/incidents"):                         (200, 403, 403, 403),
    ("GET", "/api/incidents/{number}"):                (200, 403, 403, 403),
    ("GET", "/api/openapi.json"):                      (200, 403, 403, 403),
    ("POST", "/api/arrivals"):                         (403, 403, 422, 403),  # a form is no arrival
}
# fmt: on


def filled(text: str, server: Server) -> str:
    """A path or a value with the newest runs of the sample in it."""
    for name in ("sales", "growth", "stock"):
        if f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", server.run_of(name).run)
    for name, found in ((name, found) for name, found in ROTA.items() if f"{{{name}}}" in text):
        text = text.replace(f"{{{name}}}", found(server))
    return text


def offered(server: Server) -> str:
    """The number of a swap that Bob offers Ann."""
    return _swap(server, ("bob", "2017-11-20", "2017-11-27"), ("ann", "2017-12-11", "2017-12-18"))


def agreed(server: Server) -> str:
    """The number of a swap on which Cat and Ann agreed."""
    number = _swap(server, ("cat", "2018-01-22", "2018-01-29"), ("ann", "2018-01-08", "2018-01-15"))
    swaps.accept(server.desk.project, server.ledger, int(number), Deed("accepted", "ann", server.dial.now()))
    return number


def _swap(server: Server, *halves: tuple[str, str, str]) -> str:
    clock = Clock.of(rules_of(server.desk.project))
    give, take = (Leg(who, *(clock.hand_off(date.fromisoformat(day)) for day in days)) for who, *days in halves)
    with server.ledger.read() as tx:
        known = [swap.swap for swap in book.swaps(tx) if (swap.give, swap.take) == (give, take)]
    deed = Deed("offered", give.who, server.dial.now())
    return known[0] if known else swaps.offer(server.desk.project, server.ledger, (give, take), deed).swap.swap


def calendar(server: Server) -> str:
    """The secret of an address of Ann's calendar."""
    with server.ledger.write() as tx:
        if access.token(tx, "of-ann", server.dial.now()) is None:
            access.add_token(tx, "of-ann", access.Token("ann", ("calendar:ann",), "ann", server.dial.now()))
    return "of-ann"


#: What the sample has only where a row asks for it.
ROTA = {"offered": offered, "agreed": agreed, "calendar": calendar}


def looked_at(server: Server) -> Iterator[tuple[str, str, str]]:
    """(name, path, who) of every page that pictures are taken of and that axe looks at."""
    for row in ROWS:
        if row.look:
            yield row.look, filled(row.path, server), row.who
