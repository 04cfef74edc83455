"""Addresses of the shop as they stand in mails: the only place that builds them without a web request."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote

from itsdangerous import Signer

from config import Settings
from models import Order
from services.shop import Shop


def order_url(shop: Shop, order: Order) -> str:
    """Return the address of an order's page that opens without signing in; it is a secret of the buyer."""
    return f"{order_page_url(shop, order)}?key={order_key(shop.settings, order)}"


def order_page_url(shop: Shop, order: Order) -> str:
    """Return the address of an order's page for its signed-in owner."""
    return _page(shop, order.language, "orders", order.public_id)


def order_key(settings: Settings, order: Order) -> str:
    """Return the key that opens one order without signing in; it stays the same until the address is corrected."""
    return _order_signer(settings).get_signature(_signed(order.public_id, order.corrections)).decode("ascii")


def check_order_key(settings: Settings, order: Order, key: str) -> bool:
    """Return whether `key` opens this order; takes the same time for every wrong key."""
    return _fits(settings, order.public_id, order.corrections, key)


def was_order_key(settings: Settings, order: Order, key: str) -> bool:
    """Return whether `key` opened this order before its address was corrected."""
    return any(_fits(settings, order.public_id, earlier, key) for earlier in range(order.corrections))


def shop_home_url(shop: Shop, language: str) -> str:
    """Return the address of the shop's first page in `language`."""
    return f"{shop.settings.shop_url}/{language}/"


def plans_url(shop: Shop, language: str) -> str:
    """Return the address of the list of plans."""
    return _page(shop, language, "plans")


def account_url(shop: Shop, language: str) -> str:
    """Return the address of the signed-in traveller's overview."""
    return _page(shop, language, "account")


def account_settings_url(shop: Shop, language: str) -> str:
    """Return the address where e-mail, password, language and currency are changed."""
    return _page(shop, language, "account", "settings")


def esim_url(shop: Shop, language: str, esim_public_id: str) -> str:
    """Return the address of an eSIM's page for its signed-in owner."""
    return _page(shop, language, "account", "esims", esim_public_id)


def renewal_url(shop: Shop, language: str, esim_public_id: str) -> str:
    """Return the address where a plan is chosen for an eSIM that exists."""
    return _page(shop, language, "account", "esims", esim_public_id, "renewal")


def claim_url(shop: Shop, language: str, secret: str) -> str:
    """Return the one-time address where a buyer chooses a password."""
    return _page(shop, language, "claim", secret)


def password_reset_url(shop: Shop, language: str, secret: str) -> str:
    """Return the one-time address where a new password is chosen."""
    return _page(shop, language, "password-reset", secret)


def sign_in_link_url(shop: Shop, language: str, secret: str) -> str:
    """Return the one-time address that opens an account without a password."""
    return _page(shop, language, "sign-in", "link", secret)


def email_change_url(shop: Shop, language: str, secret: str) -> str:
    """Return the one-time address that confirms a new e-mail address."""
    return _page(shop, language, "email", secret)


def _page(shop: Shop, language: str, *segments: str) -> str:
    path = "/".join(quote(segment, safe="") for segment in (language, *segments))
    return f"{shop.settings.shop_url}/{path}"


def _signed(public_id: str, corrections: int) -> str:
    # Without a correction it is the id alone, as in mails that were sent before addresses could be corrected.
    return f"{public_id}.{corrections}" if corrections else public_id


def _fits(settings: Settings, public_id: str, corrections: int, key: str) -> bool:
    signed = _signed(public_id, corrections).encode()
    return _order_signer(settings).verify_signature(signed, key.encode("utf-8", "replace"))


def _order_signer(settings: Settings) -> Signer:
    return Signer(settings.secret_key, salt="order-access", key_derivation="hmac", digest_method=sha256)
