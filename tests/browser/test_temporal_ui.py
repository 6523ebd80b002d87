"""What support staff do in the Temporal UI, done there: find, read, pull a lever, be refused."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect
from temporalio import workflow
from temporalio.client import Client

from tests.browser.chromium import opened
from tests.browser.scene import (
    AGREED,
    DOUBTFUL,
    HELD,
    HOSTILE,
    REFUSED,
    RIVALS,
    SILENT,
    STUCK,
    TAKEN,
    TWICE,
    WAITING,
    Scene,
)
from tests.browser.temporal_ui import COLUMNS, Refusal, Staff
from workflows.customer_transfer import CustomerTransfer

pytestmark = pytest.mark.timeout(120)  # the first one waits for the scene to be made

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
VIEWS = re.findall(r"^\| `([a-z-]+)` \| .* \| `(WorkflowType=.+)` \|$", README, re.MULTILINE)
"""The README's views with their filters, as a person copies them from there."""


@pytest.fixture
def staff(browser: Browser, scene: Scene) -> Generator[Staff]:
    """A member of staff at a screen."""
    with opened(browser, foreign=True) as page:
        yield Staff(page, scene.ui)


# -- finding -----------------------------------------------------------------------------------
def test_the_readme_has_the_views_that_staff_are_promised() -> None:
    promised = {"needs-a-person", "escalated", "due-this-week", "stuck-commits"}
    assert promised <= {view for view, _ in VIEWS}


@pytest.mark.parametrize(("view", "query"), VIEWS)
def test_every_filter_of_the_readme_pasted_into_the_list_shows_what_it_says(
    staff: Staff, scene: Scene, view: str, query: str
) -> None:
    async def asked(client: Client) -> set[str]:
        return {found.id.removeprefix("transfer-") async for found in client.list_workflows(query)}

    staff.filter(query)
    staff.shows(scene.asked(asked))


def test_a_bookmark_shows_who_needs_a_person_and_for_what(staff: Staff) -> None:
    """The columns say it all: the state, who is waited for, and until when."""
    staff.bookmark(dict(VIEWS)["needs-a-person"])
    expect(staff.rows().get_by_text(f"transfer-{REFUSED}", exact=True)).to_be_visible()
    shown = {text.strip() for text in staff.rows().all_inner_texts()}
    assert {f"transfer-{d}" for d in (REFUSED, DOUBTFUL, HELD)} <= shown
    assert f"transfer-{WAITING}" not in shown
    table = staff.page.locator("main table")
    for column in COLUMNS:
        expect(table.get_by_role("columnheader").get_by_text(column).first).to_be_visible()
    row = table.locator("tr", has_text=f"transfer-{REFUSED}")
    expect(row).to_contain_text("MEDIATION")
    expect(row).to_contain_text("release,authorize,accept,staff")


# -- reading and acting ------------------------------------------------------------------------
def test_an_escalated_transfer_is_found_read_and_taken(staff: Staff, scene: Scene) -> None:
    """From the list to the effect, without leaving the UI."""
    staff.bookmark(dict(VIEWS)["escalated"])
    staff.open(SILENT)
    timeline = staff.page.locator("main")
    expect(timeline).to_contain_text("Acme Hosting did not release: staff mediate")
    expect(timeline).to_contain_text(
        re.compile("a staff member must have taken the case", re.IGNORECASE)
    )
    staff.reads("MEDIATION")
    staff.reads("Acme Hosting has not released it")
    staff.reads("take_case")

    dialog = staff.fill_in("take_case", staff="sam", reason="mine")
    assert staff.submit(dialog) is None
    staff.reads("sam mediates")
    assert scene.status(SILENT)["mediator"] == "sam"
    assert "TAKEN sam" in scene.codes(SILENT)


def test_the_drop_down_says_what_each_lever_does_and_what_to_send(staff: Staff) -> None:
    staff.go_to(TAKEN)
    staff.page.get_by_role("button", name="More Actions").click()
    staff.page.get_by_role("menuitem", name="Send an Update").first.click()
    dialog = staff.page.locator("dialog[open]")
    dialog.get_by_test_id("update-select-button").click()
    updates = workflow._Definition.must_from_class(CustomerTransfer).updates
    for name, update in updates.items():
        assert name, "an update without a name has no place in a drop-down"
        option = dialog.get_by_role("option").filter(has=staff.page.get_by_text(name, exact=True))
        expect(option).to_contain_text(update.description or "a description")


def test_what_can_be_copied_from_the_details_works_as_it_stands(staff: Staff, scene: Scene) -> None:
    """The JSON below a lever's name is a message that its rule allows."""
    staff.go_to(RIVALS)
    blocks = staff.details().locator("pre, code")
    expect(blocks.filter(has_text='"your name"').first).to_be_visible()
    copied = blocks.filter(has_text="OWNERSHIP_DISPUTED").first.inner_text()
    assert staff.paste("hold", copied) is None
    staff.reads("ON_HOLD")
    assert scene.status(RIVALS)["state"] == "ON_HOLD"
    assert staff.pull("resume", staff="sam", reason="settled") is None
    staff.reads("MEDIATION")


def test_a_stuck_commit_is_retried_when_its_cause_is_mended(staff: Staff, scene: Scene) -> None:
    """What the database said is in the details."""
    staff.bookmark(dict(VIEWS)["stuck-commits"])
    staff.open(STUCK)
    staff.reads("billing could not be moved yet")
    staff.reads("The database refused to bill")
    scene.mend()
    assert staff.pull("retry_commit", staff="sam", reason="the run is over") is None
    scene.reaches("COMPLETED", STUCK)
    scene.moved_once(STUCK)


# -- being refused -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("domain", "update", "message", "refusal"),
    [
        (
            WAITING,
            "take_case",
            {"staff": "sam", "reason": "mine"},
            Refusal("It is AWAITING: there is no mediation to take.", "NotAllowedInState"),
        ),
        (
            AGREED,
            "retry_commit",
            {"staff": "sam", "reason": "hurry"},
            Refusal("It is READY; only a stuck commit can be retried.", "NotAllowedInState"),
        ),
        (
            TAKEN,
            "release_on_behalf",
            {"staff": "sam", "reason": "they agreed on the telephone"},
            Refusal(
                "The policy wants the old reseller's own ticket. Mediate for one.",
                "StaffReleaseForbidden",
            ),
        ),
        (
            WAITING,
            "hold",
            {"staff": "sam"},
            Refusal("reason: Field required. Send staff, reason, code.", "InputInvalid"),
        ),
    ],
)
def test_a_lever_that_is_not_allowed_says_so_in_the_dialog_and_changes_nothing(
    staff: Staff, scene: Scene, domain: str, update: str, message: dict[str, str], refusal: Refusal
) -> None:
    """A sentence and the rule's name; no stack trace."""
    before, codes = scene.status(domain), scene.codes(domain)
    staff.go_to(domain)
    assert staff.pull(update, **message) == refusal
    assert "Traceback" not in staff.page.locator("dialog[open]").inner_text()
    assert ".py" not in staff.page.locator("dialog[open]").inner_text()
    assert (scene.status(domain), scene.codes(domain)) == (before, codes)


# -- two at once -------------------------------------------------------------------------------
def test_of_two_who_take_a_case_at_once_the_later_one_mediates_and_both_are_on_record(
    browser: Browser, scene: Scene
) -> None:
    """A case may be taken over from a colleague; what neither may do is vanish."""
    with opened(browser, foreign=True) as one, opened(browser, foreign=True) as other:
        sam, tess = Staff(one, scene.ui), Staff(other, scene.ui)
        for person in (sam, tess):
            person.go_to(RIVALS)
        first = sam.fill_in("take_case", staff="sam", reason="mine")
        second = tess.fill_in("take_case", staff="tess", reason="no, mine")
        assert (sam.submit(first), tess.submit(second)) == (None, None)
        taken = [code for code in scene.codes(RIVALS) if code.startswith("TAKEN")]
        assert taken == ["TAKEN sam", "TAKEN tess"]
        assert scene.status(RIVALS)["mediator"] == "tess"
        sam.reads("tess mediates")


def test_of_two_who_decide_a_ticket_at_once_one_is_told_that_it_is_decided(
    browser: Browser, scene: Scene
) -> None:
    """The first decision stands, whoever clicks how often."""
    ticket = scene.status(TWICE)["ambiguous"][0]["ticket_id"]
    with opened(browser, foreign=True) as one, opened(browser, foreign=True) as other:
        sam, tess = Staff(one, scene.ui), Staff(other, scene.ui)
        for person in (sam, tess):
            person.go_to(TWICE)
        yes = sam.fill_in(
            "admit_ticket", staff="sam", reason="clear", ticket_id=ticket, what="authorize"
        )
        no = tess.fill_in("reject_ticket", staff="tess", reason="unclear", ticket_id=ticket)
        for dialog in (yes, no):
            dialog.get_by_role("button", name="Submit").click()
        answers = {"sam": sam.answer(yes), "tess": tess.answer(no)}
    told = Refusal(f"No ticket {ticket} waits for a decision. Waiting: none.", "NothingToDecide")
    assert sorted(answers.values(), key=str) == [None, told]
    winner = next(who for who, answer in answers.items() if answer is None)
    status = scene.status(TWICE)
    assert status["ambiguous"] == []
    assert status["slots"]["authorize"]["state"] == (
        "AUTHORIZED" if winner == "sam" else "REQUESTED"
    )
    decided = [c for c in scene.codes(TWICE) if c.split()[0] in ("ADMITTED", "REJECTED")]
    assert decided == [f"{'ADMITTED' if winner == 'sam' else 'REJECTED'} {winner}"]


# -- what strangers wrote ----------------------------------------------------------------------
def test_what_a_stranger_writes_is_text_in_the_details_and_nothing_else(
    staff: Staff, scene: Scene
) -> None:
    """In a ticket's subject, as who asked for it, and as staff's own reason: no link, no image."""
    asked: list[str] = []
    alerts: list[str] = []
    staff.page.on("request", lambda request: asked.append(request.url))

    def alerted(dialog: Dialog) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    staff.page.on("dialog", alerted)
    scene.done("staff", "hold", DOUBTFUL, "--by", "sam", "--reason", HOSTILE)
    staff.go_to(DOUBTFUL)
    expect(staff.page.locator("main")).to_contain_text("Timeline")
    staff.reads("ON_HOLD")
    for frame in ("#user-metadata-current-details", "#user-metadata-details"):
        body = staff.page.frame_locator(frame).locator("body")
        expect(body).to_contain_text("evil.example")
        shown = " ".join(body.inner_text().replace("\u200b", "").split())
        assert HOSTILE in shown
        expect(body.locator("img, script, svg, iframe, a[href*=evil]")).to_have_count(0)
        for heading in body.locator("h1, h2, h3, h4, h5, h6").all_inner_texts():
            assert "evil" not in heading
            assert heading.strip() != "h"
    expect(staff.page.locator("a[href*='evil']")).to_have_count(0)
    assert not [url for url in asked if "evil" in url.partition("?")[0]]
    assert alerts == []
