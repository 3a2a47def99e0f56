"""The spans of days that reports speak of; every span holds both its ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last`, both included. Raises ValueError when they are the wrong way round."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"A span cannot end ({self.last}) before it starts ({self.first}).")

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def back(self, days: int) -> Span:
        """The same number of days, `days` earlier; whole weeks keep the weekdays."""
        shift = timedelta(days=days)
        return Span(self.first - shift, self.last - shift)

    def days(self) -> list[date]:
        """Every day, in order."""
        return [self.first + timedelta(days=n) for n in range(len(self))]

    @property
    def text(self) -> str:
        """Like `1-15 Nov 2017` or `30 Oct - 5 Nov 2017`, with en dashes."""
        if self.first == self.last:
            return f"{self.last.day} {self.last:%b %Y}"
        if (self.first.year, self.first.month) == (self.last.year, self.last.month):
            return f"{self.first.day}\N{EN DASH}{self.last.day} {self.last:%b %Y}"
        year = f" {self.first.year}" if self.first.year != self.last.year else ""
        return f"{self.first.day} {self.first:%b}{year} \N{EN DASH} {self.last.day} {self.last:%b %Y}"


def one_day(as_of: date) -> Span:
    """The day itself."""
    return Span(as_of, as_of)


def month_to_date(as_of: date) -> Span:
    """From the first of the month to the day."""
    return Span(as_of.replace(day=1), as_of)


def year_to_date(as_of: date) -> Span:
    """From 1 January to the day."""
    return Span(as_of.replace(month=1, day=1), as_of)


def so_far(name: str, span: Span, begins: date) -> str:
    """What readers call a span to date: `year to date`; `year from 13 Sep on` where the data begin in its midst."""
    return f"{name} to date" if begins <= span.first else f"{name} from {begins.day} {begins:%b} on"


def week_before(as_of: date) -> Span:
    """The last whole week, Monday to Sunday, that had ended by the start of the day `as_of`."""
    monday = as_of - timedelta(days=as_of.weekday() + 7)
    return Span(monday, monday + timedelta(days=6))


def same_weekdays_before(span: Span) -> int:
    """Days to go back so that a span of equal length and equal weekdays ends before `span` starts."""
    return 7 * -(-len(span) // 7)
