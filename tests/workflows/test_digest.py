"""The daily digest, as a workflow: patient for half a day, and no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.digest import DigestActivities
from tests.workflows.conftest import scenario, write_histories
from transfer.adapters.memory import MemoryLedger, MemoryOverview
from transfer.digests import digest_mails
from transfer.overview import DigestWanted, Need, OpenTransfer
from transfer.starting import DIGEST
from transfer.temporal import DIGEST_WINDOW, TASK_QUEUE
from workflows.digest import StaffDigest

STUCK = OpenTransfer(
    transfer_id="transfer-a.example", domain="a.example", state="COMMIT_STUCK", escalated=True
)


class Town:
    """What the digest is made from, and where it goes; the list may be away for a while."""

    def __init__(self, *, away_for: int = 0) -> None:
        self.overview, self.ledger = MemoryOverview(), MemoryLedger()
        self.overview.listed = [STUCK]
        self._away_for = away_for
        self.tries = 0
        look = self.overview.open_transfers

        async def looked(*args: object, **options: object) -> object:
            self.tries += 1
            self.overview.away = self.tries <= self._away_for
            return await look(*args, **options)  # type: ignore[arg-type]

        self.overview.open_transfers = looked  # type: ignore[method-assign, assignment]

    def worker(self, server: WorkflowEnvironment) -> Worker:
        activities = DigestActivities(
            self.overview,
            self.ledger,
            compose=partial(digest_mails, staff=["sue@host.example"], mail_domain="host.example"),
            wake_postman=lambda: None,
            clock=lambda: datetime.now(UTC),
        )
        return Worker(
            server.client,
            task_queue=TASK_QUEUE,
            workflows=[StaffDigest],
            activities=[activities.send_digest],
        )


async def test_a_digest_comes_though_the_list_is_away_for_a_while(
    skipping_server: WorkflowEnvironment, request: pytest.FixtureRequest
) -> None:
    town = Town(away_for=3)
    async with town.worker(skipping_server):
        handle = await skipping_server.client.start_workflow(
            StaffDigest.run, DigestWanted(), id=DIGEST, task_queue=TASK_QUEUE
        )
        sent = await handle.result()
    assert (sent.named, sent.mails) == ({Need.STUCK: 1}, 1)
    assert len(town.ledger.outbox) == 1
    if request.config.getoption("--write-histories"):
        write_histories(scenario(request.node.nodeid), [await handle.fetch_history()])


async def test_one_that_cannot_be_sent_makes_room_for_the_next_days(
    skipping_server: WorkflowEnvironment,
) -> None:
    """The schedule starts none while another one is under way."""
    town = Town(away_for=10_000)
    async with town.worker(skipping_server):
        handle = await skipping_server.client.start_workflow(
            StaffDigest.run, DigestWanted(), id=DIGEST, task_queue=TASK_QUEUE
        )
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        ended = await handle.describe()
    assert ended.close_time is not None
    assert ended.close_time - ended.start_time < DIGEST_WINDOW + timedelta(minutes=10)
    assert town.ledger.outbox == {}
