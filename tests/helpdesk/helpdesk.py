"""A real django-helpdesk 2.6, made from nothing in a folder, on a free port of the loopback.

Its environment is its own: Django is no dependency of ours. By hand, with Ctrl-C to end it::

    .venv/bin/python -m tests.helpdesk.helpdesk FOLDER WEBHOOK_URL

makes FOLDER/venv first, unless HELPDESK_VENV names one that is ready.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e.installation import Program, eventually, free_port

VERSION = "2.6.1"
PASSWORD = "a password of the tests"

SETTINGS = """\
SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages", "django.contrib.sites",
    "django.contrib.staticfiles", "django.contrib.humanize", "rest_framework", "helpdesk",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "helpdesk.db"}}
# Of the tests: their logins need not be slow.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "urls"
SITE_ID = 1
STATIC_URL = "/static/"
USE_TZ = True
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = "mails"
LOGIN_URL = "/login/"
# Else a reseller's or customer's person who is logged in is led away from the ticket form.
HELPDESK_ALLOW_NON_STAFF_TICKET_UPDATE = False
HELPDESK_VIEW_A_TICKET_PUBLIC = True
HELPDESK_TEAMS_MODE_ENABLED = False
"""
URLS = """\
from django.urls import include, path
urlpatterns = [path("", include("helpdesk.urls", namespace="helpdesk"))]
"""
PEOPLE = """\
import django; django.setup()
from django.contrib.auth.models import User
from helpdesk.models import Queue
User.objects.create_superuser("staff", "staff@panel.example", {password!r})
for name, email in {people!r}:
    User.objects.create_user(name, email, {password!r})
Queue.objects.create(title="Transfers", slug="transfers", allow_public_submission=True)
"""
NAMES = (
    ("ann", "ann@acme.example"),
    ("carl", "carl@customer.example"),
    ("gina", "gina@globex.example"),
    ("mallory", "mallory@elsewhere.example"),
)
"""People who can log in, and nothing more. Their ids at the helpdesk are 2, 3, 4 and 5."""


@dataclass(frozen=True)
class Answered:
    """What the helpdesk answered, and the body where that is JSON."""

    status: int
    document: Any


class Helpdesk:
    """One helpdesk: people ``NAMES`` and ``staff``, and a queue that anybody may write to.

    ``python`` is that of an environment with django-helpdesk in it.
    """

    def __init__(self, folder: Path, webhook_url: str, *, python: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder, self._python = folder, python
        self._settings = {
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": str(folder),
            # Several are split by "," in one and by a comma between blanks in the other.
            "HELPDESK_NEW_TICKET_WEBHOOK_URLS": webhook_url,
            "HELPDESK_FOLLOWUP_WEBHOOK_URLS": webhook_url,
        }
        self._program: Program | None = None

    def start(self) -> Self:
        """Make its database and its people, start it, and wait until it answers."""
        (self._folder / "settings.py").write_text(SETTINGS, encoding="utf-8")
        (self._folder / "urls.py").write_text(URLS, encoding="utf-8")
        self._run("-m", "django", "migrate", "--verbosity", "0")
        self._run("-c", PEOPLE.format(people=NAMES, password=PASSWORD))
        self._program = Program(
            self._folder / "helpdesk.log",
            self._settings,
            *(str(self._python), "-m", "django", "runserver", "--noreload"),
            self.url.removeprefix("http://"),
        )
        eventually(self._answers, f"a helpdesk at {self.url}")
        return self

    def stop(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def api(self, method: str, path: str, **fields: object) -> Answered:
        """Ask its REST API, which is open to ``staff`` alone."""
        with httpx.Client(base_url=self.url, auth=("staff", PASSWORD), timeout=30) as client:
            answer = client.request(method, f"/api/{path}/", json=fields)
        is_json = "json" in answer.headers.get("content-type", "")
        return Answered(answer.status_code, answer.json() if is_json else None)

    def submit(self, submitter: str, title: str, body: str, *, by: str = "") -> int:
        """File a ticket by its public form, logged in or not, and return the status of the answer.

        ``submitter`` is what is typed into the field for a mail address.
        """
        with httpx.Client(base_url=self.url, timeout=30) as client:
            if by:
                said = {"username": by, "password": PASSWORD, "next": "/tickets/my-tickets/"}
                assert self._post(client, "/login/", said) == 302
            said = {"submitter_email": submitter, "title": title, "body": body}
            return self._post(client, "/tickets/submit/", said | {"queue": "1", "priority": "3"})

    def mail(self, message: str) -> None:
        """Let it take a mail as it takes those of its queue's mailbox."""
        self._run(
            "-c",
            "import django, logging, sys; django.setup()\n"
            "from helpdesk.email import extract_email_metadata\n"
            "from helpdesk.models import Queue\n"
            "queue = Queue.objects.get()\n"
            "extract_email_metadata(sys.argv[1], queue, logging.getLogger())",
            message,
        )

    def _post(self, client: httpx.Client, path: str, fields: dict[str, str]) -> int:
        client.get(path)
        token = {"csrfmiddlewaretoken": client.cookies.get("csrftoken") or ""}
        return client.post(path, data=fields | token).status_code

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/login/", timeout=10).is_success
        except httpx.TransportError:
            return False

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [str(self._python), *arguments],
            cwd=self._folder,
            env=os.environ | self._settings,
            check=True,
        )


def environment(folder: Path) -> Path:
    """Return the Python of an environment with django-helpdesk in it; make one if need be."""
    ready = os.environ.get("HELPDESK_VENV")
    place = Path(ready) if ready else folder / "venv"
    python = place.absolute() / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq", f"django-helpdesk=={VERSION}"]
        subprocess.run(install, check=True)
    return python


def main(folder: Path, webhook_url: str) -> None:
    """Start a helpdesk in a folder, and leave it running until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    helpdesk = Helpdesk(folder.absolute(), webhook_url, python=environment(folder)).start()
    sys.stderr.write(f"{helpdesk.url}/tickets/submit/, as staff with {PASSWORD!r}\n")
    try:
        while True:
            input()
    except (KeyboardInterrupt, EOFError):
        helpdesk.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
