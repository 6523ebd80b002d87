"""The tracking page in a real browser: everybody can read it, in light, in dark, and on a phone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Response, expect

from gateway.limits import Limits
from tests.adapters.test_tracking import told
from tests.browser.chromium import opened
from tests.core import stories
from tests.core.stories import CHANGES, MONDAY, in_mediation, ready, started
from tests.e2e.installation import eventually, free_port, in_a_thread
from tests.gateway.panel import Gateway
from transfer.case import Case
from transfer.opening import opened as opened_case
from transfer.parties import Facts, Party, Slot

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LONG = "Allgemeine Hosting-und-Rechenzentrumsbetriebsgesellschaft <mit> beschränkter Haftung"
CASES: dict[str, Callable[[], Case]] = {
    "awaiting": started,
    "awaiting, one agreed": lambda: stories.file(started(), Slot.AUTHORIZE, "102"),
    "awaiting, rejected": lambda: stories.file(started(), Slot.AUTHORIZE, "9", delegated=True),
    "awaiting, unclear": stories.ambiguous,
    "awaiting, long names": lambda: started(customer=LONG, old=LONG + " I", new=LONG + " II"),
    "mediation": in_mediation,
    "mediation, refused": lambda: stories.refused_by_old("Reason: OTHER no"),
    "on hold": stories.held,
    "ready": ready,
    "committing": stories.committing,
    "stuck": lambda: CHANGES["COMMIT_STUCK"]()[1],
    "completed": lambda: CHANGES["COMPLETED"]()[1],
    "refused": lambda: CHANGES["REFUSED"]()[1],
    "withdrawn": lambda: CHANGES["WITHDRAWN"]()[1],
    "expired": lambda: CHANGES["EXPIRED"]()[1],
    "cancelled": lambda: CHANGES["CANCELLED"]()[1],
    "invalid": lambda: opened_case(stories.received(), Facts(), MONDAY),
}
MODES: dict[str, tuple[int, str]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "phone": (320, "light"),
}


class Site:
    """A gateway that listens, with a transfer in every state."""

    def __init__(self) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        # More pages a minute than any person looks at.
        self._gateway = Gateway(limits=Limits(pages=10_000))
        self._gateway.now = MONDAY
        in_a_thread(lambda: asyncio.run(self._tell()))
        config = uvicorn.Config(
            self._gateway.app, port=port, lifespan="off", access_log=False, log_config=None
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    async def _tell(self) -> None:
        for name, case in CASES.items():
            await self._gateway.ledger.publish([], [], told(case().having(key=name)))

    def __enter__(self) -> Site:
        self._thread.start()
        eventually(lambda: self._server.started, "the gateway listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def page_of(self, name: str, party: Party) -> str:
        """The address of a party's page."""
        made = self._gateway.links.to(name, party, MONDAY)
        return f"{self.address}/track/{made.rsplit('/', 1)[1]}"


@pytest.fixture(scope="module")
def site() -> Generator[Site]:
    with Site() as site:
        yield site


def violations(page: Page) -> list[str]:
    """What axe finds wrong, everything unfolded."""
    for folded in page.locator("details:not([open]) summary").all():
        folded.click()
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": WCAG}}
    results: Any = Axe().run(page, options=options)
    wrong: list[dict[str, Any]] = results.response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in wrong for node in one["nodes"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_every_page_is_readable_for_everybody(browser: Browser, site: Site, mode: str) -> None:
    """No violation of WCAG 2.2 AA, whichever state, party, colours, and width."""
    width, colours = MODES[mode]
    found: dict[str, list[str]] = {}
    with opened(browser, width=width) as page:
        page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        for name in CASES:
            for party in Party:
                page.goto(site.page_of(name, party))
                if wrong := violations(page):
                    found[f"{name}, {party.value}"] = wrong
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (name, party, wide)
        page.goto(f"{site.address}/track/nothing")
        if wrong := violations(page):
            found["nothing"] = wrong
    assert not found


def test_a_ticket_is_copied_by_its_button(browser: Browser, site: Site) -> None:
    with opened(browser) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(site.page_of("awaiting", Party.OLD))
        page.get_by_role("button", name="Copy text").first.click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        expect(page.get_by_role("button", name="Copied")).to_be_focused()
        assert page.evaluate("navigator.clipboard.readText()") == (
            "I would like to request that example.com is to be transferred to Globex.\nThank you"
        )
        page.get_by_role("button", name="Copy subject").first.click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == "Transfer Customer"


def test_where_the_clipboard_is_closed_the_text_is_selected(browser: Browser, site: Site) -> None:
    with opened(browser) as page:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.goto(site.page_of("awaiting", Party.NEW))
        page.get_by_role("button", name="Copy subject").first.click()
        expect(page.get_by_role("status")).to_contain_text("Selected")
        assert page.evaluate("getSelection().toString().trim()") == "Authorize Customer Transfer"


def test_without_scripts_all_of_it_is_there_and_no_button(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(site.page_of("awaiting", Party.CUSTOMER))
        expect(page.locator("#todo-text")).to_contain_text("We, example.com, authorize the")
        expect(page.locator("button:visible")).to_have_count(0)
        page.locator("summary").click()
        expect(page.locator("#refuse-text")).to_be_visible()
    finally:
        context.close()


def test_it_asks_nobody_else_and_the_token_goes_nowhere(browser: Browser, site: Site) -> None:
    """Only our own address is asked, no referrer is sent, and nothing breaks the page's policy."""
    with opened(browser) as page:
        asked: list[tuple[str, str | None]] = []
        said: list[str] = []

        def note(response: Response) -> None:
            asked.append((response.url, response.request.headers.get("referer")))

        page.on("response", note)
        page.on("console", lambda message: said.append(message.text))
        address = site.page_of("ready", Party.CUSTOMER)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        urls = [url for url, _ in asked if not url.endswith("/favicon.ico")]
        assert urls == [address, *(f"{site.address}/track/{n}" for n in ("style.css", "copy.js"))]
        assert not any(referrer for _, referrer in asked)
        assert not said


def test_every_stop_of_the_keyboard_is_seen(browser: Browser, site: Site) -> None:
    with opened(browser, width=320) as page:
        page.goto(site.page_of("awaiting", Party.OLD))
        stops = page.locator("button:visible, pre:visible, summary:visible").count()
        for _ in range(stops):
            page.keyboard.press("Tab")
            width = page.evaluate(
                "parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
            )
            assert width >= 2
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
