"""One attempt to charge a PaymentIntent: the bank's answer, 3-D Secure, and what follows from either."""

from __future__ import annotations

from typing import Literal

from sandbox.store import Document
from sandbox.stripe import cards, charges, disputes, payment_methods
from sandbox.stripe.account import Account, public
from sandbox.stripe.errors import ApiError, card_error, conflict_with_state
from sandbox.stripe.payment_methods import DELAYED

Outcome = Literal["complete", "fail", "cancel"]
_NOT_AUTHENTICATED = cards.Card(
    number="",
    label="",
    decline_code="authentication_required",
    error_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)


def check_usable(method: Document, customer: str | None) -> None:
    """Raise ApiError 400 when a payment method is detached or belongs to another customer."""
    if method.get("_detached"):
        raise payment_methods.detached(method["id"])
    if method["customer"] is not None and method["customer"] != customer:
        raise conflict_with_state(
            f"The PaymentMethod {method['id']} belongs to a customer and must be used with that customer.",
            "payment_method",
        )


def charge(
    account: Account,
    intent_id: str,
    method: Document,
    *,
    off_session: bool = False,
    return_url: str | None = None,
    refuse_action: bool = False,
) -> Document:
    """Try to take the money and return the PaymentIntent: succeeded, processing, or waiting for 3-D Secure.

    Raises ApiError 402 when the bank says no or when authentication is needed and the buyer is not there.
    """
    intent = account.find("pi", intent_id)
    intent.update(payment_method=method["id"], last_payment_error=None, next_action=None)
    card = cards.BY_NUMBER.get(method.get("_number", ""))
    if card is not None and _needs_authentication(card, method, off_session):
        if off_session or refuse_action:
            raise _refuse(account, intent, method, _NOT_AUTHENTICATED)
        return _ask_for_authentication(account, intent, return_url)
    return _finish(account, intent, method, card)


def authenticate(account: Account, intent_id: str, outcome: Outcome) -> Document:
    """Answer the 3-D Secure question of a PaymentIntent and return it.

    Raises ApiError 400 when nothing is asked, and 402 when the answer or then the bank is no.
    """
    intent = account.find("pi", intent_id)
    if intent["status"] != "requires_action":
        raise conflict_with_state(
            f"This PaymentIntent has a status of {intent['status']} and asks for nothing.",
            code="payment_intent_unexpected_state",
        )
    intent["next_action"] = None
    method = account.find("pm", intent["payment_method"])
    if outcome != "complete":
        message = (
            "We are unable to authenticate your payment method. Please choose a different payment method and try again."
        )
        error = card_error(message, "payment_intent_authentication_failure")
        raise _failed(account, intent, method, error)
    method["_authenticated"] = True
    account.save(method)
    return _finish(account, intent, method, cards.BY_NUMBER.get(method.get("_number", "")))


def settle(account: Account, intent_id: str, *, succeeded: bool) -> Document:
    """Let a payment by a delayed method end; raises ApiError 400 when it is not processing."""
    intent = account.find("pi", intent_id)
    if intent["status"] != "processing":
        raise conflict_with_state(f"This PaymentIntent has a status of {intent['status']}, not processing.")
    charge = charges.settle_pending(account, intent["latest_charge"], succeeded=succeeded)
    if succeeded:
        return _succeed(account, intent, account.find("pm", intent["payment_method"]))
    error = card_error(charge["failure_message"], charge["failure_code"], charge=charge["id"])
    _failed(account, intent, account.find("pm", intent["payment_method"]), error)
    return intent


def remembered(method: Document) -> bool:
    """Return whether a later charge may rest on an authentication that already happened."""
    return bool(method.get("_authenticated")) and method["customer"] is not None


def _needs_authentication(card: cards.Card, method: Document, off_session: bool) -> bool:
    if card.authentication == "until_set_up":
        return not (off_session and remembered(method))
    return card.authentication == "always"


def _ask_for_authentication(account: Account, intent: Document, return_url: str | None) -> Document:
    url = f"{account.base_url}/c/authenticate/{intent['id']}"
    intent.update(
        status="requires_action",
        next_action={"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}},
        _return_url=return_url,
    )
    account.save(intent)
    account.emit("payment_intent.requires_action", intent)
    return intent


def _finish(account: Account, intent: Document, method: Document, card: cards.Card | None) -> Document:
    if card is not None and card.decline_code:
        raise _refuse(account, intent, method, card)
    if method["type"] in DELAYED:
        pending = charges.create(account, intent, method, "pending")
        intent.update(status="processing", latest_charge=pending["id"])
        account.save(intent)
        account.emit("payment_intent.processing", intent)
        return intent
    intent["latest_charge"] = charges.create(account, intent, method, "succeeded")["id"]
    intent = _succeed(account, intent, method)
    if card is not None and card.disputed:
        disputes.open_dispute(account, intent["latest_charge"])
    return intent


def _succeed(account: Account, intent: Document, method: Document) -> Document:
    intent.update(status="succeeded", amount_received=intent["amount"])
    account.save(intent)
    account.emit("payment_intent.succeeded", intent)
    saved = intent["setup_future_usage"] or intent.get("_reuse")
    if saved and intent["customer"] and method["customer"] is None:
        payment_methods.attach(account, account.find("pm", method["id"]), intent["customer"])
    elif method["customer"] is None:
        # Used without a customer, so it may not be used again (docs.stripe.com/payments/payment-methods).
        account.save({**account.find("pm", method["id"]), "_detached": True})
    return intent


def _refuse(account: Account, intent: Document, method: Document, card: cards.Card) -> ApiError:
    refused = charges.create(account, intent, method, "failed", refused=card)
    intent["latest_charge"] = refused["id"]
    error = card_error(card.message, card.error_code, decline_code=card.decline_code, charge=refused["id"])
    return _failed(account, intent, method, error)


def _failed(account: Account, intent: Document, method: Document, error: ApiError) -> ApiError:
    """Put the PaymentIntent back to where another payment method can be tried, and return `error` carrying it."""
    intent.update(status="requires_payment_method", payment_method=None)
    intent["last_payment_error"] = {**error.body()["error"], "payment_method": public(method)}
    account.save(intent)
    account.emit("payment_intent.payment_failed", intent)
    error.fields.update(payment_intent=account.shown(intent), payment_method=account.shown(method))
    return error
