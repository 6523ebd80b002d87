"""What was found, beside its goals: one JSON line, tables in docs/performance.md, and a picture."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from bench.machine import Machine
from bench.peers.peer import DBOS, NAIVE, OURS, OURS_ON_POSTGRESQL
from bench.processes import ROOT
from bench.stage import Figures, Size, medians

DOCUMENT = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance" / "figures.png"
RUNS = ROOT / "docs" / "performance" / "runs.jsonl"

Rounds = dict[str, list[Figures]]


class Results(NamedTuple):
    """All that a run has found; what was not measured is empty."""

    transfers: Rounds
    latency: Rounds
    engines: Rounds
    crowd: dict[str, Figures]
    flood: Figures
    profile: Figures
    """Percents of the worker's CPU in Python by kind of work."""
    gateway: dict[str, Any]
    failures: dict[str, str]


class Goal(NamedTuple):
    """A goal, what was found, and whether it is met; ``None`` where it was not measured."""

    what: str
    goal: str
    found: float | None
    met: bool | None


def goals(results: Results, size: Size) -> list[Goal]:
    """Every goal beside what was found."""
    transfers, latency, crowd = results.transfers, results.latency, results.crowd
    first, last = f"open_{size.open[0]}", f"open_{size.open[-1]}"
    whole = f"open_{size.open[-1]}" in crowd and crowd[last].get("open", 0) >= size.open[-1]
    recovery = crowd.get("recovery", {})
    beside = f"{size.open[-1]:,} open / {size.open[0]:,} open"
    found: list[Goal] = [
        _at_most("billable actions of a transfer", 17, _median(latency, OURS, "actions")),
        _at_most("events in its history", 60, _median(latency, OURS, "events")),
        _at_most(
            "CPU of the worker / bare, naive",
            1.0,
            _ratio(transfers, OURS, transfers, NAIVE, "worker_cpu_ms"),
        ),
        _at_most(
            "CPU of the server / bare, naive",
            0.8,
            _ratio(transfers, OURS, transfers, NAIVE, "server_cpu_ms"),
        ),
        _at_least(
            "transfers a second / DBOS, both on PostgreSQL",
            1.0,
            _ratio(
                results.engines, OURS_ON_POSTGRESQL, results.engines, DBOS, "transfers_per_second"
            ),
        ),
        *(
            _at_most(
                f"CPU of the {one} for a transfer, {beside}",
                1.15,
                crowd[last][f"{one}_cpu_ms"] / crowd[first][f"{one}_cpu_ms"]
                if whole and first in crowd
                else None,
            )
            for one in ("worker", "server")
        ),
        _at_most(
            f"recovery of {int(recovery.get('transfers', size.killed)):,} open transfers"
            " after kill -9 / without",
            1.2,
            recovery["with_a_kill_s"] / recovery["in_peace_s"] if recovery else None,
        ),
        _at_most("memory of an open transfer in the worker's cache, KB", 200, _each(crowd, size)),
        _at_most(
            "signal to visible, p50 / bare, naive",
            1.2,
            _ratio(latency, OURS, latency, NAIVE, "visible_p50_ms"),
        ),
        _exactly(
            f"tickets that count among {size.signals:,} other signals",
            3,
            results.flood.get("tickets_that_count"),
        ),
        _at_most(
            "events of the longest history then", 10_240, results.flood.get("longest_history")
        ),
    ]
    return found


def document(
    machine: Machine, results: Results, size: Size, quick: bool, took: float
) -> dict[str, Any]:
    """The run as one JSON object."""
    return {
        **machine._asdict(),
        "quick": quick,
        "took_s": round(took),
        "goals": [
            {"what": one.what, "goal": one.goal, "found": _rounded(one.found), "met": one.met}
            for one in goals(results, size)
        ],
        "transfers": _kept(results.transfers),
        "engines": _kept(results.engines),
        "latency": _kept(results.latency),
        "crowd": {name: _all_rounded(figures) for name, figures in results.crowd.items()},
        "flood": _all_rounded(results.flood),
        "profile": _all_rounded(results.profile),
        "gateway": results.gateway,
        "failures": results.failures,
    }


def tables(found: dict[str, Any]) -> str:
    """The run as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    about = (
        f"{found['at']}: {found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB,"
        f" {found['system']}; load {found['load']} before. {versions}."
        f" It took {found['took_s']} s{', quick' if found['quick'] else ''}."
    )
    goal_rows = [
        (one["what"], one["goal"], _shown(one["found"]), _VERDICT[one["met"]])
        for one in found["goals"]
    ]
    parts = [about, _table(("", "goal", "found", ""), goal_rows)]
    for title, name in (
        ("Whole transfers, 32 at a time, rows in SQLite", "transfers"),
        ("Whole transfers, 32 at a time, rows in PostgreSQL", "engines"),
        ("One transfer at a time", "latency"),
        ("Many open at once, and a kill", "crowd"),
    ):
        if found[name]:
            parts.append(f"**{title}**\n\n{_figures(found[name])}")
    if found["flood"]:
        parts.append(f"**A flood of signals**\n\n{_figures({'': found['flood']})}")
    if found["gateway"]:
        parts.append(f"**The gateway**\n\n{_figures({'': _flat(found['gateway'])})}")
    if found["profile"]:
        rows = [(what, f"{share:.0f} %") for what, share in found["profile"].items()]
        parts.append(f"**Where our worker's CPU goes**\n\n{_table(('', ''), rows)}")
    if found["failures"]:
        rows = [(who, why.replace("|", "/")) for who, why in found["failures"].items()]
        parts.append(f"**Not measured**\n\n{_table(('', 'why'), rows)}")
    return "\n\n".join(parts)


def write(found: dict[str, Any], draw: Callable[[dict[str, Any], Path], None]) -> None:
    """Keep the run: a line in the list of runs, the tables in the document, the picture."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with RUNS.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(found, ensure_ascii=False) + "\n")
    draw(found, PICTURE)
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = "<!-- made by make bench -->", "<!-- end -->"
    inner = f"{begin}\n{tables(found)}\n{end}"
    DOCUMENT.write_text(
        re.sub(f"{begin}.*?{end}", lambda _: inner, text, count=1, flags=re.DOTALL),
        encoding="utf-8",
    )


# -- small print -------------------------------------------------------------------------------
_VERDICT = {True: "met", False: "**missed**", None: "not measured"}


def _at_most(what: str, limit: float, found: float | None) -> Goal:
    return Goal(what, f"≤ {limit:,}", found, None if found is None else found <= limit)


def _at_least(what: str, limit: float, found: float | None) -> Goal:
    return Goal(what, f"≥ {limit:,}", found, None if found is None else found >= limit)


def _exactly(what: str, wanted: float, found: float | None) -> Goal:
    return Goal(what, f"{wanted:,}", found, None if found is None else found == wanted)


def _median(rounds: Rounds, who: str, figure: str) -> float | None:
    return medians(rounds[who])[figure] if rounds.get(who) else None


def _ratio(ours: Rounds, who: str, theirs: Rounds, whose: str, figure: str) -> float | None:
    """The median of the rounds' own ratios: both were measured right after each other."""
    pairs = zip(ours.get(who, ()), theirs.get(whose, ()), strict=False)
    ratios = [one[figure] / other[figure] for one, other in pairs if other[figure]]
    return statistics.median(ratios) if ratios else None


def _each(crowd: dict[str, Figures], size: Size) -> float | None:
    """Kilobytes that each open transfer adds to the worker's memory."""
    levels = [one for level in size.open if (one := crowd.get(f"open_{level}"))]
    if len(levels) < 2:
        return None
    more = levels[-1]["open"] - levels[0]["open"]
    return 1024 * (levels[-1]["resident_mb"] - levels[0]["resident_mb"]) / more if more else None


def _kept(rounds: Rounds) -> dict[str, Figures]:
    return {who: _all_rounded(medians(figures)) for who, figures in rounds.items()}


def _all_rounded(figures: Figures) -> Figures:
    return {name: round(value, 2) for name, value in figures.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _flat(figures: dict[str, Any]) -> Figures:
    flat: Figures = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            inner = cast("dict[str, float]", value)
            flat |= {f"{name} {key}": float(one) for key, one in inner.items()}
        elif isinstance(value, int | float):
            flat[name] = float(value)
    return flat


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _figures(rows: dict[str, Figures]) -> str:
    """A table with a row for each of whom something was measured."""
    columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    if len(rows) == 1 or len(columns) > 8:  # a line for each figure reads better
        lines = [
            (who, _spoken(name), _shown(figures[name]))
            for who, figures in rows.items()
            for name in figures
        ]
        return _table(("", "", ""), lines)
    return _table(
        ("", *map(_spoken, columns)),
        [(_spoken(who), *(_shown(row.get(name)) for name in columns)) for who, row in rows.items()],
    )


def _spoken(name: str) -> str:
    """A figure's name for people: its unit last."""
    unit = re.search(r"_(ms|mb|s)$", name)
    words = name[: unit.start()] if unit else name
    return words.replace("_", " ").replace("cpu", "CPU") + (
        f", {unit[1].replace('mb', 'MB')}" if unit else ""
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
