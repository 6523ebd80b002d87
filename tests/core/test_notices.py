"""Who is told what: the whole table, event by event and reader by reader."""

from __future__ import annotations

import re

import pytest

from tests.core.stories import (
    CHANGES,
    MONDAY,
    committing,
    ready,
    received,
    started,
    to_all,
    told,
    whom,
)
from transfer.case import Publication
from transfer.notices import RULES, deliveries
from transfer.opening import opened
from transfer.parties import Facts, Party, Person
from transfer.templates import MAX_SUBJECT

# -- the table ---------------------------------------------------------------------------------
MEDIATED_REFUSAL = to_all("MEDIATION") | {"MEDIATION > staff", "SLOT_REFUSED > old_reseller on 7"}

TOLD: dict[str, set[str]] = {
    "OPENED": to_all("OPENED"),
    "OPENED, old reseller suspended": {
        "MEDIATION > old_reseller",
        "OPENED > customer",
        "OPENED > new_reseller",
        "MEDIATION > staff",
    },
    "OPENED, all agreed before": to_all("READY")
    | {
        "READY > old_reseller on 101",
        "READY > customer on 102",
        "READY > new_reseller on 103",
    },
    "OPENED, customer agreed before": to_all("OPENED") | {"AUTHORIZED > customer on 102"},
    "AUTHORIZED": to_all("AUTHORIZED") | {"AUTHORIZED > new_reseller on 103"},
    "READY": to_all("READY")
    | {
        "READY > old_reseller on 101",
        "READY > customer on 102",
        "READY > new_reseller on 103",
    },
    "REMINDED": {"REMINDED > old_reseller", "REMINDED > customer", "REMINDED > new_reseller"},
    "REJECTED": {"REJECTED > customer", "REJECTED > customer on 9"},
    "REJECTED, stranger": {"REJECTED > filer on 9"},
    "REJECTED_REPEATEDLY": {
        "REJECTED > new_reseller",
        "REJECTED > new_reseller on 93",
        "REJECTED_REPEATEDLY > staff",
    },
    "AMBIGUOUS": {"AMBIGUOUS > customer", "AMBIGUOUS > customer on 9", "AMBIGUOUS > staff"},
    "SLOT_REFUSED, past due": MEDIATED_REFUSAL,
    "SLOT_REFUSED, own words": MEDIATED_REFUSAL,
    "SLOT_REFUSED, on hold": to_all("SLOT_WITHDRAWN") | {"SLOT_WITHDRAWN > customer on 8"},
    "SLOT_WITHDRAWN": to_all("MEDIATION")
    | {"MEDIATION > staff", "SLOT_WITHDRAWN > old_reseller on 8"},
    "MEDIATION": to_all("MEDIATION") | {"MEDIATION > staff"},
    "TAKEN": {"TAKEN > staff"},
    "FIRST_TOUCH_MISSED": {"FIRST_TOUCH_MISSED > staff"},
    "SECOND_LEVEL": {"SECOND_LEVEL > staff"},
    "RELEASE_PROPOSED": {"RELEASE_PROPOSED > staff"},
    "RELEASED_BY_STAFF": to_all("RELEASED_BY_STAFF") | {"RELEASED_BY_STAFF > staff"},
    "EXTENDED": to_all("EXTENDED"),
    "HELD": to_all("HELD"),
    "HELD, fraud": to_all("HELD"),
    "RESUMED": to_all("RESUMED"),
    "RESUMED, ready": to_all("RESUMED"),
    "ASKED_AGAIN": to_all("ASKED_AGAIN"),
    "CLEARED": to_all("CLEARED") | {"CLEARED > staff"},
    "COMMIT_STUCK": {"COMMIT_STUCK > staff"},
    "COMPLETED": to_all("COMPLETED")
    | {
        "COMPLETED > old_reseller on 101",
        "COMPLETED > customer on 102",
        "COMPLETED > new_reseller on 103",
    },
    "REFUSED": to_all("REFUSED") | {"REFUSED > customer on 8"},
    "WITHDRAWN": to_all("WITHDRAWN")
    | {
        "WITHDRAWN > old_reseller on 101",
        "WITHDRAWN > customer on 102",
        "WITHDRAWN > new_reseller on 8",
    },
    "EXPIRED": to_all("EXPIRED") | {"EXPIRED > old_reseller on 101"},
    "EXPIRED, escalated": to_all("EXPIRED") | {"EXPIRED > staff"},
    "CANCELLED": to_all("CANCELLED"),
    "LATE": {"LATE > filer on 99"},
    "TOO_LATE": {"TOO_LATE > filer on 99"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_exactly_those_are_told_who_the_rules_name(name: str) -> None:
    """Who is told what, event by event, reader by reader."""
    assert whom(told(*CHANGES[name]())) == TOLD[name]


def test_no_event_with_a_rule_is_left_out_of_the_table() -> None:
    """A new rule must be tried here too."""
    tried = {name.partition(",")[0] for name in CHANGES}
    assert set(RULES) <= tried


@pytest.mark.parametrize("name", CHANGES)
def test_every_mail_reads_like_one(name: str) -> None:
    """One short subject that begins with the domain, no gaps, no template left, text and HTML."""
    for delivery in told(*CHANGES[name]()):
        text = delivery.mail.text if delivery.mail else delivery.reply
        assert "example.com" in (delivery.mail.subject + text if delivery.mail else text)
        assert not re.search(r"None|\{\{|\{%|\bSlot\.|\bParty\.|\n\n\n| ,| \.|\.\.", text), text
        assert max(map(len, text.splitlines())) < 140
        assert text.strip()
        if delivery.mail:
            assert delivery.mail.subject.startswith("example.com: ")
            assert len(delivery.mail.subject) <= MAX_SUBJECT
            assert "\n" not in delivery.mail.subject
            for word in re.findall(r"[A-Za-z]{4,}", text):
                assert word in delivery.mail.html


def test_nobody_is_told_of_what_only_the_evidence_needs() -> None:
    """Codes that no rule names tell nobody, and neither does a request that was invalid."""
    invalid = opened(received(), Facts(), MONDAY)
    assert invalid.evidence[-1].code == "INVALID"
    assert told(received().having(evidence_count=0), invalid) == ()
    assert told(ready(), committing()) == ()


def test_every_administrator_with_an_address_gets_a_mail_once() -> None:
    """Two of the customer; an address that would break a header, or none, is left out."""
    people = {
        Party.CUSTOMER: (
            Person(id="carl", email="carl@example.com"),
            Person(id="again", email="CARL@example.com"),
            Person(id="none"),
            Person(id="evil", email="a@b.example\r\nBcc: all@c.example"),
            Person(id="list", email="a@b.example, c@d.example"),
            Person(id="cleo", email=" cleo@exämple.example "),
        )
    }
    case = started()
    sent = deliveries(Publication(case=case, events=case.evidence), people, (), "m.example")
    assert [d.mail.to for d in sent if d.mail] == ["carl@example.com", "cleo@exämple.example"]


def test_ids_are_stable_and_distinct() -> None:
    """Publishing twice tells nobody twice; no two mails share a Message-ID."""
    seen: set[str] = set()
    for name, change in CHANGES.items():
        sent, again = told(*change()), told(*change())
        assert sent == again, name
        ids = [d.id for d in sent]
        assert len(set(ids)) == len(ids)
        for delivery in sent:
            if delivery.mail:
                assert delivery.mail.message_id == f"<{delivery.id}@mail.provider.example>"
                assert re.fullmatch(r"[0-9a-f]{32}", delivery.id)
    before, after = CHANGES["OPENED"]()
    for key in ("key-1", "key-2"):
        sent = told(before, after.having(key=key))
        assert not seen & {d.id for d in sent}
        seen |= {d.id for d in sent}
