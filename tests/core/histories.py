"""Random histories: lists of acts, chosen by hypothesis, and told as a story where a test fails."""

from __future__ import annotations

from datetime import datetime

from hypothesis import note
from hypothesis import strategies as st

from tests.core.acts import (
    STRANGER,
    TEXTS,
    Act,
    Step,
    World,
    agree,
    change,
    close,
    dearer,
    during_grace,
    during_hold,
    during_outage,
    edit,
    file,
    flawed,
    in_person,
    leave,
    lever,
    look_for_lost,
    overtake,
    pay,
    record,
    ring_again,
    ring_all,
    ring_for_nothing,
    ring_for_the_past,
    sleep_long,
    staff_release,
    stand_in,
    vanish,
    wait,
)
from tests.core.builders import KEY, MONDAY, request
from transfer import opening
from transfer.case import Case
from transfer.messages import BillingOrder
from transfer.parties import Slot
from transfer.tickets import Intent

_slots = st.sampled_from(list(Slot))
_intents = st.sampled_from(list(Intent))
_picks = st.integers(0, 6)
_late = st.sampled_from([0, 3])
_honest = st.builds(
    in_person,
    _slots,
    st.sampled_from(["", "", "", "", "refuse", "withdraw", "unclear", "refuse until paid"]),
    st.sampled_from([True, True, False]),
    st.sampled_from([0, 0, 1, 5, 48]),
)
_any_ticket = st.builds(
    file,
    st.one_of(_slots, st.just(STRANGER)),
    st.sampled_from(sorted(TEXTS)),
    _slots,
    st.sampled_from(["", "", "", "delegated", "no administrator"]),
    st.booleans(),
    st.sampled_from([0, 1, 5, 48, 800]),
    st.sampled_from([False, False, False, True]),
)
_levers = st.builds(
    lever,
    st.sampled_from(
        [
            *("hold", "resume", "resume", "take", "release", "release", "retry", "admit", "admit"),
            *("reject", "reject", "extend", "extend", "cancel"),
        ]
    ),
    st.sampled_from(["sue", "tom"]),
    _picks,
    _intents,
)
_stops = st.builds(
    lever,
    st.sampled_from(["cancel", "hold", "retry", "extend"]),
    st.sampled_from(["sue", "tom"]),
    _picks,
    _intents,
)
_records = st.sampled_from(
    [
        *("all is well", "all is well", "the price rises", "the customer is under legal hold"),
        *("the new reseller is suspended", "another reseller is on record"),
    ]
)
_waits = st.builds(wait, st.sampled_from([1, 12, 25, 25, 48, 200, 400]), st.booleans())
_flaws = st.sampled_from(["delegated", "no administrator", "by mail"])
FILINGS = st.one_of(
    *(_honest, _honest, _honest, _any_ticket, _any_ticket),
    st.builds(stand_in, _slots, _slots, _late),
    st.builds(flawed, _slots, _flaws),
)
CHANGES = st.one_of(
    st.builds(edit, _picks, st.sampled_from(sorted(TEXTS)), st.booleans()),
    st.builds(overtake, _picks, st.sampled_from(sorted(TEXTS))),
    st.builds(close, _picks, st.booleans()),
    st.builds(vanish, _picks),
)
BELLS = st.one_of(
    st.builds(ring_again, _picks, _intents),
    st.builds(ring_for_nothing, st.sampled_from(["404", "405"]), _intents),
    st.builds(ring_all),
    st.builds(look_for_lost),
)
LATE_READINGS = st.builds(ring_for_the_past, _picks)
_staff = st.sampled_from(["sue", "tom"])
PULLS = st.one_of(
    *[_levers] * 6,
    st.builds(staff_release, _staff, _staff),
    st.builds(during_hold, st.lists(FILINGS, max_size=2), st.sampled_from([1, 48, 800])),
)
RECORDS = st.one_of(st.builds(record, _records), st.builds(leave, _slots), st.builds(pay))
_nothing = st.just(Act("nothing happens", lambda _: None))  # what a history shrinks to
_any_act = st.one_of(_nothing, FILINGS, FILINGS, CHANGES, BELLS, LATE_READINGS, PULLS, RECORDS)
_trouble = st.one_of(
    st.builds(
        in_person,
        _slots,
        st.sampled_from(["refuse", "withdraw", "unclear", ""]),
        st.just(False),
        st.just(0),
    ),
    st.builds(record, _records),
    st.builds(edit, st.integers(0, 2), st.sampled_from(sorted(TEXTS)), st.just(False)),
    st.builds(close, st.integers(0, 2), st.just(False)),
    st.builds(vanish, st.integers(0, 2)),
)
_meanwhile = st.lists(st.one_of(_trouble, _trouble, _any_act), min_size=1, max_size=4)
GRACES = st.one_of(
    st.builds(during_grace, _meanwhile, st.sampled_from(["once", "twice", "late"])),
    st.builds(during_grace, _meanwhile, st.just("twice")),
    st.builds(during_grace, _meanwhile, st.just("twice")),
    st.builds(during_outage, st.lists(st.one_of(FILINGS, BELLS, _stops), min_size=1, max_size=3)),
    st.builds(dearer, st.sampled_from([0, 5])),
)
ALL_AGREE = st.builds(agree)
WAITS = st.one_of(_waits, _waits, st.builds(sleep_long, st.sampled_from([30, 100, 300])))
ACTS = st.one_of(_any_act, _any_act, _any_act, ALL_AGREE, GRACES, WAITS)
HISTORIES = st.lists(ACTS, min_size=6, max_size=18)


def begin(*, two_person: bool = True, now: datetime = MONDAY) -> World:
    """Open a transfer."""
    policy = {"staff_release": "two_person"} if two_person else {}
    case = Case.received(request(**policy), "transfer-example.com", KEY, now)
    world = World(case, now)
    change(world, "opening", opening.opened(case, world.facts, world.now))
    return world


def play(history: list[Act], two_person: bool = True) -> World:
    """Open a transfer and let a history happen to it."""
    world = begin(two_person=two_person)
    for act in history:
        world.let(act)
    note("\n" + story(world))
    return world


def story(world: World, until: int | None = None) -> str:
    """What happened: a line for each act, and below it one for each change, up to ``until``."""
    acts = iter([*world.acts, (len(world.steps) + 1, Act("", lambda _: None))])
    lines: list[str] = []
    upcoming = next(acts)
    for number, step in enumerate(world.steps[:until]):
        while upcoming[0] <= number:
            lines.append(f"- {upcoming[1].says}")
            upcoming = next(acts)
        lines.append(
            f"    {step.now:%d %b %H:%M}  {step.cause:<36} {step.before.state.value:>12} -> "
            f"{step.after.state.value:<12} "
            + " ".join(f"{r.slot.value}:{r.state.value}" for r in step.after.slots)
        )
    while upcoming[1].says:
        lines.append(f"- {upcoming[1].says}")
        upcoming = next(acts)
    return "\n".join(lines)


def orders(world: World) -> list[tuple[Step, BillingOrder]]:
    """Every step at which billing would have moved."""
    return [(step, step.order) for step in world.steps if step.order is not None]
