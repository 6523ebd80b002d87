"""The list of open transfers: in memory, and as a real Temporal server lists them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from tests.conftest import assert_eventually
from transfer.adapters.memory import MemoryOverview
from transfer.adapters.overview import TemporalOverview
from transfer.attributes import search_attributes
from transfer.errors import Unreachable
from transfer.overview import Need, OpenTransfer
from transfer.ports import Overview
from transfer.temporal import WORKFLOW_TYPE
from transfer.views import Attributes

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)


def one(domain: str, **values: object) -> OpenTransfer:
    """A transfer that needs nobody."""
    return OpenTransfer.model_validate(
        {
            "transfer_id": f"transfer-{domain}",
            "domain": domain,
            "old": "acme",
            "new": "globex",
            "state": "AWAITING",
            "waiting_on": ("accept",),
            "next_deadline": NOW + timedelta(days=3),
        }
        | values
    )


STUCK = one("stuck.example", state="COMMIT_STUCK", escalated=True, waiting_on=("staff",))
MEDIATED = one(
    "mediated.example", state="MEDIATION", escalated=True, waiting_on=("release", "staff")
)
HELD = one("held.example", state="ON_HOLD", waiting_on=("staff",), next_deadline=None)
DUE = one("due.example", next_deadline=TOMORROW - timedelta(seconds=1))
NOBODY = one("nobody.example")
ALL = (STUCK, MEDIATED, HELD, DUE, NOBODY)


async def _begin(client: Client, transfer: OpenTransfer) -> None:
    """Start it where no worker is, so that it stays as it is."""
    shown = Attributes(
        TransferState=transfer.state,
        WaitingOn=transfer.waiting_on,
        CustomerDomain=transfer.domain,
        OldReseller=transfer.old,
        NewReseller=transfer.new,
        Escalated=transfer.escalated,
        NextDeadline=transfer.next_deadline,
    )
    await client.start_workflow(
        WORKFLOW_TYPE,
        id=transfer.transfer_id,
        task_queue="nobody-works-here",
        search_attributes=search_attributes(shown),
    )


@pytest.fixture(params=["memory", "temporal"])
async def overview(
    request: pytest.FixtureRequest, dev_server: WorkflowEnvironment
) -> AsyncGenerator[Overview]:
    """A list of all of these, and of one that is over."""
    if request.param == "memory":
        found = MemoryOverview()
        found.listed = list(ALL)
        yield found
        return
    over = one("over.example", escalated=True)
    for transfer in (*ALL, over):
        await _begin(dev_server.client, transfer)
    await dev_server.client.get_workflow_handle(over.transfer_id).terminate()
    listed = TemporalOverview(dev_server.client)

    async def all_are_listed() -> None:
        far = NOW + timedelta(days=9)
        due = await listed.open_transfers(Need.DUE, due_before=far, limit=500)
        assert {t.domain for t in (STUCK, MEDIATED, DUE, NOBODY)} <= {
            t.domain for t in due.transfers
        }
        waiting = await listed.open_transfers(Need.WAITING, due_before=far, limit=500)
        assert HELD.domain in {t.domain for t in waiting.transfers}
        staffed = await listed.open_transfers(Need.ESCALATED, due_before=far, limit=500)
        assert over.domain not in {t.domain for t in staffed.transfers}

    await assert_eventually(all_are_listed)
    yield listed
    for transfer in ALL:
        await dev_server.client.get_workflow_handle(transfer.transfer_id).terminate()


async def _ours(overview: Overview, need: Need) -> list[OpenTransfer]:
    """In the order of ``ALL``: a list has none."""
    found = await overview.open_transfers(need, due_before=TOMORROW, limit=500)
    assert found.need is need
    return [transfer for transfer in ALL if transfer in found.transfers]


async def test_each_need_finds_who_has_it_and_nobody_else(overview: Overview) -> None:
    """With everything that the list knows of them."""
    assert await _ours(overview, Need.STUCK) == [STUCK]
    assert await _ours(overview, Need.ESCALATED) == [STUCK, MEDIATED]
    assert await _ours(overview, Need.WAITING) == [STUCK, MEDIATED, HELD]
    assert await _ours(overview, Need.DUE) == [DUE]


async def test_a_long_list_is_cut_and_says_so(overview: Overview) -> None:
    found = await overview.open_transfers(Need.WAITING, due_before=TOMORROW, limit=2)
    assert (len(found.transfers), found.more) == (2, True)
    found = await overview.open_transfers(Need.WAITING, due_before=TOMORROW, limit=500)
    assert not found.more


async def test_more_than_a_page_is_read(dev_server: WorkflowEnvironment) -> None:
    """From page to page."""
    many = [one(f"many{number}.example", state="COMMIT_STUCK") for number in range(110)]
    await asyncio.gather(*(_begin(dev_server.client, transfer) for transfer in many))
    overview = TemporalOverview(dev_server.client)

    async def all_are_found() -> None:
        found = await overview.open_transfers(Need.STUCK, due_before=NOW, limit=500)
        assert all(transfer in found.transfers for transfer in many)

    await assert_eventually(all_are_found)
    found = await overview.open_transfers(Need.STUCK, due_before=NOW, limit=105)
    assert (len(found.transfers), found.more) == (105, True)
    for transfer in many:
        await dev_server.client.get_workflow_handle(transfer.transfer_id).terminate()


async def test_a_list_that_is_away_is_said_to_be(
    dev_server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again."""

    async def away(*_args: object, **_options: object) -> None:
        raise RPCError("the visibility store is away", RPCStatusCode.UNAVAILABLE, b"")

    client = dev_server.client
    monkeypatch.setattr(client.workflow_service, "list_workflow_executions", away)
    with pytest.raises(Unreachable, match="UNAVAILABLE"):
        await TemporalOverview(client).open_transfers(Need.STUCK, due_before=NOW, limit=1)
    fake = MemoryOverview()
    fake.away = True
    with pytest.raises(Unreachable):
        await fake.open_transfers(Need.STUCK, due_before=NOW, limit=1)
