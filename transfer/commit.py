"""The commit: everything is read once more, then billing moves, once, at one instant."""

from __future__ import annotations

from datetime import datetime

from transfer.case import Authorization, Case, OnHold, Publication, State, Stuck
from transfer.judging import judge
from transfer.messages import BillingOrder, StopCode, Survey, TicketReading
from transfer.opening import preflight
from transfer.parties import Facts, Slot
from transfer.submissions import asked_again, found, submitted
from transfer.tickets import Intent
from transfer.values import Value, one_line

_STOPS = frozenset(
    {"NOT_CURRENT_RESELLER", "UNKNOWN_DOMAIN", "DOMAIN_INVALID", "UNKNOWN_RESELLER", "IN_COOLDOWN"}
)
"""Findings at the re-check that end the transfer: it is never "fixed". All others hold it."""


class Commit(Value):
    """Move billing by ``order``; when it is read back, publish ``tell``."""

    order: BillingOrder
    tell: Publication


def rechecked(case: Case, survey: Survey, now: datetime) -> Case:
    """The case after its re-check: COMMITTING, or back to whatever is not fulfilled any more.

    Tickets first: a withdrawal counts even where the facts would stop the transfer for a while.
    """
    if case.state is not State.READY:
        return case
    readings = {reading.ticket_id: reading for reading in survey.readings}
    for slot in Slot:
        record = case.slot(slot)
        if not case.is_terminal and record.authorized and not record.released_by_staff:
            case = _still_stands(case, record, readings.get(record.ticket_id or ""), now)
    case = found(case, survey.readings, now).settled(now)
    if not case.is_terminal:
        case = _facts_still_hold(case, survey.facts, now)
    if case.state is not State.READY or case.doubts:
        return case
    if case.commit_at is None or case.commit_at > now:
        return case  # all three agree anew, and were told another instant
    return case.having(committing_since=now).noting("COMMITTING", "transfer", now)


def order(case: Case) -> BillingOrder:
    """The order to move billing. The same case always gives the same order.

    Raises:
        ValueError: the case has not passed its re-check. Nobody may ask for this by mistake.
    """
    at = case.committing_since
    if at is None or case.charges is None or not case.fully_authorized:
        raise ValueError("billing moves only after a passed re-check")
    if case.slot(Slot.ACCEPT).charges != case.charges:
        raise ValueError("the new reseller accepted other charges")
    return BillingOrder(
        key=case.key,
        customer=case.customer.id,
        old=case.old.id,
        new=case.new.id,
        charges=case.charges,
        at=at,
        lock_until=case.policy.after(at, case.policy.lock),
    )


def committed(case: Case, now: datetime) -> Case:
    """The case after billing moved and was read back: COMPLETED.

    Raises:
        ValueError: the case has not passed its re-check.
    """
    at = case.committing_since
    if at is None:
        raise ValueError("billing moves only after a passed re-check")
    if case.is_terminal:
        return case
    reason = f"{case.new} is billed from {at:%Y-%m-%d %H:%M:%S} UTC"
    return case.having(completed_at=at, stuck=None).ended(
        State.COMPLETED, "transfer", now, reason=reason
    )


def stuck(case: Case, why: str, now: datetime) -> Case:
    """The case after a commit that did not go through: staff are paged, retries go on.

    Raises:
        ValueError: no commit has begun, or it is done.
    """
    if case.committing_since is None or case.is_terminal:
        raise ValueError("only a commit that has begun can be stuck")
    noted = case if case.was_stuck else case.noting("COMMIT_STUCK", "transfer", now, detail=why)
    return noted.having(stuck=Stuck(at=now, why=one_line(why)[:500]), was_stuck=True)


def _facts_still_hold(case: Case, facts: Facts, now: datetime) -> Case:
    # What was asked for by name is known by id since the start, whatever it is called now.
    request = case.request.model_copy(update={"domain": case.domain, "old_reseller": case.old.id})
    if facts.open_transfer == case.transfer_id:
        facts = facts.model_copy(update={"open_transfer": None})
    findings = [f for f in preflight(request, facts, now) if not f.warning]
    codes = [finding.code for finding in findings]
    if facts.new is not None and facts.new.id != case.new.id:
        codes = ["UNKNOWN_RESELLER", *codes]
    if facts.customer is not None and facts.customer.id != case.customer.id:
        codes = ["UNKNOWN_DOMAIN", *codes]
    if facts.old is not None and facts.old.id != case.old.id:
        codes = ["NOT_CURRENT_RESELLER", *(c for c in codes if c != "NOT_CURRENT_RESELLER")]
    if stop := next((code for code in codes if code in _STOPS), None):
        return case.ended(State.CANCELLED, "re-check", now, code=stop, reason=", ".join(codes))
    if findings:
        known = codes[0] in StopCode.__members__
        held = OnHold(
            at=now,
            by="re-check",
            code=StopCode(codes[0]) if known else StopCode.OTHER,
            reason="; ".join(f"{finding.code}: {finding.fix}" for finding in findings)[:500],
        )
        return case.having(hold=held).noting("HELD", "re-check", now, detail=held.reason)
    charges = facts.customer.charges if facts.customer else None
    accept = case.slot(Slot.ACCEPT)
    if charges is None or charges == (accept.charges if accept.authorized else case.charges):
        return case
    why = f"CHARGES_CHANGED: {charges}"
    return asked_again(
        case.having(charges=charges), Slot.ACCEPT, why, now, ticket_id=None, not_before=now
    )


def _still_stands(
    case: Case, record: Authorization, reading: TicketReading | None, now: datetime
) -> Case:
    """Judge one ticket again: who filed it, when, and, where it was changed, what it says now."""
    ticket = reading.ticket if reading else None
    if reading is None or ticket is None:
        return asked_again(case, record.slot, "TICKET_UNKNOWN", now, ticket_id=record.ticket_id)
    if (ticket.revision, ticket.updated_at) != (record.revision, record.said_at):
        case, _ = submitted(case, reading, now)
        record = case.slot(record.slot)
        if case.is_terminal or not record.authorized or record.ticket_id != ticket.id:
            return case
    says = Intent(record.slot.value)
    verdict = judge(case, reading, now, says=says if record.admitted else None)
    if verdict.code is None and verdict.intent is says:
        return case
    code = verdict.code or "TEXT_AMBIGUOUS"
    return asked_again(case, record.slot, code, now, ticket_id=ticket.id)
