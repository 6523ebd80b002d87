"""Links in mails: every party its own, and nothing else changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import unescape

import pytest

from tests.core.stories import ADMINISTRATORS, CHANGES, MONDAY, STAFF, told
from transfer.case import Publication
from transfer.links import MAX_TOKEN, Links
from transfer.messages import Delivery
from transfer.notices import Linker, deliveries
from transfer.parties import Party

LINKS = Links(["k" * 40], "https://panel.example/transfers/", timedelta(days=90))


def sent(name: str, link: Linker | None) -> tuple[Delivery, ...]:
    """What is told about a change, with links or without."""
    before, case = CHANGES[name]()
    events = tuple(e for e in case.evidence if e.seq > before.evidence_count)
    publication = Publication(case=case.having(evidence=()), events=events)
    return deliveries(publication, ADMINISTRATORS, STAFF, "mail.provider.example", link)


@pytest.mark.parametrize("name", CHANGES)
def test_every_mail_to_a_party_has_that_partys_link_and_nobody_else_gets_one(name: str) -> None:
    for delivery in sent(name, LINKS.to):
        if delivery.mail is None or delivery.reader == "staff":
            assert "/track/" not in (delivery.mail.html if delivery.mail else delivery.reply)
            continue
        (address,) = [
            line for line in delivery.mail.text.splitlines() if line.startswith("https://")
        ]
        assert address.startswith("https://panel.example/transfers/track/")
        assert f'<a href="{address}">{address}</a>' in unescape(delivery.mail.html)
        grant = LINKS.read(address.rsplit("/", 1)[1], MONDAY)
        assert grant is not None
        assert (grant.key, grant.party) == ("key-1", Party(delivery.reader))
        assert grant.made_at == delivery.created_at.replace(microsecond=0)


@pytest.mark.parametrize("name", CHANGES)
def test_without_links_everything_is_as_it_was(name: str) -> None:
    assert sent(name, None) == told(*CHANGES[name]())
    assert "http" not in str(sent(name, None))


def test_publishing_again_makes_the_same_mails() -> None:
    """A link is as of the event, not as of the clock."""
    assert sent("READY", LINKS.to) == sent("READY", LINKS.to)


def test_the_link_of_the_longest_domain_fits_a_line_of_a_mail() -> None:
    """SMTP allows 998 characters."""
    domain = ".".join(["a" * 61] * 4) + ".example"[:5]
    key = f"transfer-{domain}/3f2b0e6c-0000-4000-8000-000000000000"
    address = Links(["k" * 40], "https://" + "p" * 190, timedelta(days=1)).to(
        key, Party.NEW, MONDAY
    )
    assert len(address) < 998
    assert len(address.rsplit("/", 1)[1]) < MAX_TOKEN
    assert LINKS.read(address.rsplit("/", 1)[1], datetime.max.replace(tzinfo=MONDAY.tzinfo)) == (
        key,
        Party.NEW,
        MONDAY,
    )


def test_a_token_does_not_begin_with_a_dot() -> None:
    """A proxy that hides such files would hide the page."""
    address = LINKS.to("transfer-" + "a" * 200 + "/1", Party.OLD, MONDAY)
    assert address.rsplit("/", 1)[1][0].isalnum()
