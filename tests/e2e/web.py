"""A gateway as a program, and a ticket system that announces tickets to it."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from tests.e2e.installation import Installation, Program, eventually, free_port
from tests.gateway.panel import SECRET

_ids = itertools.count(1)


class Web:
    """A gateway that listens, and a ticket system that announces tickets to it."""

    def __init__(self, installed: Installation) -> None:
        self.installed = installed
        self.port = free_port()
        self.policy = installed.policy(grace="1s")
        self.program = self.start()

    def start(self, **settings: str) -> Program:
        """Begin a gateway, and wait until it listens."""
        self.program = self.installed.gateway(
            TRANSFER_WEBHOOK_SECRET=SECRET,
            TRANSFER_GATEWAY_PORT=str(self.port),
            **self.policy | settings,
        )
        eventually(lambda: self.get("/healthz")[0] == 200, "the gateway listens")
        return self.program

    def ready(self) -> None:
        """Wait until all that it needs answers."""
        eventually(lambda: self.get("/readyz")[0] == 200, "the gateway is ready")

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask for a page."""
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def announce(self, ticket: str, *, webhook_id: str = "") -> tuple[int, dict[str, Any]]:
        """Announce a ticket as it is at the desk."""
        shown = self.installed.done("desk", "show", ticket, "--json").document["ticket"]
        keys = ("id", "account", "subject", "body", "created_at", "updated_at")
        said = {key: shown[key] for key in keys} | {"status": "open"}
        said["author"] = shown["author"] | {"administrator": True, "delegated": False}
        body = json.dumps({"event": "ticket.created", "ticket": said})
        name, at = webhook_id or f"msg_{next(_ids)}", datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(name, at, body),
        }
        url = f"http://127.0.0.1:{self.port}/tickets"
        return self._ask(urllib.request.Request(url, body.encode(), headers))

    def _ask(self, request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, {}
