"""Finished messages as files in a maildir, for another program to take: each is written once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from runner.document.texts import slug
from runner.errors import DeliveryFailed


def post(data: bytes, maildir: Path) -> Path:
    """Writes a message into a maildir, whole or not at all, and gives its file.

    The file's name comes from the Message-ID: posting the same message again finds it, in `new` or read in `cur`,
    and writes nothing. Raises DeliveryFailed when the folder cannot be written, and when the message that is there
    carries another report.
    """
    message = message_from_bytes(data, policy=SMTP)
    name = hashlib.sha256(str(message["Message-ID"]).strip().encode()).hexdigest()[:40]
    try:
        found = _found(maildir, name)
        if found and _report(message_from_bytes(found.read_bytes(), policy=SMTP)) != _report(message):
            raise DeliveryFailed(
                f"{message['To']} was written to before, with another report of the same version ({found.name}).",
                "The ledger may have been lost: bring it back, or move the maildir aside if nobody has read it.",
            )
        return found or _write(data, maildir, name)
    except OSError as error:
        raise DeliveryFailed(f"The message cannot be written to {maildir}: {error}.", "Check the folder.") from error


def _report(message: EmailMessage) -> bytes:
    """The PDF that a message carries."""
    pdfs = (part for part in message.iter_attachments() if part.get_content_type() == "application/pdf")
    return next((part.get_content() for part in pdfs), b"")


def _found(maildir: Path, name: str) -> Path | None:
    seen = [*maildir.glob(f"new/{name}*"), *maildir.glob(f"cur/{name}*")]
    return seen[0] if seen else None


def _write(data: bytes, maildir: Path, name: str) -> Path:
    for folder in ("tmp", "new", "cur"):
        (maildir / folder).mkdir(parents=True, exist_ok=True)
    draft = maildir / "tmp" / f"{name}.{os.getpid()}.{slug(socket.gethostname(), 'host')}"
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    final = maildir / "new" / name
    draft.replace(final)
    return final
