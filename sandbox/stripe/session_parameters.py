"""Reading what a Checkout Session is created with, and refusing what Stripe refuses."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sandbox.store import Document
from sandbox.stripe import contract, money, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.errors import ApiError, invalid
from sandbox.stripe.forms import Parameters, integer, items, metadata, section, text

_NAME = "checkout.SessionCreateParams"
_SHORTEST, _LONGEST = 30 * 60, 24 * 3600
# Two clocks never agree to the second, and thirty minutes are not refused for the time the request took.
_LEEWAY = 60


def read(account: Account, parameters: Parameters) -> Document:
    """Return the fields of the new session, private ones included; raises ApiError 400 for what is wrong."""
    mode = _choice(parameters, "mode") or "payment"
    if mode == "subscription":
        raise invalid("This account does not offer subscriptions; use payment or setup mode.", "mode")
    if (_choice(parameters, "ui_mode") or "hosted_page") != "hosted_page":
        raise invalid("This account only offers the hosted page.", "ui_mode")
    lines, currency, total = _lines(account, parameters, mode)
    return {
        **_people(account, parameters),
        "mode": mode,
        "amount_subtotal": total,
        "amount_total": total,
        "currency": currency,
        "cancel_url": _url(parameters, "cancel_url"),
        "success_url": _url(parameters, "success_url", required=True),
        "client_reference_id": text(parameters, "client_reference_id"),
        "expires_at": _expiry(account, parameters),
        "locale": _choice(parameters, "locale"),
        "metadata": metadata(parameters),
        "payment_method_types": _methods(parameters, mode),
        "payment_method_options": section(parameters, "payment_method_options"),
        "submit_type": _choice(parameters, "submit_type"),
        "_line_items": lines,
        "_intent": {
            "metadata": metadata(section(parameters, "payment_intent_data")),
            "description": section(parameters, "payment_intent_data").get("description"),
            "receipt_email": section(parameters, "payment_intent_data").get("receipt_email"),
            "setup_future_usage": section(parameters, "payment_intent_data").get("setup_future_usage"),
        },
        "_setup": {
            "metadata": metadata(section(parameters, "setup_intent_data")),
            "description": section(parameters, "setup_intent_data").get("description"),
        },
    }


def _people(account: Account, parameters: Parameters) -> Document:
    customer, email = text(parameters, "customer"), text(parameters, "customer_email")
    if customer and email:
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer_email")
    if customer:
        payment_methods.usable_customer(account, customer)
    creation = _choice(parameters, "customer_creation")
    return {
        "customer": customer,
        "customer_email": payment_methods.checked_email(email, "customer_email"),
        "customer_creation": None if customer else creation or "if_required",
    }


def _lines(account: Account, parameters: Parameters, mode: str) -> tuple[list[Any], str | None, int | None]:
    given = items(parameters, "line_items")
    if mode == "setup":
        return [], text(parameters, "currency"), None
    if not given:
        raise invalid("You must provide line_items in payment mode.", "line_items", "parameter_missing")
    if len(given) > 100:
        raise invalid("You can specify at most 100 line items.", "line_items")
    lines = [_line(account, item, index) for index, item in enumerate(given)]
    currencies = {line["currency"] for line in lines}
    if len(currencies) > 1:
        raise invalid("All line items must have the same currency.", "line_items")
    currency, total = currencies.pop(), sum(line["amount_total"] for line in lines)
    if total > 0:
        money.check_amount(total, currency, None)
    return lines, currency, total


def _line(account: Account, item: Any, index: int) -> Document:
    place = f"line_items[{index}]"
    data = section(item, "price_data") if isinstance(item, dict) else {}
    if not data:
        raise invalid("This account has no saved prices; give price_data.", f"{place}[price_data]")
    unit = integer(data, "unit_amount", required=True, label=f"{place}[price_data][unit_amount]") or 0
    quantity = integer(item, "quantity", label=f"{place}[quantity]")
    product = section(data, "product_data")
    name = text(product, "name", required=True)
    if unit < 0:
        raise invalid("Invalid non-negative integer", f"{place}[price_data][unit_amount]")
    if quantity is None or quantity < 1:
        raise invalid("Quantity is required and must be at least 1.", f"{place}[quantity]", "parameter_missing")
    currency = money.checked_currency(text(data, "currency", required=True) or "", f"{place}[price_data][currency]")
    total = unit * quantity
    return contract.complete(
        "item",
        id=account.new_id("li"),
        amount_discount=0,
        amount_subtotal=total,
        amount_tax=0,
        amount_total=total,
        currency=currency,
        description=name,
        price=_price(account, unit, currency, product),
        quantity=quantity,
    )


def _price(account: Account, unit: int, currency: str, product: Parameters) -> Document:
    return contract.complete(
        "price",
        id=account.new_id("price"),
        active=False,
        billing_scheme="per_unit",
        created=account.now(),
        currency=currency,
        metadata=metadata(product),
        product=account.new_id("prod"),
        tax_behavior="unspecified",
        type="one_time",
        unit_amount=unit,
        unit_amount_decimal=str(unit),
    )


def _methods(parameters: Parameters, mode: str) -> list[str]:
    """Return what the buyer may pay with; `allowed_payment_method_types` filters what the account has enabled."""
    allowed = items(parameters, "allowed_payment_method_types")
    excluded = items(parameters, "excluded_payment_method_types")
    if allowed and excluded:
        raise invalid(
            "You may only specify one of these parameters: allowed_payment_method_types, excluded_payment_method_types."
        )
    _check_reuse(parameters)
    enabled = payment_methods.ENABLED if allowed else payment_methods.OFFERED_BY_DEFAULT
    offered = [kind for kind in enabled if (not allowed or kind in allowed) and kind not in excluded]
    if mode == "setup" or section(parameters, "payment_intent_data").get("setup_future_usage"):
        offered = [kind for kind in offered if kind in payment_methods.REUSABLE]
    if not offered:
        raise invalid("No valid payment method types for this Checkout Session.", "allowed_payment_method_types")
    return offered


def _check_reuse(parameters: Parameters) -> None:
    for kind, options in section(parameters, "payment_method_options").items():
        usage = options.get("setup_future_usage") if isinstance(options, dict) else None
        # Alipay and WeChat Pay cannot be charged again (docs.stripe.com/payments/alipay, /wechat-pay).
        if usage not in (None, "none") and kind not in payment_methods.REUSABLE:
            raise invalid(
                f"Invalid setup_future_usage: {kind} only accepts none.",
                f"payment_method_options[{kind}][setup_future_usage]",
            )


def _expiry(account: Account, parameters: Parameters) -> int:
    given = integer(parameters, "expires_at")
    now = account.now()
    if given is None:
        return now + _LONGEST
    moment = given + account.skipped()
    if moment < now + _SHORTEST - _LEEWAY:
        raise _bad_expiry("The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.")
    if moment > now + _LONGEST + _LEEWAY:
        raise _bad_expiry("The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.")
    return moment


def _bad_expiry(message: str) -> ApiError:
    return invalid(message, "expires_at")


def _url(parameters: Parameters, name: str, *, required: bool = False) -> str | None:
    value = text(parameters, name, required=required)
    if value is not None:
        address = urlsplit(value)
        if address.scheme not in ("http", "https") or not address.netloc or len(value) > 5000:
            raise invalid("Not a valid URL", name, "url_invalid")
    return value


def _choice(parameters: Parameters, name: str) -> str | None:
    """Return a parameter that must be one of the values the client library lists."""
    value = text(parameters, name)
    choices = contract.literals(_NAME, name)
    if value is not None and value not in choices:
        raise invalid(f"Invalid {name}: must be one of {', '.join(choices)}", name)
    return value
