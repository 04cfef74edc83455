"""SetupIntents: saving a payment method for later without taking money."""

from __future__ import annotations

from typing import Any

from sandbox.store import Document
from sandbox.stripe import attempts, cards, listing, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.errors import ApiError, card_error, conflict_with_state, invalid
from sandbox.stripe.forms import Parameters, boolean, items, metadata, section, text

_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, parameters: Parameters) -> Document:
    """Create a SetupIntent and, with `confirm`, save the payment method; raises ApiError 402 when the bank says no."""
    customer = text(parameters, "customer")
    if customer:
        payment_methods.usable_customer(account, customer)
    intent = new(
        account,
        customer=customer,
        description=text(parameters, "description"),
        metadata=metadata(parameters),
        usage=text(parameters, "usage") or "off_session",
        payment_method_types=items(parameters, "allowed_payment_method_types") or ["card", "link", "paypal"],
    )
    method = _given_method(account, parameters)
    if method is not None:
        attempts.check_usable(method, customer)
        intent.update(payment_method=method["id"], status="requires_confirmation")
    account.save(intent)
    account.emit("setup_intent.created", intent)
    return confirm(account, intent["id"], parameters) if boolean(parameters, "confirm") else intent


def new(account: Account, **fields: Any) -> Document:
    """Return a new SetupIntent, not yet saved."""
    intent = account.new("seti", "setup_intent", status="requires_payment_method", **fields)
    intent["client_secret"] = f"{intent['id']}_secret_{account.new_id('x')[2:]}"
    return intent


def confirm(account: Account, identity: str, parameters: Parameters) -> Document:
    """Save the payment method of a SetupIntent, or ask for 3-D Secure first; raises ApiError 400 or 402."""
    intent = account.find("seti", identity, "intent")
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "confirm")
    method = _given_method(account, parameters)
    if method is None:
        if not intent["payment_method"]:
            raise invalid(
                "You cannot confirm this SetupIntent because it's missing a payment method.", "payment_method"
            )
        method = account.find("pm", intent["payment_method"], "payment_method")
    attempts.check_usable(method, intent["customer"])
    return save_method(account, intent["id"], method, text(parameters, "return_url"))


def save_method(account: Account, identity: str, method: Document, return_url: str | None) -> Document:
    """Try to save a payment method; raises ApiError 402 when the bank refuses it."""
    intent = account.find("seti", identity)
    intent.update(payment_method=method["id"], last_setup_error=None, next_action=None)
    card = cards.BY_NUMBER.get(method.get("_number", ""))
    if card is not None and card.authentication != "none":
        url = f"{account.base_url}/c/authenticate/{identity}"
        intent.update(
            status="requires_action",
            next_action={"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}},
            _return_url=return_url,
        )
        account.save(intent)
        account.emit("setup_intent.requires_action", intent)
        return intent
    return _finish(account, intent, method, card)


def authenticate(account: Account, identity: str, outcome: attempts.Outcome) -> Document:
    """Answer the 3-D Secure question of a SetupIntent; raises ApiError 400 when nothing is asked, 402 for no."""
    intent = account.find("seti", identity)
    if intent["status"] != "requires_action":
        raise _unexpected_state(intent, "authenticate")
    intent["next_action"] = None
    method = account.find("pm", intent["payment_method"])
    if outcome != "complete":
        raise _failed(
            account,
            intent,
            card_error("We are unable to authenticate your payment method.", "setup_intent_authentication_failure"),
        )
    method["_authenticated"] = True
    account.save(method)
    return _finish(account, intent, method, cards.BY_NUMBER.get(method.get("_number", "")))


def cancel(account: Account, identity: str, parameters: Parameters) -> Document:
    """Cancel a SetupIntent; raises ApiError 400 when it is finished."""
    intent = account.find("seti", identity, "intent")
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "cancel")
    reason = text(parameters, "cancellation_reason")
    intent.update(status="canceled", cancellation_reason=reason, next_action=None)
    account.save(intent)
    account.emit("setup_intent.canceled", intent)
    return intent


def listed(account: Account, parameters: Parameters) -> Document:
    """Return SetupIntents, newest first, of one customer or payment method when asked for."""
    customer, method = text(parameters, "customer"), text(parameters, "payment_method")
    found = [
        intent
        for intent in account.of("seti")
        if customer in (None, intent["customer"]) and method in (None, intent["payment_method"])
    ]
    return listing.page(account, found, parameters, "/v1/setup_intents")


def _finish(account: Account, intent: Document, method: Document, card: cards.Card | None) -> Document:
    if card is not None and card.decline_code:
        raise _failed(account, intent, card_error(card.message, card.error_code, decline_code=card.decline_code))
    if intent["customer"] and method["customer"] is None:
        payment_methods.attach(account, method, intent["customer"])
    intent["status"] = "succeeded"
    account.save(intent)
    account.emit("setup_intent.succeeded", intent)
    return intent


def _failed(account: Account, intent: Document, error: ApiError) -> ApiError:
    intent.update(status="requires_payment_method", payment_method=None, last_setup_error=error.body()["error"])
    account.save(intent)
    account.emit("setup_intent.setup_failed", intent)
    error.fields["setup_intent"] = account.shown(intent)
    return error


def _given_method(account: Account, parameters: Parameters) -> Document | None:
    identity = text(parameters, "payment_method")
    if identity:
        return payment_methods.resolve(account, identity)
    data = section(parameters, "payment_method_data")
    return payment_methods.create(account, data) if data else None


def _unexpected_state(intent: Document, action: str) -> ApiError:
    return conflict_with_state(
        f"You cannot {action} this SetupIntent because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
    )
