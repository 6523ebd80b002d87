"""The real ``temporal`` command line, with our codec server as a program of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.e2e.installation import PROGRAMS, Installation, Program, eventually, free_port
from tests.e2e.test_tracking import get

DOMAIN = "orchard.example"
TRANSFER = f"transfer-{DOMAIN}"
KEY = f"first:{'A' * 43}="
SHARED = "a shared key that is made up"
PRIVATE = ("olga", "The people of", "12.50", "globex")
"""What a transfer's input, details and status say."""


class Cli(NamedTuple):
    """Support staff at the Temporal CLI."""

    installed: Installation
    codec: str = ""
    auth: str = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; its exit code, and all that it printed."""
        address = self.installed.settings["TEMPORAL_ADDRESS"]
        namespace = self.installed.settings["TEMPORAL_NAMESPACE"]
        decoded = ("--codec-endpoint", self.codec) if self.codec else ()
        authorized = ("--codec-auth", self.auth) if self.auth else ()
        ran = subprocess.run(
            (
                *(str(PROGRAMS / "temporal"), "workflow", *arguments, "--workflow-id", TRANSFER),
                *("--address", address, "--namespace", namespace, *decoded, *authorized),
            ),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def reads(self, *arguments: str) -> set[str]:
        """What of a transfer a command shows; search attributes can be read by anybody."""
        _, printed = self.run(*arguments)
        lines = [line for line in printed.splitlines() if "earchAttributes" not in line]
        return {text for text in PRIVATE if text in "\n".join(lines)}


class Codec(NamedTuple):
    """A codec server that runs, and its address."""

    program: Program
    address: str


@pytest.fixture(scope="module")
def installed(install: Callable[..., Installation]) -> Installation:
    """An installation that encrypts, with an open transfer."""
    made = install()
    made.settings["TRANSFER_ENCRYPTION_KEYS"] = KEY
    made.set_up([DOMAIN])
    made.sink.start()
    made.working()
    made.done("start", DOMAIN, "--to", "globex", "--by", "olga", **made.policy(grace="30d"))
    return made


@pytest.fixture
def codec(installed: Installation) -> Codec:
    """A codec server, at an address of its own."""
    port = str(free_port())
    program = installed.codec_server(TRANSFER_CODEC_SECRET=SHARED, TRANSFER_CODEC_PORT=port)
    program.has_said("codec_started")
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: get(f"{address}/healthz")[0] == 200, "it listens")
    return Codec(program, address)


def test_the_cli_reads_and_sends_with_the_codec_server(
    installed: Installation, codec: Codec
) -> None:
    cli = Cli(installed, codec.address, f"Bearer {SHARED}")
    assert cli.reads("show", "--detailed") >= {"olga", "globex"}
    assert cli.reads("query", "--name", "status") == {"The people of", "12.50", "globex"}
    assert cli.reads("describe", "-o", "json") == set(PRIVATE)

    ticket = installed.file(DOMAIN, "release")
    body = json.dumps({"ticket_id": ticket})
    code, said = cli.run("signal", "--name", "release", "--input", body)
    assert (code, "Signal workflow succeeded" in said) == (0, True)
    installed.authorized(DOMAIN, "release")
    _, kept = Cli(installed).run("show", "-o", "json")
    (sent,) = [
        event["workflowExecutionSignaledEventAttributes"]["input"]["payloads"]
        for event in json.loads(kept)["events"]
        if event["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED"
    ]
    encoding = "YmluYXJ5L2VuY3J5cHRlZA=="  # binary/encrypted
    assert [payload["metadata"]["encoding"] for payload in sent] == [encoding]

    assert codec.program.stop() == 0
    logged = [json.loads(line) for line in codec.program.log.splitlines()]
    decoded = [line for line in logged if line["event"] == "payloads_decoded"]
    namespace = installed.settings["TEMPORAL_NAMESPACE"]
    assert {(one["who"], one["namespace"]) for one in decoded} == {("shared key", namespace)}
    assert "payloads_encoded" in {line["event"] for line in logged}
    for private in (*PRIVATE, SHARED, DOMAIN, KEY):
        assert private not in codec.program.log


def test_the_cli_reads_nothing_without_the_codec_server(installed: Installation) -> None:
    cli = Cli(installed)
    code, said = cli.run("show", "--detailed")
    assert (code, "WorkflowExecutionStarted" in said) == (0, True)
    for command in (("show", "--detailed"), ("query", "--name", "status"), ("describe",)):
        assert cli.reads(*command) == set()


@pytest.mark.parametrize("auth", ["", "Bearer a guess that is long enough"])
def test_the_cli_reads_nothing_without_the_shared_key(
    installed: Installation, codec: Codec, auth: str
) -> None:
    cli = Cli(installed, codec.address, auth)
    code, said = cli.run("query", "--name", "status")
    assert code == 1
    assert "UNAUTHORIZED" in said
    assert cli.reads("query", "--name", "status") == set()
    refused = [json.loads(line) for line in codec.program.log.splitlines()]
    assert {line["event"] for line in refused} == {"codec_started", "codec_refused"}
    assert "a guess" not in codec.program.log


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"TRANSFER_ENCRYPTION_KEYS": ""}, "TRANSFER_ENCRYPTION_KEYS"),
        ({}, "TRANSFER_CODEC_SECRET"),
        ({"TRANSFER_CODEC_SECRET": "short"}, "TRANSFER_CODEC_SECRET"),
    ],
)
def test_what_it_needs_is_said_in_one_line_and_by_exit_code_2(
    installed: Installation, settings: dict[str, str], variable: str
) -> None:
    program = installed.codec_server(**settings)
    assert program.ended() == 2
    assert variable in program.log
    assert len(program.log.splitlines()) == 1


def test_a_worker_without_the_key_delays_a_transfer_and_loses_nothing(
    install: Callable[..., Installation],
) -> None:
    """What was rung for meanwhile is taken when a worker with the key is back."""
    installed = install()
    installed.settings["TRANSFER_ENCRYPTION_KEYS"] = KEY
    installed.set_up([DOMAIN])
    installed.sink.start()
    worker = installed.working()
    installed.done("start", DOMAIN, "--to", "globex", **installed.policy(grace="30d"))
    installed.reaches("AWAITING", DOMAIN)
    worker.stop()
    keyless = installed.working(TRANSFER_ENCRYPTION_KEYS="")
    installed.ring(DOMAIN, "release")
    keyless.has_said("Unknown payload encoding binary/encrypted")
    keyless.stop()
    installed.working()
    installed.authorized(DOMAIN, "release")
