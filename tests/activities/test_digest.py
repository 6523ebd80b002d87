"""The daily digest: looked up, told once, and silent where nothing needs anybody."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from temporalio.testing import ActivityEnvironment

from activities.digest import DigestActivities
from transfer.adapters.memory import MemoryLedger, MemoryOverview
from transfer.digests import digest_mails
from transfer.errors import Unreachable
from transfer.overview import DigestSent, DigestWanted, Need, OpenTransfer

NOW = datetime(2026, 11, 25, 7, tzinfo=UTC)
ESCALATED = OpenTransfer(
    transfer_id="transfer-a.example",
    domain="a.example",
    state="MEDIATION",
    escalated=True,
    waiting_on=("release", "staff"),
    next_deadline=NOW + timedelta(hours=3),
)


class Desk:
    """The activity, and all that it deals with."""

    def __init__(self) -> None:
        self.overview, self.ledger, self.woken = MemoryOverview(), MemoryLedger(), 0
        self.activities = DigestActivities(
            self.overview,
            self.ledger,
            compose=partial(digest_mails, staff=["sue@host.example"], mail_domain="host.example"),
            wake_postman=self._wake,
            clock=lambda: NOW,
        )

    def _wake(self) -> None:
        self.woken += 1

    async def send(self, wanted: DigestWanted) -> DigestSent:
        return await ActivityEnvironment().run(self.activities.send_digest, wanted)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_digest_sent_twice_is_one_mail(desk: Desk) -> None:
    """Though something else needs staff by then."""
    desk.overview.listed = [ESCALATED]
    sent = await desk.send(DigestWanted(at=NOW))
    assert sent == DigestSent(day=date(2026, 11, 25), named={Need.ESCALATED: 1}, mails=1)
    stuck = {"transfer_id": "transfer-b.example", "state": "COMMIT_STUCK"}
    desk.overview.listed.append(ESCALATED.model_copy(update=stuck))
    await desk.send(DigestWanted(at=NOW + timedelta(minutes=5)))
    assert len(desk.ledger.outbox) == 1
    assert desk.woken == 2


async def test_the_next_day_has_its_own(desk: Desk) -> None:
    """By the time zone, not by UTC."""
    desk.overview.listed = [ESCALATED]
    for hours in (0, 12):
        wanted = DigestWanted(time_zone="Pacific/Auckland", at=NOW + timedelta(hours=hours))
        await desk.send(wanted)
    keys = {delivery.key for delivery in desk.ledger.outbox.values()}
    assert keys == {"staff-digest/2026-11-25", "staff-digest/2026-11-26"}


async def test_nothing_to_tell_is_no_mail_and_a_later_one_of_that_day_is(desk: Desk) -> None:
    """What needs somebody by noon may be told at noon, by hand."""
    sent = await desk.send(DigestWanted())
    assert (sent.named, sent.mails, desk.woken, desk.ledger.outbox) == ({}, 0, 0, {})
    desk.overview.listed = [ESCALATED]
    assert (await desk.send(DigestWanted())).mails == 1


@pytest.mark.parametrize("away", ["overview", "ledger"])
async def test_a_neighbour_that_is_away_is_said_to_be(desk: Desk, away: str) -> None:
    desk.overview.listed = [ESCALATED]
    getattr(desk, away).away = True
    with pytest.raises(Unreachable):
        await desk.send(DigestWanted())
