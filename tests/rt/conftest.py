"""One Request Tracker for all these tests; ``make test-rt`` installs it, ``make test`` has none."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.rt.instance import RequestTracker, start


@pytest.fixture(scope="session")
def request_tracker() -> Generator[RequestTracker]:
    """A running Request Tracker, whose users' time is not UTC; nothing of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        running = start(Path(folder), zone="America/New_York")
        try:
            yield running
        finally:
            running.close()
