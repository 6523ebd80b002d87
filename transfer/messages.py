"""What crosses a boundary: one message in, one out; frozen and bounded.

Staff's updates, the start, the doorbells and the activities' messages. Instants are UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from transfer.parties import Charges, Facts, Slot
from transfer.policy import Policy
from transfer.tickets import Intent, Ticket
from transfer.values import Instant, Name, Text, Value

TicketId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.:#/-]+$")]
"""A ticket's id: one short word."""


# -- what starts and rings ---------------------------------------------------------------------
class TransferRequest(Value):
    """The start: move the customer of ``domain`` to ``new_reseller``.

    ``old_reseller`` is a claim: it is checked against the reseller of record, never trusted.
    """

    domain: Annotated[str, Field(min_length=1, max_length=1000)]
    new_reseller: Name
    old_reseller: str | None = Field(default=None, max_length=200)
    requested_by: Name = "operator"
    policy: Policy = Policy()


class Doorbell(Value):
    """A signal's one argument."""

    ticket_id: TicketId


class Submission(Value):
    """The ``submit`` update: a doorbell that waits for the answer."""

    what: Intent
    ticket_id: TicketId


class SubmissionAnswer(Value):
    """What became of a submission: the slot as it is now, and the code and fix of a rejection."""

    accepted: bool
    slot: Slot | None = None
    state: str = ""
    code: str | None = None
    fix: str | None = None


# -- staff's levers ----------------------------------------------------------------------------
class StaffAction(Value):
    """Each lever needs who and why; both become evidence."""

    staff: Name
    reason: Annotated[Text, Field(min_length=1)]


class Which(StrEnum):
    """Whose deadline is extended."""

    TRANSFER = "transfer"
    RELEASE = "release"
    AUTHORIZE = "authorize"
    ACCEPT = "accept"


class ExtendDeadline(StaffAction):
    """Move a deadline later."""

    until: Instant
    which: Which = Which.TRANSFER


class StopCode(StrEnum):
    """Why staff must stop a transfer, or put it on hold."""

    CUSTOMER_OBJECTS = "CUSTOMER_OBJECTS"
    LEGAL_HOLD = "LEGAL_HOLD"
    FRAUD_SUSPECTED = "FRAUD_SUSPECTED"
    OWNERSHIP_DISPUTED = "OWNERSHIP_DISPUTED"
    NEW_SUSPENDED = "NEW_SUSPENDED"
    OTHER = "OTHER"


class Hold(StaffAction):
    """Stop every clock until resumed."""

    code: StopCode = StopCode.OTHER


class Cancel(StaffAction):
    """End the transfer."""

    code: StopCode = StopCode.OTHER


class Resume(StaffAction):
    """Go on after a hold; every clock moves by the time held."""


class TakeCase(StaffAction):
    """Become the mediator: ``staff`` owns the escalation."""


class AdmitTicket(StaffAction):
    """Decide what an ambiguous ticket says. All other rules still hold."""

    ticket_id: TicketId
    what: Intent


class RejectTicket(StaffAction):
    """Decide that an ambiguous ticket says nothing that counts."""

    ticket_id: TicketId


class ReleaseOnBehalf(StaffAction):
    """Propose, or as a second person confirm, a release in the old reseller's place."""


class RetryCommit(StaffAction):
    """Try a stuck commit again, now."""


# -- the activities' messages ------------------------------------------------------------------
class TicketReading(Value):
    """A ticket read back, with what our own records say about it.

    ``ticket`` is ``None`` where the ticket system has none by this id. ``on_record`` tells that its
    author is an administrator of its account in the account store, too. ``used_by`` is the key of
    the transfer it served before.
    """

    ticket_id: str
    ticket: Ticket | None = None
    on_record: bool = False
    used_by: str | None = None


class Owed(Value):
    """Invoices that a reseller has named as unpaid, and the ticket in which it did."""

    ticket_id: str = ""
    reseller: str
    invoices: tuple[str, ...] = Field(min_length=1, max_length=100)


class TicketsWanted(Value):
    """Which tickets to read back, at most 100; and which invoices may have been paid since."""

    ticket_ids: tuple[str, ...] = Field(max_length=100)
    owed: Owed | None = None


class TicketsRead(Value):
    """The tickets read back, in the order they were asked for; the invoices that are paid."""

    readings: tuple[TicketReading, ...]
    paid: tuple[str, ...] = ()


class SurveyWanted(Value):
    """What to look at: everything that bears on moving ``domain`` to ``new_reseller``.

    ``since`` bounds the age of tickets looked for; ``ticket_ids`` are read by id as well.
    """

    domain: str
    new_reseller: str
    since: Instant
    ticket_ids: tuple[str, ...] = Field(default=(), max_length=100)


class Survey(Value):
    """The account store's facts, and every ticket that bears on this transfer."""

    facts: Facts
    readings: tuple[TicketReading, ...] = ()


class EvidenceRow(Value):
    """One thing that happened: who, when (UTC), a code, and the ticket that proves it.

    ``mark`` tells it from another one of the same number: see ``Evidence.mark``.
    """

    key: str
    transfer_id: str
    seq: int
    at: Instant
    who: str
    code: str
    detail: str = ""
    ticket_id: str | None = None
    slot: Slot | None = None
    mark: str = ""


class Mail(Value):
    """A mail, ready to send. ``message_id`` is stable: a retry is not a second mail."""

    message_id: str
    to: str
    subject: str
    text: str
    html: str


class DeliveryState(StrEnum):
    """Where a delivery is: waiting or being retried, arrived, or given up."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"


CHANNEL = "channel "
"""Begins the reader of what is told on one of staff's channels; its name follows."""


class Delivery(Value):
    """One notice on its way: a mail, a reply on ``ticket_id``, or the text ``reply`` on a channel.

    It is for a channel if it is neither of the others; ``reader`` names it then. ``trace`` is the
    ``traceparent`` of what it tells of, where that is traced.
    """

    id: str
    key: str
    event: str
    reader: str
    mail: Mail | None = None
    ticket_id: str | None = None
    reply: str = ""
    created_at: Instant
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    last_error: str = ""
    next_try_at: Instant | None = None
    sent_at: Instant | None = None
    trace: str | None = None

    @property
    def channel(self) -> str:
        """The name of the channel that it is for; empty for mails and replies."""
        is_alert = self.mail is None and self.ticket_id is None
        return self.reader.removeprefix(CHANNEL) if is_alert else ""


class BillingOrder(Value):
    """Move a customer's billing from ``old`` to ``new`` at ``at``, once for each ``key``."""

    key: str
    customer: str
    old: str
    new: str
    charges: Charges
    at: Instant
    lock_until: Instant


class EscalationState(StrEnum):
    """Where an escalation is."""

    OPEN = "OPEN"
    TAKEN = "TAKEN"
    CLOSED = "CLOSED"


class EscalationUpdate(Value):
    """The escalation of one transfer as staff must see it now."""

    key: str
    transfer_id: str
    state: EscalationState
    level: int = Field(ge=1, le=2)
    why: str
    detail: str
    owner: str = ""
    opened_at: Instant
    touch_by: datetime | None = None
    at: Instant


class Changed(Value):
    """A ticket that changed, and when: by whomever, in whatever way."""

    ticket_id: str
    at: Instant


class Reconciliation(Value):
    """How far a reconciliation has come; it goes on from there.

    Tickets that changed since ``since`` are looked for, page by page, behind the id ``after``.
    ``began`` is when that began: the next one looks from there on. ``found`` tickets changed,
    ``delivered`` of them nobody had announced as they are now, ``failed`` could not be delivered.
    """

    since: datetime | None = None
    began: datetime | None = None
    after: str = ""
    found: int = 0
    delivered: int = 0
    failed: int = 0
    done: bool = False


# -- what comes in from outside ----------------------------------------------------------------
class Reception(StrEnum):
    """What became of a webhook: a transfer was told, or opened; the ticket waits; or neither."""

    SIGNALLED = "signalled"
    OPENED = "opened"
    PARKED = "parked"
    IGNORED = "ignored"


class WebhookAnswer(Value):
    """The one answer to all deliveries of a webhook, kept by its id."""

    webhook_id: Name
    ticket_id: str
    outcome: Reception
    transfer_id: str | None = None
    received_at: Instant
    ticket_updated_at: datetime | None = None
    """As of when the ticket was received; ``None`` in answers of earlier versions."""


class ParkedTicket(Value):
    """A ticket that waits for its transfer to begin, or for staff to see why it cannot.

    ``transfer_id`` is the transfer it would belong to, ``None`` where its text leaves that open.
    ``why`` is a code.
    """

    ticket_id: str
    account: str
    transfer_id: str | None = None
    why: str
    subject: str = ""
    url: str = ""
    parked_at: Instant
    picked_up_at: datetime | None = None
