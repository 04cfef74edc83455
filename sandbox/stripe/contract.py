"""The sandbox tied to the client library: what a call may be given and what an object must carry.

Parameters come from the library's own TypedDicts and response keys from the annotations of its resource classes, so
that upgrading the library changes what the sandbox takes and gives, and breaks a test instead of hiding a difference.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Any

import stripe
import stripe.checkout
import stripe.params
import stripe.params.checkout
from stripe._request_options import RequestOptions

from sandbox.store import Document
from sandbox.stripe.errors import invalid
from sandbox.stripe.forms import Parameters

RESOURCES: dict[str, Any] = {
    "checkout.session": stripe.checkout.Session,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "setup_intent": stripe.SetupIntent,
    "customer": stripe.Customer,
    "payment_method": stripe.PaymentMethod,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "balance": stripe.Balance,
    "price": stripe.Price,
}

# Keys that Stripe leaves out unless they are asked for with `expand` or belong to another kind of account.
LEFT_OUT: dict[str, frozenset[str]] = {
    "checkout.session": frozenset({"line_items"}),
    "charge": frozenset({"refunds", "level3", "authorization_code"}),
    "customer": frozenset(
        {"deleted", "sources", "subscriptions", "tax_ids", "tax", "cash_balance", "invoice_credit_balance"}
    ),
    "event": frozenset({"account", "context"}),
    "price": frozenset({"deleted", "tiers", "currency_options"}),
    "balance": frozenset({"connect_reserved", "instant_available", "issuing", "refund_and_dispute_prefunding"}),
}

# The keys of a payment method that every type has; each type adds one of its own.
_PAYMENT_METHOD_KEYS = frozenset(
    {"allow_redisplay", "billing_details", "created", "customer", "customer_account", "id", "livemode", "metadata",
     "object", "radar_options", "type"}
)  # fmt: skip


@cache
def response_keys(kind: str) -> frozenset[str]:
    """Return the keys that every object of `kind` (its `object` value) carries in a response."""
    named = frozenset(RESOURCES[kind].__annotations__) - {"OBJECT_NAME"} - LEFT_OUT.get(kind, frozenset())
    return named & _PAYMENT_METHOD_KEYS if kind == "payment_method" else named


def complete(kind: str, **fields: Any) -> Document:
    """Return an object of `kind` with `fields` and null for every other key the client library knows."""
    keys = response_keys(kind)
    constant = {"object": kind, "livemode": False}
    return {**dict.fromkeys(sorted(keys)), **{key: constant[key] for key in constant.keys() & keys}, **fields}


@cache
def allowed_parameters(name: str) -> frozenset[str]:
    """Return the parameters of the TypedDict `name`, such as "RefundCreateParams" or "checkout.SessionListParams"."""
    return frozenset(_definition(name).__annotations__) - frozenset(RequestOptions.__annotations__)


def check(name: str, parameters: Parameters) -> None:
    """Raise ApiError 400 `parameter_unknown` for a parameter, nested or not, that the TypedDict does not name."""
    _check(_definition(name), parameters, "", allowed_parameters(name))


def literals(name: str, parameter: str) -> tuple[str, ...]:
    """Return the values that the TypedDict `name` lists for `parameter`, in its order."""
    return tuple(re.findall(r"'([^']*)'", str(_definition(name).__annotations__[parameter])))


def _definition(name: str) -> Any:
    return getattr(stripe.params.checkout if name.startswith("checkout.") else stripe.params, name.split(".")[-1])


def _check(definition: Any, parameters: Parameters, prefix: str, allowed: frozenset[str]) -> None:
    for key, value in parameters.items():
        label = f"{prefix}[{key}]" if prefix else key
        if key not in allowed:
            raise invalid(f"Received unknown parameter: {label}", label, "parameter_unknown")
        inner = _inner_definition(definition, key)
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if inner is not None and isinstance(item, dict):
                place = label if index is None else f"{label}[{index}]"
                _check(inner, item, place, frozenset(inner.__annotations__))


def _inner_definition(definition: Any, key: str) -> Any:
    """Return the one TypedDict that the annotation of `key` names, or None when it names none or several."""
    module = sys.modules[definition.__module__]
    names = {
        word
        for word in re.findall(r"[A-Za-z]+", str(definition.__annotations__[key]))
        if word.startswith(definition.__name__) and hasattr(getattr(module, word, None), "__total__")
    }
    return getattr(module, names.pop()) if len(names) == 1 else None
