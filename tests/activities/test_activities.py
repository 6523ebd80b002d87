"""The activities by themselves: each one twice is the same as once, and none says too much."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.accounts import AccountActivities
from activities.notices import NoticeActivities
from activities.staff import StaffActivities
from activities.tickets import MAX_ANSWER, TicketActivities
from tests.core.builders import KEY
from tests.workflows.town import Town
from transfer.case import Case, Publication
from transfer.commit import Commit
from transfer.errors import BillingConflict, Unreachable
from transfer.messages import (
    BillingOrder,
    EscalationState,
    EscalationUpdate,
    SurveyWanted,
    TicketsWanted,
    TransferRequest,
)
from transfer.parties import CustomerRecord

DOMAIN = "example.com"


@pytest.fixture
def town() -> Town:
    town = Town()
    town.settle(DOMAIN)
    return town


@pytest.fixture
def tickets(town: Town) -> TicketActivities:
    return TicketActivities(town.desk, town.accounts, town.ledger)


@pytest.fixture
def notices(town: Town) -> NoticeActivities:
    return NoticeActivities(
        town.accounts,
        town.ledger,
        compose=lambda publication, administrators: (),
        wake_postman=print,
        meter=town.meter,
    )


def _customer(town: Town) -> CustomerRecord:
    return next(iter(town.accounts.customers.values()))


def _publication(town: Town) -> Publication:
    request = TransferRequest(domain=DOMAIN, new_reseller="globex")
    case = Case.received(request, "transfer-example.com", KEY, town.now)
    return Publication(case=case, events=case.evidence)


def _commit(town: Town) -> Commit:
    customer = _customer(town)
    order = BillingOrder(
        key=KEY,
        customer=customer.id,
        old="acme",
        new="globex",
        charges=customer.charges,
        at=town.now,
        lock_until=town.now + timedelta(days=30),
    )
    return Commit(order=order, tell=_publication(town))


def _survey(town: Town, *ids: str) -> SurveyWanted:
    since = town.now - timedelta(days=30)
    return SurveyWanted(domain=DOMAIN, new_reseller="globex", since=since, ticket_ids=ids)


async def test_billing_moved_twice_is_moved_once(town: Town, notices: NoticeActivities) -> None:
    move = AccountActivities(town.accounts, notices).move_billing
    commit = _commit(town)
    await ActivityEnvironment().run(move, commit)
    before = dict(town.accounts.billed)
    await ActivityEnvironment().run(move, commit)
    assert town.accounts.billed == before
    assert len(town.accounts.billed[_customer(town).id]) == 2
    assert len(town.ledger.rows) == 1


async def test_a_conflict_tells_nobody(town: Town, notices: NoticeActivities) -> None:
    customer = _customer(town)
    billed = town.accounts.billed[customer.id]
    town.accounts.billed[customer.id] = (billed[0].model_copy(update={"reseller": "broke"}),)
    with pytest.raises(BillingConflict):
        await AccountActivities(town.accounts, notices).move_billing(_commit(town))
    assert not town.ledger.rows


async def test_publishing_twice_is_publishing_once(town: Town, notices: NoticeActivities) -> None:
    for _ in range(2):
        await notices.publish(_publication(town))
    assert [row.code for row in town.ledger.rows.values()] == ["RECEIVED"]


async def test_an_escalation_told_twice_is_one_in_the_queue(town: Town) -> None:
    update = EscalationUpdate(
        key="k",
        transfer_id="transfer-example.com",
        state=EscalationState.OPEN,
        level=1,
        why="NO_RESPONSE",
        detail="silent",
        opened_at=town.now,
        at=town.now,
    )
    for _ in range(2):
        await StaffActivities(town.queue).escalate(update)
    assert len(town.queue.known) == 1
    assert not town.desk.all_replies


async def test_a_ticket_that_does_not_exist_is_a_reading_without_one(
    tickets: TicketActivities,
) -> None:
    read = await tickets.read_tickets(TicketsWanted(ticket_ids=("7", "8")))
    assert [(one.ticket_id, one.ticket) for one in read.readings] == [("7", None), ("8", None)]


async def test_an_author_who_is_no_administrator_on_record_is_shown_as_such(
    town: Town, tickets: TicketActivities
) -> None:
    good = await town.desk.file("acme", "ann", "s", "b")
    forged = await town.desk.file("acme", "mallory", "s", "b")
    wanted = TicketsWanted(ticket_ids=(good.id, forged.id))
    read = await tickets.read_tickets(wanted)
    assert [one.on_record for one in read.readings] == [True, False]


async def test_a_survey_finds_what_each_party_filed_about_the_domain(
    town: Town, tickets: TicketActivities
) -> None:
    customer = _customer(town)
    about = [
        (await town.desk.file(account, by, "s", f"about {DOMAIN}")).id
        for account, by in (("acme", "ann"), (customer.id, "carl"), ("globex", "gina"))
    ]
    await town.desk.file("acme", "ann", "s", "about other.example")
    await town.desk.file("broke", "bob", "s", f"about {DOMAIN}")
    survey = await tickets.survey(_survey(town, about[0], "404"))
    assert {one.ticket_id for one in survey.readings} == {*about, "404"}
    assert [one.ticket_id for one in survey.readings][:2] == [about[0], "404"]
    assert survey.facts.customer == customer


async def test_a_survey_of_an_unknown_domain_finds_no_facts(
    town: Town, tickets: TicketActivities
) -> None:
    wanted = _survey(town).model_copy(update={"domain": "not a domain", "new_reseller": "?"})
    survey = await tickets.survey(wanted)
    assert (survey.facts.customer, survey.facts.new, survey.readings) == (None, None, ())


async def test_no_answer_is_longer_than_temporal_takes(
    town: Town, tickets: TicketActivities
) -> None:
    long = f"{DOMAIN} " + "\N{GRINNING FACE}" * 19_000
    ids = [(await town.desk.file("acme", "ann", "s", long)).id for _ in range(60)]
    read = await tickets.read_tickets(TicketsWanted(ticket_ids=tuple(ids)))
    assert 1 <= len(read.readings) < 60
    assert [one.ticket_id for one in read.readings] == ids[: len(read.readings)]
    assert len(read.model_dump_json().encode()) < MAX_ANSWER * 1.1


async def test_no_party_hides_anothers_ticket_behind_many_of_its_own(
    town: Town, tickets: TicketActivities
) -> None:
    withdrawal = await town.desk.file(_customer(town).id, "carl", "s", f"about {DOMAIN}")
    long = f"{DOMAIN} " + "x" * 19_000
    for _ in range(150):
        await town.desk.file("acme", "ann", "s", long)
    survey = await tickets.survey(_survey(town))
    assert withdrawal.id in {one.ticket_id for one in survey.readings}
    assert len(survey.model_dump_json().encode()) < MAX_ANSWER * 1.1


@pytest.mark.parametrize("away", ["accounts", "desk", "ledger"])
async def test_a_neighbour_that_is_away_is_said_to_be(
    town: Town, tickets: TicketActivities, away: str
) -> None:
    await town.desk.file("acme", "ann", "s", f"about {DOMAIN}")
    getattr(town, away).away = True
    with pytest.raises(Unreachable):
        await tickets.survey(_survey(town))
