"""People: they file, change and announce tickets, and pull levers, whatever fails meanwhile.

Each does what people and ticket systems do about a failure: look whether it was done after all,
and do it again if not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
import psycopg
from standardwebhooks import Webhook
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from tests.chaos.offices import OwnDesk, filed_by_people
from tests.chaos.plan import Begin, Edit, File, Heard, Lever, Says, Step, Story, Told
from tests.chaos.town import Town
from tests.e2e.installation import customer_of
from tests.gateway.panel import SECRET
from transfer import starting
from transfer.adapters.sql.accounts import SqlAccounts
from transfer.adapters.sql.engine import Database
from transfer.commands.announce import announcement
from transfer.errors import Unreachable
from transfer.messages import (
    AdmitTicket,
    Cancel,
    Hold,
    Resume,
    StaffAction,
    StopCode,
    TransferRequest,
)
from transfer.parties import Account, Slot
from transfer.plugin import plugin
from transfer.policy import Policy
from transfer.tickets import Channel, Intent, Ticket, text_to_file

OLD, NEW = Account(id="acme", name="Acme Hosting"), Account(id="globex", name="Globex")
NOT_YET = frozenset({408, 429, 503})
"""What a sender takes for "try again"; 0 is no answer at all."""
LEVER_WITHIN = 180.0
"""Seconds in which a lever that is refused has to be allowed: what it is about may come late."""

T = TypeVar("T")


@dataclass
class Filed:
    """A ticket that somebody filed: what it says now, and when whoever filed it knew of that.

    ``announced`` is whether it was, until the gateway took it.
    """

    ticket: Ticket
    step: File
    says: Says
    known_at: datetime
    announced: bool

    @property
    def is_a_word(self) -> bool:
        """Whether it is a yes or no of whoever may say so."""
        step = self.step
        may_speak = not (step.stranger or step.delegated) and step.channel is Channel.PANEL
        return may_speak and self.says not in (Says.UNCLEAR, Says.ELSE)


@dataclass
class Lived:
    """What was really done for a story."""

    story: Story
    tickets: dict[str, Filed] = field(default_factory=dict)
    levers: list[str] = field(default_factory=list)
    done: bool = False

    def last(self, slot: Slot) -> Filed:
        """The newest ticket of a party that is its own."""
        return [one for one in self.tickets.values() if one.step.slot is slot][-1]


class People:
    """Everybody who is no program of ours."""

    def __init__(self, town: Town, client: Client) -> None:
        self._town = town
        self._client = client
        url = town.database.url(town.database.port)
        self._database = Database(url, timeout=timedelta(seconds=30), at_once=12)
        self._office = town.tracker or OwnDesk(self._database)
        self._accounts = SqlAccounts(self._database)
        self._url = f"http://127.0.0.1:{town.links['desk to gateway'].port}/tickets"
        self._web = httpx.AsyncClient(timeout=25, limits=httpx.Limits(max_keepalive_connections=0))
        self._heard = set[str]()
        self._telling = set[asyncio.Task[None]]()
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        """What they were answered, and nobody should be."""

    async def live(self, stories: tuple[Story, ...], lived: list[Lived], began: float) -> None:
        """Live all stories; ``lived`` takes what is done. Their end is waited for by the caller."""
        listening = asyncio.create_task(self._listen())
        try:
            async with asyncio.TaskGroup() as all_of_them:
                for story in stories:
                    lived.append(Lived(story))
                    all_of_them.create_task(self._live(lived[-1], began))
            while self._telling:
                await asyncio.gather(*self._telling)
        finally:
            listening.cancel()
            for task in self._telling:
                task.cancel()
            await asyncio.gather(listening, *self._telling, return_exceptions=True)

    async def filed(self) -> Sequence[Ticket]:
        """All tickets that there are, whoever filed them."""
        return await filed_by_people(self._office)

    async def close(self) -> None:
        """Let go of everything."""
        await self._web.aclose()
        await self._database.close()

    async def _live(self, lived: Lived, began: float) -> None:
        story = lived.story
        await asyncio.sleep(began + story.at - asyncio.get_running_loop().time())
        match story.begin:
            case Begin.CLIENT:
                await self._begin(story)
            case Begin.COMMAND:
                await self._command(story)
            case Begin.TICKET:
                pass  # the first one that may opens it
        for step in story.steps:
            await asyncio.sleep(step.pause)
            await self._do(lived, step)
        lived.done = True

    async def _do(self, lived: Lived, step: Step) -> None:
        match step:
            case File():
                await self._file(lived, step)
            case Edit():
                await self._edit(lived, step)
            case Heard():
                while not lived.tickets.keys() <= self._heard:  # noqa: ASYNC110 - of a database
                    await asyncio.sleep(0.2)
            case Lever():
                await self._pull(lived, step)

    # -- transfers -----------------------------------------------------------------------------
    async def _begin(self, story: Story) -> None:
        """Start a transfer as the command does, until it is started or was."""
        request = TransferRequest(
            domain=story.domain,
            new_reseller=NEW.id,
            requested_by="chaos",
            policy=Policy.model_validate(story.policy),
        )

        async def begun() -> None:
            facts = await self._accounts.facts(story.domain, NEW.id)
            name, now = f"transfer-{story.domain}", datetime.now(UTC)
            with contextlib.suppress(WorkflowAlreadyStartedError):
                await starting.begin(self._client, request, facts, name, now)

        await self._until_done("start", begun)
        self.did["transfers begun by client"] += 1

    async def _command(self, story: Story) -> None:
        while True:
            words = ("start", story.domain, "--to", NEW.id)
            program = self._town.direct.program(*words)
            code = await asyncio.to_thread(program.ended)
            if code == 0:
                break
            if code != 4:
                self.wrong.append(f"start {story.domain} left with {code}: {program.log}")
                break
            await asyncio.sleep(0.5)
        self.did["transfers begun by command"] += 1

    async def _pull(self, lived: Lived, step: Lever) -> None:
        """Pull a lever until it is answered. The same update id is the same pull."""
        story, message = lived.story, _message(lived, step)
        end = asyncio.get_running_loop().time() + LEVER_WITHIN
        refused = 0

        async def pulled() -> None:
            nonlocal refused
            handle = self._client.get_workflow_handle(f"transfer-{story.domain}")
            while True:
                try:
                    await handle.execute_update(
                        step.name,
                        message,
                        id=f"{step.name}-{refused}",
                        rpc_timeout=timedelta(seconds=8),
                    )
                except RPCError as error:
                    if error.status is not RPCStatusCode.NOT_FOUND:
                        raise
                    self.did["levers whose transfer was over when they were asked about"] += 1
                    return  # how it ended tells whether it was pulled
                except WorkflowUpdateFailedError as refusal:
                    if asyncio.get_running_loop().time() > end:
                        why = f"{type(refusal.cause).__name__}: {refusal.cause}"
                        self.wrong.append(f"{story.domain}: {step.name} was refused: {why}")
                        return
                    refused += 1
                    await asyncio.sleep(0.4)
                else:
                    return

        await self._until_done(step.name, pulled)
        lived.levers.append(step.name)
        self.did[f"lever {step.name}"] += 1

    # -- tickets -------------------------------------------------------------------------------
    async def _file(self, lived: Lived, step: File) -> None:
        story = lived.story
        account, person = _filer(story, step)
        subject, body = _text(story, step)
        about = _domain(story, step)
        since = datetime.now(UTC) - timedelta(minutes=10)

        async def filed() -> Ticket:
            for ticket in await self._office.tickets.about(about, [account], since):
                if ticket.id not in lived.tickets:
                    return ticket  # it was done after all
            return await self._office.file(step, account, person, subject, body)

        ticket = await self._until_done("file", filed)
        announced = step.told is not Told.NEVER and not self._office.announces
        now = datetime.now(UTC)
        lived.tickets[ticket.id] = Filed(ticket, step, step.says, now, announced)
        self.did["tickets filed"] += 1
        self._tell(ticket, step.told)

    async def _edit(self, lived: Lived, step: Edit) -> None:
        one = lived.last(step.slot)
        _, body = _text(lived.story, File(step.slot, step.says))

        async def edited() -> Ticket:
            present = (await self._office.tickets.read([one.ticket.id]))[one.ticket.id]
            return present if present.body == body else await self._office.edit(present.id, body)

        one.ticket = await self._until_done("edit", edited)
        one.says, one.known_at = step.says, datetime.now(UTC)
        self.did["tickets edited"] += 1
        self._tell(one.ticket, step.told)

    def _tell(self, ticket: Ticket, told: Told) -> None:
        """Have the desk announce a ticket beside everything else."""
        if self._office.announces:
            return
        self.did[f"tickets {told}"] += 1
        name = f"desk_{ticket.id}_{ticket.revision}"
        names = {
            Told.ONCE: [name],
            Told.TWICE: [name, name],
            Told.AGAIN: [name, f"{name}_again"],
            Told.NEVER: [],
        }[told]
        answers: dict[str, set[str]] = {}
        for each in names:
            task = asyncio.create_task(self._announce(ticket, each, answers))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _announce(self, ticket: Ticket, name: str, answers: dict[str, set[str]]) -> None:
        """Send until it is answered with 202, as the webhook's contract says."""
        body, pause = json.dumps(announcement(ticket)), 0.3
        while True:
            status, answer = await self._sent(name, body)
            self.did[f"webhooks answered {status or 'by nothing'}"] += 1
            if status == 202:
                break
            if status and status not in NOT_YET:
                self.wrong.append(f"webhook {name} was answered {status}: {answer}")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, 2.5)
        said = answers.setdefault(name, set())
        said.add(answer)
        if len(said) > 1:
            self.wrong.append(f"webhook {name} is one event, and was answered {sorted(said)}")

    async def _sent(self, name: str, body: str) -> tuple[int, str]:
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(name, now, body),
        }
        try:
            answer = await self._web.post(self._url, content=body, headers=headers)
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    # -- how -----------------------------------------------------------------------------------
    async def _until_done(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do it again until neither the database nor Temporal was away."""
        while True:
            try:
                return await work()
            except (
                Unreachable,
                RPCError,
                WorkflowUpdateRPCTimeoutOrCancelledError,
                RuntimeError,
            ) as error:
                if isinstance(error, RPCError) and error.status in _WRONG:
                    raise AssertionError(f"{what}: {error}") from error
                self.did[f"tries in vain to {what}"] += 1
                await asyncio.sleep(0.4)

    async def _listen(self) -> None:
        """Keep up with which tickets are in the evidence."""
        while True:
            with contextlib.suppress(psycopg.Error):
                found = await self._town.database.rows(
                    "SELECT DISTINCT ticket_id FROM evidence WHERE ticket_id IS NOT NULL"
                )
                self._heard.update(row["ticket_id"] for row in found)
            await asyncio.sleep(0.3)


_WRONG = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.PERMISSION_DENIED)


async def connected(address: str) -> Client:
    """A client of Temporal, as staff and commands have one."""
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    return await Client.connect(address, plugins=[plugin()], runtime=quiet)


def administrators(domains: Iterable[str]) -> dict[str, str]:
    """The administrator of each customer, by its domain."""
    return {domain: f"carl-{domain.partition('.')[0]}" for domain in domains}


def _filer(story: Story, step: File) -> tuple[str, str]:
    """The account and the person of a step."""
    carl, customer = administrators([story.domain])[story.domain], customer_of(story.domain)
    account, person = {
        Slot.RELEASE: (OLD.id, "ann"),
        Slot.AUTHORIZE: (customer, carl),
        Slot.ACCEPT: (NEW.id, "gina"),
    }[step.slot]
    return account, f"mallory-{account}" if step.stranger else person


def _domain(story: Story, step: File) -> str:
    other = story.domain.replace("chaos", "elsewhere")
    return other if step.says is Says.ELSE else story.domain


def _text(story: Story, step: File) -> tuple[str, str]:
    """Subject and body of what a step says."""
    intent = {Says.NO: Intent.REFUSE, Says.BACK: Intent.WITHDRAW}.get(
        step.says, Intent(step.slot.value)
    )
    subject, body = text_to_file(intent, _domain(story, step), OLD, NEW)
    if step.says is Says.UNCLEAR:
        body = body.replace(".\nThank you", ", unless it costs more.\nThank you")
    return subject, body


def _message(lived: Lived, step: Lever) -> StaffAction:
    match step.name, step.slot:
        case "hold", _:
            return Hold(staff="sam", reason="two owners claim it", code=StopCode.OTHER)
        case "resume", _:
            return Resume(staff="sam", reason="the owner is known")
        case "cancel", _:
            return Cancel(staff="sam", reason="the customer called", code=StopCode.OTHER)
        case "admit_ticket", Slot() as slot:
            ticket = lived.last(slot).ticket.id
            what = Intent(slot.value)
            return AdmitTicket(staff="sam", reason="clear enough", ticket_id=ticket, what=what)
        case _:
            raise AssertionError(f"nobody pulls {step.name}")
