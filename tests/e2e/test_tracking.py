"""From a mail to its page: a real worker writes the link, a real gateway answers it."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage

from tests.e2e.installation import Installation, Program, eventually, free_port
from tests.gateway.panel import SECRET

DOMAIN = "orchard.example"
KEYS = "a first key that is long enough for this, a second one that is older than the first"


def get(address: str) -> tuple[int, str]:
    """Ask for a page."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def link_in(mail: EmailMessage) -> str:
    """The address of the page, from a mail's text."""
    text = mail.get_body(("plain",))
    assert text is not None
    found: list[str] = re.findall(r"^http://\S+", text.get_content(), re.MULTILINE)
    (address,) = found
    return address


def test_a_party_follows_its_transfer_from_its_mail(install: Callable[..., Installation]) -> None:
    """The page changes with the transfer, outlives its worker, and goes with its revocation."""
    installed = install()
    site = f"http://127.0.0.1:{free_port()}"
    installed.settings |= {"TRANSFER_PUBLIC_URL": site, "TRANSFER_TRACKING_KEYS": KEYS}
    installed.set_up([DOMAIN])
    installed.sink.start()
    worker = installed.working()
    gateway: Program = installed.gateway(
        TRANSFER_WEBHOOK_SECRET=SECRET, TRANSFER_GATEWAY_PORT=site.rsplit(":", 1)[1]
    )
    eventually(lambda: get(f"{site}/healthz")[0] == 200, "the gateway listens")
    installed.done("start", DOMAIN, "--to", "globex", **installed.policy(grace="30d"))
    installed.all_told(DOMAIN)
    links = {mail["To"]: link_in(mail) for mail in installed.sink.mails}
    assert len(links) == 3
    pages = {to: get(address) for to, address in links.items()}
    assert {status for status, _ in pages.values()} == {200}
    assert all("Waiting for you" in page for _, page in pages.values())
    assert len({page for _, page in pages.values()}) == 3

    for slot in ("release", "authorize", "accept"):
        installed.ring(DOMAIN, slot)
    installed.reaches("READY", DOMAIN)
    one = next(iter(links.values()))
    eventually(lambda: "All three have agreed" in get(one)[1], "the page tells")
    worker.stop()
    assert "All three have agreed" in get(one)[1]

    printed = installed.done("tracking", "link", DOMAIN, "--party", "customer").out.split()[0]
    assert get(printed)[0] == 200
    installed.done("tracking", "revoke", DOMAIN)
    assert {get(address)[0] for address in (*links.values(), printed)} == {404}
    again = installed.done("tracking", "link", DOMAIN, "--party", "customer", "--json").document
    assert get(again["link"])[0] == 200

    gateway.stop()
    assert "/track" not in gateway.log
    assert not any(address.rsplit(".", 1)[1] in gateway.log for address in links.values())


def test_without_keys_or_an_address_there_are_no_links(
    install: Callable[..., Installation],
) -> None:
    """And what is wrong with them is said without repeating them."""
    installed = install("127.0.0.1:1")
    for settings in ({}, {"TRANSFER_TRACKING_KEYS": KEYS}, {"TRANSFER_PUBLIC_URL": "https://x.y"}):
        ran = installed.run("tracking", "link", DOMAIN, "--party", "customer", **settings)
        assert ran.code == 2
        assert "set TRANSFER_TRACKING_KEYS and TRANSFER_PUBLIC_URL" in ran.words
    short = {"TRANSFER_TRACKING_KEYS": "guess-me", "TRANSFER_PUBLIC_URL": "https://x.y"}
    ran = installed.run("tracking", "link", DOMAIN, "--party", "customer", **short)
    assert (ran.code, "guess-me" in ran.words) == (2, False)
    ran = installed.run(
        *("tracking", "link", DOMAIN, "--party", "customer"), TRANSFER_PUBLIC_URL="panel.example"
    )
    assert (ran.code, "TRANSFER_PUBLIC_URL" in ran.words) == (2, True)
