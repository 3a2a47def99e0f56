"""Letters owed -> sent. A flood for one person on one channel goes out as one message.

Claimed first, sent second, noted third. A scheduler that dies in between leaves letters whose claim runs out, and they
are sent again under the same Message-ID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import sqlalchemy as sa

from runner.delivery.alerts import grouped
from runner.delivery.channels import MAIL, Parcel
from runner.delivery.messages import Message
from runner.errors import DeliveryFailed
from runner.ledger import outbox
from runner.ledger.outbox import Letter, Refusal
from runner.scheduler.office import Office

#: Longer than the longest send: the mails of one look have a limit of time together, and each page has its own.
LEASE = timedelta(minutes=5)
#: How long a letter is tried. After that the next in line has long been told.
PATIENCE = timedelta(hours=24)
#: Messages of one look: few on channels that may be dead, so that leases are prolonged in time.
MOST_MAIL, MOST_PAGES = 200, 3
#: Incidents that one message refers to.
MOST_THREADS = 10
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Bag:
    """Letters that go out as one message, and the first messages of their incidents to the same person."""

    letters: tuple[Letter, ...]
    begun: tuple[str, ...] = ()

    @property
    def numbers(self) -> list[int]:
        """Their numbers in the outbox."""
        return [letter.id for letter in self.letters]

    def parcel(self) -> Parcel:
        """What the carrier gets."""
        first = self.letters[0]
        messages = [Message.of(letter.message) for letter in self.letters]
        name = first.bundle or first.message_id
        references = tuple(one for one in self.begun if one != name)
        return Parcel(name, first.name, first.address, first.channel, grouped(messages), references)


def send(office: Office, now: datetime) -> int:
    """Send every letter that is due; how many messages went out."""
    went = 0
    for bag in _claimed(office, now):
        try:
            office.carrier.send(bag.parcel(), now)
        except DeliveryFailed as error:
            _refused(office, bag, str(error), now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other letters go out
            _refused(office, bag, f"{type(error).__name__}: {error}", now)
        else:
            went += 1
            with office.ledger.write() as tx:
                outbox.sent(tx, bag.numbers, office.holder, now)
            first = bag.letters[0]
            office.log("told", person=first.person, channel=first.channel, kind=first.kind, letters=len(bag.letters))
    return went


def _claimed(office: Office, now: datetime) -> tuple[Bag, ...]:
    with office.ledger.read() as tx:
        if not outbox.due(tx, now, 1):
            return ()
    with office.ledger.write() as tx:
        bags = _few(_bags(outbox.due(tx, now), office.project.settings.alerts.group_from))
        wanted = [letter for bag in bags for letter in bag.letters]
        mine = set(outbox.claim(tx, wanted, office.holder, now, now + LEASE))
        bags = tuple(bag for bag in bags if mine.issuperset(bag.numbers))
        for bag in bags:
            # A letter that was tried keeps its company and its identity: its first try may have arrived all the same.
            if bag.letters[0].bundle is None:
                outbox.bind(tx, bag.numbers, bag.letters[0].message_id)
        return tuple(replace(bag, begun=_begun(tx, bag)) for bag in bags)


def _begun(tx: sa.Connection, bag: Bag) -> tuple[str, ...]:
    """What a mail continues: by it, mail programmes show all that one person hears of one incident together."""
    first = bag.letters[0]
    if first.channel != MAIL:
        return ()
    numbers = dict.fromkeys(letter.incident for letter in bag.letters if letter.incident is not None)
    told = (outbox.first_told(tx, number, first.address, first.channel) for number in list(numbers)[:MOST_THREADS])
    return tuple(dict.fromkeys(name for name in told if name))


def _few(bags: tuple[Bag, ...]) -> tuple[Bag, ...]:
    """As many as one look may send; the others wait for the next."""
    mail = [bag for bag in bags if bag.letters[0].channel == MAIL][:MOST_MAIL]
    pages = [bag for bag in bags if bag.letters[0].channel != MAIL][:MOST_PAGES]
    return (*mail, *pages)


def _bags(letters: Sequence[Letter], most: int) -> tuple[Bag, ...]:
    """Letters that went out together before stay together; so many new ones for one person become one."""
    bags: list[Bag] = []
    whole = sorted(letters, key=lambda letter: (*_addressee(letter), letter.id))
    for (_, _, bundle), some in groupby(whole, key=_addressee):
        group = tuple(some)
        together = bundle or len(group) >= most
        bags += [Bag(group)] if together else [Bag((letter,)) for letter in group]
    return tuple(sorted(bags, key=lambda bag: bag.letters[0].id))


def _addressee(letter: Letter) -> tuple[str, str, str]:
    return letter.channel, letter.address, letter.bundle or ""


def _refused(office: Office, bag: Bag, error: str, now: datetime) -> None:
    """Try again later, less and less often, but not for ever. A sign of life is not repeated: the next one comes."""
    first = bag.letters[0]
    wait = min(FIRST_WAIT * 2**first.attempts, LONGEST_WAIT)
    over = first.kind == "heartbeat" or now + wait > first.owed_at + PATIENCE
    with office.ledger.write() as tx:
        outbox.refused(tx, bag.numbers, office.holder, Refusal(error, None if over else now + wait, now))
    office.log("not told", person=first.person, channel=first.channel, kind=first.kind, error=error, given_up=over)
