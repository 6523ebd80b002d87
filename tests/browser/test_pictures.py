"""The pictures in the docs are those of today's mails, and no more than a page can carry."""

from __future__ import annotations

from tests.browser.pictures import DOCS, FOLDER, mark_of
from tests.core.gallery import gallery, page

MOST_BYTES = 2_500_000


def test_the_pictures_are_those_of_the_mails_that_are_sent_today() -> None:
    """Run `make pictures` after changing a template."""
    old = [
        one.name
        for one in gallery()
        if mark_of((FOLDER / f"{one.name}.png").read_bytes()) != one.digest
    ]
    assert old == []


def test_the_page_of_mails_is_what_the_letters_say_today() -> None:
    assert (DOCS / "mails.md").read_text(encoding="utf-8") == page()


def test_the_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
