"""What may be believed of a transfer: the model, which knows the trade and none of the code.

It is told what was seen: tickets that were read back, levers that were pulled, what is on record,
and when. What a text means it knows from the list of texts that people file in a history, not by
reading. Of each party it keeps one thing, the newest word that was validly said, by the ticket's
own time; from the three, and from what is on record, follows where the transfer has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.core.acts import TEXTS, Pull, Step
from tests.core.builders import ACCOUNT_OF, ACME, REFUSE_TEXT, WITHDRAW_TEXT
from transfer.case import State
from transfer.messages import AdmitTicket, ExtendDeadline, RejectTicket, TicketReading, Which
from transfer.parties import Charges, Facts, Slot
from transfer.tickets import Channel, Ticket

FRESH, GRACE = timedelta(days=30), timedelta(hours=24)
LIFETIME, LIFETIME_CAP = timedelta(days=30), timedelta(days=60)
PARTY_DEADLINE = timedelta(days=14)
RELEASE_BUSINESS_DAYS = 5
FRIDAY = 4

YES, REFUSED, WITHDRAWN, UNCLEAR, NOTHING = "yes", "refuse", "withdraw", "unclear", "nothing"
NO = (REFUSED, WITHDRAWN)
NO_TEXTS = {REFUSE_TEXT: REFUSED, TEXTS["refuse until paid"]: REFUSED, WITHDRAW_TEXT: WITHDRAWN}


def meaning(slot: Slot, body: str) -> str:
    """What a text means where this party files it."""
    if body == TEXTS["unclear"]:
        return UNCLEAR
    return NO_TEXTS.get(body, YES if body == TEXTS[slot.value] else NOTHING)


def is_its_own(reading: TicketReading, slot: Slot) -> bool:
    """Whether a party speaks here: an administrator on record, in person, in its own panel."""
    ticket = reading.ticket
    return (
        ticket is not None
        and ticket.account == ACCOUNT_OF[slot]
        and ticket.administrator
        and reading.on_record
        and not ticket.delegated
        and ticket.channel is Channel.PANEL
    )


def business_days_after(start: datetime, days: int) -> datetime:
    """So many weekdays later; a weekend gives nobody less time."""
    if start.weekday() > FRIDAY:
        start = start.replace(hour=0, minute=0, second=0, microsecond=0)
        start += timedelta(days=7 - start.weekday())
    while days:
        start += timedelta(days=1)
        days -= start.weekday() <= FRIDAY
    return start


def newest_first(readings: Iterable[TicketReading]) -> list[tuple[TicketReading, Ticket]]:
    """Of the words of one party that are found together, the last one counts."""
    there = [(reading, reading.ticket) for reading in readings if reading.ticket]
    return sorted(there, key=lambda pair: pair[1].updated_at, reverse=True)


class Word(NamedTuple):
    """What a party has said: in which ticket, as it was when; or staff in its place."""

    says: str
    when: datetime
    ticket_id: str = ""
    revision: int = 0
    person: str = ""
    admitted: bool = False


@dataclass
class Voice:
    """One party, and the newest word that it has validly said.

    ``stands`` tells that nothing has made it fall since: its ticket still says so. ``after`` is
    when the charges changed: a yes from before has not seen them. ``heard`` is the last revision of
    each ticket that was judged, ``unread`` are unclear ones that wait for staff.
    """

    slot: Slot
    due: datetime
    newest: Word | None = None
    stands: bool = False
    was_taken_back: bool = False
    is_silent: bool = False
    after: datetime | None = None
    heard: dict[str, int] = field(default_factory=dict)
    unread: dict[str, Ticket] = field(default_factory=dict)

    @property
    def word(self) -> Word | None:
        """What it says now, if anything."""
        return self.newest if self.stands else None

    @property
    def says(self) -> str:
        """Yes, a no, or nothing (any more)."""
        return self.word.says if self.word else NOTHING

    @property
    def is_awaited(self) -> bool:
        """Whether its deadline is running."""
        return self.word is None and not self.is_silent

    def is_news(self, word: Word) -> bool:
        """Whether this is newer than what was said last. At the same time, a no wins."""
        newest = self.newest
        if word.says == YES and self.after is not None and word.when <= self.after:
            return False
        if newest is None or word.when != newest.when:
            return newest is None or word.when > newest.when
        if self.stands and word.ticket_id == newest.ticket_id:
            return word.revision > newest.revision
        return word.says in NO and self.says not in NO


class Model:
    """What a transfer that is opened now must be like, whatever happens to it."""

    def __init__(self, now: datetime, known: Facts, *, two_person: bool) -> None:
        assert known.customer is not None
        self.two_person = two_person
        self.began = now
        self.shown: Charges = known.customer.charges
        self.expires, self.cap = now + LIFETIME, now + LIFETIME_CAP
        self.voices = {slot: Voice(slot, self._deadline(slot, now)) for slot in Slot}
        self.commit_at: datetime | None = None
        self.held_at: datetime | None = None
        self.committing_at: datetime | None = None
        self.is_stuck = False
        self.mediates = False
        self.proposed_by = ""
        self.outcome: State | None = None

    def follow(self, step: Step) -> None:
        """Learn what happened at a step."""
        now = step.now
        if step.pulled is not None:
            self._pulled(step.pulled, step)
        elif step.cause == "commit":
            self.outcome, self.is_stuck = State.COMPLETED, False
        elif step.cause == "commit fails":
            self.is_stuck = True
        elif not self.takes_tickets:
            return
        elif step.cause == "what was owed is paid":
            self.mediates, self.proposed_by = False, ""
            self._ask_again(self.voices[Slot.RELEASE], now)
        elif step.cause.startswith("clock"):
            self._ring(now)
        elif step.cause == "re-check":
            self._look_once_more(step)
        elif step.cause == "survey":
            self._find(step.heard, now)
        else:
            for reading in step.heard:
                self._hear(reading, now)

    # -- where it is ----------------------------------------------------------------------------
    @property
    def takes_tickets(self) -> bool:
        """Whether what a party says can still change anything."""
        return self.outcome is None and self.committing_at is None

    @property
    def all_agree(self) -> bool:
        """Whether each of the three says yes."""
        return all(voice.says == YES for voice in self.voices.values())

    @property
    def waits_for_staff(self) -> bool:
        """Whether somebody's unclear word has not been read."""
        return any(voice.unread for voice in self.voices.values())

    @property
    def state(self) -> State:
        """Where the transfer has to be."""
        if self.outcome is not None:
            return self.outcome
        for is_so, state in (
            (self.is_stuck, State.COMMIT_STUCK),
            (self.committing_at, State.COMMITTING),
            (self.held_at, State.ON_HOLD),
            (self.commit_at, State.READY),
            (self.mediates, State.MEDIATION),
        ):
            if is_so:
                return state
        return State.AWAITING

    def may_commit(self, now: datetime) -> bool:
        """Whether everything is to be read once more, to move billing."""
        return (
            self.state is State.READY
            and not self.waits_for_staff
            and self.commit_at is not None
            and self.commit_at <= now
        )

    # -- what a ticket changes ------------------------------------------------------------------
    def _hear(self, reading: TicketReading, now: datetime) -> None:
        ticket = reading.ticket
        slot = next((s for s in Slot if ticket and ACCOUNT_OF[s] == ticket.account), None)
        if ticket is None or slot is None or not self.takes_tickets:
            return
        voice, stood = self.voices[slot], self.voices[slot].word
        stands_by_it = stood is not None and (stood.says, stood.ticket_id) == (YES, ticket.id)
        was_closed = stands_by_it and not ticket.open
        if ticket.revision <= voice.heard.get(ticket.id, 0) - was_closed:
            return  # nothing new, or an older revision that comes late
        voice.heard[ticket.id] = ticket.revision
        word = self._word(reading, slot, now)
        if word is None or word.says != UNCLEAR:
            voice.unread.pop(ticket.id, None)
        if word is not None and word.says != UNCLEAR:
            if voice.is_news(word):
                self._take(voice, word, now)
            return
        if word is not None:
            voice.unread[ticket.id] = ticket
        if stands_by_it:
            self._ask_again(voice, now)  # its ticket was changed, and says yes no more

    def _find(self, readings: Iterable[TicketReading], now: datetime) -> None:
        """Hear of what nobody rang for: only of what speaks of a transfer, and is newer."""
        for reading, ticket in newest_first(readings):
            slot = next((s for s in Slot if ACCOUNT_OF[s] == ticket.account), None)
            if slot is None:
                continue
            newest, says = self.voices[slot].newest, meaning(slot, ticket.body)
            if newest is not None and ticket.updated_at < newest.when:
                continue
            if says == UNCLEAR:
                is_news = ticket.open and ticket.updated_at > self.began
            else:
                is_other = newest is None or ticket.updated_at != newest.when
                is_news = says in NO or (ticket.open and is_other)
            if is_news:
                self._hear(reading, now)

    def _word(
        self, reading: TicketReading, slot: Slot, now: datetime, read_as: str = ""
    ) -> Word | None:
        """The word that a ticket is; none if it does not count. Nobody says yes for two."""
        ticket = reading.ticket
        if ticket is None or not is_its_own(reading, slot):
            return None
        says, person = read_as or meaning(slot, ticket.body), ticket.author.id
        is_spent = not ticket.open or ticket.updated_at + FRESH < now
        if is_spent and not (says in NO and ticket.updated_at > self.began):
            return None
        speaks_for_another = any(
            other.slot is not slot and other.word and other.word[0::4] == (YES, person)
            for other in self.voices.values()
        )
        if says == NOTHING or (says == YES and speaks_for_another):
            return None
        when, number = ticket.updated_at, ticket.id
        return Word(says, when, number, ticket.revision, person, admitted=bool(read_as))

    def _take(self, voice: Voice, word: Word, now: datetime) -> None:
        """This is what a party says now."""
        voice.was_taken_back = word.says == WITHDRAWN or voice.says == YES
        voice.newest, voice.stands, voice.is_silent = word, True, False
        voice.unread = {
            number: ticket
            for number, ticket in voice.unread.items()
            if number != word.ticket_id and ticket.updated_at >= word.when
        }
        if voice.slot is Slot.RELEASE:
            self.mediates = word.says in NO
            if self.mediates:
                self.commit_at = None
            else:
                self.proposed_by = ""
        self._settle(now)

    def _ask_again(self, voice: Voice, now: datetime) -> None:
        voice.stands = voice.is_silent = False
        voice.due = self._deadline(voice.slot, now)
        self.commit_at = None
        self._settle(now)

    def _settle(self, now: datetime) -> None:
        """A no of two of them ends it; three yeses make it ready. A hold keeps it as it is."""
        if not self.takes_tickets or self.held_at is not None:
            return
        for slot in (Slot.AUTHORIZE, Slot.ACCEPT):
            if self.voices[slot].says in NO:
                was_taken_back = self.voices[slot].was_taken_back
                self._end(State.WITHDRAWN if was_taken_back else State.REFUSED)
                return
        if not self.all_agree:
            self.commit_at = None
        else:
            self.mediates, self.proposed_by = False, ""
            self.commit_at = self.commit_at or now + GRACE

    def _end(self, outcome: State) -> None:
        self.outcome, self.commit_at, self.held_at = outcome, None, None

    # -- what time changes ----------------------------------------------------------------------
    def _deadline(self, slot: Slot, now: datetime) -> datetime:
        if slot is Slot.RELEASE:
            return min(business_days_after(now, RELEASE_BUSINESS_DAYS), self.expires)
        return min(now + PARTY_DEADLINE, self.expires)

    def _ring(self, now: datetime) -> None:
        """Let time have its effect: silence reminds, escalates or stops, and nothing else."""
        while self.outcome is None and self.held_at is None:
            due: list[tuple[datetime, int, Callable[[], None] | None]] = [
                (self.expires, 2, self._expire)
            ]
            if self.commit_at is not None and not self.waits_for_staff:
                due.append((self.commit_at, 0, None))
            for voice in self.voices.values():
                is_release = voice.slot is Slot.RELEASE
                if voice.is_awaited and not (is_release and self.mediates):
                    due.append((voice.due, 1, self._mediate if is_release else self._expire))
            at, _, happens = min(due, key=lambda one: one[:2])
            if at > now or happens is None:
                return
            happens()

    def _expire(self) -> None:
        self._end(State.EXPIRED)

    def _mediate(self) -> None:
        self.voices[Slot.RELEASE].is_silent = True
        self.mediates, self.commit_at = True, None

    # -- what the last look changes -------------------------------------------------------------
    def _look_once_more(self, step: Step) -> None:
        now, there = step.now, {reading.ticket_id: reading for reading in step.heard}
        for voice in self.voices.values():
            word = voice.word
            if self.outcome or word is None or not word.ticket_id or word.says != YES:
                continue
            reading = there.get(word.ticket_id, TicketReading(ticket_id=word.ticket_id))
            self._hear(reading, now)
            word = voice.word
            if word is None or word.says != YES or word.ticket_id != reading.ticket_id:
                continue
            again = self._word(reading, voice.slot, now, YES if word.admitted else "")
            if again is None or again.says != YES:
                self._ask_again(voice, now)
        self._find(step.heard, now)
        self._read_records(step.known, now)
        if self.may_commit(now):
            self.committing_at = now

    def _read_records(self, known: Facts | None, now: datetime) -> None:
        assert known is not None
        assert known.customer is not None
        assert known.new is not None
        if self.outcome is not None:
            return
        if known.old is None or known.old.id != ACME.id:
            self._end(State.CANCELLED)
        elif known.customer.legal_hold or known.new.suspended:
            self.held_at = now
        elif known.customer.charges != self.shown:
            self.shown = known.customer.charges
            self.voices[Slot.ACCEPT].after = now
            self._ask_again(self.voices[Slot.ACCEPT], now)

    # -- what staff change ----------------------------------------------------------------------
    def _pulled(self, pulled: Pull, step: Step) -> None:
        """Check that what was allowed may be, and what was refused may not; and follow it."""
        allowed = self._levers()[pulled.name](pulled, step)
        verdict = f"refused by {pulled.refused}" if pulled.refused else "allowed"
        assert allowed is not bool(pulled.refused), f"{step.cause}: it was {verdict}"
        if allowed and self.outcome is None:
            self._settle(step.now)

    def _levers(self) -> dict[str, Callable[[Pull, Step], bool]]:
        return {
            "hold": self._hold,
            "resume": self._resume,
            "cancel": self._cancel,
            "take": lambda pull, step: self.mediates and self.takes_tickets,
            "release": self._release,
            "retry": self._retry,
            "admit": self._admit,
            "reject": self._reject,
            "extend": self._extend,
        }

    def _hold(self, _: Pull, step: Step) -> bool:
        allowed = self.takes_tickets and self.held_at is None
        self.held_at = step.now if allowed else self.held_at
        return allowed

    def _resume(self, _: Pull, step: Step) -> bool:
        if self.held_at is None:
            return False
        held, self.held_at = step.now - self.held_at, None
        self.expires, self.cap = self.expires + held, self.cap + held
        self.commit_at = self.commit_at and self.commit_at + held
        for voice in self.voices.values():
            voice.due += held
        return True

    def _cancel(self, _: Pull, __: Step) -> bool:
        if not self.takes_tickets:
            return False
        self._end(State.CANCELLED)
        return True

    def _release(self, pulled: Pull, step: Step) -> bool:
        """Two of them, in mediation; never the same one twice."""
        staff = pulled.action.staff
        if not self.two_person or self.state is not State.MEDIATION or self.proposed_by == staff:
            return False
        if not self.proposed_by:
            self.proposed_by = staff
            return True
        voice = self.voices[Slot.RELEASE]
        a_little_later = voice.newest and voice.newest.when + timedelta(microseconds=1)
        unread = voice.unread
        self._take(voice, Word(YES, max(step.now, a_little_later or step.now)), step.now)
        voice.unread = unread
        return True

    def _retry(self, _: Pull, __: Step) -> bool:
        allowed, self.is_stuck = self.is_stuck, False
        return allowed

    def _admit(self, pulled: Pull, step: Step) -> bool:
        """What staff read an unclear ticket as; it still has to count, and to be the newest."""
        assert isinstance(pulled.action, AdmitTicket)
        what, now = pulled.action.what, step.now
        for slot, voice in self.voices.items():
            ticket = voice.unread.get(pulled.action.ticket_id)
            if ticket is None or what.slot not in (None, slot) or not self.takes_tickets:
                continue
            reading = TicketReading(ticket_id=ticket.id, ticket=ticket, on_record=True)
            word = self._word(reading, slot, now, what.value if what.slot is None else YES)
            if word is not None and voice.is_news(word):
                self._take(voice, word, now)
                return True
        return False

    def _reject(self, pulled: Pull, _: Step) -> bool:
        assert isinstance(pulled.action, RejectTicket)
        number = pulled.action.ticket_id
        found = [voice for voice in self.voices.values() if number in voice.unread]
        for voice in found:
            del voice.unread[number]
        return bool(found) and self.takes_tickets

    def _extend(self, pulled: Pull, step: Step) -> bool:
        assert isinstance(pulled.action, ExtendDeadline)
        until, which = pulled.action.until, pulled.action.which
        if not self.takes_tickets:
            return False
        if which is Which.TRANSFER:
            allowed = max(step.now, self.expires) < until <= self.cap
            self.expires = until if allowed else self.expires
            return allowed
        voice = self.voices[Slot(which.value)]
        is_running = voice.is_awaited and not (voice.slot is Slot.RELEASE and self.mediates)
        allowed = is_running and max(step.now, voice.due) < until <= self.expires
        voice.due = until if allowed else voice.due
        return allowed
