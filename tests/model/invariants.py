"""The invariants of the trade, by their numbers: what must hold at every step of any history.

Beside what the model says of a step, each is looked at from outside: in the tickets as they are,
in what is on record, and in what happened before. What no history can show of some is proved
elsewhere:

9. The second start, on a server: ``tests/workflows/test_road.py`` and
   ``tests/e2e/test_command_line.py``; here: that none is ever opened beside this one.
11., 12. Billing moves once, and nothing is overwritten: ``tests/model/test_database.py``,
   ``tests/adapters/test_billing.py``; here: that every attempt is by the same order, by which a
   repetition is told from another owner, and that the two halves add up.
14. A mail that fails delays and changes nothing else: ``tests/model/test_database.py``, after every
   step; ``tests/core/test_postman.py``; here no notice is sent at all.
16. Evidence is kept beyond the workflow: ``tests/model/test_database.py``; here: that it is noted.
17. Strangers' text injects nothing into mails: ``tests/core/test_letters.py``,
   ``tests/security/test_output.py``; here: nor into the evidence and the pages for staff.
18. Signals of any payload do not wedge a workflow: ``tests/workflows/test_hostile.py`` and
   ``test_flood.py``; here: that the case stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

from tests.core import histories
from tests.core.acts import OURS, STRANGER, TEXTS, Step, World
from tests.core.builders import ACCOUNT_OF, ACME, EXAMPLE, GLOBEX, PERSON_OF, request
from tests.model.beliefs import FRESH, GRACE, NO, NOTHING, YES, Model, is_its_own, meaning
from transfer import clocks, commit, opening, submissions, views
from transfer.adapters import moves
from transfer.billing import split_month
from transfer.case import (
    COMMIT_STATES,
    MAX_DETAIL,
    MAX_DOUBTS,
    MAX_EVIDENCE,
    MAX_REJECTED,
    Authorization,
    Case,
    SlotState,
    State,
)
from transfer.details import details
from transfer.messages import BillingOrder, TicketReading
from transfer.parties import Account, Assignment, Slot
from transfer.tickets import Intent, Ticket

_NOES = (SlotState.REFUSED, SlotState.WITHDRAWN)
_BY_CLOCKS = {"REMINDED", "MEDIATION", "FIRST_TOUCH_MISSED", "SECOND_LEVEL", "EXPIRED"}


def check(step: Step, model: Model) -> None:
    """Assert what must hold at a step; the model has followed it already.

    Raises:
        AssertionError: an invariant does not hold; it is named by the function that raised.
    """
    as_the_model_says(step, model)
    for invariant in AT_EVERY_STEP:
        invariant(step)
    if begins_commit(step):
        for invariant in AT_THE_COMMIT:
            invariant(step)


def begins_commit(step: Step) -> bool:
    """Whether billing is to be moved from this step on."""
    return step.before.committing_since is None and step.after.committing_since is not None


# -- what the model says ------------------------------------------------------------------------
def as_the_model_says(step: Step, model: Model) -> None:
    """7. What each party says is its newest valid word, by the ticket's time; all else follows."""
    case = step.after
    said = {record.slot.value: says(record) for record in case.slots}
    assert said == {slot.value: kind(voice.says) for slot, voice in model.voices.items()}
    assert case.state is model.state, f"the case is {case.state}; it should be {model.state}"
    if case.is_terminal:
        return
    assert case.commit_at == model.commit_at
    assert case.expires_at == model.expires
    for record in case.slots:
        voice = model.voices[record.slot]
        waiting = {doubt.ticket.id for doubt in case.doubts if doubt.slot is record.slot}
        assert waiting == set(voice.unread)
        if voice.is_awaited:
            assert record.deadline == voice.due, record.slot


def says(record: Authorization) -> str:
    """Yes, no, or nothing, of a slot's state."""
    if record.authorized:
        return YES
    return "no" if record.state in _NOES else NOTHING


def kind(word: str) -> str:
    """Yes, no, or nothing, of a party's word."""
    return "no" if word in NO else word


# -- at every step ------------------------------------------------------------------------------
def i02_three_people(step: Step) -> None:
    """Three slots, three accounts, three people. Staff fill the old reseller's slot at most."""
    people = [r.by_id for r in step.after.slots if r.authorized and not r.released_by_staff]
    assert len(people) == len(set(people))
    for record in step.after.slots:
        assert not record.released_by_staff or record.slot is Slot.RELEASE
        assert not record.authorized or record.released_by_staff or record.by_id


def i02_staff_release_in_mediation_and_are_two(step: Step) -> None:
    """One proposes, a different one confirms."""
    if "RELEASED_BY_STAFF" in new_codes(step):
        assert step.before.state is State.MEDIATION
        assert step.before.proposal is not None
        assert step.pulled is not None
        assert step.before.proposal.staff != step.pulled.action.staff


def i03_nobody_speaks_through_anothers_session(step: Step) -> None:
    """Nor by mail, from another account, as no administrator (4); nor of another triple (5)."""
    for record, reading in newly_heard(step):
        ticket = reading.ticket
        assert ticket is not None
        assert is_its_own(reading, record.slot)
        assert meaning(record.slot, ticket.body) != NOTHING


def i04_the_doorbell_is_not_believed(step: Step) -> None:
    """Whatever a signal claims to be, a ticket is judged the same."""
    if step.cause.startswith("a doorbell") and step.heard[0].ticket is not None:
        for rung in (Intent.ACCEPT, Intent.WITHDRAW):
            after, _ = submissions.submitted(step.before, step.heard[0], step.now, rung=rung)
            assert after.slots == step.after.slots


def i05_consent_binds_to_the_triple(step: Step) -> None:
    """Another customer, old or new reseller is another transfer, for which it says nothing."""
    for record, reading in newly_heard(step):
        if not record.authorized or record.admitted:
            continue
        domain = step.before.customer.model_copy(update={"aliases": ("example.org",)})
        party = "old" if record.slot is Slot.ACCEPT else "new"
        for changed in ({"customer": domain}, {party: Account(id="initech", name="Initech")}):
            elsewhere = step.before.having(**changed)
            after, _ = submissions.submitted(elsewhere, reading, step.now)
            there = after.slot(record.slot)
            said = (there.ticket_id, there.said_at, there.revision)
            assert said != (record.ticket_id, record.said_at, record.revision)


def i06_one_ticket_one_slot_and_twice_is_once(step: Step) -> None:
    """In this transfer and no other."""
    numbers = [record.ticket_id for record in step.after.slots if record.ticket_id]
    assert len(numbers) == len(set(numbers))
    if step.cause.startswith("a doorbell") and step.heard[0].ticket is not None:
        for reading in step.heard:
            again, _ = submissions.submitted(step.after, reading, step.now, rung=step.rung)
            assert again == step.after or step.after.is_terminal
            used = reading.model_copy(update={"used_by": "another transfer"})
            elsewhere, _ = submissions.submitted(step.before, used, step.now)
            stood = {(r.slot, r.ticket_id) for r in step.before.slots if r.authorized}
            assert {(r.slot, r.ticket_id) for r in elsewhere.slots if r.authorized} <= stood


def i07_no_late_yes(step: Step) -> None:
    """Only what is newer than a no, or two of staff, make it a yes."""
    for before, after in zip(step.before.slots, step.after.slots, strict=False):
        if before.state in _NOES and after.authorized and not after.released_by_staff:
            assert before.said_at is not None
            assert after.said_at is not None
            edited = after.ticket_id == before.ticket_id and after.revision > before.revision
            assert after.said_at > before.said_at or edited


def i08_silence_never_authorizes(step: Step) -> None:
    """Clocks only remind, escalate, or stop."""
    if step.cause.startswith("clock"):
        assert set(new_codes(step)) <= _BY_CLOCKS
        for before, after in zip(step.before.slots, step.after.slots, strict=True):
            assert after.authorized is before.authorized
        assert step.after.committing_since == step.before.committing_since


def i08_nobody_is_nagged(step: Step) -> None:
    """Five reminders of one request at most, however often its deadline is moved."""
    assert all(record.reminded <= 5 for record in step.after.slots)


def i09_one_open_transfer_a_customer(step: Step) -> None:
    """Whichever of its domains a second one is asked for, and whether or not this one is found."""
    assert step.known is not None
    assert step.known.customer is not None
    assert step.after.transfer_id == opening.transfer_id(step.known.customer.domains[0])
    if step.after.is_terminal:
        return
    another = EXAMPLE.domains[1]
    for asked_for, found in ((EXAMPLE.domains[0], step.after.transfer_id), (another, None)):
        second = Case.received(
            request(domain=asked_for), opening.transfer_id(asked_for), "second", step.now
        )
        known = step.known.model_copy(update={"open_transfer": found})
        second = opening.opened(second, known, step.now)
        assert second.state is State.INVALID
        assert "TRANSFER_ALREADY_OPEN" in second.outcome_code


def i11_the_halves_add_up(step: Step) -> None:
    """And as the re-check has found everything, billing may move at that instant."""
    if step.order is None:
        return
    price = step.order.charges.price
    last, first = split_month(price, step.order.at)
    assert last + first == price
    assert min(last, first) >= 0
    if step.order.at == step.now:
        assert step.known is not None
        record = step.known.customer
        assert record is not None
        assert moves.conflict(step.order, record, billed(step.order), step.known.new) is None


def i12_nothing_is_overwritten(step: Step) -> None:
    """Another owner is a conflict; what this order has moved is known by its key as success."""
    if step.order is None:
        return
    assert step.known is not None
    order, record = step.order, EXAMPLE.model_copy(update={"charges": step.order.charges})
    other = billed(order).model_copy(update={"reseller": "initech"})
    assert moves.conflict(order, record, other, GLOBEX)
    assert moves.conflict(order, record.model_copy(update={"reseller": "initech"}), other, GLOBEX)
    panel = (
        moves.PanelAccess(reseller=order.old, since=EXAMPLE.billed_from, until=order.at),
        moves.PanelAccess(reseller=order.new, since=order.at),
    )
    moved = Assignment(
        reseller=order.new, charges=order.charges, starts_at=order.at, transfer=order.key
    )
    halves = (billed(order).model_copy(update={"ends_at": order.at}), moved)
    after = record.model_copy(update={"reseller": order.new})
    assert moves.difference(order, after, halves, panel) is None
    another = moved.model_copy(update={"transfer": "another transfer"})
    assert moves.difference(order, after, (halves[0], another), panel)


def i12_every_attempt_is_by_the_same_order(step: Step) -> None:
    """So that compare-and-set can tell a repetition from another owner."""
    if step.order is not None:
        case = step.before
        assert step.order == commit.order(case)
        assert step.order.at == case.committing_since
        assert (step.order.key, step.order.customer) == (case.key, ACCOUNT_OF[Slot.AUTHORIZE])
        assert (step.order.old, step.order.new) == ("acme", "globex")
        assert step.order.lock_until == step.order.at + timedelta(days=30)


def i13_no_way_back(step: Step) -> None:
    """From the commit on, what remains is tried until it is done."""
    if step.before.state in COMMIT_STATES:
        assert step.after.state in {*COMMIT_STATES, State.COMPLETED}
        assert step.after.slots == step.before.slots
        assert step.after.committing_since == step.before.committing_since
        assert clocks.next_clock(step.before) is not None


def i15_terminal_is_terminal(step: Step) -> None:
    """Later signals are recorded, answered LATE, and change nothing."""
    if step.before.is_terminal:
        assert step.after.outcome is step.before.outcome
        assert step.after.slots == step.before.slots
        assert set(new_codes(step)) <= {"LATE"}
    if step.after.is_terminal:
        assert clocks.next_clock(step.after) is None
        nothing = TicketReading(ticket_id="nothing")
        for reading in (nothing, *step.heard):
            answer = submissions.submitted(step.after, reading, step.now)[1]
            assert answer.code == "LATE"


def i16_every_change_has_who_when_and_a_code(step: Step) -> None:
    """Numbered without a gap; no change of a state or slot goes without."""
    fresh = [e for e in step.after.evidence if e.seq > step.before.evidence_count]
    first = step.before.evidence_count + 1
    assert [event.seq for event in fresh] == list(range(first, first + len(fresh)))
    assert all(event.who and event.code and event.at == step.now for event in fresh)
    if not fresh and step.cause != "commit fails":
        assert step.after.state is step.before.state
        assert [says(r) for r in step.after.slots] == [says(r) for r in step.before.slots]
    if step.pulled is not None:
        assert bool(fresh) is not bool(step.pulled.refused)
        assert all(step.pulled.action.staff == e.who for e in fresh[:1])


def i17_what_strangers_write_stays_text(step: Step) -> None:
    """Bounded, on one line, and neither link nor markup in the pages for staff."""
    for event in step.after.evidence:
        if event.seq > step.before.evidence_count:
            assert (event.who + event.detail).isprintable()
            assert len(event.who) <= 200
            assert len(event.detail) <= MAX_DETAIL
    if new_codes(step) and step.after.doubts:
        assert views.summary(step.after).isprintable()
        page = details(step.after, step.now)
        assert "](http://evil" not in page
        assert "<b>" not in page
        assert not {"\x1b", "\r"} & set(page)


def i18_nothing_grows(step: Step) -> None:
    """Evidence, rejections, doubts and strangers are bounded."""
    is_bounded(step.after)


def is_bounded(case: Case) -> None:
    """Assert that of everything that others can make more of, there is only so much."""
    assert len(case.evidence) <= MAX_EVIDENCE
    assert len(case.strangers) <= MAX_REJECTED
    assert len(case.doubts) <= MAX_DOUBTS * len(Slot)
    assert all(len(record.rejected) <= MAX_REJECTED for record in case.slots)


def i18_a_flood_leaves_it_small(case: Case, now: datetime) -> None:
    """Whatever has happened before, and whoever sends it."""
    nothing = TicketReading(ticket_id="nothing")
    texts = (TEXTS["unclear"], TEXTS["another domain"])
    for number, (account, body) in enumerate([*product((*sorted(OURS), STRANGER), texts)] * 11):
        author = PERSON_OF[next((s for s in Slot if ACCOUNT_OF[s] == account), Slot.RELEASE)]
        told = {"created_at": now, "updated_at": now, "administrator": True, "author": author}
        filed = Ticket.model_validate(
            {"id": f"n{number}", "account": account, "body": body, **told}
        )
        reading = TicketReading(ticket_id=filed.id, ticket=filed, on_record=True)
        for one in (reading, nothing.model_copy(update={"ticket_id": f"{number}"})):
            case, _ = submissions.submitted(case, one, now, rung=Intent.ACCEPT)
    for _ in range(MAX_EVIDENCE):
        case = case.noting("EXTENDED", "sam", now)
    is_bounded(case)


def a_re_check_decides(step: Step) -> None:
    """After it, billing moves, or no commit is due: the workflow never spins."""
    if step.cause == "re-check":
        committed = step.after.committing_since is not None
        assert committed or not clocks.commit_is_due(step.after, step.now)


# -- at the commit, from outside ----------------------------------------------------------------
def i01_all_three_stand_behind_it(step: Step) -> None:
    """Its own valid, open, fresh ticket says yes, or staff read it so; or two of them released."""
    for record, reading in standing(step):
        ticket = reading.ticket
        assert ticket is not None, f"{record.slot} stands by a ticket that is not there"
        assert is_its_own(reading, record.slot)
        assert ticket.open
        assert step.now - ticket.updated_at <= FRESH
        assert (ticket.revision, ticket.updated_at) == (record.revision, record.said_at)
        assert record.admitted or meaning(record.slot, ticket.body) == YES


def i01_these_charges(step: Step) -> None:
    """The new reseller has accepted what it is billed, and was shown it before."""
    order, known = commit.order(step.after), step.known
    assert known is not None
    assert known.customer is not None
    assert order.charges == known.customer.charges
    accept = step.after.slot(Slot.ACCEPT)
    assert accept.charges == order.charges
    for event in step.after.evidence:
        if event.code == "ASKED_AGAIN" and event.detail.startswith("CHARGES_CHANGED"):
            assert accept.said_at is not None
            assert accept.said_at > event.at


def i07_no_newer_no_is_there(step: Step) -> None:
    """Whether or not its signal arrived, and whatever arrived first; nor an unread word."""
    assert not step.after.doubts
    for record in step.after.slots:
        decided = {rejection.ticket_id for rejection in record.rejected if rejection.decided}
        for reading in step.heard:
            ticket = reading.ticket
            if ticket is None or not is_its_own(reading, record.slot) or ticket.id in decided:
                continue
            if (
                meaning(record.slot, ticket.body) in NO
                and ticket.updated_at > step.after.received_at
            ):
                assert record.said_at is not None
                assert ticket.updated_at < record.said_at or record.admitted


def i08_all_were_told_the_instant(step: Step) -> None:
    """The grace has passed since all three agreed, so that each had the time to stop it."""
    assert step.before.commit_at is not None
    assert step.before.commit_at <= step.now
    assert "READY" not in new_codes(step)
    told = max(event.at for event in step.after.evidence if event.code == "READY")
    assert step.now - told >= GRACE


def i10_the_old_reseller_is_on_record(step: Step) -> None:
    """At the start and at the commit; it is never "fixed". Nothing else stands against it."""
    known = step.known
    assert known is not None
    assert known.old is not None
    assert known.customer is not None
    assert known.new is not None
    assert known.old.id == ACME.id == commit.order(step.after).old
    assert not known.customer.legal_hold
    assert not known.new.suspended


AT_EVERY_STEP = (
    i02_three_people,
    i02_staff_release_in_mediation_and_are_two,
    i03_nobody_speaks_through_anothers_session,
    i04_the_doorbell_is_not_believed,
    i05_consent_binds_to_the_triple,
    i06_one_ticket_one_slot_and_twice_is_once,
    i07_no_late_yes,
    i08_silence_never_authorizes,
    i08_nobody_is_nagged,
    i09_one_open_transfer_a_customer,
    i11_the_halves_add_up,
    i12_nothing_is_overwritten,
    i12_every_attempt_is_by_the_same_order,
    i13_no_way_back,
    i15_terminal_is_terminal,
    i16_every_change_has_who_when_and_a_code,
    i17_what_strangers_write_stays_text,
    i18_nothing_grows,
    a_re_check_decides,
)
AT_THE_COMMIT = (
    i01_all_three_stand_behind_it,
    i01_these_charges,
    i07_no_newer_no_is_there,
    i08_all_were_told_the_instant,
    i10_the_old_reseller_is_on_record,
)


# -- at the end of a history --------------------------------------------------------------------
def check_end(world: World) -> None:
    """Assert what must hold of a case wherever it was left."""
    assert Case.model_validate_json(world.case.model_dump_json()) == world.case
    assert len({order.model_dump_json() for _, order in histories.orders(world)}) <= 1
    if world.case.evidence_count % 8 == 0:  # it takes its time
        i18_a_flood_leaves_it_small(world.case, world.now)
    for hours in (0, 24, 24 * 40):
        now = world.now + timedelta(hours=hours)
        case = clocks.rung(world.case, now)
        assert clocks.rung(case, now) == case, "ringing twice is not ringing once"
        clock = clocks.next_clock(case)
        assert clock is None or clock.at > now or clocks.commit_is_due(case, now)


# -- what a step shows --------------------------------------------------------------------------
def new_codes(step: Step) -> list[str]:
    """What this step added to the evidence."""
    return [e.code for e in step.after.evidence if e.seq > step.before.evidence_count]


def newly_heard(step: Step) -> Iterator[tuple[Authorization, TicketReading]]:
    """The slots that have changed by a ticket which was read at this step."""
    heard = {reading.ticket_id: reading for reading in step.heard}
    for before, after in zip(step.before.slots, step.after.slots, strict=False):
        mark = (after.ticket_id, after.said_at, after.revision)
        if after.ticket_id in heard and mark != (before.ticket_id, before.said_at, before.revision):
            yield after, heard[after.ticket_id]


def billed(order: BillingOrder) -> Assignment:
    """Who is billed before an order is carried out."""
    return Assignment(reseller=order.old, charges=order.charges, starts_at=EXAMPLE.billed_from)


def standing(step: Step) -> Iterator[tuple[Authorization, TicketReading]]:
    """Every slot that its party has filled, with the ticket as it was read at this step."""
    heard = {reading.ticket_id: reading for reading in step.heard}
    for record in step.after.slots:
        assert record.authorized, record.slot
        if not record.released_by_staff:
            number = record.ticket_id or ""
            yield record, heard.get(number, TicketReading(ticket_id=number))
