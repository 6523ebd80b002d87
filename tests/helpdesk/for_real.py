"""The whole way: a real helpdesk, the bridge, our gateway and worker, and a Temporal server.

Run by `make test-helpdesk` and not by `make test`, since it needs Django in an environment of its
own. That is made first and is gone afterwards, unless HELPDESK_VENV names one that is ready.

The service reads tickets back, and knows only its own desk. So the bridge files a mirror of each
ticket there: see `Mirror` for what that costs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation, Program, Server, customer_of, eventually, free_port
from tests.gateway.panel import SECRET
from tests.helpdesk import bridge as bridging
from tests.helpdesk.bridge import Event, Json, People, announce, bridge, event_of
from tests.helpdesk.capture import PAYLOADS
from tests.helpdesk.helpdesk import Helpdesk, environment
from transfer.parties import Account
from transfer.tickets import Intent, text_to_file

pytestmark = pytest.mark.timeout(300)  # an environment may have to be made first

ROAD, EDITED, AWAY = "road.example", "edited.example", "away.example"
TOKEN = "a-token-of-the-tests"
PEOPLE = People(
    users={
        "2": {"account": "acme", "id": "ann", "name": "Ann", "email": "ann@acme.example"},
        "3": {
            "account": customer_of(ROAD),
            "id": "carl",
            "name": "Carl",
            "email": "carl@customer.example",
        },
        "4": {"account": "globex", "id": "gina", "name": "Gina", "email": "gina@globex.example"},
    },
    addresses={"carl@customer.example": customer_of(ROAD)},
)


class Mirror:
    """Our desk's copies of the helpdesk's tickets. In memory, and one way: for these tests.

    A copy is filed by whom the bridge names, so a stranger's is by nobody on record. It cannot
    say that somebody else changed its words: one that staff gave other words is closed.
    """

    def __init__(self, installed: Installation) -> None:
        self._installed = installed
        self._copies: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, event: Event) -> Event:
        """The same event, about our copy."""
        ticket: Json = event.body["ticket"]
        with self._lock:
            if ticket["id"] not in self._copies:
                self._copies[ticket["id"]] = self._desk(
                    *("file", "--account", ticket["account"], "--by", ticket["author"]["id"]),
                    *("--subject", ticket["subject"], "--body", ticket["body"]),
                    *(["--delegated"] if ticket["author"]["delegated"] else []),
                )
            elif ticket["author"]["delegated"] or ticket["status"] == "closed":
                self._desk("close", self._copies[ticket["id"]])
            copied = ticket | {"id": self._copies[ticket["id"]]}
        return Event(event.id, event.body | {"ticket": copied})

    def _desk(self, *arguments: str) -> str:
        # As a program: commands inside this process are for one thread.
        command = [sys.executable, "-m", "starter", "desk", *arguments]
        settings = os.environ | self._installed.settings
        done = subprocess.run(command, env=settings, check=True, capture_output=True, text=True)
        return done.stdout.strip()


class Everything:
    """An installation with a worker and a gateway, a bridge, and a helpdesk."""

    def __init__(self, folder: Path, address: str) -> None:
        self.installed = Installation(folder, address)
        self._policy = self.installed.policy(grace="1s")
        self._gateway_port, self._bridge_port = free_port(), free_port()
        self.helpdesk = Helpdesk(
            folder,
            f"http://127.0.0.1:{self._bridge_port}/{TOKEN}",
            python=environment(folder),
        )
        self._mirror = Mirror(self.installed)
        self.bridge: ThreadingHTTPServer | None = None
        self.gateway: Program | None = None
        self.answers: list[tuple[str, int]] = []

    def start_gateway(self) -> None:
        """Begin a gateway at the same address as ever."""
        self.gateway = self.installed.gateway(
            TRANSFER_WEBHOOK_SECRET=SECRET,
            TRANSFER_GATEWAY_PORT=str(self._gateway_port),
            **self._policy,
        )
        url = f"http://127.0.0.1:{self._gateway_port}/readyz"
        eventually(lambda: is_well(url), "the gateway is ready")

    def start_bridge(self) -> None:
        """Begin to hear the helpdesk."""

        def send(event: Event) -> int:
            url = f"http://127.0.0.1:{self._gateway_port}/tickets"
            self.answers.append((event.id, status := announce(event, url, SECRET)))
            return status

        self.bridge = bridge(
            self._bridge_port,
            TOKEN,
            lambda hook: self._mirror.of(event_of(hook, PEOPLE, self.helpdesk.url)),
            send,
        )
        threading.Thread(target=self.bridge.serve_forever, daemon=True).start()

    def stop_bridge(self) -> None:
        """Hear nothing any more."""
        if self.bridge is not None:
            self.bridge.shutdown()
            self.bridge.server_close()
            self.bridge = None

    def submit(self, what: str, domain: str, *, by: str = "") -> int:
        """File the procedure's text by the public form, with Carl's address."""
        return self.helpdesk.submit("carl@customer.example", *words(what, domain), by=by)

    def slot(self, domain: str, slot: str) -> Json:
        """A slot of a transfer; there is none before its preflight is over."""
        slots: Json = self.installed.done("show", domain, "--json").document["slots"]
        found: Json = slots.get(slot, {"state": "", "ticket_id": None, "rejected": []})
        return found


def is_well(url: str) -> bool:
    """Whether something answers well."""
    try:
        return httpx.get(url, timeout=30).is_success
    except httpx.TransportError:
        return False


def is_there(url: str) -> bool:
    """Whether something answers at all."""
    try:
        httpx.get(url, timeout=30)
    except httpx.TransportError:
        return False
    return True


def words(what: str, domain: str) -> tuple[str, str]:
    """Subject and body of a ticket by the procedure."""
    old, new = Account(id="acme", name="Acme Hosting"), Account(id="globex", name="Globex")
    return text_to_file(Intent(what), domain, old, new)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everything]:
    """All of it, and at the end nothing."""
    folder = tmp_path_factory.mktemp("helpdesk")
    server = Server(folder).start()
    everything = Everything(folder, server.address)
    try:
        everything.installed.sink.start()
        everything.installed.set_up([ROAD, EDITED, AWAY])
        everything.installed.working()
        everything.start_gateway()
        everything.start_bridge()
        everything.helpdesk.start()
        yield everything
    finally:
        everything.helpdesk.stop()
        everything.stop_bridge()
        everything.installed.close()
        server.kill()


def test_three_people_file_by_the_form_and_a_stranger_with_their_address_stops_nothing(
    everything: Everything,
) -> None:
    """Carl's ticket opens the transfer. The stranger's no, in his name, is read and is nobody's."""
    installed = everything.installed
    assert everything.submit("authorize", ROAD, by="carl") == 302
    installed.authorized(ROAD, "authorize")
    assert everything.submit("withdraw", ROAD) == 302
    eventually(
        lambda: "NOT_ADMIN" in installed.done("evidence", ROAD).out,
        "the stranger's ticket is rejected",
    )
    installed.authorized(ROAD, "authorize")
    assert everything.submit("accept", ROAD, by="gina") == 302
    assert everything.submit("release", ROAD, by="ann") == 302
    installed.reaches("COMPLETED", ROAD)
    installed.moved_once(ROAD)
    assert {status for _, status in everything.answers} == {202}


def test_a_ticket_that_staff_give_other_words_counts_no_more_once_it_is_told(
    everything: Everything,
) -> None:
    """The edit itself is announced by nobody: the next followup tells it."""
    installed, helpdesk = everything.installed, everything.helpdesk
    installed.done("start", EDITED, "--to", "globex")
    assert everything.submit("accept", EDITED, by="gina") == 302
    installed.authorized(EDITED, "accept")
    (number, *_) = [
        one["id"]
        for one in helpdesk.api("GET", "tickets").document["results"]
        if EDITED in one["description"]
    ]
    heard = len(everything.answers)
    assert helpdesk.api("PATCH", f"tickets/{number}", description="Something else.").status == 200
    assert len(everything.answers) == heard
    assert helpdesk.api("POST", "followups", ticket=number, comment="See above.").status == 201
    eventually(
        lambda: everything.slot(EDITED, "accept")["state"] != "AUTHORIZED",
        "the ticket counts no more",
    )


def test_what_the_gateway_could_not_take_is_sent_again_by_the_bridge(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The helpdesk reads no status: for its user all is well."""
    monkeypatch.setattr(bridging, "PAUSE", 0.2)
    installed = everything.installed
    installed.done("start", AWAY, "--to", "globex")
    assert everything.gateway is not None
    everything.gateway.stop()
    assert everything.submit("release", AWAY, by="ann") == 302
    event, status = everything.answers[-1]
    assert status == 503
    everything.start_gateway()
    installed.authorized(AWAY, "release")
    assert everything.answers[-1] == (event, 202)


def test_without_a_bridge_each_try_of_a_person_is_an_error_and_a_ticket(
    everything: Everything,
) -> None:
    """And of those tickets nobody hears."""
    helpdesk, heard = everything.helpdesk, len(everything.answers)
    before = helpdesk.api("GET", "tickets").document["count"]
    everything.stop_bridge()
    for _ in range(2):
        assert everything.submit("accept", AWAY, by="gina") == 500
    everything.start_bridge()
    assert helpdesk.api("GET", "tickets").document["count"] == before + 2
    assert len(everything.answers) == heard


def test_the_bridge_as_a_program_hears_nobody_without_its_token(tmp_path: Path) -> None:
    """And says of a gateway that is away what the gateway would."""
    people, port = tmp_path / "people.toml", free_port()
    people.write_text(
        '[users.3]\naccount = "C-1"\nid = "carl"\nname = "Carl"\nemail = "carl@customer.example"\n'
        '[addresses]\n"carl@customer.example" = "C-1"\n'
    )
    settings = {
        "HELPDESK_URL": "https://helpdesk.example",
        "GATEWAY_URL": f"http://127.0.0.1:{free_port()}",
        "TRANSFER_WEBHOOK_SECRET": SECRET,
        "HOOK_TOKEN": TOKEN,
    }
    log, path = tmp_path / "bridge.log", str(Path(bridging.__file__))
    program = Program(log, settings, sys.executable, path, str(people), str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_there(url), "the bridge listens")
        hook = json.loads((PAYLOADS / "ticket-by-carl.json").read_text(encoding="utf-8"))["body"]
        answered = [
            httpx.post(f"{url}/{token}", content=body, timeout=30).status_code
            for token, body in (
                (TOKEN, json.dumps(hook)),
                ("guessed", json.dumps(hook)),
                (TOKEN, "no JSON"),
                (TOKEN, '{"ticket": []}'),
                (TOKEN, '{"ticket": {"id": 1, "description": "", "followup_set": []}}'),
            )
        ]
        assert answered == [503, 404, 400, 400, 400]
        assert TOKEN not in program.log
        assert "Traceback" not in program.log
    finally:
        program.kill()
