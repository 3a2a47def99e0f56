"""Messages between processes of one machine: JSON and open files over a socket that keeps messages apart."""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

#: Bytes of the longest message; an environment larger than this is started cold.
LONGEST = 1 << 20
_FILES = 16
KIND = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection; no other program inherits them."""
    ends = socket.socketpair(socket.AF_UNIX, KIND)
    for end in ends:
        widen(end)
    return ends


def widen(connection: socket.socket) -> None:
    """Let a connection hold one message of the longest kind."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)


def send(connection: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
    """Send one message, with open files if there are any. Raises OSError when nobody listens or it is too long."""
    socket.send_fds(connection, [json.dumps(message).encode()], list(files), socket.MSG_NOSIGNAL)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One message and the files that came with it. Raises EOFError at the end, ValueError when it is no message."""
    data, files, flags, _ = socket.recv_fds(connection, LONGEST, _FILES)
    for file in files:
        os.set_inheritable(file, False)  # noqa: FBT003 - the standard library's signature
    if not data:  # an empty message cannot be told from the end
        for file in files:
            os.close(file)
        raise EOFError("The other end is closed.")
    message = None if flags & socket.MSG_TRUNC else _parsed(data)
    if message is None:
        for file in files:
            os.close(file)
        raise ValueError("not a message")
    return message, files


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        return None
    return message if isinstance(message, dict) else None


def ready(files: Sequence[int], limit: float | None) -> frozenset[int]:
    """Which of these descriptors can be read, as soon as one can; none after `limit` seconds. Any number will do."""
    asked = select.poll()  # `select` itself refuses descriptors from 1024 on
    for file in files:
        asked.register(file, select.POLLIN)
    milliseconds = None if limit is None else math.ceil(1000 * max(0.0, limit))
    return frozenset(file for file, _ in asked.poll(milliseconds))


def is_own(connection: socket.socket) -> bool:
    """Whether the other end belongs to this very user."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", told)
    return bool(user == os.geteuid())
