"""What the tracking page reads: on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.adapters.stores import NOW, Stores, delivery, row
from tests.core import stories
from transfer.case import Case, Publication
from transfer.parties import Party

MINUTE = timedelta(minutes=1)


def told(case: Case) -> Publication:
    """Everything that happened to a case, at once."""
    return Publication(case=case.having(evidence=()), events=case.evidence)


async def test_what_was_told_last_can_be_tracked(stores: Stores) -> None:
    """In the same transaction as its evidence, and by its key alone."""
    started, ready = stories.started(), stories.ready()
    for case in (started, ready):
        await stores.ledger.publish([row(1)], [delivery("d1")], told(case))
    known = await stores.tracking.tracked("key-1", Party.OLD)
    assert known.case == ready.having(evidence=())
    assert known.at == ready.evidence[-1].at
    assert known.revoked_before is None
    assert (await stores.tracking.tracked("key-2", Party.OLD)).case is None


async def test_what_was_told_before_and_comes_late_is_not_tracked(stores: Stores) -> None:
    """An attempt that was given up may still reach the database."""
    started, ready = told(stories.started()), told(stories.ready())
    two = (stores, stores.another())
    await asyncio.gather(
        *(two[n % 2].ledger.publish([], [], [ready, started][n % 2]) for n in range(6))
    )
    for _ in range(2):
        await stores.ledger.publish([], [], started)
    known = await stores.tracking.tracked("key-1", Party.OLD)
    assert known.case == ready.case


async def test_evidence_without_a_case_tracks_nothing(stores: Stores) -> None:
    await stores.ledger.publish([row(1)], [])
    await stores.ledger.publish([], [], Publication(case=stories.started(), events=()))
    assert (await stores.tracking.tracked("key-1", Party.OLD)).case is None


async def test_links_are_revoked_by_transfer_and_party_and_never_back(stores: Stores) -> None:
    revoke, tracked = stores.tracking.revoke, stores.tracking.tracked
    await revoke(["k1", "k2"], [Party.OLD, Party.NEW], NOW)
    await revoke(["k1"], [Party.OLD], NOW + MINUTE)
    await revoke(["k1"], [Party.OLD], NOW - MINUTE)
    assert (await tracked("k1", Party.OLD)).revoked_before == NOW + MINUTE
    assert (await tracked("k2", Party.OLD)).revoked_before == NOW
    assert (await tracked("k1", Party.NEW)).revoked_before == NOW
    assert (await tracked("k1", Party.CUSTOMER)).revoked_before is None
    assert (await tracked("k3", Party.OLD)).revoked_before is None


async def test_what_has_not_changed_for_long_is_forgotten(stores: Stores) -> None:
    await stores.ledger.publish([], [], told(stories.started()))
    await stores.tracking.revoke(["key-1"], [Party.OLD], stories.MONDAY)
    await stores.tracking.forget(stories.MONDAY)
    known = await stores.tracking.tracked("key-1", Party.OLD)
    assert known.case is not None
    assert known.revoked_before == stories.MONDAY
    await stores.tracking.forget(stories.MONDAY + MINUTE)
    known = await stores.tracking.tracked("key-1", Party.OLD)
    assert known == (None, None, None)
