"""Tickets: what a party files, and the texts of the procedure. ``reading`` tells what one says."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from transfer.parties import Account, Person, Slot
from transfer.values import Instant, Name, Value

MAX_SUBJECT = 300
MAX_BODY = 20_000
"""Characters of a ticket's body that are read; an adapter cuts the rest off."""


class Channel(StrEnum):
    """How a ticket was filed. Only the panel knows who its author is; mail can be forged."""

    PANEL = "panel"
    MAIL = "mail"


class Ticket(Value):
    """A ticket as the ticket system has it now.

    ``updated_at`` and ``revision`` change when its filer changes it, not when somebody replies.
    """

    id: Name
    account: str
    author: Person
    administrator: bool = False
    delegated: bool = False
    channel: Channel = Channel.PANEL
    subject: Annotated[str, StringConstraints(max_length=MAX_SUBJECT)] = ""
    body: Annotated[str, StringConstraints(max_length=MAX_BODY)] = ""
    open: bool = True
    created_at: Instant
    updated_at: Instant
    revision: int = 1
    url: Annotated[str, StringConstraints(max_length=1000)] = ""


class Intent(StrEnum):
    """What a ticket asks for, and what a doorbell says it would."""

    RELEASE = "release"
    AUTHORIZE = "authorize"
    ACCEPT = "accept"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"

    @property
    def slot(self) -> Slot | None:
        """The slot this intent fills; none for the two kinds of no."""
        return None if self in (Intent.REFUSE, Intent.WITHDRAW) else Slot(self.value)


class Reason(StrEnum):
    """Why an old reseller refuses. The first two may stop for a while, the rest only escalate."""

    PAST_DUE_BALANCE = "PAST_DUE_BALANCE"
    CONTRACT_TERM_ACTIVE = "CONTRACT_TERM_ACTIVE"
    NO_RESPONSE = "NO_RESPONSE"
    COMMERCIAL_OBJECTION = "COMMERCIAL_OBJECTION"
    UNRELATED_DEBT = "UNRELATED_DEBT"
    OTHER = "OTHER"


class Refusal(Value):
    """A refusal's reason and what it takes to clear it."""

    reason: Reason = Reason.OTHER
    amount: Decimal | None = None
    currency: str = ""
    invoices: tuple[str, ...] = ()
    ends_on: str = ""
    text: str = ""

    def __str__(self) -> str:
        parts = [self.reason.value]
        if self.amount is not None:
            parts.append(f"{self.amount} {self.currency}".strip())
        if self.invoices:
            parts.append("invoices " + ", ".join(self.invoices))
        if self.ends_on:
            parts.append(f"until {self.ends_on}")
        return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]


class Claim(Value):
    """What a ticket's text says: an intent, and the names it gives (``None``: it leaves it out)."""

    intent: Intent
    domain: str
    old: str | None = None
    new: str | None = None
    refusal: Refusal | None = None


def text_to_file(intent: Intent, domain: str, old: Account, new: Account) -> tuple[str, str]:
    """Return subject and body of the ticket that a party has to file, filled in."""
    end = "\nThank you"
    return {
        Intent.RELEASE: (
            "Transfer Customer",
            f"I would like to request that {domain} is to be transferred to {new}.{end}",
        ),
        Intent.AUTHORIZE: (
            "Authorize transfer of account",
            f"We, {domain}, authorize the transfer of our account from {old} to {new}.{end}",
        ),
        Intent.ACCEPT: (
            "Authorize Customer Transfer",
            f"We, {new}, authorize {domain} to be transferred from {old} to our account.{end}",
        ),
        Intent.REFUSE: (
            "Refuse Customer Transfer",
            f"We refuse the transfer of {domain} from {old} to {new}.",
        ),
        Intent.WITHDRAW: (
            "Withdraw Customer Transfer",
            f"We withdraw our authorization to transfer {domain} from {old} to {new}.",
        ),
    }[intent]
