"""The demo's story: one transfer that goes well, and one whose old reseller is silent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.testing import TimeSkipper

from transfer.case import State
from transfer.commands.console import out, say, table
from transfer.commands.context import Handle, database, handle, temporal
from transfer.commands.demo.stack import Stack
from transfer.commands.transfers import shown, status_of
from transfer.errors import TransferError
from transfer.messages import DeliveryState
from transfer.parties import Assignment, Slot
from transfer.views import Status

GOOD, SILENT = "example.com", "bücher.example"
PATIENCE_SECONDS = 30.0

T = TypeVar("T")


async def tell(stack: Stack) -> None:
    """Tell the story, showing progress, and sum it up in tables.

    Raises:
        TransferError: the story took another turn than it must.
    """
    before = await _billing()
    client = await temporal()
    await _the_good_one(stack, client)
    await _the_silent_one(stack, client)
    await _all_told()
    await _sum_up(stack, before)


async def _the_good_one(stack: Stack, client: Client) -> None:
    _heading(stack, f"{GOOD} wants to move from Acme Hosting to Globex")
    stack.starter("start", GOOD, "--to", "globex", "--from", "acme", "--by", "olga")
    transfer = await handle(client, GOOD)

    _heading(stack, "The customer files its ticket, with a wrong domain, and is told the fix")
    wrong = _filed(
        stack, "C-1001", "carl",
        *("--subject", "Authorize transfer of account"),
        *("--body", "We, exampel.com, authorize the transfer of our account from Acme to Globex."),
    )  # fmt: skip
    await _until(transfer, _is_rejected, "rejecting the ticket")
    await _replied(stack, wrong)
    _filed(stack, "C-1001", "carl", "--for", "authorize", GOOD, "--to", "globex")

    _heading(stack, "The two resellers file theirs")
    _filed(stack, "acme", "ann", "--for", "release", GOOD, "--to", "globex")
    _filed(stack, "globex", "gina", "--for", "accept", GOOD, "--to", "globex")
    await _until(transfer, lambda status: status.state is State.READY, "READY")
    stack.starter("show", GOOD)

    _heading(stack, "24 hours of grace pass, fast-forwarded on the server; then billing moves")
    await TimeSkipper(client).fast_forward(transfer, timedelta(hours=24, minutes=1))
    await _until(transfer, lambda status: status.state is State.COMPLETED, "COMPLETED")
    stack.starter("accounts", "show", GOOD)


async def _the_silent_one(stack: Stack, client: Client) -> None:
    _heading(stack, f"{SILENT} wants to move, too: its ticket opens the transfer by itself")
    _filed(stack, "C-1002", "berta", "--for", "authorize", SILENT, "--to", "globex")
    transfer = await handle(client, SILENT)

    _heading(stack, "Acme Hosting does not answer; five business days pass, a day at a time")
    status = await status_of(transfer)
    for day in range(1, 9):
        if status.state is State.MEDIATION:
            break
        await TimeSkipper(client).fast_forward(transfer, timedelta(days=1))
        status = await status_of(transfer)
        following = status.next_deadline.what if status.next_deadline else ""
        say(f"  day {day}: {status.state.value}; next: {following}")
    await _until(transfer, lambda status: status.state is State.MEDIATION, "in mediation")
    stack.starter("staff", "take", SILENT, "--by", "sam")


async def _sum_up(stack: Stack, before: dict[str, tuple[Assignment, ...]]) -> None:
    _heading(stack, "What happened")
    for domain in (GOOD, SILENT):
        rows: list[dict[str, Any]] = json.loads(
            stack.starter("evidence", domain, "--json", quiet=True)
        )
        table(
            domain,
            ("At (UTC)", "What", "Who", "Ticket", "Detail"),
            (
                (
                    row["at"][:16].replace("T", " "),
                    f"{row['code']} {row['slot'] or ''}",
                    row["who"],
                    row["ticket_id"],
                    row["detail"][:70],
                )
                for row in rows
            ),
        )
    table(
        "Who was told, by mail",
        ("To", "Subject"),
        ((mail["To"], mail["Subject"]) for mail in stack.mails()),
    )
    after = await _billing()
    table(
        "Billing before and after",
        ("Customer", "", "Reseller", "From (UTC)", "To (UTC), not included"),
        (
            (domain, when, a.reseller, shown(a.starts_at), shown(a.ends_at) or "open")
            for domain in (GOOD, SILENT)
            for when, billing in (("before", before), ("after", after))
            for a in billing[domain]
        ),
    )
    moved = [assignment.reseller for assignment in after[GOOD]]
    if moved != ["acme", "globex"] or after[SILENT] != before[SILENT]:
        raise TransferError(f"Billing is not as the story wants it: {moved}")
    say(f"Temporal UI: {stack.ui}/namespaces/default/workflows")
    say(f"Done in {time.monotonic() - stack.started:.0f} s.")


def _heading(stack: Stack, text: str) -> None:
    out.print(f"\n[bold]{time.monotonic() - stack.started:5.1f} s  {text}[/bold]", soft_wrap=True)


def _filed(stack: Stack, account: str, person: str, *rest: str) -> str:
    """File a ticket at the desk, and announce it to the gateway by a signed webhook."""
    ticket = stack.starter("desk", "file", "--account", account, "--by", person, *rest).strip()
    stack.starter("desk", "announce", ticket)
    return ticket


def _is_rejected(status: Status) -> bool:
    slot = status.slots.get(Slot.AUTHORIZE)  # none before the preflight is over
    return slot is not None and bool(slot.rejected)


async def _replied(stack: Stack, ticket: str) -> None:
    """Wait for the reply on a ticket, and show it."""

    async def replied() -> bool:
        async with database() as opened:
            return bool(await opened.desk.replies(ticket))

    await _polled(replied, f"nobody replied on ticket {ticket}")
    stack.starter("desk", "show", ticket)


async def _billing() -> dict[str, tuple[Assignment, ...]]:
    async with database() as opened:
        found: dict[str, tuple[Assignment, ...]] = {}
        for domain in (GOOD, SILENT):
            facts = await opened.accounts.facts(domain, "globex")
            customer = facts.customer.id if facts.customer else ""
            found[domain] = await opened.accounts.assignments(customer)
        return found


async def _until(transfer: Handle, reached: Callable[[Status], bool], what: str) -> None:
    async def look() -> bool:
        return reached(await status_of(transfer))

    await _polled(look, f"{transfer.id} is not {what}")


async def _all_told() -> None:
    """Wait until every mail of both transfers has arrived in the sink."""

    async def delivered() -> bool:
        async with database() as opened:
            client = await temporal()
            pending = 0
            for domain in (GOOD, SILENT):
                status = await status_of(await handle(client, domain))
                deliveries = await opened.ledger.deliveries(status.key)
                pending += sum(d.state is not DeliveryState.SENT for d in deliveries)
        return not pending

    await _polled(delivered, "not every notice has arrived")


async def _polled(look: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := await look():
            return found
        await asyncio.sleep(0.2)
    raise TransferError(f"{otherwise} after {PATIENCE_SECONDS:.0f} s.")
