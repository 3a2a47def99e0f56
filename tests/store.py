"""An object store of the tests' own on loopback, as S3 speaks; what is in it is gone when it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec

KEYS = {"S3_KEY": "reader", "S3_SECRET": "s3cret-of-the-store"}


@dataclass(frozen=True)
class Store:
    """A running store, with one bucket in it: `bucket`."""

    url: str

    @property
    def options(self) -> dict[str, str]:
        """What config says to reach it."""
        return {"key": "env:S3_KEY", "secret": "env:S3_SECRET", "endpoint_url": self.url}

    def put(self, path: str, data: bytes) -> None:
        """Write one object."""
        self._system().pipe_file(path, data)

    def make(self, bucket: str) -> None:
        """Make a bucket."""
        self._system().mkdir(bucket)

    def _system(self) -> fsspec.AbstractFileSystem:
        keys = {"key": KEYS["S3_KEY"], "secret": KEYS["S3_SECRET"], "endpoint_url": self.url}
        return fsspec.filesystem("s3", **keys, skip_instance_cache=True)


@contextmanager
def serving() -> Iterator[Store]:
    """A store on a free port."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a second to import

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = Store(f"http://{host}:{port}")
    try:
        store.make("bucket")
        yield store
    finally:
        server.stop()
