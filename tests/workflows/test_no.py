"""Every way to say no, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.world import World
from transfer.case import State
from transfer.parties import Slot
from transfer.tickets import Channel


@pytest.mark.parametrize("who", ["authorize", "accept"])
async def test_a_refusal_by_customer_or_new_reseller_ends_the_transfer(
    world: World, who: str
) -> None:
    await world.start()
    await world.says("release")
    await world.says("refuse", of=who)
    result = await world.ends(State.REFUSED)
    assert result.code == who
    assert world.moves() == 0


@pytest.mark.parametrize("who", ["authorize", "accept"])
async def test_a_withdrawal_by_customer_or_new_reseller_ends_the_transfer(
    world: World, who: str
) -> None:
    await world.start()
    await world.says(who)
    await world.until_slot(who, "AUTHORIZED")
    await world.says("withdraw", of=who)
    await world.ends(State.WITHDRAWN)


@pytest.mark.parametrize("no", ["refuse", "withdraw"])
async def test_a_no_of_the_old_reseller_goes_to_mediation_until_it_says_yes(
    world: World, no: str
) -> None:
    await world.start()
    await world.says("release")
    await world.until_slot("release", "AUTHORIZED")
    await world.says(no, of="release")
    status = await world.until(State.MEDIATION)
    assert "release" in status.waiting_on
    assert "staff" in status.waiting_on
    await world.says("authorize")
    await world.says("accept")
    await world.until_slot("accept", "AUTHORIZED")
    assert (await world.settled()).state is State.MEDIATION, "the other slots stay open"
    await world.says("release")
    await world.until(State.READY)
    await world.ends(State.COMPLETED)


@pytest.mark.parametrize("who", list(Slot))
async def test_a_withdrawal_during_grace_stops_the_commit(world: World, who: Slot) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)
    await world.says("withdraw", of=who.value)
    if who is Slot.RELEASE:
        await world.until(State.MEDIATION)
        await world.pass_time(hours=30)
        assert (await world.settled()).state is State.MEDIATION
    else:
        await world.ends(State.WITHDRAWN)
    assert world.moves() == 0


async def test_a_withdrawal_whose_signal_was_lost_is_found_by_the_re_check(world: World) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)
    await world.file("withdraw", of="authorize")
    await world.ends(State.WITHDRAWN)
    assert world.moves() == 0


async def test_a_ticket_edited_during_grace_is_judged_anew(world: World) -> None:
    await world.start()
    await world.says("release")
    await world.says("accept")
    ticket = await world.says("authorize")
    await world.until(State.READY)
    world.town.now = await world.now()
    await world.town.desk.edit(ticket, body="We changed our minds about this transfer.")
    await world.pass_time(hours=25)
    await world.until(State.AWAITING)
    assert world.moves() == 0


async def test_a_withdrawal_that_rings_before_its_ticket_can_be_read_still_stops_the_commit(
    world: World,
) -> None:
    await world.start()
    await world.all_agree()
    ready = await world.until(State.READY)
    assert ready.commit_at is not None
    ticket = await world.file("withdraw", of="authorize")
    hidden = world.town.desk.tickets.pop(ticket)
    surveys, reads = world.calls("survey"), world.calls("read_tickets")

    async def appear() -> None:
        if world.calls("read_tickets") >= reads + 3:
            world.town.desk.tickets[ticket] = hidden

    world.before("read_tickets", appear)
    await world.pass_time(seconds=(ready.commit_at - await world.now()).total_seconds() - 4)
    await world.ring("withdraw", ticket)
    await world.ends(State.WITHDRAWN)
    assert world.moves() == 0
    assert world.calls("survey") == surveys, "it waits for the ticket; it does not spin"


async def test_a_stranger_who_rings_for_nothing_delays_a_commit_by_a_minute_at_most(
    world: World,
) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)
    rung = 0

    async def ring_again() -> None:
        nonlocal rung
        rung += 1
        await world.ring("withdraw", f"bogus-{rung}")

    world.before("read_tickets", ring_again)
    world.before("survey", ring_again)
    await world.ends(State.COMPLETED)
    assert rung < 100
    assert world.moves() == 1


async def test_a_late_yes_does_not_override_a_newer_no(world: World) -> None:
    await world.start()
    yes = await world.file("release")
    await world.pass_time(seconds=5)
    await world.says("refuse", of="release")
    await world.until(State.MEDIATION)
    await world.ring("release", yes)
    await world.until_rejected("release", "SUPERSEDED")
    assert (await world.settled()).state is State.MEDIATION


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        ({"delegated": True}, "DELEGATED_SESSION"),
        ({"by": "mallory"}, "NOT_ADMIN"),
        ({"account": "acme", "by": "ann"}, "WRONG_ACCOUNT"),
        ({"channel": Channel.MAIL}, "WRONG_CHANNEL"),
    ],
)
async def test_who_may_not_speak_is_told_why(
    world: World, ticket: dict[str, Any], code: str
) -> None:
    await world.start()
    answer = await world.submit("authorize", await world.file("authorize", **ticket))
    assert answer.code == code
    assert answer.fix
    assert (await world.settled()).slots[Slot.AUTHORIZE].state.value == "REQUESTED"


async def test_a_refusal_for_invoices_that_are_paid_already_clears_at_once(world: World) -> None:
    """As when the payment is recorded just before the refusal is read."""
    await world.start()
    await world.town.accounts.record_paid("acme", ["R-3"], world.town.now)
    reason = "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: R-3"
    body = f"We refuse the transfer of {world.domain} from Acme to Globex.\n{reason}"
    await world.says("refuse", of="release", body=body)
    await world.until_told("CLEARED")
    assert (await world.settled()).state is State.AWAITING


async def test_a_refusal_for_unpaid_invoices_clears_when_they_are_paid(world: World) -> None:
    """Whoever records the payment rings for the refusal once more; it is read, and cleared."""
    await world.start()
    reason = "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: R-1, R-2"
    body = f"We refuse the transfer of {world.domain} from Acme to Globex.\n{reason}"
    ticket = await world.says("refuse", of="release", body=body)
    await world.until(State.MEDIATION)
    await world.town.accounts.record_paid("acme", ["R-1"], world.town.now)
    await world.ring("refuse", ticket)
    assert (await world.settled()).state is State.MEDIATION
    await world.town.accounts.record_paid("acme", ["r-2"], world.town.now)
    await world.ring("refuse", ticket)
    status = await world.until(State.AWAITING)
    assert "staff" not in status.waiting_on
    await world.until_told("CLEARED")
    await world.all_agree()
    await world.ends(State.COMPLETED)
