"""docs/mails.md shows every mail; that the pictures are the newest is for `make test-browser`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.core.gallery import CUSTOMER, KINDS, NEW, OLD, REPLIES, gallery
from tests.core.states import states
from transfer.case import State
from transfer.details import MEANS
from transfer.notices import RULES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mails.md").read_text(encoding="utf-8")
ALL_KINDS = [kind for _, kinds in KINDS for kind in kinds]


def test_every_event_that_somebody_is_told_of_is_in_the_gallery() -> None:
    """A new row in the table of notices needs a picture: add it in gallery.py, make pictures."""
    assert {kind.event for kind in ALL_KINDS} | {event for event, _, _ in REPLIES} == set(RULES)


def test_who_is_told_of_an_event_by_mail_is_shown_what_it_gets() -> None:
    """Staff and the parties both, where both are told; of several alike parties at least one."""
    shown = {(kind.event, reader) for kind in ALL_KINDS for reader in kind.readers}
    for event, rule in RULES.items():
        parties = {(event, reader) for reader in (OLD, CUSTOMER, NEW)}
        assert bool(parties & shown) == bool(rule.parties), event
        if rule.staff == "always":
            assert (event, "staff") in shown, event


def test_the_page_has_every_picture_and_the_folder_no_other() -> None:
    """Run `make pictures` if this fails."""
    names = [one.name for one in gallery()]
    assert len(names) == len(set(names))
    assert re.findall(r"\(pictures/(mail-[a-z-]+)\.png\)", PAGE) == names
    assert {path.stem for path in (DOCS / "pictures").glob("mail-*.png")} == set(names)


def test_every_state_has_a_picture_and_a_sentence() -> None:
    """Run `make pictures` if this fails."""
    text = (DOCS / "states.md").read_text(encoding="utf-8")
    for one in states():
        assert f"## `{one.state.value}`" in text
        assert MEANS[one.state][1:] in text
        assert f"(pictures/{one.name}.png)" in text
        assert (DOCS / "pictures" / f"{one.name}.png").exists()
    assert {one.state for one in states()} == set(State)
