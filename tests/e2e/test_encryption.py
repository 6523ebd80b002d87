"""With keys, nobody reads in Temporal's own files what a transfer is about."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, ScheduleActionStartWorkflow, WorkflowUpdateFailedError

from tests.e2e.installation import Installation, Server, eventually
from transfer.codec import EncryptionCodec

DOMAIN = "orchard.example"
OTHER = "meadow.example"
OLD, NEW, STRANGE = (f"{name}:{letter * 43}=" for name, letter in zip("onx", "ABE", strict=True))
TOLD = {
    "a mail address": b"carl@customer.example",
    "a ticket": b"authorize the transfer of our account",
    "a name": b"The people of",
    "a staff member's words": b"two owners claim it",
    "the domain": DOMAIN.encode(),
    "the old reseller": b"acme",
    "the new reseller": b"globex",
}
ALL_PRIVATE = ("CustomerDomain", "OldReseller", "NewReseller")


@pytest.fixture
def server_of_its_own(tmp_path: Path) -> Generator[Server]:
    """A server whose file can be read once it has ended."""
    server = Server(tmp_path, keeps=True).start()
    try:
        yield server
    finally:
        server.kill()


def kept_by(folder: Path) -> bytes:
    """All that Temporal keeps: each cell whole, since a page of the file may split one.

    The workflow's id is the domain by contract, and left out.
    """
    with closing(sqlite3.connect(folder / "temporal.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        cells = [
            cell if isinstance(cell, bytes) else str(cell).encode()
            for (table,) in tables
            for row in database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own names
            for cell in row
        ]
    whole = b"\0".join([*cells, *(path.read_bytes() for path in folder.glob("temporal.db*"))])
    return whole.replace(f"transfer-{DOMAIN}".encode(), b"")


def readable(folder: Path) -> set[str]:
    kept = kept_by(folder)
    return {what for what, text in TOLD.items() if text in kept}


def lived(installed: Installation, private: Iterable[str] = ()) -> None:
    """A transfer with tickets, a hold, an error in an activity, and everything else."""
    installed.set_up([DOMAIN, OTHER])
    installed.sink.start()
    installed.working()
    policy = installed.policy(grace="0s", private_attributes=list(private))
    installed.done("start", DOMAIN, "--to", "globex", **policy)
    installed.ring(DOMAIN, "release")
    because = ("--by", "sam", "--reason", "two owners claim it", "--code", "OWNERSHIP_DISPUTED")
    installed.done("staff", "hold", DOMAIN, *because)
    installed.done("staff", "resume", DOMAIN, "--by", "sam", "--reason", "settled")
    for slot in ("authorize", "accept"):
        installed.ring(DOMAIN, slot)
    installed.reaches("COMPLETED", DOMAIN)
    installed.moved_once(DOMAIN)


def test_without_keys_all_of_it_can_be_read(
    server_of_its_own: Server, install: Callable[..., Installation], tmp_path: Path
) -> None:
    """Which shows that the next tests look where it would be."""
    lived(install(server_of_its_own.address))
    server_of_its_own.kill()
    assert readable(tmp_path) == set(TOLD)


def test_with_keys_only_the_search_attributes_can_be_read(
    server_of_its_own: Server, install: Callable[..., Installation], tmp_path: Path
) -> None:
    installed = install(server_of_its_own.address)
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = NEW
    lived(installed)
    server_of_its_own.kill()
    assert readable(tmp_path) == {"the domain", "the old reseller", "the new reseller"}


def test_with_private_attributes_nothing_but_the_workflows_id_can_be_read(
    server_of_its_own: Server, install: Callable[..., Installation], tmp_path: Path
) -> None:
    """And the commands that used them know what they need all the same."""
    installed = install(server_of_its_own.address)
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = NEW
    policy = installed.policy(private_attributes=list(ALL_PRIVATE))
    lived(installed, ALL_PRIVATE)
    installed.done("start", OTHER, "--to", "globex", **policy)
    again = installed.done("start", OTHER, "--to", "globex", "--json", **policy)
    assert again.document["outcome"] == "open"
    refused = installed.run("start", OTHER, "--to", "initech", **policy)
    assert (refused.code, f"transfer-{OTHER} to globex is open" in refused.words) == (3, True)
    (row,) = (r for r in installed.done("list", "--json").document if r["state"] == "AWAITING")
    assert (row["customer_domain"], row["new_reseller"]) == (OTHER, None)
    server_of_its_own.kill()
    assert readable(tmp_path) == set()


def encryption(installed: Installation, **settings: str) -> str:
    """What the doctor finds of it."""
    checks = installed.run("doctor", "--json", **settings).document
    (found,) = (check["found"] for check in checks if check["what"] == "encryption")
    return str(found)


def test_keys_are_rotated_while_transfers_are_open(install: Callable[..., Installation]) -> None:
    """A new key beside the old one, then before it; what was encrypted before is still read."""
    installed = install()
    installed.set_up([DOMAIN])
    installed.sink.start()
    worker = installed.working(TRANSFER_ENCRYPTION_KEYS=OLD)
    old = {"TRANSFER_ENCRYPTION_KEYS": OLD}
    installed.done("start", DOMAIN, "--to", "globex", **installed.policy(grace="0s"), **old)
    ticket = installed.file(DOMAIN, "release")
    installed.done("ticket", DOMAIN, "release", ticket, **old)
    worker.stop()
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = f"{NEW},{OLD}"
    installed.working()
    installed.authorized(DOMAIN, "release")
    assert encryption(installed) == "with n, and 1 older"
    assert "No key here reads what was encrypted with o" in encryption(
        installed, TRANSFER_ENCRYPTION_KEYS=NEW
    )
    for slot in ("authorize", "accept"):
        installed.ring(DOMAIN, slot)
    installed.reaches("COMPLETED", DOMAIN)
    installed.moved_once(DOMAIN)
    installed.all_told(DOMAIN)


def test_what_cannot_be_decrypted_is_counted_and_changes_nothing(
    install: Callable[..., Installation],
) -> None:
    """By a key that nobody has here, cut short, changed on the way, or not encrypted at all."""
    domain = "vineyard.example"
    installed = install()
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = NEW
    installed.set_up([domain])
    installed.sink.start()
    worker = installed.working()
    installed.done("start", domain, "--to", "globex", **installed.policy(grace="0s"))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"ticket_id": "1"}')

    async def sent(client: Client) -> None:
        ours, strange = EncryptionCodec({"n": b"\4" * 32}), EncryptionCodec({"x": b"\5" * 32})
        (same_id,) = await ours.encode([plain])
        (unknown,) = await strange.encode([plain])
        (right,) = await client.data_converter.payload_codec.encode([plain])  # type: ignore[union-attr]
        cut = Payload(metadata=right.metadata, data=right.data[:5])
        bare = Payload(metadata={"encoding": b"binary/encrypted"})
        for payload in (same_id, unknown, cut, bare):
            request = SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=f"transfer-{domain}"),
                signal_name="release",
            )
            request.input.payloads.append(payload)
            await client.workflow_service.signal_workflow_execution(request)

    installed.asked(sent)

    def ignored() -> bool:
        status = installed.done("show", domain, "--json").document
        return bool(status["ignored_signals"] == 4)

    eventually(ignored, "all four are counted")
    for slot in ("release", "authorize", "accept"):
        installed.ring(domain, slot)
    installed.reaches("COMPLETED", domain)
    assert worker.log.count("payload_not_decrypted") >= 4


@pytest.mark.parametrize("keys", ["", "no-colon", "a:short", f"a:{'A' * 43}=,a:{'B' * 43}="])
def test_keys_that_are_none_are_refused_without_repeating_them(
    install: Callable[..., Installation], keys: str
) -> None:
    installed = install("127.0.0.1:1")
    ran = installed.run("list", TRANSFER_ENCRYPTION_KEYS=keys)
    assert ran.code == (2 if keys else 4)
    assert ("TRANSFER_ENCRYPTION_KEYS: each key is an id" in ran.words) is bool(keys)
    assert not any(part in ran.words for part in ("short", "A" * 43, "no-colon") if keys)


def test_setup_encrypts_the_schedules_with_the_newest_key(
    install: Callable[..., Installation],
) -> None:
    """Or the old key could never be removed; nothing changes while the key is the same."""
    installed = install()
    installed.set_up([DOMAIN])

    async def key_ids(client: Client) -> set[bytes]:
        described = await client.get_schedule_handle("ticket-reconciliation").describe()
        action = described.schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        return {payload.metadata.get("encryption-key-id", b"") for payload in action.args}

    assert installed.asked(key_ids) == {b""}
    for keys, newest in ((OLD, b"o"), (f"{OLD},{NEW}", b"o"), (f"{NEW},{OLD}", b"n"), (NEW, b"n")):
        installed.done("setup", TRANSFER_ENCRYPTION_KEYS=keys)
        assert installed.asked(key_ids) == {newest}


def test_a_lever_that_a_rule_refuses_says_why_though_errors_are_encrypted(
    install: Callable[..., Installation],
) -> None:
    """The UI decodes no errors. Whatever else fails is encrypted."""
    domain = "hillside.example"
    installed = install()
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = NEW
    installed.set_up([domain])
    installed.working()
    installed.done("start", domain, "--to", "globex", **installed.policy(grace="30d"))
    installed.reaches("AWAITING", domain)

    async def refused(client: Client, lever: str, body: object) -> str:
        address = installed.settings["TEMPORAL_ADDRESS"]
        plain = await Client.connect(address, namespace=client.namespace)
        handle = plain.get_workflow_handle(f"transfer-{domain}")
        try:
            await handle.execute_update(lever, body)
        except WorkflowUpdateFailedError as error:
            return str(error.cause)
        return ""

    why = {"staff": "sam", "reason": "two owners claim it"}
    told = installed.asked(lambda client: refused(client, "resume", why))
    assert "not on hold" in told
    assert "Encoded failure" in installed.asked(lambda client: refused(client, "resume", {}))
