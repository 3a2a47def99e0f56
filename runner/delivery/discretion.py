"""Whether a message that is about to leave shows a secret."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

from runner.leaks import Leak, Scanner


def leak_of(message: EmailMessage, scanner: Scanner) -> Leak | None:
    """The first secret in a message: in its headers, its texts as they are read, or the bytes of what it carries."""
    place = f"The message to {message['To']}"
    what = scanner.found("\n".join(f"{name}: {value}" for name, value in message.items()))
    what = what or next((found for part in _parts(message) if (found := _found(part, scanner))), None)
    return Leak(place, what) if what else None


def _parts(message: EmailMessage) -> Iterator[str | bytes]:
    for part in message.walk():
        if not part.is_multipart():
            yield part.get_filename() or ""
            content = part.get_content()
            yield content if isinstance(content, str | bytes) else str(content)


def _found(content: str | bytes, scanner: Scanner) -> str | None:
    return scanner.found(content) if isinstance(content, str) else scanner.found_in(content)
