"""The same unit on DBOS: ``python -m bench.peers.dbos_worker``. A workflow, its steps, ``recv``."""

from __future__ import annotations

import os
import signal
import threading

from dbos import DBOS

from bench.peers.deeds import PARTIES, SLOTS, Deeds

QUEUE = "transfers"
DEADLINE_SECONDS = 14 * 24 * 3600.0
_deeds = Deeds(os.environ["BENCH_DATABASE"], int(os.environ["BENCH_SMTP"]))


@DBOS.step()
def notify(domain: str, party: str) -> None:
    """Send one mail."""
    _deeds.notify(domain, party, "please file your ticket")


@DBOS.step()
def notify_all(domain: str) -> None:
    """Mail the outcome to all three."""
    for party in PARTIES:
        _deeds.notify(domain, party, "billing has moved")


@DBOS.step()
def verify(domain: str, slot: str, ticket: str) -> bool:
    """Read a ticket."""
    return _deeds.verify(domain, slot, ticket)


@DBOS.step()
def record(domain: str, slot: str, ticket: str) -> None:
    """Write down that a party agreed."""
    _deeds.record(domain, slot, ticket)


@DBOS.step()
def commit(domain: str) -> None:
    """Move billing."""
    _deeds.commit(domain)


@DBOS.workflow(name="transfer")
def transfer(domain: str) -> str:
    """Ask, wait for three tickets, move billing, tell."""
    for party in PARTIES:
        notify(domain, party)
    for slot in SLOTS:
        ticket = DBOS.recv(slot, timeout_seconds=DEADLINE_SECONDS)
        if ticket is None:
            return "expired"
        if not verify(domain, slot, ticket):
            return "refused"
        record(domain, slot, ticket)
    commit(domain)
    notify_all(domain)
    return "completed"


def main() -> None:
    """Work until told to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["BENCH_SYSTEM_DATABASE"],
            "application_version": "bench",
            "max_executor_threads": 128,
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=0.05)
    print("worker is ready", flush=True)  # noqa: T201 - what its parent waits for
    stop.wait()
    DBOS.destroy()
    _deeds.close()


if __name__ == "__main__":
    main()
