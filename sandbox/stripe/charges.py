"""Charges: one per attempt to take money, whether it worked or not."""

from __future__ import annotations

from typing import Any

from sandbox.store import Document
from sandbox.stripe import listing
from sandbox.stripe.account import Account
from sandbox.stripe.cards import Card
from sandbox.stripe.forms import Parameters, text


def create(account: Account, intent: Document, method: Document, status: str, refused: Card | None = None) -> Document:
    """Record an attempt to charge `intent` and say so in an event; `refused` is the card whose bank said no."""
    taken = intent["amount"] if status == "succeeded" else 0
    charge = account.new(
        "ch",
        "charge",
        amount=intent["amount"],
        amount_captured=taken,
        amount_refunded=0,
        billing_details=method["billing_details"],
        captured=status == "succeeded",
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        failure_code=refused.error_code if refused else None,
        failure_message=refused.message if refused else None,
        fraud_details={},
        metadata=dict(intent["metadata"]),
        outcome=_outcome(status, refused),
        paid=status == "succeeded",
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_details(method),
        receipt_email=intent["receipt_email"],
        refunded=False,
        status=status,
    )
    account.save(charge)
    account.emit(f"charge.{status}", charge)
    return charge


def settle_pending(account: Account, charge_id: str, *, succeeded: bool) -> Document:
    """Let a pending charge of a delayed method end well or badly."""
    charge = account.find("ch", charge_id)
    if succeeded:
        charge.update(status="succeeded", paid=True, captured=True, amount_captured=charge["amount"])
    else:
        message = "The customer's account has insufficient funds."
        charge.update(status="failed", failure_code="insufficient_funds", failure_message=message)
    account.save(charge)
    account.emit(f"charge.{charge['status']}", charge)
    return charge


def listed(account: Account, parameters: Parameters) -> Document:
    """Return charges, newest first, of one payment or customer when asked for."""
    intent, customer = text(parameters, "payment_intent"), text(parameters, "customer")
    found = [
        charge
        for charge in account.of("ch")
        if intent in (None, charge["payment_intent"]) and customer in (None, charge["customer"])
    ]
    return listing.page(account, found, parameters, "/v1/charges")


def _details(method: Document) -> dict[str, Any]:
    kind = method["type"]
    details: dict[str, Any] = dict(method.get(kind) or {})
    if kind == "card":
        for name in ("display_brand", "generated_from", "networks", "three_d_secure_usage"):
            details.pop(name, None)
        details.update(network=details["brand"], three_d_secure=None, installments=None, mandate=None)
    return {"type": kind, kind: details}


def _outcome(status: str, refused: Card | None) -> dict[str, Any]:
    if status == "failed":
        return {
            "advice_code": "try_again_later" if refused else None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network",
            "reason": refused.decline_code if refused else None,
            "risk_level": "normal",
            "seller_message": "The bank returned the decline code.",
            "type": "issuer_declined",
        }
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
