"""Stripe's webhooks: verified, noted, acted upon by looking at Stripe, and only then marked as processed."""

from __future__ import annotations

import logging
from datetime import timedelta
from enum import StrEnum

from models import StripeEvent
from services.database import insert_once
from services.failpoints import failpoint
from services.payments import GatewayRefused, PaymentEvent, SessionNotFound
from services.payments.disputes import apply_dispute
from services.payments.lost_orders import recover_session
from services.payments.refund_books import mirror_refunds
from services.payments.settlement import Outcome, settle
from services.shop import Shop

log = logging.getLogger(__name__)

# A session of ours may be known to Stripe a moment before our own row says so; after a day it never will be.
PATIENCE = timedelta(days=1)


class Verdict(StrEnum):
    """What is to be answered to an event."""

    DONE = "done"
    REPEATED = "repeated"
    IGNORED = "ignored"
    NOT_YET = "not_yet"


def receive(shop: Shop, payload: bytes, signature: str) -> Verdict:
    """Deal with one delivery; safe to call for the same event any number of times, also at once.

    Opens its own transactions. Raises BadSignature, and PaymentError when Stripe cannot be asked.
    """
    event = shop.gateway.parse_event(payload, signature)
    if event.livemode != shop.settings.stripe.livemode:
        log.warning("event %s is of the other mode (livemode)", event.event_id)
        return Verdict.IGNORED
    if _note(shop, event):
        return Verdict.REPEATED
    failpoint("webhook.noted")
    verdict = _act(shop, event)
    failpoint("webhook.acted")
    if verdict is not Verdict.NOT_YET:
        _mark_processed(shop, event)
    return verdict


def _note(shop: Shop, event: PaymentEvent) -> bool:
    """Keep the event; return whether it was already dealt with."""
    values = {"id": event.event_id, "type": event.type, "object_id": event.object_id, "received_at": shop.clock.now()}
    with shop.transaction() as session:
        if insert_once(session, StripeEvent, "id", values):
            return False
        return session.get_one(StripeEvent, event.event_id, populate_existing=True).processed_at is not None


def _act(shop: Shop, event: PaymentEvent) -> Verdict:
    if event.session_id is not None:
        return _act_on_session(shop, event, event.session_id)
    try:
        if event.type.startswith("refund."):
            return _act_on_refund(shop, event)
        if event.type.startswith("charge.dispute."):
            return _act_on_dispute(shop, event)
    except GatewayRefused as error:
        if error.code != "resource_missing":
            raise
    return Verdict.IGNORED


def _act_on_refund(shop: Shop, event: PaymentEvent) -> Verdict:
    state = shop.gateway.get_refund(event.object_id)
    with shop.transaction():
        mirror_refunds(shop, [state])
    return Verdict.DONE


def _act_on_dispute(shop: Shop, event: PaymentEvent) -> Verdict:
    state = shop.gateway.get_dispute(event.object_id)
    with shop.transaction():
        known = apply_dispute(shop, state)
    return Verdict.DONE if known else Verdict.IGNORED


def _act_on_session(shop: Shop, event: PaymentEvent, session_id: str) -> Verdict:
    try:
        outcome = settle(shop, session_id)
    except SessionNotFound:
        return Verdict.IGNORED
    if outcome is Outcome.UNKNOWN:
        outcome = recover_session(shop, session_id)
    if outcome is Outcome.UNKNOWN:
        old = shop.clock.now() - event.created_at > PATIENCE
        log.warning("event %s is about a session without a row", event.event_id)
        return Verdict.IGNORED if old else Verdict.NOT_YET
    return Verdict.DONE


def _mark_processed(shop: Shop, event: PaymentEvent) -> None:
    with shop.transaction() as session:
        row = session.get_one(StripeEvent, event.event_id, populate_existing=True)
        row.processed_at = shop.clock.now()
