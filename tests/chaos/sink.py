"""A mail server as a program: what it accepts is in its file before it says so.

Usage: ``python -m tests.chaos.sink PORT FILE``
"""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


class Keeper:
    """Writes a line for each mail and recipient, at once, so that ``kill -9`` loses none."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Keep one mail."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        for recipient in envelope.rcpt_tos:
            line = {"at": time.time(), "id": message["Message-ID"], "to": recipient}
            os.write(self._file, json.dumps(line).encode() + b"\n")
        return "250 kept"


@dataclass(frozen=True)
class Kept:
    """A mail that arrived: when, in seconds since 1970, its Message-ID, and for whom."""

    at: float
    id: str
    to: str


def arrived(file: Path) -> list[Kept]:
    """All mails that arrived, in that order."""
    if not file.exists():
        return []
    return [Kept(**json.loads(line)) for line in file.read_text().splitlines()]


def main() -> None:
    """Take mails until told to stop."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    controller = Controller(Keeper(file), hostname="127.0.0.1", port=port)
    controller.start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    controller.stop()


if __name__ == "__main__":
    main()
