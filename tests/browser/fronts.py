"""What stands in front of a codec server, in small: TLS, or a proxy that knows who is signed in."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"
COOKIE = "signed-in"
"""What the proxy's own login page would leave in a browser."""


class Tls:
    """Takes TLS off, and hands every byte on to a port."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(_certificate(folder))
        self._listening = socket.create_server((HERE, 0))
        self.url = f"https://{HERE}:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                caller, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(caller, server_side=True) as secure,
            socket.create_connection((HERE, self._port)) as plain,
        ):
            back = threading.Thread(target=_pump, args=(plain, secure), daemon=True)
            back.start()
            _pump(secure, plain)
            back.join()


class Proxy:
    """One site: the Temporal UI, and below ``/codec`` the codec server, for whoever is signed in.

    It knows people by a cookie, and the codec server knows it by the shared key.
    """

    def __init__(self, shared_key: str) -> None:
        self.ui = self.codec = ""
        self._key = shared_key
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._hand_on(self)

            do_POST = do_GET  # noqa: N815 - the name that is called

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        self._server = ThreadingHTTPServer((HERE, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HERE}:{self._server.server_port}"

    def __enter__(self) -> Self:
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _hand_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length", "0")))
        dropped = ("host", "connection", "accept-encoding", "content-length", "authorization")
        headers = {k: v for k, v in asked.headers.items() if k.lower() not in dropped}
        address = self.ui + asked.path
        if asked.path.startswith("/codec/"):
            address = self.codec + asked.path.removeprefix("/codec")
            if f"{COOKIE}=tess" in asked.headers.get("Cookie", ""):
                headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(  # noqa: S310 - ours
            address, body or None, headers, method=asked.command
        )
        with suppress(OSError):  # the browser, or what is asked, may be gone
            try:
                answer = urllib.request.urlopen(request, timeout=30)  # noqa: S310 - ours
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                _answered(asked, answer.status, answer.headers, answer.read())


def _answered(
    asked: BaseHTTPRequestHandler, status: int | None, headers: Message, content: bytes
) -> None:
    asked.send_response(status or 502)
    for name, value in headers.items():
        if name.lower() not in ("connection", "transfer-encoding", "content-length"):
            asked.send_header(name, value)
    asked.send_header("Content-Length", str(len(content)))
    asked.end_headers()
    asked.wfile.write(content)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _certificate(folder: Path) -> Path:
    """A certificate for this machine that nobody vouches for, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HERE)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
