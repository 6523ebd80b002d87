"""When billing may move, and whether it did: what no store of ours would show by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.adapters.stores import CHARGES, NOW, customer, order, reseller
from transfer.adapters.moves import PanelAccess, conflict, difference
from transfer.parties import Assignment, CustomerRecord, ResellerRecord

CUSTOMER = customer("C-1")
MOVED = customer("C-1", reseller="globex")
GLOBEX = reseller("globex")
AT = order().at
BEGINNING = CUSTOMER.billed_from
LATER = AT + timedelta(days=40)

BILLED = Assignment(reseller="acme", charges=CHARGES, starts_at=BEGINNING)
ENDED = BILLED.model_copy(update={"ends_at": AT})
BEGUN = Assignment(reseller="globex", charges=CHARGES, starts_at=AT, transfer=order().key)
OUT = PanelAccess(reseller="acme", since=BEGINNING, until=AT)
IN = PanelAccess(reseller="globex", since=AT)


# -- may it move? ----------------------------------------------------------------------------------
def test_billing_may_move_where_all_is_as_the_order_says() -> None:
    """Nothing else is asked for."""
    assert conflict(order(), CUSTOMER, BILLED, GLOBEX) is None


@pytest.mark.parametrize(("record", "current"), [(None, BILLED), (CUSTOMER, None), (None, None)])
def test_a_customer_that_is_not_on_record_or_not_billed_is_not_moved(
    record: CustomerRecord | None, current: Assignment | None
) -> None:
    """Each of the two is enough."""
    said = conflict(order(), record, current, GLOBEX)
    assert said == "C-1 is not on record, or nobody is billed for it."


@pytest.mark.parametrize(
    ("owner", "billed", "named"),
    [("acme", "hooli", "hooli"), ("hooli", "acme", "hooli"), ("hooli", "initech", "initech")],
)
def test_both_the_record_and_the_bill_have_to_name_the_old_reseller(
    owner: str, billed: str, named: str
) -> None:
    """The other one is named; where neither is the old reseller, it is the one that is billed."""
    record = customer("C-1", reseller=owner)
    current = BILLED.model_copy(update={"reseller": billed})
    assert conflict(order(), record, current, GLOBEX) == f"C-1 is with {named}, not with acme."


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (None, "The reseller globex is not on record."),
        (
            reseller("globex", suspended=True),
            "The reseller globex is suspended: it cannot take C-1.",
        ),
        (
            reseller("globex", billing_account=""),
            "The reseller globex has no billing account: it cannot take C-1.",
        ),
    ],
)
def test_a_new_reseller_that_cannot_take_customers_gets_none(
    new: ResellerRecord | None, said: str
) -> None:
    """The line says what to mend."""
    assert conflict(order(), CUSTOMER, BILLED, new) == said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"terminating": True}, "C-1 is terminating."),
        ({"legal_hold": True}, "C-1 is under legal hold."),
        ({"terminating": True, "legal_hold": True}, "C-1 is terminating."),
        ({"locked_until": AT}, None),
        (
            {"locked_until": AT + timedelta(microseconds=1)},
            "C-1 was moved before, and is locked until 2026-03-02T10:30Z.",
        ),
    ],
)
def test_a_customer_that_must_stay_stays(values: dict[str, object], said: str | None) -> None:
    """A lock ends at its instant."""
    assert conflict(order(), customer("C-1", **values), BILLED, GLOBEX) == said


@pytest.mark.parametrize(
    ("starts", "may"), [(timedelta(microseconds=-1), True), (timedelta(), False)]
)
def test_no_bill_is_of_no_time_at_all(starts: timedelta, *, may: bool) -> None:
    """The old reseller has to be billed for at least an instant before the move."""
    current = BILLED.model_copy(update={"starts_at": AT + starts})
    assert (conflict(order(), CUSTOMER, current, GLOBEX) is None) is may


# -- did it move? ----------------------------------------------------------------------------------
def test_an_order_that_was_carried_out_differs_in_nothing() -> None:
    """Nor does it later, when the price has changed and the customer moved on."""
    assert difference(order(), MOVED, (ENDED, BEGUN), (OUT, IN)) is None
    over = BEGUN.model_copy(update={"ends_at": LATER})
    next_one = Assignment(reseller="hooli", charges=CHARGES, starts_at=LATER, transfer="another")
    left = IN.model_copy(update={"until": LATER})
    came = PanelAccess(reseller="hooli", since=LATER)
    now = customer("C-1", reseller="hooli")
    assert difference(order(), now, (ENDED, over, next_one), (OUT, left, came)) is None
    # The account on record and the newest bill are compared, whoever came in between.
    said = difference(order(), MOVED, (ENDED, over, next_one), (OUT, left, came))
    assert said == "C-1 is with globex, but hooli is billed."


def test_a_customer_or_a_move_that_is_not_on_record_is_no_success() -> None:
    """What cannot be read back was not done."""
    assert difference(order(), None, (ENDED, BEGUN), (OUT, IN)) == "C-1 is not on record."
    said = difference(order(), CUSTOMER, (BILLED,), (OUT, IN))
    assert said == "C-1 was not moved by transfer-example.com/1."


@pytest.mark.parametrize(
    "changes",
    [
        {"reseller": "hooli"},
        {"starts_at": LATER},
        {"charges": CHARGES.model_copy(update={"plan": "basic"})},
    ],
)
def test_the_new_bill_is_compared_whole(changes: dict[str, object]) -> None:
    """Whom, from when, and for how much."""
    begun = BEGUN.model_copy(update=changes)
    said = difference(order(), MOVED, (ENDED, begun), (OUT, IN))
    assert said == (
        f"transfer-example.com/1 moved C-1 to {begun.reseller} at {begun.starts_at.isoformat()}."
    )


@pytest.mark.parametrize(
    "history",
    [
        (BEGUN,),
        (BILLED, BEGUN),
        (ENDED.model_copy(update={"ends_at": AT - timedelta(seconds=1)}), BEGUN),
        (ENDED.model_copy(update={"reseller": "hooli"}), BEGUN),
        (BEGUN, ENDED),
    ],
)
def test_the_old_bill_has_to_end_where_the_new_one_begins(history: tuple[Assignment, ...]) -> None:
    """It is the one right before; one that comes after it is none."""
    said = difference(order(), MOVED, history, (OUT, IN))
    assert said == "Billing of acme for C-1 did not end at 2026-03-02T10:30:00+00:00."


def test_a_history_that_nobody_is_billed_by_any_more_is_no_success() -> None:
    """The newest bill is open."""
    closed = BEGUN.model_copy(update={"ends_at": LATER})
    said = difference(order(), MOVED, (ENDED, closed), (OUT, IN))
    assert said == "C-1 is with globex, but globex is billed."


@pytest.mark.parametrize(
    "panel",
    [
        (),
        (OUT,),
        (IN,),
        (OUT.model_copy(update={"until": None}), IN),
        (OUT.model_copy(update={"until": LATER}), IN),
        (OUT.model_copy(update={"reseller": "hooli"}), IN),
        (OUT, IN.model_copy(update={"since": NOW})),
        (OUT, IN.model_copy(update={"reseller": "hooli"})),
    ],
)
def test_access_to_the_panel_moves_at_the_instant_of_the_bill(
    panel: tuple[PanelAccess, ...],
) -> None:
    """The old reseller's ends then, and the new one's begins: each by name and by instant."""
    said = difference(order(), MOVED, (ENDED, BEGUN), panel)
    assert said == "Access to the panel of C-1 did not move with billing."
