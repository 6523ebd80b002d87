"""Debian's Chromium, driven by Playwright: what a person sees of our pages and of Temporal's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from playwright.sync_api import Browser, Error, Page, sync_playwright

PROGRAM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",  # CI runs as root, and a page here is ours or Temporal's
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 20_000.0
"""Milliseconds after which Playwright gives up waiting for something."""


@contextmanager
def chromium() -> Generator[Browser]:
    """A running browser; it ends with the block, by Playwright's own handle on it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    *,
    width: int = 1280,
    height: int = 900,
    foreign: bool = False,
    trusting: bool = False,
) -> Generator[Page]:
    """A page in a profile of its own, as a person's own browser is: English, UTC, light.

    A script that fails on it fails the test, unless the page is a ``foreign`` one. A ``trusting``
    browser takes certificates that nobody vouches for.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale="en-GB",
        timezone_id="UTC",
        color_scheme="light",
        reduced_motion="reduce",
        ignore_https_errors=trusting,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    failed: list[str] = []

    def note(error: Error) -> None:
        if not foreign:
            failed.append(error.message)

    page.on("pageerror", note)
    try:
        yield page
    finally:
        context.close()
    assert not failed, failed


def remembered(page: Page, key: str, value: str) -> None:
    """Let a page find something in its local storage, as if it had kept it there before."""
    page.add_init_script(f"localStorage.setItem({key!r}, {value!r})")
