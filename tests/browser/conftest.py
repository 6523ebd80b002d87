"""One Chromium and one Temporal UI for these tests; ``make test-browser`` installs the browser."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium, opened
from tests.browser.scene import Scene


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    """A browser. A test gets a ``page`` of its own; two people are two of ``opened``."""
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Generator[Page]:
    """An empty page in a profile of its own, whose scripts must not fail."""
    with opened(browser) as page:
        yield page


@pytest.fixture(scope="session")
def scene() -> Generator[Scene]:
    """Temporal with its UI, a worker, and a transfer in every state that staff look after."""
    with tempfile.TemporaryDirectory(prefix="browser-") as folder, Scene(Path(folder)) as scene:
        yield scene
