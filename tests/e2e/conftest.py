"""One Temporal server a session, and installations that share it, each in its own namespace."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, Server


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    """A Temporal server, for all installations that name none."""
    with tempfile.TemporaryDirectory(prefix="e2e-temporal-") as folder:
        server = Server(Path(folder))
        try:
            yield server.start()
        finally:
            server.kill()


@pytest.fixture(scope="module")
def install(server: Server) -> Generator[Callable[..., Installation]]:
    """Make installations, in folders of their own; at the end nothing of them is left.

    Without an address each has a namespace of its own on the session's server: the tests of one
    module may run in several goes, each with what it has set up for itself.
    """
    made: list[Installation] = []
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:

        def make(address: str = "", *, database: str = "") -> Installation:
            place = Path(folder, str(len(made)))
            place.mkdir()
            namespace = "default" if address else server.namespace()
            at = address or server.address
            made.append(Installation(place, at, namespace=namespace, database=database))
            return made[-1]

        try:
            yield make
        finally:
            for installation in made:
                installation.close()
