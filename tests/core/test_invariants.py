"""The invariants of the trade, over random histories. A counterexample prints as a story."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings

from tests.core.builders import (
    ACCOUNT_OF,
    REFUSE_TEXT,
    at,
    code_of,
    committing,
    facts,
    opened,
    reading,
    ready,
    request,
    submit,
    ticket,
)
from tests.core.histories import HISTORIES, NOES, Act, Step, orders, play, re_checks_passed
from transfer import clocks, commit, judging, opening, submissions, views
from transfer.case import (
    COMMIT_STATES,
    MAX_DOUBTS,
    MAX_EVIDENCE,
    MAX_REJECTED,
    Case,
    SlotState,
    State,
)
from transfer.messages import TicketReading
from transfer.parties import Slot
from transfer.tickets import Channel, Intent, Ticket

NO_STATES = (SlotState.REFUSED, SlotState.WITHDRAWN)
over_histories = settings(max_examples=60)
over_many_histories = settings(max_examples=150)


def the_ticket(step: Step, slot: Slot) -> Ticket:
    """The ticket that stands for a slot, as the ticket system has it at this step."""
    number = step.after.slot(slot).ticket_id
    return next(each for each in step.tickets if each.id == number)


def is_from(filed: Ticket, slot: Slot) -> bool:
    """Whether a party may have said this: in person, an administrator, in its own panel."""
    return (
        filed.account == ACCOUNT_OF[slot]
        and filed.administrator
        and not filed.delegated
        and filed.channel is Channel.PANEL
    )


def said(case: Case) -> list[tuple[object, ...]]:
    """What the slots hold, without what was rejected and asked."""
    return [(r.slot, r.state, r.ticket_id, r.said_at, r.charges, r.by_id) for r in case.slots]


@over_many_histories
@given(HISTORIES)
def test_01_the_new_reseller_is_never_billed_without_its_own_fresh_acceptance(
    history: list[Act],
) -> None:
    """Of this customer, this old reseller and these charges, unwithdrawn, present at commit."""
    for step in re_checks_passed(play(history)):
        order, accept = commit.order(step.after), the_ticket(step, Slot.ACCEPT)
        assert is_from(accept, Slot.ACCEPT)
        assert accept.open
        assert step.now - accept.updated_at <= timedelta(days=30)
        assert accept.id == step.after.slot(Slot.ACCEPT).ticket_id
        assert step.known is not None
        assert step.known.customer is not None
        assert order.charges == step.known.customer.charges
        asked = [
            event.at
            for event in step.after.evidence
            if event.code == "ASKED_AGAIN" and event.detail.startswith("CHARGES_CHANGED")
        ]
        assert all(accept.updated_at > instant for instant in asked)


@over_many_histories
@given(HISTORIES)
def test_01_every_party_stands_behind_every_order(history: list[Act]) -> None:
    """Its own open ticket that says yes or was admitted; for the release, or two of staff."""
    for step in re_checks_passed(play(history)):
        for record in step.after.slots:
            assert record.authorized
            if record.released_by_staff:
                assert record.slot is Slot.RELEASE
                continue
            filed = the_ticket(step, record.slot)
            assert is_from(filed, record.slot)
            assert filed.open
            assert filed.revision == record.revision
            assert record.admitted or judging.judge(
                step.after, reading(filed), step.now
            ).intent is Intent(record.slot.value)


@over_histories
@given(HISTORIES)
def test_02_three_slots_three_accounts_three_people(history: list[Act]) -> None:
    """Staff never fill the customer's or the new reseller's slot."""
    for step in play(history).steps:
        people = [r.by_id for r in step.after.slots if r.authorized and not r.released_by_staff]
        assert len(people) == len(set(people))
        for record in step.after.slots:
            assert not (record.released_by_staff and record.slot is not Slot.RELEASE)
            if record.authorized and record.slot is not Slot.RELEASE:
                assert record.ticket_id is not None
                assert record.by_id


@over_histories
@given(HISTORIES)
def test_02_staff_release_only_in_mediation_and_where_the_policy_allows_it(
    history: list[Act],
) -> None:
    """The default forbids it."""
    for step in play(history, two_person=False).steps:
        assert not any(record.released_by_staff for record in step.after.slots)
    for step in play(history).steps:
        if step.cause.startswith("staff:") and "RELEASED_BY_STAFF" in new_codes(step):
            assert step.before.state is State.MEDIATION
            proposal = step.before.proposal
            assert proposal is not None
            assert not step.cause.startswith(f"staff: {proposal.staff} ")


def new_codes(step: Step) -> list[str]:
    """What this step added to the evidence."""
    return [e.code for e in step.after.evidence if e.seq > step.before.evidence_count]


@pytest.mark.parametrize("slot", list(Slot))
def test_03_a_ticket_of_a_delegated_session_is_invalid(slot: Slot) -> None:
    """The old reseller has full access to the customer's account."""
    assert code_of(opened(), ticket(slot, delegated=True)) == "DELEGATED_SESSION"


@over_histories
@given(HISTORIES)
def test_04_authority_comes_from_the_records_and_never_from_the_doorbell(
    history: list[Act],
) -> None:
    """Whatever a signal claims to be, a ticket is judged the same."""
    world = play(history)
    for number in world.tickets:
        found = world.reading(number)
        judged = {
            submissions.submitted(world.case, found, world.now, rung=rung)[0].slots
            for rung in (None, *Intent)
        }
        assert len(judged) == 1


@pytest.mark.parametrize(
    ("words", "others", "code"),
    [
        ("example.com", "example.org", "DOMAIN_MISMATCH"),
        ("Acme Hosting", "Initech", "PARTY_MISMATCH"),
        ("Globex", "Initech", "PARTY_MISMATCH"),
    ],
)
def test_05_consent_binds_to_customer_old_and_new(words: str, others: str, code: str) -> None:
    """A different triple is a different transfer."""
    for slot in Slot:
        said_so = ticket(slot)
        if words in said_so.body:
            other = said_so.model_copy(update={"body": said_so.body.replace(words, others)})
            assert code_of(opened(), other) == code


@over_histories
@given(HISTORIES)
def test_06_one_ticket_serves_one_slot_and_twice_is_once(history: list[Act]) -> None:
    """In this transfer and no other."""
    world = play(history)
    for step in world.steps:
        numbers = [record.ticket_id for record in step.after.slots if record.ticket_id]
        assert len(numbers) == len(set(numbers))
    for number in world.tickets:
        found = world.reading(number)
        once, first = submissions.submitted(world.case, found, world.now)
        twice, second = submissions.submitted(once, found, world.now)
        if not once.is_terminal:
            assert twice == once
            assert (second.code, second.slot) == (first.code, first.slot)
        used = found.model_copy(update={"used_by": "another transfer"})
        assert said(submissions.submitted(opened(), used, world.now)[0]) == said(opened())


@over_many_histories
@given(HISTORIES)
def test_07_a_late_yes_never_overrides_a_newer_no(history: list[Act]) -> None:
    """Only what is newer than a no, or two staff members, turn it into a yes."""
    for step in play(history).steps:
        for before, after in zip(step.before.slots, step.after.slots, strict=False):
            if before.state in NO_STATES and after.authorized:
                assert before.said_at is not None
                assert after.said_at is not None
                assert (
                    after.released_by_staff
                    or after.said_at > before.said_at
                    or (after.ticket_id == before.ticket_id and after.revision > before.revision)
                )


@over_many_histories
@given(HISTORIES)
def test_07_a_no_recorded_before_the_commit_stops_it(history: list[Act]) -> None:
    """Whether or not its signal arrived, and whatever arrived first."""
    for step in re_checks_passed(play(history)):
        for record in step.after.slots:
            assert record.said_at is not None
            for filed in step.tickets:
                if is_from(filed, record.slot) and filed.body in NOES and filed.open:
                    decided = any(filed.id == r.ticket_id for r in record.rejected)
                    assert filed.updated_at < record.said_at or decided or record.admitted


@over_many_histories
@given(HISTORIES)
def test_07_nobody_is_billed_before_the_instant_that_all_were_told(history: list[Act]) -> None:
    """So that each has the time to stop it; nor while a word of a party waits to be read."""
    for step in re_checks_passed(play(history)):
        assert step.before.commit_at is not None
        assert step.before.commit_at <= step.now
        assert "READY" not in new_codes(step)
        assert not step.after.doubts


@over_histories
@given(HISTORIES)
def test_08_silence_never_authorizes(history: list[Act]) -> None:
    """Clocks only remind, escalate, or stop."""
    allowed = {"REMINDED", "MEDIATION", "FIRST_TOUCH_MISSED", "SECOND_LEVEL", "EXPIRED"}
    for step in play(history).steps:
        if step.cause.startswith("clock"):
            assert set(new_codes(step)) <= allowed
            for before, after in zip(step.before.slots, step.after.slots, strict=True):
                assert after.authorized is before.authorized
            assert step.after.committing_since == step.before.committing_since


def test_09_one_open_transfer_per_customer_by_construction() -> None:
    """Every domain of a customer leads to the same workflow id."""
    for domain in ("example.com", "exämple.example", "EXAMPLE.COM."):
        case = Case.received(request(domain=domain), "transfer-elsewhere.com", "k", at())
        case = opening.opened(case, facts(), at())
        assert (case.state, case.outcome_code) == (State.INVALID, "TRANSFER_ALREADY_OPEN")
    assert opening.transfer_id("example.com") == "transfer-example.com"


@over_many_histories
@given(HISTORIES)
def test_10_the_old_reseller_is_on_record_at_start_and_at_commit(history: list[Act]) -> None:
    """It is never "fixed"."""
    for step in re_checks_passed(play(history)):
        assert step.known is not None
        assert step.known.old is not None
        assert step.known.old.id == "acme" == commit.order(step.after).old
        assert step.known.customer is not None
        assert not step.known.customer.legal_hold
        assert step.known.new is not None
        assert not step.known.new.suspended


@over_histories
@given(HISTORIES)
def test_12_every_attempt_moves_billing_by_the_same_order(history: list[Act]) -> None:
    """So that compare-and-set can tell a repetition from another owner."""
    world = play(history)
    assert len({order.model_dump_json() for _, order in orders(world)}) <= 1
    for _, order in orders(world):
        assert (order.key, order.old, order.new) == (world.case.key, "acme", "globex")


@over_histories
@given(HISTORIES)
def test_13_from_the_commit_on_there_is_no_way_back(history: list[Act]) -> None:
    """What remains is tried until it is done."""
    for step in play(history).steps:
        if step.before.state in COMMIT_STATES:
            assert step.after.state in {*COMMIT_STATES, State.COMPLETED}
            assert said(step.after) == said(step.before)
            assert clocks.next_clock(step.before) is not None


@over_histories
@given(HISTORIES)
def test_15_terminal_is_terminal(history: list[Act]) -> None:
    """Later signals are recorded, answered LATE, and change nothing."""
    world = play(history)
    for step in world.steps:
        if step.before.is_terminal:
            assert step.after.state is step.before.state
            assert step.after.slots == step.before.slots
            assert set(new_codes(step)) <= {"LATE"}
    if world.case.is_terminal:
        assert clocks.next_clock(world.case) is None
        for number in (*world.tickets, "nothing"):
            answer = submissions.submitted(world.case, world.reading(number), world.now)[1]
            assert answer.code == "LATE"


@over_histories
@given(HISTORIES)
def test_16_every_change_has_who_when_and_a_code(history: list[Act]) -> None:
    """Numbered without a gap, and no change of a state or slot goes without."""
    for step in play(history).steps:
        fresh = [e for e in step.after.evidence if e.seq > step.before.evidence_count]
        first = step.before.evidence_count + 1
        assert [event.seq for event in fresh] == list(range(first, first + len(fresh)))
        assert all(e.who and e.code and e.at == step.now for e in fresh)
        if step.after.state is not step.before.state or said(step.after) != said(step.before):
            quiet = step.cause == "staff: retry"
            assert fresh or quiet


NASTY = "x\r\nBcc: a@b\n[link](http://evil) <b>\x00\x1b[31m\u202e" * 40


def test_17_what_a_stranger_writes_is_bounded_and_on_one_line() -> None:
    """In the evidence; what quotes it elsewhere escapes it."""
    author = {"id": "ann", "name": NASTY, "email": NASTY}
    fields = ticket(Slot.RELEASE, "1").model_dump() | {"author": author}
    for body in (REFUSE_TEXT + NASTY, NASTY, ticket(Slot.RELEASE).body):
        filed = Ticket.model_validate(fields | {"body": body[:2000]})
        case = submit(opened(), filed)
        for event in case.evidence:
            assert event.who.isprintable()
            assert event.detail.isprintable()
            assert len(event.who) <= 200
            assert len(event.detail) <= 1000
        assert views.summary(case).isprintable()
        assert len(views.summary(case)) < 1000


@over_histories
@given(HISTORIES)
def test_18_nothing_grows_without_bound(history: list[Act]) -> None:
    """Evidence, rejections, doubts and strangers; and the case survives its way over the wire."""
    world = play(history)
    for step in world.steps:
        case = step.after
        assert len(case.evidence) <= MAX_EVIDENCE
        assert len(case.strangers) <= MAX_REJECTED
        assert len(case.doubts) <= MAX_DOUBTS * len(Slot)
        assert all(len(record.rejected) <= MAX_REJECTED for record in case.slots)
    assert Case.model_validate_json(world.case.model_dump_json()) == world.case


def test_18_any_number_of_signals_leaves_a_small_case() -> None:
    """Three floods at once, of the longest tickets there are: the case fits into one message."""
    for case in (opened(), ready(), committing()):
        for n in range(300):
            slot = list(Slot)[n % 3]
            body = "transfer? " + "x" * 19_000
            filed = ticket(slot, f"t{n}", at(days=2, minutes=n), body=body)
            case = submit(case, filed)  # noqa: PLW2901 - a flood
            nothing = TicketReading(ticket_id="n" * 60 + str(n))
            case, _ = submissions.submitted(case, nothing, at(days=2))  # noqa: PLW2901
        assert len(case.model_dump_json()) < 300_000


@over_many_histories
@given(HISTORIES)
def test_clocks_come_to_rest(history: list[Act]) -> None:
    """Ringing twice is ringing once, at any time, and what rings next lies ahead."""
    world = play(history)
    for later in (0, 1, 24, 24 * 40, 24 * 400):
        now = world.now + timedelta(hours=later)
        case = clocks.rung(world.case, now)
        assert clocks.rung(case, now) == case
        clock = clocks.next_clock(case)
        assert clock is None or clock.at > now or clocks.commit_is_due(case, now)


@over_many_histories
@given(HISTORIES)
def test_a_re_check_always_decides(history: list[Act]) -> None:
    """After it, billing moves, or no commit is due: the workflow never spins."""
    for step in play(history).steps:
        if step.cause == "re-check":
            committed = step.after.committing_since is not None
            assert committed or not clocks.commit_is_due(step.after, step.now)


@over_histories
@given(HISTORIES)
def test_a_rejected_submission_changes_no_other_slot(history: list[Act]) -> None:
    """A foreign ticket changes none at all."""
    for step in play(history).steps:
        if step.cause.startswith("a doorbell"):
            changed = [
                before.slot
                for before, after in zip(step.before.slots, step.after.slots, strict=True)
                if (before.state, before.ticket_id) != (after.state, after.ticket_id)
            ]
            number = step.cause.rpartition(" ")[2]
            filed = next((each for each in step.tickets if each.id == number), None)
            owner = step.before.slot_of_account(filed.account) if filed else None
            assert set(changed) <= ({owner} if owner else set())


@over_many_histories
@given(HISTORIES)
def test_nobody_is_reminded_more_than_five_times_for_one_request(history: list[Act]) -> None:
    """However often the deadline is moved."""
    for step in play(history).steps:
        assert all(record.reminded <= 5 for record in step.after.slots)
