"""A gateway over fakes, and what else its tests share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.gateway.panel import Gateway


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway]:
    """A gateway over empty neighbours with the sample accounts; no transfer is open."""
    made = Gateway()
    async with made.client:
        yield made
    await made.porter.close()


@pytest.fixture
def minutes() -> Callable[[float], datetime]:
    """So many minutes from now."""
    return lambda number: datetime.now(UTC) + timedelta(minutes=number)
