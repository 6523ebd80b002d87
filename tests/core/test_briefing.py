"""What staff are told of an escalation: why, what clears it, by when, and what they can do."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Any

import pytest
from typer.main import get_command

from tests.core.stories import (
    CHANGES,
    ambiguous,
    committing,
    in_mediation,
    mail_to,
    refused_by_old,
    started,
    told,
)
from transfer import briefing, commit, levers, mediation, offers
from transfer.adapters.tools import staff_reply, staff_ticket
from transfer.case import Case
from transfer.commands import staff as commands
from transfer.messages import EscalationState, EscalationUpdate, Hold, TakeCase
from transfer.policy import Policy, StaffRelease

PAST_DUE = "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002"
BY_TWO = Policy(staff_release=StaffRelease.TWO_PERSON)

DUE = started().received_at + timedelta(days=8)


def _stuck() -> Case:
    return commit.stuck(committing(), "the database is away", DUE)


def _escalation(case: Case) -> EscalationUpdate:
    page = mediation.escalation(case, DUE)
    assert page is not None
    return briefing.briefed(case, page, DUE)


def _suspended() -> Case:
    case = in_mediation()
    assert case.mediation is not None
    return case.having(mediation=case.mediation.model_copy(update={"why": "OLD_SUSPENDED"}))


@pytest.mark.parametrize(
    ("case", "why", "to_clear"),
    [
        (
            refused_by_old(PAST_DUE),
            "past due: 120.00 EUR, invoices 1001, 1002.",
            "transfer accounts paid example.com 1001 1002",
        ),
        (
            refused_by_old("Reason: CONTRACT_TERM_ACTIVE Ends: 2027-03-31"),
            "runs until 2027-03-31.",
            "The end of that contract on 2027-03-31.",
        ),
        (
            refused_by_old("Reason: OTHER they still owe us a cake"),
            "they still owe us a cake",
            "may delay the transfer and not stop it",
        ),
        (refused_by_old("Reason: UNRELATED_DEBT"), "a debt for something else", "talk to them"),
        (in_mediation(), "NO_RESPONSE: Acme Hosting did not answer by 2026-", "settles it"),
        (_suspended(), "Acme Hosting is suspended", "The end of its suspension."),
        (in_mediation(BY_TWO), "NO_RESPONSE", "or two members of staff in its place"),
        (_stuck(), "the database is away", "put it right"),
    ],
)
def test_it_says_why_and_what_clears_it(case: Case, why: str, to_clear: str) -> None:
    """With what the old reseller has named."""
    found = briefing.why(case)
    assert found is not None
    assert why in found.why
    assert to_clear in found.to_clear


def test_a_long_list_of_invoices_is_no_half_command() -> None:
    """It would record others as paid."""
    ids = ", ".join(f"{number:030}" for number in range(20))
    found = briefing.why(refused_by_old(f"Reason: PAST_DUE_BALANCE Amount: 1 EUR Invoices: {ids}"))
    assert found is not None
    assert "transfer accounts paid example.com INVOICE…" in found.to_clear


def test_nothing_is_said_where_nothing_is_escalated() -> None:
    """Though there are things that staff can do."""
    assert briefing.why(started()) is None
    assert {way.update for way in briefing.ways(started(), DUE)} >= {"hold", "cancel"}


def _waiting() -> list[Any]:
    held = levers.hold(in_mediation(), Hold(staff="sue", reason="so"), DUE)
    return [
        pytest.param(case, id=name)
        for name, case in {
            "mediation": in_mediation(),
            "two persons": in_mediation(BY_TWO),
            "ambiguous": ambiguous(),
            "held": held,
            "stuck": _stuck(),
        }.items()
    ]


@pytest.mark.parametrize("case", _waiting())
def test_every_way_is_a_command_that_can_be_typed_and_a_message_that_is_taken(case: Case) -> None:
    """Pasted as they stand, up to the point where they would be sent."""
    found = briefing.ways(case, DUE)
    assert found
    staff: Any = get_command(commands.staff)
    for way in found:
        words = shlex.split(way.command)
        assert words[:3] == ["transfer", "staff", briefing.COMMANDS[way.update]]
        staff.commands[words[2]].make_context(words[2], words[3:])  # raises where it cannot be read
        offer = next(o for o in offers.offers(case, DUE) if o.lever == way.update)
        kind = type(offer.messages[0])
        offers.LEVERS[way.update].rule(case, kind.model_validate(json.loads(way.message)), DUE)


def test_every_lever_has_its_command() -> None:
    """A new one cannot be forgotten."""
    assert briefing.COMMANDS.keys() == offers.LEVERS.keys()


def test_the_ticket_of_an_escalation_says_all_of_it() -> None:
    """Why, since when, by when, and how."""
    _, body = staff_ticket(_escalation(refused_by_old(PAST_DUE)))
    assert body.startswith("Acme Hosting has not released example.com to Globex.\n\nOPEN, level 1:")
    for said in (
        "Why: PAST_DUE_BALANCE: Acme Hosting says",
        "To clear it: The payment of what is due.",
        "Since: 2026-11-02 15:30 UTC",
        "Owner: nobody yet",
        "First touch by: 2026-11-03 15:30 UTC",
        "Second level: 2026-11-05 15:30 UTC",
        "  transfer staff take example.com --by 'your name' --reason why",
        '  take_case {"staff": "your name", "reason": "why"}',
    ):
        assert said in body


def test_a_reply_says_what_has_changed_and_not_what_stands_there_already() -> None:
    """Its owner, and the reason, which may be another one by now."""
    take = TakeCase(staff="sue", reason="mine")
    taken = levers.take_case(in_mediation(), take, DUE)
    update = _escalation(taken)
    text = staff_reply(update)
    assert text.startswith("TAKEN, level 1: NO_RESPONSE. Owner: sue.\n\nWhy: NO_RESPONSE")
    assert "transfer staff" not in text
    assert "First touch" not in update.detail
    held = levers.hold(taken, Hold(staff="sue", reason="so"), DUE)
    assert "its clocks stand still" in _escalation(held).detail


def test_one_that_is_closed_keeps_what_it_said() -> None:
    """What staff could have done is over."""
    case = in_mediation()
    page = mediation.escalation(case, DUE)
    assert page is not None
    closed = page.model_copy(update={"state": EscalationState.CLOSED})
    assert briefing.briefed(case, closed, DUE) == closed


def test_a_briefing_is_bounded_and_ends_with_a_whole_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(briefing, "MAX_BRIEFING", 700)
    detail = _escalation(in_mediation()).detail
    assert len(detail) <= 700
    assert detail.splitlines()[-1] == '  take_case {"staff": "your name", "reason": "why"}'


def test_the_mail_to_staff_says_all_of_it() -> None:
    """As the ticket does."""
    _, text = mail_to(told(*CHANGES["SLOT_REFUSED, past due"]()), "staff")
    flat = " ".join(text.split())
    for said in (
        "Why: PAST_DUE_BALANCE: Acme Hosting says that a balance is past due: 120.00 EUR",
        "To clear it: The payment of what is due. Record it then (transfer accounts paid",
        "Mediation since: Monday 2 November 2026",
        "Mediator: nobody yet, wanted by Tuesday 3 November 2026",
        "Second level: Thursday 5 November 2026",
        "transfer staff take example.com --by 'your name' --reason why",
        'take_case {"staff": "your name", "reason": "why"}',
    ):
        assert said in flat
