"""Recording what happened, and telling those whom it concerns."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import activity

from transfer import measures
from transfer.case import Publication
from transfer.messages import EvidenceRow
from transfer.parties import Party
from transfer.ports import Accounts, Composer, Ledger, Meter


class NoticeActivities:
    """Puts evidence and notices into our own database; the postman takes the notices from there.

    So a mail server that is away delays mails, and nothing else.
    """

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        *,
        compose: Composer,
        wake_postman: Callable[[], None],
        meter: Meter,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._compose = compose
        self._wake_postman = wake_postman
        self._meter = meter

    @activity.defn(name="publish")
    async def publish(self, publication: Publication) -> None:
        """Keep the evidence and queue a notice for every reader. Twice is the same as once.

        Raises:
            Unreachable: the database is away.
        """
        case = publication.case
        accounts = {party: account for party in Party if (account := case.account(party).id)}
        people = await self._accounts.administrators(accounts.values())
        administrators = {party: people[account] for party, account in accounts.items()}
        deliveries = self._compose(publication, administrators)
        rows = [
            EvidenceRow(
                key=case.key,
                transfer_id=case.transfer_id,
                seq=event.seq,
                at=event.at,
                who=event.who,
                code=event.code,
                detail=event.detail,
                ticket_id=event.ticket_id,
                slot=event.slot,
                mark=event.mark,
            )
            for event in publication.events
        ]
        await self._ledger.publish(rows, deliveries, publication)
        self._meter.record(measures.told(publication))
        if deliveries:
            self._wake_postman()
