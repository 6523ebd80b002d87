"""The bridge's mapping, over what a real django-helpdesk 2.6 posted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.wire import Webhook
from tests.helpdesk.bridge import MAX_BODY, Event, People, event_of
from transfer.routing import Heard

PAYLOADS = {path.stem: path for path in Path(__file__).with_name("payloads").glob("*.json")}
CUSTOMER = "C-road-example"
CARL = {"account": CUSTOMER, "id": "carl", "name": "Carl", "email": "carl@customer.example"}
MALLORY = {"account": "initech", "id": "mallory", "name": "Mallory", "email": ""}
PEOPLE = People(users={"3": CARL, "5": MALLORY}, addresses={"carl@customer.example": CUSTOMER})
STRANGERS = People(users={}, addresses={})


def hook(name: str) -> dict[str, Any]:
    """A captured body."""
    body: dict[str, Any] = json.loads(PAYLOADS[name].read_text(encoding="utf-8"))["body"]
    return body


def mapped(body: dict[str, Any], people: People = PEOPLE) -> Event:
    return event_of(body, people, "https://helpdesk.example")


def heard(name: str, people: People = PEOPLE) -> Heard:
    """What the gateway hears of a captured hook."""
    return Webhook.model_validate_json(json.dumps(mapped(hook(name), people).body)).heard()


def standing(name: str) -> tuple[str, str, bool, bool]:
    """For which account a ticket speaks, by whom, and with what right."""
    ticket = heard(name).ticket
    return ticket.account, ticket.author.id, ticket.administrator, ticket.delegated


@pytest.mark.parametrize("people", [PEOPLE, STRANGERS])
@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_whatever_is_posted_the_gateway_can_read(name: str, people: People) -> None:
    ticket = heard(name, people).ticket
    assert ticket.url == f"https://helpdesk.example/tickets/{ticket.id}/"
    assert ticket.created_at <= ticket.updated_at


def test_who_was_logged_in_speaks_for_the_own_account_whatever_address_was_typed() -> None:
    assert standing("ticket-by-carl") == (CUSTOMER, "carl", True, False)
    assert standing("ticket-by-mallory") == ("initech", "mallory", True, False)


@pytest.mark.parametrize("name", ["ticket-by-stranger", "ticket-by-mail"])
def test_a_typed_address_is_nobody(name: str) -> None:
    """The hook of a stranger differs from that of Carl himself in nothing but the user."""
    unproven = (CUSTOMER, "unproven:carl@customer.example", False, False)
    assert standing(name) == unproven
    typed = [hook(one)["ticket"]["submitter_email"] for one in (name, "ticket-by-carl")]
    assert typed[0] == typed[1]


def test_staff_who_file_for_somebody_are_not_that_person() -> None:
    assert standing("ticket-by-api") == (CUSTOMER, "helpdesk-user:1", False, True)


def test_other_words_by_staff_are_not_their_authors() -> None:
    assert standing("reply") == (CUSTOMER, "carl", True, False)
    assert standing("reply-after-edit") == (CUSTOMER, "carl", True, True)
    assert standing("reply-after-forgery") == (CUSTOMER, "carl", True, True)


def test_a_title_on_a_reply_is_the_ticket_s_new_subject() -> None:
    """So it does in the helpdesk; the transfer judges by the body."""
    assert heard("reply").ticket.subject == "Authorize transfer of account"
    assert heard("reply-with-title").ticket.subject == "Internal"


@pytest.mark.parametrize(
    ("name", "is_open"),
    [
        ("ticket-by-carl", True),
        ("reply", True),
        ("closed", False),
        ("reopened-by-mail", True),
        ("resolved", False),
        ("duplicate", False),
    ],
)
def test_a_status_is_a_number(name: str, is_open: bool) -> None:
    assert heard(name).ticket.open is is_open


def test_a_status_that_somebody_invented_is_closed() -> None:
    said = hook("ticket-by-carl")
    said["ticket"]["status"] = 77
    assert mapped(said).body["ticket"]["status"] == "closed"


def test_a_reply_changes_no_ticket_and_a_new_status_or_other_words_do() -> None:
    filed = heard("ticket-by-carl").ticket.updated_at
    assert heard("reply-with-title").ticket.updated_at == filed
    assert heard("reply-after-edit").ticket.updated_at > filed
    assert heard("closed").ticket.updated_at > heard("reply-after-edit").ticket.updated_at
    assert heard("resolved").ticket.updated_at > heard("ticket-by-mallory").ticket.updated_at


def test_the_same_hook_twice_is_one_event_and_every_followup_another() -> None:
    ids = {name: mapped(hook(name)).id for name in PAYLOADS}
    assert len(set(ids.values())) == len(PAYLOADS)
    assert (ids["ticket-by-carl"], ids["reply"]) == ("helpdesk-3-3", "helpdesk-3-6")
    assert heard("ticket-by-carl").created
    assert not heard("reply").created


def test_a_long_ticket_is_cut_but_compared_whole() -> None:
    said = hook("ticket-by-carl")
    said["ticket"]["description"] += " " + "x" * MAX_BODY
    ticket = mapped(said).body["ticket"]
    assert len(ticket["body"]) == MAX_BODY
    assert ticket["author"]["delegated"]


def test_where_the_opening_followup_is_gone_nobody_has_spoken() -> None:
    said = hook("reply")
    del said["ticket"]["followup_set"][0]
    author = mapped(said).body["ticket"]["author"]
    assert (author["id"], author["administrator"]) == ("helpdesk-user:1", False)
