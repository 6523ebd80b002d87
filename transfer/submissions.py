"""Submissions: what becomes of a ticket that a party filed.

Whether it counts is judged in ``judging``; here is what follows for the case, and what its filer is
answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from transfer.case import (
    COMMIT_STATES,
    MAX_DOUBT_TEXT,
    MAX_DOUBTS,
    MAX_REJECTED,
    Authorization,
    Case,
    Doubt,
    Rejection,
    SlotState,
    State,
)
from transfer.judging import NOES, Verdict, fix_for, is_news, judge, names_others, read_in
from transfer.mediation import escalated, owed
from transfer.messages import SubmissionAnswer, TicketReading
from transfer.opening import requested
from transfer.parties import Slot, fold
from transfer.tickets import Intent, Ticket

STAFF_HEAR_OF = 3
"""Staff hear of a party's rejected submissions from this one on, once."""
MAX_UNKNOWN_NOTED = 10
"""Doorbells for tickets that do not exist are counted; only the first of them become evidence."""
MAX_REJECTED_NOTED = 50
"""Rejections of one party that are evidence, with a reply; beyond, they are only counted."""
MAX_LATE_NOTED = 50
"""Submissions after the end that become evidence; beyond, they are only answered."""


def submitted(
    case: Case, reading: TicketReading, now: datetime, *, rung: Intent | None = None
) -> tuple[Case, SubmissionAnswer]:
    """The case after a submission, and the answer for its sender.

    The same ticket, unchanged, is a no-op that repeats the first answer. ``rung`` is what the
    doorbell claimed: it only says whose slot a ticket that does not exist was meant for.
    """
    ticket = reading.ticket
    if not case.is_open_to_parties:
        return _late(case, reading, now, rung=rung)
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
    about something else, just because it names the domain. The newest go first: of the words of
    one party, found together, the last one counts.
    """
    readings = tuple(readings)
    case = _with_noes_of_before(case, readings)
    there = [(reading.ticket.updated_at, reading) for reading in readings if reading.ticket]
    for _, reading in sorted(there, key=lambda pair: pair[0], reverse=True):
        if case.is_open_to_parties and is_news(case, reading):
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
            "url": ticket.url,
            "by": ticket.author.name or ticket.author.id,
            "by_id": ticket.author.id,
            "by_email": ticket.author.email,
            "said_at": ticket.updated_at,
            "filed_at": ticket.created_at,
            "revision": ticket.revision,
            "admitted": admitted,
            "released_by_staff": False,
            "reminders": (),
            "rejected": tuple(r for r in record.rejected if not _is_of(r, ticket)),
        }
    )
    # What this party wrote before in words that nobody understood does not matter any more.
    case = _without_doubts_of(case, ticket)
    doubts = tuple(
        doubt
        for doubt in case.doubts
        if doubt.slot is not record.slot or doubt.ticket.updated_at >= ticket.updated_at
    )
    case = case.having(doubts=doubts)
    if verdict.intent.slot is not None:
        return _yes(case, base, ticket, now)
    return _no(case, base, ticket, verdict, now)


def asked_again(
    case: Case,
    slot: Slot,
    code: str,
    now: datetime,
    *,
    ticket_id: str | None,
    not_before: datetime | None = None,
) -> Case:
    """The case after an authorization that no longer stands: its party is asked again.

    Only a newer ticket counts now, and only one filed after ``not_before`` where that is given.
    """
    fresh = _asked_anew(case, slot, now, not_before=not_before)
    return (
        case.with_slot(fresh)
        .having(commit_at=None)
        .noting("ASKED_AGAIN", "transfer", now, detail=code, slot=slot, ticket_id=ticket_id)
    )


def cleared(case: Case, paid: Iterable[str], now: datetime) -> Case:
    """The case after the invoices for which the old reseller refused are recorded as paid.

    Its refusal does not stand any more, and it is asked once more: to be paid is no release.
    """
    debt = owed(case)
    if debt is None or not set(debt.invoices) <= {fold(invoice) for invoice in paid}:
        return case
    record = case.slot(Slot.RELEASE)
    detail = f"invoices {', '.join(record.refusal.invoices)}" if record.refusal else ""
    fresh = _asked_anew(case, Slot.RELEASE, now).model_copy(
        update={"cleared": (record.ticket_id or "", record.revision)}
    )
    case = case.with_slot(fresh).noting(
        "CLEARED", "accounts", now, detail=detail, slot=Slot.RELEASE, ticket_id=record.ticket_id
    )
    return _mediation_ended(case, now).settled(now)


def _asked_anew(
    case: Case, slot: Slot, now: datetime, *, not_before: datetime | None = None
) -> Authorization:
    """A slot whose party is asked once more: what it said before orders what it says next."""
    record = case.slot(slot)
    return requested(slot, case, now, case.expires_at or now).model_copy(
        update={
            "said_at": record.said_at,
            "revision": record.revision,
            "not_before": not_before or record.not_before,
            "cleared": record.cleared,
            "rejected": record.rejected,
            "rejected_count": record.rejected_count,
        }
    )


def _mediation_ended(case: Case, now: datetime) -> Case:
    if case.mediation is None:
        return case
    ended = case.having(mediation=None, proposal=None)
    return ended.noting("MEDIATION_ENDED", "transfer", now)


def rejected_by(
    case: Case, slot: Slot, ticket: Ticket, code: str, now: datetime, *, decided: bool = False
) -> Case:
    """The case with one more rejection on a slot's record; bounded, but counted in full.

    ``decided`` is set where staff reject what was unclear: that is not a second rejection.
    """
    record = case.slot(slot)
    others = tuple(r for r in record.rejected if not _is_of(r, ticket))
    rejection = Rejection(
        ticket_id=ticket.id, code=code, at=now, revision=ticket.revision, decided=decided
    )
    is_new = len(others) == len(record.rejected) and not decided
    return case.with_slot(
        record.model_copy(
            update={
                "rejected": (*others, rejection)[-MAX_REJECTED:],
                "rejected_count": record.rejected_count + (1 if is_new else 0),
            }
        )
    )


def _with_noes_of_before(case: Case, readings: Iterable[TicketReading]) -> Case:
    """The case, knowing what its parties have said no to in a transfer before.

    A yes that is older than its party's no is none, even if nobody has ever read it.
    """
    for reading in readings:
        ticket = reading.ticket
        slot = case.slot_of_account(ticket.account) if ticket else None
        served_before = reading.used_by not in (None, case.key)
        if ticket is None or slot is None or not served_before or not case.is_open_to_parties:
            continue
        claim = read_in(case, ticket)
        if claim is None or claim.intent not in NOES or names_others(case, claim):
            continue
        record = case.slot(slot)
        latest = max(record.not_before or ticket.updated_at, ticket.updated_at)
        case = case.with_slot(record.model_copy(update={"not_before": latest}))
    return case


# -- what follows from it ------------------------------------------------------------------------
def _yes(case: Case, record: Authorization, ticket: Ticket, now: datetime) -> Case:
    slot = record.slot
    charges = case.charges if slot is Slot.ACCEPT else None
    detail = f"accepts {charges}" if charges else ""
    case = case.with_slot(
        record.model_copy(
            update={"state": SlotState.AUTHORIZED, "charges": charges, "refusal": None}
        )
    ).noting("AUTHORIZED", record.by or "", now, detail=detail, ticket_id=ticket.id, slot=slot)
    return (_mediation_ended(case, now) if slot is Slot.RELEASE else case).settled(now)


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
    if slot is None:
        return _rejected_stranger(case, ticket, code, now)
    who = ticket.author.name or ticket.author.id
    fix = fix_for(case, slot, code)
    before = case.slot(slot)
    case = rejected_by(case, slot, ticket, code, now)
    case = _without_doubts_of(case, ticket)
    if code == "TEXT_AMBIGUOUS" and _has_room_for_doubt(case, slot):
        kept = ticket.model_copy(update={"body": ticket.body[:MAX_DOUBT_TEXT]})
        case = case.having(doubts=(*case.doubts, Doubt(ticket=kept, slot=slot, at=now)))
        case = case.noting("AMBIGUOUS", who, now, detail=fix, ticket_id=ticket.id, slot=slot)
    elif before.rejected_count < MAX_REJECTED_NOTED:
        detail = f"{code}. {fix}"
        case = case.noting("REJECTED", who, now, detail=detail, ticket_id=ticket.id, slot=slot)
    if before.rejected_count < STAFF_HEAR_OF == case.slot(slot).rejected_count:
        detail = f"{case.account(slot.party)} was rejected {STAFF_HEAR_OF} times"
        case = case.noting("REJECTED_REPEATEDLY", "transfer", now, detail=detail, slot=slot)
    if before.ticket_id == ticket.id and before.authorized and code != "SUPERSEDED":
        # The ticket that stood for the yes was changed, and does not say yes any more.
        case = asked_again(case, slot, code, now, ticket_id=ticket.id).settled(now)
    return case


def _rejected_stranger(case: Case, ticket: Ticket, code: str, now: datetime) -> Case:
    """The ticket of an account that is no party: told of once, and only of the first of them.

    One that does not speak of this transfer was rung for by mistake, or to annoy its filer: it is
    noted, and nobody is answered.
    """
    if len(case.strangers) >= MAX_REJECTED:
        return case
    claim = read_in(case, ticket)
    is_meant = claim is not None and claim.domain in case.customer.aliases
    rejection = Rejection(ticket_id=ticket.id, code=code, at=now, revision=ticket.revision)
    return case.having(strangers=(*case.strangers, rejection)).noting(
        "REJECTED" if is_meant else "FOREIGN_TICKET",
        ticket.author.name or ticket.author.id,
        now,
        detail=f"{code}. {fix_for(case, None, code)}",
        ticket_id=ticket.id,
    )


def _unknown(
    case: Case, ticket_id: str, rung: Intent | None, now: datetime
) -> tuple[Case, SubmissionAnswer]:
    """A ticket that does not exist is shown where it rang, and counts for nobody."""
    slot, code = (rung.slot if rung else None), "TICKET_UNKNOWN"
    shown = case.slot(slot).rejected if slot else case.strangers
    if any(r.ticket_id == ticket_id and r.code == code for r in shown):
        return case, _answer(case, slot, code)
    case = case.having(unknown_tickets=case.unknown_tickets + 1)
    if case.unknown_tickets > MAX_UNKNOWN_NOTED:
        return case, _answer(case, slot, code)
    shown = (*shown, Rejection(ticket_id=ticket_id, code=code, at=now))[-MAX_REJECTED:]
    if slot is None:
        case = case.having(strangers=shown)
    else:
        case = case.with_slot(case.slot(slot).model_copy(update={"rejected": shown}))
    case = case.noting(code, "somebody", now, ticket_id=ticket_id, slot=slot)
    return case, _answer(case, slot, code)


def _late(
    case: Case, reading: TicketReading, now: datetime, *, rung: Intent | None
) -> tuple[Case, SubmissionAnswer]:
    """What comes while billing is moved, or after the end, changes nothing but the evidence."""
    ticket, committing = reading.ticket, case.state in COMMIT_STATES
    if committing and ticket and (again := _answered_before(case, ticket)):
        return case, again
    claim = read_in(case, ticket) if ticket else None
    says_no = rung in NOES or (claim is not None and claim.intent in NOES)
    code = "TOO_LATE" if committing and says_no else "LATE"
    noted = [event for event in case.evidence if event.code in ("LATE", "TOO_LATE")]
    known = any((e.code, e.ticket_id) == (code, reading.ticket_id) for e in noted)
    if not known and len(noted) < MAX_LATE_NOTED:
        case = case.noting(code, _who(reading), now, ticket_id=reading.ticket_id)
    return case, _answer(case, None, code)


def _answered_before(case: Case, ticket: Ticket) -> SubmissionAnswer | None:
    """The first answer to this revision of a ticket, or to a newer one, if it was given one.

    What a ticket said before it was changed does not count, even if it is read only now. An unclear
    one that nobody has decided, nor will, is no answer as soon as staff can read it; unless its
    party has said something since: then it holds up nothing any more, whoever rings for it.
    """
    revision = (ticket.id, ticket.revision)
    for record in case.slots:
        here = (record.ticket_id, record.revision)
        if _is_past(revision, here):
            return _answer(case, record.slot, "SUPERSEDED")
        if revision == here and (ticket.open or not record.authorized):
            return _answer(case, record.slot, None)
        if record.cleared and (revision == record.cleared or _is_past(revision, record.cleared)):
            return _answer(case, record.slot, None)
        for rejection in record.rejected:
            forgotten = (
                rejection.code == "TEXT_AMBIGUOUS"
                and not rejection.decided
                and not (record.said_at and ticket.updated_at < record.said_at)
                and _has_room_for_doubt(case, record.slot)
                and all(doubt.ticket.id != ticket.id for doubt in case.doubts)
            )
            judged = (rejection.ticket_id, rejection.revision)
            if _is_past(revision, judged) or (revision == judged and not forgotten):
                return _answer(case, record.slot, rejection.code)
    for rejection in case.strangers:
        if _is_of(rejection, ticket):
            return _answer(case, None, rejection.code)
    return None


def _is_past(revision: tuple[str, int], known: tuple[str | None, int]) -> bool:
    """Whether a ticket was changed since, as is known already."""
    return revision[0] == known[0] and revision[1] < known[1]


def _is_of(rejection: Rejection, ticket: Ticket) -> bool:
    return (rejection.ticket_id, rejection.revision) == (ticket.id, ticket.revision)


def _has_room_for_doubt(case: Case, slot: Slot) -> bool:
    return sum(doubt.slot is slot for doubt in case.doubts) < MAX_DOUBTS


def _without_doubts_of(case: Case, ticket: Ticket) -> Case:
    """The case without what was unclear in this ticket before it was changed."""
    doubts = tuple(
        doubt
        for doubt in case.doubts
        if doubt.ticket.id != ticket.id or doubt.ticket.revision > ticket.revision
    )
    return case.having(doubts=doubts)


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
