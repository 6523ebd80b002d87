"""Whole transfers at full load: CPU of worker and server, how many a second, memory at most."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.load import completed
from bench.peers.bare import OnRestate, on_dbos, on_restate, on_temporal
from bench.peers.ours import Ours, ours
from bench.peers.peer import DBOS, NAIVE, OURS, OURS_ON_POSTGRESQL, RESTATE, TUNED, Peer
from bench.servers import Postgres, Temporal, postgres, restate, temporal
from bench.stage import MEGABYTE, Figures, Stage, medians, names


async def on_sqlite(stage: Stage) -> dict[str, list[Figures]]:
    """Ours against the bare versions, all on one Temporal server and SQLite."""
    folder = stage.part("transfers")
    mine, naive, tuned = (names(prefix, _count(stage)) for prefix in ("t", "tn", "tt"))
    async with AsyncExitStack() as stack:
        server = stack.enter_context(temporal(folder))
        run = _Run(stage, stack)
        await run.joins(OURS, mine, ours(folder, server, stage.sink, mine))
        await run.joins(NAIVE, naive, on_temporal(folder, server, stage.sink, naive, "Naive"))
        await run.joins(TUNED, tuned, on_temporal(folder, server, stage.sink, tuned, "Tuned"))
        return await run.rounds()


async def on_postgresql(stage: Stage) -> dict[str, list[Figures]]:
    """Ours against other engines, with PostgreSQL for everybody; the servers' state is on disk."""
    folder = stage.part("engines")
    mine, dbos, others = (names(prefix, _count(stage)) for prefix in ("e", "ed", "er"))
    async with AsyncExitStack() as stack:
        server = stack.enter_context(temporal(folder))
        database = stack.enter_context(postgres(folder))
        run = _Run(stage, stack)
        await run.joins(OURS_ON_POSTGRESQL, mine, _ours(stage, folder, server, database, mine))
        await run.joins(DBOS, dbos, on_dbos(folder, database, stage.sink, dbos))
        await run.joins(RESTATE, others, _on_restate(stage, folder, database, others))
        return await run.rounds()


class _Run:
    """Peers in turn, round after round. One that fails is left out from then on."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self._stage = stage
        self._stack = stack
        self._peers: dict[str, tuple[Peer, Sequence[str]]] = {}

    async def joins(
        self, name: str, domains: Sequence[str], peer: AbstractAsyncContextManager[Peer]
    ) -> None:
        """Begin a peer."""
        try:
            self._peers[name] = (await self._stack.enter_async_context(peer), domains)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._stage.failed(name, error)

    async def rounds(self) -> dict[str, list[Figures]]:
        """A round to warm up, and those that count."""
        size, mails = self._stage.size, self._stage.mails()
        found: dict[str, list[Figures]] = {}
        for number in range(size.rounds + 1):
            begin = size.warm_up + (number - 1) * size.transfers
            batch = slice(begin, begin + size.transfers) if number else slice(size.warm_up)
            for name, (peer, domains) in list(self._peers.items()):
                try:
                    figures = await completed(peer, mails, domains[batch])
                except Exception as error:  # noqa: BLE001 - likewise
                    self._stage.failed(name, error)
                    del self._peers[name]
                    continue
                if number:
                    figures["worker_peak_mb"] = peer.worker.peak() / MEGABYTE
                    found.setdefault(name, []).append(figures)
        for name, rounds in found.items():
            spoken = (f"{what} {value:.1f}" for what, value in medians(rounds).items())
            self._stage.say(f"{name}: {', '.join(spoken)}")
        return found


@asynccontextmanager
async def _ours(
    stage: Stage, folder: Path, server: Temporal, database: Postgres, domains: Sequence[str]
) -> AsyncGenerator[Ours]:
    url = database.database("transfer")
    async with ours(folder, server, stage.sink, domains, database=url) as peer:
        peer.servers = (server.program.pid, database.pid)
        yield peer


@asynccontextmanager
async def _on_restate(
    stage: Stage, folder: Path, database: Postgres, domains: Sequence[str]
) -> AsyncGenerator[OnRestate]:
    with restate(folder) as engine:
        async with on_restate(folder, database, engine, stage.sink, domains) as peer:
            yield peer


def _count(stage: Stage) -> int:
    return stage.size.warm_up + stage.size.rounds * stage.size.transfers
