"""A bridge from django-helpdesk's webhook, which nobody signs, to the gateway's `POST /tickets`.

    HELPDESK_URL=… GATEWAY_URL=… TRANSFER_WEBHOOK_SECRET=whsec_… HOOK_TOKEN=… \\
        python bridge.py PEOPLE.toml PORT

listens on the loopback, and the helpdesk posts to `http://127.0.0.1:PORT/HOOK_TOKEN`.

What a hook proves. `submitter_email` is whatever somebody typed, into the public form, into the
API or behind `From:`; it finds a transfer, and nothing else. Only `user` of the followup that
opened the ticket tells who was logged in: it is null for strangers and for mail. The API is open
to staff alone, who may also give a ticket other words; so words count as their author's only as
long as the opening followup still says the same. Staff themselves are listed as nobody's user.

Whoever the helpdesk is, it never asks again: it waits 3 seconds, reads no status, and where it
cannot connect it answers 500 to the person, whose next try is another ticket. So it is told at
once what the gateway said, and what the gateway could not take is sent again from here, for an
hour, as long as this program lives.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from standardwebhooks import Webhook

MAX_HOOK = 4_000_000
MAX_BODY = 20_000  # characters, as the gateway reads
PATIENCE, PAUSE = 3600.0, 30.0
OPEN = {1: "open", 2: "reopened"}  # 3 resolved, 4 closed, 5 duplicate: all of them closed

Json = dict[str, Any]


class People(NamedTuple):
    """Who is who: `users` by their id at the helpdesk, and the accounts of mail addresses.

    In `users` are administrators, each as {account, id, name, email}, and no staff.
    """

    users: Mapping[str, Mapping[str, str]]
    addresses: Mapping[str, str]


class Event(NamedTuple):
    """An event for the gateway. Told twice by the helpdesk, it has the same id."""

    id: str
    body: Json


def event_of(hook: Json, people: People, helpdesk_url: str) -> Event:
    """Say in the gateway's words what the helpdesk says."""
    ticket: Json = hook["ticket"]
    number, words = ticket["id"], ticket["description"] or ""
    said: list[Json] = sorted(ticket["followup_set"], key=lambda one: int(one["id"]))
    opening = said[0]
    same_words = (opening["comment"] or "").strip() == words.strip()
    # A reply changes no ticket; when its words were changed is not told, but it was before this.
    changed = [one for one in said if one["new_status"] is not None] or [opening]
    user, typed = opening["user"], (ticket["submitter_email"] or "").casefold()
    author: Json
    if known := people.users.get(str(user)):
        account = known["account"]
        author = {"id": known["id"], "name": known["name"], "email": known["email"]}
        author |= {"administrator": True, "delegated": not same_words}
    else:
        account = people.addresses.get(typed, "unknown")
        who = f"unproven:{typed}" if user is None else f"helpdesk-user:{user}"
        author = {"id": who[:200], "name": "", "email": typed}
        author |= {"administrator": False, "delegated": user is not None}
    told = {
        "id": str(number),
        "account": account,
        "author": author,
        "subject": ticket["title"],
        "body": words[:MAX_BODY],
        "status": OPEN.get(ticket["status"], "closed"),
        "created_at": opening["date"],
        "updated_at": (changed if same_words else said)[-1]["date"],
        "url": f"{helpdesk_url}/tickets/{number}/",
    }
    kind = "ticket.updated" if "followup_id" in hook else "ticket.created"
    newest = hook.get("followup_id", opening["id"])
    return Event(f"helpdesk-{number}-{newest}", {"event": kind, "ticket": told})


def announce(event: Event, gateway_url: str, secret: str) -> int:
    """Sign an event, send it to the gateway, and return its status; 503 if it is away."""
    body, at = json.dumps(event.body), datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event.id, at, body),
    }
    request = urllib.request.Request(gateway_url, body.encode(), headers)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 503


def bridge(
    port: int, token: str, event: Callable[[Json], Event], send: Callable[[Event], int]
) -> ThreadingHTTPServer:
    """A server that hears the helpdesk's hooks, and sends what they say."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            if length > MAX_HOOK:
                return self._answer(413)
            raw = self.rfile.read(length)
            if not hmac.compare_digest(self.path.encode(), f"/{token}".encode()):
                return self._answer(404)
            try:
                heard = event(json.loads(raw))
            except (ValueError, LookupError, TypeError, AttributeError):
                return self._answer(400)
            end = time.monotonic() + PATIENCE
            self._answer(status := send(heard))
            while status >= 500 and time.monotonic() < end:
                time.sleep(PAUSE)
                status = send(heard)
            return self.log_message("%s: %s", heard.id, status)

        def _answer(self, status: int) -> None:
            try:
                self.send_response_only(status)  # the other one would log the token
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
            except OSError:
                self.log_message("the helpdesk did not wait for its answer")

    return ThreadingHTTPServer(("127.0.0.1", port), Hook)


def main(people_file: str, port: str) -> None:
    """Run until Ctrl-C."""
    people = People(**tomllib.loads(Path(people_file).read_text(encoding="utf-8")))
    helpdesk, gateway = os.environ["HELPDESK_URL"], f"{os.environ['GATEWAY_URL']}/tickets"
    secret = os.environ["TRANSFER_WEBHOOK_SECRET"]
    bridge(
        int(port),
        os.environ["HOOK_TOKEN"],
        lambda hook: event_of(hook, people, helpdesk),
        lambda event: announce(event, gateway, secret),
    ).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
