"""Where the worker's CPU goes: samples of its stacks while whole transfers are run, by py-spy."""

from __future__ import annotations

import re
import signal
import sys
from collections import Counter
from pathlib import Path

from bench.load import completed
from bench.peers.ours import ours
from bench.processes import Failed, Program, running
from bench.servers import temporal
from bench.stage import Figures, Stage, names

RATE = 200
"""Samples a second. Only who holds the interpreter's lock is sampled: the rest waits."""

WORK = {
    "SDK: asking the sandbox for each payload's context": r"get_\w+_context \(temporalio",
    "SDK: visiting and converting payloads": r"temporalio/(?:bridge|converter)|_visitor",
    "SDK: the rest of workflow tasks": r"temporalio/worker/_?workflow",
    "the workflow and the rules": r"workflows/|transfer/(?:submissions|judging|reading|clocks)\.py",
    "composing letters": r"transfer/(?:notices|templates)|jinja2",
    "writing mails as MIME": r"\(email/|_message \(transfer|flatten_message",
    "SMTP": r"smtp_mailer|aiosmtplib",
    "SQL": r"sqlalchemy|adapters/sql|psycopg",
    "logs": r"structlog|logging/",
    "SDK: activities": r"temporalio/worker/_activity|activities/",
    "the postman": r"transfer/postman",
}
"""A regular expression of stacks, root first, for each kind of work. The first that fits counts."""
REST = "event loop, threads, and the rest"


async def profile(stage: Stage) -> Figures:
    """Percents of the worker's CPU in Python, by kind of work.

    Raises:
        Failed: py-spy may not look into the worker, or saw nothing.
    """
    folder, size = stage.part("profile"), stage.size
    domains = names("p", size.warm_up + 2 * size.transfers)
    with temporal(folder) as server:
        async with ours(folder, server, stage.sink, domains) as peer:
            mails = stage.mails()
            await completed(peer, mails, domains[: size.warm_up])
            stacks = folder / "stacks"
            with running(_watcher(peer.worker.pid, stacks)) as watcher:
                watcher.says("Sampling process")
                await completed(peer, mails, domains[size.warm_up :])
                watcher.stop(signal.SIGINT)  # then it writes what it saw
            shares = _shares(_read(watcher, stacks))
    stage.say(", ".join(f"{what} {share:.0f} %" for what, share in shares.items()))
    return shares


def _watcher(pid: int, into: Path) -> Program:
    program = str(Path(sys.executable).with_name("py-spy"))
    options = ("--gil", "--format", "raw", "--rate", str(RATE), "--output", str(into))
    return Program(into.with_name("py-spy.log"), program, "record", *options, "--pid", str(pid))


def _read(watcher: Program, stacks: Path) -> Counter[str]:
    if not stacks.exists():
        raise Failed(f"py-spy wrote nothing: {watcher.log}")
    found: Counter[str] = Counter()
    for line in stacks.read_text("utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        found[stack] += int(count)
    return found


def _shares(stacks: Counter[str]) -> Figures:
    by_work: Counter[str] = Counter()
    for stack, count in stacks.items():
        by_work[_work(stack)] += count
    total = by_work.total() or 1
    return {what: 100 * count / total for what, count in by_work.most_common()}


def _work(stack: str) -> str:
    return next((what for what, seen in WORK.items() if re.search(seen, stack)), REST)
