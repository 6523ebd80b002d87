"""Two thousand random histories of one transfer, each step of them against the model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Transfer, reading_each_text_once


@pytest.mark.timeout(300)
def test_every_history_goes_as_the_model_says() -> None:
    with reading_each_text_once():
        run_state_machine_as_test(
            Transfer, settings=settings(max_examples=2000, stateful_step_count=12)
        )
