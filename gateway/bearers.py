"""Who may ask the codec server: whoever has a shared key, or is signed in as staff are (OIDC)."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import httpx
import jwt
import structlog
from pydantic import RootModel, SecretStr

from transfer.errors import InputInvalid, Unreachable

MIN_KEY = 24
"""Characters of a shared key."""
MAX_TOKEN = 16 * 1024
"""Characters of a token: one that lists somebody's groups is long."""
ALGORITHMS = frozenset({"RS256", "ES256"})
"""How tokens are signed: with a key that only the issuer has. A secret that we know too is none."""
LEEWAY_SECONDS = 30
"""How far the clocks of issuer and codec server may differ."""
FETCH_SECONDS = 5.0
"""How long the issuer may take to give its keys."""
PAUSE_SECONDS = 10
"""How long the issuer is left alone after it was asked, whatever tokens come."""
FRESH_SECONDS = 3600.0
"""When keys are fetched again, since the issuer may have taken one back."""
KEPT_SECONDS = 24 * 3600.0
"""How long keys count while the issuer is away."""
MAX_DOCUMENT = 256 * 1024
"""Bytes of what the issuer publishes."""
MAX_KEYS = 100
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

log = structlog.get_logger("codec")


class Unauthorized(Exception):
    """Neither a shared key nor a token that counts. The message says why, without repeating it."""


class Bearers:
    """Everybody who may ask.

    Raises:
        InputInvalid: nobody may, or a shared key is too short; it is not repeated.
    """

    def __init__(self, secrets: Sequence[SecretStr], issuer: Issuer | None = None) -> None:
        if not secrets and issuer is None:
            raise InputInvalid(
                "Nobody may ask the codec server. Set TRANSFER_CODEC_OIDC_ISSUER and"
                " TRANSFER_CODEC_OIDC_AUDIENCE, or TRANSFER_CODEC_SECRET; make a secret with:"
                " openssl rand -hex 24"
            )
        self._keys = [secret.get_secret_value().encode() for secret in secrets]
        self._issuer = issuer
        if any(len(key) < MIN_KEY for key in self._keys):
            raise InputInvalid(
                f"TRANSFER_CODEC_SECRET: each secret has at least {MIN_KEY} characters; separate"
                " several by commas. Make one with: openssl rand -hex 24"
            )

    async def who(self, authorization: str, extras: str = "") -> str:
        """Who asks: the subject of a token, or ``shared key``.

        ``extras`` is where the Temporal UI hands on the ID token, beside an access token that may
        be for somebody else, or no JWT at all.

        Raises:
            Unauthorized: whoever it is may not ask.
            Unreachable: the issuer does not answer, so nobody knows.
        """
        scheme, _, bearer = authorization.partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        right = [hmac.compare_digest(key, bearer.encode("latin-1")) for key in self._keys]
        if any(right):
            return "shared key"
        refusal: Unauthorized | Unreachable = Unauthorized("no key and no token")
        for token in (extras.strip(), bearer):
            if not token:
                continue
            try:
                return await self._subject(token)
            except Unreachable as error:
                refusal = error
            except Unauthorized as error:
                if isinstance(refusal, Unauthorized):  # not knowing outweighs knowing better
                    refusal = error
        raise refusal

    async def _subject(self, token: str) -> str:
        if self._issuer is None:
            raise Unauthorized("a key that is none of ours")
        return await self._issuer.subject(token)


class _Key(NamedTuple):
    key: Any
    algorithm: str


class _Document(RootModel[dict[str, Any]]):
    """A JSON object; what it holds is looked at where it is needed."""


class Issuer:
    """Who signs the tokens of people, and publishes its keys; they are fetched when needed.

    A token with the id of an unknown key has them fetched again, but the issuer is asked no more
    than every ``PAUSE_SECONDS``: ids are easily made up.

    Raises:
        InputInvalid: the address is not safe, or nobody said whom tokens are for.
    """

    def __init__(
        self,
        url: str,
        audience: str,
        http: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not audience:
            raise InputInvalid(
                "TRANSFER_CODEC_OIDC_AUDIENCE is not set. Give it the client id of the Temporal UI:"
                " a token for somebody else must not count here."
            )
        if not _is_safe(url):
            raise InputInvalid("TRANSFER_CODEC_OIDC_ISSUER: its address must begin with https://")
        self._url = url
        self._audience = audience
        self._http = http
        self._clock = clock
        self._name = ""
        self._keys: dict[str, _Key] = {}
        self._read_at = self._asked_at = -KEPT_SECONDS
        self._is_away = False
        self._turn = asyncio.Lock()

    async def subject(self, token: str) -> str:
        """Whose token it is.

        Raises:
            Unauthorized: it is none of this issuer's for us and for now.
            Unreachable: the issuer does not give its keys.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthorized("a token that is too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise Unauthorized("a token that is not signed by RS256 or ES256")
            key = await self._key(str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],  # its own, whatever the token says
                audience=self._audience,
                issuer=self._name,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthorized(type(error).__name__) from None
        return str(claims["sub"])[:200]

    async def _key(self, kid: str) -> _Key:
        if self._is_fresh() and (key := self._keys.get(kid)):
            return key
        async with self._turn:  # those who come meanwhile wait for the same answer
            now = self._clock()
            is_due = now - self._asked_at >= PAUSE_SECONDS
            if is_due and not (self._is_fresh() and kid in self._keys):
                self._asked_at = now
                await self._fetch()
        key = self._keys.get(kid) if self._clock() - self._read_at < KEPT_SECONDS else None
        if key is not None:
            return key
        if self._is_away:
            raise Unreachable("The issuer of tokens does not give its keys. Try again later.")
        raise Unauthorized("a token by a key that its issuer does not have")

    def _is_fresh(self) -> bool:
        return self._clock() - self._read_at < FRESH_SECONDS

    async def _fetch(self) -> None:
        """Replace the keys; where that fails, those that are there remain."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                about = await self._document(
                    self._url.rstrip("/") + "/.well-known/openid-configuration"
                )
                keys = _usable(await self._document(self._where(about)))
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            self._is_away = True
            why = str(error)[:300] or type(error).__name__
            log.warning("issuer_keys_not_read", issuer=self._url, error=why)
            return
        self._is_away = False
        self._name, self._keys, self._read_at = str(about["issuer"]), keys, self._clock()
        log.info("issuer_keys_read", issuer=self._url, keys=len(keys))

    def _where(self, about: dict[str, Any]) -> str:
        """Where the keys are, by what the issuer says about itself.

        Raises:
            ValueError: it is another issuer, or anybody on the way could change its keys.
        """
        name, address = str(about.get("issuer", "")), str(about.get("jwks_uri", ""))
        if name.rstrip("/") != self._url.rstrip("/"):  # whether with a slash, people do not know
            raise ValueError(f"it says that it is {name}")
        if not _is_safe(address):
            raise ValueError("its keys are not at https://")
        return address

    async def _document(self, address: str) -> dict[str, Any]:
        """Read what the issuer publishes.

        Raises:
            ValueError: it is no JSON object, too large, or not there; pydantic's is one, too.
            HTTPError: nobody answers.
        """
        body = bytearray()
        async with self._http.stream("GET", address, timeout=FETCH_SECONDS) as answer:
            if answer.status_code != 200:
                raise ValueError(f"it answers {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_DOCUMENT:
                    raise ValueError("what it publishes is too large")
        return _Document.model_validate_json(bytes(body)).root


def _is_safe(address: str) -> bool:
    """Whether nobody on the way can put other keys in the place of the issuer's."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return bool(url.host) and (url.scheme == "https" or url.host in _HERE)


def _usable(document: dict[str, Any]) -> dict[str, _Key]:
    """The published keys that sign tokens as we take them, by their ids."""
    published: object = document.get("keys")
    every = cast("list[object]", published)[:MAX_KEYS] if isinstance(published, list) else []
    found: dict[str, _Key] = {}
    for one in (cast("dict[str, Any]", one) for one in every if isinstance(one, dict)):
        if one.get("use", "sig") != "sig":
            continue
        try:
            read = jwt.PyJWK(one)
        except (jwt.PyJWTError, ValueError, TypeError):  # of a kind that we do not take
            continue
        if read.algorithm_name in ALGORITHMS:
            found[str(one.get("kid", ""))] = _Key(read.key, read.algorithm_name)
    return found
