"""The diagnosis: every neighbour is asked, and what is wrong is said with how to mend it.

Alembic is imported by those who need it: it would cost every other command a third of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from enum import StrEnum

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError

from gateway.signatures import RtSignatures, Signatures
from transfer.adapters.wiring import channels, mailer, request_tracker, tracking_links
from transfer.attributes import missing_search_attributes
from transfer.codec import ENCODING, KEY_ID
from transfer.commands.console import exit_code
from transfer.commands.context import temporal
from transfer.connection import clock_ahead, encryption, task_queue_pollers
from transfer.deploying import deployed, why_idle
from transfer.errors import TransferError
from transfer.settings import Settings
from transfer.starting import DIGEST, RECONCILIATION, why_not_scheduled
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE, WORKFLOW_TYPE
from transfer.values import Value

PATIENCE = timedelta(seconds=15)
"""How long one check may take."""
MAX_SKEW = timedelta(seconds=30)
"""How far this machine's clock and Temporal's may be apart."""
NEWEST = 20
"""Transfers whose encryption is looked at."""
NEEDED_BY_A_WORKER = frozenset(
    {
        *("Temporal", "clock", "search attributes", "database", "ticket system", "mail server"),
        *("staff's channels", "policy", "encryption", "tracking page"),
    }
)


class Health(StrEnum):
    """What a check found."""

    OK = "ok"
    WRONG = "wrong"


class Check(Value):
    """One thing that was looked at: what was found, and how to mend it."""

    what: str
    health: Health
    found: str


async def diagnose(settings: Settings, only: Collection[str] | None = None) -> list[Check]:
    """Look at every neighbour, one after the other; a neighbour that hangs is a finding, too."""
    checks: dict[str, Callable[[], Awaitable[str]]] = {
        "Temporal": _temporal_answers,
        "clock": _clocks_agree,
        "search attributes": _attributes_are_registered,
        "workers": _workers_poll,
        "versions": _versions_get_work,
        "reconciliation": _tickets_are_looked_for,
        "digest": lambda: _digest_is_scheduled(settings),
        "database": lambda: _schema_is_current(settings),
        "ticket system": lambda: _ticket_system_answers(settings),
        "mail server": lambda: _mail_server_answers(settings),
        "staff's channels": lambda: _channels_are_known(settings),
        "policy": lambda: _policy_is_readable(settings),
        "encryption": lambda: _all_can_be_decrypted(settings),
        "webhook secrets": lambda: _secrets_are_long_enough(settings),
        "tracking page": lambda: _links_are_complete(settings),
    }
    return [
        await _looked(what, look()) for what, look in checks.items() if only is None or what in only
    ]


async def _looked(what: str, looking: Awaitable[str]) -> Check:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return Check(what=what, health=Health.OK, found=await looking)
    except TimeoutError:
        return Check(what=what, health=Health.WRONG, found="It hangs. Look at its logs.")
    except RPCError as error:
        return Check(what=what, health=Health.WRONG, found=exit_code(error)[1])
    except TransferError as error:
        return Check(what=what, health=Health.WRONG, found=str(error))


async def _temporal_answers() -> str:
    client = await temporal()
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    return f"{client.service_client.config.target_host}, namespace {client.namespace}"


async def _clocks_agree() -> str:
    ahead = await clock_ahead(await temporal())
    seconds = round(ahead.total_seconds())
    if abs(ahead) > MAX_SKEW:
        raise TransferError(
            f"Temporal's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this"
            " machine's. Set both by NTP: signatures count for 5 minutes only."
        )
    return "as Temporal's"


async def _attributes_are_registered() -> str:
    if missing := await missing_search_attributes(await temporal()):
        raise TransferError(f"Missing: {', '.join(missing)}. Run: python starter.py setup")
    return "all registered"


async def _workers_poll() -> str:
    client = await temporal()
    pollers = await task_queue_pollers(client)
    if not pollers:
        raise TransferError(f"Nobody polls {TASK_QUEUE}. Start: python worker.py")
    return f"{pollers} on {TASK_QUEUE}"


async def _versions_get_work() -> str:
    client = await temporal()
    if why := await why_idle(client):
        raise TransferError(why)
    return f"{(await deployed(client)).current.name} gets the transfers"


async def _tickets_are_looked_for() -> str:
    return await _is_scheduled(RECONCILIATION)


async def _digest_is_scheduled(settings: Settings) -> str:
    if settings.digest_at is None:
        return "none is wanted"
    found = await _is_scheduled(DIGEST)
    to = ", ".join(settings.staff_notify) or "nobody: TRANSFER_STAFF_NOTIFY is empty"
    return f"{found}, to {to}"


async def _is_scheduled(schedule_id: str) -> str:
    if why := await why_not_scheduled(await temporal(), schedule_id):
        mend = "Unpause it in Temporal" if why == "paused" else "Run: python starter.py setup"
        raise TransferError(f"The schedule {schedule_id} is {why}. {mend}.")
    return f"schedule {schedule_id}"


async def _schema_is_current(settings: Settings) -> str:
    from transfer.adapters.sql.setup import SchemaState, check  # noqa: PLC0415 - likewise

    state = await check(settings.database_url.get_secret_value())
    if state is not SchemaState.CURRENT:
        raise TransferError(f"The schema is {state.value}. Run: python starter.py setup")
    return "reachable, schema current"


async def _ticket_system_answers(settings: Settings) -> str:
    if settings.tickets_url == "database:":
        return "the built-in desk"
    tracker = request_tracker(settings)
    try:
        await tracker.check(settings.rt_staff_queue)
    finally:
        await tracker.close()
    return str(tracker)


async def _mail_server_answers(settings: Settings) -> str:
    await mailer(settings).check()
    return "answers"


async def _channels_are_known(settings: Settings) -> str:
    return ", ".join(channels(settings).names) or "none"


async def _all_can_be_decrypted(settings: Settings) -> str:
    """Look at the newest transfers' summaries: whoever has the keys can read them."""
    codec = encryption(settings)
    ours = codec.key_ids if codec else ()
    client = await temporal()
    strange, plain = set[str](), 0
    async for transfer in client.list_workflows(f'WorkflowType="{WORKFLOW_TYPE}"', limit=NEWEST):
        described = await client.get_workflow_handle(transfer.id, run_id=transfer.run_id).describe(
            rpc_timeout=RPC_TIMEOUT
        )
        summary = described.raw_description.execution_config.user_metadata.summary
        if summary.metadata.get("encoding") != ENCODING:
            plain += 1
        elif (key := summary.metadata[KEY_ID].decode("ascii", "replace")) not in ours:
            strange.add(key)
    if strange:
        raise TransferError(
            f"No key here reads what was encrypted with {', '.join(sorted(strange))}. Add it to"
            " TRANSFER_ENCRYPTION_KEYS of every worker, gateway and command."
        )
    if not ours:
        return "none: Temporal's operators can read everything"
    unread = f"; {plain} of the newest {NEWEST} transfers began without" if plain else ""
    return f"with {ours[0]}, and {len(ours) - 1} older{unread}"


async def _secrets_are_long_enough(settings: Settings) -> str:
    if not settings.webhook_secret and not settings.rt_hook_secret:
        return "none here: only a gateway needs them"
    if settings.webhook_secret:
        Signatures(settings.webhook_secret)
    if settings.rt_hook_secret:
        RtSignatures(settings.rt_hook_secret)
    return f"{len(settings.webhook_secret)}, and {len(settings.rt_hook_secret)} for RT"


async def _links_are_complete(settings: Settings) -> str:
    if bool(settings.tracking_keys) != bool(settings.public_url):
        missing = "TRANSFER_PUBLIC_URL" if settings.tracking_keys else "TRANSFER_TRACKING_KEYS"
        raise TransferError(f"{missing} is not set, so no mail has a link. Set both, or neither.")
    tracking_links(settings)
    return settings.public_url or "no links in mails"


async def _policy_is_readable(settings: Settings) -> str:
    settings.policy()
    return str(settings.policy_file or "defaults")
