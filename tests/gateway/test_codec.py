"""The codec server: who may ask, what it answers, and what a browser lets a page ask."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from pydantic import SecretStr
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload

from gateway import bearers, codec
from gateway.bearers import MIN_KEY, Bearers, Unauthorized
from gateway.codec import MAX_BODY, MAX_PAYLOADS, build, main
from gateway.limits import UNSIGNED
from tests.gateway.issuer import AUDIENCE, Issuer
from transfer.codec import EncryptionCodec
from transfer.errors import InputInvalid, Unreachable
from transfer.settings import Settings

SHARED, OLD_SHARED = "a shared key that is made up", "the shared key before it"
UI = "https://temporal.example"
KEYS = {"new": bytes(range(32)), "old": bytes(32)}
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"orchard.example"')


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Codec:
    """A codec server, asked inside this process."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.client = httpx.AsyncClient(
            base_url="http://codec.test", transport=httpx.ASGITransport(app)
        )

    async def ask(
        self, what: str, *payloads: Payload, key: str = SHARED, **headers: str
    ) -> httpx.Response:
        """Ask as the Temporal UI does; keywords are headers."""
        return await self.post(
            what, json.dumps({"payloads": [wire(p) for p in payloads]}), key, **headers
        )

    async def post(
        self, what: str, body: str | bytes | AsyncIterator[bytes], key: str = SHARED, **headers: str
    ) -> httpx.Response:
        """Send any body."""
        sent = {"content-type": "application/json", "x-namespace": "default"}
        sent |= {"authorization": f"Bearer {key}"} if key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(
            f"/{what}?preserveStorageRefs=true", content=body, headers=sent
        )


def wire(payload: Payload) -> dict[str, Any]:
    """A payload as Temporal's JSON has it, made without the code under test."""
    metadata = {k: base64.b64encode(v).decode() for k, v in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


def read(answer: httpx.Response) -> list[Payload]:
    """The payloads of an answer."""
    assert answer.status_code == 200, answer.text
    return [
        Payload(
            metadata={k: base64.b64decode(v) for k, v in one.get("metadata", {}).items()},
            data=base64.b64decode(one.get("data", "")),
        )
        for one in answer.json().get("payloads", [])
    ]


@pytest.fixture
def issuer() -> Generator[Issuer]:
    """Who signs tokens."""
    with Issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    """The codec server's clock."""
    return Clock()


@asynccontextmanager
async def serving(
    issuer: Issuer | None, clock: Clock, *secrets: str, origin: str = UI, audience: str = AUDIENCE
) -> AsyncGenerator[Codec]:
    async with httpx.AsyncClient() as http:
        signs = bearers.Issuer(issuer.url, audience, http, clock=clock) if issuer else None
        who = Bearers([SecretStr(secret) for secret in secrets], signs)
        asked = Codec(build(EncryptionCodec(KEYS), who, origin))
        async with asked.client:
            yield asked


@pytest.fixture
async def server(issuer: Issuer, clock: Clock) -> AsyncGenerator[Codec]:
    """A codec server with shared keys and an issuer."""
    async with serving(issuer, clock, SHARED, OLD_SHARED) as running:
        yield running


# -- what it answers ---------------------------------------------------------------------------
async def test_what_is_encoded_is_decoded_again(server: Codec) -> None:
    (secret,) = read(await server.ask("encode", PLAIN))
    assert secret.metadata["encoding"] == b"binary/encrypted"
    assert b"orchard" not in secret.data
    assert read(await server.ask("decode", secret)) == [PLAIN]


async def test_payloads_by_an_older_key_are_decoded_too(server: Codec) -> None:
    old = await EncryptionCodec({"old": KEYS["old"]}).encode([PLAIN])
    assert read(await server.ask("decode", *old)) == [PLAIN]


async def test_what_cannot_be_decrypted_comes_back_as_it_is_in_its_place(server: Codec) -> None:
    (foreign,) = await EncryptionCodec({"theirs": bytes(32)}).encode([PLAIN])
    (broken,) = await EncryptionCodec(KEYS).encode([PLAIN])
    broken.data = broken.data[:-1] + bytes([broken.data[-1] ^ 1])
    (good,) = await EncryptionCodec(KEYS).encode([PLAIN])
    sent = (foreign, good, broken, PLAIN, Payload())
    assert read(await server.ask("decode", *sent)) == [foreign, PLAIN, broken, PLAIN, Payload()]


async def test_no_payloads_are_answered_by_none(server: Codec) -> None:
    assert read(await server.ask("decode")) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"nonsense", b"[]", b"null", b'"payloads"', b'{"payloads": 7}', b"\xff\xfe", b"{"),
        *(b'{"payloads": [7]}', b'{"payloads": [{"data": 7}]}', b'{"payload": []}'),
        b'{"payloads": [{"metadata": {"encoding": 7}}]}',
        b'{"payloads": [{"metadata": {"\\ud800": ""}}]}',
        b"[" * 100_000,
        b'{"payloads": ' * 5_000,
        b'{"payloads": ' + b"9" * 10_000 + b"}",
        json.dumps({"payloads": [{"data": ""}] * (MAX_PAYLOADS + 1)}).encode(),
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
@pytest.mark.parametrize("what", ["decode", "encode"])
async def test_what_is_no_question_is_refused_plainly(
    server: Codec, what: str, body: bytes
) -> None:
    answer = await server.post(what, body)
    assert answer.status_code == 422
    assert answer.json()["error"] == "INVALID"
    assert "Traceback" not in answer.text


async def test_a_body_that_is_too_large_is_not_read_whole(server: Codec) -> None:
    """Whether it says so at once, or turns out to be."""
    told = await server.post("decode", b"x", content_length=str(MAX_BODY + 1))
    sent = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(20):
            sent += 2**20
            yield bytes(2**20)

    untold = await server.post("decode", long())
    assert sent <= MAX_BODY + 2 * 2**20
    for answer in (told, untold):
        assert answer.status_code == 413
        assert answer.json()["error"] == "TOO_LARGE"
        assert answer.headers["connection"] == "close"


async def test_a_body_that_comes_too_slowly_is_not_waited_for(
    server: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "READ_SECONDS", 0.01)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await server.post("decode", never())
    assert (answer.status_code, answer.json()["error"]) == (408, "TOO_SLOW")


async def test_nothing_is_read_from_whoever_may_not_ask(server: Codec) -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert (await server.post("decode", unread(), key="")).status_code == 401


async def test_only_what_is_documented_is_there(server: Codec) -> None:
    assert (await server.client.get("/healthz")).json() == {"status": "ok"}
    for method, path, status in (
        ("GET", "/decode", 405),
        ("GET", "/", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/healthz", 405),
    ):
        answer = await server.client.request(method, path)
        assert (answer.status_code, set(answer.json())) == (status, {"error", "fix"})


# -- shared keys -------------------------------------------------------------------------------
@pytest.mark.parametrize("key", [SHARED, OLD_SHARED])
async def test_every_shared_key_counts(server: Codec, key: str) -> None:
    assert read(await server.ask("decode", PLAIN, key=key)) == [PLAIN]


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", SHARED, f"Basic {SHARED}", f"Bearer {SHARED}x", "Bearer é"),
        *(f"Bearer {SHARED[:-1]}", f"Bearer {SHARED.upper()}", f"Bearer Bearer {SHARED}"),
    ],
)
async def test_whatever_is_no_shared_key_does_not_count(
    issuer: Issuer, clock: Clock, authorization: str
) -> None:
    async with serving(None, clock, SHARED) as server:
        answer = await server.client.post(
            "/decode", json={}, headers={b"authorization": authorization.encode()}
        )
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="codec"'
        assert answer.json()["error"] == "UNAUTHORIZED"


async def test_whoever_guesses_is_told_to_wait_and_nobody_else(server: Codec) -> None:
    """By its address; one that has shown a key lately is heard all the while."""

    async def guessed(times: int) -> list[int]:
        tries = [await server.ask("decode", PLAIN, key=f"a guess {n}") for n in range(times)]
        return [answer.status_code for answer in tries]

    assert await guessed(UNSIGNED) == [401] * UNSIGNED
    refused = await server.ask("decode", PLAIN)
    assert (refused.status_code, refused.json()["error"]) == (429, "TOO_MANY")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    neighbour = httpx.ASGITransport(server.app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(base_url="http://codec.test", transport=neighbour) as client:
        sent = {"authorization": f"Bearer {SHARED}"}
        for _ in range(2):
            assert (await client.post("/decode", json={}, headers=sent)).status_code == 200
            for _ in range(UNSIGNED):
                assert (await client.post("/decode", json={})).status_code == 401


async def test_keys_are_compared_in_constant_time_and_all_of_them(
    server: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def noted(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    await server.ask("decode", PLAIN)
    assert compared == [SHARED.encode(), OLD_SHARED.encode()]


# -- tokens ------------------------------------------------------------------------------------
async def test_a_token_counts_and_its_subject_is_in_the_log(server: Codec, issuer: Issuer) -> None:
    with capture_logs() as logged:
        answer = await server.ask("decode", PLAIN, PLAIN, key=issuer.token())
    assert read(answer) == [PLAIN, PLAIN]
    (entry,) = [one for one in logged if one["event"] == "payloads_decoded"]
    assert (entry["who"], entry["namespace"], entry["payloads"]) == ("tess", "default", 2)


async def test_a_token_signed_with_an_elliptic_curve_counts(server: Codec, issuer: Issuer) -> None:
    issuer.rotate("curve", ec.generate_private_key(ec.SECP256R1()))
    assert read(await server.ask("decode", PLAIN, key=issuer.token())) == [PLAIN]


async def test_the_id_token_counts_beside_an_access_token_that_is_for_somebody_else(
    server: Codec, issuer: Issuer
) -> None:
    """As the Temporal UI sends them: many issuers' access tokens are no JWTs at all."""
    for access in ("opaque-to-everybody-else", issuer.token(aud="the issuer's own API")):
        told = await server.ask("decode", PLAIN, key=access, authorization_extras=issuer.token())
        assert read(told) == [PLAIN]
    told = await server.ask("decode", PLAIN, key=issuer.token(), authorization_extras="nonsense")
    assert read(told) == [PLAIN]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-else"},
        {"aud": ["somebody-else", "and another"]},
        {"aud": None},
        {"iss": "http://127.0.0.1:1/realm"},
        {"iss": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
    ],
    ids=[
        "other",
        "others",
        "nobody",
        "issuer",
        "no issuer",
        "expired",
        "endless",
        "early",
        "no subject",
    ],
)
async def test_a_token_for_somebody_else_or_another_time_does_not_count(
    server: Codec, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 200
    assert (await server.ask("decode", PLAIN, key=issuer.token(**claims))).status_code == 401


async def test_clocks_may_differ_a_little(server: Codec, issuer: Issuer) -> None:
    now = int(time.time())
    late: dict[str, Any] = {"exp": now - 5}
    early: dict[str, Any] = {"nbf": now + 20}
    for claims in (late, early):
        answer = await server.ask("decode", PLAIN, key=issuer.token(**claims))
        assert read(answer) == [PLAIN]


def forged(issuer: Issuer, alg: str, key: bytes | None) -> str:
    """A token that says it is signed so, as by a library that would not refuse to."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = issuer.token().split(".")[1]
    signed = part(json.dumps({"alg": alg, "kid": next(iter(issuer.keys))}).encode()) + "." + claims
    proof = hmac.new(key, signed.encode(), "sha256").digest() if key else b""
    return f"{signed}.{part(proof)}"


@pytest.mark.parametrize("alg", ["none", "None", "", "HS256", "RS256", "ES256"])
async def test_a_token_that_nobody_signed_does_not_count(
    server: Codec, issuer: Issuer, alg: str
) -> None:
    assert (await server.ask("decode", PLAIN, key=forged(issuer, alg, None))).status_code == 401
    assert issuer.asked == (1 if alg in bearers.ALGORITHMS else 0)


@pytest.mark.parametrize("alg", ["HS256", "RS256"])
async def test_a_token_signed_with_the_public_key_as_a_secret_does_not_count(
    server: Codec, issuer: Issuer, alg: str
) -> None:
    """The public key is no secret: whoever takes HS256 too takes it from anybody."""
    public = next(iter(issuer.keys.values())).public_key()
    for encoding, form in (
        (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    ):
        token = forged(issuer, alg, public.public_bytes(encoding, form))
        assert (await server.ask("decode", PLAIN, key=token)).status_code == 401


async def test_a_key_that_the_issuer_publishes_for_anything_else_signs_no_token(
    server: Codec, issuer: Issuer
) -> None:
    """For encryption, a secret by mistake, or of a kind that we do not take."""
    key = next(iter(issuer.keys.values()))
    assert isinstance(key, rsa.RSAPrivateKey)
    public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    secret = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    issuer.jwks = {
        "keys": [
            {**public, "kid": "first", "use": "enc"},
            {"kty": "oct", "k": secret, "kid": "shared", "alg": "HS256"},
            {**public, "kid": "other", "alg": "PS256"},
            {"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "kid": "broken"},
            *({}, 7, None),
        ]
    }
    hs256 = jwt.encode({"sub": "tess"}, b"s" * 32, algorithm="HS256", headers={"kid": "shared"})
    ps256 = jwt.encode(
        {"iss": issuer.url, "aud": AUDIENCE, "sub": "tess", "exp": int(time.time()) + 60},
        *(key, "PS256"),
        headers={"kid": "other"},
    )
    for token in (issuer.token("first"), hs256, ps256, issuer.token("other", key=key)):
        assert (await server.ask("decode", PLAIN, key=token)).status_code == 401


async def test_keys_are_fetched_once_and_kept(server: Codec, issuer: Issuer) -> None:
    answers = await asyncio.gather(
        *(server.ask("decode", PLAIN, key=issuer.token()) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert issuer.asked == 1


async def test_a_rotated_key_is_fetched_when_its_first_token_comes(
    server: Codec, issuer: Issuer, clock: Clock
) -> None:
    before = issuer.token()
    await server.ask("decode", PLAIN, key=before)
    issuer.rotate("second")
    clock.now += bearers.PAUSE_SECONDS
    assert read(await server.ask("decode", PLAIN, key=issuer.token())) == [PLAIN]
    assert (await server.ask("decode", PLAIN, key=before)).status_code == 401
    assert issuer.asked == 2


async def test_a_key_that_was_taken_back_counts_an_hour_at_most(
    server: Codec, issuer: Issuer, clock: Clock
) -> None:
    stolen = issuer.token()
    await server.ask("decode", PLAIN, key=stolen)
    issuer.rotate("second")
    clock.now += bearers.FRESH_SECONDS
    assert (await server.ask("decode", PLAIN, key=stolen)).status_code == 401


async def test_made_up_key_ids_do_not_make_us_hammer_the_issuer(
    server: Codec, issuer: Issuer, clock: Clock
) -> None:
    """And hold up nobody whose key is known."""
    await server.ask("decode", PLAIN, key=issuer.token())
    key = next(iter(issuer.keys.values()))
    for second in range(100):
        clock.now += 1
        made_up = await server.ask("decode", PLAIN, key=issuer.token(f"kid-{second}", key=key))
        assert made_up.status_code == 401
        assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 200
    assert issuer.asked <= 1 + 100 / bearers.PAUSE_SECONDS


async def test_an_issuer_that_is_away_is_no_refusal(
    server: Codec, issuer: Issuer, clock: Clock
) -> None:
    """It is asked again, but not for everybody who comes; shared keys count all the while."""
    issuer.is_away = True
    for _ in range(3):
        answer = await server.ask("decode", PLAIN, key=issuer.token())
        assert (answer.status_code, answer.json()["error"]) == (503, "AWAY")
        assert answer.headers["retry-after"] == str(bearers.PAUSE_SECONDS)
    assert read(await server.ask("decode", PLAIN)) == [PLAIN]
    issuer.is_away = False
    assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 503
    clock.now += bearers.PAUSE_SECONDS
    assert read(await server.ask("decode", PLAIN, key=issuer.token())) == [PLAIN]


async def test_known_keys_count_for_a_day_while_the_issuer_is_away(
    server: Codec, issuer: Issuer, clock: Clock
) -> None:
    await server.ask("decode", PLAIN, key=issuer.token())
    issuer.is_away = True
    clock.now += bearers.KEPT_SECONDS - 1
    assert read(await server.ask("decode", PLAIN, key=issuer.token())) == [PLAIN]
    unknown = issuer.token("unknown", key=next(iter(issuer.keys.values())))
    assert (await server.ask("decode", PLAIN, key=unknown)).status_code == 503
    clock.now += 1
    assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 503


async def test_nobody_listening_at_the_issuers_address_is_an_issuer_that_is_away(
    clock: Clock,
) -> None:
    with Issuer() as gone:
        token = gone.token()
    async with serving(gone, clock) as server:
        assert (await server.ask("decode", PLAIN, key=token)).status_code == 503


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://127.0.0.1:1/another"},
        {"issuer": None},
        {"jwks_uri": "http://keys.example/keys"},
        {"jwks_uri": None},
        {"jwks_uri": "nonsense"},
        {"jwks_uri": "http://["},
        {"padding": "x" * 300_000},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_an_issuer_that_is_another_or_whose_keys_could_be_anybodys_is_not_believed(
    server: Codec, issuer: Issuer, wrong: dict[str, Any]
) -> None:
    issuer.more = wrong
    assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 503


async def test_keys_are_not_fetched_from_where_anybody_could_change_them() -> None:
    asked: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        about = {"issuer": "https://issuer.example", "jwks_uri": "http://issuer.example/keys"}
        return httpx.Response(200, json=about)

    with Issuer() as known:
        token = known.token()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answered)) as http:
        who = Bearers([], bearers.Issuer("https://issuer.example", AUDIENCE, http))
        with pytest.raises(Unreachable):
            await who.who(f"Bearer {token}")
    assert asked == ["https://issuer.example/.well-known/openid-configuration"]


async def test_a_slash_at_the_end_of_the_issuers_name_is_the_issuers_matter(
    issuer: Issuer, clock: Clock
) -> None:
    """Some have one, and sign it into their tokens."""
    issuer.more = {"issuer": issuer.url + "/"}
    async with serving(issuer, clock) as server:
        answer = await server.ask("decode", PLAIN, key=issuer.token(iss=issuer.url + "/"))
        assert read(answer) == [PLAIN]
        assert (await server.ask("decode", PLAIN, key=issuer.token())).status_code == 401


@given(token=st.one_of(st.text(), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}")))
async def test_garbage_is_no_token_and_asks_no_issuer(token: str) -> None:
    def unasked(_: httpx.Request) -> httpx.Response:
        raise AssertionError("the issuer was asked")

    async with httpx.AsyncClient(transport=httpx.MockTransport(unasked)) as http:
        who = Bearers([], bearers.Issuer("https://issuer.example", AUDIENCE, http))
        with pytest.raises(Unauthorized):
            await who.who(f"Bearer {token}".encode().decode("latin-1"), token)


async def test_a_token_whose_header_is_nested_too_deep_or_too_long_is_none(
    server: Codec, issuer: Issuer
) -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":' + b"[" * 5000).decode()
    for token in (f"{deep}.e30.x", issuer.token(padding="x" * bearers.MAX_TOKEN)):
        assert (await server.ask("decode", PLAIN, key=token)).status_code == 401


async def test_not_knowing_outweighs_a_token_that_is_none(clock: Clock) -> None:
    """Whoever is signed in is told to come again, though the access token says nothing."""
    with Issuer() as gone:
        token = gone.token()
    async with httpx.AsyncClient() as http:
        who = Bearers([], bearers.Issuer(gone.url, AUDIENCE, http))
        for authorization, extras in ((f"Bearer {token}", "nonsense"), ("Bearer opaque", token)):
            with pytest.raises(Unreachable):
                await who.who(authorization, extras)


# -- the log -----------------------------------------------------------------------------------
async def test_neither_contents_nor_keys_nor_tokens_are_in_the_log(
    server: Codec, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token, wrong = issuer.token(), issuer.token(aud="somebody-else")
    with capture_logs() as logged, caplog.at_level("DEBUG"):
        (secret,) = read(await server.ask("encode", PLAIN))
        await server.ask("decode", secret, key=token)
        await server.ask("decode", secret, key=wrong)
        await server.ask("decode", secret, key="a key that somebody made up")
    events = [one["event"] for one in logged if one["log_level"] != "debug"]
    assert events[0] == "payloads_encoded"
    assert events[-3:] == ["payloads_decoded", "codec_refused", "codec_refused"]
    assert {one.get("who") for one in logged} >= {"shared key", "tess"}
    said = json.dumps(logged) + caplog.text
    for private in ("orchard", SHARED, OLD_SHARED, "somebody made up", *token.split(".")[1:]):
        assert private not in said
    assert wrong.split(".")[1] not in said


async def test_a_refusal_is_in_the_log_with_its_reason_and_address(server: Codec) -> None:
    with capture_logs() as logged:
        await server.post("decode", b"", key="")
    (entry,) = logged
    assert entry["event"] == "codec_refused"
    assert (entry["why"], entry["client"]) == ("no key and no token", "127.0.0.1")


# -- browsers ----------------------------------------------------------------------------------
async def preflight(server: Codec, origin: str, headers: str = "content-type") -> httpx.Response:
    return await server.client.options(
        "/decode",
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": headers,
        },
    )


async def test_the_uis_pages_may_ask_with_what_they_send(server: Codec) -> None:
    asked = "authorization,authorization-extras,content-type,x-namespace"
    answer = await preflight(server, UI, asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == UI
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert set(asked.split(",")) <= set(allowed)
    assert answer.headers["access-control-allow-methods"] == "POST"
    answered = await server.ask("decode", PLAIN, origin=UI)
    assert answered.headers["access-control-allow-origin"] == UI
    for one in (answer, answered, await server.ask("decode", key="", origin=UI)):
        assert "Origin" in one.headers["vary"]
        assert one.headers["access-control-allow-origin"] == UI
        assert "access-control-allow-credentials" not in one.headers


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://temporal.example", "https://temporal.example:8443"),
        *("https://temporal.example.evil.example", "https://x.temporal.example", "null", "*"),
    ],
)
async def test_other_pages_may_not_ask(server: Codec, origin: str) -> None:
    for answer in (
        await preflight(server, origin),
        await server.ask("decode", PLAIN, origin=origin),
    ):
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


async def test_without_an_origin_no_page_may_ask(clock: Clock) -> None:
    async with serving(None, clock, SHARED, origin="") as server:
        for origin in (UI, "null", ""):
            answer = await preflight(server, origin)
            assert "access-control-allow-origin" not in answer.headers


async def test_what_a_browser_may_do_with_an_answer(server: Codec) -> None:
    for answer in (
        await server.ask("decode", PLAIN),
        await server.ask("decode", key=""),
        await server.post("decode", b"nonsense"),
        await server.client.get("/healthz"),
        await preflight(server, UI),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"


# -- what it does not start with ---------------------------------------------------------------
ONE_KEY = (SecretStr("first:" + base64.b64encode(bytes(32)).decode()),)


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"codec_secret": (SecretStr(SHARED),)}, "TRANSFER_ENCRYPTION_KEYS"),
        ({"encryption_keys": ONE_KEY}, "TRANSFER_CODEC_SECRET"),
        (
            {"encryption_keys": ONE_KEY, "codec_secret": (SecretStr("x" * (MIN_KEY - 1)),)},
            "TRANSFER_CODEC_SECRET",
        ),
        (
            {"encryption_keys": ONE_KEY, "codec_oidc_issuer": "https://issuer.example"},
            "TRANSFER_CODEC_OIDC_AUDIENCE",
        ),
        (
            {"encryption_keys": ONE_KEY, "codec_oidc_audience": AUDIENCE},
            "TRANSFER_CODEC_OIDC_ISSUER",
        ),
        (
            {
                "encryption_keys": ONE_KEY,
                "codec_oidc_audience": AUDIENCE,
                "codec_oidc_issuer": "http://issuer.example",
            },
            "TRANSFER_CODEC_OIDC_ISSUER",
        ),
        (
            {
                "encryption_keys": ONE_KEY,
                "codec_oidc_audience": AUDIENCE,
                "codec_oidc_issuer": "https://issuer.example:port",
            },
            "TRANSFER_CODEC_OIDC_ISSUER",
        ),
    ],
)
async def test_it_does_not_start_without_keys_or_where_nobody_may_ask(
    settings: dict[str, Any], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CODEC_SECRET", "ENCRYPTION_KEYS", "CODEC_OIDC_ISSUER", "CODEC_OIDC_AUDIENCE"):
        monkeypatch.delenv(f"TRANSFER_{name}", raising=False)
    with pytest.raises(InputInvalid, match=variable) as refused:
        await main(Settings(**settings))
    assert "xxxx" not in str(refused.value)
