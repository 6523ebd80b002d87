"""The built-in desk: a ticket system for trying out, tests, and whoever has none."""

from __future__ import annotations

import unicodedata
from typing import Protocol

import idna

from transfer.errors import InputInvalid
from transfer.ports import Tickets
from transfer.tickets import MAX_BODY, MAX_SUBJECT, Channel, Ticket
from transfer.values import Instant, Value

STAFF_AUTHOR = "customer-transfer"
"""The author of the tickets in the staff's queue: this service itself."""
MAX_FOUND = 100
"""Tickets that ``about`` and ``changed`` return at most, as the port says."""
MAX_LISTED = 200
"""Tickets that ``list_tickets`` returns at most."""
_MAX_PERSON = 200


class Reply(Value):
    """A reply on a ticket; ``key`` is what makes a repeated one the same."""

    key: str
    at: Instant
    text: str


class Desk(Tickets, Protocol):
    """The ticket system's port, and what people do at a desk. Ids are short numbers from 1001 on.

    Every verb that takes a ticket's id raises ``TicketNotFound`` where there is none.
    """

    async def file(
        self,
        account: str,
        by: str,
        subject: str,
        body: str,
        *,
        channel: Channel = Channel.PANEL,
        delegated: bool = False,
    ) -> Ticket:
        """File a ticket from ``account``, a reseller's or customer's id, by the person ``by``.

        Whether that person is an administrator of it is noted as it is on record now; a stranger
        may file, and is none.

        Raises:
            UnknownAccount: neither a reseller nor a customer.
            InputInvalid: subject or body is too long, or nobody is named.
        """
        ...

    async def edit(
        self, ticket_id: str, *, subject: str | None = None, body: str | None = None
    ) -> Ticket:
        """Change what a ticket says: a new revision.

        Raises:
            InputInvalid: subject or body is too long.
        """
        ...

    async def close(self, ticket_id: str) -> Ticket:
        """Close a ticket: a new revision, unless it is closed."""
        ...

    async def reopen(self, ticket_id: str) -> Ticket:
        """Open a closed ticket again: a new revision, unless it is open."""
        ...

    async def show(self, ticket_id: str) -> Ticket:
        """Return one ticket."""
        ...

    async def list_tickets(self, account: str | None = None) -> tuple[Ticket, ...]:
        """The newest tickets of an account, or of all; at most 200, newest first."""
        ...

    async def replies(self, ticket_id: str) -> tuple[Reply, ...]:
        """The replies on a ticket, oldest first."""
        ...


def check_texts(*, by: str | None = None, subject: str | None, body: str | None) -> None:
    """Refuse what a ticket cannot hold: what is cut off could have taken back the rest.

    Raises:
        InputInvalid: subject or body is too long, or nobody is named.
    """
    if by is not None and not 0 < len(by.strip()) <= _MAX_PERSON:
        raise InputInvalid(f"Name the person who files, in at most {_MAX_PERSON} characters.")
    for what, value, most in (("subject", subject, MAX_SUBJECT), ("body", body, MAX_BODY)):
        if value is not None and len(value) > most:
            raise InputInvalid(f"The {what} has {len(value)} characters. Keep it to {most}.")


def searchable(*texts: str) -> str:
    """The form in which texts are searched: no database folds the case of every letter."""
    return unicodedata.normalize("NFKC", "\n".join(texts)).lower()


def names_of(domain: str) -> tuple[str, ...]:
    """How people may write a domain: its A-label and its U-label, as ``searchable`` has them."""
    try:
        return tuple(dict.fromkeys((searchable(domain), searchable(idna.decode(domain)))))
    except (idna.IDNAError, UnicodeError):
        return (searchable(domain),)


def ticket_number(ticket_id: str) -> int | None:
    """The number behind an id of ours; ``None`` for what cannot be one."""
    plain = ticket_id.isascii() and ticket_id.isdigit() and ticket_id[:1] != "0"
    longest = 18  # digits that fit into 63 bits
    return int(ticket_id) if plain and len(ticket_id) <= longest else None
