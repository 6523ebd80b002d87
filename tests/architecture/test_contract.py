"""What strangers rely on: these names stay as they are."""

from __future__ import annotations

import inspect

from temporalio import workflow

from activities.accounts import AccountActivities
from activities.notices import NoticeActivities
from activities.staff import StaffActivities
from activities.tickets import TicketActivities
from transfer import opening, views
from transfer.attributes import KEYS
from transfer.case import TERMINAL, SlotState, State
from transfer.messages import (
    AdmitTicket,
    Cancel,
    Doorbell,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StaffAction,
    Submission,
    SubmissionAnswer,
    TakeCase,
)
from transfer.parties import Slot
from transfer.temporal import TASK_QUEUE, WORKFLOW_TYPE
from transfer.tickets import Intent
from transfer.values import Value
from workflows.customer_transfer import CustomerTransfer, Start

_DEFINITION = workflow._Definition.must_from_class(CustomerTransfer)


def test_the_workflow_its_id_and_its_task_queue_keep_their_names() -> None:
    assert _DEFINITION.name == WORKFLOW_TYPE == "CustomerTransfer"
    assert TASK_QUEUE == "customer-transfers"
    assert opening.transfer_id("example.com") == "transfer-example.com"


def test_signals_keep_their_names_and_their_one_argument() -> None:
    assert {name for name in _DEFINITION.signals if name} == {
        "release",
        "authorize",
        "accept",
        "refuse",
        "withdraw",
    }
    assert None in _DEFINITION.signals, "unknown names are taken in too"
    assert set(Doorbell.model_fields) == {"ticket_id"}


def test_updates_keep_their_names_and_their_fields() -> None:
    who_and_why = {"staff", "reason"}
    fields: dict[str, tuple[type[Value], set[str]]] = {
        "submit": (Submission, {"what", "ticket_id"}),
        "extend_deadline": (ExtendDeadline, who_and_why | {"until", "which"}),
        "hold": (Hold, who_and_why | {"code"}),
        "resume": (Resume, who_and_why),
        "cancel": (Cancel, who_and_why | {"code"}),
        "take_case": (TakeCase, who_and_why),
        "admit_ticket": (AdmitTicket, who_and_why | {"ticket_id", "what"}),
        "reject_ticket": (RejectTicket, who_and_why | {"ticket_id"}),
        "release_on_behalf": (ReleaseOnBehalf, who_and_why),
        "retry_commit": (RetryCommit, who_and_why),
    }
    assert set(_DEFINITION.updates) == set(fields)
    for name, (message, wanted) in fields.items():
        assert set(message.model_fields) >= wanted, name
    assert set(SubmissionAnswer.model_fields) >= {"accepted", "slot", "code", "fix"}
    assert {intent.value for intent in Intent} == {*Slot, "refuse", "withdraw"}


def test_every_update_has_a_validator_and_every_handler_a_description() -> None:
    """Without a validator, the wrong number of arguments would wedge the transfer."""
    for name, update in _DEFINITION.updates.items():
        assert update.validator is not None, name
        assert update.description, name
        assert list(inspect.signature(update.fn).parameters) == ["self", "body"], name
    for signal in _DEFINITION.signals.values():
        assert signal.description
        assert not inspect.iscoroutinefunction(signal.fn), "doorbells only ring"


def test_queries_keep_their_names_and_the_keys_of_their_answers() -> None:
    assert set(_DEFINITION.queries) == {"status", "evidence"}
    assert set(views.Status.model_fields) >= {
        "transfer_id",
        "state",
        "customer_domain",
        "old_reseller",
        "new_reseller",
        "waiting_on",
        "escalated",
        "slots",
        "next_deadline",
        "commit_at",
        "summary",
    }
    slot = {"state", "ticket_id", "by", "at", "deadline", "rejected"}
    assert set(views.SlotView.model_fields) >= slot
    assert set(views.RejectionView.model_fields) >= {"ticket_id", "code", "at"}
    assert set(views.NextDeadline.model_fields) == {"at", "what"}
    assert "outcome" in views.Outcome.model_fields


def test_states_keep_their_names() -> None:
    assert set(State) == {
        "VALIDATING",
        "AWAITING",
        "MEDIATION",
        "ON_HOLD",
        "READY",
        "COMMITTING",
        "COMMIT_STUCK",
        *TERMINAL,
    }
    assert {"COMPLETED", "REFUSED", "WITHDRAWN", "EXPIRED", "CANCELLED", "INVALID"} == TERMINAL
    assert set(SlotState) == {"REQUESTED", "AUTHORIZED", "REFUSED", "WITHDRAWN", "LAPSED"}


def test_search_attributes_keep_their_names_and_kinds() -> None:
    assert {key.name: key.indexed_value_type.name for key in KEYS} == {
        "TransferState": "KEYWORD",
        "WaitingOn": "KEYWORD_LIST",
        "CustomerDomain": "KEYWORD",
        "OldReseller": "KEYWORD",
        "NewReseller": "KEYWORD",
        "Escalated": "BOOL",
        "NextDeadline": "DATETIME",
    }
    assert {key.name for key in KEYS} == set(views.Attributes._fields)


def test_activities_keep_their_names() -> None:
    """Open transfers have them in their histories."""
    methods = (
        TicketActivities.survey,
        TicketActivities.read_tickets,
        NoticeActivities.publish,
        AccountActivities.move_billing,
        StaffActivities.escalate,
    )
    names = [getattr(method, "__temporal_activity_definition").name for method in methods]
    assert names == ["survey", "read_tickets", "publish", "move_billing", "escalate"]


def test_what_a_start_and_a_staff_action_need_stays_little() -> None:
    """Whoever wrote a script years ago gives these fields, and no others."""
    assert _required(Start) == {"domain", "new_reseller"}
    for action in StaffAction.__subclasses__():
        added = _required(action) - {"staff", "reason"}
        assert added <= {"until", "ticket_id", "what"}, action


def _required(message: type[Start] | type[StaffAction]) -> set[str]:
    return {name for name, field in message.model_fields.items() if field.is_required()}
