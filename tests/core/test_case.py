"""The case itself: what it begins with, what ends it, and what tells its events apart."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import pytest

from tests.core.builders import (
    KEY,
    MONDAY,
    NEO,
    REFUSE_TEXT,
    at,
    codes,
    committing,
    opened,
    ready,
    received,
    submit,
    ticket,
)
from transfer.case import (
    MAX_DETAIL,
    MAX_EVIDENCE,
    Case,
    Doubt,
    Evidence,
    Mediation,
    OnHold,
    Proposal,
    Publication,
    SlotState,
    State,
)
from transfer.domains import MAX_LENGTH
from transfer.messages import StopCode
from transfer.parties import Account, Party, Slot
from transfer.values import fingerprint

EVENT = Evidence(seq=1, at=MONDAY, who="sam", code="HELD")
MEDIATION = Mediation(
    opened_at=MONDAY, why="SILENT", first_touch_by=at(days=1), second_level_at=at(days=3)
)
PROPOSAL = Proposal(staff="sam", reason="bankrupt", at=MONDAY)


def test_a_transfer_begins_with_what_was_asked_for_and_nothing_else() -> None:
    """Nothing is looked up yet: no account is known but by the words of the request."""
    case = received(old_reseller="acme", requested_by="sam")
    assert (case.transfer_id, case.key, case.received_at) == ("transfer-example.com", KEY, MONDAY)
    assert case.domain == "example.com"
    assert case.customer == Account(id="", name="example.com")
    assert (case.old, case.new) == (Account(id="acme"), Account(id="globex"))
    assert received().old == Account(id="")
    assert case.evidence == (
        Evidence(seq=1, at=MONDAY, who="sam", code="RECEIVED", detail="to globex"),
    )


def test_whatever_a_domain_is_asked_for_by_is_shown_as_one_short_line() -> None:
    """It may not even be a domain."""
    case = received(domain="a\nb" + "c" * MAX_LENGTH)
    assert case.domain == case.customer.name == ("a b" + "c" * MAX_LENGTH)[:MAX_LENGTH]


def test_each_party_has_its_account_and_each_account_its_slot() -> None:
    """A stranger has none."""
    case = opened()
    assert [case.account(party).id for party in Party] == ["acme", "C-1", "globex"]
    assert [case.slot_of_account(one) for one in ("acme", "C-1", "globex", "else")] == [*Slot, None]
    assert [case.slot(slot).slot for slot in Slot] == list(Slot)


# -- what is noted ---------------------------------------------------------------------------------
def test_what_is_noted_is_one_line_each_and_says_no_more_than_was_given() -> None:
    """Texts of strangers are among it; what was not given stays empty."""
    case = received().noting("HELD", "sa\nm", at(hours=1))
    assert case.evidence[-1] == Evidence(seq=2, at=at(hours=1), who="sa m", code="HELD")
    full = case.noting(
        "HELD", "sam", at(hours=2), detail="a\nb", ticket_id="1001", slot=Slot.ACCEPT
    )
    assert full.evidence[-1] == Evidence(
        seq=3,
        at=at(hours=2),
        who="sam",
        code="HELD",
        detail="a b",
        ticket_id="1001",
        slot=Slot.ACCEPT,
    )
    assert full.evidence[:-1] == case.evidence


def test_the_newest_evidence_stays_and_every_piece_is_counted() -> None:
    """The oldest leaves the case; its number is never given again."""
    case = received()
    for _ in range(MAX_EVIDENCE):
        case = case.noting("HELD", "sam", MONDAY)
    assert [event.seq for event in case.evidence] == list(range(2, MAX_EVIDENCE + 2))
    assert case.evidence_count == MAX_EVIDENCE + 1
    long = case.noting("HELD", "sam", MONDAY, detail="x" * (MAX_DETAIL + 1))
    assert long.evidence[-1].detail == "x" * MAX_DETAIL


def test_whatever_tells_two_events_apart_is_in_their_marks() -> None:
    """Two that differ in one thing differ in their marks, and the same one has the same mark."""
    events = [
        EVENT,
        EVENT.model_copy(update={"seq": 2}),
        EVENT.model_copy(update={"code": "RESUMED"}),
        EVENT.model_copy(update={"detail": "two owners"}),
        EVENT.model_copy(update={"ticket_id": "1001"}),
        EVENT.model_copy(update={"slot": Slot.ACCEPT}),
    ]
    assert all(one.mark != two.mark for one, two in combinations(events, 2))
    assert EVENT.model_copy(update={"at": at(days=1), "who": "tom"}).mark == EVENT.mark


def test_a_mark_is_the_same_in_every_release() -> None:
    """It is in the database: made otherwise, each event of an open transfer would be told twice."""
    assert EVENT.mark == fingerprint("1", "HELD", "", "", "")
    event = Evidence(
        seq=2, at=MONDAY, who="x", code="HELD", detail="d", ticket_id="7", slot=Slot.RELEASE
    )
    assert event.mark == fingerprint("2", "HELD", "d", "7", "release")
    publication = Publication(case=received(), events=(EVENT, event))
    assert publication.mark == fingerprint(EVENT.mark, event.mark)


# -- the end ---------------------------------------------------------------------------------------
def _busy() -> Case:
    """A transfer with everything that somebody could still wait for."""
    doubt = Doubt(ticket=ticket(Slot.ACCEPT), slot=Slot.ACCEPT, at=MONDAY)
    return ready().having(
        mediation=MEDIATION, proposal=PROPOSAL, doubts=(doubt,), commit_at=at(days=1)
    )


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        ("FRAUD", "they called", "they called"),
        ("FRAUD", "", "FRAUD"),
        ("", "they called", "they called"),
        ("", "", ""),
    ],
)
def test_the_end_waits_for_nobody_and_says_why(code: str, reason: str, detail: str) -> None:
    """The reason if there is one, else the code. Why staff mediated stays on record."""
    over = _busy().ended(State.CANCELLED, "sam", at(hours=3), code=code, reason=reason)
    assert (over.state, over.outcome_code, over.outcome_reason) == (State.CANCELLED, code, reason)
    assert (over.commit_at, over.hold, over.doubts, over.proposal) == (None, None, (), None)
    assert over.mediation == MEDIATION
    last = over.evidence[-1]
    assert (last.code, last.who, last.at, last.detail) == ("CANCELLED", "sam", at(hours=3), detail)


def test_an_end_of_which_nothing_was_said_has_neither_code_nor_reason() -> None:
    """Nothing is made up."""
    over = _busy().ended(State.EXPIRED, "transfer", at(hours=3))
    assert (over.outcome_code, over.outcome_reason, over.evidence[-1].detail) == ("", "", "")


def test_what_is_over_stays_as_it_ended() -> None:
    """Neither another end nor a slot changes it."""
    over = _busy().ended(State.CANCELLED, "sam", at(hours=3))
    assert over.ended(State.COMPLETED, "transfer", at(hours=4)) == over
    assert over.settled(at(hours=4)) == over


# -- settling --------------------------------------------------------------------------------------
def test_when_all_three_agree_every_party_is_told_one_instant() -> None:
    """Mediation and a proposal to release are over; billing moves after the grace."""
    now = at(hours=1)
    before = ready().having(commit_at=None, mediation=MEDIATION, proposal=PROPOSAL)
    case = before.settled(now)
    assert (case.mediation, case.proposal) == (None, None)
    assert case.commit_at == now + timedelta(days=1)
    assert case.evidence[-1] == Evidence(
        seq=before.evidence_count + 1,
        at=now,
        who="transfer",
        code="READY",
        detail="billing moves at 2026-03-03 10:00 UTC",
    )
    assert case.state is State.READY


def test_the_instant_that_all_were_told_stays_as_long_as_all_agree() -> None:
    """Another yes of the same party moves nothing, and is no second READY."""
    case = ready()
    again = case.having(mediation=MEDIATION, proposal=PROPOSAL).settled(at(hours=9))
    assert again == case
    assert codes(again).count("READY") == 1


@pytest.mark.parametrize("slot", list(Slot))
def test_there_is_no_instant_of_commit_as_long_as_one_is_missing(slot: Slot) -> None:
    """Whichever of the three it is."""
    case = ready()
    missing = case.with_slot(case.slot(slot).model_copy(update={"state": SlotState.LAPSED}))
    waiting = missing.settled(at(hours=9))
    assert waiting.commit_at is None
    assert waiting == missing.having(commit_at=None)
    assert not waiting.fully_authorized


@pytest.mark.parametrize("slot", list(Slot))
@pytest.mark.parametrize(
    ("said", "outcome", "verb"),
    [
        (SlotState.REFUSED, State.REFUSED, "refused"),
        (SlotState.WITHDRAWN, State.WITHDRAWN, "withdrew"),
    ],
)
def test_a_no_ends_the_transfer_unless_it_is_the_old_resellers(
    slot: Slot, said: SlotState, outcome: State, verb: str
) -> None:
    """The end names the party as people know it, and who of it said so."""
    case = ready()
    record = case.slot(slot).model_copy(update={"state": said, "by": None})
    anonymous = case.with_slot(record).settled(at(hours=9))
    named = case.with_slot(record.model_copy(update={"by": "Pat"})).settled(at(hours=9))
    if slot is Slot.RELEASE:
        assert (anonymous.outcome, named.outcome) == (None, None)
        assert anonymous.commit_at is None
        return
    party = {Slot.AUTHORIZE: "Example Ltd", Slot.ACCEPT: "Globex"}[slot]
    for over in (anonymous, named):
        assert (over.outcome, over.outcome_code) == (outcome, slot.value)
        assert over.outcome_reason == over.evidence[-1].detail == f"{party} {verb}"
    assert anonymous.evidence[-1].who == slot.party.value
    assert named.evidence[-1].who == "Pat"


def test_the_end_of_a_refused_transfer_is_on_record_under_who_refused() -> None:
    """A person, not only its party."""
    refused = submit(opened(), ticket(Slot.ACCEPT, body=REFUSE_TEXT))
    assert refused.outcome is State.REFUSED
    assert NEO.name in refused.evidence[-1].who


def test_a_hold_and_a_commit_are_not_settled() -> None:
    """What came in meanwhile counts when the hold is lifted; a commit is past all words."""
    case = committing()
    assert case.state is State.COMMITTING
    withdrawn = case.slot(Slot.ACCEPT).model_copy(update={"state": SlotState.WITHDRAWN})
    changed = case.with_slot(withdrawn)
    assert changed.settled(at(days=3)) == changed
    assert not changed.is_open_to_parties
    hold = OnHold(at=at(hours=2), by="sam", code=StopCode.OWNERSHIP_DISPUTED, reason="two owners")
    held = ready().with_slot(withdrawn).having(hold=hold)
    assert held.settled(at(hours=3)) == held
    assert held.is_open_to_parties
