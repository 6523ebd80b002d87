"""The daily digest: what it names, in which order, and that a day has one."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from transfer.digests import MAX_NAMED, digest_mails
from transfer.messages import Delivery
from transfer.overview import Digest, Need, Needing, OpenTransfer, digest_of

NOW = datetime(2026, 11, 25, 7, tzinfo=UTC)


def one(domain: str, hours: float | None = 1, **values: object) -> OpenTransfer:
    at = None if hours is None else NOW + timedelta(hours=hours)
    return OpenTransfer.model_validate(
        {"transfer_id": f"transfer-{domain}", "domain": domain, "old": "acme", "new": "globex"}
        | {"state": "MEDIATION", "waiting_on": ("staff",), "next_deadline": at}
        | values
    )


def digest(*needing: Needing, zone: str = "UTC", at: datetime = NOW) -> Digest:
    return digest_of(needing, at, zone)


def mails(found: Digest) -> tuple[Delivery, ...]:
    return digest_mails(found, ["sue@host.example", "Tom@host.example", "none"], "host.example")


def test_a_transfer_is_named_under_its_first_need_the_next_deadline_first() -> None:
    """However the list was found."""
    a, b, c = one("a.example", 3), one("b.example", 2), one("c.example", None)
    found = digest(
        Needing(need=Need.DUE, transfers=(a, b)),
        Needing(need=Need.WAITING, transfers=(c, a, b)),
        Needing(need=Need.STUCK, transfers=(b,)),
        Needing(need=Need.ESCALATED, transfers=(b,)),
    )
    assert [(n.need, [t.domain for t in n.transfers]) for n in found.needing] == [
        (Need.STUCK, ["b.example"]),
        (Need.WAITING, ["a.example", "c.example"]),
    ]
    assert found.named == 3


def test_where_nothing_needs_anybody_there_is_no_mail() -> None:
    """Or nobody would read them any more."""
    assert mails(digest(*(Needing(need=need) for need in Need))) == ()


def test_it_is_a_mail_to_each_of_staff() -> None:
    """With where to look further; what is no address gets none."""
    found = digest(Needing(need=Need.ESCALATED, transfers=(one("xn--bcher-kva.example"),)))
    sent = mails(found)
    assert [one.mail.to for one in sent if one.mail] == ["sue@host.example", "Tom@host.example"]
    assert {(one.key, one.event, one.reader) for one in sent} == {
        ("staff-digest/2026-11-25", "DIGEST", "staff")
    }
    mail = sent[0].mail
    assert mail is not None
    assert mail.subject == "1 transfer for staff to look at, Wed 25 Nov 2026"
    assert mail.text == (
        "In the staff queue:\n"
        "\n"
        "  bücher.example (xn--bcher-kva.example):  acme to globex; MEDIATION;"
        " waits for staff; next 2026-11-25 08:00 UTC\n"
        "\n"
        "All about one of them: transfer show DOMAIN\n"
    )
    assert "bücher.example" in mail.html


def test_a_long_one_is_cut_and_says_where_the_rest_is() -> None:
    """Fifty under each need are more than anybody reads."""
    many = tuple(one(f"d{number}.example", number) for number in range(MAX_NAMED + 1))
    for needing, subject in (
        (Needing(need=Need.DUE, transfers=many), "51 transfers "),
        (Needing(need=Need.DUE, transfers=many[:3], more=True), "More than 3 transfers "),
    ):
        mail = mails(digest(needing))[0].mail
        assert mail is not None
        assert mail.subject.startswith(subject)
        assert "There are more: transfer list --view due-this-week" in mail.text
        assert len(re.findall(r"d\d+\.example", mail.text)) <= MAX_NAMED


def test_the_same_day_has_the_same_ids_whatever_is_found_later() -> None:
    """So that the outbox keeps one; another day has others."""
    first = mails(digest(Needing(need=Need.DUE, transfers=(one("a.example"),))))
    later = digest(
        Needing(need=Need.STUCK, transfers=(one("b.example"),)), at=NOW + timedelta(hours=9)
    )
    assert [one.id for one in mails(later)] == [one.id for one in first]
    tomorrow = digest(
        Needing(need=Need.DUE, transfers=(one("a.example"),)), at=NOW + timedelta(days=1)
    )
    ids = {mail.id for mail in (*first, *mails(tomorrow))}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("UTC", datetime(2026, 3, 29, 0, 30, tzinfo=UTC), date(2026, 3, 29)),
        ("Europe/London", datetime(2026, 3, 29, 23, 30, tzinfo=UTC), date(2026, 3, 30)),
        ("Pacific/Auckland", datetime(2026, 3, 28, 18, tzinfo=UTC), date(2026, 3, 29)),
    ],
)
def test_a_day_is_one_of_the_policys_time_zone(zone: str, at: datetime, day: date) -> None:
    """By UTC, two mornings around a change to summer time could be the same day."""
    assert digest(zone=zone, at=at).day == day


def test_what_the_list_says_cannot_break_a_mail() -> None:
    """Search attributes are what a workflow once wrote there."""
    hostile = one("a.example\r\nBcc: x@y.example\t\x1f<b>", old="<script>" * 200)
    mail = mails(digest(Needing(need=Need.DUE, transfers=(hostile,))))[0].mail
    assert mail is not None
    assert "<script>" not in mail.html
    assert "<b>" not in mail.html
    assert max(map(len, mail.text.splitlines())) < 600
