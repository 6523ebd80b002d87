"""Chaos: everything fails while transfers are in flight; then all is let run, and counted.

The same seed is the same tickets and the same faults at the same times. What comes of them is up
to the machine, so a failure may need a few tries to show again.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from temporalio.client import Client

from tests.chaos import counting
from tests.chaos.counting import Count
from tests.chaos.people import Lived, People, administrators, connected
from tests.chaos.plan import Plan, planned
from tests.chaos.town import Town


class Form(NamedTuple):
    """How large a run is; times are in seconds."""

    transfers: int
    seconds: float
    quiet_within: float


FULL, SHORT = Form(300, 120, 360), Form(40, 22, 90)
RT = Form(16, 40, 300)
"""Request Tracker is no system for load."""
_TOLD_EVERY = 5.0
SHOWN = 20
"""Stories of what is wrong that are printed; all of them are in the folder."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    seed: int
    transfers: int
    seconds: float
    quiet_within: float
    tracker: bool
    again: str


def main() -> int:
    """Run, print what was done and counted, and return the exit code."""
    asked = _asked()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)  # PostgreSQL does not run as root
    plan = planned(asked.seed, asked.transfers, asked.seconds, tracker=asked.tracker)
    say(f"chaos: seed {asked.seed}, {asked.transfers} transfers, {asked.seconds:g} s of faults")
    try:
        wrong = asyncio.run(_run(plan, asked, folder))
    except BaseException:
        say(f"chaos: broken off. Logs and data are in {folder}\nagain: {asked.again}")
        raise
    if wrong:
        (folder / "wrong.txt").write_text("\n\n".join(wrong))
        for story in wrong[:SHOWN]:
            say(f"WRONG: {story}")
        say(f"chaos: {len(wrong)} things are wrong. Logs and data are in {folder}")
        say(f"again: {asked.again}")
        return 1
    shutil.rmtree(folder)
    say(f"chaos: all is well. Again: {asked.again}")
    return 0


async def _run(plan: Plan, asked: Asked, folder: Path) -> list[str]:
    town, began = Town(folder, say), time.monotonic()
    lived: list[Lived] = []
    try:
        await town.open(
            administrators(story.domain for story in plan.stories), tracker=asked.tracker
        )
        client = await connected(town.temporal.address)
        people = People(town, client)
        try:
            loop = asyncio.get_running_loop()
            say(f"chaos: all runs after {time.monotonic() - began:.0f} s; now it begins to fail")
            since = loop.time()
            living = asyncio.create_task(people.live(plan.stories, lived, since))
            await town.fail(plan.failures, since)
            say(f"{loop.time() - since:6.1f} s  nothing fails any more")
            await town.workers_leave()
            await counting.time_passes(town, client)
            await town.workers_come()
            left = await _quiet(town, client, lived, living, asked.quiet_within, since)
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            count = counting.counted(town, lived, await counting.found(town, client, people))
            await town.all_leave()
        finally:
            await people.close()
    finally:
        await town.close()
    _report(plan, people, town, count)
    say(f"chaos: {time.monotonic() - began:.0f} s in all")
    return [*town.odd, *people.wrong, *count.wrong, *left]


async def _quiet(
    town: Town,
    client: Client,
    lived: list[Lived],
    living: asyncio.Task[None],
    within: float,
    since: float,
) -> list[str]:
    """Wait until nothing has to happen any more, and return what still has to when time is up."""
    loop = asyncio.get_running_loop()
    end, next_told = loop.time() + within, loop.time() + _TOLD_EVERY
    while left := await counting.unsettled(town, client, lived):
        if loop.time() > end:
            break
        if loop.time() > next_told:
            next_told += _TOLD_EVERY
            say(f"{loop.time() - since:6.1f} s  {len(left)} things to wait for, like: {left[0]}")
        if living.done():
            living.result()
        await asyncio.sleep(0.5)
    quiet = "it does not get quiet" if left else "all is quiet"
    say(f"{loop.time() - since:6.1f} s  {quiet}")
    return left


def _report(plan: Plan, people: People, town: Town, count: Count) -> None:
    """Print a table of what was done and what was counted."""
    faults = Counter(f"{one.failure.target} {one.failure.fault}" for one in town.failed)
    failed = [*sorted(faults.items()), ("in all", len(town.failed))]
    given_up = ("workers that gave up as they began, and were started again", town.restarted)
    _table("what failed", [*failed, given_up])
    _table("what people did", sorted(people.did.items()))
    _table("what was counted", [*count.counted.items(), ("histories", count.found.histories)])


def _table(title: str, rows: Sequence[tuple[str, int]]) -> None:
    say(f"\n{title}")
    for name, number in rows:
        say(f"  {number:6d}  {name}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _asked() -> Asked:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the run to repeat")
    parser.add_argument("--short", action="store_true", help="a minute in all")
    parser.add_argument("--transfers", type=int)
    parser.add_argument("--seconds", type=float, help="how long things fail")
    parser.add_argument("--rt", action="store_true", help="tickets are in a Request Tracker")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    form = RT if given.rt else SHORT if given.short else FULL
    words = [f"python -m tests.chaos --seed {seed}"]
    words += [word for word, is_on in (("--short", given.short), ("--rt", given.rt)) if is_on]
    words += [f"--transfers {given.transfers}"] if given.transfers else []
    words += [f"--seconds {given.seconds:g}"] if given.seconds else []
    transfers, seconds = given.transfers or form.transfers, given.seconds or form.seconds
    return Asked(seed, transfers, seconds, form.quiet_within, given.rt, " ".join(words))


if __name__ == "__main__":
    sys.exit(main())
