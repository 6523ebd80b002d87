"""Moving billing: the one effect that everything else is there to protect."""

from __future__ import annotations

from temporalio import activity

from activities.notices import NoticeActivities
from transfer.commit import Commit
from transfer.ports import Accounts


class AccountActivities:
    """Moves billing, and tells nobody before it is read back."""

    def __init__(self, accounts: Accounts, notices: NoticeActivities) -> None:
        self._accounts = accounts
        self._notices = notices

    @activity.defn(name="move_billing")
    async def move_billing(self, commit: Commit) -> None:
        """Move billing once, however often this runs; then publish that it moved.

        Raises:
            BillingConflict: another reseller is on record. Nothing was changed; staff must look.
            Unreachable: the database is away.
        """
        await self._accounts.move_billing(commit.order)
        await self._notices.publish(commit.tell)
