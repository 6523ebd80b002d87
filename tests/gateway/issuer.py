"""Who signs tokens for people: a small OpenID issuer on a free port, with real keys."""

from __future__ import annotations

import json
import threading
import time
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "temporal-ui"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(_name: str) -> rsa.RSAPrivateKey:
    """A key of this name; making one takes a while, so it is made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """It publishes the keys in ``keys``, and counts how often it was asked for them."""

    def __init__(self) -> None:
        self.asked = 0
        self.keys: dict[str, Private] = {}
        self.more: dict[str, Any] = {}
        """What its discovery document says instead."""
        self.jwks: dict[str, Any] | None = None
        """What it publishes instead of ``keys``."""
        self.is_away = False
        self._server: ThreadingHTTPServer | None = None
        self.url = ""
        self.rotate("first")

    def __enter__(self) -> Self:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = issuer._published(self.path)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/realm"
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def rotate(self, kid: str, key: Private | None = None) -> None:
        """Have one key, and no other any more."""
        self.keys = {kid: key or rsa_key(kid)}

    def token(self, kid: str = "", *, key: Private | None = None, **claims: Any) -> str:
        """A good token of Tess's, but for what is given."""
        kid = kid or next(iter(self.keys))
        key = key or self.keys[kid]
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "tess", "exp": now + 300, "nbf": now - 10}
        said = {name: value for name, value in (said | claims).items() if value is not None}
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})

    def _published(self, path: str) -> tuple[int, object]:
        if self.is_away:
            return 503, {}
        if path == "/realm/.well-known/openid-configuration":
            about = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            return 200, about | self.more
        if path == "/realm/keys":
            self.asked += 1
            return 200, self.jwks or {"keys": [_public(k, one) for k, one in self.keys.items()]}
        return 404, {}


def _public(kid: str, key: Private) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return dict(jwk) | {"kid": kid, "use": "sig"}
