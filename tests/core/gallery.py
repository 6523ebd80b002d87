"""The gallery: every mail that the service sends, for the pictures in docs/mails.md.

The letters are composed as the service composes them, from the same stories as the tests. Here is
only which of them are shown, to whom they go, and when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tests.core.stories import (
    ADMINISTRATORS,
    CHANGES,
    MONDAY,
    STAFF,
    Change,
    facts,
    file,
    filed,
    ready,
    says,
    started,
)
from transfer import commit, levers
from transfer.case import Case, Publication
from transfer.digests import digest_mails
from transfer.messages import Delivery, Hold, Mail, Survey
from transfer.notices import deliveries
from transfer.overview import Need, Needing, OpenTransfer, digest_of
from transfer.parties import Charges, Party, Slot
from transfer.tickets import Intent

OLD, CUSTOMER, NEW, BY_STAFF = "old_reseller", "customer", "new_reseller", "staff"
WHO = {OLD: "old reseller", CUSTOMER: "customer", NEW: "new reseller", BY_STAFF: "support staff"}
ALL = (OLD, CUSTOMER, NEW)


_INTRODUCTION = """\
Every mail about a transfer, as its reader sees it: `make pictures` writes this page and its
pictures from the templates in `transfer/templates/`. Each mail is sent as text too, in the same
words. Who is told what is the table `RULES` in `transfer/notices.py`.

In all of them Acme Hosting is the old reseller, Example Ltd the customer, Globex the new reseller.\
"""


class Kind(NamedTuple):
    """What is told about one thing that happened: by which change, when, and to whom."""

    event: str
    when: str
    change: str
    readers: Sequence[str]


def _refused_on_hold() -> tuple[Case, Case]:
    action = Hold(staff="mira", reason="two owners claim it")
    held = levers.hold(started(), action, MONDAY + timedelta(hours=1))
    return held, file(held, Slot.AUTHORIZE, "8", 6, **says(held, Intent.REFUSE))


def _dearer() -> tuple[Case, Case]:
    before = ready()
    charges = Charges(plan="business", price=Decimal("14.00"), currency="EUR")
    readings = tuple(filed(before, slot, f"10{n}", n) for n, slot in enumerate(Slot, start=1))
    survey = Survey(facts=facts(charges=charges), readings=readings)
    return before, commit.rechecked(before, survey, before.commit_at or MONDAY)


_MORE: dict[str, Change] = {"SLOT_REFUSED, held": _refused_on_hold, "ASKED_AGAIN, dearer": _dearer}

KINDS: Sequence[tuple[str, Sequence[Kind]]] = (
    (
        "All three are asked",
        (
            Kind("OPENED", "at once, when a transfer starts", "OPENED", ALL),
            Kind(
                "OPENED",
                "when it starts, and this party's ticket was there before",
                "OPENED, customer agreed before",
                (CUSTOMER, NEW),
            ),
            Kind(
                "REMINDED",
                "after 2 and 4 days, and 3 days and 1 day before the deadline, to who has not"
                " answered",
                "REMINDED",
                ALL,
            ),
        ),
    ),
    (
        "Somebody answers",
        (
            Kind("AUTHORIZED", "when a ticket counts as a yes", "AUTHORIZED", (NEW, CUSTOMER)),
            Kind(
                "REJECTED",
                "when a ticket does not count: also as a reply on it",
                "REJECTED",
                (CUSTOMER,),
            ),
            Kind(
                "REJECTED_REPEATEDLY",
                "on the third ticket of a party that does not count",
                "REJECTED_REPEATEDLY",
                (BY_STAFF,),
            ),
            Kind(
                "AMBIGUOUS",
                "when only a person can tell what a ticket says",
                "AMBIGUOUS",
                (CUSTOMER, BY_STAFF),
            ),
            Kind(
                "ASKED_AGAIN",
                "when a yes does not stand any more: here, the charges have changed",
                "ASKED_AGAIN, dearer",
                (NEW, CUSTOMER),
            ),
        ),
    ),
    (
        "The old reseller does not release",
        (
            Kind(
                "MEDIATION",
                "when its deadline is over and nothing came",
                "MEDIATION",
                (*ALL, BY_STAFF),
            ),
            Kind(
                "MEDIATION",
                "when it refuses, with a reason",
                "SLOT_REFUSED, past due",
                (OLD, CUSTOMER, BY_STAFF),
            ),
            Kind(
                "MEDIATION",
                "when it takes its release back after all three had agreed",
                "SLOT_WITHDRAWN",
                (NEW,),
            ),
            Kind("MEDIATION", "at the start, when the old reseller is suspended",
                 "OPENED, old reseller suspended", (OLD,)),
            Kind("CLEARED", "when the invoices it refused for are recorded as paid", "CLEARED",
                 (OLD, CUSTOMER, BY_STAFF)),
            Kind("TAKEN", "when a member of staff takes the case", "TAKEN", (BY_STAFF,)),
            Kind(
                "FIRST_TOUCH_MISSED",
                "when nobody has taken the case in time",
                "FIRST_TOUCH_MISSED",
                (BY_STAFF,),
            ),
            Kind(
                "SECOND_LEVEL",
                "when nothing is settled three business days after the escalation",
                "SECOND_LEVEL",
                (BY_STAFF,),
            ),
            Kind(
                "RELEASE_PROPOSED",
                "when a member of staff proposes to release it, where the policy allows that",
                "RELEASE_PROPOSED",
                (BY_STAFF,),
            ),
            Kind(
                "RELEASED_BY_STAFF",
                "when a second one has confirmed it",
                "RELEASED_BY_STAFF",
                (OLD, CUSTOMER, BY_STAFF),
            ),
        ),
    ),
    (
        "Staff stop or stretch it",
        (
            Kind("HELD", "when staff put it on hold", "HELD", (CUSTOMER,)),
            Kind(
                "HELD",
                "when the reason is one that nobody may be warned of",
                "HELD, fraud",
                (CUSTOMER,),
            ),
            Kind(
                "SLOT_REFUSED",
                "when a party says no while it is on hold",
                "SLOT_REFUSED, held",
                (CUSTOMER, OLD),
            ),
            Kind(
                "SLOT_WITHDRAWN",
                "when a party takes its yes back while it is on hold",
                "SLOT_REFUSED, on hold",
                (CUSTOMER, NEW),
            ),
            Kind("RESUMED", "when it goes on", "RESUMED", (CUSTOMER,)),
            Kind("RESUMED", "when it goes on and all had agreed", "RESUMED, ready", (CUSTOMER,)),
            Kind("EXTENDED", "when staff give more time", "EXTENDED", (NEW, CUSTOMER)),
        ),
    ),
    (
        "Billing moves",
        (
            Kind("READY", "when all three have agreed: 24 hours before it moves", "READY", ALL),
            Kind("COMPLETED", "when it has moved, and was read back", "COMPLETED", ALL),
            Kind(
                "COMMIT_STUCK",
                "when it could not be moved; it is tried again by itself",
                "COMMIT_STUCK",
                (BY_STAFF,),
            ),
        ),
    ),
    (
        "It ends without a move",
        (
            Kind(
                "REFUSED", "when the customer or the new reseller says no", "REFUSED", (OLD, NEW)
            ),
            Kind(
                "WITHDRAWN",
                "when the customer or the new reseller takes its yes back",
                "WITHDRAWN",
                (CUSTOMER, NEW),
            ),
            Kind("EXPIRED", "when somebody did not answer in time", "EXPIRED", (OLD, CUSTOMER)),
            Kind(
                "EXPIRED",
                "when that happens in mediation",
                "EXPIRED, escalated",
                (BY_STAFF,),
            ),
            Kind("CANCELLED", "when staff or the re-check end it", "CANCELLED", (CUSTOMER,)),
        ),
    ),
)  # fmt: skip
"""By chapter. The order is that of a transfer's life."""

REPLIES: Sequence[tuple[str, str, str]] = (
    ("REJECTED", "to a stranger, who is not told who the parties are", "REJECTED, stranger"),
    ("LATE", "to a ticket that comes after the end", "LATE"),
    ("TOO_LATE", "to a no that comes while billing is being moved", "TOO_LATE"),
)
"""What is said on a ticket alone. Other replies have the words of the mails."""


class Shown(NamedTuple):
    """One mail of the gallery."""

    name: str
    reader: str
    mail: Mail

    @property
    def digest(self) -> str:
        """What the picture was made of."""
        return hashlib.sha256(self.mail.html.encode()).hexdigest()


def shown(kind: Kind) -> Iterator[Shown]:
    """The mails of one kind."""
    sent = _told(kind.change)
    for reader in kind.readers:
        found = [d for d in sent if d.mail and (d.reader, d.event) == (reader, kind.event)]
        if not found or found[0].mail is None:
            raise LookupError(f"{kind.change} tells {reader} nothing of {kind.event}")
        name = f"{kind.change} {reader}".lower().replace(",", "").replace(" ", "-")
        yield Shown(f"mail-{name.replace('_', '-')}", reader, found[0].mail)


def morning() -> Shown:
    """The digest that staff get, which is about no one transfer."""

    def one(domain: str, state: str, hours: float | None, *waiting: str) -> OpenTransfer:
        at = None if hours is None else MONDAY + timedelta(hours=hours)
        fields = {"domain": domain, "transfer_id": f"transfer-{domain}", "state": state}
        fields |= {"old": "acme", "new": "globex"}
        return OpenTransfer.model_validate(fields | {"waiting_on": waiting, "next_deadline": at})

    needing = (
        Needing(need=Need.STUCK, transfers=(one("foundry.example", "COMMIT_STUCK", 0.2, "staff"),)),
        Needing(
            need=Need.ESCALATED,
            transfers=(
                one("clinic.example", "MEDIATION", 20, "release", "staff"),
                one("tailor.example", "MEDIATION", 44, "release", "accept", "staff"),
            ),
        ),
        Needing(need=Need.WAITING, transfers=(one("library.example", "ON_HOLD", None, "staff"),)),
        Needing(need=Need.DUE, transfers=(one("museum.example", "READY", 3),)),
    )
    mail = digest_mails(digest_of(needing, MONDAY, "UTC"), STAFF, "mail.provider.example")[0].mail
    if mail is None:
        raise LookupError("the digest is a mail")
    return Shown("mail-digest-staff", BY_STAFF, mail)


def gallery() -> Iterator[Shown]:
    """All mails."""
    for _, kinds in KINDS:
        for kind in kinds:
            yield from shown(kind)
    yield morning()


def page() -> str:
    """docs/mails.md."""
    parts = [
        "# Mails",
        _INTRODUCTION,
        "\n".join(f"- [{chapter}](#{_anchor(chapter)})" for chapter, _ in KINDS)
        + "\n- [Every morning](#every-morning)\n- [Only on a ticket](#only-on-a-ticket)",
    ]
    for chapter, kinds in KINDS:
        parts.append(f"## {chapter}")
        for kind in kinds:
            parts.append(f"### {kind.event.replace('_', ' ').capitalize()}: {kind.when}")
            parts += [_picture(one) for one in shown(kind)]
    parts += [
        "## Every morning",
        "### Digest: once a day, where something needs staff",
        _picture(morning()),
        "## Only on a ticket",
    ]
    for event, when, change in REPLIES:
        reply = next(d.reply for d in _told(change) if d.reply and d.event == event)
        parts.append(f"### {event.replace('_', ' ').capitalize()}: {when}\n\n```\n{reply}```")
    return "\n\n".join(parts) + "\n"


def _picture(one: Shown) -> str:
    subject = one.mail.subject
    return f"To the **{WHO[one.reader]}**: “{subject}”\n\n![{subject}](pictures/{one.name}.png)"


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-").replace(",", "")


def _told(change: str) -> tuple[Delivery, ...]:
    before, after = (_MORE.get(change) or CHANGES[change])()
    events = tuple(e for e in after.evidence if e.seq > before.evidence_count)
    publication = Publication(case=after.having(evidence=()), events=events)
    return deliveries(publication, ADMINISTRATORS, STAFF, "mail.provider.example", _link)


def _link(transfer_key: str, party: Party, at: datetime) -> str:
    return f"https://transfers.provider.example/tracking/{party.value.split('_')[0]}-sample"
