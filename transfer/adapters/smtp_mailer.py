"""Mails by SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib

from transfer import domains, tracing
from transfer.errors import DomainInvalid, MailRefused, Unreachable
from transfer.messages import Mail
from transfer.values import one_line

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_REFUSES_FOR_GOOD = 500
_MAX_REPLY = 200


class _Headers(HeaderRegistry):
    """Headers, each parsed once: ours are few and alike, and parsing costs more than sending."""

    def __call__(self, name: str, value: str) -> BaseHeader:
        return _header(name, value)

    def __getitem__(self, name: str) -> type[BaseHeader]:
        return _kind(name)


@lru_cache(maxsize=500)
def _header(name: str, value: str) -> BaseHeader:
    return HeaderRegistry.__call__(_HEADERS, name, value)


@lru_cache(maxsize=100)
def _kind(name: str) -> type[BaseHeader]:
    return HeaderRegistry.__getitem__(_HEADERS, name)


_HEADERS = _Headers()
_FORM = SMTP.clone(header_factory=_HEADERS)


class _Server(NamedTuple):
    host: str
    port: int
    tls: bool
    starttls: bool
    user: str | None
    password: str | None


class SmtpMailer:
    """Hands mails to one SMTP server. A connection is kept for the next mail until the ``rest``.

    ``url`` is ``smtp://host:port``, ``smtp+starttls://user:password@host:port`` or ``smtps://…``,
    with user and password percent-encoded. A password never travels in the clear: with one, even
    ``smtp://`` insists on STARTTLS. ``timeout`` bounds a whole delivery, in seconds.

    Raises:
        ValueError: the URL or the sender's address is none. The message has no password in it.
    """

    def __init__(self, url: str, mail_from: str, timeout: float = 20.0) -> None:
        self._server = _parsed(url)
        self._from = mail_from
        self._sender = parseaddr(mail_from)[1]
        self._timeout = timeout
        self._idle: list[aiosmtplib.SMTP] = []
        if "@" not in self._sender:
            raise ValueError("The sender of mails must be an address like transfers@example.com.")
        EmailMessage(policy=_FORM)["From"] = mail_from  # a line break in it shows here, not later

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the server.

        Only what the server says about this recipient or this content can refuse a mail for good.
        A greeting, a login or a sender that it does not like is about us, and somebody will put
        that right: those count as ``Unreachable``, so that no mail is lost to a wrong password.

        Raises:
            Unreachable: try again later.
            MailRefused: this mail will never be taken.
        """
        try:
            to = _recipient(mail.to)
            await self._hand_over(_message(mail, to, self._from), to.addr_spec)
        except TimeoutError:
            raise Unreachable(f"{self} did not answer within {self._timeout:g} s.") from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise self._answered(error.recipients[0].code, error.recipients[0].message) from None
        except aiosmtplib.SMTPDataError as error:
            raise self._answered(error.code, error.message) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Unreachable(f"{self} answered {error.code} {_brief(error.message)}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unreachable(f"{self} cannot be reached: {_brief(error)}") from None
        except (ValueError, HeaderParseError) as error:
            raise MailRefused(f"It cannot be written as a mail: {_brief(error)}") from None

    async def check(self) -> None:
        """Connect and log in, and send nothing.

        Raises:
            Unreachable: no server answers, or it does not like us.
        """
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unreachable(f"{self} cannot be reached: {_brief(error)}") from None
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.starttls,
            timeout=self._timeout,
        )

    async def _hand_over(self, message: EmailMessage, to: str) -> None:
        with tracing.span("smtp", **{"server.address": self._server.host}):
            await self._handed_over(message, to)

    async def _handed_over(self, message: EmailMessage, to: str) -> None:
        client = self._idle.pop() if self._idle else self._client()
        try:
            async with asyncio.timeout(self._timeout):
                if not await _answers(client):
                    client.close()
                    await client.connect()
                await client.send_message(message, sender=self._sender, recipients=[to])
        except BaseException:
            client.close()
            raise
        self._idle.append(client)

    async def rest(self) -> None:
        """See ``Mailer.rest``. The server has all mails, so a farewell that fails is no matter."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(self._leave, idle))

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=min(2.0, self._timeout))
        client.close()

    def _answered(self, code: int, reply: str) -> MailRefused | Unreachable:
        text = f"{self} answered {code} {_brief(reply)}"
        return MailRefused(text) if code >= _REFUSES_FOR_GOOD else Unreachable(text)

    def __str__(self) -> str:
        """Where it sends to, without the password."""
        return f"The mail server {self._server.host}:{self._server.port}"

    __repr__ = __str__


def _parsed(url: str) -> _Server:
    hint = (
        "Give the mail server like smtp://host:25, smtp+starttls://user:password@host or smtps://…"
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(hint) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(hint)
    user = unquote(parts.username) if parts.username else None
    return _Server(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        starttls=parts.scheme == "smtp+starttls" or (parts.scheme == "smtp" and user is not None),
        user=user,
        password=unquote(parts.password or "") if user else None,
    )


@lru_cache(maxsize=500)
def _recipient(address: str) -> Address:
    """The address, with its domain in ASCII: any server takes that, few take the other form.

    Raises:
        ValueError: it is none; HeaderParseError likewise.
    """
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        with contextlib.suppress(DomainInvalid):
            return Address(addr_spec=f"{local}@{domains.to_a_label(domain)}")
    return Address(addr_spec=address)


def _message(mail: Mail, to: Address, mail_from: str) -> EmailMessage:
    message = EmailMessage(policy=_FORM)
    message["From"] = mail_from
    message["To"] = str(to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = mail.message_id
    # No out-of-office answers to a machine.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(mail.text)
    # One that nobody can guess needs not be looked for in the texts.
    message.make_alternative(boundary=secrets.token_hex(16))
    message.add_alternative(mail.html, subtype="html")
    return message


async def _answers(client: aiosmtplib.SMTP) -> bool:
    """Whether a connection is open, and nobody has cut it off meanwhile."""
    try:
        await client.rset()
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


def _brief(error: object) -> str:
    """What a server said, as one short line: it is logged, and shown to staff."""
    return one_line(str(error))[:_MAX_REPLY]
