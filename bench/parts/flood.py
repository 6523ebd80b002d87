"""Far more signals than a transfer needs: known and unknown, readable and not, real ones among."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest

from bench.load import Watch, rested, until_taken, watched
from bench.peers.ours import Ours, ours
from bench.peers.peer import COMMITTED, SLOTS
from bench.servers import temporal
from bench.stage import Figures, Stage
from transfer.opening import transfer_id

AT_ONCE = 50
FLOODED = "flooded.example"


async def flood(stage: Stage) -> Figures:
    """Send the signals, the real tickets among them, and see that the transfer completes."""
    folder = stage.part("flood")
    with temporal(folder) as server:
        async with ours(folder, server, stage.sink, [FLOODED]) as peer:
            found: Figures = {}

            async def life(watch: Watch, domain: str) -> None:
                await peer.begin(domain)
                await watch.asked(domain)
                found.update(await _flooded(peer, domain, stage.size.signals))
                began = time.perf_counter()
                await watch.recorded(domain, COMMITTED)
                found["completed_after_s"] = time.perf_counter() - began

            await watched(peer, stage.mails(), [FLOODED], life)
            await rested(peer)
            found |= await _histories(peer)
            found["tickets_that_count"] = (await peer.recorded())[FLOODED] - 1
    stage.say(", ".join(f"{name} {value:.1f}" for name, value in found.items()))
    return found


async def _flooded(peer: Ours, domain: str, signals: int) -> Figures:
    irrelevant = await peer.ask(domain, "Transfer", f"What will {domain} cost?")
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> int:
        name, data = _signal(number, irrelevant, missing=number < signals // 10)
        async with turns:
            return await until_taken(partial(send, name, data))

    async def send(name: str, data: bytes) -> None:
        payload = Payload(metadata={"encoding": b"json/plain"}, data=data)
        await peer.client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=peer.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=transfer_id(domain)),
                signal_name=name,
                input=Payloads(payloads=[payload]),
                request_id=str(uuid.uuid4()),
            ),
            retry=True,
        )

    began, refused = time.perf_counter(), 0
    for part, slot in enumerate(SLOTS):
        share = range(part * signals // 3, (part + 1) * signals // 3)
        refused += sum(await asyncio.gather(*(one(number) for number in share)))
        ticket = await peer.file(domain, slot)
        refused += await until_taken(partial(peer.signal, domain, slot, ticket))
    took = time.perf_counter() - began
    return {"signals": signals, "refused_and_sent_again": refused, "sending_s": took}


def _signal(number: int, irrelevant: str, *, missing: bool) -> tuple[str, bytes]:
    """Half ring for a ticket that says nothing; the others are nonsense of several kinds.

    Tickets that are not there hold the commit up for a minute, so they are among the first alone.
    """
    ticket = f'{{"ticket_id": "{irrelevant}"}}'.encode()
    match number % 8:
        case 0 | 1 | 2 | 3:
            return SLOTS[number % 3], ticket
        case 4:
            return "withdraw", ticket
        case 5 if missing:
            return "accept", f'{{"ticket_id": "{9_000_000 + number}"}}'.encode()
        case 5 | 6:
            return "nobody_knows", b'"it"'
        case _:
            return "release", b'{"ticket_id": ["broken"'


async def _histories(peer: Ours) -> Figures:
    """How long the histories of its runs are: a new one begins before one is too long."""
    lengths = [
        one.history_length or 0
        async for one in peer.client.list_workflows(f"WorkflowId='{transfer_id(FLOODED)}'")
    ]
    return {"runs": len(lengths), "longest_history": max(lengths, default=0)}
