"""Whether a request is signed: by Standard Webhooks, or as Request Tracker's hook is."""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr
from standardwebhooks.webhooks import (
    EmptyWebhookSecretError,
    Webhook,
    WebhookVerificationError,
)

from transfer.adapters.tools import utc_now
from transfer.errors import InputInvalid

MAX_ID, MAX_SIGNATURE = 200, 2000
"""Characters of the headers ``webhook-id`` and ``webhook-signature``."""
MIN_SECRET = 24
"""Bytes of a secret, by the standard."""
TOLERANCE = timedelta(minutes=5)
"""How far a signature's time may be off."""
_RT_SIGNATURE = re.compile(r"t=(?P<at>\d{1,12}),v1=(?P<hex>[0-9a-f]{64})")


class Signatures:
    """The secrets with which senders sign: more than one while a secret is being replaced.

    Raises:
        InputInvalid: there is no secret, or one of them is none; it is not repeated.
    """

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        if not secrets:
            raise InputInvalid(
                "TRANSFER_WEBHOOK_SECRET is not set. Give it the secret that the ticket system"
                " signs with; make one with: echo whsec_$(openssl rand -base64 32)"
            )
        self._keys = [_key(secret.get_secret_value()) for secret in secrets]

    def verify(self, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether one of the secrets signed this, in the last or next 5 minutes.

        Every secret is tried, each in constant time.
        """
        if len(headers.get("webhook-id", "")) > MAX_ID:
            return False
        if len(headers.get("webhook-signature", "")) > MAX_SIGNATURE:
            return False
        signed = [_signed(key, headers, body) for key in self._keys]
        return any(signed)


class RtSignatures:
    """The secrets with which Request Tracker signs its hooks: ``X-RT-Signature: t=…,v1=…``.

    ``t`` is the time in Unix seconds, ``v1`` the HMAC-SHA256 of time, a dot and the body, in hex.

    Raises:
        InputInvalid: a secret is too short; it is not repeated.
    """

    def __init__(
        self, secrets: Sequence[SecretStr], *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._keys = [secret.get_secret_value().encode() for secret in secrets]
        self._clock = clock
        if any(len(key) < MIN_SECRET for key in self._keys):
            raise InputInvalid(
                f"TRANSFER_RT_HOOK_SECRET: each secret has at least {MIN_SECRET} characters;"
                " separate several by commas. Make one with: openssl rand -hex 24"
            )

    def verify(self, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether one of the secrets signed this, in the last or next 5 minutes."""
        signed = _RT_SIGNATURE.fullmatch(headers.get("x-rt-signature", ""))
        if signed is None:
            return False
        if abs(self._clock().timestamp() - int(signed["at"])) > TOLERANCE.total_seconds():
            return False
        said = b"%s.%s" % (signed["at"].encode(), body)
        given = signed["hex"].encode()
        right = [
            hmac.compare_digest(hmac.new(key, said, "sha256").hexdigest().encode(), given)
            for key in self._keys
        ]
        return any(right)


def _key(secret: str) -> Webhook:
    try:
        key = Webhook(secret)
        long_enough = len(secret.removeprefix("whsec_")) * 3 // 4 >= MIN_SECRET
    except (EmptyWebhookSecretError, binascii.Error, ValueError):
        long_enough = False
        key = None
    if key is None or not long_enough:
        raise InputInvalid(
            f"TRANSFER_WEBHOOK_SECRET: each secret is whsec_ and at least {MIN_SECRET} bytes in"
            " base64; separate several by commas."
        )
    return key


def _signed(key: Webhook, headers: dict[str, str], body: bytes) -> bool:
    try:
        key.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: not base64, not UTF-8, no comma
        return False
    return True
