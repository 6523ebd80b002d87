"""The three parties, their slots, and what the account store has on record about them."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from enum import StrEnum

from transfer.values import Instant, Line, Name, Value


class Party(StrEnum):
    """Who has a say in a transfer."""

    OLD = "old_reseller"
    CUSTOMER = "customer"
    NEW = "new_reseller"


class Slot(StrEnum):
    """One of the three authorizations. Each belongs to one party."""

    RELEASE = "release"
    AUTHORIZE = "authorize"
    ACCEPT = "accept"

    @property
    def party(self) -> Party:
        """The party whose ticket fills this slot."""
        return _PARTY_OF[self]


_PARTY_OF = {
    Slot.RELEASE: Party.OLD,
    Slot.AUTHORIZE: Party.CUSTOMER,
    Slot.ACCEPT: Party.NEW,
}


class Person(Value):
    """Somebody who acts for an account."""

    id: Name
    name: Line = ""
    email: Line = ""


class Charges(Value):
    """What a reseller is billed for a customer, a month."""

    plan: str
    price: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.plan}, {self.price} {self.currency} a month"


class Account(Value):
    """A party as a transfer knows it: pinned when the transfer is opened."""

    id: str
    name: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it is known by."""
        return tuple(name for name in (self.id, self.name, *self.aliases) if name)

    def goes_by(self, name: str) -> bool:
        """Tell whether ``name`` is this account's id, name or one of its aliases."""
        return fold(name) in {fold(known) for known in self.names}

    def __str__(self) -> str:
        return self.name or self.id


class ResellerRecord(Value):
    """A reseller as the account store has it today."""

    id: Name
    name: Name
    aliases: tuple[str, ...] = ()
    suspended: bool = False
    billing_account: str = ""
    administrators: tuple[Person, ...] = ()

    @property
    def account(self) -> Account:
        """What a transfer pins of it."""
        return Account(id=self.id, name=self.name, aliases=self.aliases)


class CustomerRecord(Value):
    """A customer as the account store has it today. ``domains`` are A-labels, the primary first."""

    id: Name
    name: Name
    domains: tuple[str, ...]
    reseller: str
    charges: Charges
    billed_from: Instant
    suspended: bool = False
    terminating: bool = False
    legal_hold: bool = False
    locked_until: Instant | None = None
    administrators: tuple[Person, ...] = ()

    @property
    def account(self) -> Account:
        """What a transfer pins of it: a customer goes by its domains too."""
        return Account(id=self.id, name=self.name, aliases=self.domains)


class Facts(Value):
    """Everything the account store has on record about a requested transfer, read at one time.

    ``old`` is the reseller of record, not the one somebody claimed.
    """

    customer: CustomerRecord | None = None
    old: ResellerRecord | None = None
    new: ResellerRecord | None = None
    open_transfer: str | None = None


class Assignment(Value):
    """One billing assignment: ``reseller`` is billed from ``starts_at`` until before ``ends_at``.

    ``transfer`` is the key of the transfer that began it; ``None`` where the account was loaded.
    """

    reseller: str
    charges: Charges
    starts_at: Instant
    ends_at: Instant | None = None
    transfer: str | None = None


def fold(name: str) -> str:
    """Return the form in which names are compared: case, width, spacing, end dots do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split()).strip(" .,;:!\"'")
