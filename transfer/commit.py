"""The commit: everything is read once more, then billing moves, once, at one instant."""

from __future__ import annotations

from datetime import datetime

from transfer.case import Authorization, Case, OnHold, Publication, State, Stuck
from transfer.messages import BillingOrder, StopCode, Survey, TicketReading
from transfer.opening import preflight
from transfer.parties import Facts, Slot
from transfer.submissions import asked_again, found, is_stale, submitted
from transfer.values import Value

_STOPS = frozenset(
    {"NOT_CURRENT_RESELLER", "UNKNOWN_DOMAIN", "DOMAIN_INVALID", "UNKNOWN_RESELLER", "IN_COOLDOWN"}
)
"""Findings at the re-check that end the transfer: it is never "fixed". All others hold it."""


class Commit(Value):
    """Move billing by ``order``; when it is read back, publish ``tell``."""

    order: BillingOrder
    tell: Publication


def rechecked(case: Case, survey: Survey, now: datetime) -> Case:
    """The case after its re-check: COMMITTING, or back to whatever is not fulfilled any more."""
    case = _facts_still_hold(case, survey.facts, now)
    if case.is_terminal or case.hold is not None:
        return case
    readings = {reading.ticket_id: reading for reading in survey.readings}
    for slot in Slot:
        record = case.slot(slot)
        if record.authorized and not record.released_by_staff:
            case = _still_stands(case, record, readings.get(record.ticket_id or ""), now)
    case = found(case, survey.readings, now).settled(now)
    if case.state is not State.READY or case.doubts:
        return case
    return case.having(committing_since=now).noting("COMMITTING", "transfer", now)


def order(case: Case) -> BillingOrder:
    """The order to move billing. The same case always gives the same order.

    Raises:
        ValueError: the case has not passed its re-check. Nobody may ask for this by mistake.
    """
    if case.committing_since is None or case.charges is None or not case.fully_authorized:
        raise ValueError("billing moves only after a passed re-check")
    at = case.committing_since
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
    """The case after billing moved and was read back: COMPLETED."""
    at = case.committing_since or now
    reason = f"{case.new} is billed from {at:%Y-%m-%d %H:%M:%S} UTC"
    return case.having(completed_at=at, stuck=None).ended(
        State.COMPLETED, "transfer", now, reason=reason
    )


def stuck(case: Case, why: str, now: datetime) -> Case:
    """The case after a commit that did not go through: staff are paged, retries go on."""
    noted = case if case.was_stuck else case.noting("COMMIT_STUCK", "transfer", now, detail=why)
    return noted.having(stuck=Stuck(at=now, why=why[:500]), was_stuck=True)


def _facts_still_hold(case: Case, facts: Facts, now: datetime) -> Case:
    findings = [f for f in preflight(case.request, facts, now) if not f.warning]
    moved = facts.old is not None and facts.old.id != case.old.id
    swapped = facts.customer is not None and facts.customer.id != case.customer.id
    codes = [finding.code for finding in findings]
    if moved or swapped:
        codes = ["NOT_CURRENT_RESELLER", *codes]
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
    if charges is not None and charges != case.slot(Slot.ACCEPT).charges:
        case = case.having(charges=charges)
        return asked_again(case, Slot.ACCEPT, f"CHARGES_CHANGED: {charges}", now, ticket_id=None)
    return case


def _still_stands(
    case: Case, record: Authorization, reading: TicketReading | None, now: datetime
) -> Case:
    """Check one ticket again. A changed one is judged anew; an unchanged one only for who and when."""
    ticket = reading.ticket if reading else None
    if reading is None or ticket is None:
        code = "TICKET_UNKNOWN"
    elif not ticket.open or is_stale(case, ticket.updated_at, now):
        code = "STALE_TICKET"
    elif ticket.revision != record.revision:
        return submitted(case, reading, now)[0]
    elif not (ticket.administrator and reading.on_record):
        code = "NOT_ADMIN"
    else:
        return case
    return asked_again(case, record.slot, code, now, ticket_id=record.ticket_id)
