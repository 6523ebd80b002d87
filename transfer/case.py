"""The case: everything a transfer knows, as one immutable value.

Rules live beside it, each in the module named for it, as functions ``(case, …, now) -> Case``:
``opening`` (preflight), ``submissions`` (tickets), ``clocks`` (reminders, deadlines), ``levers``
(staff), ``commit`` (re-check, billing). This module holds what the case *is*. Its state is not
stored but derived, so that it cannot contradict the slots.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field

from transfer import domains
from transfer.messages import StopCode, TransferRequest
from transfer.parties import Account, Charges, Party, Slot
from transfer.policy import Policy
from transfer.tickets import Refusal, Ticket
from transfer.values import Instant, Value, fingerprint, one_line

MAX_EVIDENCE = 300
"""Evidence kept in the case for the query; all of it is in the database."""
MAX_DETAIL = 2200
"""Characters of a piece of evidence: the longest reason that staff can give, and a code."""
MAX_REJECTED = 20
"""Rejections kept a slot."""
MAX_DOUBTS = 7
"""Ambiguous tickets of one party that wait for staff at the same time."""
MAX_DOUBT_TEXT = 2000
"""Characters kept of an ambiguous ticket's body; staff read the rest in the ticket system."""


class State(StrEnum):
    """Where a transfer is."""

    VALIDATING = "VALIDATING"
    AWAITING = "AWAITING"
    MEDIATION = "MEDIATION"
    ON_HOLD = "ON_HOLD"
    READY = "READY"
    COMMITTING = "COMMITTING"
    COMMIT_STUCK = "COMMIT_STUCK"
    COMPLETED = "COMPLETED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    INVALID = "INVALID"


TERMINAL = frozenset(
    {
        State.COMPLETED,
        State.REFUSED,
        State.WITHDRAWN,
        State.EXPIRED,
        State.CANCELLED,
        State.INVALID,
    }
)
COMMIT_STATES = frozenset({State.COMMITTING, State.COMMIT_STUCK})


class SlotState(StrEnum):
    """Where one authorization is."""

    REQUESTED = "REQUESTED"
    AUTHORIZED = "AUTHORIZED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    LAPSED = "LAPSED"


_NO = {SlotState.REFUSED: State.REFUSED, SlotState.WITHDRAWN: State.WITHDRAWN}
"""A no of the customer or the new reseller ends the transfer; one of the old reseller does not."""
_VERB = {State.REFUSED: "refused", State.WITHDRAWN: "withdrew"}


class Rejection(Value):
    """A submission that was judged invalid. ``decided`` tells that staff read an unclear text."""

    ticket_id: str
    code: str
    at: Instant
    revision: int = 0
    decided: bool = False


class Authorization(Value):
    """One slot: what was asked of its party, and what it has said so far.

    ``said_at`` and ``revision`` order what the party said, by the ticket's time and not by arrival:
    they belong to the newest yes or no. ``not_before`` is set when the charges changed: a yes from
    before has not seen them. ``reminders`` are the instants still to come, ``reminded`` counts
    those that went out. ``charges`` are those the new reseller accepted. ``admitted`` tells that
    staff decided what the text says. ``cleared`` is the ticket, and its revision, whose no does not
    stand any more, since what it waited for has happened.
    """

    slot: Slot
    state: SlotState = SlotState.REQUESTED
    deadline: Instant
    requested_at: Instant | None = None
    reminders: tuple[Instant, ...] = ()
    reminded: int = 0
    not_before: Instant | None = None
    ticket_id: str | None = None
    url: str = ""
    by: str | None = None
    by_id: str = ""
    by_email: str = ""
    said_at: Instant | None = None
    revision: int = 0
    filed_at: Instant | None = None
    charges: Charges | None = None
    refusal: Refusal | None = None
    admitted: bool = False
    released_by_staff: bool = False
    cleared: tuple[str, int] | None = None
    rejected: tuple[Rejection, ...] = ()
    rejected_count: int = 0

    @property
    def authorized(self) -> bool:
        """Whether a valid yes stands."""
        return self.state is SlotState.AUTHORIZED


class OnHold(Value):
    """Staff stopped every clock."""

    at: Instant
    by: str
    code: StopCode
    reason: str


class Mediation(Value):
    """Staff talk to the old reseller. ``owner`` stops the first-touch clock."""

    opened_at: Instant
    why: str
    first_touch_by: Instant
    second_level_at: Instant
    owner: str = ""
    reminded: bool = False
    level: int = 1


class Doubt(Value):
    """A ticket whose text is unclear: staff admit or reject it."""

    ticket: Ticket
    slot: Slot
    at: Instant


class Proposal(Value):
    """One staff member's proposal to release in the old reseller's place."""

    staff: str
    reason: str
    at: Instant


class Stuck(Value):
    """Why a commit did not go through."""

    at: Instant
    why: str


class Evidence(Value):
    """One thing that happened: who, when, a code, the ticket that proves it."""

    seq: int
    at: Instant
    who: str
    code: str
    detail: str = ""
    ticket_id: str | None = None
    slot: Slot | None = None

    @property
    def mark(self) -> str:
        """What tells this event from any other one, also from one of the same number.

        A workflow task that is lost is run again, and may decide otherwise; what it had published
        before stays true, and stays.
        """
        return fingerprint(
            str(self.seq), self.code, self.detail, self.ticket_id or "", self.slot or ""
        )


class Finding(Value):
    """One result of the preflight: a code and the fix. A warning does not stop a transfer."""

    code: str
    fix: str
    warning: bool = False


class Case(Value):
    """One transfer. ``key`` is unique for ever: the domain's workflow id is used again and again.

    ``strangers`` are rejections that belong to no slot: of tickets that do not exist, or that an
    account filed which is no party.
    """

    key: str
    transfer_id: str
    request: TransferRequest
    received_at: Instant
    domain: str
    customer: Account
    old: Account
    new: Account
    charges: Charges | None = None
    slots: tuple[Authorization, ...] = ()
    expires_at: Instant | None = None
    extendable_to: Instant | None = None
    hold: OnHold | None = None
    mediation: Mediation | None = None
    proposal: Proposal | None = None
    doubts: tuple[Doubt, ...] = ()
    commit_at: Instant | None = None
    committing_since: Instant | None = None
    stuck: Stuck | None = None
    was_stuck: bool = False
    completed_at: Instant | None = None
    outcome: State | None = None
    outcome_code: str = ""
    outcome_reason: str = ""
    findings: tuple[Finding, ...] = ()
    unknown_tickets: int = 0
    strangers: tuple[Rejection, ...] = ()
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=MAX_EVIDENCE)
    evidence_count: int = 0

    @classmethod
    def received(cls, request: TransferRequest, transfer_id: str, key: str, now: datetime) -> Self:
        """A transfer that was asked for and not looked at yet. Its domain may not even be one."""
        shown = one_line(request.domain)[: domains.MAX_LENGTH]
        return cls(
            key=key,
            transfer_id=transfer_id,
            request=request,
            received_at=now,
            domain=shown,
            customer=Account(id="", name=shown),
            old=Account(id=request.old_reseller or ""),
            new=Account(id=request.new_reseller),
        ).noting("RECEIVED", request.requested_by, now, detail=f"to {request.new_reseller}")

    # -- what it is ----------------------------------------------------------------------------
    @property
    def policy(self) -> Policy:
        """The clocks and choices pinned at the start."""
        return self.request.policy

    @property
    def state(self) -> State:
        """Where the transfer is, derived from all the rest."""
        if self.outcome is not None:
            return self.outcome
        if not self.slots:
            return State.VALIDATING
        if self.stuck is not None:
            return State.COMMIT_STUCK
        if self.committing_since is not None:
            return State.COMMITTING
        if self.hold is not None:
            return State.ON_HOLD
        if self.commit_at is not None:
            return State.READY
        return State.MEDIATION if self.mediation is not None else State.AWAITING

    @property
    def is_terminal(self) -> bool:
        """Whether the transfer is over, for good."""
        return self.outcome is not None

    @property
    def is_open_to_parties(self) -> bool:
        """Whether what a party says can still change anything."""
        return bool(self.slots) and not self.is_terminal and self.state not in COMMIT_STATES

    @property
    def fully_authorized(self) -> bool:
        """Whether all three slots hold a valid yes."""
        return bool(self.slots) and all(slot.authorized for slot in self.slots)

    @property
    def shown_domain(self) -> str:
        """The domain as people read it."""
        return domains.display(self.domain)

    def slot(self, slot: Slot) -> Authorization:
        """The record of one authorization. The case must have been opened."""
        return next(record for record in self.slots if record.slot is slot)

    def account(self, party: Party) -> Account:
        """The account of a party."""
        return {Party.OLD: self.old, Party.CUSTOMER: self.customer, Party.NEW: self.new}[party]

    def slot_of_account(self, account: str) -> Slot | None:
        """The slot that this account may fill, if it is one of the three."""
        return next((s for s in Slot if self.account(s.party).id == account), None)

    # -- small steps that every rule is made of ------------------------------------------------
    def noting(
        self,
        code: str,
        who: str,
        now: datetime,
        *,
        detail: str = "",
        ticket_id: str | None = None,
        slot: Slot | None = None,
    ) -> Self:
        """The case with one more piece of evidence. The oldest leaves when there are too many."""
        entry = Evidence(
            seq=self.evidence_count + 1,
            at=now,
            who=one_line(who),
            code=code,
            detail=one_line(detail)[:MAX_DETAIL],
            ticket_id=ticket_id,
            slot=slot,
        )
        return self.model_copy(
            update={
                "evidence": (*self.evidence, entry)[-MAX_EVIDENCE:],
                "evidence_count": entry.seq,
            }
        )

    def having(self, **changes: object) -> Self:
        """The case with these fields changed."""
        return self.model_copy(update=changes)

    def with_slot(self, record: Authorization) -> Self:
        """The case with one slot's record changed."""
        return self.having(slots=tuple(record if r.slot is record.slot else r for r in self.slots))

    def ended(
        self, outcome: State, who: str, now: datetime, *, code: str = "", reason: str = ""
    ) -> Self:
        """The case, over. Nobody is waited for any more; and what is over stays as it ended."""
        if self.is_terminal:
            return self
        return self.having(
            outcome=outcome,
            outcome_code=code,
            outcome_reason=reason,
            commit_at=None,
            hold=None,
            doubts=(),
            proposal=None,
        ).noting(outcome.value, who, now, detail=reason or code)

    def settled(self, now: datetime) -> Self:
        """The case after its slots changed: READY when all three agree, else waiting again.

        A hold keeps everything as it is; what came in meanwhile counts when it is lifted.
        """
        if self.is_terminal or self.hold is not None or self.state in COMMIT_STATES:
            return self
        for record in self.slots:
            if record.slot is not Slot.RELEASE and record.state in _NO:
                outcome, who = _NO[record.state], record.by or record.slot.party.value
                reason = f"{self.account(record.slot.party)} {_VERB[outcome]}"
                return self.ended(outcome, who, now, code=record.slot.value, reason=reason)
        if not self.fully_authorized:
            return self.having(commit_at=None)
        settled = self.having(mediation=None, proposal=None)
        if settled.commit_at is not None:
            return settled
        commit_at = self.policy.after(now, self.policy.grace)
        return settled.having(commit_at=commit_at).noting(
            "READY", "transfer", now, detail=f"billing moves at {commit_at:%Y-%m-%d %H:%M} UTC"
        )


class Publication(Value):
    """What happened to a case since it was last told of: evidence to keep, and who to tell.

    ``case`` carries no evidence of its own; ``events`` are the new ones.
    """

    case: Case
    events: tuple[Evidence, ...]

    @property
    def mark(self) -> str:
        """What tells this publication from any other one of its transfer."""
        return fingerprint(*(event.mark for event in self.events))
