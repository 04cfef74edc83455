"""Customers and their payment methods."""

from __future__ import annotations

import re
from typing import Any

from sandbox.store import Document
from sandbox.stripe import cards, listing
from sandbox.stripe.account import Account
from sandbox.stripe.contract import literals
from sandbox.stripe.errors import conflict_with_state, invalid, missing
from sandbox.stripe.forms import Parameters, metadata, section, text

# Methods that may be charged again without the buyer (docs.stripe.com/payments/alipay, /wechat-pay: single use).
REUSABLE = frozenset({"card", "link", "paypal", "sepa_debit"})
DELAYED = frozenset({"sepa_debit"})
OFFERED_BY_DEFAULT = ("card", "paypal", "alipay", "wechat_pay")
ENABLED = (*OFFERED_BY_DEFAULT, "link", "sepa_debit")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def checked_email(email: str | None, param: str) -> str | None:
    """Return the address; raises ApiError 400 `email_invalid` when it is none."""
    if email is not None and (not _EMAIL.fullmatch(email) or len(email) > 512):
        raise invalid(f"Invalid email address: {email}", param, "email_invalid")
    return email


def create_customer(account: Account, parameters: Parameters) -> Document:
    """Create a customer, with a payment method attached when one is given."""
    customer = account.new(
        "cus",
        "customer",
        email=checked_email(text(parameters, "email"), "email"),
        name=text(parameters, "name"),
        phone=text(parameters, "phone"),
        description=text(parameters, "description"),
        preferred_locales=list(parameters.get("preferred_locales") or []),
        metadata=metadata(parameters),
        balance=0,
        delinquent=False,
        tax_exempt="none",
        invoice_prefix=account.new_id("x")[2:10].upper(),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        next_invoice_sequence=1,
    )
    account.save(customer)
    account.emit("customer.created", customer)
    method = text(parameters, "payment_method")
    if method:
        attach(account, resolve(account, method), customer["id"])
    return customer


def usable_customer(account: Account, identity: str, param: str = "customer") -> Document:
    """Return a customer that exists; raises ApiError for one that never did or was deleted."""
    customer = account.find("cus", identity, param)
    if customer.get("deleted"):
        raise missing("customer", identity, param)
    return customer


def listed_customers(account: Account, parameters: Parameters) -> Document:
    """Return customers, newest first, with one e-mail address when asked for."""
    email = text(parameters, "email")
    found = [
        customer for customer in account.of("cus") if not customer.get("deleted") and email in (None, customer["email"])
    ]
    return listing.page(account, found, parameters, "/v1/customers")


def update_customer(account: Account, identity: str, parameters: Parameters) -> Document:
    """Change what is given of a customer."""
    customer = usable_customer(account, identity, "id")
    for name in ("email", "name", "phone", "description"):
        if name in parameters:
            customer[name] = text(parameters, name)
    checked_email(customer["email"], "email")
    customer["metadata"] = changed_metadata(customer["metadata"], parameters)
    method = section(parameters, "invoice_settings").get("default_payment_method")
    if method:
        customer["invoice_settings"]["default_payment_method"] = account.find("pm", method)["id"]
    account.save(customer)
    account.emit("customer.updated", customer)
    return customer


def delete_customer(account: Account, identity: str) -> Document:
    """Delete a customer and detach all its payment methods."""
    customer = usable_customer(account, identity, "id")
    for method in account.of("pm"):
        if method["customer"] == identity:
            account.save({**method, "customer": None, "_detached": True})
    account.emit("customer.deleted", customer)
    return account.save({"id": identity, "object": "customer", "created": customer["created"], "deleted": True})


def changed_metadata(old: dict[str, str], parameters: Parameters) -> dict[str, str]:
    """Return metadata after an update: given keys are set, empty values remove (docs.stripe.com/api/metadata)."""
    if parameters.get("metadata") == "":
        return {}
    merged = {**old, **metadata(parameters)}
    return {key: value for key, value in merged.items() if value != ""}


def create(account: Account, parameters: Parameters) -> Document:
    """Create a payment method of a card number or of another type; raises ApiError 402 for an unknown card."""
    kind = text(parameters, "type", required=True) or ""
    if kind not in literals("PaymentMethodCreateParams", "type"):
        raise invalid(f"Invalid type: {kind}", "type")
    details = section(parameters, "card")
    token = str(details.get("token") or "")
    number = cards.SHARED.get(token.replace("tok_", "pm_card_")) or str(details.get("number") or "")
    if kind == "card" and not number:
        raise invalid("Missing required param: card.", "card", "parameter_missing")
    method = new(account, kind, number, section(parameters, "billing_details"))
    method["metadata"] = metadata(parameters)
    return account.save(method)


def new(account: Account, kind: str, number: str = "", billing: Parameters | None = None) -> Document:
    """Return a new payment method, saved; raises ApiError 402 when `kind` is card and `number` no test card."""
    method = account.new(
        "pm",
        "payment_method",
        type=kind,
        allow_redisplay="unspecified",
        metadata={},
        billing_details={
            "address": None,
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
            **(billing or {}),
        },
        **{kind: {}},
    )
    if kind == "card":
        card = cards.by_number(number)
        method["_number"] = card.number
        method["card"] = card_details(card)
    elif kind == "paypal":
        method["paypal"] = {"country": "MC", "payer_email": method["billing_details"]["email"], "payer_id": "SANDBOX"}
    return account.save(method)


def card_details(card: cards.Card) -> dict[str, Any]:
    """Return what Stripe tells about a card; never its number."""
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"sandbox{card.number[-4:]}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def resolve(account: Account, identity: str, param: str = "payment_method") -> Document:
    """Return a payment method; one of the shared `pm_card_...` becomes a new one, as Stripe does."""
    if identity in cards.SHARED:
        return new(account, "card", cards.SHARED[identity])
    return account.find("pm", identity, param)


def attach(account: Account, method: Document, customer_id: str) -> Document:
    """Attach a payment method to a customer; raises ApiError 400 when it is detached or another's."""
    customer = usable_customer(account, customer_id)
    if method.get("_detached"):
        raise detached(method["id"])
    if method["customer"] not in (None, customer["id"]):
        raise conflict_with_state("The payment method you provided has already been attached to a customer.")
    if method["type"] not in REUSABLE:
        raise conflict_with_state(f"Payment methods of type {method['type']} cannot be attached to a customer.")
    method["customer"] = customer["id"]
    account.save(method)
    account.emit("payment_method.attached", method)
    return method


def detach(account: Account, identity: str) -> Document:
    """Detach a payment method for good; raises ApiError 400 when it is attached to nobody."""
    method = account.find("pm", identity)
    if method["customer"] is None:
        raise conflict_with_state(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    method.update(customer=None, _detached=True)
    account.save(method)
    account.emit("payment_method.detached", method)
    return method


def detached(identity: str) -> Exception:
    """Return the refusal of a payment method that was detached or already used without a customer."""
    return conflict_with_state(
        f"The provided PaymentMethod {identity} was previously used with a PaymentIntent without Customer attachment "
        "or was detached from a Customer. It may not be used again.",
        "payment_method",
    )


def listed(account: Account, parameters: Parameters, customer_id: str | None = None) -> Document:
    """Return the payment methods of a customer, newest first."""
    customer = customer_id or text(parameters, "customer")
    kind = text(parameters, "type")
    found = [
        method
        for method in account.of("pm")
        if method["customer"] is not None and method["customer"] == customer and kind in (None, method["type"])
    ]
    url = f"/v1/customers/{customer_id}/payment_methods" if customer_id else "/v1/payment_methods"
    return listing.page(account, found, parameters, url)
