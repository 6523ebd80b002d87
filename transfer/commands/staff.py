"""Staff's levers, from the command line. The rules that allow them are the transfer's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from transfer.commands.console import checked, document, run, say
from transfer.commands.context import handle, temporal
from transfer.commands.transfers import (
    AsJson,
    Domain,
    print_status,
    refusing_if_over,
    status_of,
)
from transfer.messages import (
    AdmitTicket,
    Cancel,
    ExtendDeadline,
    Hold,
    RejectTicket,
    ReleaseOnBehalf,
    Resume,
    RetryCommit,
    StaffAction,
    StopCode,
    TakeCase,
    Which,
)
from transfer.temporal import RPC_TIMEOUT
from transfer.tickets import Intent
from transfer.views import Status

staff = typer.Typer(no_args_is_help=True, help="What staff may do to a live transfer.")

By = Annotated[str, typer.Option("--by", help="Who you are: it becomes evidence.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it becomes evidence.")]
Code = Annotated[StopCode, typer.Option("--code", help="The closed list of reasons to stop.")]
TicketId = Annotated[str, typer.Argument(metavar="TICKET_ID")]


@staff.command()
def extend(
    domain: Domain,
    by: By,
    reason: Reason,
    until: Annotated[
        datetime,
        typer.Option(
            "--until",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"],
            help="The new deadline; UTC unless it names another zone.",
        ),
    ],
    which: Annotated[Which, typer.Option("--which", help="Whose deadline.")] = Which.TRANSFER,
    as_json: AsJson = False,
) -> None:
    """Move a deadline later."""
    instant = until if until.tzinfo else until.replace(tzinfo=UTC)
    action = checked(ExtendDeadline, staff=by, reason=reason, until=instant, which=which)
    run(_pull(domain, "extend_deadline", action, as_json=as_json))


@staff.command()
def hold(
    domain: Domain, by: By, reason: Reason, code: Code = StopCode.OTHER, as_json: AsJson = False
) -> None:
    """Stop every clock until resumed."""
    action = checked(Hold, staff=by, reason=reason, code=code)
    run(_pull(domain, "hold", action, as_json=as_json))


@staff.command()
def resume(domain: Domain, by: By, reason: Reason, as_json: AsJson = False) -> None:
    """Go on after a hold."""
    run(_pull(domain, "resume", checked(Resume, staff=by, reason=reason), as_json=as_json))


@staff.command()
def cancel(
    domain: Domain, by: By, reason: Reason, code: Code = StopCode.OTHER, as_json: AsJson = False
) -> None:
    """End the transfer."""
    action = checked(Cancel, staff=by, reason=reason, code=code)
    run(_pull(domain, "cancel", action, as_json=as_json))


@staff.command()
def take(domain: Domain, by: By, reason: Reason = "mediating", as_json: AsJson = False) -> None:
    """Take the case: you mediate, and the first-touch clock stops."""
    run(_pull(domain, "take_case", checked(TakeCase, staff=by, reason=reason), as_json=as_json))


@staff.command()
def admit(
    domain: Domain,
    ticket_id: TicketId,
    by: By,
    reason: Reason,
    what: Annotated[Intent, typer.Option("--what", help="What the ticket says.")],
    as_json: AsJson = False,
) -> None:
    """Decide what an unclear ticket says."""
    action = checked(AdmitTicket, staff=by, reason=reason, ticket_id=ticket_id, what=what)
    run(_pull(domain, "admit_ticket", action, as_json=as_json))


@staff.command()
def reject(
    domain: Domain, ticket_id: TicketId, by: By, reason: Reason, as_json: AsJson = False
) -> None:
    """Decide that an unclear ticket says nothing that counts."""
    action = checked(RejectTicket, staff=by, reason=reason, ticket_id=ticket_id)
    run(_pull(domain, "reject_ticket", action, as_json=as_json))


@staff.command()
def release(domain: Domain, by: By, reason: Reason, as_json: AsJson = False) -> None:
    """Propose, or as a second person confirm, a release in the old reseller's place."""
    action = checked(ReleaseOnBehalf, staff=by, reason=reason)
    run(_pull(domain, "release_on_behalf", action, as_json=as_json))


@staff.command()
def retry(domain: Domain, by: By, reason: Reason = "try again", as_json: AsJson = False) -> None:
    """Try a stuck commit again, now."""
    run(
        _pull(
            domain, "retry_commit", checked(RetryCommit, staff=by, reason=reason), as_json=as_json
        )
    )


async def _pull(domain: str, lever: str, action: StaffAction, *, as_json: bool) -> None:
    transfer = await handle(await temporal(), domain)
    await status_of(transfer)  # with no worker, nothing is sent that could take effect later
    async with refusing_if_over(transfer, "NotAllowedInState"):
        status = await transfer.execute_update(
            lever, action, result_type=Status, rpc_timeout=RPC_TIMEOUT
        )
    if as_json:
        document(status)
        return
    say(f"Done: {lever.replace('_', ' ')}, by {action.staff}.")
    print_status(status)
