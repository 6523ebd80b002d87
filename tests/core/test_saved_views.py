"""Saved views: the filters of the README are those of the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from transfer.case import State
from transfer.saved_views import SAVED_VIEWS
from transfer.views import Attributes

README = Path(__file__).parents[2] / "README.md"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
"""A week before the day that the README has for an example."""


def test_the_readme_has_the_filters_of_the_command_line() -> None:
    """To be pasted as they are."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (.+) \| `(Workflow.+)` \|$", README.read_text(), re.MULTILINE
    )
    assert rows == [(name, view.what, view.query(NOW)) for name, view in SAVED_VIEWS.items()]


@pytest.mark.parametrize("name", SAVED_VIEWS)
def test_a_filter_asks_for_what_the_list_has(name: str) -> None:
    """Search attributes and states by their names, of open transfers only."""
    query = SAVED_VIEWS[name].query(NOW)
    asked = set(re.findall(r"(\w+)(?:=| <)", query))
    assert {"WorkflowType", "ExecutionStatus"} <= asked
    assert asked <= {"WorkflowType", "ExecutionStatus", *Attributes._fields}
    for state in re.findall(r'TransferState="(\w+)"', query):
        assert State(state)
