"""In which words people are told; and what strangers wrote stays in its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stories import (
    CHANGES,
    CHARGES,
    MONDAY,
    all_agree,
    all_but_the_old_reseller,
    ambiguous,
    charges_changed,
    confirmed,
    extended,
    file,
    filed,
    in_mediation,
    mail_to,
    proposed,
    ready,
    received,
    refused_by_old,
    started,
    to_all,
    told,
    whom,
)
from transfer import levers
from transfer.case import Case, State
from transfer.messages import AdmitTicket, Hold, Resume, StopCode
from transfer.parties import Slot
from transfer.reading import read
from transfer.templates import MAX_SUBJECT, letter, one_line
from transfer.templates.phrases import ticket_text
from transfer.tickets import Intent


# -- what it says ------------------------------------------------------------------------------
def test_the_request_has_the_ticket_the_place_the_deadline_and_what_happens_otherwise() -> None:
    """What to file, where, by when, what silence does, and how to say no."""
    sent = told(*CHANGES["OPENED"]())
    subject, text = mail_to(sent, "old_reseller")
    assert subject == "example.com: please release it to Globex by Mon 9 Nov 2026"
    assert "Client Account > Support > Enter A Support Ticket" in text
    assert "Monday 9 November 2026, 14:30 UTC" in text
    assert "I would like to request that example.com is to be transferred to Globex." in text
    assert "We refuse the transfer of example.com from Acme Hosting to Globex." in text
    assert "our support staff will contact you" in text
    _, text = mail_to(sent, "customer")
    assert "Log in as yourself" in text
    _, text = mail_to(sent, "new_reseller")
    assert "Plan: business Price: 12.50 EUR a month" in text
    assert "12.50" not in mail_to(sent, "customer")[1]


def test_ready_tells_the_exact_instant_and_how_to_stop_it() -> None:
    """And mentions the authorization that made it ready."""
    subject, text = mail_to(told(*CHANGES["READY"]()), "customer")
    assert subject == "example.com: moves to Globex on Tue 3 Nov 2026, 17:30 UTC"
    assert "Tuesday 3 November 2026, 17:30 UTC" in text
    assert "We withdraw our authorization to transfer example.com" in text
    assert "Globex agreed." in text


def test_the_two_bills_add_up_and_the_customer_sees_neither() -> None:
    """Last and first bill; what a reseller pays is not the customer's to know."""
    sent = told(*CHANGES["COMPLETED"]())
    last = re.search(r"Your last bill: (\S+) EUR", mail_to(sent, "old_reseller")[1])
    first = re.search(r"Your first bill: (\S+) EUR", mail_to(sent, "new_reseller")[1])
    assert last is not None
    assert first is not None
    assert Decimal(last[1]) + Decimal(first[1]) == CHARGES.price
    assert "EUR" not in mail_to(sent, "customer")[1]


def test_the_old_resellers_reason_reaches_customer_and_new_reseller() -> None:
    """A known reason in words with its particulars; another one in its own words."""
    sent = told(*CHANGES["SLOT_REFUSED, past due"]())
    for reader in ("customer", "new_reseller"):
        text = mail_to(sent, reader)[1]
        assert "a balance is past due (120.00 EUR, invoices 1001, 1002)" in text
    sent = told(*CHANGES["SLOT_REFUSED, own words"]())
    assert "In their words: they owe us a favour" in mail_to(sent, "customer")[1]


def test_a_suspicion_is_told_to_nobody() -> None:
    """What staff note about fraud or a legal hold would warn the suspect."""
    for delivery in told(*CHANGES["HELD, fraud"]()):
        assert delivery.mail is not None
        assert not re.search("fraud|chamber", delivery.mail.text, re.IGNORECASE)
        assert "more on request" in re.sub(r"\s+", " ", delivery.mail.text)


def test_changed_charges_are_in_the_second_request() -> None:
    """The new reseller accepts what it is going to be billed."""
    subject, text = mail_to(told(*CHANGES["ASKED_AGAIN"]()), "new_reseller")
    assert "once more" in subject
    assert "the charges for the customer have changed" in text
    assert "14.00 EUR a month" in text


def test_a_stranger_is_answered_once_and_not_told_who_the_parties_are() -> None:
    """Our reply may ring the doorbell again: the same ticket never gets a second answer."""
    once = file(started(), Slot.AUTHORIZE, "9", account="C-666")
    first = told(started(), once)
    assert told(once, file(once, Slot.AUTHORIZE, "9", account="C-666")) == ()
    changed = told(once, file(once, Slot.AUTHORIZE, "9", account="C-666", revision=2))
    assert [d.id for d in changed] == [d.id for d in first]
    assert not re.search("Acme|Globex|Example Ltd", first[0].reply)


def test_staff_read_the_unclear_ticket_and_the_lever_for_it() -> None:
    """Enough to decide without looking anything up."""
    subject, text = mail_to(told(*CHANGES["AMBIGUOUS"]()), "staff")
    assert subject == "example.com: please read ticket 9"
    assert "whoever that is" in text
    assert "transfer staff admit example.com" in text


def test_an_admitted_ticket_is_told_as_an_authorization() -> None:
    """Staff's decision counts like the ticket itself."""
    before = ambiguous()
    action = AdmitTicket(staff="mira", reason="called them", ticket_id="9", what=Intent.AUTHORIZE)
    sent = told(before, levers.admit_ticket(before, action, MONDAY + timedelta(hours=2)))
    assert whom(sent) == to_all("AUTHORIZED") | {"AUTHORIZED > customer on 9"}


def test_a_rejection_beside_good_news_is_not_lost() -> None:
    """The party's mail asks for nothing more, the rejected ticket still has its answer."""
    rejected = file(started(), Slot.AUTHORIZE, "9", delegated=True)
    sent = told(started(), file(rejected, Slot.AUTHORIZE, "102", 2))
    assert "REJECTED > customer on 9" in whom(sent)
    assert "Your ticket 102 counts as your yes." in mail_to(sent, "customer")[1]


def _hold(case: Case) -> Case:
    return levers.hold(case, Hold(staff="mira", reason="to look into it"), MONDAY)


def _resume(case: Case) -> Case:
    action = Resume(staff="mira", reason="all is well")
    return levers.resume(case, action, MONDAY + timedelta(hours=1))


@pytest.mark.parametrize(
    ("change", "reader", "teller", "sentence"),
    [
        (lambda: _hold(ambiguous()), "customer", "HELD", "are reading your ticket 9"),
        (
            lambda: _hold(file(started(), Slot.AUTHORIZE, "9", delegated=True)),
            "customer",
            "HELD",
            "Your ticket 9 does not count. Log in as yourself",
        ),
        (
            lambda: _hold(refused_by_old("Reason: OTHER")),
            "new_reseller",
            "HELD",
            "Acme Hosting refused.",
        ),
        (lambda: _hold(refused_by_old("")), "old_reseller", "HELD", "Your no has reached us."),
        (lambda: _hold(extended(started())), "customer", "HELD", "have given more time"),
        (lambda: _resume(all_agree(_hold(started()))), "customer", "READY", "not on hold any more"),
        (lambda: _hold(in_mediation()), "customer", "HELD", "did not come in time"),
        (
            lambda: confirmed(proposed(all_but_the_old_reseller())),
            "customer",
            "READY",
            "released it in the place of Acme Hosting",
        ),
        (lambda: _hold(charges_changed(ready())), "customer", "HELD", "Globex is asked once more"),
    ],
)
def test_what_happened_at_the_same_time_is_mentioned(
    change: Callable[[], Case], reader: str, teller: str, sentence: str
) -> None:
    """One notice a reader, however much happened; nothing that matters is lost."""
    sent = [d for d in told(started(), change()) if d.mail and d.reader == reader]
    assert {d.event for d in sent} == {teller}
    assert sentence in mail_to(tuple(sent), reader)[1]


def test_a_transfer_that_found_another_reseller_does_not_say_who_bills() -> None:
    """The re-check cancels it, and nobody knows better than that."""
    before = started()
    after = before.ended(State.CANCELLED, "re-check", MONDAY, code="NOT_CURRENT_RESELLER")
    text = mail_to(told(before, after), "new_reseller")[1]
    assert "Acme Hosting is not the reseller on record any more" in text
    assert "goes on billing" not in text
    assert "contact our support" in text


def test_an_international_domain_is_shown_in_both_forms_and_filed_in_ascii() -> None:
    """People read the U-label; the ticket has what cannot be mistaken."""
    case = started(domain="xn--exmple-cua.example")
    sent = told(received("xn--exmple-cua.example"), case)
    subject, text = mail_to(sent, "customer")
    assert subject.startswith("exämple.example (xn--exmple-cua.example): ")
    assert "Domain: exämple.example (xn--exmple-cua.example)" in text
    assert "We, xn--exmple-cua.example, authorize" in text


# -- what strangers wrote ----------------------------------------------------------------------
NAMES = st.one_of(
    st.text(min_size=1, max_size=200),
    st.sampled_from(
        [
            "Acme\r\nBcc: all@victim.example",
            "<script>alert(1)</script>",
            "[click](http://evil.example)",
            "{{ case }} {% raw %}",
            "\tOwner\tme",
            "\x1fSubject: yes",
            "\u202emoc.elpmaxe",
            "</pre><img src=x onerror=y>",
            "Acme Inc. (EU) from here to there",
            "x" * 200,
        ]
    ),
).filter(str.strip)


class _Tags(HTMLParser):
    """Collects the elements of a document, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))


def tags(html: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    parser = _Tags()
    parser.feed(html)
    return parser.found


OURS = frozenset(
    "html head meta title style body main h1 p pre table tr th td footer".split()  # noqa: SIM905
)


@settings(max_examples=40)
@given(customer=NAMES, old=NAMES, new=NAMES, words=st.text(max_size=3000))
def test_nothing_that_is_filled_in_can_be_markup_or_a_header(
    customer: str, old: str, new: str, words: str
) -> None:
    """Names, ticket texts and reasons stay inside their sentence, whatever is in them."""
    case = started(customer=customer, old=old, new=new)
    doubtful = file(case, Slot.AUTHORIZE, "9", subject=words[:300], body=words + " reseller")
    action = Hold(staff="mira", reason=words.strip()[:2000] or "so", code=StopCode.OTHER)
    changes = [(received(), case), (case, doubtful), (case, levers.hold(case, action, MONDAY))]
    plain_case = started()
    plain = {d.reader: d for d in told(received(), plain_case) if d.mail}
    for before, after in changes:
        for delivery in told(before, after):
            text = delivery.mail.text if delivery.mail else delivery.reply
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
            text.encode()
            if delivery.mail is None:
                continue
            subject = delivery.mail.subject
            assert len(subject) <= MAX_SUBJECT
            assert subject.isprintable() or not re.search(
                r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", subject
            )
            found = tags(delivery.mail.html)
            assert {tag for tag, _ in found} <= OURS
            assert {name for _, attributes in found for name, _ in attributes} <= {
                "lang",
                "charset",
                "name",
                "content",
                "scope",
            }
            if delivery.event == "OPENED":
                benign = plain[delivery.reader].mail
                assert benign is not None
                assert found == tags(benign.html)


@settings(max_examples=40)
@given(old=NAMES, new=NAMES, intent=st.sampled_from(Intent))
def test_the_ticket_we_ask_for_is_always_understood(old: str, new: str, intent: Intent) -> None:
    """A name that reads like the end of its sentence is replaced by the reseller's id."""
    case = started(old=old, new=new)
    subject, body = ticket_text(case, intent)
    reading = filed(case, Slot.RELEASE, "1", subject=subject, body=body)
    assert reading.ticket is not None
    claim = read(reading.ticket, (*case.old.names, *case.new.names))
    assert claim is not None
    assert claim.intent is intent
    assert all(
        named is None or account.goes_by(named)
        for named, account in ((claim.old, case.old), (claim.new, case.new))
    )


def test_every_reason_offered_to_the_old_reseller_is_read_back() -> None:
    """Each sample line of the request, filed with the refusal, gives the reason it names."""
    text = next(d.mail.text for d in told(*CHANGES["OPENED"]()) if d.mail)
    offered = re.findall(r"^    Reason: (\w+)(.*)$", text, re.MULTILINE)
    assert {code for code, _ in offered} == {
        "PAST_DUE_BALANCE",
        "CONTRACT_TERM_ACTIVE",
        "COMMERCIAL_OBJECTION",
        "UNRELATED_DEBT",
        "OTHER",
    }
    for code, rest in offered:
        refused = refused_by_old(f"Reason: {code}{rest}").slot(Slot.RELEASE).refusal
        assert refused is not None
        assert refused.reason.value == code


@settings(max_examples=40)
@given(st.text(max_size=4000))
def test_one_line_is_one_bounded_visible_line(text: str) -> None:
    """And doing it twice changes nothing."""
    line = one_line(text)
    assert len(line) <= 500
    assert line == " ".join(line.split())
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


def test_a_template_that_names_what_it_is_not_given_fails_loudly() -> None:
    """A mail with a hole in it is worse than an error in a test."""
    with pytest.raises(Exception, match="undefined"):
        letter("ready", {})
