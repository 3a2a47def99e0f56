"""A paged API over HTTP.

What it is asked, and what it must answer::

    GET {url}/{place}?first=2017-11-15&last=2017-11-15&page=1&page_size=10000
    {"rows": [{"basket_id": 1, "sales_value": 1.50, ...}, ...], "page": 1, "pages": 3, "total": 25000, "version": "7f"}

    GET {url}/{place}/watermark      {"watermark": "2017-11-16T04:10:00+00:00"}, or null; 404: it cannot say
    GET {url}                        anything with a status of 2xx: the API is up, and lets us in
    GET {url}/{rights_at}            {"scopes": ["lines:read"]}: what the token may do

`first` and `last` (days, both included) are left out for a table that is read whole. Pages count from 1, and an empty
answer is one page without rows. Every row has the same keys; decimal numbers may come as text (`cells`). `pages`,
`total` (rows of all pages) and `version` (any text, optional) stay the same from the first page to the last: another
one means that the data changed between two pages, and all of it is asked again. So is an answer whose rows do not add
up, or that gives a page twice.

Every request carries the token as `Authorization: Bearer`, to this one address alone: a redirect is never followed, and
without encryption a token goes nowhere but to this machine. Proxies, `.netrc` and certificates of the process are not
looked at; SSL_CERT_FILE of the environment given is.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from runner.config.ends import is_local
from runner.errors import SourceFailed
from runner.sources import cells
from runner.sources.access import LARGEST, Access
from runner.sources.cells import BadCellError
from runner.sources.source import Want, Wanted

if TYPE_CHECKING:
    import pyarrow as pa

#: The most bytes of one page, unpacked, and the most pages of one answer.
LARGEST_PAGE, MOST_PAGES = 100_000_000, 100_000
#: Statuses that may be another one in a moment, besides all from 500 on.
PASSING = frozenset({408, 425, 429})
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Web:
    """An API. `transport` takes the place of the network; `clock` gives seconds, `now` the time of the day.

    `largest` is the most bytes of one page, unpacked.
    """

    access: Access
    transport: httpx.BaseTransport | None = None
    largest: int = LARGEST_PAGE
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def read(self, want: Want, left: float) -> pa.Table:
        """All pages, as one table."""
        with self._line(left) as line:
            return self.access.hold_days(want, _Pages(self.access, want, line).table())

    def watermark(self, want: Want, left: float) -> datetime | None:
        """What the API says of the table; None where it says nothing."""
        with self._line(left) as line:
            try:
                said = line.json(f"{_path(want.place)}/watermark")
            except _NotThereError:
                return None
            return _instant(self.access, said.get("watermark"))

    def probe(self, left: float) -> None:
        """Whether the address answers, and lets us in."""
        with self._line(left) as line:
            line.body("")

    def rights(self, left: float) -> frozenset[str] | None:
        """The token's scopes, where config says where to ask for them."""
        if self.access.config.rights_at is None:
            return None
        with self._line(left) as line:
            scopes = line.json(_path(self.access.config.rights_at)).get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise self.access.changed("does not say its scopes as a list of texts.", "See `rights_at` in sources.yml.")
        return frozenset(scopes)

    @contextmanager
    def _line(self, left: float) -> Iterator[_Line]:
        until = self.clock() + left
        access = self.access
        url, login = _address(access)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **_authority(access, url)}
        with httpx.Client(
            headers=headers,
            auth=login,
            timeout=max(left, 0.01),
            verify=_trust(access),
            trust_env=False,
            follow_redirects=False,
            transport=self.transport,
        ) as client:
            yield _Line(access, client, str(url).rstrip("/"), until, self)


class _NotThereError(SourceFailed):
    """404."""


@dataclass(frozen=True)
class _Line:
    """An open connection, until an instant of the clock."""

    access: Access
    client: httpx.Client
    url: str
    until: float
    web: Web

    def json(self, path: str, **params: str | int) -> Mapping[str, Any]:
        """The object that an address answers with."""
        headers, body = self._get(path, params)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise self.access.unavailable("did not answer with JSON.", "See whether it is being worked on.")
        return _parsed(self.access, body)

    def body(self, path: str) -> bytes:
        """The bytes that an address answers with."""
        return self._get(path, {})[1]

    def _get(self, path: str, params: Mapping[str, str | int]) -> tuple[httpx.Headers, bytes]:
        left = self.until - self.web.clock()
        if left <= 0:
            raise self._late()
        address = f"{self.url}/{path}" if path else self.url
        try:
            with self.client.stream("GET", address, params=params, timeout=left) as response:
                self._hold_status(response)
                return response.headers, self._body(response)
        except httpx.TimeoutException:
            raise self._late() from None
        except httpx.HTTPError as error:
            raise _failed(self.access, error) from None
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise self.access.gone("has an address that cannot be asked.", "Mend `url` in sources.yml.") from None

    def _body(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            parts.append(part)
            if size > self.web.largest:
                what = f"answered with more than {self.web.largest // 1_000_000} MB on one page."
                raise self.access.gone(what, "Make `page_size` smaller, and see what it sends.")
            if self.web.clock() > self.until:
                raise self._late()
        return b"".join(parts)

    def _late(self) -> SourceFailed:
        return self.access.unavailable("did not answer in time.", "See how busy it is, or give it a longer `timeout`.")

    def _hold_status(self, response: httpx.Response) -> None:
        status, access = response.status_code, self.access
        if response.is_success:
            return
        if status in PASSING or status >= 500:
            raise access.unavailable(f"answered with status {status}.", wait=_wait(response.headers, self.web.now()))
        if status in {401, 403}:
            raise access.revoked(f"does not let us in (status {status}).")
        if status == 404:
            missing = access.changed("has nothing at that address (status 404).", "Mend `url` or `at` in sources.yml.")
            raise _NotThereError(missing.what, missing.remedy, missing.trouble)
        if response.is_redirect or response.has_redirect_location or 300 <= status < 400:
            raise access.gone(
                f"sends us elsewhere (status {status}); a token is not carried on.", "Put its new address into `url`."
            )
        raise access.changed(f"refuses the question (status {status}).", "See whether its interface has changed.")


@dataclass(frozen=True)
class _Pages:
    """All pages of one table, held against each other."""

    access: Access
    want: Want
    line: _Line
    seen: dict[bytes, int] = field(default_factory=dict)

    def table(self) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415

        first = self._page(1)
        pages, columns = first["pages"], _Columns(self.access, self.want)
        if pages > MOST_PAGES:
            raise self.access.gone(f"has more than {MOST_PAGES:,} pages.", "Make `page_size` larger.")
        rows, held = 0, 0
        page = first
        for number in range(1, pages + 1):
            page = first if number == 1 else self._page(number)
            if any(page.get(key) != first.get(key) for key in ("pages", "total", "version")):
                raise self._moved("changed between two pages")
            rows += len(page["rows"])
            if rows > first["total"]:
                raise self._moved("gives more rows than it says there are")
            held += columns.add(page["rows"])
            if held > LARGEST:
                raise self.access.too_large(self.want)
        if rows != first["total"]:
            raise self._moved("gives fewer rows than it says there are")
        return pa.table(columns.typed())

    def _page(self, number: int) -> Mapping[str, Any]:
        days = {"first": self.want.first, "last": self.want.last} if self.want.day else {}
        asked = {name: day.isoformat() for name, day in days.items() if day}
        size = self.access.config.page_size
        page = self.line.json(_path(self.want.place), **asked, page=number, page_size=size)
        if not _is_page(page):
            raise self.access.changed("does not answer in pages of rows, as agreed.")
        if page["page"] != number:
            raise self._moved("gives another page than the one that was asked for")
        if len(page["rows"]) > 1:
            drawn = hashlib.sha256(repr(page["rows"]).encode("utf-8", "surrogatepass")).digest()
            if self.seen.setdefault(drawn, number) != number:
                raise self._moved("gives a page twice")
        return page

    def _moved(self, what: str) -> SourceFailed:
        remedy = "Ask again later; if it stays so, those who run it must mend its pages."
        return self.access.incomplete(f"{what} ({self.want.table}).", remedy, passing=True)


class _Columns:
    """Rows of JSON, page by page, as columns of Arrow: those of the contract by their types, others as they are."""

    def __init__(self, access: Access, want: Want) -> None:
        self._access, self._want, self._rows = access, want, 0
        self._names: tuple[str, ...] | None = None
        self._known: dict[str, list[Any]] = {column.name: [] for column in want.columns}
        self._other: dict[str, list[object]] = {}

    def add(self, rows: list[dict[str, Any]]) -> int:
        """Take a page's rows; the bytes that they take, roughly."""
        self._hold_keys(rows)
        size = 0
        for column in self._want.columns if rows else ():
            part = self._read(column, [row[column.name] for row in rows])
            self._known[column.name].append(part)
            size += part.nbytes
        for name, values in self._other.items():
            values.extend(row[name] for row in rows)
            size += 64 * len(rows)
        self._rows += len(rows)
        return size

    def _hold_keys(self, rows: list[dict[str, Any]]) -> None:
        if rows and self._names is None:
            self._names = tuple(rows[0])
            self._access.hold_names(self._want, self._names)
            self._other = {name: [] for name in self._names if name not in self._known}
        same = set(self._names or ())
        for number, row in enumerate(rows, 1):
            if row.keys() != same:
                what = f"has rows of {self._want.table} with different keys (row {self._rows + number:,})."
                raise self._access.changed(what)

    def typed(self) -> dict[str, Any]:
        """All columns, in the order of the first row (of the contract where there is none)."""
        types = {column.name: column for column in self._want.columns}
        names = self._names if self._names is not None else tuple(types)
        return {name: self._typed(types[name]) if name in types else cells.natural(self._other[name]) for name in names}

    def _read(self, column: Wanted, values: list[object]) -> Any:
        try:
            return cells.from_json(column, values)
        except BadCellError as bad:
            raise self._bad(bad, self._rows) from None

    def _typed(self, column: Wanted) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        try:
            return cells.typed(column, pa.chunked_array(self._known[column.name] or [cells.from_json(column, [])]))
        except BadCellError as bad:
            raise self._bad(bad, 0) from None

    def _bad(self, bad: BadCellError, before: int) -> SourceFailed:
        row = f"row {before + bad.row + 1:,}"
        return self._access.changed(f"has in {self._want.table}, {row}, {bad.what}.")


def _is_page(page: Mapping[str, Any]) -> bool:
    counts = [page.get("page"), page.get("pages"), page.get("total")]
    rows = page.get("rows")
    return (
        all(type(count) is int for count in counts)
        and page["pages"] >= 1
        and page["total"] >= 0
        and isinstance(rows, list)
        and all(isinstance(row, dict) for row in rows)
        and isinstance(page.get("version", ""), str)
    )


def _parsed(access: Access, body: bytes) -> Mapping[str, Any]:
    """The object in a body: valid JSON in UTF-8, no key twice, no NaN."""
    try:
        found = json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_each_once
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise access.unavailable("answered with JSON that is torn or no JSON at all.") from None
    if not isinstance(found, dict):
        raise access.changed("does not answer with an object, as agreed.")
    return found


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _path(place: str) -> str:
    return quote(place.strip("/"), safe="/")


def _address(access: Access) -> tuple[httpx.URL, tuple[str, str] | None]:
    """The address without its user and password, and these."""
    refused = access.gone("has an address that cannot be asked.", "Write https://… without ? and # in `url`.")
    try:
        url = httpx.URL(access.text(access.config.url or ""))
        host = url.host
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise refused from None
    if url.scheme not in {"http", "https"} or not host or url.query or url.fragment:
        raise refused
    login = (url.username, url.password) if url.username or url.password else None
    if login and access.config.token:
        raise access.gone("has a token and a password in its address.", "Keep one of the two in sources.yml.")
    if (login or access.config.token) and url.scheme == "http" and not is_local(host):
        raise access.gone("would be sent a secret without encryption.", "Write https:// in `url`.")
    return url.copy_with(username=None, password=None), login


def _authority(access: Access, url: httpx.URL) -> Mapping[str, str]:
    """The header with the token, for this address. A token that no header can hold is not shown by any error."""
    if not access.config.token or not url.host:
        return {}
    token = access.text(access.config.token)
    if not _TOKEN.fullmatch(token):
        raise access.revoked("cannot be sent its token: it holds spaces or letters that a header does not take.")
    return {"Authorization": f"Bearer {token}"}


def _trust(access: Access) -> ssl.SSLContext | bool:
    file = access.environment.get("SSL_CERT_FILE", "")
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError):
        raise access.gone("cannot be trusted: SSL_CERT_FILE cannot be read.", "Mend that variable.") from None


def _failed(access: Access, error: httpx.HTTPError) -> SourceFailed:
    """In our own words: those of the library may hold an address."""
    if _is_untrusted(error):
        return access.gone("shows a certificate that is not trusted.", "Have it renewed, or name its authority.")
    if isinstance(error, httpx.ConnectError):
        return access.unavailable("cannot be reached: no such machine, or it refuses the connection.")
    if isinstance(error, httpx.DecodingError):
        return access.unavailable("answered with bytes that cannot be unpacked.")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return access.gone("has an address that cannot be asked.", "Mend `url` in sources.yml.")
    return access.unavailable("dropped the connection in the middle.")


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _wait(headers: httpx.Headers, now: datetime) -> float | None:
    """The seconds of Retry-After, which are a number or a date; None where it says nothing that can be understood."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", said):
        return float(said)
    try:
        at = parsedate_to_datetime(said)
        return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _instant(access: Access, said: object) -> datetime | None:
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise access.changed("does not say its watermark as a time with an offset.")
    return at
