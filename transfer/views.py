"""What people and machines see of a case: the status, the search attributes, one sentence."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from transfer.case import Authorization, Case, Evidence, Rejection, SlotState, State
from transfer.clocks import next_clock
from transfer.parties import Slot
from transfer.policy import PrivateAttribute
from transfer.values import Instant, Value

MAX_ATTRIBUTE = 255
"""Characters of a search attribute; the server ends a workflow that sends too many."""


class RejectionView(Value):
    """A rejected submission, as ``status`` shows it."""

    ticket_id: str
    code: str
    at: Instant


class SlotView(Value):
    """One authorization, as ``status`` shows it."""

    state: SlotState
    ticket_id: str | None = None
    by: str | None = None
    at: datetime | None = None
    deadline: Instant
    rejected: tuple[RejectionView, ...] = ()
    refusal: str | None = None


class NextDeadline(Value):
    """What happens next unless somebody acts before."""

    at: Instant
    what: str


class DoubtView(Value):
    """An ambiguous ticket that waits for staff."""

    ticket_id: str
    slot: Slot
    subject: str
    body: str


class Status(Value):
    """The ``status`` query's answer."""

    transfer_id: str
    key: str
    state: State
    customer_domain: str
    customer: str
    old_reseller: str
    new_reseller: str
    waiting_on: tuple[str, ...]
    escalated: bool
    mediator: str | None
    proposal: str | None = None
    slots: dict[Slot, SlotView]
    next_deadline: NextDeadline | None
    commit_at: datetime | None
    expires_at: datetime | None
    charges: str | None
    ambiguous: tuple[DoubtView, ...] = ()
    ignored_signals: int = 0
    outcome_code: str = ""
    findings: tuple[str, ...] = ()
    summary: str


class EvidenceView(Value):
    """The ``evidence`` query's answer: ``count`` tells how many there are in the database."""

    transfer_id: str
    key: str
    count: int
    events: tuple[Evidence, ...]


class Outcome(Value):
    """A transfer's result: how it ended. It is never a failed workflow."""

    transfer_id: str
    key: str
    outcome: State
    code: str
    reason: str
    findings: tuple[str, ...] = ()
    completed_at: datetime | None = None


class Attributes(NamedTuple):
    """The search attributes of a transfer, by the names that saved views rely on."""

    TransferState: str
    WaitingOn: tuple[str, ...]
    CustomerDomain: str | None
    OldReseller: str | None
    NewReseller: str | None
    Escalated: bool
    NextDeadline: datetime | None


def status(case: Case, *, ignored_signals: int = 0) -> Status:
    """Everything that staff and senders ask of a transfer, in one tidy answer."""
    clock = next_clock(case)
    return Status(
        transfer_id=case.transfer_id,
        key=case.key,
        state=case.state,
        customer_domain=case.domain,
        customer=case.customer.id,
        old_reseller=case.old.id,
        new_reseller=case.new.id,
        waiting_on=waiting_on(case),
        escalated=escalated(case),
        mediator=(case.mediation.owner or None) if case.mediation else None,
        proposal=_proposal(case),
        slots={record.slot: _slot_view(record) for record in case.slots},
        next_deadline=NextDeadline(at=clock.at, what=clock.what) if clock else None,
        commit_at=case.commit_at,
        expires_at=case.expires_at,
        charges=str(case.charges) if case.charges else None,
        ambiguous=tuple(
            DoubtView(
                ticket_id=doubt.ticket.id,
                slot=doubt.slot,
                subject=doubt.ticket.subject,
                body=doubt.ticket.body[:2000],
            )
            for doubt in case.doubts
        ),
        ignored_signals=ignored_signals,
        outcome_code=case.outcome_code,
        findings=tuple(f"{finding.code}: {finding.fix}" for finding in case.findings),
        summary=summary(case),
    )


def evidence(case: Case) -> EvidenceView:
    """The newest evidence of a transfer; the database has all of it."""
    return EvidenceView(
        transfer_id=case.transfer_id,
        key=case.key,
        count=case.evidence_count,
        events=case.evidence,
    )


def outcome(case: Case) -> Outcome:
    """The result of a transfer that is over.

    Raises:
        ValueError: it is not over.
    """
    if case.outcome is None:
        raise ValueError("the transfer is not over")
    return Outcome(
        transfer_id=case.transfer_id,
        key=case.key,
        outcome=case.outcome,
        code=case.outcome_code,
        reason=case.outcome_reason,
        findings=tuple(f"{finding.code}: {finding.fix}" for finding in case.findings),
        completed_at=case.completed_at,
    )


def waiting_on(case: Case) -> tuple[str, ...]:
    """Who has to act: slots whose party has not said yes, and ``staff``."""
    if case.is_terminal or not case.slots:
        return ()
    if case.state in (State.COMMITTING, State.COMMIT_STUCK):
        return ("staff",) if case.stuck else ()
    waiting = [record.slot.value for record in case.slots if not record.authorized]
    if case.mediation or case.hold or case.doubts:
        waiting.append("staff")
    return tuple(waiting)


def escalated(case: Case) -> bool:
    """Whether staff have an escalation of this transfer in their queue."""
    return not case.is_terminal and (case.mediation is not None or case.stuck is not None)


def attributes(case: Case) -> Attributes:
    """The search attributes: the list in the Temporal UI has no other text."""
    clock, private = next_clock(case), case.policy.private_attributes

    def unless_private(name: PrivateAttribute, value: str) -> str | None:
        return None if name in private else value[:MAX_ATTRIBUTE]

    return Attributes(
        TransferState=case.state.value,
        WaitingOn=waiting_on(case),
        CustomerDomain=unless_private(PrivateAttribute.CUSTOMER_DOMAIN, case.domain),
        OldReseller=unless_private(PrivateAttribute.OLD_RESELLER, case.old.id),
        NewReseller=unless_private(PrivateAttribute.NEW_RESELLER, case.new.id),
        Escalated=escalated(case),
        NextDeadline=clock.at if clock else None,
    )


def summary(case: Case) -> str:
    """One sentence that a person can act on."""
    domain = case.shown_domain
    match case.state:
        case State.VALIDATING:
            return f"{domain}: the request is being checked."
        case State.READY if case.doubts:
            ids = ", ".join(doubt.ticket.id for doubt in case.doubts)
            return f"{domain}: all three agreed; staff must admit or reject ticket {ids} first."
        case State.READY:
            return (
                f"{domain}: all three agreed; billing moves to {case.new} at {_at(case.commit_at)}."
            )
        case State.MEDIATION:
            why = case.mediation.why if case.mediation else ""
            owner = case.mediation.owner if case.mediation else ""
            who = f"{owner} mediates" if owner else "a staff member has to take the case"
            proposed = f" {proposal}" if (proposal := _proposal(case)) else ""
            return f"{domain}: {case.old} has not released it ({why}); {who}.{proposed}"
        case State.ON_HOLD:
            why = f"{case.hold.code.value}: {case.hold.reason}" if case.hold else ""
            return f"{domain}: on hold ({why}); staff resume or cancel it."
        case State.COMMITTING:
            return f"{domain}: billing is being moved to {case.new}."
        case State.COMMIT_STUCK:
            why = case.stuck.why if case.stuck else ""
            return f"{domain}: billing could not be moved yet ({why}); staff look, then retry."
        case State.COMPLETED:
            return f"{domain}: {case.new} is billed since {_at(case.completed_at)}."
        case State.AWAITING:
            return f"{domain}: waiting for {_who_is_missing(case)}."
        case _:
            why = case.outcome_reason or case.outcome_code
            return f"{domain}: {case.state.value.lower()} ({why})."


def _proposal(case: Case) -> str | None:
    if case.proposal is None or case.mediation is None:
        return None
    who = case.proposal.staff
    return f"{who} proposes to release it ({case.proposal.reason}); a second person confirms."


def _who_is_missing(case: Case) -> str:
    missing = [
        f"{case.account(record.slot.party)} to {record.slot.value} by {_at(record.deadline)}"
        for record in case.slots
        if not record.authorized
    ]
    if case.doubts:
        missing.append(
            "staff to read ticket " + ", ".join(doubt.ticket.id for doubt in case.doubts)
        )
    return "; ".join(missing)


def _at(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "once resumed"


def _slot_view(record: Authorization) -> SlotView:
    return SlotView(
        state=record.state,
        ticket_id=record.ticket_id,
        by=record.by,
        at=record.said_at if record.by else None,
        deadline=record.deadline,
        rejected=tuple(_rejection_view(rejection) for rejection in record.rejected),
        refusal=str(record.refusal) if record.refusal else None,
    )


def _rejection_view(rejection: Rejection) -> RejectionView:
    return RejectionView(ticket_id=rejection.ticket_id, code=rejection.code, at=rejection.at)
