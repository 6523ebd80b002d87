"""Chaos: everything fails while transfers are in flight; then all is let run, and counted.

The same seed is the same tickets and the same faults at the same times. What comes of them is up
to the machine, so a failure may need a few tries to show again.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from temporalio.client import Client

from tests.chaos import quiet
from tests.chaos.counting import Count, counted
from tests.chaos.found import found
from tests.chaos.people import Lived, People, administrators, connected
from tests.chaos.plan import Plan, planned
from tests.chaos.town import Town, end_all


class Form(NamedTuple):
    """How large a run is, and how long all of it may take. Times are in seconds."""

    transfers: int
    seconds: float
    quiet_within: float
    at_most: float


FULL, SHORT = Form(300, 120, 360, 600), Form(40, 22, 90, 170)
RT = Form(16, 40, 300, 420)
"""Request Tracker is no system for load."""
_LOOKS_EVERY = 2.0
SHOWN = 20
"""Stories of what is wrong that are printed; all of them are in the folder."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    seed: int
    form: Form
    tracker: bool
    again: str


def main() -> int:
    """Run, print what was done and counted, and return the exit code."""
    asked = _asked()
    transfers, seconds, _, at_most = asked.form
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)  # PostgreSQL does not run as root
    found = f"Logs and data are in {folder}\nagain: {asked.again}"
    say(f"chaos: seed {asked.seed}, {transfers} transfers, {seconds:g} s of faults")
    watch = threading.Timer(at_most + 10, _hangs, [found])
    watch.daemon = True
    watch.start()
    try:
        wrong = asyncio.run(_run(asked, folder))
    except BaseException as error:  # noqa: BLE001 - it is told, and the exit code is of a failure
        traceback.print_exc(file=sys.stdout)
        why = "not over in time" if isinstance(error, TimeoutError) else f"broken off by {error!r}"
        say(f"chaos: {why}. What it was at is the last line above the stack. {found}")
        return 1
    finally:
        end_all()  # what a thread began after the town was closed
    if wrong:
        (folder / "wrong.txt").write_text("\n\n".join(wrong))
        for story in wrong[:SHOWN]:
            say(f"WRONG: {story}")
        say(f"chaos: {len(wrong)} things are wrong. {found}")
        return 1
    shutil.rmtree(folder)
    say(f"chaos: all is well. Again: {asked.again}")
    return 0


def _hangs(found: str) -> None:
    """Break off, though nothing in this program moves any more."""
    faulthandler.dump_traceback()
    say(f"chaos: hangs, as the stacks above tell. {found}")
    end_all()
    os._exit(1)


async def _run(asked: Asked, folder: Path) -> list[str]:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with asyncio.timeout(asked.form.at_most):
        return await _live(asked, folder)


async def _live(asked: Asked, folder: Path) -> list[str]:
    form, loop = asked.form, asyncio.get_running_loop()
    plan = planned(asked.seed, form.transfers, form.seconds, tracker=asked.tracker)
    town, began = Town(folder, say), loop.time()
    try:
        customers = administrators(story.domain for story in plan.stories)
        await town.open(customers, tracker=asked.tracker)
        say(f"chaos: all runs after {loop.time() - began:.0f} s; now it begins to fail")
        client = await connected(town.temporal.address)
        people = People(town, client)
        try:
            count, left = await _fail_and_count(town, people, client, plan, form.quiet_within)
        finally:
            await people.close()
        await town.all_leave()
    finally:
        await town.close()
    _report(people, town, count)
    say(f"chaos: {loop.time() - began:.0f} s in all")
    return [*town.odd, *people.wrong, *count.wrong, *left]


async def _fail_and_count(
    town: Town, people: People, client: Client, plan: Plan, quiet_within: float
) -> tuple[Count, list[str]]:
    """Live the plan; return what was counted, and what still had to happen then."""
    loop, lived = asyncio.get_running_loop(), list[Lived]()
    began = loop.time()

    def tell(what: str) -> None:
        say(f"{loop.time() - began:6.1f} s  {what}")

    living = asyncio.create_task(people.live(plan.stories, lived, began))
    await town.fail(plan.failures, began)
    tell("nothing fails any more; workers leave, and come again")
    await town.workers_leave()
    await quiet.time_passes(town, client)
    await town.workers_come()
    quiet_by = loop.time() + quiet_within
    while left := await _left(town, client, lived, living):
        tell(f"{len(left)} things to wait for, like: {left[0]}")
        if loop.time() > quiet_by:
            living.cancel()
            await asyncio.wait([living])
            break
        await asyncio.sleep(_LOOKS_EVERY)
    tell(f"{'it does not get' if left else 'all is'} quiet; now it is counted")
    return counted(town, lived, await found(town, client, people)), left


async def _left(
    town: Town, client: Client, lived: list[Lived], living: asyncio.Task[None]
) -> list[str]:
    """What still has to happen; nothing when all is quiet."""
    left = await quiet.unsettled(town, client, lived)
    if not living.done():
        return [*left, "people are not done"]
    await living  # raises what went wrong with them
    return left


def _report(people: People, town: Town, count: Count) -> None:
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
    words = [f".venv/bin/python -m tests.chaos --seed {seed}"]
    words += [word for word, is_on in (("--short", given.short), ("--rt", given.rt)) if is_on]
    if given.transfers:
        form = form._replace(transfers=given.transfers)
        words.append(f"--transfers {given.transfers}")
    if given.seconds:
        form = form._replace(seconds=given.seconds)
        words.append(f"--seconds {given.seconds:g}")
    return Asked(seed, form, given.rt, " ".join(words))


if __name__ == "__main__":
    sys.exit(main())
