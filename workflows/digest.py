"""The daily digest to staff, on a schedule."""

from __future__ import annotations

from temporalio import workflow

from activities.digest import DigestActivities
from transfer.overview import DigestSent, DigestWanted
from transfer.temporal import DIGEST_WINDOW, do


@workflow.defn(name="StaffDigest")
class StaffDigest:
    """Tell staff once a day which open transfers need them."""

    @workflow.run
    async def run(self, wanted: DigestWanted) -> DigestSent:
        """Look, and tell. The day is that of its beginning, however late a neighbour is back."""
        at = wanted.at or workflow.now()
        return await do(
            DigestActivities.send_digest,
            wanted.model_copy(update={"at": at}),
            summary="Look through the open transfers, and mail staff what needs them",
            within=DIGEST_WINDOW,
        )
