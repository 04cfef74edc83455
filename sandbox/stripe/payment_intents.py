"""PaymentIntents: creating, confirming, cancelling and finding them."""

from __future__ import annotations

from typing import Any

from sandbox.store import Document
from sandbox.stripe import attempts, listing, money, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.errors import conflict_with_state, invalid
from sandbox.stripe.forms import Parameters, boolean, integer, items, metadata, section, text

_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, parameters: Parameters) -> Document:
    """Create a PaymentIntent and, with `confirm`, try to charge it; raises ApiError 402 when the bank says no."""
    currency = money.checked_currency(text(parameters, "currency", required=True) or "")
    amount = integer(parameters, "amount", required=True) or 0
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    money.check_amount(amount, currency)
    confirm_now, off_session = boolean(parameters, "confirm"), _off_session(parameters)
    if off_session and not confirm_now:
        raise invalid("You can only set `off_session` when `confirm` is true.", "off_session")
    customer = text(parameters, "customer")
    if customer:
        payment_methods.usable_customer(account, customer)
    intent = new(
        account,
        amount=amount,
        currency=currency,
        customer=customer,
        description=text(parameters, "description"),
        metadata=metadata(parameters),
        receipt_email=payment_methods.checked_email(text(parameters, "receipt_email"), "receipt_email"),
        setup_future_usage=text(parameters, "setup_future_usage"),
        payment_method_types=items(parameters, "allowed_payment_method_types") or ["card", "link", "paypal"],
    )
    method = _given_method(account, parameters)
    if method is not None:
        attempts.check_usable(method, intent["customer"])
        intent.update(payment_method=method["id"], status="requires_confirmation")
    # Saved together: an intent whose confirmation is refused as invalid must not stay behind.
    account.save(intent)
    account.emit("payment_intent.created", intent)
    if not confirm_now:
        return intent
    return confirm(account, intent["id"], parameters)


def new(account: Account, **fields: Any) -> Document:
    """Return a new PaymentIntent, not yet saved."""
    intent = account.new(
        "pi",
        "payment_intent",
        amount_capturable=0,
        amount_received=0,
        amount_details={"tip": {}},
        automatic_payment_methods={"allow_redirects": "always", "enabled": True},
        capture_method="automatic_async",
        confirmation_method="automatic",
        payment_method_options={},
        status="requires_payment_method",
        **fields,
    )
    intent["client_secret"] = f"{intent['id']}_secret_{account.new_id('x')[2:]}"
    return intent


def confirm(account: Account, identity: str, parameters: Parameters) -> Document:
    """Try to charge a PaymentIntent; raises ApiError 400 in a state that forbids it and 402 when the bank says no."""
    intent = account.find("pi", identity, "intent")
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "confirm")
    method = _given_method(account, parameters)
    if method is None:
        if not intent["payment_method"]:
            raise invalid(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                "payment_method",
                "payment_intent_unexpected_state",
            )
        method = account.find("pm", intent["payment_method"], "payment_method")
    attempts.check_usable(method, intent["customer"])
    return attempts.charge(
        account,
        intent["id"],
        method,
        off_session=_off_session(parameters),
        return_url=text(parameters, "return_url"),
        refuse_action=bool(boolean(parameters, "error_on_requires_action")),
    )


def update(account: Account, identity: str, parameters: Parameters) -> Document:
    """Change the description, metadata, receipt address, amount or payment method of an unpaid PaymentIntent."""
    intent = account.find("pi", identity, "intent")
    amount = integer(parameters, "amount")
    if amount is not None:
        if intent["status"] not in _CONFIRMABLE or intent.get("_session"):
            raise _unexpected_state(intent, "update the amount of")
        money.check_amount(amount, intent["currency"])
        intent["amount"] = amount
    for name in ("description", "receipt_email"):
        if name in parameters:
            intent[name] = text(parameters, name)
    method = _given_method(account, parameters)
    if method is not None:
        attempts.check_usable(method, intent["customer"])
        intent.update(payment_method=method["id"], status="requires_confirmation")
    intent["metadata"] = payment_methods.changed_metadata(intent["metadata"], parameters)
    return account.save(intent)


def cancel(account: Account, identity: str, parameters: Parameters) -> Document:
    """Cancel a PaymentIntent; raises ApiError 400 when it is paid, cancelled or belongs to a Checkout Session."""
    intent = account.find("pi", identity, "intent")
    if intent.get("_session"):
        raise conflict_with_state(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. "
            "Expire the Checkout Session instead.",
            code="payment_intent_unexpected_state",
        )
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "cancel")
    return cancel_now(account, intent, text(parameters, "cancellation_reason"))


def cancel_now(account: Account, intent: Document, reason: str | None) -> Document:
    """Cancel a PaymentIntent without asking whether the caller may."""
    intent.update(status="canceled", canceled_at=account.now(), cancellation_reason=reason, next_action=None)
    account.save(intent)
    account.emit("payment_intent.canceled", intent)
    return intent


def listed(account: Account, parameters: Parameters) -> Document:
    """Return PaymentIntents, newest first."""
    customer = text(parameters, "customer")
    found = [intent for intent in account.of("pi") if customer in (None, intent["customer"])]
    return listing.page(account, found, parameters, "/v1/payment_intents")


def _given_method(account: Account, parameters: Parameters) -> Document | None:
    identity = text(parameters, "payment_method")
    if identity:
        return payment_methods.resolve(account, identity)
    data = section(parameters, "payment_method_data")
    return payment_methods.create(account, data) if data else None


def _off_session(parameters: Parameters) -> bool:
    return parameters.get("off_session") not in (None, "", "false")


def _unexpected_state(intent: Document, action: str) -> Exception:
    return conflict_with_state(
        f"You cannot {action} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )
