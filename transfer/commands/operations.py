"""Setting up and looking after: ``setup`` and ``doctor``.

Alembic is imported by those who need it: it would cost every other command a third of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from enum import StrEnum

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError

from transfer.adapters.wiring import channels, mailer, request_tracker
from transfer.attributes import missing_search_attributes, register_search_attributes
from transfer.commands.console import document, exit_code, run, say, table
from transfer.commands.context import temporal
from transfer.commands.transfers import AsJson
from transfer.connection import task_queue_pollers
from transfer.errors import TransferError, Unreachable
from transfer.settings import Settings, load_settings
from transfer.starting import (
    DIGEST,
    RECONCILIATION,
    schedule_digest,
    schedule_reconciliation,
    unschedule,
    why_not_scheduled,
)
from transfer.temporal import RPC_TIMEOUT, TASK_QUEUE
from transfer.values import Value

PATIENCE = timedelta(seconds=15)
"""How long one check may take."""


class Health(StrEnum):
    """What a check found."""

    OK = "ok"
    WRONG = "wrong"


class Check(Value):
    """One thing that was looked at: what was found, and how to mend it."""

    what: str
    health: Health
    found: str


def setup() -> None:
    """Bring the database's schema up to date, register the search attributes, and the schedule."""
    run(_setup())


async def _setup() -> None:
    from transfer.adapters.sql.setup import upgrade  # noqa: PLC0415 - see the module's docstring

    settings = load_settings()
    await upgrade(settings.database_url.get_secret_value())
    say("The database's schema is current.")
    client = await temporal()
    added = await register_search_attributes(client)
    say(f"Registered in Temporal: {', '.join(added)}." if added else "Temporal knows all names.")
    await schedule_reconciliation(client, timedelta(seconds=settings.reconcile_seconds))
    say(f"Tickets nobody announced are looked for every {settings.reconcile_seconds} s.")
    if settings.digest_at is None:
        await unschedule(client, DIGEST)
        say("Staff get no daily digest.")
    else:
        zone = settings.policy().time_zone
        await schedule_digest(client, settings.digest_at, zone)
        say(f"Staff get a digest every day at {settings.digest_at:%H:%M} {zone}.")


def doctor(as_json: AsJson = False) -> None:
    """Connect to everything, and say what is wrong and how to mend it."""
    checks = run(diagnose(load_settings()))
    if as_json:
        document(checks)
    else:
        table("", ("What", "", "Found"), ((c.what, c.health.value, c.found) for c in checks))
    wrong = [check for check in checks if check.health is Health.WRONG]
    if any(check.what in ("Temporal", "database") for check in wrong):
        raise Unreachable(f"{len(wrong)} of {len(checks)} checks failed; see above.")
    if wrong:
        raise TransferError(f"{len(wrong)} of {len(checks)} checks failed; see above.")


async def diagnose(settings: Settings) -> list[Check]:
    """Look at every neighbour, one after the other; a neighbour that hangs is a finding, too."""
    return [
        await _looked("Temporal", _temporal_answers()),
        await _looked("search attributes", _attributes_are_registered()),
        await _looked("workers", _workers_poll()),
        await _looked("reconciliation", _tickets_are_looked_for()),
        await _looked("digest", _digest_is_scheduled(settings)),
        await _looked("database", _schema_is_current(settings)),
        await _looked("ticket system", _ticket_system_answers(settings)),
        await _looked("mail server", _mail_server_answers(settings)),
        await _looked("staff's channels", _channels_are_known(settings)),
        await _looked("policy", _policy_is_readable(settings)),
        await _looked("tracking page", _links_are_complete(settings)),
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


async def _links_are_complete(settings: Settings) -> str:
    if bool(settings.tracking_keys) != bool(settings.public_url):
        missing = "TRANSFER_PUBLIC_URL" if settings.tracking_keys else "TRANSFER_TRACKING_KEYS"
        raise TransferError(f"{missing} is not set, so no mail has a link. Set both, or neither.")
    return settings.public_url or "no links in mails"


async def _policy_is_readable(settings: Settings) -> str:
    settings.policy()
    return str(settings.policy_file or "defaults")
