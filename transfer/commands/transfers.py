"""Transfers: start one, see it, ring its doorbell."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic_core import to_jsonable_python
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from transfer import opening, starting
from transfer.attributes import (
    CUSTOMER_DOMAIN,
    ESCALATED,
    NEW_RESELLER,
    NEXT_DEADLINE,
    OLD_RESELLER,
    TRANSFER_STATE,
    WAITING_ON,
)
from transfer.case import TERMINAL, Finding, State
from transfer.commands import console
from transfer.commands.console import Refused, document, escape, out, run, say, table
from transfer.commands.context import Handle, database, handle, now, temporal, workflow_id
from transfer.errors import InputInvalid, NotFound, RuleBroken, Unreachable
from transfer.messages import (
    Delivery,
    Doorbell,
    EvidenceRow,
    Submission,
    SubmissionAnswer,
    TransferRequest,
)
from transfer.parties import fold
from transfer.saved_views import SAVED_VIEWS
from transfer.settings import load_settings
from transfer.temporal import RPC_TIMEOUT
from transfer.tickets import Intent
from transfer.views import EvidenceView, Status
from workflows.customer_transfer import CustomerTransfer

MAX_LISTED = 500
ASKED_AT_ONCE = 10
"""Transfers that are asked at the same time for what the list does not know."""
WATCH_EVERY_SECONDS = 0.5
ANSWER_TIMEOUT = timedelta(seconds=90)
"""How long ``ticket --wait`` waits: a ticket that is not there is looked for for a minute."""

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Domain = Annotated[str, typer.Argument(help="Any domain of the customer.", metavar="DOMAIN")]


def start(
    domain: Domain,
    to: Annotated[str, typer.Option("--to", help="The new reseller: id, name or alias.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="Checked against the reseller of record.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who asks for it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the transfer of a customer; again, it shows the open one."""
    request = console.checked(
        TransferRequest,
        domain=domain,
        new_reseller=to,
        old_reseller=from_,
        requested_by=by or whoami(),
        policy=load_settings().policy(),
    )
    run(_start(request, dry_run=dry_run, as_json=as_json))


async def _start(request: TransferRequest, *, dry_run: bool, as_json: bool) -> None:
    async with database() as opened:
        facts = await opened.accounts.facts(request.domain, request.new_reseller)
    findings = opening.preflight(request, facts, now())
    if facts.customer is None or facts.new is None:
        _refuse(findings, as_json=as_json)
    workflow_id = opening.transfer_id(facts.customer.domains[0])
    client = await temporal()
    stopped = any(not finding.warning for finding in findings)
    if stopped or dry_run:
        present = await starting.described(client, workflow_id)
        if present is not None and present.status is WorkflowExecutionStatus.RUNNING:
            await _already_open(present, facts.new.id, findings, as_json=as_json)
        elif stopped:
            _refuse(findings, as_json=as_json)
        else:
            _show_findings(
                f"Nothing stands against {workflow_id}",
                findings,
                as_json=as_json,
                outcome="possible",
            )
        return
    try:
        begun = await starting.begin(client, request, facts, workflow_id, now())
    except WorkflowAlreadyStartedError:
        present = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        await _already_open(present, facts.new.id, findings, as_json=as_json)
        return
    if as_json:
        document(
            {
                "outcome": "started",
                "transfer_id": workflow_id,
                "run_id": begun.run_id,
                "findings": [finding.model_dump() for finding in findings],
            }
        )
        return
    say(f"Started {workflow_id}: {begun.case.old} to {begun.case.new}.")
    for finding in findings:
        say(f"Note {finding.code}: {finding.fix}")
    say(f"Follow it with: python starter.py watch {facts.customer.domains[0]}")


def whoami() -> str:
    """Who runs this, as far as the system knows: in a container it may not."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


async def _already_open(
    present: WorkflowExecutionDescription,
    new_reseller: str,
    findings: tuple[Finding, ...],
    *,
    as_json: bool,
) -> None:
    """The same request again is done already; another one is refused."""
    to = await starting.going_to(present)
    state = present.typed_search_attributes.get(TRANSFER_STATE)
    claim_is_wrong = any(finding.code == "NOT_CURRENT_RESELLER" for finding in findings)
    if to != new_reseller or claim_is_wrong:
        fix = f"{present.id} to {to} is open ({state}). Cancel it first, or wait for its end."
        finding = Finding(code=f"TRANSFER_ALREADY_OPEN({present.id})", fix=fix)
        _refuse((*findings, finding), as_json=as_json)
    if as_json:
        document(
            {
                "outcome": "open",
                "transfer_id": present.id,
                "run_id": present.run_id,
                "state": state,
            }
        )
    else:
        say(f"{present.id} to {to} is open already ({state}). Nothing was started.")


def _refuse(findings: tuple[Finding, ...], *, as_json: bool) -> NoReturn:
    _show_findings("Not started", findings, as_json=as_json, outcome="refused")
    raise Refused(", ".join(finding.code for finding in findings if not finding.warning))


def list_(
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    waiting_on: Annotated[
        str | None, typer.Option("--waiting-on", help="release, authorize, accept or staff.")
    ] = None,
    escalated: Annotated[bool, typer.Option("--escalated", help="Only escalated ones.")] = False,
    view: Annotated[
        str | None, typer.Option("--view", help=f"A saved view: {', '.join(SAVED_VIEWS)}.")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="Who mediates, for the view mine-to-mediate.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List transfers, the newest first."""
    saved = SAVED_VIEWS.get(view or "")
    if view is not None and saved is None:
        raise InputInvalid(f"--view takes {', '.join(SAVED_VIEWS)}.")
    if bool(by.strip()) is not (saved is not None and saved.by_mediator):
        raise InputInvalid("--view mine-to-mediate needs --by NAME, and nothing else takes it.")
    if waiting_on not in (None, "release", "authorize", "accept", "staff"):
        raise InputInvalid("--waiting-on takes release, authorize, accept or staff.")
    query = saved.query(now()) if saved else 'WorkflowType="CustomerTransfer"'
    if state:
        query += f' AND {TRANSFER_STATE.name}="{state.value}"'
    if waiting_on:
        query += f' AND {WAITING_ON.name}="{waiting_on}"'
    if escalated:
        query += f" AND {ESCALATED.name}=true"
    run(_list(query, by, as_json=as_json))


async def _list(query: str, mediator: str, *, as_json: bool) -> None:
    client = await temporal()
    listed = [
        _row(execution)
        async for execution in client.list_workflows(
            query, limit=MAX_LISTED, rpc_timeout=RPC_TIMEOUT
        )
    ]
    found = await _mediated_by(mediator, listed, client) if mediator else listed
    if as_json:
        document(found)
        return
    if not found:
        say("No transfer fits.")
        return
    table(
        "",
        ("Transfer", "State", "From", "To", "Waiting on", "Next (UTC)"),
        (
            (
                row["customer_domain"] or row["transfer_id"],
                row["state"] + (" !" if row["escalated"] else ""),
                row["old_reseller"],
                row["new_reseller"],
                ", ".join(row["waiting_on"]),
                shown(row["next_deadline"]),
            )
            for row in found
        ),
    )
    if len(listed) == MAX_LISTED:
        say(f"The first {MAX_LISTED}; narrow it down with --view, --state or --waiting-on.")


async def _mediated_by(
    mediator: str, listed: list[dict[str, Any]], client: Client
) -> list[dict[str, Any]]:
    """Those that a staff member has taken: the list does not know, so each transfer is asked."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(listed), ASKED_AT_ONCE):
        rows = listed[start : start + ASKED_AT_ONCE]
        owners = await asyncio.gather(*(_mediator(client, row["transfer_id"]) for row in rows))
        found += [
            row for row, owner in zip(rows, owners, strict=True) if fold(owner) == fold(mediator)
        ]
    return found


async def _mediator(client: Client, transfer_id: str) -> str:
    transfer = client.get_workflow_handle_for(CustomerTransfer.run, transfer_id)
    return (await status_of(transfer)).mediator or ""


def _row(execution: WorkflowExecution) -> dict[str, Any]:
    attributes = execution.typed_search_attributes
    status = execution.status or WorkflowExecutionStatus.RUNNING
    return {
        "transfer_id": execution.id,
        "state": attributes.get(TRANSFER_STATE) or State.VALIDATING.value,
        "execution": status.name,
        "customer_domain": attributes.get(CUSTOMER_DOMAIN)
        or execution.id.removeprefix("transfer-"),
        "old_reseller": attributes.get(OLD_RESELLER),
        "new_reseller": attributes.get(NEW_RESELLER),
        "waiting_on": list(attributes.get(WAITING_ON) or ()),
        "escalated": bool(attributes.get(ESCALATED)),
        "next_deadline": attributes.get(NEXT_DEADLINE),
        "started_at": execution.start_time,
    }


def show(domain: Domain, as_json: AsJson = False) -> None:
    """Show where a transfer is, who is waited for, and what happens next."""
    run(_show(domain, as_json=as_json))


async def _show(domain: str, *, as_json: bool) -> None:
    status = await status_of(await handle(await temporal(), domain))
    if as_json:
        document(status)
        return
    print_status(status)
    try:
        async with database() as opened:
            deliveries = await opened.ledger.deliveries(status.key)
    except Unreachable as error:
        say(f"Whether the notices arrived is not known: {error}")
        return
    _print_delivery_trouble(deliveries)


def watch(
    domain: Domain,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds after which to stop watching.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a transfer live until it is over."""
    run(_watch(domain, timeout, as_json=as_json))


async def _watch(domain: str, seconds: float | None, *, as_json: bool) -> None:
    transfer = await handle(await temporal(), domain)
    seen = 0
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        status = await status_of(transfer)
        happened = await evidence_of(transfer)  # last, so that the end is in it
        if not as_json:
            seen = _print_news(happened, seen)
        if status.state in TERMINAL or (until is not None and time.monotonic() >= until):
            break
        await asyncio.sleep(WATCH_EVERY_SECONDS)
    if as_json:
        document(status)
    else:
        say(status.summary)


def _print_news(happened: EvidenceView, seen: int) -> int:
    for event in happened.events:
        if event.seq > seen:
            what = " ".join(part for part in (event.slot, event.detail) if part)
            ticket = f" (ticket {event.ticket_id})" if event.ticket_id else ""
            out.print(
                f"[dim]{event.at:%Y-%m-%d %H:%M:%S}[/dim] [bold]{event.code}[/bold] "
                f"{escape(what)} [dim]by {escape(event.who)}{escape(ticket)}[/dim]",
                soft_wrap=True,
            )
    return happened.count


def ticket(
    domain: Domain,
    what: Annotated[Intent, typer.Argument(help="What the ticket is said to be.")],
    ticket_id: Annotated[str, typer.Argument(metavar="TICKET_ID")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell a transfer that a ticket was filed."""
    run(_ticket(domain, what, ticket_id, wait=wait, as_json=as_json))


async def _ticket(domain: str, what: Intent, ticket_id: str, *, wait: bool, as_json: bool) -> None:
    doorbell = console.checked(Doorbell, ticket_id=ticket_id)
    transfer = await handle(await temporal(), domain)
    if not wait:
        async with refusing_if_over(transfer, "LATE"):
            await transfer.signal(what.value, doorbell, rpc_timeout=RPC_TIMEOUT)
        if as_json:
            document({"outcome": "signalled", "transfer_id": transfer.id})
        else:
            say(f"Told {transfer.id} of ticket {ticket_id}.")
        return
    submission = Submission(what=what, ticket_id=doorbell.ticket_id)
    await status_of(transfer)  # with no worker, nothing is sent that could take effect later
    async with refusing_if_over(transfer, "LATE"):
        answer = await transfer.execute_update(
            "submit", submission, result_type=SubmissionAnswer, rpc_timeout=ANSWER_TIMEOUT
        )
    if as_json:
        document(answer)
    elif answer.accepted:
        say(f"It counts: {answer.slot or ''} is {answer.state}.")
    if not answer.accepted:
        if not as_json:
            say(f"{answer.code}: {answer.fix}")
        raise Refused(answer.code or "")


def evidence(
    domain: Domain,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the JSON document to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Everything that happened in a transfer, from the database: who, when, code, ticket."""
    rows = run(_evidence(domain))
    if out_file is not None:
        text = json.dumps(to_jsonable_python(rows), ensure_ascii=False, indent=2)
        try:
            out_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputInvalid(f"{out_file}: {error.strerror}. Name another file.") from error
        if as_json:
            document({"key": rows[0].key, "events": len(rows), "file": str(out_file)})
        else:
            say(f"Wrote {len(rows)} events to {out_file}.")
    elif as_json:
        document(rows)
    else:
        table(
            f"Evidence of {rows[0].key}" if rows else "",
            ("#", "At (UTC)", "Code", "Slot", "Who", "Ticket", "Detail"),
            (
                (r.seq, shown(r.at), r.code, r.slot or "", r.who, r.ticket_id, r.detail)
                for r in rows
            ),
        )


async def _evidence(domain: str) -> tuple[EvidenceRow, ...]:
    """From the database alone: it keeps the evidence longer than Temporal keeps the workflow."""
    transfer_id = await workflow_id(domain)
    async with database() as opened:
        keys = await opened.ledger.keys(transfer_id)
        if not keys:
            raise NotFound(f"There is no evidence of {transfer_id}. Was it ever started?")
        return await opened.ledger.evidence(keys[-1])


# -- shared by other commands ------------------------------------------------------------------
async def status_of(transfer: Handle) -> Status:
    """The status query's answer.

    Raises:
        RPCError: there is no such transfer, or no worker answers.
    """
    return await transfer.query(CustomerTransfer.status, rpc_timeout=RPC_TIMEOUT)


async def evidence_of(transfer: Handle) -> EvidenceView:
    """The evidence query's answer."""
    return await transfer.query(CustomerTransfer.evidence, rpc_timeout=RPC_TIMEOUT)


@asynccontextmanager
async def refusing_if_over(transfer: Handle, code: str) -> AsyncGenerator[None]:
    """Say of a transfer that takes no message any more that it is over, not that there is none.

    Raises:
        RuleBroken: it is over; the message begins with ``code``.
    """
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        present = await transfer.describe(rpc_timeout=RPC_TIMEOUT)
        state = present.typed_search_attributes.get(TRANSFER_STATE)
        ended = shown(present.close_time)
        text = f"{code}: {transfer.id} is {state} since {ended} UTC. Nothing changes it any more."
        raise RuleBroken(text) from error


def shown(instant: datetime | None) -> str:
    """An instant as people read it, in UTC and to the minute."""
    return f"{instant:%Y-%m-%d %H:%M}" if instant else ""


def print_status(status: Status) -> None:
    """The status for people."""
    say(status.summary)
    if status.next_deadline:
        say(f"Next: {status.next_deadline.what}, at {shown(status.next_deadline.at)} UTC.")
    if status.expires_at and status.state not in TERMINAL:
        say(f"Expires at {shown(status.expires_at)} UTC, if it is not over by then.")
    if status.slots:
        table(
            "",
            ("Slot", "State", "Ticket", "By", "Until (UTC)", "Rejected"),
            (
                (
                    slot.value,
                    view.state.value,
                    view.ticket_id,
                    view.by,
                    shown(view.deadline),
                    "\n".join(f"{r.ticket_id} {r.code}" for r in view.rejected),
                )
                for slot, view in status.slots.items()
            ),
        )
    for doubt in status.ambiguous:
        say(f"Ticket {doubt.ticket_id} ({doubt.slot.value}) is unclear; staff admit or reject it.")
    for finding in status.findings:
        say(finding)


def _print_delivery_trouble(deliveries: tuple[Delivery, ...]) -> None:
    troubled = [d for d in deliveries if d.last_error and d.sent_at is None]
    if troubled:
        table(
            "Notices that have not arrived",
            ("Event", "To", "State", "Attempts", "Error"),
            (
                (
                    d.event,
                    d.mail.to if d.mail else d.reader if d.channel else f"ticket {d.ticket_id}",
                    d.state.value,
                    d.attempts,
                    d.last_error,
                )
                for d in troubled
            ),
        )


def _show_findings(
    title: str, findings: tuple[Finding, ...], *, as_json: bool, outcome: str
) -> None:
    if as_json:
        document({"outcome": outcome, "findings": [finding.model_dump() for finding in findings]})
    elif findings:
        table(title, ("Code", "What to do"), ((f.code, f.fix) for f in findings))
    else:
        say(f"{title}.")
