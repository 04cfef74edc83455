"""Checkout Sessions: from creation to the buyer's payment, expiry, or neither yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.store import Document
from sandbox.stripe import attempts, listing, payment_intents, payment_methods, session_parameters, setup_intents
from sandbox.stripe.account import Account, prefix_of
from sandbox.stripe.errors import ApiError, conflict_with_state, invalid
from sandbox.stripe.forms import Parameters, section, text


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """What a buyer enters on the hosted page; `method` is a payment method type, `card` a card number."""

    email: str
    method: str = "card"
    card: str = "4242424242424242"
    name: str | None = None


def create(account: Account, parameters: Parameters) -> Document:
    """Create a Checkout Session; raises ApiError 400 for parameters that Stripe refuses."""
    fields = session_parameters.read(account, parameters)
    session = account.new(
        "cs",
        "checkout.session",
        status="open",
        payment_status="no_payment_required" if not fields["amount_total"] else "unpaid",
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        adaptive_pricing={"enabled": False},
        custom_fields=[],
        custom_text={
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        shipping_options=[],
        payment_method_collection="if_required",
        phone_number_collection={"enabled": False},
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        ui_mode="hosted_page",
        **fields,
    )
    session["url"] = f"{account.base_url}/c/pay/{session['id']}"
    return account.save(session)


def retrieve(account: Account, identity: str) -> Document:
    """Return a session as it is now, expired if its time is over."""
    expire_due(account)
    return account.find("cs", identity, "session")


def update(account: Account, identity: str, parameters: Parameters) -> Document:
    """Change a session's metadata."""
    session = retrieve(account, identity)
    session["metadata"] = payment_methods.changed_metadata(session["metadata"], parameters)
    return account.save(session)


def listed(account: Account, parameters: Parameters) -> Document:
    """Return sessions, newest first, filtered as asked for."""
    expire_due(account)
    wanted = {name: text(parameters, name) for name in ("status", "payment_intent", "customer")}
    email = section(parameters, "customer_details").get("email")
    found = [
        session
        for session in account.of("cs")
        if all(value in (None, session[name]) for name, value in wanted.items())
        and email in (None, (session["customer_details"] or {}).get("email"))
    ]
    return listing.page(account, found, parameters, "/v1/checkout/sessions")


def expire(account: Account, identity: str) -> Document:
    """Expire an open session; raises ApiError 400 in any other state."""
    session = retrieve(account, identity)
    if session["status"] != "open":
        raise conflict_with_state(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of `{session['status']}`."
        )
    return _expire(account, session)


def expire_due(account: Account) -> None:
    """Expire every open session whose time is over."""
    with account.lock:
        now = account.now()
        for identity in [identity for identity, moment in account.open_sessions.items() if moment <= now]:
            _expire(account, account.find("cs", identity))


def _expire(account: Account, session: Document) -> Document:
    session.update(status="expired", url=None)
    account.save(session)
    if session["payment_intent"]:
        payment_intents.cancel_now(account, account.find("pi", session["payment_intent"]), None)
    account.emit("checkout.session.expired", session)
    return session


def pay(account: Account, identity: str, buyer: Buyer) -> Document:
    """Let the buyer pay; the session is then complete, or still open while its payment waits for 3-D Secure.

    A complete session is returned as it is, so that paying twice charges once. Raises ApiError 400 for an expired
    session or a wrong address, and 402 when the bank says no.
    """
    with account.lock:
        session = retrieve(account, identity)
        if session["status"] == "complete":
            return session
        if session["status"] == "expired":
            raise conflict_with_state("This Checkout Session has expired.")
        email = payment_methods.checked_email(buyer.email, "email")
        if session["amount_total"] == 0 and session["mode"] == "payment":
            return _complete(account, session, email, buyer.name)
        if buyer.method not in session["payment_method_types"]:
            raise invalid(f"Invalid payment method: {buyer.method}", "method")
        method = payment_methods.new(account, buyer.method, buyer.card, {"email": email, "name": buyer.name})
        session["_buyer"] = {"email": email, "name": buyer.name}
        account.save(session)
        return _confirm(account, session, method)


def authenticate(account: Account, intent_id: str, outcome: attempts.Outcome) -> Document:
    """Answer 3-D Secure for a session's payment and return the session; raises ApiError 400 or 402 as `pay` does."""
    with account.lock:
        expire_due(account)
        session_id = account.find(prefix_of(intent_id), intent_id)["_session"]
        answer = setup_intents.authenticate if intent_id.startswith("seti_") else attempts.authenticate
        answer(account, intent_id, outcome)
        return _after_confirmation(account, account.find("cs", session_id))


def settle(account: Account, identity: str, *, succeeded: bool) -> Document:
    """Let a delayed payment of a complete session end; raises ApiError 400 when none is processing."""
    with account.lock:
        session = account.find("cs", identity, "session")
        if not session["payment_intent"]:
            raise conflict_with_state("This Checkout Session has no payment that is processing.")
        attempts.settle(account, session["payment_intent"], succeeded=succeeded)
        if succeeded:
            session["payment_status"] = "paid"
        account.save(session)
        account.emit(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)
        return session


def _confirm(account: Account, session: Document, method: Document) -> Document:
    if session["mode"] == "setup":
        setup_intents.save_method(account, _setup_intent(account, session), method, None)
    else:
        attempts.charge(account, _payment_intent(account, session, method), method)
    return _after_confirmation(account, account.find("cs", session["id"]))


def _payment_intent(account: Account, session: Document, method: Document) -> str:
    """Return the session's PaymentIntent, made when the buyer confirms for the first time (since API 2022-08-01)."""
    usage = _future_usage(session, method["type"])
    customer = _customer(account, session, bool(usage))
    if session["payment_intent"]:
        intent = account.find("pi", session["payment_intent"])
    else:
        intent = payment_intents.new(
            account,
            amount=session["amount_total"],
            currency=session["currency"],
            metadata=session["_intent"]["metadata"],
            description=session["_intent"]["description"],
            receipt_email=session["_intent"]["receipt_email"],
            setup_future_usage=session["_intent"]["setup_future_usage"],
            payment_method_types=session["payment_method_types"],
            _session=session["id"],
        )
        account.save({**session, "payment_intent": intent["id"], "customer": customer})
        account.save(intent)
        account.emit("payment_intent.created", intent)
    options = {method["type"]: {"setup_future_usage": usage}} if usage else {}
    account.save({**intent, "customer": customer, "payment_method_options": options, "_reuse": usage})
    return str(intent["id"])


def _setup_intent(account: Account, session: Document) -> str:
    if session["setup_intent"]:
        return str(session["setup_intent"])
    intent = setup_intents.new(
        account,
        customer=_customer(account, session, True),
        usage="off_session",
        payment_method_types=session["payment_method_types"],
        _session=session["id"],
        **session["_setup"],
    )
    account.save({**session, "setup_intent": intent["id"], "customer": intent["customer"]})
    account.save(intent)
    account.emit("setup_intent.created", intent)
    return str(intent["id"])


def _future_usage(session: Document, kind: str) -> str | None:
    options: dict[str, Any] = session["payment_method_options"].get(kind) or {}
    usage = options.get("setup_future_usage") or session["_intent"]["setup_future_usage"]
    return None if usage == "none" else usage


def _customer(account: Account, session: Document, required: bool) -> str | None:
    """Return the session's customer, made now when one is needed to save the payment method with."""
    if session["customer"] or not (required or session["customer_creation"] == "always"):
        return session["customer"] or None
    buyer = {name: value for name, value in session["_buyer"].items() if value}
    customer = payment_methods.create_customer(account, buyer)
    account.save({**session, "customer": customer["id"]})
    return str(customer["id"])


def _after_confirmation(account: Account, session: Document) -> Document:
    buyer = session["_buyer"]
    if session["mode"] == "setup":
        done = account.find("seti", session["setup_intent"])["status"] == "succeeded"
        return _complete(account, session, buyer["email"], buyer["name"]) if done else session
    status = account.find("pi", session["payment_intent"])["status"]
    if status == "requires_action":
        return session
    if status == "succeeded":
        session["payment_status"] = "paid"
    return _complete(account, session, buyer["email"], buyer["name"])


def _complete(account: Account, session: Document, email: str | None, name: str | None) -> Document:
    details: dict[str, Any] = dict.fromkeys(("address", "business_name", "individual_name", "phone"))
    details.update(email=email, name=name, tax_exempt="none", tax_ids=[])
    session.update(status="complete", customer_details=details, url=None)
    account.save(session)
    session["_completed_event"] = account.emit("checkout.session.completed", session)
    return account.save(session)


def return_address(session: Document) -> str:
    """Return where the buyer goes after paying, with the session's identity put in its place."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def message(error: ApiError) -> str:
    """Return what the hosted page tells the buyer about a refusal."""
    return (
        "Your card number is incomplete or wrong." if error.fields.get("code") == "incorrect_number" else error.message
    )
