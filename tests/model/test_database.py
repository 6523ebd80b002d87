"""What random histories leave in a real database, though workers crash between any two writes.

A history is played, and what came of it is published into SQLite as the workflow publishes it; but
a publication may be written twice, undone half way, come late, or have been decided otherwise by a
workflow task that was lost (docs/adr/0032), and billing may move more than once, or be told of
failure after it moved. Whatever happens: no evidence is lost, no notice goes out twice, the parties
track the newest case, and billing moves once (11) and overwrites nothing (12).
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from activities.accounts import AccountActivities
from activities.notices import NoticeActivities
from tests.core.acts import Act, Step, World
from tests.core.builders import ACME, CHARGES, EXAMPLE, GLOBEX, MONDAY
from tests.core.histories import ALL_AGREE, GRACES, HISTORIES, play
from transfer import levers, notices
from transfer.accounts_file import AccountsFile
from transfer.adapters.memory import MemoryAccounts, MemoryDesk, MemoryMailer, MemoryMeter
from transfer.adapters.sql import ledger
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.ledger import SqlLedger
from transfer.adapters.sql.setup import upgrade
from transfer.adapters.sql.tracking import SqlTracking
from transfer.case import Case, Publication
from transfer.commit import Commit
from transfer.errors import BillingConflict, MailRefused, RuleBroken, Unreachable
from transfer.messages import BillingOrder, DeliveryState, Hold, Mail
from transfer.parties import Party
from transfer.postman import Postman

TAKEN = ACME.model_copy(update={"id": "initech", "name": "Initech", "aliases": ()})
CRASHES = st.lists(
    st.sampled_from(
        [
            *("written once", "written twice", "undone half way", "written with the next"),
            *("an older one comes late", "decided otherwise before"),
        ]
    ),
    min_size=1,
    max_size=12,
)
MOVES = st.sampled_from(
    [
        *("once", "twice", "by two workers at the same time", "told to have failed"),
        *("undone half way", "while another has it"),
    ]
)


FATES = st.lists(st.sampled_from(["arrives", "away", "refused"]), min_size=1, max_size=6)


class Crash(Exception):
    """The worker is gone."""


@pytest.fixture(scope="module")
def template() -> Generator[Path]:
    """A database with the schema and the three accounts, to be copied."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        url = f"sqlite:///{path}"
        asyncio.run(_fill(url))
        yield path


async def _fill(url: str) -> None:
    await upgrade(url)
    database = Database(url)
    file = AccountsFile(resellers=(ACME, GLOBEX, TAKEN), customers=(EXAMPLE,))
    await SqlAccounts(database, clock=lambda: MONDAY).load(file)
    await database.close()


@settings(max_examples=30)
@given(
    st.tuples(HISTORIES, st.lists(st.one_of(ALL_AGREE, GRACES), max_size=2)),
    CRASHES,
    MOVES,
    FATES,
)
def test_what_happened_is_in_the_database_once_whatever_crashes(
    template: Path,
    acts: tuple[list[Act], list[Act]],
    crashes: list[str],
    move: str,
    fates: list[str],
) -> None:
    world = play([*acts[1], *acts[0]])
    note(f"publications are {crashes}, in turn; billing is moved {move}; a notice is {fates}")
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{shutil.copy(template, folder)}"
        asyncio.run(_publish(world, url, crashes, move, fates))


async def _publish(world: World, url: str, crashes: list[str], move: str, fates: list[str]) -> None:
    database, another = Database(url), Database(url)
    desk = Desk(database)
    office = Office(world, desk, Desk(another), crashes, move, Post(desk.ledger, fates))
    try:
        for step in world.steps:
            await office.follow(step)
            await office.post.round(step.now)
        await office.check()
    finally:
        await database.close()
        await another.close()


class Desk:
    """One worker's adapters and activities."""

    def __init__(self, database: Database) -> None:
        self.accounts = SqlAccounts(database, clock=lambda: MONDAY)
        self.ledger = SqlLedger(database)
        self.tracking = SqlTracking(database)
        self.notices = NoticeActivities(
            self.accounts,
            self.ledger,
            compose=compose,
            wake_postman=lambda: None,
            meter=MemoryMeter(),
        )
        self.moves = AccountActivities(self.accounts, self.notices)


compose = partial(notices.deliveries, staff=["staff@host.example"], mail_domain="host.example")


class Post:
    """A postman, with a mail server and a ticket system that fail in turn."""

    def __init__(self, ledger: SqlLedger, fates: list[str]) -> None:
        self.now = MONDAY
        self.arrived = Counter[str]()
        self._fates = cycle(fates)
        self._postman = Postman(
            ledger,
            MailServer(self.meet),
            TicketSystem(self.meet),
            clock=lambda: self.now,
            poll_every=timedelta(hours=1),
            meter=MemoryMeter(),
        )

    def meet(self, notice: str) -> None:
        """What becomes of a notice that is handed over."""
        fate = next(self._fates)
        if fate == "away":
            raise Unreachable("Nobody answers.")
        if fate == "refused":
            raise MailRefused("No such mailbox.")
        self.arrived[notice] += 1

    async def round(self, now: datetime) -> None:
        """Try what is due."""
        self.now = now
        await self._postman.deliver_due()

    async def rest_arrives(self) -> None:
        """Everybody is back; a day later all that is due is tried, in a few rounds."""
        self._fates = cycle(["arrives"])
        self.now += timedelta(days=1)
        for _ in range(50):
            if not await self._postman.deliver_due():
                return
        raise AssertionError("there is always something to deliver")


class MailServer(MemoryMailer):
    """One whose mails meet a fate."""

    def __init__(self, meet: Callable[[str], None]) -> None:
        super().__init__()
        self._meet = meet

    async def send(self, mail: Mail) -> None:
        """Take a mail, or not."""
        self._meet(mail.message_id.partition("@")[0].removeprefix("<"))


class TicketSystem(MemoryDesk):
    """One whose replies meet a fate."""

    def __init__(self, meet: Callable[[str], None]) -> None:
        super().__init__(MemoryAccounts(), clock=lambda: MONDAY)
        self._meet = meet

    async def reply(self, ticket_id: str, key: str, text: str) -> None:
        """Take a reply, or not."""
        self._meet(key)


@dataclass
class Office:
    """Publishes a history, with crashes; and remembers what must be there."""

    world: World
    desk: Desk
    another: Desk
    crashes: list[str]
    move: str
    post: Post
    told: int = 0
    written: list[Publication] = field(default_factory=list)
    newest: Case | None = None
    moved: BillingOrder | None = None
    refused: bool = False

    async def follow(self, step: Step) -> None:
        """Write down what a step has changed."""
        if step.after.committing_since is not None and step.order is None:
            return  # told with how the commit ends
        if step.order is not None:
            await self._commit(step, step.order)
            return
        publication = self._publication(step.after)
        if not publication.events:
            return
        crash = self.crashes[len(self.written) % len(self.crashes)]
        if crash == "written with the next":
            self.crashes[len(self.written) % len(self.crashes)] = "written once"
            return
        if crash == "decided otherwise before":
            await self._decide_otherwise(step)
        if crash == "undone half way":
            await self._crash_in(self.desk.notices.publish(publication))
        await self._write(publication)
        if crash == "written twice":
            await self.post.round(step.now)  # the postman is quick: what it has sent stays sent
            await self.another.notices.publish(publication)
        if crash == "an older one comes late":
            await self.another.notices.publish(self.written[len(self.written) // 2])

    def _publication(self, case: Case) -> Publication:
        events = tuple(event for event in case.evidence if event.seq > self.told)
        return Publication(case=case.having(evidence=()), events=events)

    async def _write(self, publication: Publication) -> None:
        await self.desk.notices.publish(publication)
        self._know(publication)

    def _know(self, publication: Publication) -> None:
        self.written.append(publication)
        self.told, self.newest = publication.events[-1].seq, publication.case

    async def _decide_otherwise(self, step: Step) -> None:
        """A workflow task that was lost had seen a lever first, a second before."""
        earlier = step.now - timedelta(seconds=1)
        action = Hold.model_validate({"staff": "sam", "reason": "wait"})
        try:
            lost = levers.hold(step.before, action, earlier)
        except RuleBroken:
            return
        publication = self._publication(lost)
        await self.another.notices.publish(publication)
        self.written.append(publication)
        if self.newest is None:
            self.newest = publication.case

    async def _crash_in(self, writing: object) -> None:
        """The connection is gone after the evidence and before the notices."""
        with mock.patch.object(ledger, "put_out", side_effect=Crash), pytest.raises(Crash):
            await writing  # type: ignore[misc]

    # -- billing --------------------------------------------------------------------------------
    async def _commit(self, step: Step, order: BillingOrder) -> None:
        publication = self._publication(step.after)
        asked = Commit(order=order, tell=publication)
        await self._record_price(step)
        if step.cause == "commit fails":
            if self.move == "told to have failed":
                await self.desk.accounts.move_billing(order)
                self.moved = order
            if publication.events:
                await self._write(publication)
            return
        if self.move == "while another has it" and self.moved is None:
            await self._refuse(order)
            return
        if self.move == "undone half way":
            await self._crash_in(self.desk.moves.move_billing(asked))
        if self.move == "by two workers at the same time":
            both = (desk.moves.move_billing(asked) for desk in (self.desk, self.another))
            await asyncio.gather(*both)
        for _ in range(2 if self.move == "twice" else 1):
            await self.desk.moves.move_billing(asked)
        self._know(publication)
        self.moved = order

    async def _refuse(self, order: BillingOrder) -> None:
        """Somebody else moved it first: nothing is overwritten, and nobody is told of a move."""
        other = order.model_copy(
            update={"key": "another", "new": TAKEN.id, "at": order.at - timedelta(minutes=1)}
        )
        await self.desk.accounts.move_billing(other)
        before = await self.desk.accounts.assignments(order.customer)
        asked = Commit(order=order, tell=self._publication(self.world.case))
        for desk in (self.desk, self.another):
            with pytest.raises(BillingConflict):
                await desk.moves.move_billing(asked)
        assert await self.desk.accounts.assignments(order.customer) == before
        self.refused = True

    async def _record_price(self, step: Step) -> None:
        assert step.known is not None
        assert step.known.customer is not None
        charges = step.known.customer.charges
        if charges != CHARGES and self.moved is None:
            now = EXAMPLE.model_copy(update={"charges": charges})
            await self.desk.accounts.load(AccountsFile(customers=(now,)))

    # -- what must be there ---------------------------------------------------------------------
    async def check(self) -> None:
        """Everything that was written, once; and nothing else."""
        key = self.world.case.key
        await self._check_evidence(key)
        await self._check_notices(key)
        tracked = (await self.desk.tracking.tracked(key, Party.CUSTOMER)).case
        assert tracked == self.newest
        await self._check_billing()

    async def _check_evidence(self, key: str) -> None:
        rows = await self.desk.ledger.evidence(key)
        happened = {(e.seq, e.mark, e.code, e.at) for p in self.written for e in p.events}
        assert Counter((r.seq, r.mark, r.code, r.at) for r in rows) == Counter(happened)
        if not self.refused:
            lived = {(e.seq, e.mark) for e in self.world.case.evidence if e.seq <= self.told}
            assert lived <= {(r.seq, r.mark) for r in rows}

    async def _check_notices(self, key: str) -> None:
        found = await self.desk.ledger.deliveries(key)
        accounts = {party: self.world.case.account(party).id for party in Party}
        known = await self.desk.accounts.administrators(accounts.values())
        people = {party: known[account] for party, account in accounts.items()}
        due = {one.id for publication in self.written for one in compose(publication, people)}
        assert Counter(one.id for one in found) == Counter(due)
        assert all(one.last_error for one in found if one.attempts and one.sent_at is None)
        await self.post.rest_arrives()
        ended = {one.id: one for one in await self.desk.ledger.deliveries(key)}
        sent = {name for name, one in ended.items() if one.state is DeliveryState.SENT}
        assert self.post.arrived == Counter(sent)
        assert all(ended[name].state is DeliveryState.FAILED for name in ended.keys() - sent)

    async def _check_billing(self) -> None:
        billed = await self.desk.accounts.assignments(EXAMPLE.id)
        for before, after in pairwise(billed):
            assert before.ends_at == after.starts_at
        assert billed[-1].ends_at is None
        mine = [one for one in billed if one.transfer == self.world.case.key]
        order = self.moved
        if order is None:
            assert not mine
            return
        assert [(m.reseller, m.starts_at, m.charges) for m in mine] == [
            (order.new, order.at, order.charges)
        ]
        facts = await self.desk.accounts.facts("example.com", "globex")
        assert facts.customer is not None
        assert (facts.customer.reseller, facts.customer.locked_until) == (
            "globex",
            order.lock_until,
        )
        ended, begun = await self.desk.accounts.panel(EXAMPLE.id)
        assert (ended.reseller, ended.until, begun.reseller) == ("acme", order.at, "globex")
