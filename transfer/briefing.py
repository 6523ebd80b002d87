"""Briefing: what staff are told of an escalation where no page of Temporal is open.

Why it was escalated, what clears it, by when somebody has to act, and every lever that works now,
as the line for the terminal and as the message for Temporal's own pages. Plain text.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from transfer.case import Case, Mediation, SlotState
from transfer.messages import EscalationState, EscalationUpdate, StaffAction
from transfer.offers import offers
from transfer.parties import Slot
from transfer.policy import StaffRelease
from transfer.tickets import Reason, Refusal
from transfer.values import one_line

MAX_WORDS = 600
"""Characters of what somebody wrote."""
MAX_COMMAND = 200
"""Characters of a command that stands inside a sentence."""
MAX_BRIEFING = 8000
"""Characters of a whole briefing: it is kept in a row, a ticket and a workflow's history."""

COMMANDS: Mapping[str, str] = {
    "take_case": "take",
    "admit_ticket": "admit",
    "reject_ticket": "reject",
    "retry_commit": "retry",
    "release_on_behalf": "release",
    "extend_deadline": "extend",
    "resume": "resume",
    "hold": "hold",
    "cancel": "cancel",
}
"""The command for each lever."""
_OPTIONS: Mapping[str, str] = {
    "until": "--until",
    "which": "--which",
    "what": "--what",
    "code": "--code",
    "staff": "--by",
    "reason": "--reason",
}
_OTHER_REASONS: Mapping[Reason, str] = {
    Reason.COMMERCIAL_OBJECTION: "a commercial objection",
    Reason.UNRELATED_DEBT: "a debt for something else",
    Reason.NO_RESPONSE: "no response",
    Reason.OTHER: "another reason",
}


class Why(NamedTuple):
    """Why staff are needed, and what clears it: a sentence or two each."""

    why: str
    to_clear: str


class Way(NamedTuple):
    """Something that staff can do now: the command line, or an update's name and its JSON."""

    does: str
    command: str
    update: str
    message: str


def why(case: Case) -> Why | None:
    """Why staff are needed; ``None`` where nothing is escalated."""
    if case.is_terminal or not case.slots:
        return None
    if case.stuck is not None:
        return Why(
            _words(case.stuck.why),
            "Find out why, and put it right. It is tried again by itself every 15 minutes.",
        )
    if case.mediation is None:
        return None
    found = _mediated(case, case.mediation)
    by_staff = ", or two members of staff in its place"
    or_by_staff = by_staff if case.policy.staff_release is StaffRelease.TWO_PERSON else ""
    at_any_time = f"A fresh release ticket by {_old(case)}{or_by_staff} settles it at any time."
    return Why(found.why, f"{found.to_clear} {at_any_time}".strip())


def ways(case: Case, now: datetime) -> tuple[Way, ...]:
    """Everything that staff can do now, with a message that the rules allow for each."""
    if not case.slots:
        return ()
    found: list[Way] = []
    for offer in offers(case, now):
        about = set[object]()
        for message in offer.messages:
            ticket = getattr(message, "ticket_id", None)
            if ticket not in about:  # one for each ticket, and one where there is none
                about.add(ticket)
                written = json.dumps(message.model_dump(mode="json"), ensure_ascii=False)
                command = _command(case, offer.lever, message)
                does = offer.does[:1].upper() + offer.does[1:]
                found.append(Way(does, command, offer.lever, written))
    return tuple(found)


def briefed(case: Case, escalation: EscalationUpdate, now: datetime) -> EscalationUpdate:
    """An escalation with all that staff have to know of it now, behind its first paragraph.

    One that is closed keeps what it said.
    """
    found = why(case)
    if found is None or escalation.state is EscalationState.CLOSED:
        return escalation
    parts = [
        escalation.detail,
        f"Why: {found.why}\nTo clear it: {found.to_clear}",
        "\n".join(_dates(case, escalation)),
    ]
    intro = "What you can do, in a terminal or in Temporal's pages (More Actions > Send an Update):"
    parts += [intro, *(_shown(way) for way in ways(case, now))]
    text = ""
    for part in filter(None, parts):
        longer = f"{text}\n\n{part}" if text else part
        if len(longer) > MAX_BRIEFING:
            break  # whole parts only: half a command could be another one
        text = longer
    return escalation.model_copy(update={"detail": text})


# -- why -----------------------------------------------------------------------------------------
def _mediated(case: Case, mediation: Mediation) -> Why:
    old, record = _old(case), case.slot(Slot.RELEASE)
    if record.state in (SlotState.REFUSED, SlotState.WITHDRAWN) and record.refusal is not None:
        return _refused(case, old, record.refusal)
    if mediation.why == "NO_RESPONSE":
        return Why(f"NO_RESPONSE: {old} did not answer by {_at(record.deadline)}.", "")
    if mediation.why == "OLD_SUSPENDED":
        return Why(
            f"OLD_SUSPENDED: {old} is suspended, and cannot file a ticket at the moment.",
            "The end of its suspension.",
        )
    code = record.state.value
    said = f"{old} {'withdrew its release' if code == 'WITHDRAWN' else 'refused'}"
    return Why(f"{code}: {said}, without a reason that could be read.", "")


def _refused(case: Case, old: str, refusal: Refusal) -> Why:
    match refusal.reason:
        case Reason.PAST_DUE_BALANCE:
            amount = f"{refusal.amount} {refusal.currency}".strip() if refusal.amount else ""
            owed = f": {amount}" if amount else ""
            ids = ", ".join(one_line(invoice) for invoice in refusal.invoices)
            listed = f", invoices {ids}" if ids else ""
            paid = shlex.join(["transfer", "accounts", "paid", case.domain, *refusal.invoices])
            if len(paid) > MAX_COMMAND:  # half a command would be another one
                paid = f"transfer accounts paid {case.domain} INVOICE…"
            record = f" Record it then ({paid}): {old} is asked once more." if ids else ""
            return Why(
                _words(f"PAST_DUE_BALANCE: {old} says that a balance is past due{owed}{listed}."),
                f"The payment of what is due.{record}",
            )
        case Reason.CONTRACT_TERM_ACTIVE:
            end = f" until {refusal.ends_on}" if refusal.ends_on else ""
            return Why(
                f"CONTRACT_TERM_ACTIVE: {old} says that the contract with the customer runs{end}.",
                f"The end of that contract{f' on {refusal.ends_on}' if end else ''}.",
            )
        case _:
            reason = _OTHER_REASONS[refusal.reason]
            words = f' In its own words: "{_words(refusal.text)}"' if refusal.text.strip() else ""
            return Why(
                f"{refusal.reason.value}: {old} names {reason}.{words}",
                "This may delay the transfer and not stop it: talk to them.",
            )


def _old(case: Case) -> str:
    return one_line(str(case.old)) or "the old reseller"


def _words(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1].rstrip() + "…"


# -- when ----------------------------------------------------------------------------------------
def _dates(case: Case, escalation: EscalationUpdate) -> Iterator[str]:
    yield f"Since: {_at(escalation.opened_at)}"
    mediation = case.mediation
    if mediation is None or case.stuck is not None:
        return
    yield f"Owner: {one_line(mediation.owner) or 'nobody yet'}"
    if case.hold is not None:
        yield "On hold: its clocks stand still."
        return
    if not mediation.owner:
        yield f"First touch by: {_at(mediation.first_touch_by)}"
    reached = mediation.level > 1
    yield f"Second level: {'now' if reached else _at(mediation.second_level_at)}"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


# -- how -----------------------------------------------------------------------------------------
def _shown(way: Way) -> str:
    return f"- {way.does}\n  {way.command}\n  {way.update} {way.message}"


def _command(case: Case, lever: str, message: StaffAction) -> str:
    values = message.model_dump(mode="json")
    words = ["transfer", "staff", COMMANDS[lever], case.domain]
    if ticket := values.get("ticket_id"):
        words.append(str(ticket))
    for field, option in _OPTIONS.items():
        if field in values:
            words += [option, str(values[field])]
    return shlex.join(words)
