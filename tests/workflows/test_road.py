"""The main road: three tickets, a grace, a re-check, and billing moves."""

from __future__ import annotations

from itertools import permutations

import pytest
from temporalio.exceptions import WorkflowAlreadyStartedError

from tests.workflows.world import World
from transfer.case import State
from transfer.parties import Slot


@pytest.mark.parametrize("order", list(permutations(Slot)), ids="-".join)
async def test_three_tickets_in_any_order_move_billing(
    world: World, order: tuple[Slot, ...]
) -> None:
    await world.start()
    for slot in order:
        await world.says(slot.value)
        await world.until_slot(slot.value, "AUTHORIZED")
    ready = await world.until(State.READY)
    done = await world.ends(State.COMPLETED)
    assert world.billed() == ["acme", "globex"]
    assert ready.commit_at is not None
    assert done.completed_at is not None
    assert done.completed_at >= ready.commit_at, "billing moves only after the grace"
    assert world.codes() == [
        "RECEIVED",
        "OPENED",
        *["AUTHORIZED"] * 3,
        "READY",
        "COMMITTING",
        "COMPLETED",
    ]


async def test_tickets_filed_before_the_start_are_found(world: World) -> None:
    await world.settle()
    for slot in Slot:
        await world.file(slot.value)
    await world.start()
    status = await world.until(State.READY)
    assert all(view.state.value == "AUTHORIZED" for view in status.slots.values())
    await world.ends(State.COMPLETED)
    assert world.calls("read_tickets") == 0, "nobody rang"


async def test_a_wrong_domain_is_rejected_and_put_right(world: World) -> None:
    await world.start()
    wrong = await world.says("authorize", domain="elsewhere.example")
    rejected = await world.until_rejected("authorize", "DOMAIN_MISMATCH")
    assert rejected.ticket_id == wrong
    assert (await world.settled()).state is State.AWAITING
    await world.all_agree()
    await world.ends(State.COMPLETED)
    assert world.codes().count("REJECTED") == 1


async def test_the_same_ticket_twice_is_a_no_op(world: World) -> None:
    await world.start()
    ticket = await world.says("release")
    await world.until_slot("release", "AUTHORIZED")
    for _ in range(3):
        await world.ring("release", ticket)
    await world.says("authorize")
    await world.until_slot("authorize", "AUTHORIZED")
    assert world.codes().count("AUTHORIZED") == 2
    assert (await world.settled()).slots[Slot.RELEASE].rejected == ()


async def test_a_doorbell_with_the_wrong_name_does_not_matter(world: World) -> None:
    await world.start()
    await world.ring("withdraw", await world.file("release"))
    await world.until_slot("release", "AUTHORIZED")


async def test_a_ticket_that_appears_a_little_late_is_looked_for_again(world: World) -> None:
    await world.start()
    ticket = await world.file("release")
    hidden = world.town.desk.tickets.pop(ticket)
    await world.ring("release", ticket)
    await world.until_told("OPENED")
    world.town.desk.tickets[ticket] = hidden
    await world.pass_time(seconds=15)
    await world.until_slot("release", "AUTHORIZED")


async def test_a_ticket_that_never_appears_is_rejected_after_a_minute(world: World) -> None:
    await world.start()
    await world.ring("release", "404404")
    await world.pass_time(seconds=70)
    await world.until_rejected("release", "TICKET_UNKNOWN")
    assert (await world.settled()).state is State.AWAITING


async def test_a_failed_preflight_ends_invalid_with_all_findings(world: World) -> None:
    await world.settle()
    accounts = world.town.accounts
    customer = accounts.customers[world.customer]
    accounts.customers[world.customer] = customer.model_copy(
        update={"legal_hold": True, "terminating": True}
    )
    await world.start(to="nobody")
    result = await world.ends(State.INVALID)
    assert {finding.split(":")[0] for finding in result.findings} == {
        "UNKNOWN_RESELLER",
        "LEGAL_HOLD",
        "CUSTOMER_TERMINATING",
    }
    assert world.moves() == 0


async def test_a_false_claim_about_the_old_reseller_ends_invalid(world: World) -> None:
    await world.start(from_="initech")
    result = await world.ends(State.INVALID)
    assert result.code == "NOT_CURRENT_RESELLER"


async def test_a_second_start_of_the_same_customer_is_refused(world: World) -> None:
    first = await world.start()
    with pytest.raises(WorkflowAlreadyStartedError) as refusal:
        await world.start()
    assert refusal.value.run_id in (None, first.first_execution_run_id)
    assert (await world.settled()).state is State.AWAITING


async def test_a_customer_can_be_asked_for_again_after_a_refusal(world: World) -> None:
    await world.start()
    await world.says("refuse", of="authorize")
    await world.ends(State.REFUSED)
    again = await world.start()
    assert (await world.until(State.AWAITING)).key.endswith(again.first_execution_run_id or "?")


async def test_a_suspended_old_reseller_goes_straight_to_mediation(world: World) -> None:
    await world.start(old="broke")
    status = await world.until(State.MEDIATION)
    assert status.escalated
    assert set(status.waiting_on) == {"release", "authorize", "accept", "staff"}
    await world.until_told("MEDIATION")
    opened = [one for one in world.town.queue.known.values() if one.transfer_id == world.id]
    assert [one.why for one in opened] == ["OLD_SUSPENDED"]


async def test_charges_that_changed_are_accepted_anew_before_billing_moves(world: World) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)
    accounts = world.town.accounts
    dearer = accounts.customers[world.customer].charges.model_copy(update={"plan": "premium"})
    customer = accounts.customers[world.customer]
    accounts.customers[world.customer] = customer.model_copy(update={"charges": dearer})
    billed = accounts.billed[world.customer]
    accounts.billed[world.customer] = (billed[0].model_copy(update={"charges": dearer}),)
    await world.pass_time(hours=25)
    status = await world.until(State.AWAITING)
    assert status.waiting_on == ("accept",)
    assert world.moves() == 0
    await world.says("accept")
    await world.ends(State.COMPLETED)
    assert world.town.accounts.billed[world.customer][-1].charges == dearer


async def test_a_reseller_that_is_not_of_record_any_more_stops_the_transfer(world: World) -> None:
    await world.start()
    await world.all_agree()
    await world.until(State.READY)
    accounts = world.town.accounts
    customer = accounts.customers[world.customer]
    accounts.customers[world.customer] = customer.model_copy(update={"reseller": "broke"})
    result = await world.ends(State.CANCELLED)
    assert result.code == "NOT_CURRENT_RESELLER"
    assert world.moves() == 0


async def test_signals_after_the_end_change_nothing(real_world: World) -> None:
    await real_world.start(grace="0s")
    await real_world.all_agree()
    await real_world.ends(State.COMPLETED)
    late = await real_world.file("withdraw", of="authorize")
    before = await real_world.counts()
    with pytest.raises(Exception, match="already completed"):
        await real_world.ring("withdraw", late)
    assert await real_world.counts() == before
    assert real_world.billed() == ["acme", "globex"]
