"""Mails by SMTP, against a real server that refuses, hangs and dies on request."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from transfer.adapters.smtp_mailer import SmtpMailer
from transfer.errors import MailRefused, Unreachable
from transfer.messages import Mail

MAIL = Mail(
    message_id=f"<{'0123456789abcdef' * 2}@mail.provider.example>",
    to="carl@example.com",
    subject="exämple.example: moves to Globex on Tue 3 Nov 2026, 17:30 UTC",
    text="Hällo,\n\n    Subject: Withdraw\n",
    html="<p>Hällo,</p>",
)
SENDER = "Transfers <transfers@provider.example>"


class Server:
    """A mail server on a free port. ``answers`` override what it says to a command."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.answers: dict[str, str] = {}
        self.options: dict[str, Any] = {}
        self.after_data = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.port = 0
        self.sessions: list[SMTP] = []
        self.mailers: list[SmtpMailer] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _protocol(self) -> SMTP:
        loop = asyncio.get_running_loop()
        self.sessions.append(SMTP(self, hostname="test", loop=loop, **self.options))
        return self.sessions[-1]

    def hang_up(self) -> None:
        """Cut off everybody who is connected."""
        for session in self.sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()

    async def handle_MAIL(  # noqa: N802
        self, _smtp: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _smtp: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(  # noqa: N802
        self, _smtp: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.envelopes.append(envelope)
        return answer

    async def handle_RSET(  # noqa: N802
        self, _smtp: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        await self.goes_on.wait()
        return "250 OK"

    async def handle_QUIT(self, smtp: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        if self.after_data and isinstance(smtp.transport, asyncio.WriteTransport):
            smtp.transport.abort()
        return "221 Bye"

    def message(self) -> EmailMessage:
        content = self.envelopes[-1].original_content
        assert content is not None
        message = message_from_bytes(content, policy=modern)
        assert isinstance(message, EmailMessage)
        return message


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    for one in server.mailers:
        await one.rest()
    await server.stop()


def mailer(
    server: Server, *, scheme: str = "smtp", login: str = "", timeout: float = 5
) -> SmtpMailer:
    made = SmtpMailer(f"{scheme}://{login}127.0.0.1:{server.port}", SENDER, timeout)
    server.mailers.append(made)
    return made


async def test_a_mail_arrives_with_all_its_headers_and_both_texts(server: Server) -> None:
    """From, To, Subject, Date, Message-ID, no out-of-office answers; text first, HTML second."""
    await mailer(server).send(MAIL)
    message = server.message()
    assert server.envelopes[0].mail_from == "transfers@provider.example"
    assert server.envelopes[0].rcpt_tos == ["carl@example.com"]
    assert message["From"] == SENDER
    assert message["To"] == MAIL.to
    assert message["Subject"] == MAIL.subject
    assert message["Message-ID"] == MAIL.message_id
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime is not None
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert text.get_content_type() == "text/plain"
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content_type() == "text/html"
    assert html.get_content().strip() == MAIL.html


async def test_a_long_mail_domain_leaves_the_message_id_whole(server: Server) -> None:
    """It is what tells a repeated mail from a new one."""
    message_id = f"<{'a' * 32}@{'a-long-label.' * 12}example>"
    await mailer(server).send(MAIL.model_copy(update={"message_id": message_id}))
    raw = server.envelopes[0].original_content or b""
    assert message_id.encode() in re.sub(rb"\r\n ", b"", raw)


async def test_a_repeated_mail_has_the_same_message_id(server: Server) -> None:
    """After a crash between sending and recording it, the reader's program can see they are one."""
    for _ in range(2):
        await mailer(server).send(MAIL)
    ids = {
        message_from_bytes(envelope.original_content or b"", policy=modern)["Message-ID"]
        for envelope in server.envelopes
    }
    assert len(server.envelopes) == 2
    assert ids == {MAIL.message_id}


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_mail_that_is_refused_for_good_says_so(server: Server, command: str) -> None:
    """5xx about the recipient or the content: this mail will never be taken."""
    server.answers[command] = "550 5.1.1 no such\tmailbox"
    with pytest.raises(MailRefused, match=r"550 5\.1\.1 no such mailbox"):
        await mailer(server).send(MAIL)
    assert not server.envelopes


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_mail_that_is_refused_for_now_can_be_sent_later(
    server: Server, command: str
) -> None:
    """4xx: greylisting, a full disk."""
    server.answers[command] = "451 4.7.1 come back later"
    with pytest.raises(Unreachable, match="451"):
        await mailer(server).send(MAIL)


async def test_a_sender_that_is_refused_loses_no_mail(server: Server) -> None:
    """5xx about ourselves is our configuration: somebody puts it right, and mails go out."""
    server.answers["MAIL"] = "550 who are you?"
    with pytest.raises(Unreachable, match="550 who are you"):
        await mailer(server).send(MAIL)


async def test_a_check_connects_and_sends_nothing(server: Server) -> None:
    """What `doctor` asks: a server that is there is fine, one that is gone is not."""
    await mailer(server).check()
    assert not server.envelopes
    await server.stop()
    with pytest.raises(Unreachable, match="cannot be reached"):
        await mailer(server).check()


async def test_a_dead_server_is_unreachable() -> None:
    """Nobody listens there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, 5).send(MAIL)


async def test_a_server_that_never_answers_is_given_up_after_the_timeout() -> None:
    """It takes the connection and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            await SmtpMailer(url, SENDER, 0.2).send(MAIL)


async def test_a_server_that_dies_after_taking_the_mail_has_it(server: Server) -> None:
    """A farewell that fails must not send the mail a second time."""
    server.after_data = True
    sender = mailer(server)
    await sender.send(MAIL)
    await sender.rest()
    assert len(server.envelopes) == 1


async def test_mails_in_a_row_go_over_one_connection_until_the_rest(server: Server) -> None:
    """Most of the work of a mail is to connect."""
    sender = mailer(server)
    for _ in range(3):
        await sender.send(MAIL)
    assert (len(server.envelopes), len(server.sessions)) == (3, 1)
    await sender.rest()
    await sender.send(MAIL)
    assert (len(server.envelopes), len(server.sessions)) == (4, 2)


async def test_a_refused_mail_costs_the_next_one_nothing(server: Server) -> None:
    """Its connection is given up with it, whatever the server thinks of that."""
    sender = mailer(server)
    server.answers["DATA"] = "550 no"
    with pytest.raises(MailRefused):
        await sender.send(MAIL)
    del server.answers["DATA"]
    await sender.send(MAIL)
    assert len(server.envelopes) == 1


async def test_a_kept_connection_that_hangs_delays_one_mail_only(server: Server) -> None:
    """It is given up, and the next mail goes over a new one."""
    sender = mailer(server, timeout=0.2)
    await sender.send(MAIL)
    server.goes_on.clear()
    with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
        await sender.send(MAIL)
    await sender.send(MAIL)
    assert (len(server.envelopes), len(server.sessions)) == (2, 2)
    server.goes_on.set()


async def test_a_connection_that_was_cut_off_meanwhile_loses_no_mail(server: Server) -> None:
    """A server may end a connection that waits, or be started anew."""
    sender = mailer(server)
    await asyncio.gather(*(sender.send(MAIL) for _ in range(3)))
    server.hang_up()
    await sender.send(MAIL)
    assert (len(server.envelopes), len(server.sessions)) == (4, 4)


async def test_a_password_never_travels_in_the_clear_and_is_in_no_error(server: Server) -> None:
    """With a login even smtp:// insists on STARTTLS, which this server does not offer."""

    def anybody(*_: object) -> AuthResult:
        raise AssertionError("the password was sent")

    server.options = {"authenticator": anybody, "auth_require_tls": False}
    for scheme in ("smtp", "smtp+starttls", "smtps"):
        patient = mailer(server, scheme=scheme, login="me:s3cret@", timeout=0.5)
        with pytest.raises(Unreachable) as caught:
            await patient.send(MAIL)
        assert "s3cret" not in f"{caught.value!r} {caught.value.__context__!r} {patient!r}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com:25",
        "http://example.com",
        "smtp://",
        "smtp://me:s3cret@h:port",
        "smtps://:1",
    ],
)
def test_an_address_of_no_mail_server_is_told_at_once(url: str) -> None:
    """With what to write instead, and without what was written: it may hold a password."""
    with pytest.raises(ValueError, match=r"smtp://host:25") as caught:
        SmtpMailer(url, SENDER)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("sender", ["", "nobody", "a@b.example\r\nBcc: c@d.example"])
def test_a_sender_that_is_no_address_is_told_at_once(sender: str) -> None:
    """Not by every mail that fails later."""
    with pytest.raises(ValueError, match=r"."):
        SmtpMailer("smtp://localhost", sender)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hello\r\nBcc: all@victim.example"},
        {"to": "carl@example.com\r\nBcc: all@victim.example"},
        {"to": "carl@example.com> SIZE=1 <"},
        {"to": "carl@example.com, all@victim.example"},
        {"to": "nobody"},
        {"message_id": "<a@b>\r\nX: y"},
    ],
)
async def test_a_line_break_never_becomes_a_header(server: Server, changes: dict[str, str]) -> None:
    """Whoever put it there: such a mail is refused, and nothing is sent."""
    with pytest.raises(MailRefused):
        await mailer(server).send(MAIL.model_copy(update=changes))
    assert not server.envelopes


async def test_an_international_domain_is_reached_in_ascii(server: Server) -> None:
    """Any server takes that; an umlaut before the @ is not supported, and said so at once."""
    await mailer(server).send(MAIL.model_copy(update={"to": "carl@exämple.example"}))
    assert server.envelopes[0].rcpt_tos == ["carl@xn--exmple-cua.example"]
    with pytest.raises(MailRefused, match="non-ASCII"):
        await mailer(server).send(MAIL.model_copy(update={"to": "cärl@example.com"}))
