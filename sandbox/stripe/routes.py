"""Which call goes where, and by which of the client library's definitions its parameters are checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.store import Document
from sandbox.stripe import (
    charges,
    checkout,
    disputes,
    events,
    listing,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
)
from sandbox.stripe.account import Account
from sandbox.stripe.forms import Parameters

Handler = Callable[[Account, Parameters, str], Document]


@dataclass(frozen=True)
class Route:
    """One call of the API; `definition` is the TypedDict that names its parameters."""

    method: str
    pattern: str
    definition: str
    handler: Handler

    def match(self, method: str, path: str) -> str | None:
        """Return the identity in `path` (empty when it has none), or None when the route is another one."""
        found = re.fullmatch(self.pattern.replace("{id}", "([^/]+)"), path) if method == self.method else None
        return (found[1] if found.re.groups else "") if found else None


def _retrieve(prefix: str, param: str = "id") -> Handler:
    return lambda account, parameters, identity: account.find(prefix, identity, param)


_SESSIONS, _INTENTS, _SETUPS = "/v1/checkout/sessions", "/v1/payment_intents", "/v1/setup_intents"
_CUSTOMERS, _METHODS = "/v1/customers", "/v1/payment_methods"

ROUTES = (
    Route("POST", _SESSIONS, "checkout.SessionCreateParams", lambda a, p, i: checkout.create(a, p)),
    Route("GET", _SESSIONS, "checkout.SessionListParams", lambda a, p, i: checkout.listed(a, p)),
    Route("GET", _SESSIONS + "/{id}", "checkout.SessionRetrieveParams", lambda a, p, i: checkout.retrieve(a, i)),
    Route("POST", _SESSIONS + "/{id}", "checkout.SessionUpdateParams", lambda a, p, i: checkout.update(a, i, p)),
    Route("POST", _SESSIONS + "/{id}/expire", "checkout.SessionExpireParams", lambda a, p, i: checkout.expire(a, i)),
    Route(
        "GET",
        _SESSIONS + "/{id}/line_items",
        "checkout.SessionLineItemListParams",
        lambda a, p, i: listing.line_items(a, i, p),
    ),
    Route("POST", _INTENTS, "PaymentIntentCreateParams", lambda a, p, i: payment_intents.create(a, p)),
    Route("GET", _INTENTS, "PaymentIntentListParams", lambda a, p, i: payment_intents.listed(a, p)),
    Route("GET", _INTENTS + "/{id}", "PaymentIntentRetrieveParams", _retrieve("pi", "intent")),
    Route("POST", _INTENTS + "/{id}", "PaymentIntentUpdateParams", lambda a, p, i: payment_intents.update(a, i, p)),
    Route(
        "POST",
        _INTENTS + "/{id}/confirm",
        "PaymentIntentConfirmParams",
        lambda a, p, i: payment_intents.confirm(a, i, p),
    ),
    Route(
        "POST", _INTENTS + "/{id}/cancel", "PaymentIntentCancelParams", lambda a, p, i: payment_intents.cancel(a, i, p)
    ),
    Route("POST", _SETUPS, "SetupIntentCreateParams", lambda a, p, i: setup_intents.create(a, p)),
    Route("GET", _SETUPS, "SetupIntentListParams", lambda a, p, i: setup_intents.listed(a, p)),
    Route("GET", _SETUPS + "/{id}", "SetupIntentRetrieveParams", _retrieve("seti", "intent")),
    Route(
        "POST", _SETUPS + "/{id}/confirm", "SetupIntentConfirmParams", lambda a, p, i: setup_intents.confirm(a, i, p)
    ),
    Route("POST", _SETUPS + "/{id}/cancel", "SetupIntentCancelParams", lambda a, p, i: setup_intents.cancel(a, i, p)),
    Route("POST", _CUSTOMERS, "CustomerCreateParams", lambda a, p, i: payment_methods.create_customer(a, p)),
    Route("GET", _CUSTOMERS, "CustomerListParams", lambda a, p, i: payment_methods.listed_customers(a, p)),
    Route("GET", _CUSTOMERS + "/{id}", "CustomerRetrieveParams", _retrieve("cus")),
    Route(
        "POST", _CUSTOMERS + "/{id}", "CustomerUpdateParams", lambda a, p, i: payment_methods.update_customer(a, i, p)
    ),
    Route(
        "DELETE", _CUSTOMERS + "/{id}", "CustomerDeleteParams", lambda a, p, i: payment_methods.delete_customer(a, i)
    ),
    Route(
        "GET",
        _CUSTOMERS + "/{id}/payment_methods",
        "CustomerPaymentMethodListParams",
        lambda a, p, i: payment_methods.listed(a, p, i),
    ),
    Route("POST", _METHODS, "PaymentMethodCreateParams", lambda a, p, i: payment_methods.create(a, p)),
    Route("GET", _METHODS, "PaymentMethodListParams", lambda a, p, i: payment_methods.listed(a, p)),
    Route("GET", _METHODS + "/{id}", "PaymentMethodRetrieveParams", _retrieve("pm", "payment_method")),
    Route(
        "POST",
        _METHODS + "/{id}/attach",
        "PaymentMethodAttachParams",
        lambda a, p, i: payment_methods.attach(a, payment_methods.resolve(a, i), str(p.get("customer", ""))),
    ),
    Route("POST", _METHODS + "/{id}/detach", "PaymentMethodDetachParams", lambda a, p, i: payment_methods.detach(a, i)),
    Route("GET", "/v1/charges", "ChargeListParams", lambda a, p, i: charges.listed(a, p)),
    Route("GET", "/v1/charges/{id}", "ChargeRetrieveParams", _retrieve("ch", "charge")),
    Route("POST", "/v1/refunds", "RefundCreateParams", lambda a, p, i: refunds.create(a, p)),
    Route("GET", "/v1/refunds", "RefundListParams", lambda a, p, i: refunds.listed(a, p)),
    Route("GET", "/v1/refunds/{id}", "RefundRetrieveParams", _retrieve("re", "refund")),
    Route("POST", "/v1/refunds/{id}", "RefundUpdateParams", lambda a, p, i: refunds.update(a, i, p)),
    Route("POST", "/v1/refunds/{id}/cancel", "RefundCancelParams", lambda a, p, i: refunds.cancel(a, i)),
    Route("GET", "/v1/disputes", "DisputeListParams", lambda a, p, i: disputes.listed(a, p)),
    Route("GET", "/v1/disputes/{id}", "DisputeRetrieveParams", _retrieve("dp", "dispute")),
    Route("POST", "/v1/disputes/{id}", "DisputeUpdateParams", lambda a, p, i: disputes.update(a, i, p)),
    Route("POST", "/v1/disputes/{id}/close", "DisputeCloseParams", lambda a, p, i: disputes.close(a, i)),
    Route("GET", "/v1/events", "EventListParams", lambda a, p, i: events.listed(a, p)),
    Route("GET", "/v1/events/{id}", "EventRetrieveParams", _retrieve("evt")),
    Route("GET", "/v1/balance", "BalanceRetrieveParams", lambda a, p, i: events.balance(a)),
)


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Return the route of a request and the identity in its path, or None when there is no such call."""
    for route in ROUTES:
        identity = route.match(method, path)
        if identity is not None:
            return route, identity
    return None
