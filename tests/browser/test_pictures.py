"""The pictures in the docs are those of today's mails, and no more than a page can carry."""

from __future__ import annotations

from tests.browser.pictures import DOCS, FOLDER, mark_of
from tests.core.gallery import gallery, page
from tests.core.states import page as page_of_states
from tests.core.states import states

MOST_BYTES = 2_500_000


def test_the_pictures_are_those_of_the_mails_and_pages_of_today() -> None:
    """Run `make pictures` after changing a template."""
    digests = {one.name: one.digest for one in gallery()}
    digests |= {one.name: one.digest for one in states()}
    made_of = {name: mark_of((FOLDER / f"{name}.png").read_bytes()) for name in digests}
    assert made_of == digests


def test_the_pages_of_pictures_say_what_is_true_today() -> None:
    assert (DOCS / "mails.md").read_text(encoding="utf-8") == page()
    assert (DOCS / "states.md").read_text(encoding="utf-8") == page_of_states()


def test_the_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
