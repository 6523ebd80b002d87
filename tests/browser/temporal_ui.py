"""A member of staff in the Temporal UI: reads, and pulls levers, as a person would."""

from __future__ import annotations

import json
from typing import NamedTuple
from urllib.parse import quote

from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.browser.chromium import PATIENCE, remembered

COLUMNS = ("Status", "Workflow ID", "TransferState", "WaitingOn", "Escalated", "NextDeadline")
"""What the list shows; the UI keeps the choice in the browser."""


class Refusal(NamedTuple):
    """What a dialog says when an update was refused."""

    sentence: str
    rule: str


class Staff:
    """One person at one screen."""

    def __init__(self, page: Page, ui: str) -> None:
        self.page = page
        self._workflows = f"{ui}/namespaces/default/workflows"
        columns = {"default": [{"label": label} for label in COLUMNS]}
        remembered(page, "namespace-workflow-table-columns", json.dumps(columns))

    # -- the list ------------------------------------------------------------------------------
    def bookmark(self, query: str) -> None:
        """Open the list by an address that carries a filter."""
        self.page.goto(f"{self._workflows}?query={quote(query)}")

    def filter(self, query: str) -> None:
        """Paste a filter behind the ``</>`` button of the list."""
        self.page.goto(self._workflows)
        self.page.get_by_test_id("toggle-manual-query").click()
        box = self.page.get_by_test_id("workflow-manual-search-input")
        box.fill(query)
        box.press("Enter")

    def rows(self) -> Locator:
        """The transfers that the list shows, as links."""
        return self.page.locator("main table a[href*='/workflows/transfer-']")

    def shows(self, domains: set[str]) -> None:
        """Wait until the list shows these transfers and no others."""
        expect(self.rows()).to_have_count(len(domains))
        assert {text.strip() for text in self.rows().all_inner_texts()} == {
            f"transfer-{domain}" for domain in domains
        }

    # -- one transfer --------------------------------------------------------------------------
    def open(self, domain: str) -> None:
        """Open a transfer from the list that is shown."""
        self.rows().get_by_text(f"transfer-{domain}", exact=True).click()
        expect(self.page.get_by_role("heading", name=f"transfer-{domain}")).to_be_visible()

    def go_to(self, domain: str) -> None:
        """Open a transfer by its address."""
        self.page.goto(f"{self._workflows}/transfer-{domain}")
        heading = self.page.get_by_role("heading", name=f"transfer-{domain}")
        expect(heading).to_be_visible(timeout=PATIENCE)  # a codec server is tried three times

    def tab(self, name: str) -> None:
        """Choose a tab of the transfer that is open."""
        self.page.locator("main").get_by_text(name, exact=True).click()

    def details(self) -> FrameLocator:
        """The current details of the transfer that is open."""
        self.tab("User Metadata")
        return self.page.frame_locator("#user-metadata-current-details")

    def reads(self, text: str) -> None:
        """Wait until the current details say something, with the key R as the page says."""
        body = self.details().locator("body")
        for _ in range(20):
            try:
                expect(body).to_contain_text(text, timeout=1_000)
            except AssertionError:
                self.page.keyboard.press("r")
            else:
                return
        expect(body).to_contain_text(text)

    # -- levers --------------------------------------------------------------------------------
    def fill_in(self, update: str, **message: str) -> Locator:
        """Open the dialog, choose an update, and paste its message: what is left is to submit."""
        return self._filled_in(update, json.dumps(message))

    def _filled_in(self, update: str, text: str) -> Locator:
        self.page.get_by_role("button", name="More Actions").click()
        self.page.get_by_role("menuitem", name="Send an Update").first.click()
        dialog = self.page.locator("dialog[open]")
        dialog.get_by_test_id("update-select-button").click()
        option = dialog.get_by_role("option").filter(has=self.page.get_by_text(update, exact=True))
        option.click()
        data = dialog.get_by_role("textbox", name="Data")
        data.click()
        self.page.keyboard.press("Control+a")  # the dialog remembers what was sent last
        self.page.keyboard.insert_text(text)
        # Leaving the editor lays the text out anew, and moves the button from under the mouse: a
        # first click on Submit mostly misses it. So it is left without a click.
        dialog.get_by_test_id("update-id").focus()
        expect(data.locator(".cm-line")).to_have_count(len(json.loads(text)) + 2)
        return dialog

    def submit(self, dialog: Locator) -> Refusal | None:
        """Submit a dialog; ``None`` when it closes, which is how the UI says yes."""
        dialog.get_by_role("button", name="Submit").click()
        return self.answer(dialog)

    def answer(self, dialog: Locator) -> Refusal | None:
        """How a submitted dialog was answered."""
        self.page.wait_for_function(
            "() => !document.querySelector('dialog[open]:not(:has([role=alert] p))')"
        )
        if not dialog.count():
            return None
        alert = dialog.locator("div[role=alert]")
        said = [part.strip() for part in alert.inner_text().split("\n") if part.strip()]
        return Refusal(said[0], " ".join(said[1:]))

    def pull(self, update: str, **message: str) -> Refusal | None:
        """Send an update from the page of the transfer that is open."""
        return self.submit(self.fill_in(update, **message))

    def paste(self, update: str, text: str) -> Refusal | None:
        """Send an update whose message was copied from somewhere."""
        return self.submit(self._filled_in(update, text))
