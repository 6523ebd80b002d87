"""Links to the page on which a party tracks its transfer: what they carry, and who made them.

A link carries the key of one transfer, a party, and when it was made, signed with one of our keys.
It is no session and opens nothing else: whoever holds it reads what that party may see, until it
expires or is revoked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode

from transfer.errors import InputInvalid
from transfer.parties import Party

MIN_KEY = 32
"""Characters of a key."""
MAX_TOKEN = 1000
"""Characters of a token; the longest domain makes one of about 600."""
AHEAD = timedelta(minutes=5)
"""How far the clock of the machine that made a link may be ahead of ours."""
_SALT = "transfer.tracking.1"
"""Another meaning of what is signed needs another number here."""


class Grant(NamedTuple):
    """What a link says: whose transfer, for which party, since when."""

    key: str
    party: Party
    made_at: datetime


class Links:
    """Makes links and reads them. The first key signs, every one is believed.

    Raises:
        InputInvalid: a key is too short; it is not repeated.
    """

    def __init__(self, keys: Sequence[str], public_url: str, valid_for: timedelta) -> None:
        if not keys or any(len(key) < MIN_KEY for key in keys):
            raise InputInvalid(
                f"TRANSFER_TRACKING_KEYS: each key has at least {MIN_KEY} characters; separate"
                " several by commas, the newest first. Make one with: openssl rand -hex 32"
            )
        self._oldest_first = [key.encode() for key in reversed(keys)]
        self._base = public_url.rstrip("/") + "/track/"
        self._valid_for = valid_for

    def to(self, key: str, party: Party, at: datetime) -> str:
        """The address of a party's page, made at ``at``. The same again is the same address."""
        return self._base + self._signing(at).dumps([key, party.value])

    def read(self, token: str, now: datetime) -> Grant | None:
        """What a token says; ``None`` where we did not sign it.

        Whether it has expired is another question: see ``is_valid``.
        """
        if len(token) > MAX_TOKEN:
            return None
        try:
            said: object
            made_at: datetime
            said, made_at = self._signing(now).loads(token, return_timestamp=True)
        except BadData:
            return None
        match said:
            case [str(key), str(party)] if party in {one.value for one in Party}:
                return Grant(key, Party(party), made_at)
            case _:
                return None

    def is_valid(self, grant: Grant, now: datetime) -> bool:
        """Whether a link is not expired, nor from the future."""
        return grant.made_at - AHEAD <= now < self.expires_at(grant.made_at)

    def expires_at(self, made_at: datetime) -> datetime:
        """When a link made then expires."""
        return made_at + self._valid_for

    def _signing(self, at: datetime) -> _Uncompressed:
        return _Uncompressed(
            self._oldest_first,
            salt=_SALT,
            signer=_AtAGivenTime,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256, "at": at},
        )


class _Uncompressed(URLSafeTimedSerializer):
    """Never compressed: such a token would begin with a dot, which careful proxies refuse."""

    def dump_payload(self, obj: Any) -> bytes:
        """See ``URLSafeTimedSerializer``; it reads both kinds."""
        return base64_encode(json.dumps(obj, separators=(",", ":")))


class _AtAGivenTime(TimestampSigner):
    """Signs as of a given instant: notices are pure, and have no clock."""

    def __init__(self, *arguments: Any, at: datetime, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._at = int(at.timestamp())

    def get_timestamp(self) -> int:
        """See ``TimestampSigner``: seconds since 1970."""
        return self._at
