"""What the benchmark says of its figures: a goal is met, missed, or was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.machine import machine
from bench.peers.peer import DBOS, NAIVE, OURS, OURS_ON_POSTGRESQL
from bench.picture import draw
from bench.report import Results, document, goals, tables
from bench.stage import Figures, Size

SIZE = Size()


def _round(worker: float, server: float, speed: float) -> Figures:
    return {"worker_cpu_ms": worker, "server_cpu_ms": server, "transfers_per_second": speed}


def _results() -> Results:
    return Results(
        transfers={
            OURS: [_round(60, 90, 9), _round(120, 80, 9), _round(60, 70, 9)],
            NAIVE: [_round(50, 100, 9), _round(100, 100, 9), _round(100, 100, 9)],
        },
        latency={},
        engines={OURS_ON_POSTGRESQL: [_round(9, 9, 20)], DBOS: [_round(9, 9, 10)]},
        crowd={
            "open_200": {**_round(50, 50, 9), "open": 200, "resident_mb": 100},
            "open_5000": {**_round(55, 60, 9), "open": 5000, "resident_mb": 1000},
            "recovery": {"transfers": 1000, "in_peace_s": 10, "with_a_kill_s": 13},
        },
        flood={"tickets_that_count": 2, "longest_history": 4000},
        profile={"SQL": 61.2, "SMTP": 38.8},
        gateway={},
        failures={"Restate": "npm is missing | whatever"},
    )


def _verdicts(results: Results) -> dict[str, tuple[float | None, bool | None]]:
    return {one.what: (one.found, one.met) for one in goals(results, SIZE)}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert _verdicts(_results())["CPU of the worker / bare, naive"] == (1.2, False)
    assert _verdicts(_results())["CPU of the server / bare, naive"] == (0.8, True)


def test_goals_are_met_missed_or_not_measured() -> None:
    found = _verdicts(_results())
    assert found["transfers a second / DBOS, both on PostgreSQL"] == (2.0, True)
    assert found["recovery of 1,000 open transfers after kill -9 / without"] == (1.3, False)
    assert found["memory of an open transfer in the worker's cache, KB"] == (192.0, True)
    assert found["tickets that count among 10,000 other signals"] == (2, False)
    assert found["events in its history"] == (None, None)
    worker, server = (
        found[f"CPU of the {one} for a transfer, 5,000 open / 200 open"]
        for one in ("worker", "server")
    )
    assert (worker[1], server[1]) == (True, False)


def test_fewer_open_transfers_than_wanted_are_not_taken_for_them() -> None:
    results = _results()
    results.crowd["open_5000"]["open"] = 4000
    found = _verdicts(results)
    assert found["CPU of the worker for a transfer, 5,000 open / 200 open"] == (None, None)


def test_a_missed_goal_and_a_peer_that_failed_are_shown() -> None:
    shown = tables(document(machine(), _results(), SIZE, quick=True, took=1.0))
    assert "| CPU of the worker / bare, naive | ≤ 1.0 | 1.2 | **missed** |" in shown
    assert "| events in its history | ≤ 60 |  | not measured |" in shown
    assert "| Restate | npm is missing / whatever |" in shown
    assert "| SQL | 61 % |" in shown


def test_a_run_is_kept_as_a_line_tables_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="only the benchmark's own environment has it")
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- made by make bench -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(report, "DOCUMENT", page)
    monkeypatch.setattr(report, "PICTURE", tmp_path / "kept" / "figures.png")
    monkeypatch.setattr(report, "RUNS", tmp_path / "kept" / "runs.jsonl")
    found = document(machine(), _results(), SIZE, quick=True, took=1.0)
    for _ in range(2):
        report.write(found, draw)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("not measured") == tables(found).count("not measured")
    assert len(report.RUNS.read_text(encoding="utf-8").splitlines()) == 2
    assert report.PICTURE.stat().st_size < 60_000
