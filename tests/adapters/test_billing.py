"""Billing moves once, or not at all: on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from tests.adapters.stores import (
    ACCOUNTS,
    CHARGES,
    NOW,
    Stores,
    customer,
    order,
    reseller,
    sql_only,
)
from transfer.accounts_file import AccountsFile
from transfer.adapters.moves import PanelAccess
from transfer.adapters.sql.accounts import _move
from transfer.adapters.sql.schema import billing_assignments
from transfer.errors import BillingConflict
from transfer.messages import BillingOrder
from transfer.parties import Assignment, Charges


async def test_a_move_ends_one_assignment_and_begins_the_other_at_the_same_instant(
    stores: Stores,
) -> None:
    """Half-open intervals: the end of one is the beginning of the other."""
    moved = await stores.accounts.move_billing(order())
    old, new = await stores.accounts.assignments("C-1")
    assert moved == new
    assert (old.reseller, old.ends_at, old.transfer) == ("acme", order().at, None)
    assert (new.reseller, new.starts_at, new.ends_at) == ("globex", order().at, None)
    assert new.charges == old.charges == CHARGES
    assert new.transfer == order().key


async def test_a_move_takes_the_account_the_panel_and_the_lock_with_it(stores: Stores) -> None:
    """The account is re-parented in place, and is then locked."""
    before = (await stores.accounts.facts("example.com", "globex")).customer
    await stores.accounts.move_billing(order())
    after = (await stores.accounts.facts("example.com", "globex")).customer
    assert before is not None
    assert after == before.model_copy(
        update={"reseller": "globex", "locked_until": order().lock_until}
    )
    assert await stores.accounts.panel("C-1") == (
        PanelAccess(reseller="acme", since=before.billed_from, until=order().at),
        PanelAccess(reseller="globex", since=order().at),
    )


async def test_a_move_leaves_other_customers_alone(stores: Stores) -> None:
    """Only the customer of the order is touched: its bills, its panel, its record."""
    accounts = stores.accounts
    bills, panel = await accounts.assignments("C-2"), await accounts.panel("C-2")
    record = await accounts.holder("C-2")
    await accounts.move_billing(order())
    assert await accounts.assignments("C-2") == bills
    assert await accounts.panel("C-2") == panel
    assert [(one.reseller, one.until) for one in panel] == [("globex", None)]
    assert await accounts.holder("C-2") == record


async def test_the_same_order_again_is_success_and_changes_nothing(stores: Stores) -> None:
    """A retry finds what the first attempt did."""
    first = await stores.accounts.move_billing(order())
    assert await stores.accounts.move_billing(order()) == first
    assert len(await stores.accounts.assignments("C-1")) == 2


async def test_an_instant_in_another_time_zone_is_the_same_instant(stores: Stores) -> None:
    """An order written with an offset moves at the same UTC instant."""
    there = order().at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    await stores.accounts.move_billing(order(at=there))
    old, new = await stores.accounts.assignments("C-1")
    assert old.ends_at == new.starts_at == order().at
    assert await stores.accounts.move_billing(order()) == new


async def test_a_retry_long_after_is_success_even_if_the_customer_moved_on(stores: Stores) -> None:
    """What this order did stays done, whoever has the customer today."""
    await stores.accounts.move_billing(order(lock_until=NOW))
    back = order("back", old="globex", new="acme", at=NOW + timedelta(days=40))
    await stores.accounts.move_billing(back)
    again = await stores.accounts.move_billing(order(lock_until=NOW))
    assert (again.reseller, again.ends_at) == ("globex", back.at)
    assert len(await stores.accounts.assignments("C-1")) == 3


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"old": "globex", "new": "acme"}, "C-1 is with acme, not with globex."),
        ({"charges": CHARGES.model_copy(update={"currency": "USD"})}, "what was accepted is"),
        ({"new": "acme"}, "C-1 is to be moved from acme to itself"),
        ({"new": "nobody"}, "The reseller nobody is not on record."),
        ({"new": "initech"}, "The reseller initech is suspended"),
        ({"new": "umbrella"}, "The reseller umbrella has no billing account"),
        ({"customer": "C-9"}, "C-9 is not on record"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, "too late to move"),
    ],
)
async def test_a_move_is_refused_in_one_line_that_says_why(
    stores: Stores, values: dict[str, object], why: str
) -> None:
    """Compare-and-set: whatever is not as the order says stops it, and nothing changes."""
    before = await stores.accounts.assignments("C-1")
    with pytest.raises(BillingConflict) as refused:
        await stores.accounts.move_billing(order(**values))
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert await stores.accounts.assignments("C-1") == before


@pytest.mark.parametrize(
    ("values", "why"),
    [({"terminating": True}, "terminating"), ({"legal_hold": True}, "under legal hold")],
)
async def test_a_customer_that_must_stay_is_not_moved(
    stores: Stores, values: dict[str, object], why: str
) -> None:
    """A terminating customer, or one under legal hold, stays where it is."""
    changed = customer("C-1", domains=("example.com",), **values)
    await stores.accounts.load(AccountsFile(customers=(changed,)))
    with pytest.raises(BillingConflict, match=why):
        await stores.accounts.move_billing(order())


async def test_a_locked_customer_is_not_moved_before_the_lock_ends(stores: Stores) -> None:
    """The lock ends at its instant, not before and not after it."""
    first = order()
    await stores.accounts.move_billing(first)
    early = order("2", old="globex", new="acme", at=first.lock_until - timedelta(microseconds=1))
    with pytest.raises(BillingConflict, match="is locked until 2026-04-01"):
        await stores.accounts.move_billing(early)
    await stores.accounts.move_billing(early.model_copy(update={"at": first.lock_until}))


async def test_a_key_that_moved_another_customer_moves_nothing(stores: Stores) -> None:
    """One key is one order: a second meaning of it is a conflict."""
    await stores.accounts.move_billing(order())
    other = order(customer="C-2", old="globex", new="acme")
    with pytest.raises(BillingConflict, match="C-2 was not moved by"):
        await stores.accounts.move_billing(other)
    assert len(await stores.accounts.assignments("C-2")) == 1


async def test_a_key_with_other_contents_is_a_conflict(stores: Stores) -> None:
    """Success is only what is on record as the order says."""
    await stores.accounts.move_billing(order())
    with pytest.raises(BillingConflict, match="moved C-1 to globex"):
        await stores.accounts.move_billing(order(at=order().at + timedelta(hours=1)))


async def test_one_order_on_two_workers_moves_once_and_both_succeed(stores: Stores) -> None:
    """An activity that runs twice at a time is one move."""
    workers = stores, stores.another()
    first, second = await asyncio.gather(*(w.accounts.move_billing(order()) for w in workers))
    assert first == second
    assert len(await stores.accounts.assignments("C-1")) == 2


async def test_of_two_orders_at_a_time_exactly_one_wins(stores: Stores) -> None:
    """Compare-and-set decides; the other one is told, and nothing is overwritten."""
    await stores.accounts.load(AccountsFile(resellers=(reseller("hooli"),)))
    workers = stores, stores.another()
    orders = order("a", new="globex"), order("b", new="hooli")
    results = await asyncio.gather(
        *(w.accounts.move_billing(o) for w, o in zip(workers, orders, strict=True)),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, Assignment)]
    lost = [result for result in results if isinstance(result, BillingConflict)]
    assert len(won) == len(lost) == 1
    assert (await stores.accounts.assignments("C-1"))[1:] == tuple(won)


async def test_a_move_and_a_change_of_price_at_a_time_leave_one_history(stores: Stores) -> None:
    """Either the move comes first, or it is a conflict: no charge is lost or doubled."""
    stores.clock.pass_by(timedelta(hours=2))
    dearer = customer("C-1", domains=("example.com",), charges=_charges("15"))
    results = await asyncio.gather(
        stores.accounts.move_billing(order()),
        stores.another().accounts.load(AccountsFile(customers=(dearer,))),
        return_exceptions=True,
    )
    history = await stores.accounts.assignments("C-1")
    assert len(history) == 2
    assert sum(isinstance(result, Exception) for result in results) == 1
    assert all(one.ends_at == two.starts_at for one, two in pairwise(history))


@sql_only
async def test_an_answer_lost_after_the_commit_is_success_on_the_retry(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The activity times out after billing moved; the next attempt finds it moved."""

    async def lost(*_: object) -> Assignment:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(stores.sql, "read", lost)
        with pytest.raises(asyncio.CancelledError):
            await stores.accounts.move_billing(order())
    again = await stores.another().accounts.move_billing(order())
    assert again.transfer == order().key
    assert len(await stores.accounts.assignments("C-1")) == 2


@sql_only
async def test_an_attempt_cancelled_while_it_waits_leaves_nothing_behind(stores: Stores) -> None:
    """A cancelled move is undone whole, and does not hold a lock."""
    with stores.another().sql.writing() as blocker:
        blocker.execute(text("UPDATE customers SET suspended = suspended"))
        waiting = asyncio.create_task(stores.accounts.move_billing(order()))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(await stores.accounts.assignments("C-1")) == 1
    await stores.accounts.move_billing(order())


@sql_only
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE customers SET reseller = 'acme'", "C-1 is with acme, but globex is billed"),
        ("DELETE FROM panel_access", "Access to the panel of C-1 did not move"),
        ("DELETE FROM billing_assignments WHERE reseller = 'acme'", "did not end"),
    ],
)
async def test_a_read_back_that_differs_is_a_conflict(
    stores: Stores, damage: str, why: str
) -> None:
    """What counts is what a fresh transaction reads, not what we think we wrote."""
    await stores.accounts.move_billing(order())
    with stores.sql.writing() as connection:
        connection.execute(text(damage))
    with pytest.raises(BillingConflict, match=why):
        await stores.accounts.move_billing(order())


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_the_database_itself_refuses_is_a_conflict_that_moves_nothing(
    stores: Stores,
) -> None:
    """A bug of ours, or a race, is told as a conflict, since a retry finds the same."""
    refuse = (
        "CREATE TRIGGER refuse BEFORE INSERT ON panel_access"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    with stores.sql.writing() as connection:
        connection.execute(text(refuse))
    with pytest.raises(BillingConflict) as refused:
        await stores.accounts.move_billing(order())
    assert str(refused.value) == (
        "The database refused to bill C-1 twice, or transfer-example.com/1 was used."
    )
    (only,) = await stores.accounts.assignments("C-1")
    assert (only.reseller, only.ends_at) == ("acme", None)


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_reseller_stays_as_it_was_judged_until_the_move_is_over(stores: Stores) -> None:
    """Nobody can suspend it meanwhile; but other moves to it need not wait, nor other resellers."""
    changed = "SELECT id FROM resellers ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
    shared = "SELECT id FROM resellers ORDER BY id FOR SHARE SKIP LOCKED"
    everybody = ["acme", "globex", "initech", "umbrella"]
    with stores.sql.writing() as moving:
        _move(moving, order())
        with stores.another().sql.writing() as other:
            assert list(other.scalars(text(shared))) == everybody
        with stores.another().sql.writing() as other:
            assert list(other.scalars(text(changed))) == ["acme", "initech", "umbrella"]
    with stores.sql.writing() as other:
        assert list(other.scalars(text(changed))) == everybody


@sql_only
async def test_the_database_itself_refuses_two_resellers_in_one_panel(stores: Stores) -> None:
    """At most one reseller has access at a time."""
    await stores.accounts.move_billing(order())
    with pytest.raises(IntegrityError), stores.sql.writing() as connection:
        connection.execute(text("UPDATE panel_access SET until = NULL"))


@sql_only
@pytest.mark.parametrize(
    ("starts", "ends"),
    [(-10, None), (5, 6), (-50, 40), (0, 1), (-200, -50)],
)
async def test_the_database_itself_refuses_to_bill_two_resellers_at_one_instant(
    stores: Stores, starts: int, ends: int | None
) -> None:
    """No bug of ours can make two assignments overlap: the constraint stands below the code."""
    overlapping = {
        "customer_no": 1,
        "reseller": "globex",
        "starts_at": NOW + timedelta(days=starts),
        "ends_at": None if ends is None else NOW + timedelta(days=ends),
        **CHARGES.model_dump(),
    }
    with pytest.raises(IntegrityError), stores.sql.writing() as connection:
        connection.execute(insert(billing_assignments).values(overlapping))
    assert len(await stores.accounts.assignments("C-1")) == 1


@sql_only
async def test_the_database_itself_refuses_an_update_into_an_overlap(stores: Stores) -> None:
    """Moving a boundary into the neighbour is refused as well; ending before beginning, too."""
    await stores.accounts.move_billing(order())
    table = billing_assignments
    for late in (NOW + timedelta(days=9), datetime(2025, 1, 1, tzinfo=UTC)):
        with pytest.raises(IntegrityError), stores.sql.writing() as connection:
            connection.execute(
                update(table).where(table.c.ends_at.is_not(None)).values(ends_at=late)
            )


_numbers = count(100)
_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex", "hooli"]),
        st.timedeltas(min_value=timedelta(microseconds=-5), max_value=timedelta(days=3)),
        st.sampled_from(["move", "again", "stale", "reprice"]),
    ),
    max_size=8,
)


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves=_MOVES)
async def test_any_sequence_of_moves_leaves_neither_gap_nor_overlap(
    stores: Stores, moves: list[tuple[str, timedelta, str]]
) -> None:
    """Every instant from the first bill on belongs to exactly one reseller."""
    account = f"P-{next(_numbers)}"
    record = customer(account)
    stores.clock.now = NOW
    others = (*ACCOUNTS.resellers, reseller("hooli"))
    await stores.accounts.load(AccountsFile(resellers=others, customers=(record,)))
    last: BillingOrder | None = None
    price = 1
    for step, (target, gap, what) in enumerate(moves):
        at = stores.clock.pass_by(gap)
        history = await stores.accounts.assignments(account)
        current = history[-1]
        if what == "reprice":
            price += 1
            values = {"reseller": current.reseller, "charges": _charges(str(price))}
            record = record.model_copy(update=values)
            await stores.accounts.load(AccountsFile(customers=(record,)))
            continue
        wanted = order(
            f"{account}/{step}",
            customer=account,
            old="acme" if what == "stale" else current.reseller,
            new=target,
            charges=current.charges,
            at=at,
            lock_until=at,
        )
        if what == "again" and last is not None:
            wanted = last
        try:
            await stores.accounts.move_billing(wanted)
            last = wanted
        except BillingConflict:
            assert await stores.accounts.assignments(account) == history
    history = await stores.accounts.assignments(account)
    assert history[0].starts_at == record.billed_from
    assert history[-1].ends_at is None
    assert all(one.ends_at == two.starts_at for one, two in pairwise(history))
    assert all(one.ends_at is None or one.starts_at < one.ends_at for one in history)
    found = (await stores.accounts.facts(record.domains[0], "")).customer
    assert found is not None
    assert found.reseller == history[-1].reseller
    panel = await stores.accounts.panel(account)
    assert [one.until for one in panel] == [*(one.since for one in panel[1:]), None]


def _charges(price: str) -> Charges:
    return Charges.model_validate({**CHARGES.model_dump(), "price": price})
