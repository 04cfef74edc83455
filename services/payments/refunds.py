"""Refunds: a row with its key before Stripe hears of it, then sent by the worker until the outcome is known."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select, update

from models import Payment, Refund, RefundStatus, db
from services.failpoints import failpoint
from services.identifiers import random_key
from services.payments import GatewayRefused, PaymentError, RefundState
from services.payments.disputes import refuse_while_disputed
from services.payments.refund_books import MOVING, STATUSES, left_minor, mirror_refunds, record_refund
from services.shop import Shop

log = logging.getLogger(__name__)

WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
# Stripe keeps what it did under a key for at least 24 hours (docs.stripe.com/api/idempotent_requests).
KEY_KEPT_FOR = timedelta(hours=23)


class RefundTooLarge(Exception):
    """More would go back than came in."""


def request_refund(
    shop: Shop,
    payment: Payment,
    amount_minor: int,
    *,
    source: str,
    cause: str,
    staff_id: int | None = None,
    note: str = "",
) -> Refund:
    """Return the refund of this payment for this cause, made now unless it exists; the caller holds the order's lock.

    `amount_minor` in minor units of the payment's currency. Raises RefundTooLarge, and PaymentDisputed while the
    buyer's bank has the money.
    """
    session = db.session()
    existing = session.scalars(
        select(Refund).where(Refund.payment_id == payment.id, Refund.cause == cause)
    ).one_or_none()
    if existing is not None:
        return existing
    left = left_minor(session, payment)
    if amount_minor > left:
        raise RefundTooLarge(f"{amount_minor} of {payment.amount_minor}, {left} left")
    refuse_while_disputed(session, payment)
    now = shop.clock.now()
    refund = Refund(
        payment_id=payment.id,
        status=RefundStatus.REQUESTED,
        source=source,
        cause=cause,
        idempotency_key=random_key(),
        amount_minor=amount_minor,
        currency=payment.currency,
        created_at=now,
        next_try_at=now,
        staff_id=staff_id,
        note=note,
    )
    session.add(refund)
    session.flush()
    failpoint("refund.requested")
    shop.knock("send_refund", refund.id)
    return refund


def refund_rest(shop: Shop, payment: Payment, *, cause: str) -> Refund | None:
    """Send back by rule whatever of a payment has not gone back yet; None when that is nothing.

    The caller holds the order's lock. Raises PaymentDisputed as `request_refund`.
    """
    left = left_minor(db.session(), payment)
    if left <= 0:
        return None
    return request_refund(shop, payment, left, source="auto", cause=cause)


def send_refund(shop: Shop, refund_id: int) -> None:
    """Bring one refund forward: send it under its key, or look at how it stands; opens its own transactions."""
    refund = _claim(shop, refund_id)
    if refund is None:
        return
    failpoint("refund.claimed")
    try:
        state = _ask(shop, refund)
        failpoint("refund.answered")
    except GatewayRefused as error:
        log.error("refund %s refused: %s", refund.id, error.code)
        _give_up_when_final(shop, refund, error.code)
        return
    except PaymentError as error:
        # Nobody knows yet what happened, so the same key is sent again. Stripe forgets a stored failure after a day.
        log.warning("refund %s: %s", refund.id, error)
        return
    with shop.transaction():
        apply_refund(shop, refund_id, state)
        failpoint("refund.recorded")


def _claim(shop: Shop, refund_id: int) -> Refund | None:
    """Return the refund when it is due, and push its next try ahead so that nobody else sends it meanwhile."""
    now = shop.clock.now()
    with shop.transaction() as session:
        refund = session.get(Refund, refund_id, populate_existing=True)
        if refund is None:
            return None
        wait = min(WAIT * 2 ** min(refund.tries, 10), LONGEST_WAIT)
        claimed = session.execute(
            update(Refund)
            .where(Refund.id == refund_id, Refund.status.in_(MOVING), Refund.next_try_at <= now)
            .values(tries=Refund.tries + 1, next_try_at=now + wait)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        _ = refund.payment.reference
        return refund


def _ask(shop: Shop, refund: Refund) -> RefundState:
    if refund.reference is not None:
        return shop.gateway.get_refund(refund.reference)
    if shop.clock.now() > refund.created_at + KEY_KEPT_FOR:
        # Sent again, a key that Stripe has forgotten would send money back a second time.
        for state in shop.gateway.list_refunds_of(refund.payment.reference):
            if state.request_key == refund.idempotency_key:
                return state
    return shop.gateway.refund(refund.payment.reference, refund.amount_minor, refund.idempotency_key)


def _give_up_when_final(shop: Shop, refund: Refund, code: str) -> None:
    """End a refund that no later try can bring through; any other refusal may pass, as an empty balance does.

    Somebody may have sent the money back in Stripe's Dashboard, or Stripe may have forgotten our key after a day: what
    has really gone back decides.
    """
    try:
        states = shop.gateway.list_refunds_of(refund.payment.reference)
    except PaymentError as error:
        if code != "resource_missing":
            log.warning("refund %s: %s", refund.id, error)
            return
        states = []
    with shop.transaction() as session:
        mirror_refunds(shop, states)
        row = session.get_one(Refund, refund.id, populate_existing=True)
        if row.status is not RefundStatus.REQUESTED:
            return
        others = left_minor(session, row.payment) + row.amount_minor
        if code in ("charge_disputed", "resource_missing"):
            record_refund(shop, row.id, row.reference, RefundStatus.FAILED)
        elif row.amount_minor > others:
            record_refund(shop, row.id, row.reference, RefundStatus.CANCELED)


def apply_refund(shop: Shop, refund_id: int, state: RefundState) -> None:
    """Record how a refund stands at Stripe, inside the caller's transaction."""
    record_refund(shop, refund_id, state.reference, STATUSES.get(state.status, RefundStatus.PENDING))


def due_refunds(shop: Shop) -> list[int]:
    """Return the refunds whose knock was lost or whose next look is due."""
    return list(
        db.session.scalars(
            select(Refund.id).where(Refund.status.in_(MOVING), Refund.next_try_at <= shop.clock.now()).limit(200)
        )
    )
