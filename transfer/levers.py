"""Levers: what staff may do to a live transfer. Each needs who and why; each is evidence.

Every lever is a function ``(case, action, now) -> Case`` that raises a ``RuleBroken`` whose message
says why not, and then nothing has changed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from transfer.case import Authorization, Case, Doubt, OnHold, Proposal, SlotState, State
from transfer.errors import (
    DeadlineNotAllowed,
    NotAllowedInState,
    NothingToDecide,
    SecondPersonNeeded,
    StaffReleaseForbidden,
)
from transfer.judging import fix_for, judge
from transfer.messages import (
    AdmitTicket,
    Cancel,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    TakeCase,
    TicketReading,
    Which,
)
from transfer.parties import Slot, fold
from transfer.policy import StaffRelease
from transfer.submissions import rejected_by, said


def extend_deadline(case: Case, action: ExtendDeadline, now: datetime) -> Case:
    """Move the transfer's or a party's deadline later, up to the cap.

    Raises:
        NotAllowedInState: nothing is waited for, or the old reseller's slot is in mediation.
        DeadlineNotAllowed: in the past, not later than before, or past the cap.
    """
    _need_open(case, "extend a deadline")
    if action.which is Which.TRANSFER:
        present, limit = case.expires_at, case.extendable_to
    else:
        record = case.slot(Slot(action.which.value))
        if record.state is not SlotState.REQUESTED or (
            record.slot is Slot.RELEASE and case.mediation is not None
        ):
            raise NotAllowedInState(f"{action.which.value} has no running deadline.")
        present, limit = record.deadline, case.expires_at
    if present is None or limit is None or action.until <= max(now, present):
        raise DeadlineNotAllowed(f"Name an instant later than {present or now:%Y-%m-%d %H:%M} UTC.")
    if action.until > limit:
        hint = "" if action.which is Which.TRANSFER else " Extend the transfer first."
        raise DeadlineNotAllowed(f"The latest possible is {limit:%Y-%m-%d %H:%M} UTC.{hint}")
    if action.which is Which.TRANSFER:
        case = case.having(expires_at=action.until)
    else:
        record = case.slot(Slot(action.which.value))
        planned = case.policy.reminders(record.requested_at or now, action.until)
        left = max(case.policy.max_reminders - record.reminded, 0)
        reminders = tuple(instant for instant in planned if instant > now)[:left]
        case = case.with_slot(
            record.model_copy(update={"deadline": action.until, "reminders": reminders})
        )
    detail = f"{action.which.value} until {action.until:%Y-%m-%d %H:%M} UTC: {action.reason}"
    return case.noting("EXTENDED", action.staff, now, detail=detail)


def hold(case: Case, action: Hold, now: datetime) -> Case:
    """Stop every clock until resumed.

    Raises:
        NotAllowedInState: on hold already, committing, or over.
    """
    _need_open(case, "put it on hold")
    if case.hold is not None:
        raise NotAllowedInState(f"It is on hold already, by {case.hold.by}: {case.hold.reason}")
    held = OnHold(at=now, by=action.staff, code=action.code, reason=action.reason)
    detail = f"{action.code.value}: {action.reason}"
    return case.having(hold=held).noting("HELD", action.staff, now, detail=detail)


def resume(case: Case, action: Resume, now: datetime) -> Case:
    """Go on after a hold. Every clock moves by the time held; what came in meanwhile counts now.

    Raises:
        NotAllowedInState: it is not on hold.
    """
    if case.hold is None or case.is_terminal:
        raise NotAllowedInState(f"It is {case.state.value}, not on hold.")
    held = now - case.hold.at

    def moved(instant: datetime | None) -> datetime | None:
        return instant + held if instant is not None else None

    def moved_slot(record: Authorization) -> Authorization:
        update = {
            "deadline": record.deadline + held,
            "requested_at": moved(record.requested_at),
            "reminders": tuple(instant + held for instant in record.reminders),
        }
        return record.model_copy(update=update)

    mediation = case.mediation and case.mediation.model_copy(
        update={
            "first_touch_by": case.mediation.first_touch_by + held,
            "second_level_at": case.mediation.second_level_at + held,
        }
    )
    case = case.having(
        hold=None,
        mediation=mediation,
        expires_at=moved(case.expires_at),
        extendable_to=moved(case.extendable_to),
        commit_at=moved(case.commit_at),
        slots=tuple(moved_slot(record) for record in case.slots),
    )
    return case.noting("RESUMED", action.staff, now, detail=action.reason).settled(now)


def cancel(case: Case, action: Cancel, now: datetime) -> Case:
    """End the transfer.

    Raises:
        NotAllowedInState: billing is being moved, or it is over.
    """
    if case.state is not State.VALIDATING:
        _need_open(case, "cancel it")
    return case.ended(
        State.CANCELLED, action.staff, now, code=action.code.value, reason=action.reason
    )


def take_case(case: Case, action: TakeCase, now: datetime) -> Case:
    """Become the mediator: the first-touch clock stops.

    Raises:
        NotAllowedInState: there is no mediation to take.
    """
    if case.mediation is None or not case.is_open_to_parties:
        raise NotAllowedInState(f"It is {case.state.value}: there is no mediation to take.")
    mediation = case.mediation.model_copy(update={"owner": action.staff})
    return case.having(mediation=mediation).noting("TAKEN", action.staff, now, detail=action.reason)


def admit_ticket(case: Case, action: AdmitTicket, now: datetime) -> Case:
    """Decide what an ambiguous ticket says. It still has to be its own party's, and the newest.

    Raises:
        NothingToDecide: no such ticket waits, or it cannot count for another reason.
    """
    doubt = _doubt(case, action.ticket_id)
    reading = TicketReading(ticket_id=doubt.ticket.id, ticket=doubt.ticket, on_record=True)
    verdict = judge(case, reading, now, says=action.what)
    if verdict.code is not None:
        fix = fix_for(case, verdict.slot, verdict.code)
        raise NothingToDecide(f"It cannot be admitted: {verdict.code}. {fix}")
    detail = f"{action.what.value}: {action.reason}"
    case = case.noting("ADMITTED", action.staff, now, detail=detail, ticket_id=doubt.ticket.id)
    return said(case, doubt.ticket, verdict, now, admitted=True)


def reject_ticket(case: Case, action: RejectTicket, now: datetime) -> Case:
    """Decide that an ambiguous ticket says nothing that counts.

    Raises:
        NothingToDecide: no such ticket waits.
    """
    doubt = _doubt(case, action.ticket_id)
    doubts = tuple(d for d in case.doubts if d.ticket.id != action.ticket_id)
    case = rejected_by(
        case.having(doubts=doubts), doubt.slot, doubt.ticket, "TEXT_AMBIGUOUS", now, decided=True
    )
    detail = f"TEXT_AMBIGUOUS. {action.reason}"
    return case.noting(
        "REJECTED", action.staff, now, detail=detail, ticket_id=action.ticket_id, slot=doubt.slot
    ).settled(now)


def release_on_behalf(case: Case, action: ReleaseOnBehalf, now: datetime) -> Case:
    """Release in the old reseller's place: one staff member proposes, a different one confirms.

    Raises:
        StaffReleaseForbidden: the policy forbids it, as it does by default.
        NotAllowedInState: it is not in mediation.
        SecondPersonNeeded: the same person proposed.
    """
    if case.policy.staff_release is not StaffRelease.TWO_PERSON:
        raise StaffReleaseForbidden(
            "The policy wants the old reseller's own ticket. Mediate for one."
        )
    if case.state is not State.MEDIATION:
        raise NotAllowedInState(f"It is {case.state.value}; staff release only in MEDIATION.")
    if case.proposal is None:
        proposal = Proposal(staff=action.staff, reason=action.reason, at=now)
        return case.having(proposal=proposal).noting(
            "RELEASE_PROPOSED", action.staff, now, detail=action.reason, slot=Slot.RELEASE
        )
    if fold(case.proposal.staff) == fold(action.staff):
        raise SecondPersonNeeded(f"{action.staff} proposed it; somebody else has to confirm.")
    record = case.slot(Slot.RELEASE)
    # Newer than the no that staff mediated about, even if the ticket system's clock is ahead.
    just_after = record.said_at + timedelta(microseconds=1) if record.said_at else now
    record = record.model_copy(
        update={
            "state": SlotState.AUTHORIZED,
            "by": f"{case.proposal.staff} and {action.staff} (staff)",
            "by_id": "",
            "by_email": "",
            "ticket_id": None,
            "url": "",
            "said_at": max(now, just_after),
            "revision": 0,
            "filed_at": now,
            "admitted": False,
            "reminders": (),
            "refusal": None,
            "released_by_staff": True,
        }
    )
    return (
        case.with_slot(record)
        .having(mediation=None, proposal=None)
        .noting("RELEASED_BY_STAFF", action.staff, now, detail=action.reason, slot=Slot.RELEASE)
        .settled(now)
    )


def retry_commit(case: Case, action: RetryCommit, now: datetime) -> Case:
    """Try a stuck commit again, now.

    Raises:
        NotAllowedInState: the commit is not stuck.
    """
    if case.state is not State.COMMIT_STUCK:
        raise NotAllowedInState(f"It is {case.state.value}; only a stuck commit can be retried.")
    # If it is stuck again, staff who tried hear of it again.
    case = case.having(stuck=None, was_stuck=False)
    return case.noting("RETRIED", action.staff, now, detail=action.reason)


def _need_open(case: Case, verb: str) -> None:
    if not case.is_open_to_parties:
        raise NotAllowedInState(f"It is {case.state.value}; it is too late to {verb}.")


def _doubt(case: Case, ticket_id: str) -> Doubt:
    for doubt in case.doubts:
        if doubt.ticket.id == ticket_id:
            return doubt
    waiting = ", ".join(doubt.ticket.id for doubt in case.doubts) or "none"
    raise NothingToDecide(f"No ticket {ticket_id} waits for a decision. Waiting: {waiting}.")
