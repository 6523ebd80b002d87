"""What is asked of whoever is measured: begin a transfer, take its tickets, say how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bench.processes import Program, Used, cpu_of

NAIVE, TUNED = "bare, naive", "bare, tuned"
OURS, OURS_ON_POSTGRESQL = "ours", "ours, PostgreSQL"
DBOS, RESTATE = "DBOS", "Restate"

SLOTS = ("release", "authorize", "accept")
COMMITTED = 4
"""How far a transfer is when its three tickets are written down and billing has moved."""


class Peer(Protocol):
    """One implementation of the unit: start; three tickets; commit; all of them told."""

    name: str
    worker: Program
    servers: Sequence[int]

    async def begin(self, domain: str) -> None:
        """Start a transfer."""
        ...

    async def ring(self, domain: str, slot: str) -> None:
        """File a party's ticket, and signal it."""
        ...

    async def recorded(self) -> Mapping[str, int]:
        """How far transfers are, up to ``COMMITTED``: tickets written down, billing moved."""
        ...

    async def at_rest(self, still_open: int) -> bool:
        """Whether nothing is left to do: no more than so many are open, and every mail is sent."""
        ...


def used(peer: Peer) -> Used:
    """CPU seconds that the peer has used so far."""
    return Used(peer.worker.cpu(), sum(cpu_of(pid) for pid in peer.servers))
