"""How often somebody may try: so many at once, and then one every so often. Kept in memory, and never much of it."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request

#: So many of whom a limit is kept at once. Whoever has not tried for longest is forgotten first.
KEPT = 20_000
#: Seconds that sums of shares may be off.
_ROUNDING = 1e-3


@dataclass
class Limit:
    """At most `count` within `seconds`: each use is given back after its share of that time. Safe between threads."""

    count: int
    seconds: float
    kept: int = KEPT

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, who: str, now: datetime) -> float:
        """Count one try; 0 where it may be, else the seconds until the next one may. A refused try costs nothing."""
        at, share = now.timestamp(), self.seconds / self.count
        with self._lock:
            free_at = max(self._full_at.get(who, at), at)
            late = free_at + share - self.seconds - at
            if late > _ROUNDING:
                return late
            self._full_at[who] = free_at + share
            self._full_at.move_to_end(who)
            while len(self._full_at) > self.kept:
                self._full_at.popitem(last=False)
        return 0.0


@dataclass
class Limits:
    """Every limit of the desk. An office or a phone network is one client, so that those are wide."""

    links: Limit = field(default_factory=lambda: Limit(5, 3600.0))  # for one address, asked for by one client
    mails: Limit = field(default_factory=lambda: Limit(20, 3600.0))  # to one address, whoever asks: see `signin.ask`
    asked: Limit = field(default_factory=lambda: Limit(40, 900.0))  # for links, by one client
    entered: Limit = field(default_factory=lambda: Limit(40, 900.0))  # failed tries to come in, by one client
    strangers: Limit = field(default_factory=lambda: Limit(100, 3600.0))  # notes of addresses that nobody has
    tokens: Limit = field(default_factory=lambda: Limit(1200, 60.0))  # requests of one machine
    guesses: Limit = field(default_factory=lambda: Limit(30, 60.0))  # tokens that are none, by one client


def client_of(request: Request) -> str:
    """Who asks, as far as the network tells: of an IPv6 address what one customer has of them."""
    host = request.client.host if request.client else ""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
