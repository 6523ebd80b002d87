"""The preflight: everything that stands against a transfer, at once, each with a code and a fix."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.builders import ACME, EXAMPLE, GLOBEX, MONDAY, at, codes, facts, opened, request
from transfer import opening
from transfer.case import Case, SlotState, State

NOBODY: dict[str, Any] = {"administrators": ()}


def customer(**changes: Any) -> dict[str, Any]:
    """Facts in which the customer differs."""
    return {"customer": EXAMPLE.model_copy(update=changes)}


def new(**changes: Any) -> dict[str, Any]:
    """Facts in which the new reseller differs."""
    return {"new": GLOBEX.model_copy(update=changes)}


def old(**changes: Any) -> dict[str, Any]:
    """Facts in which the old reseller differs."""
    return {"old": ACME.model_copy(update=changes)}


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("DOMAIN_INVALID", {"customer": None, "old": None}, {"domain": "http://example.com"}),
    ("UNKNOWN_DOMAIN", {"customer": None, "old": None}, {"domain": "example.net"}),
    ("UNKNOWN_RESELLER", {"new": None}, {}),
    ("UNKNOWN_RESELLER", {"old": None}, {}),
    ("SAME_RESELLER", {"new": ACME}, {}),
    ("NOT_CURRENT_RESELLER", {}, {"old_reseller": "initech"}),
    ("NEW_SUSPENDED", new(suspended=True), {}),
    ("NEW_NO_BILLING_ACCOUNT", new(billing_account=""), {}),
    ("NO_ADMIN_CONTACT(old_reseller)", old(**NOBODY), {}),
    ("NO_ADMIN_CONTACT(customer)", customer(**NOBODY), {}),
    ("NO_ADMIN_CONTACT(new_reseller)", new(**NOBODY), {}),
    ("CUSTOMER_SUSPENDED", customer(suspended=True), {}),
    ("CUSTOMER_TERMINATING", customer(terminating=True), {}),
    ("TRANSFER_ALREADY_OPEN", {"open_transfer": "transfer-other.example"}, {}),
    ("IN_COOLDOWN", customer(locked_until=at(days=1)), {}),
    ("LEGAL_HOLD", customer(legal_hold=True), {}),
]


@pytest.mark.parametrize(("code", "known", "asked"), CASES)
def test_each_finding_has_its_code_and_a_fix_and_ends_in_invalid(
    code: str, known: dict[str, Any], asked: dict[str, Any]
) -> None:
    """The business outcome is a result, never a failure."""
    found = opening.preflight(request(**asked), facts(**known), MONDAY)
    assert [finding.code for finding in found] == [code]
    assert found[0].fix.endswith(".")
    assert not found[0].warning
    case = opened(facts(**known), **asked)
    assert case.state is State.INVALID
    assert case.outcome_code == code
    assert case.findings == found


def test_all_findings_come_at_once() -> None:
    """Nobody mends one thing only to hear of the next."""
    known = facts(
        **customer(suspended=True, terminating=True, legal_hold=True, locked_until=at(days=3)),
        **new(suspended=True, billing_account="", **NOBODY),
        **old(**NOBODY),
        open_transfer="transfer-x.example",
    )
    found = opening.preflight(request(old_reseller="initech"), known, MONDAY)
    assert {finding.code for finding in found} == {
        *("CUSTOMER_SUSPENDED", "CUSTOMER_TERMINATING", "LEGAL_HOLD", "IN_COOLDOWN"),
        *("NEW_SUSPENDED", "NEW_NO_BILLING_ACCOUNT", "NO_ADMIN_CONTACT(new_reseller)"),
        *("NO_ADMIN_CONTACT(old_reseller)", "NOT_CURRENT_RESELLER", "TRANSFER_ALREADY_OPEN"),
    }


def test_an_unknown_old_reseller_hides_nothing_about_the_customer() -> None:
    """All at once, whatever is missing."""
    known = facts(**customer(suspended=True), old=None)
    found = opening.preflight(request(), known, MONDAY)
    assert {finding.code for finding in found} == {"UNKNOWN_RESELLER", "CUSTOMER_SUSPENDED"}


def test_a_suspended_old_reseller_is_a_warning_and_goes_straight_to_mediation() -> None:
    """It cannot file a ticket; the other two are asked all the same."""
    case = opened(facts(**old(suspended=True, **NOBODY)))
    assert [(f.code, f.warning) for f in case.findings] == [("OLD_SUSPENDED", True)]
    assert case.state is State.MEDIATION
    assert case.mediation is not None
    assert case.mediation.why == "OLD_SUSPENDED"
    assert {record.state for record in case.slots} == {SlotState.REQUESTED}


@pytest.mark.parametrize("claim", ["acme", "ACME hosting", " Acme ", "Acme Hosting."])
def test_the_old_reseller_may_be_claimed_by_any_of_its_names(claim: str) -> None:
    """A claim is checked, never trusted."""
    assert opened(old_reseller=claim).state is State.AWAITING


def test_a_lock_that_is_over_is_none() -> None:
    """The lock ends at its instant."""
    assert opened(facts(**customer(locked_until=MONDAY))).state is State.AWAITING


def test_an_open_transfer_pins_its_parties_and_asks_all_three_at_once() -> None:
    """By id, whatever they are called later."""
    case = opened(domain="exämple.example", new_reseller="GLBX")
    assert case.domain == "example.com"
    assert (case.old.id, case.customer.id, case.new.id) == ("acme", "C-1", "globex")
    assert {record.requested_at for record in case.slots} == {MONDAY}
    assert codes(case) == ["RECEIVED", "OPENED"]


def test_a_customer_has_one_workflow_id_whichever_of_its_domains_was_named() -> None:
    """The second domain's id would allow a second open transfer."""
    case = Case.received(
        request(domain="exämple.example"), "transfer-xn--exmple-cua.example", "k", MONDAY
    )
    case = opening.opened(case, facts(), MONDAY)
    assert case.state is State.INVALID
    assert case.outcome_code == "TRANSFER_ALREADY_OPEN"
    assert "transfer-example.com" in case.findings[0].fix


def test_no_deadline_of_a_party_lies_after_the_end_of_the_transfer() -> None:
    """A short lifetime shortens them all."""
    case = opened(lifetime="3d")
    assert {record.deadline for record in case.slots} == {at(days=3)}


def test_a_request_with_a_wild_domain_is_shown_on_one_line() -> None:
    """What was typed may be no domain at all."""
    case = Case.received(request(domain="evil\r\nBcc: x" + "x" * 900), "transfer-x", "k", MONDAY)
    assert "\n" not in case.domain
    assert len(case.domain) <= 253
    assert case.shown_domain == case.domain
