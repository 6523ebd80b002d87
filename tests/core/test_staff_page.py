"""docs/staff.md leaves out no state, no lever and no reason: a new one needs its sentence there."""

from __future__ import annotations

import re
from pathlib import Path

from transfer.case import State
from transfer.messages import StopCode
from transfer.offers import LEVERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "staff.md").read_text(encoding="utf-8")


def test_it_says_of_every_state_what_it_asks_of_staff() -> None:
    rows = re.findall(r"^\| (`[A-Z_` ]+`) \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert {state for row in rows for state in re.findall(r"[A-Z_]+", row)} == set(State)


def test_it_names_every_lever_and_every_reason_to_stop() -> None:
    for name in (*LEVERS, *StopCode):
        assert f"`{name}`" in PAGE, name


def test_its_pictures_are_there_and_no_others() -> None:
    """Run `make pictures` if this fails."""
    shown = re.findall(r"\(pictures/(ui-[a-z]+\.png)\)", PAGE)
    assert sorted(shown) == sorted(path.name for path in (DOCS / "pictures").glob("ui-*"))
