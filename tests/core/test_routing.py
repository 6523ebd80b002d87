"""Where announced tickets go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.core.builders import ACME, EXAMPLE, GLOBEX, MONDAY, PROCEDURE, at, edited, ticket
from transfer.messages import TicketReading
from transfer.parties import CustomerRecord, ResellerRecord, Slot
from transfer.policy import Policy
from transfer.routing import Heard, Known, Otherwise, Route, domains_named, may_not_open, route
from transfer.tickets import Channel, Intent, Ticket

OTHER = EXAMPLE.model_copy(update={"id": "C-2", "domains": ("other.example",)})
HOLDER: dict[Slot, CustomerRecord | ResellerRecord] = {
    Slot.RELEASE: ACME,
    Slot.AUTHORIZE: EXAMPLE,
    Slot.ACCEPT: GLOBEX,
}


def routed(filed: Ticket, known: Known, *, created: bool = True, **policy: Any) -> Route:
    """Where it goes."""
    return route(Heard(ticket=filed, created=created), known, Policy(**policy))


def of(slot: Slot, *named: Any, **fields: Any) -> Known:
    """What is on record about a party's ticket that names example.com."""
    return Known(holder=HOLDER[slot], named=named or (EXAMPLE,), **fields)


def text(slot: Slot, body: str, subject: str = "Question") -> Ticket:
    """A party's ticket in its own words."""
    return ticket(slot, subject=subject, body=body)


@pytest.mark.parametrize("slot", Slot)
def test_each_partys_ticket_rings_at_the_customers_transfer(slot: Slot) -> None:
    found = routed(ticket(slot), of(slot))
    assert (found.transfer_id, found.what.value) == ("transfer-example.com", slot.value)


def test_the_customers_or_the_current_resellers_ticket_opens_a_transfer() -> None:
    for slot, old in ((Slot.AUTHORIZE, "Acme Hosting"), (Slot.RELEASE, None)):
        found = routed(ticket(slot), of(slot))
        assert found.otherwise is Otherwise.OPEN
        assert found.request is not None
        assert (found.request.domain, found.request.new_reseller) == ("example.com", "Globex")
        assert found.request.old_reseller == old
        assert found.request.requested_by == f"ticket {slot.value}-1"


def test_the_new_resellers_ticket_waits_for_its_transfer() -> None:
    found = routed(ticket(Slot.ACCEPT), of(Slot.ACCEPT))
    assert (found.otherwise, found.why) == (Otherwise.PARK, "WAITS_FOR_TRANSFER")


def test_a_policy_can_leave_opening_to_operators() -> None:
    found = routed(ticket(Slot.AUTHORIZE), of(Slot.AUTHORIZE), ticket_opens_transfer=False)
    assert (found.otherwise, found.request) == (Otherwise.PARK, None)


def test_an_old_ticket_announced_again_opens_nothing() -> None:
    """Our own replies on a ticket announce it again: they must not loop."""
    found = routed(ticket(Slot.AUTHORIZE), of(Slot.AUTHORIZE), created=False)
    assert (found.otherwise, found.why) == (Otherwise.PARK, "NOT_A_NEW_TICKET")


def test_a_ticket_that_served_rings_where_it_served_and_nowhere_else() -> None:
    """Whatever it says now: it may have been changed to say something else."""
    for filed in (ticket(Slot.ACCEPT), text(Slot.ACCEPT, "Thank you")):
        found = routed(filed, of(Slot.ACCEPT, served="transfer-before.example"), created=False)
        assert (found.transfer_id, found.otherwise) == (
            "transfer-before.example",
            Otherwise.IGNORE,
        )


def test_nobodys_ticket_and_small_talk_go_nowhere() -> None:
    assert routed(ticket(Slot.ACCEPT), Known()).why == "UNKNOWN_ACCOUNT"
    found = routed(text(Slot.AUTHORIZE, "My example.com is slow."), of(Slot.AUTHORIZE))
    assert (found.transfer_id, found.otherwise) == (None, Otherwise.IGNORE)
    found = routed(text(Slot.ACCEPT, "How do I authorize?"), Known(holder=GLOBEX))
    assert (found.transfer_id, found.why) == (None, "UNKNOWN_DOMAIN")
    assert found.otherwise is Otherwise.IGNORE


def test_what_is_unclear_rings_and_otherwise_waits_for_staff() -> None:
    """A transfer rejects it with a code and a fix; nothing is opened by a guess."""
    words = "Please move example.com to Globex soon, if you can"
    for slot in Slot:
        found = routed(text(slot, words), of(slot))
        assert (found.transfer_id, found.what.value) == ("transfer-example.com", slot.value)
        assert (found.otherwise, found.why) == (Otherwise.PARK, "TEXT_AMBIGUOUS")
    vague = routed(text(Slot.AUTHORIZE, "We are moving house"), Known(holder=EXAMPLE))
    assert (vague.transfer_id, vague.otherwise) == ("transfer-example.com", Otherwise.IGNORE)


def test_a_reseller_who_names_several_customers_or_none_of_ours_waits_for_staff() -> None:
    several = routed(text(Slot.ACCEPT, "Transfer both"), of(Slot.ACCEPT, EXAMPLE, OTHER))
    assert (several.transfer_id, several.otherwise) == (None, Otherwise.PARK)
    typo = routed(ticket(Slot.ACCEPT), Known(holder=GLOBEX))
    assert (typo.otherwise, typo.why) == (Otherwise.PARK, "UNKNOWN_DOMAIN")


def test_a_text_that_is_not_the_filers_own_opens_nothing() -> None:
    """The customer's account with the reseller's text, or about somebody else's domain."""
    subject, body = PROCEDURE[Slot.RELEASE]
    found = routed(text(Slot.AUTHORIZE, body, subject), of(Slot.AUTHORIZE))
    assert (found.otherwise, found.why) == (Otherwise.PARK, "WRONG_ACCOUNT")
    found = routed(ticket(Slot.AUTHORIZE), Known(holder=OTHER, named=(EXAMPLE,)))
    assert (found.transfer_id, found.why) == ("transfer-other.example", "DOMAIN_MISMATCH")


def test_a_no_before_any_transfer_waits_too() -> None:
    filed = text(Slot.AUTHORIZE, "We refuse the transfer of example.com from Acme to Globex.")
    found = routed(filed, of(Slot.AUTHORIZE))
    assert (found.what, found.otherwise) == (Intent.REFUSE, Otherwise.PARK)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("EXAMPLE.com.", ("example.com",)),
        ("see https://www.example.com/shop?a=b.", ("example.com", "www.example.com")),
        ("“exämple.example” please", ("xn--exmple-cua.example",)),
        ("XN--EXMPLE-CUA.example, other.example", ("xn--exmple-cua.example", "other.example")),
        ("exämple。example", ("xn--exmple-cua.example",)),
        ("write to carl@example.com, 10.0.0.1 or v1.2", ()),
        ("www.com", ("www.com",)),
        ("... and so on ...", ()),
        (" ".join(f"d{n}.example" for n in range(40)), tuple(f"d{n}.example" for n in range(10))),
    ],
)
def test_a_text_names_domains_in_any_spelling(words: str, named: tuple[str, ...]) -> None:
    assert domains_named(text(Slot.ACCEPT, words)) == named


def test_a_sentence_of_the_procedure_names_its_own_domain_only() -> None:
    subject, body = PROCEDURE[Slot.ACCEPT]
    assert domains_named(text(Slot.ACCEPT, f"{body}\nwww.globex.example", subject)) == (
        "example.com",
    )


@pytest.mark.parametrize(
    ("changes", "read", "code"),
    [
        ({}, {}, None),
        ({}, {"ticket": None}, "TICKET_UNKNOWN"),
        ({"channel": Channel.MAIL}, {}, "WRONG_CHANNEL"),
        ({"administrator": False}, {}, "NOT_ADMIN"),
        ({}, {"on_record": False}, "NOT_ADMIN"),
        ({"delegated": True}, {}, "DELEGATED_SESSION"),
        ({"open": False}, {}, "STALE_TICKET"),
        ({"updated_at": at(days=-40)}, {}, "STALE_TICKET"),
        ({}, {"used_by": "transfer-example.com/1"}, "TICKET_REUSED"),
    ],
)
def test_only_who_may_speak_can_open(
    changes: dict[str, Any], read: dict[str, Any], code: str | None
) -> None:
    filed = edited(ticket(Slot.AUTHORIZE, when=MONDAY), MONDAY, **changes)
    reading = TicketReading.model_validate(
        {"ticket_id": filed.id, "ticket": filed, "on_record": True} | read
    )
    now: datetime = at(hours=1)
    assert may_not_open(reading, Policy(), now) == code
