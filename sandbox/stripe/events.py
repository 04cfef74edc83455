"""Events: what happened, newest first, with whether the webhook endpoint has heard of it."""

from __future__ import annotations

from fnmatch import fnmatchcase

from sandbox.store import Document
from sandbox.stripe import checkout, listing
from sandbox.stripe.account import Account
from sandbox.stripe.errors import invalid
from sandbox.stripe.forms import Parameters, boolean, items, text


def listed(account: Account, parameters: Parameters) -> Document:
    """Return events filtered by `type`, `types` (20 at most), `created` and `delivery_success`."""
    checkout.expire_due(account)
    kind, kinds = text(parameters, "type"), items(parameters, "types")
    if kind and kinds:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    if len(kinds) > 20:
        raise invalid("You can specify at most 20 types.", "types")
    delivered = boolean(parameters, "delivery_success")
    found = [
        event
        for event in account.of("evt")
        if (not kinds or event["type"] in kinds)
        and (kind is None or fnmatchcase(event["type"], kind))
        and delivered in (None, event["_delivery"]["state"] == "delivered")
    ]
    return listing.page(account, found, parameters, "/v1/events")


def twin(account: Account, event_id: str) -> str:
    """Record a second event with another identity for the same change, as sometimes happens, and return it."""
    with account.lock:
        event = account.find("evt", event_id)
        return account.emit(event["type"], event["data"]["object"])


def balance(account: Account) -> Document:
    """Return the money in the account by currency: paid, less refunded, less withdrawn for disputes."""
    amounts: dict[str, int] = {}
    for charge in account.of("ch"):
        if charge["status"] == "succeeded":
            left = charge["amount_captured"] - charge["amount_refunded"]
            amounts[charge["currency"]] = amounts.get(charge["currency"], 0) + left
    for dispute in account.of("dp"):
        if dispute["status"] != "won" and not dispute["status"].startswith("warning_"):
            amounts[dispute["currency"]] = amounts.get(dispute["currency"], 0) - dispute["amount"]
    return account_balance(amounts)


def account_balance(amounts: dict[str, int]) -> Document:
    """Return the balance object for amounts in minor units by currency."""
    available = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(amounts.items())
    ]
    return {"object": "balance", "livemode": False, "available": available, "pending": []}
