"""``python -m bench``: the service against bare versions of itself, in one run on one machine.

Prints the tables, and the run as one line of JSON. A whole run is kept in docs/performance.md and
docs/performance/; one that is quick or partial only with ``--keep``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn, TypeVar

from bench import gateway
from bench.machine import machine
from bench.parts.crowd import crowd
from bench.parts.flood import flood
from bench.parts.latency import latency
from bench.parts.profile import profile
from bench.parts.transfers import on_postgresql, on_sqlite
from bench.picture import draw
from bench.report import Results, document, tables, write
from bench.stage import QUICK, Size, Stage, stage

PARTS = ("transfers", "engines", "latency", "open", "recovery", "flood", "gateway", "profile")

T = TypeVar("T")


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, one round")
    parser.add_argument("--only", default="", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--keep", action="store_true", help="keep it, though quick or partial")
    asked = parser.parse_args()
    only = tuple(asked.only.replace(",", " ").split()) or PARTS
    if unknown := sorted(set(only) - set(PARTS)):
        parser.error(f"unknown {', '.join(unknown)}. Known are: {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, _raised)
    size = QUICK if asked.quick else Size()
    about, began = machine(), time.monotonic()
    try:
        with stage(size) as on:
            results = measured(on, only)
    except KeyboardInterrupt:
        sys.exit(130)
    found = document(about, results, size, asked.quick, time.monotonic() - began)
    if asked.keep or not (asked.quick or asked.only):
        write(found, draw)
    print(tables(found), file=sys.stderr)  # noqa: T201 - what it is for
    print(json.dumps(found, ensure_ascii=False))  # noqa: T201 - likewise


def measured(on: Stage, only: tuple[str, ...]) -> Results:
    """Each part in turn. One that fails is named with the reason, and the others go on."""

    def part(name: str, work: Coroutine[Any, Any, T], otherwise: T) -> T:
        on.say(name)
        try:
            return asyncio.run(work)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            on.failed(name, error)
            return otherwise

    results = Results({}, {}, {}, {}, {}, {}, {}, on.failures)
    if "transfers" in only:
        results = results._replace(transfers=part("transfers", on_sqlite(on), {}))
    if "engines" in only:
        results = results._replace(engines=part("engines", on_postgresql(on), {}))
    if "latency" in only:
        results = results._replace(latency=part("latency", latency(on), {}))
    if "open" in only or "recovery" in only:
        work = crowd(on, grown="open" in only, killed="recovery" in only)
        results = results._replace(crowd=part("crowd", work, {}))
    if "flood" in only:
        results = results._replace(flood=part("flood", flood(on), {}))
    if "profile" in only:
        results = results._replace(profile=part("profile", profile(on), {}))
    if "gateway" in only:
        on.say("gateway")
        try:
            results = results._replace(gateway=gateway.figures(on.part("gateway"), on.size.gateway))
        except Exception as error:  # noqa: BLE001 - likewise
            on.failed("gateway", error)
    return results


def _raised(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Let a signal to stop unwind, so that everything is ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
