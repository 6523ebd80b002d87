"""The whole way: tickets filed in a real Request Tracker move a customer, whatever gets lost.

Gateway and worker are programs, Temporal is the real server. Nobody names a transfer anywhere.
"""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.e2e.installation import (
    Installation,
    Program,
    Server,
    customer_of,
    eventually,
    free_port,
)
from tests.gateway.panel import SECRET
from tests.rt.instance import OURS, PANEL, RequestTracker
from transfer.parties import Account
from transfer.starting import RECONCILIATION
from transfer.tickets import Intent, text_to_file

pytestmark = pytest.mark.timeout(180)

OLD, NEW = Account(id="acme", name="Acme Hosting"), Account(id="globex", name="Globex")
CUSTOMERS = {
    "road.example": "rita",
    "silent.example": "simon",
    "hanging.example": "hanna",
    "forged.example": "fred",
    "stranger.example": "stella",
    "delegated.example": "dora",
    "grace0.example": "greta",
    "grace1.example": "gabi",
    "grace2.example": "gaston",
    "hasty.example": "harry",
}


class Whole:
    """An installation on a real Request Tracker, and the people who file tickets there."""

    def __init__(self, folder: Path, tracker: RequestTracker) -> None:
        self.tracker = tracker
        self.server = Server(folder).start()
        self.installed = Installation(folder, self.server.address)
        self.port = free_port()
        self.installed.settings |= {
            "TRANSFER_TICKETS_URL": f"rt+{tracker.url}",
            "TRANSFER_RT_TOKEN": tracker.token,
            "TRANSFER_RT_HOOK_SECRET": tracker.secret,
            "TRANSFER_RT_PANELS": PANEL,
            "TRANSFER_RT_DELEGATED": "field:Delegated",
            "TRANSFER_OWN_AUTHORS": OURS,
            "TRANSFER_WEBHOOK_SECRET": SECRET,
            "TRANSFER_GATEWAY_PORT": str(self.port),
        }
        self.installed.settings |= self.installed.policy(grace="2s")
        self.installed.sink.start()
        self.installed.set_up(CUSTOMERS, by=CUSTOMERS)
        for person, account in (("ann", "acme"), ("gina", "globex")):
            tracker.add_person(person, account)
        for domain, person in CUSTOMERS.items():
            tracker.add_person(person, customer_of(domain))
        self.installed.working()
        self.gateway: Program
        self.start_gateway()

    def start_gateway(self) -> None:
        """Begin a gateway at the address that the hook posts to."""
        self.gateway = self.installed.gateway()
        eventually(self._is_ready, "the gateway is ready")
        self.tracker.hook_url = f"http://127.0.0.1:{self.port}/rt"

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as page:
                return bool(page.status == 200)
        except OSError:
            return False

    def file(self, what: str, domain: str, *, by: str = "", **how: Any) -> str:
        """File the procedure's text in Request Tracker, as the party it is of."""
        person = {"release": "ann", "authorize": CUSTOMERS[domain], "accept": "gina"}[what]
        return self.tracker.file(by or person, *text_to_file(Intent(what), domain, OLD, NEW), **how)

    def reconcile(self) -> None:
        """Let the schedule's time come."""

        async def trigger(client: Client) -> None:
            await client.get_schedule_handle(RECONCILIATION).trigger()

        self.installed.asked(trigger)

    def signals(self, domain: str) -> list[str]:
        """The names of the signals in a transfer's history."""

        async def look(client: Client) -> list[str]:
            history = await client.get_workflow_handle(f"transfer-{domain}").fetch_history()
            said = [event.workflow_execution_signaled_event_attributes for event in history.events]
            return [one.signal_name for one in said if one.signal_name]

        return self.installed.asked(look)

    def opens(self, domain: str) -> None:
        """Wait until a ticket has opened a transfer."""
        eventually(lambda: domain in self.installed.states(), f"{domain} is opened")

    def slot(self, domain: str, slot: str) -> dict[str, Any]:
        """A slot of a transfer; there is none before its preflight is over."""
        shown: dict[str, Any] = self.installed.done("show", domain, "--json").document
        none: dict[str, Any] = {"state": "", "ticket_id": None, "rejected": []}
        found: dict[str, Any] = shown["slots"].get(slot, none)
        return found

    def rejected(self, domain: str, slot: str) -> dict[str, str]:
        """The tickets that do not count for a slot, and why."""
        return {r["ticket_id"]: r["code"] for r in self.slot(domain, slot)["rejected"]}

    def parked(self) -> dict[str, str]:
        """The tickets that wait, and why."""
        rows = self.installed.done("tickets", "parked", "--json").document
        return {row["ticket_id"]: row["why"] for row in rows}

    def close(self) -> None:
        """End everything but Request Tracker."""
        self.tracker.hook_url = ""
        self.installed.close()
        self.server.kill()


@pytest.fixture(scope="module")
def whole(request_tracker: RequestTracker) -> Generator[Whole]:
    """One installation for all of these tests; each has a customer of its own."""
    with tempfile.TemporaryDirectory(prefix="rt-whole-") as folder:
        whole = Whole(Path(folder), request_tracker)
        try:
            yield whole
        finally:
            whole.close()


def test_the_doctor_finds_nothing_wrong(whole: Whole) -> None:
    """It asks Request Tracker for what the service will ask."""
    checks = whole.installed.done("doctor", "--json").document
    assert {check["health"] for check in checks} == {"ok"}, checks


def test_three_tickets_in_request_tracker_are_all_it_takes(whole: Whole) -> None:
    """The last one is first. Replies reach the tickets, and no reply of ours rings again."""
    domain = "road.example"
    accept = whole.file("accept", domain)
    eventually(lambda: whole.parked().get(accept) == "WAITS_FOR_TRANSFER", "it waits")
    authorize = whole.file("authorize", domain)
    whole.opens(domain)
    whole.installed.authorized(domain, "authorize", "accept")
    release = whole.file("release", domain, via="rest")
    whole.installed.reaches("COMPLETED", domain)
    whole.installed.moved_once(domain)
    whole.installed.all_told(domain)
    for ticket in (accept, authorize, release):
        replies = [reply["text"] for reply in whole.tracker.replies(ticket)]
        assert any("transferred again" in text for text in replies), replies
    whole.reconcile()
    assert len(whole.signals(domain)) <= 3, "the hooks of our own replies are no news"


def test_a_ticket_filed_while_the_gateway_is_down_comes_in_by_reconciling(whole: Whole) -> None:
    """Request Tracker calls once, and nobody is there: the ticket is there all the same."""
    domain = "silent.example"
    assert whole.gateway.stop() == 0
    filed = [whole.file(what, domain) for what in ("accept", "authorize", "release")]
    whole.reconcile()
    whole.installed.reaches("COMPLETED", domain)
    rows = whole.installed.done("evidence", domain, "--json").document
    assert sorted(r["ticket_id"] for r in rows if r["code"] == "AUTHORIZED") == sorted(filed)
    whole.start_gateway()


def test_while_request_tracker_hangs_nothing_is_lost(whole: Whole) -> None:
    """It is asked for the ticket, does not answer, and comes to again."""
    domain = "hanging.example"
    whole.installed.done("start", domain, "--to", "globex")
    whole.installed.reaches("AWAITING", domain)
    hook_url, whole.tracker.hook_url = whole.tracker.hook_url, ""
    ticket = whole.file("authorize", domain)
    whole.tracker.stop()
    try:
        whole.installed.done("ticket", domain, "authorize", ticket)
        eventually(
            lambda: "read_tickets" in whole.installed.running_activities(domain),
            "it is waited for as an ordinary activity",
        )
        assert whole.slot(domain, "authorize")["state"] == "REQUESTED"
    finally:
        whole.tracker.cont()
        whole.tracker.hook_url = hook_url
    whole.installed.authorized(domain, "authorize")


def test_a_hook_inside_request_trackers_transaction_is_no_deadlock(whole: Whole) -> None:
    """What it announces is not there yet while it waits for the answer."""
    domain = "hasty.example"
    ticket = whole.file("authorize", domain, via="rest", queue="Hasty")
    whole.opens(domain)
    whole.installed.authorized(domain, "authorize")
    assert whole.slot(domain, "authorize")["ticket_id"] == ticket
    assert f"ticket {ticket} was not taken" not in whole.tracker.log


def test_a_mail_with_a_forged_sender_opens_and_authorizes_nothing(whole: Whole) -> None:
    """Request Tracker books it as the customer's; it did not come from the panel."""
    domain = "forged.example"
    ticket = whole.file("authorize", domain, via="mail")
    eventually(lambda: whole.parked().get(ticket) == "WRONG_CHANNEL", "it is parked")
    assert whole.tracker.replies(ticket) == [], "answering would write to whom it names"
    whole.installed.done("start", domain, "--to", "globex")
    again = whole.file("authorize", domain, via="mail")
    both = dict.fromkeys((ticket, again), "WRONG_CHANNEL")
    eventually(lambda: whole.rejected(domain, "authorize") == both, "they are rejected")
    assert whole.slot(domain, "authorize")["state"] == "REQUESTED"


def test_who_is_no_administrator_is_told_so(whole: Whole) -> None:
    """In Request Tracker a member of the account, but not of its administrators."""
    domain = "stranger.example"
    whole.tracker.add_person("mallory", customer_of(domain), administrator=False)
    whole.installed.done("start", domain, "--to", "globex")
    ticket = whole.file("authorize", domain, by="mallory")
    eventually(lambda: ticket in whole.rejected(domain, "authorize"), "it is rejected")
    assert whole.rejected(domain, "authorize") == {ticket: "NOT_ADMIN"}
    eventually(
        lambda: any("NOT_ADMIN" in reply["text"] for reply in whole.tracker.replies(ticket)),
        "the filer is told on the ticket",
    )


@pytest.mark.parametrize("how", ["in the customer's name", "in a session that the panel marks"])
def test_a_reseller_in_the_customers_account_authorizes_nothing(whole: Whole, how: str) -> None:
    """It can reach the customer's panel, and there it is not the customer."""
    domain = "delegated.example"
    whole.installed.done("start", domain, "--to", "globex")
    whole.installed.reaches("AWAITING", domain)
    customer = f"{CUSTOMERS[domain]}@people.example"
    if how == "in the customer's name":
        slot, by, marks = "release", "ann", {}
    else:
        slot, by, marks = "authorize", PANEL, {"CustomFields": {"Delegated": "1"}}
    ticket = whole.file("authorize", domain, by=by, via="rest", Requestor=customer, **marks)
    eventually(lambda: ticket in whole.rejected(domain, slot), "it is rejected")
    assert whole.rejected(domain, slot) == {ticket: "DELEGATED_SESSION"}
    assert whole.slot(domain, "authorize")["state"] == "REQUESTED"


@pytest.mark.parametrize(
    ("domain", "change"),
    [
        ("grace0.example", "closed"),
        ("grace1.example", "withdrawn on it"),
        ("grace2.example", "said otherwise by mail"),
    ],
)
def test_what_changes_in_grace_stops_the_commit(whole: Whole, domain: str, change: str) -> None:
    """Even where no hook tells of it: the three tickets are read again before billing moves."""
    person = CUSTOMERS[domain]
    whole.installed.done("start", domain, "--to", "globex", **whole.installed.policy(grace="24h"))
    *_, ticket = [whole.file(what, domain) for what in ("release", "accept", "authorize")]
    whole.installed.reaches("READY", domain)
    hook_url, whole.tracker.hook_url = whole.tracker.hook_url, ""
    if change == "closed":
        whole.tracker.resolve(ticket)
    elif change == "withdrawn on it":
        text = f"We withdraw our authorization to transfer {domain} from Acme Hosting to Globex."
        whole.tracker.reply_as(person, ticket, text, via="web")
    else:
        whole.tracker.reply_as(person, ticket, "Please stop it, we stay where we are.", via="mail")
    whole.tracker.hook_url = hook_url
    whole.installed.fast_forward(domain, hours=24, minutes=2)
    ends = "WITHDRAWN" if change == "withdrawn on it" else "AWAITING"
    whole.installed.reaches(ends, domain)
    assert [row["reseller"] for row in whole.installed.billing(domain)] == ["acme"]
