"""One worker a session for each kind of server; one world, with its own domain, for each test."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from tests.workflows.town import Town
from tests.workflows.world import World

HISTORIES = Path(__file__).parents[1] / "histories"
MAX_EVENTS = 400
"""Longer runs are not kept: a flood is the same event a thousand times."""

WORLDS = {"world", "real_world", "lonely_world"}
"""Who asks for one of these is a scenario, and leaves its history."""


@pytest.fixture
async def skipping_town(skipping_server: WorkflowEnvironment) -> AsyncGenerator[Town]:
    """A worker on the server whose clock jumps."""
    town = Town()
    async with town.worker(skipping_server.client):
        yield town


@pytest.fixture(scope="session")
async def real_town(dev_server: WorkflowEnvironment) -> AsyncGenerator[Town]:
    """A worker on the real server."""
    town = Town()
    async with town.worker(dev_server.client):
        yield town


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, skipping_server: WorkflowEnvironment, skipping_town: Town
) -> AsyncGenerator[World]:
    """A transfer on the server whose clock jumps."""
    world = World(skipping_server, skipping_town, domain_of(request.node.nodeid))
    yield world
    await _settle_up(request, world)


@pytest.fixture
async def real_world(
    request: pytest.FixtureRequest, dev_server: WorkflowEnvironment, real_town: Town
) -> AsyncGenerator[World]:
    """A transfer on the real server."""
    world = World(dev_server, real_town, domain_of(request.node.nodeid))
    yield world
    await _settle_up(request, world)


@pytest.fixture
def lonely_town() -> Town:
    """A town in which no worker works yet."""
    return Town()


@pytest.fixture
async def lonely_world(
    request: pytest.FixtureRequest, dev_server: WorkflowEnvironment, lonely_town: Town
) -> AsyncGenerator[World]:
    """A transfer on the real server that waits for workers of its own."""
    domain = domain_of(request.node.nodeid)
    world = World(dev_server, lonely_town, domain, task_queue=domain)
    yield world
    await _settle_up(request, world)


def domain_of(nodeid: str) -> str:
    """A domain that is the same in every run, and no other test's."""
    return f"d{zlib.crc32(nodeid.encode()):08x}.example"


def scenario(nodeid: str) -> str:
    """The name of a test's history."""
    name = nodeid.rpartition("/")[2].replace(".py::", "-")
    return re.sub(r"[^\w]+", "-", name).strip("-")


async def _settle_up(request: pytest.FixtureRequest, world: World) -> None:
    try:
        if world.was_started:
            await world.assert_unharmed()
            if request.config.getoption("--write-histories"):
                runs = [history async for history in world.histories()]
                write_histories(scenario(request.node.nodeid), runs)
    finally:
        await world.leave()


def write_histories(name: str, runs: list[WorkflowHistory]) -> None:
    """Keep the last two runs of a scenario."""
    HISTORIES.mkdir(exist_ok=True)
    kept = [history for history in runs if len(history.events) <= MAX_EVENTS][-2:]
    for number, history in enumerate(kept):
        path = HISTORIES / f"{name}{f'.{number}' if number else ''}.json.gz"
        path.write_bytes(gzip.compress(history.to_json().encode(), mtime=0))
