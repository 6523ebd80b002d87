"""Saved views: what staff ask of the list again and again, by name."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from tests.e2e.installation import Installation, eventually
from transfer.saved_views import SAVED_VIEWS

DONE, FAILED, USAGE = range(3)
SILENT, TAKEN, HELD, STUCK, OVER = (
    f"{name}.example" for name in ["silent", "taken", "held", "stuck", "over"]
)
OPEN = {SILENT, TAKEN, HELD, STUCK}
LISTED = {
    "needs-a-person": {TAKEN, HELD, STUCK},
    "escalated": {TAKEN, STUCK},
    "waiting-for-old-reseller": {SILENT, TAKEN, HELD},
    "due-this-week": {SILENT, TAKEN, STUCK},
    "on-hold": {HELD},
    "stuck-commits": {STUCK},
}


@pytest.fixture(scope="module")
def panel(install: Callable[..., Installation]) -> Generator[Installation]:
    """A transfer that waits, one that sam mediates, one on hold, a stuck one, and one over."""
    panel = install().set_up((*sorted(OPEN), OVER))
    panel.sink.start()
    worker = panel.working()
    panel.query(
        "CREATE TRIGGER stuck BEFORE INSERT ON billing_assignments"
        f" WHEN NEW.transfer_key LIKE '%{STUCK}/%' BEGIN SELECT RAISE(ABORT, 'billed twice'); END"
    )
    panel.done("start", SILENT, "--to", "globex")
    panel.done("start", HELD, "--to", "globex")
    panel.done("start", TAKEN, "--to", "globex", **panel.policy(release_deadline="1s"))
    for domain in (STUCK, OVER):
        panel.done("start", domain, "--to", "globex", **panel.policy(grace="0s"))
        for slot in ("release", "authorize", "accept"):
            panel.ring(domain, slot)
    panel.reaches("MEDIATION", TAKEN)
    panel.done("staff", "take", TAKEN, "--by", "sam")
    panel.done("staff", "hold", HELD, "--by", "sam", "--reason", "two owners")
    panel.reaches("ON_HOLD", HELD)
    panel.reaches("COMMIT_STUCK", STUCK)
    panel.reaches("COMPLETED", OVER)
    yield panel
    assert worker.stop() == DONE


def listed(panel: Installation, *options: str) -> set[str]:
    """The customers' domains that a list has."""
    return {row["customer_domain"] for row in panel.done("list", *options, "--json").document}


def test_there_is_an_expectation_for_every_view() -> None:
    """A new one needs one."""
    assert LISTED.keys() | {"mine-to-mediate"} == SAVED_VIEWS.keys()


@pytest.mark.parametrize("view", LISTED)
def test_a_saved_view_lists_what_it_is_called_after(panel: Installation, view: str) -> None:
    """What is over is in none of them."""
    eventually(
        lambda: listed(panel, "--view", view) == LISTED[view],
        f"{view} lists {sorted(LISTED[view])}",
    )


def test_a_mediator_finds_what_it_has_taken(panel: Installation) -> None:
    """However the name is written; the list itself does not know it."""
    assert listed(panel, "--view", "mine-to-mediate", "--by", " SAM ") == {TAKEN}
    assert listed(panel, "--view", "mine-to-mediate", "--by", "tess") == set()
    words = panel.done("list", "--view", "mine-to-mediate", "--by", "sam").words
    assert f"{TAKEN} │ MEDIATION !" in words


def test_a_saved_view_can_be_narrowed_down(panel: Installation) -> None:
    """By the options there were before."""
    narrow = ("--view", "needs-a-person", "--state", "MEDIATION")
    assert listed(panel, *narrow) == {TAKEN}
    assert listed(panel, "--view", "needs-a-person", "--waiting-on", "accept") == {TAKEN, HELD}


@pytest.mark.parametrize(
    "options",
    [
        ("--view", "mine"),
        ("--view", "mine-to-mediate"),
        ("--view", "mine-to-mediate", "--by", " "),
        ("--view", "on-hold", "--by", "sam"),
        ("--by", "sam"),
    ],
    ids=" ".join,
)
def test_a_view_that_cannot_be_shown_says_why(
    panel: Installation, options: tuple[str, ...]
) -> None:
    """Wrong usage, in one line."""
    ran = panel.run("list", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (USAGE, "", 1)
    assert "--view" in ran.err


def test_the_pages_of_temporal_say_who_asked_and_where_it_is(panel: Installation) -> None:
    """From an installed worker, and from the starter."""

    async def read(client: Client) -> tuple[str, str, str]:
        transfer = client.get_workflow_handle(f"transfer-{TAKEN}")
        metadata: WorkflowMetadata = await transfer.query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        described = await transfer.describe()
        summary, details = await described.static_summary(), await described.static_details()
        return summary or "", details or "", metadata.current_details

    summary, details, now = panel.asked(read)
    assert summary.startswith(f"{TAKEN}: ")
    assert details.startswith("Asked for by **")
    assert now.startswith("## MEDIATION: ")
    assert "**Mediator:** sam." in now
    assert "- **hold**: " in now
