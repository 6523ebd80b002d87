"""What people and machines see, in every state; and the way from state to state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings

from tests.core.acts import Act
from tests.core.builders import (
    ACME,
    EXAMPLE,
    GLOBEX,
    REFUSE_TEXT,
    WITHDRAW_TEXT,
    at,
    committing,
    facts,
    opened,
    ready,
    received,
    request,
    silent_until,
    submit,
    survey,
    ticket,
)
from tests.core.histories import HISTORIES, play
from transfer import commit, levers, opening, views
from transfer.case import TERMINAL, Case, SlotState, State
from transfer.messages import (
    AdmitTicket,
    Cancel,
    Hold,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StopCode,
    TakeCase,
)
from transfer.parties import Slot
from transfer.tickets import Intent

TWO_DAYS = at(days=2)
WHO = {"staff": "sue", "reason": "they called"}


def mediating(**changes: Any) -> Case:
    return submit(opened(**changes), ticket(Slot.RELEASE, body=REFUSE_TEXT))


def held(case: Case) -> Case:
    action = Hold(staff="sue", reason="court order", code=StopCode.LEGAL_HOLD)
    return levers.hold(case, action, at(hours=2))


def stuck() -> Case:
    return commit.stuck(committing(), "the database is away", at(days=2))


def cancelled(case: Case) -> Case:
    return levers.cancel(case, Cancel(staff="sue", reason="they called"), at(days=1))


def no(case: Case, text: str = REFUSE_TEXT, slot: Slot = Slot.ACCEPT) -> Case:
    return submit(case, ticket(slot, "no", at(hours=3), body=text))


EVERY_STATE: Mapping[State, tuple[Callable[[], Case], tuple[str, ...], bool, str]] = {
    # state: how to get there, who is waited for, escalated, the sentence
    State.VALIDATING: (received, (), False, "example.com: the request is being checked."),
    State.AWAITING: (
        lambda: submit(opened(), ticket(Slot.AUTHORIZE)),
        ("release", "accept"),
        False,
        (
            "example.com: waiting for Acme Hosting to release by 2026-03-09 09:00 UTC; "
            "Globex to accept by 2026-03-16 09:00 UTC."
        ),
    ),
    State.MEDIATION: (
        mediating,
        ("release", "authorize", "accept", "staff"),
        True,
        (
            "example.com: Acme Hosting has not released it (OTHER); "
            "a staff member has to take the case."
        ),
    ),
    State.ON_HOLD: (
        lambda: held(opened()),
        ("release", "authorize", "accept", "staff"),
        False,
        "example.com: on hold (LEGAL_HOLD: court order); staff resume or cancel it.",
    ),
    State.READY: (
        ready,
        (),
        False,
        "example.com: all three agreed; billing moves to Globex at 2026-03-03 10:00 UTC.",
    ),
    State.COMMITTING: (
        committing,
        (),
        False,
        "example.com: billing is being moved to Globex.",
    ),
    State.COMMIT_STUCK: (
        stuck,
        ("staff",),
        True,
        (
            "example.com: billing could not be moved yet (the database is away); "
            "staff look, then retry."
        ),
    ),
    State.COMPLETED: (
        lambda: commit.committed(committing(), at(days=2)),
        (),
        False,
        "example.com: Globex is billed since 2026-03-04 09:00 UTC.",
    ),
    State.REFUSED: (lambda: no(opened()), (), False, "example.com: refused (Globex refused)."),
    State.WITHDRAWN: (
        lambda: no(ready(), WITHDRAW_TEXT, Slot.AUTHORIZE),
        (),
        False,
        "example.com: withdrawn (Example Ltd withdrew).",
    ),
    State.EXPIRED: (
        lambda: silent_until(opened(), at(days=14)),
        (),
        False,
        "example.com: expired (Example Ltd did not authorize: the transfer expires).",
    ),
    State.CANCELLED: (
        lambda: cancelled(mediating()),
        (),
        False,
        "example.com: cancelled (they called).",
    ),
    State.INVALID: (
        lambda: opened(facts(new=None)),
        (),
        False,
        "example.com: invalid (UNKNOWN_RESELLER).",
    ),
}


def test_there_is_an_example_of_every_state() -> None:
    """A new state needs one."""
    assert EVERY_STATE.keys() == set(State)
    assert {state.value for state in TERMINAL} == {
        "COMPLETED",
        "REFUSED",
        "WITHDRAWN",
        "EXPIRED",
        "CANCELLED",
        "INVALID",
    }


@pytest.mark.parametrize("state", list(State))
def test_status_attributes_and_summary_agree_in_every_state(state: State) -> None:
    """One truth, told to the query, the list and the reader."""
    make, waiting, escalated, sentence = EVERY_STATE[state]
    case = make()
    shown, listed = views.status(case, ignored_signals=3), views.attributes(case)
    assert case.state is shown.state is state
    assert listed.TransferState == state.value
    assert shown.waiting_on == listed.WaitingOn == waiting
    assert shown.escalated is listed.Escalated is escalated
    assert shown.summary == views.summary(case) == sentence
    assert listed.NextDeadline == (shown.next_deadline.at if shown.next_deadline else None)
    assert (listed.CustomerDomain, shown.customer_domain) == ("example.com", "example.com")
    assert shown.old_reseller == listed.OldReseller
    assert (shown.new_reseller, listed.NewReseller) == ("globex", "globex")
    assert shown.ignored_signals == 3
    assert set(shown.slots) == (set() if not case.slots else set(Slot))
    assert views.evidence(case).count == len(case.evidence)
    if state in TERMINAL:
        ended = views.outcome(case)
        assert (ended.outcome, ended.code) == (state, shown.outcome_code)
        assert shown.next_deadline is None
        assert (ended.completed_at is not None) is (state is State.COMPLETED)
    else:
        with pytest.raises(ValueError, match="not over"):
            views.outcome(case)


def test_the_status_has_the_shape_that_outsiders_rely_on() -> None:
    """The names of the contract; instants end in Z."""
    case = submit(opened(), ticket(Slot.RELEASE, "7", body="hm"))
    case = submit(case, ticket(Slot.AUTHORIZE, "1042"))
    shown = views.status(case).model_dump(mode="json")
    assert shown["transfer_id"] == "transfer-example.com"
    assert shown["waiting_on"] == ["release", "accept", "staff"]
    assert shown["slots"]["authorize"] == {
        "state": "AUTHORIZED",
        "ticket_id": "1042",
        "by": "Carl Customer",
        "at": "2026-03-02T10:00:00Z",
        "deadline": "2026-03-16T09:00:00Z",
        "rejected": [],
        "refusal": None,
    }
    rejected = {"ticket_id": "7", "code": "TEXT_AMBIGUOUS", "at": "2026-03-02T10:00:00Z"}
    assert shown["slots"]["release"]["rejected"] == [rejected]
    assert shown["slots"]["release"]["ticket_id"] is None
    assert shown["next_deadline"] == {
        "at": "2026-03-04T09:00:00Z",
        "what": "remind Acme Hosting to release example.com",
    }
    assert [doubt["body"] for doubt in shown["ambiguous"]] == ["hm"]
    assert shown["summary"].endswith("staff to read ticket 7.")


def test_what_staff_are_waited_for_is_in_the_sentence() -> None:
    """A mediator by name, and the unclear tickets that stop a commit."""
    case = levers.take_case(mediating(), TakeCase.model_validate(WHO), at(hours=2))
    assert views.summary(case).endswith("(OTHER); sue mediates.")
    assert views.status(case).mediator == "sue"
    case = submit(ready(), ticket(Slot.ACCEPT, "7", at(hours=2), body="hm"))
    assert views.summary(case) == (
        "example.com: all three agreed; staff must admit or reject ticket 7 first."
    )
    assert views.status(case).waiting_on == ("staff",)


def test_a_party_that_is_asked_again_has_said_nothing_yet() -> None:
    """Neither a ticket nor an instant is shown."""
    closed = ticket(Slot.ACCEPT, open=False)
    shown = views.status(submit(ready(), closed, at(hours=3))).slots[Slot.ACCEPT]
    assert (shown.state, shown.ticket_id, shown.at) == (SlotState.REQUESTED, None, None)


def test_a_refusals_reason_and_all_findings_are_shown() -> None:
    """A person can act on them."""
    case = submit(
        opened(), ticket(Slot.RELEASE, body=f"{REFUSE_TEXT} Reason: COMMERCIAL_OBJECTION")
    )
    assert views.status(case).slots[Slot.RELEASE].refusal == "COMMERCIAL_OBJECTION"
    case = opened(facts(new=None, customer=EXAMPLE.model_copy(update={"terminating": True})))
    codes = [finding.partition(":")[0] for finding in views.outcome(case).findings]
    assert codes == ["UNKNOWN_RESELLER", "CUSTOMER_TERMINATING"]


def test_search_attributes_are_short_whatever_was_typed() -> None:
    """The server ends a workflow that sends too much."""
    wild = request(domain="x" * 1000, new_reseller="n" * 200, old_reseller="o" * 200)
    listed = views.attributes(Case.received(wild, "transfer-x", "k", at()))
    texts = (listed.CustomerDomain, listed.OldReseller, listed.NewReseller)
    assert all(text and len(text) <= 255 for text in texts)


# -- the diagram -------------------------------------------------------------------------------
S = State
DIAGRAM = {
    S.VALIDATING: {S.INVALID, S.AWAITING},
    S.AWAITING: {
        *(S.READY, S.MEDIATION, S.ON_HOLD, S.REFUSED, S.WITHDRAWN, S.EXPIRED, S.CANCELLED)
    },
    S.MEDIATION: {S.AWAITING, S.READY, S.REFUSED, S.WITHDRAWN, S.EXPIRED, S.CANCELLED},
    S.ON_HOLD: {S.AWAITING, S.READY, S.MEDIATION, S.CANCELLED},
    S.READY: {
        *(S.COMMITTING, S.AWAITING, S.MEDIATION, S.ON_HOLD),
        *(S.REFUSED, S.WITHDRAWN, S.EXPIRED, S.CANCELLED),
    },
    S.COMMITTING: {S.COMPLETED, S.COMMIT_STUCK},
    S.COMMIT_STUCK: {S.COMMITTING, S.COMPLETED},
}
BESIDE_THE_DIAGRAM = {
    (S.VALIDATING, S.MEDIATION): "a suspended old reseller: straight to mediation",
    (S.VALIDATING, S.CANCELLED): "staff may cancel what is still looked at",
    (S.MEDIATION, S.ON_HOLD): "a dispute may begin during a mediation, too",
}
"""What the diagram does not draw, and why the core does it."""


def two_staff(case: Case) -> Case:
    for staff in ("sue", "tom"):
        action = ReleaseOnBehalf(staff=staff, reason="letter")
        case = levers.release_on_behalf(case, action, at(hours=4))
    return case


def resumed(case: Case) -> Case:
    return levers.resume(case, Resume.model_validate(WHO), at(hours=3))


def vanished_and_refused(case: Case) -> Case:
    """The acceptance was deleted, and a refusal is found in its place."""
    refusal = ticket(Slot.ACCEPT, "no", at(hours=3), body=REFUSE_TEXT)
    there = survey(ticket(Slot.RELEASE), ticket(Slot.AUTHORIZE), refusal)
    return commit.rechecked(case, there, at(days=2))


def both_others(case: Case) -> Case:
    return submit(submit(case, ticket(Slot.AUTHORIZE)), ticket(Slot.ACCEPT))


def checked(when: datetime = TWO_DAYS, **known: Any) -> Callable[[Case], Case]:
    return lambda case: commit.rechecked(case, survey(known=facts(**known)), when)


FRESH = ticket(Slot.RELEASE, "2", at(hours=3))
SUSPENDED: dict[str, Any] = {"new": GLOBEX.model_copy(update={"suspended": True})}
WAYS: list[tuple[State, State, Callable[[], Case], Callable[[Case], Case]]] = [
    (S.VALIDATING, S.INVALID, received, lambda c: opening.opened(c, facts(new=None), at())),
    (S.VALIDATING, S.AWAITING, received, lambda c: opening.opened(c, facts(), at())),
    (
        S.VALIDATING,
        S.MEDIATION,
        received,
        lambda c: opening.opened(c, facts(old=ACME.model_copy(update={"suspended": True})), at()),
    ),
    (S.VALIDATING, S.CANCELLED, received, cancelled),
    (S.AWAITING, S.READY, lambda: both_others(opened()), lambda c: submit(c, FRESH)),
    (S.AWAITING, S.MEDIATION, opened, lambda c: no(c, slot=Slot.RELEASE)),
    (
        S.AWAITING,
        S.MEDIATION,
        lambda: submit(opened(), ticket(Slot.RELEASE)),
        lambda c: no(c, WITHDRAW_TEXT, Slot.RELEASE),
    ),
    (S.AWAITING, S.MEDIATION, opened, lambda c: silent_until(c, at(days=7))),
    (S.AWAITING, S.ON_HOLD, opened, held),
    (S.AWAITING, S.REFUSED, opened, no),
    (S.AWAITING, S.WITHDRAWN, opened, lambda c: no(c, WITHDRAW_TEXT)),
    (
        S.AWAITING,
        S.EXPIRED,
        lambda: submit(opened(), ticket(Slot.RELEASE)),
        lambda c: silent_until(c, at(days=14)),
    ),
    (S.AWAITING, S.CANCELLED, opened, cancelled),
    (S.MEDIATION, S.AWAITING, mediating, lambda c: submit(c, FRESH)),
    (S.MEDIATION, S.AWAITING, lambda: mediating(staff_release="two_person"), two_staff),
    (S.MEDIATION, S.READY, lambda: both_others(mediating()), lambda c: submit(c, FRESH)),
    (
        S.MEDIATION,
        S.READY,
        lambda: both_others(mediating(staff_release="two_person")),
        two_staff,
    ),
    (S.MEDIATION, S.REFUSED, mediating, no),
    (S.MEDIATION, S.WITHDRAWN, mediating, lambda c: no(c, WITHDRAW_TEXT)),
    (S.MEDIATION, S.EXPIRED, mediating, lambda c: silent_until(c, at(days=14))),
    (S.MEDIATION, S.CANCELLED, mediating, cancelled),
    (S.MEDIATION, S.ON_HOLD, mediating, held),
    (S.ON_HOLD, S.CANCELLED, lambda: held(opened()), cancelled),
    (S.ON_HOLD, S.AWAITING, lambda: held(opened()), resumed),
    (S.ON_HOLD, S.MEDIATION, lambda: held(mediating()), resumed),
    (S.ON_HOLD, S.READY, lambda: held(ready()), resumed),
    (S.READY, S.COMMITTING, ready, checked()),
    (S.READY, S.AWAITING, ready, checked(at(days=40))),
    (S.READY, S.MEDIATION, ready, lambda c: no(c, WITHDRAW_TEXT, Slot.RELEASE)),
    (S.READY, S.ON_HOLD, ready, held),
    (S.READY, S.ON_HOLD, ready, checked(**SUSPENDED)),
    (S.READY, S.WITHDRAWN, ready, lambda c: no(c, WITHDRAW_TEXT)),
    (S.READY, S.CANCELLED, ready, cancelled),
    (S.READY, S.CANCELLED, ready, checked(old=GLOBEX)),
    (
        S.READY,
        S.EXPIRED,
        lambda: submit(ready(opened(grace="9d")), ticket(Slot.ACCEPT, "7", at(hours=2), body="?")),
        lambda c: silent_until(c, at(days=30)),
    ),
    (S.READY, S.REFUSED, ready, vanished_and_refused),
    (S.COMMITTING, S.COMPLETED, committing, lambda c: commit.committed(c, at(days=2))),
    (S.COMMITTING, S.COMMIT_STUCK, committing, lambda c: commit.stuck(c, "away", at(days=2))),
    (S.COMMIT_STUCK, S.COMPLETED, stuck, lambda c: commit.committed(c, at(days=3))),
    (
        S.COMMIT_STUCK,
        S.COMMITTING,
        stuck,
        lambda c: levers.retry_commit(c, RetryCommit.model_validate(WHO), at(days=3)),
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "start", "step"),
    WAYS,
    ids=[f"{n}-{way[0]}-{way[1]}" for n, way in enumerate(WAYS)],
)
def test_every_way_that_is_drawn_can_be_gone(
    before: State, after: State, start: Callable[[], Case], step: Callable[[Case], Case]
) -> None:
    """From state to state, by one rule each."""
    case = start()
    assert case.state is before
    assert step(case).state is after


def test_there_is_a_way_for_every_line_of_the_diagram() -> None:
    """And for the few beside it, each of which has its reason."""
    gone = {(before, after) for before, after, _, _ in WAYS}
    drawn = {(before, after) for before, ends in DIAGRAM.items() for after in ends}
    assert gone == drawn | BESIDE_THE_DIAGRAM.keys()


def reachable(before: State) -> set[State]:
    """Where several tickets or clocks at once may lead, a line of the diagram each."""
    lines = {(b, a) for b, ends in DIAGRAM.items() for a in ends} | BESIDE_THE_DIAGRAM.keys()
    found = {before}
    while more := {a for b, a in lines if b in found} - found:
        found |= more
    return found


SEVERAL_AT_ONCE = ("survey", "re-check", "clocks, late", "clock", "staff: sue resume", "staff: tom")


@settings(max_examples=120)
@given(HISTORIES)
def test_no_history_leaves_the_diagram(history: list[Act]) -> None:
    """One ticket, lever or commit is one line; a late look at several may be more."""
    for step in play(history).steps:
        before, after = step.before.state, step.after.state
        if before is after or (before, after) in BESIDE_THE_DIAGRAM:
            continue
        allowed = DIAGRAM.get(before, set())
        if step.cause.startswith(SEVERAL_AT_ONCE):
            allowed = reachable(before)
        assert after in allowed, f"{step.cause}: {before} -> {after}"


def test_an_admitted_ticket_is_shown_as_its_partys() -> None:
    """Staff decided what it says, not who said it."""
    case = submit(opened(), ticket(Slot.AUTHORIZE, "7", body="ok"))
    admit = AdmitTicket(staff="sue", reason="called", ticket_id="7", what=Intent.AUTHORIZE)
    shown = views.status(levers.admit_ticket(case, admit, at(hours=2)))
    assert shown.slots[Slot.AUTHORIZE].by == "Carl Customer"
    assert shown.ambiguous == ()
