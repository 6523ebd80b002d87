"""Processes that are measured: begun, watched by the operating system's own figures, ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import psutil

START_SECONDS = 60.0
STOP_SECONDS = 30.0
ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """Something did not do what it is measured at; the message says what it wrote last."""


class Used(NamedTuple):
    """CPU seconds, user and system, of processes and of all that they began."""

    worker: float
    server: float

    def since(self, before: Used) -> Used:
        """What was used since then."""
        return Used(self.worker - before.worker, self.server - before.server)


class Program:
    """A process with its log in a file. It ends with us, even where we are killed (on Linux)."""

    def __init__(self, log: Path, *command: str, **settings: str) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEMPORAL_", "TRANSFER_", "RESTATE_", "DBOS_", "PYTHON"))
        }
        # Compiled once, as installed: the sandbox imports the workflow's module for each transfer.
        kept |= {"PYTHONPYCACHEPREFIX": str(log.parent / "pyc"), "PYTHONUNBUFFERED": "1"}
        self._log = log
        setpriv = shutil.which("setpriv")
        with log.open("ab") as opened:
            self._process = subprocess.Popen(
                (*((setpriv, "--pdeathsig", "KILL") if setpriv else ()), *command),
                cwd=ROOT,
                env=kept | settings,
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def all_of_its_log(self) -> str:
        """What it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> str:
        """The end of what it has written."""
        return self.all_of_its_log[-3000:]

    def cpu(self) -> float:
        """CPU seconds so far, with those of its children."""
        return cpu_of(self.pid)

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def peak(self) -> int:
        """Bytes of memory that it held at most, as far as the system says (Linux)."""
        status = Path(f"/proc/{self.pid}/status")
        for line in status.read_text("ascii", "replace").splitlines() if status.exists() else ():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return self.resident()

    def says(self, text: str) -> Self:
        """Wait until it has written a text.

        Raises:
            Failed: it ended before, or did not within a minute.
        """

        until(lambda: self.lives() and text in self.all_of_its_log, f"it never said {text!r}")
        return self

    def lives(self) -> bool:
        """See whether it has not ended.

        Raises:
            Failed: it has; the message says what it wrote last.
        """
        if self._process.poll() is not None:
            raise Failed(f"it left with {self._process.returncode}: {self.log}")
        return True

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, its children, and those of its children that have ended."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        for process in (one, *one.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, and the children's
    return total


def until(look: Callable[[], object], otherwise: str, seconds: float = START_SECONDS) -> None:
    """Look until something is so.

    Raises:
        Failed: it was not within that time.
    """
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise Failed(f"{otherwise} within {seconds:g} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> Sequence[int]:
    """So many ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def running(program: Program) -> Generator[Program]:
    """See to it that a program ends."""
    try:
        yield program
    finally:
        program.stop()
