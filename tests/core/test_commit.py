"""The commit: everything is read once more, and only then does billing move."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.core.builders import (
    ACME,
    CHARGES,
    EXAMPLE,
    GLOBEX,
    KEY,
    REFUSE_TEXT,
    WITHDRAW_TEXT,
    at,
    code_of,
    codes,
    committing,
    edited,
    facts,
    opened,
    reading,
    ready,
    submit,
    survey,
    ticket,
)
from transfer import levers, mediation
from transfer.case import Case, SlotState, State
from transfer.commit import committed, order, rechecked, stuck
from transfer.messages import (
    AdmitTicket,
    EscalationState,
    RejectTicket,
    ReleaseOnBehalf,
    StopCode,
    Survey,
    TakeCase,
)
from transfer.parties import Charges, Facts, Person, Slot
from transfer.tickets import Intent, Ticket

DUE = at(hours=25)
DEARER = Charges(plan="business", price=Decimal("14.00"), currency="EUR")
THREE = {slot: ticket(slot) for slot in Slot}


def check(*instead: Ticket, known: Facts | None = None, **changes: Any) -> Case:
    """The re-check of a ready transfer, with other tickets in place of those filed."""
    there = {each.id: each for each in (*THREE.values(), *instead)}
    now = changes.pop("now", DUE)
    return rechecked(changes.pop("case", ready()), survey(*there.values(), known=known), now)


def without(slot: Slot) -> Survey:
    """A survey in which one of the three tickets is missing."""
    return survey(*(each for other, each in THREE.items() if other is not slot))


def customer(**changes: Any) -> Facts:
    return facts(customer=EXAMPLE.model_copy(update=changes))


def test_a_passed_re_check_moves_billing_by_one_order() -> None:
    """The same order however often it is asked for."""
    case = check()
    assert case.state is State.COMMITTING
    wanted = order(case)
    assert wanted == order(stuck(case, "away", at(days=3)))
    assert (wanted.key, wanted.customer, wanted.old, wanted.new) == (KEY, "C-1", "acme", "globex")
    assert (wanted.charges, wanted.at, wanted.lock_until) == (CHARGES, DUE, at(days=31, hours=1))
    done = committed(case, at(days=2))
    assert done.state is State.COMPLETED
    assert done.completed_at == DUE
    assert "Globex is billed from 2026-03-03 10:00:00 UTC" in done.outcome_reason


@pytest.mark.parametrize("make", [opened, ready])
def test_no_order_exists_before_the_re_check(make: Any) -> None:
    """Nobody may ask for it by mistake."""
    case: Case = make()
    with pytest.raises(ValueError, match="re-check"):
        order(case)
    with pytest.raises(ValueError, match="re-check"):
        committed(case, DUE)
    with pytest.raises(ValueError, match="begun"):
        stuck(case, "?", DUE)


def test_an_order_needs_the_new_resellers_acceptance_of_these_charges() -> None:
    """Should the case ever contradict itself."""
    with pytest.raises(ValueError, match="charges"):
        order(check().having(charges=DEARER))


def test_what_is_completed_stays_completed() -> None:
    """Once more is a no-op, and it cannot be stuck any more."""
    done = committed(check(), at(days=2))
    assert committed(done, at(days=3)) == done
    assert done.ended(State.CANCELLED, "sue", at(days=3)) == done
    with pytest.raises(ValueError, match="commit"):
        stuck(done, "?", at(days=3))


@pytest.mark.parametrize("make", [opened, committing])
def test_a_re_check_of_a_transfer_that_is_not_ready_changes_nothing(make: Any) -> None:
    """While billing is moved, the new reseller may be on record already."""
    case: Case = make()
    moved = facts(old=GLOBEX, customer=None)
    assert rechecked(case, survey(known=moved), DUE) == case


def test_a_re_check_before_grace_is_over_moves_nothing() -> None:
    """Everybody was told the exact instant."""
    assert check(now=at(hours=24)).state is State.READY


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("NOT_CURRENT_RESELLER", facts(old=ACME.model_copy(update={"id": "initech"}))),
        ("NOT_CURRENT_RESELLER", facts(old=GLOBEX)),
        ("UNKNOWN_DOMAIN", facts(customer=None, old=None)),
        ("UNKNOWN_DOMAIN", customer(id="C-2")),
        ("UNKNOWN_RESELLER", facts(new=None)),
        ("UNKNOWN_RESELLER", facts(old=None)),
        ("UNKNOWN_RESELLER", facts(new=GLOBEX.model_copy(update={"id": "initech"}))),
        ("IN_COOLDOWN", customer(locked_until=at(days=9))),
    ],
)
def test_what_can_never_be_mended_ends_the_transfer(code: str, known: Facts) -> None:
    """It is never "fixed"."""
    case = check(known=known)
    assert (case.state, case.outcome_code) == (State.CANCELLED, code)


@pytest.mark.parametrize(
    ("code", "known"),
    [
        (StopCode.LEGAL_HOLD, customer(legal_hold=True)),
        (StopCode.NEW_SUSPENDED, facts(new=GLOBEX.model_copy(update={"suspended": True}))),
        (StopCode.OTHER, facts(new=GLOBEX.model_copy(update={"billing_account": ""}))),
        (StopCode.OTHER, facts(new=GLOBEX.model_copy(update={"administrators": ()}))),
        (StopCode.OTHER, customer(suspended=True)),
        (StopCode.OTHER, customer(terminating=True)),
        (StopCode.OTHER, facts(open_transfer="transfer-other.example")),
    ],
)
def test_what_a_person_can_mend_holds_the_transfer(code: StopCode, known: Facts) -> None:
    """And billing does not move."""
    case = check(known=known)
    assert case.state is State.ON_HOLD
    assert case.hold is not None
    assert (case.hold.code, case.hold.by) == (code, "re-check")


@pytest.mark.parametrize(
    "known",
    [
        facts(old=ACME.model_copy(update={"suspended": True})),
        facts(open_transfer="transfer-example.com"),
        facts(old=ACME.model_copy(update={"name": "Acme plc", "aliases": ()})),
    ],
)
def test_what_is_no_obstacle_does_not_stop_the_commit(known: Facts) -> None:
    """A warning, this very transfer, and a new name of the same reseller."""
    case = ready(opened(old_reseller="Acme Hosting"))
    assert check(case=case, known=known).state is State.COMMITTING


@pytest.mark.parametrize("slot", list(Slot))
@pytest.mark.parametrize(
    ("changes", "beside", "code"),
    [
        (None, {}, "TICKET_UNKNOWN"),
        ({"open": False}, {}, "STALE_TICKET"),
        ({"administrator": False}, {}, "NOT_ADMIN"),
        ({}, {"on_record": False}, "NOT_ADMIN"),
        ({}, {"used_by": "another transfer"}, "TICKET_REUSED"),
        ({"account": "initech"}, {}, "TICKET_REUSED"),
        ({"delegated": True}, {}, "DELEGATED_SESSION"),
        ({"body": "hm"}, {}, "TEXT_AMBIGUOUS"),
        ({"author": Person(id="neo2", email="carl@example.com")}, {}, None),
    ],
)
def test_a_ticket_that_no_longer_stands_is_asked_for_again(
    slot: Slot, changes: dict[str, Any] | None, beside: dict[str, Any], code: str | None
) -> None:
    """Its party only; the other two stand."""
    readings = {s: reading(each) for s, each in THREE.items()}
    if changes is None:
        del readings[slot]
    else:
        readings[slot] = reading(THREE[slot].model_copy(update=changes), **beside)
    looked = Survey(facts=facts(), readings=tuple(readings.values()))
    case = rechecked(ready(), looked, DUE)
    if code is None:  # an author who is another party's person, too
        code = None if slot is Slot.AUTHORIZE else "SAME_PERSON_TWO_PARTIES"
    if code is None:
        assert case.state is State.COMMITTING
        return
    assert case.state is State.AWAITING
    assert case.slot(slot).state is SlotState.REQUESTED
    again = [e for e in case.evidence if e.code == "ASKED_AGAIN"]
    assert [(e.slot, e.detail) for e in again] == [(slot, code)]
    assert sum(record.authorized for record in case.slots) == 2


def test_a_ticket_older_than_thirty_days_at_commit_must_be_confirmed_again() -> None:
    """It was fresh when it came in."""
    case = opened()
    old = {slot: ticket(slot, when=at(days=-28, hours=-20)) for slot in Slot}
    for each in old.values():
        case = submit(case, each, at(hours=1))
    assert rechecked(case, survey(*old.values()), at(hours=28)).state is State.COMMITTING
    case = rechecked(case, survey(*old.values()), at(hours=28, minutes=1))
    assert [record.state for record in case.slots] == [SlotState.REQUESTED] * 3


@pytest.mark.parametrize(
    ("slot", "state"),
    [
        (Slot.RELEASE, State.MEDIATION),
        (Slot.AUTHORIZE, State.WITHDRAWN),
        (Slot.ACCEPT, State.WITHDRAWN),
    ],
)
@pytest.mark.parametrize("same_ticket", [True, False])
@pytest.mark.parametrize("known", [facts(), customer(legal_hold=True, charges=DEARER)])
def test_a_withdrawal_whose_signal_was_lost_stops_the_transfer(
    slot: Slot, state: State, same_ticket: bool, known: Facts
) -> None:
    """In the ticket itself or in a new one; whatever else is wrong."""
    no = edited(THREE[slot], at(hours=3), body=WITHDRAW_TEXT)
    if not same_ticket:
        no = no.model_copy(update={"id": "w", "created_at": at(hours=3)})
    case = check(no, known=known)
    if state is State.MEDIATION and known != facts():
        state = State.ON_HOLD
        assert case.mediation is not None
    assert case.state is state


def test_an_edited_ticket_that_still_says_yes_stands() -> None:
    """With its new revision."""
    case = check(edited(THREE[Slot.AUTHORIZE], at(hours=3)))
    assert case.state is State.COMMITTING
    assert case.slot(Slot.AUTHORIZE).revision == 2


def test_an_unclear_newer_ticket_stops_the_commit() -> None:
    """Staff read it first."""
    case = check(
        ticket(Slot.AUTHORIZE, "7", at(hours=3), body="wait with the transfer of example.com!")
    )
    assert case.state is State.READY
    assert [doubt.ticket.id for doubt in case.doubts] == ["7"]


def test_a_ticket_rejected_in_its_newer_revision_does_not_stand_in_its_older_one() -> None:
    """Though the older one is read late, and all others agree."""
    newer = edited(THREE[Slot.ACCEPT], at(hours=1), body="hm")
    case = submit(opened(), newer)
    action = {"staff": "sue", "reason": "unclear", "ticket_id": newer.id}
    case = levers.reject_ticket(case, RejectTicket.model_validate(action), at(hours=1))
    case = ready(case)
    assert case.state is State.AWAITING
    assert case.slot(Slot.ACCEPT).state is SlotState.REQUESTED


def test_staffs_release_and_an_admitted_ticket_stand_without_a_clear_text() -> None:
    """A person answers for them; who filed the ticket is checked all the same."""
    case = submit(opened(staff_release="two_person"), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    for staff in ("sue", "tom"):
        action = ReleaseOnBehalf(staff=staff, reason="letter")
        case = levers.release_on_behalf(case, action, at(hours=2))
    seven = ticket(Slot.AUTHORIZE, "7", body="ok")
    case = submit(submit(case, seven), ticket(Slot.ACCEPT))
    admit = AdmitTicket(staff="sue", reason="called", ticket_id="7", what=Intent.AUTHORIZE)
    case = levers.admit_ticket(case, admit, at(hours=1))
    tickets = (ticket(Slot.RELEASE, body=REFUSE_TEXT), seven, ticket(Slot.ACCEPT))
    assert rechecked(case, survey(*tickets), DUE).state is State.COMMITTING
    demoted = seven.model_copy(update={"administrator": False})
    assert rechecked(case, survey(demoted, ticket(Slot.ACCEPT)), DUE).state is State.AWAITING


# -- charges -----------------------------------------------------------------------------------
def test_changed_charges_are_asked_for_again_and_an_older_acceptance_never_counts() -> None:
    """Not the same ticket, not one found beside it, and not one that rings late."""
    twin = ticket(Slot.ACCEPT, "twin", at(hours=2))
    case = check(twin, known=customer(charges=DEARER))
    assert case.state is State.AWAITING
    assert case.charges == DEARER
    asked = next(event for event in case.evidence if event.code == "ASKED_AGAIN")
    assert asked.detail == "CHARGES_CHANGED: business, 14.00 EUR a month"
    for filed in (THREE[Slot.ACCEPT], twin, ticket(Slot.ACCEPT, "late", DUE)):
        assert code_of(case, filed, at(hours=26)) in ("STALE_TICKET", "SUPERSEDED")
        assert check(filed, case=case, known=customer(charges=DEARER)).state is State.AWAITING
    case = submit(case, ticket(Slot.ACCEPT, "new", at(hours=26)))
    assert case.slot(Slot.ACCEPT).charges == DEARER
    assert case.state is State.READY
    assert case.commit_at == at(hours=50)


def test_charges_that_change_back_are_asked_for_once_more() -> None:
    """What was accepted last is what must be billed."""
    case = check(known=customer(charges=DEARER))
    new = ticket(Slot.ACCEPT, "new", at(hours=26))
    case = check(new, case=submit(case, new), now=at(days=4))
    assert case.state is State.AWAITING
    assert case.charges == CHARGES


def test_the_same_price_written_otherwise_is_the_same_price() -> None:
    """12.5 is 12.50."""
    known = customer(charges=CHARGES.model_copy(update={"price": Decimal("12.5")}))
    assert check(known=known).state is State.COMMITTING


def test_a_vanished_acceptance_replaced_by_a_newer_one_starts_a_new_grace() -> None:
    """Everybody is told the new instant before billing moves."""
    newer = ticket(Slot.ACCEPT, "newer", at(hours=3))
    looked = without(Slot.ACCEPT)
    looked = looked.model_copy(update={"readings": (*looked.readings, reading(newer))})
    case = rechecked(ready(), looked, DUE)
    assert case.state is State.READY
    assert case.commit_at == at(hours=49)
    assert codes(case)[-1] == "READY"


# -- what staff see ----------------------------------------------------------------------------
def test_the_staff_queue_shows_a_mediation_and_a_stuck_commit() -> None:
    """Nothing else, and nothing once it is over."""
    assert mediation.escalation(opened(), at()) is None
    case = submit(opened(), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    shown = mediation.escalation(case, at(hours=2))
    assert shown is not None
    assert (shown.state, shown.level, shown.why) == (EscalationState.OPEN, 1, "OTHER")
    assert shown.touch_by == at(days=1, hours=1)
    case = levers.take_case(case, TakeCase(staff="sue", reason="mine"), at(hours=2))
    shown = mediation.escalation(case, at(hours=2))
    assert shown is not None
    assert (shown.state, shown.owner, shown.touch_by) == (EscalationState.TAKEN, "sue", None)
    shown = mediation.escalation(stuck(check(), "the database\nis away", DUE), DUE)
    assert shown is not None
    assert (shown.why, shown.detail) == ("COMMIT_STUCK", "the database is away")
    assert mediation.escalation(committed(check(), DUE), DUE) is None
