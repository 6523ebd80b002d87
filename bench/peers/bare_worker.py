"""The worker of the bare versions on Temporal: ``python -m bench.peers.bare_worker Naive``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.peers.bare_workflows import Activities, Naive, Tuned
from bench.peers.deeds import Deeds
from transfer.commands.console import leave


async def main(kind: str) -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    deeds = Deeds(os.environ["BENCH_DATABASE"], int(os.environ["BENCH_SMTP"]))
    does = Activities(deeds)
    tuned = SandboxRestrictions.default.with_passthrough_all_modules()
    with ThreadPoolExecutor(32) as threads:
        async with Worker(
            await Client.connect(os.environ["BENCH_TEMPORAL"]),
            task_queue=kind,
            workflows=[Tuned if kind == "Tuned" else Naive],
            activities=[does.notify, does.notify_all, does.verify, does.record, does.commit],
            activity_executor=threads,
            workflow_runner=(
                SandboxedWorkflowRunner(restrictions=tuned)
                if kind == "Tuned"
                else SandboxedWorkflowRunner()
            ),
        ):
            print("worker is ready")  # noqa: T201 - what its parent waits for
            await stop.wait()
    deeds.close()


if __name__ == "__main__":
    leave(lambda: asyncio.run(main(sys.argv[1])))
