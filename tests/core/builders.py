"""Small builders for the tests of the core: Acme releases example.com, Globex accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from transfer import clocks, commit, opening, submissions
from transfer.case import Case
from transfer.messages import Survey, TicketReading, TransferRequest
from transfer.parties import Charges, CustomerRecord, Facts, Person, ResellerRecord, Slot
from transfer.policy import Policy
from transfer.tickets import Intent, Ticket, text_to_file

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""When the sample transfer is started."""
KEY = "transfer-example.com/run-1"
CHARGES = Charges(plan="business", price=Decimal("12.50"), currency="EUR")

ANN = Person(id="ann", name="Ann Old", email="ann@acme.example")
CARL = Person(id="carl", name="Carl Customer", email="carl@example.com")
NEO = Person(id="neo", name="Neo New", email="neo@globex.example")

ACME = ResellerRecord(
    id="acme", name="Acme Hosting", aliases=("ACME",), billing_account="1", administrators=(ANN,)
)
GLOBEX = ResellerRecord(
    id="globex", name="Globex", aliases=("GLBX",), billing_account="2", administrators=(NEO,)
)
EXAMPLE = CustomerRecord(
    id="C-1",
    name="Example Ltd",
    domains=("example.com", "xn--exmple-cua.example"),
    reseller="acme",
    charges=CHARGES,
    billed_from=datetime(2026, 1, 1, tzinfo=UTC),
    administrators=(CARL,),
)

ACCOUNT_OF = {Slot.RELEASE: "acme", Slot.AUTHORIZE: "C-1", Slot.ACCEPT: "globex"}
PERSON_OF = {Slot.RELEASE: ANN, Slot.AUTHORIZE: CARL, Slot.ACCEPT: NEO}
REFUSE_TEXT = text_to_file(Intent.REFUSE, "example.com", ACME.account, GLOBEX.account)[1]
WITHDRAW_TEXT = text_to_file(Intent.WITHDRAW, "example.com", ACME.account, GLOBEX.account)[1]
THANKS = "Thanks you"
# The procedure's own three texts, letter by letter, with its placeholders filled in.
PROCEDURE = {
    Slot.RELEASE: (
        "Transfer Customer",
        "I would like to request that example.com is to be transferred to Globex.\n" + THANKS,
    ),
    Slot.AUTHORIZE: (
        "Authorize transfer of account",
        "We ,example.com, authorize the transfer of our account from Acme Hosting to Globex.\n"
        + THANKS,
    ),
    Slot.ACCEPT: (
        "Authorize Customer Transfer",
        "We, Globex, Authorize example.com to be transferred from Acme Hosting to our account.\n"
        + THANKS,
    ),
}


def at(*, days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
    """So long after the start."""
    return MONDAY + timedelta(days=days, hours=hours, minutes=minutes)


def facts(**changes: Any) -> Facts:
    """What the account store has on record; all is well."""
    return Facts(customer=EXAMPLE, old=ACME, new=GLOBEX).model_copy(update=changes)


def request(**changes: Any) -> TransferRequest:
    """Move example.com to Globex. Keywords that a policy knows go there."""
    policy = {key: value for key, value in changes.items() if key in Policy.model_fields}
    rest = {key: value for key, value in changes.items() if key not in policy}
    fields = {"domain": "example.com", "new_reseller": "globex", "policy": Policy(**policy)}
    return TransferRequest.model_validate(fields | rest)


def received(**changes: Any) -> Case:
    """A transfer that was asked for."""
    return Case.received(request(**changes), "transfer-example.com", KEY, MONDAY)


def opened(known: Facts | None = None, **changes: Any) -> Case:
    """A transfer that waits for three tickets."""
    return opening.opened(received(**changes), known or facts(), MONDAY)


def ticket(slot: Slot, number: str = "", when: datetime | None = None, **changes: Any) -> Ticket:
    """The ticket that a party has to file, with the procedure's text, an hour after the start."""
    subject, body = PROCEDURE[slot]
    when = when or at(hours=1)
    return Ticket(
        id=number or f"{slot.value}-1",
        account=ACCOUNT_OF[slot],
        author=PERSON_OF[slot],
        administrator=True,
        subject=subject,
        body=body,
        created_at=when,
        updated_at=when,
    ).model_copy(update=changes)


def edited(before: Ticket, when: datetime, **changes: Any) -> Ticket:
    """The same ticket after its filer changed it."""
    update = {"updated_at": when, "revision": before.revision + 1} | changes
    return before.model_copy(update=update)


def reading(filed: Ticket, **changes: Any) -> TicketReading:
    """A ticket read back; its author is on record."""
    return TicketReading(ticket_id=filed.id, ticket=filed, on_record=True).model_copy(
        update=changes
    )


def submit(case: Case, filed: Ticket, now: datetime | None = None, **changes: Any) -> Case:
    """The case after a ticket was read; nobody needs the answer."""
    return submissions.submitted(case, reading(filed, **changes), now or filed.updated_at)[0]


def code_of(case: Case, filed: Ticket, now: datetime | None = None, **changes: Any) -> str | None:
    """The code with which a ticket is rejected; ``None`` where it is accepted."""
    when = now or filed.updated_at
    return submissions.submitted(case, reading(filed, **changes), when)[1].code


def ready(case: Case | None = None, when: datetime | None = None) -> Case:
    """A transfer that all three have authorized."""
    case = case or opened()
    for slot in Slot:
        case = submit(case, ticket(slot, when=when))
    return case


def survey(*filed: Ticket, known: Facts | None = None) -> Survey:
    """Everything read once more; by default the three tickets, unchanged."""
    there: Sequence[Ticket] = filed or [ticket(slot) for slot in Slot]
    return Survey(facts=known or facts(), readings=tuple(reading(t) for t in there))


def committing(case: Case | None = None) -> Case:
    """A transfer whose billing is being moved."""
    return commit.rechecked(case or ready(), survey(), at(days=2))


def silent_until(case: Case, *instants: datetime) -> Case:
    """The case after clocks rang and nobody said anything."""
    for now in instants:
        case = clocks.rung(case, now)
    return case


def codes(case: Case) -> list[str]:
    """What happened, by code."""
    return [event.code for event in case.evidence]
