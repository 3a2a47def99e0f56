"""How pages are made of templates/web: the environment, its filters, and the times that people read.

Whatever comes from data is escaped; a template cannot show what it was not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jinja2
from markupsafe import Markup, escape

from runner.document.shipped import TEMPLATES
from runner.plan.forecast import words
from runner.web import static
from runner.web.states import SHAPES, state

if TYPE_CHECKING:
    from runner.web.visit import Visit

_FORMS = {
    "time": "{at:%H:%M}",
    "second": "{at:%H:%M:%S}",
    "day": "{at:%a} {at.day} {at:%b}",
    "date": "{at:%a} {at.day} {at:%b %Y}",
    "short": "{at:%a} {at.day} {at:%b} {at:%H:%M}",
    "full": "{at:%a} {at.day} {at:%b %Y} {at:%H:%M}",
}


def zone_of(name: str) -> ZoneInfo | None:
    """A zone by its name; None for what is none. Only names are looked up, never paths."""
    if (
        not name
        or len(name) > 64
        or not name.replace("/", "").replace("_", "").replace("-", "").replace("+", "").isalnum()
    ):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def place(zone: ZoneInfo) -> str:
    """A zone as people call it: `New York` for America/New_York."""
    return str(zone).rpartition("/")[2].replace("_", " ")


@cache
def environment() -> jinja2.Environment:
    """The templates of the desk."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES / "web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"static": static.address, "state": state, "shapes": SHAPES, "place": place}
    made.filters |= {"span": span, "size": size, "number": number}
    return made


def render(visit: Visit, template: str, data: Mapping[str, Any]) -> str:
    """One page for one visit."""
    root = visit.request.scope.get("root_path", "")
    times = Times(visit.now, visit.zone, visit.plan_zone)
    given = {"visit": visit, "me": visit.visitor, "project": visit.project, "now": visit.now}
    given |= {"to": lambda path: f"{root}{path}", "when": times.when, "ago": times.ago, "times": times}
    given |= {"static": lambda name: f"{root}{static.address(name)}", "name_of": visit.project.name_of}
    return environment().get_template(template).render(given | dict(data))


class Times:
    """Instants as one reader sees them: in their own zone, with the plan's beside it where the two differ."""

    def __init__(self, now: datetime, reader: ZoneInfo, plan: ZoneInfo) -> None:
        self.now, self.reader, self.plan = now, reader, plan

    @property
    def differ(self) -> bool:
        """Whether the reader's clock shows another time than the plan's, now."""
        return self.now.astimezone(self.reader).utcoffset() != self.now.astimezone(self.plan).utcoffset()

    def when(self, at: datetime | None, form: str = "auto") -> Markup:
        """An instant. `auto` leaves out the day where it is today; other forms are time, second, day, short, full."""
        if at is None:
            return Markup("")
        here, there = at.astimezone(self.reader), at.astimezone(self.plan)
        own = self._text(here, form)
        whole = f"{_FORMS['full'].format(at=there)} {there:%Z} ({there.tzinfo})"
        if here.utcoffset() == there.utcoffset():
            return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), whole, own)
        if here.date() == there.date() and form in ("day", "date"):
            return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), whole, own)
        # The day is said once where it is the same on both clocks.
        beside = self._text(there, form if here.date() != there.date() or form == "second" else "time")
        return Markup('<time datetime="{}" title="{}">{}<small class="plan"> {} {}</small></time>').format(
            _iso(at), whole, own, beside, f"{there:%Z}"
        )

    def _text(self, at: datetime, form: str) -> str:
        if form == "auto":
            today = self.now.astimezone(at.tzinfo).date()
            form = "time" if at.date() == today else "short" if abs(at.date() - today) < timedelta(180) else "full"
        return _FORMS[form].format(at=at)

    def ago(self, at: datetime | None) -> str:
        """How long ago, or in how long: `3 min ago`, `in 2 h`."""
        if at is None:
            return ""
        passed = self.now - at
        if abs(passed) < timedelta(seconds=1):
            return "just now"
        return f"{_long(passed)} ago" if passed > timedelta(0) else f"in {_long(-passed)}"

    def local(self, at: datetime) -> datetime:
        """The instant on the reader's clock."""
        return at.astimezone(self.reader)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def span(seconds: float | timedelta | None) -> str:
    """A length of time: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if seconds is None:
        return ""
    count = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if count < 10:
        return f"{count:.1f} s"
    return f"{count:.0f} s" if count < 60 else _long(timedelta(seconds=count))


def _long(length: timedelta) -> str:
    """From two days on in days."""
    return f"{length / timedelta(days=1):.0f} days" if length >= timedelta(days=2) else words(length)


def size(count: int) -> str:
    """A size: `812 bytes`, `48 kB`, `2.3 MB`."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def number(value: Any) -> Markup | str:
    """A number with its thousands apart; what is no number as it is, escaped."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
