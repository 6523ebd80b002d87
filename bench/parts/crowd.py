"""Many transfers open at once: what one costs among them, and what the kill of a worker costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from bench.load import Watch, completed, opened, rested, until_taken, watched
from bench.peers.ours import Ours, ours
from bench.peers.peer import COMMITTED, SLOTS
from bench.servers import temporal
from bench.stage import MEGABYTE, Figures, Stage, medians, names
from transfer.adapters.tools import utc_now

AT_A_TIME = 100
"""Transfers opened between two looks at the clock."""
SLOWLY = 0.2


async def crowd(stage: Stage, *, grown: bool, killed: bool) -> dict[str, Figures]:
    """What one transfer costs beside many, and then the recovery of some of them."""
    size = stage.size
    levels = tuple(size.open) if grown else (2 * size.killed,)
    lives = names("cl", size.lives * size.rounds * len(levels) + size.warm_up)
    many = names("c", max(levels))
    found: dict[str, Figures] = {}
    folder = stage.part("crowd")
    with temporal(folder) as server:
        cached = len(many) + len(lives)
        async with ours(folder, server, stage.sink, [*many, *lives], cached=cached) as peer:
            alive = iter(lives)
            await completed(peer, stage.mails(), [next(alive) for _ in range(size.warm_up)])
            are_open = 0
            end = time.monotonic() + size.patience
            for level in levels:
                are_open = await _grow(stage, peer, many[are_open:level], are_open, end)
                if grown:
                    batches = [[next(alive) for _ in range(size.lives)] for _ in range(size.rounds)]
                    found[f"open_{level}"] = await _beside(stage, peer, batches, are_open)
                if are_open < level:
                    stage.failures[f"{level} open"] = f"{are_open} after {size.patience:g} s"
                    break
            if killed:
                some = min(size.killed, are_open // 2)
                calm, hit = many[:some], many[some : 2 * some]
                try:
                    found["recovery"] = await _recovery(stage, peer, calm, hit, are_open)
                except Exception as error:  # noqa: BLE001 - what was found before is kept
                    stage.failed("recovery", error)
    return found


async def _grow(stage: Stage, peer: Ours, domains: Sequence[str], already: int, end: float) -> int:
    """Open transfers until the time is up, and return how many are open."""
    mails = stage.mails()
    for begin in range(0, len(domains), AT_A_TIME):
        if time.monotonic() > end:
            return already + begin
        await opened(peer, mails, domains[begin : begin + AT_A_TIME])
    await rested(peer, already + len(domains))
    return already + len(domains)


async def _beside(stage: Stage, peer: Ours, batches: list[list[str]], are_open: int) -> Figures:
    mails = stage.mails()
    resident = peer.worker.resident() / MEGABYTE
    rounds: list[Figures] = []
    for batch in batches:
        peer.watch_from(utc_now())
        rounds.append(await completed(peer, mails, batch, still_open=are_open))
    found = medians(rounds) | {"open": float(are_open), "resident_mb": resident}
    stage.say(f"{are_open} open: " + ", ".join(f"{k} {v:.1f}" for k, v in found.items()))
    return found


async def _recovery(
    stage: Stage, peer: Ours, calm: Sequence[str], hit: Sequence[str], are_open: int
) -> Figures:
    """All tickets of many transfers at once: in peace, and with the worker killed meanwhile."""
    in_peace = await _all_tickets(stage, peer, calm, are_open, kill=False)
    with_a_kill = await _all_tickets(stage, peer, hit, are_open - len(calm), kill=True)
    stage.say(f"recovery: {in_peace:.1f} s in peace, {with_a_kill:.1f} s with a kill")
    return {"transfers": len(hit), "in_peace_s": in_peace, "with_a_kill_s": with_a_kill}


async def _all_tickets(
    stage: Stage, peer: Ours, domains: Sequence[str], are_open: int, *, kill: bool
) -> float:
    """Seconds from the kill, or else from the first ticket, until billing of all has moved."""

    async def life(watch: Watch, domain: str) -> None:
        for slot in SLOTS:
            ticket = await peer.file(domain, slot)
            await until_taken(partial(peer.signal, domain, slot, ticket))
        await watch.recorded(domain, COMMITTED)

    peer.watch_from(utc_now())
    began = time.perf_counter()
    if kill:
        peer.worker.kill()
        peer.work()
    mails = stage.mails()
    await watched(peer, mails, domains, life, at_once=len(domains), look_every=SLOWLY)
    took = time.perf_counter() - began
    await rested(peer, are_open - len(domains))
    return took
