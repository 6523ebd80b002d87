"""How long the gateway takes to answer, beside Temporal's dev server, a worker and a mail sink.

An open loop: requests leave at their time whether or not earlier ones were answered, so a stall
counts against every request that should have been answered meanwhile. The same process answers
``/healthz`` in between, which is what an answer costs here that does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import Installation, Server, customer_of, eventually, free_port
from tests.gateway.panel import SECRET, Sender
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.commands.announce import announcement
from transfer.tickets import Ticket

RATE, SECONDS, CUSTOMERS = 50, 20, 40
WARM_UP_SECONDS = 3


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help="requests a second")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--worker", action="store_true", help="let a worker use the cores, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as name:
        found = figures(
            Path(name), min(asked.seconds, 120), rate=min(asked.rate, 500), worker=asked.worker
        )
    print(json.dumps(found, indent=2))  # noqa: T201 - what it is for


def figures(
    folder: Path, seconds: int = SECONDS, *, rate: int = RATE, worker: bool = False
) -> dict[str, Any]:
    """Measure, in a folder of its own."""
    server = Server(folder).start()
    installed = Installation(folder, server.address)
    try:
        return _measured(installed, rate, seconds, worker=worker)
    finally:
        installed.close()
        server.kill()


def _measured(installed: Installation, rate: int, seconds: int, *, worker: bool) -> dict[str, Any]:
    domains = [f"d{number}.example" for number in range(CUSTOMERS)]
    port = free_port()
    installed.sink.start()
    installed.set_up(domains)
    if worker:
        installed.working()
    for domain in domains[::2]:  # the tickets of the others are parked
        installed.done("start", domain, "--to", "globex")
    gateway = installed.gateway(TRANSFER_WEBHOOK_SECRET=SECRET, TRANSFER_GATEWAY_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _is_ready(url), "the gateway is ready")
    tickets = asyncio.run(_filed(installed, domains, rate * (seconds + WARM_UP_SECONDS)))
    figures = asyncio.run(_loaded(url, tickets, rate))
    return figures | {"gateway_ended_with": gateway.stop()}


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def _filed(installed: Installation, domains: list[str], count: int) -> list[Ticket]:
    """So many acceptances, in other words: they ring, and reading them back changes no slot."""
    database = Database(installed.settings["TRANSFER_DATABASE_URL"])
    desk = SqlDesk(database)
    try:
        return [
            await desk.file(customer_of(domain), "carl", "Transfer", f"What will {domain} cost?")
            for domain in (domains[number % len(domains)] for number in range(count))
        ]
    finally:
        await database.close()


async def _loaded(url: str, tickets: list[Ticket], rate: int) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    async with Sender(url).client as client:
        sender = Sender(url)
        sender.client = client

        async def announce(ticket: Ticket) -> None:
            answer = await sender.send(announcement(ticket))
            outcomes[answer.json().get("outcome", str(answer.status_code))] += 1

        async def ask() -> None:
            await client.get("/healthz")

        skipped = WARM_UP_SECONDS * rate
        webhooks: list[float] = []
        nothing: list[float] = []
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, ticket in enumerate(tickets):
                at = begin + number / rate
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                kept = webhooks if number >= skipped else []
                tasks.create_task(_timed(announce(ticket), at, kept))
                if number >= skipped and number % 5 == 0:
                    tasks.create_task(_timed(ask(), time.perf_counter(), nothing))
    return {
        "requests_a_second": rate,
        "requests": len(webhooks),
        "outcomes": dict(outcomes),
        "webhook_ms": _figures(webhooks),
        "healthz_ms": _figures(nothing),
        "p99_against_healthz": round(_at(webhooks, 0.99) / _at(nothing, 0.99), 2),
    }


async def _timed(call: Awaitable[None], since: float, into: list[float]) -> None:
    await call
    into.append(time.perf_counter() - since)


def _figures(times: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(times) * 1000, 1),
        "p99": round(_at(times, 0.99) * 1000, 1),
        "max": round(max(times) * 1000, 1),
    }


def _at(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


if __name__ == "__main__":
    main()
