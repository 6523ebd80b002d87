"""A mail server in a process of its own that notes whom each mail is about, and keeps none.

``python -m bench.sink PORT FILE`` writes the domain in the subject of each mail to a line of FILE.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

from aiosmtpd.smtp import SMTP, Envelope, Session

ABOUT = re.compile(
    rb"^Subject:[^\r\n]*?(?:\r?\n[ \t][^\r\n]*?)*?([a-z0-9-]+\.example)", re.MULTILINE
)


class Noting:
    """What aiosmtpd calls for each mail."""

    def __init__(self, notes: TextIO) -> None:
        self._notes = notes

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Note one mail."""
        content = envelope.content or b""
        found = ABOUT.search(content if isinstance(content, bytes) else content.encode())
        self._notes.write(f"{found[1].decode() if found else '?'}\n")
        self._notes.flush()
        return "250 noted"


class Mails:
    """Reads what a sink has noted: how many mails there were about each domain."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._at = 0
        self.about: Counter[str] = Counter()

    def look(self) -> Counter[str]:
        """Read what is new."""
        with self._notes.open("rb") as opened:
            opened.seek(self._at)
            lines = opened.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._at += len(whole)
        self.about.update(whole.decode().split())
        return self.about


async def _serve(port: int, notes: Path) -> None:
    loop = asyncio.get_running_loop()
    with notes.open("a", encoding="ascii") as opened:
        server = await loop.create_server(
            lambda: SMTP(Noting(opened), enable_SMTPUTF8=True, loop=loop), "127.0.0.1", port
        )
        print("sink is ready")  # noqa: T201 - what its parent waits for
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
