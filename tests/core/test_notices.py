"""Who is told what, and in which words: the whole table, and text that strangers wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer import clocks, commit, levers, tickets
from transfer.case import Case, Publication
from transfer.messages import (
    AdmitTicket,
    Cancel,
    Delivery,
    ExtendDeadline,
    Hold,
    ReleaseOnBehalf,
    Resume,
    StopCode,
    Survey,
    TakeCase,
    TicketReading,
    TransferRequest,
    Which,
)
from transfer.notices import RULES, deliveries
from transfer.opening import opened
from transfer.parties import Charges, CustomerRecord, Facts, Party, Person, ResellerRecord, Slot
from transfer.policy import Policy, StaffRelease
from transfer.submissions import submitted
from transfer.templates import MAX_SUBJECT, letter, one_line
from transfer.templates.phrases import ticket_text
from transfer.tickets import Channel, Intent, Ticket

MONDAY = datetime(2026, 11, 2, 14, 30, tzinfo=UTC)
STAFF = ("desk@provider.example", "lead@provider.example")
ADMINISTRATORS = {
    Party.OLD: (Person(id="ann", name="Ann Old", email="ann@acme.example"),),
    Party.CUSTOMER: (
        Person(id="carl", name="Carl Customer", email="carl@example.com"),
        Person(id="cleo", name="Cleo Customer", email="cleo@example.com"),
    ),
    Party.NEW: (Person(id="nina", name="Nina New", email="nina@globex.example"),),
}
AUTHORS = {Slot.RELEASE: "ann", Slot.AUTHORIZE: "carl", Slot.ACCEPT: "nina"}
CHARGES = Charges(plan="business", price=Decimal("12.50"), currency="EUR")
TWO_PERSON = Policy(staff_release=StaffRelease.TWO_PERSON)


# -- a case and what happens to it -------------------------------------------------------------
def facts(
    *,
    domain: str = "example.com",
    customer: str = "Example Ltd",
    old: str = "Acme Hosting",
    new: str = "Globex",
    charges: Charges = CHARGES,
    old_suspended: bool = False,
) -> Facts:
    return Facts(
        customer=CustomerRecord(
            id="C-1001",
            name=customer,
            domains=(domain,),
            reseller="acme",
            charges=charges,
            billed_from=MONDAY - timedelta(days=300),
            administrators=ADMINISTRATORS[Party.CUSTOMER],
        ),
        old=ResellerRecord(
            id="acme",
            name=old,
            billing_account="BA-1",
            suspended=old_suspended,
            administrators=ADMINISTRATORS[Party.OLD],
        ),
        new=ResellerRecord(
            id="globex",
            name=new,
            billing_account="BA-2",
            administrators=ADMINISTRATORS[Party.NEW],
        ),
    )


def received(domain: str = "example.com", policy: Policy | None = None) -> Case:
    request = TransferRequest(domain=domain, new_reseller="globex", policy=policy or Policy())
    return Case.received(request, f"transfer-{domain}", "key-1", MONDAY)


def started(policy: Policy | None = None, **changed: str) -> Case:
    domain = changed.get("domain", "example.com")
    return opened(received(domain, policy), facts(**changed), MONDAY)  # type: ignore[arg-type]


def filed(
    case: Case, slot: Slot, number: str, hours: float = 1.0, **changed: object
) -> TicketReading:
    """A ticket by the slot's party; by default its yes."""
    at = MONDAY + timedelta(hours=hours)
    subject, body = ticket_text(case, Intent(slot.value))
    ticket = Ticket(
        id=number,
        account=case.account(slot.party).id,
        author=Person(id=AUTHORS[slot], name=AUTHORS[slot].title()),
        administrator=True,
        subject=subject,
        body=body,
        created_at=at,
        updated_at=at,
    ).model_copy(update=changed)
    return TicketReading(ticket_id=number, ticket=ticket, on_record=True)


def says(case: Case, intent: Intent, extra: str = "") -> dict[str, object]:
    subject, body = ticket_text(case, intent)
    return {"subject": subject, "body": f"{body}\n{extra}"}


def file(case: Case, slot: Slot, number: str, hours: float = 1.0, **changed: object) -> Case:
    reading = filed(case, slot, number, hours, **changed)
    return submitted(case, reading, MONDAY + timedelta(hours=hours))[0]


def all_agree(case: Case) -> Case:
    for hours, slot in enumerate(Slot, start=1):
        case = file(case, slot, f"10{hours}", hours)
    return case


def ready() -> Case:
    return all_agree(started())


def committing() -> Case:
    case = ready()
    at = case.commit_at or MONDAY
    readings = tuple(filed(case, slot, f"10{n}", n) for n, slot in enumerate(Slot, start=1))
    return commit.rechecked(case, Survey(facts=facts(), readings=readings), at)


def in_mediation(policy: Policy | None = None) -> Case:
    case = started(policy)
    return clocks.rung(case, case.slot(Slot.RELEASE).deadline)


def refused_by_old(extra: str) -> Case:
    case = started()
    return file(case, Slot.RELEASE, "7", **says(case, Intent.REFUSE, extra))


def held(code: StopCode = StopCode.OWNERSHIP_DISPUTED) -> Case:
    action = Hold(staff="mira", reason="the chamber of commerce knows two owners", code=code)
    return levers.hold(ready(), action, MONDAY + timedelta(hours=4))


def ambiguous() -> Case:
    body = "Please transfer our stuff to our new reseller, whoever that is."
    return file(started(), Slot.AUTHORIZE, "9", body=body)


def told(before: Case, after: Case) -> tuple[Delivery, ...]:
    """What is told about everything that happened between two states of a case."""
    events = tuple(e for e in after.evidence if e.seq > before.evidence_count)
    publication = Publication(case=after.having(evidence=()), events=events)
    return deliveries(publication, ADMINISTRATORS, STAFF, "mail.provider.example")


Change = Callable[[], tuple[Case, Case]]


def _then(before: Case, step: Callable[[Case], Case]) -> tuple[Case, Case]:
    return before, step(before)


def _rung(case: Case) -> Case:
    clock = clocks.next_clock(case)
    return clocks.rung(case, clock.at) if clock else case


def _ring_until(case: Case, code: str) -> tuple[Case, Case]:
    for _ in range(20):
        before, case = case, _rung(case)
        if case.evidence[-1].code == code:
            return before, case
    raise AssertionError(f"{code} never came")


def _charges_changed(case: Case) -> Case:
    dearer = Charges(plan="business", price=Decimal("14.00"), currency="EUR")
    at = case.commit_at or MONDAY
    readings = (filed(case, Slot.RELEASE, "101", 1), filed(case, Slot.AUTHORIZE, "102", 2))
    return commit.rechecked(case, Survey(facts=facts(charges=dearer), readings=readings), at)


def _staff(model: type, **more: object) -> object:
    return model(staff="mira", reason="as agreed on the telephone", **more)


CHANGES: dict[str, Change] = {
    "OPENED": lambda: (received(), started()),
    "OPENED, old reseller suspended": lambda: (
        received(),
        opened(received(), facts(old_suspended=True), MONDAY),
    ),
    "OPENED, all agreed before": lambda: (received(), all_agree(started())),
    "OPENED, customer agreed before": lambda: (
        received(),
        file(started(), Slot.AUTHORIZE, "102"),
    ),
    "AUTHORIZED": lambda: _then(started(), lambda c: file(c, Slot.ACCEPT, "103")),
    "READY": lambda: (
        file(file(started(), Slot.RELEASE, "101"), Slot.AUTHORIZE, "102"),
        ready(),
    ),
    "REMINDED": lambda: _ring_until(started(), "REMINDED"),
    "REJECTED": lambda: _then(started(), lambda c: file(c, Slot.AUTHORIZE, "9", delegated=True)),
    "REJECTED, stranger": lambda: _then(
        started(), lambda c: file(c, Slot.AUTHORIZE, "9", account="C-666")
    ),
    "REJECTED_REPEATEDLY": lambda: _then(
        file(
            file(started(), Slot.ACCEPT, "91", channel=Channel.MAIL),
            Slot.ACCEPT,
            "92",
            channel=Channel.MAIL,
        ),
        lambda c: file(c, Slot.ACCEPT, "93", channel=Channel.MAIL),
    ),
    "AMBIGUOUS": lambda: (started(), ambiguous()),
    "SLOT_REFUSED, past due": lambda: (
        started(),
        refused_by_old("Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002"),
    ),
    "SLOT_REFUSED, own words": lambda: (
        started(),
        refused_by_old("Reason: OTHER they owe us a favour"),
    ),
    "SLOT_REFUSED, on hold": lambda: _then(
        held(), lambda c: file(c, Slot.AUTHORIZE, "8", 6, **says(c, Intent.REFUSE))
    ),
    "SLOT_WITHDRAWN": lambda: _then(
        ready(), lambda c: file(c, Slot.RELEASE, "8", 6, **says(c, Intent.WITHDRAW))
    ),
    "MEDIATION": lambda: _ring_until(started(), "MEDIATION"),
    "TAKEN": lambda: _then(
        in_mediation(),
        lambda c: levers.take_case(c, _staff(TakeCase), MONDAY),  # type: ignore[arg-type]
    ),
    "FIRST_TOUCH_MISSED": lambda: _ring_until(in_mediation(), "FIRST_TOUCH_MISSED"),
    "SECOND_LEVEL": lambda: _ring_until(in_mediation(), "SECOND_LEVEL"),
    "RELEASE_PROPOSED": lambda: _then(in_mediation(TWO_PERSON), _proposed),
    "RELEASED_BY_STAFF": lambda: _then(_proposed(in_mediation(TWO_PERSON)), _confirmed),
    "EXTENDED": lambda: _then(started(), _extended),
    "HELD": lambda: (ready(), held()),
    "HELD, fraud": lambda: (ready(), held(StopCode.FRAUD_SUSPECTED)),
    "RESUMED": lambda: _then(
        levers.hold(started(), _staff(Hold), MONDAY),  # type: ignore[arg-type]
        lambda c: levers.resume(c, _staff(Resume), MONDAY + timedelta(days=1)),  # type: ignore[arg-type]
    ),
    "RESUMED, ready": lambda: _then(
        held(),
        lambda c: levers.resume(c, _staff(Resume), MONDAY + timedelta(days=3)),  # type: ignore[arg-type]
    ),
    "ASKED_AGAIN": lambda: _then(ready(), _charges_changed),
    "COMMIT_STUCK": lambda: _then(
        committing(), lambda c: commit.stuck(c, "another reseller is on record", MONDAY)
    ),
    "COMPLETED": lambda: _then(committing(), lambda c: commit.committed(c, MONDAY)),
    "REFUSED": lambda: _then(
        started(), lambda c: file(c, Slot.AUTHORIZE, "8", **says(c, Intent.REFUSE))
    ),
    "WITHDRAWN": lambda: _then(
        ready(), lambda c: file(c, Slot.ACCEPT, "8", 6, **says(c, Intent.WITHDRAW))
    ),
    "EXPIRED": lambda: _ring_until(file(started(), Slot.RELEASE, "101"), "EXPIRED"),
    "EXPIRED, escalated": lambda: _ring_until(in_mediation(), "EXPIRED"),
    "CANCELLED": lambda: _then(
        started(),
        lambda c: levers.cancel(
            c,
            Cancel(staff="mira", reason="the owner called", code=StopCode.CUSTOMER_OBJECTS),
            MONDAY,
        ),
    ),
    "LATE": lambda: _then(
        commit.committed(committing(), MONDAY), lambda c: file(c, Slot.ACCEPT, "99", 90)
    ),
    "TOO_LATE": lambda: (
        committing(),
        submitted(
            committing(), filed(ready(), Slot.ACCEPT, "99", 90), MONDAY, rung=Intent.WITHDRAW
        )[0],
    ),
}


def _proposed(case: Case) -> Case:
    return levers.release_on_behalf(
        case, ReleaseOnBehalf(staff="mira", reason="acme is out of business"), MONDAY
    )


def _confirmed(case: Case) -> Case:
    return levers.release_on_behalf(
        case, ReleaseOnBehalf(staff="omar", reason="checked the register"), MONDAY
    )


def _extended(case: Case) -> Case:
    action = ExtendDeadline(
        staff="mira",
        reason="they are on holiday",
        until=MONDAY + timedelta(days=20),
        which=Which.ACCEPT,
    )
    return levers.extend_deadline(case, action, MONDAY)


# -- the table ---------------------------------------------------------------------------------
def whom(sent: tuple[Delivery, ...]) -> set[str]:
    """Every delivery in short: event, reader, and how."""
    return {f"{d.event} > {d.reader}" + (f" on {d.ticket_id}" if d.ticket_id else "") for d in sent}


def to_all(code: str) -> set[str]:
    return {f"{code} > {party.value}" for party in Party}


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


# -- what it says ------------------------------------------------------------------------------
def mail_to(sent: tuple[Delivery, ...], reader: str) -> tuple[str, str]:
    mail = next(d.mail for d in sent if d.mail and d.reader == reader)
    return mail.subject, re.sub(r"\s+", " ", mail.text)


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
    twice = file(once, Slot.AUTHORIZE, "9", account="C-666")
    first, second = told(started(), once), told(once, twice)
    assert [d.id for d in first] == [d.id for d in second]
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


def test_an_international_domain_is_shown_in_both_forms_and_filed_in_ascii() -> None:
    """People read the U-label; the ticket has what cannot be mistaken."""
    case = started(domain="xn--exmple-cua.example")
    sent = told(received("xn--exmple-cua.example"), case)
    subject, text = mail_to(sent, "customer")
    assert subject.startswith("exämple.example (xn--exmple-cua.example): ")
    assert "Domain: exämple.example (xn--exmple-cua.example)" in text
    assert "We, xn--exmple-cua.example, authorize" in text


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
            "‮moc.elpmaxe",
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
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f‮]", text)
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


@given(old=NAMES, new=NAMES, intent=st.sampled_from(Intent))
def test_the_ticket_we_ask_for_is_always_understood(old: str, new: str, intent: Intent) -> None:
    """A name that reads like the end of its sentence is replaced by the reseller's id."""
    case = started(old=old, new=new)
    subject, body = ticket_text(case, intent)
    reading = filed(case, Slot.RELEASE, "1", subject=subject, body=body)
    assert reading.ticket is not None
    claim = tickets.read(reading.ticket)
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
