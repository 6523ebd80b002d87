"""One Request Tracker for all these tests; ``make test-rt`` installs it, ``make test`` has none."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.rt.instance import OURS, RequestTracker, start
from transfer.adapters.rt import RtClient, RtTickets
from transfer.adapters.rt.mapping import Mapping


@pytest.fixture(scope="session")
def request_tracker() -> Generator[RequestTracker]:
    """A running Request Tracker, whose users' time is not UTC; nothing of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        running = start(Path(folder), zone="America/New_York")
        try:
            yield running
        finally:
            running.close()


@pytest.fixture
async def tickets(request_tracker: RequestTracker) -> AsyncGenerator[RtTickets]:
    """The adapter as it is by default: accounts and administrators are groups."""
    client = RtClient(f"rt+{request_tracker.url}", request_tracker.token)
    adapter = RtTickets(client, Mapping(), own=[OURS])
    yield adapter
    await adapter.close()
