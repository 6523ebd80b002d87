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
from transfer.commands.console import Exit, out, say, table
from transfer.commands.context import Handle, database, handle, temporal
from transfer.commands.demo.stack import Stack
from transfer.commands.transfers import shown, status_of
from transfer.errors import TransferError
from transfer.messages import DeliveryState
from transfer.parties import Assignment
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

    _heading(stack, "The old reseller files its ticket, with a wrong domain, and is told the fix")
    wrong = _filed(
        stack, "acme", "ann",
        *("--subject", "Transfer Customer"),
        *("--body", "I would like to request that exampel.com is to be transferred to Globex."),
    )  # fmt: skip
    stack.starter("ticket", GOOD, "release", wrong, "--wait", expect=Exit.REFUSED)
    right = _filed(stack, "acme", "ann", "--for", "release", GOOD, "--to", "globex")
    stack.starter("ticket", GOOD, "release", right, "--wait")

    _heading(stack, "The customer and the new reseller file theirs")
    authorized = _filed(stack, "C-1001", "carl", "--for", "authorize", GOOD, "--to", "globex")
    stack.starter("ticket", GOOD, "authorize", authorized)
    accepted = _filed(stack, "globex", "gina", "--for", "accept", GOOD, "--to", "globex")
    stack.starter("ticket", GOOD, "accept", accepted)
    await _until(transfer, State.READY)
    stack.starter("show", GOOD)

    _heading(stack, "24 hours of grace pass, fast-forwarded on the server; then billing moves")
    await TimeSkipper(client).fast_forward(transfer, timedelta(hours=24, minutes=1))
    await _until(transfer, State.COMPLETED)
    stack.starter("accounts", "show", GOOD)


async def _the_silent_one(stack: Stack, client: Client) -> None:
    _heading(stack, f"{SILENT} wants to move, too, and Acme Hosting does not answer")
    stack.starter("start", SILENT, "--to", "Globex Corporation", "--by", "olga")
    transfer = await handle(client, SILENT)
    authorized = _filed(stack, "C-1002", "berta", "--for", "authorize", SILENT, "--to", "globex")
    stack.starter("ticket", SILENT, "authorize", authorized)

    _heading(stack, "Five business days pass, a day at a time")
    status = await status_of(transfer)
    for day in range(1, 9):
        if status.state is State.MEDIATION:
            break
        await TimeSkipper(client).fast_forward(transfer, timedelta(days=1))
        status = await status_of(transfer)
        following = status.next_deadline.what if status.next_deadline else ""
        say(f"  day {day}: {status.state.value}; next: {following}")
    await _until(transfer, State.MEDIATION)
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
    out.print(f"\n[bold]{time.monotonic() - stack.started:5.1f} s  {text}[/bold]")


def _filed(stack: Stack, account: str, person: str, *rest: str) -> str:
    return stack.starter("desk", "file", "--account", account, "--by", person, *rest).strip()


async def _billing() -> dict[str, tuple[Assignment, ...]]:
    async with database() as opened:
        found: dict[str, tuple[Assignment, ...]] = {}
        for domain in (GOOD, SILENT):
            facts = await opened.accounts.facts(domain, "globex")
            customer = facts.customer.id if facts.customer else ""
            found[domain] = await opened.accounts.assignments(customer)
        return found


async def _until(transfer: Handle, state: State) -> Status:
    async def reached() -> Status | None:
        status = await status_of(transfer)
        return status if status.state is state else None

    return await _polled(reached, f"{transfer.id} is not {state.value}")


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
