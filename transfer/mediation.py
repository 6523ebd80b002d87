"""Mediation: staff talk to an old reseller that refuses, withdraws or is silent."""

from __future__ import annotations

from datetime import datetime

from transfer.case import Case, Mediation, SlotState
from transfer.messages import EscalationState, EscalationUpdate, Owed
from transfer.parties import Slot, fold
from transfer.tickets import Reason


def escalated(case: Case, why: str, now: datetime) -> Case:
    """The case in mediation. One that is open keeps its owner and clocks, and learns the reason."""
    if case.mediation is not None:
        return case.having(mediation=case.mediation.model_copy(update={"why": why}))
    policy = case.policy
    opened = Mediation(
        opened_at=now,
        why=why,
        first_touch_by=policy.after(now, policy.first_touch),
        second_level_at=policy.after(now, policy.second_level),
    )
    return case.having(mediation=opened, commit_at=None).noting(
        "MEDIATION", "transfer", now, detail=why
    )


def owed(case: Case) -> Owed | None:
    """The invoices whose payment the old reseller waits for; ``None`` where it has another reason.

    Ids are folded, as people write them in many ways.
    """
    if not case.slots or not case.is_open_to_parties:
        return None
    record = case.slot(Slot.RELEASE)
    refusal = record.refusal
    if record.state not in (SlotState.REFUSED, SlotState.WITHDRAWN) or refusal is None:
        return None
    if refusal.reason is not Reason.PAST_DUE_BALANCE or not refusal.invoices:
        return None
    return Owed(
        ticket_id=record.ticket_id or "",
        reseller=case.old.id,
        invoices=tuple(map(fold, refusal.invoices))[:100],
    )


def escalation(case: Case, now: datetime) -> EscalationUpdate | None:
    """What the staff queue must show of this case now; ``None`` while nothing is escalated."""
    if case.is_terminal:
        return None
    if case.stuck is not None and case.committing_since is not None:
        return EscalationUpdate(
            key=f"{case.key}@{case.committing_since:%Y%m%dT%H%M%S}",
            transfer_id=case.transfer_id,
            state=EscalationState.OPEN,
            level=1,
            why="COMMIT_STUCK",
            detail=case.stuck.why,
            opened_at=case.committing_since,
            at=now,
        )
    if case.mediation is None:
        return None
    mediation = case.mediation
    return EscalationUpdate(
        key=f"{case.key}@{mediation.opened_at:%Y%m%dT%H%M%S}",
        transfer_id=case.transfer_id,
        state=EscalationState.TAKEN if mediation.owner else EscalationState.OPEN,
        level=mediation.level,
        why=mediation.why,
        detail=f"{case.old} has not released {case.shown_domain} to {case.new}.",
        owner=mediation.owner,
        opened_at=mediation.opened_at,
        touch_by=None if mediation.owner else mediation.first_touch_by,
        at=now,
    )
