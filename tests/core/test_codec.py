"""Encryption: what goes in comes out, what is not ours is handed on, and no key is read wrong."""

from __future__ import annotations

import base64
import logging

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from transfer.codec import ENCODING, KEY_BYTES, KEY_ID, NONCE_BYTES, EncryptionCodec, keys
from transfer.errors import InputInvalid

NEW, OLD = bytes(range(KEY_BYTES)), bytes(KEY_BYTES)
CODEC = EncryptionCodec({"new": NEW, "old": OLD})

payloads = st.builds(
    Payload,
    metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=4),
    data=st.binary(max_size=500),
)


def _by_others(name: bytes, data: bytes) -> Payload:
    return Payload(metadata={"encoding": ENCODING, KEY_ID: name}, data=data)


encrypted_by_others = st.builds(
    _by_others,
    st.sampled_from([b"", b"new", b"old", b"NEW", b"new ", b"\xff\xfe", b"x" * 1000]),
    st.binary(max_size=200),
)


async def encrypted(payload: Payload, codec: EncryptionCodec = CODEC) -> Payload:
    (secret,) = await codec.encode([payload])
    return secret


def copied(payload: Payload) -> Payload:
    twin = Payload()
    twin.CopyFrom(payload)
    return twin


# -- there and back ----------------------------------------------------------------------------
@given(sent=st.lists(payloads, max_size=5))
async def test_what_was_encrypted_is_decrypted_to_the_same_in_the_same_order(
    sent: list[Payload],
) -> None:
    assert await CODEC.decode(await CODEC.encode(sent)) == sent


@given(data=st.binary(min_size=16, max_size=200), name=st.text(min_size=8, max_size=20))
async def test_nothing_of_a_payload_can_be_read_without_a_key(data: bytes, name: str) -> None:
    """Neither its data nor what kind it is."""
    secret = await encrypted(Payload(metadata={name: data}, data=data))
    assert dict(secret.metadata) == {"encoding": b"binary/encrypted", KEY_ID: b"new"}
    assert data not in secret.data
    assert name.encode() not in secret.data


async def test_two_payloads_of_the_same_content_differ() -> None:
    secrets = await CODEC.encode([Payload(data=b"same")] * 100)
    nonces = {secret.data[:NONCE_BYTES] for secret in secrets}
    assert len(nonces) == len({secret.data for secret in secrets}) == 100


async def test_it_is_aes_256_gcm_with_the_keys_id_bound_to_it() -> None:
    """So that another program with the key can read it."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    secret = await encrypted(payload)
    nonce, ciphertext = secret.data[:NONCE_BYTES], secret.data[NONCE_BYTES:]
    assert Payload.FromString(AESGCM(NEW).decrypt(nonce, ciphertext, b"new")) == payload


# -- several keys ------------------------------------------------------------------------------
async def test_the_first_key_encrypts_and_every_one_decrypts() -> None:
    payload = Payload(data=b"long lived")
    by_old = await encrypted(payload, EncryptionCodec({"old": OLD}))
    assert await CODEC.decode([by_old]) == [payload]
    assert (await encrypted(payload)).metadata[KEY_ID] == b"new"
    prepared = EncryptionCodec({"old": OLD, "new": NEW})  # behind the old one, as rotation begins
    assert (await encrypted(payload, prepared)).metadata[KEY_ID] == b"old"
    assert await prepared.decode([await encrypted(payload)]) == [payload]


async def test_without_its_key_a_payload_is_handed_on_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error would fail the workflow's task. The log says which key is missing."""
    secret = await encrypted(Payload(data=b"lost"))
    with caplog.at_level(logging.WARNING):
        assert await EncryptionCodec({"other": OLD}).decode([copied(secret)]) == [secret]
    (said,) = caplog.records
    assert (said.message, vars(said)["key_id"]) == ("payload_not_decrypted", "new")
    assert b"lost" not in str(vars(said)).encode()


async def test_another_key_of_the_same_name_decrypts_nothing() -> None:
    secret = await encrypted(Payload(data=b"secret"))
    assert await EncryptionCodec({"new": OLD}).decode([copied(secret)]) == [secret]


async def test_a_ciphertext_under_another_keys_name_decrypts_nothing() -> None:
    """Though that key is there, and were even the same."""
    twins = EncryptionCodec({"new": NEW, "twin": NEW})
    secret = await encrypted(Payload(data=b"secret"), twins)
    secret.metadata[KEY_ID] = b"twin"
    assert await twins.decode([copied(secret)]) == [secret]


# -- what is not ours --------------------------------------------------------------------------
@given(payload=payloads)
async def test_what_is_not_encrypted_is_handed_on_as_it_is(payload: Payload) -> None:
    """A ticket system may send plain JSON, and what was begun before encryption goes on."""
    assert await CODEC.decode([copied(payload)]) == [payload]


@given(payload=encrypted_by_others)
async def test_what_others_encrypted_is_handed_on_as_it_is(payload: Payload) -> None:
    assert await CODEC.decode([copied(payload)]) == [payload]


@given(payload=payloads, data=st.data())
async def test_one_bit_changed_anywhere_and_it_is_handed_on_as_it_is(
    payload: Payload, data: st.DataObject
) -> None:
    secret = await encrypted(payload)
    bit = data.draw(st.integers(0, len(secret.data) * 8 - 1))
    changed = bytearray(secret.data)
    changed[bit // 8] ^= 1 << bit % 8
    secret.data = bytes(changed)
    assert await CODEC.decode([copied(secret)]) == [secret]


@given(payload=payloads, data=st.data())
async def test_cut_off_or_longer_it_is_handed_on_as_it_is(
    payload: Payload, data: st.DataObject
) -> None:
    secret = await encrypted(payload)
    kept = data.draw(st.integers(0, len(secret.data) - 1))
    more = data.draw(st.binary(min_size=1, max_size=20))
    whole = secret.data
    for changed in (whole[:kept], whole[len(whole) - kept :], whole + more, more + whole):
        secret.data = changed
        assert await CODEC.decode([copied(secret)]) == [secret]


async def test_what_is_encrypted_with_our_key_but_is_no_payload_is_handed_on_as_it_is() -> None:
    nonce = bytes(NONCE_BYTES)
    junk = Payload(
        metadata={"encoding": ENCODING, KEY_ID: b"new"},
        data=nonce + AESGCM(NEW).encrypt(nonce, b"\xff\xff\xff", b"new"),
    )
    assert await CODEC.decode([copied(junk)]) == [junk]


async def test_one_that_cannot_be_decrypted_leaves_the_others_alone() -> None:
    good = Payload(data=b"good")
    bad = Payload(metadata={"encoding": ENCODING, KEY_ID: b"gone"}, data=b"?")
    assert await CODEC.decode([await encrypted(good), bad, good]) == [good, bad, good]


# -- the setting -------------------------------------------------------------------------------
@given(
    named=st.dictionaries(
        st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
        st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
        max_size=5,
    ),
    url_safe=st.booleans(),
)
def test_keys_are_read_in_their_order(named: dict[str, bytes], url_safe: bool) -> None:
    """In either alphabet of base64."""
    write = base64.urlsafe_b64encode if url_safe else base64.b64encode
    settings = [f"{name}:{write(key).decode()}" for name, key in named.items()]
    assert list(keys(settings).items()) == list(named.items())


@pytest.mark.parametrize(
    "settings",
    [
        *([""], ["secret"], [":" + base64.b64encode(NEW).decode()], ["new:"], ["new:###"]),
        ["new:" + base64.b64encode(NEW[:-1]).decode()],
        ["new:" + base64.b64encode(NEW + b"x").decode()],
        ["new:" + NEW.hex()],
        ["n w:" + base64.b64encode(NEW).decode()],
        ["x" * 41 + ":" + base64.b64encode(NEW).decode()],
        ["new:" + base64.b64encode(NEW).decode() + "="],
        ["new:" + base64.b64encode(NEW).decode(), "new:" + base64.b64encode(OLD).decode()],
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(settings: list[str]) -> None:
    with pytest.raises(InputInvalid, match="TRANSFER_ENCRYPTION_KEYS") as refused:
        keys(settings)
    for setting in settings:
        assert len(setting) < 8 or setting.partition(":")[2] not in str(refused.value)
