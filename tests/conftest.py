"""What all tests share: patience without sleeping, and one Temporal server of each kind."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from transfer.attributes import KEYS
from transfer.plugin import plugin

PROGRAMS = Path(sys.executable).parent
PATIENCE = 20.0
"""Seconds after which a test that waits for something gives up."""

# The same examples in every run, and none that a busy machine makes too slow.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--write-histories``: leave every scenario's history for the replay test."""
    parser.addoption(
        "--write-histories",
        action="store_true",
        help="write every workflow scenario's history to tests/histories/",
    )


async def assert_eventually(
    check: Callable[[], Awaitable[object]], *, within: float = PATIENCE
) -> None:
    """Try ``check`` until it raises no AssertionError any more; let the last one through."""
    end = time.monotonic() + within
    pause = 0.01
    while True:
        try:
            await check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.2)


@pytest.fixture
async def skipping_server() -> AsyncGenerator[WorkflowEnvironment]:
    """A server whose one clock jumps to the next timer, for one test: it only runs ahead."""
    env = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(PROGRAMS / "temporal-test-server"),
        plugins=[plugin(pass_ours_through=False)],
        test_server_startup_timeout=timedelta(seconds=30),
    )
    async with env:
        await env.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=env.client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in KEYS
                },
            )
        )
        yield env


@pytest.fixture(scope="session")
async def dev_server() -> AsyncGenerator[WorkflowEnvironment]:
    """The real server, with the clock on the wall."""
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(PROGRAMS / "temporal"),
        search_attributes=list(KEYS),
        dev_server_log_level="error",
        # Ten refused updates of a megabyte are one answer of ten, for which it ends a workflow.
        dev_server_extra_args=[
            "--dynamic-config-value",
            "history.maxInFlightUpdatePayloads=1500000",
        ],
        dev_server_startup_timeout=timedelta(seconds=30),
        plugins=[plugin(pass_ours_through=False)],
    )
    async with env:
        yield env
