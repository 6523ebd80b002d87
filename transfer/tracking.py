"""The tracking page: what one party may see of its transfer, and no more.

Pure: a case and a reader in, words and instants out; the gateway makes HTML of them. Of the other
parties it tells their name and state. What staff or others wrote is never on it: a link is passed
on more easily than a mail. The words are those of the notices wherever both say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from transfer.billing import split_month
from transfer.case import Authorization, Case, SlotState, State
from transfer.judging import fix_for
from transfer.parties import Party, Slot
from transfer.templates import one_line
from transfer.templates.phrases import (
    REASONS,
    asked_of,
    ending,
    held,
    is_asked,
    mediated,
    ticket_text,
    waiting_for,
)
from transfer.tickets import Intent

MAX_NAME = 80
MAX_REJECTED = 3
"""Of the reader's own tickets that do not count, the newest are shown."""
_TO_FILE = "Client Account > Support > Enter A Support Ticket"

Words = tuple[str | datetime, ...]
"""A sentence, in pieces: an instant stays one, so that it can be marked as such."""


class Mark(StrEnum):
    """How a step, or the whole, stands. The page shows it by a sign and words beside colour."""

    DONE = "done"
    OPEN = "open"
    YOURS = "yours"
    STAFF = "staff"
    NO = "no"
    OVER = "over"


class Step(NamedTuple):
    """One of the three authorizations."""

    slot: Slot
    what: str
    own: bool
    mark: Mark
    says: Words


class Filing(NamedTuple):
    """A ticket to file, exactly so. ``reasons`` are lines of which one may be added."""

    name: str
    subject: str
    body: str
    reasons: tuple[str, ...] = ()


class Section(NamedTuple):
    """A part of the page. ``small`` parts are folded until somebody wants them."""

    name: str
    heading: str
    words: tuple[Words, ...]
    facts: tuple[tuple[str, Words], ...] = ()
    filing: Filing | None = None
    after: tuple[Words, ...] = ()
    small: bool = False


class PageView(NamedTuple):
    """Everything that the page says to one party."""

    domain: str
    reader: str
    route: tuple[tuple[str, str], ...]
    mark: Mark
    state: str
    lead: tuple[Words, ...]
    todo: Section | None
    steps: tuple[Step, ...]
    sections: tuple[Section, ...]
    told_at: datetime


def tracking_page(case: Case, party: Party, told_at: datetime, now: datetime) -> PageView:
    """What ``party`` sees of a case that it was last told of at ``told_at``."""
    if not case.slots:
        return _unopened(case, told_at)
    record = next(record for record in case.slots if record.slot.party is party)
    mark, state = _state(case, record)
    sections = (_next(case, record, now), *_ways_out(case, record))
    return PageView(
        domain=case.shown_domain,
        reader=_name(case, record.slot),
        route=(
            ("Customer", _name(case, Slot.AUTHORIZE)),
            ("From", _name(case, Slot.RELEASE)),
            ("To", _name(case, Slot.ACCEPT)),
        ),
        mark=mark,
        state=state,
        lead=tuple(_lead(case, record, now)),
        todo=_todo(case, record),
        steps=tuple(_step(case, one, record.slot) for one in case.slots),
        sections=tuple(section for section in sections if section is not None),
        told_at=told_at,
    )


def _unopened(case: Case, told_at: datetime) -> PageView:
    """Nobody was asked: who the parties would be is only what the request claims."""
    over = case.is_terminal
    says = "The request could not be opened." if over else "The request is being checked."
    return PageView(
        domain=case.shown_domain,
        reader="",
        route=(),
        mark=Mark.OVER if over else Mark.OPEN,
        state="Not opened" if over else "Being checked",
        lead=((says + " Nothing has been moved.",),),
        todo=None,
        steps=(),
        sections=(),
        told_at=told_at,
    )


# -- the whole ---------------------------------------------------------------------------------
def _state(case: Case, mine: Authorization) -> tuple[Mark, str]:
    """Where the transfer is, in a few words."""
    match case.state:
        case State.COMPLETED:
            return Mark.DONE, "Complete"
        case State.COMMITTING | State.COMMIT_STUCK:
            return Mark.DONE, "Billing is being moved"
        case State.READY:
            return Mark.DONE, "All three have agreed"
        case State.ON_HOLD:
            return Mark.STAFF, "On hold"
        case State.AWAITING | State.MEDIATION if is_asked(case, mine):
            return Mark.YOURS, "Waiting for you"
        case State.MEDIATION:
            return Mark.STAFF, "Our support staff mediate"
        case State.AWAITING:
            return Mark.OPEN, f"Waiting for {waiting_for(case, mine.slot)}"
        case _:
            return Mark.OVER, f"Over: it {ending(case, None, mine.slot)[0]}"


def _lead(case: Case, mine: Authorization, now: datetime) -> Iterator[Words]:
    """What that means for the reader."""
    old, new = _name(case, Slot.RELEASE), _name(case, Slot.ACCEPT)
    match case.state:
        case State.COMPLETED if case.completed_at:
            yield ("The transfer is complete. It was moved on ", case.completed_at, ".")
            yield (_COMPLETED[mine.slot].format(old=old, new=new),)
        case State.COMMITTING | State.COMMIT_STUCK:
            yield (f"Billing is being moved from {old} to {new}. You need not do anything.",)
        case State.READY if case.commit_at:
            yield (f"Billing moves from {old} to {new} at exactly this instant:",)
            yield (case.commit_at,)
            if case.doubts:
                yield _DOUBT
            elif case.commit_at <= now:
                yield ("It has come: everything is checked once more, and billing moves.",)
            yield ("You need not do anything.",)
        case State.ON_HOLD:
            why = held(case, in_their_words=False)
            yield (f"The transfer is on hold{': ' + why if why else ''}.",)
            yield ("Every deadline stands still, and nothing is moved. You need not do anything.",)
        case State.MEDIATION:
            yield from _mediation(case, mine, old)
        case State.AWAITING if mine.authorized:
            yield ("You have agreed. You need not do anything now.",)
        case State.AWAITING:
            yield (f"It happens only if all three agree. Please {asked_of(case, mine.slot)}.",)
        case _:
            yield (f"The transfer is over: {ending(case, None, mine.slot)[1]}.",)
            yield _NOT_MOVED if case.outcome_code == "NOT_CURRENT_RESELLER" else _stays(old)


_COMPLETED = {
    Slot.RELEASE: "You are not billed for this customer any more, and have no access to its"
    " account any more.",
    Slot.AUTHORIZE: "{new} bills you from then on, and {old} has no access to your account any"
    " more. Nothing else has changed: the account, its data and its settings are where they were.",
    Slot.ACCEPT: "The customer is in your account now, with everything it had.",
}
_NOT_MOVED = ("Nothing has been moved.",)
_DOUBT = (
    (
        "Before that, our support staff have to read a ticket that is unclear. Should they need"
        " longer, it moves as soon as they are done."
    ),
)


def _stays(old: str) -> Words:
    return (f"Nothing has been moved: {old} goes on billing the customer as before.",)


def _mediation(case: Case, mine: Authorization, old: str) -> Iterator[Words]:
    why = mediated(case, mine.slot)
    if mine.slot is Slot.RELEASE:
        yield (f"The transfer waits for your release: {why}.",)
        yield ("A member of our support staff will contact you to settle what stands in the way.",)
    else:
        yield (f"The transfer needs the release of {old}, and {why}.",)
        yield ("A member of our support staff takes it up with them. You need not do that.",)
        if mine.authorized:
            yield ("Your own yes stands. You need not do anything now.",)


# -- the steps ---------------------------------------------------------------------------------
def _name(case: Case, slot: Slot) -> str:
    account = case.account(slot.party)
    return one_line(account, MAX_NAME) or one_line(account.id, MAX_NAME)


def _step(case: Case, record: Authorization, reader: Slot) -> Step:
    own = record.slot is reader
    who = f"{_name(case, record.slot)} (you)" if own else _name(case, record.slot)
    what = {
        Slot.RELEASE: f"{who} releases the customer",
        Slot.AUTHORIZE: f"{who} authorizes the transfer",
        Slot.ACCEPT: f"{who} accepts the customer",
    }[record.slot]
    mark, says = _says(case, record, reader)
    return Step(record.slot, what, own, mark, says)


def _says(case: Case, record: Authorization, reader: Slot) -> tuple[Mark, Words]:
    """The state of one step in words; of somebody else's step no more than that."""
    own = record.slot is reader
    match record.state:
        case SlotState.AUTHORIZED if record.released_by_staff:
            return Mark.DONE, ("Released by our support staff, after mediation",)
        case SlotState.AUTHORIZED if own and record.ticket_id and record.said_at:
            said = f"You agreed by ticket {one_line(record.ticket_id)}, on "
            return Mark.DONE, (said, record.said_at)
        case SlotState.AUTHORIZED:
            return Mark.DONE, ("Has agreed",)
        case SlotState.REFUSED:
            return Mark.NO, ("You have refused" if own else "Has refused",)
        case SlotState.WITHDRAWN:
            return Mark.NO, ("You have taken your yes back" if own else "Has taken its yes back",)
        case SlotState.LAPSED:
            return Mark.NO, ("No answer in time",)
        case SlotState.REQUESTED if case.is_terminal:
            return Mark.OVER, ("Not needed any more",)
        case SlotState.REQUESTED if case.hold is not None:
            return Mark.OPEN, ("Not yet; the deadline stands still",)
        case SlotState.REQUESTED if record.slot is Slot.RELEASE and case.mediation is not None:
            return Mark.STAFF, ("Not yet; our support staff mediate",)
        case SlotState.REQUESTED if own:
            return Mark.YOURS, ("Waiting for you, until ", record.deadline)
        case _:
            return Mark.OPEN, ("Has not agreed yet",)


# -- what the reader has to do -----------------------------------------------------------------
def _todo(case: Case, mine: Authorization) -> Section | None:
    """The reader's own open step: what to file, where, by when, and what happens otherwise."""
    if not case.is_open_to_parties or case.hold is not None:
        return None
    asked = is_asked(case, mine)
    if not asked and not _may_still_release(case, mine):
        return None
    words: list[Words] = list(_about_own_tickets(case, mine))
    where = f"Log in to your control panel with your administrative account, open {_TO_FILE}, and"
    words.append((f"{where} file exactly this ticket.",))
    if mine.slot is Slot.AUTHORIZE:
        words.append(_AS_YOURSELF)
    facts: list[tuple[str, Words]] = [("File it by", (mine.deadline,))] if asked else []
    if mine.slot is Slot.ACCEPT and case.charges:
        facts.append(("You accept these charges", (one_line(case.charges),)))
    silence = _IF_SILENT[mine.slot] if asked else ""
    return Section(
        name="todo",
        heading=f"Please {asked_of(case, mine.slot)}" if asked else "You can still release it",
        words=tuple(words),
        facts=tuple(facts),
        filing=_filing(case, Intent(mine.slot.value)),
        after=((silence,),) if silence else (),
    )


_AS_YOURSELF = (
    (
        "Log in as yourself. Your reseller can open your account too, so a ticket that is filed in"
        " a session opened by somebody else does not count."
    ),
)
_IF_SILENT = {
    Slot.RELEASE: "If we hear nothing from you by then, our support staff will contact you to"
    " settle it. Silence is not taken for a yes.",
    Slot.AUTHORIZE: "If we hear nothing from you by then, the transfer ends, and everything stays"
    " as it is.",
    Slot.ACCEPT: "If we hear nothing from you by then, the transfer ends, and you are not charged.",
}


def _may_still_release(case: Case, mine: Authorization) -> bool:
    """An old reseller can end its own mediation, unless it cannot file a ticket at all."""
    mediation = case.mediation
    waits = mine.slot is Slot.RELEASE and not mine.authorized
    return waits and mediation is not None and mediation.why != "OLD_SUSPENDED"


def _about_own_tickets(case: Case, mine: Authorization) -> Iterator[Words]:
    for doubt in case.doubts:
        if doubt.slot is mine.slot:
            ticket = one_line(doubt.ticket.id)
            yield (f"Our support staff are reading your ticket {ticket}, which is unclear.",)
            yield ("It is quicker to file a new one.",)
    unclear = {doubt.ticket.id for doubt in case.doubts}
    # A ticket that was not found may be anybody's: who rang for it is not known.
    own = [r for r in mine.rejected if r.code != "TICKET_UNKNOWN"]
    for rejection in own[-MAX_REJECTED:]:
        if rejection.ticket_id not in unclear:
            fix = one_line(fix_for(case, mine.slot, rejection.code))
            yield (f"Your ticket {one_line(rejection.ticket_id)} does not count. {fix}",)


def _filing(case: Case, intent: Intent, *, with_reason: bool = False) -> Filing:
    subject, body = ticket_text(case, intent)
    if not with_reason:
        return Filing(intent.value, subject, body)
    return Filing(intent.value, subject, f"{body}\nReason: OTHER", REASONS)


# -- what happens next -------------------------------------------------------------------------
def _next(case: Case, mine: Authorization, now: datetime) -> Section | None:
    words = tuple(_what_is_next(case, mine, now))
    return Section("next", "What happens next", words) if words else None


def _what_is_next(case: Case, mine: Authorization, now: datetime) -> Iterator[Words]:
    match case.state:
        case State.AWAITING | State.MEDIATION:
            for record in sorted(case.slots, key=lambda one: one.deadline):
                if is_asked(case, record):
                    yield _if_silent(case, record, mine.slot, now)
            at_once = case.policy.after(now, case.policy.grace) == now
            then = "." if at_once else ", and all three are told the exact instant before."
            yield ("When all three have agreed, billing moves" + then,)
            if case.expires_at is not None:
                yield (
                    "If that is not so by ",
                    case.expires_at,
                    ", the transfer ends and everything stays as it is.",
                )
        case State.READY:
            yield ("At that instant everything is checked once more, and billing moves.",)
            yield ("You get a mail as soon as it is done.",)
            if mine.slot is Slot.ACCEPT and case.charges:
                yield (f"You pay from then on: {one_line(case.charges)}.",)
        case State.COMMITTING | State.COMMIT_STUCK:
            yield ("You get a mail as soon as it is done.",)
        case State.ON_HOLD:
            yield ("We write again when it goes on. Our support staff tell you more on request.",)
        case State.COMPLETED if case.completed_at:
            yield from _bill(case, mine.slot, case.completed_at)
            until = case.policy.after(case.completed_at, case.policy.lock)
            yield ("Until ", until, " the customer cannot be transferred again.")
        case _:
            return


def _if_silent(case: Case, record: Authorization, reader: Slot, now: datetime) -> Words:
    own = record.slot is reader
    who = "you have" if own else f"{_name(case, record.slot)} has"
    with_whom = "you" if own else "them"
    then = (
        f"our support staff take it up with {with_whom}."
        if record.slot is Slot.RELEASE
        else "the transfer ends and everything stays as it is."
    )
    late = " That instant has passed; it happens shortly." if record.deadline <= now else ""
    return (f"If {who} not answered by ", record.deadline, f", {then}{late}")


def _bill(case: Case, reader: Slot, at: datetime) -> Iterator[Words]:
    """Each reseller its own bill; a customer sees no prices."""
    if case.charges is None or reader is Slot.AUTHORIZE:
        return
    split, currency = split_month(case.charges.price, at), one_line(case.charges.currency)
    if reader is Slot.RELEASE:
        yield (f"Your last bill: {split.last} {currency}, for this month up to then.",)
    else:
        yield (f"Your first bill: {split.first} {currency}, for the rest of this month.",)
        yield (f"After that: {one_line(case.charges)}.",)


# -- the ways out ------------------------------------------------------------------------------
def _ways_out(case: Case, mine: Authorization) -> Sequence[Section]:
    """How to stop it, to say no, or to start again."""
    where = f"In your control panel, open {_TO_FILE}, and file this ticket"
    if case.is_open_to_parties and case.state is State.READY:
        words = f"{where} before then, logged in with your administrative account."
        return [
            Section("stop", "How to stop it", ((words,),), filing=_filing(case, Intent.WITHDRAW))
        ]
    if case.is_open_to_parties and mine.authorized:
        words, no = f"{where} before billing moves.", _filing(case, Intent.WITHDRAW)
        return [Section("stop", "If you change your mind", ((words,),), filing=no, small=True)]
    if case.is_open_to_parties and mine.state is not SlotState.REFUSED and case.hold is None:
        release = mine.slot is Slot.RELEASE
        no = _filing(case, Intent.REFUSE, with_reason=release)
        after = f" The customer and {_name(case, Slot.ACCEPT)} are told the reason."
        text = f"{where} instead.{after if release else ''}"
        return [Section("refuse", "To say no", ((text,),), filing=no, small=True)]
    if not case.is_terminal or case.state is State.COMPLETED or mine.slot is Slot.RELEASE:
        return []
    if case.policy.ticket_opens_transfer and case.outcome is not State.CANCELLED:
        text = f"{where}. It opens a new transfer, and all three are asked again."
        ticket = _filing(case, Intent(mine.slot.value))
        return [Section("again", "To start again", ((text,),), filing=ticket)]
    text = "Please contact our support. All three are then asked again."
    return [Section("again", "To start again", ((text,),))]
