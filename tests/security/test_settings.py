"""A setting that cannot be read is named, and never repeated: it may be a secret."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest

from gateway.bearers import Bearers
from gateway.signatures import RtSignatures, Signatures
from transfer.adapters.wiring import channels, neighbours, tracking_links
from transfer.connection import encryption
from transfer.errors import InputInvalid, TransferError
from transfer.settings import Settings, load_settings

MARK = "s3cr3t-mark"


async def opened(settings: Settings) -> None:
    """Open everything that a worker opens."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(neighbours(settings))


async def used(use: Callable[[Settings], object]) -> None:
    """Read the settings, and use one."""
    result = use(load_settings())
    if isinstance(result, Awaitable):
        await result


WRONG: dict[str, tuple[dict[str, str], Callable[[Settings], object]]] = {
    "another database": ({"DATABASE_URL": f"oracle://u:{MARK}@db/x"}, opened),
    "a database's port": ({"DATABASE_URL": f"postgresql://u:{MARK}@db:port/x"}, opened),
    "no database": ({"DATABASE_URL": MARK}, opened),
    "no mail server": ({"SMTP_URL": f"http://u:{MARK}@mail"}, opened),
    "a mail server's port": ({"SMTP_URL": f"smtp://u:{MARK}@mail:port"}, opened),
    "no webhook secret": ({"WEBHOOK_SECRET": MARK}, lambda s: Signatures(s.webhook_secret)),
    "a short hook secret": ({"RT_HOOK_SECRET": MARK}, lambda s: RtSignatures(s.rt_hook_secret)),
    "a short codec secret": ({"CODEC_SECRET": MARK}, lambda s: Bearers(s.codec_secret, None)),
    "no encryption key": ({"ENCRYPTION_KEYS": f"id:{MARK}"}, encryption),
    "a short tracking key": (
        {"TRACKING_KEYS": MARK, "PUBLIC_URL": "https://transfers.example"},
        tracking_links,
    ),
    "no channel": ({"STAFF_CHANNELS": f"nothing://{MARK}"}, channels),
    "too many": ({"CODEC_SECRET": ",".join(f"{MARK}{n}" for n in range(50))}, str),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of apprise's own imports
@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_secret_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    values, use = WRONG[what]
    for name, value in values.items():
        monkeypatch.setenv(f"TRANSFER_{name}", value)
    with pytest.raises((TransferError, ValueError)) as caught:
        await used(use)
    error: BaseException | None = caught.value
    while error is not None:
        assert MARK not in f"{error!r} {error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_no_setting_is_repeated_in_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not even one that is no secret: people paste into the wrong line."""
    variable = "OTEL_EXPORTER_OTLP_ENDPOINT" if name == "otlp_endpoint" else f"TRANSFER_{name}"
    monkeypatch.setenv(variable.upper(), f"{MARK} " * 400)
    said, shown = "", ""
    try:
        shown = repr(load_settings())
    except InputInvalid as error:
        said = str(error)
    assert MARK not in said
    assert name.upper() in said or shown
    if "SecretStr" in str(Settings.model_fields[name].annotation):
        assert MARK not in shown
