"""The demo's counterparts: a Temporal dev server, a mail sink, a worker, a gateway.

They use free ports and a folder of their own, so that several demos can run side by side.
"""

from __future__ import annotations

import base64
import email
import email.policy
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from email.message import EmailMessage
from importlib import resources
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from rich.markup import escape

from transfer.commands.console import Exit, out, say
from transfer.errors import TransferError, Unreachable

START_SECONDS = 30.0
STOP_SECONDS = 25.0
COMMAND_SECONDS = 60.0


class Stack:
    """Starts everything when entered, and ends it, by its own process ids, when left."""

    def __init__(self, *, keep: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="customer-transfer-"))
        self.started = time.monotonic()
        self._keep = keep
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sink = _Sink(self.folder / "mails")
        self.sample = self.folder / "sample.toml"
        self.address, self.ui, self.webhook = "", "", ""

    def __enter__(self) -> Self:
        """Start the counterparts; what was started is stopped again if one does not come up."""
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; show the worker's last words if something went wrong."""
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            for name in self._processes:
                say(f"-- the end of {name}.log")
                say(self._tail(name))
        self._stop()

    def starter(self, *arguments: str, expect: Exit = Exit.DONE, quiet: bool = False) -> str:
        """Run a command of the starter, as an operator would, and show it.

        Raises:
            TransferError: it left with another exit code than expected.
        """
        if not quiet:
            typed = " ".join(shlex.quote(argument) for argument in arguments)
            out.print(f"  [dim]$[/dim] python starter.py {escape(typed)}", soft_wrap=True)
        done = subprocess.run(
            [sys.executable, "-m", "starter", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if not quiet:
            for line in done.stdout.splitlines():
                out.print(f"    {escape(line)}", soft_wrap=True)
        if done.returncode != expect:
            raise TransferError(f"{arguments} left with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def mails(self) -> list[EmailMessage]:
        """Every mail that arrived, in order."""
        return self._sink.mails()

    def explain(self) -> None:
        """Where to look, and how to join in from another terminal."""
        say(f"Temporal UI:  {self.ui}/namespaces/default/workflows")
        say(f"Mails:        {self._sink.folder}")
        say(f"Webhook:      {self.webhook}")
        say("A party's page: the link in each mail, or starter.py tracking link DOMAIN --party …")
        say(f"Logs:         {self.folder / 'worker.log'} {self.folder / 'gateway.log'}")
        say(f"Join in:      . {self.folder / 'env'} && .venv/bin/python starter.py list")

    def wait(self) -> None:
        """Stay until Ctrl-C, or until a counterpart ends by itself."""
        say("Running. Ctrl-C ends it.")
        try:
            while all(process.poll() is None for process in self._processes.values()):
                time.sleep(0.5)
        except KeyboardInterrupt:
            return
        raise Unreachable("A counterpart ended by itself; its log says why.")

    def _start(self) -> None:
        sample = resources.files("transfer.commands.demo").joinpath("sample.toml")
        self.sample.write_text(sample.read_text(encoding="utf-8"), encoding="utf-8")
        server, ui, http, gateway = (_free_port() for _ in range(4))
        self.address, self.ui = f"127.0.0.1:{server}", f"http://127.0.0.1:{ui}"
        self.webhook = f"http://127.0.0.1:{gateway}/tickets"
        settings = {
            "TEMPORAL_ADDRESS": self.address,
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_CONFIG_FILE": str(self.folder / "temporal.toml"),
            "TRANSFER_DATABASE_URL": f"sqlite:///{self.folder / 'transfer.db'}",
            "TRANSFER_SMTP_URL": f"smtp://127.0.0.1:{self._sink.start()}",
            "TRANSFER_MAIL_FROM": "Customer Transfers <transfers@panel.example>",
            "TRANSFER_TICKETS_URL": "database:",
            "TRANSFER_STAFF_NOTIFY": "support@panel.example",
            "TRANSFER_WEBHOOK_SECRET": "whsec_" + base64.b64encode(os.urandom(32)).decode(),
            "TRANSFER_GATEWAY_PORT": str(gateway),
            "TRANSFER_PUBLIC_URL": f"http://127.0.0.1:{gateway}",
            "TRANSFER_TRACKING_KEYS": base64.b64encode(os.urandom(32)).decode(),
        }
        for name in [name for name in os.environ if name.startswith(("TEMPORAL_", "TRANSFER_"))]:
            del os.environ[name]
        os.environ.update(settings)
        exports = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in settings.items())
        (self.folder / "env").write_text(exports, encoding="utf-8")
        self._run(
            "temporal",
            _temporal(),
            "server",
            "start-dev",
            *("--ip", "127.0.0.1", "--port", str(server), "--ui-port", str(ui)),
            *("--http-port", str(http), "--log-level", "error"),
            *("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
            *("--dynamic-config-value", "history.maxInFlightUpdatePayloads=1500000"),
        )
        self._await("temporal", server)
        self._await("temporal", ui)
        say(f"Temporal is up: {self.address}, its UI at {self.ui}")
        self.starter("setup", quiet=True)
        self._run("worker", sys.executable, "-m", "worker")
        self._run("gateway", sys.executable, "-m", "gateway")
        self._await("gateway", gateway)
        say(f"Worker and gateway are up; mails go to {self._sink.folder}")

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _await(self, name: str, port: int) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._processes[name].poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise Unreachable(f"{name} did not come up: {self._tail(name)}")

    def _tail(self, name: str) -> str:
        log = self.folder / f"{name}.log"
        lines = (
            log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        )
        return "\n".join(lines[-15:]) or "(empty)"

    def _stop(self) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):  # whoever is impatient now leaves orphans
            signal.signal(name, signal.SIG_IGN)
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._sink.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Sink:
    """A mail server that keeps every mail as a file and sends none on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._controller: Any = None

    def start(self) -> int:
        from aiosmtpd.controller import Controller  # noqa: PLC0415 - a demo's dependency only

        self.folder.mkdir()
        self._controller = Controller(self, hostname="127.0.0.1", port=_free_port())
        self._controller.start()
        return int(self._controller.port)

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Keep one mail."""
        number = len(list(self.folder.iterdir())) + 1
        (self.folder / f"{number:04}.eml").write_bytes(envelope.content)
        return "250 kept"

    def mails(self) -> list[EmailMessage]:
        return [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in sorted(self.folder.iterdir())
        ]

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()


def raised(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Let a signal to stop unwind, so that everything is cleaned up."""
    raise KeyboardInterrupt


def _temporal() -> str:
    beside = Path(sys.executable).parent / "temporal"
    if beside.exists():
        return str(beside)
    if found := shutil.which("temporal"):
        return found
    raise TransferError("The demo needs Temporal's CLI. Run it by: make demo")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
