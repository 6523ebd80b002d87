"""One Temporal server a session, with a namespace for each module that wants one to itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, Server

NAMESPACES = (
    "commands",
    "codes",
    "down",
    "kills",
    "database",
    "mail",
    "postgresql",
    "bare",
    "gateway",
    "reconciliation",
    "digest",
    "tracking",
    "views",
    "encryption",
    "codec",
    "keyless",
    "undecodable",
    "keyed",
    "between",
    "telemetry",
    "deploys",
    "refused",
    "checks",
    "measured",
)


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    """A Temporal server with a namespace for every installation."""
    with tempfile.TemporaryDirectory(prefix="e2e-temporal-") as folder:
        server = Server(Path(folder), namespaces=NAMESPACES)
        try:
            yield server.start()
        finally:
            server.kill()


@pytest.fixture(scope="module")
def install() -> Generator[Callable[..., Installation]]:
    """Make installations, in folders of their own; at the end nothing of them is left."""
    made: list[Installation] = []
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:

        def make(address: str, *, namespace: str = "default", database: str = "") -> Installation:
            place = Path(folder, f"{namespace}-{len(made)}")
            place.mkdir()
            made.append(Installation(place, address, namespace=namespace, database=database))
            return made[-1]

        try:
            yield make
        finally:
            for installation in made:
                installation.close()
