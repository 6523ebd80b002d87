"""Notices: who is told what about a change, and in which words.

One table says who hears of an event. Whatever happened at once is told in one notice: the event
that stands first in the table tells, the others are mentioned. Mails go to every administrator of
a party, replies to the party's own ticket. The words are in ``transfer/templates``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from transfer import briefing
from transfer.billing import split_month
from transfer.case import Authorization, Case, Evidence, Publication, SlotState
from transfer.messages import Delivery, Mail
from transfer.parties import Party, Person, Slot
from transfer.templates import Letter, letter
from transfer.templates.phrases import (
    REASONS,
    again,
    agreed,
    asked_of,
    ending,
    held,
    is_asked,
    mediated,
    mention,
    reason_of_refusal,
    staff_heading,
    staff_todo,
    stranger_fix,
    ticket_text,
    waiting_for,
)
from transfer.tickets import Intent
from transfer.values import fingerprint
from transfer.views import summary

Linker = Callable[[str, Party, datetime], str]
"""Makes the address of the page on which a party tracks the transfer of this key, as of then."""
STAFF = "staff"
FILER = "filer"
"""The reader of a reply on a ticket that belongs to none of the three parties."""
MAX_MENTIONS = 5

_ADDRESS = re.compile(
    r"[^\s\x00-\x1f\x7f@<>()\[\]\\,;:\"]{1,64}@[^\s\x00-\x1f\x7f@<>()\[\]\\,;:\"]{1,253}"
)


class Rule(NamedTuple):
    """Who hears of an event.

    ``parties``: ``all`` of them, the ``own``er of the slot, or none. ``staff``: always, while the
    case is ``escalated``, or never. ``reply``: also on the party's ticket: of ``all`` parties or
    only of the slot's ``own``er. ``answer`` is a reply on the very ticket that the event is about.
    """

    template: str = ""
    parties: str = ""
    staff: str = ""
    reply: str = ""
    answer: str = ""


_ENDED = Rule("ended", "all", "escalated", reply="all")

RULES: Mapping[str, Rule] = {
    "COMPLETED": Rule("completed", "all", reply="all"),
    "REFUSED": _ENDED,
    "WITHDRAWN": _ENDED,
    "EXPIRED": _ENDED,
    "CANCELLED": _ENDED,
    "COMMIT_STUCK": Rule(staff="always"),
    "HELD": Rule("held", "all", "escalated"),
    "READY": Rule("ready", "all", reply="all"),
    "SECOND_LEVEL": Rule(staff="always"),
    "FIRST_TOUCH_MISSED": Rule(staff="always"),
    "AMBIGUOUS": Rule("ambiguous", "own", "always", answer="ambiguous"),
    "MEDIATION": Rule("mediation", "all", "always"),
    "SLOT_WITHDRAWN": Rule("said_no", "all", "escalated", reply="own"),
    "SLOT_REFUSED": Rule("said_no", "all", "escalated", reply="own"),
    "RELEASE_PROPOSED": Rule(staff="always"),
    "REJECTED": Rule("rejected", "own", answer="rejected"),
    "REJECTED_REPEATEDLY": Rule(staff="always"),
    "REMINDED": Rule("reminded", "own"),
    "RESUMED": Rule("resumed", "all", "escalated"),
    "ASKED_AGAIN": Rule("asked_again", "all"),
    "CLEARED": Rule("cleared", "all", "always"),
    "OPENED": Rule("opened", "all"),
    "RELEASED_BY_STAFF": Rule("released_by_staff", "all", "always"),
    "EXTENDED": Rule("extended", "all", "escalated"),
    "AUTHORIZED": Rule("authorized", "all", reply="own"),
    "TAKEN": Rule(staff="always"),
    "LATE": Rule(answer="late"),
    "TOO_LATE": Rule(answer="late"),
}
"""In the order in which they tell. Nobody is told of a code that does not stand here."""

_RANK = {code: rank for rank, code in enumerate(RULES)}
_SAYS_SO_ITSELF = {
    ("MEDIATION", "SLOT_REFUSED"),
    ("MEDIATION", "SLOT_WITHDRAWN"),
    ("OPENED", "AUTHORIZED"),
}
"""Letters that tell of another event anyway."""
_TERMINAL = frozenset({"COMPLETED", "REFUSED", "WITHDRAWN", "EXPIRED", "CANCELLED"})


def deliveries(
    publication: Publication,
    administrators: Mapping[Party, Sequence[Person]],
    staff: Sequence[str],
    mail_domain: str,
    link: Linker | None = None,
) -> tuple[Delivery, ...]:
    """Return every mail and ticket reply that a change calls for.

    The same publication always gives the same ids and Message-IDs, so that publishing twice tells
    nobody twice. Each party's mails have its own ``link``, where links are made.
    """
    case, events = publication.case, publication.events
    current = [event for event in events if event.code in RULES and _stands(case, event)]
    told: list[Delivery] = []
    for party in Party if case.slots else ():
        told += _to_party(case, current, party, administrators.get(party, ()), mail_domain, link)
    for event in current:
        if RULES[event.code].answer and event.ticket_id:
            told.append(_answer(case, event, event.ticket_id))
    told += _to_staff(case, current, staff, mail_domain)
    return tuple({delivery.id: delivery for delivery in told}.values())


# -- whom ------------------------------------------------------------------------------------
def _to_party(
    case: Case,
    events: Sequence[Evidence],
    party: Party,
    people: Sequence[Person],
    mail_domain: str,
    link: Linker | None,
) -> Iterable[Delivery]:
    record = next(record for record in case.slots if record.slot.party is party)
    heard = [e for e in events if _concerns(RULES[e.code].parties, e, record.slot)]
    if heard:
        event, also = _chosen(case, heard, record)
        facts = _facts(case, event, record) | {"also": also}
        template = _template(case, event)
        footer = (
            f"{case.transfer_id}. You get this mail as an administrator of {case.account(party)}."
        )
        footer += " Please do not answer it: only tickets from your control panel count."
        for address, person in reachable(people).items():
            page = link(case.key, party, event.at) if link else ""
            written = letter(template, facts, to=person.name, footer=footer, link=page)
            yield _mail(case, event, heard, party.value, address, written, mail_domain)
    answered = [e for e in heard if _concerns(RULES[e.code].reply, e, record.slot)]
    if answered and record.ticket_id:
        event, _ = _chosen(case, answered, record)
        written = letter(_template(case, event), _facts(case, event, record) | {"also": ()})
        yield _reply(case, event, party.value, record.ticket_id, written, _mark(answered))


def _answer(case: Case, event: Evidence, ticket_id: str) -> Delivery:
    """Answer the very ticket.

    One that belongs to no party, or came late, is answered once, whatever rings again: our reply
    itself can ring. A stranger is not told who the parties are.
    """
    if event.slot is None or not case.slots:
        code = event.detail.partition(". ")[0]
        facts: dict[str, object] = {"case": case, "domain": case.shown_domain, "code": code}
        late = RULES[event.code].answer == "late"
        facts |= {"fix": stranger_fix(code), "too_late": event.code == "TOO_LATE"}
        written = letter("late" if late else "stranger", facts)
        return _reply(case, event, FILER, ticket_id, written, f"{event.code} {code}")
    facts = _facts(case, event, case.slot(event.slot)) | {"also": ()}
    written = letter(RULES[event.code].answer, facts)
    return _reply(case, event, event.slot.party.value, ticket_id, written, event.mark)


def _to_staff(
    case: Case, events: Sequence[Evidence], staff: Sequence[str], mail_domain: str
) -> Iterable[Delivery]:
    wanted = {"always", "escalated"} if case.mediation is not None else {"always"}
    heard = sorted(
        (e for e in events if RULES[e.code].staff in wanted), key=lambda e: _RANK[e.code]
    )
    if not heard:
        return
    event = heard[0]
    facts = {
        "case": case,
        "domain": case.shown_domain,
        "event": event,
        "heading": staff_heading(case, event),
        "todo": staff_todo(case, event),
        "needed": briefing.why(case),
        "ways": briefing.ways(case, event.at),
        "summary": summary(case),
        "also": [f"Also: {staff_heading(case, e)}." for e in heard[1 : MAX_MENTIONS + 1]],
    }
    written = letter("staff", facts)
    for address in reachable(Person(id=a, email=a) for a in staff):
        yield _mail(case, event, heard, STAFF, address, written, mail_domain)


def _concerns(whom: str, event: Evidence, slot: Slot) -> bool:
    return whom == "all" or (whom == "own" and event.slot is slot)


def reachable(people: Iterable[Person]) -> dict[str, Person]:
    """Persons by address, each address once. What is no address would only break the header."""
    found: dict[str, Person] = {}
    for person in people:
        if _ADDRESS.fullmatch(person.email.strip()):
            found.setdefault(person.email.strip().casefold(), person)
    return {person.email.strip(): person for person in found.values()}


# -- which event tells -----------------------------------------------------------------------
def _chosen(
    case: Case, events: Sequence[Evidence], record: Authorization
) -> tuple[Evidence, list[str]]:
    """The event that tells, the newest of its rank, and sentences about the others."""

    def rank(event: Evidence) -> tuple[int, int]:
        again = event.code in ("ASKED_AGAIN", "CLEARED") and event.slot is record.slot
        asks = event.code == "OPENED" or again
        # A request to file is not buried under news; only a hold or the end makes it pointless.
        place = _RANK["HELD"] if asks and is_asked(case, record) else _RANK[event.code]
        return place, -event.seq

    ordered = sorted(events, key=rank)
    teller = ordered[0]
    if teller.code in _TERMINAL:
        return teller, []
    also = [
        sentence
        for event in sorted(ordered[1:], key=lambda e: e.seq)
        if (teller.code, event.code) not in _SAYS_SO_ITSELF
        and (sentence := mention(case, event, record.slot))
    ]
    return teller, list(dict.fromkeys(also))[:MAX_MENTIONS]


def _stands(case: Case, event: Evidence) -> bool:
    """Whether an event is still true at the end of the change that it is a part of."""
    state = case.slot(event.slot).state if event.slot and case.slots else None
    match event.code:
        case "READY":
            return case.commit_at is not None
        case "HELD":
            return case.hold is not None
        case "MEDIATION":
            return case.mediation is not None and not case.is_terminal
        case "REMINDED" | "ASKED_AGAIN" | "CLEARED":
            return state is SlotState.REQUESTED
        case "AUTHORIZED":
            return state is SlotState.AUTHORIZED
        case "SLOT_REFUSED":
            return state is SlotState.REFUSED
        case "SLOT_WITHDRAWN":
            return state is SlotState.WITHDRAWN
        case "AMBIGUOUS":
            return any(doubt.ticket.id == event.ticket_id for doubt in case.doubts)
        case _:
            return True


def _template(case: Case, event: Evidence) -> str:
    if event.code == "RESUMED" and case.commit_at is not None:
        return "ready"
    return RULES[event.code].template


# -- what is filled in -----------------------------------------------------------------------
def _facts(case: Case, event: Evidence, record: Authorization) -> dict[str, object]:
    """Everything that a template may name. Templates make one bounded line of each."""
    slot = record.slot
    code, _, fix = event.detail.partition(". ")
    other = case.account(event.slot.party) if event.slot else ""
    reason, reason_text = reason_of_refusal(case)
    completed = case.completed_at
    which = event.detail.partition(" ")[0]
    extended = next((s for s in Slot if s.value == which), None)
    return {
        "case": case,
        "event": event,
        "domain": case.shown_domain,
        "slot": slot.value,
        "mine": record,
        "asked": is_asked(case, record),
        "ask": asked_of(case, slot),
        "reasons": REASONS,
        "ask_shortly": asked_of(case, slot, in_subject=True),
        "ticket": ticket_text(case, Intent(slot.value)),
        "refusal": ticket_text(case, Intent.REFUSE),
        "withdrawal": ticket_text(case, Intent.WITHDRAW),
        "waiting": waiting_for(case, slot),
        "agreed": agreed(case),
        "other": other,
        "code": code if event.code == "REJECTED" else event.code,
        "fix": fix,
        "again": again(event),
        "reason": reason,
        "reason_text": reason_text,
        "mediated": mediated(case, slot),
        "held": held(case),
        "extended": extended,
        "extended_until": case.slot(extended).deadline if extended else case.expires_at,
        "ended": ending(case, event, slot)[0],
        "why": ending(case, event, slot)[1],
        "split": split_month(case.charges.price, completed) if case.charges and completed else None,
        "locked_until": case.policy.after(completed or event.at, case.policy.lock),
    }


# -- deliveries ------------------------------------------------------------------------------
def _mark(told: Iterable[Evidence]) -> str:
    """What a notice tells of. The same again is the same notice; one event more is another one."""
    return fingerprint(*(event.mark for event in told))


def _mail(
    case: Case,
    event: Evidence,
    told: Iterable[Evidence],
    reader: str,
    address: str,
    written: Letter,
    mail_domain: str,
) -> Delivery:
    identity = fingerprint(case.key, _mark(told), reader, "mail", address.casefold())
    return Delivery(
        id=identity,
        key=case.key,
        event=event.code,
        reader=reader,
        mail=Mail(
            message_id=f"<{identity}@{mail_domain}>",
            to=address,
            subject=written.subject,
            text=written.text,
            html=written.html,
        ),
        created_at=event.at,
    )


def _reply(
    case: Case, event: Evidence, reader: str, ticket_id: str, written: Letter, once: str
) -> Delivery:
    return Delivery(
        id=fingerprint(case.key, once, reader, "reply", ticket_id),
        key=case.key,
        event=event.code,
        reader=reader,
        ticket_id=ticket_id,
        reply=written.text,
        created_at=event.at,
    )
