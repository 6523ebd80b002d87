"""Makes the pictures of the docs anew: every mail, every state, and the Temporal UI for staff.

Run by ``make pictures``. Each picture of a mail carries the digest of what it was made of, so that
a test can tell an old one.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import chromium, opened
from tests.browser.scene import DOMAINS, REFUSED, TAKEN, WAITING, Scene
from tests.browser.temporal_ui import Staff
from tests.core.gallery import gallery, page
from tests.core.states import STYLE, states
from tests.core.states import page as page_of_states

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "pictures"
MAIL_WIDTH = 640
DIGEST = b"letter"
"""The keyword of the text chunk with the digest."""

_QUANTISE = (
    *("/usr/bin/pngquant", "64", "--quality", "70-95", "--nofs", "--speed", "1"),
    *("--strip", "--force", "--skip-if-larger"),
)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main() -> int:
    """Make all pictures, and the page of mails."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pictures-") as name, chromium() as browser:
        folder = Path(name)
        _mails(browser, folder)
        _states(browser, folder)
        _temporal(browser, folder)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        for path in folder.glob("*.png"):
            shutil.copyfile(path, FOLDER / path.name)
    (DOCS / "mails.md").write_text(page(), encoding="utf-8")
    (DOCS / "states.md").write_text(page_of_states(), encoding="utf-8")
    sizes = [path.stat().st_size for path in FOLDER.glob("*.png")]
    took = time.monotonic() - began
    print(f"{len(sizes)} pictures, {sum(sizes):,} bytes, {took:.0f} s")  # noqa: T201
    return 0


def _mails(browser: Browser, folder: Path) -> None:
    with opened(browser, width=MAIL_WIDTH, height=200) as page:
        for one in gallery():
            page.set_content(one.mail.html)
            path = folder / f"{one.name}.png"
            page.screenshot(path=path, full_page=True)
            smaller(path)
            path.write_bytes(marked(path.read_bytes(), one.digest))


def _states(browser: Browser, folder: Path) -> None:
    """The tracking page in every state, as on a small screen."""
    with opened(browser, width=MAIL_WIDTH, height=200) as page:
        for one in states():
            page.set_content(one.html)
            page.add_style_tag(content=STYLE)
            path = folder / f"{one.name}.png"
            page.screenshot(path=path, full_page=True)
            smaller(path)
            path.write_bytes(marked(path.read_bytes(), one.digest))


def _temporal(browser: Browser, folder: Path) -> None:
    """The Temporal UI on a real server, as staff see it on a day with some work."""
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as place,
        Scene(Path(place)) as scene,
        opened(browser, width=1440, height=740, foreign=True) as page,
    ):
        staff = Staff(page, scene.ui)
        staff.bookmark('WorkflowType="CustomerTransfer" AND ExecutionStatus="Running"')
        staff.shows(set(DOMAINS))
        _taken(page, folder, "ui-list")

        page.set_viewport_size({"width": 1360, "height": 1700})
        staff.go_to(REFUSED)
        staff.reads("What staff can do now")
        _taken(page, folder, "ui-details", page.locator("main"))

        staff.go_to(TAKEN)
        heading = page.get_by_role("heading", name="Timeline").first
        chart = heading.locator("xpath=ancestor::div[3]")
        expect(chart).to_contain_text("mira")
        _taken(page, folder, "ui-timeline", chart)

        page.set_viewport_size({"width": 1100, "height": 760})
        staff.go_to(REFUSED)
        staff.fill_in("take_case", staff="sam", reason="mine")
        _taken(page, folder, "ui-update", page.locator("dialog[open]"))

        staff.go_to(WAITING)
        staff.pull("take_case", staff="sam", reason="mine")
        _taken(page, folder, "ui-refused", page.locator("dialog[open]"))


def _taken(page: Page, folder: Path, name: str, of: Locator | None = None) -> None:
    page.mouse.move(0, 0)
    path = folder / f"{name}.png"
    if of is None:
        page.screenshot(path=path)
    else:
        of.screenshot(path=path)
    smaller(path)


# -- files -------------------------------------------------------------------------------------
def smaller(path: Path) -> None:
    """Give a picture a palette, where that loses nothing that an eye sees."""
    subprocess.run(
        [*_QUANTISE, "--output", str(path), "--", str(path)],
        check=False,  # it leaves a picture as it is where a palette would be seen
    )


def marked(png: bytes, digest: str) -> bytes:
    """The picture with a digest in a text chunk, right before its end."""
    body = DIGEST + b"\0" + digest.encode()
    chunk = struct.pack(">I", len(body)) + b"tEXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + body))
    return png[:-12] + chunk + png[-12:]


def mark_of(png: bytes) -> str:
    """The digest that a picture carries; empty if it has none."""
    found = (body.partition(b"\0") for kind, body in _chunks(png) if kind == b"tEXt")
    return next((text.decode() for key, _, text in found if key == DIGEST), "")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


if __name__ == "__main__":
    sys.exit(main())
