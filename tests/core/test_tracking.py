"""What each party sees of a transfer, state by state."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.core import stories
from tests.core.stories import CHANGES, MONDAY, all_agree, held, in_mediation, ready, started
from transfer.case import Case, State
from transfer.messages import StopCode
from transfer.opening import opened
from transfer.parties import Facts, Party, Slot
from transfer.policy import Policy
from transfer.templates import moment
from transfer.templates.phrases import ticket_text
from transfer.tickets import Intent
from transfer.tracking import Mark, PageView, Section, Words, tracking_page

COMMIT_AT = datetime.fromisoformat("2026-11-03T17:30:00Z")


def page(case: Case, party: Party = Party.CUSTOMER, now: datetime = MONDAY) -> PageView:
    return tracking_page(case.having(evidence=()), party, MONDAY, now)


def said(*sentences: Words) -> str:
    """Sentences as a person reads them."""
    return " ".join(
        "".join(p if isinstance(p, str) else moment(p) for p in words) for words in sentences
    )


def section(view: PageView, name: str) -> Section:
    return next(one for one in view.sections if one.name == name)


def names(view: PageView) -> list[str]:
    return [one.name for one in view.sections]


def after(name: str) -> Case:
    return CHANGES[name]()[1]


CASES: dict[State, Callable[[], Case]] = {
    State.VALIDATING: stories.received,
    State.AWAITING: started,
    State.MEDIATION: in_mediation,
    State.ON_HOLD: held,
    State.READY: ready,
    State.COMMITTING: stories.committing,
    State.COMMIT_STUCK: lambda: after("COMMIT_STUCK"),
    State.COMPLETED: lambda: after("COMPLETED"),
    State.REFUSED: lambda: after("REFUSED"),
    State.WITHDRAWN: lambda: after("WITHDRAWN"),
    State.EXPIRED: lambda: after("EXPIRED"),
    State.CANCELLED: lambda: after("CANCELLED"),
    State.INVALID: lambda: opened(stories.received(), Facts(), MONDAY),
}
SEEN: dict[State, tuple[str, str, str]] = {
    State.VALIDATING: ("Being checked", "Being checked", "Being checked"),
    State.AWAITING: ("Waiting for you", "Waiting for you", "Waiting for you"),
    State.MEDIATION: ("Our support staff mediate", "Waiting for you", "Waiting for you"),
    State.ON_HOLD: ("On hold", "On hold", "On hold"),
    State.READY: ("All three have agreed", "All three have agreed", "All three have agreed"),
    State.COMMITTING: (
        "Billing is being moved",
        "Billing is being moved",
        "Billing is being moved",
    ),
    State.COMMIT_STUCK: (
        "Billing is being moved",
        "Billing is being moved",
        "Billing is being moved",
    ),
    State.COMPLETED: ("Complete", "Complete", "Complete"),
    State.REFUSED: ("Over: it was refused", "Over: it was refused", "Over: it was refused"),
    State.WITHDRAWN: ("Over: it was withdrawn", "Over: it was withdrawn", "Over: it was withdrawn"),
    State.EXPIRED: ("Over: it has expired", "Over: it has expired", "Over: it has expired"),
    State.CANCELLED: ("Over: it was cancelled", "Over: it was cancelled", "Over: it was cancelled"),
    State.INVALID: ("Not opened", "Not opened", "Not opened"),
}


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_words_for_each_party(state: State) -> None:
    case = CASES[state]()
    assert case.state is state
    assert tuple(page(case, party).state for party in Party) == SEEN[state]
    for party in Party:
        view = page(case, party)
        assert view.lead
        assert [step.own for step in view.steps] == (
            [one is party for one in Party] if case.slots else []
        )
        assert view.todo is None or case.is_open_to_parties


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("party", Party)
def test_every_page_reads_like_one(name: str, party: Party) -> None:
    """No gaps, no template left, no instant as a machine writes it; headings are unique."""
    view = page(after(name), party)
    sections = [one for one in (view.todo, *view.sections) if one]
    sentences = [
        *view.lead,
        *(step.says for step in view.steps),
        *(words for one in sections for words in (*one.words, *one.after)),
        *(value for one in sections for _, value in one.facts),
    ]
    for words in sentences:
        text = said(words)
        assert text.strip()
        assert not re.search(r"None|[{}]|  | ,| \.|\.\.|\d{4}-\d\d|Slot\.|Party\.", text), text
    headings = [one.name for one in sections]
    assert len(set(headings)) == len(headings)


# -- what to do --------------------------------------------------------------------------------
@pytest.mark.parametrize("slot", Slot)
def test_the_readers_open_step_has_the_ticket_the_place_and_the_deadline(slot: Slot) -> None:
    case = started()
    todo = page(case, slot.party).todo
    assert todo is not None
    assert todo.filing is not None
    assert (todo.filing.subject, todo.filing.body) == ticket_text(case, Intent(slot.value))
    assert "Client Account > Support > Enter A Support Ticket" in said(*todo.words)
    assert ("File it by", (case.slot(slot).deadline,)) in todo.facts
    assert "If we hear nothing from you by then" in said(*todo.after)
    assert ("Log in as yourself" in said(*todo.words)) is (slot is Slot.AUTHORIZE)
    assert ("12.50" in str(todo.facts)) is (slot is Slot.ACCEPT)


def test_who_has_agreed_has_nothing_to_do_and_may_change_its_mind() -> None:
    view = page(stories.file(started(), Slot.AUTHORIZE, "102"))
    assert (view.state, view.todo) == ("Waiting for Acme Hosting and Globex", None)
    assert view.mark is Mark.OPEN
    assert "You need not do anything now" in said(*view.lead)
    own = next(step for step in view.steps if step.own)
    assert said(own.says).startswith("You agreed by ticket 102, on Monday 2 November 2026")
    stop = section(view, "stop")
    assert stop.filing is not None
    assert "We withdraw our authorization" in stop.filing.body


def test_an_open_step_can_be_refused_and_an_old_reseller_sees_which_reasons_count() -> None:
    for party in Party:
        refuse = section(page(started(), party), "refuse")
        assert refuse.filing is not None
        assert refuse.filing.subject == "Refuse Customer Transfer"
        assert bool(refuse.filing.reasons) is (party is Party.OLD)


def test_own_tickets_that_do_not_count_are_shown_with_what_to_do() -> None:
    rejected = stories.file(started(), Slot.AUTHORIZE, "9", delegated=True)
    todo = page(rejected).todo
    assert todo is not None
    assert "Your ticket 9 does not count. Log in as yourself" in said(*todo.words)
    for party in (Party.OLD, Party.NEW):
        assert page(rejected, party) == page(
            rejected.with_slot(rejected.slot(Slot.AUTHORIZE).model_copy(update={"rejected": ()})),
            party,
        )
    todo = page(stories.ambiguous()).todo
    assert todo is not None
    assert "reading your ticket 9, which is unclear" in said(*todo.words)
    assert page(stories.ambiguous(), Party.NEW) == page(started(), Party.NEW)


def test_an_old_reseller_in_mediation_can_still_release_unless_it_is_suspended() -> None:
    todo = page(in_mediation(), Party.OLD).todo
    assert todo is not None
    assert todo.heading == "You can still release it"
    assert page(after("OPENED, old reseller suspended"), Party.OLD).todo is None


# -- what comes, and how it ended --------------------------------------------------------------
def test_what_happens_next_names_every_deadline_that_stands() -> None:
    text = said(*section(page(started()), "next").words)
    assert "If Acme Hosting has not answered by Monday 9 November 2026, 14:30 UTC, our" in text
    assert "If you have not answered by Monday 16 November 2026, 14:30 UTC, the transfer" in text
    assert "all three are told the exact instant before" in text
    assert "If that is not so by Wednesday 2 December 2026, 14:30 UTC" in text
    at_once = said(*section(page(started(Policy(grace="0s"))), "next").words)
    assert "When all three have agreed, billing moves." in at_once
    late = page(started(), now=MONDAY + timedelta(days=8))
    assert "That instant has passed; it happens shortly." in said(*section(late, "next").words)


@pytest.mark.parametrize("party", Party)
def test_ready_has_the_exact_instant_and_how_to_stop_it(party: Party) -> None:
    view = page(ready(), party)
    assert (COMMIT_AT,) in view.lead
    stop = section(view, "stop")
    assert not stop.small
    assert stop.filing is not None
    assert (stop.filing.subject, stop.filing.body) == ticket_text(ready(), Intent.WITHDRAW)
    assert "It has come" in said(*page(ready(), party, COMMIT_AT).lead)


def test_a_doubt_that_delays_the_commit_is_said_without_whose_it_is() -> None:
    unclear = "Please transfer our stuff to our new reseller, whoever that is."
    case = stories.file(ready(), Slot.AUTHORIZE, "9", 6, body=unclear)
    assert case.doubts
    for party in Party:
        assert "have to read a ticket that is unclear" in said(*page(case, party).lead)


def test_a_hold_has_its_code_in_words_but_not_what_staff_wrote() -> None:
    assert "it is disputed who owns the account" in said(*page(held()).lead)
    for code in (StopCode.FRAUD_SUSPECTED, StopCode.LEGAL_HOLD):
        assert said(page(held(code)).lead[0]) == "The transfer is on hold."
    assert page(held()).todo is None
    waiting = [s for s in page(all_agree(held())).steps if s.mark is not Mark.DONE]
    assert not waiting


def test_bills_are_the_resellers_own_and_no_customers() -> None:
    views = {party: page(after("COMPLETED"), party) for party in Party}
    assert "Your last bill: " in said(*section(views[Party.OLD], "next").words)
    assert "Your first bill: " in said(*section(views[Party.NEW], "next").words)
    assert "EUR" not in str(views[Party.CUSTOMER])
    assert "cannot be transferred again" in said(*section(views[Party.CUSTOMER], "next").words)


@pytest.mark.parametrize("name", ["REFUSED", "WITHDRAWN", "EXPIRED", "CANCELLED"])
def test_what_ended_tells_how_to_start_again(name: str) -> None:
    assert names(page(after(name), Party.OLD)) == []
    for party in (Party.CUSTOMER, Party.NEW):
        again = section(page(after(name), party), "again")
        assert (again.filing is None) is (name == "CANCELLED")
        assert ("contact our support" in said(*again.words)) is (name == "CANCELLED")
    closed = after(name)
    policy = closed.policy.model_copy(update={"ticket_opens_transfer": False})
    request = closed.request.model_copy(update={"policy": policy})
    assert section(page(closed.having(request=request)), "again").filing is None


def test_where_another_reseller_is_on_record_nobody_is_said_to_bill() -> None:
    case = started().ended(State.CANCELLED, "re-check", MONDAY, code="NOT_CURRENT_RESELLER")
    text = said(*page(case).lead)
    assert "not the reseller on record any more" in text
    assert "goes on billing" not in text


def test_a_release_by_staff_and_a_no_are_said_as_such() -> None:
    steps = {
        name: said(page(after(name)).steps[0].says)
        for name in ("RELEASED_BY_STAFF", "SLOT_REFUSED, past due", "SLOT_WITHDRAWN", "MEDIATION")
    }
    assert steps == {
        "RELEASED_BY_STAFF": "Released by our support staff, after mediation",
        "SLOT_REFUSED, past due": "Has refused",
        "SLOT_WITHDRAWN": "Has taken its yes back",
        "MEDIATION": "No answer in time",
    }


def test_of_a_transfer_that_was_never_opened_nobody_is_named() -> None:
    view = page(CASES[State.INVALID]())
    assert (view.route, view.steps, view.todo, view.sections) == ((), (), None, ())
