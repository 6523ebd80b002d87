"""What is said on staff's channels: what cannot wait, and nothing that a stranger wrote."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.stories import CHANGES, refused_by_old, started
from transfer.alerts import TOLD, alerts
from transfer.case import Case, Publication
from transfer.messages import Delivery

CHANNELS = ("slack-1", "pover-2")


def _alerts(before: Case, after: Case) -> tuple[Delivery, ...]:
    seen = {event.seq for event in before.evidence}
    events = tuple(event for event in after.evidence if event.seq not in seen)
    return alerts(Publication(case=after, events=events), CHANNELS)


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_wait_is_told_on_every_channel_and_nothing_else_is(name: str) -> None:
    before, after = CHANGES[name]()
    told = _alerts(before, after)
    seen = {event.seq for event in before.evidence}
    codes = {event.code for event in after.evidence if event.seq not in seen}
    wanted = codes & set(TOLD) and not after.is_terminal
    assert [one.channel for one in told] == (list(CHANNELS) if wanted else [])
    assert told == _alerts(before, after), "the same again has the same ids"
    for one in told:
        assert (one.mail, one.ticket_id) == (None, None)
        title, _, text = one.reply.partition("\n\n")
        assert title.startswith("example.com: ")
        assert f"transfer show {after.domain}" in text
    assert len({one.id for one in told}) == len(told)


def _second_level() -> tuple[Case, Case]:
    return CHANGES["SECOND_LEVEL"]()


def _stuck() -> tuple[Case, Case]:
    return CHANGES["COMMIT_STUCK"]()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_second_level, ["second-level staff, please take over", "Second level:", "now"]),
        (_stuck, ["billing could not be moved", "COMMIT_STUCK"]),
    ],
)
def test_it_says_what_is_wanted(change: Callable[[], tuple[Case, Case]], said: list[str]) -> None:
    one = _alerts(*change())[0]
    assert all(words in one.reply for words in said), one.reply


def test_no_words_of_a_stranger_are_in_it() -> None:
    """A chat may read @everyone, a link or a picture into them; the code says enough."""
    told = _alerts(started(), refused_by_old("Reason: OTHER @everyone look at http://evil.example"))
    assert told
    assert all("OTHER" in one.reply for one in told)
    assert not any("evil" in one.reply or "@" in one.reply for one in told)
