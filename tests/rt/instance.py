"""A private Request Tracker on loopback: its own folder, SQLite database, users and port.

Mails go into a file each, in ``mails``. What happens to tickets is posted to ``hook_url``, which
may be changed at any time; nothing is posted while it is empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

import httpx

Via = Literal["web", "rest", "mail"]
DEPLOYED = Path(__file__).parents[2] / "deploy" / "request-tracker"
SERVER = "/usr/share/request-tracker5/libexec/rt-server"
SETUP = "/usr/sbin/rt-setup-database-5"
PASSWORD = "as-secret-as-a-test"
SECRET = "shared-with-the-hook-of-the-tests"
OURS = "transfer"
"""The RT user whose token our adapter has: replies of ours are booked under it."""
STAFF = "sam"
PANEL = "panel"
"""An RT user under which a control panel files tickets for the people who use it."""
STAFF_QUEUE = "Staff's transfers"
"""The queue in which escalations are tickets."""
HASTY = "Hasty"
"""A queue whose hook fires inside RT's own transaction, before the ticket can be read back."""
_START_UP = 60.0
_PATIENCE = 20.0

_SITE_CONFIG = r"""
use lib '{folder}/lib';
$RT::VarPath = '{folder}';
$RT::MasonDataDir = '{folder}/mason';
$RT::MasonSessionDir = '{folder}/sessions';
Set($rtname, 'panel.example'); Set($Organization, 'panel.example');
Set($CorrespondAddress, 'support@panel.example');
Set($CommentAddress, 'comment@panel.example');
Set($OwnerEmail, 'root@panel.example');
Set($WebDomain, '127.0.0.1'); Set($WebPort, {port}); Set($WebPath, '');
Set($WebBaseURL, 'http://127.0.0.1:{port}'); Set($WebURL, 'http://127.0.0.1:{port}/');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '{folder}/rt.sqlite');
Set($DatabaseHost, ''); Set($DatabasePort, '');
Set($DatabaseUser, ''); Set($DatabasePassword, '');
Set($LogToFile, 'info'); Set($LogDir, '{folder}'); Set($LogToFileNamed, 'rt.log');
Set($LogToSyslog, undef); Set($LogToSTDERR, 'warning');
Set($Timezone, '{zone}');
Set($WebSessionClass, 'Apache::Session::File');
Set($BcryptCost, 4); Set($MinimumPasswordLength, 5);
Set($MailCommand, 'sendmailpipe'); Set($SendmailPath, '{folder}/sendmail');
Set($SendmailArguments, '');
Set($RestrictReferrer, 0);
Set(%FullTextSearch, Enable => 1, Indexed => 0);
1;
"""

# In place of mail: a file each.
_SENDMAIL = """#!/bin/sh
exec cat > "$(mktemp '{folder}/mails/XXXXXXXX')"
"""

# The hook's address is in a file, so that a test may choose it while RT runs.
_HOOK = r"""
package RT::Action::PostTransferWebhook;
no warnings 'redefine';
sub URL {{
    open my $file, '<', '{folder}/hook-url' or return;
    my $url = <$file>;
    return $url;
}}
1;
"""

_DATA = r"""
@Queues = (
    {{ Name => '{hasty}', Description => 'Announced too early' }},
    {{ Name => "{staff_queue}", Description => 'Escalations' }},
);
@Users = (
    map( +{{ Name => $_, Privileged => 1, Password => '{password}',
             EmailAddress => "$_\@panel.example" }}, qw({ours} {staff} {panel}) ),
);
@CustomFields = map {{
    {{ Name => $_, Type => 'FreeformSingle', Queue => 0, LookupType => 'RT::Queue-RT::Ticket' }}
}} ('Account', 'Delegated');
@Scrips = ({{
    Description => 'Announce inside the transaction', Queue => '{hasty}',
    ScripCondition => 'On Create', ScripAction => 'Announce to Customer Transfer',
    Template => 'Blank', Stage => 'TransactionCreate',
}});
sub may {{
    my ($who, @rights) = @_;
    return map {{ +{{ %$who, Right => $_ }} }} @rights;
}}
@ACL = (
    may({{ GroupDomain => 'SystemInternal', GroupType => 'Everyone' }},
        qw(CreateTicket ReplyToTicket SeeQueue)),
    may({{ GroupDomain => 'RT::System-Role', GroupType => 'Requestor' }},
        qw(ShowTicket ReplyToTicket)),
    may({{ UserId => '{ours}' }},
        qw(SeeQueue ShowTicket ReplyToTicket ModifyTicket SeeCustomField SeeGroup)),
    may({{ UserId => '{ours}', Queue => "{staff_queue}" }}, qw(CreateTicket)),
    may({{ UserId => '{staff}' }},
        qw(SeeQueue ShowTicket ReplyToTicket CommentOnTicket ModifyTicket OwnTicket)),
    may({{ UserId => '{panel}' }},
        qw(SeeQueue ShowTicket ReplyToTicket CreateTicket ModifyCustomField SeeCustomField)),
);
@Final = (sub {{
    my $root = RT::User->new(RT->SystemUser);
    $root->Load('root');
    $root->SetPassword('{password}');
    my $user = RT::User->new(RT->SystemUser);
    $user->Load('{ours}');
    my $token = RT::AuthToken->new(RT->SystemUser);
    my ($ok, $message, $text) = $token->Create(Owner => $user->id, Description => 'tests');
    open my $file, '>', '{folder}/token' or die $!;
    print $file $text;
    close $file;
}});
1;
"""


@dataclass
class RequestTracker:
    """A running Request Tracker, and what people do with it."""

    folder: Path
    port: int
    token: str
    secret: str
    server: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address, with a slash at the end."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def hook_url(self) -> str:
        """Where its hook posts to; empty: nowhere."""
        return (self.folder / "hook-url").read_text()

    @hook_url.setter
    def hook_url(self, url: str) -> None:
        (self.folder / "hook-url").write_text(url)

    @property
    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "rt.log").read_text()

    # -- people ----------------------------------------------------------------------------------
    def add_person(
        self, name: str, account: str = "", *, administrator: bool = True, organization: str = ""
    ) -> str:
        """Add a person, in the groups of ``account``; return the name. Again changes nothing."""
        user = {
            "Name": name,
            "RealName": name.title(),
            "EmailAddress": f"{name}@people.example",
            "Password": PASSWORD,
            "Organization": organization,
        }
        answer = self._as("root").post("user", json=user)
        assert answer.status_code == 201 or "in use" in answer.text, answer.text
        if account:
            self.join(name, f"account {account}")
            if administrator:
                self.join(name, f"administrators of {account}")
        return name

    def join(self, name: str, group: str) -> None:
        """Put a person into a group, which is made if need be."""
        root = self._as("root")
        members = root.put(f"group/{self._group(group)}/members", json=[self._user_id(name)])
        members.raise_for_status()

    def leave(self, name: str, group: str) -> None:
        """Take a person out of a group."""
        path = f"group/{self._group(group)}/member/{self._user_id(name)}"
        self._as("root").delete(path).raise_for_status()

    def change_user(self, name: str, **values: str) -> None:
        """Change what RT knows of a user, as its administrator."""
        self._as("root").put(f"user/{name}", json=values).raise_for_status()

    # -- tickets ---------------------------------------------------------------------------------
    def file(
        self,
        person: str,
        subject: str,
        body: str,
        *,
        via: Via = "web",
        queue: str = "General",
        html: bool = False,
        **more: Any,
    ) -> str:
        """File a ticket as a person, and return its id. ``more`` is for REST: ``Requestor=…``."""
        before = self._newest()
        if via == "mail":
            self.mail(f"{person}@people.example", subject, body, queue=queue)
        elif via == "web":
            self._file_in_web(person, subject, body, queue, html=html)
        else:
            kind = "text/html" if html else "text/plain"
            texts = {"Queue": queue, "Subject": subject, "Content": body, "ContentType": kind}
            answer = self._as(person).post("ticket", json=texts | more)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])
        newest = self._newest()
        assert newest > before, f"no ticket was filed: {self.log[-2000:]}"
        return str(newest)

    def reply_as(self, person: str, ticket: str, text: str, *, via: Via = "rest") -> None:
        """Reply on a ticket, as whoever it is."""
        if via == "mail":
            mark = f"[panel.example #{ticket}] Re:"
            self.mail(f"{person}@people.example", mark, text)
        elif via == "web":
            page = "Ticket/Update.html" if person in (STAFF, PANEL) else "SelfService/Update.html"
            form = {"id": ticket, "UpdateContent": text, "UpdateContentType": "text/plain"}
            form |= {"SubmitTicket": "1", "UpdateType": "response"}
            self._logged_in(person).post(page, data=form).raise_for_status()
        else:
            reply = {"Content": text, "ContentType": "text/plain"}
            answer = self._as(person).post(f"ticket/{ticket}/correspond", json=reply)
            assert answer.status_code == 201, answer.text

    def comment(self, ticket: str, text: str) -> None:
        """Comment on a ticket, as staff: its filer does not see that."""
        note = {"Content": text, "ContentType": "text/plain"}
        self._as(STAFF).post(f"ticket/{ticket}/comment", json=note).raise_for_status()

    def change(self, ticket: str, *, by: str = "root", **values: Any) -> None:
        """Change a ticket: ``Status=…``, ``Subject=…``, ``Requestor=…``, ``CustomFields=…``."""
        self._as(by).put(f"ticket/{ticket}", json=values).raise_for_status()

    def resolve(self, ticket: str) -> None:
        """Close a ticket, as staff."""
        self.change(ticket, by=STAFF, Status="resolved")

    def merge(self, ticket: str, into: str) -> None:
        """Merge a ticket into another."""
        self.change(ticket, MergeInto=int(into))

    def status(self, ticket: str) -> str:
        """What RT calls the state of a ticket."""
        return str(self._as("root").get(f"ticket/{ticket}").json()["Status"])

    def has(self, ticket: str) -> bool:
        """Whether a ticket can be read now."""
        return self._as("root").get(f"ticket/{ticket}").status_code == 200

    def replies(self, ticket: str) -> list[dict[str, Any]]:
        """The replies on a ticket, oldest first: who, and the text."""
        history = self._as("root").get(
            f"ticket/{ticket}/history",
            params={"fields": "Type,Creator", "per_page": 100},
        )
        return [
            {"by": one["Creator"]["id"], "text": self._text_of(one["id"])}
            for one in history.json()["items"]
            if one["Type"] == "Correspond"
        ]

    def mail(
        self, sender: str, subject: str, body: str, *, queue: str = "General", **headers: str
    ) -> None:
        """Hand RT a mail, as a mail server does: nothing proves that ``sender`` wrote it."""
        message = EmailMessage()
        message["From"], message["To"] = sender, "support@panel.example"
        message["Subject"] = subject
        message["Message-ID"] = f"<{time.time_ns()}@people.example>"
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        message.set_content(body)
        gate = ["rt-mailgate", "--queue", queue, "--action", "correspond", "--url", self.url]
        subprocess.run(gate, input=bytes(message), check=True, timeout=60)

    # -- the server ------------------------------------------------------------------------------
    def stop(self) -> None:
        """Let all its workers hang, as they are."""
        os.killpg(self.server.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let them go on."""
        os.killpg(self.server.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it, by its process group: the server and its workers."""
        for name in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.server.pid, name)
        try:
            self.server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()

    # -- how -------------------------------------------------------------------------------------
    def _as(self, person: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}REST/2.0/", auth=(person, PASSWORD), timeout=_PATIENCE
        )

    def _logged_in(self, person: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=_PATIENCE, follow_redirects=True)
        client.post("NoAuth/Login.html", data={"user": person, "pass": PASSWORD, "next": ""})
        return client

    def _file_in_web(self, person: str, subject: str, body: str, queue: str, *, html: bool) -> None:
        number = self._as("root").get(f"queue/{queue}").json()["id"]
        form = {
            "id": "new",
            "Queue": str(number),
            "Subject": subject,
            "Content": body,
            "ContentType": "text/html" if html else "text/plain",
            "Requestors": f"{person}@people.example",
            "SubmitTicket": "1",
        }
        inside = person in (STAFF, PANEL)
        page = "Ticket/Create.html" if inside else "SelfService/Display.html"
        answer = self._logged_in(person).post(page, data=form)
        answer.raise_for_status()

    def _newest(self) -> int:
        newest = {"query": "id > 0", "orderby": "id", "order": "DESC", "per_page": "1"}
        items = self._as("root").get("tickets", params=newest).json()["items"]
        return int(items[0]["id"]) if items else 0

    def _group(self, name: str) -> int:
        root = self._as("root")
        wanted = [{"field": "Name", "value": name}]
        found = root.post("groups", json=wanted).json()["items"]
        if not found:
            made = root.post("group", json={"Name": name})
            assert made.status_code == 201, made.text
            return int(made.json()["id"])
        return int(found[0]["id"])

    def _user_id(self, name: str) -> int:
        links = self._as("root").get(f"user/{name}").json()["_hyperlinks"]
        return int(next(link["id"] for link in links if link["ref"] == "self"))

    def _text_of(self, transaction: str) -> str:
        found = self._as("root").get(
            f"transaction/{transaction}/attachments", params={"fields": "Content,ContentType"}
        )
        texts = [one.get("Content", "") for one in found.json()["items"]]
        return "\n".join(text for text in texts if text)


def start(folder: Path, *, zone: str = "UTC", secret: str = SECRET) -> RequestTracker:
    """Set up and start a Request Tracker in an empty folder; it takes about ten seconds."""
    values = {
        "folder": folder,
        "port": _free_port(),
        "zone": zone,
        "password": PASSWORD,
        "ours": OURS,
        "staff": STAFF,
        "panel": PANEL,
        "hasty": HASTY,
        "staff_queue": STAFF_QUEUE,
    }
    for name in ("mason", "sessions", "mails", "etc"):
        (folder / name).mkdir()
    shutil.copytree(DEPLOYED / "lib", folder / "lib")
    config = re.sub(r"\{(folder|port|zone)\}", lambda m: str(values[m[1]]), _SITE_CONFIG)
    (folder / "RT_SiteConfig.pm").write_text(config.lstrip())
    (folder / "lib/RT/Action/PostTransferWebhook_Local.pm").write_text(_HOOK.format(**values))
    (folder / "data").write_text(_DATA.format(**values))
    (folder / "hook-url").write_text("")
    (folder / "sendmail").write_text(_SENDMAIL.format(**values))
    (folder / "sendmail").chmod(0o755)
    env = os.environ | {
        "RT_SITE_CONFIG": str(folder / "RT_SiteConfig.pm"),
        "RT_SITE_CONFIG_DIR": str(folder / "etc"),
        "TRANSFER_WEBHOOK_SECRET": secret,
        "PERL5LIB": str(folder / "lib"),
    }
    _set_up(["--action", "init", "--skip-create"], env)
    for data in (DEPLOYED / "initialdata", folder / "data"):
        _set_up(["--action", "insert", "--skip-create", "--datafile", str(data)], env)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *[SERVER, "--server", "Starlet", "--host", "127.0.0.1"],
                *["--port", str(values["port"]), "--max-workers", "3"],
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    token = (folder / "token").read_text()
    running = RequestTracker(folder, int(str(values["port"])), token, secret, server)
    _wait(lambda: httpx.get(running.url, timeout=_PATIENCE).status_code == 200, running)
    return running


def _set_up(arguments: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(
        [SETUP, *arguments], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode or "[critical]" in done.stderr:
        raise RuntimeError(f"Request Tracker was not set up: {done.stdout}{done.stderr}")


def _wait(check: Callable[[], bool], running: RequestTracker) -> None:
    end = time.monotonic() + _START_UP
    while time.monotonic() < end and running.server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if check():
                return
        time.sleep(0.1)
    running.close()
    raise RuntimeError(
        "Request Tracker did not start: " + (running.folder / "server.log").read_text()
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
