"""The address that a supplier calls, and what its calls lead to."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select

from config import Settings
from models import Esim
from services.shop import Shop
from services.suppliers import SupplierEvent


def webhook_token(settings: Settings, supplier: str) -> str:
    """Return the part of the address that nobody guesses, derived so that it needs no setting of its own."""
    message = f"supplier webhook {supplier}".encode()
    return hmac.new(settings.secret_key.encode(), message, hashlib.sha256).hexdigest()[:40]


def webhook_url(settings: Settings, supplier: str) -> str:
    """Return the whole address for the supplier to call."""
    return f"{settings.shop_url}/webhooks/{supplier}/{webhook_token(settings, supplier)}"


def request_reading(shop: Shop, event: SupplierEvent) -> None:
    """Have the eSIM that an event names read again by the worker; an unknown one is ignored."""
    if event.supplier_esim_id is None:
        return
    with shop.transaction() as session:
        esim_id = session.scalars(
            select(Esim.id).where(Esim.supplier == shop.supplier.code, Esim.supplier_esim_id == event.supplier_esim_id)
        ).one_or_none()
        if esim_id is not None:
            shop.knock("read_usage", esim_id)
