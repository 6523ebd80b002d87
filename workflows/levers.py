"""Levers: what staff may do, as updates. The rules are the core's; here they get their names.

The validator asks the core and throws the answer away; so what is not allowed is refused before it
is written into the history, with the rule's name and a sentence that says why not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue

from transfer import levers, views
from transfer.case import Case
from transfer.details import details
from transfer.messages import (
    AdmitTicket,
    Cancel,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StaffAction,
    TakeCase,
)
from workflows.doorbells import NOTHING, decoded

_Action = TypeVar("_Action", bound=StaffAction)
_Rule = Callable[[Case, _Action, datetime], Case]


class Levers:
    """Staff's updates. Each answers with the status after it."""

    _case: Case

    def _show_details(self) -> None:
        """Keep true what staff read; not only when it is told: an activity may take its time."""
        workflow.set_current_details(details(self._case, workflow.now()))

    def _check(self, rule: _Rule[_Action], kind: type[_Action], body: RawValue) -> None:
        rule(self._case, decoded(kind, body), workflow.now())

    def _pull(self, rule: _Rule[_Action], kind: type[_Action], body: RawValue) -> views.Status:
        self._case = rule(self._case, decoded(kind, body), workflow.now())
        self._show_details()
        return views.status(self._case)

    @workflow.update(
        description="Move a deadline later (which: release, authorize, accept or transfer): "
        '{"staff": "sam", "reason": "asked", "until": "2026-12-24T12:00:00Z", "which": "release"}'
    )
    def extend_deadline(self, body: RawValue = NOTHING) -> views.Status:
        """Move the transfer's or a party's deadline later."""
        return self._pull(levers.extend_deadline, ExtendDeadline, body)

    @extend_deadline.validator
    def _check_extend_deadline(self, body: RawValue = NOTHING) -> None:
        self._check(levers.extend_deadline, ExtendDeadline, body)

    @workflow.update(
        description="Stop every clock until resumed: "
        '{"staff": "sam", "reason": "two owners claim it", "code": "OWNERSHIP_DISPUTED"}'
    )
    def hold(self, body: RawValue = NOTHING) -> views.Status:
        """Stop every clock until resumed."""
        return self._pull(levers.hold, Hold, body)

    @hold.validator
    def _check_hold(self, body: RawValue = NOTHING) -> None:
        self._check(levers.hold, Hold, body)

    @workflow.update(
        description='Go on after a hold: {"staff": "sam", "reason": "the owner is known"}'
    )
    def resume(self, body: RawValue = NOTHING) -> views.Status:
        """Go on after a hold."""
        return self._pull(levers.resume, Resume, body)

    @resume.validator
    def _check_resume(self, body: RawValue = NOTHING) -> None:
        self._check(levers.resume, Resume, body)

    @workflow.update(
        description="End the transfer, for good: "
        '{"staff": "sam", "reason": "the customer called", "code": "CUSTOMER_OBJECTS"}'
    )
    def cancel(self, body: RawValue = NOTHING) -> views.Status:
        """End the transfer."""
        return self._pull(levers.cancel, Cancel, body)

    @cancel.validator
    def _check_cancel(self, body: RawValue = NOTHING) -> None:
        self._check(levers.cancel, Cancel, body)

    @workflow.update(description='Become the mediator: {"staff": "sam", "reason": "mine"}')
    def take_case(self, body: RawValue = NOTHING) -> views.Status:
        """Become the mediator."""
        return self._pull(levers.take_case, TakeCase, body)

    @take_case.validator
    def _check_take_case(self, body: RawValue = NOTHING) -> None:
        self._check(levers.take_case, TakeCase, body)

    @workflow.update(
        description="Decide what an ambiguous ticket says (what: a signal's name): "
        '{"staff": "sam", "reason": "clear enough", "ticket_id": "1042", "what": "authorize"}'
    )
    def admit_ticket(self, body: RawValue = NOTHING) -> views.Status:
        """Decide what an ambiguous ticket says."""
        return self._pull(levers.admit_ticket, AdmitTicket, body)

    @admit_ticket.validator
    def _check_admit_ticket(self, body: RawValue = NOTHING) -> None:
        self._check(levers.admit_ticket, AdmitTicket, body)

    @workflow.update(
        description="Decide that an ambiguous ticket does not count: "
        '{"staff": "sam", "reason": "sets a condition", "ticket_id": "1042"}'
    )
    def reject_ticket(self, body: RawValue = NOTHING) -> views.Status:
        """Decide that an ambiguous ticket does not count."""
        return self._pull(levers.reject_ticket, RejectTicket, body)

    @reject_ticket.validator
    def _check_reject_ticket(self, body: RawValue = NOTHING) -> None:
        self._check(levers.reject_ticket, RejectTicket, body)

    @workflow.update(
        description="Release in the old reseller's place; a second person confirms by the same: "
        '{"staff": "sam", "reason": "bankrupt, see file 7"}'
    )
    def release_on_behalf(self, body: RawValue = NOTHING) -> views.Status:
        """Release in the old reseller's place, by two staff members, where the policy allows it."""
        return self._pull(levers.release_on_behalf, ReleaseOnBehalf, body)

    @release_on_behalf.validator
    def _check_release_on_behalf(self, body: RawValue = NOTHING) -> None:
        self._check(levers.release_on_behalf, ReleaseOnBehalf, body)

    @workflow.update(
        description='Try a stuck commit again, now: {"staff": "sam", "reason": "database mended"}'
    )
    def retry_commit(self, body: RawValue = NOTHING) -> views.Status:
        """Try a stuck commit again, now."""
        return self._pull(levers.retry_commit, RetryCommit, body)

    @retry_commit.validator
    def _check_retry_commit(self, body: RawValue = NOTHING) -> None:
        self._check(levers.retry_commit, RetryCommit, body)
