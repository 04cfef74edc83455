"""Settings of the shop, read once from the environment; nothing else reads `os.environ`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
SUPPLIERS = ("esim_access",)
ROOT = Path(__file__).parent


class SettingsError(Exception):
    """A setting is missing or contradicts another; the message names it and says what to do."""


@dataclass(frozen=True, kw_only=True)
class StripeSettings:
    """How to reach Stripe; `api_base` is None for Stripe itself."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    api_base: str | None

    @property
    def livemode(self) -> bool:
        """Return whether the key moves real money."""
        return "_live_" in self.secret_key

    @property
    def checkout_origin(self) -> str:
        """Return the origin a buyer is sent to for paying, for the Content-Security-Policy."""
        return self.api_base or "https://checkout.stripe.com"


@dataclass(frozen=True, kw_only=True)
class EsimAccessSettings:
    """How to reach eSIM Access; an empty `secret` signs with the access code (docs/suppliers.md)."""

    base_url: str
    access_code: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SmtpSettings:
    """How to hand over mail."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    starttls: bool
    mail_from: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the shop needs to know, checked; build it with `from_env`."""

    secret_key: str = field(repr=False)
    shop_url: str
    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    instance: Path
    stripe: StripeSettings
    supplier: str
    esim_access: EsimAccessSettings
    smtp: SmtpSettings
    sandbox_url: str | None
    # How many reverse proxies of our own stand in front and set X-Forwarded-For and -Proto.
    trusted_proxies: int
    log_level: str

    @property
    def secure_cookies(self) -> bool:
        """Return whether visitors reach the shop over HTTPS, so that cookies may insist on it."""
        return self.shop_url.startswith("https://")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings in `environ`; raises SettingsError naming the first one that is missing or wrong."""
        read = _Reader(environ)
        instance = Path(environ.get("INSTANCE") or ROOT / "instance").resolve()
        shop_url = read.url("SHOP_URL")
        sandbox_url = environ.get("SANDBOX_URL") or None
        stripe = _stripe_settings(read)
        if sandbox_url and stripe.livemode:
            raise SettingsError("SANDBOX_URL is set together with a live STRIPE_SECRET_KEY; unset one of them")
        return cls(
            secret_key=read.secret("SECRET_KEY"),
            shop_url=shop_url,
            database_url=environ.get("DATABASE_URL") or f"sqlite:///{instance / 'shop.sqlite3'}",
            redis_url=environ.get("REDIS_URL") or None,
            instance=instance,
            stripe=stripe,
            supplier=read.choice("SUPPLIER", SUPPLIERS, default="esim_access"),
            esim_access=EsimAccessSettings(
                base_url=read.url("ESIM_ACCESS_BASE_URL", default="https://api.esimaccess.com/api/v1/open"),
                access_code=read.required("ESIM_ACCESS_CODE"),
                secret=environ.get("ESIM_ACCESS_SECRET", ""),
            ),
            smtp=_smtp_settings(read),
            sandbox_url=sandbox_url,
            trusted_proxies=read.number("TRUSTED_PROXIES", default=0),
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS, default="INFO"),
        )


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def required(self, name: str) -> str:
        value = self._environ.get(name, "").strip()
        if not value:
            raise SettingsError(f"{name} is not set; see .env.example")
        return value

    def secret(self, name: str) -> str:
        value = self.required(name)
        if len(value) < 32:
            suggestion = secrets.token_urlsafe(32)
            raise SettingsError(f"{name} must be at least 32 characters long; a fresh one: {suggestion}")
        return value

    def url(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name, "").strip() or default or self.required(name)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{name} must start with http:// or https:// and name a host")
        return value.rstrip("/")

    def optional_url(self, name: str) -> str | None:
        return self.url(name) if self._environ.get(name, "").strip() else None

    def number(self, name: str, default: int) -> int:
        value = self._environ.get(name, "").strip() or str(default)
        if not value.isdecimal():
            raise SettingsError(f"{name} must be a whole number, 0 or more")
        return int(value)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self._environ.get(name, "").strip() or default
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}")
        return value


def _stripe_settings(read: _Reader) -> StripeSettings:
    settings = StripeSettings(
        secret_key=read.required("STRIPE_SECRET_KEY"),
        webhook_secret=read.required("STRIPE_WEBHOOK_SECRET"),
        api_base=read.optional_url("STRIPE_API_BASE"),
    )
    if settings.livemode and settings.api_base:
        raise SettingsError("STRIPE_API_BASE is refused together with a live STRIPE_SECRET_KEY; unset it")
    return settings


def _smtp_settings(read: _Reader) -> SmtpSettings:
    parts = urlsplit(read.required("SMTP_URL"))
    if parts.scheme not in ("smtp", "smtp+starttls") or not parts.hostname:
        raise SettingsError(
            "SMTP_URL must look like smtp://user:password@host:port (smtp+starttls:// to insist on TLS)"
        )
    try:
        port = parts.port
    except ValueError:
        raise SettingsError("SMTP_URL names a port that is no number between 1 and 65535") from None
    return SmtpSettings(
        host=parts.hostname,
        port=port or 587,
        # What a URL has to escape, an @ in a password for one, is meant unescaped (RFC 3986, section 2.4).
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls="starttls" in parts.scheme,
        mail_from=read.required("MAIL_FROM"),
    )
