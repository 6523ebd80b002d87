"""The same unit on Restate, served to its server: ``python -m bench.peers.restate_worker PORT``."""

from __future__ import annotations

import os
import sys

import restate
import uvicorn

from bench.peers.deeds import PARTIES, SLOTS, Deeds

transfers = restate.Workflow("Transfer")
_deeds = Deeds(os.environ["BENCH_DATABASE"], int(os.environ["BENCH_SMTP"]))


def _notify(domain: str, party: str) -> None:
    _deeds.notify(domain, party, "please file your ticket")


def _notify_all(domain: str) -> None:
    for party in PARTIES:
        _deeds.notify(domain, party, "billing has moved")


@transfers.main()
async def run(context: restate.WorkflowContext, domain: str) -> str:
    """Ask, wait for three tickets, move billing, tell."""
    for party in PARTIES:
        await context.run_typed("notify", _notify, domain=domain, party=party)
    for slot in SLOTS:
        ticket = await context.promise(slot, type_hint=str).value()
        if not await context.run_typed(
            "verify", _deeds.verify, domain=domain, slot=slot, ticket=ticket
        ):
            return "refused"
        await context.run_typed("record", _deeds.record, domain=domain, slot=slot, ticket=ticket)
    await context.run_typed("commit", _deeds.commit, domain=domain)
    await context.run_typed("tell", _notify_all, domain=domain)
    return "completed"


@transfers.handler()
async def release(context: restate.WorkflowSharedContext, ticket: str) -> None:
    """The old reseller filed its ticket."""
    await context.promise("release", type_hint=str).resolve(ticket)


@transfers.handler()
async def authorize(context: restate.WorkflowSharedContext, ticket: str) -> None:
    """The customer filed its ticket."""
    await context.promise("authorize", type_hint=str).resolve(ticket)


@transfers.handler()
async def accept(context: restate.WorkflowSharedContext, ticket: str) -> None:
    """The new reseller filed its ticket."""
    await context.promise("accept", type_hint=str).resolve(ticket)


if __name__ == "__main__":
    uvicorn.run(
        restate.app([transfers]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
