"""Accounts: load resellers and customers, and see who is billed for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from temporalio.service import RPCError, RPCStatusCode

from transfer.accounts_file import AccountsFile, parse
from transfer.adapters.wiring import Neighbours
from transfer.commands.console import checked, document, run, say, table
from transfer.commands.context import database, handle, now, temporal
from transfer.commands.transfers import AsJson, Domain, shown
from transfer.errors import InputInvalid, UnknownAccount
from transfer.messages import Doorbell, Owed
from transfer.opening import transfer_id
from transfer.parties import Slot
from transfer.tickets import Intent

accounts = typer.Typer(no_args_is_help=True, help="Resellers, customers and their billing.")


@accounts.command()
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML or CSV.")],
    as_json: AsJson = False,
) -> None:
    """Load resellers and customers; the same file again changes nothing."""
    try:
        content = parse(file.read_bytes(), file.name)
    except OSError as error:
        raise InputInvalid(f"{file}: {error.strerror}. Name a TOML or CSV file.") from error
    run(_load(content, as_json=as_json))


async def _load(content: AccountsFile, *, as_json: bool) -> None:
    async with database() as opened:
        report = await opened.accounts.load(content)
    if as_json:
        document(report)
    else:
        say(
            f"{len(report.added)} added, {len(report.updated)} updated,"
            f" {len(report.unchanged)} unchanged."
        )


@accounts.command()
def show(domain: Domain, as_json: AsJson = False) -> None:
    """Show a customer, its reseller, and its billing assignments."""
    run(_show(domain, as_json=as_json))


async def _show(domain: str, *, as_json: bool) -> None:
    async with database() as opened:
        facts = await opened.accounts.facts(domain, "")
        customer, reseller = facts.customer, facts.old
        if customer is None or reseller is None:
            raise UnknownAccount(f"No customer has {domain}. Check it, or load the accounts first.")
        assignments = await opened.accounts.assignments(customer.id)
    if as_json:
        document(
            {
                "customer": customer.model_dump(),
                "reseller": reseller.id,
                "assignments": [assignment.model_dump() for assignment in assignments],
            }
        )
        return
    say(f"{customer.name} ({customer.id}): {', '.join(customer.domains)}")
    say(f"Reseller: {reseller.name} ({reseller.id}). Charges: {customer.charges}.")
    if customer.locked_until:
        say(f"Locked until {shown(customer.locked_until)} UTC.")
    table(
        "Billing assignments (from, up to and not including)",
        ("Reseller", "From (UTC)", "To (UTC)", "Charges", "Moved by"),
        (
            (a.reseller, shown(a.starts_at), shown(a.ends_at) or "open", a.charges, a.transfer)
            for a in assignments
        ),
    )


_NO = ("SLOT_REFUSED", "SLOT_WITHDRAWN")
_NO_MORE = ("CLEARED", "AUTHORIZED", "RELEASED_BY_STAFF")
"""What is in evidence of a release while a no stands, and when it does not any more."""


@accounts.command()
def paid(
    domain: Domain,
    invoices: Annotated[list[str], typer.Argument(metavar="INVOICE…", help="Their numbers.")],
) -> None:
    """Record that a reseller's invoices to a customer are paid; a refusal for them is cleared."""
    run(_paid(domain, tuple(invoices)))


async def _paid(domain: str, invoices: tuple[str, ...]) -> None:
    debt = checked(Owed, reseller="", invoices=invoices)
    async with database() as opened:
        customer = await opened.accounts.owner(domain)
        if customer is None:
            raise UnknownAccount(f"No customer has {domain}. Check it, or load the accounts first.")
        await opened.accounts.record_paid(customer.reseller, debt.invoices, now())
        transfer = transfer_id(customer.domains[0])
        refusal = await _refusal(opened, transfer)
    say(f"Recorded as paid to {customer.reseller}: {', '.join(debt.invoices)}.")
    if refusal is None:
        return
    # Read again, the refusal finds its invoices paid. If it named others too, it stands.
    signal = Doorbell(ticket_id=refusal)
    try:
        await (await handle(await temporal(), domain)).signal(Intent.REFUSE.value, signal)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return  # it is over
    say(f"{transfer} looks at its refusal, ticket {refusal}, once more.")


async def _refusal(opened: Neighbours, transfer: str) -> str | None:
    """The ticket by which the old reseller says no to the customer's newest transfer."""
    refusal: str | None = None
    for key in (await opened.ledger.keys(transfer))[-1:]:
        for row in await opened.ledger.evidence(key):
            if row.slot is Slot.RELEASE and row.code in _NO:
                refusal = row.ticket_id
            elif row.slot is Slot.RELEASE and row.code in _NO_MORE:
                refusal = None
    return refusal
