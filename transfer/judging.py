"""Judging: whether a ticket counts, and why not.

A ticket is judged by itself and by our own records, never by the doorbell that announced it.
Rules run from "who may speak" over "what is said" to "is it the newest word". Nothing is changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from transfer.case import Authorization, Case, SlotState
from transfer.messages import TicketReading
from transfer.parties import Slot, fold
from transfer.reading import may_be_about_transfers, read
from transfer.tickets import Channel, Claim, Intent, Ticket

FIX = {
    "WRONG_ACCOUNT": "File it from the account whose consent it is: {owner}.",
    "NOT_ADMIN": "Have an administrator of {account} file it.",
    "DELEGATED_SESSION": "Log in as yourself, not through somebody else's session, and file it"
    " again.",
    "SAME_PERSON_TWO_PARTIES": "Another administrator of {account} has to file it: one person"
    " cannot speak for two parties.",
    "PARTY_MISMATCH": "Name the resellers of this transfer: from {old} to {new}.",
    "DOMAIN_MISMATCH": "Name the domain of this transfer: {domain}.",
    "TEXT_AMBIGUOUS": "Support staff will read it. To be quicker, file exactly the text we sent"
    " you.",
    "STALE_TICKET": "It is closed or too old. File a new ticket.",
    "TICKET_REUSED": "This ticket served another transfer or party. File a new one.",
    "TICKET_UNKNOWN": "No such ticket was found. Check its number.",
    "SUPERSEDED": "A newer ticket of {account} says otherwise. If you mean it, file a new one.",
    "WRONG_CHANNEL": "Mail proves no author. File it in the control panel, under Support.",
    "LATE": "This transfer takes no more tickets. Start a new one if you still want it.",
    "TOO_LATE": "Billing is being moved already. Ask the new reseller for a transfer back.",
}
"""How the filer puts a rejected submission right, a sentence for each code."""
NOES = (Intent.REFUSE, Intent.WITHDRAW)
"""The two ways to say no."""
_NO_STATES = (SlotState.REFUSED, SlotState.WITHDRAWN)


class Verdict(NamedTuple):
    """What a ticket is judged to be: rejected with a code, or a claim by the party of ``slot``."""

    code: str | None
    slot: Slot | None
    intent: Intent | None = None
    claim: Claim | None = None


def judge(
    case: Case, reading: TicketReading, now: datetime, *, says: Intent | None = None
) -> Verdict:
    """Judge a ticket against the case, without changing anything.

    ``says`` is what staff decided that an ambiguous text means; every other rule still holds.
    """
    ticket = reading.ticket
    if ticket is None:
        return Verdict("TICKET_UNKNOWN", None)
    slot = case.slot_of_account(ticket.account)
    if code := _may_not_speak(case, reading, ticket, slot):
        return Verdict(code, slot)
    claim = read_in(case, ticket)
    intent = says or (claim.intent if claim else None)
    if _is_spent(case, ticket, intent, now):
        return Verdict("STALE_TICKET", slot)
    if intent is None or slot is None:
        return Verdict("TEXT_AMBIGUOUS", slot)
    if claim is not None and (code := names_others(case, claim)):
        return Verdict(code, slot)
    if intent.slot not in (None, slot):
        return Verdict("WRONG_ACCOUNT", slot)
    if intent.slot is not None and _same_person(case, slot, ticket):
        return Verdict("SAME_PERSON_TWO_PARTIES", slot)
    return Verdict(_is_not_the_newest(case.slot(slot), ticket, intent), slot, intent, claim)


def fix_for(case: Case, slot: Slot | None, code: str) -> str:
    """The sentence that tells the filer how to put a rejected submission right."""
    account = case.account(slot.party) if slot else "the account"
    return FIX[code].format(
        account=account,
        owner=" / ".join(f"{s.value}: {case.account(s.party)}" for s in Slot),
        old=case.old,
        new=case.new,
        domain=case.shown_domain,
    )


def is_news(case: Case, reading: TicketReading) -> bool:
    """Whether a ticket that nobody rang for says what its party has not said already."""
    ticket = reading.ticket
    slot = case.slot_of_account(ticket.account) if ticket else None
    if ticket is None or slot is None or reading.used_by not in (None, case.key):
        return False
    said_at = case.slot(slot).said_at
    if said_at is not None and ticket.updated_at < said_at:
        return False
    claim = read_in(case, ticket)
    if claim is None:
        is_recent = ticket.open and ticket.updated_at > case.received_at
        return is_recent and may_be_about_transfers(ticket)
    return claim.intent in NOES or (ticket.open and ticket.updated_at != said_at)


# -- the rules, in the order in which they are asked -------------------------------------------
def _may_not_speak(
    case: Case, reading: TicketReading, ticket: Ticket, slot: Slot | None
) -> str | None:
    elsewhere = any(r.ticket_id == ticket.id and r.slot is not slot for r in case.slots)
    if elsewhere or reading.used_by not in (None, case.key):
        return "TICKET_REUSED"
    if ticket.channel is not Channel.PANEL:
        return "WRONG_CHANNEL"
    if slot is None:
        return "WRONG_ACCOUNT"
    if not (ticket.administrator and reading.on_record):
        return "NOT_ADMIN"
    if ticket.delegated:
        return "DELEGATED_SESSION"
    return None


def read_in(case: Case, ticket: Ticket) -> Claim | None:
    """Read a ticket, knowing the names of the two resellers."""
    known = (name for reseller in (case.old, case.new) for name in reseller.names)
    return read(ticket, known)


def names_others(case: Case, claim: Claim) -> str | None:
    """The code where a text names another domain or other resellers than this transfer's."""
    if claim.domain not in case.customer.aliases:
        return "DOMAIN_MISMATCH"
    for named, account in ((claim.old, case.old), (claim.new, case.new)):
        if named is not None and not account.goes_by(named):
            return "PARTY_MISMATCH"
    return None


def _is_spent(case: Case, ticket: Ticket, intent: Intent | None, now: datetime) -> bool:
    """Whether a ticket is closed, or so old that its party has to confirm it.

    A no that was filed since the transfer began counts even so: support staff close tickets too.
    """
    if intent in NOES and ticket.updated_at > case.received_at:
        return False
    return not ticket.open or (
        case.policy.after(ticket.updated_at, case.policy.ticket_freshness) < now
    )


def _same_person(case: Case, slot: Slot, ticket: Ticket) -> bool:
    author_id, email = fold(ticket.author.id), fold(ticket.author.email)
    return any(
        record.slot is not slot
        and record.authorized
        and ((email and fold(record.by_email) == email) or fold(record.by_id) == author_id)
        for record in case.slots
    )


def _is_not_the_newest(record: Authorization, ticket: Ticket, intent: Intent) -> str | None:
    """Order by what the ticket says of its time and revision. At the same time, a no wins."""
    is_yes, is_no_now = intent not in NOES, record.state in _NO_STATES
    if is_yes and record.not_before is not None and ticket.updated_at <= record.not_before:
        return "STALE_TICKET"
    if record.said_at is None:
        return None
    same = record.ticket_id == ticket.id
    standing = (record.said_at, record.revision if same else 0)
    new = (ticket.updated_at, ticket.revision if same else 0)
    tie_counts = (same and record.authorized) or not (is_yes or is_no_now)
    if new > standing or (new == standing and tie_counts):
        return None
    return "SUPERSEDED" if record.authorized or is_no_now else "STALE_TICKET"
