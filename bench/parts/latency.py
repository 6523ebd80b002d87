"""One transfer at a time: how soon a signal shows, and what the history and the bill are."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Protocol

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from bench.load import Watch, rested, watched
from bench.peers.bare import on_temporal
from bench.peers.ours import ours
from bench.peers.peer import COMMITTED, NAIVE, OURS, SLOTS, TUNED, Peer
from bench.processes import Failed
from bench.servers import temporal
from bench.stage import Figures, Stage, medians, names, quantile

PAUSE = 0.002
PATIENCE = 30.0

BILLED = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
}
"""What Temporal Cloud bills; and the local activities of one workflow task as one."""


class Shown(Peer, Protocol):
    """A ``Peer`` on Temporal."""

    async def file(self, domain: str, slot: str) -> str:
        """File a party's ticket, and return its id."""
        ...

    async def signal(self, domain: str, slot: str, ticket: str) -> None:
        """Signal a ticket."""
        ...

    async def shows(self, domain: str, slot: str) -> bool:
        """Whether a query says that a party has agreed."""
        ...

    def handle(self, domain: str) -> WorkflowHandle[Any, Any]:
        """The workflow of a transfer."""
        ...


async def latency(stage: Stage) -> dict[str, list[Figures]]:
    """Ours against the bare versions, in turn."""
    folder, size = stage.part("latency"), stage.size
    count = size.watched * (size.rounds + 1)
    domains = {name: names(prefix, count) for name, prefix in _PREFIXES.items()}
    found: dict[str, list[Figures]] = {}
    async with AsyncExitStack() as stack:
        server = stack.enter_context(temporal(folder))
        own = domains[OURS]
        peers: dict[str, Shown] = {
            OURS: await stack.enter_async_context(ours(folder, server, stage.sink, own))
        }
        for name, kind in ((NAIVE, "Naive"), (TUNED, "Tuned")):
            peers[name] = await stack.enter_async_context(
                on_temporal(folder, server, stage.sink, domains[name], kind)
            )
        for number in range(size.rounds + 1):
            for name, peer in peers.items():
                batch = domains[name][number * size.watched :][: size.watched]
                figures = await _one_at_a_time(stage, peer, batch)
                if number:
                    found.setdefault(name, []).append(figures)
    for name, rounds in found.items():
        stage.say(f"{name}: " + ", ".join(f"{k} {v:.1f}" for k, v in medians(rounds).items()))
    return found


async def _one_at_a_time(stage: Stage, peer: Shown, domains: list[str]) -> Figures:
    waits: list[float] = []

    async def life(watch: Watch, domain: str) -> None:
        await peer.begin(domain)
        await watch.asked(domain)
        for far, slot in enumerate(SLOTS, 1):
            ticket = await peer.file(domain, slot)
            began = time.perf_counter()
            await peer.signal(domain, slot, ticket)
            if far < len(SLOTS):  # the last one ends it
                await _shows(peer, domain, slot)
                waits.append(time.perf_counter() - began)
                await watch.recorded(domain, far)
        await watch.recorded(domain, COMMITTED)

    await watched(peer, stage.mails(), domains, life, at_once=1)
    await rested(peer)
    bills = [await _bill(peer, domain) for domain in domains]
    return medians(bills) | {
        "visible_p50_ms": 1000 * quantile(waits, 0.5),
        "visible_p99_ms": 1000 * quantile(waits, 0.99),
    }


async def _shows(peer: Shown, domain: str, slot: str) -> None:
    end = time.monotonic() + PATIENCE
    while not await peer.shows(domain, slot):
        if time.monotonic() > end:
            raise Failed(f"{domain} never showed {slot}")
        await asyncio.sleep(PAUSE)


async def _bill(peer: Shown, domain: str) -> Figures:
    events = (await peer.handle(domain).fetch_history()).events
    counts = Counter(event.event_type for event in events)
    noted = {
        event.marker_recorded_event_attributes.workflow_task_completed_event_id
        for event in events
        if event.HasField("marker_recorded_event_attributes")
    }
    return {
        "events": len(events),
        "workflow_tasks": counts[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED],
        "actions": sum(counts[kind] for kind in BILLED) + len(noted),
    }


_PREFIXES = {OURS: "l", NAIVE: "ln", TUNED: "lt"}
