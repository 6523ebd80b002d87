"""Every announced ticket ends as a signal, an opened transfer, a parked row, or is none of ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.adapters.stores import ACCOUNTS, customer, row
from tests.gateway.panel import FILERS, HOME, Gateway, announced
from transfer.accounts_file import AccountsFile
from transfer.errors import Unreachable
from transfer.parties import Slot
from transfer.policy import Policy
from transfer.tickets import Channel

WORDS = "Please transfer exämple.EXAMPLE. to Globex Hosting, if you can"


@pytest.mark.parametrize("slot", Slot)
async def test_a_partys_ticket_is_told_to_the_open_transfer(gateway: Gateway, slot: Slot) -> None:
    gateway.transfers.open_ones.add(HOME)
    body = await gateway.file(slot, domain="exämple.example")
    answer = await gateway.send(body)
    assert (answer.status_code, answer.json()) == (
        202,
        {"outcome": "signalled", "transfer_id": HOME},
    )
    assert gateway.transfers.signals == [(HOME, slot.value, body["ticket"]["id"])]


@pytest.mark.parametrize("slot", Slot)
async def test_a_text_in_other_words_finds_its_transfer_too(gateway: Gateway, slot: Slot) -> None:
    """By the account, or by any spelling of any of the customer's domains."""
    gateway.transfers.open_ones.add(HOME)
    answer = await gateway.send(announced(account=FILERS[slot][0], body=WORDS))
    assert answer.json() == {"outcome": "signalled", "transfer_id": HOME}
    assert gateway.transfers.signals == [(HOME, slot.value, "1002")]


@pytest.mark.parametrize("slot", [Slot.RELEASE, Slot.AUTHORIZE])
async def test_a_clear_ticket_opens_the_transfer_and_is_told_to_it(
    gateway: Gateway, slot: Slot
) -> None:
    body = await gateway.file(slot)
    answer = await gateway.send(body)
    assert answer.json() == {"outcome": "opened", "transfer_id": HOME}
    (request,) = gateway.transfers.opened
    assert (request.domain, request.new_reseller) == ("example.com", "Globex Hosting")
    assert gateway.transfers.signals == [(HOME, slot.value, body["ticket"]["id"])]
    assert await gateway.waiting() == {}


async def test_the_new_resellers_ticket_is_parked_until_its_transfer_opens(
    gateway: Gateway,
) -> None:
    body = await gateway.file(Slot.ACCEPT)
    answer = await gateway.send(body)
    assert answer.json() == {"outcome": "parked", "transfer_id": HOME}
    assert await gateway.waiting() == {body["ticket"]["id"]: "WAITS_FOR_TRANSFER"}
    await gateway.ledger.publish([row(code="OPENED", at=datetime.now(UTC))], [])
    assert await gateway.waiting() == {}


async def test_a_transfer_that_opens_while_a_ticket_is_parked_is_told(gateway: Gateway) -> None:
    """Between the first look and the parking: its survey may have been too early."""

    def opens() -> None:
        gateway.transfers.open_ones.add(HOME)

    gateway.transfers.after_ring = opens
    answer = await gateway.send(await gateway.file(Slot.ACCEPT))
    assert answer.json()["outcome"] == "signalled"
    assert await gateway.waiting() == {}


@pytest.mark.parametrize(
    ("session", "why"),
    [
        ({"channel": Channel.MAIL}, "WRONG_CHANNEL"),
        ({"delegated": True}, "DELEGATED_SESSION"),
    ],
)
async def test_a_ticket_of_doubtful_origin_opens_nothing(
    gateway: Gateway, session: dict[str, Any], why: str
) -> None:
    """Whatever its announcement says: what counts is how it is on record."""
    body = await gateway.file(Slot.AUTHORIZE, **session)
    body["ticket"]["author"]["delegated"] = False
    assert (await gateway.send(body)).json()["outcome"] == "parked"
    assert list((await gateway.waiting()).values()) == [why]
    assert gateway.transfers.opened == []


async def test_an_announcement_that_says_what_its_ticket_does_not_opens_nothing(
    gateway: Gateway,
) -> None:
    body = await gateway.file(Slot.AUTHORIZE)
    body["ticket"]["body"] = body["ticket"]["body"].replace("Globex Hosting", "Initech Hosting")
    assert (await gateway.send(body)).json()["outcome"] == "parked"
    assert list((await gateway.waiting()).values()) == ["READS_DIFFERENTLY"]


async def test_what_the_preflight_forbids_is_parked_with_its_codes(gateway: Gateway) -> None:
    body = await gateway.file(Slot.AUTHORIZE, to="umbrella")
    assert (await gateway.send(body)).json()["outcome"] == "parked"
    assert list((await gateway.waiting()).values()) == ["NEW_NO_BILLING_ACCOUNT"]


async def test_a_ticket_that_cannot_be_read_back_yet_is_sent_again(gateway: Gateway) -> None:
    """A hook can be faster than its own commit."""
    body = await gateway.file(Slot.AUTHORIZE)
    hidden = gateway.tickets.tickets.pop(body["ticket"]["id"])
    early = await gateway.send(body, webhook_id="msg_1")
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    gateway.tickets.tickets[hidden.id] = hidden
    assert (await gateway.send(body, webhook_id="msg_1")).json()["outcome"] == "opened"


async def test_what_is_none_of_ours_is_ignored() -> None:
    gateway = Gateway(policy=Policy(ticket_opens_transfer=False))
    gateway.transfers.open_ones.add(HOME)
    ours = announced(body=WORDS)
    ours["ticket"]["author"]["id"] = "robot"
    for body in (
        announced(account="nobody"),
        announced(subject="Hi", body="My mail is slow"),
        ours,
    ):
        answer = await gateway.send(body)
        assert answer.json() == {"outcome": "ignored", "transfer_id": None}
    assert gateway.transfers.signals == []


async def test_a_ticket_that_served_is_told_again_and_opens_nothing(gateway: Gateway) -> None:
    """An edit must reach the transfer that relies on it; our own reply does not loop."""
    body = await gateway.file(Slot.AUTHORIZE)
    ticket = body["ticket"]["id"]
    gateway.ledger.used[ticket] = f"{HOME}/run-1"
    gateway.transfers.open_ones.add(HOME)
    again = gateway.announce(ticket, "ticket.updated")
    again["ticket"]["body"] = "Sorry, forget it."
    assert (await gateway.send(again)).json()["outcome"] == "signalled"
    gateway.transfers.open_ones.clear()
    for event in ("ticket.updated", "ticket.created"):
        answer = await gateway.send(gateway.announce(ticket, event))
        assert answer.json()["outcome"] == "ignored"
    assert (gateway.transfers.opened, await gateway.waiting()) == ([], {})


async def test_a_ticket_that_served_while_it_came_in_again_is_not_parked(gateway: Gateway) -> None:
    """Its transfer ends between the look at what it served and the ring."""
    body = await gateway.file(Slot.RELEASE)

    def ends() -> None:
        gateway.ledger.used[body["ticket"]["id"]] = f"{HOME}/run-1"

    gateway.transfers.after_ring = ends
    assert (await gateway.send(body)).json()["outcome"] == "ignored"
    assert (gateway.transfers.opened, await gateway.waiting()) == ([], {})


async def test_a_ticket_filed_before_the_last_transfer_ended_opens_no_other(
    gateway: Gateway,
) -> None:
    """It was announced late, and the customer has said no since: staff see it."""
    late = await gateway.file(Slot.RELEASE)
    end = row(code="WITHDRAWN", at=datetime.now(UTC), key=f"{HOME}/run-1", transfer_id=HOME)
    await gateway.ledger.publish([end], [])
    assert (await gateway.send(late)).json() == {"outcome": "parked", "transfer_id": HOME}
    assert list((await gateway.waiting()).values()) == ["FILED_BEFORE_THE_END"]
    anew = await gateway.file(Slot.RELEASE)
    assert (await gateway.send(anew)).json()["outcome"] == "opened"


async def test_the_same_webhook_is_answered_as_it_was_first(gateway: Gateway) -> None:
    body = await gateway.file(Slot.AUTHORIZE)
    first = await gateway.send(body, webhook_id="msg_1")
    for _ in range(3):
        again = await gateway.send(body, webhook_id="msg_1")
        assert again.json() == first.json() == {"outcome": "opened", "transfer_id": HOME}
    assert (len(gateway.transfers.opened), len(gateway.transfers.signals)) == (1, 1)


async def test_duplicates_at_the_same_time_are_one_event(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    body = await gateway.file(Slot.AUTHORIZE)
    answers = await asyncio.gather(*(gateway.send(body, webhook_id="msg_1") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert (len(gateway.transfers.signals), len(gateway.arrivals.answers)) == (1, 1)


async def test_whichever_neighbour_is_away_nothing_is_lost(gateway: Gateway) -> None:
    """The sender is asked to come again, and then everything is as if nothing had been."""
    body = await gateway.file(Slot.AUTHORIZE)
    for away in gateway.neighbours:
        away.away = True
        answer = await gateway.send(body, webhook_id="msg_1")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"] == "AWAY"
        away.away = False
    assert (await gateway.send(body, webhook_id="msg_1")).status_code == 202
    assert (len(gateway.transfers.opened), len(gateway.transfers.signals)) == (1, 1)


@pytest.mark.parametrize("slot", Slot)
async def test_a_gateway_that_dies_before_its_answer_leaves_one_of_each(
    gateway: Gateway, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is done but the answer; the sender tries again."""

    async def dies(_answer: object) -> None:
        raise Unreachable("killed")

    body = await gateway.file(slot)
    with monkeypatch.context() as patch:
        patch.setattr(gateway.arrivals, "answer", dies)
        assert (await gateway.send(body, webhook_id="msg_1")).status_code == 503
    answer = (await gateway.send(body, webhook_id="msg_1")).json()
    assert answer["outcome"] == ("parked" if slot is Slot.ACCEPT else "signalled")
    done = len(gateway.transfers.signals) + len(await gateway.waiting())
    assert done == 1


async def test_a_thousand_at_once_all_arrive() -> None:
    """In by a third each: tickets for open transfers, tickets that open one, tickets that wait."""
    number = 1_002
    people = tuple(customer(f"K-{n}", domains=(f"d{n}.example",)) for n in range(number))
    gateway = Gateway(AccountsFile(resellers=ACCOUNTS.resellers, customers=people))
    bodies: list[dict[str, Any]] = []
    for n in range(number):
        slot = (Slot.RELEASE, Slot.RELEASE, Slot.ACCEPT)[n % 3]
        bodies.append(await gateway.file(slot, domain=f"d{n}.example"))
        if n % 3 == 0:
            gateway.transfers.open_ones.add(f"transfer-d{n}.example")
    answers = await asyncio.gather(*(gateway.send(body) for body in bodies))
    each = dict.fromkeys(("signalled", "opened", "parked"), number // 3)
    assert Counter(answer.json()["outcome"] for answer in answers) == each
    told = Counter(ticket for _, _, ticket in gateway.transfers.signals)
    told.update(dict.fromkeys(await gateway.waiting(), 1))
    assert told == {body["ticket"]["id"]: 1 for body in bodies}


@pytest.mark.parametrize(
    ("domain", "why"),
    [("example.com", "WAITS_FOR_TRANSFER"), ("exampel.com", "UNKNOWN_DOMAIN")],
)
async def test_the_filer_of_a_parked_ticket_is_told_once_and_not_whose_customer_it_is(
    gateway: Gateway, domain: str, why: str
) -> None:
    """A domain that is misspelt and one whose transfer has not begun get the same answer."""
    body = await gateway.file(Slot.ACCEPT)
    ticket = body["ticket"]["id"]
    body["ticket"]["body"] = body["ticket"]["body"].replace("example.com", domain)
    for _ in range(2):
        await gateway.send(body)
    assert await gateway.waiting() == {ticket: why}
    (reply,) = await gateway.ledger.deliveries(f"parked/{ticket}")
    assert reply.ticket_id == ticket
    assert reply.reply == (
        f"No transfer of {domain} is open yet. Your ticket waits for it, and counts as soon as it"
        " begins: you need not file it again. If the name is misspelt, please file a new ticket."
    )


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ({"by": "mallory"}, "Have an administrator of C-1 file it."),
        ({"delegated": True}, "Log in as yourself"),
        ({"channel": Channel.MAIL}, None),
    ],
)
async def test_who_may_not_open_a_transfer_is_told_why_but_mails_are_not_answered(
    gateway: Gateway, session: dict[str, Any], said: str | None
) -> None:
    """What came by mail may carry a forged address: answering it writes to a stranger."""
    body = await gateway.file(Slot.AUTHORIZE, **session)
    assert (await gateway.send(body)).json()["outcome"] == "parked"
    replies = await gateway.ledger.deliveries(f"parked/{body['ticket']['id']}")
    assert [said is not None and said in one.reply for one in replies] == [True] * bool(said)
