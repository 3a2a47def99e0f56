"""The ends of the pipeline as models: `config/sources.yml`, where data come from; `mail` and `desk` of the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from runner.config.strict import Strict
from runner.config.values import Email, Host, Inside, Key, Line, Place, Seconds, SecretName, Size, Unsubscribe, WebPlace

#: What of a source belongs to which kind, besides what every source has.
KEYS_OF: Mapping[str, frozenset[str]] = {
    "http": frozenset({"url", "token", "page_size", "rights_at"}),
    "sql": frozenset({"url", "schema_name"}),
    "files": frozenset({"url", "options", "format"}),
    "duckdb": frozenset({"file"}),
    "package": frozenset(),
}
_OWN = frozenset().union(*KEYS_OF.values())
_NEEDS = {"http": "url", "sql": "url", "files": "url", "duckdb": "file"}


class Source(Strict):
    """One place that data come from. `may` is what its credential should be allowed to do, and no more."""

    kind: Literal["http", "sql", "files", "duckdb", "package"]
    title: Line
    url: Place | None = None
    token: SecretName | None = None
    page_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    rights_at: Line | None = None
    schema_name: Line | None = Field(default=None, alias="schema")
    options: Mapping[str, str | bool | int] = Field(default_factory=dict)
    format: Literal["parquet", "csv"] = "parquet"
    file: Inside | None = None
    timeout: Seconds = 20.0
    tries: Annotated[int, Field(ge=1, le=20)] = 4
    may: tuple[Line, ...] = ()
    at: Mapping[Key, Line] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_its_kind(self) -> Source:
        given = {name for name in _OWN & self.model_fields_set if getattr(self, name) is not None}
        strange = sorted(given - KEYS_OF[self.kind])
        if strange:
            shown = "schema" if strange[0] == "schema_name" else strange[0]
            raise ValueError(f"{shown} does not belong to `kind: {self.kind}`. Remove it")
        if (needed := _NEEDS.get(self.kind)) and getattr(self, needed) is None:
            raise ValueError(f"`kind: {self.kind}` needs {needed}. Add it")
        return self


class Table(Strict):
    """One table: the sources that have it, in the order they are asked, and when its data are whole.

    `day` and `time` are columns; without `day` the table is read whole. `delay` is how long after an instant the source
    may take until it has everything up to it; `wait` how long a run waits beyond that. `least` is the share of the
    usual rows of the weekday below which a day counts as partial.
    """

    from_: Annotated[tuple[str, ...], Field(min_length=1, alias="from")]
    day: Line | None = None
    time: Line | None = None
    begins: Line | None = None
    again: Annotated[int, Field(ge=0, le=400)] = 3
    delay: Seconds | None = None
    wait: Seconds | None = None
    least: Annotated[float, Field(ge=0, le=1)] = 0.5
    differ: Annotated[float, Field(ge=0, le=1)] = 0.0


class Side(Strict):
    """One of two systems that must agree: its name, and the query over the warehouse that gives its rows."""

    title: Line
    sql: str


class Reconciliation(Strict):
    """Two systems, the columns that together name a row in both, and how far values may lie apart."""

    title: Line
    left: Side
    right: Side
    key: Annotated[tuple[Line, ...], Field(min_length=1)]
    tolerance: Mapping[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    most: Annotated[float, Field(ge=0, le=1)] = 0.0


class Sources(Strict):
    """`config/sources.yml`: sources, tables and reconciliations by name."""

    sources: Mapping[Key, Source] = Field(default_factory=dict)
    tables: Mapping[Key, Table] = Field(default_factory=dict)
    reconciliations: Mapping[Key, Reconciliation] = Field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets, such as `env:TILLS_TOKEN`."""
        found = [name for source in self.sources.values() for name in (source.token, source.url, *_texts(source))]
        return tuple(dict.fromkeys(name for name in found if name and name.startswith("env:")))

    @property
    def fetched(self) -> Mapping[str, Table]:
        """The tables that are fetched from somewhere, not only from the demonstration package."""
        return {
            name: table
            for name, table in self.tables.items()
            if any(self.sources[source].kind != "package" for source in table.from_ if source in self.sources)
        }


def _texts(source: Source) -> tuple[str, ...]:
    return tuple(value for value in source.options.values() if isinstance(value, str))


class Mail(Strict):
    """`mail` of settings.yml: the server that takes messages; without a server they lie in the maildir.

    `largest` bounds a whole message in bytes, beyond it a link to `archive` takes the attachment's place. `sandbox`
    gets every message in place of its reader.
    """

    server: Host | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: SecretName | None = None
    password: SecretName | None = None
    authorities: Inside | None = None
    timeout: Seconds = 30.0
    bounces: Email | None = None
    unsubscribe: Unsubscribe | None = None
    largest: Size = 10_000_000
    archive: WebPlace | None = None
    sandbox: Email | None = None

    @model_validator(mode="after")
    def _fits(self) -> Mail:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together. Add or remove one of the two")
        if self.user and self.security == "none" and not is_local(self.server or ""):
            raise ValueError("a password is not sent without encryption. Write security: starttls or tls")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets."""
        return tuple(name for name in (self.user, self.password) if name)


def is_local(host: str) -> bool:
    """Whether a name is this machine's own."""
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _is_safe(address: str) -> bool:
    """Whether what is sent to an address of the web cannot be read on the way."""
    parts = urlsplit(address)
    return parts.scheme == "https" or is_local(parts.hostname or "")


class OpenId(Strict):
    """`desk.open_id`: a company's own sign-in. The addresses that it vouches for are those of people.yml."""

    title: Line = "company account"
    issuer: WebPlace
    client: Line
    secret: SecretName

    @model_validator(mode="after")
    def _fits(self) -> OpenId:
        if not _is_safe(self.issuer):
            raise ValueError("issuer must be reached by https: whoever stands between could be anybody. Write https://")
        if urlsplit(self.issuer).query or urlsplit(self.issuer).fragment:
            raise ValueError("issuer has no ? and no #. Write it as its own openid-configuration says it")
        return self


class Desk(Strict):
    """`desk` of settings.yml: the web page. Times in seconds.

    `public` is the address that people type, where it is not that of this machine; `proxies` are those whose word on
    it is believed. People on the lists of `stakeholders` see how the pipelines stand whose reports they read.
    """

    address: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8420
    public: WebPlace | None = None
    proxies: tuple[Host, ...] = ()
    session: Seconds = 28800.0
    idle: Seconds = 3600.0
    link: Seconds = 900.0
    stakeholders: tuple[str, ...] = ()
    jupyter: WebPlace | None = None
    open_id: OpenId | None = None

    @model_validator(mode="after")
    def _fits(self) -> Desk:
        if self.public is not None:
            parts = urlsplit(self.public)
            if not _is_safe(self.public):
                raise ValueError("public must begin with https://: reports and sessions would go over the network open")
            if parts.query or parts.fragment or not _has_good_port(self.public):
                raise ValueError("public is a host and perhaps a path. Write it like https://desk.example.com")
        if not is_local(self.address) and self.public is None:
            what = f"other machines reach {self.address}, and there is no `public`"
            how = "Put a proxy with a certificate in front and name its address in public, or set address: 127.0.0.1"
            raise ValueError(f"{what}. {how}")
        if not is_local(self.address) and urlsplit(self.public or "").scheme != "https":
            what = f"other machines reach {self.address}, and public is not https"
            raise ValueError(f"{what}. Write the https address of the proxy in front, or set address: 127.0.0.1")
        return self

    @property
    def own(self) -> str:
        """Where people reach it, without a slash at the end: the public address, or that of this machine."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return (self.public or f"http://{host}:{self.port}").rstrip("/")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets."""
        return (self.open_id.secret,) if self.open_id else ()


def _has_good_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0 and bool(urlsplit(address).hostname)
    except ValueError:
        return False
