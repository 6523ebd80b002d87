"""The invariants of the trade that an example shows best.

Over random histories, all of them: ``tests/model``.
"""

from __future__ import annotations

import pytest

from tests.core.builders import (
    REFUSE_TEXT,
    at,
    code_of,
    committing,
    facts,
    opened,
    ready,
    request,
    submit,
    ticket,
)
from transfer import opening, submissions, views
from transfer.case import (
    Case,
    State,
)
from transfer.messages import TicketReading
from transfer.parties import Slot
from transfer.tickets import Ticket


@pytest.mark.parametrize("slot", list(Slot))
def test_03_a_ticket_of_a_delegated_session_is_invalid(slot: Slot) -> None:
    """The old reseller has full access to the customer's account."""
    assert code_of(opened(), ticket(slot, delegated=True)) == "DELEGATED_SESSION"


@pytest.mark.parametrize(
    ("words", "others", "code"),
    [
        ("example.com", "example.org", "DOMAIN_MISMATCH"),
        ("Acme Hosting", "Initech", "PARTY_MISMATCH"),
        ("Globex", "Initech", "PARTY_MISMATCH"),
    ],
)
def test_05_consent_binds_to_customer_old_and_new(words: str, others: str, code: str) -> None:
    """A different triple is a different transfer."""
    for slot in Slot:
        said_so = ticket(slot)
        if words in said_so.body:
            other = said_so.model_copy(update={"body": said_so.body.replace(words, others)})
            assert code_of(opened(), other) == code


def test_09_one_open_transfer_per_customer_by_construction() -> None:
    """Every domain of a customer leads to the same workflow id."""
    for domain in ("example.com", "exämple.example", "EXAMPLE.COM."):
        case = Case.received(request(domain=domain), "transfer-elsewhere.com", "k", at())
        case = opening.opened(case, facts(), at())
        assert (case.state, case.outcome_code) == (State.INVALID, "TRANSFER_ALREADY_OPEN")
    assert opening.transfer_id("example.com") == "transfer-example.com"


NASTY = "x\r\nBcc: a@b\n[link](http://evil) <b>\x00\x1b[31m\u202e" * 40


def test_17_what_a_stranger_writes_is_bounded_and_on_one_line() -> None:
    """In the evidence; what quotes it elsewhere escapes it."""
    author = {"id": "ann", "name": NASTY, "email": NASTY}
    fields = ticket(Slot.RELEASE, "1").model_dump() | {"author": author}
    for body in (REFUSE_TEXT + NASTY, NASTY, ticket(Slot.RELEASE).body):
        filed = Ticket.model_validate(fields | {"body": body[:2000]})
        case = submit(opened(), filed)
        for event in case.evidence:
            assert event.who.isprintable()
            assert event.detail.isprintable()
            assert len(event.who) <= 200
            assert len(event.detail) <= 1000
        assert views.summary(case).isprintable()
        assert len(views.summary(case)) < 1000


def test_18_any_number_of_signals_leaves_a_small_case() -> None:
    """Three floods at once, of the longest tickets there are: the case fits into one message."""
    for case in (opened(), ready(), committing()):
        for n in range(300):
            slot = list(Slot)[n % 3]
            body = "transfer? " + "x" * 19_000
            filed = ticket(slot, f"t{n}", at(days=2, minutes=n), body=body)
            case = submit(case, filed)  # noqa: PLW2901 - a flood
            nothing = TicketReading(ticket_id="n" * 60 + str(n))
            case, _ = submissions.submitted(case, nothing, at(days=2))  # noqa: PLW2901
        assert len(case.model_dump_json()) < 300_000
