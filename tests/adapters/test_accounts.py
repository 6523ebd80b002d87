"""What is on record, and loading it: on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.adapters.stores import ACCOUNTS, CHARGES, NOW, Stores, customer, order, reseller
from transfer.accounts_file import AccountsFile
from transfer.errors import AccountsFileInvalid
from transfer.parties import Charges, Facts, Person

DEARER = Charges(plan="business", price=Decimal("15.0050"), currency="EUR")


# -- facts -----------------------------------------------------------------------------------------
async def test_the_facts_are_read_back_as_they_were_loaded(stores: Stores) -> None:
    """Every field comes back, with the domains, aliases and people in the order of the file."""
    facts = await stores.accounts.facts("example.com", "globex")
    assert facts == Facts(
        customer=ACCOUNTS.customers[0], old=ACCOUNTS.resellers[0], new=ACCOUNTS.resellers[1]
    )


@pytest.mark.parametrize(
    "domain",
    [
        "example.com",
        " EXAMPLE.COM. ",
        "exämple.example",
        "EXÄMPLE.example",
        "xn--exmple-cua.example",
    ],
)
async def test_a_customer_is_found_by_any_of_its_domains_however_written(
    stores: Stores, domain: str
) -> None:
    """Domains are looked up as A-labels."""
    found = (await stores.accounts.facts(domain, "globex")).customer
    assert found is not None
    assert found.id == "C-1"


@pytest.mark.parametrize("domain", ["other.example", "no domain", "", "a\0b.example", "\ud800.com"])
async def test_a_domain_that_nobody_has_finds_no_customer(stores: Stores, domain: str) -> None:
    """Whatever a stranger types is looked up, and at worst not found."""
    assert await stores.accounts.facts(domain, "globex") == Facts(new=ACCOUNTS.resellers[1])


async def test_a_name_that_does_not_normalise_is_looked_up_as_it_is(empty: Stores) -> None:
    """Old records may hold names that today's rules refuse."""
    old = customer("C-7", domains=("my_shop.example",))
    await empty.accounts.load(AccountsFile(resellers=(reseller("acme"),), customers=(old,)))
    assert (await empty.accounts.facts(" My_Shop.Example ", "")).customer == old


@pytest.mark.parametrize(
    "name", ["globex", "Globex Hosting", "GLOBEX  hosting.", "globex ltd", "Globex"]
)
async def test_a_reseller_is_found_by_its_id_name_or_alias(stores: Stores, name: str) -> None:
    """Case, spacing and end dots do not count."""
    assert (await stores.accounts.facts("example.com", name)).new == ACCOUNTS.resellers[1]


@pytest.mark.parametrize("name", ["nobody", "", " . ", "glob%", "glo_ex", "globex\0"])
async def test_a_name_that_nobody_goes_by_finds_no_reseller(stores: Stores, name: str) -> None:
    """Nothing is guessed."""
    assert (await stores.accounts.facts("example.com", name)).new is None


async def test_a_name_that_two_resellers_go_by_finds_neither(empty: Stores) -> None:
    """An ambiguous name matches nothing; an id always does."""
    twins = reseller("north", name="Twin Hosting"), reseller("south", name="TWIN hosting")
    await empty.accounts.load(AccountsFile(resellers=twins))
    assert (await empty.accounts.facts("x.example", "Twin Hosting")).new is None
    assert (await empty.accounts.facts("x.example", "south")).new == twins[1]


async def test_administrators_are_those_of_a_resellers_or_a_customers_id(stores: Stores) -> None:
    """Both kinds of accounts have them; an unknown account has none."""
    accounts = stores.accounts
    assert await accounts.administrators(["acme", "C-1", "nobody", "Acme Hosting"]) == {
        "acme": ACCOUNTS.resellers[0].administrators,
        "C-1": ACCOUNTS.customers[0].administrators,
        "nobody": (),
        "Acme Hosting": (),
    }
    assert await accounts.administrators([]) == {}


# -- loading ---------------------------------------------------------------------------------------
async def test_the_first_load_bills_from_the_day_in_the_file(stores: Stores) -> None:
    """Loading begins the first assignment."""
    (first,) = await stores.accounts.assignments("C-1")
    assert first.starts_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (first.reseller, first.charges, first.ends_at) == ("acme", CHARGES, None)
    assert await stores.accounts.assignments("C-9") == ()


async def test_loading_the_same_file_again_changes_nothing(empty: Stores) -> None:
    """The report says so, and the history stays as it is."""
    ids = ("acme", "globex", "initech", "umbrella", "C-1", "C-2")
    first = await empty.accounts.load(ACCOUNTS)
    assert (first.added, first.updated, first.unchanged) == (ids, (), ())
    history = await empty.accounts.assignments("C-1")
    empty.clock.pass_by(timedelta(days=1))
    again = await empty.accounts.load(ACCOUNTS)
    assert (again.added, again.updated, again.unchanged) == ((), (), ids)
    assert await empty.accounts.assignments("C-1") == history


async def test_a_changed_file_updates_what_changed_and_leaves_the_rest(stores: Stores) -> None:
    """What is not in the file stays in store."""
    acme = reseller("acme", name="Acme!", aliases=("A",), suspended=True, administrators=())
    kept = customer("C-1", domains=("new.example", "example.com"), legal_hold=True, name="New")
    report = await stores.accounts.load(AccountsFile(resellers=(acme,), customers=(kept,)))
    assert (report.added, report.updated, report.unchanged) == ((), ("acme", "C-1"), ())
    assert await stores.accounts.facts("new.example", "a") == Facts(
        customer=kept, old=acme, new=acme
    )
    assert (await stores.accounts.facts("exämple.example", "acme ltd")) == Facts()
    assert (await stores.accounts.facts("c-2.example", "")).customer == ACCOUNTS.customers[1]


async def test_two_customers_may_swap_a_domain_in_one_file(stores: Stores) -> None:
    """What counts is that a domain has one owner in the end."""
    one = customer("C-1", domains=("c-2.example",))
    two = customer("C-2", domains=("example.com",), reseller="globex")
    await stores.accounts.load(AccountsFile(customers=(one, two)))
    assert (await stores.accounts.facts("example.com", "")).customer == two
    assert (await stores.accounts.facts("c-2.example", "")).customer == one


async def test_a_new_price_counts_from_now_on_and_the_past_stays_true(stores: Stores) -> None:
    """The open assignment is split at the instant of the load."""
    now = stores.clock.pass_by(timedelta(hours=1))
    dearer = customer("C-1", domains=("example.com",), charges=DEARER)
    await stores.accounts.load(AccountsFile(customers=(dearer,)))
    before, after = await stores.accounts.assignments("C-1")
    assert (before.charges, before.ends_at) == (CHARGES, now)
    assert (after.charges, after.starts_at, after.ends_at) == (DEARER, now, None)
    assert after.reseller == before.reseller == "acme"
    assert str(after.charges.price) == "15.0050"


async def test_a_new_price_before_the_first_bill_replaces_the_old_one(empty: Stores) -> None:
    """An assignment that has not begun has no past."""
    later = customer("C-1", billed_from=NOW + timedelta(days=9))
    await empty.accounts.load(AccountsFile(resellers=(reseller("acme"),), customers=(later,)))
    changed = later.model_copy(update={"charges": DEARER})
    await empty.accounts.load(AccountsFile(customers=(changed,)))
    (only,) = await empty.accounts.assignments("C-1")
    assert (only.charges, only.starts_at) == (DEARER, later.billed_from)


async def test_a_new_price_after_a_transfer_keeps_the_transfer_done(stores: Stores) -> None:
    """The retry of the order still finds what it did."""
    await stores.accounts.move_billing(order())
    stores.clock.pass_by(timedelta(days=2))
    values = {"reseller": "globex", "charges": DEARER, "domains": ("example.com",)}
    await stores.accounts.load(AccountsFile(customers=(customer("C-1", **values),)))
    assert (await stores.accounts.move_billing(order())).ends_at == stores.clock.now
    found = (await stores.accounts.facts("example.com", "")).customer
    assert found is not None
    assert found.locked_until == order().lock_until


async def test_a_file_moves_no_customer_to_another_reseller(stores: Stores) -> None:
    """That is what a transfer is for. The errors come all at once, with their lines."""
    file = AccountsFile(
        resellers=(reseller("acme", name="Changed"),),
        customers=(
            customer("C-1", reseller="globex", domains=("example.com",)),
            customer("C-2", reseller="acme", billed_from=NOW),
            customer("C-3", reseller="globx"),
            customer("C-4", domains=("example.com",)),
            customer("acme"),
        ),
        lines={"C-1": 12, "C-2": 22, "C-3": 32, "C-4": 42, "acme": 52},
    )
    with pytest.raises(AccountsFileInvalid) as refused:
        await stores.accounts.load(file)
    assert refused.value.errors == [
        'line 12: "example.com" belongs to C-4 already. A domain has one owner.',
        (
            "line 12: C-1 is with acme. Only a transfer moves it to globex: "
            'write reseller = "acme", and start a transfer.'
        ),
        (
            "line 22: C-2 has been billed from 2026-01-01T00:00:00+00:00. "
            "The past does not change: write that instant."
        ),
        (
            "line 22: C-2 is with globex. Only a transfer moves it to acme: "
            'write reseller = "globex", and start a transfer.'
        ),
        'line 32: the reseller "globx" is unknown. Did you mean globex?',
        'line 42: "example.com" belongs to C-1 already. A domain has one owner.',
        'line 52: "acme" is the id of a reseller already. Choose another id.',
    ]
    assert await stores.accounts.facts("example.com", "acme hosting") == Facts(
        customer=ACCOUNTS.customers[0], old=ACCOUNTS.resellers[0], new=ACCOUNTS.resellers[0]
    )


async def test_an_alias_that_names_another_reseller_in_store_is_refused(stores: Stores) -> None:
    """Otherwise a ticket that uses it would be a guess."""
    file = AccountsFile(resellers=(reseller("hooli", aliases=("GLOBEX",)),), lines={"hooli": 3})
    with pytest.raises(AccountsFileInvalid) as refused:
        await stores.accounts.load(file)
    assert refused.value.errors == [
        'line 3: "GLOBEX", an alias of hooli, also names globex. Drop one.'
    ]


async def test_two_loads_at_a_time_are_one_after_the_other(empty: Stores) -> None:
    """Two operators load the same file: one adds, the other finds nothing to do."""
    reports = await asyncio.gather(
        empty.accounts.load(ACCOUNTS), empty.another().accounts.load(ACCOUNTS)
    )
    assert sorted(len(report.added) for report in reports) == [0, 6]
    assert len(await empty.accounts.assignments("C-1")) == 1


async def test_people_who_are_dropped_from_the_file_are_no_administrators_any_more(
    stores: Stores,
) -> None:
    """Authority comes from the records of today."""
    dora = Person(id="dora", name="Dora", email="dora@example.com")
    changed = customer("C-1", domains=("example.com",), administrators=(dora,))
    await stores.accounts.load(AccountsFile(customers=(changed,)))
    assert await stores.accounts.administrators(["C-1"]) == {"C-1": (dora,)}


async def test_paid_invoices_are_known_by_their_reseller_however_they_are_written(
    stores: Stores,
) -> None:
    """Recorded again, nothing changes; another reseller's invoice is another one."""
    for _ in range(2):
        await stores.accounts.record_paid("acme", ["R-1", " r-2 "], NOW)
    assert await stores.accounts.paid("acme", ["r-1", "R-2", "R-3"]) == ("r-1", "R-2")
    assert await stores.accounts.paid("globex", ["R-1"]) == ()
