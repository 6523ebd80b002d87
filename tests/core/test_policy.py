"""The policy: every clock of the trade's table, and what people may change of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.core.builders import at, opened
from transfer.calendar import parse_duration
from transfer.errors import DurationInvalid
from transfer.parties import Slot
from transfer.policy import Policy, StaffRelease


@pytest.mark.parametrize(
    ("clock", "default"),
    [
        ("reminders_after", ("2d", "4d")),
        ("reminders_before_deadline", ("3d", "1d")),
        ("max_reminders", 5),
        ("release_deadline", "5bd"),
        ("party_deadline", "14d"),
        ("first_touch", "1bd"),
        ("second_level", "3bd"),
        ("lifetime", "30d"),
        ("lifetime_cap", "60d"),
        ("ticket_freshness", "30d"),
        ("grace", "24h"),
        ("lock", "30d"),
        ("staff_release", StaffRelease.FORBIDDEN),
        ("ticket_opens_transfer", True),
        ("time_zone", "UTC"),
        ("holidays", ()),
    ],
)
def test_every_default_is_the_one_of_the_clock_table(clock: str, default: object) -> None:
    """Written the way a policy file has them."""
    assert getattr(Policy(), clock) == default


def test_a_transfer_is_opened_with_the_default_clocks() -> None:
    """Kept as absolute UTC instants."""
    case = opened()
    assert case.slot(Slot.RELEASE).deadline == at(days=7)  # five business days from a Monday
    assert case.slot(Slot.AUTHORIZE).deadline == at(days=14)
    assert case.slot(Slot.ACCEPT).deadline == at(days=14)
    assert case.expires_at == at(days=30)
    assert case.extendable_to == at(days=60)


def test_reminders_come_after_two_and_four_days_then_three_and_one_before_the_deadline() -> None:
    """Two that fall on the same instant are one."""
    assert opened().slot(Slot.ACCEPT).reminders == (
        at(days=2),
        at(days=4),
        at(days=11),
        at(days=13),
    )
    assert opened().slot(Slot.RELEASE).reminders == (at(days=2), at(days=4), at(days=6))


def test_there_are_at_most_five_reminders() -> None:
    """Whatever the policy file asks for."""
    daily = Policy(reminders_after=tuple(f"{n}d" for n in range(1, 13)))
    assert daily.reminders(at(), at(days=14)) == tuple(at(days=n) for n in range(1, 6))


def test_nobody_is_reminded_before_it_was_asked_or_after_its_deadline() -> None:
    """A deadline of a day leaves room for no default reminder."""
    assert Policy().reminders(at(), at(days=1)) == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grace", "soon"),
        ("lifetime", "9999d"),
        ("reminders_after", ("2d", "x")),
        ("max_reminders", -1),
        ("staff_release", "one_person"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../etc/passwd"),
        ("holidays", ("tomorrow",)),
    ],
)
def test_a_wrong_policy_is_refused_with_the_name_of_its_key(key: str, value: object) -> None:
    """All at once, at the edge; never in the middle of a transfer."""
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate({key: value, "first_touch": "never"})
    named = {error["loc"][0] for error in caught.value.errors()}
    assert named == {key, "first_touch"}


def test_a_policy_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """Transfers live for weeks across deploys."""
    assert Policy.model_validate({"grace": "2h", "later": 1}).grace == "2h"


@settings(max_examples=200)
@given(st.from_regex(r"\A ?[0-9]{1,6}(s|m|h|d|bd) ?\Z"))
def test_a_duration_stays_as_it_was_written_and_keeps_its_length(text: str) -> None:
    """On its way over the wire and back, too: no open transfer's clock moves."""
    try:
        length = parse_duration(text)
    except DurationInvalid:
        return
    policy = Policy(grace=text, reminders_after=(text,))
    again = Policy.model_validate_json(policy.model_dump_json())
    assert again == policy
    assert again.grace == text.strip()
    assert parse_duration(again.grace) == length


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 500), max_size=8),
    st.lists(st.integers(0, 500), max_size=8),
    st.integers(0, 20),
    st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_reminders_are_few_ordered_and_inside_the_time_to_answer(
    after: list[int], before: list[int], most: int, length: timedelta
) -> None:
    """For any policy."""
    policy = Policy(
        reminders_after=tuple(f"{n}h" for n in after),
        reminders_before_deadline=tuple(f"{n}h" for n in before),
        max_reminders=most,
    )
    start = datetime(2026, 3, 2, tzinfo=UTC)
    instants = policy.reminders(start, start + length)
    assert len(instants) <= most
    assert list(instants) == sorted(set(instants))
    assert all(start < instant < start + length for instant in instants)
