"""Webhooks: believed only as far as a hint goes, answered once the work they hint at is on the books."""

from __future__ import annotations

import hmac
import logging

from flask import Response, abort, request

from blueprints._rerun import DatabaseAway, plain_refusal, repeatable
from blueprints._web import csrf, current_shop
from blueprints.webhooks import blueprint
from services.fulfilment import look_again
from services.payments import BadSignature, PaymentError
from services.payments.events import Verdict, receive
from services.supplier_webhooks import request_reading, webhook_token

log = logging.getLogger(__name__)

# Both may be run again after any fault, as their senders repeat them anyway: an event counts as dealt with only once
# all that follows from it is committed, and until then it is looked up again and recorded once (`receive`, `settle`); a
# hint of the supplier changes nothing but the moment of the next look.


@blueprint.post("/stripe")
@csrf.exempt
@repeatable
def stripe() -> Response:
    """Take an event from Stripe: 200 once it is dealt with, 503 to have it sent again, 400 for a forgery."""
    try:
        verdict = receive(current_shop(), request.get_data(), request.headers.get("Stripe-Signature", ""))
    except BadSignature:
        return _answer(400, "bad signature")
    except PaymentError as error:
        log.warning("webhook to be sent again: %s", error)
        return _answer(503, "try again")
    return _answer(503, "not yet") if verdict is Verdict.NOT_YET else _answer(200, verdict.value)


@blueprint.route("/<supplier>/<token>", methods=["HEAD", "POST"])
@csrf.exempt
@repeatable
def supplier(supplier: str, token: str) -> Response:
    """Take a hint from the supplier, who does not sign: the address is the secret, and everything is asked again."""
    shop = current_shop()
    if supplier != shop.supplier.code or not hmac.compare_digest(
        token.encode(), webhook_token(shop.settings, supplier).encode()
    ):
        abort(404)
    if request.method == "HEAD":
        return _answer(200, "")
    try:
        event = shop.supplier.parse_webhook(request.get_data())
    except ValueError:
        return _answer(400, "not a notification")
    if event is not None:
        look_again(shop, event.supplier_order_id, event.supplier_esim_id)
        request_reading(shop, event)
    return _answer(200, "ok")


blueprint.register_error_handler(DatabaseAway, plain_refusal)


def _answer(status: int, text: str) -> Response:
    return Response(text, status=status, mimetype="text/plain")
