"""What one run of the benchmark has in common: how much of everything, a folder, a mail sink."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Program, free_ports, running
from bench.sink import Mails

MEGABYTE = 1024 * 1024

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How much of everything is measured."""

    rounds: int = 3
    warm_up: int = 10
    transfers: int = 50
    """Transfers of one peer in one round."""
    watched: int = 20
    """Transfers of one peer in one round of the part on latency."""
    open: Sequence[int] = (200, 1_000, 5_000)
    lives: int = 20
    """Transfers from start to end beside those that are open, in one round."""
    killed: int = 1_000
    signals: int = 10_000
    gateway: int = 20
    """Seconds for which the gateway is asked."""
    patience: float = 600.0
    """Seconds after which no more transfers are opened; the figures say how many there were."""


QUICK = Size(
    rounds=1,
    warm_up=4,
    transfers=16,
    watched=5,
    open=(20, 60, 120),
    lives=10,
    killed=40,
    signals=1_000,
    gateway=4,
    patience=30.0,
)


@dataclass
class Stage:
    """A run: its size, its mail sink, and what it has found so far."""

    size: Size
    folder: Path
    sink: int
    notes: Path
    failures: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def mails(self) -> Mails:
        """A reader of the mails from the first one on."""
        return Mails(self.notes)

    def part(self, name: str) -> Path:
        """A folder of its own for a part."""
        made = self.folder / name
        made.mkdir()
        return made

    def failed(self, who: str, error: BaseException) -> None:
        """Keep why somebody could not be measured."""
        error = next(iter(getattr(error, "exceptions", ())), error)  # the first one of a group
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        self.failures[who] = reason.replace(str(self.folder), "…")[:400]
        self.say(f"{who} failed: {self.failures[who]}")

    def say(self, what: str) -> None:
        """Show that something is going on."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", file=sys.stderr)  # noqa: T201


@contextmanager
def stage(size: Size) -> Generator[Stage]:
    """A run's beginning and end."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        (port,) = free_ports(1)
        notes = folder / "mails"
        sink = Program(
            folder / "sink.log", sys.executable, "-m", "bench.sink", str(port), str(notes)
        )
        with running(sink):
            sink.says("sink is ready")
            yield Stage(size, folder, port, notes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def names(prefix: str, count: int) -> list[str]:
    """So many domains."""
    return [f"{prefix}{number}.example" for number in range(count)]


def medians(rounds: Iterable[Mapping[str, float]]) -> Figures:
    """The median of each figure."""
    found = list(rounds)
    keys = found[0].keys() if found else ()
    return {key: statistics.median(one[key] for one in found) for key in keys}


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which that part of all values is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
