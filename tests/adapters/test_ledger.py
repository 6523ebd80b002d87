"""The ledger: on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.adapters.stores import NOW, Stores, delivery, row
from transfer.messages import DeliveryState

MINUTE = timedelta(minutes=1)


async def test_evidence_is_kept_in_order_and_read_back_as_it_was(stores: Stores) -> None:
    """By its number, however it arrived; each transfer has its own."""
    rows = row(2, code="REJECTED", detail="Zeile\n<b>", slot=None), row(1), row(10, ticket_id=None)
    await stores.ledger.publish([*rows, row(1, key="k2")], [])
    assert await stores.ledger.evidence("k1") == (rows[1], rows[0], rows[2])
    assert await stores.ledger.evidence("k2") == (row(1, key="k2"),)
    assert await stores.ledger.evidence("k3") == ()


async def test_the_same_rows_again_change_nothing(stores: Stores) -> None:
    """What is written stays: evidence is not edited, a mail on its way not begun again."""
    await stores.ledger.publish([row(1)], [delivery("d1")])
    await stores.ledger.delivered(["d1"], NOW)
    await stores.ledger.publish([row(1, who="mallory"), row(2)], [delivery("d1"), delivery("d2")])
    assert await stores.ledger.evidence("k1") == (row(1), row(2))
    one, two = await stores.ledger.deliveries("k1")
    assert (one.state, two.state) == (DeliveryState.SENT, DeliveryState.PENDING)
    await stores.ledger.publish([], [])


async def test_the_same_rows_from_two_workers_are_written_once(stores: Stores) -> None:
    """A publication that runs twice at a time is one publication."""
    workers = stores, stores.another()
    rows, mails = [row(n) for n in range(1, 9)], [delivery(f"d{n}") for n in range(8)]
    await asyncio.gather(*(w.ledger.publish(rows, mails) for w in workers))
    assert await stores.ledger.evidence("k1") == tuple(rows)
    assert len(await stores.ledger.deliveries("k1")) == 8


async def test_a_ticket_that_filled_a_slot_is_used_by_the_first_transfer(stores: Stores) -> None:
    """Only AUTHORIZED uses a ticket up; the first key wins."""
    await stores.ledger.publish(
        [row(1, ticket_id="7"), row(2, ticket_id="8", code="REJECTED"), row(3, ticket_id=None)], []
    )
    await stores.ledger.publish(
        [row(1, key="k2", ticket_id="7"), row(2, key="k2", ticket_id="9")], []
    )
    assert await stores.ledger.uses(["7", "8", "9", "10"]) == {"7": "k1", "9": "k2"}
    assert await stores.ledger.uses([]) == {}


async def test_a_due_delivery_is_leased_for_a_minute(stores: Stores) -> None:
    """Who takes it has a minute; then it is up for somebody else, for its taker may have died."""
    mail = delivery("d1")
    await stores.ledger.publish([], [mail])
    assert await stores.ledger.due(NOW, 10) == (mail,)
    assert await stores.ledger.due(NOW + MINUTE - timedelta(microseconds=1), 10) == ()
    assert await stores.ledger.due(NOW + MINUTE, 10) == (mail,)


async def test_due_deliveries_come_oldest_first_and_no_more_than_asked_for(stores: Stores) -> None:
    """Nobody is overtaken."""
    mails = [
        delivery("late", created_at=NOW + MINUTE),
        delivery("first"),
        delivery("second"),
        delivery("waits", created_at=NOW - MINUTE, next_try_at=NOW + MINUTE),
        delivery("retried", created_at=NOW - MINUTE, next_try_at=NOW),
    ]
    await stores.ledger.publish([], mails)
    taken = [one.id for one in await stores.ledger.due(NOW, 3)]
    assert taken == ["retried", "first", "second"]
    assert [one.id for one in await stores.ledger.due(NOW, 3)] == ["late"]
    assert await stores.ledger.due(NOW, 0) == ()


async def test_two_workers_never_lease_the_same_delivery(stores: Stores) -> None:
    """Together they take each exactly once."""
    await stores.ledger.publish([], [delivery(f"d{n}") for n in range(40)])
    workers = [stores, stores.another(), stores, stores.another()]
    taken = await asyncio.gather(*(w.ledger.due(NOW, 40) for w in workers))
    ids = [one.id for part in taken for one in part]
    assert len(ids) == len(set(ids)) == 40


async def test_a_delivered_mail_is_sent_and_not_due_any_more(stores: Stores) -> None:
    """Twice delivered is once delivered."""
    await stores.ledger.publish([], [delivery("d1")])
    await stores.ledger.failed("d1", "451 later", NOW + MINUTE)
    await stores.ledger.delivered(["d1"], NOW + 2 * MINUTE)
    await stores.ledger.delivered(["d1"], NOW + 3 * MINUTE)
    assert await stores.ledger.deliveries("k1") == (
        delivery("d1").model_copy(
            update={"state": DeliveryState.SENT, "attempts": 2, "sent_at": NOW + 2 * MINUTE}
        ),
    )
    assert await stores.ledger.due(NOW + 9 * MINUTE, 10) == ()


async def test_a_failed_delivery_is_due_again_at_its_time(stores: Stores) -> None:
    """The lease ends with the failure, and the error is there for staff to see."""
    await stores.ledger.publish([], [delivery("d1")])
    await stores.ledger.due(NOW, 1)
    await stores.ledger.failed("d1", "451 try\r\nlater " + "x" * 600, NOW + MINUTE / 2)
    assert await stores.ledger.due(NOW, 1) == ()
    (again,) = await stores.ledger.due(NOW + MINUTE / 2, 1)
    assert (again.state, again.attempts) == (DeliveryState.PENDING, 1)
    assert again.last_error.startswith("451 try later x")
    assert len(again.last_error) == 500


async def test_a_delivery_given_up_stays_for_staff_to_see(stores: Stores) -> None:
    """It is not due, and no later failure changes it; but if it arrived after all, it arrived."""
    await stores.ledger.publish([], [delivery("d1")])
    await stores.ledger.failed("d1", "550 no such mailbox", None)
    await stores.ledger.failed("d1", "451 later", NOW)
    (given_up,) = await stores.ledger.deliveries("k1")
    assert (given_up.state, given_up.attempts) == (DeliveryState.FAILED, 1)
    assert given_up.last_error == "550 no such mailbox"
    assert await stores.ledger.due(NOW + 9 * MINUTE, 10) == ()
    await stores.ledger.delivered(["d1"], NOW)
    (arrived,) = await stores.ledger.deliveries("k1")
    assert arrived.state is DeliveryState.SENT


async def test_a_failure_reported_after_the_arrival_changes_nothing(stores: Stores) -> None:
    """Of two takers the one who delivered is right."""
    await stores.ledger.publish([], [delivery("d1")])
    await stores.ledger.delivered(["d1"], NOW)
    await stores.ledger.failed("d1", "451 later", NOW)
    (sent,) = await stores.ledger.deliveries("k1")
    assert (sent.state, sent.last_error) == (DeliveryState.SENT, "")


async def test_what_arrived_together_is_noted_together(stores: Stores) -> None:
    """One that nobody knows, or that arrived before, changes nothing for the others."""
    await stores.ledger.publish([], [delivery("d1"), delivery("d2"), delivery("d3")])
    await stores.ledger.delivered(["d1"], NOW)
    await stores.ledger.delivered(["d9", "d1", "d2"], NOW + MINUTE)
    sent = [(one.id, one.state, one.sent_at) for one in await stores.ledger.deliveries("k1")]
    assert sorted(sent) == [
        ("d1", DeliveryState.SENT, NOW),
        ("d2", DeliveryState.SENT, NOW + MINUTE),
        ("d3", DeliveryState.PENDING, None),
    ]


async def test_a_delivery_that_does_not_exist_is_no_error(stores: Stores) -> None:
    """There is nothing to note."""
    await stores.ledger.delivered(["d9"], NOW)
    await stores.ledger.failed("d9", "451", NOW)
    assert await stores.ledger.deliveries("k1") == ()


async def test_a_reply_on_a_ticket_travels_like_a_mail(stores: Stores) -> None:
    """Every field comes back."""
    reply = delivery(
        "r1", mail=None, ticket_id="1042", reply="Rejected: …\n<b>", reader="old_reseller"
    )
    await stores.ledger.publish([], [reply])
    assert await stores.ledger.due(NOW, 1) == (reply,)


async def test_text_that_no_database_can_hold_is_kept_as_well_as_it_goes(stores: Stores) -> None:
    """NUL bytes and half characters from strangers wedge no publication."""
    await stores.ledger.publish([row(1, detail="a\0b\ud800c", ticket_id="\0")], [])
    (kept,) = await stores.ledger.evidence("k1")
    assert (kept.detail[0], kept.detail[2], kept.detail[4]) == ("a", "b", "c")


async def test_the_keys_of_all_transfers_of_a_domain_come_oldest_first(stores: Stores) -> None:
    """A second transfer of a customer has the same workflow id, and a key of its own."""
    later = row(1, key="a-second", at=NOW + MINUTE)
    other = row(1, key="other", transfer_id="transfer-other.example")
    await stores.ledger.publish([later, row(1), row(2, at=NOW + 9 * MINUTE), other], [])
    assert await stores.ledger.keys("transfer-example.com") == ("k1", "a-second")
    assert await stores.ledger.keys("transfer-nobody.example") == ()
