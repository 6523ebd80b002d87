"""Details: what staff read of a transfer in Temporal's own pages, as Markdown.

Two texts: ``details`` is kept true while the transfer lives, ``asked_for`` is written once at its
start and can be read without a worker. What comes from outside stands in them as text and nothing
else: see ``escaped``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from transfer import views
from transfer.case import (
    MAX_DOUBTS,
    Authorization,
    Case,
    Evidence,
    Rejection,
    SlotState,
    State,
)
from transfer.clocks import Tick, next_clock
from transfer.judging import FIX, fix_for
from transfer.messages import AdmitTicket, ExtendDeadline
from transfer.offers import Offer, offers
from transfer.parties import Account, Slot
from transfer.policy import StaffRelease
from transfer.tickets import Reason
from transfer.values import one_line

MAX_DETAILS = 20_000
"""Characters of the details; what does not fit is in the query ``status``."""
MAX_SENTENCE = 600
"""Characters of a stranger's sentences: a reason, the summary, the error of a commit."""
MAX_NAME = 120
"""Characters of a stranger's name, subject or id."""
MAX_WORDS = 280
"""Characters of an unclear ticket; staff read the rest in the ticket system."""
MAX_SHOWN = 4
"""Rejected tickets of one party; more are counted."""

MEANS: Mapping[State, str] = {
    State.VALIDATING: "the request is being checked",
    State.AWAITING: "all three are asked, and not all have agreed yet",
    State.MEDIATION: "the old reseller has not released it, and staff talk to it",
    State.ON_HOLD: "staff have stopped every clock",
    State.READY: "all three agreed, and billing moves when the grace is over",
    State.COMMITTING: "billing is being moved",
    State.COMMIT_STUCK: "billing could not be moved yet, and is tried again",
    State.COMPLETED: "billing has moved to the new reseller",
    State.REFUSED: "the customer or the new reseller said no",
    State.WITHDRAWN: "the customer or the new reseller took its yes back",
    State.EXPIRED: "not all three agreed in time",
    State.CANCELLED: "staff or the re-check ended it",
    State.INVALID: "the preflight found something that stands against it",
}
"""What the name of a state means, in half a sentence."""

_TO_CLEAR: Mapping[Reason, str] = {
    Reason.PAST_DUE_BALANCE: "It may stop the transfer until these invoices are paid.",
    Reason.CONTRACT_TERM_ACTIVE: "It may stop the transfer until this contract ends.",
}
_ONLY_DELAYS = "This reason may delay the transfer, and not stop it."
_OPENED: Mapping[str, str] = {
    "NO_RESPONSE": "It has not answered in time.",
    "OLD_SUSPENDED": "It is suspended, and cannot file a ticket at the moment.",
}

HAPPENED: Mapping[str, str] = {
    "RECEIVED": "the transfer was asked for",
    "OPENED": "all three are asked",
    "AUTHORIZED": "{who} agreed",
    "SLOT_REFUSED": "{who} refused",
    "SLOT_WITHDRAWN": "{who} took its yes back",
    "REJECTED": "a ticket of {who} does not count",
    "REJECTED_REPEATEDLY": "{who} filed several tickets that do not count",
    "AMBIGUOUS": "staff have to read a ticket of {who}",
    "FOREIGN_TICKET": "a ticket of somebody else does not count",
    "SUPERSEDED": "a newer ticket of {who} counts instead",
    "REMINDED": "{who} is reminded",
    "ASKED_AGAIN": "{who} is asked again",
    "CLEARED": "what {who} refused for is settled",
    "MEDIATION": "staff have to talk to the old reseller",
    "MEDIATION_ENDED": "the mediation is over",
    "TAKEN": "a staff member mediates",
    "FIRST_TOUCH_MISSED": "nobody has taken the case in time",
    "SECOND_LEVEL": "second-level staff take over",
    "RELEASE_PROPOSED": "a staff member proposes to release it",
    "RELEASED_BY_STAFF": "two staff members released it",
    "ADMITTED": "staff decided what a ticket says",
    "EXTENDED": "a deadline was moved",
    "HELD": "it is on hold",
    "RESUMED": "it goes on after a hold",
    "READY": "all three agreed",
    "COMMITTING": "billing is being moved",
    "COMMIT_STUCK": "billing could not be moved yet",
    "RETRIED": "staff try the commit again",
    "LATE": "a ticket came after the end",
    "TOO_LATE": "a ticket came while billing was being moved",
    "COMPLETED": "billing has moved",
    "REFUSED": "it was refused",
    "WITHDRAWN": "it was withdrawn",
    "EXPIRED": "it has expired",
    "CANCELLED": "it was cancelled",
    "INVALID": "something stands against it",
}
"""What a piece of evidence says, for the timeline; ``{who}`` is the party it is about."""

_WHERE = (
    "Where it is now: **Current Details** beside this, or the query `status`; without a worker,"
    " the search attributes `TransferState`, `WaitingOn` and `NextDeadline`."
)

_MORE = "There is more: see the query `status`."


# -- what staff read ---------------------------------------------------------------------------
def details(case: Case, now: datetime) -> str:
    """Everything staff have to know of a transfer now, and what they can do about it.

    The message for each lever is one that its rule was asked about, so what is offered works.
    """
    parts = [
        f"## {case.state.value}: {MEANS[case.state]}",
        f"**{escaped(views.summary(case), MAX_SENTENCE)}**",
        _who(case),
        _slots(case),
        *_next(case),
        *_outcome(case),
        *_hold(case),
        *_stuck(case),
        *_mediation(case),
        *_doubts(case),
        *_rejected(case),
    ]
    return _fitting((part for part in parts if part), end="\n\n".join(_levers(case, now)))


def asked_for(case: Case) -> str:
    """Who asked for what, where to look, and what the states mean: true for ever."""
    charges = escaped(case.charges, MAX_SENTENCE) if case.charges else "not known"
    return _fitting(
        [
            f"Asked for by **{escaped(case.request.requested_by)}** at {_at(case.received_at)}.",
            _who(case, charges),
            _WHERE,
            "\n".join(f"- `{state.value}`: {means}" for state, means in MEANS.items()),
        ]
    )


def escaped(text: object, limit: int = MAX_NAME) -> str:
    """A stranger's text as one line of Markdown that shows it and does nothing.

    No link, image, heading, list, HTML, code or table comes of it, wherever it stands. What could
    is written by number: readers of Markdown differ in what a backslash does, and none takes a
    numbered character for markup. An address is no markup, and is linked all the same; so a
    character without width stands inside one.
    """
    line = one_line(str(text))
    line = line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
    line = _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", line)
    line = _AT_THE_START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", line)
    return _ADDRESS.sub("\\g<0>\u200b", line)


def happened(case: Case, events: Iterable[Evidence]) -> str:
    """What some pieces of evidence say, as one line of plain text for the timeline."""
    said = {
        HAPPENED.get(event.code, event.code).format(
            who=case.account(event.slot.party) if event.slot else "a party"
        ): None
        for event in events
    }
    return one_line("; ".join(said))


_ACTIVE = re.compile(r"[\\`*~|!\[\]{}<>&$^]|(?<![^\W_])_|_(?![^\W_])")
_AT_THE_START = re.compile(r"^((?:\d+(?=[.)]))?)([-#+=:.)])")
_ADDRESS = re.compile(r"(?<=[a-z]):(?=\S)|www(?=\.)|.(?=@)", re.IGNORECASE)
# Nothing that Markdown reads in the middle of an address: no bracket, entity, quote or space.
_SAFE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/%?=&#+:@,-]*)?")


# -- its parts ---------------------------------------------------------------------------------
def _who(case: Case, charges: str = "") -> str:
    old, new = _named(case.old), _named(case.new)
    billed = f" Charges: {charges}." if charges else ""
    return f"{_named(case.customer)}, from {old or 'its reseller'} to {new}.{billed}"


def _named(account: Account) -> str:
    name, number = escaped(account), escaped(account.id)
    return name if name == number or not number else f"{name} ({number})"


def _slots(case: Case) -> str:
    """A list: the pane is too narrow for a table, and draws no lines."""
    return "\n".join(_slot(case, record) for record in case.slots)


def _slot(case: Case, record: Authorization) -> str:
    since = record.said_at if record.by else record.requested_at
    if record.state is SlotState.LAPSED:
        since = record.deadline
    ticket = record.ticket_id and f"ticket {_linked(record.ticket_id, record.url)}"
    facts = (
        record.state.value + (f" by {escaped(record.by)}" if record.by else ""),
        since and f"since {_at(since)}",
        _until(case, record),
        ticket,
    )
    party = escaped(case.account(record.slot.party))
    return f"- **{record.slot.value}**, {party}: {', '.join(fact for fact in facts if fact)}"


def _until(case: Case, record: Authorization) -> str:
    if case.is_terminal or record.state is not SlotState.REQUESTED:
        return ""
    if case.hold is not None:
        return "its clock is stopped"
    if record.slot is Slot.RELEASE and case.mediation is not None:
        return "in mediation"
    return f"until {_at(record.deadline)}"


def _next(case: Case) -> Iterator[str]:
    clock = next_clock(case)
    if clock is None:
        return
    is_ours = clock.tick in (Tick.COMMIT, Tick.RETRY_COMMIT)
    head = "Next" if is_ours else "If nothing comes"
    lines = f"**{head}:** {_at(clock.at)}: {escaped(clock.what, MAX_SENTENCE)}."
    if case.is_open_to_parties and case.expires_at and clock.tick is not Tick.EXPIRE:
        lines += f" The whole transfer expires at {_at(case.expires_at)}."
    yield lines


def _outcome(case: Case) -> Iterator[str]:
    if not case.is_terminal:
        return
    code, reason = escaped(case.outcome_code), escaped(case.outcome_reason, MAX_SENTENCE)
    told = ": ".join(part for part in (code, reason) if part)
    yield f"**It is over**{f' ({told})' if told else ''}. Nothing changes it any more."
    if case.findings:
        yield "\n".join(
            f"- {escaped(finding.code)}: {escaped(finding.fix, MAX_SENTENCE)}"
            for finding in case.findings[:20]
        )


def _hold(case: Case) -> Iterator[str]:
    if case.hold is not None:
        reason = escaped(case.hold.reason, MAX_SENTENCE)
        yield (
            f"**On hold** since {_at(case.hold.at)} by {escaped(case.hold.by)},"
            f" {case.hold.code.value}: {reason}"
        )


def _stuck(case: Case) -> Iterator[str]:
    if case.stuck is not None and not case.is_terminal:
        why = escaped(case.stuck.why, MAX_SENTENCE)
        yield f"**The commit is stuck** since {_at(case.stuck.at)}: {why}"


def _mediation(case: Case) -> Iterator[str]:
    if case.mediation is None or case.is_terminal:
        return
    mediation = case.mediation
    who = escaped(mediation.owner) if mediation.owner else "nobody yet"
    by = "" if mediation.owner else f", wanted by {_at(mediation.first_touch_by)}"
    level = "second level" if mediation.level > 1 else "first level"
    yield (
        f"**Mediation** since {_at(mediation.opened_at)}, {level}. **Mediator:** {who}{by}.\n\n"
        f"{_why(case, mediation.why)} A fresh release by {escaped(case.old)} clears it"
        f"{_or_by_staff(case)}."
    )
    if case.proposal is not None:
        proposal = case.proposal
        yield (
            f"**{escaped(proposal.staff)} proposes to release it** since {_at(proposal.at)}:"
            f" {escaped(proposal.reason, MAX_SENTENCE)} A second person has to confirm."
        )


def _why(case: Case, why: str) -> str:
    refusal = case.slot(Slot.RELEASE).refusal
    if refusal is None:
        return _OPENED.get(why, f"Why: {escaped(why)}.")
    words = escaped(refusal.text, MAX_SENTENCE)
    quoted = f"\n\n> {words}\n\n" if words else " "
    to_clear = _TO_CLEAR.get(refusal.reason, _ONLY_DELAYS)
    return f"Its reason: {escaped(refusal, MAX_SENTENCE)}.{quoted}{to_clear}"


def _or_by_staff(case: Case) -> str:
    is_allowed = case.policy.staff_release is StaffRelease.TWO_PERSON
    return ", or two staff members in its place" if is_allowed else ""


def _doubts(case: Case) -> Iterator[str]:
    if not case.doubts:
        return
    yield "### Tickets that staff have to read"
    for doubt in case.doubts[:MAX_DOUBTS]:
        party = escaped(case.account(doubt.slot.party))
        subject = escaped(doubt.ticket.subject) or "no subject"
        words = escaped(doubt.ticket.body, MAX_WORDS)
        said = f"\n> {words}" if words else ""
        number = _linked(doubt.ticket.id, doubt.ticket.url)
        yield f"Ticket {number} by {party} ({doubt.slot.value}): {subject}\n{said}".rstrip()
    if len(case.doubts) > MAX_DOUBTS:
        yield f"And {len(case.doubts) - MAX_DOUBTS} more: see the query `status`."


def _linked(ticket_id: str, url: str) -> str:
    """A ticket's number, as a link where the ticket system gave a plain address."""
    number = escaped(ticket_id)
    return f"[{number}]({url})" if _SAFE_URL.fullmatch(url) else number


def _rejected(case: Case) -> Iterator[str]:
    unread = {doubt.ticket.id for doubt in case.doubts}
    lines: list[str] = []
    for record in case.slots:
        shown = [rejection for rejection in record.rejected if rejection.ticket_id not in unread]
        lines += [_rejection(case, one, record.slot) for one in shown[-MAX_SHOWN:]]
        if len(shown) > MAX_SHOWN:
            lines.append(f"- and {len(shown) - MAX_SHOWN} before, for {record.slot.value}")
    lines += [_rejection(case, one, None) for one in case.strangers[-MAX_SHOWN:]]
    if lines:
        yield "### Tickets that do not count"
        yield "\n".join(lines)


def _rejection(case: Case, rejection: Rejection, slot: Slot | None) -> str:
    whose = f" by {escaped(case.account(slot.party))} ({slot.value})" if slot else ""
    fix = fix_for(case, slot, rejection.code) if rejection.code in FIX else ""
    fix = "Staff have read it." if rejection.decided else fix
    told = f"{rejection.code}: {escaped(fix, MAX_SENTENCE)}" if fix else escaped(rejection.code)
    return f"- {escaped(rejection.ticket_id)}{whose}, {_at(rejection.at)}. {told}"


def _levers(case: Case, now: datetime) -> Iterator[str]:
    found = offers(case, now)
    if not found:
        return
    yield "### What staff can do now"
    yield "More Actions > Send an Update: choose one, paste its JSON, and put in your name and why."
    yield "\n".join(
        f"- **{offer.lever}**: {offer.does}{_choices(offer)}"
        f" `{json.dumps(offer.messages[0].model_dump(mode='json'))}`"
        for offer in found
    )


def _choices(offer: Offer) -> str:
    """What else the message may name."""
    which = [m.which.value for m in offer.messages if isinstance(m, ExtendDeadline)]
    admitted = [m for m in offer.messages if isinstance(m, AdmitTicket)]
    what = [m.what.value for m in admitted if m.ticket_id == admitted[0].ticket_id]
    choices = which or what
    return f' (`"{"which" if which else "what"}"`: {", ".join(choices)})' if choices[1:] else ""


def _fitting(parts: Iterable[str], end: str = "") -> str:
    """Whole parts only: half a table or code block would swallow what follows. The end stays."""
    kept: list[str] = []
    room = MAX_DETAILS - len(end) - len(_MORE) - 4
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            kept.append(_MORE)
            break
        kept.append(part)
    return "\n\n".join([*kept, end] if end else kept)


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
