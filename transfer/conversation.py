"""Conversations: what a ticket says now, where its filer may go on writing on it.

What its filer says is one ticket. The newest word that is more than a courtesy is what it says;
a courtesy ("Thanks!") changes nothing at all. What anybody else writes on it is no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from transfer.reading import is_courtesy
from transfer.tickets import Channel
from transfer.values import Instant, Value


class Said(Value):
    """Something the filer said. ``number`` grows from each event of a ticket to the next."""

    number: int
    at: Instant
    text: str
    channel: Channel


class Altered(Value):
    """Another change that counts: the filer changed the subject, or somebody closed the ticket."""

    number: int
    at: Instant
    closes: bool = False


class Conversation(Value):
    """What a ticket says now, how that was sent, since when, and which revision that is.

    ``closed`` is set where it was closed after its filer said this. It then stays closed, though
    the ticket system opens it again at any reply, a forged one by mail among them: whoever still
    means what a closed ticket says has to say so again.
    """

    body: str
    channel: Channel
    updated_at: Instant
    revision: int
    closed: bool = False


def folded(
    said: Sequence[Said],
    altered: Sequence[Altered] = (),
    *,
    filer: str = "",
    complete: bool = True,
) -> Conversation | None:
    """Fold what a filer said, oldest first, to what the ticket says now.

    ``filer`` is the name with which the filer may sign a courtesy. Where the beginning was not
    read, it is not ``complete``: if nothing but courtesies was read then, the newest of them is
    what the ticket says, which is nothing that counts, since what came before is not known.

    Returns:
        ``None`` where the filer said nothing that was read.
    """
    if not said:
        return None
    words = [one for one in said if not is_courtesy(one.text, filer)]
    word = words[-1] if words else said[0] if complete else said[-1]
    subjects = [one for one in altered if not one.closes]
    return Conversation(
        body=word.text,
        channel=word.channel,
        updated_at=max((word.at, *(one.at for one in subjects))),
        revision=max((word.number, *(one.number for one in altered))),
        closed=any(one.closes and one.number > word.number for one in altered),
    )
