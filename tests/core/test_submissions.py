"""Submissions: who may speak, what is said, and whether it is the newest word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.builders import (
    ANN,
    KEY,
    NEO,
    PROCEDURE,
    REFUSE_TEXT,
    WITHDRAW_TEXT,
    at,
    code_of,
    codes,
    committing,
    edited,
    opened,
    reading,
    ready,
    submit,
    ticket,
)
from transfer import commit, judging, levers, submissions
from transfer.case import (
    MAX_DOUBT_TEXT,
    MAX_DOUBTS,
    MAX_REJECTED,
    Case,
    SlotState,
    State,
)
from transfer.messages import AdmitTicket, Hold, RejectTicket, Resume, TicketReading
from transfer.notices import RULES
from transfer.parties import Person, Slot
from transfer.submissions import MAX_LATE_NOTED, MAX_UNKNOWN_NOTED, found, submitted
from transfer.tickets import Channel, Intent, Ticket

OTHER_TEXT = "I would like to request that {} is to be transferred to {}.\nThanks you"
CODES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("TICKET_REUSED", {}, {"used_by": "transfer-example.com/another-run"}),
    ("WRONG_CHANNEL", {"channel": Channel.MAIL}, {}),
    ("WRONG_ACCOUNT", {"account": "initech"}, {}),
    ("WRONG_ACCOUNT", {"account": "globex", "author": NEO}, {}),
    ("NOT_ADMIN", {"administrator": False}, {}),
    ("NOT_ADMIN", {}, {"on_record": False}),
    ("DELEGATED_SESSION", {"delegated": True}, {}),
    ("STALE_TICKET", {"open": False}, {}),
    ("STALE_TICKET", {"updated_at": at(days=-30)}, {}),
    ("TEXT_AMBIGUOUS", {"body": "ok, go ahead"}, {}),
    ("DOMAIN_MISMATCH", {"body": OTHER_TEXT.format("example.org", "Globex")}, {}),
    ("DOMAIN_MISMATCH", {"body": OTHER_TEXT.format("http://example.com", "Globex")}, {}),
    ("PARTY_MISMATCH", {"body": OTHER_TEXT.format("example.com", "Initech")}, {}),
    ("PARTY_MISMATCH", {"body": OTHER_TEXT.format("example.com", "Acme Hosting")}, {}),
]


@pytest.mark.parametrize(("code", "changes", "beside"), CODES)
def test_a_rejection_has_its_code_and_fix_and_changes_nothing_else(
    code: str, changes: dict[str, Any], beside: dict[str, Any]
) -> None:
    """The transfer keeps waiting, and the filer can put it right."""
    before = opened()
    filed = ticket(Slot.RELEASE, **changes)
    after, answer = submitted(before, reading(filed, **beside), at(hours=2))
    assert (answer.accepted, answer.code) == (False, code)
    assert answer.fix
    assert "{" not in answer.fix
    assert after.state is State.AWAITING
    for old, new in zip(before.slots, after.slots, strict=True):
        untouched = {"rejected": (), "rejected_count": 0}
        assert new.model_copy(update=untouched) == old.model_copy(update=untouched)


def test_a_ticket_that_does_not_exist_is_unknown() -> None:
    """The doorbell only says where it is shown."""
    nothing = TicketReading(ticket_id="404")
    case, answer = submitted(opened(), nothing, at(hours=1), rung=Intent.ACCEPT)
    assert (answer.code, answer.slot) == ("TICKET_UNKNOWN", Slot.ACCEPT)
    assert [r.ticket_id for r in case.slot(Slot.ACCEPT).rejected] == ["404"]
    assert case.slot(Slot.ACCEPT).rejected_count == 0
    case, answer = submitted(case, nothing, at(hours=1), rung=Intent.WITHDRAW)
    assert (answer.code, answer.slot) == ("TICKET_UNKNOWN", None)
    assert submitted(case, nothing, at(hours=2), rung=Intent.REFUSE)[0] == case


def test_a_ticket_that_appears_later_counts() -> None:
    """Hooks can be faster than commits."""
    nothing = TicketReading(ticket_id="release-1")
    case, _ = submitted(opened(), nothing, at(hours=1), rung=Intent.RELEASE)
    assert submit(case, ticket(Slot.RELEASE)).slot(Slot.RELEASE).authorized


@pytest.mark.parametrize(
    "author",
    [
        NEO,
        Person(id="NEO", name="N.", email="neo@private.example"),
        Person(id="n2", name="Neo", email=" Neo@Globex.example"),
    ],
)
def test_one_person_cannot_speak_for_two_parties(author: Person) -> None:
    """Neither by id nor by mail address."""
    case = submit(opened(), ticket(Slot.ACCEPT))
    assert code_of(case, ticket(Slot.AUTHORIZE, author=author)) == "SAME_PERSON_TWO_PARTIES"


def test_two_people_without_a_mail_address_are_two_people() -> None:
    """Nothing in common is nothing."""
    case = submit(opened(), ticket(Slot.ACCEPT, author=Person(id="x")))
    assert code_of(case, ticket(Slot.AUTHORIZE, author=Person(id="y"))) is None


def test_the_old_reseller_may_say_no_in_the_name_of_nobody_else() -> None:
    """A no from a foreign account is no no."""
    case = submit(opened(), ticket(Slot.AUTHORIZE))
    filed = ticket(Slot.AUTHORIZE, "9", account="initech", body=WITHDRAW_TEXT)
    assert code_of(case, filed, at(hours=2)) == "WRONG_ACCOUNT"


@pytest.mark.parametrize("slot", list(Slot))
def test_a_valid_ticket_fills_the_slot_of_its_account(slot: Slot) -> None:
    """In any order, and whatever the doorbell said."""
    case, answer = submitted(opened(), reading(ticket(slot)), at(hours=1), rung=Intent.WITHDRAW)
    record = case.slot(slot)
    assert answer.accepted
    assert (answer.slot, answer.state) == (slot, "AUTHORIZED")
    assert (record.ticket_id, record.said_at) == (f"{slot.value}-1", at(hours=1))
    assert record.reminders == ()
    assert (record.charges is not None) is (slot is Slot.ACCEPT)


def test_the_same_ticket_twice_is_a_no_op_that_repeats_the_answer() -> None:
    """Accepted or rejected."""
    for filed in (
        ticket(Slot.RELEASE),
        ticket(Slot.RELEASE, body="hm"),
        ticket(Slot.RELEASE, administrator=False),
        ticket(Slot.RELEASE, account="initech"),
        ticket(Slot.RELEASE, body=REFUSE_TEXT),
        ticket(Slot.RELEASE, body=REFUSE_TEXT, open=False),
    ):
        case, first = submitted(opened(), reading(filed), at(hours=1))
        again, second = submitted(case, reading(filed), at(hours=2))
        assert again == case
        assert second == first


# -- order: by the ticket's time and revision, not by arrival ----------------------------------
def test_a_late_yes_never_overrides_a_newer_no() -> None:
    """The old reseller's no came first, and was written last."""
    case = submit(opened(), ticket(Slot.RELEASE, "no", at(hours=2), body=REFUSE_TEXT))
    assert code_of(case, ticket(Slot.RELEASE, "yes", at(hours=1)), at(hours=3)) == "SUPERSEDED"


def test_at_the_same_instant_a_no_wins() -> None:
    """Whichever arrives first."""
    yes, no = ticket(Slot.RELEASE, "yes"), ticket(Slot.RELEASE, "no", body=REFUSE_TEXT)
    for order in ((yes, no), (no, yes)):
        case = opened()
        for filed in order:
            case = submit(case, filed)
        assert case.slot(Slot.RELEASE).ticket_id == "no"
        assert case.state is State.MEDIATION


def test_a_withdrawal_counts_only_if_it_is_newer_than_what_it_withdraws() -> None:
    """An old one that arrives late withdraws nothing."""
    case = submit(opened(), ticket(Slot.AUTHORIZE, when=at(hours=5)))
    late = ticket(Slot.AUTHORIZE, "w", at(hours=4), body=WITHDRAW_TEXT)
    assert code_of(case, late, at(hours=6)) == "SUPERSEDED"
    newer = ticket(Slot.AUTHORIZE, "w2", at(hours=6), body=WITHDRAW_TEXT)
    assert submit(case, newer).state is State.WITHDRAWN


def test_a_ticket_edited_within_a_second_is_ordered_by_its_revision() -> None:
    """Time alone would not tell."""
    yes = ticket(Slot.RELEASE)
    no = edited(yes, yes.updated_at, body=WITHDRAW_TEXT)
    case = submit(submit(opened(), yes), no)
    assert case.slot(Slot.RELEASE).state is SlotState.WITHDRAWN
    assert code_of(case, yes) == "SUPERSEDED"


def test_a_stale_reading_of_an_older_revision_takes_nothing_away() -> None:
    """Superseded is rejected, and a rejection changes nothing else."""
    first = ticket(Slot.RELEASE)
    second = edited(first, at(hours=2))
    case = submit(submit(opened(), second), first, at(hours=3))
    assert case.slot(Slot.RELEASE).revision == 2
    assert case.slot(Slot.RELEASE).authorized


@pytest.mark.parametrize("said", [REFUSE_TEXT, "hm, example.com", PROCEDURE[Slot.AUTHORIZE][1]])
def test_what_a_ticket_said_before_it_was_changed_changes_nothing(said: str) -> None:
    """Even if that is read only now: a no does not end it, nor does anything take the yes away."""
    before = ticket(Slot.ACCEPT, body=said)
    for now_says in (PROCEDURE[Slot.ACCEPT][1], "well, example.com"):
        case = submit(opened(), edited(before, at(hours=2), body=now_says))
        assert submit(case, before, at(hours=3)) == case
        assert submit(case, before.model_copy(update={"open": False}), at(hours=3)) == case


def test_an_unclear_ticket_holds_up_nothing_after_a_newer_yes_whoever_rings_for_it_again() -> None:
    """A doorbell is anybody's."""
    unclear = ticket(Slot.ACCEPT, "7", at(hours=1), body="Hm, the transfer of example.com.")
    case = submit(submit(opened(), unclear), ticket(Slot.ACCEPT, "8", at(hours=2)))
    assert not case.doubts
    assert submit(case, unclear, at(hours=3)) == case


def test_two_yes_of_the_same_instant_do_not_take_turns() -> None:
    """A forger could ring for them in turn for ever."""
    case = submit(opened(), ticket(Slot.RELEASE, "a"))
    assert code_of(case, ticket(Slot.RELEASE, "b")) == "SUPERSEDED"


# -- refusals and withdrawals ------------------------------------------------------------------
@pytest.mark.parametrize("slot", [Slot.AUTHORIZE, Slot.ACCEPT])
@pytest.mark.parametrize(
    ("text", "yes_first", "state"),
    [
        (REFUSE_TEXT, False, State.REFUSED),
        (REFUSE_TEXT, True, State.WITHDRAWN),
        (WITHDRAW_TEXT, False, State.WITHDRAWN),
        (WITHDRAW_TEXT, True, State.WITHDRAWN),
    ],
)
def test_a_no_of_the_customer_or_the_new_reseller_ends_the_transfer(
    slot: Slot, text: str, yes_first: bool, state: State
) -> None:
    """What it is called depends on what it takes back."""
    case = submit(opened(), ticket(slot)) if yes_first else opened()
    case = submit(case, ticket(slot, "no", at(hours=2), body=text))
    assert case.state is state
    assert case.outcome_code == slot.value
    assert str(case.account(slot.party)) in case.outcome_reason


@pytest.mark.parametrize(("text", "code"), [(REFUSE_TEXT, "REFUSED"), (WITHDRAW_TEXT, "WITHDRAWN")])
def test_a_no_of_the_old_reseller_goes_to_mediation(text: str, code: str) -> None:
    """A person talks to it; the other two go on filing."""
    case = submit(opened(), ticket(Slot.RELEASE, body=text))
    assert case.state is State.MEDIATION
    assert case.slot(Slot.RELEASE).state.value == code
    assert submit(case, ticket(Slot.ACCEPT)).slot(Slot.ACCEPT).authorized


def test_mediation_learns_the_reason_and_keeps_its_owner_and_clocks() -> None:
    """A refusal after silence says more than silence."""
    case = submit(opened(), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    filed = ticket(Slot.RELEASE, "2", at(hours=3), body=f"{REFUSE_TEXT} Reason: UNRELATED_DEBT")
    again = submit(case, filed)
    assert case.mediation is not None
    assert again.mediation == case.mediation.model_copy(update={"why": "UNRELATED_DEBT"})
    assert str(again.slot(Slot.RELEASE).refusal) == "UNRELATED_DEBT"


def test_a_fresh_release_ends_the_mediation() -> None:
    """Back to waiting for the other two."""
    case = submit(opened(), ticket(Slot.RELEASE, body=REFUSE_TEXT))
    case = submit(case, ticket(Slot.RELEASE, "2", at(hours=3)))
    assert case.state is State.AWAITING
    assert case.slot(Slot.RELEASE).refusal is None
    assert "MEDIATION_ENDED" in codes(case)


def test_a_closed_withdrawal_still_counts_and_a_closed_yes_does_not() -> None:
    """Support staff close tickets; billing must not move because of that."""
    case = submit(opened(), ticket(Slot.AUTHORIZE))
    no = ticket(Slot.AUTHORIZE, "no", at(hours=2), body=WITHDRAW_TEXT, open=False)
    assert submit(case, no).state is State.WITHDRAWN
    old = ticket(Slot.RELEASE, "no", at(hours=-2), body=REFUSE_TEXT, open=False)
    assert code_of(case, old, at(hours=3)) == "STALE_TICKET"


# -- tickets that are changed ------------------------------------------------------------------
def test_an_authorization_edited_into_something_unclear_is_asked_for_again() -> None:
    """And staff read what it says now."""
    yes = ticket(Slot.ACCEPT)
    case = submit(ready(), edited(yes, at(hours=3), body="hm, wait"))
    record = case.slot(Slot.ACCEPT)
    assert case.state is State.AWAITING
    assert case.commit_at is None
    assert (record.state, record.ticket_id) == (SlotState.REQUESTED, None)
    assert [doubt.ticket.revision for doubt in case.doubts] == [2]
    assert record.deadline == at(days=14, hours=3)


def test_a_closed_authorization_is_asked_for_again_and_only_a_newer_ticket_counts() -> None:
    """Opening it again is not filing it again."""
    yes = ticket(Slot.ACCEPT)
    case = submit(ready(), yes.model_copy(update={"open": False}), at(hours=3))
    assert case.slot(Slot.ACCEPT).state is SlotState.REQUESTED
    assert code_of(case, yes, at(hours=4)) == "STALE_TICKET"
    twin = ticket(Slot.ACCEPT, "twin")
    assert code_of(case, twin, at(hours=4)) == "STALE_TICKET"
    assert submit(case, ticket(Slot.ACCEPT, "2", at(hours=4))).state is State.READY


def test_a_ticket_that_stands_for_one_party_cannot_serve_another() -> None:
    """Even if the ticket system moves it to another account."""
    case = submit(opened(), ticket(Slot.RELEASE, "1"))
    moved = edited(ticket(Slot.ACCEPT, "1"), at(hours=2))
    assert code_of(case, moved) == "TICKET_REUSED"
    assert code_of(case, ticket(Slot.RELEASE, "1"), used_by=KEY) is None


# -- unclear tickets ---------------------------------------------------------------------------
def unclear(slot: Slot, number: str, hours: float) -> Ticket:
    """A ticket that only a person understands."""
    return ticket(slot, number, at(hours=hours), body="ok " + "x" * 5000)


def test_an_unclear_ticket_goes_to_staff_with_the_beginning_of_its_text() -> None:
    """The case stays small; staff have the ticket system."""
    case = submit(opened(), unclear(Slot.AUTHORIZE, "7", 1))
    assert [(d.ticket.id, d.slot) for d in case.doubts] == [("7", Slot.AUTHORIZE)]
    assert len(case.doubts[0].ticket.body) == MAX_DOUBT_TEXT
    assert codes(case)[-1] == "AMBIGUOUS"


def test_a_clear_word_makes_older_unclear_ones_of_the_same_party_not_matter() -> None:
    """As the fix promises; those of others, and newer ones, still wait."""
    case = submit(opened(), unclear(Slot.AUTHORIZE, "7", 1))
    case = submit(case, unclear(Slot.ACCEPT, "8", 1))
    case = submit(case, unclear(Slot.AUTHORIZE, "9", 3))
    case = submit(case, ticket(Slot.AUTHORIZE, when=at(hours=2)), at(hours=4))
    assert [doubt.ticket.id for doubt in case.doubts] == ["8", "9"]


def test_an_unclear_ticket_made_clear_does_not_wait_for_staff_any_more() -> None:
    """Whether its clear text is accepted or rejected."""
    seven = unclear(Slot.RELEASE, "7", 1)
    case = submit(opened(), seven)
    assert submit(case, edited(seven, at(hours=2), body=PROCEDURE[Slot.RELEASE][1])).doubts == ()
    elsewhere = OTHER_TEXT.format("example.org", "Globex")
    assert submit(case, edited(seven, at(hours=2), body=elsewhere)).doubts == ()


def test_one_party_cannot_crowd_out_the_unclear_tickets_of_another() -> None:
    """And its own that did not fit are read as soon as there is room."""
    case = opened()
    for n in range(MAX_DOUBTS + 2):
        case = submit(case, unclear(Slot.RELEASE, f"r{n}", 1 + n / 10))
    case = submit(case, unclear(Slot.AUTHORIZE, "c", 2))
    assert len(case.doubts) == MAX_DOUBTS + 1
    last = unclear(Slot.RELEASE, f"r{MAX_DOUBTS + 1}", 1 + (MAX_DOUBTS + 1) / 10)
    assert submit(case, last) == case
    case = levers.reject_ticket(
        case, RejectTicket(staff="sue", reason="no", ticket_id="r0"), at(hours=3)
    )
    case = submit(case, last, at(hours=3))
    assert last.id in {doubt.ticket.id for doubt in case.doubts}
    decided = unclear(Slot.RELEASE, "r0", 1)
    assert submit(case, decided, at(hours=3)) == case


def test_an_admitted_ticket_is_rejected_no_more() -> None:
    """Rung again, it is the party's yes."""
    seven = unclear(Slot.AUTHORIZE, "7", 1)
    case = submit(opened(), seven)
    action = AdmitTicket(staff="sue", reason="called", ticket_id="7", what=Intent.AUTHORIZE)
    case = levers.admit_ticket(case, action, at(hours=2))
    assert case.slot(Slot.AUTHORIZE).rejected == ()
    assert submitted(case, reading(seven), at(hours=3))[1].accepted


def test_staff_hear_of_the_third_rejection_of_the_same_party_once() -> None:
    """Doorbells for tickets that do not exist do not count, and hide nothing."""
    case = opened()
    for n in range(3):
        nothing = TicketReading(ticket_id=f"none-{n}")
        case, _ = submitted(case, nothing, at(hours=1), rung=Intent.RELEASE)
    for n in range(5):
        case = submit(case, ticket(Slot.RELEASE, f"r{n}", at(hours=n), administrator=False))
        assert ("REJECTED_REPEATEDLY" in codes(case)) is (n >= 2)
    assert codes(case).count("REJECTED_REPEATEDLY") == 1


def test_a_ticket_that_staff_reject_is_one_rejection_and_not_two() -> None:
    """The third by the same party is the third ticket."""
    case = submit(opened(), unclear(Slot.RELEASE, "7", 1))
    case = levers.reject_ticket(
        case, RejectTicket(staff="sue", reason="no", ticket_id="7"), at(hours=2)
    )
    assert case.slot(Slot.RELEASE).rejected_count == 1
    assert [r.decided for r in case.slot(Slot.RELEASE).rejected] == [True]


# -- floods ------------------------------------------------------------------------------------
def test_a_flood_of_unknown_tickets_leaves_a_trace_and_no_more() -> None:
    """Counted in full."""
    case = opened()
    for n in range(500):
        case, answer = submitted(case, TicketReading(ticket_id=f"t{n}"), at(), rung=Intent.RELEASE)
        assert answer.code == "TICKET_UNKNOWN"
    assert case.unknown_tickets == 500
    assert len(case.slot(Slot.RELEASE).rejected) == MAX_UNKNOWN_NOTED
    assert case.evidence_count == 2 + MAX_UNKNOWN_NOTED


def test_a_flood_of_foreign_tickets_changes_no_slot_and_annoys_few() -> None:
    """Whoever rings for all tickets of the ticket system."""
    before = opened()
    case = before
    for n in range(500):
        case = submit(case, ticket(Slot.RELEASE, f"t{n}", account=f"account-{n}"))
    assert case.slots == before.slots
    assert len(case.strangers) == MAX_REJECTED
    assert case.evidence_count == before.evidence_count + MAX_REJECTED


def test_a_strangers_ticket_about_something_else_is_noted_and_its_filer_left_in_peace() -> None:
    """Somebody rang for the ticket of another customer."""
    unrelated = ticket(Slot.RELEASE, "t1", account="C-9", body="My mail does not work.")
    case = submit(opened(), unrelated)
    assert codes(case)[-1] == "FOREIGN_TICKET"
    assert "FOREIGN_TICKET" not in RULES
    meant = ticket(Slot.RELEASE, "t2", account="C-9")
    assert codes(submit(case, meant))[-1] == "REJECTED"


def test_a_flood_by_one_party_is_counted_and_bounded() -> None:
    """Twenty are kept, fifty are told of."""
    case = opened()
    for n in range(300):
        case = submit(case, ticket(Slot.RELEASE, f"t{n}", administrator=False))
    assert case.slot(Slot.RELEASE).rejected_count == 300
    assert len(case.slot(Slot.RELEASE).rejected) == MAX_REJECTED
    assert case.evidence_count < 60


# -- late --------------------------------------------------------------------------------------
def test_after_the_end_everything_is_answered_late_and_recorded_once() -> None:
    """Terminal is terminal."""
    case = submit(opened(), ticket(Slot.ACCEPT, body=REFUSE_TEXT))
    for filed in (ticket(Slot.RELEASE), ticket(Slot.ACCEPT, "w", body=WITHDRAW_TEXT)):
        after, answer = submitted(case, reading(filed), at(days=1))
        assert answer.code == "LATE"
        assert after.evidence_count == case.evidence_count + 1
        assert submit(after, filed) == after


def test_while_billing_is_moved_a_withdrawal_is_answered_too_late() -> None:
    """By its text or by its doorbell; anything else is late, and the same ticket is a no-op."""
    case = committing()
    withdrawal = ticket(Slot.AUTHORIZE, "w", at(days=2), body=WITHDRAW_TEXT)
    assert code_of(case, withdrawal) == "TOO_LATE"
    nothing = TicketReading(ticket_id="9")
    assert submitted(case, nothing, at(days=2), rung=Intent.WITHDRAW)[1].code == "TOO_LATE"
    assert submitted(case, nothing, at(days=2), rung=Intent.RELEASE)[1].code == "LATE"
    assert code_of(case, ticket(Slot.RELEASE, "2", at(days=2))) == "LATE"
    assert code_of(case, ticket(Slot.RELEASE)) is None
    stuck = commit.stuck(case, "database", at(days=2))
    assert code_of(stuck, withdrawal) == "TOO_LATE"
    assert submit(stuck, withdrawal).slots == case.slots


def test_a_flood_after_the_end_is_answered_and_bounded() -> None:
    """Nothing grows without bound."""
    case = submit(opened(), ticket(Slot.ACCEPT, body=REFUSE_TEXT))
    for n in range(200):
        case, answer = submitted(case, TicketReading(ticket_id=f"t{n}"), at(days=1))
        assert answer.code == "LATE"
    assert codes(case).count("LATE") == MAX_LATE_NOTED


# -- tickets that nobody rang for --------------------------------------------------------------
def collect(case: Case, *filed: Ticket, **changes: Any) -> Case:
    """The case after a survey found these tickets."""
    return found(case, [reading(each, **changes) for each in filed], at(hours=5))


def test_tickets_filed_before_the_transfer_count() -> None:
    """In any order, some before it was started."""
    case = collect(opened(), *(ticket(slot, when=at(days=-1)) for slot in Slot))
    assert case.state is State.READY


def test_of_the_words_of_one_party_found_together_the_last_counts() -> None:
    """Yes, no, and yes again is a yes; and nobody is told of the older ones."""
    words = (
        ticket(Slot.AUTHORIZE, "1", at(hours=1)),
        ticket(Slot.AUTHORIZE, "2", at(hours=2), body=WITHDRAW_TEXT),
        ticket(Slot.AUTHORIZE, "3", at(hours=3)),
    )
    case = collect(opened(), *words)
    assert case.slot(Slot.AUTHORIZE).ticket_id == "3"
    assert "REJECTED" not in codes(case)
    assert collect(opened(), *words[:2]).state is State.WITHDRAWN


@pytest.mark.parametrize("slot", Slot)
def test_a_yes_that_was_taken_back_in_a_transfer_before_is_none_in_the_next(slot: Slot) -> None:
    """Found together, only the withdrawal was read there, so the yes looks like one never used."""
    yes = ticket(slot, "yes", at(hours=1))
    no = reading(ticket(slot, "no", at(hours=2), body=WITHDRAW_TEXT), used_by="before")
    others = [reading(ticket(other)) for other in Slot if other is not slot]
    case = found(opened(), [reading(yes), no, *others], at(hours=5))
    assert case.state is State.AWAITING
    assert code_of(case, yes, at(hours=5)) == "STALE_TICKET"
    case = submit(case, ticket(slot, "anew", at(hours=6)))
    assert case.state is State.READY


def test_a_no_to_another_reseller_in_a_transfer_before_takes_nothing_back() -> None:
    elsewhere = WITHDRAW_TEXT.replace("Globex", "Initech")
    no = ticket(Slot.AUTHORIZE, "no", at(hours=2), body=elsewhere)
    readings = [reading(no, used_by="before"), reading(ticket(Slot.AUTHORIZE))]
    assert found(opened(), readings, at(hours=5)).slot(Slot.AUTHORIZE).authorized


def test_what_is_found_after_the_end_is_not_answered() -> None:
    """Nobody rang for it."""
    no = ticket(Slot.ACCEPT, "no", at(hours=3), body=REFUSE_TEXT)
    case = collect(opened(), no, *(ticket(slot) for slot in Slot))
    assert case.state is State.REFUSED
    assert "LATE" not in codes(case)


@pytest.mark.parametrize(
    ("changes", "beside"),
    [
        ({"account": "initech"}, {}),
        ({"open": False}, {}),
        ({}, {"used_by": "another"}),
        ({"subject": "", "body": "my mailbox example.com is full"}, {}),
        ({"body": "transfer example.com?", "updated_at": at(hours=-1)}, {}),
    ],
)
def test_a_ticket_about_something_else_gets_no_answer(
    changes: dict[str, Any], beside: dict[str, Any]
) -> None:
    """It only happens to name the domain."""
    assert collect(opened(), ticket(Slot.RELEASE, **changes), **beside) == opened()


def test_an_unclear_ticket_since_the_start_is_found() -> None:
    """Also one from before that was changed since: it may be a withdrawal."""
    old = ticket(Slot.AUTHORIZE, "7", at(days=-3), body="mailbox full")
    changed = edited(old, at(hours=2), body="please be careful with the transfer of example.com")
    case = collect(opened(), changed)
    assert [doubt.ticket.id for doubt in case.doubts] == ["7"]
    assert collect(case, changed) == case


def test_a_lost_withdrawal_by_a_ticket_that_served_before_is_found() -> None:
    """It served this very transfer, until another ticket took its place."""
    first = ticket(Slot.AUTHORIZE, "1")
    case = submit(submit(opened(), first), ticket(Slot.AUTHORIZE, "2", at(hours=2)))
    withdrawn = edited(first, at(hours=3), body=WITHDRAW_TEXT)
    assert collect(case, withdrawn, used_by=KEY).state is State.WITHDRAWN


# -- on hold -----------------------------------------------------------------------------------
def test_on_hold_the_parties_go_on_filing_and_it_counts_when_resumed() -> None:
    """A withdrawal, too."""
    case = levers.hold(ready(), Hold(staff="sue", reason="dispute"), at(hours=2))
    no = ticket(Slot.ACCEPT, "no", at(hours=3), body=WITHDRAW_TEXT)
    case = submit(case, no)
    assert case.state is State.ON_HOLD
    resume = Resume(staff="sue", reason="settled")
    assert levers.resume(case, resume, at(hours=4)).state is State.WITHDRAWN


def test_nothing_is_said_for_a_verdict_of_nobody() -> None:
    """A judgement that rejects changes no slot."""
    case = opened()
    filed = ticket(Slot.RELEASE, account="initech", author=ANN)
    verdict = judging.judge(case, reading(filed), at(hours=1))
    assert submissions.said(case, filed, verdict, at(hours=1)) == case
    assert judging.judge(case, TicketReading(ticket_id="1"), at()).code == "TICKET_UNKNOWN"


PAST_DUE = f"{REFUSE_TEXT} Reason: PAST_DUE_BALANCE. Amount: 120.00 EUR. Invoices: R-1, R-2."


def test_a_refusal_for_unpaid_invoices_is_cleared_when_all_of_them_are_paid() -> None:
    """The old reseller is asked once more: to be paid is no release."""
    no = ticket(Slot.RELEASE, "8", body=PAST_DUE)
    case = submit(opened(), no)
    assert case.state is State.MEDIATION
    assert submissions.cleared(case, ["r-1"], at(days=1)) == case, "one is still unpaid"
    after = submissions.cleared(case, [" R-2", "r-1"], at(days=1))
    assert after.state is State.AWAITING
    release = after.slot(Slot.RELEASE)
    assert release.state is SlotState.REQUESTED
    assert release.deadline == after.policy.after(at(days=1), after.policy.release_deadline)
    assert codes(after)[-2:] == ["CLEARED", "MEDIATION_ENDED"]
    assert submit(after, no, at(days=1, hours=1)) == after, "its old no is no new one"
    closed = edited(no, at(days=1, hours=1), body=f"{REFUSE_TEXT} Reason: OTHER we like them")
    assert submit(after, closed).state is State.MEDIATION, "an edited one is"
    yes = ticket(Slot.RELEASE, "9", when=at(days=2))
    assert submit(after, yes).slot(Slot.RELEASE).authorized
    again = ticket(Slot.RELEASE, "10", when=at(days=2), body=PAST_DUE)
    assert submit(after, again).state is State.MEDIATION


@pytest.mark.parametrize(
    "body",
    [f"{REFUSE_TEXT} Reason: OTHER we like them", WITHDRAW_TEXT, f"{REFUSE_TEXT}"],
)
def test_only_a_refusal_that_names_invoices_waits_for_their_payment(body: str) -> None:
    case = submit(opened(), ticket(Slot.RELEASE, "8", body=body))
    assert submissions.cleared(case, ["1001"], at(days=1)) == case
    assert submissions.cleared(opened(), ["1001"], at(days=1)) == opened()
