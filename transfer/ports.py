"""What this service needs of its neighbours, in its own words. Adapters fulfil it.

All instants are timezone-aware UTC. Every method may raise ``Unreachable`` when its neighbour is
away; the caller tries again. No method blocks longer than its adapter's timeout.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from transfer.case import Case, Publication
from transfer.figures import Reading
from transfer.measures import Measure
from transfer.messages import (
    BillingOrder,
    Changed,
    Delivery,
    EscalationUpdate,
    EvidenceRow,
    Mail,
    ParkedTicket,
    WebhookAnswer,
)
from transfer.overview import Digest, Need, Needing
from transfer.parties import (
    Assignment,
    CustomerRecord,
    Facts,
    Party,
    Person,
    ResellerRecord,
)
from transfer.tickets import Ticket


class Accounts(Protocol):
    """Resellers, customers, who administers them, and who is billed for whom."""

    async def facts(self, domain: str, new_reseller: str) -> Facts:
        """Read what is on record about moving the customer of ``domain`` to ``new_reseller``.

        ``domain`` is looked up normalised, and as it is where it does not normalise;
        ``new_reseller`` is an id, a name or an alias. What is not found is ``None`` in the answer.
        """
        ...

    async def owner(self, domain: str) -> CustomerRecord | None:
        """The customer who has this domain, looked up as ``facts`` does."""
        ...

    async def holder(self, account: str) -> CustomerRecord | ResellerRecord | None:
        """The customer or reseller who has this account, by its id."""
        ...

    async def administrators(self, accounts: Collection[str]) -> dict[str, tuple[Person, ...]]:
        """The administrators on record of each reseller's or customer's id; none of an unknown."""
        ...

    async def record_paid(self, reseller: str, invoices: Sequence[str], at: datetime) -> None:
        """Record that these invoices of a reseller are paid. Recorded again, nothing changes."""
        ...

    async def paid(self, reseller: str, invoices: Sequence[str]) -> tuple[str, ...]:
        """Which of these invoices of a reseller are recorded as paid. Ids are compared folded."""
        ...

    async def move_billing(self, order: BillingOrder) -> Assignment:
        """Move billing in one transaction, read it back, and return the new assignment.

        Compare-and-set on the current reseller, with ``order.key`` as idempotency key: moved by
        this very order before is success. The old assignment ends at ``order.at``, the new one
        begins there; the account is re-parented in place; the old reseller's panel access ends;
        the lock begins.

        Raises:
            BillingConflict: another reseller is on record, or the read-back differs.
        """
        ...

    async def assignments(self, customer: str) -> tuple[Assignment, ...]:
        """All billing assignments of a customer id, oldest first."""
        ...


class Tickets(Protocol):
    """The ticket system."""

    async def read(self, ids: Sequence[str]) -> dict[str, Ticket]:
        """Read tickets by id. Those that do not exist (yet) are missing in the answer."""
        ...

    async def about(
        self, domain: str, accounts: Sequence[str], since: datetime
    ) -> tuple[Ticket, ...]:
        """The tickets of these accounts, filed since then, that name ``domain``, newest first.

        At most 100, open or closed. ``domain`` is an A-label; its U-label counts too.
        """
        ...

    async def changed(self, since: datetime, after: str = "") -> tuple[Changed, ...]:
        """The tickets that changed in any way since then, in the order of their ids.

        At most 100, beginning behind the id ``after``; an empty answer means that this was all.
        One that changes while somebody pages through them is found by whoever asks again since
        the instant of the first page.
        """
        ...

    async def reply(self, ticket_id: str, key: str, text: str) -> None:
        """Reply on a ticket; the same ``key`` twice is one reply.

        Raises:
            TicketNotFound: there is no such ticket.
        """
        ...


class Ledger(Protocol):
    """Our own record: evidence, the outbox of notices, and which ticket served which slot.

    One database transaction a call.
    """

    async def publish(
        self,
        evidence: Sequence[EvidenceRow],
        mails: Sequence[Delivery],
        told: Publication | None = None,
    ) -> None:
        """Record evidence and put notices into the outbox. The same rows again change nothing.

        A transfer that was OPENED picks up the tickets parked for it: its survey has read them.
        The case that was ``told`` of is what its parties can track from now on; an older one that
        comes late is not.
        """
        ...

    async def uses(self, ticket_ids: Sequence[str]) -> dict[str, str]:
        """Which of these tickets served a slot before: ticket id to the key of that transfer."""
        ...

    async def keys(self, transfer_id: str) -> tuple[str, ...]:
        """The keys of all transfers that had this workflow id, oldest first."""
        ...

    async def evidence(self, key: str) -> tuple[EvidenceRow, ...]:
        """All evidence of one transfer key, in order."""
        ...

    async def due(self, now: datetime, limit: int) -> tuple[Delivery, ...]:
        """Lease at most ``limit`` deliveries that are due, for a minute, oldest first.

        Two callers never lease the same one at the same time.
        """
        ...

    async def delivered(self, delivery_ids: Sequence[str], at: datetime) -> None:
        """Note that deliveries arrived."""
        ...

    async def failed(self, delivery_id: str, error: str, retry_at: datetime | None) -> None:
        """Note that a delivery failed, and when to try again; ``None`` gives it up."""
        ...

    async def deliveries(self, key: str) -> tuple[Delivery, ...]:
        """All deliveries of one transfer key, oldest first."""
        ...


class Arrivals(Protocol):
    """What came in from outside: answered webhooks, and tickets that wait for their transfer.

    One database transaction a call.
    """

    async def answered(self, webhook_id: str) -> WebhookAnswer | None:
        """The answer that this webhook was given before."""
        ...

    async def answer(self, answer: WebhookAnswer) -> WebhookAnswer:
        """Keep the answer to a webhook, and return the one that counts: the first."""
        ...

    async def heard_of(self, ticket_ids: Sequence[str]) -> dict[str, datetime]:
        """As of when these tickets are known: id to the newest ``updated_at`` that was received.

        Those that were never received are missing in the answer.
        """
        ...

    async def read_up_to(self) -> datetime | None:
        """Up to when changed tickets were reconciled; ``None`` before the first time."""
        ...

    async def reconciled(self, up_to: datetime) -> None:
        """Note up to when; never back."""
        ...

    async def park(self, ticket: ParkedTicket, reply: Delivery | None = None) -> None:
        """Let a ticket wait; parked again, it waits with what is said of it now.

        ``reply`` goes into the outbox with it; the same one again is one reply.
        """
        ...

    async def picked_up(self, ticket_id: str, at: datetime) -> None:
        """Note that a parked ticket waits no more."""
        ...

    async def parked(self) -> tuple[ParkedTicket, ...]:
        """The tickets that wait, the newest first, at most 500."""
        ...

    async def forget(self, before: datetime) -> None:
        """Drop what is older: answers, and parked tickets, which are too old to count by then."""
        ...


class Tracked(NamedTuple):
    """What is known for a link: the case as it was last told of, when, and which links count.

    ``case`` is ``None`` where nothing was told of it, or that is long ago.
    """

    case: Case | None
    at: datetime | None
    revoked_before: datetime | None


class Tracking(Protocol):
    """What the tracking page reads. The ledger keeps it up to date.

    One database transaction a call.
    """

    async def tracked(self, key: str, party: Party) -> Tracked:
        """A transfer, by its key, and before when links of this party are revoked."""
        ...

    async def revoke(self, keys: Sequence[str], parties: Sequence[Party], before: datetime) -> None:
        """Let no link count any more that was made before then; never back."""
        ...

    async def forget(self, before: datetime) -> None:
        """Drop what has not changed since then."""
        ...


class Intake(Protocol):
    """Where tickets come in that were read back, by whatever way somebody heard of them."""

    async def catch_up(self, ticket: Ticket, *, new_since: datetime) -> bool:
        """Deliver a ticket, unless it was received before as it is now; tell whether it was news.

        One that nobody heard of before and that was filed after ``new_since`` is a new one, and
        may open a transfer. What was done so far is not done twice.
        """
        ...


class Mailer(Protocol):
    """The way out for mails."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the mail server.

        Raises:
            Unreachable: try again later (connection refused, 4xx).
            MailRefused: the server will never take this mail (5xx).
        """
        ...

    async def rest(self) -> None:
        """Let go of what was kept for the next mail: there is none for now."""
        ...


class Channels(Protocol):
    """Staff's other channels: a chat, a pager."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all that there are."""
        ...

    async def tell(self, channel: str, text: str) -> None:
        """Say something on the channel of this name; the first line is its title.

        Raises:
            Unreachable: it is away, or did not take it; it may have been said all the same.
        """
        ...


class Overview(Protocol):
    """All open transfers, as a list that follows them within moments."""

    async def open_transfers(self, need: Need, *, due_before: datetime, limit: int) -> Needing:
        """Those that have this need, at most ``limit``; what is due is so before ``due_before``."""
        ...


class Meter(Protocol):
    """Where measures go. It never fails, and never waits."""

    def record(self, measures: Iterable[Measure]) -> None:
        """Record measures."""
        ...


class Figures(Protocol):
    """How many transfers, notices and tickets are where. One database transaction a call."""

    async def read(self, now: datetime) -> Reading:
        """The figures as of ``now``: what was told of last, not what a workflow is about to tell.

        It reads all cases that are kept: for 10,000 of them, some tenths of a second.
        """
        ...


class StaffQueue(Protocol):
    """Where escalations wait for a person."""

    async def update(self, escalation: EscalationUpdate) -> str:
        """Open the escalation or bring it up to date, by its key; return its reference."""
        ...


class DigestComposer(Protocol):
    """Writes a day's digest. Pure: the same day gives the same ids."""

    def __call__(self, digest: Digest) -> tuple[Delivery, ...]:
        """A mail for each of staff; none where nothing needs anybody."""
        ...


class Composer(Protocol):
    """Writes the notices of what happened. Pure: the same publication gives the same notices."""

    def __call__(
        self, publication: Publication, administrators: Mapping[Party, Sequence[Person]]
    ) -> tuple[Delivery, ...]:
        """One delivery for each reader and way, ready to send."""
        ...
