"""The gateway as a program, on a real Temporal server and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

import pytest
from temporalio.client import Client

from tests.e2e.installation import (
    Installation,
    Ran,
    customer_of,
    eventually,
    free_port,
    in_a_thread,
)
from tests.e2e.web import Web
from tests.gateway.panel import OLD_SECRET, SECRET, Sender
from transfer.adapters.sql.desk import SqlDesk
from transfer.adapters.sql.engine import Database
from transfer.commands.announce import announcement

ROAD, EARLY, KILLED, AWAY = "road.example", "early.example", "killed.example", "away.example"
DESK, CROWD, QUIET = "desk.example", "crowd.example", "quiet.example"


@pytest.fixture(scope="module")
def web(install: Callable[..., Installation]) -> Generator[Web]:
    """An installation with a worker and a gateway."""
    installed = install()
    installed.sink.start()
    installed.set_up([ROAD, EARLY, KILLED, AWAY, DESK])
    installed.working()
    web = Web(installed)
    web.ready()
    yield web
    assert web.program.stop() == 0


def signals(installed: Installation, domain: str) -> list[str]:
    """The names of the signals in a transfer's history."""

    async def look(client: Client) -> list[str]:
        history = await client.get_workflow_handle(f"transfer-{domain}").fetch_history()
        said = [event.workflow_execution_signaled_event_attributes for event in history.events]
        return [one.signal_name for one in said if one.signal_name]

    return installed.asked(look)


def test_three_filed_tickets_are_all_that_a_transfer_needs(web: Web) -> None:
    """The new reseller is first, the customer opens, the old reseller releases: billing moves."""
    installed = web.installed
    accept = installed.file(ROAD, "accept")
    parked = {"outcome": "parked", "transfer_id": f"transfer-{ROAD}"}
    assert web.announce(accept) == (202, parked)
    (row,) = installed.done("tickets", "parked", "--json").document
    assert (row["ticket_id"], row["why"]) == (accept, "WAITS_FOR_TRANSFER")
    assert web.announce(installed.file(ROAD, "authorize"))[1]["outcome"] == "opened"
    installed.authorized(ROAD, "authorize", "accept")
    eventually(
        lambda: "No ticket waits." in installed.done("tickets", "parked").words,
        "the transfer has picked up the ticket",
    )
    assert web.announce(installed.file(ROAD, "release"))[1]["outcome"] == "signalled"
    installed.reaches("COMPLETED", ROAD)
    installed.moved_once(ROAD)


def test_one_webhook_sent_again_and_again_is_one_signal(web: Web) -> None:
    """Even if the first answer was never kept: as if the gateway had been killed before it."""
    installed = web.installed
    installed.done("start", KILLED, "--to", "globex")
    ticket = installed.file(KILLED, "authorize")
    first = web.announce(ticket, webhook_id="msg_killed")
    assert first[1]["outcome"] == "signalled"
    installed.query("DELETE FROM webhook_events WHERE webhook_id = 'msg_killed'")
    web.program.kill()
    web.start()
    web.ready()
    for _ in range(2):
        assert web.announce(ticket, webhook_id="msg_killed") == first
    assert signals(installed, KILLED) == ["authorize"]


def test_while_the_database_is_locked_the_sender_is_asked_to_come_again(web: Web) -> None:
    """And then its ticket arrives."""
    installed = web.installed
    ticket = installed.file(AWAY, "accept")
    with installed.locked():
        status, problem = web.announce(ticket, webhook_id="msg_away")
    assert (status, problem["error"]) == (503, "AWAY")
    assert web.announce(ticket, webhook_id="msg_away")[1]["outcome"] == "parked"
    waiting = installed.done("tickets", "parked", "--json").document
    assert [row["ticket_id"] for row in waiting] == [ticket]


def test_without_temporal_a_gateway_starts_and_says_come_again(web: Web) -> None:
    """It is alive but not ready, and stops as it is told to."""
    web.program.stop()
    nowhere = {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    program = web.start(**nowhere)
    assert web.get("/readyz") == (503, {"temporal": "away", "database": "ok"})
    ticket = web.installed.file(EARLY, "release")
    assert web.announce(ticket, webhook_id="msg_early")[0] == 503
    assert program.stop() == 0
    web.start()
    web.ready()
    assert web.announce(ticket, webhook_id="msg_early")[1]["outcome"] == "opened"
    web.installed.authorized(EARLY, "release")


def test_without_a_secret_there_is_no_gateway(web: Web) -> None:
    """It ends with the code of wrong usage, and says which setting to make."""
    program = web.installed.gateway()
    assert program.ended() == 2
    assert "TRANSFER_WEBHOOK_SECRET is not set" in program.log


def test_the_desk_announces_its_tickets_as_a_ticket_system_would(web: Web) -> None:
    """An edited ticket is another event; refusals and silence are told in a line."""
    installed = web.installed
    ticket = installed.file(DESK, "accept")
    mine = {"TRANSFER_WEBHOOK_SECRET": SECRET, "TRANSFER_GATEWAY_PORT": str(web.port)}

    def announced(*options: str, **settings: str) -> Ran:
        return installed.run("desk", "announce", ticket, *options, **mine | settings)

    assert announced().words == f"Ticket {ticket}: parked, transfer-{DESK}."
    installed.done("start", DESK, "--to", "globex")
    eventually(
        lambda: ticket in installed.run("evidence", DESK).out, "its transfer has picked it up"
    )
    assert announced("--json").document["outcome"] == "parked", "the same event"
    installed.done("desk", "edit", ticket, "--body", "What does it cost to transfer us?")
    assert announced("--json").document["outcome"] == "signalled"
    for code, words, options, settings in (
        (2, "TRANSFER_WEBHOOK_SECRET is not set", [], {"TRANSFER_WEBHOOK_SECRET": ""}),
        (2, "--to gateway", ["--to", "gateway"], {}),
        (1, "The gateway answers 401", [], {"TRANSFER_WEBHOOK_SECRET": OLD_SECRET}),
        (4, "No gateway answers at", ["--to", f"http://127.0.0.1:{free_port()}"], {}),
    ):
        ran = announced(*options, **settings)
        assert ran.code == code, ran
        assert words in ran.err
        assert ran.err.count("\n") == 1


@pytest.mark.timeout(120)
def test_a_thousand_webhooks_at_once_all_arrive(web: Web) -> None:
    """Who is asked to come again does. In: tickets; out: signals and parked tickets, each once."""
    installed = web.installed
    installed.load([CROWD, QUIET])
    installed.done("start", CROWD, "--to", "globex")
    installed.reaches("AWAITING", CROWD)

    async def announced() -> tuple[set[str], set[str]]:
        database = Database(installed.settings["TRANSFER_DATABASE_URL"])
        sender, desk = Sender(f"http://127.0.0.1:{web.port}"), SqlDesk(database)
        at_once = asyncio.Semaphore(100)  # the client has no more connections, and queues slowly

        async def send(number: int) -> str:
            domain = QUIET if number % 2 else CROWD
            words = f"When can {domain} be transferred?"
            async with at_once:
                ticket = await desk.file(customer_of(domain), "carl", "A question", words)
                body, name = announcement(ticket), f"msg_many_{number}"
                while (answer := await sender.send(body, webhook_id=name)).is_error:
                    assert answer.status_code == 503, answer.text
            assert answer.json()["outcome"] == ("parked" if number % 2 else "signalled")
            return ticket.id

        async with sender.client:
            ids = await asyncio.gather(*(send(number) for number in range(1000)))
        await database.close()
        return set(ids[::2]), set(ids[1::2])

    signalled, parked = in_a_thread(lambda: asyncio.run(announced()))
    assert len(signals(installed, CROWD)) == len(signalled) == 500
    waits = "SELECT ticket_id FROM parked_tickets WHERE transfer_id = ?"
    waiting = installed.query(waits, f"transfer-{QUIET}")
    assert {ticket for (ticket,) in waiting} == parked
