"""Levers: what staff may do, when, and the class of the error where they may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tests.core.builders import (
    ANN,
    REFUSE_TEXT,
    at,
    codes,
    committing,
    edited,
    opened,
    reading,
    ready,
    received,
    silent_until,
    submit,
    ticket,
)
from transfer import commit, levers
from transfer.case import Case, SlotState, State
from transfer.errors import (
    DeadlineNotAllowed,
    NotAllowedInState,
    NothingToDecide,
    RuleBroken,
    SecondPersonNeeded,
    StaffReleaseForbidden,
)
from transfer.messages import (
    AdmitTicket,
    Cancel,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StopCode,
    TakeCase,
    Which,
)
from transfer.parties import Slot
from transfer.submissions import found
from transfer.tickets import Intent, Reason
from transfer.views import status

WHO: dict[str, Any] = {"staff": "sue", "reason": "they called"}


def mediating(**changes: Any) -> Case:
    """The old reseller refused."""
    return submit(opened(**changes), ticket(Slot.RELEASE, body=REFUSE_TEXT))


def doubtful(slot: Slot = Slot.AUTHORIZE, **changes: Any) -> Case:
    """Ticket 7 is unclear."""
    return submit(opened(), ticket(slot, "7", body="ok", **changes))


def on_hold() -> Case:
    return levers.hold(opened(), Hold(**WHO), at(hours=1))


def over() -> Case:
    return levers.cancel(opened(), Cancel(**WHO), at(hours=1))


def stuck() -> Case:
    return commit.stuck(committing(), "the database is away", at(days=2))


def extend(case: Case, days: float, which: Which = Which.TRANSFER, when: float = 1) -> Case:
    """Extend until so many days after the start."""
    action = ExtendDeadline(**WHO, until=at(days=days), which=which)
    return levers.extend_deadline(case, action, at(hours=when))


def admit(case: Case, what: Intent, number: str = "7") -> Case:
    action = AdmitTicket(**WHO, ticket_id=number, what=what)
    return levers.admit_ticket(case, action, at(hours=2))


def release(case: Case, staff: str) -> Case:
    action = ReleaseOnBehalf(staff=staff, reason="letter of 1 March")
    return levers.release_on_behalf(case, action, at(hours=3))


REFUSED: dict[str, tuple[Callable[[], Case], type[RuleBroken]]] = {
    "extend past the cap": (lambda: extend(opened(), 61), DeadlineNotAllowed),
    "extend to where it is": (lambda: extend(opened(), 30), DeadlineNotAllowed),
    "extend into the past": (lambda: extend(opened(), -1), DeadlineNotAllowed),
    "extend a party past the transfer": (
        lambda: extend(opened(), 31, Which.ACCEPT),
        DeadlineNotAllowed,
    ),
    "extend a party to earlier": (lambda: extend(opened(), 13, Which.ACCEPT), DeadlineNotAllowed),
    "extend a release in mediation": (
        lambda: extend(mediating(), 20, Which.RELEASE),
        NotAllowedInState,
    ),
    "extend a release that lapsed": (
        lambda: extend(silent_until(opened(), at(days=7)), 20, Which.RELEASE),
        NotAllowedInState,
    ),
    "extend what has come in": (lambda: extend(ready(), 20, Which.ACCEPT), NotAllowedInState),
    "extend before the start": (lambda: extend(received(), 40), NotAllowedInState),
    "extend while billing moves": (lambda: extend(committing(), 40), NotAllowedInState),
    "extend after the end": (lambda: extend(over(), 40), NotAllowedInState),
    "hold twice": (lambda: levers.hold(on_hold(), Hold(**WHO), at()), NotAllowedInState),
    "hold before the start": (
        lambda: levers.hold(received(), Hold(**WHO), at()),
        NotAllowedInState,
    ),
    "hold while billing moves": (
        lambda: levers.hold(committing(), Hold(**WHO), at()),
        NotAllowedInState,
    ),
    "hold what is stuck": (lambda: levers.hold(stuck(), Hold(**WHO), at()), NotAllowedInState),
    "hold after the end": (lambda: levers.hold(over(), Hold(**WHO), at()), NotAllowedInState),
    "resume what is not held": (
        lambda: levers.resume(opened(), Resume(**WHO), at()),
        NotAllowedInState,
    ),
    "resume after the end": (lambda: levers.resume(over(), Resume(**WHO), at()), NotAllowedInState),
    "cancel while billing moves": (
        lambda: levers.cancel(committing(), Cancel(**WHO), at()),
        NotAllowedInState,
    ),
    "cancel what is stuck": (
        lambda: levers.cancel(stuck(), Cancel(**WHO), at()),
        NotAllowedInState,
    ),
    "cancel after the end": (lambda: levers.cancel(over(), Cancel(**WHO), at()), NotAllowedInState),
    "take without a mediation": (
        lambda: levers.take_case(opened(), TakeCase(**WHO), at()),
        NotAllowedInState,
    ),
    "take a stuck commit": (
        lambda: levers.take_case(stuck(), TakeCase(**WHO), at()),
        NotAllowedInState,
    ),
    "take after the end": (
        lambda: levers.take_case(over(), TakeCase(**WHO), at()),
        NotAllowedInState,
    ),
    "admit without a doubt": (lambda: admit(opened(), Intent.AUTHORIZE), NothingToDecide),
    "admit another ticket": (lambda: admit(doubtful(), Intent.AUTHORIZE, "8"), NothingToDecide),
    "admit for the new reseller": (lambda: admit(doubtful(), Intent.ACCEPT), NothingToDecide),
    "admit for the old reseller": (lambda: admit(doubtful(), Intent.RELEASE), NothingToDecide),
    "release against the policy": (lambda: release(mediating(), "sue"), StaffReleaseForbidden),
    "release before mediation": (
        lambda: release(opened(staff_release="two_person"), "sue"),
        NotAllowedInState,
    ),
    "retry before the commit": (
        lambda: levers.retry_commit(ready(), RetryCommit(**WHO), at()),
        NotAllowedInState,
    ),
    "retry what is not stuck": (
        lambda: levers.retry_commit(committing(), RetryCommit(**WHO), at()),
        NotAllowedInState,
    ),
    "retry after the end": (
        lambda: levers.retry_commit(over(), RetryCommit(**WHO), at()),
        NotAllowedInState,
    ),
}


@pytest.mark.parametrize(("pull", "error"), REFUSED.values(), ids=REFUSED)
def test_a_lever_that_may_not_be_pulled_says_why(
    pull: Callable[[], Case], error: type[RuleBroken]
) -> None:
    """By its class, and with a sentence."""
    with pytest.raises(error, match=r"\w+ \w+") as caught:
        pull()
    assert type(caught.value) is error


@pytest.mark.parametrize("missing", [{"staff": "sue"}, {"reason": "so"}])
@pytest.mark.parametrize("blank", ["", "   "])
def test_each_lever_needs_who_and_why(missing: dict[str, str], blank: str) -> None:
    """An empty name or reason is none."""
    for extra in ({}, {"staff": blank}, {"reason": blank}):
        fields = extra | missing
        if fields.keys() != {"staff", "reason"} or not all(v.strip() for v in fields.values()):
            with pytest.raises(ValidationError):
                Hold.model_validate(fields)


def test_a_transfer_may_be_extended_to_sixty_days_at_most() -> None:
    """With a reason, which is evidence."""
    case = extend(extend(opened(), 45), 60)
    assert case.expires_at == at(days=60)
    event = case.evidence[-1]
    assert (event.code, event.who, event.at) == ("EXTENDED", "sue", at(hours=1))
    assert event.detail.endswith("they called")


def test_a_partys_deadline_may_be_extended_within_the_transfers() -> None:
    """The old reseller's, too, as long as it is not in mediation."""
    case = extend(opened(), 28, Which.ACCEPT)
    assert case.slot(Slot.ACCEPT).deadline == at(days=28)
    assert extend(opened(), 8, Which.RELEASE).slot(Slot.RELEASE).deadline == at(days=8)
    assert extend(extend(opened(), 60), 58, Which.ACCEPT).slot(Slot.ACCEPT).deadline == at(days=58)


def test_a_long_reason_is_kept_in_full() -> None:
    """Every lever is evidence of who and why."""
    reason = "because " * 240
    case = levers.hold(opened(), Hold(staff="sue", reason=reason), at())
    assert case.evidence[-1].detail.endswith(reason.strip())


@pytest.mark.parametrize("code", list(StopCode))
def test_staff_may_hold_and_cancel_with_a_code(code: StopCode) -> None:
    """Dispute, legal, fraud, a suspended new reseller."""
    held = levers.hold(opened(), Hold(**WHO, code=code), at(hours=1))
    assert held.state is State.ON_HOLD
    cancelled = levers.cancel(held, Cancel(**WHO, code=code), at(hours=2))
    assert cancelled.state is State.CANCELLED
    assert (cancelled.outcome_code, cancelled.outcome_reason) == (code.value, "they called")
    assert (cancelled.hold, cancelled.commit_at) == (None, None)


def test_the_old_reseller_can_give_no_reason_that_is_for_staff_alone() -> None:
    """Must stop, staff only."""
    staffs = {"CUSTOMER_OBJECTS", "LEGAL_HOLD", "FRAUD_SUSPECTED", "OWNERSHIP_DISPUTED"}
    assert staffs <= set(StopCode.__members__)
    assert not staffs & set(Reason.__members__)


@pytest.mark.parametrize("before", [opened, mediating, ready])
def test_a_hold_returns_to_the_state_before_it(before: Callable[[], Case]) -> None:
    """Waiting, mediating, or ready."""
    case = before()
    held = levers.hold(case, Hold(**WHO), at(hours=2))
    assert levers.resume(held, Resume(**WHO), at(hours=3)).state is case.state


def test_who_takes_the_case_is_its_mediator() -> None:
    """And may hand it over."""
    case = levers.take_case(mediating(), TakeCase(**WHO), at(hours=2))
    assert case.mediation is not None
    assert case.mediation.owner == "sue"
    case = levers.take_case(case, TakeCase(staff="tom", reason="shift"), at(hours=3))
    assert case.mediation is not None
    assert case.mediation.owner == "tom"


@pytest.mark.parametrize(
    ("slot", "what", "state"),
    [
        (Slot.AUTHORIZE, Intent.AUTHORIZE, State.AWAITING),
        (Slot.AUTHORIZE, Intent.REFUSE, State.REFUSED),
        (Slot.ACCEPT, Intent.WITHDRAW, State.WITHDRAWN),
        (Slot.RELEASE, Intent.REFUSE, State.MEDIATION),
    ],
)
def test_staff_decide_what_an_unclear_ticket_says(slot: Slot, what: Intent, state: State) -> None:
    """It is still the party's own ticket, and the evidence names both."""
    case = admit(doubtful(slot), what)
    assert case.state is state
    assert case.slot(slot).ticket_id == "7"
    assert case.slot(slot).admitted
    assert case.doubts == ()
    admitted = next(event for event in case.evidence if event.code == "ADMITTED")
    assert (admitted.who, admitted.ticket_id) == ("sue", "7")


def test_an_unclear_ticket_that_is_not_the_newest_cannot_be_admitted() -> None:
    """It has to be rejected; every rule but the text's still holds."""
    case = submit(opened(), ticket(Slot.AUTHORIZE, "7", at(hours=2), body="ok"))
    case = submit(case, ticket(Slot.AUTHORIZE, "8", at(hours=2)), at(hours=2))
    with pytest.raises(NothingToDecide, match="SUPERSEDED"):
        admit(case, Intent.AUTHORIZE)
    same = submit(opened(), ticket(Slot.ACCEPT, author=ANN))
    same = submit(same, ticket(Slot.RELEASE, "7", at(hours=2), body="ok", author=ANN))
    with pytest.raises(NothingToDecide, match="SAME_PERSON_TWO_PARTIES"):
        admit(same, Intent.RELEASE)


def test_an_unclear_ticket_can_be_rejected_with_a_reason() -> None:
    """A commit that waited for it goes on."""
    case = submit(ready(), ticket(Slot.AUTHORIZE, "7", at(hours=2), body="hm"))
    case = levers.reject_ticket(case, RejectTicket(**WHO, ticket_id="7"), at(hours=3))
    assert case.doubts == ()
    assert case.state is State.READY
    assert case.evidence[-1].detail == "TEXT_AMBIGUOUS. they called"
    with pytest.raises(NothingToDecide, match="Waiting: none"):
        levers.reject_ticket(case, RejectTicket(**WHO, ticket_id="7"), at(hours=3))


def test_two_staff_members_may_release_where_the_policy_allows_it() -> None:
    """One proposes, a different one confirms; it is documented as theirs."""
    case = release(mediating(staff_release="two_person"), "sue")
    assert case.slot(Slot.RELEASE).state is SlotState.REFUSED
    for same in ("sue", " SUE "):
        with pytest.raises(SecondPersonNeeded):
            release(case, same)
    case = release(case, "tom")
    record = case.slot(Slot.RELEASE)
    assert case.state is State.AWAITING
    assert (record.authorized, record.released_by_staff) == (True, True)
    assert (record.by, record.ticket_id) == ("sue and tom (staff)", None)
    assert codes(case)[-2:] == ["RELEASE_PROPOSED", "RELEASED_BY_STAFF"]


def test_a_release_by_staff_is_newer_than_the_no_it_mediated() -> None:
    """Even if the ticket system's clock is ahead of ours."""
    refusal = ticket(Slot.RELEASE, when=at(hours=9), body=REFUSE_TEXT)
    case = submit(opened(staff_release="two_person"), refusal, at(hours=1))
    case = release(release(case, "sue"), "tom")
    case = found(case, [reading(refusal)], at(hours=4))
    assert case.slot(Slot.RELEASE).released_by_staff


def test_staff_may_release_as_the_last_of_three() -> None:
    """Ready at once; and the old reseller may still withdraw."""
    case = mediating(staff_release="two_person")
    case = submit(submit(case, ticket(Slot.AUTHORIZE)), ticket(Slot.ACCEPT))
    case = release(release(case, "sue"), "tom")
    assert case.state is State.READY
    no = edited(ticket(Slot.RELEASE, body=REFUSE_TEXT), at(hours=4))
    case = submit(case, no)
    assert case.state is State.MEDIATION
    assert not case.slot(Slot.RELEASE).released_by_staff


def test_a_stuck_commit_can_be_retried_and_staff_hear_if_it_is_stuck_again() -> None:
    """By itself it is told once."""
    case = commit.stuck(stuck(), "still away", at(days=2, hours=1))
    assert codes(case).count("COMMIT_STUCK") == 1
    case = levers.retry_commit(case, RetryCommit(**WHO), at(days=3))
    assert case.state is State.COMMITTING
    case = commit.stuck(case, "still away", at(days=3))
    assert codes(case).count("COMMIT_STUCK") == 2


def test_a_proposal_is_seen_by_the_second_person() -> None:
    """In the status, and in its one sentence."""
    case = release(mediating(staff_release="two_person"), "sam")
    shown = status(case)
    assert shown.proposal is not None
    assert shown.proposal.startswith("sam proposes to release it (letter of 1 March)")
    assert shown.proposal in shown.summary
