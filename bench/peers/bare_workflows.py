"""The same unit on Temporal without this service: as tutorials have it, and tuned."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from bench.peers.deeds import PARTIES, SLOTS, Deeds

SHORT = timedelta(seconds=30)
DEADLINE = timedelta(days=14)


@dataclass
class Transfer:
    """Whose billing moves."""

    domain: str


@dataclass
class Notice:
    """A mail to one party."""

    domain: str
    party: str
    what: str


@dataclass
class Filed:
    """A party's ticket."""

    domain: str
    slot: str
    ticket: str


class Activities:
    """The deeds as activities, run in threads."""

    def __init__(self, deeds: Deeds) -> None:
        self._deeds = deeds

    @activity.defn
    def notify(self, notice: Notice) -> None:
        """Send one mail."""
        self._deeds.notify(notice.domain, notice.party, notice.what)

    @activity.defn
    def notify_all(self, transfer: Transfer) -> None:
        """Mail the outcome to all three."""
        for party in PARTIES:
            self._deeds.notify(transfer.domain, party, "billing has moved")

    @activity.defn
    def verify(self, filed: Filed) -> bool:
        """Read a ticket."""
        return self._deeds.verify(filed.domain, filed.slot, filed.ticket)

    @activity.defn
    def record(self, filed: Filed) -> None:
        """Write down that a party agreed."""
        self._deeds.record(filed.domain, filed.slot, filed.ticket)

    @activity.defn
    def commit(self, transfer: Transfer) -> None:
        """Move billing."""
        self._deeds.commit(transfer.domain)


class Tickets:
    """Three signals and a query, as both have them."""

    def __init__(self) -> None:
        self._tickets: dict[str, str] = {}
        self._authorized: list[str] = []

    @workflow.signal
    def release(self, ticket: str) -> None:
        """The old reseller filed its ticket."""
        self._tickets["release"] = ticket

    @workflow.signal
    def authorize(self, ticket: str) -> None:
        """The customer filed its ticket."""
        self._tickets["authorize"] = ticket

    @workflow.signal
    def accept(self, ticket: str) -> None:
        """The new reseller filed its ticket."""
        self._tickets["accept"] = ticket

    @workflow.query
    def authorized(self) -> list[str]:
        """Who has agreed."""
        return self._authorized

    def _has(self, slot: str) -> bool:
        return slot in self._tickets

    def _has_or(self, deadline: asyncio.Task[None], slot: str) -> bool:
        return self._has(slot) or deadline.done()


@workflow.defn
class Naive(Tickets):
    """As tutorials have it: an activity for each step, a timer for each clock."""

    @workflow.run
    async def run(self, transfer: Transfer) -> str:
        """Ask, wait for three tickets, move billing, tell."""
        await asyncio.gather(
            *(
                workflow.execute_activity_method(
                    Activities.notify,
                    Notice(transfer.domain, party, "please file your ticket"),
                    start_to_close_timeout=SHORT,
                )
                for party in PARTIES
            )
        )
        for slot in SLOTS:
            await workflow.wait_condition(partial(self._has, slot), timeout=DEADLINE)
            filed = Filed(transfer.domain, slot, self._tickets[slot])
            if not await workflow.execute_activity_method(
                Activities.verify, filed, start_to_close_timeout=SHORT
            ):
                return "refused"
            await workflow.execute_activity_method(
                Activities.record, filed, start_to_close_timeout=SHORT
            )
            self._authorized.append(slot)
        await workflow.execute_activity_method(
            Activities.commit, transfer, start_to_close_timeout=SHORT
        )
        await workflow.execute_activity_method(
            Activities.notify_all, transfer, start_to_close_timeout=SHORT
        )
        return "completed"


@workflow.defn
class Tuned(Tickets):
    """With every trick: local activities, the sandbox passed through, one timer."""

    @workflow.run
    async def run(self, transfer: Transfer) -> str:
        """Ask, wait for three tickets, move billing, tell."""
        deadline = asyncio.create_task(workflow.sleep(DEADLINE))
        await asyncio.gather(
            *(
                workflow.execute_local_activity_method(
                    Activities.notify,
                    Notice(transfer.domain, party, "please file your ticket"),
                    start_to_close_timeout=SHORT,
                )
                for party in PARTIES
            )
        )
        for slot in SLOTS:
            await workflow.wait_condition(partial(self._has_or, deadline, slot))
            if not self._has(slot):
                return "expired"
            filed = Filed(transfer.domain, slot, self._tickets[slot])
            if not await workflow.execute_local_activity_method(
                Activities.verify, filed, start_to_close_timeout=SHORT
            ):
                return "refused"
            await workflow.execute_local_activity_method(
                Activities.record, filed, start_to_close_timeout=SHORT
            )
            self._authorized.append(slot)
        deadline.cancel()
        await workflow.execute_local_activity_method(
            Activities.commit, transfer, start_to_close_timeout=SHORT
        )
        await workflow.execute_local_activity_method(
            Activities.notify_all, transfer, start_to_close_timeout=SHORT
        )
        return "completed"
