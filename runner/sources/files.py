"""Parquet and CSV files in a folder, here or in an object store, by fsspec.

`url` is the folder: a path (relative to the project's folder) or an address such as `s3://bucket/folder`. `options` go
to fsspec as they are, and those that read `env:NAME` are read from the environment. `at` says the file of a table, with
`{day}` in it where each day has its own: `transactions: lines/{day}.csv`. Without it the file is called as the table.

What is not there is told apart: a file of a folder that is there has not come yet, a folder that is gone is a
source that is down. A file that is not whole may be whole in a moment, so it is read again.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import fsspec
from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError
from fsspec.core import url_to_fs

from runner.sources import commas
from runner.sources.access import LARGEST, Access, asked_days
from runner.sources.source import Want

if TYPE_CHECKING:
    import pyarrow as pa

#: The most bytes of one file.
LARGEST_FILE = 1_000_000_000
DAY = "{day}"
_STORE = frozenset({"s3", "s3a"})


@dataclass(frozen=True)
class Files:
    """A folder of files; `clock` gives seconds."""

    access: Access
    clock: Callable[[], float] = time.monotonic

    def read(self, want: Want, left: float) -> pa.Table:
        """The rows of a file, or of the files of the days asked for."""
        until = self.clock() + left
        folder = self._folder(left)
        tables, held = [], 0
        for name, day in self._names(want):
            if self.clock() > until:
                raise self.access.unavailable("did not answer in time.", "Ask for fewer days, or give it more time.")
            table = self._table(want, name, folder.content(name))
            tables.append(table if day is None else self.access.hold_days(replace(want, first=day, last=day), table))
            held += table.nbytes
            if held > LARGEST:
                raise self.access.too_large(want)
        return self._one(want, tables)

    def watermark(self, want: Want, left: float) -> datetime | None:  # noqa: ARG002 - as every kind of source
        """Files cannot say: one that is there may yet be replaced."""
        return None

    def probe(self, left: float) -> None:
        """Whether the folder is there, and may be looked into."""
        self._folder(left).look()

    def rights(self, left: float) -> frozenset[str] | None:
        """What we may do with a folder of this machine: read, write, and whether anyone may write there."""
        folder = self._folder(left)
        if not folder.is_local:
            return None
        folder.look()
        mode = os.stat(folder.root).st_mode  # noqa: PTH116 - the address of fsspec is no Path
        ways = {"read": os.access(folder.root, os.R_OK | os.X_OK), "write": os.access(folder.root, os.W_OK)}
        return frozenset(
            {way for way, holds in ways.items() if holds} | ({"write by anyone"} if mode & stat.S_IWOTH else set())
        )

    def _folder(self, left: float) -> _Folder:
        access, config = self.access, self.access.config
        address = access.text(config.url or "")
        if "://" not in address and "::" not in address:
            address = str(access.folder / address)
        options: dict[str, Any] = {
            key: access.text(value) if isinstance(value, str) else value for key, value in config.options.items()
        }
        try:
            if address.partition("://")[0] in _STORE:
                options |= _bounds(left)
            system, root = url_to_fs(address, **options)
        except (ValueError, ImportError, TypeError, KeyError):
            raise access.gone("has an address or options that cannot be used.", "Mend them in sources.yml.") from None
        if hasattr(system, "retries"):
            system.retries = 1  # trying again is for whoever asks
        return _Folder(access, system, root)

    def _names(self, want: Want) -> Iterator[tuple[str, date | None]]:
        """The files to read, each with the day that all its rows must have."""
        name = want.place if "." in want.place.rpartition("/")[2] else f"{want.place}.{self.access.config.format}"
        if DAY not in name:
            yield name, None
            return
        if not (want.day and want.first and want.last):
            raise self.access.gone(f"has a file a day of {want.table}.", "Give the table its `day` and `begins`.")
        for number in range((want.last - want.first).days + 1):
            day = want.first + timedelta(number)
            yield name.replace(DAY, day.isoformat()), day

    def _table(self, want: Want, name: str, data: bytes) -> pa.Table:
        table = (
            commas.table(self.access, want, name, data)
            if self.access.config.format == "csv"
            else self._parquet(want, name, data)
        )
        if DAY not in want.place and want.day and (want.first or want.last):
            return table.filter(asked_days(self.access, want, table[want.day]))
        return table

    def _parquet(self, want: Want, name: str, data: bytes) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        torn = self.access.incomplete(
            f"has a torn {name}.", "Wait until it is written, or have it written again.", passing=True
        )
        try:
            file = parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            self.access.hold_names(want, file.schema_arrow.names)
            parts, held = [], 0
            for part in file.iter_batches():
                parts.append(part)
                held += part.nbytes
                if held > LARGEST:
                    raise self.access.too_large(want)
            table = pa.Table.from_batches(parts, file.schema_arrow)
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError, MemoryError):
            raise torn from None
        return table

    def _one(self, want: Want, tables: list[pa.Table]) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415

        if not tables:
            raise self.access.incomplete(f"was asked for no day of {want.table}.", "Ask for a day.")
        try:
            return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        except pa.ArrowException:
            raise self.access.changed(f"has other columns of {want.table} from day to day.") from None


@dataclass(frozen=True)
class _Folder:
    """An opened folder: its file system, and its address there."""

    access: Access
    system: fsspec.AbstractFileSystem
    root: str

    @property
    def is_local(self) -> bool:
        """Whether it is one of this machine."""
        return "file" in (self.system.protocol if isinstance(self.system.protocol, tuple) else (self.system.protocol,))

    def look(self) -> None:
        """Raise SourceFailed when the folder is not there, or is closed to us."""
        with self._failing():
            try:
                found = self.system.info(self.root)["type"]
            except FileNotFoundError:
                found = "nothing"
            if found != "directory":
                raise self.access.gone("has no such folder.", "Mend `url` in sources.yml, or have the folder restored.")
            if self.is_local and not os.access(self.root, os.R_OK | os.X_OK):
                raise self.access.revoked("does not let us read its folder.")

    def content(self, name: str) -> bytes:
        """All of a file."""
        path = f"{self.root.rstrip('/')}/{name}"
        with self._failing():
            try:
                size = self.system.info(path)["size"]
                if size > LARGEST_FILE:
                    what = f"has {name} of {size // 1_000_000:,} MB, which is more than is read at once."
                    raise self.access.gone(what, "Have it written in smaller parts.")
                data: bytes = self.system.cat_file(path)
            except (FileNotFoundError, NotADirectoryError):
                self.look()
                remedy = "Ask those who write it when it comes."
                raise self.access.incomplete(f"has no {name} yet.", remedy) from None
            except IsADirectoryError:
                raise self.access.changed(f"has a folder where the file {name} should be.") from None
        return data

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What the file system says no to, in our own words."""
        try:
            yield
        except (PermissionError, NoCredentialsError, PartialCredentialsError):
            raise self.access.revoked("does not let us read that.") from None
        except TimeoutError:
            raise self.access.unavailable("did not answer in time.") from None
        except (OSError, BotoCoreError):
            raise self.access.unavailable("cannot be reached.") from None


def _bounds(left: float) -> dict[str, Any]:
    """A store is asked once, and no longer than there is time; nothing of it is remembered for the next question."""
    config = {"connect_timeout": max(left, 0.1), "read_timeout": max(left, 0.1), "retries": {"max_attempts": 0}}
    return {"config_kwargs": config, "skip_instance_cache": True, "use_listings_cache": False}
