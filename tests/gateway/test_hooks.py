"""Hooks that only name a ticket: answered at once, and the ticket comes in all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.hooks import AT_ONCE
from gateway.signatures import RtSignatures
from tests.conftest import assert_eventually
from tests.gateway.panel import HOME, Gateway
from transfer.errors import InputInvalid
from transfer.parties import Slot
from transfer.tickets import Ticket


def _hook(ticket_id: str) -> dict[str, Any]:
    """What Request Tracker posts, as far as it is read, and something that is not."""
    return {
        "event": "ticket.create",
        "transaction_id": 7,
        "ticket_id": ticket_id,
        "queue": "General",
    }


async def _told(gateway: Gateway, *tickets: str) -> None:
    async def told() -> None:
        assert sorted(ticket for _, _, ticket in gateway.transfers.signals) == sorted(tickets)

    await assert_eventually(told)


async def test_a_hooked_ticket_is_fetched_and_told_to_its_transfer(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    ticket = (await gateway.file(Slot.RELEASE))["ticket"]["id"]
    answer = await gateway.hook(_hook(ticket))
    assert (answer.status_code, answer.json()) == (202, {"outcome": "noted"})
    await _told(gateway, ticket)


async def test_a_hook_that_comes_before_the_commit_is_answered_at_once(gateway: Gateway) -> None:
    """It holds its transaction open until it is answered: what it announces is not there yet."""
    gateway.transfers.open_ones.add(HOME)
    ticket = (await gateway.file(Slot.RELEASE))["ticket"]["id"]
    uncommitted = gateway.tickets.tickets.pop(ticket)
    looked = asyncio.Event()
    read = gateway.tickets.read

    async def watched(ids: list[str]) -> dict[str, Ticket]:
        looked.set()
        return await read(ids)

    gateway.tickets.read = watched  # type: ignore[method-assign,assignment]
    assert (await gateway.hook(_hook(ticket))).status_code == 202
    await looked.wait()
    gateway.tickets.tickets[ticket] = uncommitted
    await _told(gateway, ticket)


async def test_hooks_doubled_and_out_of_order_tell_a_transfer_once(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    tickets = [(await gateway.file(slot))["ticket"]["id"] for slot in Slot]
    hooks = [gateway.hook(_hook(ticket)) for ticket in (*reversed(tickets), *tickets, *tickets)]
    assert {answer.status_code for answer in await asyncio.gather(*hooks)} == {202}
    await _told(gateway, *tickets)


async def test_our_own_reply_comes_back_as_a_hook_and_changes_nothing(gateway: Gateway) -> None:
    """It changes the ticket, but not what its filer says: no loop."""
    gateway.transfers.open_ones.add(HOME)
    first, second = [(await gateway.file(slot))["ticket"]["id"] for slot in list(Slot)[:2]]
    await gateway.hook(_hook(first))
    await _told(gateway, first)
    await gateway.tickets.reply(first, "a key", "It counts.")
    await gateway.hook(_hook(first))
    await gateway.hook(_hook(second))
    await _told(gateway, first, second)


async def test_a_ticket_that_somebody_closed_is_told_of_once(gateway: Gateway) -> None:
    """Nobody said anything new on it, so its time is the same; it counts no more all the same."""
    gateway.transfers.open_ones.add(HOME)
    ticket = (await gateway.file(Slot.RELEASE))["ticket"]["id"]
    await gateway.hook(_hook(ticket))
    await _told(gateway, ticket)
    known = gateway.tickets.tickets
    known[ticket] = known[ticket].model_copy(update={"open": False, "revision": 2})
    for _ in range(2):
        await gateway.hook(_hook(ticket))
        await _told(gateway, ticket, ticket)


@pytest.mark.parametrize("who", ["tickets", "transfers", "arrivals"])
async def test_a_neighbour_that_is_away_for_a_moment_loses_no_hook(
    gateway: Gateway, who: str
) -> None:
    gateway.transfers.open_ones.add(HOME)
    ticket = (await gateway.file(Slot.RELEASE))["ticket"]["id"]
    getattr(gateway, who).away = True
    assert (await gateway.hook(_hook(ticket))).status_code == 202
    await asyncio.sleep(0)
    getattr(gateway, who).away = False
    await _told(gateway, ticket)


async def test_a_thousand_hooks_at_once_are_fetched_a_few_at_a_time(gateway: Gateway) -> None:
    gateway.transfers.open_ones.add(HOME)
    tickets = [(await gateway.file(Slot.RELEASE))["ticket"]["id"] for _ in range(1000)]
    reading, most = 0, 0
    read = gateway.tickets.read

    async def counted(ids: list[str]) -> dict[str, Ticket]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        reading -= 1
        return await read(ids)

    gateway.tickets.read = counted  # type: ignore[method-assign,assignment]
    answers = await asyncio.gather(*(gateway.hook(_hook(ticket)) for ticket in tickets))
    assert {answer.status_code for answer in answers} == {202}
    await _told(gateway, *tickets)
    assert most <= AT_ONCE


async def test_when_too_many_wait_the_caller_is_refused(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.hooks.MAX_WAITING", 2)
    gateway.tickets.away = True
    answers = [await gateway.hook(_hook(str(number))) for number in (1, 2, 3)]
    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert (answers[-1].json()["error"], answers[-1].headers["retry-after"]) == ("BUSY", "5")


async def test_a_ticket_that_is_never_there_is_left_to_the_reconciliation(gateway: Gateway) -> None:
    assert (await gateway.hook(_hook("404404"))).status_code == 202

    async def given_up() -> None:
        assert not gateway.porter._fetching

    await assert_eventually(given_up)
    assert gateway.transfers.signals == []


@pytest.mark.parametrize(
    "headers",
    [
        {"secret": "another secret that nobody knows of"},
        {"x_rt_signature": ""},
        {"x_rt_signature": "t=1,v1=" + "0" * 64},
        {"x_rt_signature": "v1=" + "0" * 64},
        {"x_rt_signature": "t=" + "9" * 4000 + ",v1=" + "0" * 64},
    ],
)
async def test_a_hook_that_is_not_signed_is_refused(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    gateway.transfers.open_ones.add(HOME)
    ticket = (await gateway.file(Slot.RELEASE))["ticket"]["id"]
    answer = await gateway.hook(_hook(ticket), **headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error"]) == (401, "UNSIGNED")
    assert not gateway.porter._fetching


@pytest.mark.parametrize("off", [-6, 6])
async def test_a_hook_signed_at_another_time_is_refused(
    gateway: Gateway, minutes: Callable[[float], datetime], off: float
) -> None:
    """A call that somebody recorded is of no use later."""
    assert (await gateway.hook(_hook("1001"), at=minutes(off))).status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", {"ticket_id": ""}, {"ticket_id": -1}, {"ticket_id": "a b"}]
)
async def test_a_hook_that_names_no_ticket_is_invalid(gateway: Gateway, body: object) -> None:
    assert (await gateway.hook(body)).status_code == 422
    assert not gateway.porter._fetching


def test_a_short_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputInvalid) as refusal:
        RtSignatures([SecretStr("short")])
    assert "TRANSFER_RT_HOOK_SECRET" in str(refusal.value)
    assert "short;" not in str(refusal.value)
