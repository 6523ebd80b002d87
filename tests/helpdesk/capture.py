"""Writes `payloads/`: what a real django-helpdesk posts, scrubbed of nothing but its secrets.

`.venv/bin/python -m tests.helpdesk.capture`; HELPDESK_VENV may name a ready environment.
"""

from __future__ import annotations

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.helpdesk.helpdesk import Helpdesk, environment

PAYLOADS = Path(__file__).with_name("payloads")
CARL = "carl@customer.example"
SUBJECT = "Authorize transfer of account"
TEXT = (
    "We, road.example, authorize the transfer of our account from Acme Hosting to Globex.\n"
    "Thank you"
)
OTHER = TEXT.replace("Globex", "Initech")
MAIL = f"From: Carl <{CARL}>\nTo: desk@panel.example\nMessage-Id: <{{id}}@customer.example>\n"


class Ear(HTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        heard = self.heard

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = dict(self.headers) | {"Authorization": "scrubbed"}
                heard.append({"path": self.path, "headers": headers, "body": body})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Hook)


def capture(ear: Ear, desk: Helpdesk) -> None:
    """Tell the story; every line that is announced is a file."""

    def keep(name: str) -> None:
        (said,) = ear.heard
        ear.heard.clear()
        (PAYLOADS / f"{name}.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")

    def say(ticket: int, name: str, **fields: object) -> None:
        assert desk.api("POST", "followups", ticket=ticket, **fields).status == 201
        keep(name)

    fields = {"queue": 1, "title": SUBJECT, "description": TEXT, "submitter_email": CARL}
    assert desk.api("POST", "tickets", priority=3, **fields).status == 201
    keep("ticket-by-api")
    for name, by in (("stranger", ""), ("carl", "carl"), ("mallory", "mallory")):
        assert desk.submit(CARL, SUBJECT, TEXT, by=by) == 302
        keep(f"ticket-by-{name}")
    desk.mail(MAIL.format(id=1) + f"Subject: {SUBJECT}\n\n{TEXT}\n")
    keep("ticket-by-mail")
    say(3, "reply", comment="Seen, thank you.", public=True)
    say(3, "reply-with-title", comment="A remark.", title="Internal", public=False)
    assert desk.api("PATCH", "tickets/3", description=OTHER).status == 200
    assert not ear.heard, "an edit is announced by nobody"
    say(3, "reply-after-edit", comment="Corrected.", public=False)
    say(3, "closed", comment="Done.", public=True, new_status=4)
    desk.mail(MAIL.format(id=2) + "Subject: Re: [transfers-3] x\n\nWe withdraw.\n")
    keep("reopened-by-mail")
    say(4, "resolved", comment="Done.", public=True, new_status=3)
    say(4, "duplicate", comment="Twice.", public=True, new_status=5)
    assert desk.api("PATCH", "tickets/5", status=4).status == 200
    assert not ear.heard, "a ticket closed by the API is announced by nobody"
    assert desk.api("PATCH", "followups/2", user=3, comment=OTHER).status == 200
    assert not ear.heard, "nor is a followup that is put into somebody's mouth"
    say(2, "reply-after-forgery", comment="Hm.", public=False)


def main() -> None:
    """Start a helpdesk, and tell it the story."""
    ear = Ear()
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="helpdesk-") as name:
        folder = Path(name)
        url = f"http://bridge:secret@127.0.0.1:{ear.server_port}/hook"
        desk = Helpdesk(folder, url, python=environment(folder))
        try:
            capture(ear, desk.start())
        finally:
            desk.stop()


if __name__ == "__main__":
    main()
