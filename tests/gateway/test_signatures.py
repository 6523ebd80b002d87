"""Who may announce tickets: whoever has the secret, now, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import pytest
from pydantic import SecretStr

from gateway.signatures import Signatures
from gateway.signing import MAX_BODY
from tests.gateway.panel import HOME, OLD_SECRET, SECRET, Gateway, announced
from transfer.errors import InputInvalid

FORGED = "whsec_Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmdlZA=="


async def test_a_forged_or_missing_signature_is_refused_and_does_nothing(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    for answer in (
        await gateway.send(announced(), secret=FORGED),
        await gateway.send(announced(), webhook_signature="v1,"),
        await gateway.send(announced(), webhook_signature="v1"),
        await gateway.send(announced(), webhook_signature="v1,é"),
        await gateway.send(announced(), webhook_signature="v2,AAAA v1,AAAA"),
        await gateway.send(announced(), webhook_signature="v1,AAAA " * 400),
        await gateway.send(announced(), webhook_timestamp="now"),
        await gateway.send(announced(), webhook_timestamp="nan"),
        await gateway.send(announced(), webhook_id="other" * 60),
        await gateway.send(b"\xff\xfe"),
        await gateway.client.post("/tickets", json=announced()),
    ):
        assert answer.status_code == 401, answer.text
        assert answer.json()["error"] == "UNSIGNED"
    assert gateway.transfers.signals == []
    assert gateway.arrivals.answers == {}


async def test_a_signature_holds_for_its_own_body_and_id_only(gateway: Gateway) -> None:
    first = await gateway.send(announced())
    kept = dict(first.request.headers)
    changed = first.request.content.replace(b"ticket.created", b"ticket.updated")
    del kept["content-length"]
    assert (await gateway.client.post("/tickets", content=changed, headers=kept)).status_code == 401
    kept["webhook-id"] = "msg_other"
    same = await gateway.client.post("/tickets", content=first.request.content, headers=kept)
    assert same.status_code == 401


@pytest.mark.parametrize(("late", "status"), [(-6, 401), (6, 401), (-4, 202), (4, 202)])
async def test_a_webhook_is_at_most_five_minutes_off(
    gateway: Gateway, minutes: Callable[[float], datetime], late: float, status: int
) -> None:
    gateway.transfers.open_ones.add(HOME)
    assert (await gateway.send(announced(), at=minutes(late))).status_code == status


async def test_a_replayed_request_is_one_event(gateway: Gateway) -> None:
    """Recorded on its way and sent again, it says nothing new."""
    gateway.transfers.open_ones.add(HOME)
    first = await gateway.send(announced())
    again = await gateway.client.send(first.request)
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(gateway.transfers.signals) == 1


async def test_while_a_secret_is_replaced_both_are_good(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    for secret in (SECRET, OLD_SECRET):
        assert (await gateway.send(announced(), secret=secret)).status_code == 202


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], ["whsec_c2hvcnQ="], ["whsec_ä"]])
def test_without_a_good_secret_there_is_no_gateway(secrets: list[str]) -> None:
    """And what was given is not repeated where logs would keep it."""
    with pytest.raises(InputInvalid, match="TRANSFER_WEBHOOK_SECRET") as refused:
        Signatures([SecretStr(secret) for secret in secrets])
    assert "c2hvcnQ" not in str(refused.value)


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(
    gateway: Gateway,
) -> None:
    """By what it says of itself; and without that, as soon as it is known."""
    assert (await gateway.send(b" " * (MAX_BODY + 1))).status_code == 413
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_BODY:
            sent += 65_536
            yield b" " * 65_536

    answer = await gateway.client.post("/tickets", content=endless())
    assert (answer.status_code, answer.json()["error"]) == (413, "TOO_LARGE")


async def test_a_body_of_just_the_limit_is_read(gateway: Gateway) -> None:
    """It is no JSON, but it is not too large."""
    assert (await gateway.send(b" " * MAX_BODY)).status_code == 422
