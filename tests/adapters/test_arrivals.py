"""What came in from outside: on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.adapters.stores import NOW, Stores, delivery, row
from transfer.messages import ParkedTicket, Reception, WebhookAnswer
from transfer.parties import CustomerRecord, ResellerRecord

MINUTE = timedelta(minutes=1)


def answer(name: str = "msg_1", **values: object) -> WebhookAnswer:
    """A ticket was told to its transfer."""
    return WebhookAnswer.model_validate(
        {
            "webhook_id": name,
            "ticket_id": "1042",
            "outcome": Reception.SIGNALLED,
            "transfer_id": "transfer-example.com",
            "received_at": NOW,
            **values,
        }
    )


def parked(ticket: str = "1042", **values: object) -> ParkedTicket:
    """The new reseller was first."""
    return ParkedTicket.model_validate(
        {
            "ticket_id": ticket,
            "account": "globex",
            "transfer_id": "transfer-example.com",
            "why": "WAITS_FOR_TRANSFER",
            "subject": "Authorize \0",
            "parked_at": NOW,
            **values,
        }
    )


async def test_a_webhook_keeps_its_first_answer(stores: Stores) -> None:
    """A later one is not kept, and the first is returned instead."""
    assert await stores.arrivals.answered("msg_1") is None
    assert await stores.arrivals.answer(answer()) == answer()
    other = answer(outcome=Reception.IGNORED, transfer_id=None)
    assert await stores.arrivals.answer(other) == answer()
    assert await stores.arrivals.answered("msg_1") == answer()


async def test_of_two_workers_who_answer_at_once_both_get_the_same(stores: Stores) -> None:
    """One of the two was first."""
    two = (stores, stores.another())
    given = [answer(transfer_id=f"transfer-{n}.example") for n in range(8)]
    kept = await asyncio.gather(*(two[n % 2].arrivals.answer(a) for n, a in enumerate(given)))
    assert len({one.transfer_id for one in kept}) == 1


async def test_a_ticket_parked_again_waits_with_what_is_said_of_it_now(stores: Stores) -> None:
    """The newest stands first, and what was picked up is gone from the list."""
    await stores.arrivals.park(parked())
    await stores.arrivals.park(parked("7", parked_at=NOW + MINUTE, transfer_id=None))
    await stores.arrivals.park(parked(why="EDITED"))
    first, second = await stores.arrivals.parked()
    assert (first.ticket_id, first.transfer_id) == ("7", None)
    assert (second.ticket_id, second.why) == ("1042", "EDITED")
    await stores.arrivals.picked_up("7", NOW)
    await stores.arrivals.picked_up("nobody's", NOW)
    assert [one.ticket_id for one in await stores.arrivals.parked()] == ["1042"]


async def test_a_transfer_that_opens_picks_up_what_was_parked_for_it(stores: Stores) -> None:
    """Not what waits for another one, and not what came later: nobody has read that yet."""
    await stores.arrivals.park(parked("mine"))
    await stores.arrivals.park(parked("other", transfer_id="transfer-other.example"))
    await stores.arrivals.park(parked("unclear", transfer_id=None))
    await stores.arrivals.park(parked("later", parked_at=NOW + MINUTE))
    await stores.ledger.publish([row(1, code="AUTHORIZED")], [])
    assert len(await stores.arrivals.parked()) == 4
    await stores.ledger.publish([row(2, code="OPENED", slot=None, ticket_id=None)], [])
    waiting = {one.ticket_id for one in await stores.arrivals.parked()}
    assert waiting == {"other", "unclear", "later"}


async def test_what_is_old_is_forgotten(stores: Stores) -> None:
    """A sender does not try for so long, and so old a ticket counts nowhere."""
    await stores.arrivals.answer(answer("old", received_at=NOW - MINUTE))
    await stores.arrivals.answer(answer("new"))
    await stores.arrivals.park(parked("old", parked_at=NOW - MINUTE))
    await stores.arrivals.park(parked("new"))
    await stores.arrivals.forget(NOW)
    assert await stores.arrivals.answered("old") is None
    assert await stores.arrivals.answered("new") is not None
    assert [one.ticket_id for one in await stores.arrivals.parked()] == ["new"]


async def test_an_account_is_a_customers_a_resellers_or_nobodys(stores: Stores) -> None:
    """They share one name space."""
    customer, reseller = [await stores.accounts.holder(name) for name in ("C-1", "acme")]
    assert isinstance(customer, CustomerRecord)
    assert customer.domains[0] == "example.com"
    assert isinstance(reseller, ResellerRecord)
    assert await stores.accounts.holder("nobody") is None


async def test_a_ticket_is_known_as_of_the_newest_time_it_was_received(stores: Stores) -> None:
    """However often, in whatever order; answers of earlier versions do not say."""
    for name, ticket, at in (
        ("msg_1", "1042", NOW + MINUTE),
        ("msg_2", "1042", NOW),
        ("msg_3", "1043", None),
        ("msg_4", "1044", NOW),
    ):
        await stores.arrivals.answer(answer(name, ticket_id=ticket, ticket_updated_at=at))
    known = await stores.arrivals.heard_of(["1042", "1043", "1045"])
    assert known == {"1042": NOW + MINUTE}


async def test_the_watermark_never_goes_back(stores: Stores) -> None:
    """Two reconciliations may end in another order than they began."""
    assert await stores.arrivals.read_up_to() is None
    for at in (NOW, NOW + MINUTE, NOW):
        await stores.arrivals.reconciled(at)
    assert await stores.arrivals.read_up_to() == NOW + MINUTE


async def test_a_parked_ticket_is_answered_once(stores: Stores) -> None:
    """However often it is parked; the postman finds the reply in the outbox."""
    reply = delivery("parked/1042", key="parked", mail=None, ticket_id="1042", reply="It waits.")
    for _ in range(2):
        await stores.arrivals.park(parked(), reply)
    assert [one.reply for one in await stores.ledger.deliveries("parked")] == ["It waits."]
    assert [one.id for one in await stores.ledger.due(NOW, 10)] == ["parked/1042"]
