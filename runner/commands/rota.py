"""Who is on call: at an instant, over a span, as calendars, as shares, and as a change would have it.

What only one of these needs is imported there, so that the plain question is answered at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config import OnCall, Project
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.plan.calendar import Span, instant
from runner.plan.oncall import Rota, Shift
from runner.scheduler import oncall, roster
from runner.scheduler.oncall import Look, rules_of
from runner.screen import Screen, near, screen_for

if TYPE_CHECKING:
    from runner.plan.fairness import Change, Share

#: The feed of everybody. No engineer's key has a hyphen, so that it is nobody's own.
EVERYBODY = "on-call"
#: What stands for the year in the sum of all years.
TOTAL = "total"


def look(project: Project, now: datetime) -> Look:
    """The rota as it is at an instant, as `scheduler.oncall.look` has it. Raises UsageError where there is none."""
    rules_of(project)
    ledger = Ledger.of(project)
    seen = oncall.look(ledger, project, now)
    ledger.close()
    return seen


# An instant, a span.


def lookup(project: Project, at: datetime | None, now: datetime, *, explain: bool, as_json: bool) -> int:
    """Show who is on call at an instant (now without one) and until when; with `explain`, by which rules."""
    seen = look(project, now)
    at = at or now
    shift = seen.rota.at(at)
    row = {"at": at.isoformat(), "primary": shift.primary, "secondary": shift.secondary}
    lines = [
        f"{seen.time(at)}, until {seen.time(shift.end)}",
        f"  Primary    {seen.name(shift.primary)}",
        f"  Secondary  {seen.name(shift.secondary)}",
    ]
    if explain:
        lines += ["Why, from the weakest rule to the strongest, the secondary last:"]
        lines += [f"  {number}. {seen.sentence(said)}" for number, said in enumerate(shift.because, start=1)]
        lines += [seen.rests_on(at)]
    screen = screen_for(as_json=as_json, total=0)
    screen.line(row | {"because": list(shift.because)}, "\n".join(lines))
    return 0


def shifts(project: Project, span: Span, now: datetime, *, as_json: bool) -> int:
    """List the shifts of a span, cut to it."""
    seen = look(project, now)
    screen = screen_for(as_json=as_json, total=0)
    found = seen.rota.shifts(span.first, span.last)
    rows = [_plain(shift) if as_json else _row(shift, seen) for shift in found]
    screen.table(rows, ("start", "end", "primary", "secondary", "why"))
    return 0


def _plain(shift: Shift) -> dict[str, Any]:
    row: dict[str, Any] = {"start": shift.start.isoformat(), "end": shift.end.isoformat(), "primary": shift.primary}
    return row | {"secondary": shift.secondary, "because": list(shift.because)}


def _row(shift: Shift, seen: Look) -> dict[str, Any]:
    row = {"start": seen.time(shift.start), "end": seen.time(shift.end), "primary": seen.name(shift.primary)}
    return row | {"secondary": seen.name(shift.secondary), "why": seen.why(shift)}


# Calendars.


def feeds(project: Project, folder: Path, span: Span, now: datetime, *, as_json: bool) -> int:
    """Write one calendar a person and one of everybody, of the whole shifts that touch a span; show the files."""
    from runner.plan.feed import feed, whole  # noqa: PLC0415

    seen = look(project, now)
    found = whole(seen.rota, span.first, span.last)
    domain = project.settings.sender.email.rpartition("@")[2]
    screen = screen_for(as_json=as_json, total=0)
    for who in (None, *_people(seen, found, folder)):
        path = folder / f"{who or EVERYBODY}.ics"
        _write(path, feed(found, who, seen.names, domain, now))
        screen.line({"who": who, "file": str(path)}, near(path.resolve()))
    return 0


def _people(seen: Look, found: tuple[Shift, ...], folder: Path) -> list[str]:
    """Everybody in the rota or in these shifts; and whoever has a file from before, lest old duties stay in it."""
    people = {who for shift in found for who in (shift.primary, shift.secondary) if who}
    return sorted(people | seen.rota.people | {who for who in seen.names if (folder / f"{who}.ics").exists()})


def _write(path: Path, content: bytes) -> None:
    """Write a file whole: whoever fetches it meanwhile gets the one before. Raises UsageError where that cannot be."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{path} cannot be written: {reason}.", "Name a folder that you may write to.") from error


# Shares.


def years(project: Project, now: datetime) -> Span:
    """Whole calendar years, for these compare: from two years back (or the rota's first) to the end of the next."""
    rota = Rota(rules_of(project))
    year = now.astimezone(rota.zone).year
    begins = min(date.fromisoformat(entry.begins).year for entry in rota.rules.rotation)
    first = max(year - 2, min(begins, year))
    return Span(*(instant(date(bound, 1, 1), time(), rota.zone) for bound in (first, year + 2)))


def fairness(project: Project, span: Span, now: datetime, *, as_json: bool) -> int:
    """Show hours, nights, weekends and holidays by person, for each year and in total, and who has which holiday."""
    from runner.plan import fairness as plan  # noqa: PLC0415

    seen = look(project, now)
    case = seen.rota.shifts(span.first, span.last), seen.rota.zone, roster.holiday_of(project)
    shares = [(str(year), share) for year, all_ in plan.by_year(*case).items() for share in all_]
    shares += [(TOTAL, share) for share in plan.tally(*case)]
    held = plan.held(*case)
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([{"year": year, **vars(share)} for year, share in shares], ())
        screen.table([{"holiday": one.name, **vars(one), "day": one.day.isoformat()} for one in held], ())
        return 0
    screen.say(f"From {seen.time(span.first)} to {seen.time(span.last)}, in hours.")
    screen.say("What has passed counts as it was, what is to come as the rules and swaps have it now.\n")
    screen.table([_share(year, share, seen) for year, share in shares], _SHARE)
    screen.say("")
    _holders(screen, plan.holders(held), seen)
    return 0


_SHARE = ("year", "who", "primary", "nights", "weekends", "holidays", "secondary")


def _share(year: str, share: Share, seen: Look) -> dict[str, Any]:
    hours = share.hours, share.nights, share.weekends, share.holidays, share.secondary_hours
    shown = (f"{part:.0f}" for part in hours)
    return dict(zip(_SHARE, (year, seen.name(share.who), *shown), strict=True))


def _holders(screen: Screen, holders: Any, seen: Look) -> None:
    """A line a holiday, a column a year: a holiday that stays with one person is seen at once."""
    columns = sorted({year for named in holders.values() for year in named})
    rows = [
        {"holiday": holiday} | {str(year): seen.name(named[year]) if year in named else "" for year in columns}
        for holiday, named in holders.items()
    ]
    screen.table(rows, ("holiday", *map(str, columns)))


# A change before it lands.


def diff(project: Project, file: Path, now: datetime, *, as_json: bool) -> int:
    """Show who would gain or lose what over the coming year if another oncall.yml landed now.

    Raises ConfigError that lists every problem of that file.
    """
    from runner.plan import fairness as plan  # noqa: PLC0415

    seen = look(project, now)
    after = replace(seen.rota, rules=_other(project, file))
    changes = plan.difference(*(rota.shifts(now, now + roster.HORIZON) for rota in (seen.rota, after)))
    hours = plan.gains(changes), plan.gains(changes, "secondary")
    people = sorted({who for role in hours for who in role})
    moved = [{"who": who, "hours": hours[0].get(who, 0.0), "secondary_hours": hours[1].get(who, 0.0)} for who in people]
    screen = screen_for(as_json=as_json, total=0)
    if as_json:
        screen.table([_change(change) for change in changes], ())
        screen.table(moved, ())
    elif changes:
        screen.table([_change_row(change, seen) for change in changes], ("start", "end", "primary", "secondary"))
        screen.say("")
        screen.table([_moved(row, seen) for row in moved], ("who", "primary", "secondary"))
    else:
        screen.say("No change.")
    return 0


def _other(project: Project, file: Path) -> OnCall:
    """Another oncall.yml, read as strictly as the project's own, and held against its people."""
    from runner.config.agreement import ONCALL, disagreements  # noqa: PLC0415
    from runner.config.reading import Found, error_of, read  # noqa: PLC0415

    found = Found(Path())
    rules = read(str(file), OnCall, found)
    for at, where, shown, what in disagreements(replace(project, oncall=rules)):
        if at == ONCALL:
            found.add(str(file), where, what, shown=shown)
    if rules is None or found.problems:
        raise error_of(found.problems)
    return rules


def _change(change: Change) -> dict[str, Any]:
    row: dict[str, Any] = {"start": change.start.isoformat(), "end": change.end.isoformat()}
    row |= {"primary_before": change.before, "primary_after": change.after}
    return row | {"secondary_before": change.secondary_before, "secondary_after": change.secondary_after}


def _change_row(change: Change, seen: Look) -> dict[str, Any]:
    row = {"start": seen.time(change.start), "end": seen.time(change.end)}
    row |= {"primary": _turn(change.before, change.after, seen)}
    return row | {"secondary": _turn(change.secondary_before, change.secondary_after, seen)}


def _turn(before: str | None, after: str | None, seen: Look) -> str:
    return seen.name(before) if before == after else f"{seen.name(before)} -> {seen.name(after)}"


def _moved(row: dict[str, Any], seen: Look) -> dict[str, Any]:
    return {"who": seen.name(row["who"]), "primary": _gain(row["hours"]), "secondary": _gain(row["secondary_hours"])}


def _gain(hours: float) -> str:
    """Hours to a tenth, with their sign: `-70 h`, `+69.9 h`; nothing of none."""
    rounded = round(hours, 1)
    return f"{f'{rounded:+.1f}'.removesuffix('.0')} h" if rounded else ""
