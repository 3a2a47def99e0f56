"""What people decide about a run: let out, rejected, made again, cancelled, sent once more, handed over by hand."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from runner.acts import attempts, decisions, handing
from runner.acts.handing import Parcel
from runner.acts.wishes import Wish, reasoned
from runner.errors import RunnerError
from runner.ledger import Run
from runner.model import Status
from runner.report import handover
from runner.report.archive import Archive
from runner.report.draft import Made
from runner.web import files
from runner.web.access import DECIDES
from runner.web.page import NotFound, Page
from runner.web.pages.runs import Refused, show
from runner.web.visit import Visit

#: What was done, and whether it came out well.
Said = tuple[str, str]


def _answered(name: str, act: Callable[[Visit, Wish], Said]) -> Callable[[Visit], Response]:
    """The answer to a form of the run's page: done, and said there; or the page again with what was typed."""

    def answer(visit: Visit) -> Response:
        try:
            tone, said = act(visit, _wish(visit))
        except RunnerError as error:
            return show(visit, Refused(name, visit.form, error))
        return visit.to(f"/runs/{_run(visit).run}", said, tone)

    return answer


def _run(visit: Visit) -> Run:
    if visit.run is None:
        raise NotFound
    return visit.run


def _wish(visit: Visit) -> Wish:
    return Wish(_run(visit), visit.visitor.who, visit.form.get("because", ""), visit.now)


def _approve(visit: Visit, wish: Wish) -> Said:
    made = decisions.approve(wish, visit.desk.ctx(visit.now))
    return _went("Approved.", made)


def _send(visit: Visit, wish: Wish) -> Said:
    return _went("Tried.", handing.send(wish, visit.desk.ctx(visit.now)))


def _went(done: str, made: Made) -> Said:
    """What came of a report that was to go out."""
    if made.exit_code:
        return "warn", f"{done} {made.message} {made.remedy}".strip()
    if made.sent:
        how = "taken by the mail server" if made.by_mail else "written to the maildir"
        count = f"{made.sent} message{'s were' if made.sent > 1 else ' was'}"
        return "good", f"{done} {count} {how}."
    return "good", f"{done} Nobody waits for it: nothing was sent."


def _reject(visit: Visit, wish: Wish) -> Said:
    made = decisions.reject(wish, visit.desk.ctx(visit.now))
    return "good", f"Rejected. {made.remedy}"


def _again(visit: Visit, wish: Wish) -> Said:
    asked = attempts.again(visit.project, visit.ledger, wish)
    if asked.heard:
        return "good", "Asked. The scheduler makes it again at its next look; the new run has a page of its own."
    by_hand = f"whoever has a shell where reports are made can make it by hand: {handover.command_of(wish.run)} --again"
    return "warn", f"Asked, but no scheduler is at work. It is made once one is; or {by_hand}"


def _cancel(visit: Visit, wish: Wish) -> Said:
    asked = reasoned(visit.project, wish, "Why is it to end?")
    attempts.cancel(visit.project, visit.ledger, asked)
    now = visit.ledger.run(wish.run.run) or wish.run
    if now.status is Status.RUNNING:
        return "good", "Asked to end. It ends within a few seconds; what it made so far is kept."
    return "good", "It has ended."


def hand_over(visit: Visit) -> Response:
    """The packed report, as a download. It is noted before it leaves: whoever has it is on record."""
    kept: list[Archive] = []
    chosen = tuple(value for name, value in visit.form.items() if name.startswith("to-"))
    parcel = Parcel(chosen, unproven=bool(visit.form.get("unproven")))
    try:
        given = handing.give(_wish(visit), parcel, visit.desk.ctx(visit.now), kept.append)
    except RunnerError as error:
        return show(visit, Refused("hand-over", visit.form, error))
    said = f"Packed for {', '.join(given.recipients)}." if given.recipients else "Packed, and noted for no reader."
    visit.say(f"{said} Your browser keeps {given.archive.name}.")
    return files.download(kept[0].data, given.archive.name, "application/zip")


PAGES = (
    Page("/runs/{run}/approve", DECIDES, post=_answered("approve", _approve)),
    Page("/runs/{run}/reject", DECIDES, post=_answered("reject", _reject)),
    Page("/runs/{run}/again", DECIDES, post=_answered("again", _again)),
    Page("/runs/{run}/send", DECIDES, post=_answered("send", _send)),
    Page("/runs/{run}/cancel", DECIDES, post=_answered("cancel", _cancel)),
    Page("/runs/{run}/hand-over", DECIDES, post=hand_over),
)
