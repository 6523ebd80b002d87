"""Where a ticket goes that the ticket system announces: pure, over what is on record.

The announced content is used to find the transfer, and for nothing else. The transfer is told the
ticket's id alone, reads the ticket back, and judges what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from transfer import domains, reading
from transfer.errors import DomainInvalid
from transfer.judging import FIX
from transfer.messages import TicketReading, TransferRequest
from transfer.opening import transfer_id
from transfer.parties import CustomerRecord, ResellerRecord, Slot
from transfer.policy import Policy
from transfer.tickets import Channel, Claim, Intent, Ticket
from transfer.values import Value

MAX_NAMED = 10
"""Domains of one text that are looked up."""
_MAX_WORDS = 500
"""Words of one text that are taken for domains and tried."""

_BETWEEN = re.compile(r"[\s\"'`“”„‘’‚«»<>()\[\]{},;:!?|\\]+")
_DOTS = frozenset(".\u3002\uff0e\uff61")
"""What IDNA takes for a dot."""


class Otherwise(StrEnum):
    """What becomes of a ticket whose transfer is not open."""

    OPEN = "open"
    PARK = "park"
    IGNORE = "ignore"


class Heard(Value):
    """What was announced: a ticket as its sender described it, and whether it is a new one."""

    ticket: Ticket
    created: bool


class Known(Value):
    """What is on record about an announced ticket.

    ``holder`` has the ticket's account. ``named`` are the customers whose domains the text names.
    ``served`` is the transfer in which this ticket said a valid yes or no before.
    """

    holder: CustomerRecord | ResellerRecord | None = None
    named: tuple[CustomerRecord, ...] = ()
    served: str | None = None


class Route(Value):
    """Ring ``what`` at ``transfer_id``; where no such transfer is open, do ``otherwise``.

    ``why`` is the code of that. ``request`` is there where a transfer may be opened.
    """

    transfer_id: str | None = None
    what: Intent = Intent.ACCEPT
    otherwise: Otherwise = Otherwise.IGNORE
    why: str
    request: TransferRequest | None = None


def domains_named(ticket: Ticket) -> tuple[str, ...]:
    """The domains that a text may mean, as A-labels: at most ten, in the order of the text.

    A sentence of the procedure names one. Elsewhere whatever has the form of a domain is one, in
    any spelling, with ``www.`` and as a web address too; mail addresses are not.
    """
    claim = reading.read(ticket)
    if claim is not None:
        return (claim.domain,)
    found: dict[str, None] = {}
    words = (w for w in _BETWEEN.split(f"{ticket.subject} {ticket.body}") if _DOTS & set(w))
    for _, word in zip(range(_MAX_WORDS), words, strict=False):
        found |= dict.fromkeys(_as_domain(word))
        if len(found) >= MAX_NAMED:
            break
    return tuple(found)[:MAX_NAMED]


def route(heard: Heard, known: Known, policy: Policy) -> Route:
    """Say where an announced ticket goes.

    A customer's ticket goes to the customer's transfer; a reseller's to that of the one customer
    whose domain it names. What speaks of no transfer goes nowhere.
    """
    ticket, holder = heard.ticket, known.holder
    if holder is None:
        return Route(why="UNKNOWN_ACCOUNT")
    claim = reading.read(ticket, _names(holder, known.named))
    if known.served is not None:
        # Changed or closed, it may not say any more what it said: its transfer looks again.
        what = claim.intent if claim else Intent.ACCEPT
        return Route(transfer_id=known.served, what=what, why="SERVED_BEFORE")
    if claim is None and not reading.may_be_about_transfers(ticket):
        return Route(why="NOT_ABOUT_A_TRANSFER")
    customer = holder if isinstance(holder, CustomerRecord) else None
    if customer is None:
        if len(known.named) > 1:
            return Route(otherwise=Otherwise.PARK, why="SEVERAL_CUSTOMERS")
        if not known.named:
            unknown = Otherwise.PARK if claim else Otherwise.IGNORE
            return Route(otherwise=unknown, why="UNKNOWN_DOMAIN")
        customer = known.named[0]
    slot = _slot(holder, customer)
    there = Route(
        transfer_id=transfer_id(customer.domains[0]),
        what=claim.intent if claim else Intent(slot.value),
        why="",
    )
    if claim is None:
        is_named = customer in known.named
        vague = Otherwise.PARK if is_named else Otherwise.IGNORE
        return there.model_copy(update={"otherwise": vague, "why": "TEXT_AMBIGUOUS"})
    code = _why_not_open(heard, claim, slot, customer, policy)
    if code is not None or claim.new is None:
        return there.model_copy(update={"otherwise": Otherwise.PARK, "why": code or "NO_RESELLER"})
    request = TransferRequest(
        domain=customer.domains[0],
        new_reseller=claim.new,
        old_reseller=claim.old,
        requested_by=f"ticket {ticket.id}",
        policy=policy,
    )
    return there.model_copy(
        update={"otherwise": Otherwise.OPEN, "why": "OPENS", "request": request}
    )


def may_not_open(read_back: TicketReading, policy: Policy, now: datetime) -> str | None:
    """Why a ticket, read back, opens no transfer: a code; ``None`` where it may.

    A transfer that opens writes to three parties, so only who may speak can have it do so.
    """
    ticket = read_back.ticket
    if ticket is None:
        return "TICKET_UNKNOWN"
    if ticket.channel is Channel.MAIL:
        return "WRONG_CHANNEL"
    if not (ticket.administrator and read_back.on_record):
        return "NOT_ADMIN"
    if ticket.delegated:
        return "DELEGATED_SESSION"
    is_old = policy.after(ticket.updated_at, policy.ticket_freshness) < now
    if is_old or not ticket.open:
        return "STALE_TICKET"
    return "TICKET_REUSED" if read_back.used_by else None


def told_parked(heard: Heard, why: str) -> str | None:
    """What the filer of a parked ticket is told, as a reply on it; ``None`` where that is unsafe.

    Nobody answers a mail, whose author is not known, nor an old ticket that comes up again. The
    answer is the same whether a domain is unknown or its transfer has not begun: a reseller must
    not find out by it whose customer somebody is.
    """
    ticket = heard.ticket
    by_mail = ticket.channel is Channel.MAIL or why == "WRONG_CHANNEL"
    if by_mail or not heard.created or not ticket.open:
        return None
    if why in ("WAITS_FOR_TRANSFER", "UNKNOWN_DOMAIN"):
        claim = reading.read(ticket)
        return _WAITS.format(domain=claim.domain if claim else "this customer")
    fix = FIX[why].format(account=ticket.account) if why in _HAS_A_FIX else _STAFF_LOOK
    return f"Your ticket {ticket.id} about a transfer starts nothing yet. {fix}"


_WAITS = (
    "No transfer of {domain} is open yet. Your ticket waits for it, and counts as soon as it"
    " begins: you need not file it again. If the name is misspelt, please file a new ticket."
)
_HAS_A_FIX = ("NOT_ADMIN", "DELEGATED_SESSION", "STALE_TICKET")
_STAFF_LOOK = "Support staff will look at it."


def _slot(holder: CustomerRecord | ResellerRecord, customer: CustomerRecord) -> Slot:
    """Whose slot an account can fill: who is neither customer nor current reseller, is new."""
    if isinstance(holder, CustomerRecord):
        return Slot.AUTHORIZE
    return Slot.RELEASE if holder.id == customer.reseller else Slot.ACCEPT


def _why_not_open(
    heard: Heard, claim: Claim, slot: Slot, customer: CustomerRecord, policy: Policy
) -> str | None:
    if claim.domain not in customer.domains:
        return "DOMAIN_MISMATCH"
    if slot is Slot.ACCEPT or claim.intent.slot is None:
        return "WAITS_FOR_TRANSFER"
    if claim.intent.slot is not slot:
        return "WRONG_ACCOUNT"
    if not policy.ticket_opens_transfer:
        return "WAITS_FOR_TRANSFER"
    # Replies, ours among them, announce old tickets again: they open nothing by themselves.
    return None if heard.created else "NOT_A_NEW_TICKET"


def _names(
    holder: CustomerRecord | ResellerRecord, named: Iterable[CustomerRecord]
) -> tuple[str, ...]:
    """Names with which the text can be read better: a reseller's may contain " to "."""
    own = holder.account.names if isinstance(holder, ResellerRecord) else (holder.reseller,)
    return (*own, *(customer.reseller for customer in named))


def _as_domain(word: str) -> tuple[str, ...]:
    """A word as a domain, and without its ``www.``; nothing where it is none."""
    if "@" in word:
        return ()
    host = word.lstrip("/").split("/", 1)[0].strip(".*_-")
    try:
        a_label = domains.to_a_label(host)
    except DomainInvalid:
        return ()
    bare = a_label.removeprefix("www.")
    return (a_label,) if bare == a_label or "." not in bare else (bare, a_label)
