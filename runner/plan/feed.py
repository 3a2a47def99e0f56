"""Shifts as a calendar (ICS, RFC 5545) to subscribe to: one feed a person, or one of everybody.

A feed is a view and never the pager: calendars fetch it when they like, Google's up to a day later.

- Times are UTC instants. Every calendar shows them on its owner's wall clock, and UTC alone can say which of the two
  01:30 of an autumn night is meant.
- The UID of an event follows from role, person and start alone. A new export keeps it, whatever happened to the end;
  so feed whole shifts (`whole`), not shifts cut to a window, or the first one changes its UID with every export.
- No store remembers earlier exports, so SEQUENCE is always 0, and LAST-MODIFIED and DTSTAMP are the stamp. That
  suffices for a published feed: each fetch replaces the one before, and what is gone from it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from icalendar import Calendar, Event
from icalendar.prop import vText

from runner.plan.oncall import Rota, Shift

_PRODID = "-//runner//on call//EN"


@dataclass(frozen=True)
class _Duty:
    """One person's part in a shift."""

    role: str
    who: str
    shift: Shift


def whole(rota: Rota, first: datetime, last: datetime) -> tuple[Shift, ...]:
    """The shifts of a rota that touch [first, last), none of them cut."""
    return rota.shifts(rota.at(first).start, rota.at(last - timedelta(microseconds=1)).end)


def feed(shifts: Iterable[Shift], who: str | None, names: Mapping[str, str], domain: str, stamp: datetime) -> bytes:
    """The calendar of one person's duties, primary and secondary, or of everybody's (`who` is None).

    `names` are the people's names by key (without one, the key is shown); `domain` ends each UID; `stamp` is an aware
    instant. Equal arguments give equal bytes.
    """
    calendar = Calendar()
    title = "On call" if who is None else f"On call: {_name(who, names)}"
    calendar.add("prodid", _PRODID)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", vText(title))  # as text: the library would write an unknown property unescaped
    for duty in _duties(shifts):
        if who in (None, duty.who):
            calendar.add_component(_event(duty, names, domain, stamp))
    return bytes(calendar.to_ical())


def uid(role: str, who: str, start: datetime, domain: str) -> str:
    """The UID of a duty: the same for the same role, person and start, and without a name in it (RFC 7986)."""
    digest = sha256(repr((role, who, start.astimezone(UTC).isoformat())).encode()).hexdigest()
    return f"{digest[:32]}@{domain}"


def _duties(shifts: Iterable[Shift]) -> Iterator[_Duty]:
    for shift in shifts:
        yield _Duty("primary", shift.primary, shift)
        if shift.secondary is not None:
            yield _Duty("secondary", shift.secondary, shift)


def _event(duty: _Duty, names: Mapping[str, str], domain: str, stamp: datetime) -> Event:
    event = Event()
    event.add("uid", uid(duty.role, duty.who, duty.shift.start, domain))
    event.add("sequence", 0)
    event.add("dtstamp", stamp)
    event.add("last-modified", stamp)
    event.add("dtstart", duty.shift.start)
    event.add("dtend", duty.shift.end)
    event.add("summary", f"On call, {duty.role}: {_name(duty.who, names)}")
    event.add("description", _description(duty.shift, names))
    event.add("transp", "TRANSPARENT")  # on call is no appointment: it leaves its owner free
    return event


def _description(shift: Shift, names: Mapping[str, str]) -> str:
    backup = "nobody" if shift.secondary is None else _name(shift.secondary, names)
    people = (f"Primary: {_name(shift.primary, names)}", f"Secondary: {backup}")
    return "\n".join((*people, *(f"- {_line(rule)}" for rule in shift.because)))


def _name(who: str, names: Mapping[str, str]) -> str:
    return _line(names.get(who, who))


def _line(text: str) -> str:
    """A text on one line, without control characters: ICS has no way to write them."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
