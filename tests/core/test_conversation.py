"""Conversations: what a ticket says now, where its filer goes on writing on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.conversation import Altered, Said, folded
from transfer.reading import is_courtesy
from transfer.tickets import MAX_BODY, Channel

FILED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
YES = "We, example.com, authorize the transfer of our account from Acme to Globex."
NO = "We withdraw our authorization to transfer example.com from Acme to Globex."


def at(number: int) -> datetime:
    """Minute by minute."""
    return FILED + timedelta(minutes=number)


def said(number: int, text: str, channel: Channel = Channel.PANEL) -> Said:
    """Said in the minute of its number."""
    return Said(number=number, at=at(number), text=text, channel=channel)


def altered(number: int, *, closes: bool = False) -> Altered:
    """Changed in the minute of its number."""
    return Altered(number=number, at=at(number), closes=closes)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks!",
        "Thank you very much for your help.\n\nBest regards\nCarl Customer",
        "Hi Sam,\n\nmany thanks!\nCarl",
        "<p>Thank you</p>",
        "Have a nice weekend!",
        "Please confirm the receipt.",
    ],
)
def test_thanks_and_greetings_are_courtesies(text: str) -> None:
    """They take nothing back, and say nothing new."""
    assert is_courtesy(text, "Carl Customer")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        YES,
        NO,
        "Thanks, but no.",
        "Thanks for nothing",
        "Stop.",
        "Please wait.",
        "Danke!",
        "Thanks\u202e",
        "Thanks, Mallory Rival",
        '<p style="display:none">no</p>Thanks',
        "> do you agree?\n\nThanks",
        "Thanks " * MAX_BODY,
    ],
)
def test_what_may_mean_anything_else_is_none(text: str) -> None:
    """What is not known to be harmless is a word, and counts; so does an empty text."""
    assert not is_courtesy(text, "Carl Customer")


def test_a_ticket_says_what_its_filer_filed() -> None:
    """One text: its own instant and number."""
    found = folded([said(7, YES)])
    assert found is not None
    assert (found.body, found.channel, found.updated_at, found.revision, found.closed) == (
        YES,
        Channel.PANEL,
        at(7),
        7,
        False,
    )


def test_nothing_said_is_nothing() -> None:
    """As where a ticket was split off another."""
    assert folded([]) is None
    assert folded([], [altered(3, closes=True)]) is None


def test_the_newest_word_counts_and_the_older_ones_do_not() -> None:
    """A yes that is followed by anything else is that, whatever it was."""
    found = folded([said(1, YES), said(2, "Sorry, that was a mistake.")])
    assert found is not None
    assert (found.body, found.updated_at, found.revision) == (
        "Sorry, that was a mistake.",
        at(2),
        2,
    )


def test_a_courtesy_changes_nothing_at_all() -> None:
    """Neither text, time, revision nor channel."""
    before = folded([said(1, YES)])
    assert folded([said(1, YES), said(2, "Thanks!")]) == before
    assert folded([said(1, YES), said(2, "Thank you", Channel.MAIL)]) == before


def test_where_all_is_courtesy_the_first_text_is_the_ticket() -> None:
    """A ticket that says "Thanks!" alone says just that."""
    found = folded([said(1, "Hello"), said(2, "Thanks")])
    assert found is not None
    assert (found.body, found.revision) == ("Hello", 1)


def test_what_was_not_read_is_never_guessed() -> None:
    """Courtesies alone, and before them what is not known: the newest one, which says nothing."""
    found = folded([said(8, "Hello"), said(9, "Thanks")], complete=False)
    assert found is not None
    assert (found.body, found.revision) == ("Thanks", 9)


def test_a_word_by_mail_makes_the_whole_ticket_one_by_mail() -> None:
    """A forged one authorizes nothing, and a real one has its party asked again."""
    found = folded([said(1, YES), said(2, NO, Channel.MAIL)])
    assert found is not None
    assert (found.body, found.channel) == (NO, Channel.MAIL)
    found = folded([said(1, "?", Channel.MAIL), said(2, YES)])
    assert found is not None
    assert found.channel is Channel.PANEL


def test_a_new_subject_is_a_newer_word_of_the_filer() -> None:
    """The subject is read, too."""
    found = folded([said(1, YES)], [altered(3)])
    assert found is not None
    assert (found.body, found.updated_at, found.revision, found.closed) == (YES, at(3), 3, False)


def test_a_closed_ticket_is_a_new_revision_but_no_newer_word() -> None:
    """Staff who close a ticket must not make an old yes newer than a no elsewhere."""
    found = folded([said(1, YES)], [altered(3, closes=True)])
    assert found is not None
    assert (found.updated_at, found.revision, found.closed) == (at(1), 3, True)


def test_a_closed_ticket_opens_by_a_new_word_alone() -> None:
    """Not by a courtesy, with which any mail could open it."""
    closing = [altered(3, closes=True)]
    thanked = folded([said(1, YES), said(4, "Thanks")], closing)
    assert thanked is not None
    assert (thanked.closed, thanked.body) == (True, YES)
    said_again = folded([said(1, YES), said(4, YES)], closing)
    assert said_again is not None
    assert (said_again.closed, said_again.revision) == (False, 4)


_TEXTS = st.sampled_from([YES, NO, "Thanks!", "Hello", "", "Wait", "Best regards\nCarl"])
_CHANNELS = st.sampled_from(list(Channel))


@given(st.lists(st.tuples(_TEXTS, _CHANNELS), min_size=1, max_size=8), st.integers(1, 8))
def test_reading_the_newest_texts_alone_never_finds_another_yes(
    texts: list[tuple[str, Channel]], read: int
) -> None:
    """What is found with a part of the conversation is what all of it says, or no word at all."""
    all_said = [said(n, text, channel) for n, (text, channel) in enumerate(texts, start=1)]
    newest = all_said[-read:]
    whole = folded(all_said)
    part = folded(newest, complete=len(newest) == len(all_said))
    assert whole is not None
    assert part is not None
    assert part == whole or is_courtesy(part.body)


@given(st.lists(st.tuples(_TEXTS, _CHANNELS), min_size=1, max_size=8), _TEXTS, _CHANNELS)
def test_time_and_revision_never_go_back(
    texts: list[tuple[str, Channel]], text: str, channel: Channel
) -> None:
    """Whatever is said next."""
    before = [said(n, one, how) for n, (one, how) in enumerate(texts, start=1)]
    after = [*before, said(len(before) + 1, text, channel)]
    old, new = folded(before), folded(after)
    assert old is not None
    assert new is not None
    assert (new.updated_at, new.revision) >= (old.updated_at, old.revision)
