"""Headers of a message, each whole: what the standard library would break or encode so that nobody can use it."""

from __future__ import annotations

from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, Policy
from typing import Any, cast

from runner.document.texts import line


class _Words(UnstructuredHeader):
    """A header of addresses and identities: lines are broken between them, and none is ever encoded."""

    def fold(self, *, policy: Policy) -> str:
        """The header as it stands in a message."""
        # The name is put beside the value by the class that the registry makes of this one.
        name = getattr(self, "name", "")
        return f"{name}: " + f"{policy.linesep} ".join(str(self).split()) + policy.linesep


def _policy() -> EmailPolicy[EmailMessage[Any, Any]]:
    registry = HeaderRegistry()
    for name in ("list-unsubscribe", "references", "in-reply-to"):
        registry.map_to_type(name, cast("type[BaseHeader]", _Words))  # it becomes one when it is used
    return SMTP.clone(header_factory=registry)


#: What our messages are made with.
POLICY = _policy()


def address(name: str, email: str) -> Address:
    """A name and an address. Letters other than ASCII before the @ are kept. Raises ValueError on anything else."""
    local, _, domain = email.rpartition("@")
    made = Address(line(name)[:100], username=local, domain=domain)
    if made.addr_spec != email or line(email) != email:
        raise ValueError("the address cannot be written as it stands")
    return made
