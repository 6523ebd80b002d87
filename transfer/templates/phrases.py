"""Phrases: codes of the core in words that a party understands."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from transfer import reading, tickets
from transfer.case import Authorization, Case, Evidence, SlotState, State
from transfer.judging import FIX
from transfer.messages import StopCode
from transfer.parties import Account, Person, Slot
from transfer.templates import clock, day, moment, one_line
from transfer.tickets import Intent, Reason, Ticket

_STOPS = {
    "CUSTOMER_OBJECTS": "the customer objects",
    "OWNERSHIP_DISPUTED": "it is disputed who owns the account",
    "NEW_SUSPENDED": "{new} cannot take over customers at the moment",
    "NOT_CURRENT_RESELLER": "{old} is not the reseller on record any more",
    "UNKNOWN_DOMAIN": "the domain is not on record any more",
    "DOMAIN_INVALID": "the domain is not on record any more",
    "UNKNOWN_RESELLER": "{new} is not on record any more",
    "IN_COOLDOWN": "the customer was moved recently and is locked for a while",
}
_PRIVATE = frozenset({StopCode.LEGAL_HOLD.value, StopCode.FRAUD_SUSPECTED.value})
"""Codes whose reason staff wrote for staff: a mail about a suspicion warns the suspect."""
_ASK_US = "our support staff tell you more on request"

_REFUSALS = {
    Reason.PAST_DUE_BALANCE: "a balance is past due",
    Reason.CONTRACT_TERM_ACTIVE: "the contract is still running",
    Reason.COMMERCIAL_OBJECTION: "a commercial objection",
    Reason.UNRELATED_DEBT: "a debt for something else",
    Reason.NO_RESPONSE: "no response",
    Reason.OTHER: "another reason",
}

_AGAIN = {
    "CHARGES_CHANGED": "the charges for the customer have changed",
    "STALE_TICKET": "the ticket was closed, or is too old by now",
    "TICKET_UNKNOWN": "the ticket cannot be found any more",
    "NOT_ADMIN": "the author of the ticket is not an administrator any more",
}

REASONS = (
    "Reason: PAST_DUE_BALANCE Amount: 120.00 EUR Invoices: 1001, 1002",
    "Reason: CONTRACT_TERM_ACTIVE Ends: 2027-03-31",
    "Reason: COMMERCIAL_OBJECTION",
    "Reason: UNRELATED_DEBT",
    "Reason: OTHER, followed by a sentence of your own",
)
"""What an old reseller may give as its reason, as it has to be written."""

_AFTER_REASON = re.compile(r"\breason ?: ?other\b", re.IGNORECASE)

_STRANGER_FIX = {
    "WRONG_ACCOUNT": "File it in the control panel of the account whose consent it is: the"
    " customer's, or that of the reseller concerned.",
}


def ticket_text(case: Case, intent: Intent) -> tuple[str, str]:
    """Subject and body of the ticket to file, in names that are sure to be read back.

    A name such as ``Acme Inc. (EU)`` cannot be told from the end of its sentence; where the text
    would not be understood, it names the resellers by their ids.
    """
    parties = [(a.id, a.name, a.aliases) for a in (case.old, case.new)]
    return _ticket_text(case.domain, *parties, intent)


_Known = tuple[str, str, tuple[str, ...]]
"""Id, name and aliases of an account."""


@lru_cache(maxsize=1024)  # each notice has several, and to read one costs a millisecond
def _ticket_text(
    domain: str, old_known: _Known, new_known: _Known, intent: Intent
) -> tuple[str, str]:
    old, new = (Account(id=i, name=n, aliases=a) for i, n, a in (old_known, new_known))
    named = [Account(id=a.id, name=one_line(a)) for a in (old, new)]
    by_id = [Account(id=a.id) for a in (old, new)]
    for pair in (named, (named[0], by_id[1]), (by_id[0], named[1]), by_id):
        subject, body = tickets.text_to_file(intent, domain, *pair)
        claim = reading.read(_filed(subject, body), (*old.names, *new.names))
        if (
            claim is not None
            and claim.intent is intent
            and claim.domain == domain
            and (claim.old is None or old.goes_by(claim.old))
            and (claim.new is None or new.goes_by(claim.new))
        ):
            return subject, body
    return tickets.text_to_file(intent, domain, *named)


def _filed(subject: str, body: str) -> Ticket:
    at = datetime(2000, 1, 1, tzinfo=UTC)
    by = Person(id="any")
    return Ticket(
        id="any",
        account="any",
        author=by,
        subject=subject,
        body=body,
        created_at=at,
        updated_at=at,
    )


def asked_of(case: Case, slot: Slot, *, in_subject: bool = False) -> str:
    """What a party is asked to do; in a subject, shortly and after the domain."""
    limit = 24 if in_subject else 200
    what = "it" if in_subject else "this customer"
    old, new = one_line(case.old, limit), one_line(case.new, limit)
    return {
        Slot.RELEASE: f"release {what} to {new}",
        Slot.AUTHORIZE: f"authorize the move to {new}",
        Slot.ACCEPT: f"accept {what} from {old}",
    }[slot]


def is_asked(case: Case, record: Authorization) -> bool:
    """Whether this party is waited for."""
    mediated_now = record.slot is Slot.RELEASE and case.mediation is not None
    return record.state is SlotState.REQUESTED and not mediated_now and not case.is_terminal


def waiting_for(case: Case, reader: Slot) -> str:
    """Who has not agreed yet: ``you and Globex``; empty if all have."""
    missing = [
        "you" if r.slot is reader else one_line(case.account(r.slot.party), 80)
        for r in sorted(case.slots, key=lambda r: r.slot is not reader)
        if not r.authorized
    ]
    return _listed(missing)


def agreed(case: Case) -> str:
    """Who has agreed so far."""
    return _listed([one_line(case.account(r.slot.party), 80) for r in case.slots if r.authorized])


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def again(event: Evidence) -> str:
    """Why an authorization does not stand any more."""
    if event.code != "ASKED_AGAIN":
        return ""
    code = event.detail.partition(":")[0]
    return _AGAIN.get(code, "the ticket was changed and does not clearly say yes any more")


def reason_of_refusal(case: Case) -> tuple[str, str]:
    """Why the old reseller does not release, and its own words where the reason is no known one."""
    record = next((r for r in case.slots if r.slot is Slot.RELEASE), None)
    if record is None or record.refusal is None:
        return "", ""
    if record.state not in (SlotState.REFUSED, SlotState.WITHDRAWN):
        return "", ""
    refusal = record.refusal
    _, _, details = str(refusal).partition(": ")
    reason = _REFUSALS[refusal.reason] + (f" ({details})" if details else "")
    words = _AFTER_REASON.split(refusal.text, 1)[-1].strip(" .:,") or refusal.text
    return reason, words if refusal.reason is Reason.OTHER else ""


def mediated(case: Case, reader: Slot) -> str:
    """Why it is in mediation, as the rest of a sentence."""
    if case.mediation is None or not case.slots:
        return ""
    own = reader is Slot.RELEASE
    match case.slot(Slot.RELEASE).state:
        case SlotState.REFUSED:
            return "you have refused it" if own else "it was refused"
        case SlotState.WITHDRAWN:
            return "you have withdrawn it" if own else "it was withdrawn"
        case SlotState.LAPSED:
            return "it did not come in time"
        case _:
            return "it cannot be given by ticket at the moment"


def held(case: Case, *, in_their_words: bool = True) -> str:
    """Why it is on hold, as far as the parties may know; with what staff wrote, or without."""
    if case.hold is None:
        return ""
    by_us = case.hold.by == "re-check" or not in_their_words
    return _stopped(case, case.hold.code.value, "" if by_us else case.hold.reason)


def ending(case: Case, event: Evidence | None, reader: Slot) -> tuple[str, str]:
    """How a transfer ended without a move, in a word or two, and why, as the rest of a sentence.

    Without the ``event`` that ended it, what staff wrote is left out.
    """
    slot = next((s for s in Slot if s.value == case.outcome_code), None)
    who = one_line(case.account(slot.party), 200) if slot else "one of the three"
    has = "you have" if slot is reader else f"{who} has"
    who = "you" if slot is reader else who
    match case.outcome:
        case State.REFUSED:
            return "was refused", f"{has} refused it"
        case State.WITHDRAWN:
            return "was withdrawn", f"{has} taken {'your' if slot is reader else 'its'} yes back"
        case State.EXPIRED:
            asked = f"{who} did not {slot.value} it in time" if slot else ""
            return "has expired", asked or "not all three had agreed in time"
        case State.CANCELLED:
            by_us = event is None or event.who == "re-check"
            why = _stopped(case, case.outcome_code, "" if by_us else case.outcome_reason)
            return "was cancelled", why or f"it was cancelled, and {_ASK_US}"
        case _:
            return "", ""


def _stopped(case: Case, code: str, reason: str) -> str:
    if code in _PRIVATE:
        return ""
    phrase = _STOPS.get(code, "").format(old=one_line(case.old), new=one_line(case.new))
    words = one_line(reason).rstrip(" .")
    return "; ".join(part for part in (phrase, words) if part)


def mention(case: Case, event: Evidence, reader: Slot) -> str:
    """One sentence about an event that is told beside another one; empty if it needs none."""
    who = case.account(event.slot.party) if event.slot else ""
    own = event.slot is reader
    match event.code:
        case "AUTHORIZED":
            return f"Your ticket {event.ticket_id} counts as your yes." if own else f"{who} agreed."
        case "REJECTED":
            _, _, fix = event.detail.partition(". ")
            return f"Your ticket {event.ticket_id} does not count. {fix}"
        case "AMBIGUOUS":
            return f"Our support staff are reading your ticket {event.ticket_id}, which is unclear."
        case "SLOT_REFUSED":
            return "Your no has reached us." if own else f"{who} refused."
        case "SLOT_WITHDRAWN":
            return "Your no has reached us." if own else f"{who} withdrew its yes."
        case "MEDIATION":
            why = mediated(case, reader)
            return f"Our support staff talk to {case.old} about the release: {why}."
        case "ASKED_AGAIN":
            asked = "You are" if own else f"{who} is"
            return f"{asked} asked once more, since {again(event)}."
        case "CLEARED":
            return f"{who} is asked once more, since the {one_line(event.detail)} are paid."
        case "RELEASED_BY_STAFF":
            return f"Our support staff released it in the place of {case.old}."
        case "EXTENDED":
            return "Our support staff have given more time."
        case "RESUMED":
            return "The transfer is not on hold any more."
        case _:
            return ""


def stranger_fix(code: str) -> str:
    """How a filer who is no party puts it right, without telling who the parties are."""
    return _STRANGER_FIX.get(code) or FIX.get(code, FIX["STALE_TICKET"])


# -- staff -------------------------------------------------------------------------------------
def staff_heading(case: Case, event: Evidence) -> str:
    """What staff read first."""
    who = one_line(event.who, 40)
    whose = one_line(case.account(event.slot.party), 40) if event.slot else "a party"
    by = ""
    if case.mediation is not None:
        at = case.mediation.first_touch_by
        by = f", take the case by {day(at)}, {clock(at)}"
    return {
        "MEDIATION": f"{one_line(case.old, 24)} has not released it{by}",
        "FIRST_TOUCH_MISSED": "nobody has taken the case",
        "SECOND_LEVEL": "second-level staff, please take over",
        "TAKEN": f"{who} has taken the case",
        "AMBIGUOUS": f"please read ticket {one_line(event.ticket_id or '', 30)}",
        "REJECTED_REPEATEDLY": f"{whose} needs help to file its ticket",
        "RELEASE_PROPOSED": f"{who} proposes a release by staff",
        "RELEASED_BY_STAFF": "released by two members of staff",
        "COMMIT_STUCK": "billing could not be moved",
        "CLEARED": f"the invoices are paid, {one_line(case.old, 24)} is asked once more",
        "HELD": f"on hold, by {who}",
        "RESUMED": f"resumed by {who}",
        "EXTENDED": f"deadline extended by {who}",
        "SLOT_REFUSED": f"{who} refused",
        "SLOT_WITHDRAWN": f"{who} withdrew",
        "REFUSED": "the transfer was refused",
        "WITHDRAWN": "the transfer was withdrawn",
        "EXPIRED": "the transfer has expired",
        "CANCELLED": f"cancelled by {who}",
    }.get(event.code, event.code.lower().replace("_", " "))


def staff_todo(case: Case, event: Evidence) -> str:
    """What staff are asked to do, with the lever for it."""
    domain = case.domain
    match event.code:
        case "MEDIATION" | "FIRST_TOUCH_MISSED":
            take = f"take the case (transfer staff take {domain}), then talk to {case.old}"
            until = moment(case.mediation.second_level_at) if case.mediation else ""
            return f"{take}. If nothing is settled, it goes to second level on {until}."
        case "SECOND_LEVEL":
            return f"talk to {case.old}, or end it (transfer staff cancel {domain})."
        case "AMBIGUOUS":
            levers = f"transfer staff admit {domain}, or transfer staff reject {domain}"
            return f"read ticket {event.ticket_id}, and decide what it says ({levers})."
        case "REJECTED_REPEATEDLY":
            tickets = case.slot(event.slot).rejected[-5:] if event.slot else ()
            codes = ", ".join(f"{one_line(t.ticket_id, 40)} ({t.code})" for t in tickets)
            return f"help them to file it. What did not count: {codes}."
        case "RELEASE_PROPOSED":
            lever = f"transfer staff release {domain}"
            return f"if you agree, confirm it as a second person ({lever}). Nobody can do so alone."
        case "COMMIT_STUCK":
            lever = f"transfer staff retry {domain}"
            return (
                f"find out why and put it right. It is retried by itself, or at once by: {lever}."
            )
        case _:
            return ""
