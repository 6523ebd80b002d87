"""A worker's health: two paths, and what they say of each neighbour."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator

import httpx
import pytest

from gateway import health
from gateway.health import serve_health
from tests.gateway.listening import line
from transfer.errors import InputInvalid, Unreachable


class Neighbour:
    """Answers, or raises what it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.silent = False

    async def check(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def database() -> Neighbour:
    """A neighbour."""
    return Neighbour()


@pytest.fixture
def temporal() -> Neighbour:
    """Another."""
    return Neighbour()


@pytest.fixture
async def worker(database: Neighbour, temporal: Neighbour) -> AsyncGenerator[httpx.AsyncClient]:
    """What a worker answers."""
    checks = {"temporal": temporal.check, "database": database.check}
    async with (
        serve_health("127.0.0.1:0", checks) as at,
        httpx.AsyncClient(base_url=f"http://{at.host}:{at.port}", timeout=20) as client,
    ):
        yield client


async def test_a_worker_is_ready_while_all_its_neighbours_answer(
    worker: httpx.AsyncClient, temporal: Neighbour
) -> None:
    ready = await worker.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"temporal": "ok", "database": "ok"})
    for error in (Unreachable("away"), RuntimeError("a mistake of ours")):
        temporal.error = error
        away = await worker.get("/readyz")
        assert (away.status_code, away.json()) == (503, {"temporal": "away", "database": "ok"})
        assert (await worker.get("/healthz")).json() == {"status": "ok"}
    temporal.error = None
    assert (await worker.get("/readyz")).status_code == 200


async def test_a_neighbour_that_says_nothing_is_away_and_holds_nobody_up(
    worker: httpx.AsyncClient, database: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    database.silent = True
    away = await worker.get("/readyz")
    assert (away.status_code, away.json()) == (503, {"temporal": "ok", "database": "away"})


async def test_nothing_else_is_answered(worker: httpx.AsyncClient) -> None:
    assert (await worker.get("/")).status_code == 404
    assert (await worker.get("/metrics")).status_code == 404
    assert (await worker.post("/readyz")).status_code == 404
    assert (await worker.head("/healthz")).status_code == 200


async def test_its_server_is_as_bounded_as_the_gateways(worker: httpx.AsyncClient) -> None:
    async with line(worker.base_url.port or 0) as asked:
        await asked.say(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 9_000))
        assert (await asked.heard()).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999", "127.0.0.1:x", "192.0.2.1:8000", "no such host.invalid:8000"]
)
async def test_where_nobody_can_listen_the_setting_is_named(address: str) -> None:
    with pytest.raises(InputInvalid, match="TRANSFER_HEALTH_ADDRESS"):
        async with serve_health(address, {}):
            pass


async def test_a_port_that_is_taken_is_said_so() -> None:
    async with serve_health("127.0.0.1:0", {}) as first:
        with pytest.raises(InputInvalid, match=f"127.0.0.1:{first.port}"):
            async with serve_health(f"127.0.0.1:{first.port}", {}):
                pass


async def test_it_ends_with_whoever_runs_it(database: Neighbour) -> None:
    """Also where that ends by an error; the port is free again."""
    ports: list[int] = []

    async def fails() -> None:
        async with serve_health("127.0.0.1:0", {"database": database.check}) as at:
            ports.append(at.port)
            raise RuntimeError("over")

    with pytest.raises(RuntimeError, match="over"):
        await fails()
    async with serve_health(f"127.0.0.1:{ports[0]}", {}) as again:
        assert again.port == ports[0]


def test_importing_it_imports_no_web_framework() -> None:
    asked = (
        "import sys, gateway.health;"
        "sys.exit(bool({'uvicorn', 'starlette', 'fastapi', 'limits'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=False, timeout=60).returncode == 0
