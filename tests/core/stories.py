"""Cases and what happens to them, one small story for each thing that somebody is told of."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from transfer import clocks, commit, levers
from transfer.case import Case, Publication
from transfer.messages import (
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
from transfer.notices import deliveries
from transfer.opening import opened
from transfer.parties import Charges, CustomerRecord, Facts, Party, Person, ResellerRecord, Slot
from transfer.policy import Policy, StaffRelease
from transfer.submissions import cleared, submitted
from transfer.templates.phrases import ticket_text
from transfer.tickets import Channel, Intent, Ticket

MONDAY = datetime(2026, 11, 2, 14, 30, tzinfo=UTC)
PAST_DUE = "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002"
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


def says(case: Case, intent: Intent, extra: str = "") -> dict[str, Any]:
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


def all_but_the_old_reseller() -> Case:
    """In mediation, with the two others agreed."""
    case = file(file(started(TWO_PERSON), Slot.AUTHORIZE, "102"), Slot.ACCEPT, "103")
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


def charges_changed(case: Case) -> Case:
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
    "SLOT_REFUSED, past due": lambda: (started(), refused_by_old(PAST_DUE)),
    "CLEARED": lambda: _then(
        refused_by_old(PAST_DUE), lambda c: cleared(c, ["1001", "1002"], MONDAY)
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
    "RELEASE_PROPOSED": lambda: _then(in_mediation(TWO_PERSON), proposed),
    "RELEASED_BY_STAFF": lambda: _then(proposed(in_mediation(TWO_PERSON)), confirmed),
    "EXTENDED": lambda: _then(started(), extended),
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
    "ASKED_AGAIN": lambda: _then(ready(), charges_changed),
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


def proposed(case: Case) -> Case:
    return levers.release_on_behalf(
        case, ReleaseOnBehalf(staff="mira", reason="acme is out of business"), MONDAY
    )


def confirmed(case: Case) -> Case:
    return levers.release_on_behalf(
        case, ReleaseOnBehalf(staff="omar", reason="checked the register"), MONDAY
    )


def extended(case: Case) -> Case:
    action = ExtendDeadline(
        staff="mira",
        reason="they are on holiday",
        until=MONDAY + timedelta(days=20),
        which=Which.ACCEPT,
    )
    return levers.extend_deadline(case, action, MONDAY)


def mail_to(sent: tuple[Delivery, ...], reader: str) -> tuple[str, str]:
    mail = next(d.mail for d in sent if d.mail and d.reader == reader)
    return mail.subject, re.sub(r"\s+", " ", mail.text)


def whom(sent: tuple[Delivery, ...]) -> set[str]:
    """Every delivery in short: event, reader, and how."""
    return {f"{d.event} > {d.reader}" + (f" on {d.ticket_id}" if d.ticket_id else "") for d in sent}


def to_all(code: str) -> set[str]:
    return {f"{code} > {party.value}" for party in Party}
