"""Encrypted transfers in the Temporal UI: staff who may read them do, and all others do not."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from temporalio.api.common.v1 import Payloads
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.browser.chromium import PATIENCE, opened, remembered
from tests.browser.fronts import COOKIE, Proxy, Tls
from tests.browser.temporal_ui import Staff
from tests.e2e.installation import Installation, Program, Server, eventually, free_port
from tests.e2e.test_tracking import get
from tests.gateway.issuer import AUDIENCE, Issuer

pytestmark = pytest.mark.timeout(120)  # the first one waits for the installation to be made

SILENT, WAITING = "bakery.example", "orchard.example"
KEY = f"first:{'A' * 43}="
SHARED = "a shared key that is made up"


class Encrypted(NamedTuple):
    """An installation that encrypts, its codec server, and the ways to reach it."""

    installed: Installation
    program: Program
    ui: str
    tls: Tls
    proxy: Proxy
    issuer: Issuer

    def log(self) -> list[dict[str, str]]:
        """What the codec server has logged."""
        return [json.loads(line) for line in self.program.log.splitlines()]

    def sent(self, domain: str) -> list[str]:
        """How Temporal keeps the updates that were sent to a transfer."""

        async def fetched(client: Client) -> list[str]:
            handle = client.get_workflow_handle(f"transfer-{domain}")
            return [
                payload.metadata["encoding"].decode()
                for event in (await handle.fetch_history()).events
                for payload in _input(event).payloads
            ]

        return self.installed.asked(fetched)

    def status(self, domain: str) -> dict[str, object]:
        """What the status query says."""
        found: dict[str, object] = self.installed.done("show", domain, "--json").document
        return found


def _input(event: HistoryEvent) -> Payloads:
    accepted = event.workflow_execution_update_accepted_event_attributes
    return accepted.accepted_request.input.args


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Generator[Encrypted]:
    """A transfer in mediation and one that waits, encrypted; the UI knows the proxy."""
    folder, port = tmp_path_factory.mktemp("codec"), free_port()
    with ExitStack() as stack:
        issuer, proxy = stack.enter_context(Issuer()), stack.enter_context(Proxy(SHARED))
        tls = stack.enter_context(Tls(folder, port))
        server = Server(folder, ui=True, codec=f"{proxy.url}/codec").start()
        stack.callback(server.kill)
        proxy.ui, proxy.codec = server.ui, f"http://127.0.0.1:{port}"
        installed = Installation(folder, server.address)
        stack.callback(installed.close)
        installed.settings["TRANSFER_ENCRYPTION_KEYS"] = KEY
        program = installed.codec_server(
            TRANSFER_CODEC_SECRET=SHARED,
            TRANSFER_CODEC_ORIGIN=server.ui,
            TRANSFER_CODEC_OIDC_ISSUER=issuer.url,
            TRANSFER_CODEC_OIDC_AUDIENCE=AUDIENCE,
            TRANSFER_CODEC_PORT=str(port),
        )
        installed.set_up([SILENT, WAITING])
        installed.sink.start()
        installed.working()
        hasty = installed.policy(release_deadline="1s")
        installed.done("start", SILENT, "--to", "globex", "--by", "olga", **hasty)
        installed.done("start", WAITING, "--to", "globex", "--by", "olga")
        installed.reaches("MEDIATION", SILENT)
        eventually(lambda: get(f"{proxy.codec}/healthz")[0] == 200, "it listens")
        yield Encrypted(installed, program, server.ui, tls, proxy, issuer)


@pytest.fixture
def page(browser: Browser) -> Generator[Page]:
    """A browser that takes our certificate."""
    with opened(browser, foreign=True, trusting=True) as page:
        yield page


def signed_in(page: Page, encrypted: Encrypted, id_token: str) -> Staff:
    """Staff at a UI whose server has sign-in switched on, with what a login leaves in a browser.

    The dev server's UI has no sign-in: what differs is what it says of its settings.
    """

    def settings(route: Route) -> None:
        said = route.fetch().json()
        said["Auth"] = {"Enabled": True, "Options": []}
        said["Codec"] |= {"Endpoint": encrypted.tls.url, "PassAccessToken": True}
        route.fulfill(json=said)

    page.route("**/api/v1/settings*", settings)
    user = {"accessToken": "nobody-elses-business", "idToken": id_token, "name": "Tess"}
    remembered(page, "AuthUser", json.dumps(user))
    return Staff(page, encrypted.ui)


def reads_nothing(staff: Staff) -> None:
    """The page is there, and says that it could not decode."""
    staff.go_to(SILENT)
    failed = staff.page.get_by_role("button", name="Codec Server could not connect")
    expect(failed).to_be_visible(timeout=PATIENCE)
    expect(staff.details().locator("body")).to_have_text("No Current Details", timeout=PATIENCE)
    shown = "".join(frame.locator("body").inner_text() for frame in staff.page.frames)
    assert "olga" not in shown
    assert "has not released it" not in shown


def test_staff_who_are_signed_in_read_the_details_and_pull_levers(
    page: Page, encrypted: Encrypted
) -> None:
    """The codec server knows them by the ID token that the UI hands on, and logs who it was."""
    staff = signed_in(page, encrypted, encrypted.issuer.token())
    staff.go_to(SILENT)
    staff.reads("Acme Hosting has not released it")
    expect(page.frame_locator("#user-metadata-details").locator("body")).to_contain_text("olga")
    assert staff.pull("take_case", staff="sam", reason="mine") is None
    staff.reads("sam mediates")
    assert encrypted.status(SILENT)["mediator"] == "sam"
    events = {(line["event"], line.get("who")) for line in encrypted.log()}
    assert {("payloads_decoded", "tess"), ("payloads_encoded", "tess")} <= events
    assert encrypted.sent(SILENT) == ["binary/encrypted"]


@pytest.mark.parametrize("claims", [{"aud": "somebody-else"}, {"exp": 1_000_000_000}], ids=str)
def test_a_token_that_does_not_count_shows_nothing(
    page: Page, encrypted: Encrypted, claims: dict[str, Any]
) -> None:
    reads_nothing(signed_in(page, encrypted, encrypted.issuer.token(**claims)))


def test_pages_of_another_origin_are_shown_nothing_though_somebody_is_signed_in(
    page: Page, encrypted: Encrypted
) -> None:
    """The browser itself keeps the answer from them."""
    staff = signed_in(page, encrypted, encrypted.issuer.token())
    reads_nothing(Staff(staff.page, encrypted.proxy.url))


def test_behind_a_proxy_that_knows_who_is_signed_in_the_shared_key_is_enough(
    page: Page, encrypted: Encrypted
) -> None:
    """UI and codec server are one site to the browser: it needs no token and no CORS."""
    staff = Staff(page, encrypted.proxy.url)
    reads_nothing(staff)
    cookie = {"name": COOKIE, "value": "tess", "url": encrypted.proxy.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    staff.go_to(WAITING)
    staff.reads("AWAITING")
    assert staff.pull("hold", staff="sam", reason="mine", code="OWNERSHIP_DISPUTED") is None
    staff.reads("ON_HOLD")
    assert encrypted.status(WAITING)["state"] == "ON_HOLD"


def test_without_a_codec_server_nothing_can_be_read(page: Page, encrypted: Encrypted) -> None:
    remembered(page, "overrideRemoteCodecConfiguration", "true")
    remembered(page, "endpoint", json.dumps(""))
    staff = Staff(page, encrypted.ui)
    staff.go_to(SILENT)
    expect(page.get_by_role("button", name="Configure Codec Server")).to_be_visible()
    expect(staff.details().locator("body")).to_have_text("No Current Details", timeout=PATIENCE)
