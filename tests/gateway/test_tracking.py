"""The tracking page: who gets it, how it is served, and what everybody else gets."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from structlog.testing import capture_logs

from gateway.app import build
from gateway.signatures import Signatures
from gateway.tracking import rendered
from tests.adapters.test_tracking import told
from tests.core import stories
from tests.core.acts import Act
from tests.core.histories import HISTORIES, play
from tests.core.stories import CHANGES, MONDAY
from tests.core.test_letters import NAMES
from tests.gateway.panel import SECRET, TRACKING_KEYS, Gateway
from transfer.case import Case
from transfer.errors import InputInvalid
from transfer.links import MIN_KEY, Links
from transfer.parties import Party, Slot
from transfer.tickets import Ticket
from transfer.tracking import tracking_page

DAYS = timedelta(days=1)
KEY = "key-1"


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway]:
    """A gateway that was told of a transfer on Monday; it is an hour later."""
    made = Gateway()
    made.now = MONDAY + timedelta(hours=1)
    await tell(made, stories.started())
    async with made.client:
        yield made
    await made.porter.close()


async def tell(gateway: Gateway, case: Case) -> None:
    await gateway.ledger.publish([], [], told(case))


def link(gateway: Gateway, party: Party = Party.CUSTOMER, at: datetime = MONDAY) -> str:
    return gateway.links.to(KEY, party, at)


# -- the page ----------------------------------------------------------------------------------
@pytest.mark.parametrize("party", Party)
async def test_a_party_sees_its_own_step_and_the_ticket_to_file(
    gateway: Gateway, party: Party
) -> None:
    page = await gateway.client.get(link(gateway, party))
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    texts = {
        Party.OLD: "I would like to request that example.com is to be transferred to Globex.",
        Party.CUSTOMER: "We, example.com, authorize the transfer of our account",
        Party.NEW: "We, Globex, authorize example.com to be transferred from Acme Hosting",
    }
    assert {one for one, text in texts.items() if text in page.text} == {party}
    assert '<time datetime="2026-11-09T14:30:00Z">Monday 9 November 2026, 14:30 UTC</time>' in (
        page.text
    )


async def test_what_a_browser_may_do_with_it(gateway: Gateway) -> None:
    """Keep nothing, tell nobody where it came from, run nothing that is not ours."""
    page = await gateway.client.get(link(gateway))
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


async def test_the_page_loads_its_two_files_and_nothing_else(gateway: Gateway) -> None:
    """Beside it, so that a proxy may serve it below a path."""
    address = link(gateway)
    page = await gateway.client.get(address)
    loaded = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert loaded == ["style.css", "copy.js"]
    for name, kind in (("style.css", "text/css"), ("copy.js", "text/javascript")):
        answer = await gateway.client.get(httpx.URL(address).join(name))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert "http" not in answer.text


async def test_a_mail_scanner_may_ask_for_the_head_and_nobody_may_post(gateway: Gateway) -> None:
    assert (await gateway.client.head(link(gateway))).status_code == 200
    assert (await gateway.client.post(link(gateway))).status_code == 405


async def test_a_later_change_is_on_the_page(gateway: Gateway) -> None:
    await tell(gateway, stories.ready())
    text = (await gateway.client.get(link(gateway))).text
    assert "All three have agreed" in text
    assert "We withdraw our authorization to transfer example.com" in text


async def test_a_link_belongs_to_one_transfer_and_not_to_the_customers_next(
    gateway: Gateway,
) -> None:
    await tell(gateway, CHANGES["REFUSED"]()[1])
    await tell(gateway, stories.started().having(key="key-2"))
    assert "Over: it was refused" in (await gateway.client.get(link(gateway))).text
    other = gateway.links.to("key-2", Party.CUSTOMER, MONDAY)
    assert "Waiting for you" in (await gateway.client.get(other)).text


async def test_without_a_worker_or_temporal_the_page_is_there(gateway: Gateway) -> None:
    gateway.transfers.away = True
    assert (await gateway.client.get(link(gateway))).status_code == 200


# -- who gets nothing --------------------------------------------------------------------------
def _tampered(address: str) -> str:
    head, _, signature = address.rpartition(".")
    return f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def _as_another_party(address: str) -> str:
    token = address.rsplit("/", 1)[1]
    said, at, signature = token.split(".")
    plain = URLSafeTimedSerializer("x" * 40)
    other = plain.dump_payload([KEY, Party.OLD.value]).decode()
    assert other != said
    return f"/track/{other}.{at}.{signature}"


def _signed(key: str, *, salt: str = "transfer.tracking.1", said: object = None) -> str:
    maker = Links([key], "", 90 * DAYS)._signing(MONDAY)
    maker.salt = salt.encode()
    return f"/track/{maker.dumps(said if said is not None else [KEY, 'customer'])}"


NOTHING: dict[str, Callable[[Gateway], str]] = {
    "made up": lambda g: "/track/whatever",
    "empty": lambda g: "/track/",
    "of odd letters": lambda g: "/track/%F0%9F%8D%AA%00%ff.a.b",
    "a path": lambda g: "/track/a/b/c",
    "far too long": lambda g: "/track/" + "A" * 5000,
    "changed": lambda g: _tampered(link(g)),
    "cut off": lambda g: link(g)[:-1],
    "changed to another party's": lambda g: _as_another_party(link(g)),
    "expired": lambda g: link(g, at=MONDAY - 90 * DAYS),
    "from the future": lambda g: link(g, at=MONDAY + DAYS),
    "of a transfer that is not there": lambda g: g.links.to("key-9", Party.CUSTOMER, MONDAY),
    "signed by another key": lambda g: _signed("k" * 40),
    "signed for another purpose": lambda g: _signed(TRACKING_KEYS[0], salt="sessions"),
    "of nobody": lambda g: _signed(TRACKING_KEYS[0], said=[KEY, "staff"]),
    "of another shape": lambda g: _signed(TRACKING_KEYS[0], said={"key": KEY}),
    "of many": lambda g: _signed(TRACKING_KEYS[0], said=[KEY, "customer", "old_reseller"]),
}


async def test_whatever_shows_nothing_is_answered_with_the_same_bytes(gateway: Gateway) -> None:
    """Nobody learns whether a link ever was one, or why it is none any more."""
    addresses = {name: make(gateway) for name, make in NOTHING.items()}
    addresses["revoked"] = link(gateway, Party.NEW, MONDAY)
    await gateway.tracking.revoke([KEY], [Party.NEW], MONDAY + timedelta(seconds=1))
    same = {"X-Request-Id": "the-same"}
    answers = {name: await gateway.client.get(one, headers=same) for name, one in addresses.items()}
    assert {name: a.status_code for name, a in answers.items()} == dict.fromkeys(answers, 404)
    assert len({a.content for a in answers.values()}) == 1
    assert len({tuple(a.headers.items()) for a in answers.values()}) == 1
    (text,) = {a.text for a in answers.values()}
    assert not re.search("expire|revoke|sign|example.com", text)


async def test_a_link_is_good_until_its_last_second(gateway: Gateway) -> None:
    gateway.now = MONDAY + 90 * DAYS - timedelta(seconds=1)
    assert (await gateway.client.get(link(gateway))).status_code == 200
    gateway.now = MONDAY + 90 * DAYS
    assert (await gateway.client.get(link(gateway))).status_code == 404


async def test_the_clock_of_who_made_it_may_be_a_little_ahead(gateway: Gateway) -> None:
    gateway.now = MONDAY - timedelta(minutes=4)
    assert (await gateway.client.get(link(gateway))).status_code == 200


async def test_revoking_concerns_that_party_and_what_was_made_before(gateway: Gateway) -> None:
    before = MONDAY + timedelta(minutes=30)
    await gateway.tracking.revoke([KEY], [Party.CUSTOMER], before)
    codes = [
        (await gateway.client.get(link(gateway, party, at))).status_code
        for party, at in (
            (Party.CUSTOMER, MONDAY),
            (Party.CUSTOMER, before),
            (Party.OLD, MONDAY),
        )
    ]
    assert codes == [404, 200, 200]


async def test_the_newest_key_signs_and_every_key_counts(gateway: Gateway) -> None:
    newest, before = TRACKING_KEYS
    assert link(gateway).endswith(_signed(newest))
    assert (await gateway.client.get(_signed(before))).status_code == 200
    replaced = Links([newest], "", 90 * DAYS)
    token = _signed(before).rsplit("/", 1)[1]
    assert replaced.read(token, MONDAY) is None


@pytest.mark.parametrize("keys", [[], ["k" * (MIN_KEY - 1)], ["k" * MIN_KEY, "short"]])
def test_a_key_that_could_be_guessed_is_refused_and_not_repeated(keys: list[str]) -> None:
    with pytest.raises(InputInvalid, match="at least 32 characters") as refused:
        Links(keys, "https://x.example", DAYS)
    assert not any(key in str(refused.value) for key in keys)


async def test_while_the_database_is_away_a_link_is_asked_to_come_again(gateway: Gateway) -> None:
    """And its token is in no log."""
    gateway.tracking.away = True
    with capture_logs() as logs:
        answer = await gateway.client.get(link(gateway))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.headers["cache-control"] == "no-store"
    assert "Please try again" in answer.text
    assert [entry["event"] for entry in logs] == ["page_not_read"]
    assert link(gateway).rsplit("/", 1)[1] not in str(logs)
    assert (await gateway.client.get("/track/whatever")).status_code == 404


async def test_without_keys_there_is_no_page() -> None:
    from pydantic import SecretStr  # noqa: PLC0415

    made = Gateway()
    signatures = Signatures([SecretStr(SECRET)])
    bare = build(made.desk, made.transfers, made.arrivals, made.figures, signatures)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(bare), base_url="http://gateway.test"
    ) as client:
        assert (await client.get(link(made))).json()["error"] == "NOT_FOUND"
    await made.client.aclose()


# -- what strangers wrote ----------------------------------------------------------------------
class _Tags(HTMLParser):
    """Collects the elements of a document, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def _tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = _Tags()
    parser.feed(text)
    return parser.found


@settings(max_examples=60)
@given(customer=NAMES, old=NAMES, new=NAMES, party=st.sampled_from(Party))
def test_whatever_a_name_holds_is_text(customer: str, old: str, new: str, party: Party) -> None:
    plain = rendered(tracking_page(stories.started(), party, MONDAY, MONDAY))
    case = stories.started(customer=customer, old=old, new=new)
    page = rendered(tracking_page(case, party, MONDAY, MONDAY))
    assert _tags(page) == _tags(plain)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", page)
    page.encode()


def test_a_ticket_with_a_hostile_id_or_text_is_text() -> None:
    case = stories.file(
        stories.started(),
        Slot.AUTHORIZE,
        "<img/src=x>",
        subject="<script>alert(1)</script>",
        body="<script>alert(2)</script>",
        delegated=True,
    )
    page = rendered(tracking_page(case, Party.CUSTOMER, MONDAY, MONDAY))
    assert "Your ticket &lt;img/src=x&gt; does not count." in page
    assert "<img" not in page
    assert "alert(" not in page


# -- nothing leaks -----------------------------------------------------------------------------
SECRETS_OF_STAFF = ("sue", "tom", "so it is")
"""Who pulls levers in the histories, and what they give as their reason."""


@settings(max_examples=120)
@given(HISTORIES)
def test_nobody_sees_what_another_party_or_staff_wrote(history: list[Act]) -> None:
    """No ticket of others, no person, no address, no code; and a customer no price."""
    world = play(history)
    for case in {id(step.after): step.after for step in world.steps}.values():
        if not case.slots:
            continue
        tickets = {**{one.id: one for one in world.past}, **world.tickets}
        for party in Party:
            page = rendered(tracking_page(case.having(evidence=()), party, world.now, world.now))
            _says_nothing_of_others(page, case, party, tickets)


def _says_nothing_of_others(
    page: str, case: Case, party: Party, tickets: dict[str, Ticket]
) -> None:
    text = re.sub(r"<[^>]*>", " ", page)
    own = case.account(party).id
    for ticket in tickets.values():
        if ticket.account != own:
            assert not re.search(rf"\b{ticket.id}\b", text), ticket.id
    for word in ("ann", "carl", "neo", "Ann Old", "Carl Customer", "Neo New", *SECRETS_OF_STAFF):
        assert not re.search(rf"\b{word}\b", text), word
    assert "@" not in text
    assert not re.search("404|405", text), "whoever rang for what is not there"
    if party is not Party.OLD:  # who is told which reasons it may give
        assert not re.search("[A-Z]+_[A-Z]+", text)
    if party is Party.CUSTOMER:
        assert "EUR" not in text


@pytest.mark.parametrize("party", Party)
def test_a_suspicion_and_what_staff_wrote_are_on_no_page(party: Party) -> None:
    for name in ("HELD", "HELD, fraud", "CANCELLED", "SLOT_REFUSED, own words", "RELEASE_PROPOSED"):
        case = CHANGES[name]()[1]
        page = rendered(tracking_page(case.having(evidence=()), party, MONDAY, MONDAY))
        written = "fraud|chamber|mira|owner called|favour|out of business"
        assert not re.search(written, page, re.IGNORECASE), name
