"""Submissions: what becomes of a ticket that a party filed.

A ticket is judged by itself and by our own records, never by the doorbell that announced it.
Rules run from "who may speak" over "what is said" to "is it the newest word".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from transfer import tickets
from transfer.case import (
    MAX_DOUBTS,
    MAX_REJECTED,
    Authorization,
    Case,
    Doubt,
    Rejection,
    SlotState,
    State,
)
from transfer.mediation import escalated
from transfer.messages import SubmissionAnswer, TicketReading
from transfer.parties import Slot
from transfer.tickets import Channel, Claim, Intent, Ticket

STAFF_HEAR_OF = 3
"""Staff hear of a party's rejected submissions from this one on, once."""
MAX_UNKNOWN_NOTED = 20
"""Doorbells for tickets that do not exist are counted; only the first of them become evidence."""

FIX = {
    "WRONG_ACCOUNT": "File it from the account whose consent it is: {owner}.",
    "NOT_ADMIN": "Have an administrator of {account} file it.",
    "DELEGATED_SESSION": "Log in as yourself, not through somebody else's session, and file it again.",
    "SAME_PERSON_TWO_PARTIES": "Another administrator of {account} has to file it: one person cannot"
    " speak for two parties.",
    "PARTY_MISMATCH": "Name the resellers of this transfer: from {old} to {new}.",
    "DOMAIN_MISMATCH": "Name the domain of this transfer: {domain}.",
    "TEXT_AMBIGUOUS": "Support staff will read it. To be quicker, file exactly the text we sent you.",
    "STALE_TICKET": "It is closed or too old. File a new ticket.",
    "TICKET_REUSED": "This ticket served another transfer. File a new one.",
    "TICKET_UNKNOWN": "No such ticket was found. Check its number.",
    "SUPERSEDED": "A newer ticket of {account} says otherwise. If you mean it, file a new one.",
    "WRONG_CHANNEL": "Mail proves no author. File it in the control panel, under Support.",
    "LATE": "This transfer is over. Start a new one if you still want it.",
    "TOO_LATE": "Billing is being moved already. Ask the new reseller for a transfer back.",
}
"""How the filer puts a rejected submission right, a sentence for each code."""


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
    if code := _may_not_speak(case, reading, ticket, slot, now):
        return Verdict(code, slot)
    claim = tickets.read(ticket)
    if claim is None and says is None:
        return Verdict("TEXT_AMBIGUOUS", slot)
    intent = says or (claim.intent if claim else None)
    if intent is None or slot is None:
        return Verdict("TEXT_AMBIGUOUS", slot)
    if claim is not None and (code := _names_others(case, claim)):
        return Verdict(code, slot)
    if intent.slot not in (None, slot):
        return Verdict("WRONG_ACCOUNT", slot)
    if intent.slot is not None and _same_person(case, slot, ticket):
        return Verdict("SAME_PERSON_TWO_PARTIES", slot)
    if _is_older(case.slot(slot), ticket, is_yes=intent.slot is not None):
        return Verdict("SUPERSEDED", slot)
    return Verdict(None, slot, intent, claim)


def submitted(
    case: Case, reading: TicketReading, now: datetime, *, rung: Intent | None = None
) -> tuple[Case, SubmissionAnswer]:
    """The case after a submission, and the answer for its sender.

    The same ticket, unchanged, is a no-op that repeats the first answer. ``rung`` is what the
    doorbell claimed: it only says whose slot a ticket that does not exist was meant for.
    """
    ticket = reading.ticket
    if not case.is_open_to_parties:
        late = "LATE" if case.is_terminal or rung is not Intent.WITHDRAW else "TOO_LATE"
        noted = case.noting(late, _who(reading), now, ticket_id=reading.ticket_id)
        return noted, _answer(noted, None, late)
    if ticket is None:
        return _unknown(case, reading.ticket_id, rung, now)
    if (again := _answered_before(case, ticket)) is not None:
        return case, again
    verdict = judge(case, reading, now)
    if verdict.code is not None:
        case = _rejected(case, ticket, verdict.slot, verdict.code, now)
        return case, _answer(case, verdict.slot, verdict.code)
    case = said(case, ticket, verdict, now)
    return case, _answer(case, verdict.slot, None)


def found(case: Case, readings: Iterable[TicketReading], now: datetime) -> Case:
    """The case after tickets that nobody rang for: those filed before it began, or lost doorbells.

    Only tickets that clearly speak of a transfer count here: nobody wants an answer on a ticket
    about something else, just because it names the domain.
    """
    known = {record.ticket_id for record in case.slots}
    for reading in sorted(readings, key=lambda r: r.ticket.updated_at if r.ticket else now):
        ticket = reading.ticket
        if ticket is None or not ticket.open or reading.used_by or ticket.id in known:
            continue
        if tickets.read(ticket) is not None or (
            ticket.created_at > case.received_at and tickets.may_be_about_transfers(ticket)
        ):
            case, _ = submitted(case, reading, now)
    return case


def said(
    case: Case, ticket: Ticket, verdict: Verdict, now: datetime, *, admitted: bool = False
) -> Case:
    """The case after a party's valid yes or no."""
    if verdict.slot is None or verdict.intent is None:
        return case
    record = case.slot(verdict.slot)
    base = record.model_copy(
        update={
            "ticket_id": ticket.id,
            "by": ticket.author.name or ticket.author.id,
            "by_id": ticket.author.id,
            "by_email": ticket.author.email.casefold(),
            "said_at": ticket.updated_at,
            "filed_at": ticket.created_at,
            "revision": ticket.revision,
            "admitted": admitted,
            "released_by_staff": False,
            "reminders": (),
        }
    )
    case = case.having(doubts=tuple(d for d in case.doubts if d.ticket.id != ticket.id))
    if verdict.intent.slot is not None:
        return _yes(case, base, ticket, now)
    return _no(case, base, ticket, verdict, now)


def asked_again(case: Case, slot: Slot, code: str, now: datetime, *, ticket_id: str | None) -> Case:
    """The case after an authorization that no longer stands: its party is asked again."""
    record = case.slot(slot)
    policy = case.policy
    deadline = min(
        policy.after(
            now, policy.release_deadline if slot is Slot.RELEASE else policy.party_deadline
        ),
        case.expires_at or now,
    )
    fresh = Authorization(
        slot=slot,
        deadline=deadline,
        reminders=policy.reminders(now, deadline),
        said_at=record.said_at,
        revision=record.revision,
        rejected=record.rejected,
        rejected_count=record.rejected_count,
    )
    return (
        case.with_slot(fresh)
        .having(commit_at=None)
        .noting("ASKED_AGAIN", "transfer", now, detail=code, slot=slot, ticket_id=ticket_id)
    )


def rejected_by(
    case: Case, record: Authorization, ticket_id: str, revision: int, code: str, now: datetime
) -> Case:
    """The case with one more rejection on a slot's record; bounded, but counted in full."""
    rejection = Rejection(ticket_id=ticket_id, code=code, at=now, revision=revision)
    return case.with_slot(
        record.model_copy(
            update={
                "rejected": (*record.rejected, rejection)[-MAX_REJECTED:],
                "rejected_count": record.rejected_count + 1,
            }
        )
    )


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


# -- the rules, in the order in which they are asked -------------------------------------------
def _may_not_speak(
    case: Case, reading: TicketReading, ticket: Ticket, slot: Slot | None, now: datetime
) -> str | None:
    if reading.used_by not in (None, case.key):
        return "TICKET_REUSED"
    if ticket.channel is not Channel.PANEL:
        return "WRONG_CHANNEL"
    if slot is None:
        return "WRONG_ACCOUNT"
    if not (ticket.administrator and reading.on_record):
        return "NOT_ADMIN"
    if ticket.delegated:
        return "DELEGATED_SESSION"
    if not ticket.open or is_stale(case, ticket.updated_at, now):
        return "STALE_TICKET"
    return None


def is_stale(case: Case, said_at: datetime, now: datetime) -> bool:
    """Whether a ticket is so old that its party has to confirm it."""
    return case.policy.after(said_at, case.policy.ticket_freshness) < now


def _names_others(case: Case, claim: Claim) -> str | None:
    if claim.domain not in case.customer.aliases:
        return "DOMAIN_MISMATCH"
    for named, account in ((claim.old, case.old), (claim.new, case.new)):
        if named is not None and not account.goes_by(named):
            return "PARTY_MISMATCH"
    return None


def _same_person(case: Case, slot: Slot, ticket: Ticket) -> bool:
    email = ticket.author.email.casefold()
    return any(
        record.slot is not slot
        and record.authorized
        and ((email and record.by_email == email) or record.by_id == ticket.author.id)
        for record in case.slots
    )


def _is_older(record: Authorization, ticket: Ticket, *, is_yes: bool) -> bool:
    """Order by what the ticket says of its time and revision. At the same time, a no wins."""
    if record.said_at is None:
        return False
    standing = (record.said_at, record.revision if record.ticket_id == ticket.id else 0)
    new = (ticket.updated_at, ticket.revision if record.ticket_id == ticket.id else 0)
    standing_is_no = record.state in (SlotState.REFUSED, SlotState.WITHDRAWN)
    return new <= standing if is_yes and standing_is_no else new < standing


# -- what follows ------------------------------------------------------------------------------
def _yes(case: Case, record: Authorization, ticket: Ticket, now: datetime) -> Case:
    slot = record.slot
    charges = case.charges if slot is Slot.ACCEPT else None
    detail = f"accepts {charges}" if charges else ""
    case = case.with_slot(
        record.model_copy(
            update={"state": SlotState.AUTHORIZED, "charges": charges, "refusal": None}
        )
    ).noting("AUTHORIZED", record.by or "", now, detail=detail, ticket_id=ticket.id, slot=slot)
    if slot is Slot.RELEASE and case.mediation is not None:
        case = case.having(mediation=None, proposal=None).noting("MEDIATION_ENDED", "transfer", now)
    return case.settled(now)


def _no(case: Case, record: Authorization, ticket: Ticket, verdict: Verdict, now: datetime) -> Case:
    slot = record.slot
    withdrawn = case.slot(slot).authorized or verdict.intent is Intent.WITHDRAW
    state = SlotState.WITHDRAWN if withdrawn else SlotState.REFUSED
    refusal = verdict.claim.refusal if verdict.claim else None
    detail = str(refusal) if refusal and slot is Slot.RELEASE else ""
    case = case.with_slot(
        record.model_copy(update={"state": state, "refusal": refusal, "charges": None})
    ).noting(
        f"SLOT_{state.value}", record.by or "", now, detail=detail, ticket_id=ticket.id, slot=slot
    )
    if slot is Slot.RELEASE:
        case = escalated(case, detail or state.value, now)
    return case.settled(now)


def _rejected(case: Case, ticket: Ticket, slot: Slot | None, code: str, now: datetime) -> Case:
    who = ticket.author.name or ticket.author.id
    fix = fix_for(case, slot, code)
    if slot is None:
        return case.noting("REJECTED", who, now, detail=f"{code}. {fix}", ticket_id=ticket.id)
    case = rejected_by(case, case.slot(slot), ticket.id, ticket.revision, code, now)
    if code == "TEXT_AMBIGUOUS" and len(case.doubts) < MAX_DOUBTS:
        doubts = tuple(d for d in case.doubts if d.ticket.id != ticket.id)
        case = case.having(doubts=(*doubts, Doubt(ticket=ticket, slot=slot, at=now)))
        case = case.noting("AMBIGUOUS", who, now, detail=fix, ticket_id=ticket.id, slot=slot)
    else:
        case = case.noting(
            "REJECTED", who, now, detail=f"{code}. {fix}", ticket_id=ticket.id, slot=slot
        )
    if case.slot(slot).rejected_count == STAFF_HEAR_OF:
        detail = f"{case.account(slot.party)} was rejected {STAFF_HEAR_OF} times"
        case = case.noting("REJECTED_REPEATEDLY", "transfer", now, detail=detail, slot=slot)
    standing = case.slot(slot)
    if standing.ticket_id == ticket.id and standing.authorized:
        # The ticket that stood for the yes was changed, and does not say yes any more.
        case = asked_again(case, slot, code, now, ticket_id=ticket.id).settled(now)
    return case


def _unknown(
    case: Case, ticket_id: str, rung: Intent | None, now: datetime
) -> tuple[Case, SubmissionAnswer]:
    slot = rung.slot if rung else None
    case = case.having(unknown_tickets=case.unknown_tickets + 1)
    if slot is not None:
        case = rejected_by(case, case.slot(slot), ticket_id, 0, "TICKET_UNKNOWN", now)
    if case.unknown_tickets <= MAX_UNKNOWN_NOTED:
        case = case.noting("TICKET_UNKNOWN", "somebody", now, ticket_id=ticket_id, slot=slot)
    return case, _answer(case, slot, "TICKET_UNKNOWN")


def _answered_before(case: Case, ticket: Ticket) -> SubmissionAnswer | None:
    for record in case.slots:
        if record.ticket_id == ticket.id and record.revision == ticket.revision and ticket.open:
            return _answer(case, record.slot, None)
        for rejection in record.rejected:
            if (rejection.ticket_id, rejection.revision) == (ticket.id, ticket.revision):
                return _answer(case, record.slot, rejection.code)
    return None


def _answer(case: Case, slot: Slot | None, code: str | None) -> SubmissionAnswer:
    opened = slot is not None and bool(case.slots)
    state: State | SlotState = case.slot(slot).state if opened and slot else case.state
    return SubmissionAnswer(
        accepted=code is None,
        slot=slot,
        state=state.value,
        code=code,
        fix=fix_for(case, slot, code) if code else None,
    )


def _who(reading: TicketReading) -> str:
    ticket = reading.ticket
    return (ticket.author.name or ticket.author.id) if ticket else "somebody"
