"""Encryption: what Temporal keeps of a transfer can be read only by who holds a key.

Inputs, results, signals, updates, query answers, details, summaries and errors go through here.
Ids, names and search attributes do not: Temporal itself works with those.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from transfer.errors import InputInvalid

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
"""The metadata that says by which key; it is bound to the ciphertext."""
KEY_BYTES = 32
NONCE_BYTES = 12
MAX_KEYS = 10
_NAMED_KEY = re.compile(r"(?P<id>[A-Za-z0-9._-]{1,40}):(?P<key>[A-Za-z0-9+/_-]+=*)")

log = logging.getLogger("codec")


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM. The first key encrypts, every one decrypts.

    Two payloads of the same content differ: each has a nonce of its own before its ciphertext.
    What is not encrypted, or by no key of ours, or was changed on the way, is handed on as it is:
    an error here would fail the workflow task before any handler could refuse the payload.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.items()}
        self._newest = next(iter(self._ciphers))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the one that encrypts first."""
        return tuple(name.decode() for name in self._ciphers)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads, whatever they are."""
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what can be decrypted."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        secret = cipher.encrypt(nonce, payload.SerializeToString(), self._newest)
        return Payload(metadata={"encoding": ENCODING, KEY_ID: self._newest}, data=nonce + secret)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        name = payload.metadata.get(KEY_ID, b"")
        why = "no key has this id"
        if cipher := self._ciphers.get(name):
            try:
                nonce, secret = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
                return Payload.FromString(cipher.decrypt(nonce, secret, name))
            except (InvalidTag, ValueError, DecodeError):
                why = "not what was encrypted with this key"
        facts = {"key_id": name[:40].decode("ascii", "replace"), "why": why}
        log.warning("payload_not_decrypted", extra=facts)
        return payload


def keys(settings: Sequence[str]) -> dict[str, bytes]:
    """Keys by their ids, as ``TRANSFER_ENCRYPTION_KEYS`` has them: ``id:base64``, the newest first.

    Raises:
        InputInvalid: one is not 32 bytes, or has no id of its own; none is repeated.
    """
    found: dict[str, bytes] = {}
    for setting in settings:
        named = _NAMED_KEY.fullmatch(setting)
        key = _bytes(named["key"]) if named else b""
        if named is None or len(key) != KEY_BYTES or named["id"] in found:
            raise InputInvalid(
                "TRANSFER_ENCRYPTION_KEYS: each key is an id of its own, a colon and 32 bytes in"
                " base64; separate several by commas, the newest first. Make one with:"
                ' echo "$(date +%Y-%m):$(openssl rand -base64 32)"'
            )
        found[named["id"]] = key
    return found


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return b""
