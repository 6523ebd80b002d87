"""What crosses the wire: the webhook and its answers. Unknown fields are rejected; all is bounded.

Instants are RFC 3339 with a zone. What is longer than a ticket's text may be is cut off, as every
adapter of a ticket system does; the transfer reads the ticket back anyway.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from transfer.messages import Reception, TicketId
from transfer.parties import Person
from transfer.routing import Heard
from transfer.tickets import MAX_BODY, MAX_SUBJECT, Ticket
from transfer.values import Instant

_AUTHOR = {
    "id": "carl",
    "name": "Carl Customer",
    "email": "carl@example.com",
    "administrator": True,
    "delegated": False,
}
_TICKET = {
    "id": "1002",
    "account": "C-1001",
    "author": _AUTHOR,
    "subject": "Authorize transfer of account",
    "body": "We, example.com, authorize the transfer of our account from Acme Hosting to Globex.",
    "status": "open",
    "created_at": "2026-11-23T09:30:00Z",
    "updated_at": "2026-11-23T09:30:00Z",
    "url": "https://panel.example/tickets/1002",
}
EXAMPLE: dict[str, Any] = {"event": "ticket.created", "ticket": _TICKET}

Short = Annotated[str, Field(max_length=200)]
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
CLOSED = frozenset({"closed", "resolved", "rejected", "deleted", "cancelled", "duplicate"})
"""Statuses in which a ticket is not open; every other one is."""


class Strict(BaseModel):
    """A part of the webhook: nothing in it is left unread."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Event(StrEnum):
    """What happened to the ticket."""

    CREATED = "ticket.created"
    UPDATED = "ticket.updated"


class Author(Strict):
    """Who filed the ticket, and in which session."""

    id: Id
    name: Short = ""
    email: Annotated[str, Field(max_length=320)] = ""
    administrator: bool = Field(strict=True, description="Of the ticket's account.")
    delegated: bool = Field(strict=True, description="In somebody else's session.")


class AnnouncedTicket(Strict):
    """The ticket as the ticket system has it now."""

    id: TicketId
    account: Id = Field(description="A reseller's or a customer's id.")
    author: Author
    subject: Annotated[str, Field(max_length=10_000)]
    body: Annotated[str, Field(max_length=200_000)]
    status: Short
    created_at: Instant
    updated_at: Instant
    url: Annotated[str, Field(max_length=1000)] = ""


class Webhook(Strict):
    """A ticket was filed or changed."""

    event: Event
    ticket: AnnouncedTicket

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"examples": [EXAMPLE]},
    )

    def heard(self) -> Heard:
        """The announcement in our own words, with its texts cut to what is read."""
        said = self.ticket
        author = said.author
        return Heard(
            created=self.event is Event.CREATED,
            ticket=Ticket(
                id=said.id,
                account=said.account,
                author=Person(id=author.id, name=author.name, email=author.email),
                administrator=author.administrator,
                delegated=author.delegated,
                subject=said.subject[:MAX_SUBJECT],
                body=said.body[:MAX_BODY],
                open=said.status.strip().casefold() not in CLOSED,
                created_at=said.created_at,
                updated_at=said.updated_at,
                url=said.url,
            ),
        )


class Answer(BaseModel):
    """What became of the ticket. It is durable."""

    outcome: Reception
    transfer_id: str | None = Field(description="The transfer it is about, where that is known.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "signalled", "transfer_id": "transfer-example.com"}]
        }
    )


class Problem(BaseModel):
    """Why a request was not taken, and what to do."""

    error: str = Field(description="A code.")
    fix: str


class FieldError(BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = Field(description="The way to the field.")
    msg: str
    type: str


class Invalid(BaseModel):
    """The body is signed, but is not what this page describes."""

    error: str = "INVALID"
    detail: list[FieldError]


class Health(BaseModel):
    """Whether what the gateway needs answers: ``ok``, or what is wrong."""

    temporal: str
    database: str
