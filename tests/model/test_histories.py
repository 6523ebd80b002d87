"""Two thousand random histories of one transfer, each step of them against the model."""

from __future__ import annotations

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Transfer, reading_each_text_once

SHARDS, HISTORIES = 8, 260
"""So that all cores share them; a few more than two thousand, since the shortest is in each."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_history_goes_as_the_model_says(request: pytest.FixtureRequest, shard: int) -> None:
    given = request.config.getoption("--hypothesis-seed") or ""
    machine = seed(f"{given}:{shard}")(type("Transfer", (Transfer,), {}))
    with reading_each_text_once():
        run_state_machine_as_test(
            machine, settings=settings(max_examples=HISTORIES, stateful_step_count=12)
        )
