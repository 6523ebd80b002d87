"""The daily digest to staff."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import activity

from transfer.overview import DigestSent, DigestWanted, Need, digest_of
from transfer.ports import DigestComposer, Ledger, Overview

SOON = timedelta(days=1)
"""How far ahead a digest looks."""
AT_MOST = 200
"""Transfers that are looked up for each need."""


class DigestActivities:
    """Looks through the open transfers, and puts a mail about them into the outbox."""

    def __init__(
        self,
        overview: Overview,
        ledger: Ledger,
        *,
        compose: DigestComposer,
        wake_postman: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._overview = overview
        self._ledger = ledger
        self._compose = compose
        self._wake_postman = wake_postman
        self._clock = clock

    @activity.defn(name="send_digest")
    async def send_digest(self, wanted: DigestWanted) -> DigestSent:
        """Tell staff what needs them; nothing where nothing does. Twice a day is the same as once.

        Raises:
            Unreachable: Temporal's list or the database is away.
        """
        at = wanted.at or self._clock()
        found = [
            await self._overview.open_transfers(need, due_before=at + SOON, limit=AT_MOST)
            for need in Need
        ]
        digest = digest_of(tuple(found), at, wanted.time_zone)
        mails = self._compose(digest)
        if mails:
            await self._ledger.publish((), mails)
            self._wake_postman()
        named = {one.need: len(one.transfers) for one in digest.needing}
        return DigestSent(day=digest.day, named=named, mails=len(mails))
