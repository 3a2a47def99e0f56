"""A report handed over by a person: packed for somebody who takes it, or sent once more to those who still wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.acts.wishes import Wish, reasoned
from runner.document.texts import line
from runner.report import byhand
from runner.report.archive import Archive
from runner.report.byhand import Given, Giving
from runner.report.draft import Ctx, Made


@dataclass(frozen=True)
class Parcel:
    """For whom an archive is (nobody named: all who still wait), and whether it is of what could not be proven."""

    recipients: tuple[str, ...] = ()
    unproven: bool = False


def give(wish: Wish, parcel: Parcel, ctx: Ctx, keep: Callable[[Archive], None]) -> Given:
    """Pack a report, `keep` the archive, and note who took it and for whom. Raises UsageError, DeliveryFailed."""
    asked = reasoned(ctx.project, wish, "Why is it handed over by hand?")
    giving = Giving(asked.who, asked.because, asked.at, tuple(line(address) for address in parcel.recipients))
    pack = byhand.give_unproven if parcel.unproven else byhand.give
    return pack(wish.run, giving, ctx, keep)


def send(wish: Wish, ctx: Ctx) -> Made:
    """Send what is still owed of a report, also to those that were refused before. Raises UsageError.

    A command sends in nobody's name; somebody who is named is noted with their reason.
    """
    if not wish.who:
        return byhand.retry(wish.run, wish.at, ctx)
    asked = reasoned(ctx.project, wish, "Why is it sent once more?")
    return byhand.retry(wish.run, wish.at, ctx, Giving(asked.who, asked.because, asked.at))
