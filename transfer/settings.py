"""Settings: one class, from ``TRANSFER_*`` variables. Temporal's own come from its own profiles."""

from __future__ import annotations

import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from transfer.errors import InputInvalid
from transfer.policy import Policy

DEFAULT_DATABASE = "sqlite:///var/transfer.db"


class Settings(BaseSettings):
    """Everything that differs between installations. A secret has no default."""

    model_config = SettingsConfigDict(
        env_prefix="TRANSFER_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr = SecretStr(DEFAULT_DATABASE)
    """``sqlite:///path`` or ``postgresql://user:password@host/name``."""
    smtp_url: SecretStr = SecretStr("smtp://localhost:1025")
    """``smtp://``, ``smtp+starttls://`` or ``smtps://`` with host, port, user and password."""
    mail_from: str = "Customer Transfers <transfers@localhost>"
    tickets_url: str = "database:"
    """``database:`` is the built-in desk, ``rt+https://host/`` a Request Tracker 5."""
    rt_token: SecretStr | None = None
    """The token of our user in Request Tracker."""
    rt_account: str = "group:account *"
    """Whose a ticket is: ``group:NAME``, ``field:NAME`` or ``organization``."""
    rt_administrators: str = "group:administrators of *"
    """Who may speak for an account: ``group:NAME``, ``field:NAME``, ``all`` who are of it."""
    rt_delegated: str = ""
    """``field:NAME``: the custom field in which the panel marks somebody else's session."""
    rt_person: str = Field(default="name", pattern="^(name|email)$")
    """What a person's id is: the ``name`` of RT's user, or its ``email`` address."""
    rt_panels: Annotated[tuple[str, ...], NoDecode] = Field(default=(), max_length=20)
    """RT users under which a panel files tickets for its own users, separated by commas."""
    rt_closed: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("resolved", "rejected", "deleted"), max_length=50
    )
    """Statuses in which a ticket of Request Tracker is closed, separated by commas."""
    rt_staff_queue: str = Field(default="", max_length=200)
    """The queue in Request Tracker in which escalations are tickets; empty: no tickets there."""
    staff_notify: Annotated[tuple[str, ...], NoDecode] = Field(default=())
    """Mail addresses of the staff who hear of escalations, separated by commas."""
    staff_channels: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=20)
    """Staff's other channels, as apprise's URLs, separated by commas or white space."""
    notice_retry_seconds: float = Field(default=10, gt=0, le=900)
    """How soon a notice that did not arrive is tried again: doubled each time, to 15 minutes."""
    policy_file: Path | None = None
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=10)
    """Secrets with which the ticket system signs webhooks, separated by commas: the gateway's."""
    rt_hook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=10)
    """Secrets with which Request Tracker signs its hooks, separated by commas: the gateway's."""
    own_authors: Annotated[tuple[str, ...], NoDecode] = Field(default=(), max_length=100)
    """Ids under which the ticket system books our own replies, separated by commas."""
    reconcile_seconds: int = Field(default=60, ge=5, le=86_400)
    """How often tickets are looked for that nobody announced; takes effect by ``setup``."""
    digest_at: time | None = time(7)
    """When staff get their daily digest, in the policy's time zone; empty: never. By ``setup``."""
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = Field(
        default="", max_length=200, pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$"
    )
    """The gateway's address as people reach it; links in mails begin with it."""
    tracking_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=10)
    """Keys that sign the links to tracking pages, separated by commas, the newest first."""
    tracking_days: int = Field(default=90, ge=1, le=3650)
    """How long such a link is valid."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(default=(), max_length=20)
    """Addresses of proxies that say truly whom they speak for; separated by commas."""
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=10)
    """Keys for what Temporal keeps, as ``id:base64``, separated by commas, the newest first."""
    codec_host: str = "127.0.0.1"
    codec_port: int = Field(default=8081, ge=0, le=65535)
    codec_origin: str = Field(default="", max_length=200, pattern=r"^(https?://[^\s/?#]+)?$")
    """The Temporal UI's own address, whose pages may ask the codec server."""
    codec_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), max_length=10)
    """Shared keys for the codec server, separated by commas: sent as ``Authorization: Bearer``."""
    codec_oidc_issuer: str = Field(default="", max_length=300, pattern=r"^(https?://\S+)?$")
    """Whose tokens of signed-in people the codec server takes, as the Temporal UI hands them on."""
    codec_oidc_audience: str = Field(default="", max_length=200)
    """Whom such a token must be for: the client id of the Temporal UI."""
    max_cached_workflows: int = Field(default=1000, ge=0)
    """Open transfers kept in the worker's memory, about 0.2 MB each."""
    build_id: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9._-]*$")
    """The version of this worker; empty: it is not versioned, and works at once."""
    metrics_address: str = Field(default="", max_length=100, pattern=r"^(\S+:\d+)?$")
    """``host:port`` at which a worker shows its metrics to Prometheus; empty: nowhere."""
    health_address: str = Field(default="", max_length=100, pattern=r"^(\S+:\d+)?$")
    """``host:port`` at which a worker answers ``/healthz`` and ``/readyz``; empty: nowhere."""
    otlp_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where traces go, by OpenTelemetry's own variable; empty: there are none."""
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator(
        *("staff_notify", "webhook_secret", "rt_hook_secret", "own_authors", "tracking_keys"),
        *("rt_panels", "rt_closed", "trusted_proxies", "encryption_keys", "codec_secret"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("digest_at", mode="before")
    @classmethod
    def _time_of_day(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.strip() and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value.strip()):
            raise ValueError("give a time of day like 07:00, or nothing")
        return value.strip() or None

    @field_validator("staff_channels", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        """Split at a comma or space that a URL follows: apprise's URLs have commas of their own."""
        if isinstance(value, str):
            parts = re.split(r"[\s,]+(?=[A-Za-z0-9+_-]+://)", value)
            return tuple(part for part in (part.strip(" ,\t\r\n") for part in parts) if part)
        return value

    @property
    def mail_domain(self) -> str:
        """The domain of our mail address: Message-IDs end in it."""
        return self.mail_from.rsplit("@", 1)[-1].strip(" >") or "localhost"

    def policy(self) -> Policy:
        """The policy that new transfers are started with.

        Raises:
            InputInvalid: the policy file cannot be read; the message names the keys.
        """
        return read_policy(self.policy_file) if self.policy_file else Policy()


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        InputInvalid: a setting cannot be read; the message names it and hides its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"TRANSFER_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise InputInvalid(f"{problems}. Mend the environment.") from None


def read_policy(path: Path) -> Policy:
    """Read a policy file (TOML). Every key is optional; a key nobody knows is an error.

    Raises:
        InputInvalid: the file is not there, not TOML, or has wrong keys or values.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputInvalid(f"{path}: {error.strerror}. Mend TRANSFER_POLICY_FILE.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputInvalid(f"{path}: {error}.") from error
    if unknown := sorted(values.keys() - Policy.model_fields.keys()):
        known = ", ".join(Policy.model_fields)
        raise InputInvalid(f"{path}: unknown {', '.join(unknown)}. Known are: {known}.")
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise InputInvalid(f"{path}: {problems}.") from None
